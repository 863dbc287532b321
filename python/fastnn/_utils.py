"""Small helpers that other packages import from ``torch._utils``."""

from __future__ import annotations

import functools
import os
import traceback
from typing import TYPE_CHECKING, Any

from fastnn import _C

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from fastnn._C import Tensor

__all__ = ["ExceptionWrapper", "classproperty", "set_module"]


class KeyErrorMessage(str):
    """The message of a KeyError, printed with its line breaks."""

    def __repr__(self) -> str:
        return str(self)


class ExceptionWrapper:
    """An exception with its traceback as text, which can go from one process or thread to another.

    Args:
        exc_info: as ``sys.exc_info()`` gives it.
        where: in which place it was raised, for the message.
    """

    def __init__(self, exc_info: Any = None, where: str = "in background") -> None:
        import sys

        info = sys.exc_info() if exc_info is None else exc_info
        self.exc_type: Any = info[0]
        self.exc_msg = "".join(traceback.format_exception(*info))
        self.where = where

    def reraise(self) -> None:
        """Raise an exception of the same type, with the traceback in its message."""
        message = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            message = KeyErrorMessage(message)
        elif getattr(self.exc_type, "message", None):
            raise self.exc_type(message=message)
        try:
            exception = self.exc_type(message)
        except Exception:
            raise RuntimeError(message) from None  # its constructor wants other arguments
        raise exception


def set_module(obj: Any, mod: str) -> None:
    """Say in which module an object is defined."""
    if not isinstance(mod, str):
        raise TypeError("The mod argument should be a string")
    obj.__module__ = mod


class classproperty:
    """A property of a class."""

    def __init__(self, func: Callable[[Any], Any]) -> None:
        self.func = func

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self.func(owner)


def _flatten_dense_tensors(tensors: Sequence[Tensor]) -> Tensor:
    """The elements of all tensors in a row."""
    return _C.cat([one.reshape(-1) for one in tensors])


def _unflatten_dense_tensors(flat: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """A row of elements as views with the shapes of the tensors."""
    parts = flat.split([one.numel() for one in tensors])
    return tuple(part.view(one.shape) for part, one in zip(parts, tensors, strict=True))


def _take_tensors(tensors: Iterable[Tensor], size_limit: int) -> Iterable[list[Tensor]]:
    """Groups of tensors of one dtype with at most so many bytes."""
    groups: dict[Any, tuple[list[Tensor], int]] = {}
    for tensor in tensors:
        size = tensor.numel() * tensor.element_size()
        group, used = groups.get(tensor.dtype, ([], 0))
        if group and used + size > size_limit:
            yield group
            group, used = [], 0
        groups[tensor.dtype] = ([*group, tensor], used + size)
    for group, _ in groups.values():
        yield group


def _rebuild_tensor(storage: Any, storage_offset: int, size: Sequence[int], stride: Sequence[int]) -> Tensor:
    """A tensor over a storage."""
    untyped = getattr(storage, "_untyped_storage", storage)
    dtype = getattr(storage, "dtype", None) or _C.get_default_dtype()
    return _C._tensor_over_storage(untyped, dtype, list(size), list(stride), storage_offset)


def _rebuild_tensor_v2(
    storage: Any,
    storage_offset: int,
    size: Sequence[int],
    stride: Sequence[int],
    requires_grad: bool,
    backward_hooks: Any,
    metadata: Any = None,
) -> Tensor:
    """A tensor over a storage, with its flag."""
    return _rebuild_tensor(storage, storage_offset, size, stride).requires_grad_(requires_grad)


def _rebuild_parameter(data: Tensor, requires_grad: bool, backward_hooks: Any) -> Any:
    """A parameter."""
    from .nn.parameter import Parameter

    return Parameter(data, requires_grad)


def _get_device_index(device: Any, optional: bool = False, allow_cpu: bool = False) -> int:
    """The number of a GPU: there is none; -1 for the CPU, where it is allowed."""
    if isinstance(device, str):
        device = _C.device(device)
    if isinstance(device, _C.device) and device.type == "cpu" and allow_cpu:
        return -1
    raise ValueError(f"Expected a torch.device with a specified index or an integer, but got: {device}")


def _get_all_device_indices() -> list[int]:
    return []


def _get_available_device_type() -> str | None:
    return None


def is_compiling() -> bool:
    """False."""
    return False


def cpu_count() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def render_call(fn: Any, args: Any, kwargs: Any) -> str:
    """A call as text."""
    parts = [repr(value) for value in args] + [f"{name}={value!r}" for name, value in kwargs.items()]
    return f"{getattr(fn, '__name__', fn)}({', '.join(parts)})"


@functools.lru_cache(2)
def _get_device_module(device_type: str) -> Any:
    from ._switches import get_device_module

    return get_device_module(device_type)
