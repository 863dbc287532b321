#include "cpu/loops.h"

#include <cstring>

#include "core/parallel.h"

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kBlock = 512;        // elements staged at a time: every buffer stays in L1
constexpr std::int64_t kGrain = 32 * 1024;  // elements below which a second thread does not pay
constexpr std::int64_t kShortRow = 32;      // rows below this are gathered across rows

template <class To, class From>
To convert_one(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, BFloat16>) {
    return convert_one<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, Half> || std::is_same_v<To, BFloat16>) {
    return To(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From(0);
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To> && sizeof(To) < 8) {
    // Through int64, so that what does not fit wraps instead of being undefined.
    return static_cast<To>(static_cast<std::int64_t>(value));
  } else {
    return static_cast<To>(value);
  }
}

template <class To, class From>
void convert(void* dst, const void* src, std::int64_t n) {
  auto* to = static_cast<To*>(dst);
  const auto* from = static_cast<const From*>(src);
  if constexpr (std::is_same_v<To, From>) {
    std::memcpy(dst, src, static_cast<std::size_t>(n) * sizeof(To));
  } else {
    FASTNN_IVDEP
    for (std::int64_t i = 0; i < n; ++i) to[i] = convert_one<To>(from[i]);
  }
}

struct ConvertTable {
  ConvertFn of[kDTypeCount][kDTypeCount];
};

template <class To>
constexpr void fill_row(ConvertFn (&row)[kDTypeCount]) {
  row[static_cast<int>(DType::UInt8)] = &convert<To, std::uint8_t>;
  row[static_cast<int>(DType::Int8)] = &convert<To, std::int8_t>;
  row[static_cast<int>(DType::Int16)] = &convert<To, std::int16_t>;
  row[static_cast<int>(DType::Int32)] = &convert<To, std::int32_t>;
  row[static_cast<int>(DType::Int64)] = &convert<To, std::int64_t>;
  row[static_cast<int>(DType::Float16)] = &convert<To, Half>;
  row[static_cast<int>(DType::Float32)] = &convert<To, float>;
  row[static_cast<int>(DType::Float64)] = &convert<To, double>;
  row[static_cast<int>(DType::Bool)] = &convert<To, bool>;
  row[static_cast<int>(DType::BFloat16)] = &convert<To, BFloat16>;
}

constexpr ConvertTable make_convert_table() {
  ConvertTable table{};
  fill_row<std::uint8_t>(table.of[static_cast<int>(DType::UInt8)]);
  fill_row<std::int8_t>(table.of[static_cast<int>(DType::Int8)]);
  fill_row<std::int16_t>(table.of[static_cast<int>(DType::Int16)]);
  fill_row<std::int32_t>(table.of[static_cast<int>(DType::Int32)]);
  fill_row<std::int64_t>(table.of[static_cast<int>(DType::Int64)]);
  fill_row<Half>(table.of[static_cast<int>(DType::Float16)]);
  fill_row<float>(table.of[static_cast<int>(DType::Float32)]);
  fill_row<double>(table.of[static_cast<int>(DType::Float64)]);
  fill_row<bool>(table.of[static_cast<int>(DType::Bool)]);
  fill_row<BFloat16>(table.of[static_cast<int>(DType::BFloat16)]);
  return table;
}
constinit const ConvertTable kConvert = make_convert_table();

// Moves n elements of `Word` between a contiguous block and memory with a stride in bytes.
template <class Word>
void gather_words(void* dst, const char* src, std::int64_t stride, std::int64_t n) {
  auto* to = static_cast<Word*>(dst);
  if (stride == 0) {
    const Word value = *reinterpret_cast<const Word*>(src);
    for (std::int64_t i = 0; i < n; ++i) to[i] = value;
    return;
  }
  for (std::int64_t i = 0; i < n; ++i) to[i] = *reinterpret_cast<const Word*>(src + i * stride);
}
template <class Word>
void scatter_words(char* dst, const void* src, std::int64_t stride, std::int64_t n) {
  const auto* from = static_cast<const Word*>(src);
  for (std::int64_t i = 0; i < n; ++i) *reinterpret_cast<Word*>(dst + i * stride) = from[i];
}
void gather(void* dst, const char* src, std::int64_t stride, std::int64_t n, std::int64_t size) {
  switch (size) {
    case 1: return gather_words<std::uint8_t>(dst, src, stride, n);
    case 2: return gather_words<std::uint16_t>(dst, src, stride, n);
    case 4: return gather_words<std::uint32_t>(dst, src, stride, n);
    default: return gather_words<std::uint64_t>(dst, src, stride, n);
  }
}
void scatter(char* dst, const void* src, std::int64_t stride, std::int64_t n, std::int64_t size) {
  switch (size) {
    case 1: return scatter_words<std::uint8_t>(dst, src, stride, n);
    case 2: return scatter_words<std::uint16_t>(dst, src, stride, n);
    case 4: return scatter_words<std::uint32_t>(dst, src, stride, n);
    default: return scatter_words<std::uint64_t>(dst, src, stride, n);
  }
}

