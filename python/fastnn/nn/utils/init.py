"""Make modules without drawing their parameters."""

from __future__ import annotations

import inspect
from typing import Any

from fastnn import random

from ..modules.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """Return `module_cls(*args, **kwargs)` with uninitialised parameters; the random numbers stay where they are.

    Raises:
        RuntimeError: `module_cls` is no Module, or has no argument `device`.

    Example:
        >>> from fastnn import nn
        >>> nn.utils.skip_init(nn.Linear, 5, 1).weight.shape
        torch.Size([1, 5])
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    device = kwargs.get("device", "cpu")
    state = random.get_rng_state()
    try:
        return module_cls(*args, **kwargs).to_empty(device=device)
    finally:
        random.set_rng_state(state)
