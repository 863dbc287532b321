#include "ops/scan.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "kernels/scan.h"
#include "ops/complex.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/index.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/reduce_dims.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

const ScanKernels& table() { return *kernels().scan; }

DType scan_dtype(const Tensor& input, std::optional<DType> dtype) {
  return dtype.value_or(input.is_differentiable() ? input.dtype() : DType::Int64);
}

// The kernel alone, no history.
Tensor run_scan(ScanKernels::Scan kernel, const Tensor& input, int dim, bool reverse) {
  const GradModeGuard off(false);
  const Tensor in = contiguous(input);
  Tensor out = Tensor::empty(in.sizes(), in.dtype());
  if (LaunchCount::counting) ++LaunchCount::value;
  kernel(Around(out, dim).view(), Around(in, dim).view(), reverse);
  return out;
}

Tensor running_sum(const char* name, const Tensor& input, int dim, bool reverse) {
  if (input.is_complex() && input.ndim() == 0) return clone(input);
  if (input.is_complex()) return view_as_complex(running_sum(name, view_as_real(input), dim, reverse));
  Tensor out = run_scan(table().cumsum, input, dim, reverse);
  if (input.is_floating() && needs_grad(input)) {
    record(name, out, {&input},
           [dim, reverse](const Tensor& g, Slots& d) { d[0] = reverse ? cumsum(g, dim) : cumsum_reversed(g, dim); });
  }
  return out;
}

// Gradient of a running product at an input without zeros, which may be differentiated again.
Tensor product_gradient_without_zeros(const Tensor& g, const Tensor& x, const Tensor& out, int dim, bool reverse) {
  const Tensor terms = mul(g, out);
  return div(reverse ? cumsum(terms, dim) : cumsum_reversed(terms, dim), x);
}

// For any input, by the definition: the gradient at k is the sum over i of g_i times the product of the elements of
// output i but x_k. Quadratic in the length.
Tensor product_gradient_by_definition(const Tensor& g, const Tensor& x, int dim, bool reverse) {
  const std::int64_t n = x.sizes()[dim];
  std::vector<Tensor> parts;
  for (std::int64_t k = 0; k < n; ++k) {
    const std::int64_t before = reverse ? n - 1 - k : k;  // elements that came before x_k
    const std::int64_t after = n - 1 - before;
    const std::int64_t first = reverse ? 0 : k + 1;  // where those after it are
    Tensor total = narrow(g, dim, k, 1);
    if (after > 0) {
      const Tensor rest = narrow(x, dim, first, after);
      const Tensor products = reverse ? cumprod_reversed(rest, dim) : cumprod(rest, dim);
      const std::int64_t along[] = {dim};
      total = add(total, sum(mul(narrow(g, dim, first, after), products), IntSpan(along), true));
    }
    if (before > 0) total = mul(total, prod(narrow(x, dim, reverse ? k + 1 : 0, before), dim, true));
    parts.push_back(total);
  }
  return cat(parts, dim);
}

// The first derivative alone, linear in the length: up to the first zero as without zeros; at it, as if it were one;
// behind it every product has a zero left.
Tensor product_gradient_once(const Tensor& g, const Tensor& x, const Tensor& out, int dim, bool reverse) {
  const Tensor zero = eq(x, Scalar(0).wrapped());
  const Tensor seen = reverse ? cumsum_reversed(to_dtype(zero, DType::Int64), dim) : cumsum(zero, dim);
  const Tensor first = logical_and(zero, eq(seen, Scalar(1).wrapped()));
  const Tensor ones = masked_fill(x, first, Scalar(1));
  const Tensor before = product_gradient_without_zeros(g, masked_fill(x, zero, Scalar(1)), out, dim, reverse);
  const Tensor products = reverse ? cumprod_reversed(ones, dim) : cumprod(ones, dim);
  const Tensor terms = mul(g, products);
  const Tensor tails = reverse ? cumsum(masked_fill(terms, eq(seen, Scalar(0).wrapped()), Scalar(0)), dim)
                               : cumsum_reversed(masked_fill(terms, eq(seen, Scalar(0).wrapped()), Scalar(0)), dim);
  return where(eq(seen, Scalar(0).wrapped()), before, mul(tails, first));
}

