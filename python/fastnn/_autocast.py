"""How functions that are written in Python choose their dtype in an ``autocast`` block."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from fastnn import _C

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["cast_floats", "in_float32", "in_lower_precision", "run_as"]

F = TypeVar("F", bound="Callable[..., Any]")


def cast_floats(value: Any, dtype: _C.dtype) -> Any:
    """Floating point tensors, but those of float64, as another dtype; also in lists, tuples and dicts."""
    if isinstance(value, _C.Tensor):
        return value.to(dtype) if value.is_floating_point() and value.dtype != _C.float64 else value
    if isinstance(value, (str, bytes)) or type(value).__module__ == "numpy":
        return value
    if isinstance(value, Mapping):
        return {cast_floats(key, dtype): cast_floats(one, dtype) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([cast_floats(one, dtype) for one in value])
    return value


def run_as(dtype: _C.dtype, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function with its floating point arguments as another dtype, and outside of the block."""
    enabled, lower, cache = _C._autocast_state()
    _C._set_autocast_state(False, lower, cache)
    try:
        return function(*cast_floats(args, dtype), **cast_floats(kwargs, dtype))
    finally:
        _C._set_autocast_state(enabled, lower, cache)


def in_float32(function: F) -> F:
    """In a block, the function computes in float32."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if _C._autocast_state()[0]:
            return run_as(_C.float32, function, *args, **kwargs)
        return function(*args, **kwargs)

    return run  # type: ignore[return-value]


def in_lower_precision(function: F) -> F:
    """In a block, the function computes in the dtype of the block."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        enabled, lower, _ = _C._autocast_state()
        if enabled:
            return run_as(lower, function, *args, **kwargs)
        return function(*args, **kwargs)

    return run  # type: ignore[return-value]
