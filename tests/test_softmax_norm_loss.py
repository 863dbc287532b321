"""Softmax, normalisation and losses, against torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
from op_parity import check, check_error, samples

import fastnn

FLOATS = ["float64", "float32", "float16", "bfloat16"]
REDUCTIONS = ["none", "mean", "sum"]


# --- softmax ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize(
    ("shape", "dim"), [((), 0), ((1,), 0), ((7,), -1), ((3, 50), 1), ((3, 50), 0), ((2, 5, 3), 1), ((2, 3, 200), 1)]
)
@pytest.mark.parametrize("order", [1, 2])
def test_softmax(name: str, shape: tuple[int, ...], dim: int, order: int) -> None:
    check(lambda f, a: getattr(f, name)(a, dim), *samples(shape), order=order)
    check(lambda f, a: getattr(f.nn.functional, name)(a, dim=dim), *samples(shape), order=order)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("dim", [0, 1])
def test_softmax_dtypes(name: str, dtype: str, dim: int) -> None:
    (x,) = samples((33, 70))
    check(lambda f, a: getattr(f, name)(a, dim), x, dtype=dtype, order=1)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("dim", [0, 1])
def test_softmax_of_extremes(name: str, dim: int) -> None:
    inf = math.inf
    rows = np.array([[1e4, 1e4 + 1, -1e4], [-inf, 0.0, 1.0], [math.nan, 0.0, 1.0], [-1e30, 1e30, 0.0]])
    check(lambda f, a: getattr(f, name)(a if dim else a.t(), dim), rows, order=0)


def test_softmax_layouts_and_arguments() -> None:
    check(lambda f, a: f.softmax(a.t()[::2], 0), *samples((6, 9)))
    check(lambda f, a: f.softmax(a, 1, dtype=f.float64), *samples((6, 9)), dtype="float32", order=1, tolerance=1e-6)
    check(lambda f, a: a.softmax(-1), *samples((6, 9)))
    check(
        lambda f, a: f.nn.functional.softmax(a, -1, 3, f.float64),
        *samples((6, 9)),
        dtype="float32",
        order=0,
        tolerance=1e-6,
    )
    check(lambda f, a: f.logsumexp(a, (0, 2)), *samples((3, 4, 5)))
    assert fastnn.softmax(fastnn.zeros(0, 3), 1).shape == (0, 3)
    assert fastnn.softmax(fastnn.zeros(3, 0), 1).shape == (3, 0)


def test_softmax_of_many_is_exact() -> None:
    x = np.random.default_rng(0).standard_normal((2, 50_000)).astype(np.float32)
    wide = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    np.testing.assert_allclose(fastnn.tensor(x).softmax(1).numpy(), wide / wide.sum(1, keepdims=True), rtol=6e-7)


# --- normalisation ---------------------------------------------------------------------------------------------------


def parameters(count: int) -> list[np.ndarray]:
    return samples((count,), (count,), seed=5)


@pytest.mark.parametrize(
    ("shape", "normalized"), [((6,), (6,)), ((4, 37), (37,)), ((3, 4, 5), (5,)), ((3, 4, 5), (4, 5)), ((200, 3), (3,))]
)
@pytest.mark.parametrize("affine", ["none", "weight", "both"])
@pytest.mark.parametrize("order", [1, 2])
def test_layer_norm(shape: tuple[int, ...], normalized: tuple[int, ...], affine: str, order: int) -> None:
    x, w, b = samples(shape, normalized, normalized)
    extra = {"none": [], "weight": [w], "both": [w, b]}[affine]
    check(lambda f, a, *p: f.nn.functional.layer_norm(a, normalized, *p), x, *extra, order=order, tolerance=1e-10)


@pytest.mark.parametrize("order", [1, 2])
def test_rms_norm(order: int) -> None:
    x, w = samples((4, 9), (9,))
    check(lambda f, a, p: f.nn.functional.rms_norm(a, (9,), p), x, w, order=order, tolerance=1e-10)
    check(lambda f, a: f.rms_norm(a, (4, 9), eps=1e-3), x, order=order, tolerance=1e-10)


@pytest.mark.parametrize(("shape", "groups"), [((2, 6), 3), ((2, 6, 5), 2), ((3, 4, 5, 2), 4), ((2, 4, 3), 1)])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("order", [1, 2])
def test_group_norm(shape: tuple[int, ...], groups: int, affine: bool, order: int) -> None:
    extra = parameters(shape[1]) if affine else []
    check(
        lambda f, a, *p: f.nn.functional.group_norm(a, groups, *p), *samples(shape), *extra, order=order, tolerance=1e-9
    )


@pytest.mark.parametrize("shape", [(5, 3), (70, 130), (4, 3, 6), (3, 4, 5, 2)])
@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("order", [1, 2])
def test_batch_norm(shape: tuple[int, ...], affine: bool, training: bool, order: int) -> None:
    count = shape[1]
    extra = parameters(count) if affine else []
    if np.prod(shape) > 1000 and order == 2:
        pytest.skip("the first derivative is enough for the large one")

    def run(f: object, a: object, *p: object) -> object:
        mean, var = f.linspace(-1, 1, count, dtype=f.float64), f.linspace(0.5, 2, count, dtype=f.float64)
        out = f.nn.functional.batch_norm(a, mean, var, *p, training=training, momentum=0.3)
        return out, mean, var

    check(run, *samples(shape), *extra, order=order, tolerance=1e-9)


def test_instance_norm() -> None:
    x, w, b = *samples((3, 4, 6)), *parameters(4)

    def run(f: object, a: object, *p: object) -> object:
        mean, var = f.linspace(-1, 1, 4, dtype=f.float64), f.linspace(0.5, 2, 4, dtype=f.float64)
        return f.nn.functional.instance_norm(a, mean, var, *p), mean, var

    check(run, x, w, b, tolerance=1e-9)
    check(lambda f, a: f.nn.functional.instance_norm(a), x, tolerance=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_norms_of_narrow_types(dtype: str) -> None:
    x, w, b = samples((8, 40), (40,), (40,))
    tolerance = {"float32": 5e-5, "float16": 1e-2, "bfloat16": 8e-2}[dtype]
    check(lambda f, a, *p: f.nn.functional.layer_norm(a, (40,), *p), x, w, b, dtype=dtype, order=1, tolerance=tolerance)
    check(lambda f, a, *p: f.nn.functional.group_norm(a, 4, *p), x, w, b, dtype=dtype, order=1, tolerance=tolerance)
    check(lambda f, a: f.nn.functional.rms_norm(a, (40,)), x, dtype=dtype, order=1, tolerance=tolerance)
    check(lambda f, a, p, q: f.nn.functional.layer_norm(a, (40,), p.to(f.float32), q.to(f.float32)), x, w, b, dtype=dtype, order=1,
          tolerance=tolerance)  # fmt: skip


@pytest.mark.parametrize("wanted", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1), (1, 1, 0)])
def test_only_wanted_gradients(wanted: tuple[int, int, int]) -> None:
    torch = pytest.importorskip("torch")
    arrays = [a.tolist() for a in samples((4, 6), (6,), (6,))]
    for name in ("layer_norm", "group_norm", "batch_norm"):
        gradients = []
        for f in (fastnn, torch):
            x, w, b = (
                f.tensor(a, dtype=f.float64).requires_grad_(bool(on)) for a, on in zip(arrays, wanted, strict=True)
            )
            call = {
                "layer_norm": lambda f=f, x=x, w=w, b=b: f.nn.functional.layer_norm(x, (6,), w, b),
                "group_norm": lambda f=f, x=x, w=w, b=b: f.nn.functional.group_norm(x, 2, w, b),
                "batch_norm": lambda f=f, x=x, w=w, b=b: f.nn.functional.batch_norm(x, None, None, w, b, True),
            }[name]
            (call() ** 2).sum().backward()
            gradients.append([None if t.grad is None else t.grad.tolist() for t in (x, w, b)])
        for ours, theirs in zip(*gradients, strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None:
                np.testing.assert_allclose(ours, theirs, atol=1e-9)


@pytest.mark.parametrize(("call", "message", "kind"), [
    (lambda f: f.nn.functional.layer_norm(f.zeros(2, 3), (4,)), "normalized_shape", RuntimeError),
    (lambda f: f.nn.functional.layer_norm(f.zeros(2, 3), (3,), f.zeros(4)), "weight", RuntimeError),
    (lambda f: f.nn.functional.batch_norm(f.zeros(2, 3), f.zeros(4), f.ones(3)), "running_mean", RuntimeError),
    (lambda f: f.nn.functional.batch_norm(f.zeros(1, 3), None, None, training=True), "more than 1 value", ValueError),
    (lambda f: f.nn.functional.group_norm(f.zeros(2, 5), 2), "divisible", RuntimeError),
    (lambda f: f.nn.functional.instance_norm(f.zeros(2, 5, 1)), "spatial", ValueError),
    (lambda f: f.softmax(f.zeros(3), 1), "Dimension out of range", IndexError),
])  # fmt: skip
def test_norm_errors(call: object, message: str, kind: type[Exception]) -> None:
    check_error(call, message, kind)


# --- losses ----------------------------------------------------------------------------------------------------------


def classes(shape: tuple[int, ...], count: int, ignored: bool = False) -> np.ndarray:
    target = np.random.default_rng(3).integers(0, count, shape)
    if ignored and target.size > 1:
        target.flat[1] = -100
    return target


@pytest.mark.parametrize("shape", [(5,), (4, 5), (3, 5, 2), (2, 5, 3, 4), (40, 200)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("order", [1, 2])
def test_cross_entropy(shape: tuple[int, ...], reduction: str, smoothing: float, weighted: bool, order: int) -> None:
    count = shape[0] if len(shape) == 1 else shape[1]
    target = classes(shape[:1] * (len(shape) > 1) + shape[2:], count, ignored=True)
    weight = (np.arange(count) / count + 0.5).tolist()

    def run(f: object, x: object, t: object) -> object:
        w = f.tensor(weight, dtype=f.float64) if weighted else None
        return f.nn.functional.cross_entropy(x, t, w, reduction=reduction, label_smoothing=smoothing)

    if order == 2 and np.prod(shape) > 1000:
        pytest.skip("the first derivative is enough for the large one")
    check(run, *samples(shape), target, order=order)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_of_probabilities(reduction: str, weighted: bool) -> None:
    x, t = samples((4, 5, 3), (4, 5, 3))
    weight = [0.5, 1.0, 2.0, 0.1, 1.5]

    def run(f: object, a: object, b: object) -> object:
        w = f.tensor(weight, dtype=f.float64) if weighted else None
        return f.nn.functional.cross_entropy(a, f.softmax(b, 1), w, reduction=reduction, label_smoothing=0.1)

    check(run, x, t)


@pytest.mark.parametrize("shape", [(5,), (4, 5), (3, 5, 2)])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nll_loss(shape: tuple[int, ...], reduction: str) -> None:
    count = shape[0] if len(shape) == 1 else shape[1]
    target = classes(shape[:1] * (len(shape) > 1) + shape[2:], count)
    weight = (np.arange(count) / count + 0.5).tolist()
    check(lambda f, x, t: f.nn.functional.nll_loss(f.log_softmax(x, -1), t, f.tensor(weight, dtype=f.float64), reduction=reduction,
                                                   ignore_index=2), *samples(shape), target)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_cross_entropy_of_narrow_types(dtype: str) -> None:
    for shape in ((6, 50), (3, 50, 7)):
        target = classes(shape[:1] + shape[2:], 50)
        check(lambda f, x, t: f.nn.functional.cross_entropy(x, t), *samples(shape), target, dtype=dtype, order=1)


def test_cross_entropy_ignores_all() -> None:
    target = np.full(3, -100)
    check(lambda f, x, t: f.nn.functional.cross_entropy(x, t), *samples((3, 4)), target, order=0)
    check(lambda f, x, t: f.nn.functional.cross_entropy(x, t, reduction="sum"), *samples((3, 4)), target)


def test_loss_of_frozen_input_has_no_graph() -> None:
    x, t = fastnn.ones(2, 3), fastnn.tensor([0, 2])
    assert fastnn.nn.functional.cross_entropy(x, t).grad_fn is None
    assert fastnn.nn.functional.cross_entropy(x, t).item() == pytest.approx(math.log(3))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_mse(reduction: str) -> None:
    x, t, w = samples((3, 4), (3, 4), (3, 4))
    check(lambda f, a, b: f.nn.functional.mse_loss(a, b, reduction=reduction), x, t)
    check(lambda f, a, b, c: f.nn.functional.mse_loss(a, b, reduction=reduction, weight=c * c), x, t, w)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_binary_cross_entropy(reduction: str, weighted: bool) -> None:
    x, t = samples((3, 4), (3, 4))
    weight = np.linspace(0.1, 2, 4).tolist()

    def run(f: object, a: object, b: object, logits: bool, positive: bool) -> object:
        w = f.tensor(weight, dtype=f.float64) if weighted else None
        if not logits:
            return f.nn.functional.binary_cross_entropy(f.sigmoid(a), f.sigmoid(b), w, reduction=reduction)
        p = f.tensor(weight, dtype=f.float64) if positive else None
        return f.nn.functional.binary_cross_entropy_with_logits(a, f.sigmoid(b), w, reduction=reduction, pos_weight=p)

    check(lambda f, a, b: run(f, a, b, False, False), x, t, tolerance=1e-9)
    check(lambda f, a, b: run(f, a, b, True, False), x, t, tolerance=1e-9)
    check(lambda f, a, b: run(f, a, b, True, True), x, t, tolerance=1e-9)


def test_binary_cross_entropy_of_extremes() -> None:
    p = np.array([0.0, 1.0, 0.0, 1.0, 0.5])
    t = np.array([0.0, 0.0, 1.0, 1.0, 1.0])
    check(lambda f, a, b: f.nn.functional.binary_cross_entropy(a, b, reduction="none"), p, t, order=0)
    # Where the slope is bounded: torch's bound is the float32 number next to 1e-12.
    check(
        lambda f, a: f.nn.functional.binary_cross_entropy(a, f.tensor(t.tolist(), dtype=f.float64)),
        p,
        order=1,
        tolerance=1e-8,
    )
    x = np.array([-1e3, 1e3, -50.0, 50.0, 0.0])
    check(lambda f, a, b: f.nn.functional.binary_cross_entropy_with_logits(a, b, reduction="none"), x, t, order=1)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_elementwise_losses_of_narrow_types(dtype: str) -> None:
    x, t = samples((5, 7), (5, 7))
    check(lambda f, a, b: f.nn.functional.binary_cross_entropy_with_logits(a, f.sigmoid(b)), x, t, dtype=dtype, order=1)
    check(lambda f, a, b: f.nn.functional.mse_loss(a, b), x, t, dtype=dtype, order=1)


def test_old_arguments_of_losses() -> None:
    x, t = fastnn.tensor([[1.0, 2.0]]), fastnn.tensor([[0.0, 0.0]])
    mse = fastnn.nn.functional.mse_loss
    assert mse(x, t, size_average=False).item() == 5
    assert mse(x, t, reduce=False).tolist() == [[1, 4]]
    assert mse(x, t, size_average=True, reduce=True).item() == 2.5


@pytest.mark.parametrize(("call", "message", "kind"), [
    (lambda f: f.nn.functional.cross_entropy(f.zeros(2, 3), f.tensor([0, 3])), "Target 3 is out of bounds", IndexError),
    (lambda f: f.nn.functional.cross_entropy(f.zeros(2, 3), f.tensor([0, -1])), "Target -1 is out of bounds", IndexError),
    (lambda f: f.nn.functional.cross_entropy(f.zeros(2, 3), f.tensor([0, 1, 2])), "batch_size", ValueError),
    (lambda f: f.nn.functional.cross_entropy(f.zeros(2, 3, 4), f.zeros(2, 5, dtype=f.int64)), "size mismatch", RuntimeError),
    (lambda f: f.nn.functional.cross_entropy(f.zeros(2, 3), f.tensor([0, 1]), f.ones(4)), "weight", RuntimeError),
    (lambda f: f.nn.functional.cross_entropy(f.zeros(2, 3), f.zeros(2, 3, dtype=f.int64)), "floating point", RuntimeError),
    (lambda f: f.nn.functional.cross_entropy(f.zeros(2, 3), f.tensor([0, 1]), label_smoothing=2), "label_smoothing", RuntimeError),
    (lambda f: f.nn.functional.cross_entropy(f.zeros(2, 3), f.tensor([0, 1]), reduction="avg"), "not a valid value", ValueError),
    (lambda f: f.nn.functional.cross_entropy(f.zeros(2, 3), f.tensor([0, 1], dtype=f.int32)), "Long", RuntimeError),
    (lambda f: f.nn.functional.binary_cross_entropy(f.zeros(3) + 2, f.zeros(3)), "between 0 and 1", RuntimeError),
    (lambda f: f.nn.functional.binary_cross_entropy_with_logits(f.zeros(3), f.zeros(4)), "must be the same", ValueError),
])  # fmt: skip
def test_loss_errors(call: object, message: str, kind: type[Exception]) -> None:
    check_error(call, message, kind)
