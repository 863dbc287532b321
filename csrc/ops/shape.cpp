#include "ops/shape.h"

#include <algorithm>

#include "autograd/record.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/index.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/registry.h"

namespace fastnn {

namespace {

// A view with the derivative `f`.
template <class F>
Tensor viewed(const char* name, const Tensor& input, Dims sizes, Dims strides, std::int64_t offset, F f) {
  Tensor out = make_view(input, std::move(sizes), std::move(strides), offset);
  if (needs_grad(input)) record(name, out, {&input}, std::move(f));
  return out;
}

// The size that -1 stands for.
Dims infer_size(IntSpan size, std::int64_t numel, const char* op) {
  Dims result(size);
  int unknown = -1;
  std::int64_t known = 1;
  for (int i = 0; i < result.size(); ++i) {
    if (result[i] == -1) {
      FASTNN_CHECK(unknown < 0, ErrorKind::Runtime, op, ": only one dimension can be inferred");
      unknown = i;
    } else {
      FASTNN_CHECK(result[i] >= 0, ErrorKind::Runtime, op, ": invalid shape dimension ", result[i]);
      known *= result[i];
    }
  }
  if (unknown >= 0) {
    FASTNN_CHECK(known != 0, ErrorKind::Runtime, op, ": cannot reshape tensor of ", numel, " elements into shape ",
                 Dims(size), " because the unspecified dimension size -1 can be any value and is ambiguous");
    result[unknown] = numel / known;
    known *= result[unknown];
  }
  FASTNN_CHECK(known == numel, ErrorKind::Runtime, op, ": shape '", Dims(size), "' is invalid for input of size ",
               numel);
  return result;
}

// Memory format arguments are accepted and mean what they say for contiguous tensors.
Dims reversed_permutation(const Dims& permutation) {
  Dims inverse = Dims::filled(permutation.size(), 0);
  for (int i = 0; i < permutation.size(); ++i) inverse[static_cast<int>(permutation[i])] = i;
  return inverse;
}

Dims wrap_dims(IntSpan dims, int ndim, const char* op) {
  Dims result;
  for (const std::int64_t dim : dims) result.push_back(wrap_dim(dim, ndim, op));
  for (int i = 0; i < result.size(); ++i) {
    for (int j = 0; j < i; ++j) {
      FASTNN_CHECK(result[i] != result[j], ErrorKind::Runtime, op, ": dim ", result[i],
                   " appears multiple times in the list of dims");
    }
  }
  return result;
}

}  // namespace

Tensor as_strided(const Tensor& input, IntSpan size, IntSpan stride, std::optional<std::int64_t> storage_offset) {
  FASTNN_CHECK(size.size() == stride.size(), ErrorKind::Runtime, "as_strided: mismatch in length of strides and shape");
  for (const std::int64_t step : stride) {
    FASTNN_CHECK(step >= 0, ErrorKind::Runtime,
                 "as_strided: Negative strides are not supported at the moment, got strides: ", Dims(stride));
  }
  const std::int64_t offset = storage_offset.value_or(input.storage_offset());
  // The gradient is written back into a tensor with the input's geometry; places read twice add up.
  return viewed("AsStridedBackward0", input, Dims(size), Dims(stride), offset,
                [in_size = input.sizes(), in_stride = input.strides(), in_offset = input.storage_offset(),
                 out_size = Dims(size), out_stride = Dims(stride), offset](const Tensor& g, Slots& d) {
                  if (d.wants(0))
                    d[0] = as_strided_backward(g, in_size, in_stride, in_offset, out_size, out_stride, offset);
                });
}

Tensor as_strided_backward(const Tensor& g, const Dims& in_size, const Dims& in_stride, std::int64_t in_offset,
                           const Dims& out_size, const Dims& out_stride, std::int64_t out_offset) {
  // Both geometries live in one flat range of the storage.
  const auto last = [](const Dims& size, const Dims& stride) {
    std::int64_t end = 0;
    for (int i = 0; i < size.size(); ++i) {
      if (size[i] == 0) return std::int64_t{0};
      end += (size[i] - 1) * stride[i];
    }
    return end + 1;
  };
  const std::int64_t begin = std::min(in_offset, out_offset);
  const std::int64_t count =
      std::max(in_offset + last(in_size, in_stride), out_offset + last(out_size, out_stride)) - begin;
  Tensor flat = zeros(Dims{count}, g.dtype());
  const Tensor places = as_strided(arange_int(count), out_size, out_stride, out_offset - begin);
  flat = index_add(flat, 0, reshape(places, Dims{-1}), reshape(g, Dims{-1}));
  // Several input elements in one place share its gradient.
  Tensor result = as_strided(flat, in_size, in_stride, in_offset - begin);
  if (!is_dense(in_size, in_stride)) {
    const Tensor input_places = reshape(as_strided(arange_int(count), in_size, in_stride, in_offset - begin), Dims{-1});
    Tensor counts = zeros(Dims{count}, g.dtype());
    counts = index_add(counts, 0, input_places, ones(Dims{input_places.numel()}, g.dtype()));
    result = div(result, as_strided(counts, in_size, in_stride, in_offset - begin));
  }
  return clone(result, true);
}

Tensor view(const Tensor& input, IntSpan size) {
  Dims sizes = infer_size(size, input.numel(), "view");
  std::optional<Dims> strides = view_strides(input.sizes(), input.strides(), sizes);
  FASTNN_CHECK(strides.has_value(), ErrorKind::Runtime,
               "view size is not compatible with input tensor's size and stride (at least one dimension spans across "
               "two contiguous subspaces). Use .reshape(...) instead.");
  return viewed("ViewBackward0", input, std::move(sizes), std::move(*strides), input.storage_offset(),
                [old = input.sizes()](const Tensor& g, Slots& d) {
                  if (d.wants(0)) d[0] = reshape(g, old);
                });
}

Tensor reshape(const Tensor& input, IntSpan size) {
  const Dims sizes = infer_size(size, input.numel(), "reshape");
  if (view_strides(input.sizes(), input.strides(), sizes)) return view(input, sizes);
  return view(clone(input, true), sizes);
}

Tensor expand(const Tensor& input, IntSpan size) {
  const int ndim = static_cast<int>(size.size());
  FASTNN_CHECK(ndim >= input.ndim(), ErrorKind::Runtime, "expand: the number of sizes provided (", ndim,
               ") must be greater or equal to the number of dimensions in the tensor (", input.ndim(), ")");
  Dims sizes(size);
  const int extra = ndim - input.ndim();
  for (int i = 0; i < ndim; ++i) {
    if (sizes[i] == -1) {
      FASTNN_CHECK(i >= extra, ErrorKind::Runtime,
                   "expand: The expanded size of the tensor (-1) isn't allowed in a leading, "
                   "non-existing dimension ",
                   i);
      sizes[i] = input.sizes()[i - extra];
    }
    FASTNN_CHECK(sizes[i] >= 0, ErrorKind::Runtime, "expand: negative size ", sizes[i]);
    FASTNN_CHECK(i < extra || input.sizes()[i - extra] == sizes[i] || input.sizes()[i - extra] == 1, ErrorKind::Runtime,
                 "The expanded size of the tensor (", sizes[i], ") must match the existing size (",
                 input.sizes()[i - extra], ") at non-singleton dimension ", i, ".  Target sizes: ", sizes,
                 ".  Tensor sizes: ", input.sizes());
  }
  Dims strides = Dims::filled(ndim, 0);
  for (int i = extra; i < ndim; ++i) {
    const bool repeated = input.sizes()[i - extra] == 1 && sizes[i] != 1;
    strides[i] = repeated ? 0 : input.strides()[i - extra];
  }
  return viewed("ExpandBackward0", input, std::move(sizes), std::move(strides), input.storage_offset(),
                [old = input.sizes()](const Tensor& g, Slots& d) {
                  if (d.wants(0)) d[0] = sum_to_size(g, old);
                });
}

Tensor permute(const Tensor& input, IntSpan dims) {
  FASTNN_CHECK(static_cast<int>(dims.size()) == input.ndim(), ErrorKind::Runtime,
               "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
               "ordering of dimensions i.e. input.dim() = ",
               input.ndim(), " is not equal to len(dims) = ", dims.size());
  const Dims order = wrap_dims(dims, input.ndim(), "permute");
  Dims sizes;
  Dims strides;
  for (const std::int64_t dim : order) {
    sizes.push_back(input.sizes()[static_cast<int>(dim)]);
    strides.push_back(input.strides()[static_cast<int>(dim)]);
  }
  return viewed("PermuteBackward0", input, std::move(sizes), std::move(strides), input.storage_offset(),
                [inverse = reversed_permutation(order)](const Tensor& g, Slots& d) {
                  if (d.wants(0)) d[0] = permute(g, inverse);
                });
}

Tensor transpose(const Tensor& input, std::int64_t dim0, std::int64_t dim1) {
  const int a = wrap_dim(dim0, input.ndim(), "transpose");
  const int b = wrap_dim(dim1, input.ndim(), "transpose");
  Dims sizes = input.sizes();
  Dims strides = input.strides();
  if (!sizes.empty()) {
    std::swap(sizes[a], sizes[b]);
    std::swap(strides[a], strides[b]);
  }
  return viewed("TransposeBackward0", input, std::move(sizes), std::move(strides), input.storage_offset(),
                [a, b](const Tensor& g, Slots& d) {
                  if (d.wants(0)) d[0] = transpose(g, a, b);
                });
}

Tensor t(const Tensor& input) {
  FASTNN_CHECK(input.ndim() <= 2, ErrorKind::Runtime, "t() expects a tensor with <= 2 dimensions, but self is ",
               input.ndim(), "D");
  if (input.ndim() < 2) return make_view_like(input);
  return transpose(input, 0, 1);
}

Tensor make_view_like(const Tensor& input) {
  return viewed("AliasBackward0", input, input.sizes(), input.strides(), input.storage_offset(),
                [](const Tensor& g, Slots& d) { d[0] = g; });
}

namespace {
Tensor squeeze_where(const Tensor& input, const std::vector<bool>& drop) {
  Dims sizes;
  Dims strides;
  for (int i = 0; i < input.ndim(); ++i) {
    if (drop[static_cast<std::size_t>(i)] && input.sizes()[i] == 1) continue;
    sizes.push_back(input.sizes()[i]);
    strides.push_back(input.strides()[i]);
  }
  return viewed("SqueezeBackward0", input, std::move(sizes), std::move(strides), input.storage_offset(),
                [old = input.sizes()](const Tensor& g, Slots& d) {
                  if (d.wants(0)) d[0] = reshape(g, old);
                });
}
}  // namespace

Tensor squeeze_all(const Tensor& input) {
  return squeeze_where(input, std::vector<bool>(static_cast<std::size_t>(input.ndim()), true));
}
Tensor squeeze(const Tensor& input, std::int64_t dim) {
  std::vector<bool> drop(static_cast<std::size_t>(std::max(1, input.ndim())), false);
  drop[static_cast<std::size_t>(wrap_dim(dim, input.ndim(), "squeeze"))] = true;
  return squeeze_where(input, drop);
}
Tensor squeeze_dims(const Tensor& input, IntSpan dims) {
  std::vector<bool> drop(static_cast<std::size_t>(std::max(1, input.ndim())), false);
  for (const std::int64_t dim : wrap_dims(dims, input.ndim(), "squeeze")) drop[static_cast<std::size_t>(dim)] = true;
  return squeeze_where(input, drop);
}

Tensor unsqueeze(const Tensor& input, std::int64_t dim) {
  const int at = wrap_dim(dim, input.ndim() + 1, "unsqueeze");
  Dims sizes = input.sizes();
  Dims strides = input.strides();
  const std::int64_t stride = at < input.ndim() ? sizes[at] * strides[at] : 1;
  sizes.insert(at, 1);
  strides.insert(at, stride);
  return viewed("UnsqueezeBackward0", input, std::move(sizes), std::move(strides), input.storage_offset(),
                [at](const Tensor& g, Slots& d) {
                  if (d.wants(0)) d[0] = squeeze(g, at);
                });
}

Tensor select(const Tensor& input, std::int64_t dim, std::int64_t index) {
  FASTNN_CHECK(input.ndim() > 0, ErrorKind::Index, "select() cannot be applied to a 0-dim tensor.");
  const int at = wrap_dim(dim, input.ndim(), "select");
  const std::int64_t size = input.sizes()[at];
  FASTNN_CHECK(index >= -size && index < size, ErrorKind::Index, "select(): index ", index,
               " out of range for tensor of size ", input.sizes(), " at dimension ", at);
  const std::int64_t place = index < 0 ? index + size : index;
  Dims sizes = input.sizes();
  Dims strides = input.strides();
  const std::int64_t offset = input.storage_offset() + place * strides[at];
  sizes.erase(at);
  strides.erase(at);
  return viewed("SelectBackward0", input, std::move(sizes), std::move(strides), offset,
                [old = input.sizes(), at, place](const Tensor& g, Slots& d) {
                  if (d.wants(0)) d[0] = embed_slice(unsqueeze(g, at), old, at, place, 1);
                });
}

Tensor slice(const Tensor& input, std::int64_t dim, std::optional<std::int64_t> start, std::optional<std::int64_t> end,
             std::int64_t step) {
  FASTNN_CHECK(input.ndim() > 0, ErrorKind::Runtime, "slice() cannot be applied to a 0-dim tensor.");
  FASTNN_CHECK(step > 0, ErrorKind::Value, "slice: step must be greater than zero, got ", step);
  const int at = wrap_dim(dim, input.ndim(), "slice");
  const std::int64_t size = input.sizes()[at];
  const auto place = [&](std::int64_t value) {
    return std::clamp<std::int64_t>(value < 0 ? value + size : value, 0, size);
  };
  const std::int64_t from = place(start.value_or(0));
  const std::int64_t to = std::max(from, place(end.value_or(size)));
  Dims sizes = input.sizes();
  Dims strides = input.strides();
  sizes[at] = (to - from + step - 1) / step;
  const std::int64_t offset = input.storage_offset() + from * strides[at];
  strides[at] *= step;
  return viewed("SliceBackward0", input, std::move(sizes), std::move(strides), offset,
                [old = input.sizes(), at, from, step](const Tensor& g, Slots& d) {
                  if (d.wants(0)) d[0] = embed_slice(g, old, at, from, step);
                });
}

Tensor embed_slice(const Tensor& part, const Dims& sizes, int dim, std::int64_t start, std::int64_t step) {
  Tensor whole = zeros(sizes, part.dtype());
  Tensor place;
  {
    const GradModeGuard no_grad(false);
    place = slice(whole, dim, start, start + (part.sizes()[dim] - 1) * step + 1, step);
    if (part.numel() > 0) copy_raw(place, part);
  }
  if (needs_grad(part)) {
    record("SliceBackwardBackward0", whole, {&part},
           [dim, start, step, n = part.sizes()[dim]](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = slice(g, dim, start, start + (n - 1) * step + 1, step);
           });
  }
  return whole;
}

Tensor narrow(const Tensor& input, std::int64_t dim, std::int64_t start, std::int64_t length) {
  FASTNN_CHECK(input.ndim() > 0, ErrorKind::Runtime, "narrow() cannot be applied to a 0-dim tensor.");
  FASTNN_CHECK(length >= 0, ErrorKind::Runtime, "narrow(): length must be non-negative.");
  const int at = wrap_dim(dim, input.ndim(), "narrow");
  const std::int64_t size = input.sizes()[at];
  FASTNN_CHECK(start >= -size && start <= size, ErrorKind::Index, "start out of range (expected to be in range of [",
               -size, ", ", size, "], but got ", start, ")");
  const std::int64_t from = start < 0 ? start + size : start;
  FASTNN_CHECK(from + length <= size, ErrorKind::Runtime, "start (", from, ") + length (", length,
               ") exceeds dimension size (", size, ").");
  return slice(input, at, from, from + length, 1);
}

namespace {
Tensor narrow_from_tensor(const Tensor& input, std::int64_t dim, const Tensor& start, std::int64_t length) {
  FASTNN_CHECK(start.ndim() == 0 && is_integral(start.dtype()), ErrorKind::Runtime,
               "start must be an 0-dim integral Tensor.");
  return narrow(input, dim, start.item_int(), length);
}
}  // namespace

Tensor detach(const Tensor& input) {
  Tensor out = input.detached();
  return out;
}

// The same bytes read as another dtype; the last dimension grows or shrinks with the size of an element.
Tensor view_dtype(const Tensor& input, DType dtype) {
  const std::int64_t from = itemsize(input.dtype());
  const std::int64_t to = itemsize(dtype);
  FASTNN_CHECK(!needs_grad(input) || dtype == input.dtype(), ErrorKind::Runtime,
               "view: a tensor that requires grad cannot be viewed as another dtype; use detach()");
  if (dtype == input.dtype()) return make_view_like(input);
  Dims sizes = input.sizes();
  Dims strides = input.strides();
  std::int64_t offset = input.storage_offset();
  if (from != to) {
    FASTNN_CHECK(input.ndim() > 0, ErrorKind::Runtime, "self.dim() cannot be 0 to view ", input.dtype(), " as ", dtype,
                 " (different element sizes)");
    const int last = input.ndim() - 1;
    FASTNN_CHECK(strides[last] == 1 || sizes[last] <= 1, ErrorKind::Runtime, "self.stride(-1) must be 1 to view ",
                 input.dtype(), " as ", dtype, " (different element sizes), but got ", strides[last]);
    strides[last] = 1;
    if (from > to) {
      const std::int64_t ratio = from / to;
      sizes[last] *= ratio;
      offset *= ratio;
      for (int d = 0; d < last; ++d) strides[d] *= ratio;
    } else {
      const std::int64_t ratio = to / from;
      FASTNN_CHECK(sizes[last] % ratio == 0, ErrorKind::Runtime, "self.size(-1) must be divisible by ", ratio,
                   " to view ", input.dtype(), " as ", dtype, " (different element sizes), but got ", sizes[last]);
      FASTNN_CHECK(offset % ratio == 0, ErrorKind::Runtime, "self.storage_offset() must be divisible by ", ratio,
                   " to view ", input.dtype(), " as ", dtype, " (different element sizes), but got ", offset);
      sizes[last] /= ratio;
      offset /= ratio;
      for (int d = 0; d < last; ++d) {
        FASTNN_CHECK(strides[d] % ratio == 0, ErrorKind::Runtime, "self.stride(", d, ") must be divisible by ", ratio,
                     " to view ", input.dtype(), " as ", dtype, " (different element sizes), but got ", strides[d]);
        strides[d] /= ratio;
      }
    }
  }
  Tensor out = input.detached();
  TensorImpl& impl = *out.impl();
  impl.dtype = dtype;
  impl.offset = offset;
  impl.wrapped_number = false;
  impl.set_geometry(std::move(sizes), std::move(strides));
  return out;
}

// --- joining and splitting -----------------------------------------------------------------------------------------

Tensor cat(TensorList tensors, std::int64_t dim) {
  FASTNN_CHECK(!tensors.empty(), ErrorKind::Value, "torch.cat(): expected a non-empty list of Tensors");
  // 1-d empty tensors are skipped, as PyTorch does for the sake of old code.
  const auto skipped = [](const Tensor& tensor) { return tensor.ndim() == 1 && tensor.numel() == 0; };
  const Tensor* first = nullptr;
  TypePromotion promotion;
  for (const Tensor& tensor : tensors) {
    promotion.add(tensor);
    FASTNN_CHECK(tensor.ndim() > 0, ErrorKind::Runtime, "zero-dimensional tensor (at position ",
                 &tensor - tensors.data(), ") cannot be concatenated");
    if (!skipped(tensor) && first == nullptr) first = &tensor;
  }
  const DType dtype = promotion.result();
  if (first == nullptr) first = tensors.data();  // all are skipped: their sum has no elements either
  const int at = wrap_dim(dim, first->ndim(), "cat");
  Dims sizes = first->sizes();
  sizes[at] = 0;
  for (const Tensor& tensor : tensors) {
    if (skipped(tensor)) continue;
    FASTNN_CHECK(tensor.ndim() == first->ndim(), ErrorKind::Runtime,
                 "Tensors must have same number of dimensions: got ", first->ndim(), " and ", tensor.ndim());
    for (int i = 0; i < tensor.ndim(); ++i) {
      FASTNN_CHECK(i == at || tensor.sizes()[i] == sizes[i], ErrorKind::Runtime,
                   "Sizes of tensors must match except in dimension ", at, ". Expected size ", sizes[i],
                   " but got size ", tensor.sizes()[i], " for tensor number ", &tensor - tensors.data(),
                   " in the list.");
    }
    sizes[at] += tensor.sizes()[at];
  }
  const auto in_order =
      std::ranges::find_if(tensors, [](const Tensor& tensor) { return tensor.ndim() >= 4 && tensor.is_contiguous(); });
  Tensor out = in_order == tensors.end() ? empty_in_format_of(*first, sizes, dtype) : Tensor::empty(sizes, dtype);
  Dims starts;
  {
    const GradModeGuard no_grad(false);
    std::int64_t start = 0;
    for (const Tensor& tensor : tensors) {
      starts.push_back(start);
      if (skipped(tensor)) continue;
      const std::int64_t length = tensor.sizes()[at];
      if (tensor.numel() > 0) {
        const Tensor place = out.alias(tensor.sizes(), out.strides(), start * out.strides()[at]);
        copy_raw(place, tensor);
      }
      start += length;
    }
  }
  if (needs_grad_any(tensors)) {
    std::vector<std::pair<Dims, DType>> shapes;
    for (const Tensor& tensor : tensors) shapes.emplace_back(tensor.sizes(), tensor.dtype());
    record_list("CatBackward0", out, tensors, [at, starts, shapes = std::move(shapes)](const Tensor& g, Slots& d) {
      for (std::size_t i = 0; i < shapes.size(); ++i) {
        if (!d.wants(i)) continue;
        const auto& [size, type] = shapes[i];
        if (size.size() == 1 && size[0] == 0) {
          d[i] = zeros(size, type);
        } else {
          d[i] = to_dtype(narrow(g, at, starts[static_cast<int>(i)], size[at]), type);
        }
      }
    });
  }
  return out;
}

Tensor stack(TensorList tensors, std::int64_t dim) {
  FASTNN_CHECK(!tensors.empty(), ErrorKind::Runtime, "stack expects a non-empty TensorList");
  const int at = wrap_dim(dim, tensors[0].ndim() + 1, "stack");
  std::vector<Tensor> expanded;
  expanded.reserve(tensors.size());
  for (const Tensor& tensor : tensors) {
    FASTNN_CHECK(tensor.sizes() == tensors[0].sizes(), ErrorKind::Runtime,
                 "stack expects each tensor to be equal size, but got ", tensors[0].sizes(), " at entry 0 and ",
                 tensor.sizes(), " at entry ", &tensor - tensors.data());
    expanded.push_back(unsqueeze(tensor, at));
  }
  return cat(expanded, at);
}

std::vector<Tensor> split_with_sizes(const Tensor& input, IntSpan sizes, std::int64_t dim) {
  FASTNN_CHECK(input.ndim() > 0, ErrorKind::Runtime, "split expects at least a 1-dimensional tensor");
  const int at = wrap_dim(dim, input.ndim(), "split");
  std::int64_t total = 0;
  for (const std::int64_t size : sizes) {
    FASTNN_CHECK(
        size >= 0, ErrorKind::Runtime,
        "split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes=", Dims(sizes));
    total += size;
  }
  FASTNN_CHECK(total == input.sizes()[at], ErrorKind::Runtime,
               "split_with_sizes expects split_sizes to sum exactly to ", input.sizes()[at],
               " (input tensor's size at dimension ", at, "), but got split_sizes=", Dims(sizes));
  std::vector<Tensor> parts;
  std::int64_t start = 0;
  for (const std::int64_t size : sizes) {
    parts.push_back(narrow(input, at, start, size));
    parts.back().impl()->view_origin = ViewOrigin::MultiOutput;
    start += size;
  }
  return parts;
}

std::vector<Tensor> split(const Tensor& input, std::int64_t split_size, std::int64_t dim) {
  FASTNN_CHECK(input.ndim() > 0, ErrorKind::Runtime, "split expects at least a 1-dimensional tensor");
  const int at = wrap_dim(dim, input.ndim(), "split");
  const std::int64_t size = input.sizes()[at];
  FASTNN_CHECK(split_size > 0 || (split_size == 0 && size == 0), ErrorKind::Runtime,
               "split expects split_size be positive, but got split_size=", split_size);
  Dims sizes;
  for (std::int64_t start = 0; start < size; start += split_size) sizes.push_back(std::min(split_size, size - start));
  if (sizes.empty()) sizes.push_back(0);
  return split_with_sizes(input, sizes, at);
}

std::vector<Tensor> chunk(const Tensor& input, std::int64_t chunks, std::int64_t dim) {
  FASTNN_CHECK(input.ndim() > 0, ErrorKind::Runtime, "chunk expects at least a 1-dimensional tensor");
  FASTNN_CHECK(chunks > 0, ErrorKind::Runtime, "chunk expects `chunks` to be greater than 0, got: ", chunks);
  const int at = wrap_dim(dim, input.ndim(), "chunk");
  const std::int64_t size = input.sizes()[at];
  const std::int64_t each = (size + chunks - 1) / chunks;
  if (each == 0) return split_with_sizes(input, Dims::filled(static_cast<int>(chunks), 0), at);
  return split(input, each, at);
}

std::vector<Tensor> unbind(const Tensor& input, std::int64_t dim) {
  FASTNN_CHECK(input.ndim() > 0, ErrorKind::Index, "unbind: Dimension specified as 0 but tensor has no dimensions");
  const int at = wrap_dim(dim, input.ndim(), "unbind");
  std::vector<Tensor> parts;
  for (std::int64_t i = 0; i < input.sizes()[at]; ++i) {
    parts.push_back(select(input, at, i));
    parts.back().impl()->view_origin = ViewOrigin::MultiOutput;
  }
  return parts;
}

// --- derived ---------------------------------------------------------------------------------------------------------

Tensor flatten(const Tensor& input, std::int64_t start_dim, std::int64_t end_dim) {
  const int from = wrap_dim(start_dim, input.ndim(), "flatten");
  const int to = wrap_dim(end_dim, input.ndim(), "flatten");
  FASTNN_CHECK(from <= to, ErrorKind::Runtime, "flatten() has invalid args: start_dim cannot come after end_dim");
  if (input.ndim() == 0) return reshape(input, Dims{1});
  if (from == to) return input;
  Dims sizes;
  std::int64_t merged = 1;
  for (int i = 0; i < input.ndim(); ++i) {
    if (i >= from && i <= to) merged *= input.sizes()[i];
    if (i < from || i > to) sizes.push_back(input.sizes()[i]);
    if (i == to) sizes.push_back(merged);
  }
  return reshape(input, sizes);
}

Tensor unflatten(const Tensor& input, std::int64_t dim, IntSpan sizes) {
  const int at = wrap_dim(dim, input.ndim(), "unflatten");
  FASTNN_CHECK(!sizes.empty(), ErrorKind::Runtime, "unflatten: sizes must be non-empty");
  const Dims inner = infer_size(sizes, input.sizes()[at], "unflatten");
  Dims result;
  for (int i = 0; i < input.ndim(); ++i) {
    if (i != at) {
      result.push_back(input.sizes()[i]);
    } else {
      for (const std::int64_t size : inner) result.push_back(size);
    }
  }
  return view(input, result);
}

Tensor movedim(const Tensor& input, IntSpan source, IntSpan destination) {
  FASTNN_CHECK(source.size() == destination.size(), ErrorKind::Runtime,
               "movedim: Invalid source or destination dims: source (", Dims(source),
               " dims) should contain the same number "
               "of dims as destination (",
               Dims(destination), " dims)");
  const Dims from = wrap_dims(source, input.ndim(), "movedim");
  const Dims to = wrap_dims(destination, input.ndim(), "movedim");
  Dims order = Dims::filled(input.ndim(), -1);
  std::vector<bool> used(static_cast<std::size_t>(input.ndim()), false);
  for (int i = 0; i < from.size(); ++i) {
    order[static_cast<int>(to[i])] = from[i];
    used[static_cast<std::size_t>(from[i])] = true;
  }
  int next = 0;
  for (std::int64_t& slot : order) {
    if (slot >= 0) continue;
    while (used[static_cast<std::size_t>(next)]) ++next;
    slot = next++;
  }
  return permute(input, order);
}

Tensor expand_as(const Tensor& input, const Tensor& other) { return expand(input, other.sizes()); }
Tensor view_as(const Tensor& input, const Tensor& other) { return view(input, other.sizes()); }
Tensor reshape_as(const Tensor& input, const Tensor& other) { return reshape(input, other.sizes()); }
Tensor ravel(const Tensor& input) { return reshape(contiguous(input), Dims{-1}); }

Tensor repeat(const Tensor& input, IntSpan repeats) {
  FASTNN_CHECK(static_cast<int>(repeats.size()) >= input.ndim(), ErrorKind::Runtime,
               "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor");
  const int ndim = static_cast<int>(repeats.size());
  const int extra = ndim - input.ndim();
  // [a, b] -> [1, a, 1, b] expanded to [ra, a, rb, b], then merged.
  Dims apart;
  Dims expanded;
  Dims merged;
  for (int i = 0; i < ndim; ++i) {
    const std::int64_t size = i < extra ? 1 : input.sizes()[i - extra];
    const std::int64_t times = repeats[static_cast<std::size_t>(i)];
    FASTNN_CHECK(times >= 0, ErrorKind::Runtime, "repeat: Trying to create tensor with negative dimension ", times);
    apart.push_back(1);
    apart.push_back(size);
    expanded.push_back(times);
    expanded.push_back(size);
    merged.push_back(times * size);
  }
  return reshape(clone(expand(reshape(input, apart), expanded), true), merged);
}

Tensor tile(const Tensor& input, IntSpan dims) {
  Dims repeats(dims);
  while (repeats.size() < input.ndim()) repeats.insert(0, 1);
  return repeat(input, repeats);
}

Tensor flip(const Tensor& input, IntSpan dims) {
  // In the order of the memory, which is kept.
  const Dims strides = dense_strides_like(input.sizes(), input.strides());
  Dims order;
  for (int d = 0; d < input.ndim(); ++d) order.push_back(d);
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return strides[static_cast<int>(a)] > strides[static_cast<int>(b)];
  });
  Dims places = order;  // of the dimensions in that order
  for (int d = 0; d < input.ndim(); ++d) places[static_cast<int>(order[d])] = d;
  const bool in_order = std::is_sorted(order.begin(), order.end());
  const Tensor source = in_order ? input : permute(input, order);
  Tensor result = source;
  for (const std::int64_t dim : wrap_dims(dims, input.ndim(), "flip")) {
    if (input.ndim() == 0) break;
    const std::int64_t n = input.sizes()[static_cast<int>(dim)];
    result = index_select(result, places[static_cast<int>(dim)], arange_int(n, n - 1, -1));
  }
  if (result.is_same(source)) return clone(input);
  return in_order ? result : permute(result, places);
}

