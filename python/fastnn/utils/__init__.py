"""Utilities around training: `utils.data` feeds it, `utils.hooks` has the handles of hooks."""

from __future__ import annotations

import importlib
from typing import Any

from . import data

__all__ = ["data"]

_LAZY_MODULES = (
    "_pytree",
    "benchmark",
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
