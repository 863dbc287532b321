"""Losses that are formulas over tensors."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

from fastnn import _C
from fastnn._autocast import in_float32
from fastnn._C import Tensor
from fastnn._C import nn as _nn

from ._common import check_reduction, reduced, reduction_name, warn_if_broadcast
from .distance import pairwise_distance

if TYPE_CHECKING:
    from collections.abc import Callable

# Added to squared norms in cosine_embedding_loss, so that a zero vector has a gradient.
_COSINE_EPSILON = 1e-12


@in_float32
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Mean (or sum, or each) of `|input - target|`, times `weight` if given.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.l1_loss(fastnn.zeros(2), fastnn.tensor([1.0, 3.0]))
        tensor(2.)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    warn_if_broadcast(input, target)
    return _weighted((input - target).abs(), weight, reduction)


@in_float32
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """`0.5 * d**2 / beta` where `d = |input - target|` is below `beta`, else `d - beta / 2`.

    Girshick, Fast R-CNN (2015).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.smooth_l1_loss(fastnn.zeros(2), fastnn.tensor([1.0, 3.0]))
        tensor(1.5000)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    warn_if_broadcast(input, target)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return reduced((input - target).abs(), reduction)
    difference = (input - target).abs()
    return reduced(
        _C.where(difference < beta, 0.5 * difference * difference / beta, difference - 0.5 * beta), reduction
    )


@in_float32
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """`0.5 * d**2` where `d = |input - target|` is at most `delta`, else `delta * (d - delta / 2)`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.huber_loss(fastnn.zeros(2), fastnn.tensor([1.0, 3.0]), delta=2.0)
        tensor(2.2500)
    """
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    warn_if_broadcast(input, target)
    difference = (input - target).abs()
    loss = _C.where(difference <= delta, 0.5 * difference * difference, delta * (difference - 0.5 * delta))
    return _weighted(loss, weight, reduction)


def _weighted(loss: Tensor, weight: Tensor | None, reduction: str) -> Tensor:
    """`loss` times `weight`, reduced; the mean is over the sum of the weights."""
    if weight is None:
        return reduced(loss, reduction)
    if weight.shape != loss.shape:
        raise ValueError("Weights and input must have the same size.")
    loss = loss * weight
    check_reduction(reduction)
    return loss.sum() / weight.sum() if reduction == "mean" else reduced(loss, reduction)


