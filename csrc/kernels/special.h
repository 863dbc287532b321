// Elementwise kernels of special functions (core/special.h) and of number theory.
#pragma once

#include "kernels/elementwise.h"

namespace fastnn {

struct SpecialKernels {
  Pointwise sinc, entr, erfcx, ndtri, log_ndtr;
  Pointwise bessel_j0, bessel_j1, bessel_y0, bessel_y1;
  Pointwise i0, i0e, i1, i1e, k0, k1, k0e, k1e;  // modified Bessel functions; "e": times exp(-|x|), or exp(x) for K
  Pointwise spherical_bessel_j0, airy_ai;
  Pointwise zeta, igamma, igammac;
  Pointwise polynomial;  // i[0] family, i[1] whether of 2x - 1 instead of x
  Pointwise xlog1py;
  Pointwise nextafter;  // i[0]: low bits that the numbers lack, 16 for bfloat16 and 13 for float16
  Pointwise gcd, lcm;
};

}  // namespace fastnn
