#include "kernels/rnn.h"

#include <cstring>

#include "core/parallel.h"
#include "core/scratch.h"
#include "cpu/gemm.h"
#include "cpu/rows.h"
#include "cpu/tables.h"

// Sequences do not depend on one another, so each thread takes some of them through all steps, without waiting for
// the others. The recurrent weight is the same in every step: it is packed once, and the product of a step is computed
// here instead of by a BLAS, which would pack it again each time.

FASTNN_CPU_BEGIN

namespace {

constexpr double kTaskWork = 2.5e5;  // multiply-adds below which a second thread does not pay

std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
std::int64_t grain_for(double work) { return larger(1, static_cast<std::int64_t>(kTaskWork / (work + 1))); }

// --- the product of a step -------------------------------------------------------------------------------------------

// Rows of a product that are computed together: as many as the registers hold, two vectors wide.
#if defined(__AVX512F__)
constexpr int kTileRows = 12;
#else
constexpr int kTileRows = 6;
#endif
constexpr std::int64_t kMostRows = 64;  // of one call

// A matrix [depth, columns] in panels of two vectors of columns: each panel lies in memory as it is read.
template <class T>
class Packed {
 public:
  static constexpr std::int64_t kWidth = 2 * Vec<T>::size;

  // The matrix, or its transpose, stored by rows.
  Packed(const T* matrix, std::int64_t depth, std::int64_t columns, bool transposed)
      : depth_(depth),
        columns_(columns),
        memory_((columns + kWidth - 1) / kWidth * kWidth * depth * static_cast<std::int64_t>(sizeof(T))) {
    T* const panels = memory_.template as<T>();
    parallel_for((columns + kWidth - 1) / kWidth, grain_for(static_cast<double>(kWidth * depth)),
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t p = begin; p < end; ++p) {
                     const std::int64_t first = p * kWidth;
                     const std::int64_t width = smaller(kWidth, columns - first);
                     pack(panels + first * depth, matrix, first, width, transposed);
                   }
                 });
  }

  // out[i] (+)= rows[i] @ matrix for `count` rows; those of `out` are `step` apart.
  void multiply(T* out, std::int64_t step, const T* const* rows, std::int64_t count, bool accumulate) const {
    const std::int64_t tiles = (count + kTileRows - 1) / kTileRows;
    const double work = static_cast<double>(kWidth * depth_ * count);
    parallel_for((columns_ + kWidth - 1) / kWidth, grain_for(work), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        const T* panel = memory_.template as<T>() + p * kWidth * depth_;
        const std::int64_t width = smaller(kWidth, columns_ - p * kWidth);
        for (std::int64_t tile = 0; tile < tiles; ++tile) {
          const std::int64_t first = tile * count / tiles;
          const std::int64_t last = (tile + 1) * count / tiles;
          any_tile<kTileRows>(out + first * step + p * kWidth, step, rows + first, last - first, panel, width,
                              accumulate);
        }
      }
    });
  }

 private:
  void pack(T* panel, const T* matrix, std::int64_t first, std::int64_t width, bool transposed) const {
    const T* from = matrix + (transposed ? first * depth_ : first);
    gemm_pack<T, kWidth, T>(panel, from, transposed ? depth_ : 1, transposed ? 1 : columns_, width, depth_);
  }

  template <int rows>
  void any_tile(T* out, std::int64_t step, const T* const* a, std::int64_t count, const T* panel, std::int64_t width,
                bool accumulate) const {
    if constexpr (rows > 1) {
      if (count < rows) return any_tile<rows - 1>(out, step, a, count, panel, width, accumulate);
    }
    run_tile<rows>(out, step, a, panel, width, accumulate);
  }

  template <int rows>
  [[gnu::noinline]] void run_tile(T* out, std::int64_t step, const T* const* a, const T* panel, std::int64_t width,
                                  bool accumulate) const {
    constexpr std::int64_t lanes = Vec<T>::size;
    Vec<T> left[rows];
    Vec<T> right[rows];
    const T* from[rows];
    for (int i = 0; i < rows; ++i) {
      left[i] = right[i] = Vec<T>(T(0));
      from[i] = a[i];
    }
    for (std::int64_t k = 0; k < depth_; ++k) {
      const Vec<T> b0 = Vec<T>::load(panel + k * kWidth);
      const Vec<T> b1 = Vec<T>::load(panel + k * kWidth + lanes);
      for (int i = 0; i < rows; ++i) {
        const Vec<T> value(from[i][k]);
        left[i] = fma(value, b0, left[i]);
        right[i] = fma(value, b1, right[i]);
      }
    }
    const std::int64_t first = smaller(width, lanes);
    const std::int64_t second = width - first;
    for (int i = 0; i < rows; ++i) {
      T* to = out + i * step;
      if (accumulate) {
        left[i] += load_some<T>(to, first);
        right[i] += load_some<T>(to + first, second);
      }
      store_some(left[i], to, first);
      store_some(right[i], to + first, second);
    }
  }

  std::int64_t depth_, columns_;
  Scratch memory_;
};

