"""fastnn and PyTorch on the same work, taking turns: ``python -m benchmarks.vs_torch``.

Every side runs in a process of its own, and under PyTorch every setting that is tried. They take turns, one at a time,
so that whatever else slows the machine down meets all of them. Prints a table of ratios; see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks import report
from benchmarks.report import Result, Side
from benchmarks.rows import ROWS, Options, Row
from benchmarks.worker import CLOCKS

ROOT = Path(__file__).resolve().parent.parent

SETTLE_SECONDS = 0.02  # after a turn the threads of a pool may spin for some milliseconds before they sleep
BLOCKS = 5  # a turn is so many runs, of which the quickest counts
QUIET_LOAD = 0.5  # processes that want to run beside this one, above which the table says so
STOP_SECONDS = 5.0

IMPORT_CODE = """
import sys, time
begin = time.{clock}()
import {modules}
seconds = time.{clock}() - begin
sys.path.insert(0, {root!r})
from benchmarks.worker import peak_memory
print(seconds, peak_memory())
"""


@dataclass(frozen=True)
class Plan:
    """How to measure: rounds, the seconds that a turn of the quickest side is to take, the clock."""

    rounds: int
    turn_seconds: float
    clock: str = "wall"


FULL = Plan(rounds=15, turn_seconds=0.25)
QUICK = Plan(rounds=2, turn_seconds=0.01)


class WorkerError(RuntimeError):
    """A side could not do what it was asked; the text is its traceback."""


def environment(threads: int | None) -> dict[str, str]:
    """This process's environment, with paths that hold in another folder and one number of threads for all pools."""
    result = dict(os.environ)
    if "PYTHONPATH" in result:
        paths = result["PYTHONPATH"].split(os.pathsep)
        result["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths if path)
    if threads is not None:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "FASTNN_NUM_THREADS"):
            result[name] = str(threads)
    return result


class Participant:
    """A worker process that holds one row under one setting, and waits for its turn."""

    def __init__(self, library: str, setting: str, threads: int) -> None:
        self.library = library
        self.setting = setting
        self.threads = threads
        self.values: list[float] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", library],
            cwd=ROOT,
            env=environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Participant:
        try:
            self._answer()  # that the library is imported
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(f"{self.library} ({self.setting}): the process ended with {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.library} ({self.setting}):\n{answer['error']}")
        return answer

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def side(self) -> Side:
        memory = self.ask("finish")
        return Side(self.library, self.setting, self.values, memory["peak_memory"], memory["memory_at_start"])


def compare(row: Row, threads: int, plan: Plan) -> Result:
    """Measures a row: all sides are prepared one after the other, then take turns for ``plan.rounds`` rounds."""
    setups: list[tuple[str, str, Options]] = [("fastnn", "default", {})]
    setups += [("torch", setting, options) for setting, options in row.torch_settings]
    with contextlib.ExitStack() as stack:
        participants, prepared = [], []
        for library, setting, options in setups:
            participant = stack.enter_context(Participant(library, setting, threads))
            participants.append(participant)
            prepared.append(participant.ask("prepare", row=row.name, threads=threads, options=dict(options)))
        quickest = min(answer["seconds"] for answer in prepared)
        steps = max(1, round(plan.turn_seconds / BLOCKS / quickest))  # the same work for all
        for _ in range(plan.rounds):
            for participant in participants:
                time.sleep(SETTLE_SECONDS)
                participant.values.append(
                    participant.ask("run", steps=steps, blocks=BLOCKS, clock=plan.clock)["seconds"]
                )
        same = all(report.agree(prepared[0]["checked"], other["checked"], row.tolerance) for other in prepared[1:])
        if any(answer["threads"] != threads for answer in prepared):
            raise WorkerError(f"threads: asked for {threads}, got {[answer['threads'] for answer in prepared]}")
        ours, *theirs = [participant.side() for participant in participants]
        return Result(row.name, row.title, threads, ours, theirs, same)


def import_once(modules: str, clock: str) -> tuple[float, int]:
    """Seconds that ``import modules`` takes in a fresh interpreter, and the process's peak memory in bytes."""
    code = IMPORT_CODE.format(modules=modules, clock=CLOCKS[clock].__name__, root=str(ROOT))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment(None), capture_output=True, text=True, check=False)
    if done.returncode:
        raise WorkerError(f"import {modules}: failed\n{done.stderr}")
    seconds, peak = done.stdout.split()
    return float(seconds), int(peak)


def compare_import(name: str, title: str, modules: str, plan: Plan) -> Result:
    """Importing, in a fresh process each time; the first time, from a cold disk cache perhaps, does not count."""
    libraries = ("fastnn", "torch")
    values: dict[str, list[float]] = {library: [] for library in libraries}
    peaks: dict[str, int] = {}
    for _ in range(1 + plan.rounds):
        for library in libraries:
            seconds, peak = import_once(modules.format(library), plan.clock)
            values[library].append(seconds)
            peaks[library] = max(peak, peaks.get(library, 0))
    ours, theirs = (Side(library, "default", values[library][1:], peaks[library]) for library in libraries)
    return Result(name, title, None, ours, [theirs])


def import_alone(plan: Plan) -> Result:
    return compare_import("import", "import, in a fresh process", "{}", plan)


def import_for_training(plan: Plan) -> Result:
    return compare_import("import_nn", "import with nn and optim, in a fresh process", "{0}, {0}.nn, {0}.optim", plan)


