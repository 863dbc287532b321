#include "ops/loss.h"

#include <string>

#include "kernels/loss.h"
#include "ops/elementwise.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/reduce_dims.h"
#include "ops/registry.h"
#include "ops/shape.h"
#include "ops/softmax.h"

namespace fastnn {

namespace {

const LossKernels& table() { return *kernels().loss; }

enum class ReductionKind : std::uint8_t { None, Mean, Sum };

ReductionKind reduction_kind(std::string_view reduction) {
  if (reduction == "none") return ReductionKind::None;
  if (reduction == "mean") return ReductionKind::Mean;
  FASTNN_CHECK(reduction == "sum", ErrorKind::Value, reduction, " is not a valid value for reduction");
  return ReductionKind::Sum;
}

// What PyTorch's old arguments mean.
std::string_view legacy_reduction(std::optional<bool> size_average, std::optional<bool> reduce,
                                  std::string_view reduction) {
  if (!size_average && !reduce) return reduction;
  if (!reduce.value_or(true)) return "none";
  return size_average.value_or(true) ? "mean" : "sum";
}

Tensor reduced(const Tensor& loss, ReductionKind kind) {
  return kind == ReductionKind::None ? loss : kind == ReductionKind::Mean ? mean(loss) : sum(loss);
}

void check_floating(const char* op, const Tensor& input) {
  FASTNN_CHECK(input.is_floating(), ErrorKind::NotImplemented, '"', op, "\" not implemented for '", input.dtype(), "'");
}

// --- class losses ----------------------------------------------------------------------------------------------------

int class_dim(const Tensor& input) { return input.ndim() == 1 ? 0 : 1; }

void check_class_loss(const Tensor& input, const Tensor& target, const Tensor& weight) {
  FASTNN_CHECK(input.ndim() >= 1, ErrorKind::Value, "Expected input to have at least 1 dimension");
  const int dim = class_dim(input);
  FASTNN_CHECK(input.ndim() == 1 ? target.ndim() <= 1 : target.ndim() >= 1, ErrorKind::Runtime,
               "input and target do not fit: got input of shape ", input.sizes(), " and target of shape ",
               target.sizes());
  if (dim == 1) {
    FASTNN_CHECK(input.sizes()[0] == target.sizes()[0], ErrorKind::Value, "Expected input batch_size (",
                 input.sizes()[0], ") to match target batch_size (", target.sizes()[0], ").");
  }
  Dims expected = input.sizes();
  expected.erase(dim);
  FASTNN_CHECK(target.sizes() == expected || (input.ndim() == 1 && target.numel() == 1), ErrorKind::Runtime,
               "size mismatch (got input: ", input.sizes(), ", target: ", target.sizes(), ")");
  FASTNN_CHECK(target.dtype() == DType::Int64 || target.dtype() == DType::UInt8, ErrorKind::Runtime,
               "expected scalar type Long but found ", target.dtype());
  const std::int64_t classes = input.sizes()[dim];
  FASTNN_CHECK(!weight.defined() || (weight.ndim() == 1 && weight.numel() == classes), ErrorKind::Runtime,
               "weight tensor should be defined either for all ", classes,
               " classes or no classes but got weight tensor of shape: ", weight.defined() ? weight.sizes() : Dims());
  FASTNN_CHECK(!weight.defined() || weight.dtype() == input.dtype(), ErrorKind::Runtime,
               "expected weight to have the dtype of the input, ", input.dtype(), ", but got ",
               weight.defined() ? weight.dtype() : input.dtype());
}

// What the derivative of a class loss needs beside the input.
struct ClassTargets {
  Tensor target;    // contiguous
  Tensor weight;    // contiguous, in the type of computation; may be undefined
  Tensor log_sums;  // of every position
  ClassLoss options;

