"""Switches of CUDA, which is not there. They are remembered and change nothing."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._switches import Switches

if TYPE_CHECKING:
    from collections.abc import Iterator

matmul = Switches(
    allow_tf32=False,
    allow_fp16_reduced_precision_reduction=True,
    allow_bf16_reduced_precision_reduction=True,
    allow_fp16_accumulation=False,
    fp32_precision="none",
)
cufft_plan_cache = Switches(size=0, max_size=0, clear=lambda: None)

_sdp = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}
_preferred: dict[str, Any] = {}


def is_built() -> bool:
    """False."""
    return False


def flash_sdp_enabled() -> bool:
    """Whether the switch is on."""
    return _sdp["flash"]


def mem_efficient_sdp_enabled() -> bool:
    """Whether the switch is on."""
    return _sdp["mem_efficient"]


def math_sdp_enabled() -> bool:
    """Whether the switch is on."""
    return _sdp["math"]


def cudnn_sdp_enabled() -> bool:
    """Whether the switch is on."""
    return _sdp["cudnn"]


def enable_flash_sdp(enabled: bool) -> None:
    """Set the switch."""
    _sdp["flash"] = enabled


def enable_mem_efficient_sdp(enabled: bool) -> None:
    """Set the switch."""
    _sdp["mem_efficient"] = enabled


def enable_math_sdp(enabled: bool) -> None:
    """Set the switch."""
    _sdp["math"] = enabled


def enable_cudnn_sdp(enabled: bool) -> None:
    """Set the switch."""
    _sdp["cudnn"] = enabled


def is_flash_attention_available() -> bool:
    """False: that is a kernel for GPUs. Attention on the CPU has its own."""
    return False


def can_use_flash_attention(params: Any, debug: bool = False) -> bool:
    """False."""
    return False


def can_use_efficient_attention(params: Any, debug: bool = False) -> bool:
    """False."""
    return False


@contextmanager
def sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True, enable_cudnn: bool = True
) -> Iterator[None]:
    """Set the switches within a ``with`` block."""
    before = dict(_sdp)
    _sdp.update(flash=enable_flash, math=enable_math, mem_efficient=enable_mem_efficient, cudnn=enable_cudnn)
    try:
        yield
    finally:
        _sdp.update(before)


def preferred_linalg_library(backend: Any = None) -> Any:
    """The library last asked for, or ``"default"``."""
    return _preferred.setdefault("linalg", "default") if backend is None else _preferred.update(linalg=backend)


def preferred_blas_library(backend: Any = None) -> Any:
    """The library last asked for, or ``"default"``."""
    return _preferred.setdefault("blas", "default") if backend is None else _preferred.update(blas=backend)
