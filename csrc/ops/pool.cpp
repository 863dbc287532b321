#include "ops/pool.h"

#include <array>
#include <memory>

#include "autograd/record.h"
#include "kernels/table.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

const PoolKernels& table() { return *kernels().pool; }

constexpr int kPooled = 3;

void count_launch() {
  if (LaunchCount::counting) ++LaunchCount::value;
}

// The windows of a pooling, shared by its derivatives.
class Windows {
 public:
  Windows(int spatial, const Dims& in) : spatial_(spatial), in_(in) {}

  // Along spatial dimension `d`: `count` windows; those not set have the whole (single) element.
  struct Axis {
    std::int64_t in = 1;
    std::int64_t out = 1;
    std::int64_t step = 1;
    std::vector<std::int64_t> begin{0};
    std::vector<std::int64_t> end{1};
    std::vector<std::int64_t> extent{1};

    void clear(std::int64_t in_size, std::int64_t step_size) {
      in = in_size;
      step = step_size;
      begin.clear();
      end.clear();
      extent.clear();
    }
    void add(std::int64_t from, std::int64_t to, std::int64_t counted) {
      begin.push_back(from);
      end.push_back(to);
      extent.push_back(counted);
      out = static_cast<std::int64_t>(begin.size());
    }
  };
  Axis& axis(int d) { return axes_[static_cast<std::size_t>(kPooled - spatial_ + d)]; }
  double divisor = 0;

  const Dims& in_sizes() const { return in_; }
  Dims out_sizes() const {
    Dims sizes = in_;
    for (int d = 0; d < spatial_; ++d) {
      sizes[in_.size() - spatial_ + d] = axes_[static_cast<std::size_t>(kPooled - spatial_ + d)].out;
    }
    return sizes;
  }
  PoolGeometry geometry() const {
    PoolGeometry g{};
    g.planes = 1;
    for (int d = 0; d < in_.size() - spatial_; ++d) g.planes *= in_[d];
    for (int d = 0; d < kPooled; ++d) {
      const Axis& a = axes_[static_cast<std::size_t>(d)];
      g.window[d] = {a.in, a.out, a.begin.data(), a.end.data(), a.extent.data(), a.step};
    }
    g.divisor = divisor;
    return g;
  }

 private:
  int spatial_;
  Dims in_;
  std::array<Axis, kPooled> axes_;
};
using SharedWindows = std::shared_ptr<const Windows>;

Tensor dense(const Tensor& t) { return t.is_contiguous() ? t : contiguous(t.detached()); }

// --- linear parts, each the derivative of another
// ----------------------------------------------------------------------

Tensor place(const Tensor& values, const Tensor& indices, const SharedWindows& windows);

Tensor pick(const Tensor& input, const Tensor& indices, const SharedWindows& windows) {
  Tensor out = Tensor::empty(windows->out_sizes(), input.dtype());
  const Tensor x = dense(input);
  count_launch();
  table().pick(out.view(), x.view(), indices.view(), windows->geometry());
  out = in_format_of(input, out);
  if (needs_grad(input)) {
    record("MaxPoolDoubleBackward", out, {&input},
           [indices, windows](const Tensor& g, Slots& d) { d[0] = place(g, indices, windows); });
  }
  return out;
}

Tensor place(const Tensor& values, const Tensor& indices, const SharedWindows& windows) {
  Tensor out = Tensor::empty(windows->in_sizes(), values.dtype());
  const Tensor v = dense(values);
  count_launch();
  table().place(out.view(), v.view(), indices.view(), windows->geometry());
  out = in_format_of(values, out);
  if (needs_grad(values)) {
    record("MaxPoolBackwardBackward", out, {&values},
           [indices, windows](const Tensor& g, Slots& d) { d[0] = pick(g, indices, windows); });
  }
  return out;
}

Tensor mean_of(const char* node, const Tensor& input, const SharedWindows& windows);

Tensor spread(const char* node, const Tensor& values, const SharedWindows& windows) {
  Tensor out = Tensor::empty(windows->in_sizes(), values.dtype());
  const Tensor v = dense(values);
  count_launch();
  table().spread(out.view(), v.view(), windows->geometry());
  out = in_format_of(values, out);
  if (needs_grad(values)) {
    record("AvgPoolBackwardBackward", out, {&values},
           [node, windows](const Tensor& g, Slots& d) { d[0] = mean_of(node, g, windows); });
  }
  return out;
}

