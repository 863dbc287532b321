"""fastnn.func: transforms of functions against PyTorch's, and vmap against a loop."""

from __future__ import annotations

import functools
from typing import Any

import pytest

import fastnn
from fastnn import func, nn, vmap
from fastnn.func import functional_call, grad, grad_and_value, linearize
from fastnn.nn import functional as F

torch = pytest.importorskip("torch")


def values(*shape: int, dtype: str = "float64", seed: int = 0) -> tuple[Any, Any]:
    """The same numbers for both libraries."""
    generator = torch.Generator().manual_seed(seed + sum(shape))
    theirs = torch.randn(*shape, dtype=torch.float64, generator=generator)
    theirs = theirs.to(getattr(torch, dtype))
    return fastnn.from_numpy(theirs.numpy().copy()), theirs


def same(ours: Any, theirs: Any, tolerance: float = 1e-9) -> None:
    if isinstance(theirs, torch.Tensor):
        assert isinstance(ours, fastnn.Tensor)
        assert tuple(ours.shape) == tuple(theirs.shape)
        assert str(ours.dtype) == str(theirs.dtype)
        torch.testing.assert_close(
            torch.from_numpy(ours.detach().contiguous().numpy()), theirs.detach(), rtol=tolerance, atol=tolerance
        )
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            same(ours[key], theirs[key], tolerance)
    elif isinstance(theirs, (tuple, list)):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            same(one, other, tolerance)
    else:
        assert ours == theirs


# --- vmap: every rule -----------------------------------------------------------------------------------------------

