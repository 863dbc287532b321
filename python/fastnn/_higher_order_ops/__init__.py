"""Operations on functions of tensors."""

from __future__ import annotations

from .._missing import missing_attribute
from .associative_scan import associative_scan

__all__ = ["associative_scan"]

__getattr__ = missing_attribute("torch._higher_order_ops")
