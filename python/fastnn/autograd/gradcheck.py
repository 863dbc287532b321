"""Checking derivatives against finite differences."""

from __future__ import annotations

import warnings
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
        check_grad_dtypes: compare the dtypes of gradients and inputs.
        check_forward_ad: check the derivative in forward mode as well.
        check_backward_ad: check the derivative of the backward pass.
        fast_mode: compare along one direction instead of element by element.
        check_undefined_grad, check_batched_grad, check_batched_forward_grad, masked: accepted for compatibility; each
            output is always checked with no gradient for the others.

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
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    for i in checked:
        _check_input(arguments[i], i)
    func, arguments = _of_parts(func, arguments)
    check = _check_direction if fast_mode else _check
    try:
        if check_grad_dtypes:
            _check_dtypes(func, arguments, checked)
        if check_backward_ad:
            check(func, arguments, checked, eps, atol, rtol, nondet_tol)
        if check_forward_ad:
            _check_forward(func, arguments, checked, eps, atol, rtol)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check_input(tensor: Tensor, position: int) -> None:
    if tensor.dtype not in (_C.float64, _C.complex128):
        warnings.warn(
            f"Input #{position} requires gradient and is not a double precision floating point or complex. This check "
            "will likely fail if all the inputs are not of double precision floating point or complex. ",
            stacklevel=3,
        )
    if any(stride == 0 and size > 1 for stride, size in zip(tensor.stride(), tensor.shape, strict=True)):
        raise RuntimeError(
            f"The {position}th input has a dimension with stride 0. gradcheck only supports inputs that are "
            "non-overlapping to be able to compute the numerical gradients correctly. You should call .contiguous on "
            "the input before passing it to gradcheck."
        )


def _check_dtypes(func: Callable[..., Any], arguments: list[Any], checked: list[int]) -> None:
    wanted = [arguments[i] for i in checked]
    for output in _outputs(func, arguments):
        if not output.requires_grad:
            continue
        for one, gradient in zip(wanted, grad(output.sum(), wanted, allow_unused=True), strict=True):
            if gradient is not None and gradient.dtype != one.dtype:
                raise GradcheckError(
                    f"Backward gave a gradient of dtype {gradient.dtype} for an input of dtype {one.dtype}"
                )


def _direction(like: Tensor) -> Tensor:
    """A unit vector that depends on the place only."""
    places = _C.arange(like.numel(), dtype=_C.float64)
    values = ((places * 0.7548776662466927) % 1.0 + 0.1).reshape(tuple(like.shape))
    return (values / values.norm().clamp(min=1e-300)).to(like.dtype)


def _moved(func: Callable[..., Any], arguments: list[Any], position: int, step: Tensor) -> list[Tensor]:
    """The results at the arguments with one of them moved, without a graph."""
    one = arguments[position]
    with no_grad():
        values = _rebuilt(one, one.detach() + step)
    return [out.detach() for out in _outputs(func, [*arguments[:position], values, *arguments[position + 1 :]])]


def _compare(got: float, expected: float, atol: float, rtol: float, number: int, position: int, mode: str) -> None:
    if not abs(got - expected) <= atol + rtol * abs(expected):
        raise GradcheckError(
            f"Jacobian computed with {mode} mode mismatch for output {number} with respect to input {position}: "
            f"numerical {expected}, analytical {got}, along one direction"
        )


def _check_direction(
    func: Callable[..., Any],
    arguments: list[Any],
    checked: list[int],
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
) -> None:
    """One number for each output and input: the Jacobian between two fixed directions."""
    outputs = _outputs(func, arguments)
    wanted = [arguments[i] for i in checked]
    for number, output in enumerate(outputs):
        weight = _direction(output)
        options = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
        gradients = [_C.zeros_like(one) for one in wanted]
        if output.requires_grad:
            gradients = list(grad(output, wanted, weight, **options))
            for first, again in zip(gradients, grad(output, wanted, weight, **options), strict=True):
                if first.numel() and (first - again).abs().max().item() > nondet_tol:
                    raise GradcheckError("Backward is not reentrant: two runs give different values")
        for position, gradient in zip(checked, gradients, strict=True):
            step = _direction(arguments[position])
            above = _moved(func, arguments, position, step * eps)[number]
            below = _moved(func, arguments, position, step * -eps)[number]
            expected = ((above - below) * weight).sum().item() / (2 * eps)
            allowed = atol * weight.abs().sum().item() * step.abs().sum().item()
            _compare((gradient * step).sum().item(), expected, allowed, rtol, number, position, "reverse")


def _check_forward(
    func: Callable[..., Any], arguments: list[Any], checked: list[int], eps: float, atol: float, rtol: float
) -> None:
    from .functional import jvp

    for position in checked:
        step = _direction(arguments[position])

        def of_one(value: Any, position: int = position) -> tuple[Tensor, ...]:
            return _outputs(func, [*arguments[:position], value, *arguments[position + 1 :]])

        _, tangents = jvp(of_one, arguments[position], step)
        above = _moved(func, arguments, position, step * eps)
        below = _moved(func, arguments, position, step * -eps)
        for number, (tangent, a, b) in enumerate(zip(tangents, above, below, strict=True)):
            weight = _direction(tangent)
            expected = ((a - b) * weight).sum().item() / (2 * eps)
            allowed = atol * weight.abs().sum().item() * step.abs().sum().item()
            _compare((tangent * weight).sum().item(), expected, allowed, rtol, number, position, "forward")


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
        check_grad_dtypes=check_grad_dtypes,
        fast_mode=fast_mode,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
    )


def _enable() -> Any:
    from .grad_mode import enable_grad

    return enable_grad()


def _weight(output: Tensor) -> Tensor:
    """Numbers in [0.5, 1.5) that depend on the place only."""
    places = _C.arange(output.numel(), dtype=_C.float64)
    values = (places * 0.6180339887498949) % 1.0 + 0.5
    return values.reshape(tuple(output.shape)).to(output.dtype).detach().requires_grad_()
