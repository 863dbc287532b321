"""Optimizer: parameter groups, state, hooks and checkpoints, shared by every optimizer."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any, TypeAlias

from fastnn import _C
from fastnn._C import Tensor
from fastnn.utils.hooks import RemovableHandle

Hook: TypeAlias = Callable[..., Any]
StateDict: TypeAlias = dict[str, Any]

__all__ = [
    "Optimizer",
    "ParamsT",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]

ParamsT: TypeAlias = "Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]"


class _Required:
    """The default of an option that every parameter group has to give."""

    def __repr__(self) -> str:
        return "<required parameter>"

    def __reduce__(self) -> str:
        return "required"


required = _Required()

_global_step_pre_hooks: OrderedDict[int, Hook] = OrderedDict()
_global_step_post_hooks: OrderedDict[int, Hook] = OrderedDict()

_HOOK_TABLES = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


def _register(table: OrderedDict[int, Hook], hook: Hook, prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(table)
    table[handle.id] = hook
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


def register_optimizer_step_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before every step of every optimizer.

    Args:
        hook: returns None, or the `(args, kwargs)` that the step gets instead.

    Returns:
        A handle; its `remove()` unregisters the hook.
    """
    return _register(_global_step_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after every step of every optimizer.

    Args:
        hook: what it returns is ignored.

    Returns:
        A handle; its `remove()` unregisters the hook.
    """
    return _register(_global_step_post_hooks, hook)


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _check_rate(name: str, value: Any) -> None:
    """A learning rate or decay must not be negative; NaN is refused too, and a tensor must hold one number."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(f"Tensor {name} must be 1-element")
    if not value >= 0.0:
        label = {"lr": "learning rate", "eps": "epsilon value"}.get(name, f"{name} value")
        raise ValueError(f"Invalid {label}: {value}")


def _check_betas(betas: Any) -> None:
    for index, beta in enumerate(betas):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


def _check_implementation(foreach: bool | None, fused: bool | None, differentiable: bool) -> None:
    """The combinations of implementation flags that contradict each other."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


def _plain(value: Any) -> float:
    """An option as a number; it may be given as a 1-element tensor."""
    return value if type(value) is float else float(value)


def _evaluate(closure: Callable[[], Any] | None) -> Any:
    """Call the closure of a step with gradients on; None when there is none."""
    if closure is None:
        return None
    from fastnn.autograd.grad_mode import enable_grad

    with enable_grad():
        return closure()


class Optimizer:
    """What every optimizer has: parameter groups with options, a state for each parameter, hooks, checkpoints.

    A subclass defines `step`. `param_groups` is a list of dicts: `"params"` and one entry for each option;
    `state` maps a parameter to a dict. Both have PyTorch's layout, and so has `state_dict()`.

    A parameter that does not require a gradient, or has none, is skipped by `step()`: it gets no state, no decay
    and no momentum. This is stricter than PyTorch, which still moves a parameter that was frozen with
    `requires_grad_(False)` as long as an old gradient is left in `.grad`.

    Args:
        params: tensors, `(name, tensor)` pairs (`model.named_parameters()`), or dicts that describe groups.
        defaults: the options of groups that do not give their own.

    Raises:
        TypeError: `params` is a Tensor, a set, or holds something that is not a tensor.
        ValueError: there are no parameters, one is given twice, or one is not a leaf.

    Example:
        >>> import fastnn
        >>> weight = fastnn.zeros(2, requires_grad=True)
        >>> optimizer = fastnn.optim.SGD([weight], lr=0.5)
        >>> weight.sum().backward()
        >>> optimizer.step()
        >>> weight.tolist()
        [-0.5, -0.5]
    """

    defaults: dict[str, Any]
    state: defaultdict[Any, Any]
    param_groups: list[dict[str, Any]]
    _optimizer_step_pre_hooks: OrderedDict[int, Hook]
    _optimizer_step_post_hooks: OrderedDict[int, Hook]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Hook]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Hook]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Hook]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Hook]
    _opt_called: bool
    _has_scheduler: bool

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._complete()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                + _type_name(params)
            )
        if isinstance(params, (set, frozenset)):
            _refuse_set()
        self.state = defaultdict(dict)
        self.param_groups = []
        groups: list[Any] = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _complete(self) -> None:
        """Set what `__getstate__` leaves out."""
        for name in _HOOK_TABLES:
            if name not in self.__dict__:
                setattr(self, name, OrderedDict())
        self._patch_step_function()

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._complete()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for index, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {index}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join(lines) + "\n)"

    # Hooks around step. The class's own `step` is wrapped once, so that subclasses need to do nothing.

    @staticmethod
    def profile_hook_step(func: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a `step` function so that it calls the step hooks."""

        @functools.wraps(func)
        def step(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
            self._opt_called = True
            if not (
                self._optimizer_step_pre_hooks
                or self._optimizer_step_post_hooks
                or _global_step_pre_hooks
                or _global_step_post_hooks
            ):
                return func(self, *args, **kwargs)
            full: tuple[Any, ...] = (self, *args)
            for hook in (*_global_step_pre_hooks.values(), *self._optimizer_step_pre_hooks.values()):
                replaced = hook(self, full, kwargs)
                if replaced is None:
                    continue
                if not (isinstance(replaced, tuple) and len(replaced) == 2):
                    raise RuntimeError(
                        f"{func} must return None or a tuple of (new_args, new_kwargs), but got {replaced}."
                    )
                full, kwargs = replaced
            result = func(*full, **kwargs)
            for hook in (*self._optimizer_step_post_hooks.values(), *_global_step_post_hooks.values()):
                hook(self, full, kwargs)
            return result

        step.hooked = True  # type: ignore[attr-defined]
        return step

    def _patch_step_function(self) -> None:
        cls = type(self)
        if not getattr(cls.step, "hooked", False):
            cls.step = self.profile_hook_step(cls.step)  # type: ignore[method-assign]

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step.

        Args:
            hook: `args` starts with the optimizer. Returns None, or the `(args, kwargs)` to step with.

        Returns:
            A handle; its `remove()` unregisters the hook.
        """
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step; returns a handle with `remove()`."""
        return _register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict()` gathers anything; `prepend` puts it before the others."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` at the end of `state_dict()`; a result that is not None replaces it."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` on a shallow copy before loading; a result replaces what is loaded."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` after `load_state_dict()`; returns a handle with `remove()`."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    # Checkpoints.

    def state_dict(self) -> StateDict:
        """The state and the groups, with parameters replaced by consecutive numbers.

        Returns:
            `{"state": {number: {name: value}}, "param_groups": [{option: value, "params": [numbers]}]}`. Tensors
            are the optimizer's own, not copies.

        Example:
            >>> import fastnn
            >>> optimizer = fastnn.optim.SGD([fastnn.zeros(2, requires_grad=True)], lr=0.5, momentum=0.9)
            >>> optimizer.state_dict()["param_groups"][0]["params"]
            [0]
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        packed_groups = []
        start = 0
        for group in self.param_groups:
            params = group["params"]
            for number, param in enumerate(params, start):
                numbers.setdefault(id(param), number)
            start += len(params)
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [numbers[id(param)] for param in params]
            packed_groups.append(packed)
        state = {numbers[id(key)] if isinstance(key, Tensor) else key: value for key, value in self.state.items()}
        result: StateDict = {"state": state, "param_groups": packed_groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            replaced = hook(self, result)
            if replaced is not None:
                result = replaced
        return result

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Take over what `state_dict()` returned, here or in PyTorch; parameters are matched by their order.

        State tensors get the dtype of their parameter (`step` keeps its own); one that already has it is not
        copied. The options of the groups are replaced. Nothing changes when an error is raised.

        Args:
            state_dict: the result of `state_dict()` of an optimizer with the same groups.

        Raises:
            ValueError: the number of groups, or of parameters in a group, differs.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            if replaced is not None:
                state_dict = replaced
        groups = self.param_groups
        loaded = deepcopy(state_dict["param_groups"])
        if len(groups) != len(loaded):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(own["params"]) != len(new["params"]) for own, new in zip(groups, loaded, strict=True)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
            )
        params: dict[Any, tuple[Tensor, dict[str, Any]]] = {}
        for own, new in zip(groups, loaded, strict=True):
            for number, param in zip(new["params"], own["params"], strict=True):
                params[number] = (param, new)
        state: defaultdict[Any, Any] = defaultdict(dict)
        for number, value in state_dict["state"].items():
            if number in params:
                param, new = params[number]
                state[param] = _adapt(value, param, new)
            else:
                state[number] = value
        for own, new in zip(groups, loaded, strict=True):
            new["params"] = own["params"]
            if "param_names" in own:
                new.setdefault("param_names", own["param_names"])
        self.__setstate__({"state": state, "param_groups": loaded})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters.

        Args:
            set_to_none: put None in place of each gradient; with False, fill it with zeros. A parameter without
                a gradient is skipped by `step()`, one with a zero gradient is not.
        """
        for group in self.param_groups:
            for param in group["params"]:
                grad = param.grad
                if grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                    continue
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters once from their gradients.

        Args:
            closure: evaluates the model again and returns the loss; called with gradients on.

        Returns:
            What the closure returned, or None.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define step()")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters, for example layers that are unfrozen during training.

        Args:
            param_group: `"params"` (tensors, or `(name, tensor)` pairs) and options; missing options are taken
                from the defaults.

        Raises:
            TypeError: it is not a dict, its parameters are a set, or one of them is not a tensor.
            ValueError: a parameter is not a leaf, is in another group already, a required option is missing, or
                only some parameters have names.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params, names = _split_names(param_group["params"])
        param_group["params"] = params
        if names is not None:
            param_group["param_names"] = names
        differentiable = self.defaults.get("differentiable")
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {_type_name(param)}")
            if not (differentiable or param.is_leaf or param.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            param_group.setdefault(name, default)

        unique = {id(param) for param in params}
        if len(unique) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; "
                "each of them is updated once for every time it is listed",
                stacklevel=3,
            )
        for group in self.param_groups:
            if ("param_names" in group) != (names is not None or "param_names" in param_group):
                given = "with names" if "param_names" in param_group else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {given} to the optimizer"
                )
            if any(id(param) in unique for param in group["params"]):
                raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)


def _refuse_set() -> None:
    raise TypeError(
        "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
        "will change between runs. Please use a list instead."
    )


def _split_names(params: Any) -> tuple[list[Any], list[str] | None]:
    """The tensors of a group, and their names if it was given `(name, tensor)` pairs."""
    if isinstance(params, Tensor):
        return [params], None
    if isinstance(params, (set, frozenset)):
        _refuse_set()
    items = list(params)
    named = [item for item in items if isinstance(item, tuple)]
    if not named:
        return items, None
    if len(named) != len(items):
        raise ValueError("all optimizer params should be with/without names. Some param names are missing")
    return [item[1] for item in named], [item[0] for item in named]


def _adapt(value: Any, param: Tensor, group: dict[str, Any], key: Any = None) -> Any:
    """A loaded state value with the tensors in it converted to what `param` needs."""
    if isinstance(value, Tensor):
        if key == "step":
            as_float = group.get("capturable", False) or group.get("fused", False)
            return value.to(dtype=_C.float32) if as_float else value
        return value.to(dtype=param.dtype) if param.is_floating_point() else value
    if isinstance(value, dict):
        return {name: _adapt(item, param, group, name) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_adapt(item, param, group) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value
