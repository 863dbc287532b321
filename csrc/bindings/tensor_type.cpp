// The Python type of tensors: object identity, attributes, operators.
#include <array>

#include "autograd/record.h"
#include "bindings/overrides.h"
// After Python.h.
#include <structmember.h>
#include "ops/complex.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/shape.h"

namespace fastnn::python {

PyTypeObject* tensor_type = nullptr;

namespace {

PyTypeObject* g_meta_type = nullptr;
PyObject* g_constructor = nullptr;  // Python function behind Tensor(...)

// --- life and death ----------------------------------------------------------------------------------------------
//
// Normally the Python object owns the tensor. When the object would die while the tensor lives on in C++ (as a
// parameter in a graph, say) and there is something to lose (a subclass, attributes), ownership turns around: the
// tensor keeps the object, and hands it back when Python asks for it.

// Dead objects of the plain type, for reuse.
constexpr int kPoolSize = 128;
std::array<PyTensor*, kPoolSize> g_pool;
int g_pooled = 0;

PyTensor* new_object(PyTypeObject* type) {
  if (type == tensor_type && g_pooled > 0) {
    PyTensor* object = g_pool[static_cast<std::size_t>(--g_pooled)];
    PyObject_Init(reinterpret_cast<PyObject*>(object), type);
    PyObject_GC_Track(reinterpret_cast<PyObject*>(object));
    return object;
  }
  auto* object = reinterpret_cast<PyTensor*>(type->tp_alloc(type, 0));
  if (object == nullptr) throw_python();
  return object;
}

bool keep_alive(PyTensor* self) {
  TensorImpl* impl = self->impl;
  if (impl == nullptr || impl->owns_python || impl->use_count() <= 1) return false;
  const bool plain = Py_TYPE(self) == tensor_type;
  if (plain && (self->dict == nullptr || PyDict_GET_SIZE(self->dict) == 0) && self->weakrefs == nullptr) return false;
  Py_SET_REFCNT(reinterpret_cast<PyObject*>(self), 1);
  impl->owns_python = true;
  impl->release();  // not the last reference
  return true;
}

void tensor_dealloc(PyObject* object) {
  auto* self = reinterpret_cast<PyTensor*>(object);
  PyTypeObject* type = Py_TYPE(object);
  if (type->tp_finalize != nullptr) {
    if (PyObject_CallFinalizerFromDealloc(object) < 0) return;
  }
  if (keep_alive(self)) return;
  PyObject_GC_UnTrack(object);
  if (self->weakrefs != nullptr) PyObject_ClearWeakRefs(object);
  Py_CLEAR(self->dict);
  if (TensorImpl* impl = std::exchange(self->impl, nullptr)) {
    impl->python = nullptr;
    impl->release();
  }
  if (type == tensor_type && g_pooled < kPoolSize) {
    g_pool[static_cast<std::size_t>(g_pooled++)] = self;
    Py_DECREF(type);
    return;
  }
  type->tp_free(object);
  Py_DECREF(type);
}

// The tensor died: so does the object that it kept.
void release_python(void* pointer) {
  if (!Py_IsInitialized()) return;
  const PyGILState_STATE state = PyGILState_Ensure();
  static_cast<PyTensor*>(pointer)->impl = nullptr;
  Py_DECREF(static_cast<PyObject*>(pointer));
  PyGILState_Release(state);
}

int tensor_traverse(PyObject* object, visitproc visit, void* arg) {
  auto* self = reinterpret_cast<PyTensor*>(object);
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(self->dict);
  return 0;
}
int tensor_clear(PyObject* object) {
  Py_CLEAR(reinterpret_cast<PyTensor*>(object)->dict);
  return 0;
}

// Subclasses made in Python get our deallocation too, for the sake of keep_alive().
int meta_init(PyObject* cls, PyObject* args, PyObject* kwargs) {
  if (PyType_Type.tp_init(cls, args, kwargs) < 0) return -1;
  reinterpret_cast<PyTypeObject*>(cls)->tp_dealloc = &tensor_dealloc;
  return 0;
}

PyObject* tensor_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  if (g_constructor == nullptr) {
    PyErr_SetString(PyExc_RuntimeError, "Tensor() is not ready yet");
    return nullptr;
  }
  PyObject* made = PyObject_Call(g_constructor, args, kwargs);
  if (made == nullptr || type == tensor_type) return made;
  return guarded<PyObject*>(nullptr, [&] {
    const py::object plain = py::reinterpret_steal<py::object>(made);
    return wrap_as(type, tensor_of(plain.ptr()).detached());
  });
}
// Everything happens in tp_new; subclasses may take other arguments.
int tensor_init(PyObject*, PyObject*, PyObject*) { return 0; }

// --- attributes --------------------------------------------------------------------------------------------------

template <class F>
PyObject* get(PyObject* self, F f) {
  return guarded<PyObject*>(nullptr, [&] { return f(*impl_of(self)); });
}

PyObject* get_shape(PyObject* self, void*) {
  return get(self, [](TensorImpl& t) { return wrap_size(t.sizes); });
}
PyObject* get_dtype(PyObject* self, void*) { return wrap_dtype(impl_of(self)->dtype); }
PyObject* get_device(PyObject*, void*) { return Py_NewRef(cpu_device()); }
PyObject* get_ndim(PyObject* self, void*) { return PyLong_FromLong(impl_of(self)->sizes.size()); }
PyObject* get_requires_grad(PyObject* self, void*) {
  return get(self, [&](TensorImpl&) { return PyBool_FromLong(tracks_view(tensor_of(self))); });
}
int set_requires_grad(PyObject* self, PyObject* value, void*) {
  return guarded(-1, [&] {
    FASTNN_CHECK(value != nullptr && PyBool_Check(value), ErrorKind::Type, "requires_grad must be a bool");
    TensorImpl& impl = *impl_of(self);
    const bool on = value == Py_True;
    FASTNN_CHECK(!impl.grad_fn || on, ErrorKind::Runtime,
                 "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in "
                 "a subgraph that doesn't require differentiation use var_no_grad = var.detach().");
    FASTNN_CHECK(!on || is_differentiable(impl.dtype), ErrorKind::Runtime,
                 "only Tensors of floating point and complex dtype can require gradients");
    FASTNN_CHECK(!(on && impl.inference && !grad_mode().inference), ErrorKind::Runtime,
                 "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.");
    if (!impl.grad_fn) impl.requires_grad = on;
    return 0;
  });
}
PyObject* get_is_leaf(PyObject* self, void*) {
  return get(self, [&](TensorImpl&) { return PyBool_FromLong(!grad_fn(tensor_of(self))); });
}
PyObject* get_grad_fn(PyObject* self, void*) {
  return get(self, [&](TensorImpl&) -> PyObject* {
    const Ref<Node> node = grad_fn(tensor_of(self));
    if (!node) return Py_NewRef(Py_None);
    return py::cast(node).release().ptr();
  });
}
PyObject* get_output_nr(PyObject* self, void*) { return PyLong_FromUnsignedLong(impl_of(self)->output_number); }
PyObject* get_grad(PyObject* self, void*) {
  return get(self, [&](TensorImpl& t) -> PyObject* {
    AutogradExtras* extra = extras_or_null(t);
    if (extra == nullptr || !extra->gradient.defined()) {
      if (t.grad_fn && !(extra != nullptr && extra->retains_gradient)) {
        if (PyErr_WarnEx(PyExc_UserWarning,
                         "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
                         "attribute won't be populated during autograd.backward(). If you indeed want the .grad field "
                         "to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor.",
                         1) < 0) {
          return nullptr;
        }
      }
      return Py_NewRef(Py_None);
    }
    return wrap(extra->gradient);
  });
}
int set_grad(PyObject* self, PyObject* value, void*) {
  return guarded(-1, [&] {
    TensorImpl& impl = *impl_of(self);
    if (value == nullptr || value == Py_None) {
      if (AutogradExtras* extra = extras_or_null(impl)) extra->gradient = Tensor();
      return 0;
    }
    FASTNN_CHECK(is_tensor(value), ErrorKind::Type,
                 "assigned grad expected to be a Tensor or None but got grad of type ", Py_TYPE(value)->tp_name);
    FASTNN_CHECK(value != self, ErrorKind::Runtime, "can't assign Variable as its own grad");
    const Tensor gradient = tensor_of(value);
    FASTNN_CHECK(gradient.dtype() == impl.dtype, ErrorKind::Runtime,
                 "assigned grad has data of a different type: ", gradient.dtype(), " for a tensor of type ",
                 impl.dtype);
    FASTNN_CHECK(gradient.sizes() == impl.sizes, ErrorKind::Runtime,
                 "assigned grad has data of a different size: ", gradient.sizes(), " for a tensor of size ",
                 impl.sizes);
    extras(impl).gradient = gradient;
    return 0;
  });
}
PyObject* get_data(PyObject* self, void*) {
  return get(self, [&](TensorImpl&) {
    Tensor alias = tensor_of(self).detached();
    // Writes through `.data` are outside autograd's sight, so it has a counter of its own.
    alias.impl()->own_version = make_ref<VersionCounter>();
    return wrap(alias);
  });
}
int set_data(PyObject* self, PyObject* value, void*) {
  return guarded(-1, [&] {
    FASTNN_CHECK(value != nullptr && is_tensor(value), ErrorKind::Type, "Variable data has to be a tensor, but got ",
                 value ? Py_TYPE(value)->tp_name : "nothing");
    const Tensor source = tensor_of(value);
    TensorImpl& impl = *impl_of(self);
    FASTNN_CHECK(!impl.requires_grad || source.is_differentiable(), ErrorKind::Runtime,
                 "data set to a tensor that requires gradients must be floating point or complex dtype");
    impl.storage = source.storage();
    impl.offset = source.storage_offset();
    impl.dtype = source.dtype();
    impl.set_geometry(source.sizes(), source.strides());
    impl.own_version = make_ref<VersionCounter>();
    return 0;
  });
}
PyObject* get_version(PyObject* self, void*) { return PyLong_FromUnsignedLong(impl_of(self)->version()); }
PyObject* get_base(PyObject* self, void*) {
  return get(self, [](TensorImpl& t) { return wrap(Tensor(t.base)); });
}
PyObject* get_retains_grad(PyObject* self, void*) {
  const AutogradExtras* extra = extras_or_null(*impl_of(self));
  return PyBool_FromLong(extra != nullptr && extra->retains_gradient);
}
PyObject* get_itemsize(PyObject* self, void*) { return PyLong_FromLongLong(itemsize(impl_of(self)->dtype)); }
PyObject* get_nbytes(PyObject* self, void*) {
  return PyLong_FromLongLong(itemsize(impl_of(self)->dtype) * impl_of(self)->numel);
}
PyObject* get_false(PyObject*, void*) { return Py_NewRef(Py_False); }
PyObject* get_true(PyObject*, void*) { return Py_NewRef(Py_True); }
PyObject* get_none(PyObject*, void*) { return Py_NewRef(Py_None); }
PyObject* get_layout(PyObject*, void*) {
  return py::object(py::module_::import("fastnn._C").attr("strided")).release().ptr();
}
PyObject* get_inference(PyObject* self, PyObject*) { return PyBool_FromLong(impl_of(self)->inference); }

PyObject* get_transposed(PyObject* self, void*) {
  return get(self, [&](TensorImpl& t) {
    Dims reversed;
    for (int i = t.sizes.size() - 1; i >= 0; --i) reversed.push_back(i);
    return wrap(permute(tensor_of(self), reversed));
  });
}
PyObject* get_matrix_transposed(PyObject* self, void*) {
  return get(self, [&](TensorImpl& t) {
    FASTNN_CHECK(t.sizes.size() >= 2, ErrorKind::Runtime,
                 "tensor.mT is only supported on matrices or batches of "
                 "matrices. Got ",
                 t.sizes.size(), "-D tensor.");
    return wrap(transpose(tensor_of(self), -2, -1));
  });
}
PyObject* get_real(PyObject* self, void*) {
  return get(self, [&](TensorImpl&) { return wrap(real(tensor_of(self))); });
}
PyObject* get_imag(PyObject* self, void*) {
  return get(self, [&](TensorImpl&) { return wrap(imag(tensor_of(self))); });
}
// x.real = value copies the value into the part.
template <Tensor (*part)(const Tensor&)>
int set_part(PyObject* self, PyObject* value, void*) {
  return guarded(-1, [&] {
    FASTNN_CHECK(value != nullptr, ErrorKind::Type, "a part of a tensor cannot be deleted");
    const Tensor target = part(tensor_of(self));
    const auto scalar = is_tensor(value) ? std::nullopt : scalar_of(value);
    FASTNN_CHECK(is_tensor(value) || scalar, ErrorKind::Type, "a part of a tensor must be a Tensor or a number, not ",
                 Py_TYPE(value)->tp_name);
    copy_in_place(target, scalar ? full(Dims{}, *scalar, target.dtype()) : tensor_of(value));
    return 0;
  });
}
PyObject* method_complex(PyObject* self, PyObject*) {
  return get(self, [&](TensorImpl&) {
    const Scalar value = item(tensor_of(self));
    return PyComplex_FromDoubles(value.to_double(), value.imag);
  });
}
PyObject* get_dict(PyObject* object, void*) {
  auto* self = reinterpret_cast<PyTensor*>(object);
  if (self->dict == nullptr) self->dict = PyDict_New();
  return Py_XNewRef(self->dict);
}
int set_dict(PyObject* object, PyObject* value, void*) {
  if (value == nullptr || !PyDict_Check(value)) {
    PyErr_SetString(PyExc_TypeError, "__dict__ must be a dictionary");
    return -1;
  }
  Py_XSETREF(reinterpret_cast<PyTensor*>(object)->dict, Py_NewRef(value));
  return 0;
}

// Attributes that say what kind of tensor this is, and not what is in it.
int metadata_mark = 0;
void* const kMetadata = &metadata_mark;

PyGetSetDef tensor_getset[] = {
    {"shape", get_shape, nullptr, "The sizes of the tensor.", kMetadata},
    {"dtype", get_dtype, nullptr, "The type of the elements.", kMetadata},
    {"device", get_device, nullptr, "Where the tensor lives.", kMetadata},
    {"ndim", get_ndim, nullptr, "The number of dimensions.", kMetadata},
    {"requires_grad", get_requires_grad, set_requires_grad, "Whether gradients are recorded.", nullptr},
    {"is_leaf", get_is_leaf, nullptr, "Whether no recorded operation made it.", nullptr},
    {"grad_fn", get_grad_fn, nullptr, "The node of the backward graph that made it.", nullptr},
    {"output_nr", get_output_nr, nullptr, "Which output of grad_fn this is.", kMetadata},
    {"grad", get_grad, set_grad, "The accumulated gradient.", nullptr},
    {"_grad", get_grad, set_grad, nullptr, nullptr},
    {"data", get_data, set_data, "The values outside of autograd's sight.", nullptr},
    {"_version", get_version, nullptr, "How often the memory was written in place.", nullptr},
    {"_base", get_base, nullptr, "The tensor that this is a view of.", nullptr},
    {"retains_grad", get_retains_grad, nullptr, "Whether a non-leaf keeps its gradient.", nullptr},
    {"itemsize", get_itemsize, nullptr, "Bytes of an element.", kMetadata},
    {"nbytes", get_nbytes, nullptr, "Bytes of all elements.", kMetadata},
    {"layout", get_layout, nullptr, "Always strided.", kMetadata},
    {"is_cpu", get_true, nullptr, "True: tensors live on the CPU.", kMetadata},
    {"is_cuda", get_false, nullptr, "False: tensors live on the CPU.", kMetadata},
    {"is_mps", get_false, nullptr, "False: tensors live on the CPU.", kMetadata},
    {"is_xpu", get_false, nullptr, "False: tensors live on the CPU.", kMetadata},
    {"is_meta", get_false, nullptr, "False: tensors have values.", kMetadata},
    {"is_sparse", get_false, nullptr, "False: tensors are dense.", kMetadata},
    {"is_quantized", get_false, nullptr, "False: there are no quantized types.", kMetadata},
    {"is_nested", get_false, nullptr, "False: tensors have one shape.", kMetadata},
    {"name", get_none, nullptr, "None: tensors have no names.", kMetadata},
    {"real", get_real, set_part<&real>, "The real part: a view of the memory; a real tensor itself.", nullptr},
    {"imag", get_imag, set_part<&imag>, "The imaginary part of a complex tensor: a view of its memory.", nullptr},
    {"T", get_transposed, nullptr, "The dimensions in reverse order.", nullptr},
    {"mT", get_matrix_transposed, nullptr, "The last two dimensions exchanged.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

// What the type has in their place: they ask for overrides first. The closure is the entry above.
std::array<PyGetSetDef, std::size(tensor_getset) + 1> overridable_getset;

// Whether there may be somebody who takes a member of this tensor over: a quick look before the real one.
bool asks(PyObject* self) { return Py_TYPE(self) != tensor_type || override_modes != 0; }

PyObject* get_attribute(PyObject* self, void* closure) {
  const auto& attribute = *static_cast<const PyGetSetDef*>(closure);
  if (asks(self) && has_override(self, attribute.closure != nullptr)) {
    return override_attribute(attribute.name, "__get__", &self, 1);
  }
  return attribute.get(self, nullptr);
}
int set_attribute(PyObject* self, PyObject* value, void* closure) {
  const auto& attribute = *static_cast<const PyGetSetDef*>(closure);
  if (asks(self) && has_override(self)) {
    PyObject* args[] = {self, value};
    const bool deletes = value == nullptr;
    PyObject* result = override_attribute(attribute.name, deletes ? "__delete__" : "__set__", args, deletes ? 1 : 2);
    Py_XDECREF(result);
    return result == nullptr ? -1 : 0;
  }
  return attribute.set(self, value, nullptr);
}

PyGetSetDef* make_overridable_getset() {
  std::size_t i = 0;
  for (PyGetSetDef& attribute : tensor_getset) {
    if (attribute.name == nullptr) break;
    PyGetSetDef& own = overridable_getset[i++];
    own = attribute;
    own.get = &get_attribute;
    if (attribute.set != nullptr) own.set = &set_attribute;
    own.closure = &attribute;
  }
  overridable_getset[i++] = {"__dict__", get_dict, set_dict, nullptr, nullptr};
  return overridable_getset.data();
}

// --- methods that are no operations ------------------------------------------------------------------------------

PyObject* method_size(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"dim", nullptr};
  PyObject* dim = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:size", const_cast<char**>(names), &dim)) return nullptr;
  return get(self, [&](TensorImpl& t) -> PyObject* {
    if (dim == Py_None) return wrap_size(t.sizes);
    const long long value = PyLong_AsLongLong(dim);
    if (value == -1 && PyErr_Occurred()) return nullptr;
    return PyLong_FromLongLong(t.sizes[wrap_dim(value, t.sizes.size(), "size")]);
  });
}
PyObject* method_stride(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"dim", nullptr};
  PyObject* dim = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:stride", const_cast<char**>(names), &dim)) return nullptr;
  return get(self, [&](TensorImpl& t) -> PyObject* {
    if (dim != Py_None) {
      const long long value = PyLong_AsLongLong(dim);
      if (value == -1 && PyErr_Occurred()) return nullptr;
      return PyLong_FromLongLong(t.strides[wrap_dim(value, t.sizes.size(), "stride")]);
    }
    PyObject* tuple = PyTuple_New(t.strides.size());
    for (int i = 0; i < t.strides.size(); ++i) PyTuple_SET_ITEM(tuple, i, PyLong_FromLongLong(t.strides[i]));
    return tuple;
  });
}
PyObject* method_dim(PyObject* self, PyObject*) { return PyLong_FromLong(impl_of(self)->sizes.size()); }
PyObject* method_numel(PyObject* self, PyObject*) { return PyLong_FromLongLong(impl_of(self)->numel); }
PyObject* method_element_size(PyObject* self, PyObject*) { return PyLong_FromLongLong(itemsize(impl_of(self)->dtype)); }
PyObject* method_storage_offset(PyObject* self, PyObject*) { return PyLong_FromLongLong(impl_of(self)->offset); }
PyObject* method_data_ptr(PyObject* self, PyObject*) {
  return get(self, [&](TensorImpl&) { return PyLong_FromVoidPtr(tensor_of(self).data()); });
}
PyObject* method_is_floating_point(PyObject* self, PyObject*) {
  return PyBool_FromLong(is_floating(impl_of(self)->dtype));
}
PyObject* method_is_complex(PyObject* self, PyObject*) { return PyBool_FromLong(is_complex(impl_of(self)->dtype)); }
PyObject* method_is_signed(PyObject* self, PyObject*) { return PyBool_FromLong(info(impl_of(self)->dtype).is_signed); }

// NHWC order of a 4-d (or NDHWC of a 5-d) tensor.
bool is_channels_last(const TensorImpl& t) {
  const int n = t.sizes.size();
  if (n != 4 && n != 5) return false;
  std::int64_t expected = 1;
  for (int step = 0; step < n; ++step) {
    const int dim = step == 0 ? 1 : step == n - 1 ? 0 : n - step;
    if (t.sizes[dim] != 1 && t.strides[dim] != expected) return false;
    expected *= t.sizes[dim];
  }
  return true;
}
PyObject* method_is_contiguous(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"memory_format", nullptr};
  PyObject* format = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:is_contiguous", const_cast<char**>(names), &format))
    return nullptr;
  return get(self, [&](TensorImpl& t) -> PyObject* {
    if (format != nullptr && format != Py_None) {
      const py::str text = py::repr(format);
      if (text.cast<std::string>().find("channels_last") != std::string::npos) {
        return PyBool_FromLong(is_channels_last(t));
      }
    }
    return PyBool_FromLong(t.contiguous);
  });
}

