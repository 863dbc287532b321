#include "kernels/conv.h"

#include <cstring>
#include <type_traits>

#include "core/parallel.h"
#include "core/scratch.h"
#include "cpu/loops.h"
#include "cpu/tables.h"

// A convolution is a matrix product with the unfolded input: rows are (channel, kernel position), columns are
// (image, output position). It is unfolded a tile of columns at a time, so that the memory stays bounded. How the work
// is cut follows from the shape alone, so results do not depend on the number of threads.

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kTileElements = 1 << 17;  // of an unfolded tile: half a megabyte of float32
constexpr std::int64_t kLeastColumns = 64;
constexpr std::int64_t kMostColumns = 1024;
constexpr std::int64_t kWantedTasks = 16;           // pieces of work when the shape allows it
constexpr std::int64_t kLeastRows = 64;             // of a piece of the output channels or of the unfolded rows
constexpr std::int64_t kPartialElements = 1 << 17;  // of a weight small enough for partial sums
constexpr double kTaskWork = 2.5e5;                 // multiply-adds below which a second thread does not pay
constexpr std::int64_t kDirectPoints = 256;  // output points of an image from which a 1x1 kernel is a plain product

std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }
std::int64_t volume(const std::int64_t (&sizes)[kSpatial]) { return sizes[0] * sizes[1] * sizes[2]; }

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

template <class T>
const BlasOf<T>& blas_of() {
  if constexpr (std::is_same_v<T, float>) {
    return blas().f32;
  } else {
    return blas().f64;
  }
}

