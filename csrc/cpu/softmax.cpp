#include "kernels/softmax.h"

#include "cpu/exp_sums.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

// What is subtracted before exponentials are taken: infinities would give NaN.
template <class T>
T finite_or_zero(T value) {
  return value - value == 0 || value != value ? value : T(0);
}

// --- one row -----------------------------------------------------------------------------------------------------

template <class S>
void softmax_row(S* out, const S* x, std::int64_t n) {
  using T = Computed<S>;
  const T top = row_max<T>(x, n);
  if constexpr (sizeof(S) == 2) {
    // Rounded once, at the end.
    const Vec<T> scale(static_cast<T>(1 / sum_exp<S>(x, n, top, nullptr)));
    map<T>(out, x, n, [&](Vec<T> v) { return exp(v - Vec<T>(top)) * scale; });
  } else {
    const Vec<T> scale(static_cast<T>(1 / sum_exp<S>(x, n, top, out)));
    map<T>(out, out, n, [&](Vec<T> v) { return v * scale; });
  }
}

template <class S>
void log_softmax_row(S* out, const S* x, std::int64_t n) {
  using T = Computed<S>;
  const T top = row_max<T>(x, n);
  const T log_sum = static_cast<T>(std::log(sum_exp<S>(x, n, top, nullptr)));
  map<T>(out, x, n, [&](Vec<T> v) { return v - Vec<T>(top) - Vec<T>(log_sum); });
}

template <bool log, class S>
void backward_row(S* grad_in, const S* g, const S* y, std::int64_t n) {
  using T = Computed<S>;
  double total[1];
  row_sums<T>(n, total, [&](std::int64_t i, std::int64_t lanes, Vec<T>* terms) {
    terms[0] = load_some<T>(g + i, lanes);
    if constexpr (!log) terms[0] *= load_some<T>(y + i, lanes);
  });
  const Vec<T> sum(static_cast<T>(total[0]));
  map<T>(grad_in, g, y, n, [&](Vec<T> gv, Vec<T> yv) {
    if constexpr (log) return fma(-exp(yv), sum, gv);
    return (gv - sum) * yv;
  });
}

// --- a block of columns: `count` neighbours, n apart by `inner` ------------------------------------------------------

template <bool log, class S>
void softmax_columns(S* out, const S* x, const ExpShape& s, std::int64_t count) {
  using T = Computed<S>;
  alignas(64) T top[kExpColumns];
  alignas(64) T second[kExpColumns];  // the factor, or the logarithm of the sum
  column_max(x, s, count, top);
  ColumnSums<T> sums(count);
  column_sum_exp(x, s, count, top, sums);
  const double* totals = sums.totals();
  for (std::int64_t c = 0; c < count; ++c) {
    if constexpr (log) {
      second[c] = static_cast<T>(std::log(totals[c]));
    } else {
      second[c] = static_cast<T>(1 / totals[c]);
    }
  }
  for (std::int64_t r = 0; r < s.n; ++r) {
    const S* row = x + r * s.inner;
    S* to = out + r * s.inner;
    each_vec<T>(count, [&](std::int64_t c, std::int64_t lanes) {
      const Vec<T> v = load_some<T>(row + c, lanes) - load_some<T>(top + c, lanes);
      const Vec<T> w = load_some<T>(second + c, lanes);
      store_some(log ? v - w : exp(v) * w, to + c, lanes);
    });
  }
}

