#include "kernels/matmul.h"

#include <climits>
#include <cstring>
#include <type_traits>
#include <utility>

#include "core/parallel.h"
#include "core/scratch.h"
#include "cpu/few_rows.h"
#include "cpu/gemm.h"
#include "cpu/loops.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

// Products in float32, 16-bit operands among them, are ours (cpu/gemm.h) but for vectors and small ones; those, and
// products in float64, are a BLAS's. For it the result is cut into tiles by its shape alone, so that it does not depend
// on the number of threads: a BLAS may round differently at other tile sizes. Work is counted in multiply-adds; moving
// an element costs as much as a few.
constexpr double kTileWork = 2e6;        // below this a tile is not cut further
constexpr double kTaskWork = 2.5e5;      // below this a second thread does not pay
constexpr double kMoveWork = 16;         // an element of an operand, in multiply-adds
constexpr std::int64_t kMostTiles = 64;  // of one product
constexpr std::int64_t kTileAlign = 64;
constexpr std::int64_t kDepth = 512;         // how much of k is converted or gathered at a time
constexpr std::int64_t kDotBlock = 1 << 14;  // elements of one partial sum of a dot product

std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

struct Matrix {
  char* data;
  DType dtype;
  std::int64_t rows, cols;
  std::int64_t row_step, col_step;  // in elements

  Matrix transposed() const { return {data, dtype, cols, rows, col_step, row_step}; }
  Matrix part(std::int64_t row, std::int64_t row_count, std::int64_t col, std::int64_t col_count) const {
    return {
        data + (row * row_step + col * col_step) * itemsize(dtype), dtype, row_count, col_count, row_step, col_step};
  }
};

// Rows that a BLAS can walk: unit steps within a row, rows that do not overlap.
bool has_rows(const Matrix& m) {
  if (m.rows > INT_MAX || m.cols > INT_MAX) return false;
  const bool unit = m.col_step == 1 || m.cols == 1;
  return unit && (m.rows == 1 || (m.row_step >= larger(m.cols, 1) && m.row_step <= INT_MAX));
}
std::int64_t leading(const Matrix& m) { return m.rows == 1 ? larger(m.cols, 1) : m.row_step; }

// --- blocks on their way in and out ----------------------------------------------------------------------------

template <class To, class From>
void load_row(To* to, const void* from, std::int64_t step, std::int64_t n) {
  const auto* source = static_cast<const From*>(from);
  FASTNN_IVDEP
  for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<To>(source[i * step]);
}
template <class To, class From>
void store_row(void* to, const From* from, std::int64_t step, std::int64_t n) {
  auto* target = static_cast<To*>(to);
  FASTNN_IVDEP
  for (std::int64_t i = 0; i < n; ++i) target[i * step] = To(from[i]);
}

template <class T>
void load_any(T* to, const void* from, DType dtype, std::int64_t step, std::int64_t n) {
  if (step == 1) return converter(dtype_of<T>, dtype)(to, from, n);
  switch (dtype) {
    case DType::Float16:
      return load_row<T, Half>(to, from, step, n);
    case DType::BFloat16:
      return load_row<T, BFloat16>(to, from, step, n);
    case DType::Float64:
      return load_row<T, double>(to, from, step, n);
    default:
      return load_row<T, float>(to, from, step, n);
  }
}
template <class T>
void store_any(void* to, DType dtype, const T* from, std::int64_t step, std::int64_t n) {
  if (step == 1) return converter(dtype, dtype_of<T>)(to, from, n);
  switch (dtype) {
    case DType::Float16:
      return store_row<Half, T>(to, from, step, n);
    case DType::BFloat16:
      return store_row<BFloat16, T>(to, from, step, n);
    case DType::Float64:
      return store_row<double, T>(to, from, step, n);
    default:
      return store_row<float, T>(to, from, step, n);
  }
}

// dst = scale * src, row by row; dst is contiguous in its rows.
template <class T>
void load_block(T* dst, std::int64_t step, const Matrix& src, T scale) {
  const std::int64_t size = itemsize(src.dtype);
  for (std::int64_t i = 0; i < src.rows; ++i) {
    T* row = dst + i * step;
    load_any(row, src.data + i * src.row_step * size, src.dtype, src.col_step, src.cols);
    if (scale == T(1)) continue;
    for (std::int64_t j = 0; j < src.cols; ++j) row[j] *= scale;
  }
}
template <class T>
void store_block(const Matrix& dst, const T* src) {
  const std::int64_t size = itemsize(dst.dtype);
  for (std::int64_t i = 0; i < dst.rows; ++i) {
    store_any(dst.data + i * dst.row_step * size, dst.dtype, src + i * dst.cols, dst.col_step, dst.cols);
  }
}

