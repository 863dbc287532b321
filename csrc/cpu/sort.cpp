#include "kernels/sort.h"

#include <type_traits>

#include "core/parallel.h"
#include "core/scratch.h"
#include "cpu/reduce_plan.h"
#include "cpu/tables.h"

FASTNN_CPU_BEGIN

namespace {

constexpr std::int64_t kInsertion = 24;    // shorter runs are sorted by insertion
constexpr std::int64_t kRadix = 512;       // longer rows are sorted digit by digit
constexpr std::int64_t kGrain = 4 * 1024;  // elements below which a second thread does not pay
constexpr std::int64_t kHeapFraction = 8;  // topk keeps a heap when k is less than this part of a row

// --- keys: unsigned integers in the order of the values, equal for equal values, NaN last ---------------------------

template <int bytes>
struct UnsignedOf;
template <>
struct UnsignedOf<1> {
  using type = std::uint8_t;
};
template <>
struct UnsignedOf<2> {
  using type = std::uint16_t;
};
template <>
struct UnsignedOf<4> {
  using type = std::uint32_t;
};
template <>
struct UnsignedOf<8> {
  using type = std::uint64_t;
};
template <class T>
using Unsigned = typename UnsignedOf<static_cast<int>(sizeof(T))>::type;
template <class T>
inline constexpr bool kFloating = std::is_floating_point_v<T> || std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;

// Bits of infinity, above which (sign aside) are the NaNs.
template <class T>
constexpr Unsigned<T> infinity_bits() {
  if constexpr (std::is_same_v<T, Half>)
    return 0x7c00;
  else if constexpr (std::is_same_v<T, BFloat16>)
    return 0x7f80;
  else if constexpr (std::is_same_v<T, float>)
    return 0x7f800000;
  else
    return 0x7ff0000000000000;
}

template <class T>
Unsigned<T> key_of(T value) {
  using U = Unsigned<T>;
  U bits;
  std::memcpy(&bits, &value, sizeof(bits));
  constexpr U sign = static_cast<U>(U(1) << (8 * sizeof(U) - 1));
  if constexpr (kFloating<T>) {
    const U magnitude = static_cast<U>(bits & ~sign);
    if (magnitude > infinity_bits<T>()) return static_cast<U>(~U(0));
    if (magnitude == 0) return sign;  // both zeros
    return static_cast<U>(bits & sign ? ~bits : bits | sign);
  } else if constexpr (std::is_signed_v<T>) {
    return static_cast<U>(bits ^ sign);
  } else {
    return bits;
  }
}
template <class T>
inline constexpr Unsigned<T> kNanKey = static_cast<Unsigned<T>>(~Unsigned<T>(0));

template <class U>
struct Item {
  U key;
  std::uint32_t at;
};

// --- sorting items by key, stably -----------------------------------------------------------------------------------

template <class U>
void insertion_sort(Item<U>* items, std::int64_t n) {
  for (std::int64_t i = 1; i < n; ++i) {
    const Item<U> item = items[i];
    std::int64_t j = i;
    for (; j > 0 && items[j - 1].key > item.key; --j) items[j] = items[j - 1];
    items[j] = item;
  }
}

template <class U>
void merge_sort(Item<U>* items, Item<U>* other, std::int64_t n) {
  for (std::int64_t i = 0; i < n; i += kInsertion) insertion_sort(items + i, at_most(kInsertion, n - i));
  Item<U>* from = items;
  Item<U>* to = other;
  for (std::int64_t run = kInsertion; run < n; run *= 2) {
    for (std::int64_t begin = 0; begin < n; begin += 2 * run) {
      const std::int64_t middle = at_most(begin + run, n);
      const std::int64_t end = at_most(begin + 2 * run, n);
      std::int64_t a = begin;
      std::int64_t b = middle;
      for (std::int64_t k = begin; k < end; ++k) {
        const bool first = b >= end || (a < middle && from[a].key <= from[b].key);
        to[k] = first ? from[a++] : from[b++];
      }
    }
    Item<U>* t = from;
    from = to;
    to = t;
  }
  if (from != items) std::memcpy(items, from, static_cast<std::size_t>(n) * sizeof(Item<U>));
}

template <class U>
void radix_sort(Item<U>* items, Item<U>* other, std::int64_t n) {
  constexpr int kDigits = sizeof(U);
  std::uint32_t counts[kDigits][256] = {};
  for (std::int64_t i = 0; i < n; ++i) {
    for (int d = 0; d < kDigits; ++d) ++counts[d][(items[i].key >> (8 * d)) & 255];
  }
  Item<U>* from = items;
  Item<U>* to = other;
  for (int d = 0; d < kDigits; ++d) {
    std::uint32_t* count = counts[d];
    if (count[(from[0].key >> (8 * d)) & 255] == n) continue;  // all the same
    std::uint32_t next = 0;
    for (int v = 0; v < 256; ++v) {
      const std::uint32_t here = count[v];
      count[v] = next;
      next += here;
    }
    for (std::int64_t i = 0; i < n; ++i) to[count[(from[i].key >> (8 * d)) & 255]++] = from[i];
    Item<U>* t = from;
    from = to;
    to = t;
  }
  if (from != items) std::memcpy(items, from, static_cast<std::size_t>(n) * sizeof(Item<U>));
}

template <class U>
void sort_items(Item<U>* items, Item<U>* other, std::int64_t n) {
  if (n <= kInsertion) {
    insertion_sort(items, n);
  } else if (n <= kRadix) {
    merge_sort(items, other, n);
  } else {
    radix_sort(items, other, n);
  }
}

template <class T>
void make_items(Item<Unsigned<T>>* items, const T* row, std::int64_t n, bool descending) {
  using U = Unsigned<T>;
  const U flip = descending ? static_cast<U>(~U(0)) : U(0);
  for (std::int64_t i = 0; i < n; ++i)
    items[i] = {static_cast<U>(key_of(row[i]) ^ flip), static_cast<std::uint32_t>(i)};
}

template <class T>
void write_items(T* values, std::int64_t* indices, const T* row, const Item<Unsigned<T>>* items, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    values[i] = row[items[i].at];
    indices[i] = items[i].at;
  }
}

