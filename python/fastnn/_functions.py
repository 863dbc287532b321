"""Functions of the top level that are written in Python: compositions, and switches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastnn._C import _DeviceLike, _Scalar

__all__ = [
    "are_deterministic_algorithms_enabled",
    "as_strided_",
    "asarray",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "broadcast_shapes",
    "broadcast_tensors",
    "can_cast",
    "cartesian_prod",
    "column_stack",
    "detach",
    "detach_",
    "dsplit",
    "dstack",
    "finfo",
    "from_dlpack",
    "get_default_device",
    "get_device",
    "hsplit",
    "hstack",
    "iinfo",
    "is_complex",
    "is_floating_point",
    "is_inference",
    "is_nonzero",
    "is_same_size",
    "is_signed",
    "is_storage",
    "is_tensor",
    "meshgrid",
    "nonzero",
    "numel",
    "promote_types",
    "resize_as_",
    "result_type",
    "row_stack",
    "set_default_device",
    "spmm",
    "tensor_split",
    "typename",
    "use_deterministic_algorithms",
    "vsplit",
    "vstack",
]


def is_tensor(obj: Any) -> bool:
    """Whether ``obj`` is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj: Any) -> bool:
    """Whether ``obj`` is a storage."""
    return isinstance(obj, _C.UntypedStorage)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype of ``input`` is a floating point type."""
    return input.is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether the dtype of ``input`` is complex."""
    return input.is_complex()


def is_nonzero(input: Tensor) -> bool:
    """Whether a one-element tensor is not zero."""
    if input.numel() != 1:
        raise RuntimeError(
            f"Boolean value of Tensor with {'more than one' if input.numel() else 'no'} value is ambiguous"
        )
    return bool(input.item())


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.numel()


@overload
def nonzero(input: Tensor, *, out: Tensor | None = None, as_tuple: Literal[False] = False) -> Tensor: ...
@overload
def nonzero(input: Tensor, *, as_tuple: Literal[True]) -> tuple[Tensor, ...]: ...
def nonzero(input: Tensor, *, out: Tensor | None = None, as_tuple: bool = False) -> Tensor | tuple[Tensor, ...]:
    """The places of the non-zero elements: rows of indices, or one tensor a dimension.

    Example::

        >>> import fastnn
        >>> fastnn.nonzero(fastnn.tensor([0, 3, 4]))
        tensor([[1],
                [2]])
    """
    if as_tuple:
        if out is not None:
            raise TypeError("nonzero() takes no 'out' together with as_tuple=True")
        return input.nonzero(as_tuple=True)
    result = _C._nonzero(input)
    return result if out is None else out.resize_(result.shape).copy_(result)


def broadcast_shapes(*shapes: int | Sequence[int]) -> _C.Size:
    """The shape that tensors of these shapes broadcast to.

    Example::

        >>> import fastnn
        >>> fastnn.broadcast_shapes((2, 1), (3,))
        torch.Size([2, 3])
    """
    result: list[int] = []
    for shape in shapes:
        sizes = [shape] if isinstance(shape, int) else list(shape)
        short, long = sorted((result, sizes), key=len)
        merged = list(long)
        for i in range(1, len(short) + 1):
            a, b = short[-i], long[-i]
            if a != b and a != 1 and b != 1:
                raise RuntimeError(
                    f"Shape mismatch: objects cannot be broadcast to a single shape, got {shapes} (sizes {a} and {b})"
                )
            merged[-i] = b if a == 1 else a
        result = merged
    return _C.Size(result)


def _tensors(tensors: tuple[Any, ...]) -> list[Tensor]:
    return list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else list(tensors)