// An operand as a BLAS takes it.
template <class T>
struct BlasOperand {
  const T* data;
  std::int64_t step;
  bool transposed;
};

template <class T>
bool readable(const Matrix& m) {
  return m.dtype == dtype_of<T> && (has_rows(m) || has_rows(m.transposed()));
}
template <class T>
BlasOperand<T> as_stored(const Matrix& m) {
  if (has_rows(m)) return {reinterpret_cast<const T*>(m.data), leading(m), false};
  return {reinterpret_cast<const T*>(m.data), leading(m.transposed()), true};
}
// Converted or gathered into `panel`, in the order in which the memory is walked best.
template <class T>
BlasOperand<T> packed(const Matrix& m, T* panel) {
  if (m.col_step <= m.row_step || m.rows == 1) {
    load_block(panel, m.cols, m, T(1));
    return {panel, larger(m.cols, 1), false};
  }
  load_block(panel, m.rows, m.transposed(), T(1));
  return {panel, larger(m.rows, 1), true};
}

template <class T>
const BlasOf<T>& blas_of() {
  if constexpr (std::is_same_v<T, float>) {
    return blas().f32;
  } else {
    return blas().f64;
  }
}

// c = alpha * a @ b + beta * c for operands that the BLAS can read; c has rows.
template <class T>
void multiply(std::int64_t m, std::int64_t n, std::int64_t k, T alpha, const BlasOperand<T>& a, const BlasOperand<T>& b,
              T beta, T* c, std::int64_t step_c) {
  const BlasOf<T>& lib = blas_of<T>();
  if (m != 1 && n != 1) {
    lib.gemm(a.transposed, b.transposed, m, n, k, alpha, a.data, a.step, b.data, b.step, beta, c, step_c);
    return;
  }
  // A vector is a row or a column of its operand.
  const std::int64_t step_a = a.transposed ? a.step : 1;  // along k, when m is 1
  const std::int64_t step_b = b.transposed ? 1 : b.step;  // along k, when n is 1
  if (m == 1 && n == 1) {
    *c = alpha * lib.dot(k, a.data, step_a, b.data, step_b) + (beta == T(0) ? T(0) : beta * *c);
    return;
  }
  const std::int64_t count = m * n;
  const std::int64_t step = m == 1 ? 1 : step_c;
  if (beta == T(0)) {
    // Not left to the BLAS: some multiply what is there by zero, NaN included.
    for (std::int64_t i = 0; i < count; ++i) c[i * step] = T(0);
    beta = T(1);
  }
  if (m == 1) {
    // c^T = op(b)^T a^T
    lib.gemv(!b.transposed, b.transposed ? n : k, b.transposed ? k : n, alpha, b.data, b.step, a.data, step_a, beta, c,
             1);
  } else {
    lib.gemv(a.transposed, a.transposed ? k : m, a.transposed ? m : k, alpha, a.data, a.step, b.data, step_b, beta, c,
             step_c);
  }
}

// --- one tile ----------------------------------------------------------------------------------------------------

struct Tile {
  Matrix c, a, b;
  Matrix input;  // what beta multiplies
  double alpha, beta;
};

