// Known answers of PyTorch 2.13 on x86-64 with AVX2; tests/test_random.py compares more where torch is
// installed.
#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <vector>

#include "core/half.h"
#include "core/random.h"
#include "kernels/table.h"

namespace fastnn {
namespace {

template <typename T>
std::vector<T> uniform(uint64_t seed, int64_t n, double from = 0, double to = 1) {
  Generator generator(seed);
  std::vector<T> out(static_cast<size_t>(n));
  random::fill_uniform(out.data(), n, from, to, generator);
  return out;
}

template <typename T>
std::vector<T> normal(Generator& generator, int64_t n) {
  std::vector<T> out(static_cast<size_t>(n));
  if (n < random::kNormalBlock) {
    random::fill(out.data(), n, random::Normal<T>{0, 1}, generator);
  } else {
    random::fill_normal_blocks(out.data(), n, 0, 1, generator, kernels().random->box_muller);
  }
  return out;
}

template <typename T, typename Sampler>
std::vector<T> sample(int64_t n, const Sampler& sampler, Generator& generator) {
  std::vector<T> out(static_cast<size_t>(n));
  random::fill(out.data(), n, sampler, generator);
  return out;
}

template <typename T>
std::vector<int> bits(const std::vector<T>& values) {
  std::vector<int> out;
  for (const T& value : values) out.push_back(static_cast<int16_t>(value.bits));
  return out;
}

// Scalar double samplers rest on the C library's functions, which differ by an ulp between versions.
void check_close(const std::vector<double>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(expected[i]).epsilon(1e-14));
}

}  // namespace

TEST_CASE("the generator is the Mersenne Twister") {
  Generator generator(5489);
  for (int i = 1; i < 10000; ++i) generator.random32();
  CHECK(generator.random32() == 4123659995U);  // the value that C++ prescribes for std::mt19937
  CHECK(generator.initial_seed() == 5489);
  CHECK(Generator().initial_seed() == 67280421310721ULL);
}

TEST_CASE("a block of words equals single draws, wherever it starts") {
  for (const int64_t skip : {0, 1, 5, 622, 623, 624, 625, 1300}) {
    for (const int64_t n : {1, 2, 623, 624, 625, 2000}) {
      Generator one(7);
      Generator block(7);
      for (int64_t i = 0; i < skip; ++i) CHECK(one.random32() == block.random32());
      std::vector<uint32_t> expected(static_cast<size_t>(n));
      for (uint32_t& word : expected) word = one.random32();
      std::vector<uint32_t> got(static_cast<size_t>(n));
      block.random32(got.data(), n);
      CHECK(got == expected);
      CHECK(block.get_state() == one.get_state());
      CHECK(block.random64() == one.random64());
    }
  }
}

TEST_CASE("the state has PyTorch's bytes and restores what it was taken from") {
  Generator generator(1);
  normal<float>(generator, 3);
  const Generator::StateBytes state = generator.get_state();
  const std::array<uint8_t, 28> head = {1, 0, 0, 0, 0, 0, 0, 0, 0x69, 2, 0,    0,    1,    0,
                                        0, 0, 8, 0, 0, 0, 0, 0, 0,    0, 0x9a, 0x7a, 0xb4, 0x9c};
  for (size_t i = 0; i < head.size(); ++i) CHECK(std::to_integer<uint8_t>(state[i]) == head[i]);
  CHECK(std::to_integer<int>(state[5040]) == 1);  // a normal is cached

  Generator copy;
  REQUIRE(copy.set_state(state));
  CHECK(copy.initial_seed() == 1);
  const std::vector<float> next = normal<float>(generator, 1);
  CHECK(next[0] == 0x1.3e1d4ep-1F);
  CHECK(normal<float>(copy, 1) == next);
  CHECK(copy.get_state() == generator.get_state());
}

TEST_CASE("bytes that are no state are refused and change nothing") {
  Generator generator(3);
  const Generator::StateBytes before = generator.get_state();
  const auto refuses = [&](size_t offset, uint8_t value) {
    Generator::StateBytes broken = before;
    broken[offset] = std::byte{value};
    CHECK_FALSE(generator.set_state(broken));
    CHECK(generator.get_state() == before);
  };
  refuses(8, 0);     // no draw left
  refuses(9, 0x70);  // more draws than words
  refuses(11, 0xff);
  refuses(12, 0);  // never seeded
  refuses(17, 3);  // reads past the words
  refuses(23, 0x80);
  CHECK_FALSE(generator.set_state(std::span(before).first(5000)));
}

