"""Parametrizations: a parameter of a module computed from another tensor each time it is read."""

from __future__ import annotations

import copy
import copyreg
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastnn import no_grad
from fastnn._C import Tensor

from ..modules.container import ModuleDict, ModuleList
from ..parameter import Parameter

if TYPE_CHECKING:
    from ..modules.module import Module

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]


class _Cache:
    """Values of parametrized tensors, kept while a `cached` block runs."""

    def __init__(self) -> None:
        self.depth = 0
        self.values: dict[tuple[int, str], Tensor] = {}


_cache = _Cache()


@contextmanager
def cached() -> Iterator[None]:
    """Within this block each parametrized tensor is computed once, when it is first read.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> from fastnn.nn.utils import parametrizations, parametrize
        >>> layer = parametrizations.weight_norm(nn.Linear(2, 2))
        >>> with parametrize.cached():
        ...     layer.weight is layer.weight
        True
    """
    _cache.depth += 1
    try:
        yield
    finally:
        _cache.depth -= 1
        if not _cache.depth:
            _cache.values = {}


def _register(module: Module, name: str, value: Tensor) -> None:
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _check_unchanged(what: str, before: tuple[str, Tensor], after: tuple[str, Tensor]) -> None:
    """Raise an error unless the two (description, tensor) have the same dtype and shape."""
    for kind in ("dtype", "shape"):
        old, new = getattr(before[1], kind), getattr(after[1], kind)
        if old != new:
            verb = what.format(kind=kind)
            raise ValueError(f"{verb}\n{before[0].format(kind=kind)}: {old}\n{after[0].format(kind=kind)}: {new}")


_MAY_NOT_CHANGE = (
    "Registering a parametrization may not change the {kind} of the tensor, unless the `unsafe` flag is enabled."
)


