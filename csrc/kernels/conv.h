// Convolution and its two gradients.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastnn {

inline constexpr int kSpatial = 3;

// Three spatial dimensions; those that a tensor lacks have size 1. `padding` is the one before the first element: the
// one after the last follows from `out`.
struct ConvGeometry {
  std::int64_t batch;
  std::int64_t groups;
  std::int64_t in_channels, out_channels;  // of all groups
  std::int64_t in[kSpatial], out[kSpatial], kernel[kSpatial];
  std::int64_t stride[kSpatial], padding[kSpatial], dilation[kSpatial];
};

// Contiguous tensors of one floating dtype: input [batch, in_channels, in...], weight [out_channels, in_channels /
// groups, kernel...], output [batch, out_channels, out...]. 16-bit floats are summed in float32.
struct ConvKernels {
  // `bias` [out_channels] may be null.
  void (*forward)(const View& output, const View& input, const View& weight, const View* bias,
                  const ConvGeometry& shape);
  // `bias` [in_channels] may be null: this is the forward of the transposed convolution.
  void (*input_gradient)(const View& input_gradient, const View& gradient, const View& weight, const View* bias,
                         const ConvGeometry& shape);
  void (*weight_gradient)(const View& weight_gradient, const View& input, const View& gradient,
                          const ConvGeometry& shape);
};

}  // namespace fastnn
