// Operators over Tensor, for formulas. Include it in a .cpp only.
#pragma once

#include "ops/complex.h"
#include "ops/elementwise.h"

namespace fastnn {

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator-(const Tensor& a) { return neg(a); }

inline Tensor operator+(const Tensor& a, double b) { return add(a, Scalar(b)); }
inline Tensor operator-(const Tensor& a, double b) { return sub(a, Scalar(b)); }
inline Tensor operator*(const Tensor& a, double b) { return mul(a, Scalar(b)); }
inline Tensor operator/(const Tensor& a, double b) { return div(a, Scalar(b)); }
inline Tensor operator+(double a, const Tensor& b) { return add(b, Scalar(a)); }
inline Tensor operator-(double a, const Tensor& b) { return rsub(b, Scalar(a).wrapped()); }
inline Tensor operator*(double a, const Tensor& b) { return mul(b, Scalar(a)); }
inline Tensor operator/(double a, const Tensor& b) { return div(Scalar(a).wrapped(), b); }

}  // namespace fastnn
