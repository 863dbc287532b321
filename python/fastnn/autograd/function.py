"""Functions with a derivative written in Python."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fastnn import _C
from fastnn._C import Tensor

from .grad_mode import no_grad

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BackwardCFunction", "Function", "FunctionCtx", "NestedIOFunction", "once_differentiable"]

# Set by vmap: applies a function to tensors that it maps over; NotImplemented if there are none.
batched_apply: Callable[..., Any] | None = None

F = TypeVar("F", bound="Callable[..., Any]")


class FunctionCtx:
    """What ``forward`` hands to ``backward``."""

    needs_input_grad: tuple[bool, ...] = ()
    materialize_grads: bool = True

    def __init__(self) -> None:
        self._to_save: tuple[Tensor | None, ...] = ()
        self._saved: list[Any] | None = None
        self._dirty: tuple[Tensor, ...] = ()
        self._non_differentiable: tuple[Tensor, ...] = ()
        self._shapes: list[tuple[Any, Any]] = []

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for ``backward``, where they are ``ctx.saved_tensors``."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument is of type {type(tensor).__name__}"
                )
        self._to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for ``jvp``, as ``ctx.saved_for_forward``. Forward mode here differentiates ``backward``."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_forward expects all arguments to be tensors; you should save non-tensors as attributes "
                    f"on ctx, got {type(tensor).__name__}"
                )
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Say which inputs ``forward`` changed in place."""
        self._dirty = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Say which outputs have no gradient."""
        self._non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` gets zeros (the default) or None for outputs without a gradient."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What was saved."""
        if self._saved is None:
            if self._freed:
                raise RuntimeError(
                    "Trying to backward through the graph a second time (or directly access saved tensors after they "
                    "have already been freed). Saved intermediate values of the graph are freed when you call "
                    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
                    "graph a second time or if you need to access saved tensors after calling backward."
                )
            return self._to_save
        return tuple(None if saved is None else saved.get() for saved in self._saved)

    _freed = False

    def _release(self) -> None:
        self._saved = None
        self._to_save = ()
        self._freed = True


BackwardCFunction = FunctionCtx


class Function:
    r"""A function with its own derivative.

    Subclasses define static methods ``forward(ctx, *args)`` (or ``forward(*args)`` and ``setup_context(ctx, inputs,
    output)``) and ``backward(ctx, *grad_outputs)``, which returns one gradient (or None) for each argument of forward.

    Example::

        >>> import fastnn
        >>> class Double(fastnn.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         return x * 2
        ...     @staticmethod
        ...     def backward(ctx, grad):
        ...         return grad * 2
        >>> x = fastnn.ones(2, requires_grad=True)
        >>> Double.apply(x).sum().backward()
        >>> x.grad
        tensor([2., 2.])
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Fill ``ctx`` when ``forward`` does not take it."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Compute the gradients of the inputs."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """The derivative in forward mode, which here is derived from ``backward``."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        """The function on a batch: ``(output, out_dims)`` from arguments with the batch in ``in_dims``."""
        raise NotImplementedError("To use autograd.Function with vmap, you must either override the vmap staticmethod")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            f"{type(self).__name__} should not be instantiated. Methods on autograd functions are all static, so you "
            "should invoke them on the class itself: call apply."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward`` and record ``backward``."""
        if batched_apply is not None:
            mapped = batched_apply(cls, args, kwargs)
            if mapped is not NotImplemented:
                return mapped
        ctx = FunctionCtx()
        needs = tuple(isinstance(arg, Tensor) and arg.requires_grad for arg in args)
        ctx.needs_input_grad = needs
        record = any(needs) and _C.is_grad_enabled()
        with no_grad():
            if cls.setup_context is not Function.setup_context:
                result = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args, **kwargs)
        outputs = list(result) if isinstance(result, (tuple, list)) else [result]
        if not record:
            ctx._to_save = () if not _C.is_grad_enabled() else ctx._to_save
            return result
        outputs = _record(cls, ctx, args, outputs)
        return tuple(outputs) if isinstance(result, (tuple, list)) else outputs[0]

    vjp = backward
    generate_vmap_rule = False


