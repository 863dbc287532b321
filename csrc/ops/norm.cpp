#include "ops/norm.h"

#include <limits>

#include "kernels/norm.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/reduce_dims.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

const NormKernels& table() { return *kernels().norm; }

View view_or_none(const Tensor& tensor) { return tensor.defined() ? tensor.view() : View{}; }

// Weight, bias or statistics as the kernels read them; undefined stays undefined.
Tensor as_computed(const Tensor& tensor, DType input_dtype) {
  if (!tensor.defined()) return tensor;
  const GradModeGuard off(false);
  return contiguous(to_dtype(tensor, compute_type(input_dtype)));
}

// An empty tensor for a gradient that is wanted.
Tensor empty_if(bool wanted, IntSpan sizes, DType dtype) { return wanted ? Tensor::empty(sizes, dtype) : Tensor(); }

void check_parameter(const char* op, const char* name, const Tensor& parameter, const Tensor& input) {
  if (!parameter.defined()) return;
  FASTNN_CHECK(
      parameter.dtype() == input.dtype() || (is_reduced_floating(input.dtype()) && parameter.dtype() == DType::Float32),
      ErrorKind::Runtime, op, ": expected ", name, " to have the dtype of the input, ", input.dtype(), ", but got ",
      parameter.dtype());
}

void check_input(const char* op, const Tensor& input) {
  FASTNN_CHECK(input.is_floating(), ErrorKind::NotImplemented, '"', op, "\" not implemented for '", input.dtype(), "'");
}

// What a normalisation saves: the statistics are none of autograd's business.
struct Statistics {
  Tensor mean;  // undefined for root mean square norm
  Tensor rstd;
};

struct Gradients {
  Tensor input, weight, bias;
};

// How a normalisation looks as a formula: the input in a shape in which weight and bias broadcast.
struct Formula {
  Dims shape;      // of the input
  Dims parameter;  // of weight and bias
  Dims over;       // dimensions that share statistics
  double eps = 0;
  bool centred = true;  // a mean is subtracted
};

// The derivative in Tensor algebra. `fixed` statistics (with the shape of `parameter`) do not depend on the input.
Gradients composed_gradients(const Tensor& g0, const Tensor& input, const Tensor& weight0, const Formula& f,
                             const Statistics* fixed, const bool (&wanted)[3]) {
  const DType compute = compute_type(g0.dtype());
  const Tensor g = reshape(to_dtype(g0, compute), f.shape);
  const Tensor weight = weight0.defined() ? reshape(to_dtype(weight0, compute), f.parameter) : Tensor();
  Gradients result;
  if (wanted[2]) result.bias = sum_to_size(g, f.parameter);
  if (!wanted[0] && !wanted[1]) return result;
  Tensor normal = reshape(to_dtype(input, compute), f.shape);
  Tensor rstd;
  if (fixed) {
    normal = sub(normal, reshape(fixed->mean, f.parameter));
    rstd = reshape(fixed->rstd, f.parameter);
  } else {
    if (f.centred) normal = sub(normal, mean(normal, f.over, true));
    rstd = rsqrt(add(mean(mul(normal, normal), f.over, true), Scalar(f.eps)));
  }
  normal = mul(normal, rstd);
  if (wanted[1]) result.weight = sum_to_size(mul(g, normal), f.parameter);
  if (!wanted[0]) return result;
  const Tensor gw = weight.defined() ? mul(g, weight) : g;
  Tensor inner = gw;
  if (!fixed) {
    if (f.centred) inner = sub(inner, mean(gw, f.over, true));
    inner = sub(inner, mul(normal, mean(mul(gw, normal), f.over, true)));
  }
  result.input = mul(inner, rstd);
  return result;
}

