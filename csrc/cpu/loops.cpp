#include "cpu/loops.h"

#include <cstring>

#include "core/parallel.h"
#include "cpu/vec.h"

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kBlock = 1024;       // elements staged at a time: the buffers of float32 operands stay in L1
constexpr std::int64_t kWord = 8;           // bytes of an element for which the buffers are made; wider: half as many
constexpr std::int64_t kGrain = 32 * 1024;  // elements below which a second thread does not pay
constexpr std::int64_t kShortRow = 32;      // rows below this are staged several at a time
constexpr std::int64_t kTileWidth = 32;     // of a tile that is gathered against the memory order

template <class To, class From>
To convert_one(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (is_complex_type<To> && is_complex_type<From>) {
    return To(value);
  } else if constexpr (is_complex_type<To>) {
    using Part = decltype(To::re);
    return To(convert_one<Part>(value));
  } else if constexpr (is_complex_type<From> && std::is_same_v<To, bool>) {
    return value.re != 0 || value.im != 0;
  } else if constexpr (is_complex_type<From>) {
    return convert_one<To>(value.re);
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
  } else if constexpr ((std::is_same_v<To, float> && sizeof(From) == 2 && !std::is_integral_v<From>) ||
                       (std::is_same_v<From, float> && sizeof(To) == 2 && !std::is_integral_v<To>)) {
    map<float>(to, from, n, [](Vec<float> x) { return x; });
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
  row[static_cast<int>(DType::Complex64)] = &convert<To, Complex<float>>;
  row[static_cast<int>(DType::Complex128)] = &convert<To, Complex<double>>;
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
  fill_row<Complex<float>>(table.of[static_cast<int>(DType::Complex64)]);
  fill_row<Complex<double>>(table.of[static_cast<int>(DType::Complex128)]);
  return table;
}
constinit const ConvertTable kConvert = make_convert_table();

// Moves a tile between a contiguous block (rows of `width`) and memory with strides in bytes, along the memory order.
template <class Word>
void gather_words(void* dst, const char* src, std::int64_t rows, std::int64_t width, std::int64_t row_stride,
                  std::int64_t stride) {
  auto* to = static_cast<Word*>(dst);
  const auto at = [&](std::int64_t r, std::int64_t c) {
    return *reinterpret_cast<const Word*>(src + r * row_stride + c * stride);
  };
  if (stride == 0) {
    for (std::int64_t r = 0; r < rows; ++r) {
      const Word value = at(r, 0);
      for (std::int64_t c = 0; c < width; ++c) to[r * width + c] = value;
    }
  } else if (stride == static_cast<std::int64_t>(sizeof(Word))) {
    for (std::int64_t r = 0; r < rows; ++r) {
      std::memcpy(to + r * width, src + r * row_stride, static_cast<std::size_t>(width) * sizeof(Word));
    }
  } else if (row_stride != 0 && row_stride < stride) {
    for (std::int64_t c = 0; c < width; ++c) {
      for (std::int64_t r = 0; r < rows; ++r) to[r * width + c] = at(r, c);
    }
  } else {
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t c = 0; c < width; ++c) to[r * width + c] = at(r, c);
    }
  }
}
template <class Word>
void scatter_words(char* dst, const void* src, std::int64_t rows, std::int64_t width, std::int64_t row_stride,
                   std::int64_t stride) {
  const auto* from = static_cast<const Word*>(src);
  if (stride == static_cast<std::int64_t>(sizeof(Word))) {
    for (std::int64_t r = 0; r < rows; ++r) {
      std::memcpy(dst + r * row_stride, from + r * width, static_cast<std::size_t>(width) * sizeof(Word));
    }
    return;
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    for (std::int64_t c = 0; c < width; ++c) {
      *reinterpret_cast<Word*>(dst + r * row_stride + c * stride) = from[r * width + c];
    }
  }
}

