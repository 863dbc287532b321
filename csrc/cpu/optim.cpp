#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "cpu/loops.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kBlock = 1024;           // elements computed at a time: staged operands stay in L1
constexpr std::int64_t kTaskBytes = 512 << 10;  // memory below which a second thread does not pay
constexpr int kMaxOperands = 5;

// --- blocks of all tensors, shared out among the threads ----------------------------------------------------------

struct Task {
  std::size_t first;
};
struct Block {
  std::size_t entry;
  std::int64_t begin;
  std::int64_t count;
};

// Cuts every entry into blocks and runs them in tasks of about equal size. What a block computes does not depend on
// the task that it falls into, so neither does the result on the number of threads.
template <class Entry, class F>
void for_blocks(std::span<const Entry> entries, std::int64_t bytes_per_element, F&& body) {
  std::vector<Block> blocks;
  std::vector<Task> tasks;  // the first block of each; the last is only an end
  std::int64_t room = 0;
  for (std::size_t entry = 0; entry < entries.size(); ++entry) {
    const std::int64_t total = entries[entry].param.numel();
    for (std::int64_t begin = 0; begin < total; begin += kBlock) {
      const std::int64_t count = std::min(kBlock, total - begin);
      if (room <= 0) {
        tasks.push_back({blocks.size()});
        room = kTaskBytes;
      }
      blocks.push_back({entry, begin, count});
      room -= count * bytes_per_element;
    }
  }
  tasks.push_back({blocks.size()});
  parallel_for(static_cast<std::int64_t>(tasks.size()) - 1, 1, [&](std::int64_t first, std::int64_t last) {
    const std::size_t end = tasks[static_cast<std::size_t>(last)].first;
    for (std::size_t i = tasks[static_cast<std::size_t>(first)].first; i < end; ++i) body(blocks[i]);
  });
}

// The part of an operand that belongs to a block, in the compute dtype: its own memory, or a converted copy.
template <class T>
class Operand {
 public:
  Operand(const View& view, const Block& block, T* buffer, bool read = true)
      : memory_(static_cast<char*>(view.data) + block.begin * itemsize(view.dtype)),
        stored_(view.dtype),
        count_(block.count),
        data_(view.dtype == kCompute ? reinterpret_cast<T*>(memory_) : buffer) {
    if (read && stored_ != kCompute) converter(kCompute, stored_)(data_, memory_, count_);
  }
  T* data() const { return data_; }
  void store() const {
    if (stored_ != kCompute) converter(stored_, kCompute)(memory_, data_, count_);
  }

 private:
  static constexpr DType kCompute = dtype_of<T>;
  char* memory_;
  DType stored_;
  std::int64_t count_;
  T* data_;
};

template <class T>
struct Buffers {
  alignas(64) T of[kMaxOperands][kBlock];
};

// --- SGD ----------------------------------------------------------------------------------------------------------

enum class Momentum { None, First, Running };

template <class T>
struct SgdConstants {
  T sign, decay, momentum, undamped, lr;
};

template <class T, bool decays, Momentum momentum, bool nesterov>
void sgd_loop(T* param, const T* grad, T* buffer, std::int64_t n, const SgdConstants<T>& c) {
  const auto [sign, decay, factor, undamped, lr] = c;
  FASTNN_IVDEP
  for (std::int64_t i = 0; i < n; ++i) {
    T g = sign * grad[i];
    if constexpr (decays) g += decay * param[i];
    if constexpr (momentum != Momentum::None) {
      const T b = momentum == Momentum::First ? g : buffer[i] * factor + undamped * g;
      buffer[i] = b;
      g = nesterov ? g + factor * b : b;
    }
    param[i] -= lr * g;
  }
}

template <class T>
using SgdLoop = void (*)(T*, const T*, T*, std::int64_t, const SgdConstants<T>&);

template <class T, bool decays>
SgdLoop<T> sgd_loop_for(const SgdOptions& options) {
  if (options.momentum == 0) return &sgd_loop<T, decays, Momentum::None, false>;
  if (options.first_step) {
    return options.nesterov ? &sgd_loop<T, decays, Momentum::First, true>
                            : &sgd_loop<T, decays, Momentum::First, false>;
  }
  return options.nesterov ? &sgd_loop<T, decays, Momentum::Running, true>
                          : &sgd_loop<T, decays, Momentum::Running, false>;
}

