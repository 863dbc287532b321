#include "kernels/loss.h"

#include <cmath>

#include "core/scratch.h"
#include "cpu/exp_sums.h"
#include "cpu/loops.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

// Where the target of a position is no class.
constexpr std::int64_t kIgnored = -1;
constexpr std::int64_t kBad = -2;

// One class loss: its input, and what a position needs of its target.
template <class S>
struct ClassProblem {
  using T = Computed<S>;
  ExpShape s;
  const S* in;
  const void* target;
  bool bytes;       // targets are uint8
  const T* weight;  // null: all 1
  ClassLoss options;
  double weight_sum = 0;  // of all classes

  ClassProblem(const View& in_view, const View& target_view, const View& weight_view, const ClassLoss& o)
      : s(in_view),
        in(static_cast<const S*>(in_view.data)),
        target(target_view.data),
        bytes(target_view.dtype == DType::UInt8),
        weight(static_cast<const T*>(weight_view.data)),
        options(o) {
    for (std::int64_t c = 0; c < s.n; ++c) weight_sum += weight_of(c);
  }
  double weight_of(std::int64_t c) const { return weight ? static_cast<double>(weight[c]) : 1; }
  std::int64_t raw_target(std::int64_t position) const {
    return bytes ? static_cast<const std::uint8_t*>(target)[position]
                 : static_cast<const std::int64_t*>(target)[position];
  }
  std::int64_t target_of(std::int64_t position) const {
    const std::int64_t t = raw_target(position);
    if (t == options.ignore_index) return kIgnored;
    return t >= 0 && t < s.n ? t : kBad;
  }
  double smooth() const { return options.label_smoothing / static_cast<double>(s.n); }
  // (1 - smoothing) w_t (log_sum - x_t) + smoothing / classes * sum of w_c (log_sum - x_c)
  double loss(std::int64_t t, double log_sum, double x_t, double weighted_sum) const {
    double value = (1 - options.label_smoothing) * weight_of(t) * (log_sum - x_t);
    if (options.label_smoothing != 0) value += smooth() * (weight_sum * log_sum - weighted_sum);
    return value;
  }
};

template <class S>
void forward_rows(const ClassProblem<S>& p, std::int64_t at, Computed<S>* losses, Computed<S>* log_sums) {
  using T = Computed<S>;
  const std::int64_t position = at / p.s.n;
  const std::int64_t t = p.target_of(position);
  const S* x = p.in + at;
  losses[position] = log_sums[position] = 0;
  if (t < 0) return;
  double log_sum = 0;
  if (!p.options.log_probabilities) {
    const T top = row_max<T>(x, p.s.n);
    log_sum = static_cast<double>(top) + std::log(sum_exp<S>(x, p.s.n, top, nullptr));
  }
  double weighted[1] = {0};
  if (p.options.label_smoothing != 0) {
    row_sums<T>(p.s.n, weighted, [&](std::int64_t i, std::int64_t k, Vec<T>* terms) {
      terms[0] = load_some<T>(x + i, k);
      if (p.weight) terms[0] *= load_some<T>(p.weight + i, k);
    });
  }
  log_sums[position] = static_cast<T>(log_sum);
  losses[position] = static_cast<T>(p.loss(t, log_sum, static_cast<double>(static_cast<T>(x[t])), weighted[0]));
}

template <class S>
void forward_columns(const ClassProblem<S>& p, std::int64_t at, std::int64_t count, Computed<S>* losses,
                     Computed<S>* log_sums) {
  using T = Computed<S>;
  const ExpShape& s = p.s;
  const S* x = p.in + at;
  const std::int64_t first = at / (s.n * s.inner) * s.inner + at % s.inner;
  double log_sum[kExpColumns] = {};
  double weighted[kExpColumns] = {};
  if (!p.options.log_probabilities) {
    alignas(64) T top[kExpColumns];
    column_max(x, s, count, top);
    ColumnSums<T> sums(count);
    column_sum_exp(x, s, count, top, sums);
    const double* totals = sums.totals();
    for (std::int64_t c = 0; c < count; ++c) log_sum[c] = static_cast<double>(top[c]) + std::log(totals[c]);
  }
  if (p.options.label_smoothing != 0) {
    for (std::int64_t r = 0; r < s.n; ++r) {
      const double w = p.weight_of(r);
      for (std::int64_t c = 0; c < count; ++c)
        weighted[c] += w * static_cast<double>(static_cast<T>(x[r * s.inner + c]));
    }
  }
  for (std::int64_t c = 0; c < count; ++c) {
    const std::int64_t position = first + c;
    const std::int64_t t = p.target_of(position);
    losses[position] = log_sums[position] = 0;
    if (t < 0) continue;
    log_sums[position] = static_cast<T>(log_sum[c]);
    const double x_t = static_cast<double>(static_cast<T>(x[t * s.inner + c]));
    losses[position] = static_cast<T>(p.loss(t, log_sum[c], x_t, weighted[c]));
  }
}

