"""Linear algebra: what defines each factorisation, derivatives of first and second order, errors, empty matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastnn
from fastnn import linalg
from fastnn.autograd import gradcheck, gradgradcheck

SHAPES = [(4, 4), (5, 3), (3, 5), (2, 4, 3), (2, 1, 3, 3)]


def random(*shape: int, seed: int = 0, dtype: Any = fastnn.float64) -> fastnn.Tensor:
    return fastnn.from_numpy(np.random.default_rng(seed).normal(size=shape)).to(dtype)


def definite(*shape: int, seed: int = 0) -> fastnn.Tensor:
    root = random(*shape, seed=seed)
    return root @ root.mT + fastnn.eye(shape[-1], dtype=fastnn.float64)


def symmetric(x: fastnn.Tensor) -> fastnn.Tensor:
    return x + x.mT


def close(a: Any, b: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=tolerance, atol=tolerance)


def eye(n: int) -> fastnn.Tensor:
    return fastnn.eye(n, dtype=fastnn.float64)


# --- what defines the factors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 4), (1, 1)])
def test_cholesky(shape: tuple[int, ...], upper: bool) -> None:
    a = definite(*shape)
    factor = linalg.cholesky(a, upper=upper)
    close(factor.mT @ factor if upper else factor @ factor.mT, a)
    other = factor.tril(-1) if upper else factor.triu(1)
    assert not other.any()
    assert factor.stride()[-2:] == (1, shape[-1])
    close(fastnn.cholesky(a, upper), factor)
    # Only one half of the matrix is read.
    half = a.triu() if upper else a.tril()
    close(linalg.cholesky(half, upper=upper), factor)


@pytest.mark.parametrize("shape", SHAPES)
def test_lu(shape: tuple[int, ...]) -> None:
    a = random(*shape)
    k = min(shape[-2:])
    p, lower, upper = linalg.lu(a)
    assert lower.shape == (*shape[:-1], k)
    assert upper.shape == (*shape[:-2], k, shape[-1])
    close(p @ lower @ upper, a)
    close(p @ p.mT, eye(shape[-2]).expand(p.shape))
    data, pivots = linalg.lu_factor(a)
    assert pivots.dtype == fastnn.int32
    for one, other in zip(fastnn.lu_unpack(data, pivots), (p, lower, upper), strict=True):
        close(one, other)
    assert fastnn.lu_unpack(data, pivots, unpack_data=False).L.numel() == 0
    assert [tuple(x.shape) for x in fastnn.lu(a, get_infos=True)] == [shape, (*shape[:-2], k), shape[:-2]]


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_lu_solve(left: bool, adjoint: bool) -> None:
    a, b = random(2, 3, 3), random(4, 1, 3, 3, seed=1)
    data, pivots = linalg.lu_factor(a)
    x = linalg.lu_solve(data, pivots, b, left=left, adjoint=adjoint)
    matrix = a.mT if adjoint else a
    close(matrix @ x if left else x @ matrix, b.expand(4, 2, 3, 3))


@pytest.mark.parametrize("shape", SHAPES)
def test_qr(shape: tuple[int, ...]) -> None:
    a = random(*shape)
    m, n = shape[-2:]
    for mode, k in (("reduced", min(m, n)), ("complete", m)):
        q, r = linalg.qr(a, mode=mode)
        assert q.shape == (*shape[:-1], k)
        assert r.shape == (*shape[:-2], k, n)
        close(q @ r, a)
        close(q.mT @ q, eye(k).expand(*shape[:-2], k, k))
        assert not r.tril(-1).any()
    only = linalg.qr(a, mode="r")
    assert only.Q.shape == (0,)
    close(only.R, linalg.qr(a).R)
    close(fastnn.qr(a, some=False).Q, linalg.qr(a, "complete").Q)


@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (2, 4, 3)])
def test_householder(shape: tuple[int, ...]) -> None:
    a = random(*shape)
    factors, tau = fastnn.geqrf(a)
    q = linalg.householder_product(factors, tau)
    close(q @ factors.triu()[..., : shape[-1], :], a)
    close(fastnn.orgqr(factors, tau), q)
    whole = linalg.qr(a, "complete").Q
    other = random(*shape[:-2], shape[-2], 2, seed=1)
    close(fastnn.ormqr(factors, tau, other), whole @ other)
    close(fastnn.ormqr(factors, tau, other, transpose=True), whole.mT @ other)
    close(fastnn.ormqr(factors, tau, other.mT.contiguous(), left=False), other.mT @ whole)
    # The formula that is differentiated gives the same.
    close(linalg.householder_product(factors.requires_grad_(), tau), q)
    close(fastnn.ormqr(factors, tau, other.mT, left=False, transpose=True), other.mT @ whole.mT)


@pytest.mark.parametrize("shape", SHAPES)
def test_svd(shape: tuple[int, ...]) -> None:
    a = random(*shape)
    m, n = shape[-2:]
    k = min(m, n)
    u, s, vh = linalg.svd(a, full_matrices=False)
    close(u * s[..., None, :] @ vh, a)
    assert (s[..., :-1] >= s[..., 1:]).all()
    assert u.stride()[-2:] == (1, m)
    close(linalg.svdvals(a), s)
    u, s, vh = linalg.svd(a)
    close(u.mT @ u, eye(m).expand(*shape[:-2], m, m))
    close(vh.mT @ vh, eye(n).expand(*shape[:-2], n, n))
    close(u[..., :k] * s[..., None, :] @ vh[..., :k, :], a)
    old = fastnn.svd(a)
    close(old.U * old.S[..., None, :] @ old.V.mT, a)
    none = fastnn.svd(a, compute_uv=False)
    assert none.U.shape == (*shape[:-2], m, m)
    assert not none.V.any()
    close(none.S, s)


@pytest.mark.parametrize("uplo", ["L", "U"])
def test_eigh(uplo: str) -> None:
    a = symmetric(random(2, 4, 4))
    half = a.tril() if uplo == "L" else a.triu()
    values, vectors = linalg.eigh(half, UPLO=uplo)
    close(a @ vectors, vectors * values[..., None, :])
    close(vectors.mT @ vectors, eye(4).expand(2, 4, 4))
    close(linalg.eigvalsh(half, UPLO=uplo), values)
    assert (values[..., :-1] <= values[..., 1:]).all()


def test_ldl() -> None:
    a, b = symmetric(random(2, 4, 4)), random(3, 1, 4, 2, seed=1)
    data, pivots, info = linalg.ldl_factor_ex(a)
    assert info.tolist() == [0, 0]
    assert not data.triu(1).any()
    x = linalg.ldl_solve(data, pivots, b)
    close(a @ x, b.expand(3, 2, 4, 2))
    close(linalg.ldl_factor(a).LD, data)


@pytest.mark.parametrize("driver", [None, "gels", "gelsy", "gelsd", "gelss"])
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (2, 4, 4), (2, 5, 3)])
def test_lstsq(shape: tuple[int, ...], driver: str | None) -> None:
    a, b = random(*shape), random(*shape[:-1], 2, seed=1)
    solution, residuals, rank, values = linalg.lstsq(a, b, driver=driver)
    close(solution, linalg.pinv(a) @ b)
    m, n = shape[-2:]
    if m > n and driver not in (None, "gelsy"):
        close(residuals, ((a @ solution - b) ** 2).sum(-2))
    else:
        assert residuals.shape == (0,)
    assert rank.numel() == 0 if driver == "gels" else (rank == min(m, n)).all()
    if driver in ("gelsd", "gelss"):
        close(values, linalg.svdvals(a))
    else:
        assert values.shape == (0,)


def test_lstsq_broadcasts_and_takes_vectors() -> None:
    a, b = random(2, 1, 4, 2), random(2, 3, 4, 5, seed=1)
    solution, residuals, rank, values = linalg.lstsq(a, b, driver="gelsd")
    close(solution, linalg.pinv(a) @ b)
    assert [tuple(x.shape) for x in (residuals, rank, values)] == [(2, 3, 5), (2, 1), (2, 1, 2)]
    close(values, linalg.svdvals(a))
    a, b = random(3, 4, 2), random(3, 4, seed=1)
    found = linalg.lstsq(a, b, driver="gels")
    close(found.solution, (linalg.pinv(a) @ b[..., None])[..., 0])
    assert found.residuals.shape == (3, 1)


def test_low_rank() -> None:
    a = random(6, 2) @ random(2, 5, seed=1)
    fastnn.manual_seed(0)
    for matrix in (a, a.mT):
        u, s, v = fastnn.svd_lowrank(matrix, q=3)
        close(u * s @ v.mT, matrix)
        close(s[:2], linalg.svdvals(a)[:2])
    mean = random(1, 5, seed=2)
    u, s, v = fastnn.svd_lowrank(a + mean, q=2, M=mean)
    close(u * s @ v.mT, a)
    u, s, v = fastnn.pca_lowrank(a + mean, q=2)
    close(u * s @ v.mT, a - a.mean(0))
    assert fastnn.pca_lowrank(a)[1].shape == (5,)
    for wrong in (-1, 6):
        with pytest.raises(ValueError, match="q"):
            fastnn.svd_lowrank(a, q=wrong)
        with pytest.raises(ValueError, match="q"):
            fastnn.pca_lowrank(a, q=wrong)


# --- complex numbers -------------------------------------------------------------------------------------------------


def random_complex(*shape: int, seed: int = 0) -> fastnn.Tensor:
    return fastnn.complex(random(*shape, seed=seed), random(*shape, seed=seed + 100))


def close_complex(a: fastnn.Tensor, b: fastnn.Tensor, tolerance: float = 1e-9) -> None:
    assert a.shape == b.shape
    assert (a - b).abs().max().item() <= tolerance * (1 + b.abs().max().item())


@pytest.mark.parametrize("shape", SHAPES)
def test_complex_factors(shape: tuple[int, ...]) -> None:
    a = random_complex(*shape)
    m, n = shape[-2:]
    k = min(m, n)
    p, lower, upper = linalg.lu(a)
    close_complex(p @ lower @ upper, a)
    q, r = linalg.qr(a)
    close_complex(q @ r, a)
    close_complex(q.mH @ q, fastnn.eye(k, dtype=a.dtype).expand(*shape[:-2], k, k))
    u, s, vh = linalg.svd(a, full_matrices=False)
    assert s.dtype == fastnn.float64
    close_complex(u * s[..., None, :] @ vh, a)
    close_complex(linalg.pinv(a) @ a @ linalg.pinv(a), linalg.pinv(a))
    close_complex(linalg.lstsq(a, a).solution, linalg.pinv(a) @ a)
    for driver in ("gels", "gelsd", "gelss"):
        close_complex(linalg.lstsq(a, a, driver=driver).solution, linalg.pinv(a) @ a)
    factors, tau = fastnn.geqrf(a)
    if m >= n:
        close_complex(linalg.householder_product(factors, tau), q)
        whole = linalg.qr(a, "complete").Q
        other = random_complex(*shape[:-2], m, 2, seed=1)
        close_complex(fastnn.ormqr(factors, tau, other, transpose=True), whole.mH @ other)
        close_complex(fastnn.ormqr(factors.clone().requires_grad_(), tau, other, transpose=True), whole.mH @ other)


def test_complex_equations() -> None:
    a, b = random_complex(2, 3, 3), random_complex(2, 3, 2, seed=1)
    unit = fastnn.eye(3, dtype=a.dtype).expand(2, 3, 3)
    close_complex(a @ linalg.solve(a, b), b)
    close_complex(linalg.solve(a, b.mT, left=False) @ a, b.mT)
    close_complex(linalg.inv(a) @ a, unit)
    data, pivots = linalg.lu_factor(a)
    close_complex(a.mH @ linalg.lu_solve(data, pivots, b, adjoint=True), b)
    sign, logarithm = linalg.slogdet(a)
    close_complex(sign * logarithm.exp(), linalg.det(a))
    definite_a = a @ a.mH + unit
    factor = linalg.cholesky(definite_a)
    close_complex(factor @ factor.mH, definite_a)
    close_complex(definite_a @ fastnn.cholesky_solve(b, factor), b)
    values, vectors = linalg.eigh(definite_a)
    assert values.dtype == fastnn.float64
    close_complex(definite_a @ vectors, vectors * values[..., None, :])
    for hermitian in (False, True):
        matrix = definite_a if hermitian else a + a.mT
        ld, exchanges = linalg.ldl_factor(matrix, hermitian=hermitian)
        close_complex(matrix @ linalg.ldl_solve(ld, exchanges, b, hermitian=hermitian), b)
    close_complex(linalg.matrix_exp(a) @ linalg.matrix_exp(-a), unit)


@pytest.mark.parametrize("complex_input", [False, True])
def test_eig(complex_input: bool) -> None:
    a = random_complex(2, 4, 4) if complex_input else random(2, 4, 4)
    values, vectors = linalg.eig(a)
    assert values.dtype == vectors.dtype == fastnn.complex128
    close_complex(a.to(values.dtype) @ vectors, vectors * values[..., None, :])
    close_complex((vectors.abs() ** 2).sum(-2), fastnn.ones(2, 4, dtype=fastnn.float64))
    close_complex(linalg.eigvals(a), values)
    with pytest.raises(RuntimeError, match="NaN"):
        linalg.eig(a * float("nan"))


# --- derivatives -----------------------------------------------------------------------------------------------------


def spd(x: fastnn.Tensor) -> fastnn.Tensor:
    return x @ x.mT + eye(x.shape[-2])


def signless(*factors: fastnn.Tensor) -> tuple[fastnn.Tensor, ...]:
    """Values that do not depend on the signs of singular vectors."""
    return tuple(f.abs() for f in factors)


DERIVATIVES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "cholesky": (lambda x: linalg.cholesky(spd(x)), ((2, 3, 3),)),
    "cholesky upper": (lambda x: linalg.cholesky(spd(x), upper=True), ((3, 3),)),
    "lu": (lambda x: linalg.lu(x)[1:], ((3, 3),)),
    "lu tall": (lambda x: linalg.lu(x)[1:], ((2, 4, 3),)),
    "lu wide": (lambda x: linalg.lu(x)[1:], ((3, 5),)),
    "lu only U": (lambda x: linalg.lu(x).U, ((3, 4),)),
    "lu only L": (lambda x: linalg.lu(x).L, ((3, 3),)),
    "lu_factor": (lambda x: linalg.lu_factor(x).LU, ((3, 3),)),
    "lu_solve": (lambda x, b: linalg.lu_solve(*linalg.lu_factor(x), b), ((3, 3), (2, 3, 2))),
    "lu_solve adjoint": (lambda x, b: linalg.lu_solve(*linalg.lu_factor(x), b, adjoint=True), ((3, 3), (3, 2))),
    "lu_solve right": (lambda x, b: linalg.lu_solve(*linalg.lu_factor(x), b, left=False), ((3, 3), (2, 3))),
    "qr": (lambda x: linalg.qr(x), ((3, 3),)),
    "qr tall": (lambda x: linalg.qr(x), ((2, 4, 2),)),
    "qr wide": (lambda x: linalg.qr(x), ((2, 4),)),
    "qr wide only Q": (lambda x: linalg.qr(x).Q, ((2, 4),)),
    "qr only R": (lambda x: linalg.qr(x).R, ((4, 3),)),
    "householder": (linalg.householder_product, ((4, 3), (2,))),
    "ormqr": (lambda a, t, c: fastnn.ormqr(a.tril(-1), t, c, False, True), ((3, 2), (2,), (2, 3))),
    "svd": (lambda x: signless(*linalg.svd(x, full_matrices=False)), ((3, 3),)),
    "svd tall": (lambda x: signless(*linalg.svd(x, full_matrices=False)), ((2, 4, 2),)),
    "svd wide": (lambda x: signless(*linalg.svd(x, full_matrices=False)), ((2, 4),)),
    "svd only V": (lambda x: signless(linalg.svd(x, full_matrices=False).Vh), ((2, 3),)),
    "svdvals": (linalg.svdvals, ((2, 3, 2),)),
    "old svd": (lambda x: signless(*fastnn.svd(x)), ((3, 2),)),
    "eigh": (lambda x: (linalg.eigh(symmetric(x))[0], *signless(linalg.eigh(symmetric(x))[1])), ((2, 3, 3),)),
    "eigvalsh": (lambda x: linalg.eigvalsh(symmetric(x)), ((3, 3),)),
    "pinv": (linalg.pinv, ((4, 2),)),
    "pinv wide": (linalg.pinv, ((2, 2, 3),)),
    "pinv of low rank": (lambda x, y: linalg.pinv(x @ y), ((4, 2), (2, 4))),
    "pinv hermitian": (lambda x: linalg.pinv(spd(x), hermitian=True), ((3, 3),)),
    "lstsq": (lambda a, b: linalg.lstsq(a, b)[0], ((4, 2), (4, 3))),
    "lstsq residuals": (lambda a, b: linalg.lstsq(a, b, driver="gels")[:2], ((2, 4, 2), (2, 4, 3))),
    "lstsq vectors": (lambda a, b: linalg.lstsq(a, b, driver="gelsd")[:2], ((2, 4, 2), (2, 4))),
    "solve broadcast": (linalg.solve, ((3, 3), (2, 3, 2))),
    "solve right": (lambda a, b: linalg.solve(a, b, left=False), ((3, 3), (2, 2, 3))),
    "matrix_exp": (linalg.matrix_exp, ((2, 3, 3),)),
    "slogdet": (lambda x: linalg.slogdet(x)[1], ((2, 3, 3),)),
    "cholesky_solve": (lambda b, x: fastnn.cholesky_solve(b, (x + 2 * eye(3)).tril()), ((2, 3, 2), (3, 3))),
    "cholesky_inverse": (lambda x: fastnn.cholesky_inverse((x + 2 * eye(3)).triu(), upper=True), ((3, 3),)),
    "logdet": (lambda x: fastnn.logdet(spd(x)), ((3, 3),)),
}


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives(name: str) -> None:
    function, shapes = DERIVATIVES[name]
    inputs = tuple(random(*shape, seed=3 + i).requires_grad_() for i, shape in enumerate(shapes))
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


COMPLEX_DERIVATIVES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "cholesky": (lambda x: linalg.cholesky(x @ x.mH + fastnn.eye(3, dtype=x.dtype)), ((3, 3),)),
    "lu": (lambda x: linalg.lu(x)[1:], ((3, 2),)),
    "qr": (linalg.qr, ((3, 2),)),
    "qr wide": (linalg.qr, ((2, 3),)),
    "svd": (lambda x: signless(*linalg.svd(x, full_matrices=False)), ((3, 2),)),
    "svd wide": (lambda x: signless(*linalg.svd(x, full_matrices=False)), ((2, 3),)),
    "svdvals": (linalg.svdvals, ((3, 2),)),
    "eigh": (lambda x: signless(*linalg.eigh(x + x.mH)), ((3, 3),)),
    "eig": (lambda x: (linalg.eig(x)[0], *signless(linalg.eig(x)[1])), ((3, 3),)),
    "pinv": (linalg.pinv, ((3, 2),)),
    "solve": (linalg.solve, ((3, 3), (3, 2))),
    "inv": (linalg.inv, ((3, 3),)),
    "lu_solve": (lambda x, b: linalg.lu_solve(*linalg.lu_factor(x), b, adjoint=True), ((3, 3), (3, 2))),
    "lstsq": (lambda a, b: linalg.lstsq(a, b, driver="gels")[:2], ((3, 2), (3, 2))),
    "det": (linalg.det, ((3, 3),)),
    "slogdet": (linalg.slogdet, ((3, 3),)),
    "householder": (linalg.householder_product, ((3, 2), (2,))),
    "ormqr": (lambda a, t, c: fastnn.ormqr(a.tril(-1), t, c, False, True), ((3, 2), (2,), (2, 3))),
    "matrix_exp": (linalg.matrix_exp, ((2, 2),)),
    "vecdot": (linalg.vecdot, ((2, 3), (2, 3))),
    "nuclear norm": (lambda x: linalg.matrix_norm(x, "nuc"), ((3, 2),)),
}


@pytest.mark.parametrize("name", COMPLEX_DERIVATIVES)
def test_complex_derivatives(name: str) -> None:
    function, shapes = COMPLEX_DERIVATIVES[name]
    inputs = tuple(random_complex(*shape, seed=3 + i).requires_grad_() for i, shape in enumerate(shapes))
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


def test_derivative_of_eig_of_real_matrices() -> None:
    a = random(4, 4, seed=5).requires_grad_()
    assert linalg.eigvals(a).imag.any()
    assert gradcheck(lambda x: (linalg.eig(x)[0], linalg.eig(x)[1].abs()), (a,))
    assert gradgradcheck(linalg.eigvals, (a,))


@pytest.mark.parametrize(
    "rows",
    [
        [[2.0, 1, 0], [1, 1, 2], [3, 2, 2]],
        [[0.1, 0.3, 0.7], [0.2, 0.9, 0.4], [0.3, 1.2, 1.1]],
        [[1.0, 2, 3], [2, 4, 6], [3, 6, 9]],
        [[0.0, 0], [0, 0]],
    ],
)
def test_det_of_singular_matrices_has_its_derivatives(rows: list[list[float]]) -> None:
    """The determinant is a polynomial: numerical derivatives of it are good everywhere."""
    a = fastnn.tensor(rows, dtype=fastnn.float64, requires_grad=True)
    assert gradcheck(linalg.det, (a,))
    assert gradgradcheck(linalg.det, (a,), atol=1e-3)


def test_derivatives_that_do_not_exist() -> None:
    a = random(4, 3).requires_grad_()
    with pytest.raises(RuntimeError, match="mode='r'"):
        linalg.qr(a, mode="r").R.sum().backward()
    with pytest.raises(RuntimeError, match="mode='complete'"):
        linalg.qr(a, mode="complete").Q.sum().backward()
    with pytest.raises(NotImplementedError, match="geqrf"):
        fastnn.geqrf(a).a.sum().backward()
    with pytest.raises(RuntimeError, match="ldl_factor_ex"):
        linalg.ldl_factor(symmetric(a[:3])).LD.sum().backward()


# --- errors, names, empty matrices -----------------------------------------------------------------------------------


def test_errors_of_matrices() -> None:
    assert issubclass(linalg.LinAlgError, RuntimeError)
    singular = fastnn.ones(2, 3, 3)
    singular[0] = fastnn.eye(3)
    cases: list[tuple[Callable[[], Any], str]] = [
        (lambda: linalg.inv(singular), r"linalg.inv: \(Batch element 1\): The diagonal element 2 is zero"),
        (lambda: linalg.inv(singular[1]), "linalg.inv: The diagonal element 2 is zero"),
        (lambda: linalg.solve(singular, fastnn.ones(3)), "singular"),
        (lambda: linalg.solve_ex(singular, fastnn.ones(3), check_errors=True), "singular"),
        (lambda: linalg.cholesky(-singular), r"\(Batch element 0\).*leading minor of order 1"),
        (lambda: fastnn.cholesky(singular[1]), "cholesky.*leading minor of order 2"),
        (lambda: linalg.svd(fastnn.full((2, 2), float("nan"))), "non-finite"),
        (lambda: linalg.lu_factor(fastnn.zeros(2, 2)), r"U\[1,1\] is zero"),
    ]
    for call, text in cases:
        with pytest.raises(linalg.LinAlgError, match=text):
            call()
    assert linalg.inv_ex(singular).info.tolist() == [0, 2]
    assert linalg.cholesky_ex(singular).info.tolist() == [0, 2]
    assert linalg.lu_factor_ex(singular).info.tolist() == [0, 2]


def test_errors_of_arguments() -> None:
    a = fastnn.ones(2, 2)
    for call, text in (
        (lambda: linalg.eigh(a, UPLO="X"), "UPLO"),
        (lambda: linalg.qr(a, mode="x"), "mode"),
        (lambda: linalg.svd(a, driver="gesvd"), "driver"),
        (lambda: linalg.lstsq(a, a, driver="x"), "driver"),
        (lambda: linalg.lu(a, pivot=False), "pivoting"),
        (lambda: linalg.inv(a.half()), "Low precision"),
        (lambda: linalg.matrix_norm(a, "x"), "Order x"),
        (lambda: linalg.matrix_norm(a, 3), "Order 3"),
        (lambda: linalg.matrix_norm(a, dim=(0, 0)), "different"),
        (lambda: linalg.matrix_norm(a[0]), "at least 2"),
        (lambda: linalg.lu_solve(a, fastnn.ones(2), a), "int32"),
        (lambda: linalg.householder_product(fastnn.ones(2, 3), fastnn.ones(2)), "greater than or equal"),
        (lambda: fastnn.norm(fastnn.ones(3), "nuc"), "nuc"),
        (lambda: linalg.solve(a, fastnn.ones(3)), "Incompatible"),
    ):
        with pytest.raises(RuntimeError, match=text):
            call()


def test_results_have_names() -> None:
    a = definite(3, 3)
    assert type(linalg.svd(a)).__name__ == "linalg_svd"
    assert type(fastnn.svd(a)).__name__ == "svd"
    for name, fields in {
        "svd": "U S Vh",
        "qr": "Q R",
        "eigh": "eigenvalues eigenvectors",
        "slogdet": "sign logabsdet",
        "lu": "P L U",
        "lu_factor": "LU pivots",
        "lu_factor_ex": "LU pivots info",
        "cholesky_ex": "L info",
        "inv_ex": "inverse info",
        "ldl_factor_ex": "LD pivots info",
    }.items():
        result = getattr(linalg, name)(a)
        for position, field in enumerate(fields.split()):
            assert getattr(result, field) is result[position]


def test_out() -> None:
    a = definite(3, 3)
    for function in (linalg.inv, linalg.cholesky, linalg.matrix_norm, linalg.cond):
        out = fastnn.empty(0, dtype=fastnn.float64)
        assert function(a, out=out) is out
        close(out, function(a))
    out = tuple(fastnn.empty(0, dtype=fastnn.float64) for _ in range(2))
    result = linalg.eigh(a, out=out)
    assert result.eigenvalues is out[0]
    close(out[1], linalg.eigh(a).eigenvectors)


def test_empty_matrices() -> None:
    none = fastnn.zeros(2, 0, 0)
    assert linalg.det(none).tolist() == [1.0, 1.0]
    assert linalg.cond(none).tolist() == [0.0, 0.0]
    assert linalg.slogdet(none).logabsdet.tolist() == [0.0, 0.0]
    assert linalg.matrix_rank(none).tolist() == [0, 0]
    for function in (linalg.inv, linalg.cholesky, linalg.matrix_exp, linalg.pinv, lambda x: linalg.qr(x).R):
        assert function(none).shape == (2, 0, 0)
    assert linalg.eigvalsh(none).shape == (2, 0)
    wide = fastnn.zeros(0, 3)
    u, s, vh = linalg.svd(wide)
    assert u.shape == (0, 0)
    assert s.shape == (0,)
    assert vh.tolist() == fastnn.eye(3).tolist()
    assert linalg.pinv(wide).shape == (3, 0)
    for p in (1, 2, float("inf"), "nuc", "fro"):
        assert linalg.matrix_norm(wide, p).item() == 0
    assert linalg.lstsq(fastnn.zeros(3, 0), fastnn.zeros(3, 2)).solution.shape == (0, 2)
    no_batch = fastnn.zeros(0, 3, 3)
    for function in (linalg.inv, linalg.cholesky, linalg.matrix_exp, linalg.pinv, lambda x: linalg.svd(x).U):
        assert function(no_batch).shape == (0, 3, 3)
    assert linalg.det(no_batch).shape == (0,)


def test_cond_of_singular_matrices_is_infinite() -> None:
    for p in (1, -1, "fro", "nuc", float("inf")):
        assert linalg.cond(fastnn.zeros(2, 2), p).item() == float("inf")


def test_large_batches_and_matrices() -> None:
    """Enough work for several threads, and for LAPACK's blocked paths."""
    a = random(300, 8, 8)
    close(linalg.inv(a) @ a, eye(8).expand(300, 8, 8), 1e-6)
    big = random(200, 150)
    u, s, vh = linalg.svd(big, full_matrices=False)
    close(u * s @ vh, big)
    q, r = linalg.qr(big)
    close(q @ r, big)
    values, vectors = linalg.eigh(big.mT @ big)
    close(vectors * values @ vectors.mT, big.mT @ big, 1e-7)


