#include "bindings/python.h"
#include "core/error.h"

namespace fastnn::python {

namespace {

PyObject* g_out_of_memory = nullptr;
PyObject* g_linalg_error = nullptr;

PyObject* exception_type(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Runtime:
      return PyExc_RuntimeError;
    case ErrorKind::Index:
      return PyExc_IndexError;
    case ErrorKind::Type:
      return PyExc_TypeError;
    case ErrorKind::Value:
      return PyExc_ValueError;
    case ErrorKind::NotImplemented:
      return PyExc_NotImplementedError;
    case ErrorKind::OutOfMemory:
      return g_out_of_memory;
    case ErrorKind::Buffer:
      return PyExc_BufferError;
    case ErrorKind::LinAlg:
      return g_linalg_error;
  }
  return PyExc_RuntimeError;
}

}  // namespace

void set_python_error() noexcept {
  try {
    throw;
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const Error& error) {
    PyErr_SetString(exception_type(error.kind()), error.what());
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  } catch (...) {
    PyErr_SetString(PyExc_RuntimeError, "unknown error");
  }
}

void init_errors(py::module_& module) {
  const py::object bases = py::make_tuple(py::handle(PyExc_RuntimeError), py::handle(PyExc_MemoryError));
  g_out_of_memory = PyErr_NewExceptionWithDoc("fastnn.OutOfMemoryError", "The system refused the memory asked for.",
                                              bases.ptr(), nullptr);
  if (g_out_of_memory == nullptr) throw_python();
  module.attr("OutOfMemoryError") = py::reinterpret_borrow<py::object>(g_out_of_memory);
  g_linalg_error = PyErr_NewExceptionWithDoc(
      "fastnn.linalg.LinAlgError", "A matrix is not one that the operation can work with: singular, or not definite.",
      PyExc_RuntimeError, nullptr);
  if (g_linalg_error == nullptr) throw_python();
  module.attr("_LinAlgError") = py::reinterpret_borrow<py::object>(g_linalg_error);
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Error& error) {
      PyErr_SetString(exception_type(error.kind()), error.what());
    }
  });
}

}  // namespace fastnn::python
