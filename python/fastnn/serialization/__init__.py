"""Checkpoints: PyTorch's ``.pt`` files and safetensors, written safely and read without trust.

Example:
    >>> import fastnn, io
    >>> file = io.BytesIO()  # or a path
    >>> fastnn.save({"weight": fastnn.ones(2), "step": 3}, file)
    >>> _ = file.seek(0)
    >>> fastnn.load(file)
    {'weight': tensor([1., 1.]), 'step': 3}
"""

from __future__ import annotations

from ._api import load, save
from ._errors import CheckpointError
from ._globals import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals

__all__ = [
    "CheckpointError",
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "load",
    "safe_globals",
    "save",
]
