"""Reductions and scans, against torch and by hand."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from op_parity import check, check_error, samples

import fastnn

SHAPES = [(), (1,), (7,), (3, 4), (2, 3, 4), (5, 1, 17), (1, 40, 2)]
FLOATS = ["float64", "float32", "float16", "bfloat16"]
NAMES = ["sum", "mean", "amax", "amin", "var", "std", "logsumexp", "nansum", "norm"]


def dims_of(shape: tuple[int, ...]) -> list[object]:
    choices: list[object] = [(), tuple(range(len(shape)))]
    if shape:
        choices += [0, -1, (0,)]
    if len(shape) > 1:
        choices += [1, (-1, 0), (0, 1)]
    if len(shape) > 2:
        choices += [(0, 2)]
    return choices


CASES = [(shape, dim) for shape in SHAPES for dim in dims_of(shape)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("shape", "dim"), CASES)
@pytest.mark.parametrize("keepdim", [False, True])
def test_reduction(name: str, shape: tuple[int, ...], dim: object, keepdim: bool) -> None:
    (x,) = samples(shape)
    options = {"correction": 0} if name in ("var", "std") else {}
    count = x.size if dim == () else int(np.prod([shape[d] for d in np.atleast_1d(dim)])) if shape else 1
    order = 2
    if count == 1:
        # Slopes of a deviation or norm of one element are not defined; torch's zeros of order two have no memory.
        order = 0 if name in ("std", "norm") else 1
    elif dim == () and name in ("var", "std"):
        order = 0  # torch divides the gradient by the product of no sizes, which is 1
    if name == "logsumexp" and dim == () and not keepdim:
        assert fastnn.logsumexp(fastnn.tensor(x.tolist()), ()).shape == ()  # torch fails
        return
    if name == "norm":
        check(lambda f, a: f.norm(a, 2, dim=dim, keepdim=keepdim), x, order=order)
    else:
        check(lambda f, a: getattr(f, name)(a, dim=dim, keepdim=keepdim, **options), x, order=order)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "max", "min", "var", "std", "median", "nansum", "norm"])
@pytest.mark.parametrize("shape", [(3,), (3, 4), (2, 3, 5)])
def test_whole(name: str, shape: tuple[int, ...]) -> None:
    check(lambda f, a: getattr(f, name)(a), *samples(shape))
    check(lambda f, a: getattr(a, name)(), *samples(shape))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [*NAMES, "prod", "cumsum", "cumprod", "logcumsumexp", "amax"])
def test_dtypes(name: str, dtype: str) -> None:
    (x,) = samples((5, 33))
    check(
        lambda f, a: getattr(f, name)(a, dim=1),
        x * 0.5,
        dtype=dtype,
        order=1,
        tolerance=None if dtype != "bfloat16" else 0.06,
    )


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize(
    "name", ["sum", "prod", "amax", "amin", "any", "all", "count_nonzero", "cumsum", "cumprod", "max", "argmax"]
)
def test_integers(name: str, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    if (name, dtype) == ("argmax", "bool"):
        pytest.skip("not defined")
    x = np.array([[0, 1, 2], [3, 4, 4], [1, 0, 0]])

    def run(f: object) -> object:
        result = getattr(f, name)(f.tensor(x.tolist()).to(getattr(f, dtype)), dim=1)
        return result[0] if isinstance(result, tuple) else result

    ours, theirs = run(fastnn), run(torch)
    assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
    assert ours.tolist() == theirs.tolist()


def test_large_matches_exact_sum() -> None:
    """float32 sums of a million numbers are right to the last places, in any layout."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 1003)).astype(np.float32) + 3
    exact = x.astype(np.float64)
    t = fastnn.tensor(x)
    assert t.sum().item() == pytest.approx(exact.sum(), rel=1e-7)
    np.testing.assert_allclose(t.sum(0).numpy(), exact.sum(0), rtol=3e-7)
    np.testing.assert_allclose(t.sum(1).numpy(), exact.sum(1), rtol=2e-7)
    np.testing.assert_allclose(t.t()[::2].sum(1).numpy(), exact.T[::2].sum(1), rtol=3e-7)
    np.testing.assert_allclose(t.var(1).numpy(), exact.var(1, ddof=1), rtol=4e-7)
    np.testing.assert_allclose(
        (t + 1000).std(0).numpy(), (x + np.float32(1000)).astype(np.float64).std(0, ddof=1), rtol=4e-7
    )


