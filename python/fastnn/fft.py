r"""Discrete Fourier transforms, computed by NumPy on the tensors' memory.

.. math:: X_k = \sum_{j=0}^{n-1} x_j\, e^{-2\pi i jk/n}

A transform along several dimensions is that along each of them in turn. float32 gives complex64, float64 complex128,
integers are read as the default dtype. ``norm`` says where the factor goes that makes the inverse one:

============== ================= ==================
``norm``       forward transform inverse transform
============== ================= ==================
``"backward"`` 1                 1/n (the default)
``"ortho"``    1/sqrt(n)         1/sqrt(n)
``"forward"``  1/n               1
============== ================= ==================

Source: Cooley and Tukey, "An Algorithm for the Machine Calculation of Complex Fourier Series" (1965).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _C
from fastnn.autograd.function import Function

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastnn._C import Tensor, _DeviceLike, _DTypeLike

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]

# The norm with which the other direction has the same factor.
_OPPOSITE = {"backward": "forward", "ortho": "ortho", "forward": "backward"}
_LAST_TWO = (-2, -1)


# --- transforms of whole tensors, which know their derivatives -------------------------------------------------------


def _from_array(array: Any, complex_dtype: Any) -> Tensor:
    wanted = complex_dtype if np.iscomplexobj(array) else complex_dtype.to_real()
    return _C.from_numpy(array).to(wanted)  # NumPy before 2.0 computes in double precision


class _ComplexToComplex(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...], norm: str, inverse: bool) -> Tensor:
        ctx.arguments = dims, _OPPOSITE[norm], not inverse
        transform = np.fft.ifftn if inverse else np.fft.fftn
        return _from_array(transform(x.detach().numpy(), axes=dims, norm=norm), x.dtype)  # type: ignore[arg-type]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return _complex_to_complex(grad, *ctx.arguments), None, None, None


class _RealToComplex(Function):
    """The half of the spectrum of real numbers that says all."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...], norm: str) -> Tensor:
        ctx.arguments = dims, x.shape[dims[-1]], _OPPOSITE[norm]
        spectrum = np.fft.rfftn(x.detach().numpy(), axes=dims, norm=norm)  # type: ignore[arg-type]
        return _from_array(spectrum, x.dtype.to_complex())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        dims, n, norm = ctx.arguments
        return _complex_to_real(_weighted(grad, dims[-1], n, 0.5), dims, n, norm), None, None


