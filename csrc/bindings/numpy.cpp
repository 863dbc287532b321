// Tensors and memory of others: NumPy arrays, buffers, nested Python data, storages.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>

#include "autograd/record.h"
#include "bindings/overrides.h"
#include "bindings/python.h"
#include "ops/elementwise.h"
#include "ops/shape.h"

namespace fastnn::python {

namespace {

// --- dtypes of NumPy and of struct-style format strings ---

std::optional<DType> dtype_of_format(const char* format, Py_ssize_t size) {
  if (format == nullptr) format = "B";
  if (*format == '@' || *format == '=' || *format == '<') ++format;
  if (std::strcmp(format, "Zf") == 0) return DType::Complex64;
  if (std::strcmp(format, "Zd") == 0) return DType::Complex128;
  if (std::strlen(format) != 1) return std::nullopt;
  switch (*format) {
    case '?':
      return DType::Bool;
    case 'e':
      return DType::Float16;
    case 'f':
      return DType::Float32;
    case 'd':
      return DType::Float64;
    case 'g':
      return size == 8 ? std::optional(DType::Float64) : std::nullopt;
    case 'B':
    case 'c':
      return DType::UInt8;
    case 'b':
    case 'h':
    case 'i':
    case 'l':
    case 'q':
    case 'n':
      switch (size) {
        case 1:
          return DType::Int8;
        case 2:
          return DType::Int16;
        case 4:
          return DType::Int32;
        case 8:
          return DType::Int64;
        default:
          return std::nullopt;
      }
    default:
      return std::nullopt;
  }
}

const char* format_of(DType dtype) {
  switch (dtype) {
    case DType::UInt8:
      return "B";
    case DType::Int8:
      return "b";
    case DType::Int16:
      return "h";
    case DType::Int32:
      return "i";
    case DType::Int64:
      return "q";
    case DType::Float16:
      return "e";
    case DType::Float32:
      return "f";
    case DType::Float64:
      return "d";
    case DType::Bool:
      return "?";
    case DType::BFloat16:
      return nullptr;
    case DType::Complex64:
      return "Zf";
    case DType::Complex128:
      return "Zd";
  }
  return nullptr;
}

// A buffer borrowed for as long as a storage lives.
struct BorrowedBuffer {
  Py_buffer buffer{};
  static void release(void* context) {
    auto* self = static_cast<BorrowedBuffer*>(context);
    if (Py_IsInitialized()) {
      const PyGILState_STATE state = PyGILState_Ensure();
      PyBuffer_Release(&self->buffer);
      PyGILState_Release(state);
    }
    delete self;
  }
};

// `copied` says that the caller only reads, so that read-only memory needs no warning.
Tensor from_buffer_object(py::handle object, const char* op, bool copied = false) {
  auto borrowed = std::make_unique<BorrowedBuffer>();
  Py_buffer& buffer = borrowed->buffer;
  bool writable = true;
  if (PyObject_GetBuffer(object.ptr(), &buffer, PyBUF_STRIDES | PyBUF_FORMAT | PyBUF_WRITABLE) != 0) {
    PyErr_Clear();
    writable = false;
    if (PyObject_GetBuffer(object.ptr(), &buffer, PyBUF_STRIDES | PyBUF_FORMAT) != 0) throw_python();
  }
  struct Guard {
    BorrowedBuffer* held;
    ~Guard() {
      if (held) PyBuffer_Release(&held->buffer);
    }
  } guard{borrowed.get()};
  const auto dtype = dtype_of_format(buffer.format, buffer.itemsize);
  FASTNN_CHECK(dtype.has_value(), ErrorKind::Type, op, ": can't convert np.ndarray of type ",
               py::hasattr(object, "dtype") ? py::str(object.attr("dtype")).cast<std::string>()
                                            : std::string(buffer.format ? buffer.format : "?"),
               ". The only supported types are: float64, float32, float16, complex64, complex128, int64, int32, int16, "
               "int8, uint8, and bool.");
  Dims sizes;
  Dims strides;
  std::int64_t extent = 1;
  for (int i = 0; i < buffer.ndim; ++i) {
    sizes.push_back(buffer.shape[i]);
    FASTNN_CHECK(
        buffer.strides[i] >= 0 || buffer.shape[i] <= 1, ErrorKind::Value,
        "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
        "currently supported. (You can probably work around this by making a copy of your array with array.copy().)");
    FASTNN_CHECK(buffer.strides[i] % buffer.itemsize == 0, ErrorKind::Value,
                 "given numpy array strides not a multiple of the element byte size. Copy the numpy array to "
                 "reallocate the memory.");
    strides.push_back(std::max<std::int64_t>(0, buffer.strides[i] / buffer.itemsize));
    if (buffer.shape[i] == 0) extent = 0;
  }
  for (int i = 0; i < sizes.size() && extent > 0; ++i) extent += (sizes[i] - 1) * strides[i];
  if (!writable && !copied) {
    constexpr const char* kWarning =
        "The given NumPy array is not writable, and PyTorch does not support non-writable tensors. This means writing "
        "to "
        "this tensor will result in undefined behavior. You may want to copy the array to protect its data or make it "
        "writable before converting it to a tensor. fastnn makes the tensor read-only.";
    if (PyErr_WarnEx(PyExc_UserWarning, kWarning, 1) < 0) throw_python();
  }
  guard.held = nullptr;
  BorrowedBuffer* context = borrowed.release();
  auto impl = make_ref<TensorImpl>();
  impl->dtype = *dtype;
  impl->storage = Storage::borrow(context->buffer.buf, static_cast<std::size_t>(extent * itemsize(*dtype)),
                                  &BorrowedBuffer::release, context, writable);
  impl->set_geometry(std::move(sizes), std::move(strides));
  return Tensor(std::move(impl));
}

// For checkpoints: a tensor somewhere in a buffer (bytes, mmap), bounds checked; read-only memory is copied.
Tensor from_raw(const py::object& object, DType dtype, const std::vector<std::int64_t>& sizes,
                const std::vector<std::int64_t>& strides, std::int64_t offset) {
  auto borrowed = std::make_unique<BorrowedBuffer>();
  bool writable = true;
  if (PyObject_GetBuffer(object.ptr(), &borrowed->buffer, PyBUF_SIMPLE | PyBUF_WRITABLE) != 0) {
    PyErr_Clear();
    writable = false;
    if (PyObject_GetBuffer(object.ptr(), &borrowed->buffer, PyBUF_SIMPLE) != 0) throw_python();
  }
  const auto nbytes = static_cast<std::size_t>(borrowed->buffer.len);
  void* data = borrowed->buffer.buf;
  const bool aligned = reinterpret_cast<std::uintptr_t>(data) % static_cast<std::uintptr_t>(itemsize(dtype)) == 0;
  auto impl = make_ref<TensorImpl>();
  impl->dtype = dtype;
  if (writable && aligned) {
    impl->storage = Storage::borrow(data, nbytes, &BorrowedBuffer::release, borrowed.release());
  } else {
    impl->storage = Storage::allocate(nbytes);
    std::memcpy(impl->storage->data(), data, nbytes);
    PyBuffer_Release(&borrowed->buffer);
  }
  const Tensor whole(std::move(impl));
  return whole.alias(Dims(sizes), Dims(strides), offset);
}

Tensor frombuffer(const py::object& buffer, DType dtype, std::int64_t count, std::int64_t offset) {
  auto borrowed = std::make_unique<BorrowedBuffer>();
  bool writable = true;
  if (PyObject_GetBuffer(buffer.ptr(), &borrowed->buffer, PyBUF_SIMPLE | PyBUF_WRITABLE) != 0) {
    PyErr_Clear();
    writable = false;
    if (PyObject_GetBuffer(buffer.ptr(), &borrowed->buffer, PyBUF_SIMPLE) != 0) throw_python();
  }
  const std::int64_t length = borrowed->buffer.len;
  const std::int64_t item = itemsize(dtype);
  const auto refuse = [&](auto&&... parts) {
    PyBuffer_Release(&borrowed->buffer);
    fail(ErrorKind::Value, "frombuffer: ", parts...);
  };
  if (length <= 0 || count == 0) refuse("both buffer length (", length, ") and count (", count, ") must not be 0");
  if (offset < 0 || offset >= length) {
    refuse("offset (", offset, " bytes) must be non-negative and no greater than buffer length (", length,
           " bytes) minus 1");
  }
  if (count < 0) {
    if ((length - offset) % item != 0) {
      refuse("buffer length (", length - offset, " bytes) after offset (", offset,
             " bytes) must be a multiple of element size (", item, ")");
    }
    count = (length - offset) / item;
  }
  if (count > (length - offset) / item) {
    refuse("requested buffer length (", count, " * ", item, " bytes) after offset (", offset,
           " bytes) must not be greater than actual buffer length (", length, " bytes)");
  }
  auto impl = make_ref<TensorImpl>();
  impl->dtype = dtype;
  void* data = static_cast<char*>(borrowed->buffer.buf) + offset;
  impl->storage = Storage::borrow(data, static_cast<std::size_t>(count * item), &BorrowedBuffer::release,
                                  borrowed.release(), writable);
  impl->set_geometry(Dims{count}, Dims{1});
  return Tensor(std::move(impl));
}

py::array to_numpy(const py::object& self, bool force) {
  Tensor tensor = tensor_of(self.ptr());
  if (force) {
    tensor = tensor.detached();
  } else {
    FASTNN_CHECK(!grad_mode().enabled || !tracks_view(tensor), ErrorKind::Runtime,
                 "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.");
  }
  const char* format = format_of(tensor.dtype());
  FASTNN_CHECK(format != nullptr, ErrorKind::Type, "Got unsupported ScalarType ", tensor.dtype());
  std::vector<py::ssize_t> shape(tensor.sizes().begin(), tensor.sizes().end());
  std::vector<py::ssize_t> strides;
  for (const std::int64_t stride : tensor.strides()) strides.push_back(stride * itemsize(tensor.dtype()));
  // The array keeps the tensor's memory alive through a tensor object.
  const py::object owner = py::reinterpret_steal<py::object>(wrap(tensor.detached()));
  const char* name = tensor.dtype() == DType::Complex64 ? "F" : tensor.dtype() == DType::Complex128 ? "D" : format;
  py::array array(py::dtype(name), shape, strides, tensor.data(), owner);
  if (!tensor.storage()->writable())
    py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return array;
}

// --- nested data -------------------------------------------------------------------------------------------------

// NumPy's scalars have the interface of an array too, but are no sequences.
bool is_array(py::handle object) {
  return !is_tensor(object.ptr()) && PySequence_Check(object.ptr()) && py::hasattr(object, "__array_interface__") &&
         PyObject_CheckBuffer(object.ptr());
}

struct NestedShape {
  Dims sizes;
  TypePromotion promotion;
  bool any = false;
};

[[noreturn]] void fail_element(py::handle object) {
  fail(ErrorKind::Type, "tensor(): expected numbers, sequences, arrays or tensors, got an element of type '",
       Py_TYPE(object.ptr())->tp_name, "'");
}

// Strings are sequences of strings of ... and end nowhere.
bool is_sequence(py::handle object) {
  return PySequence_Check(object.ptr()) && !PyUnicode_Check(object.ptr()) && !PyBytes_Check(object.ptr()) &&
         !is_tensor(object.ptr());
}

void infer(py::handle data, int depth, NestedShape& shape) {
  constexpr int kDeepest = 128;
  FASTNN_CHECK(depth < kDeepest, ErrorKind::Value, "too many dimensions '", Py_TYPE(data.ptr())->tp_name, "'");
  if (is_tensor(data.ptr()) || is_array(data)) {
    const Tensor tensor =
        is_tensor(data.ptr()) ? tensor_of(data.ptr()).detached() : from_buffer_object(data, "tensor()", true);
    if (!shape.any) {
      for (const std::int64_t size : tensor.sizes()) shape.sizes.push_back(size);
    }
    shape.any = true;
    // Inside a list every element counts the same, dimensioned or not.
    shape.promotion.add(tensor.alias(Dims{1}, Dims{1}, 0));
    return;
  }
  if (const auto scalar = is_sequence(data) ? std::nullopt : scalar_of(data.ptr())) {
    shape.any = true;
    shape.promotion.add(*scalar);
    return;
  }
  if (!is_sequence(data)) fail_element(data);
  const Py_ssize_t n = PySequence_Size(data.ptr());
  if (n < 0) throw_python();
  if (!shape.any) shape.sizes.push_back(n);
  for (Py_ssize_t i = 0; i < n; ++i) {
    const py::object item = py::reinterpret_steal<py::object>(PySequence_GetItem(data.ptr(), i));
    if (!item) throw_python();
    infer(item, depth + 1, shape);
  }
  if (n == 0) shape.any = true;
}

template <class T>
void store(T& place, const Scalar& scalar, DType dtype) {
  FASTNN_CHECK(is_complex_type<T> || scalar.imag == 0, ErrorKind::Runtime, "value cannot be converted to type ",
               info(dtype).name, " without overflow");
  if constexpr (is_complex_type<T>) {
    place = T(scalar.to_complex());
  } else if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    place = T(static_cast<float>(scalar.to_double()));
  } else if constexpr (std::is_same_v<T, bool>) {
    place = scalar.to_double() != 0.0;
  } else if constexpr (std::is_integral_v<T>) {
    const std::int64_t value = scalar.to_int();
    FASTNN_CHECK(static_cast<std::int64_t>(static_cast<T>(value)) == value, ErrorKind::Runtime,
                 "value cannot be converted to type ", info(dtype).name, " without overflow");
    place = static_cast<T>(value);
  } else {
    place = static_cast<T>(scalar.to_double());
  }
}

void fill_nested(py::handle data, const Tensor& out, int depth, std::int64_t offset) {
  if (depth == out.ndim() && !is_sequence(data) && !is_tensor(data.ptr())) {
    const auto scalar = scalar_of(data.ptr());
    if (!scalar) fail_element(data);
    visit_any_dtype(out.dtype(), [&]<class T>() { store(out.as<T>()[offset], *scalar, out.dtype()); });
    return;
  }
  if (is_tensor(data.ptr()) || is_array(data)) {
    const Tensor source =
        is_tensor(data.ptr()) ? tensor_of(data.ptr()).detached() : from_buffer_object(data, "tensor()", true);
    Dims sizes;
    Dims strides;
    for (int d = depth; d < out.ndim(); ++d) {
      sizes.push_back(out.sizes()[d]);
      strides.push_back(out.strides()[d]);
    }
    FASTNN_CHECK(source.sizes() == sizes, ErrorKind::Value, "tensor(): expected an element of shape ", sizes,
                 " at dim ", depth, ", got ", source.sizes());
    copy_raw(out.alias(sizes, strides, offset), source);
    return;
  }
  FASTNN_CHECK(is_sequence(data), ErrorKind::Type, "tensor(): expected a sequence at dim ", depth, ", got '",
               Py_TYPE(data.ptr())->tp_name, "'");
  const Py_ssize_t n = PySequence_Size(data.ptr());
  if (n < 0) throw_python();
  FASTNN_CHECK(depth < out.ndim() && n == out.sizes()[depth], ErrorKind::Value, "expected sequence of length ",
               depth < out.ndim() ? out.sizes()[depth] : 0, " at dim ", depth, " (got ", n, ")");
  for (Py_ssize_t i = 0; i < n; ++i) {
    const py::object item = py::reinterpret_steal<py::object>(PySequence_GetItem(data.ptr(), i));
    if (!item) throw_python();
    fill_nested(item, out, depth + 1, offset + i * out.strides()[depth]);
  }
}

// The tensor as an object of Python; without its values if the device is `meta`.
py::object placed(Tensor tensor, const py::object& device, const char* op) {
  const bool is_meta = is_meta_device(device);
  if (!is_meta) check_device(device, op);
  py::object made = py::cast(std::move(tensor));
  return is_meta ? py::object(py::module_::import("fastnn._meta").attr("without_values")(made)) : made;
}

py::object make_tensor(const py::object& data, std::optional<DType> dtype, const py::object& device, bool requires_grad,
                       bool pin_memory) {
  (void)pin_memory;
  if (is_tensor(data.ptr())) {
    if (PyErr_WarnEx(PyExc_UserWarning,
                     "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
                     "sourceTensor.detach().clone().requires_grad_(True), rather than torch.tensor(sourceTensor).",
                     1) < 0) {
      throw_python();
    }
  }
  Tensor result = tensor_from_data(data, dtype);
  FASTNN_CHECK(!requires_grad || result.is_differentiable(), ErrorKind::Runtime,
               "Only Tensors of floating point and complex dtype can require gradients");
  result.impl()->requires_grad = requires_grad;
  return placed(std::move(result), device, "tensor");
}

// Shares memory where it can.
// torch.tensor, which modes and the class of the data may take over.
py::object tensor_function(const py::object& data, std::optional<DType> dtype, const py::object& device,
                           bool requires_grad, bool pin_memory) {
  PyObject* object = data.ptr();
  if (!has_override(&object, 1)) return make_tensor(data, dtype, device, requires_grad, pin_memory);
  const py::tuple names = py::make_tuple("dtype", "device", "requires_grad");
  const py::object kind = dtype ? py::reinterpret_steal<py::object>(wrap_dtype(*dtype)) : py::none();
  const std::array<PyObject*, 4> args = {object, kind.ptr(), device.ptr(), requires_grad ? Py_True : Py_False};
  const py::object function = py::module_::import("fastnn._C").attr("tensor");
  return py::reinterpret_steal<py::object>(call_override(function.ptr(), args.data(), 1, names.ptr()));
}

Tensor shared_tensor(const py::object& data, std::optional<DType> dtype) {
  if (is_tensor(data.ptr())) {
    const Tensor tensor = tensor_of(data.ptr());
    return dtype ? to_dtype(tensor, *dtype) : tensor;
  }
  if (is_array(data)) {
    const Tensor shared = from_buffer_object(data, "as_tensor()");
    return dtype ? to_dtype(shared, *dtype) : shared;
  }
  return tensor_from_data(data, dtype);
}

py::object as_tensor(const py::object& data, std::optional<DType> dtype, const py::object& device) {
  return placed(shared_tensor(data, dtype), device, "as_tensor");
}

// --- buffer protocol of tensors ---

struct BufferShape {
  std::vector<Py_ssize_t> shape;
  std::vector<Py_ssize_t> strides;
};

int tensor_getbuffer(PyObject* object, Py_buffer* view, int flags) {
  return guarded(-1, [&] {
    const Tensor tensor = tensor_of(object);
    FASTNN_CHECK(Py_TYPE(object) == tensor_type || !py::handle(object).attr("is_meta").cast<bool>(),
                 ErrorKind::NotImplemented, "Cannot copy out of meta tensor; no data!");
    const char* format = format_of(tensor.dtype());
    FASTNN_CHECK(format != nullptr, ErrorKind::Buffer, "the buffer protocol has no format for ",
                 info(tensor.dtype()).name);
    FASTNN_CHECK(!tracks_view(tensor), ErrorKind::Buffer,
                 "can't export the buffer of a tensor that requires grad; use tensor.detach()");
    FASTNN_CHECK(tensor.is_contiguous() || (flags & PyBUF_STRIDES) == PyBUF_STRIDES, ErrorKind::Buffer,
                 "this tensor is not contiguous");
    FASTNN_CHECK(tensor.storage()->writable() || !(flags & PyBUF_WRITABLE), ErrorKind::Buffer,
                 "this tensor is read-only");
    auto* held = new BufferShape;
    for (int i = 0; i < tensor.ndim(); ++i) {
      held->shape.push_back(tensor.sizes()[i]);
      held->strides.push_back(tensor.strides()[i] * itemsize(tensor.dtype()));
    }
    view->buf = tensor.data();
    view->obj = Py_NewRef(object);
    view->itemsize = itemsize(tensor.dtype());
    view->len = tensor.numel() * view->itemsize;
    view->readonly = tensor.storage()->writable() ? 0 : 1;
    view->ndim = tensor.ndim();
    view->format = (flags & PyBUF_FORMAT) ? const_cast<char*>(format) : nullptr;
    view->shape = (flags & PyBUF_ND) ? held->shape.data() : nullptr;
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? held->strides.data() : nullptr;
    view->suboffsets = nullptr;
    view->internal = held;
    return 0;
  });
}
void tensor_releasebuffer(PyObject*, Py_buffer* view) { delete static_cast<BufferShape*>(view->internal); }

// --- storages ---

struct StorageObject {
  Ref<Storage> storage;
};

}  // namespace

