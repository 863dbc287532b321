// Convolutions with one input channel a group. A plane is copied with its padding, and apart into its phases where
// there is a stride along x, so that all outputs of a row meet a tap in contiguous memory and no tap falls outside.
#pragma once

#include <cstdint>

#include "cpu/conv_shape.h"
#include "cpu/vec.h"

FASTNN_CPU_BEGIN

namespace conv {

inline constexpr int kTapBlock = 8;  // taps whose sums stay in registers

// Where the taps of one channel lie in a padded plane of the input.
struct Plane {
  std::int64_t phases;        // stride along x
  std::int64_t line;          // elements of a phase of a row
  std::int64_t rows, layers;  // of the padded plane
  std::int64_t elements;
  std::int64_t step_y, step_z;  // in the plane, from an output row to the next

  // Outputs along x are computed in whole vectors: lines have `slack` elements more than are met.
  Plane(const Shape& s, std::int64_t slack) : phases(s.stride[2]) {
    const auto covered = [&](int d) { return (s.out[d] - 1) * s.stride[d] + (s.kernel[d] - 1) * s.dilation[d] + 1; };
    line = ceil_div(covered(2), phases) + slack;
    rows = covered(1);
    layers = covered(0);
    step_y = s.stride[1] * phases * line;
    step_z = s.stride[0] * rows * phases * line;
    elements = layers * rows * phases * line;
  }
  std::int64_t offset(const Shape& s, std::int64_t kz, std::int64_t ky, std::int64_t kx) const {
    const std::int64_t x = kx * s.dilation[2];
    return ((kz * s.dilation[0] * rows + ky * s.dilation[1]) * phases + x % phases) * line + x / phases;
  }

  // One channel of one image, spread by `spread` along each axis (a gradient under a stride).
  template <class T, class S>
  void load(T* plane, const S* from, const std::int64_t (&sizes)[kSpatial], const std::int64_t (&padding)[kSpatial],
            const std::int64_t (&spread)[kSpatial]) const {
    fill(plane, T(0), elements);
    for (std::int64_t z = 0; z < sizes[0]; ++z) {
      const std::int64_t at_z = z * spread[0] + padding[0];
      if (at_z < 0 || at_z >= layers) continue;
      for (std::int64_t y = 0; y < sizes[1]; ++y) {
        const std::int64_t at_y = y * spread[1] + padding[1];
        if (at_y < 0 || at_y >= rows) continue;
        const S* source = from + (z * sizes[1] + y) * sizes[2];
        T* target = plane + (at_z * rows + at_y) * phases * line;
        if (phases == 1 && spread[2] == 1) {
          const std::int64_t first = padding[2] < 0 ? -padding[2] : 0;
          const std::int64_t last = smaller(sizes[2], line - padding[2]);
          if (first < last) copy_strided(target + first + padding[2], source + first, 1, last - first);
          continue;
        }
        for (std::int64_t x = 0; x < sizes[2]; ++x) {
          const std::int64_t at = x * spread[2] + padding[2];
          if (at >= 0 && at < phases * line) target[at % phases * line + at / phases] = T(source[x]);
        }
      }
    }
  }
};

// out[z, y, x] += sum over taps of weight[tap] * plane[...].
template <class T>
void correlate_plane(T* out, const T* plane, const T* weight, const std::int64_t* offsets, const Plane& p,
                     const Shape& s) {
  constexpr std::int64_t L = Vec<T>::size;
  constexpr int kWide = 4;
  const std::int64_t width = s.out[2];
  const auto vectors = [&]<int N>(std::integral_constant<int, N>, const T* from, T* to, std::int64_t count) {
    Vec<T> sum[N];
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) sum[v] = count < 0 ? Vec<T>::load(to + v * L) : Vec<T>::load_partial(to, count);
    for (std::int64_t t = 0; t < s.taps; ++t) {
      const Vec<T> w(weight[t]);
#pragma GCC unroll 4
      for (int v = 0; v < N; ++v) sum[v] = fma(w, Vec<T>::load(from + offsets[t] + v * L), sum[v]);
    }
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) {
      if (count < 0) {
        sum[v].store(to + v * L);
      } else {
        sum[v].store_partial(to, count);
      }
    }
  };
  for (std::int64_t z = 0; z < s.out[0]; ++z) {
    for (std::int64_t y = 0; y < s.out[1]; ++y) {
      const T* from = plane + z * p.step_z + y * p.step_y;
      T* to = out + (z * s.out[1] + y) * width;
      std::int64_t x = 0;
      for (; x + kWide * L <= width; x += kWide * L) {
        vectors(std::integral_constant<int, kWide>{}, from + x, to + x, -1);
      }
      for (; x + L <= width; x += L) vectors(std::integral_constant<int, 1>{}, from + x, to + x, -1);
      if (x < width) vectors(std::integral_constant<int, 1>{}, from + x, to + x, width - x);
    }
  }
}

