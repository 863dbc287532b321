"""Adaptive pooling that keeps some sizes, power means, fractional pooling, and pooling undone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._autocast import in_float32
from fastnn._C import Tensor
from fastnn._C import nn as _nn

from .._sizes import list_with_default
from ._common import ntuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    Size = int | Sequence[int]


def _stride_or_kernel(stride: Size | None, kernel: tuple[int, ...]) -> tuple[int, ...]:
    """The stride, which is the kernel's size unless it is given."""
    if stride is None or (not isinstance(stride, int) and len(stride) == 0):
        return kernel
    return ntuple(stride, len(kernel))


def _adaptive_size(op: str, input: Tensor, output_size: Any) -> Any:
    if not isinstance(input, Tensor):
        raise TypeError(f"{op}(): argument 'input' must be Tensor, not {type(input).__name__}")
    return list_with_default(output_size, input.shape)


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
    return _nn.adaptive_avg_pool2d(input, _adaptive_size("adaptive_avg_pool2d", input, output_size))


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means over windows that divide an input of shape (N, C, D, H, W) or (C, D, H, W); see the 2d form."""
    return _nn.adaptive_avg_pool3d(input, _adaptive_size("adaptive_avg_pool3d", input, output_size))


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
    return _nn.adaptive_max_pool2d(input, _adaptive_size("adaptive_max_pool2d", input, output_size), return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over windows that divide an input of shape (N, C, D, H, W) or (C, D, H, W); see the 2d form."""
    return _nn.adaptive_max_pool3d(input, _adaptive_size("adaptive_max_pool3d", input, output_size), return_indices)


# --- power means ---


def _lp_pool(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None, ceil_mode: bool, spatial: int
) -> Tensor:
    kernel = ntuple(kernel_size, spatial)
    step = _stride_or_kernel(stride, kernel)
    if math.isinf(norm_type):
        largest: Any = (_nn.max_pool1d, _nn.max_pool2d, _nn.max_pool3d)[spatial - 1]
        magnitude = input.abs()
        extreme: Tensor = largest(magnitude if norm_type > 0 else -magnitude, kernel, step, 0, 1, ceil_mode)
        return extreme if norm_type > 0 else -extreme
    pool: Any = (_nn.avg_pool1d, _nn.avg_pool2d, _nn.avg_pool3d)[spatial - 1]
    mean: Tensor = pool(input.pow(norm_type), kernel, step, 0, ceil_mode)
    # Negative sums count with their sign; relu makes the gradient of a sum of 0 finite.
    return (mean.sign() * mean.abs().relu() * math.prod(kernel)).pow(1.0 / norm_type)


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
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 1)


def lp_pool2d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """`sum(x**norm_type)**(1 / norm_type)` over windows of an input of shape (N, C, H, W) or (C, H, W).

    Args:
        input: the images.
        norm_type: the power; infinity for the largest magnitude.
        kernel_size: of the window.
        stride: step between windows. Default: `kernel_size`.
        ceil_mode: whether a last window may reach over the edge.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.lp_pool2d(fastnn.tensor([[[3.0, 4.0]]]), 2, (1, 2))
        tensor([[[5.]]])
    """
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 2)


def lp_pool3d(
    input: Tensor,
    norm_type: float,
    kernel_size: Size,
    stride: Size | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """`sum(x**norm_type)**(1 / norm_type)` over windows of an input of shape (N, C, D, H, W) or (C, D, H, W).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.lp_pool3d(fastnn.tensor([[[[3.0, 4.0]]]]), 2, (1, 1, 2))
        tensor([[[[5.]]]])
    """
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 3)


# --- back to the input of a maximum ---


def _unpooled_size(
    input: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    output_size: Sequence[int] | None,
) -> list[int]:
    spatial = len(kernel)
    default = [
        (n - 1) * step + window - 2 * pad
        for n, step, window, pad in zip(input.shape[-spatial:], stride, kernel, padding, strict=True)
    ]
    if output_size is None:
        return default
    wanted = list(output_size)
    if len(wanted) == spatial + 2:
        wanted = wanted[2:]
    if len(wanted) != spatial:
        raise ValueError(
            f"output_size should be a sequence containing {spatial} or {spatial + 2} elements, "
            f"but it has a length of '{len(wanted)}'"
        )
    for d, (size, usual, step) in enumerate(zip(wanted, default, stride, strict=True)):
        if not usual - step < size < usual + step:
            raise ValueError(
                f'invalid output_size "{wanted}" (dim {d} must be between {usual - step} and {usual + step})'
            )
    return wanted


