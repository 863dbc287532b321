#include "cpu_host/isa.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <string_view>

#include "core/error.h"
#include "kernels/table.h"

namespace fastnn {

namespace cpu {
namespace base {
extern const Kernels table;
}
#if defined(FASTNN_HAVE_AVX2)
namespace avx2 {
extern const Kernels table;
}
#endif
#if defined(FASTNN_HAVE_AVX512)
namespace avx512 {
extern const Kernels table;
}
#endif
}  // namespace cpu

bool LaunchCount::counting = false;
long LaunchCount::value = 0;

namespace {

#if defined(FASTNN_HAVE_AVX2)
// clang 14 has no name for it in __builtin_cpu_supports.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

// From the narrowest to the widest that both the build and the machine (CPU and operating system) have.
std::vector<const Kernels*> usable() {
  std::vector<const Kernels*> tables = {&cpu::base::table};
#if defined(FASTNN_HAVE_AVX2)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") && has_f16c()) {
    tables.push_back(&cpu::avx2::table);
#if defined(FASTNN_HAVE_AVX512)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl")) {
      tables.push_back(&cpu::avx512::table);
    }
#endif
  }
#endif
  return tables;
}

const Kernels* choose() {
  const std::vector<const Kernels*> tables = usable();
  const char* wish = std::getenv("FASTNN_CPU_ISA");
  if (wish == nullptr || *wish == '\0') return tables.back();
  for (const Kernels* table : tables) {
    if (std::string_view(table->isa) == wish) return table;
  }
  std::string names;
  for (const Kernels* table : tables) names += std::string(names.empty() ? "" : ", ") + table->isa;
  fail(ErrorKind::Value, "FASTNN_CPU_ISA: expected one of ", names, ", got '", wish, "'");
}

}  // namespace

const Kernels& kernels() {
  static const Kernels* const chosen = choose();
  return *chosen;
}

std::string isa_in_use() { return kernels().isa; }
std::vector<std::string> isa_available() {
  std::vector<std::string> names;
  for (const Kernels* table : usable()) names.emplace_back(table->isa);
  return names;
}

}  // namespace fastnn
