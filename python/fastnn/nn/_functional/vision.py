"""Pixel shuffles and resizing of images and signals."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor
from fastnn._C import nn as _nn

if TYPE_CHECKING:
    from collections.abc import Sequence

# Keys' cubic convolution kernel, with the parameter that common image libraries use.
_CUBIC_A = -0.75


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Rearrange (*, C * r * r, H, W) to (*, C, H * r, W * r) (Shi et al., 2016).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.pixel_shuffle(fastnn.ones(1, 4, 2, 2), 2).shape
        torch.Size([1, 1, 4, 4])
    """
    r = upscale_factor
    _check_pixels("pixel_shuffle", input, r, "upscale_factor")
    channels, height, width = input.shape[-3:]
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of "
            f"upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}"
        )
    x = input.reshape(-1, channels // (r * r), r, r, height, width).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(*input.shape[:-3], channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Rearrange (*, C, H * r, W * r) to (*, C * r * r, H, W): the inverse of `pixel_shuffle`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.pixel_unshuffle(fastnn.ones(1, 1, 4, 4), 2).shape
        torch.Size([1, 4, 2, 2])
    """
    r = downscale_factor
    _check_pixels("pixel_unshuffle", input, r, "downscale_factor")
    channels, height, width = input.shape[-3:]
    if height % r or width % r:
        raise RuntimeError(
            "pixel_unshuffle expects height and width to be divisible by downscale_factor, "
            f"but input of size {list(input.shape)} has one not divisible by {r}"
        )
    x = input.reshape(-1, channels, height // r, r, width // r, r).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(*input.shape[:-3], channels * r * r, height // r, width // r)


def _check_pixels(name: str, input: Tensor, factor: int, argument: str) -> None:
    if input.dim() < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {input.dim()} dimension(s)"
        )
    if factor <= 0:
        raise RuntimeError(f"{name} expects a positive {argument}, but got {factor}")


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Deal the channels of (N, C, *) out over the groups: channel g * n + i becomes i * groups + g.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.channel_shuffle(fastnn.arange(4.0).reshape(1, 4, 1, 1), 2).flatten()
        tensor([0., 2., 1., 3.])
    """
    channels = input.size(1)
    if groups <= 0 or channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and {groups} groups."
        )
    x = input.reshape(input.size(0), groups, channels // groups, *input.shape[2:])
    return x.transpose(1, 2).reshape(input.shape)


# --- resizing ---

_LINEAR_MODES = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize the spatial dimensions of an input of shape (N, C, *).

    Args:
        input: shape (N, C, L), (N, C, H, W) or (N, C, D, H, W).
        size: the spatial size of the result.
        scale_factor: the factor by which the size grows; one of `size` and `scale_factor` is given.
        mode: "nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear" or "area".
        align_corners: whether the centres of the corner elements meet, rather than the corners; only for
            the linear and cubic modes. Default: False.
        recompute_scale_factor: whether the scale used is that of the rounded size.
        antialias: not supported.

    Raises:
        ValueError: the arguments do not go together.
        NotImplementedError: the mode does not go with the number of dimensions, or `antialias` is set.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.interpolate(fastnn.tensor([[[1.0, 2.0]]]), scale_factor=2)
        tensor([[[1., 1., 2., 2.]]])
    """
    spatial = input.dim() - 2
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: "
                "linear | bilinear | bicubic | trilinear"
            )
    elif mode not in _LINEAR_MODES:
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got "
            f"{input.dim()}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | area | "
            f"nearest-exact (got {mode})"
        )
    if antialias:
        raise NotImplementedError("interpolate: antialias=True is not supported")
    if spatial not in (1, 2, 3) or _LINEAR_MODES.get(mode, spatial) != spatial:
        raise NotImplementedError(f"Got {input.dim()}D input, but {mode} mode does not take it")
    sizes, scales = _target_sizes(input, size, scale_factor, recompute_scale_factor, spatial)
    if mode == "area":
        pool: Any = {1: _nn.adaptive_avg_pool1d, 2: _nn.adaptive_avg_pool2d, 3: _nn.adaptive_avg_pool3d}[spatial]
        pooled: Tensor = pool(input, sizes)
        return pooled
    for i, (out_size, scale) in enumerate(zip(sizes, scales, strict=True)):
        input = _resize_dim(input, i + 2, out_size, scale, mode, bool(align_corners))
    return input


def _target_sizes(
    input: Tensor, size: Any, scale_factor: Any, recompute: bool | None, spatial: int
) -> tuple[tuple[int, ...], tuple[float | None, ...]]:
    """The wanted spatial size, and the scale that maps places per dimension, None for size ratios."""
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    given = size if size is not None else scale_factor
    if given is None:
        raise ValueError("either size or scale_factor should be defined")
    values = tuple(given) if isinstance(given, (tuple, list)) else (given,) * spatial
    if len(values) != spatial:
        what = "scale_factor" if size is None else "output"
        raise ValueError(
            f"Input and {what} must have the same number of spatial dimensions, but got input with spatial "
            f"dimensions of {list(input.shape[2:])} and {what} of {given}. Please provide input tensor in "
            f"(N, C, d1, d2, ...,dK) format and {what} in (s1, s2, ...,sK) format."
        )
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        return tuple(int(v) for v in values), (None,) * spatial
    sizes = tuple(math.floor(float(n) * float(v)) for n, v in zip(input.shape[2:], values, strict=True))
    if any(n <= 0 for n in sizes):
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input {list(input.shape[2:])} and "
            f"output {list(sizes)}"
        )
    if recompute:
        return sizes, (None,) * spatial
    return sizes, tuple(float(v) for v in values)


def _resize_dim(x: Tensor, dim: int, out_size: int, scale: float | None, mode: str, align_corners: bool) -> Tensor:
    """Resize one dimension: a sum over taps of rows picked from `x`, each with its weight."""
    size = x.size(dim)
    if out_size <= 0 or size <= 0:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input size {size} and output {out_size}"
        )
    step = size / out_size if scale is None else 1.0 / scale
    if mode.startswith("nearest"):
        shift = 0.5 if mode == "nearest-exact" else 0.0
        places = [min(math.floor((i + shift) * step), size - 1) for i in range(out_size)]
        return x.index_select(dim, _C.tensor(places, dtype=_C.int64))
    if align_corners:
        step = (size - 1) / (out_size - 1) if out_size > 1 else 0.0
    cubic = mode == "bicubic"
    taps: list[list[int]] = []
    weights: list[list[float]] = []
    for i in range(out_size):
        source = i * step if align_corners else (i + 0.5) * step - 0.5
        if not cubic:
            source = max(source, 0.0)
        low = math.floor(source)
        t = source - low
        if cubic:
            around = [low - 1, low, low + 1, low + 2]
            weights.append(_cubic_weights(t))
        else:
            around = [low, low + 1]
            weights.append([1.0 - t, t])
        taps.append([min(max(place, 0), size - 1) for place in around])
    column = [1] * x.dim()
    column[dim] = out_size
    total: Tensor | None = None
    for k in range(4 if cubic else 2):
        rows = x.index_select(dim, _C.tensor([tap[k] for tap in taps], dtype=_C.int64))
        factor = _C.tensor([weight[k] for weight in weights], dtype=x.dtype).reshape(column)
        total = rows * factor if total is None else total + rows * factor
    assert total is not None
    return total


def _cubic_weights(t: float) -> list[float]:
    """The weights of the elements at -1, 0, 1 and 2 for a place at `t` in [0, 1)."""
    a = _CUBIC_A

    def near(d: float) -> float:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: float) -> float:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def upsample(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Old name of `interpolate`."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | None = None
) -> Tensor:
    """Old name of `interpolate(mode="nearest")`."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(
    input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | None = None
) -> Tensor:
    """Old name of `interpolate(mode="bilinear", align_corners=True)`."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
