"""DataLoader with worker processes and threads: order, seeds, memory, and what happens when something goes wrong."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn.utils.data import (
    ChainDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    StackDataset,
    TensorDataset,
    get_worker_info,
)
from fastnn.utils.data._utils.channel import channel_pair

KINDS = [
    {},
    {"multiprocessing_context": "spawn"},
    {"multiprocessing_context": "forkserver"},
    {"persistent_workers": True},
    {"prefetch_factor": 5},
    {"worker_kind": "thread"},
    {"worker_kind": "thread", "persistent_workers": True},
]


@pytest.fixture(autouse=True)
def pool_of_threads_is_running():
    """Processes are forked from one whose pool runs, which is the case that can go wrong."""
    fastnn.randn(300, 300) @ fastnn.randn(300, 300)
    gc.collect()  # an exception holds the frames it came through, and with them iterators of the test before
    before = set(os.listdir("/proc/self/fd")), set(os.listdir("/dev/shm"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")
        yield
    assert set(os.listdir("/dev/shm")) == before[1]


class Samples(Dataset):
    """Everything that can be in a sample."""

    def __init__(self, count=24, shape=(3, 32, 32)):
        self.count, self.shape = count, shape

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        image = fastnn.full(self.shape, float(index))
        return {"image": image, "index": index, "name": f"n{index}", "array": np.full(300, index, np.int16)}


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_batches_are_those_without_workers(options):
    loader = DataLoader(Samples(), batch_size=5, num_workers=2, **options)
    for _ in range(2):
        expected = list(DataLoader(Samples(), batch_size=5))
        found = list(loader)
        assert len(found) == len(expected) == len(loader)
        for left, right in zip(found, expected, strict=True):
            assert left["image"].equal(right["image"]) and left["index"].equal(right["index"])
            assert left["array"].equal(right["array"]) and left["array"].dtype == fastnn.int16
            assert list(left["name"]) == list(right["name"])


def test_more_workers_than_batches_and_empty_datasets():
    assert [batch.tolist() for batch in DataLoader(range(3), batch_size=2, num_workers=4)] == [[0, 1], [2]]
    assert list(DataLoader([], num_workers=2)) == []


def test_shuffled_order_is_that_of_pytorch():
    torch = pytest.importorskip("torch")
    fastnn.manual_seed(3)
    ours = [batch.tolist() for _ in range(2) for batch in DataLoader(range(20), 4, shuffle=True, num_workers=2)]
    torch.manual_seed(3)
    theirs = [batch.tolist() for _ in range(2) for batch in torch.utils.data.DataLoader(range(20), 4, shuffle=True)]
    assert ours == theirs


class Draws(Dataset):
    """What the generators of a worker give."""

    def __init__(self, package):
        self.package = package

    def __len__(self):
        return 6

    def __getitem__(self, index):
        info = self.package.utils.data.get_worker_info()
        number = int(self.package.randint(0, 10**9, (1,)).item())
        return info.id, info.num_workers, info.seed, number, random.randrange(10**9), int(np.random.randint(10**9))  # noqa: NPY002


def test_workers_draw_pytorch_s_numbers():
    torch = pytest.importorskip("torch")
    fastnn.manual_seed(7)
    ours = [[list(map(int, row)) for row in DataLoader(Draws(fastnn), None, num_workers=2)] for _ in range(2)]
    torch.manual_seed(7)
    loader = torch.utils.data.DataLoader(Draws(torch), None, num_workers=2)
    theirs = [[list(map(int, row)) for row in loader] for _ in range(2)]
    assert ours == theirs
    assert ours[0] != ours[1] and ours[0][0][3:] != ours[0][1][3:]


def test_generator_gives_the_seed():
    def seeds(generator):
        return [int(row[2]) for row in DataLoader(Draws(fastnn), None, num_workers=1, generator=generator)]

    state = fastnn.get_rng_state()
    first = seeds(fastnn.Generator().manual_seed(1))
    assert first == seeds(fastnn.Generator().manual_seed(1)) != seeds(fastnn.Generator().manual_seed(2))
    assert fastnn.get_rng_state().equal(state)


class Stream(IterableDataset):
    """Numbers that the workers share out."""

    def __init__(self, count, length=None):
        self.count, self.length = count, length

    def __iter__(self):
        info = get_worker_info()
        return iter(range(self.count) if info is None else range(info.id, self.count, info.num_workers))

    def __len__(self):
        return self.length


@pytest.mark.parametrize("options", KINDS, ids=str)
def test_iterable_datasets(options):
    loader = DataLoader(Stream(11), batch_size=2, num_workers=2, **options)
    for _ in range(2):
        assert [batch.tolist() for batch in loader] == [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9]]
    dropped = DataLoader(Stream(11), batch_size=2, num_workers=2, drop_last=True, **options)
    assert [batch.tolist() for batch in dropped] == [[0, 2], [1, 3], [4, 6], [5, 7], [8, 10]]


def test_iterable_without_batches_and_uneven_parts():
    assert list(DataLoader(Stream(5), batch_size=None, num_workers=3)) == [0, 1, 2, 3, 4]
    chain = ChainDataset([Stream(2), Stream(3)])
    assert sorted(int(one) for one in DataLoader(chain, batch_size=None, num_workers=2)) == [0, 0, 1, 1, 2]


def test_too_long_iterable_warns_of_workers():
    class Copies(Stream):
        def __iter__(self):
            return iter(range(self.count))

    loader = DataLoader(Copies(4, length=4), batch_size=None, num_workers=2)
    len(loader)
    with pytest.warns(UserWarning, match="reported to be 4.*each has a copy"):
        assert len(list(loader)) == 8


def test_out_of_order():
    class Slow(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            time.sleep(1.0 if index == 0 else 0.0)
            return index

    found = [int(one) for one in DataLoader(Slow(), None, num_workers=2, in_order=False)]
    assert sorted(found) == [0, 1, 2, 3] and found[0] != 0
    assert [int(one) for one in DataLoader(Slow(), None, num_workers=2)] == [0, 1, 2, 3]


def test_worker_init_fn_runs_once_with_info():
    class Marked(Dataset):
        mark = None

        def __len__(self):
            return 4

        def __getitem__(self, index):
            return self.mark

    def init(worker_id):
        info = get_worker_info()
        assert info.id == worker_id and info.num_workers == 2
        info.dataset.mark = 10 + worker_id

    assert [int(one) for one in DataLoader(Marked(), None, num_workers=2, worker_init_fn=init)] == [10, 11, 10, 11]


def test_worker_info_cannot_be_changed():
    class Changes(Dataset):
        def __len__(self):
            return 1

        def __getitem__(self, index):
            get_worker_info().id = 3

    with pytest.raises(Exception, match="cannot assign to field 'id'"):
        list(DataLoader(Changes(), None, num_workers=1))


class Failing(Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index == 2:
            raise self.error
        return index


class Odd(Exception):
    """An exception that a message alone does not make."""

    def __init__(self, left, right):
        super().__init__(left, right)


@pytest.mark.parametrize("options", KINDS, ids=str)
@pytest.mark.parametrize("error", [KeyError("no such key"), ValueError("bad value"), IndexError(3)], ids=repr)
def test_exceptions_come_back_with_their_traceback(error, options):
    iterator = iter(DataLoader(Failing(error), None, num_workers=2, **options))
    assert [int(next(iterator)), int(next(iterator))] == [0, 1]
    with pytest.raises(type(error)) as caught:
        next(iterator)
    assert "in __getitem__" in str(caught.value) and "in DataLoader worker process 0" in str(caught.value)
    assert str(error) in str(caught.value)
    assert [int(one) for one in iterator] == [3, 4, 5]


def test_exceptions_that_cannot_be_made_again():
    with pytest.raises(RuntimeError, match="Caught Odd in DataLoader worker process 0"):
        list(DataLoader(Failing(Odd(1, 2)), None, num_workers=1))


def test_exception_in_worker_init_fn():
    def init(worker_id):
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        list(DataLoader(range(3), num_workers=1, worker_init_fn=init))


def test_samples_that_cannot_be_pickled():
    class Functions(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return lambda: index

    with pytest.raises(Exception, match=r"(?i)pickle"):
        list(DataLoader(Functions(), None, num_workers=1, collate_fn=lambda sample: sample))


def test_killed_worker_is_reported():
    class Dies(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            if index == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            return index

    iterator = iter(DataLoader(Dies(), None, num_workers=2))
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly.*SIGKILL"):
        for _ in range(3):
            next(iterator)
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        next(iterator)
    assert not multiprocessing.active_children()


def test_timeout():
    class Hangs(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            time.sleep(3)
            return index

    started = time.monotonic()
    iterator = iter(DataLoader(Hangs(), None, num_workers=1, timeout=0.2))
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.2 seconds"):
        next(iterator)
    assert time.monotonic() - started < 2.5


def test_workers_end_with_the_pass_and_stay_when_told():
    iterator = iter(DataLoader(range(4), num_workers=2))
    next(iterator)
    assert len(multiprocessing.active_children()) == 2
    del iterator
    assert not multiprocessing.active_children()
    loader = DataLoader(range(4), num_workers=2, persistent_workers=True)
    list(loader)
    pids = {process.pid for process in multiprocessing.active_children()}
    assert len(pids) == 2
    next(iter(loader))  # a pass that is not finished
    assert [int(batch) for batch in loader] == [0, 1, 2, 3]
    assert {process.pid for process in multiprocessing.active_children()} == pids
    del loader
    assert not multiprocessing.active_children()


def test_workers_compute_although_the_pool_of_the_parent_ran():
    class Products(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            x = fastnn.ones(300, 300)
            return fastnn.tensor([(x @ x)[0, 0], float(fastnn.get_num_threads())])

    loader = DataLoader(Products(), batch_size=2, num_workers=2)
    assert fastnn.cat(list(loader)).tolist() == [[300.0, 1.0]] * 4


def test_batches_outlive_the_workers_and_can_be_written():
    batches = list(DataLoader(Samples(8), batch_size=4, num_workers=2))
    images = [batch["image"] for batch in batches]
    images[0] += 1
    assert images[0][2, 0, 0, 0].item() == 3.0 and images[1][0, 0, 0, 0].item() == 4.0
    assert images[0].data_ptr() % 64 == 0


def test_part_of_a_large_tensor_travels_alone():
    class Rows(Dataset):
        rows = fastnn.arange(1_000_000).reshape(10, 100_000)

        def __len__(self):
            return 10

        def __getitem__(self, index):
            return self.rows[index]

    row = list(DataLoader(Rows(), None, num_workers=1))[3]
    assert row.untyped_storage().nbytes() == row.numel() * 8 and row[0].item() == 300_000


def test_tensor_datasets_and_stacks():
    dataset = StackDataset(x=TensorDataset(fastnn.arange(6)), y=range(6))
    batches = list(DataLoader(dataset, batch_size=3, num_workers=2))
    assert batches[1]["x"][0].tolist() == [3, 4, 5] == batches[1]["y"].tolist()


@pytest.mark.parametrize("size", [0, 10, 1023, 1024, 100_000])
def test_channel(size):
    left, right = channel_pair()
    with contextlib.closing(left), contextlib.closing(right):
        for message in ("a" * size, fastnn.arange(size), np.arange(size), {"x": [b"b" * size] * 3}):
            left.send(message)
            received = right.receive()
            if isinstance(message, fastnn.Tensor):
                assert received.equal(message)
            elif isinstance(message, np.ndarray):
                assert (received == message).all()
            else:
                assert received == message
        left.close()
        with pytest.raises(EOFError):
            right.receive()


def test_threads_share_the_dataset_and_nest_in_nothing():
    dataset = Samples()
    seen = []

    class Same(Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            info = get_worker_info()
            seen.append((info.dataset is wrapped, info.worker_method))
            return index

    wrapped = Same()
    list(DataLoader(wrapped, num_workers=2, worker_kind="thread"))
    assert seen == [(True, "thread")] * 2 and get_worker_info() is None and len(dataset) == 24


BAD_ARGUMENTS = [
    (ValueError, "non-negative", {"timeout": -1}),
    (ValueError, "non-negative", {"prefetch_factor": -1}),
    (ValueError, "valid start method", {"multiprocessing_context": "spoon"}),
    (TypeError, "valid context object", {"multiprocessing_context": 3}),
    (ValueError, "'process' or 'thread'", {"worker_kind": "fiber"}),
]


@pytest.mark.parametrize("error, message, options", BAD_ARGUMENTS, ids=str)
def test_bad_arguments(error, message, options):
    with pytest.raises(error, match=message):
        DataLoader(range(3), num_workers=1, **options)


def test_too_many_workers_warn():
    with pytest.warns(UserWarning, match="will create 999 worker processes.*suggested max number"):
        DataLoader(range(3), num_workers=999)


INTERRUPTED = """
import os, signal, sys, time, threading
import fastnn
from fastnn.utils.data import DataLoader, Dataset
class Slow(Dataset):
    def __len__(self):
        return 100
    def __getitem__(self, index):
        time.sleep(0.05)
        return index