PyObject* item_of(const Tensor& tensor) {
  FASTNN_CHECK(tensor.numel() == 1, ErrorKind::Runtime, "a Tensor with ", tensor.numel(),
               " elements cannot be converted to Scalar");
  if (tensor.is_floating()) return PyFloat_FromDouble(tensor.item_double());
  if (tensor.is_complex()) {
    const Scalar value = item(tensor);
    return PyComplex_FromDoubles(value.d, value.imag);
  }
  if (tensor.dtype() == DType::Bool) return PyBool_FromLong(tensor.item_int() != 0);
  return PyLong_FromLongLong(tensor.item_int());
}
PyObject* method_item(PyObject* self, PyObject*) {
  return get(self, [&](TensorImpl&) { return item_of(tensor_of(self)); });
}

PyObject* nested_list(const Tensor& tensor, int dim, std::int64_t offset) {
  if (dim == tensor.ndim()) {
    const Tensor element = tensor.alias({}, {}, offset);
    return item_of(element);
  }
  const std::int64_t n = tensor.sizes()[dim];
  PyObject* list = PyList_New(n);
  if (list == nullptr) throw_python();
  const bool last = dim + 1 == tensor.ndim();
  visit_any_dtype(tensor.dtype(), [&]<class T>() {
    const T* base = static_cast<const T*>(tensor.storage()->data());
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t at = offset + i * tensor.strides()[dim];
      PyObject* item = nullptr;
      if (!last) {
        item = nested_list(tensor, dim + 1, at);
      } else if constexpr (std::is_same_v<T, bool>) {
        item = PyBool_FromLong(base[at]);
      } else if constexpr (std::is_integral_v<T>) {
        item = PyLong_FromLongLong(base[at]);
      } else if constexpr (is_complex_type<T>) {
        item = PyComplex_FromDoubles(base[at].re, base[at].im);
      } else {
        item = PyFloat_FromDouble(static_cast<double>(base[at]));
      }
      PyList_SET_ITEM(list, i, item);
    }
  });
  return list;
}
PyObject* method_tolist(PyObject* self, PyObject*) {
  return get(self, [&](TensorImpl& t) { return nested_list(tensor_of(self), 0, t.offset); });
}

