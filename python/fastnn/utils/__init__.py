"""Utilities around training: `utils.data` feeds it, `utils.checkpoint` saves its memory, `utils.hooks` has handles."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import data

if TYPE_CHECKING:
    from . import checkpoint as checkpoint

__all__ = ["data"]

_LAZY_MODULES = (
    "_pytree",
    "benchmark",
    "checkpoint",
    "collect_env",
    "cpp_extension",
    "dlpack",
    "hooks",
    "model_zoo",
    "tensorboard",
)


def __getattr__(name: str) -> Any:
    """Submodules are loaded when first used."""
    if name in _LAZY_MODULES:
        return importlib.import_module(f"fastnn.utils.{name}")
    from .._missing import missing_attribute

    return missing_attribute("torch.utils")(name)


def set_module(obj: Any, mod: str) -> None:
    """Say in which module an object is defined."""
    if not isinstance(mod, str):
        raise TypeError("The mod argument should be a string")
    obj.__module__ = mod
