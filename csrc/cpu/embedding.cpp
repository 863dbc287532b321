#include "kernels/embedding.h"

#include <cmath>
#include <cstring>
#include <type_traits>

#include "core/parallel.h"
#include "core/scratch.h"
#include "cpu/loops.h"
#include "cpu/rows.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kGrain = 32 * 1024;  // elements moved below which a second thread does not pay
constexpr std::int64_t kColumns = 64;       // narrowest strip of a table that a thread takes

template <class T>
using ComputeOf = std::conditional_t<std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>, float, T>;

std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
std::int64_t grain_for(std::int64_t elements) { return larger(1, kGrain / (elements + 1)); }

bool find_outside(const View& indices, std::int64_t rows, std::int64_t* value) {
  const auto* index = indices.as<std::int64_t>();
  const std::int64_t count = indices.numel();
  std::uint64_t highest = 0;  // of the indices as unsigned: a negative one is very high
  for (std::int64_t i = 0; i < count; ++i) {
    const auto unsigned_index = static_cast<std::uint64_t>(index[i]);
    highest = unsigned_index > highest ? unsigned_index : highest;
  }
  if (count == 0 || highest < static_cast<std::uint64_t>(rows)) return false;
  *value = static_cast<std::int64_t>(highest);
  return true;
}

// How often each row is chosen.
void count_rows(std::int64_t* counts, std::int64_t rows, const View& indices) {
  const auto* index = indices.as<std::int64_t>();
  for (std::int64_t i = 0; i < rows; ++i) counts[i] = 0;
  for (std::int64_t i = 0; i < indices.numel(); ++i) ++counts[index[i]];
}

template <class F>
void with_storage(const char* op, DType dtype, F&& f) {
  switch (dtype) {
    case DType::Float32:
      return f(float{});
    case DType::Float64:
      return f(double{});
    case DType::Float16:
      return f(Half{});
    case DType::BFloat16:
      return f(BFloat16{});
    default:
      fail_not_implemented(op, dtype);
  }
}

void gather(const View& out, const View& table, const View& indices, const EmbeddingOptions& options) {
  const std::int64_t rows = table.sizes[0];
  const std::int64_t width = table.sizes[1];
  const std::int64_t bytes = width * itemsize(table.dtype);
  const auto* index = indices.as<std::int64_t>();
  auto* to = static_cast<char*>(out.data);
  const auto* from = static_cast<const char*>(table.data);
  const Scratch scratch(options.by_frequency ? rows * static_cast<std::int64_t>(sizeof(std::int64_t)) : 0);
  auto* counts = scratch.as<std::int64_t>();
  if (options.by_frequency) count_rows(counts, rows, indices);
  parallel_for(indices.numel(), grain_for(width), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (index[i] == options.padding) {
        std::memset(to + i * bytes, 0, static_cast<std::size_t>(bytes));
        continue;
      }
      std::memcpy(to + i * bytes, from + index[i] * bytes, static_cast<std::size_t>(bytes));
      if (!options.by_frequency || counts[index[i]] == 1) continue;
      with_storage("embedding", table.dtype, [&](auto storage) {
        using S = decltype(storage);
        using T = ComputeOf<S>;
        S* row = reinterpret_cast<S*>(to + i * bytes);
        const T scale = T(1) / static_cast<T>(counts[index[i]]);
        for (std::int64_t j = 0; j < width; ++j) row[j] = S(static_cast<T>(row[j]) * scale);
      });
    }
  });
}

template <class T, class S>
void add_row(T* to, const S* from, T scale, std::int64_t n) {
  if (scale == T(1)) {
    FASTNN_IVDEP
    for (std::int64_t j = 0; j < n; ++j) to[j] += static_cast<T>(from[j]);
    return;
  }
  FASTNN_IVDEP
  for (std::int64_t j = 0; j < n; ++j) to[j] += scale * static_cast<T>(from[j]);
}

// The places of each row's index, linked in order: first[row], then next[place], until -1.
void link_places(std::int64_t* first, std::int64_t* next, std::int64_t rows, const View& indices) {
  const auto* index = indices.as<std::int64_t>();
  for (std::int64_t i = 0; i < rows; ++i) first[i] = -1;
  for (std::int64_t i = indices.numel() - 1; i >= 0; --i) {
    next[i] = first[index[i]];
    first[index[i]] = i;
  }
}

