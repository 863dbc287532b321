#include "ops/conv.h"

#include <array>
#include <sstream>

#include "autograd/record.h"
#include "kernels/table.h"
#include "ops/complex.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/matmul.h"
#include "ops/pad.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

const ConvKernels& table() { return *kernels().conv; }

// How a convolution walks its input, for one to three spatial dimensions (aligned at the right, as in ConvGeometry).
struct Walk {
  int spatial = 2;
  std::int64_t groups = 1;
  std::array<std::int64_t, kSpatial> stride{1, 1, 1};
  std::array<std::int64_t, kSpatial> padding{0, 0, 0};
  std::array<std::int64_t, kSpatial> dilation{1, 1, 1};
};

// Sizes of the three tensors of a convolution: x and y are its input and output, w its weight.
struct Sizes {
  Dims x, w, y;
};

ConvGeometry geometry_of(const Walk& walk, const Sizes& sizes) {
  ConvGeometry g{};
  g.batch = sizes.x[0];
  g.groups = walk.groups;
  g.in_channels = sizes.x[1];
  g.out_channels = sizes.y[1];
  for (int d = 0; d < kSpatial; ++d) {
    const int own = d - (kSpatial - walk.spatial);
    const auto at = static_cast<std::size_t>(d);
    g.in[d] = own < 0 ? 1 : sizes.x[2 + own];
    g.out[d] = own < 0 ? 1 : sizes.y[2 + own];
    g.kernel[d] = own < 0 ? 1 : sizes.w[2 + own];
    g.stride[d] = walk.stride[at];
    g.padding[d] = walk.padding[at];
    g.dilation[d] = walk.dilation[at];
  }
  return g;
}

// Kernels take contiguous memory; the copy has no history.
Tensor dense(const Tensor& t) { return t.is_contiguous() ? t : contiguous(t.detached()); }

void count_launch() {
  if (LaunchCount::counting) ++LaunchCount::value;
}

// The three products of a convolution, each linear in both of its operands and each the derivative of the others:
//   y = apply(x, w),  x = spread(y, w),  w = correlate(x, y).
Tensor apply(const Tensor& x, const Tensor& w, const Tensor& bias, const Walk& walk, const Sizes& sizes);
Tensor spread(const Tensor& y, const Tensor& w, const Tensor& bias, const Walk& walk, const Sizes& sizes);
Tensor correlate(const Tensor& x, const Tensor& y, const Walk& walk, const Sizes& sizes);

// Summed over all but the channels.
Tensor bias_gradient(const Tensor& g) {
  Dims dims{0};
  for (int d = 2; d < g.ndim(); ++d) dims.push_back(d);
  return sum(g, static_cast<IntSpan>(dims));
}

Tensor apply(const Tensor& x, const Tensor& w, const Tensor& bias, const Walk& walk, const Sizes& sizes) {
  Tensor out = Tensor::empty(sizes.y, x.dtype());
  if (out.numel() > 0) {
    const Tensor dense_x = dense(x);
    const Tensor dense_w = dense(w);
    const Tensor dense_b = bias.defined() ? dense(bias) : Tensor();
    const View view = bias.defined() ? dense_b.view() : View{};
    count_launch();
    table().forward(out.view(), dense_x.view(), dense_w.view(), bias.defined() ? &view : nullptr,
                    geometry_of(walk, sizes));
  }
  if (needs_grad(x, w, bias)) {
    record("ConvolutionBackward0", out, {&x, &w, &bias},
           [sx = save(x, w), sw = save(w, x), walk, sizes](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = spread(g, sw.get(), Tensor(), walk, sizes);
             if (d.wants(1)) d[1] = correlate(sx.get(), g, walk, sizes);
             if (d.wants(2)) d[2] = bias_gradient(g);
           });
  }
  return out;
}

