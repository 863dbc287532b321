"""The namespaces around the core: they answer truthfully, and what is not there says so."""

from __future__ import annotations

import collections
import importlib
import json
import os
import pickle
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.utils import _pytree

ROOT = Path(fastnn.__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


# --- devices ---------------------------------------------------------------------------------------------------------

# Asked with no argument; the installed PyTorch, if it has no CUDA, must give the same value or exception type.
SAME = [
    *(f"cuda.{name}" for name in ("is_available", "device_count", "is_initialized", "init", "current_device")),
    *(f"cuda.{name}" for name in ("empty_cache", "synchronize", "current_stream", "default_stream", "Stream")),
    *(f"cuda.{name}" for name in ("get_device_name", "get_device_capability", "get_device_properties", "Event")),
    *(f"cuda.{name}" for name in ("memory_allocated", "max_memory_allocated", "memory_reserved", "memory_stats")),
    *(f"cuda.{name}" for name in ("max_memory_reserved", "mem_get_info", "get_rng_state", "get_rng_state_all")),
    *(
        f"cuda.{name}"
        for name in ("seed", "seed_all", "initial_seed", "is_bf16_supported", "get_arch_list", "ipc_collect")
    ),
    *(f"cuda.{name}" for name in ("FloatTensor", "get_gencode_flags", "cudart", "CUDAGraph", "has_half", "has_magma")),
    *(f"xpu.{name}" for name in ("is_available", "device_count", "empty_cache", "synchronize", "current_device")),
    *(f"xpu.{name}" for name in ("memory_allocated", "get_device_name", "is_bf16_supported", "mem_get_info")),
    *(f"mps.{name}" for name in ("is_available", "device_count", "synchronize", "empty_cache")),
    *(f"accelerator.{name}" for name in ("is_available", "device_count", "current_accelerator", "synchronize")),
    *(f"accelerator.{name}" for name in ("current_device_index", "memory_allocated", "empty_cache")),
    *(f"cpu.{name}" for name in ("is_available", "device_count", "current_device", "synchronize", "is_initialized")),
    *(f"backends.{name}" for name in ("cuda.is_built", "cudnn.is_available", "cudnn.version", "cudnn.enabled")),
    *(f"backends.cudnn.{name}" for name in ("benchmark", "deterministic", "allow_tf32")),
    *(f"backends.cuda.{name}" for name in ("matmul.allow_tf32", "flash_sdp_enabled", "math_sdp_enabled")),
    *("backends.mps.is_available", "backends.mps.is_built", "backends.openmp.is_available"),
    *("backends.mha.get_fastpath_enabled", "version.cuda", "version.hip", "get_float32_matmul_precision"),
    *("is_autocast_enabled", "is_autocast_cache_enabled", "get_deterministic_debug_mode"),
    *(
        "jit.is_scripting",
        "jit.is_tracing",
        "compiler.is_compiling",
        "onnx.is_in_onnx_export",
        "is_warn_always_enabled",
    ),
]


def outcome(package, path):
    value = package
    try:
        for name in path.split("."):
            value = getattr(value, name)
        value = value() if callable(value) else value
    except Exception as error:
        return type(error)
    return repr(value)


@pytest.mark.parametrize("path", SAME)
def test_answers_are_those_of_a_build_without_gpu(torch, path):
    import torch.mps
    import torch.xpu

    if torch.version.cuda is not None:
        pytest.skip("the installed PyTorch is built with CUDA")
    assert outcome(fastnn, path) == outcome(torch, path)


@pytest.mark.parametrize(
    "use",
    [
        lambda T: T.ones(1).cuda(),
        lambda T: T.ones(1).to("cuda"),
        lambda T: T.ones(1, device="cuda:0"),
        lambda T: T.nn.Linear(1, 1).to("cuda"),
        lambda T: T.nn.Linear(1, 1).cuda(),
        lambda T: T.ones(1, device="xpu"),
        lambda T: T.device(0),
        lambda T: T.device("gpu"),
        lambda T: T.ones(1).to("mps"),
        lambda T: T.cuda.device(0).__enter__(),
        lambda T: T.set_default_tensor_type(T.cuda.FloatTensor),
        lambda T: T.set_default_tensor_type(T.LongTensor),
        lambda T: T.get_device_module("cuda").synchronize(),
        lambda T: T.cuda.nvtx.range_push("x"),
    ],
)
def test_using_a_gpu_raises_what_pytorch_raises(torch, use):
    with pytest.raises(Exception) as theirs:
        use(torch)
    with pytest.raises(Exception) as ours:
        use(fastnn)
    assert ours.type is theirs.type


def test_what_scripts_do_unconditionally():
    fastnn.cuda.manual_seed(0), fastnn.cuda.manual_seed_all(0), fastnn.xpu.manual_seed_all(0), fastnn.mps.manual_seed(0)
    fastnn.cuda.empty_cache(), fastnn.cuda.reset_peak_memory_stats(), fastnn.cuda.set_rng_state_all([])
    with fastnn.cuda.device(-1), fastnn.cuda.device(None), fastnn.cuda.stream(None), fastnn.device("cpu"):
        pass
    with fastnn.cuda.device_of(fastnn.ones(1)), fastnn.cpu.stream(fastnn.cpu.current_stream()):
        pass
    fastnn.backends.cudnn.benchmark = True
    with fastnn.backends.cudnn.flags(benchmark=False, deterministic=True):
        assert (fastnn.backends.cudnn.benchmark, fastnn.backends.cudnn.deterministic) == (False, True)
    assert fastnn.backends.cudnn.benchmark is True
    fastnn.backends.cudnn.benchmark = False
    fastnn.backends.cuda.matmul.allow_tf32 = False
    with fastnn.backends.cuda.sdp_kernel(enable_flash=False):
        assert not fastnn.backends.cuda.flash_sdp_enabled()
    assert fastnn.backends.cuda.flash_sdp_enabled()
    fastnn.set_float32_matmul_precision("high")
    assert fastnn.get_float32_matmul_precision() == "high"
    fastnn.set_float32_matmul_precision("highest")
    fastnn.set_default_device("cpu"), fastnn.set_num_interop_threads(2)
    fastnn.set_num_interop_threads(1)
    fastnn.set_deterministic_debug_mode("warn")
    assert fastnn.are_deterministic_algorithms_enabled() and fastnn.get_deterministic_debug_mode() == 1
    fastnn.use_deterministic_algorithms(False)


# --- old types -------------------------------------------------------------------------------------------------------


def test_old_tensor_types(torch):
    for name in ("Float", "Double", "Half", "BFloat16", "Byte", "Char", "Short", "Int", "Long", "Bool"):
        ours, theirs = getattr(fastnn, f"{name}Tensor"), getattr(torch, f"{name}Tensor")
        x = ours([0, 1])
        assert repr(x.dtype) == repr(theirs([0, 1]).dtype) and x.tolist() == theirs([0, 1]).tolist()
        assert isinstance(x, ours) and x.type() == theirs([0, 1]).type() == f"torch.{name}Tensor"
        assert ours(2, 3).shape == (2, 3) and ours().shape == (0,) and ours.dtype == x.dtype
        assert fastnn.ones(2).type(ours).dtype == x.dtype and fastnn.typename(x) == x.type()
    assert not isinstance(fastnn.ones(1), fastnn.LongTensor) and not isinstance(fastnn.ones(1), fastnn.cuda.FloatTensor)
    with pytest.raises(TypeError, match="not available"):
        fastnn.cuda.FloatTensor(2)


def test_default_tensor_type():
    try:
        fastnn.set_default_tensor_type("torch.DoubleTensor")
        assert fastnn.ones(1).dtype == fastnn.float64
    finally:
        fastnn.set_default_tensor_type(fastnn.FloatTensor)
    with pytest.raises(TypeError):
        fastnn.set_default_tensor_type("FloatTensor")


def test_dtypes_that_are_names():
    assert repr(fastnn.float8_e4m3fn) == "torch.float8_e4m3fn" and fastnn.float8_e5m2.itemsize == 1
    assert {fastnn.float8_e4m3fn: 1}[fastnn.float8_e4m3fn] == 1
    with pytest.raises(TypeError):
        fastnn.zeros(2, dtype=fastnn.float8_e4m3fn)
    with pytest.raises(NotImplementedError, match=r"docs/parity\.md"):
        fastnn.quantize_per_tensor(fastnn.ones(1), 0.1, 0, fastnn.qint8)


def test_storages(tmp_path):
    x = fastnn.tensor([[1, 2], [3, 4]])
    typed = x[1].storage()
    assert (len(typed), typed[3], typed.tolist(), typed.nbytes(), typed.dtype) == (4, 4, [1, 2, 3, 4], 32, fastnn.int64)
    typed[0] = 9
    assert x[0, 0].item() == 9 and typed.data_ptr() == x.data_ptr() and typed.untyped() == x.untyped_storage()
    assert fastnn.FloatStorage([1.0, 2.0]).tolist() == [1.0, 2.0] and len(fastnn.LongStorage(3)) == 3
    assert fastnn.is_storage(x.untyped_storage()) and fastnn.UntypedStorage(5).nbytes() == 5
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(16)))
    private = fastnn.UntypedStorage.from_file(str(path), False, 16)
    part = fastnn.asarray(private[4:8], dtype=fastnn.uint8)
    part[0] = 99
    assert private[4] == 99 and path.read_bytes()[4] == 4
    shared = fastnn.UntypedStorage.from_file(str(path), shared=True, nbytes=32)
    fastnn.asarray(shared, dtype=fastnn.uint8)[31] = 7
    assert len(path.read_bytes()) == 32 and path.read_bytes()[31] == 7
    with pytest.raises(RuntimeError, match="has 32 bytes"):
        fastnn.UntypedStorage.from_file(str(path), False, 64)


