#include "ops/matmul.h"

#include <array>

#include "autograd/record.h"
#include "kernels/table.h"
#include "ops/complex.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

Dims with_matrix(const Dims& batch, std::int64_t rows, std::int64_t cols) {
  Dims sizes = batch;
  sizes.push_back(rows);
  sizes.push_back(cols);
  return sizes;
}
Dims batch_of(const Tensor& t) {
  return Dims(static_cast<IntSpan>(t.sizes()).first(static_cast<std::size_t>(t.ndim() - 2)));
}

namespace {

// Names of types as PyTorch's errors about matrices spell them.
const char* type_name(DType dtype) {
  constexpr std::array<const char*, kDTypeCount> names = {"unsigned char",
                                                          "signed char",
                                                          "short",
                                                          "int",
                                                          "long int",
                                                          "c10::Half",
                                                          "float",
                                                          "double",
                                                          "bool",
                                                          "c10::BFloat16",
                                                          "c10::complex<float>",
                                                          "c10::complex<double>"};
  return names[static_cast<std::size_t>(dtype)];
}

void check_same_dtype(const char* op, const Tensor& a, const Tensor& b) {
  FASTNN_CHECK(a.dtype() == b.dtype(), ErrorKind::Runtime, op,
               ": expected m1 and m2 to have the same dtype, but got: ", type_name(a.dtype()),
               " != ", type_name(b.dtype()));
}

void check_inner(const char* op, std::int64_t m, std::int64_t k1, std::int64_t k2, std::int64_t n) {
  FASTNN_CHECK(k1 == k2, ErrorKind::Runtime, op, ": mat1 and mat2 shapes cannot be multiplied (", m, "x", k1, " and ",
               k2, "x", n, ")");
}

std::int64_t from_end(const Tensor& t, int i) { return t.sizes()[t.ndim() - i]; }

// A tensor's memory with other sizes and strides, for as long as a kernel runs.
struct Lens {
  Dims sizes;
  Dims strides;
  View of(const Tensor& t) const { return {t.data(), t.dtype(), sizes.size(), sizes.data(), strides.data()}; }
};
Lens broadcast_to(const Tensor& t, const Dims& sizes) {
  return {sizes, broadcast_strides(t.sizes(), t.strides(), sizes)};
}

// out[..., m, n] = alpha * a @ b + beta * input; no history. `input` may be undefined.
Tensor launch(const Tensor& a, const Tensor& b, const Tensor& input = Tensor(), double beta = 0, double alpha = 1) {
  const std::int64_t m = from_end(a, 2);
  const std::int64_t k = from_end(a, 1);
  const std::int64_t n = from_end(b, 1);
  Dims batch;
  if (a.ndim() > 2 || b.ndim() > 2) batch = broadcast_shapes(batch_of(a), batch_of(b), "matmul");
  const Dims sizes = with_matrix(batch, m, n);
  Tensor out = Tensor::empty(sizes, a.dtype());
  const Lens lens_a = broadcast_to(a, with_matrix(batch, m, k));
  const Lens lens_b = broadcast_to(b, with_matrix(batch, k, n));
  if (LaunchCount::counting) ++LaunchCount::value;
  if (!input.defined()) {
    kernels().matmul->gemm(out.view(), lens_a.of(a), lens_b.of(b), {.alpha = alpha});
    return out;
  }
  const Lens lens_input = broadcast_to(input, sizes);
  const View view = lens_input.of(input);
  kernels().matmul->gemm(out.view(), lens_a.of(a), lens_b.of(b), {.alpha = alpha, .beta = beta, .input = &view});
  return out;
}

// The same for complex numbers, by one product of real matrices: a with the parts of each element next to each other,
// times each row of b and i times that row, with their parts next to each other too.
Tensor launch_complex(const Tensor& a, const Tensor& b, const Tensor& input = Tensor(), const Scalar& beta = 0,
                      const Scalar& alpha = 1) {
  const GradModeGuard off(false);
  const Tensor left = flatten(view_as_real(contiguous(a.detached())), -2);
  const Tensor parts[] = {neg(imag(b.detached())), real(b.detached())};
  const Tensor rows[] = {b.detached(), view_as_complex(stack(parts, -1))};
  const Tensor right = flatten(view_as_real(flatten(stack(rows, -2), -3, -2)), -2);
  const Tensor product = launch(left, right);
  Dims sizes = product.sizes();
  sizes[sizes.size() - 1] = from_end(b, 1);
  sizes.push_back(2);
  Tensor out = view_as_complex(view(product, sizes));
  if (alpha.to_double() != 1 || alpha.imag != 0) out = mul(out, alpha);
  if (input.defined() && (beta.to_double() != 0 || beta.imag != 0)) out = add(out, mul(input.detached(), beta));
  return out.detached();
}

// All rows of all matrices: [..., m, n] -> [rows, n].
Tensor as_rows(const Tensor& t) {
  if (t.ndim() == 2) return t;
  const IntSpan sizes = t.sizes();
  return reshape(t, Dims{product(sizes.first(sizes.size() - 1)), from_end(t, 1)});
}
// All columns: [..., m, n] -> [m, columns].
Tensor as_columns(const Tensor& t) {
  if (t.ndim() == 2) return t;
  Dims order{t.ndim() - 2};
  std::int64_t columns = 1;
  for (int d = 0; d < t.ndim(); ++d) {
    if (d == t.ndim() - 2) continue;
    order.push_back(d);
    columns *= t.sizes()[d];
  }
  return reshape(permute(t, order), Dims{from_end(t, 2), columns});
}

// Matrices stored column by column get a gradient that is stored so too.
Tensor product_like(const Tensor& a, const Tensor& b, bool columns) {
  if (columns) return matrix_transpose(batched_product(matrix_transpose(b), matrix_transpose(a)));
  return batched_product(a, b);
}
bool stored_by_columns(const Tensor& t) {
  return t.ndim() == 2 && t.strides()[0] == 1 && t.strides()[1] == t.sizes()[0] && t.sizes()[1] != 1;
}

// The gradient of `a` in a @ b, summed over the dimensions in which a was broadcast.
Tensor gradient_of_left(const Tensor& g, const Tensor& b, const Dims& sizes, bool columns) {
  if (sizes.size() == 2 && g.ndim() > 2 && sizes[0] > 0 && from_end(b, 2) > 0) {
    // One matrix for all of the batch: the batch becomes part of the sum.
    const Dims batch = batch_of(g);
    const Tensor b_all = b.ndim() == g.ndim() && batch_of(b) == batch
                             ? b
                             : expand(b, with_matrix(batch, from_end(b, 2), from_end(b, 1)));
    return product_like(as_columns(g), matrix_transpose(as_columns(b_all)), columns);
  }
  return sum_to_size(product_like(g, matrix_transpose(b), columns), sizes);
}
Tensor gradient_of_right(const Tensor& g, const Tensor& a, const Dims& sizes, bool columns) {
  if (sizes.size() == 2 && g.ndim() > 2) {
    const Dims batch = batch_of(g);
    const Tensor a_all = a.ndim() == g.ndim() && batch_of(a) == batch
                             ? a
                             : expand(a, with_matrix(batch, from_end(a, 2), from_end(a, 1)));
    return product_like(matrix_transpose(as_rows(a_all)), as_rows(g), columns);
  }
  return sum_to_size(product_like(matrix_transpose(a), g, columns), sizes);
}

Tensor recorded_product(const Tensor& a, const Tensor& b, const char* node) {
  Tensor out = a.is_complex() ? launch_complex(a, b) : launch(a, b);
  if (needs_grad(a, b)) {
    record(node, out, {&a, &b},
           [sa = save(a, b), sb = save(b, a), size_a = a.sizes(), size_b = b.sizes(), columns_a = stored_by_columns(a),
            columns_b = stored_by_columns(b)](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = gradient_of_left(g, conj(sb.get()), size_a, columns_a);
             if (d.wants(1)) d[1] = gradient_of_right(g, conj(sa.get()), size_b, columns_b);
           });
  }
  return out;
}

// matrix[..., m, k] @ vector[k].
Tensor matrix_vector(const Tensor& matrix, const Tensor& vector) {
  Dims sizes = matrix.sizes();
  sizes.erase(sizes.size() - 1);
  if (matrix.is_complex()) return squeeze(recorded_product(matrix, unsqueeze(vector, -1), "MvBackward0"), -1);
  Tensor out = Tensor::empty(sizes, matrix.dtype());
  if (LaunchCount::counting) ++LaunchCount::value;
  Lens lens_out{out.sizes(), out.strides()};
  lens_out.sizes.push_back(1);
  lens_out.strides.push_back(1);
  Lens lens_vector{matrix.sizes(), Dims::filled(matrix.ndim(), 0)};
  const int last = matrix.ndim() - 1;
  lens_vector.sizes[last - 1] = vector.numel();
  lens_vector.sizes[last] = 1;
  lens_vector.strides[last - 1] = vector.strides()[0];
  kernels().matmul->gemm(lens_out.of(out), matrix.view(), lens_vector.of(vector), {});
  if (needs_grad(matrix, vector)) {
    record("MvBackward0", out, {&matrix, &vector},
           [sm = save(matrix, vector), sv = save(vector, matrix)](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = mul(unsqueeze(g, -1), sv.get());
             if (d.wants(1)) {
               const Tensor rows = as_rows(sm.get());
               d[1] = matrix_vector(transpose(rows, 0, 1), reshape(g, Dims{g.numel()}));
             }
           });
  }
  return out;
}

Tensor scaled(const Tensor& t, const Scalar& factor) {
  return factor.to_double() == 1.0 && factor.imag == 0 ? t : mul(t, factor);
}

// beta * input + alpha * a @ b for matrices or batches of them, all checks of shapes done.
Tensor add_product(const char* op, const char* node, const Tensor& input, const Tensor& a, const Tensor& b,
                   const Scalar& beta, const Scalar& alpha) {
  const DType dtype = a.dtype();
  check_same_dtype(op, a, b);
  FASTNN_CHECK(input.dtype() == dtype, ErrorKind::Runtime, op, ": self and mat2 must have the same dtype, but got ",
               input.dtype(), " and ", dtype);
  const Dims sizes = with_matrix(batch_of(a), from_end(a, 2), from_end(b, 1));
  FASTNN_CHECK(is_expandable_to(input.sizes(), sizes), ErrorKind::Runtime, op, ": The expanded size of the tensor (",
               sizes, ") must match the existing size (", input.sizes(), ")");
  Tensor out = a.is_complex() ? launch_complex(a, b, input, beta, alpha)
                              : launch(a, b, input, beta.to_double(), alpha.to_double());
  if (needs_grad(input, a, b)) {
    record(node, out, {&input, &a, &b},
           [sa = save(a, b), sb = save(b, a), beta, alpha, size = input.sizes(), size_a = a.sizes(), size_b = b.sizes(),
            columns_a = stored_by_columns(a), columns_b = stored_by_columns(b)](const Tensor& g, Slots& d) {
             if (d.wants(0)) d[0] = scaled(sum_to_size(g, size), conj(beta));
             if (d.wants(1)) d[1] = scaled(gradient_of_left(g, conj(sb.get()), size_a, columns_a), conj(alpha));
             if (d.wants(2)) d[2] = scaled(gradient_of_right(g, conj(sa.get()), size_b, columns_b), conj(alpha));
           });
  }
  return out;
}

void check_matrix(const char* op, const char* name, const Tensor& t) {
  FASTNN_CHECK(t.ndim() == 2, ErrorKind::Runtime, op, ": ", name, " must be a matrix, got ", t.ndim(), "-D tensor");
}

void check_batches(const char* op, const Tensor& a, const Tensor& b) {
  FASTNN_CHECK(a.ndim() == 3, ErrorKind::Runtime, op, ": batch1 must be a 3D tensor, got ", a.ndim(), "-D");
  FASTNN_CHECK(b.ndim() == 3, ErrorKind::Runtime, op, ": batch2 must be a 3D tensor, got ", b.ndim(), "-D");
  FASTNN_CHECK(b.sizes()[0] == a.sizes()[0] && b.sizes()[1] == a.sizes()[2], ErrorKind::Runtime, op,
               ": Expected size for first two dimensions of batch2 tensor to be: [", a.sizes()[0], ", ", a.sizes()[2],
               "] but got: [", b.sizes()[0], ", ", b.sizes()[1], "].");
}

}  // namespace

