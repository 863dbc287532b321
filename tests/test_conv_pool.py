"""Convolutions and pooling, against torch."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from op_parity import check, check_error, samples

import fastnn

# name: input, weight, bias, options
CONVOLUTIONS = {
    "plain": ((2, 3, 7, 6), (4, 3, 3, 3), True, {}),
    "no bias": ((2, 3, 7, 6), (4, 3, 3, 3), False, {}),
    "unbatched": ((3, 7, 6), (4, 3, 3, 3), True, {}),
    "stride": ((2, 3, 9, 8), (4, 3, 3, 2), True, {"stride": (2, 3)}),
    "padding": ((2, 3, 5, 6), (4, 3, 3, 3), True, {"padding": (1, 2)}),
    "padding beyond the kernel": ((1, 2, 3, 3), (2, 2, 2, 2), True, {"padding": 4}),
    "dilation": ((2, 3, 9, 8), (4, 3, 3, 3), True, {"dilation": (2, 1)}),
    "all": ((2, 4, 11, 9), (6, 2, 3, 2), True, {"stride": 2, "padding": (2, 1), "dilation": 2, "groups": 2}),
    "groups": ((2, 6, 5, 5), (9, 2, 3, 3), True, {"groups": 3}),
    "depthwise": ((2, 4, 6, 7), (4, 1, 3, 3), True, {"groups": 4, "padding": 1}),
    "depthwise, strided": ((2, 4, 7, 8), (4, 1, 3, 3), True, {"groups": 4, "padding": 1, "stride": 2}),
    "depthwise with a multiplier": ((2, 3, 6, 7), (6, 1, 3, 2), True, {"groups": 3, "dilation": 2}),
    "pointwise": ((2, 3, 4, 5), (6, 3, 1, 1), True, {}),
    "pointwise, many points": ((2, 3, 17, 18), (6, 3, 1, 1), True, {}),
    "pointwise, grouped": ((2, 4, 17, 18), (6, 2, 1, 1), True, {"groups": 2}),
    "pointwise, strided": ((2, 3, 7, 6), (6, 3, 1, 1), True, {"stride": 2}),
    "one channel": ((3, 1, 12, 12), (5, 1, 5, 5), True, {}),
    "whole image": ((2, 3, 5, 5), (4, 3, 5, 5), True, {}),
    "same": ((2, 3, 5, 6), (4, 3, 3, 3), True, {"padding": "same"}),
    "same, even": ((2, 3, 5, 6), (4, 3, 2, 4), True, {"padding": "same"}),
    "same, dilated": ((2, 3, 7, 6), (4, 3, 3, 2), True, {"padding": "same", "dilation": 3}),
    "valid": ((2, 3, 5, 6), (4, 3, 3, 3), True, {"padding": "valid", "stride": 2}),
    "tiles across images": ((40, 2, 6, 6), (3, 2, 3, 3), True, {"padding": 1}),
    "empty batch": ((0, 3, 5, 5), (4, 3, 3, 3), True, {}),
    "1d": ((2, 3, 9), (4, 3, 3), True, {"stride": 2, "padding": 1}),
    "1d, same": ((2, 3, 9), (4, 3, 4), True, {"padding": "same"}),
    "1d, unbatched": ((3, 9), (4, 3, 3), True, {}),
    "3d": ((2, 2, 5, 6, 4), (3, 2, 3, 2, 2), True, {"stride": (1, 2, 1), "padding": 1}),
    "3d, groups": ((1, 4, 4, 4, 4), (4, 1, 2, 2, 2), True, {"groups": 4, "dilation": 2}),
}
TRANSPOSED = {
    "plain": ((2, 3, 4, 5), (3, 4, 3, 3), True, {}),
    "stride": ((2, 3, 4, 5), (3, 4, 3, 2), True, {"stride": (2, 3)}),
    "all": (
        (2, 4, 4, 5),
        (4, 3, 3, 3),
        True,
        {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2, "dilation": 2},
    ),
    "depthwise": ((2, 4, 4, 5), (4, 1, 3, 3), True, {"groups": 4, "stride": 2}),
    "pointwise": ((2, 4, 17, 17), (4, 3, 1, 1), True, {}),
    "unbatched": ((3, 4, 5), (3, 4, 2, 2), False, {"stride": 2}),
    "1d": ((2, 3, 5), (3, 4, 3), True, {"stride": 2}),
    "3d": ((1, 2, 3, 4, 3), (2, 3, 2, 2, 2), True, {"stride": 2}),
}


def spatial(weight: tuple[int, ...]) -> int:
    return len(weight) - 2


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # torch's
@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_convolution(name: str, dtype: str) -> None:
    x, w, bias, options = CONVOLUTIONS[name]
    op = f"conv{spatial(w)}d"
    arrays = samples(x, w, *([(w[0],)] if bias else []))
    check(
        lambda f, *t: getattr(f.nn.functional, op)(*t, **options),
        *arrays,
        dtype=dtype,
        order=2 if dtype == "float64" else 1,
    )


@pytest.mark.parametrize("name", TRANSPOSED)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_transposed_convolution(name: str, dtype: str) -> None:
    x, w, bias, options = TRANSPOSED[name]
    op = f"conv_transpose{spatial(w)}d"
    arrays = samples(x, w, *([(w[1] * options.get("groups", 1),)] if bias else []))
    check(
        lambda f, *t: getattr(f.nn.functional, op)(*t, **options),
        *arrays,
        dtype=dtype,
        order=2 if dtype == "float64" else 1,
    )


def test_larger_convolutions() -> None:
    for x, w, options in [
        ((4, 16, 28, 28), (32, 16, 3, 3), {"padding": 1}),
        ((1, 8, 40, 40), (160, 8, 3, 3), {}),
        ((2, 130, 6, 6), (140, 130, 3, 3), {}),
        ((3, 32, 14, 14), (64, 32, 3, 3), {"stride": 2, "padding": 1}),
    ]:
        check(lambda f, *t, o=options: f.nn.functional.conv2d(*t, **o), *samples(x, w), dtype="float32", order=1)


def test_convolution_of_strided_tensors() -> None:
    def function(f, x, w, b):
        return f.conv2d(x.permute(0, 3, 1, 2), w.transpose(2, 3), b[::2])

    check(function, *samples((2, 6, 7, 3), (4, 3, 3, 2), (8,)))


def test_convolution_by_hand() -> None:
    x = fastnn.arange(16, dtype=fastnn.float32).reshape(1, 1, 4, 4)
    w = fastnn.ones(1, 1, 2, 2)
    assert fastnn.conv2d(x, w, stride=2).tolist() == [[[[10.0, 18.0], [42.0, 50.0]]]]


def test_only_wanted_gradients_are_computed() -> None:
    x = fastnn.randn(2, 3, 6, 6)
    w = fastnn.randn(4, 3, 3, 3, requires_grad=True)
    fastnn.conv2d(x, w).sum().backward()
    assert x.grad is None
    assert w.grad.shape == w.shape


CONVOLUTION_ERRORS = {
    "channels": (
        lambda f: f.conv2d(f.ones(1, 2, 5, 5), f.ones(4, 3, 3, 3)),
        r"Given groups=1, weight of size \[4, 3, 3, 3\], expected input\[1, 2, 5, 5\] to have 3 channels, but got 2",
    ),
    "rank": (
        lambda f: f.conv2d(f.ones(5, 5), f.ones(4, 3, 3, 3)),
        r"Expected 3D \(unbatched\) or 4D \(batched\) input",
    ),
    "bias": (
        lambda f: f.conv2d(f.ones(1, 3, 5, 5), f.ones(4, 3, 3, 3), f.ones(3)),
        "expected bias to be 1-dimensional",
    ),
    "kernel too large": (
        lambda f: f.conv2d(f.ones(1, 3, 2, 2), f.ones(4, 3, 3, 3)),
        "Kernel size can't be greater than actual input size",
    ),
    "groups": (lambda f: f.conv2d(f.ones(1, 4, 5, 5), f.ones(3, 2, 3, 3), groups=2), "divisible by 2"),
    "stride": (lambda f: f.conv2d(f.ones(1, 3, 5, 5), f.ones(4, 3, 3, 3), stride=0), "non-positive stride"),
    "padding": (lambda f: f.conv2d(f.ones(1, 3, 5, 5), f.ones(4, 3, 3, 3), padding=-1), "negative padding"),
    "same with stride": (
        lambda f: f.conv2d(f.ones(1, 3, 5, 5), f.ones(4, 3, 3, 3), stride=2, padding="same"),
        "not supported for strided convolutions",
    ),
    "types": (lambda f: f.conv2d(f.ones(1, 3, 5, 5), f.ones(4, 3, 3, 3).double()), "should be the same"),
    "output padding": (
        lambda f: f.conv_transpose2d(f.ones(1, 3, 5, 5), f.ones(3, 4, 3, 3), output_padding=1),
        "output padding must be smaller than either stride or dilation",
    ),
}


@pytest.mark.parametrize("name", CONVOLUTION_ERRORS)
def test_convolution_errors(name: str) -> None:
    check_error(*CONVOLUTION_ERRORS[name])


# name: function, input shape
POOLS = {
    "max": (lambda F, x: F.max_pool2d(x, 2), (2, 3, 6, 8)),
    "max, unbatched": (lambda F, x: F.max_pool2d(x, 2), (3, 6, 8)),
    "max, strided": (lambda F, x: F.max_pool2d(x, (3, 2), (1, 2), (1, 0)), (2, 3, 6, 8)),
    "max, dilated": (lambda F, x: F.max_pool2d(x, 3, 2, 1, 2), (2, 3, 9, 8)),
    "max, ceil": (lambda F, x: F.max_pool2d(x, 3, 2, ceil_mode=True), (2, 3, 8, 9)),
    "max, ceil and padding": (lambda F, x: F.max_pool2d(x, 2, 2, 1, ceil_mode=True), (2, 3, 5, 4)),
    "max with indices": (lambda F, x: F.max_pool2d(x, 3, 2, 1, return_indices=True), (2, 3, 6, 8)),
    "max 1d": (lambda F, x: F.max_pool1d(x, 3, 2, 1), (2, 3, 9)),
    "max 1d with indices": (lambda F, x: F.max_pool1d(x, 3, return_indices=True), (2, 3, 9)),
    "max 3d": (lambda F, x: F.max_pool3d(x, 2, 1, 1), (2, 3, 4, 5, 3)),
    "max 3d with indices": (lambda F, x: F.max_pool3d(x, (1, 2, 2), return_indices=True), (2, 3, 4, 4, 6)),
    "avg": (lambda F, x: F.avg_pool2d(x, 2), (2, 3, 6, 8)),
    "avg, padded": (lambda F, x: F.avg_pool2d(x, 3, 2, 1), (2, 3, 6, 8)),
    "avg, without padding": (lambda F, x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), (2, 3, 6, 8)),
    "avg, ceil": (lambda F, x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), (2, 3, 6, 7)),
    "avg, divisor": (lambda F, x: F.avg_pool2d(x, (2, 3), divisor_override=5), (2, 3, 6, 8)),
    "avg 1d": (lambda F, x: F.avg_pool1d(x, 3, 2, 1), (2, 3, 9)),
    "avg 3d": (lambda F, x: F.avg_pool3d(x, 2, 2, 1, True, False), (2, 3, 4, 5, 3)),
    "adaptive avg": (lambda F, x: F.adaptive_avg_pool2d(x, (3, 5)), (2, 3, 7, 8)),
    "adaptive avg to one": (lambda F, x: F.adaptive_avg_pool2d(x, 1), (2, 3, 7, 8)),
    "adaptive avg to more": (lambda F, x: F.adaptive_avg_pool2d(x, (9, 3)), (2, 3, 7, 8)),
    "adaptive avg 1d": (lambda F, x: F.adaptive_avg_pool1d(x, 4), (2, 3, 9)),
    "adaptive avg 3d": (lambda F, x: F.adaptive_avg_pool3d(x, (2, 3, 1)), (2, 3, 5, 4, 3)),
    "adaptive max": (lambda F, x: F.adaptive_max_pool2d(x, (3, 5)), (2, 3, 7, 8)),
    "adaptive max with indices": (lambda F, x: F.adaptive_max_pool2d(x, 3, return_indices=True), (2, 3, 7, 8)),
    "adaptive max 1d": (lambda F, x: F.adaptive_max_pool1d(x, 4), (2, 3, 9)),
    "adaptive max 3d": (lambda F, x: F.adaptive_max_pool3d(x, (2, 3, 1)), (2, 3, 5, 4, 3)),
    "lp": (lambda F, x: F.lp_pool2d(x.abs(), 2, 2), (2, 3, 6, 8)),
    "empty batch": (lambda F, x: F.max_pool2d(x, 2), (0, 3, 6, 8)),
}


@pytest.mark.parametrize("name", POOLS)
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_pooling(name: str, dtype: str) -> None:
    function, shape = POOLS[name]
    if dtype == "bfloat16" and name == "avg 3d":
        pytest.skip("torch has no bfloat16 avg_pool3d")
    check(
        lambda f, x: function(f.nn.functional, x),
        *samples(shape),
        dtype=dtype,
        order=2 if dtype == "float64" and name != "lp" else 1,
        # torch's bfloat16 sums of overlapping windows are rounded at each step.
        tolerance=6e-2 if dtype == "bfloat16" else None,
    )


def test_pooling_of_strided_tensors() -> None:
    check(lambda f, x: f.nn.functional.max_pool2d(x.permute(0, 3, 1, 2), 2), *samples((2, 6, 8, 3)))
    check(lambda f, x: f.nn.functional.avg_pool2d(x.transpose(2, 3), 2), *samples((2, 3, 6, 8)))


def test_max_pool_of_nan_is_nan() -> None:
    x = fastnn.ones(1, 1, 4, 4)
    x[0, 0, 1, 1] = float("nan")
    values, indices = fastnn.nn.functional.max_pool2d(x, 2, return_indices=True)
    assert np.isnan(values.tolist()[0][0][0][0])
    assert values.tolist()[0][0][1] == [1.0, 1.0]
    assert indices.tolist() == [[[[5, 2], [8, 10]]]]


def test_max_pool_of_minus_infinity() -> None:
    x = fastnn.full((1, 1, 2, 2), float("-inf"))
    values, indices = fastnn.nn.functional.max_pool2d(x, 2, return_indices=True)
    assert values.tolist() == [[[[float("-inf")]]]]
    assert indices.tolist() == [[[[0]]]]


def test_max_pool_of_integers() -> None:
    x = fastnn.arange(16).reshape(1, 1, 4, 4)
    assert fastnn.nn.functional.max_pool2d(x, 2).tolist() == [[[[5, 7], [13, 15]]]]


POOL_ERRORS = {
    "rank": (lambda f: f.nn.functional.max_pool2d(f.ones(5, 5), 2), "Expected 3D or 4D"),
    "padding": (lambda f: f.nn.functional.max_pool2d(f.ones(1, 5, 5), 2, padding=2), "at most half"),
    "stride": (lambda f: f.nn.functional.max_pool2d(f.ones(1, 5, 5), 2, 0), "stride should not be zero"),
    "too small": (lambda f: f.nn.functional.avg_pool2d(f.ones(1, 2, 2), 3), "Output size is too small"),
    "divisor": (
        lambda f: f.nn.functional.avg_pool2d(f.ones(1, 5, 5), 2, divisor_override=0),
        "divisor must be not zero",
    ),
    "empty": (lambda f: f.nn.functional.max_pool2d(f.ones(2, 0, 5, 5), 2), "non-zero size"),
}


@pytest.mark.parametrize("name", POOL_ERRORS)
def test_pool_errors(name: str) -> None:
    check_error(*POOL_ERRORS[name])


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    code = """
import fastnn, hashlib
fastnn.manual_seed(0)
digest = hashlib.sha256()
F = fastnn.nn.functional
for x, w, options in [((8, 3, 30, 30), (16, 3, 3, 3), {}), ((2, 64, 14, 14), (64, 64, 3, 3), {"padding": 1}),
                      ((4, 32, 20, 20), (32, 1, 3, 3), {"groups": 32}), ((1, 130, 9, 9), (140, 130, 3, 3), {})]:
    x, w = fastnn.randn(*x, requires_grad=True), fastnn.randn(*w, requires_grad=True)
    y = F.max_pool2d(F.conv2d(x, w, **options), 2)
    y.backward(fastnn.randn(*y.shape))
    for t in (y, x.grad, w.grad):
        digest.update(t.detach().numpy().tobytes())