# --- compile, jit, graphs --------------------------------------------------------------------------------------------


def test_compile_module(torch):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 3)
            self.note = "kept"

        def forward(self, x, scale=1):
            return self.layer(x) * scale

        def own(self):
            return self.note

    net = Net()
    compiled = fastnn.compile(net, mode="max-autotune")
    x = fastnn.ones(1, 2)
    assert compiled(x, scale=2).equal(net(x, scale=2)) and compiled.own() == "kept"
    assert isinstance(compiled, fastnn._dynamo.OptimizedModule) and isinstance(compiled, nn.Module)
    assert compiled._orig_mod is net and compiled.layer is net.layer
    assert list(compiled.state_dict()) == ["_orig_mod.layer.weight", "_orig_mod.layer.bias"]
    assert [id(one) for one in compiled.parameters()] == [id(one) for one in net.parameters()]
    compiled.eval()
    assert not net.training
    compiled.note = "changed"
    assert net.note == "changed" and fastnn.compile(compiled) is compiled and fastnn.compile(net, disable=True) is net
    with pytest.raises(RuntimeError, match="mode or options"):
        fastnn.compile(net, mode="x", options={})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, about its jit
        theirs = list(torch.compile(torch.nn.Linear(1, 1)).state_dict())
    assert theirs == list(fastnn.compile(nn.Linear(1, 1)).state_dict())


