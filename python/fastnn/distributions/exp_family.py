"""ExponentialFamily: distributions with a density exp(eta . t(x) - F(eta) + k(x))."""

from __future__ import annotations

from typing import Any

import fastnn
from fastnn import Tensor

from .distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """A distribution of an exponential family, with natural parameters eta and log normaliser F.

    The entropy, and the divergence between two of the same family, follow from F and its gradient.

    Source: Nielsen and Nock, "Entropies and cross-entropies of exponential families", 2010.
    """

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Any) -> Tensor:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> float:
        """The mean of k(x)."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The entropy, from the log normaliser."""
        natural = [param.detach().requires_grad_() for param in self._natural_params]
        normalizer = self._log_normalizer(*natural)
        slopes = fastnn.autograd.grad(normalizer.sum(), natural, create_graph=True)
        result = normalizer - self._mean_carrier_measure
        for param, slope in zip(natural, slopes, strict=True):
            result = result - (param * slope).reshape((*self._batch_shape, -1)).sum(-1)
        return result
