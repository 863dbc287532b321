#include "kernels/grid_sample.h"

#include <cmath>

#include "core/scratch.h"
#include "cpu/rows.h"
#include "cpu/tables.h"

// A point is a sum over its taps: along each axis one (nearest), two (linear) or four (cubic) neighbours, each with a
// weight; outside of the image a tap counts as zero, or is moved inside. Pieces of work follow from the shape alone.

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kBlock = 128;       // points whose taps are kept at a time
constexpr std::int64_t kWantedTasks = 16;  // pieces of the image gradient when the shape allows it
constexpr std::int64_t kOutside = -1;

struct Shape {
  std::int64_t batch, channels, points, pixels;
  std::int64_t size[3];  // of the image, in the order of the coordinates: the last dimension first
};
Shape shape_of(const View& image, const View& grid) {
  Shape s{image.sizes[0], image.sizes[1], grid.sizes[1], 1, {1, 1, 1}};
  for (int d = 2; d < image.ndim; ++d) {
    s.size[image.ndim - 1 - d] = image.sizes[d];
    s.pixels *= image.sizes[d];
  }
  return s;
}

// A number and its derivative by the coordinate.
template <class T>
struct Place {
  T at, slope;
};

template <class T>
Place<T> clipped(Place<T> p, std::int64_t size) {
  const T last = static_cast<T>(size - 1);
  if (!(p.at > T(0))) return {T(0), T(0)};
  return p.at < last ? p : Place<T>{last, T(0)};
}
// Mirrored at the borders until it is inside.
template <class T>
Place<T> reflected(Place<T> p, std::int64_t size, bool align_corners) {
  const T low = align_corners ? T(0) : T(-0.5);
  const T span = static_cast<T>(align_corners ? size - 1 : size);
  if (span == T(0)) return {T(0), T(0)};
  T from = p.at - low;
  if (from < T(0))
    p = {-from, -p.slope};
  else
    p.at = from;
  const T extra = std::fmod(p.at, span);
  const bool even = std::fmod(std::floor(p.at / span), T(2)) == T(0);
  return even ? Place<T>{extra + low, p.slope} : Place<T>{span - extra + low, -p.slope};
}
template <class T>
Place<T> moved_inside(Place<T> p, std::int64_t size, const SampleOptions& o) {
  if (o.padding == SamplePadding::Reflection) p = reflected(p, size, o.align_corners);
  return o.padding == SamplePadding::Zeros ? p : clipped(p, size);
}

// From [-1, 1] to places of elements.
template <class T>
Place<T> unnormalized(T coordinate, std::int64_t size, bool align_corners) {
  if (align_corners) {
    const T slope = static_cast<T>(size - 1) / 2;
    return {(coordinate + 1) * slope, slope};
  }
  return {((coordinate + 1) * static_cast<T>(size) - 1) / 2, static_cast<T>(size) / 2};
}

template <class T>
std::int64_t index_inside(T at, std::int64_t size) {
  return at >= T(0) && at < static_cast<T>(size) ? static_cast<std::int64_t>(at) : kOutside;
}

constexpr int taps_of(SampleMode mode) { return mode == SampleMode::Nearest ? 1 : mode == SampleMode::Linear ? 2 : 4; }

// The taps along one axis.
template <class T, SampleMode mode>
struct AxisTaps {
  static constexpr int count = taps_of(mode);
  std::int64_t index[count];
  T weight[count];
  T slope[count];  // of the weight, by the coordinate

