"""Sparse tensors, against PyTorch's and against the dense tensors that they stand for."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest

import fastnn
from fastnn import nn


def example(package: Any, requires_grad: bool = False) -> tuple[Any, Any]:
    """A matrix in which one place is there twice, and its values."""
    values = package.tensor([1.0, 2.0, 3.0, -4.0, 5.0], requires_grad=requires_grad)
    return package.sparse_coo_tensor([[0, 1, 1, 2, 0], [2, 0, 1, 1, 2]], values, (3, 4)), values


def plain(value: Any) -> Any:
    """Numbers, lists and texts, which compare between packages."""
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if hasattr(value, "is_sparse"):
        return (value.is_sparse, plain((value.to_dense() if value.is_sparse else value).tolist()))
    if isinstance(value, float):
        return round(value, 5)
    return value if isinstance(value, (int, str)) else str(value)


EXPRESSIONS = {
    "parts": "[c.indices(), c.values(), s._indices(), s._values(), s._nnz(), c._nnz()]",
    "what it is": "[s.is_coalesced(), c.is_coalesced(), s.sparse_dim(), s.dense_dim(), s.shape, s.ndim, s.numel()]",
    "names": "[s.layout, s.is_sparse, s.dtype, s.type(), s.double().dtype, s.device, len(s), s.size(1), repr(s)]",
    "types": "[isinstance(s, torch.Tensor), isinstance(s, torch.sparse.FloatTensor), torch.is_tensor(s)]",
    "matrix": "[s @ d, torch.mm(s, d), torch.spmm(s, d), torch.sparse.mm(s, d), s.matmul(d), d.t() @ s.t()]",
    "vector": "[s @ d[:, 0], torch.mv(s, d[:, 1])]",
    "both sparse": "torch.sparse.mm(s, s.t())",
    "addmm": "[torch.addmm(b, s, d), torch.sparse.addmm(b, s, d, beta=2, alpha=3)]",
    "batch": "torch.bmm(torch.stack([s.to_dense()] * 2).to_sparse(), torch.stack([d, d]))",
    "linear": "torch.nn.functional.linear(s, d.t(), b[0])",
    "sums of both": "[s + s, s - c, s.add(c, alpha=2), m + s]",
    "numbers": "[s * 2, 2 * s, s / 4, s * torch.tensor(3.0), -s, s.pow(2)]",
    "products": "[s * m, m * s, s * c, c * (2 * c), s * m[:, :1]]",
    "functions": "[s.abs(), torch.tanh(s), s.square(), torch.sparse.FloatTensor.__name__]",
    "sum": "[s.sum(), torch.sparse.sum(s), torch.sparse.sum(s, 0), torch.sparse.sum(s, dim=1), s.sum(-1)]",
    "sum of all": "torch.sparse.sum(s, (0, 1))",
    "softmax": "[torch.sparse.softmax(s, 1), torch.sparse.log_softmax(s, 0)]",
    "shape": "[s.t(), s.transpose(0, 1), s[1], torch.cat([s, s], 0), torch.cat([s, s], 1)]",
    "choice": "[s.index_select(0, torch.tensor([2, 0, 2])), s.index_select(1, torch.tensor([2]))]",
    "from dense": "[m.to_sparse(), m.to_sparse().indices(), m.relu().to_sparse(1), m.sparse_mask(c)]",
    "several at a place": "[h, h.shape, h.sparse_dim(), h.dense_dim(), h.coalesce(), torch.sparse.sum(h, 2), h * 2]",
    "old constructor": "torch.sparse.FloatTensor(i, torch.ones(2), torch.Size([3, 3]))",
    "without elements": "[torch.sparse_coo_tensor((2, 3)), torch.sparse_coo_tensor(size=(2, 3))]",
    "without a size": "[torch.sparse_coo_tensor(i, [3, 4]), torch.sparse_coo_tensor(i, torch.ones(2))]",
    "copies": "[s.clone(), s.detach(), s.to(torch.float64), s.cpu().float(), s.requires_grad]",
}


def evaluated(package: Any, expression: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        s, _ = example(package)
    names = {
        "torch": package,
        "s": s,
        "c": s.coalesce(),
        "d": package.arange(8.0).reshape(4, 2) - 3.0,
        "b": package.ones(3, 2),
        "m": package.arange(12.0).reshape(3, 4) - 5.0,
        "h": package.sparse_coo_tensor([[0, 1, 1], [1, 0, 0]], package.arange(6.0).reshape(3, 2)),
        "i": package.tensor([[0, 1], [1, 0]]),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return plain(eval(expression, names))


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_same_as_pytorch(expression: str) -> None:
    torch = pytest.importorskip("torch")
    assert evaluated(fastnn, expression) == evaluated(torch, expression)


PRODUCTS = {
    "mm": lambda f, s, d: f.sparse.mm(s, d),
    "transposed": lambda f, s, d: s.t() @ d[:3],
    "product": lambda f, s, d: (s * 3).to_dense() * d.sum(),
    "softmax": lambda f, s, d: f.sparse.softmax(s, 1).to_dense() * d.sum(),
    "coalesce": lambda f, s, d: s.coalesce().values() * d.sum(),
    "sum": lambda f, s, d: f.sparse.sum(s, 0).to_dense() * d.sum(),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_gradients_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")

    def gradients(package: Any) -> Any:
        s, values = example(package, requires_grad=True)
        d = (package.arange(8.0).reshape(4, 2) - 3.0).requires_grad_()
        result = PRODUCTS[name](package, s, d)
        (result * package.arange(float(result.numel())).reshape(result.shape)).sum().backward()
        return values.grad.tolist(), d.grad.tolist()

    ours, theirs = gradients(fastnn), gradients(torch)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5, abs=1e-5)
    for one, other in zip(ours[1], theirs[1], strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-5)


ERRORS = {
    "parts of what has a place twice": "s.indices()",
    "unlike lengths": "torch.sparse_coo_tensor([[0, 1], [1, 0]], [1.0])",
    "a number": "s + 1",
    "a dense one on the right": "s + m",
    "a dense divisor": "s / m",
    "sizes": "s @ m",
    "NumPy": "s.numpy()",
    "values of a dense one": "m.values()",
    "places of a dense one": "m._nnz()",
    "a dense one together": "m.coalesce()",
}


@pytest.mark.parametrize("expression", ERRORS.values(), ids=ERRORS)
def test_errors_are_pytorchs(expression: str) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(Exception) as theirs:
        evaluated(torch, expression)
    with pytest.raises(theirs.type):
        evaluated(fastnn, expression)


def test_places_outside_are_refused() -> None:
    with pytest.raises(RuntimeError, match="dim 1, size is 2 but found index 5"):
        fastnn.sparse_coo_tensor([[0], [5]], [1.0], (2, 2))
    with pytest.raises(RuntimeError, match="negative index -1 for dim 0"):
        fastnn.sparse_coo_tensor([[-1], [0]], [1.0], (2, 2))
    with pytest.raises(NotImplementedError, match="to_dense"):
        example(fastnn)[0].cumsum(0)


def test_in_a_module() -> None:
    s, _ = example(fastnn)
    module = nn.Module()
    module.register_buffer("graph", s)
    module.double()
    twin = copy.deepcopy(module)
    assert twin.graph.dtype == fastnn.float64 and list(module.state_dict()) == ["graph"]
    twin.graph.mul_(2)
    assert twin.graph.to_dense().tolist() == (2 * module.graph.to_dense()).tolist() != s.to_dense().tolist()
    again = pickle.loads(pickle.dumps(s))
    assert again.is_sparse and again.to_dense().tolist() == s.to_dense().tolist()


def test_in_place() -> None:
    s, _ = example(fastnn)
    total = fastnn.sparse_coo_tensor(size=(3, 4))
    total += s
    dense = fastnn.ones(3, 4)
    dense.add_(total, alpha=2)
    assert (dense - 1).tolist() == (2 * s.to_dense()).tolist()


def test_leaf() -> None:
    s = fastnn.sparse_coo_tensor([[0, 1], [1, 0]], [1.0, 2.0], (2, 2), requires_grad=True)
    (s @ fastnn.tensor([3.0, 4.0])).sum().backward()
    assert s.grad.is_sparse and s.grad.to_dense().tolist() == [[0.0, 4.0], [3.0, 0.0]]
