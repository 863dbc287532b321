// __torch_function__: classes (and modes) that take over the operations on their objects.
#pragma once

#include "bindings/python.h"

namespace fastnn::python {

extern int override_modes;            // how many modes are on, in all threads
extern PyTypeObject* batched_type;    // tensors under vmap; null until it is used
extern PyObject* random_interceptor;  // what vmap calls instead of an operation with random results; null outside

// Whether the class of `object`, or of an item of this list, has its own __torch_function__.
bool overrides(PyObject* object);
bool modes_apply();

inline bool has_override(PyObject* const* args, Py_ssize_t count) {
  if (override_modes != 0 && modes_apply()) [[unlikely]]
    return true;
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (Py_TYPE(args[i]) != tensor_type && overrides(args[i])) [[unlikely]]
      return true;
  }
  return false;
}
// For members of Tensor. Shape and dtype of a tensor under vmap are those that its object has.
inline bool has_override(PyObject* self, bool metadata = false) {
  if (metadata && Py_TYPE(self) == batched_type) return false;
  return has_override(&self, 1);
}

// Calls __torch_function__(function, types, args, kwargs) of the arguments, as vectorcall passes them.
PyObject* call_override(PyObject* function, PyObject* const* args, Py_ssize_t count, PyObject* names);
// The same for a method, and for the getter ("__get__") or setter ("__set__") of an attribute of Tensor.
PyObject* override_method(const char* name, PyObject* self, PyObject* args, PyObject* kwargs);
PyObject* override_method(const char* name, PyObject* const* args, Py_ssize_t count);
PyObject* override_attribute(const char* name, const char* access, PyObject* const* args, Py_ssize_t count);

}  // namespace fastnn::python
