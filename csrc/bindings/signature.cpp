#include "bindings/signature.h"

#include <cstring>
#include <string_view>

namespace fastnn::python {

namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// Splits at commas that are not inside brackets.
std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  int depth = 0;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && (text[i] == '[' || text[i] == '(')) ++depth;
    if (i < text.size() && (text[i] == ']' || text[i] == ')')) --depth;
    if (i == text.size() || (text[i] == ',' && depth == 0)) {
      const auto part = trim(text.substr(start, i - start));
      if (!part.empty()) parts.push_back(part);
      start = i + 1;
    }
  }
  return parts;
}

[[noreturn]] void bad_schema(const OpDef& op, std::string_view what) {
  fail("schema '", op.schema, "': ", std::string(what));
}

void parse_type(const OpDef& op, std::string_view text, Param& param) {
  param.type_text = text;
  if (text.starts_with('*')) {
    param.varargs = true;
    text.remove_prefix(1);
  }
  if (text.ends_with('?')) {
    param.optional = true;
    text.remove_suffix(1);
  }
  if (text.starts_with("int[") && text.ends_with(']')) {
    param.type = ParamType::IntList;
    if (text.size() > 5) param.list_size = std::stoi(std::string(text.substr(4, text.size() - 5)));
    return;
  }
  constexpr std::pair<std::string_view, ParamType> kTypes[] = {
      {"Tensor", ParamType::Tensor},
      {"Tensor|Scalar", ParamType::TensorOrScalar},
      {"Tensor[]", ParamType::TensorList},
      {"int", ParamType::Int},
      {"float", ParamType::Float},
      {"bool", ParamType::Bool},
      {"str", ParamType::String},
      {"Scalar", ParamType::Scalar},
      {"dtype", ParamType::DType},
      {"generator", ParamType::Generator},
      {"memory_format", ParamType::MemoryFormat},
  };
  for (const auto& [name, type] : kTypes) {
    if (text == name) {
      param.type = type;
      return;
    }
  }
  bad_schema(op, "unknown type " + std::string(text));
}

