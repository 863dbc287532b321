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


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distances between all pairs of rows: those of row 0 first, then of row 1 with the later ones, ...

    Args:
        input: shape (N, M).
        p: at least 0; 0 counts the columns that differ.

    Shape:
        The result is (N * (N - 1) / 2,).

    Raises:
        RuntimeError: `input` is not a matrix of floats, or `p` is negative.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.pdist(fastnn.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
        tensor([5.0000, 1.0000, 4.2426])
    """
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if not input.is_floating_point():
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    order = _C.arange(input.size(0))
    first, second = (order.unsqueeze(1) < order.unsqueeze(0)).nonzero(as_tuple=True)
    return (input[first] - input[second]).norm(p, -1)
