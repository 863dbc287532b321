// Optimizer steps over many tensors at once. They are no part of the graph: parameters are written as memory.
#include <algorithm>
#include <cmath>
#include <vector>

#include "autograd/record.h"
#include "kernels/table.h"
#include "ops/complex.h"
#include "ops/elementwise.h"
#include "ops/registry.h"

namespace fastnn {
namespace {

// A tensor list as an argument of a step, and the name that errors give it.
struct Role {
  const char* name;
  TensorList tensors;
};

bool overlaps_itself(const Tensor& tensor) {
  for (int d = 0; d < tensor.ndim(); ++d) {
    if (tensor.sizes()[d] > 1 && tensor.strides()[d] == 0) return true;
  }
  return false;
}

void check_lists(const char* op, TensorList params, std::span<const Role> others) {
  for (const Role& role : others) {
    FASTNN_CHECK(role.tensors.size() == params.size(), ErrorKind::Value, op, ": params has ", params.size(),
                 " tensors, but ", role.name, " has ", role.tensors.size());
  }
  for (std::size_t i = 0; i < params.size(); ++i) {
    FASTNN_CHECK(params[i].is_floating(), ErrorKind::Runtime, op, ": params[", i, "] has dtype ",
                 info(params[i].dtype()).name, ", but only floating point tensors can be optimized");
    FASTNN_CHECK(!overlaps_itself(params[i]), ErrorKind::Runtime, op, ": params[", i,
                 "] has elements that share memory; clone() it first");
    for (const Role& role : others) {
      const Tensor& other = role.tensors[i];
      FASTNN_CHECK(other.is_floating(), ErrorKind::Runtime, op, ": ", role.name, "[", i, "] has dtype ",
                   info(other.dtype()).name, ", expected a floating point tensor");
      FASTNN_CHECK(other.sizes() == params[i].sizes(), ErrorKind::Runtime, op, ": ", role.name, "[", i, "] has shape ",
                   other.sizes(), ", but params[", i, "] has shape ", params[i].sizes());
    }
  }
}

// Numbers that belong to a parameter, such as the count of its steps.
void check_numbers(const char* op, TensorList params, const Role& role) {
  FASTNN_CHECK(role.tensors.size() == params.size(), ErrorKind::Value, op, ": params has ", params.size(),
               " tensors, but ", role.name, " has ", role.tensors.size());
  for (const Tensor& number : role.tensors) {
    FASTNN_CHECK(number.numel() == 1 && (number.dtype() == DType::Float32 || number.dtype() == DType::Float64),
                 ErrorKind::Runtime, op, ": ", role.name, " must be one float32 or float64 each, but got shape ",
                 number.sizes(), " and dtype ", info(number.dtype()).name);
  }
}

double number(const Tensor& tensor) {
  return tensor.dtype() == DType::Float64 ? *tensor.as<double>() : static_cast<double>(*tensor.as<float>());
}
void set_number(const Tensor& tensor, double value) {
  if (tensor.dtype() == DType::Float64) {
    *tensor.as<double>() = value;
  } else {
    *tensor.as<float>() = static_cast<float>(value);
  }
}
// Multiplied in the precision in which it is stored.
double multiply_number(const Tensor& tensor, double factor) {
  if (tensor.dtype() == DType::Float64) return *tensor.as<double>() *= factor;
  return static_cast<double>(*tensor.as<float>() *= static_cast<float>(factor));
}

// The tensors of one entry in one dense geometry. Those that lie in memory in another order are copied, and what is
// written comes back in `finish`.
class Dense {
 public:
  explicit Dense(const Tensor& param)
      : strides_(param.strides()), dense_(param.is_contiguous() || is_dense(param.sizes(), param.strides())) {}
  View view(const Tensor& tensor, bool written) {
    const bool fits = dense_ ? tensor.strides() == strides_ || (tensor.is_contiguous() && is_row_major(tensor))
                             : tensor.is_contiguous();
    if (fits) return tensor.view();
    const Tensor copy = dense_ ? copy_like(tensor) : clone(tensor.detached(), true);
    copies_.push_back({tensor, copy, written});
    return copy.view();
  }
  void finish() const {
    for (const Copy& copy : copies_) {
      if (copy.written) copy_raw(copy.tensor, copy.dense);
    }
  }

