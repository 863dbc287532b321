#include "ops/sort.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kernels/sort.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/index.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/reduce_dims.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

const SortKernels& table() { return *kernels().sort; }

// A contiguous copy (or the tensor itself) with one dimension last, seen as [rows, n].
struct Rows {
  Rows(const char* op, const Tensor& input, std::int64_t dim_in) : dim(wrap_dim(dim_in, input.ndim(), op)) {
    const GradModeGuard off(false);
    shape = input.sizes();
    const bool last = input.ndim() == 0 || dim == input.ndim() - 1;
    data = contiguous(last ? input : transpose(input, dim, -1));
    n = input.ndim() == 0 ? 1 : input.sizes()[dim];
    FASTNN_CHECK(n <= std::numeric_limits<std::uint32_t>::max(), ErrorKind::Runtime, op,
                 ": a dimension of more than 2^32 - 1 elements is not supported, got ", n);
    rows = n == 0 ? 0 : input.numel() / n;
  }

  int dim;
  Dims shape;
  Tensor data;
  std::int64_t n = 0;
  std::int64_t rows = 0;

  // Shape of a result with k elements in each row, in the order of dimensions of `data`.
  Tensor result(std::int64_t k, DType dtype) const {
    Dims sizes = data.sizes();
    if (sizes.size() > 0) sizes.back() = k;
    return Tensor::empty(sizes, dtype);
  }
  // The result in the order of dimensions of the input.
  Tensor restore(const Tensor& result) const {
    const GradModeGuard off(false);
    return shape.empty() || dim == shape.size() - 1 ? result : contiguous(transpose(result, dim, -1));
  }
  Tensor drop(const Tensor& result, bool keepdim) const {
    if (keepdim || shape.empty()) return result;
    const GradModeGuard off(false);
    return contiguous(select(result, dim, 0));
  }
};

// [rows, k] over a contiguous tensor.
struct Matrix {
  Matrix(const Tensor& tensor, std::int64_t rows, std::int64_t columns)
      : data(tensor.data()), dtype(tensor.dtype()), sizes{rows, columns}, strides{columns, 1} {}
  View view() const { return {data, dtype, 2, sizes, strides}; }
  void* data;
  DType dtype;
  std::int64_t sizes[2];
  std::int64_t strides[2];
};

struct Ordered {
  Tensor values, indices;
};

template <class Launch>
Ordered ordered(const Rows& r, std::int64_t k, Launch launch) {
  Ordered result{r.result(k, r.data.dtype()), r.result(k, DType::Int64)};
  if (r.rows > 0) {
    if (LaunchCount::counting) ++LaunchCount::value;
    launch(Matrix(result.values, r.rows, k).view(), Matrix(result.indices, r.rows, k).view(),
           Matrix(r.data, r.rows, r.n).view());
  }
  return {r.restore(result.values), r.restore(result.indices)};
}

std::tuple<Tensor, Tensor> finish(const char* name, const Rows& r, const Ordered& found, const Tensor& input,
                                  bool keepdim) {
  const Tensor values = r.drop(found.values, keepdim);
  const Tensor indices = r.drop(found.indices, keepdim);
  record_selected(name, values, indices, input, r.dim, keepdim);
  return {values, indices};
}

void check_not_empty(const char* op, const Rows& r) {
  FASTNN_CHECK(r.n > 0, ErrorKind::Index, op, "(): Expected reduction dim ", r.dim, " to have non-zero size.");
}

Tensor flat(const Tensor& input) {
  const std::int64_t size[] = {-1};
  return input.ndim() == 1 ? contiguous(input) : reshape(contiguous(input), size);
}

}  // namespace

std::tuple<Tensor, Tensor> sort(const Tensor& input, std::int64_t dim, bool descending) {
  const Rows r("sort", input, dim);
  const Ordered found = ordered(r, r.n, [&](const View& values, const View& indices, const View& in) {
    table().sort(values, indices, in, descending);
  });
  return finish("SortBackward0", r, found, input, true);
}

Tensor argsort(const Tensor& input, std::int64_t dim, bool descending) {
  return std::get<1>(sort(input.detached(), dim, descending));
}