  View weight_view() const { return weight.defined() ? weight.view() : View{}; }
};

Tensor class_gradient(const Tensor& g, double scale, const Tensor& input, const ClassTargets& t,
                      const ClassLoss& options) {
  const Tensor x = contiguous(input);
  Tensor result = Tensor::empty(x.sizes(), x.dtype());
  const int dim = class_dim(x);
  if (LaunchCount::counting) ++LaunchCount::value;
  table().class_loss_backward(Around(result, dim).view(), g.view(), scale, t.log_sums.view(), Around(x, dim).view(),
                              t.target.view(), t.weight_view(), options);
  return result;
}

// In Tensor algebra: g times (all softmax(input) - constant), where `all` is the sum of the constant over the classes.
Tensor composed_class_gradient(const Tensor& g, double scale, const Tensor& input, const ClassTargets& t) {
  const int dim = class_dim(input);
  ClassLoss options = t.options;
  options.log_probabilities = true;
  Tensor constant;
  {
    const GradModeGuard off(false);
    const DType compute = compute_type(input.dtype());
    constant = class_gradient(Tensor::full({}, 1, compute), 1, to_dtype(input, compute), t, options);
  }
  Tensor per_loss = mul(g, Scalar(scale));
  if (g.ndim() > 0) per_loss = unsqueeze(per_loss, dim);
  if (t.options.log_probabilities) return to_dtype(mul(per_loss, constant), input.dtype());
  const std::int64_t along[] = {dim};
  const Tensor all = sum(constant, IntSpan(along), true);
  const Tensor probabilities = softmax(to_dtype(input, constant.dtype()), dim);
  return to_dtype(mul(per_loss, sub(constant, mul(all, probabilities))), input.dtype());
}

Tensor class_loss(const char* node, const Tensor& input, const Tensor& target, const Tensor& weight, ReductionKind kind,
                  const ClassLoss& options) {
  check_floating("nll_loss", input);
  check_class_loss(input, target, weight);
  const DType compute = compute_type(input.dtype());
  ClassTargets t;
  ClassLossTotals totals;
  Tensor losses = Tensor::empty(target.sizes(), compute);
  {
    const GradModeGuard off(false);
    const Tensor x = contiguous(input);
    const int dim = class_dim(x);
    t = {contiguous(target), weight.defined() ? contiguous(to_dtype(weight, compute)) : Tensor(),
         Tensor::empty(target.sizes(), compute), options};
    if (LaunchCount::counting) ++LaunchCount::value;
    table().class_loss(losses.view(), t.log_sums.view(), Around(x, dim).view(), t.target.view(), t.weight_view(),
                       options, totals);
    FASTNN_CHECK(!totals.out_of_range, ErrorKind::Index, "Target ", totals.bad_target, " is out of bounds.");
  }
  Tensor out;
  if (kind == ReductionKind::None) {
    out = to_dtype(losses, input.dtype());
  } else {
    out = Tensor::full({}, kind == ReductionKind::Mean ? totals.loss / totals.weight : totals.loss, input.dtype());
  }
  if (needs_grad(input)) {
    const double scale = kind == ReductionKind::Mean ? 1 / totals.weight : 1;
    record(node, out, {&input},
           [t = std::move(t), scale, sx = save(input), starget = save(target), sweight = save(weight)](const Tensor& g,
                                                                                                       Slots& d) {
             for (const Saved* constant : {&starget, &sweight}) constant->get();  // t holds them, or copies: unchanged?
             if (grad_mode().enabled) {
               d[0] = composed_class_gradient(g, scale, sx.get(), t);
             } else {
               const Tensor gradient = contiguous(to_dtype(g, compute_type(g.dtype())));
               d[0] = class_gradient(gradient, scale, sx.get(), t, t.options);
             }
           });
  }
  return out;
}

Tensor cross_entropy_of_probabilities(const Tensor& input, const Tensor& target, const Tensor& weight,
                                      ReductionKind kind, double smoothing) {
  FASTNN_CHECK(target.is_floating(), ErrorKind::Runtime,
               "Expected floating point type for target with class probabilities, got ", target.dtype());
  const int dim = class_dim(input);
  const std::int64_t classes = input.sizes()[dim];
  FASTNN_CHECK(!weight.defined() || (weight.ndim() == 1 && weight.numel() == classes), ErrorKind::Runtime,
               "cross_entropy: weight tensor should be defined either for all ", classes,
               " classes or no classes but got weight tensor of shape: ", weight.defined() ? weight.sizes() : Dims());
  Tensor share = target;
  if (smoothing > 0) {
    share = add(mul(share, Scalar(1 - smoothing)), Scalar(smoothing / static_cast<double>(classes)));
  }
  Tensor terms = mul(log_softmax(input, dim), share);
  if (weight.defined()) {
    Dims shape = Dims::filled(input.ndim(), 1);
    shape[dim] = classes;
    terms = mul(terms, reshape(weight, shape));
  }
  const std::int64_t along[] = {dim};
  const Tensor losses = neg(sum(terms, IntSpan(along)));
  return kind == ReductionKind::None ? losses : kind == ReductionKind::Sum ? sum(losses) : mean(losses);
}

}  // namespace

Tensor cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight, std::int64_t ignore_index,
                     std::string_view reduction, double label_smoothing) {
  const ReductionKind kind = reduction_kind(reduction);
  FASTNN_CHECK(label_smoothing >= 0 && label_smoothing <= 1, ErrorKind::Runtime,
               "label_smoothing must be between 0.0 and 1.0. Got: ", label_smoothing);
  if (input.sizes() == target.sizes() && input.ndim() > 0) {
    FASTNN_CHECK(ignore_index < 0, ErrorKind::Runtime, "ignore_index is not supported for floating point target");
    check_floating("log_softmax", input);
    return cross_entropy_of_probabilities(input, target, weight, kind, label_smoothing);
  }
  return class_loss("CrossEntropyLossBackward0", input, target, weight, kind, {ignore_index, label_smoothing, false});
}

