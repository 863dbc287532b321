"""Pooling in one and three dimensions, adaptive maxima and power averages, from two-dimensional pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn._C import Tensor
from fastnn._C import nn as _nn

from fastnn import _C

from ._common import ntuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    Size = int | Sequence[int]


def _stride_or_kernel(stride: Size | None, kernel: tuple[int, ...]) -> tuple[int, ...]:
    """The stride, which is the kernel's size unless it is given."""
    if stride is None or (not isinstance(stride, int) and len(stride) == 0):
        return kernel
    return ntuple(stride, len(kernel))


def _check_dim(name: str, input: Tensor, spatial: int) -> None:
    if input.dim() not in (spatial + 1, spatial + 2):
        raise RuntimeError(
            f"{name}: Expected {spatial + 1}D or {spatial + 2}D input, but got input of size: {list(input.shape)}"
        )


def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maxima over windows of an input of shape (N, C, L) or (C, L); with indices a pair.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.max_pool1d(fastnn.tensor([[[1.0, 3.0, 2.0, 4.0]]]), 2)
        tensor([[[3., 4.]]])
    """
    _check_dim("max_pool1d()", input, 1)
    kernel = ntuple(kernel_size, 1)
    result = _nn.max_pool2d(
        input.unsqueeze(-2),
        (1, *kernel),
        (1, *_stride_or_kernel(stride, kernel)),
        (0, *ntuple(padding, 1)),
        (1, *ntuple(dilation, 1)),
        ceil_mode,
        return_indices,
    )
    if return_indices:
        return result[0].squeeze(-2), result[1].squeeze(-2)
    return result.squeeze(-2)


def max_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maxima over windows of an input of shape (N, C, D, H, W) or (C, D, H, W).

    Raises:
        NotImplementedError: `return_indices` is True.
    """
    _check_dim("max_pool3d()", input, 3)
    if return_indices:
        raise NotImplementedError("max_pool3d: return_indices=True is not supported")
    kernel = ntuple(kernel_size, 3)
    settings = zip(
        kernel,
        _stride_or_kernel(stride, kernel),
        ntuple(padding, 3),
        ntuple(dilation, 3),
        strict=True,
    )
    depth, height, width = settings
    # A maximum over a box is one over planes, then along the depth.
    planes = _per_plane(input, lambda x: _nn.max_pool2d(x, *map(list, zip(height, width, strict=True)), ceil_mode))
    along = [(value, single) for value, single in zip(depth, (1, 1, 0, 1), strict=True)]
    return _along_depth(planes, lambda x: _nn.max_pool2d(x, *along, ceil_mode))


def _per_plane(input: Tensor, pool: Any) -> Tensor:
    """Apply a two-dimensional pooling to the last two dimensions of (*, D, H, W)."""
    result: Tensor = pool(input.reshape(1, -1, *input.shape[-2:]))
    return result.reshape(*input.shape[:-2], *result.shape[-2:])


def _along_depth(input: Tensor, pool: Any) -> Tensor:
    """Apply a pooling over (D, H * W) to (*, D, H, W)."""
    height, width = input.shape[-2:]
    result: Tensor = pool(input.reshape(1, -1, input.size(-3), height * width))
    return result.reshape(*input.shape[:-3], result.size(-2), height, width)


def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """Means over windows of an input of shape (N, C, L) or (C, L).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.avg_pool1d(fastnn.tensor([[[1.0, 3.0, 2.0, 4.0]]]), 2)
        tensor([[[2., 3.]]])
    """
    _check_dim("avg_pool1d()", input, 1)
    kernel = ntuple(kernel_size, 1)
    return _nn.avg_pool2d(
        input.unsqueeze(-2),
        (1, *kernel),
        (1, *_stride_or_kernel(stride, kernel)),
        (0, *ntuple(padding, 1)),
        ceil_mode,
        count_include_pad,
    ).squeeze(-2)


def avg_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """Means over windows of an input of shape (N, C, D, H, W) or (C, D, H, W)."""
    _check_dim("avg_pool3d()", input, 3)
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    kernel = ntuple(kernel_size, 3)
    steps, pads = _stride_or_kernel(stride, kernel), ntuple(padding, 3)
    divisor = None if divisor_override is None else 1
    planes = _per_plane(
        input,
        lambda x: _nn.avg_pool2d(x, kernel[1:], steps[1:], pads[1:], ceil_mode, count_include_pad, divisor),
    )
    result = _along_depth(
        planes,
        lambda x: _nn.avg_pool2d(x, (kernel[0], 1), (steps[0], 1), (pads[0], 0), ceil_mode, count_include_pad, divisor),
    )
    return result if divisor_override is None else result / divisor_override


