// The tables that the files of this room define, one per family.
#pragma once

#include "cpu/isa.h"
#include "kernels/table.h"

FASTNN_CPU_BEGIN

extern const ElementwiseKernels elementwise_kernels;
extern const IndexKernels index_kernels;
extern const ReduceKernels reduce_kernels;
extern const MatmulKernels matmul_kernels;
extern const ConvKernels conv_kernels;
extern const PoolKernels pool_kernels;
extern const EmbeddingKernels embedding_kernels;
extern const AttentionKernels attention_kernels;
extern const OptimKernels optim_kernels;

extern const Kernels table;

FASTNN_CPU_END
