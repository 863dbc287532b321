"""``torch.ops``: operations by namespace and name, those of fastnn (``aten``) and those made with ``torch.library``."""

from __future__ import annotations

from typing import Any

from fastnn import _C

__all__ = ["OpOverload", "OpOverloadPacket", "classes", "ops"]


class OpOverload:
    """An operation."""

    def __init__(self, packet: OpOverloadPacket, name: str) -> None:
        self.overloadpacket = packet
        self._overloadname = name
        self.__name__ = f"{packet.__name__}.{name}"
        self.namespace = packet.namespace

    def name(self) -> str:
        """``namespace::name``."""
        return f"{self.namespace}::{self.overloadpacket.__name__}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.overloadpacket(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<OpOverload(op='{self.namespace}.{self.overloadpacket.__name__}', overload='{self._overloadname}')>"


class OpOverloadPacket:
    """An operation under its name; its overloads are attributes."""

    def __init__(self, namespace: str, name: str, function: Any) -> None:
        self.namespace = namespace
        self.__name__ = name
        self._function = function
        self._overloads: dict[str, OpOverload] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def overloads(self) -> list[str]:
        """The names of the overloads."""
        return ["default"]

    def __getattr__(self, name: str) -> OpOverload:
        if name.startswith("_"):
            raise AttributeError(f"torch.ops.{self.namespace}.{self.__name__} has no attribute {name!r}")
        if name not in self._overloads:
            self._overloads[name] = OpOverload(self, name)
        return self._overloads[name]

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='{self.namespace}.{self.__name__}')>"


class _Namespace:
    """The operations of one namespace."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, name: str) -> OpOverloadPacket:
        function = self._find(name)
        if name.startswith("__") or function is None:
            raise AttributeError(f"'_OpNamespace' '{self.name}' object has no attribute '{name}'")
        packet = OpOverloadPacket(self.name, name, function)
        self.__dict__[name] = packet
        return packet

    def _find(self, name: str) -> Any:
        from .library import REGISTRY

        if (own := REGISTRY.get(f"{self.name}::{name}")) is not None:
            return own
        if self.name not in ("aten", "prims"):
            return None
        import fastnn

        for place in (_C, _C.nn, fastnn.nn.functional, fastnn):
            function = getattr(place, name, None)
            if callable(function):
                return function
        return None


class _Ops:
    """``torch.ops``."""

    def __init__(self) -> None:
        self.loaded_libraries: set[str] = set()

    def __getattr__(self, name: str) -> _Namespace:
        if name.startswith("__"):
            raise AttributeError(name)
        namespace = _Namespace(name)
        self.__dict__[name] = namespace
        return namespace

    def load_library(self, path: Any) -> None:
        """An error: a library of PyTorch operations is bound to PyTorch's own binaries."""
        raise OSError(f"torch.ops.load_library: {path} is made for PyTorch's binaries and cannot be loaded into fastnn")


class _Classes:
    """``torch.classes``."""

    loaded_libraries: frozenset[str] = frozenset()

    def load_library(self, path: Any) -> None:
        """An error, as for ``torch.ops``."""
        ops.load_library(path)


ops = _Ops()
classes = _Classes()
