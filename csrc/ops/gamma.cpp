// Random numbers of the gamma family, binomials, and the derivatives of samples to the shape of their distribution.
//
// A sample x with cumulative distribution F(x; a) moves with its parameter as dx/da = -(dF/da) / (dF/dx): "implicit
// reparameterisation" (Figurnov, Mohamed and Mnih, 2018). The functions F have series and continued fractions, which
// are evaluated together with their derivatives.
#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>
#include <vector>

#include "autograd/record.h"
#include "core/random.h"
#include "ops/elementwise.h"
#include "ops/pointwise.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

// --- drawing --------------------------------------------------------------------------------------------------------

// Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; below 1 from a + 1, times u^(1 / a).
// Computed in the precision, and from the uniforms and normals in the order, that give PyTorch's numbers.
template <class T>
double sample_gamma(T a, Generator& generator) {
  double scale = 1;
  if (a < T(1)) {
    if (a == T(0)) return 0;
    scale = std::pow(1 - random::unit<double>(generator), static_cast<double>(T(1) / a));
    a += T(1);
  }
  const double d = static_cast<double>(a - static_cast<T>(1.0F / 3.0F));
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    double x;
    double root;
    do {
      x = random::standard_normal(generator);
      root = 1 + c * x;
    } while (root <= 0);
    const double v = root * root * root;
    const double u = 1 - random::unit<double>(generator);
    const double squeeze = 1 - static_cast<double>(0.0331F) * x * x * x * x;
    if (u < squeeze || std::log(u) < x * x / 2 + d * (1 - v + std::log(v))) return scale * d * v;
  }
}

// Waiting times between successes are geometric.
double binomial_by_waiting(double count, double p, Generator& generator) {
  const double log_failure = std::log1p(-p);
  double trials = 0;
  for (double successes = 0;; ++successes) {
    trials += std::ceil(std::log(random::unit<double>(generator)) / log_failure);
    if (!(trials <= count)) return successes;
  }
}

// log(k!) less Stirling's formula for it at k + 1.
double stirling_rest(double k) {
  const double n = k + 1;
  if (k < 10) return std::lgamma(n) - ((k + 0.5) * std::log(n) - n + 0.9189385332046727);
  return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / (n * n)) / (n * n)) / n;
}

// Hoermann, "The generation of binomial random variates", 1993: transformed rejection with squeeze (BTRS).
double binomial_by_rejection(double n, double p, Generator& generator) {
  const double deviation = std::sqrt(n * p * (1 - p));
  const double b = 1.15 + 2.53 * deviation;
  const double a = -0.0873 + 0.0248 * b + 0.01 * p;
  const double odds = p / (1 - p);
  const double mode = std::floor((n + 1) * p);
  const double alpha = (2.83 + 5.1 / b) * deviation;
  for (;;) {
    const double u = random::unit<double>(generator) - 0.5;
    double v = random::unit<double>(generator);
    const double us = 0.5 - std::fabs(u);
    const double k = std::floor((2 * a / us + b) * u + n * p + 0.5);
    if (us >= 0.07 && v <= 0.92 - 4.2 / b) return k;
    if (k < 0 || k > n) continue;
    v = std::log(v * alpha / (a / (us * us) + b));
    const double bound = (mode + 0.5) * std::log((mode + 1) / (odds * (n - mode + 1))) +
                         (n + 1) * std::log((n - mode + 1) / (n - k + 1)) +
                         (k + 0.5) * std::log(odds * (n - k + 1) / (k + 1)) + stirling_rest(mode) +
                         stirling_rest(n - mode) - stirling_rest(k) - stirling_rest(n - k);
    if (v <= bound) return k;
  }
}

double sample_binomial(double count, double p, Generator& generator) {
  if (count <= 0 || p <= 0) return 0;
  if (p >= 1) return count;
  if (std::isnan(p)) return p;
  const double rare = std::min(p, 1 - p);
  const double draw =
      count * rare >= 10 ? binomial_by_rejection(count, rare, generator) : binomial_by_waiting(count, rare, generator);
  return p <= 0.5 ? draw : count - draw;
}

// --- derivatives ----------------------------------------------------------------------------------------------------

constexpr double kPrecision = 1e-15;
constexpr int kMostTerms = 100000;  // at a shape of 1e6 some thousand are needed

