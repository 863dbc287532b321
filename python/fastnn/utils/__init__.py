"""Utilities around training: `utils.data` feeds it, `utils.hooks` has the handles of hooks."""

from __future__ import annotations

from . import data

__all__ = ["data"]
