"""Functions of the top level that are in ``nn.functional`` under a signature for people.

Here, as in PyTorch, ``reduction`` is a number (0: none, which is what its functions do by default; 1: mean; 2: sum), as
are modes, and little has a default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn.autograd.grad_mode import no_grad
from fastnn.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastnn._C import Tensor, _DeviceLike

__all__ = [
    "adaptive_max_pool1d",
    "affine_grid_generator",
    "alpha_dropout",
    "alpha_dropout_",
    "bilinear",
    "binary_cross_entropy_with_logits",
    "convolution",
    "cosine_embedding_loss",
    "ctc_loss",
    "embedding_bag",
    "embedding_renorm_",
    "feature_alpha_dropout",
    "feature_alpha_dropout_",
    "feature_dropout",
    "feature_dropout_",
    "frobenius_norm",
    "from_file",
    "grid_sampler",
    "grid_sampler_2d",
    "grid_sampler_3d",
    "hinge_embedding_loss",
    "instance_norm",
    "kl_div",
    "margin_ranking_loss",
    "max_pool1d_with_indices",
    "nuclear_norm",
    "poisson_nll_loss",
    "triplet_margin_loss",
]

_REDUCTIONS = ("none", "mean", "sum")
_BAG_MODES = ("sum", "mean", "max")
_GRID_MODES = ("bilinear", "nearest", "bicubic")
_GRID_PADDINGS = ("zeros", "border", "reflection")


def _named(names: tuple[str, ...], number: int, what: str) -> str:
    if not 0 <= number < len(names):
        raise RuntimeError(f"{what} has to be one of {', '.join(f'{i} ({n})' for i, n in enumerate(names))}: {number}")
    return names[number]


def _reduction(number: int) -> str:
    return _named(_REDUCTIONS, number, "reduction")


# --- losses ----------------------------------------------------------------------------------------------------------


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: int = 0,
) -> Tensor:
    """:func:`fastnn.nn.functional.binary_cross_entropy_with_logits`.

    Example::

        >>> import fastnn
        >>> fastnn.binary_cross_entropy_with_logits(fastnn.zeros(2), fastnn.ones(2), reduction=2)
        tensor(1.3863)
    """
    return F.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_reduction(reduction), pos_weight=pos_weight
    )


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """:func:`fastnn.nn.functional.cosine_embedding_loss`."""
    return F.cosine_embedding_loss(input1, input2, target, margin, reduction=_reduction(reduction))


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int],
    target_lengths: Tensor | Sequence[int],
    blank: int = 0,
    reduction: int = 0,
    zero_infinity: bool = False,
) -> Tensor:
    """:func:`fastnn.nn.functional.ctc_loss`."""
    lengths: Any = (input_lengths, target_lengths)
    loss: Tensor = F.ctc_loss(log_probs, targets, lengths[0], lengths[1], blank, _reduction(reduction), zero_infinity)
    return loss


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 0) -> Tensor:
    """:func:`fastnn.nn.functional.hinge_embedding_loss`."""
    return F.hinge_embedding_loss(input, target, margin, reduction=_reduction(reduction))


def kl_div(input: Tensor, target: Tensor, reduction: int = 0, *, log_target: bool = False) -> Tensor:
    """:func:`fastnn.nn.functional.kl_div`."""
    return F.kl_div(input, target, reduction=_reduction(reduction), log_target=log_target)


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """:func:`fastnn.nn.functional.margin_ranking_loss`."""
    return F.margin_ranking_loss(input1, input2, target, margin, reduction=_reduction(reduction))


def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int) -> Tensor:
    """:func:`fastnn.nn.functional.poisson_nll_loss`."""
    return F.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=_reduction(reduction))


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = 0,
) -> Tensor:
    """:func:`fastnn.nn.functional.triplet_margin_loss`."""
    return F.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction=_reduction(reduction))


# --- dropout ---------------------------------------------------------------------------------------------------------


def _checked(p: float) -> float:
    if not 0 <= p <= 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    return p


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """:func:`fastnn.nn.functional.alpha_dropout`."""
    return F.alpha_dropout(input, _checked(p), train)


def alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """:func:`alpha_dropout`, in place."""
    return F.alpha_dropout(input, _checked(p), train, inplace=True)


def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """:func:`fastnn.nn.functional.feature_alpha_dropout`."""
    return F.feature_alpha_dropout(input, _checked(p), train)


def feature_alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """:func:`feature_alpha_dropout`, in place."""
    return F.feature_alpha_dropout(input, _checked(p), train, inplace=True)


def _feature_scale(input: Tensor, p: float, train: bool) -> Tensor | float:
    if _checked(p) == 0 or not train or input.numel() == 0:
        return 1.0
    if input.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    kept = input.new_empty(input.shape[:2] + (1,) * (input.dim() - 2)).bernoulli_(1 - p)
    return kept / (1 - p) if p < 1 else kept


def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Zero each channel with probability ``p``, and scale the others by 1 / (1 - p), if ``train``.

    Args:
        input: (N, C, *).

    Raises:
        RuntimeError: ``p`` is no probability, or there are fewer than two dimensions.

    Example::

        >>> import fastnn
        >>> kept = fastnn.feature_dropout(fastnn.ones(2, 3, 4), 0.5, True)
        >>> bool((kept[:, :, 0] == kept[:, :, 1]).all())
        True
    """
    return input * _feature_scale(input, p, train)


