// The one place that takes memory from the system: a caching allocator of 64-byte aligned blocks.
//
// Small blocks come from per-thread free lists of size classes (no lock). Large blocks are mapped, advised for huge
// pages, and kept for reuse up to a bound; the least recently freed go back to the system first.
#pragma once

#include <cstddef>
#include <cstdint>

namespace fastnn::allocator {

inline constexpr std::size_t kAlignment = 64;

// A block of at least `bytes` bytes. Throws Error(OutOfMemory) that names the request.
void* allocate(std::size_t bytes);
// `bytes` is what was asked for.
void deallocate(void* block, std::size_t bytes) noexcept;

struct Statistics {
  std::int64_t allocated_bytes;       // in live blocks
  std::int64_t peak_allocated_bytes;  // highest value since the last reset
  std::int64_t cached_bytes;          // free, kept for reuse
  std::int64_t cache_limit_bytes;     // bound of the above
  std::int64_t allocations;           // calls of allocate()
  std::int64_t system_allocations;    // those that went to the system
};
Statistics statistics();
void reset_peak();
// Gives cached large blocks back to the system; the small blocks of other threads stay with them.
void empty_cache();
void set_cache_limit(std::int64_t bytes);

}  // namespace fastnn::allocator
