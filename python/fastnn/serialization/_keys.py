"""Which objects may be keys of dicts and members of sets in a checkpoint."""

from __future__ import annotations

from typing import Any

from fastnn import _C

from ._globals import lookup, name_of_global

__all__ = ["is_key"]

_SCALARS = (str, int, float, bool, bytes, complex, type(None))
_MAX_DEPTH = 4
_MAX_LEAVES = 1000


def is_key(obj: Any) -> bool:
    """Whether hashing ``obj`` is safe and cheap: a scalar, or a small tuple of scalars.

    The hash of a tuple visits everything below it. A hostile file could nest tuples a million deep, or share them so
    that a visit never ends.
    """
    return _leaves(obj, _MAX_DEPTH) <= _MAX_LEAVES


def _leaves(obj: Any, depth: int) -> int:
    kind = type(obj)
    if kind in _SCALARS or kind is _C.dtype or kind is _C.device:
        return 1
    if (kind is tuple or kind is _C.Size) and depth and len(obj) <= _MAX_LEAVES:
        count = 0
        for item in obj:
            count += _leaves(item, depth - 1)
            if count > _MAX_LEAVES:
                break
        return count
    return 1 if not isinstance(obj, tuple) and lookup(*name_of_global(kind)) is kind else _MAX_LEAVES + 1