std::tuple<Tensor, Tensor> topk(const Tensor& input, std::int64_t k, std::int64_t dim, bool largest, bool sorted) {
  const Rows r("topk", input, dim);
  FASTNN_CHECK(k >= 0 && k <= r.n, ErrorKind::Runtime, "topk: selected index k out of range: got ", k,
               " for a dimension of size ", r.n);
  FASTNN_CHECK(input.dtype() != DType::Bool, ErrorKind::NotImplemented, "\"topk_cpu\" not implemented for 'Bool'");
  const Ordered found = ordered(r, k, [&](const View& values, const View& indices, const View& in) {
    table().topk(values, indices, in, largest, sorted);
  });
  return finish("TopkBackward0", r, found, input, true);
}

std::tuple<Tensor, Tensor> kthvalue(const Tensor& input, std::int64_t k, std::int64_t dim, bool keepdim) {
  const Rows r("kthvalue", input, dim);
  check_not_empty("kthvalue", r);
  FASTNN_CHECK(k >= 1 && k <= r.n, ErrorKind::Runtime, "kthvalue(): selected number k out of range for dimension ",
               r.dim);
  const Ordered found = ordered(r, 1, [&](const View& values, const View& indices, const View& in) {
    table().kth(values, indices, in, k - 1, false, false);
  });
  return finish("KthvalueBackward0", r, found, input, keepdim);
}

std::tuple<Tensor, Tensor> mode(const Tensor& input, std::int64_t dim, bool keepdim) {
  const Rows r("mode", input, dim);
  check_not_empty("mode", r);
  const Ordered found = ordered(
      r, 1, [&](const View& values, const View& indices, const View& in) { table().mode(values, indices, in); });
  return finish("ModeBackward0", r, found, input, keepdim);
}

