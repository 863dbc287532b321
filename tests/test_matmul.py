"""Matrix products, against numpy and torch."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from op_parity import check, check_error, samples

import fastnn

SHAPES = [
    ((3,), (3,)),
    ((4, 3), (3,)),
    ((3,), (3, 5)),
    ((4, 3), (3, 5)),
    ((2, 4, 3), (3, 5)),
    ((2, 4, 3), (2, 3, 5)),
    ((4, 3), (2, 3, 5)),
    ((2, 1, 4, 3), (3, 3, 5)),
    ((1, 4, 3), (6, 3, 5)),
    ((2, 4, 3), (3,)),
    ((3,), (2, 3, 5)),
    ((7, 2, 4, 3), (1, 2, 3, 1)),
    ((1, 1), (1, 1)),
    ((130, 70), (70, 90)),
]
EMPTY = [
    ((0, 3), (3, 5)),
    ((4, 0), (0, 5)),
    ((4, 3), (3, 0)),
    ((0, 4, 3), (0, 3, 5)),
    ((2, 4, 0), (0, 5)),
    ((0,), (0,)),
]


@pytest.mark.parametrize(("a", "b"), SHAPES + EMPTY)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    check(lambda f, x, y: f.matmul(x, y), *samples(a, b))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_matmul_dtypes(dtype: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    check(lambda f, x, y: x @ y, *samples(a, b), dtype=dtype, order=1)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize(("a", "b"), [((4, 3), (3, 5)), ((2, 4, 3), (2, 3, 5)), ((3,), (3,)), ((40, 90), (90, 33))])
def test_matmul_of_integers_wraps(dtype: str, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.integers(0, 120, shape).astype(dtype) for shape in (a, b))
    ours = fastnn.matmul(
        fastnn.tensor(x.tolist(), dtype=getattr(fastnn, dtype)), fastnn.tensor(y.tolist(), dtype=getattr(fastnn, dtype))
    )
    expected = (x.astype(np.int64) @ y.astype(np.int64)).astype(dtype)
    assert np.array_equal(np.array(ours.tolist(), dtype=dtype), expected)


def variants(f, x):
    """The same matrix in other memory: transposed, strided, expanded, offset."""
    yield x.t().contiguous().t()
    yield f.stack([x, x], -1)[..., 0]
    yield f.cat([x, x], 1)[:, : x.shape[1]]
    yield f.cat([x, x], 0)[x.shape[0] :]


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_matmul_of_any_strides(dtype: str) -> None:
    def function(f, x, y):
        return [a @ b for a in variants(f, x) for b in variants(f, y)]

    check(function, *samples((9, 5), (5, 7)), dtype=dtype, order=1)


def test_matmul_of_expanded() -> None:
    check(lambda f, x, y: x.expand(4, 6) @ y.expand(6, 3), *samples((1, 6), (6, 1)))
    check(lambda f, x, y: x.expand(5, 4, 6) @ y.expand(5, 6, 3), *samples((4, 6), (5, 6, 1)))
    check(lambda f, x, y: f.mv(x.expand(4, 6), y.expand(6)), *samples((1, 6), (1,)))


def test_attention_like_products_of_permuted_batches() -> None:
    def function(f, q, k):
        q, k = q.permute(0, 2, 1, 3), k.permute(0, 2, 3, 1)
        return q @ k

    check(function, *samples((2, 7, 3, 5), (2, 6, 3, 5)))


def test_nan_and_infinity() -> None:
    x = fastnn.tensor([[float("nan"), 1.0], [2.0, float("inf")]])
    y = fastnn.ones(2, 3)
    out = (x @ y).tolist()
    assert all(np.isnan(v) for v in out[0])
    assert all(v == float("inf") for v in out[1])
    # What was in the memory of the result is not read.
    for _ in range(10):
        fastnn.full((64, 64), float("nan"))
        assert not fastnn.isnan(fastnn.ones(64, 64) @ fastnn.ones(64, 64)).any()
        assert not fastnn.isnan(fastnn.ones(64, 64) @ fastnn.ones(64)).any()


PRODUCTS = {
    "mm": (lambda f, a, b: f.mm(a, b), (4, 3), (3, 5)),
    "bmm": (lambda f, a, b: f.bmm(a, b), (2, 4, 3), (2, 3, 5)),
    "mv": (lambda f, a, b: f.mv(a, b), (4, 3), (3,)),
    "dot": (lambda f, a, b: f.dot(a, b), (5,), (5,)),
    "long dot": (lambda f, a, b: f.dot(a, b), (100_000,), (100_000,)),
    "strided dot": (lambda f, a, b: f.dot(a[::2], b[::3]), (8,), (12,)),
    "vdot": (lambda f, a, b: f.vdot(a, b), (5,), (5,)),
    "inner": (lambda f, a, b: f.inner(a, b), (2, 4, 3), (5, 3)),
    "inner of numbers": (lambda f, a, b: f.inner(a, b), (), (5, 3)),
    "outer": (lambda f, a, b: f.outer(a, b), (4,), (3,)),
    "ger": (lambda f, a, b: f.ger(a, b), (4,), (3,)),
    "kron": (lambda f, a, b: f.kron(a, b), (2, 3), (4, 2)),
    "kron of different ranks": (lambda f, a, b: f.kron(a, b), (3,), (2, 4, 2)),
    "tensordot": (lambda f, a, b: f.tensordot(a, b, 2), (2, 3, 4), (3, 4, 5)),
    "tensordot of none": (lambda f, a, b: f.tensordot(a, b, 0), (2, 3), (4,)),
    "linalg": (lambda f, a, b: f.linalg.matmul(a, b), (4, 3), (3, 5)),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name: str) -> None:
    function, *shapes = PRODUCTS[name]
    check(function, *samples(*shapes))


ADDED = {
    "addmm": ((4, 5), (4, 3), (3, 5)),
    "addmm of a row": ((5,), (4, 3), (3, 5)),
    "addmm of a column": ((4, 1), (4, 3), (3, 5)),
    "addmm of a number": ((), (4, 3), (3, 5)),
    "addmv": ((4,), (4, 3), (3,)),
    "addmv of one": ((1,), (4, 3), (3,)),
    "addr": ((4, 5), (4,), (5,)),
    "baddbmm": ((2, 4, 5), (2, 4, 3), (2, 3, 5)),
    "baddbmm of a matrix": ((4, 5), (2, 4, 3), (2, 3, 5)),
    "addbmm": ((4, 5), (2, 4, 3), (2, 3, 5)),
}


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("name", ADDED)
def test_added_products(name: str, dtype: str) -> None:
    arrays = samples(*ADDED[name])
    order = 2 if dtype == "float64" else 1
    op = name.split()[0]
    check(lambda f, *x: getattr(f, op)(*x), *arrays, dtype=dtype, order=order)
    check(lambda f, *x: getattr(f, op)(*x, beta=0.5, alpha=-2.0), *arrays, dtype=dtype, order=order)


def test_addmm_with_beta_zero_does_not_read_the_input() -> None:
    out = fastnn.addmm(fastnn.full((2, 2), float("nan")), fastnn.ones(2, 3), fastnn.ones(3, 2), beta=0)
    assert out.tolist() == [[3.0, 3.0], [3.0, 3.0]]


def test_addmm_of_integers_truncates_its_factors() -> None:
    def function(f):
        x = f.arange(4).reshape(2, 2)
        return f.addmm(x, x, x, beta=1.5, alpha=2.5)

    check(function, order=0)


def test_addmm_in_place() -> None:
    def function(f, x, a, b):
        y = x * 1
        y.addmm_(a, b, alpha=2)
        return y

    check(function, *samples((4, 5), (4, 3), (3, 5)))


def test_multi_dot() -> None:
    check(lambda f, *x: f.linalg.multi_dot(x), *samples((3,), (3, 40), (40, 2), (2, 9), (9,)))
    check(lambda f, *x: f.linalg.multi_dot(x), *samples((30, 2), (2, 40), (40, 3)))


EQUATIONS = [
    ("ij,jk->ik", (3, 4), (4, 5)),
    ("ij,jk", (3, 4), (4, 5)),
    ("ij,kj", (3, 4), (5, 4)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("bhid,bhjd->bhij", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("bihd,bjhd->bhij", (2, 4, 3, 5), (2, 6, 3, 5)),
    ("i,j->ij", (3,), (4,)),
    ("i,i->", (3,), (3,)),
    ("i,i->i", (3,), (3,)),
    ("ii->i", (4, 4)),
    ("ii", (4, 4)),
    ("iij->ij", (4, 4, 3)),
    ("ij->ji", (3, 4)),
    ("ij->", (3, 4)),
    ("ij->j", (3, 4)),
    ("ba", (3, 4)),
    ("...ij,...jk->...ik", (2, 3, 4), (4, 5)),
    ("...i,...i->...", (2, 3, 4), (1, 4)),
    ("i...->...", (2, 3, 4)),
    ("...", (2, 3)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("a,b,c->cab", (2,), (3,), (4,)),
    ("bn,anm,bm->ba", (2, 5), (3, 5, 4), (2, 4)),
    ("ij,ij->ij", (3, 1), (1, 4)),
    ("ijk,jil->kl", (3, 4, 5), (4, 3, 2)),
    ("ij,k->k", (3, 4), (5,)),
    (" i j , j k -> i k ", (3, 4), (4, 5)),
    ("iB,Ab->", (2, 3), (4, 5)),
]


@pytest.mark.parametrize("case", EQUATIONS, ids=lambda case: case[0])
def test_einsum(case: tuple[str, tuple[int, ...]]) -> None:
    equation, *shapes = case
    check(lambda f, *x: f.einsum(equation, *x), *samples(*shapes))


@pytest.mark.parametrize("equation", ["i,j->ij", "i,i->i", "i,j->", "i,j->i"])
def test_einsum_without_sums_promotes(equation: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = (
        package.einsum(equation, package.arange(3), package.tensor([0.5, 1.0, 2.0])) for package in (fastnn, torch)
    )
    assert ours.dtype == fastnn.float32 and ours.tolist() == theirs.tolist()
    with pytest.raises(RuntimeError, match="expected scalar type"):
        fastnn.einsum("i,i->", fastnn.arange(3), fastnn.ones(3))


@pytest.mark.parametrize(
    ("input_shape", "bias"), [((4, 3), True), ((4, 3), False), ((3,), True), ((2, 4, 3), True), ((0, 3), True)]
)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_linear(input_shape: tuple[int, ...], bias: bool, dtype: str) -> None:
    arrays = samples(input_shape, (5, 3), *([(5,)] if bias else []))
    check(lambda f, *x: f.nn.functional.linear(*x), *arrays, dtype=dtype, order=2 if dtype == "float64" else 1)


def test_linear_of_strided_tensors() -> None:
    def function(f, x, w, b):
        return f.nn.functional.linear(x.transpose(0, 1), w.t(), b.expand(5))

    check(function, *samples((3, 4, 6), (6, 5), (1,)))


def test_linear_with_a_vector_as_weight() -> None:
    check(lambda f, x, w: f.nn.functional.linear(x, w), *samples((4, 3), (3,)))


def test_bilinear() -> None:
    check(lambda f, *x: f.nn.functional.bilinear(*x), *samples((4, 3), (4, 2), (5, 3, 2), (5,)))
    check(lambda f, *x: f.nn.functional.bilinear(*x), *samples((2, 4, 3), (2, 4, 2), (5, 3, 2)))


def test_frozen_operands_save_nothing_for_themselves() -> None:
    x, w, b = fastnn.randn(8, 16), fastnn.randn(4, 16), fastnn.randn(4)

    def saved(**grads: bool) -> int:
        tensors = {"x": x.detach(), "w": w.detach(), "b": b.detach()}
        for name, on in grads.items():
            tensors[name].requires_grad_(on)
        fastnn._C._count_saved_bytes(True)
        try:
            out = fastnn.nn.functional.linear(tensors["x"], tensors["w"], tensors["b"])
            live = fastnn._C._saved_bytes()
            del out
        finally:
            fastnn._C._count_saved_bytes(False)
        return live

    assert saved(b=True) == 0
    assert saved(w=True) == x.numel() * 4
    assert saved(x=True) == w.numel() * 4


def test_gradient_of_a_transposed_weight_keeps_its_layout() -> None:
    w = fastnn.randn(5, 3, requires_grad=True)
    (fastnn.randn(4, 3) @ w.t()).sum().backward()
    assert w.grad.stride() == w.stride()


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    code = """
import fastnn, hashlib
fastnn.manual_seed(0)
digest = hashlib.sha256()
for m, n, k in [(64, 512, 784), (300, 300, 300), (1, 4000, 900), (2000, 1, 900), (77, 1000, 33)]:
    for dtype in (fastnn.float32, fastnn.float64, fastnn.bfloat16):
        a, b = fastnn.randn(m, k).to(dtype), fastnn.randn(k, n).to(dtype)
        digest.update((a @ b).to(fastnn.float64).numpy().tobytes())
        digest.update((a @ b.t().contiguous().t()).to(fastnn.float64).numpy().tobytes())