// Each row's values in one go, so that a 16-bit table is rounded once.
template <class S>
void accumulate_by_row(const View& table, const View& values, const View& indices, const std::int64_t* counts,
                       std::int64_t padding) {
  using T = ComputeOf<S>;
  const std::int64_t rows = table.sizes[0];
  const std::int64_t width = table.sizes[1];
  const std::int64_t count = indices.numel();
  const Scratch links((rows + count) * static_cast<std::int64_t>(sizeof(std::int64_t)));
  auto* first = links.as<std::int64_t>();
  std::int64_t* next = first + rows;
  link_places(first, next, rows, indices);
  parallel_for(rows, grain_for(width), [&](std::int64_t begin, std::int64_t end) {
    const Scratch scratch(width * static_cast<std::int64_t>(sizeof(T)));
    T* sums = scratch.as<T>();
    for (std::int64_t row = begin; row < end; ++row) {
      S* target = table.as<S>() + row * width;
      if (first[row] < 0 || row == padding) {
        std::memset(static_cast<void*>(target), 0, static_cast<std::size_t>(width) * sizeof(S));
        continue;
      }
      for (std::int64_t j = 0; j < width; ++j) sums[j] = T(0);
      const T scale = counts ? T(1) / static_cast<T>(counts[row]) : T(1);
      for (std::int64_t i = first[row]; i >= 0; i = next[i]) add_row(sums, values.as<S>() + i * width, scale, width);
      for (std::int64_t j = 0; j < width; ++j) target[j] = S(sums[j]);
    }
  });
}

// Each thread owns a strip of columns and walks all indices: no two threads write the same element.
template <class T>
void accumulate_by_column(const View& table, const View& values, const View& indices, const std::int64_t* counts,
                          std::int64_t padding) {
  const std::int64_t rows = table.sizes[0];
  const std::int64_t width = table.sizes[1];
  const std::int64_t count = indices.numel();
  const auto* index = indices.as<std::int64_t>();
  T* const target = table.as<T>();
  parallel_for(rows, grain_for(width), [&](std::int64_t begin, std::int64_t end) {
    std::memset(target + begin * width, 0, static_cast<std::size_t>((end - begin) * width) * sizeof(T));
  });
  const std::int64_t grain = larger(kColumns, kGrain / larger(count, 1));
  parallel_for(width, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t row = index[i];
      if (row == padding) continue;
      add_row(target + row * width + begin, values.as<T>() + i * width + begin,
              counts ? T(1) / static_cast<T>(counts[row]) : T(1), end - begin);
    }
  });
}

void accumulate(const View& table, const View& values, const View& indices, const EmbeddingOptions& options) {
  const std::int64_t rows = table.sizes[0];
  const Scratch scratch(options.by_frequency ? rows * static_cast<std::int64_t>(sizeof(std::int64_t)) : 0);
  auto* counts = scratch.as<std::int64_t>();
  if (options.by_frequency) count_rows(counts, rows, indices);
  with_storage("embedding_backward", table.dtype, [&](auto storage) {
    using S = decltype(storage);
    if constexpr (std::is_same_v<S, ComputeOf<S>>) {
      if (table.sizes[1] >= 2 * kColumns)
        return accumulate_by_column<S>(table, values, indices, counts, options.padding);
    }
    accumulate_by_row<S>(table, values, indices, counts, options.padding);
  });
}

template <class S>
void renormalize_rows(const View& table, const View& indices, double most, double norm_type) {
  const std::int64_t rows = table.sizes[0];
  const std::int64_t width = table.sizes[1];
  const auto* index = indices.as<std::int64_t>();
  const Scratch scratch(rows);
  bool* done = scratch.as<bool>();
  for (std::int64_t i = 0; i < rows; ++i) done[i] = false;
  for (std::int64_t i = 0; i < indices.numel(); ++i) {
    if (done[index[i]]) continue;
    done[index[i]] = true;
    S* row = table.as<S>() + index[i] * width;
    double norm = 0;
    for (std::int64_t j = 0; j < width; ++j) {
      const double size = std::fabs(static_cast<double>(row[j]));
      if (std::isinf(norm_type)) {
        norm = size > norm ? size : norm;
      } else {
        norm += norm_type == 2 ? size * size : std::pow(size, norm_type);
      }
    }
    if (!std::isinf(norm_type)) norm = norm_type == 2 ? std::sqrt(norm) : std::pow(norm, 1 / norm_type);
    if (norm <= most) continue;
    constexpr double kTiny = 1e-7;
    const auto scale = static_cast<ComputeOf<S>>(most / (norm + kTiny));
    for (std::int64_t j = 0; j < width; ++j) row[j] = S(static_cast<ComputeOf<S>>(row[j]) * scale);
  }
}

