"""Adagrad."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _C

from ._fused import FusedOptimizer, column, decayed, filled, number
from .optimizer import _check_implementation, _check_rate, _plain

if TYPE_CHECKING:
    from fastnn._C import Tensor

    from .optimizer import ParamsT

__all__ = ["Adagrad"]


class Adagrad(FusedOptimizer):
    """Adagrad: steps scaled by the sum of all squared gradients so far.

    With gradient g (negated if `maximize`), parameter p, sum v and step number t, a step is

        g <- g + weight_decay * p
        v <- v + g * g
        p <- p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(v) + eps)

    The state of a parameter is `step` and `sum` (v), and exists from the start. A parameter that does not require a
    gradient, or has none, is left alone (see `Optimizer`).

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts that describe groups.
        lr: learning rate, a number or a 1-element tensor.
        lr_decay: decay of the learning rate.
        weight_decay: L2 penalty.
        initial_accumulator_value: where the sums start.
        eps: added to the denominator.
        foreach, fused: accepted for PyTorch's sake; a step is one call for all tensors either way.
        maximize: go up the gradient instead of down.
        differentiable: record the step for autograd; parameters must not be leaves then.

    Raises:
        ValueError: a rate is negative.
        RuntimeError: `fused` is combined with `foreach` or `differentiable`.

    Example:
        >>> import fastnn
        >>> weight = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = fastnn.optim.Adagrad([weight], lr=0.1)
        >>> (weight * fastnn.tensor([1.0, -3.0])).sum().backward()
        >>> optimizer.step()
        >>> weight
        tensor([0.9000, 2.1000], requires_grad=True)

    Source: Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
    2011.
    """

    _later_options: ClassVar[dict[str, Any]] = {
        "foreach": None,
        "maximize": False,
        "differentiable": False,
        "fused": None,
    }

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        _check_rate("lr", lr)
        _check_rate("lr_decay", lr_decay)
        _check_rate("weight_decay", weight_decay)
        _check_rate("initial_accumulator_value", initial_accumulator_value)
        _check_rate("eps", eps)
        _check_implementation(foreach, fused, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "eps": eps,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "fused": fused,
            },
        )
        for group in self.param_groups:
            for param in group["params"]:
                self._start(self.state[param], param, group)

    def _start(self, entry: dict[str, Any], param: Tensor, group: dict[str, Any]) -> None:
        entry["step"] = number(0)
        entry["sum"] = filled(param, group["initial_accumulator_value"])

    def _launch(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Any]]
    ) -> None:
        _C._adagrad_step(
            params,
            grads,
            column(entries, "sum"),
            column(entries, "step"),
            lr=_plain(group["lr"]),
            lr_decay=_plain(group["lr_decay"]),
            eps=_plain(group["eps"]),
            weight_decay=_plain(group["weight_decay"]),
            maximize=group["maximize"],
        )

    def _record(self, group: dict[str, Any], param: Tensor, grad: Tensor, entry: dict[str, Any]) -> None:
        grad = decayed(group, param, grad)
        total = entry["sum"] = entry["sum"] + grad * grad
        rate = group["lr"] / (1 + (entry["step"].item() - 1) * group["lr_decay"])
        param.sub_(rate * (grad / (total.sqrt() + group["eps"])))

    def share_memory(self) -> None:
        """Put the sums into memory that processes share."""
        for entry in self.state.values():
            entry["sum"].share_memory_()
