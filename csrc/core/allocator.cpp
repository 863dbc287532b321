#include "core/allocator.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <list>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include "core/error.h"

namespace fastnn::allocator {

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kCaching = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool kCaching = false;
#else
constexpr bool kCaching = true;
#endif
#else
constexpr bool kCaching = true;
#endif

constexpr std::size_t kSmallLimit = 32 * 1024;  // up to here: per-thread free lists
constexpr std::size_t kSlabBytes = 256 * 1024;  // small blocks are cut from slabs of this size
constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = 2 * 1024 * 1024;
constexpr std::size_t kMapThreshold = 4 * kHugePage;  // from here on blocks are aligned to huge pages
constexpr int kStepsPerDoubling = 4;                  // size classes: at most a quarter is wasted
constexpr int kSmallClasses = 48;
constexpr std::int64_t kMinimumCacheLimit = 256ll << 20;

std::atomic<std::int64_t> g_allocated{0};
std::atomic<std::int64_t> g_peak{0};
std::atomic<std::int64_t> g_calls{0};
std::atomic<std::int64_t> g_system_calls{0};

// Number and size of the class of a small request: 64, 128, 192, 256, then four steps per doubling.
int class_of(std::size_t bytes) {
  if (bytes <= 256) return bytes == 0 ? 0 : static_cast<int>((bytes - 1) / kAlignment);
  const int log = std::bit_width(bytes - 1) - 1;  // 2^log < bytes <= 2^(log + 1)
  const auto step = static_cast<int>((bytes - 1 - (std::size_t{1} << log)) >> (log - 2));
  return 4 + (log - 8) * kStepsPerDoubling + step;
}
std::size_t class_bytes(int index) {
  if (index < 4) return kAlignment * static_cast<std::size_t>(index + 1);
  const int log = 8 + (index - 4) / kStepsPerDoubling;
  const int step = (index - 4) % kStepsPerDoubling;
  return (std::size_t{1} << log) + (static_cast<std::size_t>(step + 1) << (log - 2));
}

struct FreeBlock {
  FreeBlock* next;
};

void count_allocation(std::size_t bytes) {
  g_calls.fetch_add(1, std::memory_order_relaxed);
  const auto now = g_allocated.fetch_add(static_cast<std::int64_t>(bytes), std::memory_order_relaxed) +
                   static_cast<std::int64_t>(bytes);
  if (now > g_peak.load(std::memory_order_relaxed)) g_peak.store(now, std::memory_order_relaxed);
}

[[noreturn]] void out_of_memory(std::size_t bytes) {
  fail(ErrorKind::OutOfMemory, "not enough memory: you tried to allocate ", bytes, " bytes (",
       g_allocated.load(std::memory_order_relaxed), " are in use)");
}

std::int64_t default_cache_limit() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const auto memory = static_cast<std::int64_t>(pages > 0 ? pages : 0) * static_cast<std::int64_t>(kPage);
  return std::max(kMinimumCacheLimit, memory / 8);
}

// Blocks over kSmallLimit, shared by all threads.
class LargeCache {
 public:
  void* take(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto found = by_size_.lower_bound(bytes);
    // Rounded sizes differ by a quarter per step; accepting the next step keeps shapes that vary from growing the heap.
    if (found == by_size_.end() || found->first > bytes + bytes / 4) return nullptr;
    const auto entry = found->second.back();
    found->second.pop_back();
    if (found->second.empty()) by_size_.erase(found);
    void* block = entry->block;
    cached_ -= static_cast<std::int64_t>(entry->bytes);
    sizes_[block] = entry->bytes;
    order_.erase(entry);
    return block;
  }

  void remember(void* block, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    sizes_[block] = bytes;
  }

  void give(void* block) {
    const std::lock_guard lock(mutex_);
    const auto known = sizes_.find(block);
    const std::size_t bytes = known->second;
    sizes_.erase(known);
    if (static_cast<std::int64_t>(bytes) > limit_) {
      munmap(block, bytes);
      return;
    }
    order_.push_back({block, bytes});
    by_size_[bytes].push_back(std::prev(order_.end()));
    cached_ += static_cast<std::int64_t>(bytes);
    trim(limit_);
  }

