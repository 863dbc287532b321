// The tensor algebra that the autograd room calls.
#include <cmath>

#include "autograd/record.h"
#include "ops/complex.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

void add_in_place(Tensor& sum, const Tensor& gradient) {
  const Tensor target = sum;
  pointwise_into("add", kernels().elementwise->add, target, {&sum, &gradient}, compute_type(sum.dtype()));
  bump_version(sum);
}

Tensor reduce_to(const Tensor& gradient, IntSpan sizes, DType dtype) {
  return to_dtype(gradient.sizes() == sizes ? gradient : sum_to_size(gradient, sizes), dtype);
}

bool has_nan(const Tensor& tensor) {
  if (!tensor.is_differentiable() || tensor.numel() == 0) return false;
  const GradModeGuard no_grad(false);
  if (tensor.is_complex()) return has_nan(view_as_real(tensor.detached()));
  // A NaN, or infinities of both signs, make the sum NaN; only then look at each element.
  if (!std::isnan(sum(tensor.detached(), std::nullopt, false, std::nullopt).item_double())) return false;
  const Tensor dense = contiguous(tensor.detached());
  return visit_dtype(dense.dtype(), [&]<class T>() {
    for (std::int64_t i = 0; i < dense.numel(); ++i) {
      if (std::isnan(static_cast<double>(dense.as<T>()[i]))) return true;
    }
    return false;
  });
}

// Where a view has the parts of its complex base, or the reverse, both are seen as parts.
struct ViewGeometry {
  bool parts;
  PartGeometry base, view;
  ViewGeometry(const Tensor& base_tensor, const Tensor& view_tensor)
      : parts(base_tensor.is_complex() != view_tensor.is_complex()),
        base(geometry(base_tensor)),
        view(geometry(view_tensor)) {}
  PartGeometry geometry(const Tensor& tensor) const {
    if (parts && tensor.is_complex()) return part_geometry(tensor);
    return {tensor.sizes(), tensor.strides(), tensor.storage_offset()};
  }
};

Ref<Node> view_node(const Tensor& base, const Tensor& view) {
  const Tensor alias = view.detached();
  record("AsStridedBackward0", alias, {&base}, [geometry = ViewGeometry(base, view)](const Tensor& g, Slots& d) {
    if (!d.wants(0)) return;
    const auto& [parts, in, out] = geometry;
    const Tensor given = parts && g.is_complex() ? view_as_real(g) : g;
    const Tensor result =
        as_strided_backward(given, in.sizes, in.strides, in.offset, out.sizes, out.strides, out.offset);
    d[0] = parts && !g.is_complex() ? view_as_complex(result) : result;
  });
  return Ref<Node>(static_cast<Node*>(alias.impl()->grad_fn.get()));
}

Tensor clone_like_base(const Tensor& gradient, const Tensor& base) {
  Tensor copy = Tensor::empty_like(base, gradient.dtype());
  if (grad_mode().enabled && gradient.requires_grad()) {
    // Written in place below, so it must be part of the graph from here on.
    return clone(gradient, base.is_contiguous());
  }
  copy_raw(copy, gradient);
  return copy;
}

Tensor slice_like_view(const Tensor& whole, const Tensor& base, const Tensor& view) {
  const ViewGeometry geometry(base, view);
  const Tensor from = geometry.parts && base.is_complex() ? view_as_real(whole) : whole;
  const Tensor slice =
      as_strided(from, geometry.view.sizes, geometry.view.strides, geometry.view.offset - geometry.base.offset);
  return geometry.parts && view.is_complex() ? view_as_complex(slice) : slice;
}

void copy_into(const Tensor& target, const Tensor& source) {
  copy_in_place(target, source.defined() ? source : zeros(target.sizes(), target.dtype()));
}

[[maybe_unused]] const bool filled = [] {
  GradientOps& ops = gradient_ops();
  ops.add = [](const Tensor& a, const Tensor& b) { return add(a, b); };
  ops.add_in_place = &add_in_place;
  ops.clone = [](const Tensor& tensor) { return clone(tensor); };
  ops.reduce_to = &reduce_to;
  ops.ones_like = &ones_like;
  ops.has_nan = &has_nan;
  ops.view_node = &view_node;
  ops.clone_like_base = &clone_like_base;
  ops.slice_like_view = &slice_like_view;
  ops.copy_into = &copy_into;
  return true;
}();

}  // namespace

}  // namespace fastnn
