"""How operations on tensors are said in ONNX: arithmetic, comparisons, reductions, shapes.

A function here has the parameters of the operation and gives the names of what ONNX makes; ``g.out`` says which dtypes
and shapes the operation gave.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastnn import _C

from ._errors import OnnxExporterError
from ._graph import Value
from ._trace import Size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastnn._C import dtype as DType

    from ._graph import Graph
    from ._trace import SizeLike

    Operator = Callable[..., Any]
    Input = Value | Size | float | int | bool

__all__ = ["OPERATORS", "axis_of", "operator", "pair_of"]

OPERATORS: dict[str, Operator] = {}
_END = 2**63 - 1


def operator(*names: str) -> Callable[[Operator], Operator]:
    """Says of which operations a function is the mapping."""

    def register(function: Operator) -> Operator:
        OPERATORS.update(dict.fromkeys(names, function))
        return function

    return register


def axis_of(input: Value, dim: int) -> int:
    """A dimension, counted from the front."""
    return dim + input.rank if dim < 0 else dim


def pair_of(numbers: tuple[Any, ...]) -> Any:
    """``f(2, 3)`` and ``f((2, 3))`` are the same."""
    return list(numbers[0]) if len(numbers) == 1 and isinstance(numbers[0], (tuple, list)) else list(numbers)


def operand(g: Graph, value: Input, dtype: DType) -> str:
    """A tensor or a number as an input of that dtype."""
    if isinstance(value, Size):
        return g.cast(g.op("Squeeze", [value]), dtype, _C.int64)
    return g.cast(value, dtype) if isinstance(value, Value) else g.constant(value, dtype)


def common_dtype(one: Input, other: Input) -> DType:
    """What the two are promoted to."""

    def like(value: Input) -> Any:
        if isinstance(value, Value):
            return _C.empty([1] * (len(value.shape) > 0), dtype=value.dtype)
        return 1 if isinstance(value, Size) else value

    return _C._result_type(like(one), like(other))


# --- one argument ----------------------------------------------------------------------------------------------------

# Named alike, up to capitals, in both.
for _name in (
    "abs acos acosh asin asinh atan atanh ceil cos cosh erf exp floor log neg reciprocal round sigmoid sign sin sinh "
    "softsign sqrt tan tanh"
).split():

    def _unary(g: Graph, input: Value, _kind: str = _name.capitalize()) -> str:
        return g.op(_kind, g.cast(input, g.out[0].dtype))

    OPERATORS[_name] = _unary


@operator("relu")
def relu(g: Graph, input: Value, inplace: bool = False) -> str:
    return g.op("Relu", input)


@operator("isnan")
def isnan(g: Graph, input: Value) -> str:
    return g.op("IsNaN", input)


@operator("isinf")
def isinf(g: Graph, input: Value) -> str:
    return g.op("IsInf", input)


@operator("rsqrt")
def rsqrt(g: Graph, input: Value) -> str:
    return g.op("Reciprocal", g.op("Sqrt", input))


@operator("square")
def square(g: Graph, input: Value) -> str:
    return g.op("Mul", input, input)


def _logarithm(base: float) -> Operator:
    def log(g: Graph, input: Value) -> str:
        dtype = g.out[0].dtype
        return g.op("Div", g.op("Log", g.cast(input, dtype)), g.constant(math.log(base), dtype))

    return log


OPERATORS["log2"], OPERATORS["log10"] = _logarithm(2), _logarithm(10)


@operator("log1p")
def log1p(g: Graph, input: Value) -> str:
    return g.op("Log", g.op("Add", input, g.constant(1, input.dtype)))


@operator("expm1")
def expm1(g: Graph, input: Value) -> str:
    return g.op("Sub", g.op("Exp", input), g.constant(1, input.dtype))


@operator("logical_not")
def logical_not(g: Graph, input: Value) -> str:
    return g.op("Not", g.cast(input, _C.bool))


@operator("bitwise_not", "__invert__")
def bitwise_not(g: Graph, input: Value) -> str:
    return g.op("Not" if input.dtype == _C.bool else "BitwiseNot", input)


@operator("clamp", "clip")
def clamp(g: Graph, input: Value, min: Any = None, max: Any = None) -> str:
    low, high = min, max
    dtype = g.out[0].dtype
    if all(limit is None or not isinstance(limit, Value) or limit.rank == 0 for limit in (low, high)):
        return g.op("Clip", g.cast(input, dtype), *(None if v is None else operand(g, v, dtype) for v in (low, high)))
    name = g.cast(input, dtype)
    for kind, limit in (("Max", low), ("Min", high)):
        name = name if limit is None else g.op(kind, name, operand(g, limit, dtype))
    return name


OPERATORS["hardtanh"] = lambda g, input, min_val=-1.0, max_val=1.0, inplace=False: clamp(g, input, min_val, max_val)
OPERATORS["relu6"] = lambda g, input, inplace=False: clamp(g, input, 0.0, 6.0)
OPERATORS["clamp_min"] = lambda g, input, min: clamp(g, input, min)
OPERATORS["clamp_max"] = lambda g, input, max: clamp(g, input, None, max)


# --- two arguments ---------------------------------------------------------------------------------------------------


def _arithmetic(kind: str) -> Operator:
    def binary(g: Graph, input: Input, other: Input, alpha: float = 1) -> str:
        dtype = g.out[0].dtype
        right = operand(g, other, dtype)
        if alpha != 1:
            right = g.op("Mul", right, g.constant(alpha, dtype))
        left = operand(g, input, dtype)
        if dtype == _C.bool:  # Add is `or`, Mul is `and`
            return g.op({"Add": "Or", "Mul": "And"}[kind], left, right)
        return g.op(kind, left, right)

    return binary


_add, _sub, _mul = _arithmetic("Add"), _arithmetic("Sub"), _arithmetic("Mul")
OPERATORS |= dict.fromkeys(("add", "__add__", "__radd__"), _add) | dict.fromkeys(("sub", "subtract", "__sub__"), _sub)
OPERATORS |= dict.fromkeys(("mul", "multiply", "__mul__", "__rmul__"), _mul)
OPERATORS |= {"maximum": _arithmetic("Max"), "minimum": _arithmetic("Min")}


@operator("__rsub__", "rsub")
def rsub(g: Graph, input: Value, other: Input, alpha: float = 1) -> str:
    return _sub(g, other, input, alpha)  # type: ignore[no-any-return]


@operator("div", "divide", "true_divide", "__truediv__")
def div(g: Graph, input: Input, other: Input, rounding_mode: str | None = None) -> str:
    dtype = g.out[0].dtype
    quotient = g.op("Div", operand(g, input, dtype), operand(g, other, dtype))
    if rounding_mode is None or (rounding_mode == "trunc" and not dtype.is_floating_point):
        return quotient
    if not dtype.is_floating_point:
        raise OnnxExporterError("export: floor_divide of integers is not mapped")
    if rounding_mode == "floor":
        return g.op("Floor", quotient)
    return g.op("Mul", g.op("Sign", quotient), g.op("Floor", g.op("Abs", quotient)))


OPERATORS["__rtruediv__"] = lambda g, input, other: div(g, other, input)
OPERATORS["floor_divide"] = lambda g, input, other: div(g, input, other, "floor")


@operator("pow", "__pow__")
def pow(g: Graph, input: Input, exponent: Input) -> str:
    if exponent in (0.5, 2) and isinstance(input, Value) and input.dtype == g.out[0].dtype:
        return g.op("Sqrt", input) if exponent == 0.5 else g.op("Mul", input, input)
    dtype = g.out[0].dtype
    return g.op("Pow", operand(g, input, dtype), operand(g, exponent, dtype))


OPERATORS["__rpow__"] = lambda g, input, other: pow(g, other, input)


@operator("remainder")
def remainder(g: Graph, input: Input, other: Input) -> str:
    dtype = g.out[0].dtype
    left, right = operand(g, input, dtype), operand(g, other, dtype)
    if not dtype.is_floating_point:
        return g.op("Mod", left, right)
    return g.op("Sub", left, g.op("Mul", g.op("Floor", g.op("Div", left, right)), right))


@operator("fmod")
def fmod(g: Graph, input: Input, other: Input) -> str:
    dtype = g.out[0].dtype
    return g.op("Mod", operand(g, input, dtype), operand(g, other, dtype), fmod=1)


def _comparison(kind: str, negated: bool = False) -> Operator:
    def compare(g: Graph, input: Value, other: Input) -> str:
        dtype = common_dtype(input, other)
        if dtype == _C.bool and kind != "Equal":
            dtype = _C.int32
        name = g.op(kind, operand(g, input, dtype), operand(g, other, dtype))
        return g.op("Not", name) if negated else name

    return compare


for _names, _kind, _negated in (
    ("eq __eq__", "Equal", False),
    ("ne not_equal __ne__", "Equal", True),
    ("lt less __lt__", "Less", False),
    ("gt greater __gt__", "Greater", False),
    ("le less_equal __le__", "LessOrEqual", False),
    ("ge greater_equal __ge__", "GreaterOrEqual", False),
):
    OPERATORS |= dict.fromkeys(_names.split(), _comparison(_kind, _negated))


def _logical(kind: str, bitwise: bool) -> Operator:
    def combine(g: Graph, input: Value, other: Input) -> str:
        dtype = g.out[0].dtype if bitwise else _C.bool
        return g.op(kind if dtype == _C.bool else f"Bitwise{kind}", operand(g, input, dtype), operand(g, other, dtype))

    return combine


for _kind in ("And", "Or", "Xor"):
    OPERATORS[f"logical_{_kind.lower()}"] = _logical(_kind, False)
    OPERATORS |= dict.fromkeys((f"bitwise_{_kind.lower()}", f"__{_kind.lower()}__"), _logical(_kind, True))


@operator("where")
def where(g: Graph, condition: Value, input: Input, other: Input) -> str:
    dtype = g.out[0].dtype
    return g.op("Where", g.cast(condition, _C.bool), operand(g, input, dtype), operand(g, other, dtype))


@operator("masked_fill")
def masked_fill(g: Graph, input: Value, mask: Value, value: Input) -> str:
    return g.op("Where", g.cast(mask, _C.bool), operand(g, value, input.dtype), input)


@operator("lerp")
def lerp(g: Graph, input: Value, end: Value, weight: Input) -> str:
    return g.op("Add", input, g.op("Mul", operand(g, weight, input.dtype), g.op("Sub", end, input)))


def _with_product(kind: str) -> Operator:
    def combine(g: Graph, input: Value, tensor1: Value, tensor2: Value, value: float = 1) -> str:
        dtype = g.out[0].dtype
        made = g.op(kind, operand(g, tensor1, dtype), operand(g, tensor2, dtype))
        if value != 1:
            made = g.op("Mul", made, g.constant(value, dtype))
        return g.op("Add", operand(g, input, dtype), made)

    return combine


OPERATORS |= {"addcmul": _with_product("Mul"), "addcdiv": _with_product("Div")}


@operator("matmul", "mm", "bmm", "mv", "__matmul__", "dot")
def matmul(g: Graph, input: Value, other: Value) -> str:
    return g.op("MatMul", input, other)


@operator("addmm", "baddbmm")
def addmm(g: Graph, input: Value, mat1: Value, mat2: Value, beta: float = 1, alpha: float = 1) -> str:
    product, dtype = g.op("MatMul", mat1, mat2), g.out[0].dtype
    if alpha != 1:
        product = g.op("Mul", product, g.constant(alpha, dtype))
    if beta == 0:
        return product
    added = g.cast(input, dtype) if beta == 1 else g.op("Mul", input, g.constant(beta, dtype))
    return g.op("Add", product, added)


@operator("einsum")
def einsum(g: Graph, equation: str, operands: Sequence[Value]) -> str:
    return g.op("Einsum", *operands, equation=equation.replace(" ", ""))


# --- other dtypes, the same values -----------------------------------------------------------------------------------


@operator(
    *"to float double half bfloat16 long int short char byte bool type type_as".split(),
)
def to(g: Graph, input: Value, *args: Any, **kwargs: Any) -> str:
    return g.cast(input, g.out[0].dtype)


@operator(
    *"contiguous clone detach detach_ data positive cpu requires_grad_ real alias resolve_conj resolve_neg".split()
)
def identity(g: Graph, input: Value, *args: Any, **kwargs: Any) -> str:
    return input.name


@operator("copy_", "fill_", "zero_")
def fill_in(g: Graph, input: Value, value: Input = 0, *args: Any) -> str:
    return g.op("Expand", operand(g, value, input.dtype), g.out[0].shape)


# --- reductions ------------------------------------------------------------------------------------------------------


def reduce(g: Graph, kind: str, input: Value | str, axes: Sequence[int] | None, keepdim: bool) -> str:
    """A reduction; since version 18 of ONNX the axes are an input."""
    if axes is None or g.opset >= 18 or kind == "ReduceSum":
        return g.op(kind, input, None if axes is None else list(axes), keepdims=int(keepdim))
    return g.op(kind, input, axes=list(axes), keepdims=int(keepdim))


def axes_of(dim: Any) -> list[int] | None:
    """The dimensions to reduce; None for all."""
    if dim is None or dim == ():
        return None
    return list(dim) if isinstance(dim, (tuple, list)) else [dim]


def _reduction(kind: str) -> Operator:
    def run(g: Graph, input: Value, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> str:
        return reduce(g, kind, g.cast(input, g.out[0].dtype), axes_of(dim), keepdim)

    return run


for _name, _kind in {
    "sum": "Sum",
    "mean": "Mean",
    "prod": "Prod",
    "amax": "Max",
    "amin": "Min",
    "logsumexp": "LogSumExp",
}.items():
    OPERATORS[_name] = _reduction(f"Reduce{_kind}")


def _extreme(kind: str) -> Operator:
    def run(g: Graph, input: Value, dim: Any = None, keepdim: bool = False) -> Any:
        if isinstance(dim, Value):
            return _arithmetic(kind)(g, input, dim)
        values = reduce(g, f"Reduce{kind}", input, axes_of(dim), keepdim)
        return values if dim is None else [values, argument(g, f"Arg{kind}", input, dim, keepdim)]

    return run


OPERATORS |= {"max": _extreme("Max"), "min": _extreme("Min")}


def argument(g: Graph, kind: str, input: Value, dim: int | None, keepdim: bool) -> str:
    if dim is None:
        return g.op(kind, g.reshape(input, [-1]), axis=0, keepdims=0)
    return g.op(kind, input, axis=dim, keepdims=int(keepdim))


OPERATORS["argmax"] = lambda g, input, dim=None, keepdim=False: argument(g, "ArgMax", input, dim, keepdim)
OPERATORS["argmin"] = lambda g, input, dim=None, keepdim=False: argument(g, "ArgMin", input, dim, keepdim)


def _truth(kind: str) -> Operator:
    def run(g: Graph, input: Value, dim: Any = None, keepdim: bool = False) -> str:
        numbers = g.cast(g.cast(input, _C.bool), _C.int32, _C.bool)
        return g.cast(reduce(g, kind, numbers, axes_of(dim), keepdim), _C.bool, _C.int32)

    return run


OPERATORS |= {"all": _truth("ReduceMin"), "any": _truth("ReduceMax")}


def _spread(root: bool) -> Operator:
    def run(
        g: Graph, input: Value, dim: Any = None, unbiased: bool = True, keepdim: bool = False, correction: int = 1
    ) -> str:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        axes = [axis_of(input, axis) for axis in axes_of(dim) or range(input.rank)]
        lengths = [input.shape[axis] for axis in axes]
        centred = g.op("Sub", input, reduce(g, "ReduceMean", input, axes, True))
        total = reduce(g, "ReduceSumSquare", centred, axes, keepdim)
        count = g.op("ReduceProd", lengths, keepdims=0)
        correction = correction if unbiased else 0
        count = g.op("Sub", g.cast(count, input.dtype, _C.int64), g.constant(correction, input.dtype))
        variance = g.op("Div", total, count)
        return g.op("Sqrt", variance) if root else variance

    return run


OPERATORS |= {"var": _spread(False), "std": _spread(True)}


@operator("norm", "vector_norm")
def norm(g: Graph, input: Value, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> str:
    if p in (2, 1, "fro", None):
        return reduce(g, "ReduceL1" if p == 1 else "ReduceL2", input, axes_of(dim), keepdim)
    if p == math.inf:
        return reduce(g, "ReduceMax", g.op("Abs", input), axes_of(dim), keepdim)
    power = g.constant(float(p), input.dtype)
    total = reduce(g, "ReduceSum", g.op("Pow", g.op("Abs", input), power), axes_of(dim), keepdim)
    return g.op("Pow", total, g.constant(1.0 / p, input.dtype))


@operator("cumsum")
def cumsum(g: Graph, input: Value, dim: int, dtype: Any = None) -> str:
    return g.op("CumSum", g.cast(input, g.out[0].dtype), g.constant(dim, _C.int64))


@operator("topk")
def topk(g: Graph, input: Value, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> list[str]:
    return g.ops("TopK", 2, input, [k], axis=dim, largest=int(largest), sorted=int(sorted))


@operator("sort", "argsort")
def sort(g: Graph, input: Value, dim: int = -1, descending: bool = False, stable: bool = False) -> list[str] | str:
    length = input.shape[axis_of(input, dim)]
    found = g.ops("TopK", 2, input, [length], axis=dim, largest=int(descending), sorted=1)
    return found if len(g.out) == 2 else found[1]


# --- shapes ----------------------------------------------------------------------------------------------------------


@operator(*"view reshape flatten unflatten squeeze unsqueeze view_as reshape_as ravel atleast_2d".split())
def reshape(g: Graph, input: Value, *args: Any, **kwargs: Any) -> str:
    return g.reshape(input, g.out[0].shape)


@operator("permute")
def permute(g: Graph, input: Value, *dims: Any) -> str:
    return g.op("Transpose", input, perm=[axis_of(input, dim) for dim in pair_of(dims)])


@operator("transpose", "swapaxes", "swapdims")
def transpose(g: Graph, input: Value, dim0: int, dim1: int) -> str:
    order = list(range(input.rank))
    one, other = axis_of(input, dim0), axis_of(input, dim1)
    order[one], order[other] = other, one
    return g.op("Transpose", input, perm=order)


OPERATORS |= dict.fromkeys(("t", "T"), lambda g, input: g.op("Transpose", input))
OPERATORS |= dict.fromkeys(("mT", "adjoint", "mH"), lambda g, input: transpose(g, input, -2, -1))


@operator("movedim", "moveaxis")
def movedim(g: Graph, input: Value, source: Any, destination: Any) -> str:
    sources = [axis_of(input, dim) for dim in axes_of(source) or []]
    targets = [axis_of(input, dim) for dim in axes_of(destination) or []]
    rest = iter([axis for axis in range(input.rank) if axis not in sources])
    order = [sources[targets.index(place)] if place in targets else next(rest) for place in range(input.rank)]
    return g.op("Transpose", input, perm=order)


@operator("expand", "expand_as", "broadcast_to")
def expand(g: Graph, input: Value, *args: Any, **kwargs: Any) -> str:
    return g.op("Expand", input, g.out[0].shape)


@operator("repeat", "tile")
def repeat(g: Graph, input: Value, *repeats: Any) -> str:
    counts = pair_of(repeats)
    missing = len(counts) - input.rank
    counts = [1] * -missing + counts
    widened = g.reshape(input, [1] * missing + list(input.shape)) if missing > 0 else input
    return g.op("Tile", widened, counts)


@operator("repeat_interleave")
def repeat_interleave(g: Graph, input: Value, repeats: int, dim: int | None = None, output_size: Any = None) -> str:
    if isinstance(repeats, Value) or dim is None:
        raise OnnxExporterError("export: repeat_interleave is mapped for one number and a dimension")
    place = axis_of(input, dim) + 1
    wide = [*input.shape[:place], repeats, *input.shape[place:]]
    spread = g.op("Unsqueeze", input, [place])
    return g.reshape(g.op("Expand", spread, wide), g.out[0].shape)


@operator("cat", "concat", "concatenate")
def cat(g: Graph, tensors: Sequence[Value], dim: int = 0) -> str:
    dtype = g.out[0].dtype
    return g.op("Concat", *(g.cast(one, dtype) for one in tensors if one.shape != (0,)), axis=dim)


@operator("stack")
def stack(g: Graph, tensors: Sequence[Value], dim: int = 0) -> str:
    axis = dim % g.out[0].rank
    dtype = g.out[0].dtype
    return g.op("Concat", *(g.op("Unsqueeze", g.cast(one, dtype), [axis]) for one in tensors), axis=axis)


def split_along(g: Graph, input: Value, dim: int) -> list[str]:
    """The parts that the operation gave, along a dimension."""
    axis = axis_of(input, dim)
    return g.ops("Split", len(g.out), input, [one.shape[axis] for one in g.out], axis=axis)


OPERATORS["split"] = OPERATORS["split_with_sizes"] = lambda g, input, split_size_or_sections=0, dim=0, **_: split_along(
    g, input, dim
)
OPERATORS["chunk"] = lambda g, input, chunks=0, dim=0: split_along(g, input, dim)


@operator("unbind", "__iter__")
def unbind(g: Graph, input: Value, dim: int = 0) -> list[str]:
    axis = axis_of(input, dim)
    parts = g.ops("Split", len(g.out), input, [1] * len(g.out), axis=axis)
    return [g.op("Squeeze", part, [axis]) for part in parts]


def cut(g: Graph, input: Value | str, axis: int, start: SizeLike, stop: SizeLike, step: int = 1) -> str:
    """A slice along one dimension."""
    return g.op("Slice", input, [start], [stop], [axis], [step])


def _after(place: SizeLike) -> SizeLike:
    if isinstance(place, Size):
        return Size(place.factor, place.symbols, place.offset + 1)
    return _END if place == -1 else place + 1


@operator("select")
def select(g: Graph, input: Value, dim: int, index: SizeLike) -> str:
    axis = axis_of(input, dim)
    return g.op("Squeeze", cut(g, input, axis, index, _after(index)), [axis])


@operator("narrow")
def narrow(g: Graph, input: Value, dim: int, start: SizeLike, length: SizeLike) -> str:
    if isinstance(start, Size) and isinstance(length, Size):
        raise OnnxExporterError("export: narrow is mapped for a start or a length that is not dynamic")
    if isinstance(start, Size):
        stop: SizeLike = Size(start.factor, start.symbols, start.offset + length)  # type: ignore[operator]
    elif isinstance(length, Size):
        stop = Size(length.factor, length.symbols, length.offset + start)
    else:
        stop = start + length or _END
    return cut(g, input, axis_of(input, dim), start, stop)


@operator("__getitem__")
def getitem(g: Graph, input: Value, index: Any) -> str:
    items = list(index) if isinstance(index, tuple) else [index]
    used = sum(item is not None and item is not Ellipsis for item in items)
    if Ellipsis in [item for item in items if not isinstance(item, Value)]:
        place = next(i for i, item in enumerate(items) if item is Ellipsis)
        items[place : place + 1] = [slice(None)] * (input.rank - used)
    name, axis, kept = input.name, 0, True
    tensors: list[tuple[int, Value]] = []
    for item in items:
        if item is None:
            continue
        if isinstance(item, (list, Value)):
            tensors.append((axis, item if isinstance(item, Value) else Value("", _C.int64, (len(item),))))
            if isinstance(item, list):
                tensors[-1][1].name = g.constant(item, _C.int64)
        elif isinstance(item, slice):
            if (item.start, item.stop, item.step) != (None, None, None):
                step = item.step or 1
                name = cut(g, name, axis, item.start or 0, _END if item.stop is None else item.stop, step)
        else:
            name, kept = cut(g, name, axis, item, _after(item)), False
        axis += 1
    if not tensors:
        return name if kept and None not in items else g.reshape(name, g.out[0].shape)
    if len(tensors) > 1 or any(item is not None and not isinstance(item, (slice, Value, list)) for item in items):
        raise OnnxExporterError("export: indexing with several tensors, or with tensors and numbers, is not mapped")
    axis, chosen = tensors[0]
    if chosen.dtype in (_C.bool, _C.uint8):
        raise OnnxExporterError("export: indexing with a mask is not mapped: the shape would depend on values")
    return g.reshape(g.op("Gather", name, chosen, axis=axis), g.out[0].shape)


@operator("index_select")
def index_select(g: Graph, input: Value, dim: int, index: Value) -> str:
    return g.op("Gather", input, index, axis=dim)


@operator("gather")
def gather(g: Graph, input: Value, dim: int, index: Value, sparse_grad: bool = False) -> str:
    return g.op("GatherElements", input, index, axis=dim)


@operator("flip")
def flip(g: Graph, input: Value, *dims: Any) -> str:
    axes = pair_of(dims)
    count = len(axes)
    return g.op("Slice", input, [-1] * count, [-_END] * count, axes, [-1] * count)


@operator("roll")
def roll(g: Graph, input: Value, shifts: Any, dims: Any = None) -> str:
    if dims is None:
        raise OnnxExporterError("export: roll is mapped with dims")
    name = input.name
    for shift, dim in zip(axes_of(shifts) or [], axes_of(dims) or [], strict=True):
        if shift:
            parts = cut(g, name, dim, -shift, _END), cut(g, name, dim, 0, -shift)
            name = g.op("Concat", *parts, axis=axis_of(input, dim))
    return name


def _triangle(upper: int) -> Operator:
    def run(g: Graph, input: Value, diagonal: int = 0) -> str:
        numbers = g.cast(input, _C.float32) if input.dtype == _C.bool else input
        return g.cast(
            g.op("Trilu", numbers, g.constant(diagonal, _C.int64), upper=upper),
            input.dtype,
            _C.float32 if input.dtype == _C.bool else input.dtype,
        )

    return run


OPERATORS |= {"tril": _triangle(0), "triu": _triangle(1)}


# --- new tensors whose sizes are dynamic -----------------------------------------------------------------------------


def filled(g: Graph, value: Input) -> str:
    """A tensor of the operation's shape and dtype with one value everywhere."""
    return g.op("Expand", operand(g, value, g.out[0].dtype), g.out[0].shape)


OPERATORS |= dict.fromkeys(
    "zeros zeros_like new_zeros empty empty_like new_empty".split(), lambda g, *_, **__: filled(g, 0)
)
OPERATORS |= dict.fromkeys("ones ones_like new_ones".split(), lambda g, *_, **__: filled(g, 1))
OPERATORS |= dict.fromkeys("full full_like new_full".split(), lambda g, _, fill_value, **__: filled(g, fill_value))


@operator("arange")
def arange(g: Graph, *limits: Any, **kwargs: Any) -> str:
    start, end, step = {1: (0, *limits, 1), 2: (*limits, 1), 3: limits}[len(limits)]
    if not all(isinstance(one, (int, Size)) for one in (start, end, step)):
        raise OnnxExporterError("export: arange is mapped for whole numbers")
    scalars = [g.op("Squeeze", [one]) for one in (start, end, step)]
    return g.cast(g.op("Range", *scalars), g.out[0].dtype, _C.int64)
