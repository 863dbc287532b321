// Convolutions in one, two and three dimensions, and their transposes.
#pragma once

#include <string_view>

#include "core/tensor.h"

namespace fastnn {

// Lists have an entry per spatial dimension.
struct ConvOptions {
  IntSpan stride;
  IntSpan padding;
  IntSpan dilation;
  std::int64_t groups = 1;
};

// input [batch, in, spatial...] (or without batch), weight [out, in / groups, kernel...], bias [out] or undefined.
Tensor convolution(const char* op, const Tensor& input, const Tensor& weight, const Tensor& bias,
                   const ConvOptions& options);
// input [batch, in, spatial...] (or without batch), weight [in, out / groups, kernel...], bias [out] or undefined.
Tensor transposed_convolution(const char* op, const Tensor& input, const Tensor& weight, const Tensor& bias,
                              const ConvOptions& options, IntSpan output_padding);

Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias, IntSpan stride, IntSpan padding,
              IntSpan dilation, std::int64_t groups);

}  // namespace fastnn
