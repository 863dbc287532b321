#include "core/scratch.h"

#include "core/allocator.h"

namespace fastnn {

Scratch::Scratch(std::int64_t bytes)
    : data_(bytes > 0 ? allocator::allocate(static_cast<std::size_t>(bytes)) : nullptr),
      bytes_(static_cast<std::size_t>(bytes)) {}

Scratch::~Scratch() {
  if (data_ != nullptr) allocator::deallocate(data_, bytes_);
}

}  // namespace fastnn
