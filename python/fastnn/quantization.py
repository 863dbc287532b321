"""Quantization, which fastnn does not have: calling the functions is an error."""

from __future__ import annotations

from typing import Any, NoReturn

from ._missing import missing_attribute


def _fail(*args: Any, **kwargs: Any) -> NoReturn:
    raise NotImplementedError("torch.quantization: fastnn has no quantized tensors; use bfloat16 to save memory")


quantize = quantize_dynamic = quantize_qat = prepare = prepare_qat = convert = fuse_modules = _fail
get_default_qconfig = get_default_qat_qconfig = QConfig = default_qconfig = float_qparams_weight_only_qconfig = _fail


class QuantStub:
    """Where quantized values would begin: making one is an error."""

    def __init__(self, qconfig: Any = None) -> None:
        _fail()


class DeQuantStub(QuantStub):
    """Where quantized values would end: making one is an error."""


__getattr__ = missing_attribute("torch.quantization")
