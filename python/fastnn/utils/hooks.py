"""Handles of registered hooks."""

from __future__ import annotations

from fastnn.nn.modules._hooks import RemovableHandle

__all__ = ["RemovableHandle"]
