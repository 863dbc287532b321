"""Learning rate schedules: call `scheduler.step()` after `optimizer.step()`."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat

from ._lr_base import (
    _EPOCH_WARNING,
    LRScheduler,
    _check_optimizer,
    _pack_callables,
    _per_group,
    _read,
    _unpack_callables,
    _write,
)
from ._lr_cyclic import CyclicLR, OneCycleLR
from ._lr_factor import ConstantLR, ExponentialLR, LinearLR, MultiStepLR, PolynomialLR, StepLR

if TYPE_CHECKING:
    from .optimizer import Optimizer

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]

_LRScheduler = LRScheduler  # its name in older scripts


class _FunctionLR(LRScheduler):
    """A schedule from one user function for all groups, or a list with one for each."""

    lr_lambdas: list[Callable[[int], float]]

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        _check_optimizer(optimizer)
        count = len(optimizer.param_groups)
        functions = list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * count
        if len(functions) != count:
            raise ValueError(f"Expected {count} lr_lambdas, but got {len(functions)}")
        for function in functions:
            if not callable(function):
                raise TypeError(f"lr_lambda should be a function, but got {type(function).__name__}")
        self.lr_lambdas = functions
        super().__init__(optimizer, last_epoch)

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; of the functions only the attributes of callable objects are kept."""
        state = super().state_dict()
        state["lr_lambdas"] = _pack_callables(self.lr_lambdas)
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` returned."""
        packed = state_dict["lr_lambdas"]
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "lr_lambdas"})
        _unpack_callables(self.lr_lambdas, packed)


class LambdaLR(_FunctionLR):
    """Rate = first rate * `lr_lambda(step)`.

    Args:
        optimizer: whose groups are changed.
        lr_lambda: a function of the step number, or a list with one for each group.
        last_epoch: number of the last step done, when training is resumed.

    Raises:
        ValueError: the list has not one function for each group.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=0.5)
        >>> scheduler = fastnn.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        >>> optimizer.step(); scheduler.step()
        >>> scheduler.get_last_lr()
        [0.25]
    """

    def get_lr(self) -> list[Any]:
        """The rates of the current step, one for each group; for `step()` to call."""
        self._warn_outside_step()
        return [base * f(self.last_epoch) for f, base in zip(self.lr_lambdas, self.base_lrs, strict=True)]


class MultiplicativeLR(_FunctionLR):
    """Rate = last rate * `lr_lambda(step)`; arguments as for `LambdaLR`.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = fastnn.optim.lr_scheduler.MultiplicativeLR(optimizer, lr_lambda=lambda step: 0.5)
        >>> for _ in range(3):
        ...     print(scheduler.get_last_lr())
        ...     optimizer.step(); scheduler.step()
        [1.0]
        [0.5]
        [0.25]
    """

    def get_lr(self) -> list[Any]:
        """The rates of the current step, one for each group; for `step()` to call."""
        self._warn_outside_step()
        if self._is_initial:
            return _read(self.optimizer, "lr")
        groups = self.optimizer.param_groups
        return [group["lr"] * f(self.last_epoch) for f, group in zip(self.lr_lambdas, groups, strict=True)]


class CosineAnnealingLR(LRScheduler):
    r"""Half a cosine from the first rate to `eta_min` in `T_max` steps, and back in the next `T_max`.

    rate = eta_min + (first rate - eta_min) * (1 + cos(pi * step / T_max)) / 2

    Args:
        optimizer: whose groups are changed.
        T_max: steps from the first rate to the lowest.
        eta_min: the lowest rate.
        last_epoch: number of the last step done, when training is resumed.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = fastnn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=2)
        >>> for _ in range(2):
        ...     print(scheduler.get_last_lr())
        ...     optimizer.step(); scheduler.step()
        [1.0]
        [0.5]

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates of the current step, one for each group; for `step()` to call."""
        self._warn_outside_step()
        groups = self.optimizer.param_groups
        if self._is_initial:
            return _read(self.optimizer, "lr")
        if self._step_count == 1 and self.last_epoch > 0:
            # Not `_get_closed_form_lr`: the order of operations differs in the last bit.
            height = 1 + math.cos(self.last_epoch * math.pi / self.T_max)
            return [self.eta_min + (base - self.eta_min) * height / 2 for base in self.base_lrs]
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            # The step before was the lowest, where the ratio below would divide by 0.
            rise = 1 - math.cos(math.pi / self.T_max)
            return [
                group["lr"] + (base - self.eta_min) * rise / 2
                for base, group in zip(self.base_lrs, groups, strict=True)
            ]
        now = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        before = 1 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        return [now / before * (group["lr"] - self.eta_min) + self.eta_min for group in groups]

    def _get_closed_form_lr(self) -> list[Any]:
        height = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        return [self.eta_min + (base - self.eta_min) * height / 2 for base in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Half a cosine from the first rate to `eta_min`, again and again; each period is `T_mult` times the last.

    Args:
        optimizer: whose groups are changed.
        T_0: steps of the first period.
        T_mult: factor of the period's length.
        eta_min: the lowest rate.
        last_epoch: number of the last step done, when training is resumed.

    Raises:
        ValueError: `T_0` or `T_mult` is not a positive integer, or `eta_min` is not a number.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = fastnn.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
        >>> for _ in range(4):
        ...     print(scheduler.get_last_lr())
        ...     optimizer.step(); scheduler.step()
        [1.0]
        [0.5]
        [1.0]
        [0.5]

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_0 <= 0 or not isinstance(T_0, int):
            raise ValueError(f"Expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise ValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, (float, int)):
            raise ValueError(f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}")
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rates of the current step, one for each group; for `step()` to call."""
        self._warn_outside_step()
        height = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * height / 2 for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go to the next step, or to `epoch`, which may lie between two.

        Args:
            epoch: for example `epoch + batch / batches`, to change the rate within an epoch.

        Raises:
            ValueError: `epoch` is negative.
        """
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = 0 if epoch is None else epoch
            if epoch < 0:
                raise ValueError(f"Expected non-negative epoch, but got {epoch}")
            self._seek(epoch)
        self.last_epoch = math.floor(epoch)
        self._apply(self._compute())

    def _seek(self, epoch: float) -> None:
        """Find the period that `epoch` lies in."""
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            periods = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**periods - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**periods


class _CompositeLR(LRScheduler):
    """Several schedules of one optimizer."""

    _schedulers: Sequence[LRScheduler]

    def _check(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None) -> Optimizer:
        name = type(self).__name__
        if len(schedulers) < 1:
            raise ValueError(f"{name} expects at least one scheduler, but got no scheduler.")
        for index, scheduler in enumerate(schedulers):
            if not hasattr(scheduler, "optimizer"):
                raise TypeError(f"{name} at index {index} should have `optimizer` as its attribute.")
            if isinstance(scheduler, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} does not support `ReduceLROnPlateau`, whose `step` needs the metric, but got one at "
                    f"index {index} in the given schedulers sequence."
                )
            optimizer = optimizer or scheduler.optimizer
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"{name} expects all schedulers to belong to the same optimizer, but got scheduler "
                    f"{type(scheduler).__name__} at index {index} with another one."
                )
        assert optimizer is not None
        return optimizer

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, with the state of each schedule."""
        state = super().state_dict()
        state["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` returned."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "_schedulers"})
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)


