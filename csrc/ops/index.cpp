#include "ops/index.h"

#include <algorithm>

#include "kernels/table.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

const IndexKernels& table() { return *kernels().index; }

// Integer tensors of any width, as contiguous int64.
Tensor as_places(const Tensor& index, const char* op) {
  FASTNN_CHECK(!index.is_differentiable() && index.dtype() != DType::Bool, ErrorKind::Index, op,
               ": tensors used as indices must be long, int, byte or bool tensors, got ", index.dtype());
  const GradModeGuard no_grad(false);
  return contiguous(to_dtype(index, DType::Int64));
}

void check_int_index(const Tensor& index, const char* op) {
  FASTNN_CHECK(index.dtype() == DType::Int64 || index.dtype() == DType::Int32, ErrorKind::Runtime, op,
               ": Expected dtype int32/int64 for index, got ", index.dtype());
}

// Checks 0 <= index < size, or -size <= index when negatives count from the end (then made non-negative).
Tensor checked_places(const Tensor& index, std::int64_t size, bool negatives, int dim, const char* op) {
  Tensor places = as_places(index, op);
  std::int64_t* data = places.as<std::int64_t>();
  // Mostly all are inside: the sign of this is set if any is not.
  std::uint64_t outside = 0;
  for (std::int64_t i = 0; i < places.numel(); ++i) {
    const auto value = static_cast<std::uint64_t>(data[i]);
    outside |= value | (static_cast<std::uint64_t>(size) - 1 - value);
  }
  if (outside >> 63 == 0) return places;
  bool copied = !places.is_same(index) && places.storage() != index.storage();
  for (std::int64_t i = 0; i < places.numel(); ++i) {
    const std::int64_t value = data[i];
    if (value >= 0 && value < size) continue;
    FASTNN_CHECK(negatives && value < 0 && value >= -size, ErrorKind::Index, op, ": index ", value,
                 " is out of bounds for dimension ", dim, " with size ", size);
    if (!copied) {
      const GradModeGuard no_grad(false);
      places = clone(places, true);
      data = places.as<std::int64_t>();
      copied = true;
    }
    data[i] = value + size;
  }
  return places;
}

// --- input[indices] --------------------------------------------------------------------------------------------------

// The indexed dimensions of `input` moved to the front, and for each place the offset of its block.
struct IndexPlan {
  Dims index_shape;  // shape of the broadcast index tensors
  std::vector<std::int64_t> offsets;
  Dims block_sizes;  // dimensions that are taken whole
  Dims block_strides;
  int position = 0;  // where index_shape stands in the result
  Dims result_shape;
};

// Boolean masks become the integer indices of their true elements.
std::vector<Tensor> expand_masks(const Tensor& input, const std::vector<Tensor>& indices) {
  std::vector<Tensor> result;
  for (const Tensor& index : indices) {
    if (!index.defined() || (index.dtype() != DType::Bool && index.dtype() != DType::UInt8)) {
      result.push_back(index);
      continue;
    }
    for (int d = 0; d < index.ndim(); ++d) {
      const int at = static_cast<int>(result.size()) + d;
      FASTNN_CHECK(at < input.ndim() && index.sizes()[d] == input.sizes()[at], ErrorKind::Index,
                   "The shape of the mask ", index.sizes(), " at index ", d,
                   " does not match the shape of the indexed tensor ", input.sizes(), " at index ", at);
    }
    const Tensor places = nonzero(index);
    for (int d = 0; d < index.ndim(); ++d) result.push_back(contiguous(select(places, 1, d)));
  }
  FASTNN_CHECK(static_cast<int>(result.size()) <= input.ndim(), ErrorKind::Index,
               "too many indices for tensor of dimension ", input.ndim());
  return result;
}

