// Sizes or strides of a tensor: a short list of integers, in place up to six.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iosfwd>
#include <span>

namespace fastnn {

using IntSpan = std::span<const std::int64_t>;

// As many dimensions as a tensor can have.
inline constexpr int kMaxDims = 64;

class Dims {
 public:
  Dims() = default;
  Dims(std::initializer_list<std::int64_t> values) { assign(values.begin(), static_cast<int>(values.size())); }
  explicit Dims(IntSpan values) { assign(values.data(), static_cast<int>(values.size())); }
  Dims(const Dims& other) { assign(other.data(), other.count_); }
  Dims(Dims&& other) noexcept { take(other); }
  Dims& operator=(const Dims& other) {
    if (this != &other) assign(other.data(), other.count_);
    return *this;
  }
  Dims& operator=(Dims&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~Dims() { release(); }

  static Dims filled(int count, std::int64_t value) {
    Dims result;
    result.resize(count, value);
    return result;
  }

  int size() const { return count_; }
  bool empty() const { return count_ == 0; }
  std::int64_t* data() { return heap_ ? heap_ : inline_; }
  const std::int64_t* data() const { return heap_ ? heap_ : inline_; }
  std::int64_t& operator[](int i) { return data()[i]; }
  std::int64_t operator[](int i) const { return data()[i]; }
  std::int64_t& back() { return data()[count_ - 1]; }
  std::int64_t back() const { return data()[count_ - 1]; }
  std::int64_t* begin() { return data(); }
  std::int64_t* end() { return data() + count_; }
  const std::int64_t* begin() const { return data(); }
  const std::int64_t* end() const { return data() + count_; }
  operator IntSpan() const { return {data(), static_cast<std::size_t>(count_)}; }

  void resize(int count, std::int64_t value = 0) {
    reserve(count);
    for (int i = count_; i < count; ++i) data()[i] = value;
    count_ = count;
  }
  void push_back(std::int64_t value) {
    reserve(count_ + 1);
    data()[count_++] = value;
  }
  void insert(int at, std::int64_t value) {
    push_back(value);
    std::rotate(begin() + at, end() - 1, end());
  }
  void erase(int at) {
    std::copy(begin() + at + 1, end(), begin() + at);
    --count_;
  }

  friend bool operator==(const Dims& a, IntSpan b) {
    return static_cast<std::size_t>(a.count_) == b.size() && std::equal(b.begin(), b.end(), a.begin());
  }
  friend bool operator==(const Dims& a, const Dims& b) { return a == static_cast<IntSpan>(b); }

 private:
  static constexpr int kInline = 6;

  void assign(const std::int64_t* values, int count) {
    if (count > capacity_) reserve(count);
    std::memcpy(data(), values, sizeof(std::int64_t) * static_cast<std::size_t>(count));
    count_ = count;
  }
  void reserve(int count) {
    if (count <= capacity_) return;
    const int capacity = std::max(count, 2 * capacity_);
    auto* bigger = new std::int64_t[static_cast<std::size_t>(capacity)];
    std::memcpy(bigger, data(), sizeof(std::int64_t) * static_cast<std::size_t>(count_));
    delete[] heap_;
    heap_ = bigger;
    capacity_ = capacity;
  }
  void take(Dims& other) noexcept {
    count_ = other.count_;
    capacity_ = other.capacity_;
    heap_ = other.heap_;
    std::memcpy(inline_, other.inline_, sizeof(inline_));
    other.heap_ = nullptr;
    other.count_ = 0;
    other.capacity_ = kInline;
  }
  void release() {
    delete[] heap_;
    heap_ = nullptr;
    capacity_ = kInline;
    count_ = 0;
  }

  int count_ = 0;
  int capacity_ = kInline;
  std::int64_t* heap_ = nullptr;
  std::int64_t inline_[kInline] = {};
};

std::ostream& operator<<(std::ostream& out, const Dims& dims);  // [2, 3]

// Shape arithmetic. `op` names the operation in error messages.
std::int64_t product(IntSpan sizes);
Dims contiguous_strides(IntSpan sizes);
// Index of a dimension that may be negative; a 0-d tensor has one dimension for this purpose.
int wrap_dim(std::int64_t dim, int ndim, const char* op);
Dims broadcast_shapes(IntSpan a, IntSpan b, const char* op);
// Strides that read a tensor of `sizes` and `strides` as if it had the sizes `target`.
Dims broadcast_strides(IntSpan sizes, IntSpan strides, IntSpan target);
bool is_expandable_to(IntSpan sizes, IntSpan target);

}  // namespace fastnn
