"""The safetensors format: a dict of named tensors, and nothing else.

A file is the length of the header (8 bytes, little endian), the header (JSON: for each name dtype, shape and the
range of its bytes), and the bytes. Source: https://github.com/huggingface/safetensors#format

Tensors that are one view of one memory (tied weights) are stored once, and are tied again by :func:`load_file`.
"""

from __future__ import annotations

import json
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import _C

from . import _memory
from ._dtypes import BY_SAFETENSORS, DtypeName, name_of
from ._errors import CheckpointError
from ._files import open_source, writing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

    from fastnn._C import Tensor

    from ._files import FileLike, Source

__all__ = ["load", "load_file", "read", "read_metadata", "save", "save_file"]

MAX_HEADER = 100_000_000  # bytes, as in the reference implementation
_LENGTH = struct.Struct("<Q")
_DATA_ALIGNMENT = 64
_METADATA = "__metadata__"
_TIES = "fastnn.tied"  # in the metadata: a JSON object {name: the stored name of the same tensor}


class _Entry(NamedTuple):
    name: str
    row: DtypeName
    shape: tuple[int, ...]
    begin: int
    end: int


# -- writing ------------------------------------------------------------------------------------------------------


def save_file(tensors: Mapping[str, Tensor], path: FileLike, metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file; a path changes only when the file is complete.

    Args:
        tensors: tensors by name, for example a ``state_dict()``. Two names for the same view of the same memory are
            stored once and tied again on loading.
        path: a path, or a file open for writing in binary mode.
        metadata: strings by name, to be read with :func:`read_metadata`.

    Raises:
        TypeError: if a name is no string or a value is no tensor.
        RuntimeError: if tensors share part of their memory, which the format cannot say.

    Example:
        >>> import fastnn, io
        >>> from fastnn.serialization.safetensors import load_file, read_metadata, save_file
        >>> weight, file = fastnn.arange(3), io.BytesIO()  # or a path
        >>> save_file({"embed": weight, "head": weight}, file, {"epoch": "3"})
        >>> _ = file.seek(0)
        >>> loaded = load_file(file)
        >>> loaded["embed"].data_ptr() == loaded["head"].data_ptr()
        True
        >>> _ = file.seek(0)
        >>> read_metadata(file)
        {'epoch': '3'}
    """
    header, ordered = _prepare(tensors, metadata)
    with writing(path) as file:
        _write(file, header, ordered)


def save(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file; see :func:`save_file`."""
    import io

    file = io.BytesIO()
    save_file(tensors, file, metadata)
    return file.getvalue()


def _write(file: IO[bytes], header: bytes, ordered: list[Tensor]) -> None:
    file.write(_LENGTH.pack(len(header)))
    file.write(header)
    for tensor in ordered:
        if tensor.numel():
            plain = tensor.detach().contiguous()
            data = _memory.storage_bytes(plain.untyped_storage())
            begin = plain.storage_offset() * plain.element_size()
            file.write(data[begin : begin + plain.numel() * plain.element_size()])


def _prepare(tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None) -> tuple[bytes, list[Tensor]]:
    """The header, padded, and the tensors in the order in which their bytes follow."""
    for name, tensor in _items(tensors):
        if not isinstance(name, str) or name == _METADATA:
            raise TypeError(
                f"save: a name in a safetensors file must be a string (not {_METADATA!r}), got {name!r:.80}"
            )
        if not isinstance(tensor, _C.Tensor):
            raise TypeError(
                f"save: {name!r} is a {type(tensor).__name__}; a safetensors file holds only tensors by name. Save the "
                "rest in a .pt file, or as strings in metadata"
            )
        if not name_of(tensor.dtype).safetensors:
            raise TypeError(
                f"save: {name!r} is {tensor.dtype}, which the safetensors format does not have; save a .pt file"
            )
    ties = _find_ties(tensors)
    extra = _checked_metadata(metadata)
    if ties:
        extra[_TIES] = json.dumps(ties)
    stored = [name for name in tensors if name not in ties]
    by_size = sorted(stored, key=lambda name: -name_of(tensors[name].dtype).itemsize)  # so each is aligned
    ranges: dict[str, tuple[int, int]] = {}
    position = 0
    for name in by_size:
        end = position + tensors[name].numel() * name_of(tensors[name].dtype).itemsize
        ranges[name] = position, end
        position = end
    header: dict[str, Any] = {_METADATA: extra} if extra else {}
    for name in stored:
        tensor = tensors[name]
        header[name] = {
            "dtype": name_of(tensor.dtype).safetensors,
            "shape": list(tensor.shape),
            "data_offsets": list(ranges[name]),
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(len(text) + _LENGTH.size) % _DATA_ALIGNMENT)
    if len(text) > MAX_HEADER:
        raise ValueError(
            f"save: the names and shapes need {len(text)} bytes; a safetensors header has at most {MAX_HEADER}"
        )
    return text, [tensors[name] for name in by_size]


def _items(tensors: Any) -> Any:
    if not hasattr(tensors, "items"):
        raise TypeError(
            f"save: a safetensors file holds a dict of tensors by name, got {type(tensors).__name__}; use a .pt file"
        )
    return tensors.items()


def _checked_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    checked = dict(metadata or {})
    for name, value in checked.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"save: metadata must be strings by name, got {name!r:.80}: {type(value).__name__}")
    return checked


