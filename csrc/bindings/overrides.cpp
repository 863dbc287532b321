#include "bindings/overrides.h"

#include <algorithm>
#include <vector>
// After Python.h.
#include <structmember.h>

namespace fastnn::python {

int override_modes = 0;
PyTypeObject* batched_type = nullptr;
PyObject* random_interceptor = nullptr;

namespace {

enum class State : std::uint8_t { Enabled, SubclassesDisabled, AllDisabled };

struct ThreadState {
  State state = State::Enabled;
  std::vector<PyObject*> modes;  // the innermost last
};
thread_local ThreadState t_state;

PyObject* g_name = nullptr;      // "__torch_function__"
PyObject* g_disabled = nullptr;  // what a class has as __torch_function__ when it wants no say

class StateGuard {
 public:
  explicit StateGuard(State state) : before_(std::exchange(t_state.state, std::max(state, t_state.state))) {}
  ~StateGuard() { t_state.state = before_; }
  StateGuard(const StateGuard&) = delete;
  StateGuard& operator=(const StateGuard&) = delete;

 private:
  State before_;
};

bool type_overrides(PyTypeObject* type) {
  if (type == tensor_type) return false;
  if (type == batched_type && batched_type != nullptr) return true;
  if (t_state.state != State::Enabled) return false;
  PyObject* found = _PyType_Lookup(type, g_name);
  return found != nullptr && found != g_disabled;
}

constexpr unsigned long kNeverOverride = Py_TPFLAGS_LONG_SUBCLASS | Py_TPFLAGS_UNICODE_SUBCLASS |
                                         Py_TPFLAGS_BYTES_SUBCLASS | Py_TPFLAGS_DICT_SUBCLASS |
                                         Py_TPFLAGS_TYPE_SUBCLASS;

bool object_overrides(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  if (type == tensor_type || object == Py_None || type == &PyFloat_Type) return false;
  return (type->tp_flags & kNeverOverride) == 0 && type_overrides(type);
}

bool is_sequence(PyObject* object) { return PyTuple_Check(object) || PyList_Check(object); }

// Calls `visit` with the object or, if it is a list, with its items up to the first number; stops when it returns true.
template <class F>
bool any_of_items(PyObject* object, F visit) {
  if (!is_sequence(object)) return visit(object);
  const Py_ssize_t size = PySequence_Fast_GET_SIZE(object);
  for (Py_ssize_t i = 0; i < size; ++i) {
    PyObject* item = PySequence_Fast_ITEMS(object)[i];
    if (PyLong_CheckExact(item) || PyFloat_CheckExact(item)) return false;
    if (visit(item)) return true;
  }
  return false;
}

// The objects that have a say, one of each class, subclasses before their bases.
std::vector<PyObject*> overriding(PyObject* const* args, Py_ssize_t count) {
  std::vector<PyObject*> found;
  for (Py_ssize_t i = 0; i < count; ++i) {
    any_of_items(args[i], [&](PyObject* object) {
      if (!object_overrides(object)) return false;
      PyTypeObject* type = Py_TYPE(object);
      if (std::any_of(found.begin(), found.end(), [&](PyObject* one) { return Py_TYPE(one) == type; })) return false;
      const auto place =
          std::find_if(found.begin(), found.end(), [&](PyObject* one) { return PyType_IsSubtype(type, Py_TYPE(one)); });
      found.insert(place, object);
      return false;
    });
  }
  return found;
}

py::tuple types_of(const std::vector<PyObject*>& objects) {
  py::tuple types(objects.size());
  for (std::size_t i = 0; i < objects.size(); ++i) types[i] = py::type::handle_of(objects[i]);
  return types;
}

std::string name_of(const py::handle& function) {
  const py::object module = py::getattr(function, "__module__", py::str("torch"));
  const py::object name = py::getattr(function, "__qualname__", py::repr(function));
  return py::str(name).cast<std::string>();
}

// The mode is off while its own function runs.
class ModeOff {
 public:
  ModeOff() : mode_(t_state.modes.back()) {
    t_state.modes.pop_back();
    --override_modes;
  }
  ~ModeOff() {
    t_state.modes.push_back(mode_);
    ++override_modes;
  }
  ModeOff(const ModeOff&) = delete;
  ModeOff& operator=(const ModeOff&) = delete;
  py::handle mode() const { return mode_; }

