"""The cross entropy of a linear layer's outputs, of which only some rows are in memory at a time."""

from __future__ import annotations

import warnings
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import _C
from fastnn._C import Tensor
from fastnn._C import nn as _nn
from fastnn.autograd.function import Function

if TYPE_CHECKING:
    from ..modules.linear_cross_entropy import LinearCrossEntropyOptions

# Elements of logits from which rows are computed in pieces without being asked: 16 MiB of float32.
_MANY_LOGITS = 1 << 22


class _Problem(NamedTuple):
    """What is not a tensor with a gradient."""

    target: Tensor
    weight: Tensor | None
    reduction: str
    ignore_index: int
    rows: int
    acc_dtype: _C.dtype

    def composed(self, input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None) -> Tensor:
        logits = _nn.linear(input, linear_weight, linear_bias)
        ignored = self.ignore_index
        return _nn.cross_entropy(logits, self.target, self.weight, ignore_index=ignored, reduction=self.reduction)

    def row_weights(self, dtype: _C.dtype) -> Tensor:
        """The factor of the loss of each row before the reduction, 0 where it is ignored."""
        counted = self.target != self.ignore_index
        if self.weight is None:
            return counted.to(dtype)
        classes = _C.where(counted, self.target, 0)
        return self.weight.detach().to(dtype)[classes].masked_fill(~counted, 0)


def _in_pieces(
    problem: _Problem, tensors: tuple[Tensor, Tensor, Tensor | None], scale: Tensor, wanted: tuple[bool, ...]
) -> tuple[Tensor, list[Tensor | None]]:
    """-log of the probability of each row's class, and the gradients of sum(scale * that) that are wanted."""
    input, linear_weight, linear_bias = tensors
    compute, acc = scale.dtype, problem.acc_dtype
    classes = _C.where(problem.target == problem.ignore_index, 0, problem.target).unsqueeze(1)
    losses = _C.empty(len(input), dtype=compute)
    by_input = _C.empty_like(input, requires_grad=False) if wanted[0] else None
    by_weight = _C.zeros(linear_weight.shape, dtype=acc) if wanted[1] else None
    by_bias = _C.zeros(len(linear_weight), dtype=acc) if wanted[2] else None
    for start in range(0, len(input), problem.rows):
        part = slice(start, start + problem.rows)
        x = input[part]
        logits = _nn.linear(x, linear_weight, linear_bias).to(compute)
        total = logits.logsumexp(1, keepdim=True)
        losses[part] = (total - logits.gather(1, classes[part])).squeeze(1)
        if not any(wanted):
            continue
        gradient = logits.sub_(total).exp_()
        gradient.scatter_add_(1, classes[part], gradient.new_full((len(x), 1), -1.0))
        gradient = gradient.mul_(scale[part].unsqueeze(1)).to(input.dtype)
        if by_input is not None:
            by_input[part] = gradient @ linear_weight
        if by_weight is not None:
            by_weight += gradient.T @ x
        if by_bias is not None:
            by_bias += gradient.sum(0, dtype=acc)
    dtype = linear_weight.dtype
    found = [by_input, *(None if sums is None else sums.to(dtype) for sums in (by_weight, by_bias))]
    return losses, found