class _ComplexToReal(Function):
    """Back from half a spectrum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dims: tuple[int, ...], n: int, norm: str) -> Tensor:
        ctx.arguments = dims, n, _OPPOSITE[norm]
        sizes = [x.shape[dim] for dim in dims[:-1]] + [n]
        values = np.fft.irfftn(x.detach().numpy(), s=sizes, axes=dims, norm=norm)  # type: ignore[arg-type]
        return _from_array(values, x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        dims, n, norm = ctx.arguments
        return _weighted(_real_to_complex(grad, dims, norm), dims[-1], n, 2.0), None, None, None


def _weighted(spectrum: Tensor, dim: int, n: int, weight: float) -> Tensor:
    """Half a spectrum, with a weight on the places that stand for two of the whole one."""
    weights = _C.full((spectrum.shape[dim],), weight, dtype=spectrum.dtype.to_real())
    weights[0] = 1.0
    if n % 2 == 0:
        weights[n // 2] = 1.0
    shape = [1] * spectrum.dim()
    shape[dim] = -1
    return spectrum * weights.reshape(shape)


def _complex_to_complex(x: Tensor, dims: tuple[int, ...], norm: str, inverse: bool) -> Tensor:
    return _ComplexToComplex.apply(x, dims, norm, inverse)  # type: ignore[no-any-return]


def _real_to_complex(x: Tensor, dims: tuple[int, ...], norm: str) -> Tensor:
    return _RealToComplex.apply(x, dims, norm)  # type: ignore[no-any-return]


def _complex_to_real(x: Tensor, dims: tuple[int, ...], n: int, norm: str) -> Tensor:
    return _ComplexToReal.apply(x, dims, n, norm)  # type: ignore[no-any-return]


# --- arguments -------------------------------------------------------------------------------------------------------


def _promoted(input: Tensor, *, to_complex: bool) -> Tensor:
    dtype = input.dtype
    if dtype in (_C.float16, _C.bfloat16):
        if _C._autocast_state()[0]:
            return _promoted(input.float(), to_complex=to_complex)
        raise RuntimeError(f"Unsupported dtype {'Half' if dtype == _C.float16 else 'BFloat16'}")
    if not (dtype.is_floating_point or dtype.is_complex):
        dtype = _C.get_default_dtype()
    return input.to(dtype.to_complex() if to_complex else dtype)


def _checked_norm(norm: str | None) -> str:
    if norm is None:
        return "backward"
    if norm not in _OPPOSITE:
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    return norm


def _check_points(n: int) -> None:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")


def _wrap(dim: int, ndim: int) -> int:
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        least, most = -max(ndim, 1), max(ndim, 1) - 1
        raise IndexError(f"Dimension out of range (expected to be in range of [{least}, {most}], but got {dim})")
    return dim % max(ndim, 1)


def _sizes_and_dims(
    input: Tensor, s: Sequence[int] | int | None, dim: Sequence[int] | int | None
) -> tuple[list[int], tuple[int, ...]]:
    """How many elements to transform along which dimensions."""
    shape = input.shape
    given = (s,) if isinstance(s, int) else s
    if dim is not None:
        listed = [_wrap(one, input.dim()) for one in ((dim,) if isinstance(dim, int) else dim)]
        if len(set(listed)) != len(listed):
            raise RuntimeError("FFT dims must be unique")
    elif given is not None:
        if len(given) > input.dim():
            raise RuntimeError(
                f"Got shape with {len(given)} values but input tensor only has {input.dim()} dimensions."
            )
        listed = list(range(input.dim() - len(given), input.dim()))
    else:
        listed = list(range(input.dim()))
    if given is None:
        sizes = [shape[one] for one in listed]
    else:
        if len(given) != len(listed):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
        sizes = [shape[one] if size == -1 else size for size, one in zip(given, listed, strict=True)]
    for size in sizes:
        _check_points(size)
    return sizes, tuple(listed)


def _resized(x: Tensor, sizes: Sequence[int], dims: Sequence[int]) -> Tensor:
    """The beginning of each dimension, or all of it with zeros behind."""
    for size, dim in zip(sizes, dims, strict=True):
        have = x.shape[dim]
        if size < have:
            x = x.narrow(dim, 0, size)
        elif size > have:
            missing = list(x.shape)
            missing[dim] = size - have
            x = _C.cat([x, x.new_zeros(missing)], dim)
    return x


def _into(result: Tensor, out: Tensor | None) -> Tensor:
    return result if out is None else out.resize_(result.shape).copy_(result)


def _whole(input: Tensor, s: Any, dim: Any, norm: str | None, out: Tensor | None, *, inverse: bool) -> Tensor:
    x = _promoted(input, to_complex=True)
    sizes, dims = _sizes_and_dims(x, s, dim)
    kind = _checked_norm(norm)
    if not dims:
        return _into(x.clone(), out)
    return _into(_complex_to_complex(_resized(x, sizes, dims), dims, kind, inverse), out)


def _half(name: str, input: Tensor, s: Any, dim: Any, norm: str | None) -> Tensor:
    if input.is_complex():
        kind = "ComplexDouble" if input.dtype == _C.complex128 else "ComplexFloat"
        raise RuntimeError(f"{name} expects a real input tensor, but got {kind}")
    x = _promoted(input, to_complex=False)
    sizes, dims = _sizes_and_dims(x, s, dim)
    kind = _checked_norm(norm)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    return _real_to_complex(_resized(x, sizes, dims), dims, kind)


def _from_half(name: str, input: Tensor, s: Any, dim: Any, norm: str | None, *, conjugate: bool) -> Tensor:
    x = _promoted(input, to_complex=True)
    given = (s,) if isinstance(s, int) else s
    # The last size is that of the result.
    last = -1 if given is None or len(given) == 0 else given[-1]
    sizes, dims = _sizes_and_dims(x, given, dim)
    kind = _checked_norm(norm)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    n = 2 * (x.shape[dims[-1]] - 1) if last == -1 else last
    _check_points(n)
    sizes[-1] = n // 2 + 1
    x = _resized(x, sizes, dims)
    return _complex_to_real(x.conj() if conjugate else x, dims, n, kind)


def _one(n: int | None) -> tuple[int] | None:
    if n is not None:
        _check_points(n)
        return (n,)
    return None


def _need_dimension(input: Tensor, dim: int) -> None:
    if input.dim() == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")


# --- one dimension ---------------------------------------------------------------------------------------------------


def fft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The Fourier transform along one dimension.

    Args:
        input: real or complex.
        n: how many elements to transform: the first ones, or all and zeros behind (default: all).
        dim: the dimension.
        norm: ``"backward"``, ``"ortho"`` or ``"forward"``.

    Raises:
        RuntimeError: ``n`` is less than 1, the norm is unknown, or the dtype has 16 bits.
        IndexError: there is no such dimension.

    Example::

        >>> import fastnn
        >>> fastnn.fft.fft(fastnn.tensor([1.0, 2.0, 3.0, 4.0]))
        tensor([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j])
    """
    _need_dimension(input, dim)
    return _whole(input, _one(n), (dim,), norm, out, inverse=False)


