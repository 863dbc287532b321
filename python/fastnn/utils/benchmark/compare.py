"""Measurements in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .timer import Measurement, select_unit

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Compare"]


class Compare:
    """A table of measurements: a row for each ``sub_label``, a column for each ``description``.

    Args:
        results: the measurements.

    Example:
        >>> from fastnn.utils.benchmark import Compare, Measurement
        >>> fast = Measurement(1, [2e-3], "add", "small", "fast")
        >>> slow = Measurement(1, [4e-3], "add", "small", "slow")
        >>> print(Compare([fast, slow]))
        [------ add -------]
               |  fast  slow
        1 threads:
        small  |   2.0   4.0
        Times are in milliseconds (ms).
    """

    def __init__(self, results: list[Measurement]) -> None:
        self._results = list(results)
        self._trim = False

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Add measurements."""
        self._results.extend(results)

    def trim_significant_figures(self) -> None:
        """Accepted for compatibility."""
        self._trim = True

    def colorize(self, rowwise: bool = False) -> None:
        """Accepted for compatibility."""

    def highlight_warnings(self) -> None:
        """Accepted for compatibility."""

    def print(self) -> None:
        """Print the table."""
        print(self)

    def __str__(self) -> str:
        labels = dict.fromkeys(result.label or "" for result in self._results)
        return "\n".join(self._table(label) for label in labels)

    def _table(self, label: str) -> str:
        results = [result for result in self._results if (result.label or "") == label]
        unit, length = select_unit(min(result.median for result in results))
        columns = list(dict.fromkeys(result.description or "" for result in results))
        names = {"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds"}
        sections: dict[int, dict[str, dict[str, str]]] = {}
        for result in results:
            rows = sections.setdefault(result.num_threads, {})
            row = rows.setdefault(result.sub_label or result.stmt, {})
            row[result.description or ""] = f"{result.median / length:.1f}"
        first = max(len(name) for rows in sections.values() for name in rows)
        cells = [text for rows in sections.values() for row in rows.values() for text in row.values()]
        widths = [max(len(column), *map(len, cells)) for column in columns]
        lines = [" " * first + "  |  " + "  ".join(map(str.rjust, columns, widths))]
        for threads, rows in sorted(sections.items()):
            lines.append(f"{threads} threads:")
            for name, row in rows.items():
                texts = (row.get(column, "").rjust(width) for column, width in zip(columns, widths, strict=True))
                lines.append(name.ljust(first) + "  |  " + "  ".join(texts))
        title = "[" + f" {label} ".center(len(lines[0]) - 2, "-") + "]"
        return "\n".join([title, *lines, f"Times are in {names[unit]} ({unit})."])
