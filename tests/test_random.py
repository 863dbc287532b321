"""Random numbers: known answers everywhere, and equality with PyTorch, number for number, where it is installed."""

from __future__ import annotations

import copy
import math
import pickle
from typing import TYPE_CHECKING, Any

import pytest

import fastnn

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

needs_torch = pytest.mark.skipif(torch is None, reason="compares with PyTorch")

dropout = fastnn._C.nn.dropout  # what nn.functional re-exports

SIZES = (0, 1, 2, 5, 15, 16, 17, 31, 32, 33, 100, 1000, 4096)
SEEDS = (0, 1, 42, 2**63 + 5)
FLOATS = ("float32", "float64", "float16", "bfloat16")
DTYPES = (*FLOATS, "int8", "int16", "int32", "int64", "uint8", "bool")

Draw = "Callable[[Any, Any, int], Any]"  # (library, dtype, size) -> tensor


def in_place(name: str, *args: float) -> Callable[[Any, Any, int], Any]:
    return lambda lib, dtype, size: getattr(lib.empty(size, dtype=dtype), name)(*args)


FLOAT_DRAWS: dict[str, Callable[[Any, Any, int], Any]] = {
    "rand": lambda lib, dtype, size: lib.rand(size, dtype=dtype),
    "randn": lambda lib, dtype, size: lib.randn(size, dtype=dtype),
    "uniform": in_place("uniform_", -0.3, 0.7),
    "uniform wide": in_place("uniform_", -3.3, 1000.7),
    "normal": in_place("normal_", 0.5, 2.3),
    "normal narrow": in_place("normal_", -3.7, 0.02),
    "log_normal": in_place("log_normal_", 0.5, 1.5),
    "cauchy": in_place("cauchy_", 0.5, 2.3),
    "geometric": in_place("geometric_", 0.3),
    "normal with size": lambda lib, dtype, size: lib.normal(2.0, 3.0, (size,), dtype=dtype),
    "bernoulli": lambda lib, dtype, size: lib.bernoulli(lib.rand(size, dtype=dtype)),
    "poisson": lambda lib, dtype, size: lib.poisson(lib.rand(size, dtype=dtype) * 40),
    "random": in_place("random_"),
    "random from": in_place("random_", 3, None),
}
ANY_DRAWS: dict[str, Callable[[Any, Any, int], Any]] = {
    "random": in_place("random_"),
    "two": in_place("random_", 2),
    "bit": lambda lib, dtype, size: lib.randint(0, 2, (size,), dtype=dtype),
}


def state_of(lib: Any) -> bytes:
    return bytes(lib.get_rng_state().tolist())


def assert_same_draws(draw: Callable[[Any, Any, int], Any], dtype: str, sizes: tuple[int, ...] = SIZES) -> None:
    for seed in SEEDS:
        fastnn.manual_seed(seed)
        torch.manual_seed(seed)
        for size in sizes:
            got = draw(fastnn, getattr(fastnn, dtype), size)
            expected = draw(torch, getattr(torch, dtype), size)
            assert got.tolist() == expected.tolist(), (seed, size)
        assert state_of(fastnn) == state_of(torch), seed


@needs_torch
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FLOAT_DRAWS)
def test_floats_equal_torch(name: str, dtype: str) -> None:
    assert_same_draws(FLOAT_DRAWS[name], dtype)


@needs_torch
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ANY_DRAWS)
def test_any_dtype_equals_torch(name: str, dtype: str) -> None:
    assert_same_draws(ANY_DRAWS[name], dtype)


@needs_torch
def test_wide_integer_ranges_equal_torch() -> None:
    ranges = ((0, 10), (-5, 2**28 - 6), (-5, 2**28 - 5), (0, 2**31 - 1), (-(2**40), 2**50), (-(2**63), 2**63 - 1))
    for low, high in ranges:
        assert_same_draws(lambda lib, dtype, size, r=(low, high): lib.randint(*r, (size,)), "int64")  # type: ignore[misc]
    assert_same_draws(lambda lib, dtype, size: lib.empty(size, dtype=dtype).random_(-(2**63), None), "int64")
    assert_same_draws(lambda lib, dtype, size: lib.empty(size, dtype=dtype).random_(-(2**63), None), "float32")


