"""Rows of element-by-element operations."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from op_specs import ALL, BOOL, FLOATS, INTS, REALS, Const, DType, Index, Input, Mask, S, Sample, Spec, X

UNARY = (S(X(3, 4)), S(X()), S(X(0)), S(X(2, 0, 3)), S(X(67)), S(X(2, 3, 5)))
BINARY = (
    S(X(3, 4), X(3, 4)),
    S(X(3, 1), X(4)),
    S(X(), X(3)),
    S(X(2, 3), X()),
    S(X(), X()),
    S(X(0, 3), X(1, 3)),
    S(X(67), X(67)),
    S(X(2, 1, 5), X(1, 3, 1)),
)
SCALARS = (S(X(3, 4), 3), S(X(5), 1.5), S(X(), 2))
LARGE_UNARY = S(X(211, 307))
LARGE_BINARY = S(X(211, 307), X(307))


def floating(array: Any) -> np.ndarray:
    return np.asarray(array, dtype=np.float64)


def each(function: Callable[..., float]) -> Callable[..., np.ndarray]:
    """A function of Python floats on arrays."""
    inner = np.vectorize(function, otypes=[np.float64])

    def run(*arrays: Any) -> np.ndarray:
        arrays = np.broadcast_arrays(*[floating(a) for a in arrays])
        return inner(*arrays) if arrays[0].size else np.zeros(arrays[0].shape)

    return run


def of_float(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda *arrays: function(*[floating(a) for a in arrays])


def lgamma(x: float) -> float:
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    try:
        return math.lgamma(x)
    except OverflowError:
        return math.inf


def digamma(x: float) -> float:
    """Reflection below 0, recurrence up to 10, then the asymptotic series."""
    if math.isnan(x) or x == -math.inf:
        return math.nan
    if x == 0:
        return math.copysign(math.inf, -x)
    if x < 0:
        return math.nan if x == math.floor(x) else digamma(1 - x) - math.pi / math.tan(math.pi * math.fmod(x, 1.0))
    total = 0.0
    while x < 10:
        total -= 1 / x
        x += 1
    inverse = 1 / x / x
    terms = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
    return total + math.log(x) - 0.5 / x - sum(t * inverse ** (i + 1) for i, t in enumerate(terms))


def polygamma_reference(n: Any, x: Any) -> np.ndarray:
    """The Hurwitz series: 40 terms, then Euler and Maclaurin's remainder."""
    if not isinstance(n, int):
        n, x = x, n
    if n == 0:
        return each(digamma)(x)
    x = floating(x)
    order = n + 1
    terms = 40
    total = sum((x + k) ** -order for k in range(terms))
    end = x + terms
    total = total + end ** (1 - order) / (order - 1) + end**-order / 2 + order * end ** (-order - 1) / 12
    rising = order * (order + 1) * (order + 2)
    total = total - rising * end ** (-order - 3) / 720
    total = total + rising * (order + 3) * (order + 4) * end ** (-order - 5) / 30240
    return (-1.0) ** order * math.factorial(n) * total


def erfinv(y: float) -> float:
    """Newton's steps on erf, from the centre outwards."""
    if abs(y) >= 1:
        return math.copysign(math.inf, y) if abs(y) == 1 else math.nan
    if y == 0:
        return y
    low, high = -7.0, 7.0
    for _ in range(200):
        middle = (low + high) / 2
        if math.erf(middle) < y if abs(y) < 0.5 else (math.erfc(middle) > 1 - y):
            low = middle
        else:
            high = middle
    return (low + high) / 2


def unary(name: str, reference: Callable[..., Any] | None, *also: str, **options: Any) -> list[Spec]:
    options = {"dtypes": ALL, "samples": UNARY, "pointwise": True, "large": LARGE_UNARY} | options
    return named(Spec(name, reference=reference, **options), *also)


def binary(name: str, reference: Callable[..., Any] | None, *also: str, **options: Any) -> list[Spec]:
    options = {"dtypes": ALL, "samples": BINARY + SCALARS, "pointwise": True, "large": LARGE_BINARY} | options
    return named(Spec(name, reference=reference, **options), *also)


def named(row: Spec, *also: str) -> list[Spec]:
    """The row and its other names."""
    return [row, *(dataclasses.replace(row, name=name) for name in also)]


def remainder(a: Any, b: Any) -> np.ndarray:
    return np.where(np.isinf(b) & np.isfinite(a) & ((np.signbit(a) == np.signbit(b)) | (a == 0)), a, np.mod(a, b))