  void empty() {
    const std::lock_guard lock(mutex_);
    trim(0);
  }
  void set_limit(std::int64_t bytes) {
    const std::lock_guard lock(mutex_);
    limit_ = bytes;
    trim(limit_);
  }
  std::int64_t cached() {
    const std::lock_guard lock(mutex_);
    return cached_;
  }
  std::int64_t limit() {
    const std::lock_guard lock(mutex_);
    return limit_;
  }
  std::mutex& mutex() { return mutex_; }

 private:
  struct Entry {
    void* block;
    std::size_t bytes;
  };

  void trim(std::int64_t limit) {
    while (cached_ > limit && !order_.empty()) {
      const auto oldest = order_.begin();
      auto& same = by_size_[oldest->bytes];
      std::erase(same, oldest);
      if (same.empty()) by_size_.erase(oldest->bytes);
      cached_ -= static_cast<std::int64_t>(oldest->bytes);
      munmap(oldest->block, oldest->bytes);
      order_.erase(oldest);
    }
  }

  std::mutex mutex_;
  std::list<Entry> order_;  // oldest first
  std::map<std::size_t, std::vector<std::list<Entry>::iterator>> by_size_;
  std::map<void*, std::size_t> sizes_;  // mapped size of each live block
  std::int64_t cached_ = 0;
  std::int64_t limit_ = default_cache_limit();
};

LargeCache& large_cache() {
  static LargeCache* cache = new LargeCache;  // never destroyed: tensors may outlive static destruction
  return *cache;
}

// Maps `bytes` (a multiple of the page size), aligned to a huge page when that can help.
void* map_pages(std::size_t bytes) {
  const std::size_t slack = bytes >= kMapThreshold ? kHugePage : 0;
  g_system_calls.fetch_add(1, std::memory_order_relaxed);
  void* raw = mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  if (slack == 0) return raw;
  const auto start = reinterpret_cast<std::uintptr_t>(raw);
  const std::uintptr_t aligned = (start + kHugePage - 1) & ~(kHugePage - 1);
  if (aligned > start) munmap(raw, aligned - start);
  const std::uintptr_t tail = start + bytes + slack - (aligned + bytes);
  if (tail > 0) munmap(reinterpret_cast<void*>(aligned + bytes), tail);
  madvise(reinterpret_cast<void*>(aligned), bytes, MADV_HUGEPAGE);
  return reinterpret_cast<void*>(aligned);
}

std::size_t round_large(std::size_t bytes) {
  const int log = std::bit_width(bytes - 1) - 1;
  const std::size_t step = std::max(kPage, std::size_t{1} << std::max(0, log - 3));  // at most an eighth wasted
  return (bytes + step - 1) / step * step;
}

void* allocate_large(std::size_t bytes) {
  constexpr std::size_t kLargest = std::size_t{1} << 46;
  if (bytes > kLargest) out_of_memory(bytes);
  const std::size_t rounded = round_large(bytes);
  LargeCache& cache = large_cache();
  if (void* block = cache.take(rounded)) return block;
  void* block = map_pages(rounded);
  if (block == nullptr) {
    cache.empty();
    block = map_pages(rounded);
    if (block == nullptr) out_of_memory(bytes);
  }
  cache.remember(block, rounded);
  return block;
}

// Free lists of one thread. What a thread leaves behind when it ends goes to the shared list.
struct ThreadCache {
  std::array<FreeBlock*, kSmallClasses> lists{};
  char* slab = nullptr;
  std::size_t slab_left = 0;

  ~ThreadCache();
};

struct SharedLists {
  std::mutex mutex;
  std::array<FreeBlock*, kSmallClasses> lists{};
};
SharedLists& shared_lists() {
  static SharedLists* lists = new SharedLists;
  return *lists;
}

// A fork copies locks as they are, so that no thread may hold one at that moment.
void lock_all() {
  large_cache().mutex().lock();
  shared_lists().mutex.lock();
}
void unlock_all() {
  shared_lists().mutex.unlock();
  large_cache().mutex().unlock();
}
[[maybe_unused]] const int g_fork_handlers = pthread_atfork(&lock_all, &unlock_all, &unlock_all);

