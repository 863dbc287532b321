"""Checkpoints: both formats, both ways, atomic writing, and files that mean harm."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import re
import stat
import struct
import sys
import zipfile
from collections import Counter, OrderedDict
from copy import deepcopy
from fractions import Fraction

import numpy as np
import pytest

import fastnn
from fastnn import nn
from fastnn.serialization import (
    CheckpointError,
    _zip,
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
    safetensors,
)

pytestmark = pytest.mark.asan

DTYPES = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split()
TYPED_ERRORS = (CheckpointError, pickle.UnpicklingError, EOFError)


def roundtrip(obj, **options):
    file = io.BytesIO()
    fastnn.save(obj, file)
    file.seek(0)
    return fastnn.load(file, **options)


def facts(tensor):
    """What must survive, in terms that are the same for fastnn and torch."""
    return (
        str(tensor.dtype).rpartition(".")[2],
        tuple(tensor.shape),
        tuple(tensor.stride()),
        tensor.storage_offset(),
        tensor.untyped_storage().nbytes(),
        tensor.requires_grad,
        type(tensor).__name__,
        tensor.tolist(),
    )


def assert_same(left, right):
    if hasattr(left, "untyped_storage"):
        assert facts(left) == facts(right)
    elif isinstance(left, dict):
        assert isinstance(right, OrderedDict) == isinstance(left, OrderedDict) and list(left) == list(right)
        for name in left:
            assert_same(left[name], right[name])
        assert_same(getattr(left, "_metadata", None), getattr(right, "_metadata", None))
    elif isinstance(left, (list, tuple)):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    else:
        assert str(left) == str(right)
    if not hasattr(left, "untyped_storage") and not isinstance(left, OrderedDict):
        assert type(left).__name__ == type(right).__name__


def sample(torch):
    """A checkpoint of everything a checkpoint may hold, made with either library."""
    base = torch.arange(12, dtype=torch.float32)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model(torch.ones(4, 3)).pow(2).sum().backward()
    optimizer.step()
    parameter = torch.nn.Parameter(base[2:4])
    noted = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    noted.note = "text"
    return {
        "dtypes": [torch.tensor([0, 1, 1]).to(getattr(torch, name)) for name in DTYPES],
        "transposed": base.view(3, 4).t(),
        "slice": base[3:7],
        "expanded": torch.ones(1).expand(4),
        "parameter": parameter,
        "noted": noted,
        "leaf": torch.ones(2, requires_grad=True),
        "empty": torch.empty(0, 3),
        "scalar": torch.tensor(2.5),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "nested": [1, (2, "three", (4.5, None)), {"deep": {5: [True, False]}}, (), [], {}],
        "numbers": [0, 255, 256, 65535, 65536, -1, -(2**31), 2**31, 2**63, -(2**200), 1e300, 1 + 2j],
        "text": ["é", "", "\udc80", "x" * 300],
        "bytes": [b"\x00\xff", b"", bytearray(b"abc")],
        "sets": [{1}, Counter("aab"), OrderedDict(b=1, a=2)],
        "types": [torch.float32, torch.bool, torch.device("cpu"), torch.Size([2, 3])],
        ("tuple", 1): "key",
    }


def archive(stream, records=(), *, folder="archive", version=b"3\n", compression=zipfile.ZIP_STORED):
    """A checkpoint with a pickle stream of our choice, by an independent writer."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as target:
        target.writestr(f"{folder}/data.pkl", stream)
        for name, data in dict(records).items():
            target.writestr(f"{folder}/{name}", data)
        target.writestr(f"{folder}/version", version)
    file.seek(0)
    return file


def tensor_stream(*, numel=4, offset=0, size=(4,), stride=(1,), storage="FloatStorage", grad=False, key="0", tail=b""):
    """The stream of one tensor with a geometry of our choice."""

    def push(value):
        return pickle.dumps(value, 2)[2:-1].replace(b"q\x00", b"").replace(b"q\x01", b"").replace(b"q\x02", b"")

    return (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(("
        + push("storage")
        + f"ctorch\n{storage}\n".encode()
        + push(key)
        + push("cpu")
        + push(numel)
        + b"tQ"
        + push(offset)
        + push(size)
        + push(stride)
        + push(grad)
        + b"ccollections\nOrderedDict\n)RtR"
        + tail
        + b"."
    )


# -- PyTorch's format -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mmap", [False, True])
def test_everything_comes_back(tmp_path, mmap):
    path = tmp_path / "model.pt"
    before = sample(fastnn)
    fastnn.save(before, path)
    after = fastnn.load(path, mmap=mmap)
    assert_same(before, after)
    assert after["slice"].data_ptr() - after["transposed"].data_ptr() == 12
    after["transposed"][3, 0] = 100.0
    assert after["slice"][0] == 100.0
    assert after["noted"].note == "text"
    assert_same(before, fastnn.load(path))  # writing to a tensor of a mapped file did not reach the file


@pytest.mark.parametrize("mmap", [False, True])
def test_torch_reads_what_we_save(tmp_path, mmap):
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pt"
    before = sample(fastnn)
    fastnn.save(before, path)
    after = torch.load(path, weights_only=True, mmap=mmap)
    assert_same(before, after)
    assert after["slice"].data_ptr() - after["transposed"].data_ptr() == 12
    assert after["noted"].note == "text"
    torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).load_state_dict(after["model"])


@pytest.mark.parametrize("mmap", [False, True])
def test_we_read_what_torch_saves(tmp_path, mmap):
    torch = pytest.importorskip("torch")
    path = tmp_path / "other_name.pth"
    before = sample(torch)
    torch.save(before, path)
    after = fastnn.load(path, mmap=mmap)
    assert_same(before, after)
    assert after["slice"].data_ptr() - after["transposed"].data_ptr() == 12
    assert isinstance(after["parameter"], nn.Parameter)
    nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).load_state_dict(after["model"])


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_we_read_torchs_newer_pickle_protocols(protocol):
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    before = {"t": torch.arange(3), "s": {1, 2}, "b": b"x" * 300, "a": bytearray(b"y"), "n": 2**70, "l": "z" * 300}
    torch.save(before, file, pickle_protocol=protocol)
    file.seek(0)
    assert_same(before, fastnn.load(file))


