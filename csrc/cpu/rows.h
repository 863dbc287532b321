// Sums and loops over contiguous rows of float, double or 16-bit memory, for kernels that fuse several passes.
#pragma once

#include <type_traits>

#include "core/parallel.h"
#include "cpu/math.h"

FASTNN_CPU_BEGIN

// What values in memory of type S are computed in.
template <class S>
using Computed = std::conditional_t<std::is_same_v<S, double>, double, float>;

inline constexpr std::int64_t kRowBlock = 1024;       // terms summed in the narrow type before they go into a double
inline constexpr std::int64_t kRowGrain = 16 * 1024;  // elements below which a second thread does not pay

// How many rows of n elements make a piece of work.
FASTNN_INLINE std::int64_t rows_per_task(std::int64_t n) { return n >= kRowGrain ? 1 : kRowGrain / (n < 1 ? 1 : n); }

// The first n lanes, the others 0.
FASTNN_VEC_FUNCTION Vec<T> keep_first(Vec<T> value, std::int64_t n) {
  T lanes[Vec<T>::size] = {};
  value.store_partial(lanes, n);
  return Vec<T>::load(lanes);
}

template <class T, class S>
FASTNN_INLINE Vec<T> load_some(const S* from, std::int64_t n) {
  return n == Vec<T>::size ? Vec<T>::load(from) : Vec<T>::load_partial(from, n);
}
template <class T, class S>
FASTNN_INLINE void store_some(Vec<T> value, S* to, std::int64_t n) {
  n == Vec<T>::size ? value.store(to) : value.store_partial(to, n);
}

// Calls f(i, lanes) for every vector of a row; `lanes` is less than a whole vector at most in the last call.
template <class T, class F>
FASTNN_INLINE void each_vec(std::int64_t n, F f) {
  constexpr std::int64_t step = Vec<T>::size;
  std::int64_t i = 0;
  for (; i + step <= n; i += step) f(i, step);
  if (i < n) f(i, n - i);
}

// The largest element; NaN if there is one.
template <class T, class S>
FASTNN_INLINE T row_max(const S* x, std::int64_t n) {
  constexpr std::int64_t step = Vec<T>::size;
  T best = -T(__builtin_inf());
  std::int64_t i = 0;
  if (n >= step) {
    Vec<T> a = Vec<T>::load(x);
    Vec<T> b = a;
    for (i = step; i + 2 * step <= n; i += 2 * step) {
      a = max_nan(a, Vec<T>::load(x + i));
      b = max_nan(b, Vec<T>::load(x + i + step));
    }
    a = max_nan(a, b);
    if (any(is_nan(a))) return T(__builtin_nan(""));
    best = reduce_max(a);
  }
  for (; i < n; ++i) {
    const T value = static_cast<T>(x[i]);
    best = ((value > best) | (value != value)) ? value : best;
    if (best != best) return best;
  }
  return best;
}

// total[k] = sum of terms[k] over the row, where f(i, lanes, terms) sets the terms of one vector; what it sets in the
// lanes from `lanes` on does not count.
template <class T, int K, class F>
FASTNN_INLINE void row_sums(std::int64_t n, double (&total)[K], F f) {
  constexpr std::int64_t step = Vec<T>::size;
  for (double& t : total) t = 0;
  for (std::int64_t begin = 0; begin < n; begin += kRowBlock) {
    const std::int64_t end = begin + kRowBlock < n ? begin + kRowBlock : n;
    Vec<T> even[K];
    Vec<T> odd[K];
    for (int k = 0; k < K; ++k) even[k] = odd[k] = Vec<T>(T(0));
    std::int64_t i = begin;
    Vec<T> terms[K];
    for (; i + 2 * step <= end; i += 2 * step) {
      f(i, step, terms);
      for (int k = 0; k < K; ++k) even[k] += terms[k];
      f(i + step, step, terms);
      for (int k = 0; k < K; ++k) odd[k] += terms[k];
    }
    if (i + step <= end) {
      f(i, step, terms);
      for (int k = 0; k < K; ++k) even[k] += terms[k];
      i += step;
    }
    if (i < end) {
      f(i, end - i, terms);
      for (int k = 0; k < K; ++k) odd[k] += keep_first(terms[k], end - i);
    }
    for (int k = 0; k < K; ++k) total[k] += static_cast<double>(reduce_add(even[k] + odd[k]));
  }
}

// Calls f.template operator()<S>() with the C++ type of a floating dtype.
template <class F>
FASTNN_INLINE void visit_floating(const char* op, DType dtype, F f) {
  switch (dtype) {
    case DType::Float32:
      return f.template operator()<float>();
    case DType::Float64:
      return f.template operator()<double>();
    case DType::Float16:
      return f.template operator()<Half>();
    case DType::BFloat16:
      return f.template operator()<BFloat16>();
    default:
      fail_not_implemented(op, dtype);
  }
}

FASTNN_CPU_END
