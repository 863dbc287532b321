#include "kernels/attention.h"

#include <cmath>
#include <limits>
#include <type_traits>

#include "core/parallel.h"
#include "core/scratch.h"
#include "cpu/math.h"
#include "cpu/tables.h"
#include "cpu/vec.h"

// Dao et al., FlashAttention (2022): rows of scores are made a tile at a time, with a running maximum and sum; the
// backward pass makes them again from the logarithm of that sum. Products of tiles are left to the BLAS.

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kQueries = 128;  // rows of a tile of scores
constexpr std::int64_t kKeys = 256;     // its columns, forward
constexpr std::int64_t kKeysBackward = 128;
constexpr std::int64_t kWantedTasks = 16;  // with fewer heads than this, the blocks of a head are shared out
constexpr double kTaskWork = 2.5e5;        // multiply-adds below which a second thread does not pay

std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t grain_for(double work) { return larger(1, static_cast<std::int64_t>(kTaskWork / (work + 1))); }

template <class T>
using ComputeOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
const BlasOf<T>& blas_of() {
  if constexpr (std::is_same_v<T, float>) {
    return blas().f32;
  } else {
    return blas().f64;
  }
}

struct Shape {
  std::int64_t batch, heads, key_heads, queries, keys, width, value_width;

  explicit Shape(const AttentionInputs& in)
      : batch(in.query.sizes[0]),
        heads(in.query.sizes[1]),
        key_heads(in.key.sizes[1]),
        queries(in.query.sizes[2]),
        keys(in.key.sizes[2]),
        width(in.query.sizes[3]),
        value_width(in.value.sizes[3]) {}
  std::int64_t group() const { return heads / key_heads; }
};

// Rows of one head in the compute type, as a BLAS takes them.
template <class T>
struct Rows {
  const T* data;
  std::int64_t step;
};

// Rows [begin, end) of a head: in place, or converted into `buffer`.
template <class T, class S>
Rows<T> rows_of(const View& v, std::int64_t batch, std::int64_t head, std::int64_t begin, std::int64_t end, T* buffer) {
  const S* from = v.as<S>() + batch * v.strides[0] + head * v.strides[1] + begin * v.strides[2];
  const std::int64_t width = v.sizes[3];
  if constexpr (std::is_same_v<T, S>) {
    return {from, larger(v.strides[2], larger(width, 1))};
  } else {
    for (std::int64_t i = 0; i < end - begin; ++i) {
      map<T>(buffer + i * width, from + i * v.strides[2], width, [](Vec<T> x) { return x; });
    }
    return {buffer, larger(width, 1)};
  }
}
template <class T, class S>
constexpr std::int64_t buffered(std::int64_t elements) {
  return std::is_same_v<T, S> ? 0 : elements;
}

// Adds or applies the mask to a row of n scores from column `begin`.
template <class T>
void mask_row(T* scores, const View& mask, std::int64_t batch, std::int64_t head, std::int64_t query,
              std::int64_t begin, std::int64_t n) {
  const std::int64_t offset =
      batch * mask.strides[0] + head * mask.strides[1] + query * mask.strides[2] + begin * mask.strides[3];
  const std::int64_t step = mask.strides[3];
  if (mask.dtype == DType::Bool) {
    const bool* keep = mask.as<bool>() + offset;
    for (std::int64_t j = 0; j < n; ++j) scores[j] = keep[j * step] ? scores[j] : -std::numeric_limits<T>::infinity();
    return;
  }
  const T* summand = mask.as<T>() + offset;
  for (std::int64_t j = 0; j < n; ++j) scores[j] += summand[j * step];
}

// How many of the keys [begin, end) query `i` sees.
std::int64_t visible(const AttentionInputs& in, std::int64_t i, std::int64_t begin, std::int64_t end) {
  if (!in.causal) return end - begin;
  return larger(0, smaller(end, i + 1) - begin);
}

template <class T>
T largest(const T* row, std::int64_t n) {
  constexpr std::int64_t step = Vec<T>::size;
  Vec<T> best(-std::numeric_limits<T>::infinity());
  std::int64_t j = 0;
  for (; j + step <= n; j += step) best = max(best, Vec<T>::load(row + j));
  T result = reduce_max(best);
  for (; j < n; ++j) result = row[j] > result ? row[j] : result;
  return result;
}

