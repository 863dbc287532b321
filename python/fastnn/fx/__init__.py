"""Names of PyTorch's graphs of programs, for code that mentions them. Tracing is an error: there are no graphs here."""

from __future__ import annotations

import importlib
from typing import Any, TypeVar

from .._missing import missing_attribute
from ..nn.modules.module import Module

__all__ = [
    "Graph",
    "GraphModule",
    "Interpreter",
    "Node",
    "Proxy",
    "Tracer",
    "Transformer",
    "has_side_effect",
    "map_arg",
    "replace_pattern",
    "symbolic_trace",
    "wrap",
]

T = TypeVar("T")
_MESSAGE = "fastnn does not trace programs into graphs"


class _Refused:
    """A class that can be named, subclassed and asked for by ``isinstance``, but not instantiated."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"torch.fx.{type(self).__name__}: {_MESSAGE}")


class Proxy(_Refused):
    """A value that records what is done with it."""


class Attribute(Proxy):
    """An attribute of such a value."""


class Node(_Refused):
    """A step of a graph."""


class Graph(_Refused):
    """The steps of a program."""


class Tracer(_Refused):
    """What makes a graph of a module."""


class Interpreter(_Refused):
    """What runs a graph."""


class Transformer(Interpreter):
    """What makes another graph of a graph."""


class GraphModule(Module):
    """A module that runs a graph."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(f"torch.fx.GraphModule: {_MESSAGE}")


class TracerBase:
    """The base of what makes graphs."""


class ProxyableClassMeta(type):
    """The type of classes that tracing would see through: here classes as any other."""


def wrap(fn_or_name: T) -> T:
    """The function or its name, which tracing would leave alone.

    Example:
        >>> import fastnn
        >>> fastnn.fx.wrap("len")
        'len'
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    return fn_or_name


def has_side_effect(fn: T) -> T:
    """The function itself."""
    return fn


def symbolic_trace(root: Any, concrete_args: Any = None) -> Any:
    """An error: there are no graphs."""
    raise NotImplementedError(f"torch.fx.symbolic_trace: {_MESSAGE}")


def replace_pattern(gm: Any, pattern: Any, replacement: Any) -> Any:
    """An error: there are no graphs."""
    raise NotImplementedError(f"torch.fx.replace_pattern: {_MESSAGE}")


def map_arg(a: Any, fn: Any) -> Any:
    """Apply a function to the nodes in a structure: there are none, so the structure itself."""
    return a


def __getattr__(name: str) -> Any:
    if name in ("graph", "graph_module", "interpreter", "node", "proxy"):
        return importlib.import_module(f"{__name__}.{name}")
    return missing_attribute("torch.fx")(name)
