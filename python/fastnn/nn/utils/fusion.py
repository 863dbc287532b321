"""Fold a batch normalisation, in evaluation, into the layer before it."""

from __future__ import annotations

import copy
from typing import Any

from fastnn._C import Tensor

from ..parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _fused(
    weight: Tensor,
    bias: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    channel: int,
) -> tuple[Parameter, Parameter]:
    """`(W x + b - mean) / sqrt(var + eps) * w_bn + b_bn` as one weight and bias."""
    scale = (bn_rv + bn_eps).rsqrt()
    if bn_w is not None:
        scale = scale * bn_w
    shift = -bn_rm if bias is None else bias - bn_rm
    fused_bias = shift * scale if bn_b is None else shift * scale + bn_b
    column = [1] * weight.dim()
    column[channel] = -1
    fused_weight = (weight * scale.reshape(column)).to(weight.dtype)
    bias_grad = weight.requires_grad if bias is None else bias.requires_grad
    return (
        Parameter(fused_weight.detach(), weight.requires_grad),
        Parameter(fused_bias.detach().to(weight.dtype), bias_grad),
    )


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Return the weight and bias of a convolution that includes the batch normalisation after it."""
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """Return the weight and bias of a linear layer that includes the batch normalisation after it."""
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _check_eval(layer: Any, bn: Any) -> None:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """Return a copy of the convolution `conv` that computes `bn(conv(x))`.

    Args:
        conv: a convolution in evaluation mode.
        bn: a batch normalisation in evaluation mode, with running statistics.
        transpose: whether `conv` is a transposed convolution.

    Raises:
        AssertionError: one of the two is in training mode.
        NotImplementedError: `transpose` with groups.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> conv, bn = nn.Conv2d(1, 2, 1).eval(), nn.BatchNorm2d(2).eval()
        >>> x = fastnn.ones(1, 1, 2, 2)
        >>> fused = nn.utils.fuse_conv_bn_eval(conv, bn)
        >>> bool((fused(x) - bn(conv(x))).abs().max() < 1e-5)
        True
    """
    _check_eval(conv, bn)
    fused = copy.deepcopy(conv)
    if transpose and conv.groups > 1:
        raise NotImplementedError("fuse_conv_bn_eval: a transposed convolution with groups is not supported")
    fused.weight, fused.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """Return a copy of the linear layer `linear` that computes `bn(linear(x))`.

    Raises:
        AssertionError: one of the two is in training mode, or their sizes do not go together.
    """
    _check_eval(linear, bn)
    fused = copy.deepcopy(linear)
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError("To fuse, linear.out_features == bn.num_features or bn.num_features == 1")
    fused.weight, fused.bias = fuse_linear_bn_weights(
        linear.weight, linear.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused
