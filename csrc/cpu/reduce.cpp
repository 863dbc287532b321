#include "kernels/reduce.h"

#include <cmath>
#include <limits>
#include <type_traits>

#include "cpu/pack.h"
#include "cpu/reduce_plan.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kBlock = 1024;       // elements summed in the narrow type
constexpr std::int64_t kColumns = 512;      // columns whose accumulators stay in L1
constexpr std::int64_t kFlush = 128;        // rows summed in the narrow type
constexpr std::int64_t kGrain = 32 * 1024;  // elements below which a second thread does not pay
constexpr std::int64_t kMaxChunks = 16;     // pieces of one long reduction
constexpr std::int64_t kFewTasks = 16;      // with fewer, long reductions are cut into pieces
constexpr std::int64_t kNarrow = 8;         // fewer contiguous columns are not worth the column path

// What partial results are combined in.
template <class C>
using Wide = std::conditional_t<std::is_same_v<C, float>, double, C>;

// `step` takes one element into an accumulator, `join` combines two accumulators; both work on packs too.
struct Sum {
  static constexpr double kIdentity = 0;
  template <class V>
  static V step(V acc, V x, V) {
    return acc + x;
  }
  template <class V>
  static V join(V a, V b) {
    return a + b;
  }
};
struct NanSum : Sum {
  template <class V>
  static V step(V acc, V x, V) {
    return x == x ? acc + x : acc;
  }
};
struct SumAbs : Sum {
  template <class V>
  static V step(V acc, V x, V) {
    return x < 0 ? acc - x : acc + x;
  }
};
struct SumSquares : Sum {
  template <class V>
  static V step(V acc, V x, V) {
    return acc + x * x;
  }
};
struct SumSquareDeviations : Sum {
  template <class V>
  static V step(V acc, V x, V context) {
    return acc + (x - context) * (x - context);
  }
};
struct Product {
  static constexpr double kIdentity = 1;
  template <class V>
  static V step(V acc, V x, V) {
    return acc * x;
  }
  template <class V>
  static V join(V a, V b) {
    return a * b;
  }
};
// NaN wins.
struct Largest {
  static constexpr double kIdentity = -std::numeric_limits<double>::infinity();
  template <class V>
  static auto before(V x, V best) {
    return (x > best) | ((x != x) & (best == best));
  }
  template <class V>
  static V step(V acc, V x, V) {
    return ((x > acc) | (x != x)) ? x : acc;
  }
  template <class V>
  static V join(V a, V b) {
    return step(a, b, b);
  }
};
struct Smallest {
  static constexpr double kIdentity = std::numeric_limits<double>::infinity();
  template <class V>
  static auto before(V x, V best) {
    return (x < best) | ((x != x) & (best == best));
  }
  template <class V>
  static V step(V acc, V x, V) {
    return ((x < acc) | (x != x)) ? x : acc;
  }
  template <class V>
  static V join(V a, V b) {
    return step(a, b, b);
  }
};
// On truth values.
struct Any {
  static constexpr double kIdentity = 0;
  template <class V>
  static V step(V acc, V x, V) {
    return static_cast<V>(acc | x);
  }
  template <class V>
  static V join(V a, V b) {
    return static_cast<V>(a | b);
  }
};
struct All {
  static constexpr double kIdentity = 1;
  template <class V>
  static V step(V acc, V x, V) {
    return static_cast<V>(acc & x);
  }
  template <class V>
  static V join(V a, V b) {
    return static_cast<V>(a & b);
  }
};

template <class Op, class T>
constexpr T identity() {
  if constexpr (std::is_integral_v<T>) {
    if (Op::kIdentity == std::numeric_limits<double>::infinity()) return std::numeric_limits<T>::max();
    if (Op::kIdentity == -std::numeric_limits<double>::infinity()) return std::numeric_limits<T>::min();
  }
  return static_cast<T>(Op::kIdentity);
}