Tensor matrix_transpose(const Tensor& a) { return transpose(a, -2, -1); }

Tensor batched_product(const Tensor& a, const Tensor& b) {
  return recorded_product(a, b, a.ndim() == 2 && b.ndim() == 2 ? "MmBackward0" : "BmmBackward0");
}

Tensor mm(const Tensor& a, const Tensor& b) {
  check_matrix("mm", "self", a);
  check_matrix("mm", "mat2", b);
  check_inner("mm", a.sizes()[0], a.sizes()[1], b.sizes()[0], b.sizes()[1]);
  check_same_dtype("mm", a, b);
  return recorded_product(a, b, "MmBackward0");
}

Tensor bmm(const Tensor& a, const Tensor& b) {
  check_batches("bmm", a, b);
  check_same_dtype("bmm", a, b);
  return recorded_product(a, b, "BmmBackward0");
}

Tensor mv(const Tensor& matrix, const Tensor& vector) {
  FASTNN_CHECK(matrix.ndim() == 2 && vector.ndim() == 1, ErrorKind::Runtime,
               "mv: vector + matrix @ vector expected, got a matrix of ", matrix.ndim(), " dimensions and a vector of ",
               vector.ndim());
  FASTNN_CHECK(matrix.sizes()[1] == vector.numel(), ErrorKind::Runtime, "mv: size mismatch, got mat (",
               matrix.sizes()[0], "x", matrix.sizes()[1], "), vec (", vector.numel(), ")");
  check_same_dtype("mv", matrix, vector);
  return matrix_vector(matrix, vector);
}

