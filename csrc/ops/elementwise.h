// Elementwise operations: arithmetic, mathematics, comparison, selection, conversion.
#pragma once

#include <optional>

#include "core/tensor.h"

namespace fastnn {

Tensor add(const Tensor& a, const Tensor& b, const Scalar& alpha = Scalar(1));
Tensor sub(const Tensor& a, const Tensor& b, const Scalar& alpha = Scalar(1));
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
// With a number.
Tensor add(const Tensor& a, const Scalar& b);
Tensor mul(const Tensor& a, const Scalar& b);

// The same values in another dtype; the tensor itself when it has it already.
Tensor to_dtype(const Tensor& input, DType dtype);
// Always new memory; keeps a dense order of dimensions unless `contiguous`.
Tensor clone(const Tensor& input, bool contiguous = false);
Tensor contiguous(const Tensor& input);
// Writes source (broadcast, converted) into target: no autograd, no version.
void copy_raw(const Tensor& target, const Tensor& source);

}  // namespace fastnn
