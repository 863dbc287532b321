"""Numbers for each dimension, under the names that layers written for PyTorch import."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .._sizes import _per_dimension
from .._sizes import list_with_default as _list_with_default
from .._sizes import pair as _pair
from .._sizes import single as _single
from .._sizes import triple as _triple

__all__ = ["_list_with_default", "_ntuple", "_pair", "_quadruple", "_reverse_repeat_tuple", "_single", "_triple"]


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    """A function that gives a value for each of `n` dimensions.

    Example:
        >>> from fastnn.nn.modules.utils import _ntuple
        >>> _ntuple(2)(3)
        (3, 3)
    """

    def parse(value: Any) -> tuple[Any, ...]:
        return _per_dimension(value, n)

    parse.__name__ = name
    return parse


_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(t: Iterable[Any], n: int) -> tuple[Any, ...]:
    """The elements from the last to the first, each `n` times.

    Example:
        >>> from fastnn.nn.modules.utils import _reverse_repeat_tuple
        >>> _reverse_repeat_tuple((1, 2), 2)
        (2, 2, 1, 1)
    """
    return tuple(value for value in reversed(tuple(t)) for _ in range(n))
