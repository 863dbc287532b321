"""Products of matrices in groups of unequal size, as mixtures of experts have them."""

from __future__ import annotations

from itertools import pairwise

from fastnn import _C
from fastnn._C import Tensor

__all__ = ["grouped_mm"]


def grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    *,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: _C.dtype | None = None,
) -> Tensor:
    """The products of G groups of matrices.

    Group i of a matrix with two dimensions has its rows or columns from `offs[i - 1]` (0 for the first) to `offs[i]`;
    of a tensor with three it is element i. What is behind the last group is 0.

    Args:
        mat_a: (M, K), the rows of all groups, or if `mat_b` has two dimensions, too, their columns; or (G, M, K).
        mat_b: (K, N), the columns of all groups, or their rows; or (G, K, N).
        offs: where each group ends, (G,), of dtype int32; None if both have three dimensions.
        bias: None; it is not supported, as in PyTorch.
        out_dtype: that of `mat_a`.

    Returns:
        (M, N) where one has two dimensions, else (G, M, N).

    Raises:
        RuntimeError: shapes or dtypes do not go together.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> tokens, experts = fastnn.ones(3, 2), fastnn.stack([fastnn.eye(2), 5 * fastnn.eye(2)])
        >>> F.grouped_mm(tokens, experts, offs=fastnn.tensor([1, 3], dtype=fastnn.int32))
        tensor([[1., 1.],
                [5., 5.],
                [5., 5.]])
    """
    for name, matrix in (("mat_a", mat_a), ("mat_b", mat_b)):
        if matrix.dim() not in (2, 3):
            raise RuntimeError(f"{name} has to be 2 or 3d")
    both = mat_a.dim() == mat_b.dim() == 3
    if both != (offs is None):
        raise RuntimeError("Have to provide offsets if there is a 2d matrix, or no offset if both matrices are 3d")
    if mat_a.size(-1) != mat_b.size(-2):
        raise RuntimeError("contraction dimension of mat_a and mat_b must match")
    if bias is not None:
        raise RuntimeError("Bias not supported yet")
    if out_dtype is not None and out_dtype != mat_a.dtype:
        raise RuntimeError("Grouped gemm output dtype must match `mat_a` dtype")
    if offs is None:
        return _C.bmm(mat_a, mat_b)
    if offs.dtype != _C.int32:
        raise RuntimeError("Offsets have to be int32")
    groups = next((matrix.size(0) for matrix in (mat_a, mat_b) if matrix.dim() == 3), offs.numel())
    if groups != offs.numel():
        raise RuntimeError("matrix batch sizes have to match")
    ends = [0, *offs.tolist()]
    parts = [slice(start, end) for start, end in pairwise(ends)]
    if mat_b.dim() == 3:
        rows = [mat_a[part] @ mat_b[i] for i, part in enumerate(parts)]
        return _C.cat([*rows, mat_a.new_zeros(mat_a.size(0) - ends[-1], mat_b.size(2))])
    if mat_a.dim() == 3:
        columns = [mat_a[i] @ mat_b[:, part] for i, part in enumerate(parts)]
        return _C.cat([*columns, mat_a.new_zeros(mat_a.size(1), mat_b.size(1) - ends[-1])], 1)
    return _C.stack([mat_a[:, part] @ mat_b[part] for part in parts])
