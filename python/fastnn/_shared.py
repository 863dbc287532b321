"""Memory that processes share: ``Tensor.share_memory_()``.

It is an anonymous file in memory, mapped shared: a process that is forked has it, and to one that is spawned the file
goes along with the tensor's pickle.
"""

from __future__ import annotations

import mmap
import os
import weakref
from multiprocessing import reduction
from typing import Any

from fastnn import _C
from fastnn._C import Tensor
from fastnn.nn import Parameter

__all__ = ["is_shared", "share_memory_"]


class _Map(mmap.mmap):
    """Shared memory, and the file behind it."""

    file: int

    def __del__(self) -> None:
        os.close(self.file)


# The maps that tensors lie in, by address.
_maps: weakref.WeakValueDictionary[int, _Map] = weakref.WeakValueDictionary()


def _storage_over(file: int, size: int) -> Any:
    memory = _Map(file, size)
    memory.file = file
    storage = _C._from_buffer(memory, _C.uint8, (size,), (1,), 0).untyped_storage()
    _maps[storage.data_ptr()] = memory
    return storage


def is_shared(tensor: Tensor) -> bool:
    """Whether other processes may have the memory of a tensor; memory of no bytes always counts."""
    storage = tensor.untyped_storage()
    return storage.nbytes() == 0 or storage.data_ptr() in _maps


def share_memory_(tensor: Tensor) -> Tensor:
    """Move the memory of a tensor to where processes that are started from now on share it."""
    if is_shared(tensor):
        return tensor
    old = tensor.untyped_storage()
    file = os.memfd_create("fastnn-shared", os.MFD_CLOEXEC)
    os.ftruncate(file, old.nbytes())
    storage = _storage_over(file, old.nbytes())
    elements = [old.nbytes() // tensor.itemsize]
    whole, copy = (_C._tensor_over_storage(one, tensor.dtype, elements, [1], 0) for one in (old, storage))
    copy.copy_(whole)
    tensor.data = _C._tensor_over_storage(
        storage, tensor.dtype, list(tensor.shape), list(tensor.stride()), tensor.storage_offset()
    )
    return tensor


def _rebuild(
    kind: type, file: Any, size: int, dtype: _C.dtype, geometry: tuple[Any, ...], requires_grad: bool
) -> Tensor:
    value = _C._tensor_over_storage(_storage_over(file.detach(), size), dtype, *geometry)
    return Parameter(value, requires_grad) if kind is Parameter else value.requires_grad_(requires_grad)


def _reduce(tensor: Tensor) -> Any:
    """What multiprocessing sends to a process for a tensor."""
    storage = tensor.untyped_storage()
    memory = _maps.get(storage.data_ptr())
    if memory is None or (tensor.grad_fn is not None):
        return tensor.__reduce_ex__(2)
    geometry = (list(tensor.shape), list(tensor.stride()), tensor.storage_offset())
    file = reduction.DupFd(memory.file)
    return _rebuild, (type(tensor), file, storage.nbytes(), tensor.dtype, geometry, tensor.requires_grad)


for _kind in (Tensor, Parameter):
    reduction.ForkingPickler.register(_kind, _reduce)
