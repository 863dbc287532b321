"""Adaptive pooling that keeps some sizes, and power averages over windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn._C import Tensor
from fastnn._C import nn as _nn

from ._common import ntuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    Size = int | Sequence[int]


def _stride_or_kernel(stride: Size | None, kernel: tuple[int, ...]) -> tuple[int, ...]:
    """The stride, which is the kernel's size unless it is given."""
    if stride is None or (not isinstance(stride, int) and len(stride) == 0):
        return kernel
    return ntuple(stride, len(kernel))


def _without_none(input: Tensor, output_size: Any, spatial: int) -> Any:
    """`output_size` with the input's size in the place of None."""
    if not isinstance(output_size, (tuple, list)) or None not in output_size:
        return output_size
    have = input.shape[-spatial:]
    return tuple(size if want is None else want for want, size in zip(output_size, have, strict=True))


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means over windows that divide an input of shape (N, C, H, W) or (C, H, W) into `output_size` parts.

    Args:
        input: the images.
        output_size: a number, or a pair; None keeps the input's size.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.adaptive_avg_pool2d(fastnn.tensor([[[1.0, 2.0], [3.0, 4.0]]]), (None, 1))
        tensor([[[1.5000],
                 [3.5000]]])
    """
    return _nn.adaptive_avg_pool2d(input, _without_none(input, output_size, 2))


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means over windows that divide an input of shape (N, C, D, H, W) or (C, D, H, W); see the 2d form."""
    return _nn.adaptive_avg_pool3d(input, _without_none(input, output_size, 3))


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over windows that divide an input of shape (N, C, H, W) or (C, H, W) into `output_size` parts.

    Args:
        input: the images.
        output_size: a number, or a pair; None keeps the input's size.
        return_indices: whether the flat places of the maxima are returned too.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.adaptive_max_pool2d(fastnn.tensor([[[1.0, 2.0], [3.0, 4.0]]]), (None, 1))
        tensor([[[2.],
                 [4.]]])
    """
    return _nn.adaptive_max_pool2d(input, _without_none(input, output_size, 2), return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over windows that divide an input of shape (N, C, D, H, W) or (C, D, H, W); see the 2d form."""
    return _nn.adaptive_max_pool3d(input, _without_none(input, output_size, 3), return_indices)


def _root_of_sum(mean: Tensor, count: int, norm_type: float) -> Tensor:
    """`(mean * count)**(1 / norm_type)`, negative means counting with their sign, as 0."""
    return (mean.sign() * mean.abs().relu() * count).clamp(min=0).pow(1.0 / norm_type)


def lp_pool1d(
    input: Tensor,
    norm_type: float,
    kernel_size: int,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """`sum(x**norm_type)**(1 / norm_type)` over windows of an input of shape (N, C, L) or (C, L).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.lp_pool1d(fastnn.tensor([[3.0, 4.0]]), 2, 2)
        tensor([[5.]])
    """
    mean = _nn.avg_pool1d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return _root_of_sum(mean, kernel_size, norm_type)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """`sum(x**norm_type)**(1 / norm_type)` over windows of an input of shape (N, C, H, W) or (C, H, W).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.lp_pool2d(fastnn.tensor([[[3.0, 4.0]]]), 2, (1, 2))
        tensor([[[5.]]])
    """
    height, width = ntuple(kernel_size, 2)
    mean = _nn.avg_pool2d(
        input.pow(norm_type), (height, width), _stride_or_kernel(stride, (height, width)), 0, ceil_mode
    )
    return _root_of_sum(mean, height * width, norm_type)
