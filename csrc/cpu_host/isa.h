// Which instruction sets were compiled, which the machine has, and which one runs.
#pragma once

#include <string>
#include <vector>

namespace fastnn {

std::string isa_in_use();
std::vector<std::string> isa_available();

}  // namespace fastnn
