"""Rows of linear algebra. tests/test_linalg.py has what a row cannot say: properties of factors, symmetric inputs."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from op_specs import Const, Input, S, Spec, X

EXACT = ("float64", "float32")


def values(kind: str, *shape: int) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(f"{kind}{shape}".encode())).uniform(-1, 1, shape)


def Regular(*shape: int, grad: bool = True) -> Input:
    """Matrices whose condition numbers are small."""
    return Const(np.round(values("regular", *shape) + 2 * np.eye(shape[-2], shape[-1]), 3), grad=grad)


def Definite(*shape: int) -> Input:
    """Symmetric positive definite matrices: no rows of gradients, which do not know of the symmetry."""
    root = values("definite", *shape)
    return Const(np.round(root @ np.swapaxes(root, -1, -2) + np.eye(shape[-1]), 3), grad=False)


def Triangle(*shape: int, upper: bool) -> Input:
    square = np.round(values("triangle", *shape) + 2 * np.eye(shape[-1]), 3)
    return Const(np.triu(square) if upper else np.tril(square))


SQUARES = (
    S(Regular(3, 3)),
    S(Regular(2, 4, 4)),
    S(Regular(1, 1)),
    S(X(0, 0)).only(*EXACT),
    S(X(2, 0, 3, 3)).only(*EXACT),
)
NOT_SQUARE = ((S(X(2, 3)), RuntimeError, "square"), (S(X(3)), RuntimeError, "at least 2"))
NOT_FLOATING = (S(Input((2, 2), dtype="int64")), RuntimeError, "floating")


def solved(a: Any, b: Any, left: bool = True) -> np.ndarray:
    if not left:
        return np.swapaxes(solved(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)), -1, -2)
    vector = b.ndim == 1 or b.shape == a.shape[:-1]
    found = np.linalg.solve(a, b[..., None] if vector else b)
    return found[..., 0] if vector else found


def triangular(a: Any, b: Any, upper: bool, left: bool = True, unitriangular: bool = False) -> np.ndarray:
    part = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        part = part - part * np.eye(a.shape[-1]) + np.eye(a.shape[-1])
    return solved(part, b, left)


def matrix_exp(a: Any) -> np.ndarray:
    """The series for a / 1024, squared ten times."""
    small, term, total = a / 1024, np.eye(a.shape[-1]), np.eye(a.shape[-1])
    for k in range(1, 12):
        term = term @ small / k
        total = total + term
    for _ in range(10):
        total = total @ total
    return total


def matrix_norm(a: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False) -> np.ndarray:
    return np.linalg.norm(a, ord, dim, keepdim)


def log_determinants(a: Any) -> tuple[np.ndarray, ...]:
    return tuple(np.linalg.slogdet(a))


close: dict[str, Any] = {
    "dtypes": EXACT,
    "torch_dtypes": EXACT,
    "roundings": 200.0,
    "scale": 4.0,
    "extremes": False,
    "strided": False,
}
factors: dict[str, Any] = close | {"differentiable": False, "keywords": False}

NORMS = (
    S(X(3, 4)),
    S(X(3, 4), "fro"),
    S(X(3, 4), "nuc"),
    S(X(3, 4), 2),
    S(X(3, 4), -2),
    S(X(3, 4), 1),
    S(X(3, 4), -1),
    S(X(3, 4), float("inf")),
    S(X(3, 4), -float("inf")),
    S(X(2, 3, 4), 1, (0, 2)),
    S(X(2, 3, 4), "nuc", (2, 0), True),
    S(X(2, 3, 4), 2, (1, 0), True),
)
EQUATIONS = (
    S(Regular(3, 3), X(3)),
    S(Regular(3, 3), X(3, 2)),
    S(Regular(2, 3, 3), X(2, 3)),
    S(Regular(2, 1, 3, 3), X(2, 3, 2)),
    S(Regular(3, 3), X(2, 3), left=False),
    S(X(0, 0), X(0, 2)).only(*EXACT),
)

ROWS = [
    Spec("linalg.det", SQUARES, np.linalg.det, errors=(*NOT_SQUARE, NOT_FLOATING), **close),
    Spec("det", SQUARES, np.linalg.det, errors=NOT_SQUARE, **close),
    Spec("linalg.slogdet", SQUARES, log_determinants, errors=NOT_SQUARE, **close),
    Spec("slogdet", SQUARES, log_determinants, errors=NOT_SQUARE, **close),
    Spec("logdet", (S(Const([[2.0, 1.0], [0.5, 3.0]])),), lambda a: np.linalg.slogdet(a)[1], **close),
    Spec("linalg.inv", SQUARES, np.linalg.inv, errors=(*NOT_SQUARE, NOT_FLOATING), **close),
    Spec("inverse", SQUARES, np.linalg.inv, errors=NOT_SQUARE, **close),
    Spec(
        "linalg.inv_ex",
        SQUARES,
        lambda a: (np.linalg.inv(a), np.zeros(a.shape[:-2], dtype=np.int64)),
        errors=NOT_SQUARE,
        **close,
    ),
    Spec(
        "linalg.solve",
        EQUATIONS,
        solved,
        errors=(
            (S(X(3, 3), X(4, 2)), RuntimeError, "Incompatible"),
            (S(X(2, 3), X(2)), RuntimeError, "square"),
            (S(X(2, 2), Input((2,), dtype="int64")), RuntimeError, "dtype"),
        ),
        **close,
    ),
    Spec(
        "linalg.solve_ex",
        EQUATIONS,
        lambda a, b, left=True: (solved(a, b, left), np.zeros(a.shape[:-2], dtype=np.int64)),
        **close,
    ),
    Spec(
        "linalg.solve_triangular",
        (
            S(Triangle(3, 3, upper=True), X(3, 2), upper=True),
            S(Triangle(2, 3, 3, upper=False), X(3, 2), upper=False),
            S(Triangle(3, 3, upper=False), X(2, 2, 3), upper=False, left=False),
            S(Triangle(3, 3, upper=True), X(3, 2), upper=True, unitriangular=True),
            S(Regular(3, 3), X(3, 1), upper=False, unitriangular=True),
        ),
        triangular,
        errors=((S(X(3, 3), X(2, 2), upper=True), RuntimeError, "Incompatible"),),
        **close,
    ),
    Spec(
        "triangular_solve",
        (
            S(X(3, 2), Triangle(3, 3, upper=True)),
            S(X(3, 2), Triangle(3, 3, upper=False), upper=False),
            S(X(2, 3, 2), Triangle(3, 3, upper=True), transpose=True),
        ),
        lambda b, a, upper=True, transpose=False: (
            triangular(np.swapaxes(a, -1, -2) if transpose else a, b, upper != transpose),
            np.broadcast_to(a, (*b.shape[:-2], 3, 3)),
        ),
        errors=((S(X(2, 2), X(3, 3)), RuntimeError, "Incompatible"),),
        keywords=False,
        **close,
    ),
    Spec(
        "cholesky_solve",
        (S(X(3, 2), Triangle(3, 3, upper=False)), S(X(2, 3, 1), Triangle(3, 3, upper=True), True)),
        lambda b, factor, upper=False: solved(factor.T @ factor if upper else factor @ factor.T, b),
        errors=((S(X(2, 2), X(3, 3)), RuntimeError, "Incompatible"),),
        keywords=False,
        **(close | {"strides": False, "differentiable": False}),
    ),
    Spec(
        "cholesky_inverse",
        (S(Triangle(3, 3, upper=False)), S(Triangle(3, 3, upper=True), True)),
        lambda c, upper=False: np.linalg.inv(c.T @ c if upper else c @ c.T),
        errors=NOT_SQUARE,
        **(close | {"strides": False, "differentiable": False}),
    ),
    Spec("linalg.matrix_norm", NORMS, matrix_norm, strides=False, **close),
    Spec(
        "linalg.norm",
        (S(X(3, 4)), S(X(2, 3, 4)), S(X(5), 3), *NORMS[1:9], S(X(2, 3, 4), 2, 1), S(X(2, 3, 4), dim=(0, 1))),
        lambda a, ord=None, dim=None: np.linalg.norm(a.ravel() if dim is None and ord is None else a, ord, dim),
        errors=((S(X(2, 3, 4), 2), RuntimeError, "1D or 2D"),),
        strides=False,
        **close,
    ),
    Spec(
        "linalg.matrix_power",
        (*(S(Regular(3, 3), n) for n in (0, 1, 2, 5, -1, -3)), S(Regular(2, 2, 2), 3)),
        lambda a, n: np.linalg.matrix_power(a, n),
        errors=((S(X(2, 3), 2), RuntimeError, "square"),),
        strides=False,
        **(close | {"scale": 100.0}),
    ),
    Spec(
        "matrix_power",
        (S(Regular(3, 3), 3), S(Regular(3, 3), -1)),
        lambda a, n: np.linalg.matrix_power(a, n),
        strides=False,
        **(close | {"scale": 100.0}),
    ),
    Spec(
        "linalg.matrix_exp",
        (S(X(3, 3)), S(X(2, 2, 2)), S(X(1, 1)), S(X(0, 0)), S(X(4, 4, low=-3, high=3)), S(X(2, 2, low=0, high=0.1))),
        matrix_exp,
        strides=False,
        errors=((S(X(2, 3)), RuntimeError, "square"),),
        **(close | {"scale": 1e6}),
    ),
    Spec("matrix_exp", (S(X(3, 3)),), matrix_exp, strides=False, **(close | {"scale": 100.0})),
    Spec(
        "linalg.pinv",
        (S(Regular(3, 3)), S(Regular(4, 2)), S(Regular(2, 2, 3)), S(X(0, 3)), S(Definite(3, 3), hermitian=True)),
        lambda a, hermitian=False: np.linalg.pinv(a, hermitian=hermitian),
        strides=False,
        **close,
    ),
    Spec("pinverse", (S(Regular(4, 2)),), np.linalg.pinv, strides=False, keywords=False, **close),
    Spec(
        "linalg.matrix_rank",
        (
            S(Regular(3, 3)),
            S(Const([[1.0, 2.0], [2.0, 4.0]])),
            S(Regular(2, 4, 2)),
            S(X(0, 3)),
            S(Const([[1.0, 0.0], [0.0, 0.01]]), atol=0.1),
            S(Const([[1.0, 0.0], [0.0, 0.01]]), rtol=0.1),
            S(Const([[1.0, 0.0], [0.0, 0.01]]), 0.1),
            S(Definite(3, 3), hermitian=True),
        ),
        None,
        differentiable=False,
        **close,
    ),
    Spec(
        "linalg.cond",
        (
            S(Regular(3, 3)),
            *(S(Regular(3, 3), p) for p in (2, -2, 1, -1, float("inf"), "fro", "nuc")),
            S(Regular(2, 4, 2)),
        ),
        lambda a, p=None: np.linalg.cond(a, p),
        errors=((S(X(3, 3), 3), RuntimeError, "invalid norm type"), (S(X(2, 3), "fro"), RuntimeError, "square")),
        strides=False,
        **(close | {"scale": 20.0}),
    ),
    Spec(
        "linalg.cross",
        (S(X(4, 3), X(4, 3)), S(X(1, 3), X(4, 3)), S(X(3, 2), X(3, 2), dim=0)),
        lambda a, b, dim=-1: np.cross(a, b, axis=dim),
        errors=((S(X(2, 2), X(2, 2)), RuntimeError, "length 3"), (S(X(3), X(2, 3)), RuntimeError, "number of dim")),
        roundings=12.0,
        scale=8.0,
    ),
    Spec(
        "linalg.vecdot",
        (S(X(4, 3), X(4, 3)), S(X(3), X(4, 3)), S(X(3, 2), X(3, 2), dim=0)),
        lambda a, b, dim=-1: np.sum(a * b, axis=dim),
        length=3,
        scale=12.0,
        errors=((S(Input((3,), dtype="int64"), Input((3,), dtype="int64")), RuntimeError, "floating"),),
    ),
    Spec(
        "linalg.diagonal",
        (S(X(3, 4)), S(X(2, 3, 4), offset=1), S(X(2, 3, 4), dim1=0, dim2=1)),
        lambda a, offset=0, dim1=-2, dim2=-1: np.diagonal(a, offset, dim1, dim2),
        view=True,
    ),
    Spec(
        "linalg.vander",
        (S(X(4)), S(X(2, 3), N=4), S(X(3), N=2)),
        lambda x, N=None: np.stack([x**k for k in range(N or x.shape[-1])], -1),
        errors=((S(X(3), N=1), RuntimeError, "greater than 1"),),
        dtypes=EXACT,
        roundings=16.0,
    ),
    Spec(
        "linalg.tensorinv",
        (S(Const(values("regular", 4, 6, 8, 3) + np.eye(24).reshape(4, 6, 8, 3) * 9)),),
        np.linalg.tensorinv,
        errors=((S(X(2, 3)), RuntimeError, "requirement"), (S(X(2, 2), 0), RuntimeError, "positive")),
        strides=False,
        **(close | {"twice": False}),
    ),
    Spec(
        "linalg.tensorsolve",
        (
            S(Const(values("regular", 2, 3, 6) + np.eye(6).reshape(2, 3, 6) * 4), X(2, 3)),
            S(Const(values("regular", 6, 2, 3) + np.eye(6).reshape(6, 2, 3) * 4), X(2, 3), dims=(0,)),
        ),
        lambda a, b, dims=None: np.linalg.tensorsolve(a, b, dims),
        errors=((S(X(2, 3), X(2)), RuntimeError, "requirement"),),
        strides=False,
        **close,
    ),
    # Symmetric inputs, and factors of which the signs are free.
    Spec(
        "linalg.cholesky",
        (S(Definite(3, 3)), S(Definite(2, 4, 4)), S(X(0, 0)).only(*EXACT)),
        np.linalg.cholesky,
        **factors,
    ),
    Spec("cholesky", (S(Definite(3, 3)), S(Definite(3, 3), True)), None, **factors),
    Spec(
        "linalg.cholesky_ex",
        (S(Definite(3, 3)), S(Const([[-1.0]]))),
        None,
        **factors,
    ),
    Spec("linalg.eigvalsh", (S(Definite(3, 3)), S(Definite(2, 4, 4), "U")), np.linalg.eigvalsh, **factors),
    Spec(
        "linalg.svdvals",
        (S(Regular(4, 3)), S(Regular(2, 3, 4)), S(X(0, 3)).only(*EXACT)),
        lambda a: np.linalg.svd(a, compute_uv=False),
        errors=((S(X(3), driver=None), RuntimeError, "at least 2"), (S(X(2, 2), driver="x"), RuntimeError, "driver")),
        **close,
    ),
]