// Calls f.template operator()<T>() with the C++ type of `dtype`; in the namespace of the instruction set.
template <class F>
void visit(DType dtype, F f) {
  switch (dtype) {
    case DType::UInt8:
      return f.template operator()<std::uint8_t>();
    case DType::Int8:
      return f.template operator()<std::int8_t>();
    case DType::Int16:
      return f.template operator()<std::int16_t>();
    case DType::Int32:
      return f.template operator()<std::int32_t>();
    case DType::Int64:
      return f.template operator()<std::int64_t>();
    case DType::Float16:
      return f.template operator()<Half>();
    case DType::Float32:
      return f.template operator()<float>();
    case DType::Float64:
      return f.template operator()<double>();
    case DType::Bool:
      return f.template operator()<bool>();
    case DType::BFloat16:
      return f.template operator()<BFloat16>();
    default:
      fail_not_implemented("sort", dtype);
  }
}

// Calls f(row, items, other) for every row of `in`, with room for the items of a row twice.
template <class T, class F>
void each_row(const View& in, F f) {
  using Entry = Item<Unsigned<T>>;
  const std::int64_t n = in.sizes[1];
  parallel_for(in.sizes[0], at_least(kGrain / at_least(n, 1), 1), [&](std::int64_t begin, std::int64_t end) {
    const Scratch memory(2 * n * static_cast<std::int64_t>(sizeof(Entry)));
    for (std::int64_t r = begin; r < end; ++r) f(r, memory.as<Entry>(), memory.as<Entry>() + n);
  });
}

void sort(const View& values, const View& indices, const View& in, bool descending) {
  const std::int64_t n = in.sizes[1];
  visit(in.dtype, [&]<class T>() {
    each_row<T>(in, [&](std::int64_t r, auto* items, auto* other) {
      const T* row = static_cast<const T*>(in.data) + r * n;
      make_items(items, row, n, descending);
      sort_items(items, other, n);
      write_items(static_cast<T*>(values.data) + r * n, static_cast<std::int64_t*>(indices.data) + r * n, row, items,
                  n);
    });
  });
}

