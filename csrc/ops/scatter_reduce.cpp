// Reductions of elements that are scattered to the same place.
#include <limits>

#include "kernels/index.h"
#include "ops/algebra.h"
#include "ops/factory.h"
#include "ops/index.h"
#include "ops/pointwise.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

enum class Reduction : std::uint8_t { Sum, Product, Mean, Minimum, Maximum };

ScatterMode mode_of(Reduction reduction) {
  switch (reduction) {
    case Reduction::Product:
      return ScatterMode::Multiply;
    case Reduction::Minimum:
      return ScatterMode::Minimum;
    case Reduction::Maximum:
      return ScatterMode::Maximum;
    default:
      return ScatterMode::Add;
  }
}

// The value that does not change a reduction.
Scalar neutral(Reduction reduction, DType dtype) {
  if (reduction == Reduction::Sum || reduction == Reduction::Mean) return Scalar(0);
  if (reduction == Reduction::Product) return Scalar(1);
  const bool low = reduction == Reduction::Maximum;
  if (is_floating(dtype)) {
    const double infinity = std::numeric_limits<double>::infinity();
    return Scalar(low ? -infinity : infinity);
  }
  return visit_dtype(dtype, [low]<class T>() {
    if constexpr (std::is_integral_v<T>) {
      return Scalar(static_cast<std::int64_t>(low ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max()));
    } else {
      return Scalar(0);
    }
  });
}

struct Scatter {
  const char* op;
  std::int64_t dim;
  Reduction reduction;
  bool include_self;

  Tensor fill(const Tensor& target, const Tensor& index_tensor, const Scalar& value) const {
    return scatter(target, dim, index_tensor, expand(full(Dims{}, value, target.dtype()), index_tensor.sizes()));
  }
  // `target` as the reduction starts: without its own values at the places that are written.
  Tensor start(const Tensor& target, const Tensor& index_tensor) const {
    return include_self ? target : fill(target, index_tensor, neutral(reduction, target.dtype()));
  }
  // How many values each element is the mean of.
  Tensor counts(const Tensor& target, const Tensor& index_tensor) const {
    const DType dtype = target.dtype() == DType::Bool ? DType::Int64 : target.dtype();
    Tensor count = include_self ? ones(target.sizes(), dtype) : zeros(target.sizes(), dtype);
    count = scatter_add(count, dim, index_tensor, ones(index_tensor.sizes(), dtype));
    return masked_fill(count, eq(count, Tensor::wrapped(std::int64_t{0})), Scalar(1));
  }
  Tensor value(const Tensor& target, const Tensor& index_tensor, const Tensor& src) const {
    const GradModeGuard off(false);
    Tensor out =
        scattered(op, start(target.detached(), index_tensor), dim, index_tensor, src.detached(), mode_of(reduction));
    if (reduction != Reduction::Mean) return out;
    const Tensor count = counts(target, index_tensor);
    return is_floating(out.dtype()) ? div(out, count) : to_dtype(floor_divide(out, count), out.dtype());
  }
};

Tensor reduced(const Scatter& how, const Tensor& input, const Tensor& index_tensor, const Tensor& src);

// Gradients of a product: of the other factors where there is no zero, without a division by one where there is.
void product_gradients(const Scatter& how, const Tensor& g, const Tensor& x, const Tensor& places, const Tensor& src,
                       const Tensor& y, Slots& d) {
  const Tensor zero = Tensor::wrapped(0.0);
  if (d.wants(0)) {
    const Tensor others = masked_fill(x, eq(x, zero), Scalar(1.0));
    d[0] = g * reduced(how, others, places, src) / others;
  }
  if (d.wants(1)) {
    const Tensor is_zero = eq(src, zero);
    const Tensor zeros_there = gather(
        scatter_add(zeros(x.sizes(), x.dtype()), how.dim, places, to_dtype(is_zero, x.dtype())), how.dim, places);
    const Tensor alone = logical_and(is_zero, eq(zeros_there, Tensor::wrapped(1.0)));
    const Tensor others = reduced(how, x, places, masked_fill(src, alone, Scalar(1.0)));
    d[1] = where(alone, gather(g * others, how.dim, places),
                 gather(g * y, how.dim, places) / masked_fill(src, is_zero, Scalar(1.0)));
  }
}

// Gradients of an extreme: shared among all that equal it.
void extreme_gradients(const Scatter& how, const Tensor& g, const Tensor& x, const Tensor& places, const Tensor& src,
                       const Tensor& y, Slots& d) {
  const DType dtype = g.dtype();
  const Tensor self_is = to_dtype(eq(x, y), dtype);
  const Tensor src_is = to_dtype(eq(src, gather(y, how.dim, places)), dtype);
  Tensor count = scatter_add(how.include_self ? self_is : zeros(x.sizes(), dtype), how.dim, places, src_is);
  count = masked_fill(count, eq(count, Tensor::wrapped(0.0)), Scalar(1.0));
  const Tensor share = g / count;
  if (d.wants(0)) d[0] = self_is * share;
  if (d.wants(1)) d[1] = src_is * gather(share, how.dim, places);
}