def test_archive_layout(tmp_path):
    path = tmp_path / "model.pt"
    fastnn.save({"a": fastnn.ones(5), "b": fastnn.zeros(3, dtype=fastnn.int64)}, path)
    data = path.read_bytes()
    with zipfile.ZipFile(path) as opened:
        assert opened.testzip() is None
        names = opened.namelist()
        assert opened.read("archive/version") == b"3\n"
        assert opened.read("archive/byteorder") == sys.byteorder.encode()
        assert opened.read("archive/data/0") == struct.pack("=5f", *[1.0] * 5)
        for member in opened.infolist():
            assert member.compress_type == zipfile.ZIP_STORED
            name_length, extra_length = struct.unpack_from("<2H", data, member.header_offset + 26)
            assert (member.header_offset + 30 + name_length + extra_length) % 64 == 0
    assert names[0] == "archive/data.pkl" and "archive/data/1" in names
    fastnn.save({"a": fastnn.ones(5), "b": fastnn.zeros(3, dtype=fastnn.int64)}, tmp_path / "again.pt")
    assert (tmp_path / "again.pt").read_bytes() == data


def test_large_archives_use_64_bit_fields(monkeypatch, tmp_path):
    monkeypatch.setattr(_zip, "_WIDE_FROM", 500)
    path = tmp_path / "wide.pt"
    before = {"a": fastnn.arange(100), "b": fastnn.ones(7)}
    fastnn.save(before, path)
    assert b"PK\x06\x06" in path.read_bytes()
    with zipfile.ZipFile(path) as opened:
        assert opened.testzip() is None
        assert {member.extract_version for member in opened.infolist()} == {20, 45}  # 45 has 64-bit sizes
    assert_same(before, fastnn.load(path))
    torch = pytest.importorskip("torch")
    assert_same(before, torch.load(path, weights_only=True))


def test_containers_that_hold_themselves():
    ring = [1]
    ring.append((ring,))
    again = roundtrip(ring)
    assert again[1][0] is again
    shared = [fastnn.ones(1)]
    again = roundtrip({"a": shared, "b": shared})
    assert again["a"] is again["b"]


def test_a_tensor_saved_twice_is_one_tensor():
    weight = nn.Parameter(fastnn.ones(2))
    again = roundtrip([weight, weight])
    assert again[0] is again[1]


def test_numbers_beyond_what_torch_reads():
    assert roundtrip([-(2**5000), 3**2000]) == [-(2**5000), 3**2000]


def test_big_endian_files_are_swapped():
    stream = tensor_stream(size=(2, 2), stride=(2, 1))
    data = struct.pack(">4f", 1.5, -2.0, 3.0, 4.25)
    loaded = fastnn.load(archive(stream, {"byteorder": b"big", "data/0": data}))
    assert loaded.tolist() == [[1.5, -2.0], [3.0, 4.25]]


@pytest.mark.parametrize("location", [None, "cpu", fastnn.device("cpu"), {"cuda:0": "cpu"}, lambda storage, _: storage])
def test_map_location(location):
    assert roundtrip(fastnn.ones(2), map_location=location).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("location", ["cuda", {"cpu": "cuda:1"}, lambda storage, _: 3])
def test_map_location_elsewhere(location):
    with pytest.raises(RuntimeError, match="map_location"):
        roundtrip(fastnn.ones(2), map_location=location)


def test_files_from_the_middle_of_a_stream():
    file = io.BytesIO(b"front")
    file.seek(5)
    fastnn.save([1, 2], file)
    file.seek(5)
    assert fastnn.load(file) == [1, 2]


class _Pipe(io.RawIOBase):
    """A stream that cannot seek and gives a few bytes at a time."""

    def __init__(self, data=b""):
        self.data = bytearray(data)

    def readable(self):
        return True

    def writable(self):
        return True

    def write(self, data):
        part = bytes(data[:7])
        self.data += part
        return len(part)

    def readinto(self, target):
        count = min(len(target), 5, len(self.data))
        target[:count] = self.data[:count]
        del self.data[:count]
        return count


@pytest.mark.parametrize("obj", [{"a": fastnn.arange(50)}])
def test_streams_that_cannot_seek(obj):
    pipe = _Pipe()
    fastnn.save(obj, pipe)
    assert_same(obj, fastnn.load(io.BufferedReader(_Pipe(bytes(pipe.data)))))
    assert_same(obj, fastnn.load(_Pipe(bytes(pipe.data))))


# -- what cannot be saved ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("obj", "kind", "words"),
    [
        (
            {"f": [lambda: 1]},
            pickle.PicklingError,
            r"\['f'\]\[0\] is <function .*not found as test_serialization.<lambda>",
        ),
        ([type("Lost", (), {})()], pickle.PicklingError, "not found as test_serialization.Lost"),
        ({"g": (i for i in ())}, TypeError, "cannot pickle 'generator' object"),
    ],
)
def test_what_cannot_be_pickled_is_not_saved(tmp_path, obj, kind, words):
    with pytest.raises(kind, match=words):
        fastnn.save(obj, tmp_path / "x.pt")
    assert os.listdir(tmp_path) == []


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


OBJECTS = [frozenset([1]), print, Fraction(1, 2), {frozenset(): 1}, np.float64(2.5), np.arange(3), os.getcwd]


