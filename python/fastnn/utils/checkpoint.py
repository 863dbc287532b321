"""Checkpointing: parts of a network are computed again in the backward pass instead of being remembered."""

from __future__ import annotations

import contextlib
import warnings
import weakref
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor
from fastnn.autograd import Function, backward
from fastnn.autograd.grad_mode import enable_grad, no_grad
from fastnn.autograd.graph import saved_tensors_hooks
from fastnn.random import fork_rng, get_rng_state, set_rng_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "checkpoint",
    "checkpoint_sequential",
    "detach_variable",
    "get_device_states",
    "noop_context_fn",
    "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
    "set_device_states",
]


class CheckpointError(RuntimeError):
    """The second computation did not save what the first one did."""


class _StopRecomputation(Exception):
    """Everything that the backward pass needs is there."""


_early_stop: bool | None = None


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Inside, whether recomputation stops as soon as all saved tensors are there, for all checkpoints.

    Args:
        enable: whether it does.
    """
    global _early_stop
    before, _early_stop = _early_stop, enable
    try:
        yield
    finally:
        _early_stop = before


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Accepted for compatibility: errors always name the tensors that differ.

    Args:
        enabled: accepted for compatibility.
    """
    yield


def noop_context_fn() -> tuple[Any, Any]:
    """Contexts that do nothing, for the first and the second computation."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs without history; those that require grad do so again."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}")
    return tuple(one.detach().requires_grad_(one.requires_grad) if isinstance(one, Tensor) else one for one in inputs)


def get_device_states(*args: Any) -> tuple[list[int], list[Tensor]]:
    """The accelerators that the tensors are on, and the states of their random generators: there are none.

    Args:
        args: arguments of a function that is called again in the backward pass.

    Example:
        >>> import fastnn
        >>> fastnn.utils.checkpoint.get_device_states(fastnn.ones(2))
        ([], [])
    """
    return [], []


def set_device_states(devices: Any, states: Any, *, device_type: str | None = None) -> None:
    """Give the random generators of accelerators the states of :func:`get_device_states`: nothing to do.

    Args:
        devices: their numbers.
        states: a state for each.
        device_type: their kind.
    """


class _Surroundings:
    """The random numbers and the mixed precision of the first computation, for the second."""

    def __init__(self, preserve_rng_state: bool) -> None:
        self.random = get_rng_state() if preserve_rng_state else None
        self.autocast = _C._autocast_state()

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        """As they were; as before afterwards."""
        before = _C._autocast_state()
        _C._set_autocast_state(*self.autocast)
        try:
            with contextlib.nullcontext() if self.random is None else fork_rng():
                if self.random is not None:
                    set_rng_state(self.random)
                yield
        finally:
            _C._set_autocast_state(*before)


# --- with hooks on saved tensors -------------------------------------------------------------------------------------


class _Holder:
    """Stands in the graph for a tensor that will be computed again."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, number: int) -> None:
        self.number = number


def _describe(tensor: Tensor) -> tuple[Any, ...]:
    return tuple(tensor.shape), tensor.dtype, tensor.device


class _Region:
    """One checkpoint: the holders of its tensors, and the values found by computing again."""

    def __init__(self, compute: Callable[[], Any], early_stop: bool, check: bool) -> None:
        self.compute = compute
        self.early_stop = early_stop
        self.check = check
        self.holders: list[weakref.ref[_Holder]] = []
        self.described: list[tuple[Any, ...]] = []
        self.found: weakref.WeakKeyDictionary[_Holder, Tensor] = weakref.WeakKeyDictionary()
        self.task: int | None = None

    def pack(self, tensor: Tensor) -> _Holder:
        holder = _Holder(len(self.holders))
        self.holders.append(weakref.ref(holder))
        self.described.append(_describe(tensor))
        return holder

    def unpack(self, holder: _Holder) -> Tensor:
        task = _C._current_graph_task_id()
        if task != self.task or holder not in self.found:
            self.found.clear()
            self.task = task
            self.recompute()
        if holder not in self.found:
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation: tensor {holder.number} was not saved again."
            )
        return self.found[holder]

    def recompute(self) -> None:
        count = 0

        def pack(tensor: Tensor) -> Tensor:
            nonlocal count
            number, count = count, count + 1
            if number >= len(self.holders):
                return tensor
            if self.check and _describe(tensor) != self.described[number]:
                raise CheckpointError(
                    "torch.utils.checkpoint: Recomputed values for the following tensors have different metadata than "
                    f"during the forward pass.\ntensor at position {number}:\n"
                    f"saved metadata: {self.described[number]}\nrecomputed metadata: {_describe(tensor)}"
                )
            holder = self.holders[number]()
            if holder is not None:
                self.found[holder] = tensor.detach()
            if self.early_stop and count == len(self.holders):
                raise _StopRecomputation
            return tensor

        hooks = saved_tensors_hooks(pack, lambda tensor: tensor)
        with contextlib.suppress(_StopRecomputation), hooks, enable_grad():
            self.compute()
        if count != len(self.holders):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation.\nNumber of tensors saved during forward: {len(self.holders)}\nNumber of tensors saved "
                f"during recomputation: {count}."
            )