Tensor dot(const Tensor& a, const Tensor& b) {
  FASTNN_CHECK(a.ndim() == 1 && b.ndim() == 1, ErrorKind::Runtime, "dot: 1D tensors expected, but got ", a.ndim(),
               "D and ", b.ndim(), "D tensors");
  FASTNN_CHECK(a.dtype() == b.dtype(), ErrorKind::Runtime, "dot : expected both vectors to have same dtype, but found ",
               a.dtype(), " and ", b.dtype());
  FASTNN_CHECK(a.numel() == b.numel(), ErrorKind::Runtime, "dot: inconsistent tensor size, expected tensor [",
               a.numel(), "] and src [", b.numel(), "] to have the same number of elements, but got ", a.numel(),
               " and ", b.numel(), " elements respectively");
  if (a.is_complex()) return sum(mul(a, b));
  Tensor out = Tensor::empty({}, a.dtype());
  if (LaunchCount::counting) ++LaunchCount::value;
  const Dims one{1, 1};
  const Lens row{{1, a.numel()}, {0, a.strides()[0]}};
  const Lens column{{b.numel(), 1}, {b.strides()[0], 0}};
  kernels().matmul->gemm(Lens{one, one}.of(out), row.of(a), column.of(b), {});
  if (needs_grad(a, b)) {
    record("DotBackward0", out, {&a, &b}, [sa = save(a, b), sb = save(b, a)](const Tensor& g, Slots& d) {
      if (d.wants(0)) d[0] = mul(g, sb.get());
      if (d.wants(1)) d[1] = mul(g, sa.get());
    });
  }
  return out;
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  FASTNN_CHECK(a.ndim() > 0 && b.ndim() > 0, ErrorKind::Runtime,
               "both arguments to matmul need to be at least 1D, but they are ", a.ndim(), "D and ", b.ndim(), "D");
  if (a.ndim() == 1 && b.ndim() == 1) return dot(a, b);
  check_same_dtype("matmul", a, b);
  if (b.ndim() == 1) {
    check_inner("matmul", from_end(a, 2), from_end(a, 1), b.numel(), 1);
    return matrix_vector(a, b);
  }
  if (a.ndim() == 1) {
    check_inner("matmul", 1, a.numel(), from_end(b, 2), from_end(b, 1));
    return matrix_vector(matrix_transpose(b), a);
  }
  check_inner("matmul", from_end(a, 2), from_end(a, 1), from_end(b, 2), from_end(b, 1));
  const char* node = a.ndim() == 2 && b.ndim() == 2   ? "MmBackward0"
                     : a.ndim() == 3 && b.ndim() == 3 ? "BmmBackward0"
                                                      : "UnsafeViewBackward0";
  return recorded_product(a, b, node);
}

