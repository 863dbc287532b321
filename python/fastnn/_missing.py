"""The error for names that fastnn does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["missing_attribute"]


def missing_attribute(module: str) -> Callable[[str], Any]:
    """A ``__getattr__`` for a module: the error that names what is missing."""

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):  # asked by the import system and by inspect, not by a user
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        raise AttributeError(
            f"module {module!r} has no attribute {name!r}: fastnn does not have it; "
            "docs/parity.md lists what it has of PyTorch"
        )

    return __getattr__
