"""DataLoader: batches from a dataset."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fastnn import _C

from ._utils.collate import default_collate, default_convert
from ._utils.worker import get_worker_info
from .dataset import IterableDataset, Subset, TensorDataset, _samples
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, draw_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from fastnn._C import Generator, Tensor

    from .dataset import Dataset

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

T_co = TypeVar("T_co", covariant=True)

_FIXED = frozenset(("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"))


class _Endless(Sampler[None]):
    """The sampler of an IterableDataset: there is nothing to choose."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[T_co]):
    """Iterate over a dataset in batches.

    Each `iter(loader)` is one pass. Under the same seed the order is PyTorch's: a pass draws one integer from
    `generator`, and a shuffled one without `generator` another from the default generator, to seed its own with.
    An exception of the dataset reaches the caller as it is.

    Args:
        dataset: with `__getitem__` and `__len__`, or an IterableDataset.
        batch_size: samples in a batch; None gives single samples.
        shuffle: random order, a new one in each pass.
        sampler: an iterable of indices, instead of `shuffle`.
        batch_sampler: an iterable of lists of indices, instead of `batch_size`, `shuffle`, `sampler`, `drop_last`.
        num_workers: 0; worker processes are not supported yet.
        collate_fn: makes a batch from a list of samples; `default_collate` by default, or `default_convert` for single
            samples.
        pin_memory, pin_memory_device: accepted; there is no accelerator whose transfers it could speed up.
        drop_last: leave out a last batch that is smaller.
        timeout, worker_init_fn, multiprocessing_context, prefetch_factor, persistent_workers, in_order: for worker
            processes.
        generator: where the random order comes from; the default generator if None.

    Raises:
        ValueError: arguments contradict each other, or ask for worker processes.

    Example:
        >>> import fastnn
        >>> dataset = fastnn.utils.data.TensorDataset(fastnn.arange(5), fastnn.arange(5) ** 2)
        >>> for x, y in fastnn.utils.data.DataLoader(dataset, batch_size=2):
        ...     print(x, y)
        tensor([0, 1]) tensor([0, 1])
        tensor([2, 3]) tensor([4, 9])
        tensor([4]) tensor([16])
    """

    dataset: Any
    batch_size: int | None
    num_workers: int
    pin_memory: bool
    drop_last: bool
    timeout: float
    sampler: Any
    batch_sampler: Any
    generator: Generator | None
    collate_fn: Callable[[Any], Any]
    _initialized = False

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Sampler[Any] | Iterable[Any] | None = None,
        batch_sampler: Sampler[list[Any]] | Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_worker_options(num_workers, timeout, multiprocessing_context, prefetch_factor, persistent_workers)
        iterable = isinstance(dataset, IterableDataset)
        if iterable:
            for name, value in (("shuffle", shuffle), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value is not None and value is not False:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
                    )
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        order: Any = sampler
        if sampler is None:
            if iterable:
                order = _Endless()
            elif shuffle:
                order = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                order = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_size is not None:
            batch_sampler = BatchSampler(order, batch_size, drop_last)
        self.dataset = dataset
        self.batch_size = batch_size
        self.sampler = order
        self.batch_sampler = batch_sampler
        self.drop_last = drop_last
        self.generator = generator
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.prefetch_factor = prefetch_factor
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._iterable_length: int | None = None
        self._initialized = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._initialized and name in _FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    @property
    def _index_sampler(self) -> Any:
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def __iter__(self) -> Iterator[Any]:
        if isinstance(self.dataset, IterableDataset):
            return _IterablePass(self)
        return _MapPass(self)

    def __len__(self) -> int:
        if not isinstance(self.dataset, IterableDataset):
            return len(self._index_sampler)
        length = self._iterable_length = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else math.ceil(length / self.batch_size)


def _check_worker_options(
    num_workers: int, timeout: float, context: Any, prefetch_factor: int | None, persistent_workers: bool
) -> None:
    if num_workers < 0:
        raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
    if num_workers > 0:
        raise ValueError(
            f"DataLoader: worker processes are not supported yet, got num_workers={num_workers}; pass num_workers=0"
        )
    if timeout != 0:
        raise ValueError(f"DataLoader: timeout needs worker processes (num_workers > 0), but got timeout={timeout}")
    if prefetch_factor is not None:
        raise ValueError(
            f"DataLoader: prefetch_factor needs worker processes (num_workers > 0), but got {prefetch_factor}"
        )
    if persistent_workers:
        raise ValueError("persistent_workers option needs num_workers > 0")
    if context is not None:
        raise ValueError(
            f"multiprocessing_context can only be used with num_workers > 0, but got num_workers={num_workers}"
        )


class _Pass:
    """One pass over the data."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._sampler = loader._index_sampler
        self._collate = loader.collate_fn
        self._batched = loader.batch_sampler is not None
        self._indices = iter(self._sampler)
        # PyTorch draws the seed of its workers here, also when there are none: what is drawn later depends on it.
        self._base_seed = draw_seed(loader.generator)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self._sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


class _MapPass(_Pass):
    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        self._dataset = loader.dataset
        joins_tensors = self._batched and self._collate is default_collate
        self._rows = _TensorRows.of(loader.dataset) if joins_tensors else None

    def __next__(self) -> Any:
        index = next(self._indices)
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


class _IterablePass(_Pass):
    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        self._loader = loader
        self._samples = iter(loader.dataset)
        self._ended = False
        self._yielded = 0

    def __next__(self) -> Any:
        data = self._collate(self._fetch(next(self._indices)))
        self._yielded += 1
        length = self._loader._iterable_length
        if length is not None and self._yielded > length:
            warnings.warn(
                f"Length of IterableDataset {self._loader.dataset} was reported to be {length} (when accessing "
                f"len(dataloader)), but {self._yielded} samples have been fetched.",
                stacklevel=2,
            )
        return data

    def _fetch(self, index: Any) -> Any:
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
        if not samples or (self._loader.drop_last and len(samples) < len(index)):
            raise StopIteration
        return samples
