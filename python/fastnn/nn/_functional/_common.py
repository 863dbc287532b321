"""What the families share: reductions of losses, sizes per dimension, in-place forms."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def reduction_name(size_average: bool | None, reduce: bool | None, reduction: str = "mean") -> str:
    """The reduction that the deprecated arguments `size_average` and `reduce` stand for, if one is given."""
    if size_average is None and reduce is None:
        return reduction
    by_flags = "none" if reduce is False else "sum" if size_average is False else "mean"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{by_flags}' instead.",
        stacklevel=4,
    )
    return by_flags


def check_reduction(reduction: str, allowed: tuple[str, ...] = ("none", "mean", "sum")) -> None:
    """Raise unless `reduction` is one of `allowed`."""
    if reduction not in allowed:
        raise ValueError(f"{reduction} is not a valid value for reduction")


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean, the sum, or all elements of `loss`."""
    check_reduction(reduction)
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def warn_if_broadcast(input: Tensor, target: Tensor) -> None:
    """Warn that a loss of tensors of different shape is seldom what was meant."""
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). "
            "This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=4,  # of the caller of the loss, which runs in a wrapper
        )


def ntuple(value: int | Sequence[int], n: int) -> tuple[int, ...]:
    """`value` for each of `n` dimensions."""
    if isinstance(value, int):
        return (value,) * n
    values = tuple(value)
    return values * n if len(values) == 1 else values


def maybe_inplace(function: Callable[[Tensor], Tensor], input: Tensor, inplace: bool) -> Tensor:
    """`function(input)`, written into `input` if `inplace`."""
    if not inplace:
        return function(input)
    # The clone is what `function` saves for its gradient: `input` itself is about to be overwritten.
    return input.copy_(function(input.clone() if input.requires_grad else input))
