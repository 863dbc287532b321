"""``assert_close``: are two values equal up to rounding, and if not, where not?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from fastnn import _C
from fastnn._C import Tensor

__all__ = ["assert_allclose", "assert_close", "default_tolerances"]

# rtol and atol: about the square root of the dtype's resolution.
_TOLERANCES = {
    "torch.float16": (1e-3, 1e-5),
    "torch.bfloat16": (1.6e-2, 1e-5),
    "torch.float32": (1.3e-6, 1e-5),
    "torch.float64": (1e-7, 1e-7),
    "torch.complex32": (1e-3, 1e-5),
    "torch.complex64": (1.3e-6, 1e-5),
    "torch.complex128": (1e-7, 1e-7),
}


class _Options(NamedTuple):
    rtol: float | None
    atol: float | None
    equal_nan: bool
    check_device: bool
    check_dtype: bool
    check_layout: bool
    check_stride: bool
    allow_subclasses: bool
    msg: str | Callable[[str], str] | None


def default_tolerances(*inputs: Any) -> tuple[float, float]:
    """The larger of the tolerances (relative, absolute) of the dtypes; 0 for integers.

    Example:
        >>> import fastnn
        >>> fastnn.testing._comparison.default_tolerances(fastnn.float32, fastnn.int64)
        (1.3e-06, 1e-05)
    """
    dtypes = [one.dtype if isinstance(one, Tensor) else one for one in inputs]
    pairs = [_TOLERANCES.get(repr(dtype), (0.0, 0.0)) for dtype in dtypes]
    return max(pair[0] for pair in pairs), max(pair[1] for pair in pairs)


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Raise unless ``|actual - expected| <= atol + rtol * |expected|`` for all elements.

    Args:
        actual, expected: tensors, arrays, numbers, or sequences and mappings of them.
        allow_subclasses: otherwise the types have to be equal.
        rtol, atol: both or none; by default they depend on the dtype.
        equal_nan: whether NaN equals NaN.
        check_device, check_dtype, check_layout, check_stride: whether these have to be equal too.
        msg: the message instead, or a function from the message to another.

    Raises:
        AssertionError: with the number of differences, the largest and where it is.
        ValueError: only one of `rtol` and `atol` is given.
        TypeError: values of these types cannot be compared.

    Example:
        >>> import fastnn
        >>> fastnn.testing.assert_close(fastnn.tensor([1.0, 2.0]), fastnn.tensor([1.0, 2.0000001]))
    """
    if (rtol is None) != (atol is None):
        missing, given = ("rtol", "atol") if rtol is None else ("atol", "rtol")
        raise ValueError(
            f"rtol and atol must both be specified or both be unspecified, but {given} is given and {missing} is not"
        )
    flags = (equal_nan, check_device, check_dtype, check_layout, check_stride, allow_subclasses)
    _compare(actual, expected, _Options(rtol, atol, *flags, msg), ())


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """The old :func:`assert_close`: dtypes may differ, NaN equals NaN, and values may be lists."""
    left, right = (one if isinstance(one, Tensor) else _C.tensor(one) for one in (actual, expected))
    if (rtol is None) != (atol is None):
        raise ValueError("rtol and atol must both be specified or both be unspecified")
    options = {"check_dtype": False, "check_stride": False, "equal_nan": equal_nan}
    assert_close(left, right, rtol=rtol, atol=atol, msg=msg or None, **options)


def _fail(text: str, place: tuple[Any, ...], options: _Options, kind: type[Exception] = AssertionError) -> None:
    if place:
        text += f"\n\nThe failure occurred for item {''.join(f'[{key!r}]' for key in place)}"
    if options.msg is not None:
        text = options.msg(text) if callable(options.msg) else options.msg
    raise kind(text)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _compare(actual: Any, expected: Any, options: _Options, place: tuple[Any, ...]) -> None:
    if _is_sequence(actual) and _is_sequence(expected):
        if len(actual) != len(expected):
            _fail(f"The length of the sequences mismatch: {len(actual)} != {len(expected)}", place, options)
        for index, (left, right) in enumerate(zip(actual, expected, strict=True)):
            _compare(left, right, options, (*place, index))
    elif isinstance(actual, Mapping) and isinstance(expected, Mapping):
        if actual.keys() != expected.keys():
            missing = sorted(expected.keys() - actual.keys(), key=str)
            extra = sorted(actual.keys() - expected.keys(), key=str)
            text = (
                "The keys of the mappings do not match:\n"
                f"Missing keys in the actual mapping: {missing}\n"
                f"Additional keys in the actual mapping: {extra}"
            )
            _fail(text, place, options)
        for key in expected:
            _compare(actual[key], expected[key], options, (*place, key))
    elif actual is None or expected is None:
        if actual is not expected:
            _fail(f"None mismatch: {actual!r} is not {expected!r}", place, options)
    else:
        _compare_leaves(actual, expected, options, place)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, complex))