// Puts gradients into their slots, in the shapes and dtypes of the inputs.
template <class Shape>
void hand_over(Slots& d, std::size_t slot, const Tensor& gradient, const Shape& sizes, DType dtype) {
  if (gradient.defined()) d[slot] = to_dtype(gradient.sizes() == sizes ? gradient : reshape(gradient, sizes), dtype);
}

// Records the derivative of a normalisation. `fused(g, x, weight, wanted)` launches the backward kernel.
template <class Fused>
void record_norm(const char* name, const Tensor& out, const Tensor& input, const Tensor& weight, const Tensor& bias,
                 Formula formula, Statistics statistics, bool fixed, Fused fused) {
  if (!needs_grad(input, weight, bias)) return;
  const bool of_input = tracks_view(input) || tracks_view(weight);
  struct Shape {
    Dims sizes;
    DType dtype;
  };
  const auto shape_of = [](const Tensor& t) {
    return t.defined() ? Shape{t.sizes(), t.dtype()} : Shape{{}, DType::Float32};
  };
  record(name, out, {&input, &weight, &bias},
         [formula = std::move(formula), statistics = std::move(statistics), fixed, fused,
          sx = of_input ? save(input) : Saved(), sw = weight.defined() ? save(weight, input) : Saved(),
          in_shape = shape_of(input), w_shape = shape_of(weight), b_shape = shape_of(bias)](const Tensor& g, Slots& d) {
           const bool wanted[3] = {d.wants(0), d.wants(1), d.wants(2)};
           Gradients gradients;
           if (grad_mode().enabled || !sx.defined()) {
             gradients = composed_gradients(g, sx.get(), sw.get(), formula, fixed ? &statistics : nullptr, wanted);
           } else {
             gradients =
                 fused(contiguous(g), contiguous(sx.get()), as_computed(sw.get(), g.dtype()), statistics, wanted);
           }
           hand_over(d, 0, gradients.input, in_shape.sizes, in_shape.dtype);
           hand_over(d, 1, gradients.weight, w_shape.sizes, w_shape.dtype);
           hand_over(d, 2, gradients.bias, b_shape.sizes, b_shape.dtype);
         });
}

// A contiguous tensor in another shape, no history.
View reshaped(const Tensor& tensor, const Dims& sizes, const Dims& strides) {
  return {tensor.data(), tensor.dtype(), sizes.size(), sizes.data(), strides.data()};
}

// --- rows ----------------------------------------------------------------------------------------------------------

