"""Freezing parts of a model by name, in a way that lasts."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from fastnn.nn import Module

from .report import keeps_statistics, report

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastnn._C import Tensor

    from .report import FreezeReport

__all__ = ["fingerprint", "freeze", "unfreeze"]

_MOST_NAMES = 8  # listed when a pattern matches nothing


class _Selection:
    """The parameters and modules of a model that some patterns match."""

    def __init__(self, op: str, model: Module, patterns: str | Iterable[str] | None) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"{op}: model must be a Module, but got {type(model).__name__}")
        parameters = list(model.named_parameters(remove_duplicate=False))
        modules = list(model.named_modules(remove_duplicate=False))
        self.parameters: dict[int, Tensor] = {}
        self.modules: dict[int, Module] = {}
        for pattern in _as_patterns(op, patterns):
            roots = [name for name, _ in modules if fnmatchcase(name, pattern)]
            found_modules = [item for item in modules if _is_under(item[0], roots)]
            found = [item for item in parameters if fnmatchcase(item[0], pattern) or _is_under(item[0], roots)]
            if not found and not roots:
                names = [name for name, _ in modules if name] + [name for name, _ in parameters]
                raise ValueError(
                    f"{op}: pattern {pattern!r} matches no parameter or module of {type(model).__name__}; "
                    + _suggest(pattern, names)
                )
            self.parameters.update((id(parameter), parameter) for _, parameter in found)
            self.modules.update((id(module), module) for _, module in found_modules)
        self._norms = list({id(module): module for _, module in modules if keeps_statistics(module)}.values())

    def norms(self) -> list[Module]:
        """The norm layers that are selected, or have a parameter that is."""
        return [
            module
            for module in self._norms
            if id(module) in self.modules or any(id(own) in self.parameters for own in _own(module))
        ]


def _own(module: Module) -> list[Tensor]:
    return [parameter for parameter in module._parameters.values() if parameter is not None]


def _as_patterns(op: str, patterns: str | Iterable[str] | None) -> list[str]:
    if patterns is None:
        return ["*"]
    listed = [patterns] if isinstance(patterns, str) else list(patterns)
    for pattern in listed:
        if not isinstance(pattern, str):
            raise TypeError(f"{op}: patterns must be strings, but got {type(pattern).__name__}")
    if not listed:
        raise ValueError(f"{op}: patterns is empty; give at least one pattern, or None for the whole model")
    return listed


def _is_under(name: str, roots: list[str]) -> bool:
    return any(not root or name == root or name.startswith(root + ".") for root in roots)


def _suggest(pattern: str, names: list[str]) -> str:
    """The names that come nearest to a pattern, or the first ones if none comes near."""
    from difflib import get_close_matches

    stem = pattern.strip("*.")
    near = [name for name in names if stem and stem.lower() in name.lower()]
    near += [name for name in get_close_matches(stem, names, n=_MOST_NAMES, cutoff=0.5) if name not in near]
    if near:
        return "near matches: " + ", ".join(near[:_MOST_NAMES])
    more = ", ..." if len(names) > _MOST_NAMES else ""
    return "its names are: " + (", ".join(names[:_MOST_NAMES]) + more if names else "none")


def freeze(model: Module, patterns: str | Iterable[str] | None = None) -> FreezeReport:
    """Keep parts of a model exactly as they are, until `unfreeze`.

    A frozen parameter does not require a gradient (an old one is dropped), so no optimizer of this library moves it,
    whatever its momentum or decay. A norm layer whose parameters are all frozen, or which is matched itself or lies
    in a module that is, is frozen with its running statistics: it uses them, and does not update them, even after
    `model.train()`. This survives `deepcopy` and pickling.

    Args:
        model: the model.
        patterns: shell patterns for dotted names (`*`, `?`, `[...]`; `*` matches dots too), or one of them. A pattern
            that matches a module means everything in it. None means the whole model.

    Returns:
        What can still change.

    Raises:
        ValueError: a pattern matches nothing (nothing is frozen then), or there is none.
        TypeError: `model` is not a Module, or a pattern not a string.

    Example:
        >>> from fastnn import finetune, nn
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> finetune.freeze(model, "0").trainable
        ['2.weight', '2.bias']
        >>> finetune.freeze(model, "*.bias").trainable
        ['2.weight']
    """
    selection = _Selection("freeze", model, patterns)
    for parameter in selection.parameters.values():
        parameter.requires_grad_(False)
        parameter.grad = None
    for module in selection.norms():
        if not any(own.requires_grad for own in _own(module)):
            module._fastnn_frozen = True
    return report(model)


def unfreeze(model: Module, patterns: str | Iterable[str] | None = None) -> FreezeReport:
    """Let parts of a model be trained again.

    Every floating point parameter that is matched requires a gradient afterwards, and the running statistics of a norm
    layer move again once it is matched, or one of its parameters is.

    Args:
        model: the model.
        patterns: as for `freeze`.

    Returns:
        What can change now.

    Raises:
        ValueError: a pattern matches nothing (nothing is changed then), or there is none.
        TypeError: `model` is not a Module, or a pattern not a string.

    Example:
        >>> from fastnn import finetune, nn
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        >>> _ = finetune.freeze(model)
        >>> finetune.unfreeze(model, "1").trainable
        ['1.weight', '1.bias']
    """
    selection = _Selection("unfreeze", model, patterns)
    for parameter in selection.parameters.values():
        if parameter.is_floating_point():
            parameter.requires_grad_(True)
    for module in selection.norms():
        module._fastnn_frozen = False
    return report(model)


def fingerprint(model: Module) -> dict[str, str]:
    """The SHA-256 of the bytes of every parameter and buffer, to prove that they have not changed.

    Args:
        model: the model.

    Returns:
        From dotted names to digests of the elements' bytes in row-major order.

    Example:
        >>> from fastnn import finetune, nn
        >>> model = nn.Linear(2, 1)
        >>> before = finetune.fingerprint(model)
        >>> _ = model.bias.data.add_(1)
        >>> after = finetune.fingerprint(model)
        >>> [name for name in before if before[name] != after[name]]
        ['bias']
    """
    return {
        name: _digest(tensor) for named in (model.named_parameters(), model.named_buffers()) for name, tensor in named
    }


def _digest(tensor: Any) -> str:
    from hashlib import sha256

    from fastnn.serialization._memory import storage_bytes

    data = tensor.detach().contiguous()
    start = data.storage_offset() * data.element_size()
    memory = storage_bytes(data.untyped_storage())
    return sha256(memory[start : start + data.numel() * data.element_size()]).hexdigest()
