"""Activations, dropout of whole channels, and one-hot and Gumbel samples."""

from __future__ import annotations

import warnings

from fastnn._C import Tensor
from fastnn._C import nn as _nn

from fastnn import _C

from ._common import maybe_inplace

# Klambauer et al., Self-Normalizing Neural Networks (2017): the fixed point of mean 0 and variance 1.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """Apply `min(max(x, 0), 6)` to each element."""
    return _nn.hardtanh(input, 0.0, 6.0, inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """Apply `scale * (max(0, x) + min(0, alpha * (exp(x) - 1)))` to each element.

    The constants make mean 0 and variance 1 a fixed point (Klambauer et al., 2017).
    """
    return maybe_inplace(lambda x: SELU_SCALE * _nn.elu(x, SELU_ALPHA), input, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """Apply `max(0, x) + min(0, alpha * (exp(x / alpha) - 1))` to each element (Barron, 2017)."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")

    def formula(x: Tensor) -> Tensor:
        below = _C.where(x > 0, _C.zeros_like(x), x)
        return _C.where(x > 0, x, alpha * _C.expm1(below / alpha))

    return maybe_inplace(formula, input, inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """Apply `relu6(x + 3) / 6` to each element."""
    return maybe_inplace(lambda x: relu6(x + 3) / 6, input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """Apply `x * relu6(x + 3) / 6` to each element (Howard et al., 2019)."""
    return maybe_inplace(lambda x: x * relu6(x + 3) / 6, input, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """Apply `x * tanh(softplus(x))` to each element (Misra, 2019)."""
    return maybe_inplace(lambda x: x * _C.tanh(_nn.softplus(x)), input, inplace)


def softsign(input: Tensor) -> Tensor:
    """Apply `x / (1 + |x|)` to each element."""
    return input / (input.abs() + 1)


def tanhshrink(input: Tensor) -> Tensor:
    """Apply `x - tanh(x)` to each element."""
    return input - input.tanh()


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Keep elements outside [-lambd, lambd], and set the others to 0."""
    inside = (input >= -lambd) & (input <= lambd)
    return _C.where(inside, _C.zeros_like(input), input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Move every element towards 0 by `lambd`, and stop there."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    below = _C.where(input < -lambd, input + lambd, input * 0)
    return _C.where(input > lambd, input - lambd, below)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: _C.dtype | None = None) -> Tensor:
    """Apply softmax to `-x` along `dim`."""
    return _nn.softmax(-input, dim, _stacklevel, dtype)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Apply `max(0, x) + weight * min(0, x)` to each element.

    Args:
        input: shape (N, C, *), or any shape if `weight` has one element.
        weight: the slope, shape (C,) or (1,).

    Raises:
        RuntimeError: the number of weights is neither 1 nor C.
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
    """
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


def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """Return a tensor of shape (*input.shape, num_classes) with 1 at the class, 0 elsewhere.

    Args:
        input: int64 class numbers, any shape.
        num_classes: how many classes; -1 stands for the largest one plus 1.

    Raises:
        RuntimeError: a class is negative or not below `num_classes`, or `input` is not int64.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.one_hot(fastnn.tensor([0, 2]), num_classes=3)
        tensor([[1, 0, 0],
                [0, 0, 1]])
    """
    if input.dtype != _C.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if input.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return _C.zeros((*input.shape, num_classes), dtype=_C.int64)
    if int(input.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    largest = int(input.max())
    if num_classes == -1:
        num_classes = largest + 1
    elif num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    elif largest >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return _C.zeros((*input.shape, num_classes), dtype=_C.int64).scatter_(-1, input.unsqueeze(-1), 1)


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
    """Zero whole channels of an input of shape (N, C, L) or (C, L) with probability `p`."""
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. "
            "Note that dropout1d exists to provide channel-wise dropout on inputs with 1 "
            "spatial dimension, a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    return _feature_dropout(input, p, training, inplace, 1)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of an input of shape (N, C, H, W) with probability `p` (Tompson et al., 2015)."""
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
    """Zero whole channels of an input of shape (N, C, D, H, W) or (C, D, H, W) with probability `p`."""
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
    """Set elements to the saturation value of SELU, keeping mean and variance (Klambauer et al., 2017)."""
    return _alpha_dropout(input, p, training, inplace, by_channel=False)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Alpha dropout of whole channels of an input of shape (N, C, *)."""
    return _alpha_dropout(input, p, training, inplace, by_channel=True)
