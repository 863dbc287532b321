// The product of two matrices from packed panels: c[m, n] = alpha * a[m, k] @ b[k, n] + beta * rest.
//
// `a` is copied into panels of kRows rows, `b` into panels of kCols columns, k inside; a kernel multiplies a panel of
// each in registers. An element of c is a sum over blocks of kDepth, each a chain of multiply-adds in the order of k:
// the same whichever tile, panel or thread computes it. Results depend neither on the number of threads nor on the
// cutting.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "core/parallel.h"
#include "core/scratch.h"
#include "cpu/vec.h"

FASTNN_CPU_BEGIN

template <class T>
struct GemmShape {
  static constexpr int kLanes = Vec<T>::size;
  static constexpr int kVectors = 2;
  static constexpr int kCols = kVectors * kLanes;
  // As many accumulators as leave registers for a row of b and one element of a.
#if defined(__AVX512F__)
  static constexpr int kRows = 14;
#elif defined(__aarch64__)
  static constexpr int kRows = 12;
#else
  static constexpr int kRows = 6;
#endif
  static constexpr std::int64_t kDepth = 384;
};

// Where a tile of the result goes, and what is added to it: c = alpha * sum + beta * rest; `rest` is not read when
// null.
template <class T>
struct GemmTarget {
  T* c;
  std::int64_t step;
  T alpha;
  T beta;
  const T* rest;
  std::int64_t rest_step;  // 0: the same row for all, a bias

  GemmTarget at(std::int64_t row, std::int64_t col) const {
    return {c + row * step + col, step, alpha, beta, rest ? rest + row * rest_step + col : nullptr, rest_step};
  }
  // For the blocks of k after the first.
  GemmTarget more() const { return {c, step, alpha, T(1), c, step}; }
};

// With `step_a` = 0, `a` is a packed panel; else rows of memory that are this far apart.
template <class T, int M, int V, bool kPacked>
void gemm_kernel(std::int64_t k, const T* a, std::int64_t step_a, const T* b, std::int64_t cols,
                 const GemmTarget<T>& target) {
  using Shape = GemmShape<T>;
  constexpr int L = Shape::kLanes;
  Vec<T> sum[M][V];
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[i][v] = Vec<T>(T(0));
  }
  for (std::int64_t p = 0; p < k; ++p) {
    Vec<T> right[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) right[v] = Vec<T>::load(b + v * L);
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i) {
      const Vec<T> left(kPacked ? a[i] : a[i * step_a]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[i][v] = fma(left, right[v], sum[i][v]);
    }
    a += kPacked ? Shape::kRows : 1;
    b += Shape::kCols;
  }
  const Vec<T> alpha(target.alpha);
  const Vec<T> beta(target.beta);
  T* c = target.c;
  const T* rest = target.rest;
  if (cols == V * L) {
#pragma GCC unroll 16
    for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        Vec<T> value = sum[i][v] * alpha;
        if (rest) value = fma(Vec<T>::load(rest + v * L), beta, value);
        value.store(c + v * L);
      }
      c += target.step;
      if (rest) rest += target.rest_step;
    }
    return;
  }
#pragma GCC unroll 16
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const std::int64_t count = cols - v * L < L ? cols - v * L : L;
      Vec<T> value = sum[i][v] * alpha;
      if (rest) value = fma(Vec<T>::load_partial(rest + v * L, count), beta, value);
      value.store_partial(c + v * L, count);
    }
    c += target.step;
    if (rest) rest += target.rest_step;
  }
}

template <class T>
struct GemmKernels {
  using Fn = void (*)(std::int64_t k, const T* a, std::int64_t step_a, const T* b, std::int64_t cols,
                      const GemmTarget<T>& target);
  Fn fn[2][GemmShape<T>::kRows][GemmShape<T>::kVectors];  // packed or not, rows - 1, vectors - 1

  template <int... M>
  static constexpr GemmKernels make(std::integer_sequence<int, M...>) {
    return {{{{&gemm_kernel<T, M + 1, 1, false>, &gemm_kernel<T, M + 1, 2, false>}...},
             {{&gemm_kernel<T, M + 1, 1, true>, &gemm_kernel<T, M + 1, 2, true>}...}}};
  }
};
template <class T>
inline constexpr GemmKernels<T> gemm_kernels =
    GemmKernels<T>::make(std::make_integer_sequence<int, GemmShape<T>::kRows>{});

