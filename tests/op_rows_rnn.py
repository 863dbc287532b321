"""Rows of recurrent networks and their cells."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from op_specs import S, Spec, X

GATES = {"lstm": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def step(kind: str, x: Any, state: Any, w_ih: Any, w_hh: Any, b_ih: Any = 0.0, b_hh: Any = 0.0) -> Any:
    """The state after one step; of LSTM a pair."""
    h = state[0] if kind == "lstm" else state
    ours, theirs = x @ w_ih.T + b_ih, h @ w_hh.T + b_hh
    if kind == "gru":
        (r, z, n), (hr, hz, hn) = np.split(ours, 3, 1), np.split(theirs, 3, 1)
        fresh = np.tanh(n + sigmoid(r + hr) * hn)
        z = sigmoid(z + hz)
        return (1 - z) * fresh + z * h
    if kind != "lstm":
        return np.tanh(ours + theirs) if kind == "rnn_tanh" else np.maximum(ours + theirs, 0)
    i, f, g, o = np.split(ours + theirs, 4, 1)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def cell(kind: str) -> Any:
    return lambda x, state, *params: step(kind, x, state, *params)


def network(kind: str) -> Any:
    """The reference of a network."""

    def run(
        x: Any, hx: Any, params: Any, biased: Any, layers: int, dropout: Any, train: Any, both: int, batch_first: Any
    ) -> Any:
        parts = list(x.swapaxes(0, 1) if batch_first else x)
        params = list(params)
        finals: list[Any] = []
        sides: list[Any] = []
        for layer, direction in itertools.product(range(layers), range(1 + both)):
            used = [params.pop(0) for _ in range(4 if biased else 2)]
            at = layer * (1 + both) + direction
            state = [h[at] for h in hx] if kind == "lstm" else [hx[at]]
            outputs: list[Any] = [None] * len(parts)
            for t in range(len(parts))[:: -1 if direction else 1]:
                after = step(kind, parts[t], state if kind == "lstm" else state[0], *used)
                state = list(after) if kind == "lstm" else [after]
                outputs[t] = state[0]
            finals.append(state)
            sides = outputs if not direction else [np.concatenate(p, 1) for p in zip(sides, outputs, strict=True)]
            if direction == both:
                parts = sides
        out = np.stack(parts, 1 if batch_first else 0)
        return [out, *(np.stack(s) for s in zip(*finals, strict=True))]

    return run


def parameters(kind: str, features: int, width: int, layers: int, directions: int, biased: bool) -> list[Any]:
    rows = GATES[kind] * width
    result: list[Any] = []
    for layer in range(layers):
        for _ in range(directions):
            result += [X(rows, features if layer == 0 else width * directions), X(rows, width)]
            result += [X(rows), X(rows)] if biased else []
    return result


def network_samples(kind: str) -> list[Any]:
    def state(*shape: int) -> Any:
        return [X(*shape), X(*shape)] if kind == "lstm" else X(*shape)

    return [
        S(X(3, 2, 4), state(1, 2, 3), parameters(kind, 4, 3, 1, 1, True), True, 1, 0.0, False, False, False),
        S(X(2, 3, 2), state(4, 2, 3), parameters(kind, 2, 3, 2, 2, False), False, 2, 0.0, False, True, True),
        S(X(1, 2, 4), state(1, 2, 3), parameters(kind, 4, 3, 1, 1, True), True, 1, 0.0, True, False, False),
    ]


def cell_samples(kind: str) -> list[Any]:
    state = [X(2, 3), X(2, 3)] if kind == "lstm" else X(2, 3)
    return [S(X(2, 4), state, *parameters(kind, 4, 3, 1, 1, biased)) for biased in (True, False)]


def networks() -> list[Spec]:
    options: dict[str, Any] = {"length": 30, "roundings": 60.0, "scale": 4.0, "strides": False, "domain": (-1.0, 1.0)}
    rows = []
    for kind in GATES:
        rows.append(Spec(kind, network_samples(kind), network(kind), **options))
        rows.append(Spec(f"{kind}_cell", cell_samples(kind), cell(kind), **options))
    return rows


ROWS = networks()
