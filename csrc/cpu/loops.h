// The one driver of elementwise kernels. A kernel body is a contiguous loop over one dtype; the driver broadcasts,
// merges dimensions, partitions over threads, and stages what is strided or of another dtype through small blocks.
#pragma once

#include "cpu/isa.h"
#include "kernels/elementwise.h"

FASTNN_CPU_BEGIN

inline constexpr int kMaxInputs = 4;

// Reads n elements from each input, writes n elements.
using LoopFn = void (*)(void* out, const void* const* in, std::int64_t n, const Params& params);

// Loops of one operation, indexed by compute dtype; null where the operation is not defined. They read and write the
// compute dtype, except that a predicate writes Bool and a masked loop reads its first input as Bool.
struct LoopTable {
  LoopFn of[kDTypeCount] = {};
  bool predicate = false;
  bool masked = false;
};

void run_pointwise(const View& out, const View* inputs, int arity, DType compute, const LoopTable& table,
                   const Params& params);

// For use in tables: Launch<arity, table> is a Pointwise.
template <int arity, const LoopTable& table>
void launch(const View& out, const View* inputs, DType compute, const Params& params) {
  run_pointwise(out, inputs, arity, compute, table, params);
}

// dst[i] = src[i] with conversion, n contiguous elements.
using ConvertFn = void (*)(void* dst, const void* src, std::int64_t n);
ConvertFn converter(DType to, DType from);

// dst[i] = *(src + i * stride): n words of `size` bytes, the stride in bytes, into contiguous memory.
void gather(void* dst, const char* src, std::int64_t stride, std::int64_t n, std::int64_t size);

FASTNN_CPU_END
