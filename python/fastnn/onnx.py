"""Export to ONNX, which needs tracing: calling it is an error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

from ._missing import missing_attribute

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OnnxExporterError", "export", "is_in_onnx_export"]


class OnnxExporterError(RuntimeError):
    """A model cannot be exported."""


class ONNXProgram:
    """An exported program: for annotations."""


def is_in_onnx_export() -> bool:
    """False."""
    return False


def export(*args: Any, **kwargs: Any) -> NoReturn:
    """An error: fastnn does not write ONNX files.

    Raises:
        OnnxExporterError: always.
    """
    raise OnnxExporterError(
        "torch.onnx.export: fastnn does not write ONNX files; save the state_dict and export it with PyTorch"
    )


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Any, opset_version: int) -> None:
    """Accepted: it would matter for an export only."""


def unregister_custom_op_symbolic(symbolic_name: str, opset_version: int) -> None:
    """Accepted: it would matter for an export only."""


def parse_args(*kinds: str) -> Callable[[Any], Any]:
    """A decorator that returns its function: it would matter for an export only."""
    return lambda function: function


dynamo_export = export


def __getattr__(name: str) -> Any:
    if name.startswith("symbolic_"):  # PyTorch's modules of functions that write ONNX, such as symbolic_opset11
        return sys.modules[__name__]
    return missing_attribute("torch.onnx")(name)
