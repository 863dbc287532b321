"""Distribution: what every probability distribution has."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import fastnn
from fastnn import Size, Tensor

from . import constraints
from .utils import broadcast_all, lazy_property, one_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

__all__ = ["Distribution"]


class Distribution:
    """A probability distribution over events, or a batch of them.

    A sample has the shape sample shape + batch shape + event shape. A subclass defines the parameters' constraints,
    `support`, `rsample` or `sample`, `log_prob`, and what else it has.

    Args:
        batch_shape: shape of the parameters, one distribution for each element.
        event_shape: shape of one sample of one distribution.
        validate_args: check parameters, and the values given to `log_prob`, `cdf` and `icdf`; on by default.

    Raises:
        ValueError: a parameter lies outside of its constraint.

    Example:
        >>> import fastnn
        >>> coin = fastnn.distributions.Bernoulli(fastnn.tensor([0.25, 0.5]))
        >>> coin.batch_shape, coin.sample((3,)).shape
        (torch.Size([2]), torch.Size([3, 2]))
        >>> coin.log_prob(fastnn.tensor(1.0)).exp()
        tensor([0.2500, 0.5000])
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args: bool = __debug__
    _batch_shape: Size
    _event_shape: Size

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Turn the checks of arguments on or off for all distributions that do not say it themselves.

        Raises:
            ValueError: `value` is not a bool.
        """
        if value not in (True, False):
            raise ValueError(f"value must be True or False, but got {value}")
        Distribution._validate_args = value

    def __init__(
        self,
        batch_shape: Sequence[int] = Size(),
        event_shape: Sequence[int] = Size(),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    def _check_parameters(self) -> None:
        try:
            arg_constraints = self.arg_constraints
        except NotImplementedError:
            warnings.warn(
                f"{type(self)} does not define `arg_constraints`. Please set `arg_constraints = {{}}` or initialize "
                "the distribution with `validate_args=False` to turn off validation.",
                stacklevel=4,
            )
            return
        for name, constraint in arg_constraints.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name, None), lazy_property):
                continue  # follows from another parameter
            value = getattr(self, name)
            if not constraint.check(value).all():
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    def _set_parameters(self, validate_args: bool | None, **parameters: Any) -> None:
        """Take numbers and tensors as parameters, of which each element is one distribution."""
        tensors = broadcast_all(*parameters.values())
        self.__dict__.update(zip(parameters, tensors, strict=True))
        Distribution.__init__(self, tensors[0].shape, validate_args=validate_args)

    def _set_probabilities(self, validate_args: bool | None, probs: Any, logits: Any, event_dim: int = 0) -> None:
        """Take either of the two parameters; the other follows from it."""
        name = one_of(probs, logits)
        (value,) = broadcast_all(probs if logits is None else logits)
        if value.ndim < event_dim:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if event_dim == 1:
            value = value / value.sum(-1, keepdim=True) if logits is None else value - value.logsumexp(-1, keepdim=True)
        self.__dict__[name] = value
        self._param = value
        Distribution.__init__(self, value.shape[: value.ndim - event_dim], validate_args=validate_args)

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Self:
        """The same distribution with its batch expanded, without a copy of the parameters.

        Args:
            batch_shape: the new shape of the batch.
            _instance: for subclasses that extend this method: the new object to fill.

        Raises:
            NotImplementedError: a subclass has its own `__init__`, but no `expand`.
        """
        known = next(cls for cls in type(self).__mro__ if cls.__module__.startswith(__package__ or "fastnn"))
        new = self._get_checked_instance(known, _instance)
        names = self.arg_constraints
        for name, value in self.__dict__.items():
            if isinstance(value, Distribution) and value._batch_shape == self._batch_shape:
                value = value.expand(batch_shape)
            elif isinstance(value, Tensor) and (name in names or name == "_param"):
                value = value.expand(Size(batch_shape) + value.shape[len(self._batch_shape) :])
            new.__dict__.setdefault(name, value)
        new.__dict__["_batch_shape"] = Size(batch_shape)
        return new  # type: ignore[no-any-return]

    def _get_checked_instance(self, cls: Any, _instance: Any = None) -> Any:
        if _instance is not None:
            return _instance
        if type(self).__init__ is not cls.__init__:
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ method must also "
                "define a custom .expand() method."
            )
        return self.__new__(type(self))

    @property
    def batch_shape(self) -> Size:
        """Shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """Shape of one sample of one distribution."""
        return self._event_shape

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """The constraint of each parameter."""
        raise NotImplementedError

    @property
    def support(self) -> Any:
        """The constraint that samples satisfy."""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draw samples, without a gradient.

        Returns:
            A tensor of shape `sample_shape` + batch shape + event shape.
        """
        with fastnn.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draw samples as functions of the parameters, so that gradients flow to them; where `has_rsample`."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Tensor:
        """Deprecated: call `sample((n,))`."""
        warnings.warn(
            "`sample_n(n)` will be deprecated. Use `sample((n,))` instead.", category=FutureWarning, stacklevel=2
        )
        return self.sample((n,))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, at `value`."""
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of at most `value`."""
        raise NotImplementedError

    def icdf(self, value: Tensor) -> Tensor:
        """The value below which a sample lies with probability `value`."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values of a discrete distribution, along a new first dimension.

        Args:
            expand: repeat them over the batch; otherwise the batch dimensions have size 1.
        """
        raise NotImplementedError

    def _enumerate(self, values: Tensor, expand: bool) -> Tensor:
        values = values.reshape((-1,) + (1,) * len(self._batch_shape))
        return values.expand((-1, *tuple(self._batch_shape))) if expand else values

    def entropy(self) -> Tensor:
        """The entropy in nats, of the batch shape."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """The exponential of the entropy."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Sequence[int] = Size()) -> Size:
        return Size(sample_shape) + self._batch_shape + self._event_shape

    def _validate_sample(self, value: Tensor) -> None:
        """Check shape and range of a value that is given to `log_prob` and the like."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        if value.shape[value.ndim - len(self._event_shape) :] != self._event_shape:
            raise ValueError(
                f"The right-most size of value must match event_shape: {value.shape} vs {self._event_shape}."
            )
        expected = self._batch_shape + self._event_shape
        if any(1 not in pair and pair[0] != pair[1] for pair in zip(value.shape[::-1], expected[::-1], strict=False)):
            raise ValueError(f"Value is not broadcastable with batch_shape+event_shape: {value.shape} vs {expected}.")
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{type(self)} does not define `support` to enable sample validation. Please initialize the "
                "distribution with `validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        if not support.check(value).all():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the "
                f"support ({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def _check(self, value: Tensor) -> None:
        if self._validate_args:
            self._validate_sample(value)

    def __repr__(self) -> str:
        shown = []
        for name in self.arg_constraints:
            if name in self.__dict__:
                value = self.__dict__[name]
                shown.append(f"{name}: {value if value.numel() == 1 else value.shape}")
        return f"{type(self).__name__}({', '.join(shown)})"
