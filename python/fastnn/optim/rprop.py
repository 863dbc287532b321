"""Resilient backpropagation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _C

from ._fused import FusedOptimizer, column, filled, number
from .optimizer import _check_rate, _plain

if TYPE_CHECKING:
    from fastnn._C import Tensor

    from .optimizer import ParamsT

__all__ = ["Rprop"]


class Rprop(FusedOptimizer):
    """Rprop: steps that depend on the sign of the gradient only, and grow while it stays the same.

    With gradient g (negated if `maximize`), the one before q, parameter p and step size s, a step is

        s <- s * etaplus   where g * q > 0,   s * etaminus where g * q < 0,   within step_sizes
        g <- 0             where g * q < 0
        p <- p - sign(g) * s
        q <- g

    The state of a parameter is `step`, `prev` (q) and `step_size` (s, which starts at lr). A parameter that does
    not require a gradient, or has none, is left alone (see `Optimizer`).

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts that describe groups.
        lr: first step size, a number or a 1-element tensor.
        etas: (etaminus, etaplus), factors below and above 1.
        step_sizes: least and largest step size.
        capturable, foreach: accepted for PyTorch's sake; a step is one call for all tensors either way.
        maximize: go up the gradient instead of down.
        differentiable: record the step for autograd; parameters must not be leaves then.

    Raises:
        ValueError: `lr` is negative, or `etas` are not below and above 1.

    Example:
        >>> import fastnn
        >>> weight = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = fastnn.optim.Rprop([weight], lr=0.1)
        >>> (weight * fastnn.tensor([1.0, -3.0])).sum().backward()
        >>> optimizer.step()
        >>> weight
        tensor([0.9000, 2.1000], requires_grad=True)

    Source: Riedmiller and Braun, "A Direct Adaptive Method for Faster Backpropagation Learning: The RPROP Algorithm",
    1993.
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
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        _check_rate("lr", lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(
            params,
            {
                "lr": lr,
                "etas": etas,
                "step_sizes": step_sizes,
                "foreach": foreach,
                "maximize": maximize,
                "differentiable": differentiable,
                "capturable": capturable,
            },
        )

    def _start(self, entry: dict[str, Any], param: Tensor, group: dict[str, Any]) -> None:
        entry["step"] = number(0)
        entry["prev"] = _C.zeros_like(param)
        entry["step_size"] = filled(param, _plain(group["lr"]))

    def _launch(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Any]]
    ) -> None:
        etaminus, etaplus = group["etas"]
        least, largest = group["step_sizes"]
        _C._rprop_step(
            params,
            grads,
            column(entries, "prev"),
            column(entries, "step_size"),
            column(entries, "step"),
            etaminus=_plain(etaminus),
            etaplus=_plain(etaplus),
            least=_plain(least),
            largest=_plain(largest),
            maximize=group["maximize"],
        )

    def _record(self, group: dict[str, Any], param: Tensor, grad: Tensor, entry: dict[str, Any]) -> None:
        etaminus, etaplus = group["etas"]
        turn = grad * entry["prev"]
        factor = _C.ones_like(turn).masked_fill(turn > 0, etaplus).masked_fill(turn < 0, etaminus)
        size = entry["step_size"] = (entry["step_size"] * factor).clamp(*group["step_sizes"])
        grad = entry["prev"] = grad.masked_fill(turn < 0, 0)
        param.sub_(grad.sign() * size)
