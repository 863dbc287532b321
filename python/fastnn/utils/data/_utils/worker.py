"""What a worker of a DataLoader does, and what code that runs in it can ask about it."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import _C
from fastnn._utils import ExceptionWrapper

from ..dataset import Dataset
from .fetch import make_fetcher

if TYPE_CHECKING:
    from .channel import Channel

__all__ = ["WorkerInfo", "get_worker_info"]

_PARENT_CHECK = 5.0  # seconds between two looks at whether the parent still lives


@dataclass(frozen=True)
class WorkerInfo:
    """The place of a worker among the workers of its DataLoader."""

    id: int
    num_workers: int
    seed: int
    dataset: Dataset[Any]
    rng: Any = None
    worker_method: str | None = "multiprocessing"


_here = threading.local()


def get_worker_info() -> WorkerInfo | None:
    """What this worker is, or None in the process that made the DataLoader.

    Example:
        >>> import fastnn
        >>> fastnn.utils.data.get_worker_info() is None
        True
    """
    info: WorkerInfo | None = getattr(_here, "info", None)
    return info


class Work(NamedTuple):
    """What the workers of a DataLoader have in common."""

    dataset: Any
    batched: bool
    collate: Callable[[Any], Any]
    drop_last: bool
    base_seed: int
    init: Callable[[int], None] | None
    num_workers: int


class Task(NamedTuple):
    """A batch to make: number `number` in pass `epoch`."""

    epoch: int
    number: int
    index: Any


class Resume(NamedTuple):
    """Another pass begins."""


class Ended(NamedTuple):
    """The worker's part of an IterableDataset has been read."""


def _seed(seed: int, base_seed: int, worker_id: int) -> None:
    """Seed the generators of this process, as PyTorch does it."""
    import numpy as np

    random.seed(seed)
    _C.default_generator.manual_seed(seed)
    words = np.random.SeedSequence([worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0])
    np.random.seed(words.generate_state(4))  # noqa: NPY002 - datasets draw from the global generator


class _Answers:
    """Makes the answer to each task."""

    def __init__(self, work: Work, worker_id: int) -> None:
        self._work = work
        self._where = f"in DataLoader worker process {worker_id}"
        self._fetcher: Any = None
        self._ended = False
        self._failed: ExceptionWrapper | None = None
        try:
            if work.init is not None:
                work.init(worker_id)
        except Exception:
            self._failed = ExceptionWrapper(where=self._where)

    def resume(self) -> None:
        """Begin another pass."""
        self._fetcher, self._ended = None, False

    def answer(self, task: Task) -> Any:
        """The batch, the exception, :class:`Ended`, or None after that."""
        if self._ended:
            return None
        if self._failed is not None:
            failed, self._failed = self._failed, None
            return failed
        try:
            if self._fetcher is None:
                work = self._work
                self._fetcher = make_fetcher(work.dataset, work.batched, work.collate, work.drop_last)
            return self._fetcher.fetch(task.index)
        except StopIteration as error:
            from ..dataset import IterableDataset

            if isinstance(self._work.dataset, IterableDataset):
                self._ended = True
                return Ended()
            return self.wrap(error)
        except Exception as error:
            return self.wrap(error)

    def wrap(self, error: Exception) -> ExceptionWrapper:
        """The exception that is being handled, for the other side."""
        return ExceptionWrapper((type(error), error, error.__traceback__), where=self._where)


def run_process(work: Work, worker_id: int, channel: Channel, others: list[Channel]) -> None:
    """The body of a worker process.

    Args:
        work: what to do.
        worker_id: which worker this is.
        channel: its end of the connection.
        others: ends of connections that a fork has copied, and that are not this process's.
    """
    for other in others:
        other.close()
    _C.set_num_threads(1)  # the workers share the cores with each other
    seed = work.base_seed + worker_id
    _seed(seed, work.base_seed, worker_id)
    _here.info = WorkerInfo(worker_id, work.num_workers, seed, work.dataset)
    parent = os.getppid()
    try:
        answers = _Answers(work, worker_id)
        while True:
            while not channel.has_message(_PARENT_CHECK):
                if os.getppid() != parent:
                    return
            message = channel.receive()
            if message is None:
                return
            if isinstance(message, Resume):
                answers.resume()
                continue
            answer = answers.answer(message)
            if answer is None:
                continue
            try:
                channel.send((message.epoch, message.number, answer))
            except OSError:
                raise
            except Exception as error:  # the batch cannot be pickled
                channel.send((message.epoch, message.number, answers.wrap(error)))
            del answer
    except (KeyboardInterrupt, EOFError, OSError):
        return  # the parent was interrupted too, or is gone


def run_thread(work: Work, worker_id: int, receive: Callable[[], Any], send: Callable[[Any], None]) -> None:
    """The body of a worker thread. Its generators are those of the process, so nothing is seeded."""
    _C._set_serial_thread(True)
    _here.info = WorkerInfo(worker_id, work.num_workers, work.base_seed + worker_id, work.dataset, None, "thread")
    answers = _Answers(work, worker_id)
    while (message := receive()) is not None:
        if isinstance(message, Resume):
            answers.resume()
            continue
        answer = answers.answer(message)
        if answer is not None:
            send((worker_id, (message.epoch, message.number, answer)))
