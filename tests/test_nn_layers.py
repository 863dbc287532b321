"""Layers, losses and functions: values, gradients, initial weights, state and text, one row each."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from nn_parity import array, both, check_same, check_same_error, plain

import fastnn
from fastnn import nn
from fastnn.nn import functional as F


class Layer(NamedTuple):
    """A layer and inputs for it; ints are indices, float arrays get gradients."""

    build: Callable[[Any], Any]
    inputs: tuple[np.ndarray, ...]
    random: bool = False


def one(build: Callable[[Any], Any], *shape: int, **options: Any) -> Layer:
    """A layer with one float input."""
    return Layer(build, (array(*shape, seed=3),), **options)


LAYERS: dict[str, Layer] = {
    "identity": one(lambda n: n.Identity(3, a=1), 2, 3),
    "linear": one(lambda n: n.Linear(3, 4), 5, 3),
    "linear_no_bias": one(lambda n: n.Linear(3, 4, bias=False), 2, 5, 3),
    "linear_vector": one(lambda n: n.Linear(3, 4), 3),
    "bilinear": Layer(lambda n: n.Bilinear(3, 4, 2), (array(5, 3), array(5, 4, seed=1))),
    "bilinear_no_bias": Layer(lambda n: n.Bilinear(3, 4, 2, bias=False), (array(2, 5, 3), array(2, 5, 4, seed=1))),
    "conv1d": one(lambda n: n.Conv1d(2, 4, 3, stride=2, padding=1), 3, 2, 9),
    "conv1d_same": one(lambda n: n.Conv1d(2, 4, 4, padding="same", dilation=2, groups=2), 3, 2, 9),
    "conv1d_unbatched": one(lambda n: n.Conv1d(2, 4, 3, bias=False), 2, 9),
    "conv2d": one(lambda n: n.Conv2d(2, 4, 3), 2, 2, 6, 7),
    "conv2d_all": one(lambda n: n.Conv2d(4, 6, (3, 2), (2, 1), (1, 2), (1, 2), groups=2), 2, 4, 7, 8),
    "conv2d_depthwise": one(lambda n: n.Conv2d(3, 3, 3, padding="same", groups=3, bias=False), 1, 3, 5, 5),
    "conv2d_reflect": one(lambda n: n.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), 1, 2, 5, 5),
    "conv2d_circular": one(lambda n: n.Conv2d(2, 2, 3, padding="same", padding_mode="circular"), 1, 2, 5, 5),
    "conv2d_valid": one(lambda n: n.Conv2d(2, 2, 3, padding="valid", padding_mode="replicate"), 2, 5, 5),
    "conv3d": one(lambda n: n.Conv3d(2, 4, (2, 3, 2), (2, 1, 2), (1, 0, 1), (2, 1, 1), groups=2), 2, 2, 6, 5, 4),
    "conv3d_same": one(lambda n: n.Conv3d(1, 2, (3, 1, 3), padding="same", dilation=(1, 1, 2)), 1, 3, 4, 5),
    "conv_transpose1d": one(lambda n: n.ConvTranspose1d(4, 2, 3, 2, 1, 1, groups=2), 2, 4, 5),
    "conv_transpose2d": one(
        lambda n: n.ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 2), 2, dilation=2), 2, 4, 4, 3
    ),
    "conv_transpose2d_plain": one(lambda n: n.ConvTranspose2d(3, 2, 2, 2, bias=False), 3, 4, 4),
    "conv_transpose2d_padding": one(lambda n: n.ConvTranspose2d(2, 2, 2, 1, 1), 1, 2, 4, 4),
    "conv_transpose3d": one(lambda n: n.ConvTranspose3d(2, 1, 2, (1, 2, 2), 1), 1, 2, 3, 3, 2),
    "batch_norm1d": one(lambda n: n.BatchNorm1d(3), 6, 3),
    "batch_norm1d_sequence": one(lambda n: n.BatchNorm1d(3, momentum=None), 4, 3, 5),
    "batch_norm2d": one(lambda n: n.BatchNorm2d(3, eps=1e-3, momentum=0.3), 4, 3, 5, 2),
    "batch_norm2d_plain": one(lambda n: n.BatchNorm2d(3, affine=False), 4, 3, 5, 2),
    "batch_norm2d_no_stats": one(lambda n: n.BatchNorm2d(3, track_running_stats=False), 4, 3, 5, 2),
    "batch_norm3d": one(lambda n: n.BatchNorm3d(2), 2, 2, 3, 2, 2),
    "instance_norm1d": one(lambda n: n.InstanceNorm1d(3), 2, 3, 5),
    "instance_norm2d": one(lambda n: n.InstanceNorm2d(3, affine=True, track_running_stats=True), 2, 3, 4, 4),
    "instance_norm2d_unbatched": one(lambda n: n.InstanceNorm2d(3), 3, 4, 4),
    "instance_norm3d": one(lambda n: n.InstanceNorm3d(2, affine=True), 2, 2, 3, 2, 2),
    "batch_norm2d_no_bias": one(lambda n: n.BatchNorm2d(3, bias=False), 2, 3, 4, 4),
    "group_norm_no_bias": one(lambda n: n.GroupNorm(2, 4, bias=False), 3, 4, 5),
    "layer_norm": one(lambda n: n.LayerNorm(5), 2, 3, 5),
    "layer_norm_shape": one(lambda n: n.LayerNorm((3, 5), eps=1e-3, bias=False), 2, 3, 5),
    "layer_norm_plain": one(lambda n: n.LayerNorm([5], elementwise_affine=False), 2, 5),
    "group_norm": one(lambda n: n.GroupNorm(2, 4), 3, 4, 5, 2),
    "group_norm_plain": one(lambda n: n.GroupNorm(4, 4, affine=False), 3, 4, 7),
    "rms_norm": one(lambda n: n.RMSNorm(5), 2, 3, 5),
    "rms_norm_shape": one(lambda n: n.RMSNorm((3, 5), eps=1e-3, elementwise_affine=False), 2, 3, 5),
    "local_response_norm": one(lambda n: n.LocalResponseNorm(3, 0.5, 0.6, 2.0), 2, 5, 4, 3),
    "embedding": Layer(lambda n: n.Embedding(7, 3), (np.array([[1, 2], [6, 1]]),)),
    "embedding_padding": Layer(lambda n: n.Embedding(7, 3, padding_idx=-1), (np.array([1, 6, 6, 0]),)),
    "embedding_scaled": Layer(lambda n: n.Embedding(7, 3, scale_grad_by_freq=True), (np.array([1, 6, 6, 0]),)),
    "embedding_max_norm": Layer(lambda n: n.Embedding(7, 3, max_norm=0.5), (np.array([1, 6, 0]),)),
    "dropout": one(lambda n: n.Dropout(0.3), 4, 5, random=True),
    "dropout1d": one(lambda n: n.Dropout1d(0.3), 4, 5, 3, random=True),
    "dropout2d": one(lambda n: n.Dropout2d(0.3), 4, 5, 3, 2, random=True),
    "dropout3d": one(lambda n: n.Dropout3d(0.3), 4, 5, 3, 2, 2, random=True),
    "alpha_dropout": one(lambda n: n.AlphaDropout(0.3), 4, 5, random=True),
    "feature_alpha_dropout": one(lambda n: n.FeatureAlphaDropout(0.3), 4, 5, 3, random=True),
    "flatten": one(lambda n: n.Flatten(), 2, 3, 4),
    "flatten_part": one(lambda n: n.Flatten(0, 1), 2, 3, 4),
    "unflatten": one(lambda n: n.Unflatten(1, (2, 3)), 4, 6),
    "max_pool1d": one(lambda n: n.MaxPool1d(3, 2, 1), 2, 3, 8),
    "max_pool1d_indices": one(lambda n: n.MaxPool1d(3, return_indices=True, dilation=2), 2, 3, 8),
    "max_pool2d": one(lambda n: n.MaxPool2d(2), 2, 3, 6, 7),
    "max_pool2d_all": one(lambda n: n.MaxPool2d((3, 2), (2, 1), (1, 0), (1, 2), True, True), 2, 3, 7, 6),
    "max_pool3d": one(lambda n: n.MaxPool3d((2, 3, 2), (1, 2, 1), (1, 1, 0), ceil_mode=True), 2, 2, 4, 5, 4),
    "avg_pool1d": one(lambda n: n.AvgPool1d(3, 2, 1), 2, 3, 8),
    "avg_pool2d": one(lambda n: n.AvgPool2d(2), 2, 3, 6, 7),
    "avg_pool2d_all": one(lambda n: n.AvgPool2d((3, 2), (2, 1), (1, 0), True, False), 2, 3, 7, 6),
    "avg_pool2d_divisor": one(lambda n: n.AvgPool2d(2, divisor_override=3), 3, 6, 6),
    "avg_pool3d": one(lambda n: n.AvgPool3d((2, 3, 2), 2, (1, 1, 0), count_include_pad=False), 2, 2, 4, 5, 4),
    "avg_pool3d_divisor": one(lambda n: n.AvgPool3d(2, divisor_override=3), 2, 2, 4, 5, 4),
    "adaptive_avg_pool1d": one(lambda n: n.AdaptiveAvgPool1d(3), 2, 3, 8),
    "adaptive_avg_pool2d": one(lambda n: n.AdaptiveAvgPool2d((3, 2)), 2, 3, 8, 5),
    "adaptive_avg_pool2d_none": one(lambda n: n.AdaptiveAvgPool2d((None, 2)), 2, 3, 4, 5),
    "adaptive_avg_pool3d": one(lambda n: n.AdaptiveAvgPool3d((2, 3, 1)), 2, 2, 5, 4, 3),
    "adaptive_max_pool1d": one(lambda n: n.AdaptiveMaxPool1d(3, return_indices=True), 2, 3, 8),
    "adaptive_max_pool2d": one(lambda n: n.AdaptiveMaxPool2d((3, 2), True), 2, 3, 8, 5),
    "adaptive_max_pool3d": one(lambda n: n.AdaptiveMaxPool3d((2, None, 1), True), 2, 2, 5, 4, 3),
    "lp_pool1d": one(lambda n: n.LPPool1d(2, 3, 2), 2, 3, 8),
    "lp_pool2d": one(lambda n: n.LPPool2d(4, (2, 3), ceil_mode=True), 2, 3, 6, 7),
    "zero_pad1d": one(lambda n: n.ZeroPad1d(2), 2, 3, 4),
    "zero_pad2d": one(lambda n: n.ZeroPad2d((1, 2, 0, -1)), 2, 3, 4, 4),
    "constant_pad1d": one(lambda n: n.ConstantPad1d((1, 2), 3.5), 2, 3, 4),
    "constant_pad2d": one(lambda n: n.ConstantPad2d(1, 3.5), 2, 3, 4, 4),
    "constant_pad3d": one(lambda n: n.ConstantPad3d((1, 0, 2, 0, 0, 1), -1.0), 1, 2, 3, 2, 2),
    "reflection_pad1d": one(lambda n: n.ReflectionPad1d((1, 2)), 2, 3, 4),
    "reflection_pad2d": one(lambda n: n.ReflectionPad2d((1, 2, 3, 0)), 2, 3, 4, 4),
    "reflection_pad3d": one(lambda n: n.ReflectionPad3d(1), 1, 2, 3, 2, 2),
    "replication_pad1d": one(lambda n: n.ReplicationPad1d((1, 6)), 2, 3, 4),
    "replication_pad2d": one(lambda n: n.ReplicationPad2d(2), 3, 4, 4),
    "replication_pad3d": one(lambda n: n.ReplicationPad3d(1), 1, 2, 3, 2, 2),
    "circular_pad1d": one(lambda n: n.CircularPad1d((1, 4)), 2, 3, 4),
    "circular_pad2d": one(lambda n: n.CircularPad2d((1, 2, 3, 0)), 2, 3, 4, 4),
    "circular_pad3d": one(lambda n: n.CircularPad3d(1), 1, 2, 3, 2, 2),
    "pixel_shuffle": one(lambda n: n.PixelShuffle(2), 2, 8, 3, 2),
    "pixel_unshuffle": one(lambda n: n.PixelUnshuffle(2), 2, 2, 4, 6),
    "channel_shuffle": one(lambda n: n.ChannelShuffle(2), 2, 6, 3),
    "unfold": one(lambda n: n.Unfold((2, 3), dilation=(1, 2), padding=1, stride=2), 2, 3, 6, 7),
    "fold": one(lambda n: n.Fold((5, 6), (2, 3), padding=1, stride=(2, 1)), 2, 12, 18),
    "upsample": one(lambda n: n.Upsample(scale_factor=2), 2, 3, 4, 5),
    "upsample_size": one(lambda n: n.Upsample((7, 3), mode="nearest-exact"), 2, 3, 4, 5),
    "upsample_linear": one(lambda n: n.Upsample(scale_factor=1.5, mode="linear"), 2, 3, 7),
    "upsample_bilinear": one(lambda n: n.Upsample((7, 3), mode="bilinear"), 2, 3, 4, 5),
    "upsample_bilinear_aligned": one(lambda n: n.UpsamplingBilinear2d(scale_factor=2), 2, 3, 4, 5),
    "upsample_bicubic": one(lambda n: n.Upsample(scale_factor=(2.0, 1.5), mode="bicubic"), 2, 3, 4, 5),
    "upsample_bicubic_aligned": one(lambda n: n.Upsample((7, 9), mode="bicubic", align_corners=True), 2, 3, 4, 5),
    "upsample_trilinear": one(lambda n: n.Upsample(scale_factor=2, mode="trilinear"), 1, 2, 3, 2, 3),
    "upsample_nearest2d": one(lambda n: n.UpsamplingNearest2d(size=(3, 8)), 2, 3, 4, 5),
    "cosine_similarity": Layer(lambda n: n.CosineSimilarity(), (array(4, 5), array(4, 5, seed=1))),
    "pairwise_distance": Layer(lambda n: n.PairwiseDistance(p=3, keepdim=True), (array(4, 5), array(4, 5, seed=1))),
    "relu": one(lambda n: n.ReLU(), 3, 4),
    "relu_inplace": one(lambda n: n.Sequential(n.Identity(), n.Linear(4, 4), n.ReLU(inplace=True)), 3, 4),
    "relu6": one(lambda n: n.ReLU6(), 3, 4),
    "elu": one(lambda n: n.ELU(0.5), 3, 4),
    "celu": one(lambda n: n.CELU(0.5), 3, 4),
    "celu_inplace": one(lambda n: n.Sequential(n.Linear(4, 4), n.CELU(2.0, inplace=True)), 3, 4),
    "selu": one(lambda n: n.SELU(), 3, 4),
    "gelu": one(lambda n: n.GELU(), 3, 4),
    "gelu_tanh": one(lambda n: n.GELU("tanh"), 3, 4),
    "silu": one(lambda n: n.SiLU(), 3, 4),
    "mish": one(lambda n: n.Mish(), 3, 4),
    "glu": one(lambda n: n.GLU(1), 3, 4, 2),
    "leaky_relu": one(lambda n: n.LeakyReLU(0.2), 3, 4),
    "leaky_relu_inplace": one(lambda n: n.Sequential(n.Linear(4, 4), n.LeakyReLU(0.2, True)), 3, 4),
    "prelu": one(lambda n: n.PReLU(), 3, 4),
    "prelu_channels": one(lambda n: n.PReLU(4, init=0.1), 3, 4, 2),
    "rrelu": one(lambda n: n.RReLU(0.1, 0.4), 3, 4),
    "hardtanh": one(lambda n: n.Hardtanh(-0.5, 0.7), 3, 4),
    "hardsigmoid": one(lambda n: n.Hardsigmoid(), 3, 4),
    "hardswish": one(lambda n: n.Hardswish(inplace=False), 3, 4),
    "hardshrink": one(lambda n: n.Hardshrink(0.6), 3, 4),
    "softshrink": one(lambda n: n.Softshrink(0.6), 3, 4),
    "softsign": one(lambda n: n.Softsign(), 3, 4),
    "softplus": one(lambda n: n.Softplus(2.0, 1.5), 3, 4),
    "tanhshrink": one(lambda n: n.Tanhshrink(), 3, 4),
    "threshold": one(lambda n: n.Threshold(0.3, -2.0), 3, 4),
    "tanh": one(lambda n: n.Tanh(), 3, 4),
    "sigmoid": one(lambda n: n.Sigmoid(), 3, 4),
    "log_sigmoid": one(lambda n: n.LogSigmoid(), 3, 4),
    "softmax": one(lambda n: n.Softmax(dim=1), 3, 4),
    "softmax2d": one(lambda n: n.Softmax2d(), 2, 3, 4, 2),
    "softmin": one(lambda n: n.Softmin(dim=0), 3, 4),
    "log_softmax": one(lambda n: n.LogSoftmax(dim=-1), 3, 4),
    "l1_loss": Layer(lambda n: n.L1Loss(), (array(3, 4), array(3, 4, seed=1))),
    "mse_loss": Layer(lambda n: n.MSELoss(reduction="sum"), (array(3, 4), array(3, 4, seed=1))),
    "smooth_l1_loss": Layer(lambda n: n.SmoothL1Loss(beta=0.7), (array(3, 4), array(3, 4, seed=1))),
    "smooth_l1_loss_zero": Layer(lambda n: n.SmoothL1Loss(beta=0.0), (array(3, 4), array(3, 4, seed=1))),
    "huber_loss": Layer(lambda n: n.HuberLoss("none", delta=0.7), (array(3, 4), array(3, 4, seed=1))),
    "cross_entropy": Layer(lambda n: n.CrossEntropyLoss(), (array(3, 4), np.array([1, 3, 0]))),
    "cross_entropy_all": Layer(
        lambda n: n.CrossEntropyLoss(ignore_index=1, label_smoothing=0.1, reduction="sum"),
        (array(3, 4, 2), np.array([[1, 3], [0, 1], [2, 2]])),
    ),
    "cross_entropy_probabilities": Layer(lambda n: n.CrossEntropyLoss(), (array(3, 4), array(3, 4, seed=1, low=0.0))),
    "nll_loss": Layer(lambda n: n.NLLLoss(reduction="none"), (array(3, 4), np.array([1, -100, 0]))),
    "poisson_nll_loss": Layer(
        lambda n: n.PoissonNLLLoss(full=True), (array(3, 4), array(3, 4, seed=1, low=0.1, high=5.0))
    ),
    "poisson_nll_loss_plain": Layer(
        lambda n: n.PoissonNLLLoss(log_input=False), (array(3, 4, low=0.1), array(3, 4, seed=1, low=0.1, high=5.0))
    ),
    "gaussian_nll_loss": Layer(
        lambda n: n.GaussianNLLLoss(full=True), (array(3, 4), array(3, 4, seed=1), array(3, 1, seed=2, low=0.1))
    ),
    "kl_div_loss": Layer(
        lambda n: n.KLDivLoss(reduction="batchmean"), (array(3, 4), array(3, 4, seed=1, low=0.1, high=1.0))
    ),
    "kl_div_loss_log": Layer(
        lambda n: n.KLDivLoss(reduction="sum", log_target=True), (array(3, 4), array(3, 4, seed=1))
    ),
    "bce_loss": Layer(
        lambda n: n.BCELoss(), (array(3, 4, low=0.05, high=0.95), array(3, 4, seed=1, low=0.0, high=1.0))
    ),
    "bce_with_logits": Layer(lambda n: n.BCEWithLogitsLoss(), (array(3, 4), array(3, 4, seed=1, low=0.0, high=1.0))),
    "cosine_embedding": Layer(
        lambda n: n.CosineEmbeddingLoss(margin=0.2, reduction="none"),
        (array(4, 3), array(4, 3, seed=1), np.array([1, -1, -1, 1])),
    ),
    "margin_ranking": Layer(lambda n: n.MarginRankingLoss(0.5), (array(4), array(4, seed=1), np.array([1, -1, -1, 1]))),
    "hinge_embedding": Layer(lambda n: n.HingeEmbeddingLoss(0.8), (array(4), np.array([1, -1, -1, 1]))),
    "soft_margin": Layer(lambda n: n.SoftMarginLoss(), (array(4), np.array([1, -1, -1, 1]))),
    "multilabel_soft_margin": Layer(
        lambda n: n.MultiLabelSoftMarginLoss(), (array(3, 4), np.eye(3, 4, dtype=np.float32))
    ),
    "multi_margin": Layer(lambda n: n.MultiMarginLoss(p=2, margin=0.6), (array(3, 4), np.array([1, 3, 0]))),
    "multi_margin_one": Layer(lambda n: n.MultiMarginLoss(reduction="none"), (array(4), np.array(2))),
    "multilabel_margin": Layer(
        lambda n: n.MultiLabelMarginLoss(), (array(2, 4), np.array([[3, 0, -1, 1], [1, -1, 0, 2]]))
    ),
    "triplet_margin": Layer(
        lambda n: n.TripletMarginLoss(2.0, p=2, swap=True), (array(4, 3), array(4, 3, seed=1), array(4, 3, seed=2))
    ),
    "triplet_with_distance": Layer(
        lambda n: n.TripletMarginWithDistanceLoss(margin=0.7), (array(4, 3), array(4, 3, seed=1), array(4, 3, seed=2))
    ),
    "attention": Layer(
        lambda n: n.MultiheadAttention(6, 2), (array(4, 2, 6), array(5, 2, 6, seed=1), array(5, 2, 6, seed=2))
    ),
    "attention_all": Layer(
        lambda n: n.MultiheadAttention(6, 3, kdim=4, vdim=5, add_bias_kv=True, add_zero_attn=True, batch_first=True),
        (array(2, 4, 6), array(2, 5, 4, seed=1), array(2, 5, 5, seed=2)),
    ),
    "attention_unbatched": Layer(
        lambda n: n.MultiheadAttention(6, 2, bias=False), (array(4, 6), array(5, 6, seed=1), array(5, 6, seed=2))
    ),
}


def tensors(T: Any, layer: Layer) -> list[Any]:
    """The row's inputs; leaves with gradient where they are floating point."""
    made = []
    for value in layer.inputs:
        tensor = T.tensor(value.tolist(), dtype=T.float32 if value.dtype == np.float32 else T.int64)
        made.append(tensor.requires_grad_() if value.dtype == np.float32 else tensor)
    return made


