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
Tensor slice(const Tensor& input, std::int64_t dim, std::optional<std::int64_t> start, std::optional<std::int64_t> end,
             std::int64_t step = 1);
Tensor narrow(const Tensor& input, std::int64_t dim, std::int64_t start, std::int64_t length);
Tensor detach(const Tensor& input);
Tensor squeeze_all(const Tensor& input);
Tensor squeeze_dims(const Tensor& input, IntSpan dims);
Tensor flatten(const Tensor& input, std::int64_t start_dim = 0, std::int64_t end_dim = -1);
Tensor movedim(const Tensor& input, IntSpan source, IntSpan destination);
Tensor diagonal(const Tensor& input, std::int64_t offset = 0, std::int64_t dim1 = 0, std::int64_t dim2 = 1);
Tensor repeat(const Tensor& input, IntSpan repeats);
Tensor flip(const Tensor& input, IntSpan dims);
Tensor roll(const Tensor& input, IntSpan shifts, IntSpan dims);
// The tensor itself, as a view.
Tensor make_view_like(const Tensor& input);
// Derivatives of views: zeros of `sizes` (or of the input's geometry) with the gradient in the view's place.
Tensor embed_slice(const Tensor& part, const Dims& sizes, int dim, std::int64_t start, std::int64_t step);
Tensor diagonal_backward(const Tensor& g, const Dims& sizes, std::int64_t offset, int a, int b);
Tensor as_strided_backward(const Tensor& g, const Dims& in_size, const Dims& in_stride, std::int64_t in_offset,
                           const Dims& out_size, const Dims& out_stride, std::int64_t out_offset);
Tensor as_strided_view(const char* name, const Tensor& input, const Dims& sizes, const Dims& strides);
std::vector<Tensor> split(const Tensor& input, std::int64_t split_size, std::int64_t dim = 0);
std::vector<Tensor> chunk(const Tensor& input, std::int64_t chunks, std::int64_t dim = 0);
std::vector<Tensor> unbind(const Tensor& input, std::int64_t dim = 0);
Tensor cat(TensorList tensors, std::int64_t dim = 0);
Tensor stack(TensorList tensors, std::int64_t dim = 0);
std::vector<Tensor> split_with_sizes(const Tensor& input, IntSpan sizes, std::int64_t dim = 0);
// Sums over the dimensions in which `sizes` was broadcast to the shape of `input`.
Tensor sum_to_size(const Tensor& input, IntSpan sizes);

}  // namespace fastnn
