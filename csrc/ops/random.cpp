// Random numbers: factories, in-place distributions, samplers over tensors of parameters.
#include "core/random.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <numbers>
#include <vector>

#include "autograd/record.h"
#include "kernels/table.h"
#include "ops/elementwise.h"
#include "ops/pointwise.h"
#include "ops/registry.h"

namespace fastnn {

namespace {

using MaybeDType = std::optional<DType>;

Generator& generator_or_default(Generator* generator) { return generator ? *generator : *default_generator(); }

// --- the order in which elements are drawn -------------------------------------------------------------------------

// Whether dimension `inner` should be walked before `outer`, as PyTorch decides it: smaller strides come first, of
// equal strides the smaller dimension.
bool walks_before(const Tensor& out, int inner, int outer) {
  const std::int64_t a = out.strides()[inner];
  const std::int64_t b = out.strides()[outer];
  if (a == 0 || b == 0) return inner > outer;
  if (a != b) return a < b;
  return out.sizes()[inner] < out.sizes()[outer];
}

// Dimensions from the outermost to the innermost, in the order in which memory is walked.
std::vector<int> walk_order(const Tensor& out) {
  std::vector<int> order(static_cast<std::size_t>(out.ndim()));
  for (int d = 0; d < out.ndim(); ++d) {
    auto at = static_cast<std::size_t>(d);
    order[at] = d;
    for (; at > 0 && walks_before(out, order[at - 1], order[at]); --at) std::swap(order[at - 1], order[at]);
  }
  return order;
}

// Calls f(offset in out, offset in `other`) for every element, in memory order of `out`.
template <class F>
void for_each_offset(const Tensor& out, const Dims& other_strides, F&& f) {
  if (out.numel() == 0) return;
  const std::vector<int> order = walk_order(out);
  const int n = out.ndim();
  Dims counter = Dims::filled(n, 0);
  std::int64_t a = 0;
  std::int64_t b = 0;
  for (;;) {
    f(a, b);
    int level = n - 1;
    for (; level >= 0; --level) {
      const int d = order[static_cast<std::size_t>(level)];
      a += out.strides()[d];
      b += other_strides[d];
      if (++counter[d] < out.sizes()[d]) break;
      a -= counter[d] * out.strides()[d];
      b -= counter[d] * other_strides[d];
      counter[d] = 0;
    }
    if (level < 0) return;
  }
}

void check_no_overlap(const Tensor& self) {
  for (int d = 0; d < self.ndim(); ++d) {
    FASTNN_CHECK(self.strides()[d] != 0 || self.sizes()[d] <= 1, ErrorKind::Runtime,
                 "unsupported operation: more than one element of the written-to tensor refers to a single memory "
                 "location. Please clone() the tensor before performing the operation.");
  }
}

template <class T, class Sampler>
void fill(const Tensor& out, const Sampler& sampler, Generator& generator) {
  if (out.is_contiguous()) {
    random::fill(out.as<T>(), out.numel(), sampler, generator);
  } else {
    T* const data = out.as<T>();
    for_each_offset(out, out.strides(), [&](std::int64_t at, std::int64_t) { data[at] = sampler(generator); });
  }
}

// --- dtypes --------------------------------------------------------------------------------------------------------

[[noreturn]] void fail_dtype(const char* op, DType dtype) {
  fail(ErrorKind::NotImplemented, op, ": not implemented for '", dtype, "'");
}

template <class F>
void visit_floating(const char* op, DType dtype, F&& f) {
  switch (dtype) {
    case DType::Float16:
      return f.template operator()<Half>();
    case DType::BFloat16:
      return f.template operator()<BFloat16>();
    case DType::Float32:
      return f.template operator()<float>();
    case DType::Float64:
      return f.template operator()<double>();
    default:
      fail_dtype(op, dtype);
  }
}

// Bits of the significand, the implicit one included.
template <class T>
constexpr int kDigits = std::is_same_v<T, Half>       ? 11
                        : std::is_same_v<T, BFloat16> ? 8
                                                      : std::numeric_limits<T>::digits;

double largest(DType dtype) {
  switch (dtype) {
    case DType::Float16:
      return 65504.0;
    case DType::BFloat16:
      return 0x1.fep127;
    case DType::Float32:
      return std::numeric_limits<float>::max();
    default:
      return std::numeric_limits<double>::max();
  }
}

// --- in-place ------------------------------------------------------------------------------------------------------

// Runs `write`, which overwrites `self` with draws, as an in-place operation whose gradient is zero.
template <class F>
Tensor overwrite(const Tensor& self, const char* op, const char* node, F&& write) {
  check_in_place(self, op);
  check_no_overlap(self);
  const Tensor old = grad_mode().enabled && (self.requires_grad() || self.impl()->base) ? before_write(self) : self;
  if (self.numel() > 0) write();
  Tensor result = self.detached();
  if (needs_grad(old)) {
    record(node, result, {&old}, [](const Tensor& g, Slots& d) { d[0] = Tensor::full(g.sizes(), 0, g.dtype()); });
  }
  after_write(self, result);
  return self;
}

template <class F>
void with_generator(Generator* maybe, F&& f) {
  Generator& generator = generator_or_default(maybe);
  const std::lock_guard lock(generator.mutex());
  f(generator);
}

// The parts of a complex tensor are drawn like neighbours in memory.
void write_uniform(const Tensor& self, double from, double to, Generator* maybe) {
  if (self.is_complex()) return write_uniform(view_as_real(self.detached()), from, to, maybe);
  visit_floating("uniform_", self.dtype(), [&]<class T>() {
    with_generator(maybe, [&](Generator& generator) {
      if (self.is_contiguous() && std::is_same_v<T, float>) {
        random::fill_uniform(self.as<float>(), self.numel(), 0, 1, generator);
        if (from == 0 && to == 1) return;
        kernels().random->stretch(self.as<float>(), self.numel(), static_cast<float>(from), static_cast<float>(to));
      } else if (self.is_contiguous()) {
        random::fill_uniform(self.as<T>(), self.numel(), from, to, generator);
      } else {
        fill<T>(self, random::Uniform<T>(from, to), generator);
      }
    });
  });
}

// Each part of a complex number has half of its variance.
void write_normal(const Tensor& self, double mean, double std, Generator* maybe) {
  if (self.is_complex()) return write_normal(view_as_real(self.detached()), mean, std / std::numbers::sqrt2, maybe);
  visit_floating("normal_", self.dtype(), [&]<class T>() {
    with_generator(maybe, [&](Generator& generator) {
      if (!self.is_contiguous() || self.numel() < random::kNormalBlock) {
        fill<T>(self, random::Normal<T>{mean, std}, generator);
      } else if constexpr (std::is_same_v<T, double>) {
        random::fill_normal_blocks(self.as<T>(), self.numel(), mean, std, generator, &random::box_muller);
      } else {
        random::fill_normal_blocks(self.as<T>(), self.numel(), mean, std, generator, kernels().random->box_muller);
      }
    });
  });
}

void check_floating(const char* op, DType dtype) {
  if (!is_floating(dtype)) fail_dtype(op, dtype);
}
void check_differentiable(const char* op, DType dtype) {
  if (!is_differentiable(dtype)) fail_dtype(op, dtype);
}

void check_uniform(double from, double to, DType dtype) {
  check_differentiable("uniform_", dtype);
  const double most = largest(to_real(dtype));
  FASTNN_CHECK(from >= -most && from <= most, ErrorKind::Runtime, "uniform_: from is out of bounds for ", dtype);
  FASTNN_CHECK(to >= -most && to <= most, ErrorKind::Runtime, "uniform_: to is out of bounds for ", dtype);
  FASTNN_CHECK(from <= to, ErrorKind::Runtime, "uniform_ expects to return a [from, to) range, but found from=", from,
               " > to=", to);
  FASTNN_CHECK(to - from <= most, ErrorKind::Runtime, "uniform_ expects to-from to be at most the largest value of ",
               dtype, ", but found to=", to, " and from=", from);
}

void check_std(double std) {
  FASTNN_CHECK(std >= 0, ErrorKind::Runtime, "normal expects std >= 0.0, but found std ", std);
}

Tensor uniform_(const Tensor& self, double from, double to, Generator* generator) {
  check_uniform(from, to, self.dtype());
  return overwrite(self, "uniform_", "UniformBackward0", [&] { write_uniform(self, from, to, generator); });
}

Tensor normal_(const Tensor& self, double mean, double std, Generator* generator) {
  check_std(std);
  check_differentiable("normal_", self.dtype());
  return overwrite(self, "normal_", "NormalBackward3", [&] { write_normal(self, mean, std, generator); });
}

Tensor log_normal_(const Tensor& self, double mean, double std, Generator* maybe) {
  FASTNN_CHECK(std > 0, ErrorKind::Runtime, "log_normal_ expects std > 0.0, but found std=", std);
  check_floating("log_normal_", self.dtype());
  return overwrite(self, "log_normal_", "LogNormalBackward0", [&] {
    visit_floating("log_normal_", self.dtype(), [&]<class T>() {
      with_generator(maybe, [&](Generator& g) { fill<T>(self, random::LogNormal<T>{mean, std}, g); });
    });
  });
}

void check_continuous(const char* distribution, DType dtype) {
  FASTNN_CHECK(is_floating(dtype), ErrorKind::Runtime, distribution,
               " distribution is a continuous probability distribution. dtype must be a floating point but you "
               "specified ",
               dtype);
}

Tensor cauchy_(const Tensor& self, double median, double sigma, Generator* maybe) {
  FASTNN_CHECK(sigma > 0, ErrorKind::Runtime, "cauchy_ expects sigma > 0.0, but found sigma=", sigma);
  check_continuous("Cauchy", self.dtype());
  return overwrite(self, "cauchy_", "CauchyBackward0", [&] {
    visit_floating("cauchy_", self.dtype(), [&]<class T>() {
      with_generator(maybe, [&](Generator& g) { fill<T>(self, random::Cauchy<T>{median, sigma}, g); });
    });
  });
}

Tensor exponential_(const Tensor& self, double lambd, Generator* maybe) {
  FASTNN_CHECK(lambd > 0, ErrorKind::Runtime, "exponential_ expects lambda > 0.0, but found lambda=", lambd);
  check_continuous("Exponential", self.dtype());
  return overwrite(self, "exponential_", "ExponentialBackward0", [&] {
    visit_floating("exponential_", self.dtype(), [&]<class T>() {
      with_generator(maybe, [&](Generator& g) { fill<T>(self, random::Exponential<T>{lambd}, g); });
    });
  });
}

Tensor geometric_(const Tensor& self, double p, Generator* maybe) {
  FASTNN_CHECK(p > 0 && p < 1, ErrorKind::Runtime, "geometric_ expects p to be in (0, 1), but got p=", p);
  if (self.dtype() == DType::Bool) fail_dtype("geometric_", self.dtype());
  return overwrite(self, "geometric_", "GeometricBackward0", [&] {
    visit_dtype(self.dtype(), [&]<class T>() {
      with_generator(maybe, [&](Generator& g) { fill<T>(self, random::Geometric<T>{p}, g); });
    });
  });
}

// --- integers ------------------------------------------------------------------------------------------------------

Tensor random_(const Tensor& self, Generator* maybe) {
  return overwrite(self, "random_", "RandomBackward2", [&] {
    visit_dtype(self.dtype(), [&]<class T>() {
      with_generator(maybe, [&](Generator& g) { fill<T>(self, random::FullRange<T, kDigits<T>>{}, g); });
    });
  });
}

// The nearest integer at or above `from` (at or below `to`) that stays inside of the range when rounded to T.
template <class T>
std::int64_t representable(std::int64_t bound, bool lower) {
  const std::int64_t inside = lower ? bound + 1 : bound - 1;
  const auto value = static_cast<double>(random::convert<T>(inside));
  if (lower ? value >= static_cast<double>(bound) : value < static_cast<double>(bound)) return bound;
  int log2 = 0;
  for (std::int64_t rest = std::abs(inside) >> 1; rest != 0; rest >>= 1) ++log2;
  const std::int64_t step = std::int64_t{1} << (log2 - kDigits<T> + 1);
  const double moved = value + static_cast<double>(lower ? step : -step);  // exact: both are multiples of `step`
  return static_cast<std::int64_t>(moved);
}

// Both ends included.
void check_int_range(DType dtype, std::int64_t from, std::int64_t last) {
  visit_dtype(dtype, [&]<class T>() {
    bool from_fits;
    bool last_fits;
    if constexpr (std::is_integral_v<T>) {
      constexpr auto least = static_cast<std::int64_t>(std::numeric_limits<T>::lowest());
      constexpr auto most = static_cast<std::int64_t>(std::numeric_limits<T>::max());
      from_fits = from >= least && from <= most;
      last_fits = last >= least && last <= most;
    } else {
      const double most = largest(dtype);
      from_fits = std::fabs(static_cast<double>(from)) <= most;
      last_fits = std::fabs(static_cast<double>(last)) <= most;
    }
    FASTNN_CHECK(from_fits, ErrorKind::Runtime, "random_: from is out of bounds for ", dtype);
    FASTNN_CHECK(last_fits, ErrorKind::Runtime, "random_: to - 1 is out of bounds for ", dtype);
  });
}

struct IntRange {
  std::uint64_t count;
  std::int64_t first;
};

void write_integers(const Tensor& self, const IntRange& range, Generator* maybe) {
  visit_dtype(self.dtype(), [&]<class T>() {
    with_generator(maybe, [&](Generator& g) { fill<T>(self, random::UniformInt<T>{range.count, range.first}, g); });
  });
}

IntRange int_range(DType dtype, std::int64_t from, std::int64_t to) {
  FASTNN_CHECK(from < to, ErrorKind::Runtime, "random_ expects 'from' to be less than 'to', but got from=", from,
               " >= to=", to);
  if (is_floating(dtype)) {
    visit_floating("random_", dtype, [&]<class T>() {
      from = representable<T>(from, true);
      to = representable<T>(to, false);
    });
    FASTNN_CHECK(from < to, ErrorKind::Runtime,
                 "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but got from=", from,
                 " >= to=", to);
  }
  check_int_range(dtype, from, to - 1);
  return {static_cast<std::uint64_t>(to) - static_cast<std::uint64_t>(from), from};
}

Tensor random_from_to_(const Tensor& self, std::int64_t from, std::optional<std::int64_t> to, Generator* maybe) {
  const DType dtype = self.dtype();
  if (!to && from == std::numeric_limits<std::int64_t>::lowest()) {
    FASTNN_CHECK(dtype == DType::Int64 || (is_floating(dtype) && dtype != DType::Float16), ErrorKind::Runtime,
                 "random_: the range of all int64 needs a tensor of dtype int64, double, float or bfloat16, not ",
                 dtype);
    return overwrite(self, "random_", "RandomBackward0", [&] {
      visit_dtype(dtype, [&]<class T>() {
        with_generator(maybe, [&](Generator& g) { fill<T>(self, random::FullInt64<T>{}, g); });
      });
    });
  }
  IntRange range{};
  if (to) {
    range = int_range(dtype, from, *to);
  } else {
    std::int64_t last = 0;
    visit_dtype(dtype, [&]<class T>() {
      if constexpr (std::is_integral_v<T>) {
        last = static_cast<std::int64_t>(std::numeric_limits<T>::max());
      } else {
        last = std::int64_t{1} << kDigits<T>;
        FASTNN_CHECK(from < last, ErrorKind::Runtime, "random_ expects 'from' to be less than ", last,
                     ", the largest integer up to which ", dtype, " holds all, but got from=", from);
        from = representable<T>(from, true);
      }
    });
    check_int_range(dtype, from, last);
    range = {static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(from) + 1, from};
  }
  return overwrite(self, "random_", "RandomBackward0", [&] { write_integers(self, range, maybe); });
}

Tensor random_to_(const Tensor& self, std::int64_t to, Generator* generator) {
  return random_from_to_(self, 0, to, generator);
}

// --- factories -----------------------------------------------------------------------------------------------------

// New memory, marked where the inference mode is on.
Tensor new_tensor(IntSpan size, DType dtype) {
  Tensor out = Tensor::empty(size, dtype);
  out.impl()->inference = grad_mode().inference;
  return out;
}
Tensor new_like(const Tensor& input, MaybeDType dtype) {
  Tensor out = Tensor::empty_like(input, dtype.value_or(input.dtype()));
  out.impl()->inference = grad_mode().inference;
  return out;
}

Tensor rand(IntSpan size, Generator* generator, MaybeDType dtype) {
  Tensor out = new_tensor(size, dtype.value_or(default_dtype()));
  check_differentiable("rand", out.dtype());
  write_uniform(out, 0, 1, generator);
  return out;
}

Tensor randn(IntSpan size, Generator* generator, MaybeDType dtype) {
  Tensor out = new_tensor(size, dtype.value_or(default_dtype()));
  check_differentiable("randn", out.dtype());
  if (out.numel() > 0) write_normal(out, 0, 1, generator);
  return out;
}

Tensor randint_low(std::int64_t low, std::int64_t high, IntSpan size, Generator* generator, DType dtype) {
  const IntRange range = int_range(dtype, low, high);
  Tensor out = new_tensor(size, dtype);
  write_integers(out, range, generator);
  return out;
}

Tensor randint(std::int64_t high, IntSpan size, Generator* generator, DType dtype) {
  return randint_low(0, high, size, generator, dtype);
}

Tensor rand_like(const Tensor& input, Generator* generator, MaybeDType dtype) {
  Tensor out = new_like(input, dtype);
  check_differentiable("rand_like", out.dtype());
  write_uniform(out, 0, 1, generator);
  return out;
}

Tensor randn_like(const Tensor& input, Generator* generator, MaybeDType dtype) {
  Tensor out = new_like(input, dtype);
  check_differentiable("randn_like", out.dtype());
  if (out.numel() > 0) write_normal(out, 0, 1, generator);
  return out;
}

Tensor randint_like_low(const Tensor& input, std::int64_t low, std::int64_t high, Generator* generator,
                        MaybeDType dtype) {
  Tensor out = new_like(input, dtype);
  write_integers(out, int_range(out.dtype(), low, high), generator);
  return out;
}

Tensor randint_like(const Tensor& input, std::int64_t high, Generator* generator, MaybeDType dtype) {
  return randint_like_low(input, 0, high, generator, dtype);
}

Tensor randperm(std::int64_t n, Generator* maybe, DType dtype) {
  FASTNN_CHECK(n >= 0, ErrorKind::Runtime, "randperm: n must be non-negative, got ", n);
  if (dtype == DType::Bool) fail_dtype("randperm", dtype);
  Tensor out;
  visit_dtype(dtype, [&]<class T>() {
    // Numbers 0 to n - 1 must all differ in T.
    constexpr int digits = kDigits<T>;
    if constexpr (digits < 63) {
      FASTNN_CHECK(n <= (std::int64_t{1} << digits) + (is_floating(dtype_of<T>) ? 1 : 0), ErrorKind::Runtime,
                   "randperm: n is ", n, ", too large for the dtype ", dtype);
    }
    out = new_tensor(IntSpan(&n, 1), dtype);
    with_generator(maybe, [&](Generator& g) { random::permutation(out.as<T>(), n, g); });
  });
  return out;
}

// --- distributions with tensors of parameters ------------------------------------------------------------------------

// Gives `out` a history with zero gradients for the parameters that it was drawn with.
Tensor with_zero_gradients(Tensor out, const char* node, Inputs inputs) {
  bool needed = false;
  for (const Tensor* input : inputs) needed |= needs_grad(*input);
  if (!needed) return out;
  std::vector<Dims> sizes;
  for (const Tensor* input : inputs) sizes.push_back(input->sizes());
  record(node, out, inputs, [sizes = std::move(sizes)](const Tensor& g, Slots& d) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      if (d.wants(i)) d[i] = Tensor::full(sizes[i], 0, g.dtype());
    }
  });
  return out;
}

