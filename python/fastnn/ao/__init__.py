"""PyTorch's place for making models smaller."""

from __future__ import annotations

import importlib
from typing import Any

from .._missing import missing_attribute


def __getattr__(name: str) -> Any:
    if name == "quantization":
        return importlib.import_module("fastnn.quantization")
    return missing_attribute("torch.ao")(name)
