"""Finding the forward operation behind a bad gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _C

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["detect_anomaly", "set_anomaly_enabled", "set_detect_anomaly"]


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Switch anomaly mode; see :class:`set_detect_anomaly`."""
    _C._set_anomaly_enabled(mode, check_nan)


class set_detect_anomaly:
    """Switch anomaly mode: an error or a NaN in a backward pass shows the Python line of its forward operation.

    Args:
        mode: whether it is on.
        check_nan: whether a NaN is an error.

    Example::

        >>> import fastnn
        >>> with fastnn.autograd.set_detect_anomaly(True):
        ...     fastnn.is_anomaly_enabled()
        True
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.prev = _C.is_anomaly_enabled()
        self.prev_check_nan = _C.is_anomaly_check_nan_enabled()
        _C._set_anomaly_enabled(mode, check_nan)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _C._set_anomaly_enabled(self.prev, self.prev_check_nan)


class detect_anomaly(set_detect_anomaly):
    """Anomaly mode inside a ``with``; see :class:`set_detect_anomaly`."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)
