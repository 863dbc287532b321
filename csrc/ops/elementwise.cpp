#include "ops/elementwise.h"

#include "ops/pointwise.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

const ElementwiseKernels& table() { return *kernels().elementwise; }

bool is_one(const Scalar& alpha) { return !alpha.is_float() ? alpha.i == 1 : alpha.d == 1.0; }

void check_alpha(const char* op, DType result, const Scalar& alpha) {
  FASTNN_CHECK(alpha.kind != Scalar::Kind::Bool || result == DType::Bool, ErrorKind::Runtime, op,
               ": Boolean alpha only supported for Boolean results.");
  FASTNN_CHECK(!alpha.is_float() || is_floating(result), ErrorKind::Runtime, op,
               ": For integral input tensors, argument alpha must not be a floating point number.");
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b, const Scalar& alpha) {
  const DType dtype = result_type(a, b);
  if (!is_one(alpha)) {
    check_alpha("add", dtype, alpha);
    return add(a, mul(b, alpha));
  }
  Tensor out = pointwise("add", table().add, {&a, &b}, dtype, dtype);
  if (needs_grad(a, b)) {
    record_pointwise("AddBackward0", out, {&a, &b}, [](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = g;
      if (d.wants(1)) d[1] = g;
    });
  }
  return out;
}

Tensor sub(const Tensor& a, const Tensor& b, const Scalar& alpha) {
  const DType dtype = result_type(a, b);
  FASTNN_CHECK(dtype != DType::Bool, ErrorKind::Runtime,
               "sub: Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
               "`logical_xor()` operator instead.");
  if (!is_one(alpha)) {
    check_alpha("sub", dtype, alpha);
    return sub(a, mul(b, alpha));
  }
  Tensor out = pointwise("sub", table().sub, {&a, &b}, dtype, dtype);
  if (needs_grad(a, b)) {
    record_pointwise("SubBackward0", out, {&a, &b}, [](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = g;
      if (d.wants(1)) d[1] = mul(g, Scalar(-1));
    });
  }
  return out;
}

Tensor mul(const Tensor& a, const Tensor& b) {
  const DType dtype = result_type(a, b);
  Tensor out = pointwise("mul", table().mul, {&a, &b}, dtype, dtype);
  if (needs_grad(a, b)) {
    record_pointwise("MulBackward0", out, {&a, &b},
                     [sa = save(a, b), sb = save(b, a)](const Tensor& g, Slots& d) {
                       if (d.wants(0)) d[0] = mul(g, sb.get());
                       if (d.wants(1)) d[1] = mul(g, sa.get());
                     });
  }
  return out;
}

Tensor div(const Tensor& a, const Tensor& b) {
  const DType dtype = floating_result(result_type(a, b));
  Tensor out = pointwise("div", table().div, {&a, &b}, dtype, dtype);
  if (needs_grad(a, b)) {
    record_pointwise("DivBackward0", out, {&a, &b},
                     [sa = save(a, b), sb = save(b)](const Tensor& g, Slots& d) {
                       const Tensor ga = div(g, sb.get());
                       if (d.wants(0)) d[0] = ga;
                       if (d.wants(1)) d[1] = mul(mul(ga, Scalar(-1)), div(sa.get(), sb.get()));
                     });
  }
  return out;
}

Tensor add(const Tensor& a, const Scalar& b) { return add(a, b.wrapped()); }
Tensor mul(const Tensor& a, const Scalar& b) { return mul(a, b.wrapped()); }

void copy_raw(const Tensor& target, const Tensor& source) {
  FASTNN_CHECK(is_expandable_to(source.sizes(), target.sizes()), ErrorKind::Runtime, "copy: The expanded size ",
               target.sizes(), " does not match the existing size ", source.sizes());
  // Reading and writing the same storage in different geometries needs a copy in between.
  if (source.storage() == target.storage() &&
      !(source.storage_offset() == target.storage_offset() && source.strides() == target.strides())) {
    Tensor apart = Tensor::empty(source.sizes(), source.dtype());
    pointwise_into("copy", table().copy, apart, {&source}, source.dtype());  // same dtype: a plain copy
    copy_raw(target, apart);
    return;
  }
  const bool same = source.dtype() == target.dtype();
  pointwise_into("copy", table().copy, target, {&source}, same ? target.dtype() : compute_type(target.dtype()));
}

Tensor to_dtype(const Tensor& input, DType dtype) {
  if (input.dtype() == dtype) return input;
  Tensor out = Tensor::empty_like(input, dtype);
  copy_raw(out, input);
  if (is_floating(dtype) && needs_grad(input)) {
    record("ToCopyBackward0", out, {&input}, [from = input.dtype()](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = to_dtype(g, from);
    });
  }
  return out;
}

Tensor clone(const Tensor& input, bool contiguous) {
  Tensor out = contiguous ? Tensor::empty(input.sizes(), input.dtype()) : Tensor::empty_like(input, input.dtype());
  copy_raw(out, input);
  if (needs_grad(input)) {
    record("CloneBackward0", out, {&input}, [](const Tensor& g, Slots& d) { d[0] = g; });
  }
  return out;
}

Tensor contiguous(const Tensor& input) { return input.is_contiguous() ? input : clone(input, true); }

FASTNN_OPS(elementwise) {
  op("add(Tensor input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor",
     static_cast<Tensor (*)(const Tensor&, const Tensor&, const Scalar&)>(&add), op_fn | op_method | op_inplace_direct | op_out);
  op("sub(Tensor input, Tensor|Scalar other, *, Scalar alpha=1) -> Tensor",
     static_cast<Tensor (*)(const Tensor&, const Tensor&, const Scalar&)>(&sub), op_fn | op_method | op_inplace_direct | op_out);
  op("mul(Tensor input, Tensor|Scalar other) -> Tensor", static_cast<Tensor (*)(const Tensor&, const Tensor&)>(&mul),
     op_fn | op_method | op_inplace_direct | op_out);
  op("div(Tensor input, Tensor|Scalar other) -> Tensor", &div, op_fn | op_method | op_inplace_direct | op_out);
}

}  // namespace fastnn
