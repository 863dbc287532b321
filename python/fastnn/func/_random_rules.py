"""Random operations under ``vmap``: an error, the same numbers for all examples, or different ones."""

from __future__ import annotations

from typing import Any

from fastnn import _C

from ._batched import BatchedTensor, Frame, frames, level_of, random_rule, wrap

__all__ = ["interceptor"]

# Operations with random results; what the compiled core calls the interceptor for.
_NAMES = {
    "bernoulli", "bernoulli_", "cauchy_", "dropout", "dropout_", "exponential_", "geometric_", "log_normal_",
    "multinomial", "normal", "normal_", "poisson", "rand", "rand_like", "randint", "randint_like", "randn",
    "randn_like", "random_", "randperm", "uniform_",
}  # fmt: skip


def _is_random(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    if not name.startswith("dropout"):
        return True
    probability = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
    training = args[2] if len(args) > 2 else kwargs.get("training", kwargs.get("train", True))
    return bool(training) and 0.0 < probability < 1.0


def _refuse() -> None:
    raise RuntimeError(
        "vmap: called random operation while in randomness error mode. Please either use the 'same' or 'different' "
        "randomness flags on vmap or perform the randomness operation out of vmap"
    )


def _many(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], active: list[Frame]) -> Any:
    """The result at the innermost frame: asked for once, or once for each example."""
    if not active:
        return func(*args, **kwargs)
    frame, outer = active[-1], active[:-1]
    if frame.randomness == "error":
        _refuse()
    if frame.randomness == "same":
        return _many(func, args, kwargs, outer)
    if func.__name__.endswith("_"):
        raise RuntimeError(
            f"vmap: {func.__name__} would write different random numbers for each example into a tensor that is not "
            "being vmapped over; use an out-of-place operation"
        )
    return wrap(_C.stack([_many(func, args, kwargs, outer) for _ in range(frame.size)]), frame.level)


def interceptor(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Called by the core for a random operation on tensors that are not batched."""
    if not frames:
        return func(*args, **kwargs)
    _C._set_random_interceptor(None)
    try:
        if not _is_random(func.__name__, args, kwargs):
            return func(*args, **kwargs)
        return _many(func, args, kwargs, list(frames))
    finally:
        _C._set_random_interceptor(interceptor if frames else None)


def lifted(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], level: int) -> tuple[Any] | None:
    """The result of a random operation on tensors batched up to ``level``; None: the general rule will do."""
    if not _is_random(name, args, kwargs):
        return None
    inner = [frame for frame in frames if frame.level > level]
    if any(frame.randomness == "error" for frame in frames if frame.level >= level):
        _refuse()
    different = [frame for frame in inner if frame.randomness == "different"]
    if different:
        if name.endswith("_"):
            raise RuntimeError(f"vmap: {name} would write different random numbers into a tensor without that batch")
        frame = different[0]
        source = args[0]
        return (func(wrap(source.unsqueeze(0).expand(frame.size, *source.shape), frame.level), *args[1:], **kwargs),)
    own = next((frame for frame in frames if frame.level == level), None)
    draw = _each if own is None or own.randomness == "different" else _shared
    # What is drawn for the values concerns only the levels below.
    before = frames[:]
    frames[:] = [frame for frame in frames if frame.level < level]
    _C._set_random_interceptor(interceptor if frames else None)
    try:
        return draw(func, name, args, kwargs, level)
    finally:
        frames[:] = before
        _C._set_random_interceptor(interceptor if frames else None)


def _each(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], level: int) -> tuple[Any]:
    """Different numbers: one draw for the whole value."""
    first = args[0]
    alone = sum(level_of(arg) == level for arg in [*args, *kwargs.values()]) == 1
    if level_of(first) != level or not alone or (name == "multinomial" and first.dim() > 1) or name == "normal":
        size = next(arg._value.shape[0] for arg in args if level_of(arg) == level)

        def item(arg: Any, i: int) -> Any:
            return arg._value.select(0, i) if type(arg) is BatchedTensor and arg._level == level else arg

        rows = [func(*[item(arg, i) for arg in args], **kwargs) for i in range(size)]
        return (first,) if name.endswith("_") else (wrap(_C.stack(rows), level),)
    result = func(first._value, *args[1:], **kwargs)
    return (first,) if name.endswith("_") else (wrap(result, level),)


def _shared(func: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], level: int) -> tuple[Any]:
    """The same numbers for all examples of the level."""
    value = args[0]._value
    if name in ("dropout", "dropout_"):
        mask = func(_C.ones_like(value.select(0, 0).detach()), *args[1:], **kwargs)
        result = value.mul_(mask) if name == "dropout_" or kwargs.get("inplace") else value * mask
        return (args[0] if result is value else wrap(result, level),)
    if name.endswith("_"):
        value.copy_(func(_C.empty_like(value.select(0, 0)), *args[1:], **kwargs).unsqueeze(0).expand(*value.shape))
        return (args[0],)
    if name.endswith("_like"):
        return (func(value.select(0, 0), *args[1:], **kwargs),)
    # The generator starts from the same state for each example.
    state = _C.default_generator.get_state()
    rows = []
    for i in range(value.shape[0]):
        if i:
            _C.default_generator.set_state(state)
        rows.append(func(value.select(0, i), *args[1:], **kwargs))
    return (wrap(_C.stack(rows), level),)


random_rule(lifted, _NAMES)
