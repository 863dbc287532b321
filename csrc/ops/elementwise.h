// Elementwise operations: arithmetic, mathematics, comparison, selection, conversion. ops/elementwise_<subject>.cpp has
// the definitions, ops/algebra.h the operators.
#pragma once

#include <optional>
#include <string_view>

#include "core/tensor.h"

namespace fastnn {

// --- arithmetic ------------------------------------------------------------------------------------------------------

Tensor add(const Tensor& a, const Tensor& b, const Scalar& alpha = Scalar(1));
Tensor sub(const Tensor& a, const Tensor& b, const Scalar& alpha = Scalar(1));
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
// With a number.
Tensor add(const Tensor& a, const Scalar& b);
Tensor sub(const Tensor& a, const Scalar& b);
Tensor mul(const Tensor& a, const Scalar& b);
Tensor div(const Tensor& a, const Scalar& b);
Tensor rsub(const Tensor& a, const Tensor& b, const Scalar& alpha = Scalar(1));  // b - alpha a

// Rounded towards zero ("trunc"), down ("floor"), or not at all.
Tensor div(const Tensor& a, const Tensor& b, std::optional<std::string_view> rounding_mode);
Tensor floor_divide(const Tensor& a, const Tensor& b);
Tensor remainder(const Tensor& a, const Tensor& b);  // with the sign of b
Tensor fmod(const Tensor& a, const Tensor& b);       // with the sign of a

Tensor pow(const Tensor& base, const Tensor& exponent);
Tensor pow(const Tensor& base, const Scalar& exponent);
Tensor float_power(const Tensor& base, const Tensor& exponent);

Tensor atan2(const Tensor& a, const Tensor& b);
Tensor hypot(const Tensor& a, const Tensor& b);
Tensor copysign(const Tensor& a, const Tensor& b);
Tensor logaddexp(const Tensor& a, const Tensor& b);
Tensor logaddexp2(const Tensor& a, const Tensor& b);
Tensor xlogy(const Tensor& a, const Tensor& b);
Tensor heaviside(const Tensor& a, const Tensor& values);
// NaN where either is NaN; fmax and fmin: the other one.
Tensor maximum(const Tensor& a, const Tensor& b);
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor fmax(const Tensor& a, const Tensor& b);
Tensor fmin(const Tensor& a, const Tensor& b);

Tensor addcmul(const Tensor& input, const Tensor& tensor1, const Tensor& tensor2, const Scalar& value = Scalar(1));
Tensor addcdiv(const Tensor& input, const Tensor& tensor1, const Tensor& tensor2, const Scalar& value = Scalar(1));
Tensor lerp(const Tensor& start, const Tensor& end, const Tensor& weight);

// --- functions of one operand ----------------------------------------------------------------------------------------

Tensor neg(const Tensor& input);
Tensor abs(const Tensor& input);
Tensor sign(const Tensor& input);
Tensor square(const Tensor& input);
Tensor reciprocal(const Tensor& input);
Tensor sqrt(const Tensor& input);
Tensor rsqrt(const Tensor& input);
Tensor exp(const Tensor& input);
Tensor exp2(const Tensor& input);
Tensor expm1(const Tensor& input);
Tensor log(const Tensor& input);
Tensor log2(const Tensor& input);
Tensor log10(const Tensor& input);
Tensor log1p(const Tensor& input);
Tensor sin(const Tensor& input);
Tensor cos(const Tensor& input);
Tensor tan(const Tensor& input);
Tensor asin(const Tensor& input);
Tensor acos(const Tensor& input);
Tensor atan(const Tensor& input);
Tensor sinh(const Tensor& input);
Tensor cosh(const Tensor& input);
Tensor tanh(const Tensor& input);
Tensor asinh(const Tensor& input);
Tensor acosh(const Tensor& input);
Tensor atanh(const Tensor& input);
Tensor sigmoid(const Tensor& input);
Tensor erf(const Tensor& input);
Tensor erfc(const Tensor& input);
Tensor erfinv(const Tensor& input);
Tensor lgamma(const Tensor& input);
Tensor polygamma(std::int64_t n, const Tensor& input);
Tensor digamma(const Tensor& input);
Tensor floor(const Tensor& input);
Tensor ceil(const Tensor& input);
Tensor round(const Tensor& input, std::int64_t decimals = 0);
Tensor trunc(const Tensor& input);
Tensor frac(const Tensor& input);

// --- comparison, logic, bits -----------------------------------------------------------------------------------------

Tensor eq(const Tensor& a, const Tensor& b);
Tensor ne(const Tensor& a, const Tensor& b);
Tensor lt(const Tensor& a, const Tensor& b);
Tensor le(const Tensor& a, const Tensor& b);
Tensor gt(const Tensor& a, const Tensor& b);
Tensor ge(const Tensor& a, const Tensor& b);
Tensor logical_and(const Tensor& a, const Tensor& b);
Tensor logical_or(const Tensor& a, const Tensor& b);
Tensor logical_xor(const Tensor& a, const Tensor& b);
Tensor logical_not(const Tensor& input);
Tensor bitwise_and(const Tensor& a, const Tensor& b);
Tensor bitwise_or(const Tensor& a, const Tensor& b);
Tensor bitwise_xor(const Tensor& a, const Tensor& b);
Tensor bitwise_not(const Tensor& input);
Tensor bitwise_left_shift(const Tensor& a, const Tensor& b);
Tensor bitwise_right_shift(const Tensor& a, const Tensor& b);
Tensor isnan(const Tensor& input);
Tensor isinf(const Tensor& input);
Tensor isfinite(const Tensor& input);
Tensor isposinf(const Tensor& input);
Tensor isneginf(const Tensor& input);
Tensor signbit(const Tensor& input);
// |a - b| <= atol + rtol |b|.
Tensor isclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8, bool equal_nan = false);
bool allclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8, bool equal_nan = false);
bool equal(const Tensor& a, const Tensor& b);

