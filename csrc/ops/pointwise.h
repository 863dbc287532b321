// Launching elementwise kernels from Tensor algebra.
#pragma once

#include <initializer_list>

#include "autograd/record.h"
#include "kernels/table.h"
#include "ops/complex.h"

namespace fastnn {

using Operands = std::initializer_list<const Tensor*>;

// What an operation's derivative needs of its inputs, which decides whether the in-place variant may write over them
// while gradients are recorded.
enum class Needs : std::uint8_t { Input, Nothing };

// The memory that the next elementwise launch should write, while an in-place operation runs.
// It is taken by the first launch whose result has its shape and dtype; what does not fit is computed apart and copied.
class OutputTarget {
 public:
  explicit OutputTarget(const Tensor& target);
  ~OutputTarget();
  OutputTarget(const OutputTarget&) = delete;
  OutputTarget& operator=(const OutputTarget&) = delete;
  bool taken() const { return taken_; }

  // The output of a launch with this result, or an undefined tensor. Called at most once with a target set.
  static Tensor take(const char* op, Operands inputs, DType dtype, Needs needs);
  static bool waiting();

 private:
  const Tensor* target_;
  bool taken_ = false;
  OutputTarget* outer_;
};

// Allocates the output of an elementwise operation: broadcast shape, PyTorch's memory order.
Tensor pointwise_output(const char* op, Operands inputs, DType dtype, Needs needs = Needs::Input);

// Runs a kernel: inputs are converted to `compute` (16-bit floats widen), the result to `result`.
Tensor pointwise(const char* op, Pointwise kernel, Operands inputs, DType compute, DType result,
                 const Params& params = {}, Needs needs = Needs::Input);

// Into existing memory; no autograd, no version bump; `compute` is used as it is.
void pointwise_into(const char* op, Pointwise kernel, const Tensor& out, Operands inputs, DType compute,
                    const Params& params = {});

// The dtype of the result of a function with values in the reals (exp, mean): floats and complex numbers stay, integers
// become the default.
inline DType floating_result(DType dtype) { return is_differentiable(dtype) ? dtype : default_dtype(); }

// y = f(x) with the derivative dx = derivative(dy, x). Of a complex x it is given the conjugate: a formula with real
// coefficients then is the conjugate of the slope, as the gradient has to be.
template <class F>
Tensor unary_from_input(const char* op, const char* node, Pointwise kernel, const Tensor& x, DType dtype, F derivative,
                        const Params& params = {}) {
  Tensor y = pointwise(op, kernel, {&x}, dtype, dtype, params);
  if (needs_grad(x)) {
    record_pointwise(node, y, {&x}, [saved = save(x), derivative](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = derivative(g, conj(saved.get()));
    });
  }
  return y;
}
// The same with the derivative dx = derivative(dy, y).
template <class F>
Tensor unary_from_output(const char* op, const char* node, Pointwise kernel, const Tensor& x, DType dtype, F derivative,
                         const Params& params = {}) {
  Tensor y = pointwise(op, kernel, {&x}, dtype, dtype, params, Needs::Nothing);
  if (needs_grad(x)) {
    record_pointwise(node, y, {&x}, [saved = save_output(y), derivative](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = derivative(g, conj(saved.get()));
    });
  }
  return y;
}
// The same with a derivative of dy alone.
template <class F>
Tensor unary_linear(const char* op, const char* node, Pointwise kernel, const Tensor& x, DType dtype, F derivative,
                    const Params& params = {}) {
  Tensor y = pointwise(op, kernel, {&x}, dtype, dtype, params, Needs::Nothing);
  if (needs_grad(x)) {
    record_pointwise(node, y, {&x}, [derivative](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = derivative(g);
    });
  }
  return y;
}

// kernel(g, x): the backward of a piecewise linear function. It is linear in g, and constant in x except at the kinks,
// so it is its own derivative.
Tensor piecewise_backward(const char* op, Pointwise kernel, const Tensor& g, const Tensor& x, const Params& params);

// A backward formula: one fused kernel of g and a saved tensor, or algebra where it must be differentiable itself.
template <class F>
Tensor fused_backward(const char* op, Pointwise kernel, const Tensor& g, const Tensor& saved, const Params& params,
                      F algebra) {
  if (grad_mode().enabled || g.is_complex()) return algebra(g, saved);
  return pointwise(op, kernel, {&g, &saved}, g.dtype(), g.dtype(), params);
}

// How two tensors share memory: not at all, element by element, or otherwise. Judged by the ends of their ranges.
enum class Overlap : std::uint8_t { None, Full, Partial };
Overlap overlap(const Tensor& out, const Tensor& in);

// Parts of in_place that do not depend on `f`. No two elements may share a place, as after expand().
void check_distinct_elements(const Tensor& self);
void finish_in_place(const Tensor& self, const char* op, const Tensor& old, const Tensor& result, bool written);

// Runs `f` (a function of the old value) as the in-place operation `op` on `self`.
// `direct` promises that f's first elementwise launch is its last.
template <class F>
Tensor in_place(const Tensor& self, const char* op, bool direct, F&& f) {
  check_in_place(self, op);
  check_distinct_elements(self);
  const Tensor old = grad_mode().enabled ? before_write(self) : self;
  Tensor result;
  bool written = false;
  if (direct) {
    const OutputTarget target(self);
    result = f(old);
    written = target.taken();
  } else {
    result = f(old);
  }
  finish_in_place(self, op, old, result, written);
  return self;
}

}  // namespace fastnn
