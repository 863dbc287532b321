#include "cpu_host/isa.h"

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

// From the narrowest to the widest that both the build and the machine (CPU and operating system) have.
std::vector<const Kernels*> usable() {
  std::vector<const Kernels*> tables = {&cpu::base::table};
#if defined(FASTNN_HAVE_AVX2)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
      __builtin_cpu_supports("f16c")) {
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
