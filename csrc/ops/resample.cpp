// Resizing. A plan has the taps of every output position along each axis, and its transpose is the derivative.
#include <cmath>
#include <memory>
#include <numbers>

#include "autograd/record.h"
#include "kernels/table.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/registry.h"

namespace fastnn {

namespace {

struct Axis {
  std::int64_t in = 1;
  std::vector<std::int64_t> begin{0};
  std::vector<std::int64_t> place;
  std::vector<double> weight;

  std::int64_t out() const { return static_cast<std::int64_t>(begin.size()) - 1; }
  // The taps of one more output position.
  void end_position() { begin.push_back(static_cast<std::int64_t>(place.size())); }
  void add(std::int64_t at, double w) {
    place.push_back(at);
    weight.push_back(w);
  }
  Axis transposed() const {
    Axis result;
    result.in = out();
    result.begin.assign(static_cast<std::size_t>(in) + 1, 0);
    for (const std::int64_t p : place) ++result.begin[static_cast<std::size_t>(p) + 1];
    for (std::size_t i = 1; i < result.begin.size(); ++i) result.begin[i] += result.begin[i - 1];
    result.place.resize(place.size());
    result.weight.resize(weight.size());
    std::vector<std::int64_t> next = result.begin;
    for (std::int64_t i = 0; i < out(); ++i) {
      for (std::int64_t k = begin[static_cast<std::size_t>(i)]; k < begin[static_cast<std::size_t>(i) + 1]; ++k) {
        const auto from = static_cast<std::size_t>(k);
        const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(place[from])]++);
        result.place[to] = i;
        result.weight[to] = weight[from];
      }
    }
    return result;
  }
};

struct Plan {
  const char* node;
  int spatial;
  bool picks;
  Axis axis[kResampled];  // aligned at the right
};
using SharedPlan = std::shared_ptr<const Plan>;

SharedPlan transposed(const Plan& plan) {
  auto result = std::make_shared<Plan>(Plan{plan.node, plan.spatial, false, {}});
  for (int d = 0; d < kResampled; ++d) result->axis[d] = plan.axis[d].transposed();
  return result;
}

Tensor resample(const Tensor& input, const SharedPlan& plan) {
  Dims sizes{input.sizes()[0], input.sizes()[1]};
  ResampleGeometry shape{input.sizes()[0] * input.sizes()[1], {}, plan->picks};
  for (int d = 0; d < kResampled; ++d) {
    const Axis& a = plan->axis[d];
    shape.axis[d] = {a.in, a.out(), a.begin.data(), a.place.data(), a.weight.data()};
    if (d >= kResampled - plan->spatial) sizes.push_back(a.out());
  }
  Tensor out = Tensor::empty(sizes, input.dtype());
  const Tensor x = input.is_contiguous() ? input : contiguous(input.detached());
  if (LaunchCount::counting) ++LaunchCount::value;
  const ResampleKernels& table = *kernels().resample;
  (input.dtype() == DType::UInt8 ? table.bytes : table.floating)(out.view(), x.view(), shape);
  out = in_format_of(input, out);
  if (needs_grad(input)) {
    record(plan->node, out, {&input}, [plan](const Tensor& g, Slots& d) { d[0] = resample(g, transposed(*plan)); });
  }
  return out;
}

// --- taps ------------------------------------------------------------------------------------------------------------

enum class Mode : std::uint8_t { Nearest, NearestExact, Linear, Cubic, Lanczos };

struct Resize {
  Mode mode;
  bool align_corners;
  bool antialias;
};

// Input positions per output position. A factor that the user gave is not recomputed from the sizes.
template <class T>
T step_of(std::int64_t in, std::int64_t out, std::optional<double> factor) {
  return factor && *factor > 0 ? static_cast<T>(1 / *factor) : static_cast<T>(in) / static_cast<T>(out);
}
template <class T>
T aligned_step(std::int64_t in, std::int64_t out) {
  return out > 1 ? static_cast<T>(in - 1) / static_cast<T>(out - 1) : T(0);
}

