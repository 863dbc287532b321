// The base of nn.Module: attribute look-up in its tables, and calls, without a Python frame of their own.
//
// A module keeps parameters, buffers and submodules in three dicts, so `self.weight` is an attribute that ordinary
// look-up does not find. A `__getattr__` in Python costs half a microsecond each time, as much as a small operation;
// here it is a few dict look-ups. Semantics are those of nn/modules/module.py: subclasses may override anything.
#include <array>

#include "bindings/python.h"

namespace fastnn::python {

namespace {

// Interned once; look-ups in dicts compare pointers.
PyObject* intern(const char* text) {
  PyObject* name = PyUnicode_InternFromString(text);
  if (name == nullptr) throw_python();
  return name;
}

struct Names {
  std::array<PyObject*, 3> tables{intern("_parameters"), intern("_buffers"), intern("_modules")};
  std::array<PyObject*, 4> hooks{intern("_forward_hooks"), intern("_forward_pre_hooks"), intern("_backward_hooks"),
                                 intern("_backward_pre_hooks")};
  PyObject* forward = intern("forward");
  PyObject* call_hooked = intern("_call_hooked");
  PyObject* getattr = intern("__getattr__");
};
Names* g_names = nullptr;
PyObject* g_getattr_method = nullptr;       // _ModuleBase.__getattr__, to know it from an override
PyObject* g_getattribute = nullptr;         // object.__getattribute__
std::array<PyObject*, 4> g_global_hooks{};  // dicts of hooks that hold for every module

// The instance's __dict__ as a borrowed reference; null without an error if it has none.
PyObject* instance_dict(PyObject* self) {
  PyObject* dict = PyObject_GenericGetDict(self, nullptr);
  if (dict == nullptr) {
    PyErr_Clear();
    return nullptr;
  }
  Py_DECREF(dict);  // the instance keeps it
  return dict;
}

// The entry `name` of one of the three tables, a new reference; null, perhaps with an error, if there is none.
PyObject* find_in_tables(PyObject* self, PyObject* name) {
  PyObject* dict = instance_dict(self);
  if (dict == nullptr) return nullptr;
  for (PyObject* table_name : g_names->tables) {
    PyObject* table = PyDict_GetItemWithError(dict, table_name);
    if (table == nullptr || !PyDict_Check(table)) {
      if (PyErr_Occurred()) return nullptr;
      continue;  // before __init__
    }
    PyObject* value = PyDict_GetItemWithError(table, name);
    if (value != nullptr) return Py_NewRef(value);
    if (PyErr_Occurred()) return nullptr;
  }
  return nullptr;
}

PyObject* no_attribute(PyObject* self, PyObject* name) {
  PyErr_Format(PyExc_AttributeError, "'%s' object has no attribute '%U'", _PyType_Name(Py_TYPE(self)), name);
  return nullptr;
}

// Method `__getattr__`: what super().__getattr__(name) of an override reaches.
PyObject* module_getattr(PyObject* self, PyObject* name) {
  PyObject* value = find_in_tables(self, name);
  return value != nullptr || PyErr_Occurred() ? value : no_attribute(self, name);
}

// Slot: ordinary look-up first, and without raising and clearing an AttributeError on the way to the tables.
PyObject* module_getattro(PyObject* self, PyObject* name) {
  PyObject* value = _PyObject_GenericGetAttrWithDict(self, name, nullptr, 1);
  if (value != nullptr || PyErr_Occurred()) return value;
  return module_getattr(self, name);
}

// A class made in Python gets the general slot for `__getattr__`; give back the direct one unless it overrides.
PyObject* module_init_subclass(PyObject* cls, PyObject* args, PyObject* kwargs) {
  PyObject* base = PyObject_GetAttrString(reinterpret_cast<PyObject*>(&PyBaseObject_Type), "__init_subclass__");
  if (base == nullptr) return nullptr;
  PyObject* done = PyObject_Call(base, args, kwargs);
  Py_DECREF(base);
  if (done == nullptr) return nullptr;
  auto* type = reinterpret_cast<PyTypeObject*>(cls);
  PyObject* getattribute = nullptr;
  PyObject* found = PyObject_GetAttr(cls, g_names->getattr);
  if (found != nullptr) getattribute = PyObject_GetAttrString(cls, "__getattribute__");
  if (found == nullptr || getattribute == nullptr) {
    PyErr_Clear();
  } else if (found == g_getattr_method && getattribute == g_getattribute) {
    type->tp_getattro = module_getattro;
    PyType_Modified(type);
  }
  Py_XDECREF(found);
  Py_XDECREF(getattribute);
  return done;
}

// Whether a call has to go through hooks; -1 on error.
int is_hooked(PyObject* self) {
  for (PyObject* table : g_global_hooks) {
    if (table != nullptr && PyDict_GET_SIZE(table) != 0) return 1;
  }
  PyObject* dict = instance_dict(self);
  if (dict == nullptr) return 0;
  for (PyObject* name : g_names->hooks) {
    PyObject* table = PyDict_GetItemWithError(dict, name);
    if (table == nullptr) {
      if (PyErr_Occurred()) return -1;
      continue;
    }
    if (PyDict_Check(table) ? PyDict_GET_SIZE(table) != 0 : PyObject_IsTrue(table) != 0) return 1;
  }
  return 0;
}

PyObject* module_call(PyObject* self, PyObject* args, PyObject* kwargs) {
  const int hooked = is_hooked(self);
  if (hooked < 0) return nullptr;
  if (hooked == 0) {
    PyObject* forward = PyObject_GetAttr(self, g_names->forward);
    if (forward == nullptr) return nullptr;
    PyObject* result = PyObject_Call(forward, args, kwargs);
    Py_DECREF(forward);
    return result;
  }
  PyObject* options = kwargs == nullptr ? PyDict_New() : Py_NewRef(kwargs);
  if (options == nullptr) return nullptr;
  PyObject* result = PyObject_CallMethodObjArgs(self, g_names->call_hooked, args, options, nullptr);
  Py_DECREF(options);
  return result;
}

PyMethodDef module_methods[] = {
    {"__getattr__", module_getattr, METH_O, "Look a name up among parameters, buffers and submodules."},
    {"__init_subclass__", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(module_init_subclass)),
     METH_CLASS | METH_VARARGS | METH_KEYWORDS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot module_slots[] = {{Py_tp_doc, const_cast<char*>("What nn.Module has in C++: attribute look-up and calls.")},
                              {Py_tp_methods, module_methods},
                              {Py_tp_getattro, reinterpret_cast<void*>(module_getattro)},
                              {Py_tp_call, reinterpret_cast<void*>(module_call)},
                              {0, nullptr}};

PyType_Spec module_spec = {"fastnn._C._ModuleBase", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                           module_slots};

}  // namespace

void init_module_base(py::module_& module) {
  g_names = new Names;
  PyObject* type = PyType_FromSpec(&module_spec);
  if (type == nullptr) throw_python();
  g_getattr_method = PyObject_GetAttr(type, g_names->getattr);
  g_getattribute = PyObject_GetAttrString(reinterpret_cast<PyObject*>(&PyBaseObject_Type), "__getattribute__");
  module.attr("_ModuleBase") = py::reinterpret_steal<py::object>(type);
  module.def("_set_global_module_hooks",
             [](py::dict forward, py::dict forward_pre, py::dict backward, py::dict backward_pre) {
               g_global_hooks = {forward.release().ptr(), forward_pre.release().ptr(), backward.release().ptr(),
                                 backward_pre.release().ptr()};
             });
}

}  // namespace fastnn::python