def first(output: Any) -> Any:
    return output[0] if isinstance(output, tuple) else output


def weighted_sum(T: Any, output: Any) -> Any:
    """A scalar whose gradient differs from element to element."""
    return (output * T.arange(1.0, output.numel() + 1).reshape(output.shape)).sum() / output.numel()


def outcome(T: Any, row: Layer, train: bool) -> Any:
    """What a layer gives and leaves behind: output, gradients, state."""
    module = row.build(T.nn).train(train)
    inputs = tensors(T, row)
    output = module(*inputs)
    weighted_sum(T, first(output)).backward()
    grads = [x.grad for x in inputs if x.requires_grad] + [p.grad for p in module.parameters()]
    return [repr(module), dict(module.state_dict()), output, grads, type(module).__name__]


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_pytorchs(name: str, train: bool) -> None:
    row = LAYERS[name]
    if row.random and train:
        pytest.skip("draws from its own stream")
    check_same(lambda T: outcome(T, row, train), rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_alone(name: str) -> None:
    """Without torch: finite values and gradients, a state that can be restored, copied and pickled."""
    row = LAYERS[name]
    module = row.build(nn).eval()
    inputs = tensors(fastnn, row)
    output = first(module(*inputs))
    weighted_sum(fastnn, output).backward()
    for tensor in [output, *(x.grad for x in inputs if x.requires_grad), *(p.grad for p in module.parameters())]:
        if tensor is not None:
            assert np.isfinite(plain(tensor)).all()
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), row.build(nn).eval()):
        twin.load_state_dict(module.state_dict())
        np.testing.assert_array_equal(plain(first(twin(*inputs))), plain(output))