// row = exp(row - shift); the sum of it.
template <class T>
T exponentials(T* row, T shift, std::int64_t n) {
  constexpr std::int64_t step = Vec<T>::size;
  Vec<T> sum(T(0));
  std::int64_t j = 0;
  for (; j + step <= n; j += step) {
    const Vec<T> e = exp(Vec<T>::load(row + j) - Vec<T>(shift));
    e.store(row + j);
    sum += e;
  }
  T total = reduce_add(sum);
  if (j < n) {
    exp(Vec<T>::load_partial(row + j, n - j) - Vec<T>(shift)).store_partial(row + j, n - j);
    for (; j < n; ++j) total += row[j];
  }
  return total;
}

template <class T>
void scale_row(T* row, T factor, std::int64_t n) {
  FASTNN_IVDEP
  for (std::int64_t j = 0; j < n; ++j) row[j] *= factor;
}
template <class T>
void zero(T* row, std::int64_t n) {
  for (std::int64_t j = 0; j < n; ++j) row[j] = T(0);
}

// --- forward
// -----------------------------------------------------------------------------------------------------------

template <class S>
void forward(const View& out, const View& logsum, const AttentionInputs& in) {
  using T = ComputeOf<S>;
  const Shape s(in);
  const std::int64_t block_q = smaller(kQueries, larger(s.queries, 1));
  const std::int64_t block_k = smaller(kKeys, larger(s.keys, 1));
  const std::int64_t blocks = ceil_div(s.queries, block_q);
  const double work =
      static_cast<double>(block_q) * static_cast<double>(s.keys) * static_cast<double>(s.width + s.value_width + 16);
  parallel_for(s.batch * s.heads * blocks, grain_for(work), [&](std::int64_t from, std::int64_t to) {
    const Scratch scratch((block_q * (block_k + s.value_width + 2) + buffered<T, S>(block_q * s.width) +
                           buffered<T, S>(block_k * larger(s.width, s.value_width))) *
                          static_cast<std::int64_t>(sizeof(T)));
    T* const scores = scratch.as<T>();
    T* const sums = scores + block_q * block_k;  // [block_q, value_width]
    T* const row_max = sums + block_q * s.value_width;
    T* const row_sum = row_max + block_q;
    T* const query_buffer = row_sum + block_q;
    T* const key_buffer = query_buffer + buffered<T, S>(block_q * s.width);
    for (std::int64_t task = from; task < to; ++task) {
      const std::int64_t batch = task / blocks / s.heads;
      const std::int64_t head = task / blocks % s.heads;
      const std::int64_t key_head = head / s.group();
      const std::int64_t q0 = task % blocks * block_q;
      const std::int64_t q1 = smaller(q0 + block_q, s.queries);
      const std::int64_t rows = q1 - q0;
      const Rows<T> query = rows_of<T, S>(in.query, batch, head, q0, q1, query_buffer);
      for (std::int64_t i = 0; i < rows; ++i) {
        row_max[i] = -std::numeric_limits<T>::infinity();
        row_sum[i] = T(0);
      }
      zero(sums, rows * s.value_width);
      const std::int64_t last_key = in.causal ? smaller(s.keys, q1) : s.keys;
      for (std::int64_t k0 = 0; k0 < last_key; k0 += block_k) {
        const std::int64_t k1 = smaller(k0 + block_k, last_key);
        const std::int64_t columns = k1 - k0;
        const Rows<T> key = rows_of<T, S>(in.key, batch, key_head, k0, k1, key_buffer);
        blas_of<T>().gemm(false, true, rows, columns, s.width, static_cast<T>(in.scale), query.data, query.step,
                          key.data, key.step, T(0), scores, columns);
        for (std::int64_t i = 0; i < rows; ++i) {
          T* row = scores + i * columns;
          const std::int64_t n = visible(in, q0 + i, k0, k1);
          if (in.mask) mask_row(row, *in.mask, batch, head, q0 + i, k0, n);
          const T top = largest(row, n);
          const T shift = top > row_max[i] ? top : row_max[i];
          if (shift == -std::numeric_limits<T>::infinity()) {
            // Nothing seen so far, or NaN only, which the exponentials keep.
            const T sum = exponentials(row, T(0), n);
            row_sum[i] += sum;
            zero(row + n, columns - n);
            continue;
          }
          const T factor = std::exp(row_max[i] - shift);
          row_sum[i] = row_sum[i] * factor + exponentials(row, shift, n);
          row_max[i] = shift;
          zero(row + n, columns - n);
          if (factor != T(1)) scale_row(sums + i * s.value_width, factor, s.value_width);
        }
        const Rows<T> value = rows_of<T, S>(in.value, batch, key_head, k0, k1, key_buffer);
        blas_of<T>().gemm(false, false, rows, s.value_width, columns, T(1), scores, columns, value.data, value.step,
                          T(1), sums, larger(s.value_width, 1));
      }
      const std::int64_t first_row = (batch * s.heads + head) * s.queries + q0;
      for (std::int64_t i = 0; i < rows; ++i) {
        // A row that sees nothing gives zeros, as in PyTorch.
        const T inverse = row_sum[i] == T(0) ? T(0) : T(1) / row_sum[i];
        logsum.as<T>()[first_row + i] = row_sum[i] == T(0) ? T(0) : row_max[i] + std::log(row_sum[i]);
        map<T>(out.as<S>() + (first_row + i) * s.value_width, sums + i * s.value_width, s.value_width,
               [inverse](Vec<T> x) { return x * Vec<T>(inverse); });
      }
    }
  });
}