namespace {

std::tuple<Tensor, Tensor> median_along(const char* op, const char* name, const Tensor& input, std::int64_t dim,
                                        bool keepdim, bool skip_nan) {
  const Rows r(op, input, dim);
  check_not_empty(op, r);
  const Ordered found = ordered(r, 1, [&](const View& values, const View& indices, const View& in) {
    table().kth(values, indices, in, 0, true, skip_nan);
  });
  return finish(name, r, found, input, keepdim);
}

Tensor median_of_all(const char* op, const char* name, const Tensor& input, bool skip_nan) {
  if (input.numel() == 0) {
    const double none = input.is_floating() ? std::numeric_limits<double>::quiet_NaN() : 0;
    return Tensor::full({}, none, input.dtype());
  }
  Tensor out;
  {
    const GradModeGuard off(false);
    out = std::get<0>(median_along(op, name, flat(input), 0, false, skip_nan));
  }
  if (needs_grad(input)) {
    record(name, out, {&input}, [sx = save(input), so = save_output(out)](const Tensor& g, Slots& d) {
      const Tensor& x = sx.get();
      d[0] = share_among_equal(g, x, so.get(), ReduceDims(x, std::nullopt, "median"), false);
    });
  }
  return out;
}

Tensor median_all(const Tensor& input) { return median_of_all("median", "MedianBackward0", input, false); }
Tensor nanmedian_all(const Tensor& input) { return median_of_all("nanmedian", "NanmedianBackward0", input, true); }
std::tuple<Tensor, Tensor> nanmedian(const Tensor& input, std::int64_t dim, bool keepdim) {
  return median_along("nanmedian", "NanmedianBackward1", input, dim, keepdim, true);
}
std::tuple<Tensor, Tensor> sort_op(const Tensor& input, std::int64_t dim, bool descending, std::optional<bool>) {
  return sort(input, dim, descending);
}
Tensor argsort_op(const Tensor& input, std::int64_t dim, bool descending, bool) {
  return argsort(input, dim, descending);
}
Tensor msort(const Tensor& input) { return std::get<0>(sort(input, 0, false)); }

// --- unique ----------------------------------------------------------------------------------------------------------

struct Unique {
  Tensor values, inverse, counts;
};

// Values, and counts if asked for, of the runs of equal elements in a flat tensor; `run_of` becomes the run of each.
Unique runs_of(const Tensor& sorted, bool want_runs, bool want_counts) {
  const std::int64_t n = sorted.numel();
  const Tensor starts = Tensor::empty({{n}}, DType::Int64);
  Unique result;
  if (want_runs) result.inverse = Tensor::empty({{n}}, DType::Int64);
  if (LaunchCount::counting) ++LaunchCount::value;
  const std::int64_t count = table().runs(starts.view(), want_runs ? result.inverse.view() : View{}, sorted.view());
  const Tensor first = narrow(starts, 0, 0, count);
  result.values = index_select(sorted, 0, first);
  if (want_counts) {
    const Tensor ends = cat(std::array{narrow(starts, 0, count > 0 ? 1 : 0, count > 0 ? count - 1 : 0),
                                       Tensor::full({{count > 0 ? 1 : 0}}, static_cast<double>(n), DType::Int64)},
                            0);
    result.counts = sub(ends, first);
  }
  return result;
}

OpResult unique_result(const Unique& found, bool inverse, bool counts) {
  if (!inverse && !counts) return found.values;
  std::vector<Tensor> list{found.values};
  if (inverse) list.push_back(found.inverse);
  if (counts) list.push_back(found.counts);
  return list;
}

// Elements along `dim` as rows of a matrix; equal rows are found by numbering them column by column.
Tensor number_rows(const Tensor& input, int dim) {
  const std::int64_t n = input.sizes()[dim];
  const Tensor rows = reshape(movedim(input, Dims{dim}, Dims{0}), {{n, n == 0 ? 0 : input.numel() / n}});
  Tensor number = zeros({{n}}, DType::Int64);
  for (std::int64_t c = 0; c < rows.sizes()[1]; ++c) {
    const auto [values, order] = sort(contiguous(select(rows, 1, c)), 0, false);
    const Unique column = runs_of(values, true, false);
    const Tensor rank = scatter(zeros({{n}}, DType::Int64), 0, order, column.inverse);
    // Earlier columns weigh more; renumbered, so that the product stays small.
    const Tensor joint = add(mul(number, Scalar(n)), rank);
    const auto [joint_values, joint_order] = sort(joint, 0, false);
    number = scatter(zeros({{n}}, DType::Int64), 0, joint_order, runs_of(joint_values, true, false).inverse);
  }
  return number;
}

OpResult unique(const Tensor& input, bool, bool return_inverse, bool return_counts, std::optional<std::int64_t> dim) {
  const GradModeGuard off(false);
  const int at = dim ? wrap_dim(*dim, input.ndim(), "unique") : 0;
  const Tensor keys = dim && input.ndim() > 0 ? number_rows(input, at) : flat(input);
  const auto [values, order] = sort(keys, 0, false);
  Unique found = runs_of(values, return_inverse, return_counts);
  if (return_inverse) {
    found.inverse = scatter(zeros({{keys.numel()}}, DType::Int64), 0, order, found.inverse);
    if (!dim) found.inverse = view(found.inverse, input.sizes());
  }
  if (dim && input.ndim() > 0) {
    // The first row of each kind.
    const Tensor starts = searchsorted(values, found.values, false, DType::Int64, Tensor());
    found.values = index_select(input, at, index_select(order, 0, starts));
  }
  return unique_result(found, return_inverse, return_counts);
}

OpResult unique_consecutive(const Tensor& input, bool return_inverse, bool return_counts,
                            std::optional<std::int64_t> dim) {
  const GradModeGuard off(false);
  const int at = dim ? wrap_dim(*dim, input.ndim(), "unique_consecutive") : 0;
  const bool by_rows = dim && input.ndim() > 0;
  const Tensor keys = by_rows ? number_rows(input, at) : flat(input);
  Unique found = runs_of(keys, return_inverse || by_rows, return_counts);
  if (by_rows) {
    const Tensor runs = to_dtype(found.inverse, DType::Int64);
    const Tensor starts = searchsorted(runs, arange_int(found.values.numel()), false, DType::Int64, Tensor());
    found.values = index_select(input, at, starts);
  } else if (return_inverse) {
    found.inverse = view(found.inverse, input.sizes());
  }
  return unique_result(found, return_inverse, return_counts);
}

}  // namespace

std::tuple<Tensor, Tensor> median(const Tensor& input, std::int64_t dim, bool keepdim) {
  return median_along("median", "MedianBackward1", input, dim, keepdim, false);
}

// --- searching and counting
// -------------------------------------------------------------------------------------------

