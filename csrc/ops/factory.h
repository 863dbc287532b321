// Tensors out of nothing.
#pragma once

#include <optional>

#include "core/tensor.h"

namespace fastnn {

Tensor zeros(IntSpan sizes, DType dtype);
Tensor ones(IntSpan sizes, DType dtype);
Tensor full(IntSpan sizes, const Scalar& value, DType dtype);
Tensor zeros_like(const Tensor& like);
Tensor ones_like(const Tensor& like);
// int64: start, start + step, ...
Tensor arange_int(std::int64_t count, std::int64_t start = 0, std::int64_t step = 1);

}  // namespace fastnn
