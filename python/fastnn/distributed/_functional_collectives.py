"""Collective operations whose results are new tensors."""

from __future__ import annotations

from fastnn._C import Tensor

from .._missing import missing_attribute
from ._refused import refuse

__all__ = ["wait_tensor"]


def wait_tensor(tensor: Tensor) -> Tensor:
    """The tensor: operations are done when they return."""
    return tensor


all_to_all_single_autograd = refuse

__getattr__ = missing_attribute("torch.distributed._functional_collectives")
