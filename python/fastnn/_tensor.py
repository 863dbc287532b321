"""Methods of ``Tensor`` that are written in Python, and its constructor."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from fastnn._C import UntypedStorage, _DeviceLike, _DTypeLike, _Scalar

__all__: list[str] = []


def _construct(*args: Any, device: _DeviceLike = None, dtype: Any = None) -> Tensor:
    """``Tensor(2, 3)`` is uninitialised memory of that shape, ``Tensor([1, 2])`` the data as the default dtype."""
    chosen = _C.get_default_dtype() if dtype is None else dtype
    if not args:
        return _C.empty(0, dtype=chosen, device=device)
    first = args[0]
    if all(isinstance(arg, int) and not isinstance(arg, bool) for arg in args):
        return _C.empty(*args, dtype=chosen, device=device)
    if len(args) > 1:
        kinds = ", ".join(type(arg).__name__ for arg in args)
        raise TypeError(f"new() received an invalid combination of arguments - got ({kinds})")
    if isinstance(first, _C.Size):
        return _C.empty(first, dtype=chosen, device=device)
    if isinstance(first, Tensor):
        if dtype is None and first.dtype != chosen:
            raise TypeError(f"expected {chosen} tensor (got {first.dtype})")
        return first.detach() if first.dtype == chosen else first.to(chosen)
    if isinstance(first, _C.UntypedStorage):
        return _C._tensor_over_storage(first, chosen, [first.nbytes() // chosen.itemsize], [1], 0)
    return _C.tensor(first, dtype=chosen, device=device)


# --- conversion ------------------------------------------------------------------------------------------------------


def _parse_to(args: tuple[Any, ...], device: Any, dtype: Any, other: Any) -> tuple[Any, bool, Any]:
    """The dtype (or None), copy and the device (or None) from the overloads of ``Tensor.to``."""
    copy = False
    positional = list(args)
    if positional:
        first = positional.pop(0)
        if isinstance(first, Tensor):
            other = first
        elif isinstance(first, _C.dtype):
            dtype = first
        else:
            device = first
            if positional and (positional[0] is None or isinstance(positional[0], _C.dtype)):
                named = positional.pop(0)
                dtype = named if named is not None else dtype
    if len(positional) > 1:
        copy = bool(positional[1])
    if isinstance(other, Tensor):
        dtype, device = other.dtype, other.device
    if isinstance(dtype, type):
        dtype = _PYTHON_DTYPES.get(dtype, dtype)
    if dtype is not None and not isinstance(dtype, _C.dtype):
        raise TypeError(f"to(): argument 'dtype' must be torch.dtype, not {type(dtype).__name__}")
    if device is not None and _C.device(device).type != "meta":
        _C._check_device(device, "to")
    return dtype, copy, device


_PYTHON_DTYPES = {complex: _C.complex128, float: _C.float64, int: _C.int64, bool: _C.bool}


def to(
    self: Tensor,
    *args: Any,
    device: _DeviceLike = None,
    dtype: Any = None,
    other: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: _C.memory_format | None = None,
) -> Tensor:
    """The tensor in another dtype, device or memory format; itself when nothing changes and ``copy`` is False.

    Example::

        >>> import fastnn
        >>> fastnn.ones(2).to(fastnn.int64)
        tensor([1, 1])
    """
    target, positional_copy, place = _parse_to(args, device, dtype, other)
    if place is not None and _C.device(place).type == "meta":
        from ._meta import without_values

        return without_values(self).to(target)  # type: ignore[no-any-return]
    result = self if target is None or target == self.dtype else _C._to_dtype(self, target)
    if memory_format is not None and memory_format is not _C.preserve_format:
        result = result.contiguous(memory_format=memory_format)
    if (copy or positional_copy) and result is self:
        result = self.clone()
    return result


def _caster(name: str, dtype: Any) -> Callable[..., Tensor]:
    def cast(self: Tensor, memory_format: _C.memory_format | None = None) -> Tensor:
        return _C._to_dtype(self, dtype) if self.dtype != dtype else self

    cast.__name__ = name
    cast.__qualname__ = f"Tensor.{name}"
    cast.__doc__ = f"The values as ``{dtype}``."
    return cast


def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False, **kwargs: Any) -> Any:
    """The name of the tensor's type, or the values in another type.

    Example::

        >>> import fastnn
        >>> fastnn.ones(1).type()
        'torch.FloatTensor'
    """
    if dtype is None:
        return f"torch.{_TYPE_NAMES[self.dtype]}"
    if isinstance(dtype, str):
        name = dtype.rsplit(".", 1)[-1]
        for known, type_name in _TYPE_NAMES.items():
            if type_name == name and dtype in (name, f"torch.{name}"):
                return self.to(known)
        raise ValueError(f"invalid type: '{dtype}'")
    named = getattr(dtype, "dtype", dtype)
    return self.to(named)


_TYPE_NAMES = {
    _C.uint8: "ByteTensor",
    _C.int8: "CharTensor",
    _C.int16: "ShortTensor",
    _C.int32: "IntTensor",
    _C.int64: "LongTensor",
    _C.float16: "HalfTensor",
    _C.float32: "FloatTensor",
    _C.float64: "DoubleTensor",
    _C.bool: "BoolTensor",
    _C.bfloat16: "BFloat16Tensor",
    _C.complex64: "ComplexFloatTensor",
    _C.complex128: "ComplexDoubleTensor",
}


def _spectral(name: str) -> Callable[..., Tensor]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        from . import _spectral as functions

        return getattr(functions, name)(self, *args, **kwargs)  # type: ignore[no-any-return]

    method.__name__ = name
    method.__qualname__ = f"Tensor.{name}"
    method.__doc__ = f"See :func:`fastnn.{name}`."
    return method


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The values in the dtype of ``other``."""
    return self.to(other.dtype)