// The values in double, in row-major order.
std::vector<double> values_of(const Tensor& input) {
  const Tensor wide = to_dtype(contiguous(input.detached()), DType::Float64);
  return {wide.as<double>(), wide.as<double>() + wide.numel()};
}

void check_std(const Tensor& std) {
  for (const double value : values_of(std)) {
    FASTNN_CHECK(value >= 0, ErrorKind::Runtime, "normal expects all elements of std >= 0.0");
  }
}

// Standard normals times `std` (a tensor or null) plus `mean`, in the dtype of `out`.
Tensor shifted_normals(Tensor out, double scale, const Tensor* std, const Tensor& mean, Generator* generator) {
  check_floating("normal", out.dtype());
  const GradModeGuard no_grad(false);
  if (out.numel() > 0) write_normal(out, 0, scale, generator);
  if (std != nullptr) in_place(out, "normal", true, [&](const Tensor& old) { return mul(old, std->detached()); });
  in_place(out, "normal", true, [&](const Tensor& old) { return add(old, mean.detached()); });
  return out;
}

Tensor normal_of_tensors(const Tensor& mean, const Tensor& std, Generator* generator) {
  check_std(std);
  Tensor out = new_tensor(broadcast_shapes(mean.sizes(), std.sizes(), "normal"), mean.dtype());
  return with_zero_gradients(shifted_normals(std::move(out), 1, &std, mean, generator), "NormalBackward0",
                             {&mean, &std});
}