void class_loss(const View& losses, const View& log_sums, const View& in, const View& target, const View& weight,
                const ClassLoss& options, ClassLossTotals& totals) {
  visit_floating("nll_loss", in.dtype, [&]<class S>() {
    using T = Computed<S>;
    const ClassProblem<S> p(in, target, weight, options);
    const std::int64_t positions = p.s.outer * p.s.inner;
    for (std::int64_t i = 0; i < positions; ++i) {
      const std::int64_t t = p.target_of(i);
      if (t == kBad) {
        totals.out_of_range = true;
        totals.bad_target = p.raw_target(i);
        return;
      }
      if (t >= 0) totals.weight += p.weight_of(t);
    }
    auto* loss = static_cast<T*>(losses.data);
    auto* sums = static_cast<T*>(log_sums.data);
    over_rows_or_columns(
        p.s, [&](std::int64_t at) { forward_rows(p, at, loss, sums); },
        [&](std::int64_t at, std::int64_t count) { forward_columns(p, at, count, loss, sums); });
    double total[1];
    row_sums<T>(positions, total,
                [&](std::int64_t i, std::int64_t k, Vec<T>* terms) { terms[0] = load_some<T>(loss + i, k); });
    totals.loss = total[0];
  });
}

// The gradient at one position: a exp(x_c - log_sum) - smooth w_c - [c is the target] hot.
struct PositionGradient {
  double a = 0;
  double smooth = 0;
  double hot = 0;
  template <class S>
  PositionGradient(const ClassProblem<S>& p, std::int64_t t, double g) {
    if (t < 0) return;
    hot = g * (1 - p.options.label_smoothing) * p.weight_of(t);
    smooth = g * p.smooth();
    a = p.options.log_probabilities ? 0 : hot + smooth * p.weight_sum;
  }
};

template <class S>
void backward_rows(const ClassProblem<S>& p, std::int64_t at, double g, const Computed<S>* log_sums, S* grad_in) {
  using T = Computed<S>;
  const std::int64_t position = at / p.s.n;
  const std::int64_t t = p.target_of(position);
  const PositionGradient d(p, t, g);
  const S* x = p.in + at;
  S* to = grad_in + at;
  const Vec<T> a(static_cast<T>(d.a));
  const Vec<T> smooth(static_cast<T>(d.smooth));
  const Vec<T> log_sum(log_sums[position]);
  if (t < 0 || (d.a == 0 && d.smooth == 0)) {
    for (std::int64_t i = 0; i < p.s.n; ++i) to[i] = S(0.f);
  } else {
    each_vec<T>(p.s.n, [&](std::int64_t i, std::int64_t k) {
      Vec<T> value = d.a == 0 ? Vec<T>(T(0)) : exp(load_some<T>(x + i, k) - log_sum) * a;
      if (d.smooth != 0) value -= p.weight ? smooth * load_some<T>(p.weight + i, k) : smooth;
      store_some(value, to + i, k);
    });
  }
  if (t < 0) return;
  // Rounded once also where S is narrower than T.
  const double probability =
      d.a == 0 ? 0 : std::exp(static_cast<double>(static_cast<T>(x[t])) - static_cast<double>(log_sums[position]));
  to[t] = S(static_cast<T>(d.a * probability - d.smooth * p.weight_of(t) - d.hot));
}

