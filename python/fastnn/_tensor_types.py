"""The old constructors ``FloatTensor``, ``LongTensor`` ...: one name for each dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor
from fastnn._tensor import _construct

if TYPE_CHECKING:
    from fastnn._C import _DeviceLike

__all__ = [
    "BFloat16Tensor",
    "BoolTensor",
    "ByteTensor",
    "CharTensor",
    "DoubleTensor",
    "FloatTensor",
    "HalfTensor",
    "IntTensor",
    "LongTensor",
    "ShortTensor",
    "set_default_tensor_type",
]


class _TensorType(type):
    """Calling it makes a tensor; instances are the tensors of its dtype. Those of ``torch.cuda`` are only names."""

    dtype: _C.dtype
    is_cuda = False

    def __instancecheck__(cls, instance: object) -> bool:
        return not cls.is_cuda and isinstance(instance, Tensor) and instance.dtype == cls.dtype

    def __call__(cls, *args: Any, device: _DeviceLike = None) -> Tensor:
        cls.check_available()
        return _construct(*args, dtype=cls.dtype, device=device)

    def check_available(cls) -> None:
        """Raise for a type of tensors on a GPU."""
        if cls.is_cuda:
            raise TypeError(f"type torch.cuda.{cls.__name__} not available. Torch not compiled with CUDA enabled.")


def _tensor_type(name: str, dtype: _C.dtype) -> _TensorType:
    doc = f"``{name}(2, 3)`` is uninitialised memory of that shape, ``{name}([1, 2])`` the data as ``{dtype}``."
    return _TensorType(name, (), {"__module__": "torch", "__doc__": doc, "dtype": dtype})


FloatTensor = _tensor_type("FloatTensor", _C.float32)
DoubleTensor = _tensor_type("DoubleTensor", _C.float64)
HalfTensor = _tensor_type("HalfTensor", _C.float16)
BFloat16Tensor = _tensor_type("BFloat16Tensor", _C.bfloat16)
ByteTensor = _tensor_type("ByteTensor", _C.uint8)
CharTensor = _tensor_type("CharTensor", _C.int8)
ShortTensor = _tensor_type("ShortTensor", _C.int16)
IntTensor = _tensor_type("IntTensor", _C.int32)
LongTensor = _tensor_type("LongTensor", _C.int64)
BoolTensor = _tensor_type("BoolTensor", _C.bool)


_gpu_types: dict[str, _TensorType] = {}


def gpu_type(name: str) -> _TensorType:
    """``torch.cuda.FloatTensor`` and the like: no tensor is one, and none can be made."""
    if name not in _gpu_types:
        contents = {"__module__": "torch.cuda", "dtype": globals()[name].dtype, "is_cuda": True}
        _gpu_types[name] = _TensorType(name, (), contents)
    return _gpu_types[name]


def set_default_tensor_type(t: type | str) -> None:
    """Set the default dtype by the name of a tensor type.

    Example::

        >>> import fastnn
        >>> fastnn.set_default_tensor_type(fastnn.FloatTensor)
    """
    kind: object = t
    if isinstance(t, str):
        place, _, name = t.rpartition(".")
        known = place in ("torch", "torch.cuda") and name in __all__
        kind = (gpu_type(name) if place == "torch.cuda" else globals()[name]) if known else None
    if not isinstance(kind, _TensorType):
        raise TypeError(f"invalid type object: {t}")
    kind.check_available()
    if not kind.dtype.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _C.set_default_dtype(kind.dtype)
