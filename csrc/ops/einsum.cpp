// Einstein's summation: operands are brought to labelled form, contracted from left to right by products of matrices.
#include <algorithm>
#include <array>
#include <string>

#include "ops/elementwise.h"
#include "ops/matmul.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

// Labels: the letters in PyTorch's order (A-Z, then a-z), then the dimensions behind an ellipsis.
constexpr int kLetters = 52;
constexpr int kLabels = kLetters + kMaxDims;
constexpr int kEllipsis = -1;

int label_of(char letter) { return letter >= 'a' ? letter - 'a' + 26 : letter - 'A'; }
char letter_of(int label) { return static_cast<char>(label < 26 ? 'A' + label : 'a' + label - 26); }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

using Labels = std::vector<int>;
bool has(const Labels& labels, int label) { return std::find(labels.begin(), labels.end(), label) != labels.end(); }

struct Labelled {
  Tensor tensor;
  Labels labels;

  std::int64_t size(int label) const {
    const auto at = std::find(labels.begin(), labels.end(), label);
    return at == labels.end() ? 1 : tensor.sizes()[static_cast<int>(at - labels.begin())];
  }
};

Labels parse_subscripts(std::string_view equation, std::size_t begin, std::size_t end) {
  Labels labels;
  for (std::size_t i = begin; i < end; ++i) {
    const char c = equation[i];
    if (c == ' ') continue;
    if (c == '.') {
      FASTNN_CHECK(equation.substr(i, 3) == "..." && i + 3 <= end, ErrorKind::Runtime, "einsum(): found '.' at index ",
                   i, " that is not part of any ellipsis");
      FASTNN_CHECK(!has(labels, kEllipsis), ErrorKind::Runtime, "einsum(): found '.' at index ", i,
                   " for which an ellipsis was already found");
      labels.push_back(kEllipsis);
      i += 2;
      continue;
    }
    FASTNN_CHECK(is_letter(c), ErrorKind::Runtime, "einsum(): invalid subscript given at index ", i,
                 " in the equation string, subscripts must be in [a-zA-Z]");
    labels.push_back(label_of(c));
  }
  return labels;
}

struct Equation {
  std::vector<Labels> inputs;
  Labels output;
  bool explicit_output = false;
};

Equation parse(std::string_view text) {
  Equation equation;
  const std::size_t arrow = text.find("->");
  const std::size_t left = arrow == std::string_view::npos ? text.size() : arrow;
  std::size_t begin = 0;
  while (true) {
    const std::size_t comma = std::min(text.find(',', begin), left);
    equation.inputs.push_back(parse_subscripts(text, begin, comma));
    if (comma == left) break;
    begin = comma + 1;
  }
  if (arrow != std::string_view::npos) {
    equation.explicit_output = true;
    equation.output = parse_subscripts(text, arrow + 2, text.size());
  }
  return equation;
}

// Replaces the ellipsis by labels of its own, aligned at the right.
Labels expand_ellipsis(const Labels& labels, int ndim, int most) {
  Labels result;
  for (const int label : labels) {
    if (label != kEllipsis) {
      result.push_back(label);
      continue;
    }
    const int hidden = ndim - static_cast<int>(labels.size()) + 1;
    for (int i = most - hidden; i < most; ++i) result.push_back(kLetters + i);
  }
  return result;
}

// A label that appears twice selects the diagonal.
Labelled diagonals(const Tensor& tensor, const Labels& labels, std::size_t operand) {
  Labelled result{tensor, {}};
  Dims sizes;
  Dims strides;
  for (int d = 0; d < tensor.ndim(); ++d) {
    const int label = labels[static_cast<std::size_t>(d)];
    const auto at = std::find(result.labels.begin(), result.labels.end(), label);
    if (at == result.labels.end()) {
      result.labels.push_back(label);
      sizes.push_back(tensor.sizes()[d]);
      strides.push_back(tensor.strides()[d]);
      continue;
    }
    const int first = static_cast<int>(at - result.labels.begin());
    FASTNN_CHECK(sizes[first] == tensor.sizes()[d], ErrorKind::Runtime, "einsum(): subscript ", letter_of(label),
                 " is repeated for operand ", operand, " but the sizes don't match, ", tensor.sizes()[d],
                 " != ", sizes[first]);
    strides[first] += tensor.strides()[d];
  }
  if (result.labels.size() != labels.size()) {
    result.tensor = as_strided(tensor, sizes, strides, tensor.storage_offset());
  }
  return result;
}

