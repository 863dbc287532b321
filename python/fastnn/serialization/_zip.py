"""The zip container of ``.pt`` files: every record stored as is, its data at a multiple of 64 bytes.

Written from the ZIP file format specification (APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3).
"""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise
from typing import IO, TYPE_CHECKING, NamedTuple

from ._errors import CheckpointError

if TYPE_CHECKING:
    from ._files import Source

__all__ = ["ALIGNMENT", "MAGIC", "Record", "ZipWriter", "read_directory"]

ALIGNMENT = 64
MAGIC = b"PK\x03\x04"

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64 = struct.Struct("<4sIQI")
_EXTRA = struct.Struct("<2H")
_EXTRA64_ID = 0x0001
_PADDING_ID = 0xFA57  # a private extra field, skipped by every reader
_MAX32 = 0xFFFFFFFF  # in a 32-bit field: see the 64-bit one
_MAX16 = 0xFFFF
_WIDE_FROM = _MAX32
_VERSION, _VERSION64 = 20, 45
_UTF8_NAME = 1 << 11
_ENCRYPTED = 1
_DATE = (1 << 5) | 1  # 1 January 1980: files of equal content are equal


class Record(NamedTuple):
    """A member of an archive: its data are ``size`` bytes from ``offset`` on."""

    offset: int
    size: int


