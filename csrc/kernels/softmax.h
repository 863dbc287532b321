// Softmax and its kin along the middle dimension of contiguous views [outer, n, inner] of floating dtype.
#pragma once

#include "core/view.h"

namespace fastnn {

struct SoftmaxKernels {
  using Forward = void (*)(const View& out, const View& in);
  // From the gradient of the result and the result itself.
  using Backward = void (*)(const View& grad_in, const View& grad_out, const View& out);

  Forward softmax, log_softmax;
  Backward softmax_backward, log_softmax_backward;
  // out [outer, inner] = log of the sum of the exponentials
  Forward logsumexp;
};

}  // namespace fastnn
