"""Convolutions in one and three dimensions, and transposed ones, from the two-dimensional one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn._C import Tensor
from fastnn._C import nn as _nn

from fastnn import _C

from ._common import ntuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    Size = int | Sequence[int]


def _check_input(name: str, input: Tensor, weight: Tensor, spatial: int) -> None:
    if weight.dim() != spatial + 2:
        raise RuntimeError(f"{name}: weight must have {spatial + 2} dimensions, but got shape {tuple(weight.shape)}")
    if input.dim() not in (spatial + 1, spatial + 2):
        raise RuntimeError(
            f"Expected {spatial + 1}D (unbatched) or {spatial + 2}D (batched) input to {name}, "
            f"but got input of size: {list(input.shape)}"
        )


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate `input` with `weight` along the last dimension.

    Args:
        input: shape (N, C, L) or (C, L).
        weight: shape (out, C / groups, K).
        bias: shape (out,).
        stride, padding, dilation: numbers, or sequences of one; `padding` also "same" or "valid".
        groups: how many parts the channels are split into.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.conv1d(fastnn.tensor([[[1.0, 2.0, 4.0]]]), fastnn.ones(1, 1, 2))
        tensor([[[3., 6.]]])
    """
    _check_input("conv1d", input, weight, 1)
    return _nn.conv2d(
        input.unsqueeze(-2),
        weight.unsqueeze(-2),
        bias,
        (1, *ntuple(stride, 1)),
        padding if isinstance(padding, str) else (0, *ntuple(padding, 1)),
        (1, *ntuple(dilation, 1)),
        groups,
    ).squeeze(-2)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate `input` with `weight` along the last three dimensions.

    Args:
        input: shape (N, C, D, H, W) or (C, D, H, W).
        weight: shape (out, C / groups, KD, KH, KW).
        bias: shape (out,).
        stride, padding, dilation: numbers, or one per dimension; `padding` also "same" or "valid".
        groups: how many parts the channels are split into.
    """
    _check_input("conv3d", input, weight, 3)
    steps, dilations = ntuple(stride, 3), ntuple(dilation, 3)
    before, after = _pads("conv3d", padding, weight, steps, dilations)
    unbatched = input.dim() == 4
    x = input.unsqueeze(0) if unbatched else input
    x = _nn.pad(x, [pad for pair in zip(before[::-1], after[::-1], strict=True) for pad in pair])
    samples, depth = x.size(0), x.size(2)
    out_depth = (depth - dilations[0] * (weight.size(2) - 1) - 1) // steps[0] + 1
    if out_depth <= 0:
        raise RuntimeError(
            f"Calculated padded input size per channel: ({' x '.join(map(str, x.shape[2:]))}). "
            f"Kernel size: ({' x '.join(map(str, weight.shape[2:]))}). "
            "Kernel size can't be greater than actual input size"
        )
    total: Tensor | None = None
    for k in range(weight.size(2)):  # each slice of the kernel meets the planes that lie under it
        first = k * dilations[0]
        planes = x[:, :, first : first + (out_depth - 1) * steps[0] + 1 : steps[0]]
        stacked = planes.transpose(1, 2).reshape(samples * out_depth, *planes.shape[1:2], *planes.shape[3:])
        part = _nn.conv2d(stacked, weight[:, :, k], None if k else bias, steps[1:], 0, dilations[1:], groups)
        total = part if total is None else total + part
    if total is None:
        raise RuntimeError(f"conv3d: weight has an empty kernel, shape {tuple(weight.shape)}")
    result = total.reshape(samples, out_depth, *total.shape[1:]).transpose(1, 2)
    return result.squeeze(0) if unbatched else result


def _pads(
    name: str,
    padding: Size | str,
    weight: Tensor,
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The padding before and after each dimension."""
    spatial = len(stride)
    if not isinstance(padding, str):
        sizes = ntuple(padding, spatial)
        if min(sizes) < 0:
            raise RuntimeError(f"negative padding is not supported: {name} got padding={padding}")
        return sizes, sizes
    if padding == "valid":
        return (0,) * spatial, (0,) * spatial
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'")
    if any(step != 1 for step in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    whole = tuple(d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True))
    before = tuple(n // 2 for n in whole)
    return before, tuple(n - b for n, b in zip(whole, before, strict=True))


def _conv_transpose(
    name: str,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Size,
    padding: Size,
    output_padding: Size,
    groups: int,
    dilation: Size,
    spatial: int,
) -> Tensor:
    """The gradient of a convolution with respect to its input, as a convolution of its own.

    `stride - 1` zeros go between the elements, the kernel is mirrored, and what it reads beyond the edges
    is 0; a padding larger than that cuts off.
    """
    _check_input(name, input, weight, spatial)
    steps, pads = ntuple(stride, spatial), ntuple(padding, spatial)
    extra, dilations = ntuple(output_padding, spatial), ntuple(dilation, spatial)
    for out_pad, step, spread in zip(extra, steps, dilations, strict=True):
        if out_pad >= max(step, spread):
            raise RuntimeError(
                "output padding must be smaller than either stride or dilation, but got output_padding: "
                f"{list(extra)} stride: {list(steps)} dilation: {list(dilations)}"
            )
    unbatched = input.dim() == spatial + 1
    x = input.unsqueeze(0) if unbatched else input
    if x.size(1) != weight.size(0):
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(weight.shape)}, expected input{list(input.shape)} to "
            f"have {weight.size(0)} channels, but got {x.size(1)} channels instead"
        )
    amounts: list[int] = []
    for i in range(spatial):
        dim = i + 2
        x = _spread_out(x, dim, steps[i])
        reach = dilations[i] * (weight.size(dim) - 1)
        amounts = [reach - pads[i], reach - pads[i] + extra[i], *amounts]
    x = _nn.pad(x, amounts)
    inputs, outputs = weight.size(0) // groups, weight.size(1)
    kernel = weight.reshape(groups, inputs, outputs, *weight.shape[2:]).transpose(1, 2)
    kernel = kernel.reshape(groups * outputs, inputs, *weight.shape[2:]).flip(tuple(range(2, spatial + 2)))
    convolve = {1: conv1d, 2: _nn.conv2d, 3: conv3d}[spatial]
    result = convolve(x, kernel, bias, 1, 0, dilations, groups)
    return result.squeeze(0) if unbatched else result


