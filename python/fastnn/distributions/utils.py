"""Helpers of the distributions: parameters of one shape, logits and probabilities, lazily computed properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import fastnn
from fastnn import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]

euler_constant = 0.57721566490153286060

T = TypeVar("T")
R = TypeVar("R")


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Tensors of one shape from tensors and numbers; numbers get the dtype of the first tensor.

    Raises:
        ValueError: a value is neither a number nor a tensor.

    Example:
        >>> import fastnn
        >>> fastnn.distributions.utils.broadcast_all(1.0, fastnn.zeros(2))
        (tensor([1., 1.]), tensor([0., 0.]))
    """
    for value in values:
        if not isinstance(value, (Tensor, int, float)):
            raise ValueError(
                f"Input arguments must all be instances of Number or Tensor, but got {type(value).__name__}"
            )
    first = next((value for value in values if isinstance(value, Tensor)), None)
    dtype = fastnn.get_default_dtype() if first is None else first.dtype
    tensors = [value if isinstance(value, Tensor) else fastnn.tensor(value, dtype=dtype) for value in values]
    return tuple(fastnn.broadcast_tensors(*tensors))


def standard_normal(shape: Any, like: Tensor) -> Tensor:
    """Standard normals of this shape and of the dtype of `like`."""
    return fastnn.empty(shape, dtype=like.dtype).normal_()


def sum_rightmost(value: Tensor, dims: int) -> Tensor:
    """The sum over the last `dims` dimensions."""
    return value if dims == 0 else value.reshape((*value.shape[: value.ndim - dims], -1)).sum(-1)


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities from log-odds, or with `is_binary=False` from unnormalised log-probabilities in the last dim."""
    return fastnn.sigmoid(logits) if is_binary else fastnn.softmax(logits, dim=-1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities moved away from 0 and 1 by the resolution of their dtype."""
    eps = fastnn.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Logarithms of probabilities, or with `is_binary` log-odds."""
    clamped = clamp_probs(probs)
    return fastnn.log(clamped) - fastnn.log1p(-clamped) if is_binary else fastnn.log(clamped)


def one_of(probs: Any, logits: Any) -> str:
    """Which of the two parameters is given: exactly one must be."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")
    return "probs" if logits is None else "logits"


class lazy_property(Generic[T, R]):
    """A property that is computed when first read, with gradients, and then kept."""

    def __init__(self, wrapped: Callable[[T], R]) -> None:
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__
        self.__name__ = wrapped.__name__

    @overload
    def __get__(self, instance: None, owner: Any = None) -> lazy_property[T, R]: ...
    @overload
    def __get__(self, instance: T, owner: Any = None) -> R: ...
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        with fastnn.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.__name__, value)
        return value


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The elements on and below a diagonal of matrices (..., n, n), row by row, as (..., m).

    Raises:
        ValueError: there is no such diagonal.
    """
    n = mat.shape[-1]
    if not -n < diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = fastnn.tril_indices(n, n, offset=diag)
    return mat[..., rows, columns]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """Matrices (..., n, n) with these elements (..., m) on and below a diagonal, row by row.

    Raises:
        ValueError: no matrix has this number of elements there.
    """
    side = (-(1 + 2 * diag) + ((1 + 2 * diag) ** 2 + 8 * vec.shape[-1] + 4 * abs(diag) * (diag + 1)) ** 0.5) / 2
    n = round(side)
    if abs(side - n) > fastnn.finfo(vec.dtype).eps * 10:
        raise ValueError(
            f"The size of last dimension is {vec.shape[-1]} which cannot be expressed as the lower "
            "triangular part of a square D x D matrix."
        )
    rows, columns = fastnn.tril_indices(n, n, offset=diag)
    mat = fastnn.zeros((*vec.shape[:-1], n, n), dtype=vec.dtype)
    mat[..., rows, columns] = vec
    return mat
