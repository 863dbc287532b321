"""Call several modules, each with its own arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..modules.module import Module

__all__ = ["parallel_apply"]


def parallel_apply(
    modules: Sequence[Module],
    inputs: Sequence[Any],
    kwargs_tup: Sequence[dict[str, Any]] | None = None,
    devices: Any = None,
) -> list[Any]:
    """Return the results of the modules, one after the other.

    Args:
        modules: the modules.
        inputs: the arguments of each: a tuple, a list, or one argument.
        kwargs_tup: the arguments by name of each.
        devices: accepted for compatibility.

    Raises:
        AssertionError: there are not as many arguments as modules.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> [r.tolist() for r in nn.parallel.parallel_apply([nn.ReLU(), nn.Identity()], [fastnn.tensor(-1.0)] * 2)]
        [0.0, -1.0]
    """
    if len(modules) != len(inputs):
        raise AssertionError(f"The number of modules {len(modules)} is not equal to the number of inputs {len(inputs)}")
    named = [{}] * len(modules) if kwargs_tup is None else kwargs_tup
    if len(modules) != len(named):
        raise AssertionError(f"The number of modules {len(modules)} is not equal to the number of kwargs {len(named)}")
    return [
        module(*(given if isinstance(given, (list, tuple)) else (given,)), **options)
        for module, given, options in zip(modules, inputs, named, strict=True)
    ]
