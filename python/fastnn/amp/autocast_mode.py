"""``autocast``: matrix products and convolutions of a block in bfloat16, what needs precision in float32."""

from __future__ import annotations

import functools
import warnings
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._autocast import cast_floats

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["autocast", "autocast_decorator", "custom_bwd", "custom_fwd", "is_autocast_available"]

_DTYPES = {"cpu": (_C.bfloat16, _C.float16)}
_NOT_THERE = ("cuda", "xpu", "mps", "hpu", "mtia", "xla", "maia", "ipu", "privateuseone")

# What is set for devices that are not there: remembered, so that it can be read back.
_other: dict[tuple[str, str], Any] = {}


def is_autocast_available(device_type: str) -> bool:
    """Whether ``autocast`` exists for a type of device; the CPU is the only one that is there.

    Example:
        >>> import fastnn
        >>> fastnn.amp.is_autocast_available("cpu")
        True
    """
    return _C.device(device_type).type in ("cpu", *_NOT_THERE)


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether the program is in an ``autocast`` block of a device; without an argument, of CUDA."""
    kind = "cuda" if device_type is None else device_type
    return _C._autocast_state()[0] if kind == "cpu" else bool(_other.get(("enabled", kind), False))


def set_autocast_enabled(device_type: str | bool, enabled: bool | None = None) -> None:
    """Switch; with one argument, that of CUDA."""
    kind, value = ("cuda", device_type) if enabled is None else (str(device_type), enabled)
    if kind == "cpu":
        _, dtype, cache = _C._autocast_state()
        _C._set_autocast_state(bool(value), dtype, cache)
    else:
        _other["enabled", kind] = bool(value)


def get_autocast_dtype(device_type: str) -> _C.dtype:
    """The dtype of an ``autocast`` block of a device, unless it is given one.

    Example:
        >>> import fastnn
        >>> fastnn.get_autocast_dtype("cpu")
        torch.bfloat16
    """
    if device_type == "cpu":
        return _C._autocast_state()[1]
    default = _C.bfloat16 if device_type in ("xla", "hpu") else _C.float16
    found: _C.dtype = _other.get(("dtype", device_type), default)
    return found


def set_autocast_dtype(device_type: str, dtype: _C.dtype) -> None:
    """Set the dtype of a device's blocks."""
    if device_type == "cpu":
        enabled, _, cache = _C._autocast_state()
        _C._set_autocast_state(enabled, dtype, cache)
    else:
        _other["dtype", device_type] = dtype


def is_autocast_cpu_enabled() -> bool:
    """Whether the program is in an ``autocast`` block of the CPU."""
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """Switch that of the CPU."""
    set_autocast_enabled("cpu", enabled)


def get_autocast_cpu_dtype() -> _C.dtype:
    """The dtype of the CPU's blocks."""
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype: _C.dtype) -> None:
    """Set the dtype of the CPU's blocks."""
    set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype() -> _C.dtype:
    """The dtype of CUDA's blocks."""
    return get_autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype: _C.dtype) -> None:
    """Set the dtype of CUDA's blocks."""
    set_autocast_dtype("cuda", dtype)


