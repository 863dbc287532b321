"""Datasets: what a DataLoader takes samples from."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

from fastnn import _C
from fastnn._C import Generator, Tensor

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """A dataset whose samples have keys, usually 0 to len - 1.

    A subclass defines `__getitem__`, for a DataLoader also `__len__`, and if it can load many samples at once
    `__getitems__(keys)`, which returns a list of samples. `a + b` concatenates.

    Example:
        >>> from fastnn.utils.data import Dataset
        >>> class Squares(Dataset[int]):
        ...     def __getitem__(self, index):
        ...         return index**2
        ...     def __len__(self):
        ...         return 4
        >>> (Squares() + Squares())[5]
        1
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """A dataset that is read from its beginning to its end. A subclass defines `__iter__`; `a + b` chains."""

    def __add__(self, other: Dataset[T_co]) -> ChainDataset[T_co]:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset["tuple[Tensor, ...]"]):
    """Tensors with the same first dimension; sample i is the tuple of their i-th slices.

    A DataLoader that joins samples with `default_collate` indexes the tensors once a batch.

    Args:
        tensors: of shape (N, ...).

    Raises:
        AssertionError: the first dimensions differ.

    Example:
        >>> import fastnn
        >>> dataset = fastnn.utils.data.TensorDataset(fastnn.tensor([1.0, 2.0]), fastnn.tensor([3, 4]))
        >>> dataset[1]
        (tensor(2.), tensor(4))
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        sizes = [tensor.size(0) for tensor in tensors]
        if len(set(sizes)) > 1:
            raise AssertionError(f"Size mismatch between tensors: their first dimensions are {sizes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        length: int = self.tensors[0].size(0)
        return length


class StackDataset(Dataset[Any]):
    """Datasets side by side: a sample is a tuple of their samples, or a dict if they are given by keyword.

    Args:
        args: datasets of the same length.
        kwargs: the same, by name.

    Raises:
        ValueError: there are none, both kinds are given, or the lengths differ.

    Example:
        >>> from fastnn.utils.data import StackDataset
        >>> StackDataset(image=[1, 2, 3], label=["a", "b", "c"])[1]
        {'image': 2, 'label': 'b'}
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError("StackDataset takes datasets by position or by keyword, but got both")
        members = list(args or kwargs.values())
        if not members:
            raise ValueError("At least one dataset should be passed")
        lengths = [len(member) for member in members]
        if len(set(lengths)) > 1:
            raise ValueError(f"Size mismatch between datasets: their lengths are {lengths}")
        self._length = lengths[0]
        self.datasets = args or kwargs

    def _join(self, parts: list[Any]) -> Any:
        return dict(zip(self.datasets, parts, strict=True)) if isinstance(self.datasets, dict) else tuple(parts)

    def _members(self) -> list[Any]:
        return list(self.datasets.values() if isinstance(self.datasets, dict) else self.datasets)

    def __getitem__(self, index: Any) -> Any:
        return self._join([member[index] for member in self._members()])

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        columns = [_samples(member, indices) for member in self._members()]
        for column in columns:
            if len(column) != len(indices):
                raise ValueError(f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(column)}")
        return [self._join(list(parts)) for parts in zip(*columns, strict=True)]

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """Datasets one after the other.

    Args:
        datasets: those with a length.

    Raises:
        AssertionError: there are none, or one is an IterableDataset.

    Example:
        >>> from fastnn.utils.data import ConcatDataset
        >>> dataset = ConcatDataset([[1, 2], [3, 4, 5]])
        >>> len(dataset), dataset[3], dataset[-5]
        (5, 4, 1)
    """

    datasets: list[Any]
    cumulative_sizes: list[int]

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        """Where each dataset ends."""
        return list(accumulate(len(member) for member in sequence))

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(member, IterableDataset) for member in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx: int) -> T_co:
        length = len(self)
        if idx < -length:
            raise ValueError("absolute value of index should not exceed dataset length")
        if idx >= length:
            raise IndexError(f"ConcatDataset: index {idx} is out of range for {length} samples")
        idx %= length
        member = bisect_right(self.cumulative_sizes, idx)
        before = self.cumulative_sizes[member - 1] if member else 0
        sample: T_co = self.datasets[member][idx - before]
        return sample


