"""Layers beyond the usual ones: lazy modules, bags, unpooling, fractional pooling, sequences, adaptive softmax."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import test_ops
from nn_parity import array, both, check_same, check_same_error, plain
from op_rows_functional import PYTHON_ROWS
from op_specs import Spec, make
from test_nn_layers import Layer, one, outcome

import fastnn
from fastnn import nn
from fastnn.nn import functional as F

LAYERS: dict[str, Layer] = {
    "embedding_bag": Layer(lambda n: n.EmbeddingBag(7, 3), (np.array([[1, 2], [6, 1]]),)),
    "embedding_bag_max": Layer(lambda n: n.EmbeddingBag(7, 3, mode="max"), (np.array([[1, 2], [6, 1]]),)),
    "embedding_bag_padding": Layer(
        lambda n: n.EmbeddingBag(7, 3, padding_idx=-1, mode="sum"), (np.array([1, 6, 6, 0]), np.array([0, 1, 3]))
    ),
    "embedding_bag_mean_padding": Layer(
        lambda n: n.EmbeddingBag(7, 3, padding_idx=1), (np.array([1, 6, 6, 0]), np.array([0, 1, 3]))
    ),
    "embedding_bag_last_offset": Layer(
        lambda n: n.EmbeddingBag(7, 3, include_last_offset=True), (np.array([1, 6, 6, 0]), np.array([0, 0, 3, 4]))
    ),
    "embedding_bag_weights": Layer(
        lambda n: n.EmbeddingBag(7, 3, mode="sum"),
        (np.array([1, 6, 6, 0]), np.array([0, 3]), array(4)),
    ),
    "embedding_bag_max_norm": Layer(
        lambda n: n.EmbeddingBag(7, 3, max_norm=0.5, norm_type=1.0), (np.array([[1, 2], [6, 1]]),)
    ),
    "ctc": Layer(
        lambda n: n.CTCLoss(),
        (array(6, 2, 4, low=-3.0, high=-0.5), np.array([[1, 2, 2], [3, 1, 0]]), np.array([6, 5]), np.array([3, 2])),
    ),
    "ctc_concatenated": Layer(
        lambda n: n.CTCLoss(1, "sum"),
        (array(6, 2, 4, low=-3.0, high=-0.5), np.array([0, 2, 2, 3, 0]), np.array([6, 5]), np.array([3, 2])),
    ),
    "ctc_infinite": Layer(
        lambda n: n.CTCLoss(reduction="none", zero_infinity=True),
        (array(3, 2, 4, low=-3.0, high=-0.5), np.array([[1, 1, 1], [3, 1, 0]]), np.array([3, 3]), np.array([3, 0])),
    ),
    "ctc_unbatched": Layer(
        lambda n: n.CTCLoss(),
        (array(6, 4, low=-3.0, high=-0.5), np.array([1, 2]), np.array(6), np.array(2)),
    ),
    "max_unpool1d": Layer(lambda n: n.MaxUnpool1d(2), (array(2, 1, 2), np.array([[[1, 2]], [[0, 3]]]))),
    "max_unpool2d": Layer(
        lambda n: n.MaxUnpool2d((2, 3), padding=(0, 1)), (array(1, 2, 1, 2), np.array([[[[0, 5]], [[1, 4]]]]))
    ),
    "max_unpool3d": Layer(lambda n: n.MaxUnpool3d(2), (array(1, 1, 1, 2), np.array([[[[0, 12]]]]))),
    "lp_pool3d": one(lambda n: n.LPPool3d(2, 2), 1, 2, 4, 4, 5),
    "lp_pool2d_infinite": one(lambda n: n.LPPool2d(float("inf"), 2), 1, 2, 4, 4),
    "adaptive_softmax": Layer(
        lambda n: n.AdaptiveLogSoftmaxWithLoss(16, 20, [4, 10], div_value=2.0, head_bias=True),
        (array(5, 16), np.array([0, 5, 19, 3, 9])),
    ),
    "adaptive_softmax_unbatched": Layer(
        lambda n: n.AdaptiveLogSoftmaxWithLoss(16, 20, [4, 10]), (array(16), np.array(12))
    ),
    "lazy_linear": one(lambda n: n.LazyLinear(4), 5, 3),
    "lazy_linear_no_bias": one(lambda n: n.LazyLinear(4, bias=False), 2, 5, 3),
    "lazy_conv1d": one(lambda n: n.LazyConv1d(4, 3, padding="same", groups=2), 3, 2, 9),
    "lazy_conv2d": one(lambda n: n.LazyConv2d(4, 3, 2, 1), 2, 3, 6, 7),
    "lazy_conv3d_unbatched": one(lambda n: n.LazyConv3d(4, 2, bias=False), 2, 3, 4, 5),
    "lazy_conv_transpose1d": one(lambda n: n.LazyConvTranspose1d(2, 3, 2, 1, 1, groups=2), 2, 4, 5),
    "lazy_conv_transpose2d": one(lambda n: n.LazyConvTranspose2d(2, 3), 2, 4, 5, 5),
    "lazy_conv_transpose3d": one(lambda n: n.LazyConvTranspose3d(2, 2, 2, bias=False), 1, 4, 2, 3, 2),
    "lazy_batch_norm1d": one(lambda n: n.LazyBatchNorm1d(), 6, 3),
    "lazy_batch_norm2d": one(lambda n: n.LazyBatchNorm2d(momentum=0.3, bias=False), 4, 3, 5, 2),
    "lazy_batch_norm3d": one(lambda n: n.LazyBatchNorm3d(affine=False), 2, 2, 3, 2, 2),
    "lazy_instance_norm1d": one(lambda n: n.LazyInstanceNorm1d(), 2, 3, 5),
    "lazy_instance_norm2d": one(lambda n: n.LazyInstanceNorm2d(track_running_stats=False), 2, 3, 4, 4),
    "lazy_instance_norm3d": one(lambda n: n.LazyInstanceNorm3d(), 2, 2, 3, 2, 2),
}


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_pytorchs(name: str, train: bool) -> None:
    check_same(lambda T: outcome(T, LAYERS[name], train), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_cross_map_normalisation(size: int) -> None:
    """Its values; the derivative is that of the values, which PyTorch's is not."""
    x = array(2, 6, 3, 2)
    check_same(lambda T: T.nn.CrossMapLRN2d(size, 0.5, 0.6, 2.0)(T.tensor(x.tolist())))
    wide = fastnn.tensor(x.tolist(), dtype=fastnn.float64, requires_grad=True)
    assert fastnn.autograd.gradcheck(nn.CrossMapLRN2d(size, 0.5, 0.6, 2.0), (wide,))


