"""SparseAdam: Adam that skips the rows without a gradient."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn.autograd.grad_mode import no_grad

from ._fused import FusedOptimizer
from .optimizer import _check_betas, _plain

if TYPE_CHECKING:
    from fastnn._C import Tensor

    from .optimizer import ParamsT

__all__ = ["SparseAdam"]


class SparseAdam(FusedOptimizer):
    """Adam for embeddings: only rows that have a gradient are moved, and only their averages are updated.

    In PyTorch it needs sparse gradients. Gradients are dense here, so the rows are found by their values: a row
    (along the first dimension) whose gradient is all zero is one that the batch did not use. For those rows nothing
    changes; for the others a step is Adam's, with the step number of the whole parameter.
    The state of a parameter is `step` (an int), `exp_avg` and `exp_avg_sq`.

    Args:
        params: tensors, `(name, tensor)` pairs, or dicts that describe groups.
        lr: learning rate, a number or a 1-element tensor; not 0.
        betas: decay of the two running averages.
        eps: added to the denominator; not 0.
        maximize: go up the gradient instead of down.

    Raises:
        ValueError: `lr` or `eps` is not positive, or a beta is not in [0, 1).

    Example:
        >>> import fastnn
        >>> table = fastnn.ones(3, 2, requires_grad=True)
        >>> optimizer = fastnn.optim.SparseAdam([table], lr=0.25)
        >>> table[1].sum().backward()
        >>> optimizer.step()
        >>> table.detach()
        tensor([[1.0000, 1.0000],
                [0.7500, 0.7500],
                [1.0000, 1.0000]])
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, _C.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not lr > 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not eps > 0.0:
            raise ValueError(f"Invalid epsilon value: {eps}")
        _check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        complex_params = [
            [i, k] for i, group in enumerate(self.param_groups) for k, p in enumerate(group["params"]) if p.is_complex()
        ]
        if complex_params:
            raise ValueError(
                f"Complex params at indices {complex_params}: SparseAdam does not support complex parameters"
            )

    def _restore(self, entry: dict[str, Any]) -> None:
        """The step count is an int here."""

    def _start(self, entry: dict[str, Any], param: Tensor, group: dict[str, Any]) -> None:
        entry["step"] = 0
        entry["exp_avg"] = _C.zeros_like(param)
        entry["exp_avg_sq"] = _C.zeros_like(param)

    def _launch(
        self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor], entries: list[dict[str, Any]]
    ) -> None:
        beta1, beta2 = group["betas"]
        lr = _plain(group["lr"])
        with no_grad():
            for param, gradient, entry in zip(params, grads, entries, strict=True):
                entry["step"] += 1
                step = entry["step"]
                grad = gradient.reshape(-1) if gradient.ndim == 0 else gradient
                rows = (grad != 0).reshape(grad.shape[0], -1).any(dim=1).nonzero().reshape(-1)
                if rows.numel() == 0:
                    continue
                target, average, square = (
                    tensor.unsqueeze(0) if tensor.ndim == 0 else tensor
                    for tensor in (param, entry["exp_avg"], entry["exp_avg_sq"])
                )
                part = -grad[rows] if group["maximize"] else grad[rows]
                mean = average[rows].lerp_(part, 1 - beta1)
                variance = square[rows].lerp_(part * part, 1 - beta2)
                average.index_copy_(0, rows, mean)
                square.index_copy_(0, rows, variance)
                rate = lr * math.sqrt(1 - beta2**step) / (1 - beta1**step)
                target.index_add_(0, rows, mean / (variance.sqrt_() + group["eps"]), alpha=-rate)
