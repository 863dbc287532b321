#include "core/special.h"

#include <cmath>
#include <limits>

namespace fastnn::special {

namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kSqrtPi = 1.77245385090551602730;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

// Asymptotic series of the modified Bessel functions of order n: sum of (+-1)^k (mu - 1)(mu - 9) ... / (k! (8x)^k),
// with mu = 4 n^2, up to its smallest term. DLMF 10.40.
double asymptotic_bessel(double mu, double x, double sign) {
  double sum = 1;
  double term = 1;
  for (int k = 1; k < 60; ++k) {
    const double odd = 2 * k - 1;
    const double next = sign * term * (mu - odd * odd) / (k * 8 * x);
    if (std::abs(next) >= std::abs(term)) break;
    term = next;
    sum += term;
    if (std::abs(term) < kEpsilon * std::abs(sum)) break;
  }
  return sum;
}

// Power series of I_n(x), n = 0 or 1: all terms are positive. DLMF 10.25.2.
double series_bessel_i(int n, double x) {
  const double quarter = x * x / 4;
  double term = n == 0 ? 1 : x / 2;
  double sum = term;
  for (int k = 1; k < 500; ++k) {
    term *= quarter / (static_cast<double>(k) * (k + n));
    sum += term;
    if (std::abs(term) < kEpsilon * std::abs(sum)) break;
  }
  return sum;
}

constexpr double kBesselSeries = 25;  // the power series below, the asymptotic one above

double bessel_i_scaled(int n, double x) {
  if (std::isnan(x)) return x;
  const double magnitude = std::abs(x);
  if (std::isinf(x)) return 0;
  const double value = magnitude <= kBesselSeries
                           ? series_bessel_i(n, magnitude) * std::exp(-magnitude)
                           : asymptotic_bessel(4 * n * n, magnitude, -1) / std::sqrt(2 * kPi * magnitude);
  return n == 1 && x < 0 ? -value : value;
}

double bessel_i(int n, double x) {
  if (std::isnan(x)) return x;
  const double magnitude = std::abs(x);
  double value = kInfinity;
  if (magnitude <= kBesselSeries) {
    value = series_bessel_i(n, magnitude);
  } else if (magnitude < 715) {
    // exp in two factors: it overflows before the result does.
    const double half = std::exp(magnitude / 2);
    value = bessel_i_scaled(n, magnitude) * half * half;
  }
  return n == 1 && x < 0 ? -value : value;
}

// K_order(x) exp(x): the integral of exp(x - x cosh t) cosh(order t) over t > 0, by the trapezoidal rule, which
// converges faster than any power of its step for such a function. DLMF 10.32.9.
double scaled_k(double order, double x) {
  if (std::isnan(x) || x < 0) return kNaN;
  if (x == 0) return kInfinity;
  if (x > kBesselSeries) return asymptotic_bessel(4 * order * order, x, 1) * std::sqrt(kPi / (2 * x));
  constexpr double kStep = 1. / 8;
  double sum = 0.5;
  for (int i = 1; i < 8 * 800; ++i) {
    const double t = i * kStep;
    const double sinh_half = std::sinh(t / 2);
    const double exponent = -2 * x * sinh_half * sinh_half;  // x - x cosh t, without cancellation
    const double term = std::exp(exponent) * std::cosh(order * t);
    sum += term;
    if (exponent < -40 && term < kEpsilon * sum) break;
  }
  return sum * kStep;
}

// Legendre's continued fraction of Q(a, x), by Lentz' method; for x > a + 1. DLMF 8.9.2.
double gamma_fraction(double a, double x) {
  constexpr double kTiny = 1e-300;
  double b = x + 1 - a;
  double c = 1 / kTiny;
  double d = 1 / b;
  double h = d;
  for (int i = 1; i < 100000; ++i) {
    const double an = -i * (i - a);
    b += 2;
    d = an * d + b;
    if (std::abs(d) < kTiny) d = kTiny;
    c = b + an / c;
    if (std::abs(c) < kTiny) c = kTiny;
    d = 1 / d;
    const double factor = d * c;
    h *= factor;
    if (std::abs(factor - 1) < kEpsilon) break;
  }
  return h;
}

// The power series of P(a, x), without its factor x^a exp(-x) / Gamma(a). DLMF 8.11.4.
double gamma_series(double a, double x) {
  double term = 1 / a;
  double sum = term;
  for (int i = 1; i < 100000; ++i) {
    term *= x / (a + i);
    sum += term;
    if (std::abs(term) < std::abs(sum) * kEpsilon) break;
  }
  return sum;
}

// log(1 + y) - y without cancellation for small y.
double log1p_minus(double y) {
  if (std::abs(y) > 0.25) return std::log1p(y) - y;
  double power = y;
  double sum = 0;
  for (int k = 2; k < 60; ++k) {
    power *= -y;
    const double term = power / k;
    sum += term;
    if (std::abs(term) < kEpsilon * std::abs(sum)) break;
  }
  return sum;
}

// x^a exp(-x) / Gamma(a). For large a through Stirling's series of Gamma, where a log(x) and x nearly cancel.
double gamma_factor(double a, double x) {
  int sign = 0;
  if (a < 20) return std::exp(a * std::log(x) - x - ::lgamma_r(a, &sign));
  const double z = 1 / (a * a);
  const double stirling = (1. / 12 - z * (1. / 360 - z * (1. / 1260 - z * (1. / 1680 - z / 1188)))) / a;
  return std::exp(a * log1p_minus((x - a) / a) - stirling) * std::sqrt(a / (2 * kPi));
}

double incomplete_gamma(double a, double x, bool lower) {
  if (std::isnan(a) || std::isnan(x) || a < 0 || x < 0) return kNaN;
  if (a == 0) return x > 0 ? (lower ? 1 : 0) : kNaN;
  if (x == 0) return lower ? 0 : 1;
  if (std::isinf(a)) return std::isinf(x) ? kNaN : (lower ? 0 : 1);
  if (std::isinf(x)) return lower ? 1 : 0;
  if (x <= a + 1) {
    const double p = gamma_series(a, x) * gamma_factor(a, x);
    return lower ? p : 1 - p;
  }
  const double q = gamma_fraction(a, x) * gamma_factor(a, x);
  return lower ? 1 - q : q;
}

}  // namespace

