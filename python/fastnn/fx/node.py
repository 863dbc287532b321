"""Names of `torch.fx` that PyTorch has here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from . import Graph, Node, map_arg

__all__ = ["Argument", "Graph", "Node", "Target", "map_arg"]

Target: TypeAlias = Callable[..., Any] | str
Argument: TypeAlias = Any
