#include "bindings/modes.h"

#include <pybind11/stl.h>

#include <chrono>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "autograd/record.h"
#include "ops/elementwise.h"

namespace fastnn::python {

// --- mixed precision ---------------------------------------------------------------------------------------------

namespace {

// PyTorch's lists for the CPU, and the operations that it composes of those.
const std::unordered_set<std::string> kLower = {"addbmm",
                                                "addmm",
                                                "baddbmm",
                                                "bmm",
                                                "chain_matmul",
                                                "conv_tbc",
                                                "einsum",
                                                "inner",
                                                "linalg.matmul",
                                                "linalg.multi_dot",
                                                "linalg.vecdot",
                                                "matmul",
                                                "mm",
                                                "nn.conv1d",
                                                "nn.conv2d",
                                                "nn.conv3d",
                                                "nn.conv_transpose1d",
                                                "nn.conv_transpose2d",
                                                "nn.conv_transpose3d",
                                                "nn.linear",
                                                "nn.prelu",
                                                "nn.scaled_dot_product_attention",
                                                "prelu",
                                                "tensordot"};
const std::unordered_set<std::string> kFloat32 = {"cdist",
                                                  "cholesky",
                                                  "cholesky_inverse",
                                                  "cholesky_solve",
                                                  "geqrf",
                                                  "inverse",
                                                  "lu_solve",
                                                  "nanquantile",
                                                  "nn.adaptive_avg_pool3d",
                                                  "nn.adaptive_max_pool3d",
                                                  "nn.avg_pool3d",
                                                  "nn.binary_cross_entropy",
                                                  "nn.binary_cross_entropy_with_logits",
                                                  "nn.cosine_embedding_loss",
                                                  "nn.cross_entropy",
                                                  "nn.ctc_loss",
                                                  "nn.grid_sample",
                                                  "nn.hinge_embedding_loss",
                                                  "nn.huber_loss",
                                                  "nn.kl_div",
                                                  "nn.l1_loss",
                                                  "nn.margin_ranking_loss",
                                                  "nn.max_pool3d",
                                                  "nn.max_unpool2d",
                                                  "nn.max_unpool3d",
                                                  "nn.mse_loss",
                                                  "nn.multi_margin_loss",
                                                  "nn.multilabel_margin_loss",
                                                  "nn.nll_loss",
                                                  "nn.poisson_nll_loss",
                                                  "nn.smooth_l1_loss",
                                                  "nn.soft_margin_loss",
                                                  "nn.triplet_margin_loss",
                                                  "orgqr",
                                                  "ormqr",
                                                  "pinverse",
                                                  "polar",
                                                  "prod",
                                                  "qr",
                                                  "quantile",
                                                  "stft",
                                                  "svd",
                                                  "trace",
                                                  "triangular_solve",
                                                  "view_as_complex"};
const std::unordered_set<std::string> kFloat32Linalg = {
    "cholesky", "cholesky_ex", "cond",       "eig",         "eigh", "eigvals", "eigvalsh", "householder_product",
    "inv",      "inv_ex",      "lstsq",      "matrix_rank", "pinv", "qr",      "solve",    "svd",
    "svdvals",  "tensorinv",   "tensorsolve"};
const std::unordered_set<std::string> kWidest = {"cat", "concat", "concatenate", "index_copy", "stack"};

bool is_eligible(const Tensor& tensor) {
  return tensor.defined() && tensor.is_floating() && tensor.dtype() != DType::Float64;
}

// Converted parameters, until the outermost block ends.
struct CachedCast {
  Tensor source;  // keeps the address from being used again
  Tensor converted;
  std::uint32_t version;
};
thread_local std::unordered_map<const TensorImpl*, CachedCast> cached_casts;

Tensor converted(const Tensor& tensor, DType dtype) {
  const AutocastState& state = autocast_state;
  const bool keep = state.cache && dtype == state.dtype && tensor.dtype() == DType::Float32 && tensor.requires_grad() &&
                    !tensor.impl()->grad_fn && !tensor.impl()->base;
  if (!keep) return to_dtype(tensor, dtype);
  const auto found = cached_casts.find(tensor.impl());
  // One made without gradients is of no use where they are recorded; neither is one from before the last step.
  if (found != cached_casts.end() && found->second.version == tensor.impl()->version() &&
      found->second.converted.dtype() == dtype && (found->second.converted.requires_grad() || !grad_mode().enabled)) {
    return found->second.converted;
  }
  Tensor result = to_dtype(tensor, dtype);
  cached_casts.insert_or_assign(tensor.impl(), CachedCast{tensor, result, tensor.impl()->version()});
  return result;
}

DType widest(const Signature& signature, const CallFrame& frame) {
  DType result = autocast_state.dtype;
  const auto consider = [&](const Tensor& tensor) {
    if (is_eligible(tensor) && tensor.dtype() == DType::Float32) result = DType::Float32;
  };
  for (std::size_t i = 0; i < signature.params.size(); ++i) {
    const Argument& argument = frame.arguments[i];
    if (argument.kind == Argument::Kind::One) consider(*argument.tensor);
    if (argument.kind == Argument::Kind::Many) {
      const auto* list = static_cast<const Tensor*>(argument.list.data);
      for (std::size_t k = 0; k < argument.list.size; ++k) consider(list[k]);
    }
  }
  return result;
}

void convert_argument(Argument& argument, CallFrame& frame, DType dtype) {
  const auto wants = [&](const Tensor& tensor) { return is_eligible(tensor) && tensor.dtype() != dtype; };
  if (argument.kind == Argument::Kind::One && wants(*argument.tensor)) {
    frame.tensor_lists.push_back({converted(*argument.tensor, dtype)});
    argument.tensor = frame.tensor_lists.back().data();
  } else if (argument.kind == Argument::Kind::Many) {
    const auto* list = static_cast<const Tensor*>(argument.list.data);
    std::vector<Tensor> made(list, list + argument.list.size);
    for (Tensor& tensor : made) {
      if (wants(tensor)) tensor = converted(tensor, dtype);
    }
    frame.tensor_lists.push_back(std::move(made));
    argument.list.data = frame.tensor_lists.back().data();
  }
}

}  // namespace

CastPolicy cast_policy(const std::string& name) {
  if (kLower.count(name)) return CastPolicy::Lower;
  if (kWidest.count(name)) return CastPolicy::Widest;
  const bool linalg = name.starts_with("linalg.") && kFloat32Linalg.count(name.substr(7));
  const bool fourier = name.starts_with("fft.") && name.find("fft") != name.rfind("fft");
  return kFloat32.count(name) || linalg || fourier ? CastPolicy::Float32 : CastPolicy::Keep;
}

void autocast_arguments(const Signature& signature, CallFrame& frame) {
  DType dtype = autocast_state.dtype;
  if (signature.cast == CastPolicy::Float32) dtype = DType::Float32;
  if (signature.cast == CastPolicy::Widest) dtype = widest(signature, frame);
  // What is added to `tensor_lists` must not move what is there.
  frame.tensor_lists.reserve(frame.tensor_lists.size() + signature.params.size());
  for (std::size_t i = 0; i < signature.params.size(); ++i) convert_argument(frame.arguments[i], frame, dtype);
}

// --- the profiler ------------------------------------------------------------------------------------------------

namespace {

using Clock = std::chrono::steady_clock;

struct Call {
  std::string name;
  std::int64_t start;
  std::int64_t end;
  std::int64_t inside;  // of that, in calls within this one
};

// The GIL guards the list; every thread has its own nesting.
std::vector<Call> calls;
thread_local std::vector<Call> open_calls;

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

py::list stop_profiling() {
  profiling.store(false);
  py::list result;
  for (const Call& call : calls) {
    result.append(py::make_tuple(call.name, call.start, call.end, call.end - call.start - call.inside));
  }
  calls.clear();
  return result;
}

}  // namespace

void profile_begin(std::string name) { open_calls.push_back({std::move(name), now(), 0, 0}); }

void profile_end() {
  if (open_calls.empty()) return;
  Call call = std::move(open_calls.back());
  open_calls.pop_back();
  call.end = now();
  if (!open_calls.empty()) open_calls.back().inside += call.end - call.start;
  if (profiling.load(std::memory_order_relaxed)) calls.push_back(std::move(call));
}

void init_modes(py::module_& module) {
  module.def("_autocast_state", [] {
    const AutocastState& state = autocast_state;
    return py::make_tuple(state.enabled, state.dtype, state.cache);
  });
  module.def("_set_autocast_state", [](bool enabled, DType dtype, bool cache) {
    autocast_state.enabled = enabled;
    autocast_state.dtype = dtype;
    autocast_state.cache = cache;
  });
  module.def("_autocast_nesting", [](int change) { return autocast_state.nesting += change; });
  module.def("_clear_autocast_cache", [] { cached_casts.clear(); });
  module.def("_profiler_start", [] {
    calls.clear();
    profiling.store(true);
  });
  module.def("_profiler_stop", &stop_profiling);
  module.def("_profiler_begin", &profile_begin);
  module.def("_profiler_end", &profile_end);
}

}  // namespace fastnn::python
