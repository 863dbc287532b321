// Selection, clamping, filling, conversion and copies.
#include <cmath>
#include <limits>

#include "ops/algebra.h"
#include "ops/index.h"
#include "ops/pointwise.h"
#include "ops/registry.h"

namespace fastnn {

namespace {

const ElementwiseKernels& table() { return *kernels().elementwise; }

Tensor zeros_of(const Tensor& g) { return Tensor::full(g.sizes(), 0, g.dtype()); }

// Only moves elements: no widening of 16-bit floats.
Tensor choose(const char* op, const Tensor& condition, const Tensor& a, const Tensor& b, DType dtype, Needs needs) {
  Tensor out = pointwise_output(op, {&condition, &a, &b}, dtype, needs);
  pointwise_into(op, table().where, out, {&condition, &a, &b}, dtype);
  return out;
}

template <class T>
bool fits_integer(const Scalar& value) {
  const double d = value.to_double();
  const double low = std::is_signed_v<T> ? static_cast<double>(std::numeric_limits<T>::lowest())
                                         : -static_cast<double>(std::numeric_limits<T>::max());
  return d >= low && d <= static_cast<double>(std::numeric_limits<T>::max());
}
bool fits(const Scalar& value, DType dtype) {
  if (dtype == DType::Bool || is_complex(dtype)) return true;
  if (value.imag != 0) return false;
  if (is_floating(dtype)) {
    const double d = std::abs(value.to_double());
    constexpr double kLargestHalf = 65504;
    constexpr double kLargestBFloat16 = 0x1.fep127;
    const double largest = dtype == DType::Float16    ? kLargestHalf
                           : dtype == DType::BFloat16 ? kLargestBFloat16
                           : dtype == DType::Float32  ? static_cast<double>(std::numeric_limits<float>::max())
                                                      : std::numeric_limits<double>::max();
    return !(d > largest) || std::isinf(d);
  }
  switch (dtype) {
    case DType::UInt8:
      return fits_integer<std::uint8_t>(value);
    case DType::Int8:
      return fits_integer<std::int8_t>(value);
    case DType::Int16:
      return fits_integer<std::int16_t>(value);
    case DType::Int32:
      return fits_integer<std::int32_t>(value);
    default:
      return fits_integer<std::int64_t>(value);
  }
}
void check_fits(const Scalar& value, DType dtype) {
  FASTNN_CHECK(fits(value, dtype), ErrorKind::Runtime, "value cannot be converted to type ", info(dtype).name,
               " without overflow");
}

// The largest finite number of a floating dtype.
double largest(DType dtype) {
  switch (dtype) {
    case DType::Float16:
      return 65504;
    case DType::BFloat16:
      return 0x1.fep127;
    case DType::Float32:
      return static_cast<double>(std::numeric_limits<float>::max());
    default:
      return std::numeric_limits<double>::max();
  }
}

}  // namespace

// --- selection -------------------------------------------------------------------------------------------------------

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  FASTNN_CHECK(condition.dtype() == DType::Bool || condition.dtype() == DType::UInt8, ErrorKind::Runtime,
               "where expected condition to be a boolean tensor, but got a tensor with dtype ", condition.dtype());
  Tensor out = choose("where", condition, a, b, result_type(a, b), Needs::Nothing);
  if (needs_grad(a, b)) {
    record_pointwise("WhereBackward0", out, {&a, &b}, [mask = save(condition)](const Tensor& g, Slots& d) {
      const Tensor zero = Tensor::wrapped(0.0);
      if (d.wants(0)) d[0] = where(mask.get(), g, zero);
      if (d.wants(1)) d[1] = where(mask.get(), zero, g);
    });
  }
  return out;
}

Tensor masked_fill(const Tensor& input, const Tensor& mask, const Tensor& value) {
  FASTNN_CHECK(mask.dtype() == DType::Bool, ErrorKind::Runtime,
               "masked_fill_ only supports boolean masks, but got mask with dtype ", mask.dtype());
  FASTNN_CHECK(value.ndim() == 0, ErrorKind::Runtime,
               "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with ", value.ndim(),
               " dimension(s).");
  const DType dtype = input.dtype();
  Tensor out = pointwise_output("masked_fill", {&input, &mask}, dtype, Needs::Nothing);
  pointwise_into("masked_fill", table().where, out, {&mask, &value, &input}, dtype);
  if (needs_grad(input, value)) {
    record_pointwise("MaskedFillBackward0", out, {&input, &value}, [saved = save(mask)](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = masked_fill(g, saved.get(), Scalar(0.0));
      if (d.wants(1)) d[1] = where(saved.get(), g, Tensor::wrapped(0.0));
    });
  }
  return out;
}

