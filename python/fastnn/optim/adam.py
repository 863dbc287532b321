"""Adam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _C
from fastnn._C import Tensor

from ._fused import FusedOptimizer, column, decayed, number, running_moments
from .optimizer import _check_implementation, _check_rate, _plain

if TYPE_CHECKING:
    from .optimizer import ParamsT

__all__ = ["Adam"]


class Adam(FusedOptimizer):
    r"""Adam: steps scaled by running averages of the gradient and of its square.

    With gradient g (negated if `maximize`), parameter p, step number t, a step is

        p <- p * (1 - lr * weight_decay)        with decoupled_weight_decay, else g <- g + weight_decay * p
        m <- m + (1 - beta1) * (g - m)
        v <- beta2 * v + (1 - beta2) * g * g
        p <- p - lr / (1 - beta1^t) * m / (sqrt(v) / sqrt(1 - beta2^t) + eps)

    in one pass over memory for all parameters of a group; with `amsgrad` the square root is taken of the largest v
    so far. The state of a parameter is `step` (0-d float32), `exp_avg` (m), `exp_avg_sq` (v) and, with `amsgrad`,
    `max_exp_avg_sq`. A parameter that does not require a gradient, or has none, is left alone (see `Optimizer`).

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts that describe groups.
        lr: learning rate, a number or a 1-element tensor.
        betas: decay of the two running averages, both numbers or both 1-element tensors.
        eps: added to the denominator.
        weight_decay: L2 penalty, or decay of the parameter itself with `decoupled_weight_decay`.
        amsgrad: use the largest second moment so far.
        foreach, fused, capturable: accepted for PyTorch's sake; a step is one call for all tensors either way.
        maximize: go up the gradient instead of down.
        differentiable: record the step for autograd; parameters must not be leaves then.
        decoupled_weight_decay: decay as AdamW does.

    Raises:
        ValueError: a rate is negative, or a beta is not in [0, 1).
        RuntimeError: `fused` is combined with `foreach` or `differentiable`.

    Example:
        >>> import fastnn
        >>> weight = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = fastnn.optim.Adam([weight], lr=0.1)
        >>> (weight * fastnn.tensor([1.0, -3.0])).sum().backward()
        >>> optimizer.step()
        >>> weight
        tensor([0.9000, 2.1000], requires_grad=True)

    Source: Kingma and Ba, "Adam: A Method for Stochastic Optimization", 2015; amsgrad: Reddi et al., "On the
    Convergence of Adam and Beyond", 2018.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if foreach and not capturable and isinstance(lr, Tensor):
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        _check_rate("lr", lr)
        _check_rate("eps", eps)
        for index, beta in enumerate(betas):
            if foreach and not capturable and isinstance(beta, Tensor):
                raise ValueError(f"betas[{index}] as a Tensor is not supported for capturable=False and foreach=True")
            if isinstance(beta, Tensor) and beta.numel() != 1:
                raise ValueError(f"Tensor betas[{index}] must be 1-element")
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {index}: {beta}")
        if isinstance(betas[0], Tensor) != isinstance(betas[1], Tensor):
            raise ValueError("betas must be either both floats or both Tensors")
        _check_rate("weight_decay", weight_decay)
        _check_implementation(foreach, fused, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": (betas[0], betas[1]),
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
                "foreach": foreach,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
                "decoupled_weight_decay": decoupled_weight_decay,
            },
        )

    _later_options: ClassVar[dict[str, Any]] = {
        "amsgrad": False,
        "maximize": False,
        "foreach": None,
        "capturable": False,
        "differentiable": False,
        "fused": None,
        "decoupled_weight_decay": False,
    }

    def _start(self, entry: dict[str, Any], param: Tensor, group: dict[str, Any]) -> None:
        entry["step"] = number(0)
        entry["exp_avg"] = _C.zeros_like(param)
        entry["exp_avg_sq"] = _C.zeros_like(param)
        if group["amsgrad"]:
            entry["max_exp_avg_sq"] = _C.zeros_like(param)

    def _launch(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Any]]
    ) -> None:
        beta1, beta2 = group["betas"]
        amsgrad = group["amsgrad"]
        _C._adam_step(
            params,
            grads,
            column(entries, "exp_avg"),
            column(entries, "exp_avg_sq"),
            column(entries, "max_exp_avg_sq") if amsgrad else [],
            column(entries, "step"),
            lr=_plain(group["lr"]),
            beta1=_plain(beta1),
            beta2=_plain(beta2),
            eps=_plain(group["eps"]),
            weight_decay=_plain(group["weight_decay"]),
            decoupled=group["decoupled_weight_decay"],
            amsgrad=amsgrad,
            maximize=group["maximize"],
        )

    def _record(self, group: dict[str, Any], param: Tensor, grad: Tensor, entry: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        step = entry["step"].item()
        average, square = running_moments(group, decayed(group, param, grad), entry)
        if group["amsgrad"]:
            square = entry["max_exp_avg_sq"] = _C.maximum(entry["max_exp_avg_sq"], square)
        denominator = square.sqrt() / (1 - beta2**step) ** 0.5 + group["eps"]
        param.sub_(group["lr"] / (1 - beta1**step) * (average / denominator))
