"""Modules wrapped for several devices or processes, on one."""

from __future__ import annotations

from ..._lazy_names import export_lazily

export_lazily(
    __name__,
    {
        "data_parallel": "DataParallel data_parallel",
        "distributed": "DistributedDataParallel",
        "parallel_apply": "parallel_apply",
        "replicate": "replicate",
        "scatter_gather": "gather scatter",
    },
)
