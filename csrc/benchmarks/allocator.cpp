// The caching allocator against the system's, for a block that is written once and freed.
#include "core/allocator.h"

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <vector>

namespace fastnn {
namespace {

void cached_block(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    void* block = allocator::allocate(bytes);
    *static_cast<volatile char*>(block) = 1;
    allocator::deallocate(block, bytes);
  }
}
BENCHMARK(cached_block)->RangeMultiplier(16)->Range(64, 64 << 20);

void system_block(benchmark::State& state) {
  const auto bytes = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    void* block = std::aligned_alloc(allocator::kAlignment, bytes);
    *static_cast<volatile char*>(block) = 1;
    std::free(block);
  }
}
BENCHMARK(system_block)->RangeMultiplier(16)->Range(64, 64 << 20);

// A training step holds what the forward pass makes and frees it in the reverse order.
void nested_blocks(benchmark::State& state) {
  constexpr int kDepth = 64;
  const auto bytes = static_cast<std::size_t>(state.range(0));
  std::vector<void*> blocks(kDepth);
  for (auto _ : state) {
    for (void*& block : blocks) block = allocator::allocate(bytes);
    for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) allocator::deallocate(*block, bytes);
  }
  state.SetItemsProcessed(state.iterations() * kDepth);
}
BENCHMARK(nested_blocks)->RangeMultiplier(32)->Range(64, 2 << 20);

}  // namespace
}  // namespace fastnn
