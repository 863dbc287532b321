"""Pixel shuffles, resizing and sampling of images and signals."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from fastnn._autocast import in_float32
from fastnn._C import Tensor
from fastnn._C import nn as _nn

if TYPE_CHECKING:
    from collections.abc import Sequence


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
    lead = input.shape[:-3]
    x = input.reshape(*lead, channels // (r * r), r, r, height, width)
    return _last_permuted(x, 5, (0, 3, 1, 4, 2)).reshape(*lead, channels // (r * r), height * r, width * r)


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
    lead = input.shape[:-3]
    x = input.reshape(*lead, channels, height // r, r, width // r, r)
    return _last_permuted(x, 5, (0, 2, 4, 1, 3)).reshape(*lead, channels * r * r, height // r, width // r)


def _last_permuted(x: Tensor, count: int, order: tuple[int, ...]) -> Tensor:
    """The last `count` dimensions in another order."""
    lead = x.dim() - count
    return x.permute([*range(lead), *(lead + d for d in order)])


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

_SPATIAL = {"linear": 1, "bilinear": 2, "bicubic": 2, "lanczos": 2, "trilinear": 3}


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
        input: shape (N, C, L), (N, C, H, W) or (N, C, D, H, W); floating, or uint8 with the nearest,
            bilinear and bicubic modes.
        size: the spatial size of the result.
        scale_factor: the factor by which the size grows; one of `size` and `scale_factor` is given.
        mode: "nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area" or "lanczos".
        align_corners: whether the centres of the corner elements meet, rather than the corners; only for
            the linear and cubic modes. Default: False.
        recompute_scale_factor: whether the scale used is that of the rounded size.
        antialias: whether the filter of "bilinear", "bicubic" or "lanczos" widens when the image shrinks, so
            that every element counts. Needed for "lanczos".

    Raises:
        ValueError: the arguments do not go together.
        NotImplementedError: the mode does not go with the number of dimensions or the dtype.

    Keys, Cubic Convolution Interpolation for Digital Image Processing (1981).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.interpolate(fastnn.tensor([[[1.0, 2.0]]]), scale_factor=2)
        tensor([[[1., 1., 2., 2.]]])
        >>> F.interpolate(fastnn.tensor([[[1.0, 2.0]]]), 4, mode="linear")
        tensor([[[1.0000, 1.2500, 1.7500, 2.0000]]])
    """
    spatial = input.dim() - 2
    if mode in ("nearest", "area", "nearest-exact") and align_corners is not None:
        raise ValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    sizes, factors = _target_sizes(input, size, scale_factor, spatial)
    if recompute_scale_factor and size is not None:
        raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.dim() == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
        )
    if spatial not in (1, 2, 3) or mode not in (*_SPATIAL, "nearest", "nearest-exact", "area"):
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.dim()}D) for the modes: nearest | "
            f"linear | bilinear | bicubic | trilinear | area | nearest-exact (got {mode})"
        )
    if _SPATIAL.get(mode, spatial) != spatial:
        raise NotImplementedError(f"Got {input.dim()}D input, but {mode} mode needs {_SPATIAL[mode] + 2}D input")
    if mode == "lanczos" and (align_corners or not antialias):
        raise ValueError(
            "Lanczos mode does not support align_corners=True"
            if align_corners
            else "Lanczos mode requires antialias=True"
        )
    if mode == "area":
        pool: Any = {1: _nn.adaptive_avg_pool1d, 2: _nn.adaptive_avg_pool2d, 3: _nn.adaptive_avg_pool3d}[spatial]
        pooled: Tensor = pool(input, sizes)
        return pooled
    factors = () if recompute_scale_factor else factors
    return _nn._resample(input, sizes, mode, bool(align_corners), antialias, *factors)


def _target_sizes(
    input: Tensor, size: Any, scale_factor: Any, spatial: int
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The wanted spatial size, and the factors given for it, if any."""
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    given = size if size is not None else scale_factor
    if given is None:
        raise ValueError("either size or scale_factor should be defined")
    values = tuple(given) if isinstance(given, (tuple, list)) else (given,) * spatial
    if len(values) != spatial:
        what, several = ("scale_factor", "scale_factor of shape") if size is None else ("output", "output size of")
        raise ValueError(
            f"Input and {what} must have the same number of spatial dimensions, but got input with spatial "
            f"dimensions of {list(input.shape[2:])} and {several} {given}. Please provide input tensor in "
            "(N, C, d1, d2, ...,dK) format and "
            f"{'scale_factor' if size is None else 'output size'} in ({'s' if size is None else 'o'}1, "
            f"{'s' if size is None else 'o'}2, ...,{'s' if size is None else 'o'}K) format."
        )
    if size is None:
        sizes = tuple(math.floor(float(n) * float(v)) for n, v in zip(input.shape[2:], values, strict=True))
        return sizes, tuple(float(v) for v in values)
    if not all(hasattr(v, "__index__") for v in values):
        raise TypeError(
            "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, int], "
            f"but got size with types {[type(v) for v in values]}"
        )
    return tuple(int(v) for v in values), ()


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


# --- sampling ---


@in_float32
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Sample an image at the places of a grid.

    Args:
        input: shape (N, C, H, W) or (N, C, D, H, W).
        grid: places (x, y) or (x, y, z) from -1 to 1 over the image, shape (N, H_out, W_out, 2) or
            (N, D_out, H_out, W_out, 3).
        mode: "bilinear" (for volumes: trilinear), "nearest" or, for images, "bicubic".
        padding_mode: what is outside: "zeros", "border" (the edge) or "reflection".
        align_corners: whether -1 and 1 are the centres of the corner elements, rather than their outer edges.
            Default: False.

    Shape:
        The result is (N, C, H_out, W_out) or (N, C, D_out, H_out, W_out).

    Raises:
        ValueError: an unknown `mode` or `padding_mode`.
        RuntimeError: shapes or dtypes that do not go together.

    Jaderberg et al., Spatial Transformer Networks (2015).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> image = fastnn.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> F.grid_sample(image, fastnn.zeros(1, 1, 1, 2), align_corners=True)
        tensor([[[[2.5000]]]])
    """
    if align_corners is None:
        _warn_about_corners()
    return _nn._grid_sample(input, grid, mode, padding_mode, align_corners)


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid with which `grid_sample` applies affine maps.

    Args:
        theta: maps from places in the result to places in the image, shape (N, 2, 3) or (N, 3, 4).
        size: of the result, (N, C, H, W) or (N, C, D, H, W).
        align_corners: as in `grid_sample`. Default: False.

    Shape:
        The result is (N, H, W, 2) or (N, D, H, W, 3).

    Raises:
        ValueError: `theta` has another shape, or is not floating.
        NotImplementedError: `size` has another length.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.affine_grid(fastnn.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 1, 2), align_corners=False)
        tensor([[[[-0.5000,  0.0000],
                  [ 0.5000,  0.0000]]]])
    """
    if align_corners is None:
        _warn_about_corners()
    elif align_corners and len(size) in (4, 5) and min(size[2:]) == 1:
        warnings.warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when align_corners=True. "
            "This is not an intended use case of affine_grid. See the documentation of affine_grid for details.",
            stacklevel=2,
        )
    return _nn._affine_grid(theta, list(size), align_corners)


def _warn_about_corners() -> None:
    warnings.warn(
        "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please specify "
        "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details.",
        stacklevel=3,
    )
