"""fastnn.fft, stft and istft, and window functions."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import fft

NORMS = (None, "backward", "ortho", "forward")


def real(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def complex_numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return real(*shape, seed=seed) + 1j * real(*shape, seed=seed + 1)


def assert_close(ours: Any, expected: Any, tolerance: float = 1e-12) -> None:
    assert tuple(ours.shape) == np.shape(expected)
    np.testing.assert_allclose(ours.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


# --- one dimension ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("n", [None, 3, 6, 9])
@pytest.mark.parametrize("dim", [-1, 0])
@pytest.mark.parametrize("name", ["fft", "ifft", "irfft", "hfft", "rfft", "ihfft"])
def test_one_dimension(name: str, dim: int, n: int | None, norm: str | None) -> None:
    values = real(5, 6) if name in ("rfft", "ihfft") else complex_numbers(5, 6)
    result = getattr(fft, name)(fastnn.tensor(values), n, dim, norm)
    assert_close(result, getattr(np.fft, name)(values, n, dim, norm))
    out = fastnn.empty(0, dtype=result.dtype)
    assert getattr(fft, name)(fastnn.tensor(values), n, dim, norm, out=out) is out
    assert_close(out, result.numpy())


@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
@pytest.mark.parametrize(
    ("s", "dim"), [(None, None), ((4, 3), None), (None, (0, 2)), ((3, 6), (2, 0)), ((-1, 4), (0, 1)), (None, (1,))]
)
def test_several_dimensions(name: str, s: Any, dim: Any) -> None:
    values = real(4, 5, 6) if name == "rfftn" else complex_numbers(4, 5, 6)
    result = getattr(fft, name)(fastnn.tensor(values), s, dim, "ortho")
    axes = dim if dim is not None or s is None else (1, 2)
    sizes = s if s is None else [values.shape[axis] if one == -1 else one for one, axis in zip(s, axes, strict=True)]
    assert_close(result, getattr(np.fft, name)(values, sizes, axes, "ortho"))


@pytest.mark.parametrize("name", ["fft2", "ifft2", "rfft2", "irfft2"])
def test_two_dimensions(name: str) -> None:
    values = real(2, 4, 5) if name == "rfft2" else complex_numbers(2, 4, 5)
    assert_close(getattr(fft, name)(fastnn.tensor(values)), getattr(np.fft, name)(values))
    assert_close(getattr(fft, name)(fastnn.tensor(values), (3, 4)), getattr(np.fft, name)(values, (3, 4)))


def test_hermitian_pairs() -> None:
    values = real(3, 4, 6)
    half = fft.ihfftn(fastnn.tensor(values))
    assert half.shape == (3, 4, 4)
    assert_close(fft.hfftn(half), values)
    assert_close(fft.hfft2(fft.ihfft2(fastnn.tensor(values), norm="ortho"), norm="ortho"), values)
    # One dimension at a time.
    assert_close(half, fft.ifftn(fft.ihfft(fastnn.tensor(values)), dim=(0, 1)).numpy())


def test_dtypes() -> None:
    for dtype, result in (
        (fastnn.float32, fastnn.complex64),
        (fastnn.float64, fastnn.complex128),
        (fastnn.complex64, fastnn.complex64),
        (fastnn.int64, fastnn.complex64),
        (fastnn.bool, fastnn.complex64),
    ):
        x = fastnn.ones(4, dtype=dtype)
        assert fft.fft(x).dtype is result
        assert fft.irfft(x).dtype is result.to_real()
        if not dtype.is_complex:
            assert fft.rfft(x).dtype is result
    with pytest.raises(RuntimeError, match="Unsupported dtype Half"):
        fft.fft(fastnn.ones(4, dtype=fastnn.float16))


def test_strided_input() -> None:
    values = complex_numbers(6, 8)
    x = fastnn.tensor(values)
    assert_close(fft.fft(x.t()[::2]), np.fft.fft(values.T[::2]))
    assert_close(fft.fft(x.real), np.fft.fft(values.real))


def test_errors() -> None:
    x = fastnn.ones(3, 4)
    with pytest.raises(RuntimeError, match=r"Invalid number of data points \(0\) specified"):
        fft.fft(x, 0)
    with pytest.raises(RuntimeError, match=r"Invalid number of data points"):
        fft.fft(fastnn.ones(3, 0))
    with pytest.raises(RuntimeError, match=r"Invalid number of data points"):
        fft.irfft(fastnn.ones(3, 1))
    with pytest.raises(IndexError, match="Dimension out of range"):
        fft.fft(x, dim=2)
    with pytest.raises(IndexError, match="no dimensions"):
        fft.fft(fastnn.tensor(1.0))
    with pytest.raises(RuntimeError, match='Invalid normalization mode: "half"'):
        fft.fft(x, norm="half")
    with pytest.raises(RuntimeError, match="rfft expects a real input tensor, but got ComplexFloat"):
        fft.rfft(x.cfloat())
    with pytest.raises(RuntimeError, match="must have the same length"):
        fft.fftn(x, (2,), (0, 1))
    with pytest.raises(RuntimeError, match="FFT dims must be unique"):
        fft.fftn(x, dim=(0, -2))
    with pytest.raises(RuntimeError, match="Got shape with 3 values but input tensor only has 2 dimensions"):
        fft.fftn(x, (1, 2, 3))


# --- derivatives -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("n", [None, 3, 5])
@pytest.mark.parametrize("name", ["fft", "ifft", "irfft", "hfft", "rfft", "ihfft"])
def test_gradients(name: str, n: int | None, norm: str | None) -> None:
    values = real(2, 4) if name in ("rfft", "ihfft") else complex_numbers(2, 4)
    x = fastnn.tensor(values).requires_grad_()

    def function(x: Any) -> Any:
        return getattr(fft, name)(x, n, norm=norm)

    assert fastnn.autograd.gradcheck(function, (x,))
    assert fastnn.autograd.gradgradcheck(lambda x: function(x).abs() ** 2, (x,))


@pytest.mark.parametrize("name", ["fftn", "ifftn", "irfftn", "hfftn", "rfftn", "ihfftn"])
def test_gradients_of_several_dimensions(name: str) -> None:
    values = real(2, 3, 4) if name in ("rfftn", "ihfftn") else complex_numbers(2, 3, 3)
    x = fastnn.tensor(values).requires_grad_()
    assert fastnn.autograd.gradcheck(lambda x: getattr(fft, name)(x, dim=(0, 2)), (x,))
    assert fastnn.autograd.gradgradcheck(lambda x: getattr(fft, name)(x, dim=(2, 1)).abs() ** 2, (x,))


# --- frequencies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 4, 5])
def test_frequencies(n: int) -> None:
    np.testing.assert_allclose(fft.fftfreq(n, 0.5, dtype=fastnn.float64).numpy(), np.fft.fftfreq(n, 0.5))
    np.testing.assert_allclose(fft.rfftfreq(n, 0.5, dtype=fastnn.float64).numpy(), np.fft.rfftfreq(n, 0.5))
    assert fft.fftfreq(n).dtype is fastnn.float32
    for dim in (None, 0, (0, 1)):
        x = fastnn.arange(5 * n).reshape(5, n)
        np.testing.assert_array_equal(fft.fftshift(x, dim).numpy(), np.fft.fftshift(x.numpy(), dim))
        np.testing.assert_array_equal(fft.ifftshift(x, dim).numpy(), np.fft.ifftshift(x.numpy(), dim))
        assert fft.ifftshift(fft.fftshift(x, dim), dim).equal(x)


def test_fft_is_loaded_when_used() -> None:
    script = "import sys, fastnn; assert 'fastnn.fft' not in sys.modules; fastnn.fft.fft; fastnn.hann_window(3)"
    subprocess.run([sys.executable, "-c", script], check=True)


# --- short time ------------------------------------------------------------------------------------------------------


def reference_stft(signal: np.ndarray, n_fft: int, hop: int, window: np.ndarray, centre: bool) -> np.ndarray:
    if centre:
        signal = np.pad(signal, n_fft // 2, mode="reflect")
    starts = range(0, len(signal) - n_fft + 1, hop)
    return np.stack([np.fft.rfft(signal[start : start + n_fft] * window) for start in starts], axis=1)


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("hop", [2, 3, None])
def test_stft(hop: int | None, centre: bool) -> None:
    signal = real(2, 40)
    window = fastnn.hann_window(6, dtype=fastnn.float64)
    padded = np.pad(window.numpy(), 1)
    result = fastnn.stft(fastnn.tensor(signal), 8, hop, 6, window, centre, return_complex=True)
    for got, one in zip(result, signal, strict=True):
        assert_close(got, reference_stft(one, 8, hop or 2, padded, centre))
    one = fastnn.tensor(signal[0]).stft(8, hop, 6, window, centre, return_complex=False)
    assert_close(one, fastnn.view_as_real(result[0]).numpy())
    whole = fastnn.stft(fastnn.tensor(signal), 8, hop, 6, window, centre, onesided=False, return_complex=True)
    assert whole.shape[1] == 8
    assert_close(whole[:, :5], result.numpy())
    scaled = fastnn.stft(fastnn.tensor(signal), 8, hop, 6, window, centre, normalized=True, return_complex=True)
    assert_close(scaled * math.sqrt(8), result.numpy())


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("onesided", [True, False])
def test_istft_is_the_inverse(onesided: bool, normalized: bool) -> None:
    signal = fastnn.tensor(real(3, 50))
    window = fastnn.hann_window(8, dtype=fastnn.float64)
    spectra = fastnn.stft(signal, 8, 2, window=window, onesided=onesided, normalized=normalized, return_complex=True)
    again = spectra.istft(8, 2, window=window, onesided=onesided, normalized=normalized, length=50)
    assert_close(again, signal.numpy())
    assert fastnn.istft(spectra[0], 8, 2, window=window, onesided=onesided).shape == (50,)


def test_complex_signal() -> None:
    signal = fastnn.tensor(complex_numbers(40))
    spectra = fastnn.stft(signal, 8)
    assert spectra.shape == (8, 21)
    assert_close(fastnn.istft(spectra, 8, return_complex=True), signal.numpy())


def test_istft_beyond_the_end() -> None:
    spectra = fastnn.stft(fastnn.ones(20), 4, return_complex=True)
    with pytest.warns(UserWarning, match="padded with zeros"):
        signal = fastnn.istft(spectra, 4, length=30)
    assert signal.shape == (30,)
    assert signal[-1].item() == 0


def test_stft_errors() -> None:
    x = fastnn.ones(10)
    with pytest.raises(RuntimeError, match="requires the return_complex parameter"):
        fastnn.stft(x, 4)
    with pytest.raises(RuntimeError, match="expected 0 < n_fft"):
        fastnn.stft(x, 11, center=False, return_complex=True)
    with pytest.raises(RuntimeError, match="hop_length > 0"):
        fastnn.stft(x, 4, 0, return_complex=True)
    with pytest.raises(RuntimeError, match="win_length <= n_fft"):
        fastnn.stft(x, 4, 1, 5, return_complex=True)
    with pytest.raises(RuntimeError, match="expected a 1D window"):
        fastnn.stft(x, 4, window=fastnn.ones(3), return_complex=True)
    with pytest.raises(RuntimeError, match="onesided"):
        fastnn.stft(x.cfloat(), 4, onesided=True)
    with pytest.raises(RuntimeError, match="1D or 2D"):
        fastnn.stft(fastnn.ones(1, 1, 9), 4, return_complex=True)
    with pytest.raises(RuntimeError, match="align_to_window"):
        fastnn.stft(x, 4, align_to_window=True, return_complex=True)
    with pytest.raises(RuntimeError, match="complex-valued input"):
        fastnn.istft(fastnn.ones(3, 5), 4)
    with pytest.raises(RuntimeError, match="window overlap add min"):
        fastnn.istft(fastnn.ones(3, 5, dtype=fastnn.cfloat), 4, 4, window=fastnn.hann_window(4), center=False)
    with pytest.raises(RuntimeError, match="frequency dimension"):
        fastnn.istft(fastnn.ones(4, 5, dtype=fastnn.cfloat), 4, onesided=True)


def test_stft_gradients() -> None:
    x = fastnn.tensor(real(14)).requires_grad_()
    window = fastnn.hann_window(4, dtype=fastnn.float64)
    assert fastnn.autograd.gradcheck(lambda x: fastnn.stft(x, 4, 1, window=window, return_complex=True), (x,))
    spectra = fastnn.tensor(complex_numbers(3, 6)).requires_grad_()
    assert fastnn.autograd.gradcheck(lambda s: fastnn.istft(s, 4, 1, window=window), (spectra,))


# --- windows ---------------------------------------------------------------------------------------------------------

REFERENCES = {
    "bartlett": np.bartlett,
    "blackman": np.blackman,
    "hamming": np.hamming,
    "hann": np.hanning,
    "kaiser": lambda m: np.kaiser(m, 12.0),
}


@pytest.mark.parametrize("m", [0, 1, 2, 7, 8])
@pytest.mark.parametrize("name", REFERENCES)
def test_windows(name: str, m: int) -> None:
    function = getattr(fastnn.signal.windows, name)
    top = getattr(fastnn, f"{name}_window")
    symmetric = function(m, dtype=fastnn.float64)
    np.testing.assert_allclose(symmetric.numpy(), REFERENCES[name](m), atol=1e-12)
    np.testing.assert_allclose(top(m, periodic=False, dtype=fastnn.float64).numpy(), symmetric.numpy(), atol=1e-14)
    periodic = function(m, sym=False, dtype=fastnn.float64)
    if m > 1:
        np.testing.assert_allclose(periodic.numpy(), REFERENCES[name](m + 1)[:-1], atol=1e-12)
    np.testing.assert_allclose(top(m, dtype=fastnn.float64).numpy(), periodic.numpy(), atol=1e-14)
    assert function(m).dtype is fastnn.float32
    assert function(m, requires_grad=True).requires_grad


def test_more_windows() -> None:
    windows, n = fastnn.signal.windows, np.arange(7)
    cases = {
        "cosine": (windows.cosine(7, dtype=fastnn.float64), np.sin(np.pi * (n + 0.5) / 7)),
        "exponential": (windows.exponential(7, tau=2.0, dtype=fastnn.float64), np.exp(-np.abs(n - 3) / 2)),
        "off centre": (
            windows.exponential(7, center=1, sym=False, dtype=fastnn.float64),
            np.exp(-np.abs(n - 1.0)),
        ),
        "gaussian": (windows.gaussian(7, std=1.5, dtype=fastnn.float64), np.exp(-(((n - 3) / 1.5) ** 2) / 2)),
        "general_hamming": (
            windows.general_hamming(7, alpha=0.6, dtype=fastnn.float64),
            0.6 - 0.4 * np.cos(np.pi * n / 3),
        ),
        "nuttall": (windows.nuttall(7, dtype=fastnn.float64)[3:4], np.ones(1)),
    }
    for name, (ours, expected) in cases.items():
        np.testing.assert_allclose(ours.numpy(), expected, atol=1e-12, err_msg=name)
    custom = fastnn.hamming_window(6, False, 0.7, 0.2, dtype=fastnn.float64)
    np.testing.assert_allclose(custom.numpy(), 0.7 - 0.2 * np.cos(2 * np.pi * np.arange(6) / 5))


def test_window_errors() -> None:
    windows = fastnn.signal.windows
    with pytest.raises(ValueError, match="non-negative window length, got M=-1"):
        windows.hann(-1)
    with pytest.raises(ValueError, match="float32 or float64"):
        windows.hann(3, dtype=fastnn.float16)
    with pytest.raises(ValueError, match="Tau must be positive"):
        windows.exponential(3, tau=0)
    with pytest.raises(ValueError, match="Center must be None"):
        windows.exponential(3, center=1)
    with pytest.raises(ValueError, match="Standard deviation must be positive"):
        windows.gaussian(3, std=-1)
    with pytest.raises(ValueError, match="beta must be non-negative"):
        windows.kaiser(3, beta=-1)
    with pytest.raises(ValueError, match="cannot be empty"):
        windows.general_cosine(3, a=[])
    with pytest.raises(TypeError, match="list/tuple"):
        windows.general_cosine(3, a=1)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="non-negative window_length"):
        fastnn.hann_window(-1)
    with pytest.raises(RuntimeError, match="floating point dtypes"):
        fastnn.hann_window(3, dtype=fastnn.int64)