Tensor mean_of(const char* node, const Tensor& input, const SharedWindows& windows) {
  Tensor out = Tensor::empty(windows->out_sizes(), input.dtype());
  const Tensor x = dense(input);
  count_launch();
  table().mean(out.view(), x.view(), windows->geometry());
  out = in_format_of(input, out);
  if (needs_grad(input)) {
    record(node, out, {&input}, [node, windows](const Tensor& g, Slots& d) { d[0] = spread(node, g, windows); });
  }
  return out;
}

std::tuple<Tensor, Tensor> largest(const char* node, const Tensor& input, const SharedWindows& windows) {
  const Dims sizes = windows->out_sizes();
  Tensor out = Tensor::empty(sizes, input.dtype());
  const Tensor places = Tensor::empty(sizes, DType::Int64);
  const Tensor x = dense(input);
  count_launch();
  table().largest(out.view(), places.view(), x.view(), windows->geometry());
  out = in_format_of(input, out);
  Tensor indices = in_format_of(input, places);
  if (needs_grad(input)) {
    record_outputs(node, {&out, &indices}, {&input}, [si = save(places), windows](std::span<const Tensor> g, Slots& d) {
      if (g[0].defined()) d[0] = place(g[0], si.get(), windows);
    });
  }
  return {out, indices};
}

// --- windows
// -----------------------------------------------------------------------------------------------------------

constexpr const char* kMaxNodes[] = {"MaxPool2DWithIndicesBackward0", "MaxPool2DWithIndicesBackward0",
                                     "MaxPool3DWithIndicesBackward0"};
constexpr const char* kAvgNodes[] = {"AvgPool2DBackward0", "AvgPool2DBackward0", "AvgPool3DBackward0"};
constexpr const char* kAdaptiveAvgNodes[] = {"AdaptiveAvgPool2DBackward0", "AdaptiveAvgPool2DBackward0",
                                             "AdaptiveAvgPool3DBackward0"};
constexpr const char* kAdaptiveMaxNodes[] = {"AdaptiveMaxPool2DBackward0", "AdaptiveMaxPool2DBackward0",
                                             "AdaptiveMaxPool3DBackward0"};

void check_input(const char* op, int spatial, const Tensor& input) {
  FASTNN_CHECK(input.ndim() == spatial + 1 || input.ndim() == spatial + 2, ErrorKind::Runtime, op, "(): Expected ",
               spatial + 1, "D or ", spatial + 2, "D tensor, but got input of size: ", input.sizes());
  for (int d = input.ndim() - spatial - 1; d < input.ndim(); ++d) {
    FASTNN_CHECK(
        input.sizes()[d] > 0, ErrorKind::Runtime, op,
        "(): Expected input to have non-zero size for non-batch dimensions, but got input of size: ", input.sizes());
  }
}

std::int64_t entry(const char* op, const char* name, IntSpan values, int spatial, int d) {
  FASTNN_CHECK(values.size() == 1 || static_cast<int>(values.size()) == spatial, ErrorKind::Runtime, op, "(): ", name,
               " must either be a single int, or a tuple of ", spatial, " ints, got ", Dims(values));
  return values[values.size() == 1 ? 0 : static_cast<std::size_t>(d)];
}

struct Pooled {
  IntSpan kernel, stride, padding, dilation;
  bool ceil_mode;
  bool count_include_pad;
};

