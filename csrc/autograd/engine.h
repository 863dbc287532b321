// Runs the backward graph.
#pragma once

#include <span>
#include <vector>

#include "autograd/node.h"

namespace fastnn {

struct BackwardOptions {
  bool retain_graph = false;
  bool create_graph = false;
  // Leaves or other tensors whose gradients are wanted; empty means all leaves.
  std::span<const Tensor> inputs;
  // Return the gradients of `inputs` instead of adding them to `.grad`.
  bool capture = false;
};

// Gradients of `roots` weighted by `gradients`. With `capture`, one result per input (undefined where there is none).
std::vector<Tensor> run_backward(std::span<const Tensor> roots, std::span<const Tensor> gradients,
                                 const BackwardOptions& options);

// Called between nodes, so that Ctrl-C works in a long backward pass; set by the bindings, may throw.
extern void (*check_interrupt)();
// Called with the node and its forward trace when a node fails in anomaly mode.
extern void (*report_anomaly)(const Node& node);
// The number of the backward pass that this thread is in; 0 outside of any.
std::uint64_t current_task();
// Whether the current backward pass adds to the gradients of all leaves that it reaches.
bool task_is_full();
// Whether the current backward pass runs this node, now or later.
bool will_run(const Node& node);
// Number of nodes that the engine has run in this process, for tests.
std::uint64_t nodes_run();

}  // namespace fastnn
