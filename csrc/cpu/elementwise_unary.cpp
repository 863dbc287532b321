// Functions of one operand.
#include <cmath>

#include "core/special.h"
#include "cpu/complex.h"
#include "cpu/elementwise.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

struct Neg {
  template <class T>
  static T apply(T x) {
    if constexpr (std::is_integral_v<T>) {
      return static_cast<T>(Wrapping<T>(0) - Wrapping<T>(x));
    } else {
      return -x;
    }
  }
};
struct Abs {
  template <class T>
  static T apply(T x) {
    if constexpr (std::is_integral_v<T>) {
      return x < 0 ? Neg::apply(x) : x;
    } else {
      return std::abs(x);
    }
  }
};
struct Sign {
  template <class T>
  static T apply(T x) {
    return static_cast<T>((T(0) < x) - (x < T(0)));
  }
};
struct Square {
  template <class T>
  static T apply(T x) {
    return static_cast<T>(Wrapping<T>(x) * Wrapping<T>(x));
  }
};
struct Reciprocal {
  template <class T>
  static T apply(T x) {
    return T(1) / x;
  }
};
struct Frac {
  template <class T>
  static Vec<T> apply(Vec<T> x) {
    return x - trunc(x);
  }
};
struct Rsqrt {
  template <class T>
  static Vec<T> apply(Vec<T> x) {
    return Vec<T>(T(1)) / sqrt(x);
  }
};
struct Exp2 {
  template <class T>
  static T apply(T x) {
    return std::exp2(x);
  }
};
struct RoundDecimals {
  template <class T>
  static Vec<T> apply(Vec<T> x, const Params& p) {
    const Vec<T> scale = T(p.d[0]);  // ten to the number of decimals, or its inverse
    return p.i[0] < 0 ? round(x / scale) * scale : round(x * scale) / scale;
  }
};

// A function of cpu/math.h or cpu/vec.h, or of the C library.
#define FASTNN_VECTOR_OP(Name, function) \
  struct Name {                          \
    template <class T>                   \
    static Vec<T> apply(Vec<T> x) {      \
      return function(x);                \
    }                                    \
  }
#define FASTNN_LIBRARY_OP(Name, function) \
  struct Name {                           \
    template <class T>                    \
    static T apply(T x) {                 \
      return std::function(x);            \
    }                                     \
  }

FASTNN_VECTOR_OP(Sqrt, sqrt);
FASTNN_VECTOR_OP(Exp, exp);
FASTNN_VECTOR_OP(Expm1, expm1);
FASTNN_VECTOR_OP(Log, log);
FASTNN_VECTOR_OP(Log2, log2);
FASTNN_VECTOR_OP(Log10, log10);
FASTNN_VECTOR_OP(Log1p, log1p);
FASTNN_VECTOR_OP(Sin, sin);
FASTNN_VECTOR_OP(Cos, cos);
FASTNN_VECTOR_OP(Tanh, tanh);
FASTNN_VECTOR_OP(Sigmoid, sigmoid);
FASTNN_VECTOR_OP(Erf, erf);
FASTNN_VECTOR_OP(Floor, floor);
FASTNN_VECTOR_OP(Ceil, ceil);
FASTNN_VECTOR_OP(Round, round);
FASTNN_VECTOR_OP(Trunc, trunc);
FASTNN_LIBRARY_OP(Tan, tan);
FASTNN_LIBRARY_OP(Asin, asin);
FASTNN_LIBRARY_OP(Acos, acos);
FASTNN_LIBRARY_OP(Atan, atan);
FASTNN_LIBRARY_OP(Sinh, sinh);
FASTNN_LIBRARY_OP(Cosh, cosh);
FASTNN_LIBRARY_OP(Asinh, asinh);
FASTNN_LIBRARY_OP(Acosh, acosh);
FASTNN_LIBRARY_OP(Atanh, atanh);
FASTNN_LIBRARY_OP(Erfc, erfc);

// --- special functions: computed in double ---------------------------------------------------------------------------

struct Lgamma {
  template <class T>
  static T apply(T x) {
    int sign = 0;  // std::lgamma would write it to a global variable
    return static_cast<T>(::lgamma_r(static_cast<double>(x), &sign));
  }
};

