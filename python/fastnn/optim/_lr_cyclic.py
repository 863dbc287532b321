"""Schedules that move the learning rate up and down, and the momentum against it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ._lr_base import LRScheduler, _check_optimizer, _pack_callables, _per_group, _unpack_callables, _write

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from .optimizer import Optimizer

__all__ = ["CyclicLR", "OneCycleLR"]


class _MomentumCycle(LRScheduler):
    """A schedule that also sets the momentum of each group, or the first beta where there are betas."""

    use_beta1: bool

    def _start_momentum(self, base: Any, highest: Any, resumed: bool) -> tuple[list[Any], list[Any]]:
        """Check that the optimizer has a momentum, and start each group at the highest one."""
        optimizer = self.optimizer
        if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
            raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
        self.use_beta1 = "betas" in optimizer.defaults
        bases = _per_group("base_momentum", optimizer, base)
        tops = _per_group("max_momentum", optimizer, highest)
        if not resumed:
            for group, low, high in zip(optimizer.param_groups, bases, tops, strict=True):
                self._set_momentum(group, high)
                group["max_momentum"] = high
                group["base_momentum"] = low
        return bases, tops

    def _set_momentum(self, group: dict[str, Any], value: Any) -> None:
        if self.use_beta1:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group["momentum"] = value


class CyclicLR(_MomentumCycle):
    """Move the rate between `base_lr` and `max_lr` in straight lines, again and again.

    Args:
        optimizer: whose groups are changed.
        base_lr: the lowest rate, one for all groups or a list.
        max_lr: the highest rate, one for all groups or a list.
        step_size_up: steps from the lowest to the highest.
        step_size_down: steps back; as many as up by default.
        mode: "triangular" keeps the height, "triangular2" halves it each cycle, "exp_range" multiplies it by
            `gamma` each step.
        gamma: see `mode`.
        scale_fn: a function that scales the height instead of `mode`.
        scale_mode: whether `scale_fn` gets the number of the "cycle", from 1, or of the step ("iterations").
        cycle_momentum: move the momentum against the rate, between `max_momentum` and `base_momentum`.
        base_momentum: the lowest momentum.
        max_momentum: the highest momentum.
        last_epoch: number of the last step done, when training is resumed.

    Raises:
        ValueError: the mode is unknown, the optimizer has no momentum, or a list has not one value for each group.
        TypeError: `optimizer` is not an Optimizer.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)
        >>> scheduler = fastnn.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.5, max_lr=1.0, step_size_up=2)
        >>> for _ in range(4):
        ...     print(scheduler.get_last_lr())
        ...     optimizer.step(); scheduler.step()
        [0.5]
        [0.75]
        [1.0]
        [0.75]

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.8,
        max_momentum: float | list[float] = 0.9,
        last_epoch: int = -1,
    ) -> None:
        _check_optimizer(optimizer)
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f"mode is invalid and scale_fn is None, got mode={mode!r}")
        self.optimizer = optimizer
        base_lrs = _per_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, base_lrs, strict=True):
                _write(group, "lr", rate)
        self.max_lrs = _per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        if scale_fn is None:
            scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.scale_mode = scale_mode
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            resumed = last_epoch != -1
            self.base_momentums, self.max_momentums = self._start_momentum(base_momentum, max_momentum, resumed)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of a cycle, as a share of the full one; `x` is what `scale_mode` says."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular":
            return 1.0
        return 1 / 2.0 ** (x - 1) if self.mode == "triangular2" else float(self.gamma**x)

    def get_lr(self) -> list[Any]:
        """The rates of the current step, one for each group; sets the momentum too."""
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            pairs = zip(self.base_momentums, self.max_momentums, strict=True)
            for group, (low, high) in zip(self.optimizer.param_groups, pairs, strict=True):
                self._set_momentum(group, high - (high - low) * height * scale)
        return [low + (high - low) * height * scale for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of `scale_fn` only the attributes of a callable object are kept."""
        state = super().state_dict()
        if self._scale_fn_custom is not None:
            state["_scale_fn_custom"] = _pack_callables([self._scale_fn_custom])[0]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` returned."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "_scale_fn_custom"})
        _unpack_callables([self._scale_fn_custom], [state_dict["_scale_fn_custom"]])


class OneCycleLR(_MomentumCycle):
    """One cycle for the whole training: up to `max_lr`, and down to far below the first rate.

    The first rate is `max_lr / div_factor`, the last one the first divided by `final_div_factor`. The momentum goes
    the other way. Step it after each batch.

    Args:
        optimizer: whose groups are changed.
        max_lr: the highest rate, one for all groups or a list.
        total_steps: number of steps; or give `epochs` and `steps_per_epoch`.
        epochs: number of epochs.
        steps_per_epoch: steps in each.
        pct_start: share of the steps in which the rate rises, a float from 0 to 1.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: move the momentum against the rate.
        base_momentum: the lowest momentum.
        max_momentum: the highest momentum.
        div_factor: highest rate / first rate.
        final_div_factor: first rate / last rate.
        three_phase: come back to the first rate in as many steps as it rose, and go down to the last one then.
        last_epoch: number of the last step done, when training is resumed.

    Raises:
        ValueError: the number of steps is not given or not positive, `pct_start` or the strategy is wrong, the
            optimizer has no momentum, or `step()` is called more than `total_steps` times.
        TypeError: `optimizer` is not an Optimizer.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = fastnn.optim.lr_scheduler.OneCycleLR(
        ...     optimizer, max_lr=1.0, total_steps=5, pct_start=0.4, div_factor=4.0, cycle_momentum=False
        ... )
        >>> for _ in range(3):
        ...     print(scheduler.get_last_lr())
        ...     optimizer.step(); scheduler.step()
        [0.25]
        [1.0]
        [0.75...]

    Source: Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates",
    2018.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        _check_optimizer(optimizer)
        if not isinstance(pct_start, float) or not 0 <= pct_start <= 1:
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self.optimizer = optimizer
        self.total_steps = _count_steps(total_steps, epochs, steps_per_epoch)
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        self._anneal_func_type = anneal_strategy
        max_lrs = _per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, highest in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"] = highest / div_factor
                group["max_lr"] = highest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._start_momentum(base_momentum, max_momentum, last_epoch != -1)
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start: Any, end: Any, share: float) -> Any:
        if self._anneal_func_type == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)

    def get_lr(self) -> list[Any]:
        """The rates of the current step, one for each group; sets the momentum too."""
        self._warn_outside_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"Tried to step {step} times. The specified number of total steps is {self.total_steps}")
        start = 0.0
        for phase in self._schedule_phases[:-1]:
            if step <= phase["end_step"]:
                break
            start = phase["end_step"]
        else:
            phase = self._schedule_phases[-1]
        share = (step - start) / (phase["end_step"] - start)
        groups = self.optimizer.param_groups
        if self.cycle_momentum:
            for group in groups:
                low, high = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._anneal(low, high, share))
        return [self._anneal(group[phase["start_lr"]], group[phase["end_lr"]], share) for group in groups]


def _count_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    counts = {"total_steps": total_steps}
    if total_steps is None:
        if epochs is None or steps_per_epoch is None:
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        counts = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    product = 1
    for name, count in counts.items():
        if not isinstance(count, int) or count <= 0:
            raise ValueError(f"Expected positive integer {name}, but got {count}")
        product *= count
    return product


def _phases(total_steps: int, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
    """From which to which option of a group each phase goes, and the step that it ends at."""
    top = pct_start * total_steps
    ends = [top - 1, 2 * top - 2, total_steps - 1] if three_phase else [top - 1, total_steps - 1]
    rates = ["initial_lr", "max_lr", "initial_lr", "min_lr"] if three_phase else ["initial_lr", "max_lr", "min_lr"]
    momenta = ["max_momentum", "base_momentum", "max_momentum", "max_momentum"]
    return [
        {
            "end_step": end,
            "start_lr": rates[index],
            "end_lr": rates[index + 1],
            "start_momentum": momenta[index],
            "end_momentum": momenta[index + 1],
        }
        for index, end in enumerate(ends)
    ]
