#include "ops/complex.h"

#include "ops/algebra.h"
#include "ops/matmul.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

constexpr double kPi = 3.14159265358979323846;

const UnaryKernels& table() { return *kernels().unary; }

// A view of the memory of `input` with elements of another type.
template <class F>
Tensor reinterpreted(const char* name, const Tensor& input, DType dtype, Dims sizes, Dims strides, std::int64_t offset,
                     F backward) {
  Tensor out = make_view_of(input, dtype, std::move(sizes), std::move(strides), offset);
  if (needs_grad(input)) record(name, out, {&input}, std::move(backward));
  return out;
}

}  // namespace

// --- parts -----------------------------------------------------------------------------------------------------------

PartGeometry part_geometry(const Tensor& complex) {
  PartGeometry parts{complex.sizes(), complex.strides(), 2 * complex.storage_offset()};
  for (std::int64_t& stride : parts.strides) stride *= 2;
  parts.sizes.push_back(2);
  parts.strides.push_back(1);
  return parts;
}

Tensor view_as_real(const Tensor& input) {
  FASTNN_CHECK(input.is_complex(), ErrorKind::Runtime, "view_as_real is only supported for complex tensors");
  PartGeometry parts = part_geometry(input);
  return reinterpreted("ViewAsRealBackward0", input, to_real(input.dtype()), std::move(parts.sizes),
                       std::move(parts.strides), parts.offset, [](const Tensor& g, Slots& d) {
                         if (d.wants(0)) d[0] = view_as_complex(contiguous(g));
                       });
}

Tensor view_as_complex(const Tensor& input) {
  FASTNN_CHECK(
      input.dtype() == DType::Float32 || input.dtype() == DType::Float64, ErrorKind::Runtime,
      "view_as_complex is only supported for float and double tensors (there is no complex32), but got a tensor of "
      "scalar type: ",
      input.dtype());
  const int last = input.ndim() - 1;
  FASTNN_CHECK(last >= 0, ErrorKind::Runtime, "Input tensor must have one or more dimensions");
  FASTNN_CHECK(input.sizes()[last] == 2, ErrorKind::Runtime, "Tensor must have a last dimension of size 2");
  Dims sizes = input.sizes();
  Dims strides = input.strides();
  FASTNN_CHECK(strides[last] == 1, ErrorKind::Runtime, "Tensor must have a last dimension with stride 1");
  sizes.erase(last);
  strides.erase(last);
  for (std::int64_t& stride : strides) {
    FASTNN_CHECK(stride % 2 == 0, ErrorKind::Runtime,
                 "Tensor must have a stride divisible by 2 for all but last dimension");
    stride /= 2;
  }
  FASTNN_CHECK(input.storage_offset() % 2 == 0, ErrorKind::Runtime, "Tensor must have a storage_offset divisible by 2");
  return reinterpreted("ViewAsComplexBackward0", input, to_complex(input.dtype()), std::move(sizes), std::move(strides),
                       input.storage_offset() / 2, [](const Tensor& g, Slots& d) {
                         if (d.wants(0)) d[0] = view_as_real(g);
                       });
}

Tensor real(const Tensor& input) { return input.is_complex() ? select(view_as_real(input), -1, 0) : input; }

Tensor imag(const Tensor& input) {
  FASTNN_CHECK(input.is_complex(), ErrorKind::Runtime, "imag is not implemented for tensors with non-complex dtypes.");
  return select(view_as_real(input), -1, 1);
}

// --- conjugates, directions ------------------------------------------------------------------------------------------

Tensor conj(const Tensor& input) {
  if (!input.is_complex()) return input;
  Tensor out = unary_linear("conj", "ConjBackward0", table().conj, input, input.dtype(),
                            [](const Tensor& g) { return conj(g); });
  out.impl()->wrapped_number = input.impl()->wrapped_number;
  return out;
}

Tensor adjoint(const Tensor& input) { return conj(transpose(input, -2, -1)); }

// The derivative of z / |z| takes away what points along it.
Tensor sgn(const Tensor& input) {
  if (!input.is_complex()) return sign(input);
  Tensor y = pointwise("sgn", table().sign, {&input}, input.dtype(), input.dtype());
  if (needs_grad(input)) {
    record_pointwise("SgnBackward0", y, {&input}, [saved = save(input)](const Tensor& g, Slots& d) {
      if (!d.wants(0)) return;
      const Tensor& x = saved.get();
      const Tensor size = abs(x);
      const Tensor direction = sgn(x);
      const Tensor across = g - direction * real(conj(direction) * g);
      d[0] = masked_fill(across / size, eq(size, Tensor::wrapped(0.0)), Scalar(0.0));
    });
  }
  return y;
}

