"""A sampler that deals the samples out to several processes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fastnn import _C

from .sampler import Sampler

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """The share of the samples that one of several processes trains on.

    Call `set_epoch(n)` before each epoch to get another order.

    Args:
        dataset: its length counts.
        num_replicas: number of processes; that of the process group if None.
        rank: which of them this is; by default that in the process group.
        shuffle: deal out in random order, the same in all processes.
        seed: of the random order; the same in all processes.
        drop_last: leave samples out where their number is no multiple of `num_replicas`, instead of repeating some.

    Raises:
        ValueError: `rank` is out of range, or not given where there is no process group to ask.

    Example:
        >>> from fastnn.utils.data import DistributedSampler
        >>> list(DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False))
        [1, 3, 0]
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            from fastnn import distributed

            num_replicas = distributed.get_world_size() if num_replicas is None else num_replicas
            rank = distributed.get_rank() if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = seed
        share = len(dataset) / num_replicas
        self.num_samples = math.floor(share) if drop_last else math.ceil(share)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        order = list(range(count))
        if self.shuffle:
            generator = _C.Generator()
            generator.manual_seed(self.seed + self.epoch)
            order = _C.randperm(count, generator=generator).tolist()
        if order:
            order *= math.ceil(self.total_size / count)
        return iter(order[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Make the next pass shuffle in another order."""
        self.epoch = epoch
