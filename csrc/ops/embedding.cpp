#include "ops/embedding.h"

#include <algorithm>
#include <memory>

#include "autograd/record.h"
#include "kernels/table.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/index.h"
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
Tensor checked_indices(const char* op, const Tensor& indices, std::int64_t rows, ErrorKind outside = ErrorKind::Index) {
  FASTNN_CHECK(
      indices.dtype() == DType::Int64 || indices.dtype() == DType::Int32, ErrorKind::Runtime, op,
      ": Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got ",
      indices.dtype(), " instead");
  const Tensor wide = dense(to_dtype(indices, DType::Int64));
  std::int64_t value = 0;
  FASTNN_CHECK(!table().find_outside(wide.view(), rows, &value), outside, op, ": index out of range in self: ", value,
               " is not in a table of ", rows, " rows");
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

// Scales the rows that are looked up down to a norm, in place.
void scale_down(const Tensor& weight, const Tensor& input, double max_norm, double norm_type) {
  const Tensor indices = checked_indices("embedding", input, weight.sizes()[0]);
  FASTNN_CHECK(weight.is_contiguous(), ErrorKind::Runtime, "embedding: max_norm needs a contiguous weight");
  count_launch();
  table().renormalize(weight.view(), indices.view(), max_norm, norm_type);
  bump_version(weight);
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
  if (max_norm) scale_down(weight, input, *max_norm, norm_type);
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

// --- bags ------------------------------------------------------------------------------------------------------------

namespace {

// Which rows each bag has. Factors are always in the type of computation.
struct Bags {
  Tensor indices;  // checked
  std::vector<std::int64_t> begin;
  std::int64_t padding;
  Dims table_sizes;

  std::int64_t count() const { return static_cast<std::int64_t>(begin.size()) - 1; }
  BagGeometry geometry() const { return {begin.data(), count(), padding}; }
};
using SharedBags = std::shared_ptr<const Bags>;

// The three products, each linear in both operands and each the derivative of the others: sums of rows, values spread
// over rows, and dot products of values with rows.
Tensor bag_sums(const Tensor& table_values, const Tensor& factors, const SharedBags& bags);
Tensor bag_spread(const Tensor& values, const Tensor& factors, const SharedBags& bags);
Tensor bag_dots(const Tensor& values, const Tensor& table_values, const SharedBags& bags);

Tensor bag_sums(const Tensor& table_values, const Tensor& factors, const SharedBags& bags) {
  Tensor out = Tensor::empty(Dims{bags->count(), bags->table_sizes[1]}, table_values.dtype());
  const Tensor from = dense(table_values);
  const Tensor dense_factors = factors.defined() ? dense(factors) : Tensor();
  const View view = factors.defined() ? dense_factors.view() : View{};
  count_launch();
  table().bag_sums(out.view(), from.view(), bags->indices.view(), factors.defined() ? &view : nullptr,
                   bags->geometry());
  if (needs_grad(table_values, factors)) {
    record("EmbeddingBagBackward0", out, {&table_values, &factors},
           [st = save(table_values, factors), sf = save(factors), si = save(bags->indices), bags](const Tensor& g,
                                                                                                  Slots& d) {
             si.get();  // still what they were
             if (d.wants(0)) d[0] = bag_spread(g, sf.get(), bags);
             if (d.wants(1)) d[1] = bag_dots(g, st.get(), bags);
           });
  }
  return out;
}

Tensor bag_spread(const Tensor& values, const Tensor& factors, const SharedBags& bags) {
  Tensor out = Tensor::empty(bags->table_sizes, values.dtype());
  const Tensor from = dense(values);
  const Tensor dense_factors = factors.defined() ? dense(factors) : Tensor();
  const View view = factors.defined() ? dense_factors.view() : View{};
  count_launch();
  table().bag_spread(out.view(), from.view(), bags->indices.view(), factors.defined() ? &view : nullptr,
                     bags->geometry());
  if (needs_grad(values, factors)) {
    record("EmbeddingBagDenseBackwardBackward0", out, {&values, &factors},
           [sv = save(values, factors), sf = save(factors), si = save(bags->indices), bags](const Tensor& g, Slots& d) {
             si.get();
             if (d.wants(0)) d[0] = bag_sums(g, sf.get(), bags);
             if (d.wants(1)) d[1] = bag_dots(sv.get(), g, bags);
           });
  }
  return out;
}

Tensor bag_dots(const Tensor& values, const Tensor& table_values, const SharedBags& bags) {
  Tensor out = Tensor::empty(bags->indices.sizes(), compute_type(values.dtype()));
  const Tensor dense_values = dense(values);
  const Tensor dense_table = dense(table_values);
  count_launch();
  table().bag_dots(out.view(), dense_values.view(), dense_table.view(), bags->indices.view(), bags->geometry());
  if (needs_grad(values, table_values)) {
    record("EmbeddingBagPerSampleWeightsBackwardBackward0", out, {&values, &table_values},
           [sv = save(values, table_values), st = save(table_values, values), si = save(bags->indices), bags](
               const Tensor& g, Slots& d) {
             si.get();
             if (d.wants(0)) d[0] = bag_sums(st.get(), g, bags);
             if (d.wants(1)) d[1] = bag_spread(sv.get(), g, bags);
           });
  }
  return out;
}

// The value of each column that is the largest of its bag; 0 for an empty bag.
Tensor bag_largest(const Tensor& weight, const SharedBags& bags) {
  Tensor rows = Tensor::empty(Dims{bags->count(), bags->table_sizes[1]}, DType::Int64);
  const Tensor from = dense(weight);
  count_launch();
  table().bag_largest(rows.view(), from.view(), bags->indices.view(), bags->geometry());
  const Tensor empty = lt(rows, Scalar(0).wrapped());
  if (rows.numel() == 0 || weight.sizes()[0] == 0) return zeros(rows.sizes(), weight.dtype());
  return masked_fill(fastnn::gather(weight, 0, clamp(rows, Scalar(0), {})), empty, Scalar(0));
}

// For a mean: one over the number of rows that count in the bag of each index.
Tensor mean_factors(const Bags& bags, DType dtype) {
  Tensor factors = Tensor::empty(bags.indices.sizes(), DType::Float64);
  const auto* index = bags.indices.as<std::int64_t>();
  for (std::size_t b = 0; b + 1 < bags.begin.size(); ++b) {
    const auto counts = std::count_if(index + bags.begin[b], index + bags.begin[b + 1],
                                      [&](std::int64_t row) { return row != bags.padding; });
    std::fill(factors.as<double>() + bags.begin[b], factors.as<double>() + bags.begin[b + 1],
              counts > 0 ? 1 / static_cast<double>(counts) : 0);
  }
  return to_dtype(factors, dtype);
}
// One over how often the row of each index is looked up.
Tensor frequency_factors(const Bags& bags, DType dtype) {
  const Tensor ones_of_indices = ones(bags.indices.sizes(), dtype);
  const Tensor counts = index_add(zeros(Dims{bags.table_sizes[0]}, dtype), 0, bags.indices, ones_of_indices);
  return reciprocal(index_select(counts, 0, bags.indices));
}

std::vector<std::int64_t> starts_of(const Tensor& offsets, std::int64_t count, bool include_last_offset) {
  FASTNN_CHECK(is_integral(offsets.dtype()), ErrorKind::Runtime, "embedding_bag: offsets must be integral, got ",
               offsets.dtype());
  const Tensor wide = dense(to_dtype(offsets, DType::Int64));
  std::vector<std::int64_t> begin(wide.as<std::int64_t>(), wide.as<std::int64_t>() + wide.numel());
  FASTNN_CHECK(!include_last_offset || !begin.empty(), ErrorKind::Runtime,
               "include_last_offset: number of offset should be at least 1");
  if (!begin.empty()) {
    FASTNN_CHECK(begin.front() == 0, ErrorKind::Runtime,
                 "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. "
                 "However, got ",
                 begin.front());
    FASTNN_CHECK(begin.back() <= count, ErrorKind::Runtime, "offsets[-1] can not be greater than input's length(",
                 count, ") but got offsets[-1] of ", begin.back());
  }
  FASTNN_CHECK(std::is_sorted(begin.begin(), begin.end()), ErrorKind::Runtime,
               "embedding_bag: offsets must not decrease");
  if (!include_last_offset) begin.push_back(count);
  return begin;
}

enum class BagMode : std::uint8_t { Sum, Mean, Max };

// `indices` has one dimension.
Tensor embedding_bag(const Tensor& weight, const Tensor& indices, const Tensor& offsets, bool scale_grad_by_freq,
                     BagMode mode, const Tensor& per_sample_weights, bool include_last_offset,
                     std::optional<std::int64_t> padding_idx) {
  check_weight("embedding_bag", weight);
  auto bags = std::make_shared<Bags>();
  bags->indices = checked_indices("embedding_bag", indices, weight.sizes()[0], ErrorKind::Runtime);
  bags->begin = starts_of(offsets, indices.numel(), include_last_offset);
  bags->padding = padding_idx ? (*padding_idx < 0 ? *padding_idx + weight.sizes()[0] : *padding_idx) : -1;
  bags->table_sizes = weight.sizes();
  if (mode == BagMode::Max) return bag_largest(weight, bags);
  const DType compute = compute_type(weight.dtype());
  Tensor factors;
  if (per_sample_weights.defined()) factors = to_dtype(per_sample_weights, compute);
  if (mode == BagMode::Mean) factors = mean_factors(*bags, compute);
  if (!scale_grad_by_freq) return bag_sums(weight, factors, bags);
  // The same value, with the gradient of rows that are divided by how often they are looked up.
  Tensor scaled = frequency_factors(*bags, compute);
  if (factors.defined()) scaled = mul(scaled, factors);
  const Tensor plain = bag_sums(detach(weight), factors, bags);
  const Tensor frequent = bag_sums(weight, detach(scaled), bags);
  return add(plain, sub(frequent, detach(frequent)));
}

Tensor nn_embedding_bag(const Tensor& given, const Tensor& weight, const Tensor& given_offsets,
                        std::optional<double> max_norm, double norm_type, bool scale_grad_by_freq,
                        std::string_view mode, bool sparse, const Tensor& given_weights, bool include_last_offset,
                        std::optional<std::int64_t> padding_idx) {
  FASTNN_CHECK(!given_weights.defined() || given.sizes() == given_weights.sizes(), ErrorKind::Value,
               "embedding_bag: If per_sample_weights (", given_weights.defined() ? given_weights.sizes() : Dims(),
               ") is not None, then it must have the same shape as the input (", given.sizes(), ")");
  FASTNN_CHECK(weight.ndim() == 2, ErrorKind::Value, "weight has to be a 2D Tensor, but got Tensor of dimension ",
               weight.ndim());
  Tensor indices = given;
  Tensor offsets = given_offsets;
  Tensor factors = given_weights;
  if (given.ndim() == 2) {
    FASTNN_CHECK(!offsets.defined(), ErrorKind::Value,
                 "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                 "sequences. However, found offsets of shape ",
                 offsets.defined() ? offsets.sizes() : Dims());
    indices = flatten(given);
    offsets = arange_int(given.sizes()[0], 0, given.sizes()[1]);
    include_last_offset = false;
    if (factors.defined()) factors = flatten(factors);
  } else {
    FASTNN_CHECK(given.ndim() == 1, ErrorKind::Value, "input has to be 1D or 2D Tensor, but got Tensor of dimension ",
                 given.ndim());
    FASTNN_CHECK(offsets.defined(), ErrorKind::Value, "offsets has to be a 1D Tensor but got None");
    FASTNN_CHECK(offsets.ndim() == 1, ErrorKind::Value, "offsets has to be a 1D Tensor");
  }
  FASTNN_CHECK(mode == "sum" || mode == "mean" || mode == "max", ErrorKind::Value,
               "mode has to be one of sum, mean or max");
  FASTNN_CHECK(mode != "max" || !scale_grad_by_freq, ErrorKind::Value,
               "max mode does not support scaling the gradient by the frequency");
  FASTNN_CHECK(mode != "max" || !sparse, ErrorKind::Value, "max mode does not support sparse weights");
  if (max_norm) scale_down(weight, indices, *max_norm, norm_type);
  FASTNN_CHECK(!factors.defined() || mode == "sum", ErrorKind::NotImplemented,
               "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
               "(got mode='",
               mode, "').");
  FASTNN_CHECK(!factors.defined() || factors.dtype() == weight.dtype(), ErrorKind::Runtime,
               "embedding_bag: expected per_sample_weights of the dtype of the weight, ", weight.dtype(), ", but got ",
               factors.defined() ? factors.dtype() : weight.dtype());
  FASTNN_CHECK(!padding_idx || (*padding_idx >= -weight.sizes()[0] && *padding_idx < weight.sizes()[0]),
               ErrorKind::Runtime, "padding_idx must be within the number of embeddings, -", weight.sizes()[0],
               " through ", weight.sizes()[0] - 1, ", but got ", padding_idx.value_or(0));
  return embedding_bag(weight, indices, offsets, scale_grad_by_freq,
                       mode == "sum"    ? BagMode::Sum
                       : mode == "mean" ? BagMode::Mean
                                        : BagMode::Max,
                       factors, include_last_offset, padding_idx);
}

}  // namespace

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
  op("nn.embedding_bag(Tensor input, Tensor weight, Tensor? offsets=None, float? max_norm=None, float norm_type=2, "
     "bool "
     "scale_grad_by_freq=False, str mode='mean', bool sparse=False, Tensor? per_sample_weights=None, bool "
     "include_last_offset=False, int? padding_idx=None) -> Tensor",
     &nn_embedding_bag, op_fn);
  op("nn.one_hot(Tensor input, int num_classes=-1) -> Tensor", &one_hot, op_fn);
}

}  // namespace fastnn
