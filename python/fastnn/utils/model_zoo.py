"""The old name of ``torch.hub.load_state_dict_from_url``."""

from __future__ import annotations

from typing import Any

from .. import hub
from .._missing import missing_attribute
from ..hub import load_state_dict_from_url as load_url

__all__ = ["load_url"]


def __getattr__(name: str) -> Any:
    return hub.tqdm if name == "tqdm" else missing_attribute("torch.utils.model_zoo")(name)
