"""Hooks of modules: handles, the registries that hold for every module, and calls through hooks."""

from __future__ import annotations

import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self

Hook = Callable[..., Any]
HookTable = OrderedDict[int, Hook]

__all__ = [
    "HookMixin",
    "RemovableHandle",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]


class RemovableHandle:
    """What the register functions return: `remove()` (or leaving its `with` block) unregisters the hook."""

    id: int
    next_id: int = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1
        extra = extra_dict if isinstance(extra_dict, (list, tuple)) else [extra_dict]
        self.extra_dict_ref = tuple(weakref.ref(table) for table in extra if table is not None)

    def remove(self) -> None:
        """Unregister the hook; calling it again does nothing."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            table = reference()
            if table is not None:
                table.pop(self.id, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.remove()

    def __getstate__(self) -> tuple[Any, ...]:
        return self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        hooks_dict, self.id, extra = state
        self.hooks_dict_ref = weakref.ref(OrderedDict() if hooks_dict is None else hooks_dict)
        self.extra_dict_ref = tuple(weakref.ref(table) for table in extra if table is not None)
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)


class _GlobalHooks:
    """The hooks that hold for every module; `any_call_hook` is what a call without hooks has to look at."""

    def __init__(self) -> None:
        self.forward: HookTable = OrderedDict()
        self.forward_with_kwargs: OrderedDict[int, bool] = OrderedDict()
        self.forward_always: OrderedDict[int, bool] = OrderedDict()
        self.forward_pre: HookTable = OrderedDict()
        self.backward: HookTable = OrderedDict()
        self.backward_pre: HookTable = OrderedDict()
        self.backward_is_full: bool | None = None
        self.parameter: HookTable = OrderedDict()
        self.buffer: HookTable = OrderedDict()
        self.module: HookTable = OrderedDict()


global_hooks: _GlobalHooks = _GlobalHooks()
# A call needs the slow path when one of these is not empty; one truth test each, and usually one in all.
call_tables = (global_hooks.forward, global_hooks.forward_pre, global_hooks.backward, global_hooks.backward_pre)


def _add(table: HookTable, hook: Hook, extra: Iterable[Any] = (), prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(table, extra_dict=list(extra))
    table[handle.id] = hook
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


def register_module_parameter_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, parameter)` at every registration of a parameter; a result replaces it."""
    return _add(global_hooks.parameter, hook)


def register_module_buffer_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, buffer)` at every registration of a buffer; a result replaces it."""
    return _add(global_hooks.buffer, hook)


def register_module_module_registration_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, name, submodule)` at every registration of a submodule; a result replaces it."""
    return _add(global_hooks.module, hook)


def register_module_forward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, args)` before the forward of every module; a result replaces the arguments."""
    return _add(global_hooks.forward_pre, hook)


def register_module_forward_hook(
    hook: Hook, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after the forward of every module; a result replaces the output.

    Args:
        hook: called as `hook(module, args, kwargs, output)` if `with_kwargs`.
        with_kwargs: whether the hook also gets the keyword arguments of the call.
        always_call: whether the hook is also called when the forward raises.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> with nn.modules.module.register_module_forward_hook(lambda m, args, out: out + 1):
        ...     nn.Identity()(fastnn.zeros(2))
        tensor([1., 1.])
    """
    handle = _add(global_hooks.forward, hook, (global_hooks.forward_with_kwargs, global_hooks.forward_always))
    if with_kwargs:
        global_hooks.forward_with_kwargs[handle.id] = True
    if always_call:
        global_hooks.forward_always[handle.id] = True
    return handle


def register_module_backward_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` at the last node of every module's output (deprecated)."""
    if global_hooks.backward_is_full is True:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Please use only one of them."
        )
    global_hooks.backward_is_full = False
    return _add(global_hooks.backward, hook)