def _compare_leaves(actual: Any, expected: Any, options: _Options, place: tuple[Any, ...]) -> None:
    related = isinstance(actual, type(expected)) or isinstance(expected, type(actual))
    if isinstance(actual, bool) and isinstance(expected, bool):
        if actual is not expected:
            _fail(f"Booleans mismatch: {actual} is not {expected}", place, options)
    elif _is_number(actual) and _is_number(expected):
        _compare_numbers(actual, expected, options, place)
    elif (related if options.allow_subclasses else type(actual) is type(expected)) and _is_tensor_like(actual):
        left, right = (one if isinstance(one, Tensor) else _C.as_tensor(one) for one in (actual, expected))
        _compare_tensors(left, right, options, place)
    else:
        text = f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}."
        _fail(text, place, options, TypeError)


def _is_tensor_like(value: Any) -> bool:
    return isinstance(value, Tensor) or hasattr(value, "__array__")


def _tolerances(options: _Options, *dtypes: Any) -> tuple[float, float]:
    if options.rtol is None or options.atol is None:
        return default_tolerances(*dtypes)
    return options.rtol, options.atol


def _compare_numbers(actual: Any, expected: Any, options: _Options, place: tuple[Any, ...]) -> None:
    if options.check_dtype and type(actual) is not type(expected):
        _fail(f"The (d)types do not match: {type(actual)} != {type(expected)}.", place, options)
    floats = [_C.float64 if isinstance(one, (float, complex)) else _C.int64 for one in (actual, expected)]
    rtol, atol = _tolerances(options, *floats)
    difference = abs(actual - expected)
    if actual == expected or (options.equal_nan and actual != actual and expected != expected):
        return
    if math.isfinite(difference) and difference <= atol + rtol * abs(expected):
        return
    lines = [f"Scalars are not {_word(rtol, atol)}!", "", f"Expected {expected} but got {actual}."]
    lines.append(f"Absolute difference: {difference}{_allowed(atol, rtol, atol)}")
    relative = difference / abs(expected) if expected else math.inf
    lines.append(f"Relative difference: {relative}{_allowed(rtol, rtol, atol)}")
    _fail("\n".join(lines), place, options)


def _word(rtol: float, atol: float) -> str:
    return "equal" if rtol == atol == 0 else "close"


def _allowed(tolerance: float, rtol: float, atol: float) -> str:
    return "" if rtol == atol == 0 else f" (up to {tolerance} allowed)"


def _compare_tensors(actual: Tensor, expected: Tensor, options: _Options, place: tuple[Any, ...]) -> None:
    if actual.shape != expected.shape:
        text = f"The values for attribute 'shape' do not match: {actual.shape} != {expected.shape}."
        _fail(text, place, options)
    checks = [("dtype", options.check_dtype), ("layout", options.check_layout), ("device", options.check_device)]
    for name, wanted in checks:
        left, right = getattr(actual, name), getattr(expected, name)
        if wanted and left != right:
            _fail(f"The values for attribute {name!r} do not match: {left} != {right}.", place, options)
    if options.check_stride and actual.stride() != expected.stride():
        text = f"The values for attribute 'stride()' do not match: {actual.stride()} != {expected.stride()}."
        _fail(text, place, options)
    rtol, atol = _tolerances(options, actual, expected)
    dtype = _C._promote_types(actual.dtype, expected.dtype)
    left, right = actual.detach().to(dtype), expected.detach().to(dtype)
    close = _C.isclose(left, right, rtol=rtol, atol=atol, equal_nan=options.equal_nan)
    if not bool(close.all()):
        _fail(_describe(left, right, ~close, rtol, atol), place, options)


def _describe(actual: Tensor, expected: Tensor, wrong: Tensor, rtol: float, atol: float) -> str:
    """Where tensors differ, and how much."""
    if actual.dim() == 0:
        return _describe_one(actual.item(), expected.item(), rtol, atol)
    count, total = int(wrong.sum().item()), wrong.numel()
    wide = _C.int64 if not (actual.is_floating_point() or actual.is_complex()) else actual.dtype
    if actual.dtype in (_C.float16, _C.bfloat16):
        wide = _C.float32
    absolute = (actual.to(wide) - expected.to(wide)).abs()
    relative = absolute / expected.to(wide).abs()
    lines = [
        f"Tensor-likes are not {_word(rtol, atol)}!",
        "",
        f"Mismatched elements: {count} / {total} ({count / total:.1%})",
        f"Greatest absolute difference: {_greatest(absolute, wrong)}{_allowed(atol, rtol, atol)}",
        f"Greatest relative difference: {_greatest(relative, wrong)}{_allowed(rtol, rtol, atol)}",
    ]
    return "\n".join(lines)


def _describe_one(actual: Any, expected: Any, rtol: float, atol: float) -> str:
    difference = abs(actual - expected)
    relative = difference / abs(expected) if expected else math.inf
    lines = [
        f"Scalars are not {_word(rtol, atol)}!",
        "",
        f"Expected {expected} but got {actual}.",
        f"Absolute difference: {difference}{_allowed(atol, rtol, atol)}",
        f"Relative difference: {relative}{_allowed(rtol, rtol, atol)}",
    ]
    return "\n".join(lines)


def _greatest(values: Tensor, wrong: Tensor) -> str:
    """The largest value among the wrong ones, and its index."""
    flat = _C.where(wrong, values, _C.zeros_like(values)).reshape(-1)
    at = int(flat.argmax().item())
    index = []
    for size in reversed(values.shape):
        at, place = divmod(at, size)
        index.append(place)
    position = tuple(reversed(index))
    return f"{values[position].item()} at index {position}"
