"""Runs PyTorch's own operator samples through fastnn, and writes which names agree into docs/parity.md.

    python tools/parity.py                        every operation, a table of those that differ
    python tools/parity.py -k softmax -v          only names with "softmax", with each difference
    python tools/parity.py --jobs 2 --json out.json

Needs torch (the release named in .ci/run) with `expecttest`; both are for development only. Per operation it compares,
over PyTorch's samples (at most `--samples` a dtype): values, dtypes and shapes in every dtype that PyTorch supports on
a CPU, gradients and second derivatives in float64, the method, the in-place variant, and the error inputs.

Values agree when they are within a tolerance of PyTorch's. Where they are not, its own result in double precision of
the same inputs decides: what is at least as near to it as PyTorch's result agrees, too (a 16-bit operation that rounds
once instead of after each step). Eigenvectors and singular vectors are compared up to the phase that defines them.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import functools
import json
import math
import multiprocessing
import re
import sys
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.testing._internal.common_methods_invocations import op_db

import fastnn

# Not for a dense CPU library: named in the generated table as absent on purpose.
OUT_OF_SCOPE = re.compile(
    r"jiterator|sparse|^_|_scaled_mm|torch\.ops|triton|to_sparse|hash_tensor|masked\.|^native_|max_pool2d_with_indices_b"
    r"|^chalf$|_segment"
)
DTYPES = {
    torch.float32: "f32", torch.float64: "f64", torch.bfloat16: "bf16", torch.float16: "f16", torch.int64: "i64",
    torch.int32: "i32", torch.int16: "i16", torch.int8: "i8", torch.uint8: "u8", torch.bool: "bool",
    torch.complex64: "c64", torch.complex128: "c128",
}  # fmt: skip
TOLERANCE = {
    torch.float32: (2e-5, 2e-5),
    torch.float64: (1e-7, 1e-7),
    torch.bfloat16: (2e-2, 2e-2),
    torch.float16: (4e-3, 4e-3),
    torch.complex64: (2e-5, 2e-5),
    torch.complex128: (1e-7, 1e-7),
}
# PyTorch's double precision is exact to seven digits only.
ROUGH = re.compile("bessel_[jy]")
# The values differ on purpose from run to run, or are whatever was in memory.
RANDOM = re.compile(
    r"^(empty|new_empty|rand|bernoulli|normal|multinomial|cauchy|exponential|geometric|log_normal|uniform|resize_)"
    r"|dropout|rrelu|svd_lowrank|pca_lowrank"
)


# Gradients that are wrong in PyTorch 2.13: that of as_strided_scatter goes to the places that were overwritten.
WRONG_GRADIENTS = {"as_strided_scatter"}
# Where PyTorch gives no gradient though there is one: the window of istft, when it is padded. Second derivatives of
# linear_cross_entropy in pieces.
MISSING_GRADIENTS = {"istft", "nn.functional.linear_cross_entropy"}
# Results with the places of elements: which of several equal ones is left open. The position of `dim` in the arguments.
PLACES = {"topk": 1, "kthvalue": 1, "mode": 0, "sort": 0, "argsort": 0}
# Results of which the columns have a free phase (with svd, together with the rows of the last one): their places.
PHASES = {"linalg.eig": 1, "linalg.eigh": 1, "linalg.svd": 0, "svd": 0}
WIDER = {
    torch.float32: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float16: torch.float64,
    torch.complex64: torch.complex128,
}
# Below it PyTorch's double is a number where there is a pole: an argument of pi is not exact.
POLE = 1e30


class Difference(Exception):
    """What fastnn does differently."""


def to_ours(value: Any, leaves: list[tuple[Any, Any]], memory: dict[int, Any] | None = None) -> Any:
    """`value` with its torch objects replaced; pairs of tensors are added to `leaves`.

    With `memory`, which holds what was made, tensors that share memory share it again.
    """
    if isinstance(value, torch.Tensor):
        ours = _tensor(value.detach()) if memory is None else _shared(value.detach(), memory)
        if value.requires_grad:
            ours.requires_grad_()
        if isinstance(value, torch.nn.Parameter):
            ours = fastnn.nn.Parameter(ours)
        leaves.append((value, ours))
        return ours
    if isinstance(value, torch.dtype | torch.memory_format):
        return getattr(fastnn, str(value).split(".")[1])
    if isinstance(value, torch.layout):
        return getattr(fastnn, str(value).split(".")[1])
    if isinstance(value, torch.device):
        return fastnn.device(str(value))
    if isinstance(value, torch.Generator):
        return fastnn.Generator().manual_seed(value.initial_seed())
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(to_ours(item, leaves, memory) for item in value))
    if isinstance(value, torch.Size):
        return fastnn.Size(value)
    if isinstance(value, list | tuple):
        return type(value)(to_ours(item, leaves, memory) for item in value)
    if isinstance(value, dict):
        return {key: to_ours(item, leaves, memory) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(*(to_ours(item, leaves, memory) for item in (value.start, value.stop, value.step)))
    if isinstance(value, types.FunctionType):
        return rebind(value)
    if isinstance(value, torch.nn.LinearCrossEntropyOptions):
        return fastnn.nn.LinearCrossEntropyOptions(**to_ours(dataclasses.asdict(value), leaves, memory))
    if isinstance(value, torch.nn.Module):
        module = getattr(fastnn.nn, type(value).__name__)()
        module.__dict__.update({name: item for name, item in vars(value).items() if not name.startswith("_")})
        return module
    return value


def _shared(value: torch.Tensor, memory: dict[int, Any]) -> Any:
    storage = value.untyped_storage()
    if storage.nbytes() == 0 or value.is_meta:
        return _tensor(value)
    if storage.data_ptr() not in memory:
        count = storage.nbytes() // value.itemsize
        memory[storage.data_ptr()] = _tensor(torch.empty(0, dtype=value.dtype).set_(storage, 0, (count,), (1,)))
    whole = memory[storage.data_ptr()]
    return whole.as_strided(value.size(), value.stride(), value.storage_offset()).detach()


def _tensor(value: torch.Tensor) -> Any:
    value = value.resolve_conj().resolve_neg()
    elements = value.untyped_storage().nbytes() // value.itemsize
    if elements > value.numel() and value.numel() > 0:  # a part of a larger memory, which as_strided may read
        whole = torch.empty(0, dtype=value.dtype).set_(value.untyped_storage(), 0, (elements,), (1,))
        return _tensor(whole).as_strided(value.size(), value.stride(), value.storage_offset()).detach()
    storage = value.untyped_storage().clone()
    copy = torch.empty(0, dtype=value.dtype).set_(storage, value.storage_offset(), value.size(), value.stride())
    if value.dtype == torch.bfloat16:
        return fastnn.from_numpy(copy.view(torch.int16).numpy()).view(fastnn.bfloat16)
    return fastnn.from_numpy(copy.numpy())


def to_theirs(value: Any) -> Any:
    if isinstance(value, fastnn.Tensor):
        value = value.detach()
        if value.dtype == fastnn.bfloat16:
            return torch.from_numpy(value.contiguous().view(fastnn.int16).numpy()).view(torch.bfloat16)
        if hasattr(value, "resolve_conj"):
            value = value.resolve_conj()
        return torch.from_numpy(value.numpy().copy())
    return value


def seeded(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What PyTorch's tests call `wrapper_set_seed`."""
    fastnn.manual_seed(42)
    return function(*args, **kwargs)