IndexPlan make_plan(const Tensor& input, const std::vector<Tensor>& indices) {
  const GradModeGuard no_grad(false);
  IndexPlan plan;
  std::vector<std::pair<int, Tensor>> used;
  bool first = true;
  for (std::size_t d = 0; d < indices.size(); ++d) {
    if (!indices[d].defined()) continue;
    const int dim = static_cast<int>(d);
    used.emplace_back(dim, checked_places(indices[d], input.sizes()[dim], true, dim, "index"));
    try {
      plan.index_shape = first ? indices[d].sizes() : broadcast_shapes(plan.index_shape, indices[d].sizes(), "index");
    } catch (const Error&) {
      fail(ErrorKind::Index, "shape mismatch: indexing tensors could not be broadcast together with shapes ",
           plan.index_shape, ", ", indices[d].sizes());
    }
    first = false;
  }
  const std::int64_t count = product(plan.index_shape);
  plan.offsets.assign(static_cast<std::size_t>(count), 0);
  for (const auto& [dim, places] : used) {
    const Tensor wide = contiguous(expand(places, plan.index_shape));
    const std::int64_t* data = wide.as<std::int64_t>();
    const std::int64_t stride = input.strides()[dim];
    for (std::int64_t i = 0; i < count; ++i) plan.offsets[static_cast<std::size_t>(i)] += data[i] * stride;
  }
  // The index dimensions stay in place when they are neighbours, else they come first.
  bool adjacent = true;
  for (std::size_t i = 1; i < used.size(); ++i) adjacent &= used[i].first == used[i - 1].first + 1;
  std::size_t next = 0;
  for (int d = 0; d < input.ndim(); ++d) {
    if (next < used.size() && used[next].first == d) {
      if (next == 0 && adjacent) plan.position = plan.block_sizes.size();
      ++next;
      continue;
    }
    plan.block_sizes.push_back(input.sizes()[d]);
    plan.block_strides.push_back(input.strides()[d]);
  }
  for (int d = 0; d < plan.position; ++d) plan.result_shape.push_back(plan.block_sizes[d]);
  for (const std::int64_t size : plan.index_shape) plan.result_shape.push_back(size);
  for (int d = plan.position; d < plan.block_sizes.size(); ++d) plan.result_shape.push_back(plan.block_sizes[d]);
  return plan;
}

// [index shape, block shape] -> the result's order of dimensions, or back.
Tensor move_index_dims(const Tensor& tensor, int index_dims, int position, bool to_front) {
  if (position == 0) return tensor;
  Dims from;
  Dims to;
  for (int i = 0; i < index_dims; ++i) {
    from.push_back(i);
    to.push_back(position + i);
  }
  return to_front ? movedim(tensor, to, from) : movedim(tensor, from, to);
}

View block_view(const Tensor& input, const IndexPlan& plan) {
  return {input.data(), input.dtype(), plan.block_sizes.size(), plan.block_sizes.data(), plan.block_strides.data()};
}

Tensor read(const Tensor& input, const IndexPlan& plan) {
  const auto count = static_cast<std::int64_t>(plan.offsets.size());
  Dims flat{count};
  Dims front = plan.index_shape;
  for (const std::int64_t size : plan.block_sizes) {
    flat.push_back(size);
    front.push_back(size);
  }
  const GradModeGuard no_grad(false);
  Tensor out = Tensor::empty(flat, input.dtype());
  if (out.numel() > 0) table().take_rows(out.view(), block_view(input, plan), plan.offsets.data());
  // The result keeps this memory; with index dimensions in the middle its strides show it, as in PyTorch.
  return move_index_dims(reshape(out, front), plan.index_shape.size(), plan.position, false).detached();
}

void write(const Tensor& target, const IndexPlan& plan, const Tensor& values, bool accumulate) {
  const GradModeGuard no_grad(false);
  FASTNN_CHECK(is_expandable_to(values.sizes(), plan.result_shape), ErrorKind::Runtime,
               "shape mismatch: value tensor of shape ", values.sizes(),
               " cannot be broadcast to indexing result of shape ", plan.result_shape);
  FASTNN_CHECK(values.dtype() == target.dtype(), ErrorKind::Runtime,
               "Index put requires the source and destination dtypes match, got ", target.dtype(),
               " for the destination and ", values.dtype(), " for the source.");
  Tensor source = move_index_dims(expand(values, plan.result_shape), plan.index_shape.size(), plan.position, true);
  Dims flat{static_cast<std::int64_t>(plan.offsets.size())};
  for (const std::int64_t size : plan.block_sizes) flat.push_back(size);
  source = contiguous(reshape(source, flat));
  if (source.storage() == target.storage()) source = clone(source, true);
  if (source.numel() > 0) table().put_rows(block_view(target, plan), source.view(), plan.offsets.data(), accumulate);
}

std::vector<Saved> save_all(const std::vector<Tensor>& tensors) {
  std::vector<Saved> result;
  for (const Tensor& tensor : tensors) result.push_back(save(tensor));
  return result;
}
std::vector<Tensor> get_all(const std::vector<Saved>& saved) {
  std::vector<Tensor> result;
  for (const Saved& tensor : saved) result.push_back(tensor.get());
  return result;
}

bool any_defined(const std::vector<Tensor>& indices) {
  return std::any_of(indices.begin(), indices.end(), [](const Tensor& t) { return t.defined(); });
}

}  // namespace