Tensor addmm(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha) {
  check_matrix("addmm", "mat1", a);
  check_matrix("addmm", "mat2", b);
  check_inner("addmm", a.sizes()[0], a.sizes()[1], b.sizes()[0], b.sizes()[1]);
  return add_product("addmm", "AddmmBackward0", input, a, b, beta, alpha);
}

Tensor baddbmm(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha) {
  check_batches("baddbmm", a, b);
  return add_product("baddbmm", "BaddbmmBackward0", input, a, b, beta, alpha);
}

Tensor addbmm(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha) {
  check_batches("addbmm", a, b);
  // The sum over the batch is part of one product: [m, batch * k] @ [batch * k, n].
  const Tensor left = as_columns(a);
  return add_product("addbmm", "AddbmmBackward0", input, left, reshape(b, Dims{left.sizes()[1], b.sizes()[2]}), beta,
                     alpha);
}

Tensor addmv(const Tensor& input, const Tensor& matrix, const Tensor& vector, const Scalar& beta, const Scalar& alpha) {
  FASTNN_CHECK(matrix.ndim() == 2 && vector.ndim() == 1 && input.ndim() <= 1, ErrorKind::Runtime,
               "addmv: vector + matrix @ vector expected, got ", input.ndim(), ", ", matrix.ndim(), ", ",
               vector.ndim());
  FASTNN_CHECK(matrix.sizes()[1] == vector.numel() && (input.numel() == 1 || input.numel() == matrix.sizes()[0]),
               ErrorKind::Runtime, "addmv: size mismatch, got input (", input.numel(), "), mat (", matrix.sizes()[0],
               "x", matrix.sizes()[1], "), vec (", vector.numel(), ")");
  return squeeze(add_product("addmv", "AddmvBackward0", input.ndim() == 1 ? unsqueeze(input, -1) : input, matrix,
                             unsqueeze(vector, -1), beta, alpha),
                 -1);
}

