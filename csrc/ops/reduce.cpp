#include "ops/reduce.h"

#include <array>
#include <cmath>
#include <limits>

#include "ops/complex.h"
#include "ops/elementwise.h"
#include "ops/index.h"
#include "ops/linalg.h"
#include "ops/pointwise.h"
#include "ops/reduce_dims.h"
#include "ops/registry.h"
#include "ops/scan.h"
#include "ops/shape.h"

namespace fastnn {

ReduceDims::ReduceDims(const Tensor& input, OptionalDims dim, const char* op) : sizes(input.sizes()) {
  const int ndim = input.ndim();
  const bool every = !dim || dim->empty();
  for (int d = 0; d < ndim; ++d) reduced[d] = every;
  if (!every) {
    bool scalar_seen = false;
    for (const std::int64_t one : *dim) {
      const int d = wrap_dim(one, ndim, op);
      FASTNN_CHECK(!(ndim == 0 ? scalar_seen : reduced[d]), ErrorKind::Runtime, op, ": dim ", d,
                   " appears multiple times in the list of dims");
      if (ndim == 0) {
        scalar_seen = true;
      } else {
        reduced[d] = true;
      }
    }
  }
  for (int d = 0; d < ndim; ++d) {
    if (!reduced[d]) continue;
    ++count;
    total *= sizes[d];
  }
}

Dims ReduceDims::out_sizes(bool keepdim) const {
  Dims result;
  for (int d = 0; d < sizes.size(); ++d) {
    if (!reduced[d]) {
      result.push_back(sizes[d]);
    } else if (keepdim) {
      result.push_back(1);
    }
  }
  return result;
}

Dims ReduceDims::list() const {
  Dims result;
  for (int d = 0; d < sizes.size(); ++d) {
    if (reduced[d]) result.push_back(d);
  }
  return result;
}

Tensor ReduceDims::with_dims(const Tensor& result, bool keepdim) const {
  if (keepdim || count == 0) return result;
  return view(contiguous(result), out_sizes(true));
}

Tensor ReduceDims::broadcast(const Tensor& result, bool keepdim) const {
  return expand(with_dims(result, keepdim), sizes);
}

Around::Around(const Tensor& contiguous, int dim, bool has_n)
    : data(contiguous.data()), dtype(contiguous.dtype()), sizes{1, 1, 1}, strides{1, 1, 1} {
  for (int d = 0; d < contiguous.ndim(); ++d) {
    sizes[d < dim ? 0 : d == dim && has_n ? 1 : 2] *= contiguous.sizes()[d];
  }
  strides[1] = sizes[2];
  strides[0] = sizes[2] * sizes[1];
}

Tensor reduce(const char* op, Reduction kernel, const Tensor& input, const ReduceDims& dims, bool keepdim, DType dtype,
              ReduceParams params, const Tensor* context) {
  // A complex sum is that of the parts, which are one more dimension that is kept.
  const bool parts = input.is_complex();
  if (parts && kernel != kernels().reduce->sum) fail_not_implemented(op, input.dtype());
  Tensor out = Tensor::empty(dims.out_sizes(keepdim), dtype);
  // The reduced dimensions go last: only sizes and strides move.
  Dims in_sizes;
  Dims in_strides;
  for (const bool last : {false, true}) {
    for (int d = 0; d < dims.sizes.size(); ++d) {
      if (dims.reduced[d] != last) continue;
      in_sizes.push_back(input.sizes()[d]);
      in_strides.push_back(parts ? 2 * input.strides()[d] : input.strides()[d]);
    }
    if (parts && !last) {
      in_sizes.push_back(2);
      in_strides.push_back(1);
    }
  }
  const int kept = in_sizes.size() - dims.count;
  const Dims out_strides = contiguous_strides(IntSpan(in_sizes.data(), static_cast<std::size_t>(kept)));
  const View in_view{input.data(), to_real(input.dtype()), in_sizes.size(), in_sizes.data(), in_strides.data()};
  const View out_view{out.data(), to_real(dtype), kept, in_sizes.data(), out_strides.data()};
  const View context_view = context ? context->view() : View{};
  params.op = op;
  if (LaunchCount::counting) ++LaunchCount::value;
  kernel(out_view, in_view, dims.count, context ? &context_view : nullptr, params);
  return out;
}

namespace {

const ReduceKernels& table() { return *kernels().reduce; }

DType sum_dtype(const Tensor& input, OptionalDType dtype) {
  if (dtype) return *dtype;
  return input.is_differentiable() ? input.dtype() : DType::Int64;
}

// Sums and products of integers may be asked for in a type narrower than int64; a float input asked for as an integer
// is truncated first.
Tensor sum_input(const Tensor& input, DType dtype) {
  const bool narrower = input.is_differentiable() && !is_differentiable(dtype);
  return narrower || input.is_complex() != is_complex(dtype) ? to_dtype(input, dtype) : input;
}

void check_floating(const char* op, DType dtype, bool named_dtype) {
  FASTNN_CHECK(is_floating(dtype), ErrorKind::Runtime, op, "(): could not infer output dtype. ",
               named_dtype ? "Optional dtype" : "Input dtype",
               " must be either a floating point or complex dtype. Got: ", dtype);
}

void check_not_empty(const char* op, const ReduceDims& dims) {
  if (dims.total != 0) return;
  for (int d = 0; d < dims.sizes.size(); ++d) {
    FASTNN_CHECK(!(dims.reduced[d] && dims.sizes[d] == 0), ErrorKind::Index, op, "(): Expected reduction dim ", d,
                 " to have non-zero size.");
  }
}

Tensor zero_like(const Tensor& input) { return expand(Tensor::full({}, 0, input.dtype()), input.sizes()); }

}  // namespace

Tensor sum(const Tensor& input, OptionalDims dim, bool keepdim, OptionalDType dtype) {
  const ReduceDims dims(input, dim, "sum");
  const DType result = sum_dtype(input, dtype);
  Tensor out = reduce("sum", table().sum, sum_input(input, result), dims, keepdim, result);
  if (is_differentiable(result) && needs_grad(input)) {
    const char* name = dim ? "SumBackward1" : "SumBackward0";
    record(name, out, {&input}, [dims, keepdim, from = input.dtype()](const Tensor& g, Slots& d) {
      d[0] = dims.broadcast(to_dtype(g, from), keepdim);
    });
  }
  return out;
}

Tensor nansum(const Tensor& input, OptionalDims dim, bool keepdim, OptionalDType dtype) {
  FASTNN_CHECK(!input.is_complex(), ErrorKind::Runtime, "nansum on CPU does not support complex inputs");
  if (!input.is_floating()) return sum(input, dim, keepdim, dtype);
  const ReduceDims dims(input, dim, "nansum");
  const DType result = sum_dtype(input, dtype);
  Tensor out = reduce("nansum", table().nansum, sum_input(input, result), dims, keepdim, result);
  if (is_floating(result) && needs_grad(input)) {
    record("NansumBackward0", out, {&input}, [dims, keepdim, sx = save(input)](const Tensor& g, Slots& d) {
      const Tensor& x = sx.get();
      d[0] = masked_fill(dims.broadcast(to_dtype(g, x.dtype()), keepdim), ne(x, x), Scalar(0));
    });
  }
  return out;
}

Tensor mean(const Tensor& input, OptionalDims dim, bool keepdim, OptionalDType dtype) {
  const DType result = dtype.value_or(input.dtype());
  FASTNN_CHECK(is_differentiable(result), ErrorKind::Runtime, "mean(): could not infer output dtype. ",
               dtype ? "Optional dtype" : "Input dtype",
               " must be either a floating point or complex dtype. Got: ", result);
  const ReduceDims dims(input, dim, "mean");
  ReduceParams params;
  params.divisor = static_cast<double>(dims.total);
  Tensor out = reduce("mean", table().sum, input.is_complex() == is_complex(result) ? input : to_dtype(input, result),
                      dims, keepdim, result, params);
  if (needs_grad(input)) {
    const char* name = dim ? "MeanBackward1" : "MeanBackward0";
    record(name, out, {&input}, [dims, keepdim, from = input.dtype()](const Tensor& g, Slots& d) {
      const Tensor scaled = div(g, Scalar(static_cast<double>(dims.total)));
      d[0] = dims.broadcast(to_dtype(scaled, from), keepdim);
    });
  }
  return out;
}

Tensor nanmean(const Tensor& input, OptionalDims dim, bool keepdim, OptionalDType dtype) {
  FASTNN_CHECK(input.is_floating(), ErrorKind::Runtime,
               "nanmean(): expected input to have floating point or complex dtype but got ", input.dtype());
  const Tensor count = sum(eq(input, input), dim, keepdim);
  return div(nansum(input, dim, keepdim, dtype), count);
}

Tensor sum_to_size(const Tensor& input, IntSpan sizes) {
  FASTNN_CHECK(is_expandable_to(sizes, input.sizes()), ErrorKind::Runtime, "size {", Dims(sizes),
               "} is not expandable to size {", input.sizes(), "}.");
  const int leading = input.ndim() - static_cast<int>(sizes.size());
  Dims reduced;
  for (int d = 0; d < input.ndim(); ++d) {
    if (d < leading || (sizes[static_cast<std::size_t>(d - leading)] == 1 && input.sizes()[d] != 1))
      reduced.push_back(d);
  }
  if (reduced.empty()) return input;
  const Tensor total = sum(input, reduced, true);
  return leading == 0 ? total : view(total, sizes);
}

// --- products --------------------------------------------------------------------------------------------------------

namespace {

// Along a dimension, the product of all elements but the one in its place.
Tensor product_of_others(const Tensor& input, std::int64_t dim) {
  const std::int64_t n = input.size(dim);
  Dims ones = input.sizes();
  ones[wrap_dim(dim, input.ndim(), "prod")] = 1;
  const Tensor one = Tensor::full(ones, 1, input.dtype());
  const Tensor before = cat(std::array{one, cumprod(narrow(input, dim, 0, n - 1), dim)}, dim);
  const Tensor after = cat(std::array{cumprod_reversed(narrow(input, dim, 1, n - 1), dim), one}, dim);
  return mul(before, after);
}

// Pairs, pairs of pairs and so on, which derives itself.
Tensor complex_prod(const Tensor& input, std::optional<std::int64_t> dim, bool keepdim) {
  const bool all_dims = !dim || input.ndim() == 0;
  Tensor x = all_dims ? reshape(input, Dims{-1}) : input;
  const int at = all_dims ? 0 : wrap_dim(*dim, input.ndim(), "prod");
  if (x.sizes()[at] == 0) {
    Dims sizes = x.sizes();
    sizes[at] = 1;
    x = cat(std::array{x, Tensor::full(sizes, 1, input.dtype())}, at);
  }
  while (x.sizes()[at] > 1) {
    const std::int64_t half = x.sizes()[at] / 2;
    const Tensor pairs = mul(narrow(x, at, 0, half), narrow(x, at, half, half));
    const std::int64_t left = x.sizes()[at] - 2 * half;
    x = left == 0 ? pairs : cat(std::array{pairs, narrow(x, at, 2 * half, left)}, at);
  }
  if (all_dims) return reshape(x, keepdim && !dim ? Dims::filled(input.ndim(), 1) : Dims{});
  return keepdim ? (x.is_same(input) ? clone(x) : x) : squeeze(x, at);
}

Tensor prod_gradient(const Tensor& g, const Tensor& input, const Tensor& out, const ReduceDims& dims, bool keepdim,
                     bool all_dims) {
  if (input.numel() == 0) return zero_like(input);
  const Tensor wide = dims.with_dims(g, keepdim);
  if (!has_zero(input)) return div(mul(wide, dims.with_dims(out, keepdim)), input);
  if (!all_dims) return mul(wide, product_of_others(input, dims.list()[0]));
  const std::int64_t flat[] = {-1};
  return mul(wide, view(product_of_others(reshape(input, flat), 0), input.sizes()));
}

}  // namespace

bool has_zero(const Tensor& input) {
  const GradModeGuard off(false);
  return all(input).item_int() == 0;
}

Tensor prod(const Tensor& input, std::optional<std::int64_t> dim, bool keepdim, OptionalDType dtype) {
  const DType result = sum_dtype(input, dtype);
  if (input.dtype() != result && (input.is_differentiable() || is_complex(result)))
    return prod(to_dtype(input, result), dim, keepdim, result);
  const std::int64_t one = dim.value_or(0);
  const ReduceDims dims(input, dim ? OptionalDims(IntSpan(&one, 1)) : std::nullopt, "prod");
  if (input.is_complex()) return complex_prod(input, dim, keepdim);
  Tensor out = reduce("prod", table().prod, input, dims, keepdim, result);
  if (is_floating(result) && needs_grad(input)) {
    record(dim ? "ProdBackward1" : "ProdBackward0", out, {&input},
           [dims, keepdim, every = !dim || input.ndim() == 0, sx = save(input), so = save_output(out)](
               const Tensor& g, Slots& d) { d[0] = prod_gradient(g, sx.get(), so.get(), dims, keepdim, every); });
  }
  return out;
}

// --- extremes --------------------------------------------------------------------------------------------------------

Tensor share_among_equal(const Tensor& g, const Tensor& input, const Tensor& out, const ReduceDims& dims,
                         bool keepdim) {
  const Tensor wide = dims.with_dims(out, keepdim);
  Tensor equal = eq(input, wide);
  const bool has_nan = out.numel() > 0 && any(ne(out, out)).item_int() != 0;
  if (has_nan) equal = logical_or(equal, logical_and(ne(input, input), ne(wide, wide)));
  const Tensor share = div(dims.with_dims(g, keepdim), sum(equal, dims.list(), true));
  return mul(share, equal);
}

namespace {

Tensor extreme(const char* op, const char* name, Reduction kernel, const Tensor& input, OptionalDims dim,
               bool keepdim) {
  const ReduceDims dims(input, dim, op);
  FASTNN_CHECK(input.numel() > 0 || (dim && !dim->empty()), ErrorKind::Runtime, op,
               "(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the "
               "'dim' argument.");
  check_not_empty(op, dims);
  Tensor out = reduce(op, kernel, input, dims, keepdim, input.dtype());
  if (needs_grad(input)) {
    record(name, out, {&input}, [dims, keepdim, sx = save(input), so = save_output(out)](const Tensor& g, Slots& d) {
      d[0] = share_among_equal(g, sx.get(), so.get(), dims, keepdim);
    });
  }
  return out;
}

Tensor extreme_of_all(const char* op, const char* name, Reduction kernel, const Tensor& input) {
  return extreme(op, name, kernel, input, std::nullopt, false);
}

struct Selected {
  Tensor values, indices;
};

// Values (only if asked for) and positions along one dimension, or along all of them flattened.
Selected select_along(const char* op, Selection kernel, const Tensor& input, int dim, bool keepdim, bool want_values) {
  FASTNN_CHECK(input.ndim() == 0 || input.sizes()[dim] > 0, ErrorKind::Index, op, "(): Expected reduction dim ", dim,
               " to have non-zero size.");
  if (input.is_complex()) fail_not_implemented(op, input.dtype());
  Dims sizes;
  Dims strides;
  Dims out_sizes;
  for (int d = 0; d < input.ndim(); ++d) {
    if (d == dim) {
      if (keepdim) out_sizes.push_back(1);
      continue;
    }
    sizes.push_back(input.sizes()[d]);
    strides.push_back(input.strides()[d]);
    out_sizes.push_back(input.sizes()[d]);
  }
  const Dims kept = sizes;
  const Dims kept_strides = contiguous_strides(kept);
  sizes.push_back(input.ndim() == 0 ? 1 : input.sizes()[dim]);
  strides.push_back(input.ndim() == 0 ? 1 : input.strides()[dim]);
  Selected result{want_values ? Tensor::empty(out_sizes, input.dtype()) : Tensor(),
                  Tensor::empty(out_sizes, DType::Int64)};
  const View in_view{input.data(), input.dtype(), sizes.size(), sizes.data(), strides.data()};
  const View indices{result.indices.data(), DType::Int64, kept.size(), kept.data(), kept_strides.data()};
  const View values{want_values ? result.values.data() : nullptr, input.dtype(), kept.size(), kept.data(),
                    kept_strides.data()};
  ReduceParams params;
  params.op = op;
  if (LaunchCount::counting) ++LaunchCount::value;
  kernel(values, indices, in_view, params);
  return result;
}

std::tuple<Tensor, Tensor> extreme_along(const char* op, const char* name, Selection kernel, const Tensor& input,
                                         std::int64_t dim, bool keepdim) {
  const int at = wrap_dim(dim, input.ndim(), op);
  auto [values, indices] = select_along(op, kernel, input, at, keepdim, true);
  record_selected(name, values, indices, input, at, keepdim);
  return {values, indices};
}

Tensor arg_extreme(const char* op, Selection kernel, const Tensor& input, std::optional<std::int64_t> dim,
                   bool keepdim) {
  FASTNN_CHECK(input.dtype() != DType::Bool, ErrorKind::NotImplemented, '"', op, "_cpu\" not implemented for 'Bool'");
  if (dim) return select_along(op, kernel, input, wrap_dim(*dim, input.ndim(), op), keepdim, false).indices;
  FASTNN_CHECK(input.numel() > 0, ErrorKind::Index, op,
               "(): Expected reduction dim to be specified for input.numel() == 0.");
  const GradModeGuard off(false);
  const std::int64_t flat[] = {-1};
  const Tensor index = select_along(op, kernel, reshape(input, flat), 0, false, false).indices;
  return keepdim ? view(index, Dims::filled(input.ndim(), 1)) : index;
}

}  // namespace

void record_selected(const char* name, const Tensor& values, const Tensor& indices, const Tensor& input, int dim,
                     bool keepdim) {
  if (!needs_grad(input)) return;
  record_outputs(name, {&values, &indices}, {&input},
                 [sizes = input.sizes(), dim, keepdim, si = save(indices)](std::span<const Tensor> g, Slots& d) {
                   if (g[0].defined()) d[0] = value_selecting_gradient(g[0], si.get(), sizes, dim, keepdim);
                 });
}

Tensor value_selecting_gradient(const Tensor& g, const Tensor& indices, IntSpan sizes, int dim, bool keepdim) {
  if (sizes.empty()) return g;
  const bool restore = !keepdim;
  const Tensor wide = restore ? unsqueeze(g, dim) : g;
  const Tensor index = restore ? unsqueeze(indices, dim) : indices;
  return scatter_add(Tensor::full(sizes, 0, g.dtype()), dim, index, wide);
}

Tensor amax(const Tensor& input, OptionalDims dim, bool keepdim) {
  return extreme("amax", "AmaxBackward0", table().amax, input, dim, keepdim);
}
Tensor amin(const Tensor& input, OptionalDims dim, bool keepdim) {
  return extreme("amin", "AminBackward0", table().amin, input, dim, keepdim);
}
std::tuple<Tensor, Tensor> aminmax(const Tensor& input, std::optional<std::int64_t> dim, bool keepdim) {
  FASTNN_CHECK(dim || input.numel() > 0, ErrorKind::Runtime,
               "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.");
  const std::int64_t one = dim.value_or(0);
  const OptionalDims dims = dim ? OptionalDims(IntSpan(&one, 1)) : std::nullopt;
  return {amin(input, dims, keepdim), amax(input, dims, keepdim)};
}
std::tuple<Tensor, Tensor> max(const Tensor& input, std::int64_t dim, bool keepdim) {
  return extreme_along("max", "MaxBackward0", table().argmax, input, dim, keepdim);
}
std::tuple<Tensor, Tensor> min(const Tensor& input, std::int64_t dim, bool keepdim) {
  return extreme_along("min", "MinBackward0", table().argmin, input, dim, keepdim);
}
Tensor argmax(const Tensor& input, std::optional<std::int64_t> dim, bool keepdim) {
  return arg_extreme("argmax", table().argmax, input, dim, keepdim);
}
Tensor argmin(const Tensor& input, std::optional<std::int64_t> dim, bool keepdim) {
  return arg_extreme("argmin", table().argmin, input, dim, keepdim);
}

namespace {
Tensor max_of_all(const Tensor& input) { return extreme_of_all("max", "MaxBackward1", table().amax, input); }
Tensor min_of_all(const Tensor& input) { return extreme_of_all("min", "MinBackward1", table().amin, input); }

// Kernels of truth take no complex numbers.
Tensor truth(const Tensor& input) { return input.is_complex() ? to_dtype(input.detached(), DType::Bool) : input; }

// uint8 is older than bool and keeps its type.
DType truth_dtype(const Tensor& input) { return input.dtype() == DType::UInt8 ? DType::UInt8 : DType::Bool; }
}  // namespace

Tensor any(const Tensor& input, OptionalDims dim, bool keepdim) {
  return reduce("any", table().any, truth(input), {input, dim, "any"}, keepdim, truth_dtype(input));
}
Tensor all(const Tensor& input, OptionalDims dim, bool keepdim) {
  return reduce("all", table().all, truth(input), {input, dim, "all"}, keepdim, truth_dtype(input));
}
Tensor count_nonzero(const Tensor& input, OptionalDims dim) {
  return reduce("count_nonzero", table().count_nonzero, truth(input), {input, dim, "count_nonzero"}, false,
                DType::Int64);
}

// --- variance --------------------------------------------------------------------------------------------------------

namespace {

// Whether some deviation is no larger than the rounding of its mean.
bool is_rounding(const Tensor& deviation, const Tensor& centre) {
  const double bound = 4 * (centre.dtype() == DType::Float64 ? std::numeric_limits<double>::epsilon()
                                                             : std::numeric_limits<float>::epsilon());
  return visit_dtype(centre.dtype(), [&]<class C>() {
    return visit_dtype(deviation.dtype(), [&]<class T>() {
      for (std::int64_t i = 0; i < deviation.numel(); ++i) {
        const auto of = static_cast<double>(deviation.as<T>()[i]);
        if (of != 0 && of <= bound * std::abs(static_cast<double>(centre.as<C>()[i]))) return true;
      }
      return false;
    });
  });
}

}  // namespace

Moments moments(const char* op, const Tensor& input, const ReduceDims& dims, double correction, bool keepdim,
                DType dtype, bool root) {
  ReduceParams params;
  params.divisor = static_cast<double>(dims.total);
  Tensor centre = reduce(op, table().sum, input, dims, keepdim, compute_type(input.dtype()), params);
  const auto spread_around = [&](const Tensor& middle) {
    ReduceParams spread;
    spread.divisor = std::max(0.0, static_cast<double>(dims.total) - correction);
    spread.root = root;
    return reduce(op, table().sum_square_deviations, input, dims, keepdim, dtype, spread, &middle);
  };
  Tensor spread = spread_around(centre);
  const GradModeGuard off(false);
  if (dims.total > 0 && is_rounding(root ? spread : sqrt(spread), centre)) {
    // Equal elements have no spread: their mean is made exact.
    const Tensor rest = sub(to_dtype(input.detached(), centre.dtype()), dims.with_dims(centre, keepdim));
    centre = add(centre, reduce(op, table().sum, rest, dims, keepdim, centre.dtype(), params));
    spread = spread_around(centre);
  }
  return {centre, spread};
}

namespace {

// g: of the variance.
Tensor variance_gradient(const Tensor& g, const Tensor& input, const ReduceDims& dims, double correction,
                         bool keepdim) {
  const Tensor centred = sub(input, mean(input, dims.list(), true));
  const double scale = 2 / (static_cast<double>(dims.total) - correction);
  return mul(mul(dims.with_dims(g, keepdim), Scalar(scale)), centred);
}

Tensor deviation_gradient(const Tensor& g, const Tensor& input, const Tensor& out, const ReduceDims& dims,
                          double correction, bool keepdim) {
  const Tensor half = masked_fill(div(g, mul(out, Scalar(2))), eq(out, Scalar(0).wrapped()), Scalar(0));
  return variance_gradient(half, input, dims, correction, keepdim);
}

}  // namespace

Tensor var(const Tensor& input, OptionalDims dim, double correction, bool keepdim) {
  if (input.is_complex()) {
    return add(var(real(input), dim, correction, keepdim), var(imag(input), dim, correction, keepdim));
  }
  const ReduceDims dims(input, dim, "var");
  check_floating("var", input.dtype(), false);
  Tensor out = moments("var", input, dims, correction, keepdim, input.dtype(), false).variance;
  if (needs_grad(input)) {
    record("VarBackward0", out, {&input}, [dims, correction, keepdim, sx = save(input)](const Tensor& g, Slots& d) {
      d[0] = variance_gradient(g, sx.get(), dims, correction, keepdim);
    });
  }
  return out;
}

Tensor std_dev(const Tensor& input, OptionalDims dim, double correction, bool keepdim) {
  if (input.is_complex()) return sqrt(var(input, dim, correction, keepdim));
  const ReduceDims dims(input, dim, "std");
  check_floating("std", input.dtype(), false);
  Tensor out = moments("std", input, dims, correction, keepdim, input.dtype(), true).variance;
  if (needs_grad(input)) {
    record("StdBackward0", out, {&input},
           [dims, correction, keepdim, sx = save(input), so = save_output(out)](const Tensor& g, Slots& d) {
             d[0] = deviation_gradient(g, sx.get(), so.get(), dims, correction, keepdim);
           });
  }
  return out;
}

namespace {

std::tuple<Tensor, Tensor> moments_pair(const char* op, const char* name, const Tensor& input, OptionalDims dim,
                                        double correction, bool keepdim, bool root) {
  if (input.is_complex()) {
    const Tensor variance = var(input, dim, correction, keepdim);
    return {root ? sqrt(variance) : variance, mean(input, dim, keepdim)};
  }
  const ReduceDims dims(input, dim, op);
  check_floating(op, input.dtype(), false);
  const Moments both = moments(op, input, dims, correction, keepdim, input.dtype(), root);
  Tensor spread = both.variance;
  Tensor centre = to_dtype(both.mean, input.dtype());
  if (needs_grad(input)) {
    record_outputs(name, {&spread, &centre}, {&input},
                   [dims, correction, keepdim, root, sx = save(input), so = root ? save_output(spread) : SavedOutput()](
                       std::span<const Tensor> g, Slots& d) {
                     if (g[0].defined()) {
                       d[0] = root ? deviation_gradient(g[0], sx.get(), so.get(), dims, correction, keepdim)
                                   : variance_gradient(g[0], sx.get(), dims, correction, keepdim);
                     }
                     if (!g[1].defined()) return;
                     const Tensor of_mean = dims.broadcast(div(g[1], Scalar(static_cast<double>(dims.total))), keepdim);
                     d[0] = d[0].defined() ? add(d[0], of_mean) : of_mean;
                   });
  }
  return {spread, centre};
}

}  // namespace

std::tuple<Tensor, Tensor> var_mean(const Tensor& input, OptionalDims dim, double correction, bool keepdim) {
  return moments_pair("var_mean", "VarMeanBackward0", input, dim, correction, keepdim, false);
}

namespace {

std::tuple<Tensor, Tensor> std_mean(const Tensor& input, OptionalDims dim, double correction, bool keepdim) {
  return moments_pair("std_mean", "StdMeanBackward0", input, dim, correction, keepdim, true);
}

// The three ways of calling each: unbiased only, dim and unbiased, dim and correction.
template <auto function>
auto unbiased_all(const Tensor& input, bool unbiased) {
  return function(input, {}, unbiased ? 1 : 0, false);
}
template <auto function>
auto unbiased_dims(const Tensor& input, OptionalDims dim, bool unbiased, bool keepdim) {
  return function(input, dim, unbiased ? 1 : 0, keepdim);
}
template <auto function>
auto corrected(const Tensor& input, OptionalDims dim, const std::optional<Scalar>& correction, bool keepdim) {
  return function(input, dim, correction ? correction->to_double() : 1, keepdim);
}

}  // namespace

// --- norms -----------------------------------------------------------------------------------------------------------

namespace {

Tensor norm_gradient(const Tensor& g0, const Tensor& x, const Tensor& out0, double ord, const ReduceDims& dims,
                     bool keepdim) {
  const Tensor g = dims.with_dims(g0, keepdim);
  const Tensor out = dims.with_dims(out0, keepdim);
  const Tensor zero = eq(out, Scalar(0).wrapped());
  if (ord == 0) return Tensor();  // constant almost everywhere
  if (ord == 1) return mul(sign(x), g);
  // No division by zero, whose derivative would not be finite either.
  if (ord == 2) return mul(x, masked_fill(div(g, masked_fill(out, zero, Scalar(1))), zero, Scalar(0)));
  const Tensor magnitude = abs(x);
  if (std::isinf(ord)) {
    const Tensor equal = logical_or(eq(magnitude, out), ne(x, x));
    return mul(mul(sign(x), equal), div(g, sum(equal, dims.list(), true)));
  }
  if (ord < 1) {
    const Tensor slope =
        masked_fill(mul(sign(x), pow(magnitude, Scalar(ord - 1))), eq(x, Scalar(0).wrapped()), Scalar(0));
    return mul(mul(slope, g), pow(out, Scalar(1 - ord)));
  }
  const Tensor scale = masked_fill(div(g, pow(out, Scalar(ord - 1))), zero, Scalar(0));
  if (ord < 2) return mul(mul(sign(x), pow(magnitude, Scalar(ord - 1))), scale);
  return mul(mul(x, pow(magnitude, Scalar(ord - 2))), scale);
}

Tensor norm_value(const Tensor& input, double ord, const ReduceDims& dims, bool keepdim) {
  const DType dtype = input.dtype();
  ReduceParams params;
  if (ord == 2) {
    params.root = true;
    return reduce("norm", table().sum_squares, input, dims, keepdim, dtype, params);
  }
  if (ord == 1) return reduce("norm", table().sum_abs, input, dims, keepdim, dtype);
  if (ord == 0) return to_dtype(reduce("norm", table().count_nonzero, input, dims, keepdim, DType::Int64), dtype);
  if (std::isinf(ord)) {
    FASTNN_CHECK(ord < 0 ? dims.total > 0 : true, ErrorKind::Runtime, "linalg.vector_norm cannot compute the ", ord,
                 " norm on an empty tensor because the operation does not have an identity");
    const Tensor magnitude = abs(input);
    if (dims.total == 0) return Tensor::full(dims.out_sizes(keepdim), 0, dtype);
    return reduce("norm", ord > 0 ? table().amax : table().amin, magnitude, dims, keepdim, dtype);
  }
  const Tensor powers = pow(abs(to_dtype(input, compute_type(dtype))), Scalar(ord));
  const Tensor total = reduce("norm", table().sum, powers, dims, keepdim, powers.dtype());
  return to_dtype(pow(total, Scalar(1 / ord)), dtype);
}

}  // namespace

Tensor vector_norm(const Tensor& input, double ord, OptionalDims dim, bool keepdim, OptionalDType dtype) {
  if (input.is_complex()) {
    FASTNN_CHECK(!dtype || is_complex(*dtype), ErrorKind::Runtime,
                 "linalg.vector_norm: the dtype of the norm of a complex tensor must be complex. Got ", *dtype);
    return vector_norm(abs(dtype ? to_dtype(input, *dtype) : input), ord, dim, keepdim, {});
  }
  FASTNN_CHECK(input.is_floating(), ErrorKind::Runtime,
               "linalg.vector_norm: Expected a floating point or complex tensor as input. Got ", input.dtype());
  if (dtype && *dtype != input.dtype()) {
    FASTNN_CHECK(is_floating(*dtype), ErrorKind::Runtime,
                 "linalg.vector_norm: the dtype of the result must be floating point. Got ", *dtype);
    return vector_norm(to_dtype(input, *dtype), ord, dim, keepdim, {});
  }
  const ReduceDims dims(input, dim, "linalg.vector_norm");
  Tensor out;
  {
    const GradModeGuard off(false);
    out = norm_value(input, ord, dims, keepdim);
  }
  if (needs_grad(input)) {
    record("LinalgVectorNormBackward0", out, {&input},
           [dims, keepdim, ord, sx = save(input), so = save_output(out)](const Tensor& g, Slots& d) {
             d[0] = norm_gradient(g, sx.get(), so.get(), ord, dims, keepdim);
           });
  }
  return out;
}

namespace {

Tensor norm(const Tensor& input, const std::optional<Scalar>& p, OptionalDims dim, bool keepdim, OptionalDType dtype) {
  FASTNN_CHECK(input.is_differentiable(), ErrorKind::Runtime,
               "linalg.vector_norm: Expected a floating point or complex tensor as input. Got ", input.dtype());
  return vector_norm(input, p ? p->to_double() : 2, dim, keepdim, dtype);
}

Tensor named_norm(const Tensor& input, std::string_view p, OptionalDims dim, bool keepdim, OptionalDType dtype) {
  if (p == "inf" || p == "-inf") {
    const double infinity = std::numeric_limits<double>::infinity();
    return vector_norm(input, p == "inf" ? infinity : -infinity, dim, keepdim, dtype);
  }
  if (p == "nuc") {
    constexpr std::int64_t matrix[] = {-2, -1};
    FASTNN_CHECK(dim || input.ndim() == 2, ErrorKind::Runtime, "norm: without dim, p='nuc' needs a matrix, got shape ",
                 input.sizes());
    return matrix_norm(input, p, dim.value_or(matrix), keepdim, dtype);
  }
  FASTNN_CHECK(p == "fro", ErrorKind::Runtime, "norm: expected p to be a number, 'fro', 'nuc', 'inf' or '-inf', got '",
               p, "'");
  return vector_norm(input, 2, dim, keepdim, dtype);
}

Tensor linalg_vector_norm(const Tensor& input, const Scalar& ord, OptionalDims dim, bool keepdim, OptionalDType dtype) {
  return vector_norm(input, ord.to_double(), dim, keepdim, dtype);
}

}  // namespace

Tensor trace(const Tensor& input) {
  FASTNN_CHECK(input.ndim() == 2, ErrorKind::Runtime, "trace: expected a matrix, but got tensor with dim ",
               input.ndim());
  const std::int64_t size[] = {std::min(input.sizes()[0], input.sizes()[1])};
  const std::int64_t stride[] = {input.strides()[0] + input.strides()[1]};
  return sum(as_strided(input, size, stride, input.storage_offset()));
}

namespace {
// To no dimensions: as sum() does it, integers become int64.
Tensor sum_to_size_op(const Tensor& input, IntSpan sizes) {
  return sizes.empty() ? sum(input) : sum_to_size(input, sizes);
}
}  // namespace

FASTNN_OPS(reduce) {
  constexpr unsigned both = op_fn | op_method;
  constexpr unsigned every = op_fn | op_method | op_out;
  op("sum(Tensor input, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor", &sum, every);
  op("nansum(Tensor input, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor", &nansum, every);
  op("mean(Tensor input, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor", &mean, every);
  op("nanmean(Tensor input, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor", &nanmean, every);
  op("prod(Tensor input, int? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor", &prod, every);
  op("amax(Tensor input, int[1] dim=[], bool keepdim=False) -> Tensor", &amax, every);
  op("amin(Tensor input, int[1] dim=[], bool keepdim=False) -> Tensor", &amin, every);
  op("aminmax(Tensor input, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)", &aminmax, every);
  op("max(Tensor input) -> Tensor", &max_of_all, every);
  op("max(Tensor input, Tensor other) -> Tensor", &maximum, every);
  op("max(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)", &max, every);
  op("min(Tensor input) -> Tensor", &min_of_all, every);
  op("min(Tensor input, Tensor other) -> Tensor", &minimum, every);
  op("min(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)", &min, every);
  op("argmax(Tensor input, int? dim=None, bool keepdim=False) -> Tensor", &argmax, every);
  op("argmin(Tensor input, int? dim=None, bool keepdim=False) -> Tensor", &argmin, every);
  op("any(Tensor input, int[1]? dim=None, bool keepdim=False) -> Tensor", &any, every);
  op("all(Tensor input, int[1]? dim=None, bool keepdim=False) -> Tensor", &all, every);
  op("count_nonzero(Tensor input, int[1]? dim=None) -> Tensor", &count_nonzero, both);
  op("var(Tensor input, int[1]? dim=None, *, Scalar? correction=1, bool keepdim=False) -> Tensor", &corrected<&var>,
     every);
  op("var(Tensor input, int[1]? dim, bool unbiased, bool keepdim=False) -> Tensor", &unbiased_dims<&var>, every);
  op("var(Tensor input, bool unbiased) -> Tensor", &unbiased_all<&var>, both);
  op("std(Tensor input, int[1]? dim=None, *, Scalar? correction=1, bool keepdim=False) -> Tensor", &corrected<&std_dev>,
     every);
  op("std(Tensor input, int[1]? dim, bool unbiased, bool keepdim=False) -> Tensor", &unbiased_dims<&std_dev>, every);
  op("std(Tensor input, bool unbiased) -> Tensor", &unbiased_all<&std_dev>, both);
  op("var_mean(Tensor input, int[1]? dim=None, *, Scalar? correction=1, bool keepdim=False) -> (Tensor, Tensor)",
     &corrected<&var_mean>, op_fn);
  op("var_mean(Tensor input, int[1]? dim, bool unbiased, bool keepdim=False) -> (Tensor, Tensor)",
     &unbiased_dims<&var_mean>, op_fn);
  op("var_mean(Tensor input, bool unbiased) -> (Tensor, Tensor)", &unbiased_all<&var_mean>, op_fn);
  op("std_mean(Tensor input, int[1]? dim=None, *, Scalar? correction=1, bool keepdim=False) -> (Tensor, Tensor)",
     &corrected<&std_mean>, op_fn);
  op("std_mean(Tensor input, int[1]? dim, bool unbiased, bool keepdim=False) -> (Tensor, Tensor)",
     &unbiased_dims<&std_mean>, op_fn);
  op("std_mean(Tensor input, bool unbiased) -> (Tensor, Tensor)", &unbiased_all<&std_mean>, op_fn);
  op("norm(Tensor input, str p='fro', int[1]? dim=None, bool keepdim=False, dtype? dtype=None) -> Tensor", &named_norm,
     every);
  op("norm(Tensor input, Scalar? p, int[1]? dim=None, bool keepdim=False, dtype? dtype=None) -> Tensor", &norm, every);
  op("linalg.vector_norm(Tensor x, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor",
     &linalg_vector_norm, op_fn | op_out);
  op("trace(Tensor input) -> Tensor", &trace, both);
  op("sum_to_size(Tensor input, *int[] size) -> Tensor", &sum_to_size_op, op_method);
}

}  // namespace fastnn
