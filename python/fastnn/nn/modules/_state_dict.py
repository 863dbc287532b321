"""state_dict and load_state_dict: the part of Module that saves and restores values."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fastnn import no_grad
from fastnn._C import Tensor

from ..parameter import Parameter, is_lazy
from ._hooks import RemovableHandle

__all__ = ["StateDictMixin"]

_EXTRA_STATE_KEY_SUFFIX = "_extra_state"
# Under this key of a module's local metadata, load_state_dict collects what it will copy once all is checked.
_PENDING = "_pending_copies"


class _IncompatibleKeys(NamedTuple):
    """What `load_state_dict` returns."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys!r}, unexpected_keys={self.unexpected_keys!r})"

    def __str__(self) -> str:
        return repr(self)


class _LoadPreHook:
    """A load_state_dict pre-hook, and whether it is called with the module first."""

    def __init__(self, hook: Callable[..., Any], with_module: bool) -> None:
        self.hook = hook
        self.with_module = with_module

    def __call__(self, module: Any, *args: Any) -> None:
        if self.with_module:
            self.hook(module, *args)
        else:
            self.hook(*args)


class _StateDict(OrderedDict[str, Any]):
    """The dict that `state_dict()` returns; `_metadata` holds each module's version."""

    _metadata: OrderedDict[str, dict[str, Any]]


class _Copy(NamedTuple):
    """One value to be loaded: `source` into `target`, the tensor `name` of `module`."""

    module: Any
    name: str
    key: str
    target: Tensor
    source: Tensor
    assign: bool

    def run(self, error_msgs: list[str]) -> None:
        source = self.source
        try:
            with no_grad():
                if not self.assign:
                    self.target.copy_(source)
                    return
                if isinstance(self.target, Parameter):
                    if not isinstance(source, Parameter):
                        source = Parameter(source, requires_grad=self.target.requires_grad)
                    else:
                        source.requires_grad_(self.target.requires_grad)
                setattr(self.module, self.name, source)
        except Exception as error:
            error_msgs.append(
                f'While copying the parameter named "{self.key}", whose dimensions in the model are '
                f"{self.target.size()} and whose dimensions in the checkpoint are {self.source.size()}, "
                f"an exception occurred : {error.args}."
            )


