"""DataLoader: batches from a dataset."""

from __future__ import annotations

import copy
import math
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fastnn._C import Generator
from fastnn._utils import ExceptionWrapper

from ._utils.collate import default_collate, default_convert
from ._utils.fetch import make_fetcher
from ._utils.worker import Ended, Resume, Task, Work, get_worker_info
from .dataset import IterableDataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)

_FIXED = frozenset(("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"))


class _Endless(Sampler[None]):
    """The sampler of an IterableDataset: there is nothing to choose."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[T_co]):
    """Iterate over a dataset in batches.

    Each `iter(loader)` is one pass. Under the same seed the order is PyTorch's: a pass draws one integer from
    `generator`, and a shuffled one without `generator` another from the default generator, to seed its own with.
    Without workers an exception of the dataset reaches the caller as it is.

    Args:
        dataset: with `__getitem__` and `__len__`, or an IterableDataset.
        batch_size: samples in a batch; None gives single samples.
        shuffle: random order, a new one in each pass.
        sampler: an iterable of indices, instead of `shuffle`.
        batch_sampler: an iterable of lists of indices, instead of `batch_size`, `shuffle`, `sampler`, `drop_last`.
        num_workers: how many workers load batches ahead; 0 loads them when they are asked for.
        collate_fn: makes a batch from a list of samples; `default_collate` by default, or `default_convert` for single
            samples.
        pin_memory, pin_memory_device: accepted; there is no accelerator whose transfers it could speed up.
        drop_last: leave out a last batch that is smaller.
        timeout: seconds to wait for a batch of a worker; 0 for no end.
        worker_init_fn: called in each worker with its number, after seeding.
        multiprocessing_context: how worker processes start: a context of `multiprocessing`, or "fork", "spawn" or
            "forkserver"; the default of `multiprocessing` if None.
        generator: where the random order, and the seed of the workers, come from; the default generator if None.
        prefetch_factor: batches that each worker is ahead; 2 if None.
        persistent_workers: keep the workers after a pass, for the next.
        in_order: return batches in the order of the sampler; otherwise as they come.
        worker_kind: "process", or "thread" for datasets that spend their time outside of Python: reading files,
            decoding images, NumPy. Threads start at once, share the dataset and copy nothing, but also share the
            generators of random numbers, which are not seeded anew. (PyTorch does not have it.)

    A worker process seeds `random`, NumPy and fastnn with numbers that follow from the seed of the generator and the
    number of the worker, as PyTorch's do. It computes with one thread. Its batches come in memory that both processes
    map. `get_worker_info()` tells what the worker is.

    Raises:
        ValueError: arguments contradict each other.
        RuntimeError: while iterating: a worker has died, or no batch came in time. An exception of the dataset in a
            worker is raised with the same type and the traceback of the worker.

    Example:
        >>> import fastnn
        >>> dataset = fastnn.utils.data.TensorDataset(fastnn.arange(5), fastnn.arange(5) ** 2)
        >>> for x, y in fastnn.utils.data.DataLoader(dataset, batch_size=2):
        ...     print(x, y)
        tensor([0, 1]) tensor([0, 1])
        tensor([2, 3]) tensor([4, 9])
        tensor([4]) tensor([16])
    """

    dataset: Any
    batch_size: int | None
    num_workers: int
    pin_memory: bool
    drop_last: bool
    timeout: float
    sampler: Any
    batch_sampler: Any
    generator: Generator | None
    collate_fn: Callable[[Any], Any]
    _initialized = False

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
        worker_kind: str = "process",
    ) -> None:
        _check_worker_options(num_workers, timeout, prefetch_factor, persistent_workers, worker_kind)
        iterable = isinstance(dataset, IterableDataset)
        if iterable:
            for name, value in (("shuffle", shuffle), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value is not None and value is not False:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
                    )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        order: Any = sampler
        if sampler is None:
            if iterable:
                order = _Endless()
            elif shuffle:
                order = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                order = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_size is not None:
            batch_sampler = BatchSampler(order, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = order
        self.batch_sampler = batch_sampler
        self.drop_last = drop_last
        self.generator = generator
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = _context_of(multiprocessing_context, num_workers)
        self.prefetch_factor = 2 if prefetch_factor is None and num_workers > 0 else prefetch_factor
        self.worker_kind = worker_kind
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._iterable_length: int | None = None
        self._iterator: _WorkersPass | None = None  # kept for the next pass, when the workers are
        self._initialized = True
        if worker_kind == "process":
            _warn_of_many(num_workers)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._initialized and name in _FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    @property
    def _prefetch(self) -> int:
        return max(self.prefetch_factor or 0, 1)

    def __iter__(self) -> Iterator[Any]:
        if self.num_workers == 0:
            return _OwnPass(self)
        if not self.persistent_workers:
            return _WorkersPass(self)
        if self._iterator is None:
            self._iterator = _WorkersPass(self)
        else:
            self._iterator.restart(self)
        return self._iterator

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_iterator": None}

    def __len__(self) -> int:
        if not isinstance(self.dataset, IterableDataset):
            return len(self._index_sampler)
        length = self._iterable_length = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else math.ceil(length / self.batch_size)


def _check_worker_options(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent_workers: bool, worker_kind: str
) -> None:
    if num_workers < 0:
        raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and timeout != 0:
        raise ValueError(f"DataLoader: timeout needs workers (num_workers > 0), but got timeout={timeout}")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            f"DataLoader: prefetch_factor needs workers (num_workers > 0), but got prefetch_factor={prefetch_factor}"
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent_workers and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")
    if worker_kind not in ("process", "thread"):
        raise ValueError(f"DataLoader: worker_kind is 'process' or 'thread', but got {worker_kind!r}")


def _warn_of_many(num_workers: int) -> None:
    cores = len(os.sched_getaffinity(0))
    if num_workers > cores:
        warnings.warn(
            f"This DataLoader will create {num_workers} worker processes in total, but the suggested max number of "
            f"worker in current system is {cores}: more than that share cores, and slow each other down.",
            stacklevel=3,
        )


def _context_of(context: Any, num_workers: int) -> Any:
    """The context of multiprocessing that is meant."""
    if context is None:
        return None
    if num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading (num_workers > 0), but got "
            f"num_workers={num_workers}"
        )
    import multiprocessing
    from multiprocessing.context import BaseContext

    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(
                f"multiprocessing_context option should specify a valid start method in {methods!r}, but got "
                f"multiprocessing_context={context!r}"
            )
        return multiprocessing.get_context(context)
    if not isinstance(context, BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string specifying the start method, "
            f"but got multiprocessing_context={context}"
        )
    return context


class _Pass:
    """One pass over the data."""

    _base_seed: int

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._begin(loader)
        # PyTorch draws the seed of its workers here, also when there are none: what is drawn later depends on it.
        self._base_seed = draw_seed(loader.generator)

    def _begin(self, loader: DataLoader[Any]) -> None:
        # A copy: a pass that its loader keeps would otherwise keep the loader, and both their workers, alive.
        self._loader = copy.copy(loader)
        self._sampler = loader._index_sampler
        self._indices = iter(self._sampler)
        self._yielded = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        batch = self._next()
        self._yielded += 1
        length = self._loader._iterable_length
        if length is not None and self._yielded > length:
            hint = (
                ""
                if self._loader.num_workers == 0
                else (
                    " With several workers, each has a copy of the dataset and should read its own part of it: see "
                    "get_worker_info()."
                )
            )
            warnings.warn(
                f"Length of IterableDataset {self._loader.dataset} was reported to be {length} (when accessing "
                f"len(dataloader)), but {self._yielded} samples have been fetched.{hint}",
                stacklevel=2,
            )
        return batch

    def _next(self) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


class _OwnPass(_Pass):
    """Without workers."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        self._fetcher = make_fetcher(
            loader.dataset, loader.batch_sampler is not None, loader.collate_fn, loader.drop_last
        )

    def _next(self) -> Any:
        return self._fetcher.fetch(next(self._indices))


