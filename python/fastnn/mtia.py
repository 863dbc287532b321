"""Meta's accelerators, which are not there."""

from __future__ import annotations

from ._missing import missing_attribute
from ._no_accelerator import NoAccelerator

_none = NoAccelerator("MTIA")

is_available = _none.is_available
is_initialized = _none.is_initialized
device_count = _none.device_count
init = synchronize = current_device = set_device = _none.fail
empty_cache = _none.nothing
manual_seed = manual_seed_all = _none.manual_seed

__getattr__ = missing_attribute("torch.mtia")
