// Products of a few rows with a large matrix, which is read once and as it lies: c[i, j] = sum over p of a[i, p] b[p,
// j]. They are bound by the memory that b takes, so b may be in 16 bits.
#pragma once

#include <cstdint>
#include <utility>

#include "cpu/vec.h"

FASTNN_CPU_BEGIN

inline constexpr int kFewRows = 8;

// b by columns: column j at b + j * step_b, k of them contiguous. Sums go to `out`, row i at out + i * step_out.
template <int M, class S>
void few_rows_dot(std::int64_t k, std::int64_t cols, const float* a, std::int64_t step_a, const void* from,
                  std::int64_t step_b, float* out, std::int64_t step_out) {
  constexpr int L = Vec<float>::size;
  constexpr int kColumns = M > 6 ? 3 : 4;
  const auto* b = static_cast<const S*>(from);
  const auto block = [&]<int J>(std::integral_constant<int, J>, std::int64_t col) {
    Vec<float> sum[M][J];
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < J; ++j) sum[i][j] = Vec<float>(0.0f);
    }
    const auto add = [&](std::int64_t p, auto load) {
      Vec<float> right[J];
#pragma GCC unroll 4
      for (int j = 0; j < J; ++j) right[j] = load(b + (col + j) * step_b + p);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        const Vec<float> left = load(a + i * step_a + p);
#pragma GCC unroll 4
        for (int j = 0; j < J; ++j) sum[i][j] = fma(left, right[j], sum[i][j]);
      }
    };
    std::int64_t p = 0;
    for (; p + L <= k; p += L) {
      add(p, [](const auto* at) { return Vec<float>::load(at); });
    }
    if (p < k) {
      add(p, [&](const auto* at) { return Vec<float>::load_partial(at, k - p); });
    }
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < J; ++j) out[i * step_out + col + j] = reduce_add(sum[i][j]);
    }
  };
  std::int64_t col = 0;
  for (; col + kColumns <= cols; col += kColumns) block(std::integral_constant<int, kColumns>{}, col);
  for (; col < cols; ++col) block(std::integral_constant<int, 1>{}, col);
}

// b by rows: row p at b + p * step_b. Adds to `out`.
template <int M, class S>
void few_rows_add(std::int64_t k, std::int64_t cols, const float* a, std::int64_t step_a, const void* from,
                  std::int64_t step_b, float* out, std::int64_t step_out) {
  constexpr int L = Vec<float>::size;
  const auto* b = static_cast<const S*>(from);
  const auto block = [&]<int P>(std::integral_constant<int, P>, std::int64_t p) {
    const S* rows = b + p * step_b;
    const auto add = [&](std::int64_t col, auto load, auto store) {
      Vec<float> right[P];
#pragma GCC unroll 4
      for (int q = 0; q < P; ++q) right[q] = load(rows + q * step_b + col);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        float* to = out + i * step_out + col;
        Vec<float> sum = load(static_cast<const float*>(to));
#pragma GCC unroll 4
        for (int q = 0; q < P; ++q) sum = fma(Vec<float>(a[i * step_a + p + q]), right[q], sum);
        store(sum, to);
      }
    };
    std::int64_t col = 0;
    for (; col + L <= cols; col += L) {
      add(
          col, [](const auto* at) { return Vec<float>::load(at); },
          [](Vec<float> value, float* to) { value.store(to); });
    }
    if (const std::int64_t left = cols - col; left > 0) {
      add(
          col, [left](const auto* at) { return Vec<float>::load_partial(at, left); },
          [left](Vec<float> value, float* to) { value.store_partial(to, left); });
    }
  };
  std::int64_t p = 0;
  for (; p + 4 <= k; p += 4) block(std::integral_constant<int, 4>{}, p);
  for (; p < k; ++p) block(std::integral_constant<int, 1>{}, p);
}

using FewRowsFn = void (*)(std::int64_t k, std::int64_t cols, const float* a, std::int64_t step_a, const void* b,
                           std::int64_t step_b, float* out, std::int64_t step_out);

// By the number of rows, from one on.
template <class S, int... M>
FewRowsFn few_rows_function(bool by_columns, std::int64_t rows, std::integer_sequence<int, M...>) {
  static constexpr FewRowsFn kDot[] = {&few_rows_dot<M + 1, S>...};
  static constexpr FewRowsFn kAdd[] = {&few_rows_add<M + 1, S>...};
  return by_columns ? kDot[rows - 1] : kAdd[rows - 1];
}
inline FewRowsFn few_rows_function(DType dtype, bool by_columns, std::int64_t rows) {
  constexpr auto kRows = std::make_integer_sequence<int, kFewRows>{};
  switch (dtype) {
    case DType::Float16:
      return few_rows_function<Half>(by_columns, rows, kRows);
    case DType::BFloat16:
      return few_rows_function<BFloat16>(by_columns, rows, kRows);
    default:
      return few_rows_function<float>(by_columns, rows, kRows);
  }
}

FASTNN_CPU_END