def broadcast_tensors(*tensors: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The tensors as views of their common shape."""
    given = _tensors(tensors)
    shape = broadcast_shapes(*(one.shape for one in given))
    return tuple(one.expand(shape) for one in given)


def meshgrid(*tensors: Tensor | Sequence[Tensor], indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinates of a grid: one tensor for each input, all of shape (len(first), len(second), ...).

    Args:
        tensors: 0-d or 1-d tensors.
        indexing: ``"ij"`` (the default), or ``"xy"`` to exchange the first two dimensions.

    Example::

        >>> import fastnn
        >>> rows, columns = fastnn.meshgrid(fastnn.arange(2), fastnn.arange(3), indexing="ij")
        >>> columns
        tensor([[0, 1, 2],
                [0, 1, 2]])
    """
    given = _tensors(tensors)
    if not given:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    for one in given:
        if one.dim() > 1:
            raise RuntimeError(f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {one}")
        if one.dtype != given[0].dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    swap = indexing == "xy" and len(given) >= 2
    if swap:
        given[0], given[1] = given[1], given[0]
    shape = [one.numel() for one in given]
    grids = [
        one.reshape([-1 if i == place else 1 for i in range(len(given))]).expand(shape)
        for place, one in enumerate(given)
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of the elements of 1-d tensors, one a row."""
    if len(tensors) == 1:
        return tensors[0]
    grids = meshgrid(*tensors, indexing="ij")
    return _C.stack([grid.reshape(-1) for grid in grids], 1)


def block_diag(*tensors: Tensor) -> Tensor:
    """The tensors as blocks along the diagonal of a matrix."""
    blocks = [one.reshape(1, -1) if one.dim() < 2 else one for one in _tensors(tensors)]
    width = sum(one.shape[1] for one in blocks)
    rows, left = [], 0
    for one in blocks:
        if one.dim() != 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input has {one.dim()} dimensions"
            )
        before = one.new_zeros(one.shape[0], left)
        after = one.new_zeros(one.shape[0], width - left - one.shape[1])
        rows.append(_C.cat([before, one, after], 1))
        left += one.shape[1]
    return _C.cat(rows, 0)


def _at_least(tensors: tuple[Any, ...], grow: Callable[[Tensor], Tensor]) -> Any:
    if len(tensors) == 1 and not isinstance(tensors[0], (tuple, list)):
        return grow(tensors[0])
    return tuple(grow(one) for one in _tensors(tensors))


@overload
def atleast_1d(tensor: Tensor, /) -> Tensor: ...
@overload
def atleast_1d(tensors: Sequence[Tensor], /) -> tuple[Tensor, ...]: ...
@overload
def atleast_1d(first: Tensor, second: Tensor, /, *rest: Tensor) -> tuple[Tensor, ...]: ...
def atleast_1d(*tensors: Any) -> Any:
    """0-d tensors as 1-d."""
    return _at_least(tensors, lambda one: one.reshape(1) if one.dim() == 0 else one)


@overload
def atleast_2d(tensor: Tensor, /) -> Tensor: ...
@overload
def atleast_2d(tensors: Sequence[Tensor], /) -> tuple[Tensor, ...]: ...
@overload
def atleast_2d(first: Tensor, second: Tensor, /, *rest: Tensor) -> tuple[Tensor, ...]: ...
def atleast_2d(*tensors: Any) -> Any:
    """0-d and 1-d tensors as one row."""
    return _at_least(tensors, lambda one: one.reshape(1, -1) if one.dim() < 2 else one)


@overload
def atleast_3d(tensor: Tensor, /) -> Tensor: ...
@overload
def atleast_3d(tensors: Sequence[Tensor], /) -> tuple[Tensor, ...]: ...
@overload
def atleast_3d(first: Tensor, second: Tensor, /, *rest: Tensor) -> tuple[Tensor, ...]: ...
def atleast_3d(*tensors: Any) -> Any:
    """Tensors of fewer dimensions as (1, n, 1) or (n, m, 1)."""

    def grow(one: Tensor) -> Tensor:
        if one.dim() < 2:
            return one.reshape(1, -1, 1)
        return one.unsqueeze(-1) if one.dim() == 2 else one

    return _at_least(tensors, grow)


def _check_some(name: str, tensors: Sequence[Tensor]) -> None:
    if not tensors:
        raise RuntimeError(f"{name} expects a non-empty TensorList")


def hstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Side by side: along dimension 1 (0 for 1-d tensors)."""
    _check_some("hstack", tensors)
    grown = list(atleast_1d(tuple(tensors)))
    return _C.cat(grown, 0 if grown[0].dim() == 1 else 1, out=out)


def vstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """On top of each other: along dimension 0."""
    _check_some("vstack", tensors)
    return _C.cat(list(atleast_2d(tuple(tensors))), 0, out=out)


row_stack = vstack


def dstack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Behind each other: along dimension 2."""
    _check_some("dstack", tensors)
    return _C.cat(list(atleast_3d(tuple(tensors))), 2, out=out)


def column_stack(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Side by side, 1-d tensors as columns."""
    grown = [one.reshape(one.numel(), 1) if one.dim() <= 1 else one for one in tensors]
    return hstack(grown, out=out)


def tensor_split(
    input: Tensor,
    indices_or_sections: int | Sequence[int] | Tensor | None = None,
    dim: int = 0,
    *,
    indices: Sequence[int] | None = None,
    sections: int | None = None,
) -> tuple[Tensor, ...]:
    """Pieces along ``dim``: a number of nearly equal ones, or cut before the given indices.

    Example::

        >>> import fastnn
        >>> [len(part) for part in fastnn.tensor_split(fastnn.arange(7), 3)]
        [3, 2, 2]
    """
    if input.dim() == 0:
        raise RuntimeError("tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims")
    size = input.shape[dim]
    chosen = next((one for one in (indices_or_sections, indices, sections) if one is not None), None)
    if isinstance(chosen, Tensor):
        if chosen.dim() > 1 or chosen.dtype != _C.int64:
            raise RuntimeError("tensor_split expected tensor_indices_or_sections to be 0-d or 1-d, of dtype long")
        chosen = chosen.tolist()
    if chosen is None:
        raise TypeError("tensor_split(): missing argument 'indices_or_sections'")
    if isinstance(chosen, int):
        sections = chosen
        if sections <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {sections}")
        each, larger = divmod(size, sections)
        cuts = [i * each + min(i, larger) for i in range(1, sections)]
    else:
        cuts = [int(index) for index in chosen]
    parts, start = [], 0
    for cut in [*cuts, size]:
        end = max(0, cut + size) if cut < 0 else min(cut, size)
        length = max(0, end - start)
        parts.append(input.narrow(dim, min(start, size), length))
        start = end
    return tuple(parts)


def _split_along(
    name: str, input: Tensor, what: int | Sequence[int] | Tensor, dim: int, least: int
) -> tuple[Tensor, ...]:
    if input.dim() < least:
        raise RuntimeError(
            f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor with {input.dim()} "
            "dimensions!"
        )
    if not isinstance(what, (int, tuple, list, Tensor)):
        raise TypeError(f"{name}(): argument 'indices_or_sections' must be int or a list of ints, not {type(what)}")
    if isinstance(what, int) and (what == 0 or input.shape[dim] % what):
        raise RuntimeError(
            f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension {input.shape[dim]} "
            f"is not divisible by the split_size {what}!"
        )
    return tensor_split(input, what, dim)


def hsplit(input: Tensor, indices_or_sections: int | Sequence[int] | Tensor) -> tuple[Tensor, ...]:
    """Pieces along dimension 1 (0 for 1-d tensors)."""
    return _split_along("hsplit", input, indices_or_sections, 0 if input.dim() == 1 else 1, 1)


def vsplit(input: Tensor, indices_or_sections: int | Sequence[int] | Tensor) -> tuple[Tensor, ...]:
    """Pieces along dimension 0."""
    return _split_along("vsplit", input, indices_or_sections, 0, 2)


def dsplit(input: Tensor, indices_or_sections: int | Sequence[int] | Tensor) -> tuple[Tensor, ...]:
    """Pieces along dimension 2."""
    return _split_along("dsplit", input, indices_or_sections, 2, 3)


# --- types -----------------------------------------------------------------------------------------------------------


def result_type(tensor1: Tensor | _Scalar, tensor2: Tensor | _Scalar) -> _C.dtype:
    """The dtype of an operation on two tensors or numbers.

    Example::

        >>> import fastnn
        >>> fastnn.result_type(fastnn.tensor([1, 2]), 1.0)
        torch.float32
    """
    return _C._result_type(tensor1, tensor2)


def promote_types(type1: _C.dtype, type2: _C.dtype) -> _C.dtype:
    """The smallest dtype that holds values of both."""
    return _C._promote_types(type1, type2)


def can_cast(from_: _C.dtype, to: _C.dtype) -> bool:
    """Whether PyTorch's rules allow writing values of one dtype into a tensor of the other."""
    return _C._can_cast(from_, to)


# Bits, bits of the mantissa, largest exponent.
_FLOATS = {"float16": (16, 10, 15), "bfloat16": (16, 7, 127), "float32": (32, 23, 127), "float64": (64, 52, 1023)}
# What only has a name here: eps, largest, smallest, smallest normal number.
_FLOATS_OF_8_BITS = {
    "float8_e4m3fn": (0.125, 448.0, -448.0, 2.0**-6),
    "float8_e4m3fnuz": (0.125, 240.0, -240.0, 2.0**-7),
    "float8_e5m2": (0.25, 57344.0, -57344.0, 2.0**-14),
    "float8_e5m2fnuz": (0.125, 57344.0, -57344.0, 2.0**-15),
    "float8_e8m0fnu": (1.0, 2.0**127, 2.0**-127, 2.0**-127),
}


class finfo:
    """Limits of a floating point dtype.

    Example::

        >>> import fastnn
        >>> fastnn.finfo(fastnn.float32).eps
        1.1920928955078125e-07
    """

    def __init__(self, type: _C.dtype | None = None) -> None:
        dtype = _C.get_default_dtype() if type is None else type
        name = repr(dtype.to_real()).split(".")[-1]
        self.dtype = name
        if name in _FLOATS_OF_8_BITS:
            self.bits, self.resolution = 8, 1.0
            self.eps, self.max, self.min, self.tiny = _FLOATS_OF_8_BITS[name]
            self.smallest_normal = self.tiny
            return
        if name not in _FLOATS:
            raise TypeError(f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle '{name}'")
        self.bits, mantissa, largest = _FLOATS[name]
        self.eps = 2.0**-mantissa
        self.max = (2.0 - self.eps) * 2.0**largest
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0 ** (1 - largest)
        digits = {"float16": -3, "bfloat16": -2, "float32": -6, "float64": -15}
        self.resolution = float(f"1e{digits[name]}")

    def __repr__(self) -> str:
        def text(value: float) -> str:
            return f"{value:.6g}"

        return (
            f"finfo(resolution={text(self.resolution)}, min={text(self.min)}, max={text(self.max)}, "
            f"eps={text(self.eps)}, smallest_normal={text(self.tiny)}, tiny={text(self.tiny)}, dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer dtype.

    Example::

        >>> import fastnn
        >>> fastnn.iinfo(fastnn.int8).max
        127
    """

    def __init__(self, type: _C.dtype) -> None:
        if type.is_floating_point or type.is_complex or type == _C.bool:
            raise TypeError(f"torch.iinfo() requires an integer input type. Use torch.finfo to handle '{type}'")
        self.bits = type.itemsize * 8
        self.dtype = repr(type).split(".")[-1]
        self.max = 2 ** (self.bits - 1) - 1 if type.is_signed else 2**self.bits - 1
        self.min = -(2 ** (self.bits - 1)) if type.is_signed else 0

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


def typename(obj: Any) -> str:
    """The name of an object's type, as ``Tensor.type()`` gives it for tensors."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = obj if isinstance(obj, type) else type(obj)
    module = kind.__module__
    return kind.__qualname__ if module in ("", "builtins") else f"{module}.{kind.__qualname__}"


from_dlpack = _C.from_dlpack


def spmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The product of two matrices, both of which are dense here; see :func:`mm`."""
    return _C.mm(input, mat2)


def asarray(
    obj: Any,
    *,
    dtype: _C.dtype | None = None,
    device: _DeviceLike = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of anything that has numbers; it shares the memory of tensors and arrays unless ``copy`` is True.

    Example::

        >>> import fastnn
        >>> fastnn.asarray([1, 2, 3])
        tensor([1, 2, 3])
    """
    if isinstance(obj, (_C.UntypedStorage, bytes, bytearray, memoryview)):
        kind = _C.uint8 if dtype is None else dtype
        obj = _C.frombuffer(obj, dtype=kind) if len(obj) else _C.empty(0, dtype=kind)
    known = obj.detach() if isinstance(obj, Tensor) and not requires_grad else obj
    result = known if isinstance(known, Tensor) and copy is not True else _C.as_tensor(known, device=device)
    if dtype is not None and result.dtype != dtype:
        if copy is False:
            raise ValueError("can't alias tensor with a different dtype")
        result = result.to(dtype)
    elif copy is True:
        result = result.clone()
    elif copy is False and not isinstance(obj, Tensor) and isinstance(obj, (list, tuple, int, float, bool)):
        raise ValueError("can't alias arbitrary sequence into a tensor.")
    return result.requires_grad_() if requires_grad and not result.requires_grad else result


# --- methods as functions --------------------------------------------------------------------------------------------


def detach(input: Tensor) -> Tensor:
    """The same memory without history; see :meth:`Tensor.detach`."""
    return input.detach()


def detach_(input: Tensor) -> Tensor:
    """The tensor itself without its history; see :meth:`Tensor.detach_`."""
    return input.detach_()


def get_device(input: Tensor) -> int:
    """-1, the index of the CPU."""
    return input.get_device()


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether the shapes are equal."""
    return input.shape == other.shape


def is_signed(input: Tensor) -> bool:
    """Whether the dtype of ``input`` has negative numbers."""
    return input.dtype.is_signed


def is_inference(input: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return input.is_inference()


def resize_as_(input: Tensor, the_template: Tensor, *, memory_format: _C.memory_format | None = None) -> Tensor:
    """``input`` in the shape of ``the_template``; see :meth:`Tensor.resize_as_`."""
    return input.resize_as_(the_template, memory_format=memory_format)


def as_strided_(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """Another geometry over the same memory, in place; see :meth:`Tensor.as_strided`."""
    return input.as_strided_(size, stride, storage_offset)


# --- checks ----------------------------------------------------------------------------------------------------------


def _assert(condition: Any, message: str) -> None:
    """Raises AssertionError unless the condition holds."""
    assert condition, message


def _check_with(error_type: type[Exception], cond: bool, message: Callable[[], str] | None = None) -> None:
    if not isinstance(cond, bool):
        raise TypeError(f"cond must be a bool, but got {type(cond)}")
    if not cond:
        raise error_type("Expected cond to be True, but got False." if message is None else str(message()))


def _check(cond: bool, message: Callable[[], str] | None = None) -> None:
    """Raises RuntimeError unless the condition holds."""
    _check_with(RuntimeError, cond, message)


def _check_index(cond: bool, message: Callable[[], str] | None = None) -> None:
    """Raises IndexError unless the condition holds."""
    _check_with(IndexError, cond, message)


def _check_value(cond: bool, message: Callable[[], str] | None = None) -> None:
    """Raises ValueError unless the condition holds."""
    _check_with(ValueError, cond, message)


def _check_type(cond: bool, message: Callable[[], str] | None = None) -> None:
    """Raises TypeError unless the condition holds."""
    _check_with(TypeError, cond, message)


def _check_not_implemented(cond: bool, message: Callable[[], str] | None = None) -> None:
    """Raises NotImplementedError unless the condition holds."""
    _check_with(NotImplementedError, cond, message)


def _check_is_size(i: int, message: Callable[[], str] | None = None, *, max: int | None = None) -> None:
    """Raises RuntimeError unless ``i`` can be a size."""
    _check(i >= 0, message)
    _check(max is None or i <= max, message)


# --- switches --------------------------------------------------------------------------------------------------------

_deterministic = False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted for compatibility: every algorithm here is deterministic."""
    global _deterministic
    _deterministic = bool(mode)


def are_deterministic_algorithms_enabled() -> bool:
    """What :func:`use_deterministic_algorithms` was told."""
    return _deterministic


def set_default_device(device: _DeviceLike) -> None:
    """Where tensors are made from now on: on the CPU, or on ``"meta"``, where they have shapes and no values.

    Example::

        >>> import fastnn
        >>> fastnn.set_default_device("meta")
        >>> fastnn.ones(2, 3).device
        device(type='meta')
        >>> fastnn.set_default_device("cpu")
    """
    to_meta = device is not None and _C.device(device).type == "meta"
    if not to_meta:
        _C._check_device(device, "set_default_device")
    if to_meta or _C._is_torch_function_mode_enabled():
        from ._meta import set_default

        set_default(to_meta)


def get_default_device() -> _C.device:
    """The device that tensors are made on: the CPU, or ``meta`` in a ``with torch.device("meta")``."""
    if _C._is_torch_function_mode_enabled():
        from ._meta import is_default

        if is_default():
            return _C.device("meta")
    return _C.device("cpu")