  AxisTaps() = default;
  AxisTaps(T coordinate, std::int64_t size, const SampleOptions& o) {
    Place<T> p = unnormalized(coordinate, size, o.align_corners);
    if constexpr (mode != SampleMode::Cubic) p = moved_inside(p, size, o);
    if constexpr (mode == SampleMode::Nearest) {
      index[0] = index_inside(std::nearbyint(p.at), size);
      weight[0] = T(1);
      slope[0] = T(0);
    } else {
      const T low = std::floor(p.at);
      const T t = p.at - low;
      if constexpr (mode == SampleMode::Linear) {
        index[0] = index_inside(low, size);
        index[1] = index_inside(low + 1, size);
        weight[0] = 1 - t;
        weight[1] = t;
        slope[0] = -p.slope;
        slope[1] = p.slope;
      } else {
        for (int k = 0; k < count; ++k) {
          index[k] = index_inside(moved_inside(Place<T>{low + static_cast<T>(k - 1), T(0)}, size, o).at, size);
          // Keys' cubic convolution: a piece for the neighbours, another for those behind them.
          constexpr T a = T(-0.75);
          const T d = k < 2 ? t + static_cast<T>(1 - k) : static_cast<T>(k - 1) - t;
          const T sign = k < 2 ? p.slope : -p.slope;
          const bool near = k == 1 || k == 2;
          weight[k] = near ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
          slope[k] = sign * (near ? (3 * (a + 2) * d - 2 * (a + 3)) * d : (3 * a * d - 10 * a) * d + 8 * a);
        }
      }
    }
  }
};

template <class T, SampleMode mode, int dims>
struct PointTaps {
  static constexpr int per_axis = taps_of(mode);
  static constexpr int count = dims == 2 ? per_axis * per_axis : per_axis * per_axis * per_axis;
  AxisTaps<T, mode> axis[dims];

  PointTaps(const T* coordinates, const Shape& s, const SampleOptions& o) {
    for (int d = 0; d < dims; ++d) axis[d] = AxisTaps<T, mode>(coordinates[d], s.size[d], o);
  }
  static int along(int tap, int d) {
    return d == 0 ? tap % per_axis : d == 1 ? tap / per_axis % per_axis : tap / (per_axis * per_axis);
  }

  std::int64_t place(int tap, const Shape& s) const {
    std::int64_t at = 0;
    for (int d = dims - 1; d >= 0; --d) {
      const std::int64_t index = axis[d].index[along(tap, d)];
      if (index == kOutside) return kOutside;
      at = at * s.size[d] + index;
    }
    return at;
  }
  T weight(int tap) const {
    T product = T(1);
    for (int d = 0; d < dims; ++d) product *= axis[d].weight[along(tap, d)];
    return product;
  }
  // The derivative of weight(tap) by coordinate d.
  T slope(int tap, int d) const {
    T product = axis[d].slope[along(tap, d)];
    for (int other = 0; other < dims; ++other) {
      if (other != d) product *= axis[other].weight[along(tap, other)];
    }
    return product;
  }
};

// The taps of up to kBlock points, tap by tap. Those outside have place 0 and do not count.
template <class T, int taps>
struct Block {
  std::int64_t place[taps][kBlock];
  T weight[taps][kBlock];
  std::int32_t inside[taps][kBlock];
};

template <class T, SampleMode mode, int dims>
void fill_block(Block<T, PointTaps<T, mode, dims>::count>& block, const T* coordinates, std::int64_t n, const Shape& s,
                const SampleOptions& o) {
  using Point = PointTaps<T, mode, dims>;
  for (std::int64_t i = 0; i < n; ++i) {
    const Point point(coordinates + i * dims, s, o);
    for (int k = 0; k < Point::count; ++k) {
      const std::int64_t place = point.place(k, s);
      block.inside[k][i] = place != kOutside;
      block.place[k][i] = place == kOutside ? 0 : place;
      block.weight[k][i] = point.weight(k);
    }
  }
}

std::int64_t blocks_of(const Shape& s) { return (s.points + kBlock - 1) / kBlock; }
std::int64_t block_size(const Shape& s, std::int64_t block) {
  const std::int64_t left = s.points - block * kBlock;
  return left < kBlock ? left : kBlock;
}