Tensor spread(const Tensor& y, const Tensor& w, const Tensor& bias, const Walk& walk, const Sizes& sizes) {
  Tensor out = Tensor::empty(sizes.x, y.dtype());
  if (out.numel() > 0) {
    const Tensor dense_y = dense(y);
    const Tensor dense_w = dense(w);
    const Tensor dense_b = bias.defined() ? dense(bias) : Tensor();
    const View view = bias.defined() ? dense_b.view() : View{};
    count_launch();
    table().input_gradient(out.view(), dense_y.view(), dense_w.view(), bias.defined() ? &view : nullptr,
                           geometry_of(walk, sizes));
  }
  if (needs_grad(y, w, bias)) {
    record("ConvolutionBackward0", out, {&y, &w, &bias},
           [sy = save(y, w), sw = save(w, y), walk, sizes](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = apply(g, sw.get(), Tensor(), walk, sizes);
             if (d.wants(1)) d[1] = correlate(g, sy.get(), walk, sizes);
             if (d.wants(2)) d[2] = bias_gradient(g);
           });
  }
  return out;
}

Tensor correlate(const Tensor& x, const Tensor& y, const Walk& walk, const Sizes& sizes) {
  Tensor out = Tensor::empty(sizes.w, x.dtype());
  if (out.numel() > 0) {
    const Tensor dense_x = dense(x);
    const Tensor dense_y = dense(y);
    count_launch();
    table().weight_gradient(out.view(), dense_x.view(), dense_y.view(), geometry_of(walk, sizes));
  }
  if (needs_grad(x, y)) {
    record("ConvolutionBackward0", out, {&x, &y},
           [sx = save(x, y), sy = save(y, x), walk, sizes](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = spread(sy.get(), g, Tensor(), walk, sizes);
             if (d.wants(1)) d[1] = apply(sx.get(), g, Tensor(), walk, sizes);
           });
  }
  return out;
}

// Integers, tap by tap: y is the sum over the taps of its matrix times the elements that it meets. No derivative.
Tensor apply_integers(const Tensor& x, const Tensor& w, const Tensor& bias, const Walk& walk, const Sizes& sizes) {
  const std::int64_t groups = walk.groups;
  const std::int64_t points = product(static_cast<IntSpan>(sizes.y).subspan(2));
  Dims padding;
  for (int d = walk.spatial - 1; d >= 0; --d) {
    const auto at = static_cast<std::size_t>(kSpatial - walk.spatial + d);
    const std::int64_t reach = (sizes.y[2 + d] - 1) * walk.stride[at] + walk.dilation[at] * (sizes.w[2 + d] - 1) + 1;
    padding.push_back(walk.padding[at]);
    padding.push_back(reach - walk.padding[at] - sizes.x[2 + d]);
  }
  const Tensor padded = constant_pad(to_dtype(x, DType::Int64), padding);
  const Tensor matrices = reshape(to_dtype(w, DType::Int64), Dims{groups, sizes.w[0] / groups, sizes.w[1], -1});
  Tensor out = zeros(Dims{sizes.y[0], groups, sizes.w[0] / groups, points}, DType::Int64);
  for (std::int64_t tap = 0; tap < matrices.sizes()[3]; ++tap) {
    Tensor met = padded;
    std::int64_t rest = tap;
    for (int d = walk.spatial - 1; d >= 0; --d) {
      const auto at = static_cast<std::size_t>(kSpatial - walk.spatial + d);
      const std::int64_t start = rest % sizes.w[2 + d] * walk.dilation[at];
      rest /= sizes.w[2 + d];
      met = slice(met, 2 + d, start, start + (sizes.y[2 + d] - 1) * walk.stride[at] + 1, walk.stride[at]);
    }
    out = add(out, matmul(select(matrices, 3, tap), reshape(met, Dims{sizes.y[0], groups, sizes.w[1], points})));
  }
  out = reshape(out, sizes.y);
  if (bias.defined()) {
    Dims channels = Dims::filled(out.ndim(), 1);
    channels[1] = sizes.y[1];
    out = add(out, reshape(to_dtype(bias, DType::Int64), channels));
  }
  return to_dtype(out, x.dtype());
}