@needs_torch
@pytest.mark.filterwarnings("ignore:.*out of bounds:UserWarning")  # torch's
@pytest.mark.parametrize("dtype", ("float16", "bfloat16", "float32"))
def test_integers_that_a_float_cannot_hold_equal_torch(dtype: str) -> None:
    limit = {"float16": 65504, "bfloat16": 2**20 + 3, "float32": 2**40 + 1}[dtype]
    assert_same_draws(lambda lib, d, size: lib.empty(size, dtype=d).random_(0, limit), dtype)
    assert_same_draws(lambda lib, d, size: lib.empty(size, dtype=d).random_(-limit + 1, limit), dtype)


@needs_torch
@pytest.mark.parametrize("dtype", ("int16", "int32", "int64", "float32", "float64", "float16"))
def test_permutations_equal_torch(dtype: str) -> None:
    sizes = tuple(n for n in SIZES if dtype != "float16" or n < 2049)
    assert_same_draws(lambda lib, d, size: lib.randperm(size, dtype=d), dtype, sizes)


@needs_torch
def test_many_numbers_equal_torch() -> None:
    draws = (FLOAT_DRAWS["rand"], FLOAT_DRAWS["randn"], lambda lib, dtype, size: lib.randperm(size))
    for draw in draws:
        assert_same_draws(draw, "float32", (100_003, 65_536))


def torch_uses_mkl_streams() -> bool:
    """Whether this torch takes Bernoulli and exponential numbers from a stream of MKL's, as it may on Intel's CPUs."""
    torch.manual_seed(0)
    torch.empty(4, dtype=torch.float64).uniform_()
    plain = state_of(torch)
    torch.manual_seed(0)
    torch.empty(4).bernoulli_(0.5)
    return state_of(torch) != plain


@needs_torch
@pytest.mark.parametrize("dtype", DTYPES)
def test_bernoulli_with_a_number_equals_torch(dtype: str) -> None:
    if torch_uses_mkl_streams():
        pytest.skip("this torch takes Bernoulli numbers from MKL's stream")
    for p in (0.0, 0.1, 0.5, 1.0):
        assert_same_draws(in_place("bernoulli_", p), dtype)
        assert_same_draws(lambda lib, d, size, q=p: lib.bernoulli(lib.zeros(size, dtype=d), q), dtype)  # type: ignore[misc]


@needs_torch
@pytest.mark.parametrize("dtype", FLOATS)
def test_exponential_and_multinomial_equal_torch(dtype: str) -> None:
    if torch_uses_mkl_streams():
        pytest.skip("this torch takes exponential numbers from MKL's stream")
    for rate in (0.3, 1.0, 7.7):
        assert_same_draws(in_place("exponential_", rate), dtype)

    def weights(lib: Any, dtype: Any, size: int) -> Any:
        w = lib.rand(size, dtype=dtype)
        w[::3] = 0
        w[-1] = 1
        return w

    for samples, replacement in ((1, False), (1, True), (7, True), (2, False), (40, False), (100, False)):
        assert_same_draws(
            lambda lib, d, size, s=samples, r=replacement: lib.multinomial(weights(lib, d, size), s, r),  # type: ignore[misc]
            dtype,
            (100, 1000),
        )
    assert_same_draws(lambda lib, d, size: lib.multinomial(lib.rand(3, size, dtype=d), 4), dtype, (5, 300))
    assert_same_draws(lambda lib, d, size: lib.multinomial(lib.rand(3, size, dtype=d), 9, True), dtype, (5, 300))


