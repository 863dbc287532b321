"""Quantization. There are no quantized tensors: models that are prepared for them run in floating point, as before.

The marks that such a model has (:class:`QuantStub`, :class:`DeQuantStub`, ``nn.quantized.FloatFunctional``) do what
they do in PyTorch until the model is converted; preparing and converting it are errors.
"""

from __future__ import annotations

from typing import Any, NamedTuple, NoReturn

from fastnn._C import Tensor

from ._missing import missing_attribute
from .nn.modules.module import Module

__all__ = ["DeQuantStub", "QConfig", "QuantStub"]


def _fail(*args: Any, **kwargs: Any) -> NoReturn:
    raise NotImplementedError("torch.quantization: fastnn has no quantized tensors; use bfloat16 to save memory")


quantize = quantize_dynamic = quantize_qat = prepare = prepare_qat = convert = fuse_modules = fuse_modules_qat = _fail
get_default_qconfig = get_default_qat_qconfig = default_qconfig = float_qparams_weight_only_qconfig = _fail
default_observer = default_weight_observer = default_per_channel_weight_observer = _fail


class QConfig(NamedTuple):
    """What would observe activations and weights."""

    activation: Any
    weight: Any


class _Stub(Module):
    def __init__(self, qconfig: Any = None) -> None:
        super().__init__()
        if qconfig:
            self.qconfig = qconfig

    def forward(self, x: Tensor) -> Tensor:
        """The values themselves."""
        return x


class QuantStub(_Stub):
    """Where quantized values begin in a converted model; before that, the identity.

    Args:
        qconfig: how to quantize; kept as an attribute.

    Example:
        >>> import fastnn
        >>> fastnn.quantization.QuantStub()(fastnn.ones(2))
        tensor([1., 1.])
    """


class DeQuantStub(_Stub):
    """Where quantized values end in a converted model; before that, the identity."""


__getattr__ = missing_attribute("torch.quantization")
