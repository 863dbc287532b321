"""Switches of gradient recording, as context managers and decorators."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fastnn import _C

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = [
    "enable_grad",
    "enforce_grad_layout_policy",
    "inference_mode",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
]

F = TypeVar("F", bound="Callable[..., Any]")


class _ModeContext:
    """A context manager that also decorates functions, generators and classes."""

    def _copy(self) -> _ModeContext:
        return type(self)()

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        raise NotImplementedError

    def __call__(self, function: F) -> F:
        copy = self._copy
        if _is_generator_function(function):

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Any:
                # The mode holds while the body runs, not while the consumer does.
                with copy():
                    iterator = function(*args, **kwargs)
                    value = next(iterator, _END)
                while value is not _END:
                    sent = yield value
                    with copy():
                        try:
                            value = iterator.send(sent)
                        except StopIteration as stop:
                            return stop.value
                return None

            return cast("F", generator)

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with copy():
                return function(*args, **kwargs)

        return cast("F", wrapper)


_END = object()
_CO_GENERATOR = 0x20  # the flag that `inspect` looks at, without the cost of importing it


def _is_generator_function(function: Any) -> bool:
    code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
    return code is not None and bool(code.co_flags & _CO_GENERATOR)


class _GradMode(_ModeContext):
    _mode = True

    def __init__(self) -> None:
        self.prev = False

    def __new__(cls, function: Any = None) -> Any:
        self = super().__new__(cls)
        if function is None:
            return self
        self.__init__()  # type: ignore[misc]
        return self(function)

    def __enter__(self) -> None:
        self.prev = _C.is_grad_enabled()
        _C._set_grad_enabled(self._mode)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _C._set_grad_enabled(self.prev)


class no_grad(_GradMode):
    """Record no gradients inside.

    Example::

        >>> import fastnn
        >>> x = fastnn.ones(2, requires_grad=True)
        >>> with fastnn.no_grad():
        ...     y = x * 2
        >>> y.requires_grad
        False
    """

    _mode = False


class enable_grad(_GradMode):
    """Record gradients inside, also within :class:`no_grad`.

    Example::

        >>> import fastnn
        >>> x = fastnn.ones(2, requires_grad=True)
        >>> with fastnn.no_grad(), fastnn.enable_grad():
        ...     y = x * 2
        >>> y.requires_grad
        True
    """

    _mode = True


class set_grad_enabled(_ModeContext):
    """Record gradients or not, from the call on or inside a ``with``.

    Args:
        mode: whether to record.

    Example::

        >>> import fastnn
        >>> with fastnn.set_grad_enabled(False):
        ...     fastnn.is_grad_enabled()
        False
    """

    def __init__(self, mode: bool) -> None:
        self.prev = _C.is_grad_enabled()
        self.mode = bool(mode)
        _C._set_grad_enabled(self.mode)

    def __call__(self, function: F) -> F:
        _C._set_grad_enabled(self.prev)
        return super().__call__(function)

    def _copy(self) -> set_grad_enabled:
        return type(self)(self.mode)

    def __enter__(self) -> None:
        _C._set_grad_enabled(self.mode)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _C._set_grad_enabled(self.prev)


class inference_mode(_ModeContext):
    """Record no gradients and make tensors that never take part in any.

    Args:
        mode: whether the mode is on inside.

    Example::

        >>> import fastnn
        >>> with fastnn.inference_mode():
        ...     fastnn.ones(1).is_inference()
        True
    """

    def __new__(cls, mode: Any = True) -> Any:
        self = super().__new__(cls)
        if isinstance(mode, bool):
            return self
        self.__init__()  # type: ignore[misc]
        return self(mode)

    def __init__(self, mode: bool = True) -> None:
        self.mode = mode
        self.prev = (True, False)

    def _copy(self) -> inference_mode:
        return type(self)(self.mode)

    def __enter__(self) -> None:
        self.prev = (_C.is_grad_enabled(), _C.is_inference_mode_enabled())
        _C._set_inference_mode(self.mode)
        _C._set_grad_enabled(not self.mode)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _C._set_grad_enabled(self.prev[0])
        _C._set_inference_mode(self.prev[1])


class set_multithreading_enabled(_ModeContext):
    """Accepted for compatibility: the backward pass runs in the calling thread."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def _copy(self) -> set_multithreading_enabled:
        return type(self)(self.mode)

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class enforce_grad_layout_policy(set_multithreading_enabled):
    """Accepted for compatibility: gradients of leaves always have the strides of the leaf."""

    def __init__(self, enable: bool = True) -> None:
        super().__init__(enable)