template <class T>
void run_tile(const Tile& tile) {
  const std::int64_t m = tile.c.rows;
  const std::int64_t n = tile.c.cols;
  const std::int64_t k = tile.a.cols;
  const auto alpha = static_cast<T>(tile.alpha);
  const auto beta = static_cast<T>(tile.beta);
  const bool direct_c = tile.c.dtype == dtype_of<T> && has_rows(tile.c);
  const bool direct_a = readable<T>(tile.a);
  const bool direct_b = readable<T>(tile.b);
  const std::int64_t depth = direct_a && direct_b ? larger(k, 1) : smaller(kDepth, larger(k, 1));
  const Scratch scratch(static_cast<std::int64_t>(sizeof(T)) *
                        ((direct_a ? 0 : m * depth) + (direct_b ? 0 : depth * n) + (direct_c ? 0 : m * n)));
  T* panel_a = scratch.as<T>();
  T* panel_b = panel_a + (direct_a ? 0 : m * depth);
  T* c = direct_c ? reinterpret_cast<T*>(tile.c.data) : panel_b + (direct_b ? 0 : depth * n);
  const std::int64_t step_c = direct_c ? leading(tile.c) : n;

  // What the product is added to.
  T rest = T(0);
  if (beta != T(0)) {
    if (static_cast<const void*>(tile.input.data) == c && direct_c) {
      rest = beta;
    } else {
      load_block(c, step_c, tile.input, beta);
      rest = T(1);
    }
  }
  if (k == 0) {
    for (std::int64_t i = 0; i < m; ++i) {
      for (std::int64_t j = 0; j < n; ++j) c[i * step_c + j] = rest == T(0) ? T(0) : rest * c[i * step_c + j];
    }
  }
  for (std::int64_t at = 0; at < k; at += depth) {
    const std::int64_t count = smaller(depth, k - at);
    const Matrix block_a = tile.a.part(0, m, at, count);
    const Matrix block_b = tile.b.part(at, count, 0, n);
    multiply<T>(m, n, count, alpha, direct_a ? as_stored<T>(block_a) : packed(block_a, panel_a),
                direct_b ? as_stored<T>(block_b) : packed(block_b, panel_b), rest, c, step_c);
    rest = T(1);
  }
  if (!direct_c) store_block(tile.c, c);
}

template <class T>
void run_integer_tile(const Tile& tile) {
  using U = std::make_unsigned_t<T>;
  const std::int64_t m = tile.c.rows;
  const std::int64_t n = tile.c.cols;
  const std::int64_t k = tile.a.cols;
  const auto alpha = static_cast<U>(static_cast<std::int64_t>(tile.alpha));
  const auto beta = static_cast<U>(static_cast<std::int64_t>(tile.beta));
  const bool direct_b = tile.b.col_step == 1 || n == 1;
  const Scratch scratch(static_cast<std::int64_t>(sizeof(U)) * (n + (direct_b ? 0 : k * n)));
  U* sums = scratch.as<U>();
  const U* b = reinterpret_cast<const U*>(tile.b.data);
  std::int64_t step_b = tile.b.row_step;
  if (!direct_b) {
    U* panel = sums + n;
    for (std::int64_t i = 0; i < k; ++i) {
      for (std::int64_t j = 0; j < n; ++j) panel[i * n + j] = b[i * tile.b.row_step + j * tile.b.col_step];
    }
    b = panel;
    step_b = n;
  }
  const U* a = reinterpret_cast<const U*>(tile.a.data);
  const U* input = reinterpret_cast<const U*>(tile.input.data);
  U* c = reinterpret_cast<U*>(tile.c.data);
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) sums[j] = 0;
    for (std::int64_t l = 0; l < k; ++l) {
      const U factor = a[i * tile.a.row_step + l * tile.a.col_step];
      const U* row = b + l * step_b;
      FASTNN_IVDEP
      for (std::int64_t j = 0; j < n; ++j) sums[j] = static_cast<U>(sums[j] + factor * row[j]);
    }
    for (std::int64_t j = 0; j < n; ++j) {
      const U rest = beta == 0 ? U(0) : static_cast<U>(beta * input[i * tile.input.row_step + j * tile.input.col_step]);
      c[i * tile.c.row_step + j * tile.c.col_step] = static_cast<U>(alpha * sums[j] + rest);
    }
  }
}

using TileFn = void (*)(const Tile&);
TileFn tile_function(DType a, DType b, DType c) {
  const bool wide = a == DType::Float64 && b == DType::Float64;
  if (wide) return &run_tile<double>;
  if (is_floating(a) && is_floating(b)) return &run_tile<float>;
  switch (c) {
    case DType::UInt8:
      return &run_integer_tile<std::uint8_t>;
    case DType::Int8:
      return &run_integer_tile<std::int8_t>;
    case DType::Int16:
      return &run_integer_tile<std::int16_t>;
    case DType::Int32:
      return &run_integer_tile<std::int32_t>;
    case DType::Int64:
      return &run_integer_tile<std::int64_t>;
    default:
      fail_not_implemented("matmul", c);
  }
}

// --- the grid ----------------------------------------------------------------------------------------------------

enum Role { kC, kA, kB, kInput, kRoles };

