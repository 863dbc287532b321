// Normalisation by statistics of rows, channels or groups.
#pragma once

#include <optional>

#include "core/tensor.h"

namespace fastnn {

// Over the trailing dimensions `normalized_shape`; weight and bias (either may be undefined) have that shape.
Tensor layer_norm(const Tensor& input, IntSpan normalized_shape, const Tensor& weight, const Tensor& bias,
                  double eps = 1e-5);
Tensor rms_norm(const Tensor& input, IntSpan normalized_shape, const Tensor& weight, std::optional<double> eps = {});
// [samples, channels, ...]: statistics per sample and group of neighbouring channels.
Tensor group_norm(const Tensor& input, std::int64_t num_groups, const Tensor& weight, const Tensor& bias,
                  double eps = 1e-5);
// [samples, channels, ...]: statistics per channel, of the batch (then the running ones are updated) or the running
// ones.
Tensor batch_norm(const Tensor& input, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                  const Tensor& running_var, bool training, double momentum, double eps);

}  // namespace fastnn
