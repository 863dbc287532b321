#include "ops/factory.h"

#include <cmath>
#include <cstring>

#include "ops/complex.h"
#include "ops/elementwise.h"
#include "ops/pointwise.h"
#include "ops/registry.h"

namespace fastnn {

namespace {

template <class T, class V>
T typed(V value) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    return T(static_cast<float>(value));
  } else if constexpr (std::is_same_v<T, bool>) {
    return value != V(0);
  } else if constexpr (is_complex_type<T>) {
    return T(static_cast<decltype(T::re)>(value));
  } else {
    return static_cast<T>(value);
  }
}

void fill(const Tensor& tensor, const Scalar& value) {
  if (tensor.numel() == 0) return;
  visit_any_dtype(tensor.dtype(), [&]<class T>() {
    T item;
    if constexpr (is_complex_type<T>) {
      item = T(value.to_complex());
    } else {
      FASTNN_CHECK(value.imag == 0, ErrorKind::Runtime, "value cannot be converted to type ", info(tensor.dtype()).name,
                   " without overflow");
      item = value.kind >= Scalar::Kind::Float ? typed<T>(value.d) : typed<T>(value.i);
    }
    std::fill_n(tensor.as<T>(), tensor.numel(), item);
  });
}

Tensor empty_op(IntSpan size, std::optional<DType> dtype) {
  return Tensor::empty(size, dtype.value_or(default_dtype()));
}
Tensor zeros_op(IntSpan size, std::optional<DType> dtype) { return zeros(size, dtype.value_or(default_dtype())); }
Tensor ones_op(IntSpan size, std::optional<DType> dtype) { return ones(size, dtype.value_or(default_dtype())); }
Tensor full_op(IntSpan size, const Scalar& value, std::optional<DType> dtype) {
  return full(size, value, dtype.value_or(value.dtype()));
}
Tensor empty_like_op(const Tensor& input, std::optional<DType> dtype) {
  return Tensor::empty_like(input, dtype.value_or(input.dtype()));
}
Tensor full_like_op(const Tensor& input, const Scalar& value, std::optional<DType> dtype) {
  Tensor result = empty_like_op(input, dtype);
  fill(result, value);
  return result;
}
Tensor zeros_like_op(const Tensor& input, std::optional<DType> dtype) { return full_like_op(input, Scalar(0), dtype); }
Tensor ones_like_op(const Tensor& input, std::optional<DType> dtype) { return full_like_op(input, Scalar(1), dtype); }
Tensor new_empty(const Tensor& self, IntSpan size, std::optional<DType> dtype) {
  return Tensor::empty(size, dtype.value_or(self.dtype()));
}
Tensor new_zeros(const Tensor& self, IntSpan size, std::optional<DType> dtype) {
  return zeros(size, dtype.value_or(self.dtype()));
}
Tensor new_ones(const Tensor& self, IntSpan size, std::optional<DType> dtype) {
  return ones(size, dtype.value_or(self.dtype()));
}
Tensor new_full(const Tensor& self, IntSpan size, const Scalar& value, std::optional<DType> dtype) {
  return full(size, value, dtype.value_or(self.dtype()));
}
Tensor empty_strided_op(IntSpan size, IntSpan stride, std::optional<DType> dtype) {
  return Tensor::empty_strided(size, stride, dtype.value_or(default_dtype()));
}