struct Plan {
  Matrix matrix[kRoles];
  int batch_dims = 0;
  std::int64_t batches = 1;
  std::int64_t batch_sizes[kMaxDims];
  std::int64_t batch_steps[kRoles][kMaxDims];  // in bytes
  std::int64_t tile_m, tile_n, grid_m, grid_n;
  double alpha, beta;
  TileFn run;
};

Matrix last_two(const View& v) {
  const int d = v.ndim - 2;
  return {static_cast<char*>(v.data), v.dtype, v.sizes[d], v.sizes[d + 1], v.strides[d], v.strides[d + 1]};
}

// Batch dimensions of c, innermost first; those in which b is the same matrix are more rows of a and c.
void plan_batch(Plan& plan, const View* const (&views)[kRoles]) {
  const View& c = *views[kC];
  bool folding = true;
  for (int d = c.ndim - 3; d >= 0; --d) {
    const std::int64_t size = c.sizes[d];
    if (size == 1) continue;
    std::int64_t steps[kRoles];
    for (int r = 0; r < kRoles; ++r) steps[r] = views[r]->sizes[d] == 1 ? 0 : views[r]->strides[d];
    const Matrix* matrix = plan.matrix;
    folding = folding && steps[kB] == 0;
    for (const int r : {kC, kA, kInput}) {
      folding = folding && steps[r] == matrix[r].rows * matrix[r].row_step;
    }
    if (folding) {
      for (const int r : {kC, kA, kInput}) plan.matrix[r].rows *= size;
      continue;
    }
    const int at = plan.batch_dims++;
    plan.batch_sizes[at] = size;
    plan.batches *= size;
    for (int r = 0; r < kRoles; ++r) plan.batch_steps[r][at] = steps[r] * itemsize(views[r]->dtype);
  }
}

void plan_grid(Plan& plan) {
  const std::int64_t m = plan.matrix[kC].rows;
  const std::int64_t n = plan.matrix[kC].cols;
  const auto k = static_cast<double>(plan.matrix[kA].cols);
  plan.tile_m = m;
  plan.tile_n = n;
  const std::int64_t most = larger(1, kMostTiles / plan.batches);
  std::int64_t tiles = 1;
  const auto work = [&] {
    const auto tm = static_cast<double>(plan.tile_m);
    const auto tn = static_cast<double>(plan.tile_n);
    const double multiply_adds = tm * tn * k;
    const double moves = kMoveWork * (tm * k + tn * k + tm * tn);
    return multiply_adds > moves ? multiply_adds : moves;
  };
  const auto halved = [](std::int64_t size) { return ceil_div(ceil_div(size, 2), kTileAlign) * kTileAlign; };
  while (tiles < most && work() > kTileWork) {
    std::int64_t& side = plan.tile_n >= plan.tile_m ? plan.tile_n : plan.tile_m;
    if (side <= kTileAlign) break;
    side = halved(side);
    tiles *= 2;
  }
  plan.grid_m = larger(1, ceil_div(m, plan.tile_m));
  plan.grid_n = larger(1, ceil_div(n, plan.tile_n));
}

void move_to_batch(const Plan& plan, std::int64_t batch, Matrix (&matrix)[kRoles]) {
  for (int d = 0; d < plan.batch_dims; ++d) {
    const std::int64_t at = batch % plan.batch_sizes[d];
    batch /= plan.batch_sizes[d];
    for (int r = 0; r < kRoles; ++r) matrix[r].data += at * plan.batch_steps[r][d];
  }
}

void run_tasks(const Plan& plan, std::int64_t begin, std::int64_t end) {
  const std::int64_t tiles = plan.grid_m * plan.grid_n;
  for (std::int64_t task = begin; task < end; ++task) {
    Matrix matrix[kRoles];
    for (int r = 0; r < kRoles; ++r) matrix[r] = plan.matrix[r];
    move_to_batch(plan, task / tiles, matrix);
    const std::int64_t row = task % tiles / plan.grid_n * plan.tile_m;
    const std::int64_t col = task % tiles % plan.grid_n * plan.tile_n;
    const std::int64_t rows = smaller(plan.tile_m, matrix[kC].rows - row);
    const std::int64_t cols = smaller(plan.tile_n, matrix[kC].cols - col);
    const std::int64_t k = matrix[kA].cols;
    plan.run({matrix[kC].part(row, rows, col, cols), matrix[kA].part(row, rows, 0, k), matrix[kB].part(0, k, col, cols),
              matrix[kInput].part(row, rows, col, cols), plan.alpha, plan.beta});
  }
}

