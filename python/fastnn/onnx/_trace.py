"""Runs a model and writes down the operations it calls, and which of their numbers depend on dynamic sizes."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastnn import no_grad
from fastnn._C import Tensor

from ..overrides import TorchFunctionMode
from ._errors import OnnxExporterError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Call", "Record", "Ref", "Size", "SizeLike", "Symbol", "agree", "leaves", "record"]

# What asks for facts and gives no tensor, or changes none.
_READS_VALUES = {"item", "tolist", "__bool__", "__int__", "__float__", "__index__", "numpy", "__contains__", "equal"}
_NOT_RECORDED = {"requires_grad_", "retain_grad", "register_hook"}


@dataclass(frozen=True)
class Ref:
    """A tensor, by its number."""

    number: int


@dataclass(frozen=True)
class Symbol:
    """A dynamic size: a dimension of an input."""

    name: str
    input: int
    axis: int


@dataclass(frozen=True)
class Size:
    """A number that depends on dynamic sizes: ``factor * product of symbols + offset``."""

    factor: int
    symbols: tuple[Symbol, ...]
    offset: int = 0

    def value(self, sizes: dict[Symbol, int]) -> int:
        return self.factor * math.prod(sizes[symbol] for symbol in self.symbols) + self.offset


SizeLike = int | Size


@dataclass
class Call:
    """One operation: its name, its arguments with tensors as `Ref`, and the numbers of the tensors it made."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[Any]


@dataclass
class Record:
    """What a run of a model did. ``tensors[n]`` is the tensor with the number n, in the order in which they came up."""

    calls: list[Call] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: Any = None


class _Recorder(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.record = Record()
        self._numbers: dict[int, tuple[int, int]] = {}  # id of a tensor: its number, and the version of its memory
        self._alive: list[Tensor] = []  # so that no id is used again

    def number_of(self, tensor: Tensor) -> int:
        """The number of a tensor that is used."""
        known = self._numbers.get(id(tensor))
        if known is None:
            return self.new_number(tensor)
        number, version = known
        if tensor._version != version:
            raise OnnxExporterError(
                "export: a tensor was changed in place through another one that shares its memory; write the model "
                "without that"
            )
        return number

    def new_number(self, tensor: Tensor) -> int:
        number = len(self.record.tensors)
        self.record.tensors.append(tensor)
        self.record.shapes.append(tuple(tensor.shape))
        self._numbers[id(tensor)] = number, tensor._version
        self._alive.append(tensor)
        return number

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", str(func))
        if name == "__get__":
            name = getattr(func, "__self__", func).__name__
        if getattr(func, "__qualname__", "").startswith("fastnn.nn."):
            name = f"nn.{name}"
        given = _map(args, self.number_of), _map(kwargs or {}, self.number_of)
        in_place = name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))
        if in_place and args and isinstance(args[0], Tensor):
            self.record.tensors[given[0][0].number] = args[0].detach().clone()
        result = func(*args, **(kwargs or {}))
        if name in _READS_VALUES:
            warnings.warn(
                f"export: {name}() reads values of a tensor: what the model does with them is fixed as in this run",
                stacklevel=2,
            )
        outputs = leaves(_map(args[0] if name == "__setitem__" else result, self._number_of_result))
        if any(isinstance(one, Ref) for one in outputs) and name not in _NOT_RECORDED:
            self.record.calls.append(Call(name, *given, outputs))
        return result

    def _number_of_result(self, tensor: Tensor) -> int:
        """A tensor that was changed in place gets a new number, one that is given back as it was keeps its own."""
        known = self._numbers.get(id(tensor))
        return known[0] if known is not None and known[1] == tensor._version else self.new_number(tensor)


def _map(value: Any, visit: Callable[[Tensor], int]) -> Any:
    """A structure with tensors replaced by their numbers."""
    if isinstance(value, Tensor):
        return Ref(visit(value))
    if isinstance(value, (tuple, list)):
        kind = list if isinstance(value, list) else tuple
        return kind(_map(one, visit) for one in value)
    if isinstance(value, dict):
        return {key: _map(one, visit) for key, one in value.items()}
    if isinstance(value, slice):
        return slice(*(_map(part, visit) for part in (value.start, value.stop, value.step)))
    return value


