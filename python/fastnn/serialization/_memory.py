"""Tensors and the bytes of their storages: the only place here that touches memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C

from ._dtypes import DtypeName, dtype_of
from ._errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn._C import Tensor

__all__ = [
    "check_bools",
    "check_extent",
    "extent",
    "from_buffer",
    "is_addressable",
    "new_flat",
    "numel_of",
    "storage_bytes",
]

MAX_DIMS = 64
INT64_MAX = 2**63 - 1


def storage_bytes(storage: Any) -> memoryview:
    """All bytes of an untyped storage, without a copy."""
    if storage.nbytes() == 0:
        return memoryview(b"")
    return memoryview(storage).cast("B")


def new_flat(row: DtypeName, numel: int) -> Tensor:
    """A new one-dimensional tensor, to be filled through :func:`storage_bytes`."""
    return _C.empty((numel,), dtype=dtype_of(row))


def from_buffer(buffer: memoryview, row: DtypeName) -> Tensor:
    """A one-dimensional tensor over ``buffer``, which it keeps alive."""
    numel = len(buffer) // row.itemsize
    return _C._from_buffer(buffer, dtype_of(row), (numel,), (1,), 0)


def numel_of(size: Sequence[int]) -> int:
    """The number of elements, as an unbounded integer."""
    count = 1
    for length in size:
        count *= length
    return count


def is_addressable(size: Sequence[int]) -> bool:
    """Whether a tensor of this shape is possible. A dimension of length 0 does not excuse the others."""
    return numel_of([max(length, 1) for length in size]) <= INT64_MAX // 16


def extent(size: Sequence[int], stride: Sequence[int]) -> int:
    """How many elements of the storage, from the tensor's offset on, a tensor reaches."""
    if numel_of(size) == 0:
        return 0
    return 1 + sum((length - 1) * step for length, step in zip(size, stride, strict=True))


def check_extent(what: str, size: Sequence[Any], stride: Sequence[Any], offset: Any, available: int) -> str | None:
    """Why a tensor of this geometry cannot lie in a storage of ``available`` elements, or None if it can."""
    for name, values in (("size", size), ("stride", stride)):
        if len(values) > MAX_DIMS:
            return f"{what} has {len(values)} dimensions; at most {MAX_DIMS} are possible"
        for value in values:
            if type(value) is not int or not 0 <= value <= INT64_MAX:
                return f"{what} has a {name} that is no list of non-negative 64-bit integers"
    if len(size) != len(stride):
        return f"{what} has {len(size)} sizes and {len(stride)} strides"
    if type(offset) is not int or not 0 <= offset <= available:
        return f"{what} has a storage offset outside of its storage of {available} elements"
    if not is_addressable(size):
        return f"{what} has more elements than memory can address"
    need = offset + extent(size, stride)
    if need > available:
        return f"{what} reaches element {need} of a storage of {available} elements"
    return None


def check_bools(what: str, data: memoryview) -> None:
    """Raise unless every byte is 0 or 1, as the values of a bool tensor must be."""
    import numpy as np

    if len(data) and int(np.frombuffer(data, dtype=np.uint8).max()) > 1:
        raise CheckpointError(f"load: {what} is bool but has bytes other than 0 and 1; the file is damaged")
