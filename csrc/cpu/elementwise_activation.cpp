// Activations and their fused backward kernels. In these g is the gradient of the result, x the input, y the result.
#include "cpu/elementwise.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kInverseSqrtTwoPi = 0.39894228040143267794;
constexpr double kSqrtTwoOverPi = 0.79788456080286535588;
constexpr double kGeluCubic = 0.044715;

struct Relu {
  template <class T>
  static T apply(T x) {
    return x < T(0) ? T(0) : x;
  }
};
struct Threshold {
  template <class T>
  static T apply(T x, const Params& p) {
    return x <= T(p.d[0]) ? T(p.d[1]) : x;
  }
};
struct ThresholdBackward {
  template <class T>
  static T apply(T g, T x, const Params& p) {
    return x <= T(p.d[0]) ? T(0) : g;
  }
};
struct LeakyRelu {
  template <class T>
  static T apply(T x, const Params& p) {
    return x > T(0) ? x : x * T(p.d[0]);
  }
};
struct LeakyReluBackward {
  template <class T>
  static T apply(T g, T x, const Params& p) {
    return x > T(0) ? g : g * T(p.d[0]);
  }
};
struct HardtanhBackward {
  template <class T>
  static T apply(T g, T x, const Params& p) {
    return x <= T(p.d[0]) || x >= T(p.d[1]) ? T(0) : g;
  }
};

struct Elu {
  template <class T>
  static Vec<T> apply(Vec<T> x, const Params& p) {
    const T negative = T(p.d[0]) * T(p.d[1]);
    return select(x > T(0), x * T(p.d[1]), expm1(x * T(p.d[2])) * negative);
  }
};
struct EluBackward {
  template <class T>
  static Vec<T> apply(Vec<T> g, Vec<T> x, const Params& p) {
    const T slope = T(p.d[0]) * T(p.d[1]) * T(p.d[2]);
    return g * select(x > T(0), T(p.d[1]), exp(x * T(p.d[2])) * slope);
  }
};
struct EluBackwardFromResult {
  template <class T>
  static T apply(T g, T y, const Params& p) {
    return y > T(0) ? g * T(p.d[1]) : g * T(p.d[2]) * (y + T(p.d[0]) * T(p.d[1]));
  }
};

struct SigmoidBackward {
  template <class T>
  static T apply(T g, T y) {
    return g * (T(1) - y) * y;
  }
};
struct TanhBackward {
  template <class T>
  static T apply(T g, T y) {
    return g * (T(1) - y * y);
  }
};

struct Gelu {
  template <class T>
  static Vec<T> apply(Vec<T> x) {
    return gelu(x);
  }
};
struct GeluBackward {
  template <class T>
  static Vec<T> apply(Vec<T> g, Vec<T> x) {
    const Vec<T> distribution = fma(erf(x * T(kSqrtHalf)), T(0.5), T(0.5));
    const Vec<T> density = exp(x * x * T(-0.5)) * T(kInverseSqrtTwoPi);
    return g * fma(x, density, distribution);
  }
};
struct GeluTanh {
  template <class T>
  static Vec<T> apply(Vec<T> x) {
    const Vec<T> inner = x * fma(x * x, T(kSqrtTwoOverPi * kGeluCubic), T(kSqrtTwoOverPi));
    return x * T(0.5) * (tanh(inner) + T(1));
  }
};
struct GeluTanhBackward {
  template <class T>
  static Vec<T> apply(Vec<T> g, Vec<T> x) {
    const Vec<T> square = x * x;
    const Vec<T> t = tanh(x * fma(square, T(kSqrtTwoOverPi * kGeluCubic), T(kSqrtTwoOverPi)));
    const Vec<T> inner_slope = fma(square, T(3 * kSqrtTwoOverPi * kGeluCubic), T(kSqrtTwoOverPi));
    const Vec<T> left = fma(t, T(0.5), T(0.5));
    return g * fma(x * T(0.5) * (Vec<T>(T(1)) - t * t), inner_slope, left);
  }
};

