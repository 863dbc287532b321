#include "kernels/norm.h"

#include <cmath>

#include "core/scratch.h"
#include "cpu/rows.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kMaxChunks = 16;  // pieces of a sum over rows
constexpr std::int64_t kFlush = 64;      // rows summed in the narrow type
constexpr std::int64_t kColumns = 64;    // channels worked on together when they are neighbours

std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
std::int64_t pieces(std::int64_t total, std::int64_t size) { return (total + size - 1) / size; }

template <class T>
Vec<T> load_or(const T* from, std::int64_t i, std::int64_t lanes, T otherwise) {
  return from ? load_some<T>(from + i, lanes) : Vec<T>(otherwise);
}
template <class T>
T value_or(const T* from, std::int64_t i, T otherwise) {
  return from ? from[i] : otherwise;
}

// sum += term, element by element.
template <class T>
FASTNN_INLINE void accumulate(T* sum, Vec<T> term, std::int64_t lanes) {
  store_some(load_some<T>(sum, lanes) + term, sum, lanes);
}

// Adds a narrow sum to a wide one and clears it.
template <class T>
void flush(double* wide, T* narrow, std::int64_t n) {
  FASTNN_IVDEP
  for (std::int64_t i = 0; i < n; ++i) {
    wide[i] += static_cast<double>(narrow[i]);
    narrow[i] = 0;
  }
}

// --- rows ----------------------------------------------------------------------------------------------------------

template <class T>
constexpr T kEpsilon = std::is_same_v<T, double> ? T(0x1p-52) : T(0x1p-23);

template <class S>
void norm_row(S* out, Computed<S>* mean, Computed<S>* rstd, const S* x, std::int64_t n, const Computed<S>* weight,
              const Computed<S>* bias, double eps) {
  using T = Computed<S>;
  const double count = static_cast<double>(n);
  double total[1] = {0};
  if (mean) row_sums<T>(n, total, [&](std::int64_t i, std::int64_t k, Vec<T>* t) { t[0] = load_some<T>(x + i, k); });
  T centre = static_cast<T>(total[0] / count);
  Vec<T> c(centre);
  const auto sum_squares = [&] {
    row_sums<T>(n, total, [&](std::int64_t i, std::int64_t k, Vec<T>* t) {
      const Vec<T> v = load_some<T>(x + i, k) - c;
      t[0] = v * v;
    });
  };
  sum_squares();
  const double rounding = 4 * static_cast<double>(kEpsilon<T>) * static_cast<double>(centre);
  if (mean && total[0] != 0 && total[0] <= count * rounding * rounding) {
    // Equal elements do not deviate: their mean is made exact.
    row_sums<T>(n, total, [&](std::int64_t i, std::int64_t k, Vec<T>* t) { t[0] = load_some<T>(x + i, k) - c; });
    centre += static_cast<T>(total[0] / count);
    c = Vec<T>(centre);
    sum_squares();
  }
  const T inverse = static_cast<T>(1 / std::sqrt(total[0] / count + eps));
  if (mean) *mean = centre;
  *rstd = inverse;
  const Vec<T> r(inverse);
  each_vec<T>(n, [&](std::int64_t i, std::int64_t k) {
    Vec<T> v = (load_some<T>(x + i, k) - c) * r;
    if (weight) v = v * load_some<T>(weight + i, k);
    if (bias) v = v + load_some<T>(bias + i, k);
    store_some(v, out + i, k);
  });
}

void rows(const View& out, const View& mean, const View& rstd, const View& in, const View& weight, const View& bias,
          double eps) {
  const std::int64_t n = in.sizes[1];
  visit_floating("layer_norm", in.dtype, [&]<class S>() {
    using T = Computed<S>;
    parallel_for(in.sizes[0], rows_per_task(n), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        norm_row<S>(static_cast<S*>(out.data) + r * n, mean.data ? static_cast<T*>(mean.data) + r : nullptr,
                    static_cast<T*>(rstd.data) + r, static_cast<const S*>(in.data) + r * n, n,
                    static_cast<const T*>(weight.data), static_cast<const T*>(bias.data), eps);
      }
    });
  });
}

