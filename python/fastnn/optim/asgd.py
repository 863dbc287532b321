"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _C

from ._fused import FusedOptimizer, as_number, column, decayed, number
from .optimizer import _check_rate, _plain

if TYPE_CHECKING:
    from fastnn._C import Tensor

    from .optimizer import ParamsT

__all__ = ["ASGD"]


class ASGD(FusedOptimizer):
    """Stochastic gradient descent that also keeps the average of the parameters.

    With gradient g (negated if `maximize`), parameter p, its average a and step number t, a step is

        g <- g + weight_decay * p
        p <- p - eta * (g + lambd * p)
        a <- p while mu is 1, then a + mu * (p - a)
        eta <- lr / (1 + lambd * lr * t)^alpha
        mu <- 1 / max(1, t - t0)

    The state of a parameter is `step`, `eta`, `mu` and `ax` (a); eta starts at lr, mu at 1. A parameter that does
    not require a gradient, or has none, is left alone (see `Optimizer`).

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts that describe groups.
        lr: learning rate, a number or a 1-element tensor.
        lambd: decay of the parameters and of the learning rate.
        alpha: power with which the learning rate falls.
        t0: step after which averaging begins.
        weight_decay: L2 penalty.
        foreach, capturable: accepted for PyTorch's sake; a step is one call for all tensors either way.
        maximize: go up the gradient instead of down.
        differentiable: record the step for autograd; parameters must not be leaves then.

    Raises:
        ValueError: a rate is negative.

    Example:
        >>> import fastnn
        >>> weight = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = fastnn.optim.ASGD([weight], lr=0.1)
        >>> (weight * fastnn.tensor([1.0, -3.0])).sum().backward()
        >>> optimizer.step()
        >>> weight
        tensor([0.9000, 2.3000], requires_grad=True)

    Source: Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992.
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
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        _check_rate("lr", lr)
        _check_rate("weight_decay", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "lambd": lambd,
                "alpha": alpha,
                "t0": t0,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _start(self, entry: dict[str, Any], param: Tensor, group: dict[str, Any]) -> None:
        entry["step"] = number(0)
        entry["eta"] = number(_plain(group["lr"]))
        entry["mu"] = number(1)
        entry["ax"] = _C.zeros_like(param)

    def _launch(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Any]]
    ) -> None:
        _C._asgd_step(
            params,
            grads,
            column(entries, "ax"),
            column(entries, "eta"),
            column(entries, "mu"),
            column(entries, "step"),
            lr=_plain(group["lr"]),
            lambd=_plain(group["lambd"]),
            alpha=_plain(group["alpha"]),
            t0=_plain(group["t0"]),
            weight_decay=_plain(group["weight_decay"]),
            maximize=group["maximize"],
        )

    def _record(self, group: dict[str, Any], param: Tensor, grad: Tensor, entry: dict[str, Any]) -> None:
        lambd, step = group["lambd"], entry["step"].item()
        eta, mu = entry["eta"].item(), entry["mu"].item()
        grad = decayed(group, param, grad)
        param.mul_(1 - lambd * eta)
        param.sub_(eta * grad)
        entry["ax"] = param.clone() if mu == 1 else entry["ax"] + (param - entry["ax"]) * mu
        lr = _plain(group["lr"])
        entry["eta"].fill_(lr / (1 + lambd * lr * step) ** group["alpha"])
        entry["mu"].fill_(1 / max(1, step - group["t0"]))

    def _restore(self, entry: dict[str, Any]) -> None:
        for key in ("step", "eta", "mu"):
            as_number(entry, key)
