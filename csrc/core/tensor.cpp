#include "core/tensor.h"

#include <algorithm>
#include <numeric>

namespace fastnn {

void (*TensorImpl::release_python)(void* object) = nullptr;

TensorImpl::~TensorImpl() {
  if (owns_python && python != nullptr && release_python != nullptr) release_python(python);
}

void TensorImpl::set_geometry(Dims new_sizes, Dims new_strides) {
  sizes = std::move(new_sizes);
  strides = std::move(new_strides);
  numel = product(sizes);
  contiguous = View{nullptr, dtype, sizes.size(), sizes.data(), strides.data()}.contiguous();
}

bool& makes_inference_tensors() {
  thread_local bool inference = false;
  return inference;
}

namespace {

void check_sizes(IntSpan sizes, const char* op) {
  FASTNN_CHECK(sizes.size() <= kMaxDims, ErrorKind::Runtime, op, ": at most ", kMaxDims, " dimensions, got ",
               sizes.size());
  for (const std::int64_t size : sizes) {
    FASTNN_CHECK(size >= 0, ErrorKind::Runtime, op, ": Trying to create tensor with negative dimension ", size, ": ",
                 Dims(sizes));
  }
}

std::size_t bytes_of(std::int64_t elements, DType dtype, IntSpan sizes) {
  std::int64_t bytes = 0;
  FASTNN_CHECK(!__builtin_mul_overflow(elements, itemsize(dtype), &bytes), ErrorKind::Runtime,
               "Storage size calculation overflowed with sizes=", Dims(sizes));
  return static_cast<std::size_t>(bytes);
}

// One past the highest element that the geometry reaches, from offset 0.
std::int64_t extent(IntSpan sizes, IntSpan strides) {
  std::int64_t last = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 0) return 0;
    std::int64_t reach = 0;
    FASTNN_CHECK(
        !__builtin_mul_overflow(sizes[i] - 1, strides[i], &reach) && !__builtin_add_overflow(last, reach, &last),
        ErrorKind::Runtime, "size and stride overflow the address space");
  }
  return last + 1;
}

}  // namespace

Tensor Tensor::empty(IntSpan sizes, DType dtype) {
  check_sizes(sizes, "empty");
  auto impl = make_ref<TensorImpl>();
  impl->dtype = dtype;
  impl->numel = product(sizes);
  impl->storage = Storage::allocate(bytes_of(impl->numel, dtype, sizes));
  impl->sizes = Dims(sizes);
  if (!sizes.empty()) impl->strides = contiguous_strides(sizes);
  impl->inference = makes_inference_tensors();
  return Tensor(std::move(impl));
}

Tensor Tensor::empty_strided(IntSpan sizes, IntSpan strides, DType dtype) {
  check_sizes(sizes, "empty_strided");
  FASTNN_CHECK(sizes.size() == strides.size(), ErrorKind::Runtime, "empty_strided: dimensionality of sizes (",
               sizes.size(), ") must match dimensionality of strides (", strides.size(), ")");
  for (const std::int64_t stride : strides) {
    FASTNN_CHECK(stride >= 0, ErrorKind::Runtime, "empty_strided: strides must not be negative, got ", Dims(strides));
  }
  auto impl = make_ref<TensorImpl>();
  impl->dtype = dtype;
  impl->storage = Storage::allocate(bytes_of(extent(sizes, strides), dtype, sizes));
  impl->set_geometry(Dims(sizes), Dims(strides));
  impl->inference = makes_inference_tensors();
  return Tensor(std::move(impl));
}

Tensor Tensor::empty_like(const Tensor& like, DType dtype) {
  if (like.is_contiguous()) return empty(like.sizes(), dtype);
  return empty_strided(like.sizes(), dense_strides_like(like.sizes(), like.strides()), dtype);
}

Tensor Tensor::full(IntSpan sizes, double value, DType dtype) {
  Tensor result = empty(sizes, dtype);
  visit_any_dtype(dtype, [&]<class T>() {
    T typed;
    if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
      typed = T(static_cast<float>(value));
    } else {
      typed = static_cast<T>(value);
    }
    std::fill_n(result.as<T>(), result.numel(), typed);
  });
  return result;
}

