// What every file of this room shares: conversions between Python objects and the library's types, and errors.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <string>
#include <vector>

#include "autograd/node.h"
#include "core/random.h"
#include "core/tensor.h"

namespace py = pybind11;

PYBIND11_DECLARE_HOLDER_TYPE(T, fastnn::Ref<T>, true)

namespace fastnn::python {

// --- errors ------------------------------------------------------------------------------------------------------

void init_errors(py::module_& module);
// Turns the exception being handled into the Python error indicator.
void set_python_error() noexcept;

// Runs `f` as the body of a C function: exceptions become Python errors and the result becomes `failed`.
template <class R, class F>
R guarded(R failed, F&& f) noexcept {
  try {
    return f();
  } catch (...) {
    set_python_error();
    return failed;
  }
}
[[noreturn]] inline void throw_python() { throw py::error_already_set(); }

// --- tensors -----------------------------------------------------------------------------------------------------

struct PyTensor {
  PyObject ob_base;
  TensorImpl* impl;  // owned, unless impl->owns_python
  PyObject* dict;
  PyObject* weakrefs;
};

extern PyTypeObject* tensor_type;
void init_tensor_type(py::module_& module);

inline bool is_tensor(PyObject* object) {
  return Py_TYPE(object) == tensor_type || PyType_IsSubtype(Py_TYPE(object), tensor_type);
}
inline TensorImpl* impl_of(PyObject* object) { return reinterpret_cast<PyTensor*>(object)->impl; }
// A Tensor for as long as a call lasts: no reference is taken until it is copied.
inline Tensor tensor_of(PyObject* object) { return Tensor(impl_of(object)); }
// The Python object of a tensor (a new reference); the same one each time. None if undefined.
PyObject* wrap(const Tensor& tensor);
// The same, as an object of a subclass; takes a tensor that has no Python object yet.
PyObject* wrap_as(PyTypeObject* type, const Tensor& tensor);

// --- small types -------------------------------------------------------------------------------------------------

void init_types(py::module_& module);
extern PyTypeObject* size_type;
PyObject* wrap_size(IntSpan sizes);
PyObject* wrap_dtype(DType dtype);                       // new reference
std::optional<DType> dtype_of_object(PyObject* object);  // a dtype, or Python's float, int, bool
struct Device {
  std::string type = "cpu";
  std::optional<int> index;
};
PyObject* cpu_device();  // borrowed
// A device from an object, a string or an index; an error if tensors cannot live there.
Device parse_device(py::handle object);
void check_device(py::handle object, const char* op);
bool is_meta_device(py::handle object);     // shapes without values: fastnn._meta makes such tensors
Generator* generator_of(PyObject* object);  // null if it is none

// The name of a memory format; null if it is none.
const std::string* memory_format_name(PyObject* object);

std::optional<Scalar> scalar_of(PyObject* object);  // Python and NumPy numbers; no tensors

// --- the other files ---------------------------------------------------------------------------------------------

void init_overrides(py::module_& module);  // __torch_function__
void init_ops(py::module_& module);        // operations of the registry
void init_tensor_extras(py::module_& module);
void init_autograd(py::module_& module);
void init_numpy(py::module_& module);  // NumPy, buffer protocol, tensor() from nested data
void tensor_buffer_slots(void*& get, void*& release);
void init_dlpack(py::module_& module);
void init_module_base(py::module_& module);  // the base of nn.Module
void init_random(py::module_& module);
void init_system(py::module_& module);  // threads, memory, information
void init_modes(py::module_& module);   // mixed precision, the profiler

PyObject* tensor_getitem(PyObject* self, PyObject* index);
int tensor_setitem(PyObject* self, PyObject* index, PyObject* value);
// A tensor made of a Python number, nested sequence or NumPy array.
Tensor tensor_from_data(py::handle data, std::optional<DType> dtype);

// Calls an operation of the registry by name with positional arguments; for operators.
PyObject* call_operation(PyObject* callable, PyObject* a, PyObject* b);
PyObject* find_operation(const char* name);  // borrowed; the method
// Fails for a tensor under vmap, which only operations that ask for overrides know how to treat.
void check_not_batched(PyObject* object);

}  // namespace fastnn::python

namespace pybind11::detail {

template <>
struct type_caster<fastnn::Tensor> {
  PYBIND11_TYPE_CASTER(fastnn::Tensor, const_name("Tensor"));
  bool load(handle source, bool) {
    if (source.is_none()) {
      value = {};
      return true;
    }
    if (!fastnn::python::is_tensor(source.ptr())) return false;
    if (Py_TYPE(source.ptr()) != fastnn::python::tensor_type) fastnn::python::check_not_batched(source.ptr());
    value = fastnn::python::tensor_of(source.ptr());
    return true;
  }
  static handle cast(const fastnn::Tensor& tensor, return_value_policy, handle) { return fastnn::python::wrap(tensor); }
};

template <>
struct type_caster<fastnn::DType> {
  PYBIND11_TYPE_CASTER(fastnn::DType, const_name("dtype"));
  bool load(handle source, bool) {
    const auto dtype = fastnn::python::dtype_of_object(source.ptr());
    if (!dtype) return false;
    value = *dtype;
    return true;
  }
  static handle cast(fastnn::DType dtype, return_value_policy, handle) { return fastnn::python::wrap_dtype(dtype); }
};

}  // namespace pybind11::detail
