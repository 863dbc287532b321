"""The von Mises distribution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import fastnn
from fastnn import Size, Tensor

from . import constraints
from .distribution import Distribution
from .utils import lazy_property

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["VonMises"]


class VonMises(Distribution):
    """The von Mises distribution of angles, of density exp(concentration * cos(x - loc)).

    Args:
        loc: the likeliest angle, in radians.
        concentration: positive.
        validate_args: see `Distribution`.

    Example:
        >>> import fastnn
        >>> fastnn.distributions.VonMises(fastnn.tensor(1.0), fastnn.tensor(4.0)).mean
        tensor(1.)
    """

    arg_constraints: ClassVar[Any] = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    loc: Tensor
    concentration: Tensor

    def __init__(self, loc: Tensor, concentration: Tensor, validate_args: bool | None = None) -> None:
        self._set_parameters(validate_args, loc=loc, concentration=concentration)

    def _log_i0(self) -> Tensor:
        """log of the Bessel function I0."""
        return fastnn.special.i0e(self.concentration).log() + self.concentration

    @property
    def mean(self) -> Tensor:
        """The circular mean."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @lazy_property
    def variance(self) -> Tensor:
        """The circular variance."""
        return 1 - fastnn.special.i1e(self.concentration) / fastnn.special.i0e(self.concentration)

    @lazy_property
    def _proposal_r(self) -> Tensor:
        kappa = self.concentration.double()
        tau = 1 + (1 + 4 * kappa**2).sqrt()
        rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
        r = (1 + rho**2) / (2 * rho)
        return fastnn.where(kappa < 1e-5, 1 / kappa + kappa, r)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draw by rejection from a wrapped Cauchy distribution (Best and Fisher, 1979)."""
        shape = self._extended_shape(sample_shape)
        with fastnn.no_grad():
            loc, kappa, r = self.loc.double(), self.concentration.double(), self._proposal_r
            x = fastnn.empty(shape, dtype=loc.dtype)
            done = fastnn.zeros(shape, dtype=fastnn.bool)
            while not done.all():
                u1, u2, u3 = fastnn.rand((3, *shape), dtype=loc.dtype).unbind()
                z = (math.pi * u1).cos()
                f = (1 + r * z) / (r + z)
                c = kappa * (r - f)
                accept = (c * (2 - c) - u2 > 0) | ((c / u2).log() + 1 - c >= 0)
                x = fastnn.where(accept, (u3 - 0.5).sign() * f.acos(), x)
                done = done | accept
            return ((x + math.pi + loc) % (2 * math.pi) - math.pi).to(self.loc.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        self._check(value)
        return self.concentration * (value - self.loc).cos() - math.log(2 * math.pi) - self._log_i0()
