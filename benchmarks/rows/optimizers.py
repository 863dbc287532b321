"""Rows of the step of an optimizer alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.rows.base import OPTIMIZERS, Step, row


def optimizer_step(torch: Any, make: Callable[[list[Any]], Any], count: int = 100, rows: int = 128) -> Step:
    """The step alone, over ``count`` tensors of ``rows`` x 128 whose gradients stay."""
    parameters = [torch.nn.Parameter(torch.randn(rows, 128)) for _ in range(count)]
    for parameter in parameters:
        parameter.grad = torch.randn(rows, 128)
    optimizer = make(parameters)

    def step() -> Any:
        optimizer.step()
        return parameters[-1].detach()

    return step


@row("AdamW, 100 tensors", OPTIMIZERS)
def adamw(torch: Any, fused: bool | None = None) -> Step:
    return optimizer_step(torch, lambda parameters: torch.optim.AdamW(parameters, lr=1e-4, fused=fused))


@row("SGD with momentum, 100 tensors", OPTIMIZERS)
def sgd(torch: Any, fused: bool | None = None) -> Step:
    return optimizer_step(torch, lambda parameters: torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, fused=fused))


@row("AdamW, 120 tensors of 131,072 elements", OPTIMIZERS)
def adamw_large(torch: Any, fused: bool | None = None) -> Step:
    make = torch.optim.AdamW
    return optimizer_step(torch, lambda parameters: make(parameters, lr=1e-4, fused=fused), 120, 1024)


@row("SGD with momentum, 120 tensors of 131,072 elements", OPTIMIZERS)
def sgd_large(torch: Any, fused: bool | None = None) -> Step:
    make = torch.optim.SGD
    return optimizer_step(torch, lambda parameters: make(parameters, lr=1e-4, momentum=0.9, fused=fused), 120, 1024)
