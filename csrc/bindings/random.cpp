// fastnn.Generator and the default generator.
#include <cstring>
#include <mutex>

#include "bindings/python.h"

namespace fastnn::python {

namespace {

// A seed in [-2^63, 2^64); negative ones wrap around.
std::uint64_t seed_of(const py::handle& object) {
  FASTNN_CHECK(PyIndex_Check(object.ptr()) && !is_tensor(object.ptr()), ErrorKind::Runtime,
               "manual_seed expected a long, but got ", Py_TYPE(object.ptr())->tp_name);
  const auto index = py::reinterpret_steal<py::object>(PyNumber_Index(object.ptr()));
  if (!index) throw_python();
  int overflow = 0;
  const long long value = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
  if (overflow == 0) return static_cast<std::uint64_t>(value);
  const unsigned long long large = PyLong_AsUnsignedLongLong(index.ptr());
  if (PyErr_Occurred()) {
    PyErr_Clear();
    fail(ErrorKind::Value, "manual_seed: Overflow when unpacking long long: the seed must be in [-2**63, 2**64)");
  }
  return large;
}

Tensor get_state(const Generator& generator) {
  const std::lock_guard lock(generator.mutex());
  const Generator::StateBytes state = generator.get_state();
  const auto size = static_cast<std::int64_t>(state.size());
  Tensor out = Tensor::empty(IntSpan(&size, 1), DType::UInt8);
  std::memcpy(out.data(), state.data(), state.size());
  return out;
}

void set_state(Generator& generator, const py::handle& object) {
  FASTNN_CHECK(is_tensor(object.ptr()), ErrorKind::Type, "set_state: expected a torch.ByteTensor, but got ",
               Py_TYPE(object.ptr())->tp_name);
  const Tensor state = tensor_of(object.ptr());
  FASTNN_CHECK(state.dtype() == DType::UInt8, ErrorKind::Type,
               "set_state: RNG state must be a torch.ByteTensor, got dtype ", state.dtype());
  FASTNN_CHECK(state.numel() == static_cast<std::int64_t>(Generator::kStateBytes), ErrorKind::Runtime,
               "set_state: Expected a CPUGeneratorImplState of size ", Generator::kStateBytes,
               " but found the input RNG state size to be ", state.numel());
  FASTNN_CHECK(state.is_contiguous(), ErrorKind::Runtime, "set_state: the RNG state must be contiguous");
  const std::lock_guard lock(generator.mutex());
  FASTNN_CHECK(generator.set_state({state.as<std::byte>(), Generator::kStateBytes}), ErrorKind::Runtime,
               "set_state: Invalid mt19937 state");
}

std::shared_ptr<Generator> clone(const Generator& generator) {
  const std::lock_guard lock(generator.mutex());
  return std::make_shared<Generator>(generator);
}

}  // namespace

Generator* generator_of(PyObject* object) {
  return py::isinstance<Generator>(object) ? py::handle(object).cast<Generator*>() : nullptr;
}

void init_random(py::module_& module) {
  py::class_<Generator, std::shared_ptr<Generator>> type(module, "Generator",
                                                         R"(A source of random numbers with a state of its own.

The numbers are those of PyTorch's CPU generator after the same seed.

Args:
    device: the CPU, the only device there is.

Example::

    >>> import fastnn
    >>> generator = fastnn.Generator().manual_seed(0)
    >>> fastnn.rand(2, generator=generator)
    tensor([0.4963, 0.7682])
)");
  type.attr("__module__") = "fastnn";
  type.def(py::init([](const py::object& device) {
             check_device(device, "Generator");
             return std::make_shared<Generator>();
           }),
           py::arg("device") = py::none())
      .def_property_readonly(
          "device", [](const Generator&) { return py::reinterpret_borrow<py::object>(cpu_device()); },
          "The device of the generator: the CPU.")
      .def(
          "manual_seed",
          [](py::object self, const py::object& seed) {
            auto& generator = self.cast<Generator&>();
            const std::uint64_t value = seed_of(seed);
            const std::lock_guard lock(generator.mutex());
            generator.seed(value);
            return self;
          },
          py::arg("seed"), "Seeds the generator with an integer in [-2**63, 2**64) and returns it.")
      .def(
          "seed",
          [](Generator& self) {
            const std::lock_guard lock(self.mutex());
            return self.seed_from_os();
          },
          "Seeds the generator from the operating system's randomness and returns the seed.")
      .def("initial_seed", &Generator::initial_seed, "The last seed.")
      .def("get_state", &get_state, "The state as a uint8 tensor of shape (5056,), in PyTorch's layout.")
      .def("set_state", &set_state, py::arg("new_state"), "Takes over a state that get_state() gave.")
      .def("clone_state", &clone, "A new generator in the same state.")
      .def("__reduce__", [](const Generator& self) {
        const py::object restore = py::module_::import("fastnn._C").attr("_restore_generator");
        return py::make_tuple(restore, py::make_tuple(get_state(self)));
      });
  module.def(
      "_restore_generator",
      [](const py::object& state) {
        auto generator = std::make_shared<Generator>();
        set_state(*generator, state);
        return generator;
      },
      py::arg("state"), "A new generator in this state, for unpickling and copying.");
  module.attr("default_generator") = default_generator();
}

}  // namespace fastnn::python
