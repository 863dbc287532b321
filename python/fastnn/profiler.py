"""Where the time goes: the operations that a program calls, with their wall times."""

from __future__ import annotations

import enum
import functools
import json
import os
import time
from collections import defaultdict
from contextlib import ContextDecorator
from typing import TYPE_CHECKING, Any

from fastnn import _C

from ._missing import missing_attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "EventList",
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]


class ProfilerActivity(enum.Enum):
    """What is observed: only the CPU can be."""

    CPU = 0
    CUDA = 2
    XPU = 1
    MTIA = 3
    HPU = 4


class ProfilerAction(enum.Enum):
    """What a profiler does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """The CPU."""
    return {ProfilerActivity.CPU}


def kineto_available() -> bool:
    """False."""
    return False


class FunctionEvent:
    """One call, or the sum of all calls of one name."""

    device_time = device_time_total = self_device_time_total = cuda_time = cuda_time_total = 0.0
    cpu_memory_usage = self_cpu_memory_usage = 0

    def __init__(self, key: str, start: float = 0.0, end: float = 0.0) -> None:
        self.key = self.name = key
        self.start, self.end = start, end
        self.count = 0
        self.cpu_time_total = 0.0
        self.self_cpu_time_total = 0.0

    @property
    def cpu_time(self) -> float:
        """Microseconds a call."""
        return self.cpu_time_total / self.count if self.count else 0.0

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={_text(self.self_cpu_time_total)} "
            f"cpu_time={_text(self.cpu_time)}>"
        )


def _text(microseconds: float) -> str:
    if microseconds >= 1e6:
        return f"{microseconds / 1e6:.3f}s"
    return f"{microseconds / 1e3:.3f}ms" if microseconds >= 1e3 else f"{microseconds:.3f}us"


class EventList(list[FunctionEvent]):
    """Sums of calls by name."""

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all calls."""
        return sum(event.self_cpu_time_total for event in self)

    def total_average(self) -> FunctionEvent:
        """All calls together."""
        total = FunctionEvent("Total")
        for event in self:
            total.count += event.count
            total.self_cpu_time_total += event.self_cpu_time_total
            total.cpu_time_total += event.cpu_time_total
        return total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """The sums as text.

        Args:
            sort_by: ``"self_cpu_time_total"``, ``"cpu_time_total"``, ``"cpu_time"`` or ``"count"``.
            row_limit: number of rows; -1 for all.
            max_name_column_width: longer names are cut.
            header: a line above.
        """
        events = list(self)
        if sort_by is not None:
            key = sort_by if hasattr(FunctionEvent(""), sort_by) else "self_cpu_time_total"
            events.sort(key=lambda event: getattr(event, key), reverse=True)
        events = events if row_limit < 0 else events[:row_limit]
        total = self.self_cpu_time_total or 1.0
        titles = ["Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg", "# of Calls"]
        rows = [titles]
        for event in events:
            name = event.key
            name = name if len(name) <= max_name_column_width else name[: max_name_column_width - 3] + "..."
            shares = [event.self_cpu_time_total / total, event.cpu_time_total / total]
            times = [event.self_cpu_time_total, event.cpu_time_total]
            cells = [text for share, used in zip(shares, times, strict=True) for text in (f"{share:.2%}", _text(used))]
            rows.append([name, *cells, _text(event.cpu_time), str(event.count)])
        widths = [max(len(row[i]) for row in rows) for i in range(len(titles))]
        rule = "  ".join("-" * width for width in widths)
        lines = [header] if header else []
        lines.append(rule)
        for number, row in enumerate(rows):
            lines.append("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))
            if number == 0:
                lines.append(rule)
        lines += [rule, f"Self CPU time total: {_text(self.self_cpu_time_total)}"]
        return "\n".join(lines) + "\n"

    def __str__(self) -> str:
        return self.table()


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """Which steps are recorded: after `skip_first` steps, cycles of `wait`, `warmup` and `active` ones.

    Args:
        wait, warmup: steps that are not recorded.
        active: steps that are.
        repeat: the number of cycles; 0 for no end.
        skip_first: steps before the first cycle.
        skip_first_wait: if not 0, the first cycle does not wait.

    Example:
        >>> from fastnn.profiler import schedule
        >>> plan = schedule(wait=1, warmup=1, active=2, repeat=1)
        >>> [plan(step).name for step in range(5)]
        ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active <= 0:
        raise AssertionError("Invalid profiler schedule arguments")

    def plan(step: int) -> ProfilerAction:
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        cycle = wait + warmup + active
        if repeat > 0 and step // cycle >= repeat:
            return ProfilerAction.NONE
        place = step % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if place < cycle - 1 else ProfilerAction.RECORD_AND_SAVE

    return plan


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[profile], None]:
    """What writes a trace into a folder, for `on_trace_ready`."""

    def handler(profiler: profile) -> None:
        os.makedirs(dir_name, exist_ok=True)
        name = f"{worker_name or os.getpid()}.{time.time_ns()}.pt.trace.json"
        profiler.export_chrome_trace(os.path.join(dir_name, name))

    return handler


class record_function(ContextDecorator):
    """A name for a part of the program, as a block or decorator.

    Example:
        >>> import fastnn
        >>> with fastnn.profiler.profile() as profiler:
        ...     with fastnn.profiler.record_function("my part"):
        ...         _ = fastnn.ones(3) + 1
        >>> sorted(event.key for event in profiler.key_averages())
        ['aten::add', 'aten::ones', 'my part']
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name

    def __enter__(self) -> record_function:
        _C._profiler_begin(self.name)
        return self

    def __exit__(self, *error: object) -> None:
        _C._profiler_end()

    def __call__(self, func: Any) -> Any:
        @functools.wraps(func)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self.name):
                return func(*args, **kwargs)

        return wrapped