template <class T, SampleMode mode, int dims>
void forward(const View& output, const View& image, const View& grid, const SampleOptions& o) {
  constexpr int taps = PointTaps<T, mode, dims>::count;
  const Shape s = shape_of(image, grid);
  const std::int64_t blocks = blocks_of(s);
  parallel_for(s.batch * blocks, rows_per_task(kBlock * taps * (s.channels + 4)),
               [&](std::int64_t begin, std::int64_t end) {
                 const Scratch scratch(static_cast<std::int64_t>(sizeof(Block<T, taps>)));
                 auto& block = *scratch.as<Block<T, taps>>();
                 for (std::int64_t task = begin; task < end; ++task) {
                   const std::int64_t sample = task / blocks;
                   const std::int64_t first = task % blocks * kBlock;
                   const std::int64_t n = block_size(s, task % blocks);
                   fill_block<T, mode, dims>(block, grid.as<T>() + (sample * s.points + first) * dims, n, s, o);
                   for (std::int64_t c = 0; c < s.channels; ++c) {
                     const T* plane = image.as<T>() + (sample * s.channels + c) * s.pixels;
                     T* out = output.as<T>() + (sample * s.channels + c) * s.points + first;
                     for (std::int64_t i = 0; i < n; ++i) out[i] = T(0);
                     for (int k = 0; k < taps; ++k) {
                       FASTNN_IVDEP
                       for (std::int64_t i = 0; i < n; ++i) {
                         const T term = block.weight[k][i] * plane[block.place[k][i]];
                         out[i] += block.inside[k][i] ? term : T(0);
                       }
                     }
                   }
                 }
               });
}

// Some channels of one sample's gradient belong to one task, so that nobody else writes there.
template <class T, SampleMode mode, int dims>
void image_backward(const View& result, const View& gradient, const View& grid, const Shape& s,
                    const SampleOptions& o) {
  constexpr int taps = PointTaps<T, mode, dims>::count;
  std::int64_t groups = kWantedTasks / (s.batch < 1 ? 1 : s.batch);
  groups = groups < 1 ? 1 : groups > s.channels ? s.channels : groups;
  const std::int64_t channels = groups > 0 ? (s.channels + groups - 1) / groups : 0;
  parallel_for(s.batch * groups, rows_per_task(s.points * taps * (channels + 4)),
               [&](std::int64_t begin, std::int64_t end) {
                 const Scratch scratch(static_cast<std::int64_t>(sizeof(Block<T, taps>)));
                 auto& block = *scratch.as<Block<T, taps>>();
                 for (std::int64_t task = begin; task < end; ++task) {
                   const std::int64_t sample = task / groups;
                   const std::int64_t c0 = task % groups * channels;
                   const std::int64_t c1 = c0 + channels < s.channels ? c0 + channels : s.channels;
                   if (c0 >= c1) continue;
                   T* const planes = result.as<T>() + sample * s.channels * s.pixels;
                   for (std::int64_t i = c0 * s.pixels; i < c1 * s.pixels; ++i) planes[i] = T(0);
                   for (std::int64_t b = 0; b < blocks_of(s); ++b) {
                     const std::int64_t n = block_size(s, b);
                     fill_block<T, mode, dims>(block, grid.as<T>() + (sample * s.points + b * kBlock) * dims, n, s, o);
                     for (std::int64_t c = c0; c < c1; ++c) {
                       const T* g = gradient.as<T>() + (sample * s.channels + c) * s.points + b * kBlock;
                       T* plane = planes + c * s.pixels;
                       for (int k = 0; k < taps; ++k) {
                         for (std::int64_t i = 0; i < n; ++i) {
                           if (block.inside[k][i]) plane[block.place[k][i]] += block.weight[k][i] * g[i];
                         }
                       }
                     }
                   }
                 }
               });
}

