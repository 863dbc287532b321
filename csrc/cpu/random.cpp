#include "kernels/random.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <type_traits>

#include "core/parallel.h"
#include "cpu/loops.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

// Multiply-adds are written as std::fma where PyTorch's compiler fuses them, so that normals are equal bit for bit
// in every instruction set; no product below is an operand of a plain addition.

void stretch(float* data, std::int64_t n, float from, float to) {
  const float range = to - from;
  FASTNN_IVDEP
  for (std::int64_t i = 0; i < n; ++i) {
    const float value = std::fma(data[i], range, from);
    data[i] = value == to ? from : value;
  }
}

// Cephes' logf for x in (0, 1]; at most 1 ulp.
inline float log_unit(float x) {
  constexpr float sqrt_half = 0.707106781186547524F;
  constexpr float ln2_high = 0.693359375F;
  constexpr float ln2_low = -2.12194440e-4F;
  constexpr std::array<float, 9> c = {7.0376836292e-2F,  -1.1514610310e-1F, 1.1676998740e-1F,
                                      -1.2420140846e-1F, 1.4249322787e-1F,  -1.6668057665e-1F,
                                      2.0000714765e-1F,  -2.4999993993e-1F, 3.3333331174e-1F};
  const auto bits = std::bit_cast<std::int32_t>(x);
  float m = std::bit_cast<float>((bits & 0x007fffff) | 0x3f000000);  // [0.5, 1)
  const std::int32_t low = m < sqrt_half ? -1 : 0;
  const auto exponent = static_cast<float>((bits >> 23) - 126 + low);
  m = (m - 1.0F) + std::bit_cast<float>(std::bit_cast<std::int32_t>(m) & low);
  const float square = m * m;
  float y = c[0];
#pragma GCC unroll 8
  for (std::size_t i = 1; i < c.size(); ++i) y = std::fma(y, m, c[i]);
  y = std::fma(y * m, square, exponent * ln2_low);
  y = std::fma(-0.5F, square, y);
  return std::fma(exponent, ln2_high, m + y);
}

inline float flip_sign(float x, std::int32_t condition_bit_2) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(x) ^
                              (static_cast<std::uint32_t>(condition_bit_2 & 4) << 29));
}

// Cephes' sinf and cosf for x in [0, 2 pi].
inline void sincos_turn(float x, float& sin, float& cos) {
  constexpr float four_over_pi = 1.27323954473516F;
  constexpr float quarter_pi_a = 0.78515625F;  // pi / 4 in three parts
  constexpr float quarter_pi_b = 2.4187564849853515625e-4F;
  constexpr float quarter_pi_c = 3.77489497744594108e-8F;
  const std::int32_t octant = (static_cast<std::int32_t>(x * four_over_pi) + 1) & ~1;
  const auto j = static_cast<float>(octant);
  x = std::fma(j, -quarter_pi_a, x);
  x = std::fma(j, -quarter_pi_b, x);
  x = std::fma(j, -quarter_pi_c, x);
  const float z = x * x;
  float c = std::fma(2.443315711809948e-5F, z, -1.388731625493765e-3F);
  c = std::fma(c, z, 4.166664568298827e-2F);
  c = std::fma(c * z, z, -0.5F * z) + 1.0F;
  float s = std::fma(-1.9515295891e-4F, z, 8.3321608736e-3F);
  s = std::fma(s, z, -1.6666654611e-1F);
  s = std::fma(s * z, x, x);
  const bool swapped = (octant & 2) != 0;
  sin = flip_sign(swapped ? c : s, octant);
  cos = flip_sign(swapped ? s : c, ~(octant - 2));
}

constexpr int kHalfBlock = 8;  // a block is 8 radii, then 8 angles

void box_muller(float* data, std::int64_t blocks, float mean, float std) {
  constexpr float two_pi = 6.28318530717958647692F;
  constexpr int pairs = 256;  // at a time, so that the loop over them is long enough to be vectorised
  alignas(64) float u[pairs] = {};
  alignas(64) float v[pairs] = {};
  while (blocks > 0) {
    const int count = static_cast<int>(std::min<std::int64_t>(blocks, pairs / kHalfBlock));
    for (int b = 0; b < count; ++b) {
      std::copy_n(data + 2 * b * kHalfBlock, kHalfBlock, u + b * kHalfBlock);
      std::copy_n(data + (2 * b + 1) * kHalfBlock, kHalfBlock, v + b * kHalfBlock);
    }
    const int used = count * kHalfBlock;
    FASTNN_IVDEP
    for (int i = 0; i < used; ++i) {
      const float radius = std::sqrt(-2.0F * log_unit(1.0F - u[i]));
      float sin;
      float cos;
      sincos_turn(two_pi * v[i], sin, cos);
      u[i] = std::fma(radius * cos, std, mean);
      v[i] = std::fma(radius * sin, std, mean);
    }
    for (int b = 0; b < count; ++b) {
      std::copy_n(u + b * kHalfBlock, kHalfBlock, data + 2 * b * kHalfBlock);
      std::copy_n(v + b * kHalfBlock, kHalfBlock, data + (2 * b + 1) * kHalfBlock);
    }
    data += 2 * used;
    blocks -= count;
  }
}