Tensor new_empty_strided(const Tensor& self, IntSpan size, IntSpan stride, std::optional<DType> dtype) {
  return Tensor::empty_strided(size, stride, dtype.value_or(self.dtype()));
}
// `physical_layout`: the dimensions from the outermost to the innermost in memory.
Tensor empty_permuted(IntSpan size, IntSpan physical_layout, std::optional<DType> dtype) {
  const int ndim = static_cast<int>(size.size());
  FASTNN_CHECK(size.size() == physical_layout.size(), ErrorKind::Runtime,
               "Number of dimensions in size does not match the length of the physical_layout; i.e. len(size) = ", ndim,
               " is not equal to len(physical_layout) = ", physical_layout.size());
  Dims strides = Dims::filled(ndim, -1);
  std::int64_t step = 1;
  for (int i = ndim - 1; i >= 0; --i) {
    const std::int64_t dim = physical_layout[static_cast<std::size_t>(i)];
    FASTNN_CHECK(dim >= 0 && dim < ndim, ErrorKind::Runtime, "Dimension out of range (expected to be between 0 and ",
                 ndim - 1, ", but got ", dim, " at index ", i,
                 ").  NB: negative dims not currently supported; file an issue if you want it.");
    FASTNN_CHECK(strides[static_cast<int>(dim)] < 0, ErrorKind::Runtime, "Duplicate dim not allowed");
    strides[static_cast<int>(dim)] = step;
    step *= size[static_cast<std::size_t>(dim)];
  }
  return Tensor::empty_strided(size, strides, dtype.value_or(default_dtype()));
}
Tensor scalar_tensor(const Scalar& value, std::optional<DType> dtype) {
  return full(Dims{}, value, dtype.value_or(value.is_complex() ? value.dtype() : default_dtype()));
}

Tensor arange(const Scalar& start, const Scalar& end, const Scalar& step, std::optional<DType> dtype) {
  const bool floating = start.is_float() || end.is_float() || step.is_float();
  const DType result = dtype.value_or(floating ? default_dtype() : DType::Int64);
  if (result == DType::Bool || is_complex(result)) fail_not_implemented("arange_cpu", result);
  const double from = start.to_double();
  const double to = end.to_double();
  const double by = step.to_double();
  FASTNN_CHECK(by != 0, ErrorKind::Runtime, "step must be nonzero");
  FASTNN_CHECK(std::isfinite(from) && std::isfinite(to), ErrorKind::Runtime, "unsupported range: ", from, " -> ", to);
  FASTNN_CHECK((by > 0 && to >= from) || (by < 0 && to <= from), ErrorKind::Runtime,
               "upper bound and lower bound inconsistent with step sign");
  if (floating && result == DType::Int64) {
    FASTNN_CHECK(step.to_int() != 0, ErrorKind::Value, "step must be nonzero");
    return arange(Scalar(start.to_int()), Scalar(end.to_int()), Scalar(step.to_int()), result);
  }
  const double exact = std::ceil((to - from) / by);
  constexpr double kMost = 9.0e18;
  FASTNN_CHECK(exact < kMost, ErrorKind::Runtime, "invalid size, possible overflow?");
  std::int64_t count = static_cast<std::int64_t>(exact);
  if (!floating) {
    const std::int64_t span = end.i - start.i;
    count = (span + step.i - (step.i > 0 ? 1 : -1)) / step.i;
  }
  Tensor out = Tensor::empty(Dims{count}, result);
  visit_dtype(result, [&]<class T>() {
    T* data = out.as<T>();
    if (!is_floating(result)) {  // start and step are whole, too
      for (std::int64_t i = 0; i < count; ++i) data[i] = typed<T>(start.to_int() + i * step.to_int());
    } else if constexpr (std::is_same_v<T, double> || std::is_integral_v<T>) {
      for (std::int64_t i = 0; i < count; ++i) data[i] = typed<T>(from + static_cast<double>(i) * by);
    } else {
      // PyTorch rounds start and step to double and the product once.
      for (std::int64_t i = 0; i < count; ++i) data[i] = typed<T>(from + static_cast<double>(i) * by);
    }
  });
  return out;
}
Tensor arange_end(const Scalar& end, std::optional<DType> dtype) { return arange(Scalar(0), end, Scalar(1), dtype); }

// The number in a 0-d tensor.
Scalar number_of(const char* op, const char* name, const Tensor& value) {
  FASTNN_CHECK(value.ndim() == 0, ErrorKind::Runtime, op,
               " only supports 0-dimensional start and end tensors, but got ", name, " with ", value.ndim(),
               " dimension(s).");
  if (is_complex(value.dtype())) return to_dtype(value, DType::Complex128).as<Complex<double>>()[0];
  return value.is_floating() ? Scalar(value.item_double()) : Scalar(value.item_int());
}

