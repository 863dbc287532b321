// Element types, and which type an operation on several of them has.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "core/complex.h"
#include "core/error.h"
#include "core/half.h"

namespace fastnn {

enum class DType : std::uint8_t {
  UInt8,
  Int8,
  Int16,
  Int32,
  Int64,
  Float16,
  Float32,
  Float64,
  Bool,
  BFloat16,
  Complex64,
  Complex128
};
inline constexpr int kDTypeCount = 12;
inline constexpr std::int64_t kMaxItemsize = 16;

struct DTypeInfo {
  std::string_view name;   // as in `fastnn.float32`
  std::string_view title;  // as in error messages: "Float"
  std::uint8_t itemsize;
  bool floating;
  bool is_signed;
};

inline constexpr std::array<DTypeInfo, kDTypeCount> kDTypes = {{
    {"uint8", "Byte", 1, false, false},
    {"int8", "Char", 1, false, true},
    {"int16", "Short", 2, false, true},
    {"int32", "Int", 4, false, true},
    {"int64", "Long", 8, false, true},
    {"float16", "Half", 2, true, true},
    {"float32", "Float", 4, true, true},
    {"float64", "Double", 8, true, true},
    {"bool", "Bool", 1, false, false},
    {"bfloat16", "BFloat16", 2, true, true},
    {"complex64", "ComplexFloat", 8, false, true},
    {"complex128", "ComplexDouble", 16, false, true},
}};

constexpr const DTypeInfo& info(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)]; }
constexpr std::int64_t itemsize(DType dtype) { return info(dtype).itemsize; }
constexpr bool is_floating(DType dtype) { return info(dtype).floating; }
constexpr bool is_complex(DType dtype) { return dtype == DType::Complex64 || dtype == DType::Complex128; }
// Whether gradients flow through values of the type.
constexpr bool is_differentiable(DType dtype) { return is_floating(dtype) || is_complex(dtype); }
constexpr bool is_integral(DType dtype) { return !is_differentiable(dtype) && dtype != DType::Bool; }
constexpr bool is_reduced_floating(DType dtype) { return dtype == DType::Float16 || dtype == DType::BFloat16; }

// The type in which values of `dtype` are computed: 16-bit floats are storage and widen to float32.
constexpr DType compute_type(DType dtype) { return is_reduced_floating(dtype) ? DType::Float32 : dtype; }

// The type of the parts of a complex number, and the complex type whose parts have (at least) a floating type.
constexpr DType to_real(DType dtype) {
  return dtype == DType::Complex64 ? DType::Float32 : dtype == DType::Complex128 ? DType::Float64 : dtype;
}
constexpr DType to_complex(DType dtype) {
  return dtype == DType::Float64 || dtype == DType::Complex128 ? DType::Complex128 : DType::Complex64;
}

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<std::uint8_t> {
  static constexpr DType value = DType::UInt8;
};
template <>
struct DTypeOf<std::int8_t> {
  static constexpr DType value = DType::Int8;
};
template <>
struct DTypeOf<std::int16_t> {
  static constexpr DType value = DType::Int16;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr DType value = DType::Int32;
};
template <>
struct DTypeOf<std::int64_t> {
  static constexpr DType value = DType::Int64;
};
template <>
struct DTypeOf<Half> {
  static constexpr DType value = DType::Float16;
};
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::Float32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::Float64;
};
template <>
struct DTypeOf<bool> {
  static constexpr DType value = DType::Bool;
};
template <>
struct DTypeOf<BFloat16> {
  static constexpr DType value = DType::BFloat16;
};
template <>
struct DTypeOf<Complex<float>> {
  static constexpr DType value = DType::Complex64;
};
template <>
struct DTypeOf<Complex<double>> {
  static constexpr DType value = DType::Complex128;
};
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

[[noreturn]] void fail_complex();

// Calls f.template operator()<T>() with the C++ type of a real `dtype`.
template <class F>
decltype(auto) visit_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::UInt8:
      return f.template operator()<std::uint8_t>();
    case DType::Int8:
      return f.template operator()<std::int8_t>();
    case DType::Int16:
      return f.template operator()<std::int16_t>();
    case DType::Int32:
      return f.template operator()<std::int32_t>();
    case DType::Int64:
      return f.template operator()<std::int64_t>();
    case DType::Float16:
      return f.template operator()<Half>();
    case DType::Float32:
      return f.template operator()<float>();
    case DType::Float64:
      return f.template operator()<double>();
    case DType::Bool:
      return f.template operator()<bool>();
    case DType::BFloat16:
      return f.template operator()<BFloat16>();
    case DType::Complex64:
    case DType::Complex128:
      fail_complex();
  }
  fail("unknown dtype");
}
// The same for complex types too.
template <class F>
decltype(auto) visit_any_dtype(DType dtype, F&& f) {
  if (dtype == DType::Complex64) return f.template operator()<Complex<float>>();
  if (dtype == DType::Complex128) return f.template operator()<Complex<double>>();
  return visit_dtype(dtype, std::forward<F>(f));
}

// PyTorch's promotion lattice for two tensors of the same category of rank.
DType promote(DType a, DType b);
// Whether a value of type `from` may be written into a tensor of type `to` by an in-place operation.
bool can_cast(DType from, DType to);

// The dtype of new floating point tensors (`set_default_dtype`).
DType default_dtype();
void set_default_dtype(DType dtype);

// For kernels: `"op" not implemented for 'Dtype'`. Not inline, so that no room compiles a copy of its own.
[[noreturn]] void fail_not_implemented(const char* op, DType dtype);
[[noreturn]] void fail_division_by_zero();

std::ostream& operator<<(std::ostream& out, DType dtype);  // "torch-style" title: Float, Long ...

}  // namespace fastnn
