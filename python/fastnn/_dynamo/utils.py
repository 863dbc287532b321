"""Counts that PyTorch's tracer keeps: all zero."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

__all__ = ["compile_times", "counters", "is_compile_supported"]

counters: defaultdict[str, Counter[str]] = defaultdict(Counter)


def compile_times(repr: str = "str", aggregate: bool = False) -> str:
    """Nothing was compiled."""
    return ""


def is_compile_supported(device_type: Any) -> bool:
    """False."""
    return False
