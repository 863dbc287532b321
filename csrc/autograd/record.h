// How an operation puts its derivative into the graph.
//
//   Tensor mul(const Tensor& a, const Tensor& b) {
//     Tensor out = launch(...);
//     if (needs_grad(a, b)) {
//       record("MulBackward0", out, {&a, &b}, [sa = save(a, b), sb = save(b, a)](const Tensor& g, Slots& d) {
//         if (d.wants(0)) d[0] = mul(g, sb.get());
//         if (d.wants(1)) d[1] = mul(g, sa.get());
//       });
//     }
//     return out;
//   }
#pragma once

#include <initializer_list>
#include <type_traits>
#include <utility>

#include "autograd/node.h"

namespace fastnn {

// The tensor algebra that the autograd room needs; filled by the ops room.
struct GradientOps {
  Tensor (*add)(const Tensor&, const Tensor&);
  void (*add_in_place)(Tensor&, const Tensor&);
  Tensor (*clone)(const Tensor&);
  // Sums a broadcast gradient to `sizes` and casts it to `dtype`.
  Tensor (*reduce_to)(const Tensor&, IntSpan sizes, DType dtype);
  Tensor (*ones_like)(const Tensor&);
  bool (*has_nan)(const Tensor&);
  // The function of a view, from its geometry in the base.
  Ref<Node> (*view_node)(const Tensor& base, const Tensor& view);
  // A copy of `gradient` in the geometry of `base`, and the part of it under `view`.
  Tensor (*clone_like_base)(const Tensor& gradient, const Tensor& base);
  Tensor (*slice_like_view)(const Tensor& whole, const Tensor& base, const Tensor& view);
  void (*copy_into)(const Tensor& target, const Tensor& source);
};
GradientOps& gradient_ops();

inline bool tracks(const Tensor& tensor) { return tensor.defined() && tensor.requires_grad(); }
// A view may have become part of the graph through its base.
inline bool tracks_view(const Tensor& tensor) {
  return tensor.defined() &&
         (tensor.requires_grad() || (tensor.impl()->base && Tensor(tensor.impl()->base).requires_grad()));
}

template <class... Tensors>
bool needs_grad(const Tensors&... tensors) {
  return grad_mode().enabled && (tracks_view(tensors) || ...);
}
inline bool needs_grad_any(TensorList tensors) {
  if (!grad_mode().enabled) return false;
  for (const Tensor& tensor : tensors) {
    if (tracks_view(tensor)) return true;
  }
  return false;
}

// Bytes kept alive by saved tensors, counted while a test asks for it.
struct SavedBytes {
  static bool counting;
  static std::int64_t live;
};

// An input kept for the backward pass, with the version it had, or what a pack hook made of it.
class Saved {
 public:
  Saved() = default;
  explicit Saved(const Tensor& tensor);
  Saved(Saved&& other) noexcept;
  Saved& operator=(Saved&& other) noexcept;
  ~Saved();
  bool defined() const { return tensor_.defined() || packed_; }
  // The tensor; an error when it was written in place since.
  Tensor get() const;

 private:
  // A tensor in the hands of hooks, and where the gradient of what they give back goes.
  struct Packed final : RefCounted {
    Packed(Ref<PackedTensor> from, Edge to) : data(std::move(from)), edge(std::move(to)) {}
    Ref<PackedTensor> data;
    Edge edge;
  };
  Tensor tensor_;
  Ref<Packed> packed_;
  std::uint32_t version_ = 0;
  bool counted_ = false;
};

// An output kept for the backward pass: without its history, which would be a cycle; it gets it back on unpacking.
class SavedOutput {
 public:
  SavedOutput() = default;
  explicit SavedOutput(const Tensor& output, std::uint32_t slot = 0) : saved_(output.detached()), slot_(slot) {}
  Tensor get() const;

 private:
  Saved saved_;
  std::uint32_t slot_ = 0;
};

inline Saved save(const Tensor& tensor) { return Saved(tensor); }
// Keeps `tensor` only if the gradient of `other`, which needs it, will be computed.
inline Saved save(const Tensor& tensor, const Tensor& other) { return tracks_view(other) ? Saved(tensor) : Saved(); }
inline SavedOutput save_output(const Tensor& output, std::uint32_t slot = 0) { return SavedOutput(output, slot); }

[[noreturn]] void fail_released(const Node& node);
// The task that the engine runs, if any, does not need this edge.
bool engine_wants(const Edge& edge);

// A node whose derivative is a function object: f(gradient, slots), or f(gradients, slots) with several outputs.
template <class F>
class FunctionNode final : public Node {
 public:
  FunctionNode(const char* name, F f) : Node(name), f_(std::move(f)) {}
  void apply(std::span<const Tensor> gradients, Slots& result) override {
    if (!f_) fail_released(*this);
    if constexpr (std::is_invocable_v<F&, const Tensor&, Slots&>) {
      if (gradients[0].defined()) (*f_)(gradients[0], result);
    } else {
      (*f_)(gradients, result);
    }
    if (shapes_) reduce(result);
  }
  void release_saved() override { f_.reset(); }

