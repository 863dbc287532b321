"""One row per operation: what it takes, what it must give, where it is defined. `test_ops.py` makes the tests.

A row names an operation as users do: `add` is `fastnn.add`, `nn.relu` is `fastnn.nn.functional.relu`, `Tensor.view` is
a method without a function. Rows are data: an input is described (`X(3, 4)`), and made later, once for each dtype,
memory layout and framework, from numbers that depend on the row's name only.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

FLOATS = ("float64", "float32", "float16", "bfloat16")
INTS = ("int64", "int32", "int16", "int8", "uint8")
BOOL = ("bool",)
REALS = FLOATS + INTS
ALL = REALS + BOOL

# The distance from 1 to the next number.
EPS = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


@dataclasses.dataclass(frozen=True)
class Input:
    """A tensor argument. Without `dtype` it has the dtype under test, and its values come from the row's domain."""

    shape: tuple[int, ...]
    low: float | None = None
    high: float | None = None
    dtype: str | None = None
    distinct: bool = False  # no two elements are equal, in any dtype
    values: Any = None
    grad: bool = True


def X(*shape: int, **options: Any) -> Input:
    """An input in the dtype under test."""
    return Input(shape, **options)


def F64(*shape: int, **options: Any) -> Input:
    """An input that is float64 whatever the dtype under test."""
    return Input(shape, dtype="float64", **options)


def Index(*shape: int, high: int, low: int = 0, distinct: bool = False) -> Input:
    """Integers in [low, high)."""
    return Input(shape, low=low, high=high, dtype="int64", distinct=distinct)


def Mask(*shape: int) -> Input:
    """Booleans."""
    return Input(shape, dtype="bool")


def Const(values: Any, dtype: str | None = None, grad: bool = True) -> Input:
    """These values."""
    return Input(np.shape(values), dtype=dtype, values=values, grad=grad)


@dataclasses.dataclass(frozen=True)
class DType:
    """A dtype argument, `fastnn.float32` or `torch.float32`."""

    name: str


