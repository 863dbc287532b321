// Building blocks of the elementwise kernels: an operation is a struct with a static `apply` over scalars or over Vec,
// which may take the Params last; a table has its loops for a set of dtypes.
#pragma once

#include <type_traits>

#include "cpu/loops.h"
#include "cpu/math.h"

FASTNN_CPU_BEGIN

template <class Op, class... V>
FASTNN_INLINE auto call(const Params& params, V... values) {
  if constexpr (requires { Op::apply(values..., params); }) {
    return Op::apply(values..., params);
  } else {
    return Op::apply(values...);
  }
}

// Integers wrap around: their arithmetic is done unsigned, in at least 32 bits.
template <class T>
struct WrappingType {
  using type = T;
};
template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
struct WrappingType<T> {
  using type = std::conditional_t<sizeof(T) < 4, std::uint32_t, std::make_unsigned_t<T>>;
};
template <class T>
using Wrapping = typename WrappingType<T>::type;

template <class Op, class T, int arity>
void scalar_loop(void* out, const void* const* in, std::int64_t n, const Params& params) {
  const Params p = params;  // a copy that stores to `out` cannot change
  const auto* a = static_cast<const T*>(in[0]);
  if constexpr (arity == 1) {
    using R = decltype(call<Op>(p, T()));
    auto* o = static_cast<R*>(out);
    FASTNN_IVDEP
    for (std::int64_t i = 0; i < n; ++i) o[i] = call<Op>(p, a[i]);
  } else if constexpr (arity == 2) {
    using R = decltype(call<Op>(p, T(), T()));
    auto* o = static_cast<R*>(out);
    const auto* b = static_cast<const T*>(in[1]);
    FASTNN_IVDEP
    for (std::int64_t i = 0; i < n; ++i) o[i] = call<Op>(p, a[i], b[i]);
  } else {
    auto* o = static_cast<T*>(out);
    const auto* b = static_cast<const T*>(in[1]);
    const auto* c = static_cast<const T*>(in[2]);
    FASTNN_IVDEP
    for (std::int64_t i = 0; i < n; ++i) o[i] = call<Op>(p, a[i], b[i], c[i]);
  }
}

template <class Op, class T, int arity>
void vector_loop(void* out, const void* const* in, std::int64_t n, const Params& params) {
  const Params p = params;
  auto* o = static_cast<T*>(out);
  const auto* a = static_cast<const T*>(in[0]);
  if constexpr (arity == 1) {
    map<T>(o, a, n, [&](Vec<T> x) { return call<Op>(p, x); });
  } else {
    map<T>(o, a, static_cast<const T*>(in[1]), n, [&](Vec<T> x, Vec<T> y) { return call<Op>(p, x, y); });
  }
}

template <class T>
constexpr int slot_of = static_cast<int>(dtype_of<T>);

template <class Op, int arity, class... T>
constexpr void add_scalar_loops(LoopTable& table) {
  ((table.of[slot_of<T>] = &scalar_loop<Op, T, arity>), ...);
}

// Floats through Vec, floats one by one, numbers (floats and integers), all (numbers and bool), integers, and so on.
template <class Op, int arity>
constexpr LoopTable vector_floats() {
  LoopTable table{};
  table.of[slot_of<float>] = &vector_loop<Op, float, arity>;
  table.of[slot_of<double>] = &vector_loop<Op, double, arity>;
  return table;
}
template <class Op, int arity>
constexpr LoopTable floats() {
  LoopTable table{};
  add_scalar_loops<Op, arity, float, double>(table);
  return table;
}
template <class Op, int arity>
constexpr LoopTable integers() {
  LoopTable table{};
  add_scalar_loops<Op, arity, std::uint8_t, std::int8_t, std::int16_t, std::int32_t, std::int64_t>(table);
  return table;
}
constexpr LoopTable both(LoopTable table, const LoopTable& other) {
  for (int i = 0; i < kDTypeCount; ++i) {
    if (other.of[i] != nullptr) table.of[i] = other.of[i];
  }
  return table;
}
template <class Op, int arity>
constexpr LoopTable numbers() {
  return both(integers<Op, arity>(), floats<Op, arity>());
}
template <class Op, int arity>
constexpr LoopTable complexes() {
  LoopTable table{};
  add_scalar_loops<Op, arity, Complex<float>, Complex<double>>(table);
  return table;
}
template <class Op, int arity>
constexpr LoopTable only_bool() {
  LoopTable table{};
  add_scalar_loops<Op, arity, bool>(table);
  return table;
}
template <class Op, int arity>
constexpr LoopTable all_types() {
  return both(numbers<Op, arity>(), only_bool<Op, arity>());
}
constexpr LoopTable predicate(LoopTable table) {
  table.predicate = true;
  return table;
}

FASTNN_CPU_END