Tensor index(const Tensor& input, const std::vector<Tensor>& raw) {
  const std::vector<Tensor> indices = expand_masks(input, raw);
  if (!any_defined(indices)) return make_view_like(input);
  const IndexPlan plan = make_plan(input, indices);
  Tensor out = read(input, plan);
  if (needs_grad(input)) {
    record("IndexBackward0", out, {&input},
           [indices = save_all(indices), sizes = input.sizes()](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = index_put(zeros(sizes, g.dtype()), get_all(indices), g, true);
           });
  }
  return out;
}

namespace {

void record_index_put(const Tensor& out, const Tensor& input, const std::vector<Tensor>& indices, const Tensor& values,
                      bool accumulate) {
  record("IndexPutBackward0", out, {&input, &values},
         [saved = save_all(indices), accumulate, shape = values.sizes()](const Tensor& g, Slots& d) {
           const std::vector<Tensor> places = get_all(saved);
           if (d.wants(0)) d[0] = accumulate ? g : index_put(g, places, zeros(Dims{}, g.dtype()), false);
           if (d.wants(1)) d[1] = sum_to_size(index(g, places), shape);
         });
}

}  // namespace

Tensor index_put(const Tensor& input, const std::vector<Tensor>& raw, const Tensor& values, bool accumulate) {
  const std::vector<Tensor> indices = expand_masks(input, raw);
  Tensor out = clone(input.detached());
  const IndexPlan plan = make_plan(out, indices);
  write(out, plan, values, accumulate);
  if (needs_grad(input, values)) {
    record_index_put(out, input, indices, values, accumulate);
  }
  return out;
}

void index_put_in_place(const Tensor& self, const std::vector<Tensor>& raw, const Tensor& values, bool accumulate) {
  const std::vector<Tensor> indices = expand_masks(self, raw);
  check_in_place(self, "index_put_");
  const bool graph = needs_grad(self, values);
  const Tensor old = graph ? before_write(self) : Tensor();
  const IndexPlan plan = make_plan(self, indices);
  write(self, plan, values, accumulate);
  Tensor result = self.detached();
  if (graph) {
    record_index_put(result, old, indices, values, accumulate);
  }
  after_write(self, result);
}

Tensor index_select(const Tensor& input, std::int64_t dim, const Tensor& index_tensor) {
  check_int_index(index_tensor, "index_select()");
  FASTNN_CHECK(index_tensor.ndim() <= 1, ErrorKind::Index,
               "index_select(): Index is supposed to be a vector, got shape ", index_tensor.sizes());
  const int at = wrap_dim(dim, input.ndim(), "index_select");
  const std::int64_t size = input.ndim() == 0 ? 1 : input.sizes()[at];
  const Tensor places = checked_places(index_tensor, size, false, at, "index_select()");
  if (input.ndim() == 0) return reshape(input, Dims{});
  std::vector<Tensor> indices(static_cast<std::size_t>(at));
  indices.push_back(reshape(places, Dims{-1}));
  const IndexPlan plan = make_plan(input, indices);
  Tensor out = read(input, plan);
  if (!out.is_contiguous()) {
    const GradModeGuard no_grad(false);
    out = clone(out, true);
  }
  if (needs_grad(input)) {
    record("IndexSelectBackward0", out, {&input},
           [at, places = save(index_tensor), sizes = input.sizes()](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = index_add(zeros(sizes, g.dtype()), at, places.get(), g);
           });
  }
  return out;
}

