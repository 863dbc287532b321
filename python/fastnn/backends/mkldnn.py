"""Intel's library of kernels, which is not used: fastnn has its own. Its switches are remembered."""

from __future__ import annotations

from ._switches import Switches, flags_of

enabled = False
deterministic = False
allow_tf32: bool | None = None
fp32_precision = "none"
matmul = Switches(fp32_precision="none")
conv = Switches(fp32_precision="none")
rnn = Switches(fp32_precision="none")

flags = flags_of(globals())


def is_available() -> bool:
    """False."""
    return False
