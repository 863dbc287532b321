"""Tensors that are spread over devices: there is one device, so using them is an error."""

from __future__ import annotations

from .._missing import missing_attribute
from ._refused import Refused, refuse
from .device_mesh import DeviceMesh, init_device_mesh

__all__ = [
    "DTensor",
    "DeviceMesh",
    "Partial",
    "Placement",
    "Replicate",
    "Shard",
    "distribute_module",
    "distribute_tensor",
    "init_device_mesh",
]


class DTensor(Refused):
    """A tensor that is spread over devices: no tensor is one."""


class Placement(Refused):
    """How a tensor is spread."""


class Shard(Placement):
    """A part on each device."""


class Replicate(Placement):
    """All of it on each device."""


class Partial(Placement):
    """A summand on each device."""


distribute_tensor = distribute_module = refuse

__getattr__ = missing_attribute("torch.distributed.tensor")