// The inverse of erf: Giles' approximation (GPU Computing Gems, 2011), then Newton steps.
struct Erfinv {
  template <class T>
  static T apply(T x) {
    return static_cast<T>(compute(static_cast<double>(x)));
  }
  static double compute(double y) {
    if (!(std::abs(y) < 1)) return std::abs(y) == 1 ? std::copysign(__builtin_inf(), y) : __builtin_nan("");
    static constexpr double central[] = {1.50140941,     0.246640727,   -0.00417768164, -0.00125372503, 0.000218580870,
                                         -4.39150654e-6, -3.5233877e-6, 3.43273939e-7,  2.81022636e-8};
    static constexpr double outer[] = {2.83297682,     1.00167406,    0.00943887047,  -0.0076224613,  0.00573950773,
                                       -0.00367342844, 0.00134934322, 0.000100950558, -0.000200214257};
    double w = -std::log((1 - y) * (1 + y));
    const bool near = w < 5;
    w = near ? w - 2.5 : std::sqrt(w) - 3;
    const auto& c = near ? central : outer;
    double p = c[8];
    for (int i = 7; i >= 0; --i) p = p * w + c[i];
    double x = p * y;
    constexpr double kTwoOverSqrtPi = 1.1283791670955125739;
    for (int step = 0; step < 2; ++step) {
      // Through erfc where 1 - |erf| is small, so that nothing cancels.
      const double error =
          std::abs(x) < 1 ? std::erf(x) - y : std::copysign(1., y) * ((1 - std::abs(y)) - std::erfc(std::abs(x)));
      x -= error / (kTwoOverSqrtPi * std::exp(-x * x));
    }
    return x;
  }
};

constexpr double kPi = 3.14159265358979323846;

struct Digamma {
  template <class T>
  static T apply(T x) {
    return static_cast<T>(compute(static_cast<double>(x)));
  }
  static double compute(double x) {
    if (x == 0) return std::copysign(__builtin_inf(), -x);
    if (x < 0) {
      if (x == std::floor(x)) return __builtin_nan("");
      // Reflection; the tangent of the fractional part is exact for large |x|.
      return compute(1 - x) - kPi / std::tan(kPi * (x - std::trunc(x)));
    }
    double sum = 0;
    for (; x < 10; x += 1) sum -= 1 / x;
    // The asymptotic series in 1 / x^2 with Bernoulli numbers.
    static constexpr double c[] = {1. / 12, -1. / 120, 1. / 252, -1. / 240, 1. / 132, -691. / 32760, 1. / 12};
    const double z = 1 / (x * x);
    double series = c[6];
    for (int i = 5; i >= 0; --i) series = series * z + c[i];
    return sum + std::log(x) - 0.5 / x - z * series;
  }
};

// (-1)^(n + 1) n! zeta(n + 1, x), with Hurwitz' zeta function.
struct Polygamma {
  template <class T>
  static T apply(T x, const Params& p) {
    const auto n = static_cast<double>(p.i[0]);
    if (p.i[0] == 0) return Digamma::apply(x);
    const double sign = p.i[0] % 2 != 0 ? 1 : -1;
    return static_cast<T>(sign * std::exp(::lgamma(n + 1)) * special::zeta(n + 1, static_cast<double>(x)));
  }
};

