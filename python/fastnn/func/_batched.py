"""Tensors under ``vmap``: the values of all calls at once behind the shape of one.

A ``BatchedTensor`` of level n holds a value whose first dimension is that of the n-th ``vmap``; the value may itself be
batched at a lower level. Its class takes over every operation: a rule runs the operation on the values. Rules consist
of operations, so that they are differentiable and nest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = [
    "BatchedTensor",
    "Call",
    "Plain",
    "check_target",
    "composite",
    "frames",
    "level_of",
    "listed",
    "loop",
    "random_rule",
    "rule",
    "unwrap",
    "wrap",
]


class Frame:
    """One running ``vmap``."""

    __slots__ = ("level", "randomness", "size")

    def __init__(self, level: int, size: int, randomness: str) -> None:
        self.level = level
        self.size = size
        self.randomness = randomness


frames: list[Frame] = []

# What to do for an operation: by name. A rule gets a Call and the arguments, and gives values with the batch in front.
_RULES: dict[str, Callable[..., Any]] = {}
# The operation in terms of other operations.
_COMPOSITES: dict[str, Callable[..., Any]] = {}
# Operations with random results: they give a tuple with the result, or None where the rule will do.
_RANDOM: dict[str, Callable[..., tuple[Any] | None]] = {}
_ALIASES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "self": "input", "x2": "other"}
_OPERATION_TYPES = (type(_C.add), type(Tensor.add))
_PYTHON_METHOD = type(_C._overridable(lambda: None))


def rule(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the rule of these operations."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            _RULES[name] = function
        return function

    return register


def composite(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function, in terms of other operations, as these operations."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            _COMPOSITES[name] = function
        return function

    return register


def random_rule(function: Callable[..., tuple[Any] | None], names: Iterable[str]) -> None:
    """Register a function for operations with random results."""
    _RANDOM.update(dict.fromkeys(names, function))


class BatchedTensor(Tensor):
    """The tensor that a function under ``vmap`` sees."""

    _value: Tensor
    _level: int

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the rule of an operation."""
        return _dispatch(func, args, kwargs or {})

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"BatchedTensor(lvl={self._level}, bdim=0, value={self._value!r})"


_C._set_batched_type(BatchedTensor)


def wrap(value: Tensor, level: int) -> Tensor:
    """A tensor whose first dimension is the batch of a level."""
    result: BatchedTensor = _C._make_batched(BatchedTensor, value)
    result._value = value
    result._level = level
    return result


def unwrap(tensor: Tensor) -> Tensor:
    """The tensor behind all levels."""
    while type(tensor) is BatchedTensor:
        tensor = tensor._value
    return tensor


def level_of(value: Any) -> int:
    """The highest level of a tensor or of those in a list; -1 if there is none."""
    if type(value) is BatchedTensor:
        return value._level
    if isinstance(value, (tuple, list)):
        return max(map(level_of, value), default=-1)
    return -1


class Plain(tuple[Any, ...]):
    """What a rule gives that is no value with the batch in front: a result as it is."""

    __slots__ = ()


class Call:
    """One operation at one level, as its rule sees it."""

    __slots__ = ("func", "level", "name", "size")

    def __init__(self, func: Any, name: str, level: int, size: int) -> None:
        self.func = func
        self.name = name
        self.level = level
        self.size = size

    def mapped(self, value: Any) -> bool:
        """Whether a tensor is batched at this level."""
        return type(value) is BatchedTensor and value._level == self.level

    def value(self, tensor: Any) -> Any:
        """The value of a batched tensor; anything else as it is."""
        return tensor._value if self.mapped(tensor) else tensor

    def full(self, tensor: Tensor) -> Tensor:
        """The value with the batch in front, also of a tensor that is not batched."""
        if self.mapped(tensor):
            value: Tensor = tensor._value  # type: ignore[attr-defined]
            return value
        return tensor.unsqueeze(0).expand(self.size, *tensor.shape)

    def aligned(self, tensor: Tensor, rank: int) -> Tensor:
        """The value with dimensions of size one between the batch and its own, up to ``rank`` of them in all."""
        if not self.mapped(tensor):
            return tensor
        missing = rank - tensor.dim()
        value: Tensor = tensor._value  # type: ignore[attr-defined]
        return value.reshape(value.shape[0], *(1,) * missing, *tensor.shape) if missing > 0 else value

    def dim(self, dim: int, rank: int) -> int:
        """A dimension of the tensor as one of its value."""
        bound = max(rank, 1)
        if not -bound <= dim < bound:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {dim})"
            )
        return dim % bound + 1

    def dims(self, dims: Any, rank: int) -> list[int]:
        """Dimensions (one, several, or None for all) as those of the value."""
        if dims is None or (isinstance(dims, (tuple, list)) and not dims):
            return list(range(1, rank + 1))
        return [self.dim(d, rank) for d in ((dims,) if isinstance(dims, int) else dims)]

    def wrapped(self, result: Any) -> Any:
        """The results of a rule as the function under vmap sees them."""
        if isinstance(result, Tensor):
            return wrap(result, self.level)
        if isinstance(result, (tuple, list)):
            items = [self.wrapped(one) for one in result]
            return type(result)(items) if not hasattr(result, "_fields") else type(result)(*items)
        return result

    def items(self, tree: Any, i: int) -> Any:
        """The arguments of call number ``i``."""
        if self.mapped(tree):
            return tree._value.select(0, i)
        if isinstance(tree, (tuple, list)):
            return type(tree)(self.items(one, i) for one in tree)
        return tree


