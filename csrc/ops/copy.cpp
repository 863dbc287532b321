#include "ops/copy.h"

#include "autograd/record.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

void copy_in_place(const Tensor& target, const Tensor& source) {
  check_in_place(target, "copy_");
  const bool graph = needs_grad(target, source) && target.is_floating();
  const Tensor old = graph ? before_write(target) : Tensor();
  copy_raw(target, source);
  Tensor result = target.detached();
  if (graph) {
    record("CopyBackwards", result, {&old, &source},
           [sizes = source.sizes(), dtype = source.dtype(), tracked = source.is_floating()](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = zeros_like(g);
             if (d.wants(1) && tracked) d[1] = to_dtype(sum_to_size(g, sizes), dtype);
           });
  }
  after_write(target, result);
}

namespace {
Tensor copy_op(const Tensor& self, const Tensor& source, bool) {
  copy_in_place(self, source);
  return self;
}
}  // namespace

FASTNN_OPS(copy) { op("copy_(Tensor input, Tensor src, bool non_blocking=False) -> Tensor", &copy_op, op_method); }

}  // namespace fastnn
