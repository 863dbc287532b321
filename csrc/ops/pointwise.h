// Launching elementwise kernels from Tensor algebra.
#pragma once

#include <initializer_list>

#include "autograd/record.h"
#include "kernels/table.h"

namespace fastnn {

using Operands = std::initializer_list<const Tensor*>;

// The memory that the next elementwise launch should write, while an in-place operation runs.
// It is taken by the first launch whose result has its shape and dtype; what does not fit is computed apart and copied.
class OutputTarget {
 public:
  explicit OutputTarget(const Tensor& target);
  ~OutputTarget();
  OutputTarget(const OutputTarget&) = delete;
  OutputTarget& operator=(const OutputTarget&) = delete;
  bool taken() const { return taken_; }

 private:
  friend Tensor pointwise_output(const char*, Operands, DType);
  const Tensor* target_;
  bool taken_ = false;
  OutputTarget* outer_;
};

// Allocates the output of an elementwise operation: broadcast shape, PyTorch's memory order.
Tensor pointwise_output(const char* op, Operands inputs, DType dtype);

// Runs a kernel: inputs are converted to `compute` (16-bit floats widen), the result to `result`.
Tensor pointwise(const char* op, Pointwise kernel, Operands inputs, DType compute, DType result, Params params = {});

// Into existing memory; no autograd, no version bump; `compute` is used as it is.
void pointwise_into(const char* op, Pointwise kernel, const Tensor& out, Operands inputs, DType compute,
                    Params params = {});

// The dtype of the result of a function with values in the reals (exp, mean): floats stay, integers become the default.
inline DType floating_result(DType dtype) { return is_floating(dtype) ? dtype : default_dtype(); }

// Runs `f` (a function of the old value) as the in-place operation `op` on `self`.
// `direct` promises that f's first elementwise launch is its last.
template <class F>
Tensor in_place(const Tensor& self, const char* op, bool direct, F&& f);

// Parts of in_place that do not depend on `f`.
void finish_in_place(const Tensor& self, const char* op, const Tensor& result, bool written);

template <class F>
Tensor in_place(const Tensor& self, const char* op, bool direct, F&& f) {
  check_in_place(self, op);
  const Tensor old = grad_mode().enabled && (self.requires_grad() || self.impl()->base) ? before_write(self) : self;
  Tensor result;
  bool written = false;
  if (direct) {
    const OutputTarget target(self);
    result = f(old);
    written = target.taken();
  } else {
    result = f(old);
  }
  finish_in_place(self, op, result, written);
  return self;
}

}  // namespace fastnn
