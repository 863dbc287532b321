"""How fastnn was built."""

from __future__ import annotations

from fastnn import _C

__all__ = ["parallel_info", "show"]


def show() -> str:
    """Version, instruction set, BLAS, threads and memory, as ``fastnn info`` prints them.

    Example:
        >>> import fastnn
        >>> "BLAS" in fastnn.__config__.show()
        True
    """
    from .cli import info_text

    return info_text(_C.info())


def parallel_info() -> str:
    """The number of threads, and why."""
    return f"threads: {_C.get_num_threads()} ({_C._num_threads_reason()})"
