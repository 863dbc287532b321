"""The device meta: shapes, strides and dtypes as PyTorch's, and no values."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn._meta import MetaTensor


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def meta(t: Any, *shape: int) -> Any:
    return t.empty(*shape, device="meta")


# What is computed of a tensor (2, 3, 4) and a table (5, 4); the results are tensors or lists of them.
OPERATIONS = {
    "arithmetic": lambda t, x, w: (x + 1) * x - 2 / x,
    "number to the power": lambda t, x, w: 10.0**x,
    "promotion": lambda t, x, w: x.to(t.float64) + x.int(),
    "comparison": lambda t, x, w: x > 0,
    "view": lambda t, x, w: x.view(6, 4).t(),
    "permute": lambda t, x, w: x.permute(2, 0, 1),
    "slice": lambda t, x, w: x[:, 1:, ::2],
    "index": lambda t, x, w: x[[0, 1, 0]],
    "broadcast": lambda t, x, w: x.unsqueeze(1) + x[:, None, 0],
    "expand": lambda t, x, w: x[:, :1].expand(2, 5, 4),
    "cat": lambda t, x, w: t.cat([x, x], 1),
    "stack": lambda t, x, w: t.stack([x, x], -1),
    "split": lambda t, x, w: list(x.split(2, 1)),
    "sum": lambda t, x, w: x.sum(1, keepdim=True),
    "argmax": lambda t, x, w: x.argmax(-1),
    "max": lambda t, x, w: list(x.max(1)),
    "topk": lambda t, x, w: list(x.topk(2)),
    "softmax": lambda t, x, w: t.nn.functional.softmax(x, -1),
    "linear": lambda t, x, w: t.nn.functional.linear(x, w),
    "matmul": lambda t, x, w: x @ x.transpose(1, 2),
    "einsum": lambda t, x, w: t.einsum("bij,kj->bik", x, w),
    "embedding": lambda t, x, w: t.nn.functional.embedding(t.zeros(2, 3, dtype=t.long, device="meta"), w),
    "attention": lambda t, x, w: t.nn.functional.scaled_dot_product_attention(x, x, x),
    "conv": lambda t, x, w: t.nn.functional.conv1d(x, t.empty(6, 3, 2, device="meta")),
    "where": lambda t, x, w: t.where(x > 0, x, 0.0),
    "like": lambda t, x, w: [t.zeros_like(x), t.ones_like(x, dtype=t.int8), t.rand_like(x), t.full_like(x, 3)],
    "new": lambda t, x, w: [x.new_zeros(3), x.new_empty((2, 1)), x.new_full((2,), 1)],
    "to cpu by likeness": lambda t, x, w: t.zeros_like(x, device="cpu"),
    "clone": lambda t, x, w: x.transpose(0, 1).clone(),
    "contiguous": lambda t, x, w: x.transpose(0, 1).contiguous(),
    "half": lambda t, x, w: x.half(),
    "in place": lambda t, x, w: x.normal_().mul_(2).add_(1).clamp_(0, 1),
    "written": lambda t, x, w: x.copy_(t.ones(2, 3, 4)),
    "from values": lambda t, x, w: [t.ones(2, 3).to("meta"), t.tensor([1, 2], device="meta")],
    "factories": lambda t, x, w: [
        t.arange(5, device="meta"),
        t.full((2,), True, device="meta"),
        t.randn(2, 3, device="meta", dtype=t.float16),
        t.randint(0, 9, (4,), device="meta"),
        t.eye(3, device="meta"),
        t.linspace(0, 1, 4, device="meta"),
        t.as_tensor([1.0], device="meta"),
    ],
}


def described(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [described(item) for item in value]
    return str(value.device), tuple(value.shape), tuple(value.stride()), str(value.dtype), value.requires_grad


@pytest.mark.parametrize("name", OPERATIONS)
def test_shapes_are_those_of_pytorch(torch, name):
    made = [described(OPERATIONS[name](t, meta(t, 2, 3, 4), meta(t, 5, 4))) for t in (fastnn, torch)]
    assert made[0] == made[1]


NEEDS_VALUES = {
    "item": lambda t, x: x.sum().item(),
    "list": lambda t, x: x.tolist(),
    "bool": lambda t, x: bool(x.sum()),
    "cpu": lambda t, x: x.cpu(),
    "to": lambda t, x: x.to("cpu"),
    "to by name": lambda t, x: x.to(device="cpu", dtype=t.float64),
    "copy": lambda t, x: t.ones(2, 3).copy_(x),
    "module": lambda t, x: t.nn.Linear(2, 3, device="meta").to("cpu"),
    "nonzero": lambda t, x: t.nonzero(x),
    "mask": lambda t, x: x[x > 0],
    "masked": lambda t, x: x.masked_select(x > 0),
    "equal": lambda t, x: t.equal(x, x),
}


@pytest.mark.parametrize("name", NEEDS_VALUES)
def test_what_needs_values_is_an_error(torch, name):
    with pytest.raises((NotImplementedError, RuntimeError)):
        NEEDS_VALUES[name](torch, meta(torch, 2, 3))
    with pytest.raises(NotImplementedError, match="no data"):
        NEEDS_VALUES[name](fastnn, meta(fastnn, 2, 3))


def test_memory_is_not_given_to_others():
    x = meta(fastnn, 2, 3)
    for convert in (np.asarray, lambda x: x.numpy()):
        with pytest.raises((TypeError, NotImplementedError), match=r"can't convert meta device|no data"):
            convert(x)
    with pytest.raises(NotImplementedError, match="no data"):
        memoryview(x)
    with pytest.raises(pickle.PicklingError, match="meta"):
        fastnn.save({"x": x}, io.BytesIO())
    assert x.data_ptr() == 0 and x.untyped_storage().nbytes() == 24 and x.untyped_storage().data_ptr() == 0


def test_it_takes_no_memory_and_writes_nothing():
    huge = fastnn.ones(200_000, 200_000, device="meta")
    assert huge.normal_() is huge and huge[5:7, 3].shape == (2,) and huge.T.stride() == (1, 200_000)
    x = meta(fastnn, 3)
    x.fill_(7)
    x[0] = 5
    x += 1
    assert x.as_subclass(fastnn.Tensor).tolist() == [0.0, 0.0, 0.0]


def test_repr(torch):
    for make in (
        lambda t: t.empty(2, 3, device="meta"),
        lambda t: t.zeros(2, device="meta", dtype=t.int64),
        lambda t: t.nn.Parameter(t.empty(2, device="meta")),
    ):
        assert repr(make(fastnn)) == str(make(fastnn)) == repr(make(torch))


def test_parameters_and_buffers():
    with fastnn.device("meta"):
        net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5))
        net[0].register_buffer("table", fastnn.arange(3.0))
        net[0].other = nn.Buffer(fastnn.zeros(2), persistent=False)
    assert all(value.is_meta for value in (*net.parameters(), *net.buffers()))
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in net.parameters())
    assert isinstance(net[0].other, nn.Buffer) and "0.other" not in net.state_dict()
    copied = copy.deepcopy(net)
    assert copied[0].weight.is_meta and copied[0].weight is not net[0].weight
    assert net(fastnn.empty(2, 4, device="meta")).shape == (2, 5)
    net.to_empty(device="cpu")
    assert not any(value.is_meta for value in (*net.parameters(), *net.buffers()))
    assert type(net[0].weight) is nn.Parameter and net[0].weight.requires_grad
    weights = nn.Linear(4, 5).state_dict()
    copied[0] = nn.Linear(4, 5, device="meta")
    copied[0].load_state_dict(weights, assign=True)
    assert fastnn.equal(copied[0].weight, weights["weight"])
    assert type(type(nn.Parameter(meta(fastnn, 2)))(fastnn.ones(2))) is nn.Parameter
    moved = nn.Linear(2, 2).to("meta")
    assert moved.weight.is_meta and isinstance(moved.weight, nn.Parameter)


def test_initialisation_does_nothing():
    weight = nn.Parameter(meta(fastnn, 4, 3))
    for initialise in (nn.init.kaiming_uniform_, nn.init.xavier_normal_, nn.init.trunc_normal_, nn.init.zeros_):
        assert initialise(weight) is weight


def test_default_device(torch):
    for t in (fastnn, torch):
        assert t.tensor([]).device == t.get_default_device() == t.device("cpu")
        with t.device("meta"):
            assert t.tensor([1.0]).is_meta and t.get_default_device() == t.device("meta")
            assert (10000 ** t.arange(3)).is_meta and not t.ones(2, device="cpu").is_meta
        t.set_default_device("meta")
        try:
            assert t.ones(2).is_meta and t.get_default_device() == t.device("meta")
        finally:
            t.set_default_device(None)
        assert not t.ones(2).is_meta and t.get_default_device() == t.device("cpu")


def test_type():
    assert isinstance(meta(fastnn, 1), MetaTensor) and not isinstance(fastnn.empty(1), MetaTensor)
    assert fastnn.empty(1).is_meta is False and meta(fastnn, 1).is_cpu is False
