"""Averages of a model's weights over training: stochastic weight averaging (SWA) and moving averages (EMA)."""

from __future__ import annotations

import itertools
import math
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor
from fastnn.autograd.grad_mode import no_grad
from fastnn.nn.modules.batchnorm import _BatchNorm
from fastnn.nn.modules.module import Module

from ._lr_base import LRScheduler, _per_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Literal, TypeAlias

    from .optimizer import Optimizer

    Average: TypeAlias = Callable[[Tensor, Tensor, Tensor | int], Tensor]
    MultiAverage: TypeAlias = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def _interpolate(averages: Sequence[Tensor], currents: Sequence[Tensor], weight: float) -> None:
    with no_grad():
        for average, current in zip(averages, currents, strict=True):
            if average.is_floating_point():
                average.lerp_(current.to(dtype=average.dtype), weight)
            else:
                average.copy_(average * (1 - weight) + current * weight)


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """The moving average of lists of tensors, in place: average <- decay * average + (1 - decay) * current.

    Args:
        decay: weight of the average so far, in [0, 1].

    Raises:
        ValueError: `decay` is not in [0, 1].

    Example:
        >>> import fastnn
        >>> average = fastnn.zeros(2)
        >>> fastnn.optim.swa_utils.get_ema_multi_avg_fn(0.75)([average], [fastnn.ones(2)], 1)
        >>> average
        tensor([0.2500, 0.2500])
    """
    _check_decay(decay)

    def ema_update(averages: Sequence[Tensor], currents: Sequence[Tensor], _: Tensor | int) -> None:
        _interpolate(averages, currents, 1 - decay)

    return ema_update


