"""An ONNX graph that is being written: nodes, constants, and sizes that are known when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fastnn import _C
from fastnn._C import Tensor

from ._errors import OnnxExporterError
from ._trace import Ref, Size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastnn._C import dtype as DType

    from ._trace import Record, SizeLike, Symbol

__all__ = ["Graph", "Value", "is_static"]

_TYPES = {
    _C.float32: onnx.TensorProto.FLOAT,
    _C.float64: onnx.TensorProto.DOUBLE,
    _C.float16: onnx.TensorProto.FLOAT16,
    _C.bfloat16: onnx.TensorProto.BFLOAT16,
    _C.int64: onnx.TensorProto.INT64,
    _C.int32: onnx.TensorProto.INT32,
    _C.int16: onnx.TensorProto.INT16,
    _C.int8: onnx.TensorProto.INT8,
    _C.uint8: onnx.TensorProto.UINT8,
    _C.bool: onnx.TensorProto.BOOL,
}


class Value:
    """A tensor of the graph: its name, what is known of it, and the tensor itself if it is constant."""

    __slots__ = ("constant", "dtype", "name", "shape")

    def __init__(self, name: str, dtype: DType, shape: Sequence[SizeLike], constant: Tensor | None = None) -> None:
        self.name, self.dtype, self.constant = name, dtype, constant
        self.shape: tuple[SizeLike, ...] = tuple(shape)

    @property
    def rank(self) -> int:
        return len(self.shape)


def is_static(sizes: Iterable[Any]) -> bool:
    """Whether no number depends on a dynamic size."""
    return not any(isinstance(size, Size) for size in sizes)


class Graph:
    """Nodes, initializers and values.

    Args:
        record: the operations of a model.
        opset: the version of the operators.
    """

    def __init__(self, record: Record, opset: int) -> None:
        self.record = record
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.out: list[Value] = []  # what the operation gave whose nodes are being added, without names
        self.names: dict[int, str] = {}  # of the tensors that are not constant
        self.parameters: dict[int, str] = {}  # ids of parameters: their names in the model
        self._constants: dict[Any, str] = {}
        self._sizes: dict[SizeLike, str] = {}
        self._count = 0

    # -- values ---------------------------------------------------------------------------------------------------

    def value(self, number: int) -> Value:
        """The tensor of a number, as an input of a node."""
        tensor, shape = self.record.tensors[number], self.record.shapes[number]
        if number in self.names:
            return Value(self.names[number], tensor.dtype, shape)
        key = "tensor", number
        if key not in self._constants:
            self._constants[key] = self._initializer(tensor, self.parameters.get(id(tensor)))
        return Value(self._constants[key], tensor.dtype, shape, tensor)

    def described(self, number: int) -> Value:
        """The dtype and shape of a tensor that has no name yet."""
        return Value("", self.record.tensors[number].dtype, self.record.shapes[number])

    def resolve(self, argument: Any) -> Any:
        """An argument of a call with `Ref` replaced by values."""
        if isinstance(argument, Ref):
            return self.value(argument.number)
        if isinstance(argument, (tuple, list)):
            return type(argument)(self.resolve(one) for one in argument)
        if isinstance(argument, slice):
            return slice(*(self.resolve(part) for part in (argument.start, argument.stop, argument.step)))
        if isinstance(argument, dict):
            return {name: self.resolve(one) for name, one in argument.items()}
        return argument

    def _initializer(self, tensor: Tensor | np.ndarray[Any, Any], name: str | None = None) -> str:
        name = name or self.new_name("constant")
        if isinstance(tensor, Tensor) and tensor.dtype == _C.bfloat16:
            words = tensor.detach().contiguous().view(_C.int16).numpy()
            proto = helper.make_tensor(name, onnx.TensorProto.BFLOAT16, words.shape, words.tobytes(), raw=True)
        else:
            array = tensor.detach().numpy() if isinstance(tensor, Tensor) else tensor
            proto = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        self.initializers.append(proto)
        return name

    def new_name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    # -- nodes ----------------------------------------------------------------------------------------------------

    def op(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        """Add a node with one output; its name. Inputs are values, names, numbers of a 1-d int64 tensor, or None."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, count: int, *inputs: Any, **attributes: Any) -> list[str]:
        """The same for a node with several outputs."""
        names = [self._input(one) for one in inputs]
        while names and not names[-1]:
            names.pop()
        outputs = [self.new_name(kind) for _ in range(count)]
        attributes = {name: value for name, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(kind, names, outputs, **attributes))
        return outputs

    def _input(self, given: Any) -> str:
        if given is None:
            return ""
        if isinstance(given, Value):
            return given.name
        if isinstance(given, str):
            return given
        return self.sizes(given)

    def constant(self, value: Any, dtype: DType) -> str:
        """A constant of a dtype: a number, or nested lists of them."""
        tensor = _C.tensor(value, dtype=dtype)
        key = dtype, tuple(tensor.shape), repr(value)
        if key not in self._constants:
            self._constants[key] = self._initializer(tensor)
        return self._constants[key]

    def cast(self, given: Value | str, dtype: DType, source: DType | None = None) -> str:
        """The same values as another dtype."""
        if (given.dtype if isinstance(given, Value) else source) == dtype:
            return self._input(given)
        return self.op("Cast", given, to=self.type_of(dtype))

    @staticmethod
    def type_of(dtype: DType) -> int:
        if dtype not in _TYPES:
            raise OnnxExporterError(f"export: tensors of {dtype} cannot be exported")
        return _TYPES[dtype]

    # -- sizes ----------------------------------------------------------------------------------------------------

    def sizes(self, numbers: Sequence[SizeLike]) -> str:
        """A one-dimensional int64 tensor of numbers of which some may depend on dynamic sizes."""
        if is_static(numbers):
            return self.constant(list(numbers), _C.int64)
        parts: list[str] = []
        fixed: list[int] = []
        for number in numbers:
            if isinstance(number, Size):
                if fixed:
                    parts.append(self.constant(fixed, _C.int64))
                fixed = []
                parts.append(self._size(number))
            else:
                fixed.append(number)
        if fixed:
            parts.append(self.constant(fixed, _C.int64))
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=0)

    def _size(self, size: Size) -> str:
        if size not in self._sizes:
            factors = [self._symbol(symbol) for symbol in size.symbols]
            if size.factor != 1:
                factors.append(self.constant([size.factor], _C.int64))
            name = factors[0]
            for factor in factors[1:]:
                name = self.op("Mul", name, factor)
            if size.offset:
                name = self.op("Add", name, self.constant([size.offset], _C.int64))
            self._sizes[size] = name
        return self._sizes[size]

    def _symbol(self, symbol: Symbol) -> str:
        source = self.names[self.record.inputs[symbol.input]]
        return self.op("Shape", source, start=symbol.axis, end=symbol.axis + 1)

    def reshape(self, given: Value | str, shape: Sequence[SizeLike]) -> str:
        """The same elements in another shape, of which one dynamic size is left to ONNX."""
        dynamic = [place for place, size in enumerate(shape) if isinstance(size, Size)]
        if len(dynamic) == 1 and 0 not in shape:
            shape = [-1 if place == dynamic[0] else size for place, size in enumerate(shape)]
        return self.op("Reshape", given, self.sizes(shape), allowzero=1 if 0 in shape else None)
