"""Losses as modules; their formulas are those of the functions of nn.functional."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from fastnn._C import Tensor

from .. import functional as F
from .._functional._common import reduction_name
from .distance import PairwiseDistance
from .module import Module

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "NLLLoss2d",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class _Loss(Module):
    """A loss with a reduction: "none", "mean" or "sum"; `size_average` and `reduce` are deprecated."""

    reduction: str

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = reduction_name(size_average, reduce, reduction)


class _WeightedLoss(_Loss):
    """A loss with a weight, which is a buffer."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class L1Loss(_Loss):
    """`|input - target|`.

    Args:
        reduction: "none", "mean" or "sum". Default: "mean".

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.L1Loss()(fastnn.zeros(2), fastnn.tensor([1.0, 3.0]))
        tensor(2.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.l1_loss(input, target, reduction=self.reduction)


class MSELoss(_Loss):
    """`(input - target)**2`.

    Args:
        reduction: "none", "mean" or "sum". Default: "mean".

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.MSELoss()(fastnn.zeros(2), fastnn.tensor([1.0, 3.0]))
        tensor(5.)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """`0.5 * d**2 / beta` where `d = |input - target|` is below `beta`, else `d - beta / 2`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.SmoothL1Loss()(fastnn.zeros(2), fastnn.tensor([1.0, 3.0]))
        tensor(1.5000)
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """`0.5 * d**2` where `d = |input - target|` is at most `delta`, else `delta * (d - delta / 2)`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.HuberLoss(delta=2.0)(fastnn.zeros(2), fastnn.tensor([1.0, 3.0]))
        tensor(2.2500)
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class CrossEntropyLoss(_WeightedLoss):
    """`-log(softmax(input)[target])`, or `-sum(target * log(softmax(input)))` for probabilities.

    Args:
        weight: a factor per class, shape (C,).
        ignore_index: a class that counts nothing. Default: -100.
        reduction: "none", "mean" (over the weights of the targets) or "sum". Default: "mean".
        label_smoothing: the share of the target that is spread evenly, in [0, 1]. Default: 0.

    Shape:
        Input (N, C, *) or (C,), logits. Target (N, *) or () of class numbers, or probabilities shaped
        like the input.

    Raises:
        IndexError: a class is outside [0, C).

    Szegedy et al., Rethinking the Inception Architecture (2015), for label smoothing.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.CrossEntropyLoss()(fastnn.zeros(1, 4), fastnn.tensor([2]))
        tensor(1.3863)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_WeightedLoss):
    """`-weight[target] * input[target]`, for log probabilities.

    Args:
        weight: a factor per class, shape (C,).
        ignore_index: a class that counts nothing. Default: -100.
        reduction: "none", "mean" (over the weights of the targets) or "sum". Default: "mean".

    Shape:
        Input (N, C, *) or (C,), target (N, *) or ().

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.NLLLoss()(fastnn.tensor([[-0.5, -1.0]]), fastnn.tensor([1]))
        tensor(1.)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.nll_loss(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class NLLLoss2d(NLLLoss):
    """Old name of `NLLLoss`."""

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        warnings.warn(
            "NLLLoss2d has been deprecated. Please use NLLLoss instead as a drop-in replacement and see "
            "https://pytorch.org/docs/main/nn.html#torch.nn.NLLLoss for more details.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__(weight, size_average, ignore_index, reduce, reduction)


class PoissonNLLLoss(_Loss):
    """`exp(input) - target * input`; see `functional.poisson_nll_loss`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.PoissonNLLLoss()(fastnn.zeros(2), fastnn.tensor([1.0, 3.0]))
        tensor(1.)
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        return F.poisson_nll_loss(
            log_input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(_Loss):
    """`0.5 * (log(var) + (input - target)**2 / var)`; see `functional.gaussian_nll_loss`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.GaussianNLLLoss()(fastnn.zeros(2), fastnn.tensor([1.0, 3.0]), fastnn.ones(2))
        tensor(2.5000)
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor | float) -> Tensor:
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class KLDivLoss(_Loss):
    """`target * (log(target) - input)`; see `functional.kl_div`.

    Args:
        reduction: "none", "mean", "sum" or "batchmean". Default: "mean".
        log_target: whether the target is in log space. Default: False.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.KLDivLoss(reduction="sum")(fastnn.zeros(1), fastnn.tensor([1.0]))
        tensor(0.)
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class BCELoss(_WeightedLoss):
    """`-weight * (target * log(input) + (1 - target) * log(1 - input))`, the logarithms at least -100.

    Args:
        weight: a factor per element, which broadcasts.
        reduction: "none", "mean" or "sum". Default: "mean".

    Shape:
        Input (probabilities) and target of the same shape.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.BCELoss()(fastnn.tensor([0.5]), fastnn.tensor([1.0]))
        tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross entropy of `sigmoid(input)`, computed from the logits.

    Args:
        weight: a factor per element, which broadcasts.
        reduction: "none", "mean" or "sum". Default: "mean".
        pos_weight: a factor for positive examples, which broadcasts.

    Shape:
        Input (logits) and target of the same shape.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.BCEWithLogitsLoss()(fastnn.zeros(2), fastnn.ones(2))
        tensor(0.6931)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class CosineEmbeddingLoss(_Loss):
    """`1 - cos` where the target is 1, `max(0, cos - margin)` where it is -1.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.CosineEmbeddingLoss()(fastnn.tensor([[1.0, 0.0]]), fastnn.tensor([[0.0, 1.0]]), fastnn.tensor([1]))
        tensor(1.)
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """`max(0, -target * (input1 - input2) + margin)`, with the target 1 or -1.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.MarginRankingLoss()(fastnn.zeros(2), fastnn.tensor([1.0, 3.0]), fastnn.ones(2))
        tensor(2.)
    """

    def __init__(
        self,
        margin: float = 0.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        return F.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class HingeEmbeddingLoss(_Loss):
    """`input` where the target is 1, `max(0, margin - input)` where it is -1.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.HingeEmbeddingLoss()(fastnn.tensor([1.0, 3.0]), fastnn.tensor([1, -1]))
        tensor(0.5000)
    """

    def __init__(
        self,
        margin: float = 1.0,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """`log(1 + exp(-target * input))`, with the target 1 or -1.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.SoftMarginLoss()(fastnn.zeros(2), fastnn.ones(2))
        tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Binary cross entropy with logits, averaged over the classes; `weight` is per class.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.MultiLabelSoftMarginLoss()(fastnn.zeros(1, 2), fastnn.ones(1, 2))
        tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_soft_margin_loss(input, target, weight=self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """`sum over labels y, other classes i of max(0, 1 - input[y] + input[i]) / C`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.MultiLabelMarginLoss()(fastnn.tensor([0.1, 0.4]), fastnn.tensor([1, -1]))
        tensor(0.3500)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """`sum over i != y of max(0, margin - input[y] + input[i])**p / C`.

    Args:
        p: 1 or 2. Default: 1.
        margin: Default: 1.
        weight: a factor per class y, shape (C,).
        reduction: "none", "mean" or "sum". Default: "mean".

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.MultiMarginLoss()(fastnn.tensor([[0.0, 0.5]]), fastnn.tensor([1]))
        tensor(0.2500)
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError("only p == 1 and p == 2 supported")
        if weight is not None and weight.dim() != 1:
            raise ValueError(f"MultiMarginLoss: expected weight to be None or 1D tensor, got {weight.dim()}D instead")
        self.p = p
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return F.multi_margin_loss(
            input, target, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction
        )


class TripletMarginLoss(_Loss):
    """`max(0, margin + d(anchor, positive) - d(anchor, negative))`; see `functional.triplet_margin_loss`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.TripletMarginLoss()(fastnn.zeros(1, 2), fastnn.zeros(1, 2), fastnn.zeros(1, 2))
        tensor(1.)
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginLoss: expected margin to be greater than 0, got {margin} instead")
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with any distance; by default the Euclidean one.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.TripletMarginWithDistanceLoss()(fastnn.zeros(1, 2), fastnn.zeros(1, 2), fastnn.zeros(1, 2))
        tensor(1.)
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        if margin <= 0:
            raise ValueError(
                f"TripletMarginWithDistanceLoss: expected margin to be greater than 0, got {margin} instead"
            )
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class CTCLoss(_Loss):
    """The loss of an unaligned sequence of labels: minus the log-probability of all alignments together.

    Args:
        blank: the class of "no label". Default: 0.
        reduction: "none", "sum", or "mean": over the batch, after division by the lengths of the targets.
        zero_infinity: whether an infinite loss, of a target too long for its input, counts as 0, with a gradient
            of 0. Default: False.

    Shape:
        Log-probabilities (T, N, C) or (T, C); targets (N, S), or all in a row (sum of target_lengths,);
        input_lengths and target_lengths (N,) or ().

    Graves et al., Connectionist Temporal Classification (2006).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> p = fastnn.full((2, 1, 3), 1 / 3).log()
        >>> nn.CTCLoss()(p, fastnn.tensor([[1]]), fastnn.tensor([2]), fastnn.tensor([1])).exp()
        tensor(3.)
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(
        self,
        log_probs: Tensor,
        targets: Tensor,
        input_lengths: Tensor | Sequence[int],
        target_lengths: Tensor | Sequence[int],
    ) -> Tensor:
        loss: Any = F.ctc_loss  # takes both lengths as tensors, or both as lists
        result: Tensor = loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
        return result
