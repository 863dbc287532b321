"""Reads the format that PyTorch wrote before it had zip archives: pickles in a row, then the bytes of each storage.

The pickles are a magic number, the version of the format, facts about the machine, the object and the list of its
storages. A storage is its number of elements in 8 bytes, and the elements.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from . import _memory
from ._errors import CheckpointError
from ._unpickler import Unpickler

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._C import Tensor

    from ._dtypes import DtypeName
    from ._files import Source

__all__ = ["MAGIC", "load"]

MAGIC = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"  # the pickled number that comes first
_VERSION = 1001
_LENGTH = struct.Struct("<q")


def load(source: Source, relocate: Callable[[Any, str], None], whole: bool) -> Any:
    """The object in such a file.

    Raises:
        CheckpointError: if the file is damaged, or from a machine of the other byte order.
        pickle.UnpicklingError: if it asks for anything else than tensors and plain containers.
    """
    data = source.whole()
    storages: dict[str, tuple[Tensor, DtypeName]] = {}
    taken = 0

    def new_storage(key: str, row: DtypeName, nbytes: int, location: str) -> Tensor:
        nonlocal taken
        taken += nbytes
        if taken > source.size:
            raise CheckpointError(f"load: {source.name} has {source.size} bytes, but its storages need {taken}")
        storages[key] = _memory.new_flat(row, nbytes // row.itemsize), row
        relocate(storages[key][0].untyped_storage(), location)
        return storages[key][0]

    position = 0
    parts = []
    for _ in range(5):
        reader = Unpickler(data, new_storage, position, whole)
        parts.append(reader.load())
        position = reader.position
    _, version, machine, obj, keys = parts
    if version != _VERSION or not isinstance(machine, dict) or not isinstance(keys, list):
        raise CheckpointError(f"load: {source.name} has PyTorch's legacy format in a version that is not known")
    if machine.get("little_endian") is not True:
        raise CheckpointError(f"load: {source.name} is in PyTorch's legacy format from a big-endian machine")
    if any(type(key) is not str for key in keys) or sorted(keys) != sorted(storages):
        raise CheckpointError(f"load: {source.name} does not list the storages that its tensors have; it is damaged")
    for key in keys:
        tensor, row = storages[key]
        what = f"storage {key!r:.40} of {source.name}"
        if _LENGTH.unpack(source.read(position, _LENGTH.size))[0] != tensor.numel():
            raise CheckpointError(f"load: {what} has another size than its tensors say; it is damaged")
        position += _LENGTH.size
        bytes_of_it = _memory.storage_bytes(tensor.untyped_storage())[: tensor.numel() * row.itemsize]
        source.read_into(position, bytes_of_it)
        if row.name == "bool":
            _memory.check_bools(what, bytes_of_it)
        position += len(bytes_of_it)
    return obj
