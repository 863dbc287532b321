// What the kernels of convolutions share: sizes that follow from a geometry, and walking over taps and rows.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/parallel.h"
#include "core/scratch.h"
#include "cpu/isa.h"
#include "kernels/conv.h"

FASTNN_CPU_BEGIN

namespace conv {

inline constexpr std::int64_t kTileElements = 1 << 17;  // of an unfolded tile: half a megabyte of float32
inline constexpr std::int64_t kLeastColumns = 64;
inline constexpr std::int64_t kMostColumns = 1024;
inline constexpr double kTaskWork = 2.5e5;  // multiply-adds below which a second thread does not pay

inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
inline std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
inline std::int64_t volume(const std::int64_t (&sizes)[kSpatial]) { return sizes[0] * sizes[1] * sizes[2]; }

// What follows from a geometry.
struct Shape : ConvGeometry {
  std::int64_t group_in, group_out;          // channels of one group
  std::int64_t in_points, out_points, taps;  // of one channel
  std::int64_t rows;                         // of the unfolded input of one group

  explicit Shape(const ConvGeometry& geometry)
      : ConvGeometry(geometry),
        group_in(in_channels / groups),
        group_out(out_channels / groups),
        in_points(volume(in)),
        out_points(volume(out)),
        taps(volume(kernel)),
        rows(group_in * taps) {}

  bool depthwise() const { return group_in == 1 && groups > 1; }
  // The unfolded input is the input.
  bool pointwise() const {
    for (int d = 0; d < kSpatial; ++d) {
      if (kernel[d] != 1 || stride[d] != 1 || padding[d] != 0 || in[d] != out[d]) return false;
    }
    return true;
  }
  std::int64_t tile_columns() const {
    const std::int64_t fitting = kTileElements / larger(rows, 1) / 16 * 16;
    return smaller(larger(kLeastColumns, smaller(fitting, kMostColumns)), larger(batch * out_points, 1));
  }
};

template <class T>
using ComputeOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

inline std::int64_t grain_for(double work_of_task) {
  return larger(1, static_cast<std::int64_t>(kTaskWork / (work_of_task + 1)));
}

// --- moving values ---------------------------------------------------------------------------------------------------

template <class To, class From>
void copy_strided(To* to, const From* from, std::int64_t step, std::int64_t n) {
  if constexpr (std::is_same_v<To, From>) {
    if (step == 1) {
      std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(To));
      return;
    }
  } else if (step == 1) {
    FASTNN_IVDEP
    for (std::int64_t i = 0; i < n; ++i) to[i] = To(from[i]);
    return;
  }
  FASTNN_IVDEP
  for (std::int64_t i = 0; i < n; ++i) to[i] = To(from[i * step]);
}
template <class T>
void add_strided(T* to, std::int64_t step, const T* from, std::int64_t n) {
  if (step == 1) {
    FASTNN_IVDEP
    for (std::int64_t i = 0; i < n; ++i) to[i] += from[i];
    return;
  }
  FASTNN_IVDEP
  for (std::int64_t i = 0; i < n; ++i) to[i * step] += from[i];
}
template <class T>
void fill(T* to, T value, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = value;
}

// A weight in the compute type: itself, or converted into `buffer`.
template <class T, class S>
const T* widened(const View& view, T* buffer) {
  if constexpr (std::is_same_v<T, S>) {
    return view.as<T>();
  } else {
    copy_strided(buffer, view.as<S>(), 1, view.numel());
    return buffer;
  }
}
template <class T, class S>
std::int64_t widened_bytes(const View& view) {
  return std::is_same_v<T, S> ? 0 : view.numel() * static_cast<std::int64_t>(sizeof(T));
}

// Calls f(offset in the columns, image, first output point of a row of the output, [first, last) within that row) for
// each row that columns [begin, end) touch.
template <class F>
void for_rows(const Shape& s, std::int64_t begin, std::int64_t end, F&& f) {
  const std::int64_t width = s.out[2];
  std::int64_t column = begin;
  while (column < end) {
    const std::int64_t x = column % width;
    const std::int64_t row = column / width;
    const std::int64_t count = smaller(width - x, end - column);
    const std::int64_t y = row % s.out[1];
    const std::int64_t z = row / s.out[1] % s.out[0];
    const std::int64_t image = row / (s.out[1] * s.out[0]);
    f(column - begin, image, z, y, x, x + count);
    column += count;
  }
}

// The output positions along x whose input position at tap `t` lies inside.
struct Range {
  std::int64_t first, last;
};
inline Range inside(const Shape& s, std::int64_t t) {
  const std::int64_t shift = t * s.dilation[2] - s.padding[2];  // input x = output x * stride + shift
  const std::int64_t first = shift >= 0 ? 0 : ceil_div(-shift, s.stride[2]);
  const std::int64_t last = s.in[2] - 1 - shift < 0 ? 0 : (s.in[2] - 1 - shift) / s.stride[2] + 1;
  return {smaller(first, s.out[2]), smaller(last, s.out[2])};
}

// Visits the taps of channels [c0, c1): f(row, channel, kz, ky, kx).
template <class F>
void for_taps(const Shape& s, std::int64_t c0, std::int64_t c1, F&& f) {
  std::int64_t row = 0;
  for (std::int64_t c = c0; c < c1; ++c) {
    for (std::int64_t kz = 0; kz < s.kernel[0]; ++kz) {
      for (std::int64_t ky = 0; ky < s.kernel[1]; ++ky) {
        for (std::int64_t kx = 0; kx < s.kernel[2]; ++kx) f(row++, c, kz, ky, kx);
      }
    }
  }
}

}  // namespace conv

FASTNN_CPU_END
