"""The timer and what it measures."""

from __future__ import annotations

import statistics
import timeit
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastnn import _C

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Measurement", "Timer", "select_unit"]

_UNITS = ((1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s"))


def select_unit(t: float) -> tuple[str, float]:
    """The unit in which a time in seconds has one to three digits before the point, and its length in seconds."""
    chosen = _UNITS[0]
    for unit in _UNITS:
        if t >= unit[0]:
            chosen = unit
    return chosen[1], chosen[0]


@dataclass
class Measurement:
    """Times of a statement.

    Args:
        number_per_run: how often the statement ran in each.
        raw_times: in seconds, of all those runs together.
        label, sub_label, description, env, num_threads: what was measured.
    """

    number_per_run: int
    raw_times: list[float]
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1
    stmt: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def times(self) -> list[float]:
        """Seconds a statement."""
        return [time / self.number_per_run for time in self.raw_times]

    @property
    def median(self) -> float:
        """The median, in seconds."""
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        """The mean, in seconds."""
        return statistics.fmean(self.times)

    @property
    def iqr(self) -> float:
        """The difference between the quartiles, in seconds."""
        if len(self.times) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.times, n=4, method="inclusive")
        return high - low

    @property
    def has_warnings(self) -> bool:
        """Whether the times scatter too much to be told from others."""
        return self.median > 0 and self.iqr / self.median > 0.1

    @property
    def title(self) -> str:
        """What was measured."""
        parts = [self.label or self.stmt, self.sub_label or ""]
        return ": ".join(part for part in parts if part)

    def __repr__(self) -> str:
        unit, length = select_unit(self.median)
        runs = "1 run" if len(self.raw_times) == 1 else f"{len(self.raw_times)} runs"
        name, value = ("Median", self.median) if len(self.raw_times) > 1 else ("Time", self.median)
        lines = [
            f"<{type(self).__module__}.{type(self).__qualname__} object>",
            self.title,
            *([self.description] if self.description else []),
            f"  {name}: {value / length:.2f} {unit}",
            *([f"  IQR:    {self.iqr / length:.2f} {unit}"] if len(self.raw_times) > 1 else []),
            f"  {runs} of {self.number_per_run}, {self.num_threads} thread{'s' if self.num_threads > 1 else ''}",
        ]
        return "\n".join(lines)


class Timer:
    """Times a statement, after warming up, with one thread unless told otherwise.

    Args:
        stmt: the statement.
        setup: runs once before.
        global_setup: accepted for compatibility; it is for C++.
        timer: gives the time in seconds.
        globals: the names that the statement uses.
        label, sub_label, description, env: for the table of :class:`Compare`.
        num_threads: of the kernels.
        language: Python.

    Example:
        >>> import fastnn
        >>> timer = fastnn.utils.benchmark.Timer("x + 1", globals={"x": fastnn.ones(3)})
        >>> timer.timeit(10).median > 0
        True
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timeit.default_timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Any = "python",
    ) -> None:
        if not isinstance(stmt, str):
            raise ValueError("Currently only a `str` stmt is supported.")
        if str(language).lower() not in ("python", "py", "language.python"):
            raise ValueError(f"Timer: only Python can be timed, got language={language}")
        names = dict(globals or {})
        if "torch" not in names:
            import fastnn

            names["torch"] = fastnn
        self._stmt = stmt
        self._timer = timeit.Timer(stmt, setup, timer, names)
        self._labels: dict[str, Any] = {
            "label": label,
            "sub_label": sub_label,
            "description": description,
            "env": env,
            "num_threads": num_threads,
            "stmt": stmt,
        }
        self._num_threads = num_threads

    def _time(self, number: int) -> float:
        before = _C.get_num_threads()
        _C.set_num_threads(self._num_threads)
        try:
            return max(self._timer.timeit(number), 1e-9)
        finally:
            _C.set_num_threads(before)

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """Run the statement so many times, after a hundredth of that to warm up."""
        self._time(max(number // 100, 2))
        return Measurement(number, [self._time(number)], **self._labels)

    def _block_size(self, min_run_time: float) -> int:
        number = 1
        while True:
            taken = self._time(number)
            if taken >= min_run_time / 1000 or number >= 10**9:
                return number
            number *= 10

    def blocked_autorange(
        self, callback: Callable[[int, float], None] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Run the statement in blocks, each long enough to be timed, for at least so many seconds.

        Args:
            callback: called with number and seconds of each block.
            min_run_time: in seconds.
        """
        number = self._block_size(min_run_time)
        times: list[float] = []
        while not times or sum(times) < min_run_time:
            times.append(self._time(number))
            if callback is not None:
                callback(number, times[-1])
        return Measurement(number, times, **self._labels)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Callable[[int, float], None] | None = None,
    ) -> Measurement:
        """Run the statement in blocks until the times scatter little.

        Args:
            threshold: the difference between the quartiles, as a part of the median.
            min_run_time, max_run_time: in seconds.
            callback: called with number and seconds of each block.
        """
        number = self._block_size(min_run_time)
        measured = Measurement(number, [], **self._labels)
        while sum(measured.raw_times) < max_run_time:
            measured.raw_times.append(self._time(number))
            if callback is not None:
                callback(number, measured.raw_times[-1])
            enough = sum(measured.raw_times) > min_run_time and len(measured.raw_times) > 3
            if enough and measured.iqr / measured.median < threshold:
                break
        return measured

    def collect_callgrind(self, *args: Any, **kwargs: Any) -> Any:
        """An error: instructions are not counted."""
        raise NotImplementedError("Timer.collect_callgrind: instructions are not counted; use blocked_autorange")