Tensor Tensor::wrapped(double value) {
  Tensor result = empty({}, DType::Float64);
  *result.as<double>() = value;
  result.impl()->wrapped_number = true;
  return result;
}
Tensor Tensor::wrapped(std::int64_t value) {
  Tensor result = empty({}, DType::Int64);
  *result.as<std::int64_t>() = value;
  result.impl()->wrapped_number = true;
  return result;
}
Tensor Tensor::wrapped(bool value) {
  Tensor result = empty({}, DType::Bool);
  *result.as<bool>() = value;
  result.impl()->wrapped_number = true;
  return result;
}

Tensor Tensor::wrapped(Complex<double> value) {
  Tensor result = empty({}, DType::Complex128);
  *result.as<Complex<double>>() = value;
  result.impl()->wrapped_number = true;
  return result;
}

Tensor Tensor::alias(Dims sizes, Dims strides, std::int64_t offset) const {
  check_sizes(sizes, "view");
  const std::int64_t reach = extent(sizes, strides);
  const auto available = static_cast<std::int64_t>(impl_->storage->nbytes()) / itemsize(impl_->dtype);
  FASTNN_CHECK(offset >= 0 && (reach == 0 || reach <= available - offset), ErrorKind::Runtime, "setStorage: sizes ",
               sizes, ", strides ", strides, ", storage offset ", offset, " and itemsize ", itemsize(impl_->dtype),
               " are out of bounds for storage of size ", impl_->storage->nbytes());
  auto impl = make_ref<TensorImpl>();
  impl->storage = impl_->storage;
  impl->own_version = impl_->own_version;
  impl->offset = offset;
  impl->dtype = impl_->dtype;
  impl->inference = impl_->inference;
  impl->set_geometry(std::move(sizes), std::move(strides));
  return Tensor(std::move(impl));
}

Tensor Tensor::detached() const {
  auto impl = make_ref<TensorImpl>();
  impl->storage = impl_->storage;
  impl->own_version = impl_->own_version;
  impl->offset = impl_->offset;
  impl->dtype = impl_->dtype;
  impl->inference = impl_->inference;
  impl->wrapped_number = impl_->wrapped_number;
  impl->sizes = impl_->sizes;
  impl->strides = impl_->strides;
  impl->numel = impl_->numel;
  impl->contiguous = impl_->contiguous;
  return Tensor(std::move(impl));
}

namespace {
void check_one_element(const Tensor& tensor) {
  FASTNN_CHECK(tensor.numel() == 1, ErrorKind::Runtime, "a Tensor with ", tensor.numel(),
               " elements cannot be converted to Scalar");
}
template <class R>
R item_as(const Tensor& tensor) {
  check_one_element(tensor);
  return visit_any_dtype(tensor.dtype(), [&]<class T>() {
    if constexpr (is_complex_type<T>) {
      FASTNN_CHECK(tensor.as<T>()->im == 0, ErrorKind::Runtime, "value cannot be converted to type ",
                   std::is_integral_v<R> ? "int64_t" : "double", " without overflow");
      return static_cast<R>(tensor.as<T>()->re);
    } else {
      return static_cast<R>(*tensor.as<T>());
    }
  });
}
}  // namespace

Scalar item(const Tensor& tensor) {
  check_one_element(tensor);
  return visit_any_dtype(tensor.dtype(), [&]<class T>() {
    const T value = *tensor.as<T>();
    if constexpr (is_complex_type<T>) {
      return Scalar(Complex<double>(value));
    } else if constexpr (std::is_same_v<T, bool>) {
      return Scalar(value);
    } else if constexpr (std::is_integral_v<T>) {
      return Scalar(static_cast<std::int64_t>(value));
    } else {
      return Scalar(static_cast<double>(value));
    }
  });
}

double Tensor::item_double() const { return item_as<double>(*this); }
std::int64_t Tensor::item_int() const { return item_as<std::int64_t>(*this); }

namespace {
// Dimensions from the outermost in memory to the innermost; equal strides keep their order.
std::vector<int> memory_order(IntSpan sizes, IntSpan strides) {
  std::vector<int> order(sizes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return strides[static_cast<std::size_t>(a)] > strides[static_cast<std::size_t>(b)];
  });
  return order;
}
}  // namespace

bool is_dense(IntSpan sizes, IntSpan strides) {
  std::int64_t expected = 1;
  const std::vector<int> order = memory_order(sizes, strides);
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    const auto dim = static_cast<std::size_t>(*it);
    if (sizes[dim] == 0) return true;
    if (sizes[dim] == 1) continue;
    if (strides[dim] != expected) return false;
    expected *= sizes[dim];
  }
  return true;
}