// One block of k: panels of `a`, `panel_a` elements of k each, or with `step_a` rows of memory; panels of `b`.
template <class T>
void gemm_block(const T* a, std::int64_t step_a, std::int64_t panel_a, const T* b, std::int64_t panel_b,
                std::int64_t rows, std::int64_t cols, std::int64_t depth, const GemmTarget<T>& target) {
  using Shape = GemmShape<T>;
  for (std::int64_t col = 0; col < cols; col += Shape::kCols) {
    const std::int64_t width = cols - col < Shape::kCols ? cols - col : Shape::kCols;
    for (std::int64_t row = 0; row < rows; row += Shape::kRows) {
      const std::int64_t height = rows - row < Shape::kRows ? rows - row : Shape::kRows;
      gemm_kernels<T>.fn[step_a == 0][height - 1][width > Shape::kLanes](
          depth, a + row * (step_a ? step_a : panel_a), step_a, b + col * panel_b, width, target.at(row, col));
    }
  }
}

// A tile of c: panels of `a` from its first row on, panels of `b` from its first column on, each with all of k. With
// `step_a`, `a` is no panels but rows of memory.
template <class T>
void gemm_tile(const T* a, std::int64_t step_a, const T* b, std::int64_t rows, std::int64_t cols, std::int64_t k,
               const GemmTarget<T>& target) {
  using Shape = GemmShape<T>;
  for (std::int64_t begin = 0; begin < k || begin == 0; begin += Shape::kDepth) {
    const std::int64_t depth = k - begin < Shape::kDepth ? k - begin : Shape::kDepth;
    gemm_block(a + begin * (step_a ? 1 : Shape::kRows), step_a, k, b + begin * Shape::kCols, k, rows, cols, depth,
               begin == 0 ? target : target.more());
  }
}

// --- packing -----------------------------------------------------------------------------------------------------

// panel[p * W + i] = from[i * step_i + p * step_p] for i < count, zero up to W; T is what the panel has, S the memory.
template <class T, int W, class S>
void gemm_pack(T* panel, const void* from, std::int64_t step_i, std::int64_t step_p, std::int64_t count,
               std::int64_t k) {
  constexpr int L = Vec<T>::size;
  constexpr int kBlocks = (W + L - 1) / L;
  const auto* source = static_cast<const S*>(from);
  constexpr bool kVector = std::is_same_v<S, T> || (sizeof(S) == 2 && sizeof(T) == 4);
  if constexpr (kVector) {
    if (step_p == 1) {
      // Squares of L x L are transposed in registers. What a vector writes beyond W belongs to the next p, which comes
      // later; only the last one must not.
      for (std::int64_t p = 0; p < k; p += L) {
        const std::int64_t depth = k - p < L ? k - p : L;
        Vec<T> square[kBlocks][L];
#pragma GCC unroll 4
        for (int part = 0; part < kBlocks; ++part) {
#pragma GCC unroll 16
          for (int i = 0; i < L; ++i) {
            const int lane = part * L + i;
            const S* row = source + lane * step_i + p;
            if (lane >= W || lane >= count) {
              square[part][i] = Vec<T>(T(0));
            } else {
              square[part][i] = depth == L ? Vec<T>::load(row) : Vec<T>::load_partial(row, depth);
            }
          }
          transpose(square[part]);
        }
        for (std::int64_t q = 0; q < depth; ++q) {
          T* to = panel + (p + q) * W;
#pragma GCC unroll 4
          for (int part = 0; part < kBlocks; ++part) {
            const int width = W - part * L < L ? W - part * L : L;
            const Vec<T> value = square[part][q];
            if (width == L || p + q + 1 < k) {
              value.store(to + part * L);
            } else {
              value.store_partial(to + part * L, width);
            }
          }
        }
      }
      return;
    }
    if (step_i == 1 && count == W) {
      for (std::int64_t p = 0; p < k; ++p) {
        const S* row = source + p * step_p;
        T* to = panel + p * W;
        if constexpr (std::is_same_v<S, T>) {
          std::memcpy(to, row, W * sizeof(T));
        } else {
#pragma GCC unroll 4
          for (int part = 0; part < kBlocks; ++part) {
            const int width = W - part * L < L ? W - part * L : L;
            if (width == L) {
              Vec<T>::load(row + part * L).store(to + part * L);
            } else {
              Vec<T>::load_partial(row + part * L, width).store_partial(to + part * L, width);
            }
          }
        }
      }
      return;
    }
  }
  for (std::int64_t p = 0; p < k; ++p) {
    for (std::int64_t i = 0; i < W; ++i) {
      panel[p * W + i] = i < count ? static_cast<T>(source[i * step_i + p * step_p]) : T(0);
    }
  }
}