def test_gradient_of_bags_by_frequency() -> None:
    """As that of the embeddings, added up. PyTorch divides by the frequency of another row."""
    table = fastnn.randn(5, 3).requires_grad_()
    index = fastnn.tensor([[1, 4, 1], [1, 0, 2]])
    upstream = fastnn.randn(2, 3)
    for mode in ("sum", "mean"):
        bags = F.embedding_bag(index, table, mode=mode, scale_grad_by_freq=True)
        rows = F.embedding(index, table, scale_grad_by_freq=True)
        expected = getattr(rows, mode)(1)
        assert fastnn.allclose(bags, expected)
        ours, theirs = (fastnn.autograd.grad(one, table, upstream)[0] for one in (bags, expected))
        assert fastnn.allclose(ours, theirs)


# --- random windows ---


@pytest.mark.parametrize("spatial", [2, 3])
@pytest.mark.parametrize("options", [{"output_size": 3}, {"output_ratio": 0.5, "return_indices": True}])
def test_fractional_pooling_draws_pytorchs_windows(spatial: int, options: dict[str, Any]) -> None:
    def run(T: Any) -> Any:
        x = T.tensor(array(2, 3, *[8] * spatial).tolist(), requires_grad=True)
        layer = getattr(T.nn, f"FractionalMaxPool{spatial}d")(2, **options)
        T.manual_seed(3)
        result = layer(x)
        values = result[0] if isinstance(result, tuple) else result
        (values * values).sum().backward()
        return [result, x.grad]

    check_same(run)


# --- functions in Python, by their rows ---

