"""NAdam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _C

from ._fused import FusedOptimizer, as_number, column, decayed, number, running_moments
from .optimizer import _check_betas, _check_rate, _plain

if TYPE_CHECKING:
    from fastnn._C import Tensor

    from .optimizer import ParamsT

__all__ = ["NAdam"]


class NAdam(FusedOptimizer):
    """NAdam: Adam with Nesterov momentum.

    With gradient g (negated if `maximize`), parameter p and step number t, a step is

        p <- p * (1 - lr * weight_decay)        with decoupled_weight_decay, else g <- g + weight_decay * p
        mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2)
        m <- m + (1 - beta1) * (g - m)
        v <- beta2 * v + (1 - beta2) * g * g
        d <- sqrt(v / (1 - beta2^t)) + eps
        p <- p - lr * ((1 - mu_t) / (1 - mu_1 ... mu_t) * g + mu_(t+1) / (1 - mu_1 ... mu_(t+1)) * m) / d

    The state of a parameter is `step`, `mu_product` (mu_1 ... mu_t), `exp_avg` (m) and `exp_avg_sq` (v). A
    parameter that does not require a gradient, or has none, is left alone (see `Optimizer`).

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts that describe groups.
        lr: learning rate, a number or a 1-element tensor.
        betas: decay of the two running averages.
        eps: added to the denominator.
        weight_decay: L2 penalty, or decay of the parameter itself with `decoupled_weight_decay`.
        momentum_decay: how fast the momentum grows.
        decoupled_weight_decay: decay as AdamW does.
        foreach, capturable: accepted for PyTorch's sake; a step is one call for all tensors either way.
        maximize: go up the gradient instead of down.
        differentiable: record the step for autograd; parameters must not be leaves then.

    Raises:
        ValueError: a rate is negative, or a beta is not in [0, 1).

    Example:
        >>> import fastnn
        >>> weight = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = fastnn.optim.NAdam([weight], lr=0.1)
        >>> (weight * fastnn.tensor([1.0, -3.0])).sum().backward()
        >>> optimizer.step()
        >>> weight
        tensor([0.8944, 2.1056], requires_grad=True)

    Source: Dozat, "Incorporating Nesterov Momentum into Adam", 2016.
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
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        _check_rate("momentum_decay", momentum_decay)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum_decay": momentum_decay,
                "decoupled_weight_decay": decoupled_weight_decay,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
            },
        )

    def _start(self, entry: dict[str, Any], param: Tensor, group: dict[str, Any]) -> None:
        entry["step"] = number(0)
        entry["mu_product"] = number(1)
        entry["exp_avg"] = _C.zeros_like(param)
        entry["exp_avg_sq"] = _C.zeros_like(param)

    def _launch(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Any]]
    ) -> None:
        beta1, beta2 = group["betas"]
        _C._nadam_step(
            params,
            grads,
            column(entries, "exp_avg"),
            column(entries, "exp_avg_sq"),
            column(entries, "mu_product"),
            column(entries, "step"),
            lr=_plain(group["lr"]),
            beta1=_plain(beta1),
            beta2=_plain(beta2),
            eps=_plain(group["eps"]),
            weight_decay=_plain(group["weight_decay"]),
            momentum_decay=_plain(group["momentum_decay"]),
            decoupled=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )

    def _record(self, group: dict[str, Any], param: Tensor, grad: Tensor, entry: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        step = entry["step"].item()
        grad = decayed(group, param, grad)
        mu, following = (beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
        product = entry["mu_product"].mul_(mu).item()
        average, square = running_moments(group, grad, entry)
        denominator = (square / (1 - beta2**step)).sqrt() + group["eps"]
        ahead = (1 - mu) / (1 - product) * grad + following / (1 - product * following) * average
        param.sub_(group["lr"] * (ahead / denominator))

    def _restore(self, entry: dict[str, Any]) -> None:
        for key in ("step", "mu_product"):
            as_number(entry, key)
