"""Names of packages that are loaded when first used: `import fastnn` loads the core alone."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["export_lazily"]


def _own_dict(module: ModuleType) -> dict[str, Any]:
    """What is loaded in a module, where ``__dict__`` would load it all."""
    own: dict[str, Any] = vars(ModuleType)["__dict__"].__get__(module)
    return own


class _LazyPackage(ModuleType):
    """A package whose ``__dict__`` has all names, as if they had been loaded with it: ``optim.__dict__["SGD"]``."""

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        for name in self.__dir__():
            getattr(self, name)
        return _own_dict(self)

    def __setattr__(self, name: str, value: Any) -> None:
        """Loading a module does not hide the function that has its name, as ``autograd.gradcheck`` does."""
        if isinstance(value, ModuleType) and _own_dict(self)["_places"].get(name) == f".{name}":
            value = getattr(value, name)
        super().__setattr__(name, value)


def export_lazily(package: str, names: Mapping[str, str], submodules: str = "", *, plain: bool = False) -> None:
    """Let a package have names and submodules that are loaded when first used.

    Its ``__init__.pyi``, which `python -m fastnn._stubgen` writes, tells type checkers of them.

    Args:
        package: its name; this is called while it is loaded.
        names: what to export of which of its modules.
        submodules: modules to export as well; those of `names` are found, too, but not exported.
        plain: whether it stays a plain module, in which the interpreter finds names fastest, but whose ``__dict__``
            has only what has been used.
    """
    module = sys.modules[package]
    loaded = vars(module)
    places = {name: f".{place}" for place, listed in names.items() for name in listed.split()}
    exported = submodules.split()
    modules = {*exported, *(place for place in names if "." not in place)}

    def __getattr__(name: str) -> Any:
        if name in places:
            value = loaded[name] = getattr(importlib.import_module(places[name], package), name)
            return value
        if name in modules:
            return importlib.import_module(f".{name}", package)
        from ._missing import missing_attribute

        return missing_attribute(package.replace("fastnn", "torch", 1))(name)

    def __dir__() -> list[str]:
        return sorted({*loaded, *modules, *places})

    loaded.update(__getattr__=__getattr__, __dir__=__dir__, _places=places)
    for name in places:  # a function of the core that another one wraps
        loaded.pop(name, None)
    public = {name for name in (*places, *exported) if not name.startswith("_")}
    loaded["__all__"] = sorted({*loaded.get("__all__", ()), *public})
    if not plain:
        module.__class__ = _LazyPackage
