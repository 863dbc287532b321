// Elementwise kernels: out[i] = f(in0[i], in1[i], ...), with broadcasting, any strides, any dtypes.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastnn {

// Numbers that an elementwise operation takes beside its tensors, as double and as integer.
struct Params {
  const char* op = "";  // for error messages
  double d[4] = {};
  std::int64_t i[4] = {};
};

// Inputs broadcast to `out` and are converted to `compute` on the way; so is the result to the dtype of `out`.
// `compute` is never a 16-bit float. `out` may be the same memory as an input if the geometry is the same.
using Pointwise = void (*)(const View& out, const View* inputs, DType compute, const Params& params);

struct ElementwiseKernels {
  // out = in0, converted
  Pointwise copy;
  // two operands
  Pointwise add, sub, mul, div;
};

}  // namespace fastnn