// The transposed convolution of integers: a convolution over y with zeros between its elements.
Tensor spread_integers(const Tensor& y, const Tensor& w, const Tensor& bias, const Walk& walk, const Sizes& sizes) {
  Sizes inner{Dims{sizes.y[0], sizes.y[1]}, Dims{sizes.x[1], sizes.w[0] / walk.groups}, sizes.x};
  Walk dense_walk = walk;
  Dims flipped;
  for (int d = 0; d < walk.spatial; ++d) {
    const auto at = static_cast<std::size_t>(kSpatial - walk.spatial + d);
    inner.x.push_back((sizes.y[2 + d] - 1) * walk.stride[at] + 1);
    inner.w.push_back(sizes.w[2 + d]);
    dense_walk.stride[at] = 1;
    dense_walk.padding[at] = walk.dilation[at] * (sizes.w[2 + d] - 1) - walk.padding[at];
    flipped.push_back(3 + d);
  }
  const Tensor stuffed = zeros(inner.x, y.dtype());
  Tensor places = stuffed;
  for (int d = 0; d < walk.spatial; ++d) {
    places = slice(places, 2 + d, {}, {}, walk.stride[static_cast<std::size_t>(kSpatial - walk.spatial + d)]);
  }
  copy_raw(places, y);
  Dims grouped = sizes.w;
  grouped[0] /= walk.groups;
  grouped.insert(0, walk.groups);
  const Tensor turned = flip(transpose(reshape(w, grouped), 1, 2), flipped);
  return apply_integers(stuffed, reshape(turned, inner.w), bias, dense_walk, inner);
}

// --- checks ----------------------------------------------------------------------------------------------------------

std::string by(const Dims& sizes, int from) {
  std::ostringstream text;
  for (int d = from; d < sizes.size(); ++d) text << (d > from ? " x " : "") << sizes[d];
  return text.str();
}

void check_list(const char* op, const char* name, IntSpan values, int spatial, std::int64_t least) {
  FASTNN_CHECK(static_cast<int>(values.size()) == spatial || values.size() == 1, ErrorKind::Runtime, op, ": expected ",
               name, " to be a single integer value or a list of ", spatial,
               " values to match the convolution dimensions, but got ", name, "=", Dims(values));
  for (const std::int64_t value : values) {
    FASTNN_CHECK(value >= least, ErrorKind::Runtime, op, ": ", least > 0 ? "non-positive " : "negative ", name,
                 " is not supported, got ", Dims(values));
  }
}

std::int64_t entry(IntSpan values, int d) { return values[values.size() == 1 ? 0 : static_cast<std::size_t>(d)]; }

Walk walk_of(const char* op, int spatial, const ConvOptions& options) {
  check_list(op, "stride", options.stride, spatial, 1);
  check_list(op, "padding", options.padding, spatial, 0);
  check_list(op, "dilation", options.dilation, spatial, 1);
  FASTNN_CHECK(options.groups > 0, ErrorKind::Runtime, op, ": non-positive groups is not supported, got ",
               options.groups);
  Walk walk;
  walk.spatial = spatial;
  walk.groups = options.groups;
  for (int d = 0; d < spatial; ++d) {
    const auto at = static_cast<std::size_t>(kSpatial - spatial + d);
    walk.stride[at] = entry(options.stride, d);
    walk.padding[at] = entry(options.padding, d);
    walk.dilation[at] = entry(options.dilation, d);
  }
  return walk;
}

void check_operands(const char* op, int spatial, const Tensor& input, const Tensor& weight, const Tensor& bias) {
  FASTNN_CHECK(weight.ndim() == spatial + 2, ErrorKind::Runtime, op, ": expected a weight of ", spatial + 2,
               " dimensions, but got weight of size ", weight.sizes());
  FASTNN_CHECK(input.ndim() == spatial + 2 || input.ndim() == spatial + 1, ErrorKind::Runtime, "Expected ", spatial + 1,
               "D (unbatched) or ", spatial + 2, "D (batched) input to ", op,
               ", but got input of size: ", input.sizes());
  FASTNN_CHECK(input.dtype() == weight.dtype(), ErrorKind::Runtime, op, ": Input type (", input.dtype(),
               ") and weight type (", weight.dtype(), ") should be the same");
  FASTNN_CHECK(!bias.defined() || bias.dtype() == input.dtype(), ErrorKind::Runtime, op, ": Input type (",
               input.dtype(), ") and bias type (", bias.defined() ? bias.dtype() : input.dtype(),
               ") should be the same");
  if (input.dtype() == DType::Bool) fail_not_implemented(op, input.dtype());
  for (int d = 1; d < weight.ndim(); ++d) {
    FASTNN_CHECK(weight.sizes()[d] > 0, ErrorKind::Runtime, op,
                 ": channels and kernel size should be greater than zero, but got weight of size ", weight.sizes());
  }
}

