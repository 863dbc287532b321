// Views and shapes.
#pragma once

#include <optional>
#include <vector>

#include "core/tensor.h"

namespace fastnn {

Tensor as_strided(const Tensor& input, IntSpan size, IntSpan stride, std::optional<std::int64_t> storage_offset);
Tensor view(const Tensor& input, IntSpan size);
Tensor reshape(const Tensor& input, IntSpan size);
Tensor expand(const Tensor& input, IntSpan size);
Tensor permute(const Tensor& input, IntSpan dims);
Tensor transpose(const Tensor& input, std::int64_t dim0, std::int64_t dim1);
Tensor squeeze(const Tensor& input, std::int64_t dim);
Tensor unsqueeze(const Tensor& input, std::int64_t dim);
Tensor select(const Tensor& input, std::int64_t dim, std::int64_t index);
Tensor slice(const Tensor& input, std::int64_t dim, std::optional<std::int64_t> start,
             std::optional<std::int64_t> end, std::int64_t step = 1);
Tensor narrow(const Tensor& input, std::int64_t dim, std::int64_t start, std::int64_t length);
Tensor detach(const Tensor& input);
Tensor cat(TensorList tensors, std::int64_t dim = 0);
Tensor stack(TensorList tensors, std::int64_t dim = 0);
std::vector<Tensor> split_with_sizes(const Tensor& input, IntSpan sizes, std::int64_t dim = 0);
// Sums over the dimensions in which `sizes` was broadcast to the shape of `input`.
Tensor sum_to_size(const Tensor& input, IntSpan sizes);

}  // namespace fastnn
