// Arithmetic of two and three operands, and what only moves elements.
#include "cpu/elementwise.h"

#include <cmath>
#include <cstring>

#include "cpu/complex.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

// The number k of the parameters in the type of the operation.
template <class T>
T number(const Params& p, int k) {
  if constexpr (is_complex_type<T>) {
    using Part = decltype(T::re);
    return T(static_cast<Part>(p.d[k]), static_cast<Part>(p.d[k + 1]));
  } else {
    return std::is_integral_v<T> ? static_cast<T>(p.i[k]) : static_cast<T>(p.d[k]);
  }
}

// --- two operands ----------------------------------------------------------------------------------------------------

struct Add {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(Wrapping<T>(a) + Wrapping<T>(b));
  }
};
struct Sub {
  template <class T>
  static T apply(T a, T b) {
    return static_cast<T>(Wrapping<T>(a) - Wrapping<T>(b));
  }
};
struct Mul {
  template <class T>
  static T apply(T a, T b) {
    const auto product = Wrapping<T>(a) * Wrapping<T>(b);
    return static_cast<T>(product);
  }
};
struct Div {
  template <class T>
  static T apply(T a, T b) {
    return a / b;
  }
};
struct AddScaled {
  template <class T>
  static T apply(T a, T b, const Params& p) {
    return static_cast<T>(Wrapping<T>(a) + Wrapping<T>(number<T>(p, 0)) * Wrapping<T>(b));
  }
};

// Quotient and remainder as C has them; the one quotient that does not fit wraps.
template <class T>
T quotient(T a, T b) {
  if (b == 0) fail_division_by_zero();
  if constexpr (std::is_signed_v<T>) {
    if (b == T(-1)) return static_cast<T>(Wrapping<T>(0) - Wrapping<T>(a));
  }
  return static_cast<T>(a / b);
}
template <class T>
T rest(T a, T b) {
  if (b == 0) fail_division_by_zero();
  if constexpr (std::is_signed_v<T>) {
    if (b == T(-1)) return 0;
  }
  return static_cast<T>(a % b);
}

struct DivTrunc {
  template <class T>
  static T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      return quotient(a, b);
    } else {
      return std::trunc(a / b);
    }
  }
};
struct DivFloor {
  template <class T>
  static T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      const T q = quotient(a, b);
      return static_cast<T>(rest(a, b) != 0 && (a < 0) != (b < 0) ? q - 1 : q);
    } else {
      // From the remainder, which is exact: a / b may round up to an integer.
      if (b == 0) return a / b;
      const T mod = std::fmod(a, b);
      T q = (a - mod) / b;
      if (mod != 0 && (b < 0) != (mod < 0)) q -= 1;
      if (q == 0) return std::copysign(T(0), a / b);
      const T floored = std::floor(q);
      return q - floored > T(0.5) ? floored + 1 : floored;
    }
  }
};
struct Fmod {
  template <class T>
  static T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      return rest(a, b);
    } else {
      return std::fmod(a, b);
    }
  }
};
struct Remainder {
  template <class T>
  static T apply(T a, T b) {
    const T r = Fmod::apply(a, b);
    return static_cast<T>(r != 0 && (r < 0) != (b < 0) ? r + b : r);
  }
};

struct PowFloat {
  template <class T>
  static Vec<T> apply(Vec<T> a, Vec<T> b) {
    return pow(a, b);
  }
};
struct PowInteger {
  template <class T>
  static T apply(T base, T exponent) {
    if (exponent < 0) return static_cast<T>(base == 1 ? 1 : base == T(-1) ? (exponent % 2 != 0 ? -1 : 1) : 0);
    Wrapping<T> result = 1;
    auto square = static_cast<Wrapping<T>>(base);
    for (auto bits = static_cast<std::make_unsigned_t<T>>(exponent); bits != 0; bits >>= 1) {
      if (bits & 1) result *= square;
      square *= square;
    }
    return static_cast<T>(result);
  }
};

struct Maximum {
  template <class T>
  static T apply(T a, T b) {
    return a > b || a != a ? a : b;
  }
};
struct Minimum {
  template <class T>
  static T apply(T a, T b) {
    return a < b || a != a ? a : b;
  }
};
struct Fmax {
  template <class T>
  static T apply(T a, T b) {
    return a > b || b != b ? a : b;
  }
};
struct Fmin {
  template <class T>
  static T apply(T a, T b) {
    return a < b || b != b ? a : b;
  }
};

