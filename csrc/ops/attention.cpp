#include "ops/attention.h"

#include <cmath>
#include <limits>

#include "autograd/record.h"
#include "kernels/table.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

constexpr int kDims = 4;  // batch, heads, rows, width

struct Options {
  bool causal;
  double scale;
};

// Heads of keys and values repeated so that there is one for each head of the query.
Tensor repeat_heads(const Tensor& t, std::int64_t heads) {
  const std::int64_t own = t.sizes()[1];
  if (own == heads) return t;
  const Dims& s = t.sizes();
  return reshape(expand(unsqueeze(t, 2), Dims{s[0], own, heads / own, s[2], s[3]}), Dims{s[0], heads, s[2], s[3]});
}
// The transpose of that: sums over the heads that share one.
Tensor sum_heads(const Tensor& t, std::int64_t own) {
  const Dims& s = t.sizes();
  if (s[1] == own) return t;
  const std::int64_t dim[] = {2};
  return sum(reshape(t, Dims{s[0], own, s[1] / own, s[2], s[3]}), IntSpan(dim));
}

// What is added to the scores; undefined when nothing is.
Tensor additive_mask(const Tensor& mask, const Options& options, std::int64_t queries, std::int64_t keys, DType dtype) {
  Tensor keep = mask;
  if (options.causal) keep = ge(unsqueeze(arange_int(queries), -1), arange_int(keys));
  if (!keep.defined()) return keep;
  if (keep.dtype() != DType::Bool) return to_dtype(keep, dtype);
  return masked_fill(zeros(keep.sizes(), dtype), logical_not(keep), Scalar(-std::numeric_limits<double>::infinity()));
}

// Rows of minus infinity become zeros instead of NaN.
Tensor softmax_of_scores(const Tensor& query, const Tensor& key, const Tensor& mask, const Options& options) {
  Tensor scores = mul(batched_product(query, matrix_transpose(key)), Scalar(options.scale));
  const Tensor summand = additive_mask(mask, options, query.sizes()[2], key.sizes()[2], scores.dtype());
  if (summand.defined()) scores = add(scores, summand);
  const std::int64_t last[] = {-1};
  const Scalar lowest(static_cast<double>(std::numeric_limits<float>::lowest()));
  const Tensor powers = exp(sub(scores, clamp(amax(scores.detached(), IntSpan(last), true), lowest, {})));
  // The largest element contributes 1, so only the sum of an empty row is below one half.
  return div(powers, clamp(sum(powers, IntSpan(last), true), Scalar(0.5), {}));
}

// The composition. 16-bit inputs are computed in float32.
Tensor composed(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask, double dropout_p,
                const Options& options) {
  const DType compute = compute_type(query.dtype());
  const std::int64_t heads = query.sizes()[1];
  Tensor weights =
      softmax_of_scores(to_dtype(query, compute), repeat_heads(to_dtype(key, compute), heads), mask, options);
  if (dropout_p > 0) weights = dropout(weights, dropout_p, true);
  return to_dtype(batched_product(weights, repeat_heads(to_dtype(value, compute), heads)), query.dtype());
}

// A view of the mask with the sizes of the scores.
struct MaskView {
  Dims sizes, strides;
  View view;
  MaskView(const Tensor& mask, const Dims& scores) : sizes(scores) {
    if (!mask.defined()) return;
    strides = broadcast_strides(mask.sizes(), mask.strides(), scores);
    view = {mask.data(), mask.dtype(), kDims, sizes.data(), strides.data()};
  }
};

AttentionInputs inputs_of(const Tensor& query, const Tensor& key, const Tensor& value, const MaskView& mask,
                          const Options& options) {
  return {query.view(), key.view(), value.view(), mask.view.data ? &mask.view : nullptr, options.causal, options.scale};
}
Dims sizes_of_scores(const Tensor& query, const Tensor& key) {
  return {query.sizes()[0], query.sizes()[1], query.sizes()[2], key.sizes()[2]};
}

// The gradients in Tensor algebra, for derivatives of derivatives.
void differentiable_gradients(const Tensor& given, const Tensor& query, const Tensor& key, const Tensor& value,
                              const Tensor& mask, const Options& options, Slots& d) {
  const DType compute = compute_type(query.dtype());
  const std::int64_t heads = query.sizes()[1];
  const std::int64_t key_heads = key.sizes()[1];
  const Tensor g = to_dtype(given, compute);
  const Tensor q = to_dtype(query, compute);
  const Tensor k = repeat_heads(to_dtype(key, compute), heads);
  const Tensor v = repeat_heads(to_dtype(value, compute), heads);
  const Tensor p = softmax_of_scores(q, k, mask, options);
  if (d.wants(2)) d[2] = to_dtype(sum_heads(batched_product(matrix_transpose(p), g), key_heads), value.dtype());
  if (!d.wants(0) && !d.wants(1)) return;
  const Tensor dp = batched_product(g, matrix_transpose(v));
  const std::int64_t last[] = {-1};
  const Tensor ds = mul(mul(p, sub(dp, sum(mul(dp, p), IntSpan(last), true))), Scalar(options.scale));
  if (d.wants(0)) d[0] = to_dtype(batched_product(ds, k), query.dtype());
  if (d.wants(1)) d[1] = to_dtype(sum_heads(batched_product(matrix_transpose(ds), q), key_heads), key.dtype());
}

