"""Operations made of Python functions: ``custom_op`` with a derivative, and their places in ``torch.ops``."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from ._missing import missing_attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "CustomOpDef",
    "Library",
    "custom_op",
    "define",
    "fallthrough_kernel",
    "get_ctx",
    "impl",
    "impl_abstract",
    "infer_schema",
    "opcheck",
    "register_autograd",
    "register_fake",
    "register_kernel",
    "register_vmap",
    "triton_op",
    "wrap_triton",
]

# The functions behind torch.ops.<namespace>.<name>, under "namespace::name".
REGISTRY: dict[str, Any] = {}


class CustomOpDef:
    """An operation made by :func:`custom_op`: a function, its CPU kernel if there is another, and its derivative."""

    def __init__(self, name: str, function: Callable[..., Any], mutates_args: Iterable[str] | str) -> None:
        if name.count("::") != 1:
            raise ValueError(f"custom_op: the name must look like 'namespace::name', but got {name!r}")
        self._qualname = name
        self._init_fn = function
        self._kernel = function
        self._signature = inspect.signature(function)
        self._mutates = mutates_args
        self._backward: Callable[..., Any] | None = None
        self._setup: Callable[..., Any] | None = None
        functools.update_wrapper(self, function)
        REGISTRY[name] = self

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if self._backward is None:
            return self._kernel(*args, **kwargs)
        return _differentiable(self).apply(*bound.arguments.values())

    def register_kernel(self, device_types: Any, fn: Callable[..., Any] | None = None, /) -> Callable[..., Any]:
        """Another implementation for a device; only that for ``"cpu"`` is ever used."""
        types = (device_types,) if isinstance(device_types, str) else device_types

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            if types is None or "cpu" in types:
                self._kernel = function
            return function

        return register if fn is None else register(fn)

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """What gives shapes without computing; accepted and not needed: nothing is traced."""
        return fn

    def register_autograd(
        self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None
    ) -> None:
        """The derivative.

        Args:
            backward: ``backward(ctx, *gradients)``, which returns a gradient for each input.
            setup_context: ``setup_context(ctx, inputs, output)``, which keeps what the derivative needs.
        """
        self._backward, self._setup = backward, setup_context

    def register_vmap(self, func: Callable[..., Any] | None = None, /) -> Any:
        """Accepted for compatibility."""
        return func if func is not None else lambda function: function

    def register_torch_dispatch(self, torch_dispatch_class: Any, fn: Any = None, /) -> Any:
        """Accepted for compatibility."""
        return fn if fn is not None else lambda function: function

    def register_autocast(self, device_type: str, cast_inputs: Any) -> None:
        """Accepted for compatibility."""

    def set_kernel_enabled(self, device_type: str, enabled: bool = True) -> Any:
        """Accepted for compatibility."""
        from contextlib import nullcontext

        return nullcontext()


def _differentiable(op: CustomOpDef) -> Any:
    """The autograd function of an operation."""
    from .autograd import Function

    class Operation(Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            output = op._kernel(*inputs)
            if op._setup is not None:
                op._setup(ctx, inputs, output)
            return output

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            assert op._backward is not None
            return op._backward(ctx, *gradients)

    Operation.__name__ = op._qualname.split("::")[1]
    return Operation


def custom_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: str | Iterable[str] = "unknown",
    device_types: str | Sequence[str] | None = None,
    schema: str | None = None,
    tags: Any = None,
) -> Any:
    """Make an operation of a function; it is also ``torch.ops.<namespace>.<name>``.

    Args:
        name: ``"namespace::name"``.
        fn: the function; without it a decorator is returned.
        mutates_args: names of the arguments that it writes to.
        device_types, schema, tags: accepted for compatibility.

    Raises:
        ValueError: the name has no namespace.

    Example:
        >>> import fastnn
        >>> @fastnn.library.custom_op("mylib::twice", mutates_args=())
        ... def twice(x: fastnn.Tensor) -> fastnn.Tensor:
        ...     return fastnn.tensor(2 * x.numpy())
        >>> twice.register_autograd(lambda ctx, gradient: 2 * gradient)
        >>> x = fastnn.ones(2, requires_grad=True)
        >>> fastnn.ops.mylib.twice(x).sum().backward()
        >>> x.grad
        tensor([2., 2.])
    """

    def make(function: Callable[..., Any]) -> CustomOpDef:
        return CustomOpDef(name, function, mutates_args)

    return make if fn is None else make(fn)


triton_op = custom_op


def wrap_triton(triton_kernel: Any, /) -> Any:
    """An error: Triton's kernels run on GPUs."""
    raise RuntimeError("wrap_triton: Triton's kernels need a GPU, and fastnn runs on the CPU only")


