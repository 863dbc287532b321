"""The accelerator, whichever it is: there is none."""

from __future__ import annotations

from typing import Any, NoReturn

from fastnn import _C

from ._missing import missing_attribute
from ._no_accelerator import NoAccelerator

_none = NoAccelerator("accelerator")

is_available = _none.is_available
device_count = _none.device_count


def current_accelerator(check_available: bool = False) -> _C.device | None:
    """None: there is no accelerator.

    Example:
        >>> import fastnn
        >>> fastnn.accelerator.current_accelerator() or fastnn.device("cpu")
        device(type='cpu')
    """
    return None


def _fail(*args: Any, **kwargs: Any) -> NoReturn:
    raise RuntimeError("Cannot access accelerator device when none is available.")


current_device_index = current_device_idx = set_device_index = set_device_idx = device_index = _fail
current_stream = set_stream = synchronize = empty_cache = get_device_capability = get_memory_info = _fail
memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = memory_stats = _fail
reset_peak_memory_stats = reset_accumulated_memory_stats = _fail

__getattr__ = missing_attribute("torch.accelerator")
