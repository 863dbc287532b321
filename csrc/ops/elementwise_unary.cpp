// Functions of one operand.
#include <cmath>

#include "ops/algebra.h"
#include "ops/pointwise.h"
#include "ops/registry.h"

namespace fastnn {

namespace {

const UnaryKernels& table() { return *kernels().unary; }

Tensor zeros_of(const Tensor& g) { return Tensor::full(g.sizes(), 0, g.dtype()); }

constexpr double kLn2 = 0.69314718055994530942;
constexpr double kLn10 = 2.30258509299404568402;
constexpr double kTwoOverSqrtPi = 1.12837916709551257390;

}  // namespace

// --- of numbers of any kind ------------------------------------------------------------------------------------------

Tensor neg(const Tensor& input) {
  FASTNN_CHECK(input.dtype() != DType::Bool, ErrorKind::Runtime,
               "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use "
               "the `~` or `logical_not()` operator instead.");
  return unary_linear("neg", "NegBackward0", table().neg, input, input.dtype(), [](const Tensor& g) { return -g; });
}

Tensor abs(const Tensor& input) {
  if (input.is_complex()) {
    Tensor out;
    {
      const GradModeGuard no_grad(false);
      out = hypot(real(input), imag(input));
    }
    if (needs_grad(input)) {
      record_pointwise("AbsBackward0", out, {&input}, [saved = save(input)](const Tensor& g, Slots& d) {
        if (d.wants(0)) d[0] = sgn(saved.get()) * g;
      });
    }
    return out;
  }
  return unary_from_input("abs", "AbsBackward0", table().abs, input, input.dtype(),
                          [](const Tensor& g, const Tensor& x) { return g * sign(x); });
}

Tensor square(const Tensor& input) {
  const DType dtype = input.dtype() == DType::Bool ? DType::Int64 : input.dtype();
  return unary_from_input("square", "PowBackward0", table().square, input, dtype,
                          [](const Tensor& g, const Tensor& x) { return g * (x * 2.0); });
}

// --- piecewise constant ----------------------------------------------------------------------------------------------

namespace {

Tensor stepped(const char* op, const char* node, Pointwise kernel, const Tensor& x, const Params& params = {}) {
  return unary_linear(op, node, kernel, x, x.dtype(), &zeros_of, params);
}

// Integers are whole already.
Tensor rounded(const char* op, const char* node, Pointwise kernel, const Tensor& x, const Params& params = {}) {
  FASTNN_CHECK(x.dtype() != DType::Bool, ErrorKind::NotImplemented, '"', op, "\" not implemented for 'Bool'");
  if (is_integral(x.dtype())) return clone(x);
  return stepped(op, node, kernel, x, params);
}

}  // namespace

Tensor sign(const Tensor& input) {
  FASTNN_CHECK(!input.is_complex(), ErrorKind::Runtime,
               "Unlike NumPy, torch.sign doesn't support complex numbers. Use torch.sgn instead.");
  return stepped("sign", "SignBackward0", table().sign, input);
}
Tensor floor(const Tensor& input) { return rounded("floor", "FloorBackward0", table().floor, input); }
Tensor ceil(const Tensor& input) { return rounded("ceil", "CeilBackward0", table().ceil, input); }
Tensor trunc(const Tensor& input) { return rounded("trunc", "TruncBackward0", table().trunc, input); }

namespace {
Tensor round_to_integer(const Tensor& input) { return rounded("round", "RoundBackward0", table().round, input); }

Tensor round_to_decimals(const Tensor& input, std::int64_t decimals) {
  FASTNN_CHECK(is_floating(input.dtype()), ErrorKind::NotImplemented, "\"round_vml_cpu\" not implemented for '",
               input.dtype(), "'");
  Params params;
  params.i[0] = decimals;
  params.d[0] = std::pow(10.0, std::abs(static_cast<double>(decimals)));
  return stepped("round", "RoundBackward1", table().round_decimals, input, params);
}
}  // namespace

Tensor round(const Tensor& input, std::int64_t decimals) {
  return decimals == 0 ? round_to_integer(input) : round_to_decimals(input, decimals);
}

Tensor frac(const Tensor& input) {
  FASTNN_CHECK(is_floating(input.dtype()), ErrorKind::NotImplemented, "\"frac\" not implemented for '", input.dtype(),
               "'");
  return unary_linear("frac", "FracBackward0", table().frac, input, input.dtype(), [](const Tensor& g) { return g; });
}

// --- into the reals --------------------------------------------------------------------------------------------------

// Tensor name(x), whose derivative is an expression of g and x (or of g and y, the result).
#define FASTNN_FROM_INPUT(name, Node, expression)                                                          \
  Tensor name(const Tensor& input) {                                                                       \
    return unary_from_input(#name, #Node "Backward0", table().name, input, floating_result(input.dtype()), \
                            [](const Tensor& g, const Tensor& x) { return expression; });                  \
  }
#define FASTNN_FROM_OUTPUT(name, Node, expression)                                                          \
  Tensor name(const Tensor& input) {                                                                        \
    return unary_from_output(#name, #Node "Backward0", table().name, input, floating_result(input.dtype()), \
                             [](const Tensor& g, const Tensor& y) { return expression; });                  \
  }

FASTNN_FROM_OUTPUT(reciprocal, Reciprocal, -g*(y* y))
FASTNN_FROM_OUTPUT(sqrt, Sqrt, g / (y * 2.0))
FASTNN_FROM_OUTPUT(rsqrt, Rsqrt, g * -0.5 * pow(y, Scalar(3)))
FASTNN_FROM_OUTPUT(exp, Exp, g* y)
FASTNN_FROM_OUTPUT(exp2, Exp2, g * y * kLn2)
FASTNN_FROM_OUTPUT(expm1, Expm1, g*(y + 1.0))
FASTNN_FROM_INPUT(log, Log, g / x)
FASTNN_FROM_INPUT(log2, Log2, g / (x * kLn2))
FASTNN_FROM_INPUT(log10, Log10, g / (x * kLn10))
FASTNN_FROM_INPUT(log1p, Log1P, g / (x + 1.0))
FASTNN_FROM_INPUT(sin, Sin, g* cos(x))
FASTNN_FROM_INPUT(cos, Cos, g * -sin(x))
FASTNN_FROM_OUTPUT(tan, Tan, g*(y* y + 1.0))
FASTNN_FROM_INPUT(asin, Asin, g* rsqrt(1.0 - x * x))
FASTNN_FROM_INPUT(acos, Acos, g * -rsqrt(1.0 - x * x))
FASTNN_FROM_INPUT(atan, Atan, g / (x * x + 1.0))
FASTNN_FROM_INPUT(sinh, Sinh, g* cosh(x))
FASTNN_FROM_INPUT(cosh, Cosh, g* sinh(x))
FASTNN_FROM_INPUT(asinh, Asinh, g* rsqrt(x* x + 1.0))
// The product of the roots, not the root of the product: those differ for complex x.
FASTNN_FROM_INPUT(acosh, Acosh, x.is_complex() ? g * (rsqrt(x + 1.0) * rsqrt(x - 1.0)) : g * rsqrt(x * x - 1.0))
FASTNN_FROM_INPUT(atanh, Atanh, g / (1.0 - x * x))
FASTNN_FROM_INPUT(erf, Erf, g*(exp(-(x* x)) * kTwoOverSqrtPi))
FASTNN_FROM_INPUT(erfc, Erfc, g*(exp(-(x* x)) * -kTwoOverSqrtPi))
FASTNN_FROM_OUTPUT(erfinv, Erfinv, g*(exp(y* y) / kTwoOverSqrtPi))
FASTNN_FROM_INPUT(lgamma, Lgamma, g* digamma(x))
FASTNN_FROM_INPUT(digamma, Digamma, g* polygamma(1, x))

FASTNN_FROM_OUTPUT(tanh, Tanh,
                   fused_backward("tanh_backward", kernels().activation->tanh_backward_from_result, g, y, {},
                                  [](const Tensor& dg, const Tensor& t) { return dg * (1.0 - t * t); }))
FASTNN_FROM_OUTPUT(sigmoid, Sigmoid,
                   fused_backward("sigmoid_backward", kernels().activation->sigmoid_backward_from_result, g, y, {},
                                  [](const Tensor& dg, const Tensor& s) { return dg * ((1.0 - s) * s); }))

#undef FASTNN_FROM_INPUT
#undef FASTNN_FROM_OUTPUT

Tensor polygamma(std::int64_t n, const Tensor& input) {
  FASTNN_CHECK(n >= 0, ErrorKind::Runtime, "polygamma(n, x) does not support negative n.");
  Params params;
  params.i[0] = n;
  return unary_from_input(
      "polygamma", "PolygammaBackward0", table().polygamma, input, floating_result(input.dtype()),
      [n](const Tensor& g, const Tensor& x) { return g * polygamma(n + 1, x); }, params);
}

namespace {
Tensor rad2deg(const Tensor& input) { return input * 57.29577951308232087680; }
Tensor deg2rad(const Tensor& input) { return input * 0.01745329251994329577; }
Tensor positive(const Tensor& input) {
  FASTNN_CHECK(input.dtype() != DType::Bool, ErrorKind::Runtime,
               "The `+` operator, on a bool tensor is not supported.");
  return input;
}
Tensor polygamma_method(const Tensor& input, std::int64_t n) { return polygamma(n, input); }
constexpr unsigned kUnary = op_fn | op_method | op_inplace_direct | op_out;
}  // namespace

FASTNN_OPS(elementwise_unary) {
  op("neg(Tensor input) -> Tensor", &neg, kUnary);
  op("negative(Tensor input) -> Tensor", &neg, kUnary);
  op("positive(Tensor input) -> Tensor", &positive, op_fn | op_method);
  op("abs(Tensor input) -> Tensor", &abs, kUnary);
  op("absolute(Tensor input) -> Tensor", &abs, kUnary);
  op("sign(Tensor input) -> Tensor", &sign, kUnary);
  op("square(Tensor input) -> Tensor", &square, kUnary);
  op("reciprocal(Tensor input) -> Tensor", &reciprocal, kUnary);
  op("sqrt(Tensor input) -> Tensor", &sqrt, kUnary);
  op("rsqrt(Tensor input) -> Tensor", &rsqrt, kUnary);
  op("exp(Tensor input) -> Tensor", &exp, kUnary);
  op("exp2(Tensor input) -> Tensor", &exp2, kUnary);
  op("expm1(Tensor input) -> Tensor", &expm1, kUnary);
  op("log(Tensor input) -> Tensor", &log, kUnary);
  op("log2(Tensor input) -> Tensor", &log2, kUnary);
  op("log10(Tensor input) -> Tensor", &log10, kUnary);
  op("log1p(Tensor input) -> Tensor", &log1p, kUnary);
  op("sin(Tensor input) -> Tensor", &sin, kUnary);
  op("cos(Tensor input) -> Tensor", &cos, kUnary);
  op("tan(Tensor input) -> Tensor", &tan, kUnary);
  op("asin(Tensor input) -> Tensor", &asin, kUnary);
  op("arcsin(Tensor input) -> Tensor", &asin, kUnary);
  op("acos(Tensor input) -> Tensor", &acos, kUnary);
  op("arccos(Tensor input) -> Tensor", &acos, kUnary);
  op("atan(Tensor input) -> Tensor", &atan, kUnary);
  op("arctan(Tensor input) -> Tensor", &atan, kUnary);
  op("sinh(Tensor input) -> Tensor", &sinh, kUnary);
  op("cosh(Tensor input) -> Tensor", &cosh, kUnary);
  op("tanh(Tensor input) -> Tensor", &tanh, kUnary);
  op("asinh(Tensor input) -> Tensor", &asinh, kUnary);
  op("arcsinh(Tensor input) -> Tensor", &asinh, kUnary);
  op("acosh(Tensor input) -> Tensor", &acosh, kUnary);
  op("arccosh(Tensor input) -> Tensor", &acosh, kUnary);
  op("atanh(Tensor input) -> Tensor", &atanh, kUnary);
  op("arctanh(Tensor input) -> Tensor", &atanh, kUnary);
  op("sigmoid(Tensor input) -> Tensor", &sigmoid, kUnary);
  op("erf(Tensor input) -> Tensor", &erf, kUnary);
  op("erfc(Tensor input) -> Tensor", &erfc, kUnary);
  op("erfinv(Tensor input) -> Tensor", &erfinv, kUnary);
  op("lgamma(Tensor input) -> Tensor", &lgamma, kUnary);
  op("digamma(Tensor input) -> Tensor", &digamma, kUnary);
  op("polygamma(int n, Tensor input) -> Tensor", &polygamma, op_fn | op_out);
  op("polygamma(Tensor input, int n) -> Tensor", &polygamma_method, op_method | op_inplace_direct);
  op("floor(Tensor input) -> Tensor", &floor, kUnary);
  op("ceil(Tensor input) -> Tensor", &ceil, kUnary);
  op("round(Tensor input) -> Tensor", &round_to_integer, kUnary);
  op("round(Tensor input, *, int decimals) -> Tensor", &round_to_decimals, kUnary);
  op("trunc(Tensor input) -> Tensor", &trunc, kUnary);
  op("fix(Tensor input) -> Tensor", &trunc, kUnary);
  op("frac(Tensor input) -> Tensor", &frac, kUnary);
  op("rad2deg(Tensor input) -> Tensor", &rad2deg, kUnary);
  op("deg2rad(Tensor input) -> Tensor", &deg2rad, kUnary);
}

}  // namespace fastnn
