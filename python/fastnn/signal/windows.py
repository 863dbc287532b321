r"""Window functions: weights of the samples of a short piece of a signal.

All take the number of weights ``M`` (at least 0) and ``sym``: True for a symmetric window, for the design of filters;
False for one that is a period of a periodic function, for spectral analysis. With n from 0 to M - 1, N is M - 1 for a
symmetric window and M for a periodic one. ``dtype`` is float32 or float64 (default: the default dtype).

Source: Harris, "On the Use of Windows for Harmonic Analysis with the Discrete Fourier Transform" (1978).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastnn import _C

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastnn._C import Tensor, _DeviceLike

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]

_HAMMING = 0.54


def _window(name: str, M: int, sym: bool, options: dict[str, Any], weights: Callable[[Tensor, int], Tensor]) -> Tensor:
    """``weights`` of the places and N, computed in double precision."""
    dtype = options["dtype"] if options["dtype"] is not None else _C.get_default_dtype()
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if options["layout"] is not _C.strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {options['layout']}")
    if dtype not in (_C.float32, _C.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    _C._check_device(options["device"], name)
    window = _weights(M, sym, weights).to(dtype)
    return window.requires_grad_() if options["requires_grad"] else window


def _weights(M: int, sym: bool, weights: Callable[[Tensor, int], Tensor]) -> Tensor:
    if M <= 1:
        return _C.ones(M, dtype=_C.float64)
    return weights(_C.arange(M, dtype=_C.float64), M - 1 if sym else M)


def _bartlett(n: Tensor, period: int) -> Tensor:
    return 1 - (n * (2 / period) - 1).abs()


def _cosines(coefficients: Iterable[float]) -> Callable[[Tensor, int], Tensor]:
    def weights(n: Tensor, period: int) -> Tensor:
        total = _C.zeros_like(n)
        for i, coefficient in enumerate(coefficients):
            total += (n * (2 * math.pi * i / period)).cos() * (coefficient if i % 2 == 0 else -coefficient)
        return total

    return weights


def _kaiser(beta: float) -> Callable[[Tensor, int], Tensor]:
    def weights(n: Tensor, period: int) -> Tensor:
        import numpy as np

        place = n * (2 / period) - 1
        bessel = np.i0((beta * (1 - place * place).clamp(min=0).sqrt()).numpy())
        return _C.from_numpy(bessel / float(np.i0(beta)))

    return weights


def bartlett(
    M: int,
    *,
    sym: bool = True,
    dtype: _C.dtype | None = None,
    layout: _C.layout = _C.strided,
    device: _DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    r"""A triangle: :math:`w_n = 1 - |2n/N - 1|`.

    Raises:
        ValueError: ``M`` is negative, or the dtype is neither float32 nor float64.

    Example::

        >>> import fastnn
        >>> fastnn.signal.windows.bartlett(5)
        tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("bartlett", M, sym, options, _bartlett)