struct Atan2 {
  template <class T>
  static T apply(T a, T b) {
    return std::atan2(a, b);
  }
};
struct Hypot {
  template <class T>
  static T apply(T a, T b) {
    return std::hypot(a, b);
  }
};
struct Copysign {
  template <class T>
  static T apply(T a, T b) {
    return std::copysign(a, b);
  }
};
struct Logaddexp {
  template <class T>
  static Vec<T> apply(Vec<T> a, Vec<T> b) {
    const Vec<T> m = max_nan(a, b);
    const Vec<T> sum = m + log1p(exp(-abs(a - b)));
    return select((a == b) & (abs(a) == T(__builtin_inf())), a, sum);
  }
};
struct Logaddexp2 {
  template <class T>
  static Vec<T> apply(Vec<T> a, Vec<T> b) {
    constexpr T kLn2 = T(0.69314718055994530942);
    constexpr T kLog2E = T(1.4426950408889634074);
    const Vec<T> sum = fma(log1p(exp(-abs(a - b) * kLn2)), kLog2E, max_nan(a, b));
    return select((a == b) & (abs(a) == T(__builtin_inf())), a, sum);
  }
};
struct Xlogy {
  template <class T>
  static Vec<T> apply(Vec<T> a, Vec<T> b) {
    return select(is_nan(b), b, select(a == T(0), T(0), a * log(b)));
  }
};
struct Heaviside {
  template <class T>
  static T apply(T a, T b) {
    return a == 0 ? b : static_cast<T>(a > 0);
  }
};

// --- three operands, and parameters ----------------------------------------------------------------------------------

struct Addcmul {
  template <class T>
  static T apply(T a, T b, T c, const Params& p) {
    return static_cast<T>(Wrapping<T>(a) + Wrapping<T>(number<T>(p, 0)) * Wrapping<T>(b) * Wrapping<T>(c));
  }
};
struct Addcdiv {
  template <class T>
  static T apply(T a, T b, T c, const Params& p) {
    return a + number<T>(p, 0) * b / c;
  }
};
struct Lerp {
  template <class T>
  static T apply(T a, T b, T weight) {
    // From the nearer end, so that both ends are exact.
    const T step = b - a;
    bool near = false;
    if constexpr (is_complex_type<T>) {
      near = weight.re * weight.re + weight.im * weight.im < 0.25f;
    } else {
      near = std::abs(weight) < T(0.5);
    }
    return near ? a + weight * step : b - step * (T(1) - weight);
  }
};
struct Clamp {
  template <class T>
  static T apply(T x, const Params& p) {
    return apply(x, number<T>(p, 0), number<T>(p, 1));
  }
  template <class T>
  static T apply(T x, T low, T high) {
    return Minimum::apply(Maximum::apply(x, low), high);
  }
};
struct ClampBackward {
  template <class T>
  static T apply(T g, T x, const Params& p) {
    return x >= T(p.d[0]) && x <= T(p.d[1]) ? g : T(0);
  }
};
struct NanToNum {
  template <class T>
  static T apply(T x, const Params& p) {
    constexpr T kInfinity = T(__builtin_inf());
    const T infinite = x == kInfinity ? T(p.d[1]) : x == -kInfinity ? T(p.d[2]) : x;
    return x != x ? T(p.d[0]) : infinite;
  }
};

// --- moving elements -------------------------------------------------------------------------------------------------

template <class T>
void copy_loop(void* out, const void* const* in, std::int64_t n, const Params&) {
  std::memmove(out, in[0], static_cast<std::size_t>(n) * sizeof(T));
}

template <class T>
void fill_loop(void* out, const void* const*, std::int64_t n, const Params& p) {
  const T value = number<T>(p, 0);
  auto* o = static_cast<T*>(out);
  for (std::int64_t i = 0; i < n; ++i) o[i] = value;
}

template <class Word>
void where_loop(void* out, const void* const* in, std::int64_t n, const Params&) {
  auto* o = static_cast<Word*>(out);
  const auto* condition = static_cast<const std::uint8_t*>(in[0]);
  const auto* a = static_cast<const Word*>(in[1]);
  const auto* b = static_cast<const Word*>(in[2]);
  FASTNN_IVDEP
  for (std::int64_t i = 0; i < n; ++i) o[i] = condition[i] != 0 ? a[i] : b[i];
}

// One loop per size of the elements.
constexpr LoopTable by_size(LoopFn one, LoopFn two, LoopFn four, LoopFn eight, LoopFn sixteen) {
  LoopTable table{};
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto size = kDTypes[static_cast<std::size_t>(i)].itemsize;
    table.of[i] = size == 1 ? one : size == 2 ? two : size == 4 ? four : size == 8 ? eight : sixteen;
  }
  return table;
}
constexpr LoopTable copies() {
  return by_size(&copy_loop<std::uint8_t>, &copy_loop<std::uint16_t>, &copy_loop<std::uint32_t>,
                 &copy_loop<std::uint64_t>, &copy_loop<Complex<double>>);
}
constexpr LoopTable fills() {
  LoopTable table = by_size(&fill_loop<std::uint8_t>, &fill_loop<std::uint16_t>, &fill_loop<std::uint32_t>,
                            &fill_loop<std::uint64_t>, &fill_loop<Complex<double>>);
  table.of[slot_of<float>] = &fill_loop<float>;
  table.of[slot_of<double>] = &fill_loop<double>;
  table.of[slot_of<Complex<float>>] = &fill_loop<Complex<float>>;
  return table;
}
constexpr LoopTable selections() {
  LoopTable table = by_size(&where_loop<std::uint8_t>, &where_loop<std::uint16_t>, &where_loop<std::uint32_t>,
                            &where_loop<std::uint64_t>, &where_loop<Complex<double>>);
  table.masked = true;
  return table;
}

