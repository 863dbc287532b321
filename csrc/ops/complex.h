// Complex numbers: their parts, and what is made of them. For real tensors `conj`, `real` and `angle` have the values
// of complex numbers without an imaginary part.
#pragma once

#include "core/tensor.h"

namespace fastnn {

// Conjugates are computed at once. A real tensor is its own conjugate, so formulas may conjugate whatever they are
// given.
Tensor conj(const Tensor& input);
inline Scalar conj(const Scalar& number) {
  return number.is_complex() ? Scalar(Complex<double>(number.d, -number.imag)) : number;
}

// The same memory: a complex tensor [...] as its parts [..., 2], and back.
Tensor view_as_real(const Tensor& input);
Tensor view_as_complex(const Tensor& input);
Tensor real(const Tensor& input);
Tensor imag(const Tensor& input);
// Sizes, strides and offset of the parts.
struct PartGeometry {
  Dims sizes, strides;
  std::int64_t offset;
};
PartGeometry part_geometry(const Tensor& complex);

Tensor complex(const Tensor& real, const Tensor& imag);
Tensor polar(const Tensor& abs, const Tensor& angle);
Tensor angle(const Tensor& input);
Tensor sgn(const Tensor& input);
Tensor adjoint(const Tensor& input);

}  // namespace fastnn
