"""Elementwise operations: values, dtypes, errors and derivatives, against torch, and by themselves."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_parity import check, to_numpy

import fastnn

INF = float("inf")
NAN = float("nan")
DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
FLOATS = DTYPES[:4]
INTEGERS = DTYPES[4:9]
# A few units in the last place.
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
ULPS = 8

REALS = [-INF, -1e4, -88.5, -20.0, -3.0, -2.5, -1.5, -1.0, -0.75, -0.5, -0.3, -1e-3, -1e-30, -0.0]
REALS = REALS + [-x for x in REALS] + [NAN, 0.1, 0.999, 1.001, 6.0, 10.0, 700.0]
WHOLES = [0, 1, 2, 3, 5, 7, 31, 64, 100, 127]


def values_of(dtype: str) -> list[Any]:
    if dtype in FLOATS:
        return REALS
    if dtype == "bool":
        return [True, False, True]
    return WHOLES if dtype == "uint8" else WHOLES + [-x - 1 for x in WHOLES]


def tensor(framework: Any, values: Any, dtype: str) -> Any:
    wide = "float64" if dtype in FLOATS else dtype
    return framework.tensor(values, dtype=getattr(framework, wide)).to(getattr(framework, dtype))


def outcome(framework: Any, function: Callable[..., Any], make: Callable[[Any], tuple[Any, ...]]) -> Any:
    """The result, or the type of the exception."""
    try:
        return function(framework, *make(framework))
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
        return type(error).__mro__[-3].__name__ if isinstance(error, NotImplementedError) else type(error).__name__


def assert_same(ours: Any, theirs: Any, ulps: float, what: str, floor: float = 0.0) -> None:
    if isinstance(theirs, str) or isinstance(ours, str):
        assert isinstance(ours, str) and isinstance(theirs, str), f"{what}: {ours} against {theirs}"
        assert ours == theirs, what
        return
    if isinstance(theirs, bool):
        assert ours is theirs, what
        return
    dtype = str(theirs.dtype).split(".")[-1]
    assert str(ours.dtype).split(".")[-1] == dtype, what
    assert tuple(ours.shape) == tuple(theirs.shape), what
    a, b = to_numpy(ours), to_numpy(theirs)
    if dtype not in FLOATS:
        assert np.array_equal(a, b), f"{what}: {a} against {b}"
        return
    tiny = {"float64": 1e-300, "float32": 1e-37, "float16": 6e-8, "bfloat16": 1e-37}[dtype]
    np.testing.assert_allclose(a, b, rtol=ulps * EPSILON[dtype], atol=max(tiny, floor), err_msg=what)


def compare(
    function: Callable[..., Any], make: Callable[[Any], tuple[Any, ...]], ulps: float = ULPS, floor: float = 0.0
) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (outcome(f, function, make) for f in (fastnn, torch))
    assert_same(ours, theirs, ulps, str(make(torch)), floor)


# --- one operand -----------------------------------------------------------------------------------------------------

UNARY = """neg abs sign square reciprocal sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan
sinh cosh tanh asinh acosh atanh sigmoid erf erfc erfinv lgamma digamma floor ceil round trunc frac isnan isinf isfinite
isposinf isneginf signbit logical_not bitwise_not relu positive rad2deg deg2rad selu celu""".split()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str, dtype: str) -> None:
    # torch computes these in float32 with an error that is relative to intermediate values.
    floor = 1e-6 if name in ("lgamma", "digamma", "selu", "celu") else 0.0
    ulps = 64 if name in ("digamma", "lgamma", "tan", "sinh", "asinh", "erfinv") else ULPS
    values = values_of(dtype)
    if name == "signbit":
        values = [v for v in values if v == v]  # the sign of NaN is nobody's
    if dtype == "bfloat16":
        values = [v for v in values if abs(v) != 1e-30]  # torch flushes these in steps between
    compare(lambda f, x: getattr(f, name)(x), lambda f: (tensor(f, values, dtype),), ulps, floor)


@pytest.mark.parametrize("name", ["exp", "floor", "neg", "logical_not", "sqrt", "relu", "clamp", "round"])
def test_unary_of_other_layouts(name: str) -> None:
    def function(f: Any, x: Any) -> Any:
        return f.clamp(x, -0.5, 1) if name == "clamp" else getattr(f, name)(x)

    base = np.linspace(-2, 2, 6 * 40 * 35).reshape(6, 40, 35).tolist()
    for view in (
        lambda x: x.permute(2, 0, 1),
        lambda x: x[:, ::3, 1::2],
        lambda x: x[:, :1].expand(6, 40, 35),
        lambda x: x[0, 0, 0],
        lambda x: x[:, :0],
        lambda x: x[2].t(),
    ):
        compare(function, lambda f, view=view: (view(f.tensor(base)),))


@pytest.mark.parametrize("decimals", [0, 1, 3, -1, -2])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_round_decimals(dtype: str, decimals: int) -> None:
    values = [0.5, 1.5, 2.5, -0.5, 1.2345, 123.456, -987.654, 1e6] if dtype != "int64" else [1, 15, 255]
    compare(lambda f, x: f.round(x, decimals=decimals), lambda f: (tensor(f, values, dtype),))


GRAD_UNARY = {
    "neg": (-3, 3), "abs": (-3, 3), "sign": (-3, 3), "square": (-3, 3), "reciprocal": (0.5, 3), "sqrt": (0.2, 4),
    "rsqrt": (0.2, 4), "exp": (-3, 3), "exp2": (-3, 3), "expm1": (-3, 3), "log": (0.2, 4), "log2": (0.2, 4),
    "log10": (0.2, 4), "log1p": (-0.7, 4), "sin": (-4, 4), "cos": (-4, 4), "tan": (-1.2, 1.2), "asin": (-0.9, 0.9),
    "acos": (-0.9, 0.9), "atan": (-4, 4), "sinh": (-3, 3), "cosh": (-3, 3), "tanh": (-3, 3), "asinh": (-3, 3),
    "acosh": (1.2, 4), "atanh": (-0.9, 0.9), "sigmoid": (-5, 5), "erf": (-3, 3), "erfc": (-3, 3),
    "erfinv": (-0.9, 0.9), "lgamma": (0.3, 5), "digamma": (0.3, 5), "floor": (-3, 3), "ceil": (-3, 3),
    "round": (-3, 3), "trunc": (-3, 3), "frac": (-3, 3), "relu": (-3, 3), "selu": (-3, 3), "celu": (-3, 3),
    "rad2deg": (-3, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAD_UNARY)
def test_unary_derivatives(name: str) -> None:
    low, high = GRAD_UNARY[name]
    x = np.random.default_rng(0).uniform(low, high, (3, 17))
    tolerance = 1e-6 if name in ("erfinv", "lgamma", "digamma") else None
    order = 1 if name == "abs" else 2  # torch's second derivative of abs has no memory to read
    check(lambda f, t: getattr(f, name)(t), x, tolerance=tolerance, order=order)


@pytest.mark.parametrize("name", ["exp", "tanh", "relu", "sqrt", "sigmoid", "mul", "sin"])
def test_second_use_in_place_keeps_what_the_first_saved(name: str) -> None:
    """x.f_() computes the derivative from the old value, or from the new one where that suffices."""

    def function(f: Any, x: Any) -> Any:
        y = x * 1.5
        z = y.mul_(x * x) if name == "mul" else getattr(y, name + "_")()
        return z * 2

    check(function, np.random.default_rng(0).uniform(0.2, 2, (5,)))


def test_polygamma() -> None:
    x = np.random.default_rng(0).uniform(0.3, 5, (20,))
    for n in (0, 1, 2, 3):
        check(lambda f, t, n=n: f.polygamma(n, t), x, order=1, tolerance=1e-6)


# --- two operands ----------------------------------------------------------------------------------------------------

BINARY = """add sub mul div floor_divide remainder fmod pow atan2 hypot copysign maximum minimum fmax fmin eq ne lt le gt
ge logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift logaddexp
logaddexp2 xlogy float_power heaviside rsub""".split()
PAIRS = [(d, d) for d in DTYPES] + [
    ("float32", "float64"), ("float16", "float32"), ("float16", "bfloat16"), ("int64", "float32"), ("int8", "uint8"),
    ("int32", "int64"), ("bool", "int64"), ("bool", "float32"), ("uint8", "int16"),
]  # fmt: skip


def operands(dtype: str, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    if dtype in FLOATS:
        special = [INF, -INF, NAN, 0.0, -0.0, 1.0, -1.0]
        return [*np.round(rng.uniform(-6, 6, 60), 2).tolist(), *special, *special[::-1]]
    if dtype == "bool":
        return (rng.integers(0, 2, 74) > 0).tolist()
    low = 1 if dtype == "uint8" else -7
    whole = rng.integers(low, 8, 74)
    return np.where(whole == 0, 1, whole).tolist()


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str, pair: tuple[str, str]) -> None:
    a, b = (operands(dtype, seed) for dtype, seed in zip(pair, (1, 2), strict=True))
    if "float16" in pair and name in ("floor_divide", "remainder", "fmod"):
        # torch computes in float16 steps here; whole numbers are exact either way.
        a, b = ([round(v) if math.isfinite(v) else v for v in side] for side in (a, b))
    floor = 1e-6 if name in ("logaddexp", "logaddexp2") else 0.0
    compare(
        lambda f, x, y: getattr(f, name)(x, y),
        lambda f: (tensor(f, a, pair[0]), tensor(f, b, pair[1])),
        16 if name in ("pow", "hypot", "xlogy", "float_power") else ULPS,
        floor,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [2, -1, 0.5, -2.5, True, 0])
@pytest.mark.parametrize(
    "name", "add sub mul div floor_divide remainder fmod pow eq lt ge maximum_ rsub xlogy bitwise_and".split()
)
def test_with_number(name: str, number: Any, dtype: str) -> None:
    if name == "maximum_":
        name = "clamp"
    if name in ("floor_divide", "remainder", "fmod") and number == 0 and dtype not in FLOATS:
        pytest.skip("division by zero has a test of its own")
    values = [v for v in operands(dtype, 3) if not (name == "pow" and dtype in FLOATS and not math.isfinite(v))]
    if dtype == "uint8" and (number == -1 or isinstance(number, float)) and name in ("floor_divide", "remainder"):
        pytest.skip("torch refuses numbers that uint8 cannot hold")
    compare(lambda f, x: getattr(f, name)(x, number), lambda f: (tensor(f, values, dtype),), 16)


@pytest.mark.parametrize("name", ["pow", "remainder", "sub", "truediv", "floordiv", "mod", "lshift", "and"])
def test_number_first(name: str) -> None:
    def function(f: Any, x: Any) -> Any:
        operations: dict[str, Callable[[], Any]] = {
            "pow": lambda: 2.5**x, "remainder": lambda: f.remainder(7, x), "sub": lambda: 3 - x,
            "truediv": lambda: 1 / x, "floordiv": lambda: 7 // x, "mod": lambda: 7 % x, "lshift": lambda: 3 << x,
            "and": lambda: 6 & x,
        }  # fmt: skip
        return operations[name]()

    dtypes = ["int64", "uint8"] if name in ("lshift", "and") else ["float32", "int64", "float16"]
    for dtype in dtypes:
        compare(function, lambda f, d=dtype: (tensor(f, [1, 2, 3, 5], d),))


def test_zero_dimensional_operands_are_weaker() -> None:
    for a, b in (
        ("float32", "float64"),
        ("int32", "int64"),
        ("int64", "float16"),
        ("uint8", "int64"),
        ("bool", "int8"),
    ):
        compare(lambda f, x, y: x + y, lambda f, a=a, b=b: (tensor(f, [1, 0], a), tensor(f, 1, b)))
        compare(lambda f, x, y: x * y, lambda f, a=a, b=b: (tensor(f, 1, a), tensor(f, [1, 0], b)))
        compare(lambda f, x, y: x == y, lambda f, a=a, b=b: (tensor(f, 1, a), tensor(f, 1, b)))


GRAD_BINARY = (
    "add sub mul div atan2 hypot pow maximum minimum fmax fmin logaddexp logaddexp2 xlogy copysign remainder fmod"
)


@pytest.mark.parametrize("shapes", [((4, 5), (4, 5)), ((4, 5), (5,)), ((4, 1), (1, 5)), ((), (3,)), ((2, 0), (2, 1))])
@pytest.mark.parametrize("name", GRAD_BINARY.split())
def test_binary_derivatives(name: str, shapes: Any) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(0.3, 3, shape) for shape in shapes)
    check(lambda f, x, y: getattr(f, name)(x, y), a, b)


def test_derivatives_at_kinks() -> None:
    tied = np.array([1.0, 2.0, -1.0, 0.0])
    other = np.array([1.0, 1.0, -1.0, 0.0])
    for name in ("maximum", "minimum", "fmax", "fmin"):
        check(lambda f, x, y, name=name: getattr(f, name)(x, y), tied, other)
    zero = np.array([0.0, -1.0, 1.0, 2.0, -2.0])
    check(lambda f, x: f.relu(x), zero)
    check(lambda f, x: f.abs(x), zero, order=1)
    check(lambda f, x: f.clamp(x, -1, 1), zero)
    check(lambda f, x: f.clamp(x, max=1), zero)
    check(lambda f, x: x**0, zero)
    check(lambda f, x: x**2, zero)
    check(lambda f, x, y: f.pow(x, y), np.array([0.0, 0.0, 2.0]), np.array([2.0, 0.0, 0.0]), order=1)


def test_numbers_derivatives() -> None:
    x = np.random.default_rng(0).uniform(0.5, 3, (7,))
    for function in (
        lambda f, t: f.add(t, t * 2, alpha=0.5),
        lambda f, t: f.sub(t, t * t, alpha=3),
        lambda f, t: f.rsub(t, 2, alpha=1.5),
        lambda f, t: 2 - t / 4 + 3 / t,
        lambda f, t: 1.7**t,
        lambda f, t: t**3 + t**-1 + t**0.5 + t**-0.5 + t**1,
        lambda f, t: t.float_power(1.5),
    ):
        check(function, x)


def test_integer_rules() -> None:
    compare(lambda f, x: x // 0, lambda f: (tensor(f, [1], "int64"),))
    compare(lambda f, x: x % 0, lambda f: (tensor(f, [1], "int32"),))
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        fastnn.floor_divide(fastnn.tensor([3]), fastnn.tensor([0]))
    with pytest.raises(RuntimeError, match="Integers to negative integer powers"):
        fastnn.tensor([2]) ** -1
    lowest = -(2**63)
    assert fastnn.floor_divide(fastnn.tensor([lowest]), fastnn.tensor([-1])).tolist() == [lowest]
    assert fastnn.remainder(fastnn.tensor([lowest]), fastnn.tensor([-1])).tolist() == [0]
    int8 = fastnn.tensor([127, -128, 100], dtype=fastnn.int8)
    assert (int8 + int8).tolist() == [-2, 0, -56]
    assert (int8 * 2).tolist() == [-2, 0, -56]
    assert (-int8).tolist() == [-127, -128, -100]
    assert fastnn.tensor([-7, 7, -7]).floor_divide(fastnn.tensor([2, -2, -2])).tolist() == [-4, -4, 3]
    assert fastnn.tensor([-7, 7, -7]).remainder(fastnn.tensor([2, -2, -2])).tolist() == [1, -1, -1]
    assert fastnn.tensor([-7, 7]).fmod(2).tolist() == [-1, 1]
    assert (fastnn.tensor([3, -3, 2]) ** fastnn.tensor([3, 3, 0])).tolist() == [27, -27, 1]
    for dtype in INTEGERS:
        compare(
            lambda f, x, y: f.bitwise_left_shift(x, y),
            lambda f, d=dtype: (tensor(f, [1, 3, 5], d), tensor(f, [1, 6, 70], d)),
        )


def test_errors() -> None:
    for function in (
        lambda f, x: f.sub(x > 0, x > 0),
        lambda f, x: f.neg(x > 0),
        lambda f, x: f.bitwise_and(x, x),
        lambda f, x: f.div(x, x, rounding_mode="round"),
        lambda f, x: x + f.tensor([1.0, 2.0]),
        lambda f, x: f.clamp(x),
        lambda f, x: x.add_(f.tensor([[1.0], [2.0]])),
        lambda f, x: f.tensor([1]).add_(0.5),
        lambda f, x: x.masked_fill(x, 1.0),
        lambda f, x: f.tensor([1]).masked_fill_(f.tensor([True]), x),
        lambda f, x: f.add(f.tensor([1]), f.tensor([1]), alpha=0.5),
        lambda f, x: f.heaviside(x, f.tensor([1])),
        lambda f, x: f.lerp(x, x.double(), 0.5),
        lambda f, x: f.zeros(2, dtype=f.int8).fill_(300),
        lambda f, x: f.where(x, x, x),
        lambda f, x: f.addcdiv(f.tensor([1]), f.tensor([1]), f.tensor([1])),
        lambda f, x: f.isclose(x, x.double()),
        lambda f, x: f.isclose(x, x, rtol=-1),
    ):
        compare(function, lambda f: (f.tensor([1.0, 2.0, 3.0]),))


# --- selection and filling -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_selection(dtype: str) -> None:
    values = operands(dtype, 5)[:12]
    mask = [[v % 3 == 0 for v in range(12)] for _ in range(2)]

    def check_one(function: Callable[..., Any]) -> None:
        compare(function, lambda f: (tensor(f, values, dtype), f.tensor(mask)))

    check_one(lambda f, x, m: f.where(m, x, x.flip(0)))
    check_one(lambda f, x, m: f.where(m, x, 1))
    check_one(lambda f, x, m: f.where(m, 2.5, x))
    check_one(lambda f, x, m: x.where(m, 0))
    check_one(lambda f, x, m: f.where(m, 1.0, 0.0))
    check_one(lambda f, x, m: f.where(m, 1, 2))
    check_one(lambda f, x, m: f.masked_fill(x, m, 1))
    check_one(lambda f, x, m: x.masked_fill(m[0], f.tensor(1)))
    check_one(lambda f, x, m: x.clone().masked_fill_(m[0], 1))
    check_one(lambda f, x, m: x.clamp(0, 2))
    check_one(lambda f, x, m: x.clamp(min=1))
    check_one(lambda f, x, m: x.clip(max=1.5))
    check_one(lambda f, x, m: x.clamp(min=x.flip(0), max=x))
    check_one(lambda f, x, m: x.clamp(min=x.flip(0)))
    check_one(lambda f, x, m: f.clamp_min(x, 1))
    check_one(lambda f, x, m: f.clamp_max(x, 1))
    check_one(lambda f, x, m: f.nan_to_num(x))
    check_one(lambda f, x, m: f.nan_to_num(x, nan=1.0, posinf=2.0, neginf=-2.0))
    check_one(lambda f, x, m: x.clone().fill_(1))
    check_one(lambda f, x, m: x.clone().zero_())
    check_one(lambda f, x, m: f.equal(x, x.clone()))
    check_one(lambda f, x, m: f.isclose(x, x, equal_nan=True))
    check_one(lambda f, x, m: f.allclose(x, x, equal_nan=True))


def test_selection_derivatives() -> None:
    rng = np.random.default_rng(0)
    a, b, c = rng.standard_normal((3, 4, 5))
    mask = rng.integers(0, 2, (4, 5)).astype(bool)
    check(lambda f, x, y: f.where(f.tensor(mask.tolist()), x, y), a, b)
    check(lambda f, x, y: f.where(f.tensor(mask.tolist()), x, y), a, b[0])
    check(lambda f, x: f.where(f.tensor(mask.tolist()), x, 0.0), a)
    check(lambda f, x: f.masked_fill(x, f.tensor(mask.tolist()), 2.0), a)
    check(lambda f, x, v: f.masked_fill(x, f.tensor(mask.tolist()), v), a, np.array(1.5))
    check(lambda f, x: f.clamp(x, -0.5, 0.5), a)
    check(lambda f, x, lo, hi: f.clamp(x, lo, hi), a, b, c)
    check(lambda f, x, lo: f.clamp(x, min=lo), a, b[:1])
    check(lambda f, x: f.nan_to_num(x / 0.0 * 0.0 + x), a)
    check(lambda f, x, y, z: f.addcmul(x, y, z, value=0.5), a, b, c[0])
    check(lambda f, x, y, z: f.addcdiv(x, y, z, value=0.5), a, b, c + 3)
    check(lambda f, x, y, z: f.lerp(x, y, z), a, b, c)
    check(lambda f, x, y: f.lerp(x, y, 0.3), a, b)
    check(lambda f, x: (x * 2).zero_() + x, a)
    check(lambda f, x, v: (x * 2).fill_(v) + x, a, np.array(1.5))
    check(lambda f, x, y: (x * 2).copy_(y) * x, a, b[0])


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "bool"])
def test_three_operands(dtype: str) -> None:
    a, b, c = (operands(dtype, seed)[:20] for seed in (1, 2, 3))
    for function in (
        lambda f, x, y, z: f.addcmul(x, y, z, value=2),
        lambda f, x, y, z: f.addcdiv(x, y, z, value=2),
        lambda f, x, y, z: f.lerp(x, y, z),
        lambda f, x, y, z: f.lerp(x, y, 0.25),
    ):
        compare(
            function, lambda f: tuple(tensor(f, v, dtype) for v in (a, b, c)), 16, 1e-3 if dtype == "float16" else 1e-6
        )


# --- activations -----------------------------------------------------------------------------------------------------

ACTIVATIONS: dict[str, dict[str, Any]] = {
    "relu": {}, "relu6": {}, "threshold": {"threshold": 0.3, "value": -1.0}, "leaky_relu": {"negative_slope": 0.2},
    "hardtanh": {"min_val": -0.4, "max_val": 1.1}, "elu": {"alpha": 0.7}, "selu": {}, "celu": {"alpha": 0.6},
    "gelu": {}, "silu": {}, "mish": {}, "softplus": {"beta": 2.0, "threshold": 3.0}, "logsigmoid": {},
    "hardsigmoid": {}, "hardswish": {}, "hardshrink": {"lambd": 0.3}, "softshrink": {"lambd": 0.3}, "softsign": {},
    "tanhshrink": {}, "tanh": {}, "sigmoid": {},
}  # fmt: skip
IN_PLACE = "relu relu6 threshold leaky_relu hardtanh elu selu celu silu mish hardsigmoid hardswish".split()


def activation(f: Any, name: str) -> Callable[..., Any]:
    return getattr(fastnn._C.nn, name) if f is fastnn else getattr(f.nn.functional, name)


@pytest.mark.parametrize("dtype", [*FLOATS, "int64", "bool"])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str, dtype: str) -> None:
    values = values_of(dtype)
    if dtype in FLOATS:
        values = [v for v in values if not (math.isinf(v) and name in ("gelu", "silu", "mish", "tanhshrink"))]
    compare(
        lambda f, x: activation(f, name)(x, **ACTIVATIONS[name]),
        lambda f: (tensor(f, values, dtype),),
        16,
        1e-6 if dtype in ("float32", "bfloat16") else 1e-4 if dtype == "float16" else 1e-15,
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_derivatives(name: str) -> None:
    kinks = np.array([0.0, 0.3, -0.4, 1.1, 6.0, 3.0, -3.0, -0.3])
    x = np.concatenate([kinks, np.random.default_rng(0).uniform(-4, 4, 60)])
    order = 1 if name == "hardsigmoid" else 2  # torch has no second derivative of it
    tolerance = 1e-6 if name in ("celu", "hardsigmoid") else None  # torch has their constants in float32
    check(lambda f, t: activation(f, name)(t, **ACTIVATIONS[name]), x, order=order, tolerance=tolerance)
    check(lambda f, t: activation(f, name)(t, **ACTIVATIONS[name]), x[:, None], order=1, dtype="float32")


@pytest.mark.parametrize("name", IN_PLACE)
def test_activation_in_place(name: str) -> None:
    x = np.random.default_rng(0).uniform(-4, 4, 60)

    def function(f: Any, t: Any) -> Any:
        y = t * 1.0
        z = activation(f, name)(y, **ACTIVATIONS[name], inplace=True)
        assert z is y
        return y * 3

    check(
        function,
        x,
        order=1 if name == "hardsigmoid" else 2,
        tolerance=1e-6 if name in ("celu", "hardsigmoid") else None,
    )


def test_gelu_tanh() -> None:
    x = np.random.default_rng(0).uniform(-4, 4, 60)
    check(lambda f, t: activation(f, "gelu")(t, approximate="tanh"), x)
    compare(lambda f, t: activation(f, "gelu")(t, approximate="sigmoid"), lambda f: (f.tensor(1.0),))


def test_relu_saves_its_output_only() -> None:
    x = fastnn.tensor([-1.0, 2.0], requires_grad=True)
    y = fastnn.relu(x)
    with fastnn.no_grad():
        x.zero_()
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 1.0]


# --- in place --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", "add sub mul div pow remainder eq lt bitwise_or floor_divide atan2 copysign".split())
def test_in_place(name: str) -> None:
    def function(f: Any, x: Any, y: Any) -> Any:
        z = x.clone()
        assert getattr(z, name + "_")(y) is z
        return z

    for a, b in (("float32", "float32"), ("float64", "float32"), ("int64", "int32"), ("float16", "float32")):
        compare(function, lambda f, a=a, b=b: (tensor(f, [3, 4, 5], a), tensor(f, [1, 2, 3], b)))


def test_in_place_writes_where_it_should() -> None:
    x = fastnn.zeros(4, 6)
    address = x.data_ptr()
    x[:, ::2].add_(1)
    x.t().mul_(2.0)
    x.exp_().log_()
    assert x.data_ptr() == address
    np.testing.assert_allclose(np.array(x.tolist()), np.tile([2.0, 0.0], (4, 3)), atol=1e-6)
    overlapping = fastnn.arange(6)
    overlapping[1:].add_(overlapping[:-1])
    assert overlapping.tolist() == [0, 1, 3, 5, 7, 9]
    with pytest.raises(RuntimeError):
        fastnn.zeros(1).expand(3).add_(fastnn.ones(3))


def test_in_place_on_views_derivatives() -> None:
    def function(f: Any, x: Any, y: Any) -> Any:
        z = x * 1.0
        z[1].mul_(y)
        z[0, 1:].sin_()
        z[:, 0].exp_()
        return z * 1.5

    check(function, np.random.default_rng(0).uniform(-1, 1, (2, 3)), np.array([1.0, 2.0, 3.0]))


def test_a_saved_value_survives_the_write() -> None:
    x = fastnn.tensor([1.0, 2.0], requires_grad=True)
    w = fastnn.tensor([3.0, 4.0], requires_grad=True)
    y = x * 1
    y.mul_(w)
    y.sum().backward()
    assert w.grad.tolist() == [1.0, 2.0]
    assert x.grad.tolist() == [3.0, 4.0]
    z = x * 1
    product = z * z
    z.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


# --- memory order, size, threads -------------------------------------------------------------------------------------


def test_results_keep_the_order_of_dimensions() -> None:
    for function in (
        lambda f, x, y: x.permute(0, 2, 1) + 1,
        lambda f, x, y: x.permute(2, 0, 1) * y.permute(2, 0, 1),
        lambda f, x, y: x.permute(2, 0, 1).exp(),
        lambda f, x, y: x.transpose(0, 1) + y[:1].transpose(0, 1),
        lambda f, x, y: x[:, ::2] + y[:, ::2],
        lambda f, x, y: x.permute(0, 2, 1) + f.zeros(4, 6, 5),
        lambda f, x, y: f.zeros(6, 1) + x.permute(0, 2, 1),
    ):
        torch = pytest.importorskip("torch")
        a, b = (function(f, f.ones(4, 5, 6), f.ones(4, 5, 6)) for f in (fastnn, torch))
        assert a.stride() == b.stride()


@pytest.mark.parametrize("size", [1, 15, 17, 1023, 1025, 40_000])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int16"])
def test_sizes(size: int, dtype: str) -> None:
    x = np.arange(size) % 97
    t = fastnn.tensor(x.tolist(), dtype=getattr(fastnn, dtype))
    assert np.array_equal(to_numpy(t + t), 2 * x)
    assert np.array_equal(to_numpy(t * 2 - t), x)
    assert np.array_equal(to_numpy(t > 5), x > 5)
    assert np.array_equal(to_numpy(t.to(fastnn.float64) + 0.5), x + 0.5)


def test_broadcast_shapes() -> None:
    rng = np.random.default_rng(0)
    for a, b in (
        ((70, 1), (1, 90)),
        ((3, 1, 5), (4, 1)),
        ((64, 48), (48,)),
        ((64, 48), (64, 1)),
        ((2, 3, 4, 5), (3, 1, 5)),
    ):
        x, y = rng.integers(0, 50, a), rng.integers(0, 50, b)
        for f, g in (
            (fastnn.tensor(x.tolist()), fastnn.tensor(y.tolist())),
            (fastnn.tensor(x.T.tolist()).permute(*range(x.ndim)[::-1]), fastnn.tensor(y.tolist())),
        ):
            assert np.array_equal(to_numpy(f + g), x + y)
            assert np.array_equal(to_numpy(f < g), x < y)
            assert np.array_equal(to_numpy(f.float() * g), x * y)


def test_transposed_copies() -> None:
    for shape in ((33, 65), (1, 70), (200, 3), (7, 31, 37)):
        x = np.arange(math.prod(shape)).reshape(shape)
        for dtype in ("int64", "float32", "uint8", "bfloat16"):
            t = fastnn.tensor((x % 200).tolist(), dtype=getattr(fastnn, dtype)).transpose(-1, -2)
            assert np.array_equal(to_numpy(t.contiguous()), np.swapaxes(x, -1, -2) % 200)


def test_threads_do_not_change_results() -> None:
    x = fastnn.tensor(np.random.default_rng(0).standard_normal(100_001).astype("float32").tolist())
    before = fastnn.get_num_threads()
    results = []
    for threads in (1, 2, 3):
        fastnn.set_num_threads(threads)
        results.append((x.exp() * x.sin() + fastnn._C.nn.gelu(x)).tolist())
    fastnn.set_num_threads(before)
    assert results[0] == results[1] == results[2]


# --- accuracy of csrc/cpu/math.h -------------------------------------------------------------------------------------

# The function, its domain, and the largest errors in units in the last place that math.h states for float and double.
ACCURACY: dict[str, tuple[float, float, float, float]] = {
    "exp": (-103, 88.7, 1, 1), "expm1": (-20, 88.7, 2, 2), "log": (1e-40, 1e38, 1, 1), "log2": (1e-40, 1e38, 2, 2),
    "log10": (1e-40, 1e38, 2, 2), "log1p": (-0.999, 1e6, 1, 1), "sigmoid": (-87, 30, 3, 3), "tanh": (-12, 12, 3, 3),
    "erf": (-5, 5, 2, 1), "sin": (-1e4, 1e4, 3, 1), "cos": (-1e4, 1e4, 3, 1), "softplus": (-80, 80, 2, 2),
}  # fmt: skip
NO_REFERENCE = ("erf", "float64")  # there is the C library's own alone
ACCURACY_CASES = [
    (name, dtype) for name in ACCURACY for dtype in ("float32", "float64") if (name, dtype) != NO_REFERENCE
]


def reference(name: str, x: np.ndarray) -> np.ndarray:
    """In a wider type: double for float, the 80 bits of x87 for double."""
    if name == "sigmoid":
        return 1 / (1 + np.exp(-x))
    if name == "softplus":
        return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    if name == "erf":
        return np.array([math.erf(v) for v in x])
    return getattr(np, name)(x)


def largest_error(name: str, dtype: str) -> float:
    low, high, *_ = ACCURACY[name]
    rng = np.random.default_rng(0)
    parts = [rng.uniform(low, high, 20_000), rng.uniform(max(low, -2), min(high, 2), 20_000)]
    if low > 0:
        parts.append(np.exp(rng.uniform(math.log(low), math.log(high), 20_000)))
    x = np.concatenate(parts).astype(dtype)
    function = fastnn.nn.functional.softplus if name == "softplus" else getattr(fastnn, name)
    arguments = (1, 1e9) if name == "softplus" else ()  # above its threshold it is the identity
    wide = np.float64 if dtype == "float32" else np.longdouble
    ours = function(fastnn.from_numpy(x), *arguments).numpy().astype(wide)
    exact = reference(name, x.astype(wide))
    unit = np.maximum(np.spacing(np.abs(exact).astype(dtype)), np.finfo(dtype).smallest_subnormal).astype(wide)
    return float(np.max(np.abs(ours - exact) / unit))


def stated(name: str, dtype: str) -> float:
    return ACCURACY[name][2 if dtype == "float32" else 3]


@pytest.mark.parametrize(("name", "dtype"), ACCURACY_CASES)
def test_accuracy(name: str, dtype: str) -> None:
    assert largest_error(name, dtype) <= stated(name, dtype)


@pytest.mark.parametrize("isa", ["base", "avx2"])
def test_accuracy_of_other_instruction_sets(isa: str) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_elementwise as t\n"
        "for case in t.ACCURACY_CASES: print(*case, t.largest_error(*case) <= t.stated(*case))"
    )
    command = [sys.executable, "-c", code, os.path.dirname(__file__)]
    run = subprocess.run(command, env={**os.environ, "FASTNN_CPU_ISA": isa}, capture_output=True, text=True)
    if "FASTNN_CPU_ISA: expected one of" in run.stderr:
        pytest.skip(f"this machine or build has no {isa}")
    assert run.returncode == 0, run.stderr
    assert [line for line in run.stdout.splitlines() if not line.endswith("True")] == []


def test_special_values() -> None:
    x = fastnn.tensor([INF, -INF, NAN, 0.0, -0.0])
    assert fastnn.exp(x).tolist()[:2] == [INF, 0.0]
    assert fastnn.log(x).tolist()[0] == INF and math.isnan(fastnn.log(x).tolist()[1])
    assert fastnn.log(x).tolist()[3:] == [-INF, -INF]
    assert fastnn.tanh(x).tolist()[:2] == [1.0, -1.0]
    assert math.copysign(1, fastnn.tanh(x).tolist()[4]) == -1.0
    assert fastnn.sigmoid(x).tolist()[:2] == [1.0, 0.0]
    assert fastnn.maximum(x, fastnn.zeros(5)).tolist()[:2] == [INF, 0.0]
    assert math.isnan(fastnn.relu(x).tolist()[2])
    assert fastnn.exp(fastnn.tensor([-100.0])).item() == pytest.approx(math.exp(-100), rel=1e-5)


# --- numbers where they once stood, and on the left ---

OLD_ORDER = [
    ("add", "x.add(2, y)"),
    ("add", "torch.add(x, 2, y)"),
    ("add", "torch.add(x, 2, y, out=torch.empty(3))"),
    ("add_", "x.clone().add_(2, y)"),
    ("sub", "x.sub(2, y)"),
    ("addcmul_", "x.clone().addcmul_(2, y, y)"),
    ("addcdiv", "torch.addcdiv(x, 2, y, y)"),
    ("addmm", "torch.addmm(2, m, 3, m, m)"),
    ("addmm", "m.addmm(2, 3, m, m)"),
    ("addmm", "m.addmm(2, m, m)"),
    ("addmv", "torch.addmv(2, x, 3, m, y)"),
    ("addr", "torch.addr(2, m, 3, x, y)"),
    ("baddbmm", "torch.baddbmm(2, m[None], 3, m[None], m[None])"),
    ("addbmm", "torch.addbmm(2, m, m[None], m[None])"),
]


def evaluated(package: Any, expression: str) -> Any:
    names = {
        "torch": package,
        "x": package.tensor([1.0, 2.0, 3.0]),
        "y": package.tensor([0.5, -1.0, 4.0]),
        "m": package.arange(9.0).reshape(3, 3),
        "i": package.tensor([2, 3]),
        "h": package.tensor([2.0, 3.0], dtype=package.bfloat16),
    }
    return eval(expression, names)


@pytest.mark.parametrize(("name", "expression"), OLD_ORDER)
def test_numbers_in_front_of_what_they_multiply(name: str, expression: str) -> None:
    torch = pytest.importorskip("torch")
    with pytest.warns(UserWarning, match=f"This overload of {name} is deprecated"):
        ours = evaluated(fastnn, expression)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = evaluated(torch, expression)
    assert ours.tolist() == theirs.tolist()


def test_numbers_in_front_of_what_they_do_not_multiply() -> None:
    x = fastnn.ones(2)
    for call in (lambda: x.mul(2, x), lambda: x.add(2, 3), lambda: x.add(2, 3, x), lambda: x.addcmul(x, 2, x, x)):
        with pytest.raises(TypeError):
            call()


@pytest.mark.parametrize("name", ["add", "sub", "subtract", "mul", "multiply", "div", "true_divide", "floor_divide"])
@pytest.mark.parametrize("arguments", ["2.5, x", "2, i", "2.5, i", "2.5, h", "h[0].item(), h[1]", "1, 2"])
def test_numbers_on_the_left(name: str, arguments: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (evaluated(package, f"torch.{name}({arguments})") for package in (fastnn, torch))
    assert str(ours.dtype) == str(theirs.dtype)
    assert ours.tolist() == theirs.tolist()
