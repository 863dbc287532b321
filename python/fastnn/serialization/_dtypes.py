"""The one table of the names that files use for dtypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fastnn import _C

if TYPE_CHECKING:
    from fastnn._C import dtype as Dtype

__all__ = ["BY_NAME", "BY_SAFETENSORS", "BY_STORAGE", "DtypeName", "dtype_of", "name_of"]


class DtypeName(NamedTuple):
    """What one dtype is called in fastnn, in PyTorch's pickles and in safetensors headers ("": no name there)."""

    name: str
    itemsize: int
    storage: str
    safetensors: str
    is_differentiable: bool

    @property
    def word(self) -> int:
        """Bytes that keep their order when the byte order changes: those of a part of a complex number."""
        return self.itemsize // 2 if self.name.startswith("complex") else self.itemsize


_TABLE = (
    DtypeName("float64", 8, "DoubleStorage", "F64", True),
    DtypeName("float32", 4, "FloatStorage", "F32", True),
    DtypeName("float16", 2, "HalfStorage", "F16", True),
    DtypeName("bfloat16", 2, "BFloat16Storage", "BF16", True),
    DtypeName("complex128", 16, "ComplexDoubleStorage", "", True),
    DtypeName("complex64", 8, "ComplexFloatStorage", "C64", True),
    DtypeName("int64", 8, "LongStorage", "I64", False),
    DtypeName("int32", 4, "IntStorage", "I32", False),
    DtypeName("int16", 2, "ShortStorage", "I16", False),
    DtypeName("int8", 1, "CharStorage", "I8", False),
    DtypeName("uint8", 1, "ByteStorage", "U8", False),
    DtypeName("bool", 1, "BoolStorage", "BOOL", False),
)

BY_NAME: dict[str, DtypeName] = {row.name: row for row in _TABLE}
BY_STORAGE: dict[str, DtypeName] = {row.storage: row for row in _TABLE}
BY_SAFETENSORS: dict[str, DtypeName] = {row.safetensors: row for row in _TABLE if row.safetensors}

_by_dtype: dict[Dtype, DtypeName] = {}


def dtype_of(row: DtypeName) -> Dtype:
    """The dtype object of a row."""
    dtype: Dtype = getattr(_C, row.name)
    return dtype


def name_of(dtype: Dtype) -> DtypeName:
    """The row of a dtype object; ``TypeError`` when files have no name for it."""
    if not _by_dtype:
        _by_dtype.update({dtype_of(row): row for row in _TABLE})
    try:
        return _by_dtype[dtype]
    except KeyError:
        raise TypeError(f"save: dtype {dtype} cannot be stored in a checkpoint") from None
