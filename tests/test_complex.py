"""Complex tensors: making, printing, converting, arithmetic, and gradients in the convention of PyTorch."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn

COMPLEX = ("complex64", "complex128")
TOLERANCE = {"complex64": 2e-6, "complex128": 1e-14}


def numbers(*shape: int, seed: int = 0, dtype: str = "complex128") -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


def tensor(*shape: int, seed: int = 0, grad: bool = False) -> Any:
    return fastnn.tensor(numbers(*shape, seed=seed)).requires_grad_(grad)


def assert_close(ours: Any, expected: Any, tolerance: float = 1e-13) -> None:
    values = ours.detach().numpy() if isinstance(ours, fastnn.Tensor) else np.asarray(ours)
    np.testing.assert_allclose(values, expected, rtol=tolerance, atol=tolerance)


# --- dtypes, conversion ----------------------------------------------------------------------------------------------


def test_dtypes() -> None:
    assert fastnn.cfloat is fastnn.complex64
    assert fastnn.cdouble is fastnn.complex128
    for dtype, size, real in ((fastnn.complex64, 8, fastnn.float32), (fastnn.complex128, 16, fastnn.float64)):
        assert dtype.is_complex
        assert dtype.is_signed
        assert not dtype.is_floating_point
        assert dtype.itemsize == size
        assert dtype.to_real() is real
        assert real.to_complex() is dtype
        assert pickle.loads(pickle.dumps(dtype)) is dtype
    assert fastnn.float32.to_real() is fastnn.float32
    assert not fastnn.float32.is_complex
    with pytest.raises(RuntimeError, match="no complex type"):
        fastnn.float16.to_complex()


def test_promotion() -> None:
    def of(*tensors: Any) -> Any:
        return fastnn.result_type(*tensors)

    single, double = fastnn.zeros(2, dtype=fastnn.complex64), fastnn.zeros(2, dtype=fastnn.complex128)
    assert of(single, double) is fastnn.complex128
    assert of(single, fastnn.zeros(2, dtype=fastnn.float64)) is fastnn.complex128
    assert of(single, fastnn.zeros((), dtype=fastnn.float64)) is fastnn.complex64
    assert of(fastnn.zeros(2), fastnn.zeros((), dtype=fastnn.complex128)) is fastnn.complex64
    assert of(fastnn.zeros(2), 1j) is fastnn.complex64
    assert of(fastnn.zeros(2, dtype=fastnn.float64), 1j) is fastnn.complex128
    assert of(fastnn.zeros(2, dtype=fastnn.int64), 1j) is fastnn.complex64
    assert of(single, 2.5) is fastnn.complex64
    assert fastnn.promote_types(fastnn.complex64, fastnn.bfloat16) is fastnn.complex64
    assert fastnn.can_cast(fastnn.float32, fastnn.complex64)
    assert not fastnn.can_cast(fastnn.complex64, fastnn.float64)


def test_making() -> None:
    x = fastnn.tensor([1 + 2j, 3.0, True])
    assert x.dtype is fastnn.complex64
    assert x.tolist() == [1 + 2j, 3 + 0j, 1 + 0j]
    assert fastnn.tensor(1j, dtype=fastnn.complex128).item() == 1j
    assert fastnn.tensor([np.complex64(1j), 2]).tolist() == [1j, 2 + 0j]
    assert fastnn.full((2,), 1 - 1j).tolist() == [1 - 1j, 1 - 1j]
    assert fastnn.full((2,), 1 - 1j).dtype is fastnn.complex64
    assert fastnn.zeros(2, dtype=complex).dtype is fastnn.complex128
    assert fastnn.ones(2, dtype=fastnn.cfloat).tolist() == [1, 1]
    assert fastnn.eye(2, dtype=fastnn.cfloat).tolist() == [[1, 0], [0, 1]]
    assert fastnn.linspace(0, 2j, 3).tolist() == [0, 1j, 2j]
    assert_close(fastnn.logspace(0, 2, 3, dtype=fastnn.cdouble), [1, 10, 100])
    assert fastnn.empty(2, 3, dtype=fastnn.cdouble).shape == (2, 3)
    with pytest.raises(RuntimeError, match="without overflow"):
        fastnn.zeros(2).fill_(1j)
    with pytest.raises(RuntimeError, match="without overflow"):
        fastnn.tensor([1j], dtype=fastnn.float32)


def test_conversion() -> None:
    x = fastnn.tensor([1 + 2j, 0j, 3j])
    assert x.to(fastnn.complex128).dtype is fastnn.complex128
    assert x.float().tolist() == [1, 0, 0]
    assert x.to(fastnn.int64).tolist() == [1, 0, 0]
    assert x.bool().tolist() == [True, False, True]
    assert fastnn.tensor([1, 2]).cfloat().tolist() == [1, 2]
    assert fastnn.tensor([1.5]).cdouble().dtype is fastnn.complex128
    assert fastnn.tensor([1.5], dtype=fastnn.bfloat16).to(fastnn.complex64).tolist() == [1.5]
    assert x.type() == "torch.ComplexFloatTensor"
    assert complex(x[0]) == 1 + 2j
    assert float(fastnn.tensor(2 + 0j)) == 2
    with pytest.raises(RuntimeError, match="without overflow"):
        float(x[0])
    assert bool(x[2])
    assert not bool(x[1])
    assert 3j in x


@pytest.mark.parametrize("dtype", COMPLEX)
def test_numpy_shares_memory(dtype: str) -> None:
    array = numbers(3, 4, dtype=dtype)
    x = fastnn.from_numpy(array)
    assert x.dtype is getattr(fastnn, dtype)
    array[1, 2] = 5j
    assert x[1, 2].item() == 5j
    back = x.t().numpy()
    assert back.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(back, array.T)
    x[0, 0] = 7
    assert back[0, 0] == 7
    assert memoryview(x).format == ("Zf" if dtype == "complex64" else "Zd")
    np.testing.assert_array_equal(np.asarray(x), array)
    shared = fastnn.from_dlpack(x)
    shared[0, 1] = -1j
    assert array[0, 1] == -1j


@pytest.mark.parametrize("dtype", COMPLEX)
def test_files(dtype: str, tmp_path: Any) -> None:
    x = fastnn.from_numpy(numbers(3, 4, dtype=dtype))
    for again in (pickle.loads(pickle.dumps(x.t())), copy.deepcopy(x.t())):
        assert again.dtype is x.dtype
        np.testing.assert_array_equal(again.numpy(), x.t().numpy())
    stream = io.BytesIO()
    fastnn.save({"x": x.requires_grad_()}, stream)
    stream.seek(0)
    loaded = fastnn.load(stream)["x"]
    np.testing.assert_array_equal(loaded.detach().numpy(), x.detach().numpy())
    path = tmp_path / "x.safetensors"
    if dtype == "complex128":
        with pytest.raises(TypeError, match=r"complex128.*\.pt"):
            fastnn.save({"x": x.detach()}, path)
    else:
        fastnn.save({"x": x.detach()}, path)
        np.testing.assert_array_equal(fastnn.load(path)["x"].numpy(), x.detach().numpy())


def test_files_of_torch() -> None:
    torch = pytest.importorskip("torch")
    array = numbers(2, 3)
    for dtype in COMPLEX:
        stream = io.BytesIO()
        torch.save(torch.from_numpy(array.astype(dtype)), stream)
        stream.seek(0)
        np.testing.assert_array_equal(fastnn.load(stream).numpy(), array.astype(dtype))
        stream = io.BytesIO()
        fastnn.save(fastnn.from_numpy(array.astype(dtype)), stream)
        stream.seek(0)
        np.testing.assert_array_equal(torch.load(stream).numpy(), array.astype(dtype))


def test_printing() -> None:
    assert repr(fastnn.tensor([1 + 2j, -3.5 - 0.25j])) == "tensor([ 1.0000+2.0000j, -3.5000-0.2500j])"
    assert repr(fastnn.tensor([1 + 2j, 3j])) == "tensor([1.+2.j, 0.+3.j])"
    assert repr(fastnn.tensor(1j)) == "tensor(0.+1.j)"
    assert repr(fastnn.tensor([1j], dtype=fastnn.complex128)) == "tensor([0.+1.j], dtype=torch.complex128)"
    assert repr(fastnn.tensor([], dtype=fastnn.complex64)) == "tensor([], dtype=torch.complex64)"


def test_printing_as_torch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for scale in (1.0, 1e-6, 1e9):
        for shape in ((), (3,), (4, 30), (50, 40)):
            array = numbers(*shape, dtype="complex64") * scale
            assert repr(fastnn.tensor(array)) == repr(torch.tensor(array))
    array = rng.integers(-5, 5, (4, 4)) + 1j * rng.integers(-5, 5, (4, 4))
    assert repr(fastnn.tensor(array)) == repr(torch.tensor(array))
    special = np.array([complex("nan"), complex(np.inf, -np.inf), complex(1.5, np.nan)])
    assert repr(fastnn.tensor(special)) == repr(torch.tensor(special))


# --- parts -----------------------------------------------------------------------------------------------------------


def test_parts_are_views() -> None:
    x = fastnn.tensor(numbers(3, 4))
    assert x.real.data_ptr() == x.data_ptr()
    assert x.real.stride() == (8, 2)
    x.real = 2.0
    x.imag = fastnn.arange(4.0)
    np.testing.assert_array_equal(x.numpy(), np.broadcast_to(2 + 1j * np.arange(4.0), (3, 4)))
    x.real[1] = 9
    assert x[1].real.tolist() == [9, 9, 9, 9]
    parts = fastnn.view_as_real(x.t())
    assert parts.shape == (4, 3, 2)
    assert parts.stride() == (2, 8, 1)
    parts[0, 0, 1] = -5
    assert x[0, 0].item() == 2 - 5j
    real = fastnn.ones(2)
    assert real.real is real
    with pytest.raises(RuntimeError, match="imag is not implemented"):
        real.imag  # noqa: B018
    with pytest.raises(RuntimeError, match="view_as_real is only supported for complex"):
        fastnn.view_as_real(real)


def test_view_as_complex() -> None:
    parts = fastnn.arange(12.0).reshape(2, 3, 2)
    x = fastnn.view_as_complex(parts)
    assert x.tolist() == [[1j, 2 + 3j, 4 + 5j], [6 + 7j, 8 + 9j, 10 + 11j]]
    x[0, 0] = 7
    assert parts[0, 0].tolist() == [7, 0]
    for wrong, text in (
        (fastnn.ones(2, 3), "last dimension of size 2"),
        (fastnn.ones(2, 2).t(), "last dimension with stride 1"),
        (fastnn.ones(2, 3)[:, :2], "stride divisible by 2"),
        (fastnn.ones(5)[1:3], "storage_offset divisible by 2"),
        (fastnn.ones(2, dtype=fastnn.int64), "only supported for float and double"),
        (fastnn.tensor(1.0), "one or more dimensions"),
    ):
        with pytest.raises(RuntimeError, match=text):
            fastnn.view_as_complex(wrong)


def test_made_of_parts() -> None:
    re, im = fastnn.tensor([1.0, 2.0]), fastnn.tensor([3.0, -4.0])
    assert fastnn.complex(re, im).tolist() == [1 + 3j, 2 - 4j]
    assert fastnn.complex(re, im.double().float()[:1]).tolist() == [1 + 3j, 2 + 3j]
    assert_close(fastnn.polar(re.double(), im.double()), np.array([1.0, 2.0]) * np.exp(1j * np.array([3.0, -4.0])))
    with pytest.raises(RuntimeError, match="Float or Double"):
        fastnn.complex(fastnn.tensor([1]), fastnn.tensor([1]))
    with pytest.raises(RuntimeError, match="Expected object of scalar type Float but got scalar type Double"):
        fastnn.complex(re, im.double())


def test_angle_of_real_numbers() -> None:
    x = fastnn.tensor([-2.0, -0.0, 0.0, 3.0, np.nan], requires_grad=True)
    np.testing.assert_allclose(x.angle().detach().numpy(), np.array([np.pi, 0, 0, 0, np.nan], np.float32))
    assert fastnn.tensor([-2, 2]).angle().dtype is fastnn.float32
    (gradient,) = fastnn.autograd.grad(x[:4].angle().sum(), x)
    assert gradient.tolist() == [0, 0, 0, 0, 0]


def test_conjugates() -> None:
    z = numbers(2, 3)
    x = fastnn.tensor(z)
    for result in (x.conj(), fastnn.conj(x), x.conj_physical(), x.conj().resolve_conj(), x.clone().conj_physical_()):
        np.testing.assert_array_equal(result.numpy(), z.conj())
    np.testing.assert_array_equal(x.H.numpy(), z.conj().T)
    np.testing.assert_array_equal(x.mH.numpy(), z.conj().T)
    np.testing.assert_array_equal(x.adjoint().numpy(), z.conj().T)
    assert not x.conj().is_conj()
    assert not x.is_neg()
    real = fastnn.ones(2)
    assert real.conj() is real
    assert fastnn.isreal(fastnn.tensor([1 + 0j, 1j])).tolist() == [True, False]
    assert fastnn.isreal(real).tolist() == [True, True]
    with pytest.raises(RuntimeError, match="only supported on matrices"):
        fastnn.zeros(2, 2, 2, dtype=fastnn.cfloat).H  # noqa: B018


# --- moving elements -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("n", [5, 41, 700])
def test_elements_move(dtype: str, n: int) -> None:
    z = numbers(n, 6, dtype=dtype)
    x = fastnn.tensor(z)
    places = fastnn.tensor([4, 0, 2])
    np.testing.assert_array_equal(x.t().contiguous().numpy(), z.T)
    np.testing.assert_array_equal(x[:, ::2].clone().numpy(), z[:, ::2])
    np.testing.assert_array_equal(x[places].numpy(), z[[4, 0, 2]])
    np.testing.assert_array_equal(x[:, places].numpy(), z[:, [4, 0, 2]])
    np.testing.assert_array_equal(x[x.real > 0].numpy(), z[z.real > 0])
    np.testing.assert_array_equal(
        fastnn.cat([x, x.t().reshape(-1, 6)]).numpy(), np.concatenate([z, z.T.reshape(-1, 6)])
    )
    np.testing.assert_array_equal(fastnn.where(x.real > 0, x, 2j).numpy(), np.where(z.real > 0, z, np.array(2j, dtype)))
    np.testing.assert_array_equal(x.masked_fill(x.real > 0, 1j).numpy(), np.where(z.real > 0, np.array(1j, dtype), z))
    np.testing.assert_array_equal(x.flip(0).numpy(), z[::-1])
    np.testing.assert_array_equal(x.roll(2, 0).numpy(), np.roll(z, 2, 0))
    np.testing.assert_array_equal(x.tril().numpy(), np.tril(z))
    np.testing.assert_array_equal(fastnn.gather(x, 1, places.expand(n, 3)).numpy(), z[:, [4, 0, 2]])
    np.testing.assert_array_equal(x.expand(2, n, 6).contiguous().numpy(), np.broadcast_to(z, (2, n, 6)))
    np.testing.assert_array_equal((x.t() + x.t()).numpy(), (z + z).T)
    added = fastnn.zeros_like(x).index_add(0, fastnn.zeros(n, dtype=fastnn.int64), x)
    assert_close(added[0], z.sum(0), n * TOLERANCE[dtype])
    scattered = fastnn.zeros(n, 6, dtype=x.dtype).scatter_add(1, places.expand(n, 3), x)
    np.testing.assert_array_equal(scattered[:, [4, 0, 2]].numpy(), z[:, :3])
    assert fastnn.nonzero(fastnn.tensor([0j, 1j, 1 + 0j])).tolist() == [[1], [2]]
    assert fastnn.count_nonzero(x).item() == z.size
    filled = x.clone()
    filled[0] = 1 - 1j
    assert filled[0].tolist() == [1 - 1j] * 6


# --- arithmetic ------------------------------------------------------------------------------------------------------

UNARY = {
    **{name: getattr(np, name) for name in "negative reciprocal square sqrt exp expm1 log log2 log10 log1p".split()},
    **{name: getattr(np, name) for name in "sin cos tan arcsin arccos arctan sinh cosh tanh".split()},
    **{name: getattr(np, name) for name in "arcsinh arccosh arctanh abs angle isnan isinf isfinite".split()},
    "neg": np.negative,
    "rsqrt": lambda z: 1 / np.sqrt(z),
    "exp2": np.exp2,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "sgn": lambda z: z / np.abs(z),
    "sum": np.sum,
    "mean": np.mean,
    "prod": np.prod,
    "var": lambda z: np.var(z, ddof=1),
    "std": lambda z: np.std(z, ddof=1),
    "norm": np.linalg.norm,
}
BINARY: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "eq": np.equal,
    "ne": np.not_equal,
}


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("name", UNARY)
def test_function_of_one(name: str, dtype: str) -> None:
    z = numbers(4, 5, dtype=dtype)
    expected = UNARY[name](z.astype("complex128"))
    result = getattr(fastnn, name)(fastnn.tensor(z))
    assert result.dtype in (getattr(fastnn, dtype), getattr(fastnn, dtype).to_real(), fastnn.bool)
    assert_close(result, expected, 5 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", COMPLEX)
@pytest.mark.parametrize("name", BINARY)
def test_function_of_two(name: str, dtype: str) -> None:
    a, b = numbers(4, 5, dtype=dtype), numbers(5, seed=1, dtype=dtype)
    function = getattr(fastnn, name)
    expected = BINARY[name](a.astype("complex128"), b.astype("complex128"))
    assert_close(function(fastnn.tensor(a), fastnn.tensor(b)), expected, 20 * TOLERANCE[dtype])
    assert_close(function(fastnn.tensor(a), 2 - 1j), BINARY[name](a, 2 - 1j), 20 * TOLERANCE[dtype])
    real = a.real.copy()
    assert_close(function(fastnn.tensor(real), fastnn.tensor(b)), BINARY[name](real + 0j, b), 20 * TOLERANCE[dtype])


def test_operators() -> None:
    z = numbers(3)
    x = fastnn.tensor(z)
    assert_close(2j * x, 2j * z)
    assert_close(1 / x, 1 / z)
    assert_close(1j - x, 1j - z)
    assert_close(x**2, z**2)
    assert_close((1 + 1j) ** x, (1 + 1j) ** z)
    assert_close(abs(x), abs(z))
    assert_close(-x, -z)
    assert_close(fastnn.ones(3, dtype=fastnn.float64) + 1j, np.ones(3) + 1j)
    assert_close(fastnn.add(x, x, alpha=2j), z + 2j * z)
    assert_close(fastnn.sub(x, x, alpha=2j), z - 2j * z)
    assert_close(x.clone().add_(x).mul_(1j), 2j * z)
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type"):
        fastnn.ones(3, dtype=fastnn.float64).add_(x)
    with pytest.raises(RuntimeError, match="alpha must not be a complex number"):
        fastnn.add(fastnn.ones(3), fastnn.ones(3), alpha=1j)


def test_three_operands() -> None:
    a, b, c = (numbers(4, seed=seed) for seed in range(3))
    x, y, z = map(fastnn.tensor, (a, b, c))
    assert_close(fastnn.addcmul(x, y, z, value=1 + 1j), a + (1 + 1j) * b * c)
    assert_close(fastnn.addcdiv(x, y, z, value=1 + 1j), a + (1 + 1j) * b / c)
    assert_close(fastnn.lerp(x, y, z), a + (b - a) * c)
    assert_close(fastnn.lerp(x, y, 0.25), a + (b - a) * 0.25)


@pytest.mark.parametrize("dim", [0, 1, -1, None])
def test_reductions(dim: int | None) -> None:
    z = numbers(3, 4, 5)
    x = fastnn.tensor(z)
    for strided, array in ((x, z), (x.transpose(0, 2), z.transpose(2, 1, 0))):
        assert_close(strided.sum(dim), array.sum(dim))
        assert_close(strided.mean(dim, keepdim=True), array.mean(dim, keepdims=True))
        assert_close(fastnn.prod(strided) if dim is None else strided.prod(dim), array.prod(dim), 1e-11)
    if dim is not None:
        assert_close(x.cumsum(dim), z.cumsum(dim))
        assert_close(x.cumprod(dim), z.cumprod(dim), 1e-11)
    assert fastnn.any(fastnn.tensor([0j, 1j])).item()
    assert not fastnn.all(fastnn.tensor([0j, 1j])).item()
    assert fastnn.ones(2).sum(dtype=fastnn.complex64).item() == 2


def test_sums_of_exponentials() -> None:
    z = numbers(3, 4)
    x = fastnn.tensor(z)
    assert_close(fastnn.logsumexp(x, 1).exp(), np.exp(z).sum(1))
    assert_close(fastnn.logsumexp(x, (0, 1), keepdim=True).exp(), np.exp(z).sum(keepdims=True))
    assert_close(fastnn.logcumsumexp(x, 0).exp(), np.exp(z).cumsum(0))
    assert_close(fastnn.logaddexp(x[0], x[1]).exp(), np.exp(z[0]) + np.exp(z[1]))
    assert_close(fastnn.logaddexp(x[0] + 800, x[1]), z[0] + 800)


def test_random_numbers() -> None:
    """Neighbouring real numbers of the same stream are the parts; a normal number has variance 1 in all."""
    for dtype, parts in ((fastnn.complex64, fastnn.float32), (fastnn.complex128, fastnn.float64)):
        fastnn.manual_seed(0)
        uniform = fastnn.rand(30, dtype=dtype)
        fastnn.manual_seed(0)
        assert fastnn.view_as_real(uniform).equal(fastnn.rand(30, 2, dtype=parts))
        fastnn.manual_seed(0)
        normal = fastnn.randn(3000, dtype=dtype)
        fastnn.manual_seed(0)
        expected = fastnn.randn(3000, 2, dtype=parts) / 2**0.5
        np.testing.assert_allclose(fastnn.view_as_real(normal).numpy(), expected.numpy(), rtol=1e-6, atol=1e-7)
        assert abs(normal.var().item() - 1) < 0.1
        assert fastnn.randn_like(normal).dtype is dtype
        assert fastnn.zeros_like(normal).uniform_(2, 3).real.min().item() >= 2


def test_extreme_values() -> None:
    large = fastnn.tensor([1e200 + 1e200j], dtype=fastnn.complex128)
    assert_close(large / large, [1.0])
    small = fastnn.tensor([1e-200 + 1e-200j], dtype=fastnn.complex128)
    assert_close(small / small, [1.0])
    assert_close(large.abs(), [np.hypot(1e200, 1e200)])
    assert_close(fastnn.tensor([1e-12 + 1e-12j], dtype=fastnn.complex128).expm1(), np.expm1([1e-12 + 1e-12j]), 1e-25)
    zero = fastnn.zeros(1, dtype=fastnn.complex128)
    assert zero.sgn().tolist() == [0]
    assert zero.angle().tolist() == [0]
    assert fastnn.pow(zero, 0).tolist() == [1]
    assert fastnn.pow(zero, 2 + 0j).tolist() == [0]
    assert fastnn.isnan(fastnn.tensor(complex(1, np.nan))).item()
    assert fastnn.isinf(fastnn.tensor(complex(np.nan, np.inf))).item()


def test_what_has_no_order() -> None:
    x = fastnn.ones(3, dtype=fastnn.complex64)
    for call in (x.max, x.sort, x.argmax, x.floor, x.relu, lambda: x < x, lambda: x.cummax(0), lambda: fastnn.erf(x)):
        with pytest.raises((NotImplementedError, RuntimeError)):
            call()
    with pytest.raises(RuntimeError, match=r"torch\.sgn"):
        x.sign()


# --- products --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", COMPLEX)
def test_products(dtype: str) -> None:
    a, b = numbers(3, 4, 5, dtype=dtype), numbers(3, 5, 2, seed=1, dtype=dtype)
    x, y = fastnn.tensor(a), fastnn.tensor(b)
    tolerance = 20 * TOLERANCE[dtype]
    assert_close(x @ y, a @ b, tolerance)
    assert_close(fastnn.bmm(x, y), a @ b, tolerance)
    assert_close(fastnn.mm(x[0], y[0]), a[0] @ b[0], tolerance)
    assert_close(x.mH @ x, a.conj().transpose(0, 2, 1) @ a, tolerance)
    assert_close(x @ y[0], a @ b[0], tolerance)
    assert_close(x @ y[0, :, 0], a @ b[0, :, 0], tolerance)
    assert_close(fastnn.dot(x[0, 0], x[0, 1]), a[0, 0] @ a[0, 1], tolerance)
    assert_close(fastnn.vdot(x[0, 0], x[0, 1]), np.vdot(a[0, 0], a[0, 1]), tolerance)
    assert_close(fastnn.outer(x[0, 0], y[0, 0]), np.outer(a[0, 0], b[0, 0]), tolerance)
    assert_close(fastnn.einsum("bij,bjk->ik", x, y), np.einsum("bij,bjk->ik", a, b), tolerance)
    bias = numbers(4, 2, seed=2, dtype=dtype)
    added = fastnn.addmm(fastnn.tensor(bias), x[0], y[0], beta=2j, alpha=1 - 1j)
    assert_close(added, 2j * bias + (1 - 1j) * (a[0] @ b[0]), 2 * tolerance)
    weight = numbers(7, 5, seed=3, dtype=dtype)
    assert_close(fastnn.nn.functional.linear(x, fastnn.tensor(weight)), a @ weight.T, tolerance)


@pytest.mark.parametrize("groups", [1, 2])
def test_convolution(groups: int) -> None:
    """By linearity: a complex product is made of four real ones."""
    conv1d = fastnn.nn.functional.conv1d
    z, w, b = numbers(2, 4, 9), numbers(6, 4 // groups, 3, seed=1), numbers(6, seed=2)
    ours = conv1d(fastnn.tensor(z), fastnn.tensor(w), fastnn.tensor(b), 2, 1, groups=groups)

    def part(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return conv1d(fastnn.tensor(x.copy()), fastnn.tensor(y.copy()), None, 2, 1, groups=groups).numpy()

    expected = part(z.real, w.real) - part(z.imag, w.imag) + 1j * (part(z.real, w.imag) + part(z.imag, w.real))
    assert_close(ours, expected + b[:, None])
    transposed = fastnn.nn.functional.conv_transpose1d
    back = transposed(ours, fastnn.tensor(w.conj()), None, 2, 1, groups=groups)
    # <conv(z), y> = <z, transposed conv of y with the conjugate weight>
    left = fastnn.vdot((ours - fastnn.tensor(b)[:, None]).flatten(), ours.flatten())
    assert_close(left, np.vdot(z, back.numpy()), 1e-11)


# --- gradients -------------------------------------------------------------------------------------------------------


def test_convention() -> None:
    """The gradient is dL/da + i dL/db of z = a + ib: the direction of steepest ascent."""
    z = fastnn.tensor([3 + 4j], dtype=fastnn.complex128, requires_grad=True)
    z.abs().sum().backward()
    assert_close(z.grad, [0.6 + 0.8j])
    z.grad = None
    (z * (2 + 1j)).real.sum().backward()
    assert_close(z.grad, [2 - 1j])
    real = fastnn.tensor([2.0], requires_grad=True)
    (real * fastnn.tensor([1 + 5j])).imag.sum().backward()
    assert real.grad.dtype is fastnn.float32
    assert real.grad.tolist() == [5]
    with pytest.raises(RuntimeError, match="only for real scalar outputs"):
        (z * 1j).sum().backward()


def small(*shape: int, seed: int = 0) -> Any:
    """Away from the branch cuts, zeros and poles."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.2, 0.8, shape) + 1j * rng.uniform(0.2, 0.8, shape)
    return fastnn.tensor(values).requires_grad_()


