// Factorisations: Cholesky, LU, QR, LDL, and products of Householder reflections.
#include <algorithm>

#include "ops/index.h"
#include "ops/linalg.h"
#include "ops/linalg_matrix.h"
#include "ops/registry.h"
#include "ops/sort.h"

namespace fastnn {

namespace {

std::string not_definite(int code) {
  return "The factorization could not be completed because the input is not positive-definite (the leading minor of "
         "order " +
         std::to_string(code) + " is not positive-definite).";
}

// --- Cholesky --------------------------------------------------------------------------------------------------------

// L^-H (the Hermitian part of tril(L^H G), as a matrix whose lower half it is) L^-1.
Tensor cholesky_gradient(const Tensor& g, const Tensor& l) {
  const Tensor symmetric = hermitian_of_triangle(tril(adjoint(l) % g)) * 0.5;
  return solve_triangular(l, solve_triangular(adjoint(l), symmetric, true), false, false);
}

std::tuple<Tensor, Tensor> cholesky_checked(const char* op, const Tensor& a, bool upper, bool check_errors) {
  check_square(op, a);
  check_precision(op, a);
  Tensor factor = column_copy(a);
  Tensor info = infos(batch_of(a));
  lapack().cholesky(factor.view(), info.view(), upper);
  if (check_errors) check_info(op, info, &not_definite);
  if (needs_grad(a)) {
    record_outputs("LinalgCholeskyExBackward0", {&factor, &info}, {&a},
                   [upper, saved = save_output(factor)](std::span<const Tensor> g, Slots& d) {
                     if (!g[0].defined()) return;
                     const Tensor l = saved.get();
                     d[0] = upper ? cholesky_gradient(adjoint(g[0]), adjoint(l)) : cholesky_gradient(g[0], l);
                   });
  }
  return {factor, info};
}

std::tuple<Tensor, Tensor> cholesky_ex(const Tensor& a, bool upper, bool check_errors) {
  return cholesky_checked("linalg.cholesky_ex", a, upper, check_errors);
}
Tensor linalg_cholesky(const Tensor& a, bool upper) { return cholesky("linalg.cholesky", a, upper); }
Tensor torch_cholesky(const Tensor& a, bool upper) { return cholesky("cholesky", a, upper); }

// --- LU --------------------------------------------------------------------------------------------------------------

// P X, or P^T X, for the permutation in `rows`.
Tensor permute_rows(const Tensor& x, const Tensor& rows, bool transposed) {
  const Tensor order = transposed ? rows : argsort(rows);
  const Dims sizes = x.sizes();
  return gather(x, -2, expand(as_column(order), sizes));
}

// The gradient of A in A = P L U, from those of L and U, of which one may be undefined.
Tensor lu_gradient(const Tensor& gl, const Tensor& gu, const Tensor& rows, const Tensor& l, const Tensor& u) {
  const std::int64_t m = rows_of(l);
  const std::int64_t n = columns_of(u);
  const std::int64_t k = std::min(m, n);
  const auto top = [k](const Tensor& t) { return narrow(t, -2, 0, k); };
  const auto left = [k](const Tensor& t) { return narrow(t, -1, 0, k); };
  const Tensor l1 = top(l);
  const Tensor u1 = left(u);
  Tensor lower;
  Tensor upper;
  if (gl.defined()) lower = adjoint(l1) % top(gl);
  if (gu.defined()) upper = left(gu) % adjoint(u1);
  if (gu.defined() && n > k) {
    const Tensor outside = narrow(gu, -1, k, n - k) % adjoint(narrow(u, -1, k, n - k));
    lower = lower.defined() ? lower - outside : -outside;
  }
  if (gl.defined() && m > k) {
    const Tensor outside = adjoint(narrow(l, -2, k, m - k)) % narrow(gl, -2, k, m - k);
    upper = upper.defined() ? upper - outside : -outside;
  }
  Tensor inner;
  if (lower.defined()) inner = tril(lower, -1);
  if (upper.defined()) inner = inner.defined() ? inner + triu(upper) : triu(upper);
  if (n > k) {  // P L^-H [inner U1^-H | gU2]
    inner = solve_triangular(adjoint(u1), inner, false, false);
    const Tensor rest = gu.defined() ? narrow(gu, -1, k, n - k) : zeros_like(narrow(u, -1, k, n - k));
    return permute_rows(solve_triangular(adjoint(l1), cat(std::array{inner, rest}, -1), true, true, true), rows, false);
  }
  // P [L1^-H inner ; gL2] U^-H
  inner = solve_triangular(adjoint(l1), inner, true, true, true);
  if (m > k) {
    const Tensor rest = gl.defined() ? narrow(gl, -2, k, m - k) : zeros_like(narrow(l, -2, k, m - k));
    inner = cat(std::array{inner, rest}, -2);
  }
  return permute_rows(solve_triangular(adjoint(u1), inner, false, false), rows, false);
}

struct Unpacked {
  Tensor l, u;
};
Unpacked unpack(const Tensor& lu) {
  const std::int64_t k = std::min(rows_of(lu), columns_of(lu));
  const Tensor l = tril(narrow(lu, -1, 0, k), -1);
  return {l + eye(rows_of(lu), k, lu.dtype()), triu(narrow(lu, -2, 0, k))};
}

std::string zero_pivot(int code) {
  return "U[" + std::to_string(code) + "," + std::to_string(code) +
         "] is zero and using it on lu_solve would result in a division by zero. To factorise all the same, call "
         "linalg.lu or linalg.lu_factor_ex";
}

std::tuple<Tensor, Tensor> lu_factor(const Tensor& a, bool pivot) {
  const auto [lu, pivots, info] = lu_factor_ex(a, pivot, false);
  check_info("torch.linalg.lu_factor", info, &zero_pivot);
  return {lu, pivots};
}

Tensor permutation_matrix(const Tensor& rows, DType dtype) {
  const std::int64_t n = rows.sizes().back();
  Tensor p = zeros(with_vector(rows.sizes(), n), dtype);
  return scatter(p, -2, as_row(rows), ones(as_row(rows).sizes(), dtype));
}

// The factors of what `lu_factor` gave; undefined data or pivots become empty.
std::tuple<Tensor, Tensor, Tensor> lu_unpack(const Tensor& lu, const Tensor& pivots, bool unpack_data,
                                             bool unpack_pivots) {
  FASTNN_CHECK(pivots.dtype() == DType::Int32, ErrorKind::Runtime,
               "torch.lu_unpack: LU_pivots is expected to be a tensor of torch.int32, as torch.linalg.lu_factor gives "
               "it; got ",
               pivots.dtype());
  check_matrices("lu_unpack", lu, "LU_data");
  const Tensor none = Tensor::empty(Dims{0}, lu.dtype());
  Tensor p = none;
  Tensor l = none;
  Tensor u = none;
  if (unpack_pivots) p = permutation_matrix(pivot_rows(pivots, rows_of(lu)), lu.dtype());
  if (unpack_data) {
    const Unpacked parts = unpack(lu);
    l = parts.l;
    u = parts.u;
  }
  return {p, l, u};
}

std::tuple<Tensor, Tensor, Tensor> lu(const Tensor& a, bool pivot) {
  const auto [data, pivots, info] = lu_factor_ex(a, pivot, false);
  return lu_unpack(data, pivots, true, true);
}

// PyTorch's older form of lu_factor_ex.
std::vector<Tensor> torch_lu(const Tensor& a, bool pivot, bool get_infos) {
  const auto [data, pivots, info] = lu_factor_ex(a, pivot);
  if (get_infos) return {data, pivots, info};
  return {data, pivots};
}

// --- QR --------------------------------------------------------------------------------------------------------------

// With gQ and gR for matrices of at least as many rows as columns; either may be undefined.
Tensor tall_qr_gradient(const Tensor& gq, const Tensor& gr, const Tensor& q, const Tensor& r) {
  Tensor inner;
  if (gr.defined()) inner = gr % adjoint(r);
  if (gq.defined()) {
    const Tensor product = adjoint(q) % gq;
    inner = inner.defined() ? inner - product : -product;
  }
  const Tensor whole = q % hermitian_of_triangle(triu(inner));
  return solve_triangular(adjoint(r), gq.defined() ? gq + whole : whole, false, false);
}

Tensor qr_gradient(const Tensor& gq, const Tensor& gr, const Tensor& q, const Tensor& r, std::string_view mode) {
  const std::int64_t m = rows_of(q);
  const std::int64_t n = columns_of(r);
  FASTNN_CHECK(mode != "r", ErrorKind::Runtime,
               "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Use "
               "linalg.qr(A, mode='reduced') to differentiate through linalg.qr.");
  FASTNN_CHECK(mode == "reduced" || m <= n, ErrorKind::Runtime,
               "The QR decomposition is not differentiable when mode='complete' and nrows > ncols.");
  if (m >= n) return tall_qr_gradient(gq, gr, q, r);
  // A = [X | Y] with X = Q U and Y = Q V.
  const Tensor v = narrow(r, -1, m, n - m);
  Tensor gq_all = gq;
  Tensor gu;
  Tensor gy;
  if (gr.defined()) {
    const Tensor gv = narrow(gr, -1, m, n - m);
    const Tensor through_v = q % (v % adjoint(gv));
    gq_all = gq.defined() ? gq + through_v : through_v;
    gu = narrow(gr, -1, 0, m);
    gy = q % gv;
  } else {
    gy = zeros_like(v);
  }
  return cat(std::array{tall_qr_gradient(gq_all, gu, q, narrow(r, -1, 0, m)), gy}, -1);
}

std::tuple<Tensor, Tensor> torch_qr(const Tensor& a, bool some) { return qr(a, some ? "reduced" : "complete"); }

// --- Householder reflections -----------------------------------------------------------------------------------------

std::tuple<Tensor, Tensor> geqrf(const Tensor& a) {
  check_matrices("geqrf", a, "input");
  check_precision("geqrf", a);
  Tensor factors = column_copy(a);
  Tensor tau = zeros(with_vector(batch_of(a), std::min(rows_of(a), columns_of(a))), a.dtype());
  lapack().qr(factors.view(), tau.view());
  if (needs_grad(a)) {
    record_no_derivative("GeqrfBackward0", {&factors, &tau}, {&a}, ErrorKind::NotImplemented,
                         "the derivative for 'geqrf' is not implemented.");
  }
  return {factors, tau};
}

// (I - tau_1 v_1 v_1^H) ... (I - tau_k v_k v_k^H) C, or the adjoint of that product times C, as a formula.
Tensor reflect(const Tensor& a, const Tensor& tau, const Tensor& c, bool adjoint_product) {
  const std::int64_t k = tau.sizes().back();
  const Tensor vectors = tril(narrow(a, -1, 0, k), -1) + eye(rows_of(a), k, a.dtype());
  if (k == 0) return c + vectors % zeros(Dims{0, columns_of(c)}, c.dtype());
  Tensor result = c;
  for (std::int64_t step = 0; step < k; ++step) {
    const std::int64_t i = adjoint_product ? step : k - 1 - step;
    const Tensor v = narrow(vectors, -1, i, 1);
    const Tensor factor = as_column(narrow(tau, -1, i, 1));
    result = result - (adjoint_product ? conj(factor) : factor) * (v % (adjoint(v) % result));
  }
  return result;
}

void check_reflections(const char* op, const Tensor& a, const Tensor& tau) {
  check_matrices(op, a, "input");
  check_precision(op, a);
  FASTNN_CHECK(rows_of(a) >= columns_of(a), ErrorKind::Runtime, op,
               ": input.shape[-2] must be greater than or equal to input.shape[-1], got ", a.sizes());
  FASTNN_CHECK(tau.ndim() > 0 && columns_of(a) >= tau.sizes().back(), ErrorKind::Runtime, op,
               ": input.shape[-1] must be greater than or equal to tau.shape[-1], got ", a.sizes(), " and ",
               tau.sizes());
  FASTNN_CHECK(tau.ndim() == a.ndim() - 1, ErrorKind::Runtime, op,
               ": Expected tau to have one dimension less than input, but got tau.ndim equal to ", tau.ndim(),
               " and input.ndim is equal to ", a.ndim());
  const Dims batch = batch_of(a);
  FASTNN_CHECK(Dims(static_cast<IntSpan>(tau.sizes()).first(static_cast<std::size_t>(batch.size()))) == batch,
               ErrorKind::Runtime, op, ": Expected batch dimensions of tau to be equal to input.shape[:-2], but got ",
               tau.sizes());
  check_equal_dtypes(op, a, tau, "input", "tau");
}

Tensor householder_product(const Tensor& a, const Tensor& tau) {
  check_reflections("torch.linalg.householder_product", a, tau);
  if (needs_grad(a, tau)) {
    return reflect(a, tau, expand_batch(eye(rows_of(a), columns_of(a), a.dtype()), batch_of(a)), false);
  }
  Tensor q = column_copy(a);
  lapack().orthogonal(q.view(), contiguous(tau).view());
  return q;
}

Tensor ormqr(const Tensor& a, const Tensor& tau, const Tensor& other, bool left, bool transpose) {
  check_matrices("torch.ormqr", a, "input");
  check_precision("torch.ormqr", a);
  check_matrices("torch.ormqr", other, "other");
  const std::int64_t inner = left ? rows_of(other) : columns_of(other);
  FASTNN_CHECK(tau.ndim() > 0 && inner >= tau.sizes().back() && inner == rows_of(a), ErrorKind::Runtime,
               "torch.ormqr: other.shape[", left ? -2 : -1, "] must be equal to input.shape[-2] and at least ",
               "tau.shape[-1], got ", other.sizes(), ", ", a.sizes(), " and ", tau.sizes());
  FASTNN_CHECK(tau.sizes().back() <= columns_of(a), ErrorKind::Runtime,
               "torch.ormqr: tau.shape[-1] must be less than or equal to input.shape[-1], got ", tau.sizes(), " and ",
               a.sizes());
  FASTNN_CHECK(batch_of(a) == batch_of(other) && tau.ndim() == a.ndim() - 1, ErrorKind::Runtime,
               "torch.ormqr: Expected batch dimensions of input, tau and other to be equal, but got ", a.sizes(), ", ",
               tau.sizes(), " and ", other.sizes());
  check_equal_dtypes("torch.ormqr", a, tau, "input", "tau");
  check_equal_dtypes("torch.ormqr", a, other, "input", "other");
  if (needs_grad(a, tau, other)) {
    return left ? reflect(a, tau, other, transpose) : adjoint(reflect(a, tau, adjoint(other), !transpose));
  }
  Tensor result = column_copy(other);
  lapack().apply_orthogonal(result.view(), in_columns(a).view(), contiguous(tau).view(), left,
                            transpose ? Form::Adjoint : Form::Plain);
  return result;
}

// --- LDL -------------------------------------------------------------------------------------------------------------

std::string zero_block(int code) {
  return "D[" + std::to_string(code) + "," + std::to_string(code) +
         "] is zero and using it on ldl_solve would result in a division by zero. To factorise all the same, call "
         "linalg.ldl_factor_ex";
}

std::tuple<Tensor, Tensor, Tensor> ldl_checked(const char* op, const Tensor& a, bool hermitian, bool check_errors) {
  check_square(op, a);
  check_precision(op, a);
  Tensor factors = column_copy(a);
  copy_raw(factors, tril(factors));
  Tensor pivots = zeros(with_vector(batch_of(a), rows_of(a)), DType::Int32);
  Tensor info = infos(batch_of(a));
  lapack().ldl(factors.view(), pivots.view(), info.view(), hermitian);
  if (check_errors) check_info(op, info, &zero_block);
  if (needs_grad(a)) {
    record_no_derivative("LinalgLdlFactorExBackward0", {&factors, &pivots, &info}, {&a}, ErrorKind::Runtime,
                         "derivative for linalg.ldl_factor_ex is not implemented");
  }
  return {factors, pivots, info};
}

std::tuple<Tensor, Tensor, Tensor> ldl_factor_ex(const Tensor& a, bool hermitian, bool check_errors) {
  return ldl_checked("torch.linalg.ldl_factor_ex", a, hermitian, check_errors);
}
std::tuple<Tensor, Tensor> ldl_factor(const Tensor& a, bool hermitian) {
  const auto [factors, pivots, info] = ldl_checked("torch.linalg.ldl_factor", a, hermitian, true);
  return {factors, pivots};
}

Tensor ldl_solve(const Tensor& ld, const Tensor& pivots, const Tensor& b, bool hermitian) {
  constexpr const char* op = "torch.linalg.ldl_solve";
  check_square(op, ld, "LD");
  check_precision(op, ld);
  FASTNN_CHECK(b.ndim() >= 2, ErrorKind::Runtime, op, ": Expected B to have at least 2 dimensions, but it has ",
               b.ndim(), " dimensions instead");
  FASTNN_CHECK(rows_of(ld) == rows_of(b), ErrorKind::Runtime, op, ": Incompatible matrix sizes: LD is ", rows_of(ld),
               " by ", columns_of(ld), " and B is ", rows_of(b), " by ", columns_of(b));
  FASTNN_CHECK(pivots.sizes() == with_vector(batch_of(ld), rows_of(ld)), ErrorKind::Runtime, op,
               ": Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape ", pivots.sizes(),
               " instead");
  FASTNN_CHECK(is_integral(pivots.dtype()), ErrorKind::Runtime, op, ": Expected pivots to be integers. Got ",
               pivots.dtype());
  check_equal_dtypes(op, ld, b, "LD", "B");
  const Dims batch = broadcast_shapes(batch_of(ld), batch_of(b), "linalg.ldl_solve");
  const GradModeGuard off(false);
  Tensor result = column_copy(expand_batch(b, batch));
  const Tensor exchanges = contiguous(to_dtype(pivots, DType::Int32));
  lapack().ldl_solve(result.view(), expand_batch(in_columns(ld), batch).view(),
                     expand(exchanges, with_vector(batch, rows_of(ld))).view(), hermitian);
  return result;
}

}  // namespace

Tensor cholesky(const char* op, const Tensor& a, bool upper) {
  return std::get<0>(cholesky_checked(op, a, upper, true));
}

Tensor pivot_rows(const Tensor& pivots, std::int64_t n) {
  const Tensor exchanges = contiguous(pivots);
  Dims sizes = exchanges.sizes();
  sizes.back() = n;
  Tensor rows = Tensor::empty(sizes, DType::Int64);
  lapack().permutation(rows.view(), exchanges.view());
  return rows;
}

std::tuple<Tensor, Tensor, Tensor> lu_factor_ex(const Tensor& a, bool pivot, bool check_errors) {
  constexpr const char* op = "linalg.lu_factor_ex";
  check_matrices(op, a);
  check_precision(op, a);
  FASTNN_CHECK(pivot, ErrorKind::Runtime, "linalg.lu_factor: LU without pivoting is not implemented on the CPU");
  Tensor lu = column_copy(a);
  Tensor pivots = zeros(with_vector(batch_of(a), std::min(rows_of(a), columns_of(a))), DType::Int32);
  Tensor info = infos(batch_of(a));
  lapack().lu(lu.view(), pivots.view(), info.view());
  if (check_errors) check_info(op, info, &zero_pivot);
  if (needs_grad(a)) {
    record_outputs("LinalgLuFactorExBackward0", {&lu, &pivots, &info}, {&a},
                   [saved = save_output(lu), pivots](std::span<const Tensor> g, Slots& d) {
                     if (!g[0].defined()) return;
                     const Unpacked factors = unpack(saved.get());
                     const std::int64_t k = columns_of(factors.l);
                     d[0] = lu_gradient(tril(narrow(g[0], -1, 0, k), -1), triu(narrow(g[0], -2, 0, k)),
                                        pivot_rows(pivots, rows_of(factors.l)), factors.l, factors.u);
                   });
  }
  return {lu, pivots, info};
}

std::tuple<Tensor, Tensor> qr(const Tensor& a, std::string_view mode) {
  check_matrices("linalg.qr", a);
  check_precision("linalg.qr", a);
  FASTNN_CHECK(mode == "reduced" || mode == "complete" || mode == "r", ErrorKind::Runtime,
               "qr received unrecognized mode '", mode,
               "' but expected one of 'reduced' (default), 'r', or 'complete'");
  const std::int64_t m = rows_of(a);
  const std::int64_t n = columns_of(a);
  const std::int64_t k = mode == "complete" ? m : std::min(m, n);
  const Dims batch = batch_of(a);
  Tensor q;
  Tensor r;
  {
    const GradModeGuard off(false);
    const auto [factors, tau] = geqrf(a);
    r = column_copy(triu(narrow(factors, -2, 0, k)));
    if (mode == "r") {
      q = Tensor::empty(Dims{0}, a.dtype());
    } else {
      q = column_major(with_matrix(batch, m, k), a.dtype());
      const std::int64_t given = std::min(n, k);
      copy_raw(narrow(q, -1, 0, given), narrow(factors, -1, 0, given));
      if (k > given) fill_raw(narrow(q, -1, given, k - given), Scalar(0));
      lapack().orthogonal(q.view(), tau.view());
    }
  }
  if (needs_grad(a)) {
    record_outputs("LinalgQrBackward0", {&q, &r}, {&a},
                   [mode = std::string(mode), saved_q = save_output(q, 0), saved_r = save_output(r, 1)](
                       std::span<const Tensor> g, Slots& d) {
                     d[0] = qr_gradient(g[0], g[1], saved_q.get(), saved_r.get(), mode);
                   });
  }
  return {q, r};
}

FASTNN_OPS(linalg_factor) {
  constexpr unsigned function = op_fn | op_out;
  constexpr unsigned every = op_fn | op_method | op_out;
  op("linalg.cholesky(Tensor input, *, bool upper=False) -> Tensor", &linalg_cholesky, function);
  op("linalg.cholesky_ex(Tensor input, *, bool upper=False, bool check_errors=False) -> (Tensor L, Tensor info)",
     &cholesky_ex, function);
  op("linalg.lu_factor(Tensor A, *, bool pivot=True) -> (Tensor LU, Tensor pivots)", &lu_factor, function);
  op("linalg.lu_factor_ex(Tensor A, *, bool pivot=True, bool check_errors=False) -> (Tensor LU, Tensor pivots, Tensor "
     "info)",
     &lu_factor_ex, function);
  op("linalg.lu(Tensor A, *, bool pivot=True) -> (Tensor P, Tensor L, Tensor U)", &lu, function);
  op("linalg.qr(Tensor A, str mode='reduced') -> (Tensor Q, Tensor R)", &qr, function);
  op("linalg.householder_product(Tensor input, Tensor tau) -> Tensor", &householder_product, function);
  op("linalg.ldl_factor(Tensor input, *, bool hermitian=False) -> (Tensor LD, Tensor pivots)", &ldl_factor, function);
  op("linalg.ldl_factor_ex(Tensor input, *, bool hermitian=False, bool check_errors=False) -> (Tensor LD, Tensor "
     "pivots, "
     "Tensor info)",
     &ldl_factor_ex, function);
  op("linalg.ldl_solve(Tensor LD, Tensor pivots, Tensor B, *, bool hermitian=False) -> Tensor", &ldl_solve, function);
  op("cholesky(Tensor input, bool upper=False) -> Tensor", &torch_cholesky, every);
  op("qr(Tensor input, bool some=True) -> (Tensor Q, Tensor R)", &torch_qr, every);
  op("geqrf(Tensor input) -> (Tensor a, Tensor tau)", &geqrf, every);
  op("orgqr(Tensor input, Tensor input2) -> Tensor", &householder_product, every);
  op("ormqr(Tensor input, Tensor input2, Tensor input3, bool left=True, bool transpose=False) -> Tensor", &ormqr,
     every);
  op("lu(Tensor input, bool pivot=True, bool get_infos=False) -> Tensor[]", &torch_lu, every);
  op("lu_unpack(Tensor LU_data, Tensor LU_pivots, bool unpack_data=True, bool unpack_pivots=True) -> (Tensor P, Tensor "
     "L, Tensor U)",
     &lu_unpack, function);
}

}  // namespace fastnn
