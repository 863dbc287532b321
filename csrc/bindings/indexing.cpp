// x[...] and x[...] = value, in all the forms that Python and NumPy have.
#include <vector>

#include "autograd/record.h"
#include "bindings/python.h"
#include "ops/copy.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/index.h"
#include "ops/shape.h"

namespace fastnn::python {

namespace {

// A list counts as one index tensor, as in NumPy; a list that holds slices, None or Ellipsis does not exist any more.
bool is_index_sequence(PyObject* object) { return PyList_Check(object) || PyTuple_Check(object); }

bool is_array_like(PyObject* object) {
  return !is_tensor(object) && (is_index_sequence(object) || PyRange_Check(object) ||
                                (PySequence_Check(object) && PyObject_HasAttrString(object, "__array_interface__")));
}

// How many dimensions of the tensor an index item uses up.
int dims_used(PyObject* item) {
  if (item == Py_None || item == Py_Ellipsis || PyBool_Check(item)) return 0;
  if (is_tensor(item)) {
    const TensorImpl& impl = *impl_of(item);
    if (impl.dtype == DType::Bool || impl.dtype == DType::UInt8) return impl.sizes.size();
  }
  return 1;
}

Tensor index_tensor(PyObject* item) {
  if (is_tensor(item)) return tensor_of(item);
  Tensor made = tensor_from_data(item, std::nullopt);
  if (made.numel() == 0 && made.is_floating()) made = to_dtype(made, DType::Int64);
  return made;
}

std::optional<std::int64_t> slice_bound(PyObject* value) {
  if (value == Py_None) return std::nullopt;
  const Py_ssize_t bound = PyNumber_AsSsize_t(value, nullptr);  // clips
  if (bound == -1 && PyErr_Occurred()) throw_python();
  return bound;
}

bool is_integer(PyObject* item) {
  if (PyBool_Check(item)) return false;
  if (is_tensor(item)) {
    const TensorImpl& impl = *impl_of(item);
    return impl.sizes.empty() && is_integral(impl.dtype) && impl.dtype != DType::UInt8;
  }
  return PyLong_Check(item) || (PyIndex_Check(item) && !is_array_like(item));
}

// The view that the basic part of an index makes, and the tensors of its advanced part, one slot a dimension.
struct Parsed {
  Tensor view;
  std::vector<Tensor> indices;
  bool advanced = false;
};

Parsed parse(const Tensor& self, PyObject* index, bool) {
  std::vector<PyObject*> items;
  if (PyTuple_Check(index)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(index); ++i) items.push_back(PyTuple_GET_ITEM(index, i));
  } else {
    items.push_back(index);
  }
  int used = 0;
  int ellipses = 0;
  for (PyObject* item : items) {
    if (item == Py_Ellipsis) ++ellipses;
    if (is_tensor(item) || !is_array_like(item)) {
      used += dims_used(item);
    } else {
      const Tensor made = index_tensor(item);
      used += made.dtype() == DType::Bool ? made.ndim() : 1;
    }
  }
  FASTNN_CHECK(ellipses <= 1, ErrorKind::Index, "an index can only have a single ellipsis ('...')");
  FASTNN_CHECK(used <= self.ndim(), ErrorKind::Index, "too many indices for tensor of dimension ", self.ndim());
  Parsed parsed{self, {}, false};
  int dim = 0;
  const auto add_advanced = [&](Tensor tensor) {
    parsed.indices.resize(static_cast<std::size_t>(dim));
    const int takes = tensor.dtype() == DType::Bool || tensor.dtype() == DType::UInt8 ? tensor.ndim() : 1;
    parsed.indices.push_back(std::move(tensor));
    parsed.advanced = true;
    dim += takes;
  };
  for (PyObject* item : items) {
    if (item == Py_Ellipsis) {
      dim += self.ndim() - used;
    } else if (item == Py_None) {
      parsed.view = unsqueeze(parsed.view, dim++);
    } else if (PyBool_Check(item)) {
      // A bool is a mask of zero dimensions: a new dimension of size one or zero.
      parsed.view = unsqueeze(parsed.view, dim);
      Tensor mask = full(Dims{1}, Scalar(item == Py_True), DType::Bool);
      add_advanced(std::move(mask));
    } else if (PySlice_Check(item)) {
      auto* parts = reinterpret_cast<PySliceObject*>(item);
      const auto step = slice_bound(parts->step);
      const auto start = slice_bound(parts->start);
      const auto stop = slice_bound(parts->stop);
      FASTNN_CHECK(!step || *step > 0, ErrorKind::Value, "step must be greater than zero");
      if (start || stop || (step && *step != 1)) parsed.view = slice(parsed.view, dim, start, stop, step.value_or(1));
      ++dim;
    } else if (is_integer(item)) {
      const Py_ssize_t place = PyNumber_AsSsize_t(item, PyExc_IndexError);
      if (place == -1 && PyErr_Occurred()) throw_python();
      const std::int64_t size = parsed.view.sizes()[dim];
      FASTNN_CHECK(place >= -size && place < size, ErrorKind::Index, "index ", place,
                   " is out of bounds for dimension ", dim, " with size ", size);
      parsed.view = select(parsed.view, dim, place);
    } else if (is_tensor(item) || is_array_like(item)) {
      Tensor tensor = index_tensor(item);
      if (tensor.ndim() == 0 && (tensor.dtype() == DType::Bool || tensor.dtype() == DType::UInt8)) {
        parsed.view = unsqueeze(parsed.view, dim);
        tensor = reshape(tensor, Dims{1});
      }
      add_advanced(std::move(tensor));
    } else {
      fail(ErrorKind::Index,
           "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got ",
           Py_TYPE(item)->tp_name, ")");
    }
  }
  return parsed;
}

}  // namespace