 private:
  struct Copy {
    Tensor tensor;
    Tensor dense;
    bool written;
  };
  // Contiguous tensors may differ in the strides of dimensions of size 1.
  bool is_row_major(const Tensor& tensor) const {
    View view = tensor.view();
    view.strides = strides_.data();
    return view.contiguous();
  }
  Tensor copy_like(const Tensor& tensor) const {
    Tensor copy = Tensor::empty_strided(tensor.sizes(), strides_, tensor.dtype());
    copy_raw(copy, tensor.detached());
    return copy;
  }

  Dims strides_;
  bool dense_;
  std::vector<Copy> copies_;
};

// Whether two parameters share memory: one that is listed twice, or views of the same tensor.
bool any_overlap(TensorList params) {
  std::vector<std::pair<const char*, const char*>> ranges;
  ranges.reserve(params.size());
  for (const Tensor& param : params) {
    if (param.numel() == 0) continue;
    std::int64_t last = 0;
    for (int d = 0; d < param.ndim(); ++d) last += (param.sizes()[d] - 1) * param.strides()[d];
    const char* begin = param.as<const char>();
    ranges.emplace_back(begin, begin + (last + 1) * itemsize(param.dtype()));
  }
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) return true;
  }
  return false;
}

// Complex tensors as their parts: a step treats each part as a number of its own.
class Parts {
 public:
  explicit Parts(TensorList tensors) : tensors_(tensors.begin(), tensors.end()) {
    for (Tensor& tensor : tensors_) {
      if (tensor.is_complex()) tensor = view_as_real(tensor.detached());
    }
  }
  operator TensorList() const { return tensors_; }

 private:
  std::vector<Tensor> tensors_;
};
bool any_complex(TensorList tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const Tensor& tensor) { return tensor.is_complex(); });
}

// Makes the entries and launches the kernel: once for all, or one after the other where parameters share memory.
template <class Entry, class Options, class Make>
void launch_step(TensorList params, const Options& options, Make&& make,
                 void (*kernel)(std::span<const Entry>, const Options&)) {
  const bool one_by_one = any_overlap(params);
  std::vector<Dense> dense;
  std::vector<Entry> entries;
  dense.reserve(params.size());
  entries.reserve(params.size());
  for (std::size_t i = 0; i < params.size(); ++i) {
    entries.push_back(make(dense.emplace_back(params[i]), i));
    if (one_by_one) {
      kernel({&entries.back(), 1}, options);
      dense.back().finish();
    }
  }
  if (one_by_one) return;
  kernel(entries, options);
  for (const Dense& item : dense) item.finish();
}

void bump_versions(TensorList tensors) {
  for (const Tensor& tensor : tensors) bump_version(tensor);
}

void sgd_step(TensorList params, TensorList grads, TensorList momentum_buffers, double lr, double momentum,
              double dampening, double weight_decay, bool nesterov, bool maximize, bool first_step) {
  if (any_complex(params)) {
    return sgd_step(Parts(params), Parts(grads), Parts(momentum_buffers), lr, momentum, dampening, weight_decay,
                    nesterov, maximize, first_step);
  }
  static constexpr const char* kOp = "SGD.step()";
  const bool buffered = momentum != 0;
  const Role roles[] = {{"grads", grads}, {"momentum_buffers", momentum_buffers}};
  check_lists(kOp, params, std::span(roles, buffered ? 2 : 1));
  const SgdOptions options = {lr, momentum, dampening, weight_decay, nesterov, maximize, first_step};
  const auto make = [&](Dense& dense, std::size_t i) {
    SgdEntry entry;
    entry.param = dense.view(params[i], true);
    entry.grad = dense.view(grads[i], false);
    if (buffered) entry.momentum_buffer = dense.view(momentum_buffers[i], true);
    return entry;
  };
  launch_step<SgdEntry>(params, options, make, kernels().optim->sgd);
  bump_versions(params);
  if (buffered) bump_versions(momentum_buffers);
}

