"""Apple's GPUs, which are not there: queries say so, and using them is an error."""

from __future__ import annotations

from typing import Any, NoReturn

from ._missing import missing_attribute
from ._no_accelerator import NoAccelerator

_none = NoAccelerator("MPS")

is_available = _none.is_available
device_count = _none.device_count
manual_seed = _none.manual_seed


def _fail(*args: Any, **kwargs: Any) -> NoReturn:
    raise RuntimeError("there is no MPS backend: fastnn runs on the CPU only")


synchronize = empty_cache = seed = get_rng_state = set_rng_state = set_per_process_memory_fraction = _fail
current_allocated_memory = driver_allocated_memory = recommended_max_memory = compile_shader = _fail

__getattr__ = missing_attribute("torch.mps")
