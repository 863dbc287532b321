"""Views as new memory: ``view_copy`` is ``view`` and ``clone`` in one, and so on."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "alias_copy",
    "as_strided_copy",
    "detach_copy",
    "diagonal_copy",
    "expand_copy",
    "narrow_copy",
    "permute_copy",
    "select_copy",
    "slice_copy",
    "split_copy",
    "split_with_sizes_copy",
    "squeeze_copy",
    "t_copy",
    "transpose_copy",
    "unbind_copy",
    "unfold_copy",
    "unsqueeze_copy",
    "view_as_complex_copy",
    "view_as_real_copy",
    "view_copy",
]


def _written(result: Tensor, out: Tensor | None) -> Tensor:
    copy = result.clone(memory_format=_C.contiguous_format)
    return copy if out is None else out.resize_(result.shape).copy_(copy)


def _copied(name: str, view: Callable[..., Any]) -> Callable[..., Any]:
    """``view``, of which the results have memory of their own."""

    @functools.wraps(view, assigned=())
    def function(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        result = view(*args, **kwargs)
        if isinstance(result, Tensor):
            return _written(result, out)
        outs = out if out is not None else (None,) * len(result)
        return tuple(_written(part, target) for part, target in zip(result, outs, strict=True))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"``{name.removesuffix('_copy')}``, with memory of its own."
    return function


def _slice(input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:
    axis = dim + input.dim() if dim < 0 else dim
    return input[(slice(None),) * axis + (slice(start, end, step),)]


def _expand(input: Tensor, size: Any, *, implicit: bool = False) -> Tensor:
    return input.expand(size)


def _narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    if dim >= input.dim():  # as PyTorch does, which has an IndexError for the other end
        raise RuntimeError(f"narrow: Dimension out of range (expected -{input.dim()} to {input.dim() - 1}, got {dim})")
    return input.narrow(dim, start, length)


def _view(input: Tensor, size: Any) -> Tensor:
    return input.view(size)


def _unfold(input: Tensor, dimension: int, size: int, step: int) -> Tensor:
    return input.unfold(dimension, size, step)


def _alias(input: Tensor) -> Tensor:
    return input


def _detach(input: Tensor) -> Tensor:
    return input.detach()


alias_copy = _copied("alias_copy", _alias)
as_strided_copy = _copied("as_strided_copy", _C.as_strided)
detach_copy = _copied("detach_copy", _detach)
diagonal_copy = _copied("diagonal_copy", _C.diagonal)
expand_copy = _copied("expand_copy", _expand)
narrow_copy = _copied("narrow_copy", _narrow)
permute_copy = _copied("permute_copy", _C.permute)
select_copy = _copied("select_copy", _C.select)
slice_copy = _copied("slice_copy", _slice)
split_copy = _copied("split_copy", _C.split)
split_with_sizes_copy = _copied("split_with_sizes_copy", _C.split_with_sizes)
squeeze_copy = _copied("squeeze_copy", _C.squeeze)
t_copy = _copied("t_copy", _C.t)
transpose_copy = _copied("transpose_copy", _C.transpose)
unbind_copy = _copied("unbind_copy", _C.unbind)
unfold_copy = _copied("unfold_copy", _unfold)
unsqueeze_copy = _copied("unsqueeze_copy", _C.unsqueeze)
view_as_complex_copy = _copied("view_as_complex_copy", _C.view_as_complex)
view_as_real_copy = _copied("view_as_real_copy", _C.view_as_real)
view_copy = _copied("view_copy", _view)