@pytest.mark.parametrize("obj", OBJECTS, ids=repr)
def test_other_objects_are_saved_as_python_pickles_them(torch, tmp_path, obj):
    fastnn.save({"x": obj}, tmp_path / "x.pt")
    again = torch.load(tmp_path / "x.pt", weights_only=False)["x"]
    assert type(again) is type(obj) and np.all(again == obj)
    with pytest.raises(pickle.UnpicklingError, match="asks for"):
        fastnn.load(tmp_path / "x.pt")


def test_a_saved_module_is_loaded_where_its_classes_are_allowed():
    net, file = nn.Sequential(nn.Linear(2, 3), nn.ReLU()), io.BytesIO()
    fastnn.save(net, file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=r"add_safe_globals|state_dict"):
        fastnn.load(file)
    file.seek(0)
    with safe_globals([nn.Sequential, nn.Linear, nn.ReLU]):
        again = fastnn.load(file)
    assert fastnn.equal(again(fastnn.ones(1, 2)), net(fastnn.ones(1, 2)))


def test_numpy_arrays_are_loaded_where_numpy_is_allowed():
    array, file = np.random.default_rng(0).integers(0, 9, (3, 4)), io.BytesIO()
    fastnn.save({"state": ("name", array)}, file)
    file.seek(0)
    rebuild = array.__reduce__()[0]
    with safe_globals([rebuild, np.ndarray, np.dtype]):
        np.testing.assert_array_equal(fastnn.load(file)["state"][1], array)


def test_arguments_of_torch_that_have_one_value():
    for options in ({"pickle_protocol": 4}, {"_use_new_zipfile_serialization": False}, {"pickle_module": pickle}):
        with pytest.raises(ValueError, match="pickle"):
            fastnn.save(1, io.BytesIO(), **options)
    with pytest.raises(TypeError, match="weights_only"):
        roundtrip(1, weights_only="yes")
    with pytest.raises(ValueError, match="mmap"):
        roundtrip(1, mmap=True)
    for bad in (3, None):
        with pytest.raises(TypeError, match="expected a path or a file"):
            fastnn.save(1, bad)
        with pytest.raises(TypeError, match="expected a path or a file"):
            fastnn.load(bad)


class Point:
    def __init__(self, x):
        self.x = x


class Guarded:
    def __setstate__(self, state):
        self.doubled = 2 * state["x"]

    def __init__(self, x=0):
        self.x = x


def test_safe_globals():
    with pytest.raises(pickle.UnpicklingError, match="Point"):
        roundtrip(Point(1))
    with safe_globals([Point, Guarded, Fraction]):
        assert Point in get_safe_globals()
        file = io.BytesIO()
        fastnn.save([Point({"w": fastnn.ones(1)}), Guarded(4), Fraction(2, 3), Point], file)
        file.seek(0)
        point, guarded, fraction, kind = fastnn.load(file)
        assert point.x["w"].tolist() == [1.0] and guarded.doubled == 8 and fraction == Fraction(2, 3) and kind is Point
    assert get_safe_globals() == []
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="Point"):
        fastnn.load(file)
    file.seek(0)
    with pytest.raises(pickle.UnpicklingError, match="Point"):
        fastnn.load(file, weights_only=False)
    add_safe_globals([(Fraction, "old.place.Fraction")])
    try:
        assert fastnn.load(archive(b"\x80\x02cold.place\nFraction\nK\x03K\x04\x86R.")) == Fraction(3, 4)
    finally:
        clear_safe_globals()


