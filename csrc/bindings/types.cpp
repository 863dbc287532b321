// dtype, device, Size, and the enumerations that PyTorch code passes around.
#include <array>
#include <cstring>

#include <pybind11/stl.h>

#include "bindings/python.h"

namespace fastnn::python {

PyTypeObject* size_type = nullptr;

namespace {

struct DTypeObject {
  DType dtype;
};
struct Layout {
  std::string name;
};
struct MemoryFormat {
  std::string name;
};

std::array<PyObject*, kDTypeCount> g_dtypes{};
PyObject* g_cpu = nullptr;
PyObject* g_strided = nullptr;

// --- Size: a tuple of ints ---

PyObject* size_numel(PyObject* self, PyObject*) {
  std::int64_t total = 1;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i) {
    const long long value = PyLong_AsLongLong(PyTuple_GET_ITEM(self, i));
    if (value == -1 && PyErr_Occurred()) return nullptr;
    total *= value;
  }
  return PyLong_FromLongLong(total);
}

PyObject* size_repr(PyObject* self) {
  std::string text = "torch.Size([";
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i) {
    PyObject* item = PyObject_Repr(PyTuple_GET_ITEM(self, i));
    if (item == nullptr) return nullptr;
    text += std::string(i ? ", " : "") + PyUnicode_AsUTF8(item);
    Py_DECREF(item);
  }
  text += "])";
  return PyUnicode_FromString(text.c_str());
}

PyObject* as_size(PyObject* tuple) {
  if (tuple == nullptr || !PyTuple_Check(tuple)) return tuple;
  const Py_ssize_t n = PyTuple_GET_SIZE(tuple);
  PyObject* result = size_type->tp_alloc(size_type, n);
  if (result != nullptr) {
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyTuple_SET_ITEM(result, i, Py_NewRef(PyTuple_GET_ITEM(tuple, i)));
    }
  }
  Py_DECREF(tuple);
  return result;
}

PyObject* size_concat(PyObject* self, PyObject* other) {
  return as_size(PyTuple_Type.tp_as_sequence->sq_concat(self, other));
}
PyObject* size_repeat(PyObject* self, Py_ssize_t count) {
  return as_size(PyTuple_Type.tp_as_sequence->sq_repeat(self, count));
}
PyObject* size_subscript(PyObject* self, PyObject* index) {
  PyObject* result = PyTuple_Type.tp_as_mapping->mp_subscript(self, index);
  return PySlice_Check(index) ? as_size(result) : result;
}
PyObject* size_reduce(PyObject* self, PyObject*) {
  PyObject* items = PySequence_Tuple(self);
  if (items == nullptr) return nullptr;
  PyObject* plain = PyTuple_New(PyTuple_GET_SIZE(items));
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items); ++i) {
    PyTuple_SET_ITEM(plain, i, Py_NewRef(PyTuple_GET_ITEM(items, i)));
  }
  Py_DECREF(items);
  return Py_BuildValue("O(N)", reinterpret_cast<PyObject*>(size_type), plain);
}
PyObject* size_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  PyObject* self = PyTuple_Type.tp_new(type, args, kwargs);
  if (self == nullptr) return nullptr;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i) {
    PyObject* item = PyTuple_GET_ITEM(self, i);
    if (PyLong_Check(item)) continue;
    PyObject* index = PyNumber_Index(item);
    if (index == nullptr) {
      PyErr_Format(PyExc_TypeError, "torch.Size() takes an iterable of 'int' (item %zd is '%s')", i,
                   Py_TYPE(item)->tp_name);
      Py_DECREF(self);
      return nullptr;
    }
    PyTuple_SET_ITEM(self, i, index);
    Py_DECREF(item);
  }
  return self;
}

