"""freeze, unfreeze, report, fingerprint: what is frozen stays bit-identical in real training."""

from __future__ import annotations

import copy
import hashlib
import pickle

import pytest

import fastnn
from fastnn import finetune, nn
from fastnn.finetune import fingerprint, freeze, report, unfreeze


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        )
        self.plain_norm = nn.BatchNorm1d(16, affine=False)
        self.head = nn.Linear(16, 3)
        self.register_buffer("scale", fastnn.ones(1))

    def forward(self, x):
        return self.head(self.plain_norm(self.body(x).flatten(1)) * self.scale)


BODY = ["body.0.weight", "body.1.weight", "body.1.bias", "body.3.weight", "body.3.bias", "body.4.weight", "body.4.bias"]
HEAD = ["head.weight", "head.bias"]


def statistics(prefix):
    return [f"{prefix}.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")]


ALL_STATISTICS = [*statistics("body.1"), *statistics("body.4"), *statistics("plain_norm")]


def make():
    fastnn.manual_seed(0)
    return Net()


def train(model, optimizer, steps=5):
    model.train()
    fastnn.manual_seed(1)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(fastnn.randn(8, 1, 6, 6) + 2), fastnn.randint(0, 3, (8,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def changed(before, after):
    return [name for name in before if before[name] != after[name]]


OPTIMIZERS = {
    "sgd": lambda params: fastnn.optim.SGD(params, lr=0.1, momentum=0.9, weight_decay=0.1),
    "adamw": lambda params: fastnn.optim.AdamW(params, lr=0.1, weight_decay=0.5),
    "adam": lambda params: fastnn.optim.Adam(params, lr=0.1, weight_decay=0.5, amsgrad=True),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("trained_before", [False, True])
def test_frozen_parts_are_bit_identical(name, trained_before):
    model = make()
    optimizer = OPTIMIZERS[name](model.parameters())
    if trained_before:
        train(model, optimizer, 2)  # leaves momentum and gradients behind
    result = freeze(model, ["body", "plain_norm"])
    assert result.can_change == HEAD
    assert all(parameter.grad is None for parameter in model.body.parameters())
    before = fingerprint(model)
    train(model, optimizer)
    assert changed(before, fingerprint(model)) == HEAD
    model.eval()
    model.train()
    assert all(parameter.grad is None for parameter in model.body.parameters())
    if not trained_before:
        assert len(optimizer.state) == 2
    unfreeze(model)
    before = fingerprint(model)
    train(model, optimizer)
    assert set(before) - set(changed(before, fingerprint(model))) == {"scale"}


def test_statistics_of_frozen_layers_are_used_in_training():
    model = make()
    freeze(model, "plain_norm")
    x = fastnn.randn(8, 16) * 3 + 1
    model.train()
    assert fastnn.allclose(model.plain_norm(x), x / (1 + 1e-5) ** 0.5, atol=1e-6)
    unfreeze(model, "plain_norm")
    assert model.plain_norm(x).mean().item() == pytest.approx(0, abs=1e-5)


def test_unfrozen_statistics_move():
    model = make()
    freeze(model, ["head", "body.0"])
    before = fingerprint(model)
    train(model, fastnn.optim.SGD(model.parameters(), lr=0.1))
    moved = changed(before, fingerprint(model))
    assert moved == report(model).can_change
    assert set(ALL_STATISTICS) <= set(moved) and not {"head.weight", "body.0.weight", "scale"} & set(moved)


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (None, [*BODY, *HEAD]),
        ("*", [*BODY, *HEAD]),
        ("head", HEAD),
        ("head.*", HEAD),
        (["head.bias"], ["head.bias"]),
        ("*.bias", ["body.1.bias", "body.3.bias", "body.4.bias", "head.bias"]),
        ("body.[01]", ["body.0.weight", "body.1.weight", "body.1.bias"]),
        ("body.?.weight", ["body.0.weight", "body.1.weight", "body.3.weight", "body.4.weight"]),
        (("head", "body.0"), ["body.0.weight", *HEAD]),
        ((name for name in ["head"]), HEAD),
    ],
)
def test_patterns(patterns, expected):
    model = make()
    result = freeze(model, patterns)
    assert result.frozen == expected
    assert result.trainable == [name for name in [*BODY, *HEAD] if name not in expected]
    assert [name for name, parameter in model.named_parameters() if not parameter.requires_grad] == expected


def test_a_name_is_not_a_prefix():
    model = nn.ModuleDict({"body": nn.Linear(1, 1), "body2": nn.Linear(1, 1)})
    assert freeze(model, "body").frozen == ["body.weight", "body.bias"]


def test_norm_layers_follow_their_parameters():
    model = make()
    assert freeze(model, "body.1.weight").changing_buffers == ALL_STATISTICS
    assert freeze(model, "body.1.bias").changing_buffers == [*statistics("body.4"), *statistics("plain_norm")]
    assert unfreeze(model, "body.1.bias").changing_buffers == ALL_STATISTICS
    freeze(model, "body")
    assert report(model).changing_buffers == statistics("plain_norm")
    freeze(model, "head")  # touches no norm layer
    assert report(model).changing_buffers == statistics("plain_norm")
    assert freeze(model).changing_buffers == []
    assert unfreeze(model, "plain_norm").can_change == statistics("plain_norm")
    assert unfreeze(model).can_change == [*BODY, *HEAD, *ALL_STATISTICS]


def test_other_freezing_is_not_taken_over():
    model = make()
    model.body[1].requires_grad_(False)
    freeze(model, "head")
    assert statistics("body.1")[0] in report(model).changing_buffers
    assert report(model).frozen == ["body.1.weight", "body.1.bias", *HEAD]


def test_shared_parameters():
    model = nn.ModuleDict({"embedding": nn.Embedding(5, 3), "decoder": nn.Linear(3, 5, bias=False)})
    model["decoder"].weight = model["embedding"].weight
    result = freeze(model, "decoder")
    assert result.frozen == ["embedding.weight"] and result.frozen_parameters == 15
    assert not model["embedding"].weight.requires_grad


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_stay_frozen(duplicate):
    model = make()
    freeze(model, ["body", "plain_norm"])
    other = duplicate(model)
    assert report(other) == report(model) and report(other).can_change == HEAD
    before = fingerprint(other)
    assert before == fingerprint(model)
    train(other, OPTIMIZERS["sgd"](other.parameters()))
    assert changed(before, fingerprint(other)) == HEAD


@pytest.mark.parametrize("function", [freeze, unfreeze])
def test_patterns_without_a_match(function):
    model = make()
    before = report(model)
    name = function.__name__
    with pytest.raises(ValueError, match=rf"{name}: pattern 'heda' matches no parameter or module of Net; .*head"):
        function(model, ["body", "heda"])
    with pytest.raises(ValueError, match=r"near matches: plain_norm"):
        function(model, "*norm1*")
    with pytest.raises(ValueError, match=r"near matches: body\.0\.weight, body\.1\.weight"):
        function(model, "Weight")
    with pytest.raises(ValueError, match=r"its names are: body, body\.0, .*, \.\.\."):
        function(model, "zzz")
    with pytest.raises(ValueError, match="its names are: none"):
        function(nn.ReLU(), "x")
    with pytest.raises(ValueError, match="patterns is empty"):
        function(model, [])
    with pytest.raises(TypeError, match="must be strings, but got int"):
        function(model, [3])
    with pytest.raises(TypeError, match="must be a Module, but got list"):
        function([model], "body")
    assert report(model) == before


def test_report():
    model = make()
    freeze(model, ["body", "plain_norm"])
    result = report(model)
    assert (result.trainable_parameters, result.trainable_bytes) == (51, 204)
    assert (result.frozen_parameters, result.frozen_bytes) == (36 + 8 + 148 + 8, 800)
    assert repr(result) == "FreezeReport(trainable=51, frozen=200)"
    assert str(result) == (
        "can change   kind       shape    dtype    elements\n"
        "head.weight  parameter  (3, 16)  float32  48\n"
        "head.bias    parameter  (3,)     float32  3\n"
        "trainable: 2 parameters, 51 elements, 204 bytes\n"
        "frozen: 7 parameters, 200 elements, 800 bytes\n"
        "running statistics: 0 change in training mode, 9 are frozen\n"
        "1 other buffer, changed by nothing but the model's own code"
    )
    entry = next(entry for entry in result.entries if entry.name == "head.weight")
    assert entry == finetune.ReportEntry("head.weight", "parameter", (3, 16), "float32", 48, 192, True)
    kinds = {entry.name: entry.kind for entry in result.entries}
    assert kinds["scale"] == "buffer" and kinds["body.1.running_mean"] == "running statistic"
    assert str(freeze(model)).startswith("nothing can change\ntrainable: 0 parameters, 0 elements, 0 bytes\n")


def test_report_of_large_models():
    model = nn.ModuleList([nn.Linear(512, 512) for _ in range(30)])
    text = str(report(model))
    assert "... and 20 more\ntrainable: 60 parameters, 7,879,680 elements, 30.1 MiB\n" in text
    assert report(model) != report(nn.Linear(1, 1)) and report(model) != 3


def test_half_precision_counts_its_bytes():
    result = report(nn.Linear(3, 2).to(fastnn.bfloat16))
    assert (result.trainable_parameters, result.trainable_bytes) == (8, 16)


def test_unfreezing_skips_integers():
    model = nn.Linear(2, 2)
    model.codes = nn.Parameter(fastnn.tensor([1, 2]), requires_grad=False)
    assert unfreeze(model).trainable == ["weight", "bias"]


def test_fingerprint():
    model = nn.Linear(2, 2)
    model.weight.data.copy_(fastnn.tensor([[1.0, 2.0], [3.0, 4.0]]))
    digest = hashlib.sha256(bytes.fromhex("0000803f000000400000404000008040")).hexdigest()
    before = fingerprint(model)
    assert list(before) == ["weight", "bias"] and before["weight"] == digest
    model.weight.data = model.weight.data.t().contiguous().t()
    assert fingerprint(model) == before  # the memory order does not count
    whole = fastnn.tensor([9.0, 1.0, 2.0, 3.0, 4.0, 9.0])
    model.weight.data = whole[1:5].reshape(2, 2)
    assert fingerprint(model) == before  # nor does what else is in the memory
    model.bias.data[0] = -0.0
    model.bias.data[1] = 0.0
    signed = fingerprint(model)["bias"]
    model.bias.data[0] = 0.0
    assert fingerprint(model)["bias"] != signed


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_fingerprint_of_other_dtypes(dtype):
    model = nn.BatchNorm1d(2).to(getattr(fastnn, dtype))
    before = fingerprint(model)
    assert len(before) == 5 and before["weight"] != before["bias"]
    model.weight.data[1] += 0.5
    assert changed(before, fingerprint(model)) == ["weight"]