def register_module_full_backward_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_output)` before the backward of every module; a result replaces it."""
    return _add(global_hooks.backward_pre, hook)


def register_module_full_backward_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` after the backward of every module."""
    if global_hooks.backward_is_full is False:
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Please use only one of them."
        )
    global_hooks.backward_is_full = True
    return _add(global_hooks.backward, hook)


_gradient_tap: Any = None


def _get_gradient_tap() -> Any:
    """An identity whose backward hands its gradients to a function, and passes on what that returns."""
    global _gradient_tap
    if _gradient_tap is None:
        from fastnn.autograd import Function

        class BackwardHookFunction(Function):
            @staticmethod
            def forward(ctx: Any, on_backward: Hook, *tensors: Tensor) -> tuple[Tensor, ...]:
                ctx.on_backward = on_backward
                tapped = tuple(tensor.detach() for tensor in tensors)
                pairs = zip(tapped, tensors, strict=True)
                ctx.mark_non_differentiable(*(tap for tap, tensor in pairs if not tensor.requires_grad))
                return tapped

            @staticmethod
            def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
                return (None, *ctx.on_backward(grads))

        _gradient_tap = BackwardHookFunction
    return _gradient_tap


def _tap(on_backward: Hook, values: tuple[Any, ...]) -> tuple[tuple[Any, ...], list[int] | None]:
    """Let `on_backward` see the gradients of the tensors among `values`; also says where those are."""
    where = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    if not _C.is_grad_enabled() or not any(values[i].requires_grad for i in where):
        return values, None
    tapped = _get_gradient_tap().apply(on_backward, *(values[i] for i in where))
    result = list(values)
    for i, tensor in zip(where, tapped, strict=True):
        result[i] = tensor
    fields = getattr(type(values), "_make", tuple)
    return fields(result), where


def _spread(where: list[int], values: Iterable[Any], size: int) -> tuple[Any, ...]:
    """A tuple of `size` Nones with `values` at the places `where`."""
    spread: list[Any] = [None] * size
    for i, value in zip(where, values, strict=True):
        spread[i] = value
    return tuple(spread)


class _BackwardHooks:
    """The backward hooks of one call of a module: its inputs and its output are tapped."""

    def __init__(self, module: Any, hooks: list[Hook], pre_hooks: list[Hook]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_output: tuple[Any, ...] = ()
        self.input_where: list[int] | None = None
        self.input_count = 0
        self.output_where: list[int] = []
        self.output_count = 0

    def tap_input(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.input_count = len(args)
        args, self.input_where = _tap(self._on_grad_input, args)
        return args

    def tap_output(self, output: Any) -> Any:
        values = output if isinstance(output, tuple) else (output,)
        if not all(isinstance(value, Tensor) for value in values):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
                f"but received {type(output)}",
                stacklevel=4,
            )
            if not isinstance(output, (Tensor, tuple)):
                return output
        self.output_count = len(values)
        values, where = _tap(self._on_grad_output, values)
        if where is None:
            return output
        self.output_where = where
        return values if isinstance(output, tuple) else values[0]

    def _on_grad_output(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        grad_output = _spread(self.output_where, grads, self.output_count)
        for hook in self.pre_hooks:
            grad_output = _replaced(hook(self.module, grad_output), grad_output, "Backward pre hook", "grad_output")
        self.grad_output = grad_output
        if self.input_where is None:
            warnings.warn(
                "Full backward hook is firing when gradients are computed with respect to module outputs "
                "since no inputs require gradients.",
                stacklevel=5,
            )
            grad_input = (None,) * self.input_count
            for hook in self.hooks:
                result = hook(self.module, grad_input, grad_output)
                if result is not None and not (isinstance(result, tuple) and all(value is None for value in result)):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return "
                        "None or None for all gradients."
                    )
        return tuple(grad_output[i] for i in self.output_where)

    def _on_grad_input(self, grads: tuple[Any, ...]) -> tuple[Any, ...]:
        where = self.input_where or []
        grad_input = _spread(where, grads, self.input_count)
        for hook in self.hooks:
            result = hook(self.module, grad_input, self.grad_output)
            grad_input = _replaced(result, grad_input, "Backward hook", "grad_input")
        self.grad_output = ()
        return tuple(grad_input[i] for i in where)


def _replaced(result: Any, current: tuple[Any, ...], hook: str, what: str) -> tuple[Any, ...]:
    """`current`, or what a hook returned in its place."""
    if result is None:
        return current
    result = result if isinstance(result, tuple) else (result,)
    if len(result) != len(current):
        raise RuntimeError(
            f"{hook} returned an invalid number of {what}, got {len(result)}, but expected {len(current)}"
        )
    return tuple(result)


class HookMixin:
    """The part of Module that registers hooks and runs a call through them."""

    forward: Callable[..., Any]
    _forward_hooks: HookTable
    _forward_hooks_with_kwargs: OrderedDict[int, bool]
    _forward_hooks_always_called: OrderedDict[int, bool]
    _forward_pre_hooks: HookTable
    _forward_pre_hooks_with_kwargs: OrderedDict[int, bool]
    _backward_hooks: HookTable
    _backward_pre_hooks: HookTable
    _is_full_backward_hook: bool | None

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before every forward; a result replaces the positional arguments.

        Args:
            hook: the function. With `with_kwargs` it is called as `hook(module, args, kwargs)`, and
                returns None or `(args, kwargs)`.
            prepend: whether it runs before the hooks that this module already has.
            with_kwargs: whether it also gets the keyword arguments.

        Example:
            >>> import fastnn; from fastnn import nn
            >>> m = nn.Identity()
            >>> with m.register_forward_pre_hook(lambda module, args: args[0] * 2):
            ...     m(fastnn.ones(2))
            tensor([2., 2.])
        """
        handle = _add(self._forward_pre_hooks, hook, (self._forward_pre_hooks_with_kwargs,), prepend)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs[handle.id] = True
        return handle

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after every forward; a result replaces the output.

        Args:
            hook: the function. With `with_kwargs` it is called as `hook(module, args, kwargs, output)`.
            prepend: whether it runs before the hooks that this module already has.
            with_kwargs: whether it also gets the keyword arguments.
            always_call: whether it is also called, with output None, when the forward raises.

        Example:
            >>> import fastnn; from fastnn import nn
            >>> m = nn.Identity()
            >>> with m.register_forward_hook(lambda module, args, output: output + 1):
            ...     m(fastnn.ones(2))
            tensor([2., 2.])
        """
        extra = (self._forward_hooks_with_kwargs, self._forward_hooks_always_called)
        handle = _add(self._forward_hooks, hook, extra, prepend)
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        return handle

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the module's backward; a result replaces `grad_output`."""
        return _add(self._backward_pre_hooks, hook, prepend=prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` once the gradients of the inputs are known.

        `grad_input` and `grad_output` are tuples, with None where an argument is no tensor. A result
        replaces `grad_input`.

        Raises:
            RuntimeError: the module already has hooks from `register_backward_hook`.

        Example:
            >>> import fastnn; from fastnn import nn
            >>> m = nn.Identity()
            >>> handle = m.register_full_backward_hook(lambda module, gi, go: (gi[0] * 10,))
            >>> x = fastnn.ones(2, requires_grad=True)
            >>> m(x).sum().backward()
            >>> x.grad
            tensor([10., 10.])
        """
        self._claim_backward_hooks(full=True)
        return _add(self._backward_hooks, hook, prepend=prepend)

    def register_backward_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` at the node that made the output (deprecated).

        `grad_input` belongs to that one node, not to the module: prefer `register_full_backward_hook`.
        """
        self._claim_backward_hooks(full=False)
        return _add(self._backward_hooks, hook)

    def _claim_backward_hooks(self, full: bool) -> None:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. "
                "Please use only one of them."
            )
        self._is_full_backward_hook = full

    def _call_hooked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What `__call__` does when there are hooks."""
        called: set[int] = set()
        try:
            return self._call_through_hooks(args, kwargs, called)
        except Exception:
            if self._forward_hooks_always_called or global_hooks.forward_always:
                self._call_remaining_hooks(args, kwargs, called)
            raise

    def _call_through_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any], called: set[int]) -> Any:
        everywhere = global_hooks
        backward_pre = [*everywhere.backward_pre.values(), *self._backward_pre_hooks.values()]
        full: list[Hook] = []
        at_node: list[Hook] = []
        (full if everywhere.backward_is_full else at_node).extend(everywhere.backward.values())
        (full if self._is_full_backward_hook else at_node).extend(self._backward_hooks.values())

        for hook in tuple(everywhere.forward_pre.values()):
            args = _new_args(hook(self, args), args)
        for hook_id, hook in tuple(self._forward_pre_hooks.items()):
            if hook_id in self._forward_pre_hooks_with_kwargs:
                result = hook(self, args, kwargs)
                if result is not None:
                    if not (isinstance(result, tuple) and len(result) == 2):
                        raise RuntimeError(
                            f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {result}."
                        )
                    args, kwargs = result
            else:
                args = _new_args(hook(self, args), args)

        taps = _BackwardHooks(self, full, backward_pre) if full or backward_pre else None
        if taps is not None:
            args = taps.tap_input(args)
        output = self.forward(*args, **kwargs)
        for table, with_kwargs in (
            (everywhere.forward, everywhere.forward_with_kwargs),
            (self._forward_hooks, self._forward_hooks_with_kwargs),
        ):
            for hook_id, hook in tuple(table.items()):
                called.add(hook_id)
                if hook_id in with_kwargs:
                    result = hook(self, args, kwargs, output)
                else:
                    result = hook(self, args, output)
                if result is not None:
                    output = result
        if taps is not None:
            output = taps.tap_output(output)
        if at_node:
            self._hook_output_node(output, at_node)
        return output

    def _hook_output_node(self, output: Any, hooks: list[Hook]) -> None:
        """Register non-full backward hooks at the node of the first tensor in `output`."""
        tensor = output
        while not isinstance(tensor, Tensor):
            tensor = (
                next(v for v in tensor.values() if isinstance(v, Tensor)) if isinstance(tensor, dict) else tensor[0]
            )
        if tensor.grad_fn is not None:
            for hook in hooks:
                tensor.grad_fn.register_hook(_bind_module(hook, self))

    def _call_remaining_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any], called: set[int]) -> None:
        """After a forward that raised: run the `always_call` hooks that have not run yet."""
        for table, with_kwargs, always in (
            (global_hooks.forward, global_hooks.forward_with_kwargs, global_hooks.forward_always),
            (self._forward_hooks, self._forward_hooks_with_kwargs, self._forward_hooks_always_called),
        ):
            for hook_id, hook in tuple(table.items()):
                if hook_id not in always or hook_id in called:
                    continue
                try:
                    if hook_id in with_kwargs:
                        hook(self, args, kwargs, None)
                    else:
                        hook(self, args, None)
                except Exception as error:
                    warnings.warn(
                        f"module forward hook with ``always_call=True`` raised an exception: {error}; "
                        "the error of the forward is the one that is passed on",
                        stacklevel=4,
                    )


def _new_args(result: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    if result is None:
        return args
    return result if isinstance(result, tuple) else (result,)


def _bind_module(hook: Hook, module: Any) -> Hook:
    def call(grad_input: Any, grad_output: Any) -> Any:
        return hook(module, grad_input, grad_output)

    return call


def run_registration_hooks(table: Mapping[int, Hook], module: Any, name: str, value: Any) -> Any:
    """`value`, or what the last hook in `table` put in its place."""
    for hook in tuple(table.values()):
        result = hook(module, name, value)
        if result is not None:
            value = result
    return value
