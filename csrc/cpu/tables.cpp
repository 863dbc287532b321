#include "cpu/tables.h"

#define FASTNN_STRING_OF(name) #name
#define FASTNN_STRING(name) FASTNN_STRING_OF(name)

FASTNN_CPU_BEGIN

constinit const Kernels table = {
    .isa = FASTNN_STRING(FASTNN_ISA),
    .elementwise = &elementwise_kernels,
    .unary = &unary_kernels,
    .compare = &compare_kernels,
    .activation = &activation_kernels,
    .special = &special_kernels,
    .index = &index_kernels,
    .reduce = &reduce_kernels,
    .scan = &scan_kernels,
    .sort = &sort_kernels,
    .softmax = &softmax_kernels,
    .norm = &norm_kernels,
    .loss = &loss_kernels,
    .ctc = &ctc_kernels,
    .matmul = &matmul_kernels,
    .conv = &conv_kernels,
    .pool = &pool_kernels,
    .resample = &resample_kernels,
    .grid_sample = &grid_sample_kernels,
    .embedding = &embedding_kernels,
    .attention = &attention_kernels,
    .optim = &optim_kernels,
    .random = &random_kernels,
    .rnn = &rnn_kernels,
};

FASTNN_CPU_END
