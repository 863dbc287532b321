"""Activations with randomness or weights, and dropout of whole channels."""

from __future__ import annotations

import warnings

from fastnn import _C
from fastnn._autocast import in_lower_precision
from fastnn._C import Tensor
from fastnn._C import nn as _nn

from ._common import maybe_inplace

# Klambauer et al., Self-Normalizing Neural Networks (2017): the fixed point of mean 0 and variance 1.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


@in_lower_precision
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Apply `max(0, x) + weight * min(0, x)` to each element.

    Args:
        input: shape (N, C, *), or any shape if `weight` has one element.
        weight: the slope, shape (C,) or (1,).

    Raises:
        RuntimeError: the number of weights is neither 1 nor C.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.prelu(fastnn.tensor([-1.0, 2.0]), fastnn.tensor([0.5]))
        tensor([-0.5000,  2.0000])
    """
    if weight.numel() != 1:
        channels = input.size(1) if input.dim() > 1 else input.size(0) if input.dim() == 1 else 1
        if input.dim() == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        if channels != weight.numel():
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.numel()} and channel size = {channels}."
            )
    if weight.dim() > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.dim()}")
    if input.dim() > 1:
        weight = weight.reshape((1, -1) + (1,) * (input.dim() - 2))
    elif input.dim() == 0:
        weight = weight.reshape(())
    return _C.where(input > 0, input, weight * input)


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """Multiply negative elements by a random slope from [lower, upper]; in evaluation by their mean.

    Xu et al., Empirical Evaluation of Rectified Activations in Convolution Network (2015).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.rrelu(fastnn.tensor([-1.0, 2.0]), 0.1, 0.3)
        tensor([-0.2000,  2.0000])
    """
    if lower > upper:
        raise RuntimeError(f"Lower bound should be less than or equal to the upper bound, got {lower} and {upper}")
    if not training:
        return _nn.leaky_relu(input, (lower + upper) / 2, inplace)
    # One float64 draw for each element that needs one: the numbers that PyTorch draws.
    below = input <= 0
    drawn = _C.empty((int(below.sum()),), dtype=_C.float64).uniform_(lower, upper)
    slope = _C.ones_like(input, requires_grad=False)
    slope[below] = drawn.to(input.dtype)
    return maybe_inplace(lambda x: x * slope, input, inplace)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Halve `input` along `dim` into a and b, and return `a * sigmoid(b)` (Dauphin et al., 2017).

    Raises:
        RuntimeError: the size along `dim` is odd.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.glu(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.8808])
    """
    if input.dim() == 0:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    axis = dim % input.dim() if -input.dim() <= dim < input.dim() else dim
    size = input.size(dim)
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {axis} is size {size}")
    value, gate = input.narrow(dim, 0, size // 2), input.narrow(dim, size // 2, size // 2)
    return value * gate.sigmoid()


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """Sample from the Gumbel-softmax distribution along `dim`.

    Args:
        logits: unnormalised log probabilities, shape (*, classes).
        tau: temperature, above 0.
        hard: whether the samples are one-hot; the gradient stays that of the soft ones.
        eps: ignored, kept for old code.
        dim: the dimension of the classes. Default: -1.

    Jang et al., Categorical Reparameterization with Gumbel-Softmax (2017).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.gumbel_softmax(fastnn.zeros(4), hard=True).sum().item()
        1.0
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    gumbels = -_C.empty_like(logits).exponential_().log()
    soft = _C.softmax((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot_samples = _C.zeros_like(logits).scatter_(dim, index, 1.0)
    return one_hot_samples - soft.detach() + soft


# --- dropout of whole channels ---


def _check_probability(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _channel_mask(input: Tensor, p: float) -> Tensor:
    """Per sample and channel 0 with probability p, else 1 / (1 - p); broadcasts against `input`."""
    shape = (*input.shape[:2], *(1,) * (input.dim() - 2))
    return _nn.dropout(_C.ones(shape, dtype=input.dtype), p, True)


def _feature_dropout(input: Tensor, p: float, training: bool, inplace: bool, spatial: int) -> Tensor:
    """Zero whole channels of an input of shape (N, C, *) or, with one dimension less, (C, *)."""
    _check_probability(p)
    if not training or p == 0:
        return input
    batched = input if input.dim() != spatial + 1 else input.unsqueeze(0)
    mask = _channel_mask(batched, p)
    if batched is not input:
        mask = mask.squeeze(0)
    return input.mul_(mask) if inplace else input * mask


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of an input of shape (N, C, L) or (C, L) with probability `p`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.dropout1d(fastnn.ones(1, 2, 1), training=False).flatten()
        tensor([1., 1.])
    """
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. "
            "Note that dropout1d exists to provide channel-wise dropout on inputs with 1 "
            "spatial dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    return _feature_dropout(input, p, training, inplace, 1)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of an input of shape (N, C, H, W) with probability `p` (Tompson et al., 2015).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.dropout2d(fastnn.ones(1, 2, 1, 1), training=False).flatten()
        tensor([1., 1.])
    """
    if input.dim() not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {input.dim()}-D input to dropout2d, which is deprecated "
            "and will result in an error in a future release. To retain the behavior "
            "and silence this warning, please use dropout instead. Note that dropout2d "
            "exists to provide channel-wise dropout on inputs with 2 spatial dimensions, "
            "a channel dimension, and an optional batch dimension (i.e. 3D or 4D inputs).",
            stacklevel=2,
        )
    if input.dim() == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior "
            "is desired - input is interpreted as shape (N, C, L), where C is the channel dim. This behavior "
            "will change in a future release to interpret the input as one without a batch dimension, i.e. "
            "shape (C, H, W). To maintain the 1D channel-wise dropout behavior, please switch to using "
            "dropout1d instead.",
            stacklevel=2,
        )
    return _feature_dropout(input, p, training, inplace, 0 if input.dim() == 3 else 2)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of an input of shape (N, C, D, H, W) or (C, D, H, W) with probability `p`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.dropout3d(fastnn.ones(1, 2, 1, 1, 1), training=False).flatten()
        tensor([1., 1.])
    """
    if input.dim() not in (4, 5):
        warnings.warn(
            f"dropout3d: Received a {input.dim()}-D input to dropout3d, which is deprecated "
            "and will result in an error in a future release. To retain the behavior "
            "and silence this warning, please use dropout instead. Note that dropout3d "
            "exists to provide channel-wise dropout on inputs with 3 spatial dimensions, "
            "a channel dimension, and an optional batch dimension (i.e. 4D or 5D inputs).",
            stacklevel=2,
        )
    return _feature_dropout(input, p, training, inplace, 3)


def _alpha_dropout(input: Tensor, p: float, training: bool, inplace: bool, by_channel: bool) -> Tensor:
    _check_probability(p)
    if not training or p == 0:
        return input
    if p == 1:
        return input.mul_(0) if inplace else input * 0
    mask = _channel_mask(input, p) if by_channel else _nn.dropout(_C.ones_like(input), p, True)
    keep = (mask != 0).to(input.dtype)
    saturated = -SELU_SCALE * SELU_ALPHA
    scale = ((1 - p) * (1 + p * saturated**2)) ** -0.5
    shift = -scale * p * saturated
    return maybe_inplace(lambda x: scale * (x * keep + saturated * (1 - keep)) + shift, input, inplace)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Set elements to the saturation value of SELU, keeping mean and variance (Klambauer et al., 2017).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.alpha_dropout(fastnn.ones(1, 2), training=False).flatten()
        tensor([1., 1.])
    """
    return _alpha_dropout(input, p, training, inplace, by_channel=False)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Alpha dropout of whole channels of an input of shape (N, C, *).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.feature_alpha_dropout(fastnn.ones(1, 2, 1), training=False).flatten()
        tensor([1., 1.])
    """
    return _alpha_dropout(input, p, training, inplace, by_channel=True)