SharedWindows sliding(const char* op, int spatial, const Tensor& input, const Pooled& pooled, double divisor) {
  check_input(op, spatial, input);
  auto windows = std::make_shared<Windows>(spatial, input.sizes());
  windows->divisor = divisor;
  for (int d = 0; d < spatial; ++d) {
    const std::int64_t in = input.sizes()[input.ndim() - spatial + d];
    const std::int64_t kernel = entry(op, "kernel_size", pooled.kernel, spatial, d);
    const std::int64_t stride = pooled.stride.empty() ? kernel : entry(op, "stride", pooled.stride, spatial, d);
    const std::int64_t padding = entry(op, "padding", pooled.padding, spatial, d);
    const std::int64_t dilation = entry(op, "dilation", pooled.dilation, spatial, d);
    FASTNN_CHECK(kernel > 0, ErrorKind::Runtime, op, "(): kernel size should be greater than zero, but got ", kernel);
    FASTNN_CHECK(stride > 0, ErrorKind::Runtime, op, "(): stride should not be zero, but got ", stride);
    FASTNN_CHECK(dilation > 0, ErrorKind::Runtime, op, "(): dilation should be greater than zero, but got ", dilation);
    FASTNN_CHECK(padding >= 0, ErrorKind::Runtime, op, "(): pad must be non-negative, but got pad: ", padding);
    const std::int64_t reach = dilation * (kernel - 1) + 1;
    FASTNN_CHECK(2 * padding <= reach, ErrorKind::Runtime, op,
                 "(): pad should be at most half of effective kernel size, but got pad=", padding,
                 ", kernel_size=", kernel, " and dilation=", dilation);
    const std::int64_t room = in + 2 * padding - reach;
    std::int64_t out = room < 0 && !(pooled.ceil_mode && room + stride > 0)
                           ? 0
                           : (room + (pooled.ceil_mode ? stride - 1 : 0)) / stride + 1;
    // The last window starts inside the input or its left padding.
    if (pooled.ceil_mode && out > 0 && (out - 1) * stride >= in + padding) --out;
    FASTNN_CHECK(out > 0, ErrorKind::Runtime, op, "(): Given input size: ", input.sizes(),
                 ". Calculated output size along dimension ", d, ": ", out, ". Output size is too small");
    Windows::Axis& axis = windows->axis(d);
    axis.clear(in, dilation);
    for (std::int64_t i = 0; i < out; ++i) {
      const std::int64_t start = i * stride - padding;
      const std::int64_t stop = start + reach;
      std::int64_t first = start;
      if (first < 0) first += (-first + dilation - 1) / dilation * dilation;
      const std::int64_t last = std::min(stop, in);
      axis.add(first, last, pooled.count_include_pad ? std::min(stop, in + padding) - start : last - first);
    }
  }
  return windows;
}

SharedWindows adaptive(const char* op, int spatial, const Tensor& input, IntSpan size) {
  check_input(op, spatial, input);
  auto windows = std::make_shared<Windows>(spatial, input.sizes());
  for (int d = 0; d < spatial; ++d) {
    const std::int64_t in = input.sizes()[input.ndim() - spatial + d];
    const std::int64_t out = entry(op, "output_size", size, spatial, d);
    FASTNN_CHECK(out >= 0, ErrorKind::Runtime, op,
                 "(): elements of output_size must be greater than or equal to 0, got ", Dims(size));
    Windows::Axis& axis = windows->axis(d);
    axis.clear(in, 1);
    axis.out = 0;
    for (std::int64_t i = 0; i < out; ++i) {
      const std::int64_t first = i * in / out;
      const std::int64_t last = ((i + 1) * in + out - 1) / out;
      axis.add(first, last, last - first);
    }
  }
  return windows;
}

}  // namespace

std::tuple<Tensor, Tensor> max_pool(const char* op, int spatial, const Tensor& input, IntSpan kernel, IntSpan stride,
                                    IntSpan padding, IntSpan dilation, bool ceil_mode) {
  return largest(kMaxNodes[spatial - 1], input,
                 sliding(op, spatial, input, {kernel, stride, padding, dilation, ceil_mode, false}, 0));
}

Tensor avg_pool(const char* op, int spatial, const Tensor& input, IntSpan kernel, IntSpan stride, IntSpan padding,
                bool ceil_mode, bool count_include_pad, std::optional<std::int64_t> divisor) {
  FASTNN_CHECK(!divisor || *divisor != 0, ErrorKind::Runtime, "divisor must be not zero");
  const std::int64_t one[] = {1};
  return mean_of(kAvgNodes[spatial - 1], input,
                 sliding(op, spatial, input, {kernel, stride, padding, one, ceil_mode, count_include_pad},
                         static_cast<double>(divisor.value_or(0))));
}

Tensor adaptive_avg_pool(const char* op, int spatial, const Tensor& input, IntSpan size) {
  return mean_of(kAdaptiveAvgNodes[spatial - 1], input, adaptive(op, spatial, input, size));
}

std::tuple<Tensor, Tensor> adaptive_max_pool(const char* op, int spatial, const Tensor& input, IntSpan size) {
  return largest(kAdaptiveMaxNodes[spatial - 1], input, adaptive(op, spatial, input, size));
}

