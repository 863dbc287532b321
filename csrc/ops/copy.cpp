#include "ops/copy.h"

#include <algorithm>

#include "autograd/record.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

void copy_in_place(const Tensor& target, const Tensor& source) {
  check_in_place(target, "copy_");
  const bool graph = needs_grad(target, source) && target.is_differentiable();
  const Tensor old = graph ? before_write(target) : Tensor();
  copy_raw(target, source);
  Tensor result = target.detached();
  if (graph) {
    record("torch::autograd::CopyBackwards", result, {&old, &source},
           [sizes = source.sizes(), dtype = source.dtype(), tracked = source.is_differentiable()](const Tensor& g,
                                                                                                  Slots& d) {
             if (d.wants(0)) d[0] = zeros_like(g);
             if (d.wants(1) && tracked) d[1] = to_dtype(sum_to_size(g, sizes), dtype);
           });
  }
  after_write(target, result);
}

namespace {

// Of NHWC (or NDHWC) order.
Dims channels_last_strides(IntSpan sizes) {
  const int ndim = static_cast<int>(sizes.size());
  Dims strides = Dims::filled(ndim, 0);
  std::int64_t step = 1;
  for (int i = 0; i < ndim; ++i) {
    const int dim = i == 0 ? 1 : i == ndim - 1 ? 0 : ndim - i;
    strides[dim] = step;
    step *= std::max<std::int64_t>(sizes[static_cast<std::size_t>(dim)], 1);
  }
  return strides;
}

// Whether the strides grow in NHWC order, and are not just as well those of NCHW.
bool is_channels_last(const Tensor& tensor) {
  const int ndim = tensor.ndim();
  if ((ndim != 4 && ndim != 5) || tensor.numel() == 0 || tensor.strides()[1] == 0) return false;
  std::int64_t least = 0;
  for (int i = 0; i < ndim; ++i) {
    const int dim = i == 0 ? 1 : i == ndim - 1 ? 0 : ndim - i;
    const std::int64_t stride = tensor.strides()[dim];
    if (stride < least || (dim == 0 && least == tensor.strides()[1])) return false;
    least = stride * std::max<std::int64_t>(tensor.sizes()[dim], 1);
  }
  return true;
}

}  // namespace

Tensor empty_in_format_of(const Tensor& like, IntSpan sizes, DType dtype) {
  if (!is_channels_last(like)) return Tensor::empty(sizes, dtype);
  return Tensor::empty_strided(sizes, channels_last_strides(sizes), dtype);
}

Tensor in_format_of(const Tensor& like, const Tensor& result) {
  if (!is_channels_last(like) || result.ndim() != like.ndim()) return result;
  const Tensor out = empty_in_format_of(like, result.sizes(), result.dtype());
  copy_raw(out, result);
  return out;
}

namespace {

// Strides of a memory format, or nothing for "keep the order of dimensions".
std::optional<Dims> strides_of_format(const Tensor& input, std::optional<std::string_view> format) {
  if (!format || *format == "preserve_format") return std::nullopt;
  if (*format == "contiguous_format") return contiguous_strides(input.sizes());
  const int ndim = *format == "channels_last" ? 4 : 5;
  FASTNN_CHECK(input.ndim() == ndim, ErrorKind::Runtime, "required rank ", ndim, " tensor to use ",
               std::string(*format), " format, got shape ", input.sizes());
  return channels_last_strides(input.sizes());
}

Tensor clone_into(const Tensor& input, const Dims& strides) {
  Tensor out = Tensor::empty_strided(input.sizes(), strides, input.dtype());
  copy_raw(out, input);
  if (needs_grad(input)) {
    record("CloneBackward0", out, {&input}, [](const Tensor& g, Slots& d) { d[0] = g; });
  }
  return out;
}

Tensor clone_as(const Tensor& input, std::optional<std::string_view> format) {
  const auto strides = strides_of_format(input, format);
  return strides ? clone_into(input, *strides) : clone(input);
}

Tensor contiguous_as(const Tensor& input, std::optional<std::string_view> format) {
  const auto strides = strides_of_format(input, format);
  if (!strides) return contiguous(input);
  for (int d = 0; d < input.ndim(); ++d) {
    if (input.sizes()[d] != 1 && input.strides()[d] != (*strides)[d]) return clone_into(input, *strides);
  }
  return input;
}

Tensor copy_op(const Tensor& self, const Tensor& source, bool) {
  copy_in_place(self, source);
  return self;
}
}  // namespace

FASTNN_OPS(copy) {
  op("clone(Tensor input, *, memory_format? memory_format=None) -> Tensor", &clone_as, op_fn | op_method);
  op("contiguous(Tensor input, memory_format? memory_format=None) -> Tensor", &contiguous_as, op_method);
  op("copy_(Tensor input, Tensor other, bool non_blocking=False) -> Tensor", &copy_op, op_method);
}

}  // namespace fastnn
