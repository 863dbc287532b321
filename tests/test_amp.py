"""autocast on the CPU and GradScaler, beside PyTorch's."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import ClassVar

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.amp import GradScaler, custom_bwd, custom_fwd
from fastnn.nn import functional as F

BF16, F16, F32, F64 = fastnn.bfloat16, fastnn.float16, fastnn.float32, fastnn.float64

# name, function of (package, tensors of one dtype), as PyTorch lists them
CASES = [
    ("mm", lambda T, x: T.mm(x, x)),
    ("matmul", lambda T, x: x @ x),
    ("method", lambda T, x: x.matmul(x)),
    ("matmul vector", lambda T, x: x @ x[0]),
    ("mv", lambda T, x: T.mv(x, x[0])),
    ("dot", lambda T, x: T.dot(x[0], x[0])),
    ("bmm", lambda T, x: T.bmm(x[None], x[None])),
    ("addmm", lambda T, x: T.addmm(x, x, x)),
    ("addbmm", lambda T, x: T.addbmm(x, x[None], x[None])),
    ("baddbmm", lambda T, x: T.baddbmm(x[None], x[None], x[None])),
    ("linear", lambda T, x: T.nn.functional.linear(x, x, x[0])),
    ("einsum", lambda T, x: T.einsum("ij,jk->ik", x, x)),
    ("tensordot", lambda T, x: T.tensordot(x, x, dims=1)),
    ("conv1d", lambda T, x: T.nn.functional.conv1d(x[None], x[:, :, None])),
    ("conv2d", lambda T, x: T.nn.functional.conv2d(x[None, None], x[None, None])),
    ("conv_transpose2d", lambda T, x: T.nn.functional.conv_transpose2d(x[None, None], x[None, None])),
    ("attention", lambda T, x: T.nn.functional.scaled_dot_product_attention(x[None], x[None], x[None])),
    ("mse_loss", lambda T, x: T.nn.functional.mse_loss(x, x)),
    ("cross_entropy", lambda T, x: T.nn.functional.cross_entropy(x, T.tensor([0, 1, 2, 3]))),
    ("nll_loss", lambda T, x: T.nn.functional.nll_loss(x, T.tensor([0, 1, 2, 3]))),
    ("bce", lambda T, x: T.nn.functional.binary_cross_entropy_with_logits(x, x)),
    ("prod", lambda T, x: x.prod()),
    ("prod dim", lambda T, x: T.prod(x, 0)),
    ("trace", lambda T, x: T.trace(x)),
    ("softmax", lambda T, x: T.softmax(x, -1)),
    ("relu", lambda T, x: T.relu(x)),
    ("sum", lambda T, x: x.sum()),
    ("layer_norm", lambda T, x: T.nn.functional.layer_norm(x, (4,))),
    ("add", lambda T, x: x + x),
    ("cat", lambda T, x: T.cat([x, x.float()])),
    ("stack", lambda T, x: T.stack([x, x.float()])),
    ("cat of one dtype", lambda T, x: T.cat([x, x])),
    ("out=", lambda T, x: T.mm(x, x, out=T.empty(4, 4, dtype=x.dtype))),
]


@pytest.mark.parametrize("name, function", CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("block", ["bfloat16", "float16"])
def test_dtypes_and_values_are_pytorch_s(name, function, block):
    torch = pytest.importorskip("torch")

    def run(T, dtype):
        x = (T.arange(16.0).reshape(4, 4) / 16).to(getattr(T, dtype))
        with T.autocast("cpu", dtype=getattr(T, block)):
            return function(T, x)

    for dtype in ("float32", "bfloat16", "float64") if block == "bfloat16" else ("float32", "float64"):
        ours, theirs = run(fastnn, dtype), run(torch, dtype)
        assert repr(ours.dtype) == repr(theirs.dtype), dtype
        tolerance = {BF16: 2e-2, F16: 3e-3, F32: 1e-5, F64: 1e-9}[ours.dtype]
        assert ours.double().reshape(-1).tolist() == pytest.approx(
            theirs.double().reshape(-1).tolist(), rel=tolerance, abs=tolerance
        )


def test_gradients_have_the_dtype_of_the_parameters():
    layer = nn.Linear(4, 3)
    x = fastnn.randn(5, 4, requires_grad=True)
    with fastnn.autocast("cpu"):
        loss = F.mse_loss(layer(x), fastnn.zeros(5, 3))
    assert loss.dtype == F32
    loss.backward()
    assert layer.weight.grad.dtype == layer.bias.grad.dtype == x.grad.dtype == F32
    y = layer(x)
    F.mse_loss(y, fastnn.zeros(5, 3)).backward()
    assert (layer.weight.grad / 2 - layer.weight.grad / 2).abs().max() == 0


def test_nesting_and_state():
    def state():
        return fastnn.is_autocast_enabled("cpu"), fastnn.get_autocast_dtype("cpu"), fastnn.is_autocast_cache_enabled()

    x = fastnn.ones(2, 2)
    assert state() == (False, BF16, True)
    with fastnn.autocast("cpu", dtype=F16, cache_enabled=False):
        assert state() == (True, F16, False) and (x @ x).dtype == F16
        with fastnn.autocast("cpu", enabled=False):
            assert state()[0] is False and (x @ x).dtype == F32
            with fastnn.autocast("cpu", dtype=BF16):
                assert (x @ x).dtype == BF16
        assert state() == (True, F16, False)
    assert state() == (False, BF16, True)
    with pytest.raises(KeyError), fastnn.autocast("cpu"):
        raise KeyError
    assert state() == (False, BF16, True)


def test_decorator_and_old_names():
    @fastnn.autocast("cpu")
    def product(x):
        """Its text."""
        return x @ x

    assert product(fastnn.ones(2, 2)).dtype == BF16 and product.__doc__ == "Its text."
    with fastnn.cpu.amp.autocast():
        assert fastnn.is_autocast_cpu_enabled() and fastnn.get_autocast_cpu_dtype() == BF16
    fastnn.set_autocast_cpu_enabled(True)
    assert (fastnn.ones(1, 1) @ fastnn.ones(1, 1)).dtype == BF16
    fastnn.set_autocast_enabled("cpu", False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fastnn.cuda.amp.autocast(enabled=False):
            pass
    with pytest.warns(UserWarning, match="'cuda'.*not available. Disabling"), fastnn.autocast("cuda"):
        assert not fastnn.is_autocast_enabled() and fastnn.get_autocast_gpu_dtype() == F16
    with pytest.warns(UserWarning, match="only supports dtype"), fastnn.autocast("cpu", dtype=F32):
        assert not fastnn.is_autocast_enabled("cpu")
    with pytest.raises(ValueError, match="device_type"):
        fastnn.autocast(3)
    with pytest.raises(RuntimeError, match="unsupported autocast device_type 'meta'"):
        fastnn.autocast("meta")


def test_converted_parameters_are_kept_and_are_never_old():
    weight = nn.Parameter(fastnn.ones(2, 2))
    x = fastnn.ones(1, 2)
    with fastnn.autocast("cpu"):
        with fastnn.no_grad():
            assert not (x @ weight).requires_grad
        assert (x @ weight).requires_grad  # not the one that was converted without gradients
        with fastnn.no_grad():
            weight.mul_(3.0)
        assert (x @ weight).tolist() == [[6.0, 6.0]]
    (x @ weight).sum().backward()
    assert weight.grad.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_gradient_flows_once_through_a_shared_conversion():
    weight = nn.Parameter(fastnn.ones(2, 2))
    x = fastnn.ones(1, 2)
    with fastnn.autocast("cpu"):
        y = ((x @ weight) @ weight).sum()
    y.backward()
    assert weight.grad.tolist() == [[4.0, 4.0], [4.0, 4.0]]


def test_other_threads_are_not_affected():
    import threading

    found = []
    with fastnn.autocast("cpu"):
        thread = threading.Thread(target=lambda: found.append(fastnn.is_autocast_enabled("cpu")))
        thread.start()
        thread.join()
    assert found == [False]


class Double(fastnn.autograd.Function):
    seen: ClassVar[list] = []

    @staticmethod
    @custom_fwd(device_type="cpu", cast_inputs=fastnn.float32)
    def forward(ctx, x):
        Double.seen.append((x.dtype, fastnn.is_autocast_enabled("cpu")))
        return x * 2

    @staticmethod
    @custom_bwd(device_type="cpu")
    def backward(ctx, gradient):
        Double.seen.append(fastnn.is_autocast_enabled("cpu"))
        return gradient * 2


def test_custom_functions():
    Double.seen.clear()
    x = fastnn.ones(2, dtype=BF16, requires_grad=True)
    with fastnn.autocast("cpu"):
        y = Double.apply(x)
    assert y.dtype == F32
    y.sum().backward()
    assert Double.seen == [(F32, False), False]
    Double.apply(x)
    assert Double.seen[2] == (BF16, False)


# --- the scaler ------------------------------------------------------------------------------------------------------


def steps(T, gradients, **options):
    """What the scaler does with these gradients, and where the parameter ends."""
    parameter = T.nn.Parameter(T.tensor([1.0]))
    optimizer = T.optim.SGD([parameter], lr=0.1)
    scaler = T.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2, **options)
    story = []
    for gradient in gradients:
        optimizer.zero_grad()
        scaler.scale((parameter * gradient).sum()).backward()
        scaler.unscale_(optimizer)
        story.append(parameter.grad.tolist())
        scaler.step(optimizer)
        scaler.update()
        story.append((scaler.get_scale(), parameter.tolist(), scaler.state_dict()))
    return story


@pytest.mark.parametrize("options", [{}, {"growth_factor": 3.0, "backoff_factor": 0.25}, {"enabled": False}], ids=str)
def test_scaler_steps_are_pytorch_s(options):
    torch = pytest.importorskip("torch")
    gradients = [1.0, 2.0, float("inf"), 1.0, 1.0, float("nan"), -1.0]
    if options == {"enabled": False}:
        gradients = [1.0, 2.0]
    assert repr(steps(fastnn, gradients, **options)) == repr(steps(torch, gradients, **options))


def test_scaler_scales_lists_and_checks_its_use():
    scaler = GradScaler("cpu", init_scale=4.0)
    one = fastnn.ones(1)
    assert [x.item() for x in scaler.scale([one, one])] == [4.0, 4.0] and type(scaler.scale((one,))) is tuple
    with pytest.raises(ValueError, match="iterable of Tensors"):
        scaler.scale(3)
    parameter = nn.Parameter(fastnn.ones(1))
    optimizer = fastnn.optim.SGD([parameter], lr=0.1)
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.update()
    scaler.scale(parameter.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(optimizer)
    scaler.update(2.0)
    assert scaler.get_scale() == 2.0
    with pytest.raises(RuntimeError, match="Closure"):
        scaler.step(optimizer, closure=lambda: None)
    for bad in ({"growth_factor": 1.0}, {"backoff_factor": 1.0}):
        with pytest.raises(AssertionError):
            GradScaler("cpu", **bad)


def test_scaler_state():
    scaler = GradScaler("cpu", init_scale=4.0, growth_interval=7)
    other = GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict() and other.get_growth_interval() == 7
    for again in (copy.deepcopy(scaler), pickle.loads(pickle.dumps(scaler))):
        assert again.state_dict() == scaler.state_dict() and again.scale(fastnn.ones(1)).item() == 4.0
    with pytest.raises(RuntimeError, match="state dict is empty"):
        other.load_state_dict({})
    with pytest.warns(UserWarning, match="CUDA is not available"):
        off = fastnn.cuda.amp.GradScaler()
    assert off.state_dict() == {} and off.get_scale() == 1.0 and not off.is_enabled()


def test_half_precision_gradients_are_refused():
    parameter = nn.Parameter(fastnn.ones(1, dtype=F16))
    optimizer = fastnn.optim.SGD([parameter], lr=0.1)
    scaler = GradScaler("cpu", init_scale=2.0)
    scaler.scale(parameter.float().sum()).backward()
    with pytest.raises(ValueError, match="FP16"):
        scaler.unscale_(optimizer)


# --- functions and layers that are written in Python -----------------------------------------------------------------

COMPOSED = {
    "l1": lambda F, x: F.l1_loss(x, x.flip(0)),
    "smooth l1": lambda F, x: F.smooth_l1_loss(x, x.flip(0), beta=0.5),
    "huber": lambda F, x: F.huber_loss(x, x.flip(0)),
    "kl": lambda F, x: F.kl_div(x, x.exp(), reduction="sum"),
    "poisson": lambda F, x: F.poisson_nll_loss(x, x.exp()),
    "cosine": lambda F, x: F.cosine_embedding_loss(x, x.flip(1), (x[:, 0] > 0) * 2.0 - 1),
    "ranking": lambda F, x: F.margin_ranking_loss(x, x.flip(0), x.sign()),
    "hinge": lambda F, x: F.hinge_embedding_loss(x, x.sign()),
    "triplet": lambda F, x: F.triplet_margin_loss(x, x.flip(0), x.flip(1)),
    "soft margin": lambda F, x: F.soft_margin_loss(x, x.sign()),
    "multi margin": lambda F, x: F.multi_margin_loss(x, x[:, 0].abs().long()),
    "gaussian": lambda F, x: F.gaussian_nll_loss(x, x.flip(0), x.exp()),
    "prelu": lambda F, x: F.prelu(x, x[0, :1].abs()),
    "reflect": lambda F, x: F.pad(x, (1, 1), mode="reflect"),
    "replicate": lambda F, x: F.pad(x, (1, 1), mode="replicate"),
    "circular": lambda F, x: F.pad(x[None], (1, 1), mode="circular"),
    "grid": lambda F, x: F.grid_sample(x[None, None], x.tanh().view(1, 2, 4, 2), align_corners=False),
    "unpool": lambda F, x: F.max_unpool1d(x[None], (x[None] * 0).long() + 1, 2),
}


def values_of(result):
    """dtypes and values of nested results."""
    if isinstance(result, (tuple, list)):
        return [one for part in result for one in values_of(part)]
    return [(str(result.dtype), result.detach().float().numpy())]


def assert_same_under_autocast(run, tolerance):
    torch = pytest.importorskip("torch")
    results = []
    for T in (torch, fastnn):
        with T.autocast("cpu"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.append(values_of(run(T)))
    for (kind, expected), (own, got) in zip(*results, strict=True):
        assert own == kind
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("name", COMPOSED)
def test_composed_functions_compute_in_pytorch_s_dtype(name, dtype):
    def run(T):
        x = T.arange(16.0).view(4, 4)
        return COMPOSED[name](T.nn.functional, ((x * 1.7) % 5 - 2).to(getattr(T, dtype)))

    assert_same_under_autocast(run, 1e-4 if dtype != "bfloat16" else 1e-2)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"])
@pytest.mark.parametrize("way", ["plain", "with state", "packed"])
def test_recurrent_layers_compute_in_pytorch_s_dtype(kind, way, dtype):
    torch = pytest.importorskip("torch")
    is_cell = kind.endswith("Cell")
    if is_cell and way == "packed":
        pytest.skip("cells take no sequences")
    weights = getattr(torch.nn, kind)(3, 4).state_dict()

    def run(T):
        layer = getattr(T.nn, kind)(3, 4)
        layer.load_state_dict({name: T.from_numpy(value.numpy()) for name, value in weights.items()})
        x = (T.arange(6.0 if is_cell else 30.0).view(*(() if is_cell else (5,)), 2, 3).sin()).to(getattr(T, dtype))
        state = T.ones(*(() if is_cell else (1,)), 2, 4) / 3
        if way == "packed":
            output, state = layer(T.nn.utils.rnn.pack_padded_sequence(x, [5, 3]))
            return output.data, state
        if way == "with state":
            return layer(x, (state, state) if kind.startswith("LSTM") else state)
        return layer(x)

    assert_same_under_autocast(run, 0.03)


def test_recurrent_layers_train_under_autocast():
    layer = nn.LSTM(3, 4)
    with fastnn.autocast("cpu"):
        output, _ = layer(fastnn.ones(5, 2, 3))
        loss = F.l1_loss(output, fastnn.zeros(5, 2, 4))
    loss.backward()
    assert (output.dtype, loss.dtype, layer.weight_hh_l0.grad.dtype) == (BF16, F32, F32)
    assert fastnn.is_autocast_cpu_enabled() is False
