"""The backward graph from Python, products with Jacobians, forward mode, custom functions; against PyTorch."""

from __future__ import annotations

from typing import Any

import pytest

import fastnn
from fastnn.autograd import forward_ad, graph

torch = pytest.importorskip("torch")
LIBRARIES = [pytest.param(fastnn, id="fastnn"), pytest.param(torch, id="torch")]


def numbers(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [numbers(one) for one in value]
    return None if value is None else (tuple(value.shape), value.detach().flatten().tolist())


def agree(ours: Any, theirs: Any) -> None:
    ours, theirs = numbers(ours), numbers(theirs)

    def compare(a: Any, b: Any) -> None:
        assert type(a) is type(b)
        if isinstance(a, tuple):
            assert a[0] == b[0]
            assert a[1] == pytest.approx(b[1], rel=1e-9, abs=1e-12)
        elif isinstance(a, list):
            assert len(a) == len(b)
            for x, y in zip(a, b, strict=True):
                compare(x, y)

    compare(ours, theirs)


# --- nodes and edges ---------------------------------------------------------------------------------------------------

NAMES: list[Any] = [
    lambda t, x: x + 1, lambda t, x: x * x, lambda t, x: x / x, lambda t, x: x - x, lambda t, x: -x, lambda t, x: x**2,
    lambda t, x: x.exp(), lambda t, x: x.sum(), lambda t, x: x.sum(0), lambda t, x: x.mean(), lambda t, x: x.mean(0),
    lambda t, x: x @ x, lambda t, x: t.mv(x, x[0]), lambda t, x: t.dot(x[0], x[0]), lambda t, x: x.relu(),
    lambda t, x: x.sigmoid(), lambda t, x: x.tanh(), lambda t, x: x.view(-1), lambda t, x: x.reshape(-1),
    lambda t, x: x.transpose(0, 1), lambda t, x: x.permute(1, 0), lambda t, x: x.unsqueeze(0), lambda t, x: x[0],
    lambda t, x: x[:1], lambda t, x: x.clone(), lambda t, x: t.cat([x, x]), lambda t, x: x.softmax(0),
    lambda t, x: x.log_softmax(0), lambda t, x: x.max(), lambda t, x: x.max(0)[0], lambda t, x: x.std(),
    lambda t, x: x.abs(), lambda t, x: x.sqrt(), lambda t, x: x.log(), lambda t, x: t.where(x > 0, x, x),
    lambda t, x: x.clamp(0, 1), lambda t, x: x.masked_fill(x > 0, 0.0), lambda t, x: x.gather(0, t.tensor([[0, 1]])),
    lambda t, x: t.nn.functional.linear(x, x), lambda t, x: t.nn.functional.linear(x, x, x[0]),
    lambda t, x: t.nn.functional.gelu(x), lambda t, x: t.nn.functional.mse_loss(x, x),
    lambda t, x: t.nn.functional.conv2d(x[None, None], x[None, None]),
    lambda t, x: t.nn.functional.max_pool2d(x[None], 2), lambda t, x: t.nn.functional.layer_norm(x, (2,)),
    lambda t, x: t.nn.functional.batch_norm(x, None, None, training=True),
    lambda t, x: t.nn.functional.embedding(t.tensor([0]), x), lambda t, x: x.clone().add_(1),
    lambda t, x: x.clone().mul_(2), lambda t, x: x.cumsum(0), lambda t, x: x.expand(2, 2, 2), lambda t, x: x.norm(),
    lambda t, x: x.logsumexp(0), lambda t, x: x.prod(), lambda t, x: x.sort()[0], lambda t, x: x.topk(1)[0],
    lambda t, x: t.bmm(x[None], x[None]), lambda t, x: t.addmm(x, x, x), lambda t, x: x.index_select(0, t.tensor([0])),
]  # fmt: skip


@pytest.mark.parametrize("make", NAMES, ids=range(len(NAMES)))
def test_names_of_nodes(make: Any) -> None:
    found = []
    for library in (fastnn, torch):
        x = library.tensor([[0.5, 2.0], [1.0, 3.0]], requires_grad=True)
        node = make(library, x).grad_fn
        found.append(node.name())
    assert found[0] == found[1]


@pytest.mark.parametrize("library", LIBRARIES)
def test_nodes(library: Any) -> None:
    x = library.ones(2, requires_grad=True)
    node = (x * 3).grad_fn
    assert isinstance(node, library.autograd.graph.Node)
    (below, slot), (constant, _) = node.next_functions
    assert (below.name(), slot, constant) == ("torch::autograd::AccumulateGrad", 0, None)
    assert below.variable is x
    node.metadata["note"] = 1
    assert node.metadata == {"note": 1}
    assert below == (x + 1).grad_fn.next_functions[0][0]
    assert hash(below) == hash((x + 1).grad_fn.next_functions[0][0])
    with pytest.raises(AttributeError):
        node.nothing  # noqa: B018


@pytest.mark.parametrize("library", LIBRARIES)
def test_hooks_of_nodes(library: Any) -> None:
    x = library.ones(2, requires_grad=True)
    y = (x * 3).sum()
    node = y.grad_fn.next_functions[0][0]
    seen = []
    pre = node.register_prehook(lambda outputs: (outputs[0] * 2,))
    node.register_hook(lambda inputs, outputs: seen.append((inputs[0].tolist(), outputs[0].tolist())))
    y.backward(retain_graph=True)
    assert seen == [([6.0, 6.0], [2.0, 2.0])]
    pre.remove()
    y.backward()
    assert x.grad.tolist() == [9.0, 9.0]


@pytest.mark.parametrize("library", LIBRARIES)
def test_gradient_edges(library: Any) -> None:
    edge_of = library.autograd.graph.get_gradient_edge
    x = library.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    z = (y**2).sum()
    edge = edge_of(y)
    assert edge.output_nr == 0
    assert library.autograd.grad(z, edge, retain_graph=True)[0].tolist() == [4.0, 8.0]
    assert library.autograd.grad(z, [edge_of(x), edge], retain_graph=True)[0].tolist() == [8.0, 16.0]
    root = edge_of(z)
    library.autograd.backward(root, library.tensor(1.0), retain_graph=True)
    assert x.grad.tolist() == [8.0, 16.0]
    library.autograd.backward(z, inputs=[edge_of(x)])
    assert x.grad.tolist() == [16.0, 32.0]
    with pytest.raises(RuntimeError):
        edge_of(library.ones(1))


# --- hooks on saved tensors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
def test_saved_tensors_hooks(library: Any) -> None:
    packed: list[Any] = []

    def pack(tensor: Any) -> int:
        packed.append(tensor.detach().clone() * 10)
        return len(packed) - 1

    x = library.tensor([1.0, 2.0], requires_grad=True)
    with library.autograd.graph.saved_tensors_hooks(pack, lambda i: packed[i]):
        y = x.exp()
        z = (x * x).sum() + y.sum()
    z.backward()
    assert len(packed) == 3
    assert x.grad.tolist() == pytest.approx([20 + 27.1828182, 40 + 73.890561])


@pytest.mark.parametrize("library", LIBRARIES)
def test_second_derivatives_through_hooks(library: Any) -> None:
    x = library.tensor([1.0, 2.0], dtype=library.float64, requires_grad=True)
    with library.autograd.graph.saved_tensors_hooks(lambda t: t.numpy().copy(), library.from_numpy):
        y = (x**3).sin().exp() * x
    (first,) = library.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = library.autograd.grad(first.sum(), x)
    a = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(((a**3).sin().exp() * a).sum(), a, create_graph=True)
    (expected2,) = torch.autograd.grad(expected.sum(), a)
    assert second.tolist() == pytest.approx(expected2.tolist())


@pytest.mark.parametrize("library", LIBRARIES)
def test_hooks_nest_and_can_be_refused(library: Any) -> None:
    names: list[str] = []
    hooks = library.autograd.graph.saved_tensors_hooks

    def named(name: str) -> Any:
        return hooks(lambda t: names.append(name) or t, lambda t: t)

    x = library.ones(1, requires_grad=True)
    with named("outer"):
        with named("inner"):
            x.exp()
        x.exp()
    x.exp()
    assert names == ["inner", "outer"]
    with library.autograd.graph.disable_saved_tensors_hooks("not here"):
        with pytest.raises(RuntimeError, match="not here"), named("refused"):
            pass
    with named("fine"):
        x.exp()
    assert names[-1] == "fine"


@pytest.mark.parametrize("library", LIBRARIES)
def test_pack_hooks_must_not_write(library: Any) -> None:
    x = library.ones(1, requires_grad=True)
    with pytest.raises(RuntimeError, match="modifying its input"):
        with library.autograd.graph.saved_tensors_hooks(lambda t: t.add_(1), lambda t: t):
            x.clone().exp()


@pytest.mark.parametrize("library", LIBRARIES)
def test_custom_functions_save_through_hooks(library: Any) -> None:
    class Square(library.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient * 2 * ctx.saved_tensors[0]

    x = library.tensor([3.0], requires_grad=True)
    with library.autograd.graph.saved_tensors_hooks(lambda t: t * 2, lambda t: t):
        y = Square.apply(x)
    y.backward()
    assert x.grad.tolist() == [12.0]
    assert Square.apply(x).grad_fn.saved_tensors[0].tolist() == [3.0]
    assert Square.apply(x).grad_fn.name() == "SquareBackward"


@pytest.mark.parametrize("library", LIBRARIES)
def test_multi_grad_hooks(library: Any) -> None:
    tensors = [library.ones(1, requires_grad=True) for _ in range(3)]
    a, b, c = tensors
    d = a * 2
    seen: list[Any] = []
    register = library.autograd.graph.register_multi_grad_hook
    handle = register((a, b, c, d), lambda grads: seen.append([None if g is None else g.item() for g in grads]))
    (d + b * 3).sum().backward()
    assert seen == [[2.0, 3.0, None, 1.0]]
    handle.remove()
    (a * b).sum().backward()
    assert len(seen) == 1
    register((a, b), lambda grad: seen.append(grad.item()), mode="any")
    (a + b).sum().backward()
    assert seen[1:] == [1.0]
    with pytest.raises((RuntimeError, AssertionError)):
        register((library.ones(1),), print)
    with pytest.raises(ValueError, match="mode"):
        register((a,), print, mode="some")


def test_versions_and_mutation() -> None:
    x = fastnn.ones(2, requires_grad=True)
    y = x.clone()
    z = (y**2).sum()
    graph.increment_version(y)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        z.backward()
    with graph.allow_mutation_on_saved_tensors():
        y = x.clone()
        z = (y**2).sum()
        y.zero_()
    z.backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2.0, 2.0]
    with graph.save_on_cpu():
        (x**2).sum().backward()
    assert x.grad.tolist() == [4.0, 4.0]


# --- products with Jacobians -------------------------------------------------------------------------------------------


def one(t: Any, x: Any) -> Any:
    return x.exp() * x.sum()


def many(t: Any, x: Any, y: Any) -> Any:
    return (x * y[:2]).sin(), t.outer(x, y)


def scalar(t: Any, x: Any, y: Any) -> Any:
    return (x.sin().sum() * y**2).sum()


CALLS: list[Any] = [
    lambda A, t, x, y: A.jacobian(lambda a: one(t, a), x),
    lambda A, t, x, y: A.jacobian(lambda a, b: many(t, a, b), (x, y)),
    lambda A, t, x, y: A.jacobian(lambda a, b: many(t, a, b), (x, y), vectorize=True),
    lambda A, t, x, y: A.jacobian(lambda a: one(t, a), x, vectorize=True, strategy="forward-mode"),
    lambda A, t, x, y: A.jacobian(lambda a: one(t, a), (x,), create_graph=True),
    lambda A, t, x, y: A.jacobian(lambda a, b: a * 2, (x, y)),
    lambda A, t, x, y: A.hessian(lambda a: one(t, a).sum(), x),
    lambda A, t, x, y: A.hessian(lambda a, b: scalar(t, a, b), (x, y)),
    lambda A, t, x, y: A.hessian(lambda a, b: a.sum(), (x, y)),
    lambda A, t, x, y: A.vjp(lambda a: one(t, a), x, x),
    lambda A, t, x, y: A.vjp(lambda a: a.prod(), x),
    lambda A, t, x, y: A.vjp(lambda a, b: many(t, a, b), (x, y), (x, t.outer(x, y))),
    lambda A, t, x, y: A.jvp(lambda a: one(t, a), x, x),
    lambda A, t, x, y: A.jvp(lambda a, b: many(t, a, b), (x, y), (x, y)),
    lambda A, t, x, y: A.jvp(lambda a: t.stack([a, a * 2]), x[0]),
    lambda A, t, x, y: A.vhp(lambda a, b: scalar(t, a, b), (x, y), (x, y)),
    lambda A, t, x, y: A.hvp(lambda a, b: scalar(t, a, b), (x, y), (x, y)),
    lambda A, t, x, y: A.hvp(lambda a: (a**3).sum(), x, x, create_graph=True),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
@pytest.mark.filterwarnings("ignore")
def test_functional(call: Any) -> None:
    results = []
    for library in (fastnn, torch):
        x = library.tensor([0.5, 1.5], dtype=library.float64)
        y = library.tensor([1.0, 2.0, 3.0], dtype=library.float64)
        results.append(call(library.autograd.functional, library, x, y))
    agree(*results)


def test_functional_results_are_differentiable() -> None:
    for library in (fastnn, torch):
        x = library.tensor([0.5, 1.5], dtype=library.float64, requires_grad=True)
        A = library.autograd.functional
        for make in (
            lambda A=A, x=x: A.jacobian(lambda a: a**3, x, create_graph=True).sum(),
            lambda A=A, x=x: A.jvp(lambda a: a**3, x, x.detach(), create_graph=True)[1].sum(),
            lambda A=A, x=x: A.vhp(lambda a: (a**4).sum(), x, x.detach(), create_graph=True)[1].sum(),
        ):
            (gradient,) = library.autograd.grad(make(), x)
            assert gradient.abs().sum().item() > 0
        assert not A.jacobian(lambda a: a**3, x).requires_grad


ERRORS: list[Any] = [
    lambda A, t, x: A.jacobian(lambda a: 1.0, x),
    lambda A, t, x: A.jacobian(lambda a: a, [1.0]),
    lambda A, t, x: A.vjp(lambda a: a, x),
    lambda A, t, x: A.vjp(lambda a: a, x, t.ones(5)),
    lambda A, t, x: A.jvp(lambda a: a, x),
    lambda A, t, x: A.jvp(lambda a: a, x, (x, x)),
    lambda A, t, x: A.hessian(lambda a: a, x),
    lambda A, t, x: A.hvp(lambda a: (a, a), x, x),
    lambda A, t, x: A.jacobian(lambda a: t.ones(2), x, strict=True),
    lambda A, t, x: A.jacobian(lambda a, b: a, (x, x), strict=True),
    lambda A, t, x: A.vjp(lambda a, b: a, (x, x), x, strict=True),
    lambda A, t, x: A.hessian(lambda a: a.sum(), x, strict=True),
    lambda A, t, x: A.hvp(lambda a: a.sum(), x, x, strict=True),
    lambda A, t, x: A.jacobian(lambda a: a, x, strict=True, vectorize=True),
    lambda A, t, x: A.jacobian(lambda a: a, x, strategy="forward-mode"),
    lambda A, t, x: A.jacobian(lambda a: a, x, strategy="sideways"),
]  # fmt: skip


@pytest.mark.parametrize("call", ERRORS, ids=range(len(ERRORS)))
def test_errors_of_functional(call: Any) -> None:
    kinds = []
    for library in (fastnn, torch):
        with pytest.raises(Exception) as caught:
            call(library.autograd.functional, library, library.ones(2))
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


def test_batched_gradients() -> None:
    results = []
    for library in (fastnn, torch):
        x = library.tensor([1.0, 2.0], dtype=library.float64, requires_grad=True)
        y = x**2 * x.sum()
        eye = library.eye(2, dtype=library.float64)
        results.append(library.autograd.grad(y, x, eye, is_grads_batched=True))
    agree(*results)


# --- forward mode ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.filterwarnings("ignore")
def test_dual_tensors(library: Any) -> None:
    ad = library.autograd.forward_ad
    x, v = library.tensor([1.0, 2.0]), library.tensor([3.0, 4.0])
    with ad.dual_level():
        dual = ad.make_dual(x, v)
        value, tangent = ad.unpack_dual(dual)
        assert (value.tolist(), tangent.tolist()) == ([1.0, 2.0], [3.0, 4.0])
        result = ad.unpack_dual(dual**2 + x)
        assert (result.primal.tolist(), result.tangent.tolist()) == ([2.0, 6.0], [6.0, 16.0])
        assert ad.unpack_dual(x).tangent is None
        with pytest.raises(RuntimeError), ad.dual_level():
            pass
    with pytest.raises(RuntimeError):
        ad.make_dual(x, v)
    assert ad.unpack_dual(x).tangent is None


def test_dual_tensors_of_several_inputs() -> None:
    with forward_ad.dual_level():
        a = forward_ad.make_dual(fastnn.tensor(2.0), fastnn.tensor(1.0))
        b = forward_ad.make_dual(fastnn.tensor(3.0), fastnn.tensor(10.0))
        assert forward_ad.unpack_dual(a * b).tangent.item() == 23.0  # type: ignore[union-attr]


# --- custom functions --------------------------------------------------------------------------------------------------


def functions(library: Any) -> dict[str, Any]:
    class Ctx(library.autograd.Function):  # type: ignore[misc, name-defined]
        """One form."""

        @staticmethod
        def forward(ctx: Any, x: Any, y: Any, k: float) -> Any:
            ctx.save_for_backward(x, y)
            ctx.k = k
            return x * y * k, x + y

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            x, y = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, True, False)
            return g * y * ctx.k + h, g * x * ctx.k + h, None

    class Setup(library.autograd.Function):  # type: ignore[misc, name-defined]
        """The other form."""

        generate_vmap_rule = True

        @staticmethod
        def forward(x: Any, y: Any, k: float) -> Any:
            return x * y * k, x + y

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            x, y, ctx.k = inputs
            ctx.save_for_backward(x, y)
            ctx.save_for_forward(x, y)
            ctx.set_materialize_grads(False)

        @staticmethod
        def backward(ctx: Any, g: Any, h: Any) -> Any:
            x, y = ctx.saved_tensors
            dx = dy = None
            if g is not None:
                dx, dy = g * y * ctx.k, g * x * ctx.k
            if h is not None:
                dx, dy = h if dx is None else dx + h, h if dy is None else dy + h
            return dx, dy, None

    class OwnVmap(library.autograd.Function):  # type: ignore[misc, name-defined]
        """With its own rule for vmap."""

        @staticmethod
        def forward(x: Any, y: Any) -> Any:
            return x * y

        @staticmethod
        def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
            ctx.save_for_backward(*inputs)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, y = ctx.saved_tensors
            return g * y, g * x

        @staticmethod
        def vmap(info: Any, in_dims: Any, x: Any, y: Any) -> Any:
            assert info.batch_size == 3
            x = x.movedim(in_dims[0], 0) if in_dims[0] is not None else x.expand(3, *x.shape)
            y = y.movedim(in_dims[1], 0) if in_dims[1] is not None else y.expand(3, *y.shape)
            return OwnVmap.apply(x, y), 0

    return {"ctx": Ctx, "setup": Setup, "vmap": OwnVmap}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("form", ["ctx", "setup"])
def test_forms_of_custom_functions(library: Any, form: str) -> None:
    function = functions(library)[form]
    x, y = library.tensor([1.0, 2.0], requires_grad=True), library.tensor([3.0, 4.0], requires_grad=True)
    a, b = function.apply(x, y, 2.0)
    assert library.autograd.grad(a.sum(), (x, y), retain_graph=True)[0].tolist() == [6.0, 8.0]
    assert library.autograd.grad(b.sum(), (x, y), retain_graph=True)[1].tolist() == [1.0, 1.0]
    (first,) = library.autograd.grad(a.sum() ** 2, x, create_graph=True)
    assert library.autograd.grad(first.sum(), x)[0].tolist() == [168.0, 224.0]


@pytest.mark.parametrize("form", ["setup", "vmap"])
def test_custom_functions_under_vmap(form: str) -> None:
    results = []
    for library in (fastnn, torch):
        function = functions(library)[form]
        rest = (2.0,) if form == "setup" else ()

        def call(x: Any, y: Any, function: Any = function, rest: Any = rest) -> Any:
            result = function.apply(x, y, *rest)
            return result[0] * result[1] if isinstance(result, tuple) else result

        x = library.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], dtype=library.float64, requires_grad=True)
        y = library.tensor([0.5, 1.5], dtype=library.float64, requires_grad=True)
        out = library.vmap(call, in_dims=(0, None))(x, y)
        per_sample = library.vmap(library.func.grad(lambda b, a, call=call: call(a, b).sum()), in_dims=(None, 0))(
            y.detach(), x.detach()
        )
        results.append((out, *library.autograd.grad((out**2).sum(), (x, y)), per_sample))
    agree(*results)