def rebind(function: Any) -> Any:
    """A Python function of PyTorch's tests, with fastnn in the place of torch."""
    scope = {**function.__globals__, "torch": fastnn, "F": fastnn.nn.functional, "wrapper_set_seed": seeded}
    closure = function.__closure__
    if closure:
        closure = tuple(types.CellType(_ours_of(cell.cell_contents)) for cell in closure)
    made = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    return made


def _ours_of(content: Any) -> Any:
    if isinstance(content, types.FunctionType) and not content.__module__.startswith("torch.nn.functional"):
        return rebind(content)
    if callable(content) and hasattr(content, "__name__"):
        for space in (fastnn, fastnn.nn.functional, fastnn.Tensor):
            if hasattr(space, content.__name__):
                return getattr(space, content.__name__)
    return content


def find(name: str) -> Any:
    """The object of this dotted name, or None."""
    found: Any = fastnn
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            return None
    return found


def sliced(input: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    """What PyTorch has no public function for: it is written with brackets."""
    return input[(slice(None),) * dim + (slice(start, end, step),)]


def function_of(op: Any) -> Callable[..., Any] | None:
    name = op.name
    found = find(name)
    if isinstance(op.op, types.FunctionType) and op.op.__module__.startswith("torch.testing"):
        return rebind(op.op)  # it orders the arguments of the samples
    if name == "slice":
        return sliced
    if found is not None and callable(found) and not isinstance(found, type):
        return found
    method = getattr(fastnn.Tensor, name, None)
    if callable(method):
        return method
    return None


def flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple) and not isinstance(value, fastnn.Size | torch.Size):
        for item in value:
            yield from flat(item)
    else:
        yield value