template <class T>
void sgd_block(const SgdEntry& entry, const Block& block, const SgdOptions& options) {
  const SgdConstants<T> constants = {
      .sign = options.maximize ? T(-1) : T(1),
      .decay = static_cast<T>(options.weight_decay),
      .momentum = static_cast<T>(options.momentum),
      .undamped = static_cast<T>(1 - options.dampening),
      .lr = static_cast<T>(options.lr),
  };
  Buffers<T> buffers;
  const Operand<T> param(entry.param, block, buffers.of[0]);
  const Operand<T> grad(entry.grad, block, buffers.of[1]);
  const SgdLoop<T> loop = options.weight_decay != 0 ? sgd_loop_for<T, true>(options) : sgd_loop_for<T, false>(options);
  if (options.momentum == 0) {
    loop(param.data(), grad.data(), nullptr, block.count, constants);
  } else {
    const Operand<T> buffer(entry.momentum_buffer, block, buffers.of[2], !options.first_step);
    loop(param.data(), grad.data(), buffer.data(), block.count, constants);
    buffer.store();
  }
  param.store();
}

void sgd(std::span<const SgdEntry> entries, const SgdOptions& options) {
  const std::int64_t operands = options.momentum == 0 ? 2 : 3;
  for_blocks(entries, operands * itemsize(DType::Float32), [&](const Block& block) {
    const SgdEntry& entry = entries[block.entry];
    if (compute_type(entry.param.dtype) == DType::Float64) {
      sgd_block<double>(entry, block, options);
    } else {
      sgd_block<float>(entry, block, options);
    }
  });
}

// --- Adam ---------------------------------------------------------------------------------------------------------

template <class T>
struct AdamConstants {
  T sign, decay, shrink, beta1, rest1, beta2, rest2, eps, step_size, correction;
};

// What depends on the number of the step: lr / (1 - beta1^t) and sqrt(1 - beta2^t).
struct AdamScale {
  double step_size;
  double correction;
};

template <class T, bool decays, bool amsgrad>
void adam_loop(T* param, const T* grad, T* average, T* square, T* largest, std::int64_t n, const AdamConstants<T>& c) {
  const auto [sign, decay, shrink, beta1, rest1, beta2, rest2, eps, step_size, correction] = c;
  const bool from_average = rest1 < T(0.5);  // interpolate from the nearer end
  FASTNN_IVDEP
  for (std::int64_t i = 0; i < n; ++i) {
    T p = param[i] * shrink;
    T g = sign * grad[i];
    if constexpr (decays) g += decay * p;
    const T distance = g - average[i];
    const T m = from_average ? average[i] + rest1 * distance : g - distance * beta1;
    T v = square[i] * beta2 + rest2 * g * g;
    average[i] = m;
    square[i] = v;
    if constexpr (amsgrad) {
      const T before = largest[i];
      v = before > v || before != before ? before : v;  // NaN stays
      largest[i] = v;
    }
    param[i] = p - step_size * m / (std::sqrt(v) / correction + eps);
  }
}

template <class T>
void adam_block(const AdamEntry& entry, const Block& block, const AdamOptions& options, const AdamScale& scale) {
  const bool decays = options.weight_decay != 0;
  const AdamConstants<T> constants = {
      .sign = options.maximize ? T(-1) : T(1),
      .decay = static_cast<T>(options.weight_decay),
      .shrink = static_cast<T>(decays && options.decoupled ? 1 - options.lr * options.weight_decay : 1),
      .beta1 = static_cast<T>(options.beta1),
      .rest1 = static_cast<T>(1 - options.beta1),
      .beta2 = static_cast<T>(options.beta2),
      .rest2 = static_cast<T>(1 - options.beta2),
      .eps = static_cast<T>(options.eps),
      .step_size = static_cast<T>(scale.step_size),
      .correction = static_cast<T>(scale.correction),
  };
  Buffers<T> buffers;
  const Operand<T> param(entry.param, block, buffers.of[0]);
  const Operand<T> grad(entry.grad, block, buffers.of[1]);
  const Operand<T> average(entry.exp_avg, block, buffers.of[2]);
  const Operand<T> square(entry.exp_avg_sq, block, buffers.of[3]);
  const bool into_gradient = decays && !options.decoupled;
  if (options.amsgrad) {
    const Operand<T> largest(entry.max_exp_avg_sq, block, buffers.of[4]);
    const auto loop = into_gradient ? &adam_loop<T, true, true> : &adam_loop<T, false, true>;
    loop(param.data(), grad.data(), average.data(), square.data(), largest.data(), block.count, constants);
    largest.store();
  } else {
    const auto loop = into_gradient ? &adam_loop<T, true, false> : &adam_loop<T, false, false>;
    loop(param.data(), grad.data(), average.data(), square.data(), nullptr, block.count, constants);
  }
  param.store();
  average.store();
  square.store();
}

