// Schemas of the registry, parsed once at load, and the parsing of Python arguments against them.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "bindings/python.h"
#include "ops/registry.h"

namespace fastnn::python {

enum class ParamType : std::uint8_t {
  Tensor,
  TensorOrScalar,
  TensorList,
  Int,
  Float,
  Bool,
  String,
  Scalar,
  DType,
  IntList,
  Generator,
  MemoryFormat
};

struct Param {
  std::string name;
  PyObject* key = nullptr;  // interned name
  ParamType type = ParamType::Tensor;
  bool optional = false;  // accepts None
  bool has_default = false;
  bool keyword_only = false;
  bool varargs = false;  // *int[]
  int list_size = 0;     // int[2]: one int stands for both
  std::string default_text;
  Argument default_value;
  std::vector<std::int64_t> default_ints;
  std::string type_text;
};

enum class CallMode : std::uint8_t { Function, Method, InPlace };

// What an operation does with the dtypes of its floating point inputs in an autocast block.
enum class CastPolicy : std::uint8_t { Keep, Lower, Float32, Widest };

constexpr int kMaxParams = 24;

struct Signature {
  const OpDef* op = nullptr;
  std::string name;        // without namespace
  std::string name_space;  // "nn", or empty
  std::string result_text;
  std::vector<std::string> fields;  // of a named tuple
  bool returns_list = false;
  CastPolicy cast = CastPolicy::Keep;
  std::vector<Param> params;
  const char* node_name = nullptr;  // of the backward graph, where the operation's last step has another
  int positional = 0;               // parameters that may be passed by position
  std::string text() const;         // for error messages and stubs
};

Signature parse_schema(const OpDef& op);

// What one call needs while its arguments are converted; lives on the stack.
struct CallFrame {
  std::array<Argument, kMaxParams> arguments;
  std::array<Tensor, kMaxParams> tensors;
  int tensor_count = 0;
  std::array<std::int64_t, 64> ints;
  int int_count = 0;
  std::vector<std::vector<Tensor>> tensor_lists;
  std::vector<std::vector<std::int64_t>> long_lists;
  // Keywords that any factory or any op with `out=` takes.
  PyObject* out = nullptr;
  PyObject* device = nullptr;
  bool requires_grad = false;
};

// Fills the frame. False when the arguments do not fit this signature (no Python error set, `reason` says why when it
// is not null); throws for errors that no other signature could mend (an integer too large).
bool parse_arguments(const Signature& signature, CallMode mode, PyObject* const* args, Py_ssize_t count,
                     PyObject* keyword_names, CallFrame& frame, std::string* reason);

}  // namespace fastnn::python