Tensor searchsorted(const Tensor& sorted, const Tensor& values, bool right, DType result, const Tensor& sorter) {
  const GradModeGuard off(false);
  const bool one_row = sorted.ndim() == 1;
  FASTNN_CHECK(sorted.ndim() > 0, ErrorKind::Runtime,
               "searchsorted: the sorted sequence must have at least one dimension");
  Dims leading = sorted.sizes();
  Dims own = values.sizes();
  if (!one_row) {
    FASTNN_CHECK(
        leading.size() == own.size(), ErrorKind::Runtime,
        "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
        "tensor and input value tensor must match, but we got boundaries tensor ",
        sorted.sizes(), " and input value tensor ", values.sizes());
    leading.back() = own.back() = 1;
    FASTNN_CHECK(
        leading == own, ErrorKind::Runtime,
        "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
        "tensor and input value tensor must match, but we got boundaries tensor ",
        sorted.sizes(), " and input value tensor ", values.sizes());
  }
  FASTNN_CHECK(!sorter.defined() || sorter.sizes() == sorted.sizes(), ErrorKind::Runtime,
               "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor ",
               sorted.sizes(), "and got sorter tensor ", sorter.defined() ? sorter.sizes() : Dims());
  FASTNN_CHECK(!sorter.defined() || sorter.dtype() == DType::Int64, ErrorKind::Runtime,
               "torch.searchsorted(): sorter must be a tensor of long dtype but got dtype ",
               sorter.defined() ? sorter.dtype() : DType::Int64);
  const DType common = result_type(sorted, values);
  const Tensor order = sorter.defined() ? contiguous(sorter) : sorter;
  const Tensor s = contiguous(to_dtype(sorted, common));
  const Tensor v = contiguous(to_dtype(values, common));
  Tensor out = Tensor::empty(v.sizes(), DType::Int64);
  if (v.numel() > 0) {
    const std::int64_t n = s.sizes().back();
    const std::int64_t rows = one_row ? 1 : product(leading);
    const std::int64_t m = one_row ? v.numel() : v.sizes().back();
    if (LaunchCount::counting) ++LaunchCount::value;
    table().searchsorted(Matrix(out, one_row ? 1 : rows, m).view(), Matrix(s, rows, n).view(),
                         Matrix(v, one_row ? 1 : rows, m).view(),
                         order.defined() ? Matrix(order, rows, n).view() : View{}, right);
  }
  return to_dtype(out, result);
}

Tensor bincount(const Tensor& input, const Tensor& weights, std::int64_t minlength) {
  const GradModeGuard off(false);
  FASTNN_CHECK(!input.is_floating() && input.dtype() != DType::Bool, ErrorKind::NotImplemented,
               "\"bincount_cpu\" not implemented for '", input.dtype(), "'");
  FASTNN_CHECK(input.ndim() == 1, ErrorKind::Runtime, "bincount only supports 1-d non-negative integral inputs.");
  FASTNN_CHECK(minlength >= 0, ErrorKind::Runtime, "minlength should be >= 0");
  FASTNN_CHECK(!weights.defined() || weights.sizes() == input.sizes(), ErrorKind::Runtime,
               "weights should be 1-d and have the same length as input");
  const DType dtype = !weights.defined()                  ? DType::Int64
                      : weights.dtype() == DType::Float32 ? DType::Float32
                                                          : DType::Float64;
  std::int64_t bins = minlength;
  const Tensor places = contiguous(to_dtype(input, DType::Int64));
  if (places.numel() > 0) {
    FASTNN_CHECK(amin(places).item_int() >= 0, ErrorKind::Runtime,
                 "bincount only supports 1-d non-negative integral inputs.");
    bins = std::max(bins, amax(places).item_int() + 1);
  }
  Tensor counts = zeros({{bins}}, dtype);
  const Tensor w = weights.defined() ? contiguous(to_dtype(weights, dtype)) : Tensor();
  if (LaunchCount::counting) ++LaunchCount::value;
  table().bincount(counts.view(), places.view(), w.defined() ? w.view() : View{});
  return counts;
}

