"""Which libraries PyTorch would use, and their switches. Of the devices none is there; the switches are remembered."""

from __future__ import annotations

import importlib
from typing import Any

_MODULES = (
    "cpu",
    "cuda",
    "cudnn",
    "cusparselt",
    "mha",
    "mkl",
    "mkldnn",
    "mps",
    "nnpack",
    "openmp",
    "opt_einsum",
    "quantized",
    "xnnpack",
)

fp32_precision = "none"


def disable_global_flags() -> None:
    """Accepted for compatibility."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"fastnn.backends.{name}")
    from .._missing import missing_attribute

    return missing_attribute("torch.backends")(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