Tensor masked_fill(const Tensor& input, const Tensor& mask, const Scalar& value) {
  check_fits(value, input.dtype());
  return masked_fill(input, mask, value.wrapped());
}

// --- clamp -----------------------------------------------------------------------------------------------------------

Tensor clamp(const Tensor& input, const std::optional<Scalar>& min, const std::optional<Scalar>& max) {
  FASTNN_CHECK(min || max, ErrorKind::Runtime, "torch.clamp: At least one of 'min' or 'max' must not be None");
  TypePromotion promotion;
  promotion.add(input);
  if (min) promotion.add(*min);
  if (max) promotion.add(*max);
  const DType dtype = promotion.result();
  if (dtype == DType::Bool) fail_not_implemented("clamp_scalar_cpu", dtype);
  Params params;
  params.d[0] = min ? min->to_double() : -HUGE_VAL;
  params.d[1] = max ? max->to_double() : HUGE_VAL;
  if (!is_floating(dtype)) {
    const auto limits = visit_dtype(dtype, []<class T>() -> std::pair<std::int64_t, std::int64_t> {
      if constexpr (std::is_integral_v<T>) return {std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max()};
      return {0, 0};
    });
    if (min) check_fits(*min, dtype);
    if (max) check_fits(*max, dtype);
    params.i[0] = min ? min->to_int() : limits.first;
    params.i[1] = max ? max->to_int() : limits.second;
  }
  if (std::isnan(params.d[0]) || std::isnan(params.d[1])) params.d[0] = params.d[1] = std::nan("");
  return unary_from_input(
      "clamp", "ClampBackward1", table().clamp, input, dtype,
      [params](const Tensor& g, const Tensor& x) {
        return piecewise_backward("ClampBackwardBackward0", table().clamp_backward, g, x, params);
      },
      params);
}

Tensor clamp(const Tensor& input, const Tensor& min, const Tensor& max) {
  FASTNN_CHECK(min.defined() || max.defined(), ErrorKind::Runtime,
               "torch.clamp: At least one of 'min' or 'max' must not be None");
  const bool both = min.defined() && max.defined();
  TypePromotion promotion;
  promotion.add(input);
  if (min.defined()) promotion.add(min);
  if (max.defined()) promotion.add(max);
  const DType dtype = promotion.result();
  const Tensor& low = min.defined() ? min : max;
  Tensor out =
      both ? pointwise("clamp", table().clamp_tensors, {&input, &min, &max}, dtype, dtype)
           : pointwise("clamp", min.defined() ? table().maximum : table().minimum, {&input, &low}, dtype, dtype);
  if (!needs_grad(input, min, max)) return out;
  if (both) {
    record_pointwise("ClampBackward0", out, {&input, &min, &max},
                     [sx = save(input), sl = save(min), sh = save(max)](const Tensor& g, Slots& d) {
                       const Tensor &x = sx.get(), &l = sl.get(), &h = sh.get();
                       const Tensor zero = Tensor::wrapped(0.0);
                       if (d.wants(0)) d[0] = where(logical_and(ge(x, l), le(x, h)), g, zero);
                       if (d.wants(1)) d[1] = where(logical_and(lt(l, h), lt(x, l)), g, zero);
                       if (d.wants(2)) d[2] = where(logical_or(gt(x, h), gt(l, h)), g, zero);
                     });
    return out;
  }
  record_pointwise("ClampBackward0", out, {&input, &low},
                   [sx = save(input), sb = save(low), lower = min.defined()](const Tensor& g, Slots& d) {
                     const Tensor inside = lower ? ge(sx.get(), sb.get()) : le(sx.get(), sb.get());
                     const Tensor zero = Tensor::wrapped(0.0);
                     if (d.wants(0)) d[0] = where(inside, g, zero);
                     if (d.wants(1)) d[1] = where(inside, zero, g);
                   });
  return out;
}

