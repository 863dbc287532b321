"""Approximations of low rank by random projection."""

from __future__ import annotations

from fastnn import _C, linalg
from fastnn._C import Tensor

__all__ = ["pca_lowrank", "svd_lowrank"]


def _range_of(matrix: Tensor, rank: int, iterations: int) -> Tensor:
    """An orthonormal basis that nearly holds the range of a matrix: algorithm 4.4 of Halko, Martinsson and Tropp."""
    basis = linalg.qr(matrix @ _C.randn(matrix.shape[-1], rank, dtype=matrix.dtype)).Q
    for _ in range(iterations):
        basis = linalg.qr(matrix.mH @ basis).Q
        basis = linalg.qr(matrix @ basis).Q
    return basis


def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """An approximate singular value decomposition, ``A - M = U diag(S) V^H``, of a matrix that has nearly rank ``q``.

    Args:
        A: matrices of shape (*, m, n).
        q: how many singular values are wanted: somewhat more than the rank; by default 6.
        niter: iterations of the subspace, which make the approximation better; by default 2.
        M: what is subtracted from ``A``; its shape broadcasts to that of ``A``.

    Shape:
        U is (*, m, q), S is (*, q), V is (*, n, q).

    Raises:
        ValueError: ``q`` is negative or more than the smaller of m and n, or ``niter`` is negative.

    Example:
        >>> A = fastnn.outer(fastnn.tensor([3.0, 4.0]), fastnn.tensor([0.0, 2.0, 0.0]))
        >>> U, S, V = fastnn.svd_lowrank(A, q=1)
        >>> S
        tensor([10.])

    Source:
        Halko, Martinsson and Tropp, Finding structure with randomness, SIAM Review 53 (2011).
    """
    q = 6 if q is None else q
    niter = 2 if niter is None else niter
    if not 0 <= q <= min(A.shape[-2:]):
        raise ValueError(f"svd_lowrank: q (={q}) must be non-negative and at most min(m, n)={min(A.shape[-2:])}")
    if niter < 0:
        raise ValueError(f"svd_lowrank: niter (={niter}) must be non-negative")
    matrix = A if M is None else A - M
    wide = matrix.shape[-2] < matrix.shape[-1]
    if wide:
        matrix = matrix.mH
    basis = _range_of(matrix, q, niter)
    left, values, right = linalg.svd(basis.mH @ matrix, full_matrices=False)
    left, right = basis @ left, right.mH
    return (right, values, left) if wide else (left, values, right)


def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Approximate principal components: the singular value decomposition of the rows of ``A`` about their mean.

    Args:
        A: matrices of shape (*, m, n): m samples of n features.
        q: how many components; by default the smallest of 6, m and n.
        center: whether the mean of the rows is subtracted first.
        niter: iterations of the subspace, which make the approximation better.

    Shape:
        U is (*, m, q), S is (*, q); the columns of V, (*, n, q), are the principal directions.

    Raises:
        ValueError: ``q`` is negative or more than the smaller of m and n, or ``niter`` is negative.

    Example:
        >>> U, S, V = fastnn.pca_lowrank(fastnn.tensor([[1.0, 0.0], [3.0, 0.0]]), q=1)
        >>> S
        tensor([1.4142])

    Source:
        Halko, Martinsson and Tropp, Finding structure with randomness, SIAM Review 53 (2011).
    """
    smallest = min(A.shape[-2:])
    q = min(6, smallest) if q is None else q
    if not 0 <= q <= smallest:
        raise ValueError(f"pca_lowrank: q (={q}) must be non-negative and at most min(m, n)={smallest}")
    if niter < 0:
        raise ValueError(f"pca_lowrank: niter (={niter}) must be non-negative")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)
