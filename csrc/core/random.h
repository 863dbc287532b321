// The Mersenne Twister and the distributions drawn from it.
//
// After `manual_seed(s)` a user expects the numbers that PyTorch gives. So each sampler here draws the same
// words from the generator, in the same order and with the same rounding, as PyTorch's x86-64 CPU kernels do
// on machines with AVX2 and FMA. Where PyTorch's compiler contracts `a * b + c`, the code here says
// `std::fma`, so the result does not depend on how this file is compiled.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <type_traits>

namespace fastnn {

// MT19937 (Matsumoto and Nishimura, 1998) with the caches of PyTorch's CPU generator.
// Methods do not lock: hold `mutex()` over a whole fill, so that two threads never interleave draws.
class Generator {
 public:
  static constexpr uint64_t kDefaultSeed = 67280421310721ULL;
  static constexpr int kWords = 624;
  static constexpr size_t kStateBytes = 5056;
  using StateBytes = std::array<std::byte, kStateBytes>;

  explicit Generator(uint64_t seed = kDefaultSeed) { this->seed(seed); }
  Generator(const Generator& other);
  Generator& operator=(const Generator& other);
  ~Generator() = default;

  void seed(uint64_t seed);
  // Seeds from the operating system and returns the seed.
  uint64_t seed_from_os();
  uint64_t initial_seed() const { return seed_; }

  uint32_t random32() {
    if (--left_ == 0) refill();
    return temper(words_[next_++]);
  }
  // Two draws, the first one is the upper half.
  uint64_t random64() {
    const uint64_t high = random32();
    return (high << 32) | random32();
  }
  // The next `n` values of `random32`, block by block.
  void random32(uint32_t* out, int64_t n);

  // The second of a pair of normals, kept for the next scalar draw.
  std::optional<double> next_double_normal;
  std::optional<float> next_float_normal;

  // The bytes of `torch.get_rng_state()`, so that states can be exchanged with PyTorch.
  StateBytes get_state() const;
  // False, and nothing changed, if the bytes are no valid state.
  [[nodiscard]] bool set_state(std::span<const std::byte> bytes);

  std::mutex& mutex() const { return mutex_; }

 private:
  static uint32_t temper(uint32_t word) {
    word ^= word >> 11;
    word ^= (word << 7) & 0x9d2c5680U;
    word ^= (word << 15) & 0xefc60000U;
    return word ^ (word >> 18);
  }
  void refill();

  uint64_t seed_ = 0;
  int32_t left_ = 1;  // draws until the words are used up, plus one
  uint32_t next_ = 0;
  std::array<uint32_t, kWords> words_{};
  mutable std::mutex mutex_;
};

// The process-wide generator, seeded from the operating system at first use.
const std::shared_ptr<Generator>& default_generator();

// A seed from the operating system's source of randomness.
uint64_t nondeterministic_seed();

namespace random {

// 16-bit floats are drawn in float and rounded once; `T` needs only a conversion from float.
template <typename T>
using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <typename T>
constexpr bool kIsBuiltin = std::is_arithmetic_v<T>;

template <typename T, typename V>
T convert(V value) {
  if constexpr (kIsBuiltin<T>) {
    return static_cast<T>(value);
  } else {
    return T(static_cast<float>(value));
  }
}

// Significand bits, the implicit one included.
template <typename T>
constexpr int kDigits = std::numeric_limits<T>::digits;

// [0, 1): 24 bits of one word, or 53 bits of two.
inline float unit_float(uint32_t word) { return static_cast<float>(word & 0xffffffU) * 0x1p-24F; }
inline double unit_double(uint64_t words) { return static_cast<double>(words & 0x1fffffffffffffULL) * 0x1p-53; }
template <typename C>
C unit(Generator& generator) {
  if constexpr (std::is_same_v<C, double>) {
    return unit_double(generator.random64());
  } else {
    return unit_float(generator.random32());
  }
}

// [from, to). A value that rounds up to `to` in T becomes `from`.
template <typename T>
class Uniform {
 public:
  Uniform(double from, double to)
      : from_(static_cast<C>(from)),
        range_(static_cast<C>(to) - from_),
        low_(convert<T>(from)),
        high_(convert<T>(to)) {}
  T operator()(Generator& generator) const { return from_unit(unit<C>(generator)); }
  T from_unit(Compute<T> u) const {
    const T value = convert<T>(std::fma(u, range_, from_));
    return value == high_ ? low_ : value;
  }
  bool is_unit() const { return from_ == C(0) && range_ == C(1); }

