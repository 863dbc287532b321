// Running sums and extremes along the middle dimension of contiguous views [outer, n, inner].
#pragma once

#include "core/view.h"

namespace fastnn {

struct ScanKernels {
  // `reverse` runs from the end. Floats accumulate in double, integers in int64.
  using Scan = void (*)(const View& out, const View& in, bool reverse);
  // The extreme so far and its position (int64): the last of equal elements, as PyTorch; NaN comes before everything.
  using Extreme = void (*)(const View& values, const View& indices, const View& in);

  Scan cumsum, cumprod, logcumsumexp;
  Extreme cummax, cummin;
};

}  // namespace fastnn
