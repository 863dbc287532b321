"""Windows of an image as columns, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _C
from fastnn._C import Tensor

from ._common import ntuple
from .padding import pad

if TYPE_CHECKING:
    from collections.abc import Sequence

    Size = int | Sequence[int]


def unfold(input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> Tensor:
    """Lay out the windows of a convolution as columns.

    Args:
        input: shape (N, C, H, W) or (C, H, W).
        kernel_size, dilation, padding, stride: numbers, or pairs.

    Shape:
        The result is (N, C * KH * KW, L), with L windows.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.unfold(fastnn.arange(6.0).reshape(1, 1, 2, 3), 2)
        tensor([[[0., 1.],
                 [1., 2.],
                 [3., 4.],
                 [4., 5.]]])
    """
    _, _, columns = _windows("unfold", input, kernel_size, dilation, padding, stride)
    x = input if input.dim() == 4 else input.unsqueeze(0)
    pad_h, pad_w = ntuple(padding, 2)
    x = pad(x, [pad_w, pad_w, pad_h, pad_h])
    flat = x.flatten(2).index_select(2, columns.reshape(-1))
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

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.fold(fastnn.ones(1, 2, 2), (1, 3), (1, 2))
        tensor([[[[1., 2., 1.]]]])
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
