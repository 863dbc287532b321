// Matrix products by shape and dtype, as a share of the machine's peak in fused multiply-adds, which is measured first;
// convolution and attention, which are made of products, in the same unit.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>

#include "core/parallel.h"
#include "ops/attention.h"
#include "ops/conv.h"
#include "ops/matmul.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fastnn {
namespace {

constexpr int kChains = 12;  // independent accumulators: more than latency times throughput
constexpr std::int64_t kSteps = 1 << 20;

#if defined(__x86_64__)

[[gnu::target("avx512f")]] float spin_avx512() {
  __m512 sums[kChains];
  for (__m512& sum : sums) sum = _mm512_set1_ps(1.0f);
  const __m512 a = _mm512_set1_ps(0.999f);
  const __m512 b = _mm512_set1_ps(0.001f);
  for (std::int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, a, b);
  }
  for (int i = 1; i < kChains; ++i) sums[0] = _mm512_add_ps(sums[0], sums[i]);
  return _mm512_reduce_add_ps(sums[0]);
}

[[gnu::target("avx2,fma")]] float spin_avx2() {
  __m256 sums[kChains];
  for (__m256& sum : sums) sum = _mm256_set1_ps(1.0f);
  const __m256 a = _mm256_set1_ps(0.999f);
  const __m256 b = _mm256_set1_ps(0.001f);
  for (std::int64_t i = 0; i < kSteps; ++i) {
#pragma GCC unroll 12
    for (__m256& sum : sums) sum = _mm256_fmadd_ps(sum, a, b);
  }
  for (int i = 1; i < kChains; ++i) sums[0] = _mm256_add_ps(sums[0], sums[i]);
  return _mm256_cvtss_f32(sums[0]);
}

#endif

// Floating point operations a second of one core, at best; 0 where there is no instruction to measure with.
double core_peak() {
  static const double peak = [] {
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool wide = __builtin_cpu_supports("avx512f");
    if (!wide && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) return 0.0;
    const double lanes = wide ? 16 : 8;
    double best = 0;
    for (int round = 0; round < 10; ++round) {
      const auto start = std::chrono::steady_clock::now();
      float result = wide ? spin_avx512() : spin_avx2();
      benchmark::DoNotOptimize(result);
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      best = std::max(best, 2 * lanes * kChains * static_cast<double>(kSteps) / seconds.count());
    }
    return best;
#else
    return 0.0;
#endif
  }();
  return peak;
}

// Counts the work of one iteration, and what part of the peak of the threads in use that is (float32's).
void report(benchmark::State& state, double multiply_adds) {
  const double flops = 2 * multiply_adds * static_cast<double>(state.iterations());
  state.counters["flops"] = benchmark::Counter(flops, benchmark::Counter::kIsRate);
  if (core_peak() > 0) {
    state.counters["of_peak"] = benchmark::Counter(flops / (core_peak() * num_threads()), benchmark::Counter::kIsRate);
  }
}

Tensor filled(Dims sizes, DType dtype = DType::Float32) { return Tensor::full(sizes, 0.5, dtype); }
Tensor transposed(const Tensor& t) {
  return t.alias(Dims{t.sizes()[1], t.sizes()[0]}, Dims{t.strides()[1], t.strides()[0]}, 0);
}

void product(benchmark::State& state, DType dtype, bool transpose) {
  const std::int64_t m = state.range(0);
  const std::int64_t n = state.range(1);
  const std::int64_t k = state.range(2);
  const Tensor a = filled({m, k}, dtype);
  const Tensor b = transpose ? transposed(filled({n, k}, dtype)) : filled({k, n}, dtype);
  for (auto _ : state) benchmark::DoNotOptimize(mm(a, b));
  report(state, static_cast<double>(m * n * k));
}
void shapes(benchmark::internal::Benchmark* b) {
  for (const std::int64_t n : {1, 8, 32, 64, 128, 256, 512, 1024}) b->Args({n, n, n});
  b->Args({64, 512, 784});    // a batch through a layer
  b->Args({512, 784, 64});    // the gradient of its weight
  b->Args({4096, 64, 576});   // a convolution's shape
  b->Args({1, 1024, 1024});   // matrix by vector
  b->UseRealTime();
}
BENCHMARK_CAPTURE(product, float32, DType::Float32, false)->Apply(shapes);
BENCHMARK_CAPTURE(product, float32_transposed, DType::Float32, true)->Apply(shapes);
BENCHMARK_CAPTURE(product, float64, DType::Float64, false)->Args({512, 512, 512})->UseRealTime();
BENCHMARK_CAPTURE(product, bfloat16, DType::BFloat16, true)->Args({64, 64, 64})->Args({512, 512, 512})->UseRealTime();
BENCHMARK_CAPTURE(product, float16, DType::Float16, true)->Args({64, 64, 64})->Args({512, 512, 512})->UseRealTime();
BENCHMARK_CAPTURE(product, int64, DType::Int64, false)->Args({128, 128, 128})->UseRealTime();

void batched(benchmark::State& state) {
  const std::int64_t n = state.range(1);
  const Tensor a = filled({state.range(0), n, n});
  for (auto _ : state) benchmark::DoNotOptimize(bmm(a, a));
  report(state, static_cast<double>(state.range(0) * n * n * n));
}
BENCHMARK(batched)->Args({256, 8})->Args({64, 64})->Args({8, 256})->UseRealTime();

void convolution(benchmark::State& state) {
  const std::int64_t channels = state.range(0);
  const std::int64_t outs = state.range(1);
  const std::int64_t size = state.range(2);
  const std::int64_t kernel = state.range(3);
  const Tensor x = filled({8, channels, size, size});
  const Tensor w = filled({outs, channels, kernel, kernel});
  const std::int64_t one[] = {1};
  const std::int64_t half[] = {kernel / 2};
  for (auto _ : state) benchmark::DoNotOptimize(conv2d(x, w, Tensor(), one, half, one, 1));
  report(state, static_cast<double>(8 * outs * size * size * channels * kernel * kernel));
}
BENCHMARK(convolution)
    ->Args({1, 32, 28, 3})
    ->Args({32, 64, 14, 3})
    ->Args({64, 64, 56, 3})
    ->Args({256, 256, 14, 3})
    ->Args({256, 256, 14, 1})
    ->UseRealTime();

void attention(benchmark::State& state) {
  const std::int64_t length = state.range(0);
  const Tensor q = filled({4, 8, length, 64});
  for (auto _ : state) benchmark::DoNotOptimize(scaled_dot_product_attention(q, q, q, Tensor()));
  report(state, static_cast<double>(4 * 8 * length * length * 64 * 2));
}
BENCHMARK(attention)->Arg(64)->Arg(512)->UseRealTime();

}  // namespace
}  // namespace fastnn