void adam(std::span<const AdamEntry> entries, const AdamOptions& options) {
  std::vector<AdamScale> scales;
  scales.reserve(entries.size());
  double last = 0;
  for (const AdamEntry& entry : entries) {
    const double step = count_up(entry.step);
    if (step == last) {
      scales.push_back(scales.back());
      continue;
    }
    scales.push_back({options.lr / (1 - std::pow(options.beta1, step)), std::sqrt(1 - std::pow(options.beta2, step))});
    last = step;
  }
  const std::int64_t operands = options.amsgrad ? 5 : 4;
  for_blocks(entries, operands * itemsize(DType::Float32), [&](const Block& block) {
    const AdamEntry& entry = entries[block.entry];
    if (compute_type(entry.param.dtype) == DType::Float64) {
      adam_block<double>(entry, block, options, scales[block.entry]);
    } else {
      adam_block<float>(entry, block, options, scales[block.entry]);
    }
  });
}

// --- rules of one form ----------------------------------------------------------------------------------------------

// a + weight * (b - a), from the nearer end.
template <class T>
T interpolate(T a, T b, T weight, T rest) {
  return weight < T(0.5) ? a + weight * (b - a) : b - (b - a) * rest;
}

// Each rule has `update(p, g, s, c)`: parameter, gradient, states, coefficients.
struct Adadelta {
  static constexpr int states = 2;
  template <class T>
  static void update(T& p, T g, T* s, const T* c) {
    s[0] = c[0] * s[0] + c[1] * g * g;
    const T delta = std::sqrt(s[1] + c[2]) / std::sqrt(s[0] + c[2]) * g;
    s[1] = c[0] * s[1] + c[1] * delta * delta;
    p -= c[3] * delta;
  }
};

struct Adagrad {
  static constexpr int states = 1;
  template <class T>
  static void update(T& p, T g, T* s, const T* c) {
    s[0] += g * g;
    p -= c[0] * g / (std::sqrt(s[0]) + c[1]);
  }
};

struct Adamax {
  static constexpr int states = 2;
  template <class T>
  static void update(T& p, T g, T* s, const T* c) {
    s[0] = interpolate(s[0], g, c[0], c[1]);
    const T before = c[2] * s[1];
    const T now = std::fabs(g) + c[3];
    s[1] = before > now || before != before ? before : now;  // NaN stays
    p -= c[4] * s[0] / s[1];
  }
};

struct Asgd {
  static constexpr int states = 1;
  template <class T>
  static void update(T& p, T g, T* s, const T* c) {
    p = p * c[0] - c[1] * g;
    s[0] = c[2] == T(1) ? p : s[0] + (p - s[0]) * c[2];
  }
};

struct NAdam {
  static constexpr int states = 2;
  template <class T>
  static void update(T& p, T g, T* s, const T* c) {
    s[0] = interpolate(s[0], g, c[1], c[2]);
    s[1] = c[3] * s[1] + c[4] * g * g;
    const T denominator = std::sqrt(s[1] / c[6]) + c[5];
    p = p * c[0] - c[7] * g / denominator - c[8] * s[0] / denominator;
  }
};

struct RAdam {
  static constexpr int states = 2;
  template <class T>
  static void update(T& p, T g, T* s, const T* c) {
    s[0] = interpolate(s[0], g, c[1], c[2]);
    s[1] = c[3] * s[1] + c[4] * g * g;
    const T denominator = std::sqrt(s[1]) + c[5];
    p = p * c[0] - c[6] * s[0] / (c[7] != T(0) ? denominator : T(1));
  }
};

