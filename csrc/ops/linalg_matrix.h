// What the operations of linear algebra share: checks of matrices, their storage for kernels, their formulas.
#pragma once

#include <string>

#include "autograd/record.h"
#include "kernels/linalg.h"
#include "ops/algebra.h"
#include "ops/complex.h"
#include "ops/factory.h"
#include "ops/matmul.h"
#include "ops/shape.h"

namespace fastnn {

inline const LinalgKernels& lapack() { return linalg_kernels(); }

// --- checks ----------------------------------------------------------------------------------------------------------

// At least two dimensions; `name` is the argument's.
void check_matrices(const char* op, const Tensor& a, const char* name = "A");
void check_square(const char* op, const Tensor& a, const char* name = "A");
// float32, float64 or complex.
void check_precision(const char* op, const Tensor& a);
// Floating of any precision, or complex.
void check_floating(const char* op, const Tensor& a);
void check_equal_dtypes(const char* op, const Tensor& a, const Tensor& b, const char* name_a, const char* name_b);
// LinAlgError for the first matrix with a positive code: `what(code)` says what is wrong with it.
void check_info(const char* op, const Tensor& info, std::string (*what)(int code));
std::string singular_to_solve(int code);

// --- storage ---------------------------------------------------------------------------------------------------------

inline std::int64_t rows_of(const Tensor& a) { return a.sizes()[a.ndim() - 2]; }
inline std::int64_t columns_of(const Tensor& a) { return a.sizes()[a.ndim() - 1]; }
Dims with_vector(const Dims& batch, std::int64_t n);
// Uninitialised matrices that are stored column by column, and a copy of `a` in that form, with no history.
Tensor column_major(const Dims& sizes, DType dtype);
Tensor column_copy(const Tensor& a);
// Whether matrices are stored so, without gaps; `a` itself where it is, else a copy.
bool is_in_columns(const Tensor& a);
Tensor in_columns(const Tensor& a);
// One integer for each matrix.
Tensor infos(const Dims& batch);
// `a` expanded to these leading sizes.
Tensor expand_batch(const Tensor& a, const Dims& batch);

// --- formulas --------------------------------------------------------------------------------------------------------

inline Tensor operator%(const Tensor& a, const Tensor& b) { return batched_product(a, b); }  // the matrix product
inline Tensor diagonals(const Tensor& a) { return diagonal(a, 0, -2, -1); }
inline Tensor as_row(const Tensor& v) { return unsqueeze(v, -2); }
inline Tensor as_column(const Tensor& v) { return unsqueeze(v, -1); }
inline Tensor eye_like(const Tensor& a) { return eye(columns_of(a), a.dtype()); }
// Multiplies the columns (the rows) of `a` by the elements of `v`.
inline Tensor scale_columns(const Tensor& a, const Tensor& v) { return a * as_row(v); }
inline Tensor scale_rows(const Tensor& v, const Tensor& a) { return as_column(v) * a; }
// The Hermitian matrix with this triangle beside its diagonal, and the real part of this diagonal.
Tensor hermitian_of_triangle(const Tensor& triangle);
// The distance from 1 to the next number of this dtype.
double epsilon(DType dtype);
// A derivative that is not defined: an error when it is asked for.
void record_no_derivative(const char* node, std::initializer_list<const Tensor*> outputs, Inputs inputs, ErrorKind kind,
                          std::string message);

}  // namespace fastnn
