"""Running results of an associative function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn import _C

from ..utils import _pytree

__all__ = ["associative_scan"]


def associative_scan(
    combine_fn: Callable[[Any, Any], Any], xs: Any, dim: int, reverse: bool = False, combine_mode: str = "pointwise"
) -> Any:
    """The running results of an associative function along a dimension: y[0] = x[0], y[i] = f(y[i - 1], x[i]).

    The function is called about log2(n) times, on many pairs at once.

    Args:
        combine_fn: f(a, b), for structures like `xs`; associative.
        xs: a tensor, or a structure of tensors of one length along `dim`.
        dim: the dimension.
        reverse: begin at the end.
        combine_mode: `"pointwise"` if the function works element by element, `"generic"` if it takes the slices of one
            index, without `dim`.

    Returns:
        A structure like `xs`, of the same shapes.

    Raises:
        ValueError: the mode is not known, there is nothing to scan, or the lengths differ.

    Example:
        >>> import fastnn
        >>> from fastnn._higher_order_ops import associative_scan
        >>> associative_scan(lambda a, b: a + b, fastnn.arange(5), dim=0)
        tensor([ 0,  1,  3,  6, 10])
    """
    if combine_mode not in ("pointwise", "generic"):
        raise ValueError(f"Combine_mode must either 'pointwise' or 'generic', but got {combine_mode}")
    leaves, structure = _pytree.tree_flatten(xs)
    if not leaves:
        raise ValueError("Expected at least 1 xs leaf")
    leaves = [leaf.movedim(dim, 0) for leaf in leaves]
    leaves = [leaf.flip(0) for leaf in leaves] if reverse else leaves
    lengths = {leaf.shape[0] for leaf in leaves}
    if len(lengths) != 1:
        raise ValueError(f"associative_scan: the lengths of xs along dim {dim} differ: {sorted(lengths)}")
    (length,) = lengths
    combine = combine_fn
    if combine_mode == "generic":
        from ..func import vmap

        combine = vmap(combine_fn)
    offset = 1
    while offset < length:
        earlier = structure.unflatten([leaf[:-offset] for leaf in leaves])
        later = structure.unflatten([leaf[offset:] for leaf in leaves])
        joined = _pytree.tree_leaves(combine(earlier, later))
        leaves = [_C.cat([leaf[:offset], new]) for leaf, new in zip(leaves, joined, strict=True)]
        offset *= 2
    leaves = [leaf.flip(0) for leaf in leaves] if reverse else leaves
    return structure.unflatten([leaf.movedim(0, dim) for leaf in leaves])