namespace {

// Writes `source` into the slices of a copy of `input` along `dim`.
Tensor put_slices(const char* op, const Tensor& input, std::int64_t dim, const Tensor& index_tensor,
                  const Tensor& source, bool accumulate) {
  const int at = wrap_dim(dim, input.ndim(), op);
  FASTNN_CHECK(index_tensor.ndim() <= 1, ErrorKind::Index, op, "(): Index is supposed to be a vector, got shape ",
               index_tensor.sizes());
  FASTNN_CHECK(source.dtype() == input.dtype(), ErrorKind::Runtime, op,
               "(): self and source expected to have the same dtype, but got (self) ", input.dtype(), " and (source) ",
               source.dtype());
  const std::int64_t size = input.ndim() == 0 ? 1 : input.sizes()[at];
  const Tensor places = checked_places(index_tensor, size, false, at, op);
  FASTNN_CHECK(places.numel() == (source.ndim() == 0 ? 1 : source.sizes()[at]), ErrorKind::Runtime, op,
               "(): Number of indices (", places.numel(), ") should be equal to source.size(dim): (",
               source.ndim() == 0 ? 1 : source.sizes()[at], "), for dim: ", at);
  Dims own = input.sizes();
  Dims given = source.sizes();
  if (!own.empty()) own.erase(at);
  if (at < given.size()) given.erase(at);
  FASTNN_CHECK(own == given || input.ndim() == 0 || source.ndim() == 0, ErrorKind::Runtime, op,
               "(): source tensor shape must match self tensor shape, excluding the specified dimension. Got "
               "self.shape = ",
               input.sizes(), " source.shape = ", source.sizes());
  Tensor out = clone(input.detached());
  const Tensor flat_out = out.ndim() == 0 ? out.alias(Dims{1}, Dims{1}, out.storage_offset()) : out;
  std::vector<Tensor> indices(static_cast<std::size_t>(at));
  indices.push_back(reshape(places, Dims{-1}));
  const GradModeGuard no_grad(false);
  write(flat_out, make_plan(flat_out, indices), source.ndim() == 0 ? reshape(source, Dims{1}) : source, accumulate);
  return out;
}

}  // namespace

Tensor index_add(const Tensor& input, std::int64_t dim, const Tensor& index_tensor, const Tensor& source,
                 const Scalar& alpha) {
  check_int_index(index_tensor, "index_add()");
  const Tensor scaled = alpha.to_double() == 1.0 && alpha.imag == 0 ? source : mul(source, alpha);
  Tensor out = put_slices("index_add", input, dim, index_tensor, scaled.detached(), true);
  if (needs_grad(input, scaled)) {
    record("IndexAddBackward0", out, {&input, &scaled},
           [dim, places = save(index_tensor), shape = source.sizes()](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = g;
             if (d.wants(1)) d[1] = reshape(index_select(g, dim, places.get()), shape);
           });
  }
  return out;
}

namespace {

Tensor index_copy(const Tensor& input, std::int64_t dim, const Tensor& index_tensor, const Tensor& source) {
  Tensor out = put_slices("index_copy", input, dim, index_tensor, source.detached(), false);
  if (needs_grad(input, source)) {
    const int at = wrap_dim(dim, input.ndim(), "index_copy");
    record("IndexCopyBackward0", out, {&input, &source},
           [at, places = save(index_tensor), shape = source.sizes()](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = index_copy(g, at, places.get(), zeros(shape, g.dtype()));
             if (d.wants(1)) d[1] = reshape(index_select(g, at, places.get()), shape);
           });
  }
  return out;
}

Tensor index_fill(const Tensor& input, std::int64_t dim, const Tensor& index_tensor, const Tensor& value) {
  FASTNN_CHECK(value.ndim() == 0, ErrorKind::Runtime,
               "index_fill_ only supports a 0-dimensional value tensor, but got tensor with ", value.ndim(),
               " dimension(s).");
  const int at = wrap_dim(dim, input.ndim(), "index_fill");
  // Where the index says, along `dim`: a place named twice counts once in the gradient of the value.
  Dims line = Dims::filled(input.ndim(), 1);
  if (input.ndim() > 0) line[at] = input.sizes()[at];
  const Dims flat{product(line)};
  const Tensor chosen =
      index_put(zeros(flat, DType::Bool), {reshape(index_tensor, Dims{-1})}, ones(Dims{}, DType::Bool), false);
  return masked_fill(input, reshape(chosen, line), to_dtype(value, input.dtype()));
}

void check_line_index(const char* op, const Tensor& input, const Tensor& index_tensor, int dim) {
  const int ndim = std::max(1, input.ndim());
  FASTNN_CHECK(std::max(1, index_tensor.ndim()) == ndim, ErrorKind::Runtime,
               "Index tensor must have the same number of dimensions as input tensor (", op, ": got ",
               index_tensor.ndim(), ", expected ", input.ndim(), ")");
  if (input.ndim() == 0 || index_tensor.ndim() == 0) return;
  for (int d = 0; d < ndim; ++d) {
    FASTNN_CHECK(d == dim || index_tensor.sizes()[d] <= input.sizes()[d], ErrorKind::Runtime, op,
                 "(): Size does not match at dimension ", d, " expected index ", index_tensor.sizes(),
                 " to be no larger than self ", input.sizes(), " apart from dimension ", dim);
  }
}

Tensor at_least_1d(const Tensor& tensor) {
  return tensor.ndim() == 0 ? tensor.alias(Dims{1}, Dims{1}, tensor.storage_offset()) : tensor;
}

Tensor line_places(const char* op, const Tensor& index_tensor, std::int64_t size, int dim) {
  FASTNN_CHECK(index_tensor.dtype() == DType::Int64 || index_tensor.dtype() == DType::Int32, ErrorKind::Runtime, op,
               "(): Expected dtype int64 for index, got ", index_tensor.dtype());
  try {
    return at_least_1d(checked_places(index_tensor, size, false, dim, op));
  } catch (const Error& error) {
    fail(ErrorKind::Runtime, error.message());
  }
}

}  // namespace

