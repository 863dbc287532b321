"""Models whose parameters are spread over devices: there is one device, so using them is an error."""

from __future__ import annotations

import enum

from ..._missing import missing_attribute
from .._refused import Refused, refuse

__all__ = [
    "BackwardPrefetch",
    "CPUOffload",
    "CPUOffloadPolicy",
    "FSDPModule",
    "FullOptimStateDictConfig",
    "FullStateDictConfig",
    "FullyShardedDataParallel",
    "MixedPrecision",
    "MixedPrecisionPolicy",
    "OffloadPolicy",
    "ShardedOptimStateDictConfig",
    "ShardedStateDictConfig",
    "ShardingStrategy",
    "StateDictType",
    "fully_shard",
]


class FullyShardedDataParallel(Refused):
    """A model that is spread over devices: no module is one."""


class FSDPModule(Refused):
    """A model that is spread over devices: no module is one."""


class MixedPrecision(Refused):
    """The dtypes of such a model."""


class MixedPrecisionPolicy(MixedPrecision):
    """The dtypes of such a model."""


class CPUOffload(Refused):
    """Where its parameters wait."""


class OffloadPolicy(CPUOffload):
    """Where its parameters wait."""


class CPUOffloadPolicy(OffloadPolicy):
    """Where its parameters wait."""


class FullStateDictConfig(Refused):
    """How its state is gathered."""


class ShardedStateDictConfig(Refused):
    """How its state is kept in parts."""


class FullOptimStateDictConfig(Refused):
    """How the optimizer's state is gathered."""


class ShardedOptimStateDictConfig(Refused):
    """How the optimizer's state is kept in parts."""


class BackwardPrefetch(enum.Enum):
    """When parameters are fetched for the backward pass."""

    BACKWARD_PRE = enum.auto()
    BACKWARD_POST = enum.auto()


class ShardingStrategy(enum.Enum):
    """What is spread."""

    FULL_SHARD = enum.auto()
    SHARD_GRAD_OP = enum.auto()
    NO_SHARD = enum.auto()
    HYBRID_SHARD = enum.auto()


class StateDictType(enum.Enum):
    """How the state is written."""

    FULL_STATE_DICT = enum.auto()
    LOCAL_STATE_DICT = enum.auto()
    SHARDED_STATE_DICT = enum.auto()


fully_shard = register_fsdp_forward_method = refuse

__getattr__ = missing_attribute("torch.distributed.fsdp")