 private:
  using C = Compute<T>;
  C from_;
  C range_;
  T low_;
  T high_;
};

// One normal in double precision; every second one comes from the generator's cache.
double standard_normal(Generator& generator);

template <typename T>
struct Normal {
  double mean = 0;
  double std = 1;
  T operator()(Generator& generator) const { return convert<T>(std::fma(standard_normal(generator), std, mean)); }
};

template <typename T>
struct LogNormal {
  double mean = 1;
  double std = 2;
  T operator()(Generator& generator) const {
    return convert<T>(std::exp(std::fma(standard_normal(generator), std, mean)));
  }
};

template <typename T>
struct Cauchy {
  double median = 0;
  double sigma = 1;
  T operator()(Generator& generator) const {
    constexpr double pi = 3.14159265358979323846;
    return convert<T>(std::fma(sigma, std::tan(pi * (unit<double>(generator) - 0.5)), median));
  }
};

template <typename T>
struct Exponential {
  double rate = 1;
  T operator()(Generator& generator) const { return convert<T>(-1.0 / rate * std::log1p(-unit<double>(generator))); }
};

template <typename T>
struct Geometric {
  double p;
  T operator()(Generator& generator) const {
    return convert<T>(std::ceil(std::log(unit<double>(generator)) / std::log1p(-p)));
  }
};

// A probability given as a number is compared in double.
template <typename T>
struct Bernoulli {
  double p;
  T operator()(Generator& generator) const { return convert<T>(unit<double>(generator) < p ? 1 : 0); }
};

// A probability out of a tensor is compared in double if it is one, and in float otherwise.
template <typename P>
bool bernoulli(P p, Generator& generator) {
  return unit<Compute<P>>(generator) < static_cast<Compute<P>>(p);
}

// Ranges from here on take two words a draw, so that the modulo skews no value by more than 2^-4.
constexpr uint64_t kWideRange = 1ULL << 28;

// {base, ..., base + range - 1}
template <typename T>
struct UniformInt {
  uint64_t range;
  int64_t base;
  T operator()(Generator& generator) const {
    const uint64_t draw = range >= kWideRange ? generator.random64() : generator.random32();
    return convert<T>(static_cast<int64_t>(draw % range + static_cast<uint64_t>(base)));
  }
};

// Every int64.
template <typename T>
struct FullInt64 {
  T operator()(Generator& generator) const { return convert<T>(static_cast<int64_t>(generator.random64())); }
};

// {0, ..., max} for integers; for floats the integers up to 2^Digits, all of which the type can hold.
template <typename T, int Digits = kDigits<T>>
struct FullRange {
  T operator()(Generator& generator) const {
    if constexpr (std::is_same_v<T, bool>) {
      return (generator.random32() & 1U) != 0;
    } else if constexpr (std::is_integral_v<T>) {
      constexpr uint64_t count = static_cast<uint64_t>(std::numeric_limits<T>::max()) + 1;
      return static_cast<T>((sizeof(T) == 8 ? generator.random64() : generator.random32()) % count);
    } else {
      constexpr uint64_t count = (1ULL << Digits) + 1;
      return convert<T>((std::is_same_v<T, double> ? generator.random64() : generator.random32()) % count);
    }
  }
};

// Poisson: products of uniforms below 10, Hoermann's transformed rejection (PTRS, 1993) from there on.
int64_t poisson(double rate, Generator& generator);

// `n` samples in memory order. The caller holds the generator's mutex here and below.
template <typename T, typename Sampler>
void fill(T* out, int64_t n, const Sampler& sampler, Generator& generator) {
  for (int64_t i = 0; i < n; ++i) out[i] = sampler(generator);
}

constexpr int64_t kChunk = 1024;

template <typename T>
void fill_uniform(T* out, int64_t n, double from, double to, Generator& generator) {
  const Uniform<T> uniform(from, to);
  if constexpr (std::is_same_v<T, double>) {
    fill(out, n, uniform, generator);
  } else {
    std::array<uint32_t, kChunk> words;
    for (int64_t start = 0; start < n; start += kChunk) {
      const int64_t count = n - start < kChunk ? n - start : kChunk;
      generator.random32(words.data(), count);
      if (kIsBuiltin<T> && uniform.is_unit()) {
        for (int64_t i = 0; i < count; ++i) out[start + i] = convert<T>(unit_float(words[static_cast<size_t>(i)]));
      } else {
        for (int64_t i = 0; i < count; ++i) {
          out[start + i] = uniform.from_unit(unit_float(words[static_cast<size_t>(i)]));
        }
      }
    }
  }
}

// Contiguous outputs of at least this many elements are filled in blocks of it by Box-Muller.
constexpr int64_t kNormalBlock = 16;

// In place on `blocks` blocks of 16 uniforms: the first 8 of a block give radii, the last 8 give angles.
// For double it is `box_muller`; for float it is a kernel, which is vectorised.
template <typename C>
using BoxMuller = void (*)(C* data, int64_t blocks, C mean, C std);
void box_muller(double* data, int64_t blocks, double mean, double std);

// Contiguous, n >= kNormalBlock. The last n % 16 values, if any, are drawn anew as part of a block that ends at the
// end of `out`.
template <typename T>
void fill_normal_blocks(T* out, int64_t n, double mean, double std, Generator& generator,
                        BoxMuller<Compute<T>> transform) {
  using C = Compute<T>;
  std::array<C, kChunk> buffer;
  const C m = static_cast<C>(mean);
  const C s = static_cast<C>(std);
  auto draw = [&](int64_t offset, int64_t count, int64_t used) {
    fill_uniform(buffer.data(), count, 0, 1, generator);
    transform(buffer.data(), used / kNormalBlock, m, s);
    for (int64_t i = 0; i < used; ++i) out[offset + i] = convert<T>(buffer[static_cast<size_t>(i)]);
  };
  const int64_t whole = n / kNormalBlock * kNormalBlock;
  for (int64_t start = 0; start < whole; start += kChunk) {
    const int64_t count = whole - start < kChunk ? whole - start : kChunk;
    draw(start, count, count);
  }
  if (whole == n) return;
  // Uniforms of the tail that the last block will overwrite are drawn all the same, 16-bit floats excepted.
  if constexpr (kIsBuiltin<T>) draw(whole, n - whole, 0);
  draw(n - kNormalBlock, kNormalBlock, kNormalBlock);
}

// From this length on, random64 and the inside-out shuffle are used: one word would skew the modulo.
constexpr int64_t kLongPermutation = std::numeric_limits<uint32_t>::max() / 20;

// A random permutation of 0..n-1 (Fisher-Yates).
template <typename T>
void permutation(T* out, int64_t n, Generator& generator) {
  if (n < kLongPermutation) {
    for (int64_t i = 0; i < n; ++i) out[i] = convert<T>(i);
    for (int64_t i = 0; i < n - 1; ++i) {
      const int64_t j = i + static_cast<int64_t>(generator.random32() % static_cast<uint32_t>(n - i));
      const T value = out[i];
      out[i] = out[j];
      out[j] = value;
    }
  } else {
    for (int64_t i = 0; i < n; ++i) {
      const auto j = static_cast<int64_t>(generator.random64() % static_cast<uint64_t>(i + 1));
      out[i] = convert<T>(i);
      out[i] = out[j];
      out[j] = convert<T>(i);
    }
  }
}

enum class WeightsError { kNone, kNegative, kNotFinite, kZeroSum };

// `samples` category numbers drawn with replacement. `weights` are `n` numbers of which the cumulative sum,
// taken and normalised in Compute<T> in `cumulative` (room for n), is searched for a uniform double.
template <typename T>
WeightsError multinomial(const T* weights, int64_t stride, int64_t n, Compute<T>* cumulative, int64_t* out,
                         int64_t samples, Generator& generator) {
  using C = Compute<T>;
  C sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const C weight = static_cast<C>(weights[i * stride]);
    if (!(weight >= C(0))) return WeightsError::kNegative;
    if (!std::isfinite(weight)) return WeightsError::kNotFinite;
    sum += weight;
    cumulative[i] = sum;
  }
  if (!(sum > C(0))) return WeightsError::kZeroSum;
  for (int64_t i = 0; i < n; ++i) cumulative[i] /= sum;
  cumulative[n - 1] = 1;
  for (int64_t s = 0; s < samples; ++s) {
    const double u = unit<double>(generator);
    int64_t low = 0;
    int64_t high = n;
    while (low < high) {
      const int64_t middle = low + (high - low) / 2;
      if (static_cast<double>(cumulative[middle]) < u) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    out[s] = low;
  }
  return WeightsError::kNone;
}

}  // namespace random
}  // namespace fastnn
