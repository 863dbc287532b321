"""Products with Jacobians and Hessians, and these themselves, of functions of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor

from ._engine import grad
from .grad_mode import enable_grad

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensors = tuple[Tensor, ...]


def _tuple_of(value: Any, argument: str, function: str) -> tuple[bool, Tensors]:
    """Whether it was a tuple, and the tensors."""
    is_tuple = isinstance(value, tuple)
    tensors = value if is_tuple else (value,)
    for i, one in enumerate(tensors):
        if not isinstance(one, Tensor):
            where = f"Value at index {i}" if is_tuple else "It"
            raise TypeError(
                f"The {argument} given to {function} must be either a Tensor or a tuple of Tensors but the given "
                f"{argument} has type {type(value)}. {where} is of type {type(one)}."
            )
    return is_tuple, tensors


def _variables(inputs: Tensors, create_graph: bool) -> Tensors:
    """Inputs that are followed, connected to the given ones where the result is to be differentiated."""

    def variable(one: Tensor) -> Tensor:
        if create_graph and one.requires_grad:
            return one.view_as(one)
        return one.detach().requires_grad_()

    return tuple(map(variable, inputs))


def _call(func: Callable[..., Any], inputs: Tensors, name: str) -> tuple[bool, Tensors]:
    return _tuple_of(func(*inputs), "outputs of the user-provided function", name)


def _check_outputs(outputs: Tensors, strict: bool) -> None:
    for i, one in enumerate(outputs):
        if strict and not one.requires_grad:
            raise RuntimeError(
                f"Output {i} of the user-provided function does not require gradients. The outputs must be computed in "
                "a differentiable manner from the input when running in strict mode."
            )


def _check_v(v: Any, like: Tensors, what: str, name: str) -> Tensors:
    _, tensors = _tuple_of(v, "v", name)
    if len(tensors) != len(like):
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(tensors)}."
            if len(like) > 1 or isinstance(v, tuple)
            else f"The given v should contain a single Tensor like the {what}."
        )
    for i, (one, other) in enumerate(zip(tensors, like, strict=True)):
        if one.shape != other.shape:
            prepend = f"Entry {i} in " if len(like) > 1 else ""
            raise RuntimeError(f"{prepend}v has invalid size: should be {other.shape} but got {one.shape}.")
    return tensors


def _filled(gradients: Sequence[Tensor | None], like: Tensors, strict: bool, create_graph: bool, stage: str) -> Tensors:
    """The gradients, zeros where there is none; errors in strict mode."""
    result = []
    for i, (one, other) in enumerate(zip(gradients, like, strict=True)):
        if one is None:
            if strict:
                raise RuntimeError(
                    f"The output of the user-provided function is independent of input {i} ({stage}). This is not "
                    "allowed in strict mode."
                )
            one = _C.zeros_like(other.detach())
        elif strict and create_graph and not one.requires_grad:
            raise RuntimeError(
                f"The {stage} of the user-provided function is independent of input {i}. This is not allowed in strict "
                "mode when create_graph=True."
            )
        result.append(one)
    return tuple(result)


def _gradients(
    outputs: Tensors, inputs: Tensors, weights: Sequence[Tensor | None] | None, create_graph: bool
) -> tuple[Tensor | None, ...]:
    kept = [i for i, one in enumerate(outputs) if one.requires_grad]
    if not kept:
        return (None,) * len(inputs)
    return grad(
        [outputs[i] for i in kept],
        inputs,
        None if weights is None else [weights[i] for i in kept],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )


def _shown(values: Tensors, is_tuple: bool, create_graph: bool) -> Any:
    tensors = values if create_graph else tuple(one.detach() for one in values)
    return tensors if is_tuple else tensors[0]


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    r"""The outputs of ``func``, and :math:`v^T J` for its Jacobian :math:`J` at ``inputs``.

    Args:
        func: takes and gives a tensor or a tuple of them.
        inputs: a tensor or a tuple of them.
        v: of the shapes of the outputs; may be left out if there is one with one element.
        create_graph: make the results differentiable.
        strict: an output that does not depend on an input is an error, not a zero.

    Returns:
        The outputs, and the products with the shapes of the inputs.

    Raises:
        TypeError: something is neither a tensor nor a tuple of them.
        RuntimeError: wrong shapes; independence in strict mode.

    Example::

        >>> import fastnn
        >>> fastnn.autograd.functional.vjp(lambda x: x**2, fastnn.tensor([1.0, 2.0]), fastnn.ones(2))
        (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        in_tuple, given = _tuple_of(inputs, "inputs", "vjp")
        variables = _variables(given, create_graph)
        out_tuple, outputs = _call(func, variables, "vjp")
        _check_outputs(outputs, strict)
        weights: Tensors | None = None
        if v is not None:
            weights = _check_v(v, outputs, "outputs", "vjp")
        elif len(outputs) != 1 or outputs[0].nelement() != 1:
            raise RuntimeError(
                "The vector v can only be None if the user-provided function returns a single Tensor with a single "
                "element."
            )
        found = _gradients(outputs, variables, weights, create_graph)
        result = _filled(found, variables, strict, create_graph, "Jacobian")
    return _shown(outputs, out_tuple, create_graph), _shown(result, in_tuple, create_graph)


def _push(
    outputs: Tensors, variables: Tensors, tangents: Sequence[Tensor], create_graph: bool, strict: bool
) -> Tensors:
    """The Jacobian times ``tangents``: the derivative of the backward pass with respect to its weights."""
    weights = tuple(_C.zeros_like(one.detach()).requires_grad_() for one in outputs)
    gradients = _gradients(outputs, variables, weights, True)
    _filled(gradients, variables, strict, False, "Jacobian")
    pairs = [(g, t) for g, t in zip(gradients, tangents, strict=True) if g is not None]
    found: Sequence[Tensor | None] = [None] * len(outputs)
    if pairs:
        found = _gradients(tuple(g for g, _ in pairs), weights, [t for _, t in pairs], create_graph)
    return _filled(found, weights, strict, create_graph, "Jacobian")


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    r"""The outputs of ``func``, and :math:`J v` for its Jacobian :math:`J` at ``inputs``.

    Args:
        func: takes and gives a tensor or a tuple of them.
        inputs: a tensor or a tuple of them.
        v: of the shapes of the inputs; may be left out if there is one with one element.
        create_graph: make the results differentiable.
        strict: an output that does not depend on an input is an error, not a zero.

    Returns:
        The outputs, and the products with the shapes of the outputs.

    Example::

        >>> import fastnn
        >>> fastnn.autograd.functional.jvp(lambda x: x**2, fastnn.tensor([1.0, 2.0]), fastnn.ones(2))
        (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        _, given = _tuple_of(inputs, "inputs", "jvp")
        variables = _variables(given, create_graph)
        if v is not None:
            tangents = _check_v(v, variables, "inputs", "jvp")
        elif len(variables) == 1 and variables[0].nelement() == 1:
            tangents = (_C.ones_like(variables[0].detach()),)
        else:
            raise RuntimeError(
                "The vector v can only be None if the input to the user-provided function is a single Tensor with a "
                "single element."
            )
        out_tuple, outputs = _call(func, variables, "jvp")
        _check_outputs(outputs, strict)
        result = _push(outputs, variables, tangents, create_graph, strict)
    return _shown(outputs, out_tuple, create_graph), _shown(result, out_tuple, create_graph)


def _row(tensor: Tensor, i: int) -> Tensor:
    row = _C.zeros(tensor.numel(), dtype=tensor.dtype)
    row[i] = 1
    return row.reshape(tuple(tensor.shape))


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    r"""The Jacobian of ``func`` at ``inputs``.

    Args:
        func: takes and gives a tensor or a tuple of them.
        inputs: a tensor or a tuple of them.
        create_graph: make the result differentiable.
        strict: an output that does not depend on an input is an error, not a zero.
        vectorize: accepted for compatibility: rows are computed one at a time.
        strategy: ``'reverse-mode'`` takes a backward pass for each element of the outputs, ``'forward-mode'`` (which
            needs ``vectorize=True``) one for each element of the inputs.

    Returns:
        For one output and one input a tensor whose shape is that of the output followed by that of the input; a tuple
        for a tuple of either, the outer one of outputs.

    Example::

        >>> import fastnn
        >>> fastnn.autograd.functional.jacobian(lambda x: x.exp().sum(dim=1), fastnn.zeros(2, 2))
        tensor([[[1., 1.],
                 [0., 0.]],
        <BLANKLINE>
                [[0., 0.],
                 [1., 1.]]])
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode"')
    if strategy == "forward-mode":
        if create_graph:
            raise NotImplementedError(
                "torch.autograd.functional.jacobian: create_graph=True is not supported with forward-mode"
            )
        if strict:
            raise RuntimeError(
                'torch.autograd.functional.jacobian: `strict=True` and `strategy="forward-mode"` are not supported '
                "together"
            )
        if not vectorize:
            raise NotImplementedError("Computing Jacobian using forward-AD requires `vectorize=True`")
    elif strict and vectorize:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together"
        )
    with enable_grad():
        in_tuple, given = _tuple_of(inputs, "inputs", "jacobian")
        variables = _variables(given, create_graph)
        out_tuple, outputs = _call(func, variables, "jacobian")
        _check_outputs(outputs, strict)
        make = _columns if strategy == "forward-mode" else _rows
        blocks = make(outputs, variables, create_graph, strict)
    rows = tuple(_shown(block, in_tuple, create_graph) for block in blocks)
    return rows if out_tuple else rows[0]


