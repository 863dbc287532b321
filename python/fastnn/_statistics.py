"""Histograms, numerical gradients and the like: compositions whose arguments come in several forms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["gradient", "histogram", "histogramdd", "norm_except_dim", "unravel_index", "vander"]


class _Histogram(NamedTuple):
    hist: Tensor
    bin_edges: Tensor


class _HistogramDD(NamedTuple):
    hist: Tensor
    bin_edges: tuple[Tensor, ...]


def _edges(name: str, points: Tensor, bins: Sequence[Any], range: Sequence[float] | None) -> list[Tensor]:
    """The borders of the bins of each column of ``points``."""
    columns = points.shape[1]
    if len(bins) != columns:
        raise RuntimeError(
            f"{name}(): The size of bins must be equal to the innermost dimension of the input, got {len(bins)} and "
            f"{columns}"
        )
    if range is not None and len(range) != 2 * columns:
        raise RuntimeError(f"{name}(): range should have {2 * columns} elements, but got {len(range)} instead")
    result = []
    for column, own in enumerate(bins):
        if isinstance(own, Tensor):
            if own.dtype != points.dtype:
                raise RuntimeError(
                    f"{name}(): input tensor and bins tensors should have the same dtype, but got input with dtype "
                    f"{points.dtype} and bins with dtype {own.dtype}"
                )
            if own.dim() != 1:
                raise RuntimeError(f"{name}(): bins tensor should have one dimension, but got {own.dim()} dimensions")
            if own.numel() == 0:
                raise RuntimeError(f"{name}(): bins tensor should have at least 1 element, but got {own.numel()}")
            result.append(own.contiguous())
            continue
        if own <= 0:
            raise RuntimeError(f"{name}(): bins must be > 0, but got {own} for dimension {column}")
        if range is not None:
            low, high = float(range[2 * column]), float(range[2 * column + 1])
        elif len(points):
            low, high = float(points[:, column].min()), float(points[:, column].max())
        else:
            low, high = 0.0, 1.0
        if not abs(low) < float("inf") or not abs(high) < float("inf"):
            raise RuntimeError(f"{name}(): dimension {column}'s range [{low}, {high}] is not finite")
        if low > high:
            raise RuntimeError(f"{name}(): min should not exceed max, but got min {low} max {high}")
        if low == high:
            low, high = low - 0.5, high + 0.5
        result.append(_C.linspace(low, high, own + 1, dtype=points.dtype))
    return result


def _count(
    name: str,
    input: Tensor,
    bins: Sequence[Any],
    range: Sequence[float] | None,
    weight: Tensor | None,
    density: bool,
) -> tuple[Tensor, list[Tensor]]:
    """Weights of the points (rows of ``input``) in each cell of the grid."""
    if not input.is_floating_point() or input.dtype.itemsize < 4:
        raise NotImplementedError(f'"{name}_cpu" not implemented for {input.dtype}')
    points = input.detach().reshape(-1, input.shape[-1])
    if weight is None:
        weight = points.new_ones(len(points))
    elif weight.dtype != input.dtype:
        raise RuntimeError(
            f"{name}(): if weight tensor is provided, input tensor and weight tensor should have the same dtype, but "
            f"got input(dtype={input.dtype}), and weight(dtype={weight.dtype})"
        )
    elif tuple(weight.shape) != tuple(input.shape[:-1]):
        raise RuntimeError(
            f"{name}(): if weight tensor is provided it should have the same shape as the input tensor excluding its "
            f"innermost dimension, but got input with shape {list(input.shape)} and weight with shape "
            f"{list(weight.shape)}"
        )
    edges = _edges(name, points, bins, range)
    sizes = [len(border) - 1 for border in edges]
    cell = _C.zeros(len(points), dtype=_C.int64)
    inside = _C.ones(len(points), dtype=_C.bool)
    for column, border in enumerate(edges):
        values = points[:, column].contiguous()
        # The last bin has both of its ends.
        place = _C.where(values == border[-1], sizes[column] - 1, _C.searchsorted(border, values, right=True) - 1)
        inside &= (values >= border[0]) & (values <= border[-1])
        cell = cell * sizes[column] + place
    total = 1
    for size in sizes:
        total *= size
    counts = points.new_zeros(total).index_add(0, cell[inside], weight.detach().reshape(-1)[inside]).reshape(sizes)
    if density:
        counts = counts / counts.sum()
        for column, border in enumerate(edges):
            shape = [1] * len(edges)
            shape[column] = -1
            counts = counts / (border[1:] - border[:-1]).reshape(shape)
    return counts, edges


def histogram(
    input: Tensor,
    bins: int | Tensor = 100,
    *,
    range: tuple[float, float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
    out: tuple[Tensor, Tensor] | None = None,
) -> _Histogram:
    """How many elements lie in each of ``bins`` intervals, and the borders of these.

    Args:
        input: of any shape, float32 or float64.
        bins: the number of equal intervals, or a tensor with their borders.
        range: from where to where; by default the smallest and largest element.
        weight: what each element counts, of the shape of ``input``; by default 1.
        density: divide, so that the integral is 1.
        out: where the two results go.

    Example::

        >>> import fastnn
        >>> fastnn.histogram(fastnn.tensor([1.0, 2.0, 1.0]), bins=2, range=(0.0, 4.0)).hist
        tensor([2., 1.])
    """
    counts, edges = _count(
        "histogram", input.reshape(-1, 1), [bins], range, None if weight is None else weight.reshape(-1), density
    )
    result = _Histogram(counts, edges[0])
    if out is None:
        return result
    return _Histogram(*(to.resize_(one.shape).copy_(one) for to, one in zip(out, result, strict=True)))


def histogramdd(
    input: Tensor,
    bins: int | Sequence[int] | Sequence[Tensor],
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> _HistogramDD:
    """The histogram of points in several dimensions.

    Args:
        input: points of shape (..., D), float32 or float64.
        bins: the number of intervals, one for all dimensions or one each, or the borders in each dimension.
        range: two numbers, from where to where, for each dimension.
        weight: what each point counts, of shape (...).
        density: divide, so that the integral is 1.

    Example::

        >>> import fastnn
        >>> fastnn.histogramdd(fastnn.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), bins=[2, 2]).hist
        tensor([[0., 1.],
                [1., 1.]])
    """
    if input.dim() < 2:
        raise RuntimeError(
            f"histogramdd(): input tensor should have at least 2 dimensions, but got {input.dim()} dimensions"
        )
    each: list[Any] = [bins] * input.shape[-1] if isinstance(bins, int) else list(bins)
    counts, edges = _count("histogramdd", input, each, range, weight, density)
    return _HistogramDD(counts, tuple(edges))


def gradient(
    input: Tensor,
    *,
    spacing: float | Tensor | Sequence[float] | Sequence[Tensor] | None = None,
    dim: int | Sequence[int] | None = None,
    edge_order: int = 1,
) -> list[Tensor]:
    """Slopes of samples of a function, by central differences of second order.

    Args:
        input: the samples on a grid.
        spacing: the distance of neighbours, for all dimensions or one each; or the coordinates in each dimension.
        dim: the dimensions; by default all.
        edge_order: 1 or 2, the order of the one-sided differences at the borders.

    Shape:
        One tensor of the shape of ``input`` for each dimension.

    Example::

        >>> import fastnn
        >>> fastnn.gradient(fastnn.tensor([1.0, 2.0, 4.0, 7.0]))[0]
        tensor([1.0000, 1.5000, 2.5000, 3.0000])
    """
    if edge_order not in (1, 2):
        raise RuntimeError(f"torch.gradient only supports edge_order=1 and edge_order=2, got {edge_order}")
    if input.dtype == _C.uint8:
        raise RuntimeError("torch.gradient does not support uint8 input.")
    given = list(range(input.dim())) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    dims = [_wrapped(one, input.dim()) for one in given]
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"dim {dims} appears multiple times in the list of dims")
    if spacing is None or isinstance(spacing, (int, float)) or (isinstance(spacing, Tensor) and spacing.dim() == 0):
        steps: list[Any] = [1.0 if spacing is None else spacing] * len(dims)
    elif isinstance(spacing, Tensor):
        steps = [spacing]
    else:
        steps = list(spacing)
    if len(steps) != len(dims):
        raise RuntimeError(
            f"torch.gradient expected spacing to be unspecified, a scalar or a list of length equal to the number of "
            f"dimensions ({len(dims)}), but got a list of length {len(steps)}"
        )
    for one in dims:
        if input.shape[one] < edge_order + 1:
            raise RuntimeError(
                f"torch.gradient expected each dimension size to be at least edge_order+1 = {edge_order + 1}"
            )
    return [_slopes(input, step, one, edge_order) for step, one in zip(steps, dims, strict=True)]


def _wrapped(dim: int, ndim: int) -> int:
    if not -ndim <= dim < ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-ndim}, {ndim - 1}], but got {dim})")
    return dim % ndim


def _slopes(input: Tensor, step: Any, dim: int, edge_order: int) -> Tensor:
    n = input.shape[dim]

    def part(start: int, length: int) -> Tensor:
        return input.narrow(dim, start, length)

    if isinstance(step, Tensor) and step.dim() > 0:
        if step.dim() != 1 or len(step) != n:
            raise RuntimeError(
                f"torch.gradient expected each element of spacing to have one coordinate per element along dim {dim}"
            )
        widths = (step[1:] - step[:-1]).reshape([-1 if i == dim else 1 for i in range(input.dim())])
    else:
        widths = None

    def width(start: int, length: int) -> Any:
        return step if widths is None else widths.narrow(dim, start, length)

    before, after = width(0, n - 2), width(1, n - 2)
    if widths is None:
        middle = (part(2, n - 2) - part(0, n - 2)) / (2 * step)
    else:
        middle = (
            part(0, n - 2) * (-after / (before * (before + after)))
            + part(1, n - 2) * ((after - before) / (before * after))
            + part(2, n - 2) * (before / (after * (before + after)))
        )
    if edge_order == 1:
        first = (part(1, 1) - part(0, 1)) / width(0, 1)
        last = (part(n - 1, 1) - part(n - 2, 1)) / width(n - 2, 1)
    else:
        a, b = width(0, 1), width(1, 1)
        first = (
            part(0, 1) * (-(2 * a + b) / (a * (a + b)))
            + part(1, 1) * ((a + b) / (a * b))
            + part(2, 1) * (-a / (b * (a + b)))
        )
        a, b = width(n - 3, 1), width(n - 2, 1)
        last = (
            part(n - 3, 1) * (b / (a * (a + b)))
            + part(n - 2, 1) * (-(a + b) / (a * b))
            + part(n - 1, 1) * ((a + 2 * b) / (b * (a + b)))
        )
    return _C.cat([first, middle, last], dim)


def unravel_index(indices: Tensor, shape: int | Sequence[int]) -> tuple[Tensor, ...]:
    """The place in a tensor of a shape for each place in its flattened form.

    Example::

        >>> import fastnn
        >>> fastnn.unravel_index(fastnn.tensor([0, 5]), (2, 3))
        (tensor([0, 1]), tensor([0, 2]))
    """
    if indices.is_floating_point() or indices.is_complex() or indices.dtype == _C.bool:
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    sizes = [shape] if isinstance(shape, int) else list(shape)
    for size in sizes:
        if not isinstance(size, int):
            raise TypeError(f"expected 'shape' sequence to only contain ints, but got {type(size)}")
    if any(size < 0 for size in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {tuple(sizes)}")
    places, result, step = indices.to(_C.int64), [], 1
    for size in reversed(sizes):
        result.append(places.floor_divide(step) % size)
        step *= size
    return tuple(reversed(result))


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of each element of a vector as a row, from ``N - 1`` down to 0.

    Example::

        >>> import fastnn
        >>> fastnn.vander(fastnn.tensor([1, 2, 3]))
        tensor([[1, 1, 1],
                [4, 2, 1],
                [9, 3, 1]])
    """
    if x.dim() != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    width = x.numel() if N is None else N
    if width < 0:
        raise RuntimeError("N must be non-negative.")
    powers = x.unsqueeze(-1).expand(-1, max(width - 1, 0)).cumprod(-1)
    if width > 0:
        powers = _C.cat([powers.new_ones(len(x), 1), powers], -1)
    return powers if increasing else powers.flip(-1)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norm over all dimensions but one; over all with ``dim=-1``.

    Example::

        >>> import fastnn
        >>> fastnn.norm_except_dim(fastnn.tensor([[3.0, 4.0], [0.0, 2.0]]))
        tensor([[5.],
                [2.]])
    """
    if dim == -1:
        return v.norm(pow)
    others = [i for i in range(v.dim()) if i != dim]
    return v.norm(pow, dim=others, keepdim=True) if others else v.abs()
