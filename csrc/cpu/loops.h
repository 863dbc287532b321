// The one driver of elementwise kernels. A kernel body is a contiguous loop over one dtype; the driver broadcasts,
// merges dimensions, partitions over threads, and stages what is strided or of another dtype through small blocks.
#pragma once

#include "cpu/isa.h"
#include "kernels/elementwise.h"

FASTNN_CPU_BEGIN

inline constexpr int kMaxInputs = 4;

// Reads n elements of the compute dtype from each input, writes n elements.
using LoopFn = void (*)(void* out, const void* const* in, std::int64_t n, const Params& params);

// `loop_out` is the dtype that `fn` writes (the compute dtype, or Bool for predicates).
void run_pointwise(const View& out, const View* inputs, int arity, DType compute, DType loop_out, LoopFn fn,
                   const Params& params);

// dst[i] = src[i] with conversion, n contiguous elements.
using ConvertFn = void (*)(void* dst, const void* src, std::int64_t n);
ConvertFn converter(DType to, DType from);

// Loops of one operation, indexed by compute dtype; null where the operation is not defined.
struct LoopTable {
  LoopFn of[kDTypeCount] = {};
  bool predicate = false;
};

// For use in tables: Launch<arity, table> is a Pointwise.
template <int arity, const LoopTable& table>
void launch(const View& out, const View* inputs, DType compute, const Params& params) {
  const LoopFn fn = table.of[static_cast<int>(compute)];
  if (fn == nullptr) fail_not_implemented(params.op, out.dtype);
  run_pointwise(out, inputs, arity, compute, table.predicate ? DType::Bool : compute, fn, params);
}

FASTNN_CPU_END