void adam_step(TensorList params, TensorList grads, TensorList exp_avgs, TensorList exp_avg_sqs,
               TensorList max_exp_avg_sqs, TensorList steps, double lr, double beta1, double beta2, double eps,
               double weight_decay, bool decoupled, bool amsgrad, bool maximize) {
  if (any_complex(params)) {
    return adam_step(Parts(params), Parts(grads), Parts(exp_avgs), Parts(exp_avg_sqs), Parts(max_exp_avg_sqs), steps,
                     lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize);
  }
  static constexpr const char* kOp = "Adam.step()";
  const Role roles[] = {
      {"grads", grads}, {"exp_avgs", exp_avgs}, {"exp_avg_sqs", exp_avg_sqs}, {"max_exp_avg_sqs", max_exp_avg_sqs}};
  check_lists(kOp, params, std::span(roles, amsgrad ? 4 : 3));
  check_numbers(kOp, params, {"steps", steps});
  const AdamOptions options = {lr, beta1, beta2, eps, weight_decay, decoupled, amsgrad, maximize};
  const auto make = [&](Dense& dense, std::size_t i) {
    AdamEntry entry;
    entry.param = dense.view(params[i], true);
    entry.grad = dense.view(grads[i], false);
    entry.exp_avg = dense.view(exp_avgs[i], true);
    entry.exp_avg_sq = dense.view(exp_avg_sqs[i], true);
    if (amsgrad) entry.max_exp_avg_sq = dense.view(max_exp_avg_sqs[i], true);
    entry.step = steps[i].view();
    return entry;
  };
  launch_step<AdamEntry>(params, options, make, kernels().optim->adam);
  for (const TensorList written : {params, exp_avgs, exp_avg_sqs, steps}) bump_versions(written);
  if (amsgrad) bump_versions(max_exp_avg_sqs);
}

// A step of one of the rules. `coefficients(i, t, c)` fills the coefficients of parameter i for its t-th step.
template <class F>
void rule_step(const char* op, Rule rule, TensorList params, TensorList grads, std::span<const Role> states,
               TensorList steps, double weight_decay, bool maximize, F&& coefficients) {
  if (any_complex(params)) {
    std::vector<Parts> parts;
    std::vector<Role> roles;
    for (const Role& role : states) parts.emplace_back(role.tensors);
    for (std::size_t k = 0; k < states.size(); ++k) roles.push_back({states[k].name, parts[k]});
    const Parts real_params(params);
    const Parts real_grads(grads);
    rule_step(op, rule, real_params, real_grads, std::span<const Role>(roles), steps, weight_decay, maximize,
              coefficients);
    return;
  }
  const Role gradients[] = {{"grads", grads}};
  check_lists(op, params, gradients);
  check_lists(op, params, states);
  check_numbers(op, params, {"steps", steps});
  const auto make = [&](Dense& dense, std::size_t i) {
    RuleEntry entry;
    entry.param = dense.view(params[i], true);
    entry.grad = dense.view(grads[i], false);
    for (std::size_t k = 0; k < states.size(); ++k) entry.states[k] = dense.view(states[k].tensors[i], true);
    for (std::size_t k = states.size(); k < kRuleStates; ++k) entry.states[k] = entry.states[0];
    coefficients(i, count_up(steps[i].view()), entry.coefficients);
    return entry;
  };
  launch_step<RuleEntry>(params, RuleOptions{rule, weight_decay, maximize}, make, kernels().optim->rule);
  bump_versions(params);
  bump_versions(steps);
  for (const Role& role : states) bump_versions(role.tensors);
}

void fill(double* out, std::initializer_list<double> values) { std::copy(values.begin(), values.end(), out); }

void adadelta_step(TensorList params, TensorList grads, TensorList square_avgs, TensorList acc_deltas, TensorList steps,
                   double lr, double rho, double eps, double weight_decay, bool maximize) {
  const Role states[] = {{"square_avgs", square_avgs}, {"acc_deltas", acc_deltas}};
  rule_step("Adadelta.step()", Rule::Adadelta, params, grads, states, steps, weight_decay, maximize,
            [&](std::size_t, double, double* c) { fill(c, {rho, 1 - rho, eps, lr}); });
}

void adagrad_step(TensorList params, TensorList grads, TensorList sums, TensorList steps, double lr, double lr_decay,
                  double eps, double weight_decay, bool maximize) {
  const Role states[] = {{"sums", sums}};
  rule_step("Adagrad.step()", Rule::Adagrad, params, grads, states, steps, weight_decay, maximize,
            [&](std::size_t, double t, double* c) { fill(c, {lr / (1 + (t - 1) * lr_decay), eps}); });
}

