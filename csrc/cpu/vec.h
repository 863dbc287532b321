// Vec<float>, Vec<double>: one register of the instruction set that this copy of the room is compiled for.
//
//   for (; i + Vec<float>::size <= n; i += Vec<float>::size) (exp(Vec<float>::load(in + i)) * scale).store(out + i);
//   if (i < n) exp(Vec<float>::load_partial(in + i, n - i)).store_partial(out + i, n - i);
//
// map() at the end is that loop. Float vectors load from and store to Half and BFloat16 memory too: they widen at load
// and round at store. Nothing here needs aligned memory.
#pragma once

// Eigen's fast square root is an approximation that loses zeros and subnormal numbers.
#define EIGEN_FAST_MATH 0

#include <Eigen/Core>
#include <cstdint>
#include <type_traits>
#include <utility>

#if defined(__F16C__)
#include <immintrin.h>
#endif

#include "core/half.h"
#include "cpu/isa.h"

FASTNN_CPU_BEGIN

#define FASTNN_INLINE [[gnu::always_inline]] inline

namespace packet = Eigen::internal;

template <class T>
struct Vec;

// The result of a comparison: all bits of a lane, or none.
template <class T>
struct Mask {
  using Word = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  static constexpr int size = packet::unpacket_traits<typename packet::packet_traits<T>::type>::size;
  using Words [[gnu::vector_size(size * sizeof(T))]] = Word;
  Words v;

  FASTNN_INLINE friend Mask operator&(Mask a, Mask b) { return {a.v & b.v}; }
  FASTNN_INLINE friend Mask operator|(Mask a, Mask b) { return {a.v | b.v}; }
  FASTNN_INLINE friend Mask operator^(Mask a, Mask b) { return {a.v ^ b.v}; }
  FASTNN_INLINE friend Mask operator~(Mask a) { return {~a.v}; }
};

template <class T>
struct Vec {
  static_assert(std::is_floating_point_v<T>);
  using Packet = typename packet::packet_traits<T>::type;
  static constexpr int size = packet::unpacket_traits<Packet>::size;
  using Lanes [[gnu::vector_size(size * sizeof(T))]] = T;
  using Words = typename Mask<T>::Words;
  using Unsigned [[gnu::vector_size(size * sizeof(T))]] = std::make_unsigned_t<typename Mask<T>::Word>;

  Packet p;

  Vec() = default;
  FASTNN_INLINE Vec(T value) : p(packet::pset1<Packet>(value)) {}
  FASTNN_INLINE explicit Vec(Packet packet_value) : p(packet_value) {}
  FASTNN_INLINE static Vec of_lanes(Lanes lanes) { return Vec(__builtin_bit_cast(Packet, lanes)); }
  FASTNN_INLINE static Vec of_bits(Unsigned bits) { return Vec(__builtin_bit_cast(Packet, bits)); }
  FASTNN_INLINE Lanes lanes() const { return __builtin_bit_cast(Lanes, p); }
  FASTNN_INLINE Unsigned bits() const { return __builtin_bit_cast(Unsigned, p); }

  FASTNN_INLINE static Vec load(const T* from) { return Vec(packet::ploadu<Packet>(from)); }
  FASTNN_INLINE void store(T* to) const { packet::pstoreu(to, p); }
  // The first n lanes (0 <= n <= size); the others are zero.
  FASTNN_INLINE static Vec load_partial(const T* from, std::int64_t n);
  FASTNN_INLINE void store_partial(T* to, std::int64_t n) const;
  // Lanes first to last - 1; the others are zero, and their memory is not touched.
  FASTNN_INLINE static Vec load_range(const T* from, std::int64_t first, std::int64_t last);

  // 16-bit memory, for T = float.
  FASTNN_INLINE static Vec load(const Half* from);
  FASTNN_INLINE static Vec load(const BFloat16* from);
  FASTNN_INLINE void store(Half* to) const;
  FASTNN_INLINE void store(BFloat16* to) const;
  template <class S>
    requires(sizeof(S) == 2)
  FASTNN_INLINE static Vec load_partial(const S* from, std::int64_t n) {
    S buffer[size] = {};
    for (std::int64_t i = 0; i < n; ++i) buffer[i] = from[i];
    return load(buffer);
  }
  template <class S>
    requires(sizeof(S) == 2)
  FASTNN_INLINE void store_partial(S* to, std::int64_t n) const {
    S buffer[size];
    store(buffer);
    for (std::int64_t i = 0; i < n; ++i) to[i] = buffer[i];
  }

