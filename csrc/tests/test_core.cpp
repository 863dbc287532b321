// Allocator, shapes, promotion, tensors: the rooms that know no Python.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include "core/allocator.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace fastnn {

TEST_CASE("blocks are aligned, counted and reused") {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{64}, std::size_t{65}, std::size_t{4096},
                                  std::size_t{40000}, std::size_t{1} << 20, (std::size_t{1} << 24) + 1}) {
    const std::int64_t before = allocator::statistics().allocated_bytes;
    void* block = allocator::allocate(bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(block) % allocator::kAlignment == 0);
    CHECK(allocator::statistics().allocated_bytes - before == static_cast<std::int64_t>(bytes));
    std::memset(block, 1, bytes);
    allocator::deallocate(block, bytes);
    CHECK(allocator::statistics().allocated_bytes == before);
  }
}

TEST_CASE("the cache keeps to its bound and can be emptied") {
  const std::int64_t limit = allocator::statistics().cache_limit_bytes;
  allocator::set_cache_limit(10 << 20);
  std::vector<void*> blocks;
  constexpr std::size_t kBytes = 4 << 20;
  for (int i = 0; i < 8; ++i) blocks.push_back(allocator::allocate(kBytes));
  for (void* block : blocks) allocator::deallocate(block, kBytes);
  CHECK(allocator::statistics().cached_bytes <= 10 << 20);
  allocator::empty_cache();
  CHECK(allocator::statistics().cached_bytes == 0);
  allocator::set_cache_limit(limit);
}

TEST_CASE("an absurd request is an error that leaves everything usable") {
  CHECK_THROWS_AS(allocator::allocate(std::size_t{1} << 50), Error);
  void* block = allocator::allocate(100);
  allocator::deallocate(block, 100);
}

TEST_CASE("blocks freed by another thread are fine") {
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) blocks.push_back(allocator::allocate(static_cast<std::size_t>(i) * 7));
  std::thread([&] {
    for (int i = 0; i < 1000; ++i)
      allocator::deallocate(blocks[static_cast<std::size_t>(i)], static_cast<std::size_t>(i) * 7);
  }).join();
  for (int i = 0; i < 1000; ++i) blocks[static_cast<std::size_t>(i)] = allocator::allocate(64);
  for (void* block : blocks) allocator::deallocate(block, 64);
}

TEST_CASE("broadcasting") {
  CHECK(broadcast_shapes(Dims{3, 1}, Dims{4}, "op") == Dims{3, 4});
  CHECK(broadcast_shapes(Dims{}, Dims{2, 0}, "op") == Dims{2, 0});
  CHECK_THROWS_AS(broadcast_shapes(Dims{2}, Dims{3}, "op"), Error);
  CHECK(broadcast_strides(Dims{3, 1}, Dims{1, 1}, Dims{2, 3, 4}) == Dims{0, 1, 0});
}

TEST_CASE("short lists of integers grow out of their place") {
  Dims dims;
  for (int i = 0; i < 40; ++i) dims.push_back(i);
  Dims copy = dims;
  Dims moved = std::move(dims);
  CHECK(copy == moved);
  copy.erase(0);
  copy.insert(5, -1);
  CHECK(copy[5] == -1);
  CHECK(copy[4] == 5);
  CHECK(copy.size() == 40);
}

TEST_CASE("view strides") {
  CHECK(view_strides(Dims{2, 3, 4}, Dims{12, 4, 1}, Dims{6, 4}) == Dims{4, 1});
  CHECK(view_strides(Dims{2, 3, 4}, Dims{12, 4, 1}, Dims{2, 12}) == Dims{12, 1});
  CHECK(view_strides(Dims{4, 3}, Dims{1, 4}, Dims{12}) == std::nullopt);
  CHECK(view_strides(Dims{4, 3}, Dims{1, 4}, Dims{2, 2, 3}) == Dims{2, 1, 4});
  CHECK(view_strides(Dims{}, Dims{}, Dims{1, 1})->size() == 2);
  CHECK(view_strides(Dims{1, 5}, Dims{100, 2}, Dims{5, 1}).has_value());
}

TEST_CASE("promotion") {
  CHECK(promote(DType::UInt8, DType::Int8) == DType::Int16);
  CHECK(promote(DType::Float16, DType::BFloat16) == DType::Float32);
  CHECK(promote(DType::Int64, DType::Float16) == DType::Float16);
  TypePromotion promotion;
  promotion.add(Tensor::empty(Dims{2}, DType::Float32));
  promotion.add(Tensor::empty(Dims{}, DType::Float64));
  CHECK(promotion.result() == DType::Float32);
}

TEST_CASE("an alias cannot leave its storage") {
  const Tensor tensor = Tensor::empty(Dims{2, 3}, DType::Float32);
  CHECK_NOTHROW(tensor.alias(Dims{6}, Dims{1}, 0));
  CHECK_THROWS_AS(tensor.alias(Dims{7}, Dims{1}, 0), Error);
  CHECK_THROWS_AS(tensor.alias(Dims{2}, Dims{1}, 5), Error);
  CHECK_THROWS_AS(tensor.alias(Dims{std::int64_t{1} << 62}, Dims{1 << 20}, 0), Error);
  CHECK_NOTHROW(tensor.alias(Dims{0}, Dims{1}, 6));
}

TEST_CASE("half precision rounds to nearest even") {
  CHECK(static_cast<float>(Half(65504.0f)) == 65504.0f);
  CHECK(static_cast<float>(Half(65519.0f)) == 65504.0f);
  CHECK(static_cast<float>(Half(65520.0f)) == std::numeric_limits<float>::infinity());
  CHECK(static_cast<float>(Half(1.0f + 0x1p-11f)) == 1.0f);
  CHECK(static_cast<float>(Half(1.0f + 3 * 0x1p-11f)) == 1.0f + 0x1p-9f);
  CHECK(static_cast<float>(Half(0x1p-24f)) == 0x1p-24f);
  CHECK(static_cast<float>(Half(0x1p-25f)) == 0.0f);
  CHECK(static_cast<float>(BFloat16(1.0f + 0x1p-8f)) == 1.0f);
  CHECK(static_cast<float>(BFloat16(1.0f + 3 * 0x1p-8f)) == 1.0f + 0x1p-6f);
  for (std::uint32_t bits = 0; bits < 0x7c00u; ++bits) {
    Half half;
    half.bits = static_cast<std::uint16_t>(bits);
    REQUIRE(Half(static_cast<float>(half)).bits == half.bits);
  }
}

TEST_CASE("parallel loops cover their range once and pass exceptions on") {
  std::vector<int> seen(100000, 0);
  parallel_for(100000, 100, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
  });
  CHECK(std::count(seen.begin(), seen.end(), 1) == 100000);
  CHECK_THROWS_AS(parallel_for(1000, 1, [](std::int64_t, std::int64_t) { fail("from a worker"); }), Error);
  CHECK_THROWS_AS(set_num_threads(0), Error);
}

}  // namespace fastnn