class Library:
    """A namespace of operations, defined by schema and implemented by functions.

    Args:
        ns: the namespace.
        kind: ``"DEF"``, ``"IMPL"`` or ``"FRAGMENT"``.

    Example:
        >>> import fastnn
        >>> library = fastnn.library.Library("mylib2", "DEF")
        >>> _ = library.define("half(Tensor x) -> Tensor")
        >>> library.impl("half", lambda x: x / 2, "CPU")
        >>> fastnn.ops.mylib2.half(fastnn.ones(1))
        tensor([0.5000])
    """

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        if kind not in ("DEF", "IMPL", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind}")
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Name an operation by its schema; its name."""
        return schema.split("(")[0].split(".")[0].strip()

    def impl(self, op_name: Any, fn: Callable[..., Any], dispatch_key: str = "", **kwargs: Any) -> None:
        """Give the operation its function. Those for other devices are left aside."""
        key = dispatch_key or self.dispatch_key or "CPU"
        if key in ("CPU", "CompositeImplicitAutograd", "CompositeExplicitAutograd", ""):
            name = op_name if isinstance(op_name, str) else op_name.__name__
            REGISTRY[f"{self.ns}::{name.split('::')[-1].split('.')[0]}"] = fn

    def _register_fake(self, op_name: str, fn: Any, **kwargs: Any) -> None:
        """Accepted and not needed."""

    def _destroy(self) -> None:
        for name in [name for name in REGISTRY if name.startswith(f"{self.ns}::")]:
            del REGISTRY[name]


def define(qualname: str, schema: str = "", *, lib: Library | None = None, tags: Any = ()) -> Any:
    """Accepted: the schema of an operation whose function :func:`impl` gives."""
    return None


def impl(qualname: str, types: Any, func: Callable[..., Any] | None = None, *, lib: Library | None = None) -> Any:
    """Give an operation that :func:`define` named its function for a device type."""
    keys = (types,) if isinstance(types, str) else types

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        name = qualname if "::" in qualname or lib is None else f"{lib.ns}::{qualname}"
        if {key.lower() for key in keys} & {"cpu", "default", "compositeimplicitautograd", "compositeexplicitautograd"}:
            REGISTRY[name.split(".")[0]] = function
        return function

    return register if func is None else register(func)


def _of_custom_op(op: Any) -> CustomOpDef | None:
    name = op if isinstance(op, str) else getattr(op, "_qualname", None) or getattr(op, "name", str)()
    found = REGISTRY.get(name)
    return found if isinstance(found, CustomOpDef) else None


def register_fake(op: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None, **kwargs: Any) -> Any:
    """What gives shapes without computing; accepted and not needed: nothing is traced."""
    return func if func is not None else lambda function: function


impl_abstract = register_fake
register_vmap = register_fake
register_torch_dispatch = register_fake


def register_kernel(op: Any, device_types: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None) -> Any:
    """Another implementation of a custom operation for a device."""
    found = _of_custom_op(op)
    if found is None:
        raise RuntimeError(f"register_kernel: there is no operation {op!r}; make it with custom_op")
    return found.register_kernel(device_types, func)


def register_autograd(
    op: Any, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None, lib: Any = None
) -> None:
    """The derivative of an operation; see :meth:`CustomOpDef.register_autograd`."""
    found = _of_custom_op(op)
    if found is None:
        name = op if isinstance(op, str) else op.name()
        if name not in REGISTRY:
            raise RuntimeError(f"register_autograd: there is no operation {op!r}; make it with custom_op")
        found = CustomOpDef(name, REGISTRY[name], ())
    found.register_autograd(backward, setup_context=setup_context)


def register_autocast(op: Any, device_type: str, cast_inputs: Any, /, *, lib: Any = None) -> None:
    """Accepted for compatibility."""


def infer_schema(prototype_function: Callable[..., Any], /, *, mutates_args: Any, op_name: str | None = None) -> str:
    """The parameters of a function with their annotations, as text."""
    return f"{op_name or ''}{inspect.signature(prototype_function)}"


def get_ctx() -> Any:
    """An error: shapes are never asked for without computing."""
    raise RuntimeError("get_ctx() can only be called while a program is traced, and fastnn does not trace")


def fallthrough_kernel(*args: Any, **kwargs: Any) -> Any:
    """A mark for "no function here"; it cannot be called."""
    raise NotImplementedError("fallthrough_kernel() should never be called.")


def opcheck(op: Any, args: Any, kwargs: Any = None, **options: Any) -> dict[str, str]:
    """Call the operation with sample arguments; whether it runs is all that can go wrong here."""
    op(*args, **(kwargs or {}))
    return {"test_schema": "SUCCESS"}


__getattr__ = missing_attribute("torch.library")