Tensor outer(const Tensor& a, const Tensor& b) {
  FASTNN_CHECK(a.ndim() == 1 && b.ndim() == 1, ErrorKind::Runtime,
               "outer: Expected 1-D argument self and vec2, but got ", a.ndim(), "-D and ", b.ndim(), "-D");
  return mul(unsqueeze(a, -1), b);
}

Tensor addr(const Tensor& input, const Tensor& a, const Tensor& b, const Scalar& beta, const Scalar& alpha) {
  FASTNN_CHECK(a.ndim() == 1 && b.ndim() == 1, ErrorKind::Runtime,
               "addr: Expected 1-D argument vec1 and vec2, but got ", a.ndim(), "-D and ", b.ndim(), "-D");
  const bool logical = input.dtype() == DType::Bool && a.dtype() == DType::Bool && b.dtype() == DType::Bool;
  const Tensor product = logical ? to_dtype(scaled(outer(a, b), alpha), DType::Bool) : scaled(outer(a, b), alpha);
  FASTNN_CHECK(is_expandable_to(input.sizes(), product.sizes()), ErrorKind::Runtime,
               "addr: The expanded size of the tensor ", product.sizes(), " must match the existing size ",
               input.sizes());
  if (beta.to_double() == 0) return product;
  return logical ? logical_or(to_dtype(scaled(input, beta), DType::Bool), product) : add(scaled(input, beta), product);
}

Tensor inner(const Tensor& a, const Tensor& b) {
  if (a.ndim() == 0 || b.ndim() == 0) return mul(a, b);
  FASTNN_CHECK(from_end(a, 1) == from_end(b, 1), ErrorKind::Runtime,
               "inner() the last dimension must match on both input tensors but got shapes ", a.sizes(), " and ",
               b.sizes());
  if (a.ndim() == 1 && b.ndim() == 1) return dot(a, b);
  const std::int64_t last_a[] = {a.ndim() - 1};
  const std::int64_t last_b[] = {b.ndim() - 1};
  return tensordot(a, b, last_a, last_b);
}

Tensor linear(const Tensor& input, const Tensor& weight, const Tensor& bias) {
  if (weight.ndim() == 1) {
    FASTNN_CHECK(!bias.defined() || bias.numel() == 1, ErrorKind::Runtime,
                 "linear: a weight of one dimension needs a bias of one element, got ", bias.sizes());
    const Tensor out = matmul(input, weight);
    return bias.defined() ? add(out, bias) : out;
  }
  FASTNN_CHECK(weight.ndim() == 2, ErrorKind::Runtime, "linear: weight must be a matrix or a vector, got ",
               weight.sizes());
  FASTNN_CHECK(input.ndim() > 0, ErrorKind::Runtime,
               "both arguments to linear need to be at least 1D, but they are 0D and 2D");
  const std::int64_t in = weight.sizes()[1];
  const std::int64_t out_features = weight.sizes()[0];
  if (input.sizes().back() != in) {
    check_inner("linear", input.numel() / std::max<std::int64_t>(input.sizes().back(), 1), input.sizes().back(), in,
                out_features);
  }
  check_same_dtype("linear", input, weight);
  if (bias.defined()) {
    FASTNN_CHECK(is_expandable_to(bias.sizes(), Dims{out_features}), ErrorKind::Runtime,
                 "linear: The expanded size of the tensor (", out_features, ") must match the existing size ",
                 bias.sizes(), " of bias");
    FASTNN_CHECK(bias.dtype() == input.dtype(), ErrorKind::Runtime,
                 "linear: self and mat2 must have the same dtype, but got ", bias.dtype(), " and ", input.dtype());
  }

  if (input.is_complex()) {
    const Tensor product = matmul(input, transpose(weight, 0, 1));
    return bias.defined() ? add(product, bias) : product;
  }
  Dims sizes = input.sizes();
  sizes.back() = out_features;
  Tensor out = Tensor::empty(sizes, input.dtype());
  Lens lens_out{out.sizes(), out.strides()};
  Lens lens_in{input.sizes(), input.strides()};
  if (input.ndim() == 1) {
    for (Lens* lens : {&lens_out, &lens_in}) {
      lens->sizes.insert(0, 1);
      lens->strides.insert(0, 0);
    }
  }
  const int ndim = lens_in.sizes.size();
  Lens lens_weight{lens_in.sizes, Dims::filled(ndim, 0)};
  lens_weight.sizes[ndim - 2] = in;
  lens_weight.sizes[ndim - 1] = out_features;
  lens_weight.strides[ndim - 2] = weight.strides()[1];
  lens_weight.strides[ndim - 1] = weight.strides()[0];
  if (LaunchCount::counting) ++LaunchCount::value;
  if (bias.defined()) {
    const Lens lens_bias{lens_out.sizes, broadcast_strides(bias.sizes(), bias.strides(), lens_out.sizes)};
    const View view = lens_bias.of(bias);
    kernels().matmul->gemm(lens_out.of(out), lens_in.of(input), lens_weight.of(weight), {.beta = 1, .input = &view});
  } else {
    kernels().matmul->gemm(lens_out.of(out), lens_in.of(input), lens_weight.of(weight), {});
  }
  if (needs_grad(input, weight, bias)) {
    const char* node = input.ndim() != 2 ? "ViewBackward0" : bias.defined() ? "AddmmBackward0" : "MmBackward0";
    record(node, out, {&input, &weight, &bias},
           [si = save(input, weight), sw = save(weight, input), bias_sizes = bias.defined() ? bias.sizes() : Dims()](
               const Tensor& g, Slots& d) {
             if (d.wants(0)) {
               const Tensor& w = sw.get();
               d[0] = g.ndim() == 1 ? matrix_vector(matrix_transpose(w), g) : batched_product(g, w);
             }
             if (d.wants(1)) {
               const Tensor& x = si.get();
               d[1] =
                   g.ndim() == 1 ? mul(unsqueeze(g, -1), x) : batched_product(matrix_transpose(as_rows(g)), as_rows(x));
             }
             if (d.wants(2)) d[2] = sum_to_size(g, bias_sizes);
           });
  }
  return out;
}