def widened(value: Any) -> Any:
    """`value` with its tensors and types in double precision."""
    if isinstance(value, torch.Tensor):
        return value.detach().to(WIDER.get(value.dtype, value.dtype))
    if isinstance(value, torch.dtype):
        return WIDER.get(value, value)
    if isinstance(value, list | tuple) and not isinstance(value, torch.Size):
        return type(value)(map(widened, value))
    if isinstance(value, dict):
        return {key: widened(item) for key, item in value.items()}
    return value


def in_double(theirs: Callable[..., Any], op: Any, sample: Any) -> Callable[[], list[Any]]:
    """PyTorch's results for this sample in double precision, when they are asked for."""

    def results() -> list[Any]:
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            args = widened((sample.input, *sample.args))
            return list(flat(elements_at(op, sample, theirs(*args, **widened(sample.kwargs)))))
        except Exception:  # not every operation is there in double precision
            return []
        finally:
            torch.set_default_dtype(default)

    return results


def at_least_as_near(mine: torch.Tensor, theirs: torch.Tensor, exact: Any, rtol: float, atol: float) -> bool:
    """Whether each element is close to PyTorch's, or not farther from the exact value than that."""
    if not isinstance(exact, torch.Tensor) or exact.shape != theirs.shape or theirs.dtype not in WIDER:
        return False
    close = torch.isclose(mine, theirs, rtol=rtol, atol=atol, equal_nan=True)
    kind, mine, theirs = theirs.dtype, widened(mine), widened(theirs)
    near = (mine - exact).abs() <= (theirs - exact).abs()
    rounded = widened(exact.to(kind))
    broken = theirs.isfinite().logical_not() & torch.isclose(mine, rounded, rtol=rtol, atol=atol)  # it overflowed
    pole = mine.isinf() & (exact.abs() > POLE)
    scale = atol + rtol * exact.abs()
    worst = [((value - exact).abs() / scale).nan_to_num(posinf=0).max() for value in (mine, theirs)]
    return bool((close | near | broken | pole).all()) or bool(mine.isfinite().all() and worst[0] <= worst[1])


def with_phases_of(op: Any, ours: Any, theirs: Any) -> Any:
    """`ours` with the phases of its vectors turned into those of `theirs`."""
    if op.name not in PHASES or not isinstance(theirs, tuple) or (op.name == "svd" and not theirs[0].numel()):
        return ours
    results = [to_theirs(item) for item in ours]
    first = PHASES[op.name]
    if results[first].shape != theirs[first].shape:
        return ours
    overlap = (results[first].conj() * theirs[first]).sum(-2, keepdim=True)
    phase = torch.where(overlap == 0, torch.ones_like(overlap), overlap / overlap.abs())
    results[first] = results[first] * phase
    if op.name not in ("svd", "linalg.svd"):
        return tuple(map(_tensor, results))
    right, known = results[2], theirs[2]
    if op.name == "linalg.svd":
        right, known = right.mH, known.mH
    count = results[1].shape[-1]
    right = torch.cat((right[..., :count] * phase[..., :count], right[..., count:]), -1)
    # Beyond the singular values there are just two orthonormal bases of one space.
    for i, (ours_in, theirs_in) in enumerate(((results[0], theirs[0]), (right, known))):
        rest = ours_in[..., count:]
        turned = torch.cat((ours_in[..., :count], rest @ (rest.mH @ theirs_in[..., count:])), -1)
        results[2 * i] = turned if i == 0 or op.name == "svd" else turned.mH
    return tuple(_tensor(item.resolve_conj().contiguous()) for item in results)


