"""Printing: the text is PyTorch's, character by character."""

from __future__ import annotations

import random

import numpy
import pytest

import fastnn
from fastnn import _tensor_str

INF, NAN = float("inf"), float("nan")


@pytest.fixture(autouse=True)
def default_options():
    yield
    fastnn.set_printoptions(profile="default")


CASES = [
    ([1.0, 2.0], {}, "tensor([1., 2.])"),
    ([1.0, 2.5], {}, "tensor([1.0000, 2.5000])"),
    ([1.5, 2000.0], {}, "tensor([1.5000e+00, 2.0000e+03])"),
    ([1e-5, 1.0], {}, "tensor([1.0000e-05, 1.0000e+00])"),
    ([1.0, 1e9], {}, "tensor([1.0000e+00, 1.0000e+09])"),
    ([NAN, -INF, 1.0], {}, "tensor([nan, -inf, 1.])"),
    ([NAN, INF, 0.25], {}, "tensor([   nan,    inf, 0.2500])"),
    ([0.0, -0.0], {}, "tensor([0., -0.])"),
    (3.0, {}, "tensor(3.)"),
    (7, {}, "tensor(7)"),
    ([True, False], {}, "tensor([ True, False])"),
    ([-1, 10, 100], {}, "tensor([ -1,  10, 100])"),
    ([1, 2], {"dtype": "int32"}, "tensor([1, 2], dtype=torch.int32)"),
    ([1.0], {"dtype": "float64"}, "tensor([1.], dtype=torch.float64)"),
    ([0.5], {"dtype": "bfloat16"}, "tensor([0.5000], dtype=torch.bfloat16)"),
    ([], {}, "tensor([])"),
    ([], {"dtype": "int64"}, "tensor([], dtype=torch.int64)"),
    ([[], []], {}, "tensor([], size=(2, 0))"),
    ([[1.0, 2.0], [3.0, 4.0]], {}, "tensor([[1., 2.],\n        [3., 4.]])"),
    ([[[1], [2]], [[3], [4]]], {}, "tensor([[[1],\n         [2]],\n\n        [[3],\n         [4]]])"),
    ([1.0], {"requires_grad": True}, "tensor([1.], requires_grad=True)"),
]


@pytest.mark.parametrize(("values", "options", "text"), CASES)
def test_known_texts(values, options, text):
    options = {name: getattr(fastnn, value) if name == "dtype" else value for name, value in options.items()}
    tensor = fastnn.tensor(values, **options)
    assert repr(tensor) == str(tensor) == text


def test_summary():
    assert repr(fastnn.arange(1001)) == "tensor([   0,    1,    2,  ...,  998,  999, 1000])"
    text = repr(fastnn.zeros(40, 40))
    assert text.splitlines()[0] == "tensor([[0., 0., 0.,  ..., 0., 0., 0.],"
    assert text.splitlines()[3] == "        ...,"
    assert len(repr(fastnn.arange(1000)).splitlines()) > 50


def test_long_lines_break_before_a_suffix():
    tensor = fastnn.arange(14, dtype=fastnn.int16) + 100
    text = repr(tensor)
    assert text.splitlines()[-1] == "       dtype=torch.int16)"


def test_history_is_named():
    tensor = fastnn.ones(1, requires_grad=True) * 2
    assert repr(tensor) == "tensor([2.], grad_fn=<MulBackward0>)"


def test_subclass_and_parameter():
    class Special(fastnn.Tensor):
        pass

    assert repr(fastnn.ones(1).as_subclass(Special)) == "Special([1.])"
    assert repr(fastnn.nn.Parameter(fastnn.ones(1))) == "Parameter containing:\ntensor([1.], requires_grad=True)"


def test_format_of_one_number():
    assert f"{fastnn.tensor(3.14159):.3f}" == "3.142"
    assert f"{fastnn.tensor(42):5d}|" == "   42|"
    assert f"{fastnn.tensor(2.0)}" == "2.0"
    assert f"{fastnn.tensor([2.0])}" == "tensor([2.])"
    with pytest.raises(TypeError):
        f"{fastnn.tensor([2.0]):.3f}"


