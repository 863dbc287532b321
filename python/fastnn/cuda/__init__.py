"""CUDA, which is not there: queries say so, and using it raises what PyTorch raises in a build without CUDA."""

from __future__ import annotations

import importlib
from typing import Any

from fastnn import _C

from .._no_accelerator import NoAccelerator, NoDevice, StandIn

_none = NoAccelerator("CUDA")

_initialized = False
has_half = True
has_magma = False
default_generators: tuple[Any, ...] = ()

is_available = _none.is_available
is_initialized = _none.is_initialized
is_bf16_supported = _none.is_bf16_supported
device_count = _none.device_count

init = synchronize = current_device = current_stream = default_stream = _none.fail
get_device_name = get_device_capability = get_device_properties = mem_get_info = _none.fail
set_device = cudart = ipc_collect = current_blas_handle = graph_pool_handle = make_graphed_callables = _none.fail
get_rng_state = initial_seed = get_sync_debug_mode = set_sync_debug_mode = _none.fail
get_per_process_memory_fraction = set_per_process_memory_fraction = can_device_access_peer = _none.fail
utilization = temperature = power_draw = clock_rate = memory_usage = device_memory_used = _none.fail
_sleep = memory_summary = memory_snapshot = get_allocator_backend = _none.fail

empty_cache = seed = seed_all = set_rng_state = set_rng_state_all = set_stream = _none.nothing
reset_peak_memory_stats = reset_max_memory_allocated = reset_max_memory_cached = _none.nothing
reset_accumulated_memory_stats = _lazy_call = _record_memory_history = _dump_snapshot = _none.nothing
memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = _none.no_bytes
memory_cached = max_memory_cached = _none.no_bytes
memory_stats = memory_stats_as_nested_dict = host_memory_stats = _none.no_statistics
manual_seed = manual_seed_all = _none.manual_seed
get_rng_state_all = _none.get_rng_state_all

device = NoDevice
OutOfMemoryError = _C.OutOfMemoryError


class device_of(NoDevice):
    """The device of a tensor on a GPU; for others nothing."""

    def __init__(self, obj: Any) -> None:
        super().__init__(obj.get_device() if getattr(obj, "is_cuda", False) else -1)


class Stream(StandIn):
    """A queue of work on a GPU."""


class ExternalStream(StandIn):
    """A queue of work on a GPU that another library made."""


class Event(StandIn):
    """A mark in a queue of work on a GPU."""


class CUDAGraph(StandIn):
    """Recorded work on a GPU."""


class graph(StandIn):
    """Records work on a GPU."""


class StreamContext(NoDevice):
    """``with torch.cuda.stream(None)``."""


def stream(stream: Any) -> StreamContext:
    """A context for a stream; only None is possible.

    Example:
        >>> import fastnn
        >>> with fastnn.cuda.stream(None):
        ...     pass
    """
    return StreamContext(stream)


def get_arch_list() -> list[str]:
    """No GPU architectures."""
    return []


def get_gencode_flags() -> str:
    """No compiler flags."""
    return ""


def is_current_stream_capturing() -> bool:
    """False."""
    return False


def is_tf32_supported() -> bool:
    """False."""
    return False


def list_gpu_processes(device: Any = None) -> str:
    """No processes."""
    return "no GPU"


_LEGACY = ("Byte", "Char", "Short", "Int", "Long", "Half", "Float", "Double", "BFloat16", "Bool")


def __getattr__(name: str) -> Any:
    if name in ("amp", "nvtx", "comm", "nccl"):
        return importlib.import_module(f"fastnn.cuda.{name}")
    if name in ("memory", "random"):
        return importlib.import_module("fastnn.cuda")
    if name.endswith("Tensor") and name.removesuffix("Tensor") in _LEGACY:
        from .. import _tensor_types

        return _tensor_types.gpu_type(name)
    from .._missing import missing_attribute

    return missing_attribute("torch.cuda")(name)