def feature_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """:func:`feature_dropout`, in place."""
    return input.mul_(_feature_scale(input, p, train))


# --- layers ----------------------------------------------------------------------------------------------------------


def adaptive_max_pool1d(input: Tensor, output_size: int | Sequence[int]) -> tuple[Tensor, Tensor]:
    """:func:`fastnn.nn.functional.adaptive_max_pool1d`, with the places of the values."""
    size = output_size if isinstance(output_size, int) else output_size[0]
    values, places = F.adaptive_max_pool1d_with_indices(input, size)
    return values, places


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] = (),
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    """:func:`fastnn.nn.functional.max_pool1d`, with the places of the values."""
    step: Any = stride if isinstance(stride, int) or stride else None
    given: Any = (kernel_size, step, padding, dilation, ceil_mode)
    values, places = F.max_pool1d_with_indices(input, *given)
    return values, places


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """:func:`fastnn.nn.functional.bilinear`."""
    return F.bilinear(input1, input2, weight, bias)


def convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    """The convolution, or if ``transposed`` its transpose, of as many dimensions as ``weight`` has beyond two.

    Args:
        input: (N, C, *) or (C, *), with one to three spatial dimensions.
        weight: (O, C / groups, *), or if ``transposed`` (C, O / groups, *).
        stride, padding, dilation, output_padding: one number, or one a spatial dimension.

    Raises:
        RuntimeError: ``weight`` has not 3 to 5 dimensions.

    Example::

        >>> import fastnn
        >>> x, w = fastnn.ones(1, 1, 3), fastnn.ones(1, 1, 2)
        >>> fastnn.convolution(x, w, None, [1], [0], [1], False, [0], 1)
        tensor([[[2., 2.]]])
    """
    spatial = weight.dim() - 2
    if not 1 <= spatial <= 3:
        raise RuntimeError(f"convolution: expected weight of 3 to 5 dimensions, but got shape {tuple(weight.shape)}")

    def each(values: Sequence[int]) -> tuple[int, ...]:
        return tuple(values) * spatial if len(values) == 1 else tuple(values)

    if transposed:
        transpose: Callable[..., Tensor] = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[spatial - 1]
        places = (each(stride), each(padding), each(output_padding), groups, each(dilation))
        return transpose(input, weight, bias, *places)
    forward: Callable[..., Tensor] = (F.conv1d, F.conv2d, F.conv3d)[spatial - 1]
    return forward(input, weight, bias, each(stride), each(padding), each(dilation), groups)


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Tensor:
    """:func:`fastnn.nn.functional.instance_norm`; ``cudnn_enabled`` is ignored."""
    return F.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """:func:`fastnn.nn.functional.embedding_bag` with what its derivative needs in PyTorch.

    Args:
        weight: the table, (rows, width).
        indices, offsets: the rows of all bags, and where each bag begins.
        mode: 0: sum, 1: mean, 2: max.

    Returns:
        The bags, (bags, width); the bag of each index; the number of indices in each bag; and with ``mode`` 2 the row
        of each maximum. Where a mode has no use for one of the last three, it is empty or zero, as in PyTorch.

    Example::

        >>> import fastnn
        >>> table = fastnn.arange(6.0).view(3, 2)
        >>> bags, *_ = fastnn.embedding_bag(table, fastnn.tensor([0, 2, 1]), fastnn.tensor([0, 2]))
        >>> bags
        tensor([[4., 6.],
                [2., 3.]])
    """
    bags = F.embedding_bag(
        indices,
        weight,
        offsets,
        scale_grad_by_freq=scale_grad_by_freq,
        mode=_named(_BAG_MODES, mode, "mode"),
        sparse=sparse,
        per_sample_weights=per_sample_weights,
        include_last_offset=include_last_offset,
        padding_idx=padding_idx,
    )
    nothing = _C.zeros(0, dtype=_C.int64)
    unneeded = mode == 0 and padding_idx is None and weight.stride(1) == 1 and weight.dtype != _C.float64
    if unneeded:
        return bags, nothing, _C.zeros_like(offsets), _C.zeros_like(offsets)
    starts = offsets if include_last_offset else _C.cat([offsets, offsets.new_tensor([indices.numel()])])
    bag_of = _C.arange(len(bags), dtype=offsets.dtype).repeat_interleave(starts.diff())
    if mode == 0:
        return bags, bag_of, _C.zeros_like(offsets), _C.zeros_like(offsets)
    counted = _C.ones_like(indices) if padding_idx is None else (indices != padding_idx % len(weight)).to(indices.dtype)
    sizes = offsets.new_zeros(len(bags)).index_add(0, bag_of, counted)
    if mode == 1:
        return bags, bag_of, sizes, sizes
    # The first of the rows that have the largest element.
    largest = (weight.detach()[indices] == bags.detach()[bag_of]) & (counted != 0).unsqueeze(1)
    place = _C.arange(indices.numel()).unsqueeze(1).expand_as(largest)
    place = place.masked_fill(~largest, indices.numel())
    first = place.new_full(bags.shape, indices.numel())
    first = first.scatter_reduce(0, bag_of.unsqueeze(1).expand_as(place), place, "amin")
    rows = _C.cat([indices, indices.new_zeros(1)])[first]
    return bags, bag_of, sizes, rows


