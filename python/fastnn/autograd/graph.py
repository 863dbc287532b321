"""The backward graph: its nodes and edges, and hooks on what it saves and computes."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fastnn import _C
from fastnn._C import Node, Tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class GradientEdge(NamedTuple):
    """Where the gradient of a tensor goes: output number ``output_nr`` of ``node``."""

    node: Node
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The edge of a tensor; ``backward`` and ``grad`` take it in place of the tensor, which may be freed.

    Args:
        tensor: a tensor that requires grad.

    Raises:
        RuntimeError: it does not.

    Example::

        >>> import fastnn
        >>> x = fastnn.tensor(3.0, requires_grad=True)
        >>> edge = fastnn.autograd.graph.get_gradient_edge(x)
        >>> fastnn.autograd.grad(x**2, edge)
        (tensor(6.),)
    """
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    node, slot = _C._gradient_edge(tensor)
    return GradientEdge(node, slot, tensor if tensor.is_leaf else None)


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Tell autograd that the memory of tensors was written by other means.

    Example::

        >>> import fastnn
        >>> x = fastnn.ones(1)
        >>> fastnn.autograd.graph.increment_version(x)
        >>> x._version
        1
    """
    for one in (tensor,) if isinstance(tensor, Tensor) else tensor:
        _C._bump_version(one)


class saved_tensors_hooks:
    """Inside, what operations save for the backward pass goes through a pair of functions.

    Args:
        pack_hook: called with each tensor when it is saved; its result is kept instead.
        unpack_hook: called with that result when it is needed; gives a tensor with the same values.

    Example::

        >>> import fastnn
        >>> x = fastnn.ones(2, requires_grad=True)
        >>> packed = []
        >>> with fastnn.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t):
        ...     y = (x * x).sum()
        >>> len(packed)
        2
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        _C._push_saved_tensors_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _C._pop_saved_tensors_hooks()


class save_on_cpu(saved_tensors_hooks):
    """Accepted for compatibility: tensors live on the CPU, and are saved as they are.

    Args:
        pin_memory: accepted for compatibility.
        device_type: accepted for compatibility.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda tensor: tensor, lambda tensor: tensor)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Inside, hooks on saved tensors are an error.

    Args:
        error_message: what the error says.

    Raises:
        RuntimeError: hooks are active already.
    """
    before = _C._refuse_saved_tensors_hooks(error_message)
    try:
        yield
    finally:
        _C._refuse_saved_tensors_hooks(before)


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[Any]:
    """Inside, tensors that were saved may be written in place: the backward pass uses copies of what they were.

    Example::

        >>> import fastnn
        >>> with fastnn.autograd.graph.allow_mutation_on_saved_tensors():
        ...     x = fastnn.ones(2, requires_grad=True)
        ...     y = x.clone()
        ...     z = (y**2).sum()
        ...     y.zero_()
        ...     z.backward()
        tensor([0., 0.], grad_fn=<ZeroBackward0>)
        >>> x.grad
        tensor([2., 2.])
    """
    with saved_tensors_hooks(lambda tensor: tensor.clone(), lambda tensor: tensor):
        yield None


class _Handle:
    """Removes several hooks."""

    def __init__(self, handles: Sequence[Any]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        """The hook is called no more."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _Handle:
        return self

    def __exit__(self, *args: object) -> None:
        self.remove()


def _node_of(tensor: Tensor) -> Node:
    if not tensor.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    return get_gradient_edge(tensor).node


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: Literal["all", "any"] = "all"
) -> Any:
    r"""Call a function when the gradients of several tensors are known.

    Args:
        tensors: whose gradients.
        fn: with ``mode="all"``, called with the list of gradients (None where there is none) when the last of those
            that the backward pass computes is known; with ``mode="any"``, called with the first.
        mode: which.

    Returns:
        A handle with ``remove()``.

    Example::

        >>> import fastnn
        >>> a, b = fastnn.ones(1, requires_grad=True), fastnn.ones(1, requires_grad=True)
        >>> handle = fastnn.autograd.graph.register_multi_grad_hook((a, b), lambda grads: print(grads))
        >>> (a * 2 + b).sum().backward()
        [tensor([2.]), tensor([1.])]
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    nodes = [_node_of(tensor) for tensor in tensors]
    passes: dict[int, list[Tensor | None]] = {}
    waiting: dict[int, int] = {}

    def collect(place: int, gradient: Tensor) -> None:
        task = _C._current_graph_task_id()
        if task == -1:
            raise RuntimeError("expected this hook to be called inside a backward call")
        if mode == "any":
            if task not in waiting:
                waiting.clear()
                waiting[task] = 0
                fn(gradient)
            return
        if task not in passes:
            passes[task] = [None] * len(tensors)
            waiting[task] = sum(map(_C._will_engine_execute_node, nodes))
        passes[task][place] = gradient
        waiting[task] -= 1
        if waiting[task] == 0:
            del waiting[task]
            fn(passes.pop(task))

    return _Handle([tensor.register_hook(functools.partial(collect, i)) for i, tensor in enumerate(tensors)])
