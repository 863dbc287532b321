// A few values of one type, as wide as a register: for loops whose iterations depend on one another in a way that the
// compiler may not reorder (sums). Arithmetic and comparisons work on a pack as on a value; `mask ? a : b` selects.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/isa.h"

FASTNN_CPU_BEGIN

#if defined(__AVX512F__)
inline constexpr int kPackBytes = 64;
#elif defined(__AVX__)
inline constexpr int kPackBytes = 32;
#else
inline constexpr int kPackBytes = 16;
#endif

template <class T>
struct PackOf {
  typedef T type __attribute__((vector_size(kPackBytes)));
};
template <class T>
using Pack = typename PackOf<T>::type;
template <class T>
inline constexpr int kLanes = kPackBytes / static_cast<int>(sizeof(T));

template <class T>
[[gnu::always_inline]] inline Pack<T> load_pack(const T* from) {
  Pack<T> pack;
  std::memcpy(&pack, from, sizeof(pack));
  return pack;
}
template <class T>
[[gnu::always_inline]] inline void store_pack(T* to, Pack<T> pack) {
  std::memcpy(to, &pack, sizeof(pack));
}
template <class T>
[[gnu::always_inline]] inline Pack<T> splat(T value) {
  return Pack<T>{} + value;
}

FASTNN_CPU_END
