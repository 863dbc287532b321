"""nn.utils: weight and spectral norm, parametrizations, pruning, calls with other parameters; wrappers of modules."""

from __future__ import annotations

import contextlib
import copy
import importlib
import pickle
from typing import Any

import pytest
from nn_parity import array, check_same, check_same_error

import fastnn
from fastnn import nn
from fastnn.nn.utils import parametrizations, parametrize, prune, stateless

with contextlib.suppress(ImportError):  # not loaded with torch itself
    importlib.import_module("torch.nn.utils.prune")

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*weight_norm. is deprecated", "ignore:.*stateless.functional_call. is deprecated"
)


def trained(T: Any, module: Any, *shape: int) -> list[Any]:
    """Names and values before and after a step of training, and the output."""
    x = T.tensor(array(*shape).tolist())
    before = dict(module.state_dict())
    before = {key: value.clone() for key, value in before.items()}
    optimizer = T.optim.SGD(module.parameters(), lr=0.1)
    module(x).cos().sum().backward()
    optimizer.step()
    grads = {name: p.grad for name, p in module.named_parameters()}
    return [before, grads, dict(module.state_dict()), module(x), module.eval()(x)]


LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "linear": (lambda T: T.nn.Linear(5, 4), (3, 5)),
    "conv": (lambda T: T.nn.Conv2d(2, 3, 3), (2, 2, 5, 5)),
    "transposed": (lambda T: T.nn.ConvTranspose1d(2, 3, 3), (2, 2, 5)),
}


