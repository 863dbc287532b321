"""NVIDIA's library of kernels, which is not there. Its switches are remembered and change nothing."""

from __future__ import annotations

from typing import Any

from ._switches import Switches, flags_of

enabled = True
deterministic = False
benchmark = False
benchmark_limit: int | None = None
allow_tf32 = True
fp32_precision = "none"
conv = Switches(fp32_precision="tf32")
rnn = Switches(fp32_precision="tf32")

flags = flags_of(globals())


def is_available() -> bool:
    """False."""
    return False


def version() -> int | None:
    """None."""
    return None


def is_acceptable(tensor: Any) -> bool:
    """False: no tensor is on a GPU."""
    return False


def set_flags(
    _enabled: bool | None = None,
    _benchmark: bool | None = None,
    _benchmark_limit: int | None = None,
    _deterministic: bool | None = None,
    _allow_tf32: bool | None = None,
) -> tuple[bool, bool, int | None, bool, bool]:
    """Set switches; the values before."""
    before = (enabled, benchmark, benchmark_limit, deterministic, allow_tf32)
    names = ("enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32")
    given = (_enabled, _benchmark, _benchmark_limit, _deterministic, _allow_tf32)
    globals().update({name: value for name, value in zip(names, given, strict=True) if value is not None})
    return before