// sums[tap] += sum over outputs of gradient * plane.
template <class T>
void correlate_taps(T* sums, const T* gradient, const T* plane, const std::int64_t* offsets, const Plane& p,
                    const Shape& s) {
  constexpr std::int64_t L = Vec<T>::size;
  const std::int64_t width = s.out[2];
  const auto taps = [&]<int N>(std::integral_constant<int, N>, std::int64_t tap) {
    Vec<T> sum[N];
#pragma GCC unroll 8
    for (int t = 0; t < N; ++t) sum[t] = Vec<T>(T(0));
    for (std::int64_t z = 0; z < s.out[0]; ++z) {
      for (std::int64_t y = 0; y < s.out[1]; ++y) {
        const T* from = plane + z * p.step_z + y * p.step_y;
        const T* g = gradient + (z * s.out[1] + y) * width;
        const auto add = [&](std::int64_t x, auto load) {
          const Vec<T> factor = load(g + x);
#pragma GCC unroll 8
          for (int t = 0; t < N; ++t) sum[t] = fma(factor, load(from + offsets[tap + t] + x), sum[t]);
        };
        std::int64_t x = 0;
        for (; x + L <= width; x += L) {
          add(x, [](const T* at) { return Vec<T>::load(at); });
        }
        if (x < width) {
          add(x, [&](const T* at) { return Vec<T>::load_partial(at, width - x); });
        }
      }
    }
#pragma GCC unroll 8
    for (int t = 0; t < N; ++t) sums[tap + t] += reduce_add(sum[t]);
  };
  std::int64_t tap = 0;
  for (; tap + kTapBlock <= s.taps; tap += kTapBlock) taps(std::integral_constant<int, kTapBlock>{}, tap);
  for (; tap < s.taps; ++tap) taps(std::integral_constant<int, 1>{}, tap);
}

inline void find_offsets(std::int64_t* offsets, const Plane& p, const Shape& s) {
  for_taps(s, 0, 1, [&](std::int64_t tap, std::int64_t, std::int64_t kz, std::int64_t ky, std::int64_t kx) {
    offsets[tap] = p.offset(s, kz, ky, kx);
  });
}

inline constexpr std::int64_t kNoSpread[kSpatial] = {1, 1, 1};

template <class S>
void forward_depthwise(const View& output, const View& input, const View& weight, const View* bias, const Shape& s) {
  using T = ComputeOf<S>;
  const Plane p(s, Vec<T>::size);
  const Scratch table(s.taps * static_cast<std::int64_t>(sizeof(std::int64_t)));
  std::int64_t* offsets = table.as<std::int64_t>();
  find_offsets(offsets, p, s);
  const double work = static_cast<double>(s.taps + 4) * static_cast<double>(s.out_points);
  parallel_for(s.batch * s.out_channels, grain_for(work), [&](std::int64_t from, std::int64_t to) {
    const Scratch scratch((p.elements + s.out_points + s.taps) * static_cast<std::int64_t>(sizeof(T)));
    T* const plane = scratch.as<T>();
    T* const buffer = plane + p.elements;
    T* const w = buffer + s.out_points;
    std::int64_t loaded = -1;
    for (std::int64_t task = from; task < to; ++task) {
      const std::int64_t channel = task % s.out_channels;
      const std::int64_t source = task / s.out_channels * s.in_channels + channel / s.group_out;
      if (loaded != source) {
        p.load(plane, input.as<S>() + source * s.in_points, s.in, s.padding, kNoSpread);
        loaded = source;
      }
      copy_strided(w, weight.as<S>() + channel * s.taps, 1, s.taps);
      T* out = buffer;
      if constexpr (std::is_same_v<T, S>) out = output.as<T>() + task * s.out_points;
      fill(out, bias ? T(bias->as<S>()[channel]) : T(0), s.out_points);
      correlate_plane(out, plane, w, offsets, p, s);
      if constexpr (!std::is_same_v<T, S>) copy_strided(output.as<S>() + task * s.out_points, out, 1, s.out_points);
    }
  });
}

