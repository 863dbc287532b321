"""Module: the base class of every layer and model."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, overload

from fastnn import _C, no_grad
from fastnn._C import Tensor, _ModuleBase
from fastnn._C import device as Device
from fastnn._C import dtype as DType

from ..parameter import Buffer, Parameter
from ._hooks import (
    HookMixin,
    RemovableHandle,
    global_hooks,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
    run_registration_hooks,
)
from ._state_dict import _EXTRA_STATE_KEY_SUFFIX as _EXTRA_STATE_KEY_SUFFIX
from ._state_dict import StateDictMixin, _IncompatibleKeys

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "Module",
    "RemovableHandle",
    "_IncompatibleKeys",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

_HOOK_TABLES = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
_C._set_global_module_hooks(
    global_hooks.forward, global_hooks.forward_pre, global_hooks.backward, global_hooks.backward_pre
)


def _typename(value: object) -> str:
    """The name of a value's type as error messages show it."""
    if isinstance(value, Tensor):
        return str(value.type())
    kind = value if isinstance(value, type) else type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _addindent(text: str, spaces: int = 2) -> str:
    """`text` with every line but the first moved to the right."""
    return text.replace("\n", "\n" + " " * spaces)


def _parse_to(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Device | None, DType | None, bool, Any]:
    """The (device, dtype, non_blocking, memory_format) of a call of `Module.to`."""
    known = {"device", "dtype", "tensor", "non_blocking", "copy", "memory_format"}
    unknown = sorted(set(kwargs) - known)
    if unknown:
        raise TypeError(f"to() received an unexpected keyword argument '{unknown[0]}'")
    rest = list(args)
    device: Any = kwargs.get("device")
    dtype: Any = kwargs.get("dtype")
    like: Any = kwargs.get("tensor")
    if rest and isinstance(rest[0], Tensor):
        like = rest.pop(0)
    elif rest and isinstance(rest[0], _C.dtype):
        dtype = rest.pop(0)
    elif rest and (rest[0] is None or isinstance(rest[0], (str, int, _C.device))):
        device = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], _C.dtype)):
            dtype = rest.pop(0)
    if rest and isinstance(rest[0], bool):
        kwargs = {"non_blocking": rest.pop(0), **kwargs}
    if rest and isinstance(rest[0], bool):
        rest.pop(0)  # copy: a module's tensors change in place
    if rest or (dtype is not None and not isinstance(dtype, _C.dtype)):
        got = ", ".join([type(a).__name__ for a in args] + [f"{k}={type(v).__name__}" for k, v in kwargs.items()])
        raise TypeError(
            f"to() received an invalid combination of arguments - got ({got}), but expected one of: "
            "(device, dtype, non_blocking), (dtype, non_blocking), (tensor, non_blocking)"
        )
    if like is not None:
        device, dtype = like.device, like.dtype
    elif device is not None and not isinstance(device, _C.device):
        device = _C.device(device)
    return device, dtype, bool(kwargs.get("non_blocking", False)), kwargs.get("memory_format")


def _is_inexact(value: Tensor) -> bool:
    return bool(value.is_floating_point() or value.is_complex())


