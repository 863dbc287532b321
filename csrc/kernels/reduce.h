// Reductions: a function of all elements along some dimensions.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastnn {

// What is done with the accumulated value before it is stored.
struct ReduceParams {
  const char* op = "";  // for error messages
  double divisor = 1;   // the value is divided by this
  bool root = false;    // and its square root taken
};

// Reduces the last `reduced` dimensions of `in`; the dimensions before them are those of `out`, which is contiguous.
// Accumulates in a type no narrower than those of `in` and `out`: integers in int64, 16-bit floats in float32, whose
// blocks of at most a thousand are summed in double. The result does not depend on the number of threads.
// `context`, where a reduction needs one, has a value for each element of `out`, contiguous, in the type of
// accumulation.
using Reduction = void (*)(const View& out, const View& in, int reduced, const View* context,
                           const ReduceParams& params);

// Value and position of one element along the last dimension of `in`; `values` (may have no data) and the int64
// `indices` are contiguous and have the other dimensions. The first of equal elements; NaN comes before everything.
using Selection = void (*)(const View& values, const View& indices, const View& in, const ReduceParams& params);

struct ReduceKernels {
  Reduction sum, nansum, sum_abs, sum_squares, prod, amax, amin;
  Reduction any, all, count_nonzero;
  // sum of (x - context)^2
  Reduction sum_square_deviations;
  Selection argmax, argmin;
};

}  // namespace fastnn
