// Copies into existing tensors.
#pragma once

#include "core/tensor.h"

namespace fastnn {

// target[...] = source (broadcast, converted), seen by autograd.
void copy_in_place(const Tensor& target, const Tensor& source);

}  // namespace fastnn
