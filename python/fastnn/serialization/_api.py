"""``save`` and ``load``."""

from __future__ import annotations

import sys
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from fastnn import _C

from . import _legacy, _memory, _zip
from ._errors import CheckpointError
from ._files import is_path, open_source, writing
from ._pickler import Pickler
from ._unpickler import Unpickler

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._C import Tensor

    from ._dtypes import DtypeName
    from ._files import FileLike, Source

__all__ = ["load", "save"]

_FOLDER = "archive"
_FORMAT_VERSION = "3"
_READABLE_VERSIONS = range(1, 11)
_PICKLE_PROTOCOL = 2
_SAFETENSORS_SUFFIX = ".safetensors"


def save(
    obj: Any,
    f: FileLike,
    pickle_module: None = None,
    pickle_protocol: int = _PICKLE_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Save a checkpoint.

    A path that ends in ``.safetensors`` gets a safetensors file, which holds a dict of tensors
    (see :func:`fastnn.serialization.safetensors.save_file`). Anything else gets PyTorch's zip format, which
    ``torch.load(f, weights_only=True)`` reads too. Tensors that share memory share it again after loading.

    A path changes only when the file is complete: the bytes are written aside, flushed to the disk and renamed.

    Args:
        obj: tensors, parameters, numbers, strings, bytes, dtypes, devices, sizes, and dicts, OrderedDicts, lists,
            tuples and sets of them: a ``state_dict()``, or a dict with the state dicts of a model and an optimizer.
            Anything else that can be pickled is saved too, but loaded only where its classes are allowed by
            :func:`fastnn.serialization.add_safe_globals`.
        f: a path, or a file open for writing in binary mode.
        pickle_module: for PyTorch's signature; only None is possible.
        pickle_protocol: for PyTorch's signature; only 2 is possible, which is the one PyTorch reads safely.

    Raises:
        pickle.PicklingError: if ``obj`` holds something that cannot be pickled; the message says where. Objects that
            refuse it themselves raise what they raise in ``pickle.dumps``, mostly ``TypeError``.
        RuntimeError: if the folder does not exist, or tensors of different dtypes share memory.

    Example:
        >>> import fastnn, io
        >>> file = io.BytesIO()  # or a path
        >>> fastnn.save({"weight": fastnn.ones(2, 3), "epoch": 5}, file)
        >>> _ = file.seek(0)
        >>> fastnn.load(file)["weight"].shape
        torch.Size([2, 3])
    """
    if pickle_module is not None or pickle_protocol != _PICKLE_PROTOCOL or not _use_new_zipfile_serialization:
        raise ValueError(
            "save: pickle_module must be None, pickle_protocol 2 and _use_new_zipfile_serialization True; fastnn "
            "writes only the format that PyTorch can read safely"
        )
    if is_path(f) and str(f).endswith(_SAFETENSORS_SUFFIX):
        from .safetensors import save_file

        save_file(obj, f)
        return
    pickler = Pickler()
    stream = pickler.dump(obj)
    with writing(f) as file:
        archive = _zip.ZipWriter(file)
        archive.add(f"{_FOLDER}/data.pkl", stream)
        archive.add(f"{_FOLDER}/.format_version", b"1")
        archive.add(f"{_FOLDER}/.storage_alignment", str(_zip.ALIGNMENT).encode())
        archive.add(f"{_FOLDER}/byteorder", sys.byteorder.encode())
        for key, storage in enumerate(pickler.storages):
            archive.add(f"{_FOLDER}/data/{key}", _memory.storage_bytes(storage))
        archive.add(f"{_FOLDER}/version", f"{_FORMAT_VERSION}\n".encode())
        archive.close()


def load(
    f: FileLike,
    map_location: Any = None,
    pickle_module: None = None,
    *,
    weights_only: bool | None = True,
    mmap: bool | None = None,
) -> Any:
    """Load a checkpoint of fastnn or PyTorch (``.pt``, ``.pth``) or a safetensors file; the content tells which.

    Only tensors, parameters, numbers, strings, bytes and plain containers are built. Nothing that a file says is
    imported or called, so a file from a stranger cannot run code, and it cannot make fastnn allocate more than in
    proportion to its size.

    Args:
        f: a path, or a file open for reading in binary mode.
        map_location: ``"cpu"``, a dict or a function as in PyTorch. There is only the CPU, so whatever device a
            tensor was saved from, it is loaded to the CPU.
        pickle_module: for PyTorch's signature; only None is possible.
        weights_only: ``False`` also reads whole modules: layers of ``nn``, and modules whose classes the program has
            imported. Nothing else: fastnn never imports or calls what a file names. Other classes of your own are
            allowed by :func:`fastnn.serialization.add_safe_globals`.
        mmap: True maps the file into memory instead of reading it, so that pages are read when first used. Writing to
            a tensor does not change the file. The file must not be shortened while its tensors live. None means True
            for a safetensors path, False otherwise.

    Raises:
        FileNotFoundError: if there is no such file.
        EOFError: if the file is empty.
        CheckpointError: (a ``RuntimeError``) if the file is damaged or of another format.
        pickle.UnpicklingError: if it asks for anything else than tensors and plain containers.

    Example:
        >>> import fastnn, io
        >>> file = io.BytesIO()
        >>> fastnn.save([fastnn.arange(3), "text"], file)
        >>> _ = file.seek(0)
        >>> fastnn.load(file)
        [tensor([0, 1, 2]), 'text']
    """
    if pickle_module is not None:
        raise ValueError("load: pickle_module must be None; fastnn reads checkpoints with its own restricted reader")
    if weights_only not in (True, False, None):
        raise TypeError(f"load: weights_only must be a bool, got {type(weights_only).__name__}")
    relocate = _relocation(map_location)
    with open_source(f) as source:
        if mmap and not source.mappable:
            raise ValueError("load: mmap=True needs a path, not a file object")
        head = source.read(0, min(source.size, 64))
        if not head:
            raise EOFError(f"load: {source.name} is empty")
        if head.startswith(_zip.MAGIC):
            return _load_zip(source, bool(mmap), relocate, weights_only is False)
        if len(head) > 8 and head[8:9] == b"{":
            from .safetensors import read

            return read(source, mmap=source.mappable if mmap is None else mmap)
        if head[2:].startswith(_legacy.MAGIC):
            if mmap:
                raise RuntimeError("load: mmap=True needs a file in the zip format; torch.save writes it by default")
            return _legacy.load(source, relocate, weights_only is False)
        raise _unknown_format(source, head)


def _relocation(map_location: Any) -> Callable[[Any, str], None]:
    """A function that raises if ``map_location`` sends a storage anywhere but to the CPU."""

    def check(target: Any) -> None:
        name = target if isinstance(target, str) else getattr(target, "type", None)
        if not isinstance(name, str) or name.partition(":")[0] != "cpu":
            raise RuntimeError(f"load: map_location gives {target!r:.80}, but the only device is 'cpu'")

    def look_up(storage: Any, location: str) -> None:
        if location in map_location:
            check(map_location[location])

    def call(storage: Any, location: str) -> None:
        result = map_location(storage, location)
        if not (result is None or result is storage):
            raise RuntimeError("load: map_location must return the storage it is given, or None; there is only 'cpu'")

    if map_location is None:
        return lambda storage, location: None
    if isinstance(map_location, dict):
        return look_up
    if callable(map_location) and not isinstance(map_location, (str, _C.device)):
        return call
    check(map_location)
    return lambda storage, location: None


def _load_zip(source: Source, mmap: bool, relocate: Callable[[Any, str], None], whole: bool) -> Any:
    records = _zip.read_directory(source)
    folders = [name[: -len("data.pkl")] for name in records if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(folders) != 1:
        raise CheckpointError(f"load: {source.name} is a zip archive, but no PyTorch checkpoint: it has no data.pkl")
    folder = folders[0]
    if folder + "constants.pkl" in records:
        raise CheckpointError(f"load: {source.name} is a TorchScript program, not a checkpoint; save its state_dict()")
    version = _small(source, records, folder + "version", b"?")
    if not version.isdigit() or int(version) not in _READABLE_VERSIONS:
        raise CheckpointError(f"load: {source.name} has format version {version!r:.20}, which is not known")
    order = _small(source, records, folder + "byteorder", b"little")
    if order not in (b"little", b"big"):
        raise CheckpointError(f"load: {source.name} has byte order {order!r:.20}, which is not known")
    swap = order != sys.byteorder.encode()

    def load_storage(key: str, row: DtypeName, nbytes: int, location: str) -> Tensor:
        what = f"storage {key!r:.40} of {source.name}"
        record = records.get(f"{folder}data/{key}")
        if record is None:
            raise CheckpointError(f"load: {what} is missing")
        if record.size < nbytes:
            raise CheckpointError(f"load: {what} has {record.size} bytes, but {nbytes} are needed; it is damaged")
        may_map = mmap and nbytes and not swap and record.offset % row.itemsize == 0
        tensor = read_tensor(source, record.offset, nbytes, row, mmap=bool(may_map), what=what)
        if swap and row.itemsize > 1:
            import numpy as np

            data = _memory.storage_bytes(tensor.untyped_storage())
            np.frombuffer(data, dtype=f"u{row.word}").byteswap(inplace=True)
        relocate(tensor.untyped_storage(), location)
        return tensor

    stream = records[folder + "data.pkl"]
    return Unpickler(source.read(stream.offset, stream.size), load_storage, whole=whole).load()


def read_tensor(source: Source, offset: int, nbytes: int, row: DtypeName, *, mmap: bool, what: str) -> Tensor:
    """The flat tensor of ``nbytes`` bytes of the file, read or mapped."""
    if mmap:
        data = source.map(offset, nbytes)
        tensor = _memory.from_buffer(data, row)
    else:
        source.check(offset, nbytes)
        tensor = _memory.new_flat(row, nbytes // row.itemsize)
        data = _memory.storage_bytes(tensor.untyped_storage())[:nbytes]
        source.read_into(offset, data)
    if row.name == "bool":
        _memory.check_bools(what, data)
    return tensor


def _small(source: Source, records: dict[str, _zip.Record], name: str, default: bytes) -> bytes:
    record = records.get(name)
    return source.read(record.offset, min(record.size, 64)).strip() if record else default


def _unknown_format(source: Source, head: bytes) -> Exception:
    if source.size > 262 and source.read(257, 5) == b"ustar":
        return CheckpointError(
            f"load: {source.name} is a tar archive, PyTorch's oldest format: load it in PyTorch and torch.save it again"
        )
    if head.startswith(b"\x80"):
        return UnpicklingError(
            f"load: {source.name} is a plain pickle. fastnn.load reads files of fastnn.save and torch.save, and "
            "safetensors; a pickle can run any code"
        )
    return UnpicklingError(
        f"load: {source.name} is neither a PyTorch checkpoint (a zip archive) nor a safetensors file; it starts with "
        f"{head[:8]!r}"
    )
