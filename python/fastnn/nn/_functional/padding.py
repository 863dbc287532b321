"""Padding: elements around the last dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Add elements around the last dimensions, or with negative sizes take them away.

    Args:
        input: any shape.
        pad: (before, after) of the last dimension, then of the one before it, and so on.
        mode: "constant", "reflect" (mirrored, without the edge), "replicate" (the edge) or "circular".
        value: what "constant" fills with. Default: 0.

    Raises:
        NotImplementedError: the mode is unknown, or does not go with the number of dimensions.
        RuntimeError: a padding is larger than the mode allows.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.pad(fastnn.tensor([[1.0, 2.0, 3.0]]), (1, 1), mode="reflect")
        tensor([[2., 1., 2., 3., 2.]])
    """
    if mode == "constant":
        return _constant_pad(input, pad, 0.0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
    count = len(pad) // 2
    if len(pad) % 2 or not 1 <= count <= 3 or input.dim() not in (count + 1, count + 2):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now; "
            f"got pad of length {len(pad)} and input of shape {tuple(input.shape)}"
        )
    for i in range(count):
        dim = input.dim() - 1 - i
        before, after = pad[2 * i], pad[2 * i + 1]
        if before or after:
            places = _padded_places(mode, input.size(dim), before, after, tuple(input.shape), dim)
            input = input.index_select(dim, _C.tensor(places, dtype=_C.int64))
    return input


def _constant_pad(input: Tensor, pad: Sequence[int], value: float) -> Tensor:
    """`input` set into a tensor full of `value`; negative sizes cut off first."""
    count = len(pad) // 2
    if len(pad) % 2:
        raise RuntimeError(f"Padding length must be divisible by 2, but got length {len(pad)}")
    if count > input.dim():
        raise RuntimeError(
            f"Padding length should be less than or equal to two times the input dimension but got padding "
            f"length {len(pad)} and input of dimension {input.dim()}"
        )
    shape, inner = list(input.shape), [slice(None)] * input.dim()
    for i in range(count):
        dim = input.dim() - 1 - i
        before, after = pad[2 * i], pad[2 * i + 1]
        size = shape[dim] + before + after
        if size < 0:
            raise RuntimeError(
                f"The input size {shape[dim]}, plus negative padding {before} and {after} resulted in a negative "
                f"output size, which is invalid. Check dimension {dim} of your input."
            )
        if before < 0 or after < 0:
            first = max(-before, 0)
            input = input.narrow(dim, first, max(min(shape[dim], shape[dim] + after) - first, 0))
        shape[dim] = size
        inner[dim] = slice(max(before, 0), max(before, 0) + input.size(dim))
    if input.shape == tuple(shape):
        return input.clone()
    result = input.new_full(shape, value)
    result[tuple(inner)] = input
    return result


def _padded_places(mode: str, size: int, before: int, after: int, shape: tuple[int, ...], dim: int) -> list[int]:
    """For each element of the padded dimension, where it comes from."""
    places = range(-before, size + after)
    if size == 0 or len(places) <= 0:
        raise RuntimeError(f"pad: dimension {dim} of shape {shape} with padding ({before}, {after}) is empty")
    if mode == "replicate":
        return [min(max(i, 0), size - 1) for i in places]
    if mode == "reflect":
        if before >= size or after >= size:
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension, but got: "
                f"padding ({before}, {after}) at dimension {dim} of input {list(shape)}"
            )
        return [size - 1 - abs(size - 1 - abs(i)) for i in places]
    if before > size or after > size:
        raise RuntimeError("Padding value causes wrapping around more than once.")
    return [i % size for i in places]