Tensor roll(const Tensor& input, IntSpan shifts, IntSpan dims) {
  if (dims.empty()) {
    FASTNN_CHECK(shifts.size() == 1, ErrorKind::Runtime, "roll: shifts and dimensions must align");
    const std::int64_t zero = 0;
    return reshape(roll(reshape(input, Dims{-1}), shifts, IntSpan(&zero, 1)), input.sizes());
  }
  FASTNN_CHECK(shifts.size() == dims.size(), ErrorKind::Runtime,
               "shifts and dimensions must align. shifts: ", shifts.size(), ", dims:", dims.size());
  Tensor result = input;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    FASTNN_CHECK(input.ndim() > 0, ErrorKind::Index, "roll: Dimension specified as ", dims[i],
                 " but tensor has no dimensions");
    const int at = wrap_dim(dims[i], input.ndim(), "roll");
    const std::int64_t n = input.sizes()[at];
    if (n == 0) continue;
    const std::int64_t start = ((-shifts[i]) % n + n) % n;
    const Tensor parts[] = {narrow(result, at, start, n - start), narrow(result, at, 0, start)};
    result = cat(parts, at);
  }
  return result.is_same(input) ? clone(input) : result;
}

Tensor diagonal(const Tensor& input, std::int64_t offset, std::int64_t dim1, std::int64_t dim2) {
  const int a = wrap_dim(dim1, input.ndim(), "diagonal");
  const int b = wrap_dim(dim2, input.ndim(), "diagonal");
  FASTNN_CHECK(a != b, ErrorKind::Runtime, "diagonal dimensions cannot be identical ", dim1, ", ", dim2);
  const std::int64_t length =
      std::max<std::int64_t>(0, offset >= 0 ? std::min(input.sizes()[a], input.sizes()[b] - offset)
                                            : std::min(input.sizes()[a] + offset, input.sizes()[b]));
  Dims sizes = input.sizes();
  Dims strides = input.strides();
  std::int64_t start = input.storage_offset();
  if (length > 0) start += offset >= 0 ? offset * strides[b] : -offset * strides[a];
  const std::int64_t step = strides[a] + strides[b];
  sizes.erase(std::max(a, b));
  strides.erase(std::max(a, b));
  sizes.erase(std::min(a, b));
  strides.erase(std::min(a, b));
  sizes.push_back(length);
  strides.push_back(step);
  return viewed("DiagonalBackward0", input, std::move(sizes), std::move(strides), start,
                [old = input.sizes(), offset, a, b](const Tensor& g, Slots& d) {
                  if (d.wants(0)) d[0] = diagonal_backward(g, old, offset, a, b);
                });
}

