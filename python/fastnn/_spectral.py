"""Short-time Fourier transforms, and the window functions of the top level."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._autocast import in_float32
from fastnn.signal.windows import _bartlett, _cosines, _kaiser, _weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._C import Tensor, _DeviceLike

__all__ = [
    "bartlett_window",
    "blackman_window",
    "hamming_window",
    "hann_window",
    "istft",
    "kaiser_window",
    "stft",
]

_LEAST_OVERLAP = 1e-11


def _checked_window(op: str, window: Tensor | None, win_length: int, n_fft: int) -> Tensor | None:
    """The window in the middle of ``n_fft`` places."""
    if window is None:
        if win_length == n_fft:
            return None
        window = _C.ones(win_length)
    if window.dim() != 1 or window.size(0) != win_length:
        raise RuntimeError(
            f"{op}: expected a 1D window tensor of size equal to win_length={win_length}, but got window with size "
            f"{list(window.shape)}"
        )
    left = (n_fft - win_length) // 2
    return _C.nn.pad(window, (left, n_fft - win_length - left))


def _lengths(op: str, n_fft: int, hop_length: int | None, win_length: int | None) -> tuple[int, int]:
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    if hop <= 0:
        raise RuntimeError(f"{op}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{op}: expected 0 < win_length <= n_fft, but got win_length={length}")
    return hop, length


@in_float32
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    r"""The short-time Fourier transform: the spectra of overlapping pieces of a signal.

    .. math:: X_{\omega,m} = \sum_{k=0}^{n-1} w_k\, x_{mh + k}\, e^{-2\pi i \omega k/n}

    Args:
        input: the signal (L), or a batch (B, L) of them; real or complex.
        n_fft: n, the length of a piece.
        hop_length: h, the distance of the pieces' beginnings (default: ``n_fft // 4``).
        win_length: the length of the window, in the middle of a piece (default: ``n_fft``).
        window: w, of ``win_length`` weights (default: ones).
        center: pad the signal on both ends, so that piece m is centred at sample m h.
        pad_mode: how, as in :func:`fastnn.nn.functional.pad`.
        normalized: divide by the square root of n.
        onesided: only the ``n_fft // 2 + 1`` frequencies that are not conjugates of others (default: for a real signal
            and window).
        return_complex: complex numbers instead of their parts in a last dimension of 2. Must be given for real signals.
        align_to_window: without ``center``, place the first piece so that the window begins at the first sample.

    Returns:
        The spectra, (B, frequencies, pieces) or without B, complex or with a last dimension of 2.

    Raises:
        RuntimeError: the arguments do not go together, or the signal is shorter than a piece.

    Example::

        >>> import fastnn
        >>> window = fastnn.hann_window(4)
        >>> fastnn.stft(fastnn.ones(8), 4, window=window, center=False, return_complex=True).shape
        torch.Size([3, 5])
    """
    from fastnn import fft

    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError("stft: expected a tensor of floating point or complex values")
    if input.dim() not in (1, 2):
        raise RuntimeError(f"stft: expected a 1D or 2D tensor, but got a {input.dim()}D tensor")
    if center and align_to_window is not None:
        raise RuntimeError("stft: align_to_window should only be set when center = false")
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not is_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will further require that "
                "return_complex=True in a future PyTorch release."
            )
        return_complex = True
    hop, length = _lengths("stft", n_fft, hop_length, win_length)
    batch = input if input.dim() == 2 else input.unsqueeze(0)
    if center:
        batch = _C.nn.pad(batch.unsqueeze(0), (n_fft // 2, n_fft // 2), pad_mode).squeeze(0)
    elif align_to_window:
        missing = (n_fft - length) // 2
        batch = _C.nn.pad(batch, (missing, n_fft - length - missing))
    if not 0 < n_fft <= batch.size(1):
        raise RuntimeError(f"stft: expected 0 < n_fft < {batch.size(1)}, but got n_fft={n_fft}")
    placed = _checked_window("stft", window, length, n_fft)
    if onesided is None:
        onesided = not is_complex
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    pieces = batch.unfold(1, n_fft, hop)
    if placed is not None:
        pieces = pieces * placed
    spectra = (fft.rfft if onesided else fft.fft)(pieces, norm="ortho" if normalized else None)
    spectra = spectra.transpose(1, 2)
    if input.dim() == 1:
        spectra = spectra.squeeze(0)
    return spectra if return_complex else _C.view_as_real(spectra)


def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The inverse of :func:`stft`: the signal of which the overlapping pieces have these spectra, by least squares.

    Args:
        input: complex spectra, (B, frequencies, pieces) or without B.
        length: the length of the signal; what the pieces do not cover is 0 (default: what they cover).
        return_complex: the signal is complex.

    The other arguments are those of :func:`stft`.

    Returns:
        The signal, (B, L) or (L).

    Raises:
        RuntimeError: the spectra are not complex or do not go with the arguments, or the windows leave a sample out.

    Source: Griffin and Lim, "Signal Estimation from Modified Short-Time Fourier Transform" (1984).

    Example::

        >>> import fastnn
        >>> signal, window = fastnn.arange(16.0), fastnn.hann_window(8)
        >>> spectra = fastnn.stft(signal, 8, window=window, return_complex=True)
        >>> fastnn.allclose(fastnn.istft(spectra, 8, window=window), signal, atol=1e-5)
        True
    """
    from fastnn import fft

    if not input.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    if input.numel() == 0:
        raise RuntimeError("istft: input tensor cannot be empty.")
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"istft: expected a tensor with 2 or 3 dimensions, but got a tensor with {input.dim()} dimensions"
        )
    hop, win = _lengths("istft", n_fft, hop_length, win_length)
    if hop > win:
        raise RuntimeError(f"istft: expected 0 < hop_length <= win_length, but got hop_length={hop}")
    frequencies, count = input.size(-2), input.size(-1)
    if onesided is None:
        onesided = frequencies != n_fft
    if onesided and return_complex:
        raise RuntimeError("cannot have onesided output if window or input is complex")
    if frequencies != (n_fft // 2 + 1 if onesided else n_fft):
        expected = f"n_fft / 2 + 1 when onesided=True, but got {frequencies}"
        if not onesided:
            expected = f"n_fft when onesided=False, but got {frequencies}"
        raise RuntimeError(
            f"istft: expected the frequency dimension (3rd to the last) of the input tensor to match {expected}"
        )
    if window is not None and (window.dim() != 1 or window.size(0) != win):
        raise RuntimeError("istft: Invalid window shape. window has to be 1D and length of `win_length`")
    if not return_complex and window is not None and window.is_complex():
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    placed = _checked_window("istft", window, win, n_fft)
    if placed is None:
        placed = _C.ones(n_fft, dtype=input.dtype.to_real())
    spectra = (input if input.dim() == 3 else input.unsqueeze(0)).transpose(1, 2)
    norm = "ortho" if normalized else None
    if return_complex:
        pieces = fft.ifft(spectra, norm=norm)
    else:
        half = spectra if onesided else spectra.narrow(-1, 0, n_fft // 2 + 1)
        pieces = fft.irfft(half, n_fft, norm=norm)
    pieces = pieces * placed
    squares = (placed * placed).expand(1, count, n_fft)
    covered = n_fft + hop * (count - 1)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else covered - n_fft // 2 if center else covered
    signal = _overlap(pieces, hop, covered)[:, start:end]
    weight = _overlap(squares.to(pieces.dtype), hop, covered)[:, start:end]
    least = weight.detach().abs().min().item() if weight.numel() else 1.0
    if least < _LEAST_OVERLAP:
        raise RuntimeError(f"istft: window overlap add min: {least}")
    signal = signal / weight
    if end > covered:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded with zeros in the tail. "
            "Please check your center and hop_length settings.",
            stacklevel=2,
        )
        signal = _C.nn.pad(signal, (0, end - max(covered, start)))
    return signal if input.dim() == 3 else signal.squeeze(0)


def _overlap(pieces: Tensor, hop: int, length: int) -> Tensor:
    """The sum of pieces (B, count, n), each ``hop`` after the one before."""
    batch, count, n = pieces.shape
    places = (_C.arange(count) * hop).unsqueeze(1) + _C.arange(n)
    whole = _C.zeros(batch, length, dtype=pieces.dtype)
    return whole.index_add(1, places.reshape(-1), pieces.reshape(batch, count * n))


# --- windows ---------------------------------------------------------------------------------------------------------


def _window(
    name: str, window_length: int, periodic: bool, weights: Callable[[Tensor, int], Tensor], options: dict[str, Any]
) -> Tensor:
    dtype = options["dtype"] if options["dtype"] is not None else _C.get_default_dtype()
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(f"{name} expects floating point dtypes, got: {dtype}")
    if window_length < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={window_length}")
    _C._check_device(options["device"], name)
    window = _weights(window_length, not periodic, weights).to(dtype)
    return window.requires_grad_() if options["requires_grad"] else window


def bartlett_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: _C.dtype | None = None,
    layout: _C.layout | None = None,
    device: _DeviceLike = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """See :func:`fastnn.signal.windows.bartlett`.

    Raises:
        RuntimeError: the length is negative, or the dtype is an integer's.
    """
    options = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
    return _window("bartlett_window", window_length, periodic, _bartlett, options)


def blackman_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: _C.dtype | None = None,
    layout: _C.layout | None = None,
    device: _DeviceLike = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """See :func:`fastnn.signal.windows.blackman`; errors are those of :func:`bartlett_window`."""
    options = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
    return _window("blackman_window", window_length, periodic, _cosines((0.42, 0.5, 0.08)), options)


def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: _C.dtype | None = None,
    layout: _C.layout | None = None,
    device: _DeviceLike = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    r""":math:`w_n = \alpha - \beta \cos(2\pi n/N)`; errors are those of :func:`bartlett_window`."""
    options = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
    return _window("hamming_window", window_length, periodic, _cosines((alpha, beta)), options)


def hann_window(
    window_length: int,
    periodic: bool = True,
    *,
    dtype: _C.dtype | None = None,
    layout: _C.layout | None = None,
    device: _DeviceLike = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """See :func:`fastnn.signal.windows.hann`; errors are those of :func:`bartlett_window`.

    Example::

        >>> import fastnn
        >>> fastnn.hann_window(4)
        tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    options = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
    return _window("hann_window", window_length, periodic, _cosines((0.5, 0.5)), options)


def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: _C.dtype | None = None,
    layout: _C.layout | None = None,
    device: _DeviceLike = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """See :func:`fastnn.signal.windows.kaiser`; errors are those of :func:`bartlett_window`."""
    options = {"dtype": dtype, "device": device, "requires_grad": requires_grad}
    return _window("kaiser_window", window_length, periodic, _kaiser(beta), options)
