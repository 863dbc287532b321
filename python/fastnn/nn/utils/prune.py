"""Pruning: parts of a parameter set to zero by a mask."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from fastnn import _C
from fastnn._C import Tensor

from .convert_parameters import parameters_to_vector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..modules.module import Module

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]

M = TypeVar("M", bound="Module")


def _check_scores(scores: Tensor | None, like: Tensor, what: str) -> Tensor:
    if scores is None:
        return like
    if scores.shape != like.shape:
        raise AssertionError(
            f"importance_scores should have the same shape as {what}, got {scores.shape} vs {like.shape}"
        )
    return scores


class BasePruningMethod(ABC):
    """The base of pruning methods: a subclass says which elements stay, in `compute_mask`.

    A pruned parameter `name` becomes the parameter `name_orig` and the buffer `name_mask`; their product is set as
    the attribute `name` before each forward pass. `PRUNING_TYPE` of a subclass is "unstructured", "structured" or
    "global".
    """

    PRUNING_TYPE: str
    _tensor_name: str | None = None

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, str(self._tensor_name), self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the mask for the importance scores `t`, given the mask that there is already."""

    def apply_mask(self, module: Module) -> Tensor:
        """Return the product of mask and original parameter.

        Raises:
            AssertionError: this method has not been applied yet.
        """
        if self._tensor_name is None:
            raise AssertionError(f"Module {module} has to be pruned")
        mask: Tensor = getattr(module, self._tensor_name + "_mask")
        original: Tensor = getattr(module, self._tensor_name + "_orig")
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(
        cls, module: Module, name: str, *args: Any, importance_scores: Tensor | None = None, **kwargs: Any
    ) -> BasePruningMethod:
        """Prune a parameter of a module, after the pruning that it has already.

        Args:
            module: the module.
            name: the name of the parameter.
            args, kwargs: of the constructor of this class.
            importance_scores: what decides which elements stay. Default: the parameter.

        Returns:
            The hook that applies the mask: an object of this class, or a PruningContainer.
        """
        method = cls(*args, **kwargs)
        method._tensor_name = name
        hook: BasePruningMethod = method
        found = [key for key, old in module._forward_pre_hooks.items() if _prunes(old, name)]
        if len(found) > 1:
            raise AssertionError(
                f"Avoid adding multiple pruning hooks to the same tensor {name} of module {module}. "
                "Use a PruningContainer."
            )
        for key in found:
            old: Any = module._forward_pre_hooks.pop(key)
            hook = old if isinstance(old, PruningContainer) else PruningContainer(old)
            hook.add_pruning_method(method)
        first = not found

        original: Tensor = getattr(module, name)
        scores = _check_scores(importance_scores, original, f"parameter {name} of {module}")
        if first:
            module.register_parameter(name + "_orig", original)  # type: ignore[arg-type]
            del module._parameters[name]
            default_mask = _C.ones_like(original)
        else:
            default_mask = getattr(module, name + "_mask").detach().clone()
        try:
            module.register_buffer(name + "_mask", hook.compute_mask(scores, default_mask=default_mask))
            setattr(module, name, hook.apply_mask(module))
            module.register_forward_pre_hook(hook)
        except Exception:
            if first:
                module.register_parameter(name, module._parameters.pop(name + "_orig"))
            raise
        return hook

    def prune(self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None) -> Tensor:
        """Return a tensor pruned by this method; no module is involved."""
        scores = _check_scores(importance_scores, t, "tensor t")
        return t * self.compute_mask(scores, default_mask=_C.ones_like(t) if default_mask is None else default_mask)

    def remove(self, module: Module) -> None:
        """Make the pruned value an ordinary parameter.

        Raises:
            AssertionError: this method has not been applied yet.
        """
        if self._tensor_name is None:
            raise AssertionError(f"Module {module} has to be pruned before pruning can be removed")
        name = self._tensor_name
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original: Any = module._parameters.pop(name + "_orig")
        original.data = weight.data
        del module._buffers[name + "_mask"]
        setattr(module, name, original)


def _prunes(hook: object, name: str) -> bool:
    return isinstance(hook, BasePruningMethod) and hook._tensor_name == name


