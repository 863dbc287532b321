"""Histograms, numerical gradients, and places in shapes, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn

RNG = np.random.default_rng(7)


def near(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("density", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bins", [1, 7, [-1.0, -0.5, 0.0, 2.0]])
def test_histogram(bins: Any, weighted: bool, density: bool) -> None:
    x = RNG.normal(size=(20, 3))
    weight = RNG.uniform(size=(20, 3)) if weighted else None
    expected, edges = np.histogram(x, bins, weights=weight, density=density)
    given = bins if isinstance(bins, int) else fastnn.tensor(bins, dtype=fastnn.float64)
    own = None if weight is None else fastnn.from_numpy(weight)
    found = fastnn.histogram(fastnn.from_numpy(x), given, weight=own, density=density)
    near(found.hist, expected)
    near(found.bin_edges, edges)
    method = fastnn.from_numpy(x).histogram(given, weight=own, density=density)
    assert fastnn.equal(method.hist, found.hist)


def test_histogram_of_a_range() -> None:
    x = fastnn.tensor([0.0, 1.0, 2.0, 3.0, 3.5])
    hist, edges = fastnn.histogram(x, 3, range=(0.0, 3.0))
    assert hist.tolist() == [1.0, 1.0, 2.0]  # 3.0 is in the last bin, 3.5 in none
    assert edges.tolist() == [0.0, 1.0, 2.0, 3.0]
    to = (fastnn.empty(0), fastnn.empty(0))
    fastnn.histogram(x, 3, range=(0.0, 3.0), out=to)
    assert to[0].tolist() == [1.0, 1.0, 2.0]
    same = fastnn.histogram(fastnn.ones(4), 2)
    assert same.hist.tolist() == [0.0, 4.0] and same.bin_edges.tolist() == [0.5, 1.0, 1.5]


def test_histogram_errors() -> None:
    with pytest.raises(RuntimeError, match="bins must be > 0"):
        fastnn.histogram(fastnn.ones(3), 0)
    with pytest.raises(RuntimeError, match="min should not exceed max"):
        fastnn.histogram(fastnn.ones(3), 2, range=(2.0, 1.0))
    with pytest.raises(RuntimeError, match="same dtype"):
        fastnn.histogram(fastnn.ones(3), 2, weight=fastnn.ones(3, dtype=fastnn.float64))
    with pytest.raises(NotImplementedError):
        fastnn.histogram(fastnn.ones(3, dtype=fastnn.int64), 2)
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        fastnn.histogramdd(fastnn.ones(3), [2])


@pytest.mark.parametrize("density", [False, True])
def test_histogramdd(density: bool) -> None:
    points = RNG.normal(size=(30, 3))
    expected, edges = np.histogramdd(points, [2, 3, 4], density=density)
    found = fastnn.histogramdd(fastnn.from_numpy(points), [2, 3, 4], density=density)
    near(found.hist, expected)
    for own, theirs in zip(found.bin_edges, edges, strict=True):
        near(own, theirs)
    ranged = fastnn.histogramdd(fastnn.from_numpy(points[:, :2]), 5, range=[-1.0, 1.0, 0.0, 2.0])
    near(ranged.hist, np.histogramdd(points[:, :2], 5, range=[(-1, 1), (0, 2)])[0])


@pytest.mark.parametrize("edge_order", [1, 2])
def test_gradient(edge_order: int) -> None:
    x = RNG.normal(size=(5, 4))
    where = [np.cumsum(RNG.uniform(0.5, 1.5, n)) for n in x.shape]
    own = fastnn.from_numpy(x)
    for spacing, theirs in ((None, []), (0.5, [0.5]), ([0.5, 2.0], [0.5, 2.0])):
        expected = np.gradient(x, *theirs, edge_order=edge_order)
        for a, b in zip(fastnn.gradient(own, spacing=spacing, edge_order=edge_order), expected, strict=True):
            near(a, b)
    coordinates = [fastnn.from_numpy(w) for w in where]
    for a, b in zip(
        fastnn.gradient(own, spacing=coordinates, edge_order=edge_order),
        np.gradient(x, *where, edge_order=edge_order),
        strict=True,
    ):
        near(a, b)
    (last,) = fastnn.gradient(own, dim=-1, edge_order=edge_order)
    near(last, np.gradient(x, axis=-1, edge_order=edge_order))


def test_gradient_is_differentiable() -> None:
    x = fastnn.tensor([1.0, 3.0, 2.0], dtype=fastnn.float64, requires_grad=True)
    assert fastnn.autograd.gradcheck(lambda t: fastnn.gradient(t * t)[0], x)


def test_gradient_errors() -> None:
    with pytest.raises(RuntimeError, match="edge_order"):
        fastnn.gradient(fastnn.ones(4), edge_order=3)
    with pytest.raises(RuntimeError, match="at least edge_order"):
        fastnn.gradient(fastnn.ones(1))
    with pytest.raises(RuntimeError, match="multiple times"):
        fastnn.gradient(fastnn.ones(4, 4), dim=(0, 0))
    with pytest.raises(IndexError):
        fastnn.gradient(fastnn.ones(4), dim=1)


def test_unravel_index() -> None:
    places = RNG.integers(0, 24, (3, 5))
    for own, theirs in zip(
        fastnn.unravel_index(fastnn.from_numpy(places), (2, 3, 4)), np.unravel_index(places, (2, 3, 4)), strict=True
    ):
        assert np.array_equal(own.numpy(), theirs)
    assert fastnn.unravel_index(fastnn.tensor(5), 7)[0].item() == 5
    with pytest.raises(TypeError, match="integer dtype"):
        fastnn.unravel_index(fastnn.ones(2), (2, 3))
    with pytest.raises(ValueError, match="negative"):
        fastnn.unravel_index(fastnn.tensor([1]), (2, -3))


def test_vander() -> None:
    x = np.array([1.0, 2.0, -3.0, 0.5])
    for n in (None, 0, 1, 2, 6):
        for increasing in (False, True):
            near(fastnn.vander(fastnn.from_numpy(x), n, increasing), np.vander(x, n, increasing))
    with pytest.raises(RuntimeError, match="one-dimensional"):
        fastnn.vander(fastnn.ones(2, 2))


def test_norm_except_dim() -> None:
    x = RNG.normal(size=(3, 4, 2))
    near(fastnn.norm_except_dim(fastnn.from_numpy(x), 2, 1), np.sqrt((x**2).sum((0, 2), keepdims=True)))
    near(fastnn.norm_except_dim(fastnn.from_numpy(x), 2, -1), np.sqrt((x**2).sum()))
