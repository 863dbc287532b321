#include "kernels/pool.h"

#include <type_traits>

#include "core/parallel.h"
#include "core/scratch.h"
#include "cpu/loops.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kGrain = 16 * 1024;  // visited elements below which a second thread does not pay

template <class T>
using ComputeOf = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;

std::int64_t in_points(const PoolGeometry& s) { return s.window[0].in * s.window[1].in * s.window[2].in; }
std::int64_t out_points(const PoolGeometry& s) { return s.window[0].out * s.window[1].out * s.window[2].out; }

// Elements visited per output position, roughly.
std::int64_t window_size(const PoolGeometry& s) {
  std::int64_t size = 1;
  for (const PoolWindows& w : s.window) {
    if (w.out > 0) size *= (w.end[w.out / 2] - w.begin[w.out / 2]) / w.step + 1;
  }
  return size;
}
std::int64_t grain_for(std::int64_t visited) { return visited >= kGrain ? 1 : kGrain / (visited + 1) + 1; }

// Calls f(plane, z, y) for rows of the output, in parallel.
template <class F>
void for_rows(const PoolGeometry& s, F&& f) {
  const std::int64_t depth = s.window[0].out;
  const std::int64_t height = s.window[1].out;
  parallel_for(s.planes * depth * height, grain_for(window_size(s) * s.window[2].out),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t row = begin; row < end; ++row)
                   f(row / (depth * height), row / height % depth, row % height);
               });
}

template <class T>
bool is_nan(T value) {
  if constexpr (std::is_floating_point_v<T>) return value != value;
  return false;
}

// Output positions [first, last) along x whose windows are whole and `stride` apart: a row of them is computed tap by
// tap, which vectorises.
struct Whole {
  std::int64_t first = 0, last = 0, stride = 1, taps = 0;
};
Whole whole_windows(const PoolWindows& w) {
  const auto taps_at = [&](std::int64_t i) { return (w.end[i] - w.begin[i] + w.step - 1) / w.step; };
  Whole whole;
  for (std::int64_t i = 0; i < w.out; ++i) {
    if (taps_at(i) > whole.taps) whole = {i, i, 1, taps_at(i)};
  }
  if (whole.taps == 0) return {};
  for (whole.last = whole.first; whole.last < w.out && taps_at(whole.last) == whole.taps; ++whole.last) {
    if (whole.last == whole.first) continue;
    const std::int64_t stride = w.begin[whole.last] - w.begin[whole.last - 1];
    if (whole.last == whole.first + 1) whole.stride = stride;
    if (stride != whole.stride) break;
  }
  return whole;
}

constexpr std::int64_t kStrip = 64;  // windows computed together

// The largest elements of n windows, and their places, from the lines of one window.
template <class S, std::int64_t fixed_stride>
void largest_strip(S* out, std::int64_t* where, const S* in, const PoolWindows& wz, const PoolWindows& wy,
                   const PoolWindows& wx, std::int64_t z, std::int64_t y, std::int64_t x, std::int64_t n,
                   const Whole& whole) {
  using T = ComputeOf<S>;
  const std::int64_t stride = fixed_stride > 0 ? fixed_stride : whole.stride;
  // A place is that of the window's corner plus an offset, which is as wide as an element, so that both are vectors.
  using Offset = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  T best[kStrip];
  Offset at[kStrip];
  const std::int64_t corner = (wz.begin[z] * wy.in + wy.begin[y]) * wx.in + wx.begin[x];
  for (std::int64_t i = 0; i < n; ++i) {
    best[i] = static_cast<T>(in[corner + i * stride]);
    at[i] = 0;
  }
  for (std::int64_t iz = wz.begin[z]; iz < wz.end[z]; iz += wz.step) {
    for (std::int64_t iy = wy.begin[y]; iy < wy.end[y]; iy += wy.step) {
      for (std::int64_t tap = 0; tap < whole.taps; ++tap) {
        const std::int64_t start = (iz * wy.in + iy) * wx.in + wx.begin[x] + tap * wx.step;
        const auto offset = static_cast<Offset>(start - corner);
        FASTNN_IVDEP
        for (std::int64_t i = 0; i < n; ++i) {
          const T value = static_cast<T>(in[start + i * stride]);
          const bool better = (value > best[i]) | is_nan(value);
          best[i] = better ? value : best[i];
          at[i] = better ? offset : at[i];
        }
      }
    }
  }
  for (std::int64_t i = 0; i < n; ++i) {
    out[i] = S(best[i]);
    where[i] = corner + i * stride + at[i];
  }
}

