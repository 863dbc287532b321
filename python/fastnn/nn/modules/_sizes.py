"""Sizes per dimension, as layers take them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def _per_dimension(value: Any, count: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Iterable) else (value,) * count


def single(value: Any) -> tuple[Any, ...]:
    """`value` as a tuple of one."""
    return _per_dimension(value, 1)


def pair(value: Any) -> tuple[Any, ...]:
    """`value` as a tuple of two."""
    return _per_dimension(value, 2)


def triple(value: Any) -> tuple[Any, ...]:
    """`value` as a tuple of three."""
    return _per_dimension(value, 3)
