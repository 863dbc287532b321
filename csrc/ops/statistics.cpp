// Distances, covariances, quantiles, integrals by the trapezoidal rule, membership: compositions.
#include <cmath>

#include "ops/algebra.h"
#include "ops/complex.h"
#include "ops/factory.h"
#include "ops/index.h"
#include "ops/matmul.h"
#include "ops/pointwise.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/scan.h"
#include "ops/shape.h"
#include "ops/sort.h"

namespace fastnn {

namespace {

// --- distances -------------------------------------------------------------------------------------------------------

// The Euclidean distances as |a|^2 + |b|^2 - 2 a b; at distance 0 the gradient is 0.
Tensor euclidean_by_products(const Tensor& a, const Tensor& b) {
  const Dims last{-1};
  const Tensor square_a = sum(square(a), last, true);
  const Tensor square_b = transpose(sum(square(b), last, true), -2, -1);
  const Tensor squares = square_a + square_b - matmul(a, transpose(b, -2, -1)) * 2.0;
  const Tensor none = le(squares, Tensor::wrapped(0.0));
  return masked_fill(sqrt(masked_fill(squares, none, Scalar(1.0))), none, Scalar(0.0));
}

Tensor cdist(const Tensor& x1, const Tensor& x2, double p, std::string_view compute_mode) {
  FASTNN_CHECK(x1.is_floating(), ErrorKind::Runtime, "cdist only supports floating-point dtypes, X1 got: ", x1.dtype());
  FASTNN_CHECK(x2.is_floating(), ErrorKind::Runtime, "cdist only supports floating-point dtypes, X2 got: ", x2.dtype());
  FASTNN_CHECK(x1.ndim() >= 2, ErrorKind::Runtime, "cdist only supports at least 2D tensors, X1 got: ", x1.ndim(), "D");
  FASTNN_CHECK(x2.ndim() >= 2, ErrorKind::Runtime, "cdist only supports at least 2D tensors, X2 got: ", x2.ndim(), "D");
  FASTNN_CHECK(x1.sizes().back() == x2.sizes().back(), ErrorKind::Runtime,
               "X1 and X2 must have the same number of columns. X1: ", x1.sizes().back(), " X2: ", x2.sizes().back());
  FASTNN_CHECK(p >= 0, ErrorKind::Runtime, "cdist only supports non-negative p values");
  const bool always = compute_mode == "use_mm_for_euclid_dist";
  const bool never = compute_mode == "donot_use_mm_for_euclid_dist";
  FASTNN_CHECK(always || never || compute_mode == "use_mm_for_euclid_dist_if_necessary", ErrorKind::Value,
               std::string(compute_mode), " is not a valid value for compute_mode");
  constexpr std::int64_t kFew = 25;  // rows up to which PyTorch takes differences
  const std::int64_t rows = std::max(x1.sizes()[x1.ndim() - 2], x2.sizes()[x2.ndim() - 2]);
  const DType dtype = result_type(x1, x2);
  const Tensor a = to_dtype(x1, dtype);
  const Tensor b = to_dtype(x2, dtype);
  if (x1.sizes().back() > 0 && p == 2 && (always || (!never && rows > kFew))) return euclidean_by_products(a, b);
  const Tensor differences = unsqueeze(a, -2) - unsqueeze(b, -3);
  const Dims last{-1};
  return x1.sizes().back() == 0 ? sum(differences, last) : vector_norm(differences, p, last);
}

Tensor dist(const Tensor& input, const Tensor& other, const Scalar& p) {
  return vector_norm(input - other, p.to_double());
}

// Slices along `dim` scaled down to a norm of at most `maxnorm`.
Tensor renorm(const Tensor& input, const Scalar& p, std::int64_t dim, const Scalar& maxnorm) {
  FASTNN_CHECK(p.to_double() > 0, ErrorKind::Runtime, "renorm: non-positive-norm not supported");
  FASTNN_CHECK(maxnorm.to_double() >= 0, ErrorKind::Runtime, "renorm: expected maxnorm to be >= 0 but got ",
               maxnorm.to_double());
  FASTNN_CHECK(input.ndim() > 1, ErrorKind::Runtime, "renorm: input needs at least 2 dimensions, got ", input.ndim(),
               " dimensions");
  const int at = wrap_dim(dim, input.ndim(), "renorm");
  Dims others;
  for (int d = 0; d < input.ndim(); ++d) {
    if (d != at) others.push_back(d);
  }
  const std::optional<DType> wide =
      is_complex(input.dtype()) ? std::nullopt : std::optional(compute_type(input.dtype()));
  const Tensor norm = vector_norm(input, p.to_double(), others, true, wide);
  constexpr double kGuard = 1e-7;
  const Tensor longer = gt(norm, maxnorm.wrapped());
  const Tensor factor = where(longer, maxnorm.to_double() / (norm + kGuard), Tensor::wrapped(1.0));
  return input * to_dtype(factor, input.dtype());
}

Tensor cross(const Tensor& input, const Tensor& other, std::optional<std::int64_t> dim) {
  FASTNN_CHECK(input.ndim() == other.ndim(), ErrorKind::Runtime,
               "linalg.cross: inputs must have the same number of dimensions.");
  const Dims shape = broadcast_shapes(input.sizes(), other.sizes(), "linalg.cross");
  int at = 0;
  if (dim) {
    at = wrap_dim(*dim, input.ndim(), "linalg.cross");
  } else {
    while (at < input.ndim() && input.sizes()[at] != 3) ++at;
    FASTNN_CHECK(at < input.ndim(), ErrorKind::Runtime, "no dimension of size 3 in input");
  }
  FASTNN_CHECK(input.ndim() > 0 && input.sizes()[at] == 3 && other.sizes()[at] == 3, ErrorKind::Runtime,
               "linalg.cross: inputs dimension ", at, " must have length 3. Got ",
               input.ndim() > 0 ? input.sizes()[at] : 1, " and ", other.ndim() > 0 ? other.sizes()[at] : 1);
  const Tensor a = expand(input, shape);
  const Tensor b = expand(other, shape);
  const auto turned = [at](const Tensor& t, std::int64_t by) { return roll(t, Dims{by}, Dims{at}); };
  return turned(a, -1) * turned(b, -2) - turned(a, -2) * turned(b, -1);
}

// --- covariance ------------------------------------------------------------------------------------------------------

void check_weights(const Tensor& weights, const char* name, bool whole, std::int64_t observations) {
  FASTNN_CHECK(weights.ndim() <= 1, ErrorKind::Runtime, "cov(): expected ", name,
               " to have one or fewer dimensions but got ", name, " with ", weights.ndim(), " dimensions");
  FASTNN_CHECK(whole ? is_integral(weights.dtype()) : weights.is_floating(), ErrorKind::Runtime, "cov(): expected ",
               name, " to have ", whole ? "integral" : "floating point", " dtype but got ", name, " with ",
               weights.dtype(), " dtype");
  FASTNN_CHECK(weights.numel() == observations, ErrorKind::Runtime, "cov(): expected ", name,
               " to have the same numel as there are observations in the input but got ", weights.numel(),
               " != ", observations);
  FASTNN_CHECK(observations == 0 || amin(weights).item_double() >= 0, ErrorKind::Runtime, "cov(): ", name,
               " cannot be negative");
}

Tensor cov(const Tensor& input, std::int64_t correction, const Tensor& fweights, const Tensor& aweights) {
  FASTNN_CHECK(input.ndim() <= 2, ErrorKind::Runtime,
               "cov(): expected input to have two or fewer dimensions but got an input with ", input.ndim(),
               " dimensions");
  FASTNN_CHECK(input.dtype() != DType::Bool, ErrorKind::Runtime, "cov(): bool dtype is not supported for input");
  const Tensor rows = input.ndim() < 2 ? reshape(input, Dims{1, -1}) : input;
  const std::int64_t observations = rows.sizes()[1];
  Tensor weights;
  if (fweights.defined()) {
    check_weights(fweights, "fweights", true, observations);
    weights = fweights;
  }
  if (aweights.defined()) {
    check_weights(aweights, "aweights", false, observations);
    weights = weights.defined() ? weights * aweights : aweights;
  }
  const auto weighted = [&](const Tensor& x) { return weights.defined() ? x * weights : x; };
  const Tensor total = weights.defined() ? sum(weights) : full(Dims{}, Scalar(observations), DType::Int64);
  FASTNN_CHECK(!weights.defined() || total.item_double() != 0, ErrorKind::Runtime,
               "cov(): weights sum to zero, can't be normalized");
  Tensor norm = total;
  if (aweights.defined() && correction != 0) {
    norm = total - sum(weights * aweights) / total * static_cast<double>(correction);
  } else {
    norm = sub(total, Scalar(correction));
  }
  if (norm.item_double() <= 0) norm = zeros(Dims{}, norm.dtype());
  const Dims along{1};
  const Tensor centred = rows - unsqueeze(sum(weighted(rows), along) / total, 1);
  return squeeze_all(matmul(centred, conj(transpose(weighted(centred), 0, 1))) / norm);
}

Tensor corrcoef(const Tensor& input) {
  FASTNN_CHECK(input.ndim() <= 2, ErrorKind::Runtime,
               "corrcoef(): expected input to have two or fewer dimensions but got an input with ", input.ndim(),
               " dimensions");
  const Tensor c = cov(input, 1, Tensor(), Tensor());
  if (c.ndim() == 0) return c / c;
  const bool parts = is_complex(c.dtype());
  const Tensor deviations = sqrt(parts ? real(diagonal(c)) : diagonal(c));
  const Tensor scaled = c / unsqueeze(deviations, 1) / unsqueeze(deviations, 0);
  const auto bounded = [](const Tensor& x) { return clamp(x, Scalar(-1.0), Scalar(1.0)); };
  return parts ? complex(bounded(real(scaled)), bounded(imag(scaled))) : bounded(scaled);
}

// --- quantiles -------------------------------------------------------------------------------------------------------

Tensor quantile_of(const char* op, const Tensor& input, const Tensor& q, std::optional<std::int64_t> dim, bool keepdim,
                   std::string_view interpolation, bool skip_nan) {
  FASTNN_CHECK(input.numel() > 0, ErrorKind::Runtime, op, "() input tensor must be non-empty");
  FASTNN_CHECK(q.ndim() <= 1, ErrorKind::Runtime, op, "() q must be a scalar or 1D tensor");
  FASTNN_CHECK(input.dtype() == DType::Float32 || input.dtype() == DType::Float64, ErrorKind::Runtime, op,
               "() input tensor must be either float or double dtype");
  FASTNN_CHECK(q.dtype() == input.dtype(), ErrorKind::Runtime, op,
               "() q tensor must be same dtype as the input tensor");
  const bool midpoint = interpolation == "midpoint";
  const bool between = midpoint || interpolation == "linear";
  FASTNN_CHECK(between || interpolation == "lower" || interpolation == "higher" || interpolation == "nearest",
               ErrorKind::Runtime, op,
               "() interpolation must be one of linear, lower, higher, midpoint or nearest, "
               "but got ",
               std::string(interpolation));
  FASTNN_CHECK(q.numel() == 0 || (amin(q).item_double() >= 0 && amax(q).item_double() <= 1), ErrorKind::Runtime, op,
               "() q values must be in the range [0, 1]");
  const int at = dim ? wrap_dim(*dim, input.ndim(), op) : 0;
  // Rows of the elements to choose from, in the last dimension.
  Tensor rows = !dim || input.ndim() == 0 ? reshape(input, Dims{-1}) : movedim(input, Dims{at}, Dims{-1});
  rows = std::get<0>(sort(rows, -1));
  const Dims last{-1};
  const Tensor numbers = q.ndim() == 0 ? reshape(q, Dims{1}) : q;
  Tensor ranks;
  {
    const Tensor nans = isnan(rows);
    const auto most = static_cast<double>(rows.sizes().back() - 1);
    if (skip_nan) {
      const Tensor counts = to_dtype(sum(logical_not(nans), last, true), rows.dtype());
      ranks = clamp(numbers * (counts - 1.0), Scalar(0.0), std::nullopt);
    } else {
      // Sorted last: a row with a NaN gives NaN.
      ranks = masked_fill(expand(numbers * most, broadcast_shapes(any(nans, last, true).sizes(), numbers.sizes(), op)),
                          any(nans, last, true), Scalar(most));
    }
  }
  if (interpolation == "lower") ranks = floor(ranks);
  if (interpolation == "higher") ranks = ceil(ranks);
  if (interpolation == "nearest") ranks = round(ranks);
  const Tensor below = to_dtype(ranks, DType::Int64);
  Tensor values = gather(rows, -1, below);
  if (between) {
    const Tensor weights = midpoint ? Tensor::full(ranks.sizes(), 0.5, ranks.dtype()) : ranks - below;
    values = lerp(values, gather(rows, -1, to_dtype(ceil(ranks), DType::Int64)), weights);
  }
  // [kept dimensions, q] -> [q, kept dimensions].
  if (keepdim && input.ndim() > 0) {
    Dims sizes = dim ? input.sizes() : Dims::filled(input.ndim(), 1);
    if (dim) {
      values = unsqueeze(movedim(values, Dims{-1}, Dims{0}), at + 1);
    } else {
      sizes.insert(0, numbers.numel());
      values = reshape(values, sizes);
    }
  } else {
    values = movedim(values, Dims{-1}, Dims{0});
  }
  return q.ndim() == 0 ? squeeze(values, 0) : values;
}

template <bool skip_nan>
Tensor quantile(const Tensor& input, const Tensor& q, std::optional<std::int64_t> dim, bool keepdim,
                std::string_view interpolation) {
  return quantile_of(skip_nan ? "nanquantile" : "quantile", input, q, dim, keepdim, interpolation, skip_nan);
}
template <bool skip_nan>
Tensor quantile_number(const Tensor& input, double q, std::optional<std::int64_t> dim, bool keepdim,
                       std::string_view interpolation) {
  FASTNN_CHECK(q >= 0 && q <= 1, ErrorKind::Runtime, skip_nan ? "nanquantile" : "quantile",
               "() q must be in the range [0, 1] but got ", q);
  return quantile<skip_nan>(input, full(Dims{}, Scalar(q), input.dtype()), dim, keepdim, interpolation);
}

// --- integrals -------------------------------------------------------------------------------------------------------

// Sums of neighbouring elements of y along a dimension, times their distances: twice the areas.
Tensor double_areas(const char* op, const Tensor& y, const Tensor& x, double dx, int at) {
  FASTNN_CHECK(y.dtype() != DType::Bool, ErrorKind::Runtime, op,
               ": received a bool input for `y`, but bool is not supported");
  const std::int64_t n = y.sizes()[at];
  const Tensor sums = slice(y, at, 0, n - 1) + slice(y, at, 1, n);
  if (!x.defined()) return sums * dx;
  FASTNN_CHECK(x.dtype() != DType::Bool, ErrorKind::Runtime, op,
               ": received a bool input for `x`, but bool is not supported");
  if (x.ndim() == 1) {
    FASTNN_CHECK(x.sizes()[0] == n, ErrorKind::Runtime, op, ": There must be one `x` value for each sample point");
    Dims line = Dims::filled(y.ndim(), 1);
    line[at] = n - 1;
    return sums * reshape(slice(x, 0, 1, n) - slice(x, 0, 0, n - 1), line);
  }
  Dims padded = x.sizes();
  while (padded.size() < y.ndim()) padded.insert(0, 1);
  const Tensor wide = reshape(x, padded);
  const int x_at = wide.ndim() - y.ndim() + at;
  const std::int64_t m = wide.sizes()[x_at];
  return sums * (slice(wide, x_at, 1, m) - slice(wide, x_at, 0, m - 1));
}

Tensor trapezoid_of(const Tensor& y, const Tensor& x, double dx, std::int64_t dim) {
  const int at = wrap_dim(dim, y.ndim(), "trapezoid");
  if (y.sizes()[at] == 0) {
    Dims sizes = y.sizes();
    sizes.erase(at);
    return zeros(sizes, y.dtype());
  }
  const Dims along{at};
  return sum(double_areas("trapezoid", y, x, dx, at), along) / 2.0;
}
Tensor cumulative_of(const Tensor& y, const Tensor& x, double dx, std::int64_t dim) {
  const int at = wrap_dim(dim, y.ndim(), "cumulative_trapezoid");
  return cumsum(double_areas("cumulative_trapezoid", y, x, dx, at), at) / 2.0;
}

template <auto rule>
Tensor integral(const Tensor& y, const Scalar& dx, std::int64_t dim) {
  return rule(y, Tensor(), dx.to_double(), dim);
}
template <auto rule>
Tensor integral_over(const Tensor& y, const Tensor& x, std::int64_t dim) {
  return rule(y, x, 1, dim);
}

// --- membership ------------------------------------------------------------------------------------------------------

Tensor isin(const Tensor& elements, const Tensor& test_elements, bool, bool invert) {
  const GradModeGuard off(false);
  const DType dtype = result_type(elements, test_elements);
  FASTNN_CHECK(elements.dtype() != DType::Bool && test_elements.dtype() != DType::Bool, ErrorKind::Runtime,
               "Unsupported input type encountered for isin(): Bool");
  const Tensor x = to_dtype(elements.detached(), dtype);
  if (test_elements.numel() == 0) return full(x.sizes(), Scalar(invert), DType::Bool);
  const Tensor sorted = std::get<0>(sort(reshape(to_dtype(test_elements.detached(), dtype), Dims{-1}), 0));
  const Tensor at =
      clamp(searchsorted(sorted, x, false, DType::Int64, Tensor()), std::nullopt, Scalar(sorted.numel() - 1));
  const Tensor found = index(sorted, {at});
  return invert ? ne(x, found) : eq(x, found);
}

}  // namespace

FASTNN_OPS(statistics) {
  constexpr unsigned kBoth = op_fn | op_method;
  constexpr unsigned kOut = op_fn | op_method | op_out;
  op("cdist(Tensor x1, Tensor x2, float p=2.0, str compute_mode='use_mm_for_euclid_dist_if_necessary') -> Tensor",
     &cdist, op_fn);
  op("dist(Tensor input, Tensor other, Scalar p=2) -> Tensor", &dist, kBoth);
  op("renorm(Tensor input, Scalar p, int dim, Scalar maxnorm) -> Tensor", &renorm, kOut | op_inplace);
  op("cross(Tensor input, Tensor other, int? dim=None) -> Tensor", &cross, kOut);
  op("cov(Tensor input, *, int correction=1, Tensor? fweights=None, Tensor? aweights=None) -> Tensor", &cov, kBoth);
  op("corrcoef(Tensor input) -> Tensor", &corrcoef, kBoth);
  op("quantile(Tensor input, float q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor",
     &quantile_number<false>, kOut);
  op("quantile(Tensor input, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor",
     &quantile<false>, kOut);
  op("nanquantile(Tensor input, float q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor",
     &quantile_number<true>, kOut);
  op("nanquantile(Tensor input, Tensor q, int? dim=None, bool keepdim=False, *, str interpolation='linear') -> Tensor",
     &quantile<true>, kOut);
  op("trapezoid(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor", &integral<&trapezoid_of>, op_fn);
  op("trapezoid(Tensor y, Tensor x, *, int dim=-1) -> Tensor", &integral_over<&trapezoid_of>, op_fn);
  op("trapz(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor", &integral<&trapezoid_of>, op_fn);
  op("trapz(Tensor y, Tensor x, *, int dim=-1) -> Tensor", &integral_over<&trapezoid_of>, op_fn);
  op("cumulative_trapezoid(Tensor y, *, Scalar dx=1, int dim=-1) -> Tensor", &integral<&cumulative_of>, op_fn);
  op("cumulative_trapezoid(Tensor y, Tensor x, *, int dim=-1) -> Tensor", &integral_over<&cumulative_of>, op_fn);
  op("isin(Tensor|Scalar elements, Tensor|Scalar test_elements, *, bool assume_unique=False, bool invert=False) -> "
     "Tensor",
     &isin, op_fn | op_out);
}

}  // namespace fastnn