Dims dense_strides_like(IntSpan sizes, IntSpan strides) {
  if (!is_dense(sizes, strides)) {
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      // Expanded or overlapping: there is no order to keep.
      if (strides[i] == 0 && sizes[i] > 1) return contiguous_strides(sizes);
    }
  }
  Dims result;
  result.resize(static_cast<int>(sizes.size()));
  std::int64_t step = 1;
  const std::vector<int> order = memory_order(sizes, strides);
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    result[*it] = step;
    step *= std::max<std::int64_t>(sizes[static_cast<std::size_t>(*it)], 1);
  }
  return result;
}

std::optional<Dims> view_strides(IntSpan old_sizes, IntSpan old_strides, IntSpan new_sizes) {
  if (product(old_sizes) == 0) {
    if (std::equal(old_sizes.begin(), old_sizes.end(), new_sizes.begin(), new_sizes.end())) return Dims(old_strides);
    return contiguous_strides(new_sizes);
  }
  Dims result;
  result.resize(static_cast<int>(new_sizes.size()));
  int next = static_cast<int>(new_sizes.size()) - 1;
  // Walk runs of old dimensions that are contiguous with one another, and cut each run into new dimensions.
  std::int64_t run = 1;  // elements of the current run
  std::int64_t unit = old_strides.empty() ? 1 : old_strides.back();
  for (int old = static_cast<int>(old_sizes.size()) - 1; old >= 0; --old) {
    const auto at = static_cast<std::size_t>(old);
    run *= old_sizes[at];
    const bool ends = old == 0 || (old_sizes[at - 1] != 1 && old_strides[at - 1] != run * unit);
    if (!ends) continue;
    std::int64_t taken = 1;
    while (next >= 0 && (taken < run || new_sizes[static_cast<std::size_t>(next)] == 1)) {
      result[next] = taken * unit;
      taken *= new_sizes[static_cast<std::size_t>(next)];
      --next;
    }
    if (taken != run) return std::nullopt;
    if (old > 0) {
      unit = old_strides[at - 1];
      run = 1;
    }
  }
  for (; next >= 0; --next) {
    if (new_sizes[static_cast<std::size_t>(next)] != 1) return std::nullopt;
    result[next] = next + 1 < static_cast<int>(new_sizes.size())
                       ? result[next + 1] * new_sizes[static_cast<std::size_t>(next + 1)]
                       : 1;
  }
  return result;
}

Tensor Scalar::wrapped() const {
  switch (kind) {
    case Kind::Bool:
      return Tensor::wrapped(i != 0);
    case Kind::Int:
      return Tensor::wrapped(i);
    case Kind::Float:
      return Tensor::wrapped(d);
    case Kind::Complex:
      return Tensor::wrapped(to_complex());
  }
  fail("unknown kind of number");
}

namespace {
void merge(std::optional<DType>& slot, DType dtype) { slot = slot ? promote(*slot, dtype) : dtype; }

// A lower class of operands counts only where its category (bool, integer, float, complex) is higher.
int category(DType dtype) { return is_complex(dtype) ? 3 : is_floating(dtype) ? 2 : dtype == DType::Bool ? 0 : 1; }
}  // namespace

void TypePromotion::add(const Tensor& tensor) {
  const DType dtype = tensor.dtype();
  if (tensor.impl()->wrapped_number) {
    merge(number_, is_floating(dtype) ? default_dtype() : is_complex(dtype) ? to_complex(default_dtype()) : dtype);
  } else {
    merge(tensor.ndim() == 0 ? zero_dim_ : dimensioned_, dtype);
  }
}

void TypePromotion::add(const Scalar& scalar) { merge(number_, scalar.dtype()); }

DType TypePromotion::result() const {
  std::optional<DType> result;
  for (const auto& next : {dimensioned_, zero_dim_, number_}) {
    if (!next) continue;
    if (!result) {
      result = next;
    } else if (category(*next) > category(*result)) {
      // Floats become complex at the precision that they have.
      result = is_complex(*next) && is_floating(*result) ? to_complex(*result) : promote(*result, *next);
    }
  }
  return result.value_or(default_dtype());
}

DType result_type(const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype() && !a.impl()->wrapped_number && !b.impl()->wrapped_number) return a.dtype();
  TypePromotion promotion;
  promotion.add(a);
  promotion.add(b);
  return promotion.result();
}

}  // namespace fastnn
