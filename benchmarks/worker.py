"""One side of a comparison, in a process of its own: ``python -m benchmarks.worker fastnn``.

Commands come as lines of JSON on the standard input and are answered by one line each. Between commands the process
waits for its input and does nothing, so that the other side has the machine.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from benchmarks.rows import ROWS, Step

SEED = 20240229
CHECKED_STEPS = 3
WARM_UP_STEPS = 3
CALIBRATION_SECONDS = 0.01
KIBIBYTE = 1024

Clock = Callable[[], float]
# The processor time is that of all threads of the process.
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}


def peak_memory() -> int:
    """The most memory in bytes that this process has had resident."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            peak = next(line for line in status if line.startswith("VmHWM:"))
        return int(peak.split()[1]) * KIBIBYTE
    except OSError:  # not Linux: macOS counts in bytes, and the figure may include the parent's
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def fingerprint(result: Any) -> list[float]:
    """What two sides must agree on: the mean magnitude of a tensor, its first and its last element."""
    flat = result.detach().reshape(-1)
    return [float(flat.abs().mean()), float(flat[0]), float(flat[-1])]


def seconds_per_step(step: Step, steps: int, clock: Clock) -> float:
    begin = clock()
    for _ in range(steps):
        step()
    return (clock() - begin) / steps


def calibrate(step: Step) -> float:
    """Roughly what a step takes, in seconds of the process: what else the machine does must not count here."""
    steps = 1
    while (seconds := seconds_per_step(step, steps, time.process_time)) * steps < CALIBRATION_SECONDS:
        steps *= 2
    return seconds


class Worker:
    """The commands. ``prepare`` comes first, then ``run`` as often as wanted, then ``finish``."""

    def __init__(self, library: str) -> None:
        self.torch = importlib.import_module(library)
        for module in ("nn", "optim"):  # all of the library that a training script loads
            importlib.import_module(f"{library}.{module}")
        self.memory_at_start = peak_memory()
        self.step: Step | None = None

    def prepare(self, row: str, threads: int, options: dict[str, Any]) -> dict[str, Any]:
        """Builds the row's step and warms it up; answers with what its first steps computed."""
        self.torch.set_num_threads(threads)
        self.torch.manual_seed(SEED)
        self.step = step = ROWS[row].build(self.torch, **options)
        checked = [fingerprint(step()) for _ in range(CHECKED_STEPS)]
        for _ in range(WARM_UP_STEPS):
            step()
        return {"checked": checked, "seconds": calibrate(step), "threads": self.torch.get_num_threads()}

    def run(self, steps: int, blocks: int, clock: str) -> dict[str, Any]:
        """Seconds a step took in the quickest of ``blocks`` runs of ``steps`` steps, by the clock of that name."""
        if self.step is None:
            raise RuntimeError("run: no row is prepared")
        return {"seconds": min(seconds_per_step(self.step, steps, CLOCKS[clock]) for _ in range(blocks))}

    def finish(self) -> dict[str, Any]:
        return {
            "peak_memory": peak_memory(),
            "memory_at_start": self.memory_at_start,
            "version": str(self.torch.__version__),
        }


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not come between the answers

    def answer(function: Callable[[], dict[str, Any]]) -> None:
        try:
            message = function()
        except Exception:
            message = {"error": traceback.format_exc()}
        print(json.dumps(message), file=answers, flush=True)

    worker: Worker | None = None

    def start() -> dict[str, Any]:
        nonlocal worker
        worker = Worker(sys.argv[1])
        return {}

    answer(start)
    for line in sys.stdin:
        command = json.loads(line)
        answer(lambda: getattr(worker, command.pop("command"))(**command))  # noqa: B023  (called at once)


if __name__ == "__main__":
    main()