// What the backward pass of one row needs; sums of the gradients to weight and bias are optional.
template <class S>
struct RowBackward {
  using T = Computed<S>;
  S* grad_in;
  const S* g;
  const S* x;
  const T* mean;  // null for root mean square norm
  const T* rstd;
  const T* weight;
  std::int64_t n;

  void run(std::int64_t row, T* weight_sum, T* bias_sum) const {
    const S* gr = g + row * n;
    const S* xr = x + row * n;
    const Vec<T> c(mean ? mean[row] : T(0));
    const Vec<T> r(rstd[row]);
    double total[2];
    row_sums<T>(n, total, [&](std::int64_t i, std::int64_t k, Vec<T>* t) {
      const Vec<T> gv = load_some<T>(gr + i, k);
      const Vec<T> normal = (load_some<T>(xr + i, k) - c) * r;
      if (weight_sum) accumulate(weight_sum + i, gv * normal, k);
      if (bias_sum) accumulate(bias_sum + i, gv, k);
      t[0] = weight ? gv * load_some<T>(weight + i, k) : gv;
      t[1] = t[0] * normal;
    });
    if (!grad_in) return;
    const double count = static_cast<double>(n);
    const Vec<T> p(static_cast<T>(mean ? total[0] / count : 0));
    const Vec<T> q(static_cast<T>(total[1] / count));
    each_vec<T>(n, [&](std::int64_t i, std::int64_t k) {
      const Vec<T> normal = (load_some<T>(xr + i, k) - c) * r;
      Vec<T> gv = load_some<T>(gr + i, k);
      if (weight) gv = gv * load_some<T>(weight + i, k);
      store_some((gv - p - normal * q) * r, grad_in + row * n + i, k);
    });
  }
};

void rows_backward(const View& grad_in, const View& grad_weight, const View& grad_bias, const View& grad_out,
                   const View& in, const View& mean, const View& rstd, const View& weight) {
  const std::int64_t count = in.sizes[0];
  const std::int64_t n = in.sizes[1];
  visit_floating("layer_norm_backward", in.dtype, [&]<class S>() {
    using T = Computed<S>;
    const RowBackward<S> work{static_cast<S*>(grad_in.data),
                              static_cast<const S*>(grad_out.data),
                              static_cast<const S*>(in.data),
                              static_cast<const T*>(mean.data),
                              static_cast<const T*>(rstd.data),
                              static_cast<const T*>(weight.data),
                              n};
    const bool of_weight = grad_weight.data != nullptr;
    const bool of_bias = grad_bias.data != nullptr;
    if (!of_weight && !of_bias) {
      parallel_for(count, rows_per_task(n), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) work.run(r, nullptr, nullptr);
      });
      return;
    }
    // Fixed pieces of rows, each with sums of its own, added in order.
    const std::int64_t chunks = smaller(smaller(pieces(count * n, kRowGrain), kMaxChunks), count < 1 ? 1 : count);
    const std::int64_t chunk = chunks == 0 ? 0 : pieces(count, chunks);
    const Scratch wide_memory(2 * chunks * n * static_cast<std::int64_t>(sizeof(double)));
    const Scratch narrow_memory(2 * chunks * n * static_cast<std::int64_t>(sizeof(T)));
    auto* wide = wide_memory.as<double>();
    parallel_for(chunks, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t c = first; c < last; ++c) {
        double* sums = wide + 2 * c * n;
        T* narrow = narrow_memory.as<T>() + 2 * c * n;
        for (std::int64_t i = 0; i < 2 * n; ++i) {
          sums[i] = 0;
          narrow[i] = 0;
        }
        const std::int64_t end = smaller((c + 1) * chunk, count);
        for (std::int64_t r = c * chunk; r < end; ++r) {
          work.run(r, of_weight ? narrow : nullptr, of_bias ? narrow + n : nullptr);
          if ((r - c * chunk) % kFlush == kFlush - 1) flush(sums, narrow, 2 * n);
        }
        flush(sums, narrow, 2 * n);
      }
    });
    const auto gather = [&](void* target, std::int64_t offset) {
      if (!target) return;
      auto* to = static_cast<T*>(target);
      parallel_for(n, kRowGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          double total = 0;
          for (std::int64_t c = 0; c < chunks; ++c) total += wide[2 * c * n + offset + i];
          to[i] = static_cast<T>(total);
        }
      });
    };
    gather(grad_weight.data, 0);
    gather(grad_bias.data, n);
  });
}

