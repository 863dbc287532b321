// Optimizer steps: one pass over memory for all parameters of a group.
#pragma once

#include <span>

#include "core/view.h"

namespace fastnn {

// Views of one entry have the same dense geometry: element i of each is i elements after the start of its data.
// They are float16, bfloat16, float32 or float64, and may differ in it; 16-bit values widen to float32 and are rounded
// once at the end. No two entries overlap.

struct SgdEntry {
  View param;
  View grad;
  View momentum_buffer;  // only with momentum
};

struct SgdOptions {
  double lr;
  double momentum;
  double dampening;
  double weight_decay;
  bool nesterov;
  bool maximize;
  bool first_step;  // the momentum buffers are uninitialised, and become the gradient
};

struct AdamEntry {
  View param;
  View grad;
  View exp_avg;
  View exp_avg_sq;
  View max_exp_avg_sq;  // only with amsgrad
  View step;            // one float32 or float64, counted up
};

struct AdamOptions {
  double lr;
  double beta1;
  double beta2;
  double eps;
  double weight_decay;
  bool decoupled;  // the decay shrinks the parameter instead of entering the gradient
  bool amsgrad;
  bool maximize;
};

struct OptimKernels {
  void (*sgd)(std::span<const SgdEntry> entries, const SgdOptions& options);
  void (*adam)(std::span<const AdamEntry> entries, const AdamOptions& options);
};

}  // namespace fastnn
