#include "autograd/node.h"

#include "autograd/record.h"

namespace fastnn {

std::string (*capture_forward_trace)() = nullptr;

namespace {
std::atomic<std::uint64_t> g_sequence{1};
thread_local GradMode t_grad_mode;
thread_local Node* t_current = nullptr;
thread_local std::vector<Node*>* t_dying = nullptr;
}  // namespace

GradMode& grad_mode() { return t_grad_mode; }
Node*& current_node() { return t_current; }

Node::Node(const char* name) : sequence(g_sequence.fetch_add(1, std::memory_order_relaxed)), name_(name) {
  if (t_grad_mode.anomaly && capture_forward_trace != nullptr) ensure_hooks().forward_trace = capture_forward_trace();
}

Node::~Node() {
  if (!hooks) return;
  for (const auto& retained : hooks->retained) {
    if (AutogradExtras* extra = extras_or_null(*retained.tensor)) extra->retained_by = nullptr;
  }
}

// Deleting a node releases the nodes behind it. The first deletion of a thread works through a list; those that it
// causes only add to it.
void Node::destroy() {
  if (t_dying != nullptr) {
    t_dying->push_back(this);
    return;
  }
  std::vector<Node*> dying;
  t_dying = &dying;
  delete this;
  while (!dying.empty()) {
    Node* next = dying.back();
    dying.pop_back();
    delete next;
  }
  t_dying = nullptr;
}

AutogradExtras::~AutogradExtras() {
  if (retained_by != nullptr && retained_by->hooks) {
    std::erase_if(retained_by->hooks->retained, [this](const auto& entry) { return entry.tensor == owner; });
  }
}

AutogradExtras* extras_or_null(const TensorImpl& impl) { return static_cast<AutogradExtras*>(impl.extras.get()); }

AutogradExtras& extras(TensorImpl& impl) {
  if (!impl.extras) impl.extras = std::make_unique<AutogradExtras>(&impl);
  return *extras_or_null(impl);
}

namespace {

// Adds the incoming gradient to that of a leaf.
class AccumulateGrad final : public Node {
 public:
  explicit AccumulateGrad(Ref<TensorImpl> leaf) : Node("torch::autograd::AccumulateGrad"), leaf_(std::move(leaf)) {
    sequence = ~std::uint64_t{0};  // as soon as the gradient is complete, so that it is not held longer than needed
  }
  ~AccumulateGrad() override {
    if (AutogradExtras* extra = extras_or_null(*leaf_)) extra->accumulator = nullptr;
  }

  TensorImpl* variable() const override { return leaf_.get(); }

  void apply(std::span<const Tensor> gradients, Slots&) override {
    Tensor gradient = gradients[0];
    if (!gradient.defined()) return;
    AutogradExtras& extra = extras(*leaf_);
    for (std::size_t i = 0; i < extra.leaf_hooks.size(); ++i) {
      const Ref<TensorHook> hook = extra.leaf_hooks[i];
      if (Tensor replaced = hook->call(gradient); replaced.defined()) gradient = std::move(replaced);
    }
    FASTNN_CHECK(gradient.sizes() == leaf_->sizes, ErrorKind::Runtime, "backward: the gradient of a leaf has shape ",
                 gradient.sizes(), " but the leaf has shape ", leaf_->sizes);
    accumulate(Tensor(leaf_), extra, std::move(gradient));
    for (std::size_t i = 0; i < extra.post_accumulate_hooks.size(); ++i) {
      const Ref<TensorHook> hook = extra.post_accumulate_hooks[i];
      hook->call(Tensor(leaf_));
    }
  }

 private:
  static void accumulate(const Tensor& leaf, AutogradExtras& extra, Tensor gradient) {
    const GradientOps& ops = gradient_ops();
    if (!extra.gradient.defined()) {
      // The tensor may be in use elsewhere in the graph or by the user: take it only when nobody else can see it.
      const bool in_order = leaf.is_contiguous();
      const bool same_order = in_order ? gradient.is_contiguous() : gradient.strides() == leaf.strides();
      const bool sole = gradient.impl()->use_count() <= 2 && gradient.storage()->use_count() == 1 &&
                        !gradient.requires_grad() && same_order;
      extra.gradient = sole                     ? std::move(gradient)
                       : in_order || same_order ? ops.clone(gradient)
                                                : ops.clone_like_base(gradient, leaf);
    } else if (grad_mode().enabled) {
      extra.gradient = ops.add(extra.gradient, gradient);
    } else {
      ops.add_in_place(extra.gradient, gradient);
    }
  }

  Ref<TensorImpl> leaf_;
};

Ref<Node> accumulator_of(const Tensor& leaf) {
  AutogradExtras& extra = extras(*leaf.impl());
  if (extra.accumulator != nullptr) return Ref<Node>(extra.accumulator);
  auto node = make_ref<AccumulateGrad>(leaf.ref());
  extra.accumulator = node.get();
  return node;
}

}  // namespace

Ref<Node> grad_fn(const Tensor& tensor) {
  TensorImpl& impl = *tensor.impl();
  if (impl.base && impl.view_version != impl.version()) {
    // The memory was written since this view got its function: what it shows now is a view of the base's new value.
    const Tensor base(impl.base);
    if (base.requires_grad()) {
      impl.grad_fn = gradient_ops().view_node(base, tensor);
      impl.output_number = 0;
      impl.requires_grad = false;
    }
    impl.view_version = impl.version();
  }
  return Ref<Node>(static_cast<Node*>(impl.grad_fn.get()));
}

Edge gradient_edge(const Tensor& tensor) {
  if (!tensor.defined()) return {};
  if (Ref<Node> node = grad_fn(tensor)) return {std::move(node), tensor.impl()->output_number};
  if (tensor.impl()->requires_grad) return {accumulator_of(tensor), 0};
  return {};
}

}  // namespace fastnn
