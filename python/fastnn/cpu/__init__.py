"""The CPU, with the functions of a device namespace. Work is done when a call returns, so streams are empty."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from fastnn import _C

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "current_device",
    "current_stream",
    "device_count",
    "get_capabilities",
    "is_available",
    "is_initialized",
    "set_device",
    "stream",
    "synchronize",
]


class Stream:
    """A queue of work, always empty."""

    def __init__(self, priority: int = -1) -> None:
        pass

    def wait_stream(self, stream: Any) -> None:
        """Nothing to wait for."""

    def record_event(self) -> None:
        """Nothing to mark."""

    def wait_event(self, event: Any) -> None:
        """Nothing to wait for."""


class Event:
    """A mark in a queue of work."""

    def query(self) -> bool:
        """True: everything before it is done."""
        return True

    def record(self, stream: Any = None) -> None:
        """Nothing to mark."""

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def wait(self, stream: Any = None) -> None:
        """Nothing to wait for."""


_stream = Stream()


class StreamContext(AbstractContextManager[None]):
    """``with torch.cpu.stream(s)``: changes nothing."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __exit__(self, *error: object) -> None:
        pass


def stream(stream: Any) -> AbstractContextManager[Any]:
    """A context in which everything is as before."""
    return nullcontext() if stream is None else StreamContext(stream)


def is_available() -> bool:
    """True."""
    return True


def is_initialized() -> bool:
    """True."""
    return True


def device_count() -> int:
    """1."""
    return 1


def current_device() -> str:
    """``"cpu"``."""
    return "cpu"


def set_device(device: Any) -> None:
    """Nothing to choose from."""


def current_stream(device: Any = None) -> Stream:
    """The one stream."""
    return _stream


def synchronize(device: Any = None) -> None:
    """Nothing to wait for."""


def get_capabilities() -> dict[str, Any]:
    """Which instruction sets have kernels that run here.

    Example:
        >>> import fastnn
        >>> fastnn.cpu.get_capabilities()["base"]
        True
    """
    return dict.fromkeys(_C._isa_available(), True)


def __getattr__(name: str) -> Any:
    if name == "amp":
        return importlib.import_module("fastnn.cpu.amp")
    from .._missing import missing_attribute

    return missing_attribute("torch.cpu")(name)