# (what, shapes of one example's arguments, function of the library and the arguments)
RULES: list[tuple[str, list[tuple[int, ...]], Any]] = [
    ("add", [(3, 4), (4,)], lambda t, a, b: a + b),
    ("scalar", [(3,)], lambda t, a: 2 - a * 3),
    ("where", [(3, 4), (4,)], lambda t, a, b: t.where(a > 0, a, b)),
    ("clamp", [(3,)], lambda t, a: a.clamp(-0.5, 0.5)),
    ("lerp", [(3,), (3,)], lambda t, a, b: t.lerp(a, b, 0.3)),
    ("masked_fill", [(3, 4)], lambda t, a: a.masked_fill(a > 0, 1.5)),
    ("in place", [(3, 4), (4,)], lambda t, a, b: a.clone().mul_(b).add_(1)),
    ("sum", [(3, 4)], lambda t, a: a.sum()),
    ("sum dim", [(3, 4)], lambda t, a: a.sum(0)),
    ("sum negative dim", [(3, 4)], lambda t, a: a.sum(-1, keepdim=True)),
    ("sum of a number", [()], lambda t, a: a.sum() + a.mean(0)),
    ("mean dims", [(3, 4, 2)], lambda t, a: a.mean((0, 2))),
    ("std", [(3, 4)], lambda t, a: a.std(1) + a.var(1, unbiased=False) + a.std()),
    ("var_mean", [(3, 4)], lambda t, a: t.var_mean(a, 0)),
    ("norm", [(3, 4)], lambda t, a: a.norm() + a.norm(dim=1).sum() + a.norm(p=1)),
    ("vector_norm", [(3, 4)], lambda t, a: t.linalg.vector_norm(a, dim=1)),
    ("prod", [(3, 4)], lambda t, a: a.prod() + a.prod(0).sum()),
    ("amax", [(3, 4)], lambda t, a: a.amax() + a.amin(1).sum()),
    ("max", [(3, 4)], lambda t, a: (a.max(), a.max(1), a.min(0, keepdim=True))),
    ("max of two", [(3, 4), (3, 4)], lambda t, a, b: t.max(a, b)),
    ("median", [(3, 5)], lambda t, a: (a.median(), a.median(1))),
    ("argmax", [(3, 4)], lambda t, a: (a.argmax(), a.argmax(1), a.argmin(0, keepdim=True))),
    ("logsumexp", [(3, 4)], lambda t, a: a.logsumexp(1)),
    ("all", [(3, 4)], lambda t, a: ((a > 0).all(), (a > 0).any(1))),
    ("softmax", [(3, 4)], lambda t, a: a.softmax(-1) + t.log_softmax(a, 0)),
    ("softmax of a number", [()], lambda t, a: a.softmax(0)),
    ("implicit softmax", [(3, 4)], lambda t, a: t.nn.functional.softmax(a, dim=1)),
    ("cumsum", [(3, 4)], lambda t, a: a.cumsum(1) + a.cumprod(0) + a.logcumsumexp(0)),
    ("cummax", [(3, 4)], lambda t, a: a.cummax(1)),
    ("sort", [(3, 4)], lambda t, a: (a.sort(), a.sort(0, descending=True), a.argsort(1))),
    ("topk", [(3, 4)], lambda t, a: a.topk(2)),
    ("kthvalue", [(3, 4)], lambda t, a: a.kthvalue(2, 1)),
    ("diff", [(3, 4)], lambda t, a: a.diff()),
    ("flip", [(3, 4)], lambda t, a: a.flip(0) + a.flip((0, 1))),
    ("roll", [(3, 4)], lambda t, a: a.roll(1) + a.roll(1, 0)),
    ("reshape", [(3, 4)], lambda t, a: a.reshape(2, 6).view(-1).view(4, 3)),
    ("expand", [(3, 1)], lambda t, a: a.expand(2, 3, 5)),
    ("broadcast_to", [(3, 1)], lambda t, a: t.broadcast_to(a, (2, 3, 5))),
    ("repeat", [(3, 2)], lambda t, a: a.repeat(2, 1, 2).sum(0) + a.tile((2,)).sum()),
    ("permute", [(3, 4, 2)], lambda t, a: a.permute(2, 0, 1).transpose(0, -1)),
    ("t", [(3, 4)], lambda t, a: (a.t(), a.T, a.mT)),
    ("movedim", [(3, 4, 2)], lambda t, a: a.movedim(0, -1)),
    ("flatten", [(3, 4, 2)], lambda t, a: (a.flatten(), a.flatten(1))),
    ("unflatten", [(3, 4)], lambda t, a: a.unflatten(1, (2, 2))),
    ("squeeze", [(1, 3, 1)], lambda t, a: (a.squeeze(), a.squeeze(0), a.squeeze(1))),
    ("unsqueeze", [(3,)], lambda t, a: (a.unsqueeze(0), a.unsqueeze(-1))),
    ("unsqueeze a number", [()], lambda t, a: a.unsqueeze(0)),
    ("diagonal", [(3, 4)], lambda t, a: (a.diagonal(), a.tril(), a.triu(1), a.trace())),
    ("cat", [(3, 4), (2, 4)], lambda t, a, b: t.cat([a, b])),
    ("stack", [(3, 4), (3, 4)], lambda t, a, b: t.stack([a, b], 1)),
    ("split", [(4, 6)], lambda t, a: (a.split(2), a.chunk(3, 1), a.unbind(0))),
    ("narrow", [(4, 6)], lambda t, a: a.narrow(1, 2, 3) + a.select(0, 1)[:3]),
    ("unfold", [(4, 6)], lambda t, a: a.unfold(1, 3, 2)),
    ("new", [(3,)], lambda t, a: (a.new_zeros(2), t.zeros_like(a), a.new_full((2,), 3.0))),
    ("to", [(3,)], lambda t, a: a.to(t.float32) + a.float()),
    ("index", [(4, 5)], lambda t, a: (a[0], a[1:3, -1], a[..., None, 2], a[:, [0, 2]], a[t.tensor([1, 0])])),
    ("two arrays", [(4, 5)], lambda t, a: a[t.tensor([1, 0]), t.tensor([2, 3])]),
    ("arrays apart", [(4, 5, 6)], lambda t, a: a[t.tensor([1, 0]), :, t.tensor([2, 3])]),
    ("index with own", [(4, 5), (3,)], lambda t, a, b: a[(b > 0).long()] + a[:, (b > 0).long()].sum()),
    ("gather", [(4, 5)], lambda t, a: a.gather(1, a.argsort(1))),
    ("scatter", [(4, 5)], lambda t, a: t.zeros_like(a).scatter(1, a.argsort(1), a).scatter_add(0, a.argsort(0), a)),
    ("index_select", [(4, 5)], lambda t, a: a.index_select(1, t.tensor([0, 3]))),
    ("index_select own", [(4, 5)], lambda t, a: a.index_select(0, a[:, 0].argsort())),
    ("take_along_dim", [(4, 5)], lambda t, a: a.take_along_dim(a.argsort(1), 1)),
    ("matmul", [(3, 4), (4, 5)], lambda t, a, b: a @ b),
    ("matmul vectors", [(4,), (4,)], lambda t, a, b: (a @ b, t.dot(a, b), t.outer(a, b))),
    ("matmul matrix vector", [(3, 4), (4,)], lambda t, a, b: (a @ b, t.mv(a, b), b @ a.t())),
    ("matmul batches", [(2, 3, 4), (4, 5)], lambda t, a, b: a @ b),
    ("bmm", [(2, 3, 4), (2, 4, 5)], lambda t, a, b: t.bmm(a, b)),
    ("addmm", [(5,), (3, 4), (4, 5)], lambda t, a, b, c: t.addmm(a, b, c, beta=0.5, alpha=2)),
    ("einsum", [(3, 4), (4, 5)], lambda t, a, b: t.einsum("ij,jk->ik", a, b) + t.einsum("ij,jk", a, b)),
    ("tensordot", [(3, 4), (4, 5)], lambda t, a, b: t.tensordot(a, b, 1)),
    ("linear", [(2, 4), (5, 4), (5,)], lambda t, a, b, c: t.nn.functional.linear(a, b, c)),
    ("linear vector", [(4,), (5, 4)], lambda t, a, b: t.nn.functional.linear(a, b)),
    ("conv1d", [(2, 3, 8), (4, 3, 3), (4,)], lambda t, a, b, c: t.nn.functional.conv1d(a, b, c, padding=1)),
    ("conv2d", [(2, 4, 6, 6), (6, 2, 3, 3)], lambda t, a, b: t.nn.functional.conv2d(a, b, stride=2, groups=2)),
    ("conv2d single", [(2, 6, 6), (3, 2, 3, 3)], lambda t, a, b: t.nn.functional.conv2d(a, b, padding="same")),
    ("conv_transpose", [(2, 4, 5), (4, 3, 3)], lambda t, a, b: t.nn.functional.conv_transpose1d(a, b, stride=2)),
    ("max_pool2d", [(2, 3, 6, 6)], lambda t, a: t.nn.functional.max_pool2d(a, 2)),
    ("avg_pool1d", [(3, 6)], lambda t, a: t.nn.functional.avg_pool1d(a, 2)),
    ("adaptive_avg_pool2d", [(2, 3, 6, 6)], lambda t, a: t.nn.functional.adaptive_avg_pool2d(a, 2)),
    ("pad", [(2, 3, 6)], lambda t, a: (t.nn.functional.pad(a, (1, 2)), t.nn.functional.pad(a, (1, 1), "reflect"))),
    ("layer_norm", [(2, 6), (6,), (6,)], lambda t, a, b, c: t.nn.functional.layer_norm(a, (6,), b, c)),
    ("group_norm", [(2, 6, 3), (6,), (6,)], lambda t, a, b, c: t.nn.functional.group_norm(a, 2, b, c)),
    ("batch_norm", [(5, 3, 2), (3,)], lambda t, a, b: t.nn.functional.batch_norm(a, None, None, b, training=True)),
    ("instance_norm", [(2, 3, 5)], lambda t, a: t.nn.functional.instance_norm(a)),
    ("embedding", [(6, 3)], lambda t, a: t.nn.functional.embedding(t.tensor([[0, 5], [2, 2]]), a)),
    ("one_hot", [(4,)], lambda t, a: t.nn.functional.one_hot((a > 0).long(), 3)),
    ("attention", [(2, 4, 6)] * 3, lambda t, a, b, c: t.nn.functional.scaled_dot_product_attention(a, b, c)),
    ("activations", [(3, 4)], lambda t, a: t.nn.functional.gelu(a) + a.relu() + t.nn.functional.silu(a).sigmoid()),
    ("glu", [(3, 4)], lambda t, a: t.nn.functional.glu(a)),
    ("mse_loss", [(3, 4), (3, 4)], lambda t, a, b: t.nn.functional.mse_loss(a, b)),
    ("l1_loss", [(3, 4), (3, 4)], lambda t, a, b: t.nn.functional.l1_loss(a, b, reduction="sum")),
    ("huber", [(3, 4), (3, 4)], lambda t, a, b: t.nn.functional.huber_loss(a, b)),
    ("bce", [(3, 4), (3, 4)], lambda t, a, b: t.nn.functional.binary_cross_entropy_with_logits(a, b.sigmoid())),
    ("cross_entropy", [(3, 4)], lambda t, a: t.nn.functional.cross_entropy(a, t.tensor([0, 3, -100]))),
    ("cross_entropy single", [(4,)], lambda t, a: t.nn.functional.cross_entropy(a, t.tensor(2), label_smoothing=0.1)),
    ("nll_loss", [(3, 4)], lambda t, a: t.nn.functional.nll_loss(a.log_softmax(1), a.argmax(1))),
    ("cosine_similarity", [(3, 4), (3, 4)], lambda t, a, b: t.nn.functional.cosine_similarity(a, b)),
    ("logical", [(3, 4)], lambda t, a: ~(a > 0) | (a < -1)),
    ("loop", [(3, 3), (2, 2)], lambda t, a, b: t.kron(a, b)),
    ("closed over", [(3, 4)], lambda t, a: a @ t.ones(4, 2, dtype=t.float64)),
    ("closed over matrix", [(4,)], lambda t, a: t.ones(2, 4, dtype=t.float64) @ a),
    ("dtype of numbers", [()], lambda t, a: a * t.ones(2, dtype=t.float32)),
    ("meshgrid", [(3,), (2,)], lambda t, a, b: t.meshgrid(a, b, indexing="ij")),
    ("iteration", [(3, 2)], lambda t, a: sum(row for row in a)),
]  # fmt: skip