// --- backward
// ----------------------------------------------------------------------------------------------------------

// What the backward pass of one block of queries and one of keys adds to.
template <class T>
struct Targets {
  T* query;  // [queries, width] of the head; null for those not wanted
  T* key;    // [keys, width] of the key head
  T* value;  // [keys, value_width]
};

template <class S>
class Backward {
 public:
  using T = ComputeOf<S>;

  Backward(const AttentionInputs& in, const View& gradient, const View& out, const View& logsum)
      : in_(in), gradient_(gradient), out_(out), logsum_(logsum), s_(in) {
    block_q_ = smaller(kQueries, larger(s_.queries, 1));
    block_k_ = smaller(kKeysBackward, larger(s_.keys, 1));
  }

  void run(const AttentionGradients& wanted) {
    const std::int64_t key_tasks = s_.batch * s_.key_heads;
    const double work = 2.5 * static_cast<double>(s_.queries) * static_cast<double>(s_.keys) *
                        static_cast<double>((s_.width + s_.value_width) * s_.group());
    if (key_tasks >= kWantedTasks || s_.queries + s_.keys <= block_q_ + block_k_) {
      parallel_for(key_tasks, grain_for(work), [&](std::int64_t begin, std::int64_t end) {
        const Scratch scratch(tile_elements() * static_cast<std::int64_t>(sizeof(T)));
        for (std::int64_t task = begin; task < end; ++task) {
          const std::int64_t batch = task / s_.key_heads;
          const std::int64_t key_head = task % s_.key_heads;
          key_pass(wanted, batch, key_head, 0, s_.keys, true, scratch.as<T>());
        }
      });
      return;
    }
    // Few heads: first the gradients of keys and values by blocks of keys, then those of queries by blocks of queries.
    const std::int64_t key_blocks = ceil_div(s_.keys, block_k_);
    const std::int64_t query_blocks = ceil_div(s_.queries, block_q_);
    if (wanted.key || wanted.value) {
      parallel_for(key_tasks * key_blocks, 1, [&](std::int64_t begin, std::int64_t end) {
        const Scratch scratch(tile_elements() * static_cast<std::int64_t>(sizeof(T)));
        for (std::int64_t task = begin; task < end; ++task) {
          const std::int64_t k0 = task % key_blocks * block_k_;
          key_pass(wanted, task / key_blocks / s_.key_heads, task / key_blocks % s_.key_heads, k0,
                   smaller(k0 + block_k_, s_.keys), false, scratch.as<T>());
        }
      });
    }
    if (wanted.query) {
      parallel_for(s_.batch * s_.heads * query_blocks, 1, [&](std::int64_t begin, std::int64_t end) {
        const Scratch scratch(tile_elements() * static_cast<std::int64_t>(sizeof(T)));
        for (std::int64_t task = begin; task < end; ++task) {
          const std::int64_t q0 = task % query_blocks * block_q_;
          query_pass(*wanted.query, task / query_blocks / s_.heads, task / query_blocks % s_.heads, q0,
                     smaller(q0 + block_q_, s_.queries), scratch.as<T>());
        }
      });
    }
  }

