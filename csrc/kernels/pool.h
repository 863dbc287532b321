// Pooling over windows of the last three dimensions.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastnn {

// The windows along one dimension: output position i looks at input positions begin[i], begin[i] + step, ... < end[i].
// `extent` is what it contributes to the divisor of a mean.
struct PoolWindows {
  std::int64_t in, out;
  const std::int64_t* begin;
  const std::int64_t* end;
  const std::int64_t* extent;
  std::int64_t step;
};

// Contiguous tensors [planes, points]: input points in[0] * in[1] * in[2], output points likewise.
struct PoolGeometry {
  std::int64_t planes;
  PoolWindows window[3];
  double divisor;  // of a mean, instead of the extents, when not 0
};

struct PoolKernels {
  // The largest element of each window and its place in the plane (the last of NaNs, otherwise the first).
  void (*largest)(const View& values, const View& indices, const View& input, const PoolGeometry& shape);
  // input[planes, indices]
  void (*pick)(const View& values, const View& input, const View& indices, const PoolGeometry& shape);
  // Adds each value to the place in its plane that `indices` names; the rest is zero.
  void (*place)(const View& input, const View& values, const View& indices, const PoolGeometry& shape);
  void (*mean)(const View& values, const View& input, const PoolGeometry& shape);
  // The transpose of mean.
  void (*spread)(const View& input, const View& values, const PoolGeometry& shape);
};

}  // namespace fastnn