thread_local ThreadCache* t_cache = nullptr;
thread_local bool t_cache_gone = false;

ThreadCache::~ThreadCache() {
  SharedLists& shared = shared_lists();
  const std::lock_guard lock(shared.mutex);
  for (std::size_t i = 0; i < lists.size(); ++i) {
    while (FreeBlock* block = lists[i]) {
      lists[i] = block->next;
      block->next = shared.lists[i];
      shared.lists[i] = block;
    }
  }
  t_cache = nullptr;
  t_cache_gone = true;
}

ThreadCache* make_thread_cache() {
  if (t_cache_gone) return nullptr;
  static thread_local ThreadCache cache;
  t_cache = &cache;
  return t_cache;
}

void* refill(ThreadCache& cache, int index) {
  const std::size_t bytes = class_bytes(index);
  SharedLists& shared = shared_lists();
  {
    const std::lock_guard lock(shared.mutex);
    if (FreeBlock* block = shared.lists[static_cast<std::size_t>(index)]) {
      shared.lists[static_cast<std::size_t>(index)] = block->next;
      return block;
    }
  }
  if (cache.slab_left < bytes) {
    // What is left of the old slab is smaller than one block of this class: at most an eighth of a slab.
    void* slab = map_pages(kSlabBytes);
    if (slab == nullptr) out_of_memory(kSlabBytes);
    cache.slab = static_cast<char*>(slab);
    cache.slab_left = kSlabBytes;
  }
  void* block = cache.slab;
  cache.slab += bytes;
  cache.slab_left -= bytes;
  return block;
}

void* allocate_small(int index) {
  ThreadCache* cache = t_cache;
  if (cache == nullptr) cache = make_thread_cache();
  if (cache == nullptr) {  // this thread is ending
    void* block = std::aligned_alloc(kAlignment, class_bytes(index));
    if (block == nullptr) out_of_memory(class_bytes(index));
    return block;
  }
  FreeBlock*& list = cache->lists[static_cast<std::size_t>(index)];
  if (FreeBlock* block = list) {
    list = block->next;
    return block;
  }
  return refill(*cache, index);
}

void deallocate_small(void* block, int index) noexcept {
  auto* free = static_cast<FreeBlock*>(block);
  if (ThreadCache* cache = t_cache ? t_cache : make_thread_cache()) {
    FreeBlock*& list = cache->lists[static_cast<std::size_t>(index)];
    free->next = list;
    list = free;
    return;
  }
  SharedLists& shared = shared_lists();
  const std::lock_guard lock(shared.mutex);
  FreeBlock*& list = shared.lists[static_cast<std::size_t>(index)];
  free->next = list;
  list = free;
}

}  // namespace

void* allocate(std::size_t bytes) {
  void* block = nullptr;
  if constexpr (!kCaching) {
    constexpr std::size_t kLargest = std::size_t{1} << 40;
    const std::size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (bytes <= kLargest) block = std::aligned_alloc(kAlignment, std::max(rounded, kAlignment));
    if (block == nullptr) out_of_memory(bytes);
  } else {
    block = bytes <= kSmallLimit ? allocate_small(class_of(bytes)) : allocate_large(bytes);
  }
  count_allocation(bytes);
  return block;
}

void deallocate(void* block, std::size_t bytes) noexcept {
  g_allocated.fetch_sub(static_cast<std::int64_t>(bytes), std::memory_order_relaxed);
  if constexpr (!kCaching) {
    std::free(block);
  } else if (bytes <= kSmallLimit) {
    deallocate_small(block, class_of(bytes));
  } else {
    large_cache().give(block);
  }
}

Statistics statistics() {
  return {g_allocated.load(),    g_peak.load(),  large_cache().cached(),
          large_cache().limit(), g_calls.load(), g_system_calls.load()};
}

void reset_peak() { g_peak.store(g_allocated.load()); }
void empty_cache() { large_cache().empty(); }
void set_cache_limit(std::int64_t bytes) {
  FASTNN_CHECK(bytes >= 0, ErrorKind::Value, "set_cache_limit: bytes must not be negative, got ", bytes);
  large_cache().set_limit(bytes);
}

}  // namespace fastnn::allocator