PyMethodDef size_methods[] = {
    {"numel", size_numel, METH_NOARGS, "The product of the sizes."},
    {"__reduce__", size_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

void init_size(py::module_& module) {
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("The sizes of a tensor: a tuple of ints.")},
      {Py_tp_new, reinterpret_cast<void*>(&size_new)},
      {Py_tp_repr, reinterpret_cast<void*>(&size_repr)},
      {Py_sq_concat, reinterpret_cast<void*>(&size_concat)},
      {Py_sq_repeat, reinterpret_cast<void*>(&size_repeat)},
      {Py_mp_subscript, reinterpret_cast<void*>(&size_subscript)},
      {Py_tp_methods, size_methods},
      {0, nullptr},
  };
  PyType_Spec spec = {"fastnn.Size", 0, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  PyObject* bases = PyTuple_Pack(1, reinterpret_cast<PyObject*>(&PyTuple_Type));
  PyObject* type = PyType_FromSpecWithBases(&spec, bases);
  Py_XDECREF(bases);
  if (type == nullptr) throw_python();
  size_type = reinterpret_cast<PyTypeObject*>(type);
  module.attr("Size") = py::reinterpret_borrow<py::object>(type);
}

// --- device ---

constexpr std::array<const char*, 20> kDeviceTypes = {
    "cpu",  "cuda", "ipu", "xpu",  "mkldnn", "opengl", "opencl", "ideep", "hip",  "ve",
    "fpga", "maia", "xla", "lazy", "vulkan", "mps",    "meta",   "hpu",   "mtia", "privateuseone"};

Device device_from_string(const std::string& text) {
  const auto colon = text.find(':');
  Device device{text.substr(0, colon), std::nullopt};
  bool known = false;
  for (const char* type : kDeviceTypes) known |= device.type == type;
  bool valid = known;
  if (colon != std::string::npos) {
    const std::string digits = text.substr(colon + 1);
    valid =
        valid && !digits.empty() && digits.size() < 4 && digits.find_first_not_of("0123456789") == std::string::npos;
    if (valid) device.index = std::stoi(digits);
  }
  if (!known) {
    std::string names;
    for (const char* type : kDeviceTypes) names += (names.empty() ? "" : ", ") + std::string(type);
    fail("Expected one of ", names, " device type at start of device string: ", text.substr(0, colon));
  }
  FASTNN_CHECK(valid, ErrorKind::Runtime, "Invalid device string: '", text, "'");
  return device;
}

std::string device_text(const Device& device) {
  return device.type + (device.index ? ":" + std::to_string(*device.index) : "");
}

}  // namespace

PyObject* wrap_size(IntSpan sizes) {
  PyObject* result = size_type->tp_alloc(size_type, static_cast<Py_ssize_t>(sizes.size()));
  if (result == nullptr) throw_python();
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    PyTuple_SET_ITEM(result, static_cast<Py_ssize_t>(i), PyLong_FromLongLong(sizes[i]));
  }
  return result;
}

PyObject* wrap_dtype(DType dtype) { return Py_NewRef(g_dtypes[static_cast<std::size_t>(dtype)]); }

std::optional<DType> dtype_of_object(PyObject* object) {
  for (std::size_t i = 0; i < g_dtypes.size(); ++i) {
    if (g_dtypes[i] == object) return static_cast<DType>(i);
  }
  if (object == reinterpret_cast<PyObject*>(&PyFloat_Type)) return DType::Float64;
  if (object == reinterpret_cast<PyObject*>(&PyLong_Type)) return DType::Int64;
  if (object == reinterpret_cast<PyObject*>(&PyBool_Type)) return DType::Bool;
  if (object == reinterpret_cast<PyObject*>(&PyComplex_Type)) return DType::Complex128;
  return std::nullopt;
}

PyObject* cpu_device() { return g_cpu; }

Device parse_device(py::handle object) {
  if (object.is_none()) return {};
  if (py::isinstance<Device>(object)) return object.cast<Device>();
  if (PyUnicode_Check(object.ptr())) return device_from_string(object.cast<std::string>());
  FASTNN_CHECK(!PyLong_Check(object.ptr()) || PyBool_Check(object.ptr()), ErrorKind::Runtime,
               "Cannot access accelerator device when none is available.");
  fail(ErrorKind::Type, "device: expected torch.device, str or int, got ", Py_TYPE(object.ptr())->tp_name);
}

