"""Samplers: in which order a DataLoader asks for samples. The random ones draw as PyTorch's do."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fastnn import _C

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence, Sized

    from fastnn._C import Generator

__all__ = [
    "BatchSampler",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "SubsetRandomSampler",
    "WeightedRandomSampler",
]

T_co = TypeVar("T_co", covariant=True)

_DRAWN_AT_ONCE = 32  # numbers a RandomSampler with replacement takes from its generator at a time


class Sampler(Generic[T_co]):
    """An order of samples. A subclass defines `__iter__`, which yields indices or lists of them, and `__len__`."""

    def __init__(self, data_source: Sized | None = None) -> None:
        pass

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check_count(name: str, value: object) -> None:
    if not _is_count(value):
        raise ValueError(f"{name} should be a positive integer value, but got {name}={value}")


def draw_seed(generator: Generator | None = None) -> int:
    """An integer from the default generator, or the given one, to seed another with."""
    return int(_C.empty((), dtype=_C.int64).random_(generator=generator).item())


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ... up to the length of `data_source`."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """All samples in random order, or `num_samples` of them.

    Args:
        data_source: its length counts.
        replacement: draw each sample from all of them, so that some come again.
        num_samples: how many to draw; the length of `data_source` by default. Without replacement every sample comes
            once before one comes again.
        generator: where the order comes from. By default each pass draws a seed from the default generator.

    Raises:
        TypeError: `replacement` is not a bool.
        ValueError: `num_samples` is not a positive integer.

    Example:
        >>> import fastnn
        >>> sampler = fastnn.utils.data.RandomSampler(range(5), generator=fastnn.Generator().manual_seed(0))
        >>> sorted(sampler)
        [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(replacement, bool):
            raise TypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        _check_count("num_samples", self.num_samples)

    @property
    def num_samples(self) -> int:
        """How many samples a pass yields."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        count = len(self.data_source)
        generator = self.generator
        if generator is None:
            generator = _C.Generator()
            generator.manual_seed(draw_seed())
        left = self.num_samples
        if count == 0:
            raise ValueError(f"RandomSampler: data_source is empty, so {left} samples cannot be drawn from it")
        if self.replacement:
            while left > 0:
                size = min(left, _DRAWN_AT_ONCE)
                yield from _C.randint(0, count, (size,), dtype=_C.int64, generator=generator).tolist()
                left -= _DRAWN_AT_ONCE
        else:
            # PyTorch's order of draws: a last permutation is drawn even if nothing of it is used.
            while left >= 0:
                yield from _C.randperm(count, generator=generator).tolist()[:left]
                left -= count

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order.

    Args:
        indices: what is yielded.
        generator: where the order comes from; the default generator if None.
    """

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for index in _C.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[index]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """0 to len(weights) - 1, drawn with these weights.

    Args:
        weights: one for each sample; they need not sum up to 1.
        num_samples: how many to draw.
        replacement: whether a sample may come again.
        generator: where the numbers come from; the default generator if None.

    Raises:
        ValueError: `num_samples` is not a positive integer, `replacement` not a bool, or `weights` not 1-d.
    """

    def __init__(
        self,
        weights: Sequence[float],
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        _check_count("num_samples", num_samples)
        if not isinstance(replacement, bool):
            raise ValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        self.weights = _C.as_tensor(weights, dtype=_C.float64)
        if self.weights.dim() != 1:
            raise ValueError(
                f"weights should be a 1d sequence but given weights have shape {tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = _C.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        yield from drawn.tolist()

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler["list[int]"]):
    """Lists of `batch_size` indices of another sampler.

    Args:
        sampler: any iterable of indices.
        batch_size: the length of a list.
        drop_last: leave out a last list that would be shorter.

    Raises:
        ValueError: `batch_size` is not a positive integer, or `drop_last` not a bool.

    Example:
        >>> from fastnn.utils.data import BatchSampler
        >>> list(BatchSampler(range(5), batch_size=2, drop_last=False))
        [[0, 1], [2, 3], [4]]
    """

    def __init__(self, sampler: Sampler[int] | Iterable[int], batch_size: int, drop_last: bool) -> None:
        _check_count("batch_size", batch_size)
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        shortest = self.batch_size if self.drop_last else 1
        while len(batch := list(islice(indices, self.batch_size))) >= shortest:
            yield batch

    def __len__(self) -> int:
        sampler: Any = self.sampler
        return (len(sampler) + (0 if self.drop_last else self.batch_size - 1)) // self.batch_size
