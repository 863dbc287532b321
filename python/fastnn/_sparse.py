"""Sparse tensors: the coordinates and values of the elements that are not zero (PyTorch's layout ``sparse_coo``).

A ``SparseTensor`` has the shape of what it stands for and takes every operation over: a rule, found by the operation's
name, computes on the indices, of shape (sparse dimensions, elements), and on the values, of shape (elements, dense
dimensions...). Rules are made of dense operations, so that gradients reach the values and the dense operands.
"""

from __future__ import annotations

import builtins
import copy
import math
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import fastnn
from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["SparseTensor", "addmm", "mm", "softmax", "sparse_coo_tensor", "sum", "to_sparse"]

_Function = TypeVar("_Function", bound="Callable[..., Any]")
_RULES: dict[str, Callable[..., Any]] = {}
# What the object itself knows, and what its values know.
_OF_SHAPE = set(
    "shape dtype device ndim size dim ndimension numel nelement is_floating_point is_complex is_signed element_size "
    "__len__ is_cuda is_cpu is_mps is_xpu is_meta is_quantized is_nested is_same_size get_device itemsize is_inference "
    "__hash__".split()
)
_OF_VALUES = set("requires_grad grad_fn is_leaf retains_grad is_shared is_pinned".split())


class SparseTensor(Tensor):
    """A tensor of which only some elements are kept; the others are zero."""

    _index: Tensor
    _value: Tensor
    _sorted: builtins.bool

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the rule of an operation."""
        name = func.__name__
        if name in ("__get__", "__set__"):
            owner, name = func, f"{func.__self__.__name__}"
            name = name if owner.__name__ == "__get__" else f"{name} ="
        if name in _OF_SHAPE:
            with _C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        if name in _OF_VALUES:
            found = getattr(args[0]._value, name)
            return found() if callable(found) and name.startswith("is_") else found
        rule = _RULES.get(name)
        if rule is None:
            raise NotImplementedError(f"{name}(): there is no such operation for sparse tensors; call to_dense() first")
        return rule(*args, **(kwargs or {}))

    def numpy(self, *args: Any, **kwargs: Any) -> NoReturn:
        """An error: NumPy's arrays are dense."""
        raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")

    __array__ = numpy

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _make, (self._index, self._value, tuple(self.shape), self._sorted)


def _make(index: Tensor, value: Tensor, size: Sequence[int], is_sorted: bool = False) -> SparseTensor:
    result: Any = value.detach().new_empty(()).expand(tuple(size)).as_subclass(SparseTensor)
    result._index, result._value, result._sorted = index, value, is_sorted
    made: SparseTensor = result
    return made


def _like(tensor: SparseTensor, value: Tensor) -> SparseTensor:
    """Other values at the same places."""
    return _make(tensor._index, value, tensor.shape, tensor._sorted)


def rule(*names: str) -> Callable[[_Function], _Function]:
    """Register a function as the rule of these operations."""

    def register(function: _Function) -> _Function:
        _RULES.update(dict.fromkeys(names, function))
        return function

    return register


# --- making them -----------------------------------------------------------------------------------------------------