def test_result_does_not_depend_on_threads() -> None:
    code = """
import sys, hashlib, numpy as np, fastnn
fastnn.set_num_threads(int(sys.argv[1]))
x = fastnn.tensor(np.random.default_rng(0).standard_normal((300, 2001)).astype(np.float32))
out = [x.sum(), x.sum(0), x.sum(1), x.var(0), x.std(), x.t().sum(1), x.norm(), x.softmax(0), x.softmax(1), x.cumsum(0)]
print(hashlib.sha256(b"".join(t.numpy().tobytes() for t in out)).hexdigest())
"""
    digests = {
        subprocess.run(
            [sys.executable, "-c", code, threads], capture_output=True, text=True, check=True, env=os.environ
        ).stdout
        for threads in ("1", "2", "5")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("view", ["t", "step", "expand", "flip_like", "narrow"])
@pytest.mark.parametrize("dim", [None, 0, 1])
def test_layouts(view: str, dim: int | None) -> None:
    views = {
        "t": lambda a: a.t(),
        "step": lambda a: a[::2, 1::3],
        "expand": lambda a: a[:, :1].expand(40, 6),
        "flip_like": lambda a: a.transpose(0, 1)[1:, ::2],
        "narrow": lambda a: a[3:, 2:],
    }
    for name in ("sum", "amax", "var", "argmax"):
        if name == "argmax":
            check(lambda f, a: f.argmax(views[view](a), dim=dim), *samples((40, 30)), order=0)
        elif dim is None:
            check(lambda f, a, n=name: getattr(f, n)(views[view](a)), *samples((40, 30)))
        else:
            check(lambda f, a, n=name: getattr(f, n)(views[view](a), dim=dim), *samples((40, 30)))


@pytest.mark.parametrize(
    "name", ["sum", "mean", "prod", "any", "all", "nansum", "logsumexp", "var", "norm", "amax", "argmax", "max"]
)
def test_empty(name: str) -> None:
    torch = pytest.importorskip("torch")
    for shape, dim in (((0, 3), 0), ((0, 3), 1), ((2, 0, 3), 2), ((0,), 0)):
        results = []
        for f in (fastnn, torch):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # torch warns of no degrees of freedom
                    out = getattr(f, name)(f.zeros(shape), dim=dim)
                out = out[0] if isinstance(out, tuple) else out
                results.append((tuple(out.shape), str(out.tolist())))
            except (RuntimeError, IndexError) as error:
                results.append(type(error))
        assert results[0] == results[1], (name, shape, dim)


def test_nan_and_infinity() -> None:
    nan, inf = math.nan, math.inf
    rows = np.array([[1.0, nan, 3.0, nan], [inf, -inf, 0.0, 1.0], [inf, 2.0, inf, 1.0], [-inf] * 4, [nan] * 4])
    for name in ("sum", "amax", "amin", "logsumexp", "nansum", "nanmean", "var", "argmax", "argmin", "any", "all"):
        check(lambda f, a, n=name: getattr(f, n)(a, dim=1), rows, order=0)
    for name in ("max", "min", "cummax", "cummin", "median", "mode"):
        check(lambda f, a, n=name: getattr(f, n)(a, dim=1), rows, order=0)
    check(lambda f, a: f.nanmedian(a, dim=1)[0], rows, order=0)
    long = np.tile(rows, (1, 100))
    for name in ("amax", "amin", "argmax", "argmin"):
        check(lambda f, a, n=name: getattr(f, n)(a, dim=1), long, order=0)
        check(lambda f, a, n=name: getattr(f, n)(a.t(), dim=0), long, order=0)


@pytest.mark.parametrize("name", ["max", "min", "median", "cummax", "cummin", "kthvalue", "mode", "sort", "topk"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_values_and_indices(name: str, dim: int) -> None:
    (x,) = samples((6, 5, 4))
    first = {"kthvalue": (2,), "topk": (3,)}.get(name, ())
    check(lambda f, a: getattr(f, name)(a, *first, dim=dim), x)
    for keepdim in (False, True):
        if name in ("max", "min", "median", "mode"):
            check(lambda f, a, k=keepdim: getattr(f, name)(a, dim, k), x)
        if name == "kthvalue":
            check(lambda f, a, k=keepdim: f.kthvalue(a, 2, dim, k), x)
    first = first and (1,)
    check(lambda f, a: getattr(f, name)(a, *first, dim=0), *samples(()), order=1)


def test_named_results() -> None:
    values, indices = result = fastnn.tensor([3.0, 1.0, 2.0]).max(0)
    assert result.values is values
    assert result.indices is indices
    assert (values.item(), indices.item()) == (3.0, 0)
    assert type(fastnn.aminmax(fastnn.tensor([3.0, 1.0]))).__name__
    assert [t.item() for t in fastnn.aminmax(fastnn.tensor([3.0, 1.0]))] == [1.0, 3.0]


def test_max_of_two_is_maximum() -> None:
    check(lambda f, a, b: f.max(a, b), *samples((3, 4), (4,)))
    check(lambda f, a, b: a.min(b), *samples((3, 4), (3, 1)))


def test_ties_share_the_gradient() -> None:
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    check(lambda f, a: f.amax(a, dim=1), x)
    check(lambda f, a: f.max(a), x)
    check(lambda f, a: f.max(a, dim=1), x)
    check(lambda f, a: f.median(a), x)


@pytest.mark.parametrize("zeros", [[], [1], [1, 3], [0, 1, 4]])
@pytest.mark.parametrize("shape", [(5,), (5, 2), (2, 5, 3)])
def test_products_with_zeros(zeros: list[int], shape: tuple[int, ...]) -> None:
    (x,) = samples(shape)
    axis = shape.index(5)
    for z in zeros:
        index = [slice(None)] * len(shape)
        index[axis] = z
        x[tuple(index)] = 0
    check(lambda f, a: f.prod(a, dim=axis), x)
    check(lambda f, a: f.prod(a), x)
    for order in (1, 2):  # the first derivative alone has a formula of its own
        check(lambda f, a: f.cumprod(a, dim=axis), x, order=order)


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"])
@pytest.mark.parametrize(
    ("shape", "dim"), [((), 0), ((7,), 0), ((3, 4), 0), ((3, 4), 1), ((2, 5, 3), 1), ((2, 300, 3), 1)]
)
def test_scan(name: str, shape: tuple[int, ...], dim: int) -> None:
    check(lambda f, a: getattr(f, name)(a, dim), *samples(shape), order=2 if np.prod(shape) < 100 else 1)


def test_logcumsumexp_at_infinity() -> None:
    rows = np.array([[-math.inf, -math.inf, 1.0], [math.inf, 1.0, -math.inf], [800.0, 801.0, -900.0]])
    check(lambda f, a: f.logcumsumexp(a, 1), rows, order=0)


def test_diff_and_trace() -> None:
    check(lambda f, a: f.diff(a), *samples((3, 5)))
    check(lambda f, a: f.diff(a, n=2, dim=0), *samples((3, 5)))
    check(lambda f, a, b: f.diff(a, prepend=b, append=b), *samples((3, 5), (3, 2)))
    check(lambda f, a: f.diff(a > 0, dim=0), *samples((3, 5)), order=0)
    check(lambda f, a: f.trace(a), *samples((3, 5)))
    check(lambda f, a: a[:, ::2].t().trace(), *samples((3, 5)))


@pytest.mark.parametrize("p", [0, 0.5, 1, 1.5, 2, 3, math.inf, -math.inf, "fro"])
@pytest.mark.parametrize("dim", [None, 1, (0, 1)])
def test_norms(p: float | str, dim: object) -> None:
    (x,) = samples((4, 6))
    order = 1 if p in (0, 1, math.inf, -math.inf) else 2  # torch's zeros of order two have no memory
    check(lambda f, a: f.norm(a, p=p, dim=dim), x, order=order)
    check(lambda f, a: a.norm(p, dim, True), x, order=order)
    if p != "fro":
        namespaces = {fastnn: fastnn._C.linalg}
        check(lambda f, a: namespaces.get(f, getattr(f, "linalg", None)).vector_norm(a, p, dim=dim), x, order=order)


@pytest.mark.parametrize("p", [0, 1, 1.5, 2, 3, math.inf])
def test_norm_of_zeros_has_a_gradient(p: float) -> None:
    x = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, -2.0]])
    check(lambda f, a: f.norm(a, p=p, dim=1), x, order=1)


