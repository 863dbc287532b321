"""Parameter and Buffer: tensors that a Module registers when they are assigned as attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Buffer", "Parameter"]


class Parameter(Tensor):
    """A tensor that a Module lists among its parameters when it is assigned as an attribute.

    Args:
        data: the values; shares memory with the new parameter. None gives an empty tensor.
        requires_grad: whether gradients are computed for it. Default: True.

    Raises:
        TypeError: `data` is not a Tensor.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> nn.Parameter(fastnn.tensor([1.0, 2.0]))
        Parameter containing:
        tensor([1., 2.], requires_grad=True)
    """

    __torch_function__ = _C._disabled_torch_function_impl  # type: ignore[assignment]

    def __new__(cls, data: Tensor | None = None, requires_grad: bool = True) -> Self:
        if data is None:
            data = _C.empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(f"{cls.__name__}: data must be a Tensor or None, but got {type(data).__name__}")
        parameter: Self = Tensor._make_subclass(cls, data, requires_grad)
        return parameter

    if TYPE_CHECKING:

        def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None: ...

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that a Module lists among its buffers when it is assigned as an attribute.

    Args:
        data: the values; shares memory with the new buffer. None gives an empty tensor.
        persistent: whether it is part of the module's `state_dict`. Default: True.

    Raises:
        TypeError: `data` is not a Tensor.

    Example:
        >>> import fastnn; from fastnn import nn
        >>> m = nn.Module()
        >>> m.steps = nn.Buffer(fastnn.zeros(1))
        >>> list(m.state_dict())
        ['steps']
    """

    persistent: bool
    __torch_function__ = _C._disabled_torch_function_impl  # type: ignore[assignment]

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Self:
        if data is None:
            data = _C.empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(f"{cls.__name__}: data must be a Tensor or None, but got {type(data).__name__}")
        buffer: Self = Tensor._make_subclass(cls, data.detach(), data.requires_grad)
        buffer.persistent = persistent
        return buffer

    if TYPE_CHECKING:

        def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None: ...