// Operand 0 is the output.
struct Operand {
  char* data = nullptr;
  DType dtype = DType::Float32;
  DType loop_dtype = DType::Float32;  // what the loop reads or writes
  std::int64_t size = 0;
  bool direct = false;  // no conversion needed

  Operand() = default;
  Operand(const View& view, DType loop)
      : data(static_cast<char*>(view.data)),
        dtype(view.dtype),
        loop_dtype(loop),
        size(itemsize(view.dtype)),
        direct(view.dtype == loop) {}
};

void gather_tile(void* dst, std::int64_t size, const char* src, std::int64_t rows, std::int64_t width,
                 std::int64_t row_stride, std::int64_t stride) {
  switch (size) {
    case 1:
      return gather_words<std::uint8_t>(dst, src, rows, width, row_stride, stride);
    case 2:
      return gather_words<std::uint16_t>(dst, src, rows, width, row_stride, stride);
    case 4:
      return gather_words<std::uint32_t>(dst, src, rows, width, row_stride, stride);
    case 8:
      return gather_words<std::uint64_t>(dst, src, rows, width, row_stride, stride);
    default:
      return gather_words<Complex<double>>(dst, src, rows, width, row_stride, stride);
  }
}
void scatter_tile(char* dst, std::int64_t size, const void* src, std::int64_t rows, std::int64_t width,
                  std::int64_t row_stride, std::int64_t stride) {
  switch (size) {
    case 1:
      return scatter_words<std::uint8_t>(dst, src, rows, width, row_stride, stride);
    case 2:
      return scatter_words<std::uint16_t>(dst, src, rows, width, row_stride, stride);
    case 4:
      return scatter_words<std::uint32_t>(dst, src, rows, width, row_stride, stride);
    case 8:
      return scatter_words<std::uint64_t>(dst, src, rows, width, row_stride, stride);
    default:
      return scatter_words<Complex<double>>(dst, src, rows, width, row_stride, stride);
  }
}

// The index space after merging. Dimension 0 is the innermost; there are always two.
struct Plan {
  int ndim = 0;
  int operands = 0;
  std::int64_t numel = 1;
  Operand operand[kMaxInputs + 1];
  std::int64_t sizes[kMaxDims + 2];
  std::int64_t strides[kMaxInputs + 1][kMaxDims + 2];  // in bytes
  // Each unit of work is a tile of at most `tile_rows` by `tile_width` of the two innermost dimensions.
  std::int64_t tile_rows = 1;
  std::int64_t tile_width = 0;
  std::int64_t block = kBlock;  // elements that fit into a buffer
  std::int64_t row_tiles = 0;
  std::int64_t width_tiles = 0;
};

void swap_dims(Plan& plan, int a, int b) {
  const auto swap = [](std::int64_t& x, std::int64_t& y) {
    const std::int64_t t = x;
    x = y;
    y = t;
  };
  swap(plan.sizes[a], plan.sizes[b]);
  for (int k = 0; k < plan.operands; ++k) swap(plan.strides[k][a], plan.strides[k][b]);
}

// Puts the dimensions in the memory order of the output.
void sort_dims(Plan& plan) {
  for (int i = 1; i < plan.ndim; ++i) {
    for (int j = i; j > 0 && plan.strides[0][j - 1] > plan.strides[0][j]; --j) swap_dims(plan, j - 1, j);
  }
}

// Merges neighbouring dimensions that every operand walks as one.
void merge_dims(Plan& plan) {
  int last = 0;
  for (int i = 1; i < plan.ndim; ++i) {
    bool mergeable = true;
    for (int k = 0; k < plan.operands && mergeable; ++k) {
      mergeable = plan.strides[k][i] == plan.strides[k][last] * plan.sizes[last];
    }
    if (mergeable) {
      plan.sizes[last] *= plan.sizes[i];
      continue;
    }
    ++last;
    plan.sizes[last] = plan.sizes[i];
    for (int k = 0; k < plan.operands; ++k) plan.strides[k][last] = plan.strides[k][i];
  }
  plan.ndim = last + 1;
}