def requirements(distribution: str) -> Iterator[str]:
    """Names of the distributions that one requires, without those of its extras."""
    for requirement in importlib.metadata.requires(distribution) or []:
        if not re.search(r"\bextra\s*==", requirement):
            yield re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def distribution_bytes(name: str, seen: set[str]) -> int:
    """Bytes on the disk of an installed distribution and all that it requires; what is not installed counts 0."""
    name = re.sub(r"[-_.]+", "-", name).lower()
    if name in seen:
        return 0
    seen.add(name)
    try:
        distribution = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return 0
    paths = {Path(str(file.locate())) for file in distribution.files or []}
    own = sum(path.stat().st_size for path in paths if path.is_file() and path.suffix != ".pyc")
    return own + sum(distribution_bytes(required, seen) for required in requirements(name))


def folder_bytes(library: str) -> int:
    """Bytes of a package's folder: of one that is run from a checkout and so has no record of its files."""
    spec = importlib.util.find_spec(library)
    if spec is None or spec.origin is None:
        raise WorkerError(f"{library}: not found")
    files = Path(spec.origin).parent.rglob("*")
    return sum(path.stat().st_size for path in files if path.is_file() and path.suffix != ".pyc")


def compare_size(plan: Plan) -> Result:
    """What is on the disk after installing, with everything required and without compiled Python files."""
    del plan  # a size is measured once
    ours_seen: set[str] = set()
    ours = distribution_bytes("fastnn", ours_seen)
    title = "installed size, with what it requires"
    if not ours:
        ours = folder_bytes("fastnn") + distribution_bytes("numpy", ours_seen)
        title += " (fastnn from a checkout)"
    theirs = distribution_bytes("torch", set())
    if not theirs:
        raise WorkerError("torch: no record of its installed files")
    sides = [Side(library, "default", [float(size)]) for library, size in (("fastnn", ours), ("torch", theirs))]
    return Result("size", title, None, sides[0], sides[1:], unit="bytes")


# Rows that are no step in a worker.
WHOLE_PACKAGE: dict[str, Callable[[Plan], Result]] = {
    "import": import_alone,
    "import_nn": import_for_training,
    "size": compare_size,
}
ALL_ROWS = (*ROWS, *WHOLE_PACKAGE)


def measure(names: Sequence[str], thread_counts: Sequence[int], plan: Plan) -> Iterator[Result]:
    """Results in the order of the names; a row that fails gives a result that says so, and the others go on."""
    for name in names:
        if name in WHOLE_PACKAGE:
            try:
                yield WHOLE_PACKAGE[name](plan)
            except WorkerError as error:
                yield Result(name, name, None, error=str(error))
            continue
        for threads in thread_counts:
            row = ROWS[name]
            try:
                yield compare(row, threads, plan)
            except WorkerError as error:
                yield Result(name, row.title, threads, error=str(error))


def describe_machine() -> dict[str, Any]:
    """What a reader of the numbers has to know."""
    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(line for line in lines if line.startswith("model name")).partition(":")[2].strip()
    versions = {}
    for library in ("fastnn", "torch", "numpy"):
        command = [sys.executable, "-c", f"import {library}; print({library}.__version__)"]
        done = subprocess.run(command, env=environment(None), capture_output=True, text=True, check=False)
        versions[library] = done.stdout.strip() or None
    return {
        "processor": processor,
        "processors": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "versions": versions,
        "load_at_start": os.getloadavg()[0],
    }


def numbers(text: str) -> list[int]:
    """``"1,2"`` as ``[1, 2]``; for argparse."""
    values = [int(part) for part in text.split(",")]
    if any(value < 1 for value in values):
        raise argparse.ArgumentTypeError(f"expected numbers from 1 on, got {text!r}")
    return values


def row_names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in ALL_ROWS]:
        raise argparse.ArgumentTypeError(f"no row {', '.join(unknown)}; there are {', '.join(ALL_ROWS)}")
    return names


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vs_torch", description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=row_names, default=list(ALL_ROWS), help="names with commas between: all")
    available = len(os.sched_getaffinity(0))
    threads = sorted({1, available})
    parser.add_argument("--threads", type=numbers, default=threads, help="thread counts, as in 1,2: one and all")
    parser.add_argument("--rounds", type=int, help=f"turns of each side: {FULL.rounds}, with --quick {QUICK.rounds}")
    parser.add_argument(
        "--clock",
        choices=list(CLOCKS),
        default=FULL.clock,
        help="wall, or cpu: what a process alone has used, for one thread on a machine that is busy",
    )
    parser.add_argument("--quick", action="store_true", help="to see that it runs; the ratios mean nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything measured to this file")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parsed = parser.parse_args(arguments)
    if parsed.rounds is not None and parsed.rounds < 1:
        parser.error(f"--rounds: expected at least 1, got {parsed.rounds}")
    return parsed


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the comparisons. Returns 1 if a row failed or computed something else on one side, else 0."""
    options = parse(arguments)
    plan = QUICK if options.quick else FULL
    plan = Plan(options.rounds or plan.rounds, plan.turn_seconds, options.clock)
    machine = {**describe_machine(), "rounds": plan.rounds, "clock": plan.clock}
    results = []
    for result in measure(options.rows, options.threads, plan):
        results.append(result)
        print(f"{result.row}: {result.error or 'done'}", file=sys.stderr, flush=True)
        if options.json:  # after every row, so that a run that is stopped leaves what it had
            text = json.dumps(report.as_json(results, machine), indent=1)
            options.json.write_text(text + "\n", encoding="utf-8")
    print(report.table(results, options.markdown))
    if machine["load_at_start"] > QUIET_LOAD:
        print("The machine was not quiet when this began: do not quote these ratios.", file=sys.stderr)
    return int(any(result.error or result.same is False for result in results))


if __name__ == "__main__":
    sys.exit(main())
