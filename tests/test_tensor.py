"""Tensors themselves: making them, types, indexing, memory shared with others, Python protocols."""

from __future__ import annotations

import copy
import gc
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

import fastnn

pytestmark = pytest.mark.asan

DTYPES = ["uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "bool", "bfloat16"]


# --- making ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        3,
        2.5,
        True,
        [],
        [1, 2],
        [1, 2.5],
        [True, False],
        [True, 2],
        [[1, 2], [3, 4]],
        [[]],
        ((1.0, 2.0),),
        range(3),
        np.arange(6).reshape(2, 3),
        [np.float32(1.5), 2],
        np.float64(3.0),
        np.int16(4),
        np.bool_(True),
    ],
    ids=repr,
)
def test_tensor_from_data_as_torch(data):
    torch = pytest.importorskip("torch")
    theirs = torch.tensor(data)
    ours = fastnn.tensor(data)
    assert ours.tolist() == theirs.tolist()
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert str(ours.dtype) == str(theirs.dtype)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ([[1], [2, 3]], ValueError),
        ("text", TypeError),
        ([1, "a"], TypeError),
        (object(), TypeError),
        ([1, None], TypeError),
    ],
    ids=repr,
)
def test_bad_data_is_a_typed_error(data, error):
    with pytest.raises(error):
        fastnn.tensor(data)


def test_constructor_of_old_code():
    assert fastnn.Tensor(2, 3).shape == (2, 3)
    assert fastnn.Tensor([1, 2]).dtype == fastnn.float32
    assert fastnn.Tensor().shape == (0,)
    with pytest.raises(TypeError):
        fastnn.Tensor(1.5, 2)


def test_absurd_sizes_are_errors_not_crashes():
    with pytest.raises(RuntimeError):
        fastnn.empty(2**62, 2**62)
    with pytest.raises(RuntimeError):
        fastnn.empty(-1)
    with pytest.raises(fastnn.OutOfMemoryError, match="not enough memory"):
        fastnn.empty(2**44)
    with pytest.raises(RuntimeError):
        fastnn.zeros(3).as_strided((5,), (1,))
    assert issubclass(fastnn.OutOfMemoryError, (RuntimeError, MemoryError))


def test_devices():
    assert str(fastnn.device("cpu")) == "cpu"
    assert fastnn.device("cuda:1").index == 1
    assert fastnn.device("cuda", 1) == fastnn.device("cuda:1")
    assert fastnn.ones(1).device == fastnn.device("cpu")
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        fastnn.ones(1, device="cuda")
    with pytest.raises(RuntimeError, match="device"):
        fastnn.device("gpu")


# --- promotion ------------------------------------------------------------------------------------------------------

NUMBERS = {"True": True, "1": 1, "1.0": 1.0, "1j": 1j}


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental:UserWarning")
@pytest.mark.parametrize("a", [*DTYPES, "complex64", "complex128"])
@pytest.mark.parametrize("b", [*DTYPES, "complex64", "complex128", *NUMBERS])
@pytest.mark.parametrize("zero_dim", [(), (0,), (1,), (0, 1)], ids=str)
def test_promotion_table_as_torch(a, b, zero_dim):
    torch = pytest.importorskip("torch")

    def result(framework):
        def operand(name, place):
            if name in NUMBERS:
                return NUMBERS[name]
            return framework.ones(() if place in zero_dim else (1,), dtype=getattr(framework, name))

        x, y = operand(a, 0), operand(b, 1)
        return str(framework.result_type(x, y)), str((x + y).dtype), str((y * x).dtype)

    expected = result(torch)
    if "torch.complex32" in expected:
        pytest.skip("there is no complex32")
    assert result(fastnn) == expected


# --- indexing -------------------------------------------------------------------------------------------------------

INDICES = [
    "0",
    "-1",
    "1:",
    "::2",
    ":-1",
    "5:100",
    "3:1",
    "...",
    "None",
    "True",
    "False",
    "..., 0",
    "0, ..., 1",
    ":, 1",
    ":, None, 0",
    "None, ..., None",
    "[0, 2]",
    "[0, 2], [1, 0]",
    "[0, 2], :, [1, 0]",
    ":, [0, 1], [1, 0]",
    ":, [0, 1]",
    "[True, False, True]",
    ":, [True, False, True, True]",
    "x > 5",
    "x[:, :, 0] > 7",
    "f.tensor([2, 0])",
    "f.tensor(1)",
    "f.tensor([[0], [2]]), f.tensor([0, 3])",
    "f.tensor([-1, 0])",
    "f.tensor([], dtype=f.int64)",
    "0, f.tensor([1, 2])",
    "f.tensor([1, 2]), 0",
    "f.tensor([0, 1]), None, f.tensor([1, 2])",
    "f.tensor([True, False, True]), 1",
    "np.array([0, 1])",
    "np.int64(1)",
    "range(2)",
    "f.tensor(True)",
    "slice(f.tensor(1), None)",
    "(0, 1)",
    "[]",
]