// Keys' cubic convolution with parameter a.
template <class T>
T cubic(T x, T a) {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : T(0);
}
template <class T>
T sinc(T x) {
  return x == 0 ? T(1) : std::sin(std::numbers::pi_v<T> * x) / (std::numbers::pi_v<T> * x);
}
template <class T>
T filter(Mode mode, T x) {
  if (mode == Mode::Cubic) return cubic(x, T(-0.5));
  if (mode == Mode::Lanczos) return std::abs(x) < 3 ? sinc(x) * sinc(x / 3) : T(0);
  return std::max(T(1) - std::abs(x), T(0));
}

Axis nearest_axis(std::int64_t in, std::int64_t out, std::optional<double> factor, bool exact) {
  Axis axis;
  axis.in = in;
  const auto step = step_of<float>(in, out, factor);  // single precision decides which neighbour it is
  for (std::int64_t i = 0; i < out; ++i) {
    const float at = exact ? (static_cast<float>(i) + 0.5F) * step : static_cast<float>(i) * step;
    axis.add(std::min(static_cast<std::int64_t>(std::floor(at)), in - 1), 1);
    axis.end_position();
  }
  return axis;
}

// Two or four neighbours; those outside count for the edge.
template <class T>
Axis neighbours_axis(std::int64_t in, std::int64_t out, std::optional<double> factor, const Resize& resize) {
  Axis axis;
  axis.in = in;
  const bool is_cubic = resize.mode == Mode::Cubic;
  const T step = resize.align_corners ? aligned_step<T>(in, out) : step_of<T>(in, out, factor);
  for (std::int64_t i = 0; i < out; ++i) {
    T at = resize.align_corners ? step * static_cast<T>(i) : step * (static_cast<T>(i) + T(0.5)) - T(0.5);
    if (!is_cubic) at = std::max(at, T(0));
    const std::int64_t low = std::min(static_cast<std::int64_t>(std::floor(at)), in - 1);
    const T t = std::clamp(at - static_cast<T>(low), T(0), T(1));
    const auto first = static_cast<std::size_t>(axis.begin.back());
    for (std::int64_t k = is_cubic ? -1 : 0; k <= (is_cubic ? 2 : 1); ++k) {
      const T distance = t - static_cast<T>(k);
      const std::int64_t place = std::clamp<std::int64_t>(low + k, 0, in - 1);
      const auto w = static_cast<double>(is_cubic ? cubic(distance, T(-0.75)) : 1 - std::abs(distance));
      // What falls on one place is one tap, and another of weight 0.
      std::size_t same = first;
      while (same < axis.place.size() && axis.place[same] != place) ++same;
      const bool merged = same < axis.place.size();
      if (merged) axis.weight[same] += w;
      axis.add(place, merged ? 0 : w);
    }
    axis.end_position();
  }
  return axis;
}

// A filter as wide as the step, so that every input position counts.
template <class T>
Axis filtered_axis(std::int64_t in, std::int64_t out, std::optional<double> factor, const Resize& resize) {
  Axis axis;
  axis.in = in;
  const T step = resize.align_corners ? aligned_step<T>(in, out) : step_of<T>(in, out, factor);
  const T radius = resize.mode == Mode::Linear ? T(1) : resize.mode == Mode::Cubic ? T(2) : T(3);
  const T widening = std::max(step, T(1));
  const T support = radius * widening;
  std::vector<T> weights;
  for (std::int64_t i = 0; i < out; ++i) {
    const T center = step * (static_cast<T>(i) + T(0.5));
    const auto first = std::max<std::int64_t>(static_cast<std::int64_t>(center - support + T(0.5)), 0);
    const auto last = std::min(static_cast<std::int64_t>(center + support + T(0.5)), in);
    weights.clear();
    T total = 0;
    for (std::int64_t p = first; p < last; ++p) {
      weights.push_back(filter(resize.mode, (static_cast<T>(p) - center + T(0.5)) / widening));
      total += weights.back();
    }
    for (std::int64_t p = first; p < last; ++p) {
      const T w = weights[static_cast<std::size_t>(p - first)];
      axis.add(p, static_cast<double>(total != 0 ? w / total : w));
    }
    axis.end_position();
  }
  return axis;
}