class profile:
    """Records the operations called in a block, with their wall times.

    An operation is a call into the compiled core; the backward pass is one event.

    Args:
        activities: only the CPU is there.
        schedule: from the number of a step to what is done in it, see :func:`schedule`; everything is recorded if None.
        on_trace_ready: called with the profiler when a cycle of the schedule, or the block, ends.
        record_shapes, profile_memory, with_stack, with_flops, with_modules, experimental_config: accepted for
            compatibility.

    Example:
        >>> import fastnn
        >>> x = fastnn.ones(10, 10)
        >>> with fastnn.profiler.profile() as profiler:
        ...     y = (x @ x).sum()
        >>> {event.key: event.count for event in profiler.key_averages()}
        {'aten::matmul': 1, 'aten::sum': 1}
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[Any], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Any = None,
    ) -> None:
        self._plan = schedule
        self._ready = on_trace_ready
        self.step_num = 0
        self._action = ProfilerAction.NONE
        self._calls: list[tuple[str, int, int, int]] = []
        self._metadata: dict[str, str] = {}

    def _set(self, action: ProfilerAction) -> None:
        recording = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        was, will = self._action in recording, action in recording
        ends = self._action is ProfilerAction.RECORD_AND_SAVE
        if was and (ends or not will):
            self._calls = _C._profiler_stop()
            was = False
            if ends and self._ready is not None:
                self._ready(self)
        if will and not was:
            _C._profiler_start()
        self._action = action

    def start(self) -> None:
        """Begin."""
        self._set(self._plan(self.step_num) if self._plan else ProfilerAction.RECORD_AND_SAVE)

    def stop(self) -> None:
        """End."""
        self._set(ProfilerAction.NONE)

    def step(self) -> None:
        """The next step of the schedule begins."""
        self.step_num += 1
        if self._plan is not None:
            self._set(self._plan(self.step_num))

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def events(self) -> list[FunctionEvent]:
        """The calls, one after the other."""
        found = []
        for name, start, end, own in self._calls:
            event = FunctionEvent(name, start / 1e3, end / 1e3)
            event.count = 1
            event.cpu_time_total, event.self_cpu_time_total = (end - start) / 1e3, own / 1e3
            found.append(event)
        return found

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, **kwargs: Any) -> EventList:
        """The calls summed up by name, in microseconds."""
        sums: defaultdict[str, FunctionEvent] = defaultdict(lambda: FunctionEvent(""))
        for event in self.events():
            total = sums[event.key]
            total.key = total.name = event.key
            total.count += 1
            total.cpu_time_total += event.cpu_time_total
            total.self_cpu_time_total += event.self_cpu_time_total
        return EventList(sums.values())

    def add_metadata(self, key: str, value: str) -> None:
        """Something for the written trace."""
        self._metadata[key] = value

    add_metadata_json = add_metadata

    def export_chrome_trace(self, path: str) -> None:
        """Write the calls as a JSON file for ``chrome://tracing``."""
        process = os.getpid()
        calls = [
            {
                "ph": "X",
                "cat": "cpu_op",
                "name": name,
                "pid": process,
                "tid": process,
                "ts": start / 1e3,
                "dur": (end - start) / 1e3,
            }
            for name, start, end, _ in self._calls
        ]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": calls, **self._metadata}, file)


__getattr__ = missing_attribute("torch.profiler")