bool is_meta_device(py::handle object) {
  return object.ptr() != g_cpu && !object.is_none() && parse_device(object).type == "meta";
}

void check_device(py::handle object, const char* op) {
  if (object.ptr() == g_cpu || object.is_none()) return;
  const Device device = parse_device(object);
  for (const auto& [type, name] : {std::pair{"cuda", "CUDA"}, std::pair{"xpu", "XPU"}}) {
    if (device.type != type) continue;
    PyErr_Format(PyExc_AssertionError, "Torch not compiled with %s enabled", name);  // as in PyTorch without it
    throw_python();
  }
  FASTNN_CHECK(device.type == "cpu", ErrorKind::Runtime, op, ": device '", device_text(device),
               "' is not available: fastnn runs on the CPU (use device='cpu')");
}

const std::string* memory_format_name(PyObject* object) {
  if (!py::isinstance<MemoryFormat>(py::handle(object))) return nullptr;
  return &py::handle(object).cast<MemoryFormat&>().name;
}

std::optional<Scalar> scalar_of(PyObject* object) {
  if (PyFloat_Check(object)) return Scalar(PyFloat_AS_DOUBLE(object));
  if (PyBool_Check(object)) return Scalar(object == Py_True);
  if (PyLong_Check(object)) {
    const long long value = PyLong_AsLongLong(object);
    if (value == -1 && PyErr_Occurred()) throw_python();
    return Scalar(static_cast<std::int64_t>(value));
  }
  if (PyComplex_Check(object)) {
    const Py_complex value = PyComplex_AsCComplex(object);
    return Scalar(Complex<double>(value.real, value.imag));
  }
  // NumPy's numbers.
  if (is_tensor(object) || PyUnicode_Check(object) || PySequence_Check(object)) return std::nullopt;
  if (std::strcmp(Py_TYPE(object)->tp_name, "numpy.bool_") == 0 ||
      std::strcmp(Py_TYPE(object)->tp_name, "numpy.bool") == 0) {
    return Scalar(PyObject_IsTrue(object) == 1);
  }
  if (std::strcmp(Py_TYPE(object)->tp_name, "numpy.complex64") == 0) {
    const Py_complex value = PyComplex_AsCComplex(object);
    return Scalar(Complex<double>(value.real, value.imag));
  }
  if (PyIndex_Check(object)) {
    const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(object));
    if (!index) throw_python();
    return scalar_of(index.ptr());
  }
  const PyNumberMethods* number = Py_TYPE(object)->tp_as_number;
  if (number != nullptr && number->nb_float != nullptr) {
    const double value = PyFloat_AsDouble(object);
    if (value == -1.0 && PyErr_Occurred()) throw_python();
    return Scalar(value);
  }
  return std::nullopt;
}

