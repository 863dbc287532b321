"""Names of the top level that say how PyTorch should run, and dtypes of which fastnn has only the name."""

from __future__ import annotations

import warnings
from typing import Any, NoReturn

from fastnn import _C

from . import _functions

__all__ = ["DTYPE_NAMES"]


# --- dtypes that are not there ---------------------------------------------------------------------------------------


class NamedDtype:
    """A dtype of which there is only the name: for tables and comparisons. No operation takes it."""

    is_complex = False

    def __init__(self, name: str, itemsize: int, is_floating_point: bool) -> None:
        self._name = name
        self.itemsize = itemsize
        self.is_floating_point = is_floating_point
        self.is_signed = not name.startswith("uint")

    def to_real(self) -> Any:
        """The dtype of a complex number's parts; another dtype itself."""
        return _C.float16 if self._name == "complex32" else self

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    def __reduce__(self) -> str:
        return self._name


_SIZES = {
    "float8_e4m3fn": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2": 1,
    "float8_e5m2fnuz": 1,
    "float8_e8m0fnu": 1,
    "float4_e2m1fn_x2": 1,
    "complex32": 4,
    "complex64": 8,
    "complex128": 16,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "qint8": 1,
    "quint8": 1,
    "qint32": 4,
    "quint4x2": 1,
    "quint2x4": 1,
} | {f"{sign}int{bits}": 1 for sign in ("", "u") for bits in range(1, 8)}
_ALIASES = {"chalf": "complex32", "cfloat": "complex64", "cdouble": "complex128"}
DTYPE_NAMES: dict[str, Any] = {
    name: NamedDtype(name, size, name.startswith("float")) for name, size in _SIZES.items() if not hasattr(_C, name)
}
DTYPE_NAMES |= {alias: DTYPE_NAMES[name] for alias, name in _ALIASES.items() if name in DTYPE_NAMES}
LAYOUT_NAMES = ("sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "jagged", "_mkldnn")


class NamedLayout:
    """A layout of which there is only the name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"


globals().update(DTYPE_NAMES | {name: NamedLayout(name) for name in LAYOUT_NAMES if not hasattr(_C, name)})

# --- how to run ------------------------------------------------------------------------------------------------------

_state: dict[str, Any] = {"matmul": "highest", "interop": 1, "warn_always": False, "warn_only": False}


legacy_contiguous_format = _C.contiguous_format
has_lapack = has_openmp = has_spectral = True
has_mkl = False


class AcceleratorError(RuntimeError):
    """What a device other than the CPU raises, of which there is none."""


def init_num_threads() -> None:
    """Accepted for compatibility: threads start when they are first needed."""


def set_float32_matmul_precision(precision: str) -> None:
    """Accepted for compatibility: products of float32 matrices are always computed in float32.

    Args:
        precision: ``"highest"``, ``"high"`` or ``"medium"``; others are ignored with a warning.
    """
    if precision not in ("highest", "high", "medium"):
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current value is kept", stacklevel=2
        )
        return
    _state["matmul"] = precision


def get_float32_matmul_precision() -> str:
    """What :func:`set_float32_matmul_precision` was told.

    Example:
        >>> import fastnn
        >>> fastnn.get_float32_matmul_precision()
        'highest'
    """
    return str(_state["matmul"])


def set_num_interop_threads(num: int) -> None:
    """Accepted for compatibility: operations run one after the other, each on all threads."""
    if not isinstance(num, int) or isinstance(num, bool):
        raise TypeError(f"set_num_interop_threads expects an int, but got {type(num).__name__}")
    if num <= 0:
        raise RuntimeError(f"set_num_interop_threads expects a positive integer, got {num}")
    _state["interop"] = num


def get_num_interop_threads() -> int:
    """What :func:`set_num_interop_threads` was told; 1 by default.

    Example:
        >>> import fastnn
        >>> fastnn.get_num_interop_threads()
        1
    """
    return int(_state["interop"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """False: nothing here has to warn, every algorithm is deterministic."""
    return False


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """The other way to say ``use_deterministic_algorithms``.

    Args:
        debug_mode: ``"default"`` or 0, ``"warn"`` or 1, ``"error"`` or 2.
    """
    modes: dict[int | str, int] = {"default": 0, "warn": 1, "error": 2, 0: 0, 1: 1, 2: 2}
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if debug_mode not in modes:
        raise RuntimeError(f"invalid value of debug_mode, expected one of `default`, `warn`, `error`, got {debug_mode}")
    _state["mode"] = modes[debug_mode]
    _functions.use_deterministic_algorithms(modes[debug_mode] > 0)


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2, as told to :func:`set_deterministic_debug_mode`."""
    if not _functions.are_deterministic_algorithms_enabled():
        return 0
    return int(_state.get("mode") or 2)


def set_warn_always(b: bool) -> None:
    """Remember whether warnings should come each time."""
    _state["warn_always"] = bool(b)


def is_warn_always_enabled() -> bool:
    """What :func:`set_warn_always` was told."""
    return bool(_state["warn_always"])


def is_vulkan_available() -> bool:
    """False."""
    return False


def compiled_with_cxx11_abi() -> bool:
    """True."""
    return True


def is_distributed(input: Any) -> bool:
    """False."""
    return False


def get_device_module(device: Any = None) -> Any:
    """The module of a device: ``torch.cpu`` or another.

    Example:
        >>> import fastnn
        >>> fastnn.get_device_module("cpu").device_count()
        1
    """
    import importlib

    name = _C.device(device).type if device is not None else "cpu"
    return importlib.import_module(f"fastnn.{name}")


# --- numbers that are symbols in a traced program; here they are numbers ---------------------------------------------


class SymInt:
    """For ``isinstance``: no number here is a symbol."""


class SymFloat:
    """For ``isinstance``: no number here is a symbol."""


class SymBool:
    """For ``isinstance``: no number here is a symbol."""


def sym_int(a: Any) -> int:
    """``int``."""
    return int(a)


def sym_float(a: Any) -> float:
    """``float``."""
    return float(a)


def sym_not(a: Any) -> bool:
    """``not``."""
    return not a


def sym_max(a: Any, b: Any) -> Any:
    """``max``."""
    return max(a, b)


def sym_min(a: Any, b: Any) -> Any:
    """``min``."""
    return min(a, b)


# --- what is not there -----------------------------------------------------------------------------------------------


class Stream:
    """A queue of work on a device: for annotations. On the CPU there is ``torch.cpu.Stream``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("torch.Stream needs an accelerator, and fastnn runs on the CPU only")


class Event(Stream):
    """A mark in a queue of work on a device: for annotations."""


def _unsupported(what: str) -> Any:
    def fail(*args: Any, **kwargs: Any) -> NoReturn:
        raise NotImplementedError(f"torch.{what}: fastnn has no such thing; docs/parity.md lists what it has")

    fail.__name__ = fail.__qualname__ = what
    fail.__doc__ = "Not there: calling it is an error."
    return fail


sparse_csr_tensor = _unsupported("sparse_csr_tensor")
sparse_compressed_tensor = _unsupported("sparse_compressed_tensor")
quantize_per_tensor = _unsupported("quantize_per_tensor")
quantize_per_channel = _unsupported("quantize_per_channel")
quantize_per_tensor_dynamic = _unsupported("quantize_per_tensor_dynamic")
