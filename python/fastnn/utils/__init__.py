"""Utilities around training: `utils.data` feeds it, `utils.checkpoint` saves its memory, `utils.hooks` has handles."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from . import data

if TYPE_CHECKING:
    from . import checkpoint as checkpoint

__all__ = ["data"]


def __getattr__(name: str) -> object:
    """Modules that few programs need are loaded when first used."""
    if name == "checkpoint":
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
