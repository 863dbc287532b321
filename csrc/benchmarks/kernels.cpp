// The kernels behind layers, losses and optimizers that memory bounds, at the sizes of a small model, forward pass
// only, in bytes a second. What products are made of is in gemm.cpp.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "kernels/table.h"
#include "ops/embedding.h"
#include "ops/factory.h"
#include "ops/loss.h"
#include "ops/norm.h"
#include "ops/pool.h"
#include "ops/reduce.h"
#include "ops/softmax.h"

namespace fastnn {
namespace {

Tensor filled(IntSpan sizes) { return Tensor::full(sizes, 0.5, DType::Float32); }

// `tensors` float32 tensors of `elements` are read or written an iteration.
void report_floats(benchmark::State& state, std::int64_t tensors, std::int64_t elements) {
  state.SetBytesProcessed(state.iterations() * tensors * elements * itemsize(DType::Float32));
}

void sum_all(benchmark::State& state) {
  const std::int64_t n = state.range(0);
  const Tensor x = filled(Dims{n});
  for (auto _ : state) benchmark::DoNotOptimize(sum(x));
  report_floats(state, 1, n);
}
BENCHMARK(sum_all)->RangeMultiplier(32)->Range(1 << 10, 1 << 20)->UseRealTime();

// Along the rows, and down the columns, of a matrix.
void sum_dim(benchmark::State& state) {
  constexpr std::int64_t kSide = 1024;
  const Tensor x = filled(Dims{kSide, kSide});
  const Dims dim{state.range(0)};
  for (auto _ : state) benchmark::DoNotOptimize(sum(x, IntSpan(dim)));
  report_floats(state, 1, kSide * kSide);
}
BENCHMARK(sum_dim)->ArgName("dim")->Arg(0)->Arg(1)->UseRealTime();

void softmax_rows(benchmark::State& state) {
  const std::int64_t rows = 512, columns = state.range(0);
  const Tensor x = filled(Dims{rows, columns});
  for (auto _ : state) benchmark::DoNotOptimize(softmax(x, -1));
  report_floats(state, 2, rows * columns);
}
BENCHMARK(softmax_rows)->ArgName("columns")->Arg(10)->Arg(64)->Arg(1000)->UseRealTime();

void layer_norm_rows(benchmark::State& state) {
  const std::int64_t rows = 1024, columns = state.range(0);
  const Tensor x = filled(Dims{rows, columns}), weight = filled(Dims{columns}), bias = filled(Dims{columns});
  const Dims shape{columns};
  for (auto _ : state) benchmark::DoNotOptimize(layer_norm(x, shape, weight, bias));
  report_floats(state, 2, rows * columns);
}
BENCHMARK(layer_norm_rows)->ArgName("columns")->Arg(128)->Arg(512)->UseRealTime();

void batch_norm_images(benchmark::State& state) {
  const std::int64_t batch = 32, channels = 16, side = 28;
  const Tensor x = filled(Dims{batch, channels, side, side});
  const Tensor weight = filled(Dims{channels}), bias = filled(Dims{channels});
  const Tensor mean = filled(Dims{channels}), variance = filled(Dims{channels});
  for (auto _ : state) benchmark::DoNotOptimize(batch_norm(x, weight, bias, mean, variance, true, 0.1, 1e-5));
  report_floats(state, 2, batch * channels * side * side);
}
BENCHMARK(batch_norm_images)->UseRealTime();

void cross_entropy_rows(benchmark::State& state) {
  const std::int64_t rows = 2048, classes = state.range(0);
  const Tensor x = filled(Dims{rows, classes});
  const Tensor targets = zeros(Dims{rows}, DType::Int64);
  for (auto _ : state) benchmark::DoNotOptimize(cross_entropy(x, targets, Tensor(), -100, "mean", 0.0));
  report_floats(state, 1, rows * classes);
}
BENCHMARK(cross_entropy_rows)->ArgName("classes")->Arg(10)->Arg(256)->UseRealTime();

void embedding_rows(benchmark::State& state) {
  const std::int64_t words = 1000, tokens = 2048, width = state.range(0);
  const Tensor table = filled(Dims{words, width});
  const Tensor indices = zeros(Dims{tokens}, DType::Int64);
  for (auto _ : state) benchmark::DoNotOptimize(embedding(table, indices));
  report_floats(state, 2, tokens * width);
}
BENCHMARK(embedding_rows)->ArgName("width")->Arg(64)->Arg(512)->UseRealTime();

void max_pool_2x2(benchmark::State& state) {
  const std::int64_t batch = 32, channels = 16, side = 28;
  const Tensor x = filled(Dims{batch, channels, side, side});
  const Dims two{2, 2}, one{1, 1}, none{0, 0};
  for (auto _ : state) benchmark::DoNotOptimize(max_pool("max_pool2d", 2, x, two, two, none, one, false));
  report_floats(state, 1, batch * channels * side * side);
}
BENCHMARK(max_pool_2x2)->UseRealTime();

// A step of Adam over `count` parameters in one call: it reads four arrays and writes three.
void adam(benchmark::State& state) {
  const std::int64_t count = state.range(0), elements = 128 * 128;
  std::vector<Tensor> tensors;
  std::vector<AdamEntry> entries;
  const auto make = [&](IntSpan sizes) { return tensors.emplace_back(filled(sizes)).view(); };
  const Dims sizes{elements}, one{1};
  for (std::int64_t i = 0; i < count; ++i) {
    entries.push_back({make(sizes), make(sizes), make(sizes), make(sizes), View{}, make(one)});
  }
  const AdamOptions options{1e-6, 0.9, 0.999, 1e-8, 0.01, true, false, false};
  for (auto _ : state) kernels().optim->adam(entries, options);
  report_floats(state, 7, count * elements);
}
BENCHMARK(adam)->ArgName("parameters")->Arg(1)->Arg(100)->UseRealTime();

}  // namespace
}  // namespace fastnn
