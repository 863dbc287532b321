#include "core/storage.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "core/error.h"

namespace fastnn {

namespace {
constexpr std::size_t kHeader = 128;  // of Storage, rounded to the alignment of the data
}

Ref<Storage> Storage::allocate(std::size_t nbytes) {
  static_assert(sizeof(Storage) <= kHeader);
  constexpr std::size_t kLargest = std::size_t{1} << 46;
  FASTNN_CHECK(nbytes <= kLargest, ErrorKind::OutOfMemory, "not enough memory: you tried to allocate ", nbytes,
               " bytes");
  auto* storage = new (kHeader - sizeof(Storage) + nbytes) Storage;
  storage->data_ = reinterpret_cast<char*>(storage) + kHeader;
  storage->nbytes_ = nbytes;
  storage->inline_bytes_ = nbytes;
  return Ref<Storage>(storage);
}

Ref<Storage> Storage::borrow(void* data, std::size_t nbytes, Deleter deleter, void* context, bool writable) {
  auto* storage = new (kHeader - sizeof(Storage)) Storage;
  storage->data_ = data;
  storage->nbytes_ = nbytes;
  storage->deleter_ = deleter;
  storage->context_ = context;
  storage->writable_ = writable;
  return Ref<Storage>(storage);
}

Storage::~Storage() {
  if (own_block_) allocator::deallocate(data_, nbytes_);
  if (deleter_) deleter_(context_);
}

void Storage::operator delete(void* block, std::size_t payload) {
  allocator::deallocate(block, sizeof(Storage) + payload);
}

void Storage::destroy() {
  const std::size_t total = kHeader + inline_bytes_;
  this->~Storage();
  allocator::deallocate(this, total);
}

void Storage::resize(std::size_t nbytes) {
  FASTNN_CHECK(resizable(), ErrorKind::Runtime, "Trying to resize storage that is not resizable");
  if (!own_block_ && nbytes <= inline_bytes_) {
    nbytes_ = nbytes;
    return;
  }
  void* block = allocator::allocate(nbytes);
  std::memcpy(block, data_, std::min(nbytes, nbytes_));
  if (own_block_) allocator::deallocate(data_, nbytes_);
  data_ = block;
  nbytes_ = nbytes;
  own_block_ = true;
}

}  // namespace fastnn