# --- options of losses ---

LOSSES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "l1_loss": (lambda f: f.l1_loss, (array(3, 4), array(3, 4, seed=1))),
    "mse_loss": (lambda f: f.mse_loss, (array(3, 4), array(3, 4, seed=1))),
    "smooth_l1_loss": (lambda f: f.smooth_l1_loss, (array(3, 4), array(3, 4, seed=1))),
    "kl_div": (lambda f: f.kl_div, (array(3, 4), array(3, 4, seed=1, low=0.1, high=1.0))),
    "bce_with_logits": (lambda f: f.binary_cross_entropy_with_logits, (array(3), array(3, low=0.0, high=1.0))),
    "cross_entropy": (lambda f: f.cross_entropy, (array(3, 4), np.array([1, 3, 0]))),
    "nll_loss": (lambda f: f.nll_loss, (array(3, 4), np.array([1, 3, 0]))),
    "hinge_embedding_loss": (lambda f: f.hinge_embedding_loss, (array(4), np.array([1, -1, -1, 1]))),
    "soft_margin_loss": (lambda f: f.soft_margin_loss, (array(4), np.array([1, -1, -1, 1]))),
    "margin_ranking_loss": (lambda f: f.margin_ranking_loss, (array(4), array(4, seed=1), np.array([1, -1, -1, 1]))),
}


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
def test_reduction(name: str, reduction: str) -> None:
    function, inputs = LOSSES[name]
    row = Layer(lambda n: None, inputs)
    check_same(lambda T: function(T.nn.functional)(*tensors(T, row), reduction=reduction))


