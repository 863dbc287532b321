"""TorchScript's names. Nothing is compiled: ``script`` and ``trace`` return what they get, and say so once."""

from __future__ import annotations

import functools
import warnings
from concurrent.futures import Future as _Future
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ._missing import missing_attribute
from .nn.modules.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Attribute",
    "Error",
    "Final",
    "Future",
    "ScriptFunction",
    "ScriptModule",
    "annotate",
    "export",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "optimize_for_inference",
    "optimized_execution",
    "save",
    "script",
    "script_if_tracing",
    "trace",
    "trace_module",
    "unused",
    "wait",
]

F = TypeVar("F")
Future = _Future
# What annotations of programs are made of.
List, Dict, Tuple = list, dict, tuple
BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = list
_isinstance = isinstance


class Error(RuntimeError):
    """An error of a compiled program; none is raised here."""


class _OnlyByType(type):
    """No object is of such a type: nothing is compiled."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls.__module__ != __name__:
            return super().__call__(*args, **kwargs)
        raise RuntimeError(f"torch.jit.{cls.__name__}: fastnn has no TorchScript compiler")


class ScriptModule(Module, metaclass=_OnlyByType):
    """A compiled module: for ``isinstance`` and as a base class, which is then a module as any other."""


class RecursiveScriptModule(ScriptModule):
    """A compiled module: for ``isinstance``."""


class TracedModule(ScriptModule):
    """A traced module: for ``isinstance``."""


TopLevelTracedModule = TracedModule


class ScriptFunction(metaclass=_OnlyByType):
    """A compiled function: for ``isinstance``."""


class CompilationUnit(metaclass=_OnlyByType):
    """A compiled program: making one is an error."""


@functools.cache
def _warn(name: str) -> None:
    warnings.warn(
        f"torch.jit.{name}: fastnn has no TorchScript compiler; the model runs as it is", UserWarning, stacklevel=3
    )


def script(obj: F, optimize: Any = None, _frames_up: int = 0, _rcb: Any = None, example_inputs: Any = None) -> F:
    """The module, function or class itself, with one warning.

    Example:
        >>> import fastnn, warnings
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     fastnn.jit.script(len) is len
        True
    """
    _warn("script")
    return obj


def trace(func: F, example_inputs: Any = None, **kwargs: Any) -> F:
    """The module or function itself, with one warning. It is not run."""
    _warn("trace")
    return func


def trace_module(mod: F, inputs: Any, **kwargs: Any) -> F:
    """The module itself, with one warning."""
    _warn("trace_module")
    return mod


def freeze(mod: F, preserved_attrs: Any = None, optimize_numerics: bool = True) -> F:
    """The module itself; as in PyTorch it has to be in evaluation mode.

    Raises:
        RuntimeError: the module is in training mode.
    """
    module: Any = mod
    if _isinstance(module, Module) and module.training:
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode: call .eval() first")
    return mod


def optimize_for_inference(mod: F, other_methods: Any = None) -> F:
    """The module itself."""
    return mod


def export(fn: F) -> F:
    """The function itself."""
    return fn


def script_if_tracing(fn: F) -> F:
    """The function itself."""
    return fn


_script_if_tracing = script_if_tracing


def script_method(fn: F, _rcb: Any = None) -> F:
    """The function itself."""
    return fn


def interface(obj: F) -> F:
    """The class itself."""
    return obj


def unused(fn: F) -> F:
    """The function itself."""
    return fn


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """The function itself, also as ``ignore(drop=True)``."""
    return drop if callable(drop) else lambda function: function


def _overload(fn: F) -> F:
    return fn


_overload_method = _overload


def annotate(the_type: Any, the_value: F) -> F:
    """The value."""
    return the_value


class Attribute(tuple[Any, Any]):
    """A value and its type."""

    def __new__(cls, value: Any, type: Any) -> Attribute:
        return super().__new__(cls, (value, type))


def isinstance(obj: Any, target_type: Any) -> bool:
    """``isinstance``, also for generic types such as ``list[int]``, of which only the origin is checked."""
    from typing import get_origin

    kinds = target_type if _isinstance(target_type, tuple) else (target_type,)
    return _isinstance(obj, tuple(get_origin(kind) or kind for kind in kinds))


def is_scripting() -> bool:
    """False.

    Example:
        >>> import fastnn
        >>> fastnn.jit.is_scripting(), fastnn.jit.is_tracing()
        (False, False)
    """
    return False


def is_tracing() -> bool:
    """False."""
    return False


def fork(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
    """Call the function now; its result as a future."""
    future: Future[Any] = Future()
    try:
        future.set_result(func(*args, **kwargs))
    except BaseException as error:
        future.set_exception(error)
    return future


def wait(future: Future[Any]) -> Any:
    """The result of a future."""
    return future.result()


def load(f: Any, map_location: Any = None, _extra_files: Any = None, _restore_shapes: bool = False) -> Any:
    """An error: a TorchScript file is a program for PyTorch's interpreter."""
    raise NotImplementedError(
        f"torch.jit.load: {f} is a TorchScript program, which only PyTorch can run; save the state_dict with "
        "torch.save instead, and load it into the model's Python code"
    )


def save(m: Any, f: Any, _extra_files: Any = None) -> None:
    """An error: there is no TorchScript program to save."""
    raise NotImplementedError("torch.jit.save: fastnn has no TorchScript compiler; use torch.save(m.state_dict(), f)")


def _nothing(*args: Any, **kwargs: Any) -> None:
    """Accepted for compatibility."""


set_fusion_strategy = enable_onednn_fusion = _nothing


def onednn_fusion_enabled() -> bool:
    """False."""
    return False


class optimized_execution:
    """A block in which everything is as before."""

    def __init__(self, should_optimize: bool) -> None:
        self.should_optimize = should_optimize

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


class strict_fusion(optimized_execution):
    """A block in which everything is as before."""

    def __init__(self) -> None:
        super().__init__(True)


__getattr__ = missing_attribute("torch.jit")