@pytest.mark.parametrize(
    "call",
    [
        lambda f, a: f.var(a),
        lambda f, a: f.var(a, False),
        lambda f, a: f.var(a, 0, False),
        lambda f, a: f.var(a, dim=1, unbiased=True, keepdim=True),
        lambda f, a: f.std(a, [0, 1], correction=2),
        lambda f, a: a.std(unbiased=False),
        lambda f, a: f.var_mean(a, 1),
        lambda f, a: f.std_mean(a, 0, True),
        lambda f, a: f.var_mean(a, dim=(0, 2), correction=0, keepdim=True),
        lambda f, a: a.var(dim=-1, correction=0.5),
    ],
)
def test_forms_of_variance(call: object) -> None:
    check(call, *samples((3, 4, 5)))


def test_dtype_argument() -> None:
    for dtype in ("float64", "float32", "int64", "int32", "float16"):
        check(
            lambda f, a, d=dtype: f.sum(a * 3, 0, dtype=getattr(f, d)),
            *samples((5, 3)),
            dtype="float32",
            order=0,
            tolerance=2e-3,
        )
        check(
            lambda f, a, d=dtype: f.cumsum(a * 3, 0, dtype=getattr(f, d)),
            *samples((5, 3)),
            dtype="float32",
            order=0,
            tolerance=2e-3,
        )
        check(
            lambda f, a, d=dtype: f.prod(a * 3, 0, dtype=getattr(f, d)),
            *samples((5, 3)),
            dtype="float32",
            order=0,
            tolerance=4e-3,
        )
    check(lambda f, a: f.sum(a, dtype=f.float64), *samples((5, 3)), dtype="float32", order=1)
    check(lambda f, a: f.mean(a, dtype=f.float32), *samples((5, 3)), dtype="bfloat16", order=1, tolerance=1e-2)
    check(lambda f, a: f.mean((a * 9).to(f.int32), dtype=f.float32), *samples((5, 3)), order=0, tolerance=1e-6)


