// Elementwise operations by size and layout, in bytes a second, and what starting the thread pool costs.
#include "ops/elementwise.h"

#include <benchmark/benchmark.h>

#include "core/parallel.h"

namespace fastnn {
namespace {

void report_bytes(benchmark::State& state, std::int64_t bytes) { state.SetBytesProcessed(state.iterations() * bytes); }

void add_contiguous(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const Tensor a = Tensor::full(Dims{n}, 1.0, DType::Float32);
  const Tensor b = Tensor::full(Dims{n}, 2.0, DType::Float32);
  for (auto _ : state) benchmark::DoNotOptimize(add(a, b));
  report_bytes(state, 3 * n * itemsize(DType::Float32));
}
BENCHMARK(add_contiguous)->RangeMultiplier(32)->Range(1, 32 << 20);

// A row is added to every row of a matrix: the bias of a linear layer.
void add_row(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const Tensor a = Tensor::full(Dims{n, n}, 1.0, DType::Float32);
  const Tensor b = Tensor::full(Dims{n}, 2.0, DType::Float32);
  for (auto _ : state) benchmark::DoNotOptimize(add(a, b));
  report_bytes(state, 2 * n * n * itemsize(DType::Float32));
}
BENCHMARK(add_row)->Arg(64)->Arg(1024);

void add_transposed(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const Tensor a = Tensor::full(Dims{n, n}, 1.0, DType::Float32);
  const Tensor b = a.alias(Dims{n, n}, Dims{1, n}, 0);
  for (auto _ : state) benchmark::DoNotOptimize(add(a, b));
  report_bytes(state, 3 * n * n * itemsize(DType::Float32));
}
BENCHMARK(add_transposed)->Arg(64)->Arg(1024);

void add_bfloat16(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const Tensor a = Tensor::full(Dims{n}, 1.0, DType::BFloat16);
  for (auto _ : state) benchmark::DoNotOptimize(add(a, a));
  report_bytes(state, 3 * n * itemsize(DType::BFloat16));
}
BENCHMARK(add_bfloat16)->Arg(1 << 10)->Arg(1 << 20);

void parallel_region(benchmark::State& state) {
  for (auto _ : state) {
    parallel_for(num_threads(), 1, [](std::int64_t begin, std::int64_t) { benchmark::DoNotOptimize(begin); });
  }
}
BENCHMARK(parallel_region)->UseRealTime();

}  // namespace
}  // namespace fastnn
