// Connectionist temporal classification (Graves et al., 2006).
#include "autograd/record.h"
#include "kernels/table.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

// The labels and lengths of a batch; owns what the kernel's view points to.
struct Targets {
  std::int64_t blank;
  Tensor labels;  // contiguous int64
  std::vector<std::int64_t> begin, count, steps;

  CtcBatch view(const Tensor& log_probabilities) const {
    const Dims& sizes = log_probabilities.sizes();
    std::int64_t most = 0;
    for (const std::int64_t n : count) most = std::max(most, n);
    return {sizes[0],     sizes[1],     sizes[2],     blank,       labels.as<std::int64_t>(),
            begin.data(), count.data(), steps.data(), 2 * most + 1};
  }
};
using SharedTargets = std::shared_ptr<const Targets>;

Tensor ones_gradient(const Tensor& log_probabilities, const Tensor& losses, const Tensor& reached,
                     const SharedTargets& targets, bool zero_infinity) {
  const Tensor x = contiguous(log_probabilities.detached());
  Tensor out = Tensor::empty(x.sizes(), x.dtype());
  if (LaunchCount::counting) ++LaunchCount::value;
  kernels().ctc->gradient(out.view(), losses.view(), reached.view(), x.view(), targets->view(x), zero_infinity);
  if (needs_grad(log_probabilities)) {
    record("CtcLossBackwardBackward0", out, {&log_probabilities},
           [](const Tensor&, Slots&) { fail("ctc_loss: the derivative of its gradient is not implemented"); });
  }
  return out;
}

// The loss of each sample of [steps, batch, classes].
Tensor losses_of(const Tensor& log_probabilities, const SharedTargets& targets, bool zero_infinity) {
  const Tensor x = contiguous(log_probabilities.detached());
  const CtcBatch shape = targets->view(x);
  Tensor losses = Tensor::empty(Dims{shape.batch}, x.dtype());
  const Tensor reached = Tensor::empty(Dims{shape.batch, shape.steps, shape.states}, x.dtype());
  if (LaunchCount::counting) ++LaunchCount::value;
  kernels().ctc->losses(losses.view(), reached.view(), x.view(), shape);
  if (needs_grad(log_probabilities)) {
    record("CtcLossBackward0", losses, {&log_probabilities},
           [saved = save(log_probabilities), kept = save_output(losses), reached, targets, zero_infinity](
               const Tensor& g, Slots& d) {
             d[0] = mul(ones_gradient(saved.get(), kept.get(), reached, targets, zero_infinity), unsqueeze(g, -1));
           });
  }
  return losses;
}

// Lengths of the samples; one number for a sample without a batch.
std::vector<std::int64_t> lengths_of(const char* name, const Tensor& lengths, std::int64_t batch) {
  FASTNN_CHECK(is_integral(lengths.dtype()), ErrorKind::Runtime, name, " must be integral");
  FASTNN_CHECK(lengths.ndim() <= 1 && lengths.numel() == batch, ErrorKind::Runtime, name,
               " must be of size batch_size (", batch, "), but has shape ", lengths.sizes());
  const Tensor wide = contiguous(to_dtype(lengths, DType::Int64));
  return {wide.as<std::int64_t>(), wide.as<std::int64_t>() + batch};
}

void check_lengths(const Targets& targets, const Dims& sizes) {
  for (const std::int64_t n : targets.steps) {
    FASTNN_CHECK(n >= 0 && n <= sizes[0], ErrorKind::Runtime, "Expected input_lengths to have value at ",
                 n < 0 ? "least 0" : "most " + std::to_string(sizes[0]), ", but got value ", n,
                 " (while checking arguments for ctc_loss_allocate_outputs)");
  }
  for (std::size_t b = 0; b < targets.count.size(); ++b) {
    const std::int64_t* labels = targets.labels.as<std::int64_t>() + targets.begin[b];
    for (std::int64_t i = 0; i < targets.count[b]; ++i) {
      FASTNN_CHECK(labels[i] >= 0 && labels[i] < sizes[2], ErrorKind::Runtime, "ctc_loss: targets must be in [0, ",
                   sizes[2], "), but got ", labels[i]);
    }
  }
}

