"""Fill tensors with initial values; every function works in place, without gradient, and returns the tensor."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, TypeVar

from fastnn import _C, no_grad
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._C import Generator

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

F = TypeVar("F", bound="Callable[..., Any]")

_LINEAR_KINDS = frozenset(
    {
        "linear",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "sigmoid",
    }
)


def _without_grad(function: F) -> F:
    """Run `function` with gradients off."""
    wrapped: F = no_grad()(function)
    return wrapped


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor by which a nonlinearity's weights are scaled to keep the variance.

    Args:
        nonlinearity: "linear", "sigmoid", "conv2d" and the like (1), "tanh" (5/3), "relu" (sqrt(2)),
            "leaky_relu" (sqrt(2 / (1 + slope**2))) or "selu" (3/4).
        param: the slope of "leaky_relu". Default: 0.01.

    Raises:
        ValueError: the nonlinearity is unknown, or the slope is no number.

    Example:
        >>> from fastnn import nn
        >>> nn.init.calculate_gain("leaky_relu", 0.2)
        1.3867504905630728
    """
    if nonlinearity in _LINEAR_KINDS:
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is None:
            slope = 0.01
        elif isinstance(param, (int, float)) and not isinstance(param, bool):
            slope = param
        else:
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity == "selu":
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


@_without_grad
def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with draws from the uniform distribution over [a, b).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> bool(nn.init.uniform_(fastnn.empty(2, 2), 1.0, 2.0).min() >= 1)
        True
    """
    return tensor.uniform_(a, b, generator=generator)


@_without_grad
def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with draws from the normal distribution.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.init.normal_(fastnn.empty(2, 2)).shape
        torch.Size([2, 2])
    """
    return tensor.normal_(mean, std, generator=generator)


# trunc_normal_ draws from the normal distribution if this share of it is inside the bounds.
_ENOUGH_INSIDE = 0.3


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


@_without_grad
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with draws from the normal distribution, restricted to [a, b].

    Example:
        >>> import fastnn; from fastnn import nn
        >>> bool(nn.init.trunc_normal_(fastnn.empty(1000), std=0.02, a=-0.04, b=0.04).abs().max() <= 0.04)
        True
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=3,
        )
    if tensor.is_meta:
        return tensor
    inside = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std)
    if inside > _ENOUGH_INSIDE:
        # Bounds as the dtype has them, so that a value at a bound is inside.
        low, high = (tensor.new_tensor(bound).item() for bound in (a, b))
        return _reject(
            tensor,
            lambda values: values.normal_(mean, std, generator=generator),
            lambda values: (values < low) | (values > high),
        )
    # Few normal draws would be inside: draw uniformly, and accept with the density over its maximum.
    peak = -0.5 * ((max(a, min(mean, b)) - mean) / std) ** 2

    def too_rare(values: Tensor) -> Tensor:
        log_density = values.sub(mean).div_(std).pow_(2).mul_(-0.5).sub_(peak)
        return _C.empty_like(values).uniform_(generator=generator).log_() > log_density

    return _reject(tensor, lambda values: values.uniform_(a, b, generator=generator), too_rare)


def _reject(tensor: Tensor, draw: Callable[[Tensor], Tensor], rejected: Callable[[Tensor], Tensor]) -> Tensor:
    """Fill `tensor` by `draw`, and draw again in the places that are rejected."""
    result = draw(tensor)
    pending = rejected(result)
    while bool(pending.any()):
        candidates = draw(_C.empty_like(tensor))
        result = _C.where(pending, candidates, result)
        pending = pending & rejected(candidates)
    return tensor if result is tensor else tensor.copy_(result)


@_without_grad
def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with `val`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.init.constant_(fastnn.empty(2), 0.5)
        tensor([0.5000, 0.5000])
    """
    return tensor.fill_(val)


@_without_grad
def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.init.ones_(fastnn.empty(2))
        tensor([1., 1.])
    """
    return tensor.fill_(1.0)


