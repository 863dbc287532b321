"""Schedules that multiply the learning rates of all groups by one number at each step."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, Any

from ._lr_base import LRScheduler, _read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .optimizer import Optimizer

__all__ = ["ConstantLR", "ExponentialLR", "LinearLR", "MultiStepLR", "PolynomialLR", "StepLR"]


class _FactorLR(LRScheduler):
    """A schedule that multiplies the rates of all groups by one number at each step.

    A subclass gives that number, and the product of all of them, which is the closed form.
    """

    def _factor(self) -> float | None:
        """What this step multiplies the current rates by; None leaves them as they are."""
        raise NotImplementedError

    def _total_factor(self) -> float:
        """What all steps up to this one multiply the first rates by."""
        raise NotImplementedError

    def get_lr(self) -> list[Any]:
        """The rates of the current step, one for each group; for `step()` to call."""
        self._warn_outside_step()
        factor = self._factor()
        if factor is None:
            return _read(self.optimizer, "lr")
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _get_closed_form_lr(self) -> list[Any]:
        factor = self._total_factor()
        return [base * factor for base in self.base_lrs]


class StepLR(_FactorLR):
    """Multiply the rate by `gamma` every `step_size` steps.

    Args:
        optimizer: whose groups are changed.
        step_size: steps between two changes.
        gamma: the factor.
        last_epoch: number of the last step done, when training is resumed.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = fastnn.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        >>> for _ in range(3):
        ...     print(scheduler.get_last_lr())
        ...     optimizer.step(); scheduler.step()
        [1.0]
        [1.0]
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float | None:
        return self.gamma if self.last_epoch != 0 and self.last_epoch % self.step_size == 0 else None

    def _total_factor(self) -> float:
        return self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(_FactorLR):
    """Multiply the rate by `gamma` at each of the steps in `milestones`.

    Args:
        optimizer: whose groups are changed.
        milestones: step numbers; one that is listed twice counts twice.
        gamma: the factor.
        last_epoch: number of the last step done, when training is resumed.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = fastnn.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[1, 3], gamma=0.5)
        >>> for _ in range(4):
        ...     print(scheduler.get_last_lr())
        ...     optimizer.step(); scheduler.step()
        [1.0]
        [0.5]
        [0.5]
        [0.25]
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float | None:
        times = self.milestones.get(self.last_epoch)
        return None if times is None else self.gamma**times

    def _total_factor(self) -> float:
        return self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)


class ConstantLR(_FactorLR):
    """Multiply the rate by `factor` until step `total_iters`.

    Args:
        optimizer: whose groups are changed.
        factor: from 0 to 1.
        total_iters: the step at which the full rate comes back.
        last_epoch: number of the last step done, when training is resumed.

    Raises:
        ValueError: `factor` is out of range.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = fastnn.optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
        >>> for _ in range(3):
        ...     print(scheduler.get_last_lr())
        ...     optimizer.step(); scheduler.step()
        [0.5]
        [0.5]
        [1.0]
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0 <= factor <= 1.0:
            raise ValueError("Constant multiplicative factor expected to be between 0 and 1.")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float | None:
        if self.last_epoch == 0:
            return self.factor
        return 1.0 / self.factor if self.last_epoch == self.total_iters else None

    def _total_factor(self) -> float:
        return self.factor + (self.last_epoch >= self.total_iters) * (1 - self.factor)


class LinearLR(_FactorLR):
    """Go from `start_factor` to `end_factor` times the rate, in a straight line over `total_iters` steps.

    Args:
        optimizer: whose groups are changed.
        start_factor: factor of the first step, more than 0 and at most 1.
        end_factor: factor of the last step, from 0 to 1.
        total_iters: number of steps.
        last_epoch: number of the last step done, when training is resumed.

    Raises:
        ValueError: a factor is out of range.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = fastnn.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> for _ in range(3):
        ...     print(scheduler.get_last_lr())
        ...     optimizer.step(); scheduler.step()
        [0.5]
        [0.75]
        [1.0]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1.0:
            raise ValueError("Starting multiplicative factor expected to be greater than 0 and less or equal to 1.")
        if not 0 <= end_factor <= 1.0:
            raise ValueError("Ending multiplicative factor expected to be between 0 and 1.")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float | None:
        if self.last_epoch == 0:
            return self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return None
        rise = self.end_factor - self.start_factor
        return 1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)

    def _total_factor(self) -> float:
        rise = self.end_factor - self.start_factor
        return self.start_factor + rise * min(self.total_iters, self.last_epoch) / self.total_iters


class ExponentialLR(_FactorLR):
    """Multiply the rate by `gamma` at each step.

    Args:
        optimizer: whose groups are changed.
        gamma: the factor.
        last_epoch: number of the last step done, when training is resumed.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = fastnn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> for _ in range(3):
        ...     print(scheduler.get_last_lr())
        ...     optimizer.step(); scheduler.step()
        [1.0]
        [0.5]
        [0.25]
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float | None:
        return None if self._is_initial else self.gamma

    def _total_factor(self) -> float:
        return self.gamma**self.last_epoch


class PolynomialLR(_FactorLR):
    """Rate = first rate * (1 - step / total_iters) ** power, and 0 from `total_iters` on.

    Args:
        optimizer: whose groups are changed.
        total_iters: number of steps.
        power: exponent.
        last_epoch: number of the last step done, when training is resumed.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = fastnn.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4)
        >>> for _ in range(3):
        ...     print(scheduler.get_last_lr())
        ...     optimizer.step(); scheduler.step()
        [1.0]
        [0.75]
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def _factor(self) -> float | None:
        if self._is_initial or self.last_epoch > self.total_iters:
            return None
        now = 1.0 - self.last_epoch / self.total_iters
        before = 1.0 - (self.last_epoch - 1) / self.total_iters
        factor: float = (now / before) ** self.power
        return factor

    def _total_factor(self) -> float:
        factor: float = (1.0 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power
        return factor