def _spread_out(x: Tensor, dim: int, step: int) -> Tensor:
    """Put `step - 1` zeros between the elements along `dim`."""
    if step == 1:
        return x
    shape = list(x.shape)
    spread = _nn.pad(x.unsqueeze(dim + 1), [0, 0] * (x.dim() - dim - 1) + [0, step - 1])
    length = shape[dim]
    shape[dim] = length * step
    return spread.reshape(shape).narrow(dim, 0, (length - 1) * step + 1)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """Transposed convolution of an input of shape (N, C, L) or (C, L); weight (C, out / groups, K)."""
    return _conv_transpose(
        "conv_transpose1d", input, weight, bias, stride, padding, output_padding, groups, dilation, 1
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """Transposed convolution of an input of shape (N, C, H, W) or (C, H, W).

    Args:
        input: the input.
        weight: shape (C, out / groups, KH, KW).
        bias: shape (out,).
        stride, padding, dilation: those of the convolution that this is the transpose of.
        output_padding: added to the size of the result on one side.
        groups: how many parts the channels are split into.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.conv_transpose2d(fastnn.ones(1, 1, 1, 1), fastnn.ones(1, 1, 2, 2))
        tensor([[[[1., 1.],
                  [1., 1.]]]])
    """
    return _conv_transpose(
        "conv_transpose2d", input, weight, bias, stride, padding, output_padding, groups, dilation, 2
    )


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size = 0,
    output_padding: Size = 0,
    groups: int = 1,
    dilation: Size = 1,
) -> Tensor:
    """Transposed convolution of an input of shape (N, C, D, H, W) or (C, D, H, W)."""
    return _conv_transpose(
        "conv_transpose3d", input, weight, bias, stride, padding, output_padding, groups, dilation, 3
    )


