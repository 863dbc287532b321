"""Convert only the weights of convolutions to another memory format."""

from __future__ import annotations

from typing import Any, TypeVar

from ..modules.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d
from ..modules.module import Module

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]

M = TypeVar("M", bound=Module)


def _convert(module: Module, kinds: tuple[type, ...], memory_format: Any) -> None:
    for found in module.modules():
        if isinstance(found, kinds):
            weight: Any = found.weight
            weight.data = weight.detach().clone().contiguous(memory_format=memory_format)


def convert_conv2d_weight_memory_format(module: M, memory_format: Any) -> M:
    """Convert the weights of all 2-d convolutions in `module` to the memory format; returns the module."""
    _convert(module, (Conv2d, ConvTranspose2d), memory_format)
    return module


def convert_conv3d_weight_memory_format(module: M, memory_format: Any) -> M:
    """Convert the weights of all 3-d convolutions in `module` to the memory format; returns the module."""
    _convert(module, (Conv3d, ConvTranspose3d), memory_format)
    return module
