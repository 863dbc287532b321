// Which BLAS is linked.
#pragma once

#include <string>

namespace fastnn {

// Name, version and kernels in use: "OpenBLAS 0.3.34 ... SkylakeX".
std::string blas_description();

}  // namespace fastnn