std::optional<DType> dtype_named(std::string_view name) {
  for (std::size_t i = 0; i < kDTypes.size(); ++i) {
    if (kDTypes[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

void parse_default(const OpDef& op, std::string_view text, Param& param) {
  param.has_default = true;
  param.default_text = text;
  Argument& value = param.default_value;
  using Kind = Argument::Kind;
  if (text == "None") return;
  switch (param.type) {
    case ParamType::Int:
      value.kind = Kind::Int;
      value.i = std::stoll(param.default_text);
      return;
    case ParamType::Float:
      value.kind = Kind::Float;
      value.d = std::stod(param.default_text);
      return;
    case ParamType::Bool:
      value.kind = Kind::Bool;
      value.b = text == "True";
      return;
    case ParamType::Scalar:
    case ParamType::TensorOrScalar: {
      if (param.type == ParamType::TensorOrScalar) bad_schema(op, "default of Tensor|Scalar");
      value.kind = Kind::Scalar;
      const bool is_float = text.find_first_of(".einf") != std::string_view::npos;
      if (text == "True" || text == "False") {
        value.scalar = Scalar(text == "True");
      } else {
        value.scalar =
            is_float ? Scalar(std::stod(param.default_text)) : Scalar(std::int64_t{std::stoll(param.default_text)});
      }
      return;
    }
    case ParamType::String:
      value.kind = Kind::String;
      // The text without its quotes; Param keeps the characters.
      param.default_text = text.substr(1, text.size() - 2);
      return;
    case ParamType::DType: {
      const auto dtype = dtype_named(text);
      if (!dtype) bad_schema(op, "unknown dtype");
      value.kind = Kind::DType;
      value.dtype = *dtype;
      return;
    }
    case ParamType::IntList:
      value.kind = Kind::IntList;
      if (text.starts_with('[')) {
        for (const auto item : split(text.substr(1, text.size() - 2))) {
          param.default_ints.push_back(std::stoll(std::string(item)));
        }
      } else {
        param.default_ints.assign(static_cast<std::size_t>(std::max(1, param.list_size)),
                                  std::stoll(param.default_text));
      }
      return;
    case ParamType::Tensor:
    case ParamType::TensorList:
    case ParamType::Generator:
    case ParamType::MemoryFormat:
      bad_schema(op, "default of a tensor");
  }
}

}  // namespace

Signature parse_schema(const OpDef& op) {
  Signature signature;
  signature.op = &op;
  const std::string_view schema = op.schema;
  const auto open = schema.find('(');
  const auto arrow = schema.rfind("->");
  if (open == std::string_view::npos || arrow == std::string_view::npos) bad_schema(op, "no '(' or '->'");
  const auto close = schema.rfind(')', arrow);
  std::string_view name = trim(schema.substr(0, open));
  if (const auto dot = name.rfind('.'); dot != std::string_view::npos) {
    signature.name_space = name.substr(0, dot);
    name = name.substr(dot + 1);
  }
  signature.name = name;
  const std::string_view result = trim(schema.substr(arrow + 2));
  signature.result_text = result;
  if (result.starts_with('(')) {
    for (const auto part : split(result.substr(1, result.size() - 2))) {
      const auto space = part.rfind(' ');
      if (space != std::string_view::npos) signature.fields.emplace_back(trim(part.substr(space)));
    }
  }
  bool keyword_only = false;
  for (const auto part : split(schema.substr(open + 1, close - open - 1))) {
    if (part == "*") {
      keyword_only = true;
      continue;
    }
    Param param;
    param.keyword_only = keyword_only;
    const auto equals = part.find('=');
    const std::string_view declaration = trim(part.substr(0, equals));
    const auto space = declaration.rfind(' ');
    if (space == std::string_view::npos) bad_schema(op, "parameter without a type");
    param.name = trim(declaration.substr(space));
    param.key = PyUnicode_InternFromString(param.name.c_str());
    parse_type(op, trim(declaration.substr(0, space)), param);
    if (equals != std::string_view::npos) parse_default(op, trim(part.substr(equals + 1)), param);
    if (!keyword_only) ++signature.positional;
    signature.params.push_back(std::move(param));
  }
  if (static_cast<int>(signature.params.size()) != op.arity)
    bad_schema(op, "another number of parameters than the function");
  if (signature.params.size() > kMaxParams) bad_schema(op, "too many parameters");
  for (Param& param : signature.params) {
    // Stable now that the vector is complete.
    if (param.type == ParamType::String && param.default_value.kind == Argument::Kind::String) {
      param.default_value.list = {param.default_text.data(), param.default_text.size()};
    }
    if (param.type == ParamType::IntList && param.default_value.kind == Argument::Kind::IntList) {
      param.default_value.list = {param.default_ints.data(), param.default_ints.size()};
    }
  }
  return signature;
}

std::string Signature::text() const {
  std::string result = "(";
  bool star = false;
  for (const Param& param : params) {
    if (result.size() > 1) result += ", ";
    if (param.keyword_only && !star) {
      result += "*, ";
      star = true;
    }
    result += param.type_text + " " + param.name;
    if (param.has_default) result += "=" + param.default_text;
  }
  return result + ")";
}

namespace {

bool set_int(PyObject* object, std::int64_t& value) {
  if (PyLong_CheckExact(object)) {
    int overflow = 0;
    value = PyLong_AsLongLongAndOverflow(object, &overflow);
    FASTNN_CHECK(overflow == 0, ErrorKind::Runtime, "Overflow when unpacking long long");
    return true;
  }
  if (PyFloat_Check(object) || !PyIndex_Check(object)) return false;
  if (is_tensor(object)) {
    const Tensor tensor = tensor_of(object);
    if (tensor.is_differentiable() || tensor.numel() != 1) return false;
    value = tensor.item_int();
    return true;
  }
  PyObject* index = PyNumber_Index(object);
  if (index == nullptr) {
    PyErr_Clear();
    return false;
  }
  int overflow = 0;
  value = PyLong_AsLongLongAndOverflow(index, &overflow);
  Py_DECREF(index);
  FASTNN_CHECK(overflow == 0, ErrorKind::Runtime, "Overflow when unpacking long long");
  return true;
}

// Space for n integers that lives as long as the frame.
std::int64_t* int_space(CallFrame& frame, std::size_t n) {
  if (frame.int_count + n <= frame.ints.size()) {
    std::int64_t* space = frame.ints.data() + frame.int_count;
    frame.int_count += static_cast<int>(n);
    return space;
  }
  frame.long_lists.emplace_back(n);
  return frame.long_lists.back().data();
}

bool set_int_list(PyObject* const* items, Py_ssize_t count, Argument& argument, CallFrame& frame) {
  std::int64_t* space = int_space(frame, static_cast<std::size_t>(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!set_int(items[i], space[i])) return false;
  }
  argument.kind = Argument::Kind::IntList;
  argument.list = {space, static_cast<std::size_t>(count)};
  return true;
}

bool set_int_list(const Param& param, PyObject* object, Argument& argument, CallFrame& frame) {
  if (PyTuple_Check(object))
    return set_int_list(&PyTuple_GET_ITEM(object, 0), PyTuple_GET_SIZE(object), argument, frame);
  if (PyList_Check(object)) {
    return PyList_GET_SIZE(object) == 0
               ? set_int_list(nullptr, 0, argument, frame)
               : set_int_list(&PyList_GET_ITEM(object, 0), PyList_GET_SIZE(object), argument, frame);
  }
  std::int64_t value = 0;
  if ((param.list_size > 0 || param.varargs) && !PyBool_Check(object) && set_int(object, value)) {
    const int count = std::max(1, param.list_size);
    std::int64_t* space = int_space(frame, static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) space[i] = value;
    argument.kind = Argument::Kind::IntList;
    argument.list = {space, static_cast<std::size_t>(count)};
    return true;
  }
  return false;
}

bool set_tensor_list(PyObject* const* items, Py_ssize_t count, Argument& argument, CallFrame& frame) {
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!is_tensor(items[i])) return false;
  }
  std::vector<Tensor> list;
  list.reserve(static_cast<std::size_t>(count));
  for (Py_ssize_t i = 0; i < count; ++i) list.push_back(tensor_of(items[i]));
  frame.tensor_lists.reserve(kMaxParams);
  frame.tensor_lists.push_back(std::move(list));
  argument.kind = Argument::Kind::Many;
  argument.list = {frame.tensor_lists.back().data(), frame.tensor_lists.back().size()};
  return true;
}

bool set_tensor_list(PyObject* object, Argument& argument, CallFrame& frame) {
  if (!PyTuple_Check(object) && !PyList_Check(object)) return false;
  return set_tensor_list(PySequence_Fast_ITEMS(object), PySequence_Fast_GET_SIZE(object), argument, frame);
}

void set_tensor(Tensor tensor, Argument& argument, CallFrame& frame) {
  Tensor& slot = frame.tensors[static_cast<std::size_t>(frame.tensor_count++)];
  slot = std::move(tensor);
  argument.kind = Argument::Kind::One;
  argument.tensor = &slot;
}

bool set_argument(const Param& param, PyObject* object, Argument& argument, CallFrame& frame) {
  using Kind = Argument::Kind;
  if (object == Py_None && (param.optional || (param.has_default && param.default_value.kind == Kind::None))) {
    argument.kind = Kind::None;
    return true;
  }
  switch (param.type) {
    case ParamType::Tensor:
      if (!is_tensor(object)) return false;
      set_tensor(tensor_of(object), argument, frame);
      return true;
    case ParamType::TensorOrScalar: {
      if (is_tensor(object)) {
        set_tensor(tensor_of(object), argument, frame);
        return true;
      }
      const auto scalar = scalar_of(object);
      if (!scalar) return false;
      set_tensor(scalar->wrapped(), argument, frame);
      return true;
    }
    case ParamType::TensorList:
      return set_tensor_list(object, argument, frame);
    case ParamType::Int:
      argument.kind = Kind::Int;
      return set_int(object, argument.i);
    case ParamType::Float: {
      argument.kind = Kind::Float;
      if (PyFloat_CheckExact(object)) {
        argument.d = PyFloat_AS_DOUBLE(object);
        return true;
      }
      if (is_tensor(object)) {
        if (tensor_of(object).numel() != 1 || tensor_of(object).is_complex()) return false;
        argument.d = tensor_of(object).item_double();
        return true;
      }
      const auto scalar = scalar_of(object);
      if (!scalar || scalar->is_complex()) return false;
      argument.d = scalar->to_double();
      return true;
    }
    case ParamType::Bool: {
      argument.kind = Kind::Bool;
      if (object == Py_True || object == Py_False) {
        argument.b = object == Py_True;
        return true;
      }
      const auto scalar = PyLong_Check(object) || is_tensor(object) ? std::nullopt : scalar_of(object);
      if (!scalar || scalar->kind != Scalar::Kind::Bool) return false;
      argument.b = scalar->i != 0;
      return true;
    }
    case ParamType::Scalar: {
      argument.kind = Kind::Scalar;
      if (is_tensor(object)) {
        const Tensor tensor = tensor_of(object);
        if (tensor.numel() != 1 || tensor.ndim() != 0 || tensor.requires_grad()) return false;
        argument.scalar = item(tensor);
        return true;
      }
      const auto scalar = scalar_of(object);
      if (!scalar) return false;
      argument.scalar = *scalar;
      return true;
    }
    case ParamType::String: {
      if (!PyUnicode_Check(object)) return false;
      Py_ssize_t size = 0;
      const char* text = PyUnicode_AsUTF8AndSize(object, &size);
      if (text == nullptr) throw_python();
      argument.kind = Kind::String;
      argument.list = {text, static_cast<std::size_t>(size)};
      return true;
    }
    case ParamType::DType: {
      const auto dtype = dtype_of_object(object);
      if (!dtype) return false;
      argument.kind = Kind::DType;
      argument.dtype = *dtype;
      return true;
    }
    case ParamType::IntList:
      return set_int_list(param, object, argument, frame);
    case ParamType::MemoryFormat: {
      const std::string* name = memory_format_name(object);
      if (name == nullptr) return false;
      argument.kind = Kind::String;
      argument.list = {name->data(), name->size()};
      return true;
    }
    case ParamType::Generator: {
      Generator* generator = generator_of(object);
      if (generator == nullptr) return false;
      argument.kind = Kind::Generator;
      argument.generator = generator;
      return true;
    }
  }
  return false;
}

std::string type_name(PyObject* object) { return is_tensor(object) ? "Tensor" : Py_TYPE(object)->tp_name; }

// PyTorch's old and NumPy's names of the same parameters.
bool is_alias(const Param& param, const char* name) {
  constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
      {"dim", "axis"}, {"keepdim", "keepdims"}, {"input", "x"}, {"input", "self"}, {"other", "x2"}};
  for (const auto& [own, alias] : kAliases) {
    if (param.name == own && alias == name) return true;
  }
  return false;
}

bool set_common_keyword(const OpDef& op, CallMode mode, const char* name, PyObject* value, CallFrame& frame) {
  if ((op.flags & op_out) && mode == CallMode::Function && std::strcmp(name, "out") == 0) {
    if (value != Py_None) frame.out = value;
    return true;
  }
  if (!(op.flags & op_factory)) return false;
  if (std::strcmp(name, "device") == 0) {
    frame.device = value;
    return true;
  }
  if (std::strcmp(name, "requires_grad") == 0) {
    if (!PyBool_Check(value)) return false;
    frame.requires_grad = value == Py_True;
    return true;
  }
  return std::strcmp(name, "layout") == 0 || std::strcmp(name, "pin_memory") == 0 ||
         std::strcmp(name, "memory_format") == 0;
}

}  // namespace