print(digest.hexdigest())
"""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "FASTNN_NUM_THREADS": str(threads)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in (1, 2, 3)
    }
    assert len(outputs) == 1


PADDINGS = [
    ((3, 4), (1, 2), "constant"),
    ((2, 3, 4), (1, 2, 0, 1), "constant"),
    ((2, 3, 4), (0, 0, 0, 0, 2, 1), "constant"),
    ((3, 6), (-1, -2), "constant"),
    ((3, 6), (-2, 3, 1, -1), "constant"),
    ((0, 3), (1, 1), "constant"),
    ((2, 5), (2, 1), "reflect"),
    ((2, 3, 5, 4), (2, 1, 1, 3), "reflect"),
    ((2, 5, 4), (3, 0, 2, 4), "replicate"),
    ((2, 3, 4, 5, 3), (1, 2, 2, 1, 0, 3), "replicate"),
    ((2, 3, 5, 4), (2, 1, 1, 3), "circular"),
    ((2, 3, 5), (-1, 2), "circular"),
]


@pytest.mark.parametrize(("shape", "amounts", "mode"), PADDINGS)
def test_pad(shape: tuple[int, ...], amounts: tuple[int, ...], mode: str) -> None:
    check(lambda f, x: f.nn.functional.pad(x, amounts, mode), *samples(shape))


def test_pad_with_a_value() -> None:
    check(lambda f, x: f.nn.functional.pad(x, (1, 0, 0, 2), value=3.5), *samples((2, 3)))
    assert fastnn.nn.functional.pad(fastnn.arange(3), (1, 1), value=7).tolist() == [7, 0, 1, 2, 7]


PAD_ERRORS = {
    "odd": (lambda f: f.nn.functional.pad(f.ones(2, 3), (1,)), "divisible by 2", RuntimeError),
    "too long": (
        lambda f: f.nn.functional.pad(f.ones(3), (1, 1, 1, 1)),
        "less than or equal to two times",
        RuntimeError,
    ),
    "negative": (lambda f: f.nn.functional.pad(f.ones(2, 3), (-2, -2)), "negative output size", RuntimeError),
    "mode": (
        lambda f: f.nn.functional.pad(f.ones(2, 3), (1, 1), "mirror"),
        "Unrecognised padding mode",
        NotImplementedError,
    ),
    "reflect": (
        lambda f: f.nn.functional.pad(f.ones(2, 3), (3, 1), "reflect"),
        "less than the corresponding",
        RuntimeError,
    ),
    "circular": (lambda f: f.nn.functional.pad(f.ones(2, 3), (4, 1), "circular"), "more than once", RuntimeError),
}


@pytest.mark.parametrize("name", PAD_ERRORS)
def test_pad_errors(name: str) -> None:
    check_error(*PAD_ERRORS[name])