// --- channels ------------------------------------------------------------------------------------------------------

// [samples, channels, inner], and which statistic a channel of a sample has.
struct Channels {
  std::int64_t samples, channels, inner;
  std::int64_t groups = 0;  // per sample; 0: one statistic per channel for all samples

  Channels(const View& in, const View& statistics)
      : samples(in.sizes[0]),
        channels(in.sizes[1]),
        inner(in.sizes[2]),
        groups(statistics.ndim == 2 ? statistics.sizes[1] : 0) {}
  std::int64_t statistic(std::int64_t sample, std::int64_t channel) const {
    return groups == 0 ? channel : sample * groups + channel / (channels / groups);
  }
  // Neighbours in memory are channels, which have each a statistic of its own.
  bool flat() const { return inner == 1 && groups == 0; }
};

void channels(const View& out, const View& in, const View& mean, const View& rstd, const View& weight,
              const View& bias) {
  const Channels s(in, mean);
  visit_floating("batch_norm", in.dtype, [&]<class S>() {
    using T = Computed<S>;
    const auto* x = static_cast<const S*>(in.data);
    auto* y = static_cast<S*>(out.data);
    const auto* m = static_cast<const T*>(mean.data);
    const auto* r = static_cast<const T*>(rstd.data);
    const auto* w = static_cast<const T*>(weight.data);
    const auto* b = static_cast<const T*>(bias.data);
    if (s.flat()) {
      parallel_for(s.samples, rows_per_task(s.channels), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row) {
          each_vec<T>(s.channels, [&](std::int64_t i, std::int64_t k) {
            const Vec<T> scale = load_some<T>(r + i, k) * load_or(w, i, k, T(1));
            const Vec<T> v = load_some<T>(x + row * s.channels + i, k) - load_some<T>(m + i, k);
            store_some(fma(v, scale, load_or(b, i, k, T(0))), y + row * s.channels + i, k);
          });
        }
      });
      return;
    }
    parallel_for(s.samples * s.channels, rows_per_task(s.inner), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t c = row % s.channels;
        const std::int64_t at = s.statistic(row / s.channels, c);
        const Vec<T> centre(m[at]);
        const Vec<T> scale(r[at] * value_or(w, c, T(1)));
        const Vec<T> shift(value_or(b, c, T(0)));
        map<T>(y + row * s.inner, x + row * s.inner, s.inner, [&](Vec<T> v) { return fma(v - centre, scale, shift); });
      }
    });
  });
}

template <class S>
struct ChannelsBackward {
  using T = Computed<S>;
  Channels s;
  S* grad_in;
  T* grad_weight;
  T* grad_bias;
  const S* g;
  const S* x;
  const T* mean;
  const T* rstd;
  const T* weight;
  bool fixed;  // statistics that do not depend on the input