def _rows(outputs: Tensors, variables: Tensors, create_graph: bool, strict: bool) -> list[Tensors]:
    result = []
    for output in outputs:
        rows = []
        for i in range(output.numel()):
            found = _gradients((output,), variables, [_row(output, i)], create_graph)
            rows.append(_filled(found, variables, strict, create_graph, "Jacobian"))
        result.append(
            tuple(
                _C.stack([row[k] for row in rows]).reshape(*output.shape, *x.shape)
                if rows
                else x.new_zeros((*output.shape, *x.shape))
                for k, x in enumerate(variables)
            )
        )
    return result


def _columns(outputs: Tensors, variables: Tensors, create_graph: bool, strict: bool) -> list[Tensors]:
    blocks: list[list[Tensor]] = [[] for _ in outputs]
    zeros = [_C.zeros_like(x.detach()) for x in variables]
    for k, x in enumerate(variables):
        steps = [
            _push(outputs, variables, [*zeros[:k], _row(x, i), *zeros[k + 1 :]], create_graph, strict)
            for i in range(x.numel())
        ]
        for j, y in enumerate(outputs):
            block = _C.stack([step[j] for step in steps], -1) if steps else y.new_zeros((*y.shape, 0))
            blocks[j].append(block.reshape(*y.shape, *x.shape))
    return [tuple(one) for one in blocks]