IN_PLACE = next(row[2] for row in RULES if row[0] == "in place")


@pytest.mark.parametrize("sizes", ["mapped", "first", "last", "nested"])
@pytest.mark.parametrize(("shapes", "function"), [r[1:] for r in RULES], ids=[r[0] for r in RULES])
@pytest.mark.filterwarnings("ignore")
def test_rules(shapes: list[tuple[int, ...]], function: Any, sizes: str) -> None:
    """Each rule with all arguments mapped over, with only one, and twice; values and gradients."""
    count, batch = len(shapes), 3
    if function is IN_PLACE and sizes == "last":
        pytest.skip("writes where there is no room; see test_in_place_without_room")
    if sizes in ("first", "last"):
        if count == 1:
            pytest.skip("one argument")
        chosen = 0 if sizes == "first" else count - 1
        in_dims: Any = tuple(0 if i == chosen else None for i in range(count))
        pairs = [values(*((batch,) if i == chosen else ()), *shape, seed=i) for i, shape in enumerate(shapes)]
    elif sizes == "mapped":
        in_dims = tuple(min(1, len(shape)) for shape in shapes)
        pairs = [values(*shape[:1], batch, *shape[1:], seed=i) for i, shape in enumerate(shapes)]
    else:
        in_dims = 0
        pairs = [values(2, batch, *shape, seed=i) for i, shape in enumerate(shapes)]

    def run(library: Any, mapped: Any, arguments: list[Any]) -> Any:
        body = functools.partial(function, library)
        arguments = [argument.requires_grad_() for argument in arguments]
        if sizes == "nested":
            result = mapped(mapped(body))(*arguments)
        else:
            result = mapped(body, in_dims=in_dims)(*arguments)
        leaves = func_leaves(result)
        total = sum((leaf * (leaf.detach() + 1)).sum() for leaf in leaves if leaf.requires_grad)
        gradients = library.autograd.grad(total, arguments, allow_unused=True) if not isinstance(total, int) else []
        return leaves, [one for one in gradients if one is not None]

    def reference(*arguments: Any) -> Any:
        return run(torch, torch.vmap, list(arguments))

    ours = run(fastnn, vmap, [pair[0] for pair in pairs])
    same(ours, reference(*[pair[1] for pair in pairs]))