void adamax_step(TensorList params, TensorList grads, TensorList exp_avgs, TensorList exp_infs, TensorList steps,
                 double lr, double beta1, double beta2, double eps, double weight_decay, bool maximize) {
  const Role states[] = {{"exp_avgs", exp_avgs}, {"exp_infs", exp_infs}};
  rule_step("Adamax.step()", Rule::Adamax, params, grads, states, steps, weight_decay, maximize,
            [&](std::size_t, double t, double* c) {
              fill(c, {1 - beta1, beta1, beta2, eps, lr / (1 - std::pow(beta1, t))});
            });
}

void asgd_step(TensorList params, TensorList grads, TensorList axs, TensorList etas, TensorList mus, TensorList steps,
               double lr, double lambd, double alpha, double t0, double weight_decay, bool maximize) {
  static constexpr const char* kOp = "ASGD.step()";
  check_numbers(kOp, params, {"etas", etas});
  check_numbers(kOp, params, {"mus", mus});
  const Role states[] = {{"axs", axs}};
  rule_step(kOp, Rule::Asgd, params, grads, states, steps, weight_decay, maximize,
            [&](std::size_t i, double t, double* c) {
              const double eta = number(etas[i]);
              fill(c, {1 - lambd * eta, eta, number(mus[i])});
              set_number(etas[i], lr / std::pow(1 + lambd * lr * t, alpha));
              set_number(mus[i], 1 / std::max(1.0, t - t0));
            });
  bump_versions(etas);
  bump_versions(mus);
}

void nadam_step(TensorList params, TensorList grads, TensorList exp_avgs, TensorList exp_avg_sqs,
                TensorList mu_products, TensorList steps, double lr, double beta1, double beta2, double eps,
                double weight_decay, double momentum_decay, bool decoupled, bool maximize) {
  static constexpr const char* kOp = "NAdam.step()";
  check_numbers(kOp, params, {"mu_products", mu_products});
  const Role states[] = {{"exp_avgs", exp_avgs}, {"exp_avg_sqs", exp_avg_sqs}};
  const auto momentum_at = [&](double t) { return beta1 * (1 - 0.5 * std::pow(0.96, t * momentum_decay)); };
  rule_step(kOp, Rule::NAdam, params, grads, states, steps, decoupled ? 0 : weight_decay, maximize,
            [&](std::size_t i, double t, double* c) {
              const double mu = momentum_at(t);
              const double next = momentum_at(t + 1);
              const double product = multiply_number(mu_products[i], mu);
              fill(c, {decoupled ? 1 - lr * weight_decay : 1, 1 - beta1, beta1, beta2, 1 - beta2, eps,
                       1 - std::pow(beta2, t), lr * (1 - mu) / (1 - product), lr * next / (1 - product * next)});
            });
  bump_versions(mu_products);
}

void radam_step(TensorList params, TensorList grads, TensorList exp_avgs, TensorList exp_avg_sqs, TensorList steps,
                double lr, double beta1, double beta2, double eps, double weight_decay, bool decoupled, bool maximize) {
  const Role states[] = {{"exp_avgs", exp_avgs}, {"exp_avg_sqs", exp_avg_sqs}};
  const double longest = 2 / (1 - beta2) - 1;  // the length of the average, in steps, far from the start
  rule_step("RAdam.step()", Rule::RAdam, params, grads, states, steps, decoupled ? 0 : weight_decay, maximize,
            [&](std::size_t, double t, double* c) {
              const double correction2 = 1 - std::pow(beta2, t);
              const double length = longest - 2 * t * std::pow(beta2, t) / correction2;
              const bool rectified = length > 5;
              double size = lr / (1 - std::pow(beta1, t));
              if (rectified) {
                size *= std::sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length) *
                                  correction2);
              }
              fill(c, {decoupled ? 1 - lr * weight_decay : 1, 1 - beta1, beta1, beta2, 1 - beta2, eps, size,
                       rectified ? 1.0 : 0.0});
            });
}