void check_bias(const char* op, const Tensor& bias, std::int64_t channels, const Walk& walk, const Tensor& weight) {
  if (!bias.defined()) return;
  FASTNN_CHECK(bias.ndim() == 1 && bias.numel() == channels, ErrorKind::Runtime, op, ": Given ", "groups=", walk.groups,
               ", weight of size ", weight.sizes(), ", expected bias to be 1-dimensional with ", channels,
               " elements, but got bias of size ", bias.sizes(), " instead");
}

using Kernel = Tensor (*)(const Tensor&, const Tensor&, const Tensor&, const Walk&, const Sizes&);

// `apply` or `spread`; of complex operands by those of their parts.
Tensor any_product(Kernel kernel, const Tensor& a, const Tensor& w, const Tensor& bias, const Walk& walk,
                   const Sizes& sizes) {
  if (!a.is_complex()) return kernel(a, w, bias, walk, sizes);
  const auto product = [&](const Tensor& x, const Tensor& y) { return kernel(x, y, Tensor(), walk, sizes); };
  const Tensor ar = real(a), ai = imag(a), wr = real(w), wi = imag(w);
  const Tensor out = complex(sub(product(ar, wr), product(ai, wi)), add(product(ar, wi), product(ai, wr)));
  if (!bias.defined()) return out;
  Dims channels = Dims::filled(out.ndim(), 1);
  channels[1] = bias.numel();
  return add(out, reshape(bias, channels));
}

Tensor run_convolution(const char* op, const Tensor& given, const Tensor& weight, const Tensor& bias, const Walk& walk,
                       const Dims* same_sizes) {
  const bool batched = given.ndim() == walk.spatial + 2;
  const Tensor input = batched ? given : unsqueeze(given, 0);
  FASTNN_CHECK(weight.sizes()[0] >= walk.groups, ErrorKind::Runtime, op, ": Given groups=", walk.groups,
               ", expected weight to be at least ", walk.groups, " at dimension 0, but got weight of size ",
               weight.sizes(), " instead");
  FASTNN_CHECK(weight.sizes()[0] % walk.groups == 0, ErrorKind::Runtime, op, ": Given groups=", walk.groups,
               ", expected weight to be divisible by ", walk.groups, " at dimension 0, but got weight of size ",
               weight.sizes(), " instead");
  FASTNN_CHECK(input.sizes()[1] == weight.sizes()[1] * walk.groups, ErrorKind::Runtime, op,
               ": Given groups=", walk.groups, ", weight of size ", weight.sizes(), ", expected input", given.sizes(),
               " to have ", weight.sizes()[1] * walk.groups, " channels, but got ", input.sizes()[1],
               " channels instead");
  check_bias(op, bias, weight.sizes()[0], walk, weight);
  Sizes sizes{input.sizes(), weight.sizes(), Dims{input.sizes()[0], weight.sizes()[0]}};
  Dims padded = input.sizes();
  Dims reach = weight.sizes();
  for (int d = 0; d < walk.spatial; ++d) {
    const auto at = static_cast<std::size_t>(kSpatial - walk.spatial + d);
    padded[2 + d] += 2 * walk.padding[at];
    reach[2 + d] = walk.dilation[at] * (weight.sizes()[2 + d] - 1) + 1;
    const std::int64_t size = same_sizes ? (*same_sizes)[2 + d] : (padded[2 + d] - reach[2 + d]) / walk.stride[at] + 1;
    FASTNN_CHECK(same_sizes || padded[2 + d] >= reach[2 + d], ErrorKind::Runtime, op,
                 ": Calculated padded input size per channel: (", by(padded, 2), "). Kernel size: (", by(reach, 2),
                 "). Kernel size can't be greater than actual input size");
    sizes.y.push_back(size);
  }
  const bool inexact = input.is_differentiable();
  const Tensor out = inexact ? any_product(&apply, input, weight, bias, walk, sizes)
                             : apply_integers(input, weight, bias, walk, sizes);
  return batched ? out : squeeze(out, 0);
}

}  // namespace

