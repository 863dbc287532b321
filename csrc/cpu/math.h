// Mathematical functions of Vec<float> and Vec<double>.
//
// Each states its largest error in units in the last place (ULP), for float and for double, over the whole range unless
// it says otherwise; tests/test_elementwise.py measures it. Infinities, NaN, signed zeros and subnormal numbers are as
// in C. Polynomials are minimax fits; the reductions of log and log1p are fdlibm's.
#pragma once

#include <cmath>

#include "cpu/vec.h"

FASTNN_CPU_BEGIN

namespace detail {

template <class T>
struct FloatFormat;
template <>
struct FloatFormat<float> {
  static constexpr int kMantissaBits = 23;
  static constexpr std::uint32_t kBias = 127;
  static constexpr std::uint32_t kMantissaMask = 0x007fffff;
  static constexpr std::uint32_t kOne = 0x3f800000;
  static constexpr std::uint32_t kSqrtHalf = 0x3f3504f3;
  static constexpr float kRound = 0x1.8p23f;  // adding and subtracting it rounds to an integer
  static constexpr float kSubnormalScale = 0x1p23f;
  static constexpr float kSmallestNormal = 0x1p-126f;
  static constexpr float kExpMin = -105.f, kExpMax = 89.f;  // exp is 0 below and infinite above
  static constexpr float kTanhOne = 9.1f;                   // tanh rounds to 1 from here on
  static constexpr float kLn2High = 0x1.62e3p-1f, kLn2Low = 0x1.2fefa2p-17f;
};
template <>
struct FloatFormat<double> {
  static constexpr int kMantissaBits = 52;
  static constexpr std::uint64_t kBias = 1023;
  static constexpr std::uint64_t kMantissaMask = 0x000fffffffffffff;
  static constexpr std::uint64_t kOne = 0x3ff0000000000000;
  static constexpr std::uint64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kSubnormalScale = 0x1p52;
  static constexpr double kSmallestNormal = 0x1p-1022;
  static constexpr double kExpMin = -746., kExpMax = 710.;
  static constexpr double kTanhOne = 19.1;
  static constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
};

// c[0] + c[1] x + ... by Horner's rule.
template <class T, int n>
FASTNN_INLINE Vec<T> polynomial(Vec<T> x, const T (&c)[n]) {
  Vec<T> sum(c[n - 1]);
  for (int i = n - 2; i >= 0; --i) sum = fma(sum, x, Vec<T>(c[i]));
  return sum;
}

// (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2.
FASTNN_INLINE Vec<float> exp_tail(Vec<float> r) {
  static constexpr float c[] = {0.5f, 0.16666667f, 0.041666463f, 0.0083332853f, 0.0013933904f, 0.0001990796f};
  return polynomial(r, c);
}
FASTNN_INLINE Vec<double> exp_tail(Vec<double> r) {
  static constexpr double c[] = {0.5,
                                 0.1666666666666667,
                                 0.041666666666666685,
                                 0.008333333333325971,
                                 0.0013888888888874066,
                                 0.00019841269875390621,
                                 2.4801587348122438e-05,
                                 2.7557254679473592e-06,
                                 2.7557252158557046e-07,
                                 2.5105516059122653e-08,
                                 2.0921843385659203e-09};
  return polynomial(r, c);
}

// x = n ln(2) + r, with n as a floating point integer.
template <class T>
struct ExpParts {
  Vec<T> n;
  Vec<T> r;
};
FASTNN_VEC_FUNCTION ExpParts<T> exp_parts(Vec<T> x) {
  using F = FloatFormat<T>;
  const Vec<T> n = fma(x, Vec<T>(T(1.4426950408889634)), Vec<T>(F::kRound)) - Vec<T>(F::kRound);
  return {n, fma(n, Vec<T>(-F::kLn2Low), fma(n, Vec<T>(-F::kLn2High), x))};
}

// 2^n for a floating point integer n in the range of normal exponents.
FASTNN_VEC_FUNCTION Vec<T> power_of_two(Vec<T> n) {
  using F = FloatFormat<T>;
  return Vec<T>::of_bits((n + Vec<T>(F::kRound + T(F::kBias))).bits() << F::kMantissaBits);
}

// For 1 + f in [sqrt(1/2), sqrt(2)]: s (hfsq + R) and hfsq = f^2 / 2, so that log(1 + f) = f - hfsq + s (hfsq + R).
template <class T>
struct LogParts {
  Vec<T> correction;
  Vec<T> half_square;
};
FASTNN_INLINE Vec<float> log_series(Vec<float> z) {
  static constexpr float c[] = {0x1.555554p-1f, 0x1.999c26p-2f, 0x1.23d3dcp-2f, 0x1.f13c4cp-3f};
  return z * polynomial(z, c);
}
FASTNN_INLINE Vec<double> log_series(Vec<double> z) {
  static constexpr double c[] = {6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
                                 2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01,
                                 1.479819860511658591e-01};
  return z * polynomial(z, c);
}
FASTNN_VEC_FUNCTION LogParts<T> log_parts(Vec<T> f) {
  const Vec<T> s = f / (Vec<T>(T(2)) + f);
  const Vec<T> half_square = Vec<T>(T(0.5)) * f * f;
  return {s * (half_square + log_series(s * s)), half_square};
}

// x = 2^k (1 + f) for a positive normal x.
template <class T>
struct Split {
  Vec<T> k;
  Vec<T> f;
};
FASTNN_VEC_FUNCTION Split<T> split(Vec<T> x) {
  using F = FloatFormat<T>;
  using Bits = typename Vec<T>::Unsigned;
  const Bits shifted = x.bits() + (F::kOne - F::kSqrtHalf);
  const Bits k = (shifted >> F::kMantissaBits) - F::kBias;
  const Bits m = (shifted & F::kMantissaMask) + F::kSqrtHalf;
  // The integer becomes a float through the low bits of kRound.
  const Vec<T> round(F::kRound);
  return {Vec<T>::of_bits(round.bits() + k) - round, Vec<T>::of_bits(m) - Vec<T>(T(1))};
}

// `result` with the values of a logarithm where x is 0, negative, infinite or NaN.
FASTNN_VEC_FUNCTION Vec<T> log_edges(Vec<T> x, Vec<T> result) {
  const Vec<T> infinity = T(__builtin_inf());
  result = select(x == infinity, infinity, result);
  result = select(x == Vec<T>(T(0)), -infinity, result);
  return select(x >= Vec<T>(T(0)), result, Vec<T>(T(__builtin_nan(""))));
}

// log(x) in base b as k log_b(2) + log_b(1 + f), for any x.
template <class T, class Combine>
FASTNN_INLINE Vec<T> log_with(Vec<T> x, Combine combine) {
  using F = FloatFormat<T>;
  const Mask<T> subnormal = x < Vec<T>(F::kSmallestNormal);
  const Vec<T> scaled = select(subnormal, x * Vec<T>(F::kSubnormalScale), x);
  auto [k, f] = split(scaled);
  k = select(subnormal, k - Vec<T>(T(F::kMantissaBits)), k);
  return log_edges(x, combine(k, f, log_parts(f)));
}

}  // namespace detail