// --- a few rows --------------------------------------------------------------------------------------------------

constexpr std::int64_t kFewDepth = 32;     // a shorter k is left to the others
constexpr std::int64_t kFewColumns = 512;  // of a piece of work

bool is_walkable(const Matrix& b) {
  if (b.dtype != DType::Float32 && b.dtype != DType::Float16 && b.dtype != DType::BFloat16) return false;
  return has_rows(b) || has_rows(b.transposed());
}
bool is_few_rows(const Matrix& a, const Matrix& b) {
  return a.rows <= kFewRows && a.cols >= kFewDepth && b.cols > kFewRows && a.dtype != DType::Float64 &&
         is_floating(a.dtype) && is_walkable(b);
}

void multiply_few_rows(const Matrix (&matrix)[kRoles], double alpha, double beta) {
  const Matrix& a = matrix[kA];
  const Matrix& b = matrix[kB];
  const std::int64_t m = a.rows;
  const std::int64_t k = a.cols;
  const bool by_columns = !has_rows(b);
  const bool direct_a = a.dtype == DType::Float32 && has_rows(a);
  const Scratch rows(direct_a ? 0 : m * k * static_cast<std::int64_t>(sizeof(float)));
  if (!direct_a) load_block(rows.as<float>(), k, a, 1.0f);
  const float* left = direct_a ? reinterpret_cast<const float*>(a.data) : rows.as<float>();
  const std::int64_t step_a = direct_a ? leading(a) : k;
  const FewRowsFn run = few_rows_function(b.dtype, by_columns, m);
  const double work = static_cast<double>(k) * kFewColumns * (kMoveWork / 2 + static_cast<double>(m));
  parallel_for(ceil_div(b.cols, kFewColumns), larger(1, static_cast<std::int64_t>(kTaskWork / work)),
               [&](std::int64_t begin, std::int64_t end) {
                 float sums[kFewRows * kFewColumns];
                 for (std::int64_t i = begin; i < end; ++i) {
                   const std::int64_t col = i * kFewColumns;
                   const std::int64_t cols = smaller(kFewColumns, b.cols - col);
                   if (!by_columns) std::memset(sums, 0, sizeof(sums));
                   run(k, cols, left, step_a, b.part(0, k, col, cols).data, by_columns ? b.col_step : b.row_step, sums,
                       kFewColumns);
                   Matrix part = matrix[kC].part(0, m, col, cols);
                   for (std::int64_t row = 0; row < m; ++row) {
                     float* sum = sums + row * kFewColumns;
                     if (alpha != 1) {
                       for (std::int64_t j = 0; j < cols; ++j) sum[j] *= static_cast<float>(alpha);
                     }
                     if (beta != 0) {
                       float rest[kFewColumns];
                       load_block(rest, cols, matrix[kInput].part(row, 1, col, cols), static_cast<float>(beta));
                       for (std::int64_t j = 0; j < cols; ++j) sum[j] += rest[j];
                     }
                     store_any(part.data + row * part.row_step * itemsize(part.dtype), part.dtype, sum, part.col_step,
                               cols);
                   }
                 }
               });
}

// c^T = b^T a^T
void exchange(Plan& plan) {
  std::swap(plan.matrix[kA], plan.matrix[kB]);
  for (Matrix& matrix : plan.matrix) matrix = matrix.transposed();
  for (int d = 0; d < plan.batch_dims; ++d) std::swap(plan.batch_steps[kA][d], plan.batch_steps[kB][d]);
}

// --- products from packed panels -----------------------------------------------------------------------------------

constexpr double kSmallWork = 1 << 18;    // a BLAS has kernels for products this small that need no panels
constexpr std::int64_t kNarrow = 16;      // columns of a narrow product,
constexpr double kNarrowWork = 1 << 20;   // which a BLAS does better up to this size
constexpr std::int64_t kAliasing = 1024;  // rows this many elements apart share a set of the cache
constexpr std::int64_t kReadPanels = 8;   // of b, up to which rows of a are read as they lie instead of packed

using PackFn = void (*)(float* panel, const void* from, std::int64_t step_i, std::int64_t step_p, std::int64_t count,
                        std::int64_t k);
template <int W>
PackFn pack_function(DType dtype) {
  switch (dtype) {
    case DType::Float16:
      return &gemm_pack<float, W, Half>;
    case DType::BFloat16:
      return &gemm_pack<float, W, BFloat16>;
    case DType::Float64:
      return &gemm_pack<float, W, double>;
    default:
      return &gemm_pack<float, W, float>;
  }
}

