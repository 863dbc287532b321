"""``GradScaler``: multiplies the loss, so that small gradients of 16-bit floats do not vanish."""

from __future__ import annotations

import enum
import warnings
from collections import defaultdict
from typing import TYPE_CHECKING, Any, cast

from fastnn import _C
from fastnn._C import Tensor

from ..autograd.grad_mode import no_grad

if TYPE_CHECKING:
    from ..optim.optimizer import Optimizer

__all__ = ["GradScaler", "OptState"]


class OptState(enum.Enum):
    """What was done with the gradients of an optimizer since the last update."""

    READY = 0
    UNSCALED = 1
    STEPPED = 2


def _fresh() -> dict[str, Any]:
    return {"stage": OptState.READY, "found_inf": None}


class GradScaler:
    """Scales losses up, gradients down again, and leaves out steps whose gradients are infinite or NaN.

    After a step that is left out the scale is multiplied by `backoff_factor`, after `growth_interval` others in a row
    by `growth_factor`.

    Args:
        device: ``"cpu"``. For a device that is not there, such as ``"cuda"``, the scaler is off, with a warning.
        init_scale: the scale at the beginning.
        growth_factor, backoff_factor, growth_interval: see above.
        enabled: otherwise ``scale`` returns what it gets, and ``step`` calls the optimizer.

    Raises:
        AssertionError: a factor is out of range.

    Example:
        >>> import fastnn
        >>> weight = fastnn.nn.Parameter(fastnn.ones(1))
        >>> optimizer = fastnn.optim.SGD([weight], lr=0.5)
        >>> scaler = fastnn.amp.GradScaler("cpu")
        >>> scaler.scale(weight.sum()).backward()
        >>> scaler.step(optimizer)
        >>> scaler.update()
        >>> weight.tolist(), scaler.get_scale()
        ([0.5], 65536.0)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled
        if enabled and _C.device(device).type != "cpu":
            warnings.warn(
                f"torch.{device}.amp.GradScaler is enabled, but {device.upper()} is not available.  Disabling.",
                stacklevel=2,
            )
            self._enabled = False
        if self._enabled:
            if growth_factor <= 1.0:
                raise AssertionError("The growth factor must be > 1.0.")
            if backoff_factor >= 1.0:
                raise AssertionError("The backoff factor must be < 1.0.")
            self._init_scale = init_scale
            self._scale: Tensor | None = None
            self._growth_factor = growth_factor
            self._backoff_factor = backoff_factor
            self._growth_interval = growth_interval
            self._init_growth_tracker = 0
            self._growth_tracker = 0
            self._per_optimizer_states: dict[int, dict[str, Any]] = defaultdict(_fresh)

    def _current(self) -> Tensor:
        if self._scale is None:
            self._scale = _C.tensor(self._init_scale, dtype=_C.float32)
            self._growth_tracker = self._init_growth_tracker
        return self._scale

    def scale(self, outputs: Any) -> Any:
        """The loss, or losses in lists and tuples, multiplied by the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._current()
        if isinstance(outputs, (list, tuple)):
            scaled = [self.scale(one) for one in outputs]
            return type(outputs)(scaled)
        if hasattr(outputs, "__iter__"):
            return map(self.scale, outputs)
        raise ValueError("outputs must be a Tensor or an iterable of Tensors")

    def _unscale(self, optimizer: Optimizer, factor: float, allow_fp16: bool) -> Tensor:
        """Multiply gradients; 1 if one is infinite or NaN."""
        found = False
        with no_grad():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    gradient = parameter.grad
                    if gradient is None:
                        continue
                    if gradient.dtype == _C.float16 and not allow_fp16:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    found = found or not bool(_C.isfinite(gradient).all())
                    if factor != 1.0:
                        gradient.mul_(factor)
        return _C.tensor(float(found))

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients by the scale, for example to clip them before the step.

        Raises:
            RuntimeError: it was done since the last update, or the step was.
        """
        if not self._enabled:
            return
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        if self._scale is None:
            raise AssertionError("Attempted unscale_ but _scale is None.  Call scale(loss) before.")
        state["found_inf"] = self._unscale(optimizer, 1.0 / float(self._scale.item()), False)
        state["stage"] = OptState.UNSCALED

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> float | None:
        """The optimizer's step, unless a gradient is infinite or NaN.

        Args:
            optimizer: the optimizer.
            args, kwargs: of its step.

        Raises:
            RuntimeError: it was done since the last update, or a closure is given.
        """
        if not self._enabled:
            return cast("float | None", optimizer.step(*args, **kwargs))
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        state = self._per_optimizer_states[id(optimizer)]
        if state["stage"] is OptState.STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if state["stage"] is OptState.READY:
            self.unscale_(optimizer)
        if state["found_inf"] is None:
            raise AssertionError("No inf checks were recorded for this optimizer.")
        result = None
        if not float(state["found_inf"].item()):
            result = optimizer.step(*args, **kwargs)
        state["stage"] = OptState.STEPPED
        return result

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """After the steps of all optimizers: change the scale, or set it."""
        if not self._enabled:
            return
        if self._scale is None:
            raise AssertionError(
                "Attempted update but _scale is None.  This may indicate your script did not use scale(loss)"
            )
        if new_scale is not None:
            value = new_scale.item() if isinstance(new_scale, Tensor) else new_scale
            self._scale.fill_(value)
        else:
            found = [state["found_inf"] for state in self._per_optimizer_states.values()]
            found = [one for one in found if one is not None]
            if not found:
                raise AssertionError("No inf checks were recorded prior to update.")
            self._adapt(any(float(one.item()) for one in found))
        self._per_optimizer_states = defaultdict(_fresh)

    def _adapt(self, found_inf: bool) -> None:
        assert self._scale is not None
        if found_inf:
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
            return
        self._growth_tracker += 1
        if self._growth_tracker == self._growth_interval:
            grown = self._scale * self._growth_factor
            if bool(_C.isfinite(grown)):
                self._scale.copy_(grown)
            self._growth_tracker = 0

    def get_scale(self) -> float:
        """The scale; 1 when switched off."""
        if not self._enabled:
            return 1.0
        return self._init_scale if self._scale is None else float(self._scale.item())

    def get_growth_factor(self) -> float:
        """The growth factor."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set the growth factor."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """The backoff factor."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set the backoff factor."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """The growth interval."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set the growth interval."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        return (self._init_growth_tracker if self._scale is None else self._growth_tracker) if self._enabled else 0

    def is_enabled(self) -> bool:
        """Whether the scaler does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors and counts; empty when switched off."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave.

        Raises:
            RuntimeError: it is empty, from a scaler that was switched off.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._init_scale = state_dict["scale"]
        if self._scale is not None:
            self._scale.fill_(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = self._growth_tracker = state_dict["_growth_tracker"]

    def _found_inf_per_device(self, optimizer: Optimizer) -> dict[Any, Tensor]:
        found = self._per_optimizer_states[id(optimizer)]["found_inf"]
        return {} if found is None else {_C.device("cpu"): found}

    def _check_inf_per_device(self, optimizer: Optimizer) -> dict[Any, Tensor]:
        self._per_optimizer_states[id(optimizer)]["found_inf"] = self._unscale(optimizer, 1.0, True)
        return self._found_inf_per_device(optimizer)

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._enabled:
            if self._per_optimizer_states:
                raise AssertionError(
                    "GradScaler: pickle it at the beginning of an iteration, or after update() at its end"
                )
            state["_init_scale"] = self.get_scale()
            state["_init_growth_tracker"] = self._get_growth_tracker()
            state["_scale"] = None
            state["_per_optimizer_states"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._enabled:
            self._per_optimizer_states = defaultdict(_fresh)
