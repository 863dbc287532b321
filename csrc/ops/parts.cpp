// Diagonals, parts of a tensor replaced, turned and flipped tensors: compositions of views, copies and indexing.
#include <algorithm>

#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/index.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

// --- diagonals -------------------------------------------------------------------------------------------------------

// The last dimension as a diagonal of the dimensions dim1 and dim2 of a tensor of zeros.
Tensor diag_embed(const Tensor& input, std::int64_t offset, std::int64_t dim1, std::int64_t dim2) {
  const int ndim = input.ndim() + 1;
  const int a = wrap_dim(dim1, ndim, "diag_embed");
  const int b = wrap_dim(dim2, ndim, "diag_embed");
  FASTNN_CHECK(a != b, ErrorKind::Runtime, "diagonal dimensions cannot be identical ", dim1, ", ", dim2);
  wrap_dim(-1, input.ndim(), "diag_embed");
  FASTNN_CHECK(input.ndim() > 0, ErrorKind::Runtime, "diag_embed: expected at least one dimension");
  Dims sizes = input.sizes();
  const std::int64_t length = sizes.back() + std::abs(offset);
  sizes.erase(input.ndim() - 1);
  sizes.insert(std::min(a, b), length);
  sizes.insert(std::max(a, b), length);
  return diagonal_backward(input, sizes, offset, a, b);
}

Tensor diag(const Tensor& input, std::int64_t diagonal_number) {
  FASTNN_CHECK(input.ndim() == 1 || input.ndim() == 2, ErrorKind::Runtime, "diag(): Supports 1D or 2D tensors. Got ",
               input.ndim(), "D");
  if (input.ndim() == 1) return diag_embed(input, diagonal_number, 0, 1);
  return clone(diagonal(input, diagonal_number), true);
}

Tensor diagflat(const Tensor& input, std::int64_t offset) { return diag_embed(reshape(input, Dims{-1}), offset, 0, 1); }

// --- parts replaced --------------------------------------------------------------------------------------------------

// `whole`, which is new, with `src` written over a view of it.
template <class View>
Tensor with_part(const char* op, const Tensor& whole, const Tensor& src, View view) {
  const Tensor part = view(whole);
  FASTNN_CHECK(part.sizes() == src.sizes(), ErrorKind::Runtime, op,
               ": expected src to have a size equal to the slice of self. src size = ", src.sizes(),
               ", slice size = ", part.sizes());
  copy_in_place(part, src);
  return whole;
}

Tensor select_scatter(const Tensor& input, const Tensor& src, std::int64_t dim, std::int64_t index) {
  return with_part("select_scatter", clone(input), src, [&](const Tensor& t) { return select(t, dim, index); });
}

Tensor slice_scatter(const Tensor& input, const Tensor& src, std::int64_t dim, std::optional<std::int64_t> start,
                     std::optional<std::int64_t> end, std::int64_t step) {
  return with_part("slice_scatter", clone(input), src,
                   [&](const Tensor& t) { return slice(t, dim, start, end, step); });
}

Tensor diagonal_scatter(const Tensor& input, const Tensor& src, std::int64_t offset, std::int64_t dim1,
                        std::int64_t dim2) {
  return with_part("diagonal_scatter", clone(input), src,
                   [&](const Tensor& t) { return diagonal(t, offset, dim1, dim2); });
}

// The whole memory behind `input` is copied, so that the same places can be written.
Tensor as_strided_scatter(const Tensor& input, const Tensor& src, IntSpan size, IntSpan stride,
                          std::optional<std::int64_t> storage_offset) {
  const std::int64_t all = static_cast<std::int64_t>(input.storage()->nbytes()) / itemsize(input.dtype());
  const std::int64_t one = 1;
  const Tensor memory = clone(as_strided(input, IntSpan(&all, 1), IntSpan(&one, 1), 0));
  const Tensor whole = as_strided(memory, input.sizes(), input.strides(), input.storage_offset());
  return with_part("as_strided_scatter", whole, src,
                   [&](const Tensor& t) { return as_strided(t, size, stride, storage_offset); });
}

Tensor put(const Tensor& input, const Tensor& index_tensor, const Tensor& source, bool accumulate) {
  FASTNN_CHECK(index_tensor.dtype() == DType::Int64, ErrorKind::Runtime,
               "put_(): Expected a long tensor for index, but got ", index_tensor.dtype());
  FASTNN_CHECK(source.dtype() == input.dtype(), ErrorKind::Runtime,
               "put_(): self and source expected to have the same dtype, but got self.dtype = ", input.dtype(),
               " and source.dtype = ", source.dtype());
  FASTNN_CHECK(source.numel() == index_tensor.numel(), ErrorKind::Index,
               "put_(): Expected source and index to have the same number of elements, but got source.numel() = ",
               source.numel(), ", index.numel() = ", index_tensor.numel());
  FASTNN_CHECK(input.numel() > 0 || index_tensor.numel() == 0, ErrorKind::Index,
               "put_(): cannot put elements into an empty tensor");
  const Dims flat{-1};
  return reshape(index_put(reshape(input, flat), {reshape(index_tensor, flat)}, reshape(source, flat), accumulate),
                 input.sizes());
}

// --- turned ----------------------------------------------------------------------------------------------------------

Tensor fliplr(const Tensor& input) {
  FASTNN_CHECK(input.ndim() >= 2, ErrorKind::Runtime, "Input must be >= 2-d.");
  return flip(input, Dims{1});
}
Tensor flipud(const Tensor& input) {
  FASTNN_CHECK(input.ndim() >= 1, ErrorKind::Runtime, "Input must be >= 1-d.");
  return flip(input, Dims{0});
}