template <class S>
void largest(const View& values, const View& indices, const View& input, const PoolGeometry& s) {
  using T = ComputeOf<S>;
  const auto& [wz, wy, wx] = s.window;
  const Whole whole = whole_windows(wx);
  const auto strip = whole.stride == 1   ? &largest_strip<S, 1>
                     : whole.stride == 2 ? &largest_strip<S, 2>
                                         : &largest_strip<S, 0>;
  for_rows(s, [&](std::int64_t plane, std::int64_t z, std::int64_t y) {
    const S* in = input.as<S>() + plane * in_points(s);
    const std::int64_t row = ((plane * wz.out + z) * wy.out + y) * wx.out;
    S* out = values.as<S>() + row;
    std::int64_t* where = indices.as<std::int64_t>() + row;
    for (std::int64_t x = 0; x < wx.out; ++x) {
      if (x == whole.first) {
        for (; x < whole.last; x += kStrip) {
          const std::int64_t n = whole.last - x < kStrip ? whole.last - x : kStrip;
          strip(out + x, where + x, in, wz, wy, wx, z, y, x, n, whole);
        }
        x = whole.last;
        if (x == wx.out) break;
      }
      std::int64_t best_at = (wz.begin[z] * wy.in + wy.begin[y]) * wx.in + wx.begin[x];
      T best = static_cast<T>(in[best_at]);
      for (std::int64_t iz = wz.begin[z]; iz < wz.end[z]; iz += wz.step) {
        for (std::int64_t iy = wy.begin[y]; iy < wy.end[y]; iy += wy.step) {
          const std::int64_t line = (iz * wy.in + iy) * wx.in;
          for (std::int64_t ix = wx.begin[x]; ix < wx.end[x]; ix += wx.step) {
            const T value = static_cast<T>(in[line + ix]);
            if (value > best || is_nan(value)) {
              best = value;
              best_at = line + ix;
            }
          }
        }
      }
      out[x] = in[best_at];
      where[x] = best_at;
    }
  });
}

template <class S>
void pick(const View& values, const View& input, const View& indices, const PoolGeometry& s) {
  const std::int64_t points = out_points(s);
  parallel_for(s.planes, grain_for(points), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t plane = begin; plane < end; ++plane) {
      const S* in = input.as<S>() + plane * in_points(s);
      S* out = values.as<S>() + plane * points;
      const std::int64_t* where = indices.as<std::int64_t>() + plane * points;
      for (std::int64_t i = 0; i < points; ++i) out[i] = in[where[i]];
    }
  });
}

// Runs f(sums, plane), where sums is the plane of `input` in the compute type, zero at first.
template <class S, class F>
void accumulate_planes(const View& input, const PoolGeometry& s, std::int64_t visited, F&& f) {
  using T = ComputeOf<S>;
  const std::int64_t points = in_points(s);
  constexpr bool direct = std::is_same_v<T, S>;
  parallel_for(s.planes, grain_for(visited + points), [&](std::int64_t begin, std::int64_t end) {
    const Scratch scratch(direct ? 0 : points * static_cast<std::int64_t>(sizeof(T)));
    for (std::int64_t plane = begin; plane < end; ++plane) {
      S* target = input.as<S>() + plane * points;
      T* sums = scratch.as<T>();
      if constexpr (direct) sums = target;
      for (std::int64_t i = 0; i < points; ++i) sums[i] = T(0);
      f(sums, plane);
      if constexpr (!direct) {
        for (std::int64_t i = 0; i < points; ++i) target[i] = S(sums[i]);
      }
    }
  });
}

template <class S>
void place(const View& input, const View& values, const View& indices, const PoolGeometry& s) {
  using T = ComputeOf<S>;
  const std::int64_t points = out_points(s);
  accumulate_planes<S>(input, s, points, [&](T* sums, std::int64_t plane) {
    const S* from = values.as<S>() + plane * points;
    const std::int64_t* where = indices.as<std::int64_t>() + plane * points;
    for (std::int64_t i = 0; i < points; ++i) sums[where[i]] = static_cast<T>(sums[where[i]] + static_cast<T>(from[i]));
  });
}

double divisor_of(const PoolGeometry& s, std::int64_t z, std::int64_t y, std::int64_t x) {
  if (s.divisor != 0) return s.divisor;
  return static_cast<double>(s.window[0].extent[z] * s.window[1].extent[y] * s.window[2].extent[x]);
}

// The sums of n windows in the order of their elements.
template <class S, std::int64_t fixed_stride>
void sum_strip(ComputeOf<S>* sums, const S* in, const PoolWindows& wz, const PoolWindows& wy, const PoolWindows& wx,
               std::int64_t z, std::int64_t y, std::int64_t x, std::int64_t n, const Whole& whole) {
  using T = ComputeOf<S>;
  const std::int64_t stride = fixed_stride > 0 ? fixed_stride : whole.stride;
  for (std::int64_t i = 0; i < n; ++i) sums[i] = T(0);
  for (std::int64_t iz = wz.begin[z]; iz < wz.end[z]; ++iz) {
    for (std::int64_t iy = wy.begin[y]; iy < wy.end[y]; ++iy) {
      for (std::int64_t tap = 0; tap < whole.taps; ++tap) {
        const S* line = in + (iz * wy.in + iy) * wx.in + wx.begin[x] + tap;
        FASTNN_IVDEP
        for (std::int64_t i = 0; i < n; ++i) sums[i] += static_cast<T>(line[i * stride]);
      }
    }
  }
}