@pytest.mark.parametrize("library", LIBRARIES)
def test_custom_functions_without_a_rule_for_vmap(library: Any) -> None:
    with pytest.raises(RuntimeError):
        library.vmap(lambda x: functions(library)["ctx"].apply(x, x, 1.0))(library.ones(3))


@pytest.mark.parametrize("library", LIBRARIES)
def test_marks(library: Any) -> None:
    class Dirty(library.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.mark_dirty(x)
            return x.mul_(3)

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3

    class Discrete(library.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            places, double = x.round(), x * 2
            ctx.mark_non_differentiable(places)
            return double, places

        @staticmethod
        def backward(ctx: Any, g: Any, none: Any) -> Any:
            assert none is None or none.sum().item() == 0
            return g * 2

    x = library.ones(2, requires_grad=True)
    y = x.clone()
    z = Dirty.apply(y)
    assert z is y
    z.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    a, b = Discrete.apply(x)
    assert (a.requires_grad, b.requires_grad) == (True, False)
    with pytest.raises(RuntimeError, match="leaf"):
        Dirty.apply(x)


@pytest.mark.parametrize("library", LIBRARIES)
def test_record_function(library: Any) -> None:
    with library.autograd.profiler.record_function("part"):
        assert (library.ones(1) + 1).item() == 2.0


# --- gradcheck ---------------------------------------------------------------------------------------------------------


def wrong(library: Any) -> Any:
    class Wrong(library.autograd.Function):  # type: ignore[misc, name-defined]
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3 * ctx.saved_tensors[0]

    return Wrong.apply


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("fast_mode", [False, True])
def test_gradcheck(library: Any, fast_mode: bool) -> None:
    check = library.autograd.gradcheck
    x = library.tensor([[0.5, 2.0], [1.0, -1.0]], dtype=library.float64, requires_grad=True)
    y = library.tensor([0.3, 0.7], dtype=library.float64, requires_grad=True)
    assert check(lambda a, b: (a.exp() * b, a.sum()), (x, y), fast_mode=fast_mode, check_grad_dtypes=True)
    assert library.autograd.gradgradcheck(lambda a: a**3, (x,), fast_mode=fast_mode)
    assert not check(wrong(library), (x,), fast_mode=fast_mode, raise_exception=False)
    with pytest.raises(library.autograd.gradcheck.__globals__["GradcheckError"]):
        check(wrong(library), (x,), fast_mode=fast_mode)
    with pytest.raises(RuntimeError, match="stride 0"):
        check(lambda a: a * 2, (y.detach().expand(2, 2).requires_grad_(),), fast_mode=fast_mode)
    with pytest.raises(ValueError, match="at least one input"):
        check(lambda a: a, (library.ones(1),))


def test_gradcheck_of_forward_mode() -> None:
    x = fastnn.tensor([0.5, 2.0], dtype=fastnn.float64, requires_grad=True)
    assert fastnn.autograd.gradcheck(lambda a: a.sin(), (x,), check_forward_ad=True)
    assert fastnn.autograd.gradgradcheck(lambda a: a.sin(), (x,), check_fwd_over_rev=True)
    with pytest.raises(fastnn.autograd.GradcheckError, match="forward"):
        fastnn.autograd.gradcheck(wrong(fastnn), (x,), check_forward_ad=True, check_backward_ad=False)
    with pytest.warns(UserWarning, match="double precision"):
        fastnn.autograd.gradcheck(lambda a: a, (fastnn.ones(1, requires_grad=True),), raise_exception=False)
