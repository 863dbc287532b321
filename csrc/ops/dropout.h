// Dropout.
#pragma once

#include "core/tensor.h"

namespace fastnn {

// Each element zeroed with probability p, the others divided by 1 - p; the input itself unless `train`.
Tensor dropout(const Tensor& input, double p, bool train);

}  // namespace fastnn
