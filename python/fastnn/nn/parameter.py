"""Parameter and Buffer: tensors that a Module registers when they are assigned as attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Self

    from fastnn._C import device as Device
    from fastnn._C import dtype as DType

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "is_lazy"]


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
        if data.is_meta:
            from .._meta import MetaParameter

            return MetaParameter(data, requires_grad)  # type: ignore[no-any-return]
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
        if data.is_meta:
            from .._meta import MetaBuffer

            return MetaBuffer(data, persistent=persistent)  # type: ignore[no-any-return]
        buffer: Self = Tensor._make_subclass(cls, data.detach(), data.requires_grad)
        buffer.persistent = persistent
        return buffer

    if TYPE_CHECKING:

        def __init__(self, data: Tensor | None = None, *, persistent: bool = True) -> None: ...


class UninitializedTensorMixin:
    """A tensor whose shape is not known yet."""

    cls_to_become: type[Tensor]

    def materialize(self, shape: Sequence[int], device: Device | str | None = None, dtype: DType | None = None) -> None:
        """Give it a shape, with values that are still to be set; it becomes a Parameter or a Buffer.

        Args:
            shape: the shape.
            device, dtype: of the tensor; those of the uninitialized one by default.

        Example:
            >>> import fastnn; from fastnn import nn
            >>> weight = nn.UninitializedParameter()
            >>> weight.materialize((2, 3))
            >>> type(weight).__name__, tuple(weight.shape)
            ('Parameter', (2, 3))
        """
        assert isinstance(self, Tensor)
        self.data = _C.empty(tuple(shape), device=device, dtype=self.dtype if dtype is None else dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> _C.Size:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. "
            "Call `forward` to initialize the parameters before accessing their attributes."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol: Any) -> Any:
        assert isinstance(self, Tensor)
        return type(self), (self.requires_grad,)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        assert isinstance(self, Tensor)
        made: Any = type(self)
        return memo.setdefault(id(self), made(self.requires_grad, None, self.dtype))


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc]
    """A Parameter whose shape a module finds out from its first input.

    Args:
        requires_grad: whether gradients will be computed for it. Default: True.
        device, dtype: of the parameter it becomes.

    Raises:
        RuntimeError: its shape is asked for.

    Example:
        >>> from fastnn import nn
        >>> nn.UninitializedParameter()
        <UninitializedParameter>
    """

    cls_to_become = Parameter

    def __new__(
        cls, requires_grad: bool = True, device: Device | str | None = None, dtype: DType | None = None
    ) -> Self:
        parameter: Self = Tensor._make_subclass(cls, _C.empty(0, device=device, dtype=dtype), requires_grad)
        return parameter

    if TYPE_CHECKING:

        def __init__(
            self, requires_grad: bool = True, device: Device | str | None = None, dtype: DType | None = None
        ) -> None: ...


class UninitializedBuffer(UninitializedTensorMixin, Buffer):  # type: ignore[misc]
    """A buffer whose shape a module finds out from its first input.

    Args:
        requires_grad: whether gradients will be computed for it. Default: False.
        device, dtype: of the buffer it becomes.
        persistent: whether it is part of the module's `state_dict`. Default: True.

    Raises:
        RuntimeError: its shape is asked for.

    Example:
        >>> from fastnn import nn
        >>> nn.UninitializedBuffer()
        <UninitializedBuffer>
    """

    cls_to_become = Buffer

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Device | str | None = None,
        dtype: DType | None = None,
        persistent: bool = True,
    ) -> Self:
        buffer: Self = Tensor._make_subclass(cls, _C.empty(0, device=device, dtype=dtype), requires_grad)
        buffer.persistent = persistent
        return buffer

    if TYPE_CHECKING:

        def __init__(
            self,
            requires_grad: bool = False,
            device: Device | str | None = None,
            dtype: DType | None = None,
            persistent: bool = True,
        ) -> None: ...


def is_lazy(param: Any) -> bool:
    """Whether the shape of a parameter or buffer is not known yet.

    Example:
        >>> from fastnn import nn
        >>> nn.parameter.is_lazy(nn.LazyLinear(3).weight)
        True
    """
    return isinstance(param, UninitializedTensorMixin)