Tensor normal_of_mean(const Tensor& mean, double std, Generator* generator) {
  check_std(std);
  Tensor out = new_tensor(mean.sizes(), mean.dtype());
  return with_zero_gradients(shifted_normals(std::move(out), std, nullptr, mean, generator), "NormalBackward1",
                             {&mean});
}

Tensor normal_of_std(double mean, const Tensor& std, Generator* generator) {
  check_std(std);
  Tensor out = new_tensor(std.sizes(), std.dtype());
  const Tensor shift = Tensor::full({}, mean, std.dtype());
  return with_zero_gradients(shifted_normals(std::move(out), 1, &std, shift, generator), "NormalBackward2", {&std});
}

Tensor normal_of_size(double mean, double std, IntSpan size, Generator* generator, MaybeDType dtype) {
  check_std(std);
  Tensor out = new_tensor(size, dtype.value_or(default_dtype()));
  check_floating("normal", out.dtype());
  if (out.numel() > 0) write_normal(out, mean, std, generator);
  return out;
}

void check_probability(double p) {
  FASTNN_CHECK(p >= 0 && p <= 1, ErrorKind::Runtime, "bernoulli_ expects p to be in [0, 1], but got p=", p);
}

Tensor bernoulli_(const Tensor& self, double p, Generator* maybe) {
  check_probability(p);
  return overwrite(self, "bernoulli_", "BernoulliBackward2", [&] {
    visit_dtype(self.dtype(), [&]<class T>() {
      with_generator(maybe, [&](Generator& g) { fill<T>(self, random::Bernoulli<T>{p}, g); });
    });
  });
}

