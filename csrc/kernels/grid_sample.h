// Sampling of images at places between their elements.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastnn {

enum class SampleMode : std::uint8_t { Linear, Nearest, Cubic };
enum class SamplePadding : std::uint8_t { Zeros, Border, Reflection };

struct SampleOptions {
  SampleMode mode = SampleMode::Linear;
  SamplePadding padding = SamplePadding::Zeros;
  bool align_corners = false;
};

// float or double, contiguous: image [batch, channels, sizes...] with two or three sizes, grid [batch, points, two or
// three coordinates, that of the last size first], output [batch, channels, points].
struct GridSampleKernels {
  void (*forward)(const View& output, const View& image, const View& grid, const SampleOptions& options);
  // Either result may be null.
  void (*backward)(const View* image_gradient, const View* grid_gradient, const View& gradient, const View& image,
                   const View& grid, const SampleOptions& options);
};

}  // namespace fastnn
