"""L-BFGS, with a line search for the strong Wolfe conditions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from fastnn import _C
from fastnn._C import Tensor
from fastnn.autograd.grad_mode import no_grad

from .optimizer import Optimizer, _check_rate, _evaluate, _plain

if TYPE_CHECKING:
    from .optimizer import ParamsT

__all__ = ["LBFGS"]


class _Point(NamedTuple):
    """A point on the line of a search."""

    t: float
    loss: float
    grad: Tensor
    slope: float  # of the loss along the line


def _cubic_minimum(a: _Point, b: _Point, bounds: tuple[float, float]) -> float:
    """Where the cubic through two points, with their slopes, is least; the middle of the bounds if it is nowhere."""
    low, high = bounds
    if a.t > b.t:
        a, b = b, a
    middle = (low + high) / 2
    if a.t == b.t:
        return middle
    mean = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = mean * mean - a.slope * b.slope
    if not square >= 0:
        return middle
    root = float(square**0.5)
    width = b.slope - a.slope + 2 * root
    if width == 0:
        return middle
    return min(max(b.t - (b.t - a.t) * ((b.slope + root - mean) / width), low), high)


class _StrongWolfe:
    """Finds a step that lowers the loss enough (`armijo`) and the slope enough (`curvature`).

    Source: Nocedal and Wright, "Numerical Optimization", 2006, algorithms 3.5 and 3.6.
    """

    armijo = 1e-4
    curvature = 0.9

    def __init__(
        self, evaluate: Callable[[float], _Point], start: _Point, length: float, smallest: float, trials: int
    ) -> None:
        self.evaluate = evaluate
        self.start = start
        self.length = length  # the largest element of the direction
        self.smallest = smallest  # change of a parameter below which the search ends
        self.trials = trials  # evaluations left after the first

    def _too_high(self, point: _Point) -> bool:
        return point.loss > self.start.loss + self.armijo * point.t * self.start.slope

    def _flat(self, point: _Point) -> bool:
        return abs(point.slope) <= -self.curvature * self.start.slope

    def _try(self, t: float) -> _Point:
        self.trials -= 1
        return self.evaluate(t)

    def search(self, t: float) -> _Point:
        """The best point found, starting with step `t`."""
        previous, point = self.start, self.evaluate(t)
        tried = 0
        while self.trials > 0:
            if self._too_high(point) or (tried > 1 and point.loss >= previous.loss):
                return self._zoom([previous, point])
            if self._flat(point):
                return point
            if point.slope >= 0:
                return self._zoom([previous, point])
            bounds = (point.t + 0.01 * (point.t - previous.t), point.t * 10)
            previous, point = point, self._try(_cubic_minimum(previous, point, bounds))
            tried += 1
        return min(self.start, point, key=lambda candidate: candidate.loss)

    def _zoom(self, bracket: list[_Point]) -> _Point:
        """Narrow a bracket that contains a good point."""
        low = 0 if bracket[0].loss <= bracket[1].loss else 1
        stuck = False
        while self.trials > 0:
            left, right = sorted((bracket[0].t, bracket[1].t))
            if (right - left) * self.length < self.smallest:
                break
            t = _cubic_minimum(bracket[0], bracket[1], (left, right))
            # A trial near an end, twice or exactly there, is moved inwards by a tenth.
            margin = 0.1 * (right - left)
            near = min(right - t, t - left) < margin
            if near and (stuck or t >= right or t <= left):
                t = right - margin if abs(t - right) < abs(t - left) else left + margin
                near = False
            stuck = near
            point = self._try(t)
            if self._too_high(point) or point.loss >= bracket[low].loss:
                bracket[1 - low] = point
                low = 0 if bracket[0].loss <= bracket[1].loss else 1
                continue
            done = self._flat(point)
            if not done and point.slope * (bracket[1 - low].t - bracket[low].t) >= 0:
                bracket[1 - low] = bracket[low]
            bracket[low] = point
            if done:
                break
        return bracket[low]


class LBFGS(Optimizer):
    """Limited-memory BFGS: a quasi-Newton method for all parameters together, for small problems without noise.

    `step` needs a closure, which it calls up to `max_eval` times. There is one parameter group.
    The state is kept for the first parameter: `func_evals`, `n_iter`, and what the next step continues from. It has
    `history_size` + 1 pairs of vectors of the size of all parameters. A parameter that does not require a gradient,
    or has none, is not moved.

    Args:
        params: tensors, or `(name, tensor)` pairs.
        lr: step size, and the first one that a line search tries.
        max_iter: iterations in a step.
        max_eval: calls of the closure in a step; 1.25 * `max_iter` by default.
        tolerance_grad: end when no element of the gradient is larger.
        tolerance_change: end when the loss, or no parameter, changes by more.
        history_size: pairs of steps and changes of the gradient that approximate the curvature.
        line_search_fn: "strong_wolfe", or None for the fixed step size `lr`.

    Raises:
        ValueError: there are several parameter groups, or `lr` is negative.
        RuntimeError: in `step`, `line_search_fn` is unknown.

    Example:
        >>> import fastnn
        >>> x = fastnn.tensor([3.0, -4.0], requires_grad=True)
        >>> optimizer = fastnn.optim.LBFGS([x], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = ((x - 1) ** 4).sum()
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure).item()
        641.0
        >>> bool(((x - 1).abs() < 0.05).all())
        True

    Source: Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        _check_rate("lr", lr)
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    # All parameters as one vector.

    def _flat_grad(self) -> Tensor:
        parts = []
        for param in self.param_groups[0]["params"]:
            usable = param.grad is not None and param.requires_grad
            parts.append((param.grad if usable else _C.zeros_like(param)).detach().reshape(-1))
        return _C.cat(parts)

    def _move(self, t: float, direction: Tensor, origin: list[Tensor] | None = None) -> None:
        """Go by `t` along the direction, from the origin if it is given."""
        start = 0
        for index, param in enumerate(self.param_groups[0]["params"]):
            part = direction[start : start + param.numel()].reshape(param.shape)
            start += param.numel()
            target = param.detach()
            if origin is not None:
                target.copy_(origin[index])
            if param.requires_grad:
                target.add_(part, alpha=t)

    def _direction(self, state: dict[str, Any], grad: Tensor, history_size: int) -> Tensor:
        """The next direction: minus the gradient times the approximate inverse of the Hessian."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return -grad
        changes, steps, factors = state["old_dirs"], state["old_stps"], state["ro"]
        change = grad - state["prev_flat_grad"]
        step = state["d"] * state["t"]
        product = change.dot(step)
        if product.item() > 1e-10:
            if len(changes) == history_size:
                for history in (changes, steps, factors):
                    history.pop(0)
            changes.append(change)
            steps.append(step)
            factors.append(1.0 / product)
            state["H_diag"] = product / change.dot(change)
        weights = state.setdefault("al", [None] * history_size)
        direction = -grad
        for i in reversed(range(len(changes))):
            weights[i] = steps[i].dot(direction) * factors[i]
            direction.sub_(weights[i] * changes[i])
        direction.mul_(state["H_diag"])
        for i in range(len(changes)):
            direction.add_((weights[i] - changes[i].dot(direction) * factors[i]) * steps[i])
        return direction

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Minimise for up to `max_iter` iterations.

        Args:
            closure: clears the gradients, computes the loss and its gradients, and returns the loss.

        Returns:
            The loss of the first call.
        """
        if closure is None:
            raise TypeError("LBFGS.step() missing 1 required argument: 'closure'")
        with no_grad():
            return self._minimise(closure)

    def _minimise(self, closure: Callable[[], Any]) -> Any:
        group = self.param_groups[0]
        lr, tolerance = _plain(group["lr"]), group["tolerance_change"]
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        first_loss = _evaluate(closure)
        loss, grad = float(first_loss), self._flat_grad()
        evaluations = 1
        state["func_evals"] += 1
        if _largest(grad) <= group["tolerance_grad"]:
            return first_loss

        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, grad, group["history_size"])
            t = min(1.0, 1.0 / grad.abs().sum().item()) * lr if state["n_iter"] == 1 else lr
            state.update(d=direction, t=t, prev_flat_grad=grad.clone(), prev_loss=loss)
            start = _Point(0.0, loss, grad, grad.dot(direction).item())
            if start.slope > -tolerance:
                break
            used = 0
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                point, used = self._search(closure, direction, start, t, group["max_eval"] - evaluations)
                state["t"], loss, grad = point.t, point.loss, point.grad
            else:
                self._move(t, direction)
                if iteration != group["max_iter"]:  # with noise, the loss after the last move tells nothing
                    loss, grad, used = float(_evaluate(closure)), self._flat_grad(), 1
            evaluations += used
            state["func_evals"] += used
            if (
                evaluations >= group["max_eval"]
                or _largest(grad) <= group["tolerance_grad"]
                or _largest(direction) * abs(state["t"]) <= tolerance
                or abs(loss - state["prev_loss"]) < tolerance
            ):
                break
        return first_loss

    def _search(
        self, closure: Callable[[], Any], direction: Tensor, start: _Point, t: float, trials: int
    ) -> tuple[_Point, int]:
        """Search along the direction, and go to the point found."""
        origin = [param.detach().clone() for param in self.param_groups[0]["params"]]
        used = 0

        def evaluate(t: float) -> _Point:
            nonlocal used
            used += 1
            self._move(t, direction, origin)
            loss, grad = float(_evaluate(closure)), self._flat_grad()
            return _Point(t, loss, grad, grad.dot(direction).item())

        search = _StrongWolfe(evaluate, start, _largest(direction), self.param_groups[0]["tolerance_change"], trials)
        point = search.search(t)
        self._move(point.t, direction, origin)
        return point, used


def _largest(tensor: Tensor) -> float:
    return tensor.abs().max().item()
