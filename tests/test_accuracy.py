"""Rounding errors of float32 on long, badly scaled inputs: no larger than PyTorch's, or than a few roundings.

Errors are measured against the same operation of PyTorch in double precision, on the same float32 values, in units of
float32's rounding of the largest element of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn

EPSILON = float(np.finfo(np.float32).eps)
# Errors up to so many roundings are fine whatever PyTorch's is, and where terms cancel some luck is in PyTorch's own.
ROUNDINGS = 4.0
LUCK = 2.0
LENGTH = 200_000


def offset(rng: np.random.Generator, n: int) -> np.ndarray:
    """Small deviations from a large mean, where a naive variance cancels."""
    return 1000 + rng.standard_normal(n)


def cancelling(rng: np.random.Generator, n: int) -> np.ndarray:
    """Large elements of both signs."""
    return rng.standard_normal(n) * 10 ** rng.uniform(-3, 4, n)


def growing(rng: np.random.Generator, n: int) -> np.ndarray:
    """The order in which a running sum loses most."""
    return np.sort(np.exp(rng.uniform(-8, 8, n)))[::-1].copy()


def same(rng: np.random.Generator, n: int) -> np.ndarray:
    """A running sum of this is biased, all roundings go one way."""
    return np.full(n, 0.1)


INPUTS = (offset, cancelling, growing, same)
REDUCTIONS: dict[str, Callable[[Any, Any, int], Any]] = {
    "sum": lambda t, x, d: x.sum(d),
    "mean": lambda t, x, d: x.mean(d),
    "var": lambda t, x, d: x.var(d),
    "std": lambda t, x, d: x.std(d),
    "norm": lambda t, x, d: t.linalg.vector_norm(x, 2, d),
    "norm 1": lambda t, x, d: t.linalg.vector_norm(x, 1, d),
    "norm 3": lambda t, x, d: t.linalg.vector_norm(x, 3, d),
    "nansum": lambda t, x, d: x.nansum(d),
    "logsumexp": lambda t, x, d: (x / 100).logsumexp(d),
    "softmax": lambda t, x, d: (x / 100).softmax(d),
    "log_softmax": lambda t, x, d: (x / 100).log_softmax(d),
    "cumsum": lambda t, x, d: x.cumsum(d),
    "layer_norm": lambda t, x, d: t.nn.functional.layer_norm(x, x.shape[-1:]),
    "rms_norm": lambda t, x, d: t.nn.functional.rms_norm(x, x.shape[-1:], eps=1e-6),
    "normalize": lambda t, x, d: t.nn.functional.normalize(x, dim=d),
    "cosine_similarity": lambda t, x, d: t.nn.functional.cosine_similarity(x, x.flip(d), dim=d),
}
LAYOUTS: dict[str, tuple[tuple[int, ...], int]] = {
    "one row": ((1, LENGTH), 1),
    "rows": ((200, LENGTH // 200), 1),
    "columns": ((LENGTH // 40, 40), 0),
}


def error_of(result: Any, exact: Any, least: float) -> float:
    scale = max(np.abs(exact).max(), least) * EPSILON
    return float(np.abs(result.detach().numpy().astype(np.float64) - exact).max() / scale)


def compare(name: str, function: Callable[[Any, Any], Any], values: np.ndarray) -> None:
    torch = pytest.importorskip("torch")
    values = values.astype(np.float32)
    exact = function(torch, torch.from_numpy(values.astype(np.float64))).detach().numpy()
    # Where the exact result is 0, roundings are those of the inputs; of what is normalised, those of 1.
    least = 1.0 if name.endswith("_norm") else float(np.abs(values).max()) * EPSILON
    theirs = error_of(function(torch, torch.from_numpy(values)), exact, least)
    ours = error_of(function(fastnn, fastnn.from_numpy(values)), exact, least)
    assert ours <= max(LUCK * theirs, ROUNDINGS), f"{name}: {ours:.2f} roundings, torch {theirs:.2f}"


@pytest.mark.parametrize("make", INPUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str, layout: str, make: Callable[..., np.ndarray]) -> None:
    shape, dim = LAYOUTS[layout]
    values = make(np.random.default_rng(0), LENGTH).reshape(shape)
    compare(name, lambda t, x: REDUCTIONS[name](t, x, dim), values)


LOSSES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "mse_loss": lambda t, x, y: t.nn.functional.mse_loss(x, y),
    "l1_loss": lambda t, x, y: t.nn.functional.l1_loss(x, y),
    "smooth_l1_loss": lambda t, x, y: t.nn.functional.smooth_l1_loss(x, y),
    "huber_loss": lambda t, x, y: t.nn.functional.huber_loss(x, y),
    "kl_div": lambda t, x, y: t.nn.functional.kl_div(
        (x / 1e3).log_softmax(1), (y / 1e3).softmax(1), reduction="batchmean"
    ),
    "bce_with_logits": lambda t, x, y: t.nn.functional.binary_cross_entropy_with_logits(x / 100, (y > 0).to(x.dtype)),
    "cross_entropy": lambda t, x, y: t.nn.functional.cross_entropy(x / 100, (y > 0).sum(1) % x.shape[1]),
    "cross_entropy of probabilities": lambda t, x, y: t.nn.functional.cross_entropy(x / 100, (y / 100).softmax(1)),
    "batch_norm": lambda t, x, y: t.nn.functional.batch_norm(x, None, None, training=True),
    "group_norm": lambda t, x, y: t.nn.functional.group_norm(x, 4),
    "instance_norm": lambda t, x, y: t.nn.functional.instance_norm(x.view(50, 4, -1)),
}


@pytest.mark.parametrize("make", INPUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_and_norms(name: str, make: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(1)
    both = np.stack([make(rng, LENGTH), rng.permutation(make(rng, LENGTH))]).reshape(2, 200, -1)
    compare(name, lambda t, x: LOSSES[name](t, x[0], x[1]), both)


GRADIENTS = ("var", "std", "norm", "logsumexp", "softmax", "log_softmax", "layer_norm", "rms_norm", "normalize")


@pytest.mark.parametrize("make", INPUTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str, make: Callable[..., np.ndarray]) -> None:
    values = make(np.random.default_rng(2), LENGTH).reshape(200, -1)

    def gradient(t: Any, x: Any) -> Any:
        x.requires_grad_()
        y = REDUCTIONS[name](t, x, 1)
        weights = t.linspace(-1, 1, y.numel(), dtype=t.float64).to(x.dtype).reshape(y.shape)
        (y * weights).sum().backward()
        return x.grad

    compare(name, gradient, values)


def test_certain_answers_keep_their_small_loss() -> None:
    x = fastnn.tensor([10.0, 20.0, 30.0, 3.0])
    loss = fastnn.nn.functional.binary_cross_entropy_with_logits(x, fastnn.ones(4), reduction="none")
    np.testing.assert_allclose(loss.numpy(), np.log1p(np.exp(-x.numpy().astype(np.float64))), rtol=4 * EPSILON)


@pytest.mark.parametrize("dtype", [fastnn.float32, fastnn.float64, fastnn.float16, fastnn.bfloat16])
@pytest.mark.parametrize("value", [0.1, -1e4, 3.3e-5])
def test_equal_elements_have_no_spread(dtype: fastnn.dtype, value: float) -> None:
    for shape, dim in (((8,), 0), ((3, 5001), 1), ((5001, 3), 0), ((100_003,), 0)):
        x = fastnn.full(shape, value, dtype=dtype)
        assert not x.std(dim).any()
        assert not x.var(dim).any()