class SequentialLR(_CompositeLR):
    """One schedule after the other; the next begins at each milestone.

    Args:
        optimizer: the one that all schedules belong to.
        schedulers: the schedules, in order.
        milestones: the steps at which the second and the following begin; one fewer than schedules.
        last_epoch: number of the last step done, when training is resumed.

    Raises:
        ValueError: the counts do not match, the optimizers differ, or one is a `ReduceLROnPlateau`.
        TypeError: one is not a scheduler.

    Example:
        >>> import fastnn
        >>> from fastnn.optim.lr_scheduler import ConstantLR, ExponentialLR, SequentialLR
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> warmup = ConstantLR(optimizer, factor=0.5, total_iters=2)
        >>> scheduler = SequentialLR(optimizer, [warmup, ExponentialLR(optimizer, gamma=0.5)], milestones=[2])
        >>> for _ in range(4):
        ...     print(scheduler.get_last_lr())
        ...     optimizer.step(); scheduler.step()
        [0.5]
        [0.5]
        [1.0]
        [0.5]
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        self._check(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than the number of "
                f"milestone points, but got number of schedulers {len(schedulers)} and the number of milestones "
                f"to be equal to {len(milestones)}"
            )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Making the schedules has already taken the first step of each: go back, and take that of the first again.
        for group in optimizer.param_groups:
            _write(group, "lr", group["initial_lr"])
        self.recursive_undo()
        current = schedulers[bisect_right(milestones, 0)]
        current._initial_step()
        self._last_lr = current.get_last_lr()

    def recursive_undo(self, sched: Any = None) -> None:
        """Take back one step of every schedule that `sched` (or this one) is made of."""
        schedule = self if sched is None else sched
        if hasattr(schedule, "_schedulers"):
            for part in schedule._schedulers:
                self.recursive_undo(part)
        elif hasattr(schedule, "last_epoch"):
            schedule.last_epoch -= 1

    def step(self) -> None:  # type: ignore[override]
        """Go to the next step and set the learning rates."""
        self.last_epoch += 1
        index = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[index]
        if index > 0 and self._milestones[index - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_CompositeLR):
    """Several schedules at once: each step takes one step of each.

    Args:
        schedulers: the schedules, in the order in which they act.
        optimizer: the one that all of them belong to; by default that of the first.

    Raises:
        ValueError: there are none, the optimizers differ, or one is a `ReduceLROnPlateau`.
        TypeError: one is not a scheduler.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self.optimizer = self._check(schedulers, optimizer)
        self._schedulers = schedulers
        self._last_lr = _read(self.optimizer, "lr")

    def step(self) -> None:  # type: ignore[override]
        """Take one step of each schedule."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = _read(self.optimizer, "lr")


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by `factor` when a metric has not improved for more than `patience` steps.

    Args:
        optimizer: whose groups are changed.
        mode: "min" if lower is better, "max" if higher is.
        factor: less than 1.
        patience: steps without improvement that are still accepted.
        threshold: how much better counts as improvement.
        threshold_mode: "rel" for a share of the best value, "abs" for a difference.
        cooldown: steps to wait after a reduction before counting again.
        min_lr: the lowest rate, one for all groups or a list.
        eps: a change of the rate smaller than this is not made.

    Raises:
        ValueError: `factor` is not less than 1, a mode is unknown, or `min_lr` has not one value for each group.
        TypeError: `optimizer` is not an Optimizer.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = fastnn.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
        >>> scheduler.step(3.0); scheduler.step(3.0)
        >>> scheduler.get_last_lr()
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Literal["min", "max"] = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
    ) -> None:
        if factor >= 1.0:
            raise ValueError("Factor should be < 1.0.")
        _check_optimizer(optimizer)
        if mode not in ("min", "max"):
            raise ValueError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"threshold mode {threshold_mode} is unknown!")
        self.factor = factor
        self.optimizer = optimizer
        self.default_min_lr = None if isinstance(min_lr, (list, tuple)) else min_lr
        self.min_lrs = _per_group("min_lr", optimizer, min_lr)
        self.patience = patience
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self._last_lr = _read(optimizer, "lr")
        self.mode = mode
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self._reset()

    def _reset(self) -> None:
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    def step(self, metrics: SupportsFloat, epoch: int | None = None) -> None:  # type: ignore[override]
        """Compare the metric with the best so far, and reduce the rates if it is time.

        Args:
            metrics: a number or a 1-element tensor.
            epoch: deprecated; the number of this step.
        """
        current = float(metrics)
        if epoch is not None:
            warnings.warn(_EPOCH_WARNING, UserWarning, stacklevel=2)
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        if self._is_better(current, self.best):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce_lr(self.last_epoch)
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = _read(self.optimizer, "lr")

    def _reduce_lr(self, epoch: int) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise RuntimeError(
                    f"The number of param groups in the `optimizer` ({len(groups)}) differs from when "
                    f"`ReduceLROnPlateau` was initialized ({len(self.min_lrs)}); set `min_lrs` to one value for each."
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            old = float(group["lr"])
            new = max(old * self.factor, lowest)
            if old - new > self.eps:
                _write(group, "lr", new)

    @property
    def in_cooldown(self) -> bool:
        """Whether steps without improvement are not counted yet."""
        return self.cooldown_counter > 0

    def _is_better(self, value: float, best: float) -> bool:
        if self.mode == "min":
            return value < (best * (1.0 - self.threshold) if self.threshold_mode == "rel" else best - self.threshold)
        return value > (best * (self.threshold + 1.0) if self.threshold_mode == "rel" else best + self.threshold)