@pytest.mark.parametrize("text", INDICES)
def test_reading_and_writing_by_index_as_torch(text):
    torch = pytest.importorskip("torch")

    def run(f):
        x = f.arange(24).reshape(3, 4, 2)
        read = eval(f"x[{text}]", {"x": x, "f": f, "np": np})
        shares = read.numel() > 0 and read.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
        y = f.arange(24, dtype=f.float64).reshape(3, 4, 2)
        exec(f"x[{text}] = -1", {"x": x, "f": f, "np": np})
        z = y.clone().requires_grad_()
        g = eval(f"x[{text}]", {"x": z, "f": f, "np": np})
        (g * g).sum().backward()
        w = y.clone() * 1
        value = f.arange(read.numel(), dtype=f.float64).reshape(tuple(read.shape)).requires_grad_()
        scaled = w * 2
        exec(f"s[{text}] = value", {"s": scaled, "x": y, "f": f, "np": np, "value": value})
        return read.tolist(), tuple(read.shape), shares, x.tolist(), z.grad.tolist(), scaled.tolist()

    assert run(fastnn) == run(torch)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("3", IndexError),
        ("-4", IndexError),
        ("0, 0, 0, 0", IndexError),
        ("..., ...", IndexError),
        ("[0, 3]", IndexError),
        ("[True, False]", IndexError),
        ("'a'", (IndexError, TypeError)),
        ("1.5", (IndexError, TypeError)),
        ("::-1", ValueError),
        ("[0, 1], [0, 1, 2]", IndexError),
        ("f.tensor([0.5])", IndexError),
    ],
)
def test_bad_indices_are_the_errors_of_torch(text, error):
    x = fastnn.arange(24).reshape(3, 4, 2)
    before = x.tolist()
    with pytest.raises(error):
        eval(f"x[{text}]", {"x": x, "f": fastnn})
    with pytest.raises((*error, RuntimeError) if isinstance(error, tuple) else (error, RuntimeError)):
        exec(f"x[{text}] = 1", {"x": x, "f": fastnn})
    assert x.tolist() == before


def test_assignment_checks_the_shape_of_the_value():
    x = fastnn.zeros(2, 3)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        x[0] = fastnn.ones(2)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        x[[0, 1]] = fastnn.ones(4)
    x[0] = fastnn.ones(1, 3)
    x[1, 1:] = [5, 6]
    assert x.tolist() == [[1, 1, 1], [0, 5, 6]]


# --- memory of others -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in DTYPES if n != "bfloat16"])
def test_numpy_shares_memory_both_ways(name):
    array = np.arange(6).astype(name).reshape(2, 3)
    tensor = fastnn.from_numpy(array)
    assert str(tensor.dtype) == f"torch.{name}"
    tensor[0, 0] = 1
    assert array[0, 0] == 1
    back = tensor.T.numpy()
    assert back.shape == (3, 2)
    back[2, 1] = 0
    assert tensor[1, 2].item() == 0
    del array
    gc.collect()
    assert tensor.shape == (2, 3)


def test_numpy_limits():
    with pytest.raises(ValueError, match="negative"):
        fastnn.from_numpy(np.arange(3)[::-1])
    with pytest.raises(TypeError, match="can't convert"):
        fastnn.from_numpy(np.array(["a"]))
    with pytest.raises(TypeError, match="BFloat16"):
        fastnn.ones(1, dtype=fastnn.bfloat16).numpy()
    with pytest.raises(RuntimeError, match="requires grad"):
        fastnn.ones(1, requires_grad=True).numpy()
    read_only = np.ones(2)
    read_only.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        tensor = fastnn.from_numpy(read_only)
    with pytest.raises(RuntimeError, match="read-only"):
        tensor.add_(1)
    assert np.asarray(fastnn.ones(2)).tolist() == [1.0, 1.0]
    assert float(np.float32(2) * fastnn.tensor(3.0)) == 6.0


def test_memory_of_a_tensor_outlives_the_tensor():
    array = fastnn.arange(1000).numpy()
    gc.collect()
    assert array.sum() == 499500


def test_buffer_protocol():
    tensor = fastnn.arange(6, dtype=fastnn.int32).reshape(2, 3)
    view = memoryview(tensor)
    assert (view.format, view.shape, view.strides) == ("i", (2, 3), (12, 4))
    view[1, 2] = 50
    assert tensor[1, 2].item() == 50
    assert memoryview(tensor.T).tolist() == [[0, 3], [1, 4], [2, 50]]
    assert bytes(fastnn.tensor([1, 2], dtype=fastnn.uint8)) == b"\x01\x02"