// Operand 0 is the output.
struct Operand {
  char* data;
  DType dtype;
  DType loop_dtype;  // what the loop reads or writes
  std::int64_t size;
  bool direct;       // no conversion needed
};

struct Plan {
  int ndim = 0;
  int operands = 0;
  std::int64_t numel = 1;
  Operand operand[kMaxInputs + 1];
  std::int64_t sizes[kMaxDims];
  std::int64_t strides[kMaxInputs + 1][kMaxDims];  // in bytes
};

void set_operand(Plan& plan, int index, const View& view, DType loop_dtype) {
  const std::int64_t size = itemsize(view.dtype);
  plan.operand[index] = {static_cast<char*>(view.data), view.dtype, loop_dtype, size, view.dtype == loop_dtype};
}

// Puts the dimensions in the memory order of the output.
void sort_dims(Plan& plan) {
  for (int i = 1; i < plan.ndim; ++i) {
    for (int j = i; j > 0 && plan.strides[0][j - 1] < plan.strides[0][j]; --j) {
      const auto swap = [](std::int64_t& a, std::int64_t& b) {
        const std::int64_t t = a;
        a = b;
        b = t;
      };
      swap(plan.sizes[j - 1], plan.sizes[j]);
      for (int k = 0; k < plan.operands; ++k) swap(plan.strides[k][j - 1], plan.strides[k][j]);
    }
  }
}

// Merges neighbouring dimensions that every operand walks as one.
void merge_dims(Plan& plan) {
  int last = 0;
  for (int i = 1; i < plan.ndim; ++i) {
    bool mergeable = true;
    for (int k = 0; k < plan.operands && mergeable; ++k) {
      mergeable = plan.strides[k][last] == plan.strides[k][i] * plan.sizes[i];
    }
    if (mergeable) {
      plan.sizes[last] *= plan.sizes[i];
    } else {
      ++last;
      plan.sizes[last] = plan.sizes[i];
    }
    for (int k = 0; k < plan.operands; ++k) plan.strides[k][last] = plan.strides[k][i];
  }
  plan.ndim = last + 1;
}

void build(Plan& plan, const View& out, const View* inputs, int arity) {
  plan.ndim = 0;
  for (int d = 0; d < out.ndim; ++d) {
    if (out.sizes[d] == 1) continue;
    const int at = plan.ndim++;
    plan.sizes[at] = out.sizes[d];
    plan.strides[0][at] = out.strides[d] * itemsize(out.dtype);
    for (int k = 0; k < arity; ++k) {
      const View& in = inputs[k];
      const int own = d - (out.ndim - in.ndim);
      const bool repeated = own < 0 || in.sizes[own] == 1;
      plan.strides[k + 1][at] = repeated ? 0 : in.strides[own] * itemsize(in.dtype);
    }
  }
  if (plan.ndim == 0) {
    plan.ndim = 1;
    plan.sizes[0] = 1;
    for (int k = 0; k <= arity; ++k) plan.strides[k][0] = plan.operand[k].size;
    return;
  }
  sort_dims(plan);
  merge_dims(plan);
}

// Whether input `k` has the output's shape, contiguous: the commonest case, told without a plan.
bool same_contiguous(const View& out, const View& in) {
  if (in.ndim != out.ndim) return false;
  for (int d = 0; d < out.ndim; ++d) {
    if (in.sizes[d] != out.sizes[d]) return false;
  }
  return in.contiguous();
}