Tensor scattered(const char* op, const Tensor& input, std::int64_t dim, const Tensor& index_tensor,
                 const Tensor& source, ScatterMode mode) {
  const int at = wrap_dim(dim, input.ndim(), op);
  FASTNN_CHECK(source.dtype() == input.dtype(), ErrorKind::Runtime, op,
               "(): Expected self.dtype to be equal to src.dtype, got ", input.dtype(), " and ", source.dtype());
  Tensor out = clone(input.detached());
  if (index_tensor.numel() == 0) return out;
  check_line_index(op, input, index_tensor, at);
  const Tensor places = line_places(op, index_tensor, input.ndim() == 0 ? 1 : input.sizes()[at], at);
  const Tensor from = at_least_1d(source);
  for (int d = 0; d < places.ndim(); ++d) {
    FASTNN_CHECK(from.ndim() == places.ndim() && places.sizes()[d] <= from.sizes()[d], ErrorKind::Runtime, op,
                 "(): Expected index ", index_tensor.sizes(), " to be no larger than src ", source.sizes());
  }
  table().scatter(at_least_1d(out).view(), from.view(), places.view(), at, mode);
  return out;
}

namespace {

// The part of a source that an index of smaller shape reads.
Tensor embedded(const Tensor& part, const Dims& sizes) {
  Tensor result = part;
  for (int d = 0; d < sizes.size(); ++d) {
    if (result.sizes()[d] == sizes[d]) continue;
    Dims grown = result.sizes();
    grown[d] = sizes[d];
    result = embed_slice(result, grown, d, 0, 1);
  }
  return result;
}

Tensor scalar_source(const Tensor& input, const Tensor& index_tensor, const Scalar& value) {
  return expand(full(Dims{}, value, input.dtype()), index_tensor.sizes());
}

}  // namespace

Tensor gather(const Tensor& input, std::int64_t dim, const Tensor& index_tensor) {
  const int at = wrap_dim(dim, input.ndim(), "gather");
  Tensor out = Tensor::empty(index_tensor.sizes(), input.dtype());
  if (index_tensor.numel() > 0) {
    check_line_index("gather", input, index_tensor, at);
    const Tensor places = line_places("gather", index_tensor, input.ndim() == 0 ? 1 : input.sizes()[at], at);
    table().gather(at_least_1d(out).view(), at_least_1d(input).view(), places.view(), at);
  }
  if (needs_grad(input)) {
    record("GatherBackward0", out, {&input},
           [at, places = save(index_tensor), sizes = input.sizes()](const Tensor& g, Slots& d) {
             if (!d.wants(0)) return;
             if (grad_mode().enabled) {
               d[0] = scatter_add(zeros(sizes, g.dtype()), at, places.get(), g);
               return;
             }
             d[0] = zeros(sizes, g.dtype());
             if (places.get().numel() == 0) return;
             const Tensor lines = at_least_1d(as_places(places.get(), "gather"));
             table().scatter(at_least_1d(d[0]).view(), at_least_1d(g).view(), lines.view(), at, ScatterMode::Add);
           });
  }
  return out;
}

Tensor scatter_add(const Tensor& input, std::int64_t dim, const Tensor& index_tensor, const Tensor& src) {
  Tensor out = scattered("scatter_add", input, dim, index_tensor, src.detached(), ScatterMode::Add);
  if (needs_grad(input, src)) {
    record("ScatterAddBackward0", out, {&input, &src},
           [dim, places = save(index_tensor), shape = src.sizes()](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = g;
             if (d.wants(1)) d[1] = embedded(gather(g, dim, places.get()), shape);
           });
  }
  return out;
}

Tensor scatter(const Tensor& input, std::int64_t dim, const Tensor& index_tensor, const Tensor& src) {
  Tensor out = scattered("scatter", input, dim, index_tensor, src.detached(), ScatterMode::Assign);
  if (needs_grad(input, src)) {
    record("ScatterBackward0", out, {&input, &src},
           [dim, places = save(index_tensor), shape = src.sizes()](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = scatter(g, dim, places.get(), zeros(places.get().sizes(), g.dtype()));
             if (d.wants(1)) d[1] = embedded(gather(g, dim, places.get()), shape);
           });
  }
  return out;
}

