"""Padding layers: constant, reflection, replication and circular, in one to three dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import functional as F
from .._sizes import _per_dimension
from .module import Module

if TYPE_CHECKING:
    from fastnn._C import Tensor

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _PadNd(Module):
    """Elements around the last dimensions.

    Args:
        padding: how many on every side, or (before, after) of the last dimension, then of the one before.
    """

    mode: str
    spatial: int

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _per_dimension(padding, 2 * self.spatial)

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPadNd(_PadNd):
    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """Put `value` around the last dimension.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ConstantPad1d(1, 9.0)(fastnn.tensor([[1.0, 2.0]]))
        tensor([[9., 1., 2., 9.]])
    """

    spatial = 1


class ConstantPad2d(_ConstantPadNd):
    """Put `value` around the last two dimensions.

    Args:
        padding: how many on every side, or (left, right, top, bottom).
        value: what to fill with.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ConstantPad2d((1, 0, 0, 1), 7.0)(fastnn.zeros(1, 1, 1))
        tensor([[[7., 0.],
                 [7., 7.]]])
    """

    spatial = 2


class ConstantPad3d(_ConstantPadNd):
    """Put `value` around the last three dimensions.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ConstantPad3d(1, 9.0)(fastnn.ones(1, 1, 1, 1)).shape
        torch.Size([1, 3, 3, 3])
    """

    spatial = 3


class _ZeroPadNd(_ConstantPadNd):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPadNd):
    """Put zeros around the last dimension.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ZeroPad1d((1, 2))(fastnn.tensor([[1.0, 2.0]]))
        tensor([[0., 1., 2., 0., 0.]])
    """

    spatial = 1


class ZeroPad2d(_ZeroPadNd):
    """Put zeros around the last two dimensions; `padding` is a number or (left, right, top, bottom).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ZeroPad2d((1, 0, 0, 1))(fastnn.ones(1, 1, 1))
        tensor([[[0., 1.],
                 [0., 0.]]])
    """

    spatial = 2


class ZeroPad3d(_ZeroPadNd):
    """Put zeros around the last three dimensions.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ZeroPad3d(1)(fastnn.ones(1, 1, 1, 1)).shape
        torch.Size([1, 3, 3, 3])
    """

    spatial = 3


class ReflectionPad1d(_PadNd):
    """Mirror the last dimension at its edges, without the edges themselves.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ReflectionPad1d(1)(fastnn.tensor([[1.0, 2.0]]))
        tensor([[2., 1., 2., 1.]])
    """

    mode = "reflect"
    spatial = 1


class ReflectionPad2d(_PadNd):
    """Mirror the last two dimensions at their edges, without the edges themselves.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ReflectionPad2d((1, 0, 0, 0))(fastnn.tensor([[[1.0, 2.0]]]))
        tensor([[[2., 1., 2.]]])
    """

    mode = "reflect"
    spatial = 2


class ReflectionPad3d(_PadNd):
    """Mirror the last three dimensions at their edges, without the edges themselves.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ReflectionPad3d(1)(fastnn.ones(1, 2, 2, 2)).shape
        torch.Size([1, 4, 4, 4])
    """

    mode = "reflect"
    spatial = 3


class ReplicationPad1d(_PadNd):
    """Repeat the edges of the last dimension.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ReplicationPad1d(1)(fastnn.tensor([[1.0, 2.0]]))
        tensor([[1., 1., 2., 2.]])
    """

    mode = "replicate"
    spatial = 1


class ReplicationPad2d(_PadNd):
    """Repeat the edges of the last two dimensions.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ReplicationPad2d((1, 0, 0, 0))(fastnn.tensor([[[1.0, 2.0]]]))
        tensor([[[1., 1., 2.]]])
    """

    mode = "replicate"
    spatial = 2


class ReplicationPad3d(_PadNd):
    """Repeat the edges of the last three dimensions.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ReplicationPad3d(1)(fastnn.ones(1, 2, 2, 2)).shape
        torch.Size([1, 4, 4, 4])
    """

    mode = "replicate"
    spatial = 3


class CircularPad1d(_PadNd):
    """Continue the last dimension from its other end.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.CircularPad1d(1)(fastnn.tensor([[1.0, 2.0]]))
        tensor([[2., 1., 2., 1.]])
    """

    mode = "circular"
    spatial = 1


class CircularPad2d(_PadNd):
    """Continue the last two dimensions from their other ends.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.CircularPad2d((1, 0, 0, 0))(fastnn.tensor([[[1.0, 2.0]]]))
        tensor([[[2., 1., 2.]]])
    """

    mode = "circular"
    spatial = 2


class CircularPad3d(_PadNd):
    """Continue the last three dimensions from their other ends.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.CircularPad3d(1)(fastnn.ones(1, 2, 2, 2)).shape
        torch.Size([1, 4, 4, 4])
    """

    mode = "circular"
    spatial = 3
