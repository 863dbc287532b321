"""Weight norm as a hook; `parametrizations.weight_norm` is its successor."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from fastnn import norm_except_dim
from fastnn._C import Tensor

from ..modules.module import Module
from ..parameter import Parameter
from ._hooks import refuse_second, remove_hook

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


def _weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """`v * (g / |v|)`, with the norm over all dimensions but one."""
    return v * (g / norm_except_dim(v, 2, dim))


class WeightNorm:
    """The hook of `weight_norm`: computes the weight before each forward pass.

    Args:
        name: the name of the parameter.
        dim: the dimension along which there is a magnitude for each index; None or -1 for a single one.
    """

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Any:
        """Return the weight of magnitude and direction."""
        return _weight_norm(getattr(module, self.name + "_v"), getattr(module, self.name + "_g"), self.dim)

    @staticmethod
    def apply(module: Module, name: str, dim: int | None) -> WeightNorm:
        """Split the parameter, and register the hook."""
        warnings.warn(
            "`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.",
            FutureWarning,
            stacklevel=3,
        )
        refuse_second(module, WeightNorm, name)
        hook = WeightNorm(name, dim)
        weight = getattr(module, name)
        del module._parameters[name]
        module.register_parameter(name + "_g", Parameter(norm_except_dim(weight, 2, hook.dim).data))
        module.register_parameter(name + "_v", Parameter(weight.data))
        setattr(module, name, hook.compute_weight(module))
        module.register_forward_pre_hook(hook)
        return hook

    def remove(self, module: Module) -> None:
        """Make the weight one parameter again."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"]
        del module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Split a parameter into its magnitude `<name>_g` and its direction `<name>_v`: `w = g v / |v|`.

    Deprecated: `parametrizations.weight_norm` does the same.

    Args:
        module: the module.
        name: the name of the parameter. Default: "weight".
        dim: the dimension along which there is a magnitude for each index; None for a single one. Default: 0.

    Raises:
        RuntimeError: the parameter has a weight norm already.

    Salimans and Kingma, Weight Normalization (2016).
    """
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Undo `weight_norm`, keeping the value of the weight.

    Raises:
        ValueError: there is no weight norm of that name.
    """
    remove_hook(module, WeightNorm, name)
    return module