template <class S>
void mean(const View& values, const View& input, const PoolGeometry& s) {
  using T = ComputeOf<S>;
  const auto& [wz, wy, wx] = s.window;
  const Whole whole = whole_windows(wx);
  const auto strip = whole.stride == 1 ? &sum_strip<S, 1> : whole.stride == 2 ? &sum_strip<S, 2> : &sum_strip<S, 0>;
  for_rows(s, [&](std::int64_t plane, std::int64_t z, std::int64_t y) {
    const S* in = input.as<S>() + plane * in_points(s);
    S* out = values.as<S>() + ((plane * wz.out + z) * wy.out + y) * wx.out;
    for (std::int64_t x = 0; x < wx.out; ++x) {
      // A single wide window is summed along its lines instead.
      if (x == whole.first && whole.last - whole.first > 1) {
        T sums[kStrip];
        for (; x < whole.last; x += kStrip) {
          const std::int64_t n = whole.last - x < kStrip ? whole.last - x : kStrip;
          strip(sums, in, wz, wy, wx, z, y, x, n, whole);
          for (std::int64_t i = 0; i < n; ++i) out[x + i] = S(sums[i] / static_cast<T>(divisor_of(s, z, y, x + i)));
        }
        x = whole.last;
        if (x == wx.out) break;
      }
      T sum = T(0);
      for (std::int64_t iz = wz.begin[z]; iz < wz.end[z]; ++iz) {
        for (std::int64_t iy = wy.begin[y]; iy < wy.end[y]; ++iy) {
          const S* line = in + (iz * wy.in + iy) * wx.in;
          for (std::int64_t ix = wx.begin[x]; ix < wx.end[x]; ++ix) sum += static_cast<T>(line[ix]);
        }
      }
      out[x] = S(sum / static_cast<T>(divisor_of(s, z, y, x)));
    }
  });
}

template <class S>
void spread(const View& input, const View& values, const PoolGeometry& s) {
  using T = ComputeOf<S>;
  const auto& [wz, wy, wx] = s.window;
  accumulate_planes<S>(input, s, window_size(s) * out_points(s), [&](T* sums, std::int64_t plane) {
    const S* from = values.as<S>() + plane * out_points(s);
    for (std::int64_t z = 0; z < wz.out; ++z) {
      for (std::int64_t y = 0; y < wy.out; ++y) {
        for (std::int64_t x = 0; x < wx.out; ++x) {
          const T share = static_cast<T>(*from++) / static_cast<T>(divisor_of(s, z, y, x));
          for (std::int64_t iz = wz.begin[z]; iz < wz.end[z]; ++iz) {
            for (std::int64_t iy = wy.begin[y]; iy < wy.end[y]; ++iy) {
              T* line = sums + (iz * wy.in + iy) * wx.in;
              for (std::int64_t ix = wx.begin[x]; ix < wx.end[x]; ++ix) line[ix] += share;
            }
          }
        }
      }
    }
  });
}

template <class F>
void with_floating(const char* op, DType dtype, F&& f) {
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
      fail_not_implemented(op, dtype);
  }
}
template <class F>
void with_number(const char* op, DType dtype, F&& f) {
  switch (dtype) {
    case DType::UInt8:
      return f(std::uint8_t{});
    case DType::Int8:
      return f(std::int8_t{});
    case DType::Int16:
      return f(std::int16_t{});
    case DType::Int32:
      return f(std::int32_t{});
    case DType::Int64:
      return f(std::int64_t{});
    default:
      with_floating(op, dtype, f);
  }
}

void largest_any(const View& values, const View& indices, const View& input, const PoolGeometry& s) {
  with_number("max_pool", input.dtype, [&](auto storage) { largest<decltype(storage)>(values, indices, input, s); });
}
void pick_any(const View& values, const View& input, const View& indices, const PoolGeometry& s) {
  with_number("max_pool", input.dtype, [&](auto storage) { pick<decltype(storage)>(values, input, indices, s); });
}
void place_any(const View& input, const View& values, const View& indices, const PoolGeometry& s) {
  with_number("max_pool", input.dtype, [&](auto storage) { place<decltype(storage)>(input, values, indices, s); });
}
void mean_any(const View& values, const View& input, const PoolGeometry& s) {
  if (input.dtype == DType::Int64) return mean<std::int64_t>(values, input, s);
  with_floating("avg_pool", input.dtype, [&](auto storage) { mean<decltype(storage)>(values, input, s); });
}
void spread_any(const View& input, const View& values, const PoolGeometry& s) {
  with_floating("avg_pool", input.dtype, [&](auto storage) { spread<decltype(storage)>(input, values, s); });
}

}  // namespace

constinit const PoolKernels pool_kernels = {
    .largest = &largest_any,
    .pick = &pick_any,
    .place = &place_any,
    .mean = &mean_any,
    .spread = &spread_any,
};

FASTNN_CPU_END
