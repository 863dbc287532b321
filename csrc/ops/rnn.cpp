// Recurrent networks. A layer in one direction is one operation: the product of all its inputs at once, the recurrence
// in one kernel, and in the backward pass the gradients of the weights as products over all steps.
#include <algorithm>

#include "autograd/engine.h"
#include "autograd/record.h"
#include "kernels/table.h"
#include "ops/algebra.h"
#include "ops/dropout.h"
#include "ops/elementwise.h"
#include "ops/factory.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/registry.h"
#include "ops/shape.h"

namespace fastnn {

namespace {

// What a layer in one direction computes from; biases are undefined in a network without them.
struct Operands {
  Tensor input;         // [rows, features], the rows of all steps one after another
  Tensor hidden, cell;  // [batch, width]; the cell in LSTM only
  Tensor weight_input, weight_state, bias_input, bias_state;
  Tensor projection;  // of the hidden state of LSTM, or undefined
};
constexpr std::size_t kOperands = 8;
using OperandList = std::array<const Tensor*, kOperands>;

OperandList listed(const Operands& o) {
  return {&o.input, &o.hidden, &o.cell, &o.weight_input, &o.weight_state, &o.bias_input, &o.bias_state, &o.projection};
}

struct LayerResult {
  Tensor output;        // [rows, width]
  Tensor hidden, cell;  // after the last step
};

struct Order {
  RnnMode mode;
  bool reverse;
  Dims counts;  // rows of each step
};

View view_or_none(const Tensor& tensor) { return tensor.defined() ? tensor.view() : View{}; }

// --- as a formula ----------------------------------------------------------------------------------------------------

// The state after one step, from the products of its input.
LayerResult step(RnnMode mode, const Tensor& products, const Tensor& hidden, const Tensor& cell, const Operands& o) {
  const Tensor state = linear(hidden, o.weight_state, o.bias_state);
  if (mode == RnnMode::Tanh) return {{}, tanh(products + state), {}};
  if (mode == RnnMode::Relu) return {{}, relu(products + state), {}};
  if (mode == RnnMode::Gru) {
    const std::vector<Tensor> p = chunk(products, 3, 1);
    const std::vector<Tensor> s = chunk(state, 3, 1);
    const Tensor fresh = tanh(p[2] + sigmoid(p[0] + s[0]) * s[2]);
    return {{}, fresh + sigmoid(p[1] + s[1]) * (hidden - fresh), {}};
  }
  const std::vector<Tensor> gates = chunk(products + state, 4, 1);
  const Tensor next = sigmoid(gates[1]) * cell + sigmoid(gates[0]) * tanh(gates[2]);
  const Tensor value = sigmoid(gates[3]) * tanh(next);
  return {{}, o.projection.defined() ? linear(value, o.projection, {}) : value, next};
}

// `changed` in the place of the first rows.
Tensor with_first_rows(const Tensor& changed, const Tensor& whole) {
  const std::int64_t count = changed.sizes()[0];
  if (count == whole.sizes()[0]) return changed;
  const Tensor parts[] = {changed, slice(whole, 0, count, {})};
  return cat(parts, 0);
}

LayerResult composed(const Order& order, const Operands& o) {
  const Tensor products = linear(o.input, o.weight_input, o.bias_input);
  const int steps = order.counts.size();
  std::vector<std::int64_t> first(static_cast<std::size_t>(steps), 0);
  for (int t = 1; t < steps; ++t)
    first[static_cast<std::size_t>(t)] = first[static_cast<std::size_t>(t - 1)] + order.counts[t - 1];
  std::vector<Tensor> outputs(static_cast<std::size_t>(steps));
  Tensor hidden = o.hidden;
  Tensor cell = o.cell;
  for (int place = 0; place < steps; ++place) {
    const int t = order.reverse ? steps - 1 - place : place;
    const std::int64_t count = order.counts[t];
    const auto running = [&](const Tensor& state) { return state.defined() ? narrow(state, 0, 0, count) : state; };
    const auto at = static_cast<std::size_t>(t);
    const LayerResult next = step(order.mode, narrow(products, 0, first[at], count), running(hidden), running(cell), o);
    outputs[at] = next.hidden;
    hidden = with_first_rows(next.hidden, hidden);
    if (cell.defined()) cell = with_first_rows(next.cell, cell);
  }
  return {cat(outputs, 0), hidden, cell};
}

// --- fused -----------------------------------------------------------------------------------------------------------

// What the kernel leaves for the backward pass.
struct Kept {
  Tensor gates, memory;
};

RnnLayer layer_of(const Order& order, const Operands& o, const Kept& kept, const Tensor& output) {
  const bool gru = order.mode == RnnMode::Gru;
  return {order.mode,
          order.reverse,
          order.counts,
          o.hidden.view(),
          view_or_none(o.cell),
          o.weight_state.view(),
          gru ? view_or_none(o.bias_state) : View{},
          kept.gates.view(),
          output.view(),
          view_or_none(kept.memory)};
}

// The operands as the kernel reads them.
Operands dense(const Operands& o) {
  Operands result = o;
  for (Tensor* t : {&result.hidden, &result.cell, &result.weight_state, &result.bias_state}) {
    if (t->defined()) *t = contiguous(*t);
  }
  return result;
}

// The derivative as a formula: that of the composition. Each operand is taken through an alias, so that its gradient
// is that of its own use here, even if it is made from another one.
void differentiable_gradients(const Order& order, const Operands& o, std::span<const Tensor> gradients, Slots& d) {
  Operands inner;
  const OperandList from = listed(o);
  const OperandList to = listed(inner);
  std::vector<Tensor> wanted;
  for (std::size_t i = 0; i < kOperands; ++i) {
    if (!from[i]->defined()) continue;
    *const_cast<Tensor*>(to[i]) = make_view_like(*from[i]);
    if (d.wants(i)) wanted.push_back(*to[i]);
  }
  const LayerResult result = composed(order, inner);
  std::vector<Tensor> roots;
  std::vector<Tensor> weights;
  const Tensor* outputs[] = {&result.output, &result.hidden, &result.cell};
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (!gradients[i].defined()) continue;
    roots.push_back(*outputs[i]);
    weights.push_back(gradients[i]);
  }
  const std::vector<Tensor> found =
      run_backward(roots, weights, {.retain_graph = true, .create_graph = true, .inputs = wanted, .capture = true});
  std::size_t next = 0;
  for (std::size_t i = 0; i < kOperands; ++i) {
    if (from[i]->defined() && d.wants(i)) d[i] = found[next++];
  }
}

Tensor gradient_or_zeros(const Tensor& gradient, const Tensor& like) {
  return gradient.defined() ? clone(gradient, true) : zeros(like.sizes(), like.dtype());
}

void fused_gradients(const Order& order, const Operands& given, const Kept& kept, const Tensor& output,
                     std::span<const Tensor> gradients, Slots& d) {
  const Operands o = dense(given);
  const bool lstm = order.mode == RnnMode::Lstm;
  const Tensor of_output = gradients[0].defined() ? contiguous(gradients[0]) : zeros(output.sizes(), output.dtype());
  const Tensor d_hidden = gradient_or_zeros(gradients[1], o.hidden);
  const Tensor d_cell = lstm ? gradient_or_zeros(gradients[2], o.cell) : Tensor();
  const Tensor d_gates = Tensor::empty(kept.gates.sizes(), output.dtype());
  const Tensor d_state = order.mode == RnnMode::Gru ? Tensor::empty(kept.gates.sizes(), output.dtype()) : d_gates;
  const Tensor previous = Tensor::empty(output.sizes(), output.dtype());
  if (LaunchCount::counting) ++LaunchCount::value;
  kernels().rnn->backward(layer_of(order, o, kept, output), of_output.view(),
                          {d_gates.view(), d_state.is_same(d_gates) ? View{} : d_state.view(), previous.view(),
                           d_hidden.view(), view_or_none(d_cell)});
  const std::int64_t rows[] = {0};
  if (d.wants(0)) d[0] = batched_product(d_gates, o.weight_input);
  if (d.wants(1)) d[1] = d_hidden;
  if (lstm && d.wants(2)) d[2] = d_cell;
  if (d.wants(3)) d[3] = batched_product(matrix_transpose(d_gates), o.input);
  if (d.wants(4)) d[4] = batched_product(matrix_transpose(d_state), previous);
  if (d.wants(5)) d[5] = sum(d_gates, IntSpan(rows));
  if (d.wants(6)) d[6] = sum(d_state, IntSpan(rows));
}

LayerResult fused(const Order& order, const Operands& given) {
  LayerResult result;
  Kept kept;
  const bool lstm = order.mode == RnnMode::Lstm;
  {
    const GradModeGuard off(false);
    const Operands o = dense(given);
    const bool gru = order.mode == RnnMode::Gru;
    const bool sums_biases = !gru && o.bias_input.defined() && o.bias_state.defined();
    const Tensor bias = sums_biases                     ? o.bias_input + o.bias_state
                        : gru || o.bias_input.defined() ? o.bias_input
                                                        : o.bias_state;
    kept.gates = linear(o.input, o.weight_input, bias);
    const Dims sizes{o.input.sizes()[0], o.hidden.sizes()[1]};
    const DType dtype = o.input.dtype();
    if (rnn_gates(order.mode) > 1) kept.memory = Tensor::empty(sizes, dtype);
    result.output = Tensor::empty(sizes, dtype);
    result.hidden = Tensor::empty(o.hidden.sizes(), dtype);
    if (lstm) result.cell = Tensor::empty(o.cell.sizes(), dtype);
    if (LaunchCount::counting) ++LaunchCount::value;
    kernels().rnn->forward(layer_of(order, o, kept, result.output), {result.hidden.view(), view_or_none(result.cell)});
  }
  const Operands& o = given;
  if (!needs_grad(o.input, o.hidden, o.cell, o.weight_input, o.weight_state, o.bias_input, o.bias_state)) return result;
  std::array<Saved, kOperands> saved;
  const OperandList list = listed(o);
  for (std::size_t i = 0; i < kOperands; ++i) saved[i] = save(*list[i]);
  auto derivative = [order, saved = std::move(saved), kept, output = save_output(result.output)](
                        std::span<const Tensor> gradients, Slots& d) {
    const Operands operands{saved[0].get(), saved[1].get(), saved[2].get(), saved[3].get(),
                            saved[4].get(), saved[5].get(), saved[6].get(), {}};
    if (grad_mode().enabled) {
      differentiable_gradients(order, operands, gradients, d);
    } else {
      fused_gradients(order, operands, kept, output.get(), gradients, d);
    }
  };
  const Inputs inputs = {&o.input, &o.hidden, &o.cell, &o.weight_input, &o.weight_state, &o.bias_input, &o.bias_state};
  if (lstm) {
    record_outputs("LstmLayerBackward0", {&result.output, &result.hidden, &result.cell}, inputs, std::move(derivative));
  } else {
    record_outputs("RnnLayerBackward0", {&result.output, &result.hidden}, inputs, std::move(derivative));
  }
  return result;
}

// 16-bit layers are computed as PyTorch computes them, rounding after each operation; projections are rare.
LayerResult run_layer(const Order& order, const Operands& o) {
  const bool compose = is_reduced_floating(o.input.dtype()) || o.projection.defined();
  return compose ? composed(order, o) : fused(order, o);
}

// --- networks
// ----------------------------------------------------------------------------------------------------------

void check_dtypes(const Tensor& input, TensorList tensors, const char* name) {
  for (const Tensor& tensor : tensors) {
    FASTNN_CHECK(tensor.dtype() == input.dtype(), ErrorKind::Runtime, "Input and ", name,
                 " tensors are not the same dtype, found input tensor with ", input.dtype(), " and ", name,
                 " tensor with ", tensor.dtype());
  }
}

struct Network {
  RnnMode mode;
  bool biases;
  std::int64_t layers;
  double dropout;
  bool train;
  bool bidirectional;
};

struct NetworkResult {
  Tensor output, hidden, cell;
};

// `input` [rows, features]; the states have the leading dimension [layers * directions].
NetworkResult run_network(const Network& network, const Tensor& input, const Dims& counts, TensorList states,
                          TensorList parameters) {
  const bool lstm = network.mode == RnnMode::Lstm;
  const std::int64_t directions = network.bidirectional ? 2 : 1;
  const auto cells = static_cast<std::size_t>(network.layers * directions);
  FASTNN_CHECK(!lstm || states.size() == 2, ErrorKind::Runtime, "lstm expects two hidden states");
  check_dtypes(input, states, "hidden");
  check_dtypes(input, parameters, "parameter");
  const bool projected =
      lstm && states[0].ndim() == 3 && states[1].ndim() == 3 && states[0].sizes()[2] != states[1].sizes()[2];
  const std::size_t each = 2u + (network.biases ? 2u : 0u) + (projected ? 1u : 0u);
  FASTNN_CHECK(parameters.size() == each * cells, ErrorKind::Runtime, "got an incorrect number of RNN parameters");
  for (const Tensor& state : states) {
    FASTNN_CHECK(state.ndim() == 3 && state.sizes()[0] == static_cast<std::int64_t>(cells) &&
                     state.sizes()[1] == (counts.empty() ? 0 : counts[0]),
                 ErrorKind::Runtime, "Expected hidden states of size (", cells, ", ", counts.empty() ? 0 : counts[0],
                 ", *), got ", state.sizes());
  }

  NetworkResult result{input, {}, {}};
  std::vector<Tensor> hidden;
  std::vector<Tensor> cell;
  std::size_t next = 0;
  for (std::int64_t layer = 0; layer < network.layers; ++layer) {
    std::vector<Tensor> outputs;
    for (std::int64_t direction = 0; direction < directions; ++direction) {
      Operands o;
      o.input = result.output;
      const std::int64_t at = layer * directions + direction;
      o.hidden = select(states[0], 0, at);
      if (lstm) o.cell = select(states[1], 0, at);
      o.weight_input = parameters[next++];
      o.weight_state = parameters[next++];
      if (network.biases) {
        o.bias_input = parameters[next++];
        o.bias_state = parameters[next++];
      }
      if (projected) o.projection = parameters[next++];
      const LayerResult done = run_layer({network.mode, direction == 1, counts}, o);
      outputs.push_back(done.output);
      hidden.push_back(done.hidden);
      cell.push_back(done.cell);
    }
    result.output = directions == 1 ? outputs[0] : cat(outputs, 1);
    if (network.train && network.dropout > 0 && layer + 1 < network.layers) {
      result.output = dropout(result.output, network.dropout, true);
    }
  }
  result.hidden = stack(hidden, 0);
  if (lstm) result.cell = stack(cell, 0);
  return result;
}

NetworkResult run_padded(const Network& network, const Tensor& input, bool batch_first, TensorList states,
                         TensorList parameters) {
  FASTNN_CHECK(input.ndim() == 3, ErrorKind::Runtime, "RNN: Expected input to be 3D, got ", input.ndim(), "D instead");
  const Tensor steps = batch_first ? transpose(input, 0, 1) : input;
  const std::int64_t length = steps.sizes()[0];
  const std::int64_t batch = steps.sizes()[1];
  FASTNN_CHECK(length > 0, ErrorKind::Runtime, "Expected sequence length to be larger than 0 in RNN");
  const Dims counts = Dims::filled(static_cast<int>(length), batch);
  NetworkResult result =
      run_network(network, reshape(steps, Dims{length * batch, steps.sizes()[2]}), counts, states, parameters);
  result.output = reshape(result.output, Dims{length, batch, result.output.sizes()[1]});
  if (batch_first) result.output = transpose(result.output, 0, 1);
  return result;
}

NetworkResult run_packed(const Network& network, const Tensor& data, const Tensor& batch_sizes, TensorList states,
                         TensorList parameters) {
  FASTNN_CHECK(batch_sizes.ndim() == 1 && batch_sizes.dtype() == DType::Int64 && batch_sizes.numel() > 0,
               ErrorKind::Runtime, "RNN: Expected batch_sizes to be a non-empty 1D int64 tensor, got ",
               batch_sizes.dtype(), " of shape ", batch_sizes.sizes());
  const Tensor sizes = contiguous(batch_sizes);
  const Dims counts(IntSpan(sizes.as<std::int64_t>(), static_cast<std::size_t>(sizes.numel())));
  std::int64_t rows = 0;
  for (int t = 0; t < counts.size(); ++t) {
    FASTNN_CHECK(counts[t] >= 0 && (t == 0 || counts[t] <= counts[t - 1]), ErrorKind::Runtime,
                 "RNN: batch_sizes must not increase, got ", counts);
    rows += counts[t];
  }
  FASTNN_CHECK(data.ndim() == 2 && data.sizes()[0] == rows, ErrorKind::Runtime, "RNN: Expected data of ", rows,
               " rows, the sum of batch_sizes, got ", data.sizes());
  return run_network(network, data, counts, states, parameters);
}

std::tuple<Tensor, Tensor, Tensor> lstm(const Tensor& input, TensorList hx, TensorList params, bool has_biases,
                                        std::int64_t num_layers, double dropout, bool train, bool bidirectional,
                                        bool batch_first) {
  const NetworkResult r = run_padded({RnnMode::Lstm, has_biases, num_layers, dropout, train, bidirectional}, input,
                                     batch_first, hx, params);
  return {r.output, r.hidden, r.cell};
}
std::tuple<Tensor, Tensor, Tensor> lstm_packed(const Tensor& data, const Tensor& batch_sizes, TensorList hx,
                                               TensorList params, bool has_biases, std::int64_t num_layers,
                                               double dropout, bool train, bool bidirectional) {
  const NetworkResult r =
      run_packed({RnnMode::Lstm, has_biases, num_layers, dropout, train, bidirectional}, data, batch_sizes, hx, params);
  return {r.output, r.hidden, r.cell};
}

template <RnnMode mode>
std::tuple<Tensor, Tensor> simple(const Tensor& input, const Tensor& hx, TensorList params, bool has_biases,
                                  std::int64_t num_layers, double dropout, bool train, bool bidirectional,
                                  bool batch_first) {
  const NetworkResult r = run_padded({mode, has_biases, num_layers, dropout, train, bidirectional}, input, batch_first,
                                     TensorList(&hx, 1), params);
  return {r.output, r.hidden};
}
template <RnnMode mode>
std::tuple<Tensor, Tensor> simple_packed(const Tensor& data, const Tensor& batch_sizes, const Tensor& hx,
                                         TensorList params, bool has_biases, std::int64_t num_layers, double dropout,
                                         bool train, bool bidirectional) {
  const NetworkResult r = run_packed({mode, has_biases, num_layers, dropout, train, bidirectional}, data, batch_sizes,
                                     TensorList(&hx, 1), params);
  return {r.output, r.hidden};
}

// --- one step
// ----------------------------------------------------------------------------------------------------------

void check_cell(const Operands& o) {
  const Tensor& input = o.input;
  FASTNN_CHECK(input.ndim() == 2, ErrorKind::Runtime, "RNN cell: Expected input to be 2D, got ", input.ndim(),
               "D instead");
  FASTNN_CHECK(o.weight_input.ndim() == 2 && input.sizes()[1] == o.weight_input.sizes()[1], ErrorKind::Runtime,
               "input has inconsistent input_size: got ", input.sizes()[1], " expected ", o.weight_input.size(1));
  const Tensor* states[] = {&o.hidden, &o.cell};
  for (int i = 0; i < 2; ++i) {
    const Tensor& state = *states[i];
    if (!state.defined()) continue;
    FASTNN_CHECK(state.ndim() == 2 && input.sizes()[0] == state.sizes()[0], ErrorKind::Runtime, "Input batch size ",
                 input.sizes()[0], " doesn't match hidden", i, " batch size ", state.size(0));
    FASTNN_CHECK(state.sizes()[1] == o.weight_state.size(1), ErrorKind::Runtime, "hidden", i,
                 " has inconsistent hidden_size: got ", state.sizes()[1], ", expected ", o.weight_state.size(1));
    check_dtypes(input, TensorList(&state, 1), "hidden");
  }
  for (const Tensor* parameter : {&o.weight_input, &o.weight_state, &o.bias_input, &o.bias_state}) {
    if (parameter->defined()) check_dtypes(input, TensorList(parameter, 1), "parameter");
  }
}

LayerResult run_cell(RnnMode mode, const Operands& o) {
  check_cell(o);
  return run_layer({mode, false, Dims{o.input.sizes()[0]}}, o);
}

std::tuple<Tensor, Tensor> lstm_cell(const Tensor& input, TensorList hx, const Tensor& w_ih, const Tensor& w_hh,
                                     const Tensor& b_ih, const Tensor& b_hh) {
  FASTNN_CHECK(hx.size() == 2, ErrorKind::Runtime, "lstm_cell expects two hidden states");
  const LayerResult r = run_cell(RnnMode::Lstm, {input, hx[0], hx[1], w_ih, w_hh, b_ih, b_hh, {}});
  return {r.hidden, r.cell};
}
template <RnnMode mode>
Tensor simple_cell(const Tensor& input, const Tensor& hx, const Tensor& w_ih, const Tensor& w_hh, const Tensor& b_ih,
                   const Tensor& b_hh) {
  return run_cell(mode, {input, hx, {}, w_ih, w_hh, b_ih, b_hh, {}}).hidden;
}

}  // namespace

