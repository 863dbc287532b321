"""Functions of neural networks, under the names and signatures of torch.nn.functional."""

from __future__ import annotations

from fastnn._C import Tensor
from fastnn._C import nn as _nn

from .._missing import missing_attribute
from . import _sizes
from ._functional.activation import (
    alpha_dropout,
    dropout1d,
    dropout2d,
    dropout3d,
    feature_alpha_dropout,
    glu,
    gumbel_softmax,
    prelu,
    rrelu,
)
from ._functional.attention import multi_head_attention_forward
from ._functional.distance import cosine_similarity, normalize, pairwise_distance, pdist
from ._functional.folding import fold, unfold
from ._functional.grouped import grouped_mm
from ._functional.linear_cross_entropy import linear_cross_entropy
from ._functional.loss import (
    cosine_embedding_loss,
    gaussian_nll_loss,
    hinge_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)
from ._functional.normalization import local_response_norm
from ._functional.padding import pad
from ._functional.pooling import (
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    fractional_max_pool2d,
    fractional_max_pool2d_with_indices,
    fractional_max_pool3d,
    fractional_max_pool3d_with_indices,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)
from ._functional.vision import (
    affine_grid,
    channel_shuffle,
    grid_sample,
    interpolate,
    pixel_shuffle,
    pixel_unshuffle,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)

# Layers written for PyTorch import these from here.
_single, _pair, _triple = _sizes.single, _sizes.pair, _sizes.triple

# Implemented in C++ under these very signatures.
adaptive_avg_pool1d = _nn.adaptive_avg_pool1d
adaptive_max_pool1d = _nn.adaptive_max_pool1d
avg_pool1d = _nn.avg_pool1d
avg_pool2d = _nn.avg_pool2d
avg_pool3d = _nn.avg_pool3d
batch_norm = _nn.batch_norm
bilinear = _nn.bilinear
binary_cross_entropy = _nn.binary_cross_entropy
binary_cross_entropy_with_logits = _nn.binary_cross_entropy_with_logits
celu = _nn.celu
conv1d = _nn.conv1d
conv2d = _nn.conv2d
conv3d = _nn.conv3d
conv_transpose1d = _nn.conv_transpose1d
conv_transpose2d = _nn.conv_transpose2d
conv_transpose3d = _nn.conv_transpose3d
cross_entropy = _nn.cross_entropy
ctc_loss = _nn.ctc_loss
dropout = _nn.dropout
elu = _nn.elu
embedding = _nn.embedding
embedding_bag = _nn.embedding_bag
gelu = _nn.gelu
group_norm = _nn.group_norm
hardshrink = _nn.hardshrink
hardsigmoid = _nn.hardsigmoid
hardswish = _nn.hardswish
hardtanh = _nn.hardtanh
instance_norm = _nn.instance_norm
layer_norm = _nn.layer_norm
leaky_relu = _nn.leaky_relu
linear = _nn.linear
log_softmax = _nn.log_softmax
logsigmoid = _nn.logsigmoid
max_pool1d = _nn.max_pool1d
max_pool2d = _nn.max_pool2d
max_pool3d = _nn.max_pool3d
mish = _nn.mish
mse_loss = _nn.mse_loss
nll_loss = _nn.nll_loss
one_hot = _nn.one_hot
relu = _nn.relu
relu6 = _nn.relu6
rms_norm = _nn.rms_norm
scaled_dot_product_attention = _nn.scaled_dot_product_attention
selu = _nn.selu
sigmoid = _nn.sigmoid
silu = _nn.silu
softmax = _nn.softmax
softmin = _nn.softmin
softplus = _nn.softplus
softshrink = _nn.softshrink
softsign = _nn.softsign
tanh = _nn.tanh
tanhshrink = _nn.tanhshrink
threshold = _nn.threshold


def relu_(input: Tensor) -> Tensor:
    """In-place `relu`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.relu_(fastnn.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return relu(input, inplace=True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """In-place `leaky_relu`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.leaky_relu_(fastnn.tensor([-1.0, 2.0]), 0.1)
        tensor([-0.1000,  2.0000])
    """
    return leaky_relu(input, negative_slope, inplace=True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place `elu`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.elu_(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """
    return elu(input, alpha, inplace=True)


def selu_(input: Tensor) -> Tensor:
    """In-place `selu`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.selu_(fastnn.tensor([-1.0, 2.0]))
        tensor([-1.1113,  2.1014])
    """
    return selu(input, inplace=True)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place `celu`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.celu_(fastnn.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """
    return celu(input, alpha, inplace=True)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """In-place `hardtanh`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.hardtanh_(fastnn.tensor([-1.0, 2.0]))
        tensor([-1.,  1.])
    """
    return hardtanh(input, min_val, max_val, inplace=True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """In-place `threshold`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.threshold_(fastnn.tensor([-1.0, 2.0]), 0.5, 9.0)
        tensor([9., 2.])
    """
    return _nn.threshold(input, threshold, value, inplace=True)


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """In-place `rrelu`.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.rrelu_(fastnn.tensor([-1.0, 2.0]), 0.1, 0.3)
        tensor([-0.2000,  2.0000])
    """
    return rrelu(input, lower, upper, training, inplace=True)


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """`max_pool1d` that always returns the indices too.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.max_pool1d_with_indices(fastnn.tensor([[1.0, 3.0, 2.0, 4.0]]), 2)[1]
        tensor([[1, 3]])
    """
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices=True)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """`max_pool2d` that always returns the indices too.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.max_pool2d_with_indices(fastnn.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 2)[1]
        tensor([[[3]]])
    """
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices=True)


def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: int,
    stride: int | None = None,
    padding: int = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """`max_pool3d` that always returns the indices too.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.max_pool3d_with_indices(fastnn.arange(8.0).reshape(1, 2, 2, 2), 2)[1]
        tensor([[[[7]]]])
    """
    return max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices=True)


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: int, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool1d` that always returns the indices too.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.adaptive_max_pool1d_with_indices(fastnn.tensor([[1.0, 3.0, 2.0, 4.0]]), 2)[1]
        tensor([[1, 3]])
    """
    return adaptive_max_pool1d(input, output_size, return_indices=True)


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: int, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool2d` that always returns the indices too.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.adaptive_max_pool2d_with_indices(fastnn.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 1)[1]
        tensor([[[3]]])
    """
    both: tuple[Tensor, Tensor] = adaptive_max_pool2d(input, output_size, return_indices=True)
    return both


def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: int, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool3d` that always returns the indices too.

    Example:
        >>> import fastnn; from fastnn.nn import functional as F
        >>> F.adaptive_max_pool3d_with_indices(fastnn.arange(8.0).reshape(1, 2, 2, 2), 1)[1]
        tensor([[[[7]]]])
    """
    both: tuple[Tensor, Tensor] = adaptive_max_pool3d(input, output_size, return_indices=True)
    return both


__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "celu_",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "fold",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "grouped_mm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "linear_cross_entropy",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "rrelu",
    "rrelu_",
    "scaled_dot_product_attention",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

__getattr__ = missing_attribute("torch.nn.functional")