PyObject* method_requires_grad_(PyObject* self, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"requires_grad", nullptr};
  int on = 1;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|p:requires_grad_", const_cast<char**>(names), &on)) return nullptr;
  if (set_requires_grad(self, on ? Py_True : Py_False, nullptr) < 0) return nullptr;
  return Py_NewRef(self);
}
PyObject* method_detach(PyObject* self, PyObject*) {
  return get(self, [&](TensorImpl&) { return wrap(detach(tensor_of(self))); });
}
PyObject* method_detach_(PyObject* self, PyObject*) {
  return get(self, [&](TensorImpl& t) {
    FASTNN_CHECK(!t.base || !t.grad_fn, ErrorKind::Runtime, "Can't detach views in-place. Use detach() instead.");
    t.grad_fn.reset();
    t.requires_grad = false;
    t.output_number = 0;
    return Py_NewRef(self);
  });
}
PyObject* method_is_set_to(PyObject* self, PyObject* other) {
  return get(self, [&](TensorImpl& t) {
    FASTNN_CHECK(is_tensor(other), ErrorKind::Type, "is_set_to(): argument 'tensor' must be Tensor, not ",
                 Py_TYPE(other)->tp_name);
    const TensorImpl& o = *impl_of(other);
    return PyBool_FromLong(t.storage == o.storage && t.offset == o.offset && t.sizes == o.sizes &&
                           t.strides == o.strides);
  });
}
PyObject* method_make_subclass(PyObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"cls", "data", "require_grad", nullptr};
  PyObject* type = nullptr;
  PyObject* data = nullptr;
  int require = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|p:_make_subclass", const_cast<char**>(names), &type, &data,
                                   &require)) {
    return nullptr;
  }
  return guarded<PyObject*>(nullptr, [&] {
    FASTNN_CHECK(PyType_Check(type) && PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(type), tensor_type),
                 ErrorKind::Type, "_make_subclass: cls must be a subclass of Tensor");
    FASTNN_CHECK(is_tensor(data), ErrorKind::Type, "_make_subclass: data must be a Tensor, not ",
                 Py_TYPE(data)->tp_name);
    Tensor alias = tensor_of(data).detached();
    FASTNN_CHECK(!require || alias.is_differentiable(), ErrorKind::Runtime,
                 "Only Tensors of floating point and complex dtype can require gradients");
    alias.impl()->own_version.reset();
    alias.impl()->requires_grad = require != 0;
    return wrap_as(reinterpret_cast<PyTypeObject*>(type), alias);
  });
}