// A number and its derivative.
struct Dual {
  double value;
  double slope = 0;
};
Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.slope + b.slope}; }
Dual operator*(Dual a, Dual b) { return {a.value * b.value, a.slope * b.value + a.value * b.slope}; }
Dual operator/(Dual a, Dual b) {
  const double ratio = a.value / b.value;
  return {ratio, (a.slope - ratio * b.slope) / b.value};
}
Dual operator-(Dual a) { return {-a.value, -a.slope}; }

// The continued fraction b0 + a1 / (b1 + a2 / (b2 + ...)) by Lentz's method; next(i) gives (ai, bi).
template <class F>
Dual continued_fraction(Dual b0, F&& next) {
  constexpr double kTiny = 1e-300;
  const auto nonzero = [](Dual x) { return x.value == 0 ? Dual{kTiny, x.slope} : x; };
  Dual result = nonzero(b0);
  Dual c = result;
  Dual d{0};
  for (int i = 1; i < kMostTerms; ++i) {
    const auto [a, b] = next(i);
    d = Dual{1} / nonzero(b + a * d);
    c = nonzero(b + a / c);
    const Dual factor = c * d;
    result = result * factor;
    if (std::fabs(factor.value - 1) < kPrecision && std::fabs(factor.slope) <= kPrecision * std::fabs(result.slope)) {
      break;
    }
  }
  return result;
}

// dx/da of a gamma(a, 1) variate at a large shape: it is a polynomial in a normal variate z, which stays fixed
// (Cornish and Fisher, 1938).
double gamma_slope_from_normal(double a, double x) {
  const double root = std::sqrt(a);
  double z = (x - a) / root;
  const auto value = [&] {
    const double z2 = z * z;
    return a + z * root + (z2 - 1) / 3 + z * (z2 - 7) / (36 * root) - (3 * z2 * z2 + 7 * z2 - 16) / (810 * a);
  };
  const auto steepness = [&] { return root + 2 * z / 3 + (3 * z * z - 7) / (36 * root); };
  for (int i = 0; i < 4; ++i) z -= (value() - x) / steepness();
  const double z2 = z * z;
  return 1 + z / (2 * root) - z * (z2 - 7) / (72 * a * root) + (3 * z2 * z2 + 7 * z2 - 16) / (810 * a * a);
}

// -(dF/da) / (dF/dx) of the gamma distribution with shape a.
double gamma_slope(double a, double x, double digamma_a) {
  if (x == 0) return 0;
  if (a > 1000) return gamma_slope_from_normal(a, x);
  const double log_ratio = std::log(x) - digamma_a;  // of x^a / gamma(a)
  if (x < a + 1) {
    // F = x^a e^-x / gamma(a) * sum of x^n / (a (a + 1) ... (a + n))
    Dual term{1 / a, -1 / (a * a)};
    Dual sum = term;
    for (int n = 1; n < kMostTerms; ++n) {
      term = term * (Dual{x} / Dual{a + n, 1});
      sum = sum + term;
      if (term.value < kPrecision * sum.value && std::fabs(term.slope) < kPrecision * std::fabs(sum.slope)) break;
    }
    return -x * (sum.value * log_ratio + sum.slope);
  }
  // 1 - F = x^a e^-x / gamma(a) / (x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / (x + 5 - a - ...)))
  const Dual fraction = continued_fraction(
      {x + 1 - a, -1}, [&](double i) { return std::pair{Dual{-i * (i - a), i}, Dual{x + 2 * i + 1 - a, -1}}; });
  const Dual rest = Dual{1} / fraction;
  return x * (rest.value * log_ratio + rest.slope);
}

// The fraction h in I(x; a, b) = x^a (1 - x)^b / (a B(a, b)) * h.
Dual beta_fraction(double x, Dual a, Dual b) {
  const auto next = [&](int i) {
    const Dual m{static_cast<double>(i / 2)};
    const Dual even = a + m + m;  // a + 2 m
    const Dual numerator = i % 2 == 0 ? m * (b + -m) * Dual{x} / ((even + Dual{-1}) * even)
                                      : -((a + m) * (a + b + m)) * Dual{x} / (even * (even + Dual{1}));
    return std::pair{numerator, Dual{1}};
  };
  return Dual{1} / continued_fraction({1}, next);
}

