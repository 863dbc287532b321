"""Arrays of devices: there is one device, so using them is an error."""

from __future__ import annotations

from ._refused import Refused, refuse

__all__ = ["DeviceMesh", "init_device_mesh"]


class DeviceMesh(Refused):
    """An array of devices."""


init_device_mesh = refuse
