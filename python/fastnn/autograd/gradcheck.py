"""Checking derivatives against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnn import _C
from fastnn._C import Tensor

from ._engine import grad
from .grad_mode import no_grad

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


class GradcheckError(RuntimeError):
    """The derivative and the finite differences disagree."""


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _is_complex(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_complex()


def _outputs(function: Callable[..., Any], inputs: Sequence[Any]) -> tuple[Tensor, ...]:
    """The differentiable results, complex ones as their parts."""
    results = [_C.view_as_real(one) if _is_complex(one) else one for one in _tuple(function(*inputs))]
    return tuple(one for one in results if isinstance(one, Tensor) and one.dtype.is_floating_point)


def _of_parts(function: Callable[..., Any], arguments: list[Any]) -> tuple[Callable[..., Any], list[Any]]:
    """The same function of the parts of its complex arguments, which are real numbers that can be varied."""
    whole = [_is_complex(one) and one.requires_grad for one in arguments]
    if not any(whole):
        return function, arguments

    def of_parts(*values: Any) -> Any:
        return function(*(_C.view_as_complex(v) if joined else v for v, joined in zip(values, whole, strict=True)))

    parts = [
        _C.view_as_real(one.detach().clone()).requires_grad_() if joined else one
        for one, joined in zip(arguments, whole, strict=True)
    ]
    return of_parts, parts


def _numeric(function: Callable[..., Any], inputs: list[Any], position: int, eps: float) -> list[list[list[float]]]:
    """Rows: elements of the input; for each output the list of central differences."""
    original = inputs[position]
    flat = original.detach().clone().contiguous()
    view = flat.view(-1)
    rows = []
    for i in range(flat.numel()):
        with no_grad():
            value = view[i].item()
            view[i] = value + eps
            above = _outputs(function, [*inputs[:position], _rebuilt(original, flat), *inputs[position + 1 :]])
            above = tuple(one.detach().clone() for one in above)
            view[i] = value - eps
            below = _outputs(function, [*inputs[:position], _rebuilt(original, flat), *inputs[position + 1 :]])
            view[i] = value
            rows.append([((a - b) / (2 * eps)).reshape(-1).tolist() for a, b in zip(above, below, strict=True)])
    return rows


def _rebuilt(original: Tensor, values: Tensor) -> Tensor:
    """The values in the memory layout of the original, so that strided inputs stay strided."""
    copy = _C.empty_strided(tuple(original.shape), original.stride(), dtype=original.dtype)
    copy.copy_(values)
    return copy


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    r"""Compare the derivative of ``func`` with central differences, element by element.

    Args:
        func: takes tensors, returns a tensor or several.
        inputs: its arguments; those of float64 and complex128 that require grad are checked.
        eps: the step of the differences.
        atol: allowed absolute difference.
        rtol: allowed relative difference.
        raise_exception: raise instead of returning False.
        nondet_tol: how much two runs of the derivative may differ.
        check_undefined_grad, check_grad_dtypes, check_batched_grad, check_batched_forward_grad, check_forward_ad,
            check_backward_ad, fast_mode, masked: accepted for compatibility.

    Returns:
        Whether they agree.

    Raises:
        GradcheckError: they do not.
        ValueError: no input requires grad.

    Example::

        >>> import fastnn
        >>> x = fastnn.tensor([0.5, 2.0], dtype=fastnn.float64, requires_grad=True)
        >>> fastnn.autograd.gradcheck(lambda x: x.exp(), (x,))
        True
    """
    arguments = list(_tuple(inputs))
    checked = [i for i, one in enumerate(arguments) if isinstance(one, Tensor) and one.requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have "
            "requires_grad=True."
        )
    func, arguments = _of_parts(func, arguments)
    try:
        _check(func, arguments, checked, eps, atol, rtol, nondet_tol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check(
    func: Callable[..., Any],
    arguments: list[Any],
    checked: list[int],
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
) -> None:
    outputs = _outputs(func, arguments)
    wanted = [arguments[i] for i in checked]
    for number, output in enumerate(outputs):
        analytic: list[list[list[float]]] = []
        for i in range(output.numel()):
            weight = _C.zeros_like(output).contiguous()
            weight.view(-1)[i] = 1.0
            if not output.requires_grad:
                analytic.append([[0.0] * one.numel() for one in wanted])
                continue
            first = grad(output, wanted, weight, retain_graph=True, allow_unused=True, materialize_grads=True)
            again = grad(output, wanted, weight, retain_graph=True, allow_unused=True, materialize_grads=True)
            for a, b in zip(first, again, strict=True):
                if a.numel() and (a - b).abs().max().item() > nondet_tol:
                    raise GradcheckError(
                        "Backward is not reentrant, i.e., running backward with same input and grad_output multiple "
                        "times gives different values"
                    )
            analytic.append([one.detach().reshape(-1).tolist() for one in first])
        for place, position in enumerate(checked):
            numeric = _numeric(func, arguments, position, eps)
            for element, row in enumerate(numeric):
                for i in range(output.numel()):
                    expected = row[number][i]
                    got = analytic[i][place][element]
                    if not abs(got - expected) <= atol + rtol * abs(expected):
                        raise GradcheckError(
                            f"Jacobian mismatch for output {number} with respect to input {position}: "
                            f"d output[{i}] / d input[{element}]: numerical {expected}, analytical {got}"
                        )


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    r"""Compare the second derivative of ``func`` with central differences of the first.

    Args are those of :func:`gradcheck`; ``grad_outputs`` weights the outputs (default: fixed pseudo-random numbers).

    Example::

        >>> import fastnn
        >>> x = fastnn.tensor([0.5, 2.0], dtype=fastnn.float64, requires_grad=True)
        >>> fastnn.autograd.gradgradcheck(lambda x: x.exp(), (x,))
        True
    """
    arguments = list(_tuple(inputs))
    if grad_outputs is None:
        weights = [_weight(one) for one in _outputs(func, arguments)]
    else:
        weights = list(_tuple(grad_outputs))
    count = len(arguments)

    def first_derivative(*values: Any) -> tuple[Any, ...]:
        args = list(values[:count])
        tracked = [one for one in args if isinstance(one, Tensor) and one.requires_grad]
        if not tracked:
            # A finite difference: the values are moved outside of the graph.
            args = [
                one.detach().requires_grad_()
                if isinstance(one, Tensor) and isinstance(old, Tensor) and old.requires_grad
                else one
                for one, old in zip(args, arguments, strict=True)
            ]
        else:
            args = [
                one.requires_grad_()
                if isinstance(one, Tensor) and isinstance(old, Tensor) and old.requires_grad and not one.requires_grad
                else one
                for one, old in zip(args, arguments, strict=True)
            ]
        tracked = [
            one for one, old in zip(args, arguments, strict=True) if isinstance(old, Tensor) and old.requires_grad
        ]
        with _enable():
            outputs = [one for one in _outputs(func, args) if one.requires_grad]
            chosen = [w for w, one in zip(values[count:], _outputs(func, args), strict=True) if one.requires_grad]
            return grad(outputs, tracked, chosen, create_graph=True, allow_unused=True, materialize_grads=True)

    return gradcheck(
        first_derivative,
        (*arguments, *weights),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
    )


def _enable() -> Any:
    from .grad_mode import enable_grad

    return enable_grad()


def _weight(output: Tensor) -> Tensor:
    """Numbers in [0.5, 1.5) that depend on the place only."""
    places = _C.arange(output.numel(), dtype=_C.float64)
    values = (places * 0.6180339887498949) % 1.0 + 0.5
    return values.reshape(tuple(output.shape)).to(output.dtype).detach().requires_grad_()