// Combines values as a balanced tree in the order in which they come.
template <class Op, class W>
class Tree {
 public:
  void push(W value) {
    int level = 0;
    for (std::uint64_t rest = count_; rest & 1; rest >>= 1) value = Op::join(level_[level++], value);
    level_[level] = value;
    ++count_;
  }
  W result() const {
    W value = identity<Op, W>();
    bool first = true;
    int level = 0;
    for (std::uint64_t rest = count_; rest != 0; rest >>= 1, ++level) {
      if ((rest & 1) == 0) continue;
      value = first ? level_[level] : Op::join(level_[level], value);
      first = false;
    }
    return value;
  }

 private:
  std::uint64_t count_ = 0;
  W level_[56];
};

// n contiguous elements: the lanes of a few packs, which are combined in the wide type.
template <class Op, class C>
Wide<C> reduce_block(const C* x, std::int64_t n, C context) {
  constexpr int kUnroll = 4;
  constexpr int kWidth = kLanes<C>;
  Wide<C> result = identity<Op, Wide<C>>();
  std::int64_t i = 0;
  if (n >= kWidth) {
    const Pack<C> c = splat(context);
    Pack<C> acc[kUnroll];
    for (Pack<C>& a : acc) a = splat(identity<Op, C>());
    for (; i + kUnroll * kWidth <= n; i += kUnroll * kWidth) {
      for (int k = 0; k < kUnroll; ++k) acc[k] = Op::step(acc[k], load_pack(x + i + k * kWidth), c);
    }
    for (; i + kWidth <= n; i += kWidth) acc[0] = Op::step(acc[0], load_pack(x + i), c);
    const Pack<C> all = Op::join(Op::join(acc[0], acc[1]), Op::join(acc[2], acc[3]));
    C narrow[kWidth];
    store_pack(narrow, all);
    Wide<C> lanes[kWidth];
    for (int k = 0; k < kWidth; ++k) lanes[k] = narrow[k];
    for (int half = kWidth / 2; half > 0; half /= 2) {
      for (int k = 0; k < half; ++k) lanes[k] = Op::join(lanes[k], lanes[k + half]);
    }
    result = lanes[0];
  }
  if (i == n) return result;
  C rest = identity<Op, C>();
  for (; i < n; ++i) rest = Op::step(rest, x[i], context);
  return Op::join(result, static_cast<Wide<C>>(rest));
}

struct Problem {
  Axes kept;     // out strides: elements of the output
  Axes reduced;  // out strides unused
  const char* in = nullptr;
  DType in_dtype{};
  std::int64_t in_size = 0;
  char* out = nullptr;
  DType out_dtype{};
  const void* context = nullptr;
  double divisor = 1;
  bool root = false;
  bool truth = false;  // elements count as true or false
};

template <class C>
constexpr DType block_dtype() {
  return std::is_same_v<C, std::uint8_t> ? DType::Bool : dtype_of<C>;
}

// A contiguous stretch of the input as C, in place where it is one already.
template <class C>
class Loader {
 public:
  explicit Loader(const Problem& problem)
      : problem_(problem), direct_(problem.in_dtype == block_dtype<C>() && !problem.truth) {
    if constexpr (std::is_same_v<C, std::uint8_t>) direct_ = problem.in_dtype == DType::Bool;
  }
  // Whether `load` takes more than a block when the stride is 1.
  bool direct() const { return direct_; }
  // n <= kBlock unless direct and stride == 1
  const C* load(std::int64_t offset, std::int64_t stride, std::int64_t n) {
    const char* from = problem_.in + offset * problem_.in_size;
    if (direct_ && stride == 1) return reinterpret_cast<const C*>(from);
    if (problem_.truth && !std::is_same_v<C, std::uint8_t>) {
      load_strided(truth_, DType::Bool, from, problem_.in_dtype, stride, n, scratch_);
      converter(block_dtype<C>(), DType::Bool)(block_, truth_, n);
    } else {
      load_strided(block_, block_dtype<C>(), from, problem_.in_dtype, stride, n, scratch_);
    }
    return block_;
  }

