"""Names of `torch.fx` that PyTorch has here."""

from __future__ import annotations

from . import Tracer, symbolic_trace, wrap

__all__ = ["Tracer", "symbolic_trace", "wrap"]
