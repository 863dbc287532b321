"""Adam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor

from .optimizer import Optimizer, _check_implementation, _check_rate, _evaluate, _plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from .optimizer import ParamsT

__all__ = ["Adam"]


class Adam(Optimizer):
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

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("amsgrad", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("capturable", False)
            group.setdefault("differentiable", False)
            group.setdefault("fused", None)
            group.setdefault("decoupled_weight_decay", False)
            for param in group["params"]:
                entry = self.state.get(param)
                if entry and not isinstance(entry["step"], Tensor):
                    entry["step"] = _C.tensor(float(entry["step"]), dtype=_step_dtype())

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
            amsgrad = group["amsgrad"]
            params: list[Tensor] = []
            grads: list[Tensor] = []
            entries: list[dict[str, Tensor]] = []
            for param in group["params"]:
                grad = param.grad
                if grad is None or not param.requires_grad:
                    continue
                entry = state[param]
                if not entry:
                    _start(entry, param, amsgrad)
                params.append(param)
                grads.append(grad)
                entries.append(entry)
            if not params:
                continue
            if group["differentiable"]:
                _step_differentiable(group, params, grads, entries)
                continue
            beta1, beta2 = group["betas"]
            _C._adam_step(
                params,
                grads,
                [entry["exp_avg"] for entry in entries],
                [entry["exp_avg_sq"] for entry in entries],
                [entry["max_exp_avg_sq"] for entry in entries] if amsgrad else [],
                [entry["step"] for entry in entries],
                lr=_plain(group["lr"]),
                beta1=_plain(beta1),
                beta2=_plain(beta2),
                eps=_plain(group["eps"]),
                weight_decay=_plain(group["weight_decay"]),
                decoupled=group["decoupled_weight_decay"],
                amsgrad=amsgrad,
                maximize=group["maximize"],
            )
        return loss


def _step_dtype() -> Any:
    """The dtype of the step count: float32, or float64 where that is the default dtype."""
    return _C.float64 if _C.get_default_dtype() == _C.float64 else _C.float32


def _start(entry: dict[str, Tensor], param: Tensor, amsgrad: bool) -> None:
    """Fill the state of a parameter before its first step."""
    entry["step"] = _C.zeros((), dtype=_step_dtype())
    entry["exp_avg"] = _C.zeros_like(param)
    entry["exp_avg_sq"] = _C.zeros_like(param)
    if amsgrad:
        entry["max_exp_avg_sq"] = _C.zeros_like(param)


def _step_differentiable(
    group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Tensor]]
) -> None:
    """The same step in Tensor algebra, recorded by autograd."""
    beta1, beta2 = group["betas"]
    lr, weight_decay = group["lr"], group["weight_decay"]
    for param, gradient, entry in zip(params, grads, entries, strict=True):
        grad = -gradient if group["maximize"] else gradient
        step = entry["step"].add_(1).item()
        if isinstance(weight_decay, Tensor) or weight_decay != 0:
            if group["decoupled_weight_decay"]:
                param.mul_(1 - lr * weight_decay)
            else:
                grad = grad + weight_decay * param
        average = entry["exp_avg"] + (1 - beta1) * (grad - entry["exp_avg"])
        square = beta2 * entry["exp_avg_sq"] + (1 - beta2) * grad * grad
        entry["exp_avg"], entry["exp_avg_sq"] = average, square
        if group["amsgrad"]:
            square = entry["max_exp_avg_sq"] = _C.maximum(entry["max_exp_avg_sq"], square)
        denominator = square.sqrt() / (1 - beta2**step) ** 0.5 + group["eps"]
        param.sub_(lr / (1 - beta1**step) * (average / denominator))