CHECKS = (
    test_ops.test_against_torch,
    test_ops.test_gradients_against_torch,
    test_ops.test_derivatives,
    test_ops.test_memory_layouts,
)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("test_"))
@pytest.mark.parametrize("spec", PYTHON_ROWS, ids=lambda spec: spec.name)
def test_function(spec: Spec, check: Callable[[Spec], None]) -> None:
    check(spec)


@pytest.mark.parametrize("spec", [row for row in PYTHON_ROWS if row.reference], ids=lambda spec: spec.name)
def test_reference_of_function(spec: Spec) -> None:
    test_ops.test_reference(spec)


@pytest.mark.parametrize("spec", [row for row in PYTHON_ROWS if row.large], ids=lambda spec: spec.name)
def test_threads_of_function(spec: Spec) -> None:
    test_ops.test_threads(spec)


@pytest.mark.parametrize("spec", [row for row in PYTHON_ROWS if row.errors], ids=lambda spec: spec.name)
def test_errors_of_function(spec: Spec) -> None:
    for sample, kind, text in spec.errors:
        call = make(fastnn, spec, 0, sample, "float32")
        with pytest.raises(kind, match=text):
            spec.function(fastnn)(*call.args, **call.kwargs)


# --- lazy modules ---


def lazy_net(T: Any) -> Any:
    return T.nn.Sequential(T.nn.LazyConv2d(4, 3), T.nn.LazyBatchNorm2d(), T.nn.Flatten(), T.nn.LazyLinear(2))


def test_a_lazy_net_says_what_it_does_not_know() -> None:
    def run(T: Any) -> Any:
        net = lazy_net(T)
        before = [repr(net), [repr(p) for p in net.parameters()], list(net.state_dict()), net[0].weight.requires_grad]
        net(T.ones(2, 3, 5, 5))
        return [before, repr(net), [tuple(p.shape) for p in net.parameters()]]

    check_same(run)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])
def test_a_lazy_net_can_be_copied(copied: Callable[[Any], Any]) -> None:
    net = copied(lazy_net(fastnn))
    assert net[0].has_uninitialized_params()
    assert net(fastnn.ones(2, 3, 5, 5)).shape == (2, 2)
    assert type(net[0]) is nn.Conv2d


def test_a_known_state_loads_into_a_lazy_net() -> None:
    known = lazy_net(fastnn)
    x = fastnn.randn(2, 3, 5, 5)
    known.eval()
    expected = known(x)
    net = lazy_net(fastnn).eval()
    net.load_state_dict(known.state_dict())
    assert fastnn.equal(net(x), expected)
    assert type(net[0]) is nn.Conv2d


def test_an_unknown_state_stays_unknown() -> None:
    net = lazy_net(fastnn)
    net.load_state_dict(lazy_net(fastnn).state_dict())
    assert net[3].has_uninitialized_params()


def test_dtype_of_a_lazy_parameter() -> None:
    layer = nn.LazyLinear(2, dtype=fastnn.float64)
    layer(fastnn.ones(1, 3, dtype=fastnn.float64))
    assert layer.weight.dtype == fastnn.float64
    converted = nn.LazyLinear(2).double()
    converted(fastnn.ones(1, 3, dtype=fastnn.float64))
    assert converted.weight.dtype == fastnn.float64


# --- adaptive softmax ---


def test_adaptive_softmax_predicts() -> None:
    def run(T: Any) -> Any:
        T.manual_seed(1)
        layer = T.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [4, 10])
        x = T.tensor(array(12, 16, low=-5.0, high=5.0).tolist())
        return [layer.log_prob(x), layer.predict(x), layer.log_prob(x).argmax(1)]

    check_same(run, rtol=1e-4, atol=1e-5)


# --- resizing of bytes, and options that go together ---


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [(3, 4), (9, 13), (5, 7)])
def test_bytes_are_resized_in_fixed_point(mode: str, antialias: bool, size: tuple[int, int]) -> None:
    values = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 7)).tolist()

    def run(T: Any) -> Any:
        x = T.tensor(values, dtype=T.uint8)
        corners = [
            T.nn.functional.interpolate(x, size, mode=mode, antialias=antialias, align_corners=c) for c in (False, True)
        ]
        return [*corners, T.nn.functional.interpolate(x, scale_factor=1.3, mode=mode, antialias=antialias)]

    check_same(run)


