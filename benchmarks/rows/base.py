"""How a row is made: one function, which knows no library by name.

A row gets the library as its argument ``torch`` (PyTorch itself, or fastnn), makes its inputs from the seed that is
set, and returns a step: a function without arguments that does the work once and returns a tensor to compare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Step = Callable[[], Any]
Options = Mapping[str, Any]
Settings = tuple[tuple[str, Options], ...]  # names for the table, and what the row is called with

# How PyTorch may be set up for a row; the quickest counts. fastnn always runs as it comes.
AS_IT_COMES: Settings = (("default", {}),)
OPTIMIZERS: Settings = (*AS_IT_COMES, ("fused", {"fused": True}))
IMAGES: Settings = (*OPTIMIZERS, ("fused, channels last", {"fused": True, "channels_last": True}))

# Relative; one-element sums and elementwise results agree to rounding, training steps add up a few roundings.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Row:
    """A comparison: its name on the command line, its line in the table, how to build a step."""

    name: str
    title: str
    build: Callable[..., Step]
    torch_settings: Settings = AS_IT_COMES
    tolerance: float | None = TOLERANCE  # None: the two draw different random numbers, and are not compared


ROWS: dict[str, Row] = {}


def add_row(
    name: str,
    title: str,
    build: Callable[..., Step],
    torch_settings: Settings = AS_IT_COMES,
    tolerance: float | None = TOLERANCE,
) -> None:
    """Adds a row to ``ROWS``."""
    ROWS[name] = Row(name, title, build, torch_settings, tolerance)


def row(
    title: str, torch_settings: Settings = AS_IT_COMES, tolerance: float | None = TOLERANCE
) -> Callable[[Callable[..., Step]], Callable[..., Step]]:
    """Adds the decorated function to ``ROWS`` under its own name."""

    def add(build: Callable[..., Step]) -> Callable[..., Step]:
        add_row(build.__name__, title, build, torch_settings, tolerance)
        return build

    return add


def training_step(torch: Any, model: Any, optimizer: Any, inputs: Any, targets: Any) -> Step:
    """One step of a classifier on a fixed batch; returns the loss."""
    cross_entropy = torch.nn.functional.cross_entropy

    def step() -> Any:
        loss = cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def forward_backward(torch: Any, function: Callable[[Any], Any], x: Any) -> Step:
    """``function(x)`` and the gradient of its product with a fixed tensor; returns the gradient."""
    gradient = torch.randn(*function(x).shape)

    def step() -> Any:
        x.grad = None
        function(x).backward(gradient)
        return x.grad

    return step