 private:
  const Problem& problem_;
  bool direct_;
  alignas(64) C block_[kBlock];
  alignas(64) char scratch_[kBlock * 8];
  alignas(64) bool truth_[kBlock];
};

template <class W>
void finish(const Problem& p, std::int64_t index, W value) {
  if constexpr (std::is_floating_point_v<W>) {
    if (p.divisor != 1) value /= static_cast<W>(p.divisor);
    if (p.root) value = std::sqrt(value);
  }
  store_one(p.out, index, p.out_dtype, value);
}

template <class C>
C context_at(const Problem& p, std::int64_t index) {
  return p.context ? static_cast<const C*>(p.context)[index] : C(0);
}

// --- rows: each output by itself ---------------------------------------------------------------------------------

// Elements [begin, end) of the reduced dimensions of the output whose elements start at `offset`.
template <class Op, class C>
Wide<C> reduce_range(const Problem& p, Loader<C>& loader, std::int64_t offset, std::int64_t begin, std::int64_t end,
                     C context) {
  const Axes& axes = p.reduced;
  const std::int64_t stride = axes.in[axes.count - 1];
  if (axes.count == 1 && end - begin <= kBlock) {
    return reduce_block<Op, C>(loader.load(offset + begin * stride, stride, end - begin), end - begin, context);
  }
  Tree<Op, Wide<C>> tree;
  AxesCursor cursor(axes, begin);
  while (begin < end) {
    const std::int64_t n = at_most(at_most(end - begin, cursor.row_left()), kBlock);
    tree.push(reduce_block<Op, C>(loader.load(offset + cursor.in(), stride, n), n, context));
    cursor.advance(n);
    begin += n;
  }
  return tree.result();
}

template <class Op, class C>
void reduce_rows(const Problem& p) {
  const std::int64_t outputs = p.kept.total;
  const std::int64_t count = p.reduced.total;
  const std::int64_t chunks = outputs < kFewTasks ? at_most(ceil_div(count, kGrain), kMaxChunks) : 1;
  if (chunks > 1) {
    const std::int64_t chunk = ceil_div(ceil_div(count, chunks), kBlock) * kBlock;
    AxesCursor cursor(p.kept, 0);
    for (std::int64_t o = 0; o < outputs; ++o) {
      Wide<C> partial[kMaxChunks];
      const std::int64_t offset = cursor.in();
      const C context = context_at<C>(p, cursor.out());
      parallel_for(chunks, 1, [&](std::int64_t first, std::int64_t last) {
        Loader<C> loader(p);
        for (std::int64_t c = first; c < last; ++c) {
          const std::int64_t begin = at_most(c * chunk, count);
          const std::int64_t end = at_most(begin + chunk, count);
          partial[c] = reduce_range<Op, C>(p, loader, offset, begin, end, context);
        }
      });
      Tree<Op, Wide<C>> tree;
      for (std::int64_t c = 0; c < chunks; ++c) tree.push(partial[c]);
      finish(p, cursor.out(), tree.result());
      cursor.advance(1);
    }
    return;
  }
  parallel_for(outputs, at_least(kGrain / at_least(count, 1), 1), [&](std::int64_t first, std::int64_t last) {
    Loader<C> loader(p);
    AxesCursor cursor(p.kept, first);
    if (loader.direct() && p.reduced.count == 1 && p.reduced.in[0] == 1 && count < kLanes<C>) {
      // Rows shorter than a pack.
      for (std::int64_t o = first; o < last; ++o) {
        const C* x = reinterpret_cast<const C*>(p.in) + cursor.in();
        const C context = context_at<C>(p, cursor.out());
        C total = identity<Op, C>();
        for (std::int64_t i = 0; i < count; ++i) total = Op::step(total, x[i], context);
        finish(p, cursor.out(), static_cast<Wide<C>>(total));
        cursor.advance(1);
      }
      return;
    }
    for (std::int64_t o = first; o < last; ++o) {
      const C context = context_at<C>(p, cursor.out());
      finish(p, cursor.out(), reduce_range<Op, C>(p, loader, cursor.in(), 0, count, context));
      cursor.advance(1);
    }
  });
}

