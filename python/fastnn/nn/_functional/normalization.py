"""Normalisations composed of batch_norm, layer_norm and reductions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastnn._C import Tensor
from fastnn._C import nn as _nn

from fastnn import _C

if TYPE_CHECKING:
    from collections.abc import Sequence


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """`x * weight + bias` with one value of each per channel, dimension 1."""
    shape = (1, -1) + (1,) * (x.dim() - 2)
    if weight is not None:
        x = x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each group of channels of each sample to mean 0 and variance 1.

    Args:
        input: shape (N, C, *).
        num_groups: a divisor of C.
        weight, bias: a factor and a summand per channel, shape (C,).
        eps: added to the variance.

    Raises:
        RuntimeError: `num_groups` does not divide C, or the weights are not of shape (C,).

    Wu and He, Group Normalization (2018).
    """
    if input.dim() < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.dim()}")
    channels = input.size(1)
    if num_groups <= 0 or channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={num_groups}"
        )
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and tuple(value.shape) != (channels,):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, but got "
                f"{name} of shape {list(value.shape)} and input of shape {list(input.shape)}"
            )
    if input.numel() == 0:
        return _affine(input, weight, bias)
    grouped = input.reshape(input.size(0), num_groups, -1)
    normalized = _nn.layer_norm(grouped, (grouped.size(-1),), None, None, eps)
    return _affine(normalized.reshape(input.shape), weight, bias)


def rms_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """Divide by the root of the mean square over the last dimensions, `x / sqrt(mean(x**2) + eps) * weight`.

    Args:
        input: shape (*, *normalized_shape).
        normalized_shape: the sizes of the dimensions to normalise over.
        weight: a factor per element of `normalized_shape`.
        eps: added to the mean square; by default the machine epsilon of the dtype.

    Raises:
        RuntimeError: `input` does not end in `normalized_shape`.

    Zhang and Sennrich, Root Mean Square Layer Normalization (2019).
    """
    shape = tuple(normalized_shape)
    count = len(shape)
    if tuple(input.shape[input.dim() - count :]) != shape or input.dim() < count:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    x = input.float() if input.dtype in (_C.float16, _C.bfloat16) else input
    smallest = _C.finfo(x.dtype).eps if eps is None else eps
    mean_square = (x * x).mean(tuple(range(-count, 0)), keepdim=True)
    normalized = x * (mean_square + smallest).rsqrt()
    if weight is not None:
        normalized = normalized * weight
    return normalized.to(input.dtype)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of each sample to mean 0 and variance 1.

    Args:
        input: shape (N, C, *).
        running_mean, running_var: shape (C,); updated if `use_input_stats`, else used.
        weight, bias: a factor and a summand per channel, shape (C,).
        use_input_stats: whether the statistics are those of `input`.
        momentum: the share of the new statistics in an update.
        eps: added to the variance.

    Ulyanov et al., Instance Normalization (2016).
    """
    if not use_input_stats:
        return _nn.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    samples, channels = input.size(0), input.size(1)
    spatial = input.shape[2:]
    if math.prod(spatial) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.size()}")
    # One batch of one sample with N * C channels; running statistics are the mean over the samples.
    mean = None if running_mean is None else running_mean.repeat(samples)
    var = None if running_var is None else running_var.repeat(samples)
    merged = input.reshape(1, samples * channels, *spatial)
    normalized = _nn.batch_norm(merged, mean, var, None, None, True, momentum, eps).reshape(input.shape)
    for running, updated in ((running_mean, mean), (running_var, var)):
        if running is not None and updated is not None:
            running.copy_(updated.reshape(samples, channels).mean(0))
    return _affine(normalized, weight, bias)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Divide by `(k + alpha * mean of x**2 over `size` neighbouring channels)**beta`.

    Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks (2012).
    """
    if input.dim() < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.dim()} dimensions)")
    if input.numel() == 0:
        return input
    square = (input * input).reshape(input.size(0), 1, input.size(1), -1)
    padded = _nn.pad(square, (0, 0, size // 2, (size - 1) // 2))
    mean = _nn.avg_pool2d(padded, (size, 1), 1).reshape(input.shape)
    return input / (mean * alpha + k) ** beta
