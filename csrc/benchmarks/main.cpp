#include <benchmark/benchmark.h>

#include <string>

#include "core/parallel.h"
#include "cpu_host/isa.h"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::AddCustomContext("instruction set", fastnn::isa_in_use());
  benchmark::AddCustomContext("threads", std::to_string(fastnn::num_threads()));
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