// -(dI/da) / (dI/dx) of the beta distribution I(x; a, b); psi is the digamma function.
double beta_slope(double x, double a, double b, double psi_a, double psi_sum) {
  if (x <= 0 || x >= 1) return 0;
  const double y = 1 - x;
  const double log_slope = std::log(x) - psi_a + psi_sum;  // of x^a (1 - x)^b / B(a, b) to a
  if (x < (a + 1) / (a + b + 2)) {
    const Dual h = beta_fraction(x, {a, 1}, {b});
    return -x * y / a * (h.value * (log_slope - 1 / a) + h.slope);
  }
  const Dual h = beta_fraction(y, {b}, {a, 1});  // I(x; a, b) = 1 - I(1 - x; b, a)
  return x * y / b * (h.value * log_slope + h.slope);
}

// --- over tensors ---------------------------------------------------------------------------------------------------

void check_float(const char* op, const Tensor& tensor) {
  FASTNN_CHECK(tensor.is_floating(), ErrorKind::NotImplemented, op, ": not implemented for '", tensor.dtype(), "'");
}

// In row-major order and double precision; 16-bit and float32 values are exact in it.
Tensor wide(const Tensor& tensor) { return to_dtype(contiguous(tensor.detached()), DType::Float64); }
Tensor new_wide(IntSpan sizes) { return Tensor::empty(sizes, DType::Float64); }

Tensor narrow(Tensor values, DType dtype) {
  Tensor out = to_dtype(values, dtype);
  out.impl()->inference = grad_mode().inference;
  return out;
}

// Runs draw(i, generator) for each element of `out`.
template <class F>
void draw_all(const Tensor& out, Generator* maybe, F&& draw) {
  Generator& generator = maybe != nullptr ? *maybe : *default_generator();
  const std::lock_guard lock(generator.mutex());
  auto* const values = out.as<double>();
  for (std::int64_t i = 0; i < out.numel(); ++i) values[i] = draw(i, generator);
}

// A result that is a constant of the graph cannot be differentiated again.
template <class... Inputs>
Tensor not_differentiable(const char* op, Tensor out, const Inputs&... inputs) {
  if (needs_grad(inputs...)) {
    record("NotImplemented", out, {&inputs...}, [op](const Tensor&, Slots&) {
      fail(ErrorKind::NotImplemented, "the derivative for '", op, "' is not implemented");
    });
  }
  return out;
}

double least_normal(DType dtype) {
  switch (dtype) {
    case DType::Float64:
      return std::numeric_limits<double>::min();
    case DType::Float16:
      return 0x1p-14;
    default:
      return static_cast<double>(std::numeric_limits<float>::min());
  }
}

Tensor standard_gamma_grad(const Tensor& input, const Tensor& output) {
  check_float("_standard_gamma_grad", input);
  const GradModeGuard no_grad(false);
  const Tensor a = wide(input);
  const Tensor x = wide(output);
  FASTNN_CHECK(a.sizes() == x.sizes(), ErrorKind::Runtime, "_standard_gamma_grad: the shapes of input ", a.sizes(),
               " and output ", x.sizes(), " differ");
  const Tensor psi = digamma(a);
  const Tensor slopes = new_wide(a.sizes());
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    slopes.as<double>()[i] = gamma_slope(a.as<double>()[i], x.as<double>()[i], psi.as<double>()[i]);
  }
  return narrow(slopes, input.dtype());
}

Tensor standard_gamma_grad_op(const Tensor& input, const Tensor& output) {
  return not_differentiable("_standard_gamma_grad", standard_gamma_grad(input, output), input, output);
}

Tensor standard_gamma(const Tensor& input, Generator* generator) {
  check_float("_standard_gamma", input);
  const Tensor a = wide(input);
  const Tensor draws = new_wide(a.sizes());
  const double least = least_normal(input.dtype());
  draw_all(draws, generator, [&](std::int64_t i, Generator& g) {
    const double shape = a.as<double>()[i];
    const double draw =
        input.dtype() == DType::Float64 ? sample_gamma<double>(shape, g) : sample_gamma(static_cast<float>(shape), g);
    return std::max(least, draw);
  });
  Tensor out = narrow(draws, input.dtype());
  if (needs_grad(input)) {
    record("StandardGammaBackward0", out, {&input}, [a = save(input), x = save_output(out)](const Tensor& g, Slots& d) {
      d[0] = mul(g, standard_gamma_grad_op(a.get(), x.get()));
    });
  }
  return out;
}

