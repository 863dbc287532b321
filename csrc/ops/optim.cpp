// Optimizer steps over many tensors at once. They are no part of the graph: parameters are written as memory.
#include <algorithm>
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
  FASTNN_CHECK(steps.size() == params.size(), ErrorKind::Value, kOp, ": params has ", params.size(),
               " tensors, but steps has ", steps.size());
  for (const Tensor& step : steps) {
    FASTNN_CHECK(step.numel() == 1 && (step.dtype() == DType::Float32 || step.dtype() == DType::Float64),
                 ErrorKind::Runtime, kOp, ": a step count must be one float32 or float64, but got shape ", step.sizes(),
                 " and dtype ", info(step.dtype()).name);
  }
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

}  // namespace

FASTNN_OPS(optim) {
  op("_sgd_step(Tensor[] params, Tensor[] grads, Tensor[] momentum_buffers, *, float lr, float momentum, "
     "float dampening, float weight_decay, bool nesterov, bool maximize, bool first_step) -> ()",
     &sgd_step, op_fn);
  op("_adam_step(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_avg_sqs, "
     "Tensor[] max_exp_avg_sqs, Tensor[] steps, *, float lr, float beta1, float beta2, float eps, "
     "float weight_decay, bool decoupled, bool amsgrad, bool maximize) -> ()",
     &adam_step, op_fn);
}

}  // namespace fastnn