if __name__ == "__main__":
    threading.Timer(1.0, lambda: os.killpg(0, signal.SIGINT)).start()
    try:
        for batch in DataLoader(Slow(), num_workers=2):
            pass
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_interrupt_is_clean(tmp_path: Path):
    path = tmp_path / "script.py"
    path.write_text(INTERRUPTED)
    environment = {**os.environ, "PYTHONPATH": str(Path(fastnn.__file__).resolve().parent.parent)}
    done = subprocess.run(
        [sys.executable, str(path)], env=environment, capture_output=True, text=True, start_new_session=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("interrupted\n", "", 0)


ORPHANED = """
import os, signal, time
from fastnn.utils.data import DataLoader
iterator = iter(DataLoader(range(10**6), num_workers=2))
next(iterator)
import multiprocessing
print(*[process.pid for process in multiprocessing.active_children()], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def is_running(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_workers_end_when_the_parent_is_killed():
    environment = {**os.environ, "PYTHONPATH": str(Path(fastnn.__file__).resolve().parent.parent)}
    done = subprocess.run([sys.executable, "-c", ORPHANED], env=environment, capture_output=True, text=True, timeout=60)
    pids = [int(pid) for pid in done.stdout.split()]
    assert len(pids) == 2
    deadline = time.monotonic() + 20
    while any(is_running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_running(pid) for pid in pids)
