// The file that names a BLAS (lapack.cpp: its LAPACK). It is called from within our thread pool, so it must not start
// threads of its own.
#include "cpu_host/blas.h"

// The wheel's header carries the prefix of its symbols; any other cblas.h has plain names.
#include <cblas.h>

#include "cpu_host/blas_names.h"
#include "kernels/matmul.h"

namespace fastnn {

namespace {

CBLAS_TRANSPOSE flag(bool transpose) { return transpose ? CblasTrans : CblasNoTrans; }

// Sizes of one call are tiles of ours, whose leading dimensions were checked to fit.
int narrow(std::int64_t value) { return static_cast<int>(value); }

void sgemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, float alpha,
           const float* a, std::int64_t lda, const float* b, std::int64_t ldb, float beta, float* c, std::int64_t ldc) {
  FASTNN_BLAS(cblas_sgemm)
  (CblasRowMajor, flag(transpose_a), flag(transpose_b), narrow(m), narrow(n), narrow(k), alpha, a, narrow(lda), b,
   narrow(ldb), beta, c, narrow(ldc));
}
void dgemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, double alpha,
           const double* a, std::int64_t lda, const double* b, std::int64_t ldb, double beta, double* c,
           std::int64_t ldc) {
  FASTNN_BLAS(cblas_dgemm)
  (CblasRowMajor, flag(transpose_a), flag(transpose_b), narrow(m), narrow(n), narrow(k), alpha, a, narrow(lda), b,
   narrow(ldb), beta, c, narrow(ldc));
}
void sgemv(bool transpose, std::int64_t m, std::int64_t n, float alpha, const float* a, std::int64_t lda,
           const float* x, std::int64_t step_x, float beta, float* y, std::int64_t step_y) {
  FASTNN_BLAS(cblas_sgemv)
  (CblasRowMajor, flag(transpose), narrow(m), narrow(n), alpha, a, narrow(lda), x, narrow(step_x), beta, y,
   narrow(step_y));
}
void dgemv(bool transpose, std::int64_t m, std::int64_t n, double alpha, const double* a, std::int64_t lda,
           const double* x, std::int64_t step_x, double beta, double* y, std::int64_t step_y) {
  FASTNN_BLAS(cblas_dgemv)
  (CblasRowMajor, flag(transpose), narrow(m), narrow(n), alpha, a, narrow(lda), x, narrow(step_x), beta, y,
   narrow(step_y));
}
float sdot(std::int64_t n, const float* x, std::int64_t step_x, const float* y, std::int64_t step_y) {
  return FASTNN_BLAS(cblas_sdot)(narrow(n), x, narrow(step_x), y, narrow(step_y));
}
double ddot(std::int64_t n, const double* x, std::int64_t step_x, const double* y, std::int64_t step_y) {
  return FASTNN_BLAS(cblas_ddot)(narrow(n), x, narrow(step_x), y, narrow(step_y));
}

Blas open() {
#if defined(FASTNN_BLAS_IS_OPENBLAS)
  FASTNN_BLAS(openblas_set_num_threads)(1);
#endif
  return {{&sgemm, &sgemv, &sdot}, {&dgemm, &dgemv, &ddot}};
}

}  // namespace

const Blas& blas() {
  static const Blas opened = open();
  return opened;
}

std::string blas_description() {
#if defined(FASTNN_BLAS_IS_OPENBLAS)
  return FASTNN_BLAS(openblas_get_config)();
#else
  return "external BLAS";
#endif
}

}  // namespace fastnn