// exp: 1 ULP, 1 ULP.
FASTNN_VEC_FUNCTION Vec<T> exp(Vec<T> x) {
  using F = detail::FloatFormat<T>;
  using Bits = typename Vec<T>::Unsigned;
  x = max(Vec<T>(F::kExpMin), min(Vec<T>(F::kExpMax), x));  // this way round NaN stays
  const auto [n, r] = detail::exp_parts(x);
  const Vec<T> y = fma(r * r, detail::exp_tail(r), r) + Vec<T>(T(1));
  // 2^n in two factors, since n exceeds the normal exponents at both ends.
  const Bits exponents = (n + Vec<T>(F::kRound + T(2 * F::kBias))).bits() - Vec<T>(F::kRound).bits();
  const Bits half = exponents >> 1;
  const Vec<T> first = Vec<T>::of_bits(half << F::kMantissaBits);
  const Vec<T> second = Vec<T>::of_bits((exponents - half) << F::kMantissaBits);
  return y * first * second;
}

// expm1: 2 ULP, 2 ULP.
FASTNN_VEC_FUNCTION Vec<T> expm1(Vec<T> x) {
  using F = detail::FloatFormat<T>;
  // Far below -0.5 kExpMax exp(x) does not count beside 1.
  const Vec<T> bounded = max(Vec<T>(T(-0.5) * F::kExpMax), min(Vec<T>(F::kExpMax), x));
  const auto [n, r] = detail::exp_parts(bounded);
  const Vec<T> tail = fma(r * r, detail::exp_tail(r), r);  // exp(r) - 1
  // 2^n (tail + 1) - 1, by halves because 2^n may overflow where the result does not.
  const Vec<T> scale = detail::power_of_two(n - Vec<T>(T(1)));
  const Vec<T> half = fma(tail, scale, scale - Vec<T>(T(0.5)));
  return select(abs(x) < Vec<T>(F::kSmallestNormal), x, half + half);
}