// --- columns: outputs that are neighbours in the input, row by row --------------------------------------------------

// Accumulators of kColumns columns: each level takes kFlush results of the one below.
template <class Op, class C>
class ColumnAccumulators {
 public:
  using W = Wide<C>;
  explicit ColumnAccumulators(std::int64_t width) : width_(width) {
    for (std::int64_t i = 0; i < width; ++i) {
      narrow_[i] = identity<Op, C>();
      low_[i] = identity<Op, W>();
      high_[i] = identity<Op, W>();
    }
  }
  void add(const C* row, const C* context) {
    if (context) {
      FASTNN_IVDEP
      for (std::int64_t i = 0; i < width_; ++i) narrow_[i] = Op::step(narrow_[i], row[i], context[i]);
    } else {
      FASTNN_IVDEP
      for (std::int64_t i = 0; i < width_; ++i) narrow_[i] = Op::step(narrow_[i], row[i], row[i]);
    }
    count(1);
  }
  // Four rows at once: a quarter of the traffic.
  void add(const C* a, const C* b, const C* c, const C* d) {
    constexpr C kStart = identity<Op, C>();
    FASTNN_IVDEP
    for (std::int64_t i = 0; i < width_; ++i) {
      const C ab = Op::step(Op::step(kStart, a[i], a[i]), b[i], b[i]);
      const C cd = Op::step(Op::step(kStart, c[i], c[i]), d[i], d[i]);
      narrow_[i] = Op::join(narrow_[i], Op::join(ab, cd));
    }
    count(4);
  }
  void result(W* out) {
    flush_narrow();
    for (std::int64_t i = 0; i < width_; ++i) out[i] = Op::join(high_[i], low_[i]);
  }

 private:
  void count(int rows) {
    rows_ += rows;
    if (rows_ < kFlush) return;
    rows_ = 0;
    flush_narrow();
    if (++flushes_ < kFlush) return;
    flushes_ = 0;
    for (std::int64_t i = 0; i < width_; ++i) {
      high_[i] = Op::join(high_[i], low_[i]);
      low_[i] = identity<Op, W>();
    }
  }
  void flush_narrow() {
    for (std::int64_t i = 0; i < width_; ++i) {
      low_[i] = Op::join(low_[i], static_cast<W>(narrow_[i]));
      narrow_[i] = identity<Op, C>();
    }
  }

  std::int64_t width_;
  int rows_ = 0;
  int flushes_ = 0;
  alignas(64) C narrow_[kColumns];
  alignas(64) W low_[kColumns];
  alignas(64) W high_[kColumns];
};

// Rows [begin, end) of `width` columns that start at `offset`.
template <class Op, class C>
void reduce_column_rows(const Problem& p, Loader<C>& loader, std::int64_t offset, std::int64_t begin, std::int64_t end,
                        std::int64_t width, const C* context, Wide<C>* result) {
  ColumnAccumulators<Op, C> acc(width);
  AxesCursor cursor(p.reduced, begin);
  const std::int64_t stride = p.reduced.in[p.reduced.count - 1];
  while (begin < end) {
    const std::int64_t at = offset + cursor.in();
    if (loader.direct() && !context && cursor.row_left() >= 4 && end - begin >= 4) {
      const C* row = loader.load(at, 1, width);
      acc.add(row, row + stride, row + 2 * stride, row + 3 * stride);
      cursor.advance(4);
      begin += 4;
    } else {
      acc.add(loader.load(at, 1, width), context);
      cursor.advance(1);
      ++begin;
    }
  }
  acc.result(result);
}

