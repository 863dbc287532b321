// The thread pool. The only room that knows OpenMP.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

namespace fastnn {

int num_threads();
void set_num_threads(int count);
// Why the pool has the size it has: "2 processors in the affinity mask".
std::string num_threads_reason();
bool in_parallel_region();
// Where the running thread stands in its team.
int thread_index();

// Whether denormal numbers are flushed to zero, in this thread and in the workers.
bool set_flush_denormal(bool on);

// Called around work long enough that other Python threads should run; set by the bindings.
struct BlockingHooks {
  void* (*enter)();
  void (*leave)(void* token);
};
void set_blocking_hooks(BlockingHooks hooks);

namespace detail {
using RangeFn = void (*)(void* context, std::int64_t begin, std::int64_t end);
void run_ranges(std::int64_t count, std::int64_t grain, RangeFn fn, void* context);
}  // namespace detail

// Calls body(begin, end) over pieces of [0, count), in parallel when there are more than `grain` items.
// An exception of the body reaches the caller. Nested calls run in the calling thread.
template <class F>
void parallel_for(std::int64_t count, std::int64_t grain, F&& body) {
  if (count <= 0) return;
  if (count <= grain) {
    body(std::int64_t{0}, count);
    return;
  }
  using Body = std::remove_reference_t<F>;
  detail::run_ranges(
      count, grain,
      [](void* context, std::int64_t begin, std::int64_t end) { (*static_cast<Body*>(context))(begin, end); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace fastnn
