"""Operations as modules, for models that PyTorch could quantize: here they compute in floating point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from fastnn import _C
from fastnn._C import Tensor

from .._missing import missing_attribute
from .modules import Identity, Module

__all__ = ["FloatFunctional"]


class FloatFunctional(Module):
    """Operations that have no parameters, as a module that an observer can be attached to.

    Attributes:
        activation_post_process: a module that every result goes through; the identity.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.quantized.FloatFunctional().add_relu(fastnn.tensor([1.0, -3.0]), fastnn.ones(2))
        tensor([2., 0.])
    """

    def __init__(self) -> None:
        super().__init__()
        self.activation_post_process = Identity()

    def forward(self, x: Tensor) -> NoReturn:
        """An error: the operations are methods.

        Raises:
            RuntimeError: always.
        """
        raise RuntimeError("FloatFunctional is not intended to use the 'forward'. Please use the underlying operation")

    def _observed(self, result: Tensor) -> Tensor:
        observed: Tensor = self.activation_post_process(result)
        return observed

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """x + y."""
        return self._observed(_C.add(x, y))

    def add_scalar(self, x: Tensor, y: float) -> Tensor:
        """x + y; not observed."""
        return _C.add(x, y)

    def mul(self, x: Tensor, y: Tensor) -> Tensor:
        """x * y."""
        return self._observed(_C.mul(x, y))

    def mul_scalar(self, x: Tensor, y: float) -> Tensor:
        """x * y; not observed."""
        return _C.mul(x, y)

    def cat(self, x: Sequence[Tensor], dim: int = 0) -> Tensor:
        """The tensors one after the other."""
        return self._observed(_C.cat(x, dim=dim))

    def add_relu(self, x: Tensor, y: Tensor) -> Tensor:
        """relu(x + y)."""
        return self._observed(_C.relu(_C.add(x, y)))

    def matmul(self, x: Tensor, y: Tensor) -> Tensor:
        """The product of matrices."""
        return self._observed(_C.matmul(x, y))


__getattr__ = missing_attribute("torch.nn.quantized")