// log: 1 ULP, 1 ULP.
FASTNN_VEC_FUNCTION Vec<T> log(Vec<T> x) {
  using F = detail::FloatFormat<T>;
  return detail::log_with(x, [](Vec<T> k, Vec<T> f, detail::LogParts<T> parts) {
    const Vec<T> low = fma(k, Vec<T>(F::kLn2Low), parts.correction);
    return fma(k, Vec<T>(F::kLn2High), f - (parts.half_square - low));
  });
}

// log2: 2 ULP, 2 ULP; exact for powers of two.
FASTNN_VEC_FUNCTION Vec<T> log2(Vec<T> x) {
  return detail::log_with(x, [](Vec<T> k, Vec<T> f, detail::LogParts<T> parts) {
    constexpr T kHigh = std::is_same_v<T, float> ? T(0x1.715476p+0) : T(0x1.71547652b82fep+0);
    constexpr T kLow = std::is_same_v<T, float> ? T(0x1.4ae0cp-26) : T(0x1.777d0ffda0d24p-56);
    const Vec<T> log1p_f = f - (parts.half_square - parts.correction);
    return fma(log1p_f, Vec<T>(kHigh), fma(log1p_f, Vec<T>(kLow), k));
  });
}

// log10: 2 ULP, 2 ULP.
FASTNN_VEC_FUNCTION Vec<T> log10(Vec<T> x) {
  return detail::log_with(x, [](Vec<T> k, Vec<T> f, detail::LogParts<T> parts) {
    constexpr T kLog10Of2High = std::is_same_v<T, float> ? T(0x1.344p-2) : T(0x1.34413509f6p-2);
    constexpr T kLog10Of2Low = T(0.30102999566398119521 - (std::is_same_v<T, float> ? 0x1.344p-2 : 0x1.34413509f6p-2));
    const Vec<T> log1p_f = f - (parts.half_square - parts.correction);
    const Vec<T> low = fma(k, Vec<T>(kLog10Of2Low), log1p_f * Vec<T>(T(0.43429448190325182765)));
    return fma(k, Vec<T>(kLog10Of2High), low);
  });
}

// log1p: 1 ULP, 1 ULP.
FASTNN_VEC_FUNCTION Vec<T> log1p(Vec<T> x) {
  using F = detail::FloatFormat<T>;
  const Vec<T> one(T(1));
  const Vec<T> sum = one + x;
  const auto [k, sum_f] = detail::split(sum);
  const Mask<T> unscaled = k == Vec<T>(T(0));
  const Vec<T> f = select(unscaled, x, sum_f);
  // What 1 + x lost to rounding, as a correction of the logarithm.
  const Vec<T> lost = select(x > one, one - (sum - x), x - (sum - one));
  const Vec<T> c = select(unscaled, Vec<T>(T(0)), lost / sum);
  const auto parts = detail::log_parts(f);
  const Vec<T> low = fma(k, Vec<T>(F::kLn2Low), c) + parts.correction;
  const Vec<T> result = fma(k, Vec<T>(F::kLn2High), f - (parts.half_square - low));
  return select(abs(x) < Vec<T>(F::kSmallestNormal), x, detail::log_edges(sum, result));
}