double bessel_j0(double x) { return ::j0(x); }
double bessel_j1(double x) { return ::j1(x); }
double bessel_y0(double x) { return x < 0 ? kNaN : x == 0 ? -kInfinity : ::y0(x); }
double bessel_y1(double x) { return x < 0 ? kNaN : x == 0 ? -kInfinity : ::y1(x); }
double bessel_i0(double x) { return bessel_i(0, x); }
double bessel_i1(double x) { return bessel_i(1, x); }
double bessel_i0_scaled(double x) { return bessel_i_scaled(0, x); }
double bessel_i1_scaled(double x) { return bessel_i_scaled(1, x); }
double bessel_k0_scaled(double x) { return scaled_k(0, x); }
double bessel_k1_scaled(double x) { return scaled_k(1, x); }
double bessel_k0(double x) { return scaled_k(0, x) * std::exp(-x); }
double bessel_k1(double x) { return scaled_k(1, x) * std::exp(-x); }

double spherical_bessel_j0(double x) {
  if (std::isinf(x)) return 0;
  return x == 0 ? 1 : std::sin(x) / x;
}

// Maclaurin's series near 0, DLMF 9.4.1; above it through K, 9.6.2, below it the asymptotic series 9.7.9, with an error
// of 1e-12 where the two meet.
double airy_ai(double x) {
  if (std::isnan(x) || std::isinf(x)) return kNaN;
  const double magnitude = std::abs(x);
  const double z = 2. / 3 * magnitude * std::sqrt(magnitude);
  if (x > 2) return std::sqrt(x / 3) / kPi * std::exp(-z) * scaled_k(1. / 3, z);
  if (x > -8) {
    constexpr long double kAi0 = 0.355028053887817239260063186004183177L;
    constexpr long double kMinusAiPrime0 = 0.258819403792806798405183560189203963L;
    const long double cube = static_cast<long double>(x) * x * x;
    long double f = 1;
    long double g = x;
    long double sum_f = f;
    long double sum_g = g;
    for (int k = 1; k < 200 && std::abs(f) + std::abs(g) > 1e-22L; ++k) {
      f *= cube / ((3.0L * k - 1) * (3.0L * k));
      g *= cube / ((3.0L * k) * (3.0L * k + 1));
      sum_f += f;
      sum_g += g;
    }
    return static_cast<double>(kAi0 * sum_f - kMinusAiPrime0 * sum_g);
  }
  double even = 0;
  double odd = 0;
  double term = 1;
  for (int k = 0; k < 40; ++k) {
    (k % 2 == 0 ? even : odd) += k % 4 >= 2 ? -term : term;
    const double next = term * (6 * k + 1) * (6 * k + 5) / (72.0 * (k + 1) * z);
    if (next >= term || next < kEpsilon) break;
    term = next;
  }
  return (std::cos(z - kPi / 4) * even + std::sin(z - kPi / 4) * odd) / (kSqrtPi * std::sqrt(std::sqrt(magnitude)));
}

