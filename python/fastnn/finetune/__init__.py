"""Fine-tuning: freeze parts of a model, see what can still change, prove that the rest does not."""

from __future__ import annotations

from .freezing import fingerprint, freeze, unfreeze
from .report import FreezeReport, ReportEntry, report

__all__ = ["FreezeReport", "ReportEntry", "fingerprint", "freeze", "report", "unfreeze"]
