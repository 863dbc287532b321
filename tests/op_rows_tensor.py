"""Rows of reductions, scans, orders, products, shapes, indices and factories."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from op_specs import ALL, BOOL, FLOATS, INTS, REALS, Const, DType, Index, Mask, S, Spec, X

D = {"distinct": True}
OUT_OF_RANGE = (S(X(3, 4), 2), IndexError, "")


def axes(dim: Any) -> Any:
    return (
        tuple(dim) if isinstance(dim, (list, tuple)) and len(dim) else None if isinstance(dim, (list, tuple)) else dim
    )


def reduced(function: Callable[..., Any], whole: str | None = None) -> Callable[..., Any]:
    """A NumPy reduction with PyTorch's arguments."""

    def run(x: Any, dim: Any = None, keepdim: bool = False, dtype: str | None = None) -> Any:
        x = x if dtype is None else x.astype(np.float64 if dtype in FLOATS else np.int64)
        return np.asarray(function(x, axis=axes(dim), keepdims=keepdim))

    return run


def moments(function: Callable[..., Any], mean_too: bool = False) -> Callable[..., Any]:
    def run(x: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, correction: float = 1) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        correction = correction if unbiased is None else int(unbiased)
        value = np.asarray(function(x, axis=axes(dim), keepdims=keepdim, ddof=correction))
        return (value, np.asarray(np.mean(x, axis=axes(dim), keepdims=keepdim))) if mean_too else value

    return run


def logsumexp(x: Any, dim: Any, keepdim: bool = False) -> Any:
    top = np.max(x, axis=axes(dim), keepdims=True)
    total = np.log(np.sum(np.exp(x - top), axis=axes(dim), keepdims=True)) + top
    return total if keepdim else np.squeeze(total, axis=axes(dim))