def test_compile_functions():
    @fastnn.compile
    def one(x):
        """Its text."""
        return x + 1

    @fastnn.compile(fullgraph=True, dynamic=False)
    def two(x):
        return x + 2

    assert one(fastnn.ones(1)).item() == 2 and two(fastnn.ones(1)).item() == 3 and one.__doc__ == "Its text."

    @fastnn.compiler.disable()
    @fastnn._dynamo.disable
    def three(x):
        return x

    assert three(3) == 3 and fastnn._dynamo.allow_in_graph(len) is len
    with fastnn._dynamo.config.patch(suppress_errors=True):
        assert fastnn._dynamo.config.suppress_errors is True
    assert fastnn._dynamo.config.suppress_errors is False
    fastnn._dynamo.reset(), fastnn.compiler.reset(), fastnn.compiler.cudagraph_mark_step_begin()


def test_jit():
    code = """
import warnings, fastnn
from fastnn import jit, nn
net = nn.Linear(1, 1)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert jit.script(net) is net and jit.script(net) is net
    assert jit.trace(net, fastnn.ones(1, 1)) is net
print(len(caught), caught[0].filename == "<string>")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("2 True\n", "")

    @fastnn.jit.ignore
    def one():
        return 1

    @fastnn.jit.ignore(drop=True)
    def two():
        return 2

    class Block(fastnn.jit.ScriptModule):
        count: fastnn.jit.Final[int] = 3

        @fastnn.jit.script_method
        def forward(self, x):
            return x * self.count

    assert one() + two() == 3 and Block()(fastnn.ones(1)).item() == 3
    assert not isinstance(nn.Linear(1, 1), fastnn.jit.ScriptModule) and not isinstance(one, fastnn.jit.ScriptFunction)
    assert fastnn.jit.wait(fastnn.jit.fork(lambda x: x + 1, 2)) == 3 and fastnn.jit.annotate(int, 3) == 3
    assert fastnn.jit.isinstance([1], list[int]) and not fastnn.jit.isinstance([1], dict[str, int])
    with pytest.raises(NotImplementedError, match="only PyTorch can run"):
        fastnn.jit.load("model.pt")
    with pytest.raises(RuntimeError, match="eval"):
        fastnn.jit.freeze(nn.Linear(1, 1))


NOT_THERE = [
    lambda: fastnn.fx.symbolic_trace(nn.Linear(1, 1)),
    lambda: fastnn.fx.Graph(),
    lambda: fastnn.fx.Proxy(None),
    lambda: fastnn.export.export(nn.Linear(1, 1), ()),
    lambda: fastnn.nested.nested_tensor([fastnn.ones(1)]),
    lambda: fastnn.sparse.sampled_addmm(fastnn.ones(1, 1), fastnn.ones(1, 1), fastnn.ones(1, 1)),
    lambda: fastnn.quantization.quantize_dynamic(nn.Linear(1, 1)),
    lambda: fastnn.sparse_csr_tensor([0, 1], [0], [1.0]),
    lambda: fastnn._dynamo.explain(len),
]


@pytest.mark.parametrize("call", NOT_THERE)
def test_what_is_not_there_says_so(call):
    with pytest.raises(NotImplementedError, match="fastnn"):
        call()


def test_other_refusals():
    with pytest.raises(RuntimeError, match="cannot be built"):
        fastnn.utils.cpp_extension.load("x", [])
    with pytest.raises(OSError, match="PyTorch's binaries"):
        fastnn.ops.load_library("x.so")
    with pytest.raises(ImportError, match="pip install tensorboardX"):
        sys.modules["tensorboardX"] = None
        try:
            from fastnn.utils.tensorboard import SummaryWriter  # noqa: F401
        finally:
            del sys.modules["tensorboardX"]


# --- library ---------------------------------------------------------------------------------------------------------


def test_custom_operations():
    @fastnn.library.custom_op("tests::cube", mutates_args=())
    def cube(x: fastnn.Tensor, times: int = 1) -> fastnn.Tensor:
        return fastnn.tensor(x.detach().numpy() ** 3 * times)

    def setup(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])
        ctx.times = inputs[1]

    def backward(ctx, gradient):
        return 3 * ctx.saved_tensors[0] ** 2 * ctx.times * gradient, None

    cube.register_autograd(backward, setup_context=setup)
    fastnn.library.register_fake("tests::cube")(lambda x, times=1: x)
    x = fastnn.tensor([2.0], requires_grad=True)
    y = fastnn.ops.tests.cube(x, times=2)
    y.backward()
    assert (y.item(), x.grad.item(), fastnn.ops.tests.cube.default(x).item()) == (16.0, 24.0, 8.0)
    with pytest.raises(ValueError, match="namespace::name"):
        fastnn.library.custom_op("cube", lambda x: x)
    with pytest.raises(AttributeError, match="_OpNamespace"):
        getattr(fastnn.ops.tests, "nothing")  # noqa: B009


def test_libraries_of_operations():
    library = fastnn.library.Library("tests2", "DEF")
    library.define("twice(Tensor x) -> Tensor")
    library.impl("twice", lambda x: 2 * x, "CPU")
    library.impl("twice", lambda x: 3 * x, "CUDA")
    fastnn.library.impl("tests2::thrice", "cpu")(lambda x: 3 * x)
    assert fastnn.ops.tests2.twice(fastnn.ones(1)).item() == 2 and fastnn.ops.tests2.thrice(fastnn.ones(1)).item() == 3
    assert fastnn.ops.aten.add(fastnn.ones(1), fastnn.ones(1)).item() == 2
    assert fastnn.ops.aten.mm.default(fastnn.ones(1, 1), fastnn.ones(1, 1)).item() == 1


# --- pytrees ---------------------------------------------------------------------------------------------------------

Point = collections.namedtuple("Point", "x y")
TREES = [
    1,
    None,
    [],
    [1, (2, 3), {"a": 4}],
    {"b": 1, "a": [2, {"c": 3}]},
    collections.OrderedDict(z=1, a=2),
    collections.defaultdict(list, {"k": [1, 2]}),
    collections.deque([1, [2]], maxlen=5),
    Point(1, [2, 3]),
]


@pytest.mark.parametrize("tree", TREES, ids=repr)
def test_pytrees_are_pytorch_s(tree):
    theirs = pytest.importorskip("torch.utils._pytree")
    leaves, spec = _pytree.tree_flatten(tree)
    their_leaves, their_spec = theirs.tree_flatten(tree)
    assert leaves == their_leaves and spec.num_leaves == their_spec.num_leaves == len(leaves)
    again = _pytree.tree_unflatten(leaves, spec)
    assert again == tree and type(again) is type(tree)
    doubled = _pytree.tree_map(lambda x: (x, x), tree)
    assert doubled == theirs.tree_map(lambda x: (x, x), tree)
    paths = [_pytree.keystr(path) for path, _ in _pytree.tree_leaves_with_path(tree)]
    assert paths == [theirs.keystr(path) for path, _ in theirs.tree_leaves_with_path(tree)]
    assert [_pytree.key_get(tree, path) for path, _ in _pytree.tree_leaves_with_path(tree)] == leaves
    assert _pytree.tree_structure(again) == spec and hash(_pytree.tree_structure(again)) == hash(spec)


def test_pytree_rest():
    assert _pytree.tree_map_only(int, lambda x: x + 1, [1, "a", 2.0]) == [2, "a", 2.0]
    assert _pytree.tree_map_only(lambda x: x == 1, lambda x: 9, [1, 2]) == [9, 2]
    assert _pytree.tree_any(lambda x: x > 2, [1, [3]]) and not _pytree.tree_all(lambda x: x > 2, [1, [3]])
    assert _pytree.tree_leaves([[1], [2]], is_leaf=lambda x: isinstance(x, list) and len(x) == 1) == [[1], [2]]
    assert repr(_pytree.tree_structure([1, (2,)])) == "TreeSpec(list, None, [*, TreeSpec(tuple, None, [*])])"
    for bad in ([1, 2], [1, [2, 3]], (1, [2])):
        with pytest.raises(ValueError):
            _pytree.tree_map(lambda x, y: x, [1, [2]], bad)
    with pytest.raises(ValueError, match="holds 2 items"):
        _pytree.tree_unflatten([1], _pytree.tree_structure([1, 2]))
    with pytest.raises(ValueError, match="already registered"):
        _pytree.register_pytree_node(list, None, None)
    assert not _pytree.tree_is_leaf([]) and _pytree.tree_is_leaf(fastnn.ones(1)) and _pytree.is_namedtuple(Point)


# --- one process of many ---------------------------------------------------------------------------------------------


@pytest.fixture
def group():
    fastnn.distributed.init_process_group("gloo", world_size=1, rank=0)
    yield fastnn.distributed
    if fastnn.distributed.is_initialized():
        fastnn.distributed.destroy_process_group()


def test_group_of_one(group):
    assert (group.get_rank(), group.get_world_size(), group.get_backend()) == (0, 1, "gloo")
    assert group.is_available() and group.is_initialized() and not group.is_nccl_available()
    x = fastnn.tensor([1.0, 2.0])
    assert group.all_reduce(x, op=group.ReduceOp.SUM) is None and group.broadcast(x, src=0) is None
    assert group.all_reduce(x, async_op=True).wait() and x.tolist() == [1.0, 2.0]
    parts = [fastnn.zeros(2)]
    group.all_gather(parts, x)
    group.reduce_scatter(out := fastnn.zeros(2), [x])
    group.all_gather_into_tensor(whole := fastnn.zeros(1, 2), x)
    assert parts[0].tolist() == out.tolist() == whole[0].tolist() == [1.0, 2.0]
    objects = [None]
    group.all_gather_object(objects, {"a": 1})
    group.broadcast_object_list(objects, src=0)
    assert objects == [{"a": 1}]
    group.barrier(), group.monitored_barrier()
    sub = group.new_group([0])
    assert group.get_rank(sub) == 0 and group.get_world_size(sub) == 1 and group.get_process_group_ranks(sub) == [0]
    assert group.get_rank(group.new_group([])) == -1
    sampler = fastnn.utils.data.DistributedSampler(range(5), shuffle=False)
    assert list(sampler) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="twice"):
        group.init_process_group("gloo")
    for wrong in (lambda: group.send(x, 1), lambda: group.broadcast(x, src=1), lambda: group.new_group([0, 1])):
        with pytest.raises(ValueError):
            wrong()
    group.destroy_process_group()
    with pytest.raises(ValueError, match="not been initialized"):
        group.get_rank()


def test_collectives_with_gradients(group):
    functions = group.nn
    assert group.nn.functional is functions
    x = fastnn.tensor([1.0, 2.0], requires_grad=True)
    out = [fastnn.zeros(2)]
    results = [
        functions.all_reduce(x),
        functions.all_gather(x)[0],
        functions.gather(x)[0],
        functions.scatter([x]),
        functions.broadcast(x, 0),
        functions.reduce(x, 0),
        functions.reduce_scatter(out[0], [x]),
        functions.all_to_all(out, [x])[0],
        functions.all_to_all_single(out[0], x),
    ]
    assert all(one.tolist() == [1.0, 2.0] and one is not x for one in (*results, *out))
    sum(results).sum().backward()
    assert x.grad.tolist() == [9.0, 9.0]
    with pytest.raises(ValueError):
        functions.broadcast(x, 1)


def test_tensors_grouped_by_dtype():
    from fastnn.utils._foreach_utils import _group_tensors_by_device_and_dtype as grouped

    a, b, c = fastnn.ones(1), fastnn.ones(2, dtype=fastnn.float64), fastnn.ones(3)
    found = grouped([[a, b, c], [None, a, None], []], with_indices=True)
    (lists, places), (others, _) = found[a.device, fastnn.float32], found[a.device, fastnn.float64]
    assert lists[0][0] is a and lists[0][1] is c and lists[1:] == [[None, None], []] and places == [0, 2]
    assert others[0][0] is b and others[1][0] is a
    with pytest.raises(RuntimeError, match="lengths"):
        grouped([[a, b], [a]])


def test_more_processes_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="one process"):
        fastnn.distributed.init_process_group("nccl", world_size=2, rank=0)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ValueError, match="world_size is 4"):
        fastnn.distributed.init_process_group()
    assert not fastnn.distributed.is_initialized()


def fails(rank):
    if rank == 1:
        raise ValueError("rank one")
    time.sleep(30)


def writes(rank, folder):
    (Path(folder) / str(rank)).write_text(str(fastnn.ones(2).sum().item()))


def test_spawn(tmp_path):
    mp = fastnn.multiprocessing
    mp.spawn(writes, args=(str(tmp_path),), nprocs=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"] and (tmp_path / "1").read_text() == "2.0"
    with pytest.raises(mp.ProcessRaisedException, match="ValueError: rank one") as caught:
        mp.start_processes(fails, nprocs=2, start_method="fork")
    assert caught.value.error_index == 1
    with pytest.raises(mp.ProcessExitedException, match="exit code 3"):
        mp.start_processes(exits, nprocs=1, start_method="fork")
    mp.set_sharing_strategy("file_system")
    assert mp.get_sharing_strategy() == "file_system"
    mp.set_sharing_strategy("file_descriptor")


def exits(rank):
    os._exit(3)


# --- measuring -------------------------------------------------------------------------------------------------------


def test_profiler(tmp_path):
    layer = nn.Linear(4, 4)
    ready = []
    plan = fastnn.profiler.schedule(wait=1, warmup=1, active=2, repeat=1)
    with fastnn.profiler.profile(
        activities=[fastnn.profiler.ProfilerActivity.CPU], schedule=plan, on_trace_ready=ready.append
    ) as profiler:
        for _ in range(5):
            with fastnn.profiler.record_function("forward"):
                y = layer(fastnn.ones(1, 4)).relu()
            y.sum().backward()
            profiler.step()
    counts = {event.key: event.count for event in profiler.key_averages()}
    assert ready == [profiler] and counts["forward"] == counts["aten::relu"] == counts["aten::linear"] == 2
    sums = {event.key: event for event in profiler.key_averages()}
    assert sums["forward"].cpu_time_total >= sums["aten::linear"].cpu_time_total + sums["aten::relu"].cpu_time_total
    assert sums["forward"].self_cpu_time_total < sums["forward"].cpu_time_total
    assert "autograd::engine::evaluate" in counts
    text = profiler.key_averages().table(sort_by="cpu_time_total", row_limit=3)
    assert "forward" in text and "Self CPU time total" in text
    profiler.export_chrome_trace(str(tmp_path / "trace.json"))
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"][0]["ph"] == "X"
    x = fastnn.ones(1) + 1  # nothing is recorded any more
    with fastnn.autograd.profiler.profile(enabled=False) as off:
        x + 1
    assert off.key_averages() == []


def test_schedule_is_pytorch_s(torch):
    for options in ({}, {"repeat": 2}, {"skip_first": 3}, {"repeat": 1, "skip_first": 1}):
        ours = fastnn.profiler.schedule(wait=1, warmup=2, active=3, **options)
        theirs = torch.profiler.schedule(wait=1, warmup=2, active=3, **options)
        assert [ours(step).name for step in range(20)] == [theirs(step).name for step in range(20)]


def test_timer():
    timer = fastnn.utils.benchmark.Timer("x.add_(1)", "x = torch.zeros(1)", label="add", sub_label="one", num_threads=1)
    measured = timer.blocked_autorange(min_run_time=0.02)
    assert 0 < measured.median < 0.01 and measured.number_per_run >= 1 and "add: one" in repr(measured)
    assert timer.timeit(5).number_per_run == 5 and timer.adaptive_autorange(max_run_time=0.05).times
    threads = fastnn.get_num_threads()
    fastnn.utils.benchmark.Timer("pass", num_threads=1).timeit(3)
    assert fastnn.get_num_threads() == threads
    assert "add" in str(fastnn.utils.benchmark.Compare([measured]))


# --- comparing -------------------------------------------------------------------------------------------------------

PAIRS = [
    ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
    ([1.0, 2.0, 3.0], [1.0, 2.5, 3.0]),
    ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.5, 5.0]]),
    ([1, 2], [1, 3]),
    ([1.0], [1.000001]),
    ([1.0], [1.00001]),
    ([float("nan")], [float("nan")]),
    ([1.0, 2.0], [1.0, 2.0, 3.0]),
    (1.0, 1.5),
    ([True, False], [True, True]),
]


@pytest.mark.parametrize("left, right", PAIRS, ids=str)
@pytest.mark.parametrize("options", [{}, {"rtol": 0.0, "atol": 0.0}, {"equal_nan": True}], ids=str)
def test_assert_close_says_what_pytorch_says(torch, left, right, options):
    def message(T):
        try:
            T.testing.assert_close(T.tensor(left), T.tensor(right), **options)
        except AssertionError as error:
            return str(error)
        return None

    assert message(fastnn) == message(torch)


@pytest.mark.parametrize(
    "left, right, options",
    [
        (1, 1.0, {}),
        (1.0, 1.0 + 1e-9, {}),
        ([1, 2], [1], {}),
        ({"a": 1}, {"b": 1}, {}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {}),
        ("x", "x", {}),
        (None, None, {}),
        (None, 1, {}),
        (True, False, {}),
        (object(), 1, {}),
        (1.0, 2.0, {"msg": "mine"}),
        (1.0, 2.0, {"msg": lambda text: f"before {text}"}),
        (1.0, 2.0, {"rtol": 0.1}),
        (np.ones(2), np.ones(2), {}),
    ],
    ids=str,
)
def test_assert_close_of_other_values(torch, left, right, options):
    def kind(T):
        try:
            T.testing.assert_close(left, right, **options)
        except Exception as error:
            return type(error), str(error) if "msg" in options and isinstance(options["msg"], str) else None
        return None

    assert kind(fastnn) == kind(torch)


def test_assert_close_checks_dtype_and_stride():
    x = fastnn.ones(2, 3)
    with pytest.raises(AssertionError, match="'dtype' do not match"):
        fastnn.testing.assert_close(x, x.double())
    fastnn.testing.assert_close(x, x.double(), check_dtype=False)
    fastnn.testing.assert_close(x, fastnn.ones(3, 2).t())
    with pytest.raises(AssertionError, match="stride"):
        fastnn.testing.assert_close(x, fastnn.ones(3, 2).t(), check_stride=True)
    fastnn.testing.assert_allclose(x, x.double() + 1e-9)


def test_make_tensor():
    for dtype in (fastnn.float32, fastnn.float64, fastnn.bfloat16, fastnn.int64, fastnn.uint8, fastnn.bool):
        x = fastnn.testing.make_tensor((20, 30), dtype=dtype)
        assert x.shape == (20, 30) and x.dtype == dtype
    x = fastnn.testing.make_tensor(5, 6, dtype=fastnn.int32, low=1, high=4, noncontiguous=True)
    assert not x.is_contiguous() and set(x.reshape(-1).tolist()) <= {1, 2, 3}
    assert fastnn.testing.make_tensor(50, dtype=fastnn.int8, low=-1, high=2, exclude_zero=True).ne(0).all()
    assert fastnn.testing.make_tensor(1, dtype=fastnn.float32, requires_grad=True).requires_grad
    with pytest.raises(ValueError, match="requires_grad"):
        fastnn.testing.make_tensor(1, dtype=fastnn.int8, requires_grad=True)
    with pytest.raises(ValueError, match="less than"):
        fastnn.testing.make_tensor(1, dtype=fastnn.int8, low=3, high=3)


# --- hub, versions, the rest -----------------------------------------------------------------------------------------


def test_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fastnn.hub, "_hub_dir", None)
    assert fastnn.hub.get_dir() == str(tmp_path / "home" / "hub")
    fastnn.hub.set_dir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    fastnn.save({"w": fastnn.ones(2)}, tmp_path / "checkpoints" / "net-1234.pth")
    url = "https://example.invalid/models/net-1234.pth"
    assert fastnn.hub.load_state_dict_from_url(url)["w"].tolist() == [1.0, 1.0]
    assert fastnn.utils.model_zoo.load_url(url)["w"].tolist() == [1.0, 1.0]
    source = (tmp_path / "source.pth").as_uri()
    fastnn.save({"w": fastnn.zeros(1)}, tmp_path / "source.pth")
    assert fastnn.hub.load_state_dict_from_url(source, file_name="copied.pth")["w"].tolist() == [0.0]
    with pytest.raises(RuntimeError, match="invalid hash value"):
        fastnn.hub.download_url_to_file(source, str(tmp_path / "x"), hash_prefix="0000")
    missing = (tmp_path / "missing.pth").as_uri()
    with pytest.raises(OSError, match=r"is not there, and .* cannot be downloaded.*put the file there"):
        fastnn.hub.load_state_dict_from_url(missing)
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "hubconf.py").write_text("def net(width):\n    'A net.'\n    return width * 2\n")
    repo = str(tmp_path / "repo")
    assert fastnn.hub.load(repo, "net", 3, source="local") == 6 and fastnn.hub.list(repo, source="local") == ["net"]
    with pytest.raises(RuntimeError, match="would be downloaded and run"):
        fastnn.hub.load("user/repo", "net")


def test_exception_wrapper_and_flat_tensors():
    from fastnn._utils import ExceptionWrapper, _flatten_dense_tensors, _take_tensors, _unflatten_dense_tensors

    try:
        raise KeyError("k")
    except KeyError:
        wrapper = ExceptionWrapper(where="somewhere")
    with pytest.raises(KeyError, match="Caught KeyError somewhere"):
        wrapper.reraise()
    tensors = [fastnn.ones(2, 2), fastnn.zeros(3)]
    flat = _flatten_dense_tensors(tensors)
    assert flat.tolist() == [1.0] * 4 + [0.0] * 3
    assert [one.shape for one in _unflatten_dense_tensors(flat, tensors)] == [(2, 2), (3,)]
    assert [len(group) for group in _take_tensors(tensors, 16)] == [1, 1]


# --- what is loaded when ---------------------------------------------------------------------------------------------


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh interpreter has after some code, beside those it starts with."""
    show = "import sys; before = set(sys.modules); {}; print(*set(sys.modules) - before)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", show.format(code)]
    return set(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split())