def _with_hooks(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    preserve: bool,
    context_fn: Callable[[], tuple[Any, Any]],
    determinism_check: str,
    early_stop: bool,
) -> Any:
    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'], but got {determinism_check}")
    forward_context, recompute_context = context_fn()
    if not _C.is_grad_enabled():
        with forward_context:
            return function(*args, **kwargs)
    surroundings = _Surroundings(preserve)

    def compute() -> None:
        with surroundings.again(), recompute_context:
            function(*args, **kwargs)

    region = _Region(compute, early_stop, determinism_check == "default")
    with saved_tensors_hooks(region.pack, region.unpack), forward_context:
        return function(*args, **kwargs)


# --- with a backward pass inside a backward pass ---------------------------------------------------------------------


class CheckpointFunction(Function):
    """The reentrant form: runs without a graph, and with one in the backward pass."""

    @staticmethod
    def forward(ctx: Any, run_function: Callable[..., Any], preserve_rng_state: bool, *args: Any) -> Any:
        """Run the function; keep its tensors."""
        ctx.run_function = run_function
        ctx.surroundings = _Surroundings(preserve_rng_state)
        ctx.places = [i for i, arg in enumerate(args) if isinstance(arg, Tensor)]
        ctx.others = [None if isinstance(arg, Tensor) else arg for arg in args]
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        with no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Run the function again, and differentiate it."""
        if not _C._is_checkpoint_valid():
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or passing an `inputs` "
                "parameter to .backward(). To resolve this error, you can either set use_reentrant=False, or call "
                ".backward() without passing the `inputs` argument."
            )
        inputs = list(ctx.others)
        for i, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            inputs[i] = tensor
        detached = detach_variable(tuple(inputs))
        with ctx.surroundings.again(), enable_grad():
            outputs = ctx.run_function(*detached)
        if isinstance(outputs, Tensor):
            outputs = (outputs,)
        pairs = [
            (one, gradient)
            for one, gradient in zip(outputs, gradients, strict=True)
            if isinstance(one, Tensor) and one.requires_grad
        ]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        backward([one for one, _ in pairs], [gradient for _, gradient in pairs])
        return None, None, *(one.grad if isinstance(one, Tensor) else None for one in detached)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    r"""Call a function without keeping what its backward pass needs: that is computed again when it is needed.

    Args:
        function: what to call; it must do the same both times.
        args: its arguments.
        use_reentrant: False (recommended) works wherever gradients are recorded. True runs the function without a
            graph and starts a backward pass of its own; at least one argument must then require grad.
        context_fn: gives two context managers, one for each computation.
        determinism_check: ``'default'`` compares shapes and dtypes of the saved tensors, ``'none'`` nothing.
        debug: accepted for compatibility.
        early_stop: stop the second computation as soon as all saved tensors are there.
        kwargs: ``preserve_rng_state`` (default True: random numbers are the same both times), and keyword arguments of
            the function.

    Returns:
        What the function gives.

    Raises:
        CheckpointError: the second computation saved other tensors.
        ValueError: arguments that do not go together.

    Example::

        >>> import fastnn
        >>> from fastnn.utils.checkpoint import checkpoint
        >>> x = fastnn.ones(2, requires_grad=True)
        >>> checkpoint(lambda t: t.sin().exp(), x, use_reentrant=False).sum().backward()
        >>> x.grad
        tensor([1.2534, 1.2534])
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly: use_reentrant=False is "
            "recommended, True is the default",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        if _C.is_grad_enabled() and not any(isinstance(arg, Tensor) and arg.requires_grad for arg in args):
            warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)
        return CheckpointFunction.apply(function, preserve, *args)
    stop = early_stop if _early_stop is None else _early_stop
    return _with_hooks(function, args, kwargs, preserve, context_fn, determinism_check, stop)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    r"""Call functions one after the other, all but the last of several segments under :func:`checkpoint`.

    Args:
        functions: a Sequential or a list of functions.
        segments: how many segments.
        input: the argument of the first function.
        use_reentrant: see :func:`checkpoint`.
        kwargs: ``preserve_rng_state``.

    Example::

        >>> import fastnn
        >>> from fastnn.utils.checkpoint import checkpoint_sequential
        >>> model = fastnn.nn.Sequential(fastnn.nn.Linear(2, 2), fastnn.nn.ReLU(), fastnn.nn.Linear(2, 1))
        >>> checkpoint_sequential(model, 2, fastnn.ones(1, 2), use_reentrant=False).shape
        torch.Size([1, 1])
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be passed explicitly: "
            "use_reentrant=False is recommended, True is the default",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    steps = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(steps) // segments

    def run(first: int, last: int) -> Callable[[Any], Any]:
        def forward(value: Any) -> Any:
            for step in steps[first:last]:
                value = step(value)
            return value

        return forward

    end = 0
    for start in range(0, size * (segments - 1), size):
        end = start + size
        input = checkpoint(run(start, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return run(end, len(steps))(input)
