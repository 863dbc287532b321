// Padding of the last dimensions.
#pragma once

#include <optional>
#include <string_view>

#include "core/tensor.h"

namespace fastnn {

// `pad` has pairs (before, after) for the last dimension, the one before it, and so on; negative ones crop.
Tensor constant_pad(const Tensor& input, IntSpan pad, double value = 0);
// mode: constant, reflect, replicate or circular; the last three pad one to three spatial dimensions.
Tensor pad(const Tensor& input, IntSpan pad, std::string_view mode, std::optional<double> value);

}  // namespace fastnn
