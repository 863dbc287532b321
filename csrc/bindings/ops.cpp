// Operations of the registry as Python callables.
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>

#include "autograd/record.h"
#include "bindings/modes.h"
#include "bindings/overrides.h"
#include "bindings/signature.h"
// After Python.h.
#include <structmember.h>
#include "ops/elementwise.h"
#include "ops/pointwise.h"
#include "ops/shape.h"

namespace fastnn::python {

namespace {

// All overloads of one Python name.
struct OpGroup {
  std::string name;       // as called: "add_"
  std::string qualified;  // "fastnn.add", "Tensor.add_"
  CallMode mode = CallMode::Function;
  bool random = false;  // results differ from call to call
  std::vector<const Signature*> overloads;
  std::map<const Signature*, PyTypeObject*> named_tuples;
};

struct OpObject {
  PyObject ob_base;
  vectorcallfunc vectorcall;
  OpGroup* group;
};

PyTypeObject* g_op_type = nullptr;
std::vector<std::unique_ptr<Signature>>& signatures() {
  static std::vector<std::unique_ptr<Signature>> list;
  return list;
}
std::map<std::string, PyObject*>& groups() {  // by qualified name
  static std::map<std::string, PyObject*> all;
  return all;
}

PyTypeObject* make_named_tuple(const OpGroup& group, const Signature& signature) {
  static std::map<std::string, PyTypeObject*> types;
  const std::string full = (signature.name_space.empty() ? "" : signature.name_space + "_") + signature.name;
  PyTypeObject*& type = types[full];
  if (type == nullptr) {
    auto* fields = new std::vector<PyStructSequence_Field>;  // the type keeps pointers into it
    for (const std::string& field : signature.fields) fields->push_back({field.c_str(), nullptr});
    fields->push_back({nullptr, nullptr});
    auto* name = new std::string("torch.return_types." + full);
    PyStructSequence_Desc description = {name->c_str(), nullptr, fields->data(),
                                         static_cast<int>(signature.fields.size())};
    type = PyStructSequence_NewType(&description);
    if (type == nullptr) throw_python();
  }
  (void)group;
  return type;
}

PyObject* wrap_list(const OpGroup& group, const Signature& signature, const std::vector<Tensor>& list) {
  const auto size = static_cast<Py_ssize_t>(list.size());
  if (!signature.fields.empty()) {
    PyObject* result = PyStructSequence_New(group.named_tuples.at(&signature));
    if (result == nullptr) throw_python();
    for (Py_ssize_t i = 0; i < size; ++i) PyStructSequence_SET_ITEM(result, i, wrap(list[static_cast<std::size_t>(i)]));
    return result;
  }
  PyObject* result = PyTuple_New(size);
  if (result == nullptr) throw_python();
  for (Py_ssize_t i = 0; i < size; ++i) PyTuple_SET_ITEM(result, i, wrap(list[static_cast<std::size_t>(i)]));
  return result;
}

struct Wrapper {
  const OpGroup& group;
  const Signature& signature;

