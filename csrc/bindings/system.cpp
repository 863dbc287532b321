// Threads, memory, and what the installation consists of.
#include <pybind11/stl.h>

#include "bindings/python.h"
#include "core/allocator.h"
#include "core/parallel.h"
#include "core/serial_thread.h"
#include "cpu_host/blas.h"
#include "cpu_host/isa.h"
#include "kernels/table.h"

namespace fastnn::python {

namespace {

// Lets other Python threads run during a long kernel.
void* release_gil() { return PyGILState_Check() ? PyEval_SaveThread() : nullptr; }
void take_gil(void* token) { PyEval_RestoreThread(static_cast<PyThreadState*>(token)); }

py::dict memory_stats() {
  const allocator::Statistics statistics = allocator::statistics();
  py::dict result;
  result["allocated_bytes"] = statistics.allocated_bytes;
  result["peak_allocated_bytes"] = statistics.peak_allocated_bytes;
  result["cached_bytes"] = statistics.cached_bytes;
  result["cache_limit_bytes"] = statistics.cache_limit_bytes;
  result["allocations"] = statistics.allocations;
  result["system_allocations"] = statistics.system_allocations;
  return result;
}

py::dict information() {
  py::dict result;
  result["version"] = FASTNN_VERSION;
  result["isa"] = isa_in_use();
  result["isa_available"] = isa_available();
  result["blas"] = blas_description();
  result["num_threads"] = num_threads();
  result["num_threads_reason"] = num_threads_reason();
  result["allocator"] = memory_stats();
  return result;
}

}  // namespace

void init_system(py::module_& module) {
  module.attr("__version__") = FASTNN_VERSION;
  module.def("info", &information, "Version, instruction set, BLAS, threads and memory of this installation.");
  set_blocking_hooks({&release_gil, &take_gil});
  module.def("get_num_threads", &num_threads, "The number of threads that kernels use.");
  module.def("set_num_threads", &set_num_threads, py::arg("num"), "Sets the number of threads that kernels use.");
  module.def("set_flush_denormal", &set_flush_denormal, py::arg("mode"),
             "Flushes denormal numbers to zero, in every thread. Returns whether the processor can.");
  module.def("_set_serial_thread", &set_serial_thread, "Whether kernels called from this thread use only this thread.");
  module.def("_num_threads_reason", &num_threads_reason, "Why the thread pool has its size.");
  module.def("memory_stats", &memory_stats, "Bytes and counts of the tensor allocator.");
  module.def("reset_peak_memory_stats", &allocator::reset_peak, "Starts the peak anew from what is in use.");
  module.def("empty_cache", &allocator::empty_cache, "Gives free cached memory back to the system.");
  module.def("set_cache_limit", &allocator::set_cache_limit, py::arg("bytes"), "Bounds the memory kept for reuse.");
  module.def("_isa", &isa_in_use, "The instruction set whose kernels run.");
  module.def("_isa_available", &isa_available, "The instruction sets that could run here.");
  module.def("get_default_dtype", &default_dtype, "The dtype of new floating point tensors.");
  module.def("set_default_dtype", &set_default_dtype, py::arg("d"), "Sets the dtype of new floating point tensors.");
  module.def(
      "_count_launches",
      [](bool on) {
        const long counted = LaunchCount::value;
        LaunchCount::counting = on;
        LaunchCount::value = 0;
        return counted;
      },
      py::arg("on"), "Starts or stops counting kernel launches; returns the count so far.");
}

}  // namespace fastnn::python