def test_options():
    third = fastnn.tensor([1 / 3])
    fastnn.set_printoptions(precision=2)
    assert repr(third) == "tensor([0.33])"
    fastnn.set_printoptions(sci_mode=True)
    assert repr(third) == "tensor([3.33e-01])"
    fastnn.set_printoptions(edgeitems=1, threshold=3)
    assert repr(fastnn.arange(4)) == "tensor([0,  ..., 3])"
    assert _tensor_str.get_printoptions() == {
        "precision": 2,
        "threshold": 3,
        "edgeitems": 1,
        "linewidth": 80,
        "sci_mode": None,
    }
    with _tensor_str.printoptions(profile="full"):
        assert repr(fastnn.arange(4)) == "tensor([0, 1, 2, 3])"
    assert repr(fastnn.arange(4)) == "tensor([0,  ..., 3])"
    with pytest.raises(ValueError, match="profile"):
        fastnn.set_printoptions(profile="pretty")


def random_array(generator, shape):
    kind = generator.choice(
        ("normal", "normal", "unit", "integral", "large", "small", "mixed", "special", "zero", "one")
    )
    values = numpy.random.default_rng(generator.randrange(10**6)).standard_normal(shape)
    if kind == "unit":
        values = numpy.abs(values) % 1
    elif kind == "integral":
        values = numpy.round(values * generator.choice((1, 10, 2000, 1e5, 1e9)))
    elif kind == "large":
        values = values * 1e10
    elif kind == "small":
        values = values * 1e-5
    elif kind == "mixed":
        values = values * 10.0 ** numpy.floor(values)
    elif kind == "special":
        values = numpy.where(values > 1, INF, numpy.where(values < -0.5, NAN, values))
        values = numpy.round(values) if generator.random() < 0.5 else values
    elif kind == "zero":
        values = values * 0
    elif kind == "one":
        values = values * 0 + generator.choice((1e8, 1e8 + 1, 1e-4, 9e-5, 1000, 1001, 0.1, 5e-324, 1e308))
    return numpy.asarray(values)


def random_shape(generator):
    if generator.random() < 0.3:
        return generator.choice([(50, 50), (2, 600), (1001, 1), (600, 3), (6, 200), (7, 200), (999,), (1000,), (1001,)])
    return tuple(
        generator.choice([0] + [1, 2, 3, 4, 5, 7, 13] * 3) for _ in range(generator.choice((0, 1, 1, 2, 3, 4)))
    )


@pytest.mark.parametrize("seed", range(400))
def test_text_is_that_of_torch(seed):
    torch = pytest.importorskip("torch")
    generator = random.Random(seed)
    options = {
        "precision": generator.choice((None, 0, 2, 6)),
        "threshold": generator.choice((None, 10, INF)),
        "edgeitems": generator.choice((None, 1, 2, 5)),
        "linewidth": generator.choice((None, 10, 40, 120)),
        "profile": generator.choice((None, "default", "short", "full")),
        "sci_mode": generator.choice((None, None, True, False)),
    }
    array = random_array(generator, random_shape(generator))
    dtype = generator.choice(("float32",) * 4 + ("float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool"))
    if not dtype.startswith(("float", "bfloat")):
        array = numpy.asarray(numpy.nan_to_num(array, posinf=5.0, neginf=-5.0) % 200 // 1)
    history = generator.choice((None, None, "leaf", "product")) if "float" in dtype else None
    transpose = array.ndim > 1 and generator.random() < 0.3

    def text(library):
        tensor = library.from_numpy(array).to(getattr(library, dtype))
        tensor = tensor.transpose(0, -1) if transpose else tensor
        tensor = tensor.detach().requires_grad_() if history else tensor
        return repr(tensor * 1 if history == "product" else tensor)

    try:
        for library in (torch, fastnn):
            library.set_printoptions(profile="default")
            if seed % 2:
                library.set_printoptions(**options)
        assert text(fastnn) == text(torch)
    finally:
        torch.set_printoptions(profile="default")