PyObject* tensor_getitem(PyObject* self, PyObject* key) {
  return guarded<PyObject*>(nullptr, [&] {
    const Tensor tensor = tensor_of(self);
    // The commonest forms first: one integer, one slice.
    if (PyLong_CheckExact(key) && tensor.ndim() > 0) {
      const Py_ssize_t place = PyLong_AsSsize_t(key);
      if (place == -1 && PyErr_Occurred()) throw_python();
      const std::int64_t size = tensor.sizes()[0];
      FASTNN_CHECK(place >= -size && place < size, ErrorKind::Index, "index ", place,
                   " is out of bounds for dimension 0 with size ", size);
      return wrap(select(tensor, 0, place));
    }
    FASTNN_CHECK(
        !(tensor.ndim() == 0 && is_integer(key)), ErrorKind::Index,
        "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
        "0-dim tensor to a number");
    const Parsed parsed = parse(tensor, key, true);
    if (parsed.advanced) return wrap(index(parsed.view, parsed.indices));
    return wrap(parsed.view.is_same(tensor) ? make_view_like(tensor) : parsed.view);
  });
}

int tensor_setitem(PyObject* self, PyObject* key, PyObject* value) {
  return guarded(-1, [&] {
    FASTNN_CHECK(value != nullptr, ErrorKind::Type, "Tensor does not support deleting items");
    const Tensor tensor = tensor_of(self);
    Tensor source;
    if (is_tensor(value)) {
      source = tensor_of(value);
    } else if (const auto scalar = scalar_of(value)) {
      source = full(Dims{}, *scalar, tensor.dtype());
    } else if (is_index_sequence(value) || PyObject_HasAttrString(value, "__array_interface__")) {
      source = tensor_from_data(value, tensor.dtype());
    } else {
      fail(ErrorKind::Type, "can't assign a ", Py_TYPE(value)->tp_name, " to a torch tensor of dtype ",
           info(tensor.dtype()).name);
    }
    const Parsed parsed = parse(tensor, key, false);
    if (parsed.advanced) {
      index_put_in_place(parsed.view, parsed.indices, to_dtype(source, tensor.dtype()), false);
      return 0;
    }
    // Leading dimensions of size one may be missing in the target: x[0] = ones(1, 3).
    while (source.ndim() > parsed.view.ndim() && source.sizes()[0] == 1) source = squeeze(source, 0);
    FASTNN_CHECK(is_expandable_to(source.sizes(), parsed.view.sizes()), ErrorKind::Runtime,
                 "shape mismatch: value tensor of shape ", source.sizes(),
                 " cannot be broadcast to indexing result of shape ", parsed.view.sizes());
    copy_in_place(parsed.view, source);
    return 0;
  });
}

}  // namespace fastnn::python