void tensor_buffer_slots(void*& get, void*& release) {
  get = reinterpret_cast<void*>(&tensor_getbuffer);
  release = reinterpret_cast<void*>(&tensor_releasebuffer);
}

Tensor tensor_from_data(py::handle data, std::optional<DType> dtype) {
  const bool numpy_scalar = !is_sequence(data) && !is_tensor(data.ptr()) && py::hasattr(data, "__array_interface__");
  if (is_tensor(data.ptr()) || is_array(data) || numpy_scalar) {
    const Tensor source =
        is_tensor(data.ptr()) ? tensor_of(data.ptr()).detached() : from_buffer_object(data, "tensor()", true);
    const GradModeGuard no_grad(false);
    Tensor result = Tensor::empty(source.sizes(), dtype.value_or(source.dtype()));
    copy_raw(result, source);
    return result;
  }
  NestedShape shape;
  infer(data, 0, shape);
  Tensor result = Tensor::empty(shape.sizes, dtype.value_or(shape.promotion.result()));
  fill_nested(data, result, 0, 0);
  return result;
}

void init_numpy(py::module_& module) {
  module.def("tensor", &tensor_function, py::arg("data"), py::kw_only(), py::arg("dtype") = py::none(),
             py::arg("device") = py::none(), py::arg("requires_grad") = false, py::arg("pin_memory") = false,
             "A new tensor with a copy of the data: numbers, nested sequences, arrays.");
  module.def("as_tensor", &as_tensor, py::arg("data"), py::arg("dtype") = py::none(), py::arg("device") = py::none(),
             "The data as a tensor, sharing memory with arrays and tensors of the right dtype.");
  module.def(
      "from_numpy",
      [](const py::object& array) {
        FASTNN_CHECK(is_array(array), ErrorKind::Type, "expected np.ndarray (got ", Py_TYPE(array.ptr())->tp_name, ")");
        return from_buffer_object(array, "from_numpy");
      },
      py::arg("ndarray"), "A tensor that shares the memory of a NumPy array.");
  module.def("frombuffer", &frombuffer, py::arg("buffer"), py::kw_only(), py::arg("dtype"), py::arg("count") = -1,
             py::arg("offset") = 0, "A 1-d tensor over the memory of a buffer.");
  module.def("_from_buffer", &from_raw, py::arg("buffer"), py::arg("dtype"), py::arg("sizes"), py::arg("strides"),
             py::arg("storage_offset"));

  py::class_<StorageObject>(module, "UntypedStorage", py::buffer_protocol(), "The memory behind tensors, as bytes.")
      .def(py::init([](std::size_t size, const py::object& device) {
             check_device(device, "UntypedStorage");
             return StorageObject{Storage::allocate(size)};
           }),
           py::arg("size") = 0, py::kw_only(), py::arg("device") = py::none())
      .def(
          "data_ptr", [](const StorageObject& self) { return reinterpret_cast<std::uintptr_t>(self.storage->data()); },
          "Address of the first byte.")
      .def(
          "nbytes", [](const StorageObject& self) { return self.storage->nbytes(); }, "The number of bytes.")
      .def(
          "size", [](const StorageObject& self) { return self.storage->nbytes(); }, "The number of bytes.")
      .def("__len__", [](const StorageObject& self) { return self.storage->nbytes(); })
      .def(
          "resize_", [](StorageObject& self, std::size_t bytes) { self.storage->resize(bytes); },
          "Makes room for so many bytes; what was there stays, what is new is not initialised.")
      .def("__eq__",
           [](const StorageObject& self, const py::object& other) {
             return py::isinstance<StorageObject>(other) && other.cast<const StorageObject&>().storage == self.storage;
           })
      .def("__hash__",
           [](const StorageObject& self) { return reinterpret_cast<std::uintptr_t>(self.storage.get()) >> 4; })
      .def_buffer([](const StorageObject& self) {
        return py::buffer_info(self.storage->data(), 1, "B", 1, {static_cast<py::ssize_t>(self.storage->nbytes())}, {1},
                               !self.storage->writable());
      });
  module.def(
      "_tensor_over_storage",
      [](const StorageObject& storage, DType dtype, const std::vector<std::int64_t>& sizes,
         const std::vector<std::int64_t>& strides, std::int64_t offset) {
        auto impl = make_ref<TensorImpl>();
        impl->dtype = dtype;
        impl->storage = storage.storage;
        return Tensor(std::move(impl)).alias(Dims(sizes), Dims(strides), offset);
      },
      "A tensor of a given geometry over a storage.");

  const py::handle type(reinterpret_cast<PyObject*>(tensor_type));
  type.attr("numpy") = py::cpp_function(
      [](const py::object& self, bool force) { return to_numpy(self, force); }, py::name("numpy"), py::is_method(type),
      py::kw_only(), py::arg("force") = false,
      "The values as a NumPy array that shares the memory; force=True detaches and copies where it must.");
  type.attr("untyped_storage") =
      py::cpp_function([](const Tensor& self) { return StorageObject{self.storage()}; }, py::name("untyped_storage"),
                       py::is_method(type), "The memory behind the tensor, which its views share.");
}

}  // namespace fastnn::python
