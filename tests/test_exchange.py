"""Checkpoints go from fastnn to PyTorch and back, and training goes on where it was."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import fastnn

torch = pytest.importorskip("torch")

BOTH_WAYS = [pytest.param(fastnn, torch, id="to torch"), pytest.param(torch, fastnn, id="from torch")]


def sent(source, target, obj, **options):
    """What the one package reads of what the other one wrote."""
    file = io.BytesIO()
    source.save(obj, file)
    file.seek(0)
    return target.load(file, weights_only=True, **options)


# --- training goes on ------------------------------------------------------------------------------------------------

STEPS_BEFORE, STEPS_AFTER = 5, 20
RNG = np.random.default_rng(0)
INPUTS = RNG.standard_normal((STEPS_BEFORE + STEPS_AFTER, 16, 6)).astype(np.float32)
LABELS = RNG.integers(0, 3, (STEPS_BEFORE + STEPS_AFTER, 16))

OPTIMIZERS = {
    "SGD": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    "Adam": {"lr": 0.01},
    "AdamW": {"lr": 0.01, "amsgrad": True},
    "RMSprop": {"lr": 0.01, "momentum": 0.5, "centered": True},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.01},
    "Adadelta": {},
    "Adamax": {},
    "ASGD": {"lr": 0.1, "t0": 3},
    "NAdam": {},
    "RAdam": {},
    "Rprop": {},
    "Adafactor": {},
    "LBFGS": {"lr": 0.02, "max_iter": 2, "history_size": 4},
}
SCHEDULERS = {
    "StepLR": lambda T, opt: T.optim.lr_scheduler.StepLR(opt, 4),
    "CosineAnnealingLR": lambda T, opt: T.optim.lr_scheduler.CosineAnnealingLR(opt, 50),
    "OneCycleLR": lambda T, opt: T.optim.lr_scheduler.OneCycleLR(opt, 0.1, total_steps=60),
    "LambdaLR": lambda T, opt: T.optim.lr_scheduler.LambdaLR(opt, lambda step: 1 / (1 + step)),
    "CyclicLR": lambda T, opt: T.optim.lr_scheduler.CyclicLR(opt, 0.01, 0.1, step_size_up=3),
    "CosineAnnealingWarmRestarts": lambda T, opt: T.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, 4, 2),
    "SequentialLR": lambda T, opt: T.optim.lr_scheduler.SequentialLR(
        opt, [T.optim.lr_scheduler.LinearLR(opt, 0.1), T.optim.lr_scheduler.ExponentialLR(opt, 0.9)], [7]
    ),
    "ReduceLROnPlateau": lambda T, opt: T.optim.lr_scheduler.ReduceLROnPlateau(opt, patience=0, threshold=0.5),
}


class Run:
    """A model that is being trained."""

    def __init__(self, package, optimizer, scheduler="CosineAnnealingLR"):
        self.package = T = package
        T.manual_seed(0)
        self.model = T.nn.Sequential(T.nn.Linear(6, 8), T.nn.BatchNorm1d(8), T.nn.Tanh(), T.nn.Linear(8, 3))
        self.optimizer = getattr(T.optim, optimizer)(self.model.parameters(), **OPTIMIZERS[optimizer])
        self.scheduler = SCHEDULERS[scheduler](T, self.optimizer)

    def train(self, steps):
        losses = []
        for step in steps:
            x, y = self.package.from_numpy(INPUTS[step]), self.package.from_numpy(LABELS[step])

            def closure(x=x, y=y):
                self.optimizer.zero_grad()
                loss = self.package.nn.functional.cross_entropy(self.model(x), y)
                loss.backward()
                return loss

            losses.append(self.optimizer.step(closure).item())
            plateau = type(self.scheduler).__name__ == "ReduceLROnPlateau"
            self.scheduler.step(*(losses[-1:] if plateau else ()))
        return losses

    def state(self):
        return {name: getattr(self, name).state_dict() for name in ("model", "optimizer", "scheduler")}

    def load(self, state):
        for name, part in state.items():
            getattr(self, name).load_state_dict(part)


def assert_goes_on(source, target, *choice):
    first, second = Run(source, *choice), Run(target, *choice)
    first.train(range(STEPS_BEFORE))
    second.load(sent(source, target, first.state()))
    rest = range(STEPS_BEFORE, STEPS_BEFORE + STEPS_AFTER)
    expected, got = first.train(rest), second.train(rest)
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    assert second.optimizer.param_groups[0]["lr"] == pytest.approx(first.optimizer.param_groups[0]["lr"], rel=1e-12)
    # And the state can go back.
    first.load(sent(target, source, second.state()))


@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_goes_on_with_the_same_curve(source, target, optimizer):
    assert_goes_on(source, target, optimizer)


@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_schedules_go_on(source, target, scheduler):
    assert_goes_on(source, target, "SGD", scheduler)


@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
def test_averages_of_weights_and_scales_go_on(source, target):
    def make(T):
        T.manual_seed(0)
        model = T.nn.Linear(2, 2)
        return model, T.optim.swa_utils.AveragedModel(model, multi_avg_fn=T.optim.swa_utils.get_ema_multi_avg_fn(0.9))

    (model, average), (_, other) = make(source), make(target)
    with source.no_grad():
        model.weight.add_(1.0)
    average.update_parameters(model)
    other.load_state_dict(sent(source, target, average.state_dict()))
    assert other.n_averaged.item() == 1
    np.testing.assert_array_equal(other.module.weight.detach().numpy(), average.module.weight.detach().numpy())


# --- values ----------------------------------------------------------------------------------------------------------

DTYPES = "float32 float64 float16 bfloat16 complex64 complex128 uint8 int8 int16 int32 int64 bool".split()


def values(T):
    """One of everything."""
    made = {name: T.arange(-2, 4).to(getattr(T, name)) for name in DTYPES}
    base = T.arange(24.0).view(2, 3, 4)
    made |= {"empty": T.empty(0, 3), "scalar": T.tensor(2.5), "of no memory": T.empty(2, 0)}
    made |= {"transposed": base.transpose(0, 2), "strided": base[:, ::2, 1:], "expanded": T.ones(1, 3).expand(4, 3)}
    made |= {"base": base, "offset": base[1], "channels last": T.ones(1, 2, 3, 3).to(memory_format=T.channels_last)}
    made |= {"parameter": T.nn.Parameter(T.ones(2), requires_grad=False), "needs gradient": T.ones(1).requires_grad_()}
    made |= {"dtype": T.bfloat16, "size": T.Size([2, 3]), "device": T.device("cpu"), "number": 3, "text": "é"}
    made |= {"ordered": OrderedDict(a=1, b=T.ones(1)), "nested": [(1, {"x": None}), {2}, 1.5, 2 + 1j, b"\x00\xff"]}
    return made


def assert_same(expected, got):
    if hasattr(expected, "stride"):
        assert (tuple(got.shape), got.stride(), got.storage_offset()) == (
            tuple(expected.shape),
            expected.stride(),
            expected.storage_offset(),
        )
        assert str(got.dtype) == str(expected.dtype) and got.requires_grad == expected.requires_grad
        assert type(got).__name__ == type(expected).__name__
        assert got.detach().tolist() == expected.detach().tolist()
    elif isinstance(expected, dict):
        assert type(got).__name__ == type(expected).__name__ and list(got) == list(expected)
        for name in expected:
            assert_same(expected[name], got[name])
    elif isinstance(expected, (list, tuple)):
        assert type(got).__name__ == type(expected).__name__ and len(got) == len(expected)
        for one, other in zip(expected, got, strict=True):
            assert_same(one, other)
    else:
        assert str(got) == str(expected)


@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
def test_values_of_every_kind(source, target):
    got = sent(source, target, values(source))
    assert_same(values(target), got)
    assert got["base"].untyped_storage().data_ptr() == got["transposed"].untyped_storage().data_ptr()
    got["base"][1, 0, 0] = -1.0
    assert got["offset"][0, 0].item() == got["transposed"][0, 0, 1].item() == -1.0


@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
@pytest.mark.parametrize("location", ["cpu", {"cuda:0": "cpu"}, lambda storage, place: storage], ids=str)
def test_map_location(source, target, location):
    assert_same(values(target), sent(source, target, values(source), map_location=location))


@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
def test_mapped_files(source, target, tmp_path):
    path = tmp_path / "checkpoint.pt"
    source.save(values(source), path)
    mapped = target.load(path, mmap=True, weights_only=True)
    assert_same(values(target), mapped)
    mapped["base"].zero_()  # of this process alone
    assert_same(values(source), source.load(path, weights_only=True))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_protocols_of_torch(protocol):
    file = io.BytesIO()
    torch.save(values(torch), file, pickle_protocol=protocol)
    file.seek(0)
    assert_same(values(fastnn), fastnn.load(file))


def test_the_format_before_zip_archives():
    file = io.BytesIO()
    torch.save(values(torch), file, _use_new_zipfile_serialization=False)
    file.seek(0)
    assert_same(values(fastnn), fastnn.load(file))


# --- models ----------------------------------------------------------------------------------------------------------


def tied(T):
    """A model whose output layer is its embedding, with buffers that are saved and one that is not."""
    model = T.nn.Module()
    model.embedding, model.norm, model.output = T.nn.Embedding(5, 4), T.nn.BatchNorm1d(4), T.nn.Linear(4, 5, bias=False)
    model.output.weight = model.embedding.weight
    model.register_buffer("scratch", T.ones(3), persistent=False)
    return model


@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
def test_tied_weights_and_metadata(source, target):
    source.manual_seed(1)
    state = tied(source).state_dict()
    got = sent(source, target, state)
    assert type(got) is OrderedDict and got._metadata == state._metadata and list(got) == list(state)
    assert got["output.weight"].untyped_storage().data_ptr() == got["embedding.weight"].untyped_storage().data_ptr()
    model = tied(target)
    assert list(model.load_state_dict(got)) == [[], []]
    assert model.output.weight is model.embedding.weight
    assert model.output.weight.tolist() == state["output.weight"].tolist()


def test_metadata_are_those_of_pytorch():
    theirs, ours = tied(torch).state_dict(), tied(fastnn).state_dict()
    assert ours._metadata == theirs._metadata and list(ours) == list(theirs)


@pytest.mark.parametrize("layer", ["LSTM", "MultiheadAttention", "TransformerEncoderLayer", "GRU"])
@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
def test_layers_with_several_parameters(source, target, layer):
    source.manual_seed(2)
    one, other = (getattr(T.nn, layer)(8, 4 if layer != "MultiheadAttention" else 2) for T in (source, target))
    other.load_state_dict(sent(source, target, one.state_dict()))
    x = np.random.default_rng(0).standard_normal((3, 2, 8)).astype(np.float32)
    arguments = {"MultiheadAttention": 3}.get(layer, 1)
    results = [m.eval()(*[T.from_numpy(x)] * arguments) for m, T in ((one, source), (other, target))]
    expected, got = (r[0] if isinstance(r, tuple) else r for r in results)
    np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("source", "target"), BOTH_WAYS)
def test_weights_that_are_parametrized(source, target):
    def make(T):
        T.manual_seed(3)
        return T.nn.utils.parametrizations.weight_norm(T.nn.Linear(3, 2))

    one, other = make(source), make(target)
    with source.no_grad():
        one.parametrizations.weight.original0.mul_(2)
    other.load_state_dict(sent(source, target, one.state_dict()))
    np.testing.assert_allclose(other.weight.detach().numpy(), one.weight.detach().numpy(), rtol=1e-6)


def test_weights_only_reading_refuses_what_is_no_value():
    file = io.BytesIO()
    torch.save({"model": torch.nn.Linear(1, 1)}, file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=r"torch\.nn\.modules\.linear\.Linear"):
        fastnn.load(file, weights_only=True)


# --- whole modules ---------------------------------------------------------------------------------------------------


def network(T):
    T.manual_seed(4)
    return T.nn.Sequential(
        T.nn.Conv2d(1, 4, 3, padding="same"), T.nn.BatchNorm2d(4), T.nn.ReLU(), T.nn.MaxPool2d(2), T.nn.Flatten(2),
        T.nn.LayerNorm(4), T.nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True, activation="gelu"),
        T.nn.Linear(4, 3), T.nn.Softmax(-1),
    )  # fmt: skip


def test_whole_modules_of_pytorch_are_read():
    theirs, file = network(torch).eval(), io.BytesIO()
    torch.save({"model": theirs, "rnn": torch.nn.LSTM(2, 3)}, file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="weights_only=False reads whole modules"):
        fastnn.load(file)
    file.seek(0)
    got = fastnn.load(file, weights_only=False)
    x = np.random.default_rng(0).standard_normal((2, 1, 4, 4)).astype(np.float32)
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(got["model"](fastnn.from_numpy(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-6)
    assert type(got["rnn"]) is fastnn.nn.LSTM and got["rnn"](fastnn.ones(5, 1, 2))[0].shape == (5, 1, 3)


class Net(fastnn.nn.Module):
    """A user's model, with a function among its attributes."""

    def __init__(self):
        super().__init__()
        self.layer, self.activation, self.sizes = fastnn.nn.Linear(2, 2), fastnn.nn.functional.relu, [1, 2]

    def forward(self, x):
        return self.activation(self.layer(x))


