"""The LKJ distribution of correlation matrices, as Cholesky factors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import fastnn
from fastnn import Size, Tensor

from . import constraints
from .beta import Beta
from .distribution import Distribution
from .utils import broadcast_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices C with density det(C)^(concentration - 1).

    Args:
        dim: size of the matrices, at least 2.
        concentration: positive; 1 is uniform, larger is nearer to the identity.
        validate_args: see `Distribution`.

    Raises:
        ValueError: `dim` is below 2.

    Example:
        >>> import fastnn
        >>> factor = fastnn.distributions.LKJCholesky(3, 0.5).sample()
        >>> factor.square().sum(-1).round()
        tensor([1., 1., 1.])

    Source: Lewandowski, Kurowicka and Joe, "Generating random correlation matrices based on vines and extended onion
    method", 2009.
    """

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    concentration: Tensor

    def __init__(self, dim: int, concentration: Tensor | float = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        offset = fastnn.cat([fastnn.zeros(1), fastnn.arange(dim - 1)]).to(self.concentration.dtype)
        beta0 = (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1) - 0.5 * offset
        self._beta = Beta(offset + 0.5, beta0)
        super().__init__(self.concentration.shape, (dim, dim), validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Self:
        """The same with its batch expanded; see `Distribution.expand`."""
        new = super().expand(batch_shape, _instance)
        new._beta = self._beta.expand((*batch_shape, self.dim))
        return new

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draw by the onion method, row by row."""
        with fastnn.no_grad():
            y = self._beta.sample(sample_shape).unsqueeze(-1)
            shape = self._extended_shape(sample_shape)
            direction = fastnn.randn(shape, dtype=y.dtype).tril(-1)
            direction = direction / direction.norm(dim=-1, keepdim=True)
            direction[..., 0, :].fill_(0.0)
            w = y.sqrt() * direction
            rest = (1 - w.square().sum(-1)).clamp(min=fastnn.finfo(w.dtype).tiny)
            return w + rest.sqrt().diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        self._check(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = fastnn.arange(2, self.dim + 1)
        power = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        density = (power * diagonal.log()).sum(-1)
        n = self.dim - 1
        alpha = self.concentration + 0.5 * n
        numerator = 0.5 * n * math.log(math.pi) + fastnn.mvlgamma(alpha - 0.5, n)
        return density - (numerator - n * alpha.lgamma())
