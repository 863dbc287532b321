// What may stand between the parsing of a call and its operation: mixed precision, and the profiler.
#pragma once

#include <atomic>
#include <string>

#include "bindings/signature.h"

namespace fastnn::python {

// How an operation chooses its dtype in an autocast block, by its name with its namespace: "nn.linear".
CastPolicy cast_policy(const std::string& name);

struct AutocastState {
  bool enabled = false;
  bool cache = true;
  DType dtype = DType::BFloat16;
  int nesting = 0;
};
inline thread_local AutocastState autocast_state;

// Converts the tensors of a call as the policy says.
void autocast_arguments(const Signature& signature, CallFrame& frame);

inline std::atomic<bool> profiling{false};
void profile_begin(std::string name);
void profile_end();

// Records the time from here to the end of the scope, while the profiler is on.
class ProfiledCall {
 public:
  explicit ProfiledCall(const char* prefix, const std::string& name) {
    if (__builtin_expect(profiling.load(std::memory_order_relaxed), 0)) {
      profile_begin(prefix + name);
      began_ = true;
    }
  }
  ~ProfiledCall() {
    if (began_) profile_end();
  }
  ProfiledCall(const ProfiledCall&) = delete;
  ProfiledCall& operator=(const ProfiledCall&) = delete;

 private:
  bool began_ = false;
};

}  // namespace fastnn::python
