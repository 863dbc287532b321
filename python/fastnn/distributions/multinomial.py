"""The multinomial distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import fastnn
from fastnn import Size, Tensor

from . import constraints
from .binomial import Binomial
from .categorical import Categorical
from .distribution import Distribution
from .utils import broadcast_all

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Multinomial"]


class Multinomial(Distribution):
    """How often each category comes up in a number of trials.

    Args:
        total_count: number of trials, an int.
        probs: weights of the categories, (..., K); they are normalised.
        logits: unnormalised log-probabilities, (..., K); either this or `probs`.
        validate_args: see `Distribution`.

    Raises:
        NotImplementedError: `total_count` is no int.
        ValueError: none or both of the parameters are given.

    Example:
        >>> import fastnn
        >>> fastnn.distributions.Multinomial(8, fastnn.tensor([1.0, 3.0])).mean
        tensor([2., 6.])
    """

    arg_constraints: ClassVar[Any] = {"probs": constraints.simplex, "logits": constraints.real_vector}
    total_count: int

    def __init__(
        self,
        total_count: int = 1,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs=probs, logits=logits)
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def probs(self) -> Tensor:
        """Probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """Log-probabilities."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Size:
        """Shape of the parameter."""
        return self._categorical.param_shape

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        draws = self._categorical.sample((self.total_count, *sample_shape)).movedim(0, -1)
        counts = fastnn.zeros(self._extended_shape(sample_shape), dtype=fastnn.int64)
        return counts.scatter_add_(-1, draws, fastnn.ones_like(draws)).type_as(self.probs)

    def log_prob(self, value: Tensor) -> Tensor:
        self._check(value)
        logits, value = broadcast_all(self.logits, value)
        impossible = (value == 0) & (logits == -fastnn.inf)
        logits = logits.masked_fill(impossible, 0)  # 0 * log(0) is 0
        return (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1) + (logits * value).sum(-1)

    def entropy(self) -> Tensor:
        n = fastnn.tensor(float(self.total_count), dtype=self.logits.dtype)
        values = fastnn.arange(1, self.total_count + 1, dtype=self.logits.dtype)
        values = values.reshape((-1,) + (1,) * len(self._categorical.param_shape))
        binomial = Binomial(self.total_count, probs=self.probs)
        spread = (binomial.log_prob(values).exp() * (values + 1).lgamma()).sum([0, -1])
        return n * self._categorical.entropy() - (n + 1).lgamma() + spread
