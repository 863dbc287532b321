#include "autograd/record.h"

namespace fastnn {

bool SavedBytes::counting = false;
std::int64_t SavedBytes::live = 0;

namespace {
std::int64_t nbytes(const Tensor& tensor) { return tensor.numel() * itemsize(tensor.dtype()); }
}  // namespace

GradientOps& gradient_ops() {
  static GradientOps ops{};
  return ops;
}

Saved::Saved(const Tensor& tensor) {
  if (!tensor.defined()) return;
  FASTNN_CHECK(!(tensor.impl()->inference && grad_mode().enabled), ErrorKind::Runtime,
               "Inference tensors cannot be saved for backward. To work around you can make a clone to get a normal "
               "tensor and use it in autograd.");
  if (grad_mode().pack != nullptr) [[unlikely]] {
    packed_ = make_ref<Packed>(grad_mode().pack(tensor.detached()), gradient_edge(tensor));
    return;
  }
  tensor_ = tensor;
  version_ = tensor.impl()->version();
  if (SavedBytes::counting) {
    counted_ = true;
    SavedBytes::live += nbytes(tensor);
  }
}
Saved::Saved(Saved&& other) noexcept
    : tensor_(std::move(other.tensor_)),
      packed_(std::move(other.packed_)),
      version_(other.version_),
      counted_(std::exchange(other.counted_, false)) {}
Saved& Saved::operator=(Saved&& other) noexcept {
  std::swap(tensor_, other.tensor_);
  std::swap(packed_, other.packed_);
  std::swap(version_, other.version_);
  std::swap(counted_, other.counted_);
  return *this;
}
Saved::~Saved() {
  if (counted_) SavedBytes::live -= nbytes(tensor_);
}

namespace {
// The same values with another history.
Tensor attached(const Tensor& plain, const Edge& edge) {
  Tensor result = plain.detached();
  result.impl()->grad_fn = edge.node;
  result.impl()->output_number = edge.slot;
  return result;
}
}  // namespace

Tensor Saved::get() const {
  if (packed_) {
    const Tensor plain = packed_->data->unpack();
    return packed_->edge.node && grad_mode().enabled ? attached(plain, packed_->edge) : plain;
  }
  if (!tensor_.defined()) return tensor_;
  const std::uint32_t now = tensor_.impl()->version();
  FASTNN_CHECK(now == version_, ErrorKind::Runtime,
               "one of the variables needed for gradient computation has been modified by an inplace operation: [",
               tensor_.dtype(), " of shape ", tensor_.sizes(), "], needed by ",
               current_node() ? current_node()->name() : "the backward pass", ", is at version ", now,
               "; expected version ", version_,
               " instead. Hint: enable anomaly detection to find the operation that failed to compute its gradient, "
               "with torch.autograd.set_detect_anomaly(True).");
  return tensor_;
}

Tensor SavedOutput::get() const {
  const Tensor plain = saved_.get();
  if (!grad_mode().enabled || current_node() == nullptr) return plain;
  return attached(plain, {Ref<Node>(current_node()), slot_});
}

void fail_released(const Node& node) {
  fail(ErrorKind::Runtime,
       "Trying to backward through the graph a second time (or directly access saved tensors after "
       "they have already been freed), at ",
       node.name(),
       ". Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
       "retain_graph=True if you need to backward through the graph a second time or if you need to access saved "
       "tensors after calling backward.");
}

void set_history(const Tensor& output, const Ref<Node>& node, std::uint32_t slot) {
  TensorImpl& impl = *output.impl();
  impl.grad_fn = node;
  impl.output_number = slot;
  impl.requires_grad = false;
}

Tensor make_view(const Tensor& self, Dims sizes, Dims strides, std::int64_t offset) {
  Tensor view = self.alias(std::move(sizes), std::move(strides), offset);
  const GradMode& mode = grad_mode();
  TensorImpl& impl = *view.impl();
  if (mode.inference || impl.inference) return view;
  impl.base = self.impl()->base ? self.impl()->base : self.ref();
  impl.view_version = impl.version();
  impl.view_origin = mode.enabled ? self.impl()->view_origin : ViewOrigin::NoGrad;
  return view;
}

Tensor make_view_of(const Tensor& self, DType dtype, Dims sizes, Dims strides, std::int64_t offset) {
  Tensor view = make_view(self, self.sizes(), self.strides(), self.storage_offset());
  TensorImpl& impl = *view.impl();
  impl.dtype = dtype;
  impl.offset = offset;
  impl.set_geometry(std::move(sizes), std::move(strides));
  return view;
}

void check_in_place(const Tensor& self, const char* op) {
  TensorImpl& impl = *self.impl();
  FASTNN_CHECK(impl.storage->writable(), ErrorKind::Runtime, op, ": the memory of this tensor is read-only");
  const GradMode& mode = grad_mode();
  FASTNN_CHECK(!impl.inference || mode.inference, ErrorKind::Runtime,
               "Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to get a "
               "normal tensor before doing inplace update.");
  if (!mode.enabled) return;
  if (impl.base) {
    const Tensor base(impl.base);
    if (!tracks_view(self)) return;
    FASTNN_CHECK(!(base.impl()->requires_grad && is_leaf(base)), ErrorKind::Runtime,
                 "a view of a leaf Variable that requires grad is being used in an in-place operation.");
    FASTNN_CHECK(impl.view_origin != ViewOrigin::MultiOutput, ErrorKind::Runtime, op,
                 ": Output of a function that returns multiple views is being modified inplace. This is not allowed. "
                 "You should replace the inplace operation by an out-of-place one.");
    FASTNN_CHECK(
        impl.view_origin != ViewOrigin::NoGrad, ErrorKind::Runtime, op,
        ": A view was created in no_grad mode and is being modified inplace with grad mode enabled. Given that "
        "this use case is ambiguous and error-prone, it is forbidden. Replace the inplace operation by an "
        "out-of-place one, or move both inside (or outside) the no_grad block.");
    return;
  }
  FASTNN_CHECK(!(impl.requires_grad && is_leaf(self)), ErrorKind::Runtime,
               "a leaf Variable that requires grad is being used in an in-place operation.");
}

Tensor before_write(const Tensor& self) {
  const Edge edge = gradient_edge(self);
  Tensor old = self.detached();
  if (edge.node) {
    old.impl()->grad_fn = edge.node;
    old.impl()->output_number = edge.slot;
  }
  return old;
}

namespace {

// In-place write to a view, seen from its base: the part of the gradient under the view goes through the operation.
class CopySlices final : public Node {
 public:
  CopySlices(const Tensor& base, const Tensor& view, Ref<Node> function)
      : Node("torch::autograd::CopySlices"),
        base_(base.detached()),
        view_(view.detached()),
        function_(std::move(function)) {
    edges.push_back(gradient_edge(base));
    for (std::size_t i = 1; i < function_->edges.size(); ++i) edges.push_back(function_->edges[i]);
  }

