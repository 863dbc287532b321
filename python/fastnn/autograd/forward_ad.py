"""Tangents that travel with tensors: ``make_dual``, ``unpack_dual``.

The tangent of a result is the backward pass of a backward pass, computed when it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import _C
from fastnn._C import Tensor

from .grad_mode import _ModeContext, enable_grad

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]

# The pairs (dual tensor, tangent) of each level that was entered.
_levels: list[list[tuple[Tensor, Tensor]]] = []


class UnpackedDualTensor(NamedTuple):
    """What :func:`unpack_dual` gives: the value, and its tangent (None where there is none)."""

    primal: Tensor
    tangent: Tensor | None


def enter_dual_level() -> int:
    """Start a level; its number."""
    if _levels:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _levels.append([])
    return len(_levels) - 1


def exit_dual_level(*, level: int | None = None) -> None:
    """End a level: its tangents are gone."""
    if not _levels or (level is not None and level != len(_levels) - 1):
        raise RuntimeError("Trying to exit a forward AD level that was not the last one that was created.")
    _levels.pop()


class dual_level(_ModeContext):
    """A level inside a ``with``.

    Example::

        >>> import fastnn
        >>> from fastnn.autograd import forward_ad
        >>> with forward_ad.dual_level():
        ...     x = forward_ad.make_dual(fastnn.tensor(3.0), fastnn.tensor(1.0))
        ...     forward_ad.unpack_dual(x**2).tangent
        tensor(6.)
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        exit_dual_level()


def _current(level: int | None, what: str) -> list[tuple[Tensor, Tensor]]:
    if not _levels or (level is not None and level < 0):
        raise RuntimeError(
            f"Trying to {what} outside of a forward AD level: use with torch.autograd.forward_ad.dual_level()"
        )
    return _levels[-1 if level is None else level]


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """The values of ``tensor``, with a tangent.

    Args:
        tensor: the values, of a floating dtype.
        tangent: of the same shape and dtype.
        level: the level (default: the current one).

    Raises:
        RuntimeError: there is no level, shapes differ.
        ValueError: the dtype is not floating.
    """
    pairs = _current(level, "create a dual Tensor")
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise ValueError(f"Expected primal to be floating point or complex, but got: {tensor.dtype}")
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            f"Expected tangent with the shape of the primal, {tuple(tensor.shape)}, got {tuple(tangent.shape)}"
        )
    with enable_grad():
        dual = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
    pairs.append((dual, tangent))
    return dual


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The value and the tangent of a tensor; the tangent is None when it depends on no dual tensor.

    Args:
        tensor: any tensor.
        level: the level (default: the current one).
    """
    if not _levels:
        return UnpackedDualTensor(tensor, None)
    pairs = _current(level, "unpack a dual Tensor")
    for dual, tangent in pairs:
        if dual is tensor:
            return UnpackedDualTensor(dual.detach(), tangent)
    if not tensor.requires_grad or not pairs:
        return UnpackedDualTensor(tensor, None)
    duals = [dual for dual, _ in pairs]
    follow = _C.is_grad_enabled() and bool(_C._depends_on_others([tensor], duals))
    with enable_grad():
        weight = _C.zeros_like(tensor.detach()).requires_grad_()
        gradients: list[Any] = _C._run_backward([tensor], [weight], True, True, duals, True)
    if all(gradient is None for gradient in gradients):
        return UnpackedDualTensor(tensor, None)
    used = [(g, tangent) for g, (_, tangent) in zip(gradients, pairs, strict=True) if g is not None and g.requires_grad]
    found: Any = None
    if used:
        roots, directions = (list(column) for column in zip(*used, strict=True))
        (found,) = _C._run_backward(roots, directions, True, follow, [weight], True)
    return UnpackedDualTensor(
        tensor if follow else tensor.detach(), _C.zeros_like(tensor.detach()) if found is None else found
    )
