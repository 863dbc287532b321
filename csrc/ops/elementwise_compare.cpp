// Comparison, logic, bits.
#include "ops/algebra.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/registry.h"

namespace fastnn {

namespace {

const CompareKernels& table() { return *kernels().compare; }

// In the promoted dtype.
Tensor compare(const char* op, Pointwise kernel, const Tensor& a, const Tensor& b) {
  return pointwise(op, kernel, {&a, &b}, result_type(a, b), DType::Bool, {}, Needs::Nothing);
}
Tensor logic(const char* op, Pointwise kernel, const Tensor& a, const Tensor& b) {
  return pointwise(op, kernel, {&a, &b}, DType::Bool, DType::Bool, {}, Needs::Nothing);
}
Tensor bits(const char* op, Pointwise kernel, const Tensor& a, const Tensor& b) {
  const DType dtype = result_type(a, b);
  return pointwise(op, kernel, {&a, &b}, dtype, dtype, {}, Needs::Nothing);
}
Tensor kind(const char* op, Pointwise kernel, const Tensor& input) {
  return pointwise(op, kernel, {&input}, input.dtype(), DType::Bool, {}, Needs::Nothing);
}

}  // namespace

Tensor eq(const Tensor& a, const Tensor& b) { return compare("eq", table().eq, a, b); }
Tensor ne(const Tensor& a, const Tensor& b) { return compare("ne", table().ne, a, b); }
Tensor lt(const Tensor& a, const Tensor& b) { return compare("lt", table().lt, a, b); }
Tensor le(const Tensor& a, const Tensor& b) { return compare("le", table().le, a, b); }
Tensor gt(const Tensor& a, const Tensor& b) { return compare("gt", table().gt, a, b); }
Tensor ge(const Tensor& a, const Tensor& b) { return compare("ge", table().ge, a, b); }

Tensor logical_and(const Tensor& a, const Tensor& b) { return logic("logical_and", table().logical_and, a, b); }
Tensor logical_or(const Tensor& a, const Tensor& b) { return logic("logical_or", table().logical_or, a, b); }
Tensor logical_xor(const Tensor& a, const Tensor& b) { return logic("logical_xor", table().logical_xor, a, b); }
Tensor logical_not(const Tensor& input) {
  return pointwise("logical_not", table().logical_not, {&input}, DType::Bool, DType::Bool, {}, Needs::Nothing);
}

Tensor bitwise_and(const Tensor& a, const Tensor& b) { return bits("bitwise_and", table().bitwise_and, a, b); }
Tensor bitwise_or(const Tensor& a, const Tensor& b) { return bits("bitwise_or", table().bitwise_or, a, b); }
Tensor bitwise_xor(const Tensor& a, const Tensor& b) { return bits("bitwise_xor", table().bitwise_xor, a, b); }
Tensor bitwise_not(const Tensor& input) {
  return pointwise("bitwise_not", table().bitwise_not, {&input}, input.dtype(), input.dtype(), {}, Needs::Nothing);
}
Tensor bitwise_left_shift(const Tensor& a, const Tensor& b) {
  return bits("bitwise_left_shift", table().shift_left, a, b);
}
Tensor bitwise_right_shift(const Tensor& a, const Tensor& b) {
  return bits("bitwise_right_shift", table().shift_right, a, b);
}

Tensor isnan(const Tensor& input) {
  if (input.is_complex()) return logical_or(isnan(real(input)), isnan(imag(input)));
  return kind("isnan", table().isnan, input);
}
Tensor isinf(const Tensor& input) {
  if (input.is_complex()) return logical_or(isinf(real(input)), isinf(imag(input)));
  return kind("isinf", table().isinf, input);
}
Tensor isfinite(const Tensor& input) {
  if (input.is_complex()) return logical_and(isfinite(real(input)), isfinite(imag(input)));
  return kind("isfinite", table().isfinite, input);
}
Tensor isposinf(const Tensor& input) { return kind("isposinf", table().isposinf, input); }
Tensor isneginf(const Tensor& input) { return kind("isneginf", table().isneginf, input); }
Tensor signbit(const Tensor& input) { return kind("signbit", table().signbit, input); }

Tensor isclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
  FASTNN_CHECK(a.dtype() == b.dtype(), ErrorKind::Runtime, a.dtype(), " did not match ", b.dtype());
  FASTNN_CHECK(rtol >= 0, ErrorKind::Runtime, "rtol must be greater than or equal to zero, but got ", rtol);
  FASTNN_CHECK(atol >= 0, ErrorKind::Runtime, "atol must be greater than or equal to zero, but got ", atol);
  const GradModeGuard no_grad(false);
  Tensor close = eq(a, b);
  if (equal_nan && a.is_differentiable()) close = logical_or(close, logical_and(isnan(a), isnan(b)));
  if (rtol == 0 && atol == 0) return close;
  // Integers are compared in the default floating dtype.
  const bool as_real = !a.is_differentiable();
  const Tensor x = as_real ? to_dtype(a, default_dtype()) : a;
  const Tensor y = as_real ? to_dtype(b, default_dtype()) : b;
  const Tensor error = abs(x - y);
  return logical_or(close, logical_and(isfinite(error), le(error, abs(y * rtol) + atol)));
}

