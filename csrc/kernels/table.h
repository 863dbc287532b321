// The device seam: every kernel that a device offers, as pointers to functions over `View`.
#pragma once

#include "kernels/elementwise.h"
#include "kernels/index.h"
#include "kernels/reduce.h"
#include "kernels/matmul.h"
#include "kernels/optim.h"

namespace fastnn {

// One instance per compiled instruction set, filled by cpu/<family>.cpp, chosen at load by cpu_host.
struct Kernels {
  const char* isa;
  const ElementwiseKernels* elementwise;
  const UnaryKernels* unary;
  const CompareKernels* compare;
  const ActivationKernels* activation;
  const IndexKernels* index;
  const ReduceKernels* reduce;
  const MatmulKernels* matmul;
  const OptimKernels* optim;
};

// The table in use.
const Kernels& kernels();

// Launches of kernels in this process, counted while a test asks for it.
struct LaunchCount {
  static bool counting;
  static long value;
};

}  // namespace fastnn
