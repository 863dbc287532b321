"""RAdam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _C

from ._fused import FusedOptimizer, column, decayed, number, running_moments
from .optimizer import _check_betas, _check_rate, _plain

if TYPE_CHECKING:
    from fastnn._C import Tensor

    from .optimizer import ParamsT

__all__ = ["RAdam"]


class RAdam(FusedOptimizer):
    """RAdam: Adam that uses the second moment only once it rests on enough steps.

    With gradient g (negated if `maximize`), parameter p, step number t and r = 2 / (1 - beta2) - 1, a step is

        p <- p * (1 - lr * weight_decay)        with decoupled_weight_decay, else g <- g + weight_decay * p
        m <- m + (1 - beta1) * (g - m)
        v <- beta2 * v + (1 - beta2) * g * g
        n <- r - 2 * t * beta2^t / (1 - beta2^t)        the number of steps that v rests on
        u <- sqrt((n - 4) (n - 2) r / ((r - 4) (r - 2) n)) * sqrt(1 - beta2^t) / (sqrt(v) + eps)  if n > 5, else 1
        p <- p - lr / (1 - beta1^t) * m * u

    The state of a parameter is `step`, `exp_avg` (m) and `exp_avg_sq` (v). A parameter that does not require a
    gradient, or has none, is left alone (see `Optimizer`).

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts that describe groups.
        lr: learning rate, a number or a 1-element tensor.
        betas: decay of the two running averages.
        eps: added to the denominator.
        weight_decay: L2 penalty, or decay of the parameter itself with `decoupled_weight_decay`.
        decoupled_weight_decay: decay as AdamW does.
        foreach, capturable: accepted for PyTorch's sake; a step is one call for all tensors either way.
        maximize: go up the gradient instead of down.
        differentiable: record the step for autograd; parameters must not be leaves then.

    Raises:
        ValueError: a rate is negative, or a beta is not in [0, 1).

    Example:
        >>> import fastnn
        >>> weight = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = fastnn.optim.RAdam([weight], lr=0.1)
        >>> (weight * fastnn.tensor([1.0, -3.0])).sum().backward()
        >>> optimizer.step()
        >>> weight
        tensor([0.9000, 2.3000], requires_grad=True)

    Source: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond", 2020.
    """

    _later_options: ClassVar[dict[str, Any]] = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "capturable": False,
        "decoupled_weight_decay": False,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "decoupled_weight_decay": decoupled_weight_decay,
                "differentiable": differentiable,
            },
        )

    def _start(self, entry: dict[str, Any], param: Tensor, group: dict[str, Any]) -> None:
        entry["step"] = number(0)
        entry["exp_avg"] = _C.zeros_like(param)
        entry["exp_avg_sq"] = _C.zeros_like(param)

    def _launch(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Any]]
    ) -> None:
        beta1, beta2 = group["betas"]
        _C._radam_step(
            params,
            grads,
            column(entries, "exp_avg"),
            column(entries, "exp_avg_sq"),
            column(entries, "step"),
            lr=_plain(group["lr"]),
            beta1=_plain(beta1),
            beta2=_plain(beta2),
            eps=_plain(group["eps"]),
            weight_decay=_plain(group["weight_decay"]),
            decoupled=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )

    def _record(self, group: dict[str, Any], param: Tensor, grad: Tensor, entry: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        step = entry["step"].item()
        average, square = running_moments(group, decayed(group, param, grad), entry)
        update = group["lr"] / (1 - beta1**step) * average
        correction = 1 - beta2**step
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / correction
        if length > 5:
            share = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            update = update * (share * correction) ** 0.5 / (square.sqrt() + group["eps"])
        param.sub_(update)