Tensor diagonal_backward(const Tensor& g, const Dims& sizes, std::int64_t offset, int a, int b) {
  Tensor whole = zeros(sizes, g.dtype());
  {
    const GradModeGuard no_grad(false);
    copy_raw(diagonal(whole, offset, a, b), g);
  }
  if (needs_grad(g)) {
    record("DiagonalBackwardBackward0", whole, {&g}, [offset, a, b](const Tensor& gg, Slots& d) {
      if (d.wants(0)) d[0] = diagonal(gg, offset, a, b);
    });
  }
  return whole;
}

Tensor unfold(const Tensor& input, std::int64_t dimension, std::int64_t size, std::int64_t step) {
  const int at = wrap_dim(dimension, input.ndim(), "unfold");
  const std::int64_t length = input.ndim() == 0 ? 1 : input.sizes()[at];
  FASTNN_CHECK(size >= 0 && size <= length, ErrorKind::Runtime, "maximum size for tensor at dimension ", at, " is ",
               length, " but size is ", size);
  FASTNN_CHECK(step > 0, ErrorKind::Runtime, "step is ", step, " but must be > 0");
  Dims sizes = input.sizes();
  Dims strides = input.strides();
  const std::int64_t stride = input.ndim() == 0 ? 1 : strides[at];
  if (input.ndim() > 0) {
    sizes[at] = (length - size) / step + 1;
    strides[at] = stride * step;
  }
  sizes.push_back(size);
  strides.push_back(stride);
  return as_strided_view("UnfoldBackward0", input, sizes, strides);
}