template <class T, SampleMode mode, int dims>
void grid_backward(const View& result, const View& gradient, const View& image, const View& grid, const Shape& s,
                   const SampleOptions& o) {
  using Point = PointTaps<T, mode, dims>;
  const std::int64_t blocks = blocks_of(s);
  parallel_for(s.batch * blocks, rows_per_task(kBlock * Point::count * (s.channels + 4)),
               [&](std::int64_t begin, std::int64_t end) {
                 const Scratch scratch(static_cast<std::int64_t>(sizeof(Block<T, Point::count>)));
                 auto& block = *scratch.as<Block<T, Point::count>>();
                 for (std::int64_t task = begin; task < end; ++task) {
                   const std::int64_t sample = task / blocks;
                   const std::int64_t first = task % blocks * kBlock;
                   const std::int64_t n = block_size(s, task % blocks);
                   const T* coordinates = grid.as<T>() + (sample * s.points + first) * dims;
                   T* out = result.as<T>() + (sample * s.points + first) * dims;
                   fill_block<T, mode, dims>(block, coordinates, n, s, o);
                   // The derivative by each weight takes the place of the weight.
                   for (int k = 0; k < Point::count; ++k) {
                     T* const sums = block.weight[k];
                     for (std::int64_t i = 0; i < n; ++i) sums[i] = T(0);
                     for (std::int64_t c = 0; c < s.channels; ++c) {
                       const T* plane = image.as<T>() + (sample * s.channels + c) * s.pixels;
                       const T* g = gradient.as<T>() + (sample * s.channels + c) * s.points + first;
                       FASTNN_IVDEP
                       for (std::int64_t i = 0; i < n; ++i) {
                         const T term = g[i] * plane[block.place[k][i]];
                         sums[i] += block.inside[k][i] ? term : T(0);
                       }
                     }
                   }
                   for (std::int64_t i = 0; i < n; ++i) {
                     const Point point(coordinates + i * dims, s, o);
                     for (int d = 0; d < dims; ++d) {
                       T sum = T(0);
                       for (int k = 0; k < Point::count; ++k) sum += block.weight[k][i] * point.slope(k, d);
                       out[i * dims + d] = sum;
                     }
                   }
                 }
               });
}

template <class T, SampleMode mode, int dims>
void backward(const View* image_gradient, const View* grid_gradient, const View& gradient, const View& image,
              const View& grid, const SampleOptions& o) {
  const Shape s = shape_of(image, grid);
  if (image_gradient) image_backward<T, mode, dims>(*image_gradient, gradient, grid, s, o);
  if (grid_gradient) grid_backward<T, mode, dims>(*grid_gradient, gradient, image, grid, s, o);
}

// Calls f.template operator()<T, mode, dims>().
template <class F>
void choose(const View& image, const SampleOptions& o, F f) {
  const auto with_mode = [&]<class T, int dims>() {
    if (o.mode == SampleMode::Linear) return f.template operator()<T, SampleMode::Linear, dims>();
    if (o.mode == SampleMode::Nearest) return f.template operator()<T, SampleMode::Nearest, dims>();
    if constexpr (dims == 2) f.template operator()<T, SampleMode::Cubic, dims>();
  };
  const auto with_type = [&]<class T>() {
    if (image.ndim == 4) return with_mode.template operator()<T, 2>();
    return with_mode.template operator()<T, 3>();
  };
  if (image.dtype == DType::Float32) return with_type.template operator()<float>();
  if (image.dtype == DType::Float64) return with_type.template operator()<double>();
  fail_not_implemented("grid_sample", image.dtype);
}

void forward_any(const View& output, const View& image, const View& grid, const SampleOptions& o) {
  choose(image, o, [&]<class T, SampleMode mode, int dims>() { forward<T, mode, dims>(output, image, grid, o); });
}
void backward_any(const View* image_gradient, const View* grid_gradient, const View& gradient, const View& image,
                  const View& grid, const SampleOptions& o) {
  choose(image, o, [&]<class T, SampleMode mode, int dims>() {
    backward<T, mode, dims>(image_gradient, grid_gradient, gradient, image, grid, o);
  });
}

}  // namespace

constinit const GridSampleKernels grid_sample_kernels = {
    .forward = &forward_any,
    .backward = &backward_any,
};

FASTNN_CPU_END