// Evenly spaced numbers from both ends to the middle, as PyTorch computes them, so that the last is exactly `end`; both
// ends are first rounded to the dtype. f(x) of each.
template <class F>
Tensor spaced(double first, double last, std::int64_t steps, DType dtype, F f) {
  Tensor out = Tensor::empty(Dims{steps}, dtype);
  visit_dtype(dtype, [&]<class T>() {
    T* data = out.as<T>();
    using C = std::conditional_t<std::is_same_v<T, double> || std::is_integral_v<T>, double, float>;
    const C from = static_cast<C>(typed<T>(first));
    const C to = static_cast<C>(typed<T>(last));
    const C step = steps > 1 ? (to - from) / static_cast<C>(steps - 1) : C(0);
    for (std::int64_t i = 0; i < steps; ++i) {
      data[i] = typed<T>(
          f(i < steps / 2 || steps == 1 ? from + step * static_cast<C>(i) : to - step * static_cast<C>(steps - i - 1)));
    }
  });
  return out;
}
struct Ends {
  Scalar first, last;
  DType dtype;

  Ends(const char* op, const Tensor& start, const Tensor& end, std::int64_t steps, std::optional<DType> given)
      : first(number_of(op, "start", start)), last(number_of(op, "end", end)) {
    FASTNN_CHECK(steps >= 0, ErrorKind::Runtime, "number of steps must be non-negative");
    const bool complex_ends = first.is_complex() || last.is_complex();
    dtype = given.value_or(complex_ends ? to_complex(default_dtype()) : default_dtype());
  }
  // The numbers as a complex tensor.
  Tensor complex_numbers(std::int64_t steps, DType of) const {
    const auto same = [](auto x) { return x; };
    return complex(spaced(first.to_double(), last.to_double(), steps, to_real(of), same),
                   spaced(first.imag, last.imag, steps, to_real(of), same));
  }
};

Tensor linspace(const Tensor& start, const Tensor& end, std::int64_t steps, std::optional<DType> dtype) {
  const Ends ends("linspace", start, end, steps, dtype);
  if (is_complex(ends.dtype)) return ends.complex_numbers(steps, ends.dtype);
  return spaced(ends.first.to_double(), ends.last.to_double(), steps, ends.dtype, [](auto x) { return x; });
}
Tensor logspace(const Tensor& start, const Tensor& end, std::int64_t steps, double base, std::optional<DType> dtype) {
  const Ends ends("logspace", start, end, steps, dtype);
  if (is_complex(ends.dtype)) {
    return to_dtype(pow(Scalar(base).wrapped(), ends.complex_numbers(steps, DType::Complex128)), ends.dtype);
  }
  return spaced(ends.first.to_double(), ends.last.to_double(), steps, ends.dtype,
                [base](auto x) { return std::pow(static_cast<decltype(x)>(base), x); });
}

// arange with the end included.
Tensor range(const Scalar& start, const Scalar& end, const Scalar& step, std::optional<DType> dtype) {
  const double by = step.to_double();
  FASTNN_CHECK(by != 0, ErrorKind::Runtime, "step must be nonzero");
  const double span = end.to_double() - start.to_double();
  FASTNN_CHECK(by > 0 ? span >= 0 : span <= 0, ErrorKind::Runtime,
               "upper bound and lower bound inconsistent with step sign");
  const auto count = static_cast<std::int64_t>(std::floor(span / by)) + 1;
  Tensor out = Tensor::empty(Dims{count}, dtype.value_or(default_dtype()));
  visit_dtype(out.dtype(), [&]<class T>() {
    for (std::int64_t i = 0; i < count; ++i) out.as<T>()[i] = typed<T>(start.to_double() + static_cast<double>(i) * by);
  });
  return out;
}