def is_autocast_cache_enabled() -> bool:
    """Whether cast parameters are kept until the outermost block ends."""
    return bool(_C._autocast_state()[2])


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Switch that."""
    now, dtype, _ = _C._autocast_state()
    _C._set_autocast_state(now, dtype, enabled)


def clear_autocast_cache() -> None:
    """Forget cast parameters."""
    _C._clear_autocast_cache()


def autocast_increment_nesting() -> int:
    """A block begins: the number of blocks."""
    return int(_C._autocast_nesting(1))


def autocast_decrement_nesting() -> int:
    """A block ends: the number of blocks."""
    return int(_C._autocast_nesting(-1))


class autocast:
    """A block, or function, in which operations choose the dtype in which they compute.

    On the CPU products of matrices, linear layers, convolutions and attention convert floating point inputs (but
    float64) to `dtype`; losses, Fourier transforms, linear algebra and some others to float32; ``cat`` and ``stack`` to
    the widest of their inputs. All others compute in the dtype that they get. Parameters are converted once and kept
    until the outermost block ends. Write the forward pass in the block, and the backward pass outside.

    Args:
        device_type: ``"cpu"``. For a device that is not there, such as ``"cuda"``, the block is off, with a warning.
        dtype: bfloat16 or float16; others switch the block off with a warning. By default bfloat16.
        enabled: whether the block does anything; False inside of another switches it off for a while.
        cache_enabled: whether converted parameters are kept.

    Raises:
        ValueError: `device_type` is no string.
        RuntimeError: there is no such type of device.

    Example:
        >>> import fastnn
        >>> layer = fastnn.nn.Linear(3, 2)
        >>> with fastnn.autocast("cpu"):
        ...     y = layer(fastnn.ones(1, 3))
        ...     loss = fastnn.nn.functional.mse_loss(y, fastnn.zeros(1, 2))
        >>> y.dtype, loss.dtype
        (torch.bfloat16, torch.float32)
    """

    def __init__(
        self,
        device_type: str,
        dtype: _C.dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = _C.device(device_type).type
        if not is_autocast_available(self.device):
            raise RuntimeError(f"User specified an unsupported autocast device_type '{self.device}'")
        self.fast_dtype = get_autocast_dtype(self.device) if dtype is None else dtype
        if dtype is not None and not isinstance(dtype, _C.dtype):
            raise ValueError(f"Expected `dtype` of type `torch.dtype`, got: `{type(dtype)}`")
        self._enabled = bool(enabled)
        self._cache_enabled = is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        if self.device != "cpu" and enabled:
            warnings.warn(
                f"User provided device_type of '{self.device}', but it is not available. Disabling", stacklevel=2
            )
            self._enabled = False
        elif self._enabled and self.device == "cpu" and self.fast_dtype not in _DTYPES["cpu"]:
            warnings.warn(
                f"In CPU autocast, but the target dtype {self.fast_dtype} is not supported. Disabling autocast.\n"
                "CPU Autocast only supports dtype of torch.bfloat16, torch.float16 currently.",
                stacklevel=2,
            )
            self._enabled = False

    def __enter__(self) -> autocast:
        kind = self.device
        self._before = is_autocast_enabled(kind), get_autocast_dtype(kind), is_autocast_cache_enabled()
        set_autocast_enabled(kind, self._enabled)
        set_autocast_dtype(kind, self.fast_dtype)
        set_autocast_cache_enabled(self._cache_enabled)
        autocast_increment_nesting()
        return self

    def __exit__(self, *error: object) -> None:
        if autocast_decrement_nesting() == 0:
            clear_autocast_cache()
        enabled, dtype, cache = self._before
        set_autocast_enabled(self.device, enabled)
        set_autocast_dtype(self.device, dtype)
        set_autocast_cache_enabled(cache)

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return autocast_decorator(self, func)


def autocast_decorator(autocast_instance: autocast, func: Callable[..., Any]) -> Callable[..., Any]:
    """The function, run in the block."""

    @functools.wraps(func)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        with autocast_instance:
            return func(*args, **kwargs)

    return decorated


def custom_fwd(fwd: Any = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """A decorator for ``forward`` of an autograd function that is used in ``autocast`` blocks.

    Args:
        fwd: the function.
        device_type: of the blocks.
        cast_inputs: within a block, convert floating point arguments to this dtype and run outside of the block.

    Raises:
        ValueError: `device_type` is no string.
    """
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        context._dtype = get_autocast_dtype(device_type)
        context._fwd_used_autocast = is_autocast_enabled(device_type)
        if cast_inputs is None or not context._fwd_used_autocast:
            return fwd(*args, **kwargs)
        context._fwd_used_autocast = False
        with autocast(device_type, enabled=False):
            return fwd(*cast_floats(args, cast_inputs), **cast_floats(kwargs, cast_inputs))

    return decorated


def custom_bwd(bwd: Any = None, *, device_type: str) -> Any:
    """A decorator for ``backward`` of an autograd function: it runs in the block that ``forward`` ran in.

    Raises:
        ValueError: `device_type` is no string.
    """
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        with autocast(device_type, enabled=context._fwd_used_autocast, dtype=context._dtype):
            return bwd(*args, **kwargs)

    return decorated
