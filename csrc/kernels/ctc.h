// Connectionist temporal classification.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastnn {

// Contiguous log-probabilities [steps, batch, classes] of float or double. The labels of sample b are
// labels[label_begin[b]] and the label_count[b] - 1 that follow.
struct CtcBatch {
  std::int64_t steps, batch, classes, blank;
  const std::int64_t* labels;
  const std::int64_t* label_begin;
  const std::int64_t* label_count;
  const std::int64_t* step_count;
  std::int64_t states;  // 2 * the largest label_count + 1
};

struct CtcKernels {
  // losses [batch]; forward [batch, steps, states]: the log-probability of all ways to reach a state.
  void (*losses)(const View& losses, const View& forward, const View& log_probabilities, const CtcBatch& shape);
  // The gradient of each sample's loss, [steps, batch, classes]. With `zero_infinity` 0 where the loss is infinite.
  void (*gradient)(const View& gradient, const View& losses, const View& forward, const View& log_probabilities,
                   const CtcBatch& shape, bool zero_infinity);
};

}  // namespace fastnn
