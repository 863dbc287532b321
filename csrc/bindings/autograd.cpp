// The backward graph from Python: running it, hooks, modes, custom functions.
#include <pybind11/stl.h>

#include <unordered_set>

#include "autograd/engine.h"
#include "autograd/record.h"
#include "bindings/modes.h"

namespace fastnn::python {

namespace {

// --- hooks -------------------------------------------------------------------------------------------------------

class PyTensorHook final : public TensorHook {
 public:
  explicit PyTensorHook(py::object callable) : function(std::move(callable)) {}
  ~PyTensorHook() override {
    const py::gil_scoped_acquire gil;
    function = py::object();
  }
  Tensor call(const Tensor& gradient) override {
    const py::gil_scoped_acquire gil;
    if (!function) return {};
    const py::object result = function(gradient);
    if (result.is_none()) return {};
    FASTNN_CHECK(is_tensor(result.ptr()), ErrorKind::Type, "expected hook to return None or a Tensor, but got '",
                 Py_TYPE(result.ptr())->tp_name, "'");
    return tensor_of(result.ptr());
  }
  py::object function;  // empty once removed
};

class PyNodeHook final : public NodeHook {
 public:
  PyNodeHook(py::object callable, bool before) : function(std::move(callable)), before_(before) {}
  ~PyNodeHook() override {
    const py::gil_scoped_acquire gil;
    function = py::object();
  }
  void call(std::vector<Tensor>& edited, std::span<const Tensor> other) override {
    const py::gil_scoped_acquire gil;
    if (!function) return;
    const py::object first = py::tuple(py::cast(edited));
    const py::object result =
        before_ ? function(first)
                : function(first, py::tuple(py::cast(std::vector<Tensor>(other.begin(), other.end()))));
    if (result.is_none()) return;
    const auto replaced = py::tuple(result.ptr() && PyTuple_Check(result.ptr()) ? result : py::make_tuple(result));
    FASTNN_CHECK(replaced.size() == edited.size(), ErrorKind::Runtime,
                 "hook has returned an incorrect number of values (got ", replaced.size(), ", but expected ",
                 edited.size(), ")");
    for (std::size_t i = 0; i < edited.size(); ++i) edited[i] = replaced[i].cast<Tensor>();
  }
  py::object function;

