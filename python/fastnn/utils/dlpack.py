"""Tensors as DLPack capsules, and the other way round, without a copy."""

from __future__ import annotations

from typing import Any

from fastnn import _C

__all__ = ["from_dlpack", "to_dlpack"]

from_dlpack = _C.from_dlpack


def to_dlpack(tensor: _C.Tensor) -> Any:
    """A capsule that another library takes over, once.

    Example:
        >>> import fastnn
        >>> fastnn.utils.dlpack.from_dlpack(fastnn.utils.dlpack.to_dlpack(fastnn.ones(2)))
        tensor([1., 1.])
    """
    return tensor.__dlpack__()
