// Special functions, and number theory of integers.
#include <cmath>
#include <limits>

#include "core/special.h"
#include "ops/algebra.h"
#include "ops/factory.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/shape.h"
#include "ops/softmax.h"

namespace fastnn {

namespace {

const SpecialKernels& table() { return *kernels().special; }

constexpr double kPi = 3.14159265358979323846;
constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kSqrtTwoPi = 2.50662827463100050242;
constexpr double kSqrtTwoOverPi = 0.79788456080286535588;
constexpr double kTwoOverSqrtPi = 1.12837916709551257390;

double epsilon_of(DType dtype) {
  return dtype == DType::Float64 ? std::numeric_limits<double>::epsilon()
                                 : static_cast<double>(std::numeric_limits<float>::epsilon());
}

Tensor zero() { return Tensor::wrapped(0.0); }

#define FASTNN_SPECIAL(name, Node, expression)                                                             \
  Tensor name(const Tensor& input) {                                                                       \
    return unary_from_input(#name, #Node "Backward0", table().name, input, floating_result(input.dtype()), \
                            [](const Tensor& g, const Tensor& x) -> Tensor { return expression; });        \
  }
// Of functions that PyTorch does not differentiate.
#define FASTNN_CONSTANT(name)                                      \
  Tensor name(const Tensor& input) {                               \
    const DType dtype = floating_result(input.dtype());            \
    return pointwise(#name, table().name, {&input}, dtype, dtype); \
  }

Tensor i1(const Tensor& input);
Tensor i1e(const Tensor& input);
FASTNN_SPECIAL(i0, I0, g* i1(x))
FASTNN_SPECIAL(i0e, SpecialI0E, g*(i1e(x) - sign(x) * i0e(x)))

// The formulas of these divide by x: at 0 their limit.
Tensor slope_at_zero(const Tensor& g, const Tensor& x, Tensor (*formula)(const Tensor&)) {
  const double eps = epsilon_of(x.dtype());
  const Tensor far = gt(abs(x), Scalar(eps).wrapped());
  return g * where(far, formula(where(far, x, Tensor::wrapped(eps))), Tensor::wrapped(0.5));
}
FASTNN_SPECIAL(i1, SpecialI1, slope_at_zero(g, x, [](const Tensor& t) { return i0(t) - i1(t) / t; }))
FASTNN_SPECIAL(i1e, SpecialI1E,
               slope_at_zero(g, x, [](const Tensor& t) { return i0e(t) - i1e(t) * (sign(t) + reciprocal(t)); }))

Tensor sinc_slope(const Tensor& g, const Tensor& x) {
  const Tensor pi_x = x * kPi;
  const Tensor divisor = x * x * kPi;
  const Tensor slope = g * ((pi_x * cos(pi_x) - sin(pi_x)) / divisor);
  return where(eq(divisor, zero()), zero(), slope);
}
FASTNN_SPECIAL(sinc, Sinc, sinc_slope(g, x))
FASTNN_SPECIAL(entr, SpecialEntr, g * -(log(x) + 1.0))
FASTNN_SPECIAL(erfcx, SpecialErfcx, g * (2.0 * x * erfcx(x) - kTwoOverSqrtPi))
FASTNN_SPECIAL(ndtri, SpecialNdtri, g * kSqrtTwoPi * exp(square(ndtri(x)) * 0.5))
FASTNN_SPECIAL(log_ndtr, SpecialLogNdtr, g / erfcx(x * -kSqrtHalf) * kSqrtTwoOverPi)
FASTNN_CONSTANT(bessel_j0)
FASTNN_CONSTANT(bessel_j1)
FASTNN_CONSTANT(bessel_y0)
FASTNN_CONSTANT(bessel_y1)
FASTNN_CONSTANT(k0)
FASTNN_CONSTANT(k1)
FASTNN_CONSTANT(k0e)
FASTNN_CONSTANT(k1e)
FASTNN_CONSTANT(spherical_bessel_j0)
FASTNN_CONSTANT(airy_ai)
#undef FASTNN_SPECIAL
#undef FASTNN_CONSTANT

Tensor sinc_op(const Tensor& input) {
  if (!is_complex(input.dtype())) return sinc(input);
  const Tensor none = eq(input, zero());
  const Tensor product = masked_fill(input, none, Scalar(1.0)) * kPi;
  return masked_fill(sin(product) / product, none, Scalar(1.0));
}

Tensor modified_i0(const Tensor& input) { return i0(input.detached()); }
Tensor modified_i1(const Tensor& input) { return i1(input.detached()); }

Tensor ndtr(const Tensor& input) { return erfc(input * -kSqrtHalf) * 0.5; }

Tensor logit(const Tensor& input, std::optional<double> eps) {
  if (!input.is_floating()) return logit(to_dtype(input, default_dtype()), eps);
  if (eps) {
    const Tensor x = clamp(input, Scalar(*eps), Scalar(1 - *eps));
    return log(x / (1.0 - x));
  }
  const Tensor x = input.detached();
  Tensor out = log(x / (1.0 - x));
  if (needs_grad(input)) {
    record("LogitBackward0", out, {&input}, [saved = save(input)](const Tensor& g, Slots& d) {
      const Tensor& at = saved.get();
      const Tensor inside = logical_and(ge(at, zero()), le(at, Tensor::wrapped(1.0)));
      d[0] = where(inside, g / (at * (1.0 - at)), Tensor::wrapped(std::numeric_limits<double>::quiet_NaN()));
    });
  }
  return out;
}

// log of the multivariate gamma function of dimension p.
Tensor mvlgamma(const Tensor& input, std::int64_t p) {
  FASTNN_CHECK(input.dtype() != DType::Bool, ErrorKind::Runtime, "The input tensor may not be a boolean tensor.");
  FASTNN_CHECK(p >= 1, ErrorKind::Runtime, "p has to be greater than or equal to 1");
  const DType dtype = floating_result(input.dtype());
  Tensor halves = Tensor::empty(Dims{p}, DType::Float64);
  for (std::int64_t i = 0; i < p; ++i) halves.as<double>()[i] = -0.5 * static_cast<double>(i);
  const Tensor terms = lgamma(unsqueeze(to_dtype(input, dtype), -1) + to_dtype(halves, dtype));
  const std::int64_t last = -1;
  return sum(terms, IntSpan(&last, 1)) + static_cast<double>(p * (p - 1)) / 4 * std::log(kPi);
}

// --- two operands ----------------------------------------------------------------------------------------------------

Tensor of_two(const char* op, Pointwise kernel, const Tensor& a, const Tensor& b, const Params& params = {}) {
  const DType dtype = floating_result(result_type(a, b));
  return pointwise(op, kernel, {&a, &b}, dtype, dtype, params);
}

[[noreturn]] void fail_no_derivative(const char* what) {
  fail(ErrorKind::NotImplemented, "the derivative for '", what, "' is not implemented.");
}

Tensor xlog1py(const Tensor& a, const Tensor& b) {
  Tensor out = of_two("xlog1py", table().xlog1py, a, b);
  if (needs_grad(a, b)) {
    record_pointwise("SpecialXlog1PyBackward0", out, {&a, &b}, [sa = save(a), sb = save(b)](const Tensor& g, Slots& d) {
      const Tensor& x = sa.get();
      const Tensor& y = sb.get();
      if (d.wants(0)) {
        const Tensor flat = logical_and(eq(x, zero()), le(y, Tensor::wrapped(-1.0)));
        d[0] = where(flat, zero(), g * log1p(y));
      }
      if (d.wants(1)) d[1] = g * x / (y + 1.0);
    });
  }
  return out;
}

Tensor zeta(const Tensor& s, const Tensor& q) {
  Tensor out = of_two("zeta", table().zeta, s, q);
  if (needs_grad(s, q)) {
    record_pointwise("SpecialZetaBackward0", out, {&s, &q}, [ss = save(s), sq = save(q)](const Tensor& g, Slots& d) {
      if (d.wants(0)) fail_no_derivative("zeta: self");
      if (d.wants(1)) d[1] = g * -ss.get() * zeta(ss.get() + 1.0, sq.get());
    });
  }
  return out;
}

Tensor incomplete_gamma(const char* op, const char* node, const char* argument, Pointwise kernel, const Tensor& a,
                        const Tensor& x, bool lower) {
  FASTNN_CHECK(is_floating(result_type(a, x)), ErrorKind::NotImplemented, '"', op, "_cpu\" not implemented for '",
               result_type(a, x), "'");
  Tensor out = of_two(op, kernel, a, x);
  if (needs_grad(a, x)) {
    record_pointwise(node, out, {&a, &x}, [sa = save(a), sx = save(x), lower, argument](const Tensor& g, Slots& d) {
      if (d.wants(0)) fail_no_derivative(argument);
      if (!d.wants(1)) return;
      const Tensor density = exp((sa.get() - 1.0) * log(sx.get()) - sx.get() - lgamma(sa.get()));
      d[1] = lower ? g * density : -g * density;
    });
  }
  return out;
}
Tensor igamma(const Tensor& a, const Tensor& x) {
  return incomplete_gamma("igamma", "IgammaBackward0", "igamma: input", table().igamma, a, x, true);
}
Tensor igammac(const Tensor& a, const Tensor& x) {
  return incomplete_gamma("igammac", "IgammacBackward0", "igammac: input", table().igammac, a, x, false);
}

Tensor nextafter(const Tensor& a, const Tensor& b) {
  const DType dtype = result_type(a, b);
  FASTNN_CHECK(is_floating(dtype), ErrorKind::NotImplemented, "\"nextafter_cpu\" not implemented for '", dtype, "'");
  Params params;
  params.i[0] = dtype == DType::BFloat16 ? 16 : dtype == DType::Float16 ? 13 : 0;
  Tensor out = pointwise("nextafter", table().nextafter, {&a, &b}, dtype, dtype, params);
  if (needs_grad(a, b)) {
    record_pointwise("NextafterBackward0", out, {&a, &b}, [](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = g;
      if (d.wants(1)) d[1] = zeros_like(g);
    });
  }
  return out;
}

Tensor of_integers(const char* op, Pointwise kernel, const Tensor& a, const Tensor& b) {
  const DType dtype = result_type(a, b);
  if (!is_integral(dtype)) fail_not_implemented(op, dtype);
  return pointwise(op, kernel, {&a, &b}, dtype, dtype);
}
Tensor gcd(const Tensor& a, const Tensor& b) { return of_integers("gcd_cpu", table().gcd, a, b); }
Tensor lcm(const Tensor& a, const Tensor& b) { return of_integers("lcm_cpu", table().lcm, a, b); }

Tensor ldexp(const Tensor& input, const Tensor& exponent) {
  const Tensor factor = pow(Tensor::wrapped(2.0), exponent);
  return mul(input, input.is_floating() && !exponent.is_floating() ? to_dtype(factor, input.dtype()) : factor);
}

// x = mantissa 2^exponent with |mantissa| in [0.5, 1).
std::tuple<Tensor, Tensor> frexp(const Tensor& input) {
  FASTNN_CHECK(input.is_floating(), ErrorKind::Runtime, "torch.frexp() only supports floating-point dtypes, but got ",
               input.dtype());
  Tensor mantissa;
  Tensor exponent;
  {
    const GradModeGuard off(false);
    const Tensor wide = clone(to_dtype(input.detached(), DType::Float64));
    exponent = Tensor::empty_like(wide, DType::Int32);
    for (std::int64_t i = 0; i < wide.numel(); ++i) {
      int power = 0;
      double& value = wide.as<double>()[i];
      value = std::frexp(value, &power);
      exponent.as<std::int32_t>()[i] = power;
    }
    mantissa = to_dtype(wide, input.dtype());
  }
  if (needs_grad(input)) {
    record_outputs("FrexpBackward0", {&mantissa, &exponent}, {&input},
                   [saved = save(exponent)](std::span<const Tensor> g, Slots& d) {
                     if (g[0].defined()) d[0] = g[0] / exp2(saved.get());
                   });
  }
  return {mantissa, exponent};
}

template <special::Polynomial family, bool shifted>
Tensor polynomial(const Tensor& x, const Tensor& n) {
  Params params;
  params.i[0] = static_cast<std::int64_t>(family);
  params.i[1] = shifted;
  return of_two("polynomial", table().polynomial, x, n, params);
}

// --- PyTorch's other names -------------------------------------------------------------------------------------------

Tensor xlogy_op(const Tensor& a, const Tensor& b) { return xlogy(a, b); }
Tensor round_op(const Tensor& input, std::int64_t decimals) { return round(input, decimals); }

}  // namespace

FASTNN_OPS(special) {
  constexpr unsigned kFunction = op_fn | op_out;
  constexpr unsigned kAll = op_fn | op_method | op_inplace_direct | op_out;
  constexpr unsigned kComposed = op_fn | op_method | op_inplace | op_out;
  op("sinc(Tensor input) -> Tensor", &sinc_op, kAll);
  op("i0(Tensor input) -> Tensor", &i0, kAll);
  op("logit(Tensor input, float? eps=None) -> Tensor", &logit, kComposed);
  op("mvlgamma(Tensor input, int p) -> Tensor", &mvlgamma, kComposed);
  op("igamma(Tensor input, Tensor other) -> Tensor", &igamma, kAll);
  op("igammac(Tensor input, Tensor other) -> Tensor", &igammac, kAll);
  op("nextafter(Tensor input, Tensor other) -> Tensor", &nextafter, kAll);
  op("gcd(Tensor input, Tensor other) -> Tensor", &gcd, kAll);
  op("lcm(Tensor input, Tensor other) -> Tensor", &lcm, kAll);
  op("ldexp(Tensor input, Tensor other) -> Tensor", &ldexp, kComposed);
  op("frexp(Tensor input) -> (Tensor mantissa, Tensor exponent)", &frexp, op_fn | op_method | op_out);

  op("special.i0(Tensor input) -> Tensor", &i0, kFunction);
  op("special.i0e(Tensor input) -> Tensor", &i0e, kFunction);
  op("special.i1(Tensor input) -> Tensor", &i1, kFunction);
  op("special.i1e(Tensor input) -> Tensor", &i1e, kFunction);
  op("special.ndtr(Tensor input) -> Tensor", &ndtr, kFunction);
  op("special.ndtri(Tensor input) -> Tensor", &ndtri, kFunction);
  op("special.log_ndtr(Tensor input) -> Tensor", &log_ndtr, kFunction);
  op("special.erfcx(Tensor input) -> Tensor", &erfcx, kFunction);
  op("special.entr(Tensor input) -> Tensor", &entr, kFunction);
  op("special.xlog1py(Tensor input, Tensor|Scalar other) -> Tensor", &xlog1py, kFunction);
  op("special.xlog1py(Tensor|Scalar self, Tensor other) -> Tensor", &xlog1py, kFunction);
  op("special.zeta(Tensor input, Tensor|Scalar other) -> Tensor", &zeta, kFunction);
  op("special.zeta(Tensor|Scalar self, Tensor other) -> Tensor", &zeta, kFunction);
  op("special.airy_ai(Tensor input) -> Tensor", &airy_ai, kFunction);
  op("special.bessel_j0(Tensor input) -> Tensor", &bessel_j0, kFunction);
  op("special.bessel_j1(Tensor input) -> Tensor", &bessel_j1, kFunction);
  op("special.bessel_y0(Tensor input) -> Tensor", &bessel_y0, kFunction);
  op("special.bessel_y1(Tensor input) -> Tensor", &bessel_y1, kFunction);
  op("special.modified_bessel_i0(Tensor input) -> Tensor", &modified_i0, kFunction);
  op("special.modified_bessel_i1(Tensor input) -> Tensor", &modified_i1, kFunction);
  op("special.modified_bessel_k0(Tensor input) -> Tensor", &k0, kFunction);
  op("special.modified_bessel_k1(Tensor input) -> Tensor", &k1, kFunction);
  op("special.scaled_modified_bessel_k0(Tensor input) -> Tensor", &k0e, kFunction);
  op("special.scaled_modified_bessel_k1(Tensor input) -> Tensor", &k1e, kFunction);
  op("special.spherical_bessel_j0(Tensor input) -> Tensor", &spherical_bessel_j0, kFunction);

  using P = special::Polynomial;
#define FASTNN_POLYNOMIAL(name, family, shifted)                                                               \
  op("special." name "(Tensor input, Tensor|Scalar n) -> Tensor", &polynomial<P::family, shifted>, kFunction); \
  op("special." name "(Tensor|Scalar self, Tensor n) -> Tensor", &polynomial<P::family, shifted>, kFunction)
  FASTNN_POLYNOMIAL("chebyshev_polynomial_t", ChebyshevT, false);
  FASTNN_POLYNOMIAL("chebyshev_polynomial_u", ChebyshevU, false);
  FASTNN_POLYNOMIAL("chebyshev_polynomial_v", ChebyshevV, false);
  FASTNN_POLYNOMIAL("chebyshev_polynomial_w", ChebyshevW, false);
  FASTNN_POLYNOMIAL("shifted_chebyshev_polynomial_t", ChebyshevT, true);
  FASTNN_POLYNOMIAL("shifted_chebyshev_polynomial_u", ChebyshevU, true);
  FASTNN_POLYNOMIAL("shifted_chebyshev_polynomial_v", ChebyshevV, true);
  FASTNN_POLYNOMIAL("shifted_chebyshev_polynomial_w", ChebyshevW, true);
  FASTNN_POLYNOMIAL("hermite_polynomial_h", HermiteH, false);
  FASTNN_POLYNOMIAL("hermite_polynomial_he", HermiteHe, false);
  FASTNN_POLYNOMIAL("laguerre_polynomial_l", Laguerre, false);
  FASTNN_POLYNOMIAL("legendre_polynomial_p", Legendre, false);
#undef FASTNN_POLYNOMIAL

  op("special.sinc(Tensor input) -> Tensor", &sinc_op, kFunction);
  op("special.logit(Tensor input, float? eps=None) -> Tensor", &logit, kFunction);
  op("special.multigammaln(Tensor input, int p) -> Tensor", &mvlgamma, kFunction);
  op("special.gammainc(Tensor input, Tensor other) -> Tensor", &igamma, kFunction);
  op("special.gammaincc(Tensor input, Tensor other) -> Tensor", &igammac, kFunction);
  op("special.gammaln(Tensor input) -> Tensor", &lgamma, kFunction);
  op("special.digamma(Tensor input) -> Tensor", &digamma, kFunction);
  op("special.psi(Tensor input) -> Tensor", &digamma, kFunction);
  op("special.polygamma(int n, Tensor input) -> Tensor", &polygamma, kFunction);
  op("special.erf(Tensor input) -> Tensor", &erf, kFunction);
  op("special.erfc(Tensor input) -> Tensor", &erfc, kFunction);
  op("special.erfinv(Tensor input) -> Tensor", &erfinv, kFunction);
  op("special.exp2(Tensor input) -> Tensor", &exp2, kFunction);
  op("special.expit(Tensor input) -> Tensor", &sigmoid, kFunction);
  op("special.expm1(Tensor input) -> Tensor", &expm1, kFunction);
  op("special.log1p(Tensor input) -> Tensor", &log1p, kFunction);
  op("special.round(Tensor input, *, int decimals=0) -> Tensor", &round_op, kFunction);
  op("special.xlogy(Tensor input, Tensor|Scalar other) -> Tensor", &xlogy_op, kFunction);
  op("special.xlogy(Tensor|Scalar self, Tensor other) -> Tensor", &xlogy_op, kFunction);
  op("special.softmax(Tensor input, int dim, dtype? dtype=None) -> Tensor", &softmax, op_fn);
  op("special.log_softmax(Tensor input, int dim, *, dtype? dtype=None) -> Tensor", &log_softmax, op_fn);
  op("special.logsumexp(Tensor input, int[1] dim, bool keepdim=False) -> Tensor", &logsumexp, kFunction);
}

}  // namespace fastnn
