// Dropout. Its mask is a function of a seed and of the element's number, so the backward pass makes it again: no mask
// is kept, and nothing at all for an input that needs no gradient.
#include "ops/dropout.h"

#include <cmath>
#include <mutex>

#include "autograd/record.h"
#include "core/random.h"
#include "kernels/table.h"
#include "ops/elementwise.h"
#include "ops/pointwise.h"
#include "ops/registry.h"

namespace fastnn {

namespace {

// A mask and the memory order in which it counts the elements.
struct OrderedMask {
  DropoutMask mask;
  Dims sizes;
  Dims strides;
};

View flat(const Tensor& tensor, const std::int64_t& numel) {
  static constexpr std::int64_t one = 1;
  return {tensor.data(), tensor.dtype(), 1, &numel, &one};
}

// Kept elements times 1 / keep, the others times 0; `out` is dense and has the strides of the mask.
void run(const Tensor& out, const Tensor& input, const OrderedMask& ordered) {
  Tensor source = input;
  if (input.strides() != ordered.strides) {
    source = Tensor::empty_strided(ordered.sizes, ordered.strides, input.dtype());
    copy_raw(source, input);
  }
  const std::int64_t numel = out.numel();
  if (LaunchCount::counting) ++LaunchCount::value;
  kernels().random->dropout(flat(out, numel), flat(source, numel), ordered.mask, 1.0 / ordered.mask.keep);
}

// Linear, and its own derivative: the gradient goes through the same mask.
Tensor apply(const Tensor& input, const OrderedMask& ordered) {
  Tensor out = Tensor::empty_strided(ordered.sizes, ordered.strides, input.dtype());
  run(out, input, ordered);
  if (needs_grad(input)) {
    record("DropoutBackward0", out, {&input}, [ordered](const Tensor& g, Slots& d) { d[0] = apply(g, ordered); });
  }
  return out;
}

OrderedMask draw_mask(const Tensor& input, double p) {
  Generator& generator = *default_generator();
  const std::lock_guard lock(generator.mutex());
  const bool dense = is_dense(input.sizes(), input.strides());
  return {{generator.random64(), 1 - p}, input.sizes(), dense ? input.strides() : contiguous_strides(input.sizes())};
}

void check_floating(const Tensor& input) {
  FASTNN_CHECK(input.is_floating(), ErrorKind::Runtime,
               "dropout: result type Float can't be cast to the desired output type ", input.dtype());
}

Tensor dropout_in_place(const Tensor& self, double p) {
  check_in_place(self, "dropout_");
  if (p == 1 || !is_dense(self.sizes(), self.strides())) {
    return in_place(self, "dropout_", false,
                    [&](const Tensor& old) { return p == 1 ? mul(old, Scalar(0)) : apply(old, draw_mask(old, p)); });
  }
  const Tensor old = grad_mode().enabled && (self.requires_grad() || self.impl()->base) ? before_write(self) : self;
  const OrderedMask ordered = draw_mask(self, p);
  run(self, self, ordered);
  Tensor result = self.detached();
  if (needs_grad(old)) {
    record("DropoutBackward0", result, {&old}, [ordered](const Tensor& g, Slots& d) { d[0] = apply(g, ordered); });
  }
  after_write(self, result);
  return self;
}

Tensor dropout_checked(const Tensor& input, double p, bool training, bool inplace, ErrorKind error) {
  FASTNN_CHECK(p >= 0 && p <= 1, error, "dropout probability has to be between 0 and 1, but got ", p);
  if (!training || p == 0 || input.numel() == 0) return input;
  check_floating(input);
  if (inplace) return dropout_in_place(input, p);
  if (p == 1) return mul(input, Scalar(0));
  return apply(input, draw_mask(input, p));
}

Tensor nn_dropout(const Tensor& input, double p, bool training, bool inplace) {
  return dropout_checked(input, p, training, inplace, ErrorKind::Value);
}
Tensor dropout_(const Tensor& input, double p, bool train) {
  return dropout_checked(input, p, train, true, ErrorKind::Runtime);
}

}  // namespace

Tensor dropout(const Tensor& input, double p, bool train) {
  return dropout_checked(input, p, train, false, ErrorKind::Runtime);
}

FASTNN_OPS(dropout) {
  op("nn.dropout(Tensor input, float p=0.5, bool training=True, bool inplace=False) -> Tensor", &nn_dropout, op_fn);
  op("dropout(Tensor input, float p, bool train) -> Tensor", &dropout, op_fn);
  op("dropout_(Tensor input, float p, bool train) -> Tensor", &dropout_, op_fn);
}

}  // namespace fastnn