def embedding_renorm_(input: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """Scale the rows of a table that ``indices`` name down to a norm of at most ``max_norm``, in place.

    Example::

        >>> import fastnn
        >>> fastnn.embedding_renorm_(fastnn.ones(2, 4), fastnn.tensor([1]), 1.0, 2.0)
        tensor([[1.0000, 1.0000, 1.0000, 1.0000],
                [0.5000, 0.5000, 0.5000, 0.5000]])
    """
    with no_grad():
        F.embedding(indices, input, max_norm=max_norm, norm_type=norm_type)
    return input


# --- grids -----------------------------------------------------------------------------------------------------------


def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """:func:`fastnn.nn.functional.affine_grid`."""
    return F.affine_grid(theta, list(size), align_corners)


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """:func:`fastnn.nn.functional.grid_sample`.

    Args:
        interpolation_mode: 0: bilinear, 1: nearest, 2: bicubic.
        padding_mode: 0: zeros, 1: border, 2: reflection.

    Example::

        >>> import fastnn
        >>> fastnn.grid_sampler(fastnn.ones(1, 1, 2, 2), fastnn.zeros(1, 1, 1, 2), 0, 0, True)
        tensor([[[[1.]]]])
    """
    mode = _named(_GRID_MODES, interpolation_mode, "interpolation_mode")
    return F.grid_sample(input, grid, mode, _named(_GRID_PADDINGS, padding_mode, "padding_mode"), align_corners)


def grid_sampler_2d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """:func:`grid_sampler` for images, (N, C, H, W)."""
    return _of_dims("grid_sampler_2d", 4, input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_3d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """:func:`grid_sampler` for volumes, (N, C, D, H, W)."""
    return _of_dims("grid_sampler_3d", 5, input, grid, interpolation_mode, padding_mode, align_corners)


def _of_dims(name: str, dims: int, input: Tensor, *arguments: Any) -> Tensor:
    if input.dim() != dims:
        raise RuntimeError(f"{name}(): expected {dims}D input, but got input of shape {tuple(input.shape)}")
    return grid_sampler(input, *arguments)


# --- norms -----------------------------------------------------------------------------------------------------------


def frobenius_norm(
    input: Tensor, dim: int | Sequence[int], keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The root of the sum of the squares along one or two dimensions, or along all if ``dim`` is empty.

    Example::

        >>> import fastnn
        >>> fastnn.frobenius_norm(fastnn.tensor([[3.0, 4.0], [6.0, 8.0]]), 1)
        tensor([ 5., 10.])
    """
    dims = [dim] if isinstance(dim, int) else list(dim)
    if len(dims) > 2:
        raise RuntimeError(f"Expected at most 2 dimensions, but got {len(dims)} dimensions instead.")
    return _C.linalg.vector_norm(input, 2, dims or None, keepdim, out=out)


def nuclear_norm(
    input: Tensor, dim: Sequence[int] | bool = (-2, -1), keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """The sum of the singular values of matrices.

    Args:
        input: a matrix, or with ``dim`` a tensor with these two dimensions. ``nuclear_norm(input, keepdim)``, too.

    Example::

        >>> import fastnn
        >>> fastnn.nuclear_norm(fastnn.diag(fastnn.tensor([3.0, -4.0])))
        tensor(7.)
    """
    if isinstance(dim, bool):
        return nuclear_norm(input, keepdim=dim, out=out)
    return _C.linalg.matrix_norm(input, "nuc", tuple(dim), keepdim, out=out)


# --- files -----------------------------------------------------------------------------------------------------------


def from_file(
    filename: str,
    shared: bool | None = None,
    size: int | None = 0,
    *,
    dtype: _C.dtype | None = None,
    layout: _C.layout | None = None,
    device: _DeviceLike | None = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor whose memory is a file.

    Args:
        shared: whether writes go to the file, which is then made as long as is needed.
        size: the number of elements.
        dtype: default: the default dtype.

    Raises:
        RuntimeError: the file cannot be opened, or is too short.

    Example::

        >>> import fastnn, tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     fastnn.from_file(file.name, shared=True, size=2).fill_(7.0)
        tensor([7., 7.])
    """
    from .storage import from_file as storage_from_file

    _C._check_device(device, "from_file")
    kind = dtype if dtype is not None else _C.get_default_dtype()
    count = size or 0
    try:
        storage = storage_from_file(filename, bool(shared), count * kind.itemsize)
    except OSError as error:
        access = "read-write" if shared else "read-only"
        raise RuntimeError(f"unable to open file <{filename}> in {access} mode: {error.strerror}") from error
    tensor = _C.empty(0, dtype=kind).set_(storage, 0, (count,), (1,))
    return tensor.requires_grad_() if requires_grad else tensor
