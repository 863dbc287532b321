"""Dropout of elements and of whole channels."""

from __future__ import annotations

from fastnn._C import Tensor

from .. import functional as F
from .module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _DropoutNd(Module):
    """Probability and in-place flag of a dropout.

    Raises:
        ValueError: `p` is outside [0, 1].
    """

    p: float
    inplace: bool

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """In training, zero each element with probability `p` and divide the others by `1 - p`.

    Args:
        p: the probability. Default: 0.5.
        inplace: whether the input is overwritten. Default: False.

    Shape:
        Input and output any.

    Hinton et al., Improving neural networks by preventing co-adaptation of feature detectors (2012).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Dropout(0.2).eval()(fastnn.ones(3))
        tensor([1., 1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """Dropout of whole channels of an input of shape (N, C, L) or (C, L); arguments as `Dropout`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Dropout1d(0.2).eval()(fastnn.ones(1, 2, 1)).flatten()
        tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """Dropout of whole channels of an input of shape (N, C, H, W); arguments as `Dropout`.

    Tompson et al., Efficient Object Localization Using Convolutional Networks (2015).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Dropout2d(0.2).eval()(fastnn.ones(1, 2, 1, 1)).flatten()
        tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """Dropout of whole channels of an input of shape (N, C, D, H, W); arguments as `Dropout`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Dropout3d(0.2).eval()(fastnn.ones(1, 2, 1, 1, 1)).flatten()
        tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Dropout that keeps mean 0 and variance 1, for SELU; arguments as `Dropout`.

    Klambauer et al., Self-Normalizing Neural Networks (2017).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.AlphaDropout(0.2).eval()(fastnn.ones(1, 2)).flatten()
        tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.alpha_dropout(input, self.p, self.training, self.inplace)


class FeatureAlphaDropout(_DropoutNd):
    """Alpha dropout of whole channels; arguments as `Dropout`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.FeatureAlphaDropout(0.2).eval()(fastnn.ones(1, 2, 1)).flatten()
        tensor([1., 1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.feature_alpha_dropout(input, self.p, self.training, self.inplace)
