"""Neural networks: modules, layers, losses, functions and initial values."""

from __future__ import annotations

from .._lazy_names import export_lazily
from .modules import NAMES as _LAYERS

export_lazily(
    __name__,
    {
        **{f"modules.{place}": names for place, names in _LAYERS.items()},
        "parallel": "DataParallel",
        "parameter": "Buffer Parameter UninitializedBuffer UninitializedParameter",
    },
    "attention functional init modules parallel parameter quantized utils",
)