# -- writing aside ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch, name):
    path = tmp_path / name
    fastnn.save({"a": fastnn.ones(2)}, path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        fastnn.save({"a": fastnn.zeros(100)}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [name]


def test_saving_over_a_mapped_file(tmp_path):
    path = tmp_path / "model.safetensors"
    fastnn.save({"a": fastnn.ones(3000)}, path)
    mapped = fastnn.load(path)["a"]
    fastnn.save({"a": fastnn.zeros(1)}, path)
    assert mapped.sum() == 3000.0


def test_mode_and_links(tmp_path):
    path, link = tmp_path / "model.pt", tmp_path / "link.pt"
    fastnn.save(1, path)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    path.chmod(0o600)
    link.symlink_to(path)
    fastnn.save(2, link)
    assert link.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o600 and fastnn.load(path) == 2


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fastnn.save(3, path)
        assert stat.S_ISFIFO(path.stat().st_mode)
        assert fastnn.load(io.BytesIO(os.read(reader, 1 << 16))) == 3
    finally:
        os.close(reader)


def test_places_that_are_not_there(tmp_path):
    with pytest.raises(RuntimeError, match="does not exist"):
        fastnn.save(1, tmp_path / "missing" / "x.pt")
    with pytest.raises(FileNotFoundError):
        fastnn.load(tmp_path / "missing.pt")
    with pytest.raises(IsADirectoryError):
        fastnn.save(1, tmp_path)


# -- files that mean harm ---------------------------------------------------------------------------------------------


class _Harm:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "call", [(os.system, "touch harm"), (eval, "1"), (getattr, 1, "real"), (__import__, "os"), (bytearray, 10**12)]
)
def test_a_file_cannot_call_functions(tmp_path, monkeypatch, protocol, call):
    monkeypatch.chdir(tmp_path)
    stream = pickle.dumps(_Harm(*call), protocol)
    for weights_only in (True, False):
        with pytest.raises(pickle.UnpicklingError):
            fastnn.load(archive(stream), weights_only=weights_only)
    assert os.listdir(tmp_path) == []


def test_the_refusal_names_what_was_asked_for():
    with pytest.raises(pickle.UnpicklingError, match=r"posix\.system|os\.system|nt\.system"):
        fastnn.load(archive(pickle.dumps(_Harm(os.system, "x"), 2)))
    with pytest.raises(pickle.UnpicklingError, match="state_dict"):
        fastnn.load(archive(b"\x80\x02ctorch.nn.modules.linear\nLinear\n)\x81."))
    with pytest.raises(pickle.UnpicklingError, match="NumPy"):
        fastnn.load(archive(b"\x80\x02cnumpy.core.multiarray\nscalar\n)R."))
    with pytest.raises(pickle.UnpicklingError) as caught:
        fastnn.load(archive(b"\x80\x02c" + b"m" * 10**6 + b"\nx\n."))
    assert len(str(caught.value)) < 1000


STREAMS = {
    "empty": (b"", "it ends too early"),
    "no stop": (b"\x80\x02N", "it ends too early"),
    "nothing on the stack": (b"\x80\x02.", "it refers to something that is not there"),
    "unknown instruction": (b"\x80\x02\xffN.", "instruction b'\\xff' is not part of a checkpoint"),
    "text instruction": (b"\x80\x02I5\n.", "instruction b'I' is not part of a checkpoint"),
    "protocol": (b"\x80\x63N.", "protocol 99 is not known"),
    "missing memo": (b"\x80\x02h\x05.", "it refers to something that is not there"),
    "missing mark": (b"\x80\x02Nt.", "it refers to something that is not there"),
    "huge string": (b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.", "it ends too early"),
    "huge bytes": (b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.", "it ends too early"),
    "huge bytearray": (b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.", "it ends too early"),
    "huge integer": (b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.", "it ends too early"),
    "negative integer length": (b"\x80\x02\x8b" + struct.pack("<i", -5) + b"x.", "a number has a negative length"),
    "not UTF-8": (b"\x80\x02X\x01\x00\x00\x00\xff.", "a string is not UTF-8"),
    "line without end": (b"\x80\x02cabc", "it ends too early"),
    "function as a value": (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n.",
        "the file stores torch._utils._rebuild_tensor_v2 itself as a",
    ),
    "function in a list": (
        b"\x80\x02]ctorch._utils\n_rebuild_tensor_v2\na.",
        "the file stores torch._utils._rebuild_tensor_v2 itself as a",
    ),
    "class in a tuple in a dict": (
        b"\x80\x02}NcTorch\nx\n".replace(b"cTorch\nx\n", b"ctorch\nTensor\n\x85s."),
        "the file stores a tuple with a function, a class or a",
    ),
    "storage as a value": (
        (b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ."),
        "the file stores storage 0 itself as a value",
    ),
    "bad storage": (b"\x80\x02NQ.", "a storage is not described as PyTorch does"),
    "append to a dict": (b"\x80\x02}Na.", "items are appended to a dict"),
    "append to a tensor": (tensor_stream(tail=b"Na"), "items are appended to a Tensor"),
    "keys in a list": (b"\x80\x02]NNs.", "keys are set in a list"),
    "odd number of items": (b"\x80\x02}(Nu.", "a key has no value"),
    "list as a key": (b"\x80\x02}]Ns.", "a list cannot be a key"),
    "call of a string": (b"\x80\x02X\x01\x00\x00\x00x)R.", "a str is called"),
    "arguments no tuple": (b"\x80\x02ccollections\nOrderedDict\n]R.", "arguments are not a tuple"),
    "bytearray of a number": (
        b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
        "a bytearray is not made of bytes",
    ),
    "bytes in another encoding": (
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00xX\x04\x00\x00\x00zlib\x86R.",
        "bytes are not described as Python does",
    ),
    "state of a dict": (b"\x80\x02}}b.", "a state is set on a dict"),
    "state of a tensor": (tensor_stream(tail=b"}b"), "a state is set on a Tensor"),
    "state replaces a method": (
        b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\x00\x00\x00itemsNsb.",
        "a state replaces 'items' of the class OrderedDict",
    ),
    "new object of a tensor class": (
        b"\x80\x02ctorch\nTensor\n)\x81.",
        "an object is made of something that is no allowed class",
    ),
    "size of strings": (b"\x80\x02ctorch\nSize\nX\x01\x00\x00\x00x\x85\x85R.", "a Size is no tuple of 64-bit integers"),
    "tensor of nothing": (
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        "a tensor is not described as PyTorch does",
    ),
    "parameter of nothing": (
        b"\x80\x02ctorch._utils\n_rebuild_parameter\nN\x88N\x87R.",
        "a parameter is not described as PyTorch does",
    ),
    "type of itself": (
        (
            b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n("
            b"ctorch._tensor\n_rebuild_from_type_v2\nctorch\nTensor\n)}tR."
        ),
        "a tensor is described in terms of itself",
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_hostile_streams(name):
    stream, words = STREAMS[name]
    with pytest.raises(pickle.UnpicklingError, match="^load: .*" + re.escape(words)):
        fastnn.load(archive(stream, {"data/0": bytes(16)}))


GEOMETRIES = {
    "offset beyond the end": ({"offset": 1}, "reaches element 5 of a storage of 4 elements"),
    "negative offset": ({"offset": -1, "size": (1,)}, "has a storage offset outside of its storage of 4 elements"),
    "stride beyond the end": ({"stride": (2,)}, "reaches element 7 of a storage of 4 elements"),
    "negative stride": ({"stride": (-1,), "offset": 3}, "has a stride that is no list of non-negative 64-bit integers"),
    "negative size": ({"size": (-1,)}, "has a size that is no list of non-negative 64-bit integers"),
    "product overflows": ({"size": (2**62, 2**62), "stride": (0, 0)}, "has more elements than memory can address"),
    "product with zero": (
        {"size": (2**62, 2**62, 0), "stride": (0, 0, 0)},
        "has more elements than memory can address",
    ),
    "extent overflows": (
        {"size": (3,), "stride": (2**63 - 1,)},
        "reaches element 18446744073709551615 of a storage of 4",
    ),
    "stride of 2**64": (
        {"size": (0,), "stride": (2**64,)},
        "has a stride that is no list of non-negative 64-bit integers",
    ),
    "ranks differ": ({"size": (2, 2), "stride": (1,)}, "has 2 sizes and 1 strides"),
    "too many dimensions": ({"size": (1,) * 100, "stride": (1,) * 100}, "has 100 dimensions"),
    "size of floats": ({"size": (2.0,)}, "has a size that is no list of non-negative 64-bit integers"),
    "size of bools": ({"size": (True,)}, "has a size that is no list of non-negative 64-bit integers"),
    "offset of None": ({"offset": None}, "has a storage offset outside of its storage of 4 elements"),
    "negative number of elements": ({"numel": -1}, "storage '0' has no possible number of elements"),
    "gradient is no bool": ({"grad": 1}, "requires_grad is no bool, or is set on a tensor that is not"),
    "gradient of integers": (
        {"grad": True, "storage": "IntStorage"},
        "requires_grad is no bool, or is set on a tensor that is not",
    ),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_hostile_geometry(name):
    options, words = GEOMETRIES[name]
    file = archive(tensor_stream(**options), {"data/0": bytes(16)})
    with pytest.raises(pickle.UnpicklingError, match="^load: .*" + re.escape(words)):
        fastnn.load(file)


def test_geometry_that_is_strange_but_sound():
    loaded = fastnn.load(archive(tensor_stream(size=(2, 0), stride=(7, 9)), {"data/0": bytes(16)}))
    assert loaded.shape == (2, 0)
    loaded = fastnn.load(archive(tensor_stream(size=(3, 2), stride=(0, 3)), {"data/0": struct.pack("=4f", 1, 2, 3, 4)}))
    assert loaded.tolist() == [[1.0, 4.0]] * 3


def test_storages_that_are_short_or_missing():
    with pytest.raises(CheckpointError, match="15 bytes, but 16 are needed"):
        fastnn.load(archive(tensor_stream(), {"data/0": bytes(15)}))
    with pytest.raises(CheckpointError, match="is missing"):
        fastnn.load(archive(tensor_stream(numel=2**61)))
    with pytest.raises(CheckpointError, match="are needed"):
        fastnn.load(archive(tensor_stream(numel=2**40), {"data/0": bytes(16)}))


@pytest.mark.parametrize("mmap", [False, True])
def test_bool_bytes_are_checked(tmp_path, mmap):
    path = tmp_path / "bool.pt"
    path.write_bytes(archive(tensor_stream(storage="BoolStorage"), {"data/0": b"\x00\x01\x02\x00"}).getvalue())
    with pytest.raises(CheckpointError, match="bool"):
        fastnn.load(path, mmap=mmap)


def test_keys_that_would_hash_forever():
    doubling = b"\x80\x02}NN\x86" + b"".join(b"q\x00h\x00\x86" for _ in range(200)) + b"Ns."
    nested = b"\x80\x02})" + b"\x85" * 1_000_000 + b"Ns."
    for stream in (doubling, nested):
        with pytest.raises(pickle.UnpicklingError, match="cannot be a key"):
            fastnn.load(archive(stream))


def test_deep_nesting_does_not_overflow_the_stack():
    loaded = fastnn.load(archive(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."))
    assert isinstance(loaded, list)
    del loaded
    deep = None
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        fastnn.save(deep, io.BytesIO())


def test_compressed_and_dishonest_archives():
    bomb = archive(b"\x80\x02N.", {"data/0": bytes(10**6)}, compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="compressed"):
        fastnn.load(bomb)
    honest = archive(tensor_stream(), {"data/0": bytes(16)}).getvalue()
    entry = honest.index(b"PK\x01\x02", honest.index(b"PK\x01\x02") + 1)
    for size in (17, 10**6, 2**32 - 2, 2**32 - 1):
        dishonest = honest[: entry + 20] + struct.pack("<2I", size, size) + honest[entry + 28 :]
        with pytest.raises(CheckpointError):
            fastnn.load(io.BytesIO(dishonest))
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as target, pytest.warns(UserWarning, match="Duplicate"):
        for _ in range(2):
            target.writestr("archive/data.pkl", b"\x80\x02N.")
    twice.seek(0)
    with pytest.raises(CheckpointError, match="twice"):
        fastnn.load(twice)


def test_archives_that_are_something_else():
    for file, words in (
        (archive(b"N.", folder="a/b"), "no data.pkl"),
        (archive(b"\x80\x02N.", {"constants.pkl": b""}), "TorchScript"),
        (archive(b"\x80\x02N.", version=b"99\n"), "version"),
        (archive(b"\x80\x02N.", {"byteorder": b"middle"}), "byte order"),
        (io.BytesIO(archive(b"\x80\x02N.").getvalue()[:-30]), "end is missing"),
    ):
        with pytest.raises(CheckpointError, match=words):
            fastnn.load(file)


def test_other_formats():
    with pytest.raises(EOFError):
        fastnn.load(io.BytesIO())
    with pytest.raises(pickle.UnpicklingError, match="neither a PyTorch checkpoint"):
        fastnn.load(io.BytesIO(b"hello world"))
    with pytest.raises(pickle.UnpicklingError, match="plain pickle"):
        fastnn.load(io.BytesIO(pickle.dumps([1, 2])))
    import tarfile

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as target:
        target.addfile(tarfile.TarInfo("storages"))
    file.seek(0)
    with pytest.raises(CheckpointError, match="tar archive"):
        fastnn.load(file)


def legacy(obj):
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    torch.save(obj(torch), file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def test_the_legacy_format_of_torch(tmp_path):
    def obj(T):
        base = T.arange(12.0).view(3, 4)
        tensors = {"view": base.t()[1:], "base": base, "bool": T.tensor([True, False]), "empty": T.ones(0, 3)}
        half = {"half": T.ones(3, dtype=T.float16), "parameter": T.nn.Parameter(T.ones(2)), "number": T.tensor(7)}
        return {**tensors, **half, "epoch": 3}

    data = legacy(obj)
    (tmp_path / "old.pt").write_bytes(data)
    for file in (tmp_path / "old.pt", io.BytesIO(data)):
        got = fastnn.load(file)
        assert_same(obj(fastnn), got)
        assert got["view"].untyped_storage().data_ptr() == got["base"].untyped_storage().data_ptr()
    with pytest.raises(RuntimeError, match="zip format"):
        fastnn.load(tmp_path / "old.pt", mmap=True)


def test_damaged_legacy_files():
    data = legacy(lambda T: {"a": T.arange(4.0), "b": T.tensor([True])})
    with pytest.raises(CheckpointError):
        fastnn.load(io.BytesIO(data[:-1]))
    with pytest.raises(CheckpointError, match="bool"):
        fastnn.load(io.BytesIO(legacy(lambda T: T.tensor([True]))[:-1] + b"\x02"))
    with pytest.raises(CheckpointError, match="not known"):
        fastnn.load(io.BytesIO(data.replace(b"M\xe9\x03", b"M\xea\x03", 1)))
    with pytest.raises(CheckpointError, match="need"):  # more than the file could hold
        fastnn.load(io.BytesIO(data.replace(b"K\x04Nt", b"J\xff\xff\xff\x7fNt", 1)))
    for changed in mutations(data, 0, 300):
        try:
            visit(fastnn.load(io.BytesIO(changed)))
        except (CheckpointError, pickle.UnpicklingError, EOFError, RuntimeError):
            pass


def mutations(data, seed, count):
    """Damaged versions of a file: flipped, overwritten, removed, doubled and cut parts."""
    generator = random.Random(seed)
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(generator.choice((1, 1, 2, 5))):
            place = generator.randrange(len(changed))
            kind = generator.randrange(6)
            length = generator.choice((1, 2, 4, 8, 30))
            if kind == 0:
                changed[place] ^= 1 << generator.randrange(8)
            elif kind == 1:
                changed[place : place + length] = generator.randbytes(length)
            elif kind == 2:
                changed[place : place + length] = b"\xff" * length
            elif kind == 3:
                del changed[place : place + length]
            elif kind == 4:
                changed[place:place] = changed[place : place + length]
            elif generator.random() < 0.2:
                del changed[max(1, place) :]
        yield bytes(changed)


def visit(obj):
    """Touch all values, so that a tensor beyond its memory would show."""
    if hasattr(obj, "untyped_storage"):
        if obj.numel() <= 10_000:
            obj.tolist()
    elif isinstance(obj, dict):
        for value in obj.values():
            visit(value)
    elif isinstance(obj, (list, tuple)):
        for value in obj:
            visit(value)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_raise_typed_errors(seed):
    tensors = {"a": fastnn.arange(6).view(2, 3), "b": fastnn.ones(5) > 0, "c": fastnn.ones(3, dtype=fastnn.bfloat16)}
    file = io.BytesIO()
    fastnn.save({**tensors, "more": [1, (2.5, None), {"x": b"y"}, {1}], "p": nn.Parameter(fastnn.ones(2))}, file)
    archive_bytes = file.getvalue()
    with zipfile.ZipFile(file) as opened:
        stream = opened.read("archive/data.pkl")
        records = {f"data/{n}": opened.read(f"archive/data/{n}") for n in range(4)}
    outcomes = Counter()
    candidates = [
        *mutations(archive_bytes, seed, 300),
        *(archive(one, records).getvalue() for one in mutations(stream, seed + 100, 300)),
        *mutations(safetensors.save({**tensors, "d": tensors["a"]}), seed + 200, 300),
    ]
    for candidate in candidates:
        try:
            visit(fastnn.load(io.BytesIO(candidate)))
            outcomes["loaded"] += 1
        except TYPED_ERRORS as error:
            assert str(error).startswith("load: ")
            outcomes["refused"] += 1
    assert outcomes["refused"] > 200 and outcomes["loaded"] > 20, outcomes


# -- safetensors ------------------------------------------------------------------------------------------------------


def raw_safetensors(header, data=b"", *, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize("mmap", [None, False, True])
def test_safetensors_roundtrip(tmp_path, mmap):
    path = tmp_path / "model.safetensors"
    before = {name: fastnn.tensor([[0, 1, 1]]).to(getattr(fastnn, name)) for name in DTYPES}
    before |= {"empty": fastnn.empty(0, 3), "scalar": fastnn.tensor(2.5), "é": fastnn.arange(6).view(2, 3).t()}
    fastnn.save(before, path)
    after = fastnn.load(path, mmap=mmap)
    assert list(after) == list(before)
    for name, tensor in before.items():
        assert after[name].dtype == tensor.dtype and after[name].shape == tensor.shape
        assert after[name].tolist() == tensor.tolist() and after[name].is_contiguous()
    after["float32"][0, 0] = 7.0
    assert fastnn.load(path)["float32"][0, 0] == 0.0


def test_the_safetensors_package_reads_ours_and_we_read_its(tmp_path):
    reference = pytest.importorskip("safetensors.numpy")
    numpy = pytest.importorskip("numpy")
    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    names = [name for name in DTYPES if name != "bfloat16"]
    before = {name: fastnn.tensor([[0, 1, 1]]).to(getattr(fastnn, name)) for name in names}
    safetensors.save_file(before, ours, {"epoch": "3"})
    arrays = reference.load_file(ours)
    assert sorted(arrays) == sorted(names)
    for name in names:
        assert str(arrays[name].dtype) == name and arrays[name].tolist() == before[name].tolist()
    reference.save_file({name: numpy.asarray(array) for name, array in arrays.items()}, theirs, {"epoch": "4"})
    after = fastnn.load(theirs)
    for name in names:
        assert facts(after[name]) == facts(before[name])
    assert safetensors.read_metadata(theirs) == {"epoch": "4"}
    import safetensors as package

    with package.safe_open(ours, "np") as opened:
        assert opened.metadata() == {"epoch": "3"}


def test_bfloat16_both_ways(tmp_path):
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("safetensors.torch")
    path = tmp_path / "x.safetensors"
    fastnn.save({"x": fastnn.tensor([1.5, -2.0], dtype=fastnn.bfloat16)}, path)
    assert reference.load_file(path)["x"].equal(torch.tensor([1.5, -2.0], dtype=torch.bfloat16))
    reference.save_file({"x": torch.tensor([0.5, 3.0], dtype=torch.bfloat16)}, path)
    loaded = fastnn.load(path)["x"]
    assert loaded.dtype == fastnn.bfloat16 and loaded.tolist() == [0.5, 3.0]


def test_ties_are_kept_and_stored_once(tmp_path):
    path = tmp_path / "tied.safetensors"
    weight = fastnn.arange(1000)
    safetensors.save_file({"embed": weight, "other": fastnn.ones(2), "head": weight.view(1000)}, path, {"a": "b"})
    assert path.stat().st_size < 9000
    for mmap in (False, True):
        after = safetensors.load_file(path, mmap=mmap)
        assert sorted(after) == ["embed", "head", "other"]
        after["embed"][0] = 5
        assert after["head"][0] == 5
    assert safetensors.read_metadata(path) == {"a": "b"}


def test_tied_modules_stay_tied(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    fastnn.save(model.state_dict(), tmp_path / "m.safetensors")
    after = fastnn.load(tmp_path / "m.safetensors")
    assert after["0.weight"].data_ptr() == after["1.weight"].data_ptr()
    model.load_state_dict(after)


def test_tensors_that_share_part_of_their_memory():
    base = fastnn.arange(12)
    for left, right in (
        (base, base[:3]),
        (base[:7], base[6:]),
        (base.view(3, 4), base.view(4, 3)),
        (base.view(3, 4), base.view(3, 4)[:, 1:2]),
    ):
        with pytest.raises(RuntimeError, match="'a' and 'b' share part of their memory"):
            safetensors.save({"a": left, "b": right})
    grid = base.view(3, 4)
    after = safetensors.load(safetensors.save({"a": grid[:, :2], "b": grid[:, 2:], "c": fastnn.arange(2)}))
    assert after["a"].tolist() == [[0, 1], [4, 5], [8, 9]] and after["b"].tolist() == [[2, 3], [6, 7], [10, 11]]


@pytest.mark.parametrize(
    ("obj", "words"),
    [
        ([1], "dict of tensors"),
        ({"a": {"b": fastnn.ones(1)}}, "'a' is a dict"),
        ({1: fastnn.ones(1)}, "string"),
        ({"__metadata__": fastnn.ones(1)}, "__metadata__"),
    ],
)
def test_safetensors_holds_only_named_tensors(tmp_path, obj, words):
    with pytest.raises(TypeError, match=words):
        fastnn.save(obj, tmp_path / "x.safetensors")
    assert os.listdir(tmp_path) == []


def test_metadata_are_strings():
    with pytest.raises(TypeError, match="metadata"):
        safetensors.save({}, {"epoch": 3})
    assert safetensors.load(safetensors.save({})) == {}


HEADERS = {
    "short": (b"\x01\x02", "it has only 2 bytes"),
    "absurd length": (raw_safetensors(b"{}", length=2**63), "at most 100000000 are allowed"),
    "length over the limit": (
        raw_safetensors(b"{" + b" " * 20, length=100_000_001),
        "at most 100000000 are allowed",
    ),
    "length beyond the file": (
        raw_safetensors(b"{}", length=1000),
        "its header claims 1000 bytes, but the file has only 10",
    ),
    "not JSON": (raw_safetensors(b"{nope}"), "no valid JSON"),
    "not UTF-8": (raw_safetensors(b'{"\xff":1}'), "no valid JSON"),
    "deep JSON": (raw_safetensors(b'{"a":' + b"[" * 200_000), "no valid JSON"),
    "huge number": (raw_safetensors(b'{"a":' + b"9" * 5000 + b"}"), "no valid safetensors file"),
    "duplicate names": (raw_safetensors(b'{"a":1,"a":1}'), "a name is there twice"),
    "duplicate fields": (
        raw_safetensors(b'{"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}'),
        "a name is there twice",
    ),
    "metadata no strings": (raw_safetensors({"__metadata__": {"a": 1}}), "its metadata are not strings"),
    "metadata a list": (raw_safetensors({"__metadata__": ["a"]}), "its metadata are not strings"),
    "missing field": (
        raw_safetensors({"a": {"dtype": "F32", "shape": [0]}}),
        "'a' has not exactly dtype, shape and data_offsets",
    ),
    "entry a list": (raw_safetensors({"a": [1]}), "'a' has not exactly dtype, shape and data_offsets"),
    "unknown dtype": (raw_safetensors({"a": entry("F8_E4M3", (8,))}, bytes(8)), "has dtype 'F8_E4M3'"),
    "dtype a number": (raw_safetensors({"a": entry(4)}, bytes(8)), "has dtype 4"),
    "negative shape": (raw_safetensors({"a": entry(shape=(-2,))}, bytes(8)), "'a' has an impossible shape"),
    "bool shape": (raw_safetensors({"a": entry(shape=(True, 2))}, bytes(8)), "'a' has an impossible shape"),
    "float shape": (raw_safetensors({"a": entry(shape=(2.0,))}, bytes(8)), "'a' has an impossible shape"),
    "shape overflows": (raw_safetensors({"a": entry(shape=(2**62, 4), offsets=(0, 0))}), "'a' has an impossible shape"),
    "shape overflows beside zero": (
        raw_safetensors({"a": entry(shape=(2**62, 2**62, 0), offsets=(0, 0))}),
        "'a' has an impossible shape",
    ),
    "too many dimensions": (
        raw_safetensors({"a": entry(shape=(1,) * 100, offsets=(0, 4))}, bytes(4)),
        "'a' has an impossible shape",
    ),
    "size does not fit": (raw_safetensors({"a": entry(shape=(3,))}, bytes(8)), "'a' has 8 bytes"),
    "offsets reversed": (raw_safetensors({"a": entry(offsets=(8, 0))}, bytes(8)), "'a' has impossible data_offsets"),
    "offsets negative": (raw_safetensors({"a": entry(offsets=(-8, 0))}, bytes(8)), "'a' has impossible data_offsets"),
    "three offsets": (raw_safetensors({"a": entry(offsets=(0, 8, 9))}, bytes(8)), "'a' has impossible data_offsets"),
    "offsets beyond the file": (
        raw_safetensors({"a": entry(shape=(2**40,), offsets=(0, 2**42))}, bytes(8)),
        "its tensors need 4398046511104 bytes, but 8 are there",
    ),
    "overlap": (
        raw_safetensors({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)),
        "the bytes of 'b' overlap with others, or leave a hole",
    ),
    "same bytes twice": (
        raw_safetensors({"a": entry(), "b": entry()}, bytes(8)),
        "the bytes of 'b' overlap with others, or leave a hole",
    ),
    "hole": (
        raw_safetensors({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)),
        "the bytes of 'b' overlap with others, or leave a hole",
    ),
    "bytes left over": (raw_safetensors({"a": entry()}, bytes(9)), "its tensors need 8 bytes, but 9 are there"),
    "tie to nothing": (
        raw_safetensors({"__metadata__": {"fastnn.tied": '{"b":"c"}'}, "a": entry()}, bytes(8)),
        "its note about tied tensors does not fit its tensors",
    ),
    "tie hides a tensor": (
        raw_safetensors({"__metadata__": {"fastnn.tied": '{"a":"a"}'}, "a": entry()}, bytes(8)),
        "its note about tied tensors does not fit its tensors",
    ),
    "tie no JSON": (
        raw_safetensors({"__metadata__": {"fastnn.tied": "{"}, "a": entry()}, bytes(8)),
        "its note about tied tensors does not fit its tensors",
    ),
    "bool of other bytes": (
        raw_safetensors({"a": entry("BOOL", (2,), (0, 2))}, b"\x01\x07"),
        "is bool but has bytes other than 0 and 1",
    ),
}


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", HEADERS)
def test_hostile_safetensors(tmp_path, name, mmap):
    path = tmp_path / "x.safetensors"
    data, words = HEADERS[name]
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="^load: .*" + re.escape(words)) as caught:
        safetensors.load_file(path, mmap=mmap)
    assert len(str(caught.value)) < 1000


def test_misaligned_safetensors(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(raw_safetensors(json.dumps({"a": entry()}).encode() + b" ", struct.pack("=2f", 1.5, 2.5)))
    assert fastnn.load(path)["a"].tolist() == [1.5, 2.5]


# -- pickle and deepcopy ----------------------------------------------------------------------------------------------


class Marked(fastnn.Tensor):
    pass


def pickled(protocol):
    return lambda obj: pickle.loads(pickle.dumps(obj, protocol))


COPIES = {"deepcopy": deepcopy, **{f"protocol {protocol}": pickled(protocol) for protocol in (2, 4, 5)}}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_copies_of_tensors(copy):
    base = fastnn.arange(6.0)
    marked = fastnn.arange(3).as_subclass(Marked)
    marked.note = [1]
    originals = [base, base.view(2, 3).t(), fastnn.empty(0, 2), fastnn.ones(2, requires_grad=True), marked]
    originals += [fastnn.tensor([0, 1]).to(getattr(fastnn, dtype)) for dtype in DTYPES]
    copies = copy(originals)
    for one, other in zip(originals, copies, strict=True):
        assert facts(one) == facts(other)
    assert type(copies[4]) is Marked and copies[4].note == [1] and copies[4].note is not marked.note
    copies[0][1] = 50.0
    assert copies[1][1, 0] == 50.0 and base[1] == 1.0


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_copies_of_modules(copy):
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    model[0].weight.requires_grad_(False)
    again = copy(model)
    assert again[0].weight is again[1].weight and isinstance(again[0].weight, nn.Parameter)
    assert again[0].weight.tolist() == model[0].weight.tolist() and not again[0].weight.requires_grad
    assert again[0].weight.data_ptr() != model[0].weight.data_ptr()


def test_deepcopy_copies_the_gradient():
    weight = fastnn.ones(2, requires_grad=True)
    weight.grad = fastnn.full((2,), 3.0)
    again = deepcopy(weight)
    assert again.grad.tolist() == [3.0, 3.0] and again.grad is not weight.grad
    with pytest.raises(RuntimeError, match="leaf"):
        deepcopy(weight * 2)


def test_pickles_hand_over_memory():
    buffers = []
    tensor = fastnn.arange(1000.0)
    stream = pickle.dumps(tensor, 5, buffer_callback=buffers.append)
    assert len(buffers) == 1 and len(stream) < 400
    assert pickle.loads(stream, buffers=buffers).tolist() == tensor.tolist()


def test_saving_memory_under_two_dtypes():
    whole = fastnn.zeros(2, dtype=fastnn.int32)
    with pytest.raises(RuntimeError, match="view the same memory"):
        fastnn.save([whole, whole.view(fastnn.float32)], io.BytesIO())