template <bool centered, bool momentum>
struct RMSprop {
  static constexpr int states = 1 + centered + momentum;
  template <class T>
  static void update(T& p, T g, T* s, const T* c) {
    s[0] = c[0] * s[0] + c[1] * g * g;
    T variance = s[0];
    if constexpr (centered) {
      s[1] = interpolate(s[1], g, c[1], c[0]);
      variance -= s[1] * s[1];
    }
    T delta = g / (std::sqrt(variance) + c[2]);
    if constexpr (momentum) delta = s[states - 1] = c[4] * s[states - 1] + delta;
    p -= c[3] * delta;
  }
};

struct Rprop {
  static constexpr int states = 2;
  template <class T>
  static void update(T& p, T g, T* s, const T* c) {
    const T turn = g * s[0];
    const T size = s[1] * (turn > T(0) ? c[1] : turn < T(0) ? c[0] : T(1));
    s[1] = size < c[2] ? c[2] : size > c[3] ? c[3] : size;
    s[0] = turn < T(0) ? T(0) : g;
    p -= s[0] > T(0) ? s[1] : s[0] < T(0) ? -s[1] : T(0);
  }
};

template <class T, class R>
void rule_block(const RuleEntry& entry, const Block& block, const RuleOptions& options) {
  Buffers<T> buffers;
  const Operand<T> param(entry.param, block, buffers.of[0]);
  const Operand<T> grad(entry.grad, block, buffers.of[1]);
  const auto state = [&](int k) { return Operand<T>(entry.states[k], block, buffers.of[2 + k], k < R::states); };
  const Operand<T> states[kRuleStates] = {state(0), state(1), state(2)};
  T c[kRuleCoefficients];
  for (int k = 0; k < kRuleCoefficients; ++k) c[k] = static_cast<T>(entry.coefficients[k]);
  const T sign = options.maximize ? T(-1) : T(1);
  const auto decay = static_cast<T>(options.weight_decay);
  T* const p = param.data();
  const T* const g = grad.data();
  T* const data[kRuleStates] = {states[0].data(), states[1].data(), states[2].data()};
  FASTNN_IVDEP
  for (std::int64_t i = 0; i < block.count; ++i) {
    T next = p[i];
    const T slope = decay != T(0) ? sign * g[i] + decay * next : sign * g[i];
    T s[R::states];
    for (int k = 0; k < R::states; ++k) s[k] = data[k][i];
    R::update(next, slope, s, c);
    for (int k = 0; k < R::states; ++k) data[k][i] = s[k];
    p[i] = next;
  }
  param.store();
  for (int k = 0; k < R::states; ++k) states[k].store();
}

template <class R>
void run_rule(std::span<const RuleEntry> entries, const RuleOptions& options) {
  for_blocks(entries, (2 + R::states) * itemsize(DType::Float32), [&](const Block& block) {
    const RuleEntry& entry = entries[block.entry];
    if (compute_type(entry.param.dtype) == DType::Float64) {
      rule_block<double, R>(entry, block, options);
    } else {
      rule_block<float, R>(entry, block, options);
    }
  });
}

void rule(std::span<const RuleEntry> entries, const RuleOptions& options) {
  switch (options.rule) {
    case Rule::Adadelta:
      return run_rule<Adadelta>(entries, options);
    case Rule::Adagrad:
      return run_rule<Adagrad>(entries, options);
    case Rule::Adamax:
      return run_rule<Adamax>(entries, options);
    case Rule::Asgd:
      return run_rule<Asgd>(entries, options);
    case Rule::NAdam:
      return run_rule<NAdam>(entries, options);
    case Rule::RAdam:
      return run_rule<RAdam>(entries, options);
    case Rule::RMSprop:
      return run_rule<RMSprop<false, false>>(entries, options);
    case Rule::CenteredRMSprop:
      return run_rule<RMSprop<true, false>>(entries, options);
    case Rule::MomentumRMSprop:
      return run_rule<RMSprop<false, true>>(entries, options);
    case Rule::CenteredMomentumRMSprop:
      return run_rule<RMSprop<true, true>>(entries, options);
    case Rule::Rprop:
      return run_rule<Rprop>(entries, options);
  }
}

}  // namespace

constinit const OptimKernels optim_kernels = {.sgd = &sgd, .adam = &adam, .rule = &rule};

FASTNN_CPU_END
