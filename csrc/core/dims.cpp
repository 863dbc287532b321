#include "core/dims.h"

#include <ostream>

#include "core/error.h"

namespace fastnn {

std::ostream& operator<<(std::ostream& out, const Dims& dims) {
  out << '[';
  for (int i = 0; i < dims.size(); ++i) out << (i ? ", " : "") << dims[i];
  return out << ']';
}

std::int64_t product(IntSpan sizes) {
  std::int64_t total = 1;
  for (const std::int64_t size : sizes) {
    FASTNN_CHECK(!__builtin_mul_overflow(total, size, &total), ErrorKind::Runtime, "number of elements of shape ",
                 Dims(sizes), " does not fit in 64 bits");
  }
  return total;
}

Dims contiguous_strides(IntSpan sizes) {
  const int ndim = static_cast<int>(sizes.size());
  Dims strides;
  strides.resize(ndim);
  std::int64_t step = 1;
  for (int i = ndim - 1; i >= 0; --i) {
    strides[i] = step;
    step *= std::max<std::int64_t>(sizes[static_cast<std::size_t>(i)], 1);
  }
  return strides;
}

int wrap_dim(std::int64_t dim, int ndim, const char* op) {
  const int range = std::max(ndim, 1);
  FASTNN_CHECK(dim >= -range && dim < range, ErrorKind::Index, op,
               ": Dimension out of range (expected to be in range of [", -range, ", ", range - 1, "], but got ", dim,
               ")");
  return static_cast<int>(dim < 0 ? dim + range : dim);
}

Dims broadcast_shapes(IntSpan a, IntSpan b, const char* op) {
  const int na = static_cast<int>(a.size());
  const int nb = static_cast<int>(b.size());
  const int ndim = std::max(na, nb);
  Dims result;
  result.resize(ndim);
  for (int i = 1; i <= ndim; ++i) {
    const std::int64_t sa = i <= na ? a[static_cast<std::size_t>(na - i)] : 1;
    const std::int64_t sb = i <= nb ? b[static_cast<std::size_t>(nb - i)] : 1;
    FASTNN_CHECK(sa == sb || sa == 1 || sb == 1, ErrorKind::Runtime, op, ": The size of tensor a (", sa,
                 ") must match the size of tensor b (", sb, ") at non-singleton dimension ", ndim - i, "; got shapes ",
                 Dims(a), " and ", Dims(b));
    result[ndim - i] = sa == 1 ? sb : sa;
  }
  return result;
}

Dims broadcast_strides(IntSpan sizes, IntSpan strides, IntSpan target) {
  const int ndim = static_cast<int>(target.size());
  const int own = static_cast<int>(sizes.size());
  Dims result;
  result.resize(ndim);
  for (int i = 1; i <= own; ++i) {
    const auto at = static_cast<std::size_t>(own - i);
    const bool repeated = sizes[at] == 1 && target[static_cast<std::size_t>(ndim - i)] != 1;
    result[ndim - i] = repeated ? 0 : strides[at];
  }
  return result;
}

bool is_expandable_to(IntSpan sizes, IntSpan target) {
  if (sizes.size() > target.size()) return false;
  for (std::size_t i = 1; i <= sizes.size(); ++i) {
    const std::int64_t size = sizes[sizes.size() - i];
    if (size != target[target.size() - i] && size != 1) return false;
  }
  return true;
}

}  // namespace fastnn