namespace {

Tensor scatter_value(const Tensor& input, std::int64_t dim, const Tensor& index_tensor, const Scalar& value) {
  return scatter(input, dim, index_tensor, scalar_source(input, index_tensor, value));
}

// reduce= of `scatter` ("add", "multiply").
Tensor scatter_reduced(const Tensor& input, std::int64_t dim, const Tensor& index_tensor, const Tensor& src,
                       std::string_view reduce) {
  FASTNN_CHECK(reduce == "add" || reduce == "multiply", ErrorKind::Runtime,
               "reduce argument must be either add or multiply, got ", std::string(reduce));
  if (reduce == "add") return scatter_add(input, dim, index_tensor, src);
  FASTNN_CHECK(!needs_grad(input, src), ErrorKind::Runtime,
               "scatter(): the derivative of reduce='multiply' is not implemented; "
               "use scatter_reduce(reduce='prod')");
  return scattered("scatter", input, dim, index_tensor, src, ScatterMode::Multiply);
}

Tensor scatter_value_reduced(const Tensor& input, std::int64_t dim, const Tensor& index_tensor, const Scalar& value,
                             std::string_view reduce) {
  return scatter_reduced(input, dim, index_tensor, scalar_source(input, index_tensor, value), reduce);
}

// Every index of every dimension, one row an element.
template <class T>
void collect_nonzero(const Tensor& input, std::vector<std::int64_t>& places) {
  const int ndim = input.ndim();
  std::vector<std::int64_t> at(static_cast<std::size_t>(ndim), 0);
  const T* data = input.as<T>();
  for (std::int64_t i = 0; i < input.numel(); ++i) {
    bool found = false;
    if constexpr (is_complex_type<T>) {
      found = !(data[i] == T());
    } else {
      found = static_cast<double>(data[i]) != 0.0;
    }
    if (found) places.insert(places.end(), at.begin(), at.end());
    for (int d = ndim - 1; d >= 0; --d) {
      if (++at[static_cast<std::size_t>(d)] < input.sizes()[d]) break;
      at[static_cast<std::size_t>(d)] = 0;
    }
  }
}

}  // namespace

Tensor nonzero(const Tensor& input) {
  const GradModeGuard no_grad(false);
  const Tensor dense = contiguous(input.detached());
  if (input.ndim() == 0) {
    return Tensor::empty(Dims{to_dtype(dense, DType::Bool).item_int(), 0}, DType::Int64);
  }
  std::vector<std::int64_t> places;
  visit_any_dtype(dense.dtype(), [&]<class T>() { collect_nonzero<T>(dense, places); });
  const auto rows = static_cast<std::int64_t>(places.size()) / input.ndim();
  // PyTorch's result is stored by dimension: its columns are contiguous.
  Tensor out = Tensor::empty_strided(Dims{rows, input.ndim()}, Dims{1, std::max<std::int64_t>(rows, 1)}, DType::Int64);
  std::int64_t* data = out.as<std::int64_t>();
  for (std::int64_t r = 0; r < rows; ++r) {
    for (int d = 0; d < input.ndim(); ++d) data[d * rows + r] = places[static_cast<std::size_t>(r * input.ndim() + d)];
  }
  return out;
}

Tensor masked_select(const Tensor& input, const Tensor& mask) {
  FASTNN_CHECK(mask.dtype() == DType::Bool, ErrorKind::Runtime, "masked_select: expected BoolTensor for mask, got ",
               mask.dtype());
  const Dims shape = broadcast_shapes(input.sizes(), mask.sizes(), "masked_select");
  const Tensor wide = shape.empty() ? reshape(input, Dims{1}) : expand(input, shape);
  const Tensor wide_mask = shape.empty() ? reshape(mask, Dims{1}) : expand(mask, shape);
  return index(wide, {contiguous(wide_mask)});
}

std::vector<Tensor> nonzero_tuple(const Tensor& input) {
  const Tensor places = nonzero(input.ndim() == 0 ? reshape(input.detached(), Dims{1}) : input);
  return unbind(places, 1);
}

