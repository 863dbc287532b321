"""nn.init: the numbers that PyTorch draws, ranges, and errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from nn_parity import both, check_same, check_same_error

import fastnn
from fastnn import nn

SHAPES = [(4, 3), (5, 4, 3), (6, 2, 3, 3)]

FILLS = {
    "uniform_": lambda init, t: init.uniform_(t, -1.0, 3.0),
    "normal_": lambda init, t: init.normal_(t, 1.0, 2.0),
    "constant_": lambda init, t: init.constant_(t, 0.3),
    "ones_": lambda init, t: init.ones_(t),
    "zeros_": lambda init, t: init.zeros_(t),
    "xavier_uniform_": lambda init, t: init.xavier_uniform_(t, gain=2.0),
    "xavier_normal_": lambda init, t: init.xavier_normal_(t),
    "kaiming_uniform_": lambda init, t: init.kaiming_uniform_(t, a=math.sqrt(5)),
    "kaiming_uniform_fan_out": lambda init, t: init.kaiming_uniform_(t, mode="fan_out", nonlinearity="relu"),
    "kaiming_normal_": lambda init, t: init.kaiming_normal_(t, nonlinearity="relu"),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", FILLS)
def test_same_numbers_after_the_same_seed(name: str, shape: tuple[int, ...]) -> None:
    ours, theirs = both(lambda T: FILLS[name](T.nn.init, T.empty(*shape)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("bounds", [(-0.6, 0.4), (0.5, 0.7), (-5.0, 5.0)])
@pytest.mark.parametrize("shape", [(4, 3), (40, 30)])
def test_truncated_normal(shape: tuple[int, ...], bounds: tuple[float, float]) -> None:
    check_same(lambda T: T.nn.init.trunc_normal_(T.empty(*shape), 0.1, 0.5, *bounds), atol=2e-6)


def test_truncated_normal_stays_inside() -> None:
    values = nn.init.trunc_normal_(fastnn.empty(1000), std=3.0, a=-1.0, b=0.5)
    assert float(values.min()) >= -1.0
    assert float(values.max()) <= 0.5
    with pytest.warns(UserWarning, match="mean is more than 2 std"):
        nn.init.trunc_normal_(fastnn.empty(2), mean=10.0)


@pytest.mark.parametrize("shape", [(3, 3), (3, 5), (5, 3), (4, 2, 2), (0, 3)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    check_same(lambda T: T.nn.init.orthogonal_(T.empty(*shape), gain=1.5), atol=1e-5)


def test_orthogonal_rows_are_orthonormal() -> None:
    weight = nn.init.orthogonal_(fastnn.empty(3, 7)).tolist()
    np.testing.assert_allclose(np.array(weight) @ np.array(weight).T, np.eye(3), atol=1e-5)


def test_sparse() -> None:
    ours, theirs = both(lambda T: T.nn.init.sparse_(T.empty(10, 4), 0.3))
    assert (ours == 0).sum(axis=0).tolist() == (theirs == 0).sum(axis=0).tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize("shape,groups", [((3, 2, 3), 1), ((4, 2, 3, 3), 2), ((2, 4, 1, 2, 3), 1)])
def test_dirac(shape: tuple[int, ...], groups: int) -> None:
    check_same(lambda T: T.nn.init.dirac_(T.empty(*shape), groups))


def test_eye() -> None:
    check_same(lambda T: T.nn.init.eye_(T.empty(2, 3)))


@pytest.mark.parametrize("kind", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gain(kind: str) -> None:
    check_same(lambda T: float(T.nn.init.calculate_gain(kind)))


def test_gain_of_a_slope() -> None:
    check_same(lambda T: T.nn.init.calculate_gain("leaky_relu", 0.3))


def test_generator() -> None:
    def run(T: Any) -> Any:
        generator = T.Generator().manual_seed(7)
        drawn = [
            T.nn.init.uniform_(T.empty(20), generator=generator),
            T.nn.init.normal_(T.empty(20), generator=generator),
            T.nn.init.xavier_uniform_(T.empty(4, 5), generator=generator),
            T.nn.init.kaiming_normal_(T.empty(4, 5), generator=generator),
        ]
        return drawn

    check_same(run)


def test_no_gradient_is_recorded() -> None:
    weight = nn.Parameter(fastnn.empty(2, 2))
    assert nn.init.normal_(weight) is weight
    assert weight.requires_grad
    assert weight.grad_fn is None


ERRORS = {
    "gain": lambda T: T.nn.init.calculate_gain("swish"),
    "slope": lambda T: T.nn.init.calculate_gain("leaky_relu", True),
    "fan": lambda T: T.nn.init.xavier_uniform_(T.empty(3)),
    "mode": lambda T: T.nn.init.kaiming_uniform_(T.empty(3, 2), mode="fan"),
    "eye": lambda T: T.nn.init.eye_(T.empty(3)),
    "dirac": lambda T: T.nn.init.dirac_(T.empty(3, 2)),
    "dirac_groups": lambda T: T.nn.init.dirac_(T.empty(3, 2, 1), 2),
    "orthogonal": lambda T: T.nn.init.orthogonal_(T.empty(3)),
    "sparse": lambda T: T.nn.init.sparse_(T.empty(3), 0.1),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str) -> None:
    check_same_error(ERRORS[name])


def test_empty_tensors_are_left_alone() -> None:
    with pytest.warns(UserWarning, match="no-op"):
        nn.init.kaiming_uniform_(fastnn.empty(0, 3))


@pytest.mark.parametrize("name", ["uniform", "normal", "xavier_uniform", "kaiming_normal", "orthogonal", "eye"])
def test_old_names_warn(name: str) -> None:
    with pytest.warns(FutureWarning, match=f"`nn.init.{name}` is now deprecated"):
        getattr(nn.init, name)(fastnn.empty(2, 2))


def test_layers_draw_what_pytorch_draws() -> None:
    def run(T: Any) -> Any:
        layers = T.nn.Sequential(
            T.nn.Linear(7, 5),
            T.nn.Conv2d(3, 8, 3, groups=1),
            T.nn.Embedding(11, 4, padding_idx=2),
            T.nn.MultiheadAttention(8, 2, add_bias_kv=True),
            T.nn.Bilinear(2, 3, 4),
        )
        return layers.state_dict()

    ours, theirs = both(run)
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        np.testing.assert_allclose(value, theirs[key], rtol=1e-6, atol=1e-7, err_msg=key)
