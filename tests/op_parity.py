"""Compare a function of tensors with torch's: values, gradients and second derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import fastnn

# Relative to the largest element: rounding of sums of up to a few thousand products.
TOLERANCE = {"float64": 1e-11, "float32": 2e-5, "float16": 4e-3, "bfloat16": 3e-2}


def samples(*shapes: Sequence[int], seed: int = 0) -> list[np.ndarray]:
    """Arrays of normal numbers."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def to_tensor(framework: Any, array: np.ndarray, dtype: str, grad: bool) -> Any:
    """Floating arrays in `dtype`, others in their own."""
    if array.dtype.kind != "f":
        return framework.tensor(array.tolist(), dtype=getattr(framework, str(array.dtype)))
    tensor = framework.tensor(array.tolist(), dtype=framework.float64).reshape(array.shape)
    tensor = tensor.to(getattr(framework, dtype))
    return tensor.requires_grad_() if grad else tensor


def to_numpy(tensor: Any) -> np.ndarray:
    """Values in the widest type of their kind."""
    wide = np.float64 if tensor.is_floating_point() else np.int64
    return np.array(tensor.detach().tolist(), dtype=wide).reshape(tuple(tensor.shape))


def weights_like(framework: Any, tensor: Any) -> Any:
    """The same arbitrary weights in both frameworks."""
    values = np.cos(np.arange(int(np.prod(tensor.shape)), dtype=np.float64)).tolist()
    return framework.tensor(values, dtype=framework.float64).reshape(tuple(tensor.shape)).to(tensor.dtype)


def weighted_sum(framework: Any, tensors: Sequence[Any]) -> Any:
    total = None
    for tensor in tensors:
        if not tensor.is_floating_point() or not tensor.requires_grad:
            continue
        term = (tensor * weights_like(framework, tensor)).sum()
        total = term if total is None else total + term
    return total


def evaluate(
    framework: Any,
    function: Callable[..., Any],
    arrays: Sequence[np.ndarray],
    dtype: str = "float64",
    order: int = 2,
) -> dict[str, Any]:
    """Values, dtypes and shapes of the results, and derivatives up to `order`."""
    inputs = [to_tensor(framework, array, dtype, order > 0) for array in arrays]
    outputs = function(framework, *inputs)
    outputs = [outputs] if hasattr(outputs, "detach") else list(outputs)
    result: dict[str, Any] = {
        "values": [to_numpy(o) for o in outputs],
        "dtypes": [str(o.dtype).split(".")[-1] for o in outputs],
    }
    leaves = [x for x in inputs if x.is_floating_point()]
    if order == 0:
        return result
    loss = weighted_sum(framework, outputs)
    first = framework.autograd.grad(loss, leaves, create_graph=order > 1, allow_unused=True)
    result["first"] = [None if g is None else to_numpy(g) for g in first]
    if order > 1:
        again = weighted_sum(framework, [g for g in first if g is not None])
        if again is not None:
            second = framework.autograd.grad(again, leaves, allow_unused=True)
            # What does not depend on an input may be told as None or as zeros.
            result["second"] = [
                np.zeros(tuple(x.shape)) if g is None else to_numpy(g) for x, g in zip(leaves, second, strict=True)
            ]
        else:
            result["second"] = [np.zeros(tuple(x.shape)) for x in leaves]
    return result


def assert_close(ours: np.ndarray, theirs: np.ndarray, tolerance: float, what: str) -> None:
    assert ours.shape == theirs.shape, what
    finite = np.abs(theirs[np.isfinite(theirs)])
    scale = max(1.0, float(finite.max()) if finite.size else 0.0)
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * scale, err_msg=what)


def check(
    function: Callable[..., Any],
    *arrays: np.ndarray,
    dtype: str = "float64",
    order: int = 2,
    tolerance: float | None = None,
) -> None:
    """Assert that `function(framework, *tensors)` and its derivatives are the same in fastnn and in torch."""
    torch = pytest.importorskip("torch")
    ours = evaluate(fastnn, function, arrays, dtype, order)
    theirs = evaluate(torch, function, arrays, dtype, order)
    tolerance = TOLERANCE[dtype] if tolerance is None else tolerance
    assert ours["dtypes"] == theirs["dtypes"]
    for key in ("values", "first", "second"):
        if key not in theirs:
            continue
        assert len(ours[key]) == len(theirs[key])
        for i, (a, b) in enumerate(zip(ours[key], theirs[key], strict=True)):
            assert (a is None) == (b is None), f"{key}[{i}]"
            if a is not None:
                assert_close(a, b, tolerance, f"{key}[{i}]")


def check_error(function: Callable[..., Any], message: str, kind: type[Exception] = RuntimeError) -> None:
    """Assert that both raise the same type of exception, and that ours says `message`."""
    torch = pytest.importorskip("torch")
    with pytest.raises(kind):
        function(torch)
    with pytest.raises(kind, match=message):
        function(fastnn)