// --- the whole product -------------------------------------------------------------------------------------------

inline constexpr std::int64_t kGemmPacked = std::int64_t{1} << 21;  // elements of an operand that are packed at a time
inline constexpr std::int64_t kGemmRowPanels = 12;                  // of a tile, at most
inline constexpr std::int64_t kGemmColPanels = 8;
inline constexpr double kGemmTaskWork = 2.5e5;  // multiply-adds below which a second thread does not pay
inline constexpr double kGemmPackWork = 8;      // an element that is packed, in multiply-adds

inline std::int64_t gemm_panels(std::int64_t size, std::int64_t width) { return (size + width - 1) / width; }

// pack_a(panel, row, rows) and pack_b(panel, col, cols) fill a panel with all of k; tile(a, b, row, col, rows, cols)
// computes a part of c, by gemm_tile. All are called in parallel. Without `pack_a`, a is read as it lies and `tile`
// gets a null pointer for it.
template <class T, class PackA, class PackB, class Tile>
void gemm_packed(std::int64_t m, std::int64_t n, std::int64_t k, const PackA& pack_a, const PackB& pack_b,
                 const Tile& tile, bool direct_a = false) {
  using Shape = GemmShape<T>;
  constexpr std::int64_t R = Shape::kRows;
  constexpr std::int64_t C = Shape::kCols;
  const auto chunk = [k](std::int64_t size, std::int64_t width, std::int64_t least) {
    const std::int64_t most = kGemmPacked / ((k > 0 ? k : 1) * width);
    const std::int64_t all = gemm_panels(size, width);
    const std::int64_t panels = most < least ? least : most;
    return panels < all ? panels : all;
  };
  const std::int64_t row_panels = direct_a ? gemm_panels(m, R) : chunk(m, R, kGemmRowPanels);
  const std::int64_t col_panels = chunk(n, C, kGemmColPanels);
  const Scratch scratch(static_cast<std::int64_t>(sizeof(T)) * k * ((direct_a ? 0 : row_panels * R) + col_panels * C));
  T* packed_b = scratch.as<T>();
  T* packed_a = packed_b + col_panels * C * k;
  const auto grain = [](double work) {
    const double items = kGemmTaskWork / (work > 1 ? work : 1);
    return items < 1 ? std::int64_t{1} : items > 1e9 ? std::int64_t{1000000000} : static_cast<std::int64_t>(items);
  };

  std::int64_t packed_row = -1;
  for (std::int64_t col0 = 0; col0 < n; col0 += col_panels * C) {
    const std::int64_t cols = n - col0 < col_panels * C ? n - col0 : col_panels * C;
    for (std::int64_t row0 = 0; row0 < m; row0 += row_panels * R) {
      const std::int64_t rows = m - row0 < row_panels * R ? m - row0 : row_panels * R;
      const std::int64_t new_b = row0 == 0 ? gemm_panels(cols, C) : 0;
      const std::int64_t new_a = packed_row == row0 || direct_a ? 0 : gemm_panels(rows, R);
      packed_row = row0;
      parallel_for(new_b + new_a, grain(static_cast<double>(k * (C + R) / 2) * kGemmPackWork),
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t i = begin; i < end; ++i) {
                       if (i < new_b) {
                         const std::int64_t at = i * C;
                         pack_b(packed_b + at * k, col0 + at, cols - at < C ? cols - at : C);
                       } else {
                         const std::int64_t at = (i - new_b) * R;
                         pack_a(packed_a + at * k, row0 + at, rows - at < R ? rows - at : R);
                       }
                     }
                   });
      // Tiles of panels: large ones for the caches, but enough of them for all threads.
      std::int64_t tall = gemm_panels(rows, R);
      std::int64_t wide = gemm_panels(cols, C);
      tall = gemm_panels(tall, gemm_panels(tall, kGemmRowPanels));
      wide = gemm_panels(wide, gemm_panels(wide, kGemmColPanels));
      const auto count = [&] { return gemm_panels(rows, tall * R) * gemm_panels(cols, wide * C); };
      const auto work = [&] { return static_cast<double>(tall * R) * static_cast<double>(wide * C * (k + 8)); };
      const std::int64_t threads = num_threads();
      while (threads > 1 && count() < 4 * threads && work() > 2 * kGemmTaskWork && tall * wide > 1) {
        std::int64_t& side = (tall * R >= wide * C && tall > 1) || wide == 1 ? tall : wide;
        side = gemm_panels(side, 2);
      }
      const std::int64_t across = gemm_panels(cols, wide * C);
      parallel_for(count(), grain(work()), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int64_t row = i / across * tall * R;
          const std::int64_t col = i % across * wide * C;
          tile(direct_a ? nullptr : packed_a + row * k, packed_b + col * k, row0 + row, col0 + col,
               rows - row < tall * R ? rows - row : tall * R, cols - col < wide * C ? cols - col : wide * C);
        }
      });
    }
  }
}

