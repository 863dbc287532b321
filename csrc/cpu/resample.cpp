#include "kernels/resample.h"

#include <cstring>

#include "core/scratch.h"
#include "cpu/rows.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

std::int64_t at_least_one(std::int64_t n) { return n < 1 ? 1 : n; }
// Output rows that make a piece of work, when one visits so many elements.
std::int64_t grain_for(std::int64_t visited) { return at_least_one(kRowGrain / at_least_one(visited)); }

std::int64_t in_points(const ResampleGeometry& s) { return s.axis[0].in * s.axis[1].in * s.axis[2].in; }
std::int64_t rows_of(const ResampleGeometry& s) { return s.planes * s.axis[0].out * s.axis[1].out; }

// Taps of every output position, if it is the same number.
std::int64_t uniform_taps(const ResampleAxis& a) {
  const std::int64_t taps = a.out > 0 ? a.begin[1] : 0;
  for (std::int64_t i = 0; i < a.out; ++i) {
    if (a.begin[i + 1] - a.begin[i] != taps) return 0;
  }
  return taps;
}

// --- copies ----------------------------------------------------------------------------------------------------------

template <class Word>
void pick(const View& output, const View& input, const ResampleGeometry& s) {
  const ResampleAxis& az = s.axis[0];
  const ResampleAxis& ay = s.axis[1];
  const ResampleAxis& ax = s.axis[2];
  parallel_for(rows_of(s), grain_for(ax.out), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::int64_t plane = row / (az.out * ay.out);
      const std::int64_t z = az.place[row / ay.out % az.out];
      const std::int64_t y = ay.place[row % ay.out];
      const Word* in = input.as<Word>() + plane * in_points(s) + (z * ay.in + y) * ax.in;
      Word* out = output.as<Word>() + row * ax.out;
      for (std::int64_t x = 0; x < ax.out; ++x) out[x] = in[ax.place[x]];
    }
  });
}

void pick_any(const View& output, const View& input, const ResampleGeometry& s) {
  switch (itemsize(input.dtype)) {
    case 1:
      return pick<std::uint8_t>(output, input, s);
    case 2:
      return pick<std::uint16_t>(output, input, s);
    case 4:
      return pick<std::uint32_t>(output, input, s);
    default:
      return pick<std::uint64_t>(output, input, s);
  }
}

// --- floats ----------------------------------------------------------------------------------------------------------

// out[x] = the weighted sum of places in `line`; `taps` is the number for each x, or 0.
template <int fixed, class S, class T>
void along_line(S* out, const T* line, const ResampleAxis& a, const T* weight) {
  for (std::int64_t x = 0; x < a.out; ++x) {
    T sum = T(0);
    if constexpr (fixed > 0) {
      for (int k = 0; k < fixed; ++k) sum += weight[x * fixed + k] * line[a.place[x * fixed + k]];
    } else {
      for (std::int64_t k = a.begin[x]; k < a.begin[x + 1]; ++k) sum += weight[k] * line[a.place[k]];
    }
    out[x] = S(sum);
  }
}