  void apply(std::span<const Tensor> gradients, Slots& result) override {
    if (!function_) fail_released(*this);
    if (!gradients[0].defined()) return;
    const GradientOps& ops = gradient_ops();
    const Tensor whole = ops.clone_like_base(gradients[0], base_);
    const Tensor slice = ops.slice_like_view(whole, base_, view_);
    std::vector<Tensor> inner(function_->edges.size());
    Slots inner_slots(*function_, inner);
    const Tensor incoming = ops.clone(slice);
    current_node() = function_.get();
    function_->apply({&incoming, 1}, inner_slots);
    current_node() = this;
    if (result.wants(0)) {
      ops.copy_into(slice, inner.empty() ? Tensor() : inner[0]);
      result[0] = whole;
    }
    for (std::size_t i = 1; i < inner.size(); ++i) result[i] = inner[i];
  }
  void release_saved() override { function_.reset(); }

 private:
  Tensor base_;  // geometry only
  Tensor view_;
  Ref<Node> function_;
};

}  // namespace

void adopt_history(const Tensor& self, const Tensor& result) {
  TensorImpl& impl = *self.impl();
  if (!grad_mode().enabled || !result.defined() || !result.impl()->grad_fn) return;
  const Ref<Node> function(static_cast<Node*>(result.impl()->grad_fn.get()));
  if (!impl.base) {
    set_history(self, function, result.impl()->output_number);
    return;
  }
  const Tensor base(impl.base);
  set_history(base, make_ref<CopySlices>(base, self, function));
  // The view's own function is made anew from the base when it is asked for (its version is stale now).
}

}  // namespace fastnn