  FASTNN_INLINE friend Vec operator+(Vec a, Vec b) { return of_lanes(a.lanes() + b.lanes()); }
  FASTNN_INLINE friend Vec operator-(Vec a, Vec b) { return of_lanes(a.lanes() - b.lanes()); }
  FASTNN_INLINE friend Vec operator*(Vec a, Vec b) { return of_lanes(a.lanes() * b.lanes()); }
  FASTNN_INLINE friend Vec operator/(Vec a, Vec b) { return of_lanes(a.lanes() / b.lanes()); }
  FASTNN_INLINE friend Vec operator-(Vec a) { return of_lanes(-a.lanes()); }
  FASTNN_INLINE Vec& operator+=(Vec b) { return *this = *this + b; }
  FASTNN_INLINE Vec& operator-=(Vec b) { return *this = *this - b; }
  FASTNN_INLINE Vec& operator*=(Vec b) { return *this = *this * b; }
  FASTNN_INLINE Vec& operator/=(Vec b) { return *this = *this / b; }

  FASTNN_INLINE friend Mask<T> operator<(Vec a, Vec b) { return {a.lanes() < b.lanes()}; }
  FASTNN_INLINE friend Mask<T> operator<=(Vec a, Vec b) { return {a.lanes() <= b.lanes()}; }
  FASTNN_INLINE friend Mask<T> operator>(Vec a, Vec b) { return {a.lanes() > b.lanes()}; }
  FASTNN_INLINE friend Mask<T> operator>=(Vec a, Vec b) { return {a.lanes() >= b.lanes()}; }
  FASTNN_INLINE friend Mask<T> operator==(Vec a, Vec b) { return {a.lanes() == b.lanes()}; }
  FASTNN_INLINE friend Mask<T> operator!=(Vec a, Vec b) { return {a.lanes() != b.lanes()}; }
};

#define FASTNN_VEC_FUNCTION \
  template <class T>        \
  FASTNN_INLINE

// A parameter that another one decides the type of, so that numbers convert.
template <class T>
using Same = std::type_identity_t<Vec<T>>;

// mask ? a : b, lane by lane.
FASTNN_VEC_FUNCTION Vec<T> select(Mask<T> mask, Same<T> a, Same<T> b) {
  return Vec<T>::of_lanes(mask.v ? a.lanes() : b.lanes());
}
FASTNN_VEC_FUNCTION bool any(Mask<T> mask) {
  typename Mask<T>::Word total = 0;
  for (int i = 0; i < Mask<T>::size; ++i) total |= mask.v[i];
  return total != 0;
}
FASTNN_VEC_FUNCTION Mask<T> is_nan(Vec<T> a) { return a != a; }

// a * b + c: in one rounding where the instruction set can, in two where it cannot.
FASTNN_VEC_FUNCTION Vec<T> fma(Vec<T> a, Same<T> b, Same<T> c) { return Vec<T>(packet::pmadd(a.p, b.p, c.p)); }
// The second operand where either is NaN.
#if defined(__SSE2__)
FASTNN_VEC_FUNCTION Vec<T> min(Vec<T> a, Same<T> b) { return Vec<T>(packet::pmin(b.p, a.p)); }
FASTNN_VEC_FUNCTION Vec<T> max(Vec<T> a, Same<T> b) { return Vec<T>(packet::pmax(b.p, a.p)); }
#else
FASTNN_VEC_FUNCTION Vec<T> min(Vec<T> a, Same<T> b) { return select(a < b, a, b); }
FASTNN_VEC_FUNCTION Vec<T> max(Vec<T> a, Same<T> b) { return select(a > b, a, b); }
#endif
// NaN where either operand is: PyTorch's rule for maximum, amax, relu, clamp.
FASTNN_VEC_FUNCTION Vec<T> min_nan(Vec<T> a, Same<T> b) { return select(is_nan(a), a, min(a, b)); }
FASTNN_VEC_FUNCTION Vec<T> max_nan(Vec<T> a, Same<T> b) { return select(is_nan(a), a, max(a, b)); }

FASTNN_VEC_FUNCTION Vec<T> abs(Vec<T> a) { return Vec<T>(packet::pabs(a.p)); }
FASTNN_VEC_FUNCTION Vec<T> sqrt(Vec<T> a) { return Vec<T>(packet::psqrt(a.p)); }
// The magnitude of a (not negative) with the sign of b.
FASTNN_VEC_FUNCTION Vec<T> with_sign(Vec<T> magnitude, Vec<T> b) {
  return Vec<T>::of_bits(magnitude.bits() | (b.bits() & Vec<T>(T(-0.0)).bits()));
}
// To the nearest integer, ties to even.
FASTNN_VEC_FUNCTION Vec<T> round(Vec<T> a) {
  if constexpr (packet::packet_traits<T>::HasRound) {
    return Vec<T>(packet::print(a.p));
  } else {
    // Adding the power of two above which all floats are integers lets the FPU round.
    const Vec<T> big(sizeof(T) == 4 ? T(0x1p23) : T(0x1p52));
    const Vec<T> size = abs(a);
    return select(size < big, with_sign((size + big) - big, a), a);
  }
}
FASTNN_VEC_FUNCTION Vec<T> floor(Vec<T> a) {
  if constexpr (packet::packet_traits<T>::HasRound) {
    return Vec<T>(packet::pfloor(a.p));
  } else {
    const Vec<T> nearest = round(a);
    return with_sign(abs(nearest - select(nearest > a, Vec<T>(T(1)), Vec<T>(T(0)))), a);
  }
}
FASTNN_VEC_FUNCTION Vec<T> ceil(Vec<T> a) { return -floor(-a); }
FASTNN_VEC_FUNCTION Vec<T> trunc(Vec<T> a) { return with_sign(floor(abs(a)), a); }