bool parse_arguments(const Signature& signature, CallMode mode, PyObject* const* args, Py_ssize_t count,
                     PyObject* keyword_names, CallFrame& frame, std::string* reason) {
  const auto explain = [&](auto&&... parts) {
    if (reason != nullptr) {
      std::ostringstream text;
      (text << ... << parts);
      *reason = text.str();
    }
    return false;
  };
  const std::vector<Param>& params = signature.params;
  const int n = static_cast<int>(params.size());
  PyObject* values[kMaxParams] = {};
  Py_ssize_t used = std::min<Py_ssize_t>(count, signature.positional);
  Py_ssize_t varargs_from = -1;
  for (Py_ssize_t i = 0; i < used; ++i) {
    const Param& param = params[static_cast<std::size_t>(i)];
    // f(2, 3): the rest of the positional arguments is the list.
    if (param.varargs && !PyTuple_Check(args[i]) && !PyList_Check(args[i])) {
      varargs_from = i;
      used = count;
      break;
    }
    values[i] = args[i];
  }
  if (used < count) {
    return explain("takes at most ", signature.positional, " positional arguments (", count, " given)");
  }
  const Py_ssize_t keywords = keyword_names ? PyTuple_GET_SIZE(keyword_names) : 0;
  for (Py_ssize_t k = 0; k < keywords; ++k) {
    PyObject* key = PyTuple_GET_ITEM(keyword_names, k);
    PyObject* value = args[count + k];
    int found = -1;
    for (int i = 0; i < n && found < 0; ++i) {
      if (params[static_cast<std::size_t>(i)].key == key) found = i;
    }
    if (found < 0) {
      const char* name = PyUnicode_AsUTF8(key);
      if (name == nullptr) throw_python();
      for (int i = 0; i < n && found < 0; ++i) {
        const Param& param = params[static_cast<std::size_t>(i)];
        if (param.name == name || is_alias(param, name)) found = i;
      }
      if (found < 0) {
        if (set_common_keyword(*signature.op, mode, name, value, frame)) continue;
        return explain("got an unexpected keyword argument '", name, "'");
      }
    }
    if (values[found] != nullptr || (varargs_from == found)) {
      return explain("got multiple values for argument '", params[static_cast<std::size_t>(found)].name, "'");
    }
    values[found] = value;
  }
  for (int i = 0; i < n; ++i) {
    const Param& param = params[static_cast<std::size_t>(i)];
    Argument& argument = frame.arguments[static_cast<std::size_t>(i)];
    if (varargs_from == i) {
      const bool fits = param.type == ParamType::TensorList ? set_tensor_list(args + i, count - i, argument, frame)
                                                            : set_int_list(args + i, count - i, argument, frame);
      if (!fits) return explain("argument '", param.name, "' must be ", param.type_text, ", not ", type_name(args[i]));
    } else if (values[i] != nullptr) {
      if (!set_argument(param, values[i], argument, frame)) {
        return explain("argument '", param.name, "' (position ", i + 1, ") must be ", param.type_text, ", not ",
                       type_name(values[i]));
      }
    } else if (param.has_default) {
      argument = param.default_value;
    } else if (param.varargs) {
      argument.kind = Argument::Kind::IntList;
      argument.list = {nullptr, 0};
    } else {
      return explain("missing required argument '", param.name, "' (position ", i + 1, ")");
    }
  }
  return true;
}

}  // namespace fastnn::python