namespace {

Tensor masked_scatter(const Tensor& input, const Tensor& mask, const Tensor& source) {
  FASTNN_CHECK(mask.dtype() == DType::Bool, ErrorKind::Runtime,
               "masked_scatter_ only supports boolean masks, but got mask with dtype ", mask.dtype());
  FASTNN_CHECK(source.dtype() == input.dtype(), ErrorKind::Runtime,
               "masked_scatter: expected self and source to have same dtypes but got ", input.dtype(), " and ",
               source.dtype());
  const Dims shape = broadcast_shapes(input.sizes(), mask.sizes(), "masked_scatter");
  const Tensor flat_mask = reshape(contiguous(expand(mask, shape)), Dims{-1});
  const Tensor places = reshape(nonzero(flat_mask), Dims{-1});
  FASTNN_CHECK(places.numel() <= source.numel(), ErrorKind::Runtime,
               "Number of elements of source < number of ones in mask: ", source.numel(), " < ", places.numel());
  const Tensor values = narrow(reshape(source, Dims{-1}), 0, 0, places.numel());
  return reshape(index_put(reshape(expand(input, shape), Dims{-1}), {places}, values), shape);
}

Tensor take(const Tensor& input, const Tensor& index_tensor) {
  return reshape(index(reshape(input, Dims{-1}), {reshape(index_tensor, Dims{-1})}), index_tensor.sizes());
}
Tensor take_along_dim(const Tensor& input, const Tensor& raw, std::optional<std::int64_t> dim) {
  FASTNN_CHECK(raw.dtype() == DType::Int64, ErrorKind::Runtime,
               "torch.take_along_dim(): dtype of indices should be Long but got ", raw.dtype());
  if (!dim) return take_along_dim(reshape(input, Dims{-1}), reshape(raw, Dims{-1}), 0);
  const int at = wrap_dim(*dim, input.ndim(), "take_along_dim");
  FASTNN_CHECK(input.ndim() == raw.ndim(), ErrorKind::Runtime,
               "torch.take_along_dim(): input and indices should have the same number of dimensions, but got ",
               input.ndim(), " dimensions for input, and ", raw.ndim(), " dimensions for indices");
  const Tensor indices = checked_places(raw, input.ndim() == 0 ? 1 : input.sizes()[at], true, at, "take_along_dim");
  Dims input_shape = input.sizes();
  Dims index_shape = indices.sizes();
  input_shape[at] = 1;
  index_shape[at] = 1;
  Dims shape = broadcast_shapes(input_shape, index_shape, "take_along_dim");
  Dims wide_input = shape;
  Dims wide_index = shape;
  wide_input[at] = input.sizes()[at];
  wide_index[at] = indices.sizes()[at];
  return gather(expand(input, wide_input), at, expand(indices, wide_index));
}

Tensor index_put_op(const Tensor& input, TensorList indices, const Tensor& values, bool accumulate) {
  return index_put(input, std::vector<Tensor>(indices.begin(), indices.end()), values, accumulate);
}
Tensor index_put_in_place_op(const Tensor& input, TensorList indices, const Tensor& values, bool accumulate) {
  index_put_in_place(input, std::vector<Tensor>(indices.begin(), indices.end()), values, accumulate);
  return input;
}
Tensor index_fill_scalar(const Tensor& input, std::int64_t dim, const Tensor& index_tensor, const Scalar& value) {
  return index_fill(input, dim, index_tensor, value.wrapped());
}

Tensor repeat_interleave(const Tensor& input, const Tensor& repeats, std::optional<std::int64_t> dim,
                         std::optional<std::int64_t> output_size) {
  const Tensor source = dim ? input : reshape(input, Dims{-1});
  const int at = dim ? wrap_dim(*dim, input.ndim(), "repeat_interleave") : 0;
  const std::int64_t size = source.ndim() == 0 ? 1 : source.sizes()[at];
  const Tensor counts = as_places(repeats, "repeat_interleave");
  FASTNN_CHECK(counts.numel() == 1 || counts.numel() == size, ErrorKind::Runtime,
               "repeats must have the same size as input along dim, but got repeats.size(0) = ", counts.numel(),
               " and input.size(", at, ") = ", size);
  std::vector<std::int64_t> places;
  for (std::int64_t i = 0; i < size; ++i) {
    const std::int64_t times = counts.as<std::int64_t>()[counts.numel() == 1 ? 0 : i];
    FASTNN_CHECK(times >= 0, ErrorKind::Runtime, "repeats can not be negative");
    places.insert(places.end(), static_cast<std::size_t>(times), i);
  }
  const auto total = static_cast<std::int64_t>(places.size());
  FASTNN_CHECK(!output_size || *output_size == total, ErrorKind::Runtime,
               "allocated size does not match required size: output_size = ", output_size.value_or(0), ", needed ",
               total);
  Tensor index_tensor = Tensor::empty(Dims{total}, DType::Int64);
  std::copy(places.begin(), places.end(), index_tensor.as<std::int64_t>());
  return index_select(source.ndim() == 0 ? reshape(source, Dims{1}) : source, at, index_tensor);
}
Tensor repeat_interleave_int(const Tensor& input, std::int64_t repeats, std::optional<std::int64_t> dim,
                             std::optional<std::int64_t> output_size) {
  return repeat_interleave(input, full(Dims{1}, Scalar(repeats), DType::Int64), dim, output_size);
}
// Each place as often as `repeats` says.
Tensor repeated_places(const Tensor& repeats, std::optional<std::int64_t> output_size) {
  FASTNN_CHECK(repeats.ndim() == 1, ErrorKind::Runtime, "repeat_interleave only accept 1D vector as repeat");
  return repeat_interleave(arange_int(repeats.numel()), repeats, 0, output_size);
}

}  // namespace