// Over the lanes, in a fixed order (a tree of halves).
FASTNN_VEC_FUNCTION T reduce_add(Vec<T> a) { return packet::predux(a.p); }
FASTNN_VEC_FUNCTION T reduce_max(Vec<T> a) { return packet::predux_max(a.p); }
FASTNN_VEC_FUNCTION T reduce_min(Vec<T> a) { return packet::predux_min(a.p); }

// Every other lane of two vectors one after the other, from the first on.
FASTNN_VEC_FUNCTION Vec<T> even_lanes(Vec<T> a, Vec<T> b) {
  return [&]<int... I>(std::integer_sequence<int, I...>) {
    return Vec<T>::of_lanes(__builtin_shufflevector(a.lanes(), b.lanes(), (2 * I)...));
  }(std::make_integer_sequence<int, Vec<T>::size>{});
}

// A square of vectors becomes its transpose.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"
FASTNN_VEC_FUNCTION void transpose(Vec<T> (&rows)[Vec<T>::size]) {
  packet::PacketBlock<typename Vec<T>::Packet, Vec<T>::size> block;
#pragma GCC unroll 16
  for (int i = 0; i < Vec<T>::size; ++i) block.packet[i] = rows[i].p;
  packet::ptranspose(block);
#pragma GCC unroll 16
  for (int i = 0; i < Vec<T>::size; ++i) rows[i].p = block.packet[i];
}
#pragma GCC diagnostic pop

// f(scalar) on every lane, for what has no vector form.
template <class T, class F>
FASTNN_INLINE Vec<T> each_lane(Vec<T> a, F f) {
  T lanes[Vec<T>::size];
  a.store(lanes);
  for (T& lane : lanes) lane = f(lane);
  return Vec<T>::load(lanes);
}
template <class T, class F>
FASTNN_INLINE Vec<T> each_lane(Vec<T> a, Vec<T> b, F f) {
  T lanes[Vec<T>::size];
  T others[Vec<T>::size];
  a.store(lanes);
  b.store(others);
  for (int i = 0; i < Vec<T>::size; ++i) lanes[i] = f(lanes[i], others[i]);
  return Vec<T>::load(lanes);
}

// --- memory --------------------------------------------------------------------------------------------------------

#if defined(__AVX512F__)

template <>
FASTNN_INLINE Vec<float> Vec<float>::load_partial(const float* from, std::int64_t n) {
  return Vec(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1u), from));
}
template <>
FASTNN_INLINE void Vec<float>::store_partial(float* to, std::int64_t n) const {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << n) - 1u), p);
}
template <>
FASTNN_INLINE Vec<double> Vec<double>::load_partial(const double* from, std::int64_t n) {
  return Vec(_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << n) - 1u), from));
}
template <>
FASTNN_INLINE void Vec<double>::store_partial(double* to, std::int64_t n) const {
  _mm512_mask_storeu_pd(to, static_cast<__mmask8>((1u << n) - 1u), p);
}
template <>
FASTNN_INLINE Vec<float> Vec<float>::load_range(const float* from, std::int64_t first, std::int64_t last) {
  return Vec(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << last) - (1u << first)), from));
}
template <>
FASTNN_INLINE Vec<double> Vec<double>::load_range(const double* from, std::int64_t first, std::int64_t last) {
  return Vec(_mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << last) - (1u << first)), from));
}
template <>
FASTNN_INLINE Vec<float> Vec<float>::load(const Half* from) {
  return Vec(_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))));
}
template <>
FASTNN_INLINE void Vec<float>::store(Half* to) const {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtps_ph(p, _MM_FROUND_TO_NEAREST_INT));
}

#else

#if defined(__AVX2__)

