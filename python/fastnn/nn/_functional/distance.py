"""Norms of vectors, distances and angles between them."""

from __future__ import annotations

from fastnn import _C, broadcast_tensors
from fastnn._C import Tensor


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Tensor | None = None) -> Tensor:
    """Divide by the p-norm along `dim`, which counts as at least `eps`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.normalize(fastnn.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])
    """
    norm = input.norm(p, dim, keepdim=True).clamp(min=eps)
    return input / norm if out is None else _C.div(input, norm, out=out)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Cosine of the angle between `x1` and `x2` along `dim`; each norm counts as at least `eps`.

    Shape:
        `x1` and `x2` broadcast to one shape; the result has it without `dim`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.cosine_similarity(fastnn.tensor([[1.0, 0.0]]), fastnn.tensor([[0.0, 2.0]]))
        tensor([0.])
    """
    x1, x2 = broadcast_tensors(x1, x2)
    norm1 = x1.norm(2, dim, keepdim=True).clamp(min=eps)
    norm2 = x2.norm(2, dim, keepdim=True).clamp(min=eps)
    return ((x1 / norm1) * (x2 / norm2)).sum(dim)


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of `x1 - x2 + eps` along the last dimension.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.pairwise_distance(fastnn.zeros(1, 2), fastnn.tensor([[3.0, 4.0]]))
        tensor([5.0000])
    """
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)
