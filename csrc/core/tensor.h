// Tensor: a shared, strided, typed view of a storage, with its place in the autograd graph.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "core/dims.h"
#include "core/dtype.h"
#include "core/storage.h"
#include "core/view.h"

namespace fastnn {

// What the autograd room hangs on a tensor; here only so that it can be owned.
class GraphNode : public RefCounted {};
struct TensorExtras {
  virtual ~TensorExtras() = default;
};

// How a view came about, which decides whether it may be written in place while gradients are recorded.
enum class ViewOrigin : std::uint8_t { Plain, MultiOutput, NoGrad };

class TensorImpl final : public RefCounted {
 public:
  Ref<Storage> storage;
  std::int64_t offset = 0;  // in elements
  Dims sizes;
  Dims strides;
  std::int64_t numel = 1;
  DType dtype = DType::Float32;
  bool contiguous = true;
  bool requires_grad = false;   // a leaf that wants its gradient
  bool wrapped_number = false;  // made from a Python number: weaker in type promotion
  bool inference = false;       // made in inference mode
  ViewOrigin view_origin = ViewOrigin::Plain;
  std::uint32_t output_number = 0;  // which output of grad_fn
  std::uint32_t view_version = 0;   // version of the storage at which grad_fn of a view was made
  Ref<GraphNode> grad_fn;
  Ref<TensorImpl> base;                  // of a differentiable view
  Ref<VersionCounter> own_version;       // instead of the storage's, for `.data`
  std::unique_ptr<TensorExtras> extras;  // gradient, hooks
  void* python = nullptr;                // the PyObject, borrowed unless owns_python
  bool owns_python = false;

  std::uint32_t& version() { return own_version ? own_version->value : storage->version; }
  void set_geometry(Dims new_sizes, Dims new_strides);
  ~TensorImpl() override;

  // Drops an owned Python object; set by the bindings.
  static void (*release_python)(void* object);
};

class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(Ref<TensorImpl> impl) : impl_(std::move(impl)) {}
  explicit Tensor(TensorImpl* impl) : impl_(impl) {}

  // Uninitialised memory, contiguous or with the given strides.
  static Tensor empty(IntSpan sizes, DType dtype);
  static Tensor empty_strided(IntSpan sizes, IntSpan strides, DType dtype);
  // The same geometry in memory order as `like` when it is dense, else contiguous (PyTorch's preserve_format).
  static Tensor empty_like(const Tensor& like, DType dtype);
  static Tensor full(IntSpan sizes, double value, DType dtype);
  // A 0-d tensor that promotes like a Python number.
  static Tensor wrapped(double value);
  static Tensor wrapped(std::int64_t value);
  static Tensor wrapped(bool value);
  static Tensor wrapped(Complex<double> value);

  bool defined() const { return static_cast<bool>(impl_); }
  TensorImpl* impl() const { return impl_.get(); }
  const Ref<TensorImpl>& ref() const { return impl_; }
  bool is_same(const Tensor& other) const { return impl_ == other.impl_; }

  const Dims& sizes() const { return impl_->sizes; }
  const Dims& strides() const { return impl_->strides; }
  std::int64_t size(std::int64_t dim) const { return impl_->sizes[wrap_dim(dim, ndim(), "size")]; }
  std::int64_t stride(std::int64_t dim) const { return impl_->strides[wrap_dim(dim, ndim(), "stride")]; }
  int ndim() const { return impl_->sizes.size(); }
  std::int64_t numel() const { return impl_->numel; }
  DType dtype() const { return impl_->dtype; }
  std::int64_t storage_offset() const { return impl_->offset; }
  const Ref<Storage>& storage() const { return impl_->storage; }
  bool is_contiguous() const { return impl_->contiguous; }
  bool is_floating() const { return fastnn::is_floating(impl_->dtype); }
  bool is_complex() const { return fastnn::is_complex(impl_->dtype); }
  bool is_differentiable() const { return fastnn::is_differentiable(impl_->dtype); }
  bool requires_grad() const { return impl_->requires_grad || impl_->grad_fn; }

  void* data() const { return static_cast<char*>(impl_->storage->data()) + impl_->offset * itemsize(impl_->dtype); }
  template <class T>
  T* as() const {
    return static_cast<T*>(data());
  }
  View view() const { return {data(), impl_->dtype, impl_->sizes.size(), impl_->sizes.data(), impl_->strides.data()}; }

  // A new tensor over the same memory with another geometry; no autograd history. Checks the bounds of the storage.
  Tensor alias(Dims sizes, Dims strides, std::int64_t offset) const;
  // The same geometry, no history, version shared.
  Tensor detached() const;

  // The value of a one-element tensor; that of a complex one must be real.
  double item_double() const;
  std::int64_t item_int() const;

 private:
  Ref<TensorImpl> impl_;
};

using TensorList = std::span<const Tensor>;

// Whether this thread makes tensors that never take part in a graph (inference mode).
bool& makes_inference_tensors();

// Whether every element has its own place and there are no gaps, in some order of dimensions.
bool is_dense(IntSpan sizes, IntSpan strides);
// Strides of a dense tensor with the order of dimensions of the given ones.
Dims dense_strides_like(IntSpan sizes, IntSpan strides);
// Strides with which `sizes` views the same elements, if there are any (the rule behind `view`).
std::optional<Dims> view_strides(IntSpan old_sizes, IntSpan old_strides, IntSpan new_sizes);

// A Python number.
struct Scalar {
  enum class Kind : std::uint8_t { Bool, Int, Float, Complex };
  Kind kind = Kind::Int;
  union {
    std::int64_t i;
    double d;  // the real part of a complex number
  };
  double imag = 0;

  Scalar() : i(0) {}
  Scalar(bool value) : kind(Kind::Bool), i(value) {}
  Scalar(int value) : i(value) {}
  Scalar(std::int64_t value) : i(value) {}
  Scalar(double value) : kind(Kind::Float), d(value) {}
  Scalar(fastnn::Complex<double> value) : kind(Kind::Complex), d(value.re), imag(value.im) {}

  bool is_float() const { return kind == Kind::Float; }
  bool is_complex() const { return kind == Kind::Complex; }
  // Of the real part.
  double to_double() const { return kind >= Kind::Float ? d : static_cast<double>(i); }
  std::int64_t to_int() const { return kind >= Kind::Float ? static_cast<std::int64_t>(d) : i; }
  fastnn::Complex<double> to_complex() const { return {to_double(), imag}; }
  DType dtype() const {
    switch (kind) {
      case Kind::Bool:
        return DType::Bool;
      case Kind::Int:
        return DType::Int64;
      case Kind::Float:
        return default_dtype();
      case Kind::Complex:
        return fastnn::to_complex(default_dtype());
    }
    return DType::Int64;
  }
  Tensor wrapped() const;
};

// The value of a one-element tensor, of whatever kind.
Scalar item(const Tensor& tensor);

// PyTorch's result_type: dimensioned tensors before 0-d tensors before numbers.
class TypePromotion {
 public:
  void add(const Tensor& tensor);
  void add(const Scalar& scalar);
  DType result() const;

 private:
  std::optional<DType> dimensioned_;
  std::optional<DType> zero_dim_;
  std::optional<DType> number_;
};
DType result_type(const Tensor& a, const Tensor& b);

}  // namespace fastnn
