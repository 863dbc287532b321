// Systems of equations, inverses and determinants.
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/index.h"
#include "ops/linalg.h"
#include "ops/linalg_matrix.h"
#include "ops/registry.h"

namespace fastnn {

namespace {

void check_equation(const char* op, const Tensor& a, const Tensor& b, bool left) {
  check_square(op, a);
  check_matrices(op, b, "B");
  FASTNN_CHECK(left ? rows_of(a) == rows_of(b) : columns_of(a) == columns_of(b), ErrorKind::Runtime, op,
               ": Incompatible shapes of A and B for the equation ", left ? "AX = B" : "XA = B", " (", rows_of(a), "x",
               columns_of(a), " and ", rows_of(b), "x", columns_of(b), ")");
}

// Whether B is a batch of vectors, by NumPy's old rule: it has A's shape without the last dimension.
bool is_vector(const Tensor& a, const Tensor& b) {
  if (b.ndim() == 1) return true;
  return a.ndim() - 1 == b.ndim() && b.sizes() == static_cast<IntSpan>(a.sizes()).first(b.sizes().size());
}

// A matrix for a kernel, which may be the transpose of the one that is stored.
struct Operand {
  explicit Operand(const Tensor& a) : transposed(!is_in_columns(a) && is_in_columns(matrix_transpose(a))) {
    matrix = in_columns(transposed ? matrix_transpose(a) : a);
  }
  bool transposed;
  Tensor matrix;
};

Tensor triangular_value(const Tensor& a, const Tensor& b, bool upper, bool left, bool unit) {
  const GradModeGuard off(false);
  const Dims batch = broadcast_shapes(batch_of(a), batch_of(b), "linalg.solve_triangular");
  Tensor x = column_copy(expand_batch(b, batch));
  const Operand operand(a);
  lapack().triangular_solve(x.view(), expand_batch(operand.matrix, batch).view(), left, upper != operand.transposed,
                            operand.transposed ? Form::Transposed : Form::Plain, unit);
  return x;
}

Tensor lu_solve_value(const Tensor& lu, const Tensor& pivots, const Tensor& b, bool adjoint_form) {
  const GradModeGuard off(false);
  const Dims batch = broadcast_shapes(batch_of(lu), batch_of(b), "linalg.lu_solve");
  Tensor x = column_copy(expand_batch(b, batch));
  lapack().lu_solve(x.view(), expand_batch(in_columns(lu), batch).view(),
                    expand(contiguous(pivots), with_vector(batch, rows_of(lu))).view(),
                    adjoint_form ? Form::Adjoint : Form::Plain);
  return x;
}

// The solution from the factors as a formula, which differentiates with respect to them.
Tensor lu_solve_formula(const Tensor& lu, const Tensor& pivots, const Tensor& b, bool adjoint_form) {
  const Dims batch = broadcast_shapes(batch_of(lu), batch_of(b), "linalg.lu_solve");
  const Tensor rows = as_column(expand(pivot_rows(pivots, rows_of(lu)), with_vector(batch, rows_of(lu))));
  const Tensor full = expand_batch(b, batch);
  const Tensor order = expand(rows, full.sizes());
  if (!adjoint_form) {
    const Tensor y = solve_triangular(lu, gather(full, -2, order), false, true, true);
    return solve_triangular(lu, y, true);
  }
  const Tensor y = solve_triangular(adjoint(lu), full, false);
  const Tensor x = solve_triangular(adjoint(lu), y, true, true, true);
  return scatter(zeros_like(x), -2, order, x);
}

struct Solution {
  Tensor x, lu, pivots, info;
};
Solution solve_matrices(const Tensor& a, const Tensor& b, bool left) {
  const GradModeGuard off(false);
  Solution s;
  std::tie(s.lu, s.pivots, s.info) = lu_factor_ex(a);
  s.x = left ? lu_solve_value(s.lu, s.pivots, b, false)
             : contiguous(adjoint(lu_solve_value(s.lu, s.pivots, adjoint(b), true))).detached();
  return s;
}

Tensor solution_gradient_of_a(const Tensor& gb, const Tensor& x, bool left) {
  return -(left ? gb % adjoint(x) : adjoint(x) % gb);
}

std::tuple<Tensor, Tensor> solve_checked(const char* op, const Tensor& a, const Tensor& b, bool left,
                                         bool check_errors) {
  check_precision(op, a);
  check_equal_dtypes(op, a, b, "A", "B");
  check_square(op, a);
  const bool vector = is_vector(a, b);
  FASTNN_CHECK(left || !vector, ErrorKind::Runtime, op,
               ": Vector broadcasting of the left hand side is not supported for left=False. In this case linalg.solve "
               "is equivalent to B / A.squeeze(-1)");
  const Tensor right_side = vector ? as_column(b.detached()) : b.detached();
  check_equation(op, a, right_side, left);
  const Solution s = solve_matrices(a.detached(), right_side, left);
  if (check_errors) check_info(op, s.info, &singular_to_solve);
  Tensor x = vector ? squeeze(s.x, -1).detached() : s.x;
  if (vector && x.ndim() >= 2) x = column_copy(x);
  if (needs_grad(a, b)) {
    record_outputs("LinalgSolveExBackward0", {&x, &s.info}, {&a, &b},
                   [left, vector, sa = save(a), sx = save_output(x), lu = s.lu, pivots = s.pivots, size_b = b.sizes()](
                       std::span<const Tensor> gradients, Slots& d) {
                     if (!gradients[0].defined()) return;
                     const Tensor g = vector ? as_column(gradients[0]) : gradients[0];
                     Tensor gb;
                     if (grad_mode().enabled) {
                       gb = std::get<0>(solve_ex(adjoint(sa.get()), g, left));
                     } else {
                       gb = lu_solve(lu, pivots, g, left, true);
                     }
                     if (d.wants(1)) d[1] = sum_to_size(vector ? squeeze(gb, -1) : gb, size_b);
                     if (!d.wants(0)) return;
                     const Tensor solution = vector ? as_column(sx.get()) : sx.get();
                     d[0] = sum_to_size(solution_gradient_of_a(gb, solution, left), sa.get().sizes());
                   });
  }
  return {x, s.info};
}

std::string singular_to_invert(int code) {
  return "The diagonal element " + std::to_string(code) +
         " is zero, the inversion could not be completed because the input matrix is singular.";
}

std::tuple<Tensor, Tensor> inv_checked(const char* op, const Tensor& a, bool check_errors) {
  check_square(op, a);
  check_precision(op, a);
  const Solution s = solve_matrices(a.detached(), eye_like(a), true);
  if (check_errors) check_info(op, s.info, &singular_to_invert);
  if (needs_grad(a)) {
    record_outputs("LinalgInvExBackward0", {&s.x, &s.info}, {&a},
                   [sx = save_output(s.x)](std::span<const Tensor> g, Slots& d) {
                     if (!g[0].defined()) return;
                     const Tensor x = adjoint(sx.get());
                     d[0] = -(x % (g[0] % x));
                   });
  }
  return {s.x, s.info};
}

Tensor linalg_inv(const Tensor& a) { return std::get<0>(inv_checked("linalg.inv", a, true)); }
Tensor linalg_solve(const Tensor& a, const Tensor& b, bool left) {
  return std::get<0>(solve_checked("torch.linalg.solve", a, b, left, true));
}

// --- equations with factors ------------------------------------------------------------------------------------------

Tensor linalg_lu_solve(const Tensor& lu, const Tensor& pivots, const Tensor& b, bool left, bool adjoint_form) {
  constexpr const char* op = "linalg.lu_solve";
  check_precision(op, lu);
  check_equal_dtypes(op, lu, b, "LU", "B");
  FASTNN_CHECK(pivots.dtype() == DType::Int32, ErrorKind::Runtime, op,
               ": pivots should be a Tensor of scalar type torch.int32, got ", pivots.dtype());
  check_square(op, lu, "LU");
  check_equation(op, lu, b, left);
  FASTNN_CHECK(pivots.ndim() > 0 && pivots.sizes().back() == columns_of(lu), ErrorKind::Runtime, op,
               ": Number of pivots per batch should be same as the dimension of the matrix, got ", pivots.sizes());
  FASTNN_CHECK(pivots.sizes() == with_vector(batch_of(lu), columns_of(lu)), ErrorKind::Runtime, op,
               ": Expected LU.shape[:-1] and pivots.shape to be the same, but got pivots with shape ", pivots.sizes(),
               " instead");
  return lu_solve(lu, pivots, b, left, adjoint_form);
}
Tensor torch_lu_solve(const Tensor& b, const Tensor& lu, const Tensor& pivots) {
  return linalg_lu_solve(lu, pivots, b, true, false);
}

Tensor linalg_solve_triangular(const Tensor& a, const Tensor& b, bool upper, bool left, bool unitriangular) {
  constexpr const char* op = "linalg.solve_triangular";
  check_precision(op, a);
  check_equal_dtypes(op, a, b, "A", "B");
  check_equation(op, a, b, left);
  return solve_triangular(a, b, upper, left, unitriangular);
}

void check_sizes(const char* op, const Tensor& b, const Tensor& a) {
  check_precision(op, b);
  FASTNN_CHECK(b.ndim() >= 2 && a.ndim() >= 2, ErrorKind::Runtime, op,
               ": b and A should have at least 2 dimensions, but have ", b.ndim(), " and ", a.ndim(),
               " dimensions instead");
  check_square(op, a);
  check_equal_dtypes(op, b, a, "b", "A");
  FASTNN_CHECK(rows_of(a) == rows_of(b), ErrorKind::Runtime, "Incompatible matrix sizes for ", op,
               ": each A matrix is ", rows_of(a), " by ", columns_of(a), " but each b matrix is ", rows_of(b), " by ",
               columns_of(b));
}

std::tuple<Tensor, Tensor> triangular_solve(const Tensor& b, const Tensor& a, bool upper, bool transpose_a,
                                            bool unitriangular) {
  check_sizes("triangular_solve", b, a);
  const Tensor full = expand_batch(a, broadcast_shapes(batch_of(a), batch_of(b), "triangular_solve"));
  const Tensor copy = matrix_transpose(clone(matrix_transpose(full), true));
  return {transpose_a ? solve_triangular(matrix_transpose(copy), b, !upper, true, unitriangular)
                      : solve_triangular(copy, b, upper, true, unitriangular),
          copy};
}

// X = M^-1 B for M = L L^H (or U^H U), with the derivative of that product as one of a whole matrix L.
Tensor cholesky_gradient_of_factor(const Tensor& gb, const Tensor& x, const Tensor& l, bool upper) {
  const Tensor gm = gb % adjoint(x);
  const Tensor symmetric = -(gm + adjoint(gm));
  return sum_to_size(upper ? l % symmetric : symmetric % l, l.sizes());
}

Tensor cholesky_solve(const Tensor& b, const Tensor& l, bool upper) {
  check_sizes("cholesky_solve", b, l);
  Tensor x;
  {
    const GradModeGuard off(false);
    const Tensor lower = upper ? adjoint(l.detached()) : l.detached();
    x = solve_triangular(adjoint(lower), solve_triangular(lower, b.detached(), false), true);
  }
  if (needs_grad(b, l)) {
    record("CholeskySolveBackward0", x, {&b, &l},
           [upper, sl = save(l), sx = save_output(x), size_b = b.sizes()](const Tensor& g, Slots& d) {
             const Tensor gb = cholesky_solve(g, sl.get(), upper);
             if (d.wants(0)) d[0] = sum_to_size(gb, size_b);
             if (d.wants(1)) d[1] = cholesky_gradient_of_factor(gb, sx.get(), sl.get(), upper);
           });
  }
  return x;
}

Tensor cholesky_inverse(const Tensor& l, bool upper) {
  check_square("cholesky_inverse", l);
  check_precision("cholesky_inverse", l);
  return cholesky_solve(eye_like(l), l, upper);
}

// --- least squares ---------------------------------------------------------------------------------------------------

LeastSquares method_named(std::optional<std::string_view> driver) {
  if (!driver || *driver == "gelsy") return LeastSquares::Gelsy;
  if (*driver == "gels") return LeastSquares::Gels;
  if (*driver == "gelsd") return LeastSquares::Gelsd;
  FASTNN_CHECK(*driver == "gelss", ErrorKind::Runtime,
               "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), got '", *driver,
               "'");
  return LeastSquares::Gelss;
}

std::string not_full_rank(int code) {
  return "The least squares problem could not be solved because the input matrix does not have full rank (error "
         "code: " +
         std::to_string(code) + ").";
}

bool full_rank(const Tensor& rank, std::int64_t n) {
  const std::int64_t* ranks = rank.as<std::int64_t>();
  return std::all_of(ranks, ranks + rank.numel(), [n](std::int64_t r) { return r == n; });
}

// A^H(A X - B) = 0 for the solution X, so the sum of squares changes only with A and B themselves.
void least_squares_gradient(const Tensor& a, const Tensor& b, const Tensor& x, const Tensor& g_solution,
                            const Tensor& g_residuals, Slots& d) {
  Tensor ga;
  Tensor gb;
  if (g_solution.defined()) {
    const Tensor inverse = pinv(a, Tensor(), Tensor(), false);
    if (d.wants(1)) gb = adjoint(inverse) % g_solution;
    if (d.wants(0)) ga = pinv_gradient(g_solution % adjoint(b), inverse, a);
  }
  if (g_residuals.defined() && g_residuals.numel() > 0) {
    const Tensor scaled = scale_columns(2.0 * (a % x - b), g_residuals);
    if (d.wants(1)) gb = gb.defined() ? gb - scaled : -scaled;
    if (d.wants(0)) ga = ga.defined() ? ga + scaled % adjoint(x) : scaled % adjoint(x);
  }
  if (ga.defined()) d[0] = sum_to_size(ga, a.sizes());
  if (gb.defined()) d[1] = sum_to_size(gb, b.sizes());
}

std::tuple<Tensor, Tensor, Tensor, Tensor> lstsq(const Tensor& a, const Tensor& b, std::optional<double> rcond,
                                                 std::optional<std::string_view> driver) {
  constexpr const char* op = "torch.linalg.lstsq";
  FASTNN_CHECK(a.ndim() >= 2, ErrorKind::Runtime, op, ": input must have at least 2 dimensions.");
  FASTNN_CHECK(b.ndim() >= 1, ErrorKind::Runtime, op, ": other must have at least 1 dimension.");
  const int difference = a.ndim() - b.ndim();
  FASTNN_CHECK(difference == 0 || difference == 1, ErrorKind::Runtime, op,
               ": input.dim() must be greater or equal to other.dim() and (input.dim() - other.dim()) <= 1");
  const bool vector = is_vector(a, b);
  FASTNN_CHECK(difference == 0 || vector, ErrorKind::Runtime, op, ": other must be a batch of vectors, got shapes ",
               a.sizes(), " and ", b.sizes());
  check_precision(op, a);
  FASTNN_CHECK(a.dtype() == b.dtype(), ErrorKind::Runtime, op,
               ": Expected input and other to have the same dtype, but "
               "got input's dtype ",
               a.dtype(), " and other's dtype ", b.dtype());
  const LeastSquares method = method_named(driver);
  const Tensor right = vector ? as_column(b) : b;
  const std::int64_t m = rows_of(a);
  const std::int64_t n = columns_of(a);
  const std::int64_t count = columns_of(right);
  FASTNN_CHECK(rows_of(right) == m, ErrorKind::Runtime, op, ": input.size(-2) should match other.size(-2), got ", m,
               " and ", rows_of(right));
  const Dims batch = broadcast_shapes(batch_of(a), batch_of(right), "linalg.lstsq");
  const bool ranked = method != LeastSquares::Gels;
  const bool valued = method == LeastSquares::Gelsd || method == LeastSquares::Gelss;
  Tensor rank = ranked ? zeros(batch_of(a), DType::Int64) : Tensor::empty(Dims{0}, DType::Int64);
  Tensor values = valued ? zeros(with_vector(batch_of(a), std::min(m, n)), to_real(a.dtype()))
                         : Tensor::empty(Dims{0}, to_real(a.dtype()));
  Tensor residuals = Tensor::empty(Dims{0}, to_real(a.dtype()));
  Tensor solution;
  {
    const GradModeGuard off(false);
    // LAPACK's matrix of right sides, which becomes that of solutions, has room for the larger of both.
    Tensor x = column_major(with_matrix(batch, std::max(m, n), count), a.dtype());
    fill_raw(x, Scalar(0));
    copy_raw(narrow(x, -2, 0, m), right.detached());
    if (a.numel() > 0 && count > 0) {
      // One rank and one set of singular values for each matrix, though it may be solved for several right sides.
      Tensor all_ranks = ranked ? zeros(batch, DType::Int64) : Tensor();
      Tensor all_values = valued ? zeros(with_vector(batch, std::min(m, n)), to_real(a.dtype())) : Tensor();
      Tensor info = infos(batch);
      lapack().least_squares(x.view(), column_copy(expand_batch(a.detached(), batch)).view(),
                             ranked ? all_ranks.view() : View(), valued ? all_values.view() : View(), info.view(),
                             rcond.value_or(epsilon(a.dtype()) * static_cast<double>(std::max(m, n))), method);
      check_info(op, info, &not_full_rank);
      const auto first_of = [&](const Tensor& all, const Dims& sizes) {
        Tensor part = all;
        for (int i = 0; i < batch.size(); ++i) {
          const int at = i - (batch.size() - batch_of(a).size());
          if (batch[i] != 1 && (at < 0 || sizes[at] == 1)) part = narrow(part, i, 0, 1);
        }
        return clone(reshape(part, sizes), true);
      };
      if (ranked) rank = first_of(all_ranks, rank.sizes());
      if (valued) values = first_of(all_values, values.sizes());
    } else {
      fill_raw(x, Scalar(0));
    }
    if (m > n && method != LeastSquares::Gelsy && (!ranked || full_rank(rank, n))) {
      const Tensor rest = narrow(x, -2, n, m - n);
      const std::int64_t rows[] = {-2};
      residuals = sum(real(rest * conj(rest)), IntSpan(rows));
    }
    solution = vector ? squeeze(narrow(x, -2, 0, n), -1).detached() : narrow(x, -2, 0, n).detached();
  }
  if (needs_grad(a, b)) {
    record_outputs(
        "LinalgLstsqBackward0", {&solution, &residuals}, {&a, &b},
        [vector, sa = save(a), sb = save(b), sx = save_output(solution)](std::span<const Tensor> g, Slots& d) {
          const auto matrix = [vector](const Tensor& t) { return vector && t.defined() ? as_column(t) : t; };
          least_squares_gradient(sa.get(), matrix(sb.get()), matrix(sx.get()), matrix(g[0]), g[1], d);
          if (vector && d[1].defined()) d[1] = squeeze(d[1], -1);
        });
  }
  return {solution, residuals, rank, values};
}

// --- determinants ----------------------------------------------------------------------------------------------------

// 1 for an even number of exchanges, -1 for an odd one.
Tensor sign_of(const Tensor& pivots, DType dtype) {
  const std::int64_t last[] = {-1};
  const Tensor in_place = arange_int(pivots.sizes().back(), 1);
  const Tensor odd = remainder(sum(ne(pivots, in_place), IntSpan(last)), Scalar(2).wrapped());
  return 1.0 - 2.0 * to_dtype(odd, dtype);
}

Tensor product_of_diagonal(const Tensor& lu) { return prod(diagonals(lu), -1); }

struct Factors {
  Tensor lu, pivots;
};
Factors factors_of(const Tensor& a) {
  const GradModeGuard off(false);
  const auto [lu, pivots, info] = lu_factor_ex(a.detached());
  return {lu, pivots};
}

// What to add to the diagonal of U where it is zero, up to rounding: `size` times the largest element. The determinant
// is a polynomial, so a small change of the matrix changes its derivatives little.
Tensor away_from_singular(const Tensor& lu, double size) {
  const GradModeGuard off(false);
  const double tiny = epsilon(lu.dtype());
  const Tensor magnitude = abs(diagonals(lu));
  const std::int64_t matrix[] = {-2, -1};
  const Tensor largest = as_column(amax(abs(lu), IntSpan(matrix)));
  const Tensor zero = le(magnitude, largest * (4 * tiny * static_cast<double>(rows_of(lu))));
  return where(zero, clamp(largest, Scalar(tiny), {}) * size, Scalar(0.0).wrapped());
}

// The conjugate of det(A), times A^-H, which is the adjugate's adjoint.
Tensor cofactors(const Tensor& a, const Factors& f) {
  if (a.numel() == 0) return zeros_like(a);
  const bool again = grad_mode().enabled;
  const double tiny = epsilon(a.dtype());
  const Tensor shift = away_from_singular(f.lu, again ? std::cbrt(tiny) : tiny);
  if (!again) {
    const Tensor lu = f.lu + scale_rows(shift, eye_like(a));
    const Tensor value = product_of_diagonal(lu) * sign_of(f.pivots, a.dtype());
    return lu_solve(lu, f.pivots, as_column(as_column(conj(value))) * eye_like(a), true, true);
  }
  Tensor moved = a;
  if (count_nonzero(shift).item_int() > 0) {
    const Tensor l = tril(f.lu, -1) + eye_like(a);
    const Tensor change = scale_columns(l, shift);
    const Tensor rows = expand(as_column(pivot_rows(f.pivots, rows_of(a))), change.sizes());
    moved = a + scatter(zeros_like(change), -2, rows, change);
  }
  return as_column(as_column(conj(det(moved)))) * adjoint(std::get<0>(inv_ex(moved)));
}

// What multiplies A^-H in the gradient: both results depend on tr(A^-1 dA), the logarithm on its real part, and the
// sign of a complex determinant on its imaginary part.
Tensor slogdet_factor(const Tensor& g_sign, const Tensor& g_logarithm, const Tensor& sign_value) {
  if (!sign_value.is_complex() || !g_sign.defined()) return g_logarithm;
  const Tensor turn = imag(g_sign * conj(sign_value));
  return complex(g_logarithm.defined() ? g_logarithm : zeros_like(turn), turn);
}

}  // namespace

std::tuple<Tensor, Tensor> solve_ex(const Tensor& a, const Tensor& b, bool left, bool check_errors) {
  return solve_checked("torch.linalg.solve_ex", a, b, left, check_errors);
}
Tensor solve(const Tensor& a, const Tensor& b, bool left) { return linalg_solve(a, b, left); }
std::tuple<Tensor, Tensor> inv_ex(const Tensor& a, bool check_errors) {
  return inv_checked("linalg.inv_ex", a, check_errors);
}
Tensor inv(const Tensor& a) { return linalg_inv(a); }

Tensor solve_triangular(const Tensor& a, const Tensor& b, bool upper, bool left, bool unitriangular) {
  Tensor x = triangular_value(a.detached(), b.detached(), upper, left, unitriangular);
  if (needs_grad(a, b)) {
    record(
        "LinalgSolveTriangularBackward0", x, {&a, &b},
        [upper, left, unitriangular, sa = save(a), sx = save_output(x), size_b = b.sizes()](const Tensor& g, Slots& d) {
          const Tensor gb = solve_triangular(adjoint(sa.get()), g, !upper, left, unitriangular);
          if (d.wants(1)) d[1] = sum_to_size(gb, size_b);
          if (!d.wants(0)) return;
          const Tensor ga = sum_to_size(solution_gradient_of_a(gb, sx.get(), left), sa.get().sizes());
          d[0] = upper ? triu(ga, unitriangular ? 1 : 0) : tril(ga, unitriangular ? -1 : 0);
        });
  }
  return x;
}

Tensor lu_solve(const Tensor& lu, const Tensor& pivots, const Tensor& b, bool left, bool adjoint_form) {
  if (!left) return adjoint(lu_solve(lu, pivots, adjoint(b), true, !adjoint_form));
  if (needs_grad(lu)) return lu_solve_formula(lu, pivots, b, adjoint_form);
  Tensor x = lu_solve_value(lu, pivots, b.detached(), adjoint_form);
  if (needs_grad(b)) {
    record("LinalgLuSolveBackward0", x, {&b},
           [adjoint_form, slu = save(lu), pivots, size_b = b.sizes()](const Tensor& g, Slots& d) {
             d[0] = sum_to_size(lu_solve(slu.get(), pivots, g, true, !adjoint_form), size_b);
           });
  }
  return x;
}

Tensor det(const Tensor& a) {
  check_square("linalg.det", a);
  check_precision("linalg.det", a);
  const Factors f = factors_of(a);
  Tensor value;
  {
    const GradModeGuard off(false);
    value = product_of_diagonal(f.lu) * sign_of(f.pivots, a.dtype());
  }
  if (needs_grad(a)) {
    record("LinalgDetBackward0", value, {&a},
           [sa = save(a), f](const Tensor& g, Slots& d) { d[0] = as_column(as_column(g)) * cofactors(sa.get(), f); });
  }
  return value;
}

std::tuple<Tensor, Tensor> slogdet(const Tensor& a) {
  check_square("linalg.slogdet", a);
  check_precision("linalg.slogdet", a);
  const Factors f = factors_of(a);
  const std::int64_t last[] = {-1};
  Tensor sign_value;
  Tensor logarithm;
  {
    const GradModeGuard off(false);
    const Tensor diagonal = diagonals(f.lu);
    sign_value = sign_of(f.pivots, a.dtype()) * prod(sgn(diagonal), -1);
    logarithm = sum(log(abs(diagonal)), IntSpan(last));
  }
  if (needs_grad(a)) {
    record_outputs("LinalgSlogdetBackward0", {&sign_value, &logarithm}, {&a},
                   [sa = save(a), f, ss = save_output(sign_value)](std::span<const Tensor> g, Slots& d) {
                     const Tensor factor = slogdet_factor(g[0], g[1], ss.get());
                     if (!factor.defined()) return;
                     const Tensor right = as_column(as_column(factor)) * eye_like(f.lu);
                     d[0] = grad_mode().enabled ? std::get<0>(solve_ex(adjoint(sa.get()), right))
                                                : lu_solve(f.lu, f.pivots, right, true, true);
                   });
  }
  return {sign_value, logarithm};
}

namespace {

Tensor logdet(const Tensor& a) {
  const auto [sign_value, logarithm] = slogdet(a);
  return masked_fill(logarithm, lt(sign_value, Scalar(0).wrapped()), Scalar(std::nan("")));
}

}  // namespace

FASTNN_OPS(linalg_solve) {
  constexpr unsigned function = op_fn | op_out;
  constexpr unsigned both = op_fn | op_method;
  constexpr unsigned every = op_fn | op_method | op_out;
  op("linalg.solve(Tensor A, Tensor B, *, bool left=True) -> Tensor", &linalg_solve, function);
  op("linalg.solve_ex(Tensor A, Tensor B, *, bool left=True, bool check_errors=False) -> (Tensor result, Tensor info)",
     &solve_ex, function);
  op("linalg.solve_triangular(Tensor input, Tensor B, *, bool upper, bool left=True, bool unitriangular=False) -> "
     "Tensor",
     &linalg_solve_triangular, function);
  op("linalg.lu_solve(Tensor LU, Tensor pivots, Tensor B, *, bool left=True, bool adjoint=False) -> Tensor",
     &linalg_lu_solve, function);
  op("linalg.lstsq(Tensor input, Tensor b, float? rcond=None, *, str? driver=None) -> (Tensor solution, Tensor "
     "residuals, "
     "Tensor rank, Tensor singular_values)",
     &lstsq, function);
  op("linalg.inv(Tensor A) -> Tensor", &linalg_inv, function);
  op("linalg.inv_ex(Tensor A, *, bool check_errors=False) -> (Tensor inverse, Tensor info)", &inv_ex, function);
  op("linalg.det(Tensor A) -> Tensor", &det, function);
  op("linalg.slogdet(Tensor A) -> (Tensor sign, Tensor logabsdet)", &slogdet, function);
  op("inverse(Tensor input) -> Tensor", &linalg_inv, every);
  op("det(Tensor input) -> Tensor", &det, both);
  op("slogdet(Tensor input) -> (Tensor sign, Tensor logabsdet)", &slogdet, every);
  op("logdet(Tensor input) -> Tensor", &logdet, both);
  op("lu_solve(Tensor input, Tensor LU_data, Tensor LU_pivots) -> Tensor", &torch_lu_solve, every);
  op("triangular_solve(Tensor input, Tensor A, bool upper=True, bool transpose=False, bool unitriangular=False) -> "
     "(Tensor solution, Tensor cloned_coefficient)",
     &triangular_solve, every);
  op("cholesky_solve(Tensor input, Tensor input2, bool upper=False) -> Tensor", &cholesky_solve, every);
  op("cholesky_inverse(Tensor input, bool upper=False) -> Tensor", &cholesky_inverse, every);
}

}  // namespace fastnn