Tensor row_norm(const char* op, const char* node, const Tensor& input, IntSpan normalized_shape, const Tensor& weight,
                const Tensor& bias, double eps, bool centred) {
  check_input(op, input);
  FASTNN_CHECK(!normalized_shape.empty(), ErrorKind::Runtime,
               "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
               "normalized_shape = ",
               Dims(normalized_shape));
  const auto count = static_cast<int>(normalized_shape.size());
  const Dims shape(normalized_shape);
  for (const auto& [name, parameter] : {std::pair{"weight", &weight}, std::pair{"bias", &bias}}) {
    FASTNN_CHECK(!parameter->defined() || parameter->sizes() == shape, ErrorKind::Runtime, "Expected ", name,
                 " to be of same shape as normalized_shape, but got ", name, " of shape ",
                 parameter->defined() ? parameter->sizes() : Dims(), " and normalized_shape = ", shape);
    check_parameter(op, name, *parameter, input);
  }
  const int leading = input.ndim() - count;
  FASTNN_CHECK(leading >= 0 && std::equal(shape.begin(), shape.end(), input.sizes().begin() + leading),
               ErrorKind::Runtime, "Given normalized_shape=", shape, ", expected input with shape [*, ", shape,
               "], but got input of size", input.sizes());
  const std::int64_t n = product(shape);
  const std::int64_t rows = product(IntSpan(input.sizes().data(), static_cast<std::size_t>(leading)));
  const Dims sizes{rows, n};
  const Dims strides{n, 1};
  const DType compute = compute_type(input.dtype());
  Statistics statistics{centred ? Tensor::empty({{rows}}, compute) : Tensor(), Tensor::empty({{rows}}, compute)};
  Tensor out;
  {
    const GradModeGuard off(false);
    const Tensor x = contiguous(input);
    out = Tensor::empty(x.sizes(), x.dtype());
    const Tensor w = as_computed(weight, x.dtype());
    const Tensor b = as_computed(bias, x.dtype());
    if (LaunchCount::counting) ++LaunchCount::value;
    table().rows(reshaped(out, sizes, strides), view_or_none(statistics.mean), statistics.rstd.view(),
                 reshaped(x, sizes, strides), view_or_none(w), view_or_none(b), eps);
    if (!centred) out = in_format_of(input, out);  // PyTorch composes this norm, elementwise operations keep the order
  }
  Formula formula{sizes, {1, n}, {1}, eps, centred};
  record_norm(node, out, input, weight, bias, std::move(formula), std::move(statistics), false,
              [sizes, strides, n](const Tensor& g, const Tensor& x, const Tensor& w, const Statistics& s,
                                  const bool (&wanted)[3]) {
                const DType type = compute_type(x.dtype());
                Gradients d{empty_if(wanted[0], x.sizes(), x.dtype()), empty_if(wanted[1], {{n}}, type),
                            empty_if(wanted[2], {{n}}, type)};
                if (LaunchCount::counting) ++LaunchCount::value;
                table().rows_backward(d.input.defined() ? reshaped(d.input, sizes, strides) : View{},
                                      view_or_none(d.weight), view_or_none(d.bias), reshaped(g, sizes, strides),
                                      reshaped(x, sizes, strides), view_or_none(s.mean), s.rstd.view(),
                                      view_or_none(w));
                return d;
              });
  return out;
}

// --- channels ------------------------------------------------------------------------------------------------------

struct ChannelShape {
  Dims sizes;  // [samples, channels, inner]
  Dims strides;
  explicit ChannelShape(const Tensor& input) {
    const std::int64_t channels = input.sizes()[1];
    std::int64_t inner = 1;
    for (int d = 2; d < input.ndim(); ++d) inner *= input.sizes()[d];
    sizes = {input.sizes()[0], channels, inner};
    strides = {channels * inner, inner, 1};
  }
  std::int64_t channels() const { return sizes[1]; }
};

void check_channels(const char* op, const Tensor& input, const Tensor& weight, const Tensor& bias) {
  check_input(op, input);
  for (const auto& [name, parameter] : {std::pair{"weight", &weight}, std::pair{"bias", &bias}}) {
    check_parameter(op, name, *parameter, input);
    FASTNN_CHECK(!parameter->defined() || (parameter->ndim() == 1 && parameter->numel() == input.sizes()[1]),
                 ErrorKind::Runtime, "Expected ", name,
                 " to be a vector of size equal to the number of channels in input, but got ", name, " of shape ",
                 parameter->defined() ? parameter->sizes() : Dims(), " and input of shape ", input.sizes());
  }
}

Tensor apply_channels(const Tensor& x, const ChannelShape& shape, const Statistics& s, const Tensor& weight,
                      const Tensor& bias) {
  Tensor out = Tensor::empty(x.sizes(), x.dtype());
  const Tensor w = as_computed(weight, x.dtype());
  const Tensor b = as_computed(bias, x.dtype());
  if (LaunchCount::counting) ++LaunchCount::value;
  table().channels(reshaped(out, shape.sizes, shape.strides), reshaped(x, shape.sizes, shape.strides), s.mean.view(),
                   s.rstd.view(), view_or_none(w), view_or_none(b));
  return out;
}

// The backward kernel of batch, group and instance norm.
struct ChannelsBackward {
  ChannelShape shape;
  bool fixed;