class ChainDataset(IterableDataset[T_co]):
    """Iterable datasets one after the other.

    Args:
        datasets: the datasets.

    Raises:
        AssertionError: when it is read, and one is not an IterableDataset.
    """

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = datasets

    def _checked(self) -> Iterator[Any]:
        for member in self.datasets:
            if not isinstance(member, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset")
            yield member

    def __iter__(self) -> Iterator[T_co]:
        for member in self._checked():
            yield from member

    def __len__(self) -> int:
        return sum(len(member) for member in self._checked())


class Subset(Dataset[T_co]):
    """The samples of a dataset at these indices.

    Args:
        dataset: the whole.
        indices: which of its samples, in which order.

    Example:
        >>> from fastnn.utils.data import Subset
        >>> list(Subset([10, 20, 30], [2, 0]))
        [30, 10]
    """

    dataset: Any
    indices: Sequence[int]

    def __init__(self, dataset: Dataset[T_co] | Sequence[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, idx: Any) -> T_co:
        sample: T_co = self.dataset[[self.indices[i] for i in idx] if isinstance(idx, list) else self.indices[idx]]
        return sample

    def __getitems__(self, indices: list[int]) -> list[T_co]:
        if type(self).__getitem__ is not Subset.__getitem__:  # a subclass changes the samples
            return [self[index] for index in indices]
        return _samples(self.dataset, [self.indices[index] for index in indices])

    def __len__(self) -> int:
        return len(self.indices)


def _samples(dataset: Any, indices: list[Any]) -> list[Any]:
    """The samples at these indices, all at once if the dataset can do that."""
    fetch = getattr(dataset, "__getitems__", None)
    if callable(fetch):
        samples: list[Any] = fetch(indices)
        return samples
    return [dataset[index] for index in indices]


def _lengths_of_fractions(total: int, fractions: Sequence[float]) -> list[int]:
    for index, fraction in enumerate(fractions):
        if not 0 <= fraction <= 1:
            raise ValueError(f"Fraction at index {index} is not between 0 and 1")
    lengths = [math.floor(total * fraction) for fraction in fractions]
    for extra in range(total - sum(lengths)):
        lengths[extra % len(lengths)] += 1
    for index, length in enumerate(lengths):
        if length == 0:
            warnings.warn(
                f"Length of split at index {index} is 0. This might result in an empty dataset.", stacklevel=3
            )
    return lengths


def random_split(
    dataset: Dataset[T], lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset[T]]:
    """Split a dataset at random into parts that do not overlap.

    Args:
        dataset: the whole.
        lengths: of the parts; they sum up to the length of the dataset. Or fractions that sum up to 1: parts are
            rounded down, and what is left over is dealt out from the first on.
        generator: where the random order comes from; the default generator if None.

    Returns:
        One Subset for each part.

    Raises:
        ValueError: the lengths do not sum up to the length of the dataset, or a fraction is not in [0, 1].

    Example:
        >>> import fastnn
        >>> generator = fastnn.Generator().manual_seed(0)
        >>> parts = fastnn.utils.data.random_split(range(10), [0.75, 0.25], generator)
        >>> [len(part) for part in parts]
        [8, 2]
    """
    total = len(dataset)  # type: ignore[arg-type]
    wanted = sum(lengths)
    if math.isclose(wanted, 1) and wanted <= 1:
        sizes = _lengths_of_fractions(total, lengths)
    else:
        sizes = list(lengths)  # type: ignore[arg-type]
    if sum(sizes) != total:
        raise ValueError(
            "Sum of input lengths does not equal the length of the input dataset! "
            f"They sum up to {sum(sizes)}, and the dataset has {total} samples."
        )
    order: list[int] = _C.randperm(total, generator=generator).tolist()
    return [Subset(dataset, order[end - size : end]) for end, size in zip(accumulate(sizes), sizes, strict=True)]
