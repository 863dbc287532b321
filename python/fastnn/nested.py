"""Nested tensors, which fastnn does not have: calling the functions is an error."""

from __future__ import annotations

from typing import Any, NoReturn

from ._missing import missing_attribute


def _fail(*args: Any, **kwargs: Any) -> NoReturn:
    raise NotImplementedError(
        "torch.nested: fastnn has no nested tensors; use torch.nn.utils.rnn.pad_sequence and a mask"
    )


nested_tensor = as_nested_tensor = nested_tensor_from_jagged = to_padded_tensor = narrow = masked_select = _fail

__getattr__ = missing_attribute("torch.nested")