template <std::size_t n>
struct Name {
  char text[n];
  constexpr Name(const char (&from)[n]) { std::copy_n(from, n, text); }
};

// An entry of the table of methods: it asks for overrides first.
template <Name name, auto function, bool metadata = false>
struct Method {
  static PyObject* call(PyObject* self, PyObject* arg) {
    if (asks(self) && has_override(self, metadata)) {
      PyObject* args[] = {self, arg};
      return override_method(name.text, args, arg == nullptr ? 1 : 2);
    }
    return function(self, arg);
  }
  static PyObject* call_with_keywords(PyObject* self, PyObject* args, PyObject* kwargs) {
    if (asks(self) && has_override(self, metadata)) {
      return override_method(name.text, self, args, kwargs);
    }
    return function(self, args, kwargs);
  }
  static PyMethodDef entry(const char* doc, int flags = METH_NOARGS) {
    if constexpr (std::is_invocable_v<decltype(function), PyObject*, PyObject*, PyObject*>) {
      return {name.text, reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(&call_with_keywords)),
              METH_VARARGS | METH_KEYWORDS, doc};
    } else {
      return {name.text, &call, flags, doc};
    }
  }
};

PyMethodDef tensor_methods[] = {
    Method<"size", &method_size, true>::entry("size(dim=None): the sizes, or one of them."),
    Method<"stride", &method_stride, true>::entry("stride(dim=None): steps in elements."),
    Method<"dim", &method_dim, true>::entry("The number of dimensions."),
    Method<"ndimension", &method_dim, true>::entry("The number of dimensions."),
    Method<"numel", &method_numel, true>::entry("The number of elements."),
    Method<"nelement", &method_numel, true>::entry("The number of elements."),
    Method<"element_size", &method_element_size, true>::entry("Bytes of an element."),
    Method<"storage_offset", &method_storage_offset, true>::entry("Offset into the storage, in elements."),
    Method<"data_ptr", &method_data_ptr>::entry("Address of the first element."),
    Method<"is_floating_point", &method_is_floating_point, true>::entry("Whether the dtype is a float."),
    Method<"is_complex", &method_is_complex, true>::entry("Whether the dtype is complex."),
    Method<"__complex__", &method_complex>::entry("The value of a one-element tensor as a Python complex."),
    Method<"is_signed", &method_is_signed, true>::entry("Whether the dtype is signed."),
    Method<"is_inference", &get_inference, true>::entry("Whether it was made in inference mode."),
    Method<"is_contiguous", &method_is_contiguous, true>::entry("Whether memory order is row-major."),
    Method<"item", &method_item>::entry("The value of a one-element tensor as a Python number."),
    Method<"tolist", &method_tolist>::entry("The values as nested lists."),
    Method<"requires_grad_", &method_requires_grad_>::entry("Starts or stops recording."),
    Method<"detach", &method_detach>::entry("The same memory without history."),
    Method<"detach_", &method_detach_>::entry("Forgets the history."),
    Method<"is_set_to", &method_is_set_to>::entry("Whether both show the same memory in the same way.", METH_O),
    {"_make_subclass", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(&method_make_subclass)),
     METH_VARARGS | METH_KEYWORDS | METH_STATIC,
     "_make_subclass(cls, data, require_grad=False): the memory of data as a tensor of a subclass."},
    {nullptr, nullptr, 0, nullptr},
};