FASTNN_OPS(index) {
  op("index_select(Tensor input, int dim, Tensor index) -> Tensor", &index_select, op_fn | op_method | op_out);
  op("index_add(Tensor input, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor", &index_add,
     op_fn | op_method | op_inplace | op_out);
  op("index_copy(Tensor input, int dim, Tensor index, Tensor source) -> Tensor", &index_copy,
     op_fn | op_method | op_inplace | op_out);
  op("index_fill(Tensor input, int dim, Tensor index, Scalar value) -> Tensor", &index_fill_scalar,
     op_fn | op_method | op_inplace);
  op("index_fill(Tensor input, int dim, Tensor index, Tensor value) -> Tensor", &index_fill,
     op_fn | op_method | op_inplace);
  op("index_put(Tensor input, Tensor[] indices, Tensor values, bool accumulate=False) -> Tensor", &index_put_op,
     op_fn | op_method);
  op("index_put_(Tensor input, Tensor[] indices, Tensor values, bool accumulate=False) -> Tensor",
     &index_put_in_place_op, op_fn | op_method);
  op("gather(Tensor input, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor",
     static_cast<Tensor (*)(const Tensor&, std::int64_t, const Tensor&, bool)>(
         [](const Tensor& input, std::int64_t dim, const Tensor& index_tensor, bool) {
           return gather(input, dim, index_tensor);
         }),
     op_fn | op_method | op_out);
  op("scatter(Tensor input, int dim, Tensor index, Tensor src) -> Tensor", &scatter,
     op_fn | op_method | op_inplace | op_out);
  op("scatter(Tensor input, int dim, Tensor index, Scalar value) -> Tensor", &scatter_value,
     op_fn | op_method | op_inplace | op_out);
  op("scatter(Tensor input, int dim, Tensor index, Tensor src, *, str reduce) -> Tensor", &scatter_reduced,
     op_fn | op_method | op_inplace | op_out);
  op("scatter(Tensor input, int dim, Tensor index, Scalar value, *, str reduce) -> Tensor", &scatter_value_reduced,
     op_fn | op_method | op_inplace | op_out);
  op("scatter_add(Tensor input, int dim, Tensor index, Tensor src) -> Tensor", &scatter_add,
     op_fn | op_method | op_inplace | op_out);
  op("nonzero(Tensor input) -> Tensor", &nonzero, op_method);
  op("_nonzero(Tensor input) -> Tensor", &nonzero, op_fn);
  op("_nonzero_tuple(Tensor input) -> Tensor[]", &nonzero_tuple, op_fn);
  op("masked_select(Tensor input, Tensor mask) -> Tensor", &masked_select, op_fn | op_method | op_out);
  op("masked_scatter(Tensor input, Tensor mask, Tensor source) -> Tensor", &masked_scatter,
     op_fn | op_method | op_inplace);
  op("take(Tensor input, Tensor index) -> Tensor", &take, op_fn | op_method | op_out);
  op("take_along_dim(Tensor input, Tensor indices, int? dim=None) -> Tensor", &take_along_dim,
     op_fn | op_method | op_out);
  op("repeat_interleave(Tensor input, int repeats, int? dim=None, *, int? output_size=None) -> Tensor",
     &repeat_interleave_int, op_fn | op_method);
  op("repeat_interleave(Tensor input, Tensor repeats, int? dim=None, *, int? output_size=None) -> Tensor",
     &repeat_interleave, op_fn | op_method);
  op("repeat_interleave(Tensor repeats, *, int? output_size=None) -> Tensor", &repeated_places, op_fn);
}

}  // namespace fastnn
