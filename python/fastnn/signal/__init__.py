"""Signal processing."""

from fastnn.signal import windows

__all__ = ["windows"]