// --- the order of steps and rows
// ---------------------------------------------------------------------------------------

class Steps {
 public:
  explicit Steps(const RnnLayer& layer)
      : count_(static_cast<std::int64_t>(layer.counts.size())),
        batch_(layer.counts[0]),
        counts_(layer.counts.data()),
        reverse_(layer.reverse),
        memory_(count_ * static_cast<std::int64_t>(sizeof(std::int64_t))) {
    std::int64_t row = 0;
    for (std::int64_t t = 0; t < count_; ++t) {
      memory_.as<std::int64_t>()[t] = row;
      row += counts_[t];
    }
    rows_ = row;
  }
  std::int64_t count() const { return count_; }
  std::int64_t batch() const { return batch_; }
  std::int64_t rows() const { return rows_; }
  // The step that comes at place `i`.
  std::int64_t at(std::int64_t i) const { return reverse_ ? count_ - 1 - i : i; }
  std::int64_t rows_of(std::int64_t t) const { return counts_[t]; }
  std::int64_t row(std::int64_t t, std::int64_t sequence) const { return memory_.as<std::int64_t>()[t] + sequence; }
  // The row of the step before t in the same sequence, or -1 for the first.
  std::int64_t row_before(std::int64_t t, std::int64_t sequence) const {
    const std::int64_t before = reverse_ ? t + 1 : t - 1;
    if (before < 0 || before >= count_ || sequence >= counts_[before]) return -1;
    return row(before, sequence);
  }
  // The last step that a sequence has.
  std::int64_t last_row(std::int64_t sequence) const {
    std::int64_t t = reverse_ ? 0 : count_ - 1;
    while (sequence >= counts_[t]) --t;
    return row(t, sequence);
  }

  // Calls f(begin, end) for groups of sequences, in parallel.
  template <class F>
  void each_group(double work, F f) const {
    const double whole = work * static_cast<double>(rows_) / static_cast<double>(larger(batch_, 1));
    parallel_for(batch_, grain_for(whole), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t first = begin; first < end; first += kMostRows) f(first, smaller(first + kMostRows, end));
    });
  }

 private:
  std::int64_t count_, batch_, rows_ = 0;
  const std::int64_t* counts_;
  bool reverse_;
  Scratch memory_;
};

// Rows [.., width] of a view, or of another one where there is no row before.
template <class T>
struct Chain {
  const T* rows;
  const T* first;
  std::int64_t width;
  const T* before(const Steps& steps, std::int64_t t, std::int64_t sequence) const {
    const std::int64_t row = steps.row_before(t, sequence);
    return row < 0 ? first + sequence * width : rows + row * width;
  }
};

template <class T>
FASTNN_INLINE Vec<T> one_minus(Vec<T> x) {
  return Vec<T>(T(1)) - x;
}

// --- one row of a step -----------------------------------------------------------------------------------------------

// What a row of a step reads and writes; null where the mode has none.
template <class T>
struct Row {
  T* gates;          // products of the inputs, then the gates
  const T* product;  // of the state
  const T* bias;     // of the state, GRU
  const T* hidden;   // before
  const T* cell;     // before
  T* output;
  T* memory;
};