template <class S>
void weighted(const View& output, const View& input, const ResampleGeometry& s) {
  using T = Computed<S>;
  const ResampleAxis& az = s.axis[0];
  const ResampleAxis& ay = s.axis[1];
  const ResampleAxis& ax = s.axis[2];
  const std::int64_t count = ax.begin[ax.out];
  const Scratch weights(count * static_cast<std::int64_t>(sizeof(T)));
  T* const weight = weights.as<T>();
  for (std::int64_t k = 0; k < count; ++k) weight[k] = static_cast<T>(ax.weight[k]);
  const std::int64_t taps = uniform_taps(ax);
  const auto along = taps == 2 ? &along_line<2, S, T> : taps == 4 ? &along_line<4, S, T> : &along_line<0, S, T>;
  const std::int64_t lines = az.begin[az.out] / at_least_one(az.out) * (ay.begin[ay.out] / at_least_one(ay.out));
  parallel_for(rows_of(s), grain_for(lines * ax.in + count), [&](std::int64_t begin, std::int64_t end) {
    const Scratch scratch(ax.in * static_cast<std::int64_t>(sizeof(T)));
    T* const line = scratch.as<T>();
    for (std::int64_t row = begin; row < end; ++row) {
      const S* in = input.as<S>() + row / (az.out * ay.out) * in_points(s);
      const std::int64_t z = row / ay.out % az.out;
      const std::int64_t y = row % ay.out;
      // The lines of the input that meet in this row, then the places in their sum.
      bool first = true;
      for (std::int64_t kz = az.begin[z]; kz < az.begin[z + 1]; ++kz) {
        for (std::int64_t ky = ay.begin[y]; ky < ay.begin[y + 1]; ++ky) {
          const S* from = in + (az.place[kz] * ay.in + ay.place[ky]) * ax.in;
          const T w = static_cast<T>(az.weight[kz] * ay.weight[ky]);
          if (first) {
            FASTNN_IVDEP
            for (std::int64_t x = 0; x < ax.in; ++x) line[x] = w * static_cast<T>(from[x]);
          } else {
            FASTNN_IVDEP
            for (std::int64_t x = 0; x < ax.in; ++x) line[x] += w * static_cast<T>(from[x]);
          }
          first = false;
        }
      }
      if (first) {
        for (std::int64_t x = 0; x < ax.in; ++x) line[x] = T(0);
      }
      along(output.as<S>() + row * ax.out, line, ax, weight);
    }
  });
}

void floating(const View& output, const View& input, const ResampleGeometry& s) {
  if (s.picks) return pick_any(output, input, s);
  visit_floating("interpolate", input.dtype, [&]<class S>() { weighted<S>(output, input, s); });
}

// --- bytes -----------------------------------------------------------------------------------------------------------

constexpr int kMostBits = 22;  // of the fraction of a fixed-point weight

// Fraction bits with which the largest weight still fits into 16 bits.
int fraction_bits(const ResampleAxis& a) {
  double largest = 0;
  for (std::int64_t k = 0; k < a.begin[a.out]; ++k) largest = a.weight[k] > largest ? a.weight[k] : largest;
  int bits = 0;
  while (bits < kMostBits && static_cast<int>(0.5 + largest * (1 << (bits + 1))) < (1 << 15)) ++bits;
  return bits;
}

// One axis of [outer, axis, inner].
void along_axis(std::uint8_t* out, const std::uint8_t* in, std::int64_t outer, std::int64_t inner,
                const ResampleAxis& a) {
  const int bits = fraction_bits(a);
  const std::int64_t count = a.begin[a.out];
  const Scratch weights(count * static_cast<std::int64_t>(sizeof(std::int32_t)));
  auto* const weight = weights.as<std::int32_t>();
  for (std::int64_t k = 0; k < count; ++k) {
    const double scaled = a.weight[k] * (1 << bits);
    weight[k] = static_cast<std::int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
  }
  const std::int64_t taps = count / at_least_one(a.out);
  parallel_for(outer * a.out, grain_for(taps * inner), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const std::uint8_t* block = in + row / a.out * a.in * inner;
      const std::int64_t i = row % a.out;
      for (std::int64_t x = 0; x < inner; ++x) {
        std::int32_t sum = bits > 0 ? 1 << (bits - 1) : 0;
        for (std::int64_t k = a.begin[i]; k < a.begin[i + 1]; ++k) sum += weight[k] * block[a.place[k] * inner + x];
        const std::int32_t value = sum >> bits;
        out[row * inner + x] = static_cast<std::uint8_t>(value < 0 ? 0 : value > 255 ? 255 : value);
      }
    }
  });
}

void bytes(const View& output, const View& input, const ResampleGeometry& s) {
  if (s.picks) return pick_any(output, input, s);
  const ResampleAxis& ay = s.axis[1];
  const ResampleAxis& ax = s.axis[2];
  const Scratch scratch(s.planes * ay.in * ax.out);
  along_axis(scratch.as<std::uint8_t>(), input.as<std::uint8_t>(), s.planes * ay.in, 1, ax);
  along_axis(output.as<std::uint8_t>(), scratch.as<std::uint8_t>(), s.planes, ax.out, ay);
}

}  // namespace

constinit const ResampleKernels resample_kernels = {
    .floating = &floating,
    .bytes = &bytes,
};

FASTNN_CPU_END
