// Eigenvalues, singular values, and what is made of them: ranks, pseudoinverses, condition numbers.
#include <algorithm>
#include <limits>

#include "ops/linalg.h"
#include "ops/linalg_matrix.h"
#include "ops/registry.h"

namespace fastnn {

namespace {

constexpr std::int64_t kLast[] = {-1};

Tensor number(double value) { return Scalar(value).wrapped(); }

// --- eigenvalues of symmetric matrices -------------------------------------------------------------------------------

bool is_upper(std::string_view uplo) {
  const bool upper = uplo == "U" || uplo == "u";
  FASTNN_CHECK(upper || uplo == "L" || uplo == "l", ErrorKind::Runtime,
               "Expected UPLO argument to be 'L' or 'U', but got ", uplo);
  return upper;
}

std::string not_converged(const char* values, int code) {
  return std::string(
             "The algorithm failed to converge because the input matrix is ill-conditioned or has too many "
             "repeated ") +
         values + " (error code: " + std::to_string(code) + ").";
}
std::string no_eigenvalues(int code) { return not_converged("eigenvalues", code); }
std::string no_singular_values(int code) {
  if (code < 0) return "The algorithm failed to converge because the input matrix contained non-finite values.";
  return not_converged("singular values", code);
}

// x_j - x_i, with 1 on the diagonal.
Tensor differences(const Tensor& x) { return as_row(x) - as_column(x) + eye_like(as_row(x)); }

struct Eigen {
  Tensor values, vectors;
};
Eigen eigh_value(const char* op, const Tensor& a, std::string_view uplo, bool vectors) {
  check_square(op, a);
  check_precision(op, a);
  const bool upper = is_upper(uplo);
  Eigen result{Tensor::empty(with_vector(batch_of(a), rows_of(a)), to_real(a.dtype())), column_copy(a)};
  Tensor info = infos(batch_of(a));
  lapack().eigh(result.vectors.view(), result.values.view(), info.view(), upper, vectors);
  check_info(op, info, &no_eigenvalues);
  return result;
}

std::tuple<Tensor, Tensor> eigh_recorded(const char* op, const Tensor& a, std::string_view uplo) {
  const auto [values, vectors] = eigh_value(op, a, uplo, true);
  if (needs_grad(a)) {
    record_outputs("LinalgEighBackward0", {&values, &vectors}, {&a},
                   [sl = save_output(values, 0), sv = save_output(vectors, 1)](std::span<const Tensor> g, Slots& d) {
                     const Tensor v = sv.get();
                     if (!g[1].defined()) {
                       d[0] = scale_columns(v, g[0]) % adjoint(v);
                       return;
                     }
                     const Tensor product = adjoint(v) % g[1];
                     Tensor inner = (product - adjoint(product)) * 0.5 / differences(sl.get());
                     if (g[0].defined()) inner = inner + scale_rows(g[0], eye_like(v));
                     d[0] = v % (inner % adjoint(v));
                   });
  }
  return {values, vectors};
}

std::tuple<Tensor, Tensor> linalg_eigh(const Tensor& a, std::string_view uplo) {
  return eigh_recorded("linalg.eigh", a, uplo);
}
Tensor linalg_eigvalsh(const Tensor& a, std::string_view uplo) {
  constexpr const char* op = "linalg.eigvalsh";
  return needs_grad(a) ? std::get<0>(eigh_recorded(op, a, uplo)) : eigh_value(op, a, uplo, false).values;
}

// --- eigenvalues of any matrices -------------------------------------------------------------------------------------

Eigen eig_value(const char* op, const Tensor& a, bool vectors) {
  check_square(op, a);
  check_precision(op, a);
  FASTNN_CHECK(count_nonzero(isfinite(a.detached())).item_int() == a.numel(), ErrorKind::Runtime, op,
               ": input tensor should not contain infs or NaNs.");
  const DType dtype = to_complex(a.dtype());
  Eigen result{Tensor::empty(with_vector(batch_of(a), rows_of(a)), dtype), Tensor()};
  if (vectors) result.vectors = column_major(a.sizes(), dtype);
  Tensor info = infos(batch_of(a));
  lapack().eig(column_copy(a).view(), result.values.view(), vectors ? result.vectors.view() : View(), info.view());
  check_info(op, info, &no_eigenvalues);
  return result;
}

// V^-H (diag(gL) + (V^H gV - V^H V diag(real(V^H gV))) / conj(L_j - L_i)) V^H.
Tensor eig_gradient(const Tensor& gl, const Tensor& gv, const Tensor& l, const Tensor& v) {
  const Tensor vh = adjoint(v);
  Tensor inner;
  if (gv.defined()) {
    const Tensor product = vh % gv;
    inner = (product - scale_columns(vh % v, real(diagonals(product)))) / conj(differences(l));
  }
  if (gl.defined()) {
    const Tensor diagonal = scale_rows(gl, eye_like(v));
    inner = inner.defined() ? inner + diagonal : diagonal;
  }
  return solve(vh, inner % vh);
}

Eigen eig_recorded(const char* op, const Tensor& a) {
  const Eigen result = eig_value(op, a, true);
  if (needs_grad(a)) {
    record_outputs("LinalgEigBackward0", {&result.values, &result.vectors}, {&a},
                   [complex_input = a.is_complex(), sl = save_output(result.values, 0),
                    sv = save_output(result.vectors, 1)](std::span<const Tensor> g, Slots& d) {
                     const Tensor gradient = eig_gradient(g[0], g[1], sl.get(), sv.get());
                     d[0] = complex_input ? gradient : real(gradient);
                   });
  }
  return result;
}

std::tuple<Tensor, Tensor> linalg_eig(const Tensor& a) {
  const Eigen result = eig_recorded("torch.linalg.eig", a);
  return {result.values, result.vectors};
}
Tensor linalg_eigvals(const Tensor& a) {
  constexpr const char* op = "torch.linalg.eigvals";
  return needs_grad(a) ? eig_recorded(op, a).values : eig_value(op, a, false).values;
}

// --- singular values -------------------------------------------------------------------------------------------------

struct Singular {
  Tensor u, values, vh;
};

Singular svd_value(const Tensor& a, bool full_matrices, bool vectors) {
  constexpr const char* op = "linalg.svd";
  check_matrices(op, a);
  check_precision(op, a);
  const std::int64_t m = rows_of(a);
  const std::int64_t n = columns_of(a);
  const std::int64_t k = std::min(m, n);
  const Dims batch = batch_of(a);
  Singular s;
  s.values = Tensor::empty(with_vector(batch, k), to_real(a.dtype()));
  if (vectors) {
    s.u = column_major(with_matrix(batch, m, full_matrices ? m : k), a.dtype());
    s.vh = column_major(with_matrix(batch, full_matrices ? n : k, n), a.dtype());
  }
  if (a.numel() == 0) {
    if (vectors && s.u.numel() > 0) copy_raw(s.u, eye(m, columns_of(s.u), a.dtype()));
    if (vectors && s.vh.numel() > 0) copy_raw(s.vh, eye(rows_of(s.vh), n, a.dtype()));
    return s;
  }
  Tensor info = infos(batch);
  lapack().svd(column_copy(a).view(), vectors ? s.u.view() : View(), s.values.view(), vectors ? s.vh.view() : View(),
               info.view());
  check_info(op, info, &no_singular_values);
  return s;
}

Tensor antisymmetric(const Tensor& x) { return x - adjoint(x); }

// With the k first columns of U and rows of V^H, and gradients of which some may be undefined.
Tensor svd_gradient(const Tensor& gu, const Tensor& gs, const Tensor& gvh, const Tensor& u, const Tensor& s,
                    const Tensor& vh) {
  const std::int64_t m = rows_of(u);
  const std::int64_t n = columns_of(vh);
  const std::int64_t k = s.sizes().back();
  if (!gu.defined() && !gvh.defined()) return m >= n ? u % scale_rows(gs, vh) : scale_columns(u, gs) % vh;
  const Tensor gaps = differences(s * s);
  Tensor inner;
  Tensor u_part;
  if (gu.defined()) {
    u_part = adjoint(u) % gu;
    inner = scale_columns(antisymmetric(u_part) / gaps, s);
  }
  Tensor v_part;
  if (gvh.defined()) {
    v_part = vh % adjoint(gvh);
    const Tensor term = scale_rows(s, antisymmetric(v_part) / gaps);
    inner = inner.defined() ? inner + term : term;
  }
  if (gs.defined()) inner = inner + scale_rows(gs, eye_like(inner));
  if (u.is_complex() && gu.defined() && gvh.defined()) {
    inner = inner + scale_rows(diagonals(antisymmetric(u_part)) / (2.0 * s), eye_like(inner));
  }
  // What of gU (of gV) is outside of the space of U (of V).
  Tensor left = u % inner;
  if (gu.defined() && m > k) left = left + scale_columns(gu - u % u_part, reciprocal(s));
  Tensor result = left % vh;
  if (gvh.defined() && n > k) {
    result = result + u % scale_rows(reciprocal(s), gvh - adjoint(v_part) % vh);
  }
  return result;
}

Singular svd_recorded(const Tensor& a, bool full_matrices) {
  const Singular result = svd_value(a, full_matrices, true);
  if (needs_grad(a)) {
    record_outputs("LinalgSvdBackward0", {&result.u, &result.values, &result.vh}, {&a},
                   [su = save_output(result.u, 0), ss = save_output(result.values, 1), sv = save_output(result.vh, 2)](
                       std::span<const Tensor> g, Slots& d) {
                     const Tensor s = ss.get();
                     const std::int64_t k = s.sizes().back();
                     const auto columns = [k](const Tensor& t) { return t.defined() ? narrow(t, -1, 0, k) : t; };
                     const auto rows = [k](const Tensor& t) { return t.defined() ? narrow(t, -2, 0, k) : t; };
                     d[0] = svd_gradient(columns(g[0]), g[1], rows(g[2]), columns(su.get()), s, rows(sv.get()));
                   });
  }
  return result;
}

void check_no_driver(const char* op, std::optional<std::string_view> driver) {
  FASTNN_CHECK(!driver, ErrorKind::Runtime, op,
               ": keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend.");
}
std::tuple<Tensor, Tensor, Tensor> linalg_svd(const Tensor& a, bool full_matrices,
                                              std::optional<std::string_view> driver) {
  check_no_driver("torch.linalg.svd", driver);
  return svd(a, full_matrices);
}
Tensor linalg_svdvals(const Tensor& a, std::optional<std::string_view> driver) {
  check_no_driver("torch.linalg.svdvals", driver);
  return svdvals(a);
}

std::tuple<Tensor, Tensor, Tensor> torch_svd(const Tensor& a, bool some, bool compute_uv) {
  if (compute_uv) {
    const Singular s = svd_recorded(a, !some);
    return {s.u, s.values, adjoint(s.vh)};
  }
  const Tensor values = svdvals(a);
  return {zeros(with_matrix(batch_of(a), rows_of(a), rows_of(a)), a.dtype()), values,
          zeros(with_matrix(batch_of(a), columns_of(a), columns_of(a)), a.dtype())};
}

// --- ranks and pseudoinverses ----------------------------------------------------------------------------------------

// Below which magnitude a singular value counts as zero, as a column for rows of singular values.
Tensor threshold_of(const char* op, const Tensor& a, const Tensor& largest, const Tensor& atol, const Tensor& rtol) {
  for (const Tensor* tolerance : {&atol, &rtol}) {
    FASTNN_CHECK(!tolerance->defined() || !tolerance->is_complex(), ErrorKind::Runtime, op,
                 ": tolerances of complex type are not supported");
  }
  const DType dtype = largest.dtype();
  const Tensor absolute = atol.defined() ? as_column(to_dtype(atol.detached(), dtype)) : number(0);
  Tensor relative;
  if (rtol.defined()) {
    relative = as_column(to_dtype(rtol.detached(), dtype));
  } else {
    const double usual = epsilon(dtype) * static_cast<double>(std::max(rows_of(a), columns_of(a)));
    relative = atol.defined() ? where(gt(absolute, number(0)), number(0), number(usual)) : number(usual);
  }
  return maximum(to_dtype(absolute, dtype), to_dtype(relative, dtype) * largest);
}

// Magnitudes of the eigenvalues or the singular values.
Tensor magnitudes(const char* op, const Tensor& a, bool hermitian) {
  check_matrices(op, a);
  if (hermitian) return abs(linalg_eigvalsh(a, "L"));
  return svdvals(a);
}

Tensor matrix_rank(const Tensor& a, const Tensor& atol, const Tensor& rtol, bool hermitian) {
  constexpr const char* op = "linalg.matrix_rank";
  const GradModeGuard off(false);
  const Tensor values = magnitudes(op, a.detached(), hermitian);
  if (values.numel() == 0) return zeros(batch_of(a), DType::Int64);
  const Tensor threshold = threshold_of(op, a, amax(values, IntSpan(kLast), true), atol, rtol);
  return sum(gt(values, threshold), IntSpan(kLast));
}
// NumPy's form: one tolerance, which is absolute.
Tensor matrix_rank_within(const Tensor& a, const Tensor& tol, bool hermitian) {
  return matrix_rank(a, tol, number(0), hermitian);
}

Tensor pinv_value(const Tensor& a, const Tensor& atol, const Tensor& rtol, bool hermitian) {
  constexpr const char* op = "linalg.pinv";
  check_matrices(op, a);
  if (a.numel() == 0) {
    check_precision(op, a);
    return Tensor::empty(with_matrix(batch_of(a), columns_of(a), rows_of(a)), a.dtype());
  }
  const auto inverted = [&](const Tensor& values, const Tensor& sizes) {
    const Tensor threshold = threshold_of(op, a, amax(sizes, IntSpan(kLast), true), atol, rtol);
    return where(gt(sizes, threshold), reciprocal(values), number(0));
  };
  if (hermitian) {
    const auto [values, vectors] = eigh_value(op, a, "L", true);
    return scale_columns(vectors, inverted(values, abs(values))) % adjoint(vectors);
  }
  const Singular s = svd_value(a, false, true);
  return scale_columns(adjoint(s.vh), inverted(s.values, s.values)) % adjoint(s.u);
}

Tensor pinv_rcond(const Tensor& a, const Tensor& rcond, bool hermitian) { return pinv(a, Tensor(), rcond, hermitian); }
Tensor pinverse(const Tensor& a, double rcond) { return pinv(a, Tensor(), number(rcond), false); }

// --- condition numbers -----------------------------------------------------------------------------------------------

template <class Ord>
Tensor condition_by_norm(const Tensor& a, const Ord& p, const char* name) {
  constexpr std::int64_t dims[] = {-2, -1};
  FASTNN_CHECK(rows_of(a) == columns_of(a), ErrorKind::Runtime, "linalg.cond(ord=", name,
               "): A must be batches of square matrices, but they are ", rows_of(a), " by ", columns_of(a),
               " matrices");
  if (a.numel() == 0) return zeros(batch_of(a), to_real(a.dtype()));
  const auto [inverse, info] = inv_ex(a);
  const Tensor singular = ne(info, Scalar(0).wrapped());
  const Tensor finite = masked_fill(inverse, as_column(as_column(singular)), Scalar(0));
  const Tensor norms = matrix_norm(a, p, dims, false, {}) * matrix_norm(finite, p, dims, false, {});
  return masked_fill(norms, singular, Scalar(std::numeric_limits<double>::infinity()));
}

Tensor cond(const Tensor& a, const std::optional<Scalar>& p) {
  constexpr const char* op = "linalg.cond";
  check_matrices(op, a);
  const double ord = p ? p->to_double() : 2;
  if (ord == 2 || ord == -2) {
    const Tensor s = svdvals(a);
    if (s.sizes().back() == 0) return zeros(batch_of(a), s.dtype());
    const Tensor first = select(s, -1, 0);
    const Tensor last = select(s, -1, -1);
    return ord == 2 ? first / last : last / first;
  }
  FASTNN_CHECK(ord == 1 || ord == -1 || std::isinf(ord), ErrorKind::Runtime, op, " got an invalid norm type: ", ord);
  return condition_by_norm(a, ord, std::to_string(ord).c_str());
}
Tensor cond_named(const Tensor& a, std::string_view p) {
  constexpr const char* op = "linalg.cond";
  check_matrices(op, a);
  FASTNN_CHECK(p == "fro" || p == "nuc", ErrorKind::Runtime, op, " got an invalid norm type: ", p);
  return condition_by_norm(a, p, std::string(p).c_str());
}

}  // namespace

std::tuple<Tensor, Tensor> eigh(const Tensor& a, std::string_view uplo) { return linalg_eigh(a, uplo); }
Tensor eigvalsh(const Tensor& a, std::string_view uplo) { return linalg_eigvalsh(a, uplo); }

std::tuple<Tensor, Tensor, Tensor> svd(const Tensor& a, bool full_matrices) {
  const Singular s = svd_recorded(a, full_matrices);
  return {s.u, s.values, s.vh};
}
Tensor svdvals(const Tensor& a) {
  return needs_grad(a) ? svd_recorded(a, false).values : svd_value(a, false, false).values;
}

// P = A^+ changes by -P dA P + P P^H dA^H (I - A P) + (I - P A) dA^H P^H P.
Tensor pinv_gradient(const Tensor& g, const Tensor& inverse, const Tensor& a) {
  const Tensor ph = adjoint(inverse);
  const Tensor gh = adjoint(g);
  const Tensor second = gh % (inverse % ph);
  const Tensor third = (ph % inverse) % gh;
  return (second - a % (inverse % second)) + (third - (third % inverse) % a) - ph % (g % ph);
}

Tensor pinv(const Tensor& a, const Tensor& atol, const Tensor& rtol, bool hermitian) {
  Tensor inverse;
  {
    const GradModeGuard off(false);
    inverse = pinv_value(a.detached(), atol, rtol, hermitian);
  }
  if (needs_grad(a)) {
    record("LinalgPinvBackward0", inverse, {&a}, [sa = save(a), sp = save_output(inverse)](const Tensor& g, Slots& d) {
      d[0] = pinv_gradient(g, sp.get(), sa.get());
    });
  }
  return inverse;
}

FASTNN_OPS(linalg_spectrum) {
  constexpr unsigned function = op_fn | op_out;
  constexpr unsigned every = op_fn | op_method | op_out;
  op("linalg.eig(Tensor input) -> (Tensor eigenvalues, Tensor eigenvectors)", &linalg_eig, function);
  op("linalg.eigvals(Tensor input) -> Tensor", &linalg_eigvals, function);
  op("linalg.eigh(Tensor input, str UPLO='L') -> (Tensor eigenvalues, Tensor eigenvectors)", &linalg_eigh, function);
  op("linalg.eigvalsh(Tensor input, str UPLO='L') -> Tensor", &linalg_eigvalsh, function);
  op("linalg.svd(Tensor A, bool full_matrices=True, *, str? driver=None) -> (Tensor U, Tensor S, Tensor Vh)",
     &linalg_svd, function);
  op("linalg.svdvals(Tensor A, *, str? driver=None) -> Tensor", &linalg_svdvals, function);
  op("linalg.matrix_rank(Tensor input, *, Tensor|Scalar? atol=None, Tensor|Scalar? rtol=None, bool hermitian=False) -> "
     "Tensor",
     &matrix_rank, function);
  op("linalg.matrix_rank(Tensor input, Tensor|Scalar tol, bool hermitian=False) -> Tensor", &matrix_rank_within,
     function);
  op("linalg.pinv(Tensor input, *, Tensor|Scalar? atol=None, Tensor|Scalar? rtol=None, bool hermitian=False) -> Tensor",
     &pinv, function);
  op("linalg.pinv(Tensor input, Tensor|Scalar rcond, bool hermitian=False) -> Tensor", &pinv_rcond, function);
  op("linalg.cond(Tensor input, Scalar? p=None) -> Tensor", &cond, function);
  op("linalg.cond(Tensor input, str p) -> Tensor", &cond_named, function);
  op("svd(Tensor input, bool some=True, bool compute_uv=True) -> (Tensor U, Tensor S, Tensor V)", &torch_svd, every);
  op("pinverse(Tensor input, float rcond=1e-15) -> Tensor", &pinverse, op_fn | op_method);
}

}  // namespace fastnn