// sigmoid, 1 / (1 + exp(-x)): 3 ULP, 3 ULP where the result is normal.
FASTNN_VEC_FUNCTION Vec<T> sigmoid(Vec<T> x) { return Vec<T>(T(1)) / (Vec<T>(T(1)) + exp(-x)); }

// tanh: 3 ULP, 3 ULP.
FASTNN_VEC_FUNCTION Vec<T> tanh(Vec<T> x) {
  const Vec<T> limit(detail::FloatFormat<T>::kTanhOne);
  const Vec<T> size = abs(x);
  const Vec<T> e = expm1(min(limit, size) * Vec<T>(T(2)));
  return with_sign(e / (e + Vec<T>(T(2))), x);
}

// erf: 2 ULP, 1 ULP (double goes through the C library).
FASTNN_INLINE Vec<float> erf(Vec<float> x) {
  using V = Vec<float>;
  // (erf(x) / x) - 1 in x^2 up to 1; log(1 - erf(x)) in x up to 4, where erf rounds to 1.
  static constexpr float small[] = {0.12837917f,   -0.37612626f,    0.11283585f,   -0.026853813f,
                                    0.0051883277f, -0.00080101937f, 7.8538615e-05f};
  static constexpr float large[] = {0.00018846817f, -1.1295803f,    -0.63321638f,   -0.1084221f,
                                    0.02521034f,    -0.0042052851f, 0.00044147269f, -2.1697616e-05f};
  const V size = abs(x);
  const V bounded = min(V(4.f), size);
  const V near = fma(size, detail::polynomial(size * size, small), size);
  const V far = V(1.f) - exp(detail::polynomial(bounded, large));
  return with_sign(select(size < V(1.f), near, far), x);
}
FASTNN_INLINE Vec<double> erf(Vec<double> x) {
  return each_lane(x, [](double lane) { return ::erf(lane); });
}

// sin, cos: 3 ULP, 1 ULP (double goes through the C library).
FASTNN_INLINE Vec<float> sin(Vec<float> x) { return Vec<float>(packet::psin(x.p)); }
FASTNN_INLINE Vec<float> cos(Vec<float> x) { return Vec<float>(packet::pcos(x.p)); }
FASTNN_INLINE Vec<double> sin(Vec<double> x) {
  return each_lane(x, [](double lane) { return ::sin(lane); });
}
FASTNN_INLINE Vec<double> cos(Vec<double> x) {
  return each_lane(x, [](double lane) { return ::cos(lane); });
}

// pow: 1 ULP, 1 ULP (through the C library where the instruction set cannot round).
FASTNN_VEC_FUNCTION Vec<T> pow(Vec<T> x, Vec<T> y) {
  if constexpr (packet::packet_traits<T>::HasRound) {
    const Vec<T> result(packet::generic_pow(x.p, y.p));
    // Zeros from negative zero and infinity keep the sign for odd exponents.
    const Vec<T> half = y * Vec<T>(T(0.5));
    const Mask<T> odd = (floor(y) == y) & (floor(half) != half);
    return select(odd & (result == Vec<T>(T(0))), with_sign(abs(result), x), result);
  } else {
    return each_lane(x, y, [](T a, T b) { return std::is_same_v<T, float> ? ::powf(a, b) : ::pow(a, b); });
  }
}

// --- activations -----------------------------------------------------------------------------------------------------

// log(1 + exp(x)) without overflow: 2 ULP, 2 ULP.
FASTNN_VEC_FUNCTION Vec<T> softplus(Vec<T> x) { return max_nan(x, Vec<T>(T(0))) + log1p(exp(-abs(x))); }
// x times the normal distribution function.
FASTNN_VEC_FUNCTION Vec<T> gelu(Vec<T> x) {
  const Vec<T> half = Vec<T>(T(0.5)) * x;
  return fma(half, erf(x * Vec<T>(T(0.70710678118654752440))), half);
}

FASTNN_CPU_END
