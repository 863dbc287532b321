"""Names of `torch.fx` that PyTorch has here."""

from __future__ import annotations

from . import Attribute, Proxy, TracerBase

__all__ = ["Attribute", "Proxy", "TracerBase"]
