// The tables that the files of this room define, one per family.
#pragma once

#include "cpu/isa.h"
#include "kernels/table.h"

FASTNN_CPU_BEGIN

extern const ElementwiseKernels elementwise_kernels;
extern const UnaryKernels unary_kernels;
extern const CompareKernels compare_kernels;
extern const ActivationKernels activation_kernels;
extern const SpecialKernels special_kernels;
extern const IndexKernels index_kernels;
extern const ReduceKernels reduce_kernels;
extern const ScanKernels scan_kernels;
extern const SortKernels sort_kernels;
extern const SoftmaxKernels softmax_kernels;
extern const NormKernels norm_kernels;
extern const LossKernels loss_kernels;
extern const CtcKernels ctc_kernels;
extern const MatmulKernels matmul_kernels;
extern const ConvKernels conv_kernels;
extern const PoolKernels pool_kernels;
extern const ResampleKernels resample_kernels;
extern const GridSampleKernels grid_sample_kernels;
extern const EmbeddingKernels embedding_kernels;
extern const AttentionKernels attention_kernels;
extern const OptimKernels optim_kernels;
extern const RandomKernels random_kernels;
extern const RnnKernels rnn_kernels;

extern const Kernels table;

FASTNN_CPU_END