// Every element of `out` from the probability at its place in `p`, which broadcasts.
void write_bernoulli(const Tensor& out, const Tensor& p, Generator* maybe) {
  check_floating("bernoulli: probabilities", p.dtype());
  FASTNN_CHECK(is_expandable_to(p.sizes(), out.sizes()), ErrorKind::Runtime, "bernoulli_: probabilities of shape ",
               p.sizes(), " do not broadcast to shape ", out.sizes());
  for (const double value : values_of(p)) {
    FASTNN_CHECK(value >= 0 && value <= 1, ErrorKind::Runtime,
                 "bernoulli: expected all probabilities to be in [0, 1], but got ", value);
  }
  const Dims strides = broadcast_strides(p.sizes(), p.strides(), out.sizes());
  visit_floating("bernoulli", p.dtype(), [&]<class P>() {
    const P* const probabilities = p.as<P>();
    visit_dtype(out.dtype(), [&]<class T>() {
      T* const data = out.as<T>();
      with_generator(maybe, [&](Generator& generator) {
        for_each_offset(out, strides, [&](std::int64_t at, std::int64_t from) {
          data[at] = random::convert<T>(random::bernoulli<P>(probabilities[from], generator) ? 1 : 0);
        });
      });
    });
  });
}

Tensor bernoulli_of_tensor_(const Tensor& self, const Tensor& p, Generator* generator) {
  return overwrite(self, "bernoulli_", "BernoulliBackward1", [&] { write_bernoulli(self, p, generator); });
}

