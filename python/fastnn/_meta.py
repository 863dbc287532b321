"""The device ``meta``: tensors that have shape, strides and dtype, and no values.

A ``MetaTensor`` lies in memory that is never written: pages of zeros that the system hands out when they are read, so
it costs nothing. Its class takes every operation over and runs it on these zeros for the sake of the result's shape.
What writes in place does nothing, and what needs values is an error.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any, NoReturn

from fastnn import _C
from fastnn._C import Tensor

from .nn.parameter import Buffer, Parameter
from .overrides import TorchFunctionMode

__all__ = ["MetaBuffer", "MetaParameter", "MetaTensor", "create", "enter", "leave", "without_values"]

_META = _C.device("meta")
_SMALLEST_REGION = 1 << 20
_NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)
_zeros: dict[Any, Tensor] = {}  # memory by dtype

# What gives values to Python, or a shape that depends on them.
_NEEDS_VALUES = frozenset(
    """
    __array__ __bool__ __complex__ __contains__ __dlpack__ __float__ __index__ __int__ __reduce_ex__ allclose
    bincount equal is_nonzero item masked_select nonzero numpy to_dlpack tolist unique unique_consecutive
    """.split()
)
# What changes the tensor itself without writing.
_CHANGES_ITSELF = frozenset(
    """
    detach_ requires_grad_ resize_ resize_as_ retain_grad register_hook share_memory_ squeeze_ swapaxes_ swapdims_ t_
    transpose_ unsqueeze_
    """.split()
)
_EMPTY_ALIKE = {
    name: f"{prefix}empty{suffix}"
    for prefix, suffix in (("", ""), ("new_", ""), ("", "_like"))
    for name in (f"{prefix}{kind}{suffix}" for kind in ("empty", "ones", "rand", "randn", "zeros"))
}


def _no_data(*args: Any, **kwargs: Any) -> NoReturn:
    raise NotImplementedError("Cannot copy out of meta tensor; no data!")


def _memory(dtype: Any, count: int) -> Tensor:
    """At least so many zeros."""
    known = _zeros.get(dtype)
    if known is None or known.numel() < count:
        size = max(_SMALLEST_REGION, 1 << (count * dtype.itemsize - 1).bit_length())
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE)
        known = _zeros[dtype] = _C.frombuffer(pages, dtype=_C.uint8).view(dtype)
    return known


def _place(kind: Any, dtype: Any, sizes: Sequence[int], strides: Sequence[int], offset: int = 0) -> Any:
    """A tensor of this geometry without values."""
    extent = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True)) if 0 not in sizes else 0
    with _C.DisableTorchFunction():
        shell = _memory(dtype, offset + extent + 1).as_strided(tuple(sizes), tuple(strides), offset)
        return Tensor._make_subclass(kind, shell, False)


def without_values(value: Any) -> Any:
    """A tensor of the same shape, strides and dtype on ``meta``; in lists, of each. Other objects as they are."""
    if isinstance(value, Tensor):
        with _C.DisableTorchFunction():
            kind = MetaParameter if isinstance(value, Parameter) else MetaTensor
            made = _place(kind, value.dtype, value.shape, value.stride(), value.storage_offset())
            made.requires_grad = value.requires_grad
            return made
    if isinstance(value, (tuple, list)):
        items = [without_values(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _zeros_of(value: Any) -> Any:
    """The tensor of zeros behind one without values; in lists and dicts, of each. Other objects as they are."""
    if isinstance(value, MetaTensor):
        return value.as_subclass(Tensor)
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return type(value)(_zeros_of(item) for item in value)
    return value


def _contiguous(sizes: Sequence[int]) -> list[int]:
    strides = [1] * len(sizes)
    for dim in range(len(sizes) - 2, -1, -1):
        strides[dim] = strides[dim + 1] * max(1, sizes[dim + 1])
    return strides


def create(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of an operation that makes tensors, without values.

    Args:
        operation: ``empty``, ``zeros_like``, ``arange`` and the others that have an argument ``device``.
        args, kwargs: its arguments.
    """
    with _C.DisableTorchFunction():
        kwargs = {name: value for name, value in kwargs.items() if name not in ("device", "pin_memory")}
        requires_grad = kwargs.pop("requires_grad", False)
        args = _zeros_of(args)
        name = operation.__name__
        if name in _EMPTY_ALIKE or name == "full":
            if name == "full":
                fill = kwargs.pop("fill_value", None) if "fill_value" in kwargs else args[-1]
                args = args[:1] if args else ()
                kwargs.setdefault("dtype", _C.full((), fill).dtype)
            made = _empty(name, args, kwargs)
        else:
            made = without_values(operation(*args, **kwargs))
        if requires_grad:
            made.requires_grad = True
        return made


