// The error that has a Python type of its own beside those of ErrorKind.
#pragma once

#include <string>
#include <utility>

#include "core/error.h"

namespace fastnn {

// A matrix is not one that the operation can work with: singular, or not definite.
class LinAlgError final : public Error {
 public:
  explicit LinAlgError(std::string message) : Error(ErrorKind::Runtime, std::move(message)) {}
};

}  // namespace fastnn