Tensor eye_rectangle(std::int64_t n, std::int64_t m, std::optional<DType> dtype) {
  FASTNN_CHECK(n >= 0 && m >= 0, ErrorKind::Runtime, "eye: n and m must be greater or equal to 0, got ", n, " and ", m);
  Tensor out = zeros(Dims{n, m}, dtype.value_or(default_dtype()));
  visit_any_dtype(out.dtype(), [&]<class T>() {
    for (std::int64_t i = 0; i < std::min(n, m); ++i) out.as<T>()[i * m + i] = typed<T>(1.0);
  });
  return out;
}
Tensor eye_square(std::int64_t n, std::optional<DType> dtype) { return eye_rectangle(n, n, dtype); }

// Keeps the elements on one side of a diagonal; linear, so it is its own derivative.
template <bool lower>
Tensor triangle(const Tensor& input, std::int64_t diagonal) {
  constexpr const char* name = lower ? "tril" : "triu";
  FASTNN_CHECK(input.ndim() >= 2, ErrorKind::Runtime, name, ": input tensor must have at least 2 dimensions");
  Tensor out = clone(input.detached(), true);
  const std::int64_t rows = out.size(-2);
  const std::int64_t columns = out.size(-1);
  const std::int64_t batch = rows * columns == 0 ? 0 : out.numel() / (rows * columns);
  visit_any_dtype(out.dtype(), [&]<class T>() {
    for (std::int64_t r = 0; r < batch * rows; ++r) {
      T* row = out.as<T>() + r * columns;
      const std::int64_t edge = std::clamp<std::int64_t>(r % rows + diagonal + (lower ? 1 : 0), 0, columns);
      if (lower) {
        std::fill(row + edge, row + columns, T());
      } else {
        std::fill(row, row + edge, T());
      }
    }
  });
  if (needs_grad(input)) {
    record(lower ? "TrilBackward0" : "TriuBackward0", out, {&input}, [diagonal](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = triangle<lower>(g, diagonal);
    });
  }
  return out;
}

template <bool lower>
Tensor triangle_indices(std::int64_t row, std::int64_t col, std::int64_t offset, DType dtype) {
  FASTNN_CHECK(dtype == DType::Int64 || dtype == DType::Int32, ErrorKind::Runtime,
               "triangle indices: expected dtype int32 or int64, got ", dtype);
  FASTNN_CHECK(row >= 0 && col >= 0, ErrorKind::Runtime, "row and col must be non-negative, got ", row, " and ", col);
  std::vector<std::int64_t> rows;
  std::vector<std::int64_t> columns;
  for (std::int64_t r = 0; r < row; ++r) {
    const std::int64_t edge = std::clamp<std::int64_t>(r + offset + (lower ? 1 : 0), 0, col);
    for (std::int64_t c = lower ? 0 : edge; c < (lower ? edge : col); ++c) {
      rows.push_back(r);
      columns.push_back(c);
    }
  }
  const auto n = static_cast<std::int64_t>(rows.size());
  Tensor out = Tensor::empty(Dims{2, n}, DType::Int64);
  std::copy(rows.begin(), rows.end(), out.as<std::int64_t>());
  std::copy(columns.begin(), columns.end(), out.as<std::int64_t>() + n);
  return to_dtype(out, dtype);
}

}  // namespace

Tensor zeros(IntSpan sizes, DType dtype) {
  Tensor result = Tensor::empty(sizes, dtype);
  std::memset(result.data(), 0, static_cast<std::size_t>(result.numel() * itemsize(dtype)));
  return result;
}
Tensor full(IntSpan sizes, const Scalar& value, DType dtype) {
  Tensor result = Tensor::empty(sizes, dtype);
  fill(result, value);
  return result;
}
Tensor ones(IntSpan sizes, DType dtype) { return full(sizes, Scalar(1), dtype); }
Tensor eye(std::int64_t n, std::int64_t m, DType dtype) { return eye_rectangle(n, m, dtype); }
Tensor tril(const Tensor& input, std::int64_t diagonal) { return triangle<true>(input, diagonal); }
Tensor triu(const Tensor& input, std::int64_t diagonal) { return triangle<false>(input, diagonal); }
Tensor zeros_like(const Tensor& like) { return zeros_like_op(like, std::nullopt); }
Tensor ones_like(const Tensor& like) { return ones_like_op(like, std::nullopt); }

