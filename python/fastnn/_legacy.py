"""The old tensor types, such as ``torch.FloatTensor``: constructors with a dtype, and classes for ``isinstance``."""

from __future__ import annotations

from typing import Any

from fastnn import _C
from fastnn._C import Tensor

from ._tensor import _construct

__all__ = ["TYPES", "gpu_type", "set_default_tensor_type"]


class tensortype(type):
    """The type of the old tensor types."""

    dtype: Any
    is_cuda: bool

    def __instancecheck__(cls, instance: Any) -> bool:
        return not cls.is_cuda and isinstance(instance, Tensor) and instance.dtype == cls.dtype

    def __call__(cls, *args: Any, device: Any = None) -> Any:
        if cls.is_cuda:
            raise TypeError(f"type torch.cuda.{cls.__name__} not available. Torch not compiled with CUDA enabled.")
        return _construct(*args, dtype=cls.dtype, device=device)


def _make(name: str, dtype: Any, is_cuda: bool = False) -> Any:
    module = "torch.cuda" if is_cuda else "torch"
    text = f"Tensors of {dtype}: ``{name}(2, 3)`` is uninitialised memory, ``{name}([1, 2])`` holds the data."
    contents = {"dtype": dtype, "is_cuda": is_cuda, "layout": _C.strided, "__module__": module, "__doc__": text}
    return tensortype(name, (), contents)


_DTYPES = {
    "ByteTensor": _C.uint8,
    "CharTensor": _C.int8,
    "ShortTensor": _C.int16,
    "IntTensor": _C.int32,
    "LongTensor": _C.int64,
    "HalfTensor": _C.float16,
    "FloatTensor": _C.float32,
    "DoubleTensor": _C.float64,
    "BFloat16Tensor": _C.bfloat16,
    "BoolTensor": _C.bool,
}
TYPES: dict[str, Any] = {name: _make(name, dtype) for name, dtype in _DTYPES.items()}
_gpu_types: dict[str, Any] = {}


def gpu_type(name: str) -> Any:
    """``torch.cuda.FloatTensor`` and the like: no tensor is one, and none can be made."""
    if name not in _gpu_types:
        _gpu_types[name] = _make(name, _DTYPES[name], is_cuda=True)
    return _gpu_types[name]


def set_default_tensor_type(t: Any) -> None:
    """The old way to say ``set_default_dtype``.

    Args:
        t: a floating point tensor type such as ``torch.DoubleTensor``, or its name.

    Raises:
        TypeError: the type is not floating point, lives on a GPU, or is none.

    Example:
        >>> import fastnn
        >>> fastnn.set_default_tensor_type("torch.DoubleTensor")
        >>> fastnn.get_default_dtype()
        torch.float64
        >>> fastnn.set_default_tensor_type(fastnn.FloatTensor)
    """
    if isinstance(t, str):
        place, _, name = t.rpartition(".")
        if place not in ("torch", "torch.cuda") or name not in TYPES:
            raise TypeError(f"invalid type object: {t!r} is no tensor type")
        t = gpu_type(name) if place == "torch.cuda" else TYPES[name]
    if not isinstance(t, tensortype):
        raise TypeError("invalid type object")
    if t.is_cuda:
        raise TypeError(f"type torch.cuda.{t.__name__} not available. Torch not compiled with CUDA enabled.")
    if not t.dtype.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _C.set_default_dtype(t.dtype)
