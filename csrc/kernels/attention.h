// Scaled dot-product attention in tiles: the matrix of scores is never in memory as a whole.
#pragma once

#include "core/view.h"

namespace fastnn {

// query [batch, heads, queries, width], key [batch, key_heads, keys, width], value [batch, key_heads, keys,
// value_width]; heads is a multiple of key_heads. Rows are contiguous. The mask, if there is one, has the sizes [batch,
// heads, queries, keys] (strides of 0 broadcast it): bool (false: leave out), or a summand in the type of computation
// (float32 for 16-bit).
struct AttentionInputs {
  View query, key, value;
  const View* mask;
  bool causal;  // query i sees keys 0..i
  double scale;
};

// Where the gradients go, contiguous; null for those not wanted.
struct AttentionGradients {
  const View* query;
  const View* key;
  const View* value;
};

struct AttentionKernels {
  // out [batch, heads, queries, value_width], contiguous; logsum [batch, heads, queries] in the type of computation:
  // the logarithm of the sum of exponentials of each row of scores.
  void (*forward)(const View& out, const View& logsum, const AttentionInputs& inputs);
  // `gradient` is that of out, contiguous.
  void (*backward)(const AttentionGradients& gradients, const View& gradient, const View& out, const View& logsum,
                   const AttentionInputs& inputs);
};

}  // namespace fastnn