  Gradients operator()(const Tensor& g, const Tensor& x, const Tensor& w, const Statistics& s,
                       const bool (&wanted)[3]) const {
    const DType type = compute_type(x.dtype());
    const std::int64_t channels[] = {shape.channels()};
    Gradients d{empty_if(wanted[0], x.sizes(), x.dtype()), empty_if(wanted[1], channels, type),
                empty_if(wanted[2], channels, type)};
    if (LaunchCount::counting) ++LaunchCount::value;
    table().channels_backward(d.input.defined() ? reshaped(d.input, shape.sizes, shape.strides) : View{},
                              view_or_none(d.weight), view_or_none(d.bias), reshaped(g, shape.sizes, shape.strides),
                              reshaped(x, shape.sizes, shape.strides), s.mean.view(), s.rstd.view(), view_or_none(w),
                              fixed);
    return d;
  }
};

// Mean and variance (divided by the count) of `x` over the listed dimensions, in the type of computation.
Moments batch_statistics(const char* op, const Tensor& x, const Dims& over) {
  return moments(op, x, {x, over, op}, 0, false, compute_type(x.dtype()));
}

Tensor inverse_root(const Tensor& variance, double eps) {
  Tensor rstd = Tensor::empty(variance.sizes(), variance.dtype());
  table().inverse_root(rstd.view(), variance.view(), eps);
  return rstd;
}

void update_running(const Tensor& running, const Tensor& batch, double momentum, double scale) {
  if (!running.defined()) return;
  if (running.is_contiguous()) {
    table().update_running(running.view(), batch.view(), momentum, scale);
  } else {
    const Tensor copy = clone(running, true);
    table().update_running(copy.view(), batch.view(), momentum, scale);
    copy_raw(running, copy);
  }
  bump_version(running);
}

void check_running(const char* name, const Tensor& running, std::int64_t channels) {
  if (!running.defined()) return;
  FASTNN_CHECK(running.numel() == channels, ErrorKind::Runtime, name, " should contain ", channels, " elements not ",
               running.numel());
  FASTNN_CHECK(running.is_floating(), ErrorKind::Runtime, name, " should be floating, got ", running.dtype());
}

// PyTorch refuses to train on one value per channel: its variance says nothing.
void check_more_than_one(std::int64_t values, const Dims& sizes, const char* what) {
  FASTNN_CHECK(values != 1, ErrorKind::Value, "Expected more than 1 ", what, " when training, got input size ", sizes);
}

}  // namespace

Tensor layer_norm(const Tensor& input, IntSpan normalized_shape, const Tensor& weight, const Tensor& bias, double eps) {
  return row_norm("layer_norm", "NativeLayerNormBackward0", input, normalized_shape, weight, bias, eps, true);
}

Tensor rms_norm(const Tensor& input, IntSpan normalized_shape, const Tensor& weight, std::optional<double> eps) {
  const double smallest = compute_type(input.dtype()) == DType::Float64 ? std::numeric_limits<double>::epsilon()
                                                                        : std::numeric_limits<float>::epsilon();
  if (input.is_complex()) {
    Dims last;
    for (int d = -static_cast<int>(normalized_shape.size()); d < 0; ++d) last.push_back(d);
    const double epsilon = eps.value_or(input.dtype() == DType::Complex128 ? std::numeric_limits<double>::epsilon()
                                                                           : std::numeric_limits<float>::epsilon());
    const Tensor out = mul(input, rsqrt(add(mean(square(input), last, true), Scalar(epsilon))));
    return weight.defined() ? mul(out, weight) : out;
  }
  return row_norm("rms_norm", "RmsNormBackward0", input, normalized_shape, weight, Tensor(), eps.value_or(smallest),
                  false);
}

