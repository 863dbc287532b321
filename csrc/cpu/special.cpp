// Special functions one element at a time: the work is in core/special.
#include "kernels/special.h"

#include <cmath>
#include <cstring>

#include "core/special.h"
#include "cpu/elementwise.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

template <double (*function)(double)>
struct OfOne {
  template <class T>
  static T apply(T x) {
    return static_cast<T>(function(static_cast<double>(x)));
  }
};
template <double (*function)(double, double)>
struct OfTwo {
  template <class T>
  static T apply(T x, T y) {
    return static_cast<T>(function(static_cast<double>(x), static_cast<double>(y)));
  }
};

struct PolynomialOf {
  template <class T>
  static T apply(T x, T n, const Params& p) {
    const double at = p.i[1] != 0 ? 2 * static_cast<double>(x) - 1 : static_cast<double>(x);
    return static_cast<T>(special::polynomial(static_cast<special::Polynomial>(p.i[0]), at, static_cast<double>(n)));
  }
};

struct Xlog1py {
  template <class T>
  static Vec<T> apply(Vec<T> a, Vec<T> b) {
    return select(is_nan(b), b, select(a == T(0), T(0), a * log1p(b)));
  }
};

// The neighbour of a float16 in the direction of another: its exponents end sooner than those of the float that holds
// it.
float next_half(float from, float to) {
  constexpr float kLargest = 65504;
  const float magnitude = from < 0 ? -from : from;
  const float away = from < to ? 1 : -1;
  if (magnitude > kLargest) return from < 0 ? -kLargest : kLargest;
  if (magnitude == kLargest && (from > 0) == (away > 0)) return from < 0 ? -__builtin_inff() : __builtin_inff();
  // The step is 2^-10 of the power of two below, or below the smaller neighbour of a power of two.
  float power = 0x1p-14f;
  while (power * 2 <= magnitude) power *= 2;
  const bool shrinks = from != 0 && (from > 0) != (away > 0);
  if (shrinks && magnitude == power && power > 0x1p-14f) power /= 2;
  return from + away * power * 0x1p-10f;
}

// Steps through the bit patterns, which are in the order of the numbers of one sign.
struct NextAfter {
  template <class T>
  static T apply(T from, T to, const Params& p) {
    using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
    if (from != from || to != to) return from + to;
    if (from == to) return to;
    if (p.i[0] == 13) return next_half(static_cast<float>(from), static_cast<float>(to));
    const Bits step = Bits(1) << p.i[0];
    Bits bits = 0;
    std::memcpy(&bits, &from, sizeof(T));
    if (from == 0) {
      bits = step;
      if (to < 0) bits |= Bits(1) << (8 * sizeof(T) - 1);
    } else {
      bits = (from < to) == (from > 0) ? bits + step : bits - step;
    }
    T result = 0;
    std::memcpy(&result, &bits, sizeof(T));
    return result;
  }
};

struct Gcd {
  template <class T>
  static T apply(T a, T b) {
    while (b != 0) {
      const T rest = std::is_signed_v<T> && b == T(-1) ? T(0) : static_cast<T>(a % b);
      a = b;
      b = rest;
    }
    return a < 0 ? static_cast<T>(Wrapping<T>(0) - Wrapping<T>(a)) : a;
  }
};
struct Lcm {
  template <class T>
  static T apply(T a, T b) {
    const T divisor = Gcd::apply(a, b);
    if (divisor == 0) return 0;
    const T product = static_cast<T>(Wrapping<T>(static_cast<T>(a / divisor)) * Wrapping<T>(b));
    return product < 0 ? static_cast<T>(Wrapping<T>(0) - Wrapping<T>(product)) : product;
  }
};

template <double (*function)(double)>
constexpr LoopTable kOfOne = floats<OfOne<function>, 1>();
template <double (*function)(double, double)>
constexpr LoopTable kOfTwo = floats<OfTwo<function>, 2>();
constexpr LoopTable kPolynomial = floats<PolynomialOf, 2>();
constexpr LoopTable kXlog1py = vector_floats<Xlog1py, 2>();
constexpr LoopTable kNextAfter = floats<NextAfter, 2>();
constexpr LoopTable kGcd = integers<Gcd, 2>();
constexpr LoopTable kLcm = integers<Lcm, 2>();

}  // namespace

constinit const SpecialKernels special_kernels = {
    .sinc = &launch<1, kOfOne<special::sinc>>,
    .entr = &launch<1, kOfOne<special::entropy>>,
    .erfcx = &launch<1, kOfOne<special::erfcx>>,
    .ndtri = &launch<1, kOfOne<special::ndtri>>,
    .log_ndtr = &launch<1, kOfOne<special::log_ndtr>>,
    .bessel_j0 = &launch<1, kOfOne<special::bessel_j0>>,
    .bessel_j1 = &launch<1, kOfOne<special::bessel_j1>>,
    .bessel_y0 = &launch<1, kOfOne<special::bessel_y0>>,
    .bessel_y1 = &launch<1, kOfOne<special::bessel_y1>>,
    .i0 = &launch<1, kOfOne<special::bessel_i0>>,
    .i0e = &launch<1, kOfOne<special::bessel_i0_scaled>>,
    .i1 = &launch<1, kOfOne<special::bessel_i1>>,
    .i1e = &launch<1, kOfOne<special::bessel_i1_scaled>>,
    .k0 = &launch<1, kOfOne<special::bessel_k0>>,
    .k1 = &launch<1, kOfOne<special::bessel_k1>>,
    .k0e = &launch<1, kOfOne<special::bessel_k0_scaled>>,
    .k1e = &launch<1, kOfOne<special::bessel_k1_scaled>>,
    .spherical_bessel_j0 = &launch<1, kOfOne<special::spherical_bessel_j0>>,
    .airy_ai = &launch<1, kOfOne<special::airy_ai>>,
    .zeta = &launch<2, kOfTwo<special::zeta>>,
    .igamma = &launch<2, kOfTwo<special::gamma_lower>>,
    .igammac = &launch<2, kOfTwo<special::gamma_upper>>,
    .polynomial = &launch<2, kPolynomial>,
    .xlog1py = &launch<2, kXlog1py>,
    .nextafter = &launch<2, kNextAfter>,
    .gcd = &launch<2, kGcd>,
    .lcm = &launch<2, kLcm>,
};

FASTNN_CPU_END