void append_unit_dim(Plan& plan) {
  plan.sizes[plan.ndim] = 1;
  for (int k = 0; k < plan.operands; ++k) plan.strides[k][plan.ndim] = 0;
  ++plan.ndim;
}

void build_dims(Plan& plan, const View& out, const View* inputs) {
  for (int d = out.ndim - 1; d >= 0; --d) {
    if (out.sizes[d] == 1) continue;
    const int at = plan.ndim++;
    plan.sizes[at] = out.sizes[d];
    plan.strides[0][at] = out.strides[d] * plan.operand[0].size;
    for (int k = 1; k < plan.operands; ++k) {
      const View& in = inputs[k - 1];
      const int own = d - (out.ndim - in.ndim);
      const bool repeated = own < 0 || in.sizes[own] == 1;
      plan.strides[k][at] = repeated ? 0 : in.strides[own] * plan.operand[k].size;
    }
  }
  if (plan.ndim > 1) {
    sort_dims(plan);
    merge_dims(plan);
  }
  while (plan.ndim < 2) append_unit_dim(plan);
}

bool dense(const Plan& plan, int k) { return plan.strides[k][0] == plan.operand[k].size; }
// Read backwards against the memory order, as a transposed operand is.
bool crossed(const Plan& plan, int k) { return plan.strides[k][1] != 0 && plan.strides[k][1] < plan.strides[k][0]; }

std::int64_t outer(const Plan& plan) {
  std::int64_t count = 1;
  for (int d = 2; d < plan.ndim; ++d) count *= plan.sizes[d];
  return count;
}
std::int64_t pieces(std::int64_t count, std::int64_t size) { return (count + size - 1) / size; }
std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

void build_tiles(Plan& plan) {
  bool staged = false;
  bool across = false;
  for (int k = 0; k < plan.operands; ++k) {
    staged |= !dense(plan, k) || !plan.operand[k].direct;
    across |= crossed(plan, k);
    if (plan.operand[k].size > kWord || itemsize(plan.operand[k].loop_dtype) > kWord) plan.block = kBlock / 2;
  }
  if (across && plan.sizes[0] > 1) {
    plan.tile_width = smaller(plan.sizes[0], kTileWidth);
  } else if (staged || plan.sizes[0] < kShortRow) {
    plan.tile_width = smaller(plan.sizes[0], plan.block);
  } else {
    plan.tile_width = smaller(plan.sizes[0], kGrain);
  }
  if (across || plan.sizes[0] < kShortRow) plan.tile_rows = smaller(plan.sizes[1], plan.block / plan.tile_width);
  plan.width_tiles = pieces(plan.sizes[0], plan.tile_width);
  plan.row_tiles = pieces(plan.sizes[1], plan.tile_rows);
}

// Where a tile begins, and how much of it there is.
struct Tile {
  std::int64_t offset[8] = {};  // room for whole vectors
  std::int64_t rows = 0;
  std::int64_t width = 0;

  Tile(const Plan& plan, std::int64_t index) {
    const std::int64_t column = index % plan.width_tiles * plan.tile_width;
    index /= plan.width_tiles;
    const std::int64_t row = index % plan.row_tiles * plan.tile_rows;
    index /= plan.row_tiles;
    width = smaller(plan.tile_width, plan.sizes[0] - column);
    rows = smaller(plan.tile_rows, plan.sizes[1] - row);
    for (int k = 0; k < plan.operands; ++k) offset[k] = column * plan.strides[k][0] + row * plan.strides[k][1];
    for (int d = 2; d < plan.ndim; ++d) {
      const std::int64_t at = index % plan.sizes[d];
      index /= plan.sizes[d];
      for (int k = 0; k < plan.operands; ++k) offset[k] += at * plan.strides[k][d];
    }
  }
};

