"""Convolutions and transposed convolutions in one, two and three dimensions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor

from .. import functional as F
from .. import init
from .._sizes import _per_dimension
from ..parameter import Parameter, UninitializedParameter
from .lazy import LazyModuleMixin, materialize
from .module import Module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn._C import device as Device
    from fastnn._C import dtype as DType

    Size = int | Sequence[int]

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolutions share: sizes, parameters and their initial values."""

    spatial: int
    transposed: bool = False
    weight: Tensor
    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size | str,
        dilation: Size,
        output_padding: Size,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Device | str | None,
        dtype: DType | None,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _per_dimension(kernel_size, self.spatial)
        self.stride = _per_dimension(stride, self.spatial)
        self.dilation = _per_dimension(dilation, self.spatial)
        self.padding: tuple[int, ...] | str = (
            padding if isinstance(padding, str) else _per_dimension(padding, self.spatial)
        )
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}")
            if padding == "same" and any(step != 1 for step in self.stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                "padding_mode must be one of {'zeros', 'reflect', 'replicate', 'circular'}, "
                f"but got padding_mode='{padding_mode}'"
            )
        self.output_padding = _per_dimension(output_padding, self.spatial)
        self.groups = groups
        self.padding_mode = padding_mode
        # (before, after) of the last dimension first, as F.pad takes it
        self._reversed_padding_repeated_twice: list[int] = []
        for kernel, spread, pad in zip(self.kernel_size, self.dilation, self._pads_before(), strict=True):
            after = spread * (kernel - 1) - pad if padding == "same" else pad
            self._reversed_padding_repeated_twice[:0] = [pad, after]
        channels = (
            (in_channels, out_channels // groups)
            if self.transposed
            else (
                out_channels,
                in_channels // groups,
            )
        )
        self.weight = Parameter(_C.empty((*channels, *self.kernel_size), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(_C.empty((out_channels,), device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _pads_before(self) -> tuple[int, ...]:
        if self.padding == "same":
            return tuple(d * (k - 1) // 2 for d, k in zip(self.dilation, self.kernel_size, strict=True))
        return (0,) * self.spatial if isinstance(self.padding, str) else self.padding

    def reset_parameters(self) -> None:
        """Draw the parameters anew."""
        # sqrt(5) makes the bound of the Kaiming distribution 1 / sqrt(fan_in).
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def _padded(self, input: Tensor) -> tuple[Tensor, tuple[int, ...] | str]:
        """The input and the zero padding that is left for the convolution to add."""
        if self.padding_mode == "zeros":
            return input, self.padding
        padded = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
        return padded, (0,) * self.spatial

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        zeros = (0,) * self.spatial
        if self.padding != zeros:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.spatial:
            text += f", dilation={self.dilation}"
        if self.output_padding != zeros:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Conv(_ConvNd):
    """What the convolutions that are not transposed share."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution with these parameters: what layers that change their weights call, or override."""
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)


class Conv1d(_Conv):
    """Cross-correlation of a signal with learned kernels; arguments as `Conv2d`.

    Shape:
        Input (N, C, L) or (C, L). `weight` is (out_channels, in_channels / groups, K).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Conv1d(16, 33, 3, stride=2)(fastnn.randn(20, 16, 50)).shape
        torch.Size([20, 33, 24])
    """

    spatial = 1

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = self._padded(input)
        return F.conv1d(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class Conv2d(_Conv):
    """Cross-correlation of an image with learned kernels: `out[o] = bias[o] + sum_c weight[o, c] * in[c]`.

    Args:
        in_channels, out_channels: channels of input and output.
        kernel_size: of the window, a number or one per dimension.
        stride: step between windows. Default: 1.
        padding: zeros around the input, or "same" or "valid". Default: 0.
        dilation: step between the elements of a window. Default: 1.
        groups: how many parts the channels are split into; `in_channels` makes it depthwise. Default: 1.
        bias: whether there is a bias. Default: True.
        padding_mode: "zeros", "reflect", "replicate" or "circular". Default: "zeros".
        device, dtype: of the parameters.

    Shape:
        Input (N, C, H, W) or (C, H, W); each spatial size of the output is
        `floor((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1`.
        `weight` is (out_channels, in_channels / groups, KH, KW), `bias` (out_channels,), both drawn from
        the uniform distribution over +-1/sqrt(in_channels / groups * KH * KW).

    Raises:
        ValueError: `groups` does not divide the channels, or the padding is unknown.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Conv2d(3, 8, 3, padding=1)(fastnn.randn(2, 3, 16, 16)).shape
        torch.Size([2, 8, 16, 16])
    """

    spatial = 2

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode == "zeros":
            padding = self.padding
        else:
            input, padding = self._padded(input)
        return F.conv2d(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class Conv3d(_Conv):
    """Cross-correlation of a volume with learned kernels; arguments as `Conv2d`.

    Shape:
        Input (N, C, D, H, W) or (C, D, H, W). `weight` is (out_channels, in_channels / groups, KD, KH, KW).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Conv3d(2, 4, 3)(fastnn.randn(1, 2, 5, 6, 7)).shape
        torch.Size([1, 4, 3, 4, 5])
    """

    spatial = 3

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        input, padding = self._padded(input)
        return F.conv3d(input, weight, bias, self.stride, padding, self.dilation, self.groups)


class _ConvTransposeNd(_ConvNd):
    """What the transposed convolutions share."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _output_padding(self, input: Tensor, output_size: Sequence[int] | None) -> tuple[int, ...]:
        """The output padding that gives `output_size`."""
        if output_size is None:
            return self.output_padding
        count, lead = self.spatial, input.dim() - self.spatial
        wanted = list(output_size)
        if len(wanted) == lead + count:
            wanted = wanted[lead:]
        if len(wanted) != count:
            raise ValueError(
                f"ConvTranspose{count}D: for {input.dim()}D input, output_size must have {count} or "
                f"{lead + count} elements (got {len(wanted)})"
            )
        smallest = [
            (input.size(lead + i) - 1) * self.stride[i]
            - 2 * int(self.padding[i])
            + self.dilation[i] * (self.kernel_size[i] - 1)
            + 1
            for i in range(count)
        ]
        largest = [low + step - 1 for low, step in zip(smallest, self.stride, strict=True)]
        if any(not low <= n <= high for low, n, high in zip(smallest, wanted, largest, strict=True)):
            raise ValueError(
                f"requested an output size of {output_size}, but valid sizes range from {smallest} to {largest} "
                f"(for an input of {input.shape[2:]})"
            )
        return tuple(n - low for n, low in zip(wanted, smallest, strict=True))

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        convolve: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.spatial - 1]
        result: Tensor = convolve(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self._output_padding(input, output_size),
            self.groups,
            self.dilation,
        )
        return result


class ConvTranspose1d(_ConvTransposeNd):
    """The gradient of `Conv1d` with respect to its input; arguments as `ConvTranspose2d`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ConvTranspose1d(4, 2, 3, stride=2)(fastnn.randn(1, 4, 5)).shape
        torch.Size([1, 2, 11])
    """

    spatial = 1


class ConvTranspose2d(_ConvTransposeNd):
    """The gradient of `Conv2d` with respect to its input, as a layer.

    Args:
        in_channels, out_channels: channels of input and output.
        kernel_size, stride, padding, dilation, groups: those of the convolution that this transposes.
        output_padding: added to the size of the output on one side. Default: 0.
        bias: whether there is a bias. Default: True.
        padding_mode: only "zeros".
        device, dtype: of the parameters.

    Shape:
        Input (N, C, H, W) or (C, H, W); each spatial size of the output is
        `(size - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1`.
        `weight` is (in_channels, out_channels / groups, KH, KW).

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ConvTranspose2d(4, 2, 2, stride=2)(fastnn.randn(1, 4, 5, 5)).shape
        torch.Size([1, 2, 10, 10])
    """

    spatial = 2


class ConvTranspose3d(_ConvTransposeNd):
    """The gradient of `Conv3d` with respect to its input; arguments as `ConvTranspose2d`.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.ConvTranspose3d(2, 1, 2, stride=2)(fastnn.randn(1, 2, 2, 2, 2)).shape
        torch.Size([1, 1, 4, 4, 4])
    """

    spatial = 3


# --- without in_channels ---


class _LazyConvNd(LazyModuleMixin, _ConvNd):
    """What the lazy convolutions share."""

    def _without_input(self, out_channels: int, bias: bool, device: Device | str | None, dtype: DType | None) -> None:
        self.out_channels = out_channels
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.in_channels != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        if not self.has_uninitialized_params():
            return
        batched = input.dim() == self.spatial + 2
        if not batched and input.dim() != self.spatial + 1:
            raise RuntimeError(
                f"Expected {self.spatial + 1}D (unbatched) or {self.spatial + 2}D (batched) input to "
                f"{type(self).__name__}, but got input of size: {input.shape}"
            )
        self.in_channels = input.shape[1 if batched else 0]
        if self.in_channels % self.groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        materialize(self.weight, (first, second // self.groups, *self.kernel_size))
        materialize(self.bias, (self.out_channels,))
        self.reset_parameters()


class _LazyConv(_LazyConvNd, _Conv):
    """The constructor of the lazy convolutions."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode)
        self._without_input(out_channels, bias, device, dtype)


class _LazyConvTranspose(_LazyConvNd, _ConvTransposeNd):
    """The constructor of the lazy transposed convolutions."""

    def __init__(
        self,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: Device | str | None = None,
        dtype: DType | None = None,
    ) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation, padding_mode)
        self._without_input(out_channels, bias, device, dtype)


class LazyConv1d(_LazyConv, Conv1d):
    """A `Conv1d` that takes `in_channels` from its first input, and then is one; arguments as there.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LazyConv1d(8, 3)(fastnn.randn(2, 4, 9)).shape
        torch.Size([2, 8, 7])
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """A `Conv2d` that takes `in_channels` from its first input, and then is one; arguments as there.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LazyConv2d(8, 3)(fastnn.randn(2, 4, 9, 9)).shape
        torch.Size([2, 8, 7, 7])
    """

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """A `Conv3d` that takes `in_channels` from its first input, and then is one; arguments as there.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LazyConv3d(8, 3)(fastnn.randn(2, 4, 5, 5, 5)).shape
        torch.Size([2, 8, 3, 3, 3])
    """

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """A `ConvTranspose1d` that takes `in_channels` from its first input, and then is one; arguments as there.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LazyConvTranspose1d(8, 3)(fastnn.randn(2, 4, 9)).shape
        torch.Size([2, 8, 11])
    """

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """A `ConvTranspose2d` that takes `in_channels` from its first input, and then is one; arguments as there.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LazyConvTranspose2d(8, 3)(fastnn.randn(2, 4, 9, 9)).shape
        torch.Size([2, 8, 11, 11])
    """

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """A `ConvTranspose3d` that takes `in_channels` from its first input, and then is one; arguments as there.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.LazyConvTranspose3d(8, 3)(fastnn.randn(2, 4, 5, 5, 5)).shape
        torch.Size([2, 8, 7, 7, 7])
    """

    cls_to_become = ConvTranspose3d