Tensor convolution(const char* op, const Tensor& input, const Tensor& weight, const Tensor& bias,
                   const ConvOptions& options) {
  const int spatial = weight.ndim() - 2;
  check_operands(op, spatial, input, weight, bias);
  return run_convolution(op, input, weight, bias, walk_of(op, spatial, options), nullptr);
}

namespace {

// padding='valid' or 'same'. With an even reach the odd element goes to the end.
Tensor convolution_named(const char* op, const Tensor& input, const Tensor& weight, const Tensor& bias,
                         ConvOptions options, std::string_view padding) {
  const int spatial = weight.ndim() - 2;
  check_operands(op, spatial, input, weight, bias);
  const std::int64_t none[] = {0};
  options.padding = none;
  Walk walk = walk_of(op, spatial, options);
  if (padding == "valid") return run_convolution(op, input, weight, bias, walk, nullptr);
  FASTNN_CHECK(padding == "same", ErrorKind::Runtime, op, ": Invalid padding string: '", padding,
               "', expected 'valid' or 'same'");
  for (int d = 0; d < spatial; ++d) {
    const auto at = static_cast<std::size_t>(kSpatial - spatial + d);
    FASTNN_CHECK(walk.stride[at] == 1, ErrorKind::Runtime, op,
                 ": padding='same' is not supported for strided convolutions");
    walk.padding[at] = walk.dilation[at] * (weight.sizes()[2 + d] - 1) / 2;
  }
  Dims sizes = input.sizes();
  if (sizes.size() == spatial + 1) sizes.insert(0, 1);
  return run_convolution(op, input, weight, bias, walk, &sizes);
}

}  // namespace

Tensor transposed_convolution(const char* op, const Tensor& given, const Tensor& weight, const Tensor& bias,
                              const ConvOptions& options, IntSpan output_padding) {
  const int spatial = weight.ndim() - 2;
  check_operands(op, spatial, given, weight, bias);
  const Walk walk = walk_of(op, spatial, options);
  check_list(op, "output_padding", output_padding, spatial, 0);
  const bool batched = given.ndim() == spatial + 2;
  const Tensor input = batched ? given : unsqueeze(given, 0);
  const std::int64_t channels = weight.sizes()[1] * walk.groups;
  FASTNN_CHECK(weight.sizes()[0] % walk.groups == 0, ErrorKind::Runtime, op, ": Given groups=", walk.groups,
               ", expected weight to be divisible by ", walk.groups, " at dimension 0, but got weight of size ",
               weight.sizes(), " instead");
  FASTNN_CHECK(input.sizes()[1] == weight.sizes()[0], ErrorKind::Runtime, op, ": Given transposed=1, weight of size ",
               weight.sizes(), ", expected input", given.sizes(), " to have ", weight.sizes()[0], " channels, but got ",
               input.sizes()[1], " channels instead");
  check_bias(op, bias, channels, walk, weight);
  Sizes sizes{Dims{input.sizes()[0], channels}, weight.sizes(), input.sizes()};
  for (int d = 0; d < spatial; ++d) {
    const auto at = static_cast<std::size_t>(kSpatial - spatial + d);
    const std::int64_t extra = entry(output_padding, d);
    FASTNN_CHECK(extra < std::max(walk.stride[at], walk.dilation[at]), ErrorKind::Runtime, op,
                 ": output padding must be smaller than either stride or dilation, but got output_padding=",
                 Dims(output_padding), " stride=", Dims(options.stride), " dilation=", Dims(options.dilation));
    const std::int64_t size = (input.sizes()[2 + d] - 1) * walk.stride[at] - 2 * walk.padding[at] +
                              walk.dilation[at] * (weight.sizes()[2 + d] - 1) + extra + 1;
    FASTNN_CHECK(size > 0, ErrorKind::Runtime, op, ": Given input size per channel: (", by(input.sizes(), 2),
                 "). Calculated output size per channel in dimension ", d, ": ", size, ". Output size is too small");
    sizes.x.push_back(size);
  }
  const bool inexact = input.is_differentiable();
  const Tensor out = inexact ? any_product(&spread, input, weight, bias, walk, sizes)
                             : spread_integers(input, weight, bias, walk, sizes);
  return batched ? out : squeeze(out, 0);
}

Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias, IntSpan stride, IntSpan padding,
              IntSpan dilation, std::int64_t groups) {
  return convolution("conv2d", input, weight, bias, {stride, padding, dilation, groups});
}

