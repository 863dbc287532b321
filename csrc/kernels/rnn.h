// Recurrent layers: one layer in one direction over a whole sequence, after the product of its inputs.
#pragma once

#include <cstdint>

#include "core/dims.h"
#include "core/view.h"

namespace fastnn {

// LSTM has the gates input, forget, cell, output; GRU reset, update, new.
enum class RnnMode : std::uint8_t { Tanh, Relu, Lstm, Gru };

constexpr std::int64_t rnn_gates(RnnMode mode) { return mode == RnnMode::Lstm ? 4 : mode == RnnMode::Gru ? 3 : 1; }

// The rows of all steps lie one after another; step t has counts[t] of them, never more than the step before, so that
// the sequences are sorted by falling length. Float or double, contiguous; views without data are absent.
struct RnnLayer {
  RnnMode mode;
  bool reverse;  // from the last step to the first
  IntSpan counts;
  View hidden;  // [batch, width]: the state before the first step
  View cell;    // the same, LSTM
  View weight;  // [gates * width, width]
  View bias;    // [gates * width], GRU: it is part of what the reset gate multiplies
  // [rows, gates * width]: the forward pass finds the products of the inputs and leaves the values of the gates.
  View gates;
  View output;  // [rows, width]
  // [rows, width]: the cells of LSTM; of GRU the product of the state for the new gate, with its bias.
  View memory;
};

struct RnnFinal {
  View hidden, cell;  // [batch, width]
};

struct RnnGradients {
  // Of the products of the inputs [rows, gates * width]; of those of the state where they differ, GRU.
  View gates, state_gates;
  View previous;      // [rows, width]: the state before each step
  View hidden, cell;  // [batch, width]: come in as the gradients of the final state, leave as those of the first
};

struct RnnKernels {
  void (*forward)(const RnnLayer& layer, const RnnFinal& final);
  // `gradient` is that of the output.
  void (*backward)(const RnnLayer& layer, const View& gradient, const RnnGradients& gradients);
};

}  // namespace fastnn
