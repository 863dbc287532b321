"""fastnn.utils.checkpoint: the same gradients with less memory."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

import fastnn
from fastnn import _C, nn
from fastnn.utils.checkpoint import (
    CheckpointError,
    checkpoint,
    checkpoint_sequential,
    detach_variable,
    set_checkpoint_early_stop,
)


def network(dropout: float = 0.0) -> nn.Sequential:
    fastnn.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(4):
        layers += [nn.Linear(16, 16), nn.Tanh(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


def gradients(model: nn.Module, run: Any, x: fastnn.Tensor) -> list[list[float]]:
    model.zero_grad()
    x = x.detach().requires_grad_()
    fastnn.manual_seed(5)
    run(x).square().sum().backward()
    assert x.grad is not None
    return [x.grad.tolist(), *(p.grad.tolist() for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_gradients_are_the_same(use_reentrant: bool, dropout: float) -> None:
    model = network(dropout)
    x = fastnn.rand(8, 16)
    expected = gradients(model, model, x)
    assert len(expected) == 9
    assert gradients(model, lambda t: checkpoint(model, t, use_reentrant=use_reentrant), x) == expected
    for segments in (1, 2, 3, 5):
        run = lambda t, n=segments: checkpoint_sequential(model, n, t, use_reentrant=use_reentrant)  # noqa: E731
        assert gradients(model, run, x) == expected


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_without_the_state_of_random_numbers_dropout_differs(use_reentrant: bool) -> None:
    drop = nn.Dropout(0.5)
    x = fastnn.ones(100, requires_grad=True)
    y = checkpoint(drop, x, use_reentrant=use_reentrant, preserve_rng_state=False)
    if use_reentrant:
        y.sum().backward()
        assert x.grad is not None
        assert x.grad.tolist() != y.tolist()
    before = fastnn.get_rng_state()
    z = checkpoint(drop, x, use_reentrant=use_reentrant)
    after = fastnn.get_rng_state()
    x.grad = None
    z.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == z.tolist()
    assert fastnn.get_rng_state().tolist() == after.tolist() != before.tolist()


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_less_is_kept(use_reentrant: bool) -> None:
    model = network()
    x = fastnn.rand(64, 16, requires_grad=True)

    def kept(run: Any) -> int:
        _C._count_saved_bytes(True)
        y = run(x)
        result = _C._saved_bytes()
        del y
        assert _C._saved_bytes() == 0
        _C._count_saved_bytes(False)
        return result

    whole = kept(model)
    parts = kept(lambda t: checkpoint_sequential(model, 4, t, use_reentrant=use_reentrant))
    assert whole > 0
    assert parts <= whole * 0.6  # the inputs of the segments, and the last segment


def test_structures_keywords_and_parameters_alone() -> None:
    weight = fastnn.ones(2, requires_grad=True)

    def function(a: fastnn.Tensor, *, scale: float) -> dict[str, fastnn.Tensor]:
        return {"y": (a * weight).exp() * scale}

    out = checkpoint(function, fastnn.ones(2), use_reentrant=False, scale=2.0)
    out["y"].sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == pytest.approx([5.4365637] * 2)


def test_second_derivatives_and_retained_graphs() -> None:
    x = fastnn.tensor([0.5, 2.0], dtype=fastnn.float64, requires_grad=True)
    y = checkpoint(lambda t: (t.sin() * t).exp(), x, use_reentrant=False).sum()
    (first,) = fastnn.autograd.grad(y, x, create_graph=True)
    (second,) = fastnn.autograd.grad(first.sum(), x)
    z = (x.sin() * x).exp().sum()
    (first_z,) = fastnn.autograd.grad(z, x, create_graph=True)
    (second_z,) = fastnn.autograd.grad(first_z.sum(), x)
    assert first.tolist() == first_z.tolist()
    assert second.tolist() == second_z.tolist()
    y = checkpoint(lambda t: t.sin().exp(), x, use_reentrant=False).sum()
    y.backward(retain_graph=True)
    y.backward()


def test_nested() -> None:
    model = network()
    x = fastnn.rand(3, 16)

    def inner(t: fastnn.Tensor) -> Any:
        return checkpoint(model[:6], t, use_reentrant=False)

    def outer(t: fastnn.Tensor) -> Any:
        return checkpoint(lambda u: model[6:](inner(u)), t, use_reentrant=False)

    assert gradients(model, outer, x) == gradients(model, model, x)


@pytest.mark.parametrize("early", [True, False])
def test_early_stop(early: bool) -> None:
    calls: list[str] = []

    def function(t: fastnn.Tensor) -> Any:
        y = t.exp()
        calls.append("first")
        y = y.sin()
        calls.append("last")
        return y

    x = fastnn.ones(1, requires_grad=True)
    checkpoint(function, x, use_reentrant=False, early_stop=early).sum().backward()
    assert calls == ["first", "last", "first", *([] if early else ["last"])]
    calls.clear()
    with set_checkpoint_early_stop(False):
        y = checkpoint(function, x, use_reentrant=False)
    y.sum().backward()
    assert calls.count("last") == 2


def test_another_second_computation_is_an_error() -> None:
    runs: list[int] = []

    def shorter(t: fastnn.Tensor) -> Any:
        runs.append(1)
        return t.sin() if len(runs) > 1 else t.sin().exp()

    def other_shape(t: fastnn.Tensor) -> Any:
        runs.append(1)
        return t.sin().sum() if len(runs) == 1 else t[:1].sin().sum()

    for function in (shorter, other_shape):
        runs.clear()
        x = fastnn.ones(3, requires_grad=True)
        with pytest.raises(CheckpointError):
            checkpoint(function, x, use_reentrant=False).sum().backward()


def test_contexts() -> None:
    seen: list[str] = []

    @contextlib.contextmanager
    def note(name: str) -> Any:
        seen.append(name)
        yield

    x = fastnn.ones(1, requires_grad=True)
    y = checkpoint(fastnn.exp, x, use_reentrant=False, context_fn=lambda: (note("forward"), note("recompute")))
    y.backward()
    assert seen == ["forward", "recompute"]


def test_without_gradients() -> None:
    x = fastnn.ones(1, requires_grad=True)
    for use_reentrant in (True, False):
        with fastnn.no_grad():
            assert not checkpoint(fastnn.exp, x, use_reentrant=use_reentrant).requires_grad


def test_errors() -> None:
    x = fastnn.ones(1, requires_grad=True)
    with pytest.warns(UserWarning, match="use_reentrant"):
        checkpoint(fastnn.exp, x)
    with pytest.warns(UserWarning, match="requires_grad"):
        checkpoint(fastnn.exp, fastnn.ones(1), use_reentrant=True)
    with pytest.raises(ValueError, match="keyword"):
        checkpoint(fastnn.exp, x, use_reentrant=True, scale=1)
    with pytest.raises(ValueError, match="context_fn"):
        checkpoint(fastnn.exp, x, use_reentrant=True, debug=True)
    with pytest.raises(ValueError, match="determinism_check"):
        checkpoint(fastnn.exp, x, use_reentrant=False, determinism_check="all")
    with pytest.raises(RuntimeError, match="incompatible with"):
        fastnn.autograd.grad(checkpoint(fastnn.exp, x, use_reentrant=True), x)
    with pytest.raises(RuntimeError, match="tuple"):
        detach_variable([x])  # type: ignore[arg-type]


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_mixed_precision_is_that_of_the_first_computation(use_reentrant: bool) -> None:
    seen: list[Any] = []
    weight = fastnn.ones(2, 2, requires_grad=True)

    def function(x: fastnn.Tensor) -> fastnn.Tensor:
        y = x @ weight
        seen.append(y.dtype)
        return y.float().exp()

    with fastnn.autocast("cpu", dtype=fastnn.bfloat16):
        y = checkpoint(function, fastnn.ones(2, 2, requires_grad=True), use_reentrant=use_reentrant)
    y.sum().backward()
    assert seen == [fastnn.bfloat16] * 2


def test_states_of_accelerators() -> None:
    from fastnn.utils.checkpoint import get_device_states, set_device_states

    devices, states = get_device_states(fastnn.ones(2), 3)
    assert (devices, states) == ([], [])
    set_device_states(devices, states)