def _max_unpool(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    output_size: Sequence[int] | None,
    spatial: int,
) -> Tensor:
    kernel = ntuple(kernel_size, spatial)
    step = _stride_or_kernel(stride, kernel)
    size = _unpooled_size(input, kernel, step, ntuple(padding, spatial), output_size)
    name = f"max_unpool{spatial}d"
    if indices.dtype != _C.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices.dtype}")
    if input.dim() not in (spatial + 1, spatial + 2):
        raise RuntimeError(
            f"Input to {name} should be a {spatial + 1}d or {spatial + 2}d Tensor, but got a tensor with "
            f"{input.dim()} dimensions."
        )
    if input.shape != indices.shape:
        raise RuntimeError(
            f"Expected shape of indices to be the same as that of the input tensor ({list(input.shape)}), "
            f"but got indices tensor with shape: {list(indices.shape)}"
        )
    lead = input.shape[:-spatial]
    if any(n == 0 for n in input.shape[input.dim() - spatial - 1 :]):
        raise RuntimeError(
            f"{name}: Expected input to have non-zero size for non-batch dimensions, but got {list(input.shape)}"
        )
    points = math.prod(size)
    outside = (indices < 0) | (indices >= points)
    if bool(outside.any()):
        raise RuntimeError(
            f"Found an invalid max index: {int(indices[outside][0])} (output volumes are of size "
            f"{'x'.join(map(str, size))}"
        )
    flat = input.new_zeros((*lead, points))
    return flat.scatter(-1, indices.flatten(-spatial), input.flatten(-spatial)).reshape((*lead, *size))


@in_float32
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put the maxima of `max_pool1d` back where they came from, with zeros between them.

    Args:
        input: maxima, shape (N, C, L) or (C, L).
        indices: the places that `max_pool1d` returned with them.
        kernel_size, stride, padding: those of the pooling.
        output_size: the size of its input, if it is not the usual one.

    Raises:
        ValueError: `output_size` does not go with the pooling.
        RuntimeError: shapes or indices that do not go together.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.max_unpool1d(fastnn.tensor([[3.0, 4.0]]), fastnn.tensor([[1, 3]]), 2)
        tensor([[0., 3., 0., 4.]])
    """
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 1)


@in_float32
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put the maxima of `max_pool2d` back where they came from; see `max_unpool1d`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.max_unpool2d(fastnn.tensor([[[4.0]]]), fastnn.tensor([[[3]]]), 2)
        tensor([[[0., 0.],
                 [0., 4.]]])
    """
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 2)


