// Elementwise kernels: out[i] = f(in0[i], in1[i], ...), with broadcasting, any strides, any dtypes.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastnn {

// Numbers that an elementwise operation takes beside its tensors, as double and as integer. A complex number takes two
// places of `d`.
struct Params {
  const char* op = "";  // for error messages
  double d[4] = {};
  std::int64_t i[4] = {};
};

// Inputs broadcast to `out` and are converted to `compute` on the way; so is the result to the dtype of `out`.
// `compute` is never a 16-bit float, except for kernels that only move elements (copy, fill, where).
// `out` may be the same memory as an input if the geometry is the same.
using Pointwise = void (*)(const View& out, const View* inputs, DType compute, const Params& params);

struct ElementwiseKernels {
  // out = in0, converted
  Pointwise copy;
  // d[0] (complex: d[0] and d[1]) or, for integers and bool, i[0]; the bits in i[0] for 16-bit floats
  Pointwise fill;
  // in0 (bool) ? in1 : in2
  Pointwise where;
  // two operands; the integer divisions raise for zero
  Pointwise add, sub, mul, div, div_floor, div_trunc, remainder, fmod, pow;
  Pointwise atan2, hypot, maximum, minimum, fmax, fmin, copysign, logaddexp, logaddexp2, xlogy, heaviside;
  // in0 + number in1
  Pointwise add_scaled;
  // in0 + number in1 in2, in0 + number in1 / in2, in0 + (in1 - in0) in2
  Pointwise addcmul, addcdiv, lerp;
  // min(max(in0, i or d [0]), i or d [1]), with tensors, and in0 where in1 is within the bounds
  Pointwise clamp, clamp_tensors, clamp_backward;
  // NaN, inf, -inf become d[0], d[1], d[2]
  Pointwise nan_to_num;
};

struct UnaryKernels {
  // `sign` of a complex number is z / |z|; `conj` is only for those.
  Pointwise neg, abs, sign, conj, square, reciprocal, sqrt, rsqrt;
  Pointwise exp, exp2, expm1, log, log2, log10, log1p;
  Pointwise sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, asinh, acosh, atanh;
  Pointwise sigmoid, erf, erfc, erfinv, lgamma, digamma, polygamma;  // polygamma: order i[0]
  Pointwise floor, ceil, round, trunc, frac, round_decimals;         // i[0] decimals
};

// Results are bool, except those of the bitwise ones.
struct CompareKernels {
  Pointwise eq, ne, lt, le, gt, ge;
  Pointwise logical_and, logical_or, logical_xor, logical_not;
  Pointwise bitwise_and, bitwise_or, bitwise_xor, bitwise_not, shift_left, shift_right;
  Pointwise isnan, isinf, isfinite, isposinf, isneginf, signbit;
};

// The parameters of an activation and of its backward kernel are the same. The inputs of a backward kernel are the
// gradient of the result, and what its name says: the input (default) or the result.
struct ActivationKernels {
  Pointwise relu;
  Pointwise threshold, threshold_backward;                // d: threshold, value
  Pointwise leaky_relu, leaky_relu_backward;              // d: slope; from input or result
  Pointwise elu, elu_backward, elu_backward_from_result;  // d: alpha, scale, input_scale
  Pointwise hardtanh_backward;                            // d: min, max; from input or result
  Pointwise sigmoid_backward_from_result, tanh_backward_from_result;
  Pointwise gelu, gelu_backward, gelu_tanh, gelu_tanh_backward;
  Pointwise silu, silu_backward, mish, mish_backward;
  Pointwise softplus, softplus_backward;  // d: beta, threshold
  Pointwise logsigmoid, logsigmoid_backward;
  Pointwise hardsigmoid, hardsigmoid_backward, hardswish, hardswish_backward;
  Pointwise hardshrink, softshrink, shrink_backward;  // d: lambda
};

}  // namespace fastnn
