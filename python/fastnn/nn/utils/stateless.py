"""Call a module with other parameters and buffers."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastnn._C import Tensor

from ..modules.module import Module

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["functional_call"]


def _named_tensors(module: Module) -> dict[str, Tensor]:
    return dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers(remove_duplicate=False))


def _with_tied(module: Module, given: dict[str, Tensor]) -> dict[str, Tensor]:
    """`given`, and each value under all names that the replaced tensor has."""
    names_of: dict[int, list[str]] = {}
    for name, tensor in _named_tensors(module).items():
        names_of.setdefault(id(tensor), []).append(name)
    result = dict(given)
    for names in names_of.values():
        values = [given[name] for name in names if name in given]
        if any(value is not values[0] for value in values):
            raise ValueError(
                f"functional_call got multiple values for keys {sorted(names)}, which are tied. Consider using "
                "tie_weights=False"
            )
        if values:
            result |= dict.fromkeys(names, values[0])
    return result


def _check_names(module: Module, given: dict[str, Tensor]) -> None:
    own = set(_named_tensors(module))
    messages = []
    for kind, names in (("Unexpected", set(given) - own), ("Missing", own - set(given))):
        if names:
            messages.append(f"{kind} key(s): {', '.join(map(repr, sorted(names)))}.")
    if messages:
        text = "\n\t".join(messages)
        raise RuntimeError(f"Error(s) in reparametrizing for {module._get_name()}:\n\t{text}")


_ABSENT: Any = object()


def _swap(module: Module, path: str, value: Any) -> Any:
    """Put `value` in the place of the attribute at a dotted path, whatever its type; returns what was there."""
    parent, _, name = path.rpartition(".")
    owner = module.get_submodule(parent)
    if value is not None and value is not _ABSENT and not isinstance(value, Tensor):
        raise TypeError(f"{value} is not an instance of torch.Tensor")
    table = next((one for one in (owner._parameters, owner._buffers) if name in one), owner.__dict__)
    before = table.get(name, _ABSENT)
    if value is _ABSENT:
        del table[name]
    else:
        table[name] = value
    return before


@contextmanager
def _reparametrize_module(
    module: Module, parameters_and_buffers: dict[str, Tensor], tie_weights: bool = False, strict: bool = False
) -> Iterator[None]:
    """Within this block the module has other parameters and buffers; buffers that it replaces are written back."""
    given = _with_tied(module, parameters_and_buffers) if tie_weights else parameters_and_buffers
    if strict:
        _check_names(module, given)
    before: dict[str, Any] = {}
    try:
        for path, value in given.items():
            before[path] = _swap(module, path, value)
        yield
    finally:
        after = {path: _swap(module, path, value) for path, value in reversed(before.items())}
        parameters_and_buffers.update({path: after[path] for path in parameters_and_buffers if path in after})


def _functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    arguments = () if args is None else args if isinstance(args, tuple) else (args,)
    with _reparametrize_module(module, parameters_and_buffers, tie_weights=tie_weights, strict=strict):
        return module(*arguments, **(kwargs or {}))


def functional_call(
    module: Module,
    parameters_and_buffers: dict[str, Tensor],
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """Call a module with tensors in the place of its parameters and buffers; deprecated name of `func.functional_call`.

    Args:
        module: the module; it is as before afterwards.
        parameters_and_buffers: the tensors by dotted name. Buffers that the call replaces are replaced here.
        args: the arguments, a tuple, or one argument.
        kwargs: arguments by name.
        tie_weights: whether a value also replaces the tensor under its other names. Default: True.
        strict: whether the names must be exactly those of the module. Default: False.

    Raises:
        ValueError: tensors that are tied get different values.
        RuntimeError: names are missing or unknown, with `strict`.
    """
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and will be removed in a future "
        "version of PyTorch. Please use `torch.func.functional_call` instead which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return _functional_call(module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict)