Tensor bilinear(const Tensor& input1, const Tensor& input2, const Tensor& weight, const Tensor& bias) {
  FASTNN_CHECK(input1.ndim() > 0 && input1.ndim() == input2.ndim(), ErrorKind::Runtime,
               "bilinear(): input dimensions do not match: got ", input1.ndim(), " and ", input2.ndim());
  for (int d = 0; d + 1 < input1.ndim(); ++d) {
    FASTNN_CHECK(input1.sizes()[d] == input2.sizes()[d], ErrorKind::Runtime,
                 "bilinear(): input batch dimensions do not match at dim ", d, ": got ", input1.sizes()[d], " and ",
                 input2.sizes()[d]);
  }
  FASTNN_CHECK(weight.ndim() == 3, ErrorKind::Runtime, "bilinear(): weight must have 3 dimensions, got ",
               weight.sizes());
  const std::int64_t outs = weight.sizes()[0];
  const std::int64_t n1 = weight.sizes()[1];
  const std::int64_t n2 = weight.sizes()[2];
  FASTNN_CHECK(input1.sizes().back() == n1, ErrorKind::Runtime,
               "bilinear(): input1 size does not match weight size: got ", input1.sizes().back(), " but expected ", n1);
  FASTNN_CHECK(input2.sizes().back() == n2, ErrorKind::Runtime,
               "bilinear(): input2 size does not match weight size: got ", input2.sizes().back(), " but expected ", n2);
  FASTNN_CHECK(!bias.defined() || (bias.ndim() == 1 && bias.numel() == outs), ErrorKind::Runtime,
               "bilinear(): bias size does not match weight size: expected ", outs);
  // ([rows, n1] @ [n1, outs * n2]) as [rows, outs, n2], times [rows, n2, 1].
  const Tensor x1 = input1.ndim() == 1 ? unsqueeze(input1, 0) : as_rows(input1);
  const Tensor x2 = input2.ndim() == 1 ? unsqueeze(input2, 0) : as_rows(input2);
  const Dims order{1, 0, 2};
  const Tensor flat = reshape(permute(weight, order), Dims{n1, outs * n2});
  const std::int64_t rows = x1.sizes()[0];
  const Tensor half = reshape(matmul(x1, flat), Dims{rows, outs, n2});
  Dims sizes = input1.sizes();
  sizes.back() = outs;
  const Tensor out = reshape(matmul(half, unsqueeze(x2, -1)), sizes);
  return bias.defined() ? add(out, bias) : out;
}

