"""Upsampling, under the path that PyTorch has it at."""

from __future__ import annotations

from .resize import Upsample, UpsamplingBilinear2d, UpsamplingNearest2d

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]