bool build_flat(Plan& plan, const View& out, const View* inputs, int arity) {
  if (!out.contiguous()) return false;
  for (int k = 0; k < arity; ++k) {
    if (inputs[k].numel() == 1) {
      plan.strides[k + 1][0] = plan.numel == 1 ? plan.operand[k + 1].size : 0;
    } else if (same_contiguous(out, inputs[k])) {
      plan.strides[k + 1][0] = plan.operand[k + 1].size;
    } else {
      return false;
    }
  }
  plan.ndim = 1;
  plan.sizes[0] = plan.numel;
  plan.strides[0][0] = plan.operand[0].size;
  return true;
}

// Walks the index space of a plan in order.
class Cursor {
 public:
  Cursor(const Plan& plan, std::int64_t linear) : plan_(plan) {
    for (int d = plan.ndim - 1; d >= 0; --d) {
      at_[d] = linear % plan.sizes[d];
      linear /= plan.sizes[d];
    }
    for (int k = 0; k < plan.operands; ++k) {
      offset_[k] = 0;
      for (int d = 0; d < plan.ndim; ++d) offset_[k] += at_[d] * plan.strides[k][d];
    }
  }
  std::int64_t row_left() const { return plan_.sizes[plan_.ndim - 1] - at_[plan_.ndim - 1]; }
  char* pointer(int k) const { return plan_.operand[k].data + offset_[k]; }
  // Moves on by n elements of the current row (n <= row_left()).
  void advance(std::int64_t n) {
    int d = plan_.ndim - 1;
    at_[d] += n;
    for (int k = 0; k < plan_.operands; ++k) offset_[k] += n * plan_.strides[k][d];
    while (d > 0 && at_[d] == plan_.sizes[d]) {
      for (int k = 0; k < plan_.operands; ++k) {
        offset_[k] += plan_.strides[k][d - 1] - plan_.sizes[d] * plan_.strides[k][d];
      }
      at_[d] = 0;
      ++at_[--d];
    }
  }

 private:
  const Plan& plan_;
  std::int64_t at_[kMaxDims];
  std::int64_t offset_[kMaxInputs + 1];
};

class Runner {
 public:
  Runner(const Plan& plan, LoopFn fn, const Params& params) : plan_(plan), fn_(fn), params_(params) {
    for (const void*& pointer : filled_) pointer = nullptr;
  }

  void run(std::int64_t begin, std::int64_t end) {
    Cursor cursor(plan_, begin);
    const bool short_rows = plan_.ndim > 1 && plan_.sizes[plan_.ndim - 1] < kShortRow;
    while (begin < end) {
      const std::int64_t n = short_rows ? run_rows(cursor, end - begin) : run_row(cursor, end - begin);
      begin += n;
    }
  }

 private:
  bool dense(int k) const { return plan_.strides[k][plan_.ndim - 1] == plan_.operand[k].size; }

  // One stretch inside a row.
  std::int64_t run_row(Cursor& cursor, std::int64_t limit) {
    std::int64_t n = std::min(limit, cursor.row_left());
    bool staged = false;
    for (int k = 0; k < plan_.operands; ++k) staged |= !(dense(k) && plan_.operand[k].direct);
    if (staged) n = std::min(n, kBlock);
    const void* in[kMaxInputs];
    for (int k = 1; k < plan_.operands; ++k) in[k - 1] = load(k, cursor.pointer(k), n);
    char* target = cursor.pointer(0);
    if (dense(0) && plan_.operand[0].direct) {
      fn_(target, in, n, params_);
    } else {
      fn_(buffer_[0], in, n, params_);
      store(target, n);
    }
    cursor.advance(n);
    return n;
  }

  const void* load(int k, const char* source, std::int64_t n) {
    const Operand& operand = plan_.operand[k];
    const std::int64_t stride = plan_.strides[k][plan_.ndim - 1];
    if (stride == operand.size && operand.direct) return source;
    if (stride == 0) {
      if (filled_[k] == source && filled_count_[k] >= n) return buffer_[k];
      filled_[k] = source;
      filled_count_[k] = n;
    }
    if (operand.direct) {
      gather(buffer_[k], source, stride, n, operand.size);
      return buffer_[k];
    }
    const void* contiguous = source;
    if (stride != operand.size) {
      gather(scratch_, source, stride, n, operand.size);
      contiguous = scratch_;
    }
    kConvert.of[static_cast<int>(operand.loop_dtype)][static_cast<int>(operand.dtype)](buffer_[k], contiguous, n);
    return buffer_[k];
  }