@needs_torch
@pytest.mark.parametrize("name", ("uniform_", "normal_", "random_"))
def test_strided_outputs_are_filled_in_torchs_order(name: str) -> None:
    def draw(make: Callable[[Any], Any]) -> None:
        fastnn.manual_seed(3)
        torch.manual_seed(3)
        got = getattr(make(fastnn), name)()
        expected = getattr(make(torch), name)()
        assert got.tolist() == expected.tolist()
        assert state_of(fastnn) == state_of(torch)

    draw(lambda lib: lib.empty(6, 5).t())
    draw(lambda lib: lib.empty(4, 3, 5).permute(1, 2, 0))
    draw(lambda lib: lib.empty(6, 8)[:, ::2])
    draw(lambda lib: lib.empty(6, 8).t()[:, ::2])
    draw(lambda lib: lib.empty(5, 1, 7).transpose(0, 2)[1:])
    draw(lambda lib: lib.empty(100)[::3])


@needs_torch
def test_like_functions_equal_torch() -> None:
    fastnn.manual_seed(7)
    torch.manual_seed(7)
    for make in (lambda lib: lib.zeros(5, 7), lambda lib: lib.zeros(5, 7).t()):
        a, b = make(fastnn), make(torch)
        for name, args in (("rand_like", ()), ("randn_like", ()), ("randint_like", (9,)), ("randint_like", (-3, 9))):
            got = getattr(fastnn, name)(a, *args)
            expected = getattr(torch, name)(b, *args)
            assert got.tolist() == expected.tolist()
            assert got.stride() == expected.stride()
            assert str(got.dtype) == str(expected.dtype)


@needs_torch
def test_normal_with_tensors_equals_torch() -> None:
    def draws(lib: Any) -> list[Any]:
        lib.manual_seed(11)
        mean = lib.rand(4, 1, dtype=lib.float64)
        std = lib.rand(1, 6, dtype=lib.float64)
        return [
            lib.normal(mean, std).tolist(),
            lib.normal(mean.float(), 2.0).tolist(),
            lib.normal(mean.float()).tolist(),
            lib.normal(1.5, std.float()).tolist(),
            lib.normal(mean.t(), std.float()[:, :4]).tolist(),
        ]

    assert draws(fastnn) == draws(torch)


@needs_torch
def test_states_interchange_with_torch() -> None:
    torch.manual_seed(5)
    torch.randn(3)  # leaves a normal in the cache
    fastnn.set_rng_state(fastnn.tensor(torch.get_rng_state().tolist(), dtype=fastnn.uint8))
    assert fastnn.randn(5).tolist() == torch.randn(5).tolist()
    torch.set_rng_state(torch.tensor(fastnn.get_rng_state().tolist(), dtype=torch.uint8))
    assert fastnn.rand(700).tolist() == torch.rand(700).tolist()
    assert fastnn.initial_seed() == torch.initial_seed() == 5


# --- without torch: known answers and behaviour ----------------------------------------------------------------------


def test_known_answers() -> None:
    fastnn.manual_seed(0)
    assert fastnn.rand(3).tolist() == [0.49625658988952637, 0.7682217955589294, 0.08847743272781372]
    fastnn.manual_seed(0)
    assert fastnn.randn(2).tolist() == [float.fromhex("0x1.8a7eb8p+0"), float.fromhex("-0x1.2c78ap-2")]
    fastnn.manual_seed(0)
    assert fastnn.randn(16).tolist()[:2] == [float.fromhex("-0x1.20370ap+0"), float.fromhex("-0x1.270114p+0")]
    fastnn.manual_seed(0)
    assert fastnn.randint(10, (8,)).tolist() == [4, 9, 3, 0, 3, 9, 7, 3]
    fastnn.manual_seed(0)
    assert fastnn.randperm(10).tolist() == [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]


def test_generator_has_a_stream_of_its_own() -> None:
    fastnn.manual_seed(1)
    before = state_of(fastnn)
    generator = fastnn.Generator().manual_seed(0)
    assert fastnn.rand(1, generator=generator).item() == 0.49625658988952637
    assert state_of(fastnn) == before
    assert generator.initial_seed() == 0
    assert fastnn.Generator().initial_seed() == 67280421310721
    assert str(generator.device) == "cpu"
    for draw in (
        lambda g: fastnn.randn(20, generator=g),
        lambda g: fastnn.randperm(20, generator=g),
        lambda g: fastnn.empty(20).uniform_(generator=g),
        lambda g: fastnn.multinomial(fastnn.ones(20), 3, generator=g),
    ):
        a = draw(generator.manual_seed(3)).tolist()
        assert draw(generator.manual_seed(3)).tolist() == a
        assert draw(generator).tolist() != a
    assert state_of(fastnn) == before


