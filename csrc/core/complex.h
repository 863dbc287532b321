// Complex numbers: a pair of floats and its arithmetic. Always inline, so that no room compiles a copy of its own.
#pragma once

namespace fastnn {

template <class T>
struct Complex {
  T re = 0;
  T im = 0;

  Complex() = default;
  [[gnu::always_inline]] constexpr Complex(T real, T imag = 0) : re(real), im(imag) {}
  template <class U>
  [[gnu::always_inline]] constexpr explicit Complex(const Complex<U>& other)
      : re(static_cast<T>(other.re)), im(static_cast<T>(other.im)) {}

  [[gnu::always_inline]] friend Complex operator-(Complex a) { return {-a.re, -a.im}; }
  [[gnu::always_inline]] friend Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
  [[gnu::always_inline]] friend Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
  [[gnu::always_inline]] friend Complex operator*(Complex a, Complex b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  }
  // Smith's algorithm: scaled by the larger part of the divisor, which neither overflows nor underflows before it must.
  [[gnu::always_inline]] friend Complex operator/(Complex a, Complex b) {
    const T size_re = b.re < 0 ? -b.re : b.re;
    const T size_im = b.im < 0 ? -b.im : b.im;
    if (size_re == 0 && size_im == 0) return {a.re / size_re, a.im / size_im};
    if (size_re >= size_im) {
      const T ratio = b.im / b.re;
      const T scale = 1 / (b.re + b.im * ratio);
      return {(a.re + a.im * ratio) * scale, (a.im - a.re * ratio) * scale};
    }
    const T ratio = b.re / b.im;
    const T scale = 1 / (b.re * ratio + b.im);
    return {(a.re * ratio + a.im) * scale, (a.im * ratio - a.re) * scale};
  }
  [[gnu::always_inline]] friend bool operator==(Complex a, Complex b) { return a.re == b.re && a.im == b.im; }
};

template <class T>
inline constexpr bool is_complex_type = false;
template <class T>
inline constexpr bool is_complex_type<Complex<T>> = true;

}  // namespace fastnn
