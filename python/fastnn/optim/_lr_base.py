"""LRScheduler: what every learning rate schedule has."""

from __future__ import annotations

import types
import warnings
from typing import TYPE_CHECKING, Any

from fastnn._C import Tensor

from .optimizer import Optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["LRScheduler"]

_EPOCH_WARNING = (
    "The epoch parameter in `scheduler.step()` is deprecated; call `scheduler.step()` without it. "
    "With it, the closed form of the schedule is used where there is one."
)


def _read(optimizer: Optimizer, key: str) -> list[Any]:
    """The option `key` of every group; tensors are copied, because a schedule changes them in place."""
    values = [group[key] for group in optimizer.param_groups]
    return [value.clone() if isinstance(value, Tensor) else value for value in values]


def _write(group: dict[str, Any], key: str, value: Any) -> None:
    """Set an option; one that is a tensor keeps its identity."""
    if isinstance(group[key], Tensor):
        group[key].fill_(float(value))
    else:
        group[key] = value


def _per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """One value for each group, from a list of them or from one value for all."""
    count = len(optimizer.param_groups)
    if isinstance(value, (list, tuple)):
        if len(value) != count:
            raise ValueError(
                f"{name} must have the same length as optimizer.param_groups. "
                f"{name} has {len(value)} values, param_groups has {count}."
            )
        values = list(value)
    else:
        values = [value] * count
    return [item.clone() if isinstance(item, Tensor) else item for item in values]


def _check_optimizer(optimizer: object) -> None:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def _pack_callables(functions: Sequence[Any]) -> list[dict[str, Any] | None]:
    """What a checkpoint keeps of user functions: the attributes of callable objects, nothing of plain functions."""
    return [None if isinstance(item, types.FunctionType) else item.__dict__.copy() for item in functions]


def _unpack_callables(functions: Sequence[Any], packed: Sequence[dict[str, Any] | None]) -> None:
    for item, attributes in zip(functions, packed, strict=True):
        if attributes is not None:
            item.__dict__.update(attributes)


class LRScheduler:
    """A learning rate schedule: each `step()` sets the learning rates of an optimizer's groups.

    A subclass defines `get_lr()`, which returns one rate for each group from `self.last_epoch`, `self.base_lrs` and
    the groups themselves. Call `scheduler.step()` after `optimizer.step()`.

    Args:
        optimizer: whose groups are changed.
        last_epoch: number of the last step done, when training is resumed; -1 starts anew.

    Raises:
        TypeError: `optimizer` is not an Optimizer.
        KeyError: `last_epoch` is given, and a group has no `"initial_lr"`.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=0.5)
        >>> scheduler = fastnn.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
        >>> optimizer.step(); scheduler.step()
        >>> scheduler.get_last_lr()
        [0.25]
    """

    optimizer: Optimizer
    base_lrs: list[Any]
    last_epoch: int
    _last_lr: list[Any]
    _step_count: int
    _get_lr_called_within_step: bool = False
    _is_initial: bool = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        _check_optimizer(optimizer)
        self.optimizer = optimizer
        if last_epoch == -1:
            for group, rate in zip(optimizer.param_groups, _read(optimizer, "lr"), strict=True):
                group.setdefault("initial_lr", rate)
        else:
            for index, group in enumerate(optimizer.param_groups):
                if "initial_lr" not in group:
                    raise KeyError(
                        f"param 'initial_lr' is not specified in param_groups[{index}] when resuming scheduler with "
                        f"last_epoch={last_epoch}; load the optimizer's state first, or start with last_epoch=-1"
                    )
        self.base_lrs = _read(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        # Steps before the first schedule was attached do not count as "the optimizer has stepped".
        if not getattr(optimizer, "_has_scheduler", False):
            optimizer._has_scheduler = True
            optimizer._opt_called = False
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer, as a dict."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict()` returned."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """The rates that the last step set, one for each group."""
        return self._last_lr

    def get_lr(self) -> list[Any]:
        """The rates of the current step, one for each group; for `step()` to call."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def step(self, epoch: int | None = None) -> None:
        """Go to the next step and set the learning rates; call it after `optimizer.step()`.

        Args:
            epoch: deprecated; go to this step instead.
        """
        if self._step_count == 1 and not getattr(self.optimizer, "_opt_called", False):
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in the opposite order: "
                "`optimizer.step()` before `lr_scheduler.step()`. Otherwise the first value is skipped.",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(_EPOCH_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed_form: Callable[[], list[Any]] | None = getattr(self, "_get_closed_form_lr", None)
        if epoch is None or closed_form is None:
            self._apply(self._compute())
        else:
            self._apply(closed_form())

    def _compute(self) -> list[Any]:
        """Call `get_lr()`, which warns when it is called from anywhere else."""
        self._get_lr_called_within_step = True
        try:
            return self.get_lr()
        finally:
            self._get_lr_called_within_step = False

    def _apply(self, rates: Sequence[Any]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            _write(group, "lr", rate)
        self._last_lr = _read(self.optimizer, "lr")

    def _warn_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )
