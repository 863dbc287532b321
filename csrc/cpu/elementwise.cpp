#include <cstring>
#include <type_traits>

#include "cpu/loops.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

// Integers wrap around: the arithmetic is done unsigned.
template <class T, class F>
T wrapping(T a, T b, F f) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(f(static_cast<U>(a), static_cast<U>(b)));
  } else {
    return static_cast<T>(f(a, b));
  }
}

struct Add {
  template <class T>
  static T apply(T a, T b) {
    return wrapping(a, b, [](auto x, auto y) { return x + y; });
  }
};
struct Sub {
  template <class T>
  static T apply(T a, T b) {
    return wrapping(a, b, [](auto x, auto y) { return x - y; });
  }
};
struct Mul {
  template <class T>
  static T apply(T a, T b) {
    return wrapping(a, b, [](auto x, auto y) { return x * y; });
  }
};
struct Div {
  template <class T>
  static T apply(T a, T b) {
    return a / b;
  }
};

template <class Op, class T>
void binary_loop(void* out, const void* const* in, std::int64_t n, const Params&) {
  auto* o = static_cast<T*>(out);
  const auto* a = static_cast<const T*>(in[0]);
  const auto* b = static_cast<const T*>(in[1]);
  FASTNN_IVDEP
  for (std::int64_t i = 0; i < n; ++i) o[i] = Op::apply(a[i], b[i]);
}

template <class T>
void copy_loop(void* out, const void* const* in, std::int64_t n, const Params&) {
  std::memmove(out, in[0], static_cast<std::size_t>(n) * sizeof(T));
}

template <class Op>
constexpr void fill_floats(LoopTable& table) {
  table.of[static_cast<int>(DType::Float32)] = &binary_loop<Op, float>;
  table.of[static_cast<int>(DType::Float64)] = &binary_loop<Op, double>;
}
template <class Op>
constexpr void fill_integers(LoopTable& table) {
  table.of[static_cast<int>(DType::UInt8)] = &binary_loop<Op, std::uint8_t>;
  table.of[static_cast<int>(DType::Int8)] = &binary_loop<Op, std::int8_t>;
  table.of[static_cast<int>(DType::Int16)] = &binary_loop<Op, std::int16_t>;
  table.of[static_cast<int>(DType::Int32)] = &binary_loop<Op, std::int32_t>;
  table.of[static_cast<int>(DType::Int64)] = &binary_loop<Op, std::int64_t>;
}
template <class Op>
constexpr LoopTable floats() {
  LoopTable table{};
  fill_floats<Op>(table);
  return table;
}
template <class Op>
constexpr LoopTable numbers() {
  LoopTable table = floats<Op>();
  fill_integers<Op>(table);
  return table;
}
template <class Op>
constexpr LoopTable everything() {
  LoopTable table = numbers<Op>();
  table.of[static_cast<int>(DType::Bool)] = &binary_loop<Op, bool>;
  return table;
}
constexpr LoopTable copies() {
  LoopTable table{};
  for (LoopFn& fn : table.of) fn = &copy_loop<std::uint8_t>;
  for (const DType d : {DType::Int16, DType::Float16, DType::BFloat16}) {
    table.of[static_cast<int>(d)] = &copy_loop<std::uint16_t>;
  }
  for (const DType d : {DType::Int32, DType::Float32}) table.of[static_cast<int>(d)] = &copy_loop<std::uint32_t>;
  for (const DType d : {DType::Int64, DType::Float64}) table.of[static_cast<int>(d)] = &copy_loop<std::uint64_t>;
  return table;
}

constexpr LoopTable kCopy = copies();
constexpr LoopTable kAdd = everything<Add>();
constexpr LoopTable kSub = numbers<Sub>();
constexpr LoopTable kMul = everything<Mul>();
constexpr LoopTable kDiv = floats<Div>();

}  // namespace

constinit const ElementwiseKernels elementwise_kernels = {
    .copy = &launch<1, kCopy>,
    .add = &launch<2, kAdd>,
    .sub = &launch<2, kSub>,
    .mul = &launch<2, kMul>,
    .div = &launch<2, kDiv>,
};

FASTNN_CPU_END
