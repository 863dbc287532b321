"""Storages: the memory of tensors, as bytes (``UntypedStorage``) or with a dtype (``TypedStorage``)."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import UntypedStorage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastnn._C import Tensor

__all__ = ["TypedStorage", "UntypedStorage"]

StorageBase = UntypedStorage


def from_file(filename: Any, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
    """The bytes of a file, mapped into memory.

    Args:
        filename: of the file.
        shared: whether writing changes the file, which is made as long as `nbytes`.
        nbytes: how many bytes; all of the file if 0.

    Raises:
        RuntimeError: the file is shorter than `nbytes`.
    """
    with open(filename, "r+b" if shared else "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < nbytes:
            if not shared:
                raise RuntimeError(f"from_file: {filename} has {size} bytes, but nbytes is {nbytes}")
            file.truncate(nbytes)
        length = nbytes or size
        if length == 0:
            return UntypedStorage(0)
        memory = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY)
    return _C._from_buffer(memory, _C.uint8, (length,), (1,), 0).untyped_storage()


class TypedStorage:
    """The elements behind a tensor, one after the other, whatever its shape.

    Args:
        wrap_storage: the bytes.
        dtype: what they are; the default dtype if None.

    Example:
        >>> import fastnn
        >>> storage = fastnn.tensor([[1, 2], [3, 4]]).storage()
        >>> len(storage), storage[2], storage.tolist()
        (4, 3, [1, 2, 3, 4])
    """

    is_cuda = False
    is_sparse = False
    dtype: Any

    def __init__(self, *args: Any, wrap_storage: UntypedStorage | None = None, dtype: Any = None) -> None:
        self.dtype = dtype if dtype is not None else getattr(type(self), "dtype", None) or _C.get_default_dtype()
        if wrap_storage is None:
            count = args[0] if args else 0
            data = _C.empty(count, dtype=self.dtype) if isinstance(count, int) else _C.tensor(count, dtype=self.dtype)
            wrap_storage = data.untyped_storage()
        self._untyped_storage = wrap_storage

    def _flat(self) -> Tensor:
        return _C._tensor_over_storage(self._untyped_storage, self.dtype, [len(self)], [1], 0)

    @property
    def device(self) -> _C.device:
        """The CPU."""
        return _C.device("cpu")

    def untyped(self) -> UntypedStorage:
        """The bytes."""
        return self._untyped_storage

    def __len__(self) -> int:
        return self._untyped_storage.nbytes() // int(self.dtype.itemsize)

    size = __len__

    def __getitem__(self, index: int) -> Any:
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        value: Any = self._flat()[index].item()
        return value

    def __setitem__(self, index: Any, value: Any) -> None:
        self._flat()[index] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def tolist(self) -> list[Any]:
        """The elements as a list."""
        values: list[Any] = self._flat().tolist()
        return values

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._untyped_storage.nbytes()

    def element_size(self) -> int:
        """The bytes of an element."""
        return int(self.dtype.itemsize)

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return self._untyped_storage.data_ptr()

    def fill_(self, value: Any) -> TypedStorage:
        """Set all elements."""
        self._flat().fill_(value)
        return self

    def clone(self) -> TypedStorage:
        """A copy."""
        return TypedStorage(wrap_storage=self._flat().clone().untyped_storage(), dtype=self.dtype)

    def share_memory_(self) -> TypedStorage:
        """Accepted for compatibility: the memory stays that of this process."""
        return self

    def is_shared(self) -> bool:
        """Whether the memory is where processes share it; see ``Tensor.share_memory_``."""
        return self._flat().is_shared()

    def is_pinned(self, device: Any = None) -> bool:
        """False."""
        return False

    def cpu(self) -> TypedStorage:
        """Itself."""
        return self

    def __repr__(self) -> str:
        lines = "\n".join(f" {value}" for value in self)
        return f"{lines}\n[torch.storage.TypedStorage(dtype={self.dtype}, device=cpu) of size {len(self)}]"


def _typed(name: str, dtype: Any) -> type[TypedStorage]:
    return type(name, (TypedStorage,), {"dtype": dtype, "__doc__": f"Elements of {dtype}."})


ByteStorage = _typed("ByteStorage", _C.uint8)
CharStorage = _typed("CharStorage", _C.int8)
ShortStorage = _typed("ShortStorage", _C.int16)
IntStorage = _typed("IntStorage", _C.int32)
LongStorage = _typed("LongStorage", _C.int64)
HalfStorage = _typed("HalfStorage", _C.float16)
Storage = FloatStorage = _typed("FloatStorage", _C.float32)
DoubleStorage = _typed("DoubleStorage", _C.float64)
BFloat16Storage = _typed("BFloat16Storage", _C.bfloat16)
BoolStorage = _typed("BoolStorage", _C.bool)
ComplexFloatStorage = _typed("ComplexFloatStorage", _C.complex64)
ComplexDoubleStorage = _typed("ComplexDoubleStorage", _C.complex128)