bool wants_panels(const Plan& plan) {
  const Matrix& a = plan.matrix[kA];
  const Matrix& b = plan.matrix[kB];
  const Matrix& c = plan.matrix[kC];
  if (!is_floating(a.dtype) || !is_floating(b.dtype) || (a.dtype == DType::Float64 && b.dtype == DType::Float64)) {
    return false;
  }
  if (c.rows == 1 || c.cols == 1) return false;
  const double work = static_cast<double>(c.rows) * static_cast<double>(c.cols) * static_cast<double>(a.cols);
  const bool plain = readable<float>(a) && readable<float>(b) && c.dtype == DType::Float32 && has_rows(c);
  if (!plain) return true;
  if (c.cols <= kNarrow) return work > kNarrowWork;
  return work > kSmallWork || !has_rows(b);
}

void multiply_panels(const Matrix (&matrix)[kRoles], double alpha, double beta) {
  using Shape = GemmShape<float>;
  const Matrix& a = matrix[kA];
  const Matrix& b = matrix[kB];
  const Matrix& c = matrix[kC];
  const Matrix& input = matrix[kInput];
  const std::int64_t k = a.cols;
  const bool direct_c = c.dtype == DType::Float32 && c.col_step == 1;
  const bool direct_input = input.dtype == DType::Float32 && input.col_step == 1;
  const std::int64_t panels = gemm_panels(c.cols, Shape::kCols);
  const bool direct_a = a.dtype == DType::Float32 && a.col_step == 1 &&
                        panels <= (a.row_step % kAliasing == 0 ? kReadPanels / 4 : kReadPanels) && a.row_step > 0;
  const PackFn fill_a = pack_function<Shape::kRows>(a.dtype);
  const PackFn fill_b = pack_function<Shape::kCols>(b.dtype);
  gemm_packed<float>(
      c.rows, c.cols, k,
      [&](float* panel, std::int64_t row, std::int64_t rows) {
        fill_a(panel, a.part(row, rows, 0, k).data, a.row_step, a.col_step, rows, k);
      },
      [&](float* panel, std::int64_t col, std::int64_t cols) {
        fill_b(panel, b.part(0, k, col, cols).data, b.col_step, b.row_step, cols, k);
      },
      [&](const float* panels_a, const float* panels_b, std::int64_t row, std::int64_t col, std::int64_t rows,
          std::int64_t cols) {
        const Matrix part = c.part(row, rows, col, cols);
        const Scratch scratch(direct_c ? 0 : rows * cols * static_cast<std::int64_t>(sizeof(float)));
        GemmTarget<float> target;
        target.c = direct_c ? reinterpret_cast<float*>(part.data) : scratch.as<float>();
        target.step = direct_c ? c.row_step : cols;
        target.alpha = static_cast<float>(alpha);
        target.beta = static_cast<float>(beta);
        target.rest = nullptr;
        target.rest_step = 0;
        if (beta != 0) {
          const Matrix rest = input.part(row, rows, col, cols);
          if (direct_input) {
            target.rest = reinterpret_cast<const float*>(rest.data);
            target.rest_step = input.row_step;
          } else {
            load_block(target.c, target.step, rest, target.beta);
            target.rest = target.c;
            target.rest_step = target.step;
            target.beta = 1;
          }
        }
        if (direct_a) {
          gemm_tile(reinterpret_cast<const float*>(a.part(row, rows, 0, k).data), a.row_step, panels_b, rows, cols, k,
                    target);
        } else {
          gemm_tile(panels_a, 0, panels_b, rows, cols, k, target);
        }
        if (!direct_c) store_block(part, target.c);
      },
      direct_a);
}

using MultiplyFn = void (*)(const Matrix (&matrix)[kRoles], double alpha, double beta);