Tensor nan_to_num(const Tensor& input, std::optional<double> nan, std::optional<double> posinf,
                  std::optional<double> neginf) {
  if (!input.is_floating()) return clone(input);
  Params params;
  params.d[0] = nan.value_or(0);
  params.d[1] = posinf.value_or(largest(input.dtype()));
  params.d[2] = neginf.value_or(-largest(input.dtype()));
  return unary_from_input(
      "nan_to_num", "NanToNumBackward0", table().nan_to_num, input, input.dtype(),
      [](const Tensor& g, const Tensor& x) { return masked_fill(g, logical_not(isfinite(x)), Scalar(0.0)); }, params);
}

// --- conversion and copies -------------------------------------------------------------------------------------------

void copy_raw(const Tensor& target, const Tensor& source) {
  FASTNN_CHECK(is_expandable_to(source.sizes(), target.sizes()), ErrorKind::Runtime, "copy: The expanded size ",
               target.sizes(), " does not match the existing size ", source.sizes());
  // Reading and writing the same storage in different geometries needs a copy in between.
  if (source.storage() == target.storage() && source.numel() > 0) {
    const bool same_place = source.storage_offset() == target.storage_offset() && source.dtype() == target.dtype() &&
                            source.sizes() == target.sizes() && source.strides() == target.strides();
    if (same_place) return;
    Tensor apart = Tensor::empty(source.sizes(), source.dtype());
    pointwise_into("copy", table().copy, apart, {&source}, source.dtype());
    copy_raw(target, apart);
    return;
  }
  const bool same = source.dtype() == target.dtype();
  pointwise_into("copy", table().copy, target, {&source}, same ? target.dtype() : compute_type(target.dtype()));
}

void fill_raw(const Tensor& target, const Scalar& value) {
  Params params;
  params.d[0] = value.to_double();
  params.d[1] = value.imag;
  params.i[0] = target.dtype() == DType::Bool ? value.to_double() != 0 || value.imag != 0 : value.to_int();
  if (target.dtype() == DType::Float16) params.i[0] = Half(static_cast<float>(params.d[0])).bits;
  if (target.dtype() == DType::BFloat16) params.i[0] = BFloat16(static_cast<float>(params.d[0])).bits;
  pointwise_into("fill", table().fill, target, {}, target.dtype(), params);
}

Tensor to_dtype(const Tensor& input, DType dtype) {
  if (input.dtype() == dtype) return input;
  Tensor out = Tensor::empty_like(input, dtype);
  copy_raw(out, input);
  if (is_differentiable(dtype) && needs_grad(input)) {
    record("ToCopyBackward0", out, {&input}, [from = input.dtype()](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = to_dtype(g, from);
    });
  }
  return out;
}

Tensor clone(const Tensor& input, bool contiguous) {
  Tensor out = contiguous ? Tensor::empty(input.sizes(), input.dtype()) : Tensor::empty_like(input, input.dtype());
  copy_raw(out, input);
  if (needs_grad(input)) {
    record("CloneBackward0", out, {&input}, [](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = g;
    });
  }
  return out;
}

Tensor contiguous(const Tensor& input) { return input.is_contiguous() ? input : clone(input, true); }

