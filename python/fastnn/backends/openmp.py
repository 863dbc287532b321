"""OpenMP, which runs fastnn's threads."""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """True."""
    return True
