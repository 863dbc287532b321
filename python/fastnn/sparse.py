"""Sparse tensors, which fastnn does not have: calling the functions is an error."""

from __future__ import annotations

from typing import Any, NoReturn

from ._missing import missing_attribute
from ._no_accelerator import StandIn


def _fail(*args: Any, **kwargs: Any) -> NoReturn:
    raise NotImplementedError("torch.sparse: fastnn has no sparse tensors; use dense ones (to_dense)")


mm = addmm = sum = softmax = log_softmax = sampled_addmm = spdiags = to_sparse_semi_structured = _fail
FloatTensor = LongTensor = DoubleTensor = _fail


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
