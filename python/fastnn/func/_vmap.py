"""``vmap``: a function of one example as a function of a batch of them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor
from fastnn.utils._pytree import TreeSpec, _broadcast_to_and_flatten, tree_flatten, tree_unflatten

from . import _custom_function as _custom_function
from . import _rules as _rules
from . import _rules_nn as _rules_nn
from ._batched import BatchedTensor, Frame, frames, wrap
from ._random_rules import interceptor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["vmap"]


def _check_randomness(randomness: str) -> None:
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")


def _batch_size(name: str, in_dims: Sequence[int | None], leaves: Sequence[Any]) -> int:
    sizes = [leaf.shape[dim] for dim, leaf in zip(in_dims, leaves, strict=True) if dim is not None]
    if not sizes:
        raise ValueError(
            f"vmap({name}, in_dims={tuple(in_dims)}, ...)(<inputs>): at least one input must be mapped over, got only "
            "None in in_dims"
        )
    if len(set(sizes)) > 1:
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the "
            "mapped dimension"
        )
    return int(sizes[0])


def _flat_inputs(name: str, in_dims: Any, args: tuple[Any, ...]) -> tuple[list[int | None], list[Any], TreeSpec]:
    where = f"vmap({name}, in_dims={in_dims}, ...)(<inputs>)"
    if not isinstance(in_dims, (int, tuple, list)):
        raise ValueError(
            f"{where}: expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, "
            f"got: {type(in_dims)}."
        )
    if not args:
        raise ValueError(f"{where}: got no inputs: there is nothing to vmap over.")
    leaves, spec = tree_flatten(args)
    dims = _broadcast_to_and_flatten(tuple(in_dims) if isinstance(in_dims, list) else in_dims, spec)
    if dims is None:
        raise ValueError(
            f"{where}: in_dims is not compatible with the structure of inputs. in_dims has structure "
            f"{tree_flatten(in_dims)[1]} but inputs has structure {spec}."
        )
    result: list[int | None] = []
    for leaf, dim in zip(leaves, dims, strict=True):
        if dim is None:
            result.append(None)
            continue
        if not isinstance(dim, int):
            raise ValueError(
                f"{where}: Got in_dim={dim} for an input but in_dim must be either an integer dimension or None."
            )
        if not isinstance(leaf, Tensor):
            raise ValueError(
                f"{where}: Got in_dim={dim} for an input but the input is of type {type(leaf)}. We cannot vmap over "
                "non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -leaf.dim() <= dim < leaf.dim():
            raise ValueError(
                f"{where}: Got in_dim={dim} for some input, but that input is a Tensor of dimensionality {leaf.dim()} "
                f"so expected in_dim to satisfy -{leaf.dim()} <= in_dim < {leaf.dim()}."
            )
        result.append(dim % leaf.dim())
    return result, leaves, spec


def _flat_out_dims(name: str, out_dims: Any, output: Any, spec: TreeSpec) -> list[Any]:
    if isinstance(output, Tensor):
        if isinstance(out_dims, (tuple, list)) and len(out_dims) == 1:
            out_dims = out_dims[0]
        flat = [out_dims] if out_dims is None or isinstance(out_dims, int) else None
    else:
        if isinstance(out_dims, list) and spec.type is tuple:
            out_dims = tuple(out_dims)
        if isinstance(out_dims, tuple) and spec.type is list:
            out_dims = list(out_dims)
        flat = _broadcast_to_and_flatten(out_dims, spec)
    if flat is None:
        raise ValueError(
            f"vmap({name}, ..., out_dims={out_dims})(<inputs>): out_dims is not compatible with the structure of "
            f"`outputs`. out_dims has structure {tree_flatten(out_dims)[1]} but outputs has structure {spec}."
        )
    return flat


def _unbatched(name: str, output: Any, dim: Any, frame: Frame) -> Any:
    if not isinstance(output, Tensor):
        if dim is None:
            return output
        raise ValueError(f"vmap({name}, ...): `{name}` must only return Tensors, got type {type(output)}.")
    batched = type(output) is BatchedTensor and output._level == frame.level
    if dim is None:
        if batched:
            raise ValueError(
                f"vmap({name}, ...): `{name}` can not return a BatchedTensor when out_dim is None: the result differs "
                "between examples"
            )
        return output
    if batched:
        value: Tensor = output._value  # type: ignore[attr-defined]
    else:
        value = output.unsqueeze(0).expand(frame.size, *output.shape)
    return value.movedim(0, dim) if dim else value


def _run(
    func: Callable[..., Any], name: str, leaves: Sequence[Any], dims: Sequence[int | None], spec: TreeSpec, size: int,
    out_dims: Any, randomness: str, kwargs: dict[str, Any],
) -> tuple[list[Any], list[Any], TreeSpec]:  # fmt: skip
    frame = Frame(frames[-1].level + 1 if frames else 1, size, randomness)
    inputs = [
        leaf if dim is None else wrap(leaf.movedim(dim, 0) if dim else leaf, frame.level)
        for leaf, dim in zip(leaves, dims, strict=True)
    ]
    frames.append(frame)
    _C._set_random_interceptor(interceptor)
    try:
        output = func(*tree_unflatten(inputs, spec), **kwargs)
    finally:
        frames.pop()
        if not frames:
            _C._set_random_interceptor(None)
    outputs, out_spec = tree_flatten(output)
    flat_dims = _flat_out_dims(name, out_dims, output, out_spec)
    return [_unbatched(name, *pair, frame) for pair in zip(outputs, flat_dims, strict=True)], flat_dims, out_spec


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    r"""A function that maps ``func`` over a dimension of its inputs, running each operation once for all examples.

    Args:
        func: takes tensors (in any nesting) and gives tensors.
        in_dims: the dimension of each input to map over, None for inputs that all examples share; nested like the
            inputs, or one for all.
        out_dims: where the new dimension of the outputs goes; nested like the outputs, or one for all.
        randomness: ``'error'``, ``'same'`` or ``'different'`` random numbers for the examples.
        chunk_size: how many examples run at a time (default: all).

    Returns:
        The mapped function.

    Raises:
        ValueError: nothing to map over, sizes that differ, dimensions that do not exist.
        RuntimeError: a random operation with ``randomness='error'``, control flow that depends on the data.

    Example::

        >>> import fastnn
        >>> dot = fastnn.vmap(fastnn.dot)
        >>> dot(fastnn.ones(3, 5), fastnn.ones(3, 5))
        tensor([5., 5., 5.])
        >>> outer = fastnn.vmap(fastnn.vmap(fastnn.mul, in_dims=(None, 0)), in_dims=(0, None))
        >>> outer(fastnn.tensor([1., 2.]), fastnn.tensor([3., 4.]))
        tensor([[3., 4.],
                [6., 8.]])
    """
    _check_randomness(randomness)
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")
    name = getattr(func, "__name__", repr(func))

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        dims, leaves, spec = _flat_inputs(name, in_dims, args)
        size = _batch_size(name, dims, leaves)
        run = functools.partial(_run, func, name, out_dims=out_dims, randomness=randomness, kwargs=kwargs)
        if chunk_size is None or chunk_size >= size:
            outputs, _, out_spec = run(leaves, dims, spec, size)
            return tree_unflatten(outputs, out_spec)
        parts: list[list[Any]] = []
        flat_dims: list[Any] = []
        for start in range(0, size, chunk_size):
            count = min(chunk_size, size - start)
            chunk = [
                leaf if dim is None else leaf.narrow(dim, start, count) for leaf, dim in zip(leaves, dims, strict=True)
            ]
            outputs, flat_dims, out_spec = run(chunk, dims, spec, count)
            parts.append(outputs)
        joined = [
            column[0] if dim is None else _C.cat(list(column), dim)
            for column, dim in zip(zip(*parts, strict=True), flat_dims, strict=True)
        ]
        return tree_unflatten(joined, out_spec)

    return wrapped