template <class T, RnnMode mode>
void forward_row(const Row<T>& r, std::int64_t width) {
  each_vec<T>(width, [&](std::int64_t j, std::int64_t n) {
    const auto sum = [&](std::int64_t gate) {
      const std::int64_t at = gate * width + j;
      return load_some<T>(r.gates + at, n) + load_some<T>(r.product + at, n);
    };
    const auto keep = [&](std::int64_t gate, Vec<T> value) { store_some(value, r.gates + gate * width + j, n); };
    if constexpr (mode == RnnMode::Lstm) {
      const Vec<T> i = sigmoid(sum(0));
      const Vec<T> f = sigmoid(sum(1));
      const Vec<T> g = tanh(sum(2));
      const Vec<T> o = sigmoid(sum(3));
      const Vec<T> cell = f * load_some<T>(r.cell + j, n) + i * g;
      keep(0, i);
      keep(1, f);
      keep(2, g);
      keep(3, o);
      store_some(cell, r.memory + j, n);
      store_some(o * tanh(cell), r.output + j, n);
    } else if constexpr (mode == RnnMode::Gru) {
      const auto bias = [&](std::int64_t gate) {
        return r.bias ? load_some<T>(r.bias + gate * width + j, n) : Vec<T>(T(0));
      };
      const Vec<T> reset = sigmoid(sum(0) + bias(0));
      const Vec<T> update = sigmoid(sum(1) + bias(1));
      const Vec<T> product = load_some<T>(r.product + 2 * width + j, n) + bias(2);
      const Vec<T> fresh = tanh(load_some<T>(r.gates + 2 * width + j, n) + reset * product);
      keep(0, reset);
      keep(1, update);
      keep(2, fresh);
      store_some(product, r.memory + j, n);
      store_some(fresh + update * (load_some<T>(r.hidden + j, n) - fresh), r.output + j, n);
    } else {
      const Vec<T> z = sum(0);
      store_some(mode == RnnMode::Tanh ? tanh(z) : max_nan(z, Vec<T>(T(0))), r.output + j, n);
    }
  });
}

template <class T>
struct RowGradient {
  const T* gates;
  const T* hidden;  // before
  const T* cell;    // before
  const T* output;
  const T* memory;
  const T* gradient;  // of the output
  T* d_hidden;        // of the state after the step, then the part for the state before it that goes past the product
  T* d_cell;
  T* d_gates;
  T* d_state_gates;  // GRU
};

template <class T, RnnMode mode>
void backward_row(const RowGradient<T>& r, std::int64_t width) {
  each_vec<T>(width, [&](std::int64_t j, std::int64_t n) {
    const auto gate = [&](std::int64_t k) { return load_some<T>(r.gates + k * width + j, n); };
    const auto set = [&](T* to, std::int64_t k, Vec<T> value) { store_some(value, to + k * width + j, n); };
    const Vec<T> dh = load_some<T>(r.d_hidden + j, n) + load_some<T>(r.gradient + j, n);
    if constexpr (mode == RnnMode::Lstm) {
      const Vec<T> i = gate(0);
      const Vec<T> f = gate(1);
      const Vec<T> g = gate(2);
      const Vec<T> o = gate(3);
      const Vec<T> t = tanh(load_some<T>(r.memory + j, n));
      const Vec<T> dc = load_some<T>(r.d_cell + j, n) + dh * o * one_minus(t * t);
      set(r.d_gates, 0, dc * g * i * one_minus(i));
      set(r.d_gates, 1, dc * load_some<T>(r.cell + j, n) * f * one_minus(f));
      set(r.d_gates, 2, dc * i * one_minus(g * g));
      set(r.d_gates, 3, dh * t * o * one_minus(o));
      store_some(dc * f, r.d_cell + j, n);
    } else if constexpr (mode == RnnMode::Gru) {
      const Vec<T> reset = gate(0);
      const Vec<T> update = gate(1);
      const Vec<T> fresh = gate(2);
      const Vec<T> d_fresh = dh * one_minus(update) * one_minus(fresh * fresh);
      const Vec<T> d_reset = d_fresh * load_some<T>(r.memory + j, n) * reset * one_minus(reset);
      const Vec<T> d_update = dh * (load_some<T>(r.hidden + j, n) - fresh) * update * one_minus(update);
      for (T* to : {r.d_gates, r.d_state_gates}) {
        set(to, 0, d_reset);
        set(to, 1, d_update);
      }
      set(r.d_gates, 2, d_fresh);
      set(r.d_state_gates, 2, d_fresh * reset);
      store_some(dh * update, r.d_hidden + j, n);
    } else {
      const Vec<T> y = load_some<T>(r.output + j, n);
      const Vec<T> zero(T(0));
      set(r.d_gates, 0, mode == RnnMode::Tanh ? dh * one_minus(y * y) : select(y > zero, dh, zero));
    }
  });
}