@pytest.mark.parametrize("count", [1, 7, 300])
def test_grid_sample_does_not_depend_on_threads(count: int) -> None:
    image = fastnn.randn(2, 3, 9, 8).requires_grad_()
    grid = (fastnn.rand(2, count, 3, 2) * 2.4 - 1.2).requires_grad_()
    results = []
    threads = fastnn.get_num_threads()
    for n in (1, 4):
        fastnn.set_num_threads(n)
        out = F.grid_sample(image, grid, "bicubic", "reflection", align_corners=False)
        results.append([out, *fastnn.autograd.grad((out * out).sum(), [image, grid])])
    fastnn.set_num_threads(threads)
    for a, b in zip(*results, strict=True):
        assert fastnn.equal(a, b)


def test_second_derivatives_of_ctc_are_an_error() -> None:
    x = fastnn.randn(4, 1, 3).log_softmax(2).detach().requires_grad_()
    loss = F.ctc_loss(x, fastnn.tensor([[1]]), fastnn.tensor([4]), fastnn.tensor([1]))
    (gradient,) = fastnn.autograd.grad(loss, x, create_graph=True)
    with pytest.raises(RuntimeError, match="ctc_loss"):
        gradient.sum().backward()


def test_ctc_takes_lists_and_long_sequences() -> None:
    def run(T: Any) -> Any:
        x = T.tensor(array(70, 3, 9).tolist(), requires_grad=True)
        labels = T.tensor((array(3, 20, low=1, high=9).astype(int)).tolist())
        loss = T.nn.functional.ctc_loss(x.log_softmax(2), labels, [70, 60, 50], [20, 1, 13], reduction="sum")
        loss.backward()
        return [loss, x.grad]

    check_same(run, rtol=1e-4, atol=1e-5)


# --- integers ---


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_convolution_of_integers(dtype: str) -> None:
    values = np.random.default_rng(0).integers(0, 7, 400)

    def run(T: Any) -> Any:
        def make(*shape: int) -> Any:
            return T.tensor(np.resize(values, shape).tolist(), dtype=getattr(T, dtype))

        f = T.nn.functional
        results = [
            f.conv1d(make(2, 4, 9), make(6, 2, 3), make(6), 2, 1, 1, 2),
            f.conv2d(make(4, 6, 7), make(3, 4, 2, 3), None, (2, 1), (0, 2)),
            f.conv2d(make(1, 4, 6, 7), make(3, 4, 3, 1), padding="same"),
            f.conv3d(make(1, 2, 3, 4, 5), make(2, 1, 2, 2, 2), make(2), groups=2),
        ]
        if dtype == "int64":
            results.append(f.conv1d(make(2, 4, 9), make(6, 2, 3), make(6), 2, 1, 2, 2))
            results.append(f.conv_transpose1d(make(2, 4, 5), make(4, 3, 3), make(6), 3, 1, 2, 2, 2))
            results.append(f.conv_transpose2d(make(2, 4, 5, 3), make(4, 2, 3, 2), None, (2, 3), (1, 0), (1, 2)))
        return results

    check_same(run)


# --- errors ---

