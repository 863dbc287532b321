"""Names for type annotations."""

from __future__ import annotations

import builtins
import os
from typing import IO, TypeAlias

from fastnn._C import Size, Tensor, UntypedStorage, device, dtype, layout

__all__ = ["Device", "FileLike", "Number", "Storage"]

_TensorOrTensors: TypeAlias = "Tensor | tuple[Tensor, ...]"
_TensorOrTensorsOrGradEdge: TypeAlias = _TensorOrTensors
_dtype: TypeAlias = dtype
_device: TypeAlias = device
_layout: TypeAlias = layout
_int: TypeAlias = builtins.int
_float: TypeAlias = builtins.float
_bool: TypeAlias = builtins.bool
_size: TypeAlias = "Size | list[builtins.int] | tuple[builtins.int, ...]"
_symsize: TypeAlias = _size

Number: TypeAlias = builtins.int | builtins.float | builtins.bool
Device: TypeAlias = device | builtins.str | builtins.int | None
FileLike: TypeAlias = builtins.str | os.PathLike[builtins.str] | IO[builtins.bytes]
Storage: TypeAlias = UntypedStorage
