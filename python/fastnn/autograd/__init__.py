"""Derivatives: running the backward graph, switching its recording, functions with derivatives of their own."""

from __future__ import annotations

from .._lazy_names import export_lazily

export_lazily(
    __name__,
    {
        "._C": "is_anomaly_enabled is_grad_enabled",
        "_engine": "backward grad",
        "variable": "Variable",
        "anomaly_mode": "detect_anomaly set_detect_anomaly",
        "function": "Function FunctionCtx NestedIOFunction",
        "grad_mode": """
            enable_grad enforce_grad_layout_policy inference_mode no_grad set_grad_enabled set_multithreading_enabled
        """,
        "gradcheck": "GradcheckError gradcheck gradgradcheck",
    },
    "forward_ad functional graph profiler",
)
