// Order: sorting, selection by rank, unique elements, searching and counting.
#pragma once

#include <optional>
#include <tuple>

#include "core/tensor.h"

namespace fastnn {

std::tuple<Tensor, Tensor> sort(const Tensor& input, std::int64_t dim = -1, bool descending = false);
Tensor argsort(const Tensor& input, std::int64_t dim = -1, bool descending = false);
std::tuple<Tensor, Tensor> topk(const Tensor& input, std::int64_t k, std::int64_t dim = -1, bool largest = true,
                                bool sorted = true);
// The k-th smallest, from 1.
std::tuple<Tensor, Tensor> kthvalue(const Tensor& input, std::int64_t k, std::int64_t dim = -1, bool keepdim = false);
std::tuple<Tensor, Tensor> median(const Tensor& input, std::int64_t dim, bool keepdim = false);
std::tuple<Tensor, Tensor> mode(const Tensor& input, std::int64_t dim = -1, bool keepdim = false);
Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool right, DType result, const Tensor& sorter);
Tensor bincount(const Tensor& input, const Tensor& weights, std::int64_t minlength);
Tensor histc(const Tensor& input, std::int64_t bins, double low, double high);

}  // namespace fastnn