class StateDictMixin:
    """The part of Module that saves and restores values."""

    _version: int = 1
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]
    _state_dict_hooks: OrderedDict[int, Callable[..., Any]]
    _state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _load_state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _load_state_dict_post_hooks: OrderedDict[int, Callable[..., Any]]

    # --- saving ---

    def get_extra_state(self) -> Any:
        """What to store beside parameters and buffers; a module that overrides this overrides both."""
        raise RuntimeError(
            "Reached a code path in Module.get_extra_state() that should never be called: "
            "a module that has extra state overrides it"
        )

    def set_extra_state(self, state: Any) -> None:
        """Restore what `get_extra_state` returned."""
        raise RuntimeError(
            "Reached a code path in Module.set_extra_state() that should never be called: "
            "a module that has extra state overrides it"
        )

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was previously "
                "registered via register_state_dict_post_hook"
            )
        handle = RemovableHandle(self._state_dict_hooks)
        self._state_dict_hooks[handle.id] = hook
        return handle

    def register_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, local_metadata)` at the end of `state_dict()`.

        The hook changes `state_dict` in place and returns None.
        """
        handle = self._register_state_dict_hook(hook)
        hook._from_public_api = True  # type: ignore[attr-defined]
        return handle

    def register_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before `state_dict()` collects anything."""
        handle = RemovableHandle(self._state_dict_pre_hooks)
        self._state_dict_pre_hooks[handle.id] = hook
        return handle

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        """Put this module's own tensors, not those of its submodules, into `destination`."""
        for name, param in self._parameters.items():
            if param is not None:
                destination[prefix + name] = param if keep_vars else param.detach()
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = buffer if keep_vars else buffer.detach()
        if type(self).get_extra_state is not StateDictMixin.get_extra_state:
            destination[prefix + _EXTRA_STATE_KEY_SUFFIX] = self.get_extra_state()

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Return an ordered dict of all parameters and persistent buffers, by their dotted names.

        Args:
            destination: a mapping to fill; a new one by default.
            prefix: put before every name. Default: "".
            keep_vars: whether the tensors keep their gradient history; by default they are detached,
                and share memory with the module.

        Example:
            >>> from fastnn import nn
            >>> list(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).state_dict())
            ['0.weight', '0.bias', '2.weight', '2.bias']
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead. Refer to "
                "https://pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module.state_dict"
                " for details.",
                FutureWarning,
                stacklevel=2,
            )
            destination = args[0] if destination is None else destination
            prefix = args[1] if len(args) > 1 and prefix == "" else prefix
            keep_vars = args[2] if len(args) > 2 and keep_vars is False else keep_vars
        if destination is None:
            destination = _StateDict()
            destination._metadata = OrderedDict()
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            result = hook(self, destination, prefix, local_metadata)
            if getattr(hook, "_from_public_api", False):
                if result is not None:
                    raise RuntimeError("state_dict post-hook must return None")
            elif result is not None:
                destination = result
        filled: dict[str, Any] = destination
        return filled

    # --- loading ---

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        handle = RemovableHandle(self._load_state_dict_pre_hooks)
        self._load_state_dict_pre_hooks[handle.id] = _LoadPreHook(hook, with_module)
        return handle

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call a hook before this module's values are read from the state dict.

        It is called as `hook(module, state_dict, prefix, local_metadata, strict, missing_keys,
        unexpected_keys, error_msgs)`, and may change all of these in place.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading; it may change the two lists in place."""
        handle = RemovableHandle(self._load_state_dict_post_hooks)
        self._load_state_dict_post_hooks[handle.id] = hook
        return handle

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Read this module's own tensors, not those of its submodules, from `state_dict`.

        Called by `load_state_dict`, the copies wait until every module has been checked; called without
        its metadata, they are made at once.
        """
        for hook in self._load_state_dict_pre_hooks.values():
            hook(
                self,
                state_dict,
                prefix,
                local_metadata,
                strict,
                missing_keys,
                unexpected_keys,
                error_msgs,
            )
        pending: list[_Copy] | None = local_metadata.get(_PENDING)
        assign = bool(local_metadata.get("assign_to_params_buffers", False))
        own: dict[str, Tensor | None] = dict(self._parameters)
        own.update((k, v) for k, v in self._buffers.items() if k not in self._non_persistent_buffers_set)
        expected = {name: value for name, value in own.items() if value is not None}

        for name, target in expected.items():
            key = prefix + name
            if key not in state_dict:
                if strict:
                    missing_keys.append(key)
                continue
            source = state_dict[key]
            if not isinstance(source, Tensor):
                error_msgs.append(
                    f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like '
                    f"object from checkpoint but received {type(source)}"
                )
                continue
            if target.dim() == 0 and source.dim() == 1 and source.numel() > 0:
                source = source[0]  # scalars were once saved with shape (1,)
            if is_lazy(target):  # and so is the source, or the module would have given this one its shape
                continue
            if source.shape != target.shape:
                error_msgs.append(
                    f"size mismatch for {key}: copying a param with shape {source.shape} from checkpoint, "
                    f"the shape in current model is {target.shape}."
                )
                continue
            copy = _Copy(self, name, key, target, source, assign)
            if pending is None:
                copy.run(error_msgs)
            else:
                pending.append(copy)

        extra_key = prefix + _EXTRA_STATE_KEY_SUFFIX
        if type(self).set_extra_state is not StateDictMixin.set_extra_state:
            if extra_key in state_dict:
                self.set_extra_state(state_dict[extra_key])
            elif strict:
                missing_keys.append(extra_key)
        elif strict and extra_key in state_dict:
            unexpected_keys.append(extra_key)

        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra_key:
                    first, dot, _ = key[len(prefix) :].partition(".")
                    if first not in (self._modules if dot else expected):
                        unexpected_keys.append(key)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> _IncompatibleKeys:
        """Copy parameters and buffers from `state_dict` into this module and its submodules.

        All keys and shapes are checked first: after an error for keys or shapes the module is unchanged.

        Args:
            state_dict: values by dotted name, as `state_dict()` returns them.
            strict: whether the keys must be exactly those of this module. Default: True.
            assign: whether the tensors of `state_dict` themselves become the module's, instead of being
                copied into those it has. Default: False.

        Returns:
            A named tuple of the lists `missing_keys` and `unexpected_keys`.

        Raises:
            RuntimeError: a shape differs, or with `strict` a key is missing or unexpected.
            TypeError: `state_dict` is no mapping.

        Example:
            >>> from fastnn import nn
            >>> a, b = nn.Linear(2, 3), nn.Linear(2, 3)
            >>> a.load_state_dict(b.state_dict())
            <All keys matched successfully>
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        missing_keys: list[str] = []
        unexpected_keys: list[str] = []
        error_msgs: list[str] = []
        pending: list[_Copy] = []
        visited: list[Any] = []
        metadata = getattr(state_dict, "_metadata", {})

        def visit(module: Any, values: dict[str, Any], prefix: str) -> None:
            local_metadata = dict(metadata.get(prefix[:-1], {}))
            local_metadata[_PENDING] = pending
            if assign:
                local_metadata["assign_to_params_buffers"] = True
            module._load_from_state_dict(
                values, prefix, local_metadata, True, missing_keys, unexpected_keys, error_msgs
            )
            below = _split_by_child(values, prefix)
            for name, child in module._modules.items():
                if child is not None:
                    visit(child, below.get(name, {}), f"{prefix}{name}.")
            visited.append(module)

        visit(self, dict(state_dict), "")
        incompatible = _IncompatibleKeys(missing_keys, unexpected_keys)
        # A post hook may forgive a missing key, and expects the values to be there; no hook forgives a shape.
        forgiving = any(module._load_state_dict_post_hooks for module in visited)
        doomed = error_msgs or (strict and (missing_keys or unexpected_keys) and not forgiving)
        if not doomed:
            for copy in pending:
                copy.run(error_msgs)
            for module in visited:
                for hook in module._load_state_dict_post_hooks.values():
                    if hook(module, incompatible) is not None:
                        raise AssertionError(
                            "Hooks registered with ``register_load_state_dict_post_hook`` are not expected "
                            "to return new values, if incompatible_keys need to be modified, it should be "
                            "done inplace."
                        )
        if strict:
            problems = (("Missing", missing_keys), ("Unexpected", unexpected_keys))
            error_msgs[:0] = [
                f"{what} key(s) in state_dict: " + ", ".join(f'"{key}"' for key in keys) + ". "
                for what, keys in problems
                if keys
            ]
        if error_msgs:
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t" + "\n\t".join(error_msgs)
            )
        return incompatible


def _split_by_child(values: Mapping[str, Any], prefix: str) -> dict[str, dict[str, Any]]:
    """The items of `values` for each submodule, by its name; keys stay whole."""
    below: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        if key.startswith(prefix):
            name, dot, _ = key[len(prefix) :].partition(".")
            if dot:
                below.setdefault(name, {})[key] = value
    return below