Tensor group_norm(const Tensor& input, std::int64_t num_groups, const Tensor& weight, const Tensor& bias, double eps) {
  FASTNN_CHECK(input.ndim() >= 2, ErrorKind::Runtime, "Expected at least 2 dimensions for input tensor but received ",
               input.ndim());
  FASTNN_CHECK(num_groups > 0, ErrorKind::Runtime, "Expected num groups to be greater than 0, got ", num_groups);
  FASTNN_CHECK(input.sizes()[1] % num_groups == 0, ErrorKind::Runtime,
               "Expected number of channels in input to be divisible by num_groups, but got input of shape ",
               input.sizes(), " and num_groups=", num_groups);
  check_channels("group_norm", input, weight, bias);
  const ChannelShape shape(input);
  const std::int64_t samples = shape.sizes[0];
  const std::int64_t width = shape.channels() / num_groups;
  Statistics statistics;
  Tensor out;
  {
    const GradModeGuard off(false);
    const Tensor x = contiguous(input);
    const Dims grouped{samples, num_groups, width * shape.sizes[2]};
    const auto [centre, variance] =
        batch_statistics("group_norm", x.alias(grouped, contiguous_strides(grouped), x.storage_offset()), {2});
    statistics = {centre, inverse_root(variance, eps)};
    out = in_format_of(input, apply_channels(x, shape, statistics, weight, bias));
  }
  Formula formula{{samples, num_groups, width, shape.sizes[2]}, {1, num_groups, width, 1}, {2, 3}, eps, true};
  record_norm("NativeGroupNormBackward0", out, input, weight, bias, std::move(formula), std::move(statistics), false,
              ChannelsBackward{shape, false});
  return out;
}

Tensor batch_norm(const Tensor& input, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                  const Tensor& running_var, bool training, double momentum, double eps) {
  if (input.ndim() == 1 && input.numel() == 0) return clone(input);
  FASTNN_CHECK(input.ndim() >= 2, ErrorKind::Index,
               "batch_norm: expected an input of at least 2 dimensions, got shape ", input.sizes());
  check_channels("batch_norm", input, weight, bias);
  const ChannelShape shape(input);
  check_running("running_mean", running_mean, shape.channels());
  check_running("running_var", running_var, shape.channels());
  FASTNN_CHECK(training || (running_mean.defined() && running_var.defined()), ErrorKind::Runtime,
               "Expected running_mean and running_var to be defined when training=False");
  Statistics statistics;
  Tensor out;
  {
    const GradModeGuard off(false);
    const Tensor x = contiguous(input);
    if (training) {
      const Tensor planes = x.alias(shape.sizes, shape.strides, x.storage_offset());
      const auto [centre, variance] = batch_statistics("batch_norm", planes, {0, 2});
      statistics = {centre, inverse_root(variance, eps)};
      const double count = static_cast<double>(shape.sizes[0] * shape.sizes[2]);
      update_running(running_mean, centre, momentum, 1);
      update_running(running_var, variance, momentum, count / (count - 1));
    } else {
      // Copies, which a later update of the running statistics does not change.
      const DType compute = compute_type(input.dtype());
      statistics.mean = running_mean.dtype() == compute ? clone(running_mean, true) : to_dtype(running_mean, compute);
      statistics.rstd = inverse_root(as_computed(running_var, input.dtype()), eps);
    }
    out = in_format_of(input, apply_channels(x, shape, statistics, weight, bias));
  }
  Formula formula{shape.sizes, {1, shape.channels(), 1}, {0, 2}, eps, true};
  record_norm("NativeBatchNormBackward0", out, input, weight, bias, std::move(formula), std::move(statistics),
              !training, ChannelsBackward{shape, !training});
  return out;
}

namespace {

Tensor torch_layer_norm(const Tensor& input, IntSpan normalized_shape, const Tensor& weight, const Tensor& bias,
                        double eps, bool) {
  return layer_norm(input, normalized_shape, weight, bias, eps);
}
Tensor torch_group_norm(const Tensor& input, std::int64_t num_groups, const Tensor& weight, const Tensor& bias,
                        double eps, bool) {
  return group_norm(input, num_groups, weight, bias, eps);
}
Tensor torch_batch_norm(const Tensor& input, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                        const Tensor& running_var, bool training, double momentum, double eps, bool) {
  return batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps);
}

