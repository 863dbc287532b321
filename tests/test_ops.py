"""What holds for every operation, derived from its row in `op_specs`."""

from __future__ import annotations

import inspect
import itertools
import os
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from op_specs import (
    ALL,
    ELSEWHERE,
    EPS,
    FLOATS,
    Call,
    Input,
    Sample,
    Spec,
    contiguous,
    expanded,
    flatten,
    make,
    reference_of,
    results_of,
    rows,
    stepped,
    to_numpy,
    transposed,
    weighted,
)

import fastnn

ROWS = rows()
OPERATIONS = fastnn._C._operations()
THREADS = 4


def every(keep: Callable[[Spec], bool] = lambda spec: True) -> pytest.MarkDecorator:
    """The test runs for each row that `keep` holds for."""
    return pytest.mark.parametrize("spec", [pytest.param(s, id=name) for name, s in ROWS.items() if keep(s)])


class Failures:
    """Collects what is wrong in one operation, so that one run tells all of it."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, *words: object) -> None:
        self.found.append(" ".join(str(w) for w in words))

    def done(self) -> None:
        if self.found:
            pytest.fail("\n".join([f"{len(self.found)} failures", *self.found[:25]]), pytrace=False)


def short(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else ''}"


def told(sample: Sample) -> str:
    """A sample in few words."""

    def one(value: Any) -> str:
        if isinstance(value, Input):
            body = "x".join(map(str, value.shape)) if value.values is None else str(np.asarray(value.values).tolist())
            return f"<{body}{' ' + value.dtype if value.dtype else ''}>"
        if isinstance(value, (list, tuple)):
            return "[" + ", ".join(one(v) for v in value) + "]"
        return getattr(value, "name", repr(value))

    return "(" + ", ".join([*map(one, sample.args), *(f"{k}={one(v)}" for k, v in sample.kwargs.items())]) + ")"


def dtype_of(tensor: Any) -> str:
    return str(tensor.dtype).rpartition(".")[2]


def tolerance(spec: Spec, dtype: str) -> float:
    """Relative. Sums are made in at least float32: the rounding to a 16-bit type comes once, at the end."""
    wide = EPS["float32"] if dtype in ("float16", "bfloat16") else EPS[dtype]
    return (spec.roundings + spec.length) * wide + (2 * EPS[dtype] if wide != EPS[dtype] else 0.0)


def difference(got: Any, expected: Any, allowed: float, signs: bool = False, least: float = 0.0) -> str:
    """What differs, or nothing. NaN equals NaN. Rounding is relative to the largest element, and to `least`."""
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        return f"shape {got.shape}, expected {expected.shape}"
    if not got.size:
        return ""
    if got.dtype.kind != "f" and expected.dtype.kind != "f":
        wrong = got != expected
    else:
        got, expected = got.astype(np.float64), expected.astype(np.float64)
        finite = np.abs(expected[np.isfinite(expected)])
        scale = max(float(finite.max()) if finite.size else 0.0, least)
        with np.errstate(all="ignore"):
            near = np.abs(got - expected) <= allowed * (np.abs(expected) + scale)
        wrong = ~(near | (got == expected) | (np.isnan(got) & np.isnan(expected)))
        if signs:
            wrong |= (got == 0) & (expected == 0) & (np.signbit(got) != np.signbit(expected))
    if not wrong.any():
        return ""
    where = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{int(wrong.sum())} of {got.size} differ, at {where}: {got[where]!r}, expected {expected[where]!r} (tolerance {allowed:.1e})"


def run(spec: Spec, framework: Any, call: Call) -> list[Any]:
    return results_of(spec.function(framework)(*call.args, **call.kwargs))


def attempt(spec: Spec, framework: Any, make_call: Callable[[], Call]) -> tuple[list[Any] | None, Exception | None]:
    call = make_call()
    try:
        with warnings.catch_warnings():
            if framework is not fastnn:
                warnings.simplefilter("ignore")
            return run(spec, framework, call), None
    except Exception as error:
        return None, error


def wrapped(array: Any, dtype: str) -> np.ndarray:
    """A reference's result as the integer dtype holds it."""
    array = np.asarray(array)
    if dtype == "bool":
        return array.astype(bool)
    return array.astype(np.int64).astype(dtype).astype(np.int64)