FASTNN_OPS(rnn) {
  op("lstm(Tensor input, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, "
     "bool "
     "bidirectional, bool batch_first) -> (Tensor, Tensor, Tensor)",
     &lstm, op_fn);
  op("lstm(Tensor data, Tensor batch_sizes, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float "
     "dropout, bool train, bool bidirectional) -> (Tensor, Tensor, Tensor)",
     &lstm_packed, op_fn);
  op("gru(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool "
     "bidirectional, bool batch_first) -> (Tensor, Tensor)",
     &simple<RnnMode::Gru>, op_fn);
  op("gru(Tensor data, Tensor batch_sizes, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, "
     "bool train, bool bidirectional) -> (Tensor, Tensor)",
     &simple_packed<RnnMode::Gru>, op_fn);
  op("rnn_tanh(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, "
     "bool bidirectional, bool batch_first) -> (Tensor, Tensor)",
     &simple<RnnMode::Tanh>, op_fn);
  op("rnn_tanh(Tensor data, Tensor batch_sizes, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float "
     "dropout, bool train, bool bidirectional) -> (Tensor, Tensor)",
     &simple_packed<RnnMode::Tanh>, op_fn);
  op("rnn_relu(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, "
     "bool bidirectional, bool batch_first) -> (Tensor, Tensor)",
     &simple<RnnMode::Relu>, op_fn);
  op("rnn_relu(Tensor data, Tensor batch_sizes, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float "
     "dropout, bool train, bool bidirectional) -> (Tensor, Tensor)",
     &simple_packed<RnnMode::Relu>, op_fn);
  op("lstm_cell(Tensor input, Tensor[] hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> (Tensor, "
     "Tensor)",
     &lstm_cell, op_fn);
  op("gru_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor",
     &simple_cell<RnnMode::Gru>, op_fn);
  op("rnn_tanh_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor",
     &simple_cell<RnnMode::Tanh>, op_fn);
  op("rnn_relu_cell(Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None) -> Tensor",
     &simple_cell<RnnMode::Relu>, op_fn);
}

}  // namespace fastnn