void gradients(const Scatter& how, const Tensor& g, const Tensor& x, const Tensor& places, const Tensor& src,
               const Tensor& y, Slots& d) {
  if (how.reduction == Reduction::Sum || how.reduction == Reduction::Mean) {
    const Tensor share = how.reduction == Reduction::Sum ? g : g / how.counts(x, places);
    if (d.wants(0)) d[0] = share;
    if (d.wants(1)) d[1] = gather(share, how.dim, places);
  } else if (how.reduction == Reduction::Product) {
    product_gradients(how, g, x, places, src, y, d);
  } else {
    extreme_gradients(how, g, x, places, src, y, d);
  }
  if (d.wants(0) && !how.include_self) d[0] = how.fill(d[0], places, Scalar(0));
}

// `src` has the shape of the index.
Tensor reduced(const Scatter& how, const Tensor& input, const Tensor& index_tensor, const Tensor& src) {
  Tensor out = how.value(input, index_tensor, src);
  if (needs_grad(input, src)) {
    record("ScatterReduceBackward0", out, {&input, &src},
           [how, sx = save(input), places = save(index_tensor), ss = save(src), sy = save_output(out)](
               const Tensor& g, Slots& d) { gradients(how, g, sx.get(), places.get(), ss.get(), sy.get(), d); });
  }
  return out;
}

Reduction reduction_named(std::string_view name, bool with_sum, const char* message) {
  if (with_sum && name == "sum") return Reduction::Sum;
  if (name == "prod") return Reduction::Product;
  if (name == "mean") return Reduction::Mean;
  if (name == "amax") return Reduction::Maximum;
  if (name == "amin") return Reduction::Minimum;
  fail(ErrorKind::Runtime, message, std::string(name));
}

Tensor scatter_reduce(const Tensor& input, std::int64_t dim, const Tensor& index_tensor, const Tensor& src,
                      std::string_view reduce, bool include_self) {
  const Reduction reduction =
      reduction_named(reduce, true, "reduce argument must be either sum, prod, mean, amax or amin, got ");
  Tensor part = src;
  for (int d = 0; d < src.ndim() && src.ndim() == index_tensor.ndim(); ++d) {
    if (index_tensor.sizes()[d] < part.sizes()[d]) part = narrow(part, d, 0, index_tensor.sizes()[d]);
  }
  return reduced({"scatter_reduce", dim, reduction, include_self}, input, index_tensor, part);
}

Tensor index_reduce(const Tensor& input, std::int64_t dim, const Tensor& index_tensor, const Tensor& source,
                    std::string_view reduce, bool include_self) {
  const Reduction reduction =
      reduction_named(reduce, false, "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got ");
  const int at = wrap_dim(dim, input.ndim(), "index_reduce");
  FASTNN_CHECK(index_tensor.ndim() <= 1, ErrorKind::Runtime,
               "index_reduce(): Index is supposed to be a vector, but got dim: ", index_tensor.ndim());
  FASTNN_CHECK(source.dtype() == input.dtype(), ErrorKind::Runtime,
               "index_reduce(): Expected self and source to have the same scalar type, but got (self) ", input.dtype(),
               " and (source) ", source.dtype());
  FASTNN_CHECK(index_tensor.numel() == (source.ndim() == 0 ? 1 : source.sizes()[at]), ErrorKind::Runtime,
               "index_reduce(): Number of indices (", index_tensor.numel(), ") should be equal to source.size(dim): (",
               source.ndim() == 0 ? 1 : source.sizes()[at], "), for dim: ", dim);
  Dims line = Dims::filled(source.ndim(), 1);
  if (source.ndim() > 0) line[at] = index_tensor.numel();
  const Tensor places = expand(reshape(index_tensor, line), source.sizes());
  return reduced({"index_reduce", at, reduction, include_self}, input, places, source);
}

}  // namespace

FASTNN_OPS(scatter_reduce) {
  constexpr unsigned kAll = op_fn | op_method | op_inplace | op_out;
  op("scatter_reduce(Tensor input, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True) -> Tensor",
     &scatter_reduce, kAll);
  op("index_reduce(Tensor input, int dim, Tensor index, Tensor source, str reduce, *, bool include_self=True) -> "
     "Tensor",
     &index_reduce, kAll);
}

}  // namespace fastnn
