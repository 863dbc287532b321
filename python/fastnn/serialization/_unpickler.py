"""Reads the pickle stream of a ``.pt`` file, and builds tensors and plain containers and nothing else.

It is an interpreter of its own for the part of the pickle language that checkpoints use: nothing is imported or
called because a file says so. Each instruction takes memory in proportion to its own bytes, and each storage is read
once, so what a file can make it allocate is bounded by the size of the file.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from fastnn import _C

from . import _memory
from ._dtypes import BY_NAME, BY_STORAGE, DtypeName, dtype_of, name_of
from ._globals import lookup, lookup_whole
from ._keys import is_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

    from fastnn._C import Tensor

    LoadStorage = Callable[[str, DtypeName, int, str], Tensor]

__all__ = ["Unpickler"]

_BYTE_STORAGE = BY_NAME["uint8"]
_NAME_LENGTH = 100  # of a name from the file, in a message
_PROTOCOLS = range(2, 6)
_U16, _U32, _U64 = struct.Struct("<H"), struct.Struct("<I"), struct.Struct("<Q")
_I32, _F64 = struct.Struct("<i"), struct.Struct(">d")


class _Marker:
    """Something of the stream that is no value: a function, a class, a storage. It may only be an argument."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Function(_Marker):
    """A name that the file may call: ``build`` checks the arguments and makes the object."""

    __slots__ = ("build",)

    def __init__(self, name: str, build: Callable[[Unpickler, tuple[Any, ...]], Any]) -> None:
        super().__init__(name)
        self.build = build


class _Class(_Marker):
    """A tensor class, as an argument of a rebuild function."""

    __slots__ = ()


class _StorageClass(_Marker):
    """The class of a storage, which tells its dtype (None when untyped)."""

    __slots__ = ("row",)

    def __init__(self, name: str, row: DtypeName | None) -> None:
        super().__init__(name)
        self.row = row


class _Storage(_Marker):
    """A storage of the archive; its bytes are read when the first tensor over it is built."""

    __slots__ = ("key", "location", "nbytes", "row")

    def __init__(self, key: str, row: DtypeName | None, nbytes: int, location: str) -> None:
        super().__init__(f"storage {key}")
        self.key, self.row, self.nbytes, self.location = key, row, nbytes, location


class _Allowed(_Marker):
    """A class or function that the user added to the list."""

    __slots__ = ("item",)

    def __init__(self, name: str, item: Any) -> None:
        super().__init__(name)
        self.item = item


class _Named(_Allowed):
    """A class of modules or an operation in a file that is trusted: a value, or what a module is made of."""

    __slots__ = ()