void fused_gradients(const Tensor& given, const Tensor& query, const Tensor& key, const Tensor& value,
                     const Tensor& mask, const Tensor& out, const Tensor& logsum, const Options& options, Slots& d) {
  const Tensor g = contiguous(given);
  const MaskView mask_view(mask, sizes_of_scores(query, key));
  View views[3];
  const View* wanted[3] = {};
  const Tensor* inputs[3] = {&query, &key, &value};
  for (std::size_t i = 0; i < 3; ++i) {
    if (!d.wants(i)) continue;
    d[i] = Tensor::empty(inputs[i]->sizes(), inputs[i]->dtype());
    views[i] = d[i].view();
    wanted[i] = &views[i];
  }
  if (LaunchCount::counting) ++LaunchCount::value;
  kernels().attention->backward({wanted[0], wanted[1], wanted[2]}, g.view(), out.view(), logsum.view(),
                                inputs_of(query, key, value, mask_view, options));
}

// Rows that a BLAS can walk: contiguous, not overlapping.
bool has_rows(const Tensor& t) {
  const Dims& strides = t.strides();
  return (strides[3] == 1 || t.sizes()[3] == 1) && (strides[2] >= t.sizes()[3] || t.sizes()[2] == 1);
}

Tensor fused(const Tensor& given_query, const Tensor& given_key, const Tensor& given_value, const Tensor& given_mask,
             const Options& options) {
  const auto walkable = [](const Tensor& t) { return has_rows(t) ? t : contiguous(t); };
  const Tensor query = walkable(given_query);
  const Tensor key = walkable(given_key);
  const Tensor value = walkable(given_value);
  const DType compute = compute_type(query.dtype());
  const Tensor mask =
      given_mask.defined() && given_mask.dtype() != DType::Bool ? to_dtype(given_mask, compute) : given_mask;
  const Dims scores = sizes_of_scores(query, key);
  Tensor out = Tensor::empty(Dims{scores[0], scores[1], scores[2], value.sizes()[3]}, query.dtype());
  const Tensor logsum = Tensor::empty(Dims{scores[0], scores[1], scores[2]}, compute);
  const MaskView mask_view(mask, scores);
  if (LaunchCount::counting) ++LaunchCount::value;
  kernels().attention->forward(out.view(), logsum.view(), inputs_of(query, key, value, mask_view, options));
  if (needs_grad(query, key, value)) {
    record("ScaledDotProductFlashAttentionForCpuBackward0", out, {&query, &key, &value},
           [q = save(query), k = save(key), v = save(value), m = save(mask), o = save_output(out), logsum, options](
               const Tensor& g, Slots& d) {
             if (grad_mode().enabled) {
               differentiable_gradients(g, q.get(), k.get(), v.get(), m.get(), options, d);
             } else {
               fused_gradients(g, q.get(), k.get(), v.get(), m.get(), o.get(), logsum, options, d);
             }
           });
  }
  return out;
}

// [..., rows, width] as [batch, heads, rows, width].
Tensor as_heads(const Tensor& t) {
  if (t.ndim() == kDims) return t;
  if (t.ndim() == 3) return unsqueeze(t, 0);
  if (t.ndim() == 2) return unsqueeze(unsqueeze(t, 0), 0);
  std::int64_t batch = 1;
  for (int d = 0; d < t.ndim() - 3; ++d) batch *= t.sizes()[d];
  const Dims& s = t.sizes();
  return reshape(t, Dims{batch, s[s.size() - 3], s[s.size() - 2], s[s.size() - 1]});
}

