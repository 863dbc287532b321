"""Sorting, selection, unique elements, searching and counting, against torch and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from op_parity import check, check_error, samples

import fastnn

DTYPES = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
LENGTHS = [0, 1, 5, 24, 25, 100, 513, 3000]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("descending", [False, True])
def test_sort_is_stable(dtype: str, n: int, descending: bool) -> None:
    """The indices are decided by stability: equal elements keep their order."""
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(n).integers(-20, 20, (3, n))
    out = []
    for f in (fastnn, torch):
        x = f.tensor(values.tolist(), dtype=f.int64).reshape(3, n).to(getattr(f, dtype))
        v, i = f.sort(x, dim=1, descending=descending, stable=True)
        out.append((v.tolist(), i.tolist()))
    assert out[0] == out[1]


def test_sort_puts_nan_last_and_keeps_signed_zeros_in_order() -> None:
    row = [math.nan, 1.0, -math.inf, 0.0, -0.0, math.inf, math.nan, -1.0]
    for descending in (False, True):
        check(lambda f, a, d=descending: f.sort(a, descending=d, stable=True), np.array([row] * 2), order=0)
    values, _ = fastnn.sort(fastnn.tensor([0.0, -0.0]))
    assert [math.copysign(1, v) for v in values.tolist()] == [1.0, -1.0]


@pytest.mark.parametrize("dim", [0, 1, 2, -2])
def test_sort_gradients(dim: int) -> None:
    check(lambda f, a: f.sort(a, dim), *samples((4, 5, 6)))
    check(lambda f, a: a.transpose(0, 2).sort(dim, True), *samples((4, 5, 6)))
    check(lambda f, a: f.argsort(a, dim), *samples((4, 5, 6)), order=0)
    check(lambda f, a: f.msort(a), *samples((4, 5)))


@pytest.mark.parametrize("k", [0, 1, 3, 20, 100, 999, 1000])
@pytest.mark.parametrize("largest", [False, True])
def test_topk(k: int, largest: bool) -> None:
    (x,) = samples((3, 1000))
    check(lambda f, a: f.topk(a, k, largest=largest), x, order=1 if k else 0)
    check(lambda f, a: f.topk(a.t(), k, dim=0, largest=largest), x, order=0)
    ours = fastnn.topk(fastnn.tensor(x.tolist()), k, largest=largest, sorted=False)[0]
    np.testing.assert_array_equal(
        np.sort(ours.numpy(), 1), np.sort(fastnn.topk(fastnn.tensor(x.tolist()), k, largest=largest)[0].numpy(), 1)
    )


def test_topk_counts_nan_as_greatest() -> None:
    row = np.array([1.0, math.nan, 3.0, -math.inf, 2.0])
    for largest in (False, True):
        check(lambda f, a, b=largest: f.topk(a, 3, largest=b)[0], row, order=0)


@pytest.mark.parametrize("shape", [(0,), (1,), (12,), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("counts", [False, True])
def test_unique(shape: tuple[int, ...], inverse: bool, counts: bool) -> None:
    torch = pytest.importorskip("torch")
    values = np.random.default_rng(1).integers(0, 4, shape)
    for function in ("unique", "unique_consecutive"):
        for dim in (None, *range(len(shape))):
            if 0 in shape and dim is not None:
                continue
            ours, theirs = (
                getattr(f, function)(
                    f.tensor(values.tolist(), dtype=f.int64), return_inverse=inverse, return_counts=counts, dim=dim
                )
                for f in (fastnn, torch)
            )
            ours = ours if isinstance(ours, tuple) else (ours,)
            theirs = theirs if isinstance(theirs, tuple) else (theirs,)
            assert [t.tolist() for t in ours] == [t.tolist() for t in theirs], (function, dim)


def test_unique_of_floats_counts_each_nan() -> None:
    values = fastnn.tensor([2.0, math.nan, 1.0, math.nan, 2.0]).unique()
    assert values.tolist()[:2] == [1.0, 2.0]
    assert len(values.tolist()) == 4


@pytest.mark.parametrize("right", [False, True])
def test_searchsorted(right: bool) -> None:
    (values,) = samples((3, 7))
    rows = np.sort(samples((3, 20), seed=1)[0], 1)
    rows[:, 5] = rows[:, 6] = values[:, :1].repeat(3, 1)[:, 0]
    rows.sort(1)
    check(lambda f, a, b: f.searchsorted(a, b, right=right), rows, values, order=0)
    check(lambda f, a, b: f.searchsorted(a[0], b, right=right), rows, values, order=0)
    check(lambda f, a, b: f.bucketize(b, a[0], right=right), rows, values, order=0)
    check(
        lambda f, a, b: f.searchsorted(a[0], b, side="right" if right else "left", out_int32=True),
        rows,
        values,
        order=0,
    )
    check(
        lambda f, a, b: f.searchsorted(a.flip(1), b, right=right, sorter=f.arange(19, -1, -1).repeat(3, 1)),
        rows,
        values,
        order=0,
    )
    assert fastnn.searchsorted(fastnn.tensor([1, 3, 5]), 3, right=right).item() == (2 if right else 1)


def test_bincount_and_histc() -> None:
    torch = pytest.importorskip("torch")
    x = [3, 1, 1, 0, 7]
    for f in (fastnn, torch):
        assert f.bincount(f.tensor(x)).tolist() == [1, 2, 0, 1, 0, 0, 0, 1]
        assert f.bincount(f.tensor(x), minlength=10).tolist() == [1, 2, 0, 1, 0, 0, 0, 1, 0, 0]
        assert f.bincount(f.tensor(x), f.tensor([0.5, 1, 2, 3, 4])).tolist() == [3, 3, 0, 0.5, 0, 0, 0, 4]
        assert f.bincount(f.tensor([], dtype=f.int64)).tolist() == []
    values = samples((1000,))[0]
    check(lambda f, a: f.histc(a, bins=17), values, order=0)
    check(lambda f, a: f.histc(a, bins=5, min=-1, max=1), values, order=0)
    check(lambda f, a: f.histc(a * 0 + 3, bins=4), values, order=0)


@pytest.mark.parametrize(
    ("call", "message", "kind"),
    [
        (lambda f: f.zeros(3).topk(4), "out of range", RuntimeError),
        (lambda f: f.zeros(3).topk(-1), "out of range", RuntimeError),
        (lambda f: f.zeros(3).sort(1), "Dimension out of range", IndexError),
        (lambda f: f.bincount(f.tensor([-1])), "non-negative", RuntimeError),
        (lambda f: f.bincount(f.zeros(2, 2, dtype=f.int64)), "1-d", RuntimeError),
        (lambda f: f.zeros(0, 2).median(0), "non-zero size", IndexError),
        (lambda f: f.histc(f.zeros(3), 0), "bins", RuntimeError),
        (lambda f: f.searchsorted(f.zeros(2, 3), f.zeros(3, 3)), "boundaries tensor", RuntimeError),
        (lambda f: f.histc(f.zeros(3), 3, 2, 1), "max", RuntimeError),
    ],
)
def test_errors(call: object, message: str, kind: type[Exception]) -> None:
    check_error(call, message, kind)


def test_unique_orders_slices_by_their_elements_in_row_major_order() -> None:
    values = np.random.default_rng(2).integers(0, 2, (3, 4, 6))
    for dim in (0, 1, 2):
        check(lambda f, a, d=dim: f.unique(a, return_inverse=True, dim=d), values, order=0)