def unfold(input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> Tensor:
    """Lay out the windows of a convolution as columns.

    Args:
        input: shape (N, C, H, W) or (C, H, W).
        kernel_size, dilation, padding, stride: numbers, or pairs.

    Shape:
        The result is (N, C * KH * KW, L), with L windows.
    """
    _, _, columns = _windows("unfold", input, kernel_size, dilation, padding, stride)
    x = input if input.dim() == 4 else input.unsqueeze(0)
    pad_h, pad_w = ntuple(padding, 2)
    x = _nn.pad(x, [pad_w, pad_w, pad_h, pad_h])
    flat = x.reshape(x.size(0), x.size(1), -1).index_select(2, columns.reshape(-1))
    result = flat.reshape(x.size(0), x.size(1) * columns.size(0), columns.size(1))
    return result if input.dim() == 4 else result.squeeze(0)


def _windows(
    name: str, image: Tensor, kernel_size: Size, dilation: Size, padding: Size, stride: Size
) -> tuple[int, int, Tensor]:
    """The padded height and width, and the flat place of each kernel element in each window."""
    if image.dim() not in (3, 4):
        raise RuntimeError(f"{name}: Expected 3D or 4D input, but got input of size: {list(image.shape)}")
    places = []
    sizes = []
    for axis in range(2):
        kernel, spread = ntuple(kernel_size, 2)[axis], ntuple(dilation, 2)[axis]
        pad, step = ntuple(padding, 2)[axis], ntuple(stride, 2)[axis]
        size = image.size(axis - 2) + 2 * pad
        count = (size - spread * (kernel - 1) - 1) // step + 1
        if count <= 0:
            raise RuntimeError(
                f"{name}: the kernel of size {ntuple(kernel_size, 2)} with dilation {ntuple(dilation, 2)} "
                f"does not fit into the padded input of spatial size {tuple(image.shape[-2:])}"
            )
        sizes.append(size)
        places.append(_C.arange(kernel).reshape(-1, 1) * spread + _C.arange(count) * step)
    rows, cols = places
    grid = rows.reshape(rows.size(0), 1, rows.size(1), 1) * sizes[1] + cols.reshape(1, cols.size(0), 1, cols.size(1))
    return sizes[0], sizes[1], grid.reshape(rows.size(0) * cols.size(0), -1)


def fold(
    input: Tensor,
    output_size: Size,
    kernel_size: Size,
    dilation: Size = 1,
    padding: Size = 0,
    stride: Size = 1,
) -> Tensor:
    """Add columns of windows up to an image: the transpose of `unfold`.

    Args:
        input: shape (N, C * KH * KW, L) or (C * KH * KW, L).
        output_size: height and width of the result.
        kernel_size, dilation, padding, stride: those of the `unfold` that made such columns.
    """
    if input.dim() not in (2, 3):
        raise RuntimeError(f"fold: Expected 2D or 3D input, but got input of size: {list(input.shape)}")
    x = input if input.dim() == 3 else input.unsqueeze(0)
    (out_h, out_w), (pad_h, pad_w) = ntuple(output_size, 2), ntuple(padding, 2)
    like = x.new_empty((1, 1, 1, 1)).expand(1, 1, out_h, out_w)
    height, width, columns = _windows("fold", like, kernel_size, dilation, padding, stride)
    if x.size(1) % columns.size(0) or x.size(2) != columns.size(1):
        raise RuntimeError(
            f"fold: input of shape {tuple(input.shape)} does not fit: expected (N, C * {columns.size(0)}, "
            f"{columns.size(1)}) for output_size={(out_h, out_w)} and kernel_size={ntuple(kernel_size, 2)}"
        )
    channels = x.size(1) // columns.size(0)
    source = x.reshape(x.size(0), channels, -1)
    image = x.new_zeros((x.size(0), channels, height * width)).index_add(2, columns.reshape(-1), source)
    image = image.reshape(x.size(0), channels, height, width)
    image = image[:, :, pad_h : height - pad_h, pad_w : width - pad_w]
    return image if input.dim() == 3 else image.squeeze(0)