def divided(a: Any, b: Any, rounding_mode: str | None = None) -> np.ndarray:
    if rounding_mode is None:
        return floating(a) / floating(b)
    if np.asarray(a).dtype.kind == "f" or np.asarray(b).dtype.kind == "f":
        return np.floor_divide(floating(a), floating(b)) if rounding_mode == "floor" else np.trunc(a / floating(b))
    return np.floor_divide(a, b) if rounding_mode == "floor" else np.trunc(np.true_divide(a, b)).astype(np.int64)


def bits(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """Integers, or booleans when both are."""

    def run(a: Any, b: Any) -> np.ndarray:
        if np.asarray(a).dtype.kind == "b" and np.asarray(b).dtype.kind == "b":
            return function(a, b)
        return function(np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64))

    return run


def clamp(x: Any, min: Any = None, max: Any = None) -> np.ndarray:
    x = np.asarray(x)
    x = x if min is None else np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


def nan_to_num(x: Any, nan: Any = None, posinf: Any = None, neginf: Any = None) -> np.ndarray:
    return np.nan_to_num(x, nan=nan or 0.0, posinf=posinf, neginf=neginf)


def sigmoid(x: Any) -> np.ndarray:
    x = floating(x)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def xlogy(a: Any, b: Any) -> np.ndarray:
    a, b = np.broadcast_arrays(floating(a), floating(b))
    return np.where(np.isnan(b), np.nan, np.where(a == 0, 0.0, a * np.log(b)))


def plus(a: Any, b: Any, alpha: Any = 1) -> np.ndarray:
    if alpha == 1:
        return np.add(a, b)
    return np.add(a, np.multiply(b, alpha))


def minus(a: Any, b: Any, alpha: Any = 1) -> np.ndarray:
    return np.subtract(a, np.multiply(b, alpha))


def rounded(x: Any, decimals: int = 0) -> np.ndarray:
    return np.round(floating(x), decimals)


def float_power(a: Any, b: Any) -> np.ndarray:
    return np.power(floating(a), floating(b))


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> np.ndarray:
    return np.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)


TWO_THIRDS = (S(X(3, 4), X(3, 4), X(3, 4)), S(X(3, 1), X(4), X(1, 4)), S(X(), X(), X()), S(X(0, 3), X(0, 3), X(3)))
NO_SCALAR: dict[str, Any] = {"samples": BINARY}
SAME_DTYPE_ONLY = S(X(3), X(4))
SHAPES_DO_NOT_FIT = (SAME_DTYPE_ONLY, RuntimeError, "")
DIVISORS = {
    "samples": (
        S(X(3, 4), X(3, 4, low=0.5)),
        S(X(3, 1), X(4, low=0.5)),
        S(X(), X(3, low=0.5)),
        S(X(2, 3), X(low=1)),
        S(X(0, 3), X(1, 3, low=0.5)),
        S(X(67), X(67, low=0.5)),
        S(X(5), 1.5),
        S(X(5), 3),
        S(X(5), -2),
    )
}
SHIFTS = {
    "samples": (S(X(3, 4), X(3, 4, low=0)), S(X(3, 1), X(4, low=0)), S(X(), X(3, low=0)), S(X(5), 2), S(X(0), X(low=0)))
}