def sparse_coo_tensor(
    indices: Any = None,
    values: Any = None,
    size: Any = None,
    *,
    dtype: _C.dtype | None = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> Tensor:
    """A sparse tensor of the elements at some places; those at the same place are added up.

    Args:
        indices: (sparse dimensions, elements), integers.
        values: (elements, dense dimensions...), or a number.
        size: the shape; by default the smallest one that has all places. ``sparse_coo_tensor(size)`` has no elements.
        dtype: of the values.
        device: where it is.
        pin_memory, check_invariants: accepted for compatibility; places are always checked.
        requires_grad: whether gradients for the values are wanted.
        is_coalesced: whether the places are sorted and none is there twice.

    Raises:
        RuntimeError: indices and values have unlike lengths, or a place is outside of the shape.

    Example:
        >>> import fastnn
        >>> s = fastnn.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3))
        >>> s.to_dense()
        tensor([[0., 0., 3.],
                [4., 0., 0.]])
        >>> s @ fastnn.ones(3, 1)
        tensor([[3.],
                [4.]])
    """
    if values is None:
        size, indices = (indices if size is None else size), None
        index = _C.zeros((len(size), 0), dtype=_C.int64)
        value = _C.zeros((0,), dtype=dtype)
    else:
        index = fastnn.as_tensor(indices, device=device).to(_C.int64)
        value = fastnn.as_tensor(values, dtype=dtype, device=device)
    if index.ndim != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(index.shape)}")
    if value.ndim == 0:
        value = value.expand(index.shape[1])
    if value.shape[0] != index.shape[1]:
        raise RuntimeError(
            f"number of indices ({index.shape[1]}) does not match the number of values ({value.shape[0]})"
        )
    if size is None:
        if index.shape[1] == 0 and index.shape[0] > 0:
            raise RuntimeError("sparse_coo_tensor: without elements the size must be given")
        size = (*(index.amax(1) + 1).tolist(), *value.shape[1:])
    _check_places(index, value, tuple(size))
    if requires_grad:
        value = value.detach().clone().requires_grad_()
    return _make(index, value, tuple(size), bool(is_coalesced))


def _check_places(index: Tensor, value: Tensor, size: tuple[int, ...]) -> None:
    if len(size) != index.shape[0] + value.ndim - 1 or tuple(size[index.shape[0] :]) != tuple(value.shape[1:]):
        raise RuntimeError(
            f"sparse_coo_tensor: size {size} does not fit indices of shape {tuple(index.shape)} and values of shape "
            f"{tuple(value.shape)}"
        )
    if index.numel() == 0:
        return
    for dim, (low, high) in enumerate(zip(index.amin(1).tolist(), index.amax(1).tolist(), strict=True)):
        if low < 0:
            raise RuntimeError(f"found negative index {low} for dim {dim}")
        if high >= size[dim]:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {dim}, size is {size[dim]} but found index {high}"
            )


def to_sparse(self: Tensor, sparse_dim: Any = None, *, layout: Any = None, **options: Any) -> Tensor:
    """A sparse tensor of the elements that are not zero.

    Args:
        sparse_dim: how many dimensions, from the first, have indices; all by default.
        layout: ``torch.sparse_coo``, the only one.

    Raises:
        NotImplementedError: another layout is asked for.

    Example:
        >>> import fastnn
        >>> fastnn.tensor([[0.0, 2.0], [0.0, 0.0]]).to_sparse()
        tensor(indices=tensor([[0],
                               [1]]),
               values=tensor([2.]),
               size=(2, 2), nnz=1, layout=torch.sparse_coo)
    """
    wanted = sparse_dim if isinstance(sparse_dim, _C.layout) else layout
    if wanted not in (None, fastnn.sparse_coo):
        raise NotImplementedError(f"to_sparse: the layout {wanted} is not there; torch.sparse_coo is")
    count = self.ndim if sparse_dim is None or wanted is sparse_dim else sparse_dim
    present = self != 0
    if count < self.ndim:
        present = present.flatten(count).any(-1)
    index = present.nonzero().t()
    return _make(index, self[tuple(index)], self.shape, True)


# --- their parts -----------------------------------------------------------------------------------------------------


def _places(index: Tensor, size: Sequence[int]) -> Tensor:
    """The places as one number each, in order."""
    steps = [math.prod(size[i + 1 : index.shape[0]]) for i in range(index.shape[0])]
    return (index * _C.tensor(steps, dtype=_C.int64).unsqueeze(1)).sum(0)


@rule("coalesce")
def _coalesce(tensor: SparseTensor) -> SparseTensor:
    if tensor._sorted:
        return tensor
    index, value = tensor._index, tensor._value
    places, group = fastnn.unique(_places(index, tensor.shape), return_inverse=True)
    count = places.shape[0]
    first = _C.zeros((count,), dtype=_C.int64).scatter_(0, group, _C.arange(index.shape[1]))
    summed = value.new_zeros((count, *value.shape[1:])).index_add(0, group, value)
    return _make(index.index_select(1, first), summed, tensor.shape, True)


