#include "core/dtype.h"

#include <atomic>
#include <ostream>

namespace fastnn {

namespace {

std::atomic<DType> g_default_dtype{DType::Float32};

constexpr int category(DType dtype) {
  if (is_complex(dtype)) return 3;
  if (is_floating(dtype)) return 2;
  return dtype == DType::Bool ? 0 : 1;
}

DType promote_integers(DType a, DType b) {
  if (a == b) return a;
  const bool a_unsigned = a == DType::UInt8;
  const bool b_unsigned = b == DType::UInt8;
  if (!a_unsigned && !b_unsigned) return itemsize(a) >= itemsize(b) ? a : b;
  // uint8 with a signed type: the smallest signed type that holds both.
  const DType other = a_unsigned ? b : a;
  return other == DType::Int8 ? DType::Int16 : other;
}

}  // namespace

DType promote(DType a, DType b) {
  if (a == b) return a;
  const int ca = category(a);
  const int cb = category(b);
  if (ca == 3 || cb == 3) {
    return a == DType::Complex128 || b == DType::Complex128 || a == DType::Float64 || b == DType::Float64
               ? DType::Complex128
               : DType::Complex64;
  }
  if (ca != cb) return ca > cb ? a : b;
  if (ca == 1) return promote_integers(a, b);
  // Two different floating types: the two 16-bit types have only float32 above them.
  if (is_reduced_floating(a) && is_reduced_floating(b)) return DType::Float32;
  return itemsize(a) > itemsize(b) ? a : b;
}

bool can_cast(DType from, DType to) {
  if (is_complex(from)) return is_complex(to);
  if (is_floating(from)) return is_differentiable(to);
  return from == DType::Bool || to != DType::Bool;
}

DType default_dtype() { return g_default_dtype.load(std::memory_order_relaxed); }

void set_default_dtype(DType dtype) {
  FASTNN_CHECK(is_floating(dtype), ErrorKind::Type, "only floating-point types are supported as the default type, got ",
               info(dtype).name);
  g_default_dtype.store(dtype, std::memory_order_relaxed);
}

void fail_not_implemented(const char* op, DType dtype) {
  fail(ErrorKind::NotImplemented, '"', op, "\" not implemented for '", info(dtype).title, "'");
}

void fail_complex() { fail(ErrorKind::NotImplemented, "not implemented for complex numbers"); }

void fail_division_by_zero() { fail(ErrorKind::Runtime, "ZeroDivisionError"); }

std::ostream& operator<<(std::ostream& out, DType dtype) { return out << info(dtype).title; }

}  // namespace fastnn