def func_leaves(tree: Any) -> list[Any]:
    if isinstance(tree, (tuple, list)):
        return [leaf for one in tree for leaf in func_leaves(one)]
    return [tree]


def test_in_place_without_room() -> None:
    with pytest.raises(RuntimeError, match="vmap: inplace arithmetic"):
        vmap(lambda a, b: a.mul_(b), in_dims=(None, 0))(fastnn.ones(2), fastnn.ones(3, 2))


# --- vmap: arguments --------------------------------------------------------------------------------------------------


def test_dims_of_nested_arguments() -> None:
    (x, tx), (y, ty) = values(3, 2), values(4, 3)

    def body(d: Any, k: int) -> Any:
        return {"s": d["x"] * k, "p": (d["x"].sum() + d["y"][0], d["y"])}

    for out_dims in (0, {"s": 1, "p": (0, -1)}):
        ours = vmap(body, in_dims=({"x": 0, "y": 1}, None), out_dims=out_dims)({"x": x, "y": y}, 2)
        theirs = torch.vmap(body, in_dims=({"x": 0, "y": 1}, None), out_dims=out_dims)({"x": tx, "y": ty}, 2)
        same(ours, theirs)


@pytest.mark.parametrize("chunk_size", [1, 2, 5, 7])
def test_chunks(chunk_size: int) -> None:
    x, tx = values(5, 3)
    same(vmap(lambda a: (a.sum(), a * 2), out_dims=(0, 1), chunk_size=chunk_size)(x), torch.vmap(
        lambda a: (a.sum(), a * 2), out_dims=(0, 1), chunk_size=chunk_size)(tx))  # fmt: skip


