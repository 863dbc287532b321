"""Intel GPUs, which are not there: queries say so, and using them raises what PyTorch raises in a build without."""

from __future__ import annotations

from ._missing import missing_attribute
from ._no_accelerator import NoAccelerator, NoDevice, StandIn

_none = NoAccelerator("XPU")

is_available = _none.is_available
is_initialized = _none.is_initialized
is_bf16_supported = _none.is_bf16_supported
device_count = _none.device_count

init = synchronize = current_device = current_stream = set_device = get_rng_state = initial_seed = _none.fail
get_device_name = get_device_capability = get_device_properties = mem_get_info = memory_summary = _none.fail

empty_cache = seed = seed_all = set_rng_state = set_rng_state_all = set_stream = _none.nothing
reset_peak_memory_stats = reset_accumulated_memory_stats = _none.nothing
memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = _none.no_bytes
memory_stats = memory_stats_as_nested_dict = _none.no_statistics
manual_seed = manual_seed_all = _none.manual_seed
get_rng_state_all = _none.get_rng_state_all

device = device_of = stream = StreamContext = NoDevice


class Stream(StandIn):
    """A queue of work on a GPU."""


class Event(StandIn):
    """A mark in a queue of work on a GPU."""


__getattr__ = missing_attribute("torch.xpu")