@dataclasses.dataclass(frozen=True)
class Sample:
    """The arguments of one call, with inputs described."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    dtypes: tuple[str, ...] | None = None  # only for these
    smooth: bool = True  # False: by convention the gradient is not the derivative

    def only(self, *dtypes: str) -> Sample:
        return dataclasses.replace(self, dtypes=dtypes)

    def rough(self) -> Sample:
        return dataclasses.replace(self, smooth=False)

    def inputs(self) -> list[Input]:
        return [one for one in flatten([*self.args, *self.kwargs.values()]) if isinstance(one, Input)]


def S(*args: Any, **kwargs: Any) -> Sample:
    return Sample(args, kwargs)


@dataclasses.dataclass(frozen=True)
class Spec:
    """One operation."""

    name: str
    samples: Sequence[Sample]
    # On numpy arrays: float64 for every floating dtype, int64 for integers, bool. None: only torch is the reference.
    reference: Callable[..., Any] | None = None
    dtypes: tuple[str, ...] = FLOATS
    domain: tuple[float, float] = (-2.0, 2.0)
    integers: tuple[int, int] = (-4, 5)  # of integer dtypes, the upper end excluded; clipped at 0 for uint8
    errors: Sequence[tuple[Sample, type[Exception], str]] = ()
    # Roundings that may come together in one element, beside one for each of `length` terms.
    roundings: float = 8.0
    length: int = 0
    scale: float = 0.0  # rounding is that of numbers of this size, though results cancel to smaller ones
    pointwise: bool = False  # one element of each input makes one of the output
    differentiable: bool = True
    twice: bool = True  # gradgradcheck too
    extremes: bool | None = None  # default: pointwise
    view: bool = False  # the result shares the memory of the first input
    strided: bool = True  # takes inputs in any memory layout
    strides: bool = True  # PyTorch promises the strides of the result
    values: bool = True  # False: uninitialised memory, only the shape and dtype count
    large: Sample | None = None  # enough work for several threads
    unordered: bool = False  # the result depends on a choice among equals that PyTorch leaves open
    kinks: bool = False  # gradients at special points are compared by hand, not here
    torch_dtypes: tuple[str, ...] | None = None  # where a comparison with torch makes sense; default: all
    keywords: bool = True  # PyTorch takes the arguments by the names in the schema
    inplace: bool = True  # the method name_ does the same in place
    signed_zeros: bool = True  # False: which zero comes out is left open, as IEEE 754 does for minima and maxima
    nan_signs: bool = False  # depends on the sign of a NaN, which a conversion may lose
    products: bool = False  # adds to a product, which may overflow on an instruction set without a fused operation
    lenient: tuple[str, ...] = ()  # dtypes that torch refuses and that work here
    gradients: float = 0.0  # relative error that torch's own gradients have
    note: str = ""

    def seed(self, number: int) -> int:
        return zlib.crc32(self.name.encode()) + number

    def function(self, framework: Any) -> Callable[..., Any]:
        space, _, name = self.name.rpartition(".")
        if space == "nn":
            return getattr(framework.nn.functional, name)
        if space == "special":
            return getattr(framework.special, name)
        if space == "linalg":
            return getattr(framework._C.linalg if framework.__name__ == "fastnn" else framework.linalg, name)
        return getattr(framework.Tensor if space == "Tensor" else framework, name)

    def used(self, dtype: str) -> Iterator[tuple[int, Sample]]:
        """The samples for a dtype, with their numbers."""
        for number, sample in enumerate(self.samples):
            if sample.dtypes is None or dtype in sample.dtypes:
                yield number, sample


def flatten(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from flatten(one)
    elif isinstance(value, dict):
        yield from flatten(list(value.values()))
    else:
        yield value


def mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """The same nest with `function` applied to what is no list, tuple or dict."""
    if isinstance(value, (list, tuple)):
        return type(value)(mapped(one, function) for one in value)
    if isinstance(value, dict):
        return {key: mapped(one, function) for key, one in value.items()}
    return function(value)


def array_of(spec: Spec, one: Input, dtype: str, rng: np.random.Generator) -> np.ndarray:
    """Values of an input: float64, int64 or bool."""
    dtype = one.dtype or dtype
    if one.values is not None:
        kind = np.float64 if dtype in FLOATS else np.bool_ if dtype == "bool" else np.int64
        return np.asarray(one.values, dtype=kind)
    size = int(np.prod(one.shape, dtype=np.int64))
    if dtype == "bool":
        return rng.random(one.shape) < 0.6
    if one.distinct:
        order = rng.permutation(size).reshape(one.shape)
        if dtype in FLOATS:
            return order * 0.25 - size // 2 * 0.25 + 0.125
        return order + (int(one.low) if one.dtype and one.low is not None else 0)
    if dtype in FLOATS:
        low = spec.domain[0] if one.low is None else one.low
        high = spec.domain[1] if one.high is None else one.high
        return rng.uniform(low, high, one.shape)
    low, high = spec.integers
    if one.dtype:
        low = low if one.low is None else int(one.low)
        high = high if one.high is None else int(one.high)
    elif one.low is not None and one.low > low:
        low = int(np.ceil(one.low))
        high = max(high, low + 1)
    if dtype == "uint8":
        low, high = max(low, 0), max(high, 1)
    return rng.integers(low, high, one.shape)


Layout = Callable[[Any, Any], Any]


def contiguous(framework: Any, tensor: Any) -> Any:
    return tensor


def transposed(framework: Any, tensor: Any) -> Any:
    """Dense memory, in the reverse order of dimensions."""
    order = tuple(reversed(range(tensor.dim())))
    return tensor.permute(order).clone(memory_format=framework.contiguous_format).permute(order)


def stepped(framework: Any, tensor: Any) -> Any:
    """Every second element of a row, with an offset."""
    if tensor.dim() == 0:
        return framework.stack([tensor, tensor])[1]
    return framework.stack([tensor, tensor], -1)[..., 1]


def expanded(framework: Any, tensor: Any) -> Any:
    """A first dimension whose stride is 0: other values, the same shape."""
    if tensor.dim() == 0 or tensor.shape[0] < 2:
        return tensor
    return tensor[:1].expand(tensor.shape)


@dataclasses.dataclass
class Call:
    """The arguments of a call in a framework."""

    args: list[Any]
    kwargs: dict[str, Any]
    leaves: list[Any]  # the inputs that require grad
    tensors: list[Any]  # all inputs


def make(
    framework: Any,
    spec: Spec,
    number: int,
    sample: Sample,
    dtype: str,
    *,
    grad: bool = False,
    layout: Layout = contiguous,
) -> Call:
    """A sample as tensors; the same numbers for the same row and number."""
    rng = np.random.default_rng(spec.seed(number))
    leaves: list[Any] = []
    tensors: list[Any] = []

    def one(value: Any) -> Any:
        if isinstance(value, DType):
            return getattr(framework, value.name)
        if not isinstance(value, Input):
            return value
        array = array_of(spec, value, dtype, rng)
        name = value.dtype or dtype
        tensor = framework.from_numpy(np.array(array)).to(getattr(framework, name))
        if grad and value.grad and name in FLOATS:
            tensor.requires_grad_()
            leaves.append(tensor)
        tensor = layout(framework, tensor)
        tensors.append(tensor)
        return tensor

    args = mapped(list(sample.args), one)
    return Call(args, mapped(sample.kwargs, one), leaves, tensors)


def to_numpy(value: Any) -> Any:
    """float64, int64 or bool arrays of tensors; other values as they are."""
    if not hasattr(value, "detach"):
        return value
    value = value.detach()
    if value.is_floating_point():
        return value.double().numpy().copy()
    return value.numpy().copy() if str(value.dtype).endswith("bool") else value.long().numpy().copy()


def reference_of(spec: Spec, call: Call) -> list[np.ndarray]:
    """What the row's reference gives for a call."""
    assert spec.reference is not None

    def one(value: Any) -> Any:
        return str(value).rpartition(".")[2] if type(value).__name__ == "dtype" else to_numpy(value)

    with np.errstate(all="ignore"):
        result = spec.reference(*mapped(call.args, one), **mapped(call.kwargs, one))
    return list(result) if isinstance(result, (tuple, list)) else [result]


