// Comparisons, logic, bits, and the kinds of floating point numbers.
#include "cpu/elementwise.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

#define FASTNN_BINARY_PREDICATE(Name, expression) \
  struct Name {                                   \
    template <class T>                            \
    static bool apply(T a, T b) {                 \
      return expression;                          \
    }                                             \
  }
#define FASTNN_UNARY_PREDICATE(Name, expression) \
  struct Name {                                  \
    template <class T>                           \
    static bool apply(T x) {                     \
      return expression;                         \
    }                                            \
  }
#define FASTNN_BITWISE(Name, expression) \
  struct Name {                          \
    template <class T>                   \
    static T apply(T a, T b) {           \
      return static_cast<T>(expression); \
    }                                    \
  }

FASTNN_BINARY_PREDICATE(Eq, a == b);
FASTNN_BINARY_PREDICATE(Ne, a != b);
FASTNN_BINARY_PREDICATE(Lt, a < b);
FASTNN_BINARY_PREDICATE(Le, a <= b);
FASTNN_BINARY_PREDICATE(Gt, a > b);
FASTNN_BINARY_PREDICATE(Ge, a >= b);
FASTNN_BINARY_PREDICATE(LogicalAnd, (a & b) != 0);
FASTNN_BINARY_PREDICATE(LogicalOr, (a | b) != 0);
FASTNN_BINARY_PREDICATE(LogicalXor, (a ^ b) != 0);
FASTNN_UNARY_PREDICATE(LogicalNot, !x);

FASTNN_BITWISE(BitwiseAnd, a& b);
FASTNN_BITWISE(BitwiseOr, a | b);
FASTNN_BITWISE(BitwiseXor, a ^ b);
struct BitwiseNot {
  template <class T>
  static T apply(T x) {
    if constexpr (std::is_same_v<T, bool>) {
      return !x;
    } else {
      return static_cast<T>(~x);
    }
  }
};
// Shifts by less than 0 or by the width or more leave nothing but the sign.
struct ShiftLeft {
  template <class T>
  static T apply(T a, T b) {
    constexpr int kWidth = 8 * sizeof(T);
    const bool all = b < 0 || static_cast<std::uint64_t>(b) >= kWidth;
    return all ? T(0) : static_cast<T>(Wrapping<T>(a) << b);
  }
};
struct ShiftRight {
  template <class T>
  static T apply(T a, T b) {
    constexpr int kWidth = 8 * sizeof(T);
    const bool all = b < 0 || static_cast<std::uint64_t>(b) >= kWidth;
    return static_cast<T>(all ? (a < 0 ? -1 : 0) : a >> b);
  }
};

constexpr double kInfinity = __builtin_inf();
FASTNN_UNARY_PREDICATE(IsNan, x != x);
FASTNN_UNARY_PREDICATE(IsInf, std::is_floating_point_v<T> && (x == T(kInfinity) || x == T(-kInfinity)));
FASTNN_UNARY_PREDICATE(IsFinite, !std::is_floating_point_v<T> || (x - x == T(0)));
FASTNN_UNARY_PREDICATE(IsPosinf, std::is_floating_point_v<T>&& x == T(kInfinity));
FASTNN_UNARY_PREDICATE(IsNeginf, std::is_floating_point_v<T>&& x == T(-kInfinity));
struct Signbit {
  template <class T>
  static bool apply(T x) {
    if constexpr (std::is_floating_point_v<T>) {
      return __builtin_signbit(x) != 0;
    } else {
      return x < T(0);
    }
  }
};

template <class Op, int arity>
constexpr LoopTable bits() {
  return both(integers<Op, arity>(), only_bool<Op, arity>());
}

constexpr LoopTable kEq = predicate(both(all_types<Eq, 2>(), complexes<Eq, 2>()));
constexpr LoopTable kNe = predicate(both(all_types<Ne, 2>(), complexes<Ne, 2>()));
constexpr LoopTable kLt = predicate(all_types<Lt, 2>());
constexpr LoopTable kLe = predicate(all_types<Le, 2>());
constexpr LoopTable kGt = predicate(all_types<Gt, 2>());
constexpr LoopTable kGe = predicate(all_types<Ge, 2>());
constexpr LoopTable kLogicalAnd = only_bool<LogicalAnd, 2>();
constexpr LoopTable kLogicalOr = only_bool<LogicalOr, 2>();
constexpr LoopTable kLogicalXor = only_bool<LogicalXor, 2>();
constexpr LoopTable kLogicalNot = only_bool<LogicalNot, 1>();
constexpr LoopTable kBitwiseAnd = bits<BitwiseAnd, 2>();
constexpr LoopTable kBitwiseOr = bits<BitwiseOr, 2>();
constexpr LoopTable kBitwiseXor = bits<BitwiseXor, 2>();
constexpr LoopTable kBitwiseNot = bits<BitwiseNot, 1>();
constexpr LoopTable kShiftLeft = integers<ShiftLeft, 2>();
constexpr LoopTable kShiftRight = integers<ShiftRight, 2>();
constexpr LoopTable kIsNan = predicate(all_types<IsNan, 1>());
constexpr LoopTable kIsInf = predicate(all_types<IsInf, 1>());
constexpr LoopTable kIsFinite = predicate(all_types<IsFinite, 1>());
constexpr LoopTable kIsPosinf = predicate(all_types<IsPosinf, 1>());
constexpr LoopTable kIsNeginf = predicate(all_types<IsNeginf, 1>());
constexpr LoopTable kSignbit = predicate(all_types<Signbit, 1>());

}  // namespace

constinit const CompareKernels compare_kernels = {
    .eq = &launch<2, kEq>,
    .ne = &launch<2, kNe>,
    .lt = &launch<2, kLt>,
    .le = &launch<2, kLe>,
    .gt = &launch<2, kGt>,
    .ge = &launch<2, kGe>,
    .logical_and = &launch<2, kLogicalAnd>,
    .logical_or = &launch<2, kLogicalOr>,
    .logical_xor = &launch<2, kLogicalXor>,
    .logical_not = &launch<1, kLogicalNot>,
    .bitwise_and = &launch<2, kBitwiseAnd>,
    .bitwise_or = &launch<2, kBitwiseOr>,
    .bitwise_xor = &launch<2, kBitwiseXor>,
    .bitwise_not = &launch<1, kBitwiseNot>,
    .shift_left = &launch<2, kShiftLeft>,
    .shift_right = &launch<2, kShiftRight>,
    .isnan = &launch<1, kIsNan>,
    .isinf = &launch<1, kIsInf>,
    .isfinite = &launch<1, kIsFinite>,
    .isposinf = &launch<1, kIsPosinf>,
    .isneginf = &launch<1, kIsNeginf>,
    .signbit = &launch<1, kSignbit>,
};

FASTNN_CPU_END
