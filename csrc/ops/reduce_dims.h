// Shapes of reductions, for the families that reduce.
#pragma once

#include "kernels/reduce.h"
#include "ops/reduce.h"

namespace fastnn {

// Which dimensions of a tensor are reduced.
struct ReduceDims {
  // `dim` None or empty: all.
  ReduceDims(const Tensor& input, OptionalDims dim, const char* op);

  Dims sizes;              // of the input
  bool reduced[kMaxDims];
  int count = 0;           // dimensions reduced
  std::int64_t total = 1;  // elements reduced into one

  Dims out_sizes(bool keepdim) const;
  // The reduced dimensions in order.
  Dims list() const;
  // A result (or its gradient) with the reduced dimensions put back, broadcast to the input's shape.
  Tensor broadcast(const Tensor& result, bool keepdim) const;
  // The same with size 1 in their place.
  Tensor with_dims(const Tensor& result, bool keepdim) const;
};

// Launches a kernel into a new tensor.
Tensor reduce(const char* op, Reduction kernel, const Tensor& input, const ReduceDims& dims, bool keepdim, DType dtype,
              ReduceParams params = {}, const Tensor* context = nullptr);

}  // namespace fastnn
