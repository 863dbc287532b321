// Reductions over some dimensions or all: `dim` None or empty means all, as in PyTorch.
#pragma once

#include <optional>
#include <string_view>
#include <tuple>

#include "core/tensor.h"

namespace fastnn {

using OptionalDims = std::optional<IntSpan>;
using OptionalDType = std::optional<DType>;

Tensor sum(const Tensor& input, OptionalDims dim = {}, bool keepdim = false, OptionalDType dtype = {});
Tensor nansum(const Tensor& input, OptionalDims dim = {}, bool keepdim = false, OptionalDType dtype = {});
Tensor mean(const Tensor& input, OptionalDims dim = {}, bool keepdim = false, OptionalDType dtype = {});
Tensor nanmean(const Tensor& input, OptionalDims dim = {}, bool keepdim = false, OptionalDType dtype = {});
Tensor prod(const Tensor& input, std::optional<std::int64_t> dim = {}, bool keepdim = false, OptionalDType dtype = {});
Tensor amax(const Tensor& input, OptionalDims dim = {}, bool keepdim = false);
Tensor amin(const Tensor& input, OptionalDims dim = {}, bool keepdim = false);
std::tuple<Tensor, Tensor> aminmax(const Tensor& input, std::optional<std::int64_t> dim, bool keepdim);
// Values and indices of the extreme elements along a dimension.
std::tuple<Tensor, Tensor> max(const Tensor& input, std::int64_t dim, bool keepdim = false);
std::tuple<Tensor, Tensor> min(const Tensor& input, std::int64_t dim, bool keepdim = false);
Tensor argmax(const Tensor& input, std::optional<std::int64_t> dim = {}, bool keepdim = false);
Tensor argmin(const Tensor& input, std::optional<std::int64_t> dim = {}, bool keepdim = false);
Tensor any(const Tensor& input, OptionalDims dim = {}, bool keepdim = false);
Tensor all(const Tensor& input, OptionalDims dim = {}, bool keepdim = false);
Tensor count_nonzero(const Tensor& input, OptionalDims dim = {});

// Divided by the number of elements minus `correction`.
Tensor var(const Tensor& input, OptionalDims dim = {}, double correction = 1, bool keepdim = false);
Tensor std_dev(const Tensor& input, OptionalDims dim = {}, double correction = 1, bool keepdim = false);
std::tuple<Tensor, Tensor> var_mean(const Tensor& input, OptionalDims dim = {}, double correction = 1,
                                    bool keepdim = false);

// (sum |x|^ord)^(1/ord); the largest and smallest magnitude for plus and minus infinity, the number of non-zeros for 0.
Tensor vector_norm(const Tensor& input, double ord = 2, OptionalDims dim = {}, bool keepdim = false,
                   OptionalDType dtype = {});
Tensor trace(const Tensor& input);
// Whether an element is 0 (or false).
bool has_zero(const Tensor& input);

}  // namespace fastnn