def test_frombuffer():
    data = bytearray(np.arange(4, dtype=np.int16).tobytes())
    tensor = fastnn.frombuffer(data, dtype=fastnn.int16, offset=2)
    assert tensor.tolist() == [1, 2, 3]
    tensor[0] = 9
    assert data[2] == 9
    with pytest.raises(ValueError, match="offset"):
        fastnn.frombuffer(data, dtype=fastnn.int16, offset=100)
    with pytest.raises(ValueError, match="multiple"):
        fastnn.frombuffer(data, dtype=fastnn.int16, offset=1)
    with pytest.raises(ValueError, match="greater"):
        fastnn.frombuffer(data, dtype=fastnn.int16, count=50)


def test_dlpack_both_ways():
    x = fastnn.arange(6, dtype=fastnn.float32).reshape(2, 3)
    array = np.from_dlpack(x.T)
    assert array.tolist() == x.T.tolist()
    back = fastnn.from_dlpack(np.arange(4.0))
    assert back.tolist() == [0.0, 1.0, 2.0, 3.0]
    capsule = fastnn.to_dlpack(x) if hasattr(fastnn, "to_dlpack") else x.__dlpack__()
    again = fastnn.from_dlpack(capsule)
    again[0, 0] = 42
    assert x[0, 0].item() == 42
    with pytest.raises(RuntimeError, match="only once"):
        fastnn.from_dlpack(capsule)
    torch = pytest.importorskip("torch")
    theirs = torch.from_dlpack(x)
    theirs[1, 1] = -1
    assert x[1, 1].item() == -1
    assert fastnn.from_dlpack(torch.ones(2, dtype=torch.bfloat16)).dtype == fastnn.bfloat16


# --- Python protocols -----------------------------------------------------------------------------------------------


def test_identity_and_attributes():
    x = fastnn.ones(2, requires_grad=True)
    x.sum().backward()
    assert x.grad is x.grad
    x.tag = 1
    assert x.tag == 1
    assert {x: "found"}[x] == "found"
    assert x in [x]
    assert (x == None) is False  # noqa: E711
    with pytest.raises(TypeError):
        x + "text"
    with pytest.raises(AttributeError):
        x.no_such_attribute  # noqa: B018


def test_truth_and_numbers():
    assert bool(fastnn.tensor(1))
    assert not fastnn.tensor([0.0])
    with pytest.raises(RuntimeError, match="ambiguous"):
        bool(fastnn.ones(2))
    with pytest.raises(RuntimeError, match="no values"):
        bool(fastnn.ones(0))
    assert float(fastnn.tensor(1.5)) == 1.5
    assert int(fastnn.tensor(2.7)) == 2
    assert [10, 20][fastnn.tensor(1)] == 20
    with pytest.raises(TypeError, match="only integer tensors"):
        [10, 20][fastnn.tensor(1.0)]
    with pytest.raises(RuntimeError, match="cannot be converted to Scalar"):
        fastnn.ones(2).item()
    assert len(fastnn.ones(3, 2)) == 3
    with pytest.raises(TypeError, match="0-d"):
        len(fastnn.ones(()))
    assert [row.tolist() for row in fastnn.eye(2)] == [[1, 0], [0, 1]]
    assert 2 in fastnn.tensor([1, 2])
    assert f"{fastnn.tensor(math.pi):.3f}" == "3.142"


def test_size():
    size = fastnn.ones(2, 3).shape
    assert size == (2, 3)
    assert isinstance(size, tuple)
    assert repr(size) == "torch.Size([2, 3])"
    assert isinstance(size[1:], fastnn.Size)
    assert isinstance(size + (4,), fastnn.Size)  # noqa: RUF005 (the sum of a Size is a Size)
    assert size.numel() == 6
    assert pickle.loads(pickle.dumps(size)) == size
    assert copy.deepcopy(size) == size


@pytest.mark.parametrize("name", DTYPES)
def test_dtypes(name):
    dtype = getattr(fastnn, name)
    assert repr(dtype) == f"torch.{name}"
    assert pickle.loads(pickle.dumps(dtype)) is dtype
    assert copy.deepcopy(dtype) is dtype
    assert fastnn.ones(2, dtype=dtype).element_size() == dtype.itemsize
    torch = pytest.importorskip("torch")
    theirs = getattr(torch, name)
    assert dtype.is_floating_point == theirs.is_floating_point
    assert dtype.itemsize == theirs.itemsize
    assert dtype.is_signed == theirs.is_signed
    info = "finfo" if dtype.is_floating_point else "iinfo"
    if name != "bool":
        ours_info, their_info = getattr(fastnn, info)(dtype), getattr(torch, info)(theirs)
        for field in ("bits", "max", "min", *(("eps", "tiny", "resolution") if info == "finfo" else ())):
            assert getattr(ours_info, field) == getattr(their_info, field)


