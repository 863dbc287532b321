"""Sizes per dimension, as layers take them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def list_with_default(out_size: Any, defaults: Sequence[int]) -> Any:
    """The output size of an adaptive pooling, with the input's size where it is None.

    Raises:
        ValueError: there are as many output sizes as the input has dimensions.
    """
    if not isinstance(out_size, Iterable):
        return out_size
    wanted = list(out_size)
    if len(defaults) <= len(wanted):
        raise ValueError(f"Input dimension should be at least {len(wanted) + 1}")
    return [have if want is None else want for want, have in zip(wanted, defaults[-len(wanted) :], strict=False)]
