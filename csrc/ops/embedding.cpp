#include "ops/embedding.h"

#include "autograd/record.h"
#include "kernels/table.h"
#include "ops/elementwise.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

const EmbeddingKernels& table() { return *kernels().embedding; }

void count_launch() {
  if (LaunchCount::counting) ++LaunchCount::value;
}
Tensor dense(const Tensor& t) { return t.is_contiguous() ? t : contiguous(t.detached()); }

// Indices as the kernels take them.
Tensor checked_indices(const char* op, const Tensor& indices, std::int64_t rows) {
  FASTNN_CHECK(
      indices.dtype() == DType::Int64 || indices.dtype() == DType::Int32, ErrorKind::Runtime, op,
      ": Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got ",
      indices.dtype(), " instead");
  const Tensor wide = dense(to_dtype(indices, DType::Int64));
  std::int64_t value = 0;
  FASTNN_CHECK(!table().find_outside(wide.view(), rows, &value), ErrorKind::Index, op,
               ": index out of range in self: ", value, " is not in a table of ", rows, " rows");
  return wide;
}

void check_weight(const char* op, const Tensor& weight) {
  FASTNN_CHECK(weight.ndim() == 2, ErrorKind::Runtime, op, ": 'weight' must be 2-D, got ", weight.sizes());
  if (!is_floating(weight.dtype())) fail_not_implemented(op, weight.dtype());
}

// A tensor as a matrix of rows of `width`; only geometry.
View as_rows(const Tensor& t, Dims& sizes, Dims& strides, std::int64_t count, std::int64_t width) {
  sizes = Dims{count, width};
  strides = contiguous_strides(sizes);
  return {t.data(), t.dtype(), 2, sizes.data(), strides.data()};
}

Tensor accumulate(const Tensor& values, const Tensor& indices, std::int64_t rows, EmbeddingOptions options);

// weight[indices] with the options' factor on each row; `indices` are checked.
Tensor gather_rows(const Tensor& weight, const Tensor& indices, EmbeddingOptions forward, EmbeddingOptions backward) {
  Dims shape = indices.sizes();
  shape.push_back(weight.sizes()[1]);
  Tensor out = Tensor::empty(shape, weight.dtype());
  const Tensor from = dense(weight);
  Dims sizes;
  Dims strides;
  count_launch();
  table().gather(as_rows(out, sizes, strides, indices.numel(), weight.sizes()[1]), from.view(), indices.view(),
                 forward);
  if (needs_grad(weight)) {
    record("EmbeddingBackward0", out, {&weight},
           [indices = save(indices), rows = weight.sizes()[0], backward](const Tensor& g, Slots& d) {
             d[0] = accumulate(g, indices.get(), rows, backward);
           });
  }
  return out;
}

Tensor accumulate(const Tensor& values, const Tensor& indices, std::int64_t rows, EmbeddingOptions options) {
  const std::int64_t width = values.sizes().back();
  Tensor out = Tensor::empty(Dims{rows, width}, values.dtype());
  const Tensor from = dense(values);
  Dims sizes;
  Dims strides;
  count_launch();
  table().accumulate(out.view(), as_rows(from, sizes, strides, indices.numel(), width), indices.view(), options);
  if (needs_grad(values)) {
    record("EmbeddingDenseBackwardBackward0", out, {&values},
           [indices = save(indices), options](const Tensor& g, Slots& d) {
             d[0] = gather_rows(g, indices.get(), options, options);
           });
  }
  return out;
}

Tensor nn_embedding(const Tensor& input, const Tensor& weight, std::optional<std::int64_t> padding_idx,
                    std::optional<double> max_norm, double norm_type, bool scale_grad_by_freq, bool sparse) {
  check_weight("embedding", weight);
  const std::int64_t rows = weight.sizes()[0];
  std::int64_t padding = -1;
  if (padding_idx) {
    FASTNN_CHECK(*padding_idx < rows && *padding_idx >= -rows, ErrorKind::Value,
                 "Padding_idx must be within num_embeddings");
    padding = *padding_idx < 0 ? *padding_idx + rows : *padding_idx;
  }
  if (max_norm) {
    const Tensor indices = checked_indices("embedding", input, rows);
    FASTNN_CHECK(weight.is_contiguous(), ErrorKind::Runtime, "embedding: max_norm needs a contiguous weight");
    count_launch();
    table().renormalize(weight.view(), indices.view(), *max_norm, norm_type);
    bump_version(weight);
  }
  return embedding(weight, input, padding, scale_grad_by_freq, sparse);
}

}  // namespace

Tensor embedding(const Tensor& weight, const Tensor& indices, std::int64_t padding_idx, bool scale_grad_by_freq,
                 bool sparse) {
  (void)sparse;  // gradients are dense
  check_weight("embedding", weight);
  const Tensor checked = checked_indices("embedding", indices, weight.sizes()[0]);
  return gather_rows(weight, checked, {}, {.padding = padding_idx, .by_frequency = scale_grad_by_freq});
}

Tensor one_hot(const Tensor& tensor, std::int64_t num_classes) {
  FASTNN_CHECK(tensor.dtype() == DType::Int64, ErrorKind::Runtime,
               "one_hot is only applicable to index tensor of type LongTensor, got ", tensor.dtype());
  FASTNN_CHECK(tensor.numel() > 0 || num_classes > 0, ErrorKind::Runtime,
               "Can not infer total number of classes from empty tensor.");
  const Tensor indices = dense(tensor);
  if (num_classes == -1) num_classes = amax(indices).item_int() + 1;
  FASTNN_CHECK(num_classes >= 1, ErrorKind::Runtime, "one_hot: num_classes should be positive, got ", num_classes);
  std::int64_t value = 0;
  if (table().find_outside(indices.view(), num_classes, &value)) {
    FASTNN_CHECK(value >= 0, ErrorKind::Runtime, "Class values must be non-negative.");
    fail("Class values must be smaller than num_classes.");
  }
  Dims sizes = tensor.sizes();
  sizes.push_back(num_classes);
  Tensor out = Tensor::empty(sizes, DType::Int64);
  count_launch();
  table().one_hot(out.view(), indices.view());
  return out;
}

FASTNN_OPS(embedding) {
  op("embedding(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) "
     "-> Tensor",
     &embedding, op_fn);
  op("nn.embedding(Tensor input, Tensor weight, int? padding_idx=None, float? max_norm=None, float norm_type=2.0, bool "
     "scale_grad_by_freq=False, bool sparse=False) -> Tensor",
     &nn_embedding, op_fn);
  op("nn.one_hot(Tensor input, int num_classes=-1) -> Tensor", &one_hot, op_fn);
}

}  // namespace fastnn