Tensor arange_int(std::int64_t count, std::int64_t start, std::int64_t step) {
  Tensor result = Tensor::empty(Dims{count}, DType::Int64);
  for (std::int64_t i = 0; i < count; ++i) result.as<std::int64_t>()[i] = start + i * step;
  return result;
}

FASTNN_OPS(factory) {
  constexpr unsigned kMake = op_fn | op_factory | op_out;
  constexpr unsigned kNew = op_method | op_factory;
  op("empty(*int[] size, *, dtype? dtype=None) -> Tensor", &empty_op, kMake);
  op("zeros(*int[] size, *, dtype? dtype=None) -> Tensor", &zeros_op, kMake);
  op("ones(*int[] size, *, dtype? dtype=None) -> Tensor", &ones_op, kMake);
  op("full(int[] size, Scalar fill_value, *, dtype? dtype=None) -> Tensor", &full_op, kMake);
  op("empty_strided(int[] size, int[] stride, *, dtype? dtype=None) -> Tensor", &empty_strided_op, op_fn | op_factory);
  op("empty_like(Tensor input, *, dtype? dtype=None) -> Tensor", &empty_like_op, op_fn | op_factory);
  op("zeros_like(Tensor input, *, dtype? dtype=None) -> Tensor", &zeros_like_op, op_fn | op_factory);
  op("ones_like(Tensor input, *, dtype? dtype=None) -> Tensor", &ones_like_op, op_fn | op_factory);
  op("full_like(Tensor input, Scalar fill_value, *, dtype? dtype=None) -> Tensor", &full_like_op, op_fn | op_factory);
  op("new_empty(Tensor input, *int[] size, *, dtype? dtype=None) -> Tensor", &new_empty, kNew);
  op("new_empty_strided(Tensor input, int[] size, int[] stride, *, dtype? dtype=None) -> Tensor", &new_empty_strided,
     kNew);
  op("empty_permuted(int[] size, int[] physical_layout, *, dtype? dtype=None) -> Tensor", &empty_permuted,
     op_fn | op_factory);
  op("scalar_tensor(Scalar s, *, dtype? dtype=None) -> Tensor", &scalar_tensor, op_fn | op_factory);
  op("new_zeros(Tensor input, *int[] size, *, dtype? dtype=None) -> Tensor", &new_zeros, kNew);
  op("new_ones(Tensor input, *int[] size, *, dtype? dtype=None) -> Tensor", &new_ones, kNew);
  op("new_full(Tensor input, int[] size, Scalar fill_value, *, dtype? dtype=None) -> Tensor", &new_full, kNew);
  op("arange(Scalar end, *, dtype? dtype=None) -> Tensor", &arange_end, kMake);
  op("arange(Scalar start, Scalar end, Scalar step=1, *, dtype? dtype=None) -> Tensor", &arange, kMake);
  op("range(Scalar start, Scalar end, Scalar step=1, *, dtype? dtype=None) -> Tensor", &range, kMake);
  op("linspace(Tensor|Scalar start, Tensor|Scalar end, int steps, *, dtype? dtype=None) -> Tensor", &linspace, kMake);
  op("logspace(Tensor|Scalar start, Tensor|Scalar end, int steps, float base=10.0, *, dtype? dtype=None) -> Tensor",
     &logspace, kMake);
  op("eye(int n, *, dtype? dtype=None) -> Tensor", &eye_square, kMake);
  op("eye(int n, int m, *, dtype? dtype=None) -> Tensor", &eye_rectangle, kMake);
  op("tril(Tensor input, int diagonal=0) -> Tensor", &tril, op_fn | op_method | op_inplace | op_out);
  op("triu(Tensor input, int diagonal=0) -> Tensor", &triu, op_fn | op_method | op_inplace | op_out);
  op("tril_indices(int row, int col, int offset=0, *, dtype dtype=int64) -> Tensor", &triangle_indices<true>,
     op_fn | op_factory);
  op("triu_indices(int row, int col, int offset=0, *, dtype dtype=int64) -> Tensor", &triangle_indices<false>,
     op_fn | op_factory);
}

}  // namespace fastnn