Tensor bernoulli(const Tensor& input, Generator* generator) {
  Tensor out = new_tensor(input.sizes(), input.dtype());
  write_bernoulli(out, input, generator);
  return with_zero_gradients(std::move(out), "BernoulliBackward0", {&input});
}

Tensor bernoulli_p(const Tensor& input, double p, Generator* generator) {
  Tensor out = new_tensor(input.sizes(), input.dtype());
  {
    const GradModeGuard no_grad(false);
    bernoulli_(out, p, generator);
  }
  return with_zero_gradients(std::move(out), "BernoulliBackward2", {&input});
}

Tensor poisson(const Tensor& input, Generator* maybe) {
  check_floating("poisson", input.dtype());
  for (const double rate : values_of(input)) {
    FASTNN_CHECK(rate >= 0, ErrorKind::Runtime,
                 "poisson: invalid Poisson rate, expected rate to be non-negative, but got ", rate);
  }
  Tensor out = new_tensor(input.sizes(), input.dtype());
  visit_floating("poisson", input.dtype(), [&]<class T>() {
    const T* const rates = input.as<T>();
    T* const data = out.as<T>();
    with_generator(maybe, [&](Generator& generator) {
      for_each_offset(out, input.strides(), [&](std::int64_t at, std::int64_t from) {
        data[at] = random::convert<T>(random::poisson(static_cast<double>(rates[from]), generator));
      });
    });
  });
  return with_zero_gradients(std::move(out), "PoissonBackward0", {&input});
}

