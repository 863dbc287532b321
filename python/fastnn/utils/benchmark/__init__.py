"""Timing of statements: ``Timer``, its ``Measurement``, and ``Compare``, which puts several into a table."""

from __future__ import annotations

from .compare import Compare
from .timer import Measurement, Timer

__all__ = ["Compare", "Measurement", "Timer"]