class PruningContainer(BasePruningMethod):
    """Several pruning methods of one parameter, applied in order: each prunes what those before it have left.

    Args:
        args: the methods.
    """

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[BasePruningMethod, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod) -> None:
        """Add a method.

        Raises:
            TypeError: it is none.
            ValueError: it prunes another parameter.
        """
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if self._tensor_name != method._tensor_name:
            raise ValueError(
                f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to "
                f"PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> BasePruningMethod:
        return self._pruning_methods[idx]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return `default_mask` with the newest method applied to what it leaves."""
        method: Any = self._pruning_methods[-1]
        part = _remaining(method, t, default_mask)
        mask = default_mask.to(dtype=t.dtype, copy=True)
        mask[part] = method.compute_mask(t[part], default_mask=default_mask[part]).to(dtype=mask.dtype)
        return mask


def _remaining(method: Any, t: Tensor, mask: Tensor) -> Any:
    """The index of those elements that a further method looks at."""
    if method.PRUNING_TYPE == "unstructured":
        return mask == 1
    if method.PRUNING_TYPE == "global":
        return (slice(None),) * t.dim()
    if method.PRUNING_TYPE != "structured":
        raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
    if not hasattr(method, "dim"):
        raise AttributeError('Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` defined.')
    dim = method.dim + t.dim() if method.dim < 0 else method.dim
    if dim < 0:
        raise IndexError(f"Index is out of bounds for tensor with dimensions {t.dim()}")
    kept = mask.sum(dim=[d for d in range(t.dim()) if d != dim]) != 0
    return _at(t, dim, kept)


def _at(t: Tensor, dim: int, index: Any) -> tuple[Any, ...]:
    """The index that has `index` in dimension `dim` and everything in the others."""
    result: list[Any] = [slice(None)] * t.dim()
    result[dim] = index
    return tuple(result)


class _ByAmount(BasePruningMethod):
    """A method with an amount: a share of the elements (or channels), or how many."""

    amount: float

    def __init__(self, amount: float) -> None:
        if not isinstance(amount, numbers.Real):
            raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
        whole = isinstance(amount, numbers.Integral)
        if amount < 0 or (not whole and amount > 1.0):
            raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")
        self.amount = amount

    def _count(self, size: int) -> int:
        if isinstance(self.amount, float) or not isinstance(self.amount, numbers.Integral):
            return round(self.amount * size)
        if self.amount > size:
            raise ValueError(f"amount={self.amount} should be smaller than the number of parameters to prune={size}")
        return int(self.amount)


class _Unstructured(_ByAmount):
    PRUNING_TYPE = "unstructured"

    def _chosen(self, t: Tensor, count: int) -> Tensor:
        """The positions in the flattened tensor that go."""
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        count = self._count(t.nelement())
        mask = default_mask.clone(memory_format=_C.contiguous_format)
        if count != 0:
            mask.view(-1)[self._chosen(t, count)] = 0
        return mask


class _Structured(_ByAmount):
    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def _kept(self, t: Tensor, count: int) -> Tensor:
        """The channels that stay when `count` go: their indices, or a mask."""
        raise NotImplementedError

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        if t.dim() <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
                f"{t.shape} with {t.dim()} dims"
            )
        if self.dim >= t.dim():
            raise IndexError(f"Invalid index {self.dim} for tensor of size {t.shape}")
        count = self._count(t.shape[self.dim])
        if count == 0:
            return default_mask
        mask = _C.zeros_like(t, requires_grad=False)
        mask[_at(t, self.dim, self._kept(t, count))] = 1
        return mask * default_mask.to(dtype=mask.dtype)


class Identity(BasePruningMethod):
    """Prunes nothing, but gives the parameter the form of a pruned one."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return `default_mask`."""
        return default_mask

    @classmethod
    def apply(cls, module: Module, name: str) -> BasePruningMethod:  # type: ignore[override]
        """Prune nothing of a parameter."""
        return super().apply(module, name)


class RandomUnstructured(_Unstructured):
    """Prunes random elements.

    Args:
        amount: their share, or how many.
    """

    def _chosen(self, t: Tensor, count: int) -> Tensor:
        return _C.topk(_C.rand_like(t).view(-1), k=count).indices

    @classmethod
    def apply(cls, module: Module, name: str, amount: float) -> BasePruningMethod:  # type: ignore[override]
        """Prune random elements of a parameter."""
        return super().apply(module, name, amount=amount)


class L1Unstructured(_Unstructured):
    """Prunes the elements that are smallest in magnitude.

    Args:
        amount: their share, or how many.
    """

    def _chosen(self, t: Tensor, count: int) -> Tensor:
        return _C.topk(_C.abs(t).view(-1), k=count, largest=False).indices

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, amount: float, importance_scores: Tensor | None = None
    ) -> BasePruningMethod:
        """Prune the smallest elements of a parameter."""
        return super().apply(module, name, amount=amount, importance_scores=importance_scores)


class RandomStructured(_Structured):
    """Prunes random channels.

    Args:
        amount: their share, or how many.
        dim: the dimension of the channels. Default: -1.
    """

    def _kept(self, t: Tensor, count: int) -> Tensor:
        draws = _C.rand(t.shape[self.dim])
        return draws > _C.kthvalue(draws, k=count).values

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, amount: float, dim: int = -1
    ) -> BasePruningMethod:
        """Prune random channels of a parameter."""
        return super().apply(module, name, amount=amount, dim=dim)


class LnStructured(_Structured):
    """Prunes the channels with the smallest norm.

    Args:
        amount: their share, or how many.
        n: the order of the norm, as the `p` of `torch.norm`.
        dim: the dimension of the channels. Default: -1.
    """

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _kept(self, t: Tensor, count: int) -> Tensor:
        others = list(range(t.dim()))
        others.remove(others[self.dim])
        norms = _C.norm(t, p=self.n, dim=others)
        return _C.topk(norms, k=t.shape[self.dim] - count, largest=True).indices

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, amount: float, n: Any, dim: int, importance_scores: Tensor | None = None
    ) -> BasePruningMethod:
        """Prune the channels of a parameter with the smallest norm."""
        return super().apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)