def signature_name(qualified: str) -> str:
    """The row that covers a registered operation: `fastnn.add` and `Tensor.add_` are `add`'s."""
    space, _, name = qualified.rpartition(".")
    space = space.removeprefix("fastnn").strip(".")
    if space == "Tensor":
        plain = name.removesuffix("_") if name.endswith("_") else name
        for choice in (name, f"Tensor.{name}", plain, f"Tensor.{plain}", f"nn.{plain}"):
            if choice in ROWS or choice in ELSEWHERE:
                return choice
        return qualified
    row = f"{space}.{name}" if space else name
    plain = row.removesuffix("_")
    return plain if row not in ROWS and row not in ELSEWHERE and plain in ROWS else row


def test_every_operation_has_a_row() -> None:
    missing = sorted({n for n in OPERATIONS if (row := signature_name(n)) not in ROWS and row not in ELSEWHERE})
    assert not missing


def test_every_row_is_an_operation() -> None:
    for name, spec in ROWS.items():
        assert callable(spec.function(fastnn)), name
        assert spec.samples, name
    covered = {signature_name(n) for n in OPERATIONS}
    assert sorted(name for name in ROWS if name not in covered | {"nonzero"}) == []
    assert sorted(name for name in ELSEWHERE if name not in covered) == []


@pytest.mark.asan
@every(lambda s: s.reference is not None and s.values)
def test_reference(spec: Spec) -> None:
    failures = Failures()
    for dtype in spec.dtypes:
        for number, sample in spec.used(dtype):
            if dtype == "uint8" and any(
                isinstance(one, int) and one < 0 for one in flatten([*sample.args, *sample.kwargs.values()])
            ):
                continue  # the number wraps too, or is a dimension: compared with torch
            got, error = attempt(spec, fastnn, lambda n=number, s=sample, d=dtype: make(fastnn, spec, n, s, d))
            if got is None:
                failures.add(dtype, told(sample), short(error or Exception()))
                continue
            expected = reference_of(spec, make(fastnn, spec, number, sample, dtype))
            if len(expected) != len(got):
                failures.add(dtype, told(sample), f"{len(got)} results, expected {len(expected)}")
                continue
            for one, want in zip(got, expected, strict=True):
                kind = dtype_of(one) if hasattr(one, "dtype") else ""
                if kind in EPS:
                    allowed = tolerance(spec, kind)
                else:
                    want, allowed = (wrapped(want, kind) if kind else want), 0.0
                wrong = difference(to_numpy(one), want, allowed, least=spec.scale)
                if wrong:
                    failures.add(dtype, told(sample), wrong)
    failures.done()


def unsupported(error: Exception) -> bool:
    """torch knows the operation, but has no kernel for the dtype."""
    return isinstance(error, NotImplementedError) or "not implemented for" in str(error) or "not support" in str(error)


def compare(spec: Spec, failures: Failures, dtype: str, number: int, sample: Sample, layout: Any, torch: Any) -> None:
    label = f"{dtype} {told(sample)}{'' if layout is contiguous else ' ' + layout.__name__}"
    theirs, reason = attempt(spec, torch, lambda: make(torch, spec, number, sample, dtype, layout=layout))
    ours, error = attempt(spec, fastnn, lambda: make(fastnn, spec, number, sample, dtype, layout=layout))
    if theirs is None:
        assert reason is not None
        if unsupported(reason) or dtype in spec.lenient:
            return
        if layout is not contiguous and "view size is not compatible" in str(reason) and spec.strided:
            return  # an operation of torch's that forgot about strides
        if ours is not None:
            failures.add(label, "no error, torch:", short(reason))
        elif not isinstance(error, type(reason)):
            failures.add(label, short(error or Exception()), "torch:", short(reason))
        return
    if ours is None:
        if dtype in spec.dtypes or not isinstance(error, NotImplementedError):
            failures.add(label, short(error or Exception()), "torch: fine")
        return
    if len(ours) != len(theirs):
        failures.add(label, f"{len(ours)} results, torch: {len(theirs)}")
        return
    for a, b in zip(ours, theirs, strict=True):
        if not hasattr(b, "dtype"):
            if type(a) is not type(b) or a != b:
                failures.add(label, repr(a), "torch:", repr(b))
            continue
        if dtype_of(a) != dtype_of(b):
            failures.add(label, dtype_of(a), "torch:", dtype_of(b))
        if tuple(a.shape) != tuple(b.shape):
            failures.add(label, tuple(a.shape), "torch:", tuple(b.shape))
            continue
        if spec.strides and b.numel() > 1 and (layout is contiguous or spec.pointwise or spec.view):
            strides = [tuple(s for s, n in zip(t.stride(), t.shape, strict=True) if n > 1) for t in (a, b)]
            if strides[0] != strides[1]:
                failures.add(label, "strides", a.stride(), "torch:", b.stride())
        if spec.values and dtype in (spec.torch_dtypes or ALL):
            kind = dtype_of(b)
            # torch rounds to 16 bits between the steps of some operations.
            allowed = (
                tolerance(spec, kind) + (4 * EPS[kind] if kind in ("float16", "bfloat16") else 0)
                if kind in EPS
                else 0.0
            )
            wrong = difference(to_numpy(a), to_numpy(b), allowed, least=spec.scale)
            if wrong:
                failures.add(label, wrong)


