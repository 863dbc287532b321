"""``pickle`` and ``copy.deepcopy`` of tensors. The functions here are methods of ``Tensor``.

Tensors over one storage share it again after a round trip, within one ``pickle.dump`` or one ``deepcopy``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C

if TYPE_CHECKING:
    from fastnn._C import Tensor

__all__ = ["_deepcopy_", "_reduce_ex_"]

_OUT_OF_BAND = 5  # the first pickle protocol that can hand over memory without a copy


class _StorageHandle:
    """A storage as pickle sees it. There is one handle for a storage at a time, so that pickle's memo finds it."""

    __slots__ = ("__weakref__", "dtype_name", "storage")

    def __init__(self, storage: Any, dtype_name: str) -> None:
        self.storage = storage
        self.dtype_name = dtype_name

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        import pickle

        from .serialization import _memory

        data = _memory.storage_bytes(self.storage)
        content = pickle.PickleBuffer(data) if protocol >= _OUT_OF_BAND and len(data) else bytes(data)
        return _load_storage, (content, self.dtype_name)


_handles: Any = None  # a WeakValueDictionary {(address, size, dtype): handle}, made when first needed


def _handle(tensor: Tensor) -> _StorageHandle:
    global _handles
    from .serialization._dtypes import name_of

    if _handles is None:
        from weakref import WeakValueDictionary

        _handles = WeakValueDictionary()
    storage, name = tensor.untyped_storage(), name_of(tensor.dtype).name
    if storage.nbytes() == 0:
        return _StorageHandle(storage, name)
    identity = (storage.data_ptr(), storage.nbytes())
    handle = _handles.get(identity)
    if handle is None:
        handle = _handles[identity] = _StorageHandle(storage, name)
    made: _StorageHandle = handle
    return made


def _load_storage(content: Any, dtype_name: str) -> Tensor:
    """The flat tensor over a storage with these bytes: in the memory of a buffer that may be written, or in a copy."""
    from .serialization import _memory
    from .serialization._dtypes import BY_NAME

    if isinstance(content, memoryview) and not content.readonly and len(content):
        return _memory.from_buffer(content.cast("B"), BY_NAME[dtype_name])
    return _copied(content, dtype_name)


def _copied(content: Any, dtype_name: str) -> Tensor:
    """The flat tensor over a new storage with these bytes."""
    from .serialization import _memory
    from .serialization._dtypes import BY_NAME

    row = BY_NAME[dtype_name]
    view = memoryview(content).cast("B")
    flat = _memory.new_flat(row, len(view) // row.itemsize)
    if len(view):
        _memory.storage_bytes(flat.untyped_storage())[: len(view)] = view
    return flat


def _rebuild(
    cls: type[Tensor],
    flat: Tensor,
    dtype_name: str,
    geometry: tuple[tuple[int, ...], tuple[int, ...], int],
    requires_grad: bool,
    state: dict[str, Any] | None,
) -> Tensor:
    """A tensor of class ``cls`` over the storage of ``flat``."""
    dtype = getattr(_C, dtype_name)
    size, stride, offset = geometry
    if flat.dtype != dtype:
        flat = flat.view(dtype)
    tensor = flat.as_strided(size, stride, offset)
    if cls is not _C.Tensor:
        tensor = _C.Tensor._make_subclass(cls, tensor, requires_grad)
    elif requires_grad:
        tensor.requires_grad_()
    if state:
        tensor.__dict__.update(state)
    return tensor


def _geometry(tensor: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    return tuple(tensor.shape), tuple(tensor.stride()), tensor.storage_offset()


def _reduce_ex_(self: Tensor, protocol: Any) -> tuple[Any, ...]:
    """``Tensor.__reduce_ex__``: class, storage, geometry, ``requires_grad`` and attributes.

    As in PyTorch the whole storage goes along, also for a small view; ``clone()`` a view to save only its part.
    The history of gradients does not: an unpickled tensor is a leaf.

    Example:
        >>> import fastnn, pickle
        >>> x = fastnn.arange(4.0)
        >>> a, b = pickle.loads(pickle.dumps((x, x[1:])))
        >>> a[1] = 7.0
        >>> b
        tensor([7., 2., 3.])
    """
    from .serialization._dtypes import name_of

    state = dict(getattr(self, "__dict__", {})) or None
    name = name_of(self.dtype).name
    return _rebuild, (type(self), _handle(self), name, _geometry(self), self.requires_grad, state)


def _deepcopy_(self: Tensor, memo: dict[int, Any]) -> Tensor:
    """``Tensor.__deepcopy__``: a copy with its own memory, its own ``grad`` and copies of the attributes.

    Raises:
        RuntimeError: if the tensor was computed from others that require gradients; ``detach()`` it first.

    Example:
        >>> import copy, fastnn
        >>> x = fastnn.ones(2, requires_grad=True)
        >>> y = copy.deepcopy(x)
        >>> y.requires_grad, y.data_ptr() == x.data_ptr()
        (True, False)
    """
    known: Tensor | None = memo.get(id(self))
    if known is not None:
        return known
    node = self.grad_fn
    if node is not None:
        raise RuntimeError(
            "deepcopy: only leaf tensors can be copied, and this one was computed from tensors that require "
            f"gradients (grad_fn={node.name()}); use x.detach() or x.clone()"
        )
    from .serialization._dtypes import name_of

    flat = _copied_storage(self, memo)
    copied = _rebuild(type(self), flat, name_of(self.dtype).name, _geometry(self), self.requires_grad, None)
    memo[id(self)] = copied
    if self.grad is not None:
        copied.grad = _deepcopy_(self.grad, memo)
    state = getattr(self, "__dict__", None)
    if state:
        from copy import deepcopy

        copied.__dict__.update(deepcopy(state, memo))
    return copied


def _copied_storage(tensor: Tensor, memo: dict[Any, Any]) -> Tensor:
    """The copy of the storage, made once in a ``deepcopy``."""
    from .serialization import _memory
    from .serialization._dtypes import name_of

    storage = tensor.untyped_storage()
    identity = ("fastnn storage", storage.data_ptr(), storage.nbytes())
    known = memo.get(identity)
    if known is None or not storage.nbytes():
        known = storage, _copied(_memory.storage_bytes(storage), name_of(tensor.dtype).name)
        memo[identity] = known  # the original too: its address must not be used again while the memo lives
    flat: Tensor = known[1]
    return flat