  // gradient of the input = rstd * (weight * g - p - normal * q)
  void run_flat() const {
    const std::int64_t blocks = pieces(s.channels, kColumns);
    parallel_for(blocks, rows_per_task(s.samples * kColumns), [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t block = first; block < last; ++block) {
        const std::int64_t c0 = block * kColumns;
        const std::int64_t width = smaller(kColumns, s.channels - c0);
        double wide[2 * kColumns] = {};
        T narrow[2 * kColumns] = {};
        for (std::int64_t n = 0; n < s.samples; ++n) {
          const std::int64_t at = n * s.channels + c0;
          each_vec<T>(width, [&](std::int64_t i, std::int64_t k) {
            const Vec<T> gv = load_some<T>(g + at + i, k);
            const Vec<T> v = load_some<T>(x + at + i, k) - load_some<T>(mean + c0 + i, k);
            accumulate(narrow + i, gv, k);
            accumulate(narrow + kColumns + i, gv * v * load_some<T>(rstd + c0 + i, k), k);
          });
          if (n % kFlush == kFlush - 1) flush(wide, narrow, 2 * kColumns);
        }
        flush(wide, narrow, 2 * kColumns);
        T p[kColumns];
        T q[kColumns];
        const double count = static_cast<double>(s.samples);
        for (std::int64_t i = 0; i < width; ++i) {
          if (grad_bias) grad_bias[c0 + i] = static_cast<T>(wide[i]);
          if (grad_weight) grad_weight[c0 + i] = static_cast<T>(wide[kColumns + i]);
          const double w = static_cast<double>(value_or(weight, c0 + i, T(1)));
          p[i] = static_cast<T>(fixed ? 0 : w * wide[i] / count);
          q[i] = static_cast<T>(fixed ? 0 : w * wide[kColumns + i] / count);
        }
        if (!grad_in) continue;
        for (std::int64_t n = 0; n < s.samples; ++n) {
          const std::int64_t at = n * s.channels + c0;
          each_vec<T>(width, [&](std::int64_t i, std::int64_t k) {
            const Vec<T> r = load_some<T>(rstd + c0 + i, k);
            const Vec<T> normal = (load_some<T>(x + at + i, k) - load_some<T>(mean + c0 + i, k)) * r;
            const Vec<T> gv = load_some<T>(g + at + i, k) * load_or(weight, c0 + i, k, T(1));
            store_some((gv - load_some<T>(p + i, k) - normal * load_some<T>(q + i, k)) * r, grad_in + at + i, k);
          });
        }
      }
    });
  }

  void run_planes() const {
    const std::int64_t planes = s.samples * s.channels;
    // Of each plane: the sum of g, and of g times the normalised input.
    const Scratch memory(2 * (planes + s.channels) * static_cast<std::int64_t>(sizeof(double)));
    auto* sums = memory.as<double>();
    if (!fixed || grad_weight || grad_bias) plane_sums(sums);
    double* of_channel = sums + 2 * planes;
    for (std::int64_t c = 0; c < s.channels; ++c) {
      double total[2] = {0, 0};
      if (grad_weight || grad_bias || (s.groups == 0 && !fixed)) {
        for (std::int64_t n = 0; n < s.samples; ++n) {
          total[0] += sums[2 * (n * s.channels + c)];
          total[1] += sums[2 * (n * s.channels + c) + 1];
        }
      }
      if (grad_bias) grad_bias[c] = static_cast<T>(total[0]);
      if (grad_weight) grad_weight[c] = static_cast<T>(total[1]);
      of_channel[2 * c] = total[0];
      of_channel[2 * c + 1] = total[1];
    }
    if (!grad_in) return;
    parallel_for(planes, rows_per_task(s.inner), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t c = row % s.channels;
        const std::int64_t at = s.statistic(row / s.channels, c);
        const T w = value_or(weight, c, T(1));
        double total[2] = {0, 0};
        if (!fixed) totals_of(row, sums, of_channel, total);
        const Vec<T> centre(mean[at]);
        const Vec<T> r(rstd[at]);
        const Vec<T> scale(w);
        const Vec<T> p(static_cast<T>(total[0]));
        const Vec<T> q(static_cast<T>(total[1]));
        map<T>(grad_in + row * s.inner, g + row * s.inner, x + row * s.inner, s.inner,
               [&](Vec<T> gv, Vec<T> xv) { return (gv * scale - p - (xv - centre) * r * q) * r; });
      }
    });
  }

 private:
  void plane_sums(double* sums) const {
    parallel_for(s.samples * s.channels, rows_per_task(s.inner), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const std::int64_t at = s.statistic(row / s.channels, row % s.channels);
        const Vec<T> centre(mean[at]);
        const Vec<T> r(rstd[at]);
        double total[2];
        row_sums<T>(s.inner, total, [&](std::int64_t i, std::int64_t k, Vec<T>* t) {
          t[0] = load_some<T>(g + row * s.inner + i, k);
          t[1] = t[0] * (load_some<T>(x + row * s.inner + i, k) - centre) * r;
        });
        sums[2 * row] = total[0];
        sums[2 * row + 1] = total[1];
      }
    });
  }

  // p and q: means over all elements that share the statistic.
  void totals_of(std::int64_t row, const double* sums, const double* of_channel, double (&total)[2]) const {
    const std::int64_t c = row % s.channels;
    if (s.groups == 0) {
      const double w = static_cast<double>(value_or(weight, c, T(1))) / static_cast<double>(s.samples * s.inner);
      total[0] = w * of_channel[2 * c];
      total[1] = w * of_channel[2 * c + 1];
      return;
    }
    const std::int64_t width = s.channels / s.groups;
    const std::int64_t first = c / width * width;
    const double* plane = sums + 2 * (row - c + first);
    for (std::int64_t i = 0; i < width; ++i) {
      const double w = static_cast<double>(value_or(weight, first + i, T(1)));
      total[0] += w * plane[2 * i];
      total[1] += w * plane[2 * i + 1];
    }
    const double count = static_cast<double>(width * s.inner);
    total[0] /= count;
    total[1] /= count;
  }
};

