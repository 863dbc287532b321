"""Rows of torch.nn.functional: bags and sequences; and of functions in Python: resizing, sampling, pooling undone."""

from __future__ import annotations

from typing import Any

import numpy as np
from op_rows_nn import padded
from op_specs import REALS, Const, Index, S, Spec, X

WIDE = ("float64", "float32")


def pdist(x: Any, p: float = 2.0) -> Any:
    first, second = np.triu_indices(len(x), 1)
    return np.linalg.norm(x[first] - x[second], p, axis=-1)


def nearest(x: Any, size: Any) -> Any:
    rows = np.arange(size[0]) * x.shape[2] // size[0]
    cols = np.arange(size[1]) * x.shape[3] // size[1]
    return x[:, :, rows[:, None], cols]


def unpooled(x: Any, indices: Any, kernel_size: int) -> Any:
    out = np.zeros((*x.shape[:-1], x.shape[-1] * kernel_size))
    np.put_along_axis(out, indices, x, -1)
    return out


def bags(
    indices: Any, table: Any, offsets: Any = None, mode: str = "mean", per_sample_weights: Any = None, **options: Any
) -> Any:
    if offsets is not None:
        parts = np.split(np.arange(indices.size), offsets[1:])
    else:
        parts = list(np.arange(indices.size).reshape(indices.shape))
    rows = table[indices.reshape(-1)]
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    empty = np.zeros(table.shape[1])
    return np.stack([getattr(rows[part], mode)(0) if len(part) else empty for part in parts])


def ctc(log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, **options: Any) -> Any:
    """All ways to emit the labels, added up one by one."""

    def collapsed(path: Any) -> list[int]:
        return [c for i, c in enumerate(path) if c != 0 and (i == 0 or path[i - 1] != c)]

    losses = []
    for sample in range(log_probs.shape[1]):
        steps, wanted = input_lengths[sample], list(targets[sample][: target_lengths[sample]])
        p = np.exp(log_probs[:steps, sample])
        total = sum(
            np.prod(p[np.arange(steps), path])
            for path in np.ndindex(*[p.shape[1]] * steps)
            if collapsed(path) == wanted
        )
        losses.append(-np.log(total))
    return np.array(losses)


def resizing() -> list[Spec]:
    image = X(2, 2, 5, 4)
    ways = [
        S(image, (7, 3), mode=mode, align_corners=corners)
        for mode in ("bilinear", "bicubic")
        for corners in (False, True)
    ]
    small = [S(image, (3, 2), mode=mode, antialias=True).only(*WIDE) for mode in ("bilinear", "bicubic", "lanczos")]
    return [
        Spec(
            "nn.interpolate",
            (
                *ways,
                *small,
                S(X(2, 2, 5), 8, mode="linear"),
                S(X(2, 2, 5), scale_factor=1.7, mode="linear"),
                S(X(2, 2, 5), scale_factor=1.7, mode="linear", recompute_scale_factor=True),
                S(X(1, 2, 3, 4, 3), (5, 2, 4), mode="trilinear"),
                S(X(1, 2, 3, 4, 3), (5, 2, 4), mode="trilinear", align_corners=True),
                S(X(2, 2, 5), 8, mode="nearest-exact"),
                S(X(1, 2, 3, 4, 3), scale_factor=(2.0, 0.5, 1.5), mode="nearest"),
                S(image, (2, 3), mode="area"),
                S(X(0, 2, 3, 3), (5, 5), mode="bilinear"),
            ),
            None,
            length=64,
            roundings=32,
            scale=2.0,
            strides=False,
            errors=(
                (S(X(2, 3), 4), NotImplementedError, "3D, 4D and 5D"),
                (S(X(2, 2, 5), 8, mode="bilinear"), NotImplementedError, "4D"),
                (S(X(2, 2, 5), 8, mode="linear", antialias=True), ValueError, "(?i)anti"),
                (S(X(2, 2, 5), (8, 8)), ValueError, "spatial"),
                (S(image, 8, mode="lanczos"), ValueError, "antialias"),
                (S(image, 2.5), TypeError, "int"),
                (S(image, 8, recompute_scale_factor=True), ValueError, "recompute"),
                (S(image, 0), RuntimeError, "greater than 0"),
            ),
            large=S(X(4, 8, 40, 50), (70, 90), mode="bilinear"),
        ),
        Spec("nn.interpolate", (S(image, (7, 3)), S(image, (5, 4))), nearest, roundings=1, strides=False),
    ]