void renormalize(const View& table, const View& indices, double most, double norm_type) {
  with_storage("embedding_renorm", table.dtype,
               [&](auto storage) { renormalize_rows<decltype(storage)>(table, indices, most, norm_type); });
}

// --- bags ------------------------------------------------------------------------------------------------------------

// Calls f(place, row) for each index of a bag that counts.
template <class F>
void for_bag(const BagGeometry& s, const View& indices, std::int64_t bag, F&& f) {
  const auto* index = indices.as<std::int64_t>();
  for (std::int64_t i = s.begin[bag]; i < s.begin[bag + 1]; ++i) {
    if (index[i] != s.padding) f(i, index[i]);
  }
}
std::int64_t visited_per_bag(const View& indices, const BagGeometry& s, std::int64_t width) {
  return width * (indices.numel() / larger(s.bags, 1) + 1);
}

template <class S>
void sum_bags(const View& out, const View& table, const View& indices, const View* factors, const BagGeometry& s) {
  using T = ComputeOf<S>;
  constexpr bool direct = std::is_same_v<S, T>;
  const std::int64_t width = table.sizes[1];
  const T* factor = factors ? factors->as<T>() : nullptr;
  parallel_for(s.bags, grain_for(visited_per_bag(indices, s, width)), [&](std::int64_t begin, std::int64_t end) {
    const Scratch scratch(direct ? 0 : width * static_cast<std::int64_t>(sizeof(T)));
    for (std::int64_t bag = begin; bag < end; ++bag) {
      S* const target = out.as<S>() + bag * width;
      T* sums = scratch.as<T>();
      if constexpr (direct) sums = target;
      for (std::int64_t j = 0; j < width; ++j) sums[j] = T(0);
      for_bag(s, indices, bag, [&](std::int64_t i, std::int64_t row) {
        add_row(sums, table.as<S>() + row * width, factor ? factor[i] : T(1), width);
      });
      if constexpr (!direct) {
        for (std::int64_t j = 0; j < width; ++j) target[j] = S(sums[j]);
      }
    }
  });
}

// Each task owns some rows of the table, as accumulate_by_row does.
template <class S>
void spread_bags(const View& table, const View& values, const View& indices, const View* factors,
                 const BagGeometry& s) {
  using T = ComputeOf<S>;
  const std::int64_t rows = table.sizes[0];
  const std::int64_t width = table.sizes[1];
  const std::int64_t count = indices.numel();
  const T* factor = factors ? factors->as<T>() : nullptr;
  const Scratch links((rows + 2 * count) * static_cast<std::int64_t>(sizeof(std::int64_t)));
  auto* first = links.as<std::int64_t>();
  std::int64_t* next = first + rows;
  std::int64_t* bag_of = next + count;
  link_places(first, next, rows, indices);
  for (std::int64_t i = 0; i < count; ++i) bag_of[i] = -1;
  for (std::int64_t bag = 0; bag < s.bags; ++bag) {
    for_bag(s, indices, bag, [&](std::int64_t i, std::int64_t) { bag_of[i] = bag; });
  }
  parallel_for(rows, grain_for(width), [&](std::int64_t begin, std::int64_t end) {
    const Scratch scratch(width * static_cast<std::int64_t>(sizeof(T)));
    T* sums = scratch.as<T>();
    for (std::int64_t row = begin; row < end; ++row) {
      S* target = table.as<S>() + row * width;
      if (first[row] < 0) {
        std::memset(static_cast<void*>(target), 0, static_cast<std::size_t>(width) * sizeof(S));
        continue;
      }
      for (std::int64_t j = 0; j < width; ++j) sums[j] = T(0);
      for (std::int64_t i = first[row]; i >= 0; i = next[i]) {
        if (bag_of[i] >= 0) add_row(sums, values.as<S>() + bag_of[i] * width, factor ? factor[i] : T(1), width);
      }
      for (std::int64_t j = 0; j < width; ++j) target[j] = S(sums[j]);
    }
  });
}

