"""A block in which tensors without dimensions are indices under ``vmap``; here they always are."""

from __future__ import annotations

from contextlib import nullcontext

__all__ = ["TransformGetItemToIndex"]


class TransformGetItemToIndex(nullcontext[None]):
    """A block in which everything is as before."""
