"""Normalisation over neighbouring channels, from average pooling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn._C import Tensor
from fastnn._C import nn as _nn

from .padding import pad

if TYPE_CHECKING:
    pass


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Divide by `(k + alpha * mean of x**2 over `size` neighbouring channels)**beta`.

    Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks (2012).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.local_response_norm(fastnn.ones(1, 3, 1), 2).shape
        torch.Size([1, 3, 1])
    """
    if input.dim() < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {input.dim()} dimensions)")
    if input.numel() == 0:
        return input
    square = (input * input).reshape(input.size(0), 1, input.size(1), -1)
    padded = pad(square, (0, 0, size // 2, (size - 1) // 2))
    mean = _nn.avg_pool2d(padded, (size, 1), 1).reshape(input.shape)
    return input / (mean * alpha + k) ** beta