// --- operators ---------------------------------------------------------------------------------------------------

// Operands that an operator may turn into a number or pass on; for others Python asks the other object.
bool is_operand(PyObject* object) {
  return is_tensor(object) || PyFloat_Check(object) || PyLong_Check(object) || has_override(object) ||
         (!PyUnicode_Check(object) && !PySequence_Check(object) && PyNumber_Check(object));
}

template <const char* const& name>
struct Operation {
  static PyObject* get() {
    static PyObject* const found = find_operation(name);
    if (found == nullptr) PyErr_Format(PyExc_NotImplementedError, "operator: no operation %s", name);
    return found;
  }
};

// NumPy's scalars ask us first for scalar * tensor; plain numbers on the left become 0-d tensors.
PyObject* as_left(PyObject* object) {
  if (is_tensor(object)) return Py_NewRef(object);
  return guarded<PyObject*>(nullptr, [&]() -> PyObject* {
    const auto scalar = scalar_of(object);
    if (!scalar) return Py_NewRef(Py_NotImplemented);
    return wrap(scalar->wrapped());
  });
}

// `reflected` names the method of b that a class with overrides sees: null if it is the operation itself.
template <const char* const& name, const char* const& reflected>
PyObject* binary(PyObject* a, PyObject* b) {
  if (!is_operand(a) || !is_operand(b)) return Py_NewRef(Py_NotImplemented);
  PyObject* operation = Operation<name>::get();
  if (operation == nullptr) return nullptr;
  if (is_tensor(a) || overrides(a)) return call_operation(operation, a, b);
  if (has_override(b)) {
    PyObject* args[] = {b, a};
    return reflected == nullptr ? call_operation(operation, b, a) : override_method(reflected, args, 2);
  }
  PyObject* left = as_left(a);
  if (left == nullptr || left == Py_NotImplemented) return left;
  PyObject* result = call_operation(operation, left, b);
  Py_DECREF(left);
  return result;
}
template <const char* const& name>
PyObject* unary(PyObject* a) {
  PyObject* operation = Operation<name>::get();
  return operation == nullptr ? nullptr : call_operation(operation, a, nullptr);
}
template <const char* const& name>
PyObject* in_place_binary(PyObject* a, PyObject* b) {
  if (!is_operand(b)) return Py_NewRef(Py_NotImplemented);
  PyObject* operation = Operation<name>::get();
  return operation == nullptr ? nullptr : call_operation(operation, a, b);
}
template <const char* const& name, const char* const& reflected>
PyObject* power(PyObject* a, PyObject* b, PyObject*) {
  return binary<name, reflected>(a, b);
}
template <const char* const& name>
PyObject* in_place_power(PyObject* a, PyObject* b, PyObject*) {
  return in_place_binary<name>(a, b);
}

