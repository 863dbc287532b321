"""Dimensions by name: transpose, split and join them in one step."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from fastnn import _C

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn._C import Tensor

__all__ = ["rearrange"]

_TOKEN = re.compile(r"\s*(\.\.\.|\(|\)|[A-Za-z_][A-Za-z0-9_]*|\d+)")


def _groups(side: str, pattern: str) -> list[list[str]]:
    """The names of each dimension; "1" has none."""
    groups: list[list[str]] = []
    inside, at = False, 0
    side = side.strip()
    while at < len(side):
        match = _TOKEN.match(side, at)
        if match is None:
            raise ValueError(f"rearrange: unexpected {side[at:].strip()[0]!r} in pattern {pattern!r}")
        token, at = match[1], match.end()
        if token in "()":
            if inside == (token == "("):
                raise ValueError(f"rearrange: brackets do not match or are nested in pattern {pattern!r}")
            inside = token == "("
            if inside:
                groups.append([])
        elif token.isdigit():
            if token != "1":
                raise ValueError(f"rearrange: the only number in a pattern is 1, got {token} in {pattern!r}")
            if not inside:
                groups.append([])
        elif inside:
            groups[-1].append("(...)" if token == "..." else token)
        else:
            groups.append([token])
    if inside:
        raise ValueError(f"rearrange: brackets do not match or are nested in pattern {pattern!r}")
    return groups


def rearrange(tensor: Tensor | Sequence[Tensor], pattern: str, **axes_lengths: int) -> Tensor:
    """Transpose, split and join dimensions that have names.

    Args:
        tensor: the tensor, or tensors of one shape, which are stacked along a new first dimension.
        pattern: "names before -> names after"; names in brackets make one dimension, "..." is any number of
            dimensions, "1" is one of size 1.
        axes_lengths: sizes of names that the shape does not give.

    Raises:
        ValueError: the pattern is not of this form, a name is on one side only, or sizes do not go together.

    Example::

        >>> import fastnn
        >>> images = fastnn.zeros(32, 30, 40, 3)
        >>> fastnn.func.rearrange(images, "b h w c -> b (c h w)").shape
        torch.Size([32, 3600])
        >>> fastnn.func.rearrange(images, "b (h h1) (w w1) c -> b h w (c h1 w1)", h1=2, w1=2).shape
        torch.Size([32, 15, 20, 12])
    """
    if not isinstance(tensor, _C.Tensor):
        tensor = _C.stack(list(tensor))
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError(f"rearrange: expected one '->' in pattern {pattern!r}")
    left, right = (_groups(side, pattern) for side in sides)
    hidden = tensor.dim() - sum(group != ["..."] for group in left)
    if hidden < 0 or (hidden > 0 and ["..."] not in left):
        raise ValueError(f"rearrange: pattern {pattern!r} does not fit a tensor of {tensor.dim()} dimensions")
    unseen = [f".{i}" for i in range(hidden)]
    left = [one for group in left for one in ([[name] for name in unseen] if group == ["..."] else [group])]
    right = [one for group in right for one in ([[name] for name in unseen] if group == ["..."] else [group])]
    right = [[one for name in group for one in (unseen if name == "(...)" else [name])] for group in right]
    before = [name for group in left for name in group]
    after = [name for group in right for name in group]
    if len(set(before)) < len(before) or sorted(before) != sorted(after):
        raise ValueError(f"rearrange: each name has to be once on either side of pattern {pattern!r}")
    if unknown := sorted(axes_lengths.keys() - set(before)):
        raise ValueError(f"rearrange: {unknown[0]} is not in pattern {pattern!r}")
    sizes = dict(axes_lengths)
    for group, size in zip(left, tensor.shape, strict=True):
        open_names = [name for name in group if name not in sizes]
        known = prod(sizes[name] for name in group if name in sizes)
        if len(open_names) > 1:
            raise ValueError(f"rearrange: the sizes of {', '.join(open_names)} in pattern {pattern!r} are not given")
        if open_names:
            sizes[open_names[0]] = size // known if known else 0
        if prod(sizes[name] for name in group) != size:
            raise ValueError(f"rearrange: a dimension of size {size} is not ({' '.join(group)}) with {sizes}")
    whole = tensor.reshape([sizes[name] for name in before]).permute([before.index(name) for name in after])
    return whole.reshape([prod(sizes[name] for name in group) for group in right])
