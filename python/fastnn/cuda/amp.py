"""The old names of mixed precision on CUDA, where both the block and the scaler are off."""

from __future__ import annotations

import functools
import sys
from typing import Any

from .. import amp as _amp
from .._C import dtype as _dtype
from .._C import float16

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


class autocast(_amp.autocast):
    """``torch.autocast("cuda")``: off, with a warning."""

    def __init__(self, enabled: bool = True, dtype: _dtype = float16, cache_enabled: bool = True) -> None:
        super().__init__("cuda", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)


class GradScaler(_amp.GradScaler):
    """``torch.amp.GradScaler("cuda")``: off, with a warning."""

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


def custom_fwd(fwd: Any = None, *, cast_inputs: Any = None) -> Any:
    """See :func:`fastnn.amp.custom_fwd`."""
    return _amp.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


custom_bwd = functools.partial(_amp.custom_bwd, device_type="cuda")


def amp_definitely_not_available() -> bool:
    """True."""
    return True


# PyTorch has a module for each of the two classes.
autocast_mode = grad_scaler = sys.modules[__name__]