template <class Op, class C>
void reduce_columns(const Problem& p) {
  Axes outer = p.kept;
  const int inner = outer.count - 1;
  const std::int64_t columns = outer.sizes[inner];
  const std::int64_t out_stride = outer.out[inner];
  outer.total /= columns;
  outer.count = inner;
  if (inner == 0) {
    outer.count = 1;
    outer.sizes[0] = 1;
    outer.in[0] = outer.out[0] = 0;
  }
  const std::int64_t rows = p.reduced.total;
  const std::int64_t blocks = ceil_div(columns, kColumns);
  const std::int64_t width = ceil_div(columns, blocks);
  const std::int64_t tasks = outer.total * blocks;
  const std::int64_t chunks = tasks < kFewTasks ? at_most(ceil_div(rows * width, kGrain), kMaxChunks) : 1;
  const std::int64_t chunk = ceil_div(rows, chunks);

  struct Task {
    std::int64_t offset, out, width;
  };
  const auto task_at = [&](std::int64_t index) {
    const AxesCursor cursor(outer, index / blocks);
    const std::int64_t first = index % blocks * width;
    return Task{cursor.in() + first, cursor.out() + first * out_stride, at_most(width, columns - first)};
  };
  const auto run = [&](const Task& task, std::int64_t begin, std::int64_t end, Wide<C>* result) {
    Loader<C> loader(p);
    C context[kColumns];
    if (p.context) {
      for (std::int64_t i = 0; i < task.width; ++i) context[i] = context_at<C>(p, task.out + i * out_stride);
    }
    reduce_column_rows<Op, C>(p, loader, task.offset, begin, end, task.width, p.context ? context : nullptr, result);
  };

  if (chunks > 1) {
    for (std::int64_t t = 0; t < tasks; ++t) {
      const Task task = task_at(t);
      Wide<C> partial[kMaxChunks][kColumns];
      parallel_for(chunks, 1, [&](std::int64_t first, std::int64_t last) {
        for (std::int64_t c = first; c < last; ++c) {
          run(task, at_most(c * chunk, rows), at_most((c + 1) * chunk, rows), partial[c]);
        }
      });
      for (std::int64_t i = 0; i < task.width; ++i) {
        Tree<Op, Wide<C>> tree;
        for (std::int64_t c = 0; c < chunks; ++c) tree.push(partial[c][i]);
        finish(p, task.out + i * out_stride, tree.result());
      }
    }
    return;
  }
  parallel_for(tasks, at_least(kGrain / at_least(rows * width, 1), 1), [&](std::int64_t first, std::int64_t last) {
    Wide<C> result[kColumns];
    for (std::int64_t t = first; t < last; ++t) {
      const Task task = task_at(t);
      run(task, 0, rows, result);
      for (std::int64_t i = 0; i < task.width; ++i) finish(p, task.out + i * out_stride, result[i]);
    }
  });
}

// --- the choice ------------------------------------------------------------------------------------------------------

template <class Op, class C>
void run(Problem& p) {
  if (p.kept.total == 0) return;
  const Axes& kept = p.kept;
  const int inner = kept.count - 1;
  const bool columns = kept.in[inner] == 1 && kept.sizes[inner] >= kNarrow &&
                       (p.reduced.in[p.reduced.count - 1] != 1 || p.reduced.total == 1) && p.reduced.total > 0;
  columns ? reduce_columns<Op, C>(p) : reduce_rows<Op, C>(p);
}

Problem make_problem(const View& out, const View& in, int reduced, const View* context, const ReduceParams& params) {
  Problem p;
  const int kept = in.ndim - reduced;
  for (int d = 0; d < kept; ++d) p.kept.push(in.sizes[d], in.strides[d], out.strides[d]);
  for (int d = kept; d < in.ndim; ++d) p.reduced.push(in.sizes[d], in.strides[d], 0);
  // Merging reduced dimensions looks at their input strides only.
  for (int d = 0; d < p.reduced.count; ++d) p.reduced.out[d] = p.reduced.in[d];
  p.kept.normalize();
  p.reduced.normalize();
  p.in = static_cast<const char*>(in.data);
  p.in_dtype = in.dtype;
  p.in_size = itemsize(in.dtype);
  p.out = static_cast<char*>(out.data);
  p.out_dtype = out.dtype;
  p.context = context ? context->data : nullptr;
  p.divisor = params.divisor;
  p.root = params.root;
  return p;
}

