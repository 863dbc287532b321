"""Normalisations without running statistics: LayerNorm, GroupNorm, RMSNorm, LocalResponseNorm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _C
from fastnn._C import Tensor

from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn._C import device as Device
    from fastnn._C import dtype as DType

__all__ = ["CrossMapLRN2d", "GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


def _as_shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


class LayerNorm(Module):
    """`y = (x - mean) / sqrt(var + eps) * weight + bias`, over the last dimensions of each sample.

    Args:
        normalized_shape: sizes of the dimensions to normalise over.
        eps: added to the (biased) variance. Default: 1e-5.
        elementwise_affine: whether there are `weight` (ones) and `bias` (zeros). Default: True.
        bias: whether there is a bias among them. Default: True.
        device, dtype: of the parameters.

    Shape:
        Input and output (*, *normalized_shape).

    Ba et al., Layer Normalization (2016).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LayerNorm(2, eps=0.0)(fastnn.tensor([[1.0, 3.0]])).tolist()
        [[-1.0, 1.0]]
    """

    normalized_shape: tuple[int, ...]
    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        if elementwise_affine:
            self.weight = Parameter(_C.empty(self.normalized_shape, device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        if elementwise_affine and bias:
            self.bias = Parameter(_C.empty(self.normalized_shape, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1, the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
            f", bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """`y = (x - mean) / sqrt(var + eps) * weight + bias`, over groups of channels of each sample.

    Args:
        num_groups: how many groups; a divisor of `num_channels`.
        num_channels: the number of channels C.
        eps: added to the (biased) variance. Default: 1e-5.
        affine: whether there are `weight` (ones) and `bias` (zeros), one per channel. Default: True.
        device, dtype: of the parameters.
        bias: whether there is a bias beside `weight`. Default: True.

    Shape:
        Input and output (N, C, *).

    Raises:
        ValueError: `num_groups` does not divide `num_channels`.

    Wu and He, Group Normalization (2018).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.GroupNorm(2, 4)(fastnn.randn(3, 4, 8, 8)).shape
        torch.Size([3, 4, 8, 8])
    """

    weight: Tensor | None
    bias: Tensor | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        if affine:
            self.weight = Parameter(_C.empty((num_channels,), device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        if affine and bias:
            self.bias = Parameter(_C.empty((num_channels,), device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1, the bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        sizes = f"{self.num_groups}, {self.num_channels}"
        return f"{sizes}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class RMSNorm(Module):
    """`y = x / sqrt(mean(x**2) + eps) * weight`, over the last dimensions.

    Args:
        normalized_shape: sizes of the dimensions to normalise over.
        eps: added to the mean square; by default the machine epsilon of the dtype.
        elementwise_affine: whether there is a `weight` (ones). Default: True.
        device, dtype: of the parameters.

    Shape:
        Input and output (*, *normalized_shape).

    Zhang and Sennrich, Root Mean Square Layer Normalization (2019).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.RMSNorm(2, eps=0.0)(fastnn.tensor([[1.0, 1.0]])).tolist()
        [[1.0, 1.0]]
    """

    normalized_shape: tuple[int, ...]
    weight: Tensor | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        if elementwise_affine:
            self.weight = Parameter(_C.empty(self.normalized_shape, device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class LocalResponseNorm(Module):
    """`y = x / (k + alpha * mean of x**2 over neighbouring channels)**beta`.

    Args:
        size: how many neighbouring channels.
        alpha, beta, k: see the formula. Defaults: 1e-4, 0.75, 1.

    Shape:
        Input and output (N, C, *).

    Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks (2012).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LocalResponseNorm(2)(fastnn.ones(1, 3, 1)).shape
        torch.Size([1, 3, 1])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """`x / (k + alpha / size * sum of x**2 over neighbouring channels)**beta`, the old form of `LocalResponseNorm`.

    The sum goes over `(size - 1) // 2` channels on either side. As in PyTorch, the first channel stays in the sums of
    all channels behind those.

    Args:
        size, alpha, beta, k: see the formula. Defaults: 1e-4, 0.75, 1.

    Shape:
        Input and output (N, C, H, W).

    Raises:
        ValueError: in the forward pass, the input is not 4-D.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.CrossMapLRN2d(2)(fastnn.ones(1, 3, 2, 2)).shape
        torch.Size([1, 3, 2, 2])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, input: Tensor) -> Tensor:
        if input.dim() != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.dim()}D instead.")
        reach = (self.size - 1) // 2
        squares = (input * input).flatten(2)
        sums = F.pad(squares, (0, 0, reach, reach)).unfold(1, 2 * reach + 1, 1).sum(-1)
        behind = (_C.arange(input.size(1)) > reach).to(input.dtype).reshape(1, -1, 1)
        sums = (sums + behind * squares[:, :1]).reshape(input.shape)
        return input * (sums * (self.alpha / self.size) + self.k) ** -self.beta