// The same where b is dear to pack and large: pieces of columns are packed where they are used, a block of k at a time,
// and meet all of a. pack_b(panel, col, cols, begin, depth) fills a panel with a block of k; open(row, col, rows, cols)
// returns what has a `target` and, when it is destroyed, puts the part of c where it belongs.
template <class T, class PackA, class PackB, class Open>
void gemm_streamed(std::int64_t m, std::int64_t n, std::int64_t k, const PackA& pack_a, const PackB& pack_b,
                   const Open& open) {
  using Shape = GemmShape<T>;
  constexpr std::int64_t R = Shape::kRows;
  constexpr std::int64_t C = Shape::kCols;
  const std::int64_t row_panels = gemm_panels(m, R);
  const Scratch panels(static_cast<std::int64_t>(sizeof(T)) * k * row_panels * R);
  T* const packed_a = panels.as<T>();
  const auto grain = [](double work) {
    const double items = kGemmTaskWork / (work + 1);
    return items < 1 ? std::int64_t{1} : static_cast<std::int64_t>(items);
  };
  parallel_for(row_panels, grain(static_cast<double>(k * R) * kGemmPackWork),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   pack_a(packed_a + i * R * k, i * R, m - i * R < R ? m - i * R : R);
                 }
               });
  std::int64_t wide = kGemmColPanels;
  std::int64_t tall = row_panels;
  const std::int64_t threads = num_threads();
  const auto count = [&] { return gemm_panels(n, wide * C) * gemm_panels(m, tall * R); };
  while (threads > 1 && count() < 4 * threads && wide > 2) wide /= 2;
  while (threads > 1 && count() < 2 * threads && tall > 4) tall = gemm_panels(tall, 2);
  const std::int64_t down = gemm_panels(m, tall * R);
  parallel_for(count(), grain(static_cast<double>(tall * R) * static_cast<double>(wide * C) * static_cast<double>(k)),
               [&](std::int64_t first, std::int64_t last) {
                 const Scratch block(static_cast<std::int64_t>(sizeof(T)) * Shape::kDepth * wide * C);
                 T* const packed_b = block.as<T>();
                 for (std::int64_t i = first; i < last; ++i) {
                   const std::int64_t row = i % down * tall * R;
                   const std::int64_t col = i / down * wide * C;
                   const std::int64_t rows = m - row < tall * R ? m - row : tall * R;
                   const std::int64_t cols = n - col < wide * C ? n - col : wide * C;
                   const auto part = open(row, col, rows, cols);
                   for (std::int64_t begin = 0; begin < k; begin += Shape::kDepth) {
                     const std::int64_t depth = k - begin < Shape::kDepth ? k - begin : Shape::kDepth;
                     for (std::int64_t at = 0; at < cols; at += C) {
                       pack_b(packed_b + at * depth, col + at, cols - at < C ? cols - at : C, begin, depth);
                     }
                     gemm_block(packed_a + row * k + begin * R, 0, k, packed_b, depth, rows, cols, depth,
                                begin == 0 ? part.target : part.target.more());
                   }
                 }
               });
}

FASTNN_CPU_END
