// Kernels that read and write at places given by integers.
#pragma once

#include "core/view.h"

namespace fastnn {

enum class ScatterMode : std::uint8_t { Assign, Add, Multiply, Minimum, Maximum };

struct IndexKernels {
  // out[p, ...] = rows[offsets[p] + ...]: `rows` has the geometry of one block, offsets are in elements.
  void (*take_rows)(const View& out, const View& rows, const std::int64_t* offsets);
  // rows[offsets[p] + ...] = or += source[p, ...], in the order of p.
  void (*put_rows)(const View& rows, const View& source, const std::int64_t* offsets, bool accumulate);
  // out[..., i, ...] = input[..., index[..., i, ...], ...] along `dim`; index is int64 of the shape of out.
  void (*gather)(const View& out, const View& input, const View& index, int dim);
  // target[..., index[..., i, ...], ...] (mode)= source[..., i, ...]; source has at least the shape of index.
  void (*scatter)(const View& target, const View& source, const View& index, int dim, ScatterMode mode);
};

}  // namespace fastnn