namespace {

constexpr const char* kMaxNames[] = {"max_pool1d", "max_pool2d", "max_pool3d"};
constexpr const char* kAvgNames[] = {"avg_pool1d", "avg_pool2d", "avg_pool3d"};
constexpr const char* kAdaptiveAvgNames[] = {"adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"};
constexpr const char* kAdaptiveMaxNames[] = {"adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"};

IntSpan or_empty(const std::optional<IntSpan>& list) { return list.value_or(IntSpan{}); }

OpResult pair_or_first(std::tuple<Tensor, Tensor> both, bool pair) {
  if (!pair) return std::get<0>(std::move(both));
  return std::vector<Tensor>{std::get<0>(both), std::get<1>(both)};
}

template <int spatial>
OpResult max_pool_maybe(const Tensor& input, IntSpan kernel, const std::optional<IntSpan>& stride, IntSpan padding,
                        IntSpan dilation, bool ceil_mode, bool return_indices) {
  return pair_or_first(
      max_pool(kMaxNames[spatial - 1], spatial, input, kernel, or_empty(stride), padding, dilation, ceil_mode),
      return_indices);
}
template <int spatial>
Tensor max_pool_values(const Tensor& input, IntSpan kernel, const std::optional<IntSpan>& stride, IntSpan padding,
                       IntSpan dilation, bool ceil_mode) {
  return std::get<0>(
      max_pool(kMaxNames[spatial - 1], spatial, input, kernel, or_empty(stride), padding, dilation, ceil_mode));
}
Tensor avg_pool1d(const Tensor& input, IntSpan kernel, const std::optional<IntSpan>& stride, IntSpan padding,
                  bool ceil_mode, bool count_include_pad) {
  return avg_pool("avg_pool1d", 1, input, kernel, or_empty(stride), padding, ceil_mode, count_include_pad, {});
}
template <int spatial>
Tensor avg_pool_nd(const Tensor& input, IntSpan kernel, const std::optional<IntSpan>& stride, IntSpan padding,
                   bool ceil_mode, bool count_include_pad, std::optional<std::int64_t> divisor) {
  return avg_pool(kAvgNames[spatial - 1], spatial, input, kernel, or_empty(stride), padding, ceil_mode,
                  count_include_pad, divisor);
}
template <int spatial>
Tensor adaptive_avg_nd(const Tensor& input, IntSpan size) {
  return adaptive_avg_pool(kAdaptiveAvgNames[spatial - 1], spatial, input, size);
}
template <int spatial>
OpResult adaptive_max_maybe(const Tensor& input, IntSpan size, bool return_indices) {
  return pair_or_first(adaptive_max_pool(kAdaptiveMaxNames[spatial - 1], spatial, input, size), return_indices);
}

}  // namespace

#define FASTNN_POOL(n)                                                                                                 \
  op("nn.max_pool" #n "d(Tensor input, int[" #n "] kernel_size, int[" #n "]? stride=None, int[" #n                     \
     "] padding=0, int[" #n "] dilation=1, bool ceil_mode=False, bool return_indices=False) -> Tensor",                \
     &max_pool_maybe<n>, op_fn);                                                                                       \
  op("max_pool" #n "d(Tensor input, int[" #n "] kernel_size, int[" #n "]? stride=None, int[" #n "] padding=0, int[" #n \
     "] dilation=1, bool ceil_mode=False) -> Tensor",                                                                  \
     &max_pool_values<n>, op_fn);                                                                                      \
  op("nn.adaptive_avg_pool" #n "d(Tensor input, int[" #n "] output_size) -> Tensor", &adaptive_avg_nd<n>, op_fn);      \
  op("nn.adaptive_max_pool" #n "d(Tensor input, int[" #n "] output_size, bool return_indices=False) -> Tensor",        \
     &adaptive_max_maybe<n>, op_fn)

FASTNN_OPS(pool) {
  FASTNN_POOL(1);
  FASTNN_POOL(2);
  FASTNN_POOL(3);
  op("nn.avg_pool1d(Tensor input, int[1] kernel_size, int[1]? stride=None, int[1] padding=0, bool ceil_mode=False, "
     "bool count_include_pad=True) -> Tensor",
     &avg_pool1d, op_fn);
  op("avg_pool1d(Tensor input, int[1] kernel_size, int[1]? stride=None, int[1] padding=0, bool ceil_mode=False, "
     "bool count_include_pad=True) -> Tensor",
     &avg_pool1d, op_fn);
  op("nn.avg_pool2d(Tensor input, int[2] kernel_size, int[2]? stride=None, int[2] padding=0, bool ceil_mode=False, "
     "bool count_include_pad=True, int? divisor_override=None) -> Tensor",
     &avg_pool_nd<2>, op_fn | op_out);
  op("nn.avg_pool3d(Tensor input, int[3] kernel_size, int[3]? stride=None, int[3] padding=0, bool ceil_mode=False, "
     "bool count_include_pad=True, int? divisor_override=None) -> Tensor",
     &avg_pool_nd<3>, op_fn | op_out);
  op("adaptive_avg_pool1d(Tensor input, int[1] output_size) -> Tensor", &adaptive_avg_nd<1>, op_fn);
}

#undef FASTNN_POOL

}  // namespace fastnn
