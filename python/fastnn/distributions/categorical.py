"""The categorical distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import fastnn
from fastnn import Size, Tensor

from . import constraints
from .distribution import Distribution
from .utils import lazy_property, logits_to_probs, probs_to_logits

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Categorical"]


class Categorical(Distribution):
    """The number of a category, 0 to K - 1.

    Args:
        probs: weights of the categories, (..., K); they are normalised.
        logits: unnormalised log-probabilities, (..., K); either this or `probs`.
        validate_args: see `Distribution`.

    Raises:
        ValueError: none or both of the parameters are given, or one without a dimension.

    Example:
        >>> import fastnn
        >>> fastnn.distributions.Categorical(fastnn.tensor([1.0, 3.0])).probs
        tensor([0.2500, 0.7500])
    """

    arg_constraints: ClassVar[Any] = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None
    ) -> None:
        self._set_probabilities(validate_args, probs, logits, event_dim=1)

    @property
    def _num_events(self) -> int:
        return self._param.shape[-1]

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @lazy_property
    def logits(self) -> Tensor:
        """Log-probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Tensor:
        """Probabilities."""
        return logits_to_probs(self.logits)

    @property
    def param_shape(self) -> Size:
        """Shape of the parameter."""
        return self._param.shape

    @property
    def mean(self) -> Tensor:
        return fastnn.full(self._batch_shape, fastnn.nan, dtype=self.probs.dtype)

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(dim=-1)

    @property
    def variance(self) -> Tensor:
        return self.mean

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        count = Size(sample_shape).numel()
        with fastnn.no_grad():
            rows = fastnn.multinomial(self.probs.reshape(-1, self._num_events), count, True)
        return rows.t().reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check(value)
        shape = fastnn.broadcast_shapes(tuple(value.shape), tuple(self.logits.shape[:-1]))
        index = value.long().expand(shape).unsqueeze(-1)
        logits: Tensor = self.logits.expand((*Size(shape), self._num_events))
        return logits.gather(-1, index).squeeze(-1)

    def entropy(self) -> Tensor:
        logits = self.logits.clamp(min=fastnn.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        return self._enumerate(fastnn.arange(self._num_events), expand)