template <class S>
void backward_columns(const ClassProblem<S>& p, std::int64_t at, std::int64_t count, const Computed<S>* g, bool same_g,
                      double scale, const Computed<S>* log_sums, S* grad_in) {
  using T = Computed<S>;
  const ExpShape& s = p.s;
  const std::int64_t first = at / (s.n * s.inner) * s.inner + at % s.inner;
  alignas(64) T a[kExpColumns];
  alignas(64) T smooth[kExpColumns];
  alignas(64) T log_sum[kExpColumns];
  double hot[kExpColumns];
  for (std::int64_t c = 0; c < count; ++c) {
    const double of_loss = scale * static_cast<double>(g[same_g ? 0 : first + c]);
    const PositionGradient d(p, p.target_of(first + c), of_loss);
    a[c] = static_cast<T>(d.a);
    smooth[c] = static_cast<T>(d.smooth);
    hot[c] = d.hot;
    // exp() of what does not count must not be infinite.
    log_sum[c] = d.a == 0 ? T(__builtin_inf()) : log_sums[first + c];
  }
  const bool smoothing = p.options.label_smoothing != 0;
  for (std::int64_t r = 0; r < s.n; ++r) {
    const S* x = p.in + at + r * s.inner;
    S* to = grad_in + at + r * s.inner;
    const Vec<T> w(static_cast<T>(p.weight_of(r)));
    each_vec<T>(count, [&](std::int64_t c, std::int64_t k) {
      Vec<T> value(T(0));
      if (!p.options.log_probabilities)
        value = exp(load_some<T>(x + c, k) - load_some<T>(log_sum + c, k)) * load_some<T>(a + c, k);
      if (smoothing) value -= load_some<T>(smooth + c, k) * w;
      store_some(value, to + c, k);
    });
  }
  for (std::int64_t c = 0; c < count; ++c) {
    const std::int64_t t = p.target_of(first + c);
    if (t < 0) continue;
    S& to = grad_in[at + t * s.inner + c];
    to = S(static_cast<T>(static_cast<double>(static_cast<T>(to)) - hot[c]));
  }
}

void class_loss_backward(const View& grad_in, const View& g, double scale, const View& log_sums, const View& in,
                         const View& target, const View& weight, const ClassLoss& options) {
  visit_floating("nll_loss_backward", in.dtype, [&]<class S>() {
    using T = Computed<S>;
    const ClassProblem<S> p(in, target, weight, options);
    auto* to = static_cast<S*>(grad_in.data);
    const auto* gradient = static_cast<const T*>(g.data);
    const auto* sums = static_cast<const T*>(log_sums.data);
    const bool same_g = g.ndim == 0;
    over_rows_or_columns(
        p.s,
        [&](std::int64_t at) {
          const T own = gradient[same_g ? 0 : at / p.s.n];
          backward_rows(p, at, scale * static_cast<double>(own), sums, to);
        },
        [&](std::int64_t at, std::int64_t count) {
          backward_columns(p, at, count, gradient, same_g, scale, sums, to);
        });
  });
}

// --- elementwise -----------------------------------------------------------------------------------------------------

// x and t: (max(x, 0) - x t) + log(1 + exp(-|x|)), in this order, so that a certain right answer keeps its small loss.
template <class T>
void bce_with_logits_loop(void* out, const void* const* in, std::int64_t n, const Params&) {
  map<T>(static_cast<T*>(out), static_cast<const T*>(in[0]), static_cast<const T*>(in[1]), n,
         [](Vec<T> x, Vec<T> t) { return (max_nan(x, Vec<T>(T(0))) - x * t) + log1p(exp(-abs(x))); });
}
// x and t: sigmoid(x) - t
template <class T>
void bce_with_logits_backward_loop(void* out, const void* const* in, std::int64_t n, const Params&) {
  map<T>(static_cast<T*>(out), static_cast<const T*>(in[0]), static_cast<const T*>(in[1]), n,
         [](Vec<T> x, Vec<T> t) { return sigmoid(x) - t; });
}

constexpr LoopTable float_table(LoopFn single, LoopFn twice) {
  LoopTable table{};
  table.of[static_cast<int>(DType::Float32)] = single;
  table.of[static_cast<int>(DType::Float64)] = twice;
  return table;
}
constexpr LoopTable kBceWithLogits = float_table(&bce_with_logits_loop<float>, &bce_with_logits_loop<double>);
constexpr LoopTable kBceWithLogitsBackward =
    float_table(&bce_with_logits_backward_loop<float>, &bce_with_logits_backward_loop<double>);

}  // namespace

constinit const LossKernels loss_kernels = {
    .class_loss = &class_loss,
    .class_loss_backward = &class_loss_backward,
    .bce_with_logits = &launch<2, kBceWithLogits>,
    .bce_with_logits_backward = &launch<2, kBceWithLogitsBackward>,
};

FASTNN_CPU_END