// Runs the tiles of one thread through its buffers.
class Runner {
 public:
  Runner(const Plan& plan, LoopFn fn, const Params& params) : plan_(plan), fn_(fn), params_(params) {
    for (const void*& pointer : filled_) pointer = nullptr;
  }

  void run(const Tile& tile) {
    const std::int64_t n = tile.rows * tile.width;
    const void* in[kMaxInputs];
    for (int k = 1; k < plan_.operands; ++k) in[k - 1] = load(k, tile, n);
    char* target = plan_.operand[0].data + tile.offset[0];
    if (in_place(0, tile)) return fn_(target, in, n, params_);
    fn_(buffer_[0], in, n, params_);
    store(target, tile, n);
  }

 private:
  // Whether the loop may work on the operand's own memory.
  bool in_place(int k, const Tile& tile) const {
    return plan_.operand[k].direct && dense(plan_, k) &&
           (tile.rows == 1 || plan_.strides[k][1] == tile.width * plan_.operand[k].size);
  }

  const void* load(int k, const Tile& tile, std::int64_t n) {
    const Operand& operand = plan_.operand[k];
    const char* source = operand.data + tile.offset[k];
    if (in_place(k, tile)) return source;
    const std::int64_t* strides = plan_.strides[k];
    if (strides[0] == 0 && (tile.rows == 1 || strides[1] == 0)) return repeat(k, source, n);
    filled_[k] = nullptr;
    if (operand.direct) {
      gather_tile(buffer_[k], operand.size, source, tile.rows, tile.width, strides[1], strides[0]);
      return buffer_[k];
    }
    const void* contiguous = source;
    if (tile.rows > 1 || !dense(plan_, k)) {
      gather_tile(scratch_, operand.size, source, tile.rows, tile.width, strides[1], strides[0]);
      contiguous = scratch_;
    }
    converter(operand.loop_dtype, operand.dtype)(buffer_[k], contiguous, n);
    return buffer_[k];
  }

  // One value for the whole tile, kept for the following tiles.
  const void* repeat(int k, const char* source, std::int64_t n) {
    if (filled_[k] == source && filled_count_[k] >= n) return buffer_[k];
    filled_[k] = source;
    filled_count_[k] = n;
    const Operand& operand = plan_.operand[k];
    alignas(8) char value[kMaxItemsize];
    converter(operand.loop_dtype, operand.dtype)(value, source, 1);
    gather_tile(buffer_[k], itemsize(operand.loop_dtype), value, 1, n, 0, 0);
    return buffer_[k];
  }

  void store(char* target, const Tile& tile, std::int64_t n) {
    const Operand& operand = plan_.operand[0];
    const std::int64_t* strides = plan_.strides[0];
    const void* source = buffer_[0];
    if (!operand.direct) {
      const bool whole = tile.rows == 1 && dense(plan_, 0);
      void* converted = whole ? static_cast<void*>(target) : scratch_;
      converter(operand.dtype, operand.loop_dtype)(converted, source, n);
      if (whole) return;
      source = scratch_;
    }
    scatter_tile(target, operand.size, source, tile.rows, tile.width, strides[1], strides[0]);
  }

  const Plan& plan_;
  LoopFn fn_;
  const Params& params_;
  const void* filled_[kMaxInputs + 1];
  std::int64_t filled_count_[kMaxInputs + 1];
  alignas(64) char buffer_[kMaxInputs + 1][kBlock * kWord];
  alignas(64) char scratch_[kBlock * kWord];
};

// Long rows on which the loop works directly: no buffers.
void run_rows(const Plan& plan, LoopFn fn, const Params& params, std::int64_t begin, std::int64_t end) {
  for (std::int64_t index = begin; index < end; ++index) {
    const Tile tile(plan, index);
    const void* in[kMaxInputs] = {};
    for (int k = 1; k < plan.operands; ++k) in[k - 1] = plan.operand[k].data + tile.offset[k];
    fn(plan.operand[0].data + tile.offset[0], in, tile.width, params);
  }
}

