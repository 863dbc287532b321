// Matrix products.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastnn {

// c = alpha * a @ b + beta * input. `input` has the sizes of c (strides of 0 broadcast it) and is c itself when null;
// with beta = 0 it is not read.
struct Product {
  double alpha = 1;
  double beta = 0;
  const View* input = nullptr;
};

struct MatmulKernels {
  // The last two dimensions are the matrices', those before are a batch in which strides of 0 broadcast; all views have
  // the same number of dimensions. Any strides (those of c are the memory of one tensor, not overlapping). 16-bit
  // floats are summed in float32; integers wrap around.
  void (*gemm)(const View& c, const View& a, const View& b, const Product& product);
};

// A BLAS, running in the calling thread: row-major matrices. Chosen by cpu_host.
template <class T>
struct BlasOf {
  // c[m, n] = alpha * op(a)[m, k] @ op(b)[k, n] + beta * c, row-major; a transposed operand is stored as [k, m], [n,
  // k].
  void (*gemm)(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, T alpha, const T* a,
               std::int64_t lda, const T* b, std::int64_t ldb, T beta, T* c, std::int64_t ldc);
  // y = alpha * op(a) @ x + beta * y, with a[m, n] row-major.
  void (*gemv)(bool transpose, std::int64_t m, std::int64_t n, T alpha, const T* a, std::int64_t lda, const T* x,
               std::int64_t step_x, T beta, T* y, std::int64_t step_y);
  T (*dot)(std::int64_t n, const T* x, std::int64_t step_x, const T* y, std::int64_t step_y);
};
struct Blas {
  BlasOf<float> f32;
  BlasOf<double> f64;
};
const Blas& blas();

}  // namespace fastnn
