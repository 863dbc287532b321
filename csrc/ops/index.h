// Reading and writing at places given by integer or boolean tensors.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "core/tensor.h"
#include "kernels/index.h"

namespace fastnn {

// input[indices]: one entry per dimension, undefined where the whole dimension is taken; at most input.ndim() entries.
Tensor index(const Tensor& input, const std::vector<Tensor>& indices);
// input with input[indices] = or += values.
Tensor index_put(const Tensor& input, const std::vector<Tensor>& indices, const Tensor& values,
                 bool accumulate = false);
Tensor index_select(const Tensor& input, std::int64_t dim, const Tensor& index);
Tensor index_add(const Tensor& input, std::int64_t dim, const Tensor& index, const Tensor& source,
                 const Scalar& alpha = Scalar(1));
Tensor gather(const Tensor& input, std::int64_t dim, const Tensor& index);
Tensor scatter(const Tensor& input, std::int64_t dim, const Tensor& index, const Tensor& src);
Tensor scatter_add(const Tensor& input, std::int64_t dim, const Tensor& index, const Tensor& src);
// A copy of `input` into which `source` was scattered along `dim`; no derivative.
Tensor scattered(const char* op, const Tensor& input, std::int64_t dim, const Tensor& index, const Tensor& source,
                 ScatterMode mode);
Tensor nonzero(const Tensor& input);
// The same as a tensor for each dimension.
std::vector<Tensor> nonzero_tuple(const Tensor& input);
Tensor masked_select(const Tensor& input, const Tensor& mask);

// In place, for `x[indices] = values` where x is a (view of a) tensor.
void index_put_in_place(const Tensor& self, const std::vector<Tensor>& indices, const Tensor& values, bool accumulate);

}  // namespace fastnn
