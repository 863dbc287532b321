"""Memory that processes share."""

from __future__ import annotations

import pytest

import fastnn
from fastnn import multiprocessing, nn


def train(model: nn.Module) -> None:
    with fastnn.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    model.count.add_(3)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_model_is_trained_by_another_process(method: str) -> None:
    model = nn.Linear(3, 2)
    model.register_buffer("count", fastnn.zeros(1, dtype=fastnn.int64))
    nn.init.zeros_(model.weight)
    assert not model.weight.is_shared()
    assert model.share_memory() is model and model.weight.is_shared() and model.weight.requires_grad
    process = multiprocessing.get_context(method).Process(target=train, args=(model,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert model.weight.tolist() == [[1.0] * 3] * 2 and model.count.tolist() == [3]


def test_values_and_geometry_stay() -> None:
    x = fastnn.arange(6.0).reshape(2, 3).t()
    address = x.data_ptr()
    assert x.share_memory_() is x and x.data_ptr() != address
    assert x.tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]] and x.stride() == (1, 3)
    address = x.data_ptr()
    assert x.share_memory_().data_ptr() == address and x.storage().is_shared()
    assert fastnn.empty(0).is_shared() and not x.clone().is_shared()


@pytest.mark.parametrize("count", [0, 2])
def test_numbers_of_other_than_one_element(count: int) -> None:
    x = fastnn.ones(count)
    for convert in (int, float):
        with pytest.raises(ValueError, match="only one element tensors can be converted to Python scalars"):
            convert(x)
    with pytest.raises(RuntimeError, match="cannot be converted to Scalar"):
        x.item()
