// Activations. Backward is one fused kernel, or algebra where it must be differentiable.
#include "ops/algebra.h"
#include "ops/pointwise.h"
#include "ops/registry.h"

namespace fastnn {

namespace {

const ActivationKernels& table() { return *kernels().activation; }

Params params_of(double first, double second = 0, double third = 0) {
  Params params;
  params.d[0] = first;
  params.d[1] = second;
  params.d[2] = third;
  return params;
}

void check_floating(const char* op, const Tensor& input) {
  if (!is_floating(input.dtype())) fail_not_implemented(op, input.dtype());
}

// min(x, 0) of a tensor that takes part in an exponential, where the positive side is replaced anyway.
Tensor negative_part(const Tensor& x) {
  const Tensor zero = Tensor::wrapped(0.0);
  return where(lt(x, zero), x, zero);
}

// A number as a tensor of this dtype would hold it: 16-bit floats are compared with a bound of their own precision.
double rounded_to(DType dtype, double value) {
  const auto narrow = static_cast<float>(value);
  if (dtype == DType::Float16) return static_cast<double>(static_cast<float>(Half(narrow)));
  if (dtype == DType::BFloat16) return static_cast<double>(static_cast<float>(BFloat16(narrow)));
  return value;
}

// A function that is linear between its kinks, whose slope is known from the result.
Tensor piecewise_from_output(const char* op, const char* node, Pointwise forward, Pointwise backward, const Tensor& x,
                             const Params& params) {
  return unary_from_output(
      op, node, forward, x, x.dtype(),
      [node, backward, params](const Tensor& g, const Tensor& y) {
        return piecewise_backward(node, backward, g, y, params);
      },
      params);
}
Tensor piecewise_from_input(const char* op, const char* node, Pointwise forward, Pointwise backward, const Tensor& x,
                            const Params& params) {
  return unary_from_input(
      op, node, forward, x, x.dtype(),
      [node, backward, params](const Tensor& g, const Tensor& saved) {
        return piecewise_backward(node, backward, g, saved, params);
      },
      params);
}
// A smooth function with a fused backward kernel and its algebra.
template <class F>
Tensor smooth(const char* op, const char* node, Pointwise forward, Pointwise backward, const Tensor& x,
              const Params& params, F algebra) {
  check_floating(op, x);
  return unary_from_input(
      op, node, forward, x, x.dtype(),
      [op, backward, params, algebra](const Tensor& g, const Tensor& saved) {
        return fused_backward(op, backward, g, saved, params, algebra);
      },
      params);
}

}  // namespace

Tensor relu(const Tensor& input) {
  FASTNN_CHECK(input.dtype() != DType::Bool, ErrorKind::Runtime, "Boolean inputs not supported for relu");
  return piecewise_from_output("relu", "ReluBackward0", table().relu, table().threshold_backward, input, params_of(0));
}

Tensor threshold(const Tensor& input, double threshold, double value) {
  return piecewise_from_input("threshold", "ThresholdBackward0", table().threshold, table().threshold_backward, input,
                              params_of(threshold, value));
}

Tensor leaky_relu(const Tensor& input, double negative_slope) {
  check_floating("leaky_relu_cpu", input);
  const auto record = negative_slope >= 0 ? &piecewise_from_output : &piecewise_from_input;
  return record("leaky_relu", "LeakyReluBackward0", table().leaky_relu, table().leaky_relu_backward, input,
                params_of(negative_slope));
}

Tensor hardtanh(const Tensor& input, double min_val, double max_val) {
  FASTNN_CHECK(input.dtype() != DType::Bool, ErrorKind::Runtime, "Bool inputs not supported for hardtanh");
  FASTNN_CHECK(min_val <= max_val, ErrorKind::Value, "min_val cannot be greater than max_val");
  Params params = params_of(min_val, max_val);
  params.i[0] = static_cast<std::int64_t>(min_val);
  params.i[1] = static_cast<std::int64_t>(max_val);
  return piecewise_from_output("hardtanh", "HardtanhBackward0", kernels().elementwise->clamp, table().hardtanh_backward,
                               input, params);
}

Tensor hardsigmoid(const Tensor& input) {
  check_floating("hardsigmoid_cpu", input);
  return piecewise_from_input("hardsigmoid", "HardsigmoidBackward0", table().hardsigmoid, table().hardsigmoid_backward,
                              input, {});
}

Tensor hardshrink(const Tensor& input, double lambd) {
  check_floating("hardshrink_cpu", input);
  return piecewise_from_input("hardshrink", "HardshrinkBackward0", table().hardshrink, table().shrink_backward, input,
                              params_of(rounded_to(input.dtype(), lambd)));
}

Tensor softshrink(const Tensor& input, double lambd) {
  check_floating("softshrink_cpu", input);
  FASTNN_CHECK(lambd >= 0, ErrorKind::Runtime, "lambda must be greater or equal to 0, but found to be ", lambd, ".");
  return piecewise_from_input("softshrink", "SoftshrinkBackward0", table().softshrink, table().shrink_backward, input,
                              params_of(lambd));
}

Tensor hardswish(const Tensor& input) {
  return smooth("hardswish", "HardswishBackward0", table().hardswish, table().hardswish_backward, input, {},
                [](const Tensor& g, const Tensor& x) {
                  const Tensor inside = g * (x / 3.0 + 0.5);
                  const Tensor above = where(ge(x, Tensor::wrapped(3.0)), g, inside);
                  return masked_fill(above, le(x, Tensor::wrapped(-3.0)), Scalar(0.0));
                });
}

namespace {

Tensor elu_slope(const Tensor& x, double alpha, double scale, double input_scale) {
  const Tensor below = exp(negative_part(x) * input_scale) * (alpha * scale * input_scale);
  return where(gt(x, Tensor::wrapped(0.0)), Tensor::wrapped(scale), below);
}

// The in-place variant has only the result to tell the slope from.
Tensor elu_from_output(const Tensor& input, double alpha, double scale, double input_scale) {
  return unary_from_output(
      "elu", "EluBackward1", table().elu, input, input.dtype(),
      [=](const Tensor& g, const Tensor& y) {
        return fused_backward("elu_backward", table().elu_backward_from_result, g, y,
                              params_of(alpha, scale, input_scale), [=](const Tensor& dg, const Tensor& r) {
                                const Tensor below = (r + alpha * scale) * input_scale;
                                const Tensor positive = gt(r, Tensor::wrapped(0.0));
                                return dg * where(positive, Tensor::wrapped(scale), below);
                              });
      },
      params_of(alpha, scale, input_scale));
}

}  // namespace

Tensor elu(const Tensor& input, double alpha, double scale, double input_scale) {
  return smooth("elu", "EluBackward0", table().elu, table().elu_backward, input, params_of(alpha, scale, input_scale),
                [=](const Tensor& g, const Tensor& x) { return g * elu_slope(x, alpha, scale, input_scale); });
}

Tensor gelu(const Tensor& input, std::string_view approximate) {
  constexpr double kSqrtHalf = 0.70710678118654752440;
  constexpr double kInverseSqrtTwoPi = 0.39894228040143267794;
  constexpr double kSqrtTwoOverPi = 0.79788456080286535588;
  constexpr double kCubic = 0.044715;
  if (approximate == "tanh") {
    return smooth("gelu", "GeluBackward0", table().gelu_tanh, table().gelu_tanh_backward, input, {},
                  [](const Tensor& g, const Tensor& x) {
                    const Tensor square_x = x * x;
                    const Tensor t = tanh(x * (square_x * kCubic + 1.0) * kSqrtTwoOverPi);
                    const Tensor inner_slope = (square_x * (3 * kCubic) + 1.0) * kSqrtTwoOverPi;
                    return g * ((t + 1.0) * 0.5 + x * 0.5 * (1.0 - t * t) * inner_slope);
                  });
  }
  FASTNN_CHECK(approximate == "none", ErrorKind::Runtime, "approximate argument must be either none or tanh.");
  return smooth("gelu", "GeluBackward0", table().gelu, table().gelu_backward, input, {},
                [](const Tensor& g, const Tensor& x) {
                  const Tensor distribution = (erf(x * kSqrtHalf) + 1.0) * 0.5;
                  const Tensor density = exp(x * x * -0.5) * kInverseSqrtTwoPi;
                  return g * (distribution + x * density);
                });
}

Tensor silu(const Tensor& input) {
  if (input.is_complex()) return input * sigmoid(input);
  return smooth("silu", "SiluBackward0", table().silu, table().silu_backward, input, {},
                [](const Tensor& g, const Tensor& x) {
                  const Tensor s = sigmoid(x);
                  return g * (s * (x * (1.0 - s) + 1.0));
                });
}

Tensor mish(const Tensor& input) {
  return smooth("mish", "MishBackward0", table().mish, table().mish_backward, input, {},
                [](const Tensor& g, const Tensor& x) {
                  const Tensor t = tanh(softplus(x));
                  return g * (t + x * sigmoid(x) * (1.0 - t * t));
                });
}

Tensor softplus(const Tensor& input, double beta, double threshold) {
  return smooth("softplus", "SoftplusBackward0", table().softplus, table().softplus_backward, input,
                params_of(beta, threshold), [=](const Tensor& g, const Tensor& x) {
                  const Tensor scaled = x * beta;
                  return where(gt(scaled, Tensor::wrapped(threshold)), g, g * sigmoid(scaled));
                });
}

Tensor logsigmoid(const Tensor& input) {
  return smooth("log_sigmoid", "LogSigmoidBackward0", table().logsigmoid, table().logsigmoid_backward, input, {},
                [](const Tensor& g, const Tensor& x) { return g * sigmoid(-x); });
}

namespace {

constexpr double kSeluAlpha = 1.6732632423543772848170429916717;
constexpr double kSeluScale = 1.0507009873554804934193349852946;

template <class F>
Tensor apply(const Tensor& input, bool inplace, const char* op, F f) {
  return inplace ? in_place(input, op, true, f) : f(input);
}

Tensor nn_relu(const Tensor& input, bool inplace) { return apply(input, inplace, "relu_", &relu); }
Tensor nn_relu6(const Tensor& input, bool inplace) {
  return apply(input, inplace, "relu6_", [](const Tensor& x) { return hardtanh(x, 0, 6); });
}
Tensor nn_threshold(const Tensor& input, double limit, double value, bool inplace) {
  return apply(input, inplace, "threshold_", [=](const Tensor& x) { return threshold(x, limit, value); });
}
Tensor nn_leaky_relu(const Tensor& input, double slope, bool inplace) {
  return apply(input, inplace, "leaky_relu_", [=](const Tensor& x) { return leaky_relu(x, slope); });
}
Tensor nn_hardtanh(const Tensor& input, double min_val, double max_val, bool inplace) {
  return apply(input, inplace, "hardtanh_", [=](const Tensor& x) { return hardtanh(x, min_val, max_val); });
}
Tensor elu_variant(const Tensor& input, bool inplace, const char* op, double alpha, double scale, double input_scale) {
  return apply(input, inplace, op, [=](const Tensor& x) {
    // From the result the slope is known only while it has the sign of the input.
    return inplace && alpha >= 0 && is_floating(x.dtype()) ? elu_from_output(x, alpha, scale, input_scale)
                                                           : elu(x, alpha, scale, input_scale);
  });
}
Tensor nn_elu(const Tensor& input, double alpha, bool inplace) {
  return elu_variant(input, inplace, "elu_", alpha, 1, 1);
}
Tensor nn_selu(const Tensor& input, bool inplace) {
  return elu_variant(input, inplace, "selu_", kSeluAlpha, kSeluScale, 1);
}
Tensor nn_celu(const Tensor& input, double alpha, bool inplace) {
  FASTNN_CHECK(alpha != 0, ErrorKind::Runtime, "ZeroDivisionError: alpha cannot be 0 for CELU");
  return elu_variant(input, inplace, "celu_", alpha, 1, 1 / alpha);
}
Tensor selu(const Tensor& input) { return elu(input, kSeluAlpha, kSeluScale, 1); }
Tensor celu(const Tensor& input, double alpha) { return nn_celu(input, alpha, false); }
Tensor nn_hardsigmoid(const Tensor& input, bool inplace) { return apply(input, inplace, "hardsigmoid_", &hardsigmoid); }
Tensor nn_hardswish(const Tensor& input, bool inplace) { return apply(input, inplace, "hardswish_", &hardswish); }
Tensor nn_silu(const Tensor& input, bool inplace) { return apply(input, inplace, "silu_", &silu); }
Tensor nn_mish(const Tensor& input, bool inplace) { return apply(input, inplace, "mish_", &mish); }
Tensor softsign(const Tensor& input) { return input / (abs(input) + 1.0); }
Tensor tanhshrink(const Tensor& input) { return input - tanh(input); }

constexpr unsigned kTensor = op_fn | op_method | op_inplace_direct;
}  // namespace

FASTNN_OPS(elementwise_activation) {
  op("relu(Tensor input) -> Tensor", &relu, kTensor);
  op("selu(Tensor input) -> Tensor", &selu, op_fn | op_inplace_direct);
  op("celu(Tensor input, float alpha=1.0) -> Tensor", &celu, op_fn | op_inplace_direct);
  op("threshold(Tensor input, float threshold, float value) -> Tensor", &threshold, op_fn | op_inplace_direct | op_out);
  op("hardshrink(Tensor input, float lambd=0.5) -> Tensor", &hardshrink, op_fn | op_method | op_out);

  op("nn.relu(Tensor input, bool inplace=False) -> Tensor", &nn_relu, op_fn);
  op("nn.relu6(Tensor input, bool inplace=False) -> Tensor", &nn_relu6, op_fn);
  op("nn.threshold(Tensor input, float threshold, float value, bool inplace=False) -> Tensor", &nn_threshold, op_fn);
  op("nn.leaky_relu(Tensor input, float negative_slope=0.01, bool inplace=False) -> Tensor", &nn_leaky_relu, op_fn);
  op("nn.hardtanh(Tensor input, float min_val=-1.0, float max_val=1.0, bool inplace=False) -> Tensor", &nn_hardtanh,
     op_fn);
  op("nn.elu(Tensor input, float alpha=1.0, bool inplace=False) -> Tensor", &nn_elu, op_fn);
  op("nn.selu(Tensor input, bool inplace=False) -> Tensor", &nn_selu, op_fn);
  op("nn.celu(Tensor input, float alpha=1.0, bool inplace=False) -> Tensor", &nn_celu, op_fn);
  op("nn.gelu(Tensor input, *, str approximate='none') -> Tensor", &gelu, op_fn | op_out);
  op("nn.silu(Tensor input, bool inplace=False) -> Tensor", &nn_silu, op_fn);
  op("nn.mish(Tensor input, bool inplace=False) -> Tensor", &nn_mish, op_fn);
  op("nn.softplus(Tensor input, float beta=1.0, float threshold=20.0) -> Tensor", &softplus, op_fn | op_out);
  op("nn.logsigmoid(Tensor input) -> Tensor", &logsigmoid, op_fn | op_out);
  op("nn.hardsigmoid(Tensor input, bool inplace=False) -> Tensor", &nn_hardsigmoid, op_fn);
  op("nn.hardswish(Tensor input, bool inplace=False) -> Tensor", &nn_hardswish, op_fn);
  op("nn.hardshrink(Tensor input, float lambd=0.5) -> Tensor", &hardshrink, op_fn | op_out);
  op("nn.softshrink(Tensor input, float lambd=0.5) -> Tensor", &softshrink, op_fn | op_out);
  op("nn.softsign(Tensor input) -> Tensor", &softsign, op_fn);
  op("nn.tanhshrink(Tensor input) -> Tensor", &tanhshrink, op_fn);
  op("nn.tanh(Tensor input) -> Tensor", &tanh, op_fn);
  op("nn.sigmoid(Tensor input) -> Tensor", &sigmoid, op_fn);
}

}  // namespace fastnn
