"""The workers of a DataLoader: processes, or threads."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import selectors
import signal
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Any, NoReturn

from .channel import Channel, channel_pair
from .worker import Work, run_process, run_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ProcessPool", "ThreadPool"]

_JOIN_TIMEOUT = 5.0  # seconds that a worker has to end by itself


class ProcessPool:
    """Worker processes, each with a channel."""

    def __init__(self, work: Work, context: Any) -> None:
        context = multiprocessing.get_context() if context is None else context
        self._channels: list[Channel] = []
        self._processes: list[Any] = []
        self._selector = selectors.DefaultSelector()
        self._error = ""
        self._close = weakref.finalize(self, _end_processes, self._processes, self._channels, os.getpid())
        forks = context.get_start_method() == "fork"
        for worker_id in range(work.num_workers):
            own, theirs = channel_pair()
            # A fork copies our ends of all channels; a worker that kept one would hide the end of this process.
            others = [*self._channels, own] if forks else []
            process = context.Process(target=run_process, args=(work, worker_id, theirs, others), daemon=True)
            with warnings.catch_warnings():
                # No thread of the pool is needed in the child: the core computes serially there.
                warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
                process.start()
            theirs.close()
            self._channels.append(own)
            self._processes.append(process)
            self._selector.register(own, selectors.EVENT_READ, worker_id)

    @property
    def pids(self) -> list[int]:
        """The process numbers."""
        return [process.pid for process in self._processes]

    def send(self, worker_id: int, message: Any) -> None:
        """Give a worker something to do."""
        self._check()
        try:
            self._channels[worker_id].send(message)
        except OSError:
            self._fail(worker_id)

    def receive(self, timeout: float | None) -> tuple[int, Any] | None:
        """A worker and its answer; None if there is none in time.

        Raises:
            RuntimeError: a worker has died.
        """
        self._check()
        ready = self._selector.select(timeout)
        if not ready:
            return None
        worker_id: int = ready[0][0].data
        try:
            return worker_id, self._channels[worker_id].receive()
        except (EOFError, ConnectionError):
            self._fail(worker_id)

    def _fail(self, worker_id: int) -> NoReturn:
        process = self._processes[worker_id]
        process.join(_JOIN_TIMEOUT)
        code = process.exitcode
        how = ""
        if code is not None and code < 0:
            how = f": killed by signal {signal.Signals(-code).name}"
        elif code:
            how = f" with exit code {code}"
        self.close()
        self._error = f"DataLoader worker (pid(s) {process.pid}) exited unexpectedly{how}"
        raise RuntimeError(self._error) from None

    def _check(self) -> None:
        if self._error:
            raise RuntimeError(self._error)

    def close(self) -> None:
        """End the workers."""
        self._selector.close()
        self._close()


def _end_processes(processes: list[Any], channels: list[Channel], owner: int) -> None:
    if os.getpid() != owner:
        return  # a copy, in a process forked by somebody else
    for channel in channels:
        with contextlib.suppress(OSError):
            channel.send(None)
        channel.close()
    for process in processes:
        process.join(_JOIN_TIMEOUT)
        if process.is_alive():
            process.terminate()
            process.join(_JOIN_TIMEOUT)
            if process.is_alive():
                process.kill()
                process.join()


class ThreadPool:
    """Worker threads, for datasets that release the GIL: reading files, decoding images, NumPy."""

    def __init__(self, work: Work) -> None:
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._tasks: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(work.num_workers)]
        self._threads = []
        self._close = weakref.finalize(self, _end_threads, self._tasks)
        for worker_id, tasks in enumerate(self._tasks):
            arguments: tuple[Any, ...] = (work, worker_id, tasks.get, self._answers.put)
            target: Callable[..., None] = run_thread
            thread = threading.Thread(target=target, args=arguments, daemon=True, name=f"DataLoader-{worker_id}")
            thread.start()
            self._threads.append(thread)

    def send(self, worker_id: int, message: Any) -> None:
        """Give a worker something to do."""
        self._tasks[worker_id].put(message)

    def receive(self, timeout: float | None) -> tuple[int, Any] | None:
        """A worker and its answer; None if there is none in time."""
        try:
            answer: tuple[int, Any] = self._answers.get(timeout=timeout)
        except queue.Empty:
            return None
        return answer

    def close(self) -> None:
        """End the workers, when they have done what they are at."""
        self._close()


def _end_threads(tasks: list[queue.SimpleQueue[Any]]) -> None:
    for one in tasks:
        one.put(None)