class Unpickler:
    """Interprets one stream.

    Args:
        data: the stream.
        load_storage: gives the flat tensor over a storage, from its key, dtype, size in bytes and location.
        position: where in the data the stream begins; after :meth:`load`, where it ended.
        whole: whether it may hold whole modules.
    """

    def __init__(self, data: bytes | mmap, load_storage: LoadStorage, position: int = 0, whole: bool = False) -> None:
        self._data = data
        self.position = position
        self._load_storage = load_storage
        self._whole = whole
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._bases: dict[str, tuple[DtypeName, Tensor]] = {}
        self._storages: dict[str, int] = {}
        self._argument_tuples: dict[int, tuple[Any, ...]] = {}  # those that hold a marker
        self._added: dict[int, Any] = {}  # objects of classes that the user allowed

    def load(self) -> Any:
        """The object.

        Raises:
            UnpicklingError: if the stream is damaged or asks for anything that checkpoints do not have.
        """
        try:
            while True:
                opcode = self._take(1)
                if opcode == b".":
                    return self._value(self._pop())
                step = _OPCODES.get(opcode)
                if step is None:
                    raise self._error(f"instruction {opcode!r} is not part of a checkpoint")
                step(self)
        except (IndexError, KeyError):
            raise self._error("it refers to something that is not there") from None
        except RecursionError:
            raise self._error("it is nested too deeply") from None

    # -- stream and stack -----------------------------------------------------------------------------------------

    def _error(self, why: str) -> UnpicklingError:
        return UnpicklingError(f"load: the pickle stream is damaged or hostile near byte {self.position}: {why}")

    def _take(self, length: int) -> bytes:
        end = self.position + length
        if end > len(self._data):
            raise self._error("it ends too early")
        part = self._data[self.position : end]
        self.position = end
        return part

    def _number(self, layout: struct.Struct) -> Any:
        return layout.unpack(self._take(layout.size))[0]

    def _line(self) -> str:
        end = self._data.find(b"\n", self.position)
        if end < 0:
            raise self._error("it ends too early")
        part = self._take(end + 1 - self.position)[:-1]
        return self._decode(part)

    def _decode(self, part: bytes) -> str:
        try:
            return part.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise self._error("a string is not UTF-8") from None

    def _push(self, obj: Any) -> None:
        self._stack.append(obj)

    def _pop(self) -> Any:
        return self._stack.pop()

    def _mark(self) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _to_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._marks.pop()
        return items

    def _is_marker(self, obj: Any) -> bool:
        return isinstance(obj, _Marker) or (type(obj) is tuple and id(obj) in self._argument_tuples)

    def _value(self, obj: Any) -> Any:
        """``obj``, which must be a value rather than a function, a class or a storage."""
        if self._is_marker(obj):
            name = obj.name if isinstance(obj, _Marker) else "a tuple with a function, a class or a storage"
            if isinstance(obj, _Allowed):
                return obj.item
            raise UnpicklingError(
                f"load: the file stores {name[:_NAME_LENGTH]} itself as a value; checkpoints hold tensors and plain "
                "containers"
            )
        return obj

    def _key(self, obj: Any) -> Any:
        obj = self._value(obj)
        if not is_key(obj):
            raise self._error(f"a {type(obj).__name__} cannot be a key; keys are scalars and small tuples of scalars")
        return obj

    # -- instructions: atoms --------------------------------------------------------------------------------------

    def _protocol(self) -> None:
        version = self._take(1)[0]
        if version not in _PROTOCOLS:
            raise self._error(f"protocol {version} is not known")

    def _int_variable(self, length: int) -> None:
        if length < 0:
            raise self._error("a number has a negative length")
        self._push(int.from_bytes(self._take(length), "little", signed=True))

    def _text(self, length: int) -> None:
        self._push(self._decode(self._take(length)))

    # -- instructions: memo ---------------------------------------------------------------------------------------

    def _put(self, slot: int) -> None:
        self._memo[slot] = self._stack[-1]

    # -- instructions: containers ---------------------------------------------------------------------------------

    def _tuple(self, items: list[Any]) -> None:
        made = tuple(item.item if isinstance(item, _Allowed) else item for item in items)
        if any(self._is_marker(item) for item in made):
            self._argument_tuples[id(made)] = made
        self._push(made)

    def _tuple_of(self, length: int) -> None:
        if len(self._stack) < length:
            raise IndexError
        items = self._stack[len(self._stack) - length :]
        del self._stack[len(self._stack) - length :]
        self._tuple(items)

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list and not self._is_added(target):
            raise self._error(f"items are appended to a {type(target).__name__}")
        target.extend([self._value(item) for item in items])

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) not in (dict, OrderedDict, Counter) and not self._is_added(target):
            raise self._error(f"keys are set in a {type(target).__name__}")
        if len(items) % 2:
            raise self._error("a key has no value")
        for place in range(0, len(items), 2):
            target[self._key(items[place])] = self._value(items[place + 1])

    def _add_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not set:
            raise self._error(f"members are added to a {type(target).__name__}")
        target.update([self._key(item) for item in items])

    # -- instructions: names and calls ----------------------------------------------------------------------------

    def _global(self, module: str, name: str) -> None:
        known = _GLOBALS.get((module, name))
        if known is not None:
            self._push(known)
        elif module == "torch" and name in BY_NAME:
            self._push(dtype_of(BY_NAME[name]))
        elif (item := lookup(module, name)) is not None:
            self._push(_Allowed(f"{module}.{name}", item))
        elif self._whole and (item := lookup_whole(module, name)) is not None:
            self._push(_Named(f"{module}.{name}", item))
        else:
            raise UnpicklingError(_refusal(module, name))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            raise self._error("a name is not a string")
        self._global(module, name)

    def _reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        if type(arguments) is not tuple:
            raise self._error("arguments are not a tuple")
        if isinstance(function, _Function):
            self._push(function.build(self, arguments))
        elif isinstance(function, _Allowed) and not isinstance(function, _Named):
            self._call_added(function.item, arguments)
        else:
            raise self._error(f"a {type(function).__name__} is called")

    def _new_object(self) -> None:
        arguments, kind = self._pop(), self._pop()
        if not isinstance(kind, _Allowed) or not isinstance(kind.item, type) or type(arguments) is not tuple:
            raise self._error("an object is made of something that is no allowed class")
        if isinstance(kind, _Named) and arguments:
            raise self._error("a module is made with arguments")
        self._call_added(kind.item.__new__, (kind.item, *arguments))

    def _call_added(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._value(arguments)
        try:
            made = function(*arguments)
        except Exception as error:
            raise UnpicklingError(f"load: {function!r:.100}, which was allowed, failed: {error!r}") from error
        self._added[id(made)] = made
        self._push(made)

    def _is_added(self, obj: Any) -> bool:
        return id(obj) in self._added

    def _build(self) -> None:
        state, target = self._value(self._pop()), self._stack[-1]
        if type(target) is OrderedDict:
            target.__dict__.update(self._attributes(OrderedDict, state))
        elif not self._is_added(target):
            raise self._error(f"a state is set on a {type(target).__name__}")
        elif hasattr(target, "__setstate__"):
            target.__setstate__(state)
        else:
            plain, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
            for part in (plain, slots):
                for name, value in self._attributes(object, part or {}).items():
                    setattr(target, name, value)

    def _attributes(self, kind: type, state: Any) -> dict[str, Any]:
        if type(state) is not dict or not all(type(name) is str for name in state):
            raise self._error("a state is no dict of attributes")
        for name in state:
            if hasattr(kind, name):
                raise self._error(f"a state replaces {name[:_NAME_LENGTH]!r} of the class {kind.__name__}")
        return state

    def _persistent(self) -> None:
        identity = self._pop()
        if type(identity) is tuple and len(identity) == 6 and identity[5] is None:
            identity = identity[:5]  # the legacy format says here whether the storage is part of another one
        if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
            raise self._error("a storage is not described as PyTorch does")
        _, kind, key, location, numel = identity
        if not isinstance(kind, _StorageClass) or type(key) is not str or type(location) is not str:
            raise self._error("a storage is not described as PyTorch does")
        if type(numel) is not int or not 0 <= numel <= _memory.INT64_MAX:
            raise self._error(f"storage {key[:_NAME_LENGTH]!r} has no possible number of elements")
        nbytes = numel * (kind.row.itemsize if kind.row else 1)
        if self._storages.setdefault(key, nbytes) != nbytes:
            raise self._error(f"storage {key[:_NAME_LENGTH]!r} is described with two sizes")
        self._push(_Storage(key, kind.row, nbytes, location))

    # -- tensors --------------------------------------------------------------------------------------------------

    def _base(self, storage: _Storage, row: DtypeName) -> Tensor:
        known = self._bases.get(storage.key)
        if known is None:
            known = row, self._load_storage(storage.key, row, storage.nbytes, storage.location)
            self._bases[storage.key] = known
        if known[0] is not row:
            raise self._error(f"storage {storage.key[:_NAME_LENGTH]!r} is used as {known[0].name} and as {row.name}")
        return known[1]

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, row: Any = None) -> Tensor:
        if not isinstance(storage, _Storage) or not isinstance(size, tuple) or type(stride) is not tuple:
            raise self._error("a tensor is not described as PyTorch does")
        row = row or storage.row or _BYTE_STORAGE
        numel = storage.nbytes // row.itemsize
        problem = _memory.check_extent(f"a tensor over storage {storage.key!r:.40}", size, stride, offset, numel)
        if problem:
            raise UnpicklingError(f"load: {problem}; the file is damaged")
        tensor = self._base(storage, row).as_strided(tuple(size), stride, offset)
        return self._with_gradient(tensor, requires_grad, row)

    def _with_gradient(self, tensor: Tensor, requires_grad: Any, row: DtypeName | None) -> Tensor:
        if type(requires_grad) is not bool or (requires_grad and row is not None and not row.is_differentiable):
            raise self._error("requires_grad is no bool, or is set on a tensor that is not floating point")
        return tensor.requires_grad_() if requires_grad else tensor

    def _parameter(self, data: Any, requires_grad: Any) -> Tensor:
        from fastnn.nn.parameter import Parameter

        if not isinstance(data, _C.Tensor) or type(requires_grad) is not bool:
            raise self._error("a parameter is not described as PyTorch does")
        if requires_grad and not (data.is_floating_point() or data.is_complex()):
            raise self._error("a parameter of a dtype that is neither floating point nor complex requires gradients")
        return Parameter(data, requires_grad)

    def _set_state(self, tensor: Tensor, state: Any) -> Tensor:
        tensor.__dict__.update(self._attributes(type(tensor), self._value(state)))
        return tensor

    # -- what a file may call: each checks its arguments ----------------------------------------------------------

    def _check_count(self, arguments: tuple[Any, ...], least: int, most: int) -> None:
        if not least <= len(arguments) <= most:
            raise self._error("a tensor is not described as PyTorch does")

    def _build_tensor(self, arguments: tuple[Any, ...]) -> Tensor:
        """_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks, metadata=None)"""
        if len(arguments) == 4:  # _rebuild_tensor has no requires_grad
            arguments = (*arguments, False, None)
        self._check_count(arguments, 6, 7)
        if len(arguments) == 7 and arguments[6]:
            raise self._error("a tensor has flags that fastnn does not know (a conjugate or negative view)")
        return self._tensor(*arguments[:5])

    def _build_tensor_v3(self, arguments: tuple[Any, ...]) -> Tensor:
        """_rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype, metadata=None)"""
        self._check_count(arguments, 7, 8)
        if len(arguments) == 8 and arguments[7]:
            raise self._error("a tensor has flags that fastnn does not know (a conjugate or negative view)")
        if type(arguments[6]) is not _C.dtype:
            raise self._error("a tensor has no dtype")
        storage, offset, size, stride, requires_grad = arguments[:5]
        return self._tensor(storage, offset, size, stride, requires_grad, name_of(arguments[6]))

    def _build_parameter(self, arguments: tuple[Any, ...]) -> Tensor:
        """_rebuild_parameter(data, requires_grad, hooks)"""
        self._check_count(arguments, 3, 3)
        return self._parameter(arguments[0], arguments[1])

    def _build_parameter_with_state(self, arguments: tuple[Any, ...]) -> Tensor:
        """_rebuild_parameter_with_state(data, requires_grad, hooks, state)"""
        self._check_count(arguments, 4, 4)
        return self._set_state(self._parameter(arguments[0], arguments[1]), arguments[3])

    def _build_from_type(self, arguments: tuple[Any, ...]) -> Tensor:
        """_rebuild_from_type_v2(function, class, arguments, state)"""
        if len(arguments) != 4 or not isinstance(arguments[0], _Function) or type(arguments[2]) is not tuple:
            raise self._error("a tensor is not described as PyTorch does")
        function, kind, inner, state = arguments
        if function.build is Unpickler._build_from_type:
            raise self._error("a tensor is described in terms of itself")
        tensor = function.build(self, inner)
        if not isinstance(tensor, _C.Tensor):
            raise self._error("a tensor is not described as PyTorch does")
        if isinstance(kind, type) and issubclass(kind, _C.Tensor):  # a class that the user allowed
            tensor = tensor.as_subclass(kind)
        elif not isinstance(kind, _Class):
            raise self._error("a tensor is made an object of something that is no tensor class")
        return self._set_state(tensor, state)

    def _build_size(self, arguments: tuple[Any, ...]) -> Any:
        sizes: Any = arguments[0] if len(arguments) == 1 else None
        if type(sizes) not in (tuple, list) or any(type(n) is not int or abs(n) > _memory.INT64_MAX for n in sizes):
            raise self._error("a Size is no tuple of 64-bit integers")
        return _C.Size(sizes)

    def _build_device(self, arguments: tuple[Any, ...]) -> Any:
        if not arguments or type(arguments[0]) is not str:
            raise self._error("a device has no name")
        return _C.device("cpu")  # whatever device the file comes from, here is only one

    def _build_ordered_dict(self, arguments: tuple[Any, ...]) -> OrderedDict[Any, Any]:
        made: OrderedDict[Any, Any] = OrderedDict()
        for pairs in arguments:
            if len(arguments) > 1 or type(pairs) is not list:
                raise self._error("an OrderedDict is not described as Python does")
            for pair in pairs:
                if type(pair) not in (list, tuple) or len(pair) != 2:
                    raise self._error("an OrderedDict is not described as Python does")
                made[self._key(pair[0])] = self._value(pair[1])
        return made

    def _build_counter(self, arguments: tuple[Any, ...]) -> Counter[Any]:
        made: Counter[Any] = Counter()
        if len(arguments) > 1 or (arguments and type(arguments[0]) is not dict):
            raise self._error("a Counter is not described as Python does")
        dict.update(made, *arguments)
        return made

    def _build_set(self, arguments: tuple[Any, ...]) -> set[Any]:
        if len(arguments) > 1 or (arguments and type(arguments[0]) is not list):
            raise self._error("a set is not described as Python does")
        return {self._key(item) for items in arguments for item in items}

    def _build_complex(self, arguments: tuple[Any, ...]) -> complex:
        if len(arguments) != 2 or any(type(part) is not float for part in arguments):
            raise self._error("a complex number is not two floats")
        return complex(*arguments)

    def _build_bytearray(self, arguments: tuple[Any, ...]) -> bytearray:
        if len(arguments) > 1 or (arguments and type(arguments[0]) is not bytes):
            raise self._error("a bytearray is not made of bytes")
        return bytearray(*arguments)

    def _build_empty_bytes(self, arguments: tuple[Any, ...]) -> bytes:
        if arguments:
            raise self._error("bytes are not described as Python does")
        return b""

    def _build_bytes(self, arguments: tuple[Any, ...]) -> bytes:
        if not arguments or type(arguments[0]) is not str or arguments[1:] not in (("latin1",), ("latin-1",)):
            raise self._error("bytes are not described as Python does")
        try:
            return arguments[0].encode("latin1")
        except UnicodeEncodeError:
            raise self._error("bytes are not described as Python does") from None


