"""The old name of Tensor."""

from __future__ import annotations

import warnings

from fastnn import _C
from fastnn._C import Tensor

__all__ = ["Variable"]


class _VariableType(type):
    """Instances of ``Variable`` are all tensors."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor)

    def __call__(cls, data: Tensor | None = None, requires_grad: bool = False, volatile: bool = False) -> Tensor:
        """A tensor without history that shares the memory of `data`."""
        if data is None:
            data = _C.empty((0,))
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.", stacklevel=2
            )
        return data.detach().requires_grad_(requires_grad)


class Variable(metaclass=_VariableType):
    """What once wrapped a tensor to record its history; calling it gives a tensor.

    Args:
        data: a tensor, whose memory is shared; empty by default.
        requires_grad: whether gradients are wanted.
        volatile: has no effect.

    Raises:
        TypeError: `data` is not a tensor.

    Example:
        >>> import fastnn
        >>> from fastnn.autograd import Variable
        >>> x = Variable(fastnn.ones(2), requires_grad=True)
        >>> (3 * x).sum().backward()
        >>> x.grad, isinstance(x, Variable)
        (tensor([3., 3.]), True)
    """