def test_whole_modules_of_the_program_come_back():
    net, file = Net(), io.BytesIO()
    fastnn.save(net, file)
    file.seek(0)
    got = fastnn.load(file, weights_only=False)
    assert type(got) is Net and got.sizes == [1, 2] and got.activation is fastnn.nn.functional.relu
    assert got(fastnn.ones(1, 2)).tolist() == net(fastnn.ones(1, 2)).tolist()


def test_whole_modules_name_pytorch_s_classes():
    """PyTorch reads them where fastnn is not installed."""
    import pickletools
    import zipfile

    file = io.BytesIO()
    fastnn.save(network(fastnn), file)
    with zipfile.ZipFile(file) as archive:
        stream = archive.read("archive/data.pkl")
    names = {argument.split(" ")[0] for op, argument, _ in pickletools.genops(stream) if op.name == "GLOBAL"}
    assert names <= {"torch", "torch._utils", "torch.nn", "torch.nn.functional", "torch.nn.modules.linear",
                     "collections", "__builtin__"}  # fmt: skip
    file.seek(0)
    theirs, ours = torch.load(file, weights_only=False).eval(), network(fastnn).eval()
    assert type(theirs) is torch.nn.Sequential
    x = np.random.default_rng(0).standard_normal((2, 1, 4, 4)).astype(np.float32)
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours(fastnn.from_numpy(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "stream",
    [
        b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00ls\x85R.",
        b"\x80\x02ctorch.nn.functional\nrelu\n)R.",  # a value, and not to be called
        b"\x80\x02ctorch.nn\nLinear\nK\x02K\x02\x86R.",
        b"\x80\x02ctorch.nn\nLinear\nK\x02K\x02\x86\x81.",
        b"\x80\x02ctorch.hub\nload\n.",
        b"\x80\x02ctorch\nload\n.",
        b"\x80\x02cfastnn.nn.modules.module\nwarnings\n.",
    ],
)
def test_trusted_files_call_nothing_either(stream):
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", stream)
        archive.writestr("archive/version", "3\n")
    file.seek(0)
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        fastnn.load(file, weights_only=False)