// In log(n) steps, each of which combines every element with the one that is twice as far from it.
template <class F>
Tensor composed_scan(const Tensor& input, int dim, bool reverse, F combine) {
  if (input.ndim() == 0) return clone(input);
  const std::int64_t n = input.sizes()[dim];
  Tensor x = n > 1 ? input : clone(input);
  for (std::int64_t step = 1; step < n; step *= 2) {
    const Tensor combined = combine(narrow(x, dim, step, n - step), narrow(x, dim, 0, n - step));
    const Tensor rest = narrow(x, dim, reverse ? n - step : 0, step);
    x = reverse ? cat(std::array{combined, rest}, dim) : cat(std::array{rest, combined}, dim);
  }
  return x;
}

Tensor running_product(const char* name, const Tensor& input, int dim, bool reverse) {
  if (input.is_complex()) {
    return composed_scan(input, dim, reverse, [](const Tensor& a, const Tensor& b) { return mul(a, b); });
  }
  Tensor out = run_scan(table().cumprod, input, dim, reverse);
  if (input.is_floating() && needs_grad(input)) {
    record(name, out, {&input}, [dim, reverse, sx = save(input), so = save_output(out)](const Tensor& g, Slots& d) {
      const Tensor& x = sx.get();
      if (!has_zero(x)) {
        d[0] = product_gradient_without_zeros(g, x, so.get(), dim, reverse);
      } else if (x.ndim() == 0) {
        d[0] = g;
      } else if (grad_mode().enabled) {
        d[0] = product_gradient_by_definition(g, x, dim, reverse);
      } else {
        d[0] = product_gradient_once(g, x, so.get(), dim, reverse);
      }
    });
  }
  return out;
}

std::tuple<Tensor, Tensor> running_extreme(const char* op, const char* name, ScanKernels::Extreme kernel,
                                           const Tensor& input, std::int64_t dim) {
  const int at = wrap_dim(dim, input.ndim(), op);
  Tensor values = Tensor::empty(input.sizes(), input.dtype());
  Tensor indices = Tensor::empty(input.sizes(), DType::Int64);
  {
    const GradModeGuard off(false);
    const Tensor in = contiguous(input);
    if (LaunchCount::counting) ++LaunchCount::value;
    kernel(Around(values, at).view(), Around(indices, at).view(), Around(in, at).view());
  }
  record_selected(name, values, indices, input, at, true);
  return {values, indices};
}

// Of complex numbers one after the other: the order decides which of the logarithms it is.
Tensor complex_sums_of_exponentials(const Tensor& log_terms, int dim, bool reverse) {
  if (log_terms.ndim() == 0 || log_terms.numel() == 0) return clone(log_terms);
  const std::int64_t n = log_terms.sizes()[dim];
  std::vector<Tensor> parts;
  for (std::int64_t i = 0; i < n; ++i) {
    const Tensor next = narrow(log_terms, dim, reverse ? n - 1 - i : i, 1);
    parts.push_back(i == 0 ? next : logaddexp(parts.back(), next));
  }
  if (reverse) std::reverse(parts.begin(), parts.end());
  return cat(parts, dim);
}

// log of the running sum of exp(log_terms)
Tensor sums_of_exponentials(const Tensor& log_terms, int dim, bool reverse) {
  if (log_terms.is_complex()) return complex_sums_of_exponentials(log_terms, dim, reverse);
  Tensor out = run_scan(table().logcumsumexp, log_terms, dim, reverse);
  if (needs_grad(log_terms)) {
    const char* name = reverse ? "LogcumsumexpReversedBackward0" : "LogcumsumexpBackward0";
    record(name, out, {&log_terms},
           [dim, reverse, sx = save(log_terms), so = save_output(out)](const Tensor& g, Slots& d) {
             // sum over i of g_i exp(x - out_i), for the positive and the negative part of g apart, in logarithms.
             const Scalar none(-std::numeric_limits<double>::infinity());
             const Tensor& x = sx.get();
             // Minus infinity is the sum of nothing, which no element has a part in.
             const Tensor found = so.get();
             const Tensor out_value = masked_fill(found, eq(found, none.wrapped()), Scalar(0));
             const auto part = [&](const Tensor& gradient) {
               const Tensor logs = masked_fill(log(masked_fill(gradient, le(gradient, Scalar(0).wrapped()), Scalar(1))),
                                               le(gradient, Scalar(0).wrapped()), none);
               return exp(add(sums_of_exponentials(sub(logs, out_value), dim, !reverse), x));
             };
             d[0] = sub(part(g), part(neg(g)));
           });
  }
  return out;
}

}  // namespace

