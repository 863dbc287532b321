// Normalisation: forward and backward passes over contiguous views of floating dtype.
#pragma once

#include "core/view.h"

namespace fastnn {

// Optional views have no data. Statistics (`mean`, `rstd`) are in the type of computation: float32, or float64.
struct NormKernels {
  // Rows of `in` [rows, n], each by its own statistics: layer norm; without `mean`, root mean square norm.
  // `weight` and `bias` have n elements.
  void (*rows)(const View& out, const View& mean, const View& rstd, const View& in, const View& weight,
               const View& bias, double eps);
  void (*rows_backward)(const View& grad_in, const View& grad_weight, const View& grad_bias, const View& grad_out,
                        const View& in, const View& mean, const View& rstd, const View& weight);

  // `in` is [samples, channels, inner]; statistics are [channels] (batch norm) or [samples, groups] (group norm), where
  // a group is channels / groups neighbouring channels. `weight` and `bias` have a value for each channel.
  void (*channels)(const View& out, const View& in, const View& mean, const View& rstd, const View& weight,
                   const View& bias);
  // `fixed_statistics`: mean and rstd do not depend on the input (evaluation mode).
  void (*channels_backward)(const View& grad_in, const View& grad_weight, const View& grad_bias, const View& grad_out,
                            const View& in, const View& mean, const View& rstd, const View& weight,
                            bool fixed_statistics);
  // rstd = 1 / sqrt(variance + eps)
  void (*inverse_root)(const View& rstd, const View& variance, double eps);
  // running = (1 - momentum) * running + momentum * scale * batch
  void (*update_running)(const View& running, const View& batch, double momentum, double scale);
};

}  // namespace fastnn