bool is_double(DType dtype) { return dtype == DType::Float64; }

template <class Op>
void reduce_numbers(const View& out, const View& in, int reduced, const View* context, const ReduceParams& params) {
  Problem p = make_problem(out, in, reduced, context, params);
  if (is_double(in.dtype) || is_double(out.dtype)) {
    run<Op, double>(p);
  } else if (is_floating(in.dtype) || is_floating(out.dtype)) {
    run<Op, float>(p);
  } else {
    run<Op, std::int64_t>(p);
  }
}

template <class Op>
void reduce_floats(const View& out, const View& in, int reduced, const View* context, const ReduceParams& params) {
  Problem p = make_problem(out, in, reduced, context, params);
  is_double(in.dtype) || is_double(out.dtype) ? run<Op, double>(p) : run<Op, float>(p);
}

template <class Op, class C>
void reduce_truth(const View& out, const View& in, int reduced, const View* context, const ReduceParams& params) {
  Problem p = make_problem(out, in, reduced, context, params);
  p.truth = true;
  run<Op, C>(p);
}

// --- positions -------------------------------------------------------------------------------------------------------

struct SelectProblem {
  Axes kept;
  std::int64_t length = 0;
  std::int64_t stride = 0;
  const char* in = nullptr;
  DType in_dtype{};
  std::int64_t in_size = 0;
  char* values = nullptr;
  DType value_dtype{};
  std::int64_t* indices = nullptr;

  template <class C>
  void store(std::int64_t at, C value, std::int64_t index) const {
    indices[at] = index;
    if (values) store_one(values, at, value_dtype, value);
  }
};

template <class C>
struct Found {
  C value;
  std::int64_t index;
};

// The best of n <= kBlock contiguous elements: its value first, vectorised, then where it is.
template <class Op, class C>
Found<C> select_block(const C* x, std::int64_t n) {
  const C best = static_cast<C>(reduce_block<Op, C>(x, n, C(0)));
  std::int64_t i = 0;
  if (best == best) {
    while (i < n && !(x[i] == best)) ++i;
  } else {
    while (i < n && x[i] == x[i]) ++i;
  }
  return {best, i};
}

template <class Op, class C>
void select_rows(const SelectProblem& p) {
  parallel_for(p.kept.total, at_least(kGrain / p.length, 1), [&](std::int64_t first, std::int64_t last) {
    alignas(64) C block[kBlock];
    alignas(64) char scratch[kBlock * 8];
    const bool direct = p.stride == 1 && p.in_dtype == dtype_of<C>;
    AxesCursor cursor(p.kept, first);
    for (std::int64_t o = first; o < last; ++o) {
      const char* row = p.in + cursor.in() * p.in_size;
      Found<C> found{};
      for (std::int64_t i = 0; i < p.length; i += kBlock) {
        const std::int64_t n = at_most(kBlock, p.length - i);
        const char* from = row + i * p.stride * p.in_size;
        const C* x = reinterpret_cast<const C*>(from);
        if (!direct) {
          load_strided(block, dtype_of<C>, from, p.in_dtype, p.stride, n, scratch);
          x = block;
        }
        const Found<C> here = select_block<Op, C>(x, n);
        if (i == 0 || Op::before(here.value, found.value)) found = {here.value, i + here.index};
      }
      p.store(cursor.out(), found.value, found.index);
      cursor.advance(1);
    }
  });
}