Tensor sample_dirichlet(const Tensor& input, Generator* generator) {
  check_float("_sample_dirichlet", input);
  FASTNN_CHECK(input.ndim() > 0, ErrorKind::Index, "_sample_dirichlet: expected at least one dimension");
  const Tensor a = wide(input);
  const Tensor draws = new_wide(a.sizes());
  draw_all(draws, generator, [&](std::int64_t i, Generator& g) {
    return std::max(std::numeric_limits<double>::min(), sample_gamma<double>(a.as<double>()[i], g));
  });
  const std::int64_t width = a.sizes()[a.ndim() - 1];
  const bool is_double = input.dtype() == DType::Float64;
  const double most = is_double ? std::nexttoward(1.0, 0.0) : static_cast<double>(std::nexttoward(1.0F, 0.0L));
  const double least = least_normal(input.dtype());
  for (std::int64_t row = 0; width > 0 && row < a.numel() / width; ++row) {
    double* const values = draws.as<double>() + row * width;
    double sum = 0;
    for (std::int64_t i = 0; i < width; ++i) sum += values[i];
    for (std::int64_t i = 0; i < width; ++i) values[i] = std::min(most, std::max(least, values[i] / sum));
  }
  return not_differentiable("_sample_dirichlet", narrow(draws, input.dtype()), input);
}

// The derivative of component x of a Dirichlet sample to its own concentration, over 1 - x.
Tensor dirichlet_grad(const Tensor& input, const Tensor& alpha, const Tensor& total) {
  check_float("_dirichlet_grad", input);
  FASTNN_CHECK(input.sizes() == alpha.sizes() && input.sizes() == total.sizes(), ErrorKind::Runtime,
               "_dirichlet_grad: the shapes of x ", input.sizes(), ", alpha ", alpha.sizes(), " and total ",
               total.sizes(), " differ");
  Tensor out;
  {
    const GradModeGuard no_grad(false);
    const Tensor x = wide(input);
    const Tensor a = wide(alpha);
    const Tensor sum = wide(total);
    const Tensor psi = digamma(a);
    const Tensor psi_sum = digamma(sum);
    const Tensor slopes = new_wide(x.sizes());
    for (std::int64_t i = 0; i < x.numel(); ++i) {
      const double value = x.as<double>()[i];
      const double shape = a.as<double>()[i];
      slopes.as<double>()[i] =
          beta_slope(value, shape, sum.as<double>()[i] - shape, psi.as<double>()[i], psi_sum.as<double>()[i]) /
          (1 - value);
    }
    out = narrow(slopes, input.dtype());
  }
  return not_differentiable("_dirichlet_grad", out, input, alpha, total);
}

Tensor binomial(const Tensor& count, const Tensor& prob, Generator* generator) {
  check_float("binomial", count);
  FASTNN_CHECK(count.dtype() == prob.dtype(), ErrorKind::Runtime, "binomial: count has dtype ", count.dtype(),
               ", but prob has dtype ", prob.dtype());
  const Dims sizes = broadcast_shapes(count.sizes(), prob.sizes(), "binomial");
  const Tensor n = wide(expand(count, sizes));
  const Tensor p = wide(expand(prob, sizes));
  for (std::int64_t i = 0; i < n.numel(); ++i) {
    FASTNN_CHECK(n.as<double>()[i] >= 0, ErrorKind::Runtime, "binomial: expected count to be non-negative, but got ",
                 n.as<double>()[i]);
  }
  const Tensor draws = new_wide(sizes);
  draw_all(draws, generator,
           [&](std::int64_t i, Generator& g) { return sample_binomial(n.as<double>()[i], p.as<double>()[i], g); });
  return narrow(draws, count.dtype());
}

}  // namespace

FASTNN_OPS(gamma) {
  op("_standard_gamma(Tensor input, generator? generator=None) -> Tensor", &standard_gamma, op_fn);
  op("_standard_gamma_grad(Tensor input, Tensor output) -> Tensor", &standard_gamma_grad_op, op_fn);
  op("_sample_dirichlet(Tensor input, generator? generator=None) -> Tensor", &sample_dirichlet, op_fn);
  op("_dirichlet_grad(Tensor x, Tensor alpha, Tensor total) -> Tensor", &dirichlet_grad, op_fn);
  op("binomial(Tensor count, Tensor prob, generator? generator=None) -> Tensor", &binomial, op_fn);
}

}  // namespace fastnn
