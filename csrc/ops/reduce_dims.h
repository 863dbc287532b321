// Shapes of reductions, for the families that reduce.
#pragma once

#include "kernels/reduce.h"
#include "ops/reduce.h"

namespace fastnn {

// Which dimensions of a tensor are reduced.
struct ReduceDims {
  // `dim` None or empty: all.
  ReduceDims(const Tensor& input, OptionalDims dim, const char* op);

  Dims sizes;  // of the input
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

struct Moments {
  Tensor mean;      // in the type of computation
  Tensor variance;  // or its root
};
// Mean and variance, which is divided by the count less `correction`, of a floating point tensor; no history.
Moments moments(const char* op, const Tensor& input, const ReduceDims& dims, double correction, bool keepdim,
                DType dtype, bool root = false);

// The derivative of picking one element (per row) along a dimension, or several with `keepdim`: the gradient goes back
// to the places that it came from.
void record_selected(const char* name, const Tensor& values, const Tensor& indices, const Tensor& input, int dim,
                     bool keepdim);
Tensor value_selecting_gradient(const Tensor& g, const Tensor& indices, IntSpan sizes, int dim, bool keepdim);

// The gradient goes in equal parts to the elements that are equal to the result.
Tensor share_among_equal(const Tensor& g, const Tensor& input, const Tensor& out, const ReduceDims& dims, bool keepdim);

// A contiguous tensor seen as [outer, n, inner] around one dimension.
struct Around {
  Around(const Tensor& contiguous, int dim, bool has_n = true);
  View view() const { return {data, dtype, 3, sizes, strides}; }
  void* data;
  DType dtype;
  std::int64_t sizes[3];
  std::int64_t strides[3];
};

}  // namespace fastnn