// k quarter turns from the first dimension towards the second.
Tensor rot90(const Tensor& input, std::int64_t k, IntSpan dims) {
  const int ndim = input.ndim();
  FASTNN_CHECK(dims.size() == 2, ErrorKind::Runtime, "expected total rotation dims == 2, but got dims = ", dims.size());
  FASTNN_CHECK(ndim >= 2, ErrorKind::Runtime, "expected total dims >= 2, but got total dims = ", ndim);
  FASTNN_CHECK(dims[0] != dims[1] && std::abs(dims[0] - dims[1]) != ndim, ErrorKind::Runtime,
               "expected rotation dims to be different, but got dim0 = ", dims[0], " and dim1 = ", dims[1]);
  for (std::size_t i = 0; i < 2; ++i) {
    FASTNN_CHECK(dims[i] >= -ndim && dims[i] < ndim, ErrorKind::Runtime, "Rotation dim", i, " out of range, dim", i,
                 " = ", dims[i]);
  }
  switch ((k % 4 + 4) % 4) {
    case 1:
      return transpose(flip(input, dims.subspan(1)), dims[0], dims[1]);
    case 2:
      return flip(input, dims);
    case 3:
      return transpose(flip(input, dims.first(1)), dims[0], dims[1]);
    default:
      return clone(input, true);
  }
}

// --- places ----------------------------------------------------------------------------------------------------------

// The first `size` rows of nonzero(input), filled up with `fill_value`.
Tensor nonzero_static(const Tensor& input, std::int64_t size, std::int64_t fill_value) {
  FASTNN_CHECK(size >= 0, ErrorKind::Runtime, "nonzero_static: 'size' must be an non-negative integer");
  const Tensor places = nonzero(input);
  const std::int64_t rows = std::min(size, places.sizes()[0]);
  const Tensor filled = full(Dims{size - rows, places.sizes()[1]}, Scalar(fill_value), DType::Int64);
  return cat(std::array{contiguous(narrow(places, 0, 0, rows)), filled}, 0);
}

// All choices of r elements, in lexicographic order of their places.
Tensor combinations(const Tensor& input, std::int64_t r, bool with_replacement) {
  FASTNN_CHECK(input.ndim() == 1, ErrorKind::Runtime, "Expect a 1D vector, but got shape ", input.sizes());
  FASTNN_CHECK(r >= 0, ErrorKind::Runtime, "Expect a non-negative number, but got ", r);
  if (r == 0) return Tensor::empty(Dims{0}, input.dtype());
  const std::int64_t n = input.numel();
  const std::int64_t step = with_replacement ? 0 : 1;
  std::vector<std::int64_t> places;
  std::vector<std::int64_t> at(static_cast<std::size_t>(r));
  for (std::size_t i = 0; i < at.size(); ++i) at[i] = step * static_cast<std::int64_t>(i);
  // The largest place of element i.
  const auto last = [&](std::size_t i) { return n - 1 - step * (r - 1 - static_cast<std::int64_t>(i)); };
  bool more = n > 0 && last(0) >= 0;
  while (more) {
    places.insert(places.end(), at.begin(), at.end());
    std::size_t i = at.size();
    while (i > 0 && at[i - 1] == last(i - 1)) --i;
    more = i > 0;
    if (!more) break;
    ++at[i - 1];
    for (; i < at.size(); ++i) at[i] = at[i - 1] + step;
  }
  const auto count = static_cast<std::int64_t>(places.size());
  Tensor index_tensor = Tensor::empty(Dims{count}, DType::Int64);
  std::copy(places.begin(), places.end(), index_tensor.as<std::int64_t>());
  return reshape(index_select(input, 0, index_tensor), Dims{count / r, r});
}

}  // namespace

FASTNN_OPS(parts) {
  constexpr unsigned kBoth = op_fn | op_method;
  constexpr unsigned kOut = op_fn | op_method | op_out;
  op("diag(Tensor input, int diagonal=0) -> Tensor", &diag, kOut);
  op("diag_embed(Tensor input, int offset=0, int dim1=-2, int dim2=-1) -> Tensor", &diag_embed, kBoth);
  op("diagflat(Tensor input, int offset=0) -> Tensor", &diagflat, kBoth);
  op("select_scatter(Tensor input, Tensor src, int dim, int index) -> Tensor", &select_scatter, kBoth);
  op("slice_scatter(Tensor input, Tensor src, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor",
     &slice_scatter, kOut);
  op("diagonal_scatter(Tensor input, Tensor src, int offset=0, int dim1=0, int dim2=1) -> Tensor", &diagonal_scatter,
     kBoth);
  op("as_strided_scatter(Tensor input, Tensor src, int[] size, int[] stride, int? storage_offset=None) -> Tensor",
     &as_strided_scatter, kBoth);
  op("put(Tensor input, Tensor index, Tensor source, bool accumulate=False) -> Tensor", &put, kBoth | op_inplace);
  op("fliplr(Tensor input) -> Tensor", &fliplr, kBoth);
  op("flipud(Tensor input) -> Tensor", &flipud, kBoth);
  op("rot90(Tensor input, int k=1, int[] dims=[0, 1]) -> Tensor", &rot90, kBoth);
  op("argwhere(Tensor input) -> Tensor", &nonzero, kBoth);
  op("nonzero_static(Tensor input, *, int size, int fill_value=-1) -> Tensor", &nonzero_static, kOut);
  op("combinations(Tensor input, int r=2, bool with_replacement=False) -> Tensor", &combinations, op_fn);
}

}  // namespace fastnn
