"""Rows of special functions and of number theory."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import op_rows_math
import op_rows_nn
import op_rows_tensor
from op_rows_math import BINARY, UNARY, each, floating
from op_specs import ALL, FLOATS, INTS, S, Spec, X

# Torch computes most of these in the dtype itself, with a relative error of some units.
NEAR = {"roundings": 40.0, "gradients": 1e-6, "keywords": False, "inplace": False}


def sinc(x: Any) -> np.ndarray:
    return np.sinc(floating(x))


def entropy(x: float) -> float:
    return -x * math.log(x) if x > 0 else 0.0 if x == 0 else math.nan if math.isnan(x) else -math.inf


def bessel_i(order: int, scaled: bool) -> Any:
    """The power series, with the exponential in each term."""

    def one(x: float) -> float:
        shift = abs(x) if scaled else 0.0
        return (
            math.fsum(
                math.exp(
                    (2 * k + order) * math.log(abs(x) / 2) - math.lgamma(k + 1) - math.lgamma(k + order + 1) - shift
                )
                * (math.copysign(1.0, x) if order % 2 else 1.0)
                for k in range(120)
            )
            if x
            else float(order == 0)
        )

    return each(one)


def ndtr(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def log_ndtr(x: float) -> float:
    return math.log(ndtr(x))


def erfcx(x: float) -> float:
    return math.exp(x * x) * math.erfc(x)


def logit(x: Any, eps: float | None = None) -> np.ndarray:
    x = floating(x)
    x = x if eps is None else np.clip(x, eps, 1 - eps)
    return np.log(x / (1 - x))


def multigamma(x: Any, p: int) -> np.ndarray:
    terms = [each(math.lgamma)(floating(x) - j / 2) for j in range(p)]
    return np.asarray(sum(terms) + p * (p - 1) / 4 * math.log(math.pi))


def lower_gamma(a: float, x: float) -> float:
    term = total = 1 / a
    for n in range(1, 400):
        term *= x / (a + n)
        total += term
    return total * math.exp(a * math.log(x) - x - math.lgamma(a))


def zeta(s: float, q: float) -> float:
    head = math.fsum((q + k) ** -s for k in range(400))
    end = q + 400
    return head + end ** (1 - s) / (s - 1) + end**-s / 2 + s * end ** (-s - 1) / 12


def recurrence(first: Any, following: Any) -> Any:
    """An orthogonal polynomial from the first two by its three-term recurrence."""

    def one(x: float, n: float) -> float:
        if n < 0:
            return 0.0
        before, value = 1.0, first(x)
        if n < 1:
            return before
        for k in range(1, int(n)):
            before, value = value, following(x, k, value, before)
        return value

    return each(one)


def chebyshev(first: Any) -> Any:
    return recurrence(first, lambda x, k, p, q: 2 * x * p - q)


def shifted(function: Any) -> Any:
    return lambda x, n: function(2 * floating(x) - 1, n)


def unary(name: str, reference: Any, domain: tuple[float, float], **options: Any) -> Spec:
    options = NEAR | {"dtypes": FLOATS, "pointwise": True, "domain": domain, "extremes": False} | options
    return Spec(name, UNARY, reference, **options)


def polynomial(name: str, reference: Any, domain: tuple[float, float] = (-1.0, 1.0)) -> Spec:
    samples = [S(X(3, 4), n) for n in (0, 1, 2, 5)] + [S(X(2, 3), X(3, low=0, high=6)), S(0.5, X(3, low=0, high=6))]
    return Spec(
        f"special.{name}", samples, reference, dtypes=("float64", "float32"), domain=domain, differentiable=False,
        pointwise=True, extremes=False, scale=1.0, **NEAR,
    )  # fmt: skip


def rows_of_one() -> list[Spec]:
    constant: dict[str, Any] = {"differentiable": False, "dtypes": ("float64", "float32")}
    single: dict[str, Any] = {"torch_dtypes": ("float32",)}  # torch's have an error of 1e-8 in float64
    return [
        unary("sinc", sinc, (-3.0, 3.0), dtypes=ALL, keywords=True, inplace=True, torch_dtypes=FLOATS, scale=1.0),
        unary("special.sinc", sinc, (-3.0, 3.0), dtypes=ALL, torch_dtypes=FLOATS, scale=1.0),
        unary("i0", bessel_i(0, False), (-8.0, 8.0), dtypes=ALL, keywords=True, inplace=True),
        unary("special.i0", bessel_i(0, False), (-8.0, 8.0), dtypes=ALL),
        unary("special.i0e", bessel_i(0, True), (-40.0, 40.0)),
        unary("special.i1", bessel_i(1, False), (-8.0, 8.0)),
        unary("special.i1e", bessel_i(1, True), (-40.0, 40.0)),
        unary("special.entr", each(entropy), (0.1, 3.0)),
        unary("special.ndtr", each(ndtr), (-3.0, 3.0), dtypes=ALL),
        unary("special.log_ndtr", each(log_ndtr), (-6.0, 3.0)),
        unary("special.ndtri", None, (0.02, 0.98)),
        unary("special.erfcx", each(erfcx), (-2.0, 5.0)),
        unary("special.airy_ai", None, (-12.0, 8.0), **constant, scale=1.0, **single),
        unary("special.bessel_j0", None, (-9.0, 9.0), **constant, scale=1.0, **single),
        unary("special.bessel_j1", None, (-9.0, 9.0), **constant, scale=1.0, **single),
        unary("special.bessel_y0", None, (0.1, 9.0), **constant, scale=1.0, **single),
        unary("special.bessel_y1", None, (0.1, 9.0), **constant, scale=1.0, **single),
        unary("special.modified_bessel_i0", bessel_i(0, False), (-8.0, 8.0), **constant),
        unary("special.modified_bessel_i1", bessel_i(1, False), (-8.0, 8.0), **constant),
        unary("special.modified_bessel_k0", None, (0.01, 30.0), **constant),
        unary("special.modified_bessel_k1", None, (0.01, 30.0), **constant),
        unary("special.scaled_modified_bessel_k0", None, (0.01, 60.0), **constant),
        unary("special.scaled_modified_bessel_k1", None, (0.01, 60.0), **constant),
        unary("special.spherical_bessel_j0", lambda x: np.sinc(floating(x) / np.pi), (-9.0, 9.0), **constant),
        Spec("logit", (S(X(3, 4)), S(X(5), 0.2), S(X(), eps=0.3)), logit, domain=(0.05, 0.95), roundings=16.0),
        Spec("special.logit", (S(X(3, 4)), S(X(5), 0.2)), logit, domain=(0.05, 0.95), **NEAR),
        Spec("mvlgamma", (S(X(3, 4), 1), S(X(3), 3), S(X(), 5)), multigamma, domain=(2.5, 6.0), dtypes=("float64", "float32"), scale=1.0, roundings=40.0, gradients=1e-6),
        Spec("special.multigammaln", (S(X(3, 4), 2),), multigamma, domain=(2.5, 6.0), dtypes=("float64", "float32"), scale=1.0, **NEAR),
        Spec("frexp", UNARY, lambda x: np.frexp(floating(x)), keywords=False),
    ]  # fmt: skip


def rows_of_two() -> list[Spec]:
    integer: dict[str, Any] = {"dtypes": INTS, "pointwise": True, "integers": (-30, 31), "extremes": False}
    floats: dict[str, Any] = {"dtypes": ("float64", "float32"), "pointwise": True, "extremes": False}
    first = [S(X(3, 4, grad=False), X(3, 4)), S(X(3, 1, grad=False), X(4)), S(X(grad=False), X(3))]
    numbers = [S(X(3, 4), 2.5), S(2.5, X(3, 4))]
    return [
        Spec("gcd", BINARY, np.gcd, **integer, differentiable=False),
        Spec("lcm", BINARY, np.lcm, **integer | {"integers": (-9, 10)}, differentiable=False),
        Spec("nextafter", BINARY, None, dtypes=FLOATS, pointwise=True, differentiable=False),
        Spec("ldexp", [S(X(3, 4), X(4, dtype="int64", low=0, high=4)), S(X(3), X(3, dtype="int32", low=0, high=5))], lambda x, n: floating(x) * 2.0**n, dtypes=FLOATS),
        Spec("igamma", first, each(lower_gamma), domain=(0.2, 6.0), **floats, roundings=60.0, gradients=1e-6),
        Spec("igammac", first, each(lambda a, x: 1 - lower_gamma(a, x)), domain=(0.2, 6.0), **floats, roundings=60.0, gradients=1e-6, scale=1.0),
        Spec("special.gammainc", first, each(lower_gamma), domain=(0.2, 6.0), **floats, **NEAR | {"roundings": 60.0}),
        Spec("special.gammaincc", first, each(lambda a, x: 1 - lower_gamma(a, x)), domain=(0.2, 6.0), **floats, **NEAR | {"roundings": 60.0, "scale": 1.0}),
        Spec("special.xlog1py", [*BINARY, *numbers], lambda a, b: floating(a) * np.log1p(b), domain=(-0.9, 3.0), **floats, **NEAR),
        Spec("special.zeta", [*first, S(2.5, X(3, 4)), S(X(3, grad=False), 2.0)], each(zeta), domain=(1.5, 6.0), **floats, **NEAR),
        polynomial("chebyshev_polynomial_t", chebyshev(lambda x: x)),
        polynomial("chebyshev_polynomial_u", chebyshev(lambda x: 2 * x)),
        polynomial("chebyshev_polynomial_v", chebyshev(lambda x: 2 * x - 1)),
        polynomial("chebyshev_polynomial_w", chebyshev(lambda x: 2 * x + 1)),
        polynomial("shifted_chebyshev_polynomial_t", shifted(chebyshev(lambda x: x)), (0.0, 1.0)),
        polynomial("shifted_chebyshev_polynomial_u", shifted(chebyshev(lambda x: 2 * x)), (0.0, 1.0)),
        polynomial("shifted_chebyshev_polynomial_v", shifted(chebyshev(lambda x: 2 * x - 1)), (0.0, 1.0)),
        polynomial("shifted_chebyshev_polynomial_w", shifted(chebyshev(lambda x: 2 * x + 1)), (0.0, 1.0)),
        polynomial("hermite_polynomial_h", recurrence(lambda x: 2 * x, lambda x, k, p, q: 2 * (x * p - k * q))),
        polynomial("hermite_polynomial_he", recurrence(lambda x: x, lambda x, k, p, q: x * p - k * q)),
        polynomial("laguerre_polynomial_l", recurrence(lambda x: 1 - x, lambda x, k, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1))),
        polynomial("legendre_polynomial_p", recurrence(lambda x: x, lambda x, k, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1))),
    ]  # fmt: skip


# Names in fastnn.special of operations that have rows under another name.
ALIASES = {
    "digamma": "digamma", "erf": "erf", "erfc": "erfc", "erfinv": "erfinv", "exp2": "exp2", "expit": "sigmoid",
    "expm1": "expm1", "gammaln": "lgamma", "log1p": "log1p", "log_softmax": "log_softmax", "logsumexp": "logsumexp",
    "polygamma": "polygamma", "psi": "digamma", "round": "round", "softmax": "softmax", "xlogy": "xlogy",
}  # fmt: skip


def aliases() -> list[Spec]:
    known = {row.name: row for row in [*op_rows_math.ROWS, *op_rows_nn.ROWS, *op_rows_tensor.ROWS]}
    return [
        dataclasses.replace(known[same], name=f"special.{name}", keywords=False, inplace=False, roundings=40.0)
        for name, same in ALIASES.items()
    ]


ROWS = [*rows_of_one(), *rows_of_two(), *aliases()]