@pytest.mark.parametrize(
    "duplicate", (copy.copy, copy.deepcopy, lambda g: g.clone_state(), lambda g: pickle.loads(pickle.dumps(g)))
)
def test_generator_copies(duplicate: Callable[[Any], Any]) -> None:
    generator = fastnn.Generator().manual_seed(9)
    fastnn.randn(3, generator=generator)
    twin = duplicate(generator)
    assert twin is not generator
    assert twin.initial_seed() == 9
    assert fastnn.randn(5, generator=twin).tolist() == fastnn.randn(5, generator=generator).tolist()


def test_seeds() -> None:
    assert fastnn.manual_seed(-1) is fastnn.default_generator
    assert fastnn.initial_seed() == 2**64 - 1
    assert fastnn.manual_seed(2**64 - 1).initial_seed() == 2**64 - 1
    assert fastnn.seed() == fastnn.initial_seed()
    assert fastnn.seed() != fastnn.seed()
    for bad in (2**64, -(2**63) - 1):
        with pytest.raises(ValueError, match="Overflow"):
            fastnn.manual_seed(bad)
    with pytest.raises(RuntimeError, match="expected a long"):
        fastnn.Generator().manual_seed(1.5)  # type: ignore[arg-type]


def test_bad_states_change_nothing() -> None:
    before = state_of(fastnn)
    with pytest.raises(TypeError):
        fastnn.set_rng_state(fastnn.zeros(5056))
    with pytest.raises(RuntimeError, match="5056"):
        fastnn.set_rng_state(fastnn.zeros(3, dtype=fastnn.uint8))
    with pytest.raises(RuntimeError, match="Invalid mt19937"):
        fastnn.set_rng_state(fastnn.zeros(5056, dtype=fastnn.uint8))
    with pytest.raises(TypeError):
        fastnn.default_generator.set_state(3)  # type: ignore[arg-type]
    assert state_of(fastnn) == before


def test_tensors_drawn_in_inference_mode_are_inference_tensors() -> None:
    with fastnn.inference_mode():
        drawn = [fastnn.rand(2), fastnn.randn_like(fastnn.zeros(2)), fastnn.randperm(3), fastnn.randint(3, (2,))]
    assert all(tensor.is_inference() for tensor in drawn)
    assert not fastnn.rand(2).is_inference()