@rule("is_coalesced")
def _is_coalesced(tensor: SparseTensor) -> bool:
    return tensor._sorted


def _part(attribute: str) -> Callable[[SparseTensor], Tensor]:
    def get(tensor: SparseTensor) -> Tensor:
        if not tensor._sorted:
            name = "indices" if attribute == "_index" else "values"
            raise RuntimeError(
                f"Cannot get {name} on an uncoalesced tensor, please call .coalesce() first: _{name}() gives them as "
                "they are"
            )
        part: Tensor = getattr(tensor, attribute)
        return part

    return get


_RULES["indices"], _RULES["values"] = _part("_index"), _part("_value")
_RULES["_indices"], _RULES["_values"] = lambda tensor: tensor._index, lambda tensor: tensor._value
_RULES["_nnz"] = lambda tensor: tensor._index.shape[1]
_RULES["sparse_dim"] = lambda tensor: tensor._index.shape[0]
_RULES["dense_dim"] = lambda tensor: tensor._value.ndim - 1
_RULES["is_sparse"] = lambda tensor: True
_RULES["layout"] = lambda tensor: fastnn.sparse_coo
_RULES["data"] = lambda tensor: _like(tensor, tensor._value.data)
_RULES["grad"] = lambda tensor: None if tensor._value.grad is None else _like(tensor, tensor._value.grad)


