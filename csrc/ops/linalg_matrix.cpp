#include "ops/linalg_matrix.h"

#include <algorithm>
#include <limits>

namespace fastnn {

void check_matrices(const char* op, const Tensor& a, const char* name) {
  FASTNN_CHECK(a.ndim() >= 2, ErrorKind::Runtime, op, ": The input tensor ", name,
               " must have at least 2 dimensions, got shape ", a.sizes());
}
void check_square(const char* op, const Tensor& a, const char* name) {
  check_matrices(op, a, name);
  FASTNN_CHECK(rows_of(a) == columns_of(a), ErrorKind::Runtime, op, ": ", name,
               " must be batches of square matrices, but they are ", rows_of(a), " by ", columns_of(a), " matrices");
}
void check_floating(const char* op, const Tensor& a) {
  FASTNN_CHECK(a.is_differentiable(), ErrorKind::Runtime, op,
               ": Expected a floating point or complex tensor as input. Got ", a.dtype());
}
void check_precision(const char* op, const Tensor& a) {
  check_floating(op, a);
  FASTNN_CHECK(!is_reduced_floating(a.dtype()), ErrorKind::Runtime, op, ": Low precision dtypes not supported. Got ",
               a.dtype());
}
void check_equal_dtypes(const char* op, const Tensor& a, const Tensor& b, const char* name_a, const char* name_b) {
  FASTNN_CHECK(a.dtype() == b.dtype(), ErrorKind::Runtime, op, ": Expected ", name_a, " and ", name_b,
               " to have the same dtype, but found ", a.dtype(), " and ", b.dtype());
}

void check_info(const char* op, const Tensor& info, std::string (*what)(int code)) {
  const int* codes = info.as<int>();
  const int* end = codes + info.numel();
  const int* bad = std::find_if(codes, end, [](int code) { return code != 0; });
  if (bad == end) return;
  const std::string element = info.ndim() == 0 ? "" : "(Batch element " + std::to_string(bad - codes) + "): ";
  fail(ErrorKind::LinAlg, op, ": ", element, what(*bad));
}
std::string singular_to_solve(int) { return "The solver failed because the input matrix is singular."; }

Dims with_vector(const Dims& batch, std::int64_t n) {
  Dims sizes = batch;
  sizes.push_back(n);
  return sizes;
}

Tensor column_major(const Dims& sizes, DType dtype) {
  Dims strides = contiguous_strides(sizes);
  const int last = sizes.size() - 1;
  strides[last - 1] = 1;
  strides[last] = std::max<std::int64_t>(1, sizes[last - 1]);
  return Tensor::empty_strided(sizes, strides, dtype);
}
Tensor column_copy(const Tensor& a) {
  Tensor copy = column_major(a.sizes(), a.dtype());
  copy_raw(copy, a.detached());
  return copy;
}
bool is_in_columns(const Tensor& a) {
  const bool down = rows_of(a) <= 1 || a.stride(-2) == 1;
  return down && (columns_of(a) <= 1 || a.stride(-1) == std::max<std::int64_t>(1, rows_of(a)));
}
Tensor in_columns(const Tensor& a) { return is_in_columns(a) ? a.detached() : column_copy(a); }
Tensor infos(const Dims& batch) { return zeros(batch, DType::Int32); }

Tensor expand_batch(const Tensor& a, const Dims& batch) {
  return batch_of(a) == batch ? a : expand(a, with_matrix(batch, rows_of(a), columns_of(a)));
}

Tensor hermitian_of_triangle(const Tensor& triangle) {
  return (triangle + adjoint(triangle)) * (1.0 - eye(columns_of(triangle), to_real(triangle.dtype())) * 0.5);
}

double epsilon(DType dtype) {
  return to_real(dtype) == DType::Float64 ? std::numeric_limits<double>::epsilon()
                                          : std::numeric_limits<float>::epsilon();
}

void record_no_derivative(const char* node, std::initializer_list<const Tensor*> outputs, Inputs inputs, ErrorKind kind,
                          std::string message) {
  record_outputs(node, outputs, inputs,
                 [kind, message = std::move(message)](std::span<const Tensor>, Slots&) { fail(kind, message); });
}

}  // namespace fastnn
