#include "ops/pad.h"

#include "autograd/record.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/index.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

// Where each element of a padded dimension comes from.
Tensor sources(std::string_view mode, const Tensor& input, int dim, std::int64_t before, std::int64_t after) {
  const std::int64_t size = input.sizes()[dim];
  const std::int64_t count = before + size + after;
  FASTNN_CHECK(size > 0 && count > 0, ErrorKind::Runtime, "pad: dimension ", dim, " of ", input.sizes(),
               " with padding (", before, ", ", after, ") is empty");
  const std::int64_t most = mode == "reflect" ? size - 1 : size;
  FASTNN_CHECK(mode != "reflect" || (before <= most && after <= most), ErrorKind::Runtime,
               "Argument #4: Padding size should be less than the corresponding input dimension, but got: padding (",
               before, ", ", after, ") at dimension ", dim, " of input ", input.sizes());
  FASTNN_CHECK(mode != "circular" || (before <= most && after <= most), ErrorKind::Runtime,
               "Padding value causes wrapping around more than once.");
  Tensor places = Tensor::empty(Dims{count}, DType::Int64);
  auto* place = places.as<std::int64_t>();
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t at = i - before;
    if (mode == "replicate") {
      place[i] = std::clamp<std::int64_t>(at, 0, size - 1);
    } else if (mode == "reflect") {
      const std::int64_t from_end = size - 1 - std::abs(at);
      place[i] = size - 1 - std::abs(from_end);
    } else {
      place[i] = (at % size + size) % size;
    }
  }
  return places;
}

}  // namespace

Tensor constant_pad(const Tensor& input, IntSpan pad, double value) {
  const int count = static_cast<int>(pad.size() / 2);
  FASTNN_CHECK(pad.size() % 2 == 0, ErrorKind::Runtime, "Padding length must be divisible by 2, but got length ",
               pad.size());
  FASTNN_CHECK(count <= input.ndim(), ErrorKind::Runtime,
               "Padding length should be less than or equal to two times the input dimension but got padding length ",
               pad.size(), " and input of dimension ", input.ndim());
  Dims sizes = input.sizes();
  Tensor source = input.detached();
  Dims inside_start = Dims::filled(input.ndim(), 0);
  for (int i = 0; i < count; ++i) {
    const int dim = input.ndim() - 1 - i;
    const std::int64_t before = pad[static_cast<std::size_t>(2 * i)];
    const std::int64_t after = pad[static_cast<std::size_t>(2 * i + 1)];
    sizes[dim] += before + after;
    FASTNN_CHECK(sizes[dim] >= 0, ErrorKind::Runtime, "The input size ", input.sizes()[dim], ", plus negative padding ",
                 before, " and ", after, " resulted in a negative output size, which is invalid. Check dimension ", dim,
                 " of your input.");
    const std::int64_t cut_front = std::max<std::int64_t>(-before, 0);
    const std::int64_t cut_back = std::max<std::int64_t>(-after, 0);
    // More may be cut than there is, when the other side is padded.
    const std::int64_t first = std::min(cut_front, input.sizes()[dim]);
    const std::int64_t kept = std::max<std::int64_t>(input.sizes()[dim] - first - cut_back, 0);
    source = narrow(source, dim, first, kept);
    inside_start[dim] = std::max<std::int64_t>(before, 0);
  }
  Tensor out = in_format_of(input, full(sizes, Scalar(value), input.dtype()));
  if (source.numel() > 0) {
    std::int64_t offset = out.storage_offset();
    for (int d = 0; d < out.ndim(); ++d) offset += inside_start[d] * out.strides()[d];
    copy_raw(out.alias(source.sizes(), out.strides(), offset), source);
  }
  if (needs_grad(input)) {
    Dims inverse;
    for (const std::int64_t amount : pad) inverse.push_back(-amount);
    record("ConstantPadNdBackward0", out, {&input},
           [inverse](const Tensor& g, Slots& d) { d[0] = constant_pad(g, inverse, 0); });
  }
  return out;
}

Tensor pad(const Tensor& input, IntSpan amounts, std::string_view mode, std::optional<double> value) {
  if (mode == "constant") return constant_pad(input, amounts, value.value_or(0));
  FASTNN_CHECK(mode == "reflect" || mode == "replicate" || mode == "circular", ErrorKind::NotImplemented,
               "Unrecognised padding mode ", mode);
  FASTNN_CHECK(value.value_or(0) == 0, ErrorKind::Value, "Padding mode \"", mode, "\" doesn't take in value argument");
  const int count = static_cast<int>(amounts.size() / 2);
  FASTNN_CHECK(
      amounts.size() % 2 == 0 && count >= 1 && count <= 3 && (input.ndim() == count + 1 || input.ndim() == count + 2),
      ErrorKind::NotImplemented,
      "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now; got pad of length ", amounts.size(),
      " and input of shape ", input.sizes());
  Tensor out = input;
  for (int i = 0; i < count; ++i) {
    std::int64_t before = amounts[static_cast<std::size_t>(2 * i)];
    std::int64_t after = amounts[static_cast<std::size_t>(2 * i + 1)];
    const int dim = input.ndim() - 1 - i;
    if (mode == "circular" && (before < 0 || after < 0)) {
      // What is cut off does not come back on the other side.
      const std::int64_t first = std::max<std::int64_t>(-before, 0);
      const std::int64_t length = out.sizes()[dim] - first - std::max<std::int64_t>(-after, 0);
      FASTNN_CHECK(length > 0, ErrorKind::Runtime, "pad: dimension ", dim, " of ", input.sizes(), " with padding (",
                   before, ", ", after, ") is empty");
      out = narrow(out, dim, first, length);
      before = std::max<std::int64_t>(before, 0);
      after = std::max<std::int64_t>(after, 0);
    }
    if (before == 0 && after == 0) continue;
    out = index_select(out, dim, sources(mode, out, dim, before, after));
  }
  return out;
}

namespace {

Tensor constant_pad_nd(const Tensor& input, IntSpan pad, const Scalar& value) {
  return constant_pad(input, pad, value.to_double());
}

}  // namespace

FASTNN_OPS(pad) {
  op("constant_pad_nd(Tensor input, int[] pad, Scalar value=0) -> Tensor", &constant_pad_nd, op_fn);
  op("nn.pad(Tensor input, int[] pad, str mode='constant', float? value=None) -> Tensor", &pad, op_fn);
}

}  // namespace fastnn
