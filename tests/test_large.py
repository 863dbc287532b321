"""Tensors of more than 2^31 elements: places do not fit into 32 bits."""

from __future__ import annotations

import os

import pytest

import fastnn

COUNT = 2**31 + 11
NEEDED = 3 * COUNT  # bytes: the tensor, a result, and room

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < NEEDED, reason="not enough memory is free"
    ),
]


def test_bytes() -> None:
    x = fastnn.zeros(COUNT, dtype=fastnn.int8)
    assert x.numel() == COUNT
    x[-1] = 5
    x[2**31 + 1] = 7
    x[3] = -1
    assert x.sum().item() == 11
    assert (x[-1].item(), x[2**31 + 1].item(), x[2**31].item()) == (5, 7, 0)
    assert x.max().item() == 7
    assert x.argmax().item() == 2**31 + 1
    assert x.min().item() == -1
    assert x[2**31 :].tolist() == [0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 5]
    assert x[fastnn.tensor([3, 2**31 + 1, -1])].tolist() == [-1, 7, 5]
    assert x.count_nonzero().item() == 3
    assert x.nonzero().flatten().tolist() == [3, 2**31 + 1, COUNT - 1]
    y = x + x
    assert (y[3].item(), y[-1].item(), y[2**31 + 1].item()) == (-2, 10, 14)
    del y
    x.index_fill_(0, fastnn.tensor([COUNT - 2]), 9)
    x.mul_(2)
    assert x[-3:].tolist() == [0, 18, 10]
    assert x.view(-1, 1)[COUNT - 2].tolist() == [18]


def test_flags_in_two_dimensions() -> None:
    x = fastnn.zeros(2, COUNT // 2 + 3, dtype=fastnn.bool)
    x[1, -1] = True
    x[0, 5] = True
    assert x.sum().item() == 2
    assert x.any().item() and not x.all().item()
    assert x.sum(1).tolist() == [1, 1]
    assert x.T[-1].tolist() == [False, True]
    x.logical_not_()
    assert x[:, -1].tolist() == [True, False]
    assert x.sum().item() == x.numel() - 2


def test_copy_of_a_strided_part() -> None:
    x = fastnn.zeros(COUNT // 2, 2, dtype=fastnn.uint8)
    x[-1, 1] = 3
    column = x[:, 1].contiguous()
    assert (column.numel(), column[-1].item(), column.max().item()) == (COUNT // 2, 3, 3)
