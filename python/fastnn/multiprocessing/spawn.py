"""Processes that run one function with ranks 0, 1, ...; the first failure ends all and is raised in the parent."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ProcessContext",
    "ProcessException",
    "ProcessExitedException",
    "ProcessRaisedException",
    "spawn",
    "start_processes",
]


class ProcessException(Exception):
    """A process failed."""

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid

    def __reduce__(self) -> Any:
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """The function raised in a process; the message has its traceback."""


class ProcessExitedException(ProcessException):
    """A process ended by a signal, or by an exit code other than 0."""

    def __init__(
        self, msg: str, error_index: int, error_pid: int, exit_code: int, signal_name: str | None = None
    ) -> None:
        super().__init__(msg, error_index, error_pid)
        self.exit_code, self.signal_name = exit_code, signal_name

    def __reduce__(self) -> Any:
        return type(self), (self.msg, self.error_index, self.pid, self.exit_code, self.signal_name)


def _wrap(fn: Callable[..., Any], rank: int, args: tuple[Any, ...], error_file: str) -> None:
    try:
        fn(rank, *args)
    except KeyboardInterrupt:
        pass  # the parent is interrupted too
    except Exception:
        with open(error_file, "w", encoding="utf-8") as file:
            file.write(traceback.format_exc())
        sys.exit(1)


class ProcessContext:
    """The processes that :func:`spawn` started."""

    def __init__(self, processes: list[Any], error_files: list[str]) -> None:
        self.processes = processes
        self.error_files = error_files
        self.sentinels = {process.sentinel: index for index, process in enumerate(processes)}

    def pids(self) -> list[int]:
        """The process numbers."""
        return [int(process.pid) for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait for a process to end; True when all have.

        Args:
            timeout: in seconds.
            grace_period: seconds that the other processes have after SIGTERM before they are killed.

        Raises:
            ProcessRaisedException: the function raised.
            ProcessExitedException: a process ended by a signal or with an exit code.
        """
        if not self.sentinels:
            return True
        ended = multiprocessing.connection.wait(list(self.sentinels), timeout)
        failed = None
        for sentinel in ended:
            index = self.sentinels.pop(sentinel)
            process = self.processes[index]
            process.join()
            if process.exitcode != 0:
                failed = index
                break
        if failed is None:
            if not self.sentinels:
                self._remove_files()
            return not self.sentinels
        self._end_others(grace_period)
        self._raise(failed)
        return False

    def _end_others(self, grace_period: float | None) -> None:
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        for process in self.processes:
            process.join(grace_period if grace_period is not None else 30)
            if process.is_alive():
                process.kill()
                process.join()

    def _raise(self, index: int) -> None:
        process = self.processes[index]
        path = self.error_files[index]
        text = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                text = file.read()
        self._remove_files()
        if text:
            message = f"\n\n-- Process {index} terminated with the following error:\n{text}"
            raise ProcessRaisedException(message, index, process.pid)
        if process.exitcode < 0:
            name = signal.Signals(-process.exitcode).name
            message = f"process {index} terminated with signal {name}"
            raise ProcessExitedException(message, index, process.pid, process.exitcode, name)
        message = f"process {index} terminated with exit code {process.exitcode}"
        raise ProcessExitedException(message, index, process.pid, process.exitcode)

    def _remove_files(self) -> None:
        for path in self.error_files:
            if os.path.exists(path):
                os.unlink(path)


def start_processes(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run ``fn(rank, *args)`` in so many new processes.

    Args:
        fn: the function; importable by name.
        args: its arguments after the rank.
        nprocs: number of processes.
        join: wait until all have ended; otherwise the :class:`ProcessContext` is returned.
        daemon: end them with this process.
        start_method: of ``multiprocessing``.

    Raises:
        ProcessException: a process failed, when `join` is true.
    """
    context = multiprocessing.get_context(start_method)
    processes: list[Any] = []
    files: list[str] = []
    for rank in range(nprocs):
        path = os.path.join(tempfile.gettempdir(), f"fastnn-{os.getpid()}-{id(processes):x}-{rank}.error")
        process = context.Process(target=_wrap, args=(fn, rank, args, path), daemon=daemon)  # type: ignore[attr-defined]
        process.start()
        processes.append(process)
        files.append(path)
    started = ProcessContext(processes, files)
    if not join:
        return started
    while not started.join():
        pass
    return None


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """:func:`start_processes` with new interpreters.

    Example:
        >>> import fastnn
        >>> fastnn.multiprocessing.spawn(print, args=("started",), nprocs=0)
    """
    return start_processes(fn, args, nprocs, join, daemon, start_method)
