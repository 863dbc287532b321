"""From a recorded run of a model to an ONNX model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
from onnx import helper

import fastnn
from fastnn import _C
from fastnn._C import Tensor

from . import _operators_nn as _operators_nn
from ._errors import OnnxExporterError
from ._graph import Graph
from ._operators import OPERATORS
from ._trace import Ref, Size, Symbol, agree, leaves, record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._trace import Call, Record

__all__ = ["OPSETS", "build"]

OPSETS = range(17, min(24, onnx.defs.onnx_opset_version()) + 1)
_RANDOM = {
    *"bernoulli multinomial normal rand rand_like randint randint_like randn randn_like randperm poisson".split(),
    *"bernoulli_ normal_ uniform_ exponential_ random_".split(),
}

Axes = "Mapping[str, Mapping[int, str] | Sequence[int]]"


def build(
    model: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic_axes: Mapping[str, Mapping[int, str] | Sequence[int]],
    opset: int,
) -> onnx.ModelProto:
    """The ONNX model of what `model` does with such arguments."""
    inputs = [leaf for leaf in leaves([list(args), kwargs]) if isinstance(leaf, Tensor)]
    names = _named("input", input_names, len(inputs))
    symbols = _symbols(dynamic_axes, names)
    found = _runs(model, args, kwargs, inputs, symbols) if symbols else record(model, args, kwargs)
    outputs = [leaf.number for leaf in found.outputs]
    results = _named("output", output_names, len(outputs))
    unknown = set(dynamic_axes) - {*names, *results}
    if unknown:
        raise OnnxExporterError(f"export: dynamic_axes names {sorted(unknown)}, which is no input or output")

    graph = Graph(found, opset)
    graph.names = dict(zip(found.inputs, names, strict=True))
    if isinstance(model, fastnn.nn.Module):
        graph.parameters = {id(one): name for name, one in [*model.named_parameters(), *model.named_buffers()]}
    for call in _used(found, outputs):
        _emit(graph, call)
    for name, number in zip(results, outputs, strict=True):
        graph.nodes.append(helper.make_node("Identity", [graph.value(number).name], [name]))
    described = [
        helper.make_tensor_value_info(name, graph.type_of(found.tensors[number].dtype), _described(found, number))
        for name, number in zip([*names, *results], [*found.inputs, *outputs], strict=True)
    ]
    used = {name for node in graph.nodes for name in node.input}
    constants = [one for one in graph.initializers if one.name in used]
    made = helper.make_graph(
        graph.nodes, type(model).__name__, described[: len(names)], described[len(names) :], constants
    )
    sets = [helper.make_opsetid("", opset)]
    version = helper.find_min_ir_version_for(sets)
    proto = helper.make_model(
        made, opset_imports=sets, ir_version=version, producer_name="fastnn", producer_version=_C.__version__
    )
    onnx.checker.check_model(proto)
    return proto


def _named(kind: str, names: Sequence[str], count: int) -> list[str]:
    """The names that were given, and numbered ones for the rest."""
    if len(names) > count:
        raise OnnxExporterError(f"export: {len(names)} {kind} names for {count} {kind}s")
    rest = [f"{kind}_{place}" if count > 1 else kind for place in range(len(names), count)]
    return [*names, *rest]


def _symbols(
    dynamic_axes: Mapping[str, Mapping[int, str] | Sequence[int]], names: list[str]
) -> dict[str, list[tuple[int, int]]]:
    """The inputs and dimensions that each name stands for."""
    places: dict[str, list[tuple[int, int]]] = {}
    for place, name in enumerate(names):
        axes = dynamic_axes.get(name, {})
        labels = axes if hasattr(axes, "items") else {axis: f"{name}_dynamic_axes_{axis}" for axis in axes}
        for axis, label in labels.items():
            places.setdefault(label, []).append((place, axis))
    return places


def _runs(
    model: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    inputs: list[Tensor],
    places: dict[str, list[tuple[int, int]]],
) -> Record:
    """What several runs, with other sizes of the dynamic dimensions, have in common."""
    symbols = [Symbol(name, *own[0]) for name, own in places.items()]
    start = {symbol: max(2, inputs[symbol.input].shape[symbol.axis]) for symbol in symbols}
    sizes = [start, *({**start, symbol: start[symbol] + 1} for symbol in symbols)]
    sizes.append({symbol: size + 2 + place for place, (symbol, size) in enumerate(start.items())})
    records = []
    for own in sizes:
        changed = {id(inputs[place]): inputs[place] for symbol in symbols for place, _ in places[symbol.name]}
        for symbol in symbols:
            for place, axis in places[symbol.name]:
                tensor = changed[id(inputs[place])]
                rows = _C.arange(own[symbol]) % tensor.shape[axis]
                changed[id(inputs[place])] = tensor.index_select(axis, rows)
        records.append(record(model, _replaced(args, changed), _replaced(kwargs, changed)))
    return agree(records, sizes)


def _replaced(value: Any, changed: dict[int, Tensor]) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(one, changed) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_replaced(one, changed) for one in value)
    return changed.get(id(value), value)


def _described(found: Record, number: int) -> list[Any]:
    """A shape as ONNX files say it: a number or a name for each dimension."""
    shape: list[Any] = []
    for size in found.shapes[number]:
        if isinstance(size, Size):
            plain = (size.factor, size.offset, len(size.symbols)) == (1, 0, 1)
            shape.append(size.symbols[0].name if plain else None)
        else:
            shape.append(size)
    return shape


# --- operations ------------------------------------------------------------------------------------------------------


def _used(found: Record, outputs: list[int]) -> list[Call]:
    """The operations that the outputs need and that depend on the inputs or on dynamic sizes, in order."""
    dynamic = set(found.inputs)
    calls = []
    for call in found.calls:
        own = {leaf.number for leaf in leaves(call.outputs) if isinstance(leaf, Ref)}
        given = leaves([call.args, call.kwargs])
        depends = call.name.removeprefix("nn.") in _RANDOM or any(
            isinstance(leaf, Size) or (isinstance(leaf, Ref) and leaf.number in dynamic) for leaf in given
        )
        if depends or any(isinstance(size, Size) for number in own for size in found.shapes[number]):
            dynamic |= own
            calls.append(call)
    needed = set(outputs)
    kept = []
    for call in reversed(calls):
        if any(isinstance(leaf, Ref) and leaf.number in needed for leaf in call.outputs):
            kept.append(call)
            needed |= {leaf.number for leaf in leaves([call.args, call.kwargs]) if isinstance(leaf, Ref)}
    return kept[::-1]


def _emit(graph: Graph, call: Call) -> None:
    """Add the nodes of one operation."""
    plain = call.name.removeprefix("nn.")
    stem = plain[:-1] if plain.endswith("_") and not plain.endswith("__") else plain
    mapping = OPERATORS.get(call.name) or OPERATORS.get(plain) or OPERATORS.get(stem)
    if mapping is None:
        raise OnnxExporterError(
            f"export: the operation {plain} has no mapping to ONNX; write the model without it, or export it in parts"
        )
    numbers = [leaf.number for leaf in call.outputs if isinstance(leaf, Ref)]
    graph.out = [graph.described(number) for number in numbers]
    try:
        made = mapping(graph, *graph.resolve(call.args), **graph.resolve(call.kwargs))
    except TypeError as error:
        raise OnnxExporterError(f"export: {plain} with these arguments has no mapping to ONNX: {error}") from error
    for number, name in zip(numbers, made if isinstance(made, list) else [made], strict=True):
        if number not in graph.names:
            graph.names[number] = name