constexpr const char* kItself = nullptr;
constexpr const char* kReflectedSub = "__rsub__";
constexpr const char* kReflectedDiv = "__rtruediv__";
constexpr const char* kReflectedFloorDivide = "__rfloordiv__";
constexpr const char* kReflectedRemainder = "__rmod__";
constexpr const char* kReflectedPow = "__rpow__";
constexpr const char* kReflectedMatmul = "__rmatmul__";
constexpr const char* kReflectedAnd = "__rand__";
constexpr const char* kReflectedOr = "__ror__";
constexpr const char* kReflectedXor = "__rxor__";
constexpr const char* kReflectedLeftShift = "__rlshift__";
constexpr const char* kReflectedRightShift = "__rrshift__";
constexpr const char* kAdd = "add";
constexpr const char* kSub = "sub";
constexpr const char* kMul = "mul";
constexpr const char* kDiv = "div";
constexpr const char* kFloorDivide = "floor_divide";
constexpr const char* kRemainder = "remainder";
constexpr const char* kPow = "pow";
constexpr const char* kMatmul = "matmul";
constexpr const char* kAnd = "bitwise_and";
constexpr const char* kOr = "bitwise_or";
constexpr const char* kXor = "bitwise_xor";
constexpr const char* kLeftShift = "bitwise_left_shift";
constexpr const char* kRightShift = "bitwise_right_shift";
constexpr const char* kNeg = "neg";
constexpr const char* kAbs = "abs";
constexpr const char* kNot = "bitwise_not";
constexpr const char* kAddInPlace = "add_";
constexpr const char* kSubInPlace = "sub_";
constexpr const char* kMulInPlace = "mul_";
constexpr const char* kDivInPlace = "div_";
constexpr const char* kFloorDivideInPlace = "floor_divide_";
constexpr const char* kRemainderInPlace = "remainder_";
constexpr const char* kPowInPlace = "pow_";
constexpr const char* kAndInPlace = "bitwise_and_";
constexpr const char* kOrInPlace = "bitwise_or_";
constexpr const char* kXorInPlace = "bitwise_xor_";
constexpr const char* kLeftShiftInPlace = "bitwise_left_shift_";
constexpr const char* kRightShiftInPlace = "bitwise_right_shift_";
constexpr const char* kEq = "eq";
constexpr const char* kNe = "ne";
constexpr const char* kLt = "lt";
constexpr const char* kLe = "le";
constexpr const char* kGt = "gt";
constexpr const char* kGe = "ge";

