"""The classes and functions that checkpoints may name beyond tensors and plain containers: none, until the user
adds one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "lookup", "name_of_global", "safe_globals"]

_added: dict[tuple[str, str], Any] = {}


def name_of_global(item: Any) -> tuple[str, str]:
    """(module, qualified name) under which pickles refer to a class or function."""
    if isinstance(item, tuple):
        item, full = item
        module, _, name = full.rpartition(".")
        return module, name
    return item.__module__, item.__qualname__


def add_safe_globals(items: Iterable[Any]) -> None:
    """Let checkpoints name these classes and functions, from now on, when saved and when loaded.

    Loading calls what the file asks for among them, with arguments from the file: add only what is safe to call with
    any argument.

    Args:
        items: classes and functions, or pairs of one and the full name that files use for it.

    Example:
        >>> import fastnn
        >>> from fractions import Fraction
        >>> fastnn.serialization.add_safe_globals([Fraction])
        >>> fastnn.serialization.get_safe_globals()
        [<class 'fractions.Fraction'>]
        >>> fastnn.serialization.clear_safe_globals()
    """
    for item in items:
        _added[name_of_global(item)] = item[0] if isinstance(item, tuple) else item


def get_safe_globals() -> list[Any]:
    """What :func:`add_safe_globals` added."""
    return list(_added.values())


def clear_safe_globals() -> None:
    """Forget all that :func:`add_safe_globals` added."""
    _added.clear()


def lookup(module: str, name: str) -> Any | None:
    """The added class or function of that name, or None."""
    return _added.get((module, name))


class safe_globals:
    """:func:`add_safe_globals` within a ``with`` block.

    Example:
        >>> import fastnn, io
        >>> from fractions import Fraction
        >>> file = io.BytesIO()
        >>> with fastnn.serialization.safe_globals([Fraction]):
        ...     fastnn.save({"lr": Fraction(1, 3)}, file)
        ...     _ = file.seek(0)
        ...     fastnn.load(file)
        {'lr': Fraction(1, 3)}
    """

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = list(items)
        self._before: dict[tuple[str, str], Any] = {}

    def __enter__(self) -> None:
        self._before = dict(_added)
        add_safe_globals(self._items)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _added.clear()
        _added.update(self._before)
