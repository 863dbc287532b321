#include "kernels/scan.h"

#include <cmath>
#include <type_traits>

#include "core/parallel.h"
#include "cpu/reduce_plan.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kColumns = 256;      // neighbouring scans that run together
constexpr std::int64_t kGrain = 16 * 1024;  // elements below which a second thread does not pay

template <class T>
inline constexpr bool kFloating = std::is_floating_point_v<T> || std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
template <class T>
using Accumulator = std::conditional_t<kFloating<T>, double, std::int64_t>;

template <class T>
Accumulator<T> widen(T value) {
  if constexpr (sizeof(T) == 2 && kFloating<T>) {
    return static_cast<double>(static_cast<float>(value));
  } else {
    return static_cast<Accumulator<T>>(value);
  }
}
template <class T>
T narrow(Accumulator<T> value) {
  if constexpr (sizeof(T) == 2 && kFloating<T>) {
    return T(static_cast<float>(value));
  } else if constexpr (std::is_same_v<T, bool>) {
    return value != 0;
  } else {
    return static_cast<T>(value);
  }
}

struct Add {
  template <class A>
  static A start() {
    return A(0);
  }
  template <class A>
  static A next(A acc, A x) {
    return acc + x;
  }
};
struct Multiply {
  template <class A>
  static A start() {
    return A(1);
  }
  template <class A>
  static A next(A acc, A x) {
    return acc * x;
  }
};
// log(exp(acc) + exp(x))
struct LogAddExp {
  template <class A>
  static A start() {
    return -A(__builtin_inf());
  }
  template <class A>
  static A next(A acc, A x) {
    if (acc == x && x - x != 0) return x;  // equal infinities
    const A high = acc > x || acc != acc ? acc : x;
    const A low = acc > x || acc != acc ? x : acc;
    return high + std::log1p(std::exp(low - high));
  }
};

struct Shape {
  std::int64_t outer, n, inner;
  explicit Shape(const View& view) : outer(view.sizes[0]), n(view.sizes[1]), inner(view.sizes[2]) {}
};

// Calls f(offset, columns) for every scan, or block of scans side by side.
template <class F>
void each_block(const Shape& s, F f) {
  if (s.n == 0 || s.inner == 0) return;
  const std::int64_t blocks = ceil_div(s.inner, kColumns);
  const std::int64_t cost = s.n * at_most(s.inner, kColumns);
  parallel_for(s.outer * blocks, at_least(kGrain / cost, 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const std::int64_t first = b % blocks * kColumns;
      f(b / blocks * s.n * s.inner + first, at_most(kColumns, s.inner - first));
    }
  });
}

template <class Op, class T>
void scan_typed(const Shape& s, T* out, const T* in, bool reverse) {
  using A = Accumulator<T>;
  const std::int64_t step = reverse ? -s.inner : s.inner;
  each_block(s, [&](std::int64_t offset, std::int64_t columns) {
    std::int64_t at = offset + (reverse ? (s.n - 1) * s.inner : 0);
    if (s.inner == 1) {
      A running = Op::template start<A>();
      for (std::int64_t r = 0; r < s.n; ++r, at += step) {
        running = Op::next(running, widen(in[at]));
        out[at] = narrow<T>(running);
      }
      return;
    }
    A acc[kColumns];
    for (std::int64_t c = 0; c < columns; ++c) acc[c] = Op::template start<A>();
    for (std::int64_t r = 0; r < s.n; ++r, at += step) {
      const T* x = in + at;
      T* y = out + at;
      FASTNN_IVDEP
      for (std::int64_t c = 0; c < columns; ++c) {
        acc[c] = Op::next(acc[c], widen(x[c]));
        y[c] = narrow<T>(acc[c]);
      }
    }
  });
}

// Calls f.template operator()<T>() with the C++ type of `dtype`; in the namespace of the instruction set.
template <class F>
void visit(DType dtype, F f) {
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
    default:
      fail_not_implemented("scan", dtype);
  }
}

template <class Op>
void scan(const View& out, const View& in, bool reverse) {
  visit(in.dtype, [&]<class T>() {
    scan_typed<Op, T>(Shape(in), static_cast<T*>(out.data), static_cast<const T*>(in.data), reverse);
  });
}

void logcumsumexp(const View& out, const View& in, bool reverse) {
  visit(in.dtype, [&]<class T>() {
    if constexpr (kFloating<T>) {
      scan_typed<LogAddExp, T>(Shape(in), static_cast<T*>(out.data), static_cast<const T*>(in.data), reverse);
    } else {
      fail_not_implemented("logcumsumexp", in.dtype);
    }
  });
}

template <bool largest>
void extreme(const View& values, const View& indices, const View& in) {
  const Shape s(in);
  auto* where = static_cast<std::int64_t*>(indices.data);
  visit(in.dtype, [&]<class T>() {
    auto* out = static_cast<T*>(values.data);
    const auto* from = static_cast<const T*>(in.data);
    each_block(s, [&](std::int64_t offset, std::int64_t columns) {
      for (std::int64_t c = 0; c < columns; ++c) {
        std::int64_t at = offset + c;
        T best = from[at];
        std::int64_t position = 0;
        for (std::int64_t r = 0; r < s.n; ++r, at += s.inner) {
          const auto x = widen(from[at]);
          const auto b = widen(best);
          if (x != x || (b == b && (largest ? x >= b : x <= b))) {
            best = from[at];
            position = r;
          }
          out[at] = best;
          where[at] = position;
        }
      }
    });
  });
}

}  // namespace

constinit const ScanKernels scan_kernels = {
    .cumsum = &scan<Add>,
    .cumprod = &scan<Multiply>,
    .logcumsumexp = &logcumsumexp,
    .cummax = &extreme<true>,
    .cummin = &extreme<false>,
};

FASTNN_CPU_END
