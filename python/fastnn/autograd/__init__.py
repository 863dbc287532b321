"""Derivatives: running the backward graph, switching its recording, functions with derivatives of their own."""

from __future__ import annotations

from fastnn._C import Tensor as Variable
from fastnn._C import is_anomaly_enabled
from fastnn._C import is_grad_enabled as is_grad_enabled

from ._engine import backward, grad
from .anomaly_mode import detect_anomaly, set_detect_anomaly
from .function import Function, FunctionCtx
from .grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled, set_multithreading_enabled
from .gradcheck import GradcheckError, gradcheck, gradgradcheck

__all__ = [
    "Function",
    "FunctionCtx",
    "GradcheckError",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "inference_mode",
    "is_anomaly_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]


def __getattr__(name: str) -> object:
    """The profiler is loaded when it is first used."""
    if name == "profiler":
        import importlib

        return importlib.import_module("fastnn.autograd.profiler")
    from .._missing import missing_attribute

    return missing_attribute("torch.autograd")(name)
