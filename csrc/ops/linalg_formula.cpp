// Formulas over matrices: norms, powers, the exponential, products of vectors, equations of tensors.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "ops/linalg.h"
#include "ops/linalg_matrix.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/scan.h"

namespace fastnn {

namespace {

constexpr std::int64_t kMatrix[] = {-2, -1};

// --- norms -----------------------------------------------------------------------------------------------------------

struct MatrixDims {
  int first, second;
  Dims both() const { return {first, second}; }
};

MatrixDims check_norm(const Tensor& a, IntSpan dim, OptionalDType dtype) {
  constexpr const char* op = "linalg.matrix_norm";
  check_matrices(op, a);
  check_floating(op, a);
  FASTNN_CHECK(dim.size() == 2, ErrorKind::Runtime, op, ": dim must be a 2-tuple. Got ", Dims(dim));
  const MatrixDims dims{wrap_dim(dim[0], a.ndim(), op), wrap_dim(dim[1], a.ndim(), op)};
  FASTNN_CHECK(dims.first != dims.second, ErrorKind::Runtime, op, ": dims must be different. Got (", dim[0], ", ",
               dim[1], ")");
  FASTNN_CHECK(!dtype || is_differentiable(*dtype), ErrorKind::Runtime, op,
               ": dtype should be floating point or complex, got ", dtype.value_or(DType::Int64));
  return dims;
}

// Values along the last dimension of the matrices moved there, reduced; with `keepdim` in the shape that this asks for.
template <class Reduce>
Tensor of_singular_values(const Tensor& a, const MatrixDims& dims, bool keepdim, Reduce reduce_values) {
  const Dims both = dims.both();
  const Tensor result = reduce_values(svdvals(movedim(a, both, kMatrix)));
  if (!keepdim) return result;
  const int first = std::min(dims.first, dims.second);
  return unsqueeze(unsqueeze(result, first), std::max(dims.first, dims.second));
}

Tensor linalg_matrix_norm(const Tensor& a, const Scalar& ord, IntSpan dim, bool keepdim, OptionalDType dtype) {
  return matrix_norm(a, ord.to_double(), dim, keepdim, dtype);
}

Tensor linalg_norm(const Tensor& a, const std::optional<Scalar>& ord, OptionalDims dim, bool keepdim,
                   OptionalDType dtype) {
  constexpr const char* op = "linalg.norm";
  FASTNN_CHECK(!dim || dim->size() == 1 || dim->size() == 2, ErrorKind::Runtime, op,
               ": If dim is specified, it must be of length 1 or 2. Got ", dim ? Dims(*dim) : Dims());
  if (!ord) {
    return vector_norm(a, 2, dim, keepdim, dtype);
  }
  FASTNN_CHECK(dim || a.ndim() == 1 || a.ndim() == 2, ErrorKind::Runtime, op,
               ": If dim is not specified but ord is, the input must be 1D or 2D. Got ", a.ndim(), "D.");
  const double p = ord->to_double();
  if (dim ? dim->size() == 2 : a.ndim() == 2) return matrix_norm(a, p, dim.value_or(kMatrix), keepdim, dtype);
  return vector_norm(a, p, dim, keepdim, dtype);
}
Tensor linalg_norm_named(const Tensor& a, std::string_view ord, OptionalDims dim, bool keepdim, OptionalDType dtype) {
  constexpr const char* op = "linalg.norm";
  FASTNN_CHECK(!dim || dim->size() == 1 || dim->size() == 2, ErrorKind::Runtime, op,
               ": If dim is specified, it must be of length 1 or 2. Got ", dim ? Dims(*dim) : Dims());
  FASTNN_CHECK(dim || a.ndim() == 1 || a.ndim() == 2, ErrorKind::Runtime, op,
               ": If dim is not specified but ord is, the input must be 1D or 2D. Got ", a.ndim(), "D.");
  return matrix_norm(a, ord, dim.value_or(kMatrix), keepdim, dtype);
}

// --- powers and the exponential --------------------------------------------------------------------------------------

Tensor matrix_power(const Tensor& a, std::int64_t n) {
  check_square("linalg.matrix_power", a);
  if (n < 0) return matrix_power(inv(a), -n);
  if (n == 0) return where(ones(a.sizes(), DType::Bool), eye_like(a), a);  // with a derivative, of zeros
  if (n == 1) return clone(a);
  Tensor square = a;
  Tensor result;
  for (; n > 0; n /= 2) {
    if (n % 2 == 1) result = result.defined() ? result % square : square;
    if (n > 1) square = square % square;
  }
  return result;
}

// The sum of x^k / k! for k up to 16, with six products (Paterson and Stockmeyer 1973).
Tensor taylor(const Tensor& x) {
  const Tensor x2 = x % x;
  const Tensor x3 = x2 % x;
  const Tensor x4 = x2 % x2;
  double inverse_factorial[17] = {1};
  for (int k = 1; k <= 16; ++k) inverse_factorial[k] = inverse_factorial[k - 1] / k;
  const Tensor one = eye_like(x);
  const auto block = [&](int k) {
    const double* c = inverse_factorial + k;
    return one * c[0] + x * c[1] + x2 * c[2] + x3 * c[3];
  };
  Tensor sum = block(12) + x4 * inverse_factorial[16];
  for (const int k : {8, 4, 0}) sum = block(k) + x4 % sum;
  return sum;
}

// Scaling by a power of two, the polynomial, and squaring as often (Higham, Functions of Matrices, ch. 10).
Tensor exponential(const Tensor& a) {
  // The one-norm up to which the polynomial is exact to rounding.
  const double reach = to_real(a.dtype()) == DType::Float64 ? 0.78 : 2.0;
  const std::int64_t rows[] = {-2};
  const std::int64_t columns[] = {-1};
  const Tensor norm = amax(sum(abs(a), IntSpan(rows)), IntSpan(columns));
  const Tensor halvings = clamp(nan_to_num(ceil(log2(norm / reach)), 0, 0, 0), Scalar(0), {});
  const Tensor count = as_column(as_column(halvings));
  Tensor result = taylor(a * exp2(-count));
  const auto most = static_cast<int>(amax(halvings).item_double());
  for (int k = 0; k < most; ++k) {
    result = where(gt(count, Scalar(static_cast<double>(k)).wrapped()), result % result, result);
  }
  return result;
}

Tensor matrix_exp(const Tensor& a) {
  check_square("linalg.matrix_exp", a);
  check_floating("linalg.matrix_exp", a);
  const std::int64_t n = rows_of(a);
  Tensor result;
  {
    const GradModeGuard off(false);
    const Tensor x = to_dtype(a.detached(), compute_type(a.dtype()));
    result = to_dtype(a.numel() == 0 ? clone(x) : n == 1 ? exp(x) : exponential(x), a.dtype());
  }
  if (needs_grad(a)) {
    // The derivative of exp at A^H in the direction G is the upper right block of exp([[A^H, G], [0, A^H]]).
    record("LinalgMatrixExpBackward0", result, {&a}, [sa = save(a), n](const Tensor& g, Slots& d) {
      const Tensor ah = adjoint(sa.get());
      const Tensor top = cat(std::array{ah, g}, -1);
      const Tensor bottom = cat(std::array{zeros_like(ah), ah}, -1);
      const Tensor whole = matrix_exp(cat(std::array{top, bottom}, -2));
      d[0] = narrow(narrow(whole, -2, 0, n), -1, n, n);
    });
  }
  return result;
}

// --- vectors ---------------------------------------------------------------------------------------------------------

Tensor cross(const Tensor& a, const Tensor& b, std::int64_t dim) {
  constexpr const char* op = "linalg.cross";
  FASTNN_CHECK(a.ndim() == b.ndim(), ErrorKind::Runtime, op, ": inputs must have the same number of dimensions, got ",
               a.sizes(), " and ", b.sizes());
  const int at = wrap_dim(dim, a.ndim(), op);
  FASTNN_CHECK(a.ndim() > 0 && a.sizes()[at] == 3 && b.sizes()[at] == 3, ErrorKind::Runtime, op, ": inputs dimension ",
               dim, " must have length 3. Got shapes ", a.sizes(), " and ", b.sizes());
  const auto part = [at](const Tensor& t, int i) { return select(t, at, i % 3); };
  std::vector<Tensor> parts;
  for (int i = 0; i < 3; ++i) parts.push_back(part(a, i + 1) * part(b, i + 2) - part(a, i + 2) * part(b, i + 1));
  return stack(parts, at);
}

Tensor vecdot(const Tensor& x, const Tensor& y, std::int64_t dim) {
  constexpr const char* op = "linalg.vecdot";
  check_floating(op, x);
  check_equal_dtypes(op, x, y, "x", "y");
  const std::int64_t dims[] = {dim};
  return sum(conj(x) * y, IntSpan(dims));
}

Tensor linalg_diagonal(const Tensor& a, std::int64_t offset, std::int64_t dim1, std::int64_t dim2) {
  return diagonal(a, offset, dim1, dim2);
}

Tensor vander(const Tensor& x, std::optional<std::int64_t> n) {
  FASTNN_CHECK(x.dtype() != DType::Bool && !is_reduced_floating(x.dtype()), ErrorKind::Runtime,
               "linalg.vander supports floating point, complex, and integer tensors, but got ", x.dtype());
  const std::int64_t count = n.value_or(x.ndim() == 0 ? 1 : x.sizes().back());
  FASTNN_CHECK(count > 1, ErrorKind::Runtime, "N must be greater than 1, got ", count);
  const Tensor first = ones(with_vector(x.sizes(), 1), x.dtype());
  const Tensor rest = cumprod(expand(as_column(x), with_vector(x.sizes(), count - 1)), -1);
  return cat(std::array{first, rest}, -1);
}

// --- equations of tensors --------------------------------------------------------------------------------------------

std::int64_t product_of(const Dims& sizes, int begin, int end) {
  return std::accumulate(sizes.begin() + begin, sizes.begin() + end, std::int64_t{1}, std::multiplies<>());
}

Tensor tensorinv(const Tensor& a, std::int64_t ind) {
  FASTNN_CHECK(ind > 0, ErrorKind::Runtime, "Expected a strictly positive integer for 'ind', but got ", ind);
  const Dims& sizes = a.sizes();
  const int split = static_cast<int>(std::min<std::int64_t>(ind, a.ndim()));
  const std::int64_t rows = product_of(sizes, 0, split);
  const std::int64_t columns = product_of(sizes, split, a.ndim());
  FASTNN_CHECK(rows == columns, ErrorKind::Runtime,
               "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got ",
               columns, " != ", rows);
  Dims result;
  for (int i = 0; i < a.ndim(); ++i) result.push_back(sizes[(i + split) % a.ndim()]);
  return reshape(inv(reshape(a, Dims{rows, columns})), result);
}

Tensor tensorsolve(const Tensor& a, const Tensor& b, OptionalDims dims) {
  Dims order;
  if (dims) {
    std::vector<bool> moved(static_cast<std::size_t>(a.ndim()), false);
    for (const std::int64_t dim : *dims) moved[static_cast<std::size_t>(wrap_dim(dim, a.ndim(), "tensorsolve"))] = true;
    for (int i = 0; i < a.ndim(); ++i) {
      if (!moved[static_cast<std::size_t>(i)]) order.push_back(i);
    }
    for (const std::int64_t dim : *dims) order.push_back(wrap_dim(dim, a.ndim(), "tensorsolve"));
  }
  const Tensor x = dims ? permute(a, order) : a;
  const int split = std::min(b.ndim(), x.ndim());
  const std::int64_t rows = product_of(x.sizes(), 0, split);
  const std::int64_t columns = product_of(x.sizes(), split, x.ndim());
  FASTNN_CHECK(rows == columns, ErrorKind::Runtime,
               "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
               "prod(self.shape[:other.ndim]), but got ",
               columns, " != ", rows);
  const IntSpan rest = static_cast<IntSpan>(x.sizes()).subspan(static_cast<std::size_t>(split));
  return reshape(solve(reshape(x, Dims{rows, columns}), reshape(b, Dims{b.numel()})), rest);
}

}  // namespace

Tensor matrix_norm(const Tensor& a, std::string_view ord, IntSpan dim, bool keepdim, OptionalDType dtype) {
  const MatrixDims dims = check_norm(a, dim, dtype);
  if (ord == "fro") return vector_norm(a, 2, IntSpan(dims.both()), keepdim, dtype);
  FASTNN_CHECK(ord == "nuc", ErrorKind::Runtime, "linalg.matrix_norm: Order ", ord, " not supported.");
  const std::int64_t last[] = {-1};
  return of_singular_values(to_dtype(a, dtype.value_or(a.dtype())), dims, keepdim,
                            [&](const Tensor& s) { return sum(s, IntSpan(last)); });
}

Tensor matrix_norm(const Tensor& a, double ord, IntSpan dim, bool keepdim, OptionalDType dtype) {
  const MatrixDims dims = check_norm(a, dim, dtype);
  const double size = std::fabs(ord);
  FASTNN_CHECK(size == 1 || size == 2 || std::isinf(size), ErrorKind::Runtime, "linalg.matrix_norm: Order ", ord,
               " not supported.");
  const auto extreme = [ord](const Tensor& t, std::int64_t d, bool keep) {
    const std::int64_t list[] = {d};
    if (ord > 0 && t.size(d) == 0) return sum(t, IntSpan(list), keep);  // no element: 0
    return ord > 0 ? amax(t, IntSpan(list), keep) : amin(t, IntSpan(list), keep);
  };
  const Tensor x = to_dtype(a, dtype.value_or(a.dtype()));
  if (size == 2) {
    return of_singular_values(x, dims, keepdim, [&](const Tensor& s) { return extreme(s, -1, false); });
  }
  const int summed = size == 1 ? dims.first : dims.second;
  int kept = size == 1 ? dims.second : dims.first;
  const std::int64_t list[] = {summed};
  const Tensor sums = vector_norm(x, 1, IntSpan(list), keepdim, {});
  if (!keepdim && kept > summed) --kept;
  return extreme(sums, kept, keepdim);
}

FASTNN_OPS(linalg_formula) {
  constexpr unsigned function = op_fn | op_out;
  constexpr unsigned every = op_fn | op_method | op_out;
  op("linalg.norm(Tensor input, Scalar? ord=None, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> "
     "Tensor",
     &linalg_norm, function);
  op("linalg.norm(Tensor input, str ord, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor",
     &linalg_norm_named, function);
  op("linalg.matrix_norm(Tensor input, Scalar ord, int[] dim=[-2, -1], bool keepdim=False, *, dtype? dtype=None) -> "
     "Tensor",
     &linalg_matrix_norm, function);
  op("linalg.matrix_norm(Tensor input, str ord='fro', int[] dim=[-2, -1], bool keepdim=False, *, dtype? dtype=None) -> "
     "Tensor",
     static_cast<Tensor (*)(const Tensor&, std::string_view, IntSpan, bool, OptionalDType)>(&matrix_norm), function);
  op("linalg.matrix_power(Tensor input, int n) -> Tensor", &matrix_power, function);
  op("linalg.matrix_exp(Tensor input) -> Tensor", &matrix_exp, op_fn);
  op("linalg.cross(Tensor input, Tensor other, *, int dim=-1) -> Tensor", &cross, function);
  op("linalg.vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor", &vecdot, function);
  op("linalg.diagonal(Tensor A, *, int offset=0, int dim1=-2, int dim2=-1) -> Tensor", &linalg_diagonal, op_fn);
  op("linalg.vander(Tensor x, *, int? N=None) -> Tensor", &vander, op_fn);
  op("linalg.tensorinv(Tensor input, int ind=2) -> Tensor", &tensorinv, function);
  op("linalg.tensorsolve(Tensor input, Tensor other, int[]? dims=None) -> Tensor", &tensorsolve, function);
  op("matrix_power(Tensor input, int n) -> Tensor", &matrix_power, every);
  op("matrix_exp(Tensor input) -> Tensor", &matrix_exp, op_fn | op_method);
}

}  // namespace fastnn