// --- multinomial -----------------------------------------------------------------------------------------------------

// Category numbers without replacement: the largest of weight / exponential (Efraimidis and Spirakis, 2006).
template <class T>
void race(const T* weights, std::int64_t rows, std::int64_t n, std::int64_t samples, std::int64_t* out,
          Generator& generator) {
  using C = random::Compute<T>;
  using Entry = std::pair<C, std::int64_t>;
  std::vector<T> times(static_cast<std::size_t>(rows * n));
  random::fill(times.data(), rows * n, random::Exponential<T>{1}, generator);
  std::vector<Entry> entries(static_cast<std::size_t>(n));
  const auto before = [](const Entry& a, const Entry& b) {
    return (std::isnan(a.first) && !std::isnan(b.first)) || a.first > b.first;
  };
  // How many of how many decides between PyTorch's two algorithms, which order equal scores differently.
  constexpr std::int64_t partial_sort_ratio = 64;
  const auto middle = entries.begin() + (samples - 1);
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<std::size_t>(row * n + i);
      const C score = static_cast<C>(random::convert<T>(static_cast<C>(weights[at]) / static_cast<C>(times[at])));
      entries[static_cast<std::size_t>(i)] = {score, i};
    }
    if (samples == 1) {
      std::iter_swap(entries.begin(), std::min_element(entries.begin(), entries.end(), before));
    } else if (samples * partial_sort_ratio <= n) {
      std::partial_sort(entries.begin(), middle + 1, entries.end(), before);
    } else {
      std::nth_element(entries.begin(), middle, entries.end(), before);
      std::sort(entries.begin(), middle, before);
    }
    for (std::int64_t s = 0; s < samples; ++s) out[row * samples + s] = entries[static_cast<std::size_t>(s)].second;
  }
}

