"""Optimizers, and learning rate schedules in `optim.lr_scheduler`."""

from __future__ import annotations

from .._missing import missing_attribute
from . import lr_scheduler
from .adam import Adam
from .adamw import AdamW
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]

__getattr__ = missing_attribute("torch.optim")