def cpu(self: Tensor, memory_format: _C.memory_format | None = None) -> Tensor:
    """The tensor itself: it lives on the CPU."""
    return self


def cuda(
    self: Tensor, device: _DeviceLike = None, non_blocking: bool = False, memory_format: _C.memory_format | None = None
) -> Tensor:
    """Raises: there is no other device."""
    _C._check_device("cuda" if device is None else device, "cuda")
    return self


def pin_memory(self: Tensor, device: _DeviceLike = None) -> Tensor:
    """The tensor itself: without another device there is nothing to pin for."""
    return self


def new_tensor(
    self: Tensor,
    data: Any,
    *,
    dtype: _DTypeLike | None = None,
    device: _DeviceLike = None,
    requires_grad: bool = False,
    layout: _C.layout | None = None,
    pin_memory: bool = False,
) -> Tensor:
    """The data as a new tensor with this tensor's dtype."""
    source = (
        data.detach().clone() if isinstance(data, Tensor) else _C.tensor(data, dtype=dtype or self.dtype, device=device)
    )
    return source.to(dtype or self.dtype).requires_grad_(requires_grad)


def new(self: Tensor, *args: Any, device: _DeviceLike = None) -> Tensor:
    """The old constructor: a tensor of this dtype."""
    return _construct(*args, dtype=self.dtype, device=device)


# --- autograd --------------------------------------------------------------------------------------------------------


def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Add to the leaves' ``.grad`` the gradient of this tensor; see :func:`fastnn.autograd.backward`."""
    if gradient is None and inputs is None and not create_graph and self.requires_grad and self.numel() == 1:
        if self.dtype.is_floating_point:
            _C._run_backward([self], [_C.ones_like(self)], bool(retain_graph), False, [], False)
            return
    from .autograd import backward as run

    run(self, gradient, retain_graph, create_graph, inputs=inputs)


# --- Python protocols ------------------------------------------------------------------------------------------------


def _repr(self: Tensor, *, tensor_contents: Any = None) -> str:
    from ._tensor_str import _str

    return _str(self, tensor_contents=tensor_contents)


def _format(self: Tensor, format_spec: str) -> str:
    if self.dim() == 0 and type(self) is Tensor:
        return self.item().__format__(format_spec)
    return object.__format__(self, format_spec)


def _iter(self: Tensor) -> Iterator[Tensor]:
    if self.dim() == 0:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


def _reversed(self: Tensor) -> Tensor:
    return self if self.dim() == 0 else self.flip(0)


def _contains(self: Tensor, element: Any) -> bool:
    if isinstance(element, (Tensor, int, float, complex)):
        return bool((self == element).any().item())
    raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")


def _array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    array = self.numpy()
    return array if dtype is None else array.astype(dtype, copy=False)


def _array_wrap(self: Tensor, array: Any, context: Any = None, return_scalar: bool = False) -> Tensor:
    return (
        _C.from_numpy(array.copy()) if array.ndim else _C.tensor(array.item()).to(_C.from_numpy(array.reshape(1)).dtype)
    )


def _storage(self: Tensor) -> Any:
    """The elements behind the tensor, whatever its shape."""
    from .storage import TypedStorage

    return TypedStorage(wrap_storage=self.untyped_storage(), dtype=self.dtype)


# --- metadata in place -----------------------------------------------------------------------------------------------