def compare(
    what: str,
    ours: Any,
    theirs: Any,
    *,
    values: bool = True,
    tolerance: float = 1.0,
    exact: Callable[[], list[Any]] = list,
) -> None:
    mine, other = list(flat(ours)), list(flat(theirs))
    if len(mine) != len(other):
        raise Difference(f"{what}: {len(mine)} results, torch {len(other)}")
    for i, (m, t) in enumerate(zip(mine, other, strict=True)):
        if isinstance(t, torch.Tensor):
            if not isinstance(m, fastnn.Tensor):
                raise Difference(f"{what}: a {type(m).__name__}, torch a Tensor")
            if str(m.dtype).split(".")[1] != str(t.dtype).split(".")[1]:
                raise Difference(f"{what}: dtype {m.dtype}, torch {t.dtype}")
            if tuple(m.shape) != tuple(t.shape):
                raise Difference(f"{what}: shape {tuple(m.shape)}, torch {tuple(t.shape)}")
            if not values or t.numel() == 0:
                continue
            rtol, atol = TOLERANCE.get(t.dtype, (0, 0))
            tolerance = 100.0 if ROUGH.search(what) else tolerance
            theirs_dense = t.detach().resolve_conj().resolve_neg()
            try:
                torch.testing.assert_close(
                    to_theirs(m), theirs_dense, rtol=rtol * tolerance, atol=atol * tolerance, equal_nan=True
                )
            except AssertionError as error:
                known = exact()[i : i + 1]
                if known and at_least_as_near(to_theirs(m), theirs_dense, known[0], rtol * tolerance, atol * tolerance):
                    continue
                text = " ".join(str(error).split())
                raise Difference(f"{what}: values: {text[:300]}") from None
        elif isinstance(t, torch.dtype | torch.device):
            if str(m).split(".")[-1] != str(t).split(".")[-1]:
                raise Difference(f"{what}: {m}, torch {t}")
        elif isinstance(t, float) and math.isnan(t):
            if not math.isnan(m):
                raise Difference(f"{what}: {m}, torch {t}")
        elif isinstance(t, bool | int | float | complex | str | type(None)) and m != t:
            if not (isinstance(t, float) and math.isclose(m, t, rel_tol=1e-5)):
                raise Difference(f"{what}: {m!r}, torch {t!r}")


def differentiable(values: Any) -> list[Any]:
    return [
        v
        for v in flat(values)
        if isinstance(v, torch.Tensor | fastnn.Tensor) and v.requires_grad and (v.is_floating_point() or v.is_complex())
    ]