def adaptive_avg_pool1d(input: Tensor, output_size: Size) -> Tensor:
    """Means over `output_size` windows of an input of shape (N, C, L) or (C, L)."""
    _check_dim("adaptive_avg_pool1d()", input, 1)
    return _nn.adaptive_avg_pool2d(input.unsqueeze(-2), (1, *ntuple(output_size, 1))).squeeze(-2)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means over `output_size` windows of an input of shape (N, C, D, H, W) or (C, D, H, W)."""
    _check_dim("adaptive_avg_pool3d()", input, 3)
    sizes = _output_sizes(input, output_size, 3)
    planes = _per_plane(input, lambda x: _nn.adaptive_avg_pool2d(x, sizes[1:]))
    width = planes.size(-1) * planes.size(-2)
    return _along_depth(planes, lambda x: _nn.adaptive_avg_pool2d(x, (sizes[0], width)))


def _output_sizes(input: Tensor, output_size: Any, spatial: int) -> tuple[int, ...]:
    """`output_size` per dimension; None stands for the input's size."""
    wanted = (output_size,) * spatial if isinstance(output_size, int) else tuple(output_size)
    return tuple(have if want is None else want for want, have in zip(wanted, input.shape[-spatial:], strict=True))


def _adaptive_max(input: Tensor, output_size: Any, spatial: int, return_indices: bool) -> Any:
    """Maxima over adaptive windows, one dimension after the other from the last, with flat indices."""
    sizes = _output_sizes(input, output_size, spatial)
    values, flat = input, None
    stride = 1
    for axis in range(spatial):
        dim = input.dim() - 1 - axis
        length, count = input.size(dim), sizes[spatial - 1 - axis]
        # Window i is [floor(i * length / count), ceil((i + 1) * length / count)); short ones repeat their end.
        starts = [i * length // count for i in range(count)]
        ends = [-(-(i + 1) * length // count) for i in range(count)]
        widest = max((e - s for s, e in zip(starts, ends, strict=True)), default=0)
        places = _C.tensor(
            [min(s + k, e - 1) for s, e in zip(starts, ends, strict=True) for k in range(widest)],
            dtype=_C.int64,
        )
        shape = (*values.shape[:dim], count, widest, *values.shape[dim + 1 :])
        values, within = values.index_select(dim, places).reshape(shape).max(dim + 1)
        if return_indices:
            column = (1,) * dim + (count, widest) + (1,) * (len(shape) - dim - 2)
            here = places.reshape(column).expand(shape).gather(dim + 1, within.unsqueeze(dim + 1))
            here = here.squeeze(dim + 1) * stride
            if flat is not None:
                below = flat.index_select(dim, places).reshape(shape)
                here = here + below.gather(dim + 1, within.unsqueeze(dim + 1)).squeeze(dim + 1)
            flat = here
        stride *= length
    return (values, flat) if return_indices else values


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over `output_size` windows of an input of shape (N, C, L) or (C, L); with indices a pair."""
    _check_dim("adaptive_max_pool1d()", input, 1)
    return _adaptive_max(input, output_size, 1, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over `output_size` windows of an input of shape (N, C, H, W) or (C, H, W)."""
    _check_dim("adaptive_max_pool2d()", input, 2)
    return _adaptive_max(input, output_size, 2, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over `output_size` windows of an input of shape (N, C, D, H, W) or (C, D, H, W)."""
    _check_dim("adaptive_max_pool3d()", input, 3)
    return _adaptive_max(input, output_size, 3, return_indices)


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
    """`sum(x**norm_type)**(1 / norm_type)` over windows of an input of shape (N, C, L) or (C, L)."""
    mean = avg_pool1d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return _root_of_sum(mean, kernel_size, norm_type)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """`sum(x**norm_type)**(1 / norm_type)` over windows of an input of shape (N, C, H, W) or (C, H, W)."""
    height, width = ntuple(kernel_size, 2)
    mean = _nn.avg_pool2d(
        input.pow(norm_type), (height, width), _stride_or_kernel(stride, (height, width)), 0, ceil_mode
    )
    return _root_of_sum(mean, height * width, norm_type)