void rmsprop_step(TensorList params, TensorList grads, TensorList square_avgs, TensorList grad_avgs,
                  TensorList momentum_buffers, TensorList steps, double lr, double alpha, double eps,
                  double weight_decay, double momentum, bool centered, bool maximize) {
  std::vector<Role> states = {{"square_avgs", square_avgs}};
  if (centered) states.push_back({"grad_avgs", grad_avgs});
  const bool buffered = momentum > 0;
  if (buffered) states.push_back({"momentum_buffers", momentum_buffers});
  const Rule rule = centered ? (buffered ? Rule::CenteredMomentumRMSprop : Rule::CenteredRMSprop)
                             : (buffered ? Rule::MomentumRMSprop : Rule::RMSprop);
  rule_step("RMSprop.step()", rule, params, grads, states, steps, weight_decay, maximize,
            [&](std::size_t, double, double* c) { fill(c, {alpha, 1 - alpha, eps, lr, momentum}); });
}

void rprop_step(TensorList params, TensorList grads, TensorList prevs, TensorList step_sizes, TensorList steps,
                double etaminus, double etaplus, double least, double largest, bool maximize) {
  const Role states[] = {{"prevs", prevs}, {"step_sizes", step_sizes}};
  rule_step("Rprop.step()", Rule::Rprop, params, grads, states, steps, 0, maximize,
            [&](std::size_t, double, double* c) { fill(c, {etaminus, etaplus, least, largest}); });
}

}  // namespace

FASTNN_OPS(optim) {
  op("_sgd_step(Tensor[] params, Tensor[] grads, Tensor[] momentum_buffers, *, float lr, float momentum, "
     "float dampening, float weight_decay, bool nesterov, bool maximize, bool first_step) -> ()",
     &sgd_step, op_fn);
  op("_adam_step(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_avg_sqs, "
     "Tensor[] max_exp_avg_sqs, Tensor[] steps, *, float lr, float beta1, float beta2, float eps, "
     "float weight_decay, bool decoupled, bool amsgrad, bool maximize) -> ()",
     &adam_step, op_fn);
  op("_adadelta_step(Tensor[] params, Tensor[] grads, Tensor[] square_avgs, Tensor[] acc_deltas, Tensor[] "
     "steps, *, float lr, float rho, float eps, float weight_decay, bool maximize) -> ()",
     &adadelta_step, op_fn);
  op("_adagrad_step(Tensor[] params, Tensor[] grads, Tensor[] sums, Tensor[] steps, *, float lr, float "
     "lr_decay, float eps, float weight_decay, bool maximize) -> ()",
     &adagrad_step, op_fn);
  op("_adamax_step(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_infs, Tensor[] steps, "
     "*, float lr, float beta1, float beta2, float eps, float weight_decay, bool maximize) -> ()",
     &adamax_step, op_fn);
  op("_asgd_step(Tensor[] params, Tensor[] grads, Tensor[] axs, Tensor[] etas, Tensor[] mus, Tensor[] "
     "steps, *, float lr, float lambd, float alpha, float t0, float weight_decay, bool maximize) -> ()",
     &asgd_step, op_fn);
  op("_nadam_step(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_avg_sqs, Tensor[] "
     "mu_products, Tensor[] steps, *, float lr, float beta1, float beta2, float eps, float weight_decay, "
     "float momentum_decay, bool decoupled, bool maximize) -> ()",
     &nadam_step, op_fn);
  op("_radam_step(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_avg_sqs, Tensor[] "
     "steps, *, float lr, float beta1, float beta2, float eps, float weight_decay, bool decoupled, bool "
     "maximize) -> ()",
     &radam_step, op_fn);
  op("_rmsprop_step(Tensor[] params, Tensor[] grads, Tensor[] square_avgs, Tensor[] grad_avgs, Tensor[] "
     "momentum_buffers, Tensor[] steps, *, float lr, float alpha, float eps, float weight_decay, float "
     "momentum, bool centered, bool maximize) -> ()",
     &rmsprop_step, op_fn);
  op("_rprop_step(Tensor[] params, Tensor[] grads, Tensor[] prevs, Tensor[] step_sizes, Tensor[] steps, *, "
     "float etaminus, float etaplus, float least, float largest, bool maximize) -> ()",
     &rprop_step, op_fn);
}

}  // namespace fastnn
