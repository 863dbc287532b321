"""Fetchers: from the indices that a sampler gives to a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C

from ..dataset import IterableDataset, Subset, TensorDataset, _samples
from .collate import default_collate

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastnn._C import Tensor

__all__ = ["IterableFetcher", "MapFetcher", "make_fetcher"]


class MapFetcher:
    """Batches of a dataset with keys."""

    def __init__(self, dataset: Any, batched: bool, collate: Callable[[Any], Any]) -> None:
        self._dataset = dataset
        self._batched = batched
        self._collate = collate
        self._rows = _TensorRows.of(dataset) if batched and collate is default_collate else None

    def fetch(self, index: Any) -> Any:
        """The batch, or the sample, at an index."""
        if not self._batched:
            return self._collate(self._dataset[index])
        if self._rows is not None and index and all(type(i) is int for i in index):
            return self._rows.batch(index)
        return self._collate(_samples(self._dataset, index))


class _TensorRows:
    """A TensorDataset, or a Subset of one: batches come from one indexing of each tensor."""

    def __init__(self, tensors: tuple[Tensor, ...], subsets: list[Any]) -> None:
        self._tensors = tensors
        self._subsets = subsets  # index lists, from the outermost in

    @staticmethod
    def of(dataset: Any) -> _TensorRows | None:
        """None when the dataset is something else; subclasses may change the samples."""
        subsets = []
        while type(dataset) is Subset:
            subsets.append(dataset.indices)
            dataset = dataset.dataset
        if type(dataset) is not TensorDataset or not dataset.tensors:
            return None
        return _TensorRows(dataset.tensors, subsets)

    def batch(self, index: list[int]) -> list[Tensor]:
        for indices in self._subsets:
            index = [indices[i] for i in index]
        rows = _C.tensor(index)
        return [tensor[rows] for tensor in self._tensors]


class IterableFetcher:
    """Batches of a dataset that is read from its beginning to its end."""

    def __init__(self, dataset: Any, batched: bool, collate: Callable[[Any], Any], drop_last: bool) -> None:
        self._batched = batched
        self._collate = collate
        self._drop_last = drop_last
        self._samples = iter(dataset)
        self._ended = False

    def fetch(self, index: Any) -> Any:
        """The next batch of as many samples as `index` has entries, or the next sample.

        Raises:
            StopIteration: there are no more.
        """
        return self._collate(self._next(index))

    def _next(self, index: Any) -> Any:
        if self._ended:
            raise StopIteration
        if not self._batched:
            return next(self._samples)
        samples = []
        for _ in index:
            try:
                samples.append(next(self._samples))
            except StopIteration:
                self._ended = True
                break
        if not samples or (self._drop_last and len(samples) < len(index)):
            raise StopIteration
        return samples


def make_fetcher(dataset: Any, batched: bool, collate: Callable[[Any], Any], drop_last: bool) -> Any:
    """The fetcher for a dataset."""
    if isinstance(dataset, IterableDataset):
        return IterableFetcher(dataset, batched, collate, drop_last)
    return MapFetcher(dataset, batched, collate)
