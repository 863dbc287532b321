#include "kernels/index.h"

#include <cstring>

#include "core/parallel.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kGrain = 16 * 1024;  // elements below which a second thread does not pay

// Walks the elements of a block that has the sizes of `a` (the outermost `skip` dimensions left out).
struct BlockWalk {
  const std::int64_t* sizes;
  const std::int64_t* strides_a;
  const std::int64_t* strides_b;
  int ndim;

  template <class F>
  void each(F f) const {
    std::int64_t at[kMaxDims] = {};
    std::int64_t a = 0;
    std::int64_t b = 0;
    std::int64_t total = 1;
    for (int d = 0; d < ndim; ++d) total *= sizes[d];
    for (std::int64_t i = 0; i < total; ++i) {
      f(a, b);
      for (int d = ndim - 1; d >= 0; --d) {
        a += strides_a[d];
        b += strides_b[d];
        if (++at[d] < sizes[d]) break;
        a -= at[d] * strides_a[d];
        b -= at[d] * strides_b[d];
        at[d] = 0;
      }
    }
  }
};

std::int64_t block_size(const View& rows) { return rows.numel(); }

bool dense_tail(const View& view, int skip) {
  std::int64_t expected = 1;
  for (int d = view.ndim - 1; d >= skip; --d) {
    if (view.sizes[d] != 1 && view.strides[d] != expected) return false;
    expected *= view.sizes[d];
  }
  return true;
}

template <class Word>
void take_rows_of(const View& out, const View& rows, const std::int64_t* offsets) {
  const std::int64_t count = out.sizes[0];
  const std::int64_t block = block_size(rows);
  const bool dense = dense_tail(out, 1) && rows.contiguous();
  const BlockWalk walk{rows.sizes, out.strides + 1, rows.strides, rows.ndim};
  parallel_for(count, block > 0 ? kGrain / block + 1 : kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t p = begin; p < end; ++p) {
      Word* to = out.as<Word>() + p * out.strides[0];
      const Word* from = rows.as<Word>() + offsets[p];
      if (dense) {
        if (block == 1) {
          *to = *from;
        } else {
          std::memcpy(to, from, static_cast<std::size_t>(block) * sizeof(Word));
        }
      } else {
        walk.each([&](std::int64_t a, std::int64_t b) { to[a] = from[b]; });
      }
    }
  });
}

void take_rows(const View& out, const View& rows, const std::int64_t* offsets) {
  switch (itemsize(out.dtype)) {
    case 1:
      return take_rows_of<std::uint8_t>(out, rows, offsets);
    case 2:
      return take_rows_of<std::uint16_t>(out, rows, offsets);
    case 4:
      return take_rows_of<std::uint32_t>(out, rows, offsets);
    case 8:
      return take_rows_of<std::uint64_t>(out, rows, offsets);
    default:
      return take_rows_of<Complex<double>>(out, rows, offsets);
  }
}

template <class T>
T sum_of(T a, T b) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    return T(static_cast<float>(a) + static_cast<float>(b));
  } else if constexpr (std::is_same_v<T, bool>) {
    return a || b;
  } else {
    return static_cast<T>(a + b);
  }
}
template <class T>
T product_of(T a, T b) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    return T(static_cast<float>(a) * static_cast<float>(b));
  } else if constexpr (std::is_same_v<T, bool>) {
    return a && b;
  } else {
    return static_cast<T>(a * b);
  }
}
// NaN wins, as in PyTorch's amin and amax.
template <class T, bool less>
T extreme_of(T a, T b) {
  if constexpr (is_complex_type<T>) {
    fail_not_implemented("scatter_reduce", dtype_of<T>);
  } else {
    if (a != a) return a;
    if (b != b) return b;
    return (less ? b < a : a < b) ? b : a;
  }
}

// Rows may meet in one place, so their order is kept: threads share the columns of a block, not the rows.
template <class T>
void put_rows_of(const View& rows, const View& source, const std::int64_t* offsets, bool accumulate) {
  const std::int64_t count = source.sizes[0];
  const std::int64_t block = block_size(rows);
  if (dense_tail(source, 1) && rows.contiguous()) {
    parallel_for(block, kGrain / (count + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = 0; p < count; ++p) {
        T* to = rows.as<T>() + offsets[p];
        const T* from = source.as<T>() + p * source.strides[0];
        if (accumulate) {
          for (std::int64_t i = begin; i < end; ++i) to[i] = sum_of(to[i], from[i]);
        } else {
          for (std::int64_t i = begin; i < end; ++i) to[i] = from[i];
        }
      }
    });
    return;
  }
  const BlockWalk walk{rows.sizes, rows.strides, source.strides + 1, rows.ndim};
  for (std::int64_t p = 0; p < count; ++p) {
    T* to = rows.as<T>() + offsets[p];
    const T* from = source.as<T>() + p * source.strides[0];
    walk.each([&](std::int64_t a, std::int64_t b) { to[a] = accumulate ? sum_of(to[a], from[b]) : from[b]; });
  }
}

template <class F>
void dispatch(DType dtype, F f) {
  switch (dtype) {
    case DType::UInt8:
      return f(std::uint8_t{});
    case DType::Int8:
      return f(std::int8_t{});
    case DType::Int16:
      return f(std::int16_t{});
    case DType::Int32:
      return f(std::int32_t{});
    case DType::Int64:
      return f(std::int64_t{});
    case DType::Float16:
      return f(Half{});
    case DType::Float32:
      return f(float{});
    case DType::Float64:
      return f(double{});
    case DType::Bool:
      return f(bool{});
    case DType::BFloat16:
      return f(BFloat16{});
    case DType::Complex64:
      return f(Complex<float>{});
    case DType::Complex128:
      return f(Complex<double>{});
  }
}