@every()
def test_against_torch(spec: Spec) -> None:
    """Value, dtype, shape, strides; and where torch raises, the exception's type."""
    torch = pytest.importorskip("torch")
    failures = Failures()
    layouts = (contiguous, transposed, stepped) if spec.strided else (contiguous,)
    for dtype in ALL:
        for number, sample in spec.used(dtype):
            if dtype == "bool" and any(one.distinct for one in sample.inputs()):
                continue  # the order of equals is open
            for layout in layouts if dtype in ("float32", "int64") else layouts[:1]:
                compare(spec, failures, dtype, number, sample, layout, torch)
    failures.done()


def gradients(spec: Spec, framework: Any, call: Call, order: int) -> list[Any]:
    """First derivatives of a weighted sum, then those of a weighted sum of them."""
    found: list[Any] = []
    scalar = weighted(framework, run(spec, framework, call))
    for left in reversed(range(order)):
        if scalar is None:
            return found
        grads = framework.autograd.grad(scalar, call.leaves, create_graph=left > 0, allow_unused=True)
        found += [to_numpy(g) for g in grads]
        scalar = weighted(framework, [g for g in grads if g is not None])
    return found


def finite(sample: Sample) -> bool:
    """No infinities and NaNs: their gradients are conventions."""
    return all(
        np.isfinite(np.asarray(one.values, dtype=np.float64)).all() for one in sample.inputs() if one.values is not None
    )


def zero_if_none(value: Any, like: Any) -> np.ndarray:
    return np.zeros(tuple(like.shape)) if value is None else np.asarray(value)