 private:
  bool before_;
};

// What register_*hook returns to Python: removal empties the hook where it hangs.
struct HookHandle {
  Ref<TensorHook> tensor_hook;
  Ref<NodeHook> node_hook;
  void remove() {
    if (tensor_hook) static_cast<PyTensorHook*>(tensor_hook.get())->function = py::object();
    if (node_hook) static_cast<PyNodeHook*>(node_hook.get())->function = py::object();
  }
};

void drop_removed(std::vector<Ref<TensorHook>>& hooks) {
  std::erase_if(hooks, [](const Ref<TensorHook>& hook) { return !static_cast<PyTensorHook*>(hook.get())->function; });
}

HookHandle register_hook(const Tensor& tensor, py::object function) {
  FASTNN_CHECK(tracks_view(tensor), ErrorKind::Runtime,
               "cannot register a hook on a tensor that doesn't require gradient");
  auto hook = make_ref<PyTensorHook>(std::move(function));
  if (const Ref<Node> node = grad_fn(tensor)) {
    node->ensure_hooks().tensor_hooks.push_back({tensor.impl()->output_number, hook});
  } else {
    auto& hooks = extras(*tensor.impl()).leaf_hooks;
    drop_removed(hooks);
    hooks.push_back(hook);
  }
  return {hook, nullptr};
}

HookHandle register_post_accumulate_hook(const Tensor& tensor, py::object function) {
  FASTNN_CHECK(tracks_view(tensor), ErrorKind::Runtime,
               "cannot register a hook on a tensor that doesn't require gradient");
  FASTNN_CHECK(!grad_fn(tensor), ErrorKind::Runtime,
               "post accumulate grad hooks cannot be registered on non-leaf tensors");
  auto hook = make_ref<PyTensorHook>(std::move(function));
  auto& hooks = extras(*tensor.impl()).post_accumulate_hooks;
  drop_removed(hooks);
  hooks.push_back(hook);
  return {hook, nullptr};
}

HookHandle register_node_hook(Node& node, py::object function, bool before) {
  auto hook = make_ref<PyNodeHook>(std::move(function), before);
  NodeHooks& hooks = node.ensure_hooks();
  (before ? hooks.pre_hooks : hooks.post_hooks).push_back(hook);
  return {nullptr, hook};
}

void retain_grad(const Tensor& tensor) {
  FASTNN_CHECK(tracks_view(tensor), ErrorKind::Runtime, "can't retain_grad on Tensor that has requires_grad=False");
  const Ref<Node> node = grad_fn(tensor);
  if (!node) return;
  AutogradExtras& extra = extras(*tensor.impl());
  if (extra.retains_gradient) return;
  extra.retains_gradient = true;
  extra.retained_by = node.get();
  node->ensure_hooks().retained.push_back({tensor.impl()->output_number, tensor.impl()});
}

// --- custom functions ----------------------------------------------------------------------------------------------

// A node whose derivative is a Python callable: backward(*gradients) -> tuple of gradients.
class PyNode final : public Node {
 public:
  PyNode(const std::string& name, py::object backward, py::object release)
      : Node(""), own_name_(name), backward_(std::move(backward)), release_(std::move(release)) {
    name_ = own_name_.c_str();
  }
  ~PyNode() override {
    const py::gil_scoped_acquire gil;
    backward_ = py::object();
    release_ = py::object();
  }
  void apply(std::span<const Tensor> gradients, Slots& result) override {
    const py::gil_scoped_acquire gil;
    py::tuple arguments(gradients.size());
    for (std::size_t i = 0; i < gradients.size(); ++i) arguments[i] = py::cast(gradients[i]);
    py::object returned = backward_(*arguments);
    const py::tuple values = PyTuple_Check(returned.ptr()) ? py::tuple(returned) : py::make_tuple(returned);
    for (std::size_t i = 0; i < result.size(); ++i) {
      const py::handle value = values[i];
      if (value.is_none() || !edges[i].node) continue;
      FASTNN_CHECK(is_tensor(value.ptr()), ErrorKind::Type, "function ", own_name_, " returned a gradient of type ",
                   Py_TYPE(value.ptr())->tp_name, ", expected a Tensor or None");
      Tensor gradient = tensor_of(value.ptr());
      const InputShape& shape = shapes[i];
      if (gradient.sizes() != shape.sizes || gradient.dtype() != shape.dtype) {
        FASTNN_CHECK(is_expandable_to(shape.sizes, gradient.sizes()), ErrorKind::Runtime, "Function ", own_name_,
                     " returned an invalid gradient at index ", i, " - got ", gradient.sizes(),
                     " but expected shape compatible with ", shape.sizes);
        gradient = gradient_ops().reduce_to(gradient, shape.sizes, shape.dtype);
      }
      result[i] = std::move(gradient);
    }
  }
  void release_saved() override {
    const py::gil_scoped_acquire gil;
    if (release_) release_();
  }
  struct InputShape {
    Dims sizes;
    DType dtype;
  };
  std::vector<InputShape> shapes;

 private:
  std::string own_name_;
  py::object backward_;
  py::object release_;  // a method of the context

 public:
  py::object context() const { return release_.attr("__self__"); }
};

// Makes the node of a custom function. `inputs` are its tensor arguments, in order.
Ref<Node> make_python_node(const std::string& name, const std::vector<Tensor>& inputs, py::object backward,
                           py::object release) {
  auto node = make_ref<PyNode>(name, std::move(backward), std::move(release));
  for (const Tensor& input : inputs) {
    node->edges.push_back(gradient_edge(input));
    node->shapes.push_back({input.sizes(), input.dtype()});
  }
  return node;
}

void attach_outputs(const Ref<Node>& node, const std::vector<Tensor>& outputs,
                    const std::vector<bool>& differentiable) {
  node->outputs = static_cast<std::uint32_t>(outputs.size());
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (differentiable[i]) set_history(outputs[i], node, static_cast<std::uint32_t>(i));
  }
}

// A tensor that a custom function saved.
class SavedForPython {
 public:
  SavedForPython(const Tensor& tensor, bool is_output, std::uint32_t slot) {
    if (is_output) {
      output_ = SavedOutput(tensor, slot);
    } else {
      input_ = Saved(tensor);
    }
    is_output_ = is_output;
  }
  Tensor get() const { return is_output_ ? output_.get() : input_.get(); }

