"""Messages between a DataLoader and its worker processes. Memory of tensors and arrays is not copied through a pipe.

A message is pickled without the larger buffers in it. These go into an anonymous file in memory, written once by the
sender and mapped by the receiver, whose tensors lie in it; its descriptor travels with the message. No name is ever
made, so nothing can be left over when a process is killed.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import select
import socket
import struct
from typing import Any

from fastnn import _C

__all__ = ["Channel", "channel_pair"]

_HEADER = struct.Struct("<QQ")  # bytes of the pickle; number of buffers
_INLINE = 16 << 10  # a pickle of up to so many bytes goes into the message itself
_SMALL_BUFFER = 1 << 10  # a smaller buffer is pickled with the rest
_ALIGNMENT = 64
_LARGEST_MESSAGE = _HEADER.size + _INLINE


class _Pickler(pickle.Pickler):
    """Puts buffers aside, and of a tensor only the part of the storage that it shows."""

    def __init__(self, file: io.BytesIO, buffers: list[memoryview]) -> None:
        super().__init__(file, protocol=5, buffer_callback=self._keep)
        self._buffers = buffers

    def _keep(self, buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _SMALL_BUFFER:
            return True
        self._buffers.append(raw)
        return False

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, _C.Tensor) and value.untyped_storage().nbytes() > value.numel() * value.element_size():
            whole = value.detach().clone()
            return whole.requires_grad_(value.requires_grad).__reduce_ex__(5)
        return NotImplemented


def _write(file: int, data: Any, offset: int) -> None:
    view = memoryview(data)
    while len(view):
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _offsets(start: int, sizes: list[int]) -> tuple[list[int], int]:
    """Where buffers of these sizes lie, and where the file ends."""
    offsets = []
    for size in sizes:
        offsets.append(_aligned(start))
        start = offsets[-1] + size
    return offsets, start


class Channel:
    """One end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self.connection.fileno()

    def send(self, message: Any) -> None:
        """Send anything that can be pickled.

        Raises:
            OSError: the other end is closed.
        """
        buffers: list[memoryview] = []
        stream = io.BytesIO()
        _Pickler(stream, buffers).dump(message)
        pickled = stream.getbuffer()
        header = _HEADER.pack(len(pickled), len(buffers))
        if not buffers and len(pickled) <= _INLINE:
            self.connection.sendall(header + pickled)
            return
        file = os.memfd_create("fastnn-batch", os.MFD_CLOEXEC)
        try:
            sizes = struct.pack(f"<{len(buffers)}Q", *(one.nbytes for one in buffers))
            offsets, end = _offsets(len(sizes) + len(pickled), [one.nbytes for one in buffers])
            os.ftruncate(file, end)
            _write(file, sizes, 0)
            _write(file, pickled, len(sizes))
            for offset, one in zip(offsets, buffers, strict=True):
                _write(file, one, offset)
            socket.send_fds(self.connection, [header], [file])
        finally:
            os.close(file)

    def receive(self) -> Any:
        """The next message.

        Raises:
            EOFError: the other end is closed.
        """
        data, files, _, _ = socket.recv_fds(self.connection, _LARGEST_MESSAGE, 1)
        if not data:
            raise EOFError("the other end of the channel is closed")
        length, count = _HEADER.unpack_from(data)
        if not files:
            return pickle.loads(memoryview(data)[_HEADER.size :])
        try:
            memory = memoryview(mmap.mmap(files[0], 0, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE))
        finally:
            os.close(files[0])
        table = struct.calcsize(f"<{count}Q")
        sizes = list(struct.unpack_from(f"<{count}Q", memory))
        offsets, _ = _offsets(table + length, sizes)
        buffers = [memory[offset : offset + size] for offset, size in zip(offsets, sizes, strict=True)]
        return pickle.loads(memory[table : table + length], buffers=buffers)

    def has_message(self, timeout: float) -> bool:
        """Whether a message, or the end, comes within so many seconds."""
        return bool(select.select([self.connection], [], [], timeout)[0])

    def close(self) -> None:
        """Close this end."""
        self.connection.close()


def channel_pair() -> tuple[Channel, Channel]:
    """Two ends of a connection."""
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(left), Channel(right)
