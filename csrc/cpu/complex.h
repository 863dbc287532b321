// Loops of the elementary functions over complex numbers, for the tables of the elementwise families.
#pragma once

#include "cpu/loops.h"

FASTNN_CPU_BEGIN

namespace complex_functions {

struct Sqrt;
struct Rsqrt;
struct Exp;
struct Exp2;
struct Expm1;
struct Log;
struct Log2;
struct Log10;
struct Log1p;
struct Sin;
struct Cos;
struct Tan;
struct Asin;
struct Acos;
struct Atan;
struct Sinh;
struct Cosh;
struct Tanh;
struct Asinh;
struct Acosh;
struct Atanh;
struct Sigmoid;
struct Sgn;
struct Conj;
struct Pow;  // of two operands

}  // namespace complex_functions

// Defined for the functions above, with T float and double.
template <class Function, class T>
void complex_loop(void* out, const void* const* in, std::int64_t n, const Params& params);

template <class Function>
constexpr LoopTable with_complex(LoopTable table) {
  table.of[static_cast<int>(DType::Complex64)] = &complex_loop<Function, float>;
  table.of[static_cast<int>(DType::Complex128)] = &complex_loop<Function, double>;
  return table;
}

FASTNN_CPU_END