// Sums over the dimensions whose label is not kept; of size 1 they just go.
Labelled keep(const Labelled& from, const Labels& kept) {
  Dims summed = from.tensor.sizes();
  Dims sizes;
  Labelled result;
  for (int d = 0; d < from.tensor.ndim(); ++d) {
    const int label = from.labels[static_cast<std::size_t>(d)];
    if (has(kept, label)) {
      result.labels.push_back(label);
      sizes.push_back(summed[d]);
    } else {
      summed[d] = 1;
    }
  }
  result.tensor =
      result.labels.size() == from.labels.size() ? from.tensor : reshape(sum_to_size(from.tensor, summed), sizes);
  return result;
}

// The dimensions in the order of the labels given, a group for each list; missing labels become dimensions of size 1.
// Groups from `flatten_from` on are flattened to one dimension each.
Tensor arranged(const Labelled& from, const std::vector<Labels>& groups, std::size_t flatten_from) {
  Dims order;
  Dims sizes;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    std::int64_t flat = 1;
    for (const int label : groups[g]) {
      const auto at = std::find(from.labels.begin(), from.labels.end(), label);
      const std::int64_t size = from.size(label);
      if (at != from.labels.end()) order.push_back(at - from.labels.begin());
      if (g < flatten_from) sizes.push_back(size);
      flat *= size;
    }
    if (g >= flatten_from) sizes.push_back(flat);
  }
  return reshape(permute(from.tensor, order), sizes);
}

// Brings two operands to one dtype, as a product does; a product of matrices, with a label to sum, does not promote.
void promote_together(Labelled& a, Labelled& b, const Labels& needed) {
  const DType first = a.tensor.dtype();
  const DType second = b.tensor.dtype();
  if (first == second) return;
  for (const int label : a.labels) {
    const bool summed = !has(needed, label) && a.size(label) != 1 && b.size(label) != 1;
    FASTNN_CHECK(!summed, ErrorKind::Runtime, "einsum(): expected scalar type ", first, " but found ", second);
  }
  a.tensor = to_dtype(a.tensor, promote(first, second));
  b.tensor = to_dtype(b.tensor, promote(first, second));
}

Labelled contract(const Labelled& left, const Labelled& right, const Labels& needed) {
  Labels of_left;
  Labels of_right;
  // A dimension of size 1 is broadcast by the other operand's.
  for (const int label : left.labels) {
    const bool given_up = left.size(label) == 1 && has(right.labels, label) && right.size(label) != 1;
    if (!given_up && (has(needed, label) || has(right.labels, label))) of_left.push_back(label);
  }
  for (const int label : right.labels) {
    const bool given_up = right.size(label) == 1 && has(left.labels, label) && left.size(label) != 1;
    if (!given_up && (has(needed, label) || has(left.labels, label))) of_right.push_back(label);
  }
  Labels batch, summed, only_left, only_right;
  for (const int label : of_left) {
    (!has(of_right, label) ? has(needed, label) ? only_left : summed
     : has(needed, label)  ? batch
                           : summed)
        .push_back(label);
  }
  for (const int label : of_right) {
    if (!has(of_left, label) && has(needed, label)) only_right.push_back(label);
  }
  // What only one of them has and nobody needs is summed at once.
  const auto without_lonely = [&](const Labelled& operand, const Labels& labels, const Labels& other) {
    Labels kept;
    for (const int label : labels) {
      if (has(needed, label) || has(other, label)) kept.push_back(label);
    }
    return keep(operand, kept);
  };
  const Labelled a = without_lonely(left, of_left, of_right);
  const Labelled b = without_lonely(right, of_right, of_left);
  std::erase_if(summed, [&](int label) { return !has(a.labels, label) || !has(b.labels, label); });

  Labelled result;
  Dims sizes;
  for (const Labels* group : {&batch, &only_left, &only_right}) {
    for (const int label : *group) {
      result.labels.push_back(label);
      sizes.push_back(std::max(a.size(label) == 1 ? b.size(label) : a.size(label), std::int64_t{0}));
    }
  }
  if (summed.empty()) {
    result.tensor = mul(arranged(a, {batch, only_left, only_right}, 3), arranged(b, {batch, only_left, only_right}, 3));
    return result;
  }
  result.tensor = reshape(
      batched_product(arranged(a, {batch, only_left, summed}, 1), arranged(b, {batch, summed, only_right}, 1)), sizes);
  return result;
}

}  // namespace

