"""Products of tensors whose arguments come in several forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["chain_matmul", "einsum", "tensordot"]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _subscripts(places: Sequence[Any]) -> str:
    """The letters for one operand's list of dimension numbers."""
    letters = []
    for place in places:
        if place is Ellipsis:
            letters.append("...")
        elif isinstance(place, int) and 0 <= place < len(_LETTERS):
            letters.append(_LETTERS[place])
        else:
            raise ValueError(f"einsum(): expected a subscript in [0, {len(_LETTERS)}) or Ellipsis, got {place!r}")
    return "".join(letters)


def einsum(*args: Any) -> Tensor:
    """Sum of products of elements, by Einstein's convention.

    Args:
        equation: one letter per dimension of each operand, operands separated by commas, then optionally "->" and
            the letters of the result. Letters that the result lacks are summed over; "..." stands for dimensions
            that broadcast. Without "->" the result has the letters that appear once, in alphabetical order.
        operands: the tensors, one by one or as a list. Instead of an equation, each operand may be followed by a
            list of numbers that name its dimensions, with the result's list last.

    Raises:
        RuntimeError: the equation does not go with the operands.

    Example:
        >>> a, b = fastnn.arange(6.0).reshape(2, 3), fastnn.ones(3, 2)
        >>> fastnn.einsum("ij,jk->ik", a, b)
        tensor([[ 3.,  3.],
                [12., 12.]])
        >>> fastnn.einsum(a, [0, 1], [1, 0]).shape
        torch.Size([3, 2])
    """
    if not args:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one operand and its "
            "subscripts list"
        )
    if isinstance(args[0], str):
        equation, operands = args[0], args[1:]
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = tuple(operands[0])
    else:
        equation = ",".join(_subscripts(places) for places in args[1::2])
        if len(args) % 2:
            equation = ",".join(_subscripts(places) for places in args[1:-1:2]) + "->" + _subscripts(args[-1])
        operands = args[:-1:2] if len(args) % 2 else args[::2]
    return _C.einsum(equation, list(operands))


def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Tensor:
    """Sum over pairs of dimensions of two tensors.

    Args:
        dims: how many dimensions, the last of `a` with the first of `b`; or two lists, of dimensions of `a` and of
            `b`, that are paired in order.
        out: where the result goes.

    Shape:
        The dimensions of `a` that stay, then those of `b`.

    Example:
        >>> a, b = fastnn.ones(2, 3, 4), fastnn.ones(4, 3, 5)
        >>> fastnn.tensordot(a, b, dims=([1, 2], [1, 0])).shape
        torch.Size([2, 5])
    """
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        result = _C.tensordot(a, b, dims)
    else:
        of_a, of_b = ([side] if isinstance(side, int) else list(side) for side in dims)
        result = _C.tensordot(a, b, of_a, of_b)
    return result if out is None else out.resize_(result.shape).copy_(result)


def chain_matmul(*matrices: Any, out: Tensor | None = None) -> Tensor:
    """The product of two or more matrices, in the order that needs the fewest multiplications.

    Example:
        >>> a, b, c = fastnn.ones(2, 3), fastnn.ones(3, 4), fastnn.ones(4, 5)
        >>> fastnn.chain_matmul(a, b, c).shape
        torch.Size([2, 5])
    """
    given = matrices[0] if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)) else matrices
    result = given[0] if len(given) == 1 else _C.linalg.multi_dot(list(given))
    return result if out is None else out.resize_(result.shape).copy_(result)
