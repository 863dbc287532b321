#include "kernels/ctc.h"

#include <cmath>

#include "core/scratch.h"
#include "cpu/rows.h"
#include "cpu/tables.h"

// States of a sample are its labels with blanks around them. The log-probability of reaching state s at a step is that
// of coming from s, s - 1 or (between different labels) s - 2, and of the state's class. The way from the end is the
// same recursion on the reversed labels.

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kBefore = 2;  // unreachable states in front of a row

template <class T>
T unreachable() {
  return -T(__builtin_inf());
}

// The class of each state, and 0 (or else minus infinity) where it may be entered from two states before.
template <class T>
void fill_states(std::int64_t* classes, T* skip, const CtcBatch& s, std::int64_t sample, bool reversed) {
  const std::int64_t count = s.label_count[sample];
  const std::int64_t* labels = s.labels + s.label_begin[sample];
  for (std::int64_t i = 0; i < 2 * count + 1; ++i) {
    const std::int64_t label = reversed ? count - 1 - i / 2 : i / 2;
    classes[i] = i % 2 == 0 ? s.blank : labels[label];
    skip[i] = i % 2 == 1 && i >= 3 && classes[i] != classes[i - 2] ? T(0) : unreachable<T>();
  }
}

// to[i] = log(exp(from[i]) + exp(from[i - 1]) + exp(from[i - 2] + skip[i])) + emission[i]
template <class T>
void advance(T* to, const T* from, const T* skip, const T* emission, std::int64_t n) {
  each_vec<T>(n, [&](std::int64_t i, std::int64_t lanes) {
    const Vec<T> a = load_some<T>(from + i, lanes);
    const Vec<T> b = load_some<T>(from + i - 1, lanes);
    const Vec<T> c = load_some<T>(from + i - 2, lanes) + load_some<T>(skip + i, lanes);
    const Vec<T> top = max(max(a, b), c);
    const Vec<T> base = select(top > Vec<T>(unreachable<T>()), top, Vec<T>(T(0)));
    const Vec<T> sum = exp(a - base) + exp(b - base) + exp(c - base);
    store_some(log(sum) + base + load_some<T>(emission + i, lanes), to + i, lanes);
  });
}

// Memory of one sample's recursion. A row has kBefore states in front that nothing reaches.
template <class T>
struct States {
  explicit States(std::int64_t most)
      : classes_memory(most * static_cast<std::int64_t>(sizeof(std::int64_t))),
        values_memory((4 * most + 2 * kBefore) * static_cast<std::int64_t>(sizeof(T))),
        classes(classes_memory.as<std::int64_t>()),
        skip(values_memory.as<T>()),
        emission(skip + most),
        row{emission + most + kBefore, emission + 2 * most + 2 * kBefore} {
    for (T* r : row) {
      for (std::int64_t i = 1; i <= kBefore; ++i) r[-i] = unreachable<T>();
    }
  }
  Scratch classes_memory, values_memory;
  std::int64_t* classes;
  T* skip;
  T* emission;
  T* row[2];
};

// Runs the recursion and calls visit(step, row) after each step; returns the last row.
template <class T, class F>
const T* run(States<T>& states, const T* log_probabilities, const CtcBatch& s, std::int64_t sample, bool reversed,
             F visit) {
  const std::int64_t n = 2 * s.label_count[sample] + 1;
  const std::int64_t steps = s.step_count[sample];
  fill_states(states.classes, states.skip, s, sample, reversed);
  T* now = states.row[0];
  T* before = states.row[1];
  for (std::int64_t t = 0; t < steps; ++t) {
    const std::int64_t step = reversed ? steps - 1 - t : t;
    const T* p = log_probabilities + (step * s.batch + sample) * s.classes;
    for (std::int64_t i = 0; i < n; ++i) states.emission[i] = p[states.classes[i]];
    if (t == 0) {
      for (std::int64_t i = 0; i < n; ++i) now[i] = i < 2 ? states.emission[i] : unreachable<T>();
    } else {
      advance(now, before, states.skip, states.emission, n);
    }
    visit(step, now);
    T* const done = now;
    now = before;
    before = done;
  }
  return before;
}