void put_rows(const View& rows, const View& source, const std::int64_t* offsets, bool accumulate) {
  dispatch(rows.dtype, [&](auto tag) { put_rows_of<decltype(tag)>(rows, source, offsets, accumulate); });
}

// Everything but `dim`, walked in order: f(offsets of the line in three views).
template <class F>
void each_line(const View& shape, const View& a, const View& b, int dim, std::int64_t begin, std::int64_t end, F f) {
  std::int64_t at[kMaxDims] = {};
  std::int64_t rest = begin;
  for (int d = shape.ndim - 1; d >= 0; --d) {
    if (d == dim) continue;
    at[d] = rest % shape.sizes[d];
    rest /= shape.sizes[d];
  }
  for (std::int64_t i = begin; i < end; ++i) {
    std::int64_t os = 0;
    std::int64_t oa = 0;
    std::int64_t ob = 0;
    for (int d = 0; d < shape.ndim; ++d) {
      if (d == dim) continue;
      os += at[d] * shape.strides[d];
      oa += at[d] * a.strides[d];
      ob += at[d] * b.strides[d];
    }
    f(os, oa, ob);
    for (int d = shape.ndim - 1; d >= 0; --d) {
      if (d == dim) continue;
      if (++at[d] < shape.sizes[d]) break;
      at[d] = 0;
    }
  }
}

std::int64_t line_count(const View& shape, int dim) {
  std::int64_t total = 1;
  for (int d = 0; d < shape.ndim; ++d) total *= d == dim ? 1 : shape.sizes[d];
  return total;
}

template <class Word>
void gather_of(const View& out, const View& input, const View& index, int dim) {
  const std::int64_t n = index.sizes[dim];
  const std::int64_t step_place = index.strides[dim];
  const std::int64_t step_to = out.strides[dim];
  const std::int64_t step_from = input.strides[dim];
  parallel_for(line_count(index, dim), kGrain / (n + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
    each_line(index, out, input, dim, begin, end, [&](std::int64_t oi, std::int64_t oo, std::int64_t in) {
      const std::int64_t* places = index.as<std::int64_t>() + oi;
      Word* to = out.as<Word>() + oo;
      const Word* from = input.as<Word>() + in;
      if (step_place == 1 && step_to == 1 && step_from == 1) {
        FASTNN_IVDEP
        for (std::int64_t i = 0; i < n; ++i) to[i] = from[places[i]];
        return;
      }
      for (std::int64_t i = 0; i < n; ++i) to[i * step_to] = from[places[i * step_place] * step_from];
    });
  });
}

void gather(const View& out, const View& input, const View& index, int dim) {
  switch (itemsize(out.dtype)) {
    case 1:
      return gather_of<std::uint8_t>(out, input, index, dim);
    case 2:
      return gather_of<std::uint16_t>(out, input, index, dim);
    case 4:
      return gather_of<std::uint32_t>(out, input, index, dim);
    case 8:
      return gather_of<std::uint64_t>(out, input, index, dim);
    default:
      return gather_of<Complex<double>>(out, input, index, dim);
  }
}

// Lines do not meet, so they may run in parallel; inside a line the order is kept.
template <class T, class F>
void scatter_with(const View& target, const View& source, const View& index, int dim, F combine) {
  const std::int64_t n = index.sizes[dim];
  const std::int64_t step_place = index.strides[dim];
  const std::int64_t step_to = target.strides[dim];
  const std::int64_t step_from = source.strides[dim];
  parallel_for(line_count(index, dim), kGrain / (n + 1) + 1, [&](std::int64_t begin, std::int64_t end) {
    each_line(index, target, source, dim, begin, end, [&](std::int64_t oi, std::int64_t ot, std::int64_t os) {
      const std::int64_t* places = index.as<std::int64_t>() + oi;
      T* to = target.as<T>() + ot;
      const T* from = source.as<T>() + os;
      for (std::int64_t i = 0; i < n; ++i) {
        T& place = to[places[i * step_place] * step_to];
        place = combine(place, from[i * step_from]);
      }
    });
  });
}

template <class T>
void scatter_of(const View& target, const View& source, const View& index, int dim, ScatterMode mode) {
  switch (mode) {
    case ScatterMode::Assign:
      return scatter_with<T>(target, source, index, dim, [](T, T b) { return b; });
    case ScatterMode::Add:
      return scatter_with<T>(target, source, index, dim, [](T a, T b) { return sum_of(a, b); });
    case ScatterMode::Multiply:
      return scatter_with<T>(target, source, index, dim, [](T a, T b) { return product_of(a, b); });
    case ScatterMode::Minimum:
      return scatter_with<T>(target, source, index, dim, [](T a, T b) { return extreme_of<T, true>(a, b); });
    case ScatterMode::Maximum:
      return scatter_with<T>(target, source, index, dim, [](T a, T b) { return extreme_of<T, false>(a, b); });
  }
}

void scatter(const View& target, const View& source, const View& index, int dim, ScatterMode mode) {
  dispatch(target.dtype, [&](auto tag) { scatter_of<decltype(tag)>(target, source, index, dim, mode); });
}

}  // namespace

constinit const IndexKernels index_kernels = {
    .take_rows = &take_rows,
    .put_rows = &put_rows,
    .gather = &gather,
    .scatter = &scatter,
};

FASTNN_CPU_END
