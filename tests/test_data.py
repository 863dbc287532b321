"""Datasets, samplers, collation and the DataLoader; orders and values against PyTorch's where it is installed."""

from __future__ import annotations

import collections
import copy
import pickle
import types
import warnings

import numpy as np
import pytest

import fastnn
from fastnn.utils import data
from fastnn.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    random_split,
)

SIZES = [1, 2, 15, 16, 17, 100]


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


class Numbers(Dataset):
    """Sample i is i; fails at the index in `fail_at`."""

    def __init__(self, count, fail_at=None):
        self.count = count
        self.fail_at = fail_at

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index == self.fail_at:
            raise LookupError(f"no sample {index}")
        return index


class Stream(IterableDataset):
    def __init__(self, count, length=None):
        self.count = count
        self.length = length

    def __iter__(self):
        return iter(range(self.count))

    def __len__(self):
        if self.length is None:
            raise TypeError("no length")
        return self.length


def plain(value):
    """Batches of any library as lists, so that they can be compared."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def dtype_name(tensor):
    return str(tensor.dtype).split(".")[1]


# Datasets.


def test_tensor_dataset():
    x, y = fastnn.arange(6).reshape(3, 2), fastnn.tensor([7.0, 8.0, 9.0])
    dataset = TensorDataset(x, y)
    assert len(dataset) == 3
    assert plain(dataset[1]) == [[2, 3], 8.0]
    assert plain(dataset[0:2]) == [[[0, 1], [2, 3]], [7.0, 8.0]]
    assert [sample[1].item() for sample in dataset] == [7.0, 8.0, 9.0]
    with pytest.raises(AssertionError, match=r"Size mismatch .* \[3, 2\]"):
        TensorDataset(x, fastnn.zeros(2))


def test_concatenation():
    dataset = Numbers(3) + Numbers(2)
    assert isinstance(dataset, ConcatDataset)
    assert [dataset[i] for i in range(-5, 5)] == [0, 1, 2, 0, 1, 0, 1, 2, 0, 1]
    assert dataset.cumulative_sizes == [3, 5]
    assert list(ConcatDataset([[], [1], [], [2, 3]])) == [1, 2, 3]
    with pytest.raises(ValueError, match="absolute value of index"):
        dataset[-6]
    with pytest.raises(IndexError, match="5 is out of range"):
        dataset[5]
    with pytest.raises(AssertionError, match="empty iterable"):
        ConcatDataset([])
    with pytest.raises(AssertionError, match="does not support IterableDataset"):
        ConcatDataset([Numbers(1), Stream(1)])


def test_chaining():
    chained = Stream(2, 2) + Stream(3, 3)
    assert isinstance(chained, ChainDataset)
    assert list(chained) == [0, 1, 0, 1, 2] and len(chained) == 5
    with pytest.raises(AssertionError, match="only supports IterableDataset"):
        list(ChainDataset([[1, 2]]))


def test_stack_dataset():
    pairs = StackDataset(Numbers(3), ["a", "b", "c"])
    assert pairs[1] == (1, "b") and len(pairs) == 3
    assert pairs.__getitems__([0, 2]) == [(0, "a"), (2, "c")]
    named = StackDataset(number=Subset(Numbers(9), [3, 4, 5]), letter=["a", "b", "c"])
    assert named[2] == {"number": 5, "letter": "c"}
    assert named.__getitems__([1]) == [{"number": 4, "letter": "b"}]

    class Short(Numbers):
        def __getitems__(self, indices):
            return [0]

    with pytest.raises(ValueError, match="Expected 2, got 1"):
        StackDataset(Short(3)).__getitems__([0, 1])
    with pytest.raises(ValueError, match="Size mismatch"):
        StackDataset(Numbers(3), Numbers(2))
    with pytest.raises(ValueError, match="At least one"):
        StackDataset()
    with pytest.raises(ValueError, match="got both"):
        StackDataset(Numbers(3), other=Numbers(3))


def test_subset():
    subset = Subset(Numbers(10), [7, 3, 5])
    assert list(subset) == [7, 3, 5] and len(subset) == 3 and subset[-1] == 5
    assert subset.__getitems__([2, 0]) == [5, 7]
    nested = Subset(subset, [1, 0])
    assert nested.__getitems__([0, 1]) == [3, 7]
    tensors = TensorDataset(fastnn.arange(10) * 10)
    assert plain(Subset(tensors, [4, 2])[[1, 0]]) == [[20, 40]]

    class Doubled(Subset):
        def __getitem__(self, index):
            return 2 * super().__getitem__(index)

    assert [plain(batch) for batch in DataLoader(Doubled(Numbers(10), [7, 3]), batch_size=2)] == [[14, 6]]


def test_base_classes_name_what_is_missing():
    with pytest.raises(NotImplementedError, match="__getitem__"):
        Dataset()[0]
    with pytest.raises(NotImplementedError, match="__iter__"):
        iter(data.Sampler())
    assert Dataset[int] and IterableDataset[int] and data.Sampler[int] and DataLoader[int]


# random_split.


@pytest.mark.parametrize("count", [10, 16, 103])
@pytest.mark.parametrize("lengths", [[0.8, 0.1, 0.1], [1 / 3] * 3, [0.5, 0.5], "absolute"])
def test_random_split_equals_pytorch(torch, count, lengths):
    lengths = [count - 3, 3] if lengths == "absolute" else lengths
    results = []
    for library in (fastnn, torch):
        generator = library.Generator().manual_seed(42)
        parts = library.utils.data.random_split(range(count), lengths, generator=generator)
        library.manual_seed(7)
        default = library.utils.data.random_split(range(count), lengths)
        results.append([list(part.indices) for part in (*parts, *default)])
    assert results[0] == results[1]


def test_random_split():
    parts = random_split(Numbers(10), [7, 3])
    assert [len(part) for part in parts] == [7, 3]
    assert sorted([*parts[0], *parts[1]]) == list(range(10))
    assert [len(part) for part in random_split(Numbers(11), [0.5, 0.25, 0.25])] == [6, 3, 2]
    with pytest.warns(UserWarning, match="index 1 is 0"):
        random_split(Numbers(3), [0.9, 0.1])
    with pytest.raises(ValueError, match="They sum up to 9, and the dataset has 10"):
        random_split(Numbers(10), [5, 4])
    with pytest.raises(ValueError, match="Fraction at index 0"):
        random_split(Numbers(10), [1.5, -0.5])


# Samplers.


def passes(library, sampler, count=2):
    """What several passes yield, and where they leave the default generator."""
    library.manual_seed(3)
    return [list(sampler) for _ in range(count)], library.randint(0, 1000, (4,)).tolist()


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("num_samples", [None, 40, 64])
def test_random_sampler_equals_pytorch(torch, count, num_samples, replacement):
    options = {"num_samples": num_samples, "replacement": replacement}
    own = passes(fastnn, RandomSampler(range(count), **options))
    reference = passes(torch, torch.utils.data.RandomSampler(range(count), **options))
    assert own == reference
    results = []
    for library in (fastnn, torch):
        generator = library.Generator().manual_seed(5)
        sampler = library.utils.data.RandomSampler(range(count), **options, generator=generator)
        results.append((passes(library, sampler), library.randint(0, 1000, (3,), generator=generator).tolist()))
    assert results[0] == results[1]


def test_random_sampler():
    sampler = RandomSampler(range(5), num_samples=12)
    assert len(sampler) == 12
    indices = list(sampler)
    assert sorted(indices[:5]) == sorted(indices[5:10]) == list(range(5))
    assert len(list(RandomSampler(range(5), replacement=True, num_samples=33))) == 33
    with pytest.raises(TypeError, match="replacement=1"):
        RandomSampler(range(5), replacement=1)
    for bad in (0, -1, 2.5, True):
        with pytest.raises(ValueError, match="num_samples"):
            RandomSampler(range(5), num_samples=bad)
    with pytest.raises(ValueError, match="num_samples=0"):
        RandomSampler([])
    with pytest.raises(ValueError, match="data_source is empty"):
        list(RandomSampler([], num_samples=3))


def test_other_samplers_equal_pytorch(torch):
    results = []
    for library in (fastnn, torch):
        module = library.utils.data
        results.append(
            [
                passes(library, module.SubsetRandomSampler([5, 3, 8, 13, 21])),
                passes(library, module.WeightedRandomSampler([0.1, 0.5, 3.0, 0.0], 50)),
                passes(library, module.WeightedRandomSampler([0.1, 0.5, 3.0, 2.0], 4, replacement=False)),
            ]
        )
    assert results[0] == results[1]


def test_weighted_sampler():
    sampler = WeightedRandomSampler([0.0, 1.0, 0.0, 3.0], 1000)
    counts = collections.Counter(sampler)
    assert len(sampler) == 1000 and set(counts) == {1, 3} and 650 < counts[3] < 850
    with pytest.raises(ValueError, match="num_samples=0"):
        WeightedRandomSampler([1.0], 0)
    with pytest.raises(ValueError, match="replacement=None"):
        WeightedRandomSampler([1.0], 1, replacement=None)
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        WeightedRandomSampler([[1.0, 2.0]], 1)


def test_batch_sampler():
    assert list(BatchSampler(range(7), 3, False)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(BatchSampler(range(7), 3, True)) == [[0, 1, 2], [3, 4, 5]]
    assert [len(BatchSampler(range(n), 3, drop)) for n in (5, 6, 7) for drop in (False, True)] == [2, 1, 2, 2, 3, 2]
    assert list(BatchSampler([], 3, False)) == []
    assert list(SequentialSampler("abc")) == [0, 1, 2]
    assert sorted(SubsetRandomSampler([4, 2])) == [2, 4]
    for bad in (0, -2, 2.0, True):
        with pytest.raises(ValueError, match="batch_size"):
            BatchSampler(range(7), bad, False)
    with pytest.raises(ValueError, match="drop_last"):
        BatchSampler(range(7), 3, 1)


@pytest.mark.parametrize("options", [{}, {"shuffle": False}, {"drop_last": True}, {"seed": 9, "drop_last": True}])
@pytest.mark.parametrize("count", [0, 1, 3, 10, 12])
def test_distributed_sampler_equals_pytorch(torch, options, count):
    for rank in range(4):
        own = DistributedSampler(range(count), 4, rank, **options)
        reference = torch.utils.data.DistributedSampler(range(count), 4, rank, **options)
        for epoch in (0, 5):
            own.set_epoch(epoch)
            reference.set_epoch(epoch)
            if count:
                assert list(own) == list(reference)
            else:
                assert list(own) == []
        assert len(own) == len(reference)


def test_distributed_sampler_needs_its_place():
    with pytest.raises(ValueError, match="process group has not been initialized"):
        DistributedSampler(range(3))
    with pytest.raises(ValueError, match=r"Invalid rank 2, rank should be in the interval \[0, 1\]"):
        DistributedSampler(range(3), 2, 2)


# Collation.

Point = collections.namedtuple("Point", ["x", "y"])


def batches(library):
    make = library.tensor
    return {
        "tensors": [make([1.0, 2.0]), make([3.0, 4.0])],
        "scalars": [make(1), make(2)],
        "ints": [1, 2, 3],
        "bools": [True, False],
        "floats": [1.5, 2.5],
        "strings": ["a", "b"],
        "bytes": [b"a", b"b"],
        "arrays": [np.array([1, 2], dtype=np.int16), np.array([3, 4], dtype=np.int16)],
        "array_scalars": [np.float32(1.5), np.float32(2.5)],
        "array_doubles": [np.float64(1.5), np.float64(2.5)],
        "array_bools": [np.bool_(True), np.bool_(False)],
        "tuples": [(1, 2.0), (3, 4.0)],
        "lists": [[1, "a"], [3, "b"]],
        "dicts": [{"x": 1, "y": make([1.0])}, {"y": make([2.0]), "x": 2}],
        "ordered": [collections.OrderedDict(a=1), collections.OrderedDict(a=2)],
        "default_dict": [collections.defaultdict(list, a=1), collections.defaultdict(list, a=2)],
        "frozen": [types.MappingProxyType({"a": 1}), types.MappingProxyType({"a": 2})],
        "named": [Point(1, make(2.0)), Point(3, make(4.0))],
        "nested": [{"p": Point(1, (2, [3.0]))}, {"p": Point(4, (5, [6.0]))}],
        "empty_lists": [[], []],
        "user_list": [collections.UserList([1, 2]), collections.UserList([3, 4])],
        "ranges": [range(2), range(2)],
    }


def structure(value):
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        return (dtype_name(value), value.tolist())
    if isinstance(value, collections.abc.Mapping):
        return type(value), {key: structure(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, collections.UserList)):
        return type(value), [structure(item) for item in value]
    return value


@pytest.mark.parametrize("name", batches(fastnn))
def test_default_collate_equals_pytorch(torch, name):
    own = default_collate(batches(fastnn)[name])
    assert structure(own) == structure(torch.utils.data.default_collate(batches(torch)[name]))


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")  # PyTorch's, about its own copy
@pytest.mark.parametrize("name", batches(fastnn))
def test_default_convert_equals_pytorch(torch, name):
    own = default_convert(batches(fastnn)[name])
    reference = torch.utils.data.default_convert(batches(torch)[name])
    assert structure(own) == structure(reference)


def test_default_collate():
    assert structure(default_collate([(1, 2.0), (3, 4.0)])) == (list, [("int64", [1, 3]), ("float64", [2.0, 4.0])])
    assert structure(default_collate([Point(1, "a")])) == (Point, [("int64", [1]), (tuple, ["a"])])
    for bad in ([object()], [None], [np.array(["a"])], [{1, 2}]):
        with pytest.raises(TypeError, match="default_collate: batch must contain"):
            default_collate(bad)
    with pytest.raises(RuntimeError, match="equal size"):
        default_collate([[1, 2], [3]])
    with pytest.raises(RuntimeError, match="stack"):
        default_collate([fastnn.zeros(2), fastnn.zeros(3)])
    with pytest.raises(KeyError):
        default_collate([{"a": 1}, {"b": 1}])


def test_default_convert_leaves_text_arrays_alone():
    array = np.array(["a", "b"])
    assert default_convert(array) is array
    assert default_convert(np.str_("a")) == "a"
    text = "abc"
    assert default_convert(text) is text


def test_collate_with_own_types():
    from fastnn.utils.data._utils.collate import collate, default_collate_fn_map

    class Image:
        def __init__(self, size):
            self.size = size

    def images(batch, *, collate_fn_map=None):
        return max(image.size for image in batch)

    own = {Image: images, **default_collate_fn_map}
    result = collate([(Image(3), 1), (Image(5), 2)], collate_fn_map=own)
    assert result[0] == 5 and result[1].tolist() == [1, 2]


# DataLoader.


def tensors(library, count):
    generator = np.random.default_rng(0)
    x = library.from_numpy(generator.standard_normal((count, 3)).astype(np.float32))
    return x, library.arange(count)


LOADERS = [
    {},
    {"batch_size": 4},
    {"batch_size": 4, "shuffle": True},
    {"batch_size": 4, "shuffle": True, "drop_last": True},
    {"batch_size": 4, "generator": 11, "shuffle": True},
    {"batch_size": None},
    {"batch_size": None, "shuffle": True},
    {"sampler": [3, 1, 2]},
    {"batch_size": 2, "sampler": [0, 1, 0, -1]},
    {"batch_sampler": [[0, 1], [2], [3, 0, 1]]},
]


@pytest.mark.parametrize("options", LOADERS, ids=str)
@pytest.mark.parametrize("count", [6, 21])
@pytest.mark.parametrize("kind", ["tensors", "subset", "samples"])
def test_loader_equals_pytorch(torch, kind, count, options):
    results = []
    for library in (fastnn, torch):
        module = library.utils.data
        dataset = module.TensorDataset(*tensors(library, count))
        if kind == "subset":
            dataset = module.random_split(dataset, [count - 1, 1], library.Generator().manual_seed(0))[0]
            dataset = module.Subset(dataset, list(range(count - 2, -1, -1)))
        elif kind == "samples":
            dataset = [{"x": x, "y": int(y)} for x, y in zip(*tensors(library, count), strict=True)]
        chosen = dict(options)
        if "generator" in chosen:
            chosen["generator"] = library.Generator().manual_seed(chosen["generator"])
        loader = module.DataLoader(dataset, **chosen)
        library.manual_seed(123)
        epochs = [[structure(batch) for batch in loader] for _ in range(2)]
        results.append((epochs, len(loader), library.randint(0, 1000, (4,)).tolist()))
    assert repr(results[0]) == repr(results[1])


def test_loader_of_tensors_gives_fresh_batches():
    x, y = fastnn.arange(6).reshape(3, 2), fastnn.arange(3)
    loader = DataLoader(TensorDataset(x, y), batch_size=3)
    first, labels = next(iter(loader))
    first.zero_()
    labels.zero_()
    assert x.tolist() == [[0, 1], [2, 3], [4, 5]] and y.tolist() == [0, 1, 2]


def test_fast_path_is_the_slow_path():
    class Same(TensorDataset):
        pass

    x, y = tensors(fastnn, 30)
    wide = x.to(fastnn.bfloat16).reshape(30, 3, 1).expand(30, 3, 2)
    masks = x > 0
    for options in ({"batch_size": 7}, {"batch_size": 7, "drop_last": True}, {"batch_sampler": [[-1, 5], [3]]}):
        fast = list(DataLoader(TensorDataset(x, y, wide, masks), **options))
        slow = list(DataLoader(Same(x, y, wide, masks), **options))
        assert repr(structure(fast)) == repr(structure(slow))
        assert [[t.stride() for t in batch] for batch in fast] == [[t.stride() for t in batch] for batch in slow]
    trained = fastnn.ones(4, 2, requires_grad=True)
    (batch,) = next(iter(DataLoader(TensorDataset(trained), batch_size=3)))
    batch.sum().backward()
    assert trained.grad.tolist() == [[1, 1], [1, 1], [1, 1], [0, 0]]


def test_fast_path_is_used(monkeypatch):
    dataset = TensorDataset(*tensors(fastnn, 6))
    monkeypatch.setattr(TensorDataset, "__getitem__", None)
    assert len(list(DataLoader(dataset, batch_size=2))) == 3
    assert len(list(DataLoader(Subset(Subset(dataset, [3, 2, 1]), [0, 1]), batch_size=2, shuffle=True))) == 1
    with pytest.raises(TypeError):
        list(DataLoader(dataset, batch_size=2, collate_fn=list))


def test_fast_path_fails_like_the_slow_path():
    class Same(TensorDataset):
        pass

    x, y = tensors(fastnn, 5)
    for kind in (TensorDataset, Same):
        with pytest.raises(IndexError):
            list(DataLoader(kind(x, y), batch_sampler=[[0, 9]]))
        with pytest.raises(IndexError):
            list(DataLoader(kind(x, y), batch_sampler=[[]]))
    with pytest.raises(IndexError):
        list(DataLoader(Subset(TensorDataset(x, y), [1, 2]), sampler=[2]))


def test_loader_uses_collate_function_and_getitems():
    class Bulk(Numbers):
        def __getitems__(self, indices):
            return [100 + index for index in indices]

    assert list(DataLoader(Numbers(5), batch_size=2, collate_fn=tuple)) == [(0, 1), (2, 3), (4,)]
    assert list(DataLoader(Bulk(5), batch_size=2, collate_fn=list)) == [[100, 101], [102, 103], [104]]
    assert list(DataLoader(Bulk(3), batch_size=None)) == [0, 1, 2]
    assert next(iter(DataLoader([np.zeros(2)], batch_size=None))).tolist() == [0.0, 0.0]
    assert list(DataLoader({"a": 1, "b": 2}, sampler=["b", "a"], batch_size=None)) == [2, 1]


def test_loader_of_a_stream():
    assert [plain(batch) for batch in DataLoader(Stream(5), batch_size=2)] == [[0, 1], [2, 3], [4]]
    assert [plain(batch) for batch in DataLoader(Stream(5), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]
    assert list(DataLoader(Stream(0), batch_size=2)) == []
    assert len(DataLoader(Stream(5, 5), batch_size=2)) == 3
    assert len(DataLoader(Stream(5, 5), batch_size=2, drop_last=True)) == 2
    assert len(DataLoader(Stream(5, 5), batch_size=None)) == 5
    loader = DataLoader(Stream(5, 1), batch_size=2)
    assert len(loader) == 1
    with pytest.warns(UserWarning, match="reported to be 1"):
        list(loader)
    with pytest.raises(TypeError, match="no length"):
        len(DataLoader(Stream(5)))
    iterator = iter(DataLoader(Stream(3), batch_size=2))
    assert [plain(batch) for batch in iterator] == [[0, 1], [2]]
    with pytest.raises(StopIteration):
        next(iterator)


def test_a_stream_that_goes_on_after_its_end():
    class Restarting:
        count = 0

        def __next__(self):
            self.count += 1
            if self.count % 4 == 0:
                raise StopIteration
            return self.count

    class Endless(IterableDataset):
        def __iter__(self):
            return Restarting()

    iterator = iter(DataLoader(Endless(), batch_size=2))
    assert [plain(batch) for batch in iterator] == [[1, 2], [3]]
    assert list(iterator) == []
    loader = DataLoader(Stream(4, 2), batch_size=2)
    assert len(loader) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(loader)) == 2  # two batches were promised, if batches are what the dataset counts


def test_stream_draws_as_pytorch(torch):
    results = []
    for library in (fastnn, torch):

        class Drawing(library.utils.data.IterableDataset):
            def __iter__(self, library=library):
                for _ in range(5):
                    yield library.randint(0, 1000, (1,)).item()

        library.manual_seed(1)
        results.append([plain(batch) for batch in library.utils.data.DataLoader(Drawing(), batch_size=2)])
    assert results[0] == results[1]


def test_errors_of_the_dataset_are_not_wrapped():
    iterator = iter(DataLoader(Numbers(6, fail_at=3), batch_size=2))
    assert plain(next(iterator)) == [0, 1]
    with pytest.raises(LookupError) as error:
        next(iterator)
    assert error.type is LookupError and str(error.value) == "no sample 3"
    assert plain(next(iterator)) == [4, 5]  # the loader can go on


def test_loader_attributes():
    loader = DataLoader(Numbers(10), batch_size=4, pin_memory=True, worker_init_fn=print, in_order=False)
    assert (loader.batch_size, loader.drop_last, loader.num_workers, len(loader)) == (4, False, 0, 3)
    assert isinstance(loader.sampler, SequentialSampler) and isinstance(loader.batch_sampler, BatchSampler)
    assert isinstance(DataLoader(Numbers(3), shuffle=True).sampler, RandomSampler)
    for name in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"):
        with pytest.raises(ValueError, match=f"{name} attribute should not be set"):
            setattr(loader, name, None)
    loader.collate_fn = list
    assert next(iter(loader)) == [0, 1, 2, 3]
    assert len(iter(loader)) == 3
    assert data.get_worker_info() is None
    for duplicate in (copy.deepcopy(loader), pickle.loads(pickle.dumps(loader))):
        assert list(duplicate) == list(loader)
    with pytest.raises(NotImplementedError, match="cannot be pickled"):
        pickle.dumps(iter(loader))


BAD_ARGUMENTS = [
    ("non-negative", {"num_workers": -1}),
    ("timeout", {"timeout": -1}),
    ("timeout=5", {"timeout": 5}),
    ("prefetch_factor", {"prefetch_factor": 2}),
    ("persistent_workers", {"persistent_workers": True}),
    ("multiprocessing_context", {"multiprocessing_context": "fork"}),
    ("sampler option is mutually exclusive with shuffle", {"sampler": [1], "shuffle": True}),
    ("batch_sampler option is mutually exclusive", {"batch_sampler": [[1]], "batch_size": 2}),
    ("batch_sampler option is mutually exclusive", {"batch_sampler": [[1]], "shuffle": True}),
    ("batch_sampler option is mutually exclusive", {"batch_sampler": [[1]], "sampler": [1]}),
    ("batch_sampler option is mutually exclusive", {"batch_sampler": [[1]], "drop_last": True}),
    ("disables auto-batching", {"batch_size": None, "drop_last": True}),
    ("batch_size=0", {"batch_size": 0}),
    ("batch_size=-1", {"batch_size": -1}),
    ("drop_last=3", {"drop_last": 3}),
]


@pytest.mark.parametrize(("text", "options"), BAD_ARGUMENTS)
def test_bad_arguments(text, options):
    with pytest.raises(ValueError, match=text):
        DataLoader(Numbers(5), **options)


@pytest.mark.parametrize("options", [{"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}])
def test_streams_cannot_be_reordered(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"expected unspecified {name} option"):
        DataLoader(Stream(5), **options)
    DataLoader(Stream(5), shuffle=False)


def test_ordinary_use_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(DataLoader(Numbers(5), batch_size=2, shuffle=True, pin_memory=True))) == 3