def results_of(result: Any) -> list[Any]:
    """The tensors and numbers in what an operation returned."""
    return list(flatten(tuple(result) if isinstance(result, (list, tuple)) else result))


def weighted(framework: Any, results: Sequence[Any]) -> Any:
    """A scalar in which each element of each result has a weight of its own; None if nothing requires grad."""
    total = None
    for one in results:
        if not hasattr(one, "detach") or not one.requires_grad:
            continue
        weights = np.cos(np.arange(one.numel(), dtype=np.float64)).reshape(tuple(one.shape))
        term = (one * framework.from_numpy(weights).to(one.dtype)).sum()
        total = term if total is None else total + term
    return total


def rows() -> dict[str, Spec]:
    """All rows by name."""
    found: dict[str, Spec] = {}
    modules = [import_module(path.stem) for path in sorted(Path(__file__).parent.glob("op_rows_*.py"))]
    for row in [row for module in modules for row in module.ROWS]:
        assert row.name not in found, f"two rows for {row.name}"
        found[row.name] = row
    return found


# Operations that have no row, and where they are tested.
ELSEWHERE = (
    dict.fromkeys(
        "bernoulli Tensor.bernoulli_ Tensor.cauchy_ Tensor.exponential_ Tensor.geometric_ Tensor.log_normal_ multinomial"
        " normal Tensor.normal_ poisson rand rand_like randint randint_like randn randn_like randperm Tensor.random_"
        " Tensor.uniform_ dropout_".split(),
        "random: tests/test_random.py",
    )
    | dict.fromkeys(
        "view_as_real view_as_complex real imag complex polar angle conj conj_physical resolve_conj resolve_neg is_conj"
        " is_neg isreal adjoint Tensor.H Tensor.mH".split(),
        "complex numbers: tests/test_complex.py",
    )
    | dict.fromkeys(
        "binomial _standard_gamma _standard_gamma_grad _sample_dirichlet _dirichlet_grad".split(),
        "random: tests/test_distributions.py",
    )
    | dict.fromkeys(
        "_adadelta_step _adagrad_step _adamax_step _asgd_step _nadam_step _radam_step _rmsprop_step"
        " _rprop_step".split(),
        "private: tests/test_optim_more.py",
    )
    | dict.fromkeys(
        "linalg.eig linalg.eigvals linalg.eigh linalg.svd svd linalg.qr qr geqrf orgqr ormqr lu lu_unpack linalg.lu"
        " linalg.householder_product linalg.lu_factor linalg.lu_factor_ex linalg.lu_solve lu_solve linalg.lstsq"
        " linalg.ldl_factor linalg.ldl_factor_ex linalg.ldl_solve".split(),
        "factors, with the properties that define them: tests/test_linalg.py",
    )
    | {
        "_adam_step": "private: tests/test_optim.py",
        "_sgd_step": "private: tests/test_optim.py",
        "nn._resample": "private: nn.interpolate, in tests/test_nn_more.py, is made of it",
        "nn._grid_sample": "private: nn.grid_sample, in tests/test_nn_more.py, is made of it",
        "nn._affine_grid": "private: nn.affine_grid, in tests/test_nn_more.py, is made of it",
        "_nonzero": "private: nonzero, which has a row, is made of it",
        "_nonzero_tuple": "private: nonzero, which has a row, is made of it",
    }
)
