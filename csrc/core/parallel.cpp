#include "core/parallel.h"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <mutex>
#include <sstream>

#include "core/error.h"
#include "core/serial_thread.h"

namespace fastnn {

namespace {

std::atomic<int> g_threads{0};
std::atomic<bool> g_flush{false};
std::string g_reason;
std::once_flag g_once;
BlockingHooks g_hooks{nullptr, nullptr};
// After fork() the workers of the parent do not exist in the child, and libgomp would wait for them for ever.
std::atomic<bool> g_forked_with_pool{false};
std::atomic<bool> g_pool_started{false};
thread_local bool t_serial = false;

// CPU quota of the control group (v2, then v1), in whole processors; 0 when there is none.
int cgroup_quota() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (v2 >> quota >> period && quota != "max" && period > 0) {
    return std::max(1, static_cast<int>(std::ceil(std::atof(quota.c_str()) / period)));
  }
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double limit = 0;
  if (v1_quota >> limit && v1_period >> period && limit > 0 && period > 0) {
    return std::max(1, static_cast<int>(std::ceil(limit / period)));
  }
  return 0;
}

int positive_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return 0;
  const int value = std::atoi(text);
  return value > 0 ? value : 0;
}

void choose_threads() {
  std::ostringstream reason;
  int count = 0;
  for (const char* name : {"FASTNN_NUM_THREADS", "OMP_NUM_THREADS"}) {
    if (count == 0 && (count = positive_environment(name)) > 0) reason << name << "=" << count;
  }
  if (count == 0) {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    count = sched_getaffinity(0, sizeof(mask), &mask) == 0 ? CPU_COUNT(&mask) : 1;
    reason << count << " processor" << (count == 1 ? "" : "s") << " in the affinity mask";
    if (const int quota = cgroup_quota(); quota > 0 && quota < count) {
      reason << ", limited to " << quota << " by the control group";
      count = quota;
    }
  }
  g_reason = reason.str();
  g_threads.store(std::max(1, count));
  pthread_atfork(nullptr, nullptr, [] {
    if (g_pool_started.load()) g_forked_with_pool.store(true);
  });
}

void ensure_chosen() { std::call_once(g_once, choose_threads); }

void apply_flush(bool on) {
#if defined(__x86_64__)
  constexpr unsigned kFlushToZero = 0x8000u;
  constexpr unsigned kDenormalsAreZero = 0x0040u;
  const unsigned bits = kFlushToZero | kDenormalsAreZero;
  _mm_setcsr(on ? (_mm_getcsr() | bits) : (_mm_getcsr() & ~bits));
#else
  (void)on;
#endif
}

class BlockingSection {
 public:
  BlockingSection() : token_(g_hooks.enter ? g_hooks.enter() : nullptr) {}
  ~BlockingSection() {
    if (token_) g_hooks.leave(token_);
  }
  BlockingSection(const BlockingSection&) = delete;
  BlockingSection& operator=(const BlockingSection&) = delete;

 private:
  void* token_;
};

}  // namespace

int num_threads() {
  ensure_chosen();
  return g_threads.load(std::memory_order_relaxed);
}

void set_num_threads(int count) {
  FASTNN_CHECK(count > 0, ErrorKind::Runtime, "set_num_threads expects a positive integer, got ", count);
  ensure_chosen();
  g_threads.store(count);
  g_reason = "set_num_threads(" + std::to_string(count) + ")";
}

std::string num_threads_reason() {
  ensure_chosen();
  return g_reason;
}

void set_serial_thread(bool serial) { t_serial = serial; }

bool in_parallel_region() { return omp_in_parallel() != 0; }
int thread_index() { return omp_get_thread_num(); }

bool set_flush_denormal(bool on) {
  g_flush.store(on);
  apply_flush(on);
#if defined(__x86_64__)
  return true;
#else
  return false;
#endif
}

void set_blocking_hooks(BlockingHooks hooks) { g_hooks = hooks; }

namespace detail {

void run_ranges(std::int64_t count, std::int64_t grain, RangeFn fn, void* context) {
  if (in_parallel_region()) {
    fn(context, 0, count);
    return;
  }
  const BlockingSection section;
  const std::int64_t wanted = (count + grain - 1) / std::max<std::int64_t>(grain, 1);
  const int threads = static_cast<int>(std::min<std::int64_t>(num_threads(), wanted));
  if (threads <= 1 || t_serial || g_forked_with_pool.load(std::memory_order_relaxed)) {
    fn(context, 0, count);
    return;
  }
  g_pool_started.store(true, std::memory_order_relaxed);
  std::exception_ptr error;
  std::mutex error_mutex;
  const bool flush = g_flush.load(std::memory_order_relaxed);
#pragma omp parallel num_threads(threads)
  {
    const int team = omp_get_num_threads();
    const std::int64_t chunk = (count + team - 1) / team;
    const std::int64_t begin = omp_get_thread_num() * chunk;
    const std::int64_t end = std::min(begin + chunk, count);
    if (flush) apply_flush(true);
    try {
      if (begin < end) fn(context, begin, end);
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace detail

}  // namespace fastnn