// --- selection ------------------------------------------------------------------------------------------------------

template <class U>
bool comes_before(const Item<U>& a, const Item<U>& b) {
  return a.key < b.key || (a.key == b.key && a.at < b.at);
}

// Moves the item at the root of a heap (the last in order on top) down to its place.
template <class U>
void sift_down(Item<U>* heap, std::int64_t n, std::int64_t i) {
  const Item<U> item = heap[i];
  while (true) {
    std::int64_t child = 2 * i + 1;
    if (child >= n) break;
    if (child + 1 < n && comes_before(heap[child], heap[child + 1])) ++child;
    if (!comes_before(item, heap[child])) break;
    heap[i] = heap[child];
    i = child;
  }
  heap[i] = item;
}

// The k first items of a row, in order.
template <class T>
void first_items(Item<Unsigned<T>>* items, Item<Unsigned<T>>* other, const T* row, std::int64_t n, std::int64_t k,
                 bool descending) {
  using U = Unsigned<T>;
  if (k == 0) return;
  if (k >= n / kHeapFraction) {
    make_items(items, row, n, descending);
    sort_items(items, other, n);
    return;
  }
  make_items(items, row, k, descending);
  for (std::int64_t i = k / 2 - 1; i >= 0; --i) sift_down(items, k, i);
  const U flip = descending ? static_cast<U>(~U(0)) : U(0);
  for (std::int64_t i = k; i < n; ++i) {
    const U key = static_cast<U>(key_of(row[i]) ^ flip);
    if (key >= items[0].key) continue;
    items[0] = {key, static_cast<std::uint32_t>(i)};
    sift_down(items, k, 0);
  }
  for (std::int64_t last = k - 1; last > 0; --last) {
    const Item<U> top = items[0];
    items[0] = items[last];
    items[last] = top;
    sift_down(items, last, 0);
  }
}

void topk(const View& values, const View& indices, const View& in, bool largest, bool) {
  const std::int64_t n = in.sizes[1];
  const std::int64_t k = values.sizes[1];
  visit(in.dtype, [&]<class T>() {
    each_row<T>(in, [&](std::int64_t r, auto* items, auto* other) {
      const T* row = static_cast<const T*>(in.data) + r * n;
      first_items(items, other, row, n, k, largest);
      write_items(static_cast<T*>(values.data) + r * k, static_cast<std::int64_t*>(indices.data) + r * k, row, items,
                  k);
    });
  });
}

void kth(const View& values, const View& indices, const View& in, std::int64_t k, bool median, bool skip_nan) {
  const std::int64_t n = in.sizes[1];
  visit(in.dtype, [&]<class T>() {
    each_row<T>(in, [&](std::int64_t r, auto* items, auto* other) {
      const T* row = static_cast<const T*>(in.data) + r * n;
      make_items(items, row, n, false);
      sort_items(items, other, n);
      std::int64_t at = k;
      if (median) {
        std::int64_t numbers = n;
        if constexpr (kFloating<T>) {
          while (numbers > 0 && items[numbers - 1].key == kNanKey<T>) --numbers;
        }
        const bool has_nan = numbers < n;
        at = !has_nan ? (n - 1) / 2 : skip_nan && numbers > 0 ? (numbers - 1) / 2 : numbers;
      }
      write_items(static_cast<T*>(values.data) + r, static_cast<std::int64_t*>(indices.data) + r, row, items + at, 1);
    });
  });
}