@pytest.mark.parametrize("flags", [(False, None), (None, False), (True, True)])
@pytest.mark.parametrize("name", ["l1_loss", "mse_loss", "smooth_l1_loss", "cross_entropy", "nll_loss"])
@pytest.mark.filterwarnings("ignore:size_average and reduce args will be deprecated")
def test_deprecated_reduction_flags(name: str, flags: tuple[bool | None, bool | None]) -> None:
    function, inputs = LOSSES[name]
    row = Layer(lambda n: None, inputs)
    check_same(lambda T: function(T.nn.functional)(*tensors(T, row), size_average=flags[0], reduce=flags[1]))


@pytest.mark.parametrize("build", [nn.MSELoss, nn.CrossEntropyLoss, nn.BCEWithLogitsLoss, nn.KLDivLoss])
def test_deprecated_reduction_flags_of_layers_warn(build: Any) -> None:
    with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
        assert build(size_average=False).reduction == "sum"


def test_weights_of_losses() -> None:
    def run(T: Any) -> Any:
        f = T.nn.functional
        x, y = tensors(T, Layer(lambda n: None, (array(3, 4), array(3, 4, seed=1, low=0.1, high=0.9))))
        classes = T.tensor([1, 3, 0])
        per_class, per_element = T.tensor([1.0, 2.0, 0.5, 3.0]), T.full((3, 4), 2.0)
        return [
            T.nn.CrossEntropyLoss(weight=per_class)(x, classes),
            T.nn.CrossEntropyLoss(weight=per_class, label_smoothing=0.2)(x, y),
            T.nn.NLLLoss(weight=per_class)(x, classes),
            T.nn.BCEWithLogitsLoss(weight=per_class, pos_weight=per_class)(x, y),
            T.nn.BCELoss(weight=per_element)(x.sigmoid(), y),
            T.nn.MultiMarginLoss(weight=per_class)(x, classes),
            T.nn.MultiLabelSoftMarginLoss(weight=per_class)(x, y),
            f.l1_loss(x, y, weight=per_element),
            f.huber_loss(x, y, weight=per_element, reduction="sum"),
            list(T.nn.CrossEntropyLoss(weight=per_class).state_dict()),
        ]

    check_same(run)