def norm(x: Any, p: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    p = 2 if p is None or p == "fro" else p
    size = np.abs(np.asarray(x, dtype=np.float64))
    many = {"axis": axes(dim), "keepdims": keepdim}
    if p == math.inf:
        return np.max(size, **many)
    if p == -math.inf:
        return np.min(size, **many)
    if p == 0:
        return np.sum(size != 0, **many)
    return np.sum(size**p, **many) ** (1 / p)


def extreme(pick: Callable[..., Any], place: Callable[..., Any]) -> Callable[..., Any]:
    """max and min: of all, along a dimension with places, of two."""

    def run(x: Any, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
        if isinstance(dim, np.ndarray) or other is not None:
            return (np.maximum if pick is np.max else np.minimum)(x, dim if other is None else other)
        if dim is None:
            return np.asarray(pick(x))
        return pick(x, axis=dim, keepdims=keepdim), np.asarray(place(x, axis=dim, keepdims=keepdim))

    return run


def placed(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, dim=None, keepdim=False: np.asarray(function(x, axis=dim, keepdims=keepdim))


def scan(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, dim: int, dtype: str | None = None) -> Any:
        if x.ndim == 0:
            return x
        return function(x if dtype is None else x.astype(np.float64), axis=dim)

    return run


REDUCE = (
    S(X(3, 4)),
    S(X(3, 4), 0),
    S(X(3, 4), -1, True),
    S(X(2, 3, 4), (0, 2)),
    S(X(2, 3, 4), dim=(1,), keepdim=True),
    S(X()),
    S(X(67)),
    S(X(3, 70), 1),
    S(X(70, 3), 0),
    S(X(2, 3, 5), 1),
)
EMPTY = (S(X(0)), S(X(0, 3), 0), S(X(0, 3), 1), S(X(3, 0), 1))
BIG = S(X(257, 301), 1)
REDUCE_ERRORS = ((S(X(3, 4), 2), IndexError, "(?i)dim"), (S(X(3, 4), (0, 0)), RuntimeError, "(?i)dim"))


def reductions() -> list[Spec]:
    double = (S(X(3, 4), dtype=DType("float64")), S(X(3, 4), 1, dtype=DType("float32")))
    moment = (
        S(X(3, 4)),
        S(X(3, 4), 0),
        S(X(3, 4), -1, keepdim=True),
        S(X(2, 3, 4), (0, 2)),
        S(X(3, 4), True),
        S(X(3, 4), False),
        S(X(3, 4), 1, False),
        S(X(3, 4), dim=1, correction=0),
        S(X(3, 4), dim=0, correction=2),
        S(X(67)),
    )
    extremes = (
        S(X(3, 4, **D)),
        S(X(3, 4, **D), 0),
        S(X(3, 4, **D), -1, True),
        S(X(67, **D)),
        S(X(), 0),
        S(X()),
        S(X(2, 3, 4, **D), 1),
        S(X(3, 4), X(3, 4)),
    )
    one_dim = tuple(s for s in extremes if len(s.args) < 2 or not hasattr(s.args[1], "shape"))
    picks = (
        S(X(3, 4, **D)),
        S(X(3, 4, **D), 0),
        S(X(3, 4, **D), -1, True),
        S(X(67, **D)),
        S(X()),
        S(X(2, 3, 4, **D), 1),
        S(X(), 0),
    )
    both = (S(X(3, 4, **D)), S(X(3, 4, **D), dim=0), S(X(3, 4, **D), dim=-1, keepdim=True), S(X()))
    norms = (
        S(X(3, 4)),
        S(X(3, 4), 2, 1),
        S(X(3, 4), 1, 0, True),
        S(X(3, 4), math.inf, 1),
        S(X(3, 4), -math.inf),
        S(X(3, 4), 3, (0, 1)),
        S(X(3, 4), 0, 1),
        S(X(), 2),
        S(X(67)),
        S(X(0)),
    )
    fits = {"errors": REDUCE_ERRORS, "length": 70, "large": BIG}
    whole = {"dtypes": ALL, "errors": REDUCE_ERRORS, "differentiable": False, "large": S(X(257, 301), 1)}
    rows = [
        Spec("sum", (*REDUCE, *EMPTY, *double), reduced(np.sum), dtypes=ALL, **fits),
        Spec(
            "nansum",
            (*REDUCE, *EMPTY, *double, S(Const([1.0, math.nan, 2.0])).only(*FLOATS)),
            reduced(np.nansum),
            dtypes=ALL,
            **fits,
        ),
        Spec("mean", (*REDUCE, S(X(3, 0), 0), *double), reduced(np.mean), **fits),
        Spec("nanmean", (*REDUCE, S(Const([1.0, math.nan, 2.0])).only(*FLOATS)), reduced(np.nanmean), **fits),
        Spec(
            "prod",
            (
                S(X(3, 4)),
                S(X(3, 4), 0),
                S(X(3, 4), -1, True),
                S(X()),
                S(X(0)),
                S(X(3, 0), 1),
                S(Const([2.0, 0.0, 3.0])),
                S(Const([0.0, 0.0, 3.0])),
                S(X(3, 4), dtype=DType("float64")),
            ),
            reduced(np.prod),
            dtypes=ALL,
            length=12,
            large=S(X(257, 301, low=0.9, high=1.1), 1),
        ),
        Spec("var", moment, moments(np.var), **fits),
        Spec("std", moment, moments(np.std), **fits),
        Spec("var_mean", moment, moments(np.var, True), length=70, large=BIG),
        Spec("std_mean", moment, moments(np.std, True), length=70, large=BIG),
        Spec(
            "logsumexp",
            (
                S(X(3, 4), 0),
                S(X(3, 4), -1, True),
                S(X(2, 3, 4), (0, 2)),
                S(X(), 0),
                S(X(3, 67), 1),
                S(Const([[math.inf, 1.0], [-math.inf, -math.inf]]), 1).only("float64", "float32"),
            ),
            lambda x, dim, keepdim=False: (
                np.nan_to_num(logsumexp(x, dim, keepdim) if x.ndim else x, nan=0, posinf=math.inf, neginf=-math.inf)
                if np.isfinite(x).all()
                else np.array([math.inf, -math.inf])
            ),
            length=70,
            kinks=True,
            large=BIG,
        ),
        Spec(
            "norm",
            (*norms, S(X(3, 4), "fro"), S(X(3, 4), "fro", 1)),
            norm,
            **(fits | {"errors": ((S(X(3, 4), 2, 2), IndexError, ""),)}),
        ),
        Spec(
            "linalg.vector_norm",
            norms,
            lambda x, ord=2, dim=None, keepdim=False: norm(x, ord, dim, keepdim),
            length=70,
            large=S(X(257, 301), 2, 1),
        ),
        Spec("amax", REDUCE, reduced(np.max), dtypes=ALL, **fits),
        Spec("amin", REDUCE, reduced(np.min), dtypes=ALL, **fits),
        Spec(
            "aminmax",
            both,
            lambda x, dim=None, keepdim=False: (
                np.min(x, axis=dim if x.ndim else None, keepdims=keepdim),
                np.max(x, axis=dim if x.ndim else None, keepdims=keepdim),
            ),
            dtypes=ALL,
        ),
        Spec(
            "max",
            extremes,
            extreme(np.max, np.argmax),
            dtypes=REALS,
            errors=(
                (S(X(3, 4), 2), IndexError, "(?i)dim"),
                (S(X(0)), RuntimeError, ""),
                (S(X(0, 3), 0), IndexError, ""),
            ),
            large=BIG,
        ),
        Spec(
            "min",
            extremes,
            extreme(np.min, np.argmin),
            dtypes=REALS,
            errors=(
                (S(X(3, 4), 2), IndexError, "(?i)dim"),
                (S(X(0)), RuntimeError, ""),
                (S(X(0, 3), 0), IndexError, ""),
            ),
            large=BIG,
        ),
        Spec(
            "argmax",
            picks,
            placed(np.argmax),
            dtypes=REALS,
            errors=((S(X(3, 4), 2), IndexError, "(?i)dim"), (S(X(0)), IndexError, "")),
            differentiable=False,
            large=BIG,
        ),
        Spec(
            "argmin",
            picks,
            placed(np.argmin),
            dtypes=REALS,
            errors=((S(X(3, 4), 2), IndexError, "(?i)dim"),),
            differentiable=False,
            large=BIG,
        ),
        Spec("all", (*REDUCE, *EMPTY), reduced(np.all), **whole),
        Spec("any", (*REDUCE, *EMPTY), reduced(np.any), **whole),
        Spec(
            "count_nonzero",
            tuple(s for s in REDUCE if "keepdim" not in s.kwargs and len(s.args) < 3),
            lambda x, dim=None: np.asarray(np.count_nonzero(x, axis=axes(dim))),
            dtypes=ALL,
            differentiable=False,
        ),
        Spec(
            "median",
            (*one_dim, S(X(6, **D)), S(X(2, 6, **D), 1)),
            lambda x, dim=None, keepdim=False: (
                np.asarray(np.sort(x, axis=None)[(x.size - 1) // 2]) if dim is None else middle(x, dim, keepdim)
            ),
            dtypes=REALS,
            large=BIG,
        ),
        Spec(
            "nanmedian",
            (
                *one_dim,
                S(Const([3.0, math.nan, 1.0, 2.0, 5.0])).only(*FLOATS),
                S(Const([[3.0, math.nan, 1.0], [2.0, 5.0, 4.0]]), 1).only(*FLOATS),
            ),
            None,
            dtypes=REALS,
        ),
        Spec(
            "mode",
            (
                S(Const([[1, 2, 2, 3], [3, 3, 1, 0]])),
                S(Const([[1, 2, 2, 3], [3, 3, 1, 2]]), 1, True),
                S(X(3, 4, **D), 1),
            ),
            None,
            dtypes=REALS,
            kinks=True,
        ),
        Spec(
            "kthvalue",
            (S(X(3, 4, **D), 2), S(X(3, 4, **D), 1, 0), S(X(3, 4, **D), 3, 1, True), S(X(), 1)),
            lambda x, k, dim=-1, keepdim=False: kth(x, k, dim, keepdim),
            dtypes=REALS,
            errors=((S(X(3), 4), RuntimeError, ""), (S(X(3), 1, 1), IndexError, "")),
            large=S(X(257, 301, **D), 7),
        ),
        Spec(
            "allclose",
            (S(X(3, 4), X(3, 4)), S(Const([1.0]), Const([1.0])), S(X(3), X(3), rtol=9.0), S(X(0), X(0))),
            lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False: bool(np.allclose(a, b, rtol, atol, equal_nan)),
            dtypes=REALS,
            differentiable=False,
        ),
        Spec(
            "equal",
            (S(X(3, 4), X(3, 4)), S(Const([1.0]), Const([1.0])), S(X(3), X(4)), S(X(0), X(0))),
            lambda a, b: bool(np.array_equal(a, b)),
            dtypes=ALL,
            differentiable=False,
        ),
        Spec(
            "Tensor.sum_to_size",
            (S(X(3, 4), 1, 4), S(X(3, 4), (3, 1)), S(X(2, 3, 4), 3, 1), S(X(3), 1)),
            None,
            keywords=False,
            strides=False,
        ),
        Spec(
            "trace",
            (S(X(3, 4)), S(X(4, 3)), S(X(0, 3))),
            np.trace,
            dtypes=REALS,
            torch_dtypes=("float64", "float32", "int64"),
            errors=((S(X(3)), RuntimeError, ""),),
        ),
        Spec(
            "histc",
            (S(X(50), 7), S(X(50), bins=5, min=-1, max=1), S(X(3, 4), 4, -2, 2)),
            None,
            dtypes=("float64", "float32"),
            differentiable=False,
        ),
        Spec(
            "bincount",
            (S(Index(20, high=6)), S(Index(20, high=6), X(20)), S(Index(0, high=6)), S(Index(5, high=3), minlength=7)),
            lambda x, weights=None, minlength=0: np.bincount(x, weights, minlength),
            dtypes=("float64", "int64"),
            differentiable=False,
            length=20,
        ),
    ]
    return rows


def middle(x: Any, dim: int, keepdim: bool) -> Any:
    return kth(x, ((x.shape[dim] if x.ndim else 1) - 1) // 2 + 1, dim, keepdim)


def kth(x: Any, k: int, dim: int, keepdim: bool) -> Any:
    if x.ndim == 0:
        return x, np.asarray(0)
    order = np.take(np.argsort(x, axis=dim, kind="stable"), [k - 1], axis=dim)
    value = np.take_along_axis(x, order, axis=dim)
    return (value, order) if keepdim else (np.squeeze(value, dim), np.squeeze(order, dim))


def running(function: Callable[..., Any]) -> Callable[..., Any]:
    """cummax and cummin: the last of equal elements is the place."""

    def run(x: Any, dim: int) -> Any:
        if x.ndim == 0:
            return x, np.asarray(0)
        values = function.accumulate(x, axis=dim)
        shape = [1] * x.ndim
        shape[dim] = x.shape[dim]
        places = np.where(x == values, np.arange(x.shape[dim]).reshape(shape), 0)
        return values, np.maximum.accumulate(places, axis=dim)

    return run


def sorted_both(x: Any, dim: int = -1, descending: bool = False, stable: Any = None) -> Any:
    if x.ndim == 0:
        return x, np.asarray(0)
    key = -x if descending else x
    order = np.argsort(key, axis=dim, kind="stable")
    return np.take_along_axis(x, order, axis=dim), order


def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    if x.ndim == 0:
        return x, np.asarray(0)
    values, order = sorted_both(x, dim, largest)
    return np.take(values, range(k), axis=dim), np.take(order, range(k), axis=dim)


def scans_and_orders() -> list[Spec]:
    along = (S(X(3, 4), 0), S(X(3, 4), -1), S(X(2, 3, 4), 1), S(X(67), 0), S(X(), 0), S(X(0, 3), 0), S(X(3, 0), 0))
    wrong = ((S(X(3, 4), 2), IndexError, "(?i)dim"),)
    large = S(X(257, 301), 1)
    distinct = (S(X(3, 4, **D), 0), S(X(3, 4, **D), -1), S(X(67, **D), 0), S(X(), 0))
    orders = (
        S(X(3, 4, **D)),
        S(X(3, 4, **D), 0),
        S(X(3, 4, **D), -1, True),
        S(X(67, **D)),
        S(X()),
        S(X(0)),
        S(X(2, 3, 4, **D), 1),
    )
    stable = (
        S(Const([[2, 1, 2, 1, 1], [0, 0, 3, 3, 0]]), stable=True),
        S(Const([[2, 1, 2, 1, 1], [0, 0, 3, 3, 0]]), descending=True, stable=True),
    )
    return [
        Spec(
            "cumsum",
            (*along, S(X(3, 4), 0, dtype=DType("float64"))),
            scan(np.cumsum),
            dtypes=REALS,
            errors=wrong,
            length=67,
            large=large,
        ),
        Spec(
            "cumprod",
            (
                S(X(3, 4), 0),
                S(X(3, 4), -1),
                S(X(), 0),
                S(X(0, 3), 0),
                S(Const([2.0, 0.0, 3.0, 0.5]), 0),
                S(X(3, 4), 0, dtype=DType("float64")),
            ),
            scan(np.cumprod),
            dtypes=REALS,
            errors=wrong,
            length=8,
            large=S(X(257, 301, low=0.95, high=1.05), 1),
        ),
        Spec(
            "logcumsumexp",
            along,
            lambda x, dim: np.log(np.cumsum(np.exp(x), axis=dim)) if x.ndim else x,
            errors=wrong,
            length=67,
            large=large,
        ),
        Spec(
            "cummax",
            (*distinct, S(Const([1, 3, 3, 2, 3]), 0)),
            running(np.maximum),
            dtypes=REALS,
            errors=wrong,
            large=large,
            kinks=True,
        ),
        Spec(
            "cummin",
            (*distinct, S(Const([3, 1, 2, 1, 1]), 0)),
            running(np.minimum),
            dtypes=REALS,
            errors=wrong,
            large=large,
            kinks=True,
        ),
        Spec(
            "diff",
            (
                S(X(3, 4)),
                S(X(3, 4), 2),
                S(X(3, 4), dim=0),
                S(X(3, 4), prepend=X(3, 1)),
                S(X(3, 4), append=X(3, 2)),
                S(X(1)),
                S(X(3, 4), 0),
            ),
            lambda x, n=1, dim=-1, **k: np.diff(x, n, dim, **k) if x.dtype.kind != "b" else np.diff(x, n, dim),
            dtypes=REALS,
            errors=((S(X()), RuntimeError, ""),),
        ),
        Spec("sort", (*orders, *stable), sorted_both, dtypes=REALS, errors=wrong, large=S(X(257, 301, **D), 1)),
        Spec("argsort", orders, lambda x, *a, **k: sorted_both(x, *a, **k)[1], dtypes=REALS, differentiable=False),
        Spec("msort", (S(X(5, **D)), S(X(3, 4, **D))), lambda x: np.sort(x, 0), dtypes=REALS),
        Spec(
            "topk",
            (
                S(X(3, 6, **D), 2),
                S(X(3, 6, **D), 3, 0, False),
                S(X(67, **D), 5),
                S(X(3, 6, **D), 6),
                S(X(3, 6, **D), 0),
                S(X(), 1),
            ),
            topk,
            dtypes=REALS,
            errors=((S(X(3), 4), RuntimeError, ""), (S(X(3), 1, 1), IndexError, "")),
            large=S(X(257, 301, **D), 9),
        ),
        Spec(
            "unique",
            (
                S(Const([3, 1, 2, 1, 3])),
                S(Const([3, 1, 2, 1, 3]), return_inverse=True),
                S(Const([3, 1, 2, 1, 3]), return_inverse=True, return_counts=True),
                S(Const([[3, 1], [2, 1], [3, 1]]), dim=0),
                S(X(0)),
                S(Const([[3, 1], [2, 1]])),
            ),
            None,
            dtypes=REALS,
            differentiable=False,
            keywords=False,
        ),
        Spec(
            "unique_consecutive",
            (
                S(Const([3, 3, 1, 1, 3])),
                S(Const([3, 3, 1, 1, 3]), return_inverse=True, return_counts=True),
                S(Const([[3, 1], [3, 1], [2, 1]]), dim=0),
                S(X(0)),
            ),
            None,
            dtypes=REALS,
            differentiable=False,
            keywords=False,
        ),
        Spec(
            "searchsorted",
            (
                S(Const([1, 3, 5, 7]), Const([0, 3, 4, 9])),
                S(Const([1, 3, 5, 7]), Const([3, 5]), right=True),
                S(Const([1, 3, 5, 7]), 4),
                S(Const([[1, 3, 5], [2, 4, 6]]), Const([[3, 5], [2, 7]])),
                S(Const([1, 3, 5, 7]), Const([3, 5]), out_int32=True),
                S(Const([1, 3, 5]), Const([3]), side="right"),
            ),
            None,
            dtypes=REALS,
            differentiable=False,
        ),
        Spec(
            "bucketize",
            (
                S(Const([0, 3, 4, 9]), Const([1, 3, 5, 7])),
                S(Const([3, 5]), Const([1, 3, 5, 7]), right=True),
                S(4, Const([1, 3, 5])),
            ),
            None,
            dtypes=REALS,
            differentiable=False,
        ),
    ]


def kron_inner(a: Any, b: Any) -> Any:
    return np.inner(a, b)


def products() -> list[Spec]:
    """Matrix products; their shapes are tested at length in test_matmul.py."""
    mm = ((S(X(3, 4), X(3, 4)), RuntimeError, ""),)
    numbers = {"dtypes": (*FLOATS, "int64", "int32", "uint8"), "length": 20}
    rows = [
        Spec(
            "matmul",
            (
                S(X(3), X(3)),
                S(X(4, 3), X(3)),
                S(X(3), X(3, 5)),
                S(X(4, 3), X(3, 5)),
                S(X(2, 4, 3), X(3, 5)),
                S(X(2, 1, 4, 3), X(3, 3, 2)),
                S(X(0, 3), X(3, 2)),
                S(X(2, 0), X(0, 3)),
            ),
            np.matmul,
            errors=(*mm, (S(X(), X(3)), RuntimeError, "")),
            large=S(X(150, 90), X(90, 110)),
            **numbers,
        ),
        Spec("linalg.matmul", (S(X(4, 3), X(3, 5)), S(X(2, 4, 3), X(3))), np.matmul, errors=mm, **numbers),
        Spec(
            "mm",
            (S(X(4, 3), X(3, 5)), S(X(0, 3), X(3, 2)), S(X(2, 0), X(0, 3)), S(X(1, 20), X(20, 1))),
            np.matmul,
            errors=(*mm, (S(X(3), X(3, 3)), RuntimeError, "")),
            large=S(X(150, 90), X(90, 110)),
            **numbers,
        ),
        Spec(
            "bmm",
            (S(X(2, 4, 3), X(2, 3, 5)), S(X(0, 4, 3), X(0, 3, 5))),
            np.matmul,
            errors=((S(X(2, 4, 3), X(3, 3, 5)), RuntimeError, ""),),
            large=S(X(12, 30, 40), X(12, 40, 30)),
            **numbers,
        ),
        Spec(
            "mv",
            (S(X(4, 3), X(3)), S(X(0, 3), X(3))),
            np.matmul,
            errors=((S(X(4, 3), X(4)), RuntimeError, ""),),
            large=S(X(400, 300), X(300)),
            **numbers,
        ),
        Spec(
            "dot",
            (S(X(5), X(5)), S(X(0), X(0))),
            np.dot,
            errors=((S(X(4), X(5)), RuntimeError, ""),),
            large=S(X(70001), X(70001)),
            **numbers,
        ),
        Spec("vdot", (S(X(5), X(5)),), np.dot, errors=((S(X(4), X(5)), RuntimeError, ""),), **numbers),
        Spec("inner", (S(X(5), X(5)), S(X(3, 5), X(2, 5)), S(X(), X(3))), np.inner, **numbers),
        Spec(
            "outer", (S(X(3), X(4)), S(X(0), X(4))), np.outer, errors=((S(X(3, 1), X(4)), RuntimeError, ""),), **numbers
        ),
        Spec("ger", (S(X(3), X(4)),), np.outer, **numbers),
        Spec("kron", (S(X(2, 3), X(3, 2)), S(X(3), X(2)), S(X(2, 2), X(3))), np.kron, **numbers),
        Spec(
            "addmm",
            (
                S(X(4, 5), X(4, 3), X(3, 5)),
                S(X(5), X(4, 3), X(3, 5)),
                S(X(4, 5), X(4, 3), X(3, 5), beta=2, alpha=3),
                S(X(), X(4, 3), X(3, 5)),
            ),
            lambda c, a, b, beta=1, alpha=1: beta * c + alpha * (a @ b),
            errors=((S(X(4, 5), X(4, 3), X(4, 5)), RuntimeError, ""),),
            large=S(X(110), X(150, 90), X(90, 110)),
            **numbers,
        ),
        Spec(
            "addmv",
            (S(X(4), X(4, 3), X(3)), S(X(4), X(4, 3), X(3), beta=2, alpha=3)),
            lambda c, a, b, beta=1, alpha=1: beta * c + alpha * (a @ b),
            **numbers,
        ),
        Spec(
            "addr",
            (S(X(3, 4), X(3), X(4)), S(X(3, 4), X(3), X(4), beta=2, alpha=3).only(*REALS)),
            lambda c, a, b, beta=1, alpha=1: beta * c + alpha * np.outer(a, b),
            **numbers,
        ),
        Spec(
            "addbmm",
            (S(X(4, 5), X(2, 4, 3), X(2, 3, 5)), S(X(4, 5), X(2, 4, 3), X(2, 3, 5), beta=2, alpha=3)),
            lambda c, a, b, beta=1, alpha=1: beta * c + alpha * (a @ b).sum(0),
            **numbers,
        ),
        Spec(
            "baddbmm",
            (S(X(2, 4, 5), X(2, 4, 3), X(2, 3, 5)), S(X(4, 5), X(2, 4, 3), X(2, 3, 5), beta=2, alpha=3)),
            lambda c, a, b, beta=1, alpha=1: beta * c + alpha * (a @ b),
            **numbers,
        ),
        Spec(
            "tensordot",
            (S(X(2, 3, 4), X(3, 4, 5)), S(X(2, 3, 4), X(4, 5), 1), S(X(2, 3), X(4), 0)),
            lambda a, b, dims=2: np.tensordot(a, b, dims),
            keywords=False,
            **numbers,
        ),
        Spec(
            "einsum",
            (
                S("ij,jk->ik", X(3, 4), X(4, 2)),
                S("ii->i", X(3, 3)),
                S("bij,bjk", X(2, 3, 4), X(2, 4, 2)),
                S("i,j->ij", X(3), X(4)),
                S("...i->...", X(2, 3)),
            ),
            lambda equation, *operands: np.einsum(equation, *operands),
            keywords=False,
            errors=((S("ij,jk", X(3, 4), X(3, 4)), RuntimeError, ""),),
            strides=False,
            **numbers,
        ),
        Spec(
            "linalg.multi_dot",
            (S([X(3, 4), X(4, 2), X(2, 5)]), S([X(3), X(3, 2)])),
            np.linalg.multi_dot,
            dtypes=FLOATS,
            length=20,
        ),
    ]
    return rows


def shapes() -> list[Spec]:
    def view(name: str, samples: Any, reference: Any, **options: Any) -> Spec:
        return Spec(name, samples, reference, **({"dtypes": ALL, "view": True, "roundings": 0} | options))

    def copy(name: str, samples: Any, reference: Any, **options: Any) -> Spec:
        return Spec(name, samples, reference, **({"dtypes": ALL, "roundings": 0} | options))

    swap = (S(X(3, 4), 0, 1), S(X(2, 3, 4), -1, 0), S(X(), 0, -1))
    move = (S(X(2, 3, 4), 0, 2), S(X(2, 3, 4), (0, 1), (1, 2)))
    wrong = (S(X(3, 4), 2, 0), IndexError, "(?i)dim")
    cat = (S([X(2, 3), X(4, 3)]), S([X(2, 3), X(2, 1)], 1), S([X(2, 3), X(2, 3)], dim=-1), S([X(0), X(2)]), S([X(3)]))
    cats = {
        "errors": ((S([X(2, 3), X(2, 4)]), RuntimeError, ""), (S([X(2), X(2)], 1), IndexError, "")),
        "keywords": True,
    }
    split = (S(X(7, 3), 3), S(X(7, 3), [2, 4, 1]), S(X(3, 7), 2, 1), S(X(3, 7), [0, 7], dim=1))

    def splits(x: Any, size: Any, dim: int = 0) -> Any:
        ends = range(size, x.shape[dim], size) if isinstance(size, int) else np.cumsum(size)[:-1]
        return np.split(x, list(ends), dim)

    grow = (S(X(3, 1), 3, 4), S(X(3, 1), (2, 3, 4)), S(X(3, 1), -1, 4), S(X(), 2), S(X(1), 0))
    re = (S(X(3, 4), (2, 6)), S(X(3, 4), (-1,)), S(X(0, 3), (3, 0)), S(X(), (1, 1)), S(X(3, 4), (4, -1)))
    rows = [
        view(
            "reshape",
            re,
            np.reshape,
            errors=((S(X(3, 4), (5, 2)), RuntimeError, "shape"), (S(X(3, 4), (-1, -1)), RuntimeError, "")),
            keywords=True,
        ),
        view(
            "Tensor.view",
            (*re, S(X(3, 4), 12)),
            lambda x, *s: np.reshape(x, s[0] if isinstance(s[0], (tuple, list)) else s),
            strided=False,
            keywords=False,
            errors=((S(X(3, 4), 5, 2), RuntimeError, "shape|view"),),
        ),
        view(
            "Tensor.view_as",
            (S(X(3, 4), X(2, 6)),),
            lambda x, y: x.reshape(y.shape),
            strided=False,
            differentiable=True,
        ),
        view("Tensor.reshape_as", (S(X(3, 4), X(2, 6)),), lambda x, y: x.reshape(y.shape)),
        view("ravel", (S(X(3, 4)), S(X()), S(X(2, 0))), np.ravel),
        view(
            "flatten",
            (S(X(2, 3, 4)), S(X(2, 3, 4), 1), S(X(2, 3, 4), 0, 1), S(X()), S(X(2, 3, 4), start_dim=1, end_dim=-1)),
            lambda x, start_dim=0, end_dim=-1: (
                x.reshape(x.shape[:start_dim] + (-1,) + (x.shape[end_dim:][1:] if end_dim != -1 else ()))
                if x.ndim
                else x.reshape(1)
            ),
            errors=((S(X(2, 3, 4), 2, 1), RuntimeError, ""), (S(X(2, 3), 3), IndexError, "")),
        ),
        view(
            "unflatten",
            (S(X(2, 6), 1, (2, 3)), S(X(6), 0, (-1, 2)), S(X(2, 6), -1, (3, 2))),
            lambda x, dim, sizes: x.reshape(x.shape[: dim % x.ndim] + tuple(sizes) + x.shape[dim % x.ndim + 1 :]),
            errors=((S(X(2, 6), 1, (4, 2)), RuntimeError, ""),),
        ),
        view(
            "squeeze",
            (S(X(1, 3, 1)), S(X(1, 3, 1), 0), S(X(1, 3, 1), (0, 2)), S(X(3), 0), S(X())),
            lambda x, dim=None: x.squeeze(
                tuple(d for d in np.atleast_1d(dim) if x.shape[d] == 1) if dim is not None else None
            ),
            errors=((S(X(3), 1), IndexError, ""),),
        ),
        view(
            "unsqueeze",
            (S(X(3, 4), 0), S(X(3, 4), 1), S(X(3, 4), -1), S(X(), 0)),
            np.expand_dims,
            errors=((S(X(3), 2), IndexError, ""),),
        ),
        view("transpose", swap, lambda x, a, b: np.swapaxes(x, a, b) if x.ndim else x, errors=(wrong,)),
        view("swapaxes", swap, lambda x, a, b: np.swapaxes(x, a, b) if x.ndim else x, errors=(wrong,)),
        view("swapdims", swap, lambda x, a, b: np.swapaxes(x, a, b) if x.ndim else x, errors=(wrong,)),
        view("t", (S(X(3, 4)), S(X(3)), S(X())), np.transpose, errors=((S(X(2, 3, 4)), RuntimeError, ""),)),
        view(
            "permute",
            (S(X(2, 3, 4), (2, 0, 1)), S(X(2, 3), (-1, 0)), S(X(), ())),
            np.transpose,
            errors=((S(X(2, 3), (0, 0)), RuntimeError, ""), (S(X(2, 3), (0, 2)), IndexError, "")),
        ),
        view("movedim", move, np.moveaxis),
        view("moveaxis", move, np.moveaxis),
        view(
            "Tensor.expand",
            grow,
            lambda x, *s: np.broadcast_to(x, expanded_shape(x, s)),
            keywords=False,
            errors=((S(X(3), 4), RuntimeError, ""), (S(X(2, 3), 3), RuntimeError, "")),
            inplace=False,
        ),
        view("Tensor.expand_as", (S(X(3, 1), X(2, 3, 4)),), lambda x, y: np.broadcast_to(x, y.shape)),
        view(
            "broadcast_to",
            (S(X(3, 1), (3, 4)), S(X(3), (2, 3)), S(X(), (2, 2))),
            np.broadcast_to,
            errors=((S(X(3), (4,)), RuntimeError, ""),),
        ),
        view(
            "narrow",
            (S(X(5, 4), 0, 1, 3), S(X(5, 4), 1, -2, 2), S(X(5), 0, 2, 0)),
            lambda x, d, s, n: np.take(x, range(s % x.shape[d], s % x.shape[d] + n), d),
            errors=((S(X(5), 0, 3, 3), RuntimeError, ""), (S(X(5), 1, 0, 1), IndexError, "")),
        ),
        view(
            "select",
            (S(X(3, 4), 0, 1), S(X(3, 4), -1, -2)),
            lambda x, d, i: np.take(x, i, d),
            errors=((S(X(3, 4), 0, 3), IndexError, ""), (S(X(), 0, 0), IndexError, "")),
        ),
        view("unbind", (S(X(3, 4)), S(X(3, 4), 1)), lambda x, dim=0: list(np.moveaxis(x, dim, 0))),
        view("split", split, splits, errors=((S(X(7), [2, 4]), RuntimeError, ""), (S(X(7), -1), RuntimeError, ""))),
        view("split_with_sizes", (S(X(7, 3), [2, 4, 1]), S(X(3, 7), [3, 4], 1)), splits),
        view(
            "chunk",
            (S(X(7, 3), 3), S(X(3, 6), 2, 1), S(X(2), 5)),
            lambda x, n, dim=0: splits(x, -(-x.shape[dim] // n), dim),
            errors=((S(X(3), 0), RuntimeError, ""),),
        ),
        view(
            "diagonal",
            (S(X(3, 4)), S(X(3, 4), 1), S(X(3, 4), -1), S(X(2, 3, 4), 0, 1, 2)),
            lambda x, offset=0, dim1=0, dim2=1: np.diagonal(x, offset, dim1, dim2),
            errors=((S(X(3)), IndexError, ""),),
        ),
        view(
            "as_strided",
            (S(X(12), (3, 2), (4, 1)), S(X(12), (2, 2), (1, 3), 2), S(X(6), (4, 3), (1, 1))),
            lambda x, size, stride, storage_offset=0: np.lib.stride_tricks.as_strided(
                np.ascontiguousarray(x)[storage_offset:], size, [8 * s if x.dtype != bool else s for s in stride]
            ),
            strided=False,
            errors=((S(X(4), (3, 2), (4, 1)), RuntimeError, ""),),
        ),
        view(
            "Tensor.unfold",
            (S(X(7), 0, 3, 2), S(X(3, 5), 1, 2, 1)),
            lambda x, d, n, s: np.lib.stride_tricks.sliding_window_view(x, n, d)[
                tuple(slice(None, None, s) if i == d else slice(None) for i in range(x.ndim))
            ],
            errors=((S(X(3), 0, 4, 1), RuntimeError, ""),),
        ),
        copy("cat", cat, np_cat, large=S([X(211, 307), X(50, 307)]), **cats),
        copy("concat", cat, np_cat, **cats),
        copy("concatenate", cat, np_cat, **cats),
        copy(
            "stack",
            (S([X(2, 3), X(2, 3)]), S([X(2, 3), X(2, 3)], 1), S([X(3), X(3)], dim=-1), S([X(), X()])),
            lambda x, dim=0: np.stack(x, dim),
            errors=((S([X(2), X(3)]), RuntimeError, "size"),),
        ),
        copy(
            "flip",
            (S(X(3, 4), (0,)), S(X(3, 4), (0, 1)), S(X(3, 4), (-1,)), S(X(0, 3), (0,))),
            np.flip,
            errors=((S(X(3), (1,)), IndexError, ""),),
        ),
        copy(
            "roll",
            (S(X(7), 2), S(X(3, 4), -1, 1), S(X(3, 4), (1, 2), (0, 1)), S(X(3, 4), 5)),
            lambda x, s, d=None: np.roll(x, s, d),
        ),
        copy("tile", (S(X(3), (2,)), S(X(2, 3), (2, 2)), S(X(2, 3), (2,)), S(X(), (2, 2))), np.tile),
        copy(
            "Tensor.repeat",
            (S(X(3), 2), S(X(2, 3), 2, 1, 2), S(X(2, 3), (1, 2)), S(X(), 3), S(X(3), 0)),
            lambda x, *n: np.tile(x, n[0] if isinstance(n[0], tuple) else n),
            keywords=False,
            errors=((S(X(2, 3), 2), RuntimeError, ""),),
        ),
        copy(
            "repeat_interleave",
            (S(X(3), 2), S(X(2, 3), 2, 1), S(X(2, 3), 2), S(X(3), Const([1, 0, 2], "int64"), 0)),
            lambda x, n, dim=None: np.repeat(x, n, dim),
        ),
        copy(
            "tril",
            (S(X(3, 4)), S(X(3, 4), 1), S(X(2, 4, 3), -1), S(X(0, 3))),
            np.tril,
            errors=((S(X(3)), RuntimeError, ""),),
            large=S(X(200, 300)),
        ),
        copy(
            "triu",
            (S(X(3, 4)), S(X(3, 4), 1), S(X(2, 4, 3), -1), S(X(0, 3))),
            np.triu,
            errors=((S(X(3)), RuntimeError, ""),),
        ),
        copy("clone", (S(X(3, 4)), S(X())), np.copy, large=S(X(211, 307))),
        copy("Tensor.contiguous", (S(X(3, 4)), S(X())), np.copy, view=True),
    ]
    return rows


def np_cat(arrays: Any, dim: int = 0) -> Any:
    return np.concatenate(arrays, dim)


def expanded_shape(x: Any, size: Any) -> tuple[int, ...]:
    size = size[0] if isinstance(size[0], (tuple, list)) else size
    lead = len(size) - x.ndim
    return tuple(x.shape[i - lead] if n == -1 else n for i, n in enumerate(size))


def scattered(x: Any, dim: int, index: Any, src: Any, reduce: str | None = None) -> Any:
    out = np.array(x)
    for place in np.ndindex(*index.shape):
        target = list(place)
        target[dim] = index[place]
        value = src[place] if isinstance(src, np.ndarray) else src
        if reduce == "add":
            out[tuple(target)] += value
        elif reduce == "multiply":
            out[tuple(target)] *= value
        else:
            out[tuple(target)] = value
    return out


def index_changed(how: str) -> Callable[..., Any]:
    def run(x: Any, dim: int, index: Any, source: Any, alpha: float = 1) -> Any:
        out = np.moveaxis(np.array(x), dim, 0)
        source = np.moveaxis(source, dim, 0) if isinstance(source, np.ndarray) and source.ndim else source
        for i, place in enumerate(index):
            if how == "add":
                out[place] += alpha * source[i]
            else:
                out[place] = source[i] if how == "copy" else source
        return np.moveaxis(out, 0, dim)

    return run


def masked_scatter(x: Any, mask: Any, source: Any) -> Any:
    out = np.array(x)
    mask = np.broadcast_to(mask, x.shape)
    out[mask] = source.reshape(-1)[: mask.sum()]
    return out


def put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    out = np.array(x)
    if accumulate:
        np.add.at(out, tuple(indices), values)
    else:
        out[tuple(indices)] = values
    return out


def indexing() -> list[Spec]:
    exact: dict[str, Any] = {"dtypes": ALL, "roundings": 0}
    added = {"dtypes": REALS, "length": 5}
    once = Const([2, 0], "int64")
    return [
        Spec(
            "gather",
            (
                S(X(3, 4), 0, Index(2, 4, high=3)),
                S(X(3, 4), 1, Index(3, 6, high=4)),
                S(X(3), 0, Index(5, high=3)),
                S(X(3, 4), 1, Index(0, 4, high=4)),
            ),
            lambda x, d, i: np.take_along_axis(
                x[tuple(slice(0, n) if k != d else slice(None) for k, n in enumerate(i.shape))], i, d
            ),
            errors=(
                (S(X(3), 0, Const([3], "int64")), RuntimeError, ""),
                (S(X(3, 4), 0, Const([0], "int64")), RuntimeError, ""),
                (S(X(3), 0, Const([1.0], "float32", grad=False)), RuntimeError, "int64"),
            ),
            large=S(X(300, 300), 1, Index(300, 300, high=300)),
            **exact,
        ),
        Spec(
            "take_along_dim",
            (S(X(3, 4), Index(3, 2, high=4), 1), S(X(3, 4), Index(5, high=12)), S(X(3, 4), Index(1, 4, high=3), 0)),
            lambda x, i, dim=None: np.take_along_axis(x, i, dim),
            **exact,
        ),
        Spec(
            "take",
            (S(X(3, 4), Index(5, high=12)), S(X(3, 4), Index(2, 2, high=12, low=-12))),
            np.take,
            errors=((S(X(3), Const([3], "int64")), IndexError, ""),),
            **exact,
        ),
        Spec(
            "index_select",
            (
                S(X(3, 4), 0, Index(5, high=3)),
                S(X(3, 4), -1, Index(2, high=4)),
                S(X(3, 4), 0, Index(0, high=3)),
                S(X(3), 0, Const([1, 1], "int32")),
            ),
            lambda x, d, i: np.take(x, i, d),
            errors=(
                (S(X(3), 0, Const([3], "int64")), IndexError, ""),
                (S(X(3), 1, Const([0], "int64")), IndexError, ""),
                (S(X(3), 0, Const([0.0], "float32", grad=False)), RuntimeError, ""),
            ),
            large=S(X(300, 300), 0, Index(500, high=300)),
            **exact,
        ),
        Spec(
            "index_add",
            (
                S(X(3, 4), 0, Index(5, high=3), X(5, 4)),
                S(X(3, 4), 1, Index(2, high=4), X(3, 2)),
                S(X(3, 4), 0, Index(2, high=3), X(2, 4), alpha=2).only(*REALS),
                S(X(3), 0, Index(5, high=3), X(5)),
            ),
            index_changed("add"),
            errors=(
                (S(X(3), 0, Const([3], "int64"), X(1)), IndexError, ""),
                (S(X(3, 4), 0, Const([0], "int64"), X(2, 4)), (IndexError, RuntimeError), ""),
            ),
            large=S(X(300, 300), 0, Index(500, high=300), X(500, 300)),
            **added,
        ),
        Spec(
            "index_copy",
            (S(X(3, 4), 0, once, X(2, 4)), S(X(3, 4), 1, once, X(3, 2))),
            index_changed("copy"),
            errors=((S(X(3), 0, Const([3], "int64"), X(1)), IndexError, ""),),
            **exact,
        ),
        Spec(
            "index_fill",
            (S(X(3, 4), 0, once, 2), S(X(3, 4), 1, once, 1), S(X(3, 4), 1, once, X())),
            index_changed("fill"),
            errors=((S(X(3), 0, Const([3], "int64"), 1.0), IndexError, ""),),
            **exact,
        ),
        Spec(
            "index_put",
            (
                S(X(3, 4), [Const([0, 2], "int64")], X(2, 4)),
                S(X(3, 4), [Const([0, 2], "int64"), Const([1, 3], "int64")], X(2)),
                S(X(3, 4), [Const([0, 0], "int64")], X(2, 4), True),
            ),
            put,
            dtypes=REALS,
            length=4,
            errors=((S(X(3), [Const([3], "int64")], X(1)), IndexError, ""),),
        ),
        Spec(
            "masked_select",
            (S(X(3, 4), Mask(3, 4)), S(X(3, 4), Mask(4)), S(X(), Mask()), S(X(0), Mask(0))),
            lambda x, m: x[np.broadcast_to(m, x.shape)] if x.ndim else x.reshape(1)[m.reshape(1)],
            errors=((S(X(3), Mask(4)), RuntimeError, ""),),
            **exact,
        ),
        Spec("masked_scatter", (S(X(3, 4), Mask(3, 4), X(12)), S(X(3, 4), Mask(4), X(3, 4))), masked_scatter, **exact),
        Spec(
            "nonzero",
            (S(X(3, 4)), S(Mask(3, 4)), S(X(0)), S(X()), S(Mask(67))),
            lambda x: np.argwhere(x),
            differentiable=False,
            strides=False,
            keywords=False,
            **exact,
        ),
        Spec(
            "scatter",
            (
                S(X(3, 4), 0, Const([[2, 0, 1, 1], [0, 1, 2, 0]], "int64"), X(2, 4)),
                S(X(3, 4), 1, Const([[3, 0], [1, 2]], "int64"), 2),
                S(X(3, 4), 1, Const([[3], [1]], "int64"), X(3, 4)),
                S(X(3, 4), 0, Index(5, 4, high=3), X(5, 4), reduce="add").only(*INTS),
                S(X(3, 4), 0, Index(2, 4, high=3), X(2, 4), reduce="multiply").only("int64"),
            ),
            scattered,
            dtypes=REALS,
            errors=(
                (S(X(3), 0, Const([3], "int64"), X(1)), RuntimeError, ""),
                (S(X(3, 4), 0, Const([0], "int64"), X(1)), RuntimeError, ""),
            ),
            keywords=True,
        ),
        Spec(
            "scatter_add",
            (
                S(X(3, 4), 0, Index(5, 4, high=3), X(5, 4)),
                S(X(3, 4), 1, Index(2, 3, high=4), X(3, 4)),
                S(X(3), 0, Index(9, high=3), X(9)),
            ),
            lambda x, d, i, s: scattered(x, d, i, s, "add"),
            large=S(X(300, 300), 0, Index(300, 300, high=300), X(300, 300)),
            errors=((S(X(3), 0, Const([3], "int64"), X(1)), RuntimeError, ""),),
            **(added | {"length": 10}),
        ),
        Spec(
            "nn.one_hot",
            (S(Index(3, 2, high=4)), S(Index(5, high=4), 6), S(Index(high=3), 3)),
            lambda x, n=-1: np.eye(n if n > 0 else x.max() + 1, dtype=np.int64)[x],
            dtypes=("int64",),
            differentiable=False,
            errors=((S(Const([3], "int64"), 2), RuntimeError, ""), (S(Const([-1], "int64"), 2), RuntimeError, "")),
        ),
    ]


def factories() -> list[Spec]:
    """Tensors from sizes and numbers; the dtype under test is an argument of its own."""
    made = {"differentiable": False, "dtypes": ALL, "strided": False}
    like = {"differentiable": False, "dtypes": ALL}
    given = {**made, "dtypes": ("float32",)}
    negative = (S((-1,)), RuntimeError, "(?i)negative")
    return [
        Spec(
            "zeros",
            (S(3, 4), S((2, 0)), S(()), S((3,), dtype=DType("int64")), S(2, dtype=DType("bool"))),
            lambda *s, dtype=None: np.zeros(s[0] if isinstance(s[0], tuple) else s),
            keywords=False,
            errors=(negative,),
            **given,
        ),
        Spec(
            "ones",
            (S(3, 4), S((2, 0)), S(()), S((3,), dtype=DType("int64")), S(2, dtype=DType("bool"))),
            lambda *s, dtype=None: np.ones(s[0] if isinstance(s[0], tuple) else s),
            keywords=False,
            errors=(negative,),
            **given,
        ),
        Spec(
            "empty",
            (S(3, 4), S((2, 0)), S(()), S((3,), dtype=DType("int64"))),
            None,
            values=False,
            keywords=False,
            errors=(negative,),
            **given,
        ),
        Spec(
            "empty_strided", (S((3, 4), (1, 3)), S((2, 2), (4, 2), dtype=DType("int64"))), None, values=False, **given
        ),
        Spec(
            "full",
            (S((3, 4), 2.5), S((2,), 3), S((2,), True), S((), 1.5), S((2,), 3, dtype=DType("float64"))),
            lambda s, v, dtype=None: np.full(s, v),
            errors=((S((-1,), 0), RuntimeError, ""),),
            **given,
        ),
        Spec(
            "eye",
            (S(3), S(3, 4), S(0), S(2, dtype=DType("int64"))),
            lambda n, m=None, dtype=None: np.eye(n, m),
            errors=((S(-1), RuntimeError, ""),),
            **given,
        ),
        Spec(
            "arange",
            (S(5), S(1, 5), S(1, 6, 2), S(0.5, 3), S(5, 1, -1.5), S(0), S(2, dtype=DType("float64")), S(1, 2, 0.1)),
            lambda *a, dtype=None: np.arange(*a),
            keywords=False,
            errors=((S(1, 5, 0), RuntimeError, ""), (S(1, 5, -1), RuntimeError, "")),
            **given,
        ),
        Spec(
            "linspace",
            (S(0, 1, 5), S(-1.5, 2, 8), S(0, 10, 1), S(0, 1, 0), S(0, 10, 6, dtype=DType("int64")), S(3, 3, 4)),
            lambda a, b, n, dtype=None: np.linspace(a, b, n),
            errors=((S(0, 1, -1), RuntimeError, ""),),
            **given,
        ),
        Spec(
            "logspace",
            (S(0, 1, 5), S(-1, 2, 4), S(0, 3, 4, 2.0), S(0, 1, 0)),
            lambda a, b, n, base=10.0, dtype=None: np.logspace(a, b, n, base=base),
            roundings=64,
            **given,
        ),
        Spec(
            "tril_indices",
            (S(3, 4), S(3, 3, -1), S(3, 4, 1), S(0, 3)),
            lambda r, c, o=0: np.stack(np.tril_indices(r, o, c)),
            **given,
        ),
        Spec(
            "triu_indices",
            (S(3, 4), S(3, 3, -1), S(3, 4, 1), S(0, 3)),
            lambda r, c, o=0: np.stack(np.triu_indices(r, o, c)),
            **given,
        ),
        Spec(
            "zeros_like",
            (S(X(3, 4)), S(X()), S(X(0, 2)), S(X(2), dtype=DType("float64"))),
            lambda x, dtype=None: np.zeros(x.shape),
            **like,
        ),
        Spec(
            "ones_like",
            (S(X(3, 4)), S(X()), S(X(0, 2)), S(X(2), dtype=DType("float64"))),
            lambda x, dtype=None: np.ones(x.shape),
            **like,
        ),
        Spec(
            "full_like",
            (S(X(3, 4), 1), S(X(), 0), S(X(0, 2), 1), S(X(2), 2.5, dtype=DType("float64"))),
            lambda x, v, dtype=None: np.full(x.shape, v),
            **like,
        ),
        Spec("empty_like", (S(X(3, 4)), S(X()), S(X(2), dtype=DType("float64"))), None, values=False, **like),
        Spec(
            "Tensor.new_zeros",
            (S(X(3), 2, 3), S(X(3), (2,)), S(X(3), (), dtype=DType("int64"))),
            lambda x, *s, dtype=None: np.zeros(s[0] if isinstance(s[0], tuple) else s),
            keywords=False,
            **like,
        ),
        Spec(
            "Tensor.new_ones",
            (S(X(3), 2, 3), S(X(3), (2,)), S(X(3), (), dtype=DType("int64"))),
            lambda x, *s, dtype=None: np.ones(s[0] if isinstance(s[0], tuple) else s),
            keywords=False,
            **like,
        ),
        Spec("Tensor.new_full", (S(X(3), (2, 3), 1), S(X(3), (), 0)), lambda x, s, v: np.full(s, v), **like),
        Spec("Tensor.new_empty", (S(X(3), 2, 3), S(X(3), (2,))), None, values=False, keywords=False, **like),
        Spec(
            "fill_",
            (S(X(3, 4, grad=False), 1), S(X(grad=False), 0), S(X(3, grad=False), X())),
            lambda x, v: np.full(x.shape, v),
            dtypes=ALL,
            view=True,
            inplace=False,
        ),
        Spec(
            "zero_",
            (S(X(3, 4, grad=False)), S(X(grad=False))),
            lambda x: np.zeros(x.shape),
            dtypes=ALL,
            view=True,
            differentiable=False,
            inplace=False,
        ),
        Spec(
            "Tensor.copy_",
            (
                S(X(3, 4, grad=False), X(3, 4)),
                S(X(3, 4, grad=False), X(4)),
                S(X(3, grad=False), Const([1, 0, 2], "float32")).only(*FLOATS).rough(),
                S(X(grad=False), X()),
            ),
            lambda x, y: np.broadcast_to(y, x.shape),
            dtypes=ALL,
            view=True,
            inplace=False,
            errors=((S(X(3, grad=False), X(4)), RuntimeError, ""),),
        ),
    ]


ROWS = [*reductions(), *scans_and_orders(), *products(), *shapes(), *indexing(), *factories()]
__all__ = ["BOOL", "ROWS", "dataclasses"]