def ifft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The inverse of :func:`fft`, with the same arguments.

    Example::

        >>> import fastnn
        >>> fastnn.fft.ifft(fastnn.tensor([4.0, 0.0, 0.0, 0.0]))
        tensor([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j])
    """
    _need_dimension(input, dim)
    return _whole(input, _one(n), (dim,), norm, out, inverse=True)


def rfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The first ``n // 2 + 1`` elements of the Fourier transform of real numbers; the others are their conjugates.

    Args and errors are those of :func:`fft`; a complex ``input`` is an error.

    Example::

        >>> import fastnn
        >>> fastnn.fft.rfft(fastnn.tensor([1.0, 2.0, 3.0, 4.0]))
        tensor([10.+0.j, -2.+2.j, -2.+0.j])
    """
    _need_dimension(input, dim)
    return _into(_half("rfft", input, _one(n), (dim,), norm), out)


def irfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The inverse of :func:`rfft`: real numbers from half a spectrum.

    Args:
        n: how many numbers the result has (default: ``2 * (input.size(dim) - 1)``).

    The other arguments and the errors are those of :func:`fft`.

    Example::

        >>> import fastnn
        >>> fastnn.fft.irfft(fastnn.tensor([10.0, -2.0 + 2.0j, -2.0]))
        tensor([1., 2., 3., 4.])
    """
    _need_dimension(input, dim)
    return _into(_from_half("irfft", input, _one(n), (dim,), norm, conjugate=False), out)


def hfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The real Fourier transform of a signal of which half is given, the other half being its conjugate mirrored.

    Args are those of :func:`irfft`.

    Example::

        >>> import fastnn
        >>> fastnn.fft.hfft(fastnn.tensor([1.0, 2.0, 3.0]))
        tensor([ 8., -2.,  0., -2.])
    """
    _need_dimension(input, dim)
    opposite = _OPPOSITE[_checked_norm(norm)]
    return _into(_from_half("hfft", input, _one(n), (dim,), opposite, conjugate=True), out)


def ihfft(
    input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None
) -> Tensor:
    """The inverse of :func:`hfft`: half a signal from its real Fourier transform.

    Args are those of :func:`rfft`.

    Example::

        >>> import fastnn
        >>> fastnn.fft.ihfft(fastnn.tensor([8.0, -2.0, 0.0, -2.0])).real
        tensor([1., 2., 3.])
    """
    _need_dimension(input, dim)
    return _into(_half("ihfft", input, _one(n), (dim,), _OPPOSITE[_checked_norm(norm)]).conj(), out)


# --- several dimensions ----------------------------------------------------------------------------------------------