@every(lambda s: s.differentiable)
def test_gradients_against_torch(spec: Spec) -> None:
    torch = pytest.importorskip("torch")
    failures = Failures()
    for dtype in [d for d in ("float64", "float32", "bfloat16") if d in spec.dtypes]:
        for number, sample in spec.used(dtype):
            if not finite(sample):
                continue
            for layout in (contiguous, transposed) if spec.strided and dtype == "float64" else (contiguous,):
                label = f"{dtype} {told(sample)}{'' if layout is contiguous else ' transposed'}"
                order = 2 if dtype == "float64" and spec.twice else 1
                both = []
                for framework in (fastnn, torch):
                    try:
                        call = make(framework, spec, number, sample, dtype, grad=True, layout=layout)
                        both.append(gradients(spec, framework, call, order) if call.leaves else [])
                    except Exception as error:
                        both.append(error)
                ours, theirs = both
                if isinstance(theirs, Exception):
                    continue
                if isinstance(ours, Exception):
                    failures.add(label, short(ours))
                    continue
                for i in range(max(len(ours), len(theirs))):
                    like = call.leaves[i % len(call.leaves)]
                    a = zero_if_none(ours[i] if i < len(ours) else None, like)
                    b = zero_if_none(theirs[i] if i < len(theirs) else None, like)
                    allowed = 8 * tolerance(spec, dtype) + (16 * EPS[dtype] if dtype == "bfloat16" else 0)
                    wrong = difference(a, b, max(allowed, 64 * EPS[dtype], spec.gradients), least=1.0)
                    if wrong:
                        failures.add(label, "gradient", i, "order", 1 + i // len(call.leaves), wrong)
    failures.done()


def checkable(spec: Spec) -> Iterator[tuple[int, Sample]]:
    """Samples small enough for differences, element by element."""
    count = 0
    for number, sample in spec.used("float64"):
        size = sum(int(np.prod(one.shape)) for one in sample.inputs() if one.grad and one.dtype in (None, *FLOATS))
        if 0 < size <= 40 and count < 4 and sample.smooth:
            count += 1
            yield number, sample


def as_function(spec: Spec, number: int, sample: Sample) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The operation as a function of the inputs that require grad."""
    call = make(fastnn, spec, number, sample, "float64", grad=True)
    places = {id(leaf): i for i, leaf in enumerate(call.leaves)}

    def function(*leaves: Any) -> Any:
        def put(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return type(value)(put(one) for one in value)
            return leaves[places[id(value)]] if id(value) in places else value

        result = spec.function(fastnn)(*put(call.args), **{k: put(v) for k, v in call.kwargs.items()})
        return tuple(results_of(result))

    return function, tuple(call.leaves)


@every(lambda s: s.differentiable)
def test_derivatives(spec: Spec) -> None:
    """gradcheck and gradgradcheck: against central differences, without torch."""
    failures = Failures()
    for number, sample in checkable(spec):
        function, leaves = as_function(spec, number, sample)
        if spec.kinks and any(one.values is not None for one in sample.inputs()):
            continue
        size = sum(leaf.numel() for leaf in leaves)
        for check in [
            fastnn.autograd.gradcheck,
            *([fastnn.autograd.gradgradcheck] if spec.twice and size <= 16 else []),
        ]:
            try:
                check(function, leaves, rtol=1e-4, atol=1e-5)
            except Exception as error:
                failures.add(told(sample), check.__name__, short(error))
    failures.done()


@pytest.mark.asan
@every(lambda s: s.strided and s.values)
def test_memory_layouts(spec: Spec) -> None:
    """Any strides give what contiguous memory gives: values and gradients."""
    failures = Failures()
    dtype = "float32" if "float32" in spec.dtypes else spec.dtypes[0]
    for number, sample in spec.used(dtype):
        for layout in (transposed, stepped, expanded):
            try:
                call = make(fastnn, spec, number, sample, dtype, layout=layout)
                got = run(spec, fastnn, call)
                fresh = make(fastnn, spec, number, sample, dtype, layout=layout)
                copies = {id(t): t.clone(memory_format=fastnn.contiguous_format) for t in fresh.tensors}

                def put(value: Any, copies: dict[int, Any] = copies) -> Any:
                    if isinstance(value, (list, tuple)):
                        return type(value)(put(one) for one in value)
                    return copies.get(id(value), value)

                plain = Call(put(fresh.args), {k: put(v) for k, v in fresh.kwargs.items()}, [], [])
                expected = run(spec, fastnn, plain)
            except Exception as error:
                if layout is expanded and "single memory location" in str(error):
                    continue  # written in place
                failures.add(layout.__name__, told(sample), short(error))
                continue
            for a, b in zip(got, expected, strict=True):
                kind = dtype_of(b) if hasattr(b, "dtype") else ""
                wrong = difference(
                    to_numpy(a), to_numpy(b), tolerance(spec, kind) if kind in EPS else 0.0, least=spec.scale
                )
                if wrong:
                    failures.add(layout.__name__, told(sample), wrong)
    failures.done()


SPECIAL = {
    "float64": [
        np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        5e-324,
        -5e-324,
        2.2e-308,
        1.7e308,
        -1.7e308,
        1.0,
        -1.0,
        0.5,
        -2.5,
        710.0,
        -746.0,
        1e-9,
        30.0,
    ],
    "float32": [
        np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        1e-45,
        -1e-45,
        1.2e-38,
        3.4e38,
        -3.4e38,
        1.0,
        -1.0,
        0.5,
        -2.5,
        89.0,
        -104.0,
        1e-6,
        30.0,
    ],
    "bfloat16": [
        np.nan,
        np.inf,
        -np.inf,
        0.0,
        -0.0,
        1e-40,
        -1e-40,
        1.2e-38,
        3.3e38,
        -3.3e38,
        1.0,
        -1.0,
        0.5,
        -2.5,
        89.0,
        -104.0,
        0.001,
        30.0,
    ],
}


# The smallest normal number.
TINY = {"float64": 2.3e-308, "float32": 1.2e-38, "bfloat16": 1.2e-38}


def extreme_sample(sample: Sample, dtype: str) -> Sample | None:
    """The same call on special values: of one input, or all pairs, or triples."""
    places = [i for i, one in enumerate(sample.args) if isinstance(one, Input)]
    free = [i for i in places if sample.args[i].dtype is None]
    if not free or len(free) > 3 or any(isinstance(one, list) for one in sample.args):
        return None
    special = SPECIAL[dtype]
    if len(free) == 3:
        special = special[:12]
    grid = np.array(list(itertools.product(special, repeat=len(free)))).T
    grid = np.concatenate([grid, grid], 1)  # past the width of any vector
    args = list(sample.args)
    for row, i in zip(grid, free, strict=True):
        args[i] = Input((row.size,), values=row.tolist())
    for i in places:
        if i not in free:
            args[i] = Input(
                (grid.shape[1],), dtype=sample.args[i].dtype, values=(np.arange(grid.shape[1]) % 2).tolist()
            )
    return Sample(tuple(args), {k: v for k, v in sample.kwargs.items() if k != "inplace"})


# Whether a product that is added to is rounded only with the sum; if not, it may overflow first.
FUSED = fastnn._C.info()["isa"] != "base"
HUGE = {"float64": 4e307, "float32": 8e37, "bfloat16": 8e37, "float16": 1e4}


@every(lambda s: s.pointwise if s.extremes is None else s.extremes)
def test_extreme_values(spec: Spec) -> None:
    """NaN, infinities, signed zeros, subnormal and huge numbers, as torch has them."""
    torch = pytest.importorskip("torch")
    failures = Failures()
    seen = set()
    for sample in spec.samples:
        for dtype in [d for d in SPECIAL if d in spec.dtypes]:
            if sample.dtypes is not None and dtype not in sample.dtypes:
                continue
            special = extreme_sample(sample, dtype)
            if special is None or (dtype, told(special)) in seen:
                continue
            seen.add((dtype, told(special)))
            theirs, _ = attempt(spec, torch, lambda s=special, d=dtype: make(torch, spec, 0, s, d))
            ours, error = attempt(spec, fastnn, lambda s=special, d=dtype: make(fastnn, spec, 0, s, d))
            if theirs is None:
                continue
            if ours is None:
                failures.add(dtype, short(error or Exception()))
                continue
            values = [one.values for one in special.args if isinstance(one, Input)]
            for a, b in zip(ours, theirs, strict=True):
                got, want = np.atleast_1d(to_numpy(a)), np.atleast_1d(to_numpy(b))
                kind = dtype_of(b)
                allowed = tolerance(spec, kind) + (2 * EPS[kind] if kind == "bfloat16" else 0) if kind in EPS else 0.0
                checked = spec.reference is not None and kind in EPS
                own = np.atleast_1d(reference_of(spec, make(fastnn, spec, 0, special, dtype))[0]) if checked else want
                for i in range(got.size):
                    if spec.nan_signs and any(np.isnan(v[i]) for v in values):
                        continue
                    if spec.products and not FUSED and any(abs(v[i]) > HUGE[dtype] for v in values):
                        continue
                    least = max(spec.scale, TINY[dtype] / allowed if allowed else 0.0)  # subnormal results may be 0
                    wrong = all(
                        difference(got[i : i + 1], w[i : i + 1], allowed, spec.signed_zeros, least) for w in (want, own)
                    )
                    if wrong:
                        extra = ", ".join(str(x) for x in special.args if not isinstance(x, Input))
                        failures.add(
                            dtype,
                            "of",
                            tuple(v[i] for v in values),
                            extra,
                            special.kwargs or "",
                            "is",
                            got[i],
                            "torch:",
                            want[i],
                        )
    failures.done()


def bits_of(spec: Spec, threads: int) -> list[bytes]:
    assert spec.large is not None
    before = fastnn.get_num_threads()
    fastnn.set_num_threads(threads)
    try:
        found = []
        for dtype in [d for d in ("float32", "float64", "bfloat16", "int64") if d in spec.dtypes][:2]:
            call = make(fastnn, spec, 0, spec.large, dtype, grad=spec.differentiable)
            found += [to_numpy(one) for one in run(spec, fastnn, call)]
            if spec.differentiable and call.leaves:
                call = make(fastnn, spec, 0, spec.large, dtype, grad=True)
                found += [one for one in gradients(spec, fastnn, call, 1) if one is not None]
        return [np.asarray(one).tobytes() for one in found]
    finally:
        fastnn.set_num_threads(before)


@every(lambda s: s.large is not None)
def test_threads(spec: Spec) -> None:
    """Results and gradients do not depend on the number of threads, to the last bit."""
    alone = bits_of(spec, 1)
    for threads in (2, THREADS - 1):
        assert [i for i, (a, b) in enumerate(zip(alone, bits_of(spec, threads), strict=True)) if a != b] == []


@every(lambda s: s.differentiable)
def test_in_place_after_save(spec: Spec) -> None:
    """Writing into an input or a result after the forward: the right gradient, or an error, never a wrong one."""
    failures = Failures()
    for number, sample in itertools.islice(checkable(spec), 3):

        def begin(n: int = number, s: Sample = sample) -> tuple[Call, list[Any]]:
            call = make(fastnn, spec, n, s, "float64", grad=True, layout=lambda f, t: t * 1 if t.requires_grad else t)
            return call, [r for r in run(spec, fastnn, call) if hasattr(r, "dtype")]

        call, results = begin()
        scalar = weighted(fastnn, results)
        if scalar is None:
            continue
        right = [to_numpy(g) for g in fastnn.autograd.grad(scalar, call.leaves, allow_unused=True)]
        for which in range(len(call.tensors) + len(results)):
            call, results = begin()
            target = [*call.tensors, *results][which]
            scalar = weighted(fastnn, results)
            try:
                with fastnn.no_grad():
                    target.fill_(0 if dtype_of(target) == "bool" else 1)
                grads = [to_numpy(g) for g in fastnn.autograd.grad(scalar, call.leaves, allow_unused=True)]
            except RuntimeError as error:
                if "modified by an inplace operation" not in str(error) and "single memory location" not in str(error):
                    failures.add(told(sample), "written:", which, short(error))
                continue
            for a, b in zip(grads, right, strict=True):
                if (a is None) != (b is None) or (a is not None and difference(a, b, 1e-12)):
                    failures.add(told(sample), "written:", which, "a wrong gradient and no error")
    failures.done()


def test_in_place_after_save_is_an_error() -> None:
    """And it is an error where the value is surely needed."""
    for function in (fastnn.exp, fastnn.sigmoid, fastnn.tanh, fastnn.sqrt):
        x = fastnn.ones(3, requires_grad=True)
        y = function(x)
        with fastnn.no_grad():
            y.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
    for function in (fastnn.mul, fastnn.div, fastnn.matmul):
        a, b = fastnn.ones(3, requires_grad=True), fastnn.ones(3, requires_grad=True)
        y = function(a, b)
        with fastnn.no_grad():
            b.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()


def same(a: list[Any], b: list[Any]) -> bool:
    return len(a) == len(b) and all(not difference(to_numpy(x), to_numpy(y), 0.0) for x, y in zip(a, b, strict=True))


@every()
def test_variants(spec: Spec) -> None:
    """The method, the in-place method and `out=` do what the function does, and are there where torch has them."""
    torch = pytest.importorskip("torch")
    failures = Failures()
    name = spec.name.rpartition(".")[2]
    dtype = spec.dtypes[0]
    for number, sample in itertools.islice(spec.used(dtype), 4):
        if not spec.values or not sample.args or "inplace" in sample.kwargs:
            continue

        def fresh(framework: Any = fastnn, n: int = number, s: Sample = sample) -> Call:
            return make(framework, spec, n, s, dtype)

        call = fresh()
        expected, error = attempt(spec, fastnn, fresh)
        if expected is None:
            failures.add(told(sample), short(error or Exception()))
            continue
        first_is_tensor = isinstance(call.args[0], fastnn.Tensor)
        plain = "." not in spec.name
        if first_is_tensor and plain and hasattr(torch.Tensor, name) and name not in ("where", "bucketize"):
            if not hasattr(fastnn.Tensor, name):
                failures.add(f"Tensor.{name} is missing")
            elif not same(results_of(getattr(call.args[0], name)(*call.args[1:], **call.kwargs)), expected):
                failures.add(told(sample), f"Tensor.{name} differs")
        place = f"{name}_"
        if first_is_tensor and spec.inplace and not spec.name.startswith("nn.") and hasattr(torch.Tensor, place):
            if not hasattr(fastnn.Tensor, place):
                failures.add(f"Tensor.{place} is missing")
            else:
                theirs = fresh(torch)
                try:
                    wanted = getattr(theirs.args[0], place)(*theirs.args[1:], **theirs.kwargs)
                except Exception:
                    wanted = None
                call = fresh()
                target = call.args[0]
                version = target._version
                try:
                    got = getattr(target, place)(*call.args[1:], **call.kwargs)
                except Exception as problem:
                    if wanted is not None:
                        failures.add(told(sample), place, short(problem))
                else:
                    if wanted is None:
                        failures.add(told(sample), place, "no error")
                    else:
                        if got is not target:
                            failures.add(told(sample), place, "does not return its tensor")
                        if target._version == version and target.numel():
                            failures.add(told(sample), place, "version not increased")
                        wrong = difference(
                            to_numpy(got), to_numpy(wanted), tolerance(spec, dtype) if dtype in EPS else 0
                        )
                        if wrong:
                            failures.add(told(sample), place, wrong)
        failures_of_out(spec, fresh, expected, torch, failures, told(sample))
    failures.done()


def failures_of_out(
    spec: Spec, fresh: Callable[..., Call], expected: list[Any], torch: Any, failures: Failures, label: str
) -> None:
    """`out=`, where torch takes it."""
    if (
        not all(isinstance(one, fastnn.Tensor) for one in expected)
        or len(expected) > 2
        or spec.name.startswith("Tensor.")
    ):
        return

    def targets(framework: Any) -> Any:
        made = tuple(framework.empty(0, dtype=getattr(framework, dtype_of(one))) for one in expected)
        return made if len(made) > 1 else made[0]

    theirs = fresh(torch)
    try:
        spec.function(torch)(*theirs.args, **theirs.kwargs, out=targets(torch))
    except Exception:
        return
    call, out = fresh(), targets(fastnn)
    try:
        result = spec.function(fastnn)(*call.args, **call.kwargs, out=out)
    except Exception as error:
        failures.add(label, "out=:", short(error))
        return
    if not same(results_of(out), expected):
        failures.add(label, "out= differs")
    if not all(a is b for a, b in zip(results_of(result), results_of(out), strict=True)):
        failures.add(label, "out= is not what is returned")


def parameters(schema: str) -> list[tuple[str, str | None, bool]]:
    """(name, default, keyword only) of a schema."""
    inside = schema[schema.index("(") + 1 : schema.rindex(") ->")]
    found, depth, piece, only = [], 0, "", False
    for letter in inside + ",":
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and depth == 0:
            piece = piece.strip()
            if piece == "*":
                only = True
            elif piece:
                left, equals, default = piece.partition("=")
                found.append((left.split()[-1], default if equals else None, only))
            piece = ""
        else:
            piece += letter
    return found


def schemas(spec: Spec) -> list[str]:
    space, _, name = spec.name.rpartition(".")
    key = {"nn": "fastnn.nn.", "linalg": "fastnn.linalg.", "Tensor": "Tensor."}.get(space, "fastnn.") + name
    return list(OPERATIONS[key]._schemas) if key in OPERATIONS else []


@every(lambda s: s.keywords)
def test_keywords(spec: Spec) -> None:
    """Arguments by PyTorch's names give the same, in fastnn and in torch; and the defaults are as written."""
    torch = pytest.importorskip("torch")
    failures = Failures()
    dtype = spec.dtypes[0]
    for number, sample in spec.used(dtype):
        if not spec.values:
            continue
        for schema in schemas(spec):
            listed = parameters(schema)
            names = [n for n, _, only in listed if not only]
            if "*int[]" in schema or "*Tensor[]" in schema or len(sample.args) > len(names):
                continue
            both, skipped = [], False
            for framework in (fastnn, torch):
                call = make(framework, spec, number, sample, dtype)
                # PyTorch's methods take the tensor itself by position.
                lead = 1 if spec.name.startswith("Tensor.") else 0
                kwargs = dict(zip(names[lead:], call.args[lead:], strict=False)) | call.kwargs
                try:
                    both.append(results_of(spec.function(framework)(*call.args[:lead], **kwargs)))
                except Exception as error:
                    numbers = any(isinstance(one, (int, float)) for one in sample.args) and "Tensor|Scalar" in schema
                    if len(schemas(spec)) > 1 or (framework is torch and numbers):
                        skipped = True  # another overload, whose names are different
                        break
                    failures.add(framework.__name__, told(sample), sorted(kwargs), short(error))
                    skipped = True
                    break
            if not skipped and not same(both[0], run(spec, fastnn, make(fastnn, spec, number, sample, dtype))):
                failures.add(told(sample), "by keyword differs")
    failures.done()


@every(lambda s: s.name.startswith("nn."))
def test_signatures(spec: Spec) -> None:
    """Where torch's function is written in Python, the names and defaults are the same."""
    torch = pytest.importorskip("torch")
    try:
        theirs = inspect.signature(inspect.unwrap(spec.function(torch)))
    except (TypeError, ValueError):
        pytest.skip("no signature in torch")
    wanted = [(p.name, p.default) for p in theirs.parameters.values()]
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in theirs.parameters.values()):
        pytest.skip("no signature in torch")
    found = []
    for schema in schemas(spec):
        listed = parameters(schema)
        found.append(
            [
                (name, eval(default, {}) if default is not None else inspect.Parameter.empty)
                for name, default, _ in listed
            ]
        )
    assert wanted in found


