// Reference counting, and the memory behind tensors.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/allocator.h"

namespace fastnn {

// Base of what is shared by intrusive pointers.
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;
  virtual ~RefCounted() = default;

  void retain() const noexcept { count_.fetch_add(1, std::memory_order_relaxed); }
  void release() const noexcept {
    if (count_.load(std::memory_order_acquire) == 1 || count_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      const_cast<RefCounted*>(this)->destroy();
    }
  }
  std::uint32_t use_count() const noexcept { return count_.load(std::memory_order_relaxed); }

  // Small objects come and go with every operation: they live in the caching allocator.
  static void* operator new(std::size_t bytes) { return allocator::allocate(bytes); }
  static void operator delete(void* block, std::size_t bytes) { allocator::deallocate(block, bytes); }

 protected:
  virtual void destroy() { delete this; }

 private:
  mutable std::atomic<std::uint32_t> count_{0};
};

template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* target) : target_(target) {
    if (target_) target_->retain();
  }
  Ref(const Ref& other) : Ref(other.target_) {}
  Ref(Ref&& other) noexcept : target_(std::exchange(other.target_, nullptr)) {}
  template <class U>
  Ref(const Ref<U>& other) : Ref(other.get()) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(target_, other.target_);
    return *this;
  }
  ~Ref() {
    if (target_) target_->release();
  }

  T* get() const { return target_; }
  T* operator->() const { return target_; }
  T& operator*() const { return *target_; }
  explicit operator bool() const { return target_ != nullptr; }
  void reset() { Ref().swap(*this); }
  void swap(Ref& other) noexcept { std::swap(target_, other.target_); }
  friend bool operator==(const Ref& a, const Ref& b) { return a.target_ == b.target_; }

 private:
  T* target_ = nullptr;
};

template <class T, class... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>(new T(std::forward<Args>(args)...));
}

// Counts in-place writes: autograd compares it with what it was when a tensor was saved.
class VersionCounter : public RefCounted {
 public:
  std::uint32_t value = 0;
};

// A piece of memory. One allocation holds this header and, 64-byte aligned, the data.
class Storage final : public RefCounted {
 public:
  using Deleter = void (*)(void* context);

  static Ref<Storage> allocate(std::size_t nbytes);
  // Memory of someone else (a NumPy array, a mapped file); `deleter(context)` ends the loan.
  static Ref<Storage> borrow(void* data, std::size_t nbytes, Deleter deleter, void* context, bool writable = true);

  void* data() const { return data_; }
  std::size_t nbytes() const { return nbytes_; }
  bool writable() const { return writable_; }
  bool resizable() const { return deleter_ == nullptr; }
  // Grows or shrinks; what fits is kept. Fails on borrowed memory.
  void resize(std::size_t nbytes);

  std::uint32_t version = 0;

  static void* operator new(std::size_t bytes, std::size_t payload) { return allocator::allocate(bytes + payload); }
  static void operator delete(void* block, std::size_t payload);
  static void operator delete(void*) {}

 private:
  Storage() = default;
  ~Storage() override;
  void destroy() override;

  void* data_ = nullptr;
  std::size_t nbytes_ = 0;
  std::size_t inline_bytes_ = 0;  // payload allocated together with the header
  Deleter deleter_ = nullptr;
  void* context_ = nullptr;
  bool own_block_ = false;  // data_ is a block of its own, after resize()
  bool writable_ = true;
};

}  // namespace fastnn
