// Losses that are more than a formula of elementwise operations.
#pragma once

#include "kernels/elementwise.h"

namespace fastnn {

struct ClassLoss {
  std::int64_t ignore_index = -100;
  double label_smoothing = 0;
  bool log_probabilities = false;  // the input is normalised already
};

// What the forward pass of a class loss finds on its way.
struct ClassLossTotals {
  double loss = 0;
  double weight = 0;          // of the targets that count
  bool out_of_range = false;  // a target is no class; it is `bad_target`
  std::int64_t bad_target = 0;
};

struct LossKernels {
  // `in` [samples, classes, inner] contiguous, `target` [samples, inner] contiguous int64 or uint8, `weight` [classes]
  // in the type of computation, or without data. Writes the loss (in the type of computation) and the logarithm of the
  // sum of exponentials of every position.
  void (*class_loss)(const View& losses, const View& log_sums, const View& in, const View& target, const View& weight,
                     const ClassLoss& options, ClassLossTotals& totals);
  // grad_in, from the gradient `g` of each position's loss (or of all, if it has one element) times `scale`.
  void (*class_loss_backward)(const View& grad_in, const View& g, double scale, const View& log_sums, const View& in,
                              const View& target, const View& weight, const ClassLoss& options);

  // Elementwise: input, target.
  Pointwise bce_with_logits, bce_with_logits_backward;
};

}  // namespace fastnn