def test_broadcast_losses_warn() -> None:
    with pytest.warns(UserWarning, match="Using a target size"):
        F.l1_loss(fastnn.zeros(3, 1), fastnn.zeros(3))


def test_kl_div_mean_warns() -> None:
    with pytest.warns(UserWarning, match="batchmean"):
        F.kl_div(fastnn.zeros(2), fastnn.ones(2))


# --- attention ---


def _attention_case(T: Any, **options: Any) -> Any:
    need = options.pop("need_weights", True)
    module = T.nn.MultiheadAttention(6, 2, batch_first=options.pop("batch_first", False), dropout=0.0)
    x = T.tensor(array(4, 3, 6).tolist(), requires_grad=True)
    kind = options.pop("kind", "self")
    key = x if kind == "self" else x * 2
    value = key if kind != "all" else x + 1
    masks = {name: T.tensor(mask) for name, mask in options.items() if isinstance(mask, list)}
    rest = {name: value for name, value in options.items() if name not in masks}
    output, weights = module(x, key, value, need_weights=need, **masks, **rest)
    weighted_sum(T, output).backward()
    return [output, weights, x.grad, [p.grad for p in module.parameters()]]


CAUSAL = np.triu(np.ones((4, 4), dtype=bool), 1)
PADDING = [[False, False, False, True], [False, True, False, True], [False, False, False, False]]
ATTENTION = {
    "self": {},
    "key_is_value": {"kind": "pair"},
    "separate": {"kind": "all"},
    "per_head_weights": {"average_attn_weights": False},
    "no_weights": {"need_weights": False},
    "bool_mask": {"attn_mask": CAUSAL.tolist()},
    "bool_mask_no_weights": {"attn_mask": CAUSAL.tolist(), "need_weights": False},
    "causal_hint": {"attn_mask": CAUSAL.tolist(), "need_weights": False, "is_causal": True},
    "causal_hint_with_weights": {"attn_mask": CAUSAL.tolist(), "is_causal": True},
    "float_mask": {"attn_mask": array(4, 4).tolist()},
    "mask_per_head": {"attn_mask": array(6, 4, 4).tolist()},
    "mask_per_head_no_weights": {"attn_mask": array(6, 4, 4).tolist(), "need_weights": False},
    "padding": {"key_padding_mask": PADDING},
    "padding_no_weights": {"key_padding_mask": PADDING, "need_weights": False},
    "padding_and_mask": {"key_padding_mask": PADDING, "attn_mask": CAUSAL.tolist()},
    "padding_and_causal": {
        "key_padding_mask": PADDING,
        "attn_mask": CAUSAL.tolist(),
        "is_causal": True,
        "need_weights": False,
    },
    "batch_first": {"batch_first": True},
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention(name: str) -> None:
    check_same(lambda T: _attention_case(T, **ATTENTION[name]), rtol=1e-4, atol=1e-5)


# --- transformers ---


def _transformer(T: Any, norm_first: bool, batch_first: bool) -> Any:
    model = T.nn.Transformer(
        8, 2, 2, 2, 16, dropout=0.0, activation="gelu", norm_first=norm_first, batch_first=batch_first
    )
    src = T.tensor(array(3, 5, 8).tolist(), requires_grad=True)
    tgt = T.tensor(array(3, 4, 8, seed=1).tolist(), requires_grad=True)
    mask = model.generate_square_subsequent_mask(4 if batch_first else 3)
    padding = T.zeros(*((3, 5) if batch_first else (5, 3)))
    padding[0, -1] = float("-inf")
    args = (src, tgt) if batch_first else (src, tgt[:, :1].expand(3, 5, 8))
    output = model(*args, tgt_mask=mask, src_key_padding_mask=padding, memory_key_padding_mask=padding)
    weighted_sum(T, output).backward()
    return [repr(model), dict(model.state_dict()), output, src.grad, tgt.grad]


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
def test_transformer(norm_first: bool, batch_first: bool) -> None:
    check_same(lambda T: _transformer(T, norm_first, batch_first), rtol=1e-3, atol=2e-5)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
def test_transformer_errors() -> None:
    check_same_error(lambda T: T.nn.TransformerEncoderLayer(4, 2, activation="tanh"))
    check_same_error(lambda T: T.nn.Transformer(4, 2, 1, 1, 8)(T.ones(3, 2, 4), T.ones(3, 1, 4)))
    check_same_error(lambda T: T.nn.Transformer(4, 2, 1, 1, 8)(T.ones(3, 2, 5), T.ones(3, 2, 5)))


# --- functions that no layer covers ---

FUNCTIONS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "normalize": lambda T, f, x: f.normalize(x, p=3, dim=0),
    "normalize_zero": lambda T, f, x: f.normalize(x * 0),
    "cosine_broadcast": lambda T, f, x: f.cosine_similarity(x, x[:1] + 1, dim=-1),
    "one_hot": lambda T, f, x: f.one_hot(T.tensor([[0, 2], [1, 0]])),
    "one_hot_wide": lambda T, f, x: f.one_hot(T.tensor(2), 5),
    "one_hot_empty": lambda T, f, x: f.one_hot(T.empty(0, dtype=T.int64), 5),
    "interpolate_area": lambda T, f, x: f.interpolate(x[None, None], (2, 3), mode="area"),
    "interpolate_down": lambda T, f, x: f.interpolate(x[None, None], scale_factor=0.5, mode="bilinear"),
    "interpolate_recompute": lambda T, f, x: f.interpolate(
        x[None, None], scale_factor=1.3, mode="bilinear", recompute_scale_factor=True
    ),
    "gelu": lambda T, f, x: f.gelu(x, approximate="tanh"),
    "relu_": lambda T, f, x: f.relu_(x * 1),
    "leaky_relu_": lambda T, f, x: f.leaky_relu_(x * 1, 0.3),
    "elu_": lambda T, f, x: f.elu_(x * 1),
    "selu_": lambda T, f, x: f.selu_(x * 1),
    "celu_": lambda T, f, x: f.celu_(x * 1),
    "hardtanh_": lambda T, f, x: f.hardtanh_(x * 1),
    "threshold_": lambda T, f, x: f.threshold_(x * 1, 0.1, 2.0),
    "rrelu_": lambda T, f, x: f.rrelu_(x * 1),
    "mish_inplace": lambda T, f, x: f.mish(x * 1, inplace=True),
    "hardswish_inplace": lambda T, f, x: f.hardswish(x * 1, inplace=True),
    "softmax_dtype": lambda T, f, x: f.softmax(x, dim=0, dtype=T.float64),
    "softmin": lambda T, f, x: f.softmin(x, dim=1),
    "prelu": lambda T, f, x: f.prelu(x, T.tensor([0.3])),
    "max_pool_with_indices": lambda T, f, x: f.max_pool1d_with_indices(x[None], 2),
    "batch_norm": lambda T, f, x: f.batch_norm(x, T.ones(5), T.ones(5) * 2),
    "instance_norm": lambda T, f, x: f.instance_norm(x[None]),
    "layer_norm": lambda T, f, x: f.layer_norm(x, (5,)),
    "rms_norm": lambda T, f, x: f.rms_norm(x, (5,), T.ones(5) * 2),
    "group_norm": lambda T, f, x: f.group_norm(x[:, :4], 2),
    "pad_constant": lambda T, f, x: f.pad(x, (1, 2), value=3.0),
    "pad_negative": lambda T, f, x: f.pad(x, (-1, 2, 0, -2)),
    "bilinear": lambda T, f, x: f.bilinear(x, x, T.ones(2, 5, 5), T.ones(2)),
    "triplet_vectors": lambda T, f, x: f.triplet_margin_loss(x[0], x[1], x[2], swap=False),
    "glu": lambda T, f, x: f.glu(x[:, :4]),
    "feature_dropout_zero": lambda T, f, x: f.dropout1d(x, 0.0),
    "alpha_dropout_one": lambda T, f, x: f.alpha_dropout(x, 1.0, training=True),
    "conv_transpose_function": lambda T, f, x: f.conv_transpose1d(x[None], T.ones(6, 2, 3), None, 2),
    "unfold": lambda T, f, x: f.unfold(x[None, None], 2),
    "pairwise_distance": lambda T, f, x: f.pairwise_distance(x, x[0]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    def run(T: Any) -> Any:
        x = T.tensor(array(6, 5, seed=9).tolist(), requires_grad=True)
        output = FUNCTIONS[name](T, T.nn.functional, x)
        if first(output).requires_grad:
            weighted_sum(T, first(output)).backward()
        return [output, x.grad]

    check_same(run, rtol=1e-4, atol=1e-5)


def test_gumbel_softmax() -> None:
    logits = fastnn.zeros(50, 4, requires_grad=True)
    soft = F.gumbel_softmax(logits, tau=0.5)
    np.testing.assert_allclose(plain(soft.sum(-1)), np.ones(50), rtol=1e-5)
    hard = F.gumbel_softmax(logits, hard=True)
    assert sorted(set(plain(hard).round(5).ravel().tolist())) == [0.0, 1.0]
    (hard * fastnn.arange(4.0)).sum().backward()
    assert float(logits.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    "name,shape", [("dropout1d", (200, 5, 3)), ("dropout2d", (200, 5, 3, 2)), ("dropout3d", (200, 5, 3, 2, 2))]
)
def test_feature_dropout_drops_whole_channels(name: str, shape: tuple[int, ...]) -> None:
    output = plain(getattr(F, name)(fastnn.ones(*shape), 0.4, True)).reshape(1000, -1)
    assert (output == output[:, :1]).all()
    values = np.unique(output[:, 0])
    np.testing.assert_allclose(values, [0.0, 1 / 0.6], rtol=1e-6)
    assert 0.3 < (output[:, 0] == 0).mean() < 0.5


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    fastnn.manual_seed(0)
    output = plain(F.alpha_dropout(fastnn.randn(100_000), 0.3, True))
    assert abs(output.mean()) < 0.03
    assert abs(output.std() - 1) < 0.03


def test_rrelu_draws_slopes_from_its_range() -> None:
    output = plain(nn.RReLU(0.2, 0.4)(-fastnn.ones(1000)))
    assert output.min() >= -0.4
    assert output.max() <= -0.2
    assert np.unique(output).size > 100


# --- frozen statistics ---


@pytest.mark.parametrize("build", [lambda: nn.BatchNorm1d(3), lambda: nn.InstanceNorm1d(3, track_running_stats=True)])
def test_a_frozen_norm_uses_its_statistics_and_leaves_them(build: Callable[[], Any]) -> None:
    norm = build()
    x = fastnn.tensor(array(4, 3, 5).tolist())
    norm(x)
    before = plain(norm.state_dict())
    expected = plain(norm.eval()(x))
    norm._fastnn_frozen = True
    norm.train()
    assert norm.training
    np.testing.assert_array_equal(plain(norm(x)), expected)
    for key, value in plain(norm.state_dict()).items():
        np.testing.assert_array_equal(value, before[key])
    norm._fastnn_frozen = False
    norm(x)
    assert not np.array_equal(plain(norm.running_mean), before["running_mean"])


# --- nn.utils ---


def _with_grads(T: Any) -> list[Any]:
    params = [T.nn.Parameter(T.zeros(3)), T.nn.Parameter(T.zeros(2, 2)), T.nn.Parameter(T.zeros(1))]
    params[0].grad = T.tensor([3.0, -4.0, 1.0])
    params[1].grad = T.tensor([[1.0, 2.0], [-5.0, 0.5]])
    return params


UTILS = {
    "norm_2": lambda u, p: u.clip_grad_norm_(p, 1.0),
    "norm_1": lambda u, p: u.clip_grad_norm_(p, 2.0, norm_type=1),
    "norm_inf": lambda u, p: u.clip_grad_norm_(iter(p), 2.0, norm_type=float("inf"), foreach=False),
    "norm_large": lambda u, p: u.clip_grad_norm_(p, 100.0),
    "norm_single": lambda u, p: u.clip_grad_norm_(p[0], 1.0),
    "norm_none": lambda u, p: u.clip_grad_norm_([p[2]], 1.0),
    "value": lambda u, p: u.clip_grad_value_(p, 1.5),
    "total": lambda u, p: u.get_total_norm([x.grad for x in p[:2]], 3),
    "with_norm": lambda u, p: u.clip_grads_with_norm_(p, 1.0, u.get_total_norm([p[0].grad])),
    "vector": lambda u, p: u.parameters_to_vector(p),
}


@pytest.mark.parametrize("name", UTILS)
def test_utils(name: str) -> None:
    def run(T: Any) -> Any:
        params = _with_grads(T)
        return [UTILS[name](T.nn.utils, params), [p.grad for p in params]]

    check_same(run)


def test_clip_grad_norm_of_nan_is_an_error_on_demand() -> None:
    def run(T: Any) -> None:
        params = _with_grads(T)
        params[0].grad[0] = float("nan")
        T.nn.utils.clip_grad_norm_(params, 1.0, error_if_nonfinite=True)

    check_same_error(run)


def test_vector_to_parameters() -> None:
    net = nn.Linear(2, 3)
    vector = fastnn.arange(9.0)
    nn.utils.vector_to_parameters(vector, net.parameters())
    assert net.weight.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]
    assert net.bias.tolist() == [6.0, 7.0, 8.0]
    assert nn.utils.parameters_to_vector(net.parameters()).tolist() == vector.tolist()
    with pytest.raises(TypeError, match=r"expected torch\.Tensor"):
        nn.utils.vector_to_parameters([1.0], net.parameters())  # type: ignore[arg-type]


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_fused_conv_and_norm(transpose: bool, bias: bool) -> None:
    conv = (nn.ConvTranspose2d if transpose else nn.Conv2d)(2, 3, 2, bias=bias)
    norm = nn.BatchNorm2d(3)
    x = fastnn.tensor(array(2, 2, 4, 4).tolist())
    norm(conv(x))
    conv.eval()
    norm.eval()
    fused = nn.utils.fuse_conv_bn_eval(conv, norm, transpose)
    np.testing.assert_allclose(plain(fused(x)), plain(norm(conv(x))), rtol=1e-4, atol=1e-5)
    with pytest.raises(AssertionError, match="eval"):
        nn.utils.fuse_conv_bn_eval(conv, norm.train())


def test_fused_linear_and_norm() -> None:
    linear, norm = nn.Linear(4, 3), nn.BatchNorm1d(3)
    x = fastnn.tensor(array(5, 4).tolist())
    norm(linear(x))
    fused = nn.utils.fuse_linear_bn_eval(linear.eval(), norm.eval())
    np.testing.assert_allclose(plain(fused(x)), plain(norm(linear(x))), rtol=1e-4, atol=1e-5)


# --- errors ---

ERRORS: dict[str, Callable[[Any, Any], Any]] = {
    "conv_groups": lambda T, n: n.Conv2d(3, 4, 1, groups=2),
    "conv_groups_out": lambda T, n: n.Conv2d(4, 3, 1, groups=2),
    "conv_groups_zero": lambda T, n: n.Conv2d(4, 3, 1, groups=0),
    "conv_same_stride": lambda T, n: n.Conv2d(3, 4, 3, 2, padding="same"),
    "conv_transpose_padding_mode": lambda T, n: n.ConvTranspose2d(3, 4, 3, padding_mode="circular"),
    "conv_transpose_output_size": lambda T, n: n.ConvTranspose2d(1, 1, 3, 2)(T.ones(1, 1, 3, 3), (20, 20)),
    "batch_norm1d": lambda T, n: n.BatchNorm1d(3)(T.ones(2)),
    "batch_norm2d": lambda T, n: n.BatchNorm2d(3)(T.ones(2, 3)),
    "batch_norm3d": lambda T, n: n.BatchNorm3d(3)(T.ones(2, 3)),
    "instance_norm": lambda T, n: n.InstanceNorm2d(3)(T.ones(2, 3)),
    "instance_norm_channels": lambda T, n: n.InstanceNorm1d(3, affine=True)(T.ones(2, 4, 5)),
    "group_norm": lambda T, n: n.GroupNorm(3, 4),
    "dropout": lambda T, n: n.Dropout(1.5),
    "dropout1d": lambda T, n: n.Dropout1d()(T.ones(2, 3, 4, 5)),
    "embedding_padding": lambda T, n: n.Embedding(3, 2, padding_idx=3),
    "embedding_weight": lambda T, n: n.Embedding(3, 2, _weight=T.ones(3, 3)),
    "embedding_pretrained": lambda T, n: n.Embedding.from_pretrained(T.ones(3)),
    "hardtanh": lambda T, n: n.Hardtanh(1.0, 0.5),
    "softmax2d": lambda T, n: n.Softmax2d()(T.ones(2, 3)),
    "glu_odd": lambda T, n: n.GLU()(T.ones(2, 3)),
    "prelu": lambda T, n: n.PReLU(3)(T.ones(2, 4)),
    "one_hot_large": lambda T, n: n.functional.one_hot(T.tensor([3]), 2),
    "l1_reduction": lambda T, n: n.L1Loss(reduction="average")(T.ones(1), T.ones(1)),
    "smooth_l1_beta": lambda T, n: n.SmoothL1Loss(beta=-1.0)(T.ones(1), T.ones(1)),
    "huber_delta": lambda T, n: n.HuberLoss(delta=0.0)(T.ones(1), T.ones(1)),
    "multi_margin_p": lambda T, n: n.MultiMarginLoss(p=3),
    "triplet_margin": lambda T, n: n.TripletMarginLoss(margin=0.0),
    "cosine_embedding": lambda T, n: n.CosineEmbeddingLoss()(T.ones(2, 3), T.ones(2, 3), T.ones(2, 3)),
    "gaussian_var": lambda T, n: n.GaussianNLLLoss()(T.ones(2), T.ones(2), -T.ones(2)),
    "gaussian_shape": lambda T, n: n.GaussianNLLLoss()(T.ones(2, 3), T.ones(2, 3), T.ones(4)),
    "pad_mode": lambda T, n: n.functional.pad(T.ones(1, 2), (1, 1), mode="mirror"),
    "interpolate_both": lambda T, n: n.functional.interpolate(T.ones(1, 1, 2), 3, 2.0),
    "interpolate_none": lambda T, n: n.functional.interpolate(T.ones(1, 1, 2)),
    "interpolate_align": lambda T, n: n.functional.interpolate(T.ones(1, 1, 2), 3, align_corners=True),
    "attention_heads": lambda T, n: n.MultiheadAttention(5, 2),
    "attention_zero": lambda T, n: n.MultiheadAttention(0, 2),
    "attention_causal": lambda T, n: n.MultiheadAttention(2, 1)(*[T.ones(2, 1, 2)] * 3, is_causal=True),
    "attention_mask": lambda T, n: n.MultiheadAttention(2, 1)(*[T.ones(2, 1, 2)] * 3, attn_mask=T.ones(3, 3)),
    "attention_width": lambda T, n: n.MultiheadAttention(2, 1)(*[T.ones(2, 1, 4)] * 3),
    "unflatten": lambda T, n: n.Unflatten(1, 5),
    "bilinear": lambda T, n: n.Bilinear(0, 2, 3),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error(name: str) -> None:
    check_same_error(lambda T: ERRORS[name](T, T.nn))


# Errors that name the same mistake in other words than PyTorch.
TYPES_ONLY: dict[str, Callable[[Any, Any], Any]] = {
    "conv_padding_mode": lambda T, n: n.Conv2d(3, 4, 3, padding_mode="mirror"),
    "softshrink": lambda T, n: n.Softshrink(-1.0)(T.ones(2)),
    "one_hot_negative": lambda T, n: n.functional.one_hot(T.tensor([-1])),
    "one_hot_float": lambda T, n: n.functional.one_hot(T.tensor([1.0])),
    "conv_padding_text": lambda T, n: n.Conv2d(3, 4, 3, padding="half"),
    "conv1d_dimensions": lambda T, n: n.Conv1d(1, 1, 1)(T.ones(3)),
    "reflect_too_far": lambda T, n: n.ReflectionPad1d(3)(T.ones(1, 1, 3)),
    "circular_too_far": lambda T, n: n.CircularPad1d(4)(T.ones(1, 1, 3)),
    "pixel_shuffle": lambda T, n: n.PixelShuffle(2)(T.ones(1, 3, 1, 1)),
    "pixel_unshuffle": lambda T, n: n.PixelUnshuffle(2)(T.ones(1, 3, 1, 1)),
    "rms_norm_shape": lambda T, n: n.RMSNorm(3)(T.ones(2, 4)),
    "group_norm_input": lambda T, n: n.GroupNorm(2, 4)(T.ones(2, 6)),
    "bilinear_input": lambda T, n: n.Bilinear(2, 3, 4)(T.ones(1, 3), T.ones(1, 3)),
    "bilinear_batch": lambda T, n: n.Bilinear(2, 3, 4)(T.ones(2, 2), T.ones(1, 3)),
    "output_padding": lambda T, n: n.ConvTranspose1d(1, 1, 2, 2, output_padding=2)(T.ones(1, 1, 3)),
    "conv_transpose_channels": lambda T, n: n.ConvTranspose1d(2, 1, 2)(T.ones(1, 3, 3)),
    "fold_columns": lambda T, n: n.Fold(3, 2)(T.ones(1, 4, 5)),
    "unfold_kernel": lambda T, n: n.Unfold(5)(T.ones(1, 1, 3, 3)),
}


@pytest.mark.parametrize("name", TYPES_ONLY)
def test_error_type(name: str) -> None:
    check_same_error(lambda T: TYPES_ONLY[name](T, T.nn), same_text=False)


def test_shared_state_reads_with_torch() -> None:
    """Weights trained here give the same values there."""

    def run(T: Any) -> Any:
        net = T.nn.Sequential(T.nn.Linear(3, 4), T.nn.GELU(), T.nn.LayerNorm(4), T.nn.Linear(4, 2))
        return [net(T.ones(1, 3)), dict(net.state_dict())]

    ours, theirs = both(run)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5, atol=1e-6)


# --- signatures ---


def _parameters_of(function: Any) -> list[tuple[str, str]] | None:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return [(p.name, "" if p.default is p.empty else _default(p.default)) for p in parameters]


def _default(value: Any) -> str:
    return str(getattr(value, "__name__", repr(value)))


@pytest.mark.parametrize("name", [n for n in nn.__all__ if n[0].isupper()])
def test_signature_of_layer(name: str) -> None:
    theirs = pytest.importorskip("torch").nn
    assert _parameters_of(getattr(nn, name).__init__) == _parameters_of(getattr(theirs, name).__init__)


@pytest.mark.parametrize("name", [n for n in F.__all__ if inspect.isfunction(getattr(F, n))])
def test_signature_of_function(name: str) -> None:
    theirs = _parameters_of(getattr(pytest.importorskip("torch").nn.functional, name))
    if theirs is None or theirs[0][0] == "args":  # implemented in C++, or one name for two functions
        pytest.skip("torch does not say")
    assert _parameters_of(getattr(F, name)) == theirs


@pytest.mark.parametrize("kind", ["Conv1d", "Conv2d", "Conv3d"])
def test_layers_that_change_the_weight_of_a_convolution(kind):
    base = getattr(nn, kind)
    dims = int(kind[-2])

    class Doubled(base):
        def forward(self, input):
            return self._conv_forward(input, 2 * self.weight, None)

    class Halved(base):
        def _conv_forward(self, input, weight, bias):
            return super()._conv_forward(input, weight / 2, None)

    layer = base(2, 4, 3, padding=1, padding_mode="circular", bias=False)
    x = fastnn.randn(1, 2, *[5] * dims)
    for other, factor in ((Doubled, 2.0), (Halved, 0.5)):
        changed = other(2, 4, 3, padding=1, padding_mode="circular")
        changed.weight = layer.weight
        assert (changed(x) - factor * layer(x)).abs().max() < 1e-6