  PyObject* operator()(std::monostate) const { return Py_NewRef(Py_None); }
  PyObject* operator()(const Tensor& tensor) const { return wrap(tensor); }
  PyObject* operator()(const std::vector<Tensor>& list) const { return wrap_list(group, signature, list); }
  PyObject* operator()(bool value) const { return PyBool_FromLong(value); }
  PyObject* operator()(std::int64_t value) const { return PyLong_FromLongLong(value); }
  PyObject* operator()(double value) const { return PyFloat_FromDouble(value); }
  PyObject* operator()(const Scalar& value) const {
    if (value.kind == Scalar::Kind::Bool) return PyBool_FromLong(value.i != 0);
    if (value.is_complex()) return PyComplex_FromDoubles(value.d, value.imag);
    return value.is_float() ? PyFloat_FromDouble(value.d) : PyLong_FromLongLong(value.i);
  }
};

// Writes a result into a tensor given as `out=`, which takes its shape.
void write_out(const char* op, const Tensor& target, const Tensor& result) {
  FASTNN_CHECK(!(grad_mode().enabled && (target.requires_grad() || result.requires_grad())), ErrorKind::Runtime, op,
               "(): functions with out=... arguments don't support automatic differentiation, but one of the arguments "
               "requires grad.");
  FASTNN_CHECK(can_cast(result.dtype(), target.dtype()), ErrorKind::Runtime, op, ": result type ", result.dtype(),
               " can't be cast to the desired output type ", target.dtype());
  if (target.sizes() != result.sizes()) {
    TensorImpl& impl = *target.impl();
    const std::int64_t bytes = (impl.offset + result.numel()) * itemsize(impl.dtype);
    if (static_cast<std::int64_t>(impl.storage->nbytes()) < bytes)
      impl.storage->resize(static_cast<std::size_t>(bytes));
    impl.set_geometry(result.sizes(), contiguous_strides(result.sizes()));
  }
  copy_raw(target, result);
  bump_version(target);
}

// Operations for which PyTorch refuses an `out` that is an input.
bool keeps_inputs(const Signature& signature) {
  const std::string_view family = signature.op->family;
  return family == "index" || family == "shape" || signature.name == "kthvalue";
}

// Whether `target` may take a result of the operation: its own places apart, no input overwritten, the dtype.
void check_out(const Signature& signature, const CallFrame& frame, const Tensor& target, const Tensor& result,
               bool several) {
  check_distinct_elements(target);
  const std::string_view family = signature.op->family;
  const bool apart = keeps_inputs(signature);
  const auto check_input = [&](const Tensor& input) {
    if (!input.defined()) return;
    const Overlap shared = overlap(target, input);
    FASTNN_CHECK(shared == Overlap::None || (shared == Overlap::Full && !apart), ErrorKind::Runtime,
                 "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single "
                 "memory location. Please clone() the tensor before performing the operation.");
  };
  if (apart || family == "random" || family.starts_with("elementwise")) {
    for (int i = 0; i < frame.tensor_count; ++i) check_input(frame.tensors[static_cast<std::size_t>(i)]);
    for (const auto& list : frame.tensor_lists) std::for_each(list.begin(), list.end(), check_input);
  }
  const bool exact = several || family == "complex" || family == "index" || family == "sort" ||
                     (family == "random" && !result.is_floating());
  FASTNN_CHECK(!exact || target.dtype() == result.dtype(), ErrorKind::Runtime, "Expected out tensor to have dtype ",
               result.dtype(), ", but got ", target.dtype(), " instead");
}

PyObject* finish_out(const OpGroup& group, const Signature& signature, const CallFrame& frame, const OpResult& result) {
  const char* op = group.name.c_str();
  PyObject* out = frame.out;
  if (const auto* tensor = std::get_if<Tensor>(&result)) {
    FASTNN_CHECK(is_tensor(out), ErrorKind::Type, op, "(): argument 'out' must be Tensor, not ", Py_TYPE(out)->tp_name);
    check_out(signature, frame, tensor_of(out), *tensor, false);
    write_out(op, tensor_of(out), *tensor);
    return Py_NewRef(out);
  }
  const auto* list = std::get_if<std::vector<Tensor>>(&result);
  const bool sequence = PyTuple_Check(out) || PyList_Check(out);
  FASTNN_CHECK(list != nullptr && sequence && PySequence_Fast_GET_SIZE(out) == static_cast<Py_ssize_t>(list->size()),
               ErrorKind::Type, op, "(): argument 'out' must be a tuple with one Tensor per result");
  std::vector<Tensor> targets;
  for (std::size_t i = 0; i < list->size(); ++i) {
    PyObject* item = PySequence_Fast_ITEMS(out)[i];
    FASTNN_CHECK(is_tensor(item), ErrorKind::Type, op, "(): argument 'out' must be a tuple of Tensors");
    targets.push_back(tensor_of(item));
    check_out(signature, frame, targets.back(), (*list)[i], true);
  }
  for (std::size_t i = 0; i < targets.size(); ++i) write_out(op, targets[i], (*list)[i]);
  return wrap_list(group, signature, targets);
}

// The nodes of operations that are made of others here, under the names that PyTorch's own nodes have. Keys are
// beginnings of schemas.
constexpr std::pair<std::string_view, const char*> kNodeNames[] = {
    {"addmv(", "AddmvBackward0"},
    {"addr(", "AddrBackward0"},
    {"celu(", "CeluBackward0"},
    {"clamp_max(", "ClampMaxBackward0"},
    {"clamp_min(", "ClampMinBackward0"},
    {"deg2rad(", "Deg2RadBackward0"},
    {"flip(", "FlipBackward0"},
    {"index_fill(", "IndexFillBackward0"},
    {"masked_select(", "MaskedSelectBackward0"},
    {"nn.binary_cross_entropy(", "BinaryCrossEntropyBackward0"},
    {"nn.binary_cross_entropy_with_logits(", "BinaryCrossEntropyWithLogitsBackward0"},
    {"nn.celu(", "CeluBackward0"},
    {"pow(Scalar", "PowBackward2"},
    {"rad2deg(", "Rad2DegBackward0"},
    {"repeat(", "RepeatBackward0"},
    {"roll(", "RollBackward0"},
    {"scatter(Tensor input, int dim, Tensor index, Scalar", "ScatterBackward1"},
    {"sgn(", "SgnBackward0"},
    {"squeeze(Tensor input, int dim", "SqueezeBackward1"},
    {"squeeze(Tensor input, int[] dim", "SqueezeBackward2"},
    {"stack(", "StackBackward0"},
    {"t(", "TBackward0"},
    {"take(", "TakeBackward0"},
    {"tile(", "RepeatBackward0"},
    {"trace(", "TraceBackward0"},
};

const char* node_name(std::string_view schema) {
  for (const auto& [start, name] : kNodeNames) {
    if (schema.starts_with(start)) return name;
  }
  return nullptr;
}

// Names the node of a result, unless it is that of an argument.
void name_node(const OpResult& result, const CallFrame& frame, const char* name) {
  const auto* tensor = std::get_if<Tensor>(&result);
  if (tensor == nullptr || !tensor->impl()->grad_fn) return;
  const auto& node = tensor->impl()->grad_fn;
  for (int i = 0; i < frame.tensor_count; ++i) {
    const Tensor& argument = frame.tensors[static_cast<std::size_t>(i)];
    if (argument.defined() && argument.impl()->grad_fn == node) return;
  }
  static_cast<Node*>(node.get())->rename(name);
}

// Thrown where a tensor is asked for on the device `meta`.
struct MetaDevice {};

// A new tensor that goes into `out` is made in its dtype, unless another is asked for.
void make_in_dtype_of(const Tensor& out, const Signature& signature, CallFrame& frame) {
  for (std::size_t i = 0; i < signature.params.size(); ++i) {
    Argument& argument = frame.arguments[i];
    if (signature.params[i].type != ParamType::DType || argument.kind != Argument::Kind::None) continue;
    argument.kind = Argument::Kind::DType;
    argument.dtype = out.dtype();
  }
}

PyObject* invoke(const OpGroup& group, const Signature& signature, CallFrame& frame, PyObject* self) {
  const OpDef& op = *signature.op;
  const ProfiledCall profiled("aten::", group.name);
  if (group.mode == CallMode::InPlace) {
    const Tensor target = *frame.arguments[0].tensor;
    in_place(target, group.name.c_str(), (op.flags & op_inplace_direct) != 0, [&](const Tensor& old) {
      frame.arguments[0].tensor = &old;
      return std::get<Tensor>(op.call(op.function, frame.arguments.data()));
    });
    return Py_NewRef(self);
  }
  if (op.flags & op_factory) {
    if (frame.device && is_meta_device(frame.device)) throw MetaDevice();
    check_device(frame.device ? frame.device : Py_None, group.name.c_str());
    if (frame.out != nullptr && is_tensor(frame.out)) make_in_dtype_of(tensor_of(frame.out), signature, frame);
  }
  if (autocast_state.enabled && signature.cast != CastPolicy::Keep && frame.out == nullptr) {
    autocast_arguments(signature, frame);
  }
  OpResult result = op.call(op.function, frame.arguments.data());
  if (signature.node_name != nullptr) name_node(result, frame, signature.node_name);
  if (frame.out != nullptr) return finish_out(group, signature, frame, result);
  if (frame.requires_grad) {
    const auto& tensor = std::get<Tensor>(result);
    FASTNN_CHECK(tensor.is_differentiable(), ErrorKind::Runtime,
                 "Only Tensors of floating point and complex dtype can require gradients");
    tensor.impl()->requires_grad = true;
  }
  return std::visit(Wrapper{group, signature}, result);
}

[[noreturn]] void fail_no_overload(const OpGroup& group, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  const bool single = group.overloads.size() == 1;
  std::ostringstream text;
  text << group.name << "()";
  if (single) {
    CallFrame frame;
    std::string reason;
    parse_arguments(*group.overloads[0], group.mode, args, count, names, frame, &reason);
    text << ": " << reason << "\n  signature: " << group.overloads[0]->text();
  } else {
    text << " received an invalid combination of arguments - got (";
    const Py_ssize_t keywords = names ? PyTuple_GET_SIZE(names) : 0;
    const Py_ssize_t skip = group.mode == CallMode::Function ? 0 : 1;
    for (Py_ssize_t i = skip; i < count + keywords; ++i) {
      text << (i > skip ? ", " : "");
      if (i >= count) text << PyUnicode_AsUTF8(PyTuple_GET_ITEM(names, i - count)) << "=";
      text << (is_tensor(args[i]) ? "Tensor" : Py_TYPE(args[i])->tp_name);
    }
    text << "), but expected one of:";
    for (const Signature* signature : group.overloads) text << "\n * " << signature->text();
  }
  fail(ErrorKind::Type, text.str());
}

// PyTorch's old order, in which numbers stand in front of the tensors that they multiply: x.add(alpha, y),
// x.addcmul(value, y, z), torch.addmm(beta, x, alpha, y, z). The same arguments with the numbers as keywords, or
// nothing.
std::optional<std::pair<std::vector<PyObject*>, py::tuple>> in_new_order(const OpGroup& group, PyObject* const* args,
                                                                         Py_ssize_t count, PyObject* names) {
  constexpr std::string_view kOps[] = {"add",   "sub",  "addcmul", "addcdiv", "addmm",
                                       "addmv", "addr", "addbmm",  "baddbmm"};
  const Signature& signature = *group.overloads[0];
  if (std::find(std::begin(kOps), std::end(kOps), signature.name) == std::end(kOps)) return std::nullopt;
  std::vector<PyObject*> values;
  std::vector<PyObject*> numbers;
  for (Py_ssize_t i = 0; i < count; ++i) (is_tensor(args[i]) ? values : numbers).push_back(args[i]);
  const auto positional = static_cast<std::size_t>(signature.positional);
  if (values.size() != positional || numbers.empty() || numbers.size() > signature.params.size() - positional) {
    return std::nullopt;
  }
  values.insert(values.end(), numbers.begin(), numbers.end());
  py::list keys;
  for (std::size_t i = 0; i < numbers.size(); ++i) keys.append(signature.params[positional + i].name);
  const Py_ssize_t keywords = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  for (Py_ssize_t i = 0; i < keywords; ++i) {
    keys.append(py::handle(PyTuple_GET_ITEM(names, i)));
    values.push_back(args[count + i]);
  }
  return std::pair(std::move(values), py::tuple(keys));
}

PyObject* call_group(const OpGroup& group, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  for (const Signature* signature : group.overloads) {
    CallFrame frame;
    if (!parse_arguments(*signature, group.mode, args, count, names, frame, nullptr)) continue;
    return invoke(group, *signature, frame, count > 0 ? args[0] : nullptr);
  }
  if (const auto call = in_new_order(group, args, count, names)) {
    const Signature& signature = *group.overloads[0];
    CallFrame frame;
    if (parse_arguments(signature, group.mode, call->first.data(), signature.positional, call->second.ptr(), frame,
                        nullptr)) {
      const std::string text = "This overload of " + group.name + " is deprecated: pass the numbers as keywords, " +
                               group.name + signature.text();
      if (PyErr_WarnEx(PyExc_UserWarning, text.c_str(), 1) < 0) throw_python();
      return invoke(group, signature, frame, call->first[0]);
    }
  }
  fail_no_overload(group, args, count, names);
}

// Calls handler(operation, args, kwargs).
PyObject* call_handler(py::handle handler, PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  py::tuple positional(count);
  for (Py_ssize_t i = 0; i < count; ++i) positional[i] = py::handle(args[i]);
  py::dict kwargs;
  const Py_ssize_t keywords = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  for (Py_ssize_t i = 0; i < keywords; ++i) kwargs[PyTuple_GET_ITEM(names, i)] = py::handle(args[count + i]);
  return handler(py::handle(self), positional, kwargs).release().ptr();
}

PyObject* op_vectorcall(PyObject* self, PyObject* const* args, std::size_t flagged, PyObject* names) {
  return guarded<PyObject*>(nullptr, [&] {
    const OpGroup& group = *reinterpret_cast<OpObject*>(self)->group;
    const Py_ssize_t count = PyVectorcall_NARGS(flagged);
    if (has_override(args, count + (names == nullptr ? 0 : PyTuple_GET_SIZE(names)))) [[unlikely]] {
      return call_override(self, args, count, names);
    }
    if (group.random && random_interceptor != nullptr) [[unlikely]] {
      return call_handler(random_interceptor, self, args, count, names);  // while it runs there is none
    }
    try {
      return call_group(group, args, count, names);
    } catch (const MetaDevice&) {
      return call_handler(py::module_::import("fastnn._meta").attr("create"), self, args, count, names);
    }
  });
}

PyObject* op_descr_get(PyObject* self, PyObject* object, PyObject*) {
  if (object == nullptr || object == Py_None) return Py_NewRef(self);
  return PyMethod_New(self, object);
}

// Functions are looked up in modules and classes (nn.functional holds them as static): no binding.
PyObject* op_repr(PyObject* self) {
  return PyUnicode_FromFormat("<built-in operation %s>", reinterpret_cast<OpObject*>(self)->group->qualified.c_str());
}
PyObject* op_name(PyObject* self, void*) {
  return PyUnicode_FromString(reinterpret_cast<OpObject*>(self)->group->name.c_str());
}
PyObject* op_module(PyObject*, void*) { return PyUnicode_FromString("fastnn"); }
PyObject* op_qualname(PyObject* self, void*) {
  return PyUnicode_FromString(reinterpret_cast<OpObject*>(self)->group->qualified.c_str());
}
PyObject* op_doc(PyObject* self, void*) {
  const OpGroup& group = *reinterpret_cast<OpObject*>(self)->group;
  std::string text;
  for (const Signature* signature : group.overloads) {
    text += group.name + signature->text() + " -> " + signature->result_text + "\n";
  }
  return PyUnicode_FromString(text.c_str());
}
PyObject* op_schemas(PyObject* self, void*) {
  return guarded<PyObject*>(nullptr, [&] {
    py::list list;
    for (const Signature* signature : reinterpret_cast<OpObject*>(self)->group->overloads) {
      list.append(signature->op->schema);
    }
    return list.release().ptr();
  });
}
// What the parser takes by keyword beside the parameters of the schema: a tuple of names for each overload.
PyObject* op_keywords(PyObject* self, void*) {
  return guarded<PyObject*>(nullptr, [&] {
    const OpGroup& group = *reinterpret_cast<OpObject*>(self)->group;
    py::list list;
    for (const Signature* signature : group.overloads) {
      const unsigned flags = signature->op->flags;
      py::list names;
      if ((flags & op_out) && group.mode == CallMode::Function) names.append("out");
      if (flags & op_factory) {
        for (const char* name : {"device", "layout", "pin_memory", "requires_grad", "memory_format"})
          names.append(name);
      }
      list.append(py::tuple(names));
    }
    return list.release().ptr();
  });
}
PyObject* op_reduce(PyObject* self, PyObject*) {
  return guarded<PyObject*>(nullptr, [&] {
    const py::object find = py::module_::import("fastnn._C").attr("_find_operation");
    return py::make_tuple(find, py::make_tuple(reinterpret_cast<OpObject*>(self)->group->qualified)).release().ptr();
  });
}

// A plain function does not bind as a method when a class holds it: a second type without tp_descr_get.
PyTypeObject* g_function_type = nullptr;

PyMethodDef op_methods[] = {{"__reduce__", op_reduce, METH_NOARGS, nullptr}, {nullptr, nullptr, 0, nullptr}};
PyGetSetDef op_getset[] = {
    {"__name__", op_name, nullptr, nullptr, nullptr},     {"__qualname__", op_qualname, nullptr, nullptr, nullptr},
    {"__module__", op_module, nullptr, nullptr, nullptr}, {"__doc__", op_doc, nullptr, nullptr, nullptr},
    {"_schemas", op_schemas, nullptr, nullptr, nullptr},  {"_keywords", op_keywords, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};
PyMemberDef op_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(OpObject, vectorcall), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyTypeObject* make_op_type(const char* name, bool binds) {
  std::vector<PyType_Slot> slots = {
      {Py_tp_call, reinterpret_cast<void*>(&PyVectorcall_Call)},
      {Py_tp_repr, reinterpret_cast<void*>(&op_repr)},
      {Py_tp_getset, op_getset},
      {Py_tp_members, op_members},
      {Py_tp_methods, op_methods},
  };
  if (binds) slots.push_back({Py_tp_descr_get, reinterpret_cast<void*>(&op_descr_get)});
  slots.push_back({0, nullptr});
  unsigned long flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL;
  if (binds) flags |= Py_TPFLAGS_METHOD_DESCRIPTOR;
  PyType_Spec spec = {name, sizeof(OpObject), 0, static_cast<unsigned>(flags), slots.data()};
  PyObject* type = PyType_FromSpec(&spec);
  if (type == nullptr) throw_python();
  return reinterpret_cast<PyTypeObject*>(type);
}

void add_overload(const std::string& space, const std::string& name, CallMode mode, const Signature* signature) {
  const std::string qualified = (mode == CallMode::Function ? "fastnn." : "Tensor.") + space + name;
  PyObject*& object = groups()[qualified];
  if (object == nullptr) {
    PyTypeObject* type = mode == CallMode::Function ? g_function_type : g_op_type;
    object = type->tp_alloc(type, 0);
    if (object == nullptr) throw_python();
    auto* op = reinterpret_cast<OpObject*>(object);
    op->vectorcall = &op_vectorcall;
    op->group = new OpGroup;
    op->group->name = name;
    op->group->qualified = qualified;
    op->group->mode = mode;
  }
  OpGroup& group = *reinterpret_cast<OpObject*>(object)->group;
  group.overloads.push_back(signature);
  const std::string_view family = signature->op->family;
  group.random = family == "random" || family == "dropout";
  if (!signature->fields.empty()) group.named_tuples[signature] = make_named_tuple(group, *signature);
}

// torch.nn.functional's name -> submodule object, made on first use.
py::module_ submodule(py::module_& module, const std::string& space) {
  if (space.empty()) return module;
  if (!py::hasattr(module, space.c_str())) return module.def_submodule(space.c_str());
  return module.attr(space.c_str()).cast<py::module_>();
}

}  // namespace

PyObject* find_operation(const char* name) {
  const auto found = groups().find(std::string("Tensor.") + name);
  return found == groups().end() ? nullptr : found->second;
}

PyObject* call_operation(PyObject* callable, PyObject* a, PyObject* b) {
  PyObject* args[] = {a, b};
  return op_vectorcall(callable, args, b == nullptr ? 1 : 2, nullptr);
}

void init_ops(py::module_& module) {
  g_op_type = make_op_type("fastnn._C.OperationMethod", true);
  g_function_type = make_op_type("fastnn._C.Operation", false);
  for (const OpDef& op : op_registry()) {
    signatures().push_back(std::make_unique<Signature>(parse_schema(op)));
    Signature& signature = *signatures().back();
    signature.node_name = node_name(op.schema);
    const std::string space = signature.name_space.empty() ? "" : signature.name_space + ".";
    signature.cast = cast_policy(space + signature.name);
    if (op.flags & op_fn) add_overload(space, signature.name, CallMode::Function, &signature);
    if (op.flags & op_method) add_overload("", signature.name, CallMode::Method, &signature);
    if (op.flags & (op_inplace | op_inplace_direct)) {
      // Functions exist too: torch.relu_(x).
      add_overload("", signature.name + "_", CallMode::InPlace, &signature);
    }
  }
  for (const auto& [qualified, object] : groups()) {
    const OpGroup& group = *reinterpret_cast<OpObject*>(object)->group;
    if (group.mode == CallMode::Function) {
      const std::string& space = group.overloads[0]->name_space;
      submodule(module, space).attr(group.name.c_str()) = py::reinterpret_borrow<py::object>(object);
      continue;
    }
    // Names that the type defines itself (item, __eq__ ...) win.
    const py::handle type(reinterpret_cast<PyObject*>(tensor_type));
    if (group.overloads[0]->op->flags & op_property) {
      const py::object property = py::module_::import("builtins").attr("property");
      type.attr(group.name.c_str()) = property(py::reinterpret_borrow<py::object>(object));
    } else {
      type.attr(group.name.c_str()) = py::reinterpret_borrow<py::object>(object);
    }
    if (group.mode == CallMode::InPlace && !py::hasattr(module, group.name.c_str())) {
      module.attr(group.name.c_str()) = py::reinterpret_borrow<py::object>(object);
    }
  }
  module.def(
      "_find_operation",
      [](const std::string& qualified) {
        const auto found = groups().find(qualified);
        FASTNN_CHECK(found != groups().end(), ErrorKind::Value, "no operation named ", qualified);
        return py::reinterpret_borrow<py::object>(found->second);
      },
      "The callable of a qualified name, for unpickling.");
  module.def(
      "_operations",
      [] {
        py::dict all;
        for (const auto& [qualified, object] : groups())
          all[qualified.c_str()] = py::reinterpret_borrow<py::object>(object);
        return all;
      },
      "Every operation by its qualified name.");
}

}  // namespace fastnn::python
