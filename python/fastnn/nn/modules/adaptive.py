"""A softmax over many classes that spends little on the rare ones."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from fastnn import _C
from fastnn._C import Tensor

from .. import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn._C import device as Device
    from fastnn._C import dtype as DType

__all__ = ["AdaptiveLogSoftmaxWithLoss"]


class _ASMoutput(NamedTuple):
    output: Tensor
    loss: Tensor


class AdaptiveLogSoftmaxWithLoss(Module):
    """Log-softmax in two steps: over the frequent classes and the clusters, then over the classes of a cluster.

    Classes are numbered from the most frequent to the rarest. Those below the first cutoff have a place in the head of
    their own; each further pair of cutoffs bounds a cluster, whose projection shrinks with its number.

    Args:
        in_features: size of the last dimension of the input.
        n_classes: how many classes.
        cutoffs: where clusters begin, increasing, between 1 and `n_classes - 1`.
        div_value: by how much the projections shrink from cluster to cluster. Default: 4.
        head_bias: whether the head has a bias. Default: False.
        device, dtype: of the parameters.

    Shape:
        Input (N, in_features) or (in_features,), target (N,) or () of int64. The result has the log-probability of each
        target, `output`, and the mean of their negatives, `loss`.

    Raises:
        ValueError: `cutoffs` are not as described.
        RuntimeError: in the forward pass, shapes that do not go together, or a target that is no class.

    Grave et al., Efficient softmax approximation for GPUs (2017).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> softmax = nn.AdaptiveLogSoftmaxWithLoss(16, 20, cutoffs=[5, 10])
        >>> output, loss = softmax(fastnn.randn(3, 16), fastnn.tensor([0, 7, 19]))
        >>> output.shape
        torch.Size([3])
        >>> fastnn.allclose(softmax.log_prob(fastnn.randn(3, 16)).exp().sum(1), fastnn.ones(3))
        True
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        increasing = all(a < b for a, b in itertools.pairwise([0, *cutoffs, n_classes]))
        if not increasing or any(int(c) != c for c in cutoffs):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, "
                "where each value is between 1 and n_classes-1"
            )
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, device=device, dtype=dtype)
        self.tail = ModuleList()
        for i, (low, high) in enumerate(itertools.pairwise(self.cutoffs)):
            width = int(in_features // (div_value ** (i + 1)))
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, device=device, dtype=dtype),
                    Linear(width, high - low, bias=False, device=device, dtype=dtype),
                )
            )

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input_: Tensor, target_: Tensor) -> _ASMoutput:
        _check_shapes(input_, target_)
        input = input_ if target_.dim() else input_.unsqueeze(0)
        target = target_.reshape(-1)
        if target.numel() and not 0 <= int(target.min()) <= int(target.max()) < self.n_classes:
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{int(target.min())}, {int(target.max())}] were found. "
            )
        # In the head a class of a cluster is the cluster.
        in_head = target
        rows, terms = [], []
        for i, (low, high) in enumerate(itertools.pairwise(self.cutoffs)):
            members = ((target >= low) & (target < high)).nonzero().squeeze(1)
            if members.numel() == 0:
                continue
            in_head = in_head.index_fill(0, members, self.shortlist_size + i)
            scores = F.log_softmax(self.tail[i](input.index_select(0, members)), dim=1)
            rows.append(members)
            terms.append(scores.gather(1, (target[members] - low).unsqueeze(1)).squeeze(1))
        output = F.log_softmax(self.head(input), dim=1).gather(1, in_head.unsqueeze(1)).squeeze(1)
        if rows:
            output = output.index_add(0, _C.cat(rows), _C.cat(terms))
        output = output.to(input.dtype)  # in an autocast block the layers give another one
        loss = (-output).mean()
        return _ASMoutput(output if target_.dim() else output.squeeze(0), loss)

    def _get_full_log_prob(self, input: Tensor, head_output: Tensor) -> Tensor:
        """The log-probabilities of all classes, from the scores of the head."""
        head = F.log_softmax(head_output, dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, cluster in enumerate(self.tail):
            parts.append(F.log_softmax(cluster(input), dim=1) + head[:, self.shortlist_size + i].unsqueeze(1))
        return _C.cat(parts, 1)

    def log_prob(self, input: Tensor) -> Tensor:
        """Log-probabilities of all classes, shape (N, n_classes), for an input of shape (N, in_features)."""
        return self._get_full_log_prob(input, self.head(input))

    def predict(self, input: Tensor) -> Tensor:
        """The most probable class of each row, as `log_prob(input).argmax(1)`, with clusters only where needed."""
        scores = self.head(input)
        best: Tensor = scores.argmax(1)
        rare = (best >= self.shortlist_size).nonzero().squeeze(1)
        if rare.numel():
            found = self._get_full_log_prob(input.index_select(0, rare), scores.index_select(0, rare)).argmax(1)
            best = best.index_copy(0, rare, found)
        return best


def _check_shapes(input: Tensor, target: Tensor) -> None:
    if target.dim() > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if target.dim() == 1 and input.size(0) != target.size(0):
        raise RuntimeError("Input and target should have the same size in the batch dimension.")
    if input.dim() != target.dim() + 1:
        raise RuntimeError(
            f"{target.dim()}D target tensor expects {target.dim() + 1}D input tensors, but found inputs with size "
            f"{input.size()}"
        )
