"""Adafactor."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from fastnn import _C
from fastnn._functions import finfo
from fastnn.autograd.grad_mode import no_grad

from ._fused import FusedOptimizer, decays, number, refuse_complex
from .optimizer import _plain

if TYPE_CHECKING:
    from fastnn._C import Tensor

    from .optimizer import ParamsT

__all__ = ["Adafactor"]


class Adafactor(FusedOptimizer):
    """Adafactor: Adam's second moment of a matrix kept as one row and one column.

    With gradient G (negated if `maximize`), parameter X and step number t, a step is

        rho = min(lr, 1 / sqrt(t)),   alpha = max(eps[1], RMS(X)) * rho,   w = t^beta2_decay
        X <- X * (1 - lr * weight_decay)
        R <- R + w * (mean(G * G, -1) - R),   C <- C + w * (mean(G * G, -2) - C)
        V = R C / max(mean(R, -2), eps[0])              for a vector V <- V + w * (G * G - V)
        U = G / sqrt(max(V, eps[0]^2))
        X <- X - alpha * U / max(1, RMS(U) / d)

    The state of a parameter is `step`, `row_var` (R) and `col_var` (C), or `variance` (V) with fewer than two
    dimensions: of a matrix with n rows and m columns it has n + m numbers. A parameter that does not require a
    gradient, or has none, is left alone (see `Optimizer`).

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts that describe groups.
        lr: largest relative step size, a number or a 1-element tensor.
        beta2_decay: power with which the weight of a new gradient falls; not above 0.
        eps: least variance (None: the resolution of the dtype), and least scale of a parameter.
        d: RMS above which an update is scaled down; at least 1.
        weight_decay: share of the parameter, times `lr`, that a step takes away.
        foreach: accepted for PyTorch's sake.
        maximize: go up the gradient instead of down.

    Raises:
        ValueError: an argument is outside of its range.

    Example:
        >>> import fastnn
        >>> weight = fastnn.ones(2, 3, requires_grad=True)
        >>> optimizer = fastnn.optim.Adafactor([weight], lr=0.125)
        >>> weight.sum().backward()
        >>> optimizer.step()
        >>> weight[0]
        tensor([0.8750, 0.8750, 0.8750], grad_fn=<SelectBackward0>)

    Source: Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", 2018.
    """

    _later_options: ClassVar[dict[str, Any]] = {"foreach": None}

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, _C.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for text, value, fits in (
            ("Learning rate should be >= 0", lr, lr >= 0),
            ("beta2_decay should be <= 0", beta2_decay, beta2_decay <= 0),
            ("epsilon1 should be >= 0", eps[0], eps[0] is None or eps[0] >= 0),
            ("epsilon2 should be >= 0", eps[1], eps[1] >= 0),
            ("Clipping threshold d should be >= 1", d, d >= 1),
            ("weight_decay should be >= 0", weight_decay, weight_decay >= 0),
        ):
            if not fits:
                raise ValueError(f"{text} but is: {value}")
        super().__init__(
            params,
            {
                "lr": lr,
                "beta2_decay": beta2_decay,
                "eps": eps,
                "d": d,
                "weight_decay": weight_decay,
                "foreach": foreach,
                "maximize": maximize,
            },
        )

    def _start(self, entry: dict[str, Any], param: Tensor, group: dict[str, Any]) -> None:
        entry["step"] = number(0)
        shape = list(param.shape)
        if len(shape) > 1:
            entry["row_var"] = _C.zeros([*shape[:-1], 1], dtype=param.dtype)
            entry["col_var"] = _C.zeros([*shape[:-2], 1, shape[-1]], dtype=param.dtype)
        else:
            entry["variance"] = _C.zeros_like(param)

    def _launch(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Any]]
    ) -> None:
        refuse_complex(self, params)
        with no_grad():
            for param, grad, entry in zip(params, grads, entries, strict=True):
                _step_one(group, param, grad, entry)


def _root_mean_square(tensor: Tensor) -> float:
    return float(tensor.norm()) / math.sqrt(max(1, tensor.numel()))


def _step_one(group: dict[str, Any], param: Tensor, grad: Tensor, entry: dict[str, Any]) -> None:
    step = entry["step"].add_(1).item()
    lr = _plain(group["lr"])
    least, least_scale = group["eps"]
    if least is None:
        least = finfo(param.dtype).eps
    weight = step ** group["beta2_decay"]
    rate = max(least_scale, _root_mean_square(param)) * min(lr, step**-0.5)
    if decays(group):
        param.mul_(1 - lr * group["weight_decay"])
    if grad.ndim > 1:
        rows, columns = entry["row_var"], entry["col_var"]
        for average, dim in ((rows, -1), (columns, -2)):
            average.lerp_(grad.norm(dim=dim, keepdim=True).square_().div_(grad.shape[dim]), weight)
        variance = (rows * columns).div_(rows.mean(dim=-2, keepdim=True).clamp_(min=least))
    else:
        variance = entry["variance"].lerp_(grad * grad, weight).clone()
    update = variance.clamp_(min=least * least).rsqrt_().mul_(grad)
    rate /= max(1.0, _root_mean_square(update) / group["d"])
    param.add_(update, alpha=rate if group["maximize"] else -rate)