def _contains(tensors: tuple[Any, ...], tensor: Any) -> bool:
    return any(tensor is one for one in tensors)


def _record(cls: type[Function], ctx: FunctionCtx, args: tuple[Any, ...], outputs: list[Any]) -> list[Any]:
    tensor_positions = [i for i, arg in enumerate(args) if isinstance(arg, Tensor)]
    inputs = [args[i] for i in tensor_positions]

    def run(*gradients: Tensor | None) -> tuple[Any, ...]:
        given: list[Any] = list(gradients)
        if ctx.materialize_grads:
            given = [
                _C.zeros(shape, dtype=dtype) if one is None else one
                for one, (shape, dtype) in zip(given, ctx._shapes, strict=True)
            ]
        method = cls.backward if cls.backward is not Function.backward else cls.vjp
        returned = method(ctx, *given)
        if not isinstance(returned, (tuple, list)):
            returned = (returned,)
        extra = len(returned) - len(args)
        if (extra > 0 and any(one is not None for one in returned[len(args) :])) or extra < 0:
            raise RuntimeError(
                f"function {cls.__name__}Backward returned an incorrect number of gradients (expected {len(args)}, "
                f"got {len(returned)})"
            )
        for i, one in enumerate(returned[: len(args)]):
            if one is not None and not args_are_tensors[i]:
                raise RuntimeError(
                    f"function {cls.__name__}Backward returned a gradient different than None at position {i + 1}, "
                    "but the corresponding forward input was not a Variable"
                )
        return tuple(returned[i] for i in tensor_positions)

    args_are_tensors = [isinstance(arg, Tensor) for arg in args]
    node = _C._make_python_node(f"{cls.__name__}Backward", inputs, run, ctx._release)
    slot_of_output = {}
    for slot, output in enumerate(outputs):
        if not isinstance(output, Tensor):
            continue
        if _contains(ctx._dirty, output):
            _C._set_node(output, node, slot)
        elif _contains(args, output):
            # An input returned as it is becomes an output of its own.
            output = outputs[slot] = _C._alias(output.detach())
        slot_of_output[id(output)] = slot
    ctx._shapes = [(tuple(one.shape), one.dtype) if isinstance(one, Tensor) else ((), _C.float32) for one in outputs]
    tensors = [one if isinstance(one, Tensor) else _C.zeros(()) for one in outputs]
    differentiable = [
        isinstance(one, Tensor)
        and _is_differentiable(one)
        and not _contains(ctx._non_differentiable, one)
        and not _contains(ctx._dirty, one)
        for one in outputs
    ]
    saved: list[Any] = []
    for tensor in ctx._to_save:
        slot = slot_of_output.get(id(tensor), -1)
        saved.append(None if tensor is None else _C._Saved(tensor, slot >= 0, max(slot, 0)))
    _C._attach_outputs(node, tensors, differentiable)
    ctx._saved = saved
    ctx._to_save = ()
    return outputs


def _is_differentiable(tensor: Tensor) -> bool:
    return tensor.dtype.is_floating_point or tensor.dtype.is_complex


def once_differentiable(function: F) -> F:
    """Mark a ``backward`` whose result must not be differentiated again."""

    @functools.wraps(function)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with no_grad():
            results = function(ctx, *args)
        if not _C.is_grad_enabled() or not any(isinstance(arg, Tensor) and arg.requires_grad for arg in args):
            return results
        as_tuple = results if isinstance(results, tuple) else (results,)

        def fail(*_: Any) -> Any:
            raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")

        inputs = [arg for arg in args if isinstance(arg, Tensor)]
        node = _C._make_python_node("OnceDifferentiable", inputs, fail, None)
        marked = [one.detach() if isinstance(one, Tensor) else one for one in as_tuple]
        tensors = [one if isinstance(one, Tensor) else _C.zeros(()) for one in marked]
        _C._attach_outputs(node, tensors, [isinstance(one, Tensor) and _is_differentiable(one) for one in marked])
        return tuple(marked) if isinstance(results, tuple) else marked[0]

    return cast("F", wrapper)


class NestedIOFunction(Function):
    """Accepted for old code."""
