"""The Wishart distribution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import fastnn
from fastnn import Size, Tensor

from . import constraints
from .chi2 import Chi2
from .exp_family import ExponentialFamily
from .multivariate_normal import precision_to_scale_tril
from .utils import lazy_property

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

__all__ = ["Wishart"]


class Wishart(ExponentialFamily):
    """The Wishart distribution of positive definite matrices: sums of df outer products of normal vectors.

    Args:
        df: degrees of freedom, above n - 1.
        covariance_matrix: of the vectors, (..., n, n).
        precision_matrix: its inverse, or
        scale_tril: its Cholesky factor; exactly one of the three.
        validate_args: see `Distribution`.

    Raises:
        ValueError: not exactly one of the matrices is given, or `df` is too small.

    Example:
        >>> import fastnn
        >>> fastnn.distributions.Wishart(4.0, scale_tril=fastnn.eye(2)).mean
        tensor([[4., 0.],
                [0., 4.]])
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0
    df: Tensor

    def __init__(
        self,
        df: Any,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        matrices = {name: matrix for name, matrix in given.items() if matrix is not None}
        if len(matrices) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, matrix),) = matrices.items()
        if matrix.dim() < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        df = fastnn.as_tensor(df, dtype=matrix.dtype)
        batch_shape = Size(fastnn.broadcast_shapes(tuple(matrix.shape[:-2]), tuple(df.shape)))
        event_shape = matrix.shape[-2:]
        self.df = df.expand(batch_shape)
        self.__dict__[name] = matrix.expand((*batch_shape, -1, -1))
        if (self.df <= event_shape[-1] - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {event_shape[-1] - 1}.")
        self._batch_dims = [-(i + 1) for i in range(len(batch_shape))]
        super().__init__(batch_shape, event_shape, validate_args=validate_args)
        if scale_tril is not None:
            self._unbroadcasted_scale_tril = scale_tril
        elif covariance_matrix is not None:
            self._unbroadcasted_scale_tril = fastnn.linalg.cholesky(covariance_matrix)
        else:
            self._unbroadcasted_scale_tril = precision_to_scale_tril(matrix)
        order = fastnn.arange(event_shape[-1], dtype=self.df.dtype)
        self._dist_chi2 = Chi2(self.df.unsqueeze(-1) - order.expand((*batch_shape, -1)))

    @property
    def arg_constraints(self) -> Any:
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self._event_shape[-1] - 1),
        }

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Self:
        """The same with its batch expanded; see `Distribution.expand`."""
        new = super().expand(batch_shape, _instance)
        new._batch_dims = [-(i + 1) for i in range(len(batch_shape))]
        new._dist_chi2 = self._dist_chi2.expand((*batch_shape, self._event_shape[-1]))
        return new

    def _whole(self, matrix: Tensor) -> Tensor:
        return matrix.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """Cholesky factor of the covariance."""
        return self._whole(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """Covariance of the vectors."""
        factor = self._unbroadcasted_scale_tril
        return self._whole(factor @ factor.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """Inverse of the covariance."""
        return self._whole(fastnn.cholesky_inverse(self._unbroadcasted_scale_tril))

    @property
    def mean(self) -> Tensor:
        return self.df.reshape((*self._batch_shape, 1, 1)) * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        factor = fastnn.where(factor <= 0, fastnn.nan, factor)
        return factor.reshape((*self._batch_shape, 1, 1)) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        outer = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self.df.reshape((*self._batch_shape, 1, 1)) * (v.pow(2) + outer)

    def _bartlett(self, sample_shape: Sequence[int]) -> Tensor:
        """Draw by Bartlett's decomposition."""
        n = self._event_shape[-1]
        noise = self._dist_chi2.rsample(sample_shape).sqrt().diag_embed()
        rows, columns = fastnn.tril_indices(n, n, offset=-1)
        shape = Size(sample_shape) + self._batch_shape + (n * (n - 1) // 2,)
        noise[..., rows, columns] = fastnn.randn(shape, dtype=noise.dtype)
        factor = self._unbroadcasted_scale_tril @ noise
        return factor @ factor.mT

    def rsample(self, sample_shape: Sequence[int] = Size(), max_try_correction: int | None = None) -> Tensor:
        """Draw samples; those that rounding made singular are drawn again, a few times."""
        if max_try_correction is None:
            max_try_correction = 3 if sample_shape else 10
        sample = self._bartlett(sample_shape)
        singular = ~self.support.check(sample)
        for _ in range(max_try_correction):
            if not singular.any():
                break
            again = self._bartlett(sample_shape)
            sample = fastnn.where(singular.unsqueeze(-1).unsqueeze(-1), again, sample)
            singular = singular & ~self.support.check(again)
        return sample

    def _half_log_det(self) -> Tensor:
        return self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._check(value)
        n = self._event_shape[-1]
        solved = fastnn.cholesky_solve(value, self._unbroadcasted_scale_tril)
        return (
            -self.df * (n * math.log(2) / 2 + self._half_log_det())
            - fastnn.mvlgamma(self.df / 2, p=n)
            + (self.df - n - 1) / 2 * fastnn.linalg.slogdet(value).logabsdet
            - solved.diagonal(dim1=-2, dim2=-1).sum(dim=-1) / 2
        )

    def entropy(self) -> Tensor:
        n = self._event_shape[-1]
        return (
            (n + 1) * (n * math.log(2) / 2 + self._half_log_det())
            + fastnn.mvlgamma(self.df / 2, p=n)
            - (self.df - n - 1) / 2 * _mvdigamma(self.df / 2, n)
            + self.df * n / 2
        )

    @property
    def _natural_params(self) -> tuple[Tensor, Tensor]:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:
        n = self._event_shape[-1]
        degrees = y + (n + 1) / 2
        return degrees * (-fastnn.linalg.slogdet(-2 * x).logabsdet + math.log(2) * n) + fastnn.mvlgamma(degrees, p=n)


def _mvdigamma(x: Tensor, p: int) -> Tensor:
    """The derivative of the multivariate log-gamma function."""
    return (x.unsqueeze(-1) - fastnn.arange(p, dtype=x.dtype) / 2).digamma().sum(-1)