Tensor nn_group_norm(const Tensor& input, std::int64_t num_groups, const Tensor& weight, const Tensor& bias,
                     double eps) {
  FASTNN_CHECK(input.ndim() >= 2, ErrorKind::Runtime, "Expected at least 2 dimensions for input tensor but received ",
               input.ndim());
  if (num_groups > 0) {
    std::int64_t values = input.sizes()[0] * input.sizes()[1] / num_groups;
    for (int d = 2; d < input.ndim(); ++d) values *= input.sizes()[d];
    check_more_than_one(values, input.sizes(), "value per channel");
  }
  return group_norm(input, num_groups, weight, bias, eps);
}

Tensor nn_batch_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                     const Tensor& bias, bool training, double momentum, double eps) {
  if (training && input.ndim() >= 2) {
    const ChannelShape shape(input);
    check_more_than_one(shape.sizes[0] * shape.sizes[2], input.sizes(), "value per channel");
  }
  return batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps);
}

// Every channel of every sample by itself. The running statistics take the means over the samples.
Tensor instance_norm(const Tensor& input, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                     const Tensor& bias, bool use_input_stats, double momentum, double eps) {
  FASTNN_CHECK(input.ndim() >= 2, ErrorKind::Index,
               "instance_norm: expected an input of at least 2 dimensions, got shape ", input.sizes());
  if (!use_input_stats) return batch_norm(input, weight, bias, running_mean, running_var, false, momentum, eps);
  const ChannelShape shape(input);
  const std::int64_t inner = shape.sizes[2];
  check_more_than_one(inner, input.sizes(), "spatial element");
  check_running("running_mean", running_mean, shape.channels());
  check_running("running_var", running_var, shape.channels());
  if (running_mean.defined() || running_var.defined()) {
    const GradModeGuard off(false);
    const Tensor x = contiguous(input);
    const auto [centre, variance] =
        batch_statistics("instance_norm", x.alias(shape.sizes, shape.strides, x.storage_offset()), {2});
    const std::int64_t samples[] = {0};
    update_running(running_mean, mean(centre, IntSpan(samples)), momentum, 1);
    update_running(running_var, mean(variance, IntSpan(samples)), momentum,
                   static_cast<double>(inner) / static_cast<double>(inner - 1));
  }
  return group_norm(contiguous(input), shape.channels(), weight, bias, eps);
}

}  // namespace

FASTNN_OPS(norm) {
  op("layer_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, "
     "bool cudnn_enable=True) -> Tensor",
     &torch_layer_norm, op_fn);
  op("nn.layer_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05) -> "
     "Tensor",
     &layer_norm, op_fn);
  op("rms_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor", &rms_norm,
     op_fn);
  op("nn.rms_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor", &rms_norm,
     op_fn);
  op("group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05, "
     "bool cudnn_enabled=True) -> Tensor",
     &torch_group_norm, op_fn);
  op("nn.group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05) -> Tensor",
     &nn_group_norm, op_fn);
  op("batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, "
     "float momentum, float eps, bool cudnn_enabled) -> Tensor",
     &torch_batch_norm, op_fn);
  op("nn.batch_norm(Tensor input, Tensor? running_mean, Tensor? running_var, Tensor? weight=None, Tensor? bias=None, "
     "bool training=False, float momentum=0.1, float eps=1e-05) -> Tensor",
     &nn_batch_norm, op_fn);
  op("nn.instance_norm(Tensor input, Tensor? running_mean=None, Tensor? running_var=None, Tensor? weight=None, "
     "Tensor? bias=None, bool use_input_stats=True, float momentum=0.1, float eps=1e-05) -> Tensor",
     &instance_norm, op_fn);
}

}  // namespace fastnn
