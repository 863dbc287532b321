"""What weight norm and spectral norm as hooks share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..modules.module import Module


def _title(kind: type) -> str:
    return "weight_norm" if kind.__name__ == "WeightNorm" else "spectral_norm"


def refuse_second(module: Module, kind: type[Any], name: str) -> None:
    """Raise an error if the parameter has such a hook already."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, kind) and hook.name == name:
            raise RuntimeError(f"Cannot register two {_title(kind)} hooks on the same parameter {name}")


def remove_hook(module: Module, kind: type[Any], name: str) -> None:
    """Undo and remove such a hook of a parameter."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, kind) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return
    raise ValueError(f"{_title(kind)} of '{name}' not found in {module}")
