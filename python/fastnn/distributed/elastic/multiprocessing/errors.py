"""``record``, which would write down the error that ended a process."""

from __future__ import annotations

from typing import Any, TypeVar

__all__ = ["ChildFailedError", "record"]

F = TypeVar("F")


class ChildFailedError(Exception):
    """A process that was started ended with an error."""


def record(fn: F, error_handler: Any = None) -> F:
    """The function itself: its errors reach the terminal.

    Example:
        >>> from fastnn.distributed.elastic.multiprocessing.errors import record
        >>> record(len) is len
        True
    """
    return fn
