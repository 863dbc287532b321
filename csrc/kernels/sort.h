// Order: sorting along the last dimension, searching in sorted rows, counting.
#pragma once

#include "core/view.h"

namespace fastnn {

// All views are contiguous. NaN is greater than every number.
struct SortKernels {
  // Each row of `in` [rows, n] in order, stable, with the positions that the elements had (int64).
  void (*sort)(const View& values, const View& indices, const View& in, bool descending);
  // The k first of that order, sorted or in any order; k is the size of the last dimension of the outputs.
  void (*topk)(const View& values, const View& indices, const View& in, bool largest, bool sorted);
  // The k-th smallest (from 0) of each row and its position. With `median` k is that of the lower median, or of the
  // first NaN if there is one, or the lower median of what is not NaN if also `skip_nan`.
  void (*kth)(const View& values, const View& indices, const View& in, std::int64_t k, bool median, bool skip_nan);
  // The most frequent value of each row, the smallest of several, and the last position at which it is.
  void (*mode)(const View& values, const View& indices, const View& in);
  // Runs of equal elements in the flat `in`: the position of each run's first element into `starts` (int64, room for
  // all), and the run of each element into `runs` (int64, may have no data). Returns how many runs there are.
  std::int64_t (*runs)(const View& starts, const View& runs, const View& in);
  // Position in the row of `sorted` [rows, n] (or its only row) at which each value of `values` [rows, m] belongs:
  // after equal elements if `right`. Both have one dtype; `sorter` (int64, may have no data) gives the order of
  // `sorted`.
  void (*searchsorted)(const View& out, const View& sorted, const View& values, const View& sorter, bool right);
  // Adds weights (may have no data: ones) to the counts of `bins` at the indices in `in`.
  void (*bincount)(const View& counts, const View& in, const View& weights);
  // Counts of a float or double `in` in equal bins over [low, high]; what is outside counts nowhere.
  void (*histogram)(const View& counts, const View& in, double low, double high);
};

}  // namespace fastnn
