// The tables that the files of this room define, one per family.
#pragma once

#include "cpu/isa.h"
#include "kernels/table.h"

FASTNN_CPU_BEGIN

extern const ElementwiseKernels elementwise_kernels;
extern const UnaryKernels unary_kernels;
extern const CompareKernels compare_kernels;
extern const ActivationKernels activation_kernels;
extern const IndexKernels index_kernels;
extern const ReduceKernels reduce_kernels;
extern const MatmulKernels matmul_kernels;
extern const OptimKernels optim_kernels;

extern const Kernels table;

FASTNN_CPU_END
