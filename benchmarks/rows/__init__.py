"""What is compared. A row gets the library as its argument ``torch``; each module adds its own to ``ROWS``."""

from benchmarks.rows import dispatch, kernels, models, optimizers  # noqa: F401  (each adds its rows)
from benchmarks.rows.base import ROWS, Options, Row, Step

__all__ = ["ROWS", "Options", "Row", "Step"]