Tensor einsum(std::string_view text, TensorList operands) {
  FASTNN_CHECK(!operands.empty(), ErrorKind::Runtime, "einsum(): must provide at least one operand");
  Equation equation = parse(text);
  FASTNN_CHECK(equation.inputs.size() >= operands.size(), ErrorKind::Runtime,
               "einsum(): more operands were provided than specified in the equation");
  FASTNN_CHECK(equation.inputs.size() <= operands.size(), ErrorKind::Runtime,
               "einsum(): fewer operands were provided than specified in the equation");

  int hidden = 0;
  bool ellipsis = false;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const Labels& labels = equation.inputs[i];
    const int ndim = operands[i].ndim();
    const int named = static_cast<int>(labels.size());
    if (has(labels, kEllipsis)) {
      ellipsis = true;
      FASTNN_CHECK(ndim >= named - 1, ErrorKind::Runtime, "einsum(): the number of subscripts in the equation (",
                   named - 1, ") is more than the number of dimensions (", ndim, ") for operand ", i);
      hidden = std::max(hidden, ndim - named + 1);
    } else {
      FASTNN_CHECK(
          ndim == named, ErrorKind::Runtime, "einsum(): the number of subscripts in the equation (", named,
          ndim > named ? ") does not match the number of dimensions (" : ") is more than the number of dimensions (",
          ndim, ") for operand ", i, ndim > named ? " and no ellipsis was given" : "");
    }
  }

  std::array<std::int64_t, kLabels> sizes{};
  std::array<int, kLabels> uses{};
  std::vector<Labelled> inputs;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const Labels labels = expand_ellipsis(equation.inputs[i], operands[i].ndim(), hidden);
    for (const int label : labels) ++uses[static_cast<std::size_t>(label)];
    inputs.push_back(diagonals(operands[i], labels, i));
    for (const int label : inputs.back().labels) {
      std::int64_t& known = sizes[static_cast<std::size_t>(label)];
      const std::int64_t size = inputs.back().size(label);
      const std::string name = label < kLetters ? std::string(1, letter_of(label)) : "...";
      FASTNN_CHECK(uses[static_cast<std::size_t>(label)] == 1 || known == size || known <= 1 || size == 1,
                   ErrorKind::Runtime, "einsum(): subscript ", name, " has size ", size, " for operand ", i,
                   " which does not broadcast with previously seen size ", known);
      if (known <= 1) known = size;
    }
  }

  Labels output;
  if (equation.explicit_output) {
    for (const int label : equation.output) {
      if (label == kEllipsis) {
        for (int h = 0; h < hidden; ++h) output.push_back(kLetters + h);
        continue;
      }
      FASTNN_CHECK(!has(output, label), ErrorKind::Runtime, "einsum(): output subscript ", letter_of(label),
                   " appears more than once in the output");
      FASTNN_CHECK(uses[static_cast<std::size_t>(label)] > 0, ErrorKind::Runtime, "einsum(): output subscript ",
                   letter_of(label), " does not appear in the equation for any input operand");
      output.push_back(label);
    }
  } else {
    for (int h = 0; ellipsis && h < hidden; ++h) output.push_back(kLetters + h);
    for (int label = 0; label < kLetters; ++label) {
      if (uses[static_cast<std::size_t>(label)] == 1) output.push_back(label);
    }
  }

  Labelled current = inputs[0];
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    Labels needed = output;
    for (std::size_t j = i + 1; j < inputs.size(); ++j) {
      needed.insert(needed.end(), inputs[j].labels.begin(), inputs[j].labels.end());
    }
    promote_together(current, inputs[i], needed);
    current = contract(current, inputs[i], needed);
  }
  // A sum of integers is int64, also over dimensions of size 1.
  const bool is_sum = inputs.size() == 1 && current.labels.size() > output.size();
  current = keep(current, output);
  if (is_sum && !current.tensor.is_differentiable()) current.tensor = to_dtype(current.tensor, DType::Int64);
  // A label of the ellipsis may be in no operand (all gave it up only if its size is 1).
  return arranged(current, {output}, 1);
}

}  // namespace fastnn
