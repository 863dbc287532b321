"""Old constructors, lists of tensors, checks, `out=`, and methods written in Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fastnn


def test_tensor_types() -> None:
    x = fastnn.LongTensor([1, 2])
    assert x.dtype == fastnn.int64 and x.tolist() == [1, 2]
    assert fastnn.FloatTensor(2, 3).shape == (2, 3)
    assert isinstance(x, fastnn.LongTensor) and not isinstance(x, fastnn.FloatTensor)
    assert x.type(fastnn.HalfTensor).dtype == fastnn.float16
    assert fastnn.BoolTensor.dtype == fastnn.bool
    assert repr(fastnn.ByteTensor) == "<class 'torch.ByteTensor'>"
    try:
        fastnn.set_default_tensor_type("torch.DoubleTensor")
        assert fastnn.ones(1).dtype == fastnn.float64
    finally:
        fastnn.set_default_tensor_type(fastnn.FloatTensor)
    assert fastnn.ones(1).dtype == fastnn.float32
    with pytest.raises(TypeError, match="floating-point"):
        fastnn.set_default_tensor_type(fastnn.LongTensor)


def values(tensors: Any) -> list[Any]:
    return [one.tolist() for one in tensors]


def test_foreach() -> None:
    def two() -> list[Any]:
        return [fastnn.tensor([1.0, 4.0]), fastnn.tensor([[9.0]])]

    assert values(fastnn._foreach_add(two(), 1)) == [[2.0, 5.0], [[10.0]]]
    assert values(fastnn._foreach_mul(two(), [2.0, 3.0])) == [[2.0, 8.0], [[27.0]]]
    assert values(fastnn._foreach_sub(two(), two(), alpha=2)) == [[-1.0, -4.0], [[-9.0]]]
    assert values(fastnn._foreach_sqrt(two())) == [[1.0, 2.0], [[3.0]]]
    assert values(fastnn._foreach_maximum(two(), 3.0)) == [[3.0, 4.0], [[9.0]]]
    assert values(fastnn._foreach_addcmul(two(), two(), two(), 0.5)) == [[1.5, 12.0], [[49.5]]]
    assert values(fastnn._foreach_addcdiv(two(), two(), two(), [1.0, 2.0])) == [[2.0, 5.0], [[11.0]]]
    assert values(fastnn._foreach_norm(two())) == [pytest.approx(17**0.5), 9.0]
    tensors = two()
    assert fastnn._foreach_mul_(tensors, 2) is None
    fastnn._foreach_minimum_(tensors, 8.0)
    assert values(tensors) == [[2.0, 8.0], [[8.0]]]
    fastnn._foreach_copy_(tensors, two())
    assert values(tensors) == values(two())
    fastnn._foreach_zero_(tensors)
    assert values(tensors) == [[0.0, 0.0], [[0.0]]]
    with pytest.raises(RuntimeError, match="same number of tensors"):
        fastnn._foreach_add(two(), two()[:1])


def test_checks() -> None:
    fastnn._check(True)
    fastnn._assert(True, "")
    for check, error in (
        (fastnn._check, RuntimeError),
        (fastnn._check_index, IndexError),
        (fastnn._check_value, ValueError),
        (fastnn._check_type, TypeError),
        (fastnn._check_not_implemented, NotImplementedError),
    ):
        with pytest.raises(error, match="what went wrong"):
            check(False, lambda: "what went wrong")
    with pytest.raises(AssertionError):
        fastnn._assert(False, "no")
    with pytest.raises(RuntimeError):
        fastnn._check_is_size(-1)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: fastnn.add(x[:4], 1, out=x[1:5]),
        lambda x: fastnn.gather(x, 0, fastnn.tensor([0, 1]), out=x[:2]),
        lambda x: fastnn.take(x, fastnn.tensor([0, 1]), out=x[:2]),
        lambda x: fastnn.masked_select(x, x > 0, out=x),
        lambda x: fastnn.cat([x[:3], x[3:]], out=x),
        lambda x: fastnn.exp(x, out=fastnn.ones(1).expand(6)),
        lambda x: fastnn.kthvalue(x, 1, out=(x, fastnn.empty(0, dtype=fastnn.int64))),
    ],
)
def test_out_that_shares_memory(call: Any) -> None:
    with pytest.raises(RuntimeError, match="unsupported operation"):
        call(fastnn.arange(6.0))


def test_out_that_may_share_memory() -> None:
    x = fastnn.arange(4.0)
    fastnn.add(x, 1, out=x)
    assert x.tolist() == [1.0, 2.0, 3.0, 4.0]
    fastnn.cumsum(x, 0, out=x)
    assert x.tolist() == [1.0, 3.0, 6.0, 10.0]


def test_out_of_another_dtype() -> None:
    x = fastnn.arange(6.0).reshape(2, 3)
    wide = fastnn.empty(0, dtype=fastnn.float64)
    with pytest.raises(RuntimeError, match="Expected out tensor to have dtype"):
        fastnn.aminmax(x, dim=0, out=(wide, wide.clone()))
    with pytest.raises(RuntimeError, match="Expected out tensor to have dtype"):
        fastnn.gather(x, 0, fastnn.zeros(1, 3, dtype=fastnn.int64), out=wide)
    with pytest.raises(RuntimeError, match="can't be cast"):
        fastnn.add(x, 1, out=fastnn.empty(0, dtype=fastnn.int64))
    assert fastnn.add(x, 1, out=wide).dtype == fastnn.float64


def test_map() -> None:
    x = fastnn.tensor([1.0, 2.0])
    x.map_(fastnn.tensor([3.0, 5.0]), lambda a, b: a * b)
    assert x.tolist() == [3.0, 10.0]
    x.map2_(fastnn.tensor(1.0), fastnn.tensor([2.0, 3.0]), lambda a, b, c: a + b + c)
    assert x.tolist() == [6.0, 14.0]


def test_fill_diagonal() -> None:
    for shape in ((3, 3), (2, 4), (7, 3), (3, 3, 3)):
        for wrap in (False, True):
            expected = np.zeros(shape)
            np.fill_diagonal(expected, 2, wrap)
            if len(shape) == 3 or not wrap or shape[0] <= shape[1]:
                np.fill_diagonal(expected, 2)
            assert np.array_equal(fastnn.zeros(shape).fill_diagonal_(2, wrap).numpy(), expected)
    with pytest.raises(RuntimeError, match="equal length"):
        fastnn.zeros(2, 3, 4).fill_diagonal_(1)
    x = fastnn.ones(2, 2, requires_grad=True)
    (x * 3).fill_diagonal_(1).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[0.0, 3.0], [3.0, 0.0]]


def test_small_methods() -> None:
    x = fastnn.arange(6.0).reshape(2, 3)
    assert x.t().dim_order() == (1, 0)
    assert fastnn.tensor(2.0).is_nonzero() and not fastnn.tensor(0).is_nonzero()
    assert complex(fastnn.tensor(2.0)) == 2 + 0j
    assert (+x).tolist() == x.tolist()
    assert values(x.tensor_split(2, dim=1)) == values(fastnn.tensor_split(x, 2, 1))
    assert values(x.hsplit([1])) == [[[0.0], [3.0]], [[1.0, 2.0], [4.0, 5.0]]]
    assert values(x.vsplit(2)) == [[[0.0, 1.0, 2.0]], [[3.0, 4.0, 5.0]]]
    assert [tuple(part.shape) for part in x.reshape(1, 2, 3).dsplit(3)] == [(1, 2, 1)] * 3


def test_functions_of_methods() -> None:
    x = fastnn.ones(2, requires_grad=True) * 2
    assert not fastnn.detach(x).requires_grad
    assert fastnn.get_device(x) == -1 and fastnn.is_signed(x) and not fastnn.is_inference(x)
    assert fastnn.is_same_size(x, fastnn.ones(2))
    assert fastnn.resize_as_(fastnn.ones(4), fastnn.ones(2, 2)).shape == (2, 2)
    assert fastnn.as_strided_(fastnn.arange(4), (2,), (2,)).tolist() == [0, 2]


def test_asarray() -> None:
    array = np.arange(3.0)
    shared = fastnn.asarray(array)
    array[0] = 5
    assert shared.tolist() == [5.0, 1.0, 2.0]
    assert fastnn.asarray(array, copy=True).data_ptr() != shared.data_ptr()
    assert fastnn.asarray([1, 2], dtype=fastnn.float32, requires_grad=True).requires_grad
    with pytest.raises(ValueError, match="can't alias"):
        fastnn.asarray([1, 2], copy=False)


def test_arguments_in_tensors() -> None:
    x = fastnn.arange(5)
    assert x.narrow(0, fastnn.tensor(1), 2).tolist() == [1, 2]
    assert fastnn.linspace(fastnn.tensor(0.0), fastnn.tensor(1.0), 3).tolist() == [0.0, 0.5, 1.0]
    assert fastnn.max(x, fastnn.tensor(2)).tolist() == [2, 2, 2, 3, 4]
    with pytest.raises(RuntimeError, match="0-dimensional"):
        fastnn.linspace(fastnn.ones(2), 1, 3)
    assert fastnn.repeat_interleave(fastnn.tensor([2, 0, 1])).tolist() == [0, 0, 2]
    with pytest.raises(RuntimeError, match="allocated size"):
        fastnn.repeat_interleave(x, fastnn.tensor([1, 1, 1, 1, 1]), output_size=4)


def test_gradient_of_as_strided_scatter() -> None:
    x = fastnn.arange(12.0, dtype=fastnn.float64).requires_grad_()
    source = fastnn.ones(3, 2, dtype=fastnn.float64, requires_grad=True)
    assert fastnn.autograd.gradcheck(lambda a, b: fastnn.as_strided_scatter(a, b, [3, 2], [4, 1], 1), (x, source))


def test_index_fill_counts_a_place_once() -> None:
    value = fastnn.tensor(2.0, requires_grad=True)
    fastnn.ones(3, 4).index_fill(1, fastnn.tensor([1, 1]), value).sum().backward()
    assert value.grad is not None and value.grad.item() == 3.0
    assert fastnn.tensor(1.0).index_fill(0, fastnn.tensor([0]), 5).item() == 5.0
