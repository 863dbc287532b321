"""Fold and Unfold, under the path that PyTorch has them at."""

from __future__ import annotations

from .resize import Fold, Unfold

__all__ = ["Fold", "Unfold"]
