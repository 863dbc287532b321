"""The classes and functions that checkpoints may name beyond tensors and plain containers: none, until the user
adds one."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from fastnn import _C

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "lookup",
    "lookup_whole",
    "name_of_global",
    "public_name",
    "safe_globals",
]

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
    """The added class or function of that name, or None. Layers are found under PyTorch's names for them."""
    if (module, name) in _added:
        return _added[module, name]
    own = lookup_in_nn(module, name) if _added else None
    return own if own is not None and any(own is item for item in _added.values()) else None


def lookup_in_nn(module: str, name: str) -> Any | None:
    """What a name of PyTorch's or fastnn's ``nn``, or of an operation, is here; None for others."""
    if module == "torch._C._nn":  # where PyTorch has some functions
        module = "torch.nn.functional"
    top, _, rest = module.partition(".")
    if top not in ("torch", "fastnn") or (rest and rest.partition(".")[0] != "nn"):
        return None
    try:
        found: Any = importlib.import_module(f"fastnn.{rest}" if rest else "fastnn")
    except ModuleNotFoundError:
        return None
    return getattr(found, name, None) if rest or name in dir(_C) else None


def lookup_whole(module: str, name: str) -> Any | None:
    """A class of modules that the program has already, an operation, or a function of ``nn.functional``; or None."""
    from fastnn.nn import Module, functional

    found = lookup_in_nn(module, name)
    if found is None:
        found = sys.modules.get(module)
        for part in name.split("."):  # what is there, without what a module would load when it is asked
            found = getattr(found, "__dict__", {}).get(part)
    if isinstance(found, type):
        return found if issubclass(found, Module) else None
    known = (getattr(functional, name, None), getattr(_C, name, None))
    return found if callable(found) and any(found is one for one in known) else None


def public_name(item: Any) -> tuple[str, str]:
    """(module, qualified name) under which a file names a class or function: PyTorch's, if it is fastnn's."""
    module, name = getattr(item, "__module__", None) or "__main__", item.__qualname__
    if module == "fastnn" and name.startswith("fastnn."):  # an operation: fastnn.nn.relu
        module, _, name = name.rpartition(".")
        return module.replace("fastnn.nn", "torch.nn.functional").replace("fastnn", "torch"), name
    top, _, rest = module.partition(".")
    if top != "fastnn" or lookup_in_nn(module, name) is not item:
        return module, name
    return ("torch.nn" if lookup_in_nn("torch.nn", name) is item else f"torch.{rest}"), name


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
