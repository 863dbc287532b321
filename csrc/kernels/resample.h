// Resizing of images and signals: along each axis an output position is a weighted sum of input positions.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastnn {

inline constexpr int kResampled = 3;

// Output position i is the sum over k in [begin[i], begin[i + 1]) of weight[k] * input position place[k].
struct ResampleAxis {
  std::int64_t in, out;
  const std::int64_t* begin;
  const std::int64_t* place;
  const double* weight;
};

// Contiguous tensors [planes, points]: input points axis[0].in * axis[1].in * axis[2].in, output points likewise.
struct ResampleGeometry {
  std::int64_t planes;
  ResampleAxis axis[kResampled];
  bool picks;  // every output position is one input position
};

struct ResampleKernels {
  // Any dtype if the geometry picks, else a floating one; 16-bit floats are rounded once.
  void (*floating)(const View& output, const View& input, const ResampleGeometry& shape);
  // uint8 in fixed point, as image libraries do: the last axis first, rounded to uint8 after each.
  void (*bytes)(const View& output, const View& input, const ResampleGeometry& shape);
};

}  // namespace fastnn
