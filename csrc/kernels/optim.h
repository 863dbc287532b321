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

// One float32 or float64 that counts steps.
inline double count_up(const View& step) {
  if (step.dtype == DType::Float64) return *step.as<double>() += 1;
  return static_cast<double>(*step.as<float>() += 1);
}

// The other optimizers are rules of one form: from the gradient and up to three states of an element, and from
// coefficients that the caller has computed for this step, to the next states and parameter. Listed after each rule
// are its states, then its coefficients.
enum class Rule : std::uint8_t {
  Adadelta,         // square_avg, acc_delta; rho, 1 - rho, eps, lr
  Adagrad,          // sum; step size, eps
  Adamax,           // exp_avg, exp_inf; 1 - beta1, beta1, beta2, eps, step size
  Asgd,             // ax; shrink, eta, mu
  NAdam,            // exp_avg, exp_avg_sq; shrink, 1 - beta1, beta1, beta2, 1 - beta2, eps, 1 - beta2^t,
                    //   step sizes of the gradient and of the average
  RAdam,            // exp_avg, exp_avg_sq; shrink, 1 - beta1, beta1, beta2, 1 - beta2, eps, step size, rectified
  RMSprop,          // square_avg; alpha, 1 - alpha, eps, lr, momentum
  CenteredRMSprop,  // square_avg, grad_avg; the same
  MomentumRMSprop,  // square_avg, momentum_buffer; the same
  CenteredMomentumRMSprop,  // square_avg, grad_avg, momentum_buffer; the same
  Rprop,                    // prev, step_size; etaminus, etaplus, least and largest step size
};
inline constexpr int kRuleStates = 3;
inline constexpr int kRuleCoefficients = 9;

struct RuleEntry {
  View param;
  View grad;
  View states[kRuleStates];
  double coefficients[kRuleCoefficients] = {};
};

struct RuleOptions {
  Rule rule;
  double weight_decay;  // times the parameter enters the gradient
  bool maximize;
};

struct OptimKernels {
  void (*sgd)(std::span<const SgdEntry> entries, const SgdOptions& options);
  void (*adam)(std::span<const AdamEntry> entries, const AdamOptions& options);
  void (*rule)(std::span<const RuleEntry> entries, const RuleOptions& options);
};

}  // namespace fastnn
