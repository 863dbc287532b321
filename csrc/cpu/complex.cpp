// Elementary functions of complex numbers, by those of the C library in double precision.
#include "cpu/complex.h"

#include <cmath>

FASTNN_CPU_BEGIN

namespace {

using Number = Complex<double>;

__extension__ using LibraryNumber = __complex__ double;

LibraryNumber pack(Number z) {
  LibraryNumber packed;
  __real__ packed = z.re;
  __imag__ packed = z.im;
  return packed;
}
Number unpack(LibraryNumber z) { return {__real__ z, __imag__ z}; }

Number scaled(Number z, double factor) { return {z.re * factor, z.im * factor}; }

constexpr double kLn2 = 0.69314718055994530942;
constexpr double kLn10 = 2.30258509299404568402;

}  // namespace

namespace complex_functions {

#define FASTNN_FUNCTION(Name, expression)                \
  struct Name {                                          \
    static Number apply(Number z) { return expression; } \
  }

FASTNN_FUNCTION(Sqrt, unpack(__builtin_csqrt(pack(z))));
FASTNN_FUNCTION(Rsqrt, Number(1) / Sqrt::apply(z));
FASTNN_FUNCTION(Exp, unpack(__builtin_cexp(pack(z))));
FASTNN_FUNCTION(Exp2, Exp::apply(scaled(z, kLn2)));
FASTNN_FUNCTION(Log, unpack(__builtin_clog(pack(z))));
FASTNN_FUNCTION(Log2, scaled(Log::apply(z), 1 / kLn2));
FASTNN_FUNCTION(Log10, scaled(Log::apply(z), 1 / kLn10));
FASTNN_FUNCTION(Sin, unpack(__builtin_csin(pack(z))));
FASTNN_FUNCTION(Cos, unpack(__builtin_ccos(pack(z))));
FASTNN_FUNCTION(Tan, unpack(__builtin_ctan(pack(z))));
FASTNN_FUNCTION(Asin, unpack(__builtin_casin(pack(z))));
FASTNN_FUNCTION(Acos, unpack(__builtin_cacos(pack(z))));
FASTNN_FUNCTION(Atan, unpack(__builtin_catan(pack(z))));
FASTNN_FUNCTION(Sinh, unpack(__builtin_csinh(pack(z))));
FASTNN_FUNCTION(Cosh, unpack(__builtin_ccosh(pack(z))));
FASTNN_FUNCTION(Tanh, unpack(__builtin_ctanh(pack(z))));
FASTNN_FUNCTION(Asinh, unpack(__builtin_casinh(pack(z))));
FASTNN_FUNCTION(Acosh, unpack(__builtin_cacosh(pack(z))));
FASTNN_FUNCTION(Atanh, unpack(__builtin_catanh(pack(z))));
FASTNN_FUNCTION(Sigmoid, Number(1) / (Number(1) + Exp::apply(-z)));
FASTNN_FUNCTION(Conj, Number(z.re, -z.im));

#undef FASTNN_FUNCTION

// e^x cos y - 1 = (e^x - 1) cos y - 2 sin^2(y / 2): nothing cancels near 0.
struct Expm1 {
  static Number apply(Number z) {
    const double half = std::sin(z.im / 2);
    return {std::expm1(z.re) * std::cos(z.im) - 2 * half * half, std::exp(z.re) * std::sin(z.im)};
  }
};
// log |1 + z| = log1p(x (2 + x) + y^2) / 2
struct Log1p {
  static Number apply(Number z) {
    const double x = z.re;
    const double y = z.im;
    const bool small = std::abs(x) < 0.5 && std::abs(y) < 0.5;
    const double size = small ? std::log1p(x * (2 + x) + y * y) / 2 : std::log(std::hypot(1 + x, y));
    return {size, std::atan2(y, 1 + x)};
  }
};
struct Sgn {
  static Number apply(Number z) {
    const double size = std::hypot(z.re, z.im);
    return size == 0 ? Number(0) : Number(z.re / size, z.im / size);
  }
};
struct Pow {
  static Number apply(Number a, Number b) {
    if (b.re == 0 && b.im == 0) return {1, 0};
    if (a.re == 0 && a.im == 0 && b.im == 0 && b.re > 0) return {0, 0};
    return unpack(__builtin_cpow(pack(a), pack(b)));
  }
};

}  // namespace complex_functions

template <class Function, class T>
void complex_loop(void* out, const void* const* in, std::int64_t n, const Params&) {
  auto* o = static_cast<Complex<T>*>(out);
  const auto* a = static_cast<const Complex<T>*>(in[0]);
  if constexpr (requires(Number z) { Function::apply(z); }) {
    for (std::int64_t i = 0; i < n; ++i) o[i] = Complex<T>(Function::apply(Number(a[i])));
  } else {
    const auto* b = static_cast<const Complex<T>*>(in[1]);
    for (std::int64_t i = 0; i < n; ++i) o[i] = Complex<T>(Function::apply(Number(a[i]), Number(b[i])));
  }
}

#define FASTNN_LOOPS(Name)                                                                                            \
  template void complex_loop<complex_functions::Name, float>(void*, const void* const*, std::int64_t, const Params&); \
  template void complex_loop<complex_functions::Name, double>(void*, const void* const*, std::int64_t, const Params&)

FASTNN_LOOPS(Sqrt);
FASTNN_LOOPS(Rsqrt);
FASTNN_LOOPS(Exp);
FASTNN_LOOPS(Exp2);
FASTNN_LOOPS(Expm1);
FASTNN_LOOPS(Log);
FASTNN_LOOPS(Log2);
FASTNN_LOOPS(Log10);
FASTNN_LOOPS(Log1p);
FASTNN_LOOPS(Sin);
FASTNN_LOOPS(Cos);
FASTNN_LOOPS(Tan);
FASTNN_LOOPS(Asin);
FASTNN_LOOPS(Acos);
FASTNN_LOOPS(Atan);
FASTNN_LOOPS(Sinh);
FASTNN_LOOPS(Cosh);
FASTNN_LOOPS(Tanh);
FASTNN_LOOPS(Asinh);
FASTNN_LOOPS(Acosh);
FASTNN_LOOPS(Atanh);
FASTNN_LOOPS(Sigmoid);
FASTNN_LOOPS(Sgn);
FASTNN_LOOPS(Conj);
FASTNN_LOOPS(Pow);

#undef FASTNN_LOOPS

FASTNN_CPU_END