Tensor cumsum(const Tensor& input, std::int64_t dim, std::optional<DType> dtype) {
  return running_sum("CumsumBackward0", to_dtype(input, scan_dtype(input, dtype)),
                     wrap_dim(dim, input.ndim(), "cumsum"), false);
}
Tensor cumsum_reversed(const Tensor& input, std::int64_t dim) {
  return running_sum("CumsumReversedBackward0", input, wrap_dim(dim, input.ndim(), "cumsum"), true);
}
Tensor cumprod(const Tensor& input, std::int64_t dim, std::optional<DType> dtype) {
  return running_product("CumprodBackward0", to_dtype(input, scan_dtype(input, dtype)),
                         wrap_dim(dim, input.ndim(), "cumprod"), false);
}
Tensor cumprod_reversed(const Tensor& input, std::int64_t dim) {
  return running_product("CumprodReversedBackward0", input, wrap_dim(dim, input.ndim(), "cumprod"), true);
}
std::tuple<Tensor, Tensor> cummax(const Tensor& input, std::int64_t dim) {
  return running_extreme("cummax", "CummaxBackward0", table().cummax, input, dim);
}
std::tuple<Tensor, Tensor> cummin(const Tensor& input, std::int64_t dim) {
  return running_extreme("cummin", "CumminBackward0", table().cummin, input, dim);
}

Tensor logcumsumexp(const Tensor& input, std::int64_t dim) {
  const Tensor x = to_dtype(input, floating_result(input.dtype()));
  return sums_of_exponentials(x, wrap_dim(dim, input.ndim(), "logcumsumexp"), false);
}

Tensor diff(const Tensor& input, std::int64_t n, std::int64_t dim, const Tensor& prepend, const Tensor& append) {
  FASTNN_CHECK(input.ndim() >= 1, ErrorKind::Runtime, "diff expects input to be at least one-dimensional");
  FASTNN_CHECK(n >= 0, ErrorKind::Runtime, "order must be non-negative but got ", n);
  const int at = wrap_dim(dim, input.ndim(), "diff");
  if (n == 0) return clone(input);
  Tensor x = input;
  if (prepend.defined() || append.defined()) {
    std::vector<Tensor> parts;
    if (prepend.defined()) parts.push_back(prepend);
    parts.push_back(input);
    if (append.defined()) parts.push_back(append);
    x = cat(parts, at);
  }
  for (; n > 0; --n) {
    const std::int64_t length = x.sizes()[at];
    if (length == 0) break;
    const Tensor later = narrow(x, at, 1, length - 1);
    const Tensor earlier = narrow(x, at, 0, length - 1);
    x = x.dtype() == DType::Bool ? ne(later, earlier) : sub(later, earlier);
  }
  return x.is_same(input) ? clone(input) : x;
}

FASTNN_OPS(scan) {
  op("cumsum(Tensor input, int dim, *, dtype? dtype=None) -> Tensor", &cumsum, op_fn | op_method | op_inplace | op_out);
  op("cumprod(Tensor input, int dim, *, dtype? dtype=None) -> Tensor", &cumprod,
     op_fn | op_method | op_inplace | op_out);
  op("logcumsumexp(Tensor input, int dim) -> Tensor", &logcumsumexp, op_fn | op_method | op_out);
  op("cummax(Tensor input, int dim) -> (Tensor values, Tensor indices)", &cummax, op_fn | op_method | op_out);
  op("cummin(Tensor input, int dim) -> (Tensor values, Tensor indices)", &cummin, op_fn | op_method | op_out);
  op("diff(Tensor input, int n=1, int dim=-1, Tensor? prepend=None, Tensor? append=None) -> Tensor", &diff,
     op_fn | op_method | op_out);
}

}  // namespace fastnn
