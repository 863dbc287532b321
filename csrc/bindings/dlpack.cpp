// Exchange of tensors with other libraries through the DLPack protocol.
#include "autograd/record.h"
#include "bindings/python.h"

namespace fastnn::python {

namespace {

// The structures of DLPack 0.8, which every library reads.
struct DLDevice {
  std::int32_t type;
  std::int32_t id;
};
struct DLDataType {
  std::uint8_t code;
  std::uint8_t bits;
  std::uint16_t lanes;
};
struct DLTensor {
  void* data;
  DLDevice device;
  std::int32_t ndim;
  DLDataType dtype;
  std::int64_t* shape;
  std::int64_t* strides;
  std::uint64_t byte_offset;
};
struct DLManagedTensor {
  DLTensor tensor;
  void* context;
  void (*deleter)(DLManagedTensor*);
};

constexpr std::int32_t kCpu = 1;
constexpr const char* kCapsule = "dltensor";
constexpr const char* kUsedCapsule = "used_dltensor";

enum Code : std::uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kComplex = 5, kBool = 6 };

DLDataType dlpack_type(DType dtype) {
  const auto bits = static_cast<std::uint8_t>(itemsize(dtype) * 8);
  if (dtype == DType::Bool) return {kBool, 8, 1};
  if (dtype == DType::BFloat16) return {kBfloat, 16, 1};
  if (is_floating(dtype)) return {kFloat, bits, 1};
  if (is_complex(dtype)) return {kComplex, bits, 1};
  return {dtype == DType::UInt8 ? kUInt : kInt, bits, 1};
}

DType dtype_from(const DLDataType& type) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const DLDataType own = dlpack_type(static_cast<DType>(i));
    if (own.code == type.code && own.bits == type.bits && type.lanes == 1) return static_cast<DType>(i);
  }
  fail(ErrorKind::Buffer, "from_dlpack: unsupported dtype with code ", int{type.code}, ", ", int{type.bits},
       " bits and ", type.lanes, " lanes");
}

struct Exported {
  Tensor tensor;
  DLManagedTensor managed;
};

py::capsule to_dlpack(const Tensor& tensor) {
  FASTNN_CHECK(!tracks_view(tensor), ErrorKind::Buffer,
               "Can't export tensors that require gradient, use tensor.detach()");
  auto* exported = new Exported{tensor.detached(), {}};
  const Tensor& held = exported->tensor;
  exported->managed.tensor = {held.data(),
                              {kCpu, 0},
                              held.ndim(),
                              dlpack_type(held.dtype()),
                              held.impl()->sizes.data(),
                              held.impl()->strides.data(),
                              0};
  exported->managed.context = exported;
  exported->managed.deleter = [](DLManagedTensor* managed) { delete static_cast<Exported*>(managed->context); };
  return py::capsule(&exported->managed, kCapsule, [](PyObject* capsule) {
    // Not taken over by a consumer.
    if (!PyCapsule_IsValid(capsule, kCapsule)) return;
    auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule, kCapsule));
    managed->deleter(managed);
  });
}

Tensor from_capsule(const py::object& capsule) {
  FASTNN_CHECK(PyCapsule_IsValid(capsule.ptr(), kCapsule), ErrorKind::Runtime,
               "from_dlpack received an invalid capsule. Note that a DLTensor capsule can be consumed only once.");
  auto* managed = static_cast<DLManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), kCapsule));
  const DLTensor& source = managed->tensor;
  FASTNN_CHECK(source.device.type == kCpu, ErrorKind::Buffer, "from_dlpack: device type ", source.device.type,
               " is not the CPU");
  const DType dtype = dtype_from(source.dtype);
  Dims sizes(IntSpan(source.shape, static_cast<std::size_t>(source.ndim)));
  Dims strides =
      source.strides ? Dims(IntSpan(source.strides, static_cast<std::size_t>(source.ndim))) : contiguous_strides(sizes);
  std::int64_t extent = 1;
  for (int i = 0; i < sizes.size(); ++i) {
    FASTNN_CHECK(strides[i] >= 0, ErrorKind::Buffer, "from_dlpack: negative strides are not supported");
    if (sizes[i] == 0) extent = 0;
    if (extent > 0) extent += (sizes[i] - 1) * strides[i];
  }
  auto impl = make_ref<TensorImpl>();
  impl->dtype = dtype;
  impl->storage = Storage::borrow(
      static_cast<char*>(source.data) + source.byte_offset, static_cast<std::size_t>(extent * itemsize(dtype)),
      [](void* context) {
        auto* taken = static_cast<DLManagedTensor*>(context);
        const py::gil_scoped_acquire gil;
        if (taken->deleter) taken->deleter(taken);
      },
      managed);
  impl->set_geometry(std::move(sizes), std::move(strides));
  PyCapsule_SetName(capsule.ptr(), kUsedCapsule);
  return Tensor(std::move(impl));
}

}  // namespace

void init_dlpack(py::module_& module) {
  const py::handle type(reinterpret_cast<PyObject*>(tensor_type));
  type.attr("__dlpack__") = py::cpp_function([](const Tensor& self, const py::kwargs&) { return to_dlpack(self); },
                                             py::name("__dlpack__"), py::is_method(type));
  type.attr("__dlpack_device__") = py::cpp_function([](const py::object&) { return py::make_tuple(kCpu, 0); },
                                                    py::name("__dlpack_device__"), py::is_method(type));
  module.def("to_dlpack", &to_dlpack, py::arg("tensor"), "The tensor as a DLPack capsule.");
  module.def(
      "from_dlpack",
      [](const py::object& object) {
        if (PyCapsule_CheckExact(object.ptr())) return from_capsule(object);
        FASTNN_CHECK(py::hasattr(object, "__dlpack__"), ErrorKind::Type,
                     "from_dlpack: expected an object with __dlpack__ or a capsule, got ",
                     Py_TYPE(object.ptr())->tp_name);
        return from_capsule(object.attr("__dlpack__")());
      },
      py::arg("ext_tensor"), "A tensor that shares memory with a tensor of another library.");
}

}  // namespace fastnn::python