def get_swa_multi_avg_fn() -> MultiAverage:
    """The running mean of lists of tensors, in place: average <- average + (current - average) / (n + 1).

    Example:
        >>> import fastnn
        >>> average = fastnn.zeros(2)
        >>> fastnn.optim.swa_utils.get_swa_multi_avg_fn()([average], [fastnn.ones(2)], 1)
        >>> average
        tensor([0.5000, 0.5000])
    """

    def swa_update(averages: Sequence[Tensor], currents: Sequence[Tensor], num_averaged: Tensor | int) -> None:
        _interpolate(averages, currents, 1 / (int(num_averaged) + 1))

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The moving average of one tensor: decay * average + (1 - decay) * current.

    Args:
        decay: weight of the average so far, in [0, 1].

    Raises:
        ValueError: `decay` is not in [0, 1].

    Example:
        >>> import fastnn
        >>> fastnn.optim.swa_utils.get_ema_avg_fn(0.75)(fastnn.zeros(2), fastnn.ones(2), 1)
        tensor([0.2500, 0.2500])
    """
    _check_decay(decay)

    def ema_update(average: Tensor, current: Tensor, num_averaged: Tensor | int) -> Tensor:
        with no_grad():
            return decay * average + (1 - decay) * current

    return ema_update


def get_swa_avg_fn() -> Average:
    """The running mean of one tensor: average + (current - average) / (n + 1).

    Example:
        >>> import fastnn
        >>> fastnn.optim.swa_utils.get_swa_avg_fn()(fastnn.zeros(2), fastnn.ones(2), 1)
        tensor([0.5000, 0.5000])
    """

    def swa_update(average: Tensor, current: Tensor, num_averaged: Tensor | int) -> Tensor:
        with no_grad():
            return average + (current - average) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of the model's over training.

    Call `update_parameters(model)` after each step (EMA) or at the end of each epoch (SWA). The copy is a module:
    call it to evaluate; `state_dict()` has the copy under "module." and the count `n_averaged`.

    Args:
        model: what is averaged; it is copied.
        device: where the copy lives; "cpu".
        avg_fn: the new average from (average, current, number averaged so far), tensor by tensor.
        multi_avg_fn: the same in place for lists of tensors of one dtype. Without either, the mean of all (SWA).
        use_buffers: average buffers too, rather than copying them from the model.

    Raises:
        AssertionError: both functions are given.

    Example:
        >>> import fastnn
        >>> from fastnn.optim.swa_utils import AveragedModel
        >>> model = fastnn.nn.Linear(1, 1, bias=False)
        >>> average = AveragedModel(model)
        >>> for value in (1.0, 2.0, 6.0):
        ...     model.weight.data.fill_(value); average.update_parameters(model)
        tensor([[1.]])
        tensor([[2.]])
        tensor([[6.]])
        >>> average(fastnn.ones(1)).item()
        3.0

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", 2018.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", _C.tensor(0, dtype=_C.int64))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the averaged model."""
        return self.module(*args, **kwargs)

    def _tensors(self, model: Module) -> Iterable[Tensor]:
        if self.use_buffers:
            return itertools.chain(model.parameters(), model.buffers())
        return model.parameters()

    def update_parameters(self, model: Module) -> None:
        """Take the model's parameters into the averages; the first call copies them."""
        pairs = [
            (average.detach(), current.detach())
            for average, current in zip(self._tensors(self.module), self._tensors(model), strict=False)
        ]
        if self.n_averaged == 0:
            for average, current in pairs:
                average.copy_(current)
        elif self.avg_fn is not None:
            for average, current in pairs:
                average.copy_(self.avg_fn(average, current, self.n_averaged))
        else:
            update = self.multi_avg_fn or get_swa_multi_avg_fn()
            by_dtype: dict[Any, list[tuple[Tensor, Tensor]]] = {}
            for pair in pairs:
                by_dtype.setdefault(pair[0].dtype, []).append(pair)
            for group in by_dtype.values():
                averages, currents = (list(tensors) for tensors in zip(*group, strict=True))
                update(averages, currents, self.n_averaged)
        if not self.use_buffers:
            for average, current in zip(self.module.buffers(), model.buffers(), strict=True):
                average.detach().copy_(current.detach())
        self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the running statistics of the model's batch norms anew, in one pass over the data.

    Averaged weights need it: the statistics of the training belong to other weights.

    Args:
        loader: yields batches; of a list or tuple the first element is the input.
        model: put into training mode for the pass, and back.
        device: where batches are moved first.

    Example:
        >>> import fastnn
        >>> model = fastnn.nn.BatchNorm1d(1)
        >>> fastnn.optim.swa_utils.update_bn([fastnn.tensor([[1.0], [3.0]])], model)
        >>> model.running_mean
        tensor([2.])
    """
    momenta = {module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)}
    if not momenta:
        return
    was_training = model.training
    model.train()
    for norm in momenta:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches
    with no_grad():
        for batch in loader:
            first = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(first if device is None else first.to(device))
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Bring the learning rate to the constant one of stochastic weight averaging, over some epochs.

    Args:
        optimizer: whose groups are changed.
        swa_lr: the final rate, one for all groups or a list.
        anneal_epochs: number of steps on the way.
        anneal_strategy: "cos" or "linear".
        last_epoch: number of the last step done, when training is resumed.

    Raises:
        ValueError: the strategy is unknown, `anneal_epochs` is negative or not an int, or a list has not one value
            for each group.

    Example:
        >>> import fastnn
        >>> optimizer = fastnn.optim.SGD([fastnn.zeros(1, requires_grad=True)], lr=1.0)
        >>> scheduler = fastnn.optim.swa_utils.SWALR(optimizer, 0.5, anneal_epochs=2, anneal_strategy="linear")
        >>> for _ in range(3):
        ...     optimizer.step(); scheduler.step(); print(scheduler.get_last_lr())
        [0.75]
        [0.5]
        [0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        for rate, group in zip(_per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def anneal_func(self, t: float) -> float:
        """The share of the way that is done after a share `t` of the epochs."""
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def _share(self, step: int) -> float:
        return self.anneal_func(max(0, min(1, step / max(1, self.anneal_epochs))))

    def get_lr(self) -> list[Any]:
        """The rates of the current step, one for each group."""
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            final = group["swa_lr"]
            first = final if before == 1 else (group["lr"] - before * final) / (1 - before)
            rates.append(final * now + first * (1 - now))
        return rates