namespace {

void check_weight_ndim(const char* op, const Tensor& weight, int spatial) {
  FASTNN_CHECK(weight.ndim() == spatial + 2, ErrorKind::Runtime, op, ": expected a weight of ", spatial + 2,
               " dimensions, but got weight of size ", weight.sizes());
}

constexpr const char* kNames[] = {"conv1d", "conv2d", "conv3d"};
constexpr const char* kTransposedNames[] = {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"};

template <int spatial>
Tensor conv(const Tensor& input, const Tensor& weight, const Tensor& bias, IntSpan stride, IntSpan padding,
            IntSpan dilation, std::int64_t groups) {
  check_weight_ndim(kNames[spatial - 1], weight, spatial);
  return convolution(kNames[spatial - 1], input, weight, bias, {stride, padding, dilation, groups});
}
template <int spatial>
Tensor conv_named(const Tensor& input, const Tensor& weight, const Tensor& bias, IntSpan stride,
                  std::string_view padding, IntSpan dilation, std::int64_t groups) {
  check_weight_ndim(kNames[spatial - 1], weight, spatial);
  return convolution_named(kNames[spatial - 1], input, weight, bias, {stride, {}, dilation, groups}, padding);
}
template <int spatial>
Tensor conv_transpose(const Tensor& input, const Tensor& weight, const Tensor& bias, IntSpan stride, IntSpan padding,
                      IntSpan output_padding, std::int64_t groups, IntSpan dilation) {
  check_weight_ndim(kTransposedNames[spatial - 1], weight, spatial);
  return transposed_convolution(kTransposedNames[spatial - 1], input, weight, bias, {stride, padding, dilation, groups},
                                output_padding);
}

}  // namespace

#define FASTNN_CONV(space, n)                                                                                    \
  op(space "conv" #n "d(Tensor input, Tensor weight, Tensor? bias=None, int[" #n "] stride=1, int[" #n           \
           "] padding=0, int[" #n "] dilation=1, int groups=1) -> Tensor",                                       \
     &conv<n>, op_fn);                                                                                           \
  op(space "conv" #n "d(Tensor input, Tensor weight, Tensor? bias=None, int[" #n                                 \
           "] stride=1, str padding='valid', int[" #n "] dilation=1, int groups=1) -> Tensor",                   \
     &conv_named<n>, op_fn);                                                                                     \
  op(space "conv_transpose" #n "d(Tensor input, Tensor weight, Tensor? bias=None, int[" #n "] stride=1, int[" #n \
           "] padding=0, int[" #n "] output_padding=0, int groups=1, int[" #n "] dilation=1) -> Tensor",         \
     &conv_transpose<n>, op_fn)

FASTNN_OPS(conv) {
  FASTNN_CONV("", 1);
  FASTNN_CONV("", 2);
  FASTNN_CONV("", 3);
  FASTNN_CONV("nn.", 1);
  FASTNN_CONV("nn.", 2);
  FASTNN_CONV("nn.", 3);
}

#undef FASTNN_CONV

}  // namespace fastnn