def test_sum_to_size_and_broadcast_gradients() -> None:
    check(lambda f, a: a.sum_to_size(1, 4), *samples((3, 4)))
    check(lambda f, a: a.sum_to_size(4), *samples((2, 3, 4)))
    check(lambda f, a, b: a * b, *samples((2, 3, 4), (3, 1)))


@pytest.mark.parametrize(
    ("call", "message", "kind"),
    [
        (lambda f: f.zeros(2, 3).sum(2), "Dimension out of range", IndexError),
        (lambda f: f.zeros(2, 3).sum((0, 0)), "appears multiple times", RuntimeError),
        (lambda f: f.zeros(2, 3).sum((1, -1)), "appears multiple times", RuntimeError),
        (lambda f: f.zeros(2, dtype=f.int64).mean(), "could not infer output dtype", RuntimeError),
        (lambda f: f.zeros(0).max(), "reduction dim", RuntimeError),
        (lambda f: f.zeros(0).argmax(), "reduction dim", IndexError),
        (lambda f: f.zeros(0, 2).amax(0), "non-zero size", IndexError),
        (lambda f: f.zeros(2, dtype=f.int64).norm(), "floating point", RuntimeError),
        (lambda f: f.zeros(3).trace(), "matrix", RuntimeError),
        (lambda f: f.zeros(3).kthvalue(4), "out of range", RuntimeError),
        (lambda f: f.zeros(3).cumsum(1), "Dimension out of range", IndexError),
        (lambda f: f.zeros(2, 3).sum_to_size(2), "not expandable", RuntimeError),
        (lambda f: f.zeros(3).sum("x"), "sum", TypeError),
    ],
)
def test_errors(call: object, message: str, kind: type[Exception]) -> None:
    check_error(call, message, kind)


def test_input_without_gradient_saves_nothing() -> None:
    x = fastnn.ones(3, 4)
    assert x.sum().grad_fn is None
    y = x.requires_grad_().sum(0)
    assert y.grad_fn.name() == "SumBackward1"
    assert x.mean().grad_fn.name() == "MeanBackward0"


def test_extremes_of_nothing() -> None:
    x = fastnn.ones(5, 0, 5)
    for function in (fastnn.amax, fastnn.amin):
        for dim in ((), None):
            with pytest.raises(RuntimeError, match="Specify the reduction dim"):
                function(x) if dim is None else function(x, dim)
        with pytest.raises(IndexError, match="dim 1 to have non-zero size"):
            function(x, 1)
        assert function(x, 0).shape == (0, 5)