@pytest.mark.asan
@every()
def test_errors(spec: Spec) -> None:
    """The row's mistakes, and those that anyone can make: PyTorch's exception types, and a message that names things."""
    failures = Failures()
    function = spec.function(fastnn)
    dtype = "float32" if "float32" in spec.dtypes else spec.dtypes[0]
    for number, (sample, kind, pattern) in enumerate(spec.errors):
        with pytest.raises(Exception) as caught:
            function(*(call := make(fastnn, spec, number, sample, dtype)).args, **call.kwargs)
        if not isinstance(caught.value, kind):
            failures.add(told(sample), short(caught.value), "expected", kind)
        elif pattern:
            caught.match(pattern)
        if len(str(caught.value)) < 15:
            failures.add(told(sample), "says only", repr(str(caught.value)))
    number, sample = next(spec.used(spec.dtypes[0]))
    for what, change in (
        ("an unknown keyword", lambda call: call.kwargs.update(no_such_argument=1)),
        ("an object", lambda call: call.args.__setitem__(0, object())),
        ("too many", lambda call: call.args.extend([object()] * 12)),
    ):
        call = make(fastnn, spec, number, sample, spec.dtypes[0])
        change(call)
        try:
            function(*call.args, **call.kwargs)
        except TypeError:
            continue
        except Exception as error:
            if spec.name != "einsum":  # takes subscripts after each operand, too
                failures.add(what, short(error))
        else:
            failures.add(what, "no error")
    failures.done()


