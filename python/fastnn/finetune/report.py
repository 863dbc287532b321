"""What of a model can still change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastnn.nn import Module

__all__ = ["FreezeReport", "ReportEntry", "report"]

_MOST_ROWS = 40  # of the table that is printed
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


class ReportEntry(NamedTuple):
    """A parameter or buffer of a model.

    Attributes:
        name: its dotted name.
        kind: "parameter", "running statistic" (of a norm layer), or "buffer" (any other).
        shape: its shape.
        dtype: the name of its dtype, for example "float32".
        numel: number of elements.
        nbytes: bytes that they take.
        changes: a parameter is trained, a running statistic follows the batches in training mode. False for
            other buffers: only the model's own code changes them.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    numel: int
    nbytes: int
    changes: bool


class FreezeReport:
    """What `freeze`, `unfreeze` and `report` return; `str(report)` is a table of what can still change.

    Attributes:
        entries: all parameters and buffers, each shared one once.

    Example:
        >>> from fastnn import finetune, nn
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        >>> result = finetune.freeze(model, ["0", "1"])
        >>> print(result)
        can change  kind       shape   dtype    elements
        2.weight    parameter  (2, 4)  float32  8
        2.bias      parameter  (2,)    float32  2
        trainable: 2 parameters, 10 elements, 40 bytes
        frozen: 4 parameters, 24 elements, 96 bytes
        running statistics: 0 change in training mode, 3 are frozen
        >>> result.trainable, result.trainable_parameters, result.frozen_parameters
        (['2.weight', '2.bias'], 10, 24)
    """

    __slots__ = ("entries",)

    def __init__(self, entries: Iterable[ReportEntry]) -> None:
        self.entries = tuple(entries)

    def _parameters(self, changes: bool) -> list[ReportEntry]:
        return [entry for entry in self.entries if entry.kind == "parameter" and entry.changes == changes]

    @property
    def trainable(self) -> list[str]:
        """Names of the parameters that an optimizer may move."""
        return [entry.name for entry in self._parameters(True)]

    @property
    def frozen(self) -> list[str]:
        """Names of the parameters that do not require a gradient."""
        return [entry.name for entry in self._parameters(False)]

    @property
    def changing_buffers(self) -> list[str]:
        """Names of the running statistics that move in training mode."""
        return [entry.name for entry in self.entries if entry.kind == "running statistic" and entry.changes]

    @property
    def can_change(self) -> list[str]:
        """Names of the parameters and running statistics that training changes."""
        return [entry.name for entry in self.entries if entry.changes]

    @property
    def trainable_parameters(self) -> int:
        """Number of trainable elements."""
        return sum(entry.numel for entry in self._parameters(True))

    @property
    def frozen_parameters(self) -> int:
        """Number of frozen elements."""
        return sum(entry.numel for entry in self._parameters(False))

    @property
    def trainable_bytes(self) -> int:
        """Bytes of the trainable parameters."""
        return sum(entry.nbytes for entry in self._parameters(True))

    @property
    def frozen_bytes(self) -> int:
        """Bytes of the frozen parameters."""
        return sum(entry.nbytes for entry in self._parameters(False))

    def __repr__(self) -> str:
        return f"FreezeReport(trainable={self.trainable_parameters:,}, frozen={self.frozen_parameters:,})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FreezeReport) and self.entries == other.entries

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        changing = [entry for entry in self.entries if entry.changes]
        rows = [("can change", "kind", "shape", "dtype", "elements")]
        for entry in changing[:_MOST_ROWS]:
            rows.append((entry.name, entry.kind, str(entry.shape), entry.dtype, f"{entry.numel:,}"))
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        if len(changing) > _MOST_ROWS:
            lines.append(f"... and {len(changing) - _MOST_ROWS} more")
        if not changing:
            lines = ["nothing can change"]
        for title, changes in (("trainable", True), ("frozen", False)):
            entries = self._parameters(changes)
            elements, size = sum(e.numel for e in entries), sum(e.nbytes for e in entries)
            lines.append(f"{title}: {_count(len(entries), 'parameter')}, {elements:,} elements, {_size(size)}")
        statistics = [entry.changes for entry in self.entries if entry.kind == "running statistic"]
        if statistics:
            moving = sum(statistics)
            still = len(statistics) - moving
            lines.append(f"running statistics: {moving} change in training mode, {still} are frozen")
        others = sum(entry.kind == "buffer" for entry in self.entries)
        if others:
            lines.append(f"{_count(others, 'other buffer')}, changed by nothing but the model's own code")
        return "\n".join(lines)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _size(number: float) -> str:
    unit = 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number /= 1024
        unit += 1
    return f"{number:.1f} {_UNITS[unit]}" if unit else f"{number} bytes"


def keeps_statistics(module: Any) -> bool:
    """Whether a module is a norm layer with running statistics."""
    return module._buffers.get("running_mean") is not None


def _entries(model: Module) -> Iterator[ReportEntry]:
    for name, parameter in model.named_parameters():
        yield _entry(name, "parameter", parameter, parameter.requires_grad)
    seen: set[int] = set()
    for prefix, module in model.named_modules():
        statistics = keeps_statistics(module)
        for name, buffer in module._buffers.items():
            if buffer is None or id(buffer) in seen:
                continue
            seen.add(id(buffer))
            kind = "running statistic" if statistics else "buffer"
            changes = statistics and not getattr(module, "_fastnn_frozen", False)
            yield _entry(f"{prefix}.{name}" if prefix else name, kind, buffer, changes)


def _entry(name: str, kind: str, tensor: Any, changes: bool) -> ReportEntry:
    count = tensor.numel()
    dtype = str(tensor.dtype).rpartition(".")[2]
    return ReportEntry(name, kind, tuple(tensor.shape), dtype, count, count * tensor.element_size(), changes)


def report(model: Module) -> FreezeReport:
    """What of a model can still change.

    Args:
        model: the model.

    Example:
        >>> from fastnn import finetune, nn
        >>> finetune.report(nn.Linear(3, 2))
        FreezeReport(trainable=8, frozen=0)
    """
    return FreezeReport(_entries(model))
