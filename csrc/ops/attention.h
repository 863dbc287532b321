// Scaled dot-product attention.
#pragma once

#include <optional>

#include "core/tensor.h"

namespace fastnn {

// softmax(query @ key^T * scale + mask) @ value over the last two dimensions; the others are a batch. `mask` may be
// undefined, bool (false: leave out) or a summand.
Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask,
                                    double dropout_p = 0, bool is_causal = false, std::optional<double> scale = {},
                                    bool enable_gqa = false);

}  // namespace fastnn
