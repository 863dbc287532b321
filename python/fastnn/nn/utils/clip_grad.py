"""Limit the size of gradients before a step."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from fastnn import _C, no_grad
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable

    Tensors = Tensor | Iterable[Tensor]

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]

# Keeps the factor max_norm / norm finite for gradients that are all zero.
_NORM_EPSILON = 1e-6


def _as_list(parameters: Tensors) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def get_total_norm(
    tensors: Tensors,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Return the norm of all elements of all tensors, as if they were one vector.

    Args:
        tensors: one tensor, or an iterable of them.
        norm_type: the p of the p-norm; `inf` for the largest absolute value.
        error_if_nonfinite: whether a norm that is not finite is an error.
        foreach: accepted for compatibility; there is one implementation.

    Raises:
        RuntimeError: the norm is not finite, with `error_if_nonfinite`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.utils.get_total_norm([fastnn.tensor([3.0]), fastnn.tensor([4.0])])
        tensor(5.)
    """
    norm_type = float(norm_type)
    listed = _as_list(tensors)
    if not listed:
        return _C.tensor(0.0)
    with no_grad():
        norms = _C.stack([tensor.norm(norm_type) for tensor in listed])
        total = norms.norm(norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot "
            "be clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiply the gradients by `max_norm / total_norm`, if that is below 1.

    Args:
        parameters: one tensor, or an iterable of them.
        max_norm: the norm that the gradients may have.
        total_norm: the norm that they have.
        foreach: accepted for compatibility; there is one implementation.
    """
    grads = [p.grad for p in _as_list(parameters) if p.grad is not None]
    if not grads:
        return
    with no_grad():
        # A tensor, so that a NaN or infinite norm shows in the gradients rather than being hidden.
        factor = (float(max_norm) / (total_norm + _NORM_EPSILON)).clamp(max=1.0)
        for grad in grads:
            grad.mul_(factor)


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients down, in place, so that their norm together is at most `max_norm`.

    Args:
        parameters: one tensor, or an iterable of them, whose gradients are scaled.
        max_norm: the largest norm.
        norm_type: the p of the p-norm; `inf` for the largest absolute value.
        error_if_nonfinite: whether a norm that is not finite is an error.
        foreach: accepted for compatibility; there is one implementation.

    Returns:
        The norm before scaling, a 0-d tensor.

    Raises:
        RuntimeError: the norm is not finite, with `error_if_nonfinite`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> w = nn.Parameter(fastnn.zeros(2))
        >>> w.grad = fastnn.tensor([3.0, 4.0])
        >>> nn.utils.clip_grad_norm_([w], max_norm=1.0)
        tensor(5.)
        >>> w.grad
        tensor([0.6000, 0.8000])
    """
    listed = _as_list(parameters)
    grads = [p.grad for p in listed if p.grad is not None]
    total = get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(listed, max_norm, total, foreach)
    return total


def clip_grad_norm(*args: Any, **kwargs: Any) -> Tensor:
    """Old name of `clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(*args, **kwargs)


def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Limit every element of the gradients, in place, to [-clip_value, clip_value].

    Args:
        parameters: one tensor, or an iterable of them.
        clip_value: the largest absolute value.
        foreach: accepted for compatibility; there is one implementation.
    """
    clip_value = float(clip_value)
    with no_grad():
        for param in _as_list(parameters):
            if param.grad is not None:
                param.grad.clamp_(min=-clip_value, max=clip_value)
