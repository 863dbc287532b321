"""Functions of the top level with numbers for reductions and modes, against torch; and the names around them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
import fastnn.nn.functional as F


def numbers(*shape: int, low: float = -2, high: float = 2) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(low, high, shape)


CASES: list[tuple[str, Callable[[Any, Callable[..., Any]], Any]]] = [
    ("adaptive_max_pool1d", lambda t, a: t.adaptive_max_pool1d(a(numbers(2, 3, 8)), [3])),
    ("affine_grid_generator", lambda t, a: t.affine_grid_generator(a(numbers(2, 2, 3)), [2, 1, 3, 4], False)),
    ("bilinear", lambda t, a: t.bilinear(a(numbers(4, 2)), a(numbers(4, 3)), a(numbers(5, 2, 3)), a(numbers(5)))),
    *(
        (f"bce {r}", lambda t, a, r=r: t.binary_cross_entropy_with_logits(a(numbers(3)), a(numbers(3)), None, None, r))
        for r in (0, 1, 2)
    ),
    (
        "convolution",
        lambda t, a: t.convolution(
            a(numbers(2, 4, 6, 5)), a(numbers(6, 2, 3, 2)), a(numbers(6)), [2, 1], [1], [1, 1], False, [0], 2
        ),
    ),
    (
        "transposed convolution",
        lambda t, a: t.convolution(a(numbers(2, 4, 6)), a(numbers(4, 3, 3)), None, [2], [1], [1], True, [1], 1),
    ),
    (
        "cosine_embedding_loss",
        lambda t, a: t.cosine_embedding_loss(a(numbers(3, 4)), a(numbers(3, 4) + 1), a(np.array([1.0, -1, 1])), 0.1, 2),
    ),
    (
        "ctc_loss",
        lambda t, a: t.ctc_loss(a(numbers(5, 2, 4)).log_softmax(2), t.tensor([[1, 2], [3, 1]]), [5, 4], [2, 1], 0, 0),
    ),
    ("frobenius_norm", lambda t, a: t.frobenius_norm(a(numbers(2, 3, 4)), (0, 2), True)),
    ("frobenius_norm of all", lambda t, a: t.frobenius_norm(a(numbers(2, 3)), ())),
    ("grid_sampler", lambda t, a: t.grid_sampler(a(numbers(1, 2, 4, 4)), a(numbers(1, 3, 3, 2)), 2, 1, True)),
    ("grid_sampler_2d", lambda t, a: t.grid_sampler_2d(a(numbers(1, 2, 4, 4)), a(numbers(1, 3, 3, 2)), 0, 2, False)),
    (
        "grid_sampler_3d",
        lambda t, a: t.grid_sampler_3d(a(numbers(1, 2, 4, 4, 3)), a(numbers(1, 3, 3, 2, 3)), 1, 0, True),
    ),
    ("hinge_embedding_loss", lambda t, a: t.hinge_embedding_loss(a(numbers(3)), a(np.array([1.0, -1, 1])), 0.5, 0)),
    (
        "instance_norm",
        lambda t, a: t.instance_norm(
            a(numbers(2, 3, 5)), a(numbers(3)), a(numbers(3)), None, None, True, 0.1, 1e-5, False
        ),
    ),
    ("kl_div", lambda t, a: t.kl_div(a(numbers(3)), a(numbers(3, low=0.1)), 2, log_target=True)),
    (
        "margin_ranking_loss",
        lambda t, a: t.margin_ranking_loss(a(numbers(3)), a(numbers(3) * 2), a(np.array([1.0, -1, 1]))),
    ),
    ("max_pool1d_with_indices", lambda t, a: t.max_pool1d_with_indices(a(numbers(2, 3, 8)), [3], [2], [1])),
    ("nuclear_norm", lambda t, a: t.nuclear_norm(a(numbers(3, 4)), True)),
    ("nuclear_norm of dims", lambda t, a: t.nuclear_norm(a(numbers(3, 2, 4)), (0, 2))),
    ("poisson_nll_loss", lambda t, a: t.poisson_nll_loss(a(numbers(3)), a(numbers(3, low=0)), True, True, 1e-8, 1)),
    (
        "triplet_margin_loss",
        lambda t, a: t.triplet_margin_loss(
            a(numbers(3, 4)), a(numbers(3, 4) + 1), a(numbers(3, 4) * 2), 1.5, 1.0, 1e-6, True, 0
        ),
    ),
    ("prelu", lambda t, a: a(numbers(2, 3)).prelu(a(numbers(3)))),
    ("to_dense", lambda t, a: a(numbers(2)).to_dense(t.float32)),
    ("embedding_renorm_", lambda t, a: t.embedding_renorm_(a(numbers(5, 4)), t.tensor([3, 0]), 1.0, 2.0)),
]


def results(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]


@pytest.mark.filterwarnings("ignore:.*_norm is deprecated:UserWarning")
@pytest.mark.parametrize("case", [pytest.param(row[1], id=row[0]) for row in CASES])
def test_agrees_with_torch(case: Callable[[Any, Callable[..., Any]], Any]) -> None:
    torch = pytest.importorskip("torch")
    ours = results(case(fastnn, lambda v: fastnn.from_numpy(v.copy())))
    theirs = results(case(torch, lambda v: torch.from_numpy(v.copy())))
    for mine, known in zip(ours, theirs, strict=True):
        torch.testing.assert_close(torch.from_numpy(mine.numpy()), known)


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("padding", [None, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_embedding_bag(mode: int, last: bool, padding: int | None, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    made = []
    for t in (fastnn, torch):
        weight = t.from_numpy(numbers(6, 3)).to(getattr(t, dtype))
        offsets = t.tensor([0, 2, 2, 5] if last else [0, 2, 2])
        indices = t.tensor([1, 2, 3, 0, 4])
        made.append(t.embedding_bag(weight, indices, offsets, False, mode, False, None, last, padding))
    for mine, known in zip(*made, strict=True):
        torch.testing.assert_close(torch.from_numpy(mine.numpy()), known)


def test_dropout_of_channels() -> None:
    fastnn.manual_seed(0)
    x = fastnn.ones(50, 40, 2)
    for function in (fastnn.feature_dropout, fastnn.feature_alpha_dropout):
        kept = function(x, 0.25, True)
        assert bool((kept[:, :, 0] == kept[:, :, 1]).all())
        assert abs(float((kept[:, :, 0] == kept.max()).float().mean()) - 0.75) < 0.05
        assert function(x, 0.25, False).equal(x)
    assert fastnn.feature_dropout(x, 1.0, True).sum() == 0
    assert fastnn.alpha_dropout(x, 0.5, True).std() > 0.5
    for in_place in (fastnn.feature_dropout_, fastnn.feature_alpha_dropout_, fastnn.alpha_dropout_):
        y = x.clone()
        assert in_place(y, 0.5, True) is y
        assert not y.equal(x)
    with pytest.raises(RuntimeError, match="probability"):
        fastnn.feature_dropout(x, 1.5, True)
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        fastnn.feature_dropout(fastnn.ones(3), 0.5, True)


def test_numbers_out_of_range() -> None:
    with pytest.raises(RuntimeError, match="reduction"):
        fastnn.kl_div(fastnn.zeros(2), fastnn.ones(2), 3)
    with pytest.raises(RuntimeError, match="4D"):
        fastnn.grid_sampler_2d(fastnn.ones(1, 1, 2, 2, 2), fastnn.zeros(1, 1, 1, 1, 3), 0, 0, False)
    with pytest.raises(RuntimeError, match="at most 2"):
        fastnn.frobenius_norm(fastnn.ones(1, 1, 1), (0, 1, 2))
    with pytest.raises(RuntimeError, match="3 to 5 dimensions"):
        fastnn.convolution(fastnn.ones(1, 1), fastnn.ones(1, 1), None, [1], [0], [1], False, [0], 1)


def test_from_file_shares_the_memory_of_the_file() -> None:
    with tempfile.NamedTemporaryFile() as file:
        fastnn.from_file(file.name, shared=True, size=3, dtype=fastnn.int16).copy_(fastnn.tensor([1, 2, 300]))
        assert np.fromfile(file.name, np.int16).tolist() == [1, 2, 300]
        private = fastnn.from_file(file.name, size=2, dtype=fastnn.int16)
        private.fill_(9)
        assert np.fromfile(file.name, np.int16).tolist() == [1, 2, 300]
        with pytest.raises(RuntimeError, match="bytes"):
            fastnn.from_file(file.name, size=4)
    with pytest.raises(RuntimeError, match="unable to open file"):
        fastnn.from_file(file.name, size=1)


def test_old_resize_only_changes_the_shape() -> None:
    x = fastnn.arange(6)
    with pytest.warns(UserWarning, match="non-inplace resize is deprecated"):
        assert x.resize(2, 3).shape == (2, 3)
    with pytest.warns(UserWarning, match="non-inplace resize_as is deprecated"):
        assert x.resize_as(fastnn.ones(3, 2)).shape == (3, 2)
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="7 elements in total"):
        x.resize(7)
    assert (x.dense_dim(), x.is_distributed()) == (1, False)


def test_small_names() -> None:
    assert (fastnn.has_lapack, fastnn.has_openmp, fastnn.has_mkl) == (True, True, False)
    assert fastnn.legacy_contiguous_format is fastnn.contiguous_format
    assert fastnn.Storage is fastnn.FloatStorage
    assert isinstance(fastnn.ones(1).untyped_storage(), fastnn.StorageBase)
    assert issubclass(fastnn.AcceleratorError, RuntimeError)
    fastnn.init_num_threads()
    fastnn.set_anomaly_enabled(True)
    assert fastnn.is_anomaly_enabled()
    fastnn.set_anomaly_enabled(False)
    x = fastnn.ones(2, requires_grad=True)
    with fastnn.autograd.enforce_grad_layout_policy(False):
        x.sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(
    ("pattern", "sizes"),
    [
        ("b h w c -> b h w c", {}),
        ("b h w c -> (b h) w c", {}),
        ("b h w c -> h (b w) c", {}),
        ("b h w c -> b c h w", {}),
        ("b (h1 h) (w1 w) c -> (b h1 w1) h w c", {"h1": 2, "w1": 2}),
        ("b (h h1) w c -> b h w (c h1)", {"h1": 3}),
        ("b ... c -> c b ...", {}),
        ("b ... c -> b (...) c", {}),
        ("b h w c -> b 1 (h w) 1 c", {}),
        ("... -> (...)", {}),
    ],
)
def test_rearrange(pattern: str, sizes: dict[str, int]) -> None:
    torch = pytest.importorskip("torch")
    from torch.func import rearrange

    x = np.arange(2 * 6 * 4 * 3).reshape(2, 6, 4, 3)
    ours = fastnn.func.rearrange(fastnn.from_numpy(x), pattern, **sizes)
    assert ours.tolist() == rearrange(torch.from_numpy(x), pattern, **sizes).tolist()


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a b", "->"),
        ("a b c -> a b c", "does not fit"),
        ("a b -> a", "once on either side"),
        ("a a -> a", "once on either side"),
        ("(a b) c -> a b c", "not given"),
        ("(a b -> a b", "brackets"),
        ("a 2 -> a", "only number"),
        ("a ? -> a", "unexpected"),
    ],
)
def test_rearrange_refuses(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fastnn.func.rearrange(fastnn.ones(2, 3), pattern)
    with pytest.raises(ValueError, match="not in pattern"):
        fastnn.func.rearrange(fastnn.ones(2, 3), "a b -> b a", c=2)
    with pytest.raises(ValueError, match="is not"):
        fastnn.func.rearrange(fastnn.ones(2, 3), "(a c) b -> b a c", c=3)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("alias_copy", ()),
        ("as_strided_copy", ([3, 2], [1, 4], 1)),
        ("detach_copy", ()),
        ("diagonal_copy", (1,)),
        ("narrow_copy", (1, 1, 2)),
        ("permute_copy", ([1, 0],)),
        ("select_copy", (0, 2)),
        ("slice_copy", (-1, 1, None, 2)),
        ("split_copy", (2,)),
        ("split_with_sizes_copy", ([1, 2],)),
        ("squeeze_copy", ()),
        ("t_copy", ()),
        ("transpose_copy", (0, 1)),
        ("unbind_copy", (1,)),
        ("unfold_copy", (1, 2, 1)),
        ("unsqueeze_copy", (1,)),
        ("view_copy", ([2, 6],)),
    ],
)
def test_copies_of_views(name: str, arguments: tuple[Any, ...]) -> None:
    torch = pytest.importorskip("torch")
    values = numbers(3, 4)
    x = fastnn.from_numpy(values.copy())
    ours = results(getattr(fastnn, name)(x, *arguments))
    theirs = results(getattr(torch, name)(torch.from_numpy(values), *arguments))
    for mine, known in zip(ours, theirs, strict=True):
        assert mine.tolist() == known.tolist()
        assert mine.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()


def test_copies_write_into_out() -> None:
    x = fastnn.arange(6.0).view(2, 3)
    out = fastnn.empty(0)
    assert fastnn.t_copy(x, out=out) is out
    assert out.tolist() == x.T.tolist()
    parts = (fastnn.empty(3), fastnn.empty(3))
    fastnn.unbind_copy(x, out=parts)
    assert parts[1].tolist() == [3, 4, 5]
    assert fastnn.expand_copy(x[:1], [4, 3]).stride() == (3, 1)
    assert fastnn.view_as_complex_copy(fastnn.view_as_real_copy(x.to(fastnn.complex64))).equal(x.to(fastnn.complex64))
    assert x.narrow_copy(1, 1, 1).tolist() == [[1], [4]]


@pytest.mark.parametrize(
    ("a", "b", "ends"),
    [
        ((16, 8), (2, 8, 16), [3, 16]),
        ((16, 8), (3, 8, 16), [8, 8, 12]),
        ((2, 8, 8), (8, 16), [8, 16]),
        ((8, 16), (16, 8), [4, 16]),
        ((2, 8, 8), (2, 8, 16), None),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_grouped_mm(a: tuple[int, ...], b: tuple[int, ...], ends: list[int] | None, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for t in (fastnn, torch):
        x, y = (t.from_numpy(numbers(*shape)).to(getattr(t, dtype)).requires_grad_() for shape in (a, b))
        offs = None if ends is None else t.tensor(ends, dtype=t.int32)
        result = t.nn.functional.grouped_mm(x, y, offs=offs)
        used = result[: ends[-1]] if ends is not None and len(b) == 3 else result  # PyTorch leaves the rest unwritten
        result_grads = t.autograd.grad(used.float().square().sum(), [x, y]) if ends is None or ends[-1] == 16 else []
        found.append([used.detach(), *result_grads])
    for mine, known in zip(*found, strict=True):
        tolerance = 1e-5 if dtype == "float32" else 4e-2
        np.testing.assert_allclose(mine.float().numpy(), known.float().numpy(), rtol=tolerance, atol=tolerance)


def test_grouped_mm_leaves_zeros_behind_the_last_group() -> None:
    x, w = fastnn.ones(4, 2), fastnn.ones(1, 2, 3)
    ends = fastnn.tensor([3], dtype=fastnn.int32)
    assert F.grouped_mm(x, w, offs=ends).sum(1).tolist() == [6, 6, 6, 0]


def test_grouped_mm_refuses() -> None:
    x, w, ends = fastnn.ones(4, 2), fastnn.ones(2, 2, 3), fastnn.tensor([1, 4], dtype=fastnn.int32)
    for arguments, options, message in (
        ((x[0], w), {"offs": ends}, "mat_a has to be"),
        ((x, w), {}, "provide offsets"),
        ((w, w.mT), {"offs": ends}, "provide offsets"),
        ((x, w.mT), {"offs": ends}, "contraction dimension"),
        ((x, w), {"offs": ends.long()}, "int32"),
        ((x, w), {"offs": ends[:1]}, "batch sizes"),
        ((x, w), {"offs": ends, "bias": x}, "Bias"),
        ((x, w), {"offs": ends, "out_dtype": fastnn.float64}, "output dtype"),
    ):
        with pytest.raises(RuntimeError, match=message):
            F.grouped_mm(*arguments, **options)


# --- linear_cross_entropy --------------------------------------------------------------------------------------------

IN_PIECES = fastnn.nn.LinearCrossEntropyOptions(batch_chunk_size=3)


def problem(dtype: Any = None, bias: bool = True) -> tuple[Any, ...]:
    dtype = dtype or fastnn.float64
    x, w, b = (fastnn.from_numpy(numbers(*shape)).to(dtype).requires_grad_() for shape in ((8, 4), (11, 4), (11,)))
    return x, w, b if bias else None, fastnn.tensor([0, 10, 3, -100, 5, 3, 0, 7])


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_linear_cross_entropy_in_pieces_is_the_composition(reduction: str, weighted: bool, bias: bool) -> None:
    x, w, b, target = problem(bias=bias)
    weight = fastnn.from_numpy(numbers(11, low=0.5)) if weighted else None
    leaves = [leaf for leaf in (x, w, b) if leaf is not None]
    found = []
    for options in (None, IN_PIECES):
        loss = F.linear_cross_entropy(
            x, w, target, linear_bias=b, weight=weight, reduction=reduction, ignore_index=-100, options=options
        )
        seed = fastnn.from_numpy(numbers(8)) if reduction == "none" else fastnn.tensor(1.5, dtype=fastnn.float64)
        once = fastnn.autograd.grad(loss, leaves, seed, retain_graph=True)
        first = fastnn.autograd.grad(loss, leaves, seed, create_graph=True)
        second = fastnn.autograd.grad(sum((g * g).sum() for g in first), leaves)
        found.append([loss, *once, *first, *second])
    for plain, pieces in zip(*found, strict=True):
        fastnn.testing.assert_close(pieces, plain)


def test_linear_cross_entropy_agrees_with_torch() -> None:
    torch = pytest.importorskip("torch")
    for dtype, rtol in (("float32", 1e-5), ("bfloat16", 2e-2)):
        found = []
        for t in (fastnn, torch):
            x, w = (t.from_numpy(numbers(*s)).to(getattr(t, dtype)).requires_grad_() for s in ((8, 4), (11, 4)))
            target = t.tensor([0, 10, 3, 1, 5, 3, 0, 7])
            options = t.nn.LinearCrossEntropyOptions(batch_chunk_size=4)
            loss = t.nn.functional.linear_cross_entropy(x, w, target, options=options)
            loss.backward()
            found.append([loss, x.grad, w.grad])
        for mine, known in zip(*found, strict=True):
            assert str(mine.dtype) == str(known.dtype)
            np.testing.assert_allclose(
                mine.detach().float().numpy(), known.detach().float().numpy(), rtol=rtol, atol=rtol
            )


def test_linear_cross_entropy_of_more_dimensions_and_probabilities() -> None:
    torch = pytest.importorskip("torch")
    arrays = (numbers(6, 4), numbers(5, 2, 3, 4), numbers(5, 2, 3))
    probabilities = numbers(6, 5, 2, 3, low=0, high=1)
    found = []
    for t in (fastnn, torch):
        x, w, b = map(t.from_numpy, arrays)
        classes = t.arange(36).view(6, 2, 3) % 5
        function = t.nn.functional.linear_cross_entropy
        found.append(
            [
                function(x, w, classes, linear_bias=b, label_smoothing=0.1),
                function(x, w, t.from_numpy(probabilities), linear_bias=b, reduction="none"),
                function(x[0], w[:, 0, 0], t.tensor(3)),
            ]
        )
    for mine, known in zip(*found, strict=True):
        torch.testing.assert_close(torch.from_numpy(mine.numpy()), known)


def test_linear_cross_entropy_never_has_all_logits() -> None:
    rows, classes, features = 1024, 8192, 8
    x, w = fastnn.randn(rows, features, requires_grad=True), fastnn.randn(classes, features, requires_grad=True)
    target = fastnn.randint(0, classes, (rows,))
    sizes = []
    whole = fastnn.nn.functional._nn.linear
    module = __import__("fastnn.nn._functional.linear_cross_entropy", fromlist=["_nn"])

    class Watch:
        def __getattr__(self, name: str) -> Any:
            return getattr(fastnn._C.nn, name)

        def linear(self, *args: Any) -> Any:
            result = whole(*args)
            sizes.append(result.numel())
            return result

    known, module._nn = module._nn, Watch()
    try:
        loss = F.linear_cross_entropy(x, w, target)  # large enough to be cut up unasked
        loss.backward()
    finally:
        module._nn = known
    assert len(sizes) > 100
    assert max(sizes) <= rows * features
    plain = F.cross_entropy(F.linear(x.detach(), w.detach()), target)
    fastnn.testing.assert_close(loss.detach(), plain)


def test_linear_cross_entropy_of_nothing() -> None:
    x, w, _, target = problem()
    nothing = fastnn.full_like(target, -100)
    loss = F.linear_cross_entropy(x, w, nothing, options=IN_PIECES)
    assert loss.isnan()
    assert F.linear_cross_entropy(x, w, nothing, reduction="sum", options=IN_PIECES) == 0
    assert F.linear_cross_entropy(x[0], w, target[0], reduction="none", options=IN_PIECES).shape == ()


def test_linear_cross_entropy_refuses() -> None:
    x, w, b, target = problem()
    with pytest.raises(IndexError, match="Target 11 is out of bounds"):
        F.linear_cross_entropy(x, w, target + 1, ignore_index=-99, options=IN_PIECES)
    with pytest.raises(RuntimeError, match="dimensionality 1 or 2"):
        F.linear_cross_entropy(x.unsqueeze(0), w, target)
    with pytest.raises(RuntimeError, match="last dimensions"):
        F.linear_cross_entropy(x[:, :3], w, target)
    with pytest.raises(RuntimeError, match="linear_bias shape"):
        F.linear_cross_entropy(x, w, target, linear_bias=b[:3])
    with pytest.raises(RuntimeError, match="ignore_index cannot"):
        F.linear_cross_entropy(x, w, fastnn.ones(8, 11), ignore_index=0)
    with pytest.warns(UserWarning, match="options are ignored"):
        F.linear_cross_entropy(x, w, target, label_smoothing=0.1, options=IN_PIECES)
    for wrong in ({"acc_policy": "x"}, {"batch_chunk_size": 0}, {"chunking_method": "ratio"}, {"acc_dtype": int}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            fastnn.nn.LinearCrossEntropyOptions(**wrong)


def test_linear_cross_entropy_loss() -> None:
    loss = fastnn.nn.LinearCrossEntropyLoss(4, 5, out_features=(2,), bias=True)
    assert [(name, tuple(p.shape)) for name, p in loss.named_parameters()] == [
        ("linear.weight", (10, 4)),
        ("linear.bias", (10,)),
    ]
    assert loss(fastnn.zeros(3, 4), fastnn.zeros(3, 2, dtype=fastnn.int64)).isfinite()
    with pytest.raises(RuntimeError, match="label_smoothing"):
        fastnn.nn.LinearCrossEntropyLoss(4, 5, label_smoothing=2)
    with pytest.raises(RuntimeError, match="weight shape"):
        fastnn.nn.LinearCrossEntropyLoss(4, 5, weight=fastnn.ones(4))