def check_gradients(op: Any, ours: Any, theirs: Any, leaves: list[tuple[Any, Any]], second: bool) -> None:
    their_out, our_out = differentiable(theirs), differentiable(ours)
    if len(their_out) != len(our_out):
        raise Difference(f"gradient: {len(our_out)} results require grad, torch {len(their_out)}")
    pairs = [(t, o) for t, o in leaves if t.requires_grad]
    if not their_out or not pairs:
        return
    torch.manual_seed(1)
    their_seeds = [torch.randn_like(t).requires_grad_() for t in their_out]
    our_seeds = [_tensor(seed.detach()).requires_grad_() for seed in their_seeds]
    their_first = torch.autograd.grad(
        their_out, [t for t, _ in pairs], their_seeds, create_graph=second, allow_unused=True
    )
    our_first = fastnn.autograd.grad(our_out, [o for _, o in pairs], our_seeds, create_graph=second, allow_unused=True)
    for m, t in zip(our_first, their_first, strict=True):
        if (m is None) != (t is None):
            known = m if m is not None else to_theirs_zero(t)
            if m is not None and op.name in MISSING_GRADIENTS:
                continue
            if known is None or bool((known != 0).any()):
                raise Difference(f"gradient: {'None' if m is None else 'a value'}, torch the opposite")
            continue
        if t is not None:
            compare("gradient", m, t, tolerance=10)
    if not second:
        return
    theirs_left = [t for t in their_first if t is not None and t.requires_grad]
    ours_left = [m for m, t in zip(our_first, their_first, strict=True) if t is not None and t.requires_grad]
    ours_left = [m for m in ours_left if m is not None]
    if not theirs_left:
        return
    seeds = [torch.randn_like(t) for t in theirs_left]
    try:
        their_second = torch.autograd.grad(theirs_left, [t for t, _ in pairs] + their_seeds, seeds, allow_unused=True)
    except RuntimeError as error:
        if "is not implemented" in str(error):
            return
        raise
    usable = [(m, _tensor(seed)) for m, seed in zip(ours_left, seeds, strict=True) if m.requires_grad]
    if not usable:
        if any(t is not None and bool((t != 0).any()) for t in their_second):
            raise Difference("second derivative: the gradient has no graph")
        return
    our_second = fastnn.autograd.grad(
        [m for m, _ in usable], [o for _, o in pairs] + our_seeds, [seed for _, seed in usable], allow_unused=True
    )
    for m, t in zip(our_second, their_second, strict=True):
        if m is None and t is None:
            continue
        if m is None or t is None:
            known = t if m is None else to_theirs(m)
            if bool((known.abs() > 1e-9).any()):  # what is zero but for rounding
                raise Difference(f"second derivative: {'None' if m is None else 'a value'}, torch the opposite")
            continue
        somewhere = t.isfinite()  # where PyTorch has one
        if bool(somewhere.any()):
            compare("second derivative", m[_tensor(somewhere)], t[somewhere], tolerance=100)


def to_theirs_zero(value: Any) -> Any:
    return None if value is None else value.detach()


def call_both(ours: Callable[..., Any], theirs: Callable[..., Any], sample: Any, in_place: bool = False) -> Any:
    """Results of both sides for one sample, with the pairs of tensors that went in."""
    leaves: list[tuple[Any, Any]] = []
    args = (sample.input, *sample.args)
    our_args = to_ours(args, leaves)
    our_kwargs = to_ours(sample.kwargs, leaves)
    if in_place:
        args = (args[0].clone(), *args[1:])
        our_args = (our_args[0].clone(), *our_args[1:])
    torch.manual_seed(0)
    fastnn.manual_seed(0)
    try:
        expected = theirs(*args, **sample.kwargs)
    except Exception as error:  # a sample that torch itself refuses
        return None, error, leaves
    if any(isinstance(item, torch.Tensor) and item.dtype == torch.complex32 for item in flat(expected)):
        return None, TypeError("complex32 is no dtype of fastnn"), leaves
    return ours(*our_args, **our_kwargs), expected, leaves


def describe(sample: Any, dtype: torch.dtype) -> str:
    def short(value: Any) -> str:
        if isinstance(value, torch.Tensor):
            return f"<{DTYPES.get(value.dtype, value.dtype)}{list(value.shape)}>"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(map(short, value)) + "]"
        return repr(value)

    parts = [short(sample.input), *map(short, sample.args), *(f"{k}={short(v)}" for k, v in sample.kwargs.items())]
    return f"{DTYPES[dtype]} ({', '.join(parts)})"


def elements_at(op: Any, sample: Any, result: Any) -> Any:
    """`result` with the elements of the input in the place of their indices."""
    if op.name not in PLACES or sample.input.dim() == 0:
        return result
    position = PLACES[op.name]
    dim = sample.kwargs.get("dim", sample.args[position] if len(sample.args) > position else -1)

    def element(indices: Any) -> Any:
        places = to_theirs(indices)
        places = places.unsqueeze(dim) if places.dim() < sample.input.dim() else places
        taken = sample.input.detach().gather(dim, places)
        return _tensor(taken) if isinstance(indices, fastnn.Tensor) else taken

    return (result[0], element(result[1])) if isinstance(result, tuple) else element(result)


