#include "bindings/python.h"

namespace fastnn::python {

Generator* generator_of(PyObject* object) {
  return py::isinstance<Generator>(py::handle(object)) ? py::handle(object).cast<Generator*>() : nullptr;
}

void init_random(py::module_& module) {
  py::class_<Generator>(module, "Generator", "A source of random numbers.").def(py::init<>());
}

}  // namespace fastnn::python