  void store(char* target, std::int64_t n) {
    const Operand& operand = plan_.operand[0];
    const std::int64_t stride = plan_.strides[0][plan_.ndim - 1];
    const void* source = buffer_[0];
    if (!operand.direct) {
      void* converted = stride == operand.size ? static_cast<void*>(target) : scratch_;
      kConvert.of[static_cast<int>(operand.dtype)][static_cast<int>(operand.loop_dtype)](converted, source, n);
      if (stride == operand.size) return;
      source = scratch_;
    }
    scatter(target, source, stride, n, operand.size);
  }

  // A block over several short rows: every operand is staged.
  std::int64_t run_rows(Cursor& cursor, std::int64_t limit) {
    const std::int64_t total = std::min(limit, kBlock);
    const void* in[kMaxInputs];
    Cursor walk = cursor;
    for (std::int64_t done = 0; done < total;) {
      const std::int64_t n = std::min(total - done, walk.row_left());
      for (int k = 1; k < plan_.operands; ++k) {
        const std::int64_t size = plan_.operand[k].size;
        gather(raw_[k] + done * size, walk.pointer(k), plan_.strides[k][plan_.ndim - 1], n, size);
      }
      walk.advance(n);
      done += n;
    }
    for (int k = 1; k < plan_.operands; ++k) {
      const Operand& operand = plan_.operand[k];
      in[k - 1] = raw_[k];
      if (operand.direct) continue;
      kConvert.of[static_cast<int>(operand.loop_dtype)][static_cast<int>(operand.dtype)](buffer_[k], raw_[k], total);
      in[k - 1] = buffer_[k];
    }
    fn_(buffer_[0], in, total, params_);
    const Operand& out = plan_.operand[0];
    const char* result = buffer_[0];
    if (!out.direct) {
      kConvert.of[static_cast<int>(out.dtype)][static_cast<int>(out.loop_dtype)](raw_[0], buffer_[0], total);
      result = raw_[0];
    }
    for (std::int64_t done = 0; done < total;) {
      const std::int64_t n = std::min(total - done, cursor.row_left());
      scatter(cursor.pointer(0), result + done * out.size, plan_.strides[0][plan_.ndim - 1], n, out.size);
      cursor.advance(n);
      done += n;
    }
    return total;
  }

  const Plan& plan_;
  LoopFn fn_;
  const Params& params_;
  const void* filled_[kMaxInputs + 1];
  std::int64_t filled_count_[kMaxInputs + 1];
  alignas(64) char buffer_[kMaxInputs + 1][kBlock * 8];
  alignas(64) char raw_[kMaxInputs + 1][kBlock * 8];
  alignas(64) char scratch_[kBlock * 8];
};

// Everything dense and of the right dtype: the loop runs on the memory itself.
bool run_direct(const Plan& plan, LoopFn fn, const Params& params) {
  if (plan.ndim != 1) return false;
  for (int k = 0; k < plan.operands; ++k) {
    if (!plan.operand[k].direct || plan.strides[k][0] != plan.operand[k].size) return false;
  }
  parallel_for(plan.numel, kGrain, [&](std::int64_t begin, std::int64_t end) {
    const void* in[kMaxInputs];
    for (int k = 1; k < plan.operands; ++k) in[k - 1] = plan.operand[k].data + begin * plan.operand[k].size;
    fn(plan.operand[0].data + begin * plan.operand[0].size, in, end - begin, params);
  });
  return true;
}

}  // namespace

ConvertFn converter(DType to, DType from) { return kConvert.of[static_cast<int>(to)][static_cast<int>(from)]; }

void run_pointwise(const View& out, const View* inputs, int arity, DType compute, DType loop_out, LoopFn fn,
                   const Params& params) {
  Plan plan;
  plan.numel = out.numel();
  if (plan.numel == 0) return;
  plan.operands = arity + 1;
  set_operand(plan, 0, out, loop_out);
  for (int k = 0; k < arity; ++k) set_operand(plan, k + 1, inputs[k], compute);
  if (!build_flat(plan, out, inputs, arity)) build(plan, out, inputs, arity);
  if (run_direct(plan, fn, params)) return;
  parallel_for(plan.numel, kGrain,
               [&](std::int64_t begin, std::int64_t end) { Runner(plan, fn, params).run(begin, end); });
}

FASTNN_CPU_END
