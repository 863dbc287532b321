"""Pixel shuffles, under the path that PyTorch has them at."""

from __future__ import annotations

from .resize import PixelShuffle, PixelUnshuffle

__all__ = ["PixelShuffle", "PixelUnshuffle"]