ERRORS: dict[str, Callable[[Any, Any], Any]] = {
    "bag_padding": lambda T, n: n.EmbeddingBag(3, 2, padding_idx=3),
    "bag_weight": lambda T, n: n.EmbeddingBag(3, 2, _weight=T.ones(3, 3)),
    "bag_pretrained": lambda T, n: n.EmbeddingBag.from_pretrained(T.ones(3)),
    "bag_no_offsets": lambda T, n: n.EmbeddingBag(3, 2)(T.tensor([1])),
    "bag_3d": lambda T, n: n.EmbeddingBag(3, 2)(T.tensor([[[1]]])),
    "bag_mode": lambda T, n: n.EmbeddingBag(3, 2, mode="median")(T.tensor([[1]])),
    "fractional_nothing": lambda T, n: n.FractionalMaxPool2d(2),
    "fractional_both": lambda T, n: n.FractionalMaxPool2d(2, 3, 0.5),
    "fractional_ratio": lambda T, n: n.FractionalMaxPool2d(2, output_ratio=1.5),
    "fractional_kernel": lambda T, n: n.FractionalMaxPool3d(0, 3),
    "unpool_size": lambda T, n: n.MaxUnpool1d(2)(T.ones(1, 1, 2), T.tensor([[[0, 2]]]), [9]),
    "unpool_length": lambda T, n: n.MaxUnpool2d(2)(T.ones(1, 1, 1, 2), T.tensor([[[[0, 2]]]]), [9]),
    "cutoffs_none": lambda T, n: n.AdaptiveLogSoftmaxWithLoss(4, 5, []),
    "cutoffs_order": lambda T, n: n.AdaptiveLogSoftmaxWithLoss(4, 5, [3, 2]),
    "cutoffs_last": lambda T, n: n.AdaptiveLogSoftmaxWithLoss(4, 5, [5]),
    "adaptive_target": lambda T, n: n.AdaptiveLogSoftmaxWithLoss(4, 5, [2])(T.ones(1, 4), T.tensor([5])),
    "adaptive_multi": lambda T, n: n.AdaptiveLogSoftmaxWithLoss(4, 5, [2])(T.ones(1, 4), T.tensor([[1]])),
    "lazy_shape": lambda T, n: n.LazyLinear(3).weight.shape,
    "lazy_conv_input": lambda T, n: n.LazyConv2d(3, 1)(T.ones(2, 3)),
    "lazy_conv_groups": lambda T, n: n.LazyConv2d(4, 1, groups=2)(T.ones(1, 3, 4, 4)),
    "lrn_input": lambda T, n: n.CrossMapLRN2d(3)(T.ones(2, 3)),
    "ctc_blank": lambda T, n: n.CTCLoss(blank=4)(T.zeros(3, 1, 4), T.tensor([[1]]), T.tensor([3]), T.tensor([1])),
    "ctc_steps": lambda T, n: n.CTCLoss()(T.zeros(3, 1, 4), T.tensor([[1]]), T.tensor([4]), T.tensor([1])),
    "ctc_labels": lambda T, n: n.CTCLoss()(T.zeros(3, 1, 4), T.tensor([[1]]), T.tensor([3]), T.tensor([2])),
    "prelu_weight": lambda T, n: n.functional.prelu(T.ones(2, 3), T.ones(1, 3).expand(2, 3)),
    "interpolate_dimensions": lambda T, n: n.functional.interpolate(T.ones(1, 1, 2), 3, mode="bilinear"),
    "interpolate_length": lambda T, n: n.functional.interpolate(T.ones(1, 1, 2), (3, 3)),
    "interpolate_factor": lambda T, n: n.functional.interpolate(T.ones(1, 1, 2), scale_factor=(2, 2)),
    "interpolate_lanczos": lambda T, n: n.functional.interpolate(T.ones(1, 1, 2, 2), 3, mode="lanczos"),
    "antialias": lambda T, n: n.functional.interpolate(T.ones(1, 1, 2), 3, mode="linear", antialias=True),
    "adaptive_pool": lambda T, n: n.functional.adaptive_avg_pool2d(T.ones(2, 2), (1, 1)),
    "multi_margin_empty": lambda T, n: n.functional.multi_margin_loss(T.ones(2, 2, 2), T.tensor([1, 0]), p=3),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str) -> None:
    check_same_error(lambda T: ERRORS[name](T, T.nn))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_old_names_warn() -> None:
    with pytest.warns(FutureWarning, match="NLLLoss2d"):
        layer = nn.NLLLoss2d()
    assert isinstance(layer, nn.NLLLoss)


def test_every_layer_of_pytorch_is_here() -> None:
    theirs = pytest.importorskip("torch").nn
    elsewhere = {
        "Container",  # abandoned
        "LinearCrossEntropyLoss", "LinearCrossEntropyOptions",
    }  # fmt: skip
    missing = {n for n in dir(theirs) if n[0].isupper() and not hasattr(nn, n)}
    assert missing <= elsewhere


def test_both_frameworks_ran() -> None:
    ours, theirs = both(lambda T: T.__name__)
    assert (ours, theirs) == ("fastnn", "torch")
    assert plain(fastnn.ones(1)) == 1
