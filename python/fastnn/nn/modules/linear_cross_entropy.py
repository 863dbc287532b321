"""A linear layer and the cross entropy of its outputs as one module."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from fastnn import _C
from fastnn._C import Tensor, dtype
from fastnn._C import device as _device

from .. import functional as F
from .linear import Linear
from .loss import _WeightedLoss

__all__ = ["LinearCrossEntropyLoss", "LinearCrossEntropyOptions"]


_POLICIES = ("accurate", "balanced", "compact", "auto")
_METHOD = "aspect_ratio"
_DEFAULT_METHOD = f"{_METHOD}:2"
_FLOATS = (_C.float16, _C.bfloat16, _C.float32, _C.float64)


def _factor_of(method: str) -> int | None:
    """The number in "aspect_ratio:number", 1 without one; None if it is no such text."""
    name, colon, number = method.partition(":")
    if name != _METHOD:
        return None
    if not colon:
        return 1
    return int(number) if number.isdigit() and int(number) > 0 else None


@dataclass(frozen=True)
class LinearCrossEntropyOptions:
    """How `linear_cross_entropy` cuts the batch into pieces.

    Args:
        allow_retain_graph: accepted for compatibility; a graph can always be retained.
        batch_chunk_size: rows at a time; None: by `chunking_method`.
        chunking_method: "auto", None, or "aspect_ratio:n" for a piece of the logits with about 1/n of the elements of
            the input.
        acc_policy: "accurate", "balanced", "compact" or "auto"; accepted for compatibility.
        acc_dtype: in which the gradient of the weight is summed. Default: float32 for 16-bit floats.

    Raises:
        ValueError: an option is none of these.

    Example:
        >>> from fastnn import nn
        >>> nn.LinearCrossEntropyOptions(batch_chunk_size=64).batch_chunk_size
        64
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: Literal["accurate", "balanced", "compact", "auto"] = "auto"
    acc_dtype: dtype | None = None

    def __post_init__(self) -> None:
        if self.acc_policy not in _POLICIES:
            raise ValueError(f"invalid acc_policy: {self.acc_policy!r}")
        if self.chunking_method not in (None, "auto") and _factor_of(str(self.chunking_method)) is None:
            raise ValueError(f"invalid chunking_method: {self.chunking_method!r}")
        if self.batch_chunk_size is not None and self.batch_chunk_size <= 0:
            raise ValueError(f"batch_chunk_size must be positive int or None, got {self.batch_chunk_size!r}")
        if self.acc_dtype is not None and self.acc_dtype not in _FLOATS:
            raise ValueError(
                f"acc_dtype must be one of {{None, {', '.join(map(str, _FLOATS))}}}, got {self.acc_dtype!r}. "
                "Pass acc_dtype=None to let the op pick automatically."
            )

    def rows(self, batch: int, features: int, classes: int) -> int:
        """Rows at a time."""
        if self.batch_chunk_size is not None:
            return min(self.batch_chunk_size, batch)
        method = self.chunking_method if self.chunking_method not in (None, "auto") else _DEFAULT_METHOD
        rows = -(-batch // max(-(-classes // max(features, 1)), 1))
        return max(min((1 << max(rows - 1, 0).bit_length()) // (_factor_of(str(method)) or 1), batch), 1)


class LinearCrossEntropyLoss(_WeightedLoss):
    """The cross entropy of `linear(input)`, of which not all outputs need be in memory at once.

    Args:
        in_features: D, the size of the last dimension of the input.
        num_classes: C.
        out_features: the sizes d1, ..., dK of further dimensions of the loss.
        bias: whether the linear layer has one.
        reduction: "none", "mean" or "sum".
        weight: a factor per class, (C,).
        ignore_index: a class that counts nothing. Default: -100 for classes.
        label_smoothing: the share of the target that is spread evenly, in [0, 1].
        options: how the batch is cut into pieces, see :func:`fastnn.nn.functional.linear_cross_entropy`.

    Shape:
        Input (N, D) or (D,). Target: classes (N, d1, ..., dK) or (), or probabilities (N, C, d1, ..., dK) or (C,).

    Raises:
        RuntimeError: the shape of `weight` is not (C,), or `label_smoothing` is not in [0, 1].

    Example:
        >>> import fastnn; from fastnn import nn
        >>> loss = nn.LinearCrossEntropyLoss(4, 10)
        >>> loss(fastnn.zeros(2, 4), fastnn.tensor([3, 5]))
        tensor(2.3026, grad_fn=<CrossEntropyLossBackward0>)
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: _device | str | None = None,
        dtype: dtype | None = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:
        if weight is not None and weight.shape != (num_classes,):
            raise RuntimeError(f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}")
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(f"expected label_smoothing to be in range [0, 1], got {label_smoothing}")
        super().__init__(weight, reduction=reduction)
        self.num_classes = num_classes
        self.out_features = out_features
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.linear = Linear(in_features, num_classes * prod(out_features), bias=bias, device=device, dtype=dtype)
        self.options = options

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        shape = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input,
            self.linear.weight.reshape(*shape, self.linear.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
            f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )
