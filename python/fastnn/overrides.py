"""Classes and modes that take over operations: helpers around ``__torch_function__``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

import fastnn
from fastnn import _C
from fastnn._C import DisableTorchFunction, DisableTorchFunctionSubclass, Tensor
from fastnn._C import _handle_torch_function as _handle
from fastnn._C import _has_torch_function as has_torch_function

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

__all__ = [
    "BaseTorchFunctionMode",
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "TorchFunctionMode",
    "enable_reentrant_dispatch",
    "get_default_nowrap_functions",
    "get_ignored_functions",
    "get_overridable_functions",
    "get_testing_overrides",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]

F = TypeVar("F", bound="Callable[..., Any]")


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """Call ``__torch_function__`` of the arguments that have their own, in order of precedence.

    Args:
        public_api: the function that is taken over.
        relevant_args: the arguments whose classes are asked.
        args, kwargs: the arguments of the call.

    Raises:
        TypeError: all classes returned NotImplemented.

    Example::

        >>> import fastnn
        >>> from fastnn.overrides import handle_torch_function, has_torch_function_unary
        >>> class Loud:
        ...     @classmethod
        ...     def __torch_function__(cls, func, types, args=(), kwargs=None):
        ...         return func.__name__.upper()
        >>> def whisper(x):
        ...     if has_torch_function_unary(x):
        ...         return handle_torch_function(whisper, (x,), x)
        ...     return "plain"
        >>> whisper(Loud()), whisper(1), fastnn.sin(Loud())
        ('WHISPER', 'plain', 'SIN')
    """
    return _handle(public_api, relevant_args, *args, **kwargs)


def has_torch_function_unary(tensor: Any) -> bool:
    """Whether the class of one argument (or a mode) takes operations over."""
    return has_torch_function((tensor,))


def has_torch_function_variadic(*args: Any) -> bool:
    """Whether the class of any argument (or a mode) takes operations over."""
    return has_torch_function(args)


def is_tensor_like(inp: Any) -> bool:
    """Whether something is a Tensor or has ``__torch_function__``.

    Example::

        >>> import fastnn
        >>> fastnn.overrides.is_tensor_like(fastnn.ones(1)), fastnn.overrides.is_tensor_like(1.0)
        (True, False)
    """
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def wrap_torch_function(dispatcher: Callable[..., Iterable[Any]]) -> Callable[[F], F]:
    """A decorator that makes a function overridable.

    Args:
        dispatcher: takes the same arguments, gives those whose classes are asked.
    """

    def inner(function: F) -> F:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]

    return inner


@functools.cache
def get_default_nowrap_functions() -> set[Any]:
    """Functions whose results stay plain tensors: attributes that other code depends on."""
    attributes: Any = Tensor
    return {attributes._base.__get__, attributes.grad.__get__, attributes._grad.__get__}


@functools.cache
def get_overridable_functions() -> dict[Any, list[Any]]:
    """The compiled functions and methods that ask for overrides, by where they are found."""
    result: dict[Any, list[Any]] = {fastnn: [], fastnn.nn.functional: [], Tensor: []}
    for name, operation in _C._operations().items():
        space, _, short = name.partition(".")
        if space == "Tensor":
            result[Tensor].append(operation)
        else:
            result[fastnn.nn.functional if short.startswith("nn.") else fastnn].append(operation)
    overridable = type(Tensor.to)
    result[Tensor] += [value for value in vars(Tensor).values() if isinstance(value, overridable)]
    return result


def get_ignored_functions() -> set[Any]:
    """Functions that never ask for overrides: those that make tensors from nothing."""
    names = ("tensor", "zeros", "ones", "empty", "full", "arange", "rand", "randn", "eye", "linspace", "from_numpy")
    return {getattr(fastnn, name) for name in names}


def get_testing_overrides() -> dict[Any, Callable[..., int]]:
    """A function with any signature for each overridable function, as tests of overrides use them."""
    return {
        function: lambda *args, **kwargs: -1
        for functions in get_overridable_functions().values()
        for function in functions
    }


def is_tensor_method_or_property(func: Any) -> bool:
    """Whether a function taken over is a method or attribute of Tensor.

    Example::

        >>> import fastnn
        >>> fastnn.overrides.is_tensor_method_or_property(fastnn.Tensor.add)
        True
    """
    return getattr(func, "__name__", "") in ("__get__", "__set__") or any(
        func is value for value in (getattr(Tensor, getattr(func, "__name__", ""), None),) if value is not None
    )


def resolve_name(f: Any) -> str | None:
    """The name by which a user finds a function: ``torch.add``, ``torch.Tensor.add``.

    Example::

        >>> import fastnn
        >>> fastnn.overrides.resolve_name(fastnn.Tensor.add)
        'torch.Tensor.add'
    """
    if getattr(f, "__name__", "") in ("__get__", "__set__"):
        return f"torch.Tensor.{f.__self__.__name__}.{f.__name__}"
    name: str | None = getattr(f, "__qualname__", None)
    if name is None:
        return None
    short = name.removeprefix("fastnn.")
    return "torch." + (short.replace("nn.", "nn.functional.", 1) if short.startswith("nn.") else short)


class TorchFunctionMode:
    """A mode that takes over all operations inside a ``with``.

    Subclasses define ``__torch_function__(self, func, types, args=(), kwargs=None)``. While it runs the mode is off.

    Example::

        >>> import fastnn
        >>> class Log(fastnn.overrides.TorchFunctionMode):
        ...     def __torch_function__(self, func, types, args=(), kwargs=None):
        ...         print(func.__name__)
        ...         return func(*args, **(kwargs or {}))
        >>> with Log():
        ...     x = fastnn.ones(2) + 1
        ones
        add
    """

    inner: TorchFunctionMode

    def __init__(self) -> None:
        pass

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Called instead of every operation."""
        raise NotImplementedError

    def __enter__(self) -> TorchFunctionMode:
        _C._push_torch_function_mode(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _C._pop_torch_function_mode()

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> TorchFunctionMode:
        """A new mode."""
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that changes nothing."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls the operation."""
        return func(*args, **(kwargs or {}))


class enable_reentrant_dispatch:
    """Accepted for compatibility: operations inside ``__torch_function__`` ask again anyway."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *args: object) -> None:
        return None