PyObject* tensor_richcompare(PyObject* a, PyObject* b, int op) {
  if (!is_operand(b)) return Py_NewRef(Py_NotImplemented);
  PyObject* args[] = {a, b};
  if (has_override(args, 2)) {
    constexpr const char* kNames[] = {"__lt__", "__le__", "__eq__", "__ne__", "__gt__", "__ge__"};  // in order of Py_LT
    return override_method(kNames[op], args, 2);
  }
  PyObject* operation = nullptr;
  switch (op) {
    case Py_EQ:
      operation = Operation<kEq>::get();
      break;
    case Py_NE:
      operation = Operation<kNe>::get();
      break;
    case Py_LT:
      operation = Operation<kLt>::get();
      break;
    case Py_LE:
      operation = Operation<kLe>::get();
      break;
    case Py_GT:
      operation = Operation<kGt>::get();
      break;
    default:
      operation = Operation<kGe>::get();
      break;
  }
  return operation == nullptr ? nullptr : call_operation(operation, a, b);
}

int tensor_bool(PyObject* self) {
  if (has_override(self)) {
    PyObject* result = override_method("__bool__", &self, 1);
    const int truth = result == nullptr ? -1 : PyObject_IsTrue(result);
    Py_XDECREF(result);
    return truth;
  }
  return guarded(-1, [&] {
    const Tensor tensor = tensor_of(self);
    FASTNN_CHECK(tensor.numel() != 0, ErrorKind::Runtime, "Boolean value of Tensor with no values is ambiguous");
    FASTNN_CHECK(tensor.numel() == 1, ErrorKind::Runtime,
                 "Boolean value of Tensor with more than one value is ambiguous");
    if (tensor.is_complex()) return item(tensor).to_complex() == Complex<double>() ? 0 : 1;
    return tensor.item_double() != 0.0 ? 1 : 0;
  });
}
// float() and int(), unlike item(), are errors of the value.
void check_one_element(const Tensor& tensor) {
  FASTNN_CHECK(tensor.numel() == 1, ErrorKind::Value,
               "only one element tensors can be converted to Python scalars, got ", tensor.numel(), " elements");
}
PyObject* tensor_float(PyObject* self) {
  if (has_override(self)) return override_method("__float__", &self, 1);
  return get(self, [&](TensorImpl&) {
    check_one_element(tensor_of(self));
    return PyFloat_FromDouble(tensor_of(self).item_double());
  });
}
PyObject* tensor_int(PyObject* self) {
  if (has_override(self)) return override_method("__int__", &self, 1);
  return get(self, [&](TensorImpl&) -> PyObject* {
    const Tensor tensor = tensor_of(self);
    check_one_element(tensor);
    return tensor.is_differentiable() ? PyLong_FromDouble(tensor.item_double())
                                      : PyLong_FromLongLong(tensor.item_int());
  });
}
PyObject* tensor_index(PyObject* self) {
  if (has_override(self)) return override_method("__index__", &self, 1);
  return get(self, [&](TensorImpl&) {
    const Tensor tensor = tensor_of(self);
    FASTNN_CHECK(!tensor.is_differentiable() && tensor.numel() == 1, ErrorKind::Type,
                 "only integer tensors of a single element can be converted to an index");
    return PyLong_FromLongLong(tensor.item_int());
  });
}
Py_ssize_t tensor_length(PyObject* self) {
  if (has_override(self, true)) {
    PyObject* result = override_method("__len__", &self, 1);
    const Py_ssize_t length = result == nullptr ? -1 : PyLong_AsSsize_t(result);
    Py_XDECREF(result);
    return length;
  }
  return guarded<Py_ssize_t>(-1, [&] {
    const TensorImpl& t = *impl_of(self);
    FASTNN_CHECK(!t.sizes.empty(), ErrorKind::Type, "len() of a 0-d tensor");
    return t.sizes[0];
  });
}
Py_hash_t tensor_hash(PyObject* self) {
  const auto address = reinterpret_cast<std::uintptr_t>(self);
  return static_cast<Py_hash_t>((address >> 4) | (address << (8 * sizeof(void*) - 4)));
}

PyObject* tensor_subscript(PyObject* self, PyObject* key) {
  PyObject* args[] = {self, key};
  return has_override(args, 2) ? override_method("__getitem__", args, 2) : tensor_getitem(self, key);
}
int tensor_assign(PyObject* self, PyObject* key, PyObject* value) {
  PyObject* args[] = {self, key, value};
  if (value == nullptr || !has_override(args, 3)) return tensor_setitem(self, key, value);
  PyObject* result = override_method("__setitem__", args, 3);
  Py_XDECREF(result);
  return result == nullptr ? -1 : 0;
}

template <class F>
void* slot(F f) {
  return reinterpret_cast<void*>(f);
}