TEST_CASE("uniform") {
  CHECK(uniform<float>(0, 4) == std::vector{0x1.fc2abp-2F, 0x1.89545ep-1F, 0x1.6a675p-4F, 0x1.0e66p-3F});
  CHECK(uniform<double>(0, 3) == std::vector{0x1.f0aac97c4aa2fp-1, 0x1.6a675d821cccp-1, 0x1.d6687b744a5f6p-2});
  CHECK(bits(uniform<Half>(0, 4)) == std::vector{14321, 14885, 11690, 12346});
  CHECK(bits(uniform<BFloat16>(0, 4)) == std::vector{16126, 16197, 15797, 15879});
  CHECK(uniform<float>(0, 3, -0.3, 0.7) == std::vector{0x1.91eef8p-3F, 0x1.df7588p-2F, -0x1.b132cp-3F});
  for (const BFloat16 value : uniform<BFloat16>(11, 5000, 1, 2)) CHECK(static_cast<float>(value) < 2.0F);
  Generator generator(0);
  std::vector<float> many(100000);
  random::fill_uniform(many.data(), 100000, 0, 1, generator);
  CHECK(random::unit<float>(generator) == 0x1.83b0dap-1F);
}

TEST_CASE("fewer than 16 normals come in pairs in double precision") {
  Generator generator(0);
  CHECK(normal<float>(generator, 5) ==
        std::vector{0x1.8a7eb8p+0F, -0x1.2c78ap-2F, -0x1.16e292p+1F, 0x1.23096cp-1F, -0x1.15a342p+0F});
  CHECK(normal<float>(generator, 1) == std::vector{-0x1.660a5ap+0F});
  CHECK_FALSE(generator.next_double_normal.has_value());
}

TEST_CASE("16 normals and more come in blocks") {
  Generator generator(0);
  CHECK(normal<float>(generator, 16) == std::vector{-0x1.20370ap+0F, -0x1.270114p+0F, -0x1.0097acp-2F, -0x1.bc4abap-2F,
                                                    0x1.b28a2ap-1F, 0x1.624f06p-1F, -0x1.4398dap-2F, -0x1.0ebf82p+1F,
                                                    0x1.4a027p-2F, -0x1.4369e8p+0F, 0x1.6661fep-2F, 0x1.3b8776p-2F,
                                                    0x1.eadeeep-4F, 0x1.3cd726p+0F, 0x1.1de51cp+0F, -0x1.fa6cf8p-3F});
  generator.seed(0);
  const std::vector<float> tail = normal<float>(generator, 17);  // the last 16 are drawn twice
  CHECK(tail[0] == -0x1.20370ap+0F);
  CHECK(tail[1] == -0x1.b2288cp+0F);
  CHECK(tail[16] == 0x1.dd186p-1F);
  generator.seed(0);
  const std::vector<int> narrow = bits(normal<BFloat16>(generator, 17));
  CHECK(narrow[0] == -16496);
  CHECK(narrow[1] == -16467);
  CHECK(narrow[16] == -16552);
}

TEST_CASE("long runs of normals equal those of single blocks") {
  Generator one(5);
  Generator all(5);
  std::vector<float> expected(4000);
  for (size_t i = 0; i < expected.size(); i += 16) {
    random::fill_normal_blocks(expected.data() + i, 16, 0.5, 2, one, kernels().random->box_muller);
  }
  std::vector<float> got(4000);
  random::fill_normal_blocks(got.data(), 4000, 0.5, 2, all, kernels().random->box_muller);
  CHECK(got == expected);
  CHECK(one.get_state() == all.get_state());
}

TEST_CASE("dropout keeps the right share, and the same elements in every dtype") {
  constexpr int64_t n = 100003;
  const DropoutMask mask = {0x123456789abcdefULL, 0.7};
  const auto dropped = [&]<class T>(std::vector<T> values) {
    const int64_t stride = 1;
    const View view = {values.data(), dtype_of<T>, 1, &n, &stride};
    kernels().random->dropout(view, view, mask, 2);
    return std::vector<double>(values.begin(), values.end());
  };
  const std::vector<double> wide = dropped(std::vector<double>(n, 1));
  double kept = 0;
  for (const double value : wide) {
    CHECK((value == 0 || value == 2));
    kept += value / 2;
  }
  CHECK(kept / n == doctest::Approx(0.7).epsilon(0.01));
  CHECK(dropped(std::vector<float>(n, 1)) == wide);
  CHECK(dropped(std::vector<Half>(n, Half(1))) == wide);
  CHECK(dropped(std::vector<BFloat16>(n, BFloat16(1))) == wide);
}