template <class T>
void check_race(const T* weights, std::int64_t rows, std::int64_t n) {
  for (std::int64_t row = 0; row < rows; ++row) {
    bool positive = false;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto weight = static_cast<double>(weights[row * n + i]);
      FASTNN_CHECK(weight >= 0 && std::isfinite(weight), ErrorKind::Runtime,
                   "multinomial: probability tensor contains either `inf`, `nan` or element < 0");
      positive |= weight > 0;
    }
    FASTNN_CHECK(positive, ErrorKind::Runtime,
                 "multinomial: invalid multinomial distribution (sum of probabilities <= 0)");
  }
}

void check_weights(random::WeightsError error) {
  using E = random::WeightsError;
  FASTNN_CHECK(error != E::kNegative, ErrorKind::Runtime,
               "multinomial: invalid multinomial distribution (encountering probability entry < 0)");
  FASTNN_CHECK(error != E::kNotFinite, ErrorKind::Runtime,
               "multinomial: invalid multinomial distribution (encountering probability entry = infinity or NaN)");
  FASTNN_CHECK(error != E::kZeroSum, ErrorKind::Runtime,
               "multinomial: invalid multinomial distribution (sum of probabilities <= 0)");
}

constexpr std::int64_t kMostCategories = std::int64_t{1} << 24;

Tensor multinomial(const Tensor& input, std::int64_t num_samples, bool replacement, Generator* maybe) {
  FASTNN_CHECK(input.ndim() == 1 || input.ndim() == 2, ErrorKind::Runtime,
               "multinomial: prob_dist must be 1 or 2 dim, got ", input.ndim());
  FASTNN_CHECK(input.is_floating(), ErrorKind::Runtime,
               "multinomial only supports floating-point dtypes for input, got: ", input.dtype());
  FASTNN_CHECK(num_samples > 0, ErrorKind::Runtime, "multinomial: cannot sample n_sample <= 0 samples, got ",
               num_samples);
  const std::int64_t n = input.size(-1);
  const std::int64_t rows = input.ndim() == 2 ? input.size(0) : 1;
  FASTNN_CHECK(replacement || num_samples <= n, ErrorKind::Runtime,
               "multinomial: cannot sample n_sample > prob_dist.size(-1) samples without replacement: n_sample is ",
               num_samples, ", prob_dist has ", n, " categories");
  FASTNN_CHECK(n <= kMostCategories, ErrorKind::Runtime, "multinomial: number of categories cannot exceed 2^24, got ",
               n);
  Tensor out = new_tensor(input.ndim() == 2 ? Dims{rows, num_samples} : Dims{num_samples}, DType::Int64);
  if (out.numel() == 0) return out;
  FASTNN_CHECK(n > 0, ErrorKind::Runtime, "multinomial: cannot sample from no categories");
  const Tensor weights = contiguous(input.detached());
  visit_floating("multinomial", input.dtype(), [&]<class T>() {
    const T* const data = weights.as<T>();
    auto* const chosen = out.as<std::int64_t>();
    const bool racing = !replacement || num_samples == 1;
    if (racing) check_race(data, rows, n);
    with_generator(maybe, [&](Generator& generator) {
      if (racing) return race(data, rows, n, num_samples, chosen, generator);
      const auto cumulative = std::make_unique<random::Compute<T>[]>(static_cast<std::size_t>(n));
      for (std::int64_t row = 0; row < rows; ++row) {
        check_weights(random::multinomial(data + row * n, 1, n, cumulative.get(), chosen + row * num_samples,
                                          num_samples, generator));
      }
    });
  });
  return out;
}

}  // namespace