 private:
  PyObject* mode_;
};

PyObject* dispatch(const py::handle& function, const std::vector<PyObject*>& objects, const py::tuple& args,
                   const py::object& kwargs) {
  const py::tuple types = types_of(objects);
  std::string refused;
  if (modes_apply()) {
    const ModeOff off;
    py::object result = off.mode().attr(g_name)(function, types, args, kwargs);
    if (result.ptr() != Py_NotImplemented) return result.release().ptr();
    refused += "\n  - mode object " + py::repr(off.mode()).cast<std::string>();
  }
  for (PyObject* object : objects) {
    const py::handle type(reinterpret_cast<PyObject*>(Py_TYPE(object)));
    py::object result = type.attr(g_name)(function, types, args, kwargs);
    if (result.ptr() != Py_NotImplemented) return result.release().ptr();
    refused += "\n  - tensor subclass " + py::repr(type).cast<std::string>();
  }
  throw py::type_error("Multiple dispatch failed for '" + name_of(function) +
                       "'; all __torch_function__ handlers returned NotImplemented:\n" + refused);
}

// --- __torch_function__ that declines ----------------------------------------------------------------------------

PyObject* call_disabled(PyObject*, PyObject* args, PyObject*) {
  PyObject* function = nullptr;
  PyObject* types = nullptr;
  PyObject* call_args = nullptr;
  PyObject* kwargs = nullptr;
  if (!PyArg_UnpackTuple(args, "_disabled_torch_function_impl", 2, 4, &function, &types, &call_args, &kwargs)) {
    return nullptr;
  }
  const StateGuard guard(State::SubclassesDisabled);
  const py::tuple none(0);
  return PyObject_Call(function, call_args == nullptr ? none.ptr() : call_args,
                       kwargs == Py_None || kwargs == nullptr || PyDict_GET_SIZE(kwargs) == 0 ? nullptr : kwargs);
}

PyMethodDef disabled_method = {
    "_disabled_torch_function_impl",
    reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(&call_disabled)),
    METH_VARARGS | METH_KEYWORDS,
    "_disabled_torch_function_impl(*args) -> object\n\nThe __torch_function__ of a class that wants no say: calls the "
    "function.",
};

// with DisableTorchFunctionSubclass(): ...
template <int level>
struct Disable {
  State before = State::Enabled;
};

template <int level>
void add_disable(py::module_& module, const char* name, const char* doc) {
  py::class_<Disable<level>>(module, name, doc)
      .def(py::init<>())
      .def("__enter__",
           [](Disable<level>& self) {
             self.before = std::exchange(t_state.state, std::max(static_cast<State>(level), t_state.state));
           })
      .def("__exit__", [](Disable<level>& self, const py::args&) { t_state.state = self.before; });
}

// --- functions written in Python ---------------------------------------------------------------------------------

// A Python function that asks its arguments first.
struct Overridable {
  PyObject ob_base;
  vectorcallfunc vectorcall;
  PyObject* function;
  PyObject* dict;
};

PyObject* overridable_vectorcall(PyObject* object, PyObject* const* args, std::size_t flagged, PyObject* names) {
  auto* self = reinterpret_cast<Overridable*>(object);
  const Py_ssize_t count = PyVectorcall_NARGS(flagged);
  if (has_override(args, count + (names == nullptr ? 0 : PyTuple_GET_SIZE(names)))) {
    return guarded<PyObject*>(nullptr, [&] { return call_override(object, args, count, names); });
  }
  return PyObject_Vectorcall(self->function, args, flagged, names);
}
PyObject* overridable_bind(PyObject* self, PyObject* object, PyObject*) {
  return object == nullptr || object == Py_None ? Py_NewRef(self) : PyMethod_New(self, object);
}
int overridable_traverse(PyObject* object, visitproc visit, void* arg) {
  auto* self = reinterpret_cast<Overridable*>(object);
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->function);
  Py_VISIT(self->dict);
  return 0;
}
int overridable_clear(PyObject* object) {
  auto* self = reinterpret_cast<Overridable*>(object);
  Py_CLEAR(self->function);
  Py_CLEAR(self->dict);
  return 0;
}
void overridable_dealloc(PyObject* object) {
  PyTypeObject* type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  overridable_clear(object);
  type->tp_free(object);
  Py_DECREF(type);
}
PyObject* overridable_repr(PyObject* self) {
  return guarded<PyObject*>(nullptr,
                            [&] { return py::repr(reinterpret_cast<Overridable*>(self)->function).release().ptr(); });
}
PyObject* overridable_doc(PyObject* self, void*) {
  return PyObject_GetAttrString(reinterpret_cast<Overridable*>(self)->function, "__doc__");
}