@rule("to_dense")
def _to_dense(tensor: SparseTensor, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
    dense = tensor._value.new_zeros(tensor.shape).index_put(tuple(tensor._index), tensor._value, accumulate=True)
    return dense if dtype is None else dense.to(dtype)


@rule("to_sparse", "to_sparse_coo", "contiguous", "pin_memory", "share_memory_")
def _itself(tensor: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
    return tensor


@rule("requires_grad_", "requires_grad =")
def _require_grad(tensor: SparseTensor, requires_grad: bool = True) -> SparseTensor:
    tensor._value.requires_grad_(requires_grad)
    return tensor


@rule("__deepcopy__")
def _deepcopy(tensor: SparseTensor, memo: Any = None) -> SparseTensor:
    return _make(copy.deepcopy(tensor._index, memo), copy.deepcopy(tensor._value, memo), tensor.shape, tensor._sorted)


@rule("type")
def _type(tensor: SparseTensor, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
    name = tensor._value.type()
    return name.replace("torch.", "torch.sparse.") if dtype is None else _like(tensor, tensor._value.type(dtype))


@rule("__repr__")
def _repr(tensor: SparseTensor, *, tensor_contents: Any = None) -> str:
    def part(name: str, value: Tensor) -> str:
        indent = "\n" + " " * len(f"tensor({name}=")
        return f"{name}={value.detach()!r}".replace("\n", indent)

    end = f"size={tuple(tensor.shape)}, nnz={tensor._index.shape[1]}"
    text = f",\n{' ' * 7}".join((part("indices", tensor._index), part("values", tensor._value), end))
    extra = ", requires_grad=True" if tensor._value.requires_grad and tensor._value.is_leaf else ""
    if tensor._value.grad_fn is not None:
        extra = f", grad_fn=<{type(tensor._value.grad_fn).__name__}>"
    return f"tensor({text}, layout=torch.sparse_coo{extra})"


# --- element by element ----------------------------------------------------------------------------------------------


def _linear(name: str) -> Callable[..., SparseTensor]:
    """An operation for which it is all one whether elements at the same place are added before it or after it."""

    def run(tensor: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
        return _like(tensor, getattr(tensor._value, name)(*args, **kwargs))

    return run


def _zero_stays(name: str) -> Callable[..., SparseTensor]:
    def run(tensor: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
        whole = _coalesce(tensor)
        return _like(whole, getattr(whole._value, name)(*args, **kwargs))

    return run


_CASTS = "to float double half bfloat16 long int short byte char cpu cuda clone detach neg __neg__ positive"
_RULES.update((name, _linear(name)) for name in _CASTS.split())
_RULES.update(
    (name, _zero_stays(name))
    for name in (
        "abs asin asinh atan atanh bool ceil deg2rad erf expm1 floor frac isinf isnan log1p rad2deg relu round sgn "
        "sign sin sinh sqrt square tan tanh trunc"
    ).split()
)


def _is_number(value: Any) -> bool:
    return not isinstance(value, Tensor) or (type(value) is not SparseTensor and value.ndim == 0)


def _check_shapes(name: str, a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise RuntimeError(
            f"{name}: expected sizes of 'self' and 'other' to match, but {tuple(a.shape)} != {tuple(b.shape)}"
        )


@rule("add", "__add__", "__radd__", "add_", "__iadd__")
def _add(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    if type(input) is not SparseTensor:
        if not isinstance(input, Tensor):
            raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
        dense: Tensor = input + alpha * _to_dense(other)
        return dense
    if type(other) is not SparseTensor:
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    _check_shapes("add", input, other)
    both = _make(
        _C.cat([input._index, other._index], 1), _C.cat([input._value, alpha * other._value]), input.shape, False
    )
    return _coalesce(both) if input._sorted and other._sorted else both


def _in_place(compute: Callable[..., Any]) -> Callable[..., Tensor]:
    """The rule for an operation that writes into its first operand."""

    def run(input: Any, *args: Any, **kwargs: Any) -> Tensor:
        result = compute(input, *args, **kwargs)
        if type(input) is SparseTensor:
            input._index, input._value, input._sorted = result._index, result._value, result._sorted
            return input
        written: Tensor = input.copy_(result)
        return written

    return run


@rule("sub", "__sub__")
def _sub(input: Any, other: Any, *, alpha: Any = 1) -> Tensor:
    return _add(input, other, alpha=-alpha)


@rule("mul", "__mul__", "__rmul__", "multiply")
def _mul(input: Any, other: Any) -> Tensor:
    if type(input) is not SparseTensor:
        input, other = other, input
    if _is_number(other):
        return _like(input, input._value * other)
    if type(other) is not SparseTensor:
        dense = other.expand(input.shape)
        return _like(input, input._value * dense[tuple(input._index)])
    _check_shapes("mul", input, other)
    a, b = _coalesce(input), _coalesce(other)
    places, others = _places(a._index, a.shape), _places(b._index, b.shape)
    if others.numel() == 0:
        return b
    at = fastnn.searchsorted(others, places).clamp(max=others.shape[0] - 1)
    common = (others[at] == places).nonzero().squeeze(1)
    return _make(a._index.index_select(1, common), a._value[common] * b._value[at[common]], a.shape, True)


@rule("div", "__truediv__", "divide", "true_divide")
def _div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    if type(input) is not SparseTensor or not _is_number(other):
        raise RuntimeError("Sparse division requires a scalar or zero-dim dense tensor divisor")
    if rounding_mode is None:
        return _like(input, input._value / other)
    whole = _coalesce(input)
    return _like(whole, _C.div(whole._value, other, rounding_mode=rounding_mode))


@rule("pow", "__pow__")
def _pow(input: Any, exponent: Any) -> Tensor:
    if type(input) is not SparseTensor or isinstance(exponent, Tensor) or exponent <= 0:
        raise RuntimeError("pow: a sparse tensor is raised only to a positive number: zeros must stay zeros")
    whole = _coalesce(input)
    return _like(whole, whole._value**exponent)


_RULES.update({f"{name}_": _in_place(_RULES[name]) for name in ("add", "sub", "mul", "div", "abs", "neg", "relu")})
_RULES.update({f"__i{name}__": _in_place(_RULES[name]) for name in ("add", "sub", "mul")})
_RULES["__itruediv__"] = _in_place(_div)


# --- products --------------------------------------------------------------------------------------------------------


@rule("mm", "matmul", "__matmul__", "__rmatmul__", "mv", "dsmm")
def _matmul(input: Any, other: Any) -> Tensor:
    if type(input) is not SparseTensor:
        if input.ndim == 1:
            return _matmul(_transpose(other), input)
        return _matmul(_transpose(other), input.t()).t()
    if type(other) is SparseTensor:
        return to_sparse(_matmul(input, _to_dense(other)))
    if input._index.shape[0] != 2 or input.ndim != 2 or other.ndim > 2:
        raise RuntimeError(
            f"mm: a sparse matrix and a matrix or vector are expected, got {input.ndim}D and {other.ndim}D tensors"
        )
    if input.shape[1] != other.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({input.shape[0]}x{input.shape[1]} and "
            f"{'x'.join(map(str, other.shape))})"
        )
    row, column = input._index
    weight = input._value if other.ndim == 1 else input._value.unsqueeze(1)
    terms = weight * other.index_select(0, column)
    result: Tensor = terms.new_zeros((input.shape[0], *other.shape[1:])).index_add(0, row, terms)
    return result


@rule("bmm")
def _bmm(input: Any, mat2: Any) -> Tensor:
    return _C.bmm(*(_to_dense(one) if type(one) is SparseTensor else one for one in (input, mat2)))


@rule("addmm")
def _addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    result: Tensor = beta * input + alpha * _matmul(mat1, mat2)
    return result


@rule("linear")
def _linear_layer(input: Any, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product = _matmul(input, weight.t())
    return product if bias is None else product + bias


# --- shape -----------------------------------------------------------------------------------------------------------


def _sparse_dim(tensor: SparseTensor, dim: int, name: str) -> int:
    place = dim + tensor.ndim if dim < 0 else dim
    if not 0 <= place < tensor._index.shape[0]:
        raise RuntimeError(f"{name}: dimension {dim} is not one of the {tensor._index.shape[0]} sparse dimensions")
    return place


@rule("transpose", "t", "swapaxes", "swapdims")
def _transpose(tensor: SparseTensor, dim0: int = 0, dim1: int = 1) -> SparseTensor:
    order = list(range(tensor.ndim))
    first, second = (_sparse_dim(tensor, dim, "transpose") for dim in (dim0, dim1))
    order[first], order[second] = second, first
    index = tensor._index[order[: tensor._index.shape[0]]]
    return _make(index, tensor._value, [tensor.shape[i] for i in order], False)


_RULES["T"] = _transpose


@rule("select")
def _select(tensor: SparseTensor, dim: int, index: int) -> Tensor:
    place = _sparse_dim(tensor, dim, "select")
    size = tensor.shape[place]
    if not -size <= index < size:
        raise IndexError(f"select(): index {index} out of range for tensor of size {tuple(tensor.shape)} at dim {dim}")
    kept = (tensor._index[place] == index % size).nonzero().squeeze(1)
    others = [i for i in range(tensor._index.shape[0]) if i != place]
    value = tensor._value.index_select(0, kept)
    if not others:
        return value.sum(0)
    shape = [n for i, n in enumerate(tensor.shape) if i != place]
    return _make(tensor._index[others].index_select(1, kept), value, shape, tensor._sorted)


@rule("__getitem__")
def _getitem(tensor: Any, key: Any) -> Tensor:
    for one in key if isinstance(key, tuple) else (key,):
        if not isinstance(one, int):
            raise NotImplementedError(
                "sparse tensors are indexed with integers only; call to_dense() or index_select()"
            )
        tensor = _select(tensor, 0, one) if type(tensor) is SparseTensor else tensor[one]
    result: Tensor = tensor
    return result


@rule("index_select")
def _index_select(tensor: SparseTensor, dim: int, index: Tensor) -> SparseTensor:
    place = _sparse_dim(tensor, dim, "index_select")
    chosen, element = (index.unsqueeze(1) == tensor._index[place]).nonzero().unbind(1)
    moved = tensor._index.index_select(1, element).clone()
    moved[place] = chosen
    shape = [index.shape[0] if i == place else n for i, n in enumerate(tensor.shape)]
    return _make(moved, tensor._value.index_select(0, element), shape, False)


@rule("cat", "concat", "concatenate")
def _cat(tensors: Sequence[SparseTensor], dim: int = 0) -> SparseTensor:
    place = _sparse_dim(tensors[0], dim, "cat")
    indices, start = [], 0
    for tensor in tensors:
        moved = tensor._index.clone()
        moved[place] += start
        indices.append(moved)
        start += tensor.shape[place]
    shape = [start if i == place else n for i, n in enumerate(tensors[0].shape)]
    return _make(_C.cat(indices, 1), _C.cat([tensor._value for tensor in tensors]), shape, False)


# --- along dimensions ------------------------------------------------------------------------------------------------


@rule("sum")
def _sum(input: SparseTensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    value = input._value if dtype is None else input._value.to(dtype)
    given = range(input.ndim) if dim is None or dim == () else (dim,) if isinstance(dim, int) else dim
    dims = {one % input.ndim for one in given}
    if dim is None:
        return value.sum()
    count = input._index.shape[0]
    dense = [one - count + 1 for one in dims if one >= count]
    if dense:
        value = value.sum(dense)
    kept = [one for one in range(count) if one not in dims]
    if not kept:
        return value.sum(0)
    shape = [n for i, n in enumerate(input.shape) if i not in dims]
    result = _coalesce(_make(input._index[kept], value, shape, False))
    if not keepdim:
        return result
    index = _C.zeros((count, result._index.shape[1]), dtype=_C.int64)
    index[kept] = result._index
    for one in sorted(one - count + 1 for one in dims if one >= count):
        result._value = result._value.unsqueeze(one)
    return _make(index, result._value, [1 if i in dims else n for i, n in enumerate(input.shape)], True)


def _grouped(input: SparseTensor, dim: int) -> tuple[SparseTensor, Tensor, int]:
    """The tensor with sorted places, which elements go together along a dimension, and how many groups there are."""
    whole = _coalesce(input)
    others = [i for i in range(whole._index.shape[0]) if i != _sparse_dim(whole, dim, "softmax")]
    if not others:
        return whole, _C.zeros((whole._index.shape[1],), dtype=_C.int64), 1
    places = _places(whole._index[others], [whole.shape[i] for i in others])
    found, group = fastnn.unique(places, return_inverse=True)
    return whole, group, found.shape[0]


def _softmax_parts(input: SparseTensor, dim: int, dtype: Any) -> tuple[SparseTensor, Tensor, Tensor]:
    """The tensor, the values less the largest of their group, and the sum of their exponentials for each value."""
    whole, group, count = _grouped(input, dim)
    value = whole._value if dtype is None else whole._value.to(dtype)
    shape = (count, *value.shape[1:])
    wide = group.reshape(-1, *[1] * (value.ndim - 1)).expand(value.shape)
    largest = value.detach().new_full(shape, -math.inf).scatter_reduce(0, wide, value.detach(), "amax")
    shifted = value - largest.index_select(0, group)
    total = value.new_zeros(shape).index_add(0, group, shifted.exp())
    return whole, shifted, total.index_select(0, group)


# --- torch.sparse ----------------------------------------------------------------------------------------------------


def mm(mat1: Tensor, mat2: Tensor) -> Tensor:
    """The product of a sparse matrix and a dense or sparse one.

    Args:
        mat1: (N, M).
        mat2: (M, K).

    Raises:
        RuntimeError: the sizes do not fit.

    Example:
        >>> import fastnn
        >>> x = fastnn.ones(2, 1, requires_grad=True)
        >>> s = fastnn.sparse_coo_tensor([[0, 0], [0, 1]], [2.0, 3.0], (2, 2))
        >>> fastnn.sparse.mm(s, x).sum().backward()
        >>> x.grad
        tensor([[2.],
                [3.]])
    """
    return _C.mm(mat1, mat2)


def addmm(mat: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1.0, alpha: Any = 1.0) -> Tensor:
    """``beta * mat + alpha * mm(mat1, mat2)``, where `mat1` is sparse.

    Args:
        mat: (N, K), added.
        mat1: (N, M), sparse.
        mat2: (M, K).
        beta, alpha: factors.
    """
    return _addmm(mat, mat1, mat2, beta=beta, alpha=alpha)


def sum(input: Tensor, dim: Any = None, dtype: _C.dtype | None = None) -> Tensor:
    """The sum over dimensions: sparse, or dense if no sparse dimension is left.

    Args:
        input: sparse.
        dim: one or several; all if None.
        dtype: of the result.

    Example:
        >>> import fastnn
        >>> s = fastnn.sparse_coo_tensor([[0, 0], [0, 1]], [2.0, 3.0], (2, 2))
        >>> fastnn.sparse.sum(s, dim=1).to_dense()
        tensor([5., 0.])
    """
    return _sum(_checked("sum", input), dim, dtype=dtype)


def softmax(input: Tensor, dim: int, *, dtype: _C.dtype | None = None) -> Tensor:
    """Softmax over the elements that are there: the others count as minus infinity.

    Args:
        input: sparse.
        dim: along which dimension.
        dtype: of the result.

    Example:
        >>> import fastnn
        >>> s = fastnn.sparse_coo_tensor([[0, 0, 1], [0, 2, 1]], [1.0, 1.0, 5.0], (2, 3))
        >>> fastnn.sparse.softmax(s, 1).to_dense()
        tensor([[0.5000, 0.0000, 0.5000],
                [0.0000, 1.0000, 0.0000]])
    """
    whole, shifted, total = _softmax_parts(_checked("softmax", input), dim, dtype)
    return _like(whole, shifted.exp() / total)


def log_softmax(input: Tensor, dim: int, *, dtype: _C.dtype | None = None) -> Tensor:
    """The logarithm of :func:`softmax`, for the elements that are there."""
    whole, shifted, total = _softmax_parts(_checked("log_softmax", input), dim, dtype)
    return _like(whole, shifted - total.log())


_RULES["softmax"], _RULES["log_softmax"] = softmax, log_softmax


def _checked(name: str, input: Tensor) -> SparseTensor:
    if not isinstance(input, SparseTensor):
        raise RuntimeError(f"torch.sparse.{name}: a sparse tensor is expected; call to_sparse() first")
    return input


@rule("sparse_mask")
def sparse_mask(self: Tensor, mask: Tensor) -> Tensor:
    """The elements at the places that a sparse tensor has.

    Args:
        mask: sparse, of the same shape.

    Raises:
        RuntimeError: `mask` is not sparse, or its shape is another.
    """
    places = _checked("sparse_mask", mask)
    _check_shapes("sparse_mask", self, mask)
    dense = _to_dense(self) if type(self) is SparseTensor else self
    return _like(places, dense[tuple(places._index)])


class _SparseType(type):
    """``torch.sparse.FloatTensor`` and the like: calling it makes a sparse tensor; instances are those of its dtype."""

    dtype: _C.dtype

    def __instancecheck__(cls, instance: object) -> builtins.bool:
        return isinstance(instance, SparseTensor) and instance.dtype == cls.dtype

    def __call__(cls, *args: Any, **kwargs: Any) -> Tensor:
        if args and all(isinstance(one, int) for one in args):
            args = (args,)
        values = kwargs.get("values", args[1] if len(args) > 1 else None)
        dtype = values.dtype if isinstance(values, Tensor) else cls.dtype
        return sparse_coo_tensor(*args, dtype=dtype, **kwargs)


def _sparse_type(name: str, dtype: _C.dtype) -> _SparseType:
    return _SparseType(name, (), {"__module__": "torch.sparse", "__doc__": f"Sparse, {dtype}.", "dtype": dtype})


FloatTensor = _sparse_type("FloatTensor", _C.float32)
DoubleTensor = _sparse_type("DoubleTensor", _C.float64)
HalfTensor = _sparse_type("HalfTensor", _C.float16)
BFloat16Tensor = _sparse_type("BFloat16Tensor", _C.bfloat16)
LongTensor = _sparse_type("LongTensor", _C.int64)
IntTensor = _sparse_type("IntTensor", _C.int32)
