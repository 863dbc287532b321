"""Ready-made parametrizations: weight norm, spectral norm, orthogonal matrices."""

from __future__ import annotations

from typing import Any

from fastnn import _C, finfo, linalg, no_grad, norm_except_dim
from fastnn._C import Tensor

from .. import functional as F
from ..modules.module import Module
from . import parametrize
from .spectral_norm import default_dim, rows_along
from .weight_norm import _weight_norm

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def _parameter_of(module: Module, name: str) -> Tensor:
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    return weight


# --- weight norm ---


class _WeightNorm(Module):
    """`g v / |v|`, from a magnitude and a direction."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return _weight_norm(weight_v, weight_g, self.dim)

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Split a parameter into its magnitude `original0` and its direction `original1`: `w = g v / |v|`.

    Args:
        module: the module.
        name: the name of the parameter. Default: "weight".
        dim: the dimension along which there is a magnitude for each index; None for a single one. Default: 0.

    State dicts of the older `nn.utils.weight_norm`, with `weight_g` and `weight_v`, can be loaded.

    Salimans and Kingma, Weight Normalization (2016).

    Example:
        >>> from fastnn import nn
        >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(20, 40))
        >>> layer.parametrizations.weight.original0.shape
        torch.Size([40, 1])
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename_old_keys(state_dict: dict[str, Any], prefix: str, *ignored: Any) -> None:
        keys = [f"{prefix}{name}_g", f"{prefix}{name}_v"]
        if all(key in state_dict for key in keys):
            for i, key in enumerate(keys):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(rename_old_keys)
    return module


# --- spectral norm ---


class _SpectralNorm(Module):
    """The weight divided by its largest singular value, which power iteration follows."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        ndim = weight.ndim
        if dim >= ndim or dim < -ndim:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{ndim}, {ndim - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim if dim >= 0 else dim + ndim
        self.eps = eps
        if ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = rows_along(weight, self.dim)
            for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                start = matrix.new_empty(size).normal_(0, 1).detach()
                self.register_buffer(name, F.normalize(start, dim=0, eps=eps))
            # Enough steps that the estimate is good from the start.
            self._power_method(matrix, 15)

    @no_grad()
    def _power_method(self, matrix: Tensor, n_power_iterations: int) -> None:
        for _ in range(n_power_iterations):
            self._u.copy_(F.normalize(_C.mv(matrix, self._v), dim=0, eps=self.eps))
            self._v.copy_(F.normalize(_C.mv(matrix.t(), self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = rows_along(weight, self.dim)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        # Copies: the buffers change in place before the next forward pass.
        u, v = self._u.clone(), self._v.clone()
        return weight / _C.vdot(u, _C.mv(matrix, v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide a parameter by its largest singular value, estimated by power iteration in training.

    Args:
        module: the module.
        name: the name of the parameter. Default: "weight".
        n_power_iterations: steps of power iteration in each forward pass. Default: 1.
        eps: keeps norms away from 0. Default: 1e-12.
        dim: the dimension of the outputs. Default: 0, and 1 for transposed convolutions.

    Raises:
        ValueError: there is no such parameter, or `n_power_iterations` is not above 0.

    Miyato et al., Spectral Normalization for Generative Adversarial Networks (2018).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(20, 40))
        >>> sorted(layer.state_dict())[1:]
        ['parametrizations.weight.0._u', 'parametrizations.weight.0._v', 'parametrizations.weight.original']
    """
    weight = _parameter_of(module, name)
    dim = default_dim(module) if dim is None else dim
    parametrize.register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module


# --- orthogonal ---

_ORTHOGONAL_MAPS = ("matrix_exp", "cayley", "householder")


def _is_orthogonal(q: Tensor) -> bool:
    tolerance = 10.0 * q.size(-2) * finfo(q.dtype).eps
    return bool(_C.allclose(q.mT @ q, _C.eye(q.size(-1), dtype=q.dtype), atol=tolerance))


def _make_orthogonal(a: Tensor) -> Tensor:
    """Q of the QR decomposition whose R has a positive diagonal."""
    q, r = linalg.qr(a)
    sign: Tensor = r.diagonal(dim1=-2, dim2=-1).sgn()
    result: Tensor = q * sign.unsqueeze(-2)
    return result


class _Orthogonal(Module):
    """A matrix with orthonormal columns (or rows) as a function of an arbitrary one."""

    base: Tensor

    def __init__(self, weight: Tensor, orthogonal_map: str, *, use_trivialization: bool = True) -> None:
        super().__init__()
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def _from_skew(self, x: Tensor) -> Tensor:
        """The exponential, or the Cayley transform, of the skew-symmetric matrix of the lower triangle."""
        n, k = x.shape[-2:]
        x = x.tril()
        if n != k:
            x = _C.cat([x, x.new_zeros((n, n - k)).expand(*x.shape[:-2], -1, -1)], dim=-1)
        a = x - x.mT
        if self.orthogonal_map == "matrix_exp":
            q: Tensor = linalg.matrix_exp(a)
        else:
            identity = _C.eye(n, dtype=a.dtype)
            q = linalg.solve(_C.add(identity, a, alpha=-0.5), _C.add(identity, a, alpha=0.5))
        return q if n == k else q[..., :k]

    def forward(self, x: Tensor) -> Tensor:
        wide = x.size(-2) < x.size(-1)
        if wide:
            x = x.mT
        if self.orthogonal_map == "householder":
            a = x.tril(-1)
            tau = 2.0 / (1.0 + (a * a).sum(-2))
            # The diagonal holds signs: +1 or -1.
            q: Tensor = linalg.householder_product(a, tau)
            q = q * x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)
        else:
            q = self._from_skew(x)
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if wide else q

    @no_grad()
    def right_inverse(self, q: Tensor) -> Tensor:
        if q.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {q.shape}."
            )
        given = q
        wide = q.size(-2) < q.size(-1)
        if wide:
            q = q.mT
        n, k = q.shape[-2:]
        if not hasattr(self, "base"):
            if self.orthogonal_map != "householder":
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                    "use_trivialization=False."
                )
            a: Tensor
            a, tau = _C.geqrf(q)
            sign = a.diagonal(dim1=-2, dim2=-1)
            sign.sign_()
            sign[tau == 0.0] *= -1
            return a.mT if wide else a
        if n != k:
            q = _make_orthogonal(_C.cat([q, _C.randn((*q.shape[:-2], n, n - k), dtype=q.dtype)], dim=-1))
        else:
            q = q.clone() if _is_orthogonal(q) else _make_orthogonal(q)
        self.base = q
        # What the map sends to the identity.
        start = _C.zeros_like(given)
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return start


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keep a matrix orthogonal: its columns, or its rows if there are fewer, are orthonormal.

    Args:
        module: the module.
        name: the name of the parameter, a matrix or a batch of matrices. Default: "weight".
        orthogonal_map: "matrix_exp", "cayley" or "householder". Default: the first for square matrices, else the last.
        use_trivialization: whether the map is relative to the value that was assigned last, so that any orthogonal
            matrix can be assigned. Default: True.

    Raises:
        ValueError: there is no such parameter, it is no matrix, or the map is unknown.

    Lezcano-Casado, Trivializations for Gradient-Based Optimization on Manifolds (2019).
    """
    weight = _parameter_of(module, name)
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.size(-2) == weight.size(-1) else "householder"
    if orthogonal_map not in _ORTHOGONAL_MAPS:
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, made, unsafe=True)
    return module
