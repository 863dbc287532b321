#include "ops/pointwise.h"

#include <algorithm>
#include <vector>

#include "ops/elementwise.h"

namespace fastnn {

namespace {

thread_local OutputTarget* t_target = nullptr;

bool same_place(const Tensor& a, const Tensor& b) {
  return a.storage_offset() == b.storage_offset() && a.dtype() == b.dtype() && a.sizes() == b.sizes() &&
         a.strides() == b.strides();
}

// Whether two views share memory in a way in which writing one while reading the other goes wrong.
bool overlaps_partly(const Tensor& out, const Tensor& in) { return overlap(out, in) == Overlap::Partial; }

}  // namespace

Overlap overlap(const Tensor& out, const Tensor& in) {
  if (out.storage() != in.storage() || out.numel() == 0 || in.numel() == 0) return Overlap::None;
  if (same_place(out, in)) return Overlap::Full;
  const auto range = [](const Tensor& t) {
    std::int64_t last = t.storage_offset();
    for (int d = 0; d < t.ndim(); ++d) last += (t.sizes()[d] - 1) * t.strides()[d];
    const std::int64_t size = itemsize(t.dtype());
    return std::pair{t.storage_offset() * size, (last + 1) * size};
  };
  const auto [a, a_end] = range(out);
  const auto [b, b_end] = range(in);
  return a < b_end && b < a_end ? Overlap::Partial : Overlap::None;
}

namespace {

// Whether two elements share a place, as after expand().
bool repeats_elements(const Tensor& tensor) {
  if (tensor.numel() == 0) return false;
  for (int d = 0; d < tensor.ndim(); ++d) {
    if (tensor.strides()[d] == 0 && tensor.sizes()[d] > 1) return true;
  }
  return false;
}

Dims common_shape(const char* op, Operands inputs) {
  Dims shape = (*inputs.begin())->sizes();
  for (const Tensor* input : inputs) {
    if (input->sizes() != shape) shape = broadcast_shapes(shape, input->sizes(), op);
  }
  return shape;
}

bool same_shapes(Operands inputs) {
  const Tensor& first = **inputs.begin();
  return std::all_of(inputs.begin() + 1, inputs.end(),
                     [&](const Tensor* input) { return input->sizes() == first.sizes(); });
}

void run(const char* op, Pointwise kernel, const Tensor& out, Operands inputs, DType compute, const Params& params) {
  constexpr std::size_t kMost = 4;
  View views[kMost];
  std::size_t count = 0;
  for (const Tensor* input : inputs) views[count++] = input->view();
  if (LaunchCount::counting) ++LaunchCount::value;
  Params named = params;
  named.op = op;
  kernel(out.view(), views, compute, named);
}

// Gives `old`, which a derivative keeps, a memory of its own before its place is written.
void keep_value(const Tensor& old) {
  const Tensor copy = clone(old.detached());
  TensorImpl& impl = *old.impl();
  auto version = make_ref<VersionCounter>();
  version->value = impl.version();
  impl.storage = copy.storage();
  impl.offset = copy.storage_offset();
  impl.own_version = version;
  impl.set_geometry(copy.sizes(), copy.strides());
}

}  // namespace

OutputTarget::OutputTarget(const Tensor& target) : target_(&target), outer_(t_target) { t_target = this; }
OutputTarget::~OutputTarget() { t_target = outer_; }

bool OutputTarget::waiting() { return t_target != nullptr && t_target->target_ != nullptr; }

Tensor OutputTarget::take(const char* op, Operands inputs, DType dtype, Needs needs) {
  const Tensor& target = *std::exchange(t_target->target_, nullptr);
  if (target.dtype() != dtype || common_shape(op, inputs) != target.sizes()) return {};
  for (const Tensor* input : inputs) {
    if (overlaps_partly(target, *input)) return {};
    if (needs == Needs::Input && needs_grad(*input)) return {};
  }
  t_target->taken_ = true;
  bump_version(target);  // before the derivative saves the result
  return target.detached();
}

namespace {

// Whether dimension `a` is further out in memory than `b`, by the first operand that tells: positive, negative, or 0.
int compare_dims(int a, int b, const Dims& shape, const std::vector<Dims>& strides) {
  for (const Dims& own : strides) {
    if (own[a] == 0 || own[b] == 0) continue;
    if (own[a] != own[b]) return own[a] < own[b] ? -1 : 1;
    if (shape[a] > shape[b]) return 1;
  }
  return 0;
}

// Row-major, also in dimensions of size one, whose strides otherwise take part in the common order.
bool has_plain_strides(const Tensor* tensor) {
  std::int64_t step = 1;
  for (int d = tensor->ndim() - 1; d >= 0; --d) {
    if (tensor->strides()[d] != step) return false;
    step *= std::max<std::int64_t>(tensor->sizes()[d], 1);
  }
  return true;
}

// Dense strides in the memory order that the operands have in common, earlier operands first: PyTorch's rule.
Dims common_strides(const Dims& shape, Operands inputs) {
  std::vector<Dims> strides;
  for (const Tensor* input : inputs) strides.push_back(broadcast_strides(input->sizes(), input->strides(), shape));
  // From the innermost dimension outwards; an insertion sort, because the comparison is no total order.
  Dims order;
  for (int d = shape.size() - 1; d >= 0; --d) order.push_back(d);
  for (int i = 1; i < order.size(); ++i) {
    int place = i;
    for (int j = i - 1; j >= 0; --j) {
      const int compared = compare_dims(static_cast<int>(order[j]), static_cast<int>(order[place]), shape, strides);
      if (compared > 0) {
        std::swap(order[j], order[place]);
        place = j;
      } else if (compared < 0) {
        break;
      }
    }
  }
  Dims result = Dims::filled(shape.size(), 0);
  std::int64_t step = 1;
  for (const std::int64_t d : order) {
    result[static_cast<int>(d)] = step;
    step *= std::max<std::int64_t>(shape[static_cast<int>(d)], 1);
  }
  return result;
}

}  // namespace

Tensor pointwise_output(const char* op, Operands inputs, DType dtype, Needs needs) {
  if (OutputTarget::waiting()) {
    Tensor taken = OutputTarget::take(op, inputs, dtype, needs);
    if (taken.defined()) return taken;
  }
  const Dims& first = (*inputs.begin())->sizes();
  const bool same = same_shapes(inputs);
  const bool contiguous =
      std::all_of(inputs.begin(), inputs.end(), [](const Tensor* input) { return input->is_contiguous(); });
  if (same && contiguous) return Tensor::empty(first, dtype);
  const Dims shape = same ? first : common_shape(op, inputs);
  if (contiguous && std::all_of(inputs.begin(), inputs.end(), has_plain_strides)) return Tensor::empty(shape, dtype);
  return Tensor::empty_strided(shape, common_strides(shape, inputs), dtype);
}

Tensor pointwise(const char* op, Pointwise kernel, Operands inputs, DType compute, DType result, const Params& params,
                 Needs needs) {
  Tensor out = pointwise_output(op, inputs, result, needs);
  run(op, kernel, out, inputs, compute_type(compute), params);
  return out;
}

void pointwise_into(const char* op, Pointwise kernel, const Tensor& out, Operands inputs, DType compute,
                    const Params& params) {
  run(op, kernel, out, inputs, compute, params);
}

Tensor piecewise_backward(const char* op, Pointwise kernel, const Tensor& g, const Tensor& x, const Params& params) {
  Tensor out = pointwise(op, kernel, {&g, &x}, g.dtype(), g.dtype(), params);
  if (needs_grad(g, x)) {
    record_pointwise(op, out, {&g, &x}, [op, kernel, params, saved = save(x)](const Tensor& gg, Slots& d) {
      if (d.wants(0)) d[0] = piecewise_backward(op, kernel, gg, saved.get(), params);
      if (d.wants(1)) d[1] = Tensor::full(gg.sizes(), 0, gg.dtype());
    });
  }
  return out;
}

void check_distinct_elements(const Tensor& self) {
  FASTNN_CHECK(!repeats_elements(self), ErrorKind::Runtime,
               "unsupported operation: more than one element of the written-to tensor refers to a single memory "
               "location. Please clone() the tensor before performing the operation.");
}

void finish_in_place(const Tensor& self, const char* op, const Tensor& old, const Tensor& result, bool written) {
  if (written) return adopt_history(self, result);
  FASTNN_CHECK(result.sizes() == self.sizes(), ErrorKind::Runtime, op, ": output with shape ", self.sizes(),
               " doesn't match the broadcast shape ", result.sizes());
  FASTNN_CHECK(can_cast(result.dtype(), self.dtype()), ErrorKind::Runtime, "result type ", result.dtype(),
               " can't be cast to the desired output type ", self.dtype());
  const Tensor cast = to_dtype(result, self.dtype());
  const bool kept = !old.is_same(self) && !result.is_same(old) && old.impl()->use_count() > 1;
  if (kept) keep_value(old);
  copy_raw(self, cast);
  after_write(self, cast);
}

}  // namespace fastnn
