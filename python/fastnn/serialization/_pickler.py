"""Writes the pickle stream of a ``.pt`` file: protocol 2, with PyTorch's names for tensors.

Python's own pickler looks up every name it writes, so it can only write ``torch._utils`` where torch is installed.
This one writes names. Objects beyond tensors and plain containers are written as Python's pickles are.
"""

from __future__ import annotations

import copyreg
import struct
import sys
from collections import Counter, OrderedDict
from pickle import PicklingError
from types import BuiltinFunctionType, FunctionType
from typing import TYPE_CHECKING, Any

from fastnn import _C

from ._dtypes import DtypeName, name_of
from ._globals import public_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fastnn._C import Tensor

__all__ = ["Pickler"]

_LOCATION = "cpu"
_INT32 = range(-(2**31), 2**31)


class Pickler:
    """Turns an object into a pickle stream and a list of storages.

    ``storages[n]`` is the untyped storage that the stream calls ``str(n)``. Tensors over one storage share it.
    """

    def __init__(self) -> None:
        self.storages: list[Any] = []
        self._keys: dict[tuple[int, int], tuple[int, DtypeName]] = {}
        self._parts: list[bytes] = []
        self._memo: dict[int, int] = {}
        self._texts: dict[str, int] = {}
        self._globals: dict[tuple[str, str], int] = {}
        self._alive: list[Any] = []  # so that no id in the memo is used again
        self._slots = 0
        self._path: list[str] = []

    def dump(self, obj: Any) -> bytes:
        """The stream of ``obj``.

        Raises:
            PicklingError: for an object that cannot be found by name or says that it cannot be pickled.
        """
        self._parts.append(b"\x80\x02")
        self._save(obj)
        self._parts.append(b".")
        return b"".join(self._parts)

    # -- dispatch -------------------------------------------------------------------------------------------------

    def _save(self, obj: Any) -> None:
        kind = type(obj)
        writer = _WRITERS.get(kind)
        if writer is not None:
            writer(self, obj)
        elif id(obj) in self._memo:
            self._get(self._memo[id(obj)])
        elif (container := _CONTAINERS.get(kind)) is not None:
            container(self, obj)
        elif isinstance(obj, _C.Tensor):
            self._save_tensor(obj)
        elif isinstance(obj, OrderedDict) and kind.__module__.startswith("fastnn."):  # what state_dict() returns
            self._save_ordered_dict(obj)
        elif kind is _C.Size:
            self._reduce(obj, ("torch", "Size"), (tuple(obj),))
        elif kind is _C.device:
            self._save_device(obj)
        elif kind is _C.dtype:
            self._global("torch", name_of(obj).name)
        else:
            self._save_object(obj, kind)

    def _child(self, label: Any, obj: Any) -> None:
        self._path.append(f"[{label!r:.80}]" if isinstance(label, (str, int, float, bool)) else "[...]")
        self._save(obj)
        self._path.pop()

    # -- memo -----------------------------------------------------------------------------------------------------

    def _get(self, slot: int) -> None:
        self._parts.append(b"h" + bytes((slot,)) if slot < 256 else b"j" + struct.pack("<I", slot))

    def _put(self) -> int:
        slot = self._slots
        self._slots += 1
        self._parts.append(b"q" + bytes((slot,)) if slot < 256 else b"r" + struct.pack("<I", slot))
        return slot

    def _remember(self, obj: Any) -> None:
        self._memo[id(obj)] = self._put()
        self._alive.append(obj)

    # -- atoms ----------------------------------------------------------------------------------------------------

    def _save_none(self, obj: None) -> None:
        self._parts.append(b"N")

    def _save_bool(self, obj: bool) -> None:
        self._parts.append(b"\x88" if obj else b"\x89")

    def _save_int(self, obj: int) -> None:
        if 0 <= obj < 256:
            self._parts.append(b"K" + bytes((obj,)))
        elif 0 <= obj < 65536:
            self._parts.append(b"M" + struct.pack("<H", obj))
        elif obj in _INT32:
            self._parts.append(b"J" + struct.pack("<i", obj))
        else:
            data = obj.to_bytes(obj.bit_length() // 8 + 1, "little", signed=True)
            short = len(data) < 256
            self._parts.append(
                (b"\x8a" + bytes((len(data),)) if short else b"\x8b" + struct.pack("<i", len(data))) + data
            )

    def _save_float(self, obj: float) -> None:
        self._parts.append(b"G" + struct.pack(">d", obj))

    def _save_str(self, obj: str) -> None:
        slot = self._texts.get(obj)
        if slot is not None:
            self._get(slot)
            return
        data = obj.encode("utf-8", "surrogatepass")
        if len(data) > 0xFFFFFFFF:
            raise OverflowError("save: a string of more than 4 GiB cannot be stored")
        self._parts.append(b"X" + struct.pack("<I", len(data)) + data)
        self._texts[obj] = self._put()

    def _global(self, module: str, name: str) -> None:
        slot = self._globals.get((module, name))
        if slot is not None:
            self._get(slot)
            return
        self._parts.append(f"c{module}\n{name}\n".encode())
        self._globals[module, name] = self._put()

    # -- containers -----------------------------------------------------------------------------------------------

    def _save_tuple(self, obj: tuple[Any, ...]) -> None:
        if not obj:
            self._parts.append(b")")
            return
        short = len(obj) <= 3
        if not short:
            self._parts.append(b"(")
        for place, item in enumerate(obj):
            self._child(place, item)
        slot = self._memo.get(id(obj))
        if slot is not None:  # the tuple holds a list that holds the tuple: it was written on the way
            self._parts.append(b"0" * len(obj) if short else b"1")
            self._get(slot)
            return
        self._parts.append((b"\x85", b"\x86", b"\x87")[len(obj) - 1] if short else b"t")
        self._remember(obj)

    def _save_list(self, obj: list[Any]) -> None:
        self._parts.append(b"]")
        self._remember(obj)
        self._items(b"e", enumerate(obj), keyed=False)

    def _save_dict(self, obj: dict[Any, Any]) -> None:
        self._parts.append(b"}")
        self._remember(obj)
        self._items(b"u", obj.items(), keyed=True)

    def _save_ordered_dict(self, obj: OrderedDict[Any, Any]) -> None:
        self._reduce(obj, ("collections", "OrderedDict"), ())
        self._items(b"u", obj.items(), keyed=True)
        if obj.__dict__:
            self._save(dict(obj.__dict__))
            self._parts.append(b"b")

    def _items(self, opcode: bytes, items: Iterable[tuple[Any, Any]], *, keyed: bool) -> None:
        self._parts.append(b"(")
        before = len(self._parts)
        for key, value in items:
            if keyed:
                self._save(key)
            self._child(key, value)
        if len(self._parts) == before:
            self._parts.pop()
        else:
            self._parts.append(opcode)

    def _save_set(self, obj: set[Any]) -> None:
        self._reduce(obj, ("__builtin__", "set"), (list(obj),))

    def _save_counter(self, obj: Counter[Any]) -> None:
        self._reduce(obj, ("collections", "Counter"), (dict(obj),))

    def _save_complex(self, obj: complex) -> None:
        self._reduce(obj, ("__builtin__", "complex"), (obj.real, obj.imag))

    def _save_bytes(self, obj: bytes) -> None:
        self._reduce(obj, ("_codecs", "encode"), (obj.decode("latin1"), "latin1"))

    def _save_bytearray(self, obj: bytearray) -> None:
        self._reduce(obj, ("__builtin__", "bytearray"), (bytes(obj),))

    def _reduce(self, obj: Any, function: tuple[str, str], arguments: tuple[Any, ...]) -> None:
        self._global(*function)
        self._save(arguments)
        self._parts.append(b"R")
        self._remember(obj)

    # -- tensors --------------------------------------------------------------------------------------------------

    def _save_device(self, obj: Any) -> None:
        arguments = (obj.type,) if obj.index is None else (obj.type, obj.index)
        self._reduce(obj, ("torch", "device"), arguments)

    def _save_tensor(self, obj: Tensor) -> None:
        if obj.is_meta:
            raise self._refusal(obj, "it is on the device meta, where tensors have no values")
        state = dict(getattr(obj, "__dict__", {}))
        kind: type = type(obj)
        is_parameter = False
        if kind is not _C.Tensor:
            from fastnn.nn.parameter import Buffer, Parameter

            is_parameter = kind is Parameter
            kind = _C.Tensor if isinstance(obj, Buffer) else kind  # PyTorch's buffers are tensors with attributes
        if is_parameter:
            self._save_parameter(obj, state)
        elif kind is _C.Tensor and not state:
            self._rebuild_tensor(obj)
        else:
            self._global("torch._tensor", "_rebuild_from_type_v2")
            self._parts.append(b"(")
            self._global("torch._utils", "_rebuild_tensor_v2")
            if kind is _C.Tensor:
                self._global("torch", "Tensor")
            else:
                self._save_name(kind)
            self._tensor_arguments(obj)
            self._save(state)
            self._parts.append(b"tR")
        self._remember(obj)

    def _save_parameter(self, obj: Tensor, state: dict[str, Any]) -> None:
        self._global("torch._utils", "_rebuild_parameter_with_state" if state else "_rebuild_parameter")
        self._parts.append(b"(")
        self._rebuild_tensor(obj.detach())
        self._save_bool(obj.requires_grad)
        self._hooks()
        if state:
            self._save(state)
        self._parts.append(b"tR")

    def _rebuild_tensor(self, obj: Tensor) -> None:
        self._global("torch._utils", "_rebuild_tensor_v2")
        self._tensor_arguments(obj)
        self._parts.append(b"R")

    def _tensor_arguments(self, obj: Tensor) -> None:
        """The tuple (storage, offset, size, stride, requires_grad, hooks)."""
        self._parts.append(b"(")
        self._save_storage(obj)
        self._save_int(obj.storage_offset())
        for numbers in (obj.shape, obj.stride()):
            self._parts.append(b"(")
            for number in numbers:
                self._save_int(number)
            self._parts.append(b"t")
        self._save_bool(obj.requires_grad)
        self._hooks()
        self._parts.append(b"t")

    def _hooks(self) -> None:
        """An empty OrderedDict: hooks are code, and are not saved."""
        self._global("collections", "OrderedDict")
        self._parts.append(b")R")

    def _save_storage(self, obj: Tensor) -> None:
        storage, row = obj.untyped_storage(), name_of(obj.dtype)
        identity = (storage.data_ptr(), storage.nbytes())
        known = self._keys.get(identity) if identity[1] else None
        if known is None:
            known = (len(self.storages), row)
            self._keys[identity] = known
            self.storages.append(storage)
        key, first = known
        if first is not row:
            raise RuntimeError(
                f"save: tensors of {first.name} and of {row.name} view the same memory, which the format cannot say; "
                "clone() one of them"
            )
        self._parts.append(b"(")
        self._save_str("storage")
        self._global("torch", row.storage)
        self._save_str(str(key))
        self._save_str(_LOCATION)
        self._save_int(identity[1] // row.itemsize)
        self._parts.append(b"tQ")

    # -- everything else, as Python's pickles do it ---------------------------------------------------------------

    def _save_object(self, obj: Any, kind: type) -> None:
        if kind is _OPERATION:
            self._global(*public_name(obj))
            return
        if isinstance(obj, (type, FunctionType, BuiltinFunctionType)) and getattr(obj, "__self__", None) in (
            None,
            _BUILT_IN,
        ):
            self._save_name(obj)
            return
        reduced = copyreg.dispatch_table[kind](obj) if kind in copyreg.dispatch_table else obj.__reduce_ex__(2)
        if isinstance(reduced, str):
            self._global(_module_of(obj), reduced)
            return
        function, arguments, state, items, pairs, setter = (*reduced, None, None, None, None)[:6]
        if setter is not None:
            raise self._refusal(obj, "its __reduce_ex__ asks for what checkpoints do not have")
        if getattr(function, "__name__", "") == "__newobj__":
            self._save(arguments[0])
            self._save(tuple(arguments[1:]))
            self._parts.append(b"\x81")
        else:
            self._save(function)
            self._save(arguments)
            self._parts.append(b"R")
        self._remember(obj)
        if items is not None:
            self._items(b"e", enumerate(items), keyed=False)
        if pairs is not None:
            self._items(b"u", pairs, keyed=True)
        if state is not None:
            self._save(state)
            self._parts.append(b"b")

    def _save_name(self, obj: Any) -> None:
        module, name = _module_of(obj), obj.__qualname__
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is not obj:
            raise self._refusal(obj, f"it is not found as {module}.{name}")
        self._global(*public_name(obj))

    def _refusal(self, obj: Any, why: str) -> PicklingError:
        place = "".join(self._path) or "the object"
        return PicklingError(f"save: {place} is {obj!r:.100}, which cannot be pickled: {why}")


_OPERATION = type(_C.add)
_BUILT_IN = sys.modules["builtins"]


def _module_of(obj: Any) -> str:
    return getattr(obj, "__module__", None) or "__main__"


_WRITERS: dict[type, Callable[[Pickler, Any], None]] = {
    type(None): Pickler._save_none,
    bool: Pickler._save_bool,
    int: Pickler._save_int,
    float: Pickler._save_float,
    str: Pickler._save_str,
}
_CONTAINERS: dict[type, Callable[[Pickler, Any], None]] = {
    tuple: Pickler._save_tuple,
    list: Pickler._save_list,
    dict: Pickler._save_dict,
    OrderedDict: Pickler._save_ordered_dict,
    set: Pickler._save_set,
    Counter: Pickler._save_counter,
    complex: Pickler._save_complex,
    bytes: Pickler._save_bytes,
    bytearray: Pickler._save_bytearray,
}