def leaves(value: Any) -> list[Any]:
    """The items of nested lists, tuples, dicts and slices in a row."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, slice):
        value = [value.start, value.stop, value.step]
    if isinstance(value, (tuple, list)):
        return [leaf for one in value for leaf in leaves(one)]
    return [value]


def record(model: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Record:
    """Run a model and record its operations. The numbers of tensors are the same for each run of one model."""
    recorder = _Recorder()
    found = recorder.record
    found.inputs = [recorder.new_number(one) for one in leaves([list(args), kwargs]) if isinstance(one, Tensor)]
    with no_grad(), recorder:
        result = model(*args, **kwargs)
    found.outputs = [leaf for leaf in leaves(_map(result, recorder.number_of)) if leaf is not None]
    if not found.outputs or not all(isinstance(leaf, Ref) for leaf in found.outputs):
        raise OnnxExporterError("export: the model must return tensors, or tuples, lists and dicts of them")
    return found


# --- several runs ----------------------------------------------------------------------------------------------------


def agree(runs: list[Record], sizes: list[dict[Symbol, int]]) -> Record:
    """One record of runs with different sizes: numbers that differ are a `Size`.

    Args:
        runs: the first one, one for each symbol with another value of it alone, and any number to check the result.
        sizes: the values of the symbols in each of them.
    """
    first = runs[0]
    if any([call.name for call in run.calls] != [call.name for call in first.calls] for run in runs):
        raise OnnxExporterError(
            "export: the model calls other operations when a dynamic dimension has another size; it cannot be exported "
            "with that dimension dynamic"
        )

    def merge(values: list[Any]) -> Any:
        value = values[0]
        if isinstance(value, (tuple, list)) and all(len(one) == len(value) for one in values):
            return type(value)(merge(list(parts)) for parts in zip(*values, strict=True))
        if isinstance(value, dict):
            return {key: merge([one[key] for one in values]) for key in value}
        if isinstance(value, slice):
            return slice(*(merge([getattr(one, part) for one in values]) for part in ("start", "stop", "step")))
        if all(one == value for one in values):
            return value
        if all(type(one) is int for one in values):
            return _solve(values, sizes)
        raise OnnxExporterError(f"export: an argument is {values[0]!r:.80} or {values[1]!r:.80}, depending on a size")

    merged = Record(tensors=first.tensors, inputs=first.inputs)
    for calls in zip(*(run.calls for run in runs), strict=True):
        args, kwargs, outputs = (
            merge([getattr(call, part) for call in calls]) for part in ("args", "kwargs", "outputs")
        )
        merged.calls.append(Call(calls[0].name, args, kwargs, outputs))
    merged.shapes = [merge(list(shapes)) for shapes in zip(*(run.shapes for run in runs), strict=True)]
    merged.outputs = merge([run.outputs for run in runs])
    return merged


def _solve(values: list[int], sizes: list[dict[Symbol, int]]) -> Size:
    """The formula for a number that is ``values[n]`` when the dynamic dimensions have ``sizes[n]``."""
    symbols = list(sizes[0])
    varying = tuple(s for s, value in zip(symbols, values[1:], strict=False) if value != values[0])
    product = math.prod(sizes[0][symbol] for symbol in varying)
    candidates = []
    if varying and values[0] % product == 0:
        candidates.append(Size(values[0] // product, varying))
    if len(varying) == 1:
        place = 1 + symbols.index(varying[0])
        slope, rest = divmod(values[place] - values[0], sizes[place][varying[0]] - sizes[0][varying[0]])
        if rest == 0:
            candidates.append(Size(slope, varying, values[0] - slope * sizes[0][varying[0]]))
    for candidate in candidates:
        if all(candidate.value(own) == value for own, value in zip(sizes, values, strict=True)):
            return candidate
    raise OnnxExporterError(
        f"export: a size is {values} when the dynamic dimensions are "
        f"{[{s.name: n for s, n in own.items()} for own in sizes]}, which no product of them is"
    )