def sampling() -> list[Spec]:
    grid = X(2, 3, 5, 2, low=-1.3, high=1.3)
    volume = X(1, 2, 3, 4, 3)
    places = X(1, 2, 3, 2, 3, low=-1.3, high=1.3)
    ways = [
        S(X(2, 2, 4, 5), grid, mode, padding, corners)
        for mode in ("bilinear", "nearest", "bicubic")
        for padding in ("zeros", "border", "reflection")
        for corners in (False, True)
    ]
    return [
        Spec(
            "nn.grid_sample",
            (
                *ways,
                S(volume, places, align_corners=False),
                S(volume, places, "nearest", "border", True),
                S(volume, places, "bilinear", "reflection", False),
                S(X(1, 1, 1, 1), X(1, 1, 1, 2), "bilinear", "reflection", True),
            ),
            None,
            dtypes=WIDE,
            torch_dtypes=WIDE,
            length=16,
            roundings=128,
            scale=4.0,
            strides=False,
            kinks=True,
            errors=(
                (S(X(1, 1, 2, 2), X(1, 1, 1, 2), "cubic", align_corners=True), ValueError, "mode"),
                (S(X(1, 1, 2, 2), X(1, 1, 1, 2), padding_mode="wrap", align_corners=True), ValueError, "padding_mode"),
                (S(X(1, 1, 2), X(1, 1, 1), align_corners=False), RuntimeError, "4D or 5D"),
                (S(X(1, 1, 2, 2), X(2, 1, 1, 2), align_corners=False), RuntimeError, "batch"),
                (S(X(1, 1, 2, 2), X(1, 1, 1, 3), align_corners=False), RuntimeError, "last dimension"),
                (S(volume, places, "bicubic", align_corners=False), RuntimeError, "bicubic"),
            ),
            large=S(X(3, 5, 40, 50), X(3, 60, 70, 2, low=-1.2, high=1.2), align_corners=False),
        ),
        Spec(
            "nn.affine_grid",
            (
                S(X(2, 2, 3), (2, 1, 3, 4), False),
                S(X(2, 2, 3), (2, 1, 3, 4), True),
                S(X(2, 3, 4), (2, 1, 2, 3, 4), False),
                S(X(2, 3, 4), (2, 1, 2, 3, 4), True),
            ),
            None,
            dtypes=WIDE,
            length=4,
            scale=4.0,
            strides=False,
            errors=(
                (S(X(2, 3, 3), (2, 1, 3, 4), False), ValueError, "affine"),
                (S(X(2, 2, 3), (2, 3, 4), False), NotImplementedError, "4D and 5D"),
                (S(X(2, 2, 3), (2, 1, 0, 4), False), ValueError, "positive"),
            ),
        ),
    ]


def pooling() -> list[Spec]:
    places = Const([[[1, 3, 4]], [[0, 2, 5]]], "int64")
    samples = Const([[[0.3, 0.7]] * 2] * 2, grad=False)
    return [
        Spec(
            "nn.max_unpool1d",
            (S(X(2, 1, 3), places, 2),),
            unpooled,
            roundings=1,
            errors=(
                (S(X(2, 1, 3), Const([[[1, 3, 9]], [[0, 2, 5]]], "int64"), 2), RuntimeError, "index"),
                (S(X(2, 1, 3), places, 2, output_size=(20,)), ValueError, "output_size"),
                (S(X(2, 1, 4), places, 2), RuntimeError, "shape"),
            ),
        ),
        Spec(
            "nn.max_unpool2d",
            (
                S(X(2, 1, 1, 3), Const([[[[1, 8, 4]]], [[[0, 2, 5]]]], "int64"), 2),
                S(X(1, 1, 3), Const([[[1, 8, 4]]], "int64"), 2, output_size=(1, 1, 3, 7)),
            ),
            None,
            roundings=1,
            strides=False,
        ),
        Spec(
            "nn.max_unpool3d",
            (S(X(1, 1, 1, 1, 2), Const([[[[[1, 5]]]]], "int64"), 2),),
            None,
            roundings=1,
            strides=False,
        ),
        *(
            Spec(
                f"nn.lp_pool{d}d",
                (S(X(2, 2, *[4] * d, low=0.1), 2, 2), S(X(2, *[4] * d, low=0.1), 3.0, 2, 1)),
                None,
                length=8,
                roundings=32,
                strides=False,
            )
            for d in (1, 2, 3)
        ),
        Spec(
            "nn.fractional_max_pool2d",
            (
                S(X(2, 2, 7, 6, distinct=True), 2, 3, _random_samples=samples).only(*WIDE),
                S(X(2, 2, 7, 6, distinct=True), (2, 3), output_ratio=(0.5, 0.5), _random_samples=samples).only(*WIDE),
                S(X(2, 2, 7, 6, distinct=True), 2, (1, 4), return_indices=True, _random_samples=samples).only(*WIDE),
            ),
            None,
            roundings=1,
            strides=False,
            errors=(
                (S(X(1, 1, 4, 4), 2), ValueError, "output_size"),
                (S(X(1, 1, 4, 4), 3, 3), RuntimeError, "too large"),
            ),
        ),
        Spec(
            "nn.fractional_max_pool3d",
            (
                S(
                    X(1, 2, 5, 6, 7, distinct=True),
                    2,
                    (2, 3, 4),
                    return_indices=True,
                    _random_samples=Const([[[0.3, 0.7, 0.1], [0.9, 0.0, 0.5]]], grad=False),
                ).only(*WIDE),
            ),
            None,
            roundings=1,
            strides=False,
        ),
    ]


