"""What the optimizers share whose step is one call for all parameters of a group."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _C
from fastnn._C import Tensor

from .optimizer import Optimizer, _evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

__all__: list[str] = []


class FusedOptimizer(Optimizer):
    """An optimizer whose step is one pass over memory for all parameters of a group.

    A subclass defines `_start`, `_launch` and `_record`; the state of a parameter begins with `step`.
    """

    _later_options: ClassVar[dict[str, Any]] = {}  # what checkpoints of earlier versions lack

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, default in self._later_options.items():
                group.setdefault(name, default)
            for param in group["params"]:
                entry = self.state.get(param)
                if entry:
                    self._restore(entry)

    def _restore(self, entry: dict[str, Any]) -> None:
        """Complete the state of a parameter from a checkpoint of an earlier version."""
        as_number(entry, "step")

    def _start(self, entry: dict[str, Any], param: Tensor, group: dict[str, Any]) -> None:
        """Fill the state of a parameter before its first step."""
        raise NotImplementedError

    def _launch(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Any]]
    ) -> None:
        """Step all these parameters in one call."""
        raise NotImplementedError

    def _record(self, group: dict[str, Any], param: Tensor, grad: Tensor, entry: dict[str, Any]) -> None:
        """Step one parameter in Tensor algebra, recorded by autograd; `grad` has the sign of a descent."""
        raise NotImplementedError

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once from their gradients.

        Args:
            closure: evaluates the model again and returns the loss; called with gradients on.

        Returns:
            What the closure returned, or None.
        """
        loss = _evaluate(closure) if closure is not None else None
        state = self.state
        for group in self.param_groups:
            params: list[Tensor] = []
            grads: list[Tensor] = []
            entries: list[dict[str, Any]] = []
            for param in group["params"]:
                grad = param.grad
                if grad is None or not param.requires_grad:
                    continue
                entry = state[param]
                if not entry:
                    self._start(entry, param, group)
                params.append(param)
                grads.append(grad)
                entries.append(entry)
            if not params:
                continue
            if not group.get("differentiable", False):
                self._launch(group, params, grads, entries)
                continue
            for param, grad, entry in zip(params, grads, entries, strict=True):
                entry["step"].add_(1)
                self._record(group, param, -grad if group["maximize"] else grad, entry)
        return loss


def number_dtype() -> Any:
    """The dtype of a step count: float32, or float64 where that is the default dtype."""
    return _C.float64 if _C.get_default_dtype() == _C.float64 else _C.float32


def number(value: float) -> Tensor:
    """A number that belongs to a parameter, such as the count of its steps."""
    return _C.tensor(float(value), dtype=number_dtype())


def as_number(entry: dict[str, Any], key: str) -> None:
    """Wrap a number that checkpoints of earlier versions have in place of a tensor."""
    if key in entry and not isinstance(entry[key], Tensor):
        entry[key] = number(entry[key])


def filled(param: Tensor, value: float) -> Tensor:
    """A state that starts at a number; of complex parameters both parts do."""
    return _C.full_like(param, complex(value, value) if param.is_complex() else value)


def refuse_complex(optimizer: object, params: list[Tensor]) -> None:
    """An optimizer that treats a parameter as a matrix, or its rows, has no meaning for complex ones."""
    if any(param.is_complex() for param in params):
        raise RuntimeError(f"{type(optimizer).__name__} does not support complex parameters")


def column(entries: list[dict[str, Any]], key: str) -> list[Tensor]:
    """One state of each parameter."""
    return [entry[key] for entry in entries]


def decays(group: dict[str, Any]) -> bool:
    """Whether there is a weight decay; one that is a tensor always counts."""
    return isinstance(group["weight_decay"], Tensor) or group["weight_decay"] != 0


def decayed(group: dict[str, Any], param: Tensor, grad: Tensor) -> Tensor:
    """The gradient with the decay in it; with `decoupled_weight_decay` the parameter shrinks instead."""
    if not decays(group):
        return grad
    if group.get("decoupled_weight_decay", False):
        param.mul_(1 - group["lr"] * group["weight_decay"])
        return grad
    decay: float | Tensor = group["weight_decay"]
    return grad + decay * param


def running_moments(group: dict[str, Any], grad: Tensor, entry: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Update the running averages of the gradient and of its square."""
    beta1, beta2 = group["betas"]
    average = entry["exp_avg"] + (1 - beta1) * (grad - entry["exp_avg"])
    square = beta2 * entry["exp_avg_sq"] + (1 - beta2) * grad * grad
    entry["exp_avg"], entry["exp_avg_sq"] = average, square
    return average, square
