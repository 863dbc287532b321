#include "kernels/conv.h"

#include "cpu/conv_depthwise.h"
#include "cpu/conv_shape.h"
#include "cpu/gemm.h"
#include "cpu/loops.h"
#include "cpu/tables.h"

// A convolution is a matrix product with the unfolded input: rows are (channel, kernel position), columns are
// (image, output position). The unfolded input is never whole in memory: panels of the product are packed from the
// input itself. With strides of one the gradient of the input is a convolution too, with the kernel turned around. How
// sums are cut follows from the shape alone, so results do not depend on the number of threads.

FASTNN_CPU_BEGIN

namespace {

using namespace conv;

constexpr std::int64_t kWantedTasks = 16;    // pieces of work when the shape allows it
constexpr std::int64_t kLeastRows = 64;      // of a piece of the output channels or of the unfolded rows
constexpr std::int64_t kSumColumns = 768;    // that a weight gradient adds up at a time
constexpr std::int64_t kDirectPoints = 256;  // output points of an image from which a 1x1 kernel is a plain product

template <class T>
const BlasOf<T>& blas_of() {
  if constexpr (std::is_same_v<T, float>) {
    return blas().f32;
  } else {
    return blas().f64;
  }
}

// to[0 .. count) = from[0], from[step], ...; zero outside of [first, last), where nothing is read.
template <class T, class S>
[[gnu::always_inline]] inline void copy_inside(T* to, const S* from, std::int64_t step, std::int64_t first,
                                               std::int64_t last, std::int64_t count) {
  if constexpr (std::is_same_v<T, S>) {
    constexpr std::int64_t L = Vec<T>::size;
    const auto lanes = [](std::int64_t at) { return at < 0 ? 0 : at > L ? L : at; };
    if (step == 1 && count <= L) {
      const Vec<T> value = Vec<T>::load_range(from, first, last);
      if (count == L) {
        value.store(to);
      } else {
        value.store_partial(to, count);
      }
      return;
    }
    if (step == 1 || step == 2) {
      for (std::int64_t i = 0; i < count; i += L) {
        Vec<T> value;
        if (step == 1) {
          value = Vec<T>::load_range(from + i, lanes(first - i), larger(lanes(last - i), lanes(first - i)));
        } else {
          const T* at = from + 2 * i;
          const std::int64_t begin = 2 * (first - i);
          const std::int64_t end = larger(2 * (last - i) - 1, begin);
          value = even_lanes(Vec<T>::load_range(at, lanes(begin), lanes(end)),
                             Vec<T>::load_range(at + L, lanes(begin - L), lanes(end - L)));
        }
        if (i + L <= count) {
          value.store(to + i);
        } else {
          value.store_partial(to + i, count - i);
        }
      }
      return;
    }
  }
  fill(to, T(0), first);
  copy_strided(to + first, from + first * step, step, last - first);
  fill(to + last, T(0), count - last);
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
          copy_inside(out, line + x0 * s.stride[2] + shift, s.stride[2], first - x0, last - x0, x1 - x0);
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

// --- packing ---------------------------------------------------------------------------------------------------------

// A run of columns of the unfolded input within one row of the output of one image.
struct Run {
  std::int64_t at, count;  // columns of the panel
  std::int64_t z, y;       // the input row that tap 0 meets; may lie outside
  std::int64_t x;          // output position along x of the first column
  std::int64_t image;
};

// A panel of W columns of the unfolded input of a group, from column `begin` on: panel[(row - first) * W + column] for
// `depth` rows from `first` on.
template <class T, int W, class S>
void pack_columns(T* panel, const S* input, const Shape& s, std::int64_t begin, std::int64_t count, std::int64_t first,
                  std::int64_t depth) {
  Run runs[W];
  int run_count = 0;
  for_rows(s, begin, begin + count,
           [&](std::int64_t at, std::int64_t image, std::int64_t z, std::int64_t y, std::int64_t x0, std::int64_t x1) {
             runs[run_count++] = {at, x1 - x0, z * s.stride[0] - s.padding[0], y * s.stride[1] - s.padding[1],
                                  x0, image};
           });
  if (count < W) fill(panel, T(0), depth * W);
  std::int64_t c = first / s.taps;
  std::int64_t kx = first % s.kernel[2];
  std::int64_t ky = first / s.kernel[2] % s.kernel[1];
  std::int64_t kz = first % s.taps / (s.kernel[2] * s.kernel[1]);
  for (T* to = panel; to != panel + depth * W; to += W) {
    const Range range = inside(s, kx);
    const std::int64_t shift = kx * s.dilation[2] - s.padding[2];
    for (int r = 0; r < run_count; ++r) {
      const Run& run = runs[r];
      const std::int64_t z = run.z + kz * s.dilation[0];
      const std::int64_t y = run.y + ky * s.dilation[1];
      std::int64_t x0 = 0;
      std::int64_t x1 = 0;
      std::int64_t line = 0;
      if (z >= 0 && z < s.in[0] && y >= 0 && y < s.in[1]) {
        x0 = smaller(larger(range.first - run.x, 0), run.count);
        x1 = larger(smaller(range.last - run.x, run.count), x0);
        line = (run.image * s.in_channels + c) * s.in_points + (z * s.in[1] + y) * s.in[2];
      }
      copy_inside(to + run.at, input + line + run.x * s.stride[2] + shift, s.stride[2], x0, x1, run.count);
    }
    if (++kx < s.kernel[2]) continue;
    kx = 0;
    if (++ky < s.kernel[1]) continue;
    ky = 0;
    if (++kz < s.kernel[0]) continue;
    kz = 0;
    ++c;
  }
}

// Calls f(group) for all groups: in parallel over them when each is little work, else f is parallel within.
template <class F>
void for_groups(const Shape& s, double work, F&& f) {
  if (s.groups < 2 * num_threads() && work > kTaskWork) {
    for (std::int64_t group = 0; group < s.groups; ++group) f(group);
    return;
  }
  parallel_for(s.groups, grain_for(work), [&](std::int64_t from, std::int64_t to) {
    for (std::int64_t group = from; group < to; ++group) f(group);
  });
}
double work_of_group(const Shape& s) {
  return static_cast<double>(s.group_out * s.rows) * static_cast<double>(s.batch * s.out_points);
}

// --- the three products ----------------------------------------------------------------------------------------------

// Some channels of some columns of the output, while it is computed: the output itself where the columns are one run
// of one image, else a block that is put there at the end.
template <class T, class S>
struct Part {
  S* output;
  const Shape& s;
  std::int64_t channel, channels, col, cols;
  bool direct;
  Scratch scratch;
  GemmTarget<T> target;

  Part(const View& view, const View* bias, const Shape& shape, std::int64_t channel_, std::int64_t channels_,
       std::int64_t col_, std::int64_t cols_)
      : output(view.as<S>()),
        s(shape),
        channel(channel_),
        channels(channels_),
        col(col_),
        cols(cols_),
        direct(std::is_same_v<T, S> && (col + cols - 1) / s.out_points == col / s.out_points),
        scratch(direct ? 0 : channels * cols * static_cast<std::int64_t>(sizeof(T))),
        target{scratch.as<T>(), cols, T(1), T(0), nullptr, 0} {
    if constexpr (std::is_same_v<T, S>) {
      if (direct) {
        target.c = output + (col / s.out_points * s.out_channels + channel) * s.out_points + col % s.out_points;
        target.step = s.out_points;
      }
    }
    if (bias == nullptr) return;
    for (std::int64_t i = 0; i < channels; ++i) fill(target.c + i * target.step, T(bias->as<S>()[channel + i]), cols);
    target.rest = target.c;
    target.rest_step = target.step;
    target.beta = T(1);
  }
  ~Part() {
    if (direct) return;
    scatter_columns(output, target.c, s.out_channels, s.out_points, channel, channel + channels, col, col + cols);
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
};

// `weight` is [out_channels, rows].
template <class T, class S>
void correlate_general(const View& output, const View& input, const T* weight, const View* bias, const Shape& s) {
  constexpr int kRows = GemmShape<T>::kRows;
  constexpr int kCols = GemmShape<T>::kCols;
  for_groups(s, work_of_group(s), [&](std::int64_t group) {
    const T* w = weight + group * s.group_out * s.rows;
    const S* in = input.as<S>() + group * s.group_in * s.in_points;
    gemm_streamed<T>(
        s.group_out, s.batch * s.out_points, s.rows,
        [&](T* panel, std::int64_t row, std::int64_t rows) {
          gemm_pack<T, kRows, T>(panel, w + row * s.rows, s.rows, 1, rows, s.rows);
        },
        [&](T* panel, std::int64_t col, std::int64_t cols, std::int64_t first, std::int64_t depth) {
          pack_columns<T, kCols>(panel, in, s, col, cols, first, depth);
        },
        [&](std::int64_t row, std::int64_t col, std::int64_t rows, std::int64_t cols) {
          return Part<T, S>(output, bias, s, group * s.group_out + row, rows, col, cols);
        });
  });
}

template <class S>
void forward_general(const View& output, const View& input, const View& weight, const View* bias, const Shape& s) {
  using T = ComputeOf<S>;
  const Scratch wide(widened_bytes<T, S>(weight));
  correlate_general<T, S>(output, input, widened<T, S>(weight, wide.as<T>()), bias, s);
}

// The convolution of the gradient that gives the gradient of the input, for strides of one.
ConvGeometry turned(const Shape& s) {
  ConvGeometry g = s;
  std::swap(g.in_channels, g.out_channels);
  for (int d = 0; d < kSpatial; ++d) {
    std::swap(g.in[d], g.out[d]);
    g.padding[d] = s.dilation[d] * (s.kernel[d] - 1) - s.padding[d];
  }
  return g;
}

template <class S>
void input_gradient_dense(const View& input_gradient, const View& gradient, const View& weight, const View* bias,
                          const Shape& s) {
  using T = ComputeOf<S>;
  const Scratch scratch(weight.numel() * static_cast<std::int64_t>(sizeof(T)));
  T* const w = scratch.as<T>();
  // [groups, group_out, group_in, taps] becomes [groups, group_in, group_out, taps backwards].
  parallel_for(s.groups * s.group_in, grain_for(static_cast<double>(s.group_out * s.taps) * 4),
               [&](std::int64_t from, std::int64_t to) {
                 for (std::int64_t i = from; i < to; ++i) {
                   const S* source =
                       weight.as<S>() + (i / s.group_in * s.group_out * s.group_in + i % s.group_in) * s.taps;
                   T* target = w + i * s.group_out * s.taps;
                   for (std::int64_t o = 0; o < s.group_out; ++o) {
                     const S* taps = source + o * s.rows;
                     for (std::int64_t t = 0; t < s.taps; ++t) target[o * s.taps + t] = T(taps[s.taps - 1 - t]);
                   }
                 }
               });
  correlate_general<T, S>(input_gradient, gradient, w, bias, Shape(turned(s)));
}

template <class S>
void input_gradient_strided(const View& input_gradient, const View& gradient, const View& weight, const View* bias,
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

// to[col, row] = from[row, col] for rows [begin, end) of `from`, which has `cols` columns; `to` has `rows`.
template <class T, class S>
void transpose_columns(S* to, const T* from, std::int64_t cols, std::int64_t rows, std::int64_t begin,
                       std::int64_t end) {
  constexpr std::int64_t L = Vec<T>::size;
  for (std::int64_t row = begin; row < end; row += L) {
    const std::int64_t height = smaller(L, end - row);
    for (std::int64_t col = 0; col < cols; col += L) {
      const std::int64_t width = smaller(L, cols - col);
      Vec<T> square[L];
      for (std::int64_t i = 0; i < L; ++i) {
        square[i] = i < height ? Vec<T>::load_partial(from + (row + i) * cols + col, width) : Vec<T>(T(0));
      }
      transpose(square);
      for (std::int64_t i = 0; i < width; ++i) square[i].store_partial(to + (col + i) * rows + row, height);
    }
  }
}

// The transpose of the gradient is a product of the unfolded input, which is unfolded a block at a time, with the
// gradient of the output.
template <class S>
void weight_gradient_general(const View& weight_gradient, const View& input, const View& gradient, const Shape& s) {
  using T = ComputeOf<S>;
  constexpr int kCols = GemmShape<T>::kCols;
  const std::int64_t total = s.batch * s.out_points;
  for_groups(s, work_of_group(s), [&](std::int64_t group) {
    const std::int64_t out0 = group * s.group_out;
    const std::int64_t panels = gemm_panels(s.group_out, kCols);
    const Scratch scratch((s.rows * s.group_out + panels * kCols * kSumColumns) * static_cast<std::int64_t>(sizeof(T)));
    T* const sums = scratch.as<T>();  // [rows, group_out]
    T* const packed = sums + s.rows * s.group_out;
    if (total == 0) fill(sums, T(0), s.rows * s.group_out);
    // Channels of the input are shared out, a few at a time.
    const std::int64_t most = larger(1, 12 * GemmShape<T>::kRows / s.taps);
    const std::int64_t channels = smaller(most, larger(1, ceil_div(s.group_in, 4 * num_threads())));
    for (std::int64_t begin = 0; begin < total; begin += kSumColumns) {
      const std::int64_t end = smaller(begin + kSumColumns, total);
      const std::int64_t depth = end - begin;
      parallel_for(panels, grain_for(static_cast<double>(kCols * depth) * kGemmPackWork),
                   [&](std::int64_t from, std::int64_t to) {
                     const Scratch block(kCols * depth * static_cast<std::int64_t>(sizeof(T)));
                     for (std::int64_t panel = from; panel < to; ++panel) {
                       const std::int64_t first = panel * kCols;
                       const std::int64_t count = smaller(kCols, s.group_out - first);
                       gather_columns(block.as<T>(), gradient.as<S>(), s.out_channels, s.out_points, out0 + first,
                                      out0 + first + count, begin, end);
                       gemm_pack<T, kCols, T>(packed + first * depth, block.as<T>(), depth, 1, count, depth);
                     }
                   });
      const double work = static_cast<double>(channels * s.taps) * static_cast<double>(depth * (s.group_out + 8));
      parallel_for(ceil_div(s.group_in, channels), grain_for(work), [&](std::int64_t from, std::int64_t to) {
        const Scratch block(channels * s.taps * depth * static_cast<std::int64_t>(sizeof(T)));
        for (std::int64_t piece = from; piece < to; ++piece) {
          const std::int64_t c0 = piece * channels;
          const std::int64_t c1 = smaller(c0 + channels, s.group_in);
          unfold(block.as<T>(), input.as<S>() + group * s.group_in * s.in_points, s, c0, c1, begin, end);
          T* const c = sums + c0 * s.taps * s.group_out;
          const GemmTarget<T> target{c, s.group_out, T(1), T(1), begin > 0 ? c : nullptr, s.group_out};
          gemm_tile(block.as<T>(), depth, packed, (c1 - c0) * s.taps, s.group_out, depth, target);
        }
      });
    }
    S* const result = weight_gradient.as<S>() + out0 * s.rows;
    constexpr std::int64_t L = Vec<T>::size;
    parallel_for(ceil_div(s.rows, L), grain_for(static_cast<double>(s.group_out * L) * 4),
                 [&](std::int64_t from, std::int64_t to) {
                   transpose_columns(result, sums, s.group_out, s.rows, from * L, smaller(to * L, s.rows));
                 });
  });
}

// --- a kernel of one tap: plain products -----------------------------------------------------------------------------

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
    const bool dense = s.stride[0] == 1 && s.stride[1] == 1 && s.stride[2] == 1;
    (s.depthwise() ? input_gradient_depthwise<S>
     : dense       ? input_gradient_dense<S>
                   : input_gradient_strided<S>)(result, gradient, weight, bias, s);
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