Tensor tensordot(const Tensor& a, const Tensor& b, IntSpan dims_a, IntSpan dims_b) {
  FASTNN_CHECK(dims_a.size() == dims_b.size(), ErrorKind::Runtime,
               "tensordot: both dimension lists should have same length, got ", Dims(dims_a), " and ", Dims(dims_b));
  // A dimension of size 1 stands for as many as the other has.
  const auto lone = [](const Tensor& t, std::int64_t dim) { return t.ndim() == 0 || t.size(dim) == 1; };
  for (std::size_t i = 0; i < dims_a.size(); ++i) {
    if (lone(a, dims_a[i]) == lone(b, dims_b[i])) continue;
    if (lone(a, dims_a[i])) return tensordot(a, sum(b, dims_b.subspan(i, 1), true, b.dtype()), dims_a, dims_b);
    return tensordot(sum(a, dims_a.subspan(i, 1), true, a.dtype()), b, dims_a, dims_b);
  }
  // The dimensions that stay, the sizes that they give the result, and the extent of the sum.
  const auto rest = [](const Tensor& t, IntSpan dims, Dims& summed) {
    Dims kept;
    for (const std::int64_t dim : dims) {
      const int at = wrap_dim(dim, t.ndim(), "tensordot");
      for (const std::int64_t other : summed) {
        FASTNN_CHECK(other != at, ErrorKind::Runtime, "tensordot: dim ", at,
                     " appears multiple times in the list of dims");
      }
      summed.push_back(at);
    }
    for (int d = 0; d < t.ndim(); ++d) {
      if (std::find(summed.begin(), summed.end(), d) == summed.end()) kept.push_back(d);
    }
    return kept;
  };
  Dims summed_a;
  Dims summed_b;
  const Dims kept_a = rest(a, dims_a, summed_a);
  const Dims kept_b = rest(b, dims_b, summed_b);
  std::int64_t k = 1;
  for (int i = 0; i < summed_a.size(); ++i) {
    const std::int64_t size_a = a.ndim() == 0 ? 1 : a.sizes()[static_cast<int>(summed_a[i])];
    const std::int64_t size_b = b.ndim() == 0 ? 1 : b.sizes()[static_cast<int>(summed_b[i])];
    FASTNN_CHECK(size_a == size_b, ErrorKind::Runtime,
                 "tensordot: contracted dimensions need to match, but first has size ", size_a, " in dim ", summed_a[i],
                 " and second has size ", size_b, " in dim ", summed_b[i]);
    k *= size_a;
  }
  Dims sizes;
  std::int64_t m = 1;
  std::int64_t n = 1;
  for (const std::int64_t d : kept_a) {
    sizes.push_back(a.sizes()[static_cast<int>(d)]);
    m *= sizes.back();
  }
  for (const std::int64_t d : kept_b) {
    sizes.push_back(b.sizes()[static_cast<int>(d)]);
    n *= sizes.back();
  }
  const auto joined = [](const Tensor& t, const Dims& first, const Dims& second, std::int64_t rows, std::int64_t cols) {
    Dims order = first;
    for (const std::int64_t d : second) order.push_back(d);
    return reshape(t.ndim() == 0 ? t : permute(t, order), Dims{rows, cols});
  };
  return reshape(mm(joined(a, kept_a, summed_a, m, k), joined(b, summed_b, kept_b, k, n)), sizes);
}

Tensor kron(const Tensor& a, const Tensor& b) {
  const int ndim = std::max(a.ndim(), b.ndim());
  Dims first;
  Dims second;
  Dims sizes;
  for (int d = 0; d < ndim; ++d) {
    const int da = d - (ndim - a.ndim());
    const int db = d - (ndim - b.ndim());
    const std::int64_t size_a = da < 0 ? 1 : a.sizes()[da];
    const std::int64_t size_b = db < 0 ? 1 : b.sizes()[db];
    first.push_back(size_a);
    first.push_back(1);
    second.push_back(1);
    second.push_back(size_b);
    sizes.push_back(size_a * size_b);
  }
  return reshape(mul(reshape(a, first), reshape(b, second)), sizes);
}

namespace {

// order[i][j]: where the product of matrices i..j is cut, by the classical dynamic programme.
Tensor chain(TensorList matrices, const std::vector<std::vector<std::size_t>>& cut, std::size_t i, std::size_t j) {
  if (i == j) return matrices[i];
  return mm(chain(matrices, cut, i, cut[i][j]), chain(matrices, cut, cut[i][j] + 1, j));
}

}  // namespace