@pytest.mark.parametrize("dim", [0, 1, None])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("new", [False, True])
def test_weight_norm(layer: str, dim: int | None, new: bool) -> None:
    make, shape = LAYERS[layer]

    def function(T: Any) -> Any:
        utils = T.nn.utils
        module = (utils.parametrizations if new else utils).weight_norm(make(T), dim=dim)
        results = [repr(module), *trained(T, module, *shape)]
        utils.parametrize.remove_parametrizations(module, "weight") if new else utils.remove_weight_norm(module)
        return [*results, repr(module), sorted(module.state_dict()), module(T.tensor(array(*shape).tolist()))]

    check_same(function, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("new", [False, True])
def test_spectral_norm(layer: str, new: bool) -> None:
    make, shape = LAYERS[layer]

    def function(T: Any) -> Any:
        utils = T.nn.utils
        module = (utils.parametrizations if new else utils).spectral_norm(make(T), n_power_iterations=2)
        results = [repr(module), *trained(T, module, *shape)]
        utils.parametrize.remove_parametrizations(module, "weight") if new else utils.remove_spectral_norm(module)
        return [*results, repr(module), sorted(module.state_dict()), module(T.tensor(array(*shape).tolist()))]

    check_same(function, rtol=1e-3, atol=1e-4)


def test_old_weight_norm_state_is_loaded_by_the_new() -> None:
    old = nn.utils.weight_norm(nn.Linear(3, 2))
    new = parametrizations.weight_norm(nn.Linear(3, 2))
    new.load_state_dict(old.state_dict())
    x = fastnn.randn(2, 3)
    assert fastnn.allclose(old(x), new(x))


@pytest.mark.parametrize("kind", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
@pytest.mark.parametrize("trivialization", [True, False])
def test_orthogonal(kind: str, shape: tuple[int, int], trivialization: bool) -> None:
    pytest.importorskip("fastnn.linalg")
    needed = {"matrix_exp": "matrix_exp", "cayley": "solve", "householder": "householder_product"}[kind]
    if not hasattr(fastnn.linalg, needed) or not hasattr(fastnn.linalg, "qr"):
        pytest.skip(f"linalg.{needed}")
    layer = parametrizations.orthogonal(
        nn.Linear(*shape, dtype=fastnn.float64), orthogonal_map=kind, use_trivialization=trivialization
    )
    matrix = layer.weight if layer.weight.size(0) >= layer.weight.size(1) else layer.weight.T
    identity = fastnn.eye(min(shape), dtype=fastnn.float64)
    assert fastnn.allclose(matrix.T @ matrix, identity, atol=1e-8)
    layer(fastnn.ones(2, shape[0], dtype=fastnn.float64)).sin().sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
    if trivialization:
        target = fastnn.eye(shape[1], shape[0], dtype=fastnn.float64)
        layer.weight = target
        assert fastnn.allclose(layer.weight, target, atol=1e-8)


# --- parametrize ---


def modules_of(T: Any) -> dict[str, Any]:
    class Symmetric(T.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.triu() + x.triu(1).transpose(-1, -2)

        def right_inverse(self, x: Any) -> Any:
            return x.triu()

    class Scaled(T.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = T.nn.Parameter(T.tensor(2.0))

        def forward(self, x: Any) -> Any:
            return x * self.scale

    class Pair(T.nn.Module):
        def forward(self, a: Any, b: Any) -> Any:
            return a + b

        def right_inverse(self, x: Any) -> Any:
            return x / 2, x / 2

    class Half(T.nn.Module):
        def forward(self, x: Any) -> Any:
            return x[:1]

    class Number(T.nn.Module):
        def forward(self, x: Any) -> Any:
            return 3

    class Wide(T.nn.Module):
        def forward(self, x: Any) -> Any:
            return x.double()

    return {"Symmetric": Symmetric, "Scaled": Scaled, "Pair": Pair, "Half": Half, "Number": Number, "Wide": Wide}


def names(module: Any) -> list[str]:
    return [name for name, _ in module.named_parameters()]


def test_parametrization() -> None:
    def function(T: Any) -> Any:
        P = T.nn.utils.parametrize
        made = modules_of(T)
        layer = T.nn.Linear(3, 3)
        results: list[Any] = [P.is_parametrized(layer)]
        P.register_parametrization(layer, "weight", made["Symmetric"]())
        P.register_parametrization(layer, "weight", made["Scaled"]())
        P.register_parametrization(layer, "bias", made["Pair"]())
        results += [repr(layer), names(layer), list(layer.state_dict()), layer.weight, layer.bias]
        results += [type(layer).__name__, P.type_before_parametrizations(layer).__name__]
        results += [P.is_parametrized(layer, "weight"), P.is_parametrized(layer, "other")]
        layer(T.tensor(array(2, 3).tolist())).cos().sum().backward()
        results += [[p.grad for p in layer.parameters()]]
        layer.bias = T.tensor([1.0, 2.0, 3.0])
        results += [layer.bias, layer.parametrizations.bias.original0]
        twin = copy.deepcopy(layer)
        results += [twin(T.ones(1, 3)), type(twin).__name__]
        P.remove_parametrizations(layer, "bias")
        results += [names(layer), layer.bias]
        P.remove_parametrizations(layer, "weight", leave_parametrized=False)
        results += [type(layer).__name__, names(layer), layer.weight, repr(layer)]
        return results

    check_same(function)


def test_parametrized_buffer() -> None:
    def function(T: Any) -> Any:
        P = T.nn.utils.parametrize
        module = T.nn.Module()
        module.register_buffer("table", T.ones(2, 2))
        P.register_parametrization(module, "table", modules_of(T)["Symmetric"]())
        results = [module.table, list(module.state_dict()), names(module)]
        P.remove_parametrizations(module, "table")
        return [*results, module.table, [name for name, _ in module.named_buffers()]]

    check_same(function)


def test_cached() -> None:
    calls = []

    class Count(nn.Module):
        def forward(self, x: Any) -> Any:
            calls.append(1)
            return x * 1

    layer = nn.Linear(2, 2)
    parametrize.register_parametrization(layer, "weight", Count(), unsafe=True)
    calls.clear()
    with parametrize.cached():
        assert layer.weight is layer.weight
        with parametrize.cached():
            assert layer.weight is layer.weight
    assert len(calls) == 1
    assert layer.weight is not layer.weight


def test_transfer() -> None:
    def function(T: Any) -> Any:
        P = T.nn.utils.parametrize
        made = modules_of(T)
        source, target = T.nn.Linear(3, 3), T.nn.Linear(3, 3)
        P.register_parametrization(source, "weight", made["Symmetric"]())
        P.register_parametrization(source, "bias", made["Pair"]())
        P.transfer_parametrizations_and_params(source, target)
        same = target.parametrizations.weight.original is source.parametrizations.weight.original
        return [names(target), same, target.weight, target.bias]

    check_same(function)


def chain(T: Any, name: str, *kinds: str, **options: Any) -> Any:
    layer = T.nn.Linear(2, 2)
    for kind in kinds:
        T.nn.utils.parametrize.register_parametrization(layer, name, modules_of(T)[kind](), **options)
    return layer


ERRORS: dict[str, Any] = {
    "no_tensor": lambda T, u: chain(T, "other", "Symmetric"),
    "shape": lambda T, u: chain(T, "weight", "Half"),
    "type": lambda T, u: chain(T, "weight", "Number"),
    "dtype": lambda T, u: chain(T, "weight", "Wide"),
    "second_shape": lambda T, u: chain(T, "weight", "Symmetric", "Half"),
    "second_type": lambda T, u: chain(T, "weight", "Symmetric", "Number"),
    "second_dtype": lambda T, u: chain(T, "weight", "Symmetric", "Wide"),
    "assign": lambda T, u: setattr(chain(T, "weight", "Scaled"), "weight", T.ones(2, 2)),
    "assign_dtype": lambda T, u: setattr(chain(T, "weight", "Symmetric"), "weight", T.ones(2, 2).double()),
    "pickle": lambda T, u: pickle.dumps(chain(T, "weight", "Symmetric")),
    "remove": lambda T, u: u.parametrize.remove_parametrizations(T.nn.Linear(2, 2), "weight"),
    "remove_pair": lambda T, u: u.parametrize.remove_parametrizations(chain(T, "bias", "Pair"), "bias", False),
    "empty": lambda T, u: u.parametrize.ParametrizationList([], T.ones(2)),
    "spectral_dim": lambda T, u: u.parametrizations.spectral_norm(T.nn.Linear(2, 2), dim=2),
    "spectral_steps": lambda T, u: u.parametrizations.spectral_norm(T.nn.Linear(2, 2), n_power_iterations=0),
    "spectral_name": lambda T, u: u.parametrizations.spectral_norm(T.nn.Linear(2, 2), "w"),
    "orthogonal_name": lambda T, u: u.parametrizations.orthogonal(T.nn.Linear(2, 2), "w"),
    "orthogonal_dims": lambda T, u: u.parametrizations.orthogonal(T.nn.Linear(2, 2), "bias"),
    "orthogonal_map": lambda T, u: u.parametrizations.orthogonal(T.nn.Linear(2, 2), orthogonal_map="qr"),
    "two_weight_norms": lambda T, u: u.weight_norm(u.weight_norm(T.nn.Linear(2, 2))),
    "no_weight_norm": lambda T, u: u.remove_weight_norm(T.nn.Linear(2, 2)),
    "two_spectral_norms": lambda T, u: u.spectral_norm(u.spectral_norm(T.nn.Linear(2, 2)), n_power_iterations=1),
    "old_spectral_steps": lambda T, u: u.spectral_norm(T.nn.Linear(2, 2), n_power_iterations=0),
    "no_spectral_norm": lambda T, u: u.remove_spectral_norm(T.nn.Linear(2, 2)),
    "prune_amount": lambda T, u: u.prune.l1_unstructured(T.nn.Linear(2, 2), "weight", 1.5),
    "prune_negative": lambda T, u: u.prune.random_unstructured(T.nn.Linear(2, 2), "weight", -1),
    "prune_word": lambda T, u: u.prune.random_unstructured(T.nn.Linear(2, 2), "weight", "all"),
    "prune_too_many": lambda T, u: u.prune.l1_unstructured(T.nn.Linear(2, 2), "weight", 5),
    "prune_vector": lambda T, u: u.prune.ln_structured(T.nn.Linear(2, 2), "bias", 1, 2, 0),
    "prune_dim": lambda T, u: u.prune.random_structured(T.nn.Linear(2, 2), "weight", 1, 2),
    "prune_scores": lambda T, u: u.prune.l1_unstructured(T.nn.Linear(2, 2), "weight", 1, T.ones(2)),
    "prune_mask": lambda T, u: u.prune.custom_from_mask(T.nn.Linear(2, 2), "weight", T.ones(2)),
    "prune_remove": lambda T, u: u.prune.remove(T.nn.Linear(2, 2), "weight"),
    "prune_global": lambda T, u: u.prune.global_unstructured(3, u.prune.L1Unstructured, amount=1),
    "prune_global_kind": lambda T, u: u.prune.global_unstructured(
        [(T.nn.Linear(2, 2), "weight")], u.prune.LnStructured, amount=1, n=2
    ),
    "prune_container": lambda T, u: u.prune.PruningContainer(3, 4),
    "skip_init": lambda T, u: u.skip_init(T.nn.ReLU),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    check_same_error(lambda T: ERRORS[name](T, T.nn.utils), same_text=name != "prune_container")


def test_failed_pruning_leaves_the_module_as_it_was() -> None:
    layer = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="smaller than the number"):
        prune.l1_unstructured(layer, "weight", 5)
    assert names(layer) == ["bias", "weight"] or names(layer) == ["weight", "bias"]


# --- pruning ---


PRUNED: dict[str, Any] = {
    "identity": lambda T, p, m: p.identity(m, "weight"),
    "l1": lambda T, p, m: p.l1_unstructured(m, "weight", 0.4),
    "l1_count": lambda T, p, m: p.l1_unstructured(m, "weight", 3),
    "l1_none": lambda T, p, m: p.l1_unstructured(m, "weight", 0),
    "l1_scores": lambda T, p, m: p.l1_unstructured(m, "weight", 3, T.tensor(array(4, 6, seed=3).tolist())),
    "ln": lambda T, p, m: p.ln_structured(m, "weight", 0.5, 2, 0),
    "ln_columns": lambda T, p, m: p.ln_structured(m, "weight", 2, float("inf"), -1),
    "mask": lambda T, p, m: p.custom_from_mask(m, "bias", T.tensor([0, 1, 0, 1])),
    "twice": lambda T, p, m: p.ln_structured(p.l1_unstructured(m, "weight", 0.3), "weight", 1, 1, 1),
    "thrice": lambda T, p, m: p.l1_unstructured(
        p.ln_structured(p.l1_unstructured(m, "weight", 0.3), "weight", 1, 1, 0), "weight", 0.5
    ),
}


@pytest.mark.parametrize("name", PRUNED)
def test_prune(name: str) -> None:
    def function(T: Any) -> Any:
        p = T.nn.utils.prune
        layer = PRUNED[name](T, p, T.nn.Linear(6, 4))
        which = "bias" if name == "mask" else "weight"
        results: list[Any] = [p.is_pruned(layer), dict(layer.state_dict()), getattr(layer, which)]
        x = T.tensor(array(2, 6).tolist())
        layer(x).cos().sum().backward()
        results += [{key: q.grad for key, q in layer.named_parameters()}, layer(x)]
        p.remove(layer, which)
        return [*results, p.is_pruned(layer), dict(layer.state_dict()), layer(x)]

    check_same(function)


@pytest.mark.parametrize("structured", [False, True])
def test_random_pruning(structured: bool) -> None:
    fastnn.manual_seed(0)
    layer = nn.Linear(10, 8)
    if structured:
        prune.random_structured(layer, "weight", 3, dim=0)
        kept = layer.weight_mask.sum(1)
        assert sorted(kept.tolist()) == [0.0] * 3 + [10.0] * 5
    else:
        prune.random_unstructured(layer, "weight", 0.25)
        assert float((layer.weight_mask == 0).sum()) == 20
    assert fastnn.equal(layer.weight, layer.weight_orig * layer.weight_mask)


def test_global_pruning() -> None:
    def function(T: Any) -> Any:
        p = T.nn.utils.prune
        net = T.nn.Sequential(T.nn.Linear(4, 5), T.nn.Linear(5, 3))
        pairs = [(m, "weight") for m in net]
        p.global_unstructured(pairs, p.L1Unstructured, amount=0.5)
        first = [m.weight_mask for m in net]
        scores = {(net[0], "weight"): T.tensor(array(5, 4).tolist())}
        p.global_unstructured(pairs, p.L1Unstructured, scores, amount=3)
        return [first, [m.weight_mask for m in net]]

    check_same(function)


def test_pruning_outside_modules() -> None:
    check_same(lambda T: T.nn.utils.prune.L1Unstructured(2).prune(T.tensor([3.0, -1.0, 0.5, 2.0])))


# --- calls with other parameters, and the rest ---


def test_functional_call() -> None:
    def function(T: Any) -> Any:
        net = T.nn.Sequential(T.nn.Linear(2, 2), T.nn.BatchNorm1d(2))
        before = {key: value.clone() for key, value in net.state_dict().items()}
        given = {"0.weight": T.ones(2, 2, requires_grad=True), "1.running_mean": T.zeros(2)}
        out = T.nn.utils.stateless.functional_call(net, given, (T.tensor([[1.0, 2.0], [3.0, 5.0]]),))
        out.cos().sum().backward()
        unchanged = all(bool((before[key] == net.state_dict()[key]).all()) for key in ("0.weight", "1.running_mean"))
        return [out, given["0.weight"].grad, given["1.running_mean"], unchanged]

    check_same(function)


def test_functional_call_of_tied_weights() -> None:
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    x = fastnn.ones(1, 2)
    twice = stateless.functional_call(net, {"0.weight": 2 * fastnn.eye(2)}, x)
    assert twice.tolist() == [[4.0, 4.0]]
    assert net[0].weight is net[1].weight
    with pytest.raises(ValueError, match="tied"):
        stateless.functional_call(net, {"0.weight": fastnn.eye(2), "1.weight": fastnn.ones(2, 2)}, x)
    with pytest.raises(RuntimeError):
        stateless.functional_call(net, {"other": x}, x, strict=True)


def test_skip_init() -> None:
    fastnn.manual_seed(0)
    expected = fastnn.rand(1)
    fastnn.manual_seed(0)
    layer = nn.utils.skip_init(nn.Linear, 3, 4, dtype=fastnn.float64)
    assert layer.weight.shape == (4, 3)
    assert layer.weight.dtype == fastnn.float64
    assert fastnn.equal(fastnn.rand(1), expected)


def test_memory_format_of_weights() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(2, 2))
    values = net[0].weight.clone()
    assert nn.utils.convert_conv2d_weight_memory_format(net, fastnn.channels_last) is net
    assert net[0].weight.is_contiguous(memory_format=fastnn.channels_last)
    assert fastnn.equal(net[0].weight, values)


@pytest.mark.parametrize("kind", ["DataParallel", "DistributedDataParallel"])
def test_parallel(kind: str) -> None:
    inner = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    wrapped = getattr(nn.parallel, kind)(inner, device_ids=None)
    assert wrapped.module is inner
    assert list(wrapped.state_dict()) == ["module." + key for key in inner.state_dict()]
    x = fastnn.randn(4, 2)
    assert fastnn.equal(wrapped.eval()(x), inner(x))
    assert not inner.training
    assert repr(wrapped).startswith(f"{kind}(\n  (module): Sequential(")


def test_distributed() -> None:
    wrapped = nn.parallel.DistributedDataParallel(nn.Linear(2, 2), device_ids=[0], find_unused_parameters=True)
    with wrapped.no_sync():
        assert not wrapped.require_backward_grad_sync
        wrapped(fastnn.ones(1, 2)).sum().backward()
    assert wrapped.require_backward_grad_sync
    with wrapped.join():
        assert wrapped.module.weight.grad is not None
    with pytest.raises(RuntimeError, match="is not needed"):
        nn.parallel.DistributedDataParallel(nn.ReLU())
    assert fastnn.equal(nn.parallel.data_parallel(wrapped.module, fastnn.ones(1, 2)), wrapped(fastnn.ones(1, 2)))


def test_scatter_and_gather() -> None:
    parts = nn.parallel.scatter(({"a": fastnn.arange(5), "b": [fastnn.ones(2, 2)]}, 3), ["cpu", "cpu"])
    assert [part[0]["a"].tolist() for part in parts] == [[0, 1, 2], [3, 4]]
    assert [(tuple(part[0]["b"][0].shape), part[1]) for part in parts] == [((1, 2), 3), ((1, 2), 3)]
    joined = nn.parallel.gather([part[0] for part in parts], "cpu")
    assert joined["a"].tolist() == [0, 1, 2, 3, 4]
    assert joined["b"][0].shape == (2, 2)
    assert nn.parallel.gather([fastnn.tensor(1.0), fastnn.tensor(2.0)], "cpu").tolist() == [1.0, 2.0]
    layer = nn.Linear(2, 2)
    inputs = nn.parallel.scatter((fastnn.ones(4, 2),), ["cpu", "cpu"])
    outputs = nn.parallel.parallel_apply(nn.parallel.replicate(layer, ["cpu", "cpu"]), inputs)
    assert fastnn.equal(nn.parallel.gather(outputs, "cpu"), layer(fastnn.ones(4, 2)))
    with pytest.raises(AssertionError, match="number of modules"):
        nn.parallel.parallel_apply([layer], [])


def test_convert_sync_batchnorm() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Sequential(nn.BatchNorm2d(2)))
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert type(converted[1][0]) is nn.SyncBatchNorm
    assert list(converted.state_dict()) == list(net.state_dict())
    x = fastnn.randn(3, 1, 4, 4)
    plain = copy.deepcopy(net)
    plain[1] = nn.BatchNorm2d(2)
    assert fastnn.allclose(converted(x), plain(x))


PATHS = {
    "nn.modules.batchnorm": ["_BatchNorm", "_NormBase", "SyncBatchNorm"],
    "nn.modules.instancenorm": ["_InstanceNorm", "InstanceNorm2d"],
    "nn.modules.linear": ["NonDynamicallyQuantizableLinear", "Linear"],
    "nn.modules.module": ["_IncompatibleKeys", "_addindent", "Module", "register_module_forward_hook"],
    "nn.modules.conv": ["_ConvNd", "Conv2d"],
    "nn.modules.dropout": ["_DropoutNd"],
    "nn.modules.loss": ["_Loss", "_WeightedLoss"],
    "nn.modules.rnn": ["RNNBase", "LSTM", "RNNCellBase"],
    "nn.modules.transformer": ["_get_clones", "_get_activation_fn", "TransformerEncoderLayer"],
    "nn.modules.activation": ["MultiheadAttention", "ReLU"],
    "nn.modules.pixelshuffle": ["PixelShuffle"],
    "nn.modules.upsampling": ["Upsample"],
    "nn.modules.fold": ["Unfold"],
    "nn.modules.channelshuffle": ["ChannelShuffle"],
    "nn.parallel.distributed": ["DistributedDataParallel"],
    "nn.parallel.data_parallel": ["DataParallel"],
    "nn.utils.rnn": ["PackedSequence", "pad_sequence"],
    "nn.utils.clip_grad": ["clip_grad_norm_"],
    "nn.utils.weight_norm": ["WeightNorm"],
    "nn.utils.spectral_norm": ["SpectralNorm"],
}


@pytest.mark.parametrize("path", PATHS)
def test_import_paths(path: str) -> None:
    torch = pytest.importorskip("torch")
    module = importlib.import_module(f"fastnn.{path}")
    theirs = importlib.import_module(f"{torch.__name__}.{path}")
    for name in PATHS[path]:
        assert getattr(module, name).__name__ == getattr(theirs, name).__name__
