"""``backward`` and ``grad``: the arguments of the C++ engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from fastnn import _C
from fastnn._C import Tensor

if TYPE_CHECKING:
    from .graph import GradientEdge

    TensorOrTensors: TypeAlias = Tensor | GradientEdge | Sequence[Tensor] | Sequence[GradientEdge]

__all__ = ["backward", "grad"]


# Set by vmap: gradients of tensors that it maps over.
batched_grad: Callable[..., list[Any]] | None = None


def _as_tuple(tensors: TensorOrTensors) -> tuple[Tensor, ...]:
    if isinstance(tensors, Tensor):
        return (tensors,)
    one_edge = isinstance(tensors, tuple) and bool(tensors) and isinstance(tensors[0], _C.Node)
    items: Any = [tensors] if one_edge else tensors
    return tuple(_stand_in(*one[:2]) if isinstance(one, tuple) else one for one in items)


def _stand_in(node: _C.Node, slot: int) -> Tensor:
    """A tensor without values in place of a GradientEdge."""
    tensor: Any = _C._edge_tensor(node, slot)
    tensor._stands_for_edge = True
    return tensor  # type: ignore[no-any-return]


def _is_stand_in(tensor: Any) -> bool:
    return getattr(tensor, "_stands_for_edge", False)


def _gradients(outputs: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> list[Tensor]:
    if len(gradients) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(gradients)} gradients")
    result: list[Tensor] = []
    for output, gradient in zip(outputs, gradients, strict=True):
        if gradient is None:
            if output.requires_grad and output.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if not output.dtype.is_floating_point:
                raise RuntimeError(
                    f"grad can be implicitly created only for real scalar outputs but got {output.dtype}"
                )
            result.append(_C.ones_like(output))
            continue
        if not isinstance(gradient, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(gradient).__name__}")
        if gradient.shape != output.shape and not _is_stand_in(output):
            raise RuntimeError(
                f"Mismatch in shape: grad_output has a shape of {gradient.shape} and output has a shape of "
                f"{output.shape}."
            )
        result.append(gradient)
    return result


def backward(
    tensors: TensorOrTensors,
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Tensor | Sequence[Tensor | None] | None = None,
    inputs: TensorOrTensors | None = None,
) -> None:
    r"""Add to ``.grad`` of the leaves the gradients of ``tensors``, weighted by ``grad_tensors``.

    Args:
        tensors: what to differentiate.
        grad_tensors: a weight of the same shape for each (default: 1, for one-element tensors).
        retain_graph: keep what the graph saved (default: the value of ``create_graph``).
        create_graph: make the gradients differentiable themselves.
        grad_variables: the old name of ``grad_tensors``.
        inputs: only these tensors get a gradient (default: all leaves).

    Raises:
        RuntimeError: a tensor has no graph, or its graph was freed.

    Example::

        >>> import fastnn
        >>> x = fastnn.tensor([1.0, 2.0], requires_grad=True)
        >>> fastnn.autograd.backward((x * x).sum())
        >>> x.grad
        tensor([2., 4.])
    """
    if grad_variables is not None:
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to `backward()`."
            )
        grad_tensors = grad_variables
    outputs = _as_tuple(tensors)
    wanted = [] if inputs is None else list(_as_tuple(inputs))
    if inputs is not None and not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    if grad_tensors is None:
        weights: Sequence[Tensor | None] = [None] * len(outputs)
    else:
        weights = (grad_tensors,) if isinstance(grad_tensors, Tensor) else tuple(grad_tensors)
    keep = create_graph if retain_graph is None else retain_graph
    _check_have_graph(outputs)
    for tensor in wanted:
        if not tensor.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        if not tensor.is_leaf and not _is_stand_in(tensor):
            tensor.retain_grad()
    _C._run_backward(outputs, _gradients(outputs, weights), keep, create_graph, wanted, False)


def _check_have_graph(outputs: Sequence[Tensor]) -> None:
    for i, output in enumerate(outputs):
        if not output.requires_grad:
            raise RuntimeError(f"element {i} of tensors does not require grad and does not have a grad_fn")


def grad(
    outputs: TensorOrTensors,
    inputs: TensorOrTensors,
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    r"""The gradients of ``outputs`` with respect to ``inputs``, without touching ``.grad``.

    Args:
        outputs: what to differentiate.
        inputs: with respect to what; leaves or not.
        grad_outputs: a weight of the same shape for each output (default: 1, for one-element tensors).
        retain_graph: keep what the graph saved (default: the value of ``create_graph``).
        create_graph: make the results differentiable themselves.
        only_inputs: accepted for compatibility.
        allow_unused: give None for an input that the outputs do not depend on, instead of an error.
        is_grads_batched: ``grad_outputs`` have a leading batch dimension: one backward pass for each.
        materialize_grads: give zeros instead of None.

    Returns:
        One tensor (or None) for each input.

    Raises:
        RuntimeError: an input was not used, an output has no graph.

    Example::

        >>> import fastnn
        >>> x = fastnn.tensor(3.0, requires_grad=True)
        >>> (g,) = fastnn.autograd.grad(x**2, x, create_graph=True)
        >>> fastnn.autograd.grad(g, x)
        (tensor(2.),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    if allow_unused is None:
        allow_unused = materialize_grads
    roots = _as_tuple(outputs)
    wanted = _as_tuple(inputs)
    if grad_outputs is None:
        weights: Sequence[Tensor | None] = [None] * len(roots)
    else:
        weights = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    keep = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        return _batched_grad(roots, wanted, weights, keep, create_graph, allow_unused, materialize_grads)
    _check_have_graph(roots)
    for tensor in wanted:
        if not tensor.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    run = _C._run_backward if batched_grad is None else batched_grad
    results = run(roots, _gradients(roots, weights), keep, create_graph, list(wanted), True)
    if not allow_unused and any(result is None for result in results):
        raise RuntimeError(
            "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True if "
            "this is the desired behavior."
        )
    if materialize_grads:
        results = [
            _C.zeros_like(tensor) if result is None else result for tensor, result in zip(wanted, results, strict=True)
        ]
    return tuple(results)


def _batched_grad(
    roots: tuple[Tensor, ...],
    wanted: tuple[Tensor, ...],
    weights: Sequence[Tensor | None],
    keep: bool,
    create_graph: bool,
    allow_unused: bool,
    materialize: bool,
) -> tuple[Any, ...]:
    sizes = {weight.shape[0] for weight in weights if weight is not None}
    if len(sizes) != 1 or any(weight is None for weight in weights):
        raise RuntimeError("grad: is_grads_batched=True expects grad_outputs with one common leading batch size")
    count = sizes.pop()
    rows = [
        grad(
            roots,
            wanted,
            [weight[i] for weight in weights if weight is not None],
            retain_graph=keep or i + 1 < count,
            create_graph=create_graph,
            allow_unused=allow_unused,
            materialize_grads=materialize,
        )
        for i in range(count)
    ]
    columns = zip(*rows, strict=True)
    return tuple(None if column[0] is None else _C.stack(list(column)) for column in columns)
