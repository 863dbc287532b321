#include "ops/pointwise.h"

#include <algorithm>

#include "ops/elementwise.h"

namespace fastnn {

namespace {

thread_local OutputTarget* t_target = nullptr;

// Whether two views share memory in a way in which writing one while reading the other goes wrong.
bool overlaps_partly(const Tensor& out, const Tensor& in) {
  if (out.storage() != in.storage() || out.numel() == 0 || in.numel() == 0) return false;
  if (out.storage_offset() == in.storage_offset() && out.dtype() == in.dtype() && out.sizes() == in.sizes() &&
      out.strides() == in.strides()) {
    return false;
  }
  const auto range = [](const Tensor& t) {
    std::int64_t last = t.storage_offset();
    for (int d = 0; d < t.ndim(); ++d) last += (t.sizes()[d] - 1) * t.strides()[d];
    const std::int64_t size = itemsize(t.dtype());
    return std::pair{t.storage_offset() * size, (last + 1) * size};
  };
  const auto [a, a_end] = range(out);
  const auto [b, b_end] = range(in);
  return a < b_end && b < a_end;
}

Dims common_shape(const char* op, Operands inputs) {
  Dims shape = (*inputs.begin())->sizes();
  for (const Tensor* input : inputs) {
    if (input->sizes() != shape) shape = broadcast_shapes(shape, input->sizes(), op);
  }
  return shape;
}

void run(const char* op, Pointwise kernel, const Tensor& out, Operands inputs, DType compute, Params& params) {
  constexpr std::size_t kMost = 4;
  View views[kMost];
  std::size_t count = 0;
  for (const Tensor* input : inputs) views[count++] = input->view();
  params.op = op;
  if (LaunchCount::counting) ++LaunchCount::value;
  kernel(out.view(), views, compute, params);
}

}  // namespace

OutputTarget::OutputTarget(const Tensor& target) : target_(&target), outer_(t_target) { t_target = this; }
OutputTarget::~OutputTarget() { t_target = outer_; }

Tensor pointwise_output(const char* op, Operands inputs, DType dtype) {
  const Tensor& first = **inputs.begin();
  bool same = true;
  for (const Tensor* input : inputs) same &= input->sizes() == first.sizes();
  if (t_target != nullptr && t_target->target_ != nullptr) {
    const Tensor& target = *std::exchange(t_target->target_, nullptr);
    const bool fits = target.dtype() == dtype && (same ? first.sizes() : common_shape(op, inputs)) == target.sizes() &&
                      std::none_of(inputs.begin(), inputs.end(),
                                   [&](const Tensor* input) { return overlaps_partly(target, *input); });
    if (fits && is_dense(target.sizes(), target.strides())) {
      t_target->taken_ = true;
      return target.detached();
    }
    if (fits) {
      // Strided memory is fine too, unless two elements share a place.
      const bool repeated = std::any_of(target.strides().begin(), target.strides().end(),
                                        [](std::int64_t stride) { return stride == 0; });
      if (!repeated) {
        t_target->taken_ = true;
        return target.detached();
      }
    }
  }
  if (same) {
    const Tensor* pattern = &first;
    for (const Tensor* input : inputs) {
      if (!input->is_contiguous()) {
        pattern = first.is_contiguous() && first.ndim() > 0 && first.numel() > 1 ? &first : input;
        break;
      }
    }
    return Tensor::empty_like(*pattern, dtype);
  }
  const Dims shape = common_shape(op, inputs);
  // The order of dimensions of the first operand that has the result's shape and is not contiguous, as PyTorch does.
  for (const Tensor* input : inputs) {
    if (input->sizes() == shape) {
      if (!input->is_contiguous()) return Tensor::empty_like(*input, dtype);
      break;
    }
  }
  return Tensor::empty(shape, dtype);
}

Tensor pointwise(const char* op, Pointwise kernel, Operands inputs, DType compute, DType result, Params params) {
  Tensor out = pointwise_output(op, inputs, result);
  run(op, kernel, out, inputs, compute_type(compute), params);
  return out;
}

void pointwise_into(const char* op, Pointwise kernel, const Tensor& out, Operands inputs, DType compute,
                    Params params) {
  run(op, kernel, out, inputs, compute, params);
}

void finish_in_place(const Tensor& self, const char* op, const Tensor& result, bool written) {
  FASTNN_CHECK(result.sizes() == self.sizes(), ErrorKind::Runtime, op, ": output with shape ", self.sizes(),
               " doesn't match the broadcast shape ", result.sizes());
  FASTNN_CHECK(can_cast(result.dtype(), self.dtype()), ErrorKind::Runtime, op, ": result type ", result.dtype(),
               " can't be cast to the desired output type ", self.dtype());
  if (written) {
    after_write(self, result);
    return;
  }
  const Tensor cast = to_dtype(result, self.dtype());
  copy_raw(self, cast);
  after_write(self, cast);
}

}  // namespace fastnn