Tensor nll_loss(const Tensor& input, const Tensor& target, const Tensor& weight, std::int64_t ignore_index,
                std::string_view reduction) {
  return class_loss("NllLossBackward0", input, target, weight, reduction_kind(reduction), {ignore_index, 0, true});
}

// --- squares and binary cross entropy
// ----------------------------------------------------------------------------------

Tensor mse_loss(const Tensor& input, const Tensor& target, std::string_view reduction) {
  const ReductionKind kind = reduction_kind(reduction);
  Tensor out;
  std::int64_t count = 1;
  {
    const GradModeGuard off(false);
    const Tensor difference = sub(input, target);
    check_floating("mse_loss", difference);
    if (kind == ReductionKind::None) {
      out = mul(difference, difference);
    } else {
      if (kind == ReductionKind::Mean) count = difference.numel();
      ReduceParams params;
      params.divisor = static_cast<double>(count);
      const ReduceDims dims(difference, std::nullopt, "mse_loss");
      out = reduce("mse_loss", kernels().reduce->sum_squares, difference, dims, false, difference.dtype(), params);
    }
  }
  if (needs_grad(input, target)) {
    record_pointwise("MseLossBackward0", out, {&input, &target},
                     [count, sx = save(input), st = save(target)](const Tensor& g, Slots& d) {
                       const Tensor scaled = mul(g, Scalar(2 / static_cast<double>(count)));
                       const Tensor of_input = mul(sub(sx.get(), st.get()), scaled);
                       if (d.wants(0)) d[0] = of_input;
                       if (d.wants(1)) d[1] = neg(of_input);
                     });
  }
  return out;
}

namespace {

void check_same_sizes(const Tensor& input, const Tensor& target, const char* why) {
  FASTNN_CHECK(input.sizes() == target.sizes(), ErrorKind::Value, why, "Target size (", target.sizes(),
               ") must be the same as input size (", input.sizes(), ")");
}

constexpr double kLogFloor = -100;        // logarithms of probabilities are no less
constexpr double kVarianceFloor = 1e-12;  // nor p (1 - p) in the slope

Tensor log_floored(const Tensor& p) { return maximum(log(p), Scalar(kLogFloor).wrapped()); }

// -(t log p + (1 - t) log(1 - p)) of each element
Tensor binary_terms(const Tensor& p, const Tensor& t) {
  const Tensor complement = add(neg(p), Scalar(1));
  Tensor out;
  {
    const GradModeGuard off(false);
    const Tensor log_p = log_floored(p);
    const Tensor log_q = log_floored(complement.detached());
    out = sub(mul(sub(t, Scalar(1).wrapped()), log_q), mul(t, log_p));
  }
  if (needs_grad(p, t)) {
    record("BinaryCrossEntropyBackward0", out, {&p, &t}, [sp = save(p), st = save(t, p)](const Tensor& g, Slots& d) {
      const Tensor& probability = sp.get();
      const Tensor rest = add(neg(probability), Scalar(1));
      if (d.wants(0)) {
        const Tensor variance = maximum(mul(probability, rest), Scalar(kVarianceFloor).wrapped());
        d[0] = div(mul(g, sub(probability, st.get())), variance);
      }
      if (d.wants(1)) d[1] = mul(g, sub(log_floored(rest), log_floored(probability)));
    });
  }
  return out;
}

// softplus(x) - x t of each element
Tensor logit_terms(const Tensor& x, const Tensor& t) {
  const DType dtype = result_type(x, t);
  Tensor out = pointwise("binary_cross_entropy_with_logits", table().bce_with_logits, {&x, &t}, dtype, dtype);
  if (needs_grad(x, t)) {
    record_pointwise("BinaryCrossEntropyWithLogitsBackward0", out, {&x, &t},
                     [sx = save(x), st = save(t, x)](const Tensor& g, Slots& d) {
                       const Tensor& logit = sx.get();
                       if (d.wants(0)) {
                         const Tensor& target = st.get();
                         const DType type = result_type(logit, target);
                         const Tensor slope = grad_mode().enabled ? sub(sigmoid(logit), target)
                                                                  : pointwise("binary_cross_entropy_with_logits",
                                                                              table().bce_with_logits_backward,
                                                                              {&logit, &target}, type, type);
                         d[0] = mul(slope, g);
                       }
                       if (d.wants(1)) d[1] = neg(mul(logit, g));
                     });
  }
  return out;
}

}  // namespace