std::int64_t grain_for(double work_of_task) {
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
Range inside(const Shape& s, std::int64_t t) {
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

// Columns [begin, end) of the unfolded channels [c0, c1) of a group; `input` is its first channel in the first image.
template <class T, class S>
void unfold(T* col, const S* input, const Shape& s, std::int64_t c0, std::int64_t c1, std::int64_t begin,
            std::int64_t end) {
  const std::int64_t columns = end - begin;
  for_taps(s, c0, c1, [&](std::int64_t row, std::int64_t c, std::int64_t kz, std::int64_t ky, std::int64_t kx) {
    T* const to = col + row * columns;
    const Range range = inside(s, kx);
    const std::int64_t shift = kx * s.dilation[2] - s.padding[2];
    for_rows(
        s, begin, end,
        [&](std::int64_t at, std::int64_t image, std::int64_t z, std::int64_t y, std::int64_t x0, std::int64_t x1) {
          const std::int64_t in_z = z * s.stride[0] + kz * s.dilation[0] - s.padding[0];
          const std::int64_t in_y = y * s.stride[1] + ky * s.dilation[1] - s.padding[1];
          T* out = to + at;
          if (in_z < 0 || in_z >= s.in[0] || in_y < 0 || in_y >= s.in[1]) {
            fill(out, T(0), x1 - x0);
            return;
          }
          const std::int64_t first = smaller(larger(range.first, x0), x1);
          const std::int64_t last = larger(smaller(range.last, x1), first);
          const S* line = input + (image * s.in_channels + c) * s.in_points + (in_z * s.in[1] + in_y) * s.in[2];
          fill(out, T(0), first - x0);
          copy_strided(out + (first - x0), line + first * s.stride[2] + shift, s.stride[2], last - first);
          fill(out + (last - x0), T(0), x1 - last);
        });
  });
}

// Adds columns to where they came from; `image0` is the image that `input` begins with.
template <class T>
void fold(T* input, std::int64_t image_step, const T* col, const Shape& s, std::int64_t c0, std::int64_t c1,
          std::int64_t image0, std::int64_t begin, std::int64_t end) {
  const std::int64_t columns = end - begin;
  for_taps(s, c0, c1, [&](std::int64_t row, std::int64_t c, std::int64_t kz, std::int64_t ky, std::int64_t kx) {
    const T* const from = col + row * columns;
    const Range range = inside(s, kx);
    const std::int64_t shift = kx * s.dilation[2] - s.padding[2];
    for_rows(
        s, begin, end,
        [&](std::int64_t at, std::int64_t image, std::int64_t z, std::int64_t y, std::int64_t x0, std::int64_t x1) {
          const std::int64_t in_z = z * s.stride[0] + kz * s.dilation[0] - s.padding[0];
          const std::int64_t in_y = y * s.stride[1] + ky * s.dilation[1] - s.padding[1];
          if (in_z < 0 || in_z >= s.in[0] || in_y < 0 || in_y >= s.in[1]) return;
          const std::int64_t first = larger(range.first, x0);
          const std::int64_t last = smaller(range.last, x1);
          if (first >= last) return;
          T* line = input + (image - image0) * image_step + (c - c0) * s.in_points + (in_z * s.in[1] + in_y) * s.in[2];
          add_strided(line + first * s.stride[2] + shift, s.stride[2], from + at + (first - x0), last - first);
        });
  });
}

// Channels [c0, c1) of columns [begin, end) of a tensor [batch, channels, points], as rows of `block`.
template <class T, class S>
void gather_columns(T* block, const S* from, std::int64_t channels, std::int64_t points, std::int64_t c0,
                    std::int64_t c1, std::int64_t begin, std::int64_t end) {
  for (std::int64_t c = c0; c < c1; ++c) {
    T* to = block + (c - c0) * (end - begin);
    for (std::int64_t column = begin; column < end;) {
      const std::int64_t image = column / points;
      const std::int64_t at = column % points;
      const std::int64_t count = smaller(points - at, end - column);
      copy_strided(to, from + (image * channels + c) * points + at, 1, count);
      to += count;
      column += count;
    }
  }
}
template <class S, class T>
void scatter_columns(S* to, const T* block, std::int64_t channels, std::int64_t points, std::int64_t c0,
                     std::int64_t c1, std::int64_t begin, std::int64_t end) {
  for (std::int64_t c = c0; c < c1; ++c) {
    const T* from = block + (c - c0) * (end - begin);
    for (std::int64_t column = begin; column < end;) {
      const std::int64_t image = column / points;
      const std::int64_t at = column % points;
      const std::int64_t count = smaller(points - at, end - column);
      copy_strided(to + (image * channels + c) * points + at, from, 1, count);
      from += count;
      column += count;
    }
  }
}

// --- the three products ----------------------------------------------------------------------------------------------

template <class S>
void forward_general(const View& output, const View& input, const View& weight, const View* bias, const Shape& s) {
  using T = ComputeOf<S>;
  const Scratch wide(widened_bytes<T, S>(weight));
  const T* w = widened<T, S>(weight, wide.as<T>());
  const std::int64_t total = s.batch * s.out_points;
  const std::int64_t columns = s.tile_columns();
  const std::int64_t column_tiles = ceil_div(total, columns);
  std::int64_t channel_tiles = 1;
  while (column_tiles * s.groups * channel_tiles < kWantedTasks && s.group_out / (2 * channel_tiles) >= kLeastRows) {
    channel_tiles *= 2;
  }
  const std::int64_t channels = ceil_div(s.group_out, channel_tiles);
  const double work = static_cast<double>(channels) * static_cast<double>(s.rows + 8) * static_cast<double>(columns);
  parallel_for(column_tiles * s.groups * channel_tiles, grain_for(work), [&](std::int64_t from, std::int64_t to) {
    const Scratch scratch((s.rows + channels) * columns * static_cast<std::int64_t>(sizeof(T)));
    T* col = scratch.as<T>();
    T* block = col + s.rows * columns;
    std::int64_t unfolded = -1;
    for (std::int64_t task = from; task < to; ++task) {
      const std::int64_t tile = task / channel_tiles;
      const std::int64_t group = tile % s.groups;
      const std::int64_t begin = tile / s.groups * columns;
      const std::int64_t end = smaller(begin + columns, total);
      const std::int64_t first = group * s.group_out + task % channel_tiles * channels;
      const std::int64_t last = smaller(first + channels, (group + 1) * s.group_out);
      if (first >= last) continue;
      if (unfolded != tile) {
        unfold(col, input.as<S>() + group * s.group_in * s.in_points, s, 0, s.group_in, begin, end);
        unfolded = tile;
      }
      const std::int64_t count = end - begin;
      // Straight into the output where the columns are one run of one image.
      const std::int64_t image = begin / s.out_points;
      bool direct = std::is_same_v<T, S> && (end - 1) / s.out_points == image;
      T* c = block;
      std::int64_t step = count;
      if constexpr (std::is_same_v<T, S>) {
        if (direct) {
          c = output.as<T>() + (image * s.out_channels + first) * s.out_points + begin % s.out_points;
          step = s.out_points;
        }
      }
      T beta = T(0);
      if (bias != nullptr) {
        for (std::int64_t i = first; i < last; ++i) fill(c + (i - first) * step, T(bias->as<S>()[i]), count);
        beta = T(1);
      }
      blas_of<T>().gemm(false, false, last - first, count, s.rows, T(1), w + first * s.rows, s.rows, col, count, beta,
                        c, step);
      if (!direct) scatter_columns(output.as<S>(), block, s.out_channels, s.out_points, first, last, begin, end);
    }
  });
}

template <class S>
void input_gradient_general(const View& input_gradient, const View& gradient, const View& weight, const View* bias,
                            const Shape& s) {
  using T = ComputeOf<S>;
  const Scratch wide(widened_bytes<T, S>(weight));
  const T* w = widened<T, S>(weight, wide.as<T>());
  const std::int64_t columns = s.tile_columns();
  // A task owns whole channels of some images: nobody else writes there.
  std::int64_t images = smaller(s.batch, larger(1, columns / larger(s.out_points, 1)));
  while (images > 1 && ceil_div(s.batch, images) * s.groups < kWantedTasks) images = ceil_div(images, 2);
  const std::int64_t image_tiles = ceil_div(s.batch, images);
  std::int64_t channel_tiles = 1;
  while (image_tiles * s.groups * channel_tiles < kWantedTasks && s.rows / (2 * channel_tiles) >= kLeastRows &&
         channel_tiles < s.group_in) {
    channel_tiles *= 2;
  }
  const std::int64_t channels = ceil_div(s.group_in, channel_tiles);
  const bool direct = std::is_same_v<T, S>;
  const double work = static_cast<double>(s.group_out + 8) * static_cast<double>(channels * s.taps) *
                      static_cast<double>(images * s.out_points);
  parallel_for(image_tiles * s.groups * channel_tiles, grain_for(work), [&](std::int64_t from, std::int64_t to) {
    const std::int64_t sums = direct ? 0 : images * channels * s.in_points;
    const Scratch scratch((columns * (channels * s.taps + s.group_out) + sums) * static_cast<std::int64_t>(sizeof(T)));
    T* col = scratch.as<T>();
    T* block = col + columns * channels * s.taps;
    T* sum = block + columns * s.group_out;
    for (std::int64_t task = from; task < to; ++task) {
      const std::int64_t group = task / channel_tiles % s.groups;
      const std::int64_t image0 = task / channel_tiles / s.groups * images;
      const std::int64_t image1 = smaller(image0 + images, s.batch);
      const std::int64_t c0 = task % channel_tiles * channels;
      const std::int64_t c1 = smaller(c0 + channels, s.group_in);
      if (c0 >= c1) continue;
      const std::int64_t first_channel = group * s.group_in + c0;
      T* target = sum;
      std::int64_t image_step = channels * s.in_points;
      if constexpr (std::is_same_v<T, S>) {
        target = input_gradient.as<T>() + (image0 * s.in_channels + first_channel) * s.in_points;
        image_step = s.in_channels * s.in_points;
      }
      for (std::int64_t i = image0; i < image1; ++i) {
        for (std::int64_t c = c0; c < c1; ++c) {
          fill(target + (i - image0) * image_step + (c - c0) * s.in_points,
               bias ? T(bias->as<S>()[first_channel + c - c0]) : T(0), s.in_points);
        }
      }
      for (std::int64_t begin = image0 * s.out_points; begin < image1 * s.out_points; begin += columns) {
        const std::int64_t end = smaller(begin + columns, image1 * s.out_points);
        const std::int64_t count = end - begin;
        const std::int64_t out0 = group * s.group_out;
        const T* g = block;
        std::int64_t step = count;
        const std::int64_t image = begin / s.out_points;
        bool gathered = true;
        if constexpr (std::is_same_v<T, S>) {
          if ((end - 1) / s.out_points == image) {
            g = gradient.as<T>() + (image * s.out_channels + out0) * s.out_points + begin % s.out_points;
            step = s.out_points;
            gathered = false;
          }
        }
        if (gathered) {
          gather_columns(block, gradient.as<S>(), s.out_channels, s.out_points, out0, out0 + s.group_out, begin, end);
        }
        blas_of<T>().gemm(true, false, (c1 - c0) * s.taps, count, s.group_out, T(1), w + out0 * s.rows + c0 * s.taps,
                          s.rows, g, step, T(0), col, count);
        fold(target, image_step, col, s, c0, c1, image0, begin, end);
      }
      if constexpr (!std::is_same_v<T, S>) {
        for (std::int64_t i = image0; i < image1; ++i) {
          copy_strided(input_gradient.as<S>() + (i * s.in_channels + first_channel) * s.in_points,
                       sum + (i - image0) * image_step, 1, (c1 - c0) * s.in_points);
        }
      }
    }
  });
}

template <class S>
void weight_gradient_general(const View& weight_gradient, const View& input, const View& gradient, const Shape& s) {
  using T = ComputeOf<S>;
  const std::int64_t total = s.batch * s.out_points;
  const std::int64_t columns = s.tile_columns();
  const std::int64_t column_tiles = ceil_div(total, columns);
  const std::int64_t numel = weight_gradient.numel();
  // A small weight: the columns are shared out, and partial sums added in order. A large one: its rows are.
  std::int64_t parts = 1;
  std::int64_t channel_tiles = 1;
  if (numel <= kPartialElements) {
    parts = larger(1, smaller(kWantedTasks / s.groups, column_tiles));
  } else {
    while (s.groups * channel_tiles < kWantedTasks && s.rows / (2 * channel_tiles) >= 2 * kLeastRows &&
           2 * channel_tiles <= s.group_in) {
      channel_tiles *= 2;
    }
  }
  const std::int64_t channels = ceil_div(s.group_in, channel_tiles);
  const bool direct = std::is_same_v<T, S> && parts == 1;
  const Scratch partial(direct ? 0 : parts * numel * static_cast<std::int64_t>(sizeof(T)));
  T* const sums = direct ? static_cast<T*>(weight_gradient.data) : partial.as<T>();
  const std::int64_t tiles_of_part = ceil_div(column_tiles, parts);
  const double work = static_cast<double>(s.group_out) * static_cast<double>(channels * s.taps + 8) *
                      static_cast<double>(tiles_of_part * columns);
  parallel_for(parts * s.groups * channel_tiles, grain_for(work), [&](std::int64_t from, std::int64_t to) {
    const Scratch scratch(columns * (channels * s.taps + s.group_out) * static_cast<std::int64_t>(sizeof(T)));
    T* col = scratch.as<T>();
    T* block = col + columns * channels * s.taps;
    for (std::int64_t task = from; task < to; ++task) {
      const std::int64_t part = task / channel_tiles / s.groups;
      const std::int64_t group = task / channel_tiles % s.groups;
      const std::int64_t c0 = task % channel_tiles * channels;
      const std::int64_t c1 = smaller(c0 + channels, s.group_in);
      if (c0 >= c1) continue;
      const std::int64_t out0 = group * s.group_out;
      const std::int64_t rows = (c1 - c0) * s.taps;
      T* sum = sums + part * numel + out0 * s.rows + c0 * s.taps;
      for (std::int64_t i = 0; i < s.group_out; ++i) fill(sum + i * s.rows, T(0), rows);
      for (std::int64_t t = part * tiles_of_part; t < smaller((part + 1) * tiles_of_part, column_tiles); ++t) {
        const std::int64_t begin = t * columns;
        const std::int64_t end = smaller(begin + columns, total);
        const std::int64_t count = end - begin;
        unfold(col, input.as<S>() + group * s.group_in * s.in_points, s, c0, c1, begin, end);
        const T* g = block;
        std::int64_t step = count;
        const std::int64_t image = begin / s.out_points;
        bool gathered = true;
        if constexpr (std::is_same_v<T, S>) {
          if ((end - 1) / s.out_points == image) {
            g = gradient.as<T>() + (image * s.out_channels + out0) * s.out_points + begin % s.out_points;
            step = s.out_points;
            gathered = false;
          }
        }
        if (gathered) {
          gather_columns(block, gradient.as<S>(), s.out_channels, s.out_points, out0, out0 + s.group_out, begin, end);
        }
        blas_of<T>().gemm(false, true, s.group_out, rows, count, T(1), g, step, col, count, T(1), sum, s.rows);
      }
    }
  });
  if (direct) return;
  for (std::int64_t part = 1; part < parts; ++part) {
    const T* other = sums + part * numel;
    FASTNN_IVDEP
    for (std::int64_t i = 0; i < numel; ++i) sums[i] += other[i];
  }
  copy_strided(weight_gradient.as<S>(), sums, 1, numel);
}

// --- one input channel a group ---------------------------------------------------------------------------------------

// Visits the lines of a depthwise convolution: f(tap, first output point, first input point, count) for every tap and
// every row of the output of one channel.
template <class F>
void for_lines(const Shape& s, F&& f) {
  for_taps(s, 0, 1, [&](std::int64_t tap, std::int64_t, std::int64_t kz, std::int64_t ky, std::int64_t kx) {
    const Range range = inside(s, kx);
    if (range.first >= range.last) return;
    const std::int64_t shift = kx * s.dilation[2] - s.padding[2];
    for (std::int64_t z = 0; z < s.out[0]; ++z) {
      const std::int64_t in_z = z * s.stride[0] + kz * s.dilation[0] - s.padding[0];
      if (in_z < 0 || in_z >= s.in[0]) continue;
      for (std::int64_t y = 0; y < s.out[1]; ++y) {
        const std::int64_t in_y = y * s.stride[1] + ky * s.dilation[1] - s.padding[1];
        if (in_y < 0 || in_y >= s.in[1]) continue;
        f(tap, (z * s.out[1] + y) * s.out[2] + range.first,
          (in_z * s.in[1] + in_y) * s.in[2] + range.first * s.stride[2] + shift, range.last - range.first);
      }
    }
  });
}

template <class T>
void add_scaled(T* to, std::int64_t step_to, const T* from, std::int64_t step_from, T factor, std::int64_t n) {
  if (step_to == 1 && step_from == 1) {
    FASTNN_IVDEP
    for (std::int64_t i = 0; i < n; ++i) to[i] += factor * from[i];
    return;
  }
  FASTNN_IVDEP
  for (std::int64_t i = 0; i < n; ++i) to[i * step_to] += factor * from[i * step_from];
}
template <class T>
T dot_strided(const T* a, const T* b, std::int64_t step_b, std::int64_t n) {
  constexpr int kLanes = 16;
  T lanes[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int l = 0; l < kLanes; ++l) lanes[l] += a[i + l] * b[(i + l) * step_b];
  }
  T total = T(0);
  for (const T lane : lanes) total += lane;
  for (; i < n; ++i) total += a[i] * b[i * step_b];
  return total;
}

// One channel of one image in the compute type.
template <class T, class S>
const T* plane(const View& view, std::int64_t index, std::int64_t points, T* buffer) {
  const S* from = view.as<S>() + index * points;
  if constexpr (std::is_same_v<T, S>) {
    return from;
  } else {
    copy_strided(buffer, from, 1, points);
    return buffer;
  }
}

template <class S>
void forward_depthwise(const View& output, const View& input, const View& weight, const View* bias, const Shape& s) {
  using T = ComputeOf<S>;
  const double work = static_cast<double>(s.taps) * static_cast<double>(s.out_points);
  parallel_for(s.batch * s.out_channels, grain_for(work), [&](std::int64_t from, std::int64_t to) {
    const Scratch scratch((s.in_points + s.out_points) * static_cast<std::int64_t>(sizeof(T)));
    T* buffer = scratch.as<T>();
    for (std::int64_t task = from; task < to; ++task) {
      const std::int64_t channel = task % s.out_channels;
      const std::int64_t image = task / s.out_channels;
      const T* in = plane<T, S>(input, image * s.in_channels + channel / s.group_out, s.in_points, buffer);
      T* out = buffer + s.in_points;
      if constexpr (std::is_same_v<T, S>) out = output.as<T>() + task * s.out_points;
      fill(out, bias ? T(bias->as<S>()[channel]) : T(0), s.out_points);
      const S* w = weight.as<S>() + channel * s.taps;
      for_lines(s, [&](std::int64_t tap, std::int64_t at_out, std::int64_t at_in, std::int64_t count) {
        add_scaled(out + at_out, 1, in + at_in, s.stride[2], T(w[tap]), count);
      });
      if constexpr (!std::is_same_v<T, S>) copy_strided(output.as<S>() + task * s.out_points, out, 1, s.out_points);
    }
  });
}

template <class S>
void input_gradient_depthwise(const View& input_gradient, const View& gradient, const View& weight, const View* bias,
                              const Shape& s) {
  using T = ComputeOf<S>;
  const double work = static_cast<double>(s.taps * s.group_out) * static_cast<double>(s.out_points);
  parallel_for(s.batch * s.in_channels, grain_for(work), [&](std::int64_t from, std::int64_t to) {
    const Scratch scratch((s.in_points + s.out_points) * static_cast<std::int64_t>(sizeof(T)));
    T* buffer = scratch.as<T>();
    for (std::int64_t task = from; task < to; ++task) {
      const std::int64_t channel = task % s.in_channels;
      const std::int64_t image = task / s.in_channels;
      T* in = buffer + s.out_points;
      if constexpr (std::is_same_v<T, S>) in = input_gradient.as<T>() + task * s.in_points;
      fill(in, bias ? T(bias->as<S>()[channel]) : T(0), s.in_points);
      for (std::int64_t o = channel * s.group_out; o < (channel + 1) * s.group_out; ++o) {
        const T* g = plane<T, S>(gradient, image * s.out_channels + o, s.out_points, buffer);
        const S* w = weight.as<S>() + o * s.taps;
        for_lines(s, [&](std::int64_t tap, std::int64_t at_out, std::int64_t at_in, std::int64_t count) {
          add_scaled(in + at_in, s.stride[2], g + at_out, 1, T(w[tap]), count);
        });
      }
      if constexpr (!std::is_same_v<T, S>)
        copy_strided(input_gradient.as<S>() + task * s.in_points, in, 1, s.in_points);
    }
  });
}

template <class S>
void weight_gradient_depthwise(const View& weight_gradient, const View& input, const View& gradient, const Shape& s) {
  using T = ComputeOf<S>;
  const double work = static_cast<double>(s.taps * s.batch) * static_cast<double>(s.out_points);
  parallel_for(s.out_channels, grain_for(work), [&](std::int64_t from, std::int64_t to) {
    const Scratch scratch((s.in_points + s.out_points + s.taps) * static_cast<std::int64_t>(sizeof(T)));
    T* buffer = scratch.as<T>();
    T* sums = buffer + s.in_points + s.out_points;
    for (std::int64_t channel = from; channel < to; ++channel) {
      fill(sums, T(0), s.taps);
      for (std::int64_t image = 0; image < s.batch; ++image) {
        const T* in = plane<T, S>(input, image * s.in_channels + channel / s.group_out, s.in_points, buffer);
        const T* g = plane<T, S>(gradient, image * s.out_channels + channel, s.out_points, buffer + s.in_points);
        for_lines(s, [&](std::int64_t tap, std::int64_t at_out, std::int64_t at_in, std::int64_t count) {
          sums[tap] += dot_strided(g + at_out, in + at_in, s.stride[2], count);
        });
      }
      copy_strided(weight_gradient.as<S>() + channel * s.taps, sums, 1, s.taps);
    }
  });
}

// --- a kernel of one tap: plain products
// ------------------------------------------------------------------------------

// [batch, groups, rows, cols] over a contiguous tensor; a weight has the same matrix for all of the batch.
struct Stack {
  std::int64_t sizes[4];
  std::int64_t strides[4];
  View of(const View& v) const { return {v.data, v.dtype, 4, sizes, strides}; }
};
Stack points_of(const Shape& s, std::int64_t channels, std::int64_t points) {
  return {{s.batch, s.groups, channels / s.groups, points},
          {channels * points, channels / s.groups * points, points, 1}};
}
Stack weight_of(const Shape& s, bool transposed) {
  Stack stack{{s.batch, s.groups, s.group_out, s.group_in}, {0, s.group_out * s.group_in, s.group_in, 1}};
  if (transposed) stack = {{s.batch, s.groups, s.group_in, s.group_out}, {0, s.group_out * s.group_in, 1, s.group_in}};
  return stack;
}
// Output channels by input channels: y = w @ x, plus a bias per row.
void pointwise_product(const View& y, std::int64_t y_channels, const View& x, std::int64_t x_channels, const View& w,
                       bool transposed, const View* bias, const Shape& s) {
  const Stack to = points_of(s, y_channels, s.out_points);
  const Stack from = points_of(s, x_channels, s.out_points);
  const Stack matrix = weight_of(s, transposed);
  Product product;
  Stack added = to;
  View added_view;
  if (bias != nullptr) {
    added.strides[0] = 0;
    added.strides[1] = y_channels / s.groups;
    added.strides[2] = 1;
    added.strides[3] = 0;
    added_view = added.of(*bias);
    product.beta = 1;
    product.input = &added_view;
  }
  matmul_kernels.gemm(to.of(y), matrix.of(w), from.of(x), product);
}

// --- choice ----------------------------------------------------------------------------------------------------------

template <class F>
void with_storage(DType dtype, F&& f) {
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
      fail_not_implemented("convolution", dtype);
  }
}

