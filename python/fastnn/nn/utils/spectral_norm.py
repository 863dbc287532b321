"""Spectral norm as a hook; `parametrizations.spectral_norm` is its successor."""

from __future__ import annotations

from typing import Any, TypeVar

from fastnn import _C, no_grad
from fastnn._C import Tensor

from .. import functional as F
from ..modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..modules.module import Module
from ..parameter import Parameter
from ._hooks import refuse_second, remove_hook

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]

M = TypeVar("M", bound=Module)


def rows_along(weight: Tensor, dim: int) -> Tensor:
    """The weight as a matrix that has a row for each index of `dim`."""
    if dim != 0:
        weight = weight.permute(dim, *(d for d in range(weight.dim()) if d != dim))
    return weight.flatten(1)


def default_dim(module: Module) -> int:
    """The dimension of the outputs of a module's weight."""
    return int(isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)))


class SpectralNorm:
    """The hook of `spectral_norm`: computes the weight before each forward pass.

    Args:
        name: the name of the parameter.
        n_power_iterations: steps of power iteration in each forward pass in training.
        dim: the dimension of the outputs.
        eps: keeps norms away from 0.
    """

    _version = 1

    def __init__(self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name = name
        self.dim = dim
        self.n_power_iterations = n_power_iterations
        self.eps = eps

    def reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        """Return the weight with a row for each output."""
        return rows_along(weight, self.dim)

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """Return the weight divided by its largest singular value, after some steps of power iteration."""
        weight: Tensor = getattr(module, self.name + "_orig")
        u: Tensor = getattr(module, self.name + "_u")
        v: Tensor = getattr(module, self.name + "_v")
        matrix = rows_along(weight, self.dim)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(_C.mv(matrix.t(), u), dim=0, eps=self.eps))
                    u.copy_(F.normalize(_C.mv(matrix, v), dim=0, eps=self.eps))
                # Copies: the buffers change in place before the next forward pass.
                u, v = u.clone(), v.clone()
        return weight / _C.dot(u, _C.mv(matrix, v))

    @staticmethod
    def apply(module: Module, name: str, n_power_iterations: int, dim: int, eps: float) -> SpectralNorm:
        """Add the vectors of power iteration to the module, and register the hooks."""
        refuse_second(module, SpectralNorm, name)
        hook = SpectralNorm(name, n_power_iterations, dim, eps)
        weight = module._parameters[name]
        if weight is None:
            raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
        with no_grad():
            u, v = (
                F.normalize(weight.new_empty(size).normal_(0, 1), dim=0, eps=eps)
                for size in rows_along(weight, dim).shape
            )
        delattr(module, name)
        module.register_parameter(name + "_orig", weight)
        # An attribute for now, so that code that looks for the weight finds it; the hook replaces it.
        setattr(module, name, weight.data)
        module.register_buffer(name + "_u", u)
        module.register_buffer(name + "_v", v)
        module.register_forward_pre_hook(hook)
        module._register_state_dict_hook(_WriteVersion(hook))
        return hook

    def remove(self, module: Module) -> None:
        """Make the weight an ordinary parameter again."""
        with no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        for suffix in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, do_power_iteration=module.training))


class _WriteVersion:
    """Notes in a state dict's metadata that both vectors are in it."""

    def __init__(self, hook: SpectralNorm) -> None:
        self.hook = hook

    def __call__(self, module: Module, state_dict: Any, prefix: str, local_metadata: dict[str, Any]) -> None:
        versions = local_metadata.setdefault("spectral_norm", {})
        versions[self.hook.name + ".version"] = self.hook._version


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide a parameter by its largest singular value, estimated by power iteration in training.

    `parametrizations.spectral_norm` does the same as a parametrization. The parameter becomes `<name>_orig`, and there
    are buffers `<name>_u` and `<name>_v`.

    Args:
        module: the module.
        name: the name of the parameter. Default: "weight".
        n_power_iterations: steps of power iteration in each forward pass. Default: 1.
        eps: keeps norms away from 0. Default: 1e-12.
        dim: the dimension of the outputs. Default: 0, and 1 for transposed convolutions.

    Raises:
        RuntimeError: the parameter has a spectral norm already.
        ValueError: the parameter is None, or `n_power_iterations` is not above 0.

    Miyato et al., Spectral Normalization for Generative Adversarial Networks (2018).

    Example:
        >>> from fastnn import nn
        >>> sorted(nn.utils.spectral_norm(nn.Linear(20, 40)).state_dict())
        ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    SpectralNorm.apply(module, name, n_power_iterations, default_dim(module) if dim is None else dim, eps)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Undo `spectral_norm`, keeping the value of the weight.

    Raises:
        ValueError: there is no spectral norm of that name.
    """
    remove_hook(module, SpectralNorm, name)
    for key, hook in module._state_dict_hooks.items():
        if isinstance(hook, _WriteVersion) and hook.hook.name == name:
            del module._state_dict_hooks[key]
            break
    return module