PyMemberDef overridable_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Overridable, vectorcall), READONLY, nullptr},
    {"__dictoffset__", T_PYSSIZET, offsetof(Overridable, dict), READONLY, nullptr},
    {"__wrapped__", T_OBJECT, offsetof(Overridable, function), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};
PyGetSetDef overridable_getset[] = {
    {"__dict__", PyObject_GenericGetDict, nullptr, nullptr, nullptr},
    {"__doc__", overridable_doc, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyTypeObject* make_overridable_type() {
  const auto slot = [](auto function) { return reinterpret_cast<void*>(function); };
  PyType_Slot slots[] = {
      {Py_tp_call, slot(&PyVectorcall_Call)},
      {Py_tp_descr_get, slot(&overridable_bind)},
      {Py_tp_traverse, slot(&overridable_traverse)},
      {Py_tp_clear, slot(&overridable_clear)},
      {Py_tp_dealloc, slot(&overridable_dealloc)},
      {Py_tp_repr, slot(&overridable_repr)},
      {Py_tp_members, overridable_members},
      {Py_tp_getset, overridable_getset},
      {0, nullptr},
  };
  PyType_Spec spec = {"fastnn._C.OverridableFunction", sizeof(Overridable), 0,
                      static_cast<unsigned>(Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL |
                                            Py_TPFLAGS_METHOD_DESCRIPTOR),
                      slots};
  PyObject* type = PyType_FromSpec(&spec);
  if (type == nullptr) throw_python();
  return reinterpret_cast<PyTypeObject*>(type);
}

py::object make_overridable(const py::object& function) {
  static PyTypeObject* const type = make_overridable_type();
  auto* self = reinterpret_cast<Overridable*>(type->tp_alloc(type, 0));
  if (self == nullptr) throw_python();
  self->vectorcall = &overridable_vectorcall;
  self->function = Py_NewRef(function.ptr());
  auto result = py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(self));
  for (const char* name : {"__name__", "__qualname__", "__module__"}) result.attr(name) = function.attr(name);
  return result;
}

// --- what Python asks --------------------------------------------------------------------------------------------

bool any_override(const py::iterable& arguments) {
  const py::tuple list(arguments);
  if (modes_apply()) return true;
  // vmap knows Python's functions by the operations that they consist of.
  return std::any_of(list.begin(), list.end(),
                     [](py::handle one) { return Py_TYPE(one.ptr()) != batched_type && object_overrides(one.ptr()); });
}

py::object handle(const py::object& function, const py::iterable& relevant, const py::args& args,
                  const py::kwargs& kwargs) {
  const py::tuple list(relevant);
  std::vector<PyObject*> objects;
  for (const py::handle one : list) objects.push_back(one.ptr());
  const std::vector<PyObject*> found = overriding(objects.data(), static_cast<Py_ssize_t>(objects.size()));
  return py::reinterpret_steal<py::object>(dispatch(function, found, args, kwargs));
}

void push_mode(const py::object& mode) {
  t_state.modes.push_back(py::object(mode).release().ptr());
  ++override_modes;
}
py::object pop_mode() {
  FASTNN_CHECK(!t_state.modes.empty(), ErrorKind::Runtime, "no __torch_function__ mode is on");
  PyObject* mode = t_state.modes.back();
  t_state.modes.pop_back();
  --override_modes;
  return py::reinterpret_steal<py::object>(mode);
}

// A tensor of the type for vmap: the geometry of `value` without its first dimension. Its memory is not to be read.
py::object make_batched(const py::object& type, const py::object& value) {
  FASTNN_CHECK(is_tensor(value.ptr()), ErrorKind::Type, "vmap: expected a Tensor");
  const Tensor tensor = tensor_of(value.ptr());
  Tensor shell = tensor.detached();
  TensorImpl& impl = *shell.impl();
  const auto rest = [](const Dims& dims) { return Dims(IntSpan(dims.data() + 1, dims.size() - 1)); };
  impl.set_geometry(rest(tensor.sizes()), rest(tensor.strides()));
  impl.wrapped_number = false;
  return py::reinterpret_steal<py::object>(wrap_as(reinterpret_cast<PyTypeObject*>(type.ptr()), shell));
}

}  // namespace