def test_import_stays_light():
    loaded = loaded_by("import fastnn, fastnn.nn, fastnn.optim")
    assert len([name for name in loaded if name.startswith("fastnn")]) <= 14
    assert {"fastnn.nn", "fastnn.optim"} < loaded
    heavy = {"numpy", "inspect", "dataclasses", "pickle", "multiprocessing", "threading", "importlib.metadata", "ast"}
    assert loaded & heavy == set()


def test_a_model_and_its_optimizer_load_what_they_use():
    code = "import fastnn as t; t.optim.SGD(t.nn.Linear(1, 1).parameters(), 0.1); t.nn.CrossEntropyLoss()"
    loaded = loaded_by(code)
    assert {"fastnn.nn.modules.linear", "fastnn.nn.modules.loss", "fastnn.optim.sgd"} < loaded
    unused = ("nn.utils.parametrize", "nn.modules.transformer", "nn.attention", "optim.adam", "utils.data", "amp")
    assert {f"fastnn.{name}" for name in unused} & loaded == set()
    assert loaded & {"numpy", "inspect", "dataclasses", "multiprocessing", "threading"} == set()


@pytest.mark.parametrize("name", ["nn", "nn.modules", "nn.parallel", "nn.utils", "optim", "autograd", "utils"])
def test_packages_have_all_names_though_they_load_them_late(name):
    module = importlib.import_module(f"fastnn.{name}")
    given = {}
    exec(f"from fastnn.{name} import *", given)
    assert set(module.__all__) <= set(given) and set(module.__all__) <= set(dir(module))
    assert set(dir(module)) <= set(vars(module)) == set(module.__dict__)
    for key in module.__all__:
        value = getattr(module, key)
        assert value is given[key] is vars(module)[key]
        if isinstance(value, type):
            assert pickle.loads(pickle.dumps(value)) is value
    with pytest.raises(AttributeError, match=rf"'torch.{name}' has no attribute 'Perceptron'"):
        _ = module.Perceptron