Tensor binary_cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight,
                            std::string_view reduction) {
  const ReductionKind kind = reduction_kind(reduction);
  check_floating("binary_cross_entropy", input);
  check_same_sizes(input, target, "binary_cross_entropy: ");
  FASTNN_CHECK(target.dtype() == input.dtype(), ErrorKind::Runtime, "Found dtype ", target.dtype(), " but expected ",
               input.dtype());
  if (input.numel() > 0) {
    const GradModeGuard off(false);
    FASTNN_CHECK(!(amin(input).item_double() < 0) && !(amax(input).item_double() > 1), ErrorKind::Runtime,
                 "all elements of input should be between 0 and 1");
  }
  const Tensor terms = binary_terms(input, target);
  return reduced(weight.defined() ? mul(terms, weight) : terms, kind);
}

Tensor binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target, const Tensor& weight,
                                        const Tensor& pos_weight, std::string_view reduction) {
  const ReductionKind kind = reduction_kind(reduction);
  check_same_sizes(input, target, "");
  check_floating("binary_cross_entropy_with_logits", input);
  Tensor terms;
  if (pos_weight.defined()) {
    // (1 - t) x + (1 + (pos_weight - 1) t) softplus(-x), where softplus(-x) is the loss of target 1
    const Tensor factor = add(mul(sub(pos_weight, Scalar(1).wrapped()), target), Scalar(1));
    const Tensor of_one = logit_terms(input, Tensor::full({}, 1, input.dtype()));
    terms = add(mul(add(neg(target), Scalar(1)), input), mul(factor, of_one));
  } else {
    terms = logit_terms(input, target);
  }
  return reduced(weight.defined() ? mul(terms, weight) : terms, kind);
}

// --- the public signatures
// --------------------------------------------------------------------------------------------

namespace {

using Flag = std::optional<bool>;

Tensor nn_cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight, Flag size_average,
                        std::int64_t ignore_index, Flag reduce, std::string_view reduction, double label_smoothing) {
  return cross_entropy(input, target, weight, ignore_index, legacy_reduction(size_average, reduce, reduction),
                       label_smoothing);
}
Tensor nn_nll_loss(const Tensor& input, const Tensor& target, const Tensor& weight, Flag size_average,
                   std::int64_t ignore_index, Flag reduce, std::string_view reduction) {
  return nll_loss(input, target, weight, ignore_index, legacy_reduction(size_average, reduce, reduction));
}
Tensor nn_mse_loss(const Tensor& input, const Tensor& target, Flag size_average, Flag reduce,
                   std::string_view reduction, const Tensor& weight) {
  const std::string_view chosen = legacy_reduction(size_average, reduce, reduction);
  if (!weight.defined()) return mse_loss(input, target, chosen);
  FASTNN_CHECK(weight.sizes() == input.sizes(), ErrorKind::Value, "Weights and input must have the same size.");
  const Tensor terms = mul(mse_loss(input, target, "none"), weight);
  const ReductionKind kind = reduction_kind(chosen);
  return kind == ReductionKind::Mean ? div(sum(terms), sum(weight)) : reduced(terms, kind);
}
Tensor nn_binary_cross_entropy(const Tensor& input, const Tensor& target, const Tensor& weight, Flag size_average,
                               Flag reduce, std::string_view reduction) {
  return binary_cross_entropy(input, target, weight, legacy_reduction(size_average, reduce, reduction));
}
Tensor nn_binary_cross_entropy_with_logits(const Tensor& input, const Tensor& target, const Tensor& weight,
                                           Flag size_average, Flag reduce, std::string_view reduction,
                                           const Tensor& pos_weight) {
  return binary_cross_entropy_with_logits(input, target, weight, pos_weight,
                                          legacy_reduction(size_average, reduce, reduction));
}

}  // namespace

FASTNN_OPS(loss) {
  op("nn.cross_entropy(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, int "
     "ignore_index=-100, "
     "bool? reduce=None, str reduction='mean', float label_smoothing=0.0) -> Tensor",
     &nn_cross_entropy, op_fn);
  op("nn.nll_loss(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, int ignore_index=-100, "
     "bool? reduce=None, str reduction='mean') -> Tensor",
     &nn_nll_loss, op_fn);
  op("nn.mse_loss(Tensor input, Tensor target, bool? size_average=None, bool? reduce=None, str reduction='mean', "
     "Tensor? weight=None) -> Tensor",
     &nn_mse_loss, op_fn);
  op("nn.binary_cross_entropy(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, "
     "bool? reduce=None, str reduction='mean') -> Tensor",
     &nn_binary_cross_entropy, op_fn);
  op("nn.binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight=None, bool? size_average=None, "
     "bool? reduce=None, str reduction='mean', Tensor? pos_weight=None) -> Tensor",
     &nn_binary_cross_entropy_with_logits, op_fn);
}

}  // namespace fastnn
