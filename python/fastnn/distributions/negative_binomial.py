"""The negative binomial distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import fastnn
from fastnn import Size, Tensor
from fastnn.nn.functional import softplus

from . import constraints
from .distribution import Distribution
from .gamma import Gamma
from .utils import broadcast_all, lazy_property, logits_to_probs, one_of, probs_to_logits

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NegativeBinomial"]


class NegativeBinomial(Distribution):
    """The number of successes before a number of failures.

    Args:
        total_count: number of failures that end it, not negative; need not be an integer.
        probs: probability of a success, in [0, 1).
        logits: log-odds of a success; either this or `probs`.
        validate_args: see `Distribution`.

    Raises:
        ValueError: none or both of the parameters are given.

    Example:
        >>> import fastnn
        >>> fastnn.distributions.NegativeBinomial(3.0, fastnn.tensor(0.5)).mean
        tensor(3.)
    """

    arg_constraints: ClassVar[Any] = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    total_count: Tensor

    def __init__(
        self,
        total_count: Tensor | float,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        name = one_of(probs, logits)
        count, self._param = broadcast_all(total_count, probs if logits is None else logits)
        self.total_count = count.type_as(self._param)
        self.__dict__[name] = self._param
        super().__init__(self._param.shape, validate_args=validate_args)

    @lazy_property
    def logits(self) -> Tensor:
        """Log-odds of a success."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """Probability of a success."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def param_shape(self) -> Size:
        """Shape of the parameter."""
        return self._param.shape

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Tensor:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Tensor:
        return self.mean / fastnn.sigmoid(-self.logits)

    @lazy_property
    def _gamma(self) -> Gamma:
        return Gamma(concentration=self.total_count, rate=(-self.logits).exp(), validate_args=False)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        with fastnn.no_grad():
            return fastnn.poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check(value)
        logits = self.logits
        weight = self.total_count * -softplus(logits) - value * softplus(-logits)
        ways = (self.total_count + value).lgamma() - (1.0 + value).lgamma() - self.total_count.lgamma()
        # Without failures to wait for there is no success; lgamma(0) would be infinite.
        ways = ways.masked_fill(self.total_count + value == 0.0, 0.0)
        return weight + ways
