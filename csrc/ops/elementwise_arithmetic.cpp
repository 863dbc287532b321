// Arithmetic of two and three operands.
#include "ops/algebra.h"
#include "ops/factory.h"
#include "ops/pointwise.h"
#include "ops/registry.h"

namespace fastnn {

namespace {

const ElementwiseKernels& table() { return *kernels().elementwise; }

Tensor zeros_of(const Tensor& g) { return Tensor::full(g.sizes(), 0, g.dtype()); }

bool is_one(const Scalar& alpha) { return alpha.to_double() == 1.0 && alpha.imag == 0; }

void check_alpha(DType result, const Scalar& alpha) {
  FASTNN_CHECK(alpha.kind != Scalar::Kind::Bool || result == DType::Bool, ErrorKind::Runtime,
               "Boolean alpha only supported for Boolean results.");
  FASTNN_CHECK(!alpha.is_float() || is_differentiable(result), ErrorKind::Runtime,
               "For integral input tensors, argument alpha must not be a floating point number.");
  FASTNN_CHECK(!alpha.is_complex() || is_complex(result), ErrorKind::Runtime,
               "For non-complex input tensors, argument alpha must not be a complex number.");
}

Params number_params(const Scalar& value) {
  Params params;
  params.d[0] = value.to_double();
  params.d[1] = value.imag;
  params.i[0] = value.to_int();
  return params;
}

// A number that stands for a tensor takes part in formulas in the dtype of the result.
Tensor in_formula(const Tensor& operand, DType dtype) {
  return operand.impl()->wrapped_number ? full({}, item(operand), dtype) : operand;
}

Tensor binary(const char* op, Pointwise kernel, const Tensor& a, const Tensor& b, DType dtype,
              Needs needs = Needs::Input) {
  return pointwise(op, kernel, {&a, &b}, dtype, dtype, {}, needs);
}

// a + slope b.
Tensor add_scaled(const char* op, const char* node, const Tensor& a, const Tensor& b, const Scalar& slope) {
  const DType dtype = result_type(a, b);
  check_alpha(dtype, slope);
  if (dtype == DType::Bool) return slope.to_int() != 0 ? add(a, b) : logical_or(a, a);
  Tensor out = pointwise(op, table().add_scaled, {&a, &b}, dtype, dtype, number_params(slope), Needs::Nothing);
  if (needs_grad(a, b)) {
    record_pointwise(node, out, {&a, &b}, [slope](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = g;
      if (d.wants(1)) d[1] = mul(g, conj(slope));
    });
  }
  return out;
}

Scalar negative(const Scalar& value) {
  if (value.is_complex()) return Scalar(-value.to_complex());
  return value.is_float() ? Scalar(-value.d) : Scalar(-value.i);
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b, const Scalar& alpha) {
  if (!is_one(alpha)) return add_scaled("add", "AddBackward0", a, b, alpha);
  const DType dtype = result_type(a, b);
  Tensor out = binary("add", table().add, a, b, dtype, Needs::Nothing);
  if (needs_grad(a, b)) {
    record_pointwise("AddBackward0", out, {&a, &b}, [](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = g;
      if (d.wants(1)) d[1] = g;
    });
  }
  return out;
}

Tensor sub(const Tensor& a, const Tensor& b, const Scalar& alpha) {
  const DType dtype = result_type(a, b);
  FASTNN_CHECK(dtype != DType::Bool, ErrorKind::Runtime,
               "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
               "`logical_xor()` operator instead.");
  FASTNN_CHECK(a.dtype() != DType::Bool && b.dtype() != DType::Bool, ErrorKind::Runtime,
               "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a "
               "mask, use the `~` or `logical_not()` operator instead.");
  if (!is_one(alpha)) return add_scaled("sub", "SubBackward0", a, b, negative(alpha));
  Tensor out = binary("sub", table().sub, a, b, dtype, Needs::Nothing);
  if (needs_grad(a, b)) {
    record_pointwise("SubBackward0", out, {&a, &b}, [](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = g;
      if (d.wants(1)) d[1] = neg(g);
    });
  }
  return out;
}

Tensor mul(const Tensor& a, const Tensor& b) {
  const DType dtype = result_type(a, b);
  Tensor out = binary("mul", table().mul, a, b, dtype);
  if (needs_grad(a, b)) {
    record_pointwise("MulBackward0", out, {&a, &b}, [sa = save(a, b), sb = save(b, a)](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = g * conj(sb.get());
      if (d.wants(1)) d[1] = g * conj(sa.get());
    });
  }
  return out;
}

Tensor div(const Tensor& a, const Tensor& b) {
  const DType dtype = floating_result(result_type(a, b));
  Tensor out = binary("div", table().div, a, b, dtype);
  if (needs_grad(a, b)) {
    record_pointwise("DivBackward0", out, {&a, &b}, [sa = save(a, b), sb = save(b)](const Tensor& g, Slots& d) {
      const Tensor ga = g / conj(sb.get());
      if (d.wants(0)) d[0] = ga;
      if (d.wants(1)) d[1] = -ga * conj(sa.get() / sb.get());
    });
  }
  return out;
}

Tensor add(const Tensor& a, const Scalar& b) { return add(a, b.wrapped()); }
Tensor sub(const Tensor& a, const Scalar& b) { return sub(a, b.wrapped()); }
Tensor mul(const Tensor& a, const Scalar& b) { return mul(a, b.wrapped()); }
Tensor div(const Tensor& a, const Scalar& b) { return div(a, b.wrapped()); }
Tensor rsub(const Tensor& a, const Tensor& b, const Scalar& alpha) { return sub(b, a, alpha); }

// --- division with rounding ------------------------------------------------------------------------------------------

namespace {

// A quotient rounded by `kernel`: piecewise constant.
Tensor rounded_division(const char* op, Pointwise kernel, const Tensor& a, const Tensor& b) {
  const DType dtype = result_type(a, b);
  Tensor out = binary(op, kernel, a, b, dtype, Needs::Nothing);
  if (needs_grad(a, b)) {
    record_pointwise("DivBackward1", out, {&a, &b}, [](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = zeros_of(g);
      if (d.wants(1)) d[1] = zeros_of(g);
    });
  }
  return out;
}

// a - b q, with q the quotient rounded by `round`.
Tensor division_rest(const char* op, const char* node, Pointwise kernel, const Tensor& a, const Tensor& b,
                     Tensor (*round)(const Tensor&, const Tensor&)) {
  const DType dtype = result_type(a, b);
  Tensor out = binary(op, kernel, a, b, dtype);
  if (needs_grad(a, b)) {
    record_pointwise(node, out, {&a, &b}, [sa = save(a, b), sb = save(b, b), round](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = g;
      if (d.wants(1)) d[1] = -g * round(sa.get(), sb.get());
    });
  }
  return out;
}

Tensor trunc_divide(const Tensor& a, const Tensor& b) {
  // The quotient of 16-bit floats is rounded to them before its fraction is cut off, as in PyTorch.
  if (is_reduced_floating(result_type(a, b))) return trunc(div(a, b));
  return rounded_division("div", table().div_trunc, a, b);
}

}  // namespace

Tensor floor_divide(const Tensor& a, const Tensor& b) {
  return rounded_division("floor_divide", table().div_floor, a, b);
}

Tensor div(const Tensor& a, const Tensor& b, std::optional<std::string_view> rounding_mode) {
  if (!rounding_mode) return div(a, b);
  if (*rounding_mode == "trunc") return trunc_divide(a, b);
  if (*rounding_mode == "floor") return floor_divide(a, b);
  fail(ErrorKind::Runtime, "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '",
       *rounding_mode, "'");
}

Tensor remainder(const Tensor& a, const Tensor& b) {
  return division_rest("remainder", "RemainderBackward0", table().remainder, a, b, &floor_divide);
}
Tensor fmod(const Tensor& a, const Tensor& b) {
  return division_rest("fmod", "FmodBackward0", table().fmod, a, b, &trunc_divide);
}

// --- powers ----------------------------------------------------------------------------------------------------------

namespace {

// x^n for the exponents that have a kernel of their own.
Tensor power(const Tensor& base, const Scalar& exponent, DType dtype) {
  const UnaryKernels& unary = *kernels().unary;
  const double n = exponent.imag == 0 ? exponent.to_double() : 0;
  const Pointwise kernel = n == 2                      ? unary.square
                           : !is_differentiable(dtype) ? nullptr
                           : n == 0.5                  ? unary.sqrt
                           : n == -0.5                 ? unary.rsqrt
                           : n == -1                   ? unary.reciprocal
                                                       : nullptr;
  if (kernel != nullptr) return pointwise("pow", kernel, {&base}, dtype, dtype);
  const Tensor number = exponent.wrapped();
  return binary("pow", table().pow, base, number, dtype);
}

}  // namespace

Tensor pow(const Tensor& base, const Scalar& exponent) {
  TypePromotion promotion;
  promotion.add(base);
  promotion.add(exponent);
  const DType dtype = promotion.result();
  if (dtype == DType::Bool) return logical_or(base, Tensor::wrapped(exponent.i == 0));
  FASTNN_CHECK(is_differentiable(dtype) || exponent.to_int() >= 0, ErrorKind::Runtime,
               "Integers to negative integer powers are not allowed.");
  Tensor out = power(base, exponent, dtype);
  if (needs_grad(base)) {
    record_pointwise("PowBackward0", out, {&base}, [x = save(base), exponent](const Tensor& g, Slots& d) {
      if (!d.wants(0)) return;
      const double n = exponent.to_double();
      if (exponent.imag != 0) {
        const Scalar less(Complex<double>(n - 1, exponent.imag));
        d[0] = g * conj(mul(pow(x.get(), less), exponent));
      } else if (n == 0) {
        d[0] = zeros_of(g);
      } else if (n == 1) {
        d[0] = g;
      } else {
        d[0] = g * conj(n == 2 ? x.get() * 2.0 : pow(x.get(), Scalar(n - 1)) * n);
      }
    });
  }
  return out;
}

Tensor pow(const Tensor& base, const Tensor& exponent) {
  const DType dtype = result_type(base, exponent);
  Tensor out = binary("pow", table().pow, base, exponent, dtype);
  if (needs_grad(base, exponent)) {
    record_pointwise("PowBackward1", out, {&base, &exponent},
                     [sx = save(in_formula(base, dtype)), sn = save(in_formula(exponent, dtype)),
                      sy = save_output(out)](const Tensor& g, Slots& d) {
                       const Tensor& x = sx.get();
                       const Tensor& n = sn.get();
                       const Scalar zero(0.0);
                       if (d.wants(0)) {
                         d[0] = masked_fill(g * conj(n * pow(x, n - 1.0)), eq(n, Tensor::wrapped(0.0)), zero);
                       }
                       if (d.wants(1)) {
                         // 0^n is constant for n >= 0, whatever log(0) is.
                         const Tensor flat =
                             logical_and(eq(x, Tensor::wrapped(0.0)), ge(real(n), Tensor::wrapped(0.0)));
                         d[1] = masked_fill(g * conj(sy.get() * log(x)), flat, zero);
                       }
                     });
  }
  return out;
}

Tensor float_power(const Tensor& base, const Tensor& exponent) {
  const DType dtype = base.is_complex() || exponent.is_complex() ? DType::Complex128 : DType::Float64;
  return pow(in_formula(to_dtype(base, dtype), dtype), in_formula(to_dtype(exponent, dtype), dtype));
}

// --- functions of two operands ---------------------------------------------------------------------------------------

Tensor atan2(const Tensor& a, const Tensor& b) {
  Tensor out = binary("atan2", table().atan2, a, b, floating_result(result_type(a, b)));
  if (needs_grad(a, b)) {
    record_pointwise("Atan2Backward0", out, {&a, &b}, [sa = save(a), sb = save(b)](const Tensor& g, Slots& d) {
      const Tensor& y = sa.get();
      const Tensor& x = sb.get();
      const Tensor scaled = g / (square(y) + square(x));
      if (d.wants(0)) d[0] = scaled * x;
      if (d.wants(1)) d[1] = -scaled * y;
    });
  }
  return out;
}

Tensor hypot(const Tensor& a, const Tensor& b) {
  Tensor out = binary("hypot", table().hypot, a, b, result_type(a, b));
  if (needs_grad(a, b)) {
    record_pointwise("HypotBackward0", out, {&a, &b},
                     [sa = save(a, a), sb = save(b, b), sy = save_output(out)](const Tensor& g, Slots& d) {
                       const Tensor y = sy.get();
                       if (d.wants(0)) d[0] = g * (sa.get() / y);
                       if (d.wants(1)) d[1] = g * (sb.get() / y);
                     });
  }
  return out;
}

Tensor copysign(const Tensor& a, const Tensor& b) {
  Tensor out = binary("copysign", table().copysign, a, b, floating_result(result_type(a, b)));
  if (needs_grad(a, b)) {
    record_pointwise("CopysignBackward0", out, {&a, &b},
                     [sa = save(a, a), sy = save_output(out)](const Tensor& g, Slots& d) {
                       if (d.wants(0)) d[0] = g * (sign(sa.get()) * sign(sy.get()));
                       if (d.wants(1)) d[1] = zeros_of(g);
                     });
  }
  return out;
}

namespace {

// log_base(base^a + base^b): the slopes are sigmoids of the difference.
Tensor log_add(const char* op, const char* node, Pointwise kernel, const Tensor& a, const Tensor& b, double ln_base) {
  const DType dtype = result_type(a, b);
  Tensor out = binary(op, kernel, a, b, dtype);
  if (needs_grad(a, b)) {
    record_pointwise(node, out, {&a, &b}, [sa = save(a), sb = save(b), ln_base](const Tensor& g, Slots& d) {
      const Tensor difference = (sa.get() - sb.get()) * ln_base;
      if (d.wants(0)) d[0] = g * sigmoid(difference);
      if (d.wants(1)) d[1] = g * sigmoid(-difference);
    });
  }
  return out;
}

// One operand of each pair is chosen: `chooses(x, y)` says where the first one is.
using Choice = Tensor (*)(const Tensor&, const Tensor&);
Tensor choose_nan(const char* op, const char* node, Pointwise kernel, const Tensor& a, const Tensor& b, Choice loses) {
  const DType dtype = result_type(a, b);
  Tensor out = binary(op, kernel, a, b, dtype);
  if (needs_grad(a, b)) {
    record_pointwise(node, out, {&a, &b}, [sa = save(a), sb = save(b), loses](const Tensor& g, Slots& d) {
      const Tensor& x = sa.get();
      const Tensor& y = sb.get();
      // Equal operands share the gradient.
      const Tensor shared = where(eq(x, y), g * 0.5, g);
      if (d.wants(0)) d[0] = masked_fill(shared, loses(x, y), Scalar(0.0));
      if (d.wants(1)) d[1] = masked_fill(shared, loses(y, x), Scalar(0.0));
    });
  }
  return out;
}
Tensor choose_number(const char* op, const char* node, Pointwise kernel, const Tensor& a, const Tensor& b,
                     Choice wins) {
  const DType dtype = result_type(a, b);
  Tensor out = binary(op, kernel, a, b, dtype);
  if (needs_grad(a, b)) {
    record_pointwise(node, out, {&a, &b}, [sa = save(a), sb = save(b), wins](const Tensor& g, Slots& d) {
      const Tensor first = logical_or(wins(sa.get(), sb.get()), isnan(sb.get()));
      if (d.wants(0)) d[0] = masked_fill(g, logical_not(first), Scalar(0.0));
      if (d.wants(1)) d[1] = masked_fill(g, first, Scalar(0.0));
    });
  }
  return out;
}

}  // namespace

Tensor logaddexp(const Tensor& a, const Tensor& b) {
  if (is_complex(result_type(a, b))) {
    const Tensor first = ge(real(a.detached()), real(b.detached()));
    const Tensor larger = where(first, a, b);
    return larger + log1p(exp(where(first, b, a) - larger));
  }
  return log_add("logaddexp", "LogaddexpBackward0", table().logaddexp, a, b, 1.0);
}
Tensor logaddexp2(const Tensor& a, const Tensor& b) {
  return log_add("logaddexp2", "Logaddexp2Backward0", table().logaddexp2, a, b, 0.69314718055994530942);
}

Tensor xlogy(const Tensor& a, const Tensor& b) {
  Tensor out = binary("xlogy", table().xlogy, a, b, floating_result(result_type(a, b)));
  if (needs_grad(a, b)) {
    record_pointwise("XlogyBackward0", out, {&a, &b}, [sa = save(a), sb = save(b)](const Tensor& g, Slots& d) {
      const Tensor& x = sa.get();
      const Tensor& y = sb.get();
      if (d.wants(0)) {
        const Tensor zero = Tensor::wrapped(0.0);
        d[0] = masked_fill(g * log(to_dtype(y, g.dtype())), logical_and(eq(x, zero), le(y, zero)), Scalar(0.0));
      }
      if (d.wants(1)) d[1] = g * (x / y);
    });
  }
  return out;
}

Tensor heaviside(const Tensor& a, const Tensor& values) {
  FASTNN_CHECK(a.dtype() == values.dtype(), ErrorKind::Runtime,
               "heaviside is not yet implemented for tensors with different dtypes.");
  return binary("heaviside", table().heaviside, a, values, a.dtype());
}

Tensor maximum(const Tensor& a, const Tensor& b) {
  return choose_nan("maximum", "MaximumBackward0", table().maximum, a, b, &lt);
}
Tensor minimum(const Tensor& a, const Tensor& b) {
  return choose_nan("minimum", "MinimumBackward0", table().minimum, a, b, &gt);
}
Tensor fmax(const Tensor& a, const Tensor& b) {
  return choose_number("fmax", "FmaxBackward0", table().fmax, a, b, &ge);
}
Tensor fmin(const Tensor& a, const Tensor& b) {
  return choose_number("fmin", "FminBackward0", table().fmin, a, b, &le);
}

// --- three operands --------------------------------------------------------------------------------------------------

namespace {

DType result_type3(const Tensor& a, const Tensor& b, const Tensor& c) {
  TypePromotion promotion;
  promotion.add(a);
  promotion.add(b);
  promotion.add(c);
  return promotion.result();
}

}  // namespace

Tensor addcmul(const Tensor& input, const Tensor& tensor1, const Tensor& tensor2, const Scalar& value) {
  const DType dtype = result_type3(input, tensor1, tensor2);
  check_alpha(dtype, value);
  Tensor out = pointwise("addcmul", table().addcmul, {&input, &tensor1, &tensor2}, dtype, dtype, number_params(value));
  if (needs_grad(input, tensor1, tensor2)) {
    record_pointwise("AddcmulBackward0", out, {&input, &tensor1, &tensor2},
                     [s1 = save(tensor1, tensor2), s2 = save(tensor2, tensor1), value](const Tensor& g, Slots& d) {
                       if (d.wants(0)) d[0] = g;
                       if (d.wants(1)) d[1] = g * conj(mul(s2.get(), value));
                       if (d.wants(2)) d[2] = g * conj(mul(s1.get(), value));
                     });
  }
  return out;
}

Tensor addcdiv(const Tensor& input, const Tensor& tensor1, const Tensor& tensor2, const Scalar& value) {
  const DType dtype = result_type3(input, tensor1, tensor2);
  FASTNN_CHECK(tensor1.is_differentiable() || tensor2.is_differentiable(), ErrorKind::Runtime,
               "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a "
               "true division of tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + "
               "value * torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer inputs and as (input + value * "
               "tensor1 / tensor2) for float inputs. The future addcdiv behavior is just the latter implementation: "
               "(input + value * tensor1 / tensor2), for all dtypes.");
  Tensor out = pointwise("addcdiv", table().addcdiv, {&input, &tensor1, &tensor2}, dtype, dtype, number_params(value));
  if (needs_grad(input, tensor1, tensor2)) {
    record_pointwise("AddcdivBackward0", out, {&input, &tensor1, &tensor2},
                     [s1 = save(tensor1, tensor2), s2 = save(tensor2), value](const Tensor& g, Slots& d) {
                       if (d.wants(0)) d[0] = g;
                       const Tensor quotient = mul(g, conj(value)) / conj(s2.get());
                       if (d.wants(1)) d[1] = quotient;
                       if (d.wants(2)) d[2] = -quotient * conj(s1.get() / s2.get());
                     });
  }
  return out;
}

Tensor lerp(const Tensor& start, const Tensor& end, const Tensor& weight) {
  const DType dtype = start.dtype();
  FASTNN_CHECK(end.dtype() == dtype, ErrorKind::Runtime, "expected dtype ", info(dtype).name,
               " for `end` but got dtype ", info(end.dtype()).name);
  FASTNN_CHECK(weight.impl()->wrapped_number || weight.dtype() == dtype, ErrorKind::Runtime, "expected dtype ",
               info(dtype).name, " for `weight` but got dtype ", info(weight.dtype()).name);
  Tensor out = pointwise("lerp", table().lerp, {&start, &end, &weight}, dtype, dtype);
  if (needs_grad(start, end, weight)) {
    record_pointwise("LerpBackward0", out, {&start, &end, &weight},
                     [ss = save(start, weight), se = save(end, weight), sw = save(in_formula(weight, dtype))](
                         const Tensor& g, Slots& d) {
                       const Tensor w = conj(sw.get());
                       if (d.wants(0)) d[0] = g * (1.0 - w);
                       if (d.wants(1)) d[1] = g * w;
                       if (d.wants(2)) d[2] = g * conj(se.get() - ss.get());
                     });
  }
  return out;
}

namespace {
Tensor float_power_in_place(const Tensor& self, const Tensor& exponent) {
  FASTNN_CHECK(self.dtype() == DType::Float64, ErrorKind::Runtime, "the base given to float_power_ has dtype ",
               self.dtype(), " but the operation's result requires dtype Double");
  return in_place(self, "float_power_", false, [&](const Tensor& old) { return float_power(old, exponent); });
}
Tensor pow_of_number(const Scalar& base, const Tensor& exponent) { return pow(base.wrapped(), exponent); }
constexpr unsigned kBinary = op_fn | op_method | op_inplace_direct | op_out;
using Scaled = Tensor (*)(const Tensor&, const Tensor&, const Scalar&);
using Plain = Tensor (*)(const Tensor&, const Tensor&);
using Rounded = Tensor (*)(const Tensor&, const Tensor&, std::optional<std::string_view>);
}  // namespace

FASTNN_OPS(elementwise_arithmetic) {
  op("add(Tensor|Scalar input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor", static_cast<Scaled>(&add), kBinary);
  op("sub(Tensor|Scalar input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor", static_cast<Scaled>(&sub), kBinary);
  op("subtract(Tensor|Scalar input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor", static_cast<Scaled>(&sub),
     kBinary);
  op("rsub(Tensor input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor", &rsub, op_fn);
  op("mul(Tensor|Scalar input, Tensor|Scalar other) -> Tensor", static_cast<Plain>(&mul), kBinary);
  op("multiply(Tensor|Scalar input, Tensor|Scalar other) -> Tensor", static_cast<Plain>(&mul), kBinary);
  op("div(Tensor|Scalar input, Tensor|Scalar other, *, str? rounding_mode=None) -> Tensor", static_cast<Rounded>(&div),
     kBinary);
  op("divide(Tensor|Scalar input, Tensor|Scalar other, *, str? rounding_mode=None) -> Tensor",
     static_cast<Rounded>(&div), kBinary);
  op("true_divide(Tensor|Scalar input, Tensor|Scalar other) -> Tensor", static_cast<Plain>(&div), kBinary);
  op("floor_divide(Tensor|Scalar input, Tensor|Scalar other) -> Tensor", &floor_divide, kBinary);
  op("remainder(Tensor input, Tensor|Scalar other) -> Tensor", &remainder, kBinary);
  op("remainder(Tensor|Scalar self, Tensor other) -> Tensor", &remainder, op_fn);
  op("fmod(Tensor input, Tensor|Scalar other) -> Tensor", &fmod, kBinary);
  op("pow(Tensor input, Scalar exponent) -> Tensor", static_cast<Tensor (*)(const Tensor&, const Scalar&)>(&pow),
     kBinary);
  op("pow(Tensor input, Tensor exponent) -> Tensor", static_cast<Plain>(&pow), kBinary);
  op("pow(Scalar self, Tensor exponent) -> Tensor", &pow_of_number, op_fn);
  op("float_power(Tensor input, Tensor|Scalar exponent) -> Tensor", &float_power, op_fn | op_method | op_out);
  op("float_power(Tensor|Scalar self, Tensor exponent) -> Tensor", &float_power, op_fn | op_out);
  op("float_power_(Tensor input, Tensor|Scalar exponent) -> Tensor", &float_power_in_place, op_method);
  op("atan2(Tensor input, Tensor other) -> Tensor", &atan2, kBinary);
  op("arctan2(Tensor input, Tensor other) -> Tensor", &atan2, kBinary);
  op("hypot(Tensor input, Tensor other) -> Tensor", &hypot, kBinary);
  op("copysign(Tensor input, Tensor|Scalar other) -> Tensor", &copysign, kBinary);
  op("logaddexp(Tensor input, Tensor other) -> Tensor", &logaddexp, op_fn | op_method | op_out);
  op("logaddexp2(Tensor input, Tensor other) -> Tensor", &logaddexp2, op_fn | op_method | op_out);
  op("xlogy(Tensor input, Tensor|Scalar other) -> Tensor", &xlogy, kBinary);
  op("xlogy(Tensor|Scalar self, Tensor other) -> Tensor", &xlogy, op_fn);
  op("heaviside(Tensor input, Tensor values) -> Tensor", &heaviside, kBinary);
  op("maximum(Tensor input, Tensor other) -> Tensor", &maximum, op_fn | op_method | op_out);
  op("minimum(Tensor input, Tensor other) -> Tensor", &minimum, op_fn | op_method | op_out);
  op("fmax(Tensor input, Tensor other) -> Tensor", &fmax, op_fn | op_method | op_out);
  op("fmin(Tensor input, Tensor other) -> Tensor", &fmin, op_fn | op_method | op_out);
  op("addcmul(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor", &addcmul, kBinary);
  op("addcdiv(Tensor input, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor", &addcdiv, kBinary);
  op("lerp(Tensor input, Tensor end, Tensor|Scalar weight) -> Tensor", &lerp, kBinary);
}

}  // namespace fastnn