@in_float32
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback-Leibler divergence `target * (log(target) - input)`.

    Args:
        input: log probabilities, any shape.
        target: probabilities, or with `log_target` log probabilities, of the same shape.
        reduction: "none", "sum", "mean" (over all elements), or "batchmean" (the sum over the batch size,
            which is the divergence). Default: "mean".
        log_target: whether `target` is in log space.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> p = fastnn.tensor([[0.5, 0.5]])
        >>> F.kl_div(p.log(), p, reduction="batchmean").item()
        0.0
    """
    if size_average is not None or reduce is not None:
        reduction = reduction_name(size_average, reduce, reduction)
    elif reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=3,
        )
    if log_target:
        loss = target.exp() * (target - input)
    else:
        positive = _C.where(target > 0, target, _C.ones_like(target))
        loss = target * (positive.log() - input)
    if reduction == "batchmean":
        return loss.sum() / input.size(0) if input.dim() > 0 else loss.sum()
    return reduced(loss, reduction)


@in_float32
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative log likelihood of a Poisson distribution: `exp(input) - target * input`.

    Args:
        input: the expectation, in log space if `log_input`.
        target: the counts.
        log_input: whether `input` is the logarithm of the expectation.
        full: whether Stirling's approximation of `log(target!)` is added.
        eps: added to `input` before its logarithm, without `log_input`.
        reduction: "none", "mean" or "sum".

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.poisson_nll_loss(fastnn.zeros(2), fastnn.tensor([1.0, 3.0]))
        tensor(1.)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    check_reduction(reduction)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        large = _C.where(target > 1, target, _C.ones_like(target))
        stirling = large * large.log() - large + 0.5 * (2 * math.pi * large).log()
        loss = loss + _C.where(target > 1, stirling, _C.zeros_like(stirling))
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """Negative log likelihood of a normal distribution: `0.5 * (log(var) + (input - target)**2 / var)`.

    Args:
        input: the expectation, shape (N, *) or (*).
        target: the samples, of the same shape.
        var: the variance: the same shape, or with one dimension less, or with a last dimension of 1.
        full: whether the constant `0.5 * log(2 * pi)` is added.
        eps: the smallest variance used.

    Raises:
        ValueError: `var` has another shape, or a negative element.

    Nix and Weigend, Estimating the mean and variance of the target probability distribution (1994).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.gaussian_nll_loss(fastnn.zeros(2), fastnn.tensor([1.0, 3.0]), fastnn.ones(2))
        tensor(2.5000)
    """
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = _C.full_like(input, var)
    elif bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not (input.shape[:-1] == var.shape[:-1] and var.shape[-1] == 1):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    # The floor changes the value, not the gradient.
    raised = var + (var.detach().clamp(min=eps) - var.detach())
    loss = 0.5 * (raised.log() + (input - target) ** 2 / raised)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)


@in_float32
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`1 - cos` where `target` is 1, `max(0, cos - margin)` where it is -1.

    Args:
        input1, input2: shape (N, D) or (D,).
        target: 1 or -1, shape (N,) or ().

    Raises:
        RuntimeError: the shapes do not go together.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.cosine_embedding_loss(fastnn.tensor([[1.0, 0.0]]), fastnn.tensor([[0.0, 1.0]]), fastnn.tensor([1]))
        tensor(1.)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if target.dim() not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    want = "1D" if target.dim() == 0 else "2D"
    for tensor in (input1, input2):
        if tensor.dim() != target.dim() + 1:
            raise RuntimeError(
                f"{target.dim()}D target tensor expects {want} input tensors, but found inputs with sizes "
                f"{list(input1.shape)} and {list(input2.shape)}."
            )
    product = (input1 * input2).sum(-1)
    square1 = (input1 * input1).sum(-1) + _COSINE_EPSILON
    square2 = (input2 * input2).sum(-1) + _COSINE_EPSILON
    cosine = product / (square1 * square2).sqrt()
    zero = _C.zeros_like(cosine)
    loss = _C.where(target == 1, 1 - cosine, zero)
    loss = loss + _C.where(target == -1, (cosine - margin).clamp(min=0), zero)
    return reduced(loss, reduction)


@in_float32
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, -target * (input1 - input2) + margin)`, with `target` 1 or -1.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.margin_ranking_loss(fastnn.zeros(2), fastnn.tensor([1.0, 3.0]), fastnn.ones(2))
        tensor(2.)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return reduced((-target * (input1 - input2) + margin).clamp(min=0), reduction)


@in_float32
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`input` where `target` is 1, `max(0, margin - input)` where it is -1.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.hinge_embedding_loss(fastnn.tensor([1.0, 3.0]), fastnn.tensor([1, -1]))
        tensor(0.5000)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    zero = _C.zeros_like(input)
    loss = _C.where(target != 1, (margin - input).clamp(min=0), zero) + _C.where(target != -1, input, zero)
    return reduced(loss, reduction)


@in_float32
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`max(0, margin + d(anchor, positive) - d(anchor, negative))` with `d` the p-norm distance.

    Args:
        anchor, positive, negative: shape (N, D) or (D,).
        margin: above 0.
        p: the norm. eps: added to each difference.
        swap: whether `d(positive, negative)` counts if it is the smaller (Balntas et al., 2016).

    Raises:
        ValueError: `margin` is not above 0.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.triplet_margin_loss(fastnn.zeros(1, 2), fastnn.zeros(1, 2), fastnn.zeros(1, 2))
        tensor(1.)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            f"The anchor, positive, and negative tensors are expected to have the same number of dimensions, "
            f"but got: anchor {anchor.dim()}D, positive {positive.dim()}D, and negative {negative.dim()}D inputs"
        )
    return _triplet_loss(
        lambda a, b: pairwise_distance(a, b, p, eps), anchor, positive, negative, margin, swap, reduction
    )


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with any distance; by default the Euclidean one.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.triplet_margin_with_distance_loss(fastnn.zeros(1, 2), fastnn.zeros(1, 2), fastnn.zeros(1, 2))
        tensor(1.)
    """
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    return _triplet_loss(distance_function or pairwise_distance, anchor, positive, negative, margin, swap, reduction)