// The first n words of eight.
FASTNN_INLINE __m256i first_words(std::int64_t n) {
  const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), index);
}
template <>
FASTNN_INLINE Vec<float> Vec<float>::load_partial(const float* from, std::int64_t n) {
  return Vec(Packet(_mm256_maskload_ps(from, first_words(n))));
}
template <>
FASTNN_INLINE void Vec<float>::store_partial(float* to, std::int64_t n) const {
  _mm256_maskstore_ps(to, first_words(n), p);
}
template <>
FASTNN_INLINE Vec<double> Vec<double>::load_partial(const double* from, std::int64_t n) {
  return Vec(Packet(_mm256_maskload_pd(from, first_words(2 * n))));
}
template <>
FASTNN_INLINE void Vec<double>::store_partial(double* to, std::int64_t n) const {
  _mm256_maskstore_pd(to, first_words(2 * n), p);
}

template <>
FASTNN_INLINE Vec<float> Vec<float>::load_range(const float* from, std::int64_t first, std::int64_t last) {
  return Vec(Packet(_mm256_maskload_ps(from, _mm256_andnot_si256(first_words(first), first_words(last)))));
}
template <>
FASTNN_INLINE Vec<double> Vec<double>::load_range(const double* from, std::int64_t first, std::int64_t last) {
  return Vec(Packet(_mm256_maskload_pd(from, _mm256_andnot_si256(first_words(2 * first), first_words(2 * last)))));
}

#endif

template <class T>
FASTNN_INLINE Vec<T> Vec<T>::load_range(const T* from, std::int64_t first, std::int64_t last) {
  T buffer[size] = {};
  for (std::int64_t i = first; i < last; ++i) buffer[i] = from[i];
  return load(buffer);
}
template <class T>
FASTNN_INLINE Vec<T> Vec<T>::load_partial(const T* from, std::int64_t n) {
  T buffer[size] = {};
  for (std::int64_t i = 0; i < n; ++i) buffer[i] = from[i];
  return load(buffer);
}
template <class T>
FASTNN_INLINE void Vec<T>::store_partial(T* to, std::int64_t n) const {
  T buffer[size];
  store(buffer);
  for (std::int64_t i = 0; i < n; ++i) to[i] = buffer[i];
}

#if defined(__F16C__)
template <>
FASTNN_INLINE Vec<float> Vec<float>::load(const Half* from) {
  return Vec(_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}
template <>
FASTNN_INLINE void Vec<float>::store(Half* to) const {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtps_ph(p, _MM_FROUND_TO_NEAREST_INT));
}
#else
template <>
FASTNN_INLINE Vec<float> Vec<float>::load(const Half* from) {
  float buffer[size];
  for (int i = 0; i < size; ++i) buffer[i] = static_cast<float>(from[i]);
  return load(buffer);
}
template <>
FASTNN_INLINE void Vec<float>::store(Half* to) const {
  float buffer[size];
  store(buffer);
  for (int i = 0; i < size; ++i) to[i] = Half(buffer[i]);
}
#endif

#endif

template <>
FASTNN_INLINE Vec<float> Vec<float>::load(const BFloat16* from) {
  using Halves [[gnu::vector_size(size * sizeof(std::uint16_t))]] = std::uint16_t;
  Halves halves;
  __builtin_memcpy(&halves, from, sizeof(halves));
  return of_bits(__builtin_convertvector(halves, Unsigned) << 16);
}
template <>
FASTNN_INLINE void Vec<float>::store(BFloat16* to) const {
  using Halves [[gnu::vector_size(size * sizeof(std::uint16_t))]] = std::uint16_t;
  const Unsigned wide = bits();
  const Unsigned rounded = (wide + 0x7fffu + ((wide >> 16) & 1u)) >> 16;  // to nearest, ties to even
  const Unsigned quiet = (wide >> 16) | 0x40u;
  const Unsigned result = is_nan(*this).v ? quiet : rounded;
  const Halves halves = __builtin_convertvector(result, Halves);
  __builtin_memcpy(static_cast<void*>(to), &halves, sizeof(halves));
}

// --- loops ---------------------------------------------------------------------------------------------------------

// out[i] = f(in[i]): the loop and its tail. The tail's lanes compute what they would in the loop.
template <class T, class F, class Out, class In>
FASTNN_INLINE void map(Out* out, const In* in, std::int64_t n, F f) {
  constexpr std::int64_t step = Vec<T>::size;
  std::int64_t i = 0;
  for (; i + step <= n; i += step) f(Vec<T>::load(in + i)).store(out + i);
  if (i < n) f(Vec<T>::load_partial(in + i, n - i)).store_partial(out + i, n - i);
}
template <class T, class F, class Out, class A, class B>
FASTNN_INLINE void map(Out* out, const A* a, const B* b, std::int64_t n, F f) {
  constexpr std::int64_t step = Vec<T>::size;
  std::int64_t i = 0;
  for (; i + step <= n; i += step) f(Vec<T>::load(a + i), Vec<T>::load(b + i)).store(out + i);
  if (i < n) {
    f(Vec<T>::load_partial(a + i, n - i), Vec<T>::load_partial(b + i, n - i)).store_partial(out + i, n - i);
  }
}

FASTNN_CPU_END
