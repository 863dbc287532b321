// Linear algebra beyond products: factorisations, solutions of equations, spectra, norms of matrices.
#pragma once

#include <optional>
#include <string_view>
#include <tuple>

#include "core/tensor.h"
#include "ops/reduce.h"

namespace fastnn {

// --- factorisations --------------------------------------------------------------------------------------------------

// A = L L^T, or U^T U.
Tensor cholesky(const char* op, const Tensor& a, bool upper);
// L and U in one matrix, the exchanges of rows (int32, from 1), and LAPACK's code for each matrix.
std::tuple<Tensor, Tensor, Tensor> lu_factor_ex(const Tensor& a, bool pivot = true, bool check_errors = false);
// The rows of P^T A in the order of A's, for pivots of matrices with n rows.
Tensor pivot_rows(const Tensor& pivots, std::int64_t n);
// mode: reduced, complete or r.
std::tuple<Tensor, Tensor> qr(const Tensor& a, std::string_view mode = "reduced");

// --- equations -------------------------------------------------------------------------------------------------------

// The solution of A X = B (or X A = B) and LAPACK's code for each matrix.
std::tuple<Tensor, Tensor> solve_ex(const Tensor& a, const Tensor& b, bool left = true, bool check_errors = false);
Tensor solve(const Tensor& a, const Tensor& b, bool left = true);
Tensor solve_triangular(const Tensor& a, const Tensor& b, bool upper, bool left = true, bool unitriangular = false);
Tensor lu_solve(const Tensor& lu, const Tensor& pivots, const Tensor& b, bool left = true, bool adjoint = false);
std::tuple<Tensor, Tensor> inv_ex(const Tensor& a, bool check_errors = false);
Tensor inv(const Tensor& a);
Tensor det(const Tensor& a);
std::tuple<Tensor, Tensor> slogdet(const Tensor& a);

// --- spectra ---------------------------------------------------------------------------------------------------------

std::tuple<Tensor, Tensor> eigh(const Tensor& a, std::string_view uplo = "L");
Tensor eigvalsh(const Tensor& a, std::string_view uplo = "L");
std::tuple<Tensor, Tensor, Tensor> svd(const Tensor& a, bool full_matrices = true);
Tensor svdvals(const Tensor& a);
// Singular values up to max(atol, rtol * the largest) count as zeros. Undefined tolerances: rtol max(m, n) epsilon.
Tensor pinv(const Tensor& a, const Tensor& atol, const Tensor& rtol, bool hermitian);
// The gradient of A from that of its pseudoinverse.
Tensor pinv_gradient(const Tensor& g, const Tensor& inverse, const Tensor& a);

// --- norms -----------------------------------------------------------------------------------------------------------

// ord: fro or nuc; 1, -1, 2, -2, or an infinity.
Tensor matrix_norm(const Tensor& a, std::string_view ord, IntSpan dim, bool keepdim, OptionalDType dtype);
Tensor matrix_norm(const Tensor& a, double ord, IntSpan dim, bool keepdim, OptionalDType dtype);

}  // namespace fastnn
