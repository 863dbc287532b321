"""Names of `torch.fx` that PyTorch has here."""

from __future__ import annotations

from typing import Any

from ..nn.modules.module import Module
from . import GraphModule

__all__ = ["GraphModule"]

_USER_PRESERVED_ATTRIBUTES_KEY = "_user_preserved_attributes"


class _CodeOnlyModule(Module):
    """A module with the attributes of another."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__()
        self.__dict__ = body


def _copy_attr(from_module: Module, to_module: Module, target: str) -> None:
    """Copy an attribute ``"a.b.c"``; modules on the way to it are made where there are none."""
    *path, name = target.split(".")
    for step in path:
        below = getattr(to_module, step, None)
        if from_module is below:
            return
        if below is None:
            below = Module()
            setattr(to_module, step, below)
        from_module, to_module = getattr(from_module, step), below
    setattr(to_module, name, getattr(from_module, name))
