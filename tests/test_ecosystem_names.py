"""What packages look up when they are imported: it computes what PyTorch computes, or names what is missing."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys
import typing
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.utils import _pytree


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def modules() -> list[str]:
    walked = pkgutil.walk_packages(fastnn.__path__, "fastnn.")
    return [
        found.name for found in walked if not found.name.startswith(("fastnn._torch", "fastnn.__main", "fastnn.demo"))
    ]


def test_annotations_of_classes_can_be_evaluated() -> None:
    """Packages ask for them, `transformers` of every module that a model derives from."""
    wrong = []
    for name in modules():
        module = importlib.import_module(name)
        for kind in vars(module).values():
            if inspect.isclass(kind) and kind.__module__ == name:
                try:
                    typing.get_type_hints(kind)
                except NameError as error:
                    wrong.append(f"{name}.{kind.__qualname__}: {error}")
    assert wrong == []


LOOKED_UP = """
from torch.ao.quantization import DeQuantStub, QConfig, QuantStub
from torch.distributed._composable.fsdp import fully_shard
from torch.distributed._functional_collectives import all_to_all_single_autograd, wait_tensor
from torch.distributed._tensor import DTensor
from torch.distributed.algorithms.join import Join, Joinable
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.fsdp.fully_sharded_data_parallel import FullyShardedDataParallel, StateDictType
from torch.distributed.tensor.placement_types import Replicate, Shard
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, record
from torch.fx.graph_module import _CodeOnlyModule, _copy_attr
from torch.jit.annotations import BroadcastingList2, List
from torch.onnx import symbolic_opset11
from torch.onnx.symbolic_helper import parse_args
from torch.utils.model_zoo import tqdm
from torch.nn.quantized import FloatFunctional
from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex
from torch.nn.modules.module import _EXTRA_STATE_KEY_SUFFIX
from torch._C import DispatchKey, DispatchKeySet
import torch.fx, torch._custom_ops
assert torch.torch is torch and str(torch.Tensor) == "<class 'torch.Tensor'>"
torch._dynamo.mark_static_address(torch.ones(1)), torch._dynamo.mark_static(torch.ones(1))
assert torch.fx.node.Node and torch._custom_ops.get_ctx
keys = DispatchKeySet(DispatchKey.AutocastCPU) | DispatchKeySet(DispatchKey.CPU)
assert keys.has(DispatchKey.CPU) and not keys.has(DispatchKey.CUDA)
try:
    symbolic_opset11.unsqueeze
except AttributeError as error:
    assert "unsqueeze" in str(error)
