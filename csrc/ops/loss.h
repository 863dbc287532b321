// Losses with kernels of their own. `reduction`: none, mean or sum.
#pragma once

#include <optional>
#include <string_view>

#include "core/tensor.h"

namespace fastnn {

// Of logits [classes], [samples, classes] or [samples, classes, ...] and class indices, or probabilities in the input's
// shape.
Tensor cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight, std::int64_t ignore_index,
                     std::string_view reduction, double label_smoothing);
// Of log-probabilities and class indices.
Tensor nll_loss(const Tensor& input, const Tensor& target, const Tensor& weight, std::int64_t ignore_index,
                std::string_view reduction);
Tensor mse_loss(const Tensor& input, const Tensor& target, std::string_view reduction);
Tensor binary_cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight,
                            std::string_view reduction);
Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target, const Tensor& weight,
                                        const Tensor& pos_weight, std::string_view reduction);

}  // namespace fastnn
