// Table of contents of the extension.
#include "bindings/python.h"

PYBIND11_MODULE(_C, module) {
  using namespace fastnn::python;
  module.doc() = "The compiled core of fastnn.";
  init_errors(module);
  init_types(module);
  init_tensor_type(module);
  init_overrides(module);
  init_module_base(module);
  init_ops(module);
  init_tensor_extras(module);
  init_autograd(module);
  init_numpy(module);
  init_dlpack(module);
  init_random(module);
  init_system(module);
  init_modes(module);
}