def test_a_function_stays_when_the_module_of_its_name_is_loaded():
    """`autograd.gradcheck` is a function in a module of that name."""
    code = "import fastnn.autograd.gradcheck, fastnn.nn.utils.weight_norm as f; from fastnn.autograd import gradcheck; "
    code += "assert callable(gradcheck) and callable(f) and callable(fastnn.nn.utils.weight_norm)"
    assert "fastnn.autograd.gradcheck" in loaded_by(code)


def test_star_import_of_the_top_level(torch):
    ours, theirs = {}, {}
    exec("from fastnn import *", ours)
    exec("from torch import *", theirs)
    assert {"load", "save", "compile", "no_grad", "sin", "float32", "Tensor", "pi"} <= set(ours)
    modules = {name for name, value in ours.items() if type(value) is type(fastnn)}
    assert modules == set() and "nn" not in theirs


def test_every_module_of_the_namespaces_warns_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in fastnn._LAZY_NAMES:
            assert importlib.import_module(f"fastnn.{name}").__doc__


def test_models_over_several_devices_are_refused():
    from fastnn.distributed.device_mesh import DeviceMesh, init_device_mesh
    from fastnn.distributed.fsdp import FullyShardedDataParallel, ShardingStrategy
    from fastnn.distributed.fsdp.wrap import transformer_auto_wrap_policy
    from fastnn.distributed.tensor import DTensor

    assert not isinstance(fastnn.ones(1), DTensor) and not isinstance(nn.Linear(1, 1), FullyShardedDataParallel)
    assert ShardingStrategy.FULL_SHARD.name == "FULL_SHARD" and fastnn.distributed.DeviceMesh is DeviceMesh
    for use in (DeviceMesh, init_device_mesh, FullyShardedDataParallel, transformer_auto_wrap_policy, DTensor):
        with pytest.raises(NotImplementedError, match="one process on one device"):
            use()
