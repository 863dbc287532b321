#include "ops/softmax.h"

#include <limits>

#include "kernels/softmax.h"
#include "ops/elementwise.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/reduce_dims.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

const SoftmaxKernels& table() { return *kernels().softmax; }

// One kernel over [outer, n, inner], no history.
Tensor run_forward(SoftmaxKernels::Forward kernel, const Tensor& input, int dim) {
  const GradModeGuard off(false);
  const Tensor in = contiguous(input);
  Tensor out = Tensor::empty(in.sizes(), in.dtype());
  if (LaunchCount::counting) ++LaunchCount::value;
  if (in.numel() > 0) kernel(Around(out, dim).view(), Around(in, dim).view());
  return out;
}

Tensor run_backward(SoftmaxKernels::Backward kernel, const Tensor& g, const Tensor& out, int dim) {
  const Tensor gradient = contiguous(g);
  Tensor result = Tensor::empty(out.sizes(), out.dtype());
  if (LaunchCount::counting) ++LaunchCount::value;
  if (out.numel() > 0) kernel(Around(result, dim).view(), Around(gradient, dim).view(), Around(out, dim).view());
  return result;
}

Tensor softmax_over(const Tensor& input, int dim) {
  Tensor out = run_forward(table().softmax, input, dim);
  if (needs_grad(input)) {
    record("SoftmaxBackward0", out, {&input}, [dim, so = save_output(out)](const Tensor& g, Slots& d) {
      const Tensor y = so.get();
      if (!grad_mode().enabled) {
        d[0] = run_backward(table().softmax_backward, g, y, dim);
        return;
      }
      const std::int64_t along[] = {dim};
      d[0] = mul(sub(g, sum(mul(g, y), IntSpan(along), true)), y);
    });
  }
  return out;
}

Tensor log_softmax_over(const Tensor& input, int dim) {
  Tensor out = run_forward(table().log_softmax, input, dim);
  if (needs_grad(input)) {
    record("LogSoftmaxBackward0", out, {&input}, [dim, so = save_output(out)](const Tensor& g, Slots& d) {
      const Tensor y = so.get();
      if (!grad_mode().enabled) {
        d[0] = run_backward(table().log_softmax_backward, g, y, dim);
        return;
      }
      const std::int64_t along[] = {dim};
      d[0] = sub(g, mul(exp(y), sum(g, IntSpan(along), true)));
    });
  }
  return out;
}

// What PyTorch takes when `dim` is left out.
std::int64_t implicit_dim(const Tensor& input, std::optional<std::int64_t> dim) {
  if (dim) return *dim;
  return input.ndim() == 0 || input.ndim() == 1 || input.ndim() == 3 ? 0 : 1;
}

Tensor nn_softmax(const Tensor& input, std::optional<std::int64_t> dim, std::int64_t, std::optional<DType> dtype) {
  return softmax(input, implicit_dim(input, dim), dtype);
}
Tensor nn_log_softmax(const Tensor& input, std::optional<std::int64_t> dim, std::int64_t, std::optional<DType> dtype) {
  return log_softmax(input, implicit_dim(input, dim), dtype);
}
Tensor nn_softmin(const Tensor& input, std::optional<std::int64_t> dim, std::int64_t, std::optional<DType> dtype) {
  return softmax(neg(input), implicit_dim(input, dim), dtype);
}

// The reduced dimensions moved to the end and merged: [kept..., n].
Tensor merge_reduced(const Tensor& input, const ReduceDims& dims) {
  Dims order;
  Dims sizes;
  for (int d = 0; d < input.ndim(); ++d) {
    if (dims.reduced[d]) continue;
    order.push_back(d);
    sizes.push_back(input.sizes()[d]);
  }
  for (int d = 0; d < input.ndim(); ++d) {
    if (dims.reduced[d]) order.push_back(d);
  }
  sizes.push_back(dims.total);
  return reshape(permute(input, order), sizes);
}

}  // namespace

Tensor softmax(const Tensor& input, std::int64_t dim, std::optional<DType> dtype) {
  const int at = wrap_dim(dim, input.ndim(), "softmax");
  return softmax_over(dtype ? to_dtype(input, *dtype) : input, at);
}

Tensor log_softmax(const Tensor& input, std::int64_t dim, std::optional<DType> dtype) {
  const int at = wrap_dim(dim, input.ndim(), "log_softmax");
  return log_softmax_over(dtype ? to_dtype(input, *dtype) : input, at);
}

Tensor logsumexp(const Tensor& input, IntSpan dim, bool keepdim) {
  const Tensor x = to_dtype(input, floating_result(input.dtype()));
  if (x.is_complex()) {
    const Tensor most = amax(real(x.detached()), dim, true);
    const Tensor shift = masked_fill(most, logical_not(isfinite(most)), Scalar(0));
    const Tensor total = add(log(sum(exp(sub(x, shift)), dim, true)), shift);
    return keepdim ? total : view(total, ReduceDims(x, dim, "logsumexp").out_sizes(false));
  }
  const ReduceDims dims(x, dim, "logsumexp");
  Tensor out;
  {
    const GradModeGuard off(false);
    out = Tensor::empty(dims.out_sizes(keepdim), x.dtype());
    if (dims.total == 0) {
      out = Tensor::full(dims.out_sizes(keepdim), -std::numeric_limits<double>::infinity(), x.dtype());
    } else if (out.numel() > 0) {
      // One dimension is walked where it is; several are brought together.
      const bool one = dims.count == 1;
      const Tensor in = contiguous(one ? x : merge_reduced(x, dims));
      const int at = one ? static_cast<int>(dims.list()[0]) : in.ndim() - 1;
      if (LaunchCount::counting) ++LaunchCount::value;
      table().logsumexp(out.view(), Around(in, at).view());
    }
  }
  if (needs_grad(x)) {
    record("LogsumexpBackward0", out, {&x},
           [dims, keepdim, sx = save(x), so = save_output(out)](const Tensor& g, Slots& d) {
             const Tensor y = dims.with_dims(so.get(), keepdim);
             // Where the result is infinite the difference would be NaN.
             const Tensor shift =
                 masked_fill(y, eq(abs(y), Scalar(std::numeric_limits<double>::infinity()).wrapped()), Scalar(0));
             d[0] = mul(exp(sub(sx.get(), shift)), dims.with_dims(g, keepdim));
           });
  }
  return out;
}

FASTNN_OPS(softmax) {
  op("softmax(Tensor input, int dim, dtype? dtype=None) -> Tensor", &softmax, op_fn | op_method | op_out);
  op("log_softmax(Tensor input, int dim, dtype? dtype=None) -> Tensor", &log_softmax, op_fn | op_method | op_out);
  op("nn.softmax(Tensor input, int? dim=None, int _stacklevel=3, dtype? dtype=None) -> Tensor", &nn_softmax, op_fn);
  op("nn.log_softmax(Tensor input, int? dim=None, int _stacklevel=3, dtype? dtype=None) -> Tensor", &nn_log_softmax,
     op_fn);
  op("nn.softmin(Tensor input, int? dim=None, int _stacklevel=3, dtype? dtype=None) -> Tensor", &nn_softmin, op_fn);
  op("logsumexp(Tensor input, int[1] dim, bool keepdim=False) -> Tensor", &logsumexp, op_fn | op_method | op_out);
}

}  // namespace fastnn