ERRORS: list[tuple[Any, Any]] = [
    (lambda t: t.vmap(t.sin, in_dims=None)(t.ones(2)), ValueError),
    (lambda t: t.vmap(t.sin, in_dims=2)(t.ones(2)), ValueError),
    (lambda t: t.vmap(t.sin, in_dims=(0, 0))(t.ones(2)), ValueError),
    (lambda t: t.vmap(t.sin, in_dims="0")(t.ones(2)), ValueError),
    (lambda t: t.vmap(t.add)(t.ones(2), t.ones(3)), ValueError),
    (lambda t: t.vmap(t.add)(t.ones(2), 3), ValueError),
    (lambda t: t.vmap(t.sin)(), ValueError),
    (lambda t: t.vmap(lambda x: 1)(t.ones(2)), ValueError),
    (lambda t: t.vmap(lambda x: x, out_dims=(0, 0))(t.ones(2)), ValueError),
    (lambda t: t.vmap(lambda x: x, out_dims=None)(t.ones(2)), ValueError),
    (lambda t: t.vmap(t.sin, randomness="often"), RuntimeError),
    (lambda t: t.vmap(t.sin, chunk_size=0), ValueError),
    (lambda t: t.vmap(lambda x: x.item())(t.ones(2)), RuntimeError),
    (lambda t: t.vmap(lambda x: x if x > 0 else -x)(t.ones(2)), RuntimeError),
    (lambda t: t.vmap(lambda x: x[x > 0])(t.ones(2, 3)), RuntimeError),
    (lambda t: t.vmap(lambda x: x.sum(2))(t.ones(2, 3)), IndexError),
    (lambda t: t.vmap(t.rand_like)(t.ones(2)), RuntimeError),
    (lambda t: t.vmap(lambda x: x + t.rand(2))(t.ones(2)), RuntimeError),
]  # fmt: skip


@pytest.mark.parametrize("call", [e[0] for e in ERRORS], ids=range(len(ERRORS)))
def test_errors(call: Any) -> None:
    kind = next(error for function, error in ERRORS if function is call)
    for library in (torch, fastnn):
        with pytest.raises(kind):
            call(library)
    assert fastnn.rand(2).shape == (2,)


@pytest.mark.parametrize(
    "draw",
    [
        lambda a: a + fastnn.rand(300),
        lambda a: F.dropout(a, 0.5) + fastnn.rand_like(a),
        lambda a: fastnn.bernoulli(a * 0.5),
        lambda a: a.clone().normal_(),
        lambda a: fastnn.randint(0, 100, (300,)) + a,
    ],
)
@pytest.mark.parametrize("randomness", ["same", "different"])
def test_randomness(draw: Any, randomness: str) -> None:
    result = vmap(draw, randomness=randomness)(fastnn.ones(4, 300))
    assert result.shape == (4, 300)
    assert bool((result[1:] == result[:1]).all()) == (randomness == "same")
    inner = vmap(vmap(draw, randomness="different"), randomness=randomness)(fastnn.ones(2, 4, 300))
    assert not (inner[:, 1:] == inner[:, :1]).all()
    assert bool((inner[0] == inner[1]).all()) == (randomness == "same")


def test_dropout_that_does_nothing_is_not_random() -> None:
    x = fastnn.ones(4, 3)
    assert vmap(lambda a: F.dropout(a, 0.5, training=False))(x).tolist() == x.tolist()


def test_set_items() -> None:
    def body(t: Any, a: Any, b: Any) -> Any:
        out = a.clone()
        out[0] = b
        out[1, 1:] = 5.0
        out[t.tensor([2, 3]), 0] = b[:2]
        return out

    (x, tx), (y, ty) = values(3, 4, 5), values(3, 5)
    same(vmap(functools.partial(body, fastnn))(x, y), torch.vmap(functools.partial(body, torch))(tx, ty))


# --- derivatives ------------------------------------------------------------------------------------------------------


def f(t: Any, x: Any, y: Any) -> Any:
    return (x.sin() * y).sum() + (x**3).prod()


def g(t: Any, x: Any, y: Any) -> Any:
    return {"a": x.exp() * y.sum(), "b": (t.outer(x, y).tanh(),)}