def fftn(
    input: Tensor,
    s: Sequence[int] | int | None = None,
    dim: Sequence[int] | int | None = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """The Fourier transform along several dimensions.

    Args:
        input: real or complex.
        s: how many elements to transform in each dimension (-1: all), cut or filled up with zeros.
        dim: the dimensions (default: the last ``len(s)``, or all).
        norm: ``"backward"``, ``"ortho"`` or ``"forward"``; n is the product of the sizes.

    Raises:
        RuntimeError: ``s`` and ``dim`` have different lengths, a size is less than 1, a dimension is named twice, the
            norm is unknown, or the dtype has 16 bits.
        IndexError: there is no such dimension.

    Example::

        >>> import fastnn
        >>> fastnn.fft.fftn(fastnn.ones(2, 2))
        tensor([[4.+0.j, 0.+0.j],
                [0.+0.j, 0.+0.j]])
    """
    return _whole(input, s, dim, norm, out, inverse=False)


def ifftn(
    input: Tensor,
    s: Sequence[int] | int | None = None,
    dim: Sequence[int] | int | None = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """The inverse of :func:`fftn`, with the same arguments."""
    return _whole(input, s, dim, norm, out, inverse=True)


def rfftn(
    input: Tensor,
    s: Sequence[int] | int | None = None,
    dim: Sequence[int] | int | None = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """The Fourier transform of real numbers along several dimensions, in the last of which only half is kept.

    Args are those of :func:`fftn`; a complex ``input`` is an error.
    """
    return _into(_half("rfftn", input, s, dim, norm), out)


def irfftn(
    input: Tensor,
    s: Sequence[int] | int | None = None,
    dim: Sequence[int] | int | None = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """The inverse of :func:`rfftn`; ``s`` has the sizes of the result (the last by default that of an even one)."""
    return _into(_from_half("irfftn", input, s, dim, norm, conjugate=False), out)


def hfftn(
    input: Tensor,
    s: Sequence[int] | int | None = None,
    dim: Sequence[int] | int | None = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """:func:`hfft` along several dimensions, in the last of which half is given."""
    return _into(_from_half("hfftn", input, s, dim, _OPPOSITE[_checked_norm(norm)], conjugate=True), out)


def ihfftn(
    input: Tensor,
    s: Sequence[int] | int | None = None,
    dim: Sequence[int] | int | None = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """The inverse of :func:`hfftn`."""
    return _into(_half("ihfftn", input, s, dim, _OPPOSITE[_checked_norm(norm)]).conj(), out)


def fft2(
    input: Tensor,
    s: Sequence[int] | int | None = None,
    dim: Sequence[int] | int | None = _LAST_TWO,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """:func:`fftn` along the last two dimensions."""
    return fftn(input, s, dim, norm, out=out)


def ifft2(
    input: Tensor,
    s: Sequence[int] | int | None = None,
    dim: Sequence[int] | int | None = _LAST_TWO,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """:func:`ifftn` along the last two dimensions."""
    return ifftn(input, s, dim, norm, out=out)


def rfft2(
    input: Tensor,
    s: Sequence[int] | int | None = None,
    dim: Sequence[int] | int | None = _LAST_TWO,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """:func:`rfftn` along the last two dimensions."""
    return rfftn(input, s, dim, norm, out=out)


def irfft2(
    input: Tensor,
    s: Sequence[int] | int | None = None,
    dim: Sequence[int] | int | None = _LAST_TWO,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """:func:`irfftn` along the last two dimensions."""
    return irfftn(input, s, dim, norm, out=out)


def hfft2(
    input: Tensor,
    s: Sequence[int] | int | None = None,
    dim: Sequence[int] | int | None = _LAST_TWO,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """:func:`hfftn` along the last two dimensions."""
    return hfftn(input, s, dim, norm, out=out)


def ihfft2(
    input: Tensor,
    s: Sequence[int] | int | None = None,
    dim: Sequence[int] | int | None = _LAST_TWO,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """:func:`ihfftn` along the last two dimensions."""
    return ihfftn(input, s, dim, norm, out=out)


# --- frequencies -----------------------------------------------------------------------------------------------------


def _frequencies(places: Tensor, n: int, d: float, dtype: Any, requires_grad: bool, out: Tensor | None) -> Tensor:
    chosen = dtype if dtype is not None else out.dtype if out is not None else _C.get_default_dtype()
    result = _into(places.to(chosen) * (1.0 / (n * d)), out)
    return result.requires_grad_() if requires_grad else result


def fftfreq(
    n: int,
    d: float = 1.0,
    *,
    out: Tensor | None = None,
    dtype: _DTypeLike | None = None,
    layout: _C.layout | None = None,
    device: _DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """The frequencies of the ``n`` elements of :func:`fft`, for samples that are ``d`` apart.

    Example::

        >>> import fastnn
        >>> fastnn.fft.fftfreq(5)
        tensor([ 0.0000,  0.2000,  0.4000, -0.4000, -0.2000])
    """
    _C._check_device(device, "fftfreq")
    places = _C.cat([_C.arange((n + 1) // 2), _C.arange(-(n // 2), 0)])
    return _frequencies(places, n, d, dtype, requires_grad, out)


def rfftfreq(
    n: int,
    d: float = 1.0,
    *,
    out: Tensor | None = None,
    dtype: _DTypeLike | None = None,
    layout: _C.layout | None = None,
    device: _DeviceLike = None,
    requires_grad: bool = False,
) -> Tensor:
    """The frequencies of the ``n // 2 + 1`` elements of :func:`rfft`, for samples that are ``d`` apart.

    Example::

        >>> import fastnn
        >>> fastnn.fft.rfftfreq(5)
        tensor([0.0000, 0.2000, 0.4000])
    """
    _C._check_device(device, "rfftfreq")
    return _frequencies(_C.arange(n // 2 + 1), n, d, dtype, requires_grad, out)


def _shifted(input: Tensor, dim: Sequence[int] | int | None, *, inverse: bool) -> Tensor:
    dims = list(range(input.dim())) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    steps = [-(input.size(one) // 2) if inverse else input.size(one) // 2 for one in dims]
    return _C.roll(input, steps, dims)


def fftshift(input: Tensor, dim: Sequence[int] | int | None = None) -> Tensor:
    """The elements in the order of their frequencies, 0 in the middle.

    Example::

        >>> import fastnn
        >>> fastnn.fft.fftshift(fastnn.fft.fftfreq(4))
        tensor([-0.5000, -0.2500,  0.0000,  0.2500])
    """
    return _shifted(input, dim, inverse=False)


def ifftshift(input: Tensor, dim: Sequence[int] | int | None = None) -> Tensor:
    """The inverse of :func:`fftshift`."""
    return _shifted(input, dim, inverse=True)
