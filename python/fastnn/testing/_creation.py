"""``make_tensor``: random tensors of any dtype and layout, for tests."""

from __future__ import annotations

import math
from typing import Any

from fastnn import _C

__all__ = ["make_tensor"]

_FLOAT_RANGE = (-9.0, 9.0)


def make_tensor(
    *shape: Any,
    dtype: _C.dtype,
    device: Any = "cpu",
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: _C.memory_format | None = None,
) -> _C.Tensor:
    """A tensor with uniformly random elements in ``[low, high)``.

    Args:
        shape: as sizes, or one sequence of them.
        dtype: of the elements.
        device: the CPU.
        low, high: by default -9 and 9, 0 and 2 for bool, 0 and 10 for uint8.
        requires_grad: for floating point dtypes.
        noncontiguous: every second element of a larger tensor.
        exclude_zero: put the smallest positive number, or 1, where 0 was drawn.
        memory_format: of the result.

    Raises:
        ValueError: the bounds are empty, or arguments contradict each other.

    Example:
        >>> import fastnn
        >>> x = fastnn.testing.make_tensor(2, 3, dtype=fastnn.int8, low=0, high=5)
        >>> x.shape, bool((x < 5).all())
        (torch.Size([2, 3]), True)
    """
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if noncontiguous and memory_format is not None:
        raise ValueError("The parameters `noncontiguous` and `memory_format` are mutually exclusive")
    if requires_grad and not (dtype.is_floating_point or dtype.is_complex):
        raise ValueError(f"`requires_grad=True` is not supported for integral dtype {dtype}")
    drawn = (*sizes[:-1], 2 * sizes[-1]) if noncontiguous and math.prod(sizes) > 1 else sizes
    result = _fill(drawn, dtype, low, high)
    if drawn != sizes:
        result = result[..., ::2]
    if exclude_zero:
        result[result == 0] = _smallest(dtype)
    if memory_format is not None:
        result = result.clone(memory_format=memory_format)
    _C._check_device(device, "make_tensor")
    return result.requires_grad_() if requires_grad else result


def _smallest(dtype: _C.dtype) -> Any:
    from .._functions import finfo

    if dtype.is_complex:
        return complex(1e-6, 1e-6)
    return finfo(dtype).tiny if dtype.is_floating_point else 1


def _fill(sizes: Any, dtype: _C.dtype, low: float | None, high: float | None) -> _C.Tensor:
    default_low, default_high = _default_bounds(dtype)
    start, end = default_low if low is None else low, default_high if high is None else high
    for name, value in (("low", start), ("high", end)):
        if math.isnan(value):
            raise ValueError(f"`low` and `high` cannot be NaN, but got {name}={value}")
    if not start < end:
        raise ValueError(f"make_tensor: `low` must be less than `high`, but got low={start} and high={end}")
    if dtype.is_complex:
        part = _C.float64 if dtype.itemsize == 16 else _C.float32
        pair = _C.empty((*sizes, 2), dtype=part).uniform_(start, end)
        values: _C.Tensor = getattr(_C, "view_as_complex")(pair).to(dtype)  # noqa: B009
        return values
    if dtype.is_floating_point:
        from .._functions import finfo

        limit = finfo(dtype).max
        values = _C.empty(sizes, dtype=_C.float64 if dtype == _C.float64 else _C.float32)
        return values.uniform_(max(start, -limit), min(end, limit)).to(dtype)
    return _C.randint(math.ceil(start), math.ceil(end), sizes, dtype=_C.int64).to(dtype)


def _default_bounds(dtype: _C.dtype) -> tuple[float, float]:
    if dtype == _C.bool:
        return 0, 2
    if dtype == _C.uint8:
        return 0, 10
    return _FLOAT_RANGE if dtype.is_floating_point or dtype.is_complex else (-9, 10)
