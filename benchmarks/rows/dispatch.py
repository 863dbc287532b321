"""Rows of what an operation costs that has nothing to compute."""

from __future__ import annotations

from typing import Any

from benchmarks.rows.base import Step, row

CALLS = 100  # what a step repeats, so that calling the step does not count


@row("two-operand op, one element")
def op(torch: Any) -> Step:
    a, b = torch.rand(1), torch.rand(1)

    def step() -> Any:
        for _ in range(CALLS):
            result = a + b
        return result

    return step


@row("two-operand op, one element, recorded")
def op_grad(torch: Any) -> Step:
    a, b = torch.rand(1, requires_grad=True), torch.rand(1)

    def step() -> Any:
        for _ in range(CALLS):
            result = a * b
        return result.detach()

    return step


@row("100 additions of one element, forward and backward")
def op_chain(torch: Any) -> Step:
    a, b = torch.rand(1, requires_grad=True), torch.rand(1)

    def step() -> Any:
        a.grad = None
        result = a
        for _ in range(CALLS):
            result = result + b
        result.backward()
        return result.detach() + a.grad

    return step