SharedTargets targets_of(const Tensor& given, std::vector<std::int64_t> steps, std::vector<std::int64_t> count,
                         std::int64_t blank, const Dims& sizes) {
  FASTNN_CHECK(blank >= 0 && blank < sizes[2], ErrorKind::Runtime, "blank must be in label range");
  auto targets = std::make_shared<Targets>();
  targets->blank = blank;
  targets->labels = contiguous(to_dtype(given.detached(), DType::Int64));
  targets->steps = std::move(steps);
  targets->count = std::move(count);
  const bool rows = given.ndim() == 2;
  FASTNN_CHECK(rows || given.ndim() == 1, ErrorKind::Runtime,
               "ctc_loss: expected targets of 1 or 2 dimensions, but got ", given.sizes());
  FASTNN_CHECK(!rows || given.sizes()[0] == sizes[1], ErrorKind::Runtime, "Expected tensor to have size ", sizes[1],
               " at dimension 0, but got size ", given.sizes()[0],
               " for argument #2 'targets' (while checking arguments for ctc_loss_allocate_outputs)");
  std::int64_t total = 0;
  for (std::size_t b = 0; b < targets->count.size(); ++b) {
    const std::int64_t n = targets->count[b];
    FASTNN_CHECK(n >= 0, ErrorKind::Runtime, "Expected target_lengths to have value at least 0, but got value ", n,
                 " (while checking arguments for ctc_loss_allocate_outputs)");
    FASTNN_CHECK(!rows || n <= given.sizes()[1], ErrorKind::Runtime, "Expected tensor to have size at least ", n,
                 " at dimension 1, but got size ", rows ? given.sizes()[1] : 0,
                 " for argument #2 'targets' (while checking arguments for ctc_loss_allocate_outputs)");
    targets->begin.push_back(rows ? static_cast<std::int64_t>(b) * given.sizes()[1] : total);
    total += n;
  }
  FASTNN_CHECK(rows || total == given.numel(), ErrorKind::Runtime, "Expected tensor to have size ", total,
               " at dimension 0, but got size ", given.numel(),
               " for argument #2 'targets' (while checking arguments for ctc_loss_allocate_outputs)");
  check_lengths(*targets, sizes);
  return targets;
}

Tensor ctc_loss(const Tensor& given, const Tensor& given_targets, std::vector<std::int64_t> steps,
                std::vector<std::int64_t> count, std::int64_t blank, std::string_view reduction, bool zero_infinity) {
  FASTNN_CHECK(reduction == "none" || reduction == "mean" || reduction == "sum", ErrorKind::Value, reduction,
               " is not a valid value for reduction");
  if (given.dtype() != DType::Float32 && given.dtype() != DType::Float64)
    fail_not_implemented("ctc_loss", given.dtype());
  const bool batched = given.ndim() == 3;
  const Tensor x = batched ? given : unsqueeze(given, 1);
  const SharedTargets targets =
      targets_of(batched || given_targets.ndim() != 1 ? given_targets : unsqueeze(given_targets, 0), std::move(steps),
                 std::move(count), blank, x.sizes());
  Tensor losses = losses_of(x, targets, zero_infinity);
  if (zero_infinity) losses = masked_fill(losses, isposinf(losses), Scalar(0));
  if (!batched) losses = squeeze(losses, 0);
  if (reduction == "none") return losses;
  if (reduction == "sum") return sum(losses);
  Tensor lengths = Tensor::empty(Dims{static_cast<std::int64_t>(targets->count.size())}, DType::Int64);
  std::copy(targets->count.begin(), targets->count.end(), lengths.as<std::int64_t>());
  const Tensor divisors = clamp(to_dtype(lengths, x.dtype()), Scalar(1), {});
  return mean(div(losses, divisors));
}

Tensor ctc_loss_of_tensors(const Tensor& log_probs, const Tensor& targets, const Tensor& input_lengths,
                           const Tensor& target_lengths, std::int64_t blank, std::string_view reduction,
                           bool zero_infinity) {
  FASTNN_CHECK(log_probs.ndim() == 2 || log_probs.ndim() == 3, ErrorKind::Runtime,
               "ctc_loss: expected log_probs of 2 or 3 dimensions, but got ", log_probs.sizes());
  const std::int64_t batch = log_probs.ndim() == 3 ? log_probs.sizes()[1] : 1;
  return ctc_loss(log_probs, targets, lengths_of("input_lengths", input_lengths, batch),
                  lengths_of("target_lengths", target_lengths, batch), blank, reduction, zero_infinity);
}
Tensor ctc_loss_of_lists(const Tensor& log_probs, const Tensor& targets, IntSpan input_lengths, IntSpan target_lengths,
                         std::int64_t blank, std::string_view reduction, bool zero_infinity) {
  const auto as_tensor = [](IntSpan lengths) {
    Tensor result = Tensor::empty(Dims{static_cast<std::int64_t>(lengths.size())}, DType::Int64);
    std::copy(lengths.begin(), lengths.end(), result.as<std::int64_t>());
    return result;
  };
  return ctc_loss_of_tensors(log_probs, targets, as_tensor(input_lengths), as_tensor(target_lengths), blank, reduction,
                             zero_infinity);
}

}  // namespace

FASTNN_OPS(ctc) {
  op("nn.ctc_loss(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, int blank=0, str "
     "reduction='mean', bool zero_infinity=False) -> Tensor",
     &ctc_loss_of_tensors, op_fn);
  op("nn.ctc_loss(Tensor log_probs, Tensor targets, int[] input_lengths, int[] target_lengths, int blank=0, str "
     "reduction='mean', bool zero_infinity=False) -> Tensor",
     &ctc_loss_of_lists, op_fn);
}

}  // namespace fastnn