def _tensor_result(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(value).__name__}.")
    return value


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied one after the other to `original` (or `original0`, ...).

    Args:
        modules: the parametrizations; the first may take several tensors.
        original: the tensor that is parametrized.
        unsafe: whether dtype and shape may change, and are not checked. Default: False.

    Raises:
        ValueError: there are no modules, or they do not return what they must.
    """

    original: Tensor
    unsafe: bool

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        before = original.detach()  # what the new values are compared with
        with no_grad():
            new: Any = original
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    try:
                        new = module.right_inverse(new)
                    except NotImplementedError:
                        pass  # the parametrization starts from the values that the tensor has
        if not isinstance(new, Tensor) and not isinstance(new, Sequence):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if isinstance(new, Tensor):
            if original.dtype != new.dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {new.dtype}"
                )
            original.data = new.data
            _register(self, "original", original)
        else:
            for i, item in enumerate(new):
                if not isinstance(item, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                        f"Got element {i} of the sequence with type {type(item).__name__}."
                    )
                if isinstance(original, Parameter):
                    item = Parameter(item, original.requires_grad)
                item.requires_grad_(original.requires_grad)
                _register(self, f"original{i}", item)
        if not unsafe:
            after = _tensor_result(self())
            names = ("unparametrized {kind}", "parametrized {kind}")
            _check_unchanged(_MAY_NOT_CHANGE.replace("the `unsafe`", "`unsafe`"), (names[0], before), (names[1], after))

    def right_inverse(self, value: Tensor) -> None:
        """Set the original tensors so that the parametrized one becomes `value`.

        Raises:
            RuntimeError: a parametrization has no `right_inverse`.
            ValueError: its result does not fit the original tensors.
        """
        with no_grad():
            new: Any = value
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
                new = module.right_inverse(new)
            if self.is_tensor:
                if not isinstance(new, Tensor):
                    raise ValueError(f"`right_inverse` should return a tensor. Got {type(new).__name__}")
                if new.dtype != self.original.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has dtype {new.dtype} "
                        f"while `original` has dtype {self.original.dtype}"
                    )
                self.original.data = new.data
                return
            if not isinstance(new, Sequence):
                raise ValueError(f"'right_inverse' must return a sequence of tensors. Got {type(new).__name__}.")
            if len(new) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. "
                    f"Got a sequence of length {len(new)}."
                )
            for i, item in enumerate(new):
                original: Tensor = getattr(self, f"original{i}")
                if not isinstance(item, Tensor):
                    raise ValueError(
                        f"`right_inverse` must return a sequence of tensors. Got element {i} of type "
                        f"{type(item).__name__}"
                    )
                if original.dtype != item.dtype:
                    raise ValueError(
                        f"Tensor {i} returned by `right_inverse` has dtype {item.dtype} "
                        f"while `original{i}` has dtype {original.dtype}"
                    )
                original.data = item.data

    def forward(self) -> Tensor:
        first, *rest = list(self)
        if self.is_tensor:
            x = first(self.original)
        else:
            x = first(*(getattr(self, f"original{i}") for i in range(self.ntensors)))
        for module in rest:
            x = module(x)
        result: Tensor = x
        return result


def _deepcopy_by_dict(self: Module, memo: dict[int, Any]) -> Module:
    """A deep copy without `__getstate__`, which parametrized modules refuse."""
    replica = type(self).__new__(type(self))
    memo[id(self)] = replica
    replica.__dict__.update(copy.deepcopy(self.__dict__, memo))
    for slot in copyreg._slotnames(type(self)):  # type: ignore[attr-defined]
        if hasattr(self, slot):
            setattr(replica, slot, copy.deepcopy(getattr(self, slot), memo))
    return replica


def _refuse_pickling(self: Module) -> Any:
    raise RuntimeError(
        "Serialization of parametrized modules is only supported through state_dict(). See:\n"
        "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
        "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
    )


def _give_own_class(module: Module) -> None:
    """Make the module the only instance of a new subclass of its class, for the properties that it gets."""
    own = type(module)
    members: dict[str, Any] = {"__getstate__": _refuse_pickling}
    if not hasattr(own, "__deepcopy__"):
        members["__deepcopy__"] = _deepcopy_by_dict
    module.__class__ = type(f"Parametrized{own.__name__}", (own,), members)


def _add_property(module: Module, name: str) -> None:
    if hasattr(module, name):
        raise AssertionError(f"Module already has an attribute named '{name}'")

    def read(self: Module) -> Tensor:
        parametrization = _parametrizations(self)[name]
        if not _cache.depth:
            fresh: Tensor = parametrization()
            return fresh
        key = (id(self), name)
        if key not in _cache.values:
            _cache.values[key] = parametrization()
        return _cache.values[key]

    def write(self: Module, value: Tensor) -> None:
        _parametrizations(self)[name].right_inverse(value)

    setattr(type(module), name, property(read, write))


def _parametrizations(module: Module) -> ModuleDict:
    found = module.parametrizations
    if not isinstance(found, ModuleDict):
        raise AssertionError(f"Expected module.parametrizations to be a ModuleDict, got {type(found).__name__}")
    return found


def _check_further(module: Module, name: str, parametrization: Module) -> None:
    """Raise an error unless one more parametrization keeps dtype and shape, in both directions."""
    before: Tensor = getattr(module, name)
    after = _tensor_result(parametrization(before))
    described = (f"module.{name}.{{kind}}", before)
    _check_unchanged(_MAY_NOT_CHANGE, described, (f"parametrization(module.{name}).{{kind}}", after))
    if not hasattr(parametrization, "right_inverse"):
        return
    try:
        back = parametrization.right_inverse(after)
    except NotImplementedError:
        return
    if not isinstance(back, Tensor):
        raise ValueError(f"parametrization.right_inverse must return a tensor. Got: {type(back).__name__}")
    must = (
        f"The tensor returned by parametrization.right_inverse must have the same {{kind}} as module.{name}, unless "
        "the `unsafe` flag is enabled."
    )
    _check_unchanged(must, described, ("returned {kind}", back))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Let `module.<tensor_name>` be `parametrization(original)`; further ones are applied after those there are.

    The original becomes `module.parametrizations.<tensor_name>.original`. A parametrization with a method
    `right_inverse` allows assignment to the tensor; if that returns several tensors, they become `original0`, ...

    Args:
        module: the module.
        tensor_name: the name of one of its parameters or buffers.
        parametrization: the module that computes the tensor.
        unsafe: whether dtype and shape may change, and are not checked. Default: False.

    Raises:
        ValueError: there is no such parameter or buffer, or the parametrization changes dtype or shape.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> from fastnn.nn.utils import parametrize
        >>> class Symmetric(nn.Module):
        ...     def forward(self, x):
        ...         return x.triu() + x.triu(1).T
        >>> layer = parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
        >>> bool((layer.weight == layer.weight.T).all())
        True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_further(module, tensor_name, parametrization)
        chain: Any = _parametrizations(module)[tensor_name]
        chain.append(parametrization)
        chain.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        # Made first, so that the module stays as it is if that fails.
        chain = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _give_own_class(module)
            module.parametrizations = ModuleDict()
        _add_property(module, tensor_name)
        _parametrizations(module)[tensor_name] = chain
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    return module


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether the module has parametrized tensors, or the one of that name is parametrized.

    Example:
        >>> from fastnn import nn
        >>> from fastnn.nn.utils import parametrizations, parametrize
        >>> layer = parametrizations.weight_norm(nn.Linear(2, 2))
        >>> parametrize.is_parametrized(layer), parametrize.is_parametrized(layer, "bias")
        (True, False)
    """
    found = getattr(module, "parametrizations", None)
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make a parametrized tensor an ordinary parameter or buffer again.

    Args:
        module: the module.
        tensor_name: the name of the tensor.
        leave_parametrized: whether it keeps the parametrized value rather than the original one. Default: True.

    Raises:
        ValueError: the tensor is not parametrized, or comes from several originals and `leave_parametrized` is False.

    Example:
        >>> from fastnn import nn
        >>> from fastnn.nn.utils import parametrizations, parametrize
        >>> layer = parametrizations.weight_norm(nn.Linear(2, 2))
        >>> sorted(name for name, _ in parametrize.remove_parametrizations(layer, "weight").named_parameters())
        ['bias', 'weight']
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    chain: Any = _parametrizations(module)[tensor_name]
    if chain.is_tensor:
        original = chain.original
        if leave_parametrized:
            with no_grad():
                original.data = getattr(module, tensor_name).data
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence of tensors."
        )
    delattr(type(module), tensor_name)
    del _parametrizations(module)[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module: Module) -> type:
    """Return the class that the module had before its first parametrization."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give `to_module` the parametrizations, and the tensors behind them, of `from_module`.

    Args:
        from_module: the module that has them.
        to_module: the module that gets them.
        tensor_name: one tensor only. Default: all that are parametrized.

    Returns:
        `to_module`.
    """
    if not is_parametrized(from_module):
        return to_module
    source = _parametrizations(from_module)
    for name in list(source) if tensor_name is None else [tensor_name]:
        chain: Any = source[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(getattr(from_module, name).detach()))
        for parametrization in list(chain):
            register_parametrization(to_module, name, parametrization)
        target = _parametrizations(to_module)[name]
        originals = ["original"] if chain.is_tensor else [f"original{i}" for i in range(chain.ntensors)]
        for original in originals:
            setattr(target, original, getattr(chain, original))
    return to_module