def _refusal(module: str, name: str) -> str:
    full = f"{module}.{name}"
    if len(full) > _NAME_LENGTH:
        full = full[:_NAME_LENGTH] + "..."
    text = (
        f"load: the file asks for {full!r}. Only tensors, numbers, strings and plain containers are read from a "
        "checkpoint, because calling what a file names can run any code. "
    )
    top = module.partition(".")[0]
    if top == "numpy":
        return text + "It was saved with NumPy values in it: turn them into tensors or Python numbers and save again."
    if "nn" in module.split(".") or top == "torch":
        return text + (
            "It was probably saved as a whole object: save its state_dict() and load that. If you trust the file, "
            "weights_only=False reads whole modules whose classes the program has imported."
        )
    return text + (
        "weights_only=False does not change this. If you know the class and trust the file, allow it with "
        "fastnn.serialization.add_safe_globals([...])."
    )


def _table() -> dict[tuple[str, str], _Marker]:
    functions = {
        "torch._utils._rebuild_tensor": Unpickler._build_tensor,
        "torch._utils._rebuild_tensor_v2": Unpickler._build_tensor,
        "torch._utils._rebuild_tensor_v3": Unpickler._build_tensor_v3,
        "torch._utils._rebuild_parameter": Unpickler._build_parameter,
        "torch._utils._rebuild_parameter_with_state": Unpickler._build_parameter_with_state,
        "torch._tensor._rebuild_from_type_v2": Unpickler._build_from_type,
        "torch.Size": Unpickler._build_size,
        "torch.device": Unpickler._build_device,
        "collections.OrderedDict": Unpickler._build_ordered_dict,
        "collections.Counter": Unpickler._build_counter,
        "_codecs.encode": Unpickler._build_bytes,
    }
    for builtins in ("builtins", "__builtin__"):
        functions[f"{builtins}.set"] = Unpickler._build_set
        functions[f"{builtins}.complex"] = Unpickler._build_complex
        functions[f"{builtins}.bytearray"] = Unpickler._build_bytearray
        functions[f"{builtins}.bytes"] = Unpickler._build_empty_bytes
    markers: list[_Marker] = [_Function(name, build) for name, build in functions.items()]
    markers += [_Class("torch.Tensor"), _Class("torch.nn.parameter.Parameter")]
    markers += [_StorageClass(f"torch.{name}", row) for name, row in BY_STORAGE.items()]
    markers += [_StorageClass("torch.storage.UntypedStorage", None)]
    table: dict[tuple[str, str], _Marker] = {}
    for marker in markers:
        module, _, name = marker.name.rpartition(".")
        table[module, name] = marker
    return table