class _LinearCrossEntropy(Function):
    @staticmethod
    def forward(
        ctx: Any, input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None, problem: _Problem
    ) -> Tensor:
        ctx.problem = problem
        compute = _C.float64 if input.dtype == _C.float64 else _C.float32
        ctx.weights = weights = problem.row_weights(compute)
        total = weights.sum()
        ignored = weights == 0
        # Gradients of a number are known up to a factor: they are found while the logits are there.
        now = problem.reduction != "none"
        wanted = tuple(now and need for need in ctx.needs_input_grad[:3])
        tensors = (input, linear_weight, linear_bias)
        scale = (weights / total).masked_fill(ignored, 0) if problem.reduction == "mean" else weights
        losses, ctx.gradients = _in_pieces(problem, tensors, scale, wanted)
        ctx.save_for_backward(*tensors)
        losses = (losses * weights).masked_fill(ignored, 0)
        loss = losses.sum() / total if problem.reduction == "mean" else losses.sum() if now else losses
        return loss.to(input.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        if _C.is_grad_enabled():  # it is differentiated again
            from fastnn.autograd import grad

            loss = ctx.problem.composed(*tensors)
            leaves = [tensor for tensor, want in zip(tensors, wanted, strict=True) if want]
            found = iter(grad(loss, leaves, gradient, create_graph=True))
            return (*(next(found) if want else None for want in wanted), None)
        if ctx.problem.reduction == "none":
            scale = ctx.weights * gradient.to(ctx.weights.dtype)
            return (*_in_pieces(ctx.problem, tensors, scale, wanted)[1], None)
        return (*(None if known is None else known * gradient.to(known.dtype) for known in ctx.gradients), None)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> Tensor:
    """`cross_entropy(linear(input, linear_weight, linear_bias), target)`, without all logits in memory at once.

    With `options`, or when there are more than four million logits, they are computed some rows at a time, and so are
    the gradients: memory for the logits of a large vocabulary is not needed, at no more arithmetic. That is for
    classes as targets, without label smoothing and without further dimensions; all else is composed. Derivatives of
    any order are there; from the second on they are those of the composition.

    Args:
        input: (N, D) or (D,).
        linear_weight: (C, D), or (C, d1, ..., dK, D) for losses of K more dimensions.
        target: classes (N,) or (), with d1, ..., dK behind; or probabilities, shaped like the logits (N, C, d1, ...).
        linear_bias: (C,) or (C, d1, ..., dK).
        weight: a factor per class, (C,).
        reduction: "none", "mean" or "sum".
        ignore_index: a class that counts nothing. Default: -100 for classes.
        label_smoothing: the share of the target that is spread evenly.

    Returns:
        A number, or with reduction "none" (N, d1, ..., dK).

    Raises:
        RuntimeError: shapes do not go together.
        IndexError: a class is outside [0, C).

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.linear_cross_entropy(fastnn.zeros(3, 2), fastnn.ones(4, 2), fastnn.tensor([0, 1, 3]))
        tensor(1.3863)
    """
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}")
    batch, features = input.shape[:-1], input.shape[-1]
    classes, *further = linear_weight.shape[:-1]
    if features != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), "
            f"got {features} and {linear_weight.shape[-1]}, respectively"
        )
    if linear_bias is not None and tuple(linear_bias.shape) != (classes, *further):
        raise RuntimeError(f"expected linear_bias shape {(classes, *further)}, got {tuple(linear_bias.shape)}")
    if further and not batch:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched input, "
            f"(N, {features}), got unbatched input with shape {tuple(input.shape)}"
        )
    shape = (*batch, classes, *further)
    if tuple(target.shape) == shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    ignored = -100 if ignore_index is None else ignore_index
    by_class = target.dtype == _C.int64 and target.shape == batch
    in_pieces = not further and by_class and label_smoothing == 0 and reduction in ("none", "mean", "sum")
    if options is not None and not in_pieces:
        warnings.warn(
            "linear_cross_entropy: options are ignored; they are for reduction 'none', 'mean' or 'sum', "
            "label_smoothing 0, targets that are classes of dtype int64, and a linear_weight of two dimensions. "
            f"Got reduction={reduction!r}, label_smoothing={label_smoothing}, target.dtype={target.dtype}, "
            f"linear_weight.shape={tuple(linear_weight.shape)}.",
            stacklevel=2,
        )
    plain = not _C._has_torch_function((input, linear_weight))
    if in_pieces and plain and (options is not None or prod(shape) > _MANY_LOGITS):
        if options is None:
            from ..modules.linear_cross_entropy import LinearCrossEntropyOptions

            options = LinearCrossEntropyOptions()
        rows = input if batch else input.unsqueeze(0)
        places = target if batch else target.unsqueeze(0)
        known = places[places != ignored]
        if known.numel() and not (0 <= int(known.min()) and int(known.max()) < classes):
            raise IndexError(f"Target {int(known.max() if known.min() >= 0 else known.min())} is out of bounds.")
        wide = _C.float32 if input.dtype in (_C.float16, _C.bfloat16) else input.dtype
        problem = _Problem(
            places,
            weight,
            reduction,
            ignored,
            options.rows(len(rows), features, classes),
            options.acc_dtype or wide,
        )
        loss: Tensor = _LinearCrossEntropy.apply(rows, linear_weight, linear_bias, problem)
        return loss.squeeze(0) if reduction == "none" and not batch else loss
    if further:
        linear_weight = linear_weight.reshape(-1, features)
        linear_bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = _nn.linear(input, linear_weight, linear_bias).reshape(shape)
    return _nn.cross_entropy(
        logits, target, weight, ignore_index=ignored, reduction=reduction, label_smoothing=label_smoothing
    )
