"""Embeddings and scaled dot-product attention, against torch."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from op_parity import check, check_error, samples

import fastnn

INDICES = np.array([[1, 4, 0], [2, 4, 4]], dtype=np.int64)


def embed(f, indices, weight, **options):
    return f.nn.functional.embedding(indices, weight, **options)


@pytest.mark.parametrize("width", [1, 3, 8, 200])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize(
    "options", [{}, {"padding_idx": 4}, {"padding_idx": -1}, {"scale_grad_by_freq": True, "padding_idx": 0}]
)
def test_embedding(width: int, dtype: str, options: dict) -> None:
    (weight,) = samples((5, width))
    order = 2 if dtype == "float64" else 1
    check(lambda f, i, w: embed(f, i, w, **options), INDICES, weight, dtype=dtype, order=order)


def test_embedding_of_any_shape_of_indices() -> None:
    (weight,) = samples((5, 3))
    for indices in (np.array(2), np.zeros((0,), np.int64), np.zeros((2, 0, 3), np.int64), INDICES.T, INDICES[None]):
        check(lambda f, i, w: embed(f, i, w), np.asarray(indices, np.int64), weight)
    check(lambda f, i, w: embed(f, i.t(), w.t()), INDICES, samples((3, 5))[0])


def test_embedding_of_int32() -> None:
    weight = fastnn.arange(10, dtype=fastnn.float32).reshape(5, 2)
    out = fastnn.embedding(weight, fastnn.tensor([3, 0], dtype=fastnn.int32))
    assert out.tolist() == [[6.0, 7.0], [0.0, 1.0]]


def test_embedding_gradient_by_hand() -> None:
    weight = fastnn.zeros(4, 2, requires_grad=True)
    out = fastnn.embedding(weight, fastnn.tensor([1, 3, 1]))
    out.backward(fastnn.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    assert weight.grad.tolist() == [[0.0, 0.0], [6.0, 8.0], [0.0, 0.0], [3.0, 4.0]]


@pytest.mark.parametrize("norm_type", [2.0, 1.0, float("inf")])
def test_max_norm_scales_the_chosen_rows(norm_type: float) -> None:
    def function(f, indices, weight):
        table = weight.detach() * 3
        out = embed(f, indices, table, max_norm=1.5, norm_type=norm_type)
        return out, table

    check(function, INDICES, samples((6, 4))[0], dtype="float32", order=0)


def test_one_hot() -> None:
    for options in ({}, {"num_classes": 7}):
        check(lambda f, i, o=options: f.nn.functional.one_hot(i, **o), INDICES, order=0)


EMBEDDING_ERRORS = {
    "too large": (lambda f: f.embedding(f.ones(3, 2), f.tensor([0, 3])), "index out of range in self", IndexError),
    "negative": (lambda f: f.embedding(f.ones(3, 2), f.tensor([-1])), "index out of range in self", IndexError),
    "floating": (lambda f: f.embedding(f.ones(3, 2), f.ones(2)), "scalar types: Long, Int", RuntimeError),
    "rank": (lambda f: f.embedding(f.ones(3), f.tensor([1])), "must be 2-D", RuntimeError),
}


@pytest.mark.parametrize("name", EMBEDDING_ERRORS)
def test_embedding_errors(name: str) -> None:
    check_error(*EMBEDDING_ERRORS[name])


def attend(f, *tensors, **options):
    """Torch by its composition: its fused kernel has no second derivative."""
    if f is fastnn:
        return f.nn.functional.scaled_dot_product_attention(*tensors, **options)
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):
        return f.nn.functional.scaled_dot_product_attention(*tensors, **options)


# name: shapes of query, key and value; options
ATTENTION = {
    "plain": (((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 7)), {}),
    "causal": (((2, 3, 6, 5), (2, 3, 6, 5), (2, 3, 6, 5)), {"is_causal": True}),
    "causal, more keys": (((1, 2, 4, 5), (1, 2, 6, 5), (1, 2, 6, 5)), {"is_causal": True}),
    "causal, more queries": (((1, 2, 6, 5), (1, 2, 4, 5), (1, 2, 4, 5)), {"is_causal": True}),
    "scale": (((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 5)), {"scale": 0.3}),
    "matrices": (((4, 5), (6, 5), (6, 5)), {}),
    "three dimensions": (((3, 4, 5), (3, 6, 5), (3, 6, 5)), {"is_causal": True}),
    "five dimensions": (((2, 2, 3, 4, 5), (2, 2, 3, 6, 5), (2, 2, 3, 6, 5)), {}),
    "several tiles": (((1, 2, 300, 8), (1, 2, 530, 8), (1, 2, 530, 8)), {}),
    "several tiles, causal": (((1, 1, 300, 8), (1, 1, 300, 8), (1, 1, 300, 8)), {"is_causal": True}),
    "many heads, several tiles": (((2, 9, 140, 4), (2, 9, 140, 4), (2, 9, 140, 4)), {"is_causal": True}),
    "grouped queries": (((2, 6, 4, 5), (2, 2, 7, 5), (2, 2, 7, 5)), {"enable_gqa": True}),
    "grouped queries, several tiles": (
        ((1, 4, 200, 5), (1, 2, 200, 5), (1, 2, 200, 5)),
        {"enable_gqa": True, "is_causal": True},
    ),
    "one query": (((2, 3, 1, 5), (2, 3, 6, 5), (2, 3, 6, 5)), {}),
}


@pytest.mark.parametrize("name", ATTENTION)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_attention(name: str, dtype: str) -> None:
    shapes, options = ATTENTION[name]
    large = "tiles" in name
    check(
        lambda f, *t: attend(f, *t, **options),
        *samples(*shapes),
        dtype=dtype,
        order=2 if dtype == "float64" and not large else 1,
    )


@pytest.mark.parametrize("shape", [(4, 6), (1, 6), (2, 1, 4, 6), (2, 3, 4, 6), (4, 1)])
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_attention_masks(shape: tuple[int, ...], kind: str) -> None:
    q, k, v, mask = samples((2, 3, 4, 5), (2, 3, 6, 5), (2, 3, 6, 5), shape)
    if kind == "bool":
        mask = (mask > -0.5) | (np.arange(shape[-1]) == 0)
    check(
        lambda f, q, k, v, m: attend(f, q, k, v, attn_mask=m if kind == "bool" else m.detach()),
        q,
        k,
        v,
        mask,
        order=2,
    )


def test_attention_mask_with_a_gradient() -> None:
    check(lambda f, q, k, v, m: attend(f, q, k, v, attn_mask=m), *samples((2, 4, 5), (2, 6, 5), (2, 6, 5), (4, 6)))


def test_attention_of_strided_tensors() -> None:
    def function(f, q, k, v):
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        return attend(f, q, k, v), attend(f, q[..., ::2], k[..., ::2], v[..., ::2])

    check(function, *samples((2, 4, 3, 6), (2, 7, 3, 6), (2, 7, 3, 6)))


def test_attention_broadcasts_leading_dimensions() -> None:
    check(lambda f, *t: attend(f, *t), *samples((2, 3, 4, 5), (3, 6, 5), (1, 3, 6, 5)))


def test_attention_of_rows_that_see_nothing_is_zero() -> None:
    q, k, v = (fastnn.ones(2, 4, requires_grad=True) for _ in range(3))
    mask = fastnn.tensor([[True, False], [False, False]])
    out = attend(fastnn, q, k, v, attn_mask=mask)
    assert out.tolist() == [[1.0] * 4, [0.0] * 4]
    out.sum().backward()
    assert all(fastnn.isfinite(x.grad).all() for x in (q, k, v))


def test_attention_of_nan_is_nan() -> None:
    q = fastnn.ones(1, 1, 2, 40)
    k = fastnn.ones(1, 1, 40, 40)
    k[0, 0, 3, 3] = float("nan")
    assert fastnn.isnan(attend(fastnn, q, k, fastnn.ones(1, 1, 40, 40))).all()


def test_attention_with_dropout() -> None:
    fastnn.manual_seed(0)
    q, k, v = (fastnn.randn(2, 3, 50, 8, requires_grad=True) for _ in range(3))
    exact = attend(fastnn, q, k, v)
    dropped = attend(fastnn, q, k, v, dropout_p=0.5)
    assert not fastnn.allclose(exact, dropped)
    mean = sum(attend(fastnn, q, k, v, dropout_p=0.5).detach() for _ in range(400)) / 400
    assert (mean - exact).abs().max().item() < 0.2
    dropped.sum().backward()
    assert q.grad is not None


def test_attention_keeps_no_matrix_of_scores() -> None:
    q, k, v = (fastnn.randn(1, 1, 4096, 8, requires_grad=True) for _ in range(3))
    fastnn.reset_peak_memory_stats()
    before = fastnn.memory_stats()["allocated_bytes"]
    attend(fastnn, q, k, v).sum().backward()
    peak = fastnn.memory_stats()["peak_allocated_bytes"] - before
    assert peak < 4096 * 4096 * 4 / 8


ATTENTION_ERRORS = {
    "types": (
        lambda f: attend(f, f.ones(2, 3), f.ones(2, 3).double(), f.ones(2, 3)),
        "to have the same dtype",
    ),
    "rank": (lambda f: attend(f, f.ones(3), f.ones(2, 3), f.ones(2, 3)), "at least 2 dimensional"),
    "mask and causal": (
        lambda f: attend(f, f.ones(2, 3), f.ones(2, 3), f.ones(2, 3), attn_mask=f.ones(2, 2), is_causal=True),
        "should not be set when is_causal=True",
    ),
    "mask of integers": (
        lambda f: attend(f, f.ones(2, 3), f.ones(2, 3), f.ones(2, 3), attn_mask=f.ones(2, 2).long()),
        "Expected attn_mask dtype to be bool or float",
    ),
    "width": (lambda f: attend(f, f.ones(2, 3), f.ones(2, 4), f.ones(2, 4)), "last dimension"),
    "length": (lambda f: attend(f, f.ones(2, 3), f.ones(4, 3), f.ones(5, 3)), "same sequence length"),
}


@pytest.mark.parametrize("name", ATTENTION_ERRORS)
def test_attention_errors(name: str) -> None:
    check_error(*ATTENTION_ERRORS[name])


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    code = """
import fastnn, hashlib
fastnn.manual_seed(0)
digest = hashlib.sha256()
F = fastnn.nn.functional
for shape in [(1, 2, 300, 16), (2, 12, 150, 8)]:
    q, k, v = (fastnn.randn(*shape, requires_grad=True) for _ in range(3))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    y.backward(fastnn.randn(*y.shape))
    for t in (y, q.grad, k.grad, v.grad):
        digest.update(t.detach().numpy().tobytes())
for width in (8, 300):
    w = fastnn.randn(50, width, requires_grad=True)
    i = fastnn.randint(0, 50, (3000,))
    fastnn.embedding(w, i).backward(fastnn.randn(3000, width))
    digest.update(w.grad.numpy().tobytes())
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


def test_attention_whose_output_projection_changes_the_size():
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    x, *weights = (generator.standard_normal(s).astype("float32") for s in ((5, 2, 8), (8, 8), (8, 8), (8, 8), (3, 8)))

    def attend(package):
        query, q, k, v, out = (package.from_numpy(one) for one in (x, *weights))
        return package.nn.functional.multi_head_attention_forward(
            query=query[:1],
            key=query,
            value=query,
            embed_dim_to_check=8,
            num_heads=2,
            in_proj_weight=None,
            in_proj_bias=package.zeros(24),
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=out,
            out_proj_bias=package.zeros(3),
            use_separate_proj_weight=True,
            q_proj_weight=q,
            k_proj_weight=k,
            v_proj_weight=v,
            need_weights=False,
        )[0]

    ours, theirs = attend(fastnn), attend(torch)
    assert ours.shape == (1, 2, 3)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-6)
