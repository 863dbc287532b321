"""ChannelShuffle, under the path that PyTorch has it at."""

from __future__ import annotations

from .resize import ChannelShuffle

__all__ = ["ChannelShuffle"]