// A view whose gradient is scattered through its geometry.
Tensor as_strided_view(const char* name, const Tensor& input, const Dims& sizes, const Dims& strides) {
  return viewed(name, input, sizes, strides, input.storage_offset(),
                [in_size = input.sizes(), in_stride = input.strides(), offset = input.storage_offset(), sizes, strides](
                    const Tensor& g, Slots& d) {
                  if (d.wants(0)) d[0] = as_strided_backward(g, in_size, in_stride, offset, sizes, strides, offset);
                });
}

FASTNN_OPS(shape) {
  op("as_strided(Tensor input, int[] size, int[] stride, int? storage_offset=None) -> Tensor", &as_strided,
     op_fn | op_method);
  op("view(Tensor input, *int[] size) -> Tensor", &view, op_method);
  op("view(Tensor input, dtype dtype) -> Tensor", &view_dtype, op_method);
  op("reshape(Tensor input, *int[] shape) -> Tensor", &reshape, op_method);
  op("reshape(Tensor input, int[] shape) -> Tensor", &reshape, op_fn);
  op("expand(Tensor input, *int[] size) -> Tensor", &expand, op_method);
  op("broadcast_to(Tensor input, int[] size) -> Tensor", &expand, op_fn | op_method);
  op("permute(Tensor input, *int[] dims) -> Tensor", &permute, op_method);
  op("permute(Tensor input, int[] dims) -> Tensor", &permute, op_fn);
  op("transpose(Tensor input, int dim0, int dim1) -> Tensor", &transpose, op_fn | op_method);
  op("swapaxes(Tensor input, int axis0, int axis1) -> Tensor", &transpose, op_fn | op_method);
  op("swapdims(Tensor input, int dim0, int dim1) -> Tensor", &transpose, op_fn | op_method);
  op("t(Tensor input) -> Tensor", &t, op_fn | op_method);
  op("squeeze(Tensor input) -> Tensor", &squeeze_all, op_fn | op_method);
  op("squeeze(Tensor input, int dim) -> Tensor", &squeeze, op_fn | op_method);
  op("squeeze(Tensor input, int[] dim) -> Tensor", &squeeze_dims, op_fn | op_method);
  op("unsqueeze(Tensor input, int dim) -> Tensor", &unsqueeze, op_fn | op_method);
  op("select(Tensor input, int dim, int index) -> Tensor", &select, op_fn | op_method);
  op("narrow(Tensor input, int dim, Tensor start, int length) -> Tensor", &narrow_from_tensor, op_fn | op_method);
  op("narrow(Tensor input, int dim, int start, int length) -> Tensor", &narrow, op_fn | op_method);
  op("cat(Tensor[] tensors, int dim=0) -> Tensor", &cat, op_fn | op_out);
  op("concat(Tensor[] tensors, int dim=0) -> Tensor", &cat, op_fn | op_out);
  op("concatenate(Tensor[] tensors, int dim=0) -> Tensor", &cat, op_fn | op_out);
  op("stack(Tensor[] tensors, int dim=0) -> Tensor", &stack, op_fn | op_out);
  op("split(Tensor tensor, int split_size_or_sections, int dim=0) -> Tensor[]", &split, op_fn);
  op("split(Tensor tensor, int[] split_size_or_sections, int dim=0) -> Tensor[]", &split_with_sizes, op_fn);
  op("split(Tensor input, int split_size, int dim=0) -> Tensor[]", &split, op_method);
  op("split(Tensor input, int[] split_size, int dim=0) -> Tensor[]", &split_with_sizes, op_method);
  op("split_with_sizes(Tensor input, int[] split_sizes, int dim=0) -> Tensor[]", &split_with_sizes, op_fn | op_method);
  op("unsafe_split(Tensor input, int split_size, int dim=0) -> Tensor[]", &split, op_fn | op_method);
  op("unsafe_split_with_sizes(Tensor input, int[] split_sizes, int dim=0) -> Tensor[]", &split_with_sizes,
     op_fn | op_method);
  op("chunk(Tensor input, int chunks, int dim=0) -> Tensor[]", &chunk, op_fn | op_method);
  op("unsafe_chunk(Tensor input, int chunks, int dim=0) -> Tensor[]", &chunk, op_fn | op_method);
  op("unbind(Tensor input, int dim=0) -> Tensor[]", &unbind, op_fn | op_method);
  op("flatten(Tensor input, int start_dim=0, int end_dim=-1) -> Tensor", &flatten, op_fn | op_method);
  op("unflatten(Tensor input, int dim, int[] sizes) -> Tensor", &unflatten, op_fn | op_method);
  op("movedim(Tensor input, int[1] source, int[1] destination) -> Tensor", &movedim, op_fn | op_method);
  op("moveaxis(Tensor input, int[1] source, int[1] destination) -> Tensor", &movedim, op_fn | op_method);
  op("expand_as(Tensor input, Tensor other) -> Tensor", &expand_as, op_method);
  op("view_as(Tensor input, Tensor other) -> Tensor", &view_as, op_method);
  op("reshape_as(Tensor input, Tensor other) -> Tensor", &reshape_as, op_method);
  op("ravel(Tensor input) -> Tensor", &ravel, op_fn | op_method);
  op("repeat(Tensor input, *int[] repeats) -> Tensor", &repeat, op_method);
  op("tile(Tensor input, *int[] dims) -> Tensor", &tile, op_fn | op_method);
  op("flip(Tensor input, *int[] dims) -> Tensor", &flip, op_fn | op_method);
  op("roll(Tensor input, int[1] shifts, int[1] dims=[]) -> Tensor", &roll, op_fn | op_method);
  op("diagonal(Tensor input, int offset=0, int dim1=0, int dim2=1) -> Tensor", &diagonal, op_fn | op_method);
  op("unfold(Tensor input, int dimension, int size, int step) -> Tensor", &unfold, op_method);
}

}  // namespace fastnn
