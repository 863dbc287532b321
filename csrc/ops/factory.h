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
Tensor eye(std::int64_t n, std::int64_t m, DType dtype);
inline Tensor eye(std::int64_t n, DType dtype) { return eye(n, n, dtype); }
// Zeros above (below) a diagonal of the matrices; 0 is the main one.
Tensor tril(const Tensor& input, std::int64_t diagonal = 0);
Tensor triu(const Tensor& input, std::int64_t diagonal = 0);
// int64: start, start + step, ...
Tensor arange_int(std::int64_t count, std::int64_t start = 0, std::int64_t step = 1);

}  // namespace fastnn
