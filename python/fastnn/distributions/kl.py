"""Kullback-Leibler divergences between pairs of distributions."""

from __future__ import annotations

import functools
import itertools
import math
import warnings
from typing import TYPE_CHECKING, Any

import fastnn
from fastnn import Tensor

from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .continuous_bernoulli import ContinuousBernoulli
from .dirichlet import Dirichlet
from .distribution import Distribution
from .exp_family import ExponentialFamily
from .exponential import Exponential
from .gamma import Gamma
from .geometric import Geometric
from .gumbel import Gumbel
from .half_normal import HalfNormal
from .independent import Independent
from .laplace import Laplace
from .lowrank_multivariate_normal import LowRankMultivariateNormal, lowrank_mahalanobis
from .multivariate_normal import MultivariateNormal, batch_mahalanobis
from .normal import Normal
from .one_hot_categorical import OneHotCategorical
from .pareto import Pareto
from .poisson import Poisson
from .transformed_distribution import TransformedDistribution
from .uniform import Uniform
from .utils import euler_constant, sum_rightmost

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["kl_divergence", "register_kl"]

_registry: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """A decorator that registers the divergence of two classes, which holds for their subclasses too.

    Args:
        type_p: class of the first distribution.
        type_q: class of the second.

    Raises:
        TypeError: one of them is no class of distributions.
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {kind}")

    def decorate(function: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
        _registry[type_p, type_q] = function
        _find.cache_clear()
        return function

    return decorate


def _closest(pairs: list[tuple[type, type]]) -> tuple[type, type]:
    """The pair whose first classes, and among those whose second, are the most derived."""

    def more_derived(a: tuple[type, type], b: tuple[type, type]) -> bool:
        for one, other in zip(a, b, strict=True):
            if one is not other:
                return issubclass(one, other)
        return True

    best = pairs[0]
    for pair in pairs[1:]:
        if more_derived(pair, best):
            best = pair
    return best


@functools.cache
def _find(type_p: type, type_q: type) -> Callable[[Any, Any], Tensor] | None:
    matches = [pair for pair in _registry if issubclass(type_p, pair[0]) and issubclass(type_q, pair[1])]
    if not matches:
        return None
    left = _closest(matches)
    right_q, right_p = _closest([(q, p) for p, q in matches])
    if _registry[left] is not _registry[right_p, right_q]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). "
            f"Please register_kl({left[0].__name__}, {right_q.__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return _registry[left]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The divergence KL(p || q), the mean under p of log p(x) - log q(x), of the batch shape.

    Args:
        p: a distribution.
        q: another.

    Raises:
        NotImplementedError: none is registered for the two classes.

    Example:
        >>> import fastnn
        >>> from fastnn.distributions import Normal, kl_divergence
        >>> kl_divergence(Normal(2.0, 1.0), Normal(0.0, 1.0))
        tensor(2.)
    """
    kinds: tuple[Any, Any] = (type(p), type(q))
    function = _find(*kinds)
    if function is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}"
        )
    return function(p, q)


def _xlogx(value: Tensor) -> Tensor:
    return fastnn.xlogy(value, value)


def _always_infinite(*pairs: tuple[type, Any]) -> None:
    """Registers pairs of which the first has mass outside of the support of the second."""
    for type_p, types_q in pairs:
        for type_q in types_q:
            register_kl(type_p, type_q)(lambda p, q: fastnn.full_like(p.mean, fastnn.inf))


