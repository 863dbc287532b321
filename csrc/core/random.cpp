#include "core/random.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <exception>
#include <random>

namespace fastnn {
namespace {

constexpr int kShift = 397;  // m of MT19937
constexpr uint32_t kUpperMask = 0x80000000U;
constexpr uint32_t kLowerMask = 0x7fffffffU;
constexpr uint32_t kMatrix = 0x9908b0dfU;
constexpr uint32_t kSeedMultiplier = 1812433253U;

// PyTorch's layout of a CPU generator state: it keeps the words in 64 bits each, and fields of an older
// sampler.
struct StateLayout {
  uint64_t seed;
  int32_t left;
  int32_t seeded;
  uint64_t next;
  std::array<uint64_t, Generator::kWords> words;
  double unused_x;
  double double_normal;
  double unused_rho;
  int32_t has_double_normal;
  int32_t padding;
  float float_normal;
  uint8_t has_float_normal;
  std::array<uint8_t, 3> tail_padding;
};
static_assert(sizeof(StateLayout) == Generator::kStateBytes);
static_assert(offsetof(StateLayout, words) == 24 && offsetof(StateLayout, float_normal) == 5048);

uint32_t twist(uint32_t upper, uint32_t lower, uint32_t far_word) {
  const uint32_t mixed = (upper & kUpperMask) | (lower & kLowerMask);
  return far_word ^ (mixed >> 1) ^ ((0U - (lower & 1U)) & kMatrix);
}

}  // namespace

Generator::Generator(const Generator& other) { *this = other; }

Generator& Generator::operator=(const Generator& other) {
  if (this == &other) return *this;
  next_double_normal = other.next_double_normal;
  next_float_normal = other.next_float_normal;
  seed_ = other.seed_;
  left_ = other.left_;
  next_ = other.next_;
  words_ = other.words_;
  return *this;
}

void Generator::seed(uint64_t seed) {
  next_double_normal.reset();
  next_float_normal.reset();
  seed_ = seed;
  words_[0] = static_cast<uint32_t>(seed);
  for (uint32_t i = 1; i < kWords; ++i) {
    words_[i] = kSeedMultiplier * (words_[i - 1] ^ (words_[i - 1] >> 30)) + i;
  }
  left_ = 1;
  next_ = 0;
}

uint64_t Generator::seed_from_os() {
  const uint64_t value = nondeterministic_seed();
  seed(value);
  return value;
}

void Generator::refill() {
  uint32_t* w = words_.data();
  for (int i = 0; i < kWords - kShift; ++i) w[i] = twist(w[i], w[i + 1], w[i + kShift]);
  for (int i = kWords - kShift; i < kWords - 1; ++i) w[i] = twist(w[i], w[i + 1], w[i + kShift - kWords]);
  w[kWords - 1] = twist(w[kWords - 1], w[0], w[kShift - 1]);
  left_ = kWords;
  next_ = 0;
}

void Generator::random32(uint32_t* out, int64_t n) {
  while (n > 0) {
    if (left_ == 1) {
      refill();
      ++left_;  // all words are unread, as if the draw that caused this were still to come
    }
    const int64_t count = std::min<int64_t>(n, left_ - 1);
    const uint32_t* source = words_.data() + next_;
    for (int64_t i = 0; i < count; ++i) out[i] = temper(source[i]);
    next_ += static_cast<uint32_t>(count);
    left_ -= static_cast<int32_t>(count);
    out += count;
    n -= count;
  }
}

Generator::StateBytes Generator::get_state() const {
  StateLayout layout{};
  layout.seed = seed_;
  layout.left = left_;
  layout.seeded = 1;
  layout.next = next_;
  std::copy(words_.begin(), words_.end(), layout.words.begin());
  layout.has_double_normal = next_double_normal.has_value() ? 1 : 0;
  layout.double_normal = next_double_normal.value_or(0.0);
  layout.has_float_normal = next_float_normal.has_value() ? 1 : 0;
  layout.float_normal = next_float_normal.value_or(0.0F);
  return std::bit_cast<StateBytes>(layout);
}

bool Generator::set_state(std::span<const std::byte> bytes) {
  if (bytes.size() != kStateBytes) return false;
  StateLayout layout;
  std::memcpy(&layout, bytes.data(), sizeof layout);
  const bool in_range = layout.left > 0 && layout.left <= kWords && layout.next <= kWords &&
                        layout.left + static_cast<int64_t>(layout.next) <= kWords + 1;
  if (layout.seeded != 1 || !in_range) return false;
  seed_ = layout.seed;
  left_ = layout.left;
  next_ = static_cast<uint32_t>(layout.next);
  std::transform(layout.words.begin(), layout.words.end(), words_.begin(),
                 [](uint64_t word) { return static_cast<uint32_t>(word); });
  next_double_normal = layout.has_double_normal != 0 ? std::optional<double>(layout.double_normal) : std::nullopt;
  next_float_normal = layout.has_float_normal != 0 ? std::optional<float>(layout.float_normal) : std::nullopt;
  return true;
}

uint64_t nondeterministic_seed() {
  try {
    std::random_device device;
    const uint64_t high = device();
    return (high << 32) | device();
  } catch (const std::exception&) {  // a system without a source of randomness
    return static_cast<uint64_t>(std::chrono::high_resolution_clock::now().time_since_epoch().count());
  }
}

const std::shared_ptr<Generator>& default_generator() {
  // Never destroyed: other threads and destructors of other statics may still draw at exit.
  static const auto* const generator =
      new std::shared_ptr<Generator>(std::make_shared<Generator>(nondeterministic_seed()));
  return *generator;
}

namespace random {
namespace {

constexpr double kPi = 3.14159265358979323846;

}  // namespace

void box_muller(double* data, int64_t blocks, double mean, double std) {
  for (; blocks > 0; --blocks, data += kNormalBlock) {
    for (int i = 0; i < kNormalBlock / 2; ++i) {
      const double radius = std::sqrt(-2 * std::log(1 - data[i]));
      const double angle = 2 * kPi * data[i + 8];
      data[i] = std::fma(radius * std::cos(angle), std, mean);
      data[i + 8] = std::fma(radius * std::sin(angle), std, mean);
    }
  }
}

double standard_normal(Generator& generator) {
  if (generator.next_double_normal) {
    const double value = *generator.next_double_normal;
    generator.next_double_normal.reset();
    return value;
  }
  const double turn = unit<double>(generator);
  const double radius = std::sqrt(-2.0 * std::log1p(-unit<double>(generator)));
  const double angle = 2 * kPi * turn;
  generator.next_double_normal = radius * std::sin(angle);
  return radius * std::cos(angle);
}

int64_t poisson(double rate, Generator& generator) {
  if (rate == 0) return 0;
  if (rate < 10) {
    const double limit = std::exp(-rate);
    int64_t count = 0;
    for (double product = unit<double>(generator); product > limit; product *= unit<double>(generator)) ++count;
    return count;
  }
  const double b = 0.931 + 2.53 * std::sqrt(rate);
  const double a = -0.059 + 0.02483 * b;
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
  const double v_r = 0.9277 - 3.6224 / (b - 2);
  const double log_rate = std::log(rate);
  for (;;) {
    const double u = unit<double>(generator) - 0.5;
    const double v = unit<double>(generator);
    const double us = 0.5 - std::fabs(u);
    const double k = std::floor((2 * a / us + b) * u + rate + 0.43);
    if (us >= 0.07 && v <= v_r) return static_cast<int64_t>(k);
    if (k < 0 || (us < 0.013 && v > us)) continue;
    const double accept = std::log(v) + std::log(inverse_alpha) - std::log(a / (us * us) + b);
    if (accept <= -rate + k * log_rate - std::lgamma(k + 1)) return static_cast<int64_t>(k);
  }
}

}  // namespace random
}  // namespace fastnn
