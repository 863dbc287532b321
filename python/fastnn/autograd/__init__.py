"""Derivatives: running the backward graph, switching its recording, functions with derivatives of their own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from fastnn._C import Tensor as Variable
from fastnn._C import is_anomaly_enabled
from fastnn._C import is_grad_enabled as is_grad_enabled

from ._engine import backward, grad
from .anomaly_mode import detect_anomaly, set_detect_anomaly
from .function import Function, FunctionCtx
from .grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled, set_multithreading_enabled
from .gradcheck import GradcheckError, gradcheck, gradgradcheck

if TYPE_CHECKING:
    from . import forward_ad as forward_ad
    from . import functional as functional
    from . import graph as graph
    from . import profiler as profiler

__all__ = [
    "Function",
    "FunctionCtx",
    "GradcheckError",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_anomaly_enabled",
    "no_grad",
    "profiler",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]


def __getattr__(name: str) -> object:
    """Modules that few programs need are loaded when first used."""
    if name in ("forward_ad", "functional", "graph", "profiler"):
        return importlib.import_module(f"{__name__}.{name}")
    from .._missing import missing_attribute

    return missing_attribute("torch.autograd")(name)
