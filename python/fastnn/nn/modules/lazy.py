"""Modules that find out the size of their input from the first one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from fastnn import no_grad

from ..parameter import is_lazy
from .module import Module

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LazyModuleMixin"]


def materialize(value: Any, shape: Sequence[int]) -> None:
    """Give an uninitialized tensor, unless there is none, its shape."""
    if is_lazy(value):
        value.materialize(shape)


class LazyModuleMixin(Module):
    """Base of modules some of whose parameters get their shape from the first input.

    A class puts it before the module that it makes lazy, creates `UninitializedParameter`s, and overrides
    `initialize_parameters(input)`, which gives them shapes and values. In the first forward pass the module calls it
    and becomes an instance of `cls_to_become`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> layer = nn.LazyLinear(3)
        >>> layer(fastnn.ones(1, 2)).shape
        torch.Size([1, 3])
        >>> layer
        Linear(in_features=2, out_features=3, bias=True)
    """

    cls_to_become: type[Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        for name, value in itertools.chain(self._parameters.items(), self._buffers.items()):
            if value is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = value if is_lazy(value) or keep_vars else value.detach()

    def _lazy_load_hook(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        """Give what is loaded into an uninitialized tensor its shape."""
        for name, value in itertools.chain(self._parameters.items(), self._buffers.items()):
            source = state_dict.get(prefix + name)
            if source is not None and is_lazy(value) and not is_lazy(source):
                with no_grad():
                    value.materialize(source.shape)  # type: ignore[union-attr]

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters shapes and values that go with this input."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer has no shape yet.

        Example:
            >>> from fastnn import nn
            >>> nn.LazyConv2d(8, 3).has_uninitialized_params()
            True
        """
        return any(map(is_lazy, itertools.chain(self._parameters.values(), self._buffers.values())))

    def _infer_parameters(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {self._get_name()} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become
