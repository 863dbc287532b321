"""Switches that change nothing here, but that programs set and read back."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = ["Switches", "flags_of"]


class Switches:
    """A set of attributes with their values."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


def flags_of(module: dict[str, Any]) -> Callable[..., AbstractContextManager[None]]:
    """A context manager that sets attributes of a module, given its namespace, and puts them back."""

    @contextmanager
    def flags(**changes: Any) -> Iterator[None]:
        """Set switches within a ``with`` block."""
        before = {name: module[name] for name in changes if name in module}
        if unknown := sorted(changes.keys() - before.keys()):
            raise TypeError(f"flags() got an unexpected keyword argument '{unknown[0]}'")
        module.update(changes)
        try:
            yield
        finally:
            module.update(before)

    return flags