def _geometry(tensor: Tensor) -> tuple[Any, ...]:
    """What two names of one tensor have in common. The stride of a dimension of length 1 does not matter."""
    strides = tuple(step if length > 1 else 0 for length, step in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.dtype, tuple(tensor.shape), strides, tensor.storage_offset()


def _find_ties(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """{name: earlier name of the same tensor}; raises for tensors that share only part of their memory."""
    by_storage: dict[int, list[str]] = {}
    ties: dict[str, str] = {}
    for name, tensor in tensors.items():
        if tensor.numel() == 0:
            continue
        group = by_storage.setdefault(tensor.untyped_storage().data_ptr(), [])
        twin = next((other for other in group if _geometry(tensors[other]) == _geometry(tensor)), None)
        if twin is not None:
            ties[name] = twin
        else:
            group.append(name)
    for group in by_storage.values():
        _check_apart(tensors, group)
    return ties


def _span(tensor: Tensor) -> tuple[int, int]:
    """The range of bytes of the storage in which the tensor lies."""
    begin = tensor.storage_offset()
    end = begin + _memory.extent(tensor.shape, tensor.stride())
    return begin * tensor.element_size(), end * tensor.element_size()


def _check_apart(tensors: Mapping[str, Tensor], names: list[str]) -> None:
    """Raise unless tensors over one storage touch different bytes."""
    spans = sorted(_span(tensors[name]) for name in names)
    if all(left[1] <= right[0] for left, right in pairwise(spans)):
        return
    import numpy as np  # their ranges interleave: mark each byte with the tensor that it belongs to
    from numpy.lib.stride_tricks import as_strided

    nbytes = tensors[names[0]].untyped_storage().nbytes()
    owner = np.zeros(nbytes, dtype=np.int32)
    for place, name in enumerate(names, start=1):
        tensor = tensors[name]
        size = tensor.element_size()
        shape = (*tensor.shape, size)
        strides = (*(4 * size * step for step in tensor.stride()), 4)
        window = as_strided(owner[tensor.storage_offset() * size :], shape, strides)
        taken = int(window.max())
        if taken:
            raise RuntimeError(
                f"save: {names[taken - 1]!r} and {name!r} share part of their memory, which a safetensors file cannot "
                "say; clone() one of them, or save to a .pt file"
            )
        window[...] = place


# -- reading ------------------------------------------------------------------------------------------------------


def load_file(path: FileLike, mmap: bool = True) -> dict[str, Tensor]:
    """Read a safetensors file.

    Args:
        path: a path, or a file open for reading in binary mode.
        mmap: map the file into memory, so that a page is read when it is first used; writing to a tensor does not
            change the file. The file must not be shortened while its tensors live. Ignored for file objects.

    Returns:
        The tensors by name, in the order of the header; tied names hold tensors over the same memory.

    Raises:
        CheckpointError: (a ``RuntimeError``) if the file is damaged, or has a dtype that fastnn has not.
    """
    with open_source(path) as source:
        return read(source, mmap=mmap and source.mappable)


def load(data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file that is in memory."""
    import io

    return load_file(io.BytesIO(data), mmap=False)


def read_metadata(path: FileLike) -> dict[str, str]:
    """The metadata of a safetensors file (without the note that fastnn keeps about tied tensors)."""
    with open_source(path) as source:
        metadata = _read_header(source)[1]
    metadata.pop(_TIES, None)
    return metadata


def read(source: Source, *, mmap: bool) -> dict[str, Tensor]:
    """All tensors of an open file."""
    from ._api import read_tensor

    entries, metadata, start = _read_header(source)
    ties = _read_ties(source, metadata, {entry.name for entry in entries})
    tensors: dict[str, Tensor] = {}
    for entry in entries:
        nbytes, offset = entry.end - entry.begin, start + entry.begin
        may_map = mmap and nbytes > 0 and offset % entry.row.itemsize == 0
        what = f"{entry.name!r:.80} of {source.name}"
        flat = read_tensor(source, offset, nbytes, entry.row, mmap=may_map, what=what)
        tensors[entry.name] = flat.view(entry.shape)
    for name, stored in ties.items():
        tensors[name] = tensors[stored]
    return tensors


def _damaged(source: Source, why: str) -> CheckpointError:
    return CheckpointError(f"load: {source.name} is no valid safetensors file: {why}")


def _read_header(source: Source) -> tuple[list[_Entry], dict[str, str], int]:
    """(tensors, metadata, where the data start); everything about sizes is checked here."""
    if source.size < _LENGTH.size:
        raise _damaged(source, f"it has only {source.size} bytes")
    (length,) = _LENGTH.unpack(source.read(0, _LENGTH.size))
    if length > MAX_HEADER:
        raise _damaged(source, f"its header claims {length} bytes; at most {MAX_HEADER} are allowed")
    start = _LENGTH.size + length
    if start > source.size:
        raise _damaged(source, f"its header claims {length} bytes, but the file has only {source.size}")
    try:
        header = json.loads(source.read(_LENGTH.size, length).decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise _damaged(source, f"its header is no valid JSON: {str(error)[:200]}") from None
    if not isinstance(header, dict):
        raise _damaged(source, "its header is no JSON object")
    metadata = header.pop(_METADATA, None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _damaged(source, "its metadata are not strings")
    entries = [_entry(source, name, fields) for name, fields in header.items()]
    position = 0
    for entry in sorted(entries, key=lambda one: (one.begin, one.end)):
        if entry.begin != position:
            raise _damaged(source, f"the bytes of {entry.name!r:.80} overlap with others, or leave a hole before them")
        position = entry.end
    if start + position != source.size:
        raise _damaged(source, f"its tensors need {position} bytes, but {source.size - start} are there")
    return entries, metadata, start


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name is there twice")
    return made


def _entry(source: Source, name: str, fields: Any) -> _Entry:
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise _damaged(source, f"{name!r:.80} has not exactly dtype, shape and data_offsets")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    row = BY_SAFETENSORS.get(dtype) if isinstance(dtype, str) else None
    if row is None:
        known = ", ".join(BY_SAFETENSORS)
        raise CheckpointError(f"load: {name!r:.80} of {source.name} has dtype {dtype!r:.40}; fastnn has {known}")
    if not _is_sizes(shape) or len(shape) > _memory.MAX_DIMS or not _memory.is_addressable(shape):
        raise _damaged(source, f"{name!r:.80} has an impossible shape")
    if not _is_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise _damaged(source, f"{name!r:.80} has impossible data_offsets")
    need = _memory.numel_of(shape) * row.itemsize
    if offsets[1] - offsets[0] != need:
        raise _damaged(source, f"{name!r:.80} has {offsets[1] - offsets[0]} bytes; its dtype and shape need {need}")
    return _Entry(name, row, tuple(shape), offsets[0], offsets[1])


def _is_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(one) is int and 0 <= one <= _memory.INT64_MAX for one in values)


def _read_ties(source: Source, metadata: dict[str, str], stored: set[str]) -> dict[str, str]:
    text = metadata.get(_TIES)
    if text is None:
        return {}
    try:
        ties = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        ties = None
    if not isinstance(ties, dict) or any(
        not isinstance(name, str)
        or name in stored
        or name == _METADATA
        or not isinstance(twin, str)
        or twin not in stored
        for name, twin in ties.items()
    ):
        raise _damaged(source, "its note about tied tensors does not fit its tensors")
    return ties