struct Silu {
  template <class T>
  static Vec<T> apply(Vec<T> x) {
    return x / (exp(-x) + T(1));
  }
};
struct SiluBackward {
  template <class T>
  static Vec<T> apply(Vec<T> g, Vec<T> x) {
    const Vec<T> s = sigmoid(x);
    return g * s * fma(x, Vec<T>(T(1)) - s, T(1));
  }
};
struct Mish {
  template <class T>
  static Vec<T> apply(Vec<T> x) {
    return x * tanh(softplus(x));
  }
};
struct MishBackward {
  template <class T>
  static Vec<T> apply(Vec<T> g, Vec<T> x) {
    const Vec<T> t = tanh(softplus(x));
    return g * fma(x * sigmoid(x), Vec<T>(T(1)) - t * t, t);
  }
};

struct Softplus {
  template <class T>
  static Vec<T> apply(Vec<T> x, const Params& p) {
    const Vec<T> scaled = x * T(p.d[0]);
    return select(scaled > T(p.d[1]), x, log1p(exp(scaled)) / T(p.d[0]));
  }
};
struct SoftplusBackward {
  template <class T>
  static Vec<T> apply(Vec<T> g, Vec<T> x, const Params& p) {
    const Vec<T> scaled = x * T(p.d[0]);
    return select(scaled > T(p.d[1]), g, g * sigmoid(scaled));
  }
};
struct Logsigmoid {
  template <class T>
  static Vec<T> apply(Vec<T> x) {
    return min_nan(x, T(0)) - log1p(exp(-abs(x)));
  }
};
struct LogsigmoidBackward {
  template <class T>
  static Vec<T> apply(Vec<T> g, Vec<T> x) {
    return g * sigmoid(-x);
  }
};

struct Hardsigmoid {
  template <class T>
  static T apply(T x) {
    const T shifted = x + T(3);
    const T low = shifted < T(0) ? T(0) : shifted;
    return (low > T(6) ? T(6) : low) / T(6);
  }
};
struct HardsigmoidBackward {
  template <class T>
  static T apply(T g, T x) {
    return x > T(-3) && x < T(3) ? g / T(6) : T(0);
  }
};
struct Hardswish {
  template <class T>
  static T apply(T x) {
    const T shifted = x + T(3);
    const T low = shifted < T(0) ? T(0) : shifted;
    return x * (low > T(6) ? T(6) : low) / T(6);
  }
};
struct HardswishBackward {
  template <class T>
  static T apply(T g, T x) {
    const T inside = g * (x / T(3) + T(0.5));
    return x <= T(-3) ? T(0) : x >= T(3) ? g : inside;
  }
};

struct Hardshrink {
  template <class T>
  static T apply(T x, const Params& p) {
    return x >= T(-p.d[0]) && x <= T(p.d[0]) ? T(0) : x;
  }
};
struct Softshrink {
  template <class T>
  static T apply(T x, const Params& p) {
    const T lambda = T(p.d[0]);
    const T inside = x * T(0);  // zero, or NaN
    return x > lambda ? x - lambda : x < -lambda ? x + lambda : inside;
  }
};
struct ShrinkBackward {
  template <class T>
  static T apply(T g, T x, const Params& p) {
    return x >= T(-p.d[0]) && x <= T(p.d[0]) ? T(0) : g;
  }
};