def test_memory_layouts() -> None:
    """Kernels want columns without gaps: everything else is copied, or read as a transpose."""
    whole = random(2, 6, 6)
    a, b = definite(2, 3, 3), random(2, 3, 2, seed=1)
    for view in (
        a.mT.contiguous().mT,
        whole[:, ::2, ::2] + 0,
        whole[:, ::2, ::2],
        whole[:, 1:4, 2:5],
        whole.permute(2, 1, 0)[:3, :3, 0],
    ):
        dense = view.contiguous()
        close(linalg.inv(view), linalg.inv(dense))
        close(linalg.det(view), linalg.det(dense))
        close(linalg.svdvals(view), linalg.svdvals(dense))
        right = b[0, :, :1].expand(3, 2)
        close(linalg.solve(view, right), linalg.solve(dense, right.contiguous()))
        for upper in (False, True):
            for left in (False, True):
                other = right if left else right.mT
                found = linalg.solve_triangular(view, other, upper=upper, left=left)
                part = dense.triu() if upper else dense.tril()
                close(part @ found if left else found @ part, other.expand(found.shape))


@pytest.mark.parametrize("size", [0.0, 1e-3, 0.5, 3.0, 40.0])
def test_matrix_exp_of_any_size(size: float) -> None:
    a = symmetric(random(4, 4)) * size
    values, vectors = linalg.eigh(a)
    expected = vectors * values.exp() @ vectors.mT
    scale = expected.abs().max().item()
    close(linalg.matrix_exp(a) / scale, expected / scale, 1e-11)
    both = linalg.matrix_exp(fastnn.stack([a, a * 0.01]))
    close(both[0], linalg.matrix_exp(a))


def test_matrix_exp_of_what_is_not_finite() -> None:
    assert linalg.matrix_exp(fastnn.full((2, 2), float("nan"))).isnan().all()
    assert linalg.matrix_exp(fastnn.zeros(2, 2, dtype=fastnn.bfloat16)).dtype == fastnn.bfloat16


def test_second_derivatives_of_the_norm_at_zero_are_finite() -> None:
    x = fastnn.zeros(3, requires_grad=True)
    scale = fastnn.ones((), requires_grad=True)
    (first,) = fastnn.autograd.grad(linalg.norm(x), x, scale, create_graph=True)
    second = fastnn.autograd.grad(first, [x, scale], fastnn.ones(3))
    assert [one.tolist() for one in (first, *second)] == [[0.0] * 3, [0.0] * 3, 0.0]