TRANSFORMS: list[tuple[str, Any]] = [
    ("grad", lambda T, t, x, y: T.grad(functools.partial(f, t))(x, y)),
    ("grad argnums", lambda T, t, x, y: T.grad(functools.partial(f, t), argnums=(0, 1))(x, y)),
    ("grad last", lambda T, t, x, y: T.grad(functools.partial(f, t), argnums=-1)(x, y)),
    ("grad aux", lambda T, t, x, y: T.grad(lambda a, b: (f(t, a, b), {"z": a * 2}), has_aux=True)(x, y)),
    ("grad_and_value", lambda T, t, x, y: T.grad_and_value(functools.partial(f, t))(x, y)),
    ("value aux", lambda T, t, x, y: T.grad_and_value(lambda a: (f(t, a, y), a), has_aux=True)(x)),
    ("grad of dict", lambda T, t, x, y: T.grad(lambda d: f(t, d["x"], d["y"]))({"x": x, "y": y})),
    ("unused", lambda T, t, x, y: T.grad(lambda a, b: a.sum(), argnums=(0, 1))(x, y)),
    ("constant", lambda T, t, x, y: T.grad(lambda a: y.sum())(x)),
    ("grad of grad", lambda T, t, x, y: T.grad(lambda a: T.grad(lambda b: f(t, b, y))(a).sum())(x)),
    ("perturbation", lambda T, t, x, y: T.grad(lambda a: a * T.grad(lambda b: a + b)(x[1]))(x[0])),
    ("perturbation 2", lambda T, t, x, y: T.grad(lambda a: a * T.grad(lambda b: a * b)(x[1]))(x[0])),
    ("vjp", lambda T, t, x, y: (lambda o, v: (o, v(o)))(*T.vjp(functools.partial(g, t), x, y))),
    ("vjp aux", lambda T, t, x, y: (lambda o, v, a: (o, v(o), a))(*T.vjp(lambda a: (a * 2, a + 1), x, has_aux=True))),
    ("jvp", lambda T, t, x, y: T.jvp(functools.partial(g, t), (x, y), (x + 1, y - 1))),
    ("jvp aux", lambda T, t, x, y: T.jvp(lambda a: (a.sin(), a), (x,), (y[:3],), has_aux=True)),
    ("jvp of jvp", lambda T, t, x, y: T.jvp(lambda a: T.jvp(t.sin, (a,), (a,))[1], (x,), (x,))),
    ("linearize", lambda T, t, x, y: (lambda o, j: (o, j(x, y)))(*T.linearize(functools.partial(g, t), x, y))),
    ("jacrev", lambda T, t, x, y: T.jacrev(functools.partial(g, t), argnums=(0, 1))(x, y)),
    ("jacrev aux", lambda T, t, x, y: T.jacrev(lambda a: (a**2, a), has_aux=True)(x)),
    ("jacfwd", lambda T, t, x, y: T.jacfwd(functools.partial(g, t), argnums=(0, 1))(x, y)),
    ("jacfwd of jacrev", lambda T, t, x, y: T.jacfwd(T.jacrev(lambda a: (a**3).prod()))(x)),
    ("jacrev of jacrev", lambda T, t, x, y: T.jacrev(T.jacrev(lambda a: (a**3).cumsum(0)))(x)),
    ("jacrev of jacfwd", lambda T, t, x, y: T.jacrev(T.jacfwd(lambda a: (a**3).cumsum(0)))(x)),
    ("hessian", lambda T, t, x, y: T.hessian(functools.partial(f, t), argnums=(0, 1))(x, y)),
    ("vmap of grad", lambda T, t, x, y: T.vmap(T.grad(lambda a, b: f(t, a, b)), in_dims=(None, 0))(x, t.stack([y[:3], y[1:]]))),
    ("vmap of grads", lambda T, t, x, y: T.vmap(T.grad(lambda a: (a**3).sum()))(t.outer(x, y))),
    ("vmap of vmap of grad", lambda T, t, x, y: T.vmap(T.vmap(T.grad(lambda a, b: (a * b).sin()), (0, None)), (None, 0))(x, y)),
    ("vmap of hessian", lambda T, t, x, y: T.vmap(T.hessian(lambda a: (a**3).prod()))(t.outer(y, x))),
    ("vmap of jacfwd", lambda T, t, x, y: T.vmap(T.jacfwd(lambda a: (a**3).cumsum(0)))(t.outer(y, x))),
    ("vmap of vjp_fn", lambda T, t, x, y: T.vmap(T.vjp(lambda a: a.sin() * a, x)[1])(t.eye(3, dtype=x.dtype))),
    ("vmap of jvp", lambda T, t, x, y: T.vmap(lambda v: T.jvp(t.sin, (x,), (v,))[1])(t.eye(3, dtype=x.dtype))),
    ("grad of vmap", lambda T, t, x, y: T.grad(lambda a: T.vmap(lambda b: (a * b).sum().sin())(t.outer(y, x)).sum())(x)),
    ("jacrev of vmap", lambda T, t, x, y: T.jacrev(lambda a: T.vmap(lambda b: (a * b).sum())(t.outer(y, x)))(x)),
    ("grad of vmap of grad", lambda T, t, x, y: T.grad(
        lambda a: T.vmap(T.grad(lambda w, b: ((w * b) ** 3).sum()), (None, 0))(a, t.outer(y, x)).pow(2).sum())(x)),
]  # fmt: skip