def test_conversions():
    x = fastnn.tensor([1.9, -1.9, 300.0])
    assert x.int().tolist() == [1, -1, 300]
    assert x.to(fastnn.float64).dtype == fastnn.float64
    assert x.to("cpu") is x
    assert x.to(x) is x
    assert x.to(x, copy=True) is not x
    assert x.to("cpu", fastnn.int64).tolist() == [1, -1, 300]
    assert x.type() == "torch.FloatTensor"
    assert x.type("torch.LongTensor").dtype == fastnn.int64
    assert x.bool().tolist() == [True, True, True]
    assert x.half().float().tolist() == pytest.approx([1.9, -1.9, 300.0], rel=1e-3)
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        x.cuda()
    with pytest.raises(AssertionError, match="not compiled with CUDA"):
        x.to("cuda")


def test_out_arguments():
    out = fastnn.empty(0)
    result = fastnn.add(fastnn.ones(2), 1, out=out)
    assert result is out
    assert out.tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        fastnn.add(fastnn.ones(2, requires_grad=True), 1, out=out)
    with pytest.raises(RuntimeError, match="can't be cast"):
        fastnn.add(fastnn.ones(2), 0.5, out=fastnn.empty(2, dtype=fastnn.int64))
    values, indices = fastnn.empty(0), fastnn.empty(0, dtype=fastnn.int64)
    fastnn.max(fastnn.tensor([[1.0, 3.0]]), 1, out=(values, indices))
    assert (values.tolist(), indices.tolist()) == ([3.0], [1])


def test_unknown_arguments_name_the_signature():
    with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
        fastnn.softmax(fastnn.ones(2), 0, nonsense=1)
    with pytest.raises(TypeError, match=r"sum\(\)"):
        fastnn.sum("text")
    with pytest.raises(TypeError, match="missing required argument"):
        fastnn.ones(2).softmax()


def test_flush_denormal_and_threads():
    threads = fastnn.get_num_threads()
    assert threads >= 1
    with pytest.raises(RuntimeError, match="positive"):
        fastnn.set_num_threads(0)
    assert fastnn.get_num_threads() == threads


def test_memory_statistics():
    before = fastnn.memory_stats()["allocated_bytes"]
    x = fastnn.empty(1_000_000)
    assert fastnn.memory_stats()["allocated_bytes"] - before >= 4_000_000
    del x
    assert fastnn.memory_stats()["allocated_bytes"] == before
    fastnn.empty_cache()
    assert fastnn.memory_stats()["cached_bytes"] == 0
    assert fastnn.memory_stats()["cache_limit_bytes"] > 0


def test_fork_after_threads_were_used():
    code = (
        "import os, fastnn\n"
        "x = fastnn.ones(1000, 1000)\n"
        "(x @ x).sum()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    ok = (x @ x)[0, 0].item() == 1000.0 and (x + x).sum().item() == 2e6\n"
        "    os._exit(0 if ok else 1)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "0", done.stderr


def test_arange_into_integers_truncates_first() -> None:
    assert fastnn.arange(0, 5.5, 1.5, dtype=fastnn.int64).tolist() == [0, 1, 2, 3, 4]
    assert fastnn.arange(0, 5, 1.5, dtype=fastnn.int16).tolist() == [0, 1, 2, 3]
    assert fastnn.arange(0, 5, 2.5, out=fastnn.empty(0, dtype=fastnn.int64)).tolist() == [0, 2, 4]
    with pytest.raises(ValueError, match="step must be nonzero"):
        fastnn.arange(0, 64, 0.5, out=fastnn.empty(0, dtype=fastnn.int64))
    with pytest.raises(RuntimeError, match="step must be nonzero"):
        fastnn.arange(0, 3, 0)
    with pytest.raises(NotImplementedError, match="arange_cpu"):
        fastnn.arange(3, dtype=fastnn.bool)


def test_scatter_of_a_number_with_reduce() -> None:
    x, places = fastnn.ones(2, 3), fastnn.tensor([[0, 1, 1]])
    assert x.scatter(1, places, 2.5, reduce="add").tolist() == [[3.5, 6, 1], [1, 1, 1]]
    assert x.scatter_(1, places, 2.0, reduce="multiply").tolist() == [[2, 4, 1], [1, 1, 1]]


def test_einsum_sums_integers_as_int64() -> None:
    x = fastnn.ones(1, 3, 1, dtype=fastnn.int32)
    assert fastnn.einsum("iji->j", [x]).dtype == fastnn.int64
    assert fastnn.einsum("iji->ij", [x]).dtype == fastnn.int32