constexpr LoopTable kCopy = copies();
constexpr LoopTable kFill = fills();
constexpr LoopTable kWhere = selections();
constexpr LoopTable kAdd = both(all_types<Add, 2>(), complexes<Add, 2>());
constexpr LoopTable kSub = both(numbers<Sub, 2>(), complexes<Sub, 2>());
constexpr LoopTable kMul = both(all_types<Mul, 2>(), complexes<Mul, 2>());
constexpr LoopTable kDiv = both(floats<Div, 2>(), complexes<Div, 2>());
constexpr LoopTable kDivFloor = numbers<DivFloor, 2>();
constexpr LoopTable kDivTrunc = numbers<DivTrunc, 2>();
constexpr LoopTable kRemainder = numbers<Remainder, 2>();
constexpr LoopTable kFmod = numbers<Fmod, 2>();
constexpr LoopTable kPow =
    with_complex<complex_functions::Pow>(both(integers<PowInteger, 2>(), vector_floats<PowFloat, 2>()));
constexpr LoopTable kAtan2 = floats<Atan2, 2>();
constexpr LoopTable kHypot = floats<Hypot, 2>();
constexpr LoopTable kMaximum = all_types<Maximum, 2>();
constexpr LoopTable kMinimum = all_types<Minimum, 2>();
constexpr LoopTable kFmax = all_types<Fmax, 2>();
constexpr LoopTable kFmin = all_types<Fmin, 2>();
constexpr LoopTable kCopysign = floats<Copysign, 2>();
constexpr LoopTable kLogaddexp = vector_floats<Logaddexp, 2>();
constexpr LoopTable kLogaddexp2 = vector_floats<Logaddexp2, 2>();
constexpr LoopTable kXlogy = vector_floats<Xlogy, 2>();
constexpr LoopTable kHeaviside = all_types<Heaviside, 2>();
constexpr LoopTable kAddScaled = both(numbers<AddScaled, 2>(), complexes<AddScaled, 2>());
constexpr LoopTable kAddcmul = both(numbers<Addcmul, 3>(), complexes<Addcmul, 3>());
constexpr LoopTable kAddcdiv = both(floats<Addcdiv, 3>(), complexes<Addcdiv, 3>());
constexpr LoopTable kLerp = both(floats<Lerp, 3>(), complexes<Lerp, 3>());
constexpr LoopTable kClamp = numbers<Clamp, 1>();
constexpr LoopTable kClampTensors = numbers<Clamp, 3>();
constexpr LoopTable kClampBackward = floats<ClampBackward, 2>();
constexpr LoopTable kNanToNum = floats<NanToNum, 1>();

}  // namespace

constinit const ElementwiseKernels elementwise_kernels = {
    .copy = &launch<1, kCopy>,
    .fill = &launch<0, kFill>,
    .where = &launch<3, kWhere>,
    .add = &launch<2, kAdd>,
    .sub = &launch<2, kSub>,
    .mul = &launch<2, kMul>,
    .div = &launch<2, kDiv>,
    .div_floor = &launch<2, kDivFloor>,
    .div_trunc = &launch<2, kDivTrunc>,
    .remainder = &launch<2, kRemainder>,
    .fmod = &launch<2, kFmod>,
    .pow = &launch<2, kPow>,
    .atan2 = &launch<2, kAtan2>,
    .hypot = &launch<2, kHypot>,
    .maximum = &launch<2, kMaximum>,
    .minimum = &launch<2, kMinimum>,
    .fmax = &launch<2, kFmax>,
    .fmin = &launch<2, kFmin>,
    .copysign = &launch<2, kCopysign>,
    .logaddexp = &launch<2, kLogaddexp>,
    .logaddexp2 = &launch<2, kLogaddexp2>,
    .xlogy = &launch<2, kXlogy>,
    .heaviside = &launch<2, kHeaviside>,
    .add_scaled = &launch<2, kAddScaled>,
    .addcmul = &launch<3, kAddcmul>,
    .addcdiv = &launch<3, kAddcdiv>,
    .lerp = &launch<3, kLerp>,
    .clamp = &launch<1, kClamp>,
    .clamp_tensors = &launch<3, kClampTensors>,
    .clamp_backward = &launch<2, kClampBackward>,
    .nan_to_num = &launch<1, kNanToNum>,
};

FASTNN_CPU_END
