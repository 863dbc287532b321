#include "ops/reduce.h"

#include "ops/elementwise.h"
#include "ops/pointwise.h"
#include "ops/reduce_dims.h"
#include "ops/registry.h"
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

Tensor reduce(const char* op, Reduction kernel, const Tensor& input, const ReduceDims& dims, bool keepdim, DType dtype,
              ReduceParams params, const Tensor* context) {
  Tensor out = Tensor::empty(dims.out_sizes(keepdim), dtype);
  // The reduced dimensions go last: only sizes and strides move.
  Dims in_sizes;
  Dims in_strides;
  for (const bool last : {false, true}) {
    for (int d = 0; d < dims.sizes.size(); ++d) {
      if (dims.reduced[d] != last) continue;
      in_sizes.push_back(input.sizes()[d]);
      in_strides.push_back(input.strides()[d]);
    }
  }
  const int kept = in_sizes.size() - dims.count;
  const Dims out_strides = contiguous_strides(IntSpan(in_sizes.data(), static_cast<std::size_t>(kept)));
  const View in_view{input.data(), input.dtype(), in_sizes.size(), in_sizes.data(), in_strides.data()};
  const View out_view{out.data(), dtype, kept, in_sizes.data(), out_strides.data()};
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
  return input.is_floating() ? input.dtype() : DType::Int64;
}

// Sums and products of integers may be asked for in a type narrower than int64; a float input asked for as an integer
// is truncated first.
Tensor sum_input(const Tensor& input, DType dtype) {
  return input.is_floating() && !is_floating(dtype) ? to_dtype(input, dtype) : input;
}

}  // namespace

Tensor sum(const Tensor& input, OptionalDims dim, bool keepdim, OptionalDType dtype) {
  const ReduceDims dims(input, dim, "sum");
  const DType result = sum_dtype(input, dtype);
  Tensor out = reduce("sum", table().sum, sum_input(input, result), dims, keepdim, result);
  if (is_floating(result) && needs_grad(input)) {
    const char* name = dim ? "SumBackward1" : "SumBackward0";
    record(name, out, {&input}, [dims, keepdim, from = input.dtype()](const Tensor& g, Slots& d) {
      d[0] = dims.broadcast(to_dtype(g, from), keepdim);
    });
  }
  return out;
}

Tensor mean(const Tensor& input, OptionalDims dim, bool keepdim, OptionalDType dtype) {
  const DType result = dtype.value_or(input.dtype());
  FASTNN_CHECK(is_floating(result), ErrorKind::Runtime, "mean(): could not infer output dtype. ",
               dtype ? "Optional dtype" : "Input dtype",
               " must be either a floating point or complex dtype. Got: ", result);
  const ReduceDims dims(input, dim, "mean");
  ReduceParams params;
  params.divisor = static_cast<double>(dims.total);
  Tensor out = reduce("mean", table().sum, input, dims, keepdim, result, params);
  if (needs_grad(input)) {
    const char* name = dim ? "MeanBackward1" : "MeanBackward0";
    record(name, out, {&input}, [dims, keepdim, from = input.dtype()](const Tensor& g, Slots& d) {
      const Tensor scaled = div(g, Scalar(static_cast<double>(dims.total)).wrapped());
      d[0] = dims.broadcast(to_dtype(scaled, from), keepdim);
    });
  }
  return out;
}

Tensor sum_to_size(const Tensor& input, IntSpan sizes) {
  FASTNN_CHECK(is_expandable_to(sizes, input.sizes()), ErrorKind::Runtime, "size {", Dims(sizes),
               "} is not expandable to size {", input.sizes(), "}.");
  const int leading = input.ndim() - static_cast<int>(sizes.size());
  Dims reduced;
  for (int d = 0; d < input.ndim(); ++d) {
    if (d < leading || (sizes[static_cast<std::size_t>(d - leading)] == 1 && input.sizes()[d] != 1)) reduced.push_back(d);
  }
  if (reduced.empty()) return input;
  const Tensor total = sum(input, reduced, true);
  return leading == 0 ? total : view(total, sizes);
}

// --- positions ---

namespace {

struct Selected {
  Tensor values, indices;
};

// Values (only if asked for) and positions along one dimension, or along all of them flattened.
Selected select_along(const char* op, Selection kernel, const Tensor& input, int dim, bool keepdim, bool want_values) {
  FASTNN_CHECK(input.ndim() == 0 || input.sizes()[dim] > 0, ErrorKind::Index, op, "(): Expected reduction dim ", dim,
               " to have non-zero size.");
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
  Selected result{want_values ? Tensor::empty(out_sizes, input.dtype()) : Tensor(), Tensor::empty(out_sizes, DType::Int64)};
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

Tensor arg_extreme(const char* op, Selection kernel, const Tensor& input, std::optional<std::int64_t> dim, bool keepdim) {
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

Tensor argmax(const Tensor& input, std::optional<std::int64_t> dim, bool keepdim) {
  return arg_extreme("argmax", table().argmax, input, dim, keepdim);
}
Tensor argmin(const Tensor& input, std::optional<std::int64_t> dim, bool keepdim) {
  return arg_extreme("argmin", table().argmin, input, dim, keepdim);
}

namespace {
// uint8 is older than bool and keeps its type.
DType truth_dtype(const Tensor& input) { return input.dtype() == DType::UInt8 ? DType::UInt8 : DType::Bool; }
}  // namespace

Tensor any(const Tensor& input, OptionalDims dim, bool keepdim) {
  return reduce("any", table().any, input, {input, dim, "any"}, keepdim, truth_dtype(input));
}
Tensor all(const Tensor& input, OptionalDims dim, bool keepdim) {
  return reduce("all", table().all, input, {input, dim, "all"}, keepdim, truth_dtype(input));
}
Tensor count_nonzero(const Tensor& input, OptionalDims dim) {
  return reduce("count_nonzero", table().count_nonzero, input, {input, dim, "count_nonzero"}, false, DType::Int64);
}

FASTNN_OPS(reduce) {
  constexpr unsigned both = op_fn | op_method;
  constexpr unsigned every = op_fn | op_method | op_out;
  op("sum(Tensor input, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor", &sum, every);
  op("mean(Tensor input, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor", &mean, every);
  op("argmax(Tensor input, int? dim=None, bool keepdim=False) -> Tensor", &argmax, every);
  op("argmin(Tensor input, int? dim=None, bool keepdim=False) -> Tensor", &argmin, every);
  op("any(Tensor input, int[1]? dim=None, bool keepdim=False) -> Tensor", &any, every);
  op("all(Tensor input, int[1]? dim=None, bool keepdim=False) -> Tensor", &all, every);
  op("count_nonzero(Tensor input, int[1]? dim=None) -> Tensor", &count_nonzero, both);
  op("sum_to_size(Tensor input, *int[] size) -> Tensor", &sum_to_size, op_method);
}

}  // namespace fastnn
