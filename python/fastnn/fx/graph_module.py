"""Names of `torch.fx` that PyTorch has here."""

from __future__ import annotations

from . import GraphModule

__all__ = ["GraphModule"]