template <bool log, class S>
void backward_columns(S* grad_in, const S* g, const S* y, const ExpShape& s, std::int64_t count) {
  using T = Computed<S>;
  ColumnSums<T> sums(count);
  for (std::int64_t r = 0; r < s.n; ++r) {
    const std::int64_t at = r * s.inner;
    each_vec<T>(count, [&](std::int64_t c, std::int64_t lanes) {
      Vec<T> term = load_some<T>(g + at + c, lanes);
      if constexpr (!log) term *= load_some<T>(y + at + c, lanes);
      sums.add(c, lanes, term);
    });
    sums.end_row();
  }
  alignas(64) T sum[kExpColumns];
  const double* totals = sums.totals();
  for (std::int64_t c = 0; c < count; ++c) sum[c] = static_cast<T>(totals[c]);
  for (std::int64_t r = 0; r < s.n; ++r) {
    const std::int64_t at = r * s.inner;
    each_vec<T>(count, [&](std::int64_t c, std::int64_t lanes) {
      const Vec<T> gv = load_some<T>(g + at + c, lanes);
      const Vec<T> yv = load_some<T>(y + at + c, lanes);
      const Vec<T> total = load_some<T>(sum + c, lanes);
      store_some(log ? fma(-exp(yv), total, gv) : (gv - total) * yv, grad_in + at + c, lanes);
    });
  }
}

// --- entry points ----------------------------------------------------------------------------------------------------

template <bool log>
void forward(const View& out, const View& in) {
  const ExpShape s(in);
  visit_floating(log ? "log_softmax" : "softmax", in.dtype, [&]<class S>() {
    S* to = out.as<S>();
    const S* from = in.as<S>();
    over_rows_or_columns(
        s,
        [&](std::int64_t at) { log ? log_softmax_row(to + at, from + at, s.n) : softmax_row(to + at, from + at, s.n); },
        [&](std::int64_t at, std::int64_t count) { softmax_columns<log>(to + at, from + at, s, count); });
  });
}

template <bool log>
void backward(const View& grad_in, const View& grad_out, const View& out) {
  const ExpShape s(out);
  visit_floating("softmax_backward", out.dtype, [&]<class S>() {
    S* to = grad_in.as<S>();
    const S* g = grad_out.as<S>();
    const S* y = out.as<S>();
    over_rows_or_columns(
        s, [&](std::int64_t at) { backward_row<log>(to + at, g + at, y + at, s.n); },
        [&](std::int64_t at, std::int64_t count) { backward_columns<log>(to + at, g + at, y + at, s, count); });
  });
}

template <class T>
void store_log_sum(T* to, double shift, double total) {
  *to = static_cast<T>(shift + std::log(total));
}
template <class S>
  requires(sizeof(S) == 2)
void store_log_sum(S* to, double shift, double total) {
  *to = S(static_cast<float>(shift + std::log(total)));
}

void logsumexp(const View& out, const View& in) {
  const ExpShape s(in);
  visit_floating("logsumexp", in.dtype, [&]<class S>() {
    using T = Computed<S>;
    S* to = out.as<S>();
    const S* from = in.as<S>();
    const auto row = [&](std::int64_t at) {
      const T shift = finite_or_zero(row_max<T>(from + at, s.n));
      store_log_sum(to + at / s.n, static_cast<double>(shift), sum_exp<S>(from + at, s.n, shift, nullptr));
    };
    const auto columns = [&](std::int64_t at, std::int64_t count) {
      alignas(64) T shift[kExpColumns];
      column_max(from + at, s, count, shift);
      for (std::int64_t c = 0; c < count; ++c) shift[c] = finite_or_zero(shift[c]);
      ColumnSums<T> sums(count);
      column_sum_exp(from + at, s, count, shift, sums);
      const double* totals = sums.totals();
      S* target = to + at / (s.n * s.inner) * s.inner + at % s.inner;
      for (std::int64_t c = 0; c < count; ++c) store_log_sum(target + c, static_cast<double>(shift[c]), totals[c]);
    };
    over_rows_or_columns(s, row, columns);
  });
}

}  // namespace

constinit const SoftmaxKernels softmax_kernels = {
    .softmax = &forward<false>,
    .log_softmax = &forward<true>,
    .softmax_backward = &backward<false>,
    .log_softmax_backward = &backward<true>,
    .logsumexp = &logsumexp,
};

FASTNN_CPU_END