void mode(const View& values, const View& indices, const View& in) {
  const std::int64_t n = in.sizes[1];
  visit(in.dtype, [&]<class T>() {
    each_row<T>(in, [&](std::int64_t r, auto* items, auto* other) {
      const T* row = static_cast<const T*>(in.data) + r * n;
      make_items(items, row, n, false);
      sort_items(items, other, n);
      std::int64_t best = 0;
      std::int64_t longest = 0;
      for (std::int64_t begin = 0; begin < n;) {
        std::int64_t end = begin + 1;
        // No NaN is equal to another.
        const bool is_nan = kFloating<T> && items[begin].key == kNanKey<T>;
        while (!is_nan && end < n && items[end].key == items[begin].key) ++end;
        if (end - begin > longest) {
          longest = end - begin;
          best = end - 1;
        }
        begin = end;
      }
      write_items(static_cast<T*>(values.data) + r, static_cast<std::int64_t*>(indices.data) + r, row, items + best, 1);
    });
  });
}

// --- runs, searching, counting
// ------------------------------------------------------------------------------------------

std::int64_t runs(const View& starts, const View& run_of, const View& in) {
  const std::int64_t n = in.sizes[0];
  auto* start = static_cast<std::int64_t*>(starts.data);
  auto* run = static_cast<std::int64_t*>(run_of.data);
  std::int64_t count = 0;
  visit(in.dtype, [&]<class T>() {
    const T* x = static_cast<const T*>(in.data);
    for (std::int64_t i = 0; i < n; ++i) {
      if (i == 0 || !(x[i] == x[i - 1])) start[count++] = i;
      if (run) run[i] = count - 1;
    }
  });
  return count;
}

void searchsorted(const View& out, const View& sorted, const View& values, const View& sorter, bool right) {
  const std::int64_t n = sorted.sizes[1];
  const std::int64_t m = values.sizes[1];
  const bool one_row = sorted.sizes[0] == 1;
  auto* to = static_cast<std::int64_t*>(out.data);
  visit(values.dtype, [&]<class T>() {
    parallel_for(values.sizes[0] * m, kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t offset = one_row ? 0 : i / m * n;
        const T* row = static_cast<const T*>(sorted.data) + offset;
        const auto* order = sorter.data ? static_cast<const std::int64_t*>(sorter.data) + offset : nullptr;
        const T value = static_cast<const T*>(values.data)[i];
        std::int64_t low = 0;
        std::int64_t high = n;
        while (low < high) {
          const std::int64_t middle = low + (high - low) / 2;
          const T here = row[order ? order[middle] : middle];
          const bool after = right ? !(here > value) : !(here >= value);
          if (after) {
            low = middle + 1;
          } else {
            high = middle;
          }
        }
        to[i] = low;
      }
    });
  });
}

void bincount(const View& counts, const View& in, const View& weights) {
  const std::int64_t n = in.sizes[0];
  const auto* x = static_cast<const std::int64_t*>(in.data);
  visit(counts.dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, std::int64_t>) {
      auto* to = static_cast<T*>(counts.data);
      const auto* w = static_cast<const T*>(weights.data);
      for (std::int64_t i = 0; i < n; ++i) to[x[i]] += w ? w[i] : T(1);
    }
  });
}

void histogram(const View& counts, const View& in, double low, double high) {
  const std::int64_t n = in.sizes[0];
  const std::int64_t bins = counts.sizes[0];
  visit(in.dtype, [&]<class T>() {
    if constexpr (std::is_floating_point_v<T>) {
      const auto* x = static_cast<const T*>(in.data);
      auto* to = static_cast<T*>(counts.data);
      const T first = static_cast<T>(low);
      const T last = static_cast<T>(high);
      for (std::int64_t i = 0; i < n; ++i) {
        if (!(x[i] >= first && x[i] <= last)) continue;
        const auto bin = static_cast<std::int64_t>((x[i] - first) * static_cast<T>(bins) / (last - first));
        to[bin < bins ? bin : bins - 1] += T(1);
      }
    }
  });
}

}  // namespace

constinit const SortKernels sort_kernels = {
    .sort = &sort,
    .topk = &topk,
    .kth = &kth,
    .mode = &mode,
    .runs = &runs,
    .searchsorted = &searchsorted,
    .bincount = &bincount,
    .histogram = &histogram,
};

FASTNN_CPU_END