Tensor angle(const Tensor& input) {
  const bool is_complex = input.is_complex();
  Tensor out;
  {
    const GradModeGuard no_grad(false);
    if (is_complex) {
      out = atan2(imag(input), real(input));
    } else {
      const Tensor x = to_dtype(input, floating_result(input.dtype()));
      const Tensor turn = masked_fill(Tensor::full(x.sizes(), 0, x.dtype()), lt(x, Tensor::wrapped(0.0)), Scalar(kPi));
      out = where(isnan(x), x, turn);
    }
  }
  if (needs_grad(input)) {
    record_pointwise("AngleBackward0", out, {&input}, [saved = save(input)](const Tensor& g, Slots& d) {
      if (!d.wants(0)) return;
      const Tensor& z = saved.get();
      if (!z.is_complex()) {
        d[0] = Tensor::full(g.sizes(), 0, g.dtype());
        return;
      }
      const Tensor re = real(z);
      const Tensor im = imag(z);
      const Tensor square_size = square(re) + square(im);
      const Tensor slope = masked_fill(g / square_size, eq(square_size, Tensor::wrapped(0.0)), Scalar(0.0));
      d[0] = complex(-im * slope, re * slope);
    });
  }
  return out;
}

// --- making ----------------------------------------------------------------------------------------------------------

namespace {

void check_parts(const Tensor& first, const Tensor& second) {
  const auto part = [](DType dtype) { return dtype == DType::Float32 || dtype == DType::Float64; };
  FASTNN_CHECK(part(first.dtype()) && part(second.dtype()), ErrorKind::Runtime,
               "Expected both inputs to be Float or Double tensors (there is no complex32) but got ", first.dtype(),
               " and ", second.dtype());
  FASTNN_CHECK(first.dtype() == second.dtype(), ErrorKind::Runtime, "Expected object of scalar type ", first.dtype(),
               " but got scalar type ", second.dtype(), " for second argument");
}

}  // namespace

Tensor complex(const Tensor& real_part, const Tensor& imag_part) {
  check_parts(real_part, imag_part);
  const Dims sizes = broadcast_shapes(real_part.sizes(), imag_part.sizes(), "complex");
  const Tensor parts[] = {expand(real_part, sizes), expand(imag_part, sizes)};
  return view_as_complex(stack(parts, -1));
}

Tensor polar(const Tensor& size, const Tensor& turn) {
  check_parts(size, turn);
  return complex(size * cos(turn), size * sin(turn));
}

namespace {

Tensor conjugate(const Tensor& input) { return conj(input); }
Tensor same(const Tensor& input) { return input; }
bool never(const Tensor&) { return false; }

Tensor isreal(const Tensor& input) {
  if (input.is_complex()) return eq(imag(input), Tensor::wrapped(0.0));
  return Tensor::full(input.sizes(), 1, DType::Bool);
}

Tensor hermitian(const Tensor& input) {
  FASTNN_CHECK(input.ndim() == 2 || input.ndim() == 0, ErrorKind::Runtime,
               "tensor.H is only supported on matrices (2-D tensors). Got ", input.ndim(), "-D tensor.");
  return input.ndim() == 0 ? conj(input) : adjoint(input);
}
Tensor batch_hermitian(const Tensor& input) {
  FASTNN_CHECK(input.ndim() >= 2 || input.ndim() == 0, ErrorKind::Runtime,
               "tensor.mH is only supported on matrices or batches of matrices. Got ", input.ndim(), "-D tensor.");
  return input.ndim() == 0 ? conj(input) : adjoint(input);
}

Tensor vdot(const Tensor& a, const Tensor& b) { return dot(conj(a), b); }

}  // namespace

FASTNN_OPS(complex) {
  op("view_as_real(Tensor input) -> Tensor", &view_as_real, op_fn);
  op("view_as_complex(Tensor input) -> Tensor", &view_as_complex, op_fn);
  op("real(Tensor input) -> Tensor", &real, op_fn);
  op("imag(Tensor input) -> Tensor", &imag, op_fn);
  op("complex(Tensor real, Tensor imag) -> Tensor", &complex, op_fn | op_out);
  op("polar(Tensor abs, Tensor angle) -> Tensor", &polar, op_fn | op_out);
  op("angle(Tensor input) -> Tensor", &angle, op_fn | op_method | op_out);
  op("sgn(Tensor input) -> Tensor", &sgn, op_fn | op_method | op_inplace_direct | op_out);
  op("conj(Tensor input) -> Tensor", &conjugate, op_fn | op_method);
  op("conj_physical(Tensor input) -> Tensor", &conjugate, op_fn | op_method | op_inplace | op_out);
  op("resolve_conj(Tensor input) -> Tensor", &same, op_fn | op_method);
  op("resolve_neg(Tensor input) -> Tensor", &same, op_fn | op_method);
  op("is_conj(Tensor input) -> bool", &never, op_fn | op_method);
  op("is_neg(Tensor input) -> bool", &never, op_fn | op_method);
  op("isreal(Tensor input) -> Tensor", &isreal, op_fn | op_method);
  op("adjoint(Tensor input) -> Tensor", &adjoint, op_fn | op_method);
  op("H(Tensor input) -> Tensor", &hermitian, op_method | op_property);
  op("mH(Tensor input) -> Tensor", &batch_hermitian, op_method | op_property);
  op("vdot(Tensor input, Tensor other) -> Tensor", &vdot, op_fn | op_method | op_out);
}

}  // namespace fastnn