// --- dropout -------------------------------------------------------------------------------------------------------

constexpr int kLanes = 64;
constexpr int kWords = 4 * kLanes;  // one call of philox
constexpr int kRounds = 7;

// 256 words: word w of counter `first` + i stands at w * kLanes + i.
void philox(std::uint64_t seed, std::uint64_t first, std::uint32_t* words) {
  constexpr std::uint64_t multiplier_a = 0xd2511f53U;
  constexpr std::uint64_t multiplier_b = 0xcd9e8d57U;
  constexpr std::uint32_t weyl_a = 0x9e3779b9U;
  constexpr std::uint32_t weyl_b = 0xbb67ae85U;
  const auto counter_low = static_cast<std::uint32_t>(first);  // a multiple of kLanes: adding i carries nothing
  const auto counter_high = static_cast<std::uint32_t>(first >> 32);
  const auto seed_low = static_cast<std::uint32_t>(seed);
  const auto seed_high = static_cast<std::uint32_t>(seed >> 32);
  FASTNN_IVDEP
  for (std::uint32_t i = 0; i < kLanes; ++i) {
    std::uint32_t c0 = counter_low + i;
    std::uint32_t c1 = counter_high;
    std::uint32_t c2 = 0;
    std::uint32_t c3 = 0;
    std::uint32_t key_a = seed_low;
    std::uint32_t key_b = seed_high;
#pragma GCC unroll 7
    for (int round = 0; round < kRounds; ++round) {
      const std::uint64_t a = multiplier_a * c0;
      const std::uint64_t b = multiplier_b * c2;
      c0 = static_cast<std::uint32_t>(b >> 32) ^ c1 ^ key_a;
      c2 = static_cast<std::uint32_t>(a >> 32) ^ c3 ^ key_b;
      c1 = static_cast<std::uint32_t>(b);
      c3 = static_cast<std::uint32_t>(a);
      key_a += weyl_a;
      key_b += weyl_b;
    }
    words[i] = c0;
    words[kLanes + i] = c1;
    words[2 * kLanes + i] = c2;
    words[3 * kLanes + i] = c3;
  }
}

template <class C>
void select(C* out, const C* in, const std::uint32_t* words, std::uint32_t last_kept, int n, C scale) {
  FASTNN_IVDEP
  for (int i = 0; i < n; ++i) out[i] = in[i] * (words[i] <= last_kept ? scale : C(0));
}

template <class T>
void dropout_of(const View& out, const View& in, const DropoutMask& mask, double scale) {
  using C = std::conditional_t<std::is_same_v<T, double>, double, float>;
  constexpr std::int64_t grain = 64;  // calls of philox: 16384 elements
  const std::int64_t n = in.numel();
  const auto last_kept =
      static_cast<std::uint32_t>(std::clamp(std::round(mask.keep * 0x1p32) - 1.0, 0.0, 0x1p32 - 1.0));
  T* const target = out.as<T>();
  const T* const source = in.as<T>();
  parallel_for((n + kWords - 1) / kWords, grain, [&](std::int64_t begin, std::int64_t end) {
    alignas(64) std::uint32_t words[kWords];
    for (std::int64_t b = begin; b < end; ++b) {
      const std::int64_t offset = b * kWords;
      const int count = static_cast<int>(std::min<std::int64_t>(kWords, n - offset));
      philox(mask.seed, static_cast<std::uint64_t>(b) * kLanes, words);
      if constexpr (std::is_same_v<T, C>) {
        select<C>(target + offset, source + offset, words, last_kept, count, static_cast<C>(scale));
      } else {
        alignas(64) C block[kWords];
        converter(dtype_of<C>, dtype_of<T>)(block, source + offset, count);
        select<C>(block, block, words, last_kept, count, static_cast<C>(scale));
        converter(dtype_of<T>, dtype_of<C>)(target + offset, block, count);
      }
    }
  });
}

void dropout(const View& out, const View& in, const DropoutMask& mask, double scale) {
  switch (in.dtype) {
    case DType::Float64:
      return dropout_of<double>(out, in, mask, scale);
    case DType::Float16:
      return dropout_of<Half>(out, in, mask, scale);
    case DType::BFloat16:
      return dropout_of<BFloat16>(out, in, mask, scale);
    default:
      return dropout_of<float>(out, in, mask, scale);
  }
}

}  // namespace

constinit const RandomKernels random_kernels = {
    .stretch = &stretch,
    .box_muller = &box_muller,
    .dropout = &dropout,
};

FASTNN_CPU_END
