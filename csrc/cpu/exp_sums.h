// Sums of exponentials along the middle dimension of [outer, n, inner]: by rows, or by blocks of columns.
#pragma once

#include "core/view.h"
#include "cpu/rows.h"

FASTNN_CPU_BEGIN

inline constexpr std::int64_t kExpColumns = 128;  // inner positions worked on together
inline constexpr std::int64_t kExpFlush = 64;     // terms summed in the narrow type

struct ExpShape {
  std::int64_t outer, n, inner;
  explicit ExpShape(const View& view) : outer(view.sizes[0]), n(view.sizes[1]), inner(view.sizes[2]) {}
};

// Calls f(row) for rows, or f(offset, columns) for blocks of inner positions when the dimension is strided.
template <class Rows, class Columns>
void over_rows_or_columns(const ExpShape& s, Rows rows, Columns columns) {
  if (s.n == 0) return;
  if (s.inner == 1) {
    parallel_for(s.outer, rows_per_task(s.n), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) rows(r * s.n);
    });
    return;
  }
  const std::int64_t blocks = (s.inner + kExpColumns - 1) / kExpColumns;
  const std::int64_t width = s.inner < kExpColumns ? s.inner : kExpColumns;
  parallel_for(s.outer * blocks, rows_per_task(s.n * width), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const std::int64_t first = b % blocks * kExpColumns;
      const std::int64_t count = s.inner - first < kExpColumns ? s.inner - first : kExpColumns;
      columns(b / blocks * s.n * s.inner + first, count);
    }
  });
}

// Sum of exp(x - shift); the exponentials are kept in `out` if it is given.
template <class S>
double sum_exp(const S* x, std::int64_t n, Computed<S> shift, S* out) {
  using T = Computed<S>;
  double total[1];
  row_sums<T>(n, total, [&](std::int64_t i, std::int64_t lanes, Vec<T>* terms) {
    terms[0] = exp(load_some<T>(x + i, lanes) - Vec<T>(shift));
    if (out) store_some(terms[0], out + i, lanes);
  });
  return total[0];
}

// Running sums of columns: narrow for kExpFlush terms, then wide.
template <class T>
class ColumnSums {
 public:
  explicit ColumnSums(std::int64_t count) : count_(count) {
    for (std::int64_t c = 0; c < count; ++c) {
      wide_[c] = 0;
      narrow_[c] = 0;
    }
  }
  FASTNN_INLINE void add(std::int64_t c, std::int64_t lanes, Vec<T> terms) {
    store_some(load_some<T>(narrow_ + c, lanes) + terms, narrow_ + c, lanes);
  }
  void end_row() {
    if (++rows_ < kExpFlush) return;
    flush();
  }
  const double* totals() {
    flush();
    return wide_;
  }

 private:
  void flush() {
    rows_ = 0;
    for (std::int64_t c = 0; c < count_; ++c) {
      wide_[c] += static_cast<double>(narrow_[c]);
      narrow_[c] = 0;
    }
  }
  std::int64_t count_;
  int rows_ = 0;
  alignas(64) T narrow_[kExpColumns];
  double wide_[kExpColumns];
};

template <class S>
void column_max(const S* x, const ExpShape& s, std::int64_t count, Computed<S>* top) {
  using T = Computed<S>;
  map<T>(top, x, count, [](Vec<T> v) { return v; });
  for (std::int64_t r = 1; r < s.n; ++r) {
    map<T>(top, top, x + r * s.inner, count, [](Vec<T> a, Vec<T> b) { return max_nan(a, b); });
  }
}

template <class S>
void column_sum_exp(const S* x, const ExpShape& s, std::int64_t count, const Computed<S>* top,
                    ColumnSums<Computed<S>>& sums) {
  using T = Computed<S>;
  for (std::int64_t r = 0; r < s.n; ++r) {
    const S* row = x + r * s.inner;
    each_vec<T>(count, [&](std::int64_t c, std::int64_t lanes) {
      sums.add(c, lanes, exp(load_some<T>(row + c, lanes) - load_some<T>(top + c, lanes)));
    });
    sums.end_row();
  }
}

FASTNN_CPU_END
