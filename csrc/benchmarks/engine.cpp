// The backward pass over a chain of additions of one-element tensors: what a node costs, forward and backward.
#include "autograd/engine.h"

#include <benchmark/benchmark.h>

#include "autograd/record.h"
#include "ops/elementwise.h"

namespace fastnn {
namespace {

Tensor leaf() {
  Tensor tensor = Tensor::full(Dims{}, 1.0, DType::Float32);
  tensor.impl()->requires_grad = true;
  return tensor;
}

Tensor chain(const Tensor& start, std::int64_t length) {
  const Tensor one = Tensor::full(Dims{}, 1.0, DType::Float32);
  Tensor result = start;
  for (std::int64_t i = 0; i < length; ++i) result = add(result, one);
  return result;
}

void forward_chain(benchmark::State& state) {
  const Tensor start = leaf();
  for (auto _ : state) benchmark::DoNotOptimize(chain(start, state.range(0)));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(forward_chain)->Arg(1)->Arg(1000);

void forward_and_backward_chain(benchmark::State& state) {
  const Tensor start = leaf();
  const Tensor weight = Tensor::full(Dims{}, 1.0, DType::Float32);
  BackwardOptions options;
  options.inputs = {&start, 1};
  options.capture = true;
  for (auto _ : state) {
    const Tensor end = chain(start, state.range(0));
    benchmark::DoNotOptimize(run_backward({&end, 1}, {&weight, 1}, options));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(forward_and_backward_chain)->Arg(1)->Arg(1000);

}  // namespace
}  // namespace fastnn
