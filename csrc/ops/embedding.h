// Tables of vectors, looked up by integers.
#pragma once

#include <optional>

#include "core/tensor.h"

namespace fastnn {

// weight[indices]; row `padding_idx` gets no gradient (-1: none).
Tensor embedding(const Tensor& weight, const Tensor& indices, std::int64_t padding_idx = -1,
                 bool scale_grad_by_freq = false, bool sparse = false);
Tensor one_hot(const Tensor& tensor, std::int64_t num_classes = -1);

}  // namespace fastnn