def test_fork_rng() -> None:
    fastnn.manual_seed(2)
    expected = fastnn.rand(3).tolist()
    fastnn.manual_seed(2)
    with fastnn.random.fork_rng():
        fastnn.rand(100)
        fastnn.manual_seed(77)
    assert fastnn.rand(3).tolist() == expected
    with pytest.raises(KeyError), fastnn.random.fork_rng(devices=[]):
        fastnn.manual_seed(1)
        raise KeyError
    with fastnn.random.fork_rng(enabled=False):
        fastnn.manual_seed(5)
    assert fastnn.initial_seed() == 5


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception]]] = {
    "rand of integers": (lambda: fastnn.rand(2, dtype=fastnn.int64), NotImplementedError),
    "randn of integers": (lambda: fastnn.randn(2, dtype=fastnn.int64), NotImplementedError),
    "negative size": (lambda: fastnn.rand(-1), RuntimeError),
    "not a generator": (lambda: fastnn.rand(2, generator=3), TypeError),
    "empty range": (lambda: fastnn.randint(3, 3, (2,)), RuntimeError),
    "range of uint8": (lambda: fastnn.randint(0, 300, (2,), dtype=fastnn.uint8), RuntimeError),
    "randint without size": (lambda: fastnn.randint(10), TypeError),
    "randint of a float": (lambda: fastnn.randint(2.5, (2,)), TypeError),
    "negative permutation": (lambda: fastnn.randperm(-1), RuntimeError),
    "long permutation of uint8": (lambda: fastnn.randperm(300, dtype=fastnn.uint8), RuntimeError),
    "long permutation of float16": (lambda: fastnn.randperm(5000, dtype=fastnn.float16), RuntimeError),
    "permutation of bool": (lambda: fastnn.randperm(3, dtype=fastnn.bool), NotImplementedError),
    "negative std": (lambda: fastnn.normal(fastnn.zeros(2), -1.0), RuntimeError),
    "negative std in a tensor": (lambda: fastnn.normal(0.0, fastnn.tensor([1.0, -1.0])), RuntimeError),
    "normal shapes": (lambda: fastnn.normal(fastnn.zeros(2), fastnn.ones(3)), RuntimeError),
    "normal of two numbers": (lambda: fastnn.normal(0, 1), TypeError),
    "uniform backwards": (lambda: fastnn.zeros(2).uniform_(1, 0), RuntimeError),
    "uniform out of float16": (lambda: fastnn.zeros(2, dtype=fastnn.float16).uniform_(0, 1e6), RuntimeError),
    "uniform of nan": (lambda: fastnn.zeros(2).uniform_(math.nan, 1), RuntimeError),
    "uniform of integers": (lambda: fastnn.zeros(2, dtype=fastnn.int64).uniform_(), NotImplementedError),
    "normal std": (lambda: fastnn.zeros(2).normal_(0, -1), RuntimeError),
    "bernoulli p": (lambda: fastnn.zeros(2).bernoulli_(2.0), RuntimeError),
    "bernoulli of 2": (lambda: fastnn.bernoulli(fastnn.tensor([0.5, 2.0])), RuntimeError),
    "bernoulli of nan": (lambda: fastnn.bernoulli(fastnn.tensor([math.nan])), RuntimeError),
    "bernoulli of integers": (lambda: fastnn.bernoulli(fastnn.tensor([1, 0])), NotImplementedError),
    "exponential rate": (lambda: fastnn.zeros(2).exponential_(0), RuntimeError),
    "exponential of integers": (lambda: fastnn.zeros(2, dtype=fastnn.int64).exponential_(), RuntimeError),
    "geometric p": (lambda: fastnn.zeros(2).geometric_(1), RuntimeError),
    "log_normal std": (lambda: fastnn.zeros(2).log_normal_(0, 0), RuntimeError),
    "cauchy sigma": (lambda: fastnn.zeros(2).cauchy_(0, 0), RuntimeError),
    "poisson rate": (lambda: fastnn.poisson(fastnn.tensor([-1.0])), RuntimeError),
    "too many samples": (lambda: fastnn.multinomial(fastnn.ones(2), 3), RuntimeError),
    "no samples": (lambda: fastnn.multinomial(fastnn.ones(2), 0), RuntimeError),
    "negative weight": (lambda: fastnn.multinomial(fastnn.tensor([1.0, -1.0]), 1), RuntimeError),
    "nan weight": (lambda: fastnn.multinomial(fastnn.tensor([1.0, math.nan]), 2, True), RuntimeError),
    "inf weight": (lambda: fastnn.multinomial(fastnn.tensor([1.0, math.inf]), 2, True), RuntimeError),
    "zero weights": (lambda: fastnn.multinomial(fastnn.zeros(2), 1), RuntimeError),
    "weights of 3 dimensions": (lambda: fastnn.multinomial(fastnn.ones(2, 2, 2), 1), RuntimeError),
    "integer weights": (lambda: fastnn.multinomial(fastnn.ones(2, dtype=fastnn.int64), 1), RuntimeError),
    "leaf that requires grad": (lambda: fastnn.zeros(2, requires_grad=True).uniform_(), RuntimeError),
    "overlapping memory": (lambda: fastnn.zeros(1).expand(3).uniform_(), RuntimeError),
    "dropout p": (lambda: dropout(fastnn.ones(3), 1.5), ValueError),
    "torch.dropout p": (lambda: fastnn.dropout(fastnn.ones(3), 1.5, True), RuntimeError),
    "dropout of integers": (lambda: dropout(fastnn.ones(3, dtype=fastnn.int64)), RuntimeError),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    call, error = ERRORS[case]
    before = state_of(fastnn)
    with pytest.raises(error):
        call()
    assert state_of(fastnn) == before


def test_overwritten_tensors_pass_no_gradient() -> None:
    x = fastnn.ones(4, requires_grad=True)
    y = x * 2
    y.uniform_()
    (y * 3).sum().backward()
    assert x.grad.tolist() == [0.0] * 4
    p = fastnn.full((4,), 0.5, requires_grad=True)
    fastnn.bernoulli(p).sum().backward()
    assert p.grad.tolist() == [0.0] * 4
    part = x * 2
    part[:2].normal_()
    x.grad = None
    part.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 2.0, 2.0]