// The index type is as wide as the values, so that both are blended alike.
template <class Op, class C, class I>
void select_columns(const SelectProblem& p) {
  Axes outer = p.kept;
  const int inner = outer.count - 1;
  const std::int64_t columns = outer.sizes[inner];
  const std::int64_t out_stride = outer.out[inner];
  const std::int64_t blocks = ceil_div(columns, kColumns);
  outer.sizes[inner] = 1;
  outer.total = outer.total / columns;
  parallel_for(outer.total * blocks, at_least(kGrain / (p.length * at_most(columns, kColumns)), 1),
               [&](std::int64_t first, std::int64_t last) {
                 alignas(64) C best[kColumns];
                 alignas(64) I where[kColumns];
                 alignas(64) C block[kColumns];
                 for (std::int64_t t = first; t < last; ++t) {
                   const AxesCursor cursor(outer, t / blocks);
                   const std::int64_t begin = t % blocks * kColumns;
                   const std::int64_t width = at_most(kColumns, columns - begin);
                   for (std::int64_t r = 0; r < p.length; ++r) {
                     const char* from = p.in + (cursor.in() + begin + r * p.stride) * p.in_size;
                     const C* x = reinterpret_cast<const C*>(from);
                     if (p.in_dtype != dtype_of<C>) {
                       converter(dtype_of<C>, p.in_dtype)(block, from, width);
                       x = block;
                     }
                     const I index = static_cast<I>(r);
                     FASTNN_IVDEP
                     for (std::int64_t i = 0; i < width; ++i) {
                       const bool take = r == 0 || Op::before(x[i], best[i]);
                       best[i] = take ? x[i] : best[i];
                       where[i] = take ? index : where[i];
                     }
                   }
                   for (std::int64_t i = 0; i < width; ++i)
                     p.store(cursor.out() + (begin + i) * out_stride, best[i], where[i]);
                 }
               });
}

template <class Op, class C>
void select(const SelectProblem& p) {
  using I = std::conditional_t<sizeof(C) == 4, std::int32_t, std::int64_t>;
  const int inner = p.kept.count - 1;
  const bool columns = p.stride != 1 && p.kept.in[inner] == 1 && p.kept.sizes[inner] >= kNarrow &&
                       p.length <= std::numeric_limits<std::int32_t>::max();
  columns ? select_columns<Op, C, I>(p) : select_rows<Op, C>(p);
}

template <class Op>
void select_extreme(const View& values, const View& indices, const View& in, const ReduceParams&) {
  SelectProblem p;
  const int last = in.ndim - 1;
  for (int d = 0; d < last; ++d) p.kept.push(in.sizes[d], in.strides[d], indices.strides[d]);
  p.kept.normalize();
  p.length = in.sizes[last];
  p.stride = in.strides[last];
  p.in = static_cast<const char*>(in.data);
  p.in_dtype = in.dtype;
  p.in_size = itemsize(in.dtype);
  p.values = static_cast<char*>(values.data);
  p.value_dtype = values.dtype;
  p.indices = static_cast<std::int64_t*>(indices.data);
  if (p.kept.total == 0) return;
  if (is_double(in.dtype)) {
    select<Op, double>(p);
  } else if (is_floating(in.dtype)) {
    select<Op, float>(p);
  } else {
    select<Op, std::int64_t>(p);
  }
}

}  // namespace

constinit const ReduceKernels reduce_kernels = {
    .sum = &reduce_numbers<Sum>,
    .nansum = &reduce_numbers<NanSum>,
    .sum_abs = &reduce_numbers<SumAbs>,
    .sum_squares = &reduce_numbers<SumSquares>,
    .prod = &reduce_numbers<Product>,
    .amax = &reduce_numbers<Largest>,
    .amin = &reduce_numbers<Smallest>,
    .any = &reduce_truth<Any, std::uint8_t>,
    .all = &reduce_truth<All, std::uint8_t>,
    .count_nonzero = &reduce_truth<Sum, std::int64_t>,
    .sum_square_deviations = &reduce_floats<SumSquareDeviations>,
    .argmax = &select_extreme<Largest>,
    .argmin = &select_extreme<Smallest>,
};

FASTNN_CPU_END
