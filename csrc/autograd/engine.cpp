#include "autograd/engine.h"

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "autograd/record.h"

namespace fastnn {

void (*check_interrupt)() = nullptr;
void (*report_anomaly)(const Node& node) = nullptr;

namespace {

std::atomic<std::uint64_t> g_tasks{0};
std::atomic<std::uint64_t> g_nodes_run{0};
thread_local std::uint64_t t_task = 0;
thread_local bool t_full = true;

struct LaterFirst {
  bool operator()(const Ref<Node>& a, const Ref<Node>& b) const { return a->sequence < b->sequence; }
};

class Task {
 public:
  Task(const BackwardOptions& options, bool restrict_to_inputs)
      : options_(options), id_(g_tasks.fetch_add(1) + 1), outer_(t_task), restricted_(restrict_to_inputs) {
    t_task = id_;
    t_full = !restricted_;
  }
  ~Task() {
    for (Node* node : touched_) node->state = {};
    for (auto& [node, state] : stashed_) node->state = std::move(state);
    t_task = outer_;
    t_full = outer_full_;
    current_node() = outer_node_;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  std::vector<Tensor> run(std::span<const Tensor> roots, std::span<const Tensor> gradients) {
    for (std::size_t i = 0; i < options_.inputs.size(); ++i) {
      const Edge edge = gradient_edge(options_.inputs[i]);
      if (edge.node) wanted_[edge.node.get()].push_back({edge.slot, i});
      held_.push_back(edge.node);
    }
    captured_.resize(options_.inputs.size());
    std::vector<Edge> root_edges;
    for (const Tensor& root : roots) root_edges.push_back(gradient_edge(root));
    count_dependencies(root_edges);
    for (std::size_t i = 0; i < root_edges.size(); ++i) {
      if (restricted_ && !root_edges[i].node->state.needed) continue;
      add_gradient(root_edges[i], gradients[i]);
    }
    for (const Edge& edge : root_edges) {
      Node& node = *edge.node;
      if (node.state.dependencies == 0 && !queued(node)) push(edge.node);
    }
    std::size_t steps = 0;
    while (!ready_.empty()) {
      std::pop_heap(ready_.begin(), ready_.end(), LaterFirst{});
      const Ref<Node> node = std::move(ready_.back());
      ready_.pop_back();
      step(*node);
      constexpr std::size_t kInterruptInterval = 64;
      if (++steps % kInterruptInterval == 0 && check_interrupt != nullptr) check_interrupt();
    }
    g_nodes_run.fetch_add(steps, std::memory_order_relaxed);
    return std::move(captured_);
  }

 private:
  struct Wanted {
    std::uint32_t slot;
    std::size_t index;
  };

  bool queued(const Node& node) const {
    return std::any_of(ready_.begin(), ready_.end(), [&](const Ref<Node>& other) { return other.get() == &node; });
  }

  // Claims a node for this task; a node that an outer task is using gets its state back at the end.
  bool claim(Node& node) {
    if (node.state.task == id_) return false;
    if (node.state.task != 0) {
      stashed_.emplace_back(&node, std::move(node.state));
      node.state = {};
    } else {
      touched_.push_back(&node);
    }
    node.state.task = id_;
    node.state.dependencies = 0;
    node.state.needed = !restricted_;
    // Keeps touched nodes alive until their scratch is cleared.
    alive_.push_back(Ref<Node>(&node));
    return true;
  }

  // Counts how many gradients each reachable node waits for, and puts the nodes in post-order: each one after all that
  // it leads to. (The order of creation would not do: the function of a view that was written to is made anew later
  // than the functions that use it.)
  void count_dependencies(const std::vector<Edge>& roots) {
    struct Visit {
      Node* node;
      std::size_t next_edge = 0;
    };
    std::vector<Visit> path;
    for (const Edge& root : roots) {
      if (claim(*root.node)) path.push_back({root.node.get()});
      while (!path.empty()) {
        Visit& visit = path.back();
        if (visit.next_edge == visit.node->edges.size()) {
          if (restricted_) mark_needed(*visit.node);
          path.pop_back();
          continue;
        }
        Node* next = visit.node->edges[visit.next_edge++].node.get();
        if (next == nullptr) continue;
        const bool first_time = claim(*next);
        ++next->state.dependencies;
        if (first_time) path.push_back({next});
      }
    }
  }

  // A node is needed when a wanted tensor can be reached from it; called in post-order.
  void mark_needed(Node& node) { node.state.needed = wanted_.contains(&node) || leads_on(node); }

  void add_gradient(const Edge& edge, const Tensor& gradient) {
    auto& buffer = edge.node->state.gradients;
    if (buffer.size() <= edge.slot) buffer.resize(std::max<std::size_t>(edge.slot + 1, edge.node->outputs));
    Tensor& sum = buffer[edge.slot];
    if (!sum.defined()) {
      sum = gradient;
    } else if (!grad_mode().enabled && sum.impl()->use_count() == 1 && sum.storage()->use_count() == 1 &&
               sum.sizes() == gradient.sizes() && sum.dtype() == gradient.dtype() && sum.is_contiguous()) {
      gradient_ops().add_in_place(sum, gradient);
    } else {
      sum = gradient_ops().add(sum, gradient);
    }
  }

  void push(Ref<Node> node) {
    ready_.push_back(std::move(node));
    std::push_heap(ready_.begin(), ready_.end(), LaterFirst{});
  }

  void capture(Node& node, std::span<const Tensor> gradients) {
    if (wanted_.empty() || !options_.capture) return;
    const auto found = wanted_.find(&node);
    if (found == wanted_.end()) return;
    for (const Wanted& wanted : found->second) {
      Tensor value = wanted.slot < gradients.size() ? gradients[wanted.slot] : Tensor();
      if (TensorImpl* leaf = node.variable(); leaf != nullptr && value.defined()) {
        for (const auto& hook : extras(*leaf).leaf_hooks) {
          if (Tensor replaced = hook->call(value); replaced.defined()) value = std::move(replaced);
        }
      }
      captured_[wanted.index] = std::move(value);
    }
  }

  void run_pre_hooks(Node& node, std::vector<Tensor>& gradients) {
    NodeHooks& hooks = *node.hooks;
    for (std::size_t i = 0; i < hooks.tensor_hooks.size(); ++i) {
      const auto [slot, hook] = hooks.tensor_hooks[i];
      if (slot >= gradients.size() || !gradients[slot].defined()) continue;
      if (Tensor replaced = hook->call(gradients[slot]); replaced.defined()) gradients[slot] = std::move(replaced);
    }
    for (const auto& hook : std::vector(hooks.pre_hooks)) hook->call(gradients, {});
    for (const auto& [slot, tensor] : hooks.retained) {
      if (slot >= gradients.size() || !gradients[slot].defined()) continue;
      Tensor& kept = extras(*tensor).gradient;
      kept = kept.defined() ? gradient_ops().add(kept, gradients[slot]) : gradients[slot];
    }
  }

  void step(Node& node) {
    std::vector<Tensor> gradients = std::move(node.state.gradients);
    node.state.gradients.clear();
    gradients.resize(std::max<std::size_t>(gradients.size(), node.outputs));
    const bool any = std::any_of(gradients.begin(), gradients.end(), [](const Tensor& t) { return t.defined(); });
    std::vector<Tensor> results(node.edges.size());
    if (any && node.state.needed) {
      current_node() = &node;
      if (node.hooks) run_pre_hooks(node, gradients);
      capture(node, gradients);
      const bool leaf = node.variable() != nullptr;
      const bool skip = (leaf && options_.capture) || (restricted_ && !leaf && !leads_on(node));
      if (!skip) apply(node, gradients, results);
      current_node() = outer_node_;
    }
    gradients.clear();
    if (!options_.retain_graph) node.release_saved();
    for (std::size_t i = 0; i < node.edges.size(); ++i) {
      const Edge& edge = node.edges[i];
      if (!edge.node) continue;
      if (results[i].defined() && edge.node->state.needed) add_gradient(edge, results[i]);
      results[i] = Tensor();
      if (--edge.node->state.dependencies == 0) push(edge.node);
    }
  }

  // Whether anything behind the node is needed (it may itself be what is wanted).
  bool leads_on(const Node& node) const {
    for (std::size_t i = 0; i < node.edges.size(); ++i) {
      const Node* next = node.edges[i].node.get();
      if (next != nullptr && next->state.needed) return true;
    }
    return false;
  }

  void apply(Node& node, std::vector<Tensor>& gradients, std::vector<Tensor>& results) {
    const bool anomaly = grad_mode().anomaly;
    try {
      Slots slots(node, results);
      node.apply(gradients, slots);
      if (node.hooks) {
        for (const auto& hook : std::vector(node.hooks->post_hooks)) hook->call(results, gradients);
      }
      if (anomaly && grad_mode().anomaly_check_nan) {
        for (std::size_t i = 0; i < results.size(); ++i) {
          FASTNN_CHECK(!results[i].defined() || !gradient_ops().has_nan(results[i]), ErrorKind::Runtime, "Function '",
                       node.name(), "' returned nan values in its ", i, "th output.");
        }
      }
    } catch (...) {
      if (anomaly && report_anomaly != nullptr) report_anomaly(node);
      throw;
    }
  }

  const BackwardOptions& options_;
  const std::uint64_t id_;
  const std::uint64_t outer_;
  const bool outer_full_ = t_full;
  Node* const outer_node_ = current_node();
  const bool restricted_;
  std::vector<Ref<Node>> alive_;
  std::vector<Node*> touched_;
  std::vector<std::pair<Node*, Node::TaskState>> stashed_;
  std::vector<Ref<Node>> ready_;
  std::vector<Ref<Node>> held_;
  std::unordered_map<const Node*, std::vector<Wanted>> wanted_;
  std::vector<Tensor> captured_;
};

}  // namespace

bool engine_wants(const Edge& edge) {
  return edge.node && (t_task == 0 || edge.node->state.task != t_task || edge.node->state.needed);
}

bool Slots::wants(std::size_t i) const { return engine_wants(node_.edges[i]); }

bool task_is_full() { return t_full; }
std::uint64_t current_task() { return t_task; }
bool will_run(const Node& node) { return t_task != 0 && node.state.task == t_task && node.state.needed; }

std::uint64_t nodes_run() { return g_nodes_run.load(); }

std::vector<Tensor> run_backward(std::span<const Tensor> roots, std::span<const Tensor> gradients,
                                 const BackwardOptions& options) {
  for (std::size_t i = 0; i < roots.size(); ++i) {
    FASTNN_CHECK(tracks_view(roots[i]), ErrorKind::Runtime, "element ", i,
                 " of tensors does not require grad and does not have a grad_fn");
  }
  const GradModeGuard mode(options.create_graph);
  Task task(options, !options.inputs.empty());
  return task.run(roots, gradients);
}

}  // namespace fastnn