def distances() -> list[Spec]:
    return [
        Spec(
            "nn.pdist",
            (S(X(4, 3)), S(X(4, 3), 1.0), S(X(4, 3), 3.0), S(X(4, 3), float("inf")), S(X(2, 3))),
            pdist,
            dtypes=WIDE,
            length=3,
            roundings=32,
            errors=((S(X(3)), RuntimeError, "2D"), (S(X(2, 3), -1.0), RuntimeError, "negative")),
        ),
    ]


def others() -> list[Spec]:
    log_probs = X(4, 2, 3, low=-2.0, high=-0.5)
    labels = Const([[1, 2], [2, 2]], "int64")
    lengths = (Const([4, 3], "int64"), Const([2, 1], "int64"))
    table = X(7, 4)
    offsets = Const([0, 2, 2], "int64")
    return [
        Spec(
            "constant_pad_nd",
            (S(X(3, 4), (1, 2)), S(X(2, 3, 4), (1, 0, 2, 1), 1.5), S(X(3, 4), (-1, 2)), S(X(3, 4), (0, 0, 1, 1), 2)),
            lambda x, pad, value=0: padded(x, pad, "constant", value),
            dtypes=REALS,
            roundings=1,
            strides=False,
            errors=((S(X(3, 4), (1,)), RuntimeError, "divisible"),),
        ),
        Spec(
            "nn.embedding_bag",
            (
                S(Index(3, 2, high=7), table),
                S(Index(3, 2, high=7), table, mode="sum"),
                S(Index(5, high=7), table, offsets, mode="mean"),
                S(Index(5, high=7), table, offsets, mode="sum", per_sample_weights=X(5)),
                S(Index(3, 2, high=7, distinct=True), X(7, 4, distinct=True), mode="max"),
            ),
            bags,
            length=8,
            strides=False,
            errors=(
                (S(Index(5, high=7), table), ValueError, "offsets"),
                (S(Index(3, 2, high=7), table, offsets), ValueError, "offsets"),
                (S(Index(5, high=7), table, Const([1, 2], "int64")), RuntimeError, "start"),
                (S(Index(5, high=7), table, offsets, mode="median"), ValueError, "mode"),
                (S(Index(5, high=7), table, offsets, per_sample_weights=X(5)), NotImplementedError, "sum"),
                (S(Const([7], "int64"), table, Const([0], "int64")), RuntimeError, "range"),
            ),
            large=S(Index(300, 20, high=100), X(100, 40)),
        ),
        Spec(
            "nn.ctc_loss",
            (
                S(log_probs, labels, *lengths, reduction="none").rough(),
                S(log_probs, labels, (4, 3), (2, 1), reduction="none").rough(),
            ),
            ctc,
            dtypes=WIDE,
            length=32,
            roundings=32,
            twice=False,
            errors=(
                (S(log_probs, labels, *lengths, blank=3), RuntimeError, "blank"),
                (S(log_probs, labels, *lengths, reduction="average"), ValueError, "average"),
                (S(log_probs, labels, (5, 3), (2, 1)), RuntimeError, "input_lengths"),
                (S(log_probs, labels, (4, 3), (3, 1)), RuntimeError, "targets"),
            ),
            large=S(X(60, 8, 20, low=-4.0, high=-2.0), Index(8, 15, low=1, high=20), (60,) * 8, (15,) * 8),
        ),
    ]


ROWS = others()
# Made of operations in Python: `test_nn_more.py` runs the checks that go with that.
PYTHON_ROWS = [*resizing(), *sampling(), *pooling(), *distances()]