// --- a layer ---------------------------------------------------------------------------------------------------------

template <class T, RnnMode mode>
class Layer {
 public:
  explicit Layer(const RnnLayer& layer)
      : l_(layer),
        steps_(layer),
        width_(layer.hidden.sizes[1]),
        gates_(rnn_gates(mode) * width_),
        hidden_{layer.output.as<T>(), layer.hidden.as<T>(), width_},
        cell_{layer.memory.as<T>(), layer.cell.as<T>(), width_} {}

  void forward(const RnnFinal& final) {
    if (steps_.count() == 1) {
      forward_step(final);
      return;
    }
    const Packed<T> weight(l_.weight.as<T>(), width_, gates_, true);
    steps_.each_group(work(), [&](std::int64_t begin, std::int64_t end) {
      const Scratch product(bytes((end - begin) * gates_));
      const T* before[kMostRows];
      for (std::int64_t place = 0; place < steps_.count(); ++place) {
        const std::int64_t t = steps_.at(place);
        const std::int64_t last = smaller(end, steps_.rows_of(t));
        for (std::int64_t s = begin; s < last; ++s) before[s - begin] = hidden_.before(steps_, t, s);
        weight.multiply(product.as<T>(), gates_, before, last - begin, false);
        for (std::int64_t s = begin; s < last; ++s) forward_one(t, s, product.as<T>() + (s - begin) * gates_);
      }
      finish(final, begin, end);
    });
  }

  void backward(const View& gradient, const RnnGradients& d) {
    T* const d_state = d.state_gates.data ? d.state_gates.as<T>() : d.gates.as<T>();
    const bool accumulate = mode == RnnMode::Gru;
    const Packed<T> weight(l_.weight.as<T>(), gates_, width_, false);
    steps_.each_group(2 * work(), [&](std::int64_t begin, std::int64_t end) {
      const T* rows[kMostRows];
      for (std::int64_t place = steps_.count() - 1; place >= 0; --place) {
        const std::int64_t t = steps_.at(place);
        const std::int64_t last = smaller(end, steps_.rows_of(t));
        for (std::int64_t s = begin; s < last; ++s) {
          const std::int64_t row = steps_.row(t, s);
          rows[s - begin] = d_state + row * gates_;
          backward_one(t, s, gradient, d);
        }
        if (last > begin) {
          weight.multiply(d.hidden.as<T>() + begin * width_, width_, rows, last - begin, accumulate);
        }
      }
    });
  }

 private:
  static std::int64_t bytes(std::int64_t elements) { return elements * static_cast<std::int64_t>(sizeof(T)); }
  double work() const { return static_cast<double>(gates_ * width_); }

