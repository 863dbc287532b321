"""How each operation runs on the values of batched tensors; see :mod:`fastnn.func._batched`."""

from __future__ import annotations

from typing import Any

from fastnn import _C
from fastnn._C import Tensor

from ._batched import Call, check_target, level_of, listed, loop, rule

__all__: list[str] = []

# --- elementwise -----------------------------------------------------------------------------------------------------

_ELEMENTWISE = """
    abs absolute acos acosh add addcdiv addcmul arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin asinh atan
    atan2 atanh bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil celu
    clamp clamp_max clamp_min clip copysign cos cosh deg2rad digamma div divide elu eq erf erfc erfinv exp exp2
    expm1 fix float_power floor floor_divide fmax fmin fmod frac ge gelu greater greater_equal gt hardshrink
    hardsigmoid hardswish hardtanh heaviside hypot isclose isfinite isinf isnan isneginf isposinf le leaky_relu lerp
    less less_equal lgamma log log10 log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor
    logit logsigmoid lt masked_fill maximum minimum mish mul multiply nan_to_num ne neg negative not_equal polygamma
    positive pow rad2deg reciprocal relu relu6 remainder round rsqrt rsub selu sgn sigmoid sign signbit silu sin
    sinc sinh softplus softshrink softsign special_log1p sqrt square sub subtract tan tanh tanhshrink threshold
    true_divide trunc where xlogy zero fill
""".split()


