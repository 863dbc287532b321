"""Recurrent networks, their cells and packed sequences, against torch: the same weights for the same seed."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from nn_parity import array, assert_same, check_same, check_same_error, plain
from op_parity import check, samples

import fastnn

KINDS = ("RNN", "LSTM", "GRU")
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"num_layers": 3, "bidirectional": True},
    {"bias": False, "batch_first": True},
    {"num_layers": 2, "bidirectional": True, "batch_first": True, "bias": False},
)


def flat(state: Any) -> list[Any]:
    return list(state) if isinstance(state, tuple) else [state]


def weighted(T: Any, tensors: list[Any]) -> Any:
    """A loss in which every element counts differently."""
    total = 0.0
    for tensor in tensors:
        weights = T.arange(tensor.numel(), dtype=tensor.dtype).cos().reshape(tensor.shape)
        total = total + (tensor * weights).sum()
    return total


def states(T: Any, net: Any, batch: int | None, dtype: Any) -> Any:
    rows = net.num_layers * (2 if net.bidirectional else 1)
    middle = () if batch is None else (batch,)

    def values(size: int, seed: int) -> Any:
        return T.tensor(array(rows, *middle, size, seed=seed).tolist(), dtype=dtype).requires_grad_()

    if type(net).__name__ != "LSTM":
        return values(net.hidden_size, 5)
    return values(net.proj_size or net.hidden_size, 5), values(net.hidden_size, 6)


def run(T: Any, net: Any, x: Any, hx: Any = None) -> list[Any]:
    """Output, final state and all gradients."""
    output, state = net(x) if hx is None else net(x, hx)
    data = output.data if hasattr(output, "batch_sizes") else output
    results = [data, *flat(state)]
    weighted(T, results).backward()
    source = x.data if hasattr(x, "batch_sizes") else x
    grads = [source.grad] + [p.grad for p in net.parameters()]
    if hx is not None:
        grads += [h.grad for h in flat(hx)]
    return results + grads


@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_network(kind: str, options: dict[str, Any], with_state: bool, dtype: str) -> None:
    def function(T: Any) -> Any:
        net = getattr(T.nn, kind)(5, 7, **options).to(getattr(T, dtype))
        shape = (3, 4, 5) if net.batch_first else (4, 3, 5)
        x = T.tensor(array(*shape).tolist(), dtype=getattr(T, dtype)).requires_grad_()
        hx = states(T, net, 3, x.dtype) if with_state else None
        return [repr(net), list(net.state_dict()), list(net.parameters()), *run(T, net, x, hx)]

    check_same(function, rtol=1e-4, atol=2e-5)


# Sizes around those of vectors, tiles of rows and groups of sequences.
@pytest.mark.parametrize("hidden", [1, 8, 16, 33, 70])
@pytest.mark.parametrize("batch", [1, 2, 13, 70, 140])
@pytest.mark.parametrize("kind", KINDS)
def test_sizes(kind: str, batch: int, hidden: int) -> None:
    def function(T: Any) -> Any:
        net = getattr(T.nn, kind)(3, hidden, bidirectional=True).double()
        x = T.tensor(array(3, batch, 3).tolist(), dtype=T.float64).requires_grad_()
        return run(T, net, x, states(T, net, batch, x.dtype))

    check_same(function, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_one_step(kind: str) -> None:
    def function(T: Any) -> Any:
        net = getattr(T.nn, kind)(3, 6, 2)
        x = T.tensor(array(1, 4, 3).tolist()).requires_grad_()
        return run(T, net, x, states(T, net, 4, x.dtype))

    check_same(function)


def test_relu() -> None:
    def function(T: Any) -> Any:
        net = T.nn.RNN(3, 6, 2, "relu")
        x = T.tensor(array(4, 2, 3).tolist()).requires_grad_()
        return [repr(net), *run(T, net, x)]

    check_same(function)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_projection(options: dict[str, Any]) -> None:
    def function(T: Any) -> Any:
        net = T.nn.LSTM(5, 7, proj_size=3, **options)
        x = T.tensor(array(*((3, 4, 5) if net.batch_first else (4, 3, 5))).tolist()).requires_grad_()
        return [repr(net), list(net.state_dict()), *run(T, net, x, states(T, net, 3, x.dtype))]

    check_same(function, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_without_batch(kind: str, batch_first: bool) -> None:
    def function(T: Any) -> Any:
        net = getattr(T.nn, kind)(5, 7, 2, batch_first=batch_first)
        x = T.tensor(array(4, 5).tolist()).requires_grad_()
        return [run(T, net, x), run(T, net, x, states(T, net, None, x.dtype))]

    check_same(function, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "-".join(options) or "plain")
@pytest.mark.parametrize("kind", KINDS)
def test_packed(kind: str, options: dict[str, Any], enforce_sorted: bool) -> None:
    lengths = [5, 3, 3, 1] if enforce_sorted else [3, 1, 5, 3]

    def function(T: Any) -> Any:
        net = getattr(T.nn, kind)(5, 7, **options).double()
        x = T.tensor(array(5, 4, 5).tolist(), dtype=T.float64).requires_grad_()
        packed = T.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=enforce_sorted)
        results = []
        for hx in (None, states(T, net, 4, x.dtype)):
            output, state = net(packed, hx)
            padded, sizes = T.nn.utils.rnn.pad_packed_sequence(output, batch_first=True, padding_value=-1.0)
            values = [padded, *flat(state)]
            net.zero_grad()
            x.grad = None
            weighted(T, values).backward(retain_graph=True)
            results += [*values, sizes, x.grad.clone(), [p.grad for p in net.parameters()]]
            results += [] if hx is None else [h.grad for h in flat(hx)]
        return results

    check_same(function, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reverse", [False, True])
def test_second_derivatives(kind: str, reverse: bool) -> None:
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    shapes = [(4, 2, 3), (2, 2, 5), (2, 2, 5)]
    for suffix in range(2):
        shapes += [(gates * 5, 3), (gates * 5, 5), (gates * 5,), (gates * 5,)]
        if not reverse and suffix == 0:
            shapes = [(4, 2, 3), (1, 2, 5), (1, 2, 5), *shapes[3:]]
            break

    def function(T: Any, x: Any, h: Any, c: Any, *params: Any) -> Any:
        hx = (h, c) if kind == "LSTM" else h + 0 * c
        name = {"RNN": "rnn_tanh", "LSTM": "lstm", "GRU": "gru"}[kind]
        return getattr(T, name)(x, hx, list(params), True, 1, 0.0, False, reverse, False)

    check(function, *samples(*shapes), order=2)


def test_second_derivatives_of_dependent_inputs() -> None:
    """The state is made from the input, so its gradient must not be counted twice."""

    def function(T: Any, x: Any, w: Any, u: Any) -> Any:
        return T.rnn_tanh(x, x[:1] * 2, [w, u], False, 1, 0.0, False, False, False)

    check(function, *samples((3, 2, 4), (4, 4), (4, 4)), order=2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_16_bit(kind: str, dtype: str) -> None:
    def function(T: Any) -> Any:
        net = getattr(T.nn, kind)(5, 7, bidirectional=True).to(getattr(T, dtype))
        output, state = net(T.tensor(array(4, 3, 5).tolist()).to(getattr(T, dtype)))
        return [t.float() for t in (output, *flat(state))]

    check_same(function, rtol=3e-2, atol=2e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_do_not_depend_on_what_is_asked(kind: str) -> None:
    net = getattr(fastnn.nn, kind)(3, 5)
    for param in net.parameters():
        param.requires_grad_(False)
    x = fastnn.randn(4, 2, 3, requires_grad=True)
    net(x)[0].sum().backward()
    only = x.grad.clone()
    net.requires_grad_(True)
    x.grad = None
    net(x)[0].sum().backward()
    assert bool((x.grad == only).all())
    assert net.bias_ih_l0.grad.data_ptr() != net.bias_hh_l0.grad.data_ptr()


@pytest.mark.parametrize("kind", KINDS)
def test_results_do_not_depend_on_the_number_of_threads(kind: str) -> None:
    fastnn.manual_seed(0)
    net = getattr(fastnn.nn, kind)(40, 50)
    x = fastnn.randn(6, 37, 40)
    before = fastnn.get_num_threads()
    results = []
    for threads in (1, 2, 4):
        fastnn.set_num_threads(threads)
        net.zero_grad()
        output, _ = net(x)
        output.sum().backward()
        results.append([output.tolist(), *(p.grad.tolist() for p in net.parameters())])
    fastnn.set_num_threads(before)
    assert results[0] == results[1] == results[2]


def test_dropout_between_layers() -> None:
    net = fastnn.nn.LSTM(4, 6, 2, dropout=1.0)
    x = fastnn.randn(3, 2, 4)
    dropped, _ = net(x)
    with_zeros = fastnn.nn.LSTM(6, 6)
    for name, param in with_zeros.named_parameters():
        param.data = getattr(net, name.replace("l0", "l1")).data
    assert fastnn.allclose(dropped, with_zeros(fastnn.zeros(3, 2, 6))[0])
    assert not fastnn.allclose(dropped, net.eval()(x)[0])
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
        fastnn.nn.GRU(2, 3, dropout=0.5)


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cell(kind: str, dims: int) -> None:
    def function(T: Any) -> Any:
        results: list[Any] = []
        for bias in (True, False):
            cell = getattr(T.nn, kind)(4, 6, bias)
            shape = (3, 4)[2 - dims :]
            x = T.tensor(array(*shape).tolist()).requires_grad_()
            h = T.tensor(array(*shape[:-1], 6, seed=1).tolist()).requires_grad_()
            state = (h, h * 2) if kind == "LSTMCell" else h
            outputs = flat(cell(x, state)) + flat(cell(x))
            weighted(T, outputs).backward()
            results += [repr(cell), list(cell.state_dict()), outputs, x.grad, h.grad]
            results += [p.grad for p in cell.parameters()]
        return results

    check_same(function)


def test_relu_cell() -> None:
    check_same(
        lambda T: [repr(T.nn.RNNCell(2, 3, nonlinearity="relu")), T.nn.RNNCell(2, 3, True, "relu")(T.ones(1, 2))]
    )


@pytest.mark.parametrize("name", ["lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"])
def test_cell_functions(name: str) -> None:
    gates = {"lstm_cell": 4, "gru_cell": 3}.get(name, 1)

    def function(T: Any, x: Any, h: Any, *params: Any) -> Any:
        return getattr(T, name)(x, (h, h * 2) if gates == 4 else h, *params)

    shapes = [(3, 4), (3, 5), (gates * 5, 4), (gates * 5, 5), (gates * 5,), (gates * 5,)]
    check(function, *samples(*shapes), order=2)
    check(function, *samples(*shapes[:4]), order=2)


@pytest.mark.parametrize("kind", KINDS)
def test_functions_with_batch_sizes(kind: str) -> None:
    def function(T: Any) -> Any:
        net = getattr(T.nn, kind)(3, 4)
        zeros = T.zeros(1, 3, 4)
        name = {"RNN": "rnn_tanh", "LSTM": "lstm", "GRU": "gru"}[kind]
        hx = (zeros, zeros) if kind == "LSTM" else zeros
        sizes = T.tensor([3, 2, 2])
        data = T.tensor(array(7, 3).tolist())
        return list(getattr(T, name)(data, sizes, hx, list(net.parameters()), True, 1, 0.0, False, False))

    check_same(function)


def test_module_interface() -> None:
    net = fastnn.nn.LSTM(3, 4, 2, bidirectional=True)
    assert [len(layer) for layer in net.all_weights] == [4, 4, 4, 4]
    assert net.all_weights[1][0] is net.weight_ih_l0_reverse
    net.flatten_parameters()
    x = fastnn.randn(2, 1, 3)
    expected = net(x)[0]
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert fastnn.equal(twin(x)[0], expected)
    net.weight_hh_l0 = fastnn.nn.Parameter(fastnn.zeros(16, 4))
    assert not fastnn.equal(net(x)[0], expected)
    with fastnn.no_grad():
        assert not net(x)[0].requires_grad
    assert fastnn.nn.LSTM(3, 4).double().weight_ih_l0.dtype == fastnn.float64


def test_checkpoint_from_torch() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.LSTM(3, 4, 2, bidirectional=True)
    ours = fastnn.nn.LSTM(3, 4, 2, bidirectional=True)
    ours.load_state_dict({key: fastnn.tensor(value.tolist()) for key, value in theirs.state_dict().items()})
    x = array(5, 2, 3)
    assert_same(plain(ours(fastnn.tensor(x.tolist()))[0]), plain(theirs(torch.tensor(x))[0]))


ERRORS: dict[str, Any] = {
    "dropout": lambda T, n: n.LSTM(2, 3, dropout=1.5),
    "dropout_bool": lambda T, n: n.LSTM(2, 3, dropout=True),
    "bias": lambda T, n: n.GRU(2, 3, bias=1),
    "batch_first": lambda T, n: n.GRU(2, 3, batch_first=1),
    "input_type": lambda T, n: n.GRU(2.0, 3),
    "input_size": lambda T, n: n.GRU(0, 3),
    "hidden_type": lambda T, n: n.GRU(2, "3"),
    "hidden_size": lambda T, n: n.GRU(2, 0),
    "layers": lambda T, n: n.GRU(2, 3, 0),
    "projection": lambda T, n: n.LSTM(2, 3, proj_size=3),
    "negative_projection": lambda T, n: n.LSTM(2, 3, proj_size=-1),
    "projection_of_gru": lambda T, n: n.GRU(2, 3, proj_size=1),
    "projection_of_rnn": lambda T, n: n.RNN(2, 3, proj_size=1),
    "nonlinearity": lambda T, n: n.RNN(2, 3, nonlinearity="gelu"),
    "mode": lambda T, n: n.RNNBase("QRNN", 2, 3),
    "dims_rnn": lambda T, n: n.RNN(2, 3)(T.ones(2)),
    "dims_lstm": lambda T, n: n.LSTM(2, 3)(T.ones(2)),
    "dims_gru": lambda T, n: n.GRU(2, 3)(T.ones(1, 1, 1, 2)),
    "features": lambda T, n: n.LSTM(2, 3)(T.ones(1, 1, 4)),
    "dtype": lambda T, n: n.LSTM(2, 3)(T.ones(1, 1, 2).double()),
    "hidden": lambda T, n: n.GRU(2, 3)(T.ones(1, 1, 2), T.ones(1, 1, 4)),
    "hidden_dims": lambda T, n: n.GRU(2, 3)(T.ones(1, 1, 2), T.ones(1, 3)),
    "hidden_dims_rnn": lambda T, n: n.RNN(2, 3)(T.ones(1, 2), T.ones(1, 1, 3)),
    "state": lambda T, n: n.LSTM(2, 3)(T.ones(1, 1, 2), (T.ones(1, 1, 3), T.ones(1, 1, 4))),
    "state_first": lambda T, n: n.LSTM(2, 3)(T.ones(1, 1, 2), (T.ones(1, 2, 3), T.ones(1, 1, 3))),
    "state_dims": lambda T, n: n.LSTM(2, 3)(T.ones(1, 1, 2), (T.ones(1, 3), T.ones(1, 3))),
    "state_dims_alone": lambda T, n: n.LSTM(2, 3)(T.ones(1, 2), (T.ones(1, 1, 3), T.ones(1, 3))),
    "empty": lambda T, n: n.LSTM(2, 3)(T.ones(0, 1, 2)),
    "hidden_dtype": lambda T, n: n.GRU(2, 3)(T.ones(1, 1, 2), T.ones(1, 1, 3).double()),
    "cell_input": lambda T, n: n.RNNCell(2, 3)(T.ones(1, 1, 2)),
    "cell_hidden": lambda T, n: n.GRUCell(2, 3)(T.ones(1, 2), T.ones(1, 1, 3)),
    "cell_state": lambda T, n: n.LSTMCell(2, 3)(T.ones(1, 2), (T.ones(1, 3), T.ones(1, 1, 3))),
    "cell_features": lambda T, n: n.LSTMCell(2, 3)(T.ones(1, 4)),
    "cell_hidden_features": lambda T, n: n.GRUCell(2, 3)(T.ones(1, 2), T.ones(1, 4)),
    "cell_batch": lambda T, n: n.GRUCell(2, 3)(T.ones(1, 2), T.ones(2, 3)),
    "parameters": lambda T, n: T.gru(
        T.ones(1, 1, 2), T.ones(1, 1, 3), [T.ones(9, 2)], True, 1, 0.0, False, False, False
    ),
    "states": lambda T, n: T.lstm(
        T.ones(1, 1, 2), [T.ones(1, 1, 3)], [T.ones(12, 2)], True, 1, 0.0, False, False, False
    ),
    "pack_lengths": lambda T, n: n.utils.rnn.pack_padded_sequence(T.ones(3, 2), [3, 2, 1]),
    "pack_zero": lambda T, n: n.utils.rnn.pack_padded_sequence(T.ones(3, 2), [3, 0]),
    "pack_order": lambda T, n: n.utils.rnn.pack_padded_sequence(T.ones(3, 2), [2, 3]),
    "pack_empty": lambda T, n: n.utils.rnn.pack_padded_sequence(T.ones(0, 2), [2, 1]),
    "pad_length": lambda T, n: n.utils.rnn.pad_packed_sequence(n.utils.rnn.pack_sequence([T.ones(3)]), total_length=2),
    "pad_number": lambda T, n: n.utils.rnn.pad_sequence(3),
    "pad_side": lambda T, n: n.utils.rnn.pad_sequence([T.ones(3)], padding_side="top"),
    "pad_none": lambda T, n: n.utils.rnn.pad_sequence([]),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    check_same_error(lambda T: ERRORS[name](T, T.nn), same_text=name != "hidden_dtype")


# --- packed and padded sequences ---

SEQUENCES = ([3, 5, 1], [2], [2, 2])


def sequences(T: Any, lengths: list[int], *shape: int) -> list[Any]:
    return [T.tensor(array(n, *shape, seed=i).tolist()).requires_grad_() for i, n in enumerate(lengths)]


@pytest.mark.parametrize("lengths", SEQUENCES)
@pytest.mark.parametrize("shape", [(), (2,), (2, 3)])
@pytest.mark.parametrize("batch_first", [False, True])
def test_pack_and_pad(lengths: list[int], shape: tuple[int, ...], batch_first: bool) -> None:
    def function(T: Any) -> Any:
        rnn = T.nn.utils.rnn
        items = sequences(T, lengths, *shape)
        packed = rnn.pack_sequence(items, enforce_sorted=False)
        padded, sizes = rnn.pad_packed_sequence(packed, batch_first, 0.5, total_length=6)
        direct = rnn.pad_sequence(items, batch_first=batch_first, padding_value=7.0)
        left = rnn.pad_sequence(items, batch_first=batch_first, padding_side="left")
        (padded.sum() * 2 + (direct * left).sum()).backward()
        results: list[Any] = [list(packed), padded, sizes, direct, left, [item.grad for item in items]]
        results.append(rnn.unpack_sequence(packed))
        results.append(rnn.unpad_sequence(direct.detach(), T.tensor(lengths), batch_first=batch_first))
        return results

    check_same(function)


def test_packed_sequence() -> None:
    def function(T: Any) -> Any:
        rnn = T.nn.utils.rnn
        packed = rnn.pack_sequence([T.tensor([4, 5]), T.tensor([1, 2, 3])], enforce_sorted=False)
        kinds = ("double", "float", "half", "long", "int", "short", "char", "byte")
        values = [str(getattr(packed, kind)().data.dtype) for kind in kinds]
        again = rnn.PackedSequence((packed.data, packed.batch_sizes), sorted_indices=packed.sorted_indices)
        values += [str(packed), packed.to("cpu") is packed, str(packed.to(T.float64).data.dtype), packed.is_cuda]
        return [values, list(again), isinstance(packed, tuple), rnn.invert_permutation(None)]

    check_same(function)


def test_packed_sequence_pickles() -> None:
    packed = fastnn.nn.utils.rnn.pack_sequence([fastnn.ones(2), fastnn.ones(1)])
    again = pickle.loads(pickle.dumps(packed))
    assert type(again) is type(packed)
    assert np.array_equal(again.data.tolist(), packed.data.tolist())
