"""Adamax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _C

from ._fused import FusedOptimizer, column, decayed, number
from .optimizer import _check_betas, _check_rate, _plain

if TYPE_CHECKING:
    from fastnn._C import Tensor

    from .optimizer import ParamsT

__all__ = ["Adamax"]


class Adamax(FusedOptimizer):
    """Adamax: Adam with the largest recent gradient in place of the running average of squares.

    With gradient g (negated if `maximize`), parameter p and step number t, a step is

        g <- g + weight_decay * p
        m <- m + (1 - beta1) * (g - m)
        u <- max(beta2 * u, |g| + eps)
        p <- p - lr / (1 - beta1^t) * m / u

    The state of a parameter is `step`, `exp_avg` (m) and `exp_inf` (u). A parameter that does not require a
    gradient, or has none, is left alone (see `Optimizer`).

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts that describe groups.
        lr: learning rate, a number or a 1-element tensor.
        betas: decay of the running average and of the largest gradient.
        eps: added to the size of the gradient.
        weight_decay: L2 penalty.
        foreach, capturable: accepted for PyTorch's sake; a step is one call for all tensors either way.
        maximize: go up the gradient instead of down.
        differentiable: record the step for autograd; parameters must not be leaves then.

    Raises:
        ValueError: a rate is negative, or a beta is not in [0, 1).

    Example:
        >>> import fastnn
        >>> weight = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = fastnn.optim.Adamax([weight], lr=0.1)
        >>> (weight * fastnn.tensor([1.0, -3.0])).sum().backward()
        >>> optimizer.step()
        >>> weight
        tensor([0.9000, 2.1000], requires_grad=True)

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015, section 7.
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
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        _check_rate("lr", lr)
        _check_rate("eps", eps)
        _check_betas(betas)
        _check_rate("weight_decay", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _start(self, entry: dict[str, Any], param: Tensor, group: dict[str, Any]) -> None:
        entry["step"] = number(0)
        entry["exp_avg"] = _C.zeros_like(param)
        entry["exp_inf"] = _C.zeros_like(param)

    def _launch(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Any]]
    ) -> None:
        beta1, beta2 = group["betas"]
        _C._adamax_step(
            params,
            grads,
            column(entries, "exp_avg"),
            column(entries, "exp_inf"),
            column(entries, "step"),
            lr=_plain(group["lr"]),
            beta1=_plain(beta1),
            beta2=_plain(beta2),
            eps=_plain(group["eps"]),
            weight_decay=_plain(group["weight_decay"]),
            maximize=group["maximize"],
        )

    def _record(self, group: dict[str, Any], param: Tensor, grad: Tensor, entry: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        grad = decayed(group, param, grad)
        average = entry["exp_avg"] = entry["exp_avg"] + (1 - beta1) * (grad - entry["exp_avg"])
        largest = entry["exp_inf"] = _C.maximum(beta2 * entry["exp_inf"], grad.abs() + group["eps"])
        param.sub_(group["lr"] / (1 - beta1 ** entry["step"].item()) * (average / largest))