@every(lambda s: bool(s.errors))
def test_errors_against_torch(spec: Spec) -> None:
    """torch raises the same types for the row's mistakes."""
    torch = pytest.importorskip("torch")
    failures = Failures()
    dtype = "float32" if "float32" in spec.dtypes else spec.dtypes[0]
    for number, (sample, _, _) in enumerate(spec.errors):
        _, reason = attempt(spec, torch, lambda n=number, s=sample: make(torch, spec, n, s, dtype))
        _, error = attempt(spec, fastnn, lambda n=number, s=sample: make(fastnn, spec, n, s, dtype))
        if reason is None:
            failures.add(told(sample), "torch does not raise; here:", short(error or Exception("no error")))
        elif not isinstance(error, type(reason)):
            failures.add(told(sample), short(error or Exception("no error")), "torch:", short(reason))
    failures.done()


def digest() -> dict[str, list[Any]]:
    """Results and gradients of all rows, in float32 and bfloat16."""
    found: dict[str, list[Any]] = {}
    for name, spec in ROWS.items():
        for dtype in [d for d in ("float32", "bfloat16", "int32") if d in spec.dtypes and spec.values]:
            samples = [
                *itertools.islice(spec.used(dtype), 3),
                *([(0, spec.large)] if spec.large and dtype == "float32" else []),
            ]
            for position, (number, sample) in enumerate(samples):
                call = make(fastnn, spec, number, sample, dtype, grad=spec.differentiable)
                values = [to_numpy(one) for one in run(spec, fastnn, call)]
                if spec.differentiable and call.leaves:
                    call = make(fastnn, spec, number, sample, dtype, grad=True)
                    values += gradients(spec, fastnn, call, 1)
                found[f"{name} {dtype} {position}"] = values
    return found


def test_instruction_sets() -> None:
    """The baseline build of the kernels and the best one agree, within rounding."""
    if fastnn._C._isa() == "base":
        pytest.skip("only the baseline here")
    here = digest()
    command = "import sys, pickle, test_ops; pickle.dump(test_ops.digest(), sys.stdout.buffer)"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "FASTNN_CPU_ISA": "base", "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", command], env=environment, capture_output=True, check=True)
    there = pickle.loads(done.stdout)
    assert list(here) == list(there)
    failures = Failures()
    for key, values in here.items():
        name, dtype, _ = key.split()
        spec = ROWS[name]
        allowed = 16 * (tolerance(spec, dtype) + 4 * EPS[dtype]) if dtype in EPS else 1e-5
        for a, b in zip(values, there[key], strict=True):
            if (a is None) != (b is None):
                failures.add(key, "a gradient is missing")
            elif a is not None and (wrong := difference(np.asarray(a), np.asarray(b), allowed, least=1.0)):
                failures.add(key, wrong)
    failures.done()
