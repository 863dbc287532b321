"""Names of `torch.fx` that PyTorch has here."""

from __future__ import annotations

from . import Graph, Node

__all__ = ["Graph", "Node"]
