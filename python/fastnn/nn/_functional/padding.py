"""Padding: elements around the last dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn._autocast import in_float32
from fastnn._C import Tensor
from fastnn._C import nn as _nn

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
    if mode in ("reflect", "replicate") and not (mode == "reflect" and len(pad) > 4):
        return _mirrored(input, list(pad), mode, value)
    return _nn.pad(input, list(pad), mode, value)


_mirrored = in_float32(_nn.pad)
