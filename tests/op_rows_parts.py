"""Rows of diagonals, replaced parts, scattered reductions, statistics, integrals and factories."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from op_specs import ALL, INTS, REALS, Const, Index, S, Spec, X

WIDE = ("float64", "float32")


def diag_embed(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> np.ndarray:
    n = x.shape[-1] + abs(offset)
    out = np.zeros((*x.shape[:-1], n, n), dtype=x.dtype)
    i = np.arange(x.shape[-1])
    out[..., i + max(0, -offset), i + max(0, offset)] = x
    return np.moveaxis(out, (-2, -1), (dim1, dim2)) if (dim1, dim2) != (-2, -1) else out


def replaced(place: Any) -> Any:
    """A copy with another array at `place(copy, arguments)`."""

    def run(x: Any, src: Any, *args: Any, **kwargs: Any) -> np.ndarray:
        out = x.copy()
        place(out, *args, **kwargs)[...] = src
        return out

    return run


def sliced(x: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    return x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)]


def selected(x: Any, dim: int, index: int) -> Any:
    return np.moveaxis(x, dim, 0)[index]


def put(x: Any, index: Any, source: Any, accumulate: bool = False) -> np.ndarray:
    out = x.copy()
    flat = out.reshape(-1)
    for at, value in zip(index.reshape(-1), source.reshape(-1), strict=True):
        flat[at] = flat[at] + value if accumulate else value
    return out


def combinations(x: Any, r: int = 2, with_replacement: bool = False) -> np.ndarray:
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    found = np.array(list(choose(x, r)), dtype=x.dtype)
    return found.reshape(-1, r) if r else np.empty(0, dtype=x.dtype)


def scatter_reduce(x: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool = True) -> np.ndarray:
    places: dict[tuple[int, ...], list[Any]] = {}
    for at in np.ndindex(index.shape):
        target = list(at)
        target[dim] = index[at]
        places.setdefault(tuple(target), []).append(src[at])
    rule = {"sum": np.sum, "prod": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min}[reduce]
    out = x.copy()
    for at, values in places.items():
        result = rule([*([x[at]] if include_self else []), *values])
        out[at] = np.floor(result) if x.dtype.kind != "f" else result
    return out


def index_reduce(x: Any, dim: int, index: Any, source: Any, reduce: str, include_self: bool = True) -> np.ndarray:
    shape = [1] * source.ndim
    shape[dim] = -1
    return scatter_reduce(x, dim, np.broadcast_to(index.reshape(shape), source.shape), source, reduce, include_self)


def quantile(nan: bool) -> Any:
    def run(x: Any, q: Any, dim: Any = None, keepdim: bool = False, interpolation: str = "linear") -> np.ndarray:
        rule = np.nanquantile if nan else np.quantile
        return np.asarray(rule(x, q, axis=dim, keepdims=keepdim, method=interpolation))

    return run


def cdist(a: Any, b: Any, p: float = 2.0, compute_mode: str = "") -> np.ndarray:
    difference = np.abs(a[..., :, None, :] - b[..., None, :, :])
    if p == 0:
        return (difference != 0).sum(-1).astype(np.float64)
    return difference.max(-1) if np.isinf(p) else (difference**p).sum(-1) ** (1 / p)


def renorm(x: Any, p: float, dim: int, maxnorm: float) -> np.ndarray:
    axes = tuple(i for i in range(x.ndim) if i != dim % x.ndim)
    norm = (np.abs(x) ** p).sum(axes, keepdims=True) ** (1 / p)
    return x * np.where(norm > maxnorm, maxnorm / (norm + 1e-7), 1.0)


def trapezoid(y: Any, x: Any = None, dx: float = 1, dim: int = -1) -> np.ndarray:
    return np.asarray(np.trapezoid(y, x, dx, dim))


def cumulative(y: Any, x: Any = None, dx: float = 1, dim: int = -1) -> np.ndarray:
    y = np.moveaxis(np.asarray(y, dtype=np.float64), dim, -1)
    widths = dx if x is None else np.diff(x)
    return np.moveaxis(np.cumsum((y[..., 1:] + y[..., :-1]) * widths / 2, -1), -1, dim)


def isin(x: Any, tests: Any, assume_unique: bool = False, invert: bool = False) -> np.ndarray:
    return np.asarray(np.isin(x, tests, invert=invert))


def as_strided(x: Any, size: Any, stride: Any, offset: int = 0) -> Any:
    return np.lib.stride_tricks.as_strided(x.reshape(-1)[offset:], size, [s * x.itemsize for s in stride])


EXACT: dict[str, Any] = {"dtypes": ALL, "roundings": 0.0}


def parts() -> list[Spec]:
    embed = [S(X(3)), S(X(2, 3)), S(X(2, 3), 1), S(X(2, 3), -2), S(X(2, 3), 0, 0, 2), S(X(2, 3), dim1=0, dim2=1)]
    return [
        Spec("diag", [S(X(4)), S(X(3), 1), S(X(3, 4)), S(X(3, 4), -1), S(X(3, 4), diagonal=9)], lambda x, diagonal=0: np.diag(x, diagonal) if x.ndim == 1 or diagonal < x.shape[1] else np.empty(0, x.dtype), errors=[(S(X(2, 2, 2)), RuntimeError, "Supports 1D or 2D")], **EXACT),
        Spec("diag_embed", embed, diag_embed, errors=[(S(X(2, 3), 0, 1, 1), RuntimeError, "cannot be identical")], **EXACT),
        Spec("diagflat", [S(X(3)), S(X(2, 2), 1), S(X(), -1)], lambda x, offset=0: np.diagflat(x, offset), **EXACT),
        Spec("select_scatter", [S(X(3, 4), X(4), 0, 1), S(X(3, 4), X(3), 1, -1)], replaced(selected), errors=[(S(X(3, 4), X(3), 0, 1), RuntimeError, "size")], **EXACT),
        Spec("slice_scatter", [S(X(4, 3), X(2, 3), 0, 1, 3), S(X(4, 6), X(4, 3), dim=1, start=1, step=2), S(X(2, 3), X(2, 3))], replaced(sliced), errors=[(S(X(3, 4), X(3), 0, 1), RuntimeError, "size")], **EXACT),
        Spec("diagonal_scatter", [S(X(3, 4), X(3)), S(X(3, 4), X(2), -1), S(X(2, 3, 3), X(2, 2), 1, 1, 2)], None, **EXACT),
        Spec("as_strided_scatter", [S(X(3, 4), X(2, 2), [2, 2], [1, 2]), S(X(12), X(3, 2), [3, 2], [4, 1], 1)], replaced(as_strided), strided=False, differentiable=False, note="torch's gradient fails its own gradcheck; ours: tests/test_compatibility.py", **EXACT),
        Spec("put", [S(X(3, 4), Index(3, high=12, distinct=True), X(3)), S(X(6), Index(2, 2, high=6), X(4), True), S(X(), Index(1, high=1), X(1))], put, errors=[(S(X(3), Index(2, high=3), X(3)), IndexError, "same number")], dtypes=REALS),
        Spec("fliplr", [S(X(2, 3)), S(X(2, 3, 2))], np.fliplr, errors=[(S(X(3)), RuntimeError, ">= 2-d")], **EXACT),
        Spec("flipud", [S(X(3)), S(X(2, 3))], np.flipud, errors=[(S(X()), RuntimeError, ">= 1-d")], **EXACT),
        Spec("rot90", [S(X(2, 3), k) for k in (0, 1, 2, 3, -1, 6)] + [S(X(2, 3, 2), 1, [1, 2]), S(X(2, 3, 2), 3, [0, -1])], lambda x, k=1, dims=(0, 1): np.rot90(x, k, dims), errors=[(S(X(2, 3), 1, [0, 0]), RuntimeError, "different"), (S(X(3)), RuntimeError, "total dims >= 2")], **EXACT),
        Spec("argwhere", [S(X(3, 4)), S(X(5)), S(X())], np.argwhere, differentiable=False, dtypes=ALL, domain=(-1.0, 1.0)),
        Spec("nonzero_static", [S(X(3, 4), size=5), S(X(3, 4), size=20, fill_value=7), S(X(3), size=0)], None, differentiable=False, dtypes=ALL),
        Spec("combinations", [S(X(4)), S(X(4), 3), S(X(3), 2, True), S(X(3), 3, True), S(X(2), 3), S(X(0)), S(X(3), r=1), S(X(3), 0)], combinations, errors=[(S(X(2, 2)), RuntimeError, "1D")], **EXACT),
        Spec("fill", [S(X(3, 4), 2), S(X(), 1), S(X(3), Const(2.0))], lambda x, value: np.full_like(x, value), dtypes=REALS, inplace=False),
        Spec("unsafe_chunk", [S(X(4, 3), 2), S(X(5), 2, 0)], lambda x, n, d=0: np.array_split(x, n, d), **EXACT),
        Spec("unsafe_split", [S(X(4, 3), 2), S(X(4, 3), 1, 1)], lambda x, n, d=0: np.split(x, x.shape[d] // n, d), **EXACT),
        Spec("unsafe_split_with_sizes", [S(X(4, 3), [1, 3]), S(X(4, 3), [1, 2], 1)], lambda x, n, d=0: np.split(x, [n[0]], d), **EXACT),
    ]  # fmt: skip


def reductions() -> list[Spec]:
    index = Index(3, 4, high=3)
    rules = ("sum", "prod", "mean", "amax", "amin")
    scattered = [S(X(3, 4), 0, index, X(3, 4), rule, include_self=own) for rule in rules for own in (True, False)]
    scattered += [S(X(3, 5), 1, Index(2, 4, high=5), X(3, 4), rule) for rule in rules]
    scattered += [S(X(4), 0, Index(6, high=4), Const([0.0, 2.0, 0.0, 1.0, 3.0, 0.0]), "prod").only("float64")]
    rows = [
        S(X(3, 4), 0, Index(5, high=3), X(5, 4), rule, include_self=own) for rule in rules[1:] for own in (True, False)
    ]
    rows += [S(X(3, 4), -1, Index(2, high=4), X(3, 2), "amax")]
    wrong = [(S(X(3), 0, Index(3, high=3), X(3), "median"), RuntimeError, "mean, amax or amin")]
    return [
        Spec("scatter_reduce", scattered, scatter_reduce, dtypes=("float64", "float32", *INTS[:3]), roundings=12.0, errors=wrong, integers=(0, 5)),
        Spec("index_reduce", rows, index_reduce, dtypes=("float64", "float32", *INTS[:3]), roundings=12.0, errors=wrong, integers=(0, 5)),
    ]  # fmt: skip


def statistics() -> list[Spec]:
    q = Const([0.0, 0.3, 0.5, 1.0], grad=False)
    nans = Const([[1.0, np.nan, 3.0], [2.0, 0.5, np.nan]], dtype="float64", grad=False)
    quantiles = [
        S(X(3, 4), 0.4),
        S(X(3, 4), 0.4, 1),
        S(X(3, 4), q, 0),
        S(X(3, 4), q, -1, True),
        S(X(3, 4), q, keepdim=True),
        S(X(5), 1.0),
        S(X(), 0.5),
    ]
    quantiles += [S(X(3, 4), q, 1, interpolation=how) for how in ("lower", "higher", "midpoint", "nearest")]
    pairs = [S(X(3, 4), X(5, 4), p) for p in (2.0, 1.0, 3.0, float("inf"))] + [
        S(X(2, 3, 4), X(2, 4), 1.0),
        S(X(30, 3), X(4, 3)),
    ]
    weights = {"fweights": Index(5, low=1, high=4), "aweights": X(5, low=0.5, high=2.0)}
    return [
        Spec("cdist", pairs, cdist, dtypes=WIDE, roundings=24.0, scale=1.0, gradients=1e-6, twice=False, errors=[(S(X(3), X(3, 3)), RuntimeError, "at least 2D"), (S(X(2, 3), X(2, 4)), RuntimeError, "same number of columns")]),
        Spec("dist", [S(X(3, 4), X(3, 4)), S(X(3), X(2, 3), 1), S(X(4), X(4), float("inf")), S(X(4), X(), 3)], lambda a, b, p=2: np.asarray(np.linalg.norm((a - b).reshape(-1), p)), dtypes=WIDE, roundings=16.0),
        Spec("renorm", [S(X(3, 4), 2, 0, 1.0), S(X(2, 3, 2), 1, 1, 2.0), S(X(3, 4), 3, -1, 100.0)], renorm, dtypes=WIDE, roundings=24.0, gradients=1e-6, errors=[(S(X(3), 2, 0, 1.0), RuntimeError, "at least 2 dimensions"), (S(X(3, 3), 0, 0, 1.0), RuntimeError, "non-positive-norm")]),
        Spec("cross", [S(X(3), X(3)), S(X(4, 3), X(4, 3), 1), S(X(3, 2), X(3, 2)), S(X(2, 3), X(1, 3), dim=-1)], lambda a, b, dim=None: np.cross(a, b, axis=-1 if dim is None and a.ndim == 1 else 0 if dim is None else dim), dtypes=REALS, scale=2.0, errors=[(S(X(2, 4), X(2, 4)), RuntimeError, "dimension of size 3")]),
        Spec("cov", [S(X(3, 5)), S(X(5)), S(X(3, 5), correction=0), S(X(3, 5), **weights), S(X(3, 5), aweights=weights["aweights"])], lambda x, correction=1, fweights=None, aweights=None: np.asarray(np.cov(x, ddof=correction, fweights=fweights, aweights=aweights)), dtypes=WIDE, roundings=24.0, scale=1.0, errors=[(S(X(2, 2, 2)), RuntimeError, "two or fewer dimensions")]),
        Spec("corrcoef", [S(X(3, 5)), S(X(4, 9))], np.corrcoef, dtypes=WIDE, roundings=32.0, scale=1.0),
        Spec("quantile", quantiles, quantile(False), dtypes=WIDE, roundings=16.0, errors=[(S(X(3), 2.0), RuntimeError, "range"), (S(X(0), 0.5), RuntimeError, "non-empty")]),
        Spec("nanquantile", [*quantiles, S(nans, 0.5, 1).only("float64")], quantile(True), dtypes=WIDE, roundings=16.0),
        Spec("trapezoid", [S(X(3, 4)), S(X(3, 4), dx=0.5, dim=0), S(X(3, 4), X(4)), S(X(3, 4), X(3, 4), dim=1)], trapezoid, dtypes=WIDE, roundings=16.0, scale=1.0),
        Spec("trapz", [S(X(3, 4)), S(X(3, 4), X(4))], trapezoid, dtypes=WIDE, roundings=16.0, scale=1.0),
        Spec("cumulative_trapezoid", [S(X(3, 4)), S(X(3, 4), dx=0.5, dim=0), S(X(3, 4), X(4))], cumulative, dtypes=WIDE, roundings=16.0, scale=1.0),
        Spec("isin", [S(X(3, 4), X(5)), S(X(3), X(2, 2), invert=True), S(X(5), 1), S(X(0), X(3)), S(X(3), X(0)), S(X(3), Const([1.0, 2.0]), assume_unique=True)], isin, dtypes=REALS, differentiable=False, integers=(0, 4)),
    ]  # fmt: skip


def factories() -> list[Spec]:
    fresh: dict[str, Any] = {"differentiable": False, "dtypes": ("float32",)}
    return [
        Spec("empty_permuted", [S((2, 3, 4), (2, 0, 1)), S((), ())], None, values=False, **fresh),
        Spec("scalar_tensor", [S(2), S(1.5), S(True)], lambda s: np.asarray(float(s)), **fresh),
        Spec("range", [S(1, 4), S(1, 2.5, 0.5), S(4, 1, -1)], lambda a, b, step=1: np.arange(a, b + step * 1e-6, step) * 1.0, keywords=False, **fresh),
        Spec("Tensor.new_empty_strided", [S(X(3), (2, 3), (1, 2)), S(X(3), (), ())], None, values=False, differentiable=False, dtypes=ALL),
        Spec("Tensor.float_power_", [S(X(3, 4), 2), S(X(3), X(3))], lambda x, n: np.power(x, n), dtypes=("float64",), domain=(0.5, 2.0), differentiable=False),
    ]  # fmt: skip


ROWS = [*parts(), *reductions(), *statistics(), *factories()]
