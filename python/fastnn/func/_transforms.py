"""Derivatives as functions of functions: ``grad``, ``vjp``, ``jvp`` and what is made of them.

Each transform follows fresh tensors in place of its inputs, so that transforms nest. The graph of a result is kept only
where something outside of the transform needs it. Forward mode is the backward pass of a backward pass.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from fastnn import _C
from fastnn._C import Tensor
from fastnn.autograd import _engine
from fastnn.autograd.grad_mode import enable_grad
from fastnn.utils._pytree import tree_flatten, tree_map, tree_unflatten

from ._batched import BatchedTensor, frames, level_of, unwrap, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastnn.utils._pytree import TreeSpec

    Argnums = int | tuple[int, ...]

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "vjp"]


# --- inputs of a transform -------------------------------------------------------------------------------------------


def _spread(tensor: Tensor) -> Tensor:
    """The tensor with the batch of every running vmap: then each example has a derivative of its own."""
    present = set()
    inner = tensor
    while type(inner) is BatchedTensor:
        present.add(inner._level)
        inner = inner._value
    for frame in frames:
        if frame.level not in present:
            tensor = _batch_at(tensor, frame.level, frame.size)
    return tensor


def _batch_at(tensor: Tensor, level: int, size: int) -> Tensor:
    if type(tensor) is BatchedTensor and tensor._level > level:
        return wrap(_batch_at(tensor._value, level, size), tensor._level)
    return wrap(tensor.unsqueeze(0).expand(size, *tensor.shape), level)


def _tracked(tensor: Tensor) -> Tensor:
    """The same values as a variable of their own, connected to what they came from if that is followed."""
    if type(tensor) is BatchedTensor:
        return wrap(_tracked(tensor._value), tensor._level)
    if tensor.requires_grad:
        return tensor.view_as(tensor)
    return tensor.detach().requires_grad_()


def _detached(tree: Any) -> Any:
    def cut(leaf: Any) -> Any:
        return leaf.detach() if isinstance(leaf, Tensor) else leaf

    return tree_map(cut, tree)


def _variables(tree: Any) -> tuple[list[Any], TreeSpec]:
    leaves, spec = tree_flatten(tree)
    with enable_grad():
        return [_tracked(_spread(leaf)) if isinstance(leaf, Tensor) else leaf for leaf in leaves], spec


# --- the backward pass on batched tensors ----------------------------------------------------------------------------


def _item(value: Any, level: int, i: int) -> Any:
    return value._value.select(0, i) if level_of(value) == level else value


def pull_back(
    outputs: Sequence[Any], inputs: Sequence[Any], cotangents: Sequence[Any], create_graph: bool
) -> list[Tensor | None]:
    """The engine's gradients of ``outputs`` weighted by ``cotangents``; None where there is no dependence.

    Inputs that are batched at a level have a gradient for each example, and one pass does for all of them. A level that
    the inputs do not have takes a pass for each example.
    """
    level = max((level_of(one) for one in (*outputs, *inputs, *cotangents)), default=-1)
    if level < 0:
        pairs = [(y, v) for y, v in zip(outputs, cotangents, strict=True) if y.requires_grad]
        if not pairs:
            return [None] * len(inputs)
        roots, weights = (list(column) for column in zip(*pairs, strict=True))
        return list(_C._run_backward(roots, weights, True, create_graph, list(inputs), True))
    if any(level_of(one) == level for one in inputs):
        places = [i for i, x in enumerate(inputs) if level_of(x) == level]
        size = inputs[places[0]]._value.shape[0]
        pairs = [(y, v) for y, v in zip(outputs, cotangents, strict=True) if level_of(y) == level]
        found = pull_back(
            [y._value for y, _ in pairs],
            [inputs[i]._value for i in places],
            [v._value if level_of(v) == level else v.unsqueeze(0).expand(size, *v.shape) for _, v in pairs],
            create_graph,
        )
        result: list[Tensor | None] = [None] * len(inputs)
        for i, one in zip(places, found, strict=True):
            result[i] = None if one is None else wrap(one, level)
        if len(places) == len(inputs):
            return result
        rest = [i for i in range(len(inputs)) if i not in places]
        for i, one in zip(
            rest, _each_example(outputs, [inputs[i] for i in rest], cotangents, create_graph, level), strict=True
        ):
            result[i] = one
        return result
    return _each_example(outputs, inputs, cotangents, create_graph, level)


def _each_example(
    outputs: Sequence[Any], inputs: Sequence[Any], cotangents: Sequence[Any], create_graph: bool, level: int
) -> list[Tensor | None]:
    size = next(one._value.shape[0] for one in (*outputs, *cotangents) if level_of(one) == level)
    with enable_grad():
        rows = [
            pull_back(
                [_item(y, level, i) for y in outputs], inputs, [_item(v, level, i) for v in cotangents], create_graph
            )
            for i in range(size)
        ]
    columns = zip(*rows, strict=True)
    return [None if column[0] is None else wrap(_C.stack(list(column)), level) for column in columns]


def _followed_outside(outputs: Sequence[Any], inputs: Sequence[Any]) -> bool:
    """Whether a result must stay differentiable: it depends on something else that is followed."""
    if not _C.is_grad_enabled():
        return False
    tensors = [unwrap(one) for one in outputs if isinstance(one, Tensor)]
    own = [unwrap(one) for one in inputs if isinstance(one, Tensor)]
    return bool(_C._depends_on_others([one for one in tensors if one.requires_grad], own))


def _zeros_for(gradients: Sequence[Tensor | None], inputs: Sequence[Tensor]) -> list[Tensor]:
    return [_C.zeros_like(x.detach()) if one is None else one for one, x in zip(gradients, inputs, strict=True)]


def _batched_grad(
    outputs: Sequence[Any], weights: Sequence[Any], keep: bool, create_graph: bool, inputs: Sequence[Any], capture: bool
) -> list[Any]:
    """What ``autograd.grad`` does once ``vmap`` is in use."""
    if any(type(one) is BatchedTensor for one in (*outputs, *inputs, *weights)):
        return pull_back(outputs, inputs, weights, create_graph)
    return list(_C._run_backward(outputs, weights, keep, create_graph, inputs, capture))


_engine.batched_grad = _batched_grad


# --- vjp and jvp -----------------------------------------------------------------------------------------------------


def _split_aux(result: Any, has_aux: bool, where: str) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise RuntimeError(f"{where}: output of function f should be a tuple: (output, aux) if has_aux is True")
    return result


def _output_leaves(output: Any, where: str) -> tuple[list[Tensor], TreeSpec]:
    leaves, spec = tree_flatten(output)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(
                f"{where}: Expected f to be a function that has only Tensors as outputs, got {type(leaf)}"
            )
    return leaves, spec


def _followed(func: Callable[..., Any], args: tuple[Any, ...], has_aux: bool, where: str) -> Any:
    """The function on variables of its own: variables and their structure, outputs and theirs, what it gave beside."""
    variables, in_spec = _variables(args)
    with enable_grad():
        result = func(*tree_unflatten(variables, in_spec))
    output, aux = _split_aux(result, has_aux, where)
    outputs, out_spec = _output_leaves(output, where)
    return variables, in_spec, outputs, out_spec, aux


def _for_caller(tree: Any, variables: Sequence[Any]) -> Any:
    leaves, _ = tree_flatten(tree)
    return tree if _followed_outside(leaves, variables) else _detached(tree)


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    r"""The output of ``func``, and the function from a cotangent :math:`v` to :math:`v^T J`.

    Args:
        func: takes and gives tensors, in any nesting.
        primals: where to evaluate.
        has_aux: ``func`` gives ``(output, aux)``; the third result is ``aux``.

    Returns:
        ``(output, vjp_fn)``, or ``(output, vjp_fn, aux)``. ``vjp_fn(cotangents)`` gives a tuple, one for each primal.

    Example::

        >>> import fastnn
        >>> y, vjp_fn = fastnn.func.vjp(fastnn.sin, fastnn.zeros(2))
        >>> vjp_fn(fastnn.ones(2))
        (tensor([1., 1.]),)
    """
    where = "vjp(f, *primals)"
    if not primals:
        raise RuntimeError(f"{where}: f must have at least one input")
    variables, in_spec, outputs, out_spec, aux = _followed(func, primals, has_aux, where)
    kept = _followed_outside(outputs, variables)

    def vjp_fn(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> tuple[Any, ...]:
        weights, spec = tree_flatten(cotangents)
        if spec != out_spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of outputs to the "
                f"function. cotangents: {spec}, primal output: {out_spec}"
            )
        for y, v in zip(outputs, weights, strict=True):
            if y.shape != v.shape:
                raise RuntimeError(
                    f"Mismatch in shape: grad_output has a shape of {v.shape} and output has a shape of {y.shape}."
                )
        follow = create_graph
        if follow is None:
            follow = _C.is_grad_enabled() and (kept or any(unwrap(v).requires_grad for v in weights))
        gradients = _zeros_for(pull_back(outputs, variables, weights, follow), variables)
        result: tuple[Any, ...] = tree_unflatten(gradients, in_spec)
        return result

    values = tree_unflatten(outputs if kept else [one.detach() for one in outputs], out_spec)
    return (values, vjp_fn, _for_caller(aux, variables)) if has_aux else (values, vjp_fn)


def _push_forward(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor]
) -> Callable[[Sequence[Tensor], bool], list[Tensor]]:
    """The function from tangents of the inputs to tangents of the outputs.

    The gradient is linear in the cotangent, so its own derivative with respect to the cotangent is the Jacobian.
    """
    followed = [y for y in outputs if unwrap(y).requires_grad]
    with enable_grad():
        dummies = [_tracked(_C.zeros_like(_spread(y.detach()))) for y in followed]
        gradients = pull_back(followed, inputs, dummies, True) if followed else [None] * len(inputs)

    def push(tangents: Sequence[Tensor], create_graph: bool) -> list[Tensor]:
        pairs = [(g, t) for g, t in zip(gradients, tangents, strict=True) if g is not None and unwrap(g).requires_grad]
        found: list[Tensor | None] = [None] * len(dummies)
        if pairs and dummies:
            found = pull_back([g for g, _ in pairs], dummies, [t for _, t in pairs], create_graph)
        rows = iter(_zeros_for(found, dummies))
        return [next(rows) if unwrap(y).requires_grad else _C.zeros_like(y) for y in outputs]

    return push


def _check_tangents(primals: Any, tangents: Any, where: str) -> tuple[list[Tensor], list[Tensor]]:
    for name, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, tuple):
            raise RuntimeError(f"{where}: Expected {name} to be a tuple. E.g. it should be valid to call f(*primals).")
    flat, spec = tree_flatten(primals)
    flat_tangents, tangent_spec = tree_flatten(tangents)
    if spec != tangent_spec:
        raise RuntimeError(
            f"{where}: Expected primals and tangents to have the same python structure. For example, if primals is a "
            "tuple of 3 tensors, tangents also must be. Got primals with structure "
            f"{spec} and tangents with structure {tangent_spec}"
        )
    for one in (*flat, *flat_tangents):
        if not isinstance(one, Tensor):
            raise RuntimeError(f"{where}: Expected primals and tangents to be Tensors, got {type(one)}")
    for p, t in zip(flat, flat_tangents, strict=True):
        if p.shape != t.shape:
            raise RuntimeError(
                f"{where}: Expected a tangent of the shape of its primal, got {tuple(t.shape)} for {tuple(p.shape)}"
            )
    return flat, flat_tangents


def jvp(func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    r"""The output of ``func``, and the derivative :math:`J t` in the direction of ``tangents``.

    Args:
        func: takes and gives tensors.
        primals: a tuple: where to evaluate.
        tangents: a tuple of the same structure: the direction.
        strict: an error when an output does not depend on any input.
        has_aux: ``func`` gives ``(output, aux)``; the third result is ``aux``.

    Returns:
        ``(output, jvp)``, or ``(output, jvp, aux)``.

    Example::

        >>> import fastnn
        >>> fastnn.func.jvp(fastnn.square, (fastnn.tensor([3.0]),), (fastnn.tensor([1.0]),))
        (tensor([9.]), tensor([6.]))
    """
    where = "jvp(f, primals, tangents)"
    _, directions = _check_tangents(primals, tangents, where)
    variables, _, outputs, out_spec, aux = _followed(func, primals, has_aux, where)
    if strict and any(not unwrap(y).requires_grad for y in outputs):
        raise RuntimeError(f"{where}: the output of f is independent of its inputs, which strict=True does not allow")
    kept = _followed_outside(outputs, variables)
    follow = _C.is_grad_enabled() and (kept or any(unwrap(t).requires_grad for t in directions))
    result = tree_unflatten(_push_forward(outputs, variables)([_spread(t) for t in directions], follow), out_spec)
    values = tree_unflatten(outputs if kept else [one.detach() for one in outputs], out_spec)
    return (values, result, _for_caller(aux, variables)) if has_aux else (values, result)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    r"""The output of ``func``, and its derivative at ``primals`` as a function of the tangents.

    Args:
        func: takes and gives tensors.
        primals: where to evaluate.

    Returns:
        ``(output, jvp_fn)``; calling ``jvp_fn(*tangents)`` does not evaluate ``func`` again.

    Example::

        >>> import fastnn
        >>> y, jvp_fn = fastnn.func.linearize(fastnn.square, fastnn.tensor([3.0]))
        >>> jvp_fn(fastnn.tensor([1.0])), jvp_fn(fastnn.tensor([2.0]))
        (tensor([6.]), tensor([12.]))
    """
    where = "linearize(f, *primals)"
    variables, in_spec, outputs, out_spec, _ = _followed(func, primals, False, where)
    kept = _followed_outside(outputs, variables)
    push = _push_forward(outputs, variables)

    def jvp_fn(*tangents: Any) -> Any:
        directions, spec = tree_flatten(tangents)
        if spec != in_spec:
            raise RuntimeError(f"{where}: expected tangents with the structure of the primals, {in_spec}, got {spec}")
        for p, t in zip(variables, directions, strict=True):
            if p.shape != t.shape or p.dtype != t.dtype:
                raise RuntimeError(
                    f"{where}: expected a tangent with shape {tuple(p.shape)} and dtype {p.dtype}, got "
                    f"{tuple(t.shape)} and {t.dtype}"
                )
        follow = _C.is_grad_enabled() and (kept or any(unwrap(t).requires_grad for t in directions))
        return tree_unflatten(push([_spread(t) for t in directions], follow), out_spec)

    return tree_unflatten(outputs if kept else [one.detach() for one in outputs], out_spec), jvp_fn


# --- grad ------------------------------------------------------------------------------------------------------------


def _positions(argnums: Argnums, count: int) -> tuple[int, ...]:
    if not isinstance(argnums, (int, tuple)) or isinstance(argnums, bool):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {type(argnums)}")
    chosen = (argnums,) if isinstance(argnums, int) else argnums
    if not chosen:
        raise RuntimeError("argnums must be a non-empty tuple of integers")
    for one in chosen:
        if not isinstance(one, int):
            raise RuntimeError(f"argnums: expected an int, got {type(one)}")
        if not -count <= one < count:
            raise RuntimeError(f"Got argnum={one}, but only {count} positional inputs")
    result = tuple(one % count for one in chosen)
    if len(set(result)) != len(result):
        raise RuntimeError(f"argnums elements must be unique, got: {argnums}")
    return result


def _of_chosen(
    func: Callable[..., Any], argnums: Argnums, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function of the chosen arguments alone, and these."""
    positions = _positions(argnums, len(args))

    def of_chosen(*chosen: Any) -> Any:
        full = list(args)
        for i, value in zip(positions, chosen, strict=True):
            full[i] = value
        return func(*full, **kwargs)

    return of_chosen, tuple(args[i] for i in positions)


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    r"""A function that gives the gradient of ``func`` and its value; see :func:`grad`.

    Example::

        >>> import fastnn
        >>> fastnn.func.grad_and_value(lambda x: x**2)(fastnn.tensor(3.0))
        (tensor(6.), tensor(9.))
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        where = "grad_and_value(f)(*args)"
        inner, chosen = _of_chosen(func, argnums, args, kwargs)
        variables, spec = _variables(chosen)
        with enable_grad():
            result = inner(*tree_unflatten(variables, spec))
        value, aux = _split_aux(result, has_aux, where)
        if not isinstance(value, Tensor):
            raise RuntimeError(f"{where}: Expected f(*args) to return a tensor, got unsupported type {type(value)}")
        if value.dim() != 0:
            raise RuntimeError(
                f"{where}: Expected f(*args) to return a scalar tensor, got tensor with {value.dim()} dims. Maybe you "
                "wanted to use the vjp or jacrev APIs instead?"
            )
        kept = _followed_outside([value], variables)
        places = [i for i, one in enumerate(variables) if isinstance(one, Tensor)]
        tensors = [variables[i] for i in places]
        gradients = _zeros_for(pull_back([value], tensors, [_C.ones_like(value.detach())], kept), tensors)
        flat = list(variables)
        for i, one in zip(places, gradients, strict=True):
            flat[i] = one
        tree = tree_unflatten(flat, spec)
        gradient = tree[0] if isinstance(argnums, int) else tree
        value = value if kept else value.detach()
        return (gradient, (value, _for_caller(aux, variables))) if has_aux else (gradient, value)

    return wrapper


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    r"""A function that gives the gradient of ``func``, which gives a scalar.

    Args:
        func: takes tensors (in any nesting), gives a tensor without dimensions.
        argnums: with respect to which arguments: a number, or a tuple of them.
        has_aux: ``func`` gives ``(output, aux)``, and the new function ``(gradient, aux)``.

    Returns:
        A function of the same arguments: the gradient, or a tuple of gradients for a tuple of argnums.

    Raises:
        RuntimeError: the output is no scalar tensor.

    Example::

        >>> import fastnn
        >>> from fastnn.func import grad, vmap
        >>> grad(grad(lambda x: x**3))(fastnn.tensor(2.0))
        tensor(12.)
        >>> weight, samples = fastnn.ones(2), fastnn.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> vmap(grad(lambda w, x: (w * x).sum() ** 2), in_dims=(None, 0))(weight, samples)
        tensor([[ 6., 12.],
                [42., 56.]])
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = grad_and_value(func, argnums, has_aux)(*args, **kwargs)
        return (result[0], result[1][1]) if has_aux else result[0]

    return wrapper