def _in_place_view(name: str) -> Callable[..., Tensor]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return _C._become(self, lambda old: getattr(old, name)(*args, **kwargs))

    method.__name__ = f"{name}_"
    method.__qualname__ = f"Tensor.{name}_"
    method.__doc__ = f"``{name}``, changing the tensor itself."
    method.__wrapped__ = getattr(Tensor, name)  # type: ignore[attr-defined]
    return method


def resize_(self: Tensor, *sizes: Any, memory_format: _C.memory_format | None = None) -> Tensor:
    """Another shape, contiguous; the storage grows when it must, new elements are uninitialised."""
    shape = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    return _C._resize(self, list(shape))


def resize_as_(self: Tensor, other: Tensor, memory_format: _C.memory_format | None = None) -> Tensor:
    """``resize_`` to the shape of ``other``."""
    return _C._resize(self, list(other.shape))


def set_(
    self: Tensor,
    source: Tensor | UntypedStorage | None = None,
    storage_offset: int = 0,
    size: Sequence[int] | None = None,
    stride: Sequence[int] | None = None,
) -> Tensor:
    """The memory and geometry of ``source``, a tensor or storage."""
    if source is None:
        source = _C.empty(0, dtype=self.dtype)
    if isinstance(source, Tensor) and size is None:
        self.data = source
        return self
    storage = source.untyped_storage() if isinstance(source, Tensor) else source
    if size is None:
        size = [storage.nbytes() // self.dtype.itemsize]
    strides = list(stride) if stride is not None else _C.empty(0).new_empty(tuple(size)).stride()
    self.data = _C._tensor_over_storage(storage, self.dtype, list(size), list(strides), storage_offset)
    return self


def nonzero(self: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of the non-zero elements: rows of indices, or one tensor a dimension."""
    return _C._nonzero_tuple(self) if as_tuple else _C._nonzero(self)


def share_memory_(self: Tensor) -> Tensor:
    """Move the memory to where processes that are started from now on share it; views keep the old one."""
    from . import _shared

    return _shared.share_memory_(self)


def is_pinned(self: Tensor, device: _DeviceLike = None) -> bool:
    """False: without another device there is nothing to pin for."""
    return False


def is_shared(self: Tensor) -> bool:
    """Whether the memory is where processes share it."""
    from . import _shared

    return _shared.is_shared(self)


def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether the shapes are equal."""
    return self.shape == other.shape


def narrow_copy(self: Tensor, dim: int, start: int, length: int) -> Tensor:
    """:meth:`narrow`, with memory of its own."""
    return self.narrow(dim, start, length).clone(memory_format=_C.contiguous_format)


def dense_dim(self: Tensor) -> int:
    """The number of dimensions, all of which are dense."""
    return self.dim()


def to_dense(self: Tensor, dtype: _C.dtype | None = None, *, masked_grad: bool = True) -> Tensor:
    """The tensor itself, which is dense, or in another dtype."""
    return self if dtype is None else self.to(dtype)


def to_sparse(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The elements that are not zero, as a sparse tensor: ``to_sparse(sparse_dim=None, *, layout=None)``."""
    from . import _sparse

    return _sparse.to_sparse(self, *args, **kwargs)


def sparse_mask(self: Tensor, mask: Tensor) -> Tensor:
    """The elements at the places that a sparse tensor has."""
    from . import _sparse

    result: Tensor = _sparse.sparse_mask(self, mask)
    return result


def sparse_dim(self: Tensor) -> int:
    """0: all dimensions are dense."""
    return 0


def _of_sparse_tensors(name: str) -> Any:
    """A method that only sparse tensors have."""

    def fail(self: Tensor) -> Any:
        kind = NotImplementedError if name == "_nnz" else RuntimeError
        raise kind(f"{name} expected sparse tensor layout but got Strided")

    fail.__doc__ = "An error: only sparse tensors have it."
    return fail


def is_distributed(self: Tensor) -> bool:
    """False: tensors are of this process alone."""
    return False


def prelu(self: Tensor, weight: Tensor) -> Tensor:
    """:func:`fastnn.nn.functional.prelu`."""
    from .nn.functional import prelu as function

    return function(self, weight)


def _reshaped(self: Tensor, sizes: tuple[int, ...], name: str) -> Tensor:
    warnings.warn(f"non-inplace {name} is deprecated", stacklevel=3)
    if math.prod(sizes) != self.numel():
        raise RuntimeError(
            f"requested resize to {'x'.join(map(str, sizes))} ({math.prod(sizes)} elements in total), but the given "
            f"tensor has a size of {'x'.join(map(str, self.shape))} ({self.numel()} elements). autograd's resize can "
            "only change the shape of a given tensor, while preserving the number of elements. "
        )
    return self.reshape(sizes)


def resize(self: Tensor, *sizes: Any) -> Tensor:
    """Deprecated: :meth:`reshape` without -1."""
    return _reshaped(self, tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes, "resize")


def resize_as(self: Tensor, tensor: Tensor) -> Tensor:
    """Deprecated: :meth:`reshape_as`."""
    return _reshaped(self, tuple(tensor.shape), "resize_as")


def get_device(self: Tensor) -> int:
    """-1, the index of the CPU."""
    return -1


def apply_(self: Tensor, function: Callable[[Any], _Scalar]) -> Tensor:
    """Replace each element by ``function(element)``; slow."""
    flat = [function(value) for value in self.detach().reshape(-1).tolist()]
    with _no_grad():
        self.copy_(_C.tensor(flat, dtype=self.dtype).reshape(tuple(self.shape)))
    return self


def map_(self: Tensor, tensor: Tensor, function: Callable[[Any, Any], _Scalar]) -> Tensor:
    """Replace each element by ``function(element, other)``, with the elements of ``tensor``; slow."""
    return _map(self, function, [tensor])


def map2_(self: Tensor, x: Tensor, y: Tensor, function: Callable[[Any, Any, Any], _Scalar]) -> Tensor:
    """Replace each element by ``function(element, of_x, of_y)``; slow."""
    return _map(self, function, [x, y])


def _map(self: Tensor, function: Callable[..., _Scalar], others: Sequence[Tensor]) -> Tensor:
    columns = [one.detach().expand(self.shape).reshape(-1).tolist() for one in (self, *others)]
    flat = [function(*values) for values in zip(*columns, strict=True)]
    with _no_grad():
        self.copy_(_C.tensor(flat, dtype=self.dtype).reshape(tuple(self.shape)))
    return self


def fill_diagonal_(self: Tensor, fill_value: _Scalar, wrap: bool = False) -> Tensor:
    """Set the main diagonal; with ``wrap`` a new one begins below each that ends in a tall matrix.

    Example::

        >>> import fastnn
        >>> fastnn.zeros(2, 3).fill_diagonal_(5)
        tensor([[5., 0., 0.],
                [0., 5., 0.]])
    """
    if self.dim() < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.dim() > 2:
        if len(set(self.shape)) > 1:
            raise RuntimeError("all dimensions of input must be of equal length")
        self.as_strided((self.shape[0],), (sum(self.stride()),), self.storage_offset()).fill_(fill_value)
        return self
    height, width = self.shape
    for start in range(0, height, width + 1) if wrap else [0]:
        self.narrow(0, start, min(width, height - start)).diagonal().fill_(fill_value)
    return self


def histogram(
    self: Tensor,
    bins: int | Tensor = 100,
    *,
    range: tuple[float, float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """How many elements lie in each interval, and the borders; see :func:`fastnn.histogram`."""
    from ._statistics import histogram as count

    return count(self, bins, range=range, weight=weight, density=density)


def dim_order(self: Tensor) -> tuple[int, ...]:
    """The dimensions from the outermost in memory to the innermost.

    Example::

        >>> import fastnn
        >>> fastnn.empty(2, 3).t().dim_order()
        (1, 0)
    """
    return tuple(sorted(range(self.dim()), key=lambda dim: self.stride()[dim], reverse=True))


def is_nonzero(self: Tensor) -> bool:
    """Whether a one-element tensor is not zero."""
    from ._functions import is_nonzero as check

    return check(self)


def storage_type(self: Tensor) -> type:
    """The type of the tensor's storage."""
    return type(self.untyped_storage())


def _positive(self: Tensor) -> Tensor:
    return _C.positive(self)


def _complex(self: Tensor) -> complex:
    return complex(self.item())


def _no_grad() -> Any:
    from .autograd.grad_mode import no_grad

    return no_grad()


# --- subclasses ------------------------------------------------------------------------------------------------------


def _as_class(result: Any, cls: Any) -> Any:
    """The tensors of a result as objects of a class."""
    if isinstance(result, Tensor):
        return result if isinstance(result, cls) else result.as_subclass(cls)
    if isinstance(result, (tuple, list)):
        items = [_as_class(one, cls) for one in result]
        return type(result)(*items) if hasattr(result, "_fields") else type(result)(items)
    return result


def _torch_function(cls: Any, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
    """What an operation on a subclass does unless the class says otherwise: its results are of the subclass too."""
    if not all(issubclass(cls, one) for one in types):
        return NotImplemented
    with _C.DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
    if cls is Tensor or isinstance(result, (bool, int, float, str)) or result is None:
        return result
    from .overrides import get_default_nowrap_functions

    return result if func in get_default_nowrap_functions() else _as_class(result, cls)


def _overridable(name: str, method: Callable[..., Any]) -> Any:
    wrapped = _C._overridable(method)
    wrapped.__name__, wrapped.__qualname__ = name, f"Tensor.{name}"
    return wrapped


# Methods that work through others, which ask for overrides themselves.
_NOT_OVERRIDABLE = {"__iter__", "__reduce_ex__", "__torch_function__"}


def _storage_from_file(filename: str, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
    """The bytes of a file: in memory that is read when it is used, and with `shared` written back."""
    from .storage import from_file

    return from_file(filename, shared, nbytes)


def _storage_untyped(self: UntypedStorage) -> UntypedStorage:
    """The storage itself."""
    return self


def _storage_item(self: UntypedStorage, index: int | slice) -> Any:
    """A byte, or a part that shares the memory."""
    content = memoryview(self)[index]  # type: ignore[arg-type]
    if isinstance(content, int):
        return content
    return _C._from_buffer(content, _C.uint8, (len(content),), (1,), 0).untyped_storage()


def _install() -> None:
    from ._functions import dsplit, hsplit, tensor_split, vsplit
    from ._tensor_pickle import _deepcopy_, _reduce_ex_

    storage: Any = _C.UntypedStorage
    storage.from_file = staticmethod(_storage_from_file)
    storage.__getitem__ = _storage_item
    storage.untyped = _storage_untyped

    _C._set_tensor_constructor(_construct)
    methods: dict[str, Any] = {
        "to": to,
        "type": type_,
        "type_as": type_as,
        "cpu": cpu,
        "cuda": cuda,
        "pin_memory": pin_memory,
        "new_tensor": new_tensor,
        "new": new,
        "backward": backward,
        "__repr__": _repr,
        "__format__": _format,
        "__iter__": _iter,
        "__reversed__": _reversed,
        "__contains__": _contains,
        "__array__": _array,
        "__array_wrap__": _array_wrap,
        "__deepcopy__": _deepcopy_,
        "__reduce_ex__": _reduce_ex_,
        "__pos__": _positive,
        "__complex__": _complex,
        "tensor_split": tensor_split,
        "hsplit": hsplit,
        "vsplit": vsplit,
        "dsplit": dsplit,
        "histogram": histogram,
        "map_": map_,
        "map2_": map2_,
        "fill_diagonal_": fill_diagonal_,
        "dim_order": dim_order,
        "is_nonzero": is_nonzero,
        "storage_type": storage_type,
        "storage": _storage,
        "resize_": resize_,
        "resize_as_": resize_as_,
        "set_": set_,
        "nonzero": nonzero,
        "share_memory_": share_memory_,
        "get_device": get_device,
        "apply_": apply_,
        "is_pinned": is_pinned,
        "is_shared": is_shared,
        "is_same_size": is_same_size,
        "narrow_copy": narrow_copy,
        "dense_dim": dense_dim,
        "to_dense": to_dense,
        "to_sparse": to_sparse,
        "to_sparse_coo": to_sparse,
        "sparse_mask": sparse_mask,
        "sparse_dim": sparse_dim,
        "is_distributed": is_distributed,
        "prelu": prelu,
        "resize": resize,
        "resize_as": resize_as,
        "__torch_function__": classmethod(_torch_function),
    }
    for name in ("coalesce", "indices", "values", "_indices", "_values", "_nnz", "is_coalesced"):
        methods[name] = _of_sparse_tensors(name)
    for name, dtype in (
        ("float", _C.float32),
        ("double", _C.float64),
        ("half", _C.float16),
        ("bfloat16", _C.bfloat16),
        ("byte", _C.uint8),
        ("char", _C.int8),
        ("short", _C.int16),
        ("int", _C.int32),
        ("long", _C.int64),
        ("bool", _C.bool),
        ("cfloat", _C.complex64),
        ("cdouble", _C.complex128),
    ):
        methods[name] = _caster(name, dtype)
    for name in ("stft", "istft"):
        methods[name] = _spectral(name)
    for name in ("squeeze", "unsqueeze", "transpose", "t", "swapaxes", "swapdims", "as_strided"):
        methods[f"{name}_"] = _in_place_view(name)
    for name, method in methods.items():
        setattr(Tensor, name, method if name in _NOT_OVERRIDABLE else _overridable(name, method))
    Tensor.__module__ = "fastnn"


_install()
