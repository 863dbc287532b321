"""The library NNPACK, which is not used."""

from __future__ import annotations

__all__ = ["is_available"]

enabled = False


def is_available() -> bool:
    """False."""
    return False