void check_not_batched(PyObject* object) {
  FASTNN_CHECK(Py_TYPE(object) != batched_type, ErrorKind::Runtime,
               "vmap: this function has no rule for tensors that vmap maps over");
}

bool overrides(PyObject* object) { return any_of_items(object, &object_overrides); }
bool modes_apply() { return !t_state.modes.empty() && t_state.state != State::AllDisabled; }

PyObject* call_override(PyObject* function, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  const Py_ssize_t keywords = names == nullptr ? 0 : PyTuple_GET_SIZE(names);
  py::tuple positional(count);
  for (Py_ssize_t i = 0; i < count; ++i) positional[i] = py::reinterpret_borrow<py::object>(args[i]);
  py::dict kwargs;
  for (Py_ssize_t i = 0; i < keywords; ++i) kwargs[PyTuple_GET_ITEM(names, i)] = py::handle(args[count + i]);
  return dispatch(function, overriding(args, count + keywords), positional, kwargs);
}

PyObject* override_method(const char* name, PyObject* const* args, Py_ssize_t count) {
  return guarded<PyObject*>(nullptr, [&] {
    const py::object function = py::handle(reinterpret_cast<PyObject*>(tensor_type)).attr(name);
    return call_override(function.ptr(), args, count, nullptr);
  });
}

PyObject* override_method(const char* name, PyObject* self, PyObject* args, PyObject* kwargs) {
  return guarded<PyObject*>(nullptr, [&] {
    const py::object function = py::handle(reinterpret_cast<PyObject*>(tensor_type)).attr(name);
    const Py_ssize_t rest = args == nullptr ? 0 : PyTuple_GET_SIZE(args);
    py::tuple all(1 + rest);
    all[0] = py::handle(self);
    std::vector<PyObject*> objects{self};
    for (Py_ssize_t i = 0; i < rest; ++i) {
      objects.push_back(PyTuple_GET_ITEM(args, i));
      all[1 + i] = py::handle(objects.back());
    }
    const py::object keywords = kwargs == nullptr ? py::dict() : py::reinterpret_borrow<py::object>(kwargs);
    return dispatch(function, overriding(objects.data(), static_cast<Py_ssize_t>(objects.size())), all, keywords);
  });
}

PyObject* override_attribute(const char* name, const char* access, PyObject* const* args, Py_ssize_t count) {
  return guarded<PyObject*>(nullptr, [&] {
    const py::object function = py::handle(reinterpret_cast<PyObject*>(tensor_type)).attr(name).attr(access);
    return call_override(function.ptr(), args, count, nullptr);
  });
}

void init_overrides(py::module_& module) {
  g_name = PyUnicode_InternFromString("__torch_function__");
  g_disabled = PyCFunction_New(&disabled_method, nullptr);
  module.attr("_disabled_torch_function_impl") = py::handle(g_disabled);
  add_disable<1>(module, "DisableTorchFunctionSubclass",
                 "Inside, no class takes over operations: they work on plain tensors.");
  add_disable<2>(module, "DisableTorchFunction", "Inside, neither classes nor modes take over operations.");
  module.def("_overridable", &make_overridable, "The function, asking the classes of its arguments first.");
  module.def("_has_torch_function", &any_override);
  module.def("_handle_torch_function", &handle);
  module.def("_is_torch_function_enabled", [] { return t_state.state == State::Enabled; });
  module.def("_is_torch_function_mode_enabled", &modes_apply);
  module.def("_push_torch_function_mode", &push_mode);
  module.def("_pop_torch_function_mode", &pop_mode);
  module.def("_len_torch_function_stack", [] { return t_state.modes.size(); });
  module.def("_get_torch_function_mode",
             [](std::size_t i) { return py::reinterpret_borrow<py::object>(t_state.modes.at(i)); });
  module.def("_make_batched", &make_batched);
  module.def("_set_batched_type", [](const py::object& type) {
    batched_type = reinterpret_cast<PyTypeObject*>(py::object(type).release().ptr());
  });
  module.def("_set_random_interceptor", [](const py::object& function) {
    PyObject* before = random_interceptor;
    random_interceptor = function.is_none() ? nullptr : Py_NewRef(function.ptr());
    Py_XDECREF(before);
  });
}

}  // namespace fastnn::python
