"""Marks for profilers. There is no profiler here: they do nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .grad_mode import _ModeContext

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["record_function"]


class record_function(_ModeContext):
    """A named part of a program, as a context manager or decorator; accepted for compatibility.

    Args:
        name: its name.
        args: accepted for compatibility.

    Example::

        >>> import fastnn
        >>> with fastnn.autograd.profiler.record_function("step"):
        ...     y = fastnn.ones(1) + 1
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args

    def _copy(self) -> record_function:
        return type(self)(self.name, self.args)

    def __enter__(self) -> record_function:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
