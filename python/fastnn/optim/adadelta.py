"""Adadelta."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _C

from ._fused import FusedOptimizer, column, decayed, number
from .optimizer import _check_rate, _plain

if TYPE_CHECKING:
    from fastnn._C import Tensor

    from .optimizer import ParamsT

__all__ = ["Adadelta"]


class Adadelta(FusedOptimizer):
    """Adadelta: steps as large as the recent steps, over the recent gradients.

    With gradient g (negated if `maximize`), parameter p, running averages v of g^2 and u of the squared step, a step is

        g <- g + weight_decay * p
        v <- rho * v + (1 - rho) * g * g
        delta <- sqrt(u + eps) / sqrt(v + eps) * g
        u <- rho * u + (1 - rho) * delta * delta
        p <- p - lr * delta

    The state of a parameter is `step`, `square_avg` (v) and `acc_delta` (u). A parameter that does not require a
    gradient, or has none, is left alone (see `Optimizer`).

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts that describe groups.
        lr: learning rate, a number or a 1-element tensor.
        rho: decay of the running averages, in [0, 1].
        eps: added under the square roots.
        weight_decay: L2 penalty.
        foreach, capturable: accepted for PyTorch's sake; a step is one call for all tensors either way.
        maximize: go up the gradient instead of down.
        differentiable: record the step for autograd; parameters must not be leaves then.

    Raises:
        ValueError: a rate is negative, or `rho` is not in [0, 1].

    Example:
        >>> import fastnn
        >>> weight = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = fastnn.optim.Adadelta([weight], lr=1.0)
        >>> (weight * fastnn.tensor([1.0, -3.0])).sum().backward()
        >>> optimizer.step()
        >>> weight
        tensor([0.9968, 2.0032], requires_grad=True)

    Source: Zeiler, "ADADELTA: An Adaptive Learning Rate Method", 2012.
    """

    _later_options: ClassVar[dict[str, Any]] = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        _check_rate("lr", lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        _check_rate("eps", eps)
        _check_rate("weight_decay", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "rho": rho,
                "eps": eps,
                "weight_decay": weight_decay,
                "maximize": maximize,
                "capturable": capturable,
                "foreach": foreach,
                "differentiable": differentiable,
            },
        )

    def _start(self, entry: dict[str, Any], param: Tensor, group: dict[str, Any]) -> None:
        entry["step"] = number(0)
        entry["square_avg"] = _C.zeros_like(param)
        entry["acc_delta"] = _C.zeros_like(param)

    def _launch(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Any]]
    ) -> None:
        _C._adadelta_step(
            params,
            grads,
            column(entries, "square_avg"),
            column(entries, "acc_delta"),
            column(entries, "step"),
            lr=_plain(group["lr"]),
            rho=_plain(group["rho"]),
            eps=_plain(group["eps"]),
            weight_decay=_plain(group["weight_decay"]),
            maximize=group["maximize"],
        )

    def _record(self, group: dict[str, Any], param: Tensor, grad: Tensor, entry: dict[str, Any]) -> None:
        rho, eps = group["rho"], group["eps"]
        grad = decayed(group, param, grad)
        square = entry["square_avg"] = rho * entry["square_avg"] + (1 - rho) * grad * grad
        delta = (entry["acc_delta"] + eps).sqrt() / (square + eps).sqrt() * grad
        entry["acc_delta"] = rho * entry["acc_delta"] + (1 - rho) * delta * delta
        param.sub_(group["lr"] * delta)