def _triplet_loss(
    distance: Callable[[Tensor, Tensor], Tensor],
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = _C.minimum(far, distance(positive, negative))
    return reduced((margin + near - far).clamp(min=0), reduction)


@in_float32
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`log(1 + exp(-target * input))`, with `target` 1 or -1.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.soft_margin_loss(fastnn.zeros(2), fastnn.ones(2))
        tensor(0.6931)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    return reduced(-_nn.logsigmoid(target * input), reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross entropy with logits, averaged over the classes of the last dimension.

    Args:
        input: logits, shape (N, C).
        target: 0 or 1, shape (N, C).
        weight: a factor per class, shape (C,).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.multilabel_soft_margin_loss(fastnn.zeros(1, 2), fastnn.ones(1, 2))
        tensor(0.6931)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    loss = -(target * _nn.logsigmoid(input) + (1 - target) * _nn.logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduced(loss.mean(-1), reduction)


@in_float32
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`sum over i != y of max(0, margin - input[y] + input[i])**p / C`.

    Args:
        input: scores, shape (N, C) or (C,).
        target: the class y, int64, shape (N,) or ().
        p: 1 or 2.
        weight: a factor per class y, shape (C,).

    Raises:
        ValueError: `p` is neither 1 nor 2, or `weight` is not one-dimensional.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.multi_margin_loss(fastnn.tensor([[0.0, 0.5]]), fastnn.tensor([1]))
        tensor(0.2500)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    check_reduction(reduction)
    scores = input if input.dim() == 2 else input.reshape(1, -1)
    if input.dim() > 2 or scores.size(-1) == 0:
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}"
        )
    if target.dim() > 1 or target.numel() != scores.size(0):
        raise RuntimeError(f"inconsistent target size, expected {scores.size(0)} but got {list(target.shape)}")
    index = target.reshape(-1, 1)
    violation = (margin - scores.gather(-1, index) + scores).clamp(min=0)
    if p == 2:
        violation = violation * violation
    if weight is not None:
        if weight.numel() != scores.size(-1):
            raise RuntimeError(f"inconsistent weight size, expected {scores.size(-1)} but got {list(weight.shape)}")
        violation = violation * weight[index]
    violation = violation.scatter(-1, index, 0.0)
    return reduced((violation.sum(-1) / scores.size(-1)).reshape(target.shape), reduction)


@in_float32
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """`sum over labels y, other classes i of max(0, 1 - input[y] + input[i]) / C`.

    Args:
        input: scores, shape (N, C) or (C,).
        target: int64, the same shape: the labels of each sample first, ended by -1.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.multilabel_margin_loss(fastnn.tensor([0.1, 0.4]), fastnn.tensor([1, -1]))
        tensor(0.3500)
    """
    reduction = reduction_name(size_average, reduce, reduction)
    check_reduction(reduction)
    if input.dim() > 2 or (input.dim() > 0 and input.size(-1) == 0):
        raise RuntimeError(
            f"Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}"
        )
    if input.shape != target.shape and not input.numel() == target.numel() == 1:
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}")
    scores = input if input.dim() == 2 else input.reshape(1, -1)
    labels = target if target.dim() == 2 else target.reshape(1, -1)
    valid = (labels < 0).to(_C.int64).cumsum(-1) == 0
    safe = _C.where(valid, labels, _C.zeros_like(labels))
    is_label = _C.zeros_like(scores).scatter_add(-1, safe, valid.to(scores.dtype)) > 0
    violation = (1 - scores.gather(-1, safe).unsqueeze(-1) + scores.unsqueeze(-2)).clamp(min=0)
    counted = valid.unsqueeze(-1) & is_label.logical_not().unsqueeze(-2)
    loss = (violation * counted.to(scores.dtype)).sum((-2, -1)) / scores.size(-1)
    return reduced(loss if input.dim() == 2 else loss.squeeze(0), reduction)