// A correlation of the gradient, spread by the strides, with the kernel turned around.
template <class S>
void input_gradient_depthwise(const View& input_gradient, const View& gradient, const View& weight, const View* bias,
                              const Shape& s) {
  using T = ComputeOf<S>;
  ConvGeometry geometry = s;
  for (int d = 0; d < kSpatial; ++d) {
    geometry.in[d] = s.out[d];
    geometry.out[d] = s.in[d];
    geometry.stride[d] = 1;
    geometry.padding[d] = s.dilation[d] * (s.kernel[d] - 1) - s.padding[d];
  }
  const Shape turned(geometry);
  const Plane p(turned, Vec<T>::size);
  const Scratch table(s.taps * static_cast<std::int64_t>(sizeof(std::int64_t)));
  std::int64_t* offsets = table.as<std::int64_t>();
  find_offsets(offsets, p, turned);
  const double work = static_cast<double>((s.taps + 4) * s.group_out) * static_cast<double>(s.in_points);
  parallel_for(s.batch * s.in_channels, grain_for(work), [&](std::int64_t from, std::int64_t to) {
    const Scratch scratch((p.elements + s.in_points + s.taps) * static_cast<std::int64_t>(sizeof(T)));
    T* const plane = scratch.as<T>();
    T* const buffer = plane + p.elements;
    T* const w = buffer + s.in_points;
    for (std::int64_t task = from; task < to; ++task) {
      const std::int64_t channel = task % s.in_channels;
      const std::int64_t image = task / s.in_channels;
      T* in = buffer;
      if constexpr (std::is_same_v<T, S>) in = input_gradient.as<T>() + task * s.in_points;
      fill(in, bias ? T(bias->as<S>()[channel]) : T(0), s.in_points);
      for (std::int64_t o = channel * s.group_out; o < (channel + 1) * s.group_out; ++o) {
        p.load(plane, gradient.as<S>() + (image * s.out_channels + o) * s.out_points, s.out, turned.padding, s.stride);
        for (std::int64_t t = 0; t < s.taps; ++t) w[t] = T(weight.as<S>()[o * s.taps + s.taps - 1 - t]);
        correlate_plane(in, plane, w, offsets, p, turned);
      }
      if constexpr (!std::is_same_v<T, S>) {
        copy_strided(input_gradient.as<S>() + task * s.in_points, in, 1, s.in_points);
      }
    }
  });
}

template <class S>
void weight_gradient_depthwise(const View& weight_gradient, const View& input, const View& gradient, const Shape& s) {
  using T = ComputeOf<S>;
  const Plane p(s, Vec<T>::size);
  const Scratch table(s.taps * static_cast<std::int64_t>(sizeof(std::int64_t)));
  std::int64_t* offsets = table.as<std::int64_t>();
  find_offsets(offsets, p, s);
  const double work = static_cast<double>((s.taps + 4) * s.batch) * static_cast<double>(s.out_points);
  parallel_for(s.out_channels, grain_for(work), [&](std::int64_t from, std::int64_t to) {
    const Scratch scratch((p.elements + s.out_points + s.taps) * static_cast<std::int64_t>(sizeof(T)));
    T* const plane = scratch.as<T>();
    T* const buffer = plane + p.elements;
    T* const sums = buffer + s.out_points;
    for (std::int64_t channel = from; channel < to; ++channel) {
      fill(sums, T(0), s.taps);
      for (std::int64_t image = 0; image < s.batch; ++image) {
        const std::int64_t source = image * s.in_channels + channel / s.group_out;
        p.load(plane, input.as<S>() + source * s.in_points, s.in, s.padding, kNoSpread);
        const S* own = gradient.as<S>() + (image * s.out_channels + channel) * s.out_points;
        const T* g = buffer;
        if constexpr (std::is_same_v<T, S>) {
          g = own;
        } else {
          copy_strided(buffer, own, 1, s.out_points);
        }
        correlate_taps(sums, g, plane, offsets, p, s);
      }
      copy_strided(weight_gradient.as<S>() + channel * s.taps, sums, 1, s.taps);
    }
  });
}

}  // namespace conv

FASTNN_CPU_END