def _elementwise(call: Call, *args: Any, **kwargs: Any) -> Any:
    values = [*args, *kwargs.values()]
    rank = max(one.dim() for one in values if isinstance(one, Tensor))
    typed = [one for one in values if isinstance(one, Tensor) and one.dim() == rank]

    def aligned(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        if one.dim() == 0 and _C._result_type(*_samples(one, typed[0])) != one.dtype and one is not typed[0]:
            # A 0-d tensor does not decide about the dtype of others; its value, which has a dimension, would.
            return call.aligned(one.to(typed[0].dtype) if rank else one, rank).reshape(-1, *(1,) * rank)
        if rank == 0 and not call.mapped(one):
            return one.reshape(1)
        return call.aligned(one, rank)

    return call.func(*map(aligned, args), **{key: aligned(value) for key, value in kwargs.items()})


def _samples(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Tensors of the same dtypes, and as many dimensions where that counts."""
    return _C.empty((0,) * min(a.dim(), 1), dtype=a.dtype), _C.empty((0,) * min(b.dim(), 1), dtype=b.dtype)


def _elementwise_in_place(call: Call, *args: Any, **kwargs: Any) -> Any:
    check_target(call, args)
    return _elementwise(call, *args, **kwargs)


_REFLECTED = [f"__r{name}__" for name in "sub truediv floordiv mod pow and or xor lshift rshift".split()]
_COMPARISONS = [f"__{name}__" for name in ("lt", "le", "eq", "ne", "gt", "ge")]
rule(*_ELEMENTWISE, *_REFLECTED, *_COMPARISONS)(_elementwise)
rule(*(f"{name}_" for name in [*_ELEMENTWISE, "copy"]))(_elementwise_in_place)


@rule("float", "double", "half", "bfloat16", "byte", "char", "short", "int", "long", "bool", "to", "type_as", "type")
@rule(
    "cpu", "detach", "alias", "view_as_real", "zeros_like", "ones_like", "empty_like", "full_like", "cfloat", "cdouble"
)
@rule("retain_grad", "pin_memory", "conj", "resolve_conj", "resolve_neg", "real", "imag", "angle")
def _pass(call: Call, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    kwargs.pop("memory_format", None)
    rest = [call.value(arg) for arg in args]
    return call.func(call.value(input), *rest, **{key: call.value(value) for key, value in kwargs.items()})


@rule("clone", "contiguous")
def _copy(call: Call, input: Tensor, *, memory_format: Any = None) -> Any:
    return call.func(call.value(input))


@rule("requires_grad_", "detach_")
def _mark(call: Call, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    return call.func(call.value(input), *args, **kwargs)


def _no_value(what: str) -> Any:
    def refuse(call: Call, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(what)

    return refuse


rule("item", "tolist", "numpy", "__array__", "data_ptr", "__float__", "__int__", "__index__")(
    _no_value(
        "vmap: It looks like you're calling .item() (or another function that gives a Python value) on a Tensor. We "
        "don't support vmap over that: each example has a value of its own."
    )
)
rule("__bool__", "equal", "allclose", "is_nonzero", "__contains__")(
    _no_value(
        "vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We don't support "
        "that yet: each example has a value of its own; torch.where chooses between two."
    )
)


# --- reductions ------------------------------------------------------------------------------------------------------


def _reduce(call: Call, input: Tensor, dim: Any, keepdim: bool, **kwargs: Any) -> Any:
    value = call.value(input)
    rank = input.dim()
    dims = call.dims(dim, rank)
    if rank == 0:
        return call.func(value.unsqueeze(1), dim=[1], **kwargs)
    return call.func(value, dim=dims, keepdim=keepdim, **kwargs)


@rule("sum", "mean", "nansum", "nanmean", "amax", "amin", "logsumexp", "all", "any")
def _plain_reduction(call: Call, input: Tensor, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Any:
    return _reduce(call, input, dim, keepdim, **kwargs)


@rule("count_nonzero")
def _count_nonzero(call: Call, input: Tensor, dim: Any = None) -> Any:
    value = call.value(input)
    return call.func(value.unsqueeze(1), 1) if input.dim() == 0 else call.func(value, call.dims(dim, input.dim()))


@rule("std", "var", "std_mean", "var_mean")
def _spread(
    call: Call,
    input: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> Any:
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    chosen = correction if correction is not None else int(unbiased)
    return _reduce(call, input, dim, keepdim, correction=chosen)


@rule("norm")
def _norm(call: Call, input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    return _reduce(call, input, dim, keepdim, p=p, dtype=dtype)


@rule("vector_norm")
def _vector_norm(call: Call, input: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Any:
    return _reduce(call, input, dim, keepdim, ord=ord, **kwargs)


@rule("prod", "argmax", "argmin")
def _one_dim(call: Call, input: Tensor, dim: int | None = None, keepdim: bool = False, **kwargs: Any) -> Any:
    value, rank = call.value(input), input.dim()
    if dim is None or rank == 0:
        result = call.func(value.reshape(value.shape[0], -1), 1, **kwargs)
        return result.reshape(-1, *(1,) * rank) if keepdim else result
    return call.func(value, call.dim(dim, rank), keepdim, **kwargs)


@rule("max", "min", "median", "nanmedian")
def _extreme(call: Call, input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    if isinstance(dim, Tensor) or other is not None:
        return _elementwise(call, input, other if other is not None else dim)
    value, rank = call.value(input), input.dim()
    if dim is not None:
        return call.func(value, call.dim(dim, rank), keepdim) if rank else call.func(value.unsqueeze(1), 1)
    flat = value.reshape(value.shape[0], -1)
    if call.name in ("max", "min"):
        return (_C.amax if call.name == "max" else _C.amin)(flat, 1)
    return call.func(flat, 1).values


# --- along one dimension ---------------------------------------------------------------------------------------------

# Where the dimension stands among the arguments, and its default.
_ALONG: dict[str, tuple[int, int | None]] = {
    "argsort": (1, -1), "chunk": (2, 0), "cummax": (1, None), "cummin": (1, None), "cumprod": (1, None),
    "cumsum": (1, None), "glu": (1, -1), "index_fill": (1, None), "kthvalue": (2, -1), "log_softmax": (1, None),
    "logcumsumexp": (1, None), "mode": (1, -1), "narrow": (1, None), "select": (1, None), "softmax": (1, None),
    "softmin": (1, None), "sort": (1, -1), "split": (2, 0), "split_with_sizes": (2, 0), "tensor_split": (2, 0),
    "topk": (2, -1), "unbind": (1, 0), "unflatten": (1, None), "unfold": (1, None), "renorm": (2, None),
}  # fmt: skip
_KEYWORD = {"unfold": "dimension"}


def _along(call: Call, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    place, default = _ALONG[call.name]
    keyword = _KEYWORD.get(call.name, "dim")
    rest = list(args)
    positional = len(rest) >= place
    dim = rest[place - 1] if positional else kwargs.pop(keyword, default)
    value, rank = call.value(input), input.dim()
    if dim is None:  # softmax with its implicit choice
        if call.name not in ("softmax", "log_softmax", "softmin"):
            raise TypeError(f"{call.name}() missing 1 required argument: '{keyword}'")
        dim = 0 if rank in (0, 1, 3) else 1
    others = [*rest, *kwargs.values()]
    if not call.mapped(input) or any(level_of(one) == call.level for one in others):
        if positional:
            return loop(call, input, *rest, **kwargs)
        return loop(call, input, *rest, **{**kwargs, keyword: dim})
    shifted = call.dim(dim, rank)
    if positional:
        rest[place - 1] = shifted
    else:
        kwargs[keyword] = shifted
    if rank == 0:
        result = call.func(value.unsqueeze(1), *rest, **kwargs)
        if isinstance(result, Tensor):
            return result.squeeze(1)
        return type(result)([one.squeeze(1) for one in result])
    return call.func(value, *rest, **kwargs)


rule(*_ALONG)(_along)


@rule("flip", "fliplr", "flipud")
def _flip(call: Call, input: Tensor, *dims: Any, **kwargs: Any) -> Any:
    return call.func(call.value(input), call.dims(kwargs.get("dims", listed(dims)), input.dim()))


@rule("roll")
def _roll(call: Call, input: Tensor, shifts: Any, dims: Any = ()) -> Any:
    value = call.value(input)
    if dims in ((), []):
        flat = value.reshape(value.shape[0], -1)
        return call.func(flat, shifts, 1).reshape(*value.shape)
    return call.func(value, shifts, call.dims(dims, input.dim()))


@rule("diff")
def _diff(call: Call, input: Tensor, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    ends = [None if one is None else call.full(one) for one in (prepend, append)]
    return call.func(call.full(input), n, call.dim(dim, input.dim()), *ends)


@rule("gather", "scatter", "scatter_add", "scatter_reduce", "scatter_", "scatter_add_", "scatter_reduce_")
def _by_index(call: Call, input: Tensor, dim: int, *args: Any, **kwargs: Any) -> Any:
    if call.name.endswith("_"):
        check_target(call, (input,))

    def filled(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return one
        value = call.full(one)
        return value.unsqueeze(1) if one.dim() == 0 else value

    rest = [filled(one) for one in args]
    value = filled(input)
    result = call.func(value, call.dim(dim, input.dim()), *rest, **{key: filled(one) for key, one in kwargs.items()})
    index = args[0] if args else kwargs["index"]
    shape = index if call.name == "gather" else input
    return result.squeeze(1) if shape.dim() == 0 and result.dim() > 1 else result


@rule("take_along_dim")
def _take_along(call: Call, input: Tensor, indices: Tensor, dim: int | None = None) -> Any:
    if dim is None:
        return call.func(call.full(input).reshape(call.size, -1), call.full(indices).reshape(call.size, -1), 1)
    return call.func(call.full(input), call.full(indices), call.dim(dim, input.dim()))


@rule("index_select")
def _index_select(call: Call, input: Tensor, dim: int, index: Tensor) -> Any:
    if not call.mapped(index) and input.dim():
        return call.func(call.value(input), call.dim(dim, input.dim()), index)
    if call.mapped(index) and index.dim() == 1 and input.dim():
        place = call.dim(dim, input.dim())
        values = call.full(input).movedim(place, 1)
        return _take(call, values, call.value(index)).movedim(1, place)
    return loop(call, input, dim, index)


def _take(call: Call, values: Tensor, index: Tensor) -> Tensor:
    """Rows of each example: values (batch, n, ...), index (batch, m)."""
    examples = _C.arange(call.size).reshape(call.size, 1)
    return values[examples, index]


@rule("index_add", "index_copy", "index_add_", "index_copy_")
def _index_write(call: Call, input: Tensor, dim: int, index: Tensor, source: Tensor, **kwargs: Any) -> Any:
    if call.mapped(index) or input.dim() == 0:
        return loop(call, input, dim, index, source, **kwargs)
    if call.name.endswith("_"):
        check_target(call, (input,))
    return call.func(call.full(input), call.dim(dim, input.dim()), index, call.full(source), **kwargs)


# --- shape -----------------------------------------------------------------------------------------------------------


@rule("reshape", "view", "view_copy")
def _reshape(call: Call, input: Tensor, *shape: Any, **kwargs: Any) -> Any:
    sizes: Any = listed(shape) if shape else kwargs.get("shape", kwargs.get("size", kwargs.get("dtype")))
    value = call.value(input)
    if isinstance(sizes, _C.dtype) or (sizes and isinstance(sizes[0], _C.dtype)):
        return value.view(sizes if isinstance(sizes, _C.dtype) else sizes[0])
    return value.reshape(value.shape[0], *sizes)


@rule("expand", "broadcast_to")
def _expand(call: Call, input: Tensor, *size: Any, **kwargs: Any) -> Any:
    sizes = listed(size) if size else list(kwargs["size"])
    return call.aligned(input, len(sizes)).expand(call.size, *sizes)


@rule("repeat", "tile")
def _repeat(call: Call, input: Tensor, *repeats: Any, **kwargs: Any) -> Any:
    counts = listed(repeats) if repeats else list(kwargs.get("repeats", kwargs.get("dims", ())))
    counts = [1] * (input.dim() - len(counts)) + counts
    return call.aligned(input, len(counts)).repeat(1, *counts)


@rule("permute")
def _permute(call: Call, input: Tensor, *dims: Any, **kwargs: Any) -> Any:
    order = listed(dims) if dims else list(kwargs["dims"])
    return call.value(input).permute(0, *(call.dim(d, input.dim()) for d in order))


@rule("transpose", "swapaxes", "swapdims")
def _transpose(call: Call, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    first, second = [*args, *kwargs.values()]
    if input.dim() == 0:
        return call.value(input).clone()
    return call.value(input).transpose(call.dim(first, input.dim()), call.dim(second, input.dim()))


@rule("t")
def _t(call: Call, input: Tensor) -> Any:
    value = call.value(input)
    if input.dim() > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.dim()}D")
    return value.transpose(1, 2) if input.dim() == 2 else value.view(*value.shape)


@rule("movedim", "moveaxis")
def _movedim(call: Call, input: Tensor, source: Any, destination: Any) -> Any:
    return call.value(input).movedim(call.dims(source, input.dim()), call.dims(destination, input.dim()))


@rule("flatten", "ravel")
def _flatten(call: Call, input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Any:
    value, rank = call.value(input), input.dim()
    if rank == 0:
        return value.reshape(-1, 1)
    return value.flatten(call.dim(start_dim, rank), call.dim(end_dim, rank))


@rule("squeeze")
def _squeeze(call: Call, input: Tensor, dim: Any = None) -> Any:
    value, rank = call.value(input), input.dim()
    if rank == 0:
        return value.view(*value.shape)
    chosen = call.dims(dim, rank) if dim is not None else [d + 1 for d in range(rank)]
    return value.reshape(value.shape[0], *(s for d, s in enumerate(input.shape, 1) if d not in chosen or s != 1))


@rule("unsqueeze")
def _unsqueeze(call: Call, input: Tensor, dim: int) -> Any:
    return call.value(input).unsqueeze(call.dim(dim, input.dim() + 1))


@rule("diagonal")
def _diagonal(call: Call, input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    return call.value(input).diagonal(offset, call.dim(dim1, input.dim()), call.dim(dim2, input.dim()))


@rule("tril", "triu")
def _triangle(call: Call, input: Tensor, diagonal: int = 0) -> Any:
    return call.func(call.value(input), diagonal)


@rule("cat", "concat", "concatenate")
def _cat(call: Call, tensors: Any, dim: int = 0) -> Any:
    rank = max(one.dim() for one in tensors)
    return call.func([call.full(one) for one in tensors], call.dim(dim, rank))


@rule("stack")
def _stack(call: Call, tensors: Any, dim: int = 0) -> Any:
    return call.func([call.full(one) for one in tensors], call.dim(dim, tensors[0].dim() + 1))


@rule("new_zeros", "new_ones", "new_empty")
def _new(call: Call, input: Tensor, *size: Any, **kwargs: Any) -> Any:
    sizes = listed(size) if size else list(kwargs.pop("size"))
    return call.func(call.value(input), call.size, *sizes, **kwargs)


@rule("new_full")
def _new_full(call: Call, input: Tensor, size: Any, fill_value: Any, **kwargs: Any) -> Any:
    return call.func(call.value(input), [call.size, *size], fill_value, **kwargs)


# --- indexing --------------------------------------------------------------------------------------------------------


def _is_array(item: Any) -> bool:
    return isinstance(item, (Tensor, list, range)) or (
        hasattr(item, "__array_interface__") and getattr(item, "ndim", 0) > 0
    )


class _Index:
    """An index taken apart: how many dimensions its arrays make, and after how many others they stand."""

    def __init__(self, call: Call, key: Any) -> None:
        items = list(key) if isinstance(key, tuple) else [key]
        self.items = items
        arrays = [i for i, item in enumerate(items) if _is_array(item)]
        self.has_arrays = bool(arrays)
        self.mapped = any(level_of(item) == call.level for item in items)
        between = items[arrays[0] : arrays[-1] + 1] if arrays else []
        self.together = all(
            _is_array(item) or (isinstance(item, int) and not isinstance(item, bool)) for item in between
        )
        self.rank = max(
            (
                item.dim() if isinstance(item, Tensor) else _C.tensor(item).dim()
                for item in map(items.__getitem__, arrays)
            ),
            default=0,
        )
        self.masks = any(isinstance(items[i], Tensor) and items[i].dtype in (_C.bool, _C.uint8) for i in arrays)

    def physical(self, call: Call, with_examples: bool) -> tuple[Any, ...]:
        """The index of the values: of all examples, or of each its own."""
        items = [call.aligned(item, self.rank) if isinstance(item, Tensor) else item for item in self.items]
        if not with_examples:
            return tuple(items)
        if not self.mapped:
            return (slice(None), *items)
        return (_C.arange(call.size).reshape(call.size, *(1,) * self.rank), *items)

    def before(self, tensor_rank: int) -> int:
        """How many dimensions of the result stand before those of the arrays."""
        count = 0
        used = sum(not (item is None or item is Ellipsis or isinstance(item, bool)) for item in self.items)
        for item in self.items:
            if _is_array(item):
                return count
            if item is Ellipsis:
                count += tensor_rank - used
            elif item is None or isinstance(item, slice):
                count += 1
        return count


@rule("__getitem__")
def _getitem(call: Call, input: Tensor, key: Any) -> Any:
    index = _Index(call, key)
    value = call.value(input)
    if not index.has_arrays:
        return value[index.physical(call, True)]
    if index.mapped and index.masks:
        _no_value("vmap: a mask that is mapped over chooses another number of elements for each example")(call)
    if index.masks:
        return loop(call, input, key)
    place = index.before(input.dim()) if index.together else 0
    if not call.mapped(input):
        return value[index.physical(call, False)].movedim(place, 0)
    if index.mapped:
        result = value[index.physical(call, True)]
        return _moved(result, index.rank, 1, 1 + place)
    result = value[index.physical(call, True)]
    return result if index.together else result.movedim(index.rank, 0)


def _moved(tensor: Tensor, count: int, source: int, destination: int) -> Tensor:
    if source == destination or count == 0:
        return tensor
    return tensor.movedim([source + i for i in range(count)], [destination + i for i in range(count)])


@rule("__setitem__")
def _setitem(call: Call, input: Tensor, key: Any, source: Any) -> Any:
    check_target(call, (input,))
    index = _Index(call, key)
    value = call.value(input)
    place = index.before(input.dim()) if index.together else 0
    if index.masks or (
        index.has_arrays
        and (index.mapped or not index.together)
        and isinstance(source, Tensor)
        and place + source.dim()
    ):
        for i in range(call.size):
            value.select(0, i)[call.items(key, i)] = call.items(source, i)
        return input
    where = index.physical(call, True)
    if call.mapped(source):
        source = call.aligned(source, value[where].dim() - 1)
    value[where] = source
    return input
