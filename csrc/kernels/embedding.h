// Rows of a table chosen by integers.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastnn {

// `padding` is a row that counts as zero (-1: none). With `by_frequency` a row is divided by how often it is chosen.
struct EmbeddingOptions {
  std::int64_t padding = -1;
  bool by_frequency = false;
};

// Bags: bag b is the sum over i in [begin[b], begin[b + 1]) of factors[i] * table[indices[i]], without the rows
// `padding`. Factors (one for each index, in the type of computation) may be null, which means ones.
struct BagGeometry {
  const std::int64_t* begin;
  std::int64_t bags;
  std::int64_t padding = -1;
};

// Tables are contiguous [rows, width]; indices are contiguous int64 [count], in [0, rows).
struct EmbeddingKernels {
  // Whether there is an index outside of [0, rows), and one such.
  bool (*find_outside)(const View& indices, std::int64_t rows, std::int64_t* value);
  // out[i] = table[indices[i]], out [count, width].
  void (*gather)(const View& out, const View& table, const View& indices, const EmbeddingOptions& options);
  // table[indices[i]] += values[i] on a table of zeros. The order of the summands of a row is that of the indices.
  void (*accumulate)(const View& table, const View& values, const View& indices, const EmbeddingOptions& options);
  // out [bags, width].
  void (*bag_sums)(const View& out, const View& table, const View& indices, const View* factors,
                   const BagGeometry& shape);
  // The transpose: adds factors[i] * values[bag of i] to table[indices[i]], on a table of zeros.
  void (*bag_spread)(const View& table, const View& values, const View& indices, const View* factors,
                     const BagGeometry& shape);
  // out[i] = values[bag of i] . table[indices[i]], in the type of computation; 0 for padding.
  void (*bag_dots)(const View& out, const View& values, const View& table, const View& indices,
                   const BagGeometry& shape);
  // The row that has the largest value of each column of each bag, -1 where a bag is empty; int64 [bags, width].
  void (*bag_largest)(const View& out, const View& table, const View& indices, const BagGeometry& shape);
  // Scales the chosen rows whose norm is larger than `most` down to it.
  void (*renormalize)(const View& table, const View& indices, double most, double norm_type);
  // out[i][indices[i]] = 1, int64 [count, width], the rest 0.
  void (*one_hot)(const View& out, const View& indices);
};

}  // namespace fastnn
