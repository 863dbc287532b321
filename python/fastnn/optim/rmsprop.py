"""RMSprop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _C

from ._fused import FusedOptimizer, column, decayed, number
from .optimizer import _check_rate, _plain

if TYPE_CHECKING:
    from fastnn._C import Tensor

    from .optimizer import ParamsT

__all__ = ["RMSprop"]


class RMSprop(FusedOptimizer):
    """RMSprop: steps scaled by a running average of the squared gradient.

    With gradient g (negated if `maximize`) and parameter p, a step is

        g <- g + weight_decay * p
        v <- alpha * v + (1 - alpha) * g * g
        a <- alpha * a + (1 - alpha) * g                    with centered, else a = 0
        delta <- g / (sqrt(v - a * a) + eps)
        delta <- b <- momentum * b + delta                  with momentum
        p <- p - lr * delta

    The state of a parameter is `step`, `square_avg` (v), `momentum_buffer` (b) and `grad_avg` (a), the last two
    only where used. A parameter that does not require a gradient, or has none, is left alone (see `Optimizer`).

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts that describe groups.
        lr: learning rate, a number or a 1-element tensor.
        alpha: decay of the running averages.
        eps: added to the denominator.
        weight_decay: L2 penalty.
        momentum: factor of the buffer; 0 keeps no buffer.
        centered: scale by the variance of the gradient instead.
        capturable, foreach: accepted for PyTorch's sake; a step is one call for all tensors either way.
        maximize: go up the gradient instead of down.
        differentiable: record the step for autograd; parameters must not be leaves then.

    Raises:
        ValueError: a rate is negative.

    Example:
        >>> import fastnn
        >>> weight = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = fastnn.optim.RMSprop([weight], lr=0.1, alpha=0.75)
        >>> (weight * fastnn.tensor([1.0, -3.0])).sum().backward()
        >>> optimizer.step()
        >>> weight
        tensor([0.8000, 2.2000], requires_grad=True)

    Source: Hinton, "Neural Networks for Machine Learning", lecture 6e; centered: Graves, "Generating Sequences With
    Recurrent Neural Networks", 2013.
    """

    _later_options: ClassVar[dict[str, Any]] = {
        "momentum": 0,
        "centered": False,
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        _check_rate("lr", lr)
        _check_rate("eps", eps)
        _check_rate("momentum", momentum)
        _check_rate("weight_decay", weight_decay)
        _check_rate("alpha", alpha)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "alpha": alpha,
                "eps": eps,
                "centered": centered,
                "weight_decay": weight_decay,
                "capturable": capturable,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
            },
        )

    def _start(self, entry: dict[str, Any], param: Tensor, group: dict[str, Any]) -> None:
        entry["step"] = number(0)
        entry["square_avg"] = _C.zeros_like(param)
        if group["momentum"] > 0:
            entry["momentum_buffer"] = _C.zeros_like(param)
        if group["centered"]:
            entry["grad_avg"] = _C.zeros_like(param)

    def _launch(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Any]]
    ) -> None:
        momentum = _plain(group["momentum"])
        centered = group["centered"]
        _C._rmsprop_step(
            params,
            grads,
            column(entries, "square_avg"),
            column(entries, "grad_avg") if centered else [],
            column(entries, "momentum_buffer") if momentum > 0 else [],
            column(entries, "step"),
            lr=_plain(group["lr"]),
            alpha=_plain(group["alpha"]),
            eps=_plain(group["eps"]),
            weight_decay=_plain(group["weight_decay"]),
            momentum=momentum,
            centered=centered,
            maximize=group["maximize"],
        )

    def _record(self, group: dict[str, Any], param: Tensor, grad: Tensor, entry: dict[str, Any]) -> None:
        alpha = group["alpha"]
        grad = decayed(group, param, grad)
        variance = entry["square_avg"] = alpha * entry["square_avg"] + (1 - alpha) * grad * grad
        if group["centered"]:
            mean = entry["grad_avg"] = entry["grad_avg"] + (1 - alpha) * (grad - entry["grad_avg"])
            variance = variance - mean * mean
        delta = grad / (variance.sqrt() + group["eps"])
        if group["momentum"] > 0:
            delta = entry["momentum_buffer"] = group["momentum"] * entry["momentum_buffer"] + delta
        param.sub_(group["lr"] * delta)
