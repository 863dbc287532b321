"""Split inputs into parts, one for each device, and join results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastnn import _C
from fastnn._C import Tensor

__all__ = ["gather", "scatter", "scatter_kwargs"]


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> list[Any]:
    """Split each tensor in a nest of tuples, lists and dicts into parts along `dim`; all else goes into every part.

    Example:
        >>> import fastnn; from fastnn.nn.parallel import scatter
        >>> [part.tolist() for part in scatter(fastnn.arange(4), [0, 1])]
        [[0, 1], [2, 3]]
    """
    count = len(target_gpus)
    if isinstance(inputs, Tensor):
        return list(inputs.chunk(count, dim))
    if isinstance(inputs, tuple) and hasattr(inputs, "_fields"):
        return [type(inputs)(*part) for part in zip(*(scatter(x, target_gpus, dim) for x in inputs), strict=False)]
    if isinstance(inputs, (tuple, list)) and inputs:
        parts = zip(*(scatter(x, target_gpus, dim) for x in inputs), strict=False)
        return [type(inputs)(part) for part in parts]
    if isinstance(inputs, dict) and inputs:
        values = zip(*(scatter(x, target_gpus, dim) for x in inputs.values()), strict=False)
        return [type(inputs)(zip(inputs, part, strict=True)) for part in values]
    return [inputs] * count


def scatter_kwargs(
    inputs: tuple[Any, ...], kwargs: dict[str, Any] | None, target_gpus: Sequence[Any], dim: int = 0
) -> tuple[tuple[Any, ...], tuple[dict[str, Any], ...]]:
    """Split arguments and keyword arguments; the shorter list of parts is filled up with empty ones."""
    parts = scatter(inputs, target_gpus, dim) if inputs else []
    named = scatter(kwargs, target_gpus, dim) if kwargs else []
    count = max(len(parts), len(named))
    parts += [()] * (count - len(parts))
    named += [{} for _ in range(count - len(named))]
    return tuple(parts), tuple(named)


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """Join results along `dim`: tensors, or nests of tuples, lists and dicts of them.

    Example:
        >>> import fastnn; from fastnn.nn.parallel import gather
        >>> gather([fastnn.ones(1), fastnn.zeros(2)], "cpu").tolist()
        [1.0, 0.0, 0.0]
    """
    first = outputs[0]
    if isinstance(first, Tensor):
        # Numbers, as losses are, become the elements of a vector.
        return _C.cat([part.reshape(1) if part.dim() == 0 else part for part in outputs], dim)
    if first is None:
        return None
    if isinstance(first, Mapping):
        if any(len(part) != len(first) for part in outputs):
            raise ValueError("All dicts must have the same number of keys")
        return type(first)((key, gather([part[key] for part in outputs], target_device, dim)) for key in first)  # type: ignore[call-arg]
    joined = [gather(parts, target_device, dim) for parts in zip(*outputs, strict=True)]
    return type(first)(*joined) if hasattr(first, "_fields") else type(first)(joined)
