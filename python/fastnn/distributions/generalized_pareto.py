"""The generalized Pareto distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import fastnn
from fastnn import Size, Tensor

from . import constraints
from .distribution import Distribution

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """The generalized Pareto distribution of values above a threshold.

    Args:
        loc: the threshold.
        scale: positive.
        concentration: shape: bounded below 0, exponential at 0, with a heavy tail above.
        validate_args: see `Distribution`.

    Example:
        >>> import fastnn
        >>> fastnn.distributions.GeneralizedPareto(0.0, 1.0, 0.5).mean
        tensor(2.)

    Source: Pickands, "Statistical Inference Using Extreme Order Statistics", 1975.
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True
    loc: Tensor
    scale: Tensor
    concentration: Tensor

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self._set_parameters(validate_args, loc=loc, scale=scale, concentration=concentration)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        end = self.loc - self.scale / self.concentration
        return constraints.interval(self.loc, fastnn.where(self.concentration < 0, end, fastnn.inf))

    def _by_shape(self, exponential: Tensor, other: Tensor) -> Tensor:
        """What holds at shape 0, and elsewhere."""
        near_zero = fastnn.isclose(self.concentration, fastnn.zeros_like(self.concentration))
        return fastnn.where(near_zero, exponential, other)

    def _shape(self) -> Tensor:
        """The shape, or 1 where it is 0 and must not be divided by."""
        return self._by_shape(fastnn.ones_like(self.concentration), self.concentration)

    @property
    def mean(self) -> Tensor:
        c = self.concentration
        return fastnn.where(c < 1, self.loc + self.scale / (1 - c), fastnn.inf)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        c = self.concentration
        return fastnn.where(c < 0.5, self.scale**2 / ((1 - c) ** 2 * (1 - 2 * c)), fastnn.inf)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        return self.icdf(fastnn.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check(value)
        z, c = (value - self.loc) / self.scale, self._shape()
        return -self.scale.log() - self._by_shape(z, (1 + 1 / c) * (c * z).log1p())

    def log_survival_function(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of more than `value`."""
        self._check(value)
        z, c = (value - self.loc) / self.scale, self._shape()
        return -self._by_shape(z, (c * z).log1p() / c)

    def log_cdf(self, value: Tensor) -> Tensor:
        """The logarithm of the probability of at most `value`."""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Tensor) -> Tensor:
        return self.log_cdf(value).exp()

    def icdf(self, value: Tensor) -> Tensor:
        log_rest, c = (-value).log1p(), self._shape()
        return self.loc + self.scale * self._by_shape(-log_rest, (-c * log_rest).expm1() / c)

    def entropy(self) -> Tensor:
        return (self.scale.log() + self.concentration + 1).expand(self._batch_shape)