  struct InputShape {
    Dims sizes;
    DType dtype;
  };
  void reduce_to(std::vector<InputShape> shapes) {
    shapes_ = std::make_unique<std::vector<InputShape>>(std::move(shapes));
  }

 private:
  void reduce(Slots& result) {
    for (std::size_t i = 0; i < shapes_->size(); ++i) {
      if (!result[i].defined()) continue;
      const InputShape& shape = (*shapes_)[i];
      if (result[i].sizes() == shape.sizes && result[i].dtype() == shape.dtype) continue;
      result[i] = gradient_ops().reduce_to(result[i], shape.sizes, shape.dtype);
    }
  }

  std::optional<F> f_;
  std::unique_ptr<std::vector<InputShape>> shapes_;
};

using Inputs = std::initializer_list<const Tensor*>;

void set_history(const Tensor& output, const Ref<Node>& node, std::uint32_t slot = 0);

template <class F>
FunctionNode<F>* make_function_node(const char* name, F f) {
  return new FunctionNode<F>(name, std::move(f));
}

// Records `f` as the derivative of `output` with respect to `inputs` (undefined ones are allowed).
template <class F>
void record(const char* name, const Tensor& output, Inputs inputs, F f) {
  Ref<Node> node(make_function_node(name, std::move(f)));
  for (const Tensor* input : inputs) node->edges.push_back(gradient_edge(*input));
  set_history(output, node);
}

template <class F>
void record_list(const char* name, const Tensor& output, TensorList inputs, F f) {
  Ref<Node> node(make_function_node(name, std::move(f)));
  for (const Tensor& input : inputs) node->edges.push_back(gradient_edge(input));
  set_history(output, node);
}

// Several outputs; those that have no gradients (integers, bool) stay outside the graph.
template <class F>
void record_outputs(const char* name, std::initializer_list<const Tensor*> outputs, Inputs inputs, F f) {
  Ref<Node> node(make_function_node(name, std::move(f)));
  for (const Tensor* input : inputs) node->edges.push_back(gradient_edge(*input));
  node->outputs = static_cast<std::uint32_t>(outputs.size());
  std::uint32_t slot = 0;
  for (const Tensor* output : outputs) {
    if (output->is_differentiable()) set_history(*output, node, slot);
    ++slot;
  }
}
template <class F>
void record_outputs(const char* name, TensorList outputs, Inputs inputs, F f) {
  Ref<Node> node(make_function_node(name, std::move(f)));
  for (const Tensor* input : inputs) node->edges.push_back(gradient_edge(*input));
  node->outputs = static_cast<std::uint32_t>(outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) set_history(outputs[i], node, static_cast<std::uint32_t>(i));
}

// The same for an elementwise operation: gradients are summed to the inputs' shapes and cast to their dtypes.
template <class F>
void record_pointwise(const char* name, const Tensor& output, Inputs inputs, F f) {
  auto* raw = make_function_node(name, std::move(f));
  const Ref<Node> node(raw);
  bool same = true;
  for (const Tensor* input : inputs) {
    node->edges.push_back(gradient_edge(*input));
    same &= input->sizes() == output.sizes() && input->dtype() == output.dtype();
  }
  if (!same) {
    std::vector<typename FunctionNode<F>::InputShape> shapes;
    for (const Tensor* input : inputs) shapes.push_back({input->sizes(), input->dtype()});
    raw->reduce_to(std::move(shapes));
  }
  set_history(output, node);
}

// --- views and in-place writes -----------------------------------------------------------------------------------

// An alias of `self` that autograd knows as a view of it.
Tensor make_view(const Tensor& self, Dims sizes, Dims strides, std::int64_t offset);
// The same with elements of another type; the geometry is known to lie in the memory of `self`.
Tensor make_view_of(const Tensor& self, DType dtype, Dims sizes, Dims strides, std::int64_t offset);
// Throws where PyTorch forbids writing to `self` while gradients are recorded.
void check_in_place(const Tensor& self, const char* op);
// `self` as it was before an in-place write: the same memory, with its old history.
Tensor before_write(const Tensor& self);
inline void bump_version(const Tensor& tensor) { ++tensor.impl()->version(); }
// Gives `self` (and its base, if it is a view) the history of `result`, which was written into it.
void adopt_history(const Tensor& self, const Tensor& result);
// After a write: counts it and adopts the history.
inline void after_write(const Tensor& self, const Tensor& result) {
  bump_version(self);
  adopt_history(self, result);
}

}  // namespace fastnn