template <class T>
T log_sum(T a, T b) {
  const T top = a > b ? a : b;
  return top == unreachable<T>() ? top : std::log(std::exp(a - top) + std::exp(b - top)) + top;
}

template <class T>
void losses(const View& result, const View& reached, const View& log_probabilities, const CtcBatch& s) {
  parallel_for(s.batch, rows_per_task(s.steps * s.states), [&](std::int64_t begin, std::int64_t end) {
    States<T> states(s.states);
    for (std::int64_t b = begin; b < end; ++b) {
      const std::int64_t n = 2 * s.label_count[b] + 1;
      T* const rows = reached.as<T>() + b * s.steps * s.states;
      const T* last = run(states, log_probabilities.as<T>(), s, b, false, [&](std::int64_t step, const T* row) {
        for (std::int64_t i = 0; i < n; ++i) rows[step * s.states + i] = row[i];
      });
      T total = n == 1 ? T(0) : unreachable<T>();
      if (s.step_count[b] > 0) total = n == 1 ? last[0] : log_sum(last[n - 1], last[n - 2]);
      result.as<T>()[b] = -total;
    }
  });
}

template <class T>
void gradient(const View& result, const View& losses, const View& reached, const View& log_probabilities,
              const CtcBatch& s, bool zero_infinity) {
  parallel_for(s.batch, rows_per_task(s.steps * (s.states + s.classes)), [&](std::int64_t begin, std::int64_t end) {
    States<T> states(s.states);
    for (std::int64_t b = begin; b < end; ++b) {
      const std::int64_t n = 2 * s.label_count[b] + 1;
      const T loss = losses.as<T>()[b];
      const bool zero = zero_infinity && loss == -unreachable<T>();
      for (std::int64_t t = zero ? 0 : s.step_count[b]; t < s.steps; ++t) {
        T* const g = result.as<T>() + (t * s.batch + b) * s.classes;
        for (std::int64_t c = 0; c < s.classes; ++c) g[c] = T(0);
      }
      if (zero) continue;
      const T* const rows = reached.as<T>() + b * s.steps * s.states;
      run(states, log_probabilities.as<T>(), s, b, true, [&](std::int64_t step, const T* row) {
        const T* p = log_probabilities.as<T>() + (step * s.batch + b) * s.classes;
        T* const g = result.as<T>() + (step * s.batch + b) * s.classes;
        for (std::int64_t c = 0; c < s.classes; ++c) g[c] = unreachable<T>();
        for (std::int64_t i = 0; i < n; ++i) {
          T& sum = g[states.classes[i]];
          sum = log_sum(sum, row[i] + rows[step * s.states + n - 1 - i]);
        }
        map<T>(g, p, g, s.classes, [&](Vec<T> lp, Vec<T> sum) { return exp(lp) - exp(sum + Vec<T>(loss) - lp); });
      });
    }
  });
}

template <class F>
void with_real(DType dtype, F f) {
  if (dtype == DType::Float32) return f(float{});
  if (dtype == DType::Float64) return f(double{});
  fail_not_implemented("ctc_loss", dtype);
}

void losses_any(const View& result, const View& reached, const View& log_probabilities, const CtcBatch& s) {
  with_real(result.dtype, [&](auto real) { losses<decltype(real)>(result, reached, log_probabilities, s); });
}
void gradient_any(const View& result, const View& losses, const View& reached, const View& log_probabilities,
                  const CtcBatch& s, bool zero_infinity) {
  with_real(result.dtype,
            [&](auto real) { gradient<decltype(real)>(result, losses, reached, log_probabilities, s, zero_infinity); });
}

}  // namespace

constinit const CtcKernels ctc_kernels = {
    .losses = &losses_any,
    .gradient = &gradient_any,
};

FASTNN_CPU_END