_GLOBALS = _table()

_OPCODES: dict[bytes, Callable[[Unpickler], object]] = {
    b"\x80": Unpickler._protocol,
    b"\x95": lambda self: self._number(_U64),  # FRAME: a hint for readers of streams
    b"(": Unpickler._mark,
    b"0": lambda self: self._pop(),
    b"1": lambda self: self._to_mark(),
    b"2": lambda self: self._push(self._stack[-1]),
    b"N": lambda self: self._push(None),
    b"\x88": lambda self: self._push(True),
    b"\x89": lambda self: self._push(False),
    b"K": lambda self: self._push(self._take(1)[0]),
    b"M": lambda self: self._push(self._number(_U16)),
    b"J": lambda self: self._push(self._number(_I32)),
    b"\x8a": lambda self: self._int_variable(self._take(1)[0]),
    b"\x8b": lambda self: self._int_variable(self._number(_I32)),
    b"G": lambda self: self._push(self._number(_F64)),
    b"X": lambda self: self._text(self._number(_U32)),
    b"\x8c": lambda self: self._text(self._take(1)[0]),
    b"\x8d": lambda self: self._text(self._number(_U64)),
    b"U": lambda self: self._text(self._take(1)[0]),
    b"T": lambda self: self._text(self._number(_U32)),
    b"B": lambda self: self._push(self._take(self._number(_U32))),
    b"C": lambda self: self._push(self._take(self._take(1)[0])),
    b"\x8e": lambda self: self._push(self._take(self._number(_U64))),
    b"\x96": lambda self: self._push(bytearray(self._take(self._number(_U64)))),
    b"q": lambda self: self._put(self._take(1)[0]),
    b"r": lambda self: self._put(self._number(_U32)),
    b"\x94": lambda self: self._put(len(self._memo)),
    b"h": lambda self: self._push(self._memo[self._take(1)[0]]),
    b"j": lambda self: self._push(self._memo[self._number(_U32)]),
    b")": lambda self: self._push(()),
    b"t": lambda self: self._tuple(self._to_mark()),
    b"\x85": lambda self: self._tuple_of(1),
    b"\x86": lambda self: self._tuple_of(2),
    b"\x87": lambda self: self._tuple_of(3),
    b"]": lambda self: self._push([]),
    b"}": lambda self: self._push({}),
    b"\x8f": lambda self: self._push(set()),
    b"a": lambda self: self._append([self._pop()]),
    b"e": lambda self: self._append(self._to_mark()),
    b"s": lambda self: self._set_items([self._pop(), self._pop()][::-1]),
    b"u": lambda self: self._set_items(self._to_mark()),
    b"\x90": lambda self: self._add_items(self._to_mark()),
    b"c": lambda self: self._global(self._line(), self._line()),
    b"\x93": Unpickler._stack_global,
    b"R": Unpickler._reduce,
    b"\x81": Unpickler._new_object,
    b"b": Unpickler._build,
    b"Q": Unpickler._persistent,
}
