"""Pooling: maxima, means and power means over windows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn._C import Tensor

from .. import functional as F
from .._sizes import _per_dimension, single
from .module import Module

if TYPE_CHECKING:
    from collections.abc import Sequence

    Size = int | Sequence[int]

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _MaxPoolNd(Module):
    """Window of a maximum."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """Maxima over windows of an input of shape (N, C, L) or (C, L); arguments as `MaxPool2d`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.MaxPool1d(2)(fastnn.tensor([[1.0, 3.0, 2.0, 4.0]]))
        tensor([[3., 4.]])
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class MaxPool2d(_MaxPoolNd):
    """Maxima over windows of an image.

    Args:
        kernel_size: of the window, a number or a pair.
        stride: step between windows. Default: `kernel_size`.
        padding: minus infinity around the input; at most half of `kernel_size`. Default: 0.
        dilation: step between the elements of a window. Default: 1.
        return_indices: whether the flat places of the maxima are returned too. Default: False.
        ceil_mode: whether a last window may reach over the edge. Default: False.

    Shape:
        Input (N, C, H, W) or (C, H, W); each spatial size of the output is
        `floor((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.MaxPool2d(2)(fastnn.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[[4.]]])
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )


class MaxPool3d(_MaxPoolNd):
    """Maxima over windows of an input of shape (N, C, D, H, W) or (C, D, H, W); arguments as `MaxPool2d`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.MaxPool3d(2)(fastnn.ones(1, 2, 4, 4)).shape
        torch.Size([1, 1, 2, 2])
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class AvgPool1d(Module):
    """Means over windows of an input of shape (N, C, L) or (C, L); arguments as `AvgPool2d`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.AvgPool1d(2)(fastnn.tensor([[1.0, 3.0, 2.0, 4.0]]))
        tensor([[2., 3.]])
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = single(kernel_size)
        self.stride = single(kernel_size if stride is None else stride)
        self.padding = single(padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """Means over windows of an image.

    Args:
        kernel_size: of the window, a number or a pair.
        stride: step between windows. Default: `kernel_size`.
        padding: zeros around the input; at most half of `kernel_size`. Default: 0.
        ceil_mode: whether a last window may reach over the edge. Default: False.
        count_include_pad: whether the zeros count in the mean. Default: True.
        divisor_override: what to divide by, instead of the window's size.

    Shape:
        Input (N, C, H, W) or (C, H, W).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.AvgPool2d(2)(fastnn.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[[2.5000]]])
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool3d(AvgPool2d):
    """Means over windows of an input of shape (N, C, D, H, W) or (C, D, H, W); arguments as `AvgPool2d`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.AvgPool3d(2)(fastnn.ones(1, 2, 4, 4)).shape
        torch.Size([1, 1, 2, 2])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _AdaptiveAvgPoolNd(Module):
    """Size of the result of adaptive means."""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """Means over `output_size` windows of an input of shape (N, C, L) or (C, L).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.AdaptiveAvgPool1d(2)(fastnn.tensor([[1.0, 3.0, 2.0, 4.0]]))
        tensor([[2., 3.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """Means over windows that divide an image into `output_size` parts.

    Args:
        output_size: height and width of the result, one number for both; None keeps the input's.

    Shape:
        Input (N, C, H, W) or (C, H, W). Window i of n is [floor(i * H / n), ceil((i + 1) * H / n)).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.AdaptiveAvgPool2d(1)(fastnn.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[[2.5000]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """Means over `output_size` windows of an input of shape (N, C, D, H, W) or (C, D, H, W).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.AdaptiveAvgPool3d(1)(fastnn.ones(1, 2, 4, 4)).shape
        torch.Size([1, 1, 1, 1])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMaxPoolNd(Module):
    """Size of the result of adaptive maxima, and whether their places are returned."""

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """Maxima over `output_size` windows of an input of shape (N, C, L) or (C, L).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.AdaptiveMaxPool1d(2)(fastnn.tensor([[1.0, 3.0, 2.0, 4.0]]))
        tensor([[3., 4.]])
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """Maxima over windows that divide an image into `output_size` parts; windows as `AdaptiveAvgPool2d`.

    Args:
        output_size: height and width of the result, one number for both; None keeps the input's.
        return_indices: whether the flat places of the maxima are returned too. Default: False.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.AdaptiveMaxPool2d(1)(fastnn.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[[4.]]])
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """Maxima over `output_size` windows of an input of shape (N, C, D, H, W) or (C, D, H, W).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.AdaptiveMaxPool3d(1)(fastnn.ones(1, 2, 4, 4)).shape
        torch.Size([1, 1, 1, 1])
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class _LPPoolNd(Module):
    """Window and power of a power mean."""

    def __init__(self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """`sum(x**norm_type)**(1 / norm_type)` over windows of an input of shape (N, C, L) or (C, L).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LPPool1d(2, 2)(fastnn.tensor([[3.0, 4.0]]))
        tensor([[5.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool1d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPoolNd):
    """`sum(x**norm_type)**(1 / norm_type)` over windows of an input of shape (N, C, H, W) or (C, H, W).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LPPool2d(2, (1, 2))(fastnn.tensor([[[3.0, 4.0]]]))
        tensor([[[5.]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool2d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool3d(_LPPoolNd):
    """`sum(x**norm_type)**(1 / norm_type)` over windows of an input of shape (N, C, D, H, W) or (C, D, H, W).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LPPool3d(2, (1, 1, 2))(fastnn.tensor([[[[3.0, 4.0]]]]))
        tensor([[[[5.]]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool3d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class _MaxUnpoolNd(Module):
    """Window of the pooling that is undone."""

    spatial: int

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        self.kernel_size = _per_dimension(kernel_size, self.spatial)
        self.stride = _per_dimension(kernel_size if stride is None else stride, self.spatial)
        self.padding = _per_dimension(padding, self.spatial)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        unpool: Any = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.spatial - 1]
        result: Tensor = unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)
        return result

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Maxima of shape (N, C, L) or (C, L) put back where `MaxPool1d` found them; arguments as `MaxUnpool2d`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.MaxUnpool1d(2)(fastnn.tensor([[3.0, 4.0]]), fastnn.tensor([[1, 3]]))
        tensor([[0., 3., 0., 4.]])
    """

    spatial = 1


class MaxUnpool2d(_MaxUnpoolNd):
    """Maxima put back where `MaxPool2d` found them, with zeros between them.

    Args:
        kernel_size, stride, padding: those of the pooling.

    Shape:
        Input and indices (N, C, H, W) or (C, H, W); each spatial size of the output is
        `(size - 1) * stride - 2 * padding + kernel_size`, or that of `output_size`, a third argument of the call.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> x = fastnn.tensor([[[1.0, 2.0], [3.0, 4.0]]])
        >>> nn.MaxUnpool2d(2)(*nn.MaxPool2d(2, return_indices=True)(x))
        tensor([[[0., 0.],
                 [0., 4.]]])
    """

    spatial = 2


class MaxUnpool3d(_MaxUnpoolNd):
    """Maxima of shape (N, C, D, H, W) or (C, D, H, W) put back where `MaxPool3d` found them.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.MaxUnpool3d((1, 1, 2))(fastnn.tensor([[[[4.0]]]]), fastnn.tensor([[[[1]]]]))
        tensor([[[[0., 4.]]]])
    """

    spatial = 3


class _FractionalMaxPoolNd(Module):
    """Windows of random places, and the size of the result."""

    spatial: int
    _random_samples: Tensor | None

    def __init__(
        self,
        kernel_size: Size,
        output_size: Size | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = _per_dimension(kernel_size, self.spatial)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else _per_dimension(output_size, self.spatial)
        self.output_ratio = None if output_ratio is None else _per_dimension(output_ratio, self.spatial)
        if output_size is None and output_ratio is None:
            raise ValueError(f"{type(self).__name__} requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Tensor) -> Any:
        pool: Any = (F.fractional_max_pool2d, F.fractional_max_pool3d)[self.spatial - 2]
        return pool(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """Maxima over windows at random places that keep their order.

    Args:
        kernel_size: of the windows, a number or a pair.
        output_size: of the result; or else
        output_ratio: the size of the result as a share of that of the input, between 0 and 1.
        return_indices: whether the flat places of the maxima are returned too. Default: False.
        _random_samples: numbers in [0, 1) instead of drawn ones, shape (N, C, 2).

    Shape:
        Input (N, C, H, W) or (C, H, W).

    Raises:
        ValueError: not exactly one of `output_size` and `output_ratio` is given.

    Graham, Fractional Max-Pooling (2014).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.FractionalMaxPool2d(3, output_size=(13, 12))(fastnn.randn(2, 3, 50, 32)).shape
        torch.Size([2, 3, 13, 12])
    """

    spatial = 2


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """Maxima over windows at random places of an input of shape (N, C, D, H, W) or (C, D, H, W).

    Raises:
        ValueError: also if `kernel_size` is not above 0; see `FractionalMaxPool2d`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.FractionalMaxPool3d(2, output_ratio=0.5)(fastnn.randn(1, 2, 8, 8, 8)).shape
        torch.Size([1, 2, 4, 4, 4])
    """

    spatial = 3

    def __init__(
        self,
        kernel_size: Size,
        output_size: Size | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        if any(size <= 0 for size in _per_dimension(kernel_size, self.spatial)):
            raise ValueError(f"kernel_size must be greater than 0, but got {kernel_size}")
        super().__init__(kernel_size, output_size, output_ratio, return_indices, _random_samples)