void forward(const View& output, const View& input, const View& weight, const View* bias,
             const ConvGeometry& geometry) {
  const Shape s(geometry);
  if (s.pointwise() && s.out_points >= kDirectPoints && !s.depthwise()) {
    pointwise_product(output, s.out_channels, input, s.in_channels, weight, false, bias, s);
    return;
  }
  with_storage(output.dtype, [&](auto storage) {
    using S = decltype(storage);
    (s.depthwise() ? forward_depthwise<S> : forward_general<S>)(output, input, weight, bias, s);
  });
}

void input_gradient(const View& result, const View& gradient, const View& weight, const View* bias,
                    const ConvGeometry& geometry) {
  const Shape s(geometry);
  if (s.pointwise() && s.out_points >= kDirectPoints && !s.depthwise()) {
    pointwise_product(result, s.in_channels, gradient, s.out_channels, weight, true, bias, s);
    return;
  }
  with_storage(result.dtype, [&](auto storage) {
    using S = decltype(storage);
    (s.depthwise() ? input_gradient_depthwise<S> : input_gradient_general<S>)(result, gradient, weight, bias, s);
  });
}

void weight_gradient(const View& result, const View& input, const View& gradient, const ConvGeometry& geometry) {
  const Shape s(geometry);
  with_storage(result.dtype, [&](auto storage) {
    using S = decltype(storage);
    (s.depthwise() ? weight_gradient_depthwise<S> : weight_gradient_general<S>)(result, input, gradient, s);
  });
}

}  // namespace

constinit const ConvKernels conv_kernels = {
    .forward = &forward,
    .input_gradient = &input_gradient,
    .weight_gradient = &weight_gradient,
};

FASTNN_CPU_END
