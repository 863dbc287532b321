"""Mixtures of distributions of one family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import fastnn
from fastnn import Size, Tensor

from . import constraints
from .categorical import Categorical
from .distribution import Distribution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A mixture: a component is chosen, and a sample drawn from it.

    Args:
        mixture_distribution: a `Categorical` over the components.
        component_distribution: the components, along the last batch dimension.
        validate_args: see `Distribution`.

    Raises:
        ValueError: the first is no `Categorical`, or the shapes do not fit together.

    Example:
        >>> import fastnn
        >>> from fastnn.distributions import Categorical, MixtureSameFamily, Normal
        >>> weights = Categorical(fastnn.tensor([1.0, 3.0]))
        >>> MixtureSameFamily(weights, Normal(fastnn.tensor([0.0, 4.0]), 1.0)).mean
        tensor(3.)
    """

    arg_constraints: ClassVar[Any] = {}
    has_rsample = False

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError("The Mixture distribution needs to be an instance of torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution need to be an instance of torch.distributions.Distribution")
        batch = mixture_distribution.batch_shape
        component_batch = component_distribution.batch_shape[:-1]
        if any(1 not in pair and pair[0] != pair[1] for pair in zip(batch, component_batch, strict=False)):
            raise ValueError(
                f"`mixture_distribution.batch_shape` ({batch}) is not compatible with "
                f"`component_distribution.batch_shape`({component_batch})"
            )
        count = mixture_distribution._num_events
        if count != component_distribution.batch_shape[-1]:
            raise ValueError(
                f"`mixture_distribution component` ({count}) does not equal `component_distribution.batch_shape[-1]` "
                f"({component_distribution.batch_shape[-1]})"
            )
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        self._num_component = count
        event_shape = component_distribution.event_shape
        self._event_ndims = len(event_shape)
        super().__init__(component_batch, event_shape, validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Self:
        """The same with its batch expanded; see `Distribution.expand`."""
        new = self._get_checked_instance(MixtureSameFamily, _instance)
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        new._component_distribution = self._component_distribution.expand((*batch_shape, self._num_component))
        new._num_component = self._num_component
        new._event_ndims = self._event_ndims
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new  # type: ignore[no-any-return]

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Categorical:
        """The distribution of the component's number."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components."""
        return self._component_distribution

    def _weights(self) -> Tensor:
        probs: Tensor = self._mixture_distribution.probs
        return probs.reshape(probs.shape + (1,) * self._event_ndims)

    @property
    def _component_dim(self) -> int:
        return -1 - self._event_ndims

    @property
    def mean(self) -> Tensor:
        return (self._weights() * self._component_distribution.mean).sum(dim=self._component_dim)

    @property
    def variance(self) -> Tensor:
        weights, dim = self._weights(), self._component_dim
        within = (weights * self._component_distribution.variance).sum(dim=dim)
        between = (self._component_distribution.mean - self.mean.unsqueeze(dim)).pow(2.0)
        return within + (weights * between).sum(dim=dim)

    def cdf(self, value: Tensor) -> Tensor:
        values = self._component_distribution.cdf(value.unsqueeze(self._component_dim))
        return (values * self._mixture_distribution.probs).sum(dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        self._check(value)
        densities = self._component_distribution.log_prob(value.unsqueeze(self._component_dim))
        log_weights = fastnn.log_softmax(self._mixture_distribution.logits, dim=-1)
        return (densities + log_weights).logsumexp(dim=-1)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        with fastnn.no_grad():
            chosen = self._mixture_distribution.sample(sample_shape)
            samples = self._component_distribution.sample(sample_shape)
            dim = len(sample_shape) + len(self._batch_shape)
            index = chosen.reshape(chosen.shape + (1,) * (self._event_ndims + 1))
            repeated = (1,) * (chosen.ndim + 1) + tuple(self._event_shape)
            return samples.gather(dim, index.repeat(repeated)).squeeze(dim)

    def __repr__(self) -> str:
        return f"MixtureSameFamily(\n  {self._mixture_distribution},\n  {self._component_distribution})"
