"""The processor."""

from __future__ import annotations

from fastnn import _C

__all__ = ["get_cpu_capability"]


def get_cpu_capability() -> str:
    """The instruction set whose kernels run, as PyTorch writes it.

    Example:
        >>> import fastnn
        >>> fastnn.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2", "AVX512")
        True
    """
    name = _C._isa()
    return "DEFAULT" if name == "base" else name.upper()