def drops(op: Any, sample: Any) -> bool:
    """Whether the result depends on dropout, whose masks are other ones than PyTorch's."""
    by_place = op.name == "nn.functional.multi_head_attention_forward" and sample.args[9] > 0
    return bool(by_place or sample.kwargs.get("dropout_p"))


def check(op: Any, limit: int) -> dict[str, Any]:
    """Every difference found for one operation, as a list of texts under its kind."""
    failures: dict[str, list[str]] = collections.defaultdict(list)
    runs: collections.Counter[str] = collections.Counter()
    function = function_of(op)
    if function is None:
        return {"failures": {"missing": [op.name]}, "runs": {}}
    values = not RANDOM.search(op.name)

    def attempt(kind: str, sample_text: str, body: Callable[[], None]) -> None:
        runs[kind] += 1
        try:
            body()
        except Difference as error:
            failures[kind].append(f"{sample_text}: {error}")
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            failures[kind].append(f"{sample_text}: {text} [{place.name}]")

    for dtype in sorted(op.supported_dtypes("cpu") & DTYPES.keys(), key=lambda d: list(DTYPES).index(d)):
        kind = "complex" if dtype.is_complex else "values"
        try:
            samples = list(op.sample_inputs("cpu", dtype))
        except Exception:
            continue
        for sample in samples[:: max(1, len(samples) // limit)]:

            def values_agree(sample: Any = sample) -> None:
                ours, theirs, _ = call_both(function, op.op, sample)
                if not isinstance(theirs, Exception):
                    ours, theirs = elements_at(op, sample, ours), elements_at(op, sample, theirs)
                    exact = in_double(op.op, op, sample)
                    ours = with_phases_of(op, ours, theirs)
                    compare(op.name, ours, theirs, values=values and not drops(op, sample), exact=exact)

            attempt(kind, describe(sample, dtype), values_agree)
    for dtype in (torch.float64, torch.complex128):
        if op.name in WRONG_GRADIENTS or not op.supports_autograd or dtype not in op.supported_backward_dtypes("cpu"):
            continue
        kind = "complex gradients" if dtype.is_complex else "gradients"
        try:
            samples = list(op.sample_inputs("cpu", dtype, requires_grad=True))
        except Exception:
            continue
        for sample in samples[:: max(1, len(samples) // limit)]:

            def gradients_agree(sample: Any = sample) -> None:
                ours, theirs, leaves = call_both(function, op.op, sample)
                if not isinstance(theirs, Exception) and values and not drops(op, sample):
                    process = sample.output_process_fn_grad
                    our_process = rebind(process) if isinstance(process, types.FunctionType) else process
                    second = op.supports_gradgrad and op.name not in MISSING_GRADIENTS
                    check_gradients(op, our_process(ours), process(theirs), leaves, second)

            attempt(kind, describe(sample, dtype), gradients_agree)
    for kind, variant in (("method", op.method_variant), ("in place", op.inplace_variant)):
        if variant is None:
            continue
        name = getattr(variant, "__name__", "")
        ours = getattr(fastnn.Tensor, name, None) if name and not name.startswith("<") else None
        if ours is None and name.startswith("<"):
            ours = rebind(variant)
        if isinstance(variant, functools.partial):
            ours = functools.partial(_ours_of(variant.func), *variant.args, **variant.keywords)
        for dtype in (torch.float32, torch.int64):
            if dtype not in op.supported_dtypes("cpu"):
                continue
            try:
                samples = list(op.sample_inputs("cpu", dtype))
            except Exception:
                continue
            samples = [s for s in samples if isinstance(s.input, torch.Tensor) and not s.broadcasts_input]
            for sample in samples[:: max(1, len(samples) // limit)]:

                def variant_agrees(
                    sample: Any = sample, variant: Any = variant, ours: Any = ours, kind: str = kind
                ) -> None:
                    if ours is None:
                        raise Difference(f"no Tensor.{variant.__name__}")
                    mine, theirs, _ = call_both(ours, variant, sample, in_place=kind == "in place")
                    if not isinstance(theirs, Exception):
                        mine, theirs = elements_at(op, sample, mine), elements_at(op, sample, theirs)
                        mine = with_phases_of(op, mine, theirs)
                        compare("result", mine, theirs, values=values, exact=in_double(op.op, op, sample))

                attempt(kind, describe(sample, dtype), variant_agrees)
    if op.error_inputs_func is not None:
        for error_input in op.error_inputs("cpu"):
            sample = error_input.sample_input
            if isinstance(sample.input, torch.Tensor) and sample.input.dim() > 64:  # more than NumPy can carry over
                continue
            if any(isinstance(item, torch.Tensor) and item.is_meta for item in flat(list(sample.kwargs.values()))):
                continue  # a mixture of devices

            def refuses(
                sample: Any = sample, expected: Any = error_input.error_type, text: str = error_input.error_regex
            ) -> None:
                try:
                    op.op(sample.input, *sample.args, **sample.kwargs)
                    return  # only other devices refuse it
                except Exception as error:
                    known = type(error)
                given: dict[int, Any] = {}
                args = to_ours((sample.input, *sample.args), [], given)
                kwargs = to_ours(sample.kwargs, [], given)
                try:
                    function(*args, **kwargs)
                except Exception as error:
                    if not isinstance(error, (expected, known)):
                        raise Difference(f"{type(error).__name__}, torch {known.__name__}: {error}") from None
                    return
                raise Difference(f"no error, torch {known.__name__}: {text}")

            attempt("errors", describe(sample, torch.float32), refuses)
    return {"failures": dict(failures), "runs": dict(runs)}


def _work(job: tuple[str, int]) -> tuple[str, dict[str, Any]]:
    name, limit = job
    warnings.simplefilter("ignore")
    fastnn.set_num_threads(1)
    torch.set_num_threads(1)
    op = next(o for o in op_db if o.full_name == name)
    return name, check(op, limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", default="", help="a regular expression for the names")
    parser.add_argument("-v", action="store_true", help="show differences")
    parser.add_argument("--all", action="store_true", help="also operations that are out of scope")
    parser.add_argument("--samples", type=int, default=12, help="at most about so many samples a dtype (default: 12)")
    parser.add_argument("--show", type=int, default=3, help="differences shown of each kind (default: 3)")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", help="write all results into this file")
    options = parser.parse_args()
    names = [op.full_name for op in op_db if re.search(options.k, op.full_name)]
    if not options.all:
        names = [name for name in names if not OUT_OF_SCOPE.search(name)]
    jobs = [(name, options.samples) for name in dict.fromkeys(names)]
    results: dict[str, Any] = {}
    with multiprocessing.get_context("spawn").Pool(options.jobs) if options.jobs > 1 else _Serial() as pool:
        for name, result in pool.imap_unordered(_work, jobs):
            results[name] = result
            kinds = result["failures"]
            if kinds:
                counts = ", ".join(f"{k} {len(v)}/{result['runs'].get(k, 0)}" for k, v in kinds.items())
                print(f"{name}: {counts}", flush=True)
                if options.v:
                    for kind, texts in kinds.items():
                        for text in texts[: options.show]:
                            print(f"    {kind}: {text}", flush=True)
    whole = sum(not r["failures"] for r in results.values())
    real = sum(not {k for k in r["failures"] if not k.startswith("complex")} for r in results.values())
    print(f"{whole} of {len(results)} operations agree in everything; {real} but for complex numbers")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(results, file, indent=1)


class _Serial:
    def __enter__(self) -> _Serial:
        return self

    def __exit__(self, *args: object) -> None:
        pass

    imap_unordered = staticmethod(map)


if __name__ == "__main__":
    sys.exit(main())
