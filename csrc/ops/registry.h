// How an operation becomes known: one line with its schema and its function. The bindings make from it the argument
// parser, the function, the method, the in-place and `out=` variants, the stub and the reference docs.
//
//   FASTNN_OPS(reduce) {
//     op("sum(Tensor input, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor", &sum,
//        op_fn | op_method);
//   }
//
// Types of parameters in a schema, and in the C++ function:
//   Tensor, Tensor?          const Tensor&  (undefined for None)
//   Tensor|Scalar            const Tensor&  (a Python number becomes a 0-d tensor that promotes like a number)
//   Tensor[]                 TensorList     (std::span<const Tensor>)
//   int, float, bool, str    std::int64_t, double, bool, std::string_view
//   Scalar, dtype            const Scalar& (or Scalar), DType
//   int[]                    IntSpan;  int[2]: also one int, meaning twice the same;  *int[], *Tensor[]: also varargs
//   generator?, memory_format?  Generator* (null for None), std::optional<std::string_view>
//   T?                       std::optional<T> for int, float, bool, str, Scalar, dtype, int[]
// Results: Tensor, void, bool, std::int64_t, double, Scalar, std::vector<Tensor>, std::tuple<Tensor...>;
// "-> (Tensor values, Tensor indices)" names the fields of a tuple. A name with a dot, "nn.linear", puts the function
// into that namespace.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"

namespace fastnn {

// An argument on its way from the parser to the function. Lists and strings are borrowed from the parser.
struct Argument {
  enum class Kind : std::uint8_t { None, One, Many, Int, Float, Bool, Scalar, IntList, String, DType, Generator };
  struct List {
    const void* data;
    std::size_t size;
  };
  Kind kind = Kind::None;
  union {
    const Tensor* tensor;
    std::int64_t i;
    double d;
    bool b;
    DType dtype;
    Generator* generator;
    List list;
  };
  fastnn::Scalar scalar;
  Argument() : list{nullptr, 0} {}
};

namespace detail {

inline const Tensor kUndefined;

template <class T>
struct Unbox;
template <>
struct Unbox<const Tensor&> {
  static const Tensor& from(const Argument& a) { return a.kind == Argument::Kind::None ? kUndefined : *a.tensor; }
};
template <>
struct Unbox<std::int64_t> {
  static std::int64_t from(const Argument& a) { return a.i; }
};
template <>
struct Unbox<double> {
  static double from(const Argument& a) { return a.d; }
};
template <>
struct Unbox<bool> {
  static bool from(const Argument& a) { return a.b; }
};
template <>
struct Unbox<DType> {
  static DType from(const Argument& a) { return a.dtype; }
};
template <>
struct Unbox<Generator*> {
  static Generator* from(const Argument& a) { return a.kind == Argument::Kind::None ? nullptr : a.generator; }
};
template <>
struct Unbox<Scalar> {
  static Scalar from(const Argument& a) { return a.scalar; }
};
template <>
struct Unbox<const Scalar&> {
  static const Scalar& from(const Argument& a) { return a.scalar; }
};
template <>
struct Unbox<std::string_view> {
  static std::string_view from(const Argument& a) { return {static_cast<const char*>(a.list.data), a.list.size}; }
};
template <>
struct Unbox<IntSpan> {
  static IntSpan from(const Argument& a) { return {static_cast<const std::int64_t*>(a.list.data), a.list.size}; }
};
template <>
struct Unbox<TensorList> {
  static TensorList from(const Argument& a) { return {static_cast<const Tensor*>(a.list.data), a.list.size}; }
};
template <class T>
struct Unbox<std::optional<T>> {
  static std::optional<T> from(const Argument& a) {
    if (a.kind == Argument::Kind::None) return std::nullopt;
    return Unbox<T>::from(a);
  }
};
template <class T>
struct Unbox<const std::optional<T>&> : Unbox<std::optional<T>> {};

}  // namespace detail

using OpResult = std::variant<std::monostate, Tensor, std::vector<Tensor>, bool, std::int64_t, double, Scalar>;
using AnyFunction = void (*)();
using BoxedCall = OpResult (*)(AnyFunction function, const Argument* arguments);

namespace detail {

template <class... T>
OpResult box(std::tuple<T...>&& result) {
  std::vector<Tensor> list;
  list.reserve(sizeof...(T));
  std::apply([&](auto&... tensors) { (list.push_back(std::move(tensors)), ...); }, result);
  return list;
}
template <class T>
OpResult box(T&& result) {
  return OpResult(std::forward<T>(result));
}

template <class R, class... A, std::size_t... I>
OpResult call(R (*function)(A...), const Argument* arguments, std::index_sequence<I...>) {
  if constexpr (std::is_void_v<R>) {
    function(Unbox<A>::from(arguments[I])...);
    return {};
  } else {
    return box(function(Unbox<A>::from(arguments[I])...));
  }
}

template <class R, class... A>
OpResult boxed_call(AnyFunction function, const Argument* arguments) {
  return call(reinterpret_cast<R (*)(A...)>(function), arguments, std::index_sequence_for<A...>{});
}

}  // namespace detail

// Which Python names an operation gets.
enum OpFlags : unsigned {
  op_fn = 1,              // fastnn.name (or fastnn.<namespace>.name)
  op_method = 2,          // Tensor.name
  op_inplace = 4,         // Tensor.name_: computes, then copies into the first argument
  op_inplace_direct = 8,  // the same, but the operation's (only) elementwise launch writes into the first argument
  op_out = 16,            // an `out=` keyword
  op_factory = 32,        // also takes device, layout, pin_memory, requires_grad
  op_property = 64,       // Tensor.name without a call
};

struct OpDef {
  const char* schema;
  AnyFunction function;
  BoxedCall call;
  unsigned flags;
  int arity;
  const char* family;
};

// All operations, in the order of registration.
std::vector<OpDef>& op_registry();

class OpRegistrar {
 public:
  OpRegistrar(const char* family, void (*fill)(OpRegistrar&)) : family_(family) { fill(*this); }
  template <class R, class... A>
  void operator()(const char* schema, R (*function)(A...), unsigned flags) {
    op_registry().push_back({schema, reinterpret_cast<AnyFunction>(function), &detail::boxed_call<R, A...>, flags,
                             static_cast<int>(sizeof...(A)), family_});
  }

 private:
  const char* family_;
};

}  // namespace fastnn

#define FASTNN_OPS(family)                                                     \
  static void register_##family(::fastnn::OpRegistrar& op);                    \
  extern const ::fastnn::OpRegistrar registrar_##family;                       \
  const ::fastnn::OpRegistrar registrar_##family(#family, &register_##family); \
  static void register_##family([[maybe_unused]] ::fastnn::OpRegistrar& op)