@_without_grad
def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.init.zeros_(fastnn.empty(2))
        tensor([0., 0.])
    """
    return tensor.zero_()


@_without_grad
def eye_(tensor: Tensor) -> Tensor:
    """Fill a matrix with the identity.

    Raises:
        ValueError: the tensor does not have 2 dimensions.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.init.eye_(fastnn.empty(2, 2))
        tensor([[1., 0.],
                [0., 1.]])
    """
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return tensor.copy_(_C.eye(*tensor.shape))


@_without_grad
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Fill the weight of a convolution so that it passes its input channels on, as many as fit.

    Args:
        tensor: shape (out, in, *), with 3, 4 or 5 dimensions.
        groups: the groups of the convolution.

    Raises:
        ValueError: the number of dimensions is another, or `groups` does not divide out.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.init.dirac_(fastnn.empty(2, 2, 1)).squeeze(-1)
        tensor([[1., 0.],
                [0., 1.]])
    """
    if tensor.dim() not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.size(0) % groups:
        raise ValueError("dim 0 must be divisible by groups")
    out_per_group = tensor.size(0) // groups
    tensor.zero_()
    centre = tuple(size // 2 for size in tensor.shape[2:])
    for group in range(groups):
        for channel in range(min(out_per_group, tensor.size(1))):
            tensor[(group * out_per_group + channel, channel, *centre)] = 1
    return tensor


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output has, and the reverse, for the weight of a linear layer or convolution."""
    if tensor.dim() < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    field = math.prod(tensor.shape[2:])
    return tensor.size(1) * field, tensor.size(0) * field


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return fan_in if mode == "fan_in" else fan_out


@_without_grad
def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill from the uniform distribution over [-a, a], `a = gain * sqrt(6 / (fan_in + fan_out))`.

    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks (2010).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.init.xavier_uniform_(fastnn.empty(2, 2)).shape
        torch.Size([2, 2])
    """
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return tensor.uniform_(-bound, bound, generator=generator)


@_without_grad
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill from the normal distribution with `std = gain * sqrt(2 / (fan_in + fan_out))`.

    Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks (2010).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.init.xavier_normal_(fastnn.empty(2, 2)).shape
        torch.Size([2, 2])
    """
    return tensor.normal_(0.0, _xavier_std(tensor, gain), generator=generator)


def _xavier_std(tensor: Tensor, gain: float) -> float:
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return gain * math.sqrt(2.0 / float(fan_in + fan_out))


def _is_empty(tensor: Tensor) -> bool:
    if 0 not in tensor.shape:
        return False
    warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=4)
    return True


@_without_grad
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill from the uniform distribution over [-b, b], `b = gain * sqrt(3 / fan)`.

    Args:
        tensor: a weight, shape (out, in, *).
        a: the slope of the leaky ReLU that follows.
        mode: "fan_in" keeps the variance of the forward pass, "fan_out" that of the backward pass.
        nonlinearity: what follows, as in `calculate_gain`.
        generator: where the numbers come from.

    He et al., Delving Deep into Rectifiers (2015).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.init.kaiming_uniform_(fastnn.empty(2, 2), nonlinearity="relu").shape
        torch.Size([2, 2])
    """
    if _is_empty(tensor):
        return tensor
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return tensor.uniform_(-bound, bound, generator=generator)


@_without_grad
def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Fill from the normal distribution with `std = gain / sqrt(fan)`; arguments as `kaiming_uniform_`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.init.kaiming_normal_(fastnn.empty(2, 2), mode="fan_out").shape
        torch.Size([2, 2])
    """
    if _is_empty(tensor):
        return tensor
    return tensor.normal_(0, _kaiming_std(tensor, a, mode, nonlinearity), generator=generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    return calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))


@_without_grad
def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Fill with a (semi-)orthogonal matrix, times `gain`; dimensions after the first count as columns.

    Raises:
        ValueError: the tensor has fewer than 2 dimensions.

    Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear neural networks (2013).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> w = nn.init.orthogonal_(fastnn.empty(3, 5))
        >>> bool((w @ w.t() - fastnn.eye(3)).abs().max() < 1e-5)
        True
    """
    if tensor.dim() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.size(0)
    cols = tensor.numel() // rows
    flattened = tensor.new_empty((rows, cols)).normal_(0, 1, generator=generator)
    tall = flattened.t() if rows < cols else flattened
    q, r = _C.linalg.qr(tall)
    q = q * r.diagonal().sign()  # R with a positive diagonal is unique
    if rows < cols:
        q = q.t()
    return tensor.copy_(q.reshape(tensor.shape)).mul_(gain)


@_without_grad
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Fill a matrix from the normal distribution, and set a share of each column to zero.

    Args:
        tensor: a matrix.
        sparsity: the share of zeros in each column.
        std: the standard deviation of the others.
        generator: where the numbers come from; the places of the zeros come from the default generator.

    Raises:
        ValueError: the tensor does not have 2 dimensions.

    Martens, Deep learning via Hessian-free optimization (2010).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> int((nn.init.sparse_(fastnn.empty(10, 1), 0.3) == 0).sum())
        3
    """
    if tensor.dim() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, cols = tensor.shape
    zeros = math.ceil(sparsity * rows)
    tensor.normal_(0, std, generator=generator)
    for col in range(cols):
        tensor[_C.randperm(rows)[:zeros], col] = 0
    return tensor


def _deprecated(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The old name of `function`, without the underscore."""
    new_name = function.__name__
    old_name = new_name[:-1]

    def run(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{old_name}` is now deprecated in favor of `nn.init.{new_name}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    run.__name__ = run.__qualname__ = old_name
    run.__doc__ = f"Old name of `{new_name}`."
    return run


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
