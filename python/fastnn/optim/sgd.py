"""Stochastic gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C

from .optimizer import Optimizer, _check_implementation, _check_rate, _evaluate, _plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._C import Tensor

    from .optimizer import ParamsT

__all__ = ["SGD"]


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum if wanted.

    With gradient g (negated if `maximize`), parameter p and momentum buffer b, a step is

        g <- g + weight_decay * p
        b <- g in the first step, then momentum * b + (1 - dampening) * g
        g <- g + momentum * b with nesterov, else b         (only if momentum is not 0)
        p <- p - lr * g

    in one pass over memory for all parameters of a group. A parameter that does not require a gradient, or has
    none, is left alone (see `Optimizer`).

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts that describe groups.
        lr: learning rate, a number or a 1-element tensor.
        momentum: factor of the buffer; 0 keeps no buffer.
        dampening: how much of the gradient does not enter the buffer.
        weight_decay: L2 penalty.
        nesterov: Nesterov momentum; needs a momentum and no dampening.
        maximize: go up the gradient instead of down.
        foreach, fused: accepted for PyTorch's sake; a step is one call for all tensors either way.
        differentiable: record the step for autograd; parameters must not be leaves then.

    Raises:
        ValueError: a rate is negative, or nesterov has no momentum or a dampening.
        RuntimeError: `fused` is combined with `foreach` or `differentiable`.

    Example:
        >>> import fastnn
        >>> weight = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> optimizer = fastnn.optim.SGD([weight], lr=0.5, momentum=0.5)
        >>> for _ in range(2):
        ...     optimizer.zero_grad()
        ...     weight.sum().backward()
        ...     optimizer.step()
        >>> weight.tolist()
        [-0.25, 0.75]

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning", 2013.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        _check_rate("lr", lr)
        _check_rate("momentum", momentum)
        _check_rate("weight_decay", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        _check_implementation(foreach, fused, differentiable)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
                "foreach": foreach,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("nesterov", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("differentiable", False)
            group.setdefault("fused", False)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once from their gradients.

        Args:
            closure: evaluates the model again and returns the loss; called with gradients on.

        Returns:
            What the closure returned, or None.
        """
        loss = _evaluate(closure) if closure is not None else None
        for group in self.param_groups:
            if group["differentiable"]:
                self._step_differentiable(group)
            elif group["momentum"] == 0:
                params: list[Tensor] = []
                grads: list[Tensor] = []
                for param in group["params"]:
                    grad = param.grad
                    if grad is not None and param.requires_grad:
                        params.append(param)
                        grads.append(grad)
                if params:
                    self._launch(group, params, grads, [], False)
            else:
                self._step_momentum(group)
        return loss

    def _step_momentum(self, group: dict[str, Any]) -> None:
        state = self.state
        params: list[Tensor] = []
        grads: list[Tensor] = []
        buffers: list[Tensor] = []
        new_params: list[Tensor] = []
        new_grads: list[Tensor] = []
        for param in group["params"]:
            grad = param.grad
            if grad is None or not param.requires_grad:
                continue
            entry = state.get(param)
            buffer = None if entry is None else entry.get("momentum_buffer")
            if buffer is None:
                new_params.append(param)
                new_grads.append(grad)
            else:
                params.append(param)
                grads.append(grad)
                buffers.append(buffer)
        if new_params:
            new_buffers = [_C.empty_like(param) for param in new_params]
            self._launch(group, new_params, new_grads, new_buffers, True)
            for param, buffer in zip(new_params, new_buffers, strict=True):
                state[param]["momentum_buffer"] = buffer
        if params:
            self._launch(group, params, grads, buffers, False)

    @staticmethod
    def _launch(
        group: dict[str, Any], params: list[Tensor], grads: list[Tensor], buffers: list[Tensor], first_step: bool
    ) -> None:
        _C._sgd_step(
            params,
            grads,
            buffers,
            lr=_plain(group["lr"]),
            momentum=_plain(group["momentum"]),
            dampening=_plain(group["dampening"]),
            weight_decay=_plain(group["weight_decay"]),
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            first_step=first_step,
        )

    def _step_differentiable(self, group: dict[str, Any]) -> None:
        """The same step in Tensor algebra, recorded by autograd."""
        momentum, weight_decay = group["momentum"], group["weight_decay"]
        for param in group["params"]:
            grad = param.grad
            if grad is None or not param.requires_grad:
                continue
            if group["maximize"]:
                grad = -grad
            if isinstance(weight_decay, _C.Tensor) or weight_decay != 0:
                grad = grad + weight_decay * param
            if momentum != 0:
                entry = self.state[param]
                buffer = entry.get("momentum_buffer")
                if buffer is None:
                    buffer = grad.clone()
                else:
                    buffer = momentum * buffer + (1 - group["dampening"]) * grad
                entry["momentum_buffer"] = buffer
                grad = grad + momentum * buffer if group["nesterov"] else buffer
            param.sub_(group["lr"] * grad)