bool allclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
  return all(isclose(a, b, rtol, atol, equal_nan)).item_int() != 0;
}

bool equal(const Tensor& a, const Tensor& b) {
  FASTNN_CHECK(a.dtype() == b.dtype(), ErrorKind::Runtime, "Expected object of data type ", a.dtype(),
               " but got data type ", b.dtype(), " for argument 'other' in call to equal");
  return a.sizes() == b.sizes() && (a.numel() == 0 || all(eq(a, b)).item_int() != 0);
}

namespace {
constexpr unsigned kCompare = op_fn | op_method | op_inplace | op_out;
constexpr unsigned kLogic = op_fn | op_method | op_inplace | op_out;
constexpr unsigned kBits = op_fn | op_method | op_inplace_direct | op_out;
constexpr unsigned kKind = op_fn | op_method;
}  // namespace

FASTNN_OPS(elementwise_compare) {
  op("eq(Tensor input, Tensor|Scalar other) -> Tensor", &eq, kCompare);
  op("ne(Tensor input, Tensor|Scalar other) -> Tensor", &ne, kCompare);
  op("not_equal(Tensor input, Tensor|Scalar other) -> Tensor", &ne, kCompare);
  op("lt(Tensor input, Tensor|Scalar other) -> Tensor", &lt, kCompare);
  op("less(Tensor input, Tensor|Scalar other) -> Tensor", &lt, kCompare);
  op("le(Tensor input, Tensor|Scalar other) -> Tensor", &le, kCompare);
  op("less_equal(Tensor input, Tensor|Scalar other) -> Tensor", &le, kCompare);
  op("gt(Tensor input, Tensor|Scalar other) -> Tensor", &gt, kCompare);
  op("greater(Tensor input, Tensor|Scalar other) -> Tensor", &gt, kCompare);
  op("ge(Tensor input, Tensor|Scalar other) -> Tensor", &ge, kCompare);
  op("greater_equal(Tensor input, Tensor|Scalar other) -> Tensor", &ge, kCompare);
  op("logical_and(Tensor input, Tensor other) -> Tensor", &logical_and, kLogic);
  op("logical_or(Tensor input, Tensor other) -> Tensor", &logical_or, kLogic);
  op("logical_xor(Tensor input, Tensor other) -> Tensor", &logical_xor, kLogic);
  op("logical_not(Tensor input) -> Tensor", &logical_not, kLogic);
  op("bitwise_and(Tensor input, Tensor|Scalar other) -> Tensor", &bitwise_and, kBits);
  op("bitwise_and(Tensor|Scalar self, Tensor other) -> Tensor", &bitwise_and, op_fn);
  op("bitwise_or(Tensor input, Tensor|Scalar other) -> Tensor", &bitwise_or, kBits);
  op("bitwise_or(Tensor|Scalar self, Tensor other) -> Tensor", &bitwise_or, op_fn);
  op("bitwise_xor(Tensor input, Tensor|Scalar other) -> Tensor", &bitwise_xor, kBits);
  op("bitwise_xor(Tensor|Scalar self, Tensor other) -> Tensor", &bitwise_xor, op_fn);
  op("bitwise_not(Tensor input) -> Tensor", &bitwise_not, kBits);
  op("bitwise_left_shift(Tensor input, Tensor|Scalar other) -> Tensor", &bitwise_left_shift, kBits);
  op("bitwise_left_shift(Tensor|Scalar self, Tensor other) -> Tensor", &bitwise_left_shift, op_fn);
  op("bitwise_right_shift(Tensor input, Tensor|Scalar other) -> Tensor", &bitwise_right_shift, kBits);
  op("bitwise_right_shift(Tensor|Scalar self, Tensor other) -> Tensor", &bitwise_right_shift, op_fn);
  op("isnan(Tensor input) -> Tensor", &isnan, kKind);
  op("isinf(Tensor input) -> Tensor", &isinf, kKind);
  op("isfinite(Tensor input) -> Tensor", &isfinite, kKind);
  op("isposinf(Tensor input) -> Tensor", &isposinf, kKind | op_out);
  op("isneginf(Tensor input) -> Tensor", &isneginf, kKind | op_out);
  op("signbit(Tensor input) -> Tensor", &signbit, kKind | op_out);
  op("isclose(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> Tensor",
     &isclose, op_fn | op_method);
  op("allclose(Tensor input, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False) -> bool",
     &allclose, op_fn | op_method);
  op("equal(Tensor input, Tensor other) -> bool", &equal, op_fn | op_method);
}

}  // namespace fastnn