def listed(sizes: tuple[Any, ...]) -> list[Any]:
    """The sizes of f(2, 3) and f((2, 3))."""
    return list(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else list(sizes)


def loop(call: Call, *args: Any, **kwargs: Any) -> Any:
    """The rule of an operation without one: call after call."""
    in_place = call.name.endswith("_") and not call.name.endswith("__")
    if in_place:
        check_target(call, args)
    results = [
        call.func(*call.items(args, i), **{key: call.items(value, i) for key, value in kwargs.items()})
        for i in range(call.size)
    ]
    return args[0] if in_place else _stacked(call, results)


def _stacked(call: Call, results: list[Any]) -> Any:
    first = results[0]
    if isinstance(first, Tensor):
        if any(one.shape != first.shape for one in results):
            raise RuntimeError(
                f"vmap: {call.name} gives results of different shapes for different examples, which have no place in "
                "one tensor"
            )
        return _C.stack(results)
    if isinstance(first, (tuple, list)):
        columns = [_stacked(call, list(column)) for column in zip(*results, strict=True)]
        return type(first)(columns) if not hasattr(first, "_fields") else type(first)(*columns)
    if any(one != first for one in results):
        raise RuntimeError(f"vmap: {call.name} gives a Python value that differs between examples")
    return first


def check_target(call: Call, args: Sequence[Any]) -> None:
    """An in-place operation has room for one result an example only in a tensor that is mapped over."""
    if not call.mapped(args[0]):
        raise RuntimeError(
            f"vmap: inplace arithmetic(self, *extra_args) is not possible: {call.name} would write a value for each "
            "example into a `self` that is not being vmapped over. Please try to use out-of-place operators instead."
        )


def _tensors(values: Iterator[Any]) -> Iterator[BatchedTensor]:
    for value in values:
        if type(value) is BatchedTensor:
            yield value
        elif isinstance(value, (tuple, list)):
            yield from _tensors(iter(value))


def _dispatch(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    name = func.__name__
    if name in ("__get__", "__set__"):
        return _attribute(func, name, args)
    if type(func) is _PYTHON_METHOD and name not in _RULES:
        return func.__wrapped__(*args, **kwargs)
    level, size = -1, 0
    for source in (args, kwargs.values()) if kwargs else (args,):
        for tensor in _tensors(iter(source)):
            if tensor._level > level:
                level, size = tensor._level, tensor._value.shape[0]
    if kwargs:
        if kwargs.get("out") is not None:
            raise RuntimeError(f"vmap: {name}(..., out=) is not supported: use the result")
        kwargs = {_ALIASES.get(key, key): value for key, value in kwargs.items() if key != "out"}
    if name in _COMPOSITES:
        return _COMPOSITES[name](*args, **kwargs)
    if name in _RANDOM:
        drawn = _RANDOM[name](func, name, args, kwargs, level)
        if drawn is not None:
            return drawn[0]
    known = _RULES.get(name)
    if known is None:
        if not isinstance(func, _OPERATION_TYPES):
            return func(*args, **kwargs)
        known = loop
    call = Call(func, name, level, size)
    result = known(call, *args, **kwargs)
    if name.endswith("_") and not name.endswith("__"):
        return args[0]
    return result[0] if isinstance(result, Plain) else call.wrapped(result)


_VALUE_ATTRIBUTES = {"data", "grad", "_grad", "_base", "real", "imag"}


def _attribute(func: Any, access: str, args: tuple[Any, ...]) -> Any:
    new: Any
    self, name = args[0], func.__self__.__name__
    value, level = self._value, self._level
    if access == "__set__":
        new = args[1]
        if level_of(new) == level:
            new = new._value
        elif isinstance(new, Tensor):
            new = new.unsqueeze(0).expand(value.shape[0], *new.shape)
        return setattr(value, name, new)
    if name == "T":
        return self.permute(*range(self.dim() - 1, -1, -1))
    if name in ("mT", "H", "mH"):
        return self.transpose(-2, -1)
    result = getattr(value, name)
    if name in _VALUE_ATTRIBUTES and result is not None:
        return wrap(result, level)
    return result