 private:
  Saved input_;
  SavedOutput output_;
  bool is_output_ = false;
};

// --- hooks on saved tensors --------------------------------------------------------------------------------------

// (pack, unpack) of this thread, the innermost last.
std::vector<std::pair<PyObject*, PyObject*>>& saved_hooks() {
  thread_local std::vector<std::pair<PyObject*, PyObject*>> hooks;
  return hooks;
}
std::string& saved_hooks_refusal() {  // why there may be none; empty if there may
  thread_local std::string message;
  return message;
}

class PythonPacked final : public PackedTensor {
 public:
  PythonPacked(py::object packed, py::object unpack) : packed_(std::move(packed)), unpack_(std::move(unpack)) {}
  ~PythonPacked() override {
    const py::gil_scoped_acquire gil;
    packed_ = py::object();
    unpack_ = py::object();
  }
  Tensor unpack() const override {
    const py::gil_scoped_acquire gil;
    const py::object result = unpack_(packed_);
    FASTNN_CHECK(is_tensor(result.ptr()), ErrorKind::Type,
                 "Output of saved tensor unpack_hook expected to be a Tensor but got result of type ",
                 Py_TYPE(result.ptr())->tp_name);
    return tensor_of(result.ptr());
  }

 private:
  py::object packed_;
  py::object unpack_;
};

Ref<PackedTensor> pack_tensor(const Tensor& tensor) {
  const py::gil_scoped_acquire gil;
  const auto& [pack, unpack] = saved_hooks().back();
  const std::uint32_t version = tensor.impl()->version();
  py::object packed = py::reinterpret_borrow<py::object>(pack)(tensor);
  FASTNN_CHECK(tensor.impl()->version() == version, ErrorKind::Runtime,
               "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can "
               "not be modified by in-place operations as this can lead to unexpected side-effects. Please open an "
               "issue if you need to perform in-place operations on the input to a pack hook.");
  return make_ref<PythonPacked>(std::move(packed), py::reinterpret_borrow<py::object>(unpack));
}

void update_pack_hook() {
  grad_mode().pack = saved_hooks().empty() || saved_hooks().back().first == nullptr ? nullptr : &pack_tensor;
}
void push_saved_hooks(const py::object& pack, const py::object& unpack) {
  FASTNN_CHECK(saved_hooks_refusal().empty(), ErrorKind::Runtime, saved_hooks_refusal());
  saved_hooks().emplace_back(pack.inc_ref().ptr(), unpack.inc_ref().ptr());
  update_pack_hook();
}
void pop_saved_hooks() {
  const auto [pack, unpack] = saved_hooks().back();
  saved_hooks().pop_back();
  Py_DECREF(pack);
  Py_DECREF(unpack);
  update_pack_hook();
}
std::string refuse_saved_hooks(const std::string& message) {
  FASTNN_CHECK(message.empty() || saved_hooks().empty(), ErrorKind::Runtime, message);
  return std::exchange(saved_hooks_refusal(), message);
}

// --- the graph ---------------------------------------------------------------------------------------------------

class Metadata final : public RefCounted {
 public:
  ~Metadata() override {
    const py::gil_scoped_acquire gil;
    dict = py::object();
  }
  py::object dict = py::dict();
};

py::object metadata(Node& node) {
  Ref<RefCounted>& slot = node.ensure_hooks().metadata;
  if (!slot) slot = make_ref<Metadata>();
  return static_cast<Metadata*>(slot.get())->dict;
}

// What a context of a custom function knows is known to its node too.
py::object context_attribute(Node& self, const py::str& name) {
  if (const auto* node = dynamic_cast<PyNode*>(&self)) return node->context().attr(name);
  throw py::attribute_error("'" + std::string(self.name()) + "' object has no attribute '" + std::string(name) + "'");
}

// A tensor without values that is output `slot` of `node`: an edge where the engine expects a tensor.
Tensor edge_tensor(const Ref<Node>& node, std::uint32_t slot) {
  Tensor tensor = Tensor::empty(Dims{}, DType::Float32);
  tensor.impl()->grad_fn = node;
  tensor.impl()->output_number = slot;
  return tensor;
}

// Whether `outputs` depend on a leaf that wants its gradient, other than the given ones.
bool depends_on_others(const std::vector<Tensor>& outputs, const std::vector<Tensor>& own) {
  std::unordered_set<const Node*> seen;
  std::vector<const Node*> path;
  const auto visit = [&](const Edge& edge) {
    if (edge.node && seen.insert(edge.node.get()).second) path.push_back(edge.node.get());
  };
  std::vector<Edge> held;
  for (const Tensor& tensor : own) {
    held.push_back(gradient_edge(tensor));
    const Node* node = held.back().node.get();
    if (node != nullptr && node->variable() != nullptr) seen.insert(node);
  }
  for (const Tensor& tensor : outputs) {
    held.push_back(gradient_edge(tensor));
    visit(held.back());
  }
  while (!path.empty()) {
    const Node* node = path.back();
    path.pop_back();
    if (node->variable() != nullptr) return true;
    for (std::size_t i = 0; i < node->edges.size(); ++i) visit(node->edges[i]);
  }
  return false;
}

// --- running -----------------------------------------------------------------------------------------------------

std::vector<Tensor> backward(const std::vector<Tensor>& roots, const std::vector<Tensor>& gradients, bool retain_graph,
                             bool create_graph, const std::vector<Tensor>& inputs, bool capture) {
  const ProfiledCall profiled("autograd::engine::", "evaluate");
  return run_backward(roots, gradients, {retain_graph, create_graph, inputs, capture});
}

void check_signals() {
  const py::gil_scoped_acquire gil;
  if (PyErr_CheckSignals() != 0) throw_python();
}

std::string python_stack() {
  const py::gil_scoped_acquire gil;
  const py::object lines = py::module_::import("traceback").attr("format_stack")();
  return py::str("").attr("join")(lines).cast<std::string>();
}

void warn_anomaly(const Node& node) {
  const py::gil_scoped_acquire gil;
  const std::string trace = node.hooks ? node.hooks->forward_trace : "";
  const std::string text =
      trace.empty() ? std::string("Error detected in ") + node.name() +
                          ". No forward pass information available. Enable detect anomaly during forward pass for more "
                          "information."
                    : std::string("Error detected in ") + node.name() +
                          ". Traceback of forward call that caused the error:\n" + trace;
  // An exception is on its way already: the warning must not replace it.
  if (PyErr_WarnEx(PyExc_UserWarning, text.c_str(), 1) < 0) PyErr_Clear();
}

}  // namespace

