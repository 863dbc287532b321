"""Names of `torch.fx` that PyTorch has here."""

from __future__ import annotations

from . import Interpreter, Transformer

__all__ = ["Interpreter", "Transformer"]