void init_types(py::module_& module) {
  init_size(module);

  py::class_<DTypeObject> dtype(module, "dtype", "The type of a tensor's elements.");
  dtype
      .def_property_readonly(
          "is_floating_point", [](const DTypeObject& self) { return is_floating(self.dtype); },
          "Whether it is a floating point type.")
      .def_property_readonly(
          "is_complex", [](const DTypeObject& self) { return is_complex(self.dtype); }, "Whether it is a complex type.")
      .def_property_readonly(
          "is_signed", [](const DTypeObject& self) { return info(self.dtype).is_signed; },
          "Whether it has negative values.")
      .def_property_readonly(
          "itemsize", [](const DTypeObject& self) { return itemsize(self.dtype); }, "Bytes of an element.")
      .def(
          "to_real", [](const DTypeObject& self) { return to_real(self.dtype); },
          "The type of the real part; itself if not complex.")
      .def(
          "to_complex",
          [](const DTypeObject& self) {
            FASTNN_CHECK(is_differentiable(self.dtype) && !is_reduced_floating(self.dtype), ErrorKind::Runtime,
                         "to_complex: there is no complex type with parts of ", info(self.dtype).name);
            return to_complex(self.dtype);
          },
          "The complex type with parts of this type; itself if complex.")
      .def("__repr__", [](const DTypeObject& self) { return "torch." + std::string(info(self.dtype).name); })
      .def("__reduce__", [](const DTypeObject& self) { return std::string(info(self.dtype).name); })
      .def("__copy__", [](py::object self) { return self; })
      .def("__deepcopy__", [](py::object self, const py::object&) { return self; })
      .def("__hash__", [](const DTypeObject& self) { return static_cast<int>(self.dtype) + 1; });
  // Pickling finds the object by its name in this module.
  dtype.attr("__module__") = "fastnn";
  for (std::size_t i = 0; i < g_dtypes.size(); ++i) {
    py::object object = py::cast(DTypeObject{static_cast<DType>(i)});
    g_dtypes[i] = object.inc_ref().ptr();
    module.attr(std::string(kDTypes[i].name).c_str()) = object;
  }
  constexpr std::pair<const char*, DType> kAliases[] = {
      {"float", DType::Float32},    {"double", DType::Float64},     {"half", DType::Float16},
      {"short", DType::Int16},      {"int", DType::Int32},          {"long", DType::Int64},
      {"cfloat", DType::Complex64}, {"cdouble", DType::Complex128},
  };
  for (const auto& [name, value] : kAliases) {
    module.attr(name) = py::reinterpret_borrow<py::object>(g_dtypes[static_cast<std::size_t>(value)]);
  }

  py::class_<Device> device(module, "device", "Where a tensor lives: the CPU, or 'meta' for a shape without values.");
  device.attr("__module__") = "fastnn";
  device
      .def(py::init([](const py::object& what, const std::optional<int>& index) {
             Device result = parse_device(what);
             if (index) {
               FASTNN_CHECK(!result.index, ErrorKind::Runtime,
                            "type (string) must not include an index because index "
                            "was passed explicitly: ",
                            device_text(result));
               result.index = index;
             }
             return result;
           }),
           py::arg("type"), py::arg("index") = py::none())
      .def_readonly("type", &Device::type, "The kind of device: 'cpu'.")
      .def_readonly("index", &Device::index, "The number of the device among its kind, or None.")
      .def("__repr__",
           [](const Device& self) {
             return "device(type='" + self.type + "'" + (self.index ? ", index=" + std::to_string(*self.index) : "") +
                    ")";
           })
      .def("__str__", &device_text)
      .def("__eq__",
           [](const Device& self, const py::object& other) {
             if (!py::isinstance<Device>(other)) return false;
             const auto& that = other.cast<const Device&>();
             return self.type == that.type && self.index == that.index;
           })
      .def("__hash__", [](const Device& self) { return std::hash<std::string>{}(device_text(self)); })
      .def("__enter__",
           [](py::object self) {
             if (is_meta_device(self)) py::module_::import("fastnn._meta").attr("enter")();
             return self;
           })
      .def("__exit__",
           [](const py::object& self, const py::args&) {
             if (is_meta_device(self)) py::module_::import("fastnn._meta").attr("leave")();
           })
      .def("__reduce__",
           [](const py::object& self) { return py::make_tuple(py::type::of(self), py::make_tuple(py::str(self))); });
  g_cpu = py::cast(Device{}).release().ptr();

  py::class_<Layout>(module, "layout", "How a tensor lies in memory.").def("__repr__", [](const Layout& self) {
    return "torch." + self.name;
  });
  for (const char* name : {"strided", "sparse_coo"}) module.attr(name) = py::cast(Layout{name});
  g_strided = module.attr("strided").ptr();
  py::class_<MemoryFormat>(module, "memory_format", "An order of dimensions in memory.")
      .def("__repr__", [](const MemoryFormat& self) { return "torch." + self.name; });
  for (const char* name : {"preserve_format", "contiguous_format", "channels_last", "channels_last_3d"}) {
    module.attr(name) = py::cast(MemoryFormat{name});
  }
}

}  // namespace fastnn::python
