"""Embeddings: tables of vectors, looked up by number, alone or in bags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _C
from fastnn._C import Tensor

from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module

if TYPE_CHECKING:
    from typing_extensions import Self

    from fastnn._C import device as Device
    from fastnn._C import dtype as DType

__all__ = ["Embedding", "EmbeddingBag"]


def _row(padding_idx: int | None, rows: int, name: str) -> int | None:
    """`padding_idx` as a row from 0 on."""
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise AssertionError(f"{name} must be within num_embeddings")
    return padding_idx % rows


def _check_table(weight: Tensor, rows: int, cols: int) -> None:
    if tuple(weight.shape) != (rows, cols):
        raise AssertionError("Shape of weight does not match num_embeddings and embedding_dim")


class Embedding(Module):
    """`y = weight[x]`.

    Args:
        num_embeddings: how many vectors.
        embedding_dim: the size of each.
        padding_idx: a number whose vector starts as zeros and gets no gradient.
        max_norm: if given, vectors that are looked up are scaled down to this norm, in place.
        norm_type: the p of that norm. Default: 2.
        scale_grad_by_freq: whether gradients are divided by how often a number occurs in the batch.
        sparse: whether the gradient is sparse; see `functional.embedding`.
        _weight: the table, instead of one drawn from the standard normal distribution.
        _freeze: whether the table gets no gradient.
        device, dtype: of the table.

    Shape:
        Input (*) of int64 or int32, output (*, embedding_dim). `weight` is (num_embeddings, embedding_dim).

    Raises:
        AssertionError: `padding_idx` is outside the table, or `_weight` has another shape.
        IndexError: in the forward pass, a number is outside the table.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Embedding(10, 3, padding_idx=0)(fastnn.tensor([[0, 0]])).tolist()
        [[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]]
    """

    weight: Tensor

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = _row(padding_idx, num_embeddings, "Padding_idx")
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        if _weight is None:
            table = _C.empty((num_embeddings, embedding_dim), device=device, dtype=dtype)
            self.weight = Parameter(table, requires_grad=not _freeze)
            self.reset_parameters()
        else:
            _check_table(_weight, num_embeddings, embedding_dim)
            self.weight = Parameter(_weight, requires_grad=not _freeze)

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])

    def forward(self, input: Tensor) -> Tensor:
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq is not False:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        if self.sparse is not False:
            text += ", sparse=True"
        return text

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """Make an Embedding whose table is `embeddings`.

        Args:
            embeddings: shape (num_embeddings, embedding_dim).
            freeze: whether the table gets no gradient. Default: True.
            padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse: as for the class.

        Example:
            >>> import fastnn; from fastnn import nn
            >>> nn.Embedding.from_pretrained(fastnn.eye(2))(fastnn.tensor([1])).tolist()
            [[0.0, 1.0]]
        """
        if embeddings.dim() != 2:
            raise AssertionError("Embeddings parameter is expected to be 2-dimensional")
        rows, cols = embeddings.shape
        return cls(
            rows,
            cols,
            padding_idx,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            sparse,
            _weight=embeddings,
            _freeze=freeze,
        )


class EmbeddingBag(Module):
    """Sums, means or maxima of bags of vectors.

    Args:
        num_embeddings: how many vectors.
        embedding_dim: the size of each.
        max_norm: if given, vectors that are looked up are scaled down to this norm, in place.
        norm_type: the p of that norm. Default: 2.
        scale_grad_by_freq: whether gradients are divided by how often a number occurs in the batch.
        mode: "sum", "mean" or "max". Default: "mean".
        sparse: whether the gradient is sparse; see `functional.embedding`.
        _weight: the table, instead of one drawn from the standard normal distribution.
        include_last_offset: whether `offsets` has the end of the last bag too.
        padding_idx: a number that does not count in any bag; its vector starts as zeros and gets no gradient.
        device, dtype: of the table.

    Shape:
        Input (B, N), or (N,) with offsets (B,), of int64 or int32; output (B, embedding_dim).

    Raises:
        AssertionError: `padding_idx` is outside the table, or `_weight` has another shape.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> bag = nn.EmbeddingBag(4, 3, mode="sum")
        >>> bag(fastnn.tensor([1, 2, 0]), fastnn.tensor([0, 2])).shape
        torch.Size([2, 3])
    """

    weight: Tensor

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.padding_idx = _row(padding_idx, num_embeddings, "padding_idx")
        if _weight is None:
            self.weight = Parameter(_C.empty((num_embeddings, embedding_dim), device=device, dtype=dtype))
            self.reset_parameters()
        else:
            _check_table(_weight, num_embeddings, embedding_dim)
            self.weight = Parameter(_weight)
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset

    def reset_parameters(self) -> None:
        """Draw the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            init.zeros_(self.weight.detach()[self.padding_idx])

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq is not False:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        text += f", mode={self.mode!r}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        return text

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> Self:
        """Make an EmbeddingBag whose table is `embeddings`.

        Args:
            embeddings: shape (num_embeddings, embedding_dim).
            freeze: whether the table gets no gradient. Default: True.
            max_norm, norm_type, scale_grad_by_freq, mode, sparse, include_last_offset, padding_idx: as for the
                class.

        Example:
            >>> import fastnn; from fastnn import nn
            >>> nn.EmbeddingBag.from_pretrained(fastnn.eye(2))(fastnn.tensor([[1, 0]])).tolist()
            [[0.5, 0.5]]
        """
        if embeddings.dim() != 2:
            raise AssertionError("Embeddings parameter is expected to be 2-dimensional")
        rows, cols = embeddings.shape
        bag = cls(
            rows,
            cols,
            max_norm,
            norm_type,
            scale_grad_by_freq,
            mode,
            sparse,
            embeddings,
            include_last_offset,
            padding_idx,
        )
        bag.weight.requires_grad = not freeze
        return bag
