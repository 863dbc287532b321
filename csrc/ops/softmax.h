// Softmax and its kin.
#pragma once

#include <optional>

#include "core/tensor.h"

namespace fastnn {

Tensor softmax(const Tensor& input, std::int64_t dim, std::optional<DType> dtype = {});
Tensor log_softmax(const Tensor& input, std::int64_t dim, std::optional<DType> dtype = {});
// log of the sum of the exponentials over some dimensions.
Tensor logsumexp(const Tensor& input, IntSpan dim, bool keepdim = false);

}  // namespace fastnn