@in_float32
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put the maxima of `max_pool3d` back where they came from; see `max_unpool1d`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.max_unpool3d(fastnn.tensor([[[[4.0]]]]), fastnn.tensor([[[[1]]]]), (1, 1, 2))
        tensor([[[[0., 4.]]]])
    """
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 3)


# --- windows at random places ---


def _fractional_starts(samples: Tensor, size: int, out: int, kernel: int) -> Tensor:
    """Where the windows along one dimension start: shape (N, C, out), from samples of shape (N, C)."""
    last = size - kernel
    if out == 1:
        return _C.full((*samples.shape, 1), last, dtype=_C.int64)
    alpha = (size - kernel) / (out - 1)
    steps = _C.arange(out - 1, dtype=samples.dtype)
    place = samples.unsqueeze(-1)
    starts = ((steps + place) * alpha).to(_C.int64) - (place * alpha).to(_C.int64)
    return _C.cat([starts, _C.full((*samples.shape, 1), last, dtype=_C.int64)], -1)


def _fractional_max_pool(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None,
    output_ratio: float | Sequence[float] | None,
    samples: Tensor | None,
    spatial: int,
) -> tuple[Tensor, Tensor]:
    name = f"fractional_max_pool{spatial}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    sizes = input.shape[-spatial:]
    if input.dim() not in (spatial + 1, spatial + 2):
        raise RuntimeError(f"{name}(): Expected {spatial + 1}D or {spatial + 2}D tensor, but got: {list(input.shape)}")
    if output_size is None:
        ratios: Any = output_ratio if isinstance(output_ratio, (tuple, list)) else (output_ratio,) * spatial
        out = tuple(int(n * ratio) for n, ratio in zip(sizes, ratios, strict=True))
    else:
        out = ntuple(output_size, spatial)
    kernel = ntuple(kernel_size, spatial)
    x = input if input.dim() == spatial + 2 else input.unsqueeze(0)
    if any(n == 0 for n in x.shape[1:]):
        raise RuntimeError(
            f"{name}(): Expected input to have non-zero size for non-batch dimensions, but got {list(input.shape)}"
        )
    for n, window, count in zip(sizes, kernel, out, strict=True):
        if count + window - 1 > n:
            raise RuntimeError(f"{name}(): pool size {window} too large relative to input size {n}")
    if samples is None:
        samples = _C.rand((x.size(0), x.size(1), spatial), dtype=input.dtype)
    # The flat place of each element of each window: (N, C, *out, *kernel). The samples of images begin with the width.
    places = _C.zeros((1,) * (2 + 2 * spatial), dtype=_C.int64)
    for d in range(spatial):
        starts = _fractional_starts(samples[:, :, 1 - d if spatial == 2 else d], sizes[d], out[d], kernel[d])
        along = starts.unsqueeze(-1) + _C.arange(kernel[d])
        shape = [x.size(0), x.size(1), *(1,) * (2 * spatial)]
        shape[2 + d], shape[2 + spatial + d] = out[d], kernel[d]
        places = places * sizes[d] + along.reshape(shape)
    planes, inside = x.shape[:2], math.prod(kernel)
    places = places.reshape(*planes, math.prod(out) * inside)
    windows = x.flatten(2).gather(2, places).reshape(*planes, *out, inside)
    best = windows.max(-1, keepdim=True)[1]
    values = windows.gather(-1, best).squeeze(-1)
    indices = places.reshape(windows.shape).gather(-1, best).squeeze(-1)
    return (values, indices) if x is input else (values.squeeze(0), indices.squeeze(0))


@in_float32
def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`fractional_max_pool2d` that always returns the indices too.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.fractional_max_pool2d_with_indices(fastnn.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2, 1)[1]
        tensor([[[3]]])
    """
    return _fractional_max_pool(input, kernel_size, output_size, output_ratio, _random_samples, 2)


@in_float32
def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Maxima over windows at random places that keep their order (Graham, Fractional Max-Pooling, 2014).

    Args:
        input: shape (N, C, H, W) or (C, H, W).
        kernel_size: of the windows, a number or a pair.
        output_size: of the result; or else
        output_ratio: the size of the result as a share of that of the input.
        return_indices: whether the flat places of the maxima are returned too.
        _random_samples: numbers in [0, 1) instead of drawn ones, shape (N, C, 2).

    Raises:
        ValueError: neither `output_size` nor `output_ratio` is given.
        RuntimeError: the windows do not fit into the input.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.fractional_max_pool2d(fastnn.randn(2, 3, 9, 9), 2, output_ratio=0.5).shape
        torch.Size([2, 3, 4, 4])
    """
    both = _fractional_max_pool(input, kernel_size, output_size, output_ratio, _random_samples, 2)
    return both if return_indices else both[0]


@in_float32
def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """`fractional_max_pool3d` that always returns the indices too.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.fractional_max_pool3d_with_indices(fastnn.arange(8.0).reshape(1, 2, 2, 2), 2, 1)[1]
        tensor([[[[7]]]])
    """
    return _fractional_max_pool(input, kernel_size, output_size, output_ratio, _random_samples, 3)


@in_float32
def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Size,
    output_size: Size | None = None,
    output_ratio: float | Sequence[float] | None = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Maxima over windows at random places of an input of shape (N, C, D, H, W) or (C, D, H, W); see the 2d form.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.fractional_max_pool3d(fastnn.randn(1, 2, 6, 6, 6), 2, output_size=3).shape
        torch.Size([1, 2, 3, 3, 3])
    """
    both = _fractional_max_pool(input, kernel_size, output_size, output_ratio, _random_samples, 3)
    return both if return_indices else both[0]
