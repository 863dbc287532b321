"""One module for each device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..modules.module import Module

__all__ = ["replicate"]


def replicate(network: Module, devices: Sequence[Any], detach: bool = False) -> list[Module]:
    """Return the module once for each of `devices`: they are one, so the parameters are too."""
    return [network for _ in devices]