def _scalar(func: Callable[..., Any], variables: Tensors, strict: bool, name: str) -> Tensor:
    is_tuple, outputs = _call(func, variables, name)
    _check_outputs(outputs, strict)
    if is_tuple or not isinstance(outputs[0], Tensor):
        raise RuntimeError(f"The function given to {name} should return a single Tensor")
    if outputs[0].nelement() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {name} should contain a single element")
    return outputs[0]


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    r"""The second derivatives of a scalar function at ``inputs``.

    Args:
        func: takes a tensor or a tuple of them, gives a tensor with one element.
        inputs: a tensor or a tuple of them.
        create_graph: make the result differentiable.
        strict: a gradient that does not depend on an input is an error, not a zero.
        vectorize: accepted for compatibility.
        outer_jacobian_strategy: the ``strategy`` of the outer :func:`jacobian`.

    Returns:
        A tensor of the shape of the input twice; for a tuple of inputs a tuple of tuples.

    Example::

        >>> import fastnn
        >>> fastnn.autograd.functional.hessian(lambda x: (x**3).sum(), fastnn.tensor([1.0, 2.0]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """
    in_tuple, _ = _tuple_of(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode"')

    def first(*variables: Tensor) -> Tensors:
        followed = tuple(x.view_as(x) for x in variables)
        output = _scalar(func, followed, strict, "hessian")
        gradients = _gradients((output.reshape(()),), followed, None, True)
        return _filled(gradients, followed, strict, strict, "Jacobian")

    result = jacobian(first, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
    return result if in_tuple else result[0]


def _second(
    func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool, name: str
) -> tuple[bool, Tensors, Tensors, Tensors, Tensor]:
    """Whether inputs are a tuple, variables, v, gradient and output of a scalar function."""
    in_tuple, given = _tuple_of(inputs, "inputs", name)
    variables = _variables(given, create_graph)
    if v is not None:
        vector = _check_v(v, variables, "inputs", name)
    elif len(variables) == 1 and variables[0].nelement() == 1:
        vector = (_C.ones_like(variables[0].detach()),)
    else:
        raise RuntimeError(
            "The vector v can only be None if the input to the user-provided function is a single Tensor with a single "
            "element."
        )
    output = _scalar(func, variables, strict, name)
    gradients = _gradients((output.reshape(()),), variables, None, True)
    return in_tuple, variables, vector, _filled(gradients, variables, strict, strict, "Jacobian"), output


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    r"""The output of a scalar function, and :math:`v^T H` for its Hessian :math:`H` at ``inputs``.

    Args:
        func: takes a tensor or a tuple of them, gives a tensor with one element.
        inputs: a tensor or a tuple of them.
        v: of the shapes of the inputs; may be left out if there is one with one element.
        create_graph: make the results differentiable.
        strict: a gradient that does not depend on an input is an error, not a zero.

    Example::

        >>> import fastnn
        >>> fastnn.autograd.functional.vhp(lambda x: (x**3).sum(), fastnn.tensor([1.0, 2.0]), fastnn.ones(2))
        (tensor(9.), tensor([ 6., 12.]))
    """
    with enable_grad():
        in_tuple, variables, vector, gradient, output = _second(func, inputs, v, create_graph, strict, "vhp")
        found = _gradients(gradient, variables, vector, create_graph)
        result = _filled(found, variables, strict, create_graph, "Hessian")
    return _shown((output,), False, create_graph), _shown(result, in_tuple, create_graph)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    r"""The output of a scalar function, and :math:`H v` for its Hessian :math:`H` at ``inputs``.

    Args are those of :func:`vhp`, which is the cheaper one and gives the same where second derivatives are continuous.

    Example::

        >>> import fastnn
        >>> fastnn.autograd.functional.hvp(lambda x: (x**3).sum(), fastnn.tensor([1.0, 2.0]), fastnn.ones(2))
        (tensor(9.), tensor([ 6., 12.]))
    """
    with enable_grad():
        in_tuple, variables, vector, gradient, output = _second(func, inputs, v, create_graph, strict, "hvp")
        result = _push(gradient, variables, vector, create_graph, strict)
    return _shown((output,), False, create_graph), _shown(result, in_tuple, create_graph)
