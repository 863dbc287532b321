"""PyTorch's tracer of Python programs. Nothing is traced here: programs run as they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._missing import missing_attribute
from . import config, eval_frame, utils
from .eval_frame import OptimizedModule

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "OptimizedModule",
    "allow_in_graph",
    "assume_constant_result",
    "config",
    "disable",
    "disallow_in_graph",
    "eval_frame",
    "explain",
    "export",
    "forbid_in_graph",
    "graph_break",
    "is_compiling",
    "list_backends",
    "lookup_backend",
    "mark_dynamic",
    "mark_static",
    "mark_static_address",
    "maybe_mark_dynamic",
    "optimize",
    "register_backend",
    "reset",
    "run",
    "utils",
]


def _same(fn: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The function itself, or a decorator that returns it."""
    return fn if fn is not None else lambda function: function


allow_in_graph = disallow_in_graph = forbid_in_graph = assume_constant_result = run = nonstrict_trace = _same
dont_skip_tracing = register_backend = _same


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None, wrapping: bool = True) -> Any:
    """The function itself, or a decorator that returns it.

    Example:
        >>> import fastnn
        >>> fastnn._dynamo.disable(len) is len
        True
    """
    return _same(fn)


def optimize(*args: Any, **kwargs: Any) -> Callable[[Any], Any]:
    """A decorator that compiles with the default settings."""
    from ..compiler import compile

    return compile


def explain(f: Any, *args: Any, **kwargs: Any) -> Any:
    """An error: there is no graph to explain."""
    raise NotImplementedError("torch._dynamo.explain: fastnn does not trace programs, so there is no graph to explain")


def export(f: Any, *args: Any, **kwargs: Any) -> Any:
    """An error: there is no graph to export."""
    raise NotImplementedError("torch._dynamo.export: fastnn does not trace programs, so there is no graph to export")


def is_compiling() -> bool:
    """False."""
    return False


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """``["eager"]``: what is written is what runs."""
    return ["eager"]


def lookup_backend(compiler_fn: Any) -> Any:
    """A backend that returns its function."""
    return compiler_fn if callable(compiler_fn) else lambda function, inputs=(): function


def reset() -> None:
    """Nothing is cached, so nothing is cleared."""


def graph_break(msg: str = "") -> None:
    """Nothing to break."""


def mark_dynamic(t: Any, index: Any, **kwargs: Any) -> None:
    """Accepted: every size may change at any time."""


def mark_static(t: Any, index: Any = None) -> None:
    """Accepted: nothing is made for one size only."""


def mark_static_address(t: Any, guard: bool = True) -> None:
    """Accepted: nothing depends on where a tensor lies."""


maybe_mark_dynamic = mark_unbacked = mark_dynamic

__getattr__ = missing_attribute("torch._dynamo")
