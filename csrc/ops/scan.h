// Running sums, products and extremes along a dimension.
#pragma once

#include <optional>
#include <tuple>

#include "core/tensor.h"

namespace fastnn {

Tensor cumsum(const Tensor& input, std::int64_t dim, std::optional<DType> dtype = {});
Tensor cumprod(const Tensor& input, std::int64_t dim, std::optional<DType> dtype = {});
Tensor logcumsumexp(const Tensor& input, std::int64_t dim);
std::tuple<Tensor, Tensor> cummax(const Tensor& input, std::int64_t dim);
std::tuple<Tensor, Tensor> cummin(const Tensor& input, std::int64_t dim);
// From the last element to the first.
Tensor cumsum_reversed(const Tensor& input, std::int64_t dim);
Tensor cumprod_reversed(const Tensor& input, std::int64_t dim);
// Differences of neighbours, n times.
Tensor diff(const Tensor& input, std::int64_t n, std::int64_t dim, const Tensor& prepend, const Tensor& append);

}  // namespace fastnn
