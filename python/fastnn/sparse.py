"""Sparse tensors of the layout ``sparse_coo``; the other layouts are not there, and asking for them is an error."""

from __future__ import annotations

from typing import Any, NoReturn

from ._missing import missing_attribute
from ._no_accelerator import StandIn
from ._sparse import BFloat16Tensor as BFloat16Tensor
from ._sparse import DoubleTensor as DoubleTensor
from ._sparse import FloatTensor as FloatTensor
from ._sparse import HalfTensor as HalfTensor
from ._sparse import IntTensor as IntTensor
from ._sparse import LongTensor as LongTensor
from ._sparse import addmm as addmm
from ._sparse import log_softmax as log_softmax
from ._sparse import mm as mm
from ._sparse import softmax as softmax
from ._sparse import sum as sum


def _fail(*args: Any, **kwargs: Any) -> NoReturn:
    raise NotImplementedError(
        "torch.sparse: fastnn has the layout sparse_coo only; use that, or dense tensors (to_dense)"
    )


sampled_addmm = spdiags = to_sparse_semi_structured = _fail


class SparseSemiStructuredTensor(StandIn):
    """Half of the elements, on a GPU: for ``isinstance``."""


class check_sparse_tensor_invariants:
    """A switch that changes nothing."""

    def __init__(self, enable: bool = True) -> None:
        self.enable_check = enable

    def __enter__(self) -> check_sparse_tensor_invariants:
        return self

    def __exit__(self, *error: object) -> None:
        pass


__getattr__ = missing_attribute("torch.sparse")