class _WorkersPass(_Pass):
    """With workers, which are some batches ahead. Tasks go round; their answers are put in order again."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        self._epoch = -1
        self._pool = _make_pool(loader, self._base_seed)
        self._start()

    def restart(self, loader: DataLoader[Any]) -> None:
        """Begin another pass with the same workers."""
        self._begin(loader)
        for worker in range(self._loader.num_workers):
            self._pool.send(worker, Resume())
        self._start()

    def _start(self) -> None:
        self._epoch += 1
        count = self._loader.num_workers
        self._reading = [True] * count  # workers that have not come to the end of an IterableDataset
        self._waiting = [0] * count  # tasks that a worker has
        self._owner: dict[int, int] = {}  # task -> worker, until its batch is returned
        self._answers: dict[int, Any] = {}
        self._sent = self._returned = self._turn = 0
        for _ in range(count * self._loader._prefetch):
            self._send_task()

    def _choose_worker(self) -> int | None:
        count: int = self._loader.num_workers
        for worker in (*range(self._turn, count), *range(self._turn)):
            busy = not self._loader.in_order and self._waiting[worker] >= self._loader._prefetch
            if self._reading[worker] and not busy:
                self._turn = (worker + 1) % count
                return int(worker)
        return None

    def _send_task(self) -> None:
        try:
            index = next(self._indices)
        except StopIteration:
            return
        worker = self._choose_worker()
        if worker is None:
            return
        self._pool.send(worker, Task(self._epoch, self._sent, index))
        self._owner[self._sent] = worker
        self._waiting[worker] += 1
        self._sent += 1

    def _next(self) -> Any:
        while True:
            number = self._next_number()
            if number is None:
                if not self._loader.persistent_workers:
                    self._pool.close()
                raise StopIteration
            if number in self._answers:
                break
            self._receive()
        answer = self._answers.pop(number)
        del self._owner[number]
        self._send_task()
        if isinstance(answer, ExceptionWrapper):
            answer.reraise()
        return answer

    def _next_number(self) -> int | None:
        """The task whose batch is returned next; None after the last."""
        if not self._loader.in_order and self._answers:
            return int(next(iter(self._answers)))
        for number in list(self._owner):
            if number in self._answers or self._reading[self._owner[number]]:
                return number
            del self._owner[number]  # given to a worker that had come to its end
        return None

    def _receive(self) -> None:
        timeout = self._loader.timeout
        received = self._pool.receive(timeout if timeout > 0 else None)
        if received is None:
            raise RuntimeError(f"DataLoader timed out after {timeout} seconds")
        worker, (epoch, number, answer) = received
        if epoch != self._epoch:
            return  # asked for by a pass that was not finished
        self._waiting[worker] -= 1
        if isinstance(answer, Ended):
            self._reading[worker] = False
            del self._owner[number]
            self._send_task()
        else:
            self._answers[number] = answer


def _make_pool(loader: DataLoader[Any], base_seed: int) -> Any:
    from ._utils.pool import ProcessPool, ThreadPool

    work = Work(
        loader.dataset,
        loader.batch_sampler is not None,
        loader.collate_fn,
        loader.drop_last,
        base_seed,
        loader.worker_init_fn,
        loader.num_workers,
    )
    return ThreadPool(work) if loader.worker_kind == "thread" else ProcessPool(work, loader.multiprocessing_context)