// --- activations -----------------------------------------------------------------------------------------------------

Tensor relu(const Tensor& input);
Tensor threshold(const Tensor& input, double threshold, double value);
Tensor leaky_relu(const Tensor& input, double negative_slope = 0.01);
// scale (x > 0 ? x : alpha (exp(input_scale x) - 1))
Tensor elu(const Tensor& input, double alpha = 1, double scale = 1, double input_scale = 1);
Tensor hardtanh(const Tensor& input, double min_val = -1, double max_val = 1);
Tensor gelu(const Tensor& input, std::string_view approximate = "none");
Tensor silu(const Tensor& input);
Tensor mish(const Tensor& input);
Tensor softplus(const Tensor& input, double beta = 1, double threshold = 20);
Tensor logsigmoid(const Tensor& input);
Tensor hardsigmoid(const Tensor& input);
Tensor hardswish(const Tensor& input);
Tensor hardshrink(const Tensor& input, double lambd = 0.5);
Tensor softshrink(const Tensor& input, double lambd = 0.5);

// --- selection -------------------------------------------------------------------------------------------------------

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Tensor masked_fill(const Tensor& input, const Tensor& mask, const Tensor& value);
Tensor masked_fill(const Tensor& input, const Tensor& mask, const Scalar& value);
// Either bound may be missing.
Tensor clamp(const Tensor& input, const std::optional<Scalar>& min, const std::optional<Scalar>& max);
Tensor clamp(const Tensor& input, const Tensor& min, const Tensor& max);
Tensor nan_to_num(const Tensor& input, std::optional<double> nan, std::optional<double> posinf,
                  std::optional<double> neginf);

// --- conversion and copies -------------------------------------------------------------------------------------------

// The same values in another dtype; the tensor itself when it has it already.
Tensor to_dtype(const Tensor& input, DType dtype);
// Always new memory; keeps a dense order of dimensions unless `contiguous`.
Tensor clone(const Tensor& input, bool contiguous = false);
Tensor contiguous(const Tensor& input);
// Writes source (broadcast, converted) into target: no autograd, no version.
void copy_raw(const Tensor& target, const Tensor& source);
void fill_raw(const Tensor& target, const Scalar& value);

}  // namespace fastnn
