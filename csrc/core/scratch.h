// Temporary memory for kernels, which see no tensors: from the caching allocator, 64-byte aligned.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastnn {

// Not inline, so that the rooms compiled for a wide instruction set hold no copy of it.
class Scratch {
 public:
  explicit Scratch(std::int64_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  template <class T>
  [[gnu::always_inline]] T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_;
  std::size_t bytes_;
};

}  // namespace fastnn
