"""The old name of Tensor."""

from __future__ import annotations

from fastnn._C import Tensor as Variable

__all__ = ["Variable"]