// All of the batch: in parallel over it, or within each product.
void run_batch(const Plan& plan, MultiplyFn multiply) {
  const auto one = [&](std::int64_t batch) {
    Matrix matrix[kRoles];
    for (int r = 0; r < kRoles; ++r) matrix[r] = plan.matrix[r];
    move_to_batch(plan, batch, matrix);
    multiply(matrix, plan.alpha, plan.beta);
  };
  const double work = static_cast<double>(plan.matrix[kC].rows) * static_cast<double>(plan.matrix[kC].cols) *
                      static_cast<double>(plan.matrix[kA].cols + 8);
  if (plan.batches < 2 * num_threads() && work > kTaskWork) {
    for (std::int64_t batch = 0; batch < plan.batches; ++batch) one(batch);
    return;
  }
  parallel_for(plan.batches, larger(1, static_cast<std::int64_t>(kTaskWork / (work + 1))),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t batch = begin; batch < end; ++batch) one(batch);
               });
}

// A long dot product: partial sums of blocks of fixed size, added in order.
template <class T>
void long_dot(const Plan& plan) {
  const Matrix& a = plan.matrix[kA];
  const Matrix& b = plan.matrix[kB];
  const std::int64_t k = a.cols;
  const std::int64_t blocks = ceil_div(k, kDotBlock);
  const Scratch scratch(blocks * static_cast<std::int64_t>(sizeof(T)));
  T* sums = scratch.as<T>();
  parallel_for(blocks, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t at = i * kDotBlock;
      const std::int64_t count = smaller(kDotBlock, k - at);
      sums[i] = blas_of<T>().dot(count, reinterpret_cast<const T*>(a.data) + at * a.col_step, a.col_step,
                                 reinterpret_cast<const T*>(b.data) + at * b.row_step, b.row_step);
    }
  });
  double total = 0;
  for (std::int64_t i = 0; i < blocks; ++i) total += static_cast<double>(sums[i]);
  total *= plan.alpha;
  if (plan.beta != 0) total += plan.beta * static_cast<double>(*reinterpret_cast<const T*>(plan.matrix[kInput].data));
  *reinterpret_cast<T*>(plan.matrix[kC].data) = static_cast<T>(total);
}

bool run_long_dot(const Plan& plan) {
  const Matrix* matrix = plan.matrix;
  if (plan.batches != 1 || matrix[kC].rows != 1 || matrix[kC].cols != 1 || matrix[kA].cols <= 4 * kDotBlock)
    return false;
  const DType dtype = matrix[kC].dtype;
  for (int r = 0; r < kRoles; ++r) {
    if (matrix[r].dtype != dtype) return false;
  }
  if (matrix[kA].col_step <= 0 || matrix[kB].row_step <= 0 || matrix[kA].col_step > INT_MAX ||
      matrix[kB].row_step > INT_MAX) {
    return false;
  }
  if (dtype == DType::Float32) {
    long_dot<float>(plan);
  } else if (dtype == DType::Float64) {
    long_dot<double>(plan);
  } else {
    return false;
  }
  return true;
}

void gemm(const View& c, const View& a, const View& b, const Product& product) {
  Plan plan;
  const View* const views[kRoles] = {&c, &a, &b, product.input ? product.input : &c};
  for (int r = 0; r < kRoles; ++r) plan.matrix[r] = last_two(*views[r]);
  plan.alpha = product.alpha;
  plan.beta = product.beta;
  plan.run = tile_function(a.dtype, b.dtype, c.dtype);
  for (int d = 0; d < c.ndim; ++d) {
    if (c.sizes[d] == 0) return;
  }
  plan_batch(plan, views);
  if (!has_rows(plan.matrix[kC]) && has_rows(plan.matrix[kC].transposed())) {
    exchange(plan);
  }
  if (run_long_dot(plan)) return;
  if (is_few_rows(plan.matrix[kA], plan.matrix[kB])) return run_batch(plan, &multiply_few_rows);
  if (is_few_rows(plan.matrix[kB].transposed(), plan.matrix[kA].transposed())) {
    exchange(plan);
    return run_batch(plan, &multiply_few_rows);
  }
  if (wants_panels(plan)) return run_batch(plan, &multiply_panels);
  plan_grid(plan);
  const std::int64_t tasks = plan.batches * plan.grid_m * plan.grid_n;
  const double work = static_cast<double>(plan.tile_m) * static_cast<double>(plan.tile_n) *
                          static_cast<double>(plan.matrix[kA].cols + 8) +
                      1;
  const auto grain = static_cast<std::int64_t>(kTaskWork / work);
  parallel_for(tasks, larger(grain, 1), [&](std::int64_t begin, std::int64_t end) { run_tasks(plan, begin, end); });
}

}  // namespace

constinit const MatmulKernels matmul_kernels = {
    .gemm = &gemm,
};

FASTNN_CPU_END
