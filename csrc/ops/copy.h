// Copies into existing tensors.
#pragma once

#include "core/tensor.h"

namespace fastnn {

// target[...] = source (broadcast, converted), seen by autograd.
void copy_in_place(const Tensor& target, const Tensor& source);

// New memory for a result of the shape `sizes`: in NHWC order where that of `like` is (and not row-major as well).
Tensor empty_in_format_of(const Tensor& like, IntSpan sizes, DType dtype);
// `result`, a row-major tensor without history, in such memory.
Tensor in_format_of(const Tensor& like, const Tensor& result);

}  // namespace fastnn