template <class S>
void dot_bags(const View& out, const View& values, const View& table, const View& indices, const BagGeometry& s) {
  using T = ComputeOf<S>;
  const std::int64_t width = table.sizes[1];
  T* const to = out.as<T>();
  for (std::int64_t i = 0; i < indices.numel(); ++i) to[i] = T(0);
  parallel_for(s.bags, grain_for(visited_per_bag(indices, s, width)), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t bag = begin; bag < end; ++bag) {
      const S* const value = values.as<S>() + bag * width;
      for_bag(s, indices, bag, [&](std::int64_t i, std::int64_t row) {
        const S* const entry = table.as<S>() + row * width;
        double total[1];
        row_sums<T>(width, total, [&](std::int64_t j, std::int64_t lanes, Vec<T>(&terms)[1]) {
          terms[0] = load_some<T>(value + j, lanes) * load_some<T>(entry + j, lanes);
        });
        to[i] = static_cast<T>(total[0]);
      });
    }
  });
}

template <class S>
void largest_of_bags(const View& out, const View& table, const View& indices, const BagGeometry& s) {
  using T = ComputeOf<S>;
  const std::int64_t width = table.sizes[1];
  const S* const values = table.as<S>();
  parallel_for(s.bags, grain_for(visited_per_bag(indices, s, width)), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t bag = begin; bag < end; ++bag) {
      std::int64_t* const best = out.as<std::int64_t>() + bag * width;
      for (std::int64_t j = 0; j < width; ++j) best[j] = -1;
      for_bag(s, indices, bag, [&](std::int64_t, std::int64_t row) {
        for (std::int64_t j = 0; j < width; ++j) {
          if (best[j] < 0 || static_cast<T>(values[row * width + j]) > static_cast<T>(values[best[j] * width + j])) {
            best[j] = row;
          }
        }
      });
    }
  });
}

void bag_sums(const View& out, const View& table, const View& indices, const View* factors, const BagGeometry& s) {
  with_storage("embedding_bag", table.dtype,
               [&](auto storage) { sum_bags<decltype(storage)>(out, table, indices, factors, s); });
}
void bag_spread(const View& table, const View& values, const View& indices, const View* factors, const BagGeometry& s) {
  with_storage("embedding_bag", table.dtype,
               [&](auto storage) { spread_bags<decltype(storage)>(table, values, indices, factors, s); });
}
void bag_dots(const View& out, const View& values, const View& table, const View& indices, const BagGeometry& s) {
  with_storage("embedding_bag", table.dtype,
               [&](auto storage) { dot_bags<decltype(storage)>(out, values, table, indices, s); });
}
void bag_largest(const View& out, const View& table, const View& indices, const BagGeometry& s) {
  with_storage("embedding_bag", table.dtype,
               [&](auto storage) { largest_of_bags<decltype(storage)>(out, table, indices, s); });
}

void one_hot(const View& out, const View& indices) {
  const std::int64_t count = indices.numel();
  const std::int64_t width = count == 0 ? 0 : out.numel() / count;
  const auto* index = indices.as<std::int64_t>();
  auto* to = out.as<std::int64_t>();
  parallel_for(count, grain_for(width), [&](std::int64_t begin, std::int64_t end) {
    std::memset(to + begin * width, 0, static_cast<std::size_t>((end - begin) * width) * sizeof(std::int64_t));
    for (std::int64_t i = begin; i < end; ++i) to[i * width + index[i]] = 1;
  });
}

}  // namespace

constinit const EmbeddingKernels embedding_kernels = {
    .find_outside = &find_outside,
    .gather = &gather,
    .accumulate = &accumulate,
    .bag_sums = &bag_sums,
    .bag_spread = &bag_spread,
    .bag_dots = &bag_dots,
    .bag_largest = &bag_largest,
    .renormalize = &renormalize,
    .one_hot = &one_hot,
};

FASTNN_CPU_END