 private:
  static constexpr bool kDirect = std::is_same_v<T, S>;

  std::int64_t tile_elements() const {
    return 2 * block_q_ * block_k_ + block_q_ + buffered<T, S>((block_q_ + block_k_) * (s_.width + s_.value_width));
  }

  // Keys [k0, k1) of one key head: gradients of keys and values, and of all queries if `with_queries`.
  void key_pass(const AttentionGradients& wanted, std::int64_t batch, std::int64_t key_head, std::int64_t k0,
                std::int64_t k1, bool with_queries, T* tile) {
    const bool queries = with_queries && wanted.query;
    const std::int64_t keys = k1 - k0;
    const Scratch wide(kDirect ? 0
                               : (s_.queries * s_.width + keys * (s_.width + s_.value_width)) *
                                     static_cast<std::int64_t>(sizeof(T)));
    const std::int64_t at_key = (batch * s_.key_heads + key_head) * s_.keys + k0;
    Targets<T> targets{};
    if (wanted.key) targets.key = target(*wanted.key, at_key * s_.width, wide.as<T>());
    if (wanted.value) targets.value = target(*wanted.value, at_key * s_.value_width, wide.as<T>() + keys * s_.width);
    if (targets.key) zero(targets.key, keys * s_.width);
    if (targets.value) zero(targets.value, keys * s_.value_width);
    for (std::int64_t head = key_head * s_.group(); head < (key_head + 1) * s_.group(); ++head) {
      const std::int64_t at_query = (batch * s_.heads + head) * s_.queries;
      if (queries) {
        targets.query = target(*wanted.query, at_query * s_.width, wide.as<T>() + keys * (s_.width + s_.value_width));
        zero(targets.query, s_.queries * s_.width);
      }
      for (std::int64_t k = k0; k < k1; k += block_k_) {
        Targets<T> part = targets;
        if (part.key) part.key += (k - k0) * s_.width;
        if (part.value) part.value += (k - k0) * s_.value_width;
        const std::int64_t first = in_.causal ? k / block_q_ * block_q_ : 0;
        for (std::int64_t q = first; q < s_.queries; q += block_q_) {
          if (queries) part.query = targets.query + q * s_.width;
          add_block(part, batch, head, q, smaller(q + block_q_, s_.queries), k, smaller(k + block_k_, k1), tile);
        }
      }
      if (queries) finish(*wanted.query, at_query * s_.width, targets.query, s_.queries * s_.width);
    }
    if (targets.key) finish(*wanted.key, at_key * s_.width, targets.key, keys * s_.width);
    if (targets.value) finish(*wanted.value, at_key * s_.value_width, targets.value, keys * s_.value_width);
  }

  void query_pass(const View& wanted, std::int64_t batch, std::int64_t head, std::int64_t q0, std::int64_t q1,
                  T* tile) {
    const Scratch wide(kDirect ? 0 : (q1 - q0) * s_.width * static_cast<std::int64_t>(sizeof(T)));
    const std::int64_t at = ((batch * s_.heads + head) * s_.queries + q0) * s_.width;
    Targets<T> targets{};
    targets.query = target(wanted, at, wide.as<T>());
    zero(targets.query, (q1 - q0) * s_.width);
    const std::int64_t last = in_.causal ? smaller(s_.keys, q1) : s_.keys;
    for (std::int64_t k = 0; k < last; k += block_k_) {
      add_block(targets, batch, head, q0, q1, k, smaller(k + block_k_, s_.keys), tile);
    }
    finish(wanted, at, targets.query, (q1 - q0) * s_.width);
  }

  // Where sums go: the gradient itself, or a buffer when it is 16-bit.
  static T* target(const View& view, std::int64_t offset, T* buffer) {
    if constexpr (kDirect) {
      (void)buffer;
      return view.as<T>() + offset;
    } else {
      (void)view;
      (void)offset;
      return buffer;
    }
  }
  static void finish(const View& view, std::int64_t offset, const T* sums, std::int64_t n) {
    if constexpr (!kDirect) map<T>(view.as<S>() + offset, sums, n, [](Vec<T> x) { return x; });
  }

