"""Samples to a batch: `default_collate`, `default_convert`, and `collate` with functions for one's own types."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    CollateFn: TypeAlias = Callable[..., Any]
    CollateMap: TypeAlias = dict[type | tuple[type, ...], CollateFn]

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]


def _is_text_or_object(dtype: Any) -> Any:
    """Whether a NumPy dtype has no tensor counterpart."""
    return dtype.kind in "SUO"


def _unsupported(kind: object) -> TypeError:
    return TypeError(
        f"default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {kind}"
    )


def _collate_tensors(batch: Sequence[Tensor], *, collate_fn_map: CollateMap | None = None) -> Any:
    return _C.stack(batch, 0)


def _collate_arrays(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    if _is_text_or_object(batch[0].dtype):
        raise _unsupported(batch[0].dtype)
    return collate([_C.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def _collate_array_scalars(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    import numpy as np

    return _C.as_tensor(np.asarray(batch))


def _collate_floats(batch: Sequence[float], *, collate_fn_map: CollateMap | None = None) -> Any:
    return _C.tensor(batch, dtype=_C.float64)


def _collate_integers(batch: Sequence[int], *, collate_fn_map: CollateMap | None = None) -> Any:
    return _C.tensor(batch)


def _keep(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    return batch


default_collate_fn_map: CollateMap = {
    Tensor: _collate_tensors,
    float: _collate_floats,
    int: _collate_integers,
    str: _keep,
    bytes: _keep,
}


def _add_numpy() -> None:
    """NumPy's types, as soon as somebody has imported NumPy; before that no sample can be one of them."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is None or numpy.ndarray in default_collate_fn_map:
        return
    # float64 is a float and str_ a str too, so NumPy's types have to be asked first.
    builtin: CollateMap = {kind: default_collate_fn_map.pop(kind) for kind in (float, int, str, bytes)}
    default_collate_fn_map[numpy.ndarray] = _collate_arrays
    default_collate_fn_map[(numpy.bool_, numpy.number, numpy.object_)] = _collate_array_scalars
    default_collate_fn_map.update(builtin)


def _function_for(sample: object, functions: CollateMap) -> CollateFn | None:
    exact = functions.get(type(sample))
    if exact is not None:
        return exact
    return next((function for kind, function in functions.items() if isinstance(sample, kind)), None)


def _like_mapping(original: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    """A mapping of the original's type with these items, or a dict where that cannot be made."""
    try:
        if isinstance(original, MutableMapping):
            clone = copy.copy(original)
            clone.update(items)
            return clone
        return type(original)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def _like_sequence(original: Sequence[Any], items: list[Any]) -> Any:
    """A sequence of the original's type with these items, or a list where that cannot be made."""
    try:
        if isinstance(original, MutableSequence):
            clone = copy.copy(original)
            for index, item in enumerate(items):
                clone[index] = item
            return clone
        return type(original)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def collate(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """Turn a list of samples into one batch, of the samples' structure.

    Args:
        batch: the samples.
        collate_fn_map: from types to functions `f(samples, *, collate_fn_map)` that join samples of that type.

    Raises:
        RuntimeError: the samples are sequences of different lengths.
        TypeError: there is no function for the type of the samples.
    """
    first = batch[0]
    function = _function_for(first, collate_fn_map) if collate_fn_map else None
    if function is not None:
        return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        columns = {key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map) for key in first}
        return _like_mapping(first, columns)
    if not isinstance(first, Sequence):
        raise _unsupported(type(first))
    if any(len(sample) != len(first) for sample in batch):
        raise RuntimeError("each element in list of batch should be of equal size")
    joined = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch, strict=True)]
    if isinstance(first, tuple):
        return type(first)(*joined) if hasattr(first, "_fields") else joined
    return _like_sequence(first, joined)


def default_collate(batch: Any) -> Any:
    """Turn a list of samples into one batch, as a DataLoader does.

    Tensors and NumPy arrays are stacked in a new first dimension, numbers become a tensor (float ones a float64 one);
    dicts, lists, tuples and named tuples keep their structure (a tuple becomes a list); strings stay as they are.

    Args:
        batch: the samples.

    Raises:
        TypeError: a sample is of another type.
        RuntimeError: samples have different lengths or shapes.

    Example:
        >>> import fastnn
        >>> fastnn.utils.data.default_collate([(fastnn.tensor([1.0, 2.0]), 3), (fastnn.tensor([4.0, 5.0]), 6)])
        [tensor([[1., 2.],
                [4., 5.]]), tensor([3, 6])]
    """
    _add_numpy()
    return collate(batch, collate_fn_map=default_collate_fn_map)


def default_convert(data: Any) -> Any:
    """Turn the NumPy arrays and numbers in a sample into tensors, and leave everything else as it is.

    It is what a DataLoader does with samples when it makes no batches.

    Args:
        data: a sample: arrays, dicts, lists, tuples, anything.

    Example:
        >>> import fastnn, numpy
        >>> fastnn.utils.data.default_convert({"x": numpy.array([1, 2]), "name": "a"})
        {'x': tensor([1, 2]), 'name': 'a'}
    """
    kind = type(data)
    if isinstance(data, (Tensor, str, bytes)) and kind.__module__ != "numpy":
        return data
    if kind.__module__ == "numpy" and hasattr(data, "dtype"):
        return data if _is_text_or_object(data.dtype) else _C.as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, Sequence):
        items = [default_convert(item) for item in data]
        if isinstance(data, tuple):
            return kind(*items) if hasattr(data, "_fields") else items
        return _like_sequence(data, items)
    return data
