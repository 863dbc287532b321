"""Files: reading parts within known bounds, and writing aside and renaming."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import IO, TYPE_CHECKING, Any, Union

from ._errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap

__all__ = ["FileLike", "Source", "is_path", "open_source", "writing"]

FileLike = Union[str, "os.PathLike[str]", IO[bytes]]


def is_path(file: Any) -> bool:
    """Whether ``file`` names a file, rather than being one."""
    return isinstance(file, (str, os.PathLike))


class Source:
    """A readable file of known size. Every read is checked against that size before memory is taken."""

    def __init__(self, file: IO[bytes], name: str, *, mappable: bool) -> None:
        self.name = name
        self.mappable = mappable
        self._file = file
        self._start = file.tell()
        self.size = file.seek(0, os.SEEK_END) - self._start
        self._map: mmap | None = None

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset`` on."""
        self._seek(offset, length)
        data = self._file.read(length)
        if not isinstance(data, bytes) or len(data) != length:
            raise CheckpointError(f"load: {self.name} ended {length - len(data)} bytes early; the file is truncated")
        return data

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fill ``target`` with the bytes from ``offset`` on."""
        self._seek(offset, len(target))
        readinto = getattr(self._file, "readinto", None)
        if readinto is None:
            target[:] = self.read(offset, len(target))
            return
        done = 0
        while done < len(target):
            count = readinto(target[done:])
            if not count:
                raise CheckpointError(f"load: {self.name} ended {len(target) - done} bytes early; it is truncated")
            done += count

    def map(self, offset: int, length: int) -> memoryview:
        """The bytes from ``offset`` on as private, copy-on-write memory of the file."""
        self._seek(offset, length)
        return memoryview(self._mapped())[offset : offset + length]

    def whole(self) -> bytes | mmap:
        """All bytes, mapped if that is possible."""
        return self._mapped() if self.mappable else self.read(0, self.size)

    def _mapped(self) -> mmap:
        from mmap import ACCESS_COPY, mmap

        if self._map is None:
            self._map = mmap(self._file.fileno(), 0, access=ACCESS_COPY)
        return self._map

    def check(self, offset: int, length: int) -> None:
        """Raise unless the file has these bytes."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise CheckpointError(
                f"load: {self.name} has {self.size} bytes, but bytes {offset} to {offset + length} are needed; "
                "the file is truncated or damaged"
            )

    def _seek(self, offset: int, length: int) -> None:
        self.check(offset, length)
        self._file.seek(self._start + offset)


@contextlib.contextmanager
def open_source(file: FileLike, *, what: str = "load") -> Iterator[Source]:
    """Open a path, or take a file object from where it stands."""
    if isinstance(file, (str, os.PathLike)):
        with open(file, "rb") as opened:
            yield Source(opened, repr(os.fspath(file)), mappable=True)
        return
    if not hasattr(file, "read"):
        raise TypeError(f"{what}: expected a path or a file open for reading in binary mode, got {type(file).__name__}")
    if not (hasattr(file, "seek") and hasattr(file, "tell") and _seekable(file)):
        import io

        file = io.BytesIO(file.read())
    yield Source(file, "the file object", mappable=False)


def _seekable(file: IO[bytes]) -> bool:
    seekable = getattr(file, "seekable", None)
    return True if seekable is None else bool(seekable())


@contextlib.contextmanager
def writing(file: FileLike) -> Iterator[IO[bytes]]:
    """A file to write to. A path appears, or changes, only when the block ends without an exception.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and are renamed over the path.
    """
    if not isinstance(file, (str, os.PathLike)):
        if not hasattr(file, "write"):
            raise TypeError(
                f"save: expected a path or a file open for writing in binary mode, got {type(file).__name__}"
            )
        yield file
        if hasattr(file, "flush"):
            file.flush()
        return
    target = os.path.realpath(os.fspath(file))
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise RuntimeError(f"save: the folder {folder} of {os.fspath(file)!r} does not exist; create it first")
    mode = _mode_of(target)
    if mode is not None and not stat.S_ISREG(mode):
        with open(target, "wb") as special:  # a folder is an error here; a device or a pipe cannot be replaced
            yield special
        return
    temporary = os.path.join(folder, f".{os.path.basename(target)[:64]}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as aside:
            yield aside
            aside.flush()
            os.fsync(aside.fileno())
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _mode_of(path: str) -> int | None:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def _sync_folder(folder: str) -> None:
    """Make the rename itself durable, where the system can (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