void init_autograd(py::module_& module) {
  check_interrupt = &check_signals;
  capture_forward_trace = &python_stack;
  report_anomaly = &warn_anomaly;

  py::class_<HookHandle>(module, "_HookHandle", "Removes a hook.")
      .def("remove", &HookHandle::remove, "The hook is called no more.")
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](HookHandle& self, const py::args&) { self.remove(); });

  py::class_<Node, Ref<Node>>(module, "Node", "A node of the backward graph.")
      .def(
          "name", [](const Node& self) { return std::string(self.name()); }, "The operation's name: 'MulBackward0'.")
      .def_property_readonly(
          "next_functions",
          [](const Node& self) {
            py::tuple result(self.edges.size());
            for (std::size_t i = 0; i < self.edges.size(); ++i) {
              const Edge& edge = self.edges[i];
              result[i] = py::make_tuple(edge.node ? py::cast(edge.node) : py::object(py::none()), edge.slot);
            }
            return result;
          },
          "The nodes that made the operands, each with the number of its output; None for constants.")
      .def_property_readonly(
          "variable",
          [](const Node& self) {
            FASTNN_CHECK(self.variable() != nullptr, ErrorKind::Runtime, "only AccumulateGrad nodes have a variable");
            return Tensor(self.variable());
          },
          "The leaf that an AccumulateGrad node adds to.")
      .def_property_readonly("_sequence_nr", [](const Node& self) { return self.sequence; })
      .def(
          "register_hook", [](Node& self, py::object hook) { return register_node_hook(self, std::move(hook), false); },
          "Calls hook(grad_inputs, grad_outputs) after the node has run; what it returns replaces grad_inputs.")
      .def(
          "register_prehook",
          [](Node& self, py::object hook) { return register_node_hook(self, std::move(hook), true); },
          "Calls hook(grad_outputs) before the node runs; what it returns replaces grad_outputs.")
      .def_property_readonly("metadata", &metadata, "A dictionary for the user's notes.")
      .def("__getattr__", &context_attribute)
      .def("__eq__",
           [](const Node& a, const py::object& b) { return py::isinstance<Node>(b) && &a == b.cast<const Node*>(); })
      .def("__hash__", [](const Node& self) { return reinterpret_cast<std::uintptr_t>(&self) >> 4; })
      .def("__repr__", [](const Node& self) {
        std::ostringstream text;
        text << "<" << self.name() << " object at " << &self << ">";
        return text.str();
      });

  py::class_<SavedForPython>(module, "_Saved", "A tensor saved by a custom function.")
      .def(py::init<const Tensor&, bool, std::uint32_t>())
      .def("get", &SavedForPython::get);
  module.def("_make_python_node", &make_python_node);
  module.def("_attach_outputs", &attach_outputs);
  module.def("_bump_version", [](const Tensor& tensor) { bump_version(tensor); });
  module.def("_set_node", [](const py::object& tensor, const Ref<Node>& node, std::uint32_t slot) {
    // For an in-place custom function: the tensor itself becomes the output.
    const Tensor target = tensor_of(tensor.ptr());
    check_in_place(target, "custom function");
    bump_version(target);
    set_history(target, node, slot);
  });
  module.def("_alias", [](const Tensor& tensor) {
    return make_view(tensor, tensor.sizes(), tensor.strides(), tensor.storage_offset());
  });

  module.def("_push_saved_tensors_hooks", &push_saved_hooks);
  module.def("_pop_saved_tensors_hooks", &pop_saved_hooks);
  module.def("_refuse_saved_tensors_hooks", &refuse_saved_hooks,
             "Makes hooks on saved tensors an error with this message ('': allowed); returns the one before.");
  module.def("_edge_tensor", &edge_tensor);
  module.def("_gradient_edge", [](const Tensor& tensor) {
    const Edge edge = gradient_edge(tensor);
    return py::make_tuple(edge.node, edge.slot);
  });
  module.def("_depends_on_others", &depends_on_others);
  module.def("_is_checkpoint_valid", &task_is_full);
  module.def("_current_graph_task_id", [] { return static_cast<std::int64_t>(current_task()) - 1; });
  module.def("_will_engine_execute_node", [](const Ref<Node>& node) { return will_run(*node); });

  module.def("_run_backward", &backward, py::arg("tensors"), py::arg("gradients"), py::arg("retain_graph"),
             py::arg("create_graph"), py::arg("inputs"), py::arg("capture"));
  module.def("_nodes_run", &nodes_run, "Backward nodes run so far in this process.");
  module.def(
      "_count_saved_bytes",
      [](bool on) {
        const std::int64_t live = SavedBytes::live;
        SavedBytes::counting = on;
        if (on) SavedBytes::live = 0;
        return live;
      },
      py::arg("on"), "Starts or stops counting the bytes of saved tensors; returns what is alive.");
  module.def("_saved_bytes", [] { return SavedBytes::live; });

  module.def("is_grad_enabled", [] { return grad_mode().enabled; }, "Whether gradients are recorded.");
  module.def("_set_grad_enabled", [](bool on) { grad_mode().enabled = on; });
  module.def("is_inference_mode_enabled", [] { return grad_mode().inference; }, "Whether inference mode is on.");
  module.def("_set_inference_mode", [](bool on) {
    grad_mode().inference = on;
    makes_inference_tensors() = on;
  });
  module.def("is_anomaly_enabled", [] { return grad_mode().anomaly; }, "Whether anomaly mode is on.");
  module.def(
      "_set_anomaly_enabled",
      [](bool on, bool check_nan) {
        grad_mode().anomaly = on;
        grad_mode().anomaly_check_nan = check_nan;
      },
      py::arg("on"), py::arg("check_nan") = true);
  module.def(
      "is_anomaly_check_nan_enabled", [] { return grad_mode().anomaly_check_nan; },
      "Whether anomaly mode looks for NaN in gradients.");

  const py::handle type(reinterpret_cast<PyObject*>(tensor_type));
  const auto add_method = [&](const char* name, auto function, const char* doc) {
    type.attr(name) = py::cpp_function(function, py::name(name), py::is_method(type), doc);
  };
  add_method(
      "register_hook", [](const Tensor& self, py::object hook) { return register_hook(self, std::move(hook)); },
      "Calls hook(grad) when the gradient is known; what it returns replaces the gradient.");
  add_method(
      "register_post_accumulate_grad_hook",
      [](const Tensor& self, py::object hook) { return register_post_accumulate_hook(self, std::move(hook)); },
      "Calls hook(tensor) after a gradient was added to this leaf's grad.");
  add_method(
      "retain_grad", [](const Tensor& self) { retain_grad(self); },
      "Keeps the gradient of a tensor that is no leaf in its grad.");
}

}  // namespace fastnn::python
