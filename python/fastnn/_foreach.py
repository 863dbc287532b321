"""``fastnn._foreach_add_`` and its kin: one operation on each tensor of a list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["FUNCTIONS"]

_UNARY = (
    "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg reciprocal round "
    "rsqrt sigmoid sign sin sinh sqrt tan tanh trunc"
)
# Each of the other arguments is a list with one for each tensor, or one for all.
_MORE = "add sub mul div pow clamp_max clamp_min maximum minimum addcdiv addcmul lerp"
# These take numbers, too.
_LIMITS = {"maximum": "clamp_min", "minimum": "clamp_max"}


def _each(name: str, function: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
    def run(self: Sequence[Tensor], *others: Any, **options: Any) -> tuple[Any, ...]:
        for other in others:
            if isinstance(other, (list, tuple)) and len(other) != len(self):
                raise RuntimeError(
                    f"Tensor lists must have the same number of tensors, got {len(self)} and {len(other)}"
                )
        # The last argument of addcmul and addcdiv is their number.
        numbered = name.startswith("addc") and len(others) > 2
        if numbered:
            others, numbers = others[:-1], others[-1]
        result = []
        for place, one in enumerate(self):
            own = [other[place] if isinstance(other, (list, tuple)) else other for other in others]
            if numbered:
                options["value"] = float(numbers[place]) if hasattr(numbers, "__getitem__") else numbers
            result.append(function(one, *own, **options))
        return tuple(result)

    run.__name__ = run.__qualname__ = f"_foreach_{name}"
    run.__doc__ = f"``{name}`` of each tensor; other arguments are lists with one for each, or one for all."
    return run


def _in_place(name: str) -> Callable[..., None]:
    method = f"{_LIMITS.get(name, name)}_"
    each = _each(name, lambda one, *others, **options: getattr(one, method)(*others, **options))

    def run(self: Sequence[Tensor], *others: Any, **options: Any) -> None:
        each(self, *others, **options)

    run.__name__ = run.__qualname__ = f"_foreach_{name}_"
    run.__doc__ = f"``{name}_`` of each tensor; other arguments are lists with one for each, or one for all."
    return run


def _make() -> dict[str, Callable[..., Any]]:
    made: dict[str, Callable[..., Any]] = {}
    for name in [*_UNARY.split(), *_MORE.split()]:
        made[f"_foreach_{name}"] = _each(name, getattr(_C, _LIMITS.get(name, name)))
        made[f"_foreach_{name}_"] = _in_place(name)
    made["_foreach_zero_"] = _in_place("zero")
    made["_foreach_copy_"] = _in_place("copy")
    made["_foreach_clone"] = _each("clone", _C.clone)
    made["_foreach_max"] = _each("max", _C.max)
    made["_foreach_norm"] = _each("norm", lambda one, ord=2, dtype=None: _C.linalg.vector_norm(one, ord, dtype=dtype))
    return made


FUNCTIONS = _make()