def _empty(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if name.endswith("_like"):
        source = args[0] if args else kwargs["input"]
        one = source.as_strided(source.shape, (0,) * source.dim()) if source.numel() else source
        dtype = kwargs.get("dtype") or source.dtype
        dense = source.is_non_overlapping_and_dense() if hasattr(source, "is_non_overlapping_and_dense") else False
        strides = source.stride() if dense or source.is_contiguous() else _contiguous(one.shape)
        return _place(MetaTensor, dtype, source.shape, strides)
    dtype = kwargs.get("dtype")
    if name.startswith("new_"):
        dtype, args = dtype or args[0].dtype, args[1:]
    sizes = args if args else (kwargs["size"],)
    if len(sizes) == 1 and not isinstance(sizes[0], int):
        sizes = sizes[0]
    return _place(MetaTensor, dtype or _C.get_default_dtype(), tuple(map(int, sizes)), _contiguous(sizes))


class _Storage:
    """The storage of a tensor without values."""

    device = _META

    def __init__(self, size: int) -> None:
        self._size = size

    def nbytes(self) -> int:
        """The bytes that the values would take."""
        return self._size

    size = __len__ = nbytes

    def data_ptr(self) -> int:
        """0: there is no memory."""
        return 0


class MetaTensor(Tensor):
    """A tensor without values.

    Example:
        >>> import fastnn
        >>> x = fastnn.empty(1000, 1000, 1000, device="meta")
        >>> y = x.transpose(0, 2)[:, :2] @ fastnn.empty(1000, 5, device="meta")
        >>> y.shape, y.device, y.is_meta
        (torch.Size([1000, 2, 5]), device(type='meta'), True)
    """

    device = _META
    is_meta = True
    is_cpu = False

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation for the shape of its result."""
        kwargs = kwargs or {}
        name = func.__name__
        if name in _NEEDS_VALUES or name.lstrip("_") in _NEEDS_VALUES or (name == "__getitem__" and _has_mask(args[1])):
            _no_data()
        if name in ("__get__", "__set__", "__delete__") or name in _CHANGES_ITSELF:
            with _C.DisableTorchFunction():
                result = func(*args, **kwargs)
            return without_values(result) if name == "__get__" and type(result) is Tensor else result
        if _writes(name) or kwargs.get("out") is not None:
            target = kwargs.get("out", args[0] if args else kwargs.get("input"))
            if not isinstance(target, MetaTensor):
                _no_data()
            return target
        device = kwargs.get("device")
        with _C.DisableTorchFunction():
            if device is not None and _C.device(device).type != "meta":
                if name not in _EMPTY_ALIKE and not name.startswith(("full", "new_")):
                    _no_data()
                return func(*_zeros_of(args), **kwargs)
        if name in _EMPTY_ALIKE:
            return create(func, args, kwargs)
        kwargs.pop("device", None)
        with _C.DisableTorchFunction():
            plain = {key: _zeros_of(value) for key, value in kwargs.items()}
            from .autograd.grad_mode import no_grad

            with no_grad():
                return without_values(func(*_zeros_of(args), **plain))

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """The tensor in another dtype; on another device it would need values."""
        from ._tensor import _parse_to

        names = {name: kwargs.get(name) for name in ("device", "dtype", "other")}
        place = names["device"] if names["device"] is not None else args[0] if args else None
        if isinstance(place, (str, _C.device)):
            if _C.device(place).type != "meta":
                _no_data()
            args = args if names["device"] is not None else args[1:]
            names["device"] = None
        dtype = _parse_to(args, names["device"], names["dtype"], names["other"])[0]
        return self if dtype in (None, self.dtype) else _place(MetaTensor, dtype, self.shape, self.stride())

    cpu = cuda = __reduce_ex__ = _no_data

    def numpy(self, *args: Any, **kwargs: Any) -> NoReturn:
        """An error: there are no values."""
        raise TypeError(
            "can't convert meta device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
        )

    __array__ = numpy

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = without_values(self)
        return memo[id(self)]

    def data_ptr(self) -> int:
        """0: there is no memory."""
        return 0

    def untyped_storage(self) -> Any:
        """What can be asked about the memory that is not there."""
        return _Storage(self.numel() * self.element_size())

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        dtype = "" if self.dtype is _C.get_default_dtype() else f", dtype={self.dtype}"
        gradient = ", requires_grad=True" if self.requires_grad else ""
        kind = "Parameter containing:\n" if isinstance(self, Parameter) else ""
        return f"{kind}tensor(..., device='meta', size={tuple(self.shape)}{dtype}{gradient})"

    __str__ = __repr__


class MetaParameter(MetaTensor, Parameter):
    """A parameter without values."""

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if not isinstance(data, MetaTensor):
            return Parameter(data, requires_grad)
        with _C.DisableTorchFunction():
            return Tensor._make_subclass(cls, data, requires_grad)


class MetaBuffer(MetaTensor, Buffer):
    """A buffer without values."""

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        if not isinstance(data, MetaTensor):
            return Buffer(data, persistent=persistent)
        with _C.DisableTorchFunction():
            made: Any = Tensor._make_subclass(cls, data, data.requires_grad)
        made.persistent = persistent
        return made


def _has_mask(index: Any) -> bool:
    """Whether an index has a boolean tensor, so that the shape of the result depends on values."""
    return any(
        isinstance(item, Tensor) and item.dtype in (_C.bool, _C.uint8)
        for item in (index if isinstance(index, tuple) else (index,))
    )


def _writes(name: str) -> bool:
    """Whether the function of this name writes to its first argument."""
    if name.startswith("__"):
        return name == "__setitem__" or (name.startswith("__i") and name not in ("__invert__", "__index__", "__int__"))
    return name.endswith("_")


class _MetaMode(TorchFunctionMode):
    """``with torch.device("meta")``: what makes tensors makes them without values."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Adds the device where none is given."""
        kwargs = kwargs or {}
        if func.__name__ in _FACTORIES and kwargs.get("device") is None:
            kwargs["device"] = _META
        return func(*args, **kwargs)


_FACTORIES = frozenset(
    """
    arange empty empty_permuted empty_strided eye full linspace logspace normal ones rand randint randn randperm range
    scalar_tensor tensor tril_indices triu_indices zeros
    """.split()
)


def enter() -> None:
    """Begin a block of ``with torch.device("meta")``."""
    _MetaMode().__enter__()


def leave() -> None:
    """End it."""
    _C._pop_torch_function_mode()


def is_default() -> bool:
    """Whether tensors are made without values where no device is given."""
    modes = map(_C._get_torch_function_mode, range(_C._len_torch_function_stack()))
    return any(isinstance(mode, _MetaMode) for mode in modes)


def set_default(on: bool) -> None:
    """Make tensors without values from now on, or no longer."""
    if on and not is_default():
        enter()
    elif not on and is_default():
        leave()