void check(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask, double dropout_p,
           bool is_causal) {
  FASTNN_CHECK(
      query.dtype() == key.dtype() && query.dtype() == value.dtype(), ErrorKind::Runtime,
      "scaled_dot_product_attention: Expected query, key, and value to have the same dtype, but got query.dtype: ",
      query.dtype(), " key.dtype: ", key.dtype(), " and value.dtype: ", value.dtype(), " instead.");
  FASTNN_CHECK(query.ndim() >= 2 && key.ndim() >= 2 && value.ndim() >= 2, ErrorKind::Runtime,
               "scaled_dot_product_attention: Expected query, key, and value to all be at least 2 dimensional, but got "
               "Query dim: ",
               query.ndim(), ", Key dim: ", key.ndim(), " and Value dim: ", value.ndim(), " instead.");
  if (!is_floating(query.dtype())) fail_not_implemented("scaled_dot_product_attention", query.dtype());
  FASTNN_CHECK(query.sizes().back() == key.sizes().back(), ErrorKind::Runtime,
               "scaled_dot_product_attention: query and key must have the same last dimension, but got ", query.sizes(),
               " and ", key.sizes());
  FASTNN_CHECK(key.sizes()[key.ndim() - 2] == value.sizes()[value.ndim() - 2], ErrorKind::Runtime,
               "scaled_dot_product_attention: key and value must have the same sequence length, but got ", key.sizes(),
               " and ", value.sizes());
  FASTNN_CHECK(dropout_p >= 0 && dropout_p <= 1, ErrorKind::Runtime,
               "dropout probability has to be between 0 and 1, but got ", dropout_p);
  if (!mask.defined()) return;
  FASTNN_CHECK(!is_causal, ErrorKind::Runtime,
               "_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True");
  FASTNN_CHECK(mask.dtype() == DType::Bool || mask.dtype() == DType::Float32 || mask.dtype() == query.dtype(),
               ErrorKind::Runtime,
               "Expected attn_mask dtype to be bool or float or to match query dtype, but got "
               "attn_mask.dtype: ",
               mask.dtype(), " and  query.dtype: ", query.dtype(), " instead.");
}

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& mask,
                                    double dropout_p, bool is_causal, std::optional<double> scale, bool enable_gqa) {
  check(query, key, value, mask, dropout_p, is_causal);
  const std::int64_t width = query.sizes().back();
  const Options options{is_causal,
                        scale.value_or(1 / std::sqrt(static_cast<double>(std::max<std::int64_t>(width, 1))))};

  // Leading dimensions broadcast; with grouped queries the heads stay apart.
  const auto leading = [&](const Tensor& t) {
    const int count = t.ndim() - (enable_gqa && t.ndim() > 2 ? 3 : 2);
    return Dims(static_cast<IntSpan>(t.sizes()).first(static_cast<std::size_t>(count)));
  };
  const char* op = "scaled_dot_product_attention";
  Dims batch = broadcast_shapes(broadcast_shapes(leading(query), leading(key), op), leading(value), op);
  const auto expanded = [&](const Tensor& t) {
    Dims sizes = batch;
    for (int d = leading(t).size(); d < t.ndim(); ++d) sizes.push_back(t.sizes()[d]);
    return as_heads(t.sizes() == sizes ? t : expand(t, sizes));
  };
  const Tensor q = expanded(query);
  const Tensor k = expanded(key);
  const Tensor v = expanded(value);
  FASTNN_CHECK(k.sizes()[1] == v.sizes()[1] && k.sizes()[1] > 0 && q.sizes()[1] % k.sizes()[1] == 0, ErrorKind::Runtime,
               op, ": Number of heads in key and value must divide the number of heads in query, but got query ",
               query.sizes(), ", key ", key.sizes(), " and value ", value.sizes());

  Dims out_sizes = batch;
  if (enable_gqa && query.ndim() > 2) out_sizes.push_back(query.sizes()[query.ndim() - 3]);
  Dims score_sizes = out_sizes;
  out_sizes.push_back(q.sizes()[2]);
  out_sizes.push_back(v.sizes()[3]);
  score_sizes.push_back(q.sizes()[2]);
  score_sizes.push_back(k.sizes()[2]);
  Tensor m = mask;
  if (mask.defined()) {
    FASTNN_CHECK(is_expandable_to(mask.sizes(), score_sizes), ErrorKind::Runtime, op, ": attn_mask of shape ",
                 mask.sizes(), " cannot be broadcast to the shape of the scores, ", score_sizes);
    if (score_sizes.size() > kDims) m = as_heads(expand(mask, score_sizes));
  }
  const bool compose = dropout_p > 0 || needs_grad(m);
  const Tensor out = compose ? composed(q, k, v, m, dropout_p, options) : fused(q, k, v, m, options);
  return out.sizes() == out_sizes ? out : reshape(out, out_sizes);
}

FASTNN_OPS(attention) {
  op("nn.scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float "
     "dropout_p=0.0, bool is_causal=False, float? scale=None, bool enable_gqa=False) -> Tensor",
     &scaled_dot_product_attention, op_fn);
}

}  // namespace fastnn