constexpr LoopTable kNeg = both(numbers<Neg, 1>(), complexes<Neg, 1>());
constexpr LoopTable kAbs = numbers<Abs, 1>();
constexpr LoopTable kSign = with_complex<complex_functions::Sgn>(all_types<Sign, 1>());
constexpr LoopTable kConj = with_complex<complex_functions::Conj>({});
constexpr LoopTable kSquare = both(numbers<Square, 1>(), complexes<Square, 1>());
constexpr LoopTable kReciprocal = both(floats<Reciprocal, 1>(), complexes<Reciprocal, 1>());
constexpr LoopTable kSqrt = with_complex<complex_functions::Sqrt>(vector_floats<Sqrt, 1>());
constexpr LoopTable kRsqrt = with_complex<complex_functions::Rsqrt>(vector_floats<Rsqrt, 1>());
constexpr LoopTable kExp = with_complex<complex_functions::Exp>(vector_floats<Exp, 1>());
constexpr LoopTable kExp2 = with_complex<complex_functions::Exp2>(floats<Exp2, 1>());
constexpr LoopTable kExpm1 = with_complex<complex_functions::Expm1>(vector_floats<Expm1, 1>());
constexpr LoopTable kLog = with_complex<complex_functions::Log>(vector_floats<Log, 1>());
constexpr LoopTable kLog2 = with_complex<complex_functions::Log2>(vector_floats<Log2, 1>());
constexpr LoopTable kLog10 = with_complex<complex_functions::Log10>(vector_floats<Log10, 1>());
constexpr LoopTable kLog1p = with_complex<complex_functions::Log1p>(vector_floats<Log1p, 1>());
constexpr LoopTable kSin = with_complex<complex_functions::Sin>(vector_floats<Sin, 1>());
constexpr LoopTable kCos = with_complex<complex_functions::Cos>(vector_floats<Cos, 1>());
constexpr LoopTable kTan = with_complex<complex_functions::Tan>(floats<Tan, 1>());
constexpr LoopTable kAsin = with_complex<complex_functions::Asin>(floats<Asin, 1>());
constexpr LoopTable kAcos = with_complex<complex_functions::Acos>(floats<Acos, 1>());
constexpr LoopTable kAtan = with_complex<complex_functions::Atan>(floats<Atan, 1>());
constexpr LoopTable kSinh = with_complex<complex_functions::Sinh>(floats<Sinh, 1>());
constexpr LoopTable kCosh = with_complex<complex_functions::Cosh>(floats<Cosh, 1>());
constexpr LoopTable kTanh = with_complex<complex_functions::Tanh>(vector_floats<Tanh, 1>());
constexpr LoopTable kAsinh = with_complex<complex_functions::Asinh>(floats<Asinh, 1>());
constexpr LoopTable kAcosh = with_complex<complex_functions::Acosh>(floats<Acosh, 1>());
constexpr LoopTable kAtanh = with_complex<complex_functions::Atanh>(floats<Atanh, 1>());
constexpr LoopTable kSigmoid = with_complex<complex_functions::Sigmoid>(vector_floats<Sigmoid, 1>());
constexpr LoopTable kErf = vector_floats<Erf, 1>();
constexpr LoopTable kErfc = floats<Erfc, 1>();
constexpr LoopTable kErfinv = floats<Erfinv, 1>();
constexpr LoopTable kLgamma = floats<Lgamma, 1>();
constexpr LoopTable kDigamma = floats<Digamma, 1>();
constexpr LoopTable kPolygamma = floats<Polygamma, 1>();
constexpr LoopTable kFloor = vector_floats<Floor, 1>();
constexpr LoopTable kCeil = vector_floats<Ceil, 1>();
constexpr LoopTable kRound = vector_floats<Round, 1>();
constexpr LoopTable kTrunc = vector_floats<Trunc, 1>();
constexpr LoopTable kFrac = vector_floats<Frac, 1>();
constexpr LoopTable kRoundDecimals = vector_floats<RoundDecimals, 1>();

}  // namespace

constinit const UnaryKernels unary_kernels = {
    .neg = &launch<1, kNeg>,
    .abs = &launch<1, kAbs>,
    .sign = &launch<1, kSign>,
    .conj = &launch<1, kConj>,
    .square = &launch<1, kSquare>,
    .reciprocal = &launch<1, kReciprocal>,
    .sqrt = &launch<1, kSqrt>,
    .rsqrt = &launch<1, kRsqrt>,
    .exp = &launch<1, kExp>,
    .exp2 = &launch<1, kExp2>,
    .expm1 = &launch<1, kExpm1>,
    .log = &launch<1, kLog>,
    .log2 = &launch<1, kLog2>,
    .log10 = &launch<1, kLog10>,
    .log1p = &launch<1, kLog1p>,
    .sin = &launch<1, kSin>,
    .cos = &launch<1, kCos>,
    .tan = &launch<1, kTan>,
    .asin = &launch<1, kAsin>,
    .acos = &launch<1, kAcos>,
    .atan = &launch<1, kAtan>,
    .sinh = &launch<1, kSinh>,
    .cosh = &launch<1, kCosh>,
    .tanh = &launch<1, kTanh>,
    .asinh = &launch<1, kAsinh>,
    .acosh = &launch<1, kAcosh>,
    .atanh = &launch<1, kAtanh>,
    .sigmoid = &launch<1, kSigmoid>,
    .erf = &launch<1, kErf>,
    .erfc = &launch<1, kErfc>,
    .erfinv = &launch<1, kErfinv>,
    .lgamma = &launch<1, kLgamma>,
    .digamma = &launch<1, kDigamma>,
    .polygamma = &launch<1, kPolygamma>,
    .floor = &launch<1, kFloor>,
    .ceil = &launch<1, kCeil>,
    .round = &launch<1, kRound>,
    .trunc = &launch<1, kTrunc>,
    .frac = &launch<1, kFrac>,
    .round_decimals = &launch<1, kRoundDecimals>,
};

FASTNN_CPU_END