def real(*shape: int, seed: int = 0) -> Any:
    return fastnn.tensor(np.random.default_rng(seed).uniform(0.2, 0.8, shape)).requires_grad_()


GRADIENTS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    **{
        name: (getattr(fastnn, name), (small(3),))
        for name in (
            *"neg reciprocal square sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan".split(),
            *"sinh cosh tanh asinh acosh atanh sigmoid abs angle sgn conj real imag view_as_real sum mean".split(),
            *"prod var std norm".split(),
        )
    },
    "mul": (fastnn.mul, (small(2, 3), small(3, seed=1))),
    "real times complex": (fastnn.mul, (real(2, 3), small(3, seed=1))),
    "div": (fastnn.div, (small(2, 3), small(3, seed=1))),
    "real by complex": (fastnn.div, (real(3), small(3, seed=1))),
    "pow": (fastnn.pow, (small(3), small(3, seed=1))),
    "real to complex": (fastnn.pow, (real(3), small(3, seed=1))),
    "power 3": (lambda x: x**3, (small(3),)),
    "power i": (lambda x: x**1j, (small(3),)),
    "add": (lambda a, b: fastnn.add(a, b, alpha=1 + 2j), (small(3), small(2, 1, seed=1))),
    "sub": (lambda a, b: fastnn.sub(a, b, alpha=1 + 2j), (real(3), small(2, 1, seed=1))),
    "addcmul": (lambda a, b, c: fastnn.addcmul(a, b, c, value=1j), (small(3), small(3, seed=1), small(3, seed=2))),
    "addcdiv": (lambda a, b, c: fastnn.addcdiv(a, b, c, value=1j), (small(3), small(3, seed=1), small(3, seed=2))),
    "lerp": (fastnn.lerp, (small(3), small(3, seed=1), small(3, seed=2))),
    "complex": (fastnn.complex, (real(2, 1), real(3, seed=1))),
    "polar": (fastnn.polar, (real(2, 1), real(3, seed=1))),
    "view_as_complex": (fastnn.view_as_complex, (real(3, 2),)),
    "matmul": (fastnn.matmul, (small(2, 3, 4), small(4, 2, seed=1))),
    "mv": (fastnn.mv, (small(3, 4), small(4, seed=1))),
    "dot": (fastnn.dot, (small(4), small(4, seed=1))),
    "vdot": (fastnn.vdot, (small(4), small(4, seed=1))),
    "addmm": (
        lambda a, b, c: fastnn.addmm(a, b, c, beta=1j, alpha=2j),
        (small(2), small(3, 4, seed=1), small(4, 2, seed=2)),
    ),
    "linear": (fastnn.nn.functional.linear, (small(3, 4), small(2, 4, seed=1), small(2, seed=2))),
    "adjoint": (lambda x: x.mH, (small(2, 3),)),
    "cumsum": (lambda x: x.cumsum(0), (small(4),)),
    "cumprod": (lambda x: x.cumprod(0), (small(5),)),
    "prod with zero": (fastnn.prod, (fastnn.tensor([0j, 1j, 2], dtype=fastnn.cdouble).requires_grad_(),)),
    "to real": (lambda x: x.real.to(fastnn.float64), (small(3),)),
    "to complex": (lambda x: x.to(fastnn.complex128), (real(3),)),
    "index": (lambda x: x[[0, 0, 2]], (small(3),)),
    "where": (lambda x, y: fastnn.where(fastnn.tensor([True, False, True]), x, y), (small(3), real(3, seed=1))),
    "cat": (lambda x, y: fastnn.cat([x, y]), (small(2), real(3))),
    "silu": (fastnn.nn.functional.silu, (small(3),)),
    "rms_norm": (lambda x, w: fastnn.nn.functional.rms_norm(x, (3,), w, 1e-3), (small(2, 3), small(3, seed=1))),
    "logsumexp": (lambda x: fastnn.logsumexp(x, 0), (small(4),)),
    "logcumsumexp": (lambda x: fastnn.logcumsumexp(x, 0), (small(4),)),
    "logaddexp": (fastnn.logaddexp, (small(3), small(3, seed=1))),
    "conv2d": (
        lambda x, w, b: fastnn.nn.functional.conv2d(x, w, b, padding=1),
        (small(1, 2, 3, 3), small(2, 2, 2, 2, seed=1), small(2, seed=2)),
    ),
    "einsum": (lambda x, y: fastnn.einsum("ij,kj->ik", x, y), (small(2, 3), small(4, 3, seed=1))),
    "rotary": (
        lambda x, a: fastnn.view_as_real(
            fastnn.view_as_complex(x.reshape(2, 3, 2)) * fastnn.polar(fastnn.ones_like(a), a)
        ).flatten(1),
        (real(2, 6), real(3, seed=1)),
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients(name: str) -> None:
    function, inputs = GRADIENTS[name]
    assert fastnn.autograd.gradcheck(function, inputs)
    assert fastnn.autograd.gradgradcheck(function, inputs)


def test_gradient_at_zero() -> None:
    z = fastnn.zeros(1, dtype=fastnn.complex128, requires_grad=True)
    for function in (fastnn.abs, fastnn.angle, lambda x: x.sgn().real):
        (gradient,) = fastnn.autograd.grad(function(z).sum(), z)
        assert gradient.tolist() == [0]


def test_in_place_through_parts() -> None:
    def filled(x: Any, y: Any) -> Any:
        z = x * 1
        z.real.mul_(y)
        z.imag[0] = 2.0
        return z

    assert fastnn.autograd.gradcheck(filled, (small(3), real(3, seed=1)))

    def through_complex(x: Any) -> Any:
        parts = x * 1
        fastnn.view_as_complex(parts).mul_(1j)
        return parts

    assert fastnn.autograd.gradcheck(through_complex, (real(3, 2),))


def test_accumulation_and_optimizer() -> None:
    z = fastnn.nn.Parameter(fastnn.tensor([1 + 1j, 2 - 1j]))
    for _ in range(2):
        (z * z.conj()).real.sum().backward()
    assert z.grad.tolist() == [4 + 4j, 8 - 4j]
    assert z.grad.dtype is fastnn.complex64


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_optimizers_take_the_parts(name: str) -> None:
    start, target = numbers(4), fastnn.tensor(numbers(4, seed=1))
    options = {"momentum": 0.9} if name == "SGD" else {"amsgrad": True}
    z = fastnn.nn.Parameter(fastnn.tensor(start))
    parts = fastnn.nn.Parameter(fastnn.view_as_real(fastnn.tensor(start)))
    both = [getattr(fastnn.optim, name)([one], lr=0.1, weight_decay=0.01, **options) for one in (z, parts)]
    for _ in range(5):
        for optimizer, value in zip(both, (z, parts), strict=True):
            optimizer.zero_grad()
            whole = value if value.is_complex() else fastnn.view_as_complex(value)
            ((whole - target).abs() ** 2).sum().backward()
            optimizer.step()
    assert_close(fastnn.view_as_real(z), parts.detach().numpy())
    assert not np.allclose(z.detach().numpy(), start)


def test_custom_function() -> None:
    class Turn(fastnn.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 1j

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad * -1j

    assert fastnn.autograd.gradcheck(Turn.apply, (small(3),))


def test_allclose() -> None:
    x = fastnn.tensor([1 + 1j, complex(np.nan, 1)])
    assert fastnn.allclose(x, x, equal_nan=True)
    assert not fastnn.allclose(x, x)
    assert fastnn.isclose(fastnn.tensor([1 + 1j]), fastnn.tensor([1 + 1.000001j])).item()
    assert fastnn.equal(x[:1], x[:1])


def test_out_has_the_dtype_of_the_result() -> None:
    part = fastnn.ones(2, dtype=fastnn.float64)
    for function in (fastnn.complex, fastnn.polar):
        with pytest.raises(RuntimeError, match="dtype"):
            function(part, part, out=fastnn.empty(2, dtype=fastnn.complex64))


def test_logcumsumexp_keeps_the_phase_of_the_largest_term() -> None:
    torch = pytest.importorskip("torch")
    terms = torch.complex(torch.tensor([6.0, 6.8, 6.5, 10.0]).double(), torch.tensor([-0.1, 8.4, -4.5, 6.2]).double())
    for dim_size in (2, 3, 4):
        ours = fastnn.logcumsumexp(fastnn.from_numpy(terms[:dim_size].numpy()), 0)
        torch.testing.assert_close(torch.from_numpy(ours.numpy()), torch.logcumsumexp(terms[:dim_size], 0))


def test_product_of_nothing_is_part_of_the_graph() -> None:
    x = fastnn.ones(3, 0, dtype=fastnn.complex64, requires_grad=True)
    y = x.prod(1)
    assert y.requires_grad
    assert y.tolist() == [1, 1, 1]
    (gradient,) = fastnn.autograd.grad(y.abs().sum(), x)
    assert gradient.shape == (3, 0)