template <class T>
Axis axis_of(std::int64_t in, std::int64_t out, std::optional<double> factor, const Resize& resize) {
  if (resize.mode == Mode::Nearest || resize.mode == Mode::NearestExact) {
    return nearest_axis(in, out, factor, resize.mode == Mode::NearestExact);
  }
  return resize.antialias ? filtered_axis<T>(in, out, factor, resize) : neighbours_axis<T>(in, out, factor, resize);
}

// --- the operation ---------------------------------------------------------------------------------------------------

Mode mode_of(std::string_view name) {
  if (name == "nearest") return Mode::Nearest;
  if (name == "nearest-exact") return Mode::NearestExact;
  if (name == "bicubic") return Mode::Cubic;
  return name == "lanczos" ? Mode::Lanczos : Mode::Linear;
}

const char* node_of(const Resize& resize, int spatial) {
  static constexpr const char* kNearest[] = {"UpsampleNearest1DBackward0", "UpsampleNearest2DBackward0",
                                             "UpsampleNearest3DBackward0"};
  static constexpr const char* kExact[] = {"UpsampleNearestExact1DBackward0", "UpsampleNearestExact2DBackward0",
                                           "UpsampleNearestExact3DBackward0"};
  static constexpr const char* kLinear[] = {"UpsampleLinear1DBackward0", "UpsampleBilinear2DBackward0",
                                            "UpsampleTrilinear3DBackward0"};
  switch (resize.mode) {
    case Mode::Nearest:
      return kNearest[spatial - 1];
    case Mode::NearestExact:
      return kExact[spatial - 1];
    case Mode::Lanczos:
      return "UpsampleLanczos2DAaBackward0";
    case Mode::Cubic:
      return resize.antialias ? "UpsampleBicubic2DAaBackward0" : "UpsampleBicubic2DBackward0";
    case Mode::Linear:
      break;
  }
  return resize.antialias ? "UpsampleBilinear2DAaBackward0" : kLinear[spatial - 1];
}

// input [batch, channels, spatial...]; the factors of the spatial dimensions are None where the ratio of sizes counts.
Tensor resized(const Tensor& input, IntSpan size, std::string_view mode, bool align_corners, bool antialias,
               std::optional<double> factor0, std::optional<double> factor1, std::optional<double> factor2) {
  const int spatial = static_cast<int>(size.size());
  const Resize resize{mode_of(mode), align_corners, antialias};
  const bool picks = resize.mode == Mode::Nearest || resize.mode == Mode::NearestExact;
  const bool bytes = input.dtype() == DType::UInt8 && (picks || spatial == 2);
  if (!bytes && !input.is_floating()) fail_not_implemented("interpolate", input.dtype());
  for (int d = 1; d < input.ndim(); ++d) {
    FASTNN_CHECK(input.sizes()[d] > 0, ErrorKind::Runtime, "Non-empty ", input.ndim(),
                 "D data tensor expected but got a tensor with sizes ", input.sizes());
  }
  const std::optional<double> factors[] = {factor0, factor1, factor2};
  auto plan = std::make_shared<Plan>(Plan{node_of(resize, spatial), spatial, picks, {}});
  for (int d = 0; d < kResampled; ++d) {
    const int own = d - (kResampled - spatial);
    const std::int64_t in = own < 0 ? 1 : input.sizes()[2 + own];
    const std::int64_t out = own < 0 ? 1 : size[static_cast<std::size_t>(own)];
    FASTNN_CHECK(out > 0, ErrorKind::Runtime, "Input and output sizes should be greater than 0, but got input ",
                 input.sizes(), " and output size ", Dims(size));
    const std::optional<double> factor = own < 0 ? std::nullopt : factors[own];
    // Places are computed in the precision of the values, those of bytes in double.
    plan->axis[d] = own < 0 ? nearest_axis(1, 1, {}, false)
                    : input.dtype() == DType::Float64 || input.dtype() == DType::UInt8
                        ? axis_of<double>(in, out, factor, resize)
                        : axis_of<float>(in, out, factor, resize);
  }
  return resample(input, plan);
}

}  // namespace

FASTNN_OPS(resample) {
  op("nn._resample(Tensor input, int[] size, str mode, bool align_corners, bool antialias, float? factor0=None, float? "
     "factor1=None, float? factor2=None) -> Tensor",
     &resized, op_fn);
}

}  // namespace fastnn
