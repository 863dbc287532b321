// Kernels of random numbers: what can be vectorised of the distributions in core/random.h, and dropout.
#pragma once

#include <cstdint>

#include "core/view.h"

namespace fastnn {

// Which elements dropout keeps: a function of seed, element number and probability, so that it need not be stored.
// The stream is Philox4x32 with 7 rounds (Salmon et al., 2011), its counter the number of the element.
struct DropoutMask {
  std::uint64_t seed = 0;
  double keep = 1;  // probability, in (0, 1]
};

struct RandomKernels {
  // Uniforms from [0, 1) to [from, to), in place: random::Uniform in core/random.h.
  void (*stretch)(float* data, std::int64_t n, float from, float to);
  // Box-Muller in place on blocks of 16 uniforms from [0, 1): see random::BoxMuller in core/random.h.
  void (*box_muller)(float* data, std::int64_t blocks, float mean, float std);
  // out[i] = in[i] times `scale` where element i is kept, and times 0 elsewhere. Both are contiguous, of one floating
  // dtype, and may be the same memory.
  void (*dropout)(const View& out, const View& in, const DropoutMask& mask, double scale);
};

}  // namespace fastnn