# --- Jacobians -------------------------------------------------------------------------------------------------------


def _basis(tensor: Tensor, i: int) -> Tensor:
    row = _C.zeros(tensor.numel(), dtype=tensor.dtype)
    row[i] = 1
    return row.reshape(tuple(tensor.shape))


def jacrev(
    func: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    r"""A function that gives the Jacobian of ``func``, with one backward pass for each element of the output.

    Args:
        func: takes and gives tensors, in any nesting.
        argnums: with respect to which arguments: a number, or a tuple of them.
        has_aux: ``func`` gives ``(output, aux)``, and the new function ``(jacobian, aux)``.
        chunk_size: accepted for compatibility: rows are computed one at a time.

    Returns:
        A function of the same arguments. Its result is nested like the output, then like the arguments; the shape of a
        tensor is that of the output followed by that of the argument.

    Example::

        >>> import fastnn
        >>> fastnn.func.jacrev(fastnn.sin)(fastnn.zeros(2))
        tensor([[1., 0.],
                [0., 1.]])
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        where = "jacrev(f)(*args)"
        inner, chosen = _of_chosen(func, argnums, args, kwargs)
        variables, in_spec, outputs, out_spec, aux = _followed(inner, chosen, has_aux, where)
        kept = _followed_outside(outputs, variables)
        per_output = []
        for output in outputs:
            rows = [
                _zeros_for(pull_back([output], variables, [_basis(output, i)], kept), variables)
                for i in range(output.numel())
            ]
            blocks = [
                _C.stack([row[k] for row in rows]).reshape(*output.shape, *x.shape)
                if rows
                else x.new_zeros((*output.shape, *x.shape))
                for k, x in enumerate(variables)
            ]
            tree = tree_unflatten(blocks, in_spec)
            per_output.append(tree[0] if isinstance(argnums, int) else tree)
        result = tree_unflatten(per_output, out_spec)
        return (result, _for_caller(aux, variables)) if has_aux else result

    return wrapper


def jacfwd(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable[..., Any]:
    r"""A function that gives the Jacobian of ``func``, with one pass for each element of the arguments.

    Args and result are those of :func:`jacrev`; this is the cheaper one when there are fewer inputs than outputs.

    Args:
        func: takes and gives tensors, in any nesting.
        argnums: with respect to which arguments: a number, or a tuple of them.
        has_aux: ``func`` gives ``(output, aux)``, and the new function ``(jacobian, aux)``.
        randomness: accepted for compatibility: the function runs once.

    Example::

        >>> import fastnn
        >>> fastnn.func.jacfwd(fastnn.sin)(fastnn.zeros(2))
        tensor([[1., 0.],
                [0., 1.]])
    """

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        where = "jacfwd(f)(*args)"
        inner, chosen = _of_chosen(func, argnums, args, kwargs)
        variables, in_spec, outputs, out_spec, aux = _followed(inner, chosen, has_aux, where)
        follow = _followed_outside(outputs, variables)
        push = _push_forward(outputs, variables)
        zeros = [_C.zeros_like(x.detach()) for x in variables]
        columns: list[list[Tensor]] = [[] for _ in outputs]
        for k, x in enumerate(variables):
            steps = []
            for i in range(x.numel()):
                tangents = list(zeros)
                tangents[k] = _spread(_basis(x, i))
                steps.append(push(tangents, follow))
            for j, y in enumerate(outputs):
                block = _C.stack([step[j] for step in steps], -1) if steps else y.new_zeros((*y.shape, 0))
                columns[j].append(block.reshape(*y.shape, *x.shape))
        trees = [tree_unflatten(blocks, in_spec) for blocks in columns]
        result = tree_unflatten([tree[0] if isinstance(argnums, int) else tree for tree in trees], out_spec)
        return (result, _for_caller(aux, variables)) if has_aux else result

    return wrapper


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    r"""A function that gives the second derivatives of ``func``: the Jacobian of the Jacobian.

    Args:
        func: takes and gives tensors, in any nesting.
        argnums: with respect to which arguments: a number, or a tuple of them.

    Example::

        >>> import fastnn
        >>> fastnn.func.hessian(lambda x: (x**3).sum())(fastnn.tensor([1.0, 2.0]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)