a = fastnn.randn(200_000)
digest.update(a.dot(a).numpy().tobytes())
print(digest.hexdigest())
"""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "FASTNN_NUM_THREADS": str(threads)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in (1, 2, 3)
    }
    assert len(outputs) == 1


ERRORS = {
    "mm of different sizes": (
        lambda f: f.mm(f.ones(2, 3), f.ones(4, 5)),
        r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 4x5\)",
    ),
    "linear of different sizes": (
        lambda f: f.nn.functional.linear(f.ones(2, 3), f.ones(5, 4)),
        r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 4x5\)",
    ),
    "mm of different types": (
        lambda f: f.mm(f.ones(2, 3), f.ones(3, 5, dtype=f.float64)),
        "expected m1 and m2 to have the same dtype, but got: float != double",
    ),
    "mm of a vector": (lambda f: f.mm(f.ones(3), f.ones(3, 5)), "must be a matrix"),
    "matmul of numbers": (lambda f: f.matmul(f.ones(()), f.ones(3)), "at least 1D, but they are 0D and 1D"),
    "matmul of different batches": (lambda f: f.matmul(f.ones(2, 3, 4), f.ones(3, 4, 5)), "must match the size"),
    "bmm of matrices": (lambda f: f.bmm(f.ones(2, 3), f.ones(3, 2)), "must be a 3D tensor"),
    "bmm of different batches": (
        lambda f: f.bmm(f.ones(2, 3, 4), f.ones(3, 4, 5)),
        r"Expected size for first two dimensions of batch2 tensor to be: \[2, 4\] but got: \[3, 4\]",
    ),
    "dot of matrices": (lambda f: f.dot(f.ones(2, 3), f.ones(3)), "1D tensors expected, but got 2D and 1D tensors"),
    "dot of different lengths": (lambda f: f.dot(f.ones(2), f.ones(3)), "inconsistent tensor size"),
    "mv of different sizes": (lambda f: f.mv(f.ones(2, 3), f.ones(2)), "size mismatch"),
    "addmm of a wrong shape": (
        lambda f: f.addmm(f.ones(3, 5), f.ones(2, 3), f.ones(3, 5)),
        "must match the existing size",
    ),
    "matmul of bool": (lambda f: f.ones(2, 2).bool() @ f.ones(2, 2).bool(), "not implemented for 'Bool'"),
    "einsum with too few operands": (lambda f: f.einsum("ij,jk", f.ones(2, 2)), "fewer operands were provided"),
    "einsum with too many operands": (lambda f: f.einsum("ij", f.ones(2, 2), f.ones(2)), "more operands were provided"),
    "einsum with a wrong rank": (lambda f: f.einsum("ijk", f.ones(2, 2)), "number of subscripts"),
    "einsum with different sizes": (lambda f: f.einsum("ij,jk", f.ones(2, 3), f.ones(4, 2)), "does not broadcast"),
    "einsum with a bad letter": (lambda f: f.einsum("i1", f.ones(2, 2)), "invalid subscript"),
    "einsum with an unknown output": (lambda f: f.einsum("ij->k", f.ones(2, 2)), "does not appear in the equation"),
    "einsum with an output twice": (lambda f: f.einsum("ij->ii", f.ones(2, 2)), "appears more than once"),
    "tensordot of different sizes": (lambda f: f.tensordot(f.ones(2, 3), f.ones(4, 5), 1), "need to match"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    check_error(*ERRORS[name])
