"""From measurements to ratios and tables; measures nothing itself."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

MEBIBYTE = 1 << 20
ABSOLUTE_TOLERANCE = 1e-5
NOTHING = "-"

HEADINGS = (
    "row",
    "threads",
    "torch / fastnn",
    "spread",
    "memory: fastnn, MiB",
    "torch, MiB",
    "torch / fastnn",
    "torch at its best",
    "same results",
)
ALIGNMENT = ("left", *["right"] * (len(HEADINGS) - 3), "left", "left")


@dataclass(frozen=True)
class Side:
    """One side under one setting: a value for each round (seconds, or bytes for a size), and its peak memory."""

    library: str
    setting: str
    values: list[float]
    peak_memory: int | None = None
    memory_at_start: int | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True)
class Result:
    """A row as measured: fastnn once, PyTorch once for every setting tried."""

    row: str
    title: str
    threads: int | None
    fastnn: Side | None = None
    torch: list[Side] = field(default_factory=list)
    same: bool | None = None
    error: str | None = None
    unit: str = "seconds"

    @property
    def best(self) -> Side:
        """PyTorch at its best: the setting with the lowest median."""
        return min(self.torch, key=lambda side: side.median)


@dataclass(frozen=True)
class Ratios:
    """The other's values divided by ours, round by round: over 1 means that ours is better."""

    median: float
    low: float
    high: float


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Ratios:
    """Median and quartiles of the ratios of values that were measured in the same round.

    Args:
        ours: one positive value a round.
        theirs: as many, of the same rounds.

    Raises:
        ValueError: no rounds, or not as many of one as of the other.

    Example:
        >>> ratios([1.0, 1.0, 2.0], [2.0, 3.0, 8.0])
        Ratios(median=3.0, low=2.5, high=3.5)
    """
    if not ours or len(ours) != len(theirs):
        raise ValueError(f"ratios: expected as many rounds of both sides, got {len(ours)} and {len(theirs)}")
    by_round = [other / own for own, other in zip(ours, theirs, strict=True)]
    if len(by_round) == 1:
        return Ratios(by_round[0], by_round[0], by_round[0])
    low, median, high = statistics.quantiles(by_round, n=4, method="inclusive")
    return Ratios(median, low, high)


def agree(ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]], tolerance: float | None) -> bool:
    """Whether the checked steps of both sides computed the same numbers; NaN is never the same.

    Without a tolerance they draw different random numbers, and only have to be finite.

    Example:
        >>> agree([[1.0]], [[1.00001]], 1e-4), agree([[1.0]], [[1.1]], 1e-4)
        (True, False)
    """
    pairs = [pair for a, b in zip(ours, theirs, strict=True) for pair in zip(a, b, strict=True)]
    if tolerance is None:
        return all(math.isfinite(a) and math.isfinite(b) for a, b in pairs)
    return all(math.isclose(a, b, rel_tol=tolerance, abs_tol=ABSOLUTE_TOLERANCE) for a, b in pairs)


def cells(result: Result) -> list[str]:
    """The line of a table."""
    threads = NOTHING if result.threads is None else str(result.threads)
    if result.fastnn is None or not result.torch:
        return [result.title, threads, "failed", *[NOTHING] * (len(HEADINGS) - 3)]
    best = result.best
    ratio = ratios(result.fastnn.values, best.values)
    spread = f"{ratio.low:.2f} to {ratio.high:.2f}" if len(best.values) > 1 else NOTHING
    if result.fastnn.peak_memory and best.peak_memory:
        ours, theirs = result.fastnn.peak_memory / MEBIBYTE, best.peak_memory / MEBIBYTE
        memory = [f"{ours:.0f}", f"{theirs:.0f}", f"{theirs / ours:.2f}"]
    else:
        memory = [NOTHING] * 3
    same = {True: "yes", False: "NO", None: NOTHING}[result.same]
    setting = best.setting if len(result.torch) > 1 else NOTHING
    return [result.title, threads, f"{ratio.median:.2f}", spread, *memory, setting, same]


def table(results: Sequence[Result], markdown: bool = False) -> str:
    """All results as text in columns, or as a Markdown table."""
    lines = [list(HEADINGS), *(cells(result) for result in results)]
    if markdown:
        rule = ["---" if side == "left" else "---:" for side in ALIGNMENT]
        return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]

    def justify(line: list[str]) -> str:
        aligned = zip(ALIGNMENT, line, widths, strict=True)
        return "  ".join(text.ljust(width) if side == "left" else text.rjust(width) for side, text, width in aligned)

    rule = ["-" * width for width in widths]
    return "\n".join(justify(line).rstrip() for line in [lines[0], rule, *lines[1:]])


def as_json(results: Sequence[Result], machine: dict[str, Any]) -> dict[str, Any]:
    """Everything measured, and the ratios, in plain containers."""
    rows = []
    for result in results:
        record = asdict(result)
        if result.fastnn is not None and result.torch:
            record["ratio"] = asdict(ratios(result.fastnn.values, result.best.values))
            record["torch_at_its_best"] = result.best.setting
        rows.append(record)
    return {"machine": machine, "rows": rows}
