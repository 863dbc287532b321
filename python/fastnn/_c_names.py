"""Names of PyTorch's extension that other packages look up in ``torch._C``."""

from __future__ import annotations

import enum
from typing import Any

from fastnn import _C

__all__ = ["install"]


def _log_api_usage_once(event: str) -> None:
    """Nothing is reported to anyone."""


def _get_privateuse1_backend_name() -> str:
    return "privateuseone"


def _false(*args: object) -> bool:
    return False


def _zero(*args: object) -> int:
    return 0


def _none(*args: object) -> None:
    return None


def _get_accelerator(check: bool | None = None) -> _C.device:
    return _C.device("cpu")


class DispatchKey(enum.Enum):
    """Which of an operation's functions is meant."""

    CPU = "CPU"
    CUDA = "CUDA"
    XPU = "XPU"
    MPS = "MPS"
    Meta = "Meta"
    AutogradCPU = "AutogradCPU"
    AutogradCUDA = "AutogradCUDA"
    AutocastCPU = "AutocastCPU"
    AutocastCUDA = "AutocastCUDA"
    AutocastXPU = "AutocastXPU"


class DispatchKeySet:
    """A set of :data:`DispatchKey`."""

    def __init__(self, *keys: Any) -> None:
        self._keys = frozenset(keys)

    def __or__(self, other: DispatchKeySet) -> DispatchKeySet:
        return DispatchKeySet(*self._keys, *other._keys)

    def has(self, key: Any) -> bool:
        """Whether the key is in the set."""
        return key in self._keys


_NAMES: dict[str, Any] = {
    "_log_api_usage_once": _log_api_usage_once,
    "_log_api_usage_metadata": _log_api_usage_once,
    "_get_accelerator": _get_accelerator,
    "_get_privateuse1_backend_name": _get_privateuse1_backend_name,
    "_get_tracing_state": _none,
    "_is_tracing": _false,
    "_cuda_isDriverSufficient": _false,
    "_cuda_getDeviceCount": _zero,
    "_has_mkldnn": False,
    "_has_cuda": False,
    "has_mkl": False,
    "has_openmp": True,
    "has_lapack": True,
    "has_mps": False,
    "_GLIBCXX_USE_CXX11_ABI": True,
    "DispatchKey": DispatchKey,
    "DispatchKeySet": DispatchKeySet,
    "DisableTorchFunctionSubclass": getattr(_C, "DisableTorchFunctionSubclass", None),
    **{
        name: type(name, (), {"__doc__": "A part of a TorchScript program; there are none."})
        for name in ("Graph", "ScriptFunction", "ScriptMethod", "Value")
    },
    "_jit_can_fuse_on_cpu": _false,
    "_jit_can_fuse_on_gpu": _false,
} | {
    f"_jit_{name}": _none
    for name in (
        "override_can_fuse_on_cpu",
        "override_can_fuse_on_gpu",
        "set_bailout_depth",
        "set_nvfuser_enabled",
        "set_nvfuser_guard_mode",
        "set_profiling_executor",
        "set_profiling_mode",
        "set_texpr_fuser_enabled",
    )
}


def install() -> None:
    """Put the names into the extension, except those that it has itself."""
    for name, value in _NAMES.items():
        if value is not None and not hasattr(_C, name):
            setattr(_C, name, value)
    if not hasattr(_C, "_nn"):
        _C._nn = _C.nn  # type: ignore[attr-defined]
