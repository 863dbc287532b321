"""Run one function over fastnn and over torch, and compare what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import fastnn


def plain(value: Any) -> Any:
    """Tensors as arrays, in whatever containers they are."""
    if hasattr(value, "detach"):
        return np.array(value.detach().tolist(), dtype=str(value.dtype).removeprefix("torch."))
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def assert_same(ours: Any, theirs: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Assert that two nests of plain values are equal, floating point arrays up to the tolerances."""
    assert type(ours) is type(theirs), (ours, theirs)
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        for key in ours:
            assert_same(ours[key], theirs[key], rtol, atol)
    elif isinstance(ours, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_same(a, b, rtol, atol)
    elif isinstance(ours, np.ndarray):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
    else:
        assert ours == theirs


def in_fastnn_words(text: str) -> str:
    """An error message of torch's or fastnn's with names that do not tell which of the two it came from."""
    return text.replace("torch.nn.", "nn.").replace("fastnn.nn.", "nn.").replace("fastnn", "torch")


def both(function: Callable[[Any], Any]) -> tuple[Any, Any]:
    """`function(fastnn)` and `function(torch)`, each after the same seed, as plain values."""
    torch = pytest.importorskip("torch")
    results = []
    for framework in (fastnn, torch):
        framework.manual_seed(0)
        results.append(plain(function(framework)))
    return results[0], results[1]


def check_same(function: Callable[[Any], Any], rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """Assert that `function` gives the same result with both."""
    ours, theirs = both(function)
    assert_same(ours, theirs, rtol, atol)


def check_same_error(function: Callable[[Any], Any], same_text: bool = True) -> None:
    """Assert that `function` raises the same type of exception, and usually the same text, with both."""

    def raised(framework: Any) -> list[str]:
        with pytest.raises(Exception) as info:
            function(framework)
        return [type(info.value).__name__, in_fastnn_words(str(info.value)) if same_text else ""]

    ours, theirs = both(raised)
    assert ours == theirs


def array(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Reproducible float32 values from [low, high)."""
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)
