// Special functions of real numbers in double precision. Compiled once, at the baseline: the kernels of every
// instruction set call them, one element at a time.
//
// Unless it says otherwise, a function is right to a few units of the 14th digit, and has the values of PyTorch at
// infinities, poles and outside its domain.
#pragma once

#include <cstdint>

namespace fastnn::special {

// Bessel functions: first kind J, second kind Y; modified ones I and K, also times exp(-|x|) and exp(x).
double bessel_j0(double x);
double bessel_j1(double x);
double bessel_y0(double x);
double bessel_y1(double x);
double bessel_i0(double x);
double bessel_i1(double x);
double bessel_i0_scaled(double x);
double bessel_i1_scaled(double x);
double bessel_k0(double x);
double bessel_k1(double x);
double bessel_k0_scaled(double x);
double bessel_k1_scaled(double x);
double spherical_bessel_j0(double x);  // sin(x) / x
double airy_ai(double x);

// Hurwitz' zeta function, the sum of (q + n)^-s.
double zeta(double s, double q);

// The regularised incomplete gamma functions P (lower) and Q = 1 - P.
double gamma_lower(double a, double x);
double gamma_upper(double a, double x);

// exp(x^2) erfc(x); the normal distribution: the logarithm of its cumulative function, and its quantiles.
double erfcx(double x);
double log_ndtr(double x);
double ndtri(double p);

// sin(pi x) / (pi x), and -x log(x).
double sinc(double x);
double entropy(double x);

// Orthogonal polynomials of degree n at x; 0 for negative degrees.
enum class Polynomial : std::uint8_t {
  ChebyshevT,
  ChebyshevU,
  ChebyshevV,
  ChebyshevW,
  HermiteH,
  HermiteHe,
  Laguerre,
  Legendre
};
double polynomial(Polynomial family, double x, double n);

}  // namespace fastnn::special
