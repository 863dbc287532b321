// Factorisations of dense matrices.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastnn {

// Which form of a matrix takes part in a product.
enum class Form : char { Plain = 'N', Transposed = 'T', Adjoint = 'C' };

// How a least squares problem is solved: QR; QR with pivoting; the SVD by divide and conquer; the SVD.
enum class LeastSquares : std::uint8_t { Gels, Gelsy, Gelsd, Gelss };

// Views are stacks of matrices [..., rows, columns], each stored column by column without gaps, or of vectors [..., n];
// what is only read may have strides of 0 between the matrices. The dtype is that of the first argument: float32,
// float64 or complex; eigenvalues of Hermitian matrices, singular values are real. Results replace the first argument.
// `info` (int32, one a matrix, contiguous) gets LAPACK's code: 0, or where the factorisation failed.
struct LinalgKernels {
  // The Cholesky factor in one triangle, zeros in the other.
  void (*cholesky)(const View& a, const View& info, bool upper);
  // L and U in one matrix; `pivots` (int32, from 1): row i was exchanged with row pivots[i].
  void (*lu)(const View& a, const View& pivots, const View& info);
  // Where row i of P^T A comes from (int64, from 0), for P A = L U with these pivots.
  void (*permutation)(const View& rows, const View& pivots);
  // b := op(A)^-1 b.
  void (*lu_solve)(const View& b, const View& lu, const View& pivots, Form form);
  // b := op(a)^-1 b or b op(a)^-1, with a triangular `a`.
  void (*triangular_solve)(const View& b, const View& a, bool left, bool upper, Form form, bool unit);
  // R above the diagonal, and below it the Householder vectors with the factors `tau`.
  void (*qr)(const View& a, const View& tau);
  // The first columns of the product of these reflections.
  void (*orthogonal)(const View& a, const View& tau);
  // c := op(Q) c or c op(Q) with that product Q.
  void (*apply_orthogonal)(const View& c, const View& a, const View& tau, bool left, Form form);
  // A symmetric (or Hermitian) matrix as L D L^T with blocks of one or two in D.
  void (*ldl)(const View& a, const View& pivots, const View& info, bool hermitian);
  void (*ldl_solve)(const View& b, const View& ld, const View& pivots, bool hermitian);
  // Eigenvalues of the symmetric (Hermitian) `a` in ascending order; `a` becomes the eigenvectors if wanted.
  void (*eigh)(const View& a, const View& values, const View& info, bool upper, bool vectors);
  // Eigenvalues and, unless `vectors` has no data, eigenvectors of length 1: complex for every `a`, which is lost.
  void (*eig)(const View& a, const View& values, const View& vectors, const View& info);
  // Singular values in descending order, u [m, m] or [m, k], vh [n, n] or [k, n]; no vectors when these have no data.
  void (*svd)(const View& a, const View& u, const View& values, const View& vh, const View& info);
  // b [max(m, n), k]: the solution in the first n rows. `rank` (int64) and `singular` may have no data.
  void (*least_squares)(const View& b, const View& a, const View& rank, const View& singular, const View& info,
                        double rcond, LeastSquares method);
};

// Chosen by cpu_host.
const LinalgKernels& linalg_kernels();

}  // namespace fastnn
