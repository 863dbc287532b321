"""Distributions against PyTorch's: samples of a seed, densities, moments, divergences, transforms, gradients, errors."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
from typing import ClassVar

import numpy as np
import pytest

import fastnn
from fastnn import distributions

pytestmark = pytest.mark.filterwarnings("ignore:Singular sample detected")  # by PyTorch's Wishart, of every sample

# name -> arguments, as lists that become tensors; numbers stay numbers. The first values that `log_prob` gets are
# samples; of distributions without a sampler in common they are given.
ROWS = [
    ("Normal", {"loc": [0.5, -1.0], "scale": [[1.0], [2.5]]}),
    ("Normal", {"loc": 0.5, "scale": 2.0}),
    ("LogNormal", {"loc": [0.5, -1.0], "scale": [0.3, 0.9]}),
    ("LogisticNormal", {"loc": [0.5, -1.0], "scale": [0.3, 0.9]}),
    ("Uniform", {"low": [0.5, -1.0], "high": [1.0, 2.5]}),
    ("Bernoulli", {"probs": [0.2, 0.5, 0.9]}),
    ("Bernoulli", {"logits": [-1.0, 0.0, 3.0]}),
    ("ContinuousBernoulli", {"probs": [0.2, 0.4999, 0.5, 0.9]}),
    ("ContinuousBernoulli", {"logits": [-1.0, 1e-3, 3.0]}),
    ("Geometric", {"probs": [0.2, 0.5, 1.0]}),
    ("Geometric", {"logits": [-1.0, 0.0]}),
    ("Categorical", {"probs": [[0.2, 0.5, 0.3], [2.0, 1.0, 1.0]]}),
    ("Categorical", {"logits": [-1.0, 0.0, 3.0, -5.0]}),
    ("OneHotCategorical", {"probs": [[0.2, 0.5, 0.3], [2.0, 1.0, 1.0]]}),
    ("OneHotCategoricalStraightThrough", {"logits": [-1.0, 0.0, 3.0]}),
    ("Multinomial", {"total_count": 5, "probs": [[0.2, 0.5, 0.3], [2.0, 1.0, 1.0]]}),
    ("Multinomial", {"total_count": 3, "logits": [-1.0, 0.0, 1.0]}),
    ("Binomial", {"total_count": 7, "probs": [0.2, 0.5, 0.9]}),
    ("Binomial", {"total_count": 100, "probs": [0.2, 0.5, 0.9, 0.0, 1.0]}),
    ("Binomial", {"total_count": [1000.0, 1000.0], "logits": [-1.0, 1.5]}),
    ("NegativeBinomial", {"total_count": [3.0, 0.7], "probs": [0.2, 0.6]}),
    ("NegativeBinomial", {"total_count": 4, "logits": [-1.0, 0.5]}),
    ("Poisson", {"rate": [0.3, 4.0, 50.0]}),
    ("Exponential", {"rate": [0.3, 4.0]}),
    ("Gamma", {"concentration": [0.3, 1.0, 4.0, 60.0], "rate": [1.0, 0.5, 3.0, 2.0]}),
    ("InverseGamma", {"concentration": [0.7, 1.5, 4.0], "rate": [1.0, 0.5, 3.0]}),
    ("Chi2", {"df": [0.7, 3.0, 12.0]}),
    ("Beta", {"concentration1": [0.5, 2.0, 7.0], "concentration0": [0.7, 3.0, 1.0]}),
    ("Dirichlet", {"concentration": [[0.5, 2.0, 7.0], [0.7, 3.0, 1.0]]}),
    ("Laplace", {"loc": [0.5, -1.0], "scale": [0.3, 2.0]}),
    ("Cauchy", {"loc": [0.5, -1.0], "scale": [0.3, 2.0]}),
    ("HalfNormal", {"scale": [0.3, 2.0]}),
    ("HalfCauchy", {"scale": [0.3, 2.0]}),
    ("StudentT", {"df": [0.8, 1.5, 5.0], "loc": 0.5, "scale": [1.0, 2.0, 0.3]}),
    ("FisherSnedecor", {"df1": [1.0, 5.0, 6.0], "df2": [1.5, 3.0, 9.0]}),
    ("Gumbel", {"loc": [0.5, -1.0], "scale": [0.3, 2.0]}),
    ("Kumaraswamy", {"concentration1": [0.5, 2.0, 7.0], "concentration0": [0.7, 3.0, 1.0]}),
    ("Pareto", {"scale": [0.5, 2.0], "alpha": [1.5, 3.0]}),
    ("GeneralizedPareto", {"loc": [0.5, 0.0, 1.0], "scale": [0.5, 2.0, 1.0], "concentration": [-0.4, 0.0, 0.3]}),
    ("Weibull", {"scale": [0.5, 2.0], "concentration": [0.8, 3.0]}),
    ("VonMises", {"loc": [0.5, -1.0, 3.0], "concentration": [0.3, 2.0, 50.0]}),
    ("RelaxedBernoulli", {"temperature": [0.5], "probs": [0.2, 0.5, 0.9]}),
    ("RelaxedBernoulli", {"temperature": [0.7], "logits": [-1.0, 2.0]}),
    ("RelaxedOneHotCategorical", {"temperature": [0.5], "probs": [[0.2, 0.5, 0.3], [2.0, 1.0, 1.0]]}),
    ("MultivariateNormal", {"loc": [0.5, -1.0], "covariance_matrix": [[2.0, 0.5], [0.5, 1.0]]}),
    ("MultivariateNormal", {"loc": [[0.5, -1.0], [0.0, 1.0]], "scale_tril": [[2.0, 0.0], [0.5, 1.0]]}),
    ("MultivariateNormal", {"loc": [0.5, -1.0], "precision_matrix": [[2.0, 0.5], [0.5, 1.0]]}),
    (
        "LowRankMultivariateNormal",
        {"loc": [0.5, -1.0, 0.0], "cov_factor": [[1.0, 0.5], [0.3, -1.0], [0.0, 2.0]], "cov_diag": [0.5, 1.0, 0.1]},
    ),
    ("Wishart", {"df": 4.5, "covariance_matrix": [[2.0, 0.5], [0.5, 1.0]]}),
    ("LKJCholesky", {"dim": 3, "concentration": [0.5, 2.0]}),
]
IDS = [f"{name}-{'-'.join(arguments)}" for name, arguments in ROWS]
DIFFERENT_SAMPLES = {"Wishart"}  # PyTorch draws a sample that is not singular a second time
PROPERTIES = ["mean", "variance", "stddev", "mode", "batch_shape", "event_shape"]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def tensor(library, value, dtype="float64"):
    if isinstance(value, list):
        return library.tensor(value, dtype=getattr(library, dtype))
    return value


def make(library, name, arguments, dtype="float64"):
    given = {key: tensor(library, value, dtype) for key, value in arguments.items()}
    return getattr(library.distributions, name)(**given)


def dtype_of(name):
    return "float32" if name == "GeneralizedPareto" else "float64"  # PyTorch's compares with a float32


def both(torch, name, arguments, dtype=None):
    dtype = dtype or dtype_of(name)
    return make(fastnn, name, arguments, dtype), make(torch, name, arguments, dtype)


def array(value):
    return value.detach().double().numpy()


# Distributions whose numbers in PyTorch are approximations: polynomials for Bessel functions, lgamma in float32.
ROUGH = {"VonMises": 1e-4, "Multinomial": 1e-6}


def close(own, other, tolerance=1e-10):
    assert tuple(own.shape) == tuple(other.shape)
    assert str(own.dtype).split(".")[1] == str(other.dtype).split(".")[1]
    if other.dtype.itemsize == 4 and other.is_floating_point():
        tolerance = max(tolerance, 1e-5)
    np.testing.assert_allclose(array(own), array(other), rtol=tolerance, atol=tolerance)


def sample(library, distribution, shape, seed=0, method="sample"):
    library.manual_seed(seed)
    return getattr(distribution, method)(shape)


def values_for(torch, name, arguments, shape=(5,)):
    """The same values in the support for both libraries."""
    dtype = dtype_of(name)
    drawn = sample(torch, make(torch, name, arguments, dtype), shape)
    return fastnn.from_numpy(drawn.numpy().copy()), drawn


def result(function):
    """What a call gives: a value, or that it is not implemented."""
    try:
        return function()
    except NotImplementedError:
        return NotImplementedError


@pytest.mark.parametrize(("name", "arguments"), ROWS, ids=IDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_samples_of_a_seed(torch, name, arguments, dtype):
    if name in DIFFERENT_SAMPLES:
        pytest.skip("another algorithm")
    own, other = both(torch, name, arguments, dtype)
    for shape in ((), (3,), (2, 40)):
        for method in ("sample", "rsample"):
            if method == "sample" or other.has_rsample:
                tolerance = 1e-10 if dtype == "float64" else 3e-4 if name == "LKJCholesky" else 3e-5
                close(sample(fastnn, own, shape, 3, method), sample(torch, other, shape, 3, method), tolerance)
    assert own.has_rsample == other.has_rsample


@pytest.mark.parametrize(("name", "arguments"), ROWS, ids=IDS)
def test_moments_and_shapes(torch, name, arguments):
    own, other = both(torch, name, arguments)
    for key in PROPERTIES:
        mine, theirs = result(lambda key=key: getattr(own, key)), result(lambda key=key: getattr(other, key))
        if name == "Kumaraswamy" and key == "mode":
            continue  # PyTorch's is NaN
        if theirs is NotImplementedError or key.endswith("shape"):
            assert mine == theirs or tuple(mine) == tuple(theirs)
        else:
            close(mine, theirs, ROUGH.get(name, 1e-10))
    for method in ("entropy", "perplexity"):
        mine, theirs = result(getattr(own, method)), result(getattr(other, method))
        if theirs is NotImplementedError:
            assert mine is NotImplementedError
        else:
            close(mine, theirs, ROUGH.get(name, 1e-10))
    assert repr(own) == repr(other)


@pytest.mark.parametrize(("name", "arguments"), ROWS, ids=IDS)
def test_densities(torch, name, arguments):
    own, other = both(torch, name, arguments)
    mine, theirs = values_for(torch, name, arguments)
    close(own.log_prob(mine), other.log_prob(theirs), ROUGH.get(name, 1e-9))
    for method in ("cdf", "icdf"):
        if method == "icdf":
            shape = theirs.shape
            theirs = torch.linspace(0.05, 0.95, theirs.numel(), dtype=other.log_prob(theirs).dtype).reshape(shape)
            mine = fastnn.from_numpy(theirs.numpy().copy())
        expected = result(lambda method=method, value=theirs: getattr(other, method)(value))
        got = result(lambda method=method, value=mine: getattr(own, method)(value))
        if expected is NotImplementedError:
            assert got is NotImplementedError
        else:
            close(got, expected, 1e-9)


def gradients(library, name, arguments, use):
    given = {}
    leaves = []
    for key, value in arguments.items():
        given[key] = tensor(library, value, dtype_of(name))
        if isinstance(value, list) and key != "total_count":
            given[key].requires_grad_()
            leaves.append(given[key])
    distribution = getattr(library.distributions, name)(**given)
    if not leaves:
        return []
    output = use(distribution)
    weights = library.from_numpy(np.cos(np.arange(output.numel())).reshape(tuple(output.shape))).to(output.dtype)
    (output * weights).sum().backward()
    return [leaf.grad for leaf in leaves]


@pytest.mark.parametrize(("name", "arguments"), ROWS, ids=IDS)
def test_gradients_of_densities(torch, name, arguments):
    mine, theirs = values_for(torch, name, arguments)
    if name in ("Geometric", "Binomial"):
        arguments = {key: value[:2] if isinstance(value, list) else value for key, value in arguments.items()}
        mine, theirs = values_for(torch, name, arguments)
    own = gradients(fastnn, name, arguments, lambda d: d.log_prob(mine))
    other = gradients(torch, name, arguments, lambda d: d.log_prob(theirs))
    for a, b in zip(own, other, strict=True):
        close(a, b, ROUGH.get(name, 1e-8))


@pytest.mark.parametrize(("name", "arguments"), ROWS, ids=IDS)
def test_gradients_of_samples(torch, name, arguments):
    if name in DIFFERENT_SAMPLES or not make(torch, name, arguments).has_rsample:
        pytest.skip("no samples to compare")

    def draw(library):
        return lambda d: sample(library, d, (4,), 5, "rsample")

    own, other = gradients(fastnn, name, arguments, draw(fastnn)), gradients(torch, name, arguments, draw(torch))
    # PyTorch's derivatives of gamma and beta samples are approximations, to about 1e-3.
    approximate = name in ("Gamma", "InverseGamma", "Chi2", "Beta", "Dirichlet", "StudentT", "FisherSnedecor")
    for a, b in zip(own, other, strict=True):
        tolerance = 5e-3 * max(1.0, np.abs(array(b)).max()) if approximate else 1e-9
        close(a, b, tolerance)


def numeric_slope(cdf, density, shape, x, h=1e-5):
    return -(cdf(shape + h, x) - cdf(shape - h, x)) / (2 * h) / density


def test_gamma_and_beta_slopes_are_exact():
    """Against differences of the distribution functions, in which numbers of 1e-11 relative precision are left."""
    special = pytest.importorskip("scipy.special")
    stats = pytest.importorskip("scipy.stats")
    generator = np.random.default_rng(0)
    for a in (0.05, 0.3, 1.0, 2.5, 9.0, 40.0, 300.0, 900.0, 1100.0, 5000.0):
        x = stats.gamma.ppf(generator.uniform(0.02, 0.98, 20), a)
        got = fastnn._C._standard_gamma_grad(fastnn.full((20,), a, dtype=fastnn.float64), fastnn.from_numpy(x))
        h = 1e-5 * a
        expected = -(special.gammainc(a + h, x) - special.gammainc(a - h, x)) / (2 * h) / stats.gamma.pdf(x, a)
        np.testing.assert_allclose(got.numpy(), expected, rtol=2e-5, atol=1e-280)
    for a, b in itertools.product((0.3, 1.0, 4.0, 60.0), repeat=2):
        x = stats.beta.ppf(generator.uniform(0.05, 0.95, 20), a, b)
        total = fastnn.full((20,), a + b, dtype=fastnn.float64)
        got = fastnn._C._dirichlet_grad(fastnn.from_numpy(x), fastnn.full_like(total, a), total)
        h = 1e-5 * a
        slope = -(special.betainc(a + h, b, x) - special.betainc(a - h, b, x)) / (2 * h) / stats.beta.pdf(x, a, b)
        np.testing.assert_allclose(got.numpy(), slope / (1 - x), rtol=2e-5)


def test_sampler_ops_check_their_arguments():
    c = fastnn._C
    with pytest.raises(NotImplementedError, match="not implemented for"):
        c._standard_gamma(fastnn.ones(2, dtype=fastnn.int64))
    with pytest.raises(RuntimeError, match="differ"):
        c._standard_gamma_grad(fastnn.ones(2), fastnn.ones(3))
    with pytest.raises(RuntimeError, match="differ"):
        c._dirichlet_grad(fastnn.ones(2), fastnn.ones(3), fastnn.ones(2))
    with pytest.raises(RuntimeError, match="non-negative"):
        fastnn.binomial(fastnn.tensor([-1.0]), fastnn.tensor([0.5]))
    with pytest.raises(RuntimeError, match="dtype"):
        fastnn.binomial(fastnn.tensor([1.0]), fastnn.tensor([0.5], dtype=fastnn.float64))
    a = fastnn.ones(2, requires_grad=True)
    (gradient,) = fastnn.autograd.grad(c._standard_gamma(a).sum(), a, create_graph=True)
    with pytest.raises((RuntimeError, NotImplementedError), match="not implemented"):
        gradient.sum().backward()
    generator = fastnn.Generator().manual_seed(3)
    first = c._standard_gamma(fastnn.ones(5), generator=generator)
    assert first.tolist() == c._standard_gamma(fastnn.ones(5), generator=generator.manual_seed(3)).tolist()
    assert fastnn.binomial(fastnn.full((3, 1), 4.0), fastnn.tensor([0.0, 1.0])).tolist() == [[0.0, 4.0]] * 3


@pytest.mark.parametrize(("name", "arguments"), ROWS, ids=IDS)
def test_expanding(torch, name, arguments):
    own, other = both(torch, name, arguments)
    shape = (3, *own.batch_shape)
    own_wide, other_wide = own.expand(shape), other.expand(shape)
    assert type(own_wide) is type(own) and own_wide.batch_shape == shape
    assert own_wide.event_shape == own.event_shape
    drawn = sample(torch, other_wide, (2,))
    close(own_wide.log_prob(fastnn.from_numpy(drawn.numpy().copy())), other_wide.log_prob(drawn), ROUGH.get(name, 1e-9))
    assert tuple(own_wide.sample((2,)).shape) == tuple(drawn.shape)
    assert result(lambda: tuple(own_wide.mean.shape)) == result(lambda: tuple(other_wide.mean.shape))


@pytest.mark.parametrize(("name", "arguments"), ROWS, ids=IDS)
def test_copies_and_pickles(name, arguments):
    own = make(fastnn, name, arguments)
    for duplicate in (copy.deepcopy(own), pickle.loads(pickle.dumps(own))):
        drawn = sample(fastnn, own, (2,))
        assert drawn.tolist() == sample(fastnn, duplicate, (2,)).tolist()


def test_all_names_and_signatures(torch):
    names = set(torch.distributions.__all__)
    assert names <= set(distributions.__all__)
    for name in names:
        own, other = getattr(distributions, name), getattr(torch.distributions, name)
        if inspect.isclass(other) and name != "Transform":
            parameters = [
                [(key, p.default) for key, p in inspect.signature(cls).parameters.items()] for cls in (own, other)
            ]
            assert parameters[0] == parameters[1], name
            assert (
                {row[0] for row in ROWS} | {"Distribution"} >= {name}
                or not issubclass(other, torch.distributions.Distribution)
                or name in ("ExponentialFamily", "Independent", "MixtureSameFamily", "TransformedDistribution")
            )
    for module in ("normal", "categorical", "kl", "utils", "transforms", "constraints", "constraint_registry"):
        __import__(f"fastnn.distributions.{module}")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [row for row in ROWS if row[0] in ("Bernoulli", "Categorical", "OneHotCategorical", "Binomial")][:7],
)
def test_enumeration(torch, name, arguments):
    own, other = both(torch, name, arguments)
    for expand in (True, False):
        close(own.enumerate_support(expand), other.enumerate_support(expand))
    total = own.log_prob(own.enumerate_support()).exp().sum(0)
    np.testing.assert_allclose(array(total), 1.0, rtol=1e-9)


# Composites.


def mixture(library):
    weights = library.distributions.Categorical(tensor(library, [[0.2, 0.8], [0.5, 0.5]]))
    means = tensor(library, [[0.0, 3.0], [1.0, -1.0]])
    return library.distributions.MixtureSameFamily(weights, library.distributions.Normal(means, 0.5))


def vector_mixture(library):
    weights = library.distributions.Categorical(tensor(library, [0.2, 0.8]))
    base = library.distributions.Normal(tensor(library, [[0.0, 3.0, 1.0], [1.0, -1.0, 0.0]]), 0.5)
    return library.distributions.MixtureSameFamily(weights, library.distributions.Independent(base, 1))


def flow(library):
    d = library.distributions
    base = d.Normal(tensor(library, [0.0, 1.0]), 1.0)
    parts = [
        d.AffineTransform(1.0, tensor(library, [2.0, -0.5])),
        d.TanhTransform(cache_size=1),
        d.AffineTransform(2.0, 3.0),
        d.ExpTransform(),
    ]
    return d.TransformedDistribution(base, parts)


def stick(library):
    d = library.distributions
    return d.TransformedDistribution(d.Normal(tensor(library, [[0.0, 1.0, 2.0]] * 2), 0.5), d.StickBreakingTransform())


def independent(library):
    d = library.distributions
    return d.Independent(d.Gamma(tensor(library, [[0.5, 1.0, 2.0]] * 2), 0.5), 1)


COMPOSITES = [mixture, vector_mixture, flow, stick, independent]


@pytest.mark.parametrize("build", COMPOSITES)
def test_composites(torch, build):
    own, other = build(fastnn), build(torch)
    drawn = sample(torch, other, (4,))
    close(sample(fastnn, own, (4,)), drawn)
    value = fastnn.from_numpy(drawn.numpy().copy())
    close(own.log_prob(value), other.log_prob(drawn), 1e-9)
    assert own.has_rsample == other.has_rsample
    for key in ("mean", "variance", "batch_shape", "event_shape", "entropy", "support", "cdf"):
        got, expected = (
            result(lambda d=d, v=v, key=key: d.cdf(v) if key == "cdf" else getattr(d, key))
            for d, v in ((own, value), (other, drawn))
        )
        if key == "entropy":
            got, expected = result(own.entropy), result(other.entropy)
        if expected is NotImplementedError:
            assert got is NotImplementedError
        elif key == "support":
            assert repr(got) == repr(expected)
        elif key.endswith("shape"):
            assert tuple(got) == tuple(expected)
        else:
            close(got, expected, 1e-9)
    shape = (3, *own.batch_shape)
    close(
        own.expand(shape).log_prob(value[:1].expand((3, *value.shape[1:]))),
        other.expand(shape).log_prob(drawn[:1].expand((3, *drawn.shape[1:]))),
        1e-9,
    )
    if build is not flow:
        assert repr(own) == repr(other)


# Divergences.

FAMILIES = {
    "Bernoulli": {"probs": [0.2, 0.6]},
    "Beta": {"concentration1": [0.5, 2.0], "concentration0": [0.7, 3.0]},
    "Binomial": {"total_count": 5, "probs": [0.2, 0.6]},
    "Categorical": {"probs": [[0.2, 0.5, 0.3], [0.0, 1.0, 1.0]]},
    "Cauchy": {"loc": [0.5, -1.0], "scale": [0.3, 2.0]},
    "ContinuousBernoulli": {"probs": [0.2, 0.6]},
    "Dirichlet": {"concentration": [[0.5, 2.0, 7.0], [0.7, 3.0, 1.0]]},
    "Exponential": {"rate": [0.3, 4.0]},
    "Gamma": {"concentration": [0.7, 4.0], "rate": [0.5, 3.0]},
    "Geometric": {"probs": [0.2, 0.6]},
    "Gumbel": {"loc": [0.5, -1.0], "scale": [0.3, 2.0]},
    "HalfNormal": {"scale": [0.3, 2.0]},
    "Laplace": {"loc": [0.5, -1.0], "scale": [0.3, 2.0]},
    "LogNormal": {"loc": [0.5, -1.0], "scale": [0.3, 2.0]},
    "Normal": {"loc": [0.5, -1.0], "scale": [0.3, 2.0]},
    "OneHotCategorical": {"probs": [[0.2, 0.5, 0.3], [0.2, 1.0, 1.0]]},
    "Pareto": {"scale": [0.5, 2.0], "alpha": [2.5, 1.5]},
    "Poisson": {"rate": [0.3, 4.0]},
    "Uniform": {"low": [0.2, 0.1], "high": [0.9, 1.0]},
    "MultivariateNormal": {"loc": [0.5, -1.0], "covariance_matrix": [[2.0, 0.5], [0.5, 1.0]]},
    "LowRankMultivariateNormal": {"loc": [0.1, 1.0], "cov_factor": [[1.0], [0.3]], "cov_diag": [0.5, 1.0]},
}


def shifted(arguments):
    """Other parameters of the same family."""

    def change(value):
        if isinstance(value, list):
            return [change(item) for item in value]
        return value * 0.9 + 0.02

    keep = ("total_count", "covariance_matrix", "low")
    return {key: value if key in keep else change(value) for key, value in arguments.items()}


@pytest.mark.parametrize("p", FAMILIES)
def test_divergences(torch, p):
    for q in FAMILIES:
        mine, theirs = [], []
        for library, out in ((fastnn, mine), (torch, theirs)):
            first, second = make(library, p, FAMILIES[p]), make(library, q, shifted(FAMILIES[q]))
            out.append(result(lambda a=first, b=second, lib=library: lib.distributions.kl_divergence(a, b)))
        if theirs[0] is NotImplementedError:
            assert mine[0] is NotImplementedError, q
        else:
            np.testing.assert_allclose(array(mine[0]), array(theirs[0]), rtol=1e-9, atol=1e-12, err_msg=q)
            assert tuple(mine[0].shape) == tuple(theirs[0].shape)


def test_divergence_of_composites_and_registration():
    d = distributions
    base = [d.Normal(fastnn.zeros(2, 3), 1.0), d.Normal(fastnn.ones(2, 3), 2.0)]
    plain = d.kl_divergence(*base)
    wrapped = d.kl_divergence(*(d.Independent(x, 1) for x in base))
    assert wrapped.tolist() == pytest.approx(plain.sum(-1).tolist())
    mapped = d.kl_divergence(*(d.TransformedDistribution(x, d.ExpTransform()) for x in base))
    assert mapped.tolist() == plain.tolist()
    with pytest.raises(NotImplementedError):
        d.kl_divergence(d.Independent(base[0], 1), d.Independent(base[1], 2))

    class Mine(d.Normal):
        pass

    assert d.kl_divergence(Mine(0.0, 1.0), d.Normal(0.0, 1.0)).item() == 0

    @d.register_kl(Mine, d.Normal)
    def _mine(p, q):
        return fastnn.tensor(7.0)

    assert d.kl_divergence(Mine(0.0, 1.0), d.Normal(0.0, 1.0)).item() == 7

    @d.register_kl(d.Normal, Mine)
    def _other(p, q):
        return fastnn.tensor(8.0)

    with pytest.warns(RuntimeWarning, match="Ambiguous"):
        assert d.kl_divergence(Mine(0.0, 1.0), Mine(0.0, 1.0)).item() == 7
    with pytest.raises(TypeError, match="Distribution subclass"):
        d.register_kl(int, d.Normal)
    with pytest.raises(NotImplementedError, match="No KL"):
        d.kl_divergence(d.Normal(0.0, 1.0), d.StudentT(1.0))


# Transforms and constraints.

TRANSFORMS = {
    "exp": (lambda t, lib: t.ExpTransform(), "real"),
    "power": (lambda t, lib: t.PowerTransform(tensor(lib, [2.0, -0.5, 3.0])), "positive"),
    "sigmoid": (lambda t, lib: t.SigmoidTransform(), "real"),
    "softplus": (lambda t, lib: t.SoftplusTransform(), "real"),
    "tanh": (lambda t, lib: t.TanhTransform(), "real"),
    "abs": (lambda t, lib: t.AbsTransform(), "real"),
    "affine": (lambda t, lib: t.AffineTransform(1.0, tensor(lib, [2.0, -0.5, 3.0])), "real"),
    "affine vector": (lambda t, lib: t.AffineTransform(1.0, -2.0, event_dim=1), "real"),
    "softmax": (lambda t, lib: t.SoftmaxTransform(), "real"),
    "stick": (lambda t, lib: t.StickBreakingTransform(), "real"),
    "corr cholesky": (lambda t, lib: t.CorrCholeskyTransform(), "real"),
    "reshape": (lambda t, lib: t.ReshapeTransform((3,), (3, 1)), "real"),
    "independent": (lambda t, lib: t.IndependentTransform(t.ExpTransform(), 1), "real"),
    "compose": (lambda t, lib: t.ComposeTransform([t.AffineTransform(0.5, 2.0), t.SigmoidTransform()]), "real"),
    "compose vector": (
        lambda t, lib: t.ComposeTransform([t.ExpTransform(), t.AffineTransform(0.0, 2.0, event_dim=1)]),
        "real",
    ),
    "empty": (lambda t, lib: t.ComposeTransform([]), "real"),
    "cat": (lambda t, lib: t.CatTransform([t.ExpTransform(), t.TanhTransform()], dim=-1, lengths=[1, 2]), "real"),
    "stack": (
        lambda t, lib: t.StackTransform([t.ExpTransform(), t.TanhTransform(), t.SigmoidTransform()], dim=-1),
        "real",
    ),
    "cdf": (lambda t, lib: t.CumulativeDistributionTransform(lib.distributions.Normal(0.5, 2.0)), "real"),
    "inverse": (lambda t, lib: t.ExpTransform().inv, "positive"),
}


@pytest.mark.parametrize("key", TRANSFORMS)
def test_transforms(torch, key):
    factory, domain = TRANSFORMS[key]
    start = np.random.default_rng(0).standard_normal((4, 3))
    start = np.abs(start) if domain == "positive" else start
    outputs = []
    for library in (fastnn, torch):
        transform = factory(library.distributions.transforms, library)
        x = library.from_numpy(start.copy())
        y = transform(x)
        results = [y, transform.inv(y)]
        if transform.bijective:
            results.append(transform.log_abs_det_jacobian(x, y))
            results.append(transform.inv.log_abs_det_jacobian(y, x))
        texts = [repr(transform) if key != "cdf" else "", repr(transform.domain), repr(transform.codomain)]
        texts += [
            bool(transform.bijective),
            tuple(transform.forward_shape((4, 3))),
            tuple(transform.inverse_shape(tuple(y.shape))),
        ]
        texts += [result(lambda t=transform: np.asarray(t.sign).tolist())]
        texts += [transform == factory(library.distributions.transforms, library), transform.inv.inv is transform]
        texts += [transform.domain.check(x).all().item(), transform.codomain.check(y).all().item()]
        cached = result(lambda t=transform: t.with_cache())
        if cached is not NotImplementedError:
            again = cached(x)
            assert cached.inv(again) is x or key in ("empty", "compose", "compose vector")
        outputs.append((results, texts))
    (own, own_texts), (other, other_texts) = outputs
    assert own_texts == other_texts
    for a, b in zip(own, other, strict=True):
        close(a, b, 1e-9)


def test_matrix_transforms(torch):
    start = np.random.default_rng(0).standard_normal((2, 3, 3))
    for name in ("LowerCholeskyTransform", "PositiveDefiniteTransform"):
        results = []
        for library in (fastnn, torch):
            transform = getattr(library.distributions.transforms, name)()
            y = transform(library.from_numpy(start.copy()))
            results.append((y, transform.inv(y), transform.codomain.check(y)))
        close(results[0][0], results[1][0])
        close(results[0][1], results[1][1], 1e-9)
        assert results[0][2].tolist() == results[1][2].tolist() == [True, True]


CONSTRAINTS = {
    "boolean": [0.0, 1.0, 0.5],
    "one_hot": [[0.0, 1.0], [1.0, 1.0], [0.5, 0.5]],
    "nonnegative_integer": [0.0, -1.0, 1.5],
    "positive_integer": [0.0, 1.0, 1.5],
    "real": [0.0, float("nan"), float("inf")],
    "real_vector": [[0.0, 1.0], [float("nan"), 0.0]],
    "positive": [0.0, 1.0, -1.0],
    "nonnegative": [0.0, 1.0, -1.0],
    "unit_interval": [0.0, 1.0, 1.5, -0.5],
    "simplex": [[0.5, 0.5], [0.5, 0.6], [1.5, -0.5]],
    "lower_triangular": [[[1.0, 0.0], [1.0, -1.0]], [[1.0, 1.0], [1.0, 1.0]]],
    "lower_cholesky": [[[1.0, 0.0], [1.0, -1.0]], [[1.0, 0.0], [1.0, 1.0]]],
    "corr_cholesky": [[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [1.0, 1.0]]],
    "square": [[[1.0, 0.0], [0.6, 0.8]]],
    "symmetric": [[[1.0, 0.5], [0.5, 0.8]], [[1.0, 0.0], [1.0, 1.0]]],
    "positive_semidefinite": [[[1.0, 0.5], [0.5, 0.8]], [[1.0, 2.0], [2.0, 1.0]]],
    "positive_definite": [[[1.0, 0.5], [0.5, 0.8]], [[1.0, 2.0], [2.0, 1.0]]],
}
MADE_CONSTRAINTS = {
    "greater_than": ((0.5,), [0.5, 1.0]),
    "greater_than_eq": ((0.5,), [0.5, 0.0]),
    "less_than": ((0.5,), [0.5, 0.0]),
    "interval": ((0.5, 1.5), [0.5, 1.5, 2.0]),
    "half_open_interval": ((0.5, 1.5), [0.5, 1.5, 2.0]),
    "integer_interval": ((1, 3), [0.0, 1.0, 1.5, 3.0]),
    "multinomial": ((3,), [[1.0, 2.0], [2.0, 2.0], [-1.0, 2.0]]),
}


@pytest.mark.parametrize("name", [*CONSTRAINTS, *MADE_CONSTRAINTS])
def test_constraints(torch, name):
    results = []
    for library in (fastnn, torch):
        constraint = getattr(library.distributions.constraints, name)
        if name in MADE_CONSTRAINTS:
            arguments, values = MADE_CONSTRAINTS[name]
            constraint = constraint(*arguments)
        else:
            values = CONSTRAINTS[name]
        valid = constraint.check(tensor(library, values))
        text = "" if name in ("multinomial",) else repr(constraint)
        results.append((valid.tolist(), text, constraint.event_dim, constraint.is_discrete))
        maps = []
        for registry in ("biject_to", "transform_to"):
            transform = result(lambda r=registry, c=constraint, lib=library: getattr(lib.distributions, r)(c))
            maps.append(transform if transform is NotImplementedError else type(transform).__name__)
            if transform is not NotImplementedError:
                shape = (3, 3, 3)
                x = library.from_numpy(np.random.default_rng(0).standard_normal(shape))
                y = transform(x)
                assert constraint.check(y).all()
                results[-1] += (array(y).round(9).tolist(),)
        results[-1] += (maps,)
    assert results[0] == results[1]


def test_constraints_of_parts(torch):
    results = []
    for library in (fastnn, torch):
        c = library.distributions.constraints
        value = tensor(library, [[1.0, -1.0, 0.5], [1.0, 2.0, 3.0]])
        cat = c.cat([c.positive, c.unit_interval], dim=-1, lengths=[1, 2])
        stack = c.stack([c.positive, c.real, c.unit_interval], dim=-1)
        wide = c.independent(c.positive, 1)
        found = [constraint.check(value).tolist() for constraint in (cat, stack, wide)]
        mapped = [
            array(getattr(library.distributions, registry)(constraint)(value)).round(9).tolist()
            for registry in ("biject_to", "transform_to")
            for constraint in (cat, stack, wide)
        ]
        results.append((found, mapped, repr(wide), wide.event_dim))
        assert c.is_dependent(c.dependent) and not c.is_dependent(c.real)
        assert c.is_dependent(library.distributions.Uniform.support)
        assert library.distributions.Uniform.support.event_dim == 0
        with pytest.raises(NotImplementedError):
            _ = c.dependent.event_dim
        with pytest.raises(ValueError, match="dependent"):
            c.dependent.check(value)
    assert results[0] == results[1]


# Errors, validation, users' own distributions.


@pytest.mark.parametrize(
    ("name", "arguments", "error"),
    [
        ("Normal", {"loc": [0.0], "scale": [-1.0]}, ValueError),
        ("Uniform", {"low": [1.0], "high": [0.0]}, ValueError),
        ("Bernoulli", {"probs": [1.5]}, ValueError),
        ("Bernoulli", {"probs": [0.5], "logits": [0.5]}, ValueError),
        ("Bernoulli", {}, ValueError),
        ("Categorical", {"probs": [-0.5, 1.5]}, ValueError),
        ("Categorical", {"logits": [float("nan"), 0.0]}, ValueError),
        ("Geometric", {"probs": [0.0]}, ValueError),
        ("Multinomial", {"total_count": 1.5, "probs": [0.5, 0.5]}, NotImplementedError),
        ("Poisson", {"rate": [-1.0]}, ValueError),
        ("MultivariateNormal", {"loc": [0.0, 0.0]}, ValueError),
        ("LKJCholesky", {"dim": 1}, ValueError),
        ("Normal", {"loc": "x", "scale": 1.0}, ValueError),
    ],
)
def test_bad_parameters(torch, name, arguments, error):
    for library in (fastnn, torch):
        with pytest.raises(error):
            make(library, name, arguments)


def test_validation():
    normal = distributions.Normal(fastnn.zeros(2), 1.0)
    with pytest.raises(ValueError, match="must be a Tensor"):
        normal.log_prob(1.0)
    with pytest.raises(ValueError, match="not broadcastable"):
        normal.log_prob(fastnn.zeros(3))
    with pytest.raises(ValueError, match="within the support"):
        normal.log_prob(fastnn.full((2,), fastnn.nan))
    with pytest.raises(ValueError, match="match event_shape"):
        distributions.Dirichlet(fastnn.ones(2)).log_prob(fastnn.ones(3) / 3)
    assert distributions.Normal(0.0, -1.0, validate_args=False).scale.item() == -1
    before = distributions.Distribution._validate_args
    try:
        distributions.Distribution.set_default_validate_args(False)
        assert distributions.Normal(0.0, -1.0).scale.item() == -1
    finally:
        distributions.Distribution.set_default_validate_args(before)
    with pytest.raises(ValueError):
        distributions.Distribution.set_default_validate_args(3)
    with pytest.warns(FutureWarning, match="sample_n"):
        assert normal.sample_n(3).shape == (3, 2)


def test_users_distributions():
    class Shifted(distributions.Normal):
        def __init__(self, shift, validate_args=None):
            self.shift = shift
            super().__init__(shift, 1.0, validate_args=validate_args)

    with pytest.raises(NotImplementedError, match="custom __init__"):
        Shifted(2.0).expand((2,))

    class Coin(distributions.Distribution):
        arg_constraints: ClassVar = {"bias": distributions.constraints.unit_interval}
        support = distributions.constraints.boolean

        def __init__(self, bias):
            self.bias = fastnn.as_tensor(bias)
            super().__init__(self.bias.shape)

        def sample(self, sample_shape=()):
            return fastnn.bernoulli(self.bias.expand(self._extended_shape(sample_shape)))

    coin = Coin(0.5)
    assert coin.sample((3,)).shape == (3,) and repr(coin) == "Coin(bias: 0.5)"
    for method in (coin.log_prob, coin.cdf, coin.icdf):
        with pytest.raises(NotImplementedError):
            method(fastnn.tensor(1.0))
    for name in ("mean", "mode", "variance"):
        with pytest.raises(NotImplementedError):
            getattr(coin, name)
    with pytest.raises(ValueError, match="satisfy the constraint"):
        Coin(1.5)

    class Same(distributions.Normal):
        pass

    assert type(Same(0.0, 1.0).expand((2,))) is Same


def test_policy_gradient():
    """As reinforcement learning scripts use it."""
    logits = fastnn.zeros(4, 3, requires_grad=True)
    policy = distributions.Categorical(logits=logits)
    action = policy.sample()
    loss = -(policy.log_prob(action) * fastnn.ones(4)).mean() - 0.01 * policy.entropy().mean()
    loss.backward()
    expected = fastnn.full((4, 3), 1 / 3) - fastnn.nn.functional.one_hot(action, 3)
    np.testing.assert_allclose(logits.grad.numpy(), expected.numpy() / 4, atol=1e-6)