namespace {

// Overwrites all of `self`: its old gradient ends here, and that of a value tensor is the sum.
Tensor overwrite(const Tensor& self, const char* op, const char* node, const Tensor& value, const Scalar& number) {
  check_in_place(self, op);
  const bool graph = self.is_differentiable() && needs_grad(self, value);
  const Tensor old = graph ? before_write(self) : Tensor();
  if (value.defined()) {
    copy_raw(self, value);
  } else {
    fill_raw(self, number);
  }
  Tensor result = self.detached();
  if (graph && value.defined()) {
    record_pointwise(node, result, {&old, &value}, [](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = zeros_of(g);
      if (d.wants(1)) d[1] = g;
    });
  } else if (graph) {
    record_pointwise(node, result, {&old}, [](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = zeros_of(g);
    });
  }
  after_write(self, result);
  return self;
}

Tensor fill_number(const Tensor& self, const Scalar& value) {
  check_fits(value, self.dtype());
  return overwrite(self, "fill_", "FillBackward0", Tensor(), value);
}
Tensor fill_tensor(const Tensor& self, const Tensor& value) {
  FASTNN_CHECK(value.ndim() == 0, ErrorKind::Runtime,
               "fill_ only supports 0-dimension value tensor but got tensor with ", value.ndim(), " dimensions.");
  return overwrite(self, "fill_", "FillBackward1", value, Scalar());
}
Tensor filled_with_number(const Tensor& input, const Scalar& value) { return fill_number(clone(input), value); }
Tensor filled_with_tensor(const Tensor& input, const Tensor& value) { return fill_tensor(clone(input), value); }
Tensor zero(const Tensor& self) { return overwrite(self, "zero_", "ZeroBackward0", Tensor(), Scalar(0)); }

Tensor where_method(const Tensor& self, const Tensor& condition, const Tensor& other) {
  return where(condition, self, other);
}
using Bound = std::optional<Scalar>;
Tensor clamp_numbers(const Tensor& input, Bound min, Bound max) { return clamp(input, min, max); }
Tensor clamp_tensors(const Tensor& input, const Tensor& min, const Tensor& max) { return clamp(input, min, max); }
Tensor clamp_min_number(const Tensor& input, const Scalar& min) { return clamp(input, min, std::nullopt); }
Tensor clamp_max_number(const Tensor& input, const Scalar& max) { return clamp(input, std::nullopt, max); }
Tensor clamp_min_tensor(const Tensor& input, const Tensor& min) { return clamp(input, min, Tensor()); }
Tensor clamp_max_tensor(const Tensor& input, const Tensor& max) { return clamp(input, Tensor(), max); }
using MaskedByNumber = Tensor (*)(const Tensor&, const Tensor&, const Scalar&);
using MaskedByTensor = Tensor (*)(const Tensor&, const Tensor&, const Tensor&);

constexpr unsigned kAll = op_fn | op_method | op_inplace_direct | op_out;
}  // namespace

FASTNN_OPS(elementwise_select) {
  op("where(Tensor condition) -> Tensor[]", &nonzero_tuple, op_fn);
  op("where(Tensor condition, Tensor|Scalar input, Tensor|Scalar other) -> Tensor", &where, op_fn | op_out);
  op("where(Tensor self, Tensor condition, Tensor|Scalar other) -> Tensor", &where_method, op_method);
  op("masked_fill(Tensor input, Tensor mask, Scalar value) -> Tensor", static_cast<MaskedByNumber>(&masked_fill),
     op_fn | op_method | op_inplace_direct);
  op("masked_fill(Tensor input, Tensor mask, Tensor value) -> Tensor", static_cast<MaskedByTensor>(&masked_fill),
     op_fn | op_method | op_inplace_direct);
  for (const char* name : {"clamp", "clip"}) {
    const bool clamps = std::string_view(name) == "clamp";
    op(clamps ? "clamp(Tensor input, Tensor? min=None, Tensor? max=None) -> Tensor"
              : "clip(Tensor input, Tensor? min=None, Tensor? max=None) -> Tensor",
       &clamp_tensors, kAll);
    op(clamps ? "clamp(Tensor input, Scalar? min=None, Scalar? max=None) -> Tensor"
              : "clip(Tensor input, Scalar? min=None, Scalar? max=None) -> Tensor",
       &clamp_numbers, kAll);
  }
  op("clamp_min(Tensor input, Tensor min) -> Tensor", &clamp_min_tensor, kAll);
  op("clamp_min(Tensor input, Scalar min) -> Tensor", &clamp_min_number, kAll);
  op("clamp_max(Tensor input, Tensor max) -> Tensor", &clamp_max_tensor, kAll);
  op("clamp_max(Tensor input, Scalar max) -> Tensor", &clamp_max_number, kAll);
  op("nan_to_num(Tensor input, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor", &nan_to_num, kAll);
  op("fill_(Tensor input, Scalar value) -> Tensor", &fill_number, op_fn | op_method);
  op("fill_(Tensor input, Tensor value) -> Tensor", &fill_tensor, op_fn | op_method);
  op("fill(Tensor input, Scalar value) -> Tensor", &filled_with_number, op_fn);
  op("fill(Tensor input, Tensor value) -> Tensor", &filled_with_tensor, op_fn);
  op("zero_(Tensor input) -> Tensor", &zero, op_fn | op_method);
}

}  // namespace fastnn