void channels_backward(const View& grad_in, const View& grad_weight, const View& grad_bias, const View& grad_out,
                       const View& in, const View& mean, const View& rstd, const View& weight, bool fixed_statistics) {
  visit_floating("batch_norm_backward", in.dtype, [&]<class S>() {
    using T = Computed<S>;
    const ChannelsBackward<S> work{Channels(in, mean),
                                   static_cast<S*>(grad_in.data),
                                   static_cast<T*>(grad_weight.data),
                                   static_cast<T*>(grad_bias.data),
                                   static_cast<const S*>(grad_out.data),
                                   static_cast<const S*>(in.data),
                                   static_cast<const T*>(mean.data),
                                   static_cast<const T*>(rstd.data),
                                   static_cast<const T*>(weight.data),
                                   fixed_statistics};
    work.s.flat() ? work.run_flat() : work.run_planes();
  });
}

void inverse_root(const View& rstd, const View& variance, double eps) {
  std::int64_t n = 1;
  for (int d = 0; d < rstd.ndim; ++d) n *= rstd.sizes[d];
  visit_floating("batch_norm", rstd.dtype, [&]<class S>() {
    auto* out = static_cast<S*>(rstd.data);
    const auto* in = static_cast<const S*>(variance.data);
    for (std::int64_t i = 0; i < n; ++i) {
      out[i] = S(static_cast<Computed<S>>(1 / std::sqrt(static_cast<double>(static_cast<Computed<S>>(in[i])) + eps)));
    }
  });
}

void update_running(const View& running, const View& batch, double momentum, double scale) {
  visit_floating("batch_norm", running.dtype, [&]<class S>() {
    auto* out = static_cast<S*>(running.data);
    const std::int64_t n = running.sizes[0];
    const auto update = [&](auto* in) {
      for (std::int64_t i = 0; i < n; ++i) {
        const double old = static_cast<double>(static_cast<Computed<S>>(out[i]));
        const double value = (1 - momentum) * old + momentum * scale * static_cast<double>(in[i]);
        out[i] = S(static_cast<Computed<S>>(value));
      }
    };
    batch.dtype == DType::Float64 ? update(static_cast<const double*>(batch.data))
                                  : update(static_cast<const float*>(batch.data));
  });
}

}  // namespace

constinit const NormKernels norm_kernels = {
    .rows = &rows,
    .rows_backward = &rows_backward,
    .channels = &channels,
    .channels_backward = &channels_backward,
    .inverse_root = &inverse_root,
    .update_running = &update_running,
};

FASTNN_CPU_END