constexpr LoopTable kRelu = numbers<Relu, 1>();
constexpr LoopTable kThreshold = numbers<Threshold, 1>();
constexpr LoopTable kThresholdBackward = numbers<ThresholdBackward, 2>();
constexpr LoopTable kLeakyRelu = floats<LeakyRelu, 1>();
constexpr LoopTable kLeakyReluBackward = floats<LeakyReluBackward, 2>();
constexpr LoopTable kElu = vector_floats<Elu, 1>();
constexpr LoopTable kEluBackward = vector_floats<EluBackward, 2>();
constexpr LoopTable kEluBackwardFromResult = floats<EluBackwardFromResult, 2>();
constexpr LoopTable kHardtanhBackward = floats<HardtanhBackward, 2>();
constexpr LoopTable kSigmoidBackward = floats<SigmoidBackward, 2>();
constexpr LoopTable kTanhBackward = floats<TanhBackward, 2>();
constexpr LoopTable kGelu = vector_floats<Gelu, 1>();
constexpr LoopTable kGeluBackward = vector_floats<GeluBackward, 2>();
constexpr LoopTable kGeluTanh = vector_floats<GeluTanh, 1>();
constexpr LoopTable kGeluTanhBackward = vector_floats<GeluTanhBackward, 2>();
constexpr LoopTable kSilu = vector_floats<Silu, 1>();
constexpr LoopTable kSiluBackward = vector_floats<SiluBackward, 2>();
constexpr LoopTable kMish = vector_floats<Mish, 1>();
constexpr LoopTable kMishBackward = vector_floats<MishBackward, 2>();
constexpr LoopTable kSoftplus = vector_floats<Softplus, 1>();
constexpr LoopTable kSoftplusBackward = vector_floats<SoftplusBackward, 2>();
constexpr LoopTable kLogsigmoid = vector_floats<Logsigmoid, 1>();
constexpr LoopTable kLogsigmoidBackward = vector_floats<LogsigmoidBackward, 2>();
constexpr LoopTable kHardsigmoid = floats<Hardsigmoid, 1>();
constexpr LoopTable kHardsigmoidBackward = floats<HardsigmoidBackward, 2>();
constexpr LoopTable kHardswish = floats<Hardswish, 1>();
constexpr LoopTable kHardswishBackward = floats<HardswishBackward, 2>();
constexpr LoopTable kHardshrink = floats<Hardshrink, 1>();
constexpr LoopTable kSoftshrink = floats<Softshrink, 1>();
constexpr LoopTable kShrinkBackward = floats<ShrinkBackward, 2>();

}  // namespace

constinit const ActivationKernels activation_kernels = {
    .relu = &launch<1, kRelu>,
    .threshold = &launch<1, kThreshold>,
    .threshold_backward = &launch<2, kThresholdBackward>,
    .leaky_relu = &launch<1, kLeakyRelu>,
    .leaky_relu_backward = &launch<2, kLeakyReluBackward>,
    .elu = &launch<1, kElu>,
    .elu_backward = &launch<2, kEluBackward>,
    .elu_backward_from_result = &launch<2, kEluBackwardFromResult>,
    .hardtanh_backward = &launch<2, kHardtanhBackward>,
    .sigmoid_backward_from_result = &launch<2, kSigmoidBackward>,
    .tanh_backward_from_result = &launch<2, kTanhBackward>,
    .gelu = &launch<1, kGelu>,
    .gelu_backward = &launch<2, kGeluBackward>,
    .gelu_tanh = &launch<1, kGeluTanh>,
    .gelu_tanh_backward = &launch<2, kGeluTanhBackward>,
    .silu = &launch<1, kSilu>,
    .silu_backward = &launch<2, kSiluBackward>,
    .mish = &launch<1, kMish>,
    .mish_backward = &launch<2, kMishBackward>,
    .softplus = &launch<1, kSoftplus>,
    .softplus_backward = &launch<2, kSoftplusBackward>,
    .logsigmoid = &launch<1, kLogsigmoid>,
    .logsigmoid_backward = &launch<2, kLogsigmoidBackward>,
    .hardsigmoid = &launch<1, kHardsigmoid>,
    .hardsigmoid_backward = &launch<2, kHardsigmoidBackward>,
    .hardswish = &launch<1, kHardswish>,
    .hardswish_backward = &launch<2, kHardswishBackward>,
    .hardshrink = &launch<1, kHardshrink>,
    .softshrink = &launch<1, kSoftshrink>,
    .shrink_backward = &launch<2, kShrinkBackward>,
};

FASTNN_CPU_END
