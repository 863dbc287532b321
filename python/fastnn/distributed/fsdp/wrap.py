"""Which modules of a model are spread over devices: using them is an error."""

from __future__ import annotations

from .._refused import Refused, refuse

__all__ = ["ModuleWrapPolicy", "size_based_auto_wrap_policy", "transformer_auto_wrap_policy", "wrap"]


class ModuleWrapPolicy(Refused):
    """Modules by their class."""


transformer_auto_wrap_policy = size_based_auto_wrap_policy = lambda_auto_wrap_policy = wrap = enable_wrap = refuse
_or_policy = always_wrap_policy = refuse