TEST_CASE("integers") {
  Generator generator(0);
  CHECK(sample<int64_t>(8, random::UniformInt<int64_t>{10, 0}, generator) ==
        std::vector<int64_t>{4, 9, 3, 0, 3, 9, 7, 3});
  CHECK(sample<int64_t>(3, random::UniformInt<int64_t>{random::kWideRange, -5}, generator) ==
        std::vector<int64_t>{262266574, 40294125, 204159570});
  CHECK(sample<int64_t>(2, random::FullRange<int64_t>{}, generator) ==
        std::vector<int64_t>{7226936298635050456, 8553068346248842636});
  generator.seed(0);
  CHECK(sample<uint8_t>(4, random::FullRange<uint8_t>{}, generator) == std::vector<uint8_t>{172, 47, 117, 192});
  CHECK(sample<float>(4, random::FullRange<float>{}, generator) ==
        std::vector<float>{5157545, 10637856, 8222264, 15039631});
  const auto halves = sample<Half>(4, random::FullRange<Half, 11>{}, generator);
  CHECK(std::vector<float>(halves.begin(), halves.end()) == std::vector<float>{1831, 1302, 128, 929});
}

TEST_CASE("permutations") {
  Generator generator(0);
  std::vector<int64_t> ten(10);
  random::permutation(ten.data(), 10, generator);
  CHECK(ten == std::vector<int64_t>{4, 1, 7, 5, 3, 9, 0, 8, 6, 2});
  std::vector<int32_t> five(5);
  random::permutation(five.data(), 5, generator);
  CHECK(five == std::vector<int32_t>{3, 2, 4, 0, 1});
  random::permutation(five.data(), 0, generator);
}

TEST_CASE("other distributions") {
  Generator generator(0);
  CHECK(sample<int>(16, random::Bernoulli<int>{0.5}, generator) ==
        std::vector<int>{0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1, 1});
  generator.seed(0);
  CHECK(sample<float>(3, random::Exponential<float>{2}, generator) ==
        std::vector{0x1.c110d6p+0F, 0x1.3afa7ep-1F, 0x1.3ae71p-2F});
  CHECK(sample<int>(5, random::Geometric<int>{0.3}, generator) == std::vector{1, 2, 1, 5, 3});
  generator.seed(0);
  const std::array<double, 7> rates = {0, 0.5, 3, 9.9, 10, 50, 1000};
  std::vector<int64_t> counts;
  for (const double rate : rates) counts.push_back(random::poisson(rate, generator));
  CHECK(counts == std::vector<int64_t>{0, 2, 4, 10, 13, 54, 1002});
  generator.seed(0);
  for (int i = 0; i < 3; ++i) generator.random32();
  check_close(sample<double>(2, random::LogNormal<double>{0.5, 0.25}, generator),
              {0x1.ce5279ece6a8fp+0, 0x1.b47ead0dbee43p+0});
  check_close(sample<double>(2, random::Cauchy<double>{0.5, 0.25}, generator),
              {0x1.4fb216b35d950p-4, -0x1.b135bda0b3cb2p-1});
}

TEST_CASE("multinomial with replacement") {
  Generator generator(0);
  const std::array<float, 4> weights = {1, 2, 3, 4};
  std::array<float, 4> cumulative{};
  std::vector<int64_t> out(8);
  CHECK(random::multinomial(weights.data(), 1, 4, cumulative.data(), out.data(), 8, generator) ==
        random::WeightsError::kNone);
  CHECK(out == std::vector<int64_t>{3, 3, 2, 3, 3, 3, 1, 2});
  const std::array<float, 4> negative = {1, -2, 3, 4};
  CHECK(random::multinomial(negative.data(), 1, 4, cumulative.data(), out.data(), 8, generator) ==
        random::WeightsError::kNegative);
  const std::array<float, 2> zero = {0, 0};
  CHECK(random::multinomial(zero.data(), 1, 2, cumulative.data(), out.data(), 8, generator) ==
        random::WeightsError::kZeroSum);
}

TEST_CASE("the default generator is one, and not seeded with a constant") {
  CHECK(default_generator().get() == default_generator().get());
  CHECK(default_generator()->initial_seed() != Generator::kDefaultSeed);
  CHECK(Generator().seed_from_os() != Generator().seed_from_os());
}

}  // namespace fastnn
