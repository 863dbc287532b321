// The geometry of a reduction: which elements of the input belong to which element of the output.
#pragma once

#include <cstring>

#include "core/parallel.h"
#include "cpu/loops.h"

FASTNN_CPU_BEGIN

// Dimensions with strides in elements, walked in row-major order.
struct Axes {
  int count = 0;
  std::int64_t total = 1;
  std::int64_t sizes[kMaxDims];
  std::int64_t in[kMaxDims];
  std::int64_t out[kMaxDims];

  void push(std::int64_t size, std::int64_t in_stride, std::int64_t out_stride) {
    total *= size;
    if (size == 1) return;
    sizes[count] = size;
    in[count] = in_stride;
    out[count] = out_stride;
    ++count;
  }
  // Memory order, and neighbours that are walked as one merged.
  void normalize() {
    if (total == 0) count = 0;
    for (int i = 1; i < count; ++i) {
      for (int j = i; j > 0 && in[j - 1] < in[j]; --j) swap(j - 1, j);
    }
    int last = 0;
    for (int i = 1; i < count; ++i) {
      if (in[last] == in[i] * sizes[i] && out[last] == out[i] * sizes[i]) {
        sizes[last] *= sizes[i];
      } else {
        ++last;
        sizes[last] = sizes[i];
      }
      in[last] = in[i];
      out[last] = out[i];
    }
    if (count == 0) {
      sizes[0] = total;  // nothing but ones, or nothing at all
      in[0] = out[0] = 1;
    }
    count = last + 1;
  }

 private:
  void swap(int a, int b) {
    for (std::int64_t* list : {sizes, in, out}) {
      const std::int64_t t = list[a];
      list[a] = list[b];
      list[b] = t;
    }
  }
};

// A position in Axes.
class AxesCursor {
 public:
  AxesCursor(const Axes& axes, std::int64_t linear) : axes_(axes) {
    for (int d = axes.count - 1; d >= 0; --d) {
      at_[d] = linear % axes.sizes[d];
      linear /= axes.sizes[d];
      in_ += at_[d] * axes.in[d];
      out_ += at_[d] * axes.out[d];
    }
  }
  std::int64_t in() const { return in_; }
  std::int64_t out() const { return out_; }
  // Elements left in the innermost row.
  std::int64_t row_left() const { return axes_.sizes[axes_.count - 1] - at_[axes_.count - 1]; }
  // n <= row_left()
  void advance(std::int64_t n) {
    int d = axes_.count - 1;
    at_[d] += n;
    in_ += n * axes_.in[d];
    out_ += n * axes_.out[d];
    while (d > 0 && at_[d] == axes_.sizes[d]) {
      in_ += axes_.in[d - 1] - axes_.sizes[d] * axes_.in[d];
      out_ += axes_.out[d - 1] - axes_.sizes[d] * axes_.out[d];
      at_[d] = 0;
      ++at_[--d];
    }
  }

 private:
  const Axes& axes_;
  std::int64_t at_[kMaxDims];
  std::int64_t in_ = 0;
  std::int64_t out_ = 0;
};

// n elements of `size` bytes, `stride` bytes apart, into contiguous memory.
template <class Word>
void gather_words(void* to, const char* from, std::int64_t stride, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) static_cast<Word*>(to)[i] = *reinterpret_cast<const Word*>(from + i * stride);
}
inline void gather_elements(void* to, const char* from, std::int64_t stride, std::int64_t n, std::int64_t size) {
  switch (size) {
    case 1:
      return gather_words<std::uint8_t>(to, from, stride, n);
    case 2:
      return gather_words<std::uint16_t>(to, from, stride, n);
    case 4:
      return gather_words<std::uint32_t>(to, from, stride, n);
    default:
      return gather_words<std::uint64_t>(to, from, stride, n);
  }
}

// Reads n elements with a stride (in elements) as contiguous elements of `to`: `to` has room for n, `scratch` too.
inline void load_strided(void* to, DType to_dtype, const char* from, DType from_dtype, std::int64_t stride,
                         std::int64_t n, void* scratch) {
  const std::int64_t size = itemsize(from_dtype);
  const void* contiguous = from;
  if (stride != 1) {
    gather_elements(scratch, from, stride * size, n, size);
    contiguous = scratch;
  }
  converter(to_dtype, from_dtype)(to, contiguous, n);
}

// Writes one value in any dtype.
template <class T>
void store_one(char* data, std::int64_t index, DType dtype, T value) {
  switch (dtype) {
    case DType::UInt8:
      reinterpret_cast<std::uint8_t*>(data)[index] = static_cast<std::uint8_t>(value);
      return;
    case DType::Int8:
      reinterpret_cast<std::int8_t*>(data)[index] = static_cast<std::int8_t>(value);
      return;
    case DType::Int16:
      reinterpret_cast<std::int16_t*>(data)[index] = static_cast<std::int16_t>(value);
      return;
    case DType::Int32:
      reinterpret_cast<std::int32_t*>(data)[index] = static_cast<std::int32_t>(value);
      return;
    case DType::Int64:
      reinterpret_cast<std::int64_t*>(data)[index] = static_cast<std::int64_t>(value);
      return;
    case DType::Float32:
      reinterpret_cast<float*>(data)[index] = static_cast<float>(value);
      return;
    case DType::Float64:
      reinterpret_cast<double*>(data)[index] = static_cast<double>(value);
      return;
    case DType::Bool:
      reinterpret_cast<bool*>(data)[index] = value != T(0);
      return;
    case DType::Float16:
      reinterpret_cast<Half*>(data)[index] = Half(static_cast<float>(value));
      return;
    case DType::BFloat16:
      reinterpret_cast<BFloat16*>(data)[index] = BFloat16(static_cast<float>(value));
      return;
    default:
      fail_not_implemented("reduce", dtype);
  }
}

inline std::int64_t at_least(std::int64_t value, std::int64_t bound) { return value < bound ? bound : value; }
inline std::int64_t at_most(std::int64_t value, std::int64_t bound) { return value < bound ? value : bound; }
inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

FASTNN_CPU_END