  // With P the probabilities, dP = dO V^T and dS = P (dP - sum(dO * O)):
  // dV += P^T dO, dQ += scale dS K, dK += scale dS^T Q.
  void add_block(const Targets<T>& to, std::int64_t batch, std::int64_t head, std::int64_t q0, std::int64_t q1,
                 std::int64_t k0, std::int64_t k1, T* tile) {
    const BlasOf<T>& lib = blas_of<T>();
    const std::int64_t rows = q1 - q0;
    const std::int64_t columns = k1 - k0;
    const std::int64_t key_head = head / s_.group();
    T* const p = tile;
    T* const dp = p + block_q_ * block_k_;
    T* const delta = dp + block_q_ * block_k_;
    T* buffer = delta + block_q_;
    const auto next = [&](std::int64_t elements) {
      T* const at = buffer;
      buffer += buffered<T, S>(elements);
      return at;
    };
    const Rows<T> query = rows_of<T, S>(in_.query, batch, head, q0, q1, next(block_q_ * s_.width));
    const Rows<T> key = rows_of<T, S>(in_.key, batch, key_head, k0, k1, next(block_k_ * s_.width));
    const Rows<T> value = rows_of<T, S>(in_.value, batch, key_head, k0, k1, next(block_k_ * s_.value_width));
    const Rows<T> gradient = rows_of<T, S>(gradient_, batch, head, q0, q1, next(block_q_ * s_.value_width));
    const auto scale = static_cast<T>(in_.scale);
    const std::int64_t first_row = (batch * s_.heads + head) * s_.queries + q0;

    lib.gemm(false, true, rows, columns, s_.width, scale, query.data, query.step, key.data, key.step, T(0), p, columns);
    for (std::int64_t i = 0; i < rows; ++i) {
      T* row = p + i * columns;
      const std::int64_t n = visible(in_, q0 + i, k0, k1);
      if (in_.mask) mask_row(row, *in_.mask, batch, head, q0 + i, k0, n);
      exponentials(row, logsum_.as<T>()[first_row + i], n);
      zero(row + n, columns - n);
    }
    if (to.value) {
      lib.gemm(true, false, columns, s_.value_width, rows, T(1), p, columns, gradient.data, gradient.step, T(1),
               to.value, larger(s_.value_width, 1));
    }
    if (!to.query && !to.key) return;
    lib.gemm(false, true, rows, columns, s_.value_width, T(1), gradient.data, gradient.step, value.data, value.step,
             T(0), dp, columns);
    for (std::int64_t i = 0; i < rows; ++i) {
      const S* o = out_.as<S>() + (first_row + i) * s_.value_width;
      const T* g = gradient.data + i * gradient.step;
      T sum = T(0);
      for (std::int64_t j = 0; j < s_.value_width; ++j) sum += static_cast<T>(o[j]) * g[j];
      map<T>(dp + i * columns, dp + i * columns, p + i * columns, columns,
             [sum](Vec<T> d, Vec<T> probability) { return probability * (d - Vec<T>(sum)); });
    }
    if (to.query) {
      lib.gemm(false, false, rows, s_.width, columns, scale, dp, columns, key.data, key.step, T(1), to.query,
               larger(s_.width, 1));
    }
    if (to.key) {
      lib.gemm(true, false, columns, s_.width, rows, scale, dp, columns, query.data, query.step, T(1), to.key,
               larger(s_.width, 1));
    }
  }

  const AttentionInputs& in_;
  const View& gradient_;
  const View& out_;
  const View& logsum_;
  Shape s_;
  std::int64_t block_q_, block_k_;
};

template <class F>
void with_storage(DType dtype, F&& f) {
  switch (dtype) {
    case DType::Float32:
      return f(float{});
    case DType::Float64:
      return f(double{});
    case DType::Float16:
      return f(Half{});
    case DType::BFloat16:
      return f(BFloat16{});
    default:
      fail_not_implemented("scaled_dot_product_attention", dtype);
  }
}

void forward_any(const View& out, const View& logsum, const AttentionInputs& inputs) {
  with_storage(out.dtype, [&](auto storage) { forward<decltype(storage)>(out, logsum, inputs); });
}
void backward_any(const AttentionGradients& gradients, const View& gradient, const View& out, const View& logsum,
                  const AttentionInputs& inputs) {
  with_storage(out.dtype,
               [&](auto storage) { Backward<decltype(storage)>(inputs, gradient, out, logsum).run(gradients); });
}

}  // namespace

constinit const AttentionKernels attention_kernels = {
    .forward = &forward_any,
    .backward = &backward_any,
};

FASTNN_CPU_END
