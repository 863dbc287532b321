// What a kernel sees of a tensor.
#pragma once

#include <cstdint>

#include "core/dims.h"
#include "core/dtype.h"

namespace fastnn {

// Memory and geometry, nothing owned: the sizes and strides (in elements) belong to whoever made the view.
struct View {
  void* data = nullptr;
  DType dtype = DType::Float32;
  int ndim = 0;
  const std::int64_t* sizes = nullptr;
  const std::int64_t* strides = nullptr;

  // Always inline, so that the rooms compiled for a wide instruction set hold no copy that all could get.
  template <class T>
  [[gnu::always_inline]] T* as() const {
    return static_cast<T*>(data);
  }
  [[gnu::always_inline]] std::int64_t numel() const {
    std::int64_t total = 1;
    for (int i = 0; i < ndim; ++i) total *= sizes[i];
    return total;
  }
  [[gnu::always_inline]] bool contiguous() const {
    std::int64_t expected = 1;
    for (int i = ndim - 1; i >= 0; --i) {
      if (sizes[i] == 0) return true;
      if (sizes[i] != 1 && strides[i] != expected) return false;
      expected *= sizes[i];
    }
    return true;
  }
};

}  // namespace fastnn