FASTNN_OPS(random) {
  constexpr unsigned factory = op_fn | op_out | op_factory;
  op("rand(*int[] size, *, generator? generator=None, dtype? dtype=None) -> Tensor", &rand, factory);
  op("randn(*int[] size, *, generator? generator=None, dtype? dtype=None) -> Tensor", &randn, factory);
  op("randint(int high, int[] size, *, generator? generator=None, dtype dtype=int64) -> Tensor", &randint, factory);
  op("randint(int low, int high, int[] size, *, generator? generator=None, dtype dtype=int64) -> Tensor", &randint_low,
     factory);
  op("randperm(int n, *, generator? generator=None, dtype dtype=int64) -> Tensor", &randperm, factory);
  op("rand_like(Tensor input, *, generator? generator=None, dtype? dtype=None) -> Tensor", &rand_like,
     op_fn | op_factory);
  op("randn_like(Tensor input, *, generator? generator=None, dtype? dtype=None) -> Tensor", &randn_like,
     op_fn | op_factory);
  op("randint_like(Tensor input, int high, *, generator? generator=None, dtype? dtype=None) -> Tensor", &randint_like,
     op_fn | op_factory);
  op("randint_like(Tensor input, int low, int high, *, generator? generator=None, dtype? dtype=None) -> Tensor",
     &randint_like_low, op_fn | op_factory);

  op("normal(Tensor mean, Tensor std, *, generator? generator=None) -> Tensor", &normal_of_tensors, op_fn | op_out);
  op("normal(Tensor mean, float std=1, *, generator? generator=None) -> Tensor", &normal_of_mean, op_fn | op_out);
  op("normal(float mean, Tensor std, *, generator? generator=None) -> Tensor", &normal_of_std, op_fn | op_out);
  op("normal(float mean, float std, int[] size, *, generator? generator=None, dtype? dtype=None) -> Tensor",
     &normal_of_size, factory);
  op("bernoulli(Tensor input, *, generator? generator=None) -> Tensor", &bernoulli, op_fn | op_method | op_out);
  op("bernoulli(Tensor input, float p, *, generator? generator=None) -> Tensor", &bernoulli_p, op_fn | op_method);
  op("poisson(Tensor input, generator? generator=None) -> Tensor", &poisson, op_fn);
  op("multinomial(Tensor input, int num_samples, bool replacement=False, *, generator? generator=None) -> Tensor",
     &multinomial, op_fn | op_method | op_out);

  op("uniform_(Tensor input, float from=0, float to=1, *, generator? generator=None) -> Tensor", &uniform_, op_method);
  op("normal_(Tensor input, float mean=0, float std=1, *, generator? generator=None) -> Tensor", &normal_, op_method);
  op("log_normal_(Tensor input, float mean=1, float std=2, *, generator? generator=None) -> Tensor", &log_normal_,
     op_method);
  op("cauchy_(Tensor input, float median=0, float sigma=1, *, generator? generator=None) -> Tensor", &cauchy_,
     op_method);
  op("exponential_(Tensor input, float lambd=1, *, generator? generator=None) -> Tensor", &exponential_, op_method);
  op("geometric_(Tensor input, float p, *, generator? generator=None) -> Tensor", &geometric_, op_method);
  op("random_(Tensor input, *, generator? generator=None) -> Tensor", &random_, op_method);
  op("random_(Tensor input, int to, *, generator? generator=None) -> Tensor", &random_to_, op_method);
  op("random_(Tensor input, int from, int? to, *, generator? generator=None) -> Tensor", &random_from_to_, op_method);
  op("bernoulli_(Tensor input, Tensor p, *, generator? generator=None) -> Tensor", &bernoulli_of_tensor_, op_method);
  op("bernoulli_(Tensor input, float p=0.5, *, generator? generator=None) -> Tensor", &bernoulli_, op_method);
}

}  // namespace fastnn