[[gnu::noinline]] void run_tiles(const Plan& plan, LoopFn fn, const Params& params, std::int64_t begin,
                                 std::int64_t end) {
  Runner runner(plan, fn, params);
  for (std::int64_t index = begin; index < end; ++index) runner.run(Tile(plan, index));
}

[[gnu::noinline]] void run_planned(const View& out, const View* inputs, int arity, DType compute,
                                   const LoopTable& table, LoopFn fn, const Params& params) {
  Plan plan;
  plan.numel = out.numel();
  if (plan.numel == 0) return;
  plan.operands = arity + 1;
  plan.operand[0] = Operand(out, table.predicate ? DType::Bool : compute);
  bool direct = plan.operand[0].direct;
  for (int k = 0; k < arity; ++k) {
    plan.operand[k + 1] = Operand(inputs[k], k == 0 && table.masked ? DType::Bool : compute);
    direct &= plan.operand[k + 1].direct;
  }
  build_dims(plan, out, inputs);
  build_tiles(plan);
  for (int k = 0; k < plan.operands; ++k) direct &= dense(plan, k);
  direct &= plan.tile_rows == 1;

  const std::int64_t tiles = plan.width_tiles * plan.row_tiles * outer(plan);
  const std::int64_t per_tile = smaller(plan.tile_rows * plan.tile_width, plan.numel);
  parallel_for(tiles, pieces(kGrain, per_tile), [&](std::int64_t begin, std::int64_t end) {
    if (direct) {
      run_rows(plan, fn, params, begin, end);
    } else {
      run_tiles(plan, fn, params, begin, end);
    }
  });
}

// Whether two views have the same sizes and strides.
bool same_geometry(const View& a, const View& b) {
  if (a.ndim != b.ndim) return false;
  for (int d = 0; d < a.ndim; ++d) {
    if (a.sizes[d] != b.sizes[d] || (a.strides[d] != b.strides[d] && a.sizes[d] != 1)) return false;
  }
  return true;
}

}  // namespace

ConvertFn converter(DType to, DType from) { return kConvert.of[static_cast<int>(to)][static_cast<int>(from)]; }

void gather(void* dst, const char* src, std::int64_t stride, std::int64_t n, std::int64_t size) {
  gather_tile(dst, size, src, 1, n, 0, stride);
}

void run_pointwise(const View& out, const View* inputs, int arity, DType compute, const LoopTable& table,
                   const Params& params) {
  const LoopFn fn = table.of[static_cast<int>(compute)];
  if (fn == nullptr) fail_not_implemented(params.op, arity > 0 ? inputs[arity - 1].dtype : out.dtype);
  // The commonest case first: everything contiguous, of one shape, and of the dtype that the loop reads.
  bool simple = out.dtype == (table.predicate ? DType::Bool : compute) && !table.masked && out.contiguous();
  for (int k = 0; k < arity && simple; ++k) {
    simple = inputs[k].dtype == compute && same_geometry(out, inputs[k]);
  }
  if (!simple) return run_planned(out, inputs, arity, compute, table, fn, params);
  const void* in[kMaxInputs];
  for (int k = 0; k < arity; ++k) in[k] = inputs[k].data;
  const std::int64_t n = out.numel();
  if (n <= kGrain) return fn(out.data, in, n, params);
  const std::int64_t out_size = itemsize(out.dtype);
  const std::int64_t in_size = itemsize(compute);
  parallel_for(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    const void* part[kMaxInputs];
    for (int k = 0; k < arity; ++k) part[k] = static_cast<const char*>(in[k]) + begin * in_size;
    fn(static_cast<char*>(out.data) + begin * out_size, part, end - begin, params);
  });
}

FASTNN_CPU_END
