"""``torch.compile`` and what belongs to it. Kernels are compiled ahead of time; programs run as they are written."""

from __future__ import annotations

import functools
from contextlib import nullcontext
from typing import Any

from ._dynamo import (
    allow_in_graph,
    assume_constant_result,
    disable,
    is_compiling,
    list_backends,
    reset,
)
from ._missing import missing_attribute

__all__ = [
    "allow_in_graph",
    "assume_constant_result",
    "compile",
    "cudagraph_mark_step_begin",
    "disable",
    "is_compiling",
    "is_dynamo_compiling",
    "is_exporting",
    "list_backends",
    "nested_compile_region",
    "reset",
    "set_stance",
    "substitute_in_graph",
    "wrap_numpy",
]

is_dynamo_compiling = is_exporting = is_compiling


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """The model or function as ``torch.compile`` returns it; it runs as it did before.

    Kernels of fastnn are compiled when it is built, so there is nothing to compile at run time.

    Args:
        model: a module, which is wrapped in an ``OptimizedModule``, or a function; None for a decorator.
        fullgraph, dynamic, backend, mode, options: accepted for compatibility.
        disable: return the model itself.

    Raises:
        RuntimeError: both ``mode`` and ``options`` are given, or the model cannot be called.

    Example:
        >>> import fastnn
        >>> net = fastnn.nn.Linear(2, 1)
        >>> compiled = fastnn.compile(net)
        >>> compiled.in_features, compiled(fastnn.ones(3, 2)).shape, next(iter(compiled.state_dict()))
        (2, torch.Size([3, 1]), '_orig_mod.weight')
    """
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    if model is None:
        return functools.partial(compile, disable=disable)
    if not callable(model):
        raise RuntimeError(f"torch.compile: expected a module or a function, but got {type(model).__name__}")
    from .nn.modules.module import Module

    if disable:
        return model
    if isinstance(model, Module):
        from ._dynamo.eval_frame import OptimizedModule

        return model if isinstance(model, OptimizedModule) else OptimizedModule(model)

    @functools.wraps(model)
    def compiled(*args: Any, **kwargs: Any) -> Any:
        return model(*args, **kwargs)

    compiled._torchdynamo_orig_callable = model  # type: ignore[attr-defined]
    return compiled


def cudagraph_mark_step_begin() -> None:
    """Nothing to mark."""


def set_stance(*args: Any, **kwargs: Any) -> Any:
    """A block in which everything is as before."""
    return nullcontext()


def substitute_in_graph(original_fn: Any, **kwargs: Any) -> Any:
    """A decorator that returns its function."""
    return lambda function: function


def nested_compile_region(fn: Any = None, **kwargs: Any) -> Any:
    """The function itself."""
    return fn if fn is not None else lambda function: function


def wrap_numpy(fn: Any) -> Any:
    """A function of NumPy arrays as one of tensors.

    Example:
        >>> import fastnn
        >>> fastnn.compiler.wrap_numpy(lambda a: a + 1)(fastnn.ones(1))
        tensor([2.])
    """
    import numpy as np

    from fastnn import _C

    @functools.wraps(fn)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        def to_numpy(value: Any) -> Any:
            return value.numpy() if isinstance(value, _C.Tensor) else value

        result = fn(*map(to_numpy, args), **{name: to_numpy(value) for name, value in kwargs.items()})
        return _C.from_numpy(result) if isinstance(result, np.ndarray) else result

    return wrapped


__getattr__ = missing_attribute("torch.compiler")