def simple() -> list[Spec]:
    """Functions of one element."""
    rows: list[Spec] = []
    for one in (
        unary("abs", np.abs, "absolute", dtypes=REALS),
        unary("neg", np.negative, "negative", dtypes=REALS),
        unary("positive", np.positive, dtypes=REALS, view=True),
        unary("sign", lambda x: x if x.dtype.kind == "b" else np.sign(x)),
        unary("sgn", lambda x: x if x.dtype.kind == "b" else np.sign(x)),
        unary("signbit", np.signbit, dtypes=REALS, differentiable=False, nan_signs=True),
        unary("square", lambda x: x * x),
        unary("ceil", np.ceil, dtypes=REALS),
        unary("floor", np.floor, dtypes=REALS),
        unary("trunc", np.trunc, "fix", dtypes=REALS),
        unary("frac", lambda x: x - np.trunc(x), dtypes=FLOATS),
        unary(
            "round",
            rounded,
            dtypes=REALS,
            samples=(
                *UNARY,
                S(X(3, 4), decimals=1).only("float64", "float32"),
                S(X(3, 4), decimals=-1).only("float64", "float32"),
                S(Const([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])).only(*FLOATS),
            ),
        ),
        unary("bitwise_not", lambda x: ~x, dtypes=INTS + BOOL, differentiable=False),
        unary("logical_not", np.logical_not, differentiable=False),
        unary("isnan", of_float(np.isnan), differentiable=False),
        unary("isinf", of_float(np.isinf), differentiable=False),
        unary("isfinite", of_float(np.isfinite), differentiable=False),
        unary("isposinf", of_float(np.isposinf), differentiable=False),
        unary("isneginf", of_float(np.isneginf), differentiable=False),
        unary("relu", lambda x: np.maximum(x, 0), "nn.relu", dtypes=REALS),
        unary(
            "nan_to_num",
            nan_to_num,
            samples=(
                *UNARY,
                S(Const([math.nan, math.inf, -math.inf, 1.0])).only("float64", "float32"),
                S(Const([math.nan, math.inf, -math.inf, 1.0]), nan=1.5, posinf=2.0, neginf=-3.0).only(*FLOATS),
            ),
        ),
    ):
        rows += one
    positive = (0.2, 3.0)
    unit = (-0.9, 0.9)
    for name, reference, domain, also in (
        ("sqrt", np.sqrt, positive, ()),
        ("rsqrt", lambda x: 1 / np.sqrt(x), positive, ()),
        ("reciprocal", lambda x: 1 / x, positive, ()),
        ("exp", np.exp, None, ()),
        ("exp2", np.exp2, None, ()),
        ("expm1", np.expm1, None, ()),
        ("log", np.log, positive, ()),
        ("log2", np.log2, positive, ()),
        ("log10", np.log10, positive, ()),
        ("log1p", np.log1p, (-0.8, 3.0), ()),
        ("sin", np.sin, None, ()),
        ("cos", np.cos, None, ()),
        ("tan", np.tan, (-1.2, 1.2), ()),
        ("asin", np.arcsin, unit, ("arcsin",)),
        ("acos", np.arccos, unit, ("arccos",)),
        ("atan", np.arctan, None, ("arctan",)),
        ("sinh", np.sinh, None, ()),
        ("cosh", np.cosh, None, ()),
        ("tanh", np.tanh, None, ("nn.tanh",)),
        ("asinh", np.arcsinh, None, ("arcsinh",)),
        ("acosh", np.arccosh, (1.2, 3.0), ("arccosh",)),
        ("atanh", np.arctanh, unit, ("arctanh",)),
        ("erf", each(math.erf), None, ()),
        ("erfc", each(math.erfc), None, ()),
        ("erfinv", each(erfinv), unit, ()),
        ("lgamma", each(lgamma), (0.3, 4.0), ()),
        ("digamma", each(digamma), (0.3, 4.0), ()),
        ("sigmoid", sigmoid, None, ("nn.sigmoid",)),
        ("deg2rad", np.deg2rad, None, ()),
        ("rad2deg", np.rad2deg, None, ()),
    ):
        integers = (
            (0, 5)
            if domain is positive
            else (1, 5)
            if domain and domain[0] > 0
            else (-1, 2)
            if domain == unit
            else (-4, 5)
        )
        integers = (0, 5) if name == "log1p" else (1, 5) if name in ("digamma", "lgamma") else integers
        rows += unary(
            name,
            of_float(reference),
            *also,
            domain=domain or (-2.0, 2.0),
            integers=integers,
            gradients=1e-8 if name in ("digamma", "lgamma") else 0.0,  # of torch's trigamma
        )
    rows += unary(
        "polygamma",
        polygamma_reference,
        torch_dtypes=("float32", "float16", "bfloat16"),  # torch's series is short: 1e-9 in float64
        gradients=1e-8,
        dtypes=FLOATS,
        domain=(0.5, 4.0),
        roundings=64,
        keywords=False,
        inplace=False,
        samples=(S(1, X(3, 4)), S(2, X(5)), S(0, X(3)), S(3, X())),
        large=S(1, X(60, 70)),
        extremes=False,
    )
    return rows