"""


def test_names_that_packages_import() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastnn.run", "-c", LOOKED_UP], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_marks_of_quantization_do_nothing_until_a_model_is_converted(torch) -> None:
    x, y = [1.0, -3.0], [2.0, 0.5]
    results = []
    for t in (fastnn, torch):
        f, a, b = t.nn.quantized.FloatFunctional(), t.tensor(x), t.tensor(y)
        values = [f.add(a, b), f.add_scalar(a, 2.0), f.mul(a, b), f.mul_scalar(a, 3.0), f.cat([a, b]), f.add_relu(a, b)]
        values += [f.matmul(a, b), t.ao.quantization.QuantStub()(a), t.ao.quantization.DeQuantStub()(b)]
        results.append([value.tolist() for value in values])
        with pytest.raises(RuntimeError, match="not intended to use the 'forward'"):
            f(a)
        assert [name for name, _ in f.named_children()] == ["activation_post_process"]
    assert results[0] == results[1]
    with pytest.raises(NotImplementedError, match="no quantized tensors"):
        fastnn.ao.quantization.convert(nn.Linear(1, 1))


@pytest.mark.parametrize(
    "name", ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"]
)
def test_limits_of_eight_bit_floats(torch, name: str) -> None:
    ours, theirs = fastnn.finfo(getattr(fastnn, name)), torch.finfo(getattr(torch, name))
    assert repr(ours) == repr(theirs)
    for limit in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution"):
        assert getattr(ours, limit) == getattr(theirs, limit)


def test_join_calls_the_hooks() -> None:
    from fastnn.distributed.algorithms import Join, Joinable, JoinHook

    called: list[Any] = []

    class Hook(JoinHook):
        def post_hook(self, is_last_joiner: bool) -> None:
            called.append(is_last_joiner)

    class Model(Joinable):
        def join_hook(self, **kwargs: Any) -> JoinHook:
            called.append(kwargs)
            return Hook()

    with Join([Model()], divide=True):
        pass
    assert called == [{"divide": True}, True]
    with Join([Model()], enable=False):
        pass
    assert len(called) == 2
    with pytest.raises(ZeroDivisionError), Join([Model()]):
        called.append(1 / 0)
    assert called[2:] == [{}]
    with pytest.raises(ValueError, match="at least one joinable"):
        Join([])


def test_placements_are_values(torch) -> None:
    from torch.distributed.tensor import Partial as TheirPartial
    from torch.distributed.tensor import Shard as TheirShard

    from fastnn.distributed.tensor import Partial, Replicate, Shard

    for shard, partial in ((Shard, Partial), (TheirShard, TheirPartial)):
        assert shard(1) == shard(1) != shard(0) and hash(shard(1)) == hash(shard(1))
        assert shard(1).is_shard() and shard(1).is_shard(1) and not shard(1).is_shard(0)
        assert partial().reduce_op == "sum" and partial().is_partial() and not partial().is_replicate()
    assert Replicate().is_replicate() and Replicate() == Replicate()


def test_checkpoints_of_several_processes_are_refused() -> None:
    from fastnn.distributed import checkpoint

    for use in (checkpoint.save, checkpoint.get_model_state_dict, checkpoint.FileSystemReader):
        with pytest.raises(NotImplementedError, match=r"torch\.save"):
            use("path")


def test_keys_of_containers(torch) -> None:
    tree = {"b": 1, "a": [2, 3]}
    for package in (_pytree, torch.utils._pytree):
        pairs, context = package._dict_flatten_with_keys(tree)
        assert [(key.key, value) for key, value in pairs] == [("b", 1), ("a", [2, 3])] and context == ["b", "a"]
        pairs, _ = package._list_flatten_with_keys([7, 8])
        assert [(key.idx, value) for key, value in pairs] == [(0, 7), (1, 8)]


@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan(torch, reverse: bool) -> None:
    from torch._higher_order_ops.associative_scan import associative_scan as theirs

    from fastnn._higher_order_ops.associative_scan import associative_scan as ours

    def step(a: Any, b: Any) -> Any:  # x -> decay * x + input, one after the other
        return a[0] * b[0], a[1] * b[0] + b[1]

    results = []
    for t, scan in ((fastnn, ours), (torch, theirs)):
        decay = t.linspace(0.1, 0.9, 2 * 7 * 3).reshape(2, 7, 3).requires_grad_()
        values = t.arange(42.0).reshape(2, 7, 3)
        made = scan(step, (decay, values), 1, reverse=reverse, combine_mode="generic")
        (made[0].sum() + made[1].sum()).backward()
        results.append([*(value.detach().numpy() for value in made), decay.grad.numpy()])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def test_associative_scan_of_elements_and_its_errors() -> None:
    from fastnn._higher_order_ops import associative_scan

    x = fastnn.tensor([[3, 1, 2], [5, 9, 4]])
    assert associative_scan(lambda a, b: fastnn.maximum(a, b), x, 1).tolist() == [[3, 3, 3], [5, 9, 9]]
    assert associative_scan(lambda a, b: [a[0] + b[0]], [x], 0, reverse=True)[0].tolist() == [[8, 10, 6], [5, 9, 4]]
    with pytest.raises(ValueError, match="Combine_mode"):
        associative_scan(lambda a, b: a + b, x, 0, combine_mode="other")
    with pytest.raises(ValueError, match="at least 1"):
        associative_scan(lambda a, b: a + b, [], 0)
    with pytest.raises(ValueError, match="differ"):
        associative_scan(lambda a, b: a, (x, x[:1]), 0)


def test_an_empty_buffer_is_an_empty_tensor() -> None:
    assert fastnn.asarray(b"").shape == (0,) and fastnn.asarray(b"", dtype=fastnn.float32).dtype is fastnn.float32


def test_progress_without_tqdm(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    bar = fastnn.hub.tqdm(range(3), total=3)
    with bar as shown:
        assert list(shown) == [0, 1, 2] and shown.update(1) is None and shown.close() is None


def test_attributes_are_copied_between_modules() -> None:
    from fastnn.fx.graph_module import _copy_attr

    source, target = nn.Module(), nn.Module()
    source.block = nn.Sequential(nn.Linear(2, 3))
    _copy_attr(source, target, "block.0.weight")
    assert target.block._modules["0"].weight is source.block[0].weight
