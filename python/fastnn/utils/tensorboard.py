"""Logs for TensorBoard, written by the package ``tensorboardX``."""

from __future__ import annotations

from typing import Any

_NAMES = {"SummaryWriter": "tensorboardX", "FileWriter": "tensorboardX.writer"}


def __getattr__(name: str) -> Any:
    """The writers, when they are asked for.

    Raises:
        ImportError: the package is not installed.
    """
    if name not in _NAMES:
        raise AttributeError(f"module 'torch.utils.tensorboard' has no attribute {name!r}")
    import importlib

    try:
        return getattr(importlib.import_module(_NAMES[name]), name)
    except ImportError as error:
        raise ImportError(
            f"torch.utils.tensorboard.{name} needs the package tensorboardX: pip install tensorboardX"
        ) from error