# Two of the same family.


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_families(p: Any, q: Any) -> Any:
    """The Bregman divergence of the log normaliser."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot be computed using Bregman "
            "divergences"
        )
    natural_p = [param.detach().requires_grad_() for param in p._natural_params]
    normalizer = p._log_normalizer(*natural_p)
    slopes = fastnn.autograd.grad(normalizer.sum(), natural_p, create_graph=True)
    result = q._log_normalizer(*q._natural_params) - normalizer
    for param_p, param_q, slope in zip(natural_p, q._natural_params, slopes, strict=True):
        result = result - sum_rightmost((param_q - param_p) * slope, len(q.event_shape))
    return result


@register_kl(Bernoulli, Bernoulli)
def _bernoullis(p: Any, q: Any) -> Any:
    softplus = fastnn.nn.functional.softplus
    ones = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    zeros = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    ones = fastnn.where(q.probs == 0, fastnn.inf, ones).masked_fill(p.probs == 0, 0)
    zeros = fastnn.where(q.probs == 1, fastnn.inf, zeros).masked_fill(p.probs == 1, 0)
    return ones + zeros


@register_kl(Beta, Beta)
def _betas(p: Any, q: Any) -> Any:
    total_p = p.concentration1 + p.concentration0
    total_q = q.concentration1 + q.concentration0
    return (
        (q.concentration1.lgamma() + q.concentration0.lgamma() + total_p.lgamma())
        - (p.concentration1.lgamma() + p.concentration0.lgamma() + total_q.lgamma())
        + (p.concentration1 - q.concentration1) * p.concentration1.digamma()
        + (p.concentration0 - q.concentration0) * p.concentration0.digamma()
        + (total_q - total_p) * total_p.digamma()
    )


@register_kl(Binomial, Binomial)
def _binomials(p: Any, q: Any) -> Any:
    """For equal counts; infinite where p has more trials."""
    if (p.total_count < q.total_count).any():
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    result = p.total_count * (p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p())
    return fastnn.where(p.total_count > q.total_count, fastnn.inf, result)


@register_kl(Categorical, Categorical)
def _categoricals(p: Any, q: Any) -> Any:
    terms = p.probs * (p.logits - q.logits)
    terms = fastnn.where((q.probs == 0).expand_as(terms), fastnn.inf, terms)
    return terms.masked_fill((p.probs == 0).expand_as(terms), 0).sum(-1)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoullis(p: Any, q: Any) -> Any:
    mean_term = p.mean * (p.logits - q.logits)
    return mean_term + p._log_norm() + (-p.probs).log1p() - q._log_norm() - (-q.probs).log1p()


@register_kl(Dirichlet, Dirichlet)
def _dirichlets(p: Any, q: Any) -> Any:
    total_p, total_q = p.concentration.sum(-1), q.concentration.sum(-1)
    norms = total_p.lgamma() - total_q.lgamma() - (p.concentration.lgamma() - q.concentration.lgamma()).sum(-1)
    slopes = p.concentration.digamma() - total_p.digamma().unsqueeze(-1)
    return norms + ((p.concentration - q.concentration) * slopes).sum(-1)


@register_kl(Exponential, Exponential)
def _exponentials(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(Gamma, Gamma)
def _gammas(p: Any, q: Any) -> Any:
    return (
        q.concentration * (p.rate / q.rate).log()
        + q.concentration.lgamma()
        - p.concentration.lgamma()
        + (p.concentration - q.concentration) * p.concentration.digamma()
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )


@register_kl(Gumbel, Gumbel)
def _gumbels(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    shift = q.loc / q.scale - p.loc / q.scale
    moment = (shift + (ratio + 1).lgamma()).exp()
    return -ratio.log() - shift + ratio * euler_constant + moment - (1 + euler_constant)


@register_kl(Geometric, Geometric)
def _geometrics(p: Any, q: Any) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _half_normals(p: Any, q: Any) -> Any:
    return _normals(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplaces(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    distance = (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * (-distance / p.scale).exp() - 1


@register_kl(Normal, Normal)
def _normals(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).pow(2)
    distance = ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (ratio + distance - 1 - ratio.log())


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_categoricals(p: Any, q: Any) -> Any:
    return _categoricals(p._categorical, q._categorical)


@register_kl(Pareto, Pareto)
def _paretos(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    shape = q.alpha / p.alpha
    result = q.alpha * ratio.log() - shape.log() + shape - 1
    return fastnn.where(p.support.lower_bound < q.support.lower_bound, fastnn.inf, result)


@register_kl(Poisson, Poisson)
def _poissons(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniforms(p: Any, q: Any) -> Any:
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return fastnn.where((q.low > p.low) | (q.high < p.high), fastnn.inf, result)


@register_kl(Cauchy, Cauchy)
def _cauchys(p: Any, q: Any) -> Any:
    spread = ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log()
    return spread - (4 * p.scale * q.scale).log()


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _independents(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


# Normal vectors: half of log det q - log det p + trace(q^-1 p) + distance - n.


def _check_events(p: Any, q: Any) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"KL-divergence between two {type(p).__name__} and {type(q).__name__} with different event shapes cannot "
            "be computed"
        )


def _half_log_det(p: Any) -> Tensor:
    return p._half_log_det() if isinstance(p, MultivariateNormal) else 0.5 * p._log_det()


def _trace_of_square(matrix: Tensor) -> Tensor:
    return matrix.pow(2).sum((-2, -1))


def _columns(p: Any) -> list[Tensor]:
    """Matrices M with sum of M M^T = the covariance."""
    if isinstance(p, MultivariateNormal):
        return [p._unbroadcasted_scale_tril]
    return [p._unbroadcasted_cov_factor, p._unbroadcasted_cov_diag.sqrt().diag_embed()]


def _solve(factor: Tensor, matrix: Tensor) -> Tensor:
    batch = fastnn.broadcast_shapes(tuple(factor.shape[:-2]), tuple(matrix.shape[:-2]))
    factor = factor.expand((*batch, *factor.shape[-2:]))
    return fastnn.linalg.solve_triangular(factor, matrix.expand((*batch, *matrix.shape[-2:])), upper=False)


def _normal_vectors(p: Any, q: Any) -> Any:
    _check_events(p, q)
    difference = q.loc - p.loc
    log_dets = _half_log_det(q) - _half_log_det(p)
    if isinstance(q, MultivariateNormal):
        factor = q._unbroadcasted_scale_tril
        distance = batch_mahalanobis(factor, difference)
        trace = sum((_trace_of_square(_solve(factor, part)) for part in _columns(p)), start=fastnn.zeros(()))
    else:
        factor, diagonal = q._unbroadcasted_cov_factor, q._unbroadcasted_cov_diag
        distance = lowrank_mahalanobis(factor, diagonal, difference, q._capacitance_tril)
        scaled = factor.mT / diagonal.unsqueeze(-2)
        trace = fastnn.zeros(())
        for part in _columns(p):
            whole = _trace_of_square(part / diagonal.sqrt().unsqueeze(-1))
            trace = trace + whole - _trace_of_square(_solve(q._capacitance_tril, scaled @ part))
    return log_dets + 0.5 * (trace + distance - p.event_shape[0])


for _p, _q in itertools.product((MultivariateNormal, LowRankMultivariateNormal), repeat=2):
    register_kl(_p, _q)(_normal_vectors)


# Two of different families: minus the entropy of p, minus the mean of log q under p.

_always_infinite(
    (Beta, [Pareto]),
    (ContinuousBernoulli, [Pareto]),
    (Exponential, [Beta, ContinuousBernoulli, Pareto, Uniform]),
    (Gamma, [Beta, ContinuousBernoulli, Pareto, Uniform]),
    (Gumbel, [Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform]),
    (Laplace, [Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform]),
    (Normal, [Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform]),
    (Pareto, [Beta, ContinuousBernoulli, Uniform]),
    (Poisson, [Bernoulli, Binomial]),
)


def _to_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


def _to_gamma(p: Any, q: Any, mean_log: Any) -> Any:
    norm = q.concentration.lgamma() - q.concentration * q.rate.log()
    return -p.entropy() + norm - (q.concentration - 1) * mean_log + q.rate * p.mean


def _to_normal(p: Any, q: Any) -> Any:
    distance = p.variance + (p.mean - q.loc).pow(2)
    return -p.entropy() + 0.5 * (q.scale.pow(2) * 2 * math.pi).log() + 0.5 * distance / q.scale.pow(2)


def _to_gumbel(p: Any, q: Any, mean_exp: Any) -> Any:
    """`mean_exp` is the mean of exp(-x / scale)."""
    return -p.entropy() + q.scale.log() + (p.mean - q.loc) / q.scale + (q.loc / q.scale).exp() * mean_exp


_kind: type
for _kind in (Beta, ContinuousBernoulli, Gamma):
    register_kl(_kind, Exponential)(_to_exponential)
for _kind in (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Uniform):
    register_kl(_kind, Normal)(_to_normal)


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, ContinuousBernoulli)
def _beta_continuous_bernoulli(p: Any, q: Any) -> Any:
    return -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._log_norm()


@register_kl(Beta, Gamma)
def _beta_gamma(p: Any, q: Any) -> Any:
    return _to_gamma(p, q, p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma())


@register_kl(Beta, Uniform)
def _beta_uniform(p: Any, q: Any) -> Any:
    result = -p.entropy() + (q.high - q.low).log()
    return fastnn.where((q.low > 0) | (q.high < 1), fastnn.inf, result)


@register_kl(ContinuousBernoulli, Uniform)
def _continuous_bernoulli_uniform(p: Any, q: Any) -> Any:
    return _beta_uniform(p, q)


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Any:
    return _to_gamma(p, q, -euler_constant - p.rate.log())


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Any, q: Any) -> Any:
    return _to_gumbel(p, q, p.rate / (p.rate + 1 / q.scale))


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Any, q: Any) -> Any:
    return _to_gumbel(p, q, (1 + 1 / (p.rate * q.scale)).pow(-p.concentration))


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Any, q: Any) -> Any:
    return _to_gumbel(p, q, (-p.loc / q.scale + 0.5 * (p.scale / q.scale).pow(2)).exp())


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Any, q: Any) -> Any:
    return _to_gumbel(p, q, q.scale * ((-p.low / q.scale).exp() - (-p.high / q.scale).exp()) / (p.high - p.low))


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    shift = (p.loc - q.loc) / p.scale
    mean_distance = p.scale * (
        math.sqrt(2 / math.pi) * (-0.5 * shift.pow(2)).exp() + shift * fastnn.erf(math.sqrt(0.5) * shift)
    )
    return -p.entropy() + (2 * q.scale).log() + mean_distance / q.scale


@register_kl(Pareto, Exponential)
def _pareto_exponential(p: Any, q: Any) -> Any:
    return fastnn.where(p.alpha <= 1, fastnn.inf, _to_exponential(p, q))


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Any, q: Any) -> Any:
    return fastnn.where(p.alpha <= 1, fastnn.inf, _to_gamma(p, q, p.scale.log() + p.alpha.reciprocal()))


@register_kl(Pareto, Normal)
def _pareto_normal(p: Any, q: Any) -> Any:
    return fastnn.where(p.alpha <= 2, fastnn.inf, _to_normal(p, q))


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Any:
    def mean_log(low: Tensor, high: Tensor) -> Tensor:
        return (_xlogx(high) - _xlogx(low)) / (high - low) - 1

    norm = q.concentration1.lgamma() + q.concentration0.lgamma() - (q.concentration1 + q.concentration0).lgamma()
    result = (
        -p.entropy()
        + norm
        - (q.concentration1 - 1) * mean_log(p.low, p.high)
        - (q.concentration0 - 1) * mean_log(1 - p.high, 1 - p.low)
    )
    return fastnn.where((p.high > 1) | (p.low < 0), fastnn.inf, result)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p: Any, q: Any) -> Any:
    result = -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._log_norm()
    return fastnn.where((p.high >= 1) | (p.low <= 0), fastnn.inf, result)


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Any, q: Any) -> Any:
    mean_log = (_xlogx(p.high) - _xlogx(p.low)) / (p.high - p.low) - 1
    return fastnn.where(p.low < 0, fastnn.inf, _to_gamma(p, q, mean_log))


register_kl(Uniform, Exponential)(lambda p, q: fastnn.where(p.low < 0, fastnn.inf, _to_exponential(p, q)))


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Any:
    mean_log = (_xlogx(p.high) - _xlogx(p.low)) / (p.high - p.low) - 1
    result = -p.entropy() - q.alpha.log() - q.alpha * q.scale.log() + (q.alpha + 1) * mean_log
    return fastnn.where(p.low < q.support.lower_bound, fastnn.inf, result)
