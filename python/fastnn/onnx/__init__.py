"""Export to ONNX, which other programs run: ``fastnn.onnx.export(model, args, "model.onnx")``.

The model is run once, and its operations are written down; what it decides in Python is fixed as in that run. Needs the
package `onnx`: ``pip install fastnn[onnx]``.
"""

from __future__ import annotations

import enum
import sys
from typing import TYPE_CHECKING, Any

from .._missing import missing_attribute
from ._errors import OnnxExporterError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["ONNXProgram", "OnnxExporterError", "TrainingMode", "export", "is_in_onnx_export"]

_exporting = False
_DEFAULT_OPSET = 18


class TrainingMode(enum.Enum):
    """In which mode a model is exported."""

    EVAL = 0
    PRESERVE = 1
    TRAINING = 2


class ONNXProgram:
    """An exported program.

    Attributes:
        model_proto: the `onnx.ModelProto`.
    """

    def __init__(self, model_proto: Any) -> None:
        self.model_proto = model_proto

    def save(self, destination: str | os.PathLike[str] | Any) -> None:
        """Write it to a path or a file object."""
        import onnx

        onnx.save(self.model_proto, destination)


def is_in_onnx_export() -> bool:
    """Whether an export is running the model."""
    return _exporting


def export(
    model: Callable[..., Any],
    args: Any = (),
    f: str | os.PathLike[str] | Any = None,
    *,
    kwargs: dict[str, Any] | None = None,
    verbose: bool | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset_version: int | None = None,
    dynamo: bool = True,
    export_params: bool = True,
    dynamic_axes: Mapping[str, Mapping[int, str] | Sequence[int]] | None = None,
    training: TrainingMode = TrainingMode.EVAL,
    do_constant_folding: bool = True,
) -> ONNXProgram:
    """Run a model and write what it does as an ONNX model.

    Args:
        model: a module, or another function of tensors. A module runs in evaluation mode.
        args: its arguments: a tuple, or one tensor. Numbers among them become constants.
        f: a path or a file open for writing in binary mode; None writes nothing.
        kwargs: arguments by name.
        verbose: print the graph.
        input_names, output_names: names for the tensors among the arguments and results, in their order.
        opset_version: the version of ONNX's operators, 17 or later. Default: 18.
        dynamic_axes: dimensions whose size may differ later: for names of inputs a dict from the dimension to a name
            for its size, or a list of dimensions. Dimensions of one name have one size. The model is run with other
            sizes to see what depends on them.
        training: whether it runs in evaluation mode, in training mode or as it is.
        dynamo, export_params, do_constant_folding: for PyTorch's signature: there is one way of exporting, which
            writes the parameters and folds constants.

    Returns:
        The program; its ``model_proto`` is the ONNX model.

    Raises:
        ModuleNotFoundError: the package `onnx` is not installed.
        OnnxExporterError: an operation has no mapping to ONNX, or a dynamic size is used in a way that it cannot say.
        ValueError: `opset_version` is not known.

    Example:
        >>> import fastnn
        >>> model = fastnn.nn.Linear(3, 2)
        >>> program = fastnn.onnx.export(
        ...     model, fastnn.ones(4, 3), input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "batch"}}
        ... )
        >>> [node.op_type for node in program.model_proto.graph.node]
        ['Gemm', 'Identity']
    """
    global _exporting
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "torch.onnx.export needs the package onnx: pip install onnx, or pip install 'fastnn[onnx]'", name="onnx"
        ) from error
    from ._export import OPSETS, build

    opset = _DEFAULT_OPSET if opset_version is None else opset_version
    if opset not in OPSETS:
        raise ValueError(f"export: opset_version must be from {OPSETS[0]} to {OPSETS[-1]}, got {opset}")
    arguments = tuple(args) if isinstance(args, (tuple, list)) else (args,)
    named = dict(kwargs or {})
    if kwargs is None and arguments and isinstance(arguments[-1], dict):  # PyTorch's older way to say kwargs
        *rest, named = arguments
        arguments = tuple(rest)
    modes = _modes(model) if training is not TrainingMode.PRESERVE else []
    before = _exporting
    try:
        _exporting = True
        for module, _ in modes:
            module.training = training is TrainingMode.TRAINING
        proto = build(model, arguments, named, input_names or (), output_names or (), dynamic_axes or {}, opset)
    finally:
        _exporting = before
        for module, mode in modes:
            module.training = mode
    program = ONNXProgram(proto)
    if verbose:
        print(onnx.printer.to_text(proto))
    if f is not None:
        program.save(f)
    return program


def _modes(model: Any) -> list[tuple[Any, bool]]:
    """The modules of a model, and whether each is in training mode."""
    return [(module, module.training) for module in model.modules()] if hasattr(model, "modules") else []


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Any, opset_version: int) -> None:
    """Accepted: operations are mapped by what they do, not by their names in TorchScript."""


def unregister_custom_op_symbolic(symbolic_name: str, opset_version: int) -> None:
    """Accepted: operations are mapped by what they do, not by their names in TorchScript."""


def parse_args(*kinds: str) -> Callable[[Any], Any]:
    """A decorator that returns its function: it would matter for :func:`register_custom_op_symbolic` only."""
    return lambda function: function


def __getattr__(name: str) -> Any:
    if name.startswith("symbolic_"):  # PyTorch's modules of functions for TorchScript, such as symbolic_opset11
        return sys.modules[__name__]
    return missing_attribute("torch.onnx")(name)