Tensor multi_dot(TensorList given) {
  FASTNN_CHECK(given.size() >= 2, ErrorKind::Runtime, "multi_dot(): expected at least 2 tensors but got ",
               given.size());
  std::vector<Tensor> matrices(given.begin(), given.end());
  const bool row = matrices.front().ndim() == 1;
  const bool column = matrices.back().ndim() == 1;
  if (row) matrices.front() = unsqueeze(matrices.front(), 0);
  if (column) matrices.back() = unsqueeze(matrices.back(), -1);
  const std::size_t n = matrices.size();
  std::vector<double> size;
  for (std::size_t i = 0; i < n; ++i) {
    FASTNN_CHECK(matrices[i].ndim() == 2, ErrorKind::Runtime, "multi_dot(): tensor ", i, " must be 2D but got ",
                 matrices[i].ndim(), "D");
    size.push_back(static_cast<double>(matrices[i].sizes()[0]));
  }
  size.push_back(static_cast<double>(matrices.back().sizes()[1]));
  std::vector<std::vector<double>> cost(n, std::vector<double>(n, 0.0));
  std::vector<std::vector<std::size_t>> cut(n, std::vector<std::size_t>(n, 0));
  for (std::size_t length = 2; length <= n; ++length) {
    for (std::size_t i = 0; i + length <= n; ++i) {
      const std::size_t j = i + length - 1;
      for (std::size_t s = i; s < j; ++s) {
        const double total = cost[i][s] + cost[s + 1][j] + size[i] * size[s + 1] * size[j + 1];
        if (s == i || total < cost[i][j]) {
          cost[i][j] = total;
          cut[i][j] = s;
        }
      }
    }
  }
  Tensor out = chain(matrices, cut, 0, n - 1);
  if (column) out = squeeze(out, -1);
  return row ? squeeze(out, 0) : out;
}

namespace {

Tensor tensordot_count(const Tensor& a, const Tensor& b, std::int64_t count) {
  FASTNN_CHECK(
      count >= 0 && count <= a.ndim() && count <= b.ndim(), ErrorKind::Runtime,
      "tensordot expects dims >= 0 and at most the number of dimensions of both tensors, but got dims=", count);
  Dims dims_a;
  Dims dims_b;
  for (std::int64_t i = 0; i < count; ++i) {
    dims_a.push_back(a.ndim() - count + i);
    dims_b.push_back(i);
  }
  return tensordot(a, b, dims_a, dims_b);
}

}  // namespace

FASTNN_OPS(matmul) {
  op("matmul(Tensor input, Tensor other) -> Tensor", &matmul, op_fn | op_method | op_out);
  op("mm(Tensor input, Tensor mat2) -> Tensor", &mm, op_fn | op_method | op_out);
  op("bmm(Tensor input, Tensor mat2) -> Tensor", &bmm, op_fn | op_method | op_out);
  op("mv(Tensor input, Tensor vec) -> Tensor", &mv, op_fn | op_method | op_out);
  op("dot(Tensor input, Tensor tensor) -> Tensor", &dot, op_fn | op_method | op_out);
  op("inner(Tensor input, Tensor other) -> Tensor", &inner, op_fn | op_method | op_out);
  op("outer(Tensor input, Tensor vec2) -> Tensor", &outer, op_fn | op_method | op_out);
  op("ger(Tensor input, Tensor vec2) -> Tensor", &outer, op_fn | op_method | op_out);
  op("addmm(Tensor input, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", &addmm,
     op_fn | op_method | op_inplace | op_out);
  op("addmv(Tensor input, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor", &addmv,
     op_fn | op_method | op_inplace | op_out);
  op("addr(Tensor input, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", &addr,
     op_fn | op_method | op_inplace | op_out);
  op("baddbmm(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", &baddbmm,
     op_fn | op_method | op_inplace | op_out);
  op("addbmm(Tensor input, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor", &addbmm,
     op_fn | op_method | op_inplace | op_out);
  op("tensordot(Tensor a, Tensor b, int dims=2) -> Tensor", &tensordot_count, op_fn);
  op("tensordot(Tensor a, Tensor b, int[] dims_a, int[] dims_b) -> Tensor", &tensordot, op_fn);
  op("einsum(str equation, *Tensor[] operands) -> Tensor", &einsum, op_fn);
  op("kron(Tensor input, Tensor other) -> Tensor", &kron, op_fn | op_method | op_out);
  op("linalg.multi_dot(Tensor[] tensors) -> Tensor", &multi_dot, op_fn | op_out);
  op("linalg.matmul(Tensor input, Tensor other) -> Tensor", &matmul, op_fn | op_out);
  op("nn.linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor", &linear, op_fn | op_out);
  op("nn.bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor", &bilinear, op_fn);
}

}  // namespace fastnn
