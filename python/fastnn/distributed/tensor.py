"""Tensors that are spread over devices: there is one device, so using them is an error."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._missing import missing_attribute
from ._refused import Refused, refuse
from .device_mesh import DeviceMesh, init_device_mesh

__all__ = [
    "ColwiseParallel",
    "DTensor",
    "DeviceMesh",
    "ParallelStyle",
    "Partial",
    "Placement",
    "Replicate",
    "RowwiseParallel",
    "SequenceParallel",
    "Shard",
    "compute_local_shape_and_global_offset",
    "distribute_module",
    "distribute_tensor",
    "init_device_mesh",
    "parallelize_module",
]


class DTensor(Refused):
    """A tensor that is spread over devices: no tensor is one."""

    from_local = refuse


class Placement:
    """How a tensor is spread over one dimension of a mesh: only a description."""

    def is_shard(self, dim: int | None = None) -> bool:
        """Whether each device has a part, of this dimension if one is given."""
        return isinstance(self, Shard) and dim in (None, self.dim)

    def is_replicate(self) -> bool:
        """Whether each device has all of it."""
        return isinstance(self, Replicate)

    def is_partial(self, reduce_op: str | None = None) -> bool:
        """Whether each device has a term of a reduction, of this kind if one is given."""
        return isinstance(self, Partial) and reduce_op in (None, self.reduce_op)


@dataclass(frozen=True)
class Shard(Placement):
    """A part on each device.

    Args:
        dim: the dimension that is cut.

    Example:
        >>> from fastnn.distributed.tensor import Shard
        >>> Shard(1), Shard(1).is_shard(0), Shard(1) == Shard(1)
        (Shard(dim=1), False, True)
    """

    dim: int


@dataclass(frozen=True)
class _StridedShard(Placement):
    dim: int
    split_factor: int = field(kw_only=True)


@dataclass(frozen=True)
class Replicate(Placement):
    """All of it on each device."""


@dataclass(frozen=True)
class Partial(Placement):
    """A term of a reduction on each device.

    Args:
        reduce_op: the reduction.
    """

    reduce_op: str = "sum"


class ParallelStyle(Refused):
    """How a module is spread."""


class ColwiseParallel(ParallelStyle):
    """By the columns of its weight."""


class RowwiseParallel(ParallelStyle):
    """By the rows of its weight."""


class SequenceParallel(ParallelStyle):
    """By the steps of the sequence."""


distribute_tensor = distribute_module = parallelize_module = compute_local_shape_and_global_offset = refuse

__getattr__ = missing_attribute("torch.distributed.tensor")
