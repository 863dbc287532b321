// Matrix products and what is made of them.
#pragma once

#include <string_view>

#include "core/tensor.h"

namespace fastnn {

// [..., m, k] @ [..., k, n] with broadcast leading dimensions, and PyTorch's rules for vectors.
Tensor matmul(const Tensor& a, const Tensor& b);
Tensor mm(const Tensor& a, const Tensor& b);
Tensor bmm(const Tensor& a, const Tensor& b);
Tensor mv(const Tensor& matrix, const Tensor& vector);
Tensor dot(const Tensor& a, const Tensor& b);
Tensor inner(const Tensor& a, const Tensor& b);
Tensor outer(const Tensor& a, const Tensor& b);

// beta * input + alpha * (product), with input broadcast to the result.
Tensor addmm(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta = Scalar(1),
             const Scalar& alpha = Scalar(1));
Tensor addmv(const Tensor& input, const Tensor& matrix, const Tensor& vector, const Scalar& beta = Scalar(1),
             const Scalar& alpha = Scalar(1));
Tensor addr(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta = Scalar(1),
            const Scalar& alpha = Scalar(1));
Tensor baddbmm(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta = Scalar(1),
               const Scalar& alpha = Scalar(1));
Tensor addbmm(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta = Scalar(1),
              const Scalar& alpha = Scalar(1));

// input[..., in] @ weight[out, in]^T + bias[out].
Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias);
Tensor bilinear(const Tensor& input1, const Tensor& input2, const Tensor& weight, const Tensor& bias);

// Sums over dims_a of a paired with dims_b of b.
Tensor tensordot(const Tensor& a, const Tensor& b, IntSpan dims_a, IntSpan dims_b);
Tensor einsum(std::string_view equation, TensorList operands);
Tensor kron(const Tensor& a, const Tensor& b);
// A product of matrices in the order that needs the fewest multiplications.
Tensor multi_dot(TensorList matrices);

// The product of the last two dimensions without any check; differentiable. Other families build on it.
Tensor batched_product(const Tensor& a, const Tensor& b);
// The transpose of the last two dimensions.
Tensor matrix_transpose(const Tensor& a);
// The sizes before those of the matrices, and the sizes of a batch of matrices.
Dims batch_of(const Tensor& t);
Dims with_matrix(const Dims& batch, std::int64_t rows, std::int64_t cols);

}  // namespace fastnn