PyMemberDef tensor_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(PyTensor, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PyTensor, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyTypeObject* make_meta_type() {
  PyType_Slot slots[] = {{Py_tp_init, slot(&meta_init)}, {0, nullptr}};
  PyType_Spec spec = {"fastnn._TensorMeta", 0, 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  PyObject* bases = PyTuple_Pack(1, reinterpret_cast<PyObject*>(&PyType_Type));
  PyObject* type = PyType_FromSpecWithBases(&spec, bases);
  Py_XDECREF(bases);
  if (type == nullptr) throw_python();
  return reinterpret_cast<PyTypeObject*>(type);
}

}  // namespace

PyObject* wrap_as(PyTypeObject* type, const Tensor& tensor) {
  PyTensor* object = new_object(type);
  object->impl = tensor.impl();
  tensor.impl()->retain();
  tensor.impl()->python = object;
  return reinterpret_cast<PyObject*>(object);
}

PyObject* wrap(const Tensor& tensor) {
  if (!tensor.defined()) return Py_NewRef(Py_None);
  TensorImpl& impl = *tensor.impl();
  if (impl.python == nullptr) return wrap_as(tensor_type, tensor);
  auto* object = static_cast<PyObject*>(impl.python);
  if (impl.owns_python) {
    impl.owns_python = false;
    impl.retain();
    return object;  // the reference that the tensor had
  }
  return Py_NewRef(object);
}

void init_tensor_type(py::module_& module) {
  TensorImpl::release_python = &release_python;
  g_meta_type = make_meta_type();
  void* get_buffer = nullptr;
  void* release_buffer = nullptr;
  tensor_buffer_slots(get_buffer, release_buffer);
  PyType_Slot slots[] = {
      {Py_tp_doc, const_cast<char*>("A multi-dimensional array of one dtype, with its place in the autograd graph.")},
      {Py_tp_new, slot(&tensor_new)},
      {Py_tp_init, slot(&tensor_init)},
      {Py_tp_dealloc, slot(&tensor_dealloc)},
      {Py_tp_traverse, slot(&tensor_traverse)},
      {Py_tp_clear, slot(&tensor_clear)},
      {Py_tp_getset, make_overridable_getset()},
      {Py_tp_methods, tensor_methods},
      {Py_tp_members, tensor_members},
      {Py_tp_richcompare, slot(&tensor_richcompare)},
      {Py_tp_hash, slot(&tensor_hash)},
      {Py_nb_add, slot(&binary<kAdd, kItself>)},
      {Py_nb_subtract, slot(&binary<kSub, kReflectedSub>)},
      {Py_nb_multiply, slot(&binary<kMul, kItself>)},
      {Py_nb_true_divide, slot(&binary<kDiv, kReflectedDiv>)},
      {Py_nb_floor_divide, slot(&binary<kFloorDivide, kReflectedFloorDivide>)},
      {Py_nb_remainder, slot(&binary<kRemainder, kReflectedRemainder>)},
      {Py_nb_power, slot(&power<kPow, kReflectedPow>)},
      {Py_nb_matrix_multiply, slot(&binary<kMatmul, kReflectedMatmul>)},
      {Py_nb_and, slot(&binary<kAnd, kReflectedAnd>)},
      {Py_nb_or, slot(&binary<kOr, kReflectedOr>)},
      {Py_nb_xor, slot(&binary<kXor, kReflectedXor>)},
      {Py_nb_lshift, slot(&binary<kLeftShift, kReflectedLeftShift>)},
      {Py_nb_rshift, slot(&binary<kRightShift, kReflectedRightShift>)},
      {Py_nb_negative, slot(&unary<kNeg>)},
      {Py_nb_absolute, slot(&unary<kAbs>)},
      {Py_nb_invert, slot(&unary<kNot>)},
      {Py_nb_inplace_add, slot(&in_place_binary<kAddInPlace>)},
      {Py_nb_inplace_subtract, slot(&in_place_binary<kSubInPlace>)},
      {Py_nb_inplace_multiply, slot(&in_place_binary<kMulInPlace>)},
      {Py_nb_inplace_true_divide, slot(&in_place_binary<kDivInPlace>)},
      {Py_nb_inplace_floor_divide, slot(&in_place_binary<kFloorDivideInPlace>)},
      {Py_nb_inplace_remainder, slot(&in_place_binary<kRemainderInPlace>)},
      {Py_nb_inplace_power, slot(&in_place_power<kPowInPlace>)},
      {Py_nb_inplace_and, slot(&in_place_binary<kAndInPlace>)},
      {Py_nb_inplace_or, slot(&in_place_binary<kOrInPlace>)},
      {Py_nb_inplace_xor, slot(&in_place_binary<kXorInPlace>)},
      {Py_nb_inplace_lshift, slot(&in_place_binary<kLeftShiftInPlace>)},
      {Py_nb_inplace_rshift, slot(&in_place_binary<kRightShiftInPlace>)},
      {Py_nb_bool, slot(&tensor_bool)},
      {Py_nb_float, slot(&tensor_float)},
      {Py_nb_int, slot(&tensor_int)},
      {Py_nb_index, slot(&tensor_index)},
      {Py_mp_length, slot(&tensor_length)},
      {Py_mp_subscript, slot(&tensor_subscript)},
      {Py_mp_ass_subscript, slot(&tensor_assign)},
      {Py_bf_getbuffer, get_buffer},
      {Py_bf_releasebuffer, release_buffer},
      {0, nullptr},
  };
  PyType_Spec spec = {"fastnn.Tensor", sizeof(PyTensor), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};
  PyObject* type = PyType_FromSpec(&spec);
  if (type == nullptr) throw_python();
  // PyType_FromSpec makes an instance of `type`; its class can be changed as the two have the same layout.
  Py_SET_TYPE(type, g_meta_type);
  Py_INCREF(g_meta_type);
  tensor_type = reinterpret_cast<PyTypeObject*>(type);
  module.attr("Tensor") = py::reinterpret_borrow<py::object>(type);
  module.def("_set_tensor_constructor",
             [](const py::function& function) { g_constructor = py::object(function).release().ptr(); });
  // Operands of operators that are written in Python (numbers on the left: 2 - x) come through the same slots.
  const py::handle handle(type);
  handle.attr("__array_priority__") = py::int_(1000);
}

}  // namespace fastnn::python