Tensor histc(const Tensor& input, std::int64_t bins, double low, double high) {
  const GradModeGuard off(false);
  FASTNN_CHECK(input.is_floating(), ErrorKind::NotImplemented, "\"histogram_cpu\" not implemented for '", input.dtype(),
               "'");
  FASTNN_CHECK(bins > 0, ErrorKind::Runtime, "torch.histc(): bins must be > 0, but got ", bins);
  const Tensor x = flat(to_dtype(input, compute_type(input.dtype())));
  if (low == high && x.numel() > 0) {
    low = amin(x).item_double();
    high = amax(x).item_double();
  }
  if (low == high) {
    low -= 1;
    high += 1;
  }
  FASTNN_CHECK(std::isfinite(low) && std::isfinite(high), ErrorKind::Runtime, "torch.histc: range of [", low, ", ",
               high, "] is not finite");
  FASTNN_CHECK(low < high, ErrorKind::Runtime, "torch.histc: max must be larger than min");
  Tensor counts = zeros({{bins}}, x.dtype());
  if (LaunchCount::counting) ++LaunchCount::value;
  table().histogram(counts.view(), x.view(), low, high);
  return to_dtype(counts, input.dtype());
}

namespace {

Tensor searchsorted_op(const Tensor& sorted, const Tensor& values, bool out_int32, bool right,
                       std::optional<std::string_view> side, const Tensor& sorter) {
  FASTNN_CHECK(!side || *side == "left" || *side == "right", ErrorKind::Runtime,
               "torch.searchsorted(): side can only be 'left' or 'right' but got ", side.value_or(""));
  FASTNN_CHECK(!side || !right || *side == "right", ErrorKind::Runtime,
               "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True");
  return searchsorted(sorted, values, right || side.value_or("left") == "right",
                      out_int32 ? DType::Int32 : DType::Int64, sorter);
}
Tensor bucketize(const Tensor& values, const Tensor& boundaries, bool out_int32, bool right) {
  FASTNN_CHECK(boundaries.ndim() == 1, ErrorKind::Runtime, "boundaries tensor must be 1 dimension, but got dim(",
               boundaries.ndim(), ")");
  return searchsorted(boundaries, values, right, out_int32 ? DType::Int32 : DType::Int64, Tensor());
}
Tensor histc_op(const Tensor& input, std::int64_t bins, const Scalar& low, const Scalar& high) {
  return histc(input, bins, low.to_double(), high.to_double());
}

}  // namespace

FASTNN_OPS(sort) {
  constexpr unsigned both = op_fn | op_method;
  constexpr unsigned every = op_fn | op_method | op_out;
  op("sort(Tensor input, int dim=-1, bool descending=False, *, bool? stable=None) -> (Tensor values, Tensor indices)",
     &sort_op, every);
  op("argsort(Tensor input, int dim=-1, bool descending=False, bool stable=False) -> Tensor", &argsort_op, both);
  op("msort(Tensor input) -> Tensor", &msort, every);
  op("topk(Tensor input, int k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)",
     &topk, every);
  op("kthvalue(Tensor input, int k, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)", &kthvalue,
     every);
  op("mode(Tensor input, int dim=-1, bool keepdim=False) -> (Tensor values, Tensor indices)", &mode, every);
  op("median(Tensor input) -> Tensor", &median_all, both);
  op("median(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)", &median, every);
  op("nanmedian(Tensor input) -> Tensor", &nanmedian_all, both);
  op("nanmedian(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)", &nanmedian, every);
  op("unique(Tensor input, bool sorted=True, bool return_inverse=False, bool return_counts=False, int? dim=None) -> "
     "Tensor",
     &unique, both);
  op("unique_consecutive(Tensor input, bool return_inverse=False, bool return_counts=False, int? dim=None) -> Tensor",
     &unique_consecutive, both);
  op("searchsorted(Tensor sorted_sequence, Tensor|Scalar input, *, bool out_int32=False, bool right=False, str? "
     "side=None, "
     "Tensor? sorter=None) -> Tensor",
     &searchsorted_op, op_fn | op_out);
  op("bucketize(Tensor|Scalar input, Tensor boundaries, *, bool out_int32=False, bool right=False) -> Tensor",
     &bucketize, op_fn | op_out);
  op("bincount(Tensor input, Tensor? weights=None, int minlength=0) -> Tensor", &bincount, both);
  op("histc(Tensor input, int bins=100, Scalar min=0, Scalar max=0) -> Tensor", &histc_op, every);
}

}  // namespace fastnn
