"""__torch_function__: what a class sees, and what it decides, against PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

import fastnn

torch = pytest.importorskip("torch")

LIBRARIES = [pytest.param(fastnn, id="fastnn"), pytest.param(torch, id="torch")]


def logging_class(library: Any) -> tuple[Any, list[str]]:
    """A subclass of Tensor that notes the names of what it sees."""
    seen: list[str] = []

    class Logged(library.Tensor):  # type: ignore[misc, name-defined]
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(library.overrides.resolve_name(func) or func.__name__)
            return super().__torch_function__(func, types, args, kwargs or {})

    return Logged, seen


CALLS: list[tuple[str, Any]] = [
    ("add", lambda t, x: t.add(x, 1)),
    ("method", lambda t, x: x.add(1)),
    ("operator", lambda t, x: x + 1),
    ("reflected operator", lambda t, x: 2 + x),
    ("reflected sub", lambda t, x: 2 - x),
    ("second argument", lambda t, x: t.ones(2) * x),
    ("comparison", lambda t, x: x == 1),
    ("index", lambda t, x: x[0]),
    ("list", lambda t, x: t.cat([x, t.ones(1)])),
    ("in place", lambda t, x: x.add_(1)),
    ("attribute", lambda t, x: x.reshape(1, 2).T.shape),
    ("shape", lambda t, x: x.shape),
    ("method without arguments", lambda t, x: (x.dim(), x.size(0), x.numel())),
    ("number", lambda t, x: float(x[0]) + int(x[1])),
    ("to", lambda t, x: x.to(t.float64)),
    ("float", lambda t, x: x.double()),
    ("function of nn", lambda t, x: t.nn.functional.relu(x)),
    ("linear", lambda t, x: t.nn.functional.linear(x, t.ones(3, 2))),
    ("sum", lambda t, x: x.sum(dim=0, keepdim=True)),
    ("max", lambda t, x: x.max(0)),
    ("split", lambda t, x: x.split(1)),
    ("detach", lambda t, x: x.detach()),
    ("clone", lambda t, x: x.clone()),
    ("requires_grad_", lambda t, x: x.requires_grad_()),
    ("assignment", lambda t, x: x.__setitem__(0, 5.0)),
    ("grad", lambda t, x: (x.requires_grad_() * 2).sum().backward()),
]  # fmt: skip


def kinds(result: Any, library: Any) -> Any:
    if isinstance(result, (tuple, list)) and not isinstance(result, library.Size):
        return [kinds(one, library) for one in result]
    return (type(result).__name__, tuple(result.shape) if isinstance(result, library.Tensor) else None)


@pytest.mark.parametrize(("name", "call"), CALLS, ids=[c[0] for c in CALLS])
def test_results_of_a_subclass_and_names(name: str, call: Any) -> None:
    found = []
    for library in (fastnn, torch):
        cls, seen = logging_class(library)
        x = library.tensor([1.0, 2.0]).as_subclass(cls)
        result = call(library, x)
        names = [one.replace("fastnn", "torch") for one in seen]
        found.append((kinds(result, library), names))
    assert found[0] == found[1]


@pytest.mark.parametrize("library", LIBRARIES)
def test_objects_that_are_no_tensors(library: Any) -> None:
    class Diagonal:
        def __init__(self, n: int, value: float) -> None:
            self.n, self.value = n, value

        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is library.mean:
                return args[0].value / args[0].n
            if func in (library.add, library.Tensor.add):
                return "added"
            return NotImplemented

    d = Diagonal(4, 2.0)
    assert library.mean(d) == 0.5
    assert library.add(library.ones(4), d) == "added"
    assert library.ones(4) + d == "added"
    with pytest.raises(TypeError, match=r"Multiple dispatch failed for '.*sum'"):
        library.sum(d)
    assert library.overrides.is_tensor_like(d)
    assert library.overrides.has_torch_function((d,))
    assert not library.overrides.has_torch_function((1, library.ones(1), None))


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_subclass_goes_before_its_base(library: Any) -> None:
    order = []

    class Base(library.Tensor):  # type: ignore[misc, name-defined]
        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            order.append(cls.__name__)
            assert set(types) == {Base, Derived}
            return NotImplemented

    class Derived(Base):
        pass

    with pytest.raises(TypeError):
        library.add(library.ones(1).as_subclass(Base), library.ones(1).as_subclass(Derived))
    assert order == ["Derived", "Base"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_parameters_stay_out(library: Any) -> None:
    p = library.nn.Parameter(library.ones(2))
    assert type(p + 1) is library.Tensor
    assert not library.overrides.has_torch_function((p,))


@pytest.mark.parametrize("library", LIBRARIES)
def test_disabling(library: Any) -> None:
    cls, seen = logging_class(library)
    x = library.ones(2).as_subclass(cls)
    with library._C.DisableTorchFunctionSubclass():
        assert type(x + 1) is library.Tensor
        assert not library.overrides.has_torch_function((x,))
    assert not seen
    assert type(x + 1) is cls


@pytest.mark.parametrize("library", LIBRARIES)
def test_modes(library: Any) -> None:
    seen: list[str] = []

    class Log(library.overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(func.__name__)
            return func(*args, **(kwargs or {}))

    with Log():
        library.ones(2).exp()
        with Log():
            library.zeros(1)
    library.ones(2).sin()
    assert seen == ["ones", "exp", "zeros", "zeros"]


@pytest.mark.parametrize("library", LIBRARIES)
def test_own_functions(library: Any) -> None:
    cls, seen = logging_class(library)

    def double(x: Any) -> Any:
        if library.overrides.has_torch_function_unary(x):
            return library.overrides.handle_torch_function(double, (x,), x)
        return x * 2

    assert type(double(library.ones(2).as_subclass(cls))) is cls
    assert [name.rsplit(".", 1)[-1] for name in seen] == ["double"]
    wrapped = library.overrides.wrap_torch_function(lambda x: (x,))(lambda x: x + 1)
    assert type(wrapped(library.ones(1).as_subclass(cls))) is cls


def test_overridable_functions() -> None:
    found = fastnn.overrides.get_overridable_functions()
    assert fastnn.add in found[fastnn]
    assert fastnn.Tensor.add in found[fastnn.Tensor]
    assert fastnn.Tensor.to in found[fastnn.Tensor]
    assert fastnn.overrides.is_tensor_method_or_property(fastnn.Tensor.T.__get__)
    assert fastnn.overrides.resolve_name(fastnn.nn.functional.relu) == "torch.nn.functional.relu"


def test_gradients_through_a_subclass() -> None:
    class Sub(fastnn.Tensor):
        pass

    x = fastnn.ones(3).as_subclass(Sub).requires_grad_()
    y = (x * 3).sum()
    assert type(y) is Sub
    y.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3.0, 3.0, 3.0]


def test_no_mode_is_left_on_after_an_error() -> None:
    class Fail(fastnn.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            raise KeyError("no")

    with pytest.raises(KeyError), Fail():
        fastnn.ones(1)
    assert fastnn.ones(1).item() == 1.0


def test_modes_see_numbers_on_the_left_and_attributes():
    seen = []

    def names(T):
        class Watch(T.overrides.TorchFunctionMode):
            def __torch_function__(self, function, types, args=(), kwargs=None):
                owner = getattr(function, "__self__", None)
                name = function.__name__.replace("__rdiv__", "__rtruediv__")
                seen.append(f"{owner.__name__}.{name}" if name == "__get__" else name)
                return function(*args, **(kwargs or {}))

        seen.clear()
        x = T.full((2, 3), 2.0)
        with Watch():
            results = 1 - x, 1 / x, 3**x, x.T, x.mT, x.shape
        return list(seen), [one.tolist() if isinstance(one, T.Tensor) else tuple(one) for one in results]

    torch = pytest.importorskip("torch")
    assert names(fastnn) == names(torch)
