// Pooling in one, two and three dimensions.
#pragma once

#include <tuple>

#include "core/tensor.h"

namespace fastnn {

// Lists have one entry or one per spatial dimension; an empty stride is the kernel's size. The input is
// [batch, channels, spatial...] or [channels, spatial...]. Values and their places in the flattened spatial dimensions.
std::tuple<Tensor, Tensor> max_pool(const char* op, int spatial, const Tensor& input, IntSpan kernel, IntSpan stride,
                                    IntSpan padding, IntSpan dilation, bool ceil_mode);
Tensor avg_pool(const char* op, int spatial, const Tensor& input, IntSpan kernel, IntSpan stride, IntSpan padding,
                bool ceil_mode, bool count_include_pad, std::optional<std::int64_t> divisor);
// An output size of -1 is the input's.
Tensor adaptive_avg_pool(const char* op, int spatial, const Tensor& input, IntSpan size);
std::tuple<Tensor, Tensor> adaptive_max_pool(const char* op, int spatial, const Tensor& input, IntSpan size);

}  // namespace fastnn