# --- dropout ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_dropout_values(dtype: str) -> None:
    fastnn.manual_seed(0)
    x = fastnn.full((1000, 37), 3.0, dtype=getattr(fastnn, dtype))
    y = dropout(x, 0.25)
    assert y.dtype == x.dtype
    values = y.flatten().tolist()
    assert set(values) == {0.0, 4.0}
    kept = sum(value != 0 for value in values) / len(values)
    assert abs(kept - 0.75) < 4 * math.sqrt(0.75 * 0.25 / x.numel())
    assert x.flatten().tolist() == [3.0] * x.numel()


def test_dropout_masks_differ_and_repeat_with_the_seed() -> None:
    x = fastnn.ones(1000)
    fastnn.manual_seed(4)
    a = dropout(x).tolist()
    b = dropout(x).tolist()
    assert a != b
    fastnn.manual_seed(4)
    assert dropout(x).tolist() == a


def test_dropout_mask_does_not_depend_on_threads() -> None:
    x = fastnn.ones(100_001)
    threads = fastnn.get_num_threads()
    results = []
    for count in (1, 2, 3):
        fastnn.set_num_threads(count)
        fastnn.manual_seed(4)
        results.append(dropout(x).tolist())
    fastnn.set_num_threads(threads)
    assert results[0] == results[1] == results[2]


def test_dropout_gradient_goes_through_the_same_mask() -> None:
    for make in (lambda t: t, lambda t: t.t(), lambda t: t[:, ::2]):
        x = make(fastnn.ones(30, 40)).requires_grad_()
        y = dropout(x, 0.3)
        weight = fastnn.rand(*x.shape)
        (y * weight).sum().backward()
        assert x.grad.tolist() == (y.detach() * weight).tolist()


def test_dropout_gradgradcheck() -> None:
    x = fastnn.rand(5, 7, dtype=fastnn.float64, requires_grad=True)

    def f(t: Any) -> Any:
        fastnn.manual_seed(6)
        return dropout(t, 0.4) * t

    assert fastnn.autograd.gradcheck(f, (x,))
    assert fastnn.autograd.gradgradcheck(f, (x,))


def test_dropout_in_place() -> None:
    fastnn.manual_seed(1)
    x = fastnn.ones(50, requires_grad=True)
    y = x * 2
    z = dropout(y, 0.5, inplace=True)
    assert z is y
    assert set(y.tolist()) == {0.0, 4.0}
    y.sum().backward()
    assert x.grad.tolist() == y.tolist()
    strided = fastnn.ones(10, 4)
    dropout(strided[:, ::2], 0.5, inplace=True)
    assert strided[:, 1::2].flatten().tolist() == [1.0] * 20
    assert set(strided[:, ::2].flatten().tolist()) == {0.0, 2.0}


def test_dropout_edges() -> None:
    x = fastnn.tensor([1.0, math.inf, math.nan])
    assert dropout(x, 0.5, training=False) is x
    assert dropout(x, 0.0) is x
    assert dropout(fastnn.ones(3), 1.0).tolist() == [0.0] * 3
    assert dropout(fastnn.ones(0, 3)).shape == (0, 3)
    integers = fastnn.ones(3, dtype=fastnn.int64)
    assert dropout(integers, 0.5, training=False) is integers
    tiny = dropout(fastnn.ones(10_000), 1e-12)
    assert tiny.tolist() == [1.0] * 10_000
    assert dropout(fastnn.ones(5, 6).t()).stride() == (1, 6)
