"""Strides of results: operations keep the order in memory that their inputs have, as PyTorch's do."""

from collections.abc import Callable
from typing import Any

import pytest

import fastnn
import fastnn.nn.functional as F

CHANNELS_LAST = (105, 1, 21, 3)  # of an image of shape (2, 3, 5, 7)

KEEP: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("relu", lambda t, x: t.nn.functional.relu(x)),
    ("add", lambda t, x: x + x),
    ("add row-major", lambda t, x: x + x.contiguous()),
    ("add a channel", lambda t, x: x + t.ones(3, 1, 1)),
    ("compare", lambda t, x: x > 0),
    ("cast", lambda t, x: x.to(t.bfloat16)),
    ("where", lambda t, x: t.where(x > 0, x, 0.0)),
    ("clone", lambda t, x: x.clone()),
    ("zeros_like", lambda t, x: t.zeros_like(x)),
    ("softmax", lambda t, x: t.nn.functional.softmax(x, 1)),
    ("cat", lambda t, x: t.cat([x, x], 1)),
    ("cat with row-major", lambda t, x: t.cat([x, x.contiguous()], 1)),
    ("pad", lambda t, x: t.nn.functional.pad(x, (1, 2, 0, 1))),
    ("flip", lambda t, x: x.flip(-1, 1)),
    ("flip of a permuted tensor", lambda t, x: x[0].permute(2, 0, 1).flip(0)),
    ("rot90", lambda t, x: x.rot90(1, (2, 3))),
    ("batch_norm", lambda t, x: t.nn.functional.batch_norm(x, None, None, training=True)),
    ("group_norm", lambda t, x: t.nn.functional.group_norm(x, 3)),
    ("rms_norm", lambda t, x: t.nn.functional.rms_norm(x, (7,))),
    ("instance_norm", lambda t, x: t.nn.functional.instance_norm(x)),
    ("roll", lambda t, x: x.roll(1, -1)),
    ("max_pool2d", lambda t, x: t.nn.functional.max_pool2d(x, 2)),
    ("max_pool2d places", lambda t, x: t.nn.functional.max_pool2d(x, 2, return_indices=True)[1]),
    ("avg_pool2d", lambda t, x: t.nn.functional.avg_pool2d(x, 2)),
    ("adaptive_avg_pool2d", lambda t, x: t.nn.functional.adaptive_avg_pool2d(x, 1)),
    ("adaptive_max_pool2d", lambda t, x: t.nn.functional.adaptive_max_pool2d(x, 2)),
    *(
        (f"interpolate {mode}", lambda t, x, mode=mode: t.nn.functional.interpolate(x, scale_factor=2, mode=mode))
        for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
    ),
    ("antialias", lambda t, x: t.nn.functional.interpolate(x, (2, 3), mode="bilinear", antialias=True)),
    ("sum", lambda t, x: x.sum(1)),
    ("layer_norm", lambda t, x: t.nn.functional.layer_norm(x, x.shape[1:])),
    ("permuted", lambda t, x: x[0].permute(2, 0, 1).exp()),
    ("slice", lambda t, x: x[:, :, ::2] + 1),
    ("expanded", lambda t, x: x[:1].expand(4, -1, -1, -1) * 2),
]


@pytest.mark.parametrize("operation", [pytest.param(row[1], id=row[0]) for row in KEEP])
def test_strides_are_those_of_pytorch(operation: Callable[[Any, Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.randn(2, 3, 5, 7).contiguous(memory_format=torch.channels_last)
    ours = fastnn.from_numpy(theirs.numpy())
    assert ours.stride() == CHANNELS_LAST
    result, expected = operation(fastnn, ours), operation(torch, theirs)
    assert result.stride() == expected.stride()
    torch.testing.assert_close(torch.from_numpy(result.float().numpy()), expected.float())


def image() -> fastnn.Tensor:
    return fastnn.randn(2, 3, 5, 7).contiguous(memory_format=fastnn.channels_last)


def test_values_do_not_depend_on_the_format() -> None:
    x = image()
    for function in (
        lambda t: F.interpolate(t, scale_factor=1.5, mode="bilinear"),
        lambda t: F.max_pool2d(t, 3, 1, 1),
        lambda t: F.avg_pool2d(t, 2),
        lambda t: F.pad(t, (1, 2, -1, 1), value=3.0),
        lambda t: fastnn.cat([t, t], 1),
    ):
        fastnn.testing.assert_close(function(x), function(x.contiguous()), check_stride=False)


def test_gradients_of_leaves_have_their_strides() -> None:
    x = image().requires_grad_()
    F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 2).sum().backward()
    assert x.grad is not None
    assert x.grad.stride() == CHANNELS_LAST
    first = x.grad.clone()
    F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 2).sum().backward()
    assert x.grad.stride() == CHANNELS_LAST
    fastnn.testing.assert_close(x.grad, first * 2)


def test_one_pixel_is_row_major() -> None:
    x = fastnn.randn(2, 3, 1, 1)
    assert F.interpolate(x, scale_factor=2).stride() == (12, 4, 2, 1)
