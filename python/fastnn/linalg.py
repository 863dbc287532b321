"""Linear algebra, under the names of torch.linalg."""

from __future__ import annotations

from fastnn._C import linalg as _linalg

matmul = _linalg.matmul
multi_dot = _linalg.multi_dot

__all__ = ["matmul", "multi_dot"]