  // One step: there is nothing to gain from packing the weight.
  void forward_step(const RnnFinal& final) {
    const Scratch product(bytes(steps_.batch() * gates_));
    const std::int64_t sizes[3][2] = {{steps_.batch(), gates_}, {steps_.batch(), width_}, {width_, gates_}};
    const std::int64_t strides[3][2] = {{gates_, 1}, {width_, 1}, {1, width_}};
    matmul_kernels.gemm({product.as<T>(), l_.gates.dtype, 2, sizes[0], strides[0]},
                        {l_.hidden.data, l_.gates.dtype, 2, sizes[1], strides[1]},
                        {l_.weight.data, l_.gates.dtype, 2, sizes[2], strides[2]}, {});
    parallel_for(steps_.batch(), rows_per_task(gates_), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t s = begin; s < end; ++s) forward_one(0, s, product.as<T>() + s * gates_);
      finish(final, begin, end);
    });
  }

  void forward_one(std::int64_t t, std::int64_t s, const T* product) const {
    const std::int64_t row = steps_.row(t, s);
    Row<T> r{};
    r.gates = l_.gates.as<T>() + row * gates_;
    r.product = product;
    r.bias = l_.bias.as<T>();
    r.hidden = hidden_.before(steps_, t, s);
    r.output = l_.output.as<T>() + row * width_;
    if constexpr (mode == RnnMode::Lstm) r.cell = cell_.before(steps_, t, s);
    if constexpr (rnn_gates(mode) > 1) r.memory = l_.memory.as<T>() + row * width_;
    forward_row<T, mode>(r, width_);
  }

  void backward_one(std::int64_t t, std::int64_t s, const View& gradient, const RnnGradients& d) const {
    const std::int64_t row = steps_.row(t, s);
    RowGradient<T> r{};
    r.gates = l_.gates.as<T>() + row * gates_;
    r.hidden = hidden_.before(steps_, t, s);
    r.output = l_.output.as<T>() + row * width_;
    r.gradient = gradient.as<T>() + row * width_;
    r.d_hidden = d.hidden.as<T>() + s * width_;
    r.d_gates = d.gates.as<T>() + row * gates_;
    if constexpr (rnn_gates(mode) > 1) r.memory = l_.memory.as<T>() + row * width_;
    if constexpr (mode == RnnMode::Lstm) {
      r.cell = cell_.before(steps_, t, s);
      r.d_cell = d.cell.as<T>() + s * width_;
    }
    if constexpr (mode == RnnMode::Gru) r.d_state_gates = d.state_gates.as<T>() + row * gates_;
    copy(d.previous.as<T>() + row * width_, r.hidden);
    backward_row<T, mode>(r, width_);
  }

  void finish(const RnnFinal& final, std::int64_t begin, std::int64_t end) const {
    for (std::int64_t s = begin; s < end; ++s) {
      const std::int64_t row = steps_.last_row(s);
      copy(final.hidden.as<T>() + s * width_, l_.output.as<T>() + row * width_);
      if constexpr (mode == RnnMode::Lstm) copy(final.cell.as<T>() + s * width_, l_.memory.as<T>() + row * width_);
    }
  }
  void copy(T* to, const T* from) const { std::memcpy(to, from, static_cast<std::size_t>(bytes(width_))); }

  const RnnLayer& l_;
  Steps steps_;
  std::int64_t width_, gates_;
  Chain<T> hidden_, cell_;
};

template <class F>
void visit_layer(const RnnLayer& layer, F f) {
  const auto visit = [&]<RnnMode mode>() {
    if (layer.gates.dtype == DType::Float32) return f(Layer<float, mode>(layer));
    if (layer.gates.dtype == DType::Float64) return f(Layer<double, mode>(layer));
    fail_not_implemented("rnn", layer.gates.dtype);
  };
  switch (layer.mode) {
    case RnnMode::Tanh:
      return visit.template operator()<RnnMode::Tanh>();
    case RnnMode::Relu:
      return visit.template operator()<RnnMode::Relu>();
    case RnnMode::Lstm:
      return visit.template operator()<RnnMode::Lstm>();
    case RnnMode::Gru:
      return visit.template operator()<RnnMode::Gru>();
  }
}

void forward_any(const RnnLayer& layer, const RnnFinal& final) {
  visit_layer(layer, [&](auto&& typed) { typed.forward(final); });
}
void backward_any(const RnnLayer& layer, const View& gradient, const RnnGradients& gradients) {
  visit_layer(layer, [&](auto&& typed) { typed.backward(gradient, gradients); });
}

}  // namespace

constinit const RnnKernels rnn_kernels = {
    .forward = &forward_any,
    .backward = &backward_any,
};

FASTNN_CPU_END