@pytest.mark.parametrize("call", [r[1] for r in TRANSFORMS], ids=[r[0] for r in TRANSFORMS])
@pytest.mark.filterwarnings("ignore")
def test_transforms(call: Any) -> None:
    (x, tx), (y, ty) = values(3), values(4)
    try:
        theirs = call(torch.func, torch, tx, ty)
        same(call(func, fastnn, x, y), theirs)
    except RuntimeError as error:
        if "must match" not in str(error):
            raise
        same(call(func, fastnn, x, y[:3]), call(torch.func, torch, tx, ty[:3]))


def test_results_are_followed_outside_only_where_needed() -> None:
    x, p = fastnn.ones(2), fastnn.ones(2, requires_grad=True)
    assert not grad(lambda a: (a**2).sum())(x).requires_grad
    assert not grad_and_value(lambda a: (a**2).sum())(x)[1].requires_grad
    outer = grad(lambda a: (a**2 * p).sum())(x)
    assert outer.requires_grad
    (gradient,) = fastnn.autograd.grad(outer.sum(), p)
    assert gradient.tolist() == [2.0, 2.0]
    assert grad(lambda a: (a**3).sum())(p).requires_grad
    with fastnn.no_grad():
        assert grad(lambda a: (a**3).sum())(p).tolist() == [3.0, 3.0]
        assert not grad(lambda a: (a**3).sum())(p).requires_grad