class ZipWriter:
    """Writes an archive front to back. Nothing is sought, so any writable file will do."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._position = 0
        self._directory: list[bytes] = []

    def add(self, name: str, data: bytes | memoryview) -> None:
        """Append one record."""
        view = memoryview(data)
        encoded, size, crc, start = name.encode(), len(view), zlib.crc32(view), self._position
        wide = size >= _WIDE_FROM or start >= _WIDE_FROM
        extra = _EXTRA.pack(_EXTRA64_ID, 16) + struct.pack("<2Q", size, size) if wide else b""
        unpadded = start + _LOCAL.size + len(encoded) + len(extra) + _EXTRA.size
        padding = -unpadded % ALIGNMENT
        extra += _EXTRA.pack(_PADDING_ID, padding) + bytes(padding)
        version = _VERSION64 if wide else _VERSION
        size32 = _MAX32 if wide else size
        common = (version, _UTF8_NAME, 0, 0, _DATE, crc, size32, size32, len(encoded))
        self._write(_LOCAL.pack(MAGIC, *common, len(extra)) + encoded + extra)
        self._write(view)
        extra = _EXTRA.pack(_EXTRA64_ID, 24) + struct.pack("<3Q", size, size, start) if wide else b""
        start32 = _MAX32 if wide else start
        header = _CENTRAL.pack(b"PK\x01\x02", version, *common, len(extra), 0, 0, 0, 0, start32)
        self._directory.append(header + encoded + extra)

    def close(self) -> None:
        """Write the directory. The archive is complete only then; the file stays open."""
        start, count = self._position, len(self._directory)
        self._write(b"".join(self._directory))
        length, end = self._position - start, self._position
        if count >= _MAX16 or length >= _WIDE_FROM or start >= _WIDE_FROM:
            self._write(
                _END64.pack(b"PK\x06\x06", _END64.size - 12, _VERSION64, _VERSION64, 0, 0, count, count, length, start)
            )
            self._write(_LOCATOR64.pack(b"PK\x06\x07", 0, end, 1))
        count, length, start = min(count, _MAX16), min(length, _MAX32), min(start, _MAX32)
        self._write(_END.pack(b"PK\x05\x06", 0, 0, count, count, length, start, 0))

    def _write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while len(view):
            written = self._file.write(view)
            count = len(view) if written is None else written  # raw files may write less than asked
            self._position += count
            view = view[count:]


def read_directory(source: Source) -> dict[str, Record]:
    """All members by name.

    Members must be stored without compression and must not overlap: so what is read later is bounded by the size of
    the file, whatever its directory claims.

    Raises:
        CheckpointError: if the archive is damaged, compressed or encrypted.
    """
    start, length, count = _find_directory(source)
    directory = source.read(start, length)
    records: dict[str, Record] = {}
    spans: list[tuple[int, int]] = []
    position = 0
    for _ in range(count):
        fields = _unpack(_CENTRAL, directory, position, b"PK\x01\x02", source)
        flags, method, compressed, size = fields[3], fields[4], fields[8], fields[9]
        name_length, extra_length, comment_length, header = fields[10], fields[11], fields[12], fields[16]
        name_end = position + _CENTRAL.size + name_length
        raw_name = directory[position + _CENTRAL.size : name_end]
        extra = directory[name_end : name_end + extra_length]
        position = name_end + extra_length + comment_length
        if position > length:
            raise _damaged(source, "its directory is cut off")
        try:
            name = raw_name.decode()
        except UnicodeDecodeError:
            raise _damaged(source, "a record's name is not UTF-8") from None
        size, compressed, header = _widen(extra, size, compressed, header, source)
        if flags & _ENCRYPTED or method != 0 or size != compressed:
            raise CheckpointError(
                f"load: record {name[:80]!r} of {source.name} is compressed or encrypted; checkpoints store "
                "records as they are. Unpack the archive and save it again"
            )
        if name in records:
            raise _damaged(source, f"record {name[:80]!r} is there twice")
        local = _unpack(_LOCAL, source.read(header, _LOCAL.size), 0, MAGIC, source)
        offset = header + _LOCAL.size + local[9] + local[10]
        if offset + size > start:
            raise _damaged(source, f"record {name[:80]!r} reaches beyond the end of the data")
        records[name] = Record(offset, size)
        spans.append((header, offset + size))
    if any(left[1] > right[0] for left, right in pairwise(sorted(spans))):
        raise _damaged(source, "its records overlap")
    return records


def _find_directory(source: Source) -> tuple[int, int, int]:
    """(start, length, number of entries) of the central directory."""
    tail_start = max(0, source.size - _END.size - _MAX16)
    tail = source.read(tail_start, source.size - tail_start)
    found = tail.rfind(b"PK\x05\x06", 0, len(tail) - _END.size + 4)
    if found < 0:
        raise _damaged(source, "the archive's end is missing (was the download or the copy complete?)")
    _, disk, _, _, count, length, start, _ = _END.unpack_from(tail, found)
    end = tail_start + found
    if end >= _LOCATOR64.size:
        magic, _, end64, _ = _LOCATOR64.unpack(source.read(end - _LOCATOR64.size, _LOCATOR64.size))
        if magic == b"PK\x06\x07":
            fields = _unpack(_END64, source.read(end64, _END64.size), 0, b"PK\x06\x06", source)
            count, length, start, end = fields[7], fields[8], fields[9], end64
    if disk not in (0, _MAX16) or start + length > end or count * _CENTRAL.size > length:
        raise _damaged(source, "its directory does not fit into the file")
    return start, length, count


def _widen(extra: bytes, size: int, compressed: int, header: int, source: Source) -> tuple[int, int, int]:
    """Replace the 32-bit fields that say "see the 64-bit ones"."""
    values = [size, compressed, header]
    wanted = [place for place, value in enumerate(values) if value == _MAX32]
    position = 0
    while wanted and position + _EXTRA.size <= len(extra):
        kind, length = _EXTRA.unpack_from(extra, position)
        position += _EXTRA.size
        if kind == _EXTRA64_ID:
            if length < 8 * len(wanted) or position + length > len(extra):
                raise _damaged(source, "a 64-bit size is cut off")
            for place, value in zip(wanted, struct.unpack_from(f"<{len(wanted)}Q", extra, position), strict=True):
                values[place] = value
            break
        position += length
    return values[0], values[1], values[2]


def _unpack(layout: struct.Struct, data: bytes, position: int, magic: bytes, source: Source) -> tuple[int, ...]:
    if position + layout.size > len(data):
        raise _damaged(source, "its directory is cut off")
    fields = layout.unpack_from(data, position)
    if fields[0] != magic:
        raise _damaged(source, "a header is not where the directory says")
    return fields


def _damaged(source: Source, why: str) -> CheckpointError:
    return CheckpointError(f"load: {source.name} is a damaged zip archive: {why}")
