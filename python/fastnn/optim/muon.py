"""Muon."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn.autograd.grad_mode import no_grad

from ._fused import FusedOptimizer, refuse_complex
from .optimizer import _plain

if TYPE_CHECKING:
    from fastnn._C import Tensor

    from .optimizer import ParamsT

__all__ = ["Muon"]


class Muon(FusedOptimizer):
    """Muon: the momentum of a weight matrix, with its singular values brought near 1.

    With gradient G, parameter X and momentum buffer B, a step is

        B <- B + (1 - momentum) * (G - B)
        U = G + momentum * (B - G) with nesterov, else B
        O = the orthogonal factor of U, by `ns_steps` Newton-Schulz iterations in bfloat16
        X <- X * (1 - lr * weight_decay) - lr * ratio * O

    where ratio is sqrt(max(1, rows / columns)), or with "match_rms_adamw" 0.2 * sqrt(max(rows, columns)), so that a
    rate tuned for AdamW fits. It is meant for the hidden matrices of a network; train embeddings, norms, biases and
    the output layer with AdamW. The state of a parameter is `momentum_buffer` (B). A parameter that does not require
    a gradient, or has none, is left alone (see `Optimizer`).

    Args:
        params: matrices, `(name, matrix)` pairs, or dicts that describe groups.
        lr: learning rate, a number or a 1-element tensor.
        weight_decay: share of the parameter, times `lr`, that a step takes away.
        momentum: weight of the buffer against a new gradient.
        nesterov: Nesterov momentum.
        ns_coefficients: (a, b, c) of the iteration X <- a X + b (X X^T) X + c (X X^T)^2 X.
        eps: least norm that the iteration divides by.
        ns_steps: number of iterations, below 100.
        adjust_lr_fn: "original" (also for None) or "match_rms_adamw".

    Raises:
        ValueError: a parameter is not a matrix, a rate is negative, or `adjust_lr_fn` is unknown.

    Example:
        >>> import fastnn
        >>> weight = fastnn.zeros(2, 2, requires_grad=True)
        >>> optimizer = fastnn.optim.Muon([weight], lr=0.1)
        >>> (weight * fastnn.tensor([[3.0, 0.0], [0.0, 2.0]])).sum().backward()
        >>> optimizer.step()
        >>> bool((weight.diagonal() < -0.06).all())
        True

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; "match_rms_adamw": Liu et
    al., "Muon is Scalable for LLM Training", 2025.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, _C.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for name, value in (("Learning rate", lr), ("momentum", momentum), ("weight decay", weight_decay)):
            if not value >= 0.0:
                raise ValueError(f"{name} should be >= 0 but is: {value}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        super().__init__(
            params,
            {
                "lr": lr,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "nesterov": nesterov,
                "ns_coefficients": ns_coefficients,
                "eps": eps,
                "ns_steps": ns_steps,
                "adjust_lr_fn": adjust_lr_fn,
            },
        )
        for group in self.param_groups:
            for param in group["params"]:
                if param.ndim != 2:
                    raise ValueError(
                        f"Muon only supports 2D parameters whereas we found a parameter with size: {param.shape}"
                    )

    def _start(self, entry: dict[str, Any], param: Tensor, group: dict[str, Any]) -> None:
        entry["momentum_buffer"] = _C.zeros_like(param)

    def _launch(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Any]]
    ) -> None:
        refuse_complex(self, params)
        lr, momentum = _plain(group["lr"]), group["momentum"]
        with no_grad():
            for param, grad, entry in zip(params, grads, entries, strict=True):
                if grad.ndim != 2:
                    raise ValueError("Param gradient must be a 2D matrix")
                buffer = entry["momentum_buffer"].lerp_(grad, 1 - momentum)
                update = grad.lerp(buffer, momentum) if group["nesterov"] else buffer
                update = _orthogonal(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
                param.mul_(1 - lr * group["weight_decay"])
                param.add_(update, alpha=-lr * _ratio(group["adjust_lr_fn"], *param.shape))


def _ratio(name: str | None, rows: int, columns: int) -> float:
    if name == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))


def _orthogonal(matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """The matrix with its singular values moved to about 1, in bfloat16."""
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.to(dtype=_C.bfloat16)
    if tall:
        x = x.t()
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.t()
        x = _C.addmm(x, _C.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.t() if tall else x