class Module(HookMixin, StateDictMixin, _ModuleBase):
    """Base class of all layers and models.

    A subclass calls `super().__init__()`, assigns its parameters, buffers and submodules as attributes,
    and defines `forward`. Calling the module calls `forward`, with the hooks registered for it.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> class Scale(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.factor = nn.Parameter(fastnn.tensor(3.0))
        ...     def forward(self, x):
        ...         return x * self.factor
        >>> Scale()(fastnn.ones(2)).tolist()
        [3.0, 3.0]
    """

    dump_patches: bool = False
    call_super_init: bool = False
    # Set by finetune.freeze: layers with running statistics use them and leave them as they are.
    _fastnn_frozen: bool = False
    training: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            if kwargs:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given"
                )
        # Straight into __dict__: __setattr__ would look each name up in tables that do not exist yet.
        state = self.__dict__
        state["training"] = True
        state["_parameters"] = {}
        state["_buffers"] = {}
        state["_non_persistent_buffers_set"] = set()
        state["_modules"] = {}
        state["_is_full_backward_hook"] = None
        for table in _HOOK_TABLES:
            state[table] = OrderedDict()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def _forward_unimplemented(self, *input: Any) -> None:
        """Define the computation of one call; every subclass overrides this."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    forward: Callable[..., Any] = _forward_unimplemented

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        return super().__call__(*args, **kwargs)

    # --- attributes ---

    def __setattr__(self, name: str, value: Any) -> None:
        state = self.__dict__
        parameters = state.get("_parameters")
        if isinstance(value, Parameter):
            if parameters is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_buffers", "_modules")
            self.register_parameter(name, value)
        elif parameters is not None and name in parameters:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in state:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_parameters", "_buffers")
            state["_modules"][name] = run_registration_hooks(global_hooks.module, self, name, value)
        elif name in state.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as child module '{name}' (torch.nn.Module or None expected)"
                )
            state["_modules"][name] = run_registration_hooks(global_hooks.module, self, name, value)
        elif isinstance(value, Buffer):
            if parameters is None:
                raise AttributeError("cannot assign buffer before Module.__init__() call")
            self._forget(name, "_parameters", "_modules", "_buffers")
            self.register_buffer(name, value, value.persistent)
        elif name in state.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as buffer '{name}' "
                    "(torch.nn.Buffer, torch.Tensor or None expected)"
                )
            state["_buffers"][name] = run_registration_hooks(global_hooks.buffer, self, name, value)
        else:
            super().__setattr__(name, value)

    def _forget(self, name: str, *tables: str) -> None:
        """Drop `name` from `__dict__` and from `tables`, so that another table can take it."""
        state = self.__dict__
        state.pop(name, None)
        for table in tables:
            state[table].pop(name, None)
        if "_buffers" in tables:
            state["_non_persistent_buffers_set"].discard(name)

    def __delattr__(self, name: str) -> None:
        state = self.__dict__
        for table in ("_parameters", "_buffers", "_modules"):
            if name in state.get(table, ()):
                del state[table][name]
                state["_non_persistent_buffers_set"].discard(name)
                return
        super().__delattr__(name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers}
        return sorted(name for name in names if not name[0].isdigit())

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for table in _HOOK_TABLES:
            self.__dict__.setdefault(table, OrderedDict())
        self.__dict__.setdefault("_non_persistent_buffers_set", set())
        self.__dict__.setdefault("_is_full_backward_hook", None)

    # --- registration ---

    def _check_name(self, what: str, name: Any, table: str) -> None:
        """Raise unless `name` can become an entry of `table`."""
        if not isinstance(name, str):
            raise TypeError(f"{what} name should be a string. Got {_typename(name)}")
        if what == "module" and hasattr(self, name) and name not in self.__dict__[table]:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            got = f", got: {name}" if what == "module" else ""
            raise KeyError(f'{what} name can\'t contain "."{got}')
        if name == "":
            raise KeyError(f'{what} name can\'t be empty string ""')
        if hasattr(self, name) and name not in self.__dict__[table]:
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter, which is then the attribute `name`; None makes it known and empty.

        Raises:
            KeyError: the name is empty, has a dot in it, or is taken.
            TypeError: `param` is neither a Parameter nor None.
            ValueError: `param` is the result of a computation.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name("parameter", name, "_parameters")
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{_typename(param)}' object to parameter '{name}' "
                    "(torch.nn.Parameter or None required)"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created "
                    f"explicitly. To express '{name}' as a function of another Tensor, compute the value in "
                    "the forward() method."
                )
            if global_hooks.parameter:
                param = run_registration_hooks(global_hooks.parameter, self, name, param)
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a buffer: a tensor that is part of the module's state, and no parameter.

        Args:
            name: the attribute's name.
            tensor: the values, or None.
            persistent: whether it is part of `state_dict()`. Default: True.

        Raises:
            KeyError: the name is empty, has a dot in it, or is taken.
            TypeError: `tensor` is neither a Tensor nor None.

        Example:
            >>> import fastnn; from fastnn import nn
            >>> m = nn.Module()
            >>> m.register_buffer("mean", fastnn.zeros(2))
            >>> m.mean
            tensor([0., 0.])
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name("buffer", name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._buffers[name] = run_registration_hooks(global_hooks.buffer, self, name, tensor)
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a submodule, which is then the attribute `name`.

        Raises:
            KeyError: the name is empty, has a dot in it, or is taken.
            TypeError: `module` is neither a Module nor None.
        """
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{_typename(module)} is not a Module subclass")
        self._check_name("module", name, "_modules")
        self._modules[name] = run_registration_hooks(global_hooks.module, self, name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """Alias of `add_module`."""
        self.add_module(name, module)

    # --- access by path ---

    def get_submodule(self, target: str) -> Module:
        """Return the submodule at a dotted path such as "encoder.0.linear"; "" is this module itself.

        Raises:
            AttributeError: the path names nothing, or something that is no Module.

        Example:
            >>> from fastnn import nn
            >>> nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())).get_submodule("1.0")
            Tanh()
        """
        module: Module = self
        for name in target.split(".") if target else ():
            if not hasattr(module, name):
                raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
            module = getattr(module, name)
            if not isinstance(module, Module):
                raise AttributeError(f"`{name}` is not an nn.Module")
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` in the place of the submodule at the dotted path `target`.

        Args:
            target: the path; all but its last name must exist.
            module: the new submodule.
            strict: whether there must be a submodule at `target` already. Default: False.

        Raises:
            ValueError: `target` is empty, or `module` is no Module.
            AttributeError: the path names nothing, or something that is no Module.
        """
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        path, _, name = target.rpartition(".")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """Return the parameter at a dotted path.

        Raises:
            AttributeError: the path names nothing, or something that is no Parameter.
        """
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        value = getattr(module, name)
        if not isinstance(value, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return value

    def get_buffer(self, target: str) -> Tensor:
        """Return the buffer at a dotted path.

        Raises:
            AttributeError: the path names nothing, or something that is no buffer.
        """
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        value = getattr(module, name)
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        buffer: Tensor = value
        return buffer

    # --- traversal ---

    def _named_members(
        self,
        get_members_fn: Callable[[Module], Any],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else ((prefix, self),)
        for path, module in modules:
            for name, value in get_members_fn(module):
                if value is None or (remove_duplicate and id(value) in seen):
                    continue
                seen.add(id(value))
                yield (f"{path}.{name}" if path else name), value

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """Iterate over the parameters, each once; with `recurse` those of all submodules too.

        Example:
            >>> from fastnn import nn
            >>> [tuple(p.shape) for p in nn.Linear(2, 3).parameters()]
            [(3, 2), (3,)]
        """
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """Iterate over (dotted name, parameter).

        Args:
            prefix: put before every name.
            recurse: whether submodules are included.
            remove_duplicate: whether a shared parameter comes only once, under its first name.
        """
        return self._named_members(_parameter_items, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """Iterate over the buffers, each once; with `recurse` those of all submodules too."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """Iterate over (dotted name, buffer); arguments as for `named_parameters`."""
        return self._named_members(_buffer_items, prefix, recurse, remove_duplicate)

    def children(self) -> Iterator[Module]:
        """Iterate over the direct submodules, each once."""
        for _, module in self.named_children():
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """Iterate over (name, submodule) of the direct submodules, each once."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """Iterate over this module and all below it; each once, if `remove_duplicate`."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """Iterate over (dotted name, module) of this module and all below it.

        Args:
            memo: modules to leave out; those met are added.
            prefix: put before every name.
            remove_duplicate: whether a shared module comes only once, under its first name.

        Example:
            >>> from fastnn import nn
            >>> [name for name, _ in nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())).named_modules()]
            ['', '0', '1', '1.0']
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                path = f"{prefix}.{name}" if prefix else name
                yield from module.named_modules(memo, path, remove_duplicate)

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn(module)` on every submodule, then on this module; returns this module.

        Example:
            >>> from fastnn import nn
            >>> m = nn.Linear(1, 2).apply(lambda module: nn.init.ones_(module.weight))
            >>> m.weight.tolist()
            [[1.0], [1.0]]
        """
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # --- mode and gradients ---

    def train(self, mode: bool = True) -> Self:
        """Set training mode (or, with `mode` False, evaluation mode) here and in all submodules.

        Raises:
            ValueError: `mode` is no bool.
        """
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode here and in all submodules: `train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of every parameter."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or with `set_to_none` False fill them with zeros."""
        for param in self.parameters():
            if set_to_none:
                param.grad = None
            elif param.grad is not None:
                if param.grad.grad_fn is not None:
                    param.grad.detach_()
                else:
                    param.grad.requires_grad_(False)
                param.grad.zero_()

    # --- conversion ---

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the values of every parameter, gradient and buffer by `fn` of them; objects stay."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for name, param in self._parameters.items():
            if param is None:
                continue
            grad = param.grad
            with no_grad():
                values = fn(param)
                grad_values = None if grad is None else fn(grad)
            if values.is_meta != param.is_meta:
                self._parameters[name] = Parameter(values, param.requires_grad)
            elif values is not param:
                param.data = values
            if grad is not None and grad_values is not None and grad_values is not grad:
                grad.data = grad_values
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    @overload
    def to(
        self,
        device: str | Device | int | None = ...,
        dtype: DType | None = ...,
        non_blocking: bool = ...,
        *,
        memory_format: Any = ...,
    ) -> Self: ...

    @overload
    def to(self, dtype: DType, non_blocking: bool = ...) -> Self: ...

    @overload
    def to(self, tensor: Tensor, non_blocking: bool = ...) -> Self: ...

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert parameters and buffers in place; returns this module.

        Called as `to(device, dtype)`, `to(dtype)` or `to(tensor)`. Only floating point values change
        their dtype.

        Raises:
            TypeError: the dtype is an integer one, or the arguments fit none of the forms.

        Example:
            >>> import fastnn; from fastnn import nn
            >>> nn.Linear(2, 2).to(fastnn.float64).weight.dtype == fastnn.float64
            True
        """
        device, dtype, non_blocking, memory_format = _parse_to(args, kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
            )

        def convert(tensor: Tensor) -> Tensor:
            options = {} if memory_format is None or tensor.dim() not in (4, 5) else {"memory_format": memory_format}
            return tensor.to(device, dtype if _is_inexact(tensor) else None, non_blocking, **options)

        return self._apply(convert)

    def type(self, dst_type: DType | str) -> Self:
        """Convert all parameters and buffers, integer ones too, to `dst_type`."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def float(self) -> Self:
        """Convert floating point parameters and buffers to float32."""
        return self._apply(lambda tensor: tensor.float() if tensor.is_floating_point() else tensor)

    def double(self) -> Self:
        """Convert floating point parameters and buffers to float64."""
        return self._apply(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)

    def half(self) -> Self:
        """Convert floating point parameters and buffers to float16."""
        return self._apply(lambda tensor: tensor.half() if tensor.is_floating_point() else tensor)

    def bfloat16(self) -> Self:
        """Convert floating point parameters and buffers to bfloat16."""
        return self._apply(lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor)

    def cpu(self) -> Self:
        """Return this module: all its values are on the CPU."""
        return self._apply(lambda tensor: tensor.cpu())

    def cuda(self, device: int | Device | None = None) -> Self:
        """Raise an error: there is no CUDA device.

        Raises:
            AssertionError: always.
        """
        raise AssertionError(
            "fastnn runs on the CPU only, there is no CUDA device; guard with torch.cuda.is_available(), "
            "or use .to('cpu')"
        )

    def to_empty(self, *, device: str | Device | int | None, recurse: bool = True) -> Self:
        """Give every parameter and buffer new, uninitialised memory on `device`."""
        return self._apply(lambda tensor: _C.empty_like(tensor, device=device), recurse=recurse)

    def share_memory(self) -> Self:
        """Move the parameters and buffers to memory that other processes can share."""
        return self._apply(lambda tensor: tensor.share_memory_())

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Leave the module as it is: fastnn needs no compilation. Accepted so that scripts run unchanged."""

    # --- text ---

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses; a layer overrides this."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if not self._modules and len(lines) <= 1:
            return f"{self._get_name()}({extra})"
        lines += [f"({name}): {_addindent(repr(module))}" for name, module in self._modules.items()]
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


def _parameter_items(module: Module) -> Any:
    return module._parameters.items()


def _buffer_items(module: Module) -> Any:
    return module._buffers.items()