// Euler and Maclaurin's formula after at least nine terms. DLMF 25.11.5.
double zeta(double s, double q) {
  if (s == 1) return kInfinity;
  if (std::isnan(s) || std::isnan(q) || s < 1) return kNaN;
  if (q <= 0) {
    if (q == std::floor(q)) return kInfinity;
    if (s != std::floor(s)) return kNaN;
  }
  double sum = 0;
  for (int i = 0; q <= 9 || i < 9; ++i, q += 1) sum += std::pow(q, -s);
  sum += std::pow(q, 1 - s) / (s - 1) + 0.5 * std::pow(q, -s);
  static constexpr double bernoulli[] = {1. / 6,  -1. / 30,     1. / 42, -1. / 30,
                                         5. / 66, -691. / 2730, 7. / 6,  -3617. / 510};  // B2, B4, ...
  double factor = s * std::pow(q, -s - 1) / 2;  // s (s + 1) ... q^(-s - 2k + 1) / (2k)!
  for (int k = 1; k <= 8; ++k) {
    sum += factor * bernoulli[k - 1];
    factor *= (s + 2 * k - 1) * (s + 2 * k) / (q * q * (2 * k + 1) * (2 * k + 2));
  }
  return sum;
}

double gamma_lower(double a, double x) { return incomplete_gamma(a, x, true); }
double gamma_upper(double a, double x) { return incomplete_gamma(a, x, false); }

double erfcx(double x) {
  if (std::isnan(x)) return x;
  if (x < 10) {
    // exp(x^2) from the rounded square and what the rounding left.
    const double square = x * x;
    const double rest = std::fma(x, x, -square);
    const double grown = std::exp(square);
    return std::isinf(grown) ? kInfinity : grown * (1 + rest) * std::erfc(x);
  }
  const double z = 1 / (2 * x * x);
  double sum = 1;
  double term = 1;
  for (int k = 1; k < 30; ++k) {
    term *= -(2 * k - 1) * z;
    sum += term;
    if (std::abs(term) < kEpsilon) break;
  }
  return sum / (x * kSqrtPi);
}

double log_ndtr(double x) {
  const double t = x * kSqrtHalf;
  return x < -1 ? std::log(erfcx(-t) / 2) - t * t : std::log1p(-std::erfc(t) / 2);
}

// Newton's method on log_ndtr, which is concave and nearly a parabola.
double ndtri(double p) {
  if (p == 0) return -kInfinity;
  if (p == 1) return kInfinity;
  if (!(p > 0 && p < 1)) return kNaN;
  if (p == 0.5) return 0;
  if (p > 0.5) return -ndtri(1 - p);
  const double goal = std::log(p);
  double x = p > 0.1 ? (p - 0.5) * 2.5 : -std::sqrt(-2 * goal);
  for (int i = 0; i < 50; ++i) {
    const double value = log_ndtr(x);
    const double slope = std::exp(-x * x / 2 - value) / std::sqrt(2 * kPi);
    const double step = (value - goal) / slope;
    x -= step;
    if (std::abs(step) <= 2 * kEpsilon * std::abs(x)) break;
  }
  return x;
}

double sinc(double x) {
  if (x == 0) return 1;
  const double product = kPi * x;
  return std::sin(product) / product;
}

double entropy(double x) {
  if (x > 0) return -x * std::log(x);
  return x == 0 ? 0 : std::isnan(x) ? x : -kInfinity;
}

double polynomial(Polynomial family, double x, double degree) {
  if (std::isnan(x) || std::isnan(degree)) return kNaN;
  const auto n = static_cast<std::int64_t>(degree);
  if (n < 0) return 0;
  if (n == 0) return 1;
  double before = 1;
  double value = x;
  switch (family) {
    case Polynomial::ChebyshevU:
    case Polynomial::HermiteH:
      value = 2 * x;
      break;
    case Polynomial::ChebyshevV:
      value = 2 * x - 1;
      break;
    case Polynomial::ChebyshevW:
      value = 2 * x + 1;
      break;
    case Polynomial::Laguerre:
      value = 1 - x;
      break;
    default:
      break;
  }
  for (std::int64_t i = 1; i < n && !std::isnan(value); ++i) {
    const auto k = static_cast<double>(i);
    double next = 0;
    switch (family) {
      case Polynomial::HermiteH:
        next = 2 * (x * value - k * before);
        break;
      case Polynomial::HermiteHe:
        next = x * value - k * before;
        break;
      case Polynomial::Laguerre:
        next = ((2 * k + 1 - x) * value - k * before) / (k + 1);
        break;
      case Polynomial::Legendre:
        next = ((2 * k + 1) * x * value - k * before) / (k + 1);
        break;
      default:
        next = 2 * x * value - before;
    }
    before = value;
    value = next;
  }
  return value;
}

}  // namespace fastnn::special