TRANSFORM_ERRORS: list[Any] = [
    lambda T, t: T.grad(lambda x: x)(t.ones(2)),
    lambda T, t: T.grad(lambda x: 1.0)(t.ones(2)),
    lambda T, t: T.grad(lambda x: x.sum(), argnums=1)(t.ones(2)),
    lambda T, t: T.grad(lambda x: x.sum(), has_aux=True)(t.ones(2)),
    lambda T, t: T.vjp(lambda x: x, t.ones(2))[1](t.ones(3)),
    lambda T, t: T.vjp(lambda x: (x, x), t.ones(2))[1](t.ones(2)),
    lambda T, t: T.jvp(t.sin, t.ones(2), t.ones(2)),
    lambda T, t: T.jvp(t.sin, (t.ones(2),), (t.ones(3),)),
    lambda T, t: T.jvp(lambda x: 1, (t.ones(2),), (t.ones(2),)),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", TRANSFORM_ERRORS, ids=range(len(TRANSFORM_ERRORS)))
def test_errors_of_transforms(call: Any) -> None:
    for transforms, library in ((torch.func, torch), (func, fastnn)):
        with pytest.raises(RuntimeError):
            call(transforms, library)


# --- modules ----------------------------------------------------------------------------------------------------------


def small(library: Any, norm: bool = False) -> Any:
    n = library.nn
    return n.Sequential(
        n.Conv2d(1, 4, 3, padding=1), n.GroupNorm(2, 4) if norm else n.Identity(), n.ReLU(), n.MaxPool2d(2), n.Flatten(),
        n.Linear(4 * 16, 10),
    ).double()  # fmt: skip


def shared_models(norm: bool = False) -> tuple[Any, Any]:
    theirs, ours = small(torch, norm), small(fastnn, norm)
    ours.load_state_dict({k: fastnn.from_numpy(v.numpy().copy()) for k, v in theirs.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize("norm", [False, True])
def test_per_sample_gradients_of_a_network(norm: bool) -> None:
    ours, theirs = shared_models(norm)
    x, tx = values(5, 1, 8, 8)

    def gradients(library: Any, transforms: Any, model: Any, data: Any) -> Any:
        parameters = {k: v.detach() for k, v in model.named_parameters()}

        def loss(p: Any, sample: Any, target: Any) -> Any:
            prediction = transforms.functional_call(model, p, (sample.unsqueeze(0),))
            return library.nn.functional.cross_entropy(prediction, target.unsqueeze(0))

        target = library.tensor([0, 3, 9, 1, 1])
        return transforms.vmap(transforms.grad(loss), in_dims=(None, 0, 0))(parameters, data, target)

    result = gradients(fastnn, func, ours, x)
    same(result, gradients(torch, torch.func, theirs, tx), 1e-8)
    assert not any(one.requires_grad for one in result.values())


def test_ensembles() -> None:
    ours, theirs = zip(*(shared_models() for _ in range(3)), strict=True)
    x, tx = values(2, 1, 8, 8)

    def predictions(transforms: Any, models: Any, data: Any) -> Any:
        parameters, buffers = transforms.stack_module_state(models)
        base = models[0]
        return transforms.vmap(lambda p, b, d: transforms.functional_call(base, (p, b), (d,)), (0, 0, None))(
            parameters, buffers, data
        )

    same(predictions(func, ours, x), predictions(torch.func, theirs, tx), 1e-8)


def test_functional_call() -> None:
    module = nn.Linear(2, 2)
    before = module.weight
    new = {"weight": fastnn.eye(2), "bias": fastnn.zeros(2)}
    assert functional_call(module, new, fastnn.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    assert functional_call(module, (new,), kwargs={"input": fastnn.tensor([1.0, 2.0])}).tolist() == [1.0, 2.0]
    assert module.weight is before
    with pytest.raises(ValueError, match="multiple dictionaries"):
        functional_call(module, ({"weight": before}, {"weight": before}), fastnn.ones(2))
    with pytest.raises(RuntimeError, match="Missing key"):
        functional_call(module, {"weight": before}, fastnn.ones(2), strict=True)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        functional_call(module, {**new, "other": before}, fastnn.ones(2), strict=True)


@pytest.mark.parametrize("library", [fastnn, torch], ids=["fastnn", "torch"])
def test_functional_call_with_ties_and_buffers(library: Any) -> None:
    class Tied(library.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.a = library.nn.Parameter(library.ones(1))
            self.b = self.a
            self.register_buffer("count", library.zeros(1))

        def forward(self, x: Any) -> Any:
            self.count.add_(1)
            self.count = self.count + 1
            return self.a * x + self.b

    call = library.func.functional_call
    module = Tied()
    new = {"a": library.full((1,), 3.0), "count": library.zeros(1)}
    assert call(module, new, library.ones(1)).item() == 6.0
    assert call(module, {"a": library.full((1,), 3.0)}, library.ones(1), tie_weights=False).item() == 4.0
    assert new["count"].item() == 2.0
    with pytest.raises(ValueError, match="tie"):
        call(module, {"a": library.ones(1), "b": library.zeros(1)}, library.ones(1))


def test_stack_module_state_errors() -> None:
    with pytest.raises(RuntimeError, match="at least one"):
        func.stack_module_state([])
    with pytest.raises(RuntimeError, match="same class"):
        func.stack_module_state([nn.Linear(1, 1), nn.Bilinear(1, 1, 1)])
    with pytest.raises(RuntimeError, match="mode"):
        func.stack_module_state([nn.Linear(1, 1), nn.Linear(1, 1).eval()])


def test_jvp_function_of_linearize_does_not_run_the_function_again() -> None:
    calls = []

    def body(x: Any) -> Any:
        calls.append(1)
        return x.sin()

    _, push = linearize(body, fastnn.zeros(2))
    push(fastnn.ones(2)), push(fastnn.ones(2))
    assert len(calls) == 1


def test_large_batches_have_no_python_loop() -> None:
    before = fastnn._C._nodes_run()
    vmap(grad(lambda w, x: (w @ x).sin().sum()), in_dims=(None, 0))(fastnn.ones(3, 3), fastnn.ones(100, 3))
    assert fastnn._C._nodes_run() - before < 20


def test_functional_call_is_the_one_of_stateless() -> None:
    """Absent biases are no missing names, unknown names are set for the call, and what is no tensor is refused."""

    def outcomes(T: Any) -> list[Any]:
        layer, weight, x = T.nn.Linear(2, 1, bias=False), T.ones(1, 2), T.ones(1, 2)
        seen = [T.func.functional_call(layer, {"weight": weight}, x, strict=True).tolist()]
        seen.append(T.func.functional_call(layer, {"weight": weight, "other": x}, x).tolist())
        for given in ({"weight": 3}, {"a.b": x}):
            with pytest.raises((TypeError, AttributeError)) as error:
                T.func.functional_call(layer, given, x)
            seen.append((error.type, str(error.value)))
        return [*seen, hasattr(layer, "other")]

    torch = pytest.importorskip("torch")
    assert outcomes(fastnn) == outcomes(torch)
