#include "ops/registry.h"

namespace fastnn {

std::vector<OpDef>& op_registry() {
  static std::vector<OpDef> registry;
  return registry;
}

}  // namespace fastnn