class CustomFromMask(BasePruningMethod):
    """Prunes by a given mask.

    Args:
        mask: 0 where an element goes.
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """Return the product of both masks."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match self.mask shape {self.mask.shape}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)

    @classmethod
    def apply(cls, module: Module, name: str, mask: Tensor) -> BasePruningMethod:  # type: ignore[override]
        """Prune a parameter by a mask."""
        return super().apply(module, name, mask=mask)


def identity(module: M, name: str) -> M:
    """Give a parameter the form of a pruned one without pruning anything; returns the module.

    Example:
        >>> from fastnn import nn
        >>> from fastnn.nn.utils import prune
        >>> sorted(prune.identity(nn.Linear(2, 3), "bias").state_dict())
        ['bias_mask', 'bias_orig', 'weight']
    """
    Identity.apply(module, name)
    return module


def random_unstructured(module: M, name: str, amount: float) -> M:
    """Prune random elements of a parameter: a share of them, or so many; returns the module."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: M, name: str, amount: float, importance_scores: Tensor | None = None) -> M:
    """Prune the elements of a parameter that are smallest in magnitude; returns the module.

    Args:
        module: the module.
        name: the name of the parameter.
        amount: the share of the elements that goes, or how many.
        importance_scores: what is compared instead of the parameter.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> from fastnn.nn.utils import prune
        >>> layer = nn.Linear(4, 1)
        >>> layer.weight.data = fastnn.tensor([[0.1, -3.0, 2.0, -0.2]])
        >>> prune.l1_unstructured(layer, "weight", amount=2).weight.tolist()
        [[0.0, -3.0, 2.0, -0.0]]
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: M, name: str, amount: float, dim: int) -> M:
    """Prune random channels of a parameter along `dim`: a share of them, or so many; returns the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: M, name: str, amount: float, n: Any, dim: int, importance_scores: Tensor | None = None) -> M:
    """Prune the channels of a parameter along `dim` with the smallest norm of order `n`; returns the module.

    Args:
        module: the module.
        name: the name of the parameter.
        amount: the share of the channels that goes, or how many.
        n: the order of the norm, as the `p` of `torch.norm`.
        dim: the dimension of the channels.
        importance_scores: what is compared instead of the parameter.
    """
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def global_unstructured(
    parameters: Iterable[tuple[Module, str]],
    pruning_method: Any,
    importance_scores: dict[tuple[Module, str], Tensor] | None = None,
    **kwargs: Any,
) -> None:
    """Prune several parameters as if they were one vector.

    Args:
        parameters: pairs of module and name of a parameter.
        pruning_method: a class with the PRUNING_TYPE "unstructured".
        importance_scores: what is compared instead of a parameter, by pair. Default: the parameters.
        kwargs: for the constructor of the method, as `amount`.

    Raises:
        TypeError: `parameters` cannot be iterated over, `importance_scores` is no dict, or the method is of another
            type.

    Example:
        >>> from fastnn import nn
        >>> from fastnn.nn.utils import prune
        >>> net = nn.Sequential(nn.Linear(10, 4), nn.Linear(4, 1))
        >>> prune.global_unstructured([(m, "weight") for m in net], prune.L1Unstructured, amount=10)
        >>> int(sum((m.weight == 0).sum() for m in net))
        10
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    scores = {} if importance_scores is None else importance_scores
    if not isinstance(scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    pairs = list(parameters)
    values = [getattr(module, name) for module, name in pairs]
    flat_scores = parameters_to_vector([scores.get(pair, value) for pair, value in zip(pairs, values, strict=True)])
    masks = [
        getattr(module, name + "_mask", _C.ones_like(value))
        for (module, name), value in zip(pairs, values, strict=True)
    ]
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    mask = PruningContainer(method).compute_mask(flat_scores, parameters_to_vector(masks))
    start = 0
    for (module, name), value in zip(pairs, values, strict=True):
        custom_from_mask(module, name, mask=mask[start : start + value.numel()].view_as(value))
        start += value.numel()


def custom_from_mask(module: M, name: str, mask: Tensor) -> M:
    """Prune a parameter by a mask, 0 where an element goes; returns the module.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> from fastnn.nn.utils import prune
        >>> layer = prune.custom_from_mask(nn.Linear(5, 3), "bias", mask=fastnn.tensor([0, 1, 0]))
        >>> layer.bias_mask
        tensor([0., 1., 0.])
    """
    CustomFromMask.apply(module, name, mask)
    return module


def remove(module: M, name: str) -> M:
    """Make the pruned value of a parameter an ordinary parameter; returns the module.

    Raises:
        ValueError: the parameter is not pruned.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")


def is_pruned(module: Module) -> bool:
    """Whether the module, or one below it, has a pruned parameter.

    Example:
        >>> from fastnn import nn
        >>> from fastnn.nn.utils import prune
        >>> prune.is_pruned(nn.Sequential(prune.identity(nn.Linear(2, 3), "bias")))
        True
    """
    return any(
        isinstance(hook, BasePruningMethod)
        for submodule in module.modules()
        for hook in submodule._forward_pre_hooks.values()
    )
