"""Rows of torch.nn.functional."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from op_rows_math import LARGE_UNARY, UNARY, each, sigmoid
from op_specs import BOOL, FLOATS, INTS, Const, DType, Index, Input, Mask, S, Sample, Spec, X

IMAGE = S(X(4, 8, 30, 30))


def activation(name: str, reference: Any, *arguments: Any, inplace: bool = True, **options: Any) -> Spec:
    """A function of one element, with other values of its numbers too."""
    extra = tuple(S(X(3, 4), **kwargs) for kwargs in arguments)
    flagged = (S(X(3, 4, grad=False), inplace=True),) if inplace else ()
    return Spec(
        name,
        (*UNARY, *extra, *flagged),
        reference,
        **({"pointwise": True, "large": LARGE_UNARY, "domain": (-4.0, 4.0)} | options),
    )


def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return np.where(x * beta > threshold, x, np.log1p(np.exp(np.minimum(x * beta, threshold))) / beta)


def elu(x: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(x))


def celu(x: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(x / alpha))


def selu(x: Any, inplace: bool = False) -> Any:
    return 1.0507009873554804934193349852946 * elu(x, 1.6732632423543772848170429916717)


def gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * each(lambda y: math.erfc(-y / math.sqrt(2)))(x)


def softmax(x: Any, dim: int | None = None, dtype: Any = None, **ignored: Any) -> Any:
    if x.ndim == 0:
        return np.ones(())
    top = np.exp(x - np.max(x, axis=dim, keepdims=True))
    return top / top.sum(axis=dim, keepdims=True)


def log_softmax(x: Any, dim: int | None = None, dtype: Any = None, **ignored: Any) -> Any:
    return np.log(softmax(x, dim))


def threshold(x: Any, limit: float, value: float, inplace: bool = False) -> Any:
    return np.where(x > limit, x, value)


def hardshrink(x: Any, lambd: float = 0.5) -> Any:
    return np.where(np.abs(x) > lambd, x, 0)


def softshrink(x: Any, lambd: float = 0.5) -> Any:
    return np.sign(x) * np.maximum(np.abs(x) - lambd, 0)


def plain(function: Any) -> Any:
    """The same function without `inplace`."""
    return lambda x, inplace=False: function(x)


def activations() -> list[Spec]:
    softs = (
        S(X(3, 4), 0),
        S(X(3, 4), -1),
        S(X(2, 3, 4), 1),
        S(X(), 0),
        S(X(0, 3), 1),
        S(X(3, 67), 1),
        S(X(3, 4), 1, dtype=DType("float64")),
    )
    wrong = ((S(X(3, 4), 2), IndexError, "(?i)dim"),)
    soft = {"errors": wrong, "length": 67, "large": S(X(257, 301), 1)}
    limits = (S(X(3, 4), 0.5, -1.0), S(X(67), 0.0, 0.0))
    return [
        activation("nn.relu6", plain(lambda x: np.clip(x, 0, 6)), domain=(-4.0, 8.0), signed_zeros=False),
        activation("nn.elu", elu, {"alpha": 0.5}),
        activation("nn.celu", celu, {"alpha": 0.5}),
        activation("celu", celu, {"alpha": 0.5}, inplace=False),
        activation("nn.selu", selu),
        activation("selu", selu, inplace=False),
        activation("nn.gelu", gelu, {"approximate": "tanh"}, inplace=False, scale=1.0, signed_zeros=False),
        activation("nn.silu", plain(lambda x: x * sigmoid(x))),
        activation("nn.mish", plain(lambda x: x * np.tanh(softplus(x)))),
        activation(
            "nn.softplus", softplus, {"beta": 2.0}, {"beta": 1.0, "threshold": 1.0}, inplace=False, keywords=False
        ),
        activation("nn.softsign", lambda x: x / (1 + np.abs(x)), inplace=False),
        activation("nn.logsigmoid", lambda x: -softplus(-x), strides=False, inplace=False, keywords=False),
        activation("nn.tanhshrink", lambda x: x - np.tanh(x), inplace=False, scale=1.0),
        activation("nn.hardshrink", hardshrink, {"lambd": 1.0}, inplace=False, keywords=False),
        activation("hardshrink", hardshrink, {"lambd": 1.0}, inplace=False),
        activation("nn.softshrink", softshrink, {"lambd": 1.0}, signed_zeros=False, inplace=False, keywords=False),
        activation(
            "nn.hardtanh",
            lambda x, min_val=-1.0, max_val=1.0, inplace=False: np.clip(x, min_val, max_val),
            {"min_val": -2.0, "max_val": 0.5},
            lenient=("uint8",),
        ),
        activation("nn.hardsigmoid", plain(lambda x: np.clip(x + 3, 0, 6) / 6)),
        activation("nn.hardswish", plain(lambda x: x * np.clip(x + 3, 0, 6) / 6)),
        activation(
            "nn.leaky_relu",
            lambda x, negative_slope=0.01, inplace=False: np.where(x > 0, x, negative_slope * x),
            {"negative_slope": 0.2},
        ),
        Spec("nn.threshold", limits, threshold, pointwise=True, large=S(X(211, 307), 0.5, 0.0), lenient=("uint8",)),
        Spec("threshold", limits, threshold, pointwise=True, lenient=("uint8",)),
        Spec("softmax", softs, softmax, **soft),
        Spec("nn.softmax", softs, softmax, **soft),
        Spec("log_softmax", softs, log_softmax, **soft),
        Spec("nn.log_softmax", softs, log_softmax, **soft),
        Spec("nn.softmin", softs, lambda x, dim=None, **k: softmax(-x, dim), **soft),
        Spec(
            "dropout",
            (S(X(3, 4), 0.0, True), S(X(3, 4), 0.5, False), S(X(3, 4), 1.0, True).only(*FLOATS)),
            lambda x, p, train: np.zeros_like(x) if p == 1 else x,
            inplace=False,
            view=True,
            errors=((S(X(3), 1.5, True), (RuntimeError, ValueError), "probability"),),
            note="p between 0 and 1: tests/test_random.py",
        ),
        Spec(
            "nn.dropout",
            (S(X(3, 4), 0.0), S(X(3, 4), training=False), S(X(3, 4), 1.0).only(*FLOATS)),
            lambda x, p=0.5, training=True, inplace=False: np.zeros_like(x) if p == 1 and training else x,
            inplace=False,
            view=True,
            errors=((S(X(3), 1.5), ValueError, "probability"), (S(X(3), -0.1), ValueError, "probability")),
        ),
    ]


def reduce_loss(loss: Any, reduction: str = "mean", total: Any = None) -> Any:
    if reduction == "none":
        return loss
    return np.asarray(loss.sum() if reduction == "sum" else loss.sum() / (loss.size if total is None else total))


def mse(x: Any, y: Any, reduction: str = "mean", weight: Any = None) -> Any:
    loss = (x - y) ** 2 * (1 if weight is None else weight)
    return reduce_loss(loss, reduction, None if weight is None else np.broadcast_to(weight, loss.shape).sum())


def bce(x: Any, y: Any, weight: Any = None, reduction: str = "mean") -> Any:
    loss = -(y * np.maximum(np.log(x), -100) + (1 - y) * np.maximum(np.log1p(-x), -100))
    return reduce_loss(loss * (1 if weight is None else weight), reduction)


def bce_logits(x: Any, y: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> Any:
    p = 1 if pos_weight is None else pos_weight
    loss = p * y * softplus(-x, threshold=700) + (1 - y) * softplus(x, threshold=700)
    return reduce_loss(loss * (1 if weight is None else weight), reduction)


def nll(x: Any, y: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean") -> Any:
    if x.ndim == 1:
        return np.asarray(nll(x[None], y[None], weight, ignore_index, "sum" if reduction != "mean" else "mean"))
    weight = np.ones(x.shape[1]) if weight is None else weight
    kept = y != ignore_index
    safe = np.where(kept, y, 0)
    w = weight[safe] * kept
    loss = -np.take_along_axis(x, np.expand_dims(safe, 1), 1).squeeze(1) * w
    return reduce_loss(loss, reduction, w.sum())


def cross_entropy(
    x: Any, y: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
) -> Any:
    axis = 0 if x.ndim == 1 else 1
    logs = log_softmax(x, axis)
    classes = x.shape[axis]
    shape = [1] * x.ndim
    shape[axis] = classes
    w = np.ones(shape) if weight is None else weight.reshape(shape)
    if y.dtype.kind == "f":
        target = y * (1 - label_smoothing) + label_smoothing / classes
        loss = -(target * logs * w).sum(axis)
        return reduce_loss(loss, reduction, loss.size / 1 if x.ndim > 1 else 1)
    kept = y != ignore_index
    hot = np.moveaxis(np.eye(classes)[np.where(kept, y, 0)], -1, axis)
    plainly = -(hot * logs * w).sum(axis) * kept
    smooth = -(logs * w).sum(axis) * kept
    total = ((hot * w).sum(axis) * kept).sum()
    return (1 - label_smoothing) * reduce_loss(plainly, reduction, total) + label_smoothing / classes * reduce_loss(
        smooth, reduction, total
    )


def losses() -> list[Spec]:
    pair = (
        S(X(3, 4), X(3, 4)),
        S(X(3, 4), X(3, 4), reduction="sum"),
        S(X(3, 4), X(3, 4), reduction="none"),
        S(X(), X()),
    )
    p = {"low": 0.1, "high": 0.9}
    wrong = (S(X(3), X(3), reduction="average"), ValueError, "reduction|average")
    labels = (
        S(X(5, 4), Index(5, high=4)),
        S(X(5, 4), Index(5, high=4), reduction="sum"),
        S(X(5, 4), Index(5, high=4), reduction="none"),
        S(X(5, 4), Index(5, high=4), Const([0.5, 1.0, 2.0, 1.5], grad=False)),
        S(X(5, 4), Const([0, -100, 3, 1, 1], "int64")),
        S(X(5, 4), Const([0, 2, 3, 1, 1], "int64"), ignore_index=1),
        S(X(2, 4, 3), Index(2, 3, high=4)),
        S(X(4), Index(high=4)),
    )
    smooth = (
        S(X(5, 4), Index(5, high=4), label_smoothing=0.1),
        S(X(5, 4), X(5, 4, low=0.1, high=1.0)),
        S(X(5, 4), X(5, 4, low=0.1, high=1.0), label_smoothing=0.2, reduction="sum"),
        S(X(5, 4), Const([0, -100, 3, 1, 1], "int64"), Const([0.5, 1.0, 2.0, 1.5], grad=False), label_smoothing=0.1),
        S(X(2, 4, 3), X(2, 4, 3, low=0.1, high=1.0)),
    )
    bad = (
        (S(X(5, 4), Const([0, 1, 2, 3, 4], "int64")), IndexError, ""),
        (S(X(5, 4), Index(3, high=4)), ValueError, "batch"),
        (S(X(2, 3), Index(2, high=3), reduction="average"), ValueError, ""),
    )
    big = S(X(2000, 30), Index(2000, high=30))
    return [
        Spec(
            "nn.mse_loss",
            (*pair, S(X(3, 4), X(3, 4), weight=X(3, 4, low=0.2, high=1.0, grad=False)).only("float64", "float32")),
            mse,
            errors=(wrong,),
            length=12,
            large=S(X(257, 301), X(257, 301)),
        ),
        Spec(
            "nn.binary_cross_entropy",
            (
                S(X(3, 4, **p), X(3, 4, **p)),
                S(X(5, **p), X(5, **p), reduction="sum"),
                S(X(5, **p), X(5, **p), reduction="none"),
                S(X(3, 4, **p), X(3, 4, **p), X(4, grad=False, **p)),
            ),
            bce,
            length=12,
            roundings=16,
            gradients=1e-9,
            errors=((S(X(3, **p), X(4, **p)), ValueError, "size"), (S(Const([1.5]), Const([1.0])), RuntimeError, "")),
            large=S(X(257, 301, **p), X(257, 301, **p)),
        ),
        Spec(
            "nn.binary_cross_entropy_with_logits",
            (
                *(S(X(3, 4), X(3, 4, **p), **s.kwargs) for s in pair[:3]),
                S(X(3, 4), X(3, 4, **p), X(4, grad=False, **p)),
                S(X(3, 4), X(3, 4, **p), pos_weight=X(4, grad=False, **p)),
            ),
            bce_logits,
            length=12,
            errors=((S(X(3), X(4)), ValueError, "size"),),
            large=S(X(257, 301), X(257, 301, **p)),
        ),
        Spec("nn.nll_loss", labels, nll, length=6, errors=bad, large=big),
        Spec("nn.cross_entropy", (*labels, *smooth), cross_entropy, length=12, errors=(*bad[:1], *bad[1:]), large=big),
    ]


def normal(x: Any, dims: tuple[int, ...], eps: float) -> Any:
    return (x - x.mean(dims, keepdims=True)) / np.sqrt(x.var(dims, keepdims=True) + eps)


def affine(x: Any, weight: Any, bias: Any, shape: Any) -> Any:
    x = x if weight is None else x * weight.reshape(shape)
    return x if bias is None else x + bias.reshape(shape)


def layer_norm(
    x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, cudnn_enable: bool = True
) -> Any:
    return affine(normal(x, tuple(range(-len(shape), 0)), eps), weight, bias, shape)


def rms_norm(x: Any, shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    eps = 2.0**-23 if eps is None else eps  # of float32; the rows give it for float64
    return affine(x / np.sqrt((x * x).mean(tuple(range(-len(shape), 0)), keepdims=True) + eps), weight, None, shape)


def channels(x: Any) -> tuple[int, ...]:
    return (1, -1) + (1,) * (x.ndim - 2)


def group_norm(x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    out = normal(x.reshape(x.shape[0], groups, -1), (2,), eps).reshape(x.shape)
    return affine(out, weight, bias, channels(x))


def batch_norm(
    x: Any,
    mean: Any,
    var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    if training:
        out = normal(x, (0, *range(2, x.ndim)), eps)
    else:
        out = (x - mean.reshape(channels(x))) / np.sqrt(var.reshape(channels(x)) + eps)
    return affine(out, weight, bias, channels(x))


def instance_norm(
    x: Any,
    mean: Any = None,
    var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    return affine(normal(x, tuple(range(2, x.ndim)), eps), weight, bias, channels(x))


def norms() -> list[Spec]:
    weight = {"low": 0.5, "high": 1.5}
    layer = (
        S(X(3, 4), (4,)),
        S(X(3, 4), (4,), X(4, **weight), X(4)),
        S(X(2, 3, 4), (3, 4), X(3, 4, **weight), X(3, 4)),
        S(X(3, 4), (4,), X(4, **weight)),
        S(X(3, 4), (4,), eps=0.1),
        S(X(2, 67), (67,), X(67, **weight), X(67)),
    )
    layer_errors = ((S(X(3, 4), (3,)), RuntimeError, "shape"), (S(X(3, 4), (4,), X(3)), RuntimeError, "shape"))
    stats = (X(4, grad=False), X(4, low=0.5, high=1.5, grad=False))
    batch = (
        S(X(3, 4), *stats),
        S(X(3, 4, 5), *stats, X(4, **weight), X(4)),
        S(X(3, 4), None, None, X(4, **weight), X(4), True),
        S(X(3, 4, 2, 2), None, None, X(4, **weight), X(4), True),
        S(X(3, 4), *stats, training=True),
        S(X(3, 4), *stats, eps=0.1),
    )
    group = (
        S(X(3, 4), 2),
        S(X(3, 4, 5), 2, X(4, **weight), X(4)),
        S(X(2, 4, 3, 3), 4, X(4, **weight), X(4)),
        S(X(2, 4, 3), 1, eps=0.1),
    )
    rms = (
        S(X(3, 4), (4,)).only("float32", "bfloat16"),
        S(X(3, 4), (4,), None, 2.0**-52).only("float64"),
        S(X(3, 4), (4,), X(4, **weight), 1e-5),
        S(X(2, 3, 4), (3, 4), X(3, 4, **weight), 1e-6),
        S(X(3, 4), (4,), eps=0.1),
    )
    return [
        Spec(
            "nn.layer_norm",
            layer,
            layer_norm,
            length=67,
            roundings=32,
            errors=layer_errors,
            large=S(X(300, 257), (257,), X(257), X(257)),
        ),
        Spec("layer_norm", layer, layer_norm, length=67, roundings=32, errors=layer_errors),
        Spec(
            "nn.rms_norm",
            rms,
            rms_norm,
            dtypes=("float64", "float32", "bfloat16"),
            roundings=32,
            length=12,
            errors=layer_errors[:1],
            large=S(X(300, 257), (257,), X(257)),
        ),
        Spec("rms_norm", rms, rms_norm, dtypes=("float64", "float32", "bfloat16"), roundings=32, length=12),
        Spec(
            "nn.batch_norm",
            batch,
            batch_norm,
            roundings=64,
            length=12,
            errors=(
                (S(X(3, 4), X(3, grad=False), X(3, grad=False)), RuntimeError, ""),
                (S(X(1, 4), None, None, training=True), ValueError, "more than 1"),
            ),
            large=S(X(16, 8, 30, 30), None, None, X(8), X(8), True),
        ),
        Spec(
            "batch_norm",
            (
                S(X(3, 4), X(4, **weight), X(4), *stats, False, 0.1, 1e-5, False),
                S(X(3, 4, 2), None, None, None, None, True, 0.1, 1e-5, True),
            ),
            lambda x, w, b, m, v, training, momentum, eps, cudnn: batch_norm(x, m, v, w, b, training, momentum, eps),
            roundings=64,
            length=12,
        ),
        Spec(
            "nn.group_norm",
            group,
            group_norm,
            roundings=64,
            length=12,
            errors=((S(X(3, 4), 3), RuntimeError, "divisible"),),
            large=S(X(16, 8, 30, 30), 4, X(8), X(8)),
        ),
        Spec("group_norm", group, group_norm, roundings=64, length=12),
        Spec(
            "nn.instance_norm",
            (S(X(2, 3, 5)), S(X(2, 3, 2, 3), weight=X(3, **weight), bias=X(3)), S(X(2, 3, 5), eps=0.1)),
            instance_norm,
            roundings=64,
            length=12,
            errors=((S(X(2, 3, 1)), ValueError, ""),),
        ),
    ]


def convolutions() -> list[Spec]:
    """Values are checked against torch; test_conv_pool.py has the many shapes."""
    rows: list[Spec] = []
    one = (
        S(X(2, 4, 7), X(6, 4, 3), X(6)),
        S(X(2, 4, 7), X(6, 4, 3)),
        S(X(2, 4, 7), X(6, 2, 3), X(6), 2, 1, 1, 2),
        S(X(2, 4, 7), X(4, 4, 3), None, 1, 2, 2),
        S(X(4, 7), X(6, 4, 3)),
        S(X(1, 1, 5), X(1, 1, 3), padding="same"),
        S(X(2, 4, 7), X(3, 4, 2), stride=(2,), padding=(1,)),
    )
    two = (
        S(X(2, 4, 5, 6), X(6, 4, 3, 3), X(6)),
        S(X(2, 4, 5, 6), X(6, 2, 3, 2), X(6), (2, 1), (1, 0), 1, 2),
        S(X(1, 2, 6, 6), X(2, 2, 2, 2), dilation=2),
        S(X(2, 5, 5), X(3, 2, 3, 3)),
        S(X(1, 2, 4, 4), X(2, 2, 3, 3), padding="same"),
        S(X(1, 4, 3, 3), X(4, 1, 2, 2), groups=4),
        S(X(2, 4, 3, 3), X(3, 4, 1, 1)),
    )
    three = (
        S(X(1, 2, 3, 4, 3), X(2, 2, 2, 2, 2), X(2)),
        S(X(1, 2, 3, 4, 3), X(4, 1, 2, 3, 2), None, (1, 2, 1), 1, 1, 2),
    )
    for d, samples in ((1, one), (2, two), (3, three)):
        big = S(X(4, 6, *((900,), (30, 30), (9, 10, 10))[d - 1]), X(8, 6, *(3,) * d), X(8))
        wrong = (
            (S(X(1, 3, *(5,) * d), X(2, 4, *(3,) * d)), RuntimeError, "channel"),
            (S(X(1, 4, *(2,) * d), X(2, 4, *(3,) * d)), RuntimeError, "(?i)kernel"),
            (S(X(1, 3, *(5,) * d), X(2, 3, *(3,) * d), stride=0), RuntimeError, "stride"),
        )
        turned = (
            S(X(2, 4, *(4,) * d), X(4, 2, *(3,) * d), X(2)),
            S(X(2, 4, *(3,) * d), X(4, 2, *(2,) * d), None, 2, 1, 1, 2),
            S(X(1, 2, *(3,) * d), X(2, 3, *(2,) * d), dilation=2),
        )
        for space in ("nn.", ""):
            large = big if space else None
            rows.append(
                Spec(
                    f"{space}conv{d}d",
                    samples,
                    None,
                    length=60,
                    errors=wrong,
                    large=large,
                    strides=False,
                    dtypes=FLOATS,
                )
            )
            rows.append(
                Spec(
                    f"{space}conv_transpose{d}d",
                    turned if d < 3 else turned[:1],
                    None,
                    length=60,
                    large=large and S(X(4, 6, *((900,), (30, 30), (9, 10, 10))[d - 1]), X(6, 4, *(3,) * d)),
                    errors=((S(X(1, 3, *(5,) * d), X(2, 4, *(3,) * d)), RuntimeError, ""),),
                    strides=False,
                    dtypes=FLOATS,
                )
            )
    return rows


def pools() -> list[Spec]:
    rows: list[Spec] = []
    for d in (1, 2, 3):
        side = (5, 6, 4)[:d] if d < 3 else (4, 3, 4)
        image, lone = X(2, 3, *side, distinct=True), X(3, *side, distinct=True)
        small = X(1, 2, *side, distinct=True)
        area = X(4, 8, *((900,), (30, 30), (9, 10, 10))[d - 1], distinct=True)
        maximum = (
            S(image, 2),
            S(lone, 2),
            S(image, 3, 2, 1),
            S(small, 2, 1, 0, 2),
            S(small, 3, stride=2, ceil_mode=True),
            S(small, (2,) * d, padding=(1,) * d),
        )
        if d == 3:
            maximum = (S(small, 2), S(small, 2, 1, 1), S(small, 2, ceil_mode=True))
        wrong = (
            (S(X(2, 3, *side), 0), RuntimeError, ""),
            (S(X(2, 3, *side), 2, padding=2), RuntimeError, "pad"),
            (S(X(1, 1, *(2,) * d), 5), RuntimeError, "(?i)size|small|kernel"),
        )
        places = (
            (S(small, 2, return_indices=True), S(small, 3, 2, 1, return_indices=True))
            if d < 3
            else (S(small, 2, return_indices=True),)
        )
        rows.append(
            Spec(f"nn.max_pool{d}d", (*maximum, *places), None, errors=wrong, large=S(area, 3, 2), strides=False)
        )
        rows.append(Spec(f"max_pool{d}d", maximum, None, errors=wrong[:1], strides=False))
        average = (
            S(image, 2),
            S(lone, 2),
            S(small, 3, 2, 1),
            S(small, 3, 2, 1, count_include_pad=False),
            S(small, 3, stride=2, ceil_mode=True),
        )
        average = average if d < 3 else average[2:]
        more = (S(small, 2, divisor_override=3),) if d > 1 else ()
        rows.append(
            Spec(
                f"nn.avg_pool{d}d", (*average, *more), None, errors=wrong, large=S(area, 3, 2), strides=False, length=27
            )
        )
        sizes = (S(image, 3), S(lone, 2), S(small, 1), S(small, (2,) * d))
        sizes = (sizes if d == 1 else (*sizes, S(small, (None, *(2,) * (d - 1))))) if d < 3 else sizes[2:]
        rows.append(
            Spec(
                f"nn.adaptive_avg_pool{d}d",
                sizes,
                None,
                large=S(area, 4),
                strides=False,
                length=27,
                lenient=INTS + BOOL,
                errors=((S(X(2), 2), RuntimeError, ""), (S(X(2, 3, *side), -1), RuntimeError, "")),
            )
        )
        rows.append(
            Spec(
                f"nn.adaptive_max_pool{d}d",
                (*sizes, S(small, 2, return_indices=True)),
                None,
                large=S(area, 4),
                strides=False,
            )
        )
        if d == 1:
            rows.append(Spec("avg_pool1d", average, None, strides=False, length=27))
            rows.append(Spec("adaptive_avg_pool1d", sizes, None, strides=False, length=27, lenient=INTS + BOOL))
    return rows


def attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> Any:
    if enable_gqa:
        k, v = (np.repeat(one, q.shape[-3] // one.shape[-3], -3) for one in (k, v))
    scores = q @ np.swapaxes(k, -1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        mask = np.tril(np.ones(scores.shape[-2:], dtype=bool))
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    return softmax(scores, -1) @ v


def padded(x: Any, pad: Any, mode: str, value: float) -> Any:
    widths = [(0, 0)] * (x.ndim - len(pad) // 2) + [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
    x = x[tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, widths, strict=True))]
    widths = [(max(a, 0), max(b, 0)) for a, b in widths]
    names = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return np.pad(x, widths, constant_values=value) if mode == "constant" else np.pad(x, widths, mode=names[mode])  # type: ignore[call-overload]


def others() -> list[Spec]:
    linear = (
        S(X(3, 4), X(5, 4), X(5)),
        S(X(3, 4), X(5, 4)),
        S(X(4), X(5, 4), X(5)),
        S(X(2, 3, 4), X(5, 4), X(5)),
        S(X(0, 4), X(5, 4), X(5)),
        S(X(3, 0), X(5, 0), X(5)),
        S(X(1, 67), X(2, 67), X(2)),
    )
    q = (
        S(X(2, 3, 5, 4), X(2, 3, 6, 4), X(2, 3, 6, 4)),
        S(X(2, 5, 4), X(2, 5, 4), X(2, 5, 4), is_causal=True),
        S(X(2, 5, 4), X(2, 6, 4), X(2, 6, 3), X(5, 6)),
        S(X(1, 2, 3, 4), X(1, 2, 3, 4), X(1, 2, 3, 4), scale=0.3),
        S(X(2, 5, 4), X(2, 6, 4), X(2, 6, 4), Const(np.arange(30).reshape(5, 6) % 4 != 1, "bool")),
        S(X(1, 4, 3, 2), X(1, 2, 3, 2), X(1, 2, 3, 2), enable_gqa=True),
        S(X(5, 4), X(6, 4), X(6, 4)),
    )
    table = Index(3, 2, high=7)
    pads = (
        S(X(3, 4), (1, 2)),
        S(X(2, 3, 4), (1, 0, 2, 1), value=1.5),
        S(X(2, 3, 4), (1, 2), "reflect"),
        S(X(2, 3, 4), (1, 2), "replicate"),
        S(X(2, 3, 4), (1, 2), "circular"),
        S(X(1, 2, 3, 4), (1, 2, 1, 0), "reflect"),
        S(X(1, 2, 3, 4), (1, 2, 1, 0), "replicate"),
        S(X(3, 4), (-1, 2)),
    )
    return [
        Spec(
            "nn.pad",
            pads,
            lambda x, pad, mode="constant", value=None: padded(x, pad, mode, value or 0),
            strides=False,
            large=S(X(64, 30, 40), (1, 2, 1, 2)),
            errors=((S(X(3, 4), (1,)), RuntimeError, ""), (S(X(2, 3, 4), (5, 5), "reflect"), RuntimeError, "(?i)pad")),
        ),
        Spec(
            "nn.linear",
            linear,
            lambda x, w, b=None: x @ w.T + (0 if b is None else b),
            length=67,
            errors=((S(X(3, 4), X(5, 3)), RuntimeError, "shape"),),
            large=S(X(150, 90), X(110, 90), X(110)),
        ),
        Spec(
            "nn.bilinear",
            (
                S(X(3, 4), X(3, 5), X(2, 4, 5), X(2)),
                S(X(3, 4), X(3, 5), X(2, 4, 5)),
                S(X(2, 3, 4), X(2, 3, 2), X(2, 4, 2), X(2)),
            ),
            lambda a, b, w, bias=None: np.einsum("...i,kij,...j->...k", a, w, b) + (0 if bias is None else bias),
            length=20,
            errors=((S(X(3, 4), X(2, 5), X(2, 4, 5)), RuntimeError, ""),),
        ),
        Spec(
            "nn.embedding",
            (
                S(table, X(7, 4)),
                S(Index(5, high=7), X(7, 4), 2).rough(),
                S(Index(5, high=7), X(7, 4), padding_idx=-1).rough(),
                S(Index(0, high=7), X(7, 4)),
                S(Index(high=7), X(7, 4)),
                S(Index(9, high=3), X(3, 4), scale_grad_by_freq=True).rough(),
            ),
            lambda i, w, *a, **k: w[i],
            roundings=1,
            errors=(
                (S(Const([7], "int64"), X(7, 4)), IndexError, "range"),
                (S(Const([-1], "int64"), X(7, 4)), IndexError, "range"),
                (S(Const([0.5], "float32", grad=False), X(7, 4)), RuntimeError, ""),
            ),
            large=S(Index(3000, high=100), X(100, 40)),
        ),
        Spec(
            "embedding",
            (S(X(7, 4), table), S(X(7, 4), Index(5, high=7), 2).rough()),
            lambda w, i, *a: w[i],
            roundings=1,
        ),
        Spec(
            "nn.scaled_dot_product_attention",
            q,
            attention,
            length=12,
            roundings=32,
            twice=True,
            errors=(
                (S(X(2, 5, 4), X(2, 6, 3), X(2, 6, 4)), RuntimeError, ""),
                (S(X(2, 5, 4), X(2, 5, 4), X(2, 5, 4), X(5, 5), is_causal=True), RuntimeError, "causal|mask"),
            ),
            large=S(X(4, 4, 60, 16), X(4, 4, 60, 16), X(4, 4, 60, 16), is_causal=True),
        ),
    ]


ROWS = [*activations(), *losses(), *norms(), *convolutions(), *pools(), *others()]
__all__ = ["ROWS", "Input", "Mask", "Sample", "dataclasses"]