def pairs() -> list[Spec]:
    """Functions of two elements."""
    fits = {"errors": (SHAPES_DO_NOT_FIT,)}
    rows: list[Spec] = []
    alpha = (*BINARY, *SCALARS, S(X(3, 4), X(4), alpha=2), S(X(3), 2, alpha=3), S(X(3), X(3), alpha=1.5).only(*FLOATS))
    for one in (
        binary("add", plus, samples=(*alpha, S(X(3), True)), products=True, **fits),
        binary("sub", minus, "subtract", dtypes=REALS, samples=alpha, products=True, **fits),
        binary("rsub", lambda a, b, alpha=1: minus(b, a, alpha), dtypes=REALS, samples=alpha, products=True, **fits),
        binary("mul", np.multiply, "multiply", **fits),
        binary(
            "div",
            divided,
            "divide",
            samples=(
                *DIVISORS["samples"],
                S(X(3, 4), X(4, low=0.5), rounding_mode="floor").only(*REALS),
                S(X(3, 4), X(4, low=0.5), rounding_mode="trunc").only(*REALS),
                S(X(7), 2, rounding_mode="floor").only(*REALS),
            ),
            dtypes=REALS,
            errors=(SHAPES_DO_NOT_FIT, (S(X(3), X(3), rounding_mode="nearest"), RuntimeError, "rounding_mode")),
        ),
        binary("true_divide", divided, dtypes=REALS, **DIVISORS),
        binary("floor_divide", lambda a, b: divided(a, b, "floor"), dtypes=REALS, **DIVISORS, differentiable=False),
        binary(
            "remainder",
            remainder,
            signed_zeros=False,
            dtypes=REALS,
            samples=(*DIVISORS["samples"], S(7, X(3, low=0.5)).only(*REALS)),
        ),
        binary("fmod", np.fmod, dtypes=REALS, **DIVISORS),
        binary("maximum", np.maximum, **NO_SCALAR),
        binary("minimum", np.minimum, **NO_SCALAR),
        binary("fmax", np.fmax, signed_zeros=False, **NO_SCALAR),
        binary("fmin", np.fmin, signed_zeros=False, **NO_SCALAR),
        binary("atan2", of_float(np.arctan2), "arctan2", integers=(1, 5), **NO_SCALAR),
        binary("hypot", np.hypot, dtypes=FLOATS, **NO_SCALAR),
        binary("copysign", of_float(np.copysign), nan_signs=True),
        binary("logaddexp", np.logaddexp, dtypes=FLOATS, **NO_SCALAR),
        binary("logaddexp2", np.logaddexp2, roundings=128, dtypes=FLOATS, **NO_SCALAR),
        binary("xlogy", xlogy, domain=(0.2, 3.0), integers=(0, 5), samples=(*BINARY, S(X(5), 2), S(2, X(5)))),
        binary(
            "pow",
            np.power,
            dtypes=REALS,
            domain=(0.3, 2.0),
            integers=(0, 4),
            roundings=16,
            samples=(
                *BINARY,
                S(X(5), 2),
                S(X(5), 3),
                S(X(5), 0.5),
                S(X(5), 0),
                S(X(5), 1),
                S(X(5), -1).only(*FLOATS),
                S(X(5), -0.5),
                S(2, X(5)),
                S(1.5, X(3)),
                S(X(4, low=-2.0), 2),
            ),
        ),
        binary(
            "float_power",
            float_power,
            dtypes=ALL,
            domain=(0.3, 2.0),
            integers=(0, 4),
            inplace=False,
            samples=(*BINARY, S(X(5), 2), S(2, X(5))),
        ),
        binary(
            "heaviside",
            np.heaviside,
            dtypes=REALS,
            differentiable=False,
            samples=(*BINARY, S(Const([-1.0, 0.0, 2.0]), X(3))),
        ),
        binary(
            "bitwise_and",
            bits(np.bitwise_and),
            dtypes=INTS + BOOL,
            differentiable=False,
            samples=(*BINARY, S(X(5), 3), S(3, X(5))),
        ),
        binary(
            "bitwise_or",
            bits(np.bitwise_or),
            dtypes=INTS + BOOL,
            differentiable=False,
            samples=(*BINARY, S(X(5), 3), S(3, X(5))),
        ),
        binary(
            "bitwise_xor",
            bits(np.bitwise_xor),
            dtypes=INTS + BOOL,
            differentiable=False,
            samples=(*BINARY, S(X(5), 3), S(3, X(5))),
        ),
        binary("bitwise_left_shift", bits(np.left_shift), dtypes=INTS, differentiable=False, **SHIFTS),
        binary("bitwise_right_shift", bits(np.right_shift), dtypes=INTS, differentiable=False, **SHIFTS),
        binary("logical_and", np.logical_and, differentiable=False, **NO_SCALAR),
        binary("logical_or", np.logical_or, differentiable=False, **NO_SCALAR),
        binary("logical_xor", np.logical_xor, differentiable=False, **NO_SCALAR),
        binary(
            "isclose",
            isclose,
            differentiable=False,
            samples=(
                *BINARY,
                S(X(3, 4), X(4), rtol=0.5, atol=0.5),
                S(Const([math.nan, math.inf, 1.0]), Const([math.nan, math.inf, 1.0 + 2**-12]), equal_nan=True).only(
                    "float64", "float32"
                ),
            ),
            extremes=False,
        ),
    ):
        rows += one
    for name, reference, also in (
        ("eq", np.equal, ()),
        ("ne", np.not_equal, ("not_equal",)),
        ("lt", np.less, ("less",)),
        ("le", np.less_equal, ("less_equal",)),
        ("gt", np.greater, ("greater",)),
        ("ge", np.greater_equal, ("greater_equal",)),
    ):
        rows += binary(name, reference, *also, differentiable=False, **fits)
    return rows


def several() -> list[Spec]:
    """Functions of three elements, and of an element and numbers."""
    rows: list[Spec] = []
    values = (S(X(3, 4), X(3, 4), X(3, 4, low=0.5), value=0.5).only(*FLOATS),)
    divisors = (S(X(3, 4), X(3, 4), X(3, 4, low=0.5)), S(X(3, 1), X(4), X(1, 4, low=0.5)), S(X(), X(), X(low=0.5)))
    bounds = (
        S(X(3, 4), -0.5, 0.75),
        S(X(5), min=-1),
        S(X(5), max=1),
        S(X(3, 4), X(3, 4), X(4)),
        S(X(3, 4), min=X(4)),
        S(X(3, 4), max=X(3, 1)),
        S(X(), 0, 1),
        S(X(0), 0, 1),
        S(X(67), -1, 1),
    )
    for one in (
        [
            Spec(
                "addcmul",
                reference=lambda a, b, c, value=1: a + value * (b * c),
                samples=(*TWO_THIRDS, *values),
                dtypes=REALS,
                pointwise=True,
                products=True,
                large=S(X(211, 307), X(307), X(211, 1)),
            )
        ],
        [
            Spec(
                "addcdiv",
                reference=lambda a, b, c, value=1: a + value * (b / c),
                samples=(*divisors, *values),
                pointwise=True,
                large=S(X(211, 307), X(307), X(211, 1, low=0.5)),
            )
        ],
        [
            Spec(
                "lerp",
                reference=lambda a, b, w: a + w * (np.asarray(b) - a),
                pointwise=True,
                products=True,
                signed_zeros=False,
                samples=(*TWO_THIRDS, S(X(3, 4), X(4), 0.25), S(X(3, 4), X(4), 0.75)),
                large=S(X(211, 307), X(307), 0.3),
            )
        ],
        named(
            Spec(
                "clamp",
                reference=clamp,
                samples=bounds,
                dtypes=REALS,
                pointwise=True,
                signed_zeros=False,
                large=S(X(211, 307), -0.5, 0.5),
                errors=((S(X(3)), RuntimeError, "min"),),
            ),
            "clip",
        ),
        [
            Spec(
                "clamp_min",
                reference=np.maximum,
                samples=(S(X(3, 4), 0.5), S(X(3, 4), X(4)), S(X(), 1)),
                dtypes=REALS,
                pointwise=True,
            )
        ],
        [
            Spec(
                "clamp_max",
                reference=np.minimum,
                samples=(S(X(3, 4), 0.5), S(X(3, 4), X(4)), S(X(), 1)),
                dtypes=REALS,
                pointwise=True,
            )
        ],
        [
            Spec(
                "where",
                reference=lambda c, a, b: np.where(c, a, b),
                dtypes=ALL,
                pointwise=True,
                samples=(
                    S(Mask(3, 4), X(3, 4), X(3, 4)),
                    S(Mask(3, 1), X(4), X(1, 4)),
                    S(Mask(), X(3), X(3)),
                    S(Mask(0, 3), X(0, 3), X(3)),
                    S(Mask(5), X(5), 2),
                    S(Mask(5), 1.5, X(5)),
                    S(Mask(67), X(67), X(67)),
                ),
                large=S(Mask(211, 307), X(307), X(211, 307)),
                errors=(
                    (S(Mask(3), X(4), X(4)), RuntimeError, ""),
                    (S(X(3, dtype="float32"), X(3), X(3)), RuntimeError, "bool"),
                ),
            )
        ],
        [
            Spec(
                "masked_fill",
                reference=lambda x, m, v: np.where(m, v, x),
                dtypes=ALL,
                pointwise=True,
                extremes=False,
                strides=False,
                samples=(
                    S(X(3, 4), Mask(3, 4), 2),
                    S(X(3, 4), Mask(4), 1),
                    S(X(3, 4), Mask(3, 4), X()),
                    S(X(), Mask(), 1),
                    S(X(0), Mask(0), 1),
                ),
                large=S(X(211, 307), Mask(307), 1),
                errors=(
                    (S(X(3), Mask(4), 1.0), RuntimeError, ""),
                    (S(X(3), Index(3, high=2), 1.0), RuntimeError, "bool"),
                ),
            )
        ],
    ):
        rows += one
    return rows


ROWS = [*simple(), *pairs(), *several()]
__all__ = ["ROWS", "DType", "Input", "Sample"]