def general_cosine(
    M: int,
    *,
    a: Iterable[float],
    sym: bool = True,
    dtype: _C.dtype | None = None,
    layout: _C.layout = _C.strided,
    device: _DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    r"""A sum of cosines: :math:`w_n = \sum_i (-1)^i a_i \cos(2\pi i n/N)`.

    Raises:
        TypeError: ``a`` is no sequence.
        ValueError: ``a`` is empty, ``M`` is negative, or the dtype is neither float32 nor float64.

    Example::

        >>> import fastnn
        >>> fastnn.signal.windows.general_cosine(3, a=[0.5, 0.5])
        tensor([0., 1., 0.])
    """
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    if not hasattr(a, "__iter__"):
        raise TypeError("Coefficients must be a list/tuple")
    coefficients = list(a)
    if not coefficients:
        raise ValueError("Coefficients cannot be empty")
    return _window("general_cosine", M, sym, options, _cosines(coefficients))


def blackman(
    M: int,
    *,
    sym: bool = True,
    dtype: _C.dtype | None = None,
    layout: _C.layout = _C.strided,
    device: _DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    r""":math:`w_n = 0.42 - 0.5 \cos(2\pi n/N) + 0.08 \cos(4\pi n/N)`.

    Errors are those of :func:`bartlett`.
    """
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("blackman", M, sym, options, _cosines((0.42, 0.5, 0.08)))


def nuttall(
    M: int,
    *,
    sym: bool = True,
    dtype: _C.dtype | None = None,
    layout: _C.layout = _C.strided,
    device: _DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """The minimum four-term Blackman-Harris window. Errors are those of :func:`bartlett`."""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("nuttall", M, sym, options, _cosines((0.3635819, 0.4891775, 0.1365995, 0.0106411)))


def general_hamming(
    M: int,
    *,
    alpha: float = _HAMMING,
    sym: bool = True,
    dtype: _C.dtype | None = None,
    layout: _C.layout = _C.strided,
    device: _DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    r""":math:`w_n = \alpha - (1 - \alpha) \cos(2\pi n/N)`. Errors are those of :func:`bartlett`."""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("general_hamming", M, sym, options, _cosines((alpha, 1 - alpha)))


def hamming(
    M: int,
    *,
    sym: bool = True,
    dtype: _C.dtype | None = None,
    layout: _C.layout = _C.strided,
    device: _DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    r""":math:`w_n = 0.54 - 0.46 \cos(2\pi n/N)`. Errors are those of :func:`bartlett`."""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("hamming", M, sym, options, _cosines((_HAMMING, 1 - _HAMMING)))


def hann(
    M: int,
    *,
    sym: bool = True,
    dtype: _C.dtype | None = None,
    layout: _C.layout = _C.strided,
    device: _DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    r""":math:`w_n = (1 - \cos(2\pi n/N)) / 2`. Errors are those of :func:`bartlett`.

    Example::

        >>> import fastnn
        >>> fastnn.signal.windows.hann(4, sym=False)
        tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("hann", M, sym, options, _cosines((0.5, 0.5)))


def cosine(
    M: int,
    *,
    sym: bool = True,
    dtype: _C.dtype | None = None,
    layout: _C.layout = _C.strided,
    device: _DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    r"""Half a wave: :math:`w_n = \sin(\pi (n + 1/2)/(N + 1))`. Errors are those of :func:`bartlett`."""
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("cosine", M, sym, options, lambda n, period: ((n + 0.5) * (math.pi / (period + 1))).sin())


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: _C.dtype | None = None,
    layout: _C.layout = _C.strided,
    device: _DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    r""":math:`w_n = e^{-|n - c|/\tau}`.

    Args:
        center: where the maximum is, for a window that is not symmetric (default: N/2).
        tau: the distance in which the window falls to 1/e.

    Raises:
        ValueError: ``tau`` is not positive, a symmetric window has a ``center``, or as for :func:`bartlett`.
    """
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    return _window(
        "exponential",
        M,
        sym,
        options,
        lambda n, period: (-(n - (period / 2 if center is None else center)).abs() / tau).exp(),
    )


def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: _C.dtype | None = None,
    layout: _C.layout = _C.strided,
    device: _DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    r""":math:`w_n = e^{-(n - N/2)^2 / (2\sigma^2)}`.

    Args:
        std: the standard deviation, in samples.

    Raises:
        ValueError: ``std`` is not positive, or as for :func:`bartlett`.
    """
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    return _window("gaussian", M, sym, options, lambda n, period: (-(((n - period / 2) / std) ** 2) / 2).exp())


def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: _C.dtype | None = None,
    layout: _C.layout = _C.strided,
    device: _DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    r""":math:`w_n = I_0(\beta \sqrt{1 - (2n/N - 1)^2}) / I_0(\beta)`, with the modified Bessel function of order 0.

    Args:
        beta: the larger, the narrower in time and the lower the side lobes.

    Raises:
        ValueError: ``beta`` is negative, or as for :func:`bartlett`.
    """
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return _window("kaiser", M, sym, options, _kaiser(beta))
