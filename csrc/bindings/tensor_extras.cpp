// What the Python part of Tensor's methods needs from the core.
#include <pybind11/stl.h>

#include "autograd/record.h"
#include "bindings/python.h"
#include "ops/elementwise.h"
#include "ops/shape.h"

namespace fastnn::python {

namespace {

// Changes the geometry of a tensor in place (unsqueeze_, t_): `make` turns the old tensor into a view of it.
py::object become(const py::object& self, const py::function& make) {
  const Tensor target = tensor_of(self.ptr());
  if (grad_mode().enabled) {
    FASTNN_CHECK(!(target.impl()->requires_grad && is_leaf(target)), ErrorKind::Runtime,
                 "a leaf Variable that requires grad is being used in an in-place operation.");
  }
  const Tensor made = make(before_write(target)).cast<Tensor>();
  TensorImpl& impl = *target.impl();
  impl.offset = made.storage_offset();
  impl.set_geometry(made.sizes(), made.strides());
  bump_version(target);
  impl.view_version = impl.version();
  if (made.impl()->grad_fn) {
    set_history(target, Ref<Node>(static_cast<Node*>(made.impl()->grad_fn.get())), made.impl()->output_number);
  }
  return self;
}

py::object resize(const py::object& self, const std::vector<std::int64_t>& sizes) {
  const Tensor target = tensor_of(self.ptr());
  FASTNN_CHECK(!tracks_view(target), ErrorKind::Runtime, "cannot resize variables that require grad");
  TensorImpl& impl = *target.impl();
  const std::int64_t elements = product(Dims(sizes));
  for (const std::int64_t size : sizes) {
    FASTNN_CHECK(size >= 0, ErrorKind::Runtime, "resize_: negative size ", size);
  }
  const auto bytes = static_cast<std::size_t>((impl.offset + elements) * itemsize(impl.dtype));
  if (impl.storage->nbytes() < bytes) impl.storage->resize(bytes);
  if (!(impl.sizes == Dims(sizes))) impl.set_geometry(Dims(sizes), contiguous_strides(sizes));
  return self;
}

DType promoted(const py::object& a, const py::object& b) {
  TypePromotion promotion;
  for (const py::object& one : {a, b}) {
    if (is_tensor(one.ptr())) {
      promotion.add(tensor_of(one.ptr()));
      continue;
    }
    const auto scalar = scalar_of(one.ptr());
    FASTNN_CHECK(scalar.has_value(), ErrorKind::Type, "result_type(): expected a Tensor or a number, got ",
                 Py_TYPE(one.ptr())->tp_name);
    promotion.add(*scalar);
  }
  return promotion.result();
}

}  // namespace

void init_tensor_extras(py::module_& module) {
  module.def("_become", &become);
  module.def("_resize", &resize);
  module.def("_check_device", [](const py::object& device, const char* op) { check_device(device, op); });
  module.def("_to_dtype", [](const Tensor& self, DType dtype) { return to_dtype(self, dtype); });
  const py::handle type(reinterpret_cast<PyObject*>(tensor_type));
  type.attr("as_subclass") = py::cpp_function(
      [](const Tensor& self, const py::object& cls) {
        FASTNN_CHECK(
            PyType_Check(cls.ptr()) && PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls.ptr()), tensor_type),
            ErrorKind::Type, "as_subclass(): cls must be a subclass of Tensor");
        return py::reinterpret_steal<py::object>(
            wrap_as(reinterpret_cast<PyTypeObject*>(cls.ptr()), make_view_like(self)));
      },
      py::name("as_subclass"), py::is_method(type), py::arg("cls"),
      "The same memory and history as an object of a subclass of Tensor.");
  module.def("_result_type", &promoted);
  module.def("_promote_types", &promote);
  module.def("_can_cast", &can_cast);
}

}  // namespace fastnn::python
