"""The old profiler; :mod:`fastnn.profiler` is the newer one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .. import profiler as _profiler
from ..profiler import EventList, record_function

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["EventList", "emit_itt", "emit_nvtx", "profile", "record_function"]


class profile(_profiler.profile):
    """Records the operations called in a block.

    Args:
        enabled: otherwise nothing is recorded.
        options: accepted for compatibility.

    Example:
        >>> import fastnn
        >>> with fastnn.autograd.profiler.profile() as profiler:
        ...     _ = fastnn.zeros(2)
        >>> print(profiler.key_averages()[0].key)
        aten::zeros
    """

    def __init__(self, enabled: bool = True, **options: Any) -> None:
        super().__init__()
        self.enabled = enabled

    def __enter__(self) -> profile:
        if self.enabled:
            self.start()
        return self

    def table(self, sort_by: str | None = None, row_limit: int = 100, **options: Any) -> str:
        """The sums as text."""
        return self.key_averages().table(sort_by=sort_by, row_limit=row_limit, **options)

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all calls."""
        return self.key_averages().self_cpu_time_total


@contextmanager
def emit_nvtx(enabled: bool = True, record_shapes: bool = False) -> Iterator[None]:
    """Marks for NVIDIA's profiler: an error, as there is none, unless it is off."""
    if enabled:
        raise RuntimeError("NVTX functions not installed. Are you sure you have a CUDA build?")
    yield


@contextmanager
def emit_itt(enabled: bool = True, record_shapes: bool = False) -> Iterator[None]:
    """Marks for Intel's profiler: none are made."""
    yield
