// The backward graph: nodes, the edges between them, and what they may keep.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace fastnn {

class Node;

// Where a gradient goes: input number `slot` of `node` (that is, output number `slot` of the forward operation).
struct Edge {
  Ref<Node> node;
  std::uint32_t slot = 0;
};

// Edges of one node: most have at most three.
class EdgeList {
 public:
  void push_back(Edge edge) {
    if (count_ < kInline) {
      inline_[count_] = std::move(edge);
    } else {
      rest_.push_back(std::move(edge));
    }
    ++count_;
  }
  std::size_t size() const { return count_; }
  Edge& operator[](std::size_t i) { return i < kInline ? inline_[i] : rest_[i - kInline]; }
  const Edge& operator[](std::size_t i) const { return i < kInline ? inline_[i] : rest_[i - kInline]; }

 private:
  static constexpr std::size_t kInline = 3;
  std::array<Edge, kInline> inline_;
  std::vector<Edge> rest_;
  std::size_t count_ = 0;
};

// Called with the gradient of one tensor; returns a replacement or an undefined tensor.
class TensorHook : public RefCounted {
 public:
  virtual Tensor call(const Tensor& gradient) = 0;
};
// Called after (or before) a node ran, with the gradients of its inputs and outputs; may edit the first.
class NodeHook : public RefCounted {
 public:
  virtual void call(std::vector<Tensor>& edited, std::span<const Tensor> other) = 0;
};

struct NodeHooks {
  struct OfOutput {
    std::uint32_t slot;
    Ref<TensorHook> hook;
  };
  struct Retained {
    std::uint32_t slot;
    TensorImpl* tensor;  // unregisters itself when it dies
  };
  std::vector<OfOutput> tensor_hooks;
  std::vector<Retained> retained;
  std::vector<Ref<NodeHook>> pre_hooks;
  std::vector<Ref<NodeHook>> post_hooks;
  std::string forward_trace;  // anomaly mode: where the forward ran
  Ref<RefCounted> metadata;   // a dictionary of the bindings
};

// The gradients that a node computes, one per edge.
class Slots {
 public:
  Slots(const Node& node, std::vector<Tensor>& values) : node_(node), values_(values) {}
  // Whether anybody wants the gradient of input `i`: formulas ask before they compute.
  bool wants(std::size_t i) const;
  Tensor& operator[](std::size_t i) { return values_[i]; }
  std::size_t size() const { return values_.size(); }

 private:
  const Node& node_;
  std::vector<Tensor>& values_;
};

class Node : public GraphNode {
 public:
  explicit Node(const char* name);
  ~Node() override;

  const char* name() const { return name_; }
  void rename(const char* name) { name_ = name; }
  EdgeList edges;
  std::uint64_t sequence;  // later nodes run first
  std::uint32_t outputs = 1;
  std::unique_ptr<NodeHooks> hooks;
  void* python = nullptr;  // the PyObject of a Python-defined node, owned by its subclass

  NodeHooks& ensure_hooks() {
    if (!hooks) hooks = std::make_unique<NodeHooks>();
    return *hooks;
  }

  // From the gradients of the outputs (undefined where there is none) to those of the inputs.
  virtual void apply(std::span<const Tensor> gradients, Slots& result) = 0;
  // Drops what was saved; applying again is an error.
  virtual void release_saved() {}
  // The leaf that this node accumulates into, if it does.
  virtual TensorImpl* variable() const { return nullptr; }

  // Scratch of the engine for the task that is running.
  struct TaskState {
    std::uint64_t task = 0;
    std::uint32_t dependencies = 0;
    bool needed = true;
    std::vector<Tensor> gradients;
  };
  TaskState state;

 protected:
  const char* name_;
  void destroy() override;  // iterative, so that long chains do not overflow the stack
};

// What a pack hook made of a tensor that a node saves.
class PackedTensor : public RefCounted {
 public:
  virtual Tensor unpack() const = 0;
};

// Thread-local modes.
struct GradMode {
  Ref<PackedTensor> (*pack)(const Tensor& tensor) = nullptr;  // set while hooks on saved tensors are active
  bool enabled = true;
  bool inference = false;
  bool anomaly = false;
  bool anomaly_check_nan = true;
};
GradMode& grad_mode();
class GradModeGuard {
 public:
  explicit GradModeGuard(bool enabled) : before_(grad_mode().enabled) { grad_mode().enabled = enabled; }
  ~GradModeGuard() { grad_mode().enabled = before_; }
  GradModeGuard(const GradModeGuard&) = delete;
  GradModeGuard& operator=(const GradModeGuard&) = delete;

 private:
  bool before_;
};

// What autograd keeps for a tensor beyond the fields of TensorImpl.
struct AutogradExtras final : TensorExtras {
  explicit AutogradExtras(TensorImpl* of) : owner(of) {}
  ~AutogradExtras() override;

  TensorImpl* owner;
  Tensor gradient;
  Node* accumulator = nullptr;  // lives in the graph; clears this when it dies
  bool retains_gradient = false;
  Node* retained_by = nullptr;
  std::vector<Ref<TensorHook>> leaf_hooks;
  std::vector<Ref<TensorHook>> post_accumulate_hooks;  // called with the leaf itself
};
AutogradExtras& extras(TensorImpl& impl);
AutogradExtras* extras_or_null(const TensorImpl& impl);

inline bool is_leaf(const Tensor& tensor) { return !tensor.impl()->grad_fn; }
// The function of a tensor, made anew for a view whose base was written in place.
Ref<Node> grad_fn(const Tensor& tensor);
// Where the gradient of a tensor goes; no node when it needs none.
Edge gradient_edge(const Tensor& tensor);

// Anomaly mode: text of the Python stack at the forward call; set by the bindings.
extern std::string (*capture_forward_trace)();
// The node that the engine is running in this thread, for error messages and saved outputs.
Node*& current_node();

}  // namespace fastnn
