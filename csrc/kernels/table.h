// The device seam: every kernel that a device offers, as pointers to functions over `View`.
#pragma once

#include "kernels/attention.h"
#include "kernels/conv.h"
#include "kernels/ctc.h"
#include "kernels/elementwise.h"
#include "kernels/embedding.h"
#include "kernels/grid_sample.h"
#include "kernels/index.h"
#include "kernels/loss.h"
#include "kernels/matmul.h"
#include "kernels/norm.h"
#include "kernels/optim.h"
#include "kernels/pool.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/resample.h"
#include "kernels/rnn.h"
#include "kernels/scan.h"
#include "kernels/softmax.h"
#include "kernels/sort.h"
#include "kernels/special.h"

namespace fastnn {

// One instance per compiled instruction set, filled by cpu/<family>.cpp, chosen at load by cpu_host.
struct Kernels {
  const char* isa;
  const ElementwiseKernels* elementwise;
  const UnaryKernels* unary;
  const CompareKernels* compare;
  const ActivationKernels* activation;
  const SpecialKernels* special;
  const IndexKernels* index;
  const ReduceKernels* reduce;
  const ScanKernels* scan;
  const SortKernels* sort;
  const SoftmaxKernels* softmax;
  const NormKernels* norm;
  const LossKernels* loss;
  const CtcKernels* ctc;
  const MatmulKernels* matmul;
  const ConvKernels* conv;
  const PoolKernels* pool;
  const ResampleKernels* resample;
  const GridSampleKernels* grid_sample;
  const EmbeddingKernels* embedding;
  const AttentionKernels* attention;
  const OptimKernels* optim;
  const RandomKernels* random;
  const RnnKernels* rnn;
};

// The table in use.
const Kernels& kernels();

// Launches of kernels in this process, counted while a test asks for it.
struct LaunchCount {
  static bool counting;
  static long value;
};

}  // namespace fastnn
